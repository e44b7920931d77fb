"""Recall@3 and speed of ScaNN against exact search on a library of 100,000 x 1024.

    python experiments/timing/retrieval.py                 # about 4 min on 2 CPU cores, 2 GB of memory
    python experiments/timing/retrieval.py --rows 20000    # quicker

Embeddings are synthetic, of two kinds. *Footage*: 2,000 clusters in a subspace of 64 dimensions, each clip a variation
of its cluster, queries new clips of the same clusters: the index's intended use. *Noise*: directions without structure,
the worst case of any index.
Expect recall@3 of at least 0.99 on footage. Measured figures: docs/results/footage.md.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from dubber_jax.retrieval.search import ROWS_PER_LEAF, ExactSearch, ScannSearch, unit_rows


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--rows', type=int, default=100_000)
  parser.add_argument('--width', type=int, default=1024)
  parser.add_argument('--queries', type=int, default=1000)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--json', type=Path, help='write the figures here too')
  options = parser.parse_args()

  results = {}
  for name, make in {'footage': footage, 'noise': noise}.items():
    rows, queries = make(np.random.default_rng(options.seed), options.rows, options.queries, options.width)
    results[name] = measure(rows, queries)
    for figure, value in results[name].items():
      print(f'{name:8} {figure:32} {value:12.4g}', flush=True)
  if options.json:
    options.json.write_text(json.dumps(results, indent=2) + '\n')


def footage(rng, rows, queries, width, clusters=2000, dimensions=64):
  basis = rng.standard_normal((dimensions, width)).astype(np.float32) / np.sqrt(width)
  scenes = rng.standard_normal((clusters, dimensions)).astype(np.float32)
  cluster = rng.integers(clusters, size=rows + queries)
  clips = scenes[cluster] + 0.5 * rng.standard_normal((rows + queries, dimensions)).astype(np.float32)
  made = clips @ basis
  made += 0.02 * rng.standard_normal(made.shape).astype(np.float32)
  made = unit_rows(made)
  return made[:rows], made[rows:]


def noise(rng, rows, queries, width):
  made = unit_rows(rng.standard_normal((rows + queries, width)).astype(np.float32))
  return made[:rows], made[rows:]


def measure(rows, queries) -> dict[str, float]:
  exact = ExactSearch(rows)
  build_start = time.perf_counter()
  scann = ScannSearch.build(rows)
  build_seconds = time.perf_counter() - build_start
  with tempfile.TemporaryDirectory() as folder:
    scann.save(Path(folder) / 'scann')
    megabytes = sum(f.stat().st_size for f in Path(folder).rglob('*')) / 1e6
    load_start = time.perf_counter()
    scann = ScannSearch.load(Path(folder) / 'scann', rows)
    load_seconds = time.perf_counter() - load_start

    truth, _ = exact(queries, 3)
    found, _ = scann(queries, 3)
    return {
      'recall@3': float(np.mean([len(set(t) & set(f)) / 3 for t, f in zip(truth, found, strict=True)])),
      'exact queries/s, one by one': one_by_one(exact, queries[:100]),
      'exact queries/s, in batches': in_batches(exact, queries),
      'scann queries/s, one by one': one_by_one(scann, queries),
      'scann queries/s, in batches': in_batches(scann, queries),
      'scann share of rows compared': scann.leaves_searched / round(len(rows) / ROWS_PER_LEAF),
      'scann build s': build_seconds,
      'scann load s': load_seconds,
      'scann index MB': megabytes,
    }


def one_by_one(search, queries) -> float:
  search(queries[:1], 3)
  start = time.perf_counter()
  for query in queries:
    search(query[None], 3)
  return len(queries) / (time.perf_counter() - start)


def in_batches(search, queries, size=250) -> float:
  search(queries[:size], 3)
  start = time.perf_counter()
  for first in range(0, len(queries), size):
    search(queries[first : first + size], 3)
  return len(queries) / (time.perf_counter() - start)


if __name__ == '__main__':
  main()
