"""How well lines are understood that are spoken faster than they would be: all sounds shortened alike, or vowels more.

    python experiments/timing/fast.py              # 20 everyday lines in turn in the shipped voices; some 7 minutes of
    one core

One-way takes without pauses, in slots that ask for each rate; words by Whisper base. Can be stopped and started again:
what is judged is kept in `--out`. The table stands in docs/results/dubbing.md.
"""

import argparse
import json
from pathlib import Path
from unittest import mock

import numpy as np

from dubber_jax.actor import duration
from dubber_jax.evaluation.metrics.wer import Whisper, edits, normalize
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.synthesis import LineInputs, synthesize, synthesize_all, vocode
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import SAMPLE_RATE, Direction

RATES = (1.35, 1.5, 1.65, 1.8)
ALIKE = {'vowel': 1.0, 'consonant': 1.0}, {'vowel': 0.0, 'consonant': 0.0}
WAYS = {'alike': ALIKE, 'vowels more': (duration.COMPRESSION.copy(), duration.MIN_FRAMES.copy())}


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--lines', type=int, default=20)
  parser.add_argument('--out', type=Path, default=Path('runs/fast.jsonl'))
  given = parser.parse_args()
  given.out.parent.mkdir(parents=True, exist_ok=True)
  rows = [json.loads(row) for row in given.out.read_text().splitlines()] if given.out.exists() else []
  done = {(row['line'], row['way'], row['rate']) for row in rows}
  texts = (Path(__file__).parents[1] / 'data' / 'everyday.txt').read_text(encoding='utf-8').splitlines()[: given.lines]
  model, listener = load(), Whisper(threads=1)
  voices = list(model.voices.values())
  with given.out.open('a') as file:
    for i, text in enumerate(texts):
      for way, rate in [(w, r) for r in RATES for w in WAYS if (i, w, r) not in done]:
        heard = listener.transcribe(spoken_at(model, text, voices[i % len(voices)], rate, *WAYS[way]), SAMPLE_RATE)
        words = normalize(text).split()
        rows.append(
          {
            'line': i,
            'way': way,
            'rate': rate,
            'words': len(words),
            'heard': heard,
            'errors': edits(words, normalize(heard).split()),
          }
        )
        print(json.dumps(rows[-1]), file=file, flush=True)
  show(rows)


def spoken_at(model, text: str, voice, rate: float, yielding: dict, least: dict) -> np.ndarray:
  """The sound of a line in the slot that asks for a speaking rate."""
  phonemes = phonemize(text)
  plain = synthesize(model, phonemes, voice, None)
  sounds = sum(int(d) for s, d in zip(plain.phonemes, plain.durations, strict=True) if s not in SILENCES)
  slot = duration.frames_needed(sounds, 0, rate) / duration.FRAME_RATE
  with mock.patch.dict(duration.COMPRESSION, yielding), mock.patch.dict(duration.MIN_FRAMES, least):
    take = synthesize_all(model, LineInputs(phonemes, voice, slot), [Direction()], [0])[0]
  return vocode(model, take).waveform


def show(rows):
  print('| rate | ' + ' | '.join(WAYS) + ' |\n|---|' + '---|' * len(WAYS))
  for rate in RATES:
    cells = []
    for way in WAYS:
      found = [row for row in rows if (row['way'], row['rate']) == (way, rate)]
      errors, words = (np.array([row[name] for row in found]) for name in ('errors', 'words'))
      drawn = np.random.default_rng(0).integers(len(found), size=(2000, len(found)))
      low, high = np.percentile(errors[drawn].sum(1) / words[drawn].sum(1), (2.5, 97.5))
      cells.append(f'{errors.sum() / words.sum():.1%} ({low:.1%} to {high:.1%})')
    print(f'| {rate} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
  main()
