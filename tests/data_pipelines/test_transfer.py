import numpy as np
import pytest

from data_pipelines.transfer import join, main, split
from dubber_jax.errors import BadInput


@pytest.fixture
def packed(tmp_path):
  folder = tmp_path / 'packed' / 'set-1234'
  folder.mkdir(parents=True)
  rng = np.random.default_rng(0)
  np.save(folder / 'mel.npy', rng.integers(100, 110, (4000, 80)).astype(np.uint8))
  np.save(folder / 'lips.npy', np.cumsum(rng.normal(0, 0.01, (900, 82)), axis=0).astype(np.float16))
  (folder / 'items.jsonl').write_text('{}\n')
  (folder / 'skipped.jsonl').write_text('')
  return folder


def test_joined_parts_are_what_was_split(packed, tmp_path):
  assert main(['split', str(packed), '-o', str(tmp_path / 'parts'), '--largest', '0.05']) == 0
  parts = sorted((tmp_path / 'parts' / packed.name).glob('*.xz'))
  assert len(parts) > 2 and all(p.stat().st_size <= 0.05 * 2**20 for p in parts)
  assert sum(p.stat().st_size for p in parts) < 0.7 * sum(p.stat().st_size for p in packed.iterdir())
  joined = join(tmp_path / 'parts' / packed.name, tmp_path / 'joined')
  for path in packed.iterdir():
    assert (joined / path.name).read_bytes() == path.read_bytes()


def test_missing_and_damaged_parts_are_named(packed, tmp_path):
  parts = split(packed, tmp_path / 'parts', 0.05)
  second = (parts / '001.xz').read_bytes()
  (parts / '001.xz').write_bytes(second[:-1] + b'?')
  with pytest.raises(BadInput, match='001.xz: damaged'):
    join(parts, tmp_path / 'joined')
  (parts / '001.xz').unlink()
  with pytest.raises(BadInput, match='1 of .* missing .001.xz'):
    join(parts, tmp_path / 'joined')
  assert not (tmp_path / 'joined').exists()
  with pytest.raises(BadInput, match='no packed features'):
    split(tmp_path / 'nowhere', tmp_path / 'parts')
