import sys

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.separation import open_separator
from dubber_jax.separation.demucs import CHUNK, OVERLAP, RATE, DemucsSeparator, of_model


def tone(seconds, channels, hertz=300.0):
  wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
  return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def removed(separator, wave, size=10 * RATE):
  return np.concatenate([*separator.remove_dialogue(wave[i : i + size] for i in range(0, len(wave), size))])


@pytest.mark.parametrize('channels', [1, 2, 6])
@pytest.mark.parametrize('seconds', [0.5, (CHUNK + OVERLAP) / RATE, 22.6])
def test_what_is_no_vocal_stays_in_chunks_too(seconds, channels):
  wave = tone(seconds, channels)
  half = DemucsSeparator(lambda sound: 0.5 * sound, 44100)
  kept = removed(half, wave)
  assert kept.shape == wave.shape
  expected = 0.5 * wave
  if channels == 6:
    expected[:, 3] = wave[:, 3]  # low-frequency effects
  inside = slice(RATE // 10, -RATE // 10)  # resampling rings at the ends
  np.testing.assert_allclose(kept[inside], expected[inside], atol=1e-3)


def test_without_demucs_the_message_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'demucs', None)
  monkeypatch.setitem(sys.modules, 'demucs.pretrained', None)
  with pytest.raises(BadInput, match=r'dubber_jax\[demucs\]'):
    open_separator('demucs')


@pytest.mark.slow
def test_a_random_model_of_its_class():
  pytest.importorskip('demucs', reason="the extra 'demucs' is not installed")
  import torch
  from demucs.htdemucs import HTDemucs

  torch.manual_seed(0)
  small = {'channels': 4, 't_layers': 1, 't_heads': 2, 'segment': 1, 'dconv_mode': 0}
  model = HTDemucs(sources=['other', 'vocals'], **small)
  kept = removed(of_model(model), tone(1.0, 1))
  assert kept.shape == (RATE, 1) and np.isfinite(kept).all()
  with pytest.raises(BadInput, match='separates drums'):
    of_model(HTDemucs(sources=['drums', 'bass'], **small))
