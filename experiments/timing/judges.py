"""Degraded speech: the judges' and the critic's scores at known amounts of degradation, and their rank correlations.

    python experiments/timing/judges.py -o docs/results    # degraded_speech.md, .json and .png; ten minutes of one core

Held-out recordings in ten conditions from intact to badly damaged, judged by the two predictors of MOS (Distill-MOS,
DNSMOS), by Whisper, by the GE2E judge of speaker similarity, and by the director's critic. A predictor is valid if its
scores fall with each degradation; the critic, if it correlates with judges with which it shares nothing (Spearman's
rank correlation over all sounds, 95 % intervals by bootstrap over recordings).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from tqdm import tqdm

from data_pipelines.audio_damage import add_noise, reverberate, telephone
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, open_judge
from dubber_jax.evaluation.benchmark.speakers import another, neutral, recordings, reference, sound_of, voice
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.evaluation.metrics.egemaps import functionals
from dubber_jax.evaluation.metrics.emotion import beside, load_judge
from dubber_jax.evaluation.metrics.speaker_similarity import speaker_similarity
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model_directory import load
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import resample
from dubber_jax.script.alignment import RATE, align, durations_in_frames
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Take
from dubber_jax.vocoder.griffin_lim import GriffinLim

SPEAKERS = ('kathleen', 'ljspeech', 'teacher_joe', 'ravdess_19', 'ravdess_20', 'ravdess_21', 'ravdess_22')
UNSEEN = ('validation', 'test', 'test_unseen')
CORRELATIONS = (  # of the critic's score with a judge's, and the expected sign
  ('naturalness', 'distillMOS', 1),
  ('naturalness', 'DNSMOS', 1),
  ('intelligibility', 'word error', -1),
  ('critic similarity', 'speaker similarity', 1),
  ('distillMOS', 'DNSMOS', 1),
)

CRITIC = {  # columns of the critic's scores
  'naturalness': 'naturalness',
  'intelligibility': 'intelligibility',
  'critic similarity': 'speaker similarity',
}


def conditions(vocoder):
  """{name: waveform of (wave, its mel)}, by increasing degradation."""
  griffin = GriffinLim()

  def again(wave, mel):
    for _ in range(3):
      mel = mel_numpy(vocoder.vocode(mel))
    return vocoder.vocode(mel)

  return {
    'intact': lambda wave, mel: wave,
    'vocoded': lambda wave, mel: vocoder.vocode(mel),
    'vocoded four times': again,
    'Griffin-Lim': lambda wave, mel: griffin.vocode(mel),
    'blurred by 12 ms': lambda wave, mel: vocoder.vocode(gaussian_filter(mel, (1.0, 0.7))),
    'blurred by 35 ms': lambda wave, mel: vocoder.vocode(gaussian_filter(mel, (3.0, 2.0))),
    'noise at 20 dB SNR': lambda wave, mel: add_noise(wave, 20.0),
    'noise at 10 dB SNR': lambda wave, mel: add_noise(wave, 10.0),
    'reverberation of 0.6 s': lambda wave, mel: reverberate(wave, 0.6)[: len(wave)],
    'telephone band': lambda wave, mel: telephone(wave),
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('-o', '--out', required=True)
  parser.add_argument('--model')
  parser.add_argument('--each', type=int, default=4, help='recordings of a speaker')
  parser.add_argument('--work', default='runs/degraded_speech', help='folder for judgements, reused by the next run')
  given = parser.parse_args()
  out, model = Path(given.out), load(given.model)
  cache, degrade, rows = JsonlCache(Path(given.work) / 'judged.jsonl'), conditions(model.vocoder), []
  chosen = []
  for speaker in SPEAKERS:
    own = [r for r in recordings(speaker) if r.split in UNSEEN and r != reference(speaker)]
    chosen += own[:: max(1, len(own) // given.each)][: given.each]
  for r in tqdm(chosen, desc='recordings', unit='clip'):
    wave = sound_of(r)
    try:
      alignment = align(resample(wave, SAMPLE_RATE, RATE), r.text)
    except BadInput:
      continue
    wave = normalize_loudness(wave, SAMPLE_RATE)
    mel = mel_numpy(wave)
    durations = durations_in_frames(alignment, len(mel))
    other = open_judge('voice')(sound_of(another(r.speaker)), SAMPLE_RATE)
    takes = []
    for name, change in degrade.items():
      sound = normalize_loudness(np.asarray(change(wave, mel), np.float32)[: len(wave)], SAMPLE_RATE)
      for judge in ('mos', 'cleanliness', 'words', 'voice'):
        if not cache.has(judge, f'{r.key} {name}'):
          cache.add(judge, f'{r.key} {name}', open_judge(judge)(sound, SAMPLE_RATE))
      degraded = mel_numpy(np.pad(sound, (0, max(0, len(wave) - len(sound)))))[: len(mel)]
      takes.append(Take(degraded, alignment.phonemes, durations, np.zeros(len(mel)), np.zeros(len(EMOTIONS))))
    for name, critic in zip(degrade, model.critic.score(takes, voice(r.speaker)), strict=True):
      judged = {j: cache.value(j, f'{r.key} {name}') for j in ('mos', 'cleanliness', 'words', 'voice')}
      wrong, count = count_errors(r.text, judged['words'])
      rows.append(
        {
          'recording': r.key,
          'condition': name,
          'distillMOS': judged['mos'],
          'DNSMOS': judged['cleanliness']['overall'],
          'word error': wrong / count,
          'speaker similarity': float(speaker_similarity(np.array(judged['voice']), np.array(other))),
          'naturalness': critic.naturalness,
          'intelligibility': critic.intelligibility,
          'critic similarity': critic.speaker_similarity,
        }
      )
  write(out, rows, list(degrade), emotion_agreement(model))


def emotion_agreement(model, each: int = 12) -> dict[str, float]:
  """Agreement of the critic and the judge of emotion on recordings of RAVDESS 19-22, relative to the voice's neutral
  ones: the accuracy of each, how often they agree, and Cohen's kappa."""
  judge, pairs = load_judge(), []
  actors = [s for s in SPEAKERS if s.startswith('ravdess')]
  for actor in tqdm(actors, desc='emotions', unit='actor'):
    plain = [functionals(normalize_loudness(sound_of(n), SAMPLE_RATE), SAMPLE_RATE) for n in neutral(actor)]
    own = [r for r in recordings(actor) if r.emotion in judge.emotions and r != reference(actor)]
    for r in own[:: max(1, len(own) // each)]:
      wave = normalize_loudness(sound_of(r), SAMPLE_RATE)
      try:
        alignment = align(resample(wave, SAMPLE_RATE, RATE), r.text)
      except BadInput:
        continue
      mel = mel_numpy(wave)
      take = Take(
        mel, alignment.phonemes, durations_in_frames(alignment, len(mel)), np.zeros(len(mel)), np.zeros(len(EMOTIONS))
      )
      probabilities = model.critic.score([take], voice(actor))[0].emotions
      critic = max(judge.emotions, key=lambda e, p=probabilities: p[EMOTIONS.index(e)])
      against = beside(np.array(functionals(wave, SAMPLE_RATE)), np.mean(plain, axis=0))
      judged = judge.emotions[int(np.argmax(judge.with_neutral.logits(against)))]
      pairs.append((critic, judged, r.emotion))
  critic, judged, label = (np.array(x) for x in zip(*pairs, strict=True))
  same = float((critic == judged).mean())
  chance = float(sum((critic == e).mean() * (judged == e).mean() for e in judge.emotions))
  return {
    'clips': len(pairs),
    'critic accuracy': float((critic == label).mean()),
    'judge accuracy': float((judged == label).mean()),
    'agreement': same,
    'kappa': (same - chance) / (1 - chance),
  }


def write(out: Path, rows: list[dict], names: list[str], emotions: dict[str, float]):
  out.mkdir(parents=True, exist_ok=True)
  columns = ('distillMOS', 'DNSMOS', 'word error', 'speaker similarity', *CRITIC)
  summary = {n: {c: interval(np.mean, [r[c] for r in rows if r['condition'] == n]) for c in columns} for n in names}
  lines = ['| condition | ' + ' | '.join(columns[:4] + tuple(f'critic: {title}' for title in CRITIC.values())) + ' |']
  lines.append('|---' * (len(columns) + 1) + '|')
  for name in names:
    cells = (summary[name][c] for c in columns)
    lines.append(f'| {name} | ' + ' | '.join(f'{i.value:.2f} ({i.low:.2f} to {i.high:.2f})' for i in cells) + ' |')
  lines += ['', '| of | with | rank correlation |', '|---|---|---|']
  correlations = {}
  for a, b, sign in CORRELATIONS:
    value, low, high = correlation(rows, a, b, sign)
    correlations[f'{a}, {b}'] = {'value': value, 'low': low, 'high': high}
    who = f'critic: {CRITIC[a]}' if a in CRITIC else a
    lines.append(f'| {who} | {b}{" (negative)" if sign < 0 else ""} | {value:.2f} ({low:.2f} to {high:.2f}) |')
  lines += [
    '',
    'Emotions of recordings of RAVDESS 19-22: '
    + ', '.join(f'{name} {value:.3g}' for name, value in emotions.items())
    + '.',
  ]
  (out / 'degraded_speech.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
  found = {'correlations': correlations, 'emotions': emotions, 'sounds': rows}
  (out / 'degraded_speech.json').write_text(json.dumps(found, indent=1) + '\n')
  draw(out / 'degraded_speech.png', summary, names)
  print('\n'.join(lines))


def correlation(rows, a: str, b: str, sign: int, draws: int = 500) -> tuple[float, float, float]:
  """Spearman's rho over all sounds, times the sign; recordings are resampled with all their conditions (a cluster
  bootstrap, which scipy does not have)."""
  by = {}
  for row in rows:
    by.setdefault(row['recording'], []).append((row[a], sign * row[b]))
  groups, rng = [np.array(v) for v in by.values()], np.random.default_rng(0)

  def value(chosen):
    return float(spearmanr(*np.concatenate(chosen).T).statistic)

  drawn = [value([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(draws)]
  return value(groups), *map(float, np.percentile(drawn, (2.5, 97.5)))


def draw(path, summary, names):
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axis = plt.subplots(figsize=(9, 4.2), layout='constrained')
  at = np.arange(len(names))
  for name, color in (('distillMOS', '#c2410c'), ('DNSMOS', '#0e7490')):
    values = [summary[n][name] for n in names]
    middle = np.array([v.value for v in values])
    spread = [middle - [v.low for v in values], np.array([v.high for v in values]) - middle]
    axis.errorbar(at, middle, np.abs(spread), marker='o', color=color, label=name, capsize=3)
  axis.set_ylabel('predicted MOS')
  natural = axis.twinx()
  natural.plot(
    at, [summary[n]['naturalness'].value for n in names], 's--', color='#4d7c0f', label="critic's naturalness"
  )
  natural.set_ylabel('critic, 0 to 1')
  natural.set_ylim(0, 1.05)
  axis.set_xticks(at, names, rotation=25, ha='right')
  axis.legend(loc='lower left')
  natural.legend(loc='upper right')
  figure.savefig(path, dpi=80)
  plt.close(figure)


if __name__ == '__main__':
  main()
