"""Slot error of dubbing: sound and durations against the slot, over all unseen films of GRID and CREMA-D.

python experiments/timing/slots.py         # 33 films, a minute or two
"""

import tempfile
from pathlib import Path

from tqdm import tqdm

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.dubbing.film import dub
from dubber_jax.dubbing.request import DubOptions, DubRequest
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.media.sound import read_sound
from dubber_jax.types import HOP, SAMPLE_RATE, Voice


def main():
  model, unseen = load(), unseen_films()
  voice = next(iter(model.voices.values()))
  worst = max(seconds_apart(model, voice, film) for film in tqdm(unseen, unit='film'))
  print(f'{len(unseen)} films; largest difference of sound or durations from the slot: {worst * 1000:.1f} ms')


def unseen_films() -> list[Recording]:
  films = [r for r in read_recordings('grid') if r.split == 'test_unseen']
  return films + [r for r in read_recordings('cremad') if r.has_video]


def seconds_apart(model: Model, voice: Voice, film: Recording) -> float:
  """The larger of the differences of the sound's length and of its durations' sum from the film's slot."""
  with tempfile.TemporaryDirectory() as folder:
    out = Path(folder) / 'dubbed.mkv'
    (result,) = dub(DubRequest.of(film.path, 'She is not here.', voice, out, DubOptions(report=False)), model).lines
    seconds = len(read_sound(out.with_name('dubbed.dialogue.wav'), 48000)) / 48000
  frames = sum(result.take.durations)
  return max(abs(seconds - result.slot_seconds), abs(frames * HOP / SAMPLE_RATE - result.slot_seconds))


if __name__ == '__main__':
  main()
