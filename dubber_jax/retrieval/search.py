"""Nearest-neighbor search by cosine: exact (matrix product), approximate (ScaNN), or sharded over accelerators.

All searchers take unit rows and have the same interface.
"""

import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import atomic_folder

SMALL_LIBRARY = 4096  # rows below which ScaNN uses brute force instead of a tree
ROWS_PER_LEAF = 200  # average
TARGET_RECALL = 0.998  # recall@3 for which the number of searched leaves is chosen
RESCORED = 200  # least number of candidates rescored at full precision
DEPTH_FILE = 'depth.txt'  # in the index folder: leaves searched, candidates rescored
TIE_DECIMALS = 5  # similarities that agree to this many decimals are ties, resolved to the lower row


def unit_rows(matrix: np.ndarray, halves: int = 1) -> np.ndarray:
  """Normalizes rows so that the dot product of two rows is their similarity.

  matrix (N, D) -> (N, D) float32. With `halves` 2 both halves of a row have equal norm, and the dot product is the mean
  of the cosines of the halves. Zero rows (or halves) stay zero.
  """
  parts = np.asarray(matrix, np.float32).reshape(len(matrix), halves, -1)
  lengths = np.linalg.norm(parts, axis=-1, keepdims=True)
  parts = parts / np.where(lengths > 0, lengths, 1) / np.float32(np.sqrt(halves))
  return parts.reshape(len(matrix), -1)


class ExactSearch:
  """Exact search: queries (B, D) times rows (N, D)."""

  def __init__(self, rows: np.ndarray):
    self.rows = np.ascontiguousarray(rows, np.float32)

  def __call__(
    self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """The `count` most similar rows of each query.

    queries (B, D) unit rows, allowed (N,) or (B, N) bool (None: all)
    -> indices (B, count) int32, best first, -1 where fewer are allowed, and similarities (B, count).
    """
    similarity_bn = np.asarray(queries, np.float32) @ self.rows.T
    if allowed is not None:
      similarity_bn = np.where(allowed, similarity_bn, -np.inf)
    return _best(similarity_bn, None, count)


class ScannSearch:
  """Approximate search by ScaNN (Guo et al. 2020): tree partitioning, quantized scores, exact rescoring.

  Results are those of ExactSearch up to its recall (figures: docs/results/footage.md). Created by `build` or `load`.
  """

  def __init__(self, searcher: object, rows: np.ndarray, leaves_searched: int = -1, reordered: int = RESCORED):
    self.searcher = searcher
    self.rows = np.asarray(rows, np.float32)
    self.leaves_searched = leaves_searched  # -1: no tree
    self.reordered = reordered

  @classmethod
  def build(cls, rows: np.ndarray, queries: np.ndarray | None = None, threads: int = 0) -> 'ScannSearch':
    """Builds an index with a recall@3 of TARGET_RECALL.

    rows (N, D) unit rows. `queries` (B, D) represent the queries, by default a sample of the rows (each excluding
    itself); the numbers of searched leaves and rescored candidates are tuned on them. `threads` for training; 0: all
    cores. Raises BadInput without scann.
    """
    rows = np.ascontiguousarray(rows, np.float32)
    builder = _scann().builder(rows, 10, 'dot_product').set_n_training_threads(threads)
    if len(rows) < SMALL_LIBRARY:
      return cls(builder.score_brute_force().build(), rows)
    leaves = round(len(rows) / ROWS_PER_LEAF)
    builder = builder.tree(
      num_leaves=leaves,
      num_leaves_to_search=leaves,
      training_sample_size=min(len(rows), 100 * leaves),
      spherical=True,
    )
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(RESCORED)
    index = cls(builder.build(), rows, leaves)
    index._choose_depth(leaves, queries)
    return index

  def _choose_depth(self, leaves, queries, count=3):
    if queries is None:
      own = np.random.default_rng(0).choice(len(self.rows), 256, replace=False)
      queries, others = self.rows[own], np.ones((len(own), len(self.rows)), bool)
      others[np.arange(len(own)), own] = False
    else:
      own, others = np.full(len(queries), -1), None
    _, truth = ExactSearch(self.rows)(queries, count, others)
    opened = np.unique(np.geomspace(max(1, leaves / 64), leaves, 25).round().astype(int))
    depths = [(int(n), RESCORED) for n in opened] + [(leaves, RESCORED * more) for more in (2, 4, 8)]
    for self.leaves_searched, self.reordered in depths:
      found, similarity = self._neighbors(queries, count + 1)
      similarity = -np.sort(-np.where(found == own[:, None], -np.inf, similarity), axis=1)[:, :count]
      # By similarity, not by row: clips with equal captions are interchangeable.
      if np.mean(similarity >= truth - 10.0**-TIE_DECIMALS) >= TARGET_RECALL:
        return

  def save(self, folder: str | os.PathLike) -> None:
    """Writes the index to a folder, atomically."""
    with atomic_folder(folder) as partial:
      # Relative paths allow the folder to be moved.
      self.searcher.serialize(str(partial), relative_path=True)
      (partial / DEPTH_FILE).write_text(f'{self.leaves_searched} {self.reordered}\n')

  @classmethod
  def load(cls, folder: str | os.PathLike, rows: np.ndarray) -> 'ScannSearch':
    """Reads an index. `rows` are those it was built from. Raises BadInput if it cannot be read or is of other rows."""
    scann = _scann()
    try:
      searcher = scann.load_searcher(str(folder))
      size = searcher.size()
      leaves_searched, reordered = map(int, (Path(folder) / DEPTH_FILE).read_text().split())
    except Exception as error:
      reason = str(error).splitlines()[0] if str(error) else type(error).__name__
      raise BadInput(f'broken ScaNN index {folder} ({reason}): delete it and index the library again') from None
    if size != len(rows):
      raise BadInput(f'ScaNN index {folder} has {size} rows, the library {len(rows)}: delete it and index again')
    return cls(searcher, rows, leaves_searched, reordered)

  def __call__(
    self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """As ExactSearch. `allowed` filters a longer list of neighbors; where too few remain, the query is searched
    exactly."""
    queries = np.ascontiguousarray(queries, np.float32)
    total = len(self.rows)
    asked = min(total, count if allowed is None else 16 * count)
    indices, similarity = self._neighbors(queries, asked)
    found = indices < total
    if allowed is not None:
      allowed = np.broadcast_to(allowed, (len(queries), total))
      found &= np.take_along_axis(allowed, np.where(found, indices, 0), axis=1)
    best, score = _best(np.where(found, similarity, -np.inf), indices, count)
    short = np.flatnonzero(found.sum(1) < min(count, total))
    if len(short):
      best[short], score[short] = ExactSearch(self.rows)(
        queries[short], count, None if allowed is None else allowed[short]
      )
    return best, score

  def _neighbors(self, queries, asked):
    """ScaNN search of (B, D), a single query by its faster path. Missing neighbors have index N."""
    depth = (asked, max(asked, self.reordered), self.leaves_searched)
    if len(queries) == 1:
      indices, similarity = self.searcher.search(queries[0], *depth)
      indices, similarity = np.asarray(indices)[None], np.asarray(similarity)[None]
    else:
      indices, similarity = self.searcher.search_batched_parallel(queries, *depth)
    missing = ~np.isfinite(similarity)
    return np.where(missing, len(self.rows), indices).astype(np.int64), np.where(missing, -np.inf, similarity)


class DeviceSearch:
  """Exact search with rows sharded over devices, for libraries larger than a host's memory.

  On TPU the top k of a device are found by `jax.lax.approx_max_k` (arXiv 2206.14286) with a target `recall`; on other
  devices that is exact.
  """

  def __init__(self, rows: np.ndarray, devices: Sequence | None = None, recall: float = 0.99, dtype: str = 'float32'):
    """rows (N, D); of a memory map a host reads only the shards of its devices. `devices`: by default all. `dtype`
    bfloat16 halves the memory and changes a similarity by up to 0.004."""
    import jax
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    self.total, width = rows.shape
    self.mesh = Mesh(np.asarray(jax.devices() if devices is None else devices), ('rows',))
    self.padded = -(-self.total // self.mesh.size) * self.mesh.size
    self.recall = recall

    def part(index):
      held = np.asarray(rows[index[0]], dtype)
      wanted = len(range(*index[0].indices(self.padded)))
      return np.pad(held, ((0, wanted - len(held)), (0, 0)))

    self.rows = jax.make_array_from_callback((self.padded, width), NamedSharding(self.mesh, P('rows')), part)
    self._search = jax.jit(self._compare, static_argnames='count')

  def __call__(
    self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """As ExactSearch. Compiled once for each number of queries and count."""
    batch = len(queries)
    mask = np.ones((1, self.total), bool) if allowed is None else np.atleast_2d(allowed)
    mask = np.pad(mask, ((0, 0), (0, self.padded - self.total)))
    similarity, indices = self._search(self.rows, np.asarray(queries, np.float32), mask, count=min(count, self.total))
    similarity, indices = np.asarray(similarity), np.asarray(indices)
    return _best(similarity.reshape(batch, -1), indices.reshape(batch, -1), count)

  def _compare(self, rows, queries_bd, allowed_bn, count: int):
    """-> similarities and row numbers (B, devices * k): the best of each device."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    def part(rows_nd, queries_bd, allowed_bn):
      similarity = jnp.einsum(
        'bd,nd->bn', queries_bd.astype(rows_nd.dtype), rows_nd, precision='highest', preferred_element_type=jnp.float32
      )
      similarity = jnp.where(allowed_bn, similarity, -jnp.inf)
      best, index = jax.lax.approx_max_k(
        similarity, min(count, len(rows_nd)), recall_target=self.recall, reduction_input_size_override=self.padded
      )
      return best, index + jax.lax.axis_index('rows') * len(rows_nd)

    specs = (P('rows'), P(), P(None, 'rows'))
    return jax.shard_map(part, mesh=self.mesh, in_specs=specs, out_specs=P(None, 'rows'))(rows, queries_bd, allowed_bn)


def _best(similarity_bn, indices_bn, count):
  """Top `count` of each row, with ties resolved by row index: equal captions are common, and the rounding of a matrix
  product depends on its shape."""
  batch, total = similarity_bn.shape
  best = np.full((batch, count), -1, np.int32)
  score = np.full((batch, count), -np.inf, np.float32)
  kept = min(count, total)
  if not kept:
    return best, score
  floor_b = np.partition(similarity_bn, total - kept, axis=1)[:, total - kept]
  for b in range(batch):
    near = np.flatnonzero((similarity_bn[b] >= floor_b[b] - 2 * 10.0**-TIE_DECIMALS) & np.isfinite(similarity_bn[b]))
    index = near if indices_bn is None else indices_bn[b, near]
    order = np.lexsort((index, -np.round(similarity_bn[b, near], TIE_DECIMALS)))[:count]
    best[b, : len(order)] = index[order]
    score[b, : len(order)] = similarity_bn[b, near[order]]
  return best, score


def _scann():
  """Imports scann lazily: it is heavy and has no wheel on some platforms. Raises BadInput without it, and with
  TensorFlow 2.21 or later installed, which makes the process crash."""
  try:
    version = metadata.version('tensorflow')
  except metadata.PackageNotFoundError:
    version = ''
  if version and tuple(int(part) for part in version.split('.')[:2]) >= (2, 21):
    raise BadInput(f'scann crashes beside TensorFlow {version}: uninstall TensorFlow or use exact search')
  try:
    from scann.scann_ops.py import scann_ops_pybind
  except ImportError as error:
    raise BadInput(f'scann cannot be used here ({error}): pip install scann, or use exact search') from None
  return scann_ops_pybind
