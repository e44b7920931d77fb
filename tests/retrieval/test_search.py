import subprocess
import sys

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.retrieval import search
from dubber_jax.retrieval.search import ExactSearch, ScannSearch, unit_rows


def clustered(rng, rows, width=32, kinds=40):
  centers = rng.standard_normal((kinds, width))
  return unit_rows(centers[rng.integers(kinds, size=rows)] + 0.4 * rng.standard_normal((rows, width)))


def test_text_similarity_is_the_mean_of_both_halves_cosines():
  rng = np.random.default_rng(0)
  a, b = rng.standard_normal((2, 8)) * np.r_[np.full(4, 100.0), np.ones(4)]
  cosine = [h @ k / np.linalg.norm(h) / np.linalg.norm(k) for h, k in ((a[:4], b[:4]), (a[4:], b[4:]))]
  rows = unit_rows(np.stack([a, b]), halves=2)
  assert np.isclose(rows[0] @ rows[1], np.mean(cosine), atol=1e-6)


def test_exact_search_orders_by_cosine_and_leaves_out_what_is_not_allowed():
  rows = clustered(np.random.default_rng(1), 500)
  queries = rows[:20]
  allowed = np.ones((20, 500), bool)
  allowed[np.arange(20), np.arange(20)] = False
  found, score = ExactSearch(rows)(queries, 3, allowed)
  order = np.argsort(-(queries @ rows.T + np.where(allowed, 0, -9)), axis=1)[:, :3]
  assert (found == order).all() and (np.diff(score, axis=1) <= 0).all()


def test_search_says_minus_one_where_too_few_rows_are_allowed():
  rows = clustered(np.random.default_rng(2), 5)
  allowed = np.array([False, True, False, True, False])
  found, _ = ExactSearch(rows)(rows[:1], 3, allowed)
  assert set(found[0, :2]) == {1, 3} and found[0, 2] == -1
  assert (ExactSearch(rows)(rows[:1], 8)[0][0] >= 0).sum() == 5


def test_equal_similarities_go_to_the_lower_row_whatever_the_batch():
  rng = np.random.default_rng(3)
  rows = np.repeat(unit_rows(rng.standard_normal((10, 384))), 30, axis=0)
  queries = unit_rows(rng.standard_normal((64, 384)))
  exact = ExactSearch(rows)
  together, _ = exact(queries, 3)
  alone = np.concatenate([exact(query[None], 3)[0] for query in queries])
  assert (together == alone).all() and (together % 30 == [0, 1, 2]).all()


@pytest.fixture
def scann_on_few_rows(monkeypatch):
  pytest.importorskip('scann')
  monkeypatch.setattr(search, 'SMALL_LIBRARY', 100)
  monkeypatch.setattr(search, 'ROWS_PER_LEAF', 50)


def test_scann_finds_what_exact_search_finds(scann_on_few_rows):
  rng = np.random.default_rng(4)
  made = clustered(rng, 3000)
  rows, queries = made[:2000], made[2000:]
  scann = ScannSearch.build(rows, threads=1)
  assert 0 < scann.leaves_searched <= 40
  truth, truth_score = ExactSearch(rows)(queries, 3)
  for found, score in (scann(queries, 3), scann(queries[:1], 3)):
    hits = [len(set(f) & set(t)) for f, t in zip(found, truth, strict=False)]
    assert np.mean(hits) / 3 >= 0.97
    assert np.mean(np.abs(score[:, 0] - truth_score[: len(score), 0]) < 1e-4) >= 0.99


def test_scann_with_a_filter_returns_only_allowed_rows_and_as_many_as_exact(scann_on_few_rows):
  rng = np.random.default_rng(5)
  rows = clustered(rng, 1000)
  scann = ScannSearch.build(rows, threads=1)
  few = np.zeros(1000, bool)
  few[rng.choice(1000, 2, replace=False)] = True
  most = rng.random((8, 1000)) < 0.9
  for allowed in (np.broadcast_to(few, (8, 1000)), most):
    found, _ = scann(rows[:8], 3, allowed)
    exact, _ = ExactSearch(rows)(rows[:8], 3, allowed)
    assert ((found >= 0) == (exact >= 0)).all()
    assert all(allowed[b, i] for b in range(8) for i in found[b] if i >= 0)


def test_saved_scann_index_answers_the_same_from_another_place(scann_on_few_rows, tmp_path):
  rows = clustered(np.random.default_rng(6), 1000)
  scann = ScannSearch.build(rows, threads=1)
  scann.save(tmp_path / 'a' / 'scann')
  (tmp_path / 'a').rename(tmp_path / 'b')
  again = ScannSearch.load(tmp_path / 'b' / 'scann', rows)
  assert (again(rows[:9], 3)[0] == scann(rows[:9], 3)[0]).all()
  with pytest.raises(BadInput, match='1000 rows, the library 999'):
    ScannSearch.load(tmp_path / 'b' / 'scann', rows[1:])


def test_damaged_scann_index_is_bad_input(scann_on_few_rows, tmp_path):
  rows = clustered(np.random.default_rng(7), 1000)
  ScannSearch.build(rows, threads=1).save(tmp_path / 'scann')
  (tmp_path / 'scann' / 'scann_config.pb').write_bytes(b'nonsense')
  with pytest.raises(BadInput, match='delete it'):
    ScannSearch.load(tmp_path / 'scann', rows)


def test_tensorflow_that_would_crash_scann_is_refused_before_the_import(monkeypatch):
  version = search.metadata.version
  monkeypatch.setattr(search.metadata, 'version', lambda name: '2.21.0' if name == 'tensorflow' else version(name))
  with pytest.raises(BadInput, match='TensorFlow 2.21.0'):
    ScannSearch.build(np.eye(4, dtype=np.float32))


EIGHT_DEVICES = """
import jax, numpy as np
jax.config.update('jax_num_cpu_devices', 8)
from dubber_jax.retrieval.search import DeviceSearch, ExactSearch, unit_rows
rng = np.random.default_rng(5)
rows, queries = unit_rows(rng.standard_normal((1003, 32))), unit_rows(rng.standard_normal((9, 32)))
for allowed in (None, rng.random(1003) < 0.5, rng.random((9, 1003)) < 0.01):
  device, exact = DeviceSearch(rows), ExactSearch(rows)
  assert len(device.rows.sharding.device_set) == 8 and device.rows.addressable_shards[0].data.shape == (126, 32)
  (found, score), (right, right_score) = device(queries, 12, allowed), exact(queries, 12, allowed)
  np.testing.assert_array_equal(found, right)
  np.testing.assert_allclose(score[found >= 0], right_score[found >= 0], atol=1e-6)
half, _ = DeviceSearch(rows, dtype='bfloat16')(queries, 3)
assert (half[:, 0] == exact(queries, 3)[0][:, 0]).mean() > 0.5
few = DeviceSearch(rows[:5])(queries, 8)[0]
assert (np.sort(few[:, :5]) == np.arange(5)).all() and (few[:, 5:] == -1).all()
"""


def test_rows_spread_over_eight_devices_are_searched_as_on_one():
  done = subprocess.run([sys.executable, '-c', EIGHT_DEVICES], capture_output=True, text=True, timeout=600, check=False)
  assert done.returncode == 0, done.stderr[-3000:]
