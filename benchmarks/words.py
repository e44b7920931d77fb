"""Can the words be recognised? Word error by Whisper base, beside real recordings through the same vocoder.

    python benchmarks/words.py --model DIR --voice teacher_joe     # 4 minutes on one core

Two sets of 40: everyday lines of our own (everyday.txt), and held-back prompts of the corpora, of which there
are recordings. The first recording of the voice in the list is its reference. Prints a table; --json keeps it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.recordings import read_recordings
from dubber_jax.clip import SAMPLE_RATE, Line
from dubber_jax.dubbing import play_line
from dubber_jax.evaluation.words import Whisper, word_error
from dubber_jax.footage.library import Library
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound
from dubber_jax.model_directory import load
from dubber_jax.voices import make_voice


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--model')
  parser.add_argument('--voice', default='teacher_joe', help='a speaker of the data')
  parser.add_argument('--set', default='teacher')
  parser.add_argument('--director', choices=('on', 'off'), default='on')
  parser.add_argument('--count', type=int, default=40)
  parser.add_argument('--json')
  given = parser.parse_args()
  model = load(given.model)
  library = Library.open() if given.director == 'on' else None
  whisper = Whisper()
  own = [r for r in read_recordings(given.set) if r.speaker == given.voice]
  reference = next(r for r in own if r.split == 'train')
  voice = make_voice(read_sound(reference.path, SAMPLE_RATE), SAMPLE_RATE, given.voice)
  held_back = {r.text: r for r in own if r.split in ('validation', 'test')}
  prompts = list(held_back)
  for other in ('teacher', 'kathleen'):  # prompts are split across sets
    prompts += [r.text for r in read_recordings(other) if r.split == 'validation' and r.text not in prompts]
  prompts = list(dict.fromkeys(prompts))[: given.count]
  everyday = Path(__file__).with_name('everyday.txt').read_text().splitlines()[: given.count]

  def spoken(text):
    return play_line(model, Line(text), voice, library).take.waveform

  def heard(waves, desc):
    return [whisper.transcribe(w, SAMPLE_RATE) for w in tqdm(waves, desc=desc, unit='line')]

  def vocoded(recording):
    return np.asarray(model.vocoder.vocode(mel_numpy(read_sound(recording.path, SAMPLE_RATE))))

  recorded = [held_back[p] for p in prompts if p in held_back]
  rows = {
    'everyday lines, spoken': (everyday, heard(map(spoken, everyday), 'everyday')),
    'held-back prompts, spoken': (prompts, heard(map(spoken, prompts), 'prompts')),
    'their recordings, vocoded': ([r.text for r in recorded], heard(map(vocoded, recorded), 'vocoded')),
    'their recordings': (
      [r.text for r in recorded],
      heard((read_sound(r.path, SAMPLE_RATE) for r in recorded), 'recordings'),
    ),
  }
  table = {name: {'lines': len(said), 'word_error': word_error(said, text)} for name, (said, text) in rows.items()}
  print(f'| {given.voice}, director {given.director} | lines | word error |\n|---|---|---|')
  for name, row in table.items():
    print(f'| {name} | {row["lines"]} | {row["word_error"]:.1%} |')
  if given.json:
    kept = {n: [{'said': a, 'heard': b} for a, b in zip(*rows[n], strict=True)] for n in rows}
    Path(given.json).write_text(json.dumps({'table': table, 'lines': kept}, indent=1))


if __name__ == '__main__':
  main()
