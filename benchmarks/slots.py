"""Does the sound last as long as the slot? Every unseen GRID and CREMA-D film, dubbed and measured before encoding.

    python benchmarks/slots.py         # 33 films, a minute or two
"""

import tempfile
from pathlib import Path

from data_pipelines.recordings import read_recordings
from dubber_jax.clip import HOP, SAMPLE_RATE, Line
from dubber_jax.dubbing import dub
from dubber_jax.media.sound import read_sound
from dubber_jax.model_directory import load


def main():
  model = load()
  voice = next(iter(model.voices.values()))
  films = [r for r in read_recordings('grid') if r.split == 'test_unseen']
  films += [r for r in read_recordings('cremad') if r.has_video]
  worst = 0.0
  with tempfile.TemporaryDirectory() as folder:
    for i, film in enumerate(films):
      out = Path(folder) / f'{i}.mkv'
      result = dub(film.path, [Line('She is not here.')], voice, out, model, report=False, say=lambda *_: None)
      seconds = len(read_sound(out.with_name(f'{i}.dialogue.wav'), 48000)) / 48000
      frames = sum(result['take']['durations'])
      slot = result['slot_seconds']
      worst = max(worst, abs(seconds - slot), abs(frames * HOP / SAMPLE_RATE - slot))
  print(f'{len(films)} films; the largest difference of sound or durations from the slot: {worst * 1000:.1f} ms')


if __name__ == '__main__':
  main()
