from pathlib import Path

import numpy as np

from dubber_jax.media.mel import filterbank, mel_numpy, mel_spectrogram

REFERENCE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'


def test_mel_equals_the_published_extractor():
  fixture = np.load(REFERENCE / 'mel_spectrogram.npz')
  wave, mel = fixture['in/wav'], fixture['out/mel'].T
  np.testing.assert_allclose(filterbank(), fixture['out/mel_basis'], atol=1e-7)
  np.testing.assert_allclose(mel_spectrogram(wave), mel, atol=1e-4, rtol=1e-5)
  np.testing.assert_allclose(mel_numpy(wave), mel, atol=1e-4, rtol=1e-5)
