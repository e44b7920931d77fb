"""Intelligibility of compressed speech: word error of lines at high speaking rates, all phonemes shortened alike or
vowels more.

    python experiments/timing/fast.py    # 20 everyday lines, the shipped voices by turns; 7 min of one core

One-scheme takes without pauses, in slots that need each rate; words by Whisper base. It can be stopped and restarted:
judgements are stored in `--out`. The table stands in docs/results/dubbing.md.
"""

import argparse
import json
from pathlib import Path
from unittest import mock

import numpy as np

from dubber_jax.actor import duration
from dubber_jax.evaluation.bootstrap import interval, share
from dubber_jax.evaluation.metrics.wer import Whisper, count_errors
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.synthesis import LineInputs, synthesize, synthesize_all, vocode
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import SAMPLE_RATE, Direction

RATES = (1.35, 1.5, 1.65, 1.8)
ALIKE = {'vowel': 1.0, 'consonant': 1.0}, {'vowel': 0.0, 'consonant': 0.0}
SCHEMES = {'alike': ALIKE, 'vowels more': (duration.COMPRESSION.copy(), duration.MIN_FRAMES.copy())}


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--lines', type=int, default=20)
  parser.add_argument('--out', type=Path, default=Path('runs/fast.jsonl'))
  given = parser.parse_args()
  given.out.parent.mkdir(parents=True, exist_ok=True)
  rows = [json.loads(row) for row in given.out.read_text().splitlines()] if given.out.exists() else []
  done = {(row['line'], row['scheme'], row['rate']) for row in rows}
  texts = (Path(__file__).parents[1] / 'data' / 'everyday.txt').read_text(encoding='utf-8').splitlines()[: given.lines]
  model, recognizer = load(), Whisper(threads=1)
  voices = list(model.voices.values())
  with given.out.open('a') as file:
    for i, text in enumerate(texts):
      for scheme, rate in [(w, r) for r in RATES for w in SCHEMES if (i, w, r) not in done]:
        transcript = recognizer.transcribe(
          spoken_at(model, text, voices[i % len(voices)], rate, *SCHEMES[scheme]), SAMPLE_RATE
        )
        wrong, count = count_errors(text, transcript)
        row = {'line': i, 'scheme': scheme, 'rate': rate, 'words': count, 'heard': transcript, 'errors': wrong}
        rows.append(row)
        print(json.dumps(rows[-1]), file=file, flush=True)
  show(rows)


def spoken_at(model, text: str, voice, rate: float, yielding: dict, least: dict) -> np.ndarray:
  """Waveform of a line in the slot that needs a speaking rate."""
  phonemes = phonemize(text)
  plain = synthesize(model, LineInputs(phonemes, voice))
  sounds = sum(int(d) for s, d in zip(plain.phonemes, plain.durations, strict=True) if s not in SILENCES)
  slot = duration.frames_needed(sounds, 0, rate) / duration.FRAME_RATE
  with mock.patch.dict(duration.COMPRESSION, yielding), mock.patch.dict(duration.MIN_FRAMES, least):
    take = synthesize_all(model, LineInputs(phonemes, voice, slot), [Direction()], [0])[0]
  return vocode(model, take).waveform


def show(rows):
  print('| rate | ' + ' | '.join(SCHEMES) + ' |\n|---|' + '---|' * len(SCHEMES))
  for rate in RATES:
    cells = []
    for scheme in SCHEMES:
      found = [row for row in rows if (row['scheme'], row['rate']) == (scheme, rate)]
      error_rate = interval(share, [(row['errors'], row['words']) for row in found], resamples=2000)
      cells.append(error_rate.show('{:.1%}'))
    print(f'| {rate} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
  main()
