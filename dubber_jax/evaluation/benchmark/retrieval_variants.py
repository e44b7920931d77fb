"""Retrieval variants for ablations: `retrieve(library, reading, count, **options) -> Exemplars` each."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.retrieval.library import HALVES, Library
from dubber_jax.retrieval.search import TIE_DECIMALS, unit_rows
from dubber_jax.types import MODALITIES, Exemplars, Reading


def without_modalities(*modalities: str) -> Callable[..., Exemplars]:
  """Nothing is retrieved by these modalities: neither planner nor actor has exemplars of them."""

  def retrieve(library, reading, count, **options):
    found = library.retrieve(reading, count, **options)
    lost = np.array([m in modalities for m in MODALITIES])[:, None]
    clips = {m: () if m in modalities else clips for m, clips in found.clips.items()}
    return dataclasses.replace(
      found, clips=clips, refs_present=found.refs_present & ~lost, sounds_present=found.sounds_present & ~lost
    )

  return retrieve


def without_labels(library: Library, reading: Reading, count: int, **options) -> Exemplars:
  """The usual exemplars, their emotion hidden from the planner. What the graphs get is set in DirectorConfig."""
  return _changed(library.retrieve(reading, count, **options), emotion='')


def without_prosody(library: Library, reading: Reading, count: int, **options) -> Exemplars:
  """The usual exemplars, their prosody hidden from the planner. What the graphs get is set in DirectorConfig."""
  return _changed(library.retrieve(reading, count, **options), prosody={})


def _changed(found, **changes):
  clips = {m: tuple(dataclasses.replace(c, **changes) for c in clips) for m, clips in found.clips.items()}
  return dataclasses.replace(found, clips=clips)


def by_measure(measure: str) -> Callable[..., Exemplars]:
  """Nearest neighbors by 'dot', the inner product of stored embeddings, or 'euclid', their distance, not by cosine."""
  if measure not in ('dot', 'euclid'):
    raise BadInput(f"no measure {measure!r}: give 'dot' or 'euclid'")

  def retrieve(library, reading, count, exclude_key='', **_):
    return _by(
      library,
      reading,
      count,
      lambda q, x: x @ q if measure == 'dot' else -np.linalg.norm(x - q, axis=1),
      library.keys != exclude_key,
    )

  return retrieve


def by_speaker(choose: Callable[[Library], str]) -> Callable[..., Exemplars]:
  """Nearest neighbors among the clips of one speaker, by cosine."""

  def retrieve(library, reading, count, exclude_key='', **_):
    return _by(library, reading, count, None, (library.keys != exclude_key) & (library.speakers == choose(library)))

  return retrieve


def _by(library, reading, count, measure, allowed) -> Exemplars:
  """Nearest neighbors by measure(query (D,), rows (N, D)) -> (N,); None: cosine. The planner's similarity stays the
  cosine."""
  rows, clips = np.full((len(MODALITIES), count), -1), {}
  for i, (m, seen) in enumerate(zip(MODALITIES, reading.present, strict=True)):
    clips[m] = ()
    if not seen:
      continue
    stored, query = np.asarray(library.embeddings[m], np.float32), reading.embedding(m)
    halves = HALVES.get(m, 1)
    cosine = unit_rows(stored, halves) @ unit_rows(query[None], halves)[0]
    score = np.where(allowed & library.present[m], measure(query, stored) if measure else cosine, -np.inf)
    # Ties go to the lower row, as in ExactSearch.
    best = [int(r) for r in np.argsort(-np.round(score, TIE_DECIMALS), kind='stable')[:count] if np.isfinite(score[r])]
    rows[i, : len(best)] = best
    clips[m] = tuple(library.exemplar(r, float(cosine[r])) for r in best)
  refs, sounds, refs_present, sounds_present = library.gather(rows)
  return Exemplars(clips, refs, sounds, refs_present, sounds_present)


def retrieval_overlap(
  library: Library, readings: Sequence[Reading], a: Callable[..., Exemplars], b: Callable[..., Exemplars], count: int
) -> float:
  """Share of the clips retrieved by `a` that `b` retrieves too."""
  shared = total = 0
  for reading in readings:
    first, second = (retrieve(library, reading, count).clips for retrieve in (a, b))
    for m in MODALITIES:
      shared += len({c.key for c in first[m]} & {c.key for c in second[m]})
      total += len(first[m])
  return shared / max(total, 1)
