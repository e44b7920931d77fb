import dataclasses

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.types import Voice


def voice(seed, **changes):
  rng = np.random.default_rng(seed)
  embedding, mel = rng.normal(size=256).astype(np.float32), rng.normal(-5, 2, (30 + seed, 80)).astype(np.float32)
  return dataclasses.replace(Voice(embedding, mel), **changes)


def test_voices_come_back_by_name_with_their_adaptation(tmp_path):
  offsets = {
    'decoder/layer/gain_shift/bias': np.arange(4.0, dtype=np.float32),
    'prosody/out/bias': np.ones(2, np.float32),
  }
  voices = {'ada': voice(0), 'fits/ben': voice(1, fit=offsets, fit_of='0123456789abcdef')}
  write_voices(voices, tmp_path / 'voices.safetensors')
  found = read_voices(tmp_path / 'voices.safetensors')
  assert list(found) == ['ada', 'fits/ben'] and [v.name for v in found.values()] == list(found)
  for name, kept in voices.items():
    np.testing.assert_array_equal(found[name].embedding, kept.embedding)
    np.testing.assert_array_equal(found[name].reference_mel, kept.reference_mel)
    assert found[name].fit_of == kept.fit_of and set(found[name].fit) == set(kept.fit)
  for parameter, value in offsets.items():
    np.testing.assert_array_equal(found['fits/ben'].fit[parameter], value)


def test_reference_mel_in_half_precision_is_read_as_single(tmp_path):
  write_voices({'ada': voice(2)}, tmp_path / 'voices.safetensors', np.float16)
  found = read_voices(tmp_path / 'voices.safetensors')['ada']
  assert found.reference_mel.dtype == np.float32
  np.testing.assert_allclose(found.reference_mel, voice(2).reference_mel, atol=6e-3)


def test_damaged_file_is_refused(tmp_path):
  (tmp_path / 'voices.safetensors').write_bytes(b'no')
  with pytest.raises(BadInput, match='voices.safetensors'):
    read_voices(tmp_path / 'voices.safetensors')
