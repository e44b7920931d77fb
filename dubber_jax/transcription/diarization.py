"""Speaker diarization: speaker embeddings of utterances, clustered bottom-up by average linkage.

Utterances of less than RELIABLE s are not clustered, since their embeddings say more of their words than of their
speaker; they go to the nearest cluster.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dubber_jax.transcription.utterances import Utterance

RELIABLE = 1.2  # s
APART = 0.40  # cosine distance (1 - cosine) of two clusters, on average, above which they are two speakers
LEAST_SPEECH = 2.0  # s: a cluster of less joins the nearest


def cluster_speakers(utterances: Sequence[Utterance], speakers: int = 0) -> np.ndarray:
  """The cluster of each utterance, (U,) int from 0 in the order of their first words; -1 where nothing is known.

  speakers: how many there are; 0: as many as are APART.
  """
  vectors = np.stack([utterance.embedding for utterance in utterances]) if utterances else np.zeros((0, 256))
  seconds = np.array([utterance.seconds for utterance in utterances])
  known = np.linalg.norm(vectors, axis=1) > 0 if len(vectors) else np.zeros(0, bool)
  used = known & (seconds >= RELIABLE)
  if used.sum() < max(1, speakers):
    used = known
  labels = np.full(len(utterances), -1)
  if not used.any():
    return labels
  labels[used] = _linked(vectors[used], speakers)
  if not speakers:
    labels[used] = _without_small(vectors[used], seconds[used], labels[used])
  centers = {label: _center(vectors[labels == label], seconds[labels == label]) for label in set(labels[used])}
  for i in np.flatnonzero(known & ~used):
    labels[i] = max(centers, key=lambda label: float(centers[label] @ vectors[i]))
  return _renumbered(labels)


def name_clusters(utterances: Sequence[Utterance], labels: np.ndarray) -> list[str]:
  """A name for each utterance: its own where a subtitle gives one, else the one that most of its cluster has, else
  "Speaker 1" and so on in the order of first words."""
  told = [Counter() for _ in range(max(labels, default=-1) + 1)]
  for utterance, label in zip(utterances, labels, strict=True):
    if utterance.speaker and label >= 0:
      told[label][utterance.speaker] += utterance.seconds
  taken = {utterance.speaker for utterance in utterances}
  names, number = {}, 0
  for label, counter in enumerate(told):
    if counter:
      names[label] = counter.most_common(1)[0][0]
      continue
    number += 1
    while f'Speaker {number}' in taken:
      number += 1
    names[label] = f'Speaker {number}'
  named = [u.speaker or names.get(int(label), '') for u, label in zip(utterances, labels, strict=True)]
  # What cannot be told from its sound is taken for the neighbor's.
  for i, name in enumerate(named):
    if not name:
      near = sorted(range(len(named)), key=lambda j: abs(utterances[j].start - utterances[i].start))
      named[i] = next((named[j] for j in near if named[j]), 'Speaker 1')
  return named


def _linked(vectors: np.ndarray, speakers: int) -> np.ndarray:
  from scipy.cluster.hierarchy import fcluster, linkage

  if len(vectors) < 2:
    return np.zeros(len(vectors), int)
  tree = linkage(vectors, method='average', metric='cosine')
  if speakers:
    return fcluster(tree, speakers, criterion='maxclust') - 1
  return fcluster(tree, APART, criterion='distance') - 1


def _without_small(vectors: np.ndarray, seconds: np.ndarray, labels: np.ndarray) -> np.ndarray:
  labels = labels.copy()
  while len(set(labels)) > 1:
    lengths = {label: float(seconds[labels == label].sum()) for label in set(labels)}
    least = min(lengths, key=lambda label: lengths[label])
    if lengths[least] >= LEAST_SPEECH:
      break
    center = _center(vectors[labels == least], seconds[labels == least])
    others = [label for label in lengths if label != least]
    labels[labels == least] = max(
      others, key=lambda label: float(_center(vectors[labels == label], seconds[labels == label]) @ center)
    )
  return labels


def _center(vectors: np.ndarray, seconds: np.ndarray) -> np.ndarray:
  mean = (vectors * seconds[:, None]).sum(0)
  return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _renumbered(labels: np.ndarray) -> np.ndarray:
  order = list(dict.fromkeys(int(label) for label in labels if label >= 0))
  return np.array([order.index(label) if label >= 0 else -1 for label in labels], int)
