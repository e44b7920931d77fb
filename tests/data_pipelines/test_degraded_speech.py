import numpy as np
import pytest

from data_pipelines import degraded_speech
from dubber_jax.data.packed import PackedSet, quantize, write_packed


@pytest.fixture
def folder(tmp_path):
  """Ten recordings with a text, ten without, one of the judges' and one whose F0 was changed; with the actor's mels."""
  rng, items = np.random.default_rng(0), []
  for i in range(22):
    spoken = i < 10 or i >= 20
    features = {
      'mel': quantize(rng.normal(-5, 2, (30, 80))),
      'pitch': np.full(30, 120.0),
      'phonemes': [20] * spoken,
      'durations': [30] * spoken,
      'lips': np.zeros((0, 82)),
      'lip_present': np.zeros(0, bool),
      'speaker': np.ones(256),
    }
    row = {
      'key': f'a/b/{i}',
      'set': 'a',
      'speaker': 'b',
      'text': '',
      'emotion': 'neutral',
      'split': 'test' if i == 20 else 'train',
      'edit': {'shift': 1.0} if i == 21 else None,
    }
    items.append((row, features))
  write_packed(tmp_path / 'set', items)
  np.save(tmp_path / 'set' / 'gta.npy', np.full_like(np.load(tmp_path / 'set' / 'mel.npy'), 100))
  return tmp_path / 'set'


def test_recordings_are_degraded_by_what_their_quality_says_and_without_text_not_toward_the_actor(folder, monkeypatch):
  monkeypatch.setattr(degraded_speech, 'KINDS', ('smeared', 'gta', 'noisy'))
  packed = PackedSet(folder)
  found = list(degraded_speech.degrade_set(folder, model=None, count=100))
  number = [int(row['key'].split('/')[-1].split('~')[0]) for row, _ in found]
  assert number == list(range(20))
  kinds = [row['degradation'] for row, _ in found]
  assert 'gta' in kinds[:10] and 'gta' not in kinds[10:]
  for i, (row, features) in zip(number, found, strict=True):
    assert 0 <= row['quality'] <= 1 and features['mel'].shape == (30, 80) and features['mel'].dtype == np.uint8
    if row['degradation'] == 'gta':
      share = (1 - row['quality']) / degraded_speech.MAX_QUALITY_LOSS['gta']
      recorded = packed.arrays['mel'][30 * i : 30 * i + 30].astype(float)
      np.testing.assert_allclose(features['mel'], recorded + share * (100 - recorded), atol=1.1)
