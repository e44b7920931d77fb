"""Control accuracy of the actor: each control over its range, measured on the sound, with word error at both ends.

    python experiments/timing/controls.py     # writes docs/results/controls.md and .png; some minutes on two cores

Everyday lines in the shipped voices, without a slot, as `dubber speak` writes them but for the final level. All values
are relative to the same line in the same voice with a neutral direction: F0 by SwiftF0 (median and 10th to 90th
percentile), pace by the phonemes' durations, level by the power of the speech span, breathiness by the
harmonics-to-noise ratio, tremor by the F0 change from frame to frame.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from dubber_jax.evaluation.benchmark.judgements import open_judge
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.evaluation.metrics.egemaps import functional_names, functionals
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.inference.synthesis import LineInputs, synthesize_all, vocode
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.symbols import SILENCES
from dubber_jax.storage.cache import cache_folder
from dubber_jax.types import HOP, MODALITIES, SAMPLE_RATE, Direction, Reading

LINES = Path(__file__).parents[1] / 'data' / 'everyday.txt'
RANGES = {
  'pitch_shift': (-4.0, -2.0, 2.0, 4.0, 6.0),
  'pitch_range': (0.6, 0.8, 1.3, 1.6),
  'pace': (0.75, 0.85, 1.15, 1.35),
  'loudness': (-10.0, -6.0, 4.0, 8.0),
  'pause': (0.15, 0.3, 0.6, 1.0),
  'breathiness': (0.25, 0.5, 0.75, 1.0),
  'tremor': (0.25, 0.5, 0.75, 1.0),
}
UNITS = {
  'pitch_shift': 'semitones',
  'pitch_range': 'ratio',
  'pace': 'ratio',
  'loudness': 'dB',
  'pause': 's',
  'breathiness': 'dB of harmonics to noise',
  'tremor': 'F0 change a frame, ratio',
}
PLAIN = {'pitch_range': 1.0, 'pace': 1.0}
OTHER_UNIT = ('breathiness', 'tremor')  # measured in another unit than they are set in


def direction_with(control: str, value: float, phonemes) -> Direction:
  if control == 'pause':
    return Direction(pauses=((len(phonemes.words) // 2 - 1, value),))
  return Direction(**{control: value})


def measure(take, level: float = 0.0) -> dict[str, float]:
  """Measurements of all controls on a take with its waveform. level: gain in dB that is applied later."""
  start, end = (round(t * SAMPLE_RATE) for t in speech_span(take))
  wave = take.waveform[start:end]
  pitch = track_pitch(wave, SAMPLE_RATE)
  voiced = 12 * np.log2(pitch[pitch > 0])
  steps = 12 * np.abs(np.diff(np.log2(np.maximum(pitch, 1.0))))[(pitch[1:] > 0) & (pitch[:-1] > 0)]
  spoken = np.array([s not in SILENCES for s in take.phonemes])
  inner = [d for s, d in zip(take.phonemes[1:-1], take.durations[1:-1], strict=True) if s in SILENCES]
  values = dict(zip(functional_names(), functionals(wave, SAMPLE_RATE), strict=True))
  return {
    'pitch_shift': float(np.median(voiced)),
    'pitch_range': float(np.subtract(*np.percentile(voiced, (90, 10)))),
    'pace': float(spoken.sum() / take.durations[spoken].sum()),
    'loudness': float(10 * np.log10(np.mean(np.square(wave)))) + level,
    'pause': float(sum(inner) * HOP / SAMPLE_RATE),
    'breathiness': float(values[HARMONICITY]),
    'tremor': float(np.median(steps[steps < 2.0])),
  }


HARMONICITY = next(n for n in functional_names() if 'harmonicity' in n)


def response(control: str, value: dict, plain: dict) -> float:
  """Difference of a take from the neutral one, or their ratio, in the measure of the control."""
  if control in ('pitch_range', 'pace', 'tremor'):
    return value[control] / plain[control]
  return value[control] - plain[control]


def run(model, lines, voices) -> list[dict]:
  """{(control, value): measurements}: of the control, and of all others."""
  transcribe = open_judge('words')
  blank = Reading(
    *(np.zeros(getattr(model.config.task.features, f'{m}_width'), np.float32) for m in MODALITIES), np.zeros(3, bool)
  )
  rows = {}
  for voice in tqdm(voices, desc='voices'):
    for text in tqdm(lines, desc=voice, leave=False):
      phonemes = phonemize(text)
      part = LineInputs(phonemes, model.voices[voice], None, blank)
      for control, values in {'plain': (0.0,), **RANGES}.items():
        directions = [direction_with(control, v, phonemes) if control != 'plain' else Direction() for v in values]
        ends = (0, len(values) - 1)
        for place, (value, direction) in enumerate(zip(values, directions, strict=True)):
          take = vocode(model, synthesize_all(model, part, [direction], [0])[0], 0, direction)
          found = measure(take, 0.5 * direction.loudness)
          if control == 'plain':
            plain = found
          row = rows.setdefault((control, value), {'measured': [], 'others': [], 'errors': [], 'words': []})
          row['measured'].append(found if control == 'plain' else response(control, found, plain))
          row['others'].append({c: response(c, found, plain) for c in RANGES if c not in (control, *OTHER_UNIT)})
          if control == 'plain' or place in ends:
            wrong, count = count_errors(text, transcribe(take.waveform, SAMPLE_RATE))
            row['errors'].append(wrong)
            row['words'].append(count)
  return rows


def report(rows, out: Path, count: int):
  plain = rows.pop(('plain', 0.0))
  base = sum(plain['errors']) / sum(plain['words'])
  lines = [
    '# Control accuracy',
    '',
    f'{count} takes a row; medians of the controlled measure, with 95 % intervals, and of the other measures. '
    f'Word error of the neutral takes: {base:.1%}. `python experiments/timing/controls.py` writes this page.',
    '',
    '| control | set | measured | unit | pitch | range | pace | level | word error |',
    '|---|---|---|---|---|---|---|---|---|',
  ]
  for (control, value), row in rows.items():
    moved = {c: np.median([o[c] for o in row['others'] if c in o]) if c != control else None for c in UNITS}
    cells = [
      f'{moved[c]:.2f}' if moved.get(c) is not None and c in row['others'][0] else ''
      for c in ('pitch_shift', 'pitch_range', 'pace', 'loudness')
    ]
    words = f'{sum(row["errors"]) / sum(row["words"]):.1%}' if row['words'] else ''
    measured = interval(np.median, np.array(row['measured']))
    lines.append(f'| {control} | {value:g} | {measured.show()} | {UNITS[control]} | {" | ".join(cells)} | {words} |')
  (out / 'controls.md').write_text('\n'.join([*lines, '', '![response curves](controls.png)', '']))
  draw(rows, out / 'controls.png')
  print('\n'.join(lines))


def draw(rows, path: Path):
  from matplotlib.figure import Figure

  figure = Figure(figsize=(12, 5.4), layout='constrained')
  axes = figure.subplots(2, 4).ravel()
  for axis, (control, values) in zip(axes, RANGES.items(), strict=False):
    points = sorted(
      [(PLAIN.get(control, 0.0), 1.0 if control in ('pitch_range', 'pace', 'tremor') else 0.0, 0, 0)]
      + [
        (v, m, m - low, high - m)
        for v in values
        for m, low, high in [np.percentile(rows[control, v]['measured'], (50, 10, 90))]
      ]
    )
    x, y, below, above = zip(*points, strict=True)
    axis.errorbar(x, y, (below, above), marker='o', capsize=3, color='#1f6f8b')
    if control not in OTHER_UNIT:
      axis.plot(x, x, '--', color='#999999', lw=1, label='set')
      axis.legend(frameon=False)
    axis.set(title=control.replace('_', ' '), xlabel='set', ylabel=UNITS[control])
  axes[-1].axis('off')
  figure.suptitle('Measured against set value: median, 10th to 90th percentile', fontsize=11)
  figure.savefig(path, dpi=90)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', help='model directory (default: the shipped one)')
  parser.add_argument('--lines', type=int, default=20)
  parser.add_argument('-o', '--out', type=Path, default=Path('docs/results'))
  given = parser.parse_args()
  jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'xla'))
  model = load(given.model)
  lines = [line for line in LINES.read_text().splitlines() if line.strip()][: given.lines]
  rows = run(model, lines, sorted(model.voices))
  report(rows, given.out, len(lines) * len(model.voices))


if __name__ == '__main__':
  main()
