"""Validity of the judges on real speech of unseen people: as it is, through the vocoder, and with wrong labels.

    python experiments/timing/validity.py -o docs/results              # validity.md, validity.json; 8 min of one core
    python experiments/timing/validity.py -o docs/results --each 2     # to try it out

Words (Whisper base): error against the clip's text, and against another clip's. Voice (GE2E): area under the ROC curve
by which pairs of recordings of one speaker are distinguished from pairs of two, and the same with shuffled speakers.
Naturalness (Distill-MOS, DNSMOS): means and their rank correlation. Emotion and lip sync are validated by the recipes
of their judges; docs/results/judges.md has all of it. 95 % intervals by bootstrap over clips.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from dubber_jax.evaluation.benchmark.judgements import JsonlCache, open_judge
from dubber_jax.evaluation.benchmark.speakers import recordings, sound_of
from dubber_jax.evaluation.benchmark.stimuli import spread
from dubber_jax.evaluation.benchmark.tables import More, write_rows
from dubber_jax.evaluation.bootstrap import Interval, interval, share
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model_directory import load
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.mel import mel_numpy
from dubber_jax.types import SAMPLE_RATE

SPEAKERS = ('ravdess_19', 'ravdess_20', 'ravdess_21', 'ravdess_22', 'cremad_1001', 'cremad_1002', 'p225', 'p226',
            'p227', 'p228', 's4')  # fmt: skip
JUDGES = ('words', 'mos', 'cleanliness', 'voice')
DRAWS = 500


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('-o', '--out', required=True)
  parser.add_argument('--model')
  parser.add_argument('--each', type=int, default=6, help='recordings of a speaker')
  parser.add_argument('--work', default='runs/validity', help='folder for judgements, reused by the next run')
  given = parser.parse_args()
  vocoder, cache = load(given.model).vocoder, JsonlCache(Path(given.work) / 'judged.jsonl')
  chosen = [r for speaker in SPEAKERS for r in spread(recordings(speaker), given.each)]
  judgements = {'recordings': [], 'through the vocoder': []}
  for recording in tqdm(chosen, unit='clip'):
    wave = normalize_loudness(sound_of(recording), SAMPLE_RATE)
    vocoded = normalize_loudness(np.asarray(vocoder.vocode(mel_numpy(wave))), SAMPLE_RATE)
    for name, sound in zip(judgements, (wave, vocoded), strict=True):
      for judge in JUDGES:
        if not cache.has(judge, f'{recording.key} {name}'):
          cache.add(judge, f'{recording.key} {name}', open_judge(judge)(sound, SAMPLE_RATE))
      judgements[name].append({judge: cache.value(judge, f'{recording.key} {name}') for judge in JUDGES})
  tables = {
    'Words': words(chosen, judgements),
    'Voice': voices([r.speaker for r in chosen], judgements),
    'Naturalness': naturalness(judgements),
  }
  facts = {'speakers': f'{", ".join(SPEAKERS)}; {len(chosen)} clips', 'vocoder': 'the shipped one'}
  write_rows(given.out, 'validity', 'Judges on real speech', [], facts, More(tables))
  print((Path(given.out) / 'validity.md').read_text(encoding='utf-8'))


def words(chosen, judgements) -> list[dict]:
  """Word and character error of clips with a text: RAVDESS's two sentences, CREMA-D's one, GRID's."""
  rows = []
  for name, judged in judgements.items():
    known = [i for i, r in enumerate(chosen) if r.text]
    for kind in ('', ', against another sentence'):
      texts = [chosen[i].text for i in known]
      if kind:
        texts = [next(t for t in texts[k + 1 :] + texts if t.lower() != own.lower()) for k, own in enumerate(texts)]
      row = {'name': name + kind}
      for figure, characters in (('word_error', False), ('character_error', True)):
        counts = np.array(
          [count_errors(t, judged[i]['words'], characters) for i, t in zip(known, texts, strict=True)], float
        )
        row[figure] = interval(share, counts)
      rows.append(row)
    for group in sorted({chosen[i].set for i in known}):
      own = [i for i in known if chosen[i].set == group]
      counts = np.array([count_errors(chosen[i].text, judged[i]['words']) for i in own], float)
      rows.append({'name': f'{name}, {group} ({len(own)} clips)', 'word_error': interval(share, counts)})
  return rows


def voices(speakers: list[str], judgements) -> list[dict]:
  speakers, rows = np.array(speakers), []
  rng = np.random.default_rng(0)
  for name, judged in judgements.items():
    vectors = np.array([h['voice'] for h in judged])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    for kind, who in (('', speakers), (', speakers shuffled', rng.permutation(speakers))):
      rows.append({'name': name + kind, 'area_under_the_curve': over_clips(cosines, who)})
      if not kind:
        same, other = parts(cosines, who)
        rows[-1] |= {'cosine_of_one_speaker': float(same.mean()), 'cosine_of_two': float(other.mean())}
  return rows


def parts(cosines, who) -> tuple[np.ndarray, np.ndarray]:
  """Cosines of pairs of recordings of one speaker, and of two; no clip with itself."""
  same = who[:, None] == who
  return cosines[same & ~np.eye(len(who), dtype=bool) & (cosines < 1 - 1e-9)], cosines[~same]


def over_clips(cosines, who) -> Interval:
  def area(chosen):
    chosen = chosen.astype(int)
    same, other = parts(cosines[np.ix_(chosen, chosen)], who[chosen])
    return roc_auc_score(np.repeat([1, 0], [len(same), len(other)]), np.concatenate([same, other]))

  return interval(area, np.arange(len(who)), resamples=DRAWS)


def naturalness(judgements) -> list[dict]:
  rows = []
  for name, judged in judgements.items():
    pair = np.array([(h['mos'], h['cleanliness']['overall']) for h in judged])
    rows.append(
      {
        'name': name,
        'distillMOS': interval(np.mean, pair[:, 0]),
        'DNSMOS': interval(np.mean, pair[:, 1]),
        'rank_correlation_of_both': interval(rank_correlation, pair, resamples=DRAWS),
      }
    )
  return rows


def rank_correlation(pairs: np.ndarray) -> float:
  return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)


if __name__ == '__main__':
  main()
