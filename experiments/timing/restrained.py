"""Example of direction by notes: restrained sadness in three rounds, with measurements of each.

    python experiments/timing/restrained.py -o docs/results/restrained  # 1 min: index.html, rounds.png, rounds.md

A line whose text is happy and whose face is sad is synthesized as the director plans it; then two notes are given, in
English and in Chinese, each applied to the direction of the round before. The requested changes and measurements of
each round's take are listed side by side.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.director.notes.apply import parse
from dubber_jax.director.notes.describe import describe_change
from dubber_jax.dubbing.inputs import shipped_library
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineOptions, LineTask
from dubber_jax.evaluation.benchmark.examples import Example, write_page
from dubber_jax.evaluation.metrics.egemaps import functional_names, functionals
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import EMOTIONS, HOP, SAMPLE_RATE, Clip, Line

TEXT = 'I am so happy for you, I really am, and I hope that you will write to me.'
SCENE, SECONDS = 'sad', 7.0
NOTES = (
  '',
  'held-back sadness here: slow down, keep the tone tight',
  '声音略带颤抖，音量压低，换气处稍停',  # the voice trembles slightly, lower, a small pause where one breathes
)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('-o', '--out', required=True)
  parser.add_argument('--model')
  parser.add_argument('--voice', default='kathleen')
  given = parser.parse_args()
  out = Path(given.out)
  out.mkdir(parents=True, exist_ok=True)
  model = load(given.model)
  voice, library, words = model.voices[given.voice], shipped_library(model), phonemize(TEXT)
  clip = Clip(draw_cartoon(SCENE, TEXT, SECONDS, 256), SECONDS)
  rounds, direction = [], None
  for number, note in enumerate(NOTES):
    asked = {}
    if note:
      wanted = parse(note, direction, words).direction
      asked['planner'] = lambda *_, wanted=wanted: (wanted, ())
    done = dub_line(model, library, LineTask(Line(TEXT), voice, clip, SECONDS), LineOptions(rounds=1), **asked)
    change = describe_change(direction, done.direction, words.words)[0] if note else done.direction.note
    direction = done.direction
    rounds.append({'round': number + 1, 'note': note or '(the plan)', 'asked': change, **measured(done)})
    rounds[-1] |= {'critic': done.result.rounds[-1].best_score, 'take': done.take}
    rounds[-1]['mixed'] = done.result.reading.mixed
  takes = [r.pop('take') for r in rounds]
  draw(out / 'rounds.png', rounds, takes)
  groups = [Example(f'round {r["round"]}: {r["note"]}', t.waveform) for r, t in zip(rounds, takes, strict=True)]
  lines = [(r['asked'], [example]) for r, example in zip(rounds, groups, strict=True)]
  write_page(out / 'index.html', 'Restrained sadness', {TEXT: lines}, embedded=True)
  (out / 'rounds.json').write_text(json.dumps(rounds, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
  names = [n for n in rounds[0] if n not in ('round', 'mixed')]
  rows = ['| | ' + ' | '.join(f'round {r["round"]}' for r in rounds) + ' |', '|---' * (len(rounds) + 1) + '|']
  for name in names:
    cells = (f'{r[name]:.2f}' if isinstance(r[name], float) else str(r[name]) for r in rounds)
    rows.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  (out / 'rounds.md').write_text('\n'.join(rows) + '\n', encoding='utf-8')
  print('\n'.join(rows))


def measured(done) -> dict[str, float]:
  """Measurements of the waveform and of the take's durations."""
  take = done.take
  start, end = (round(t * SAMPLE_RATE) for t in speech_span(take))
  wave = take.waveform[start:end]
  pitch = track_pitch(wave, SAMPLE_RATE)
  low, middle, high = np.percentile(12 * np.log2(pitch[pitch > 0] / 55), (10, 50, 90))
  steps = 12 * np.abs(np.diff(np.log2(np.maximum(pitch, 1))))[(pitch[1:] > 0) & (pitch[:-1] > 0)]
  silent = [d for s, d in zip(take.phonemes[1:-1], take.durations[1:-1], strict=True) if s in SILENCES]
  spoken = sum(d for s, d in zip(take.phonemes, take.durations, strict=True) if s not in SILENCES)
  count = sum(s not in SILENCES for s in take.phonemes)
  by_name = dict(zip(functional_names(), functionals(wave, SAMPLE_RATE), strict=True))
  harmonics = by_name['harmonicity middle']
  emotion = np.array(done.direction.emotion)
  return {
    'emotion asked': ', '.join(f'{EMOTIONS[i]} {emotion[i]:.2f}' for i in np.argsort(-emotion)[:2]),
    'intensity asked': float(done.direction.intensity),
    'phonemes a second': float(count / (spoken * HOP / SAMPLE_RATE)),
    'pitch, semitones above 55 Hz': float(middle),
    'pitch range, semitones': float(high - low),
    'F0 change, semitones a frame': float(np.mean(steps)),
    'level while speaking, dB': float(10 * np.log10(np.mean(np.square(wave[np.abs(wave) > 1e-4])))),
    'longest pause, s': float(max(silent, default=0) * HOP / SAMPLE_RATE),
    'harmonicity, dB': float(harmonics),
  }


def draw(path, rounds, takes):
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(len(takes), 1, figsize=(11, 2.6 * len(takes)), sharex=True, layout='constrained')
  for axis, r, take in zip(axes, rounds, takes, strict=True):
    axis.imshow(take.mel.T, origin='lower', aspect='auto', cmap='magma', vmin=LOG_FLOOR, vmax=1)
    pitch = np.where(take.pitch > 0, take.pitch, np.nan)
    over = axis.twinx()
    over.plot(pitch, color='#7fd4ff', linewidth=1.5)
    over.set_ylim(60, 420)
    over.set_ylabel('pitch, Hz')
    axis.set_ylabel('mel band')
    axis.set_title(f'round {r["round"]}: {r["asked"]}', fontsize=9, loc='left')
  axes[-1].set_xlabel('mel frame (11.6 ms)')
  figure.savefig(path, dpi=60)
  plt.close(figure)


if __name__ == '__main__':
  main()
