"""Predicted mean opinion score (MOS) of speech, 1 (bad) to 5 (excellent), by Distill-MOS and by DNSMOS.

Distill-MOS (Stahl and Gamper 2025, arXiv 2502.05356; MIT, its weights too) of the package distillmos runs in PyTorch
and predicts naturalness. Codecs lower it, so speech is compared with recordings through the same codec (media/opus.py).

DNSMOS (Reddy et al. 2022, P.835; MIT) of the package speechmos predicts how free of noise speech is. It does not
penalize a robotic voice, so no claim of naturalness rests on it.
"""

import contextlib
import io

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.stubs import stub_module
from dubber_jax.media.sound import resample

RATE = 16000  # Hz
INSTALL = 'pip install torch==2.13.0 && pip install --no-deps -r requirements-eval.txt'


class DistillMOS:
  """Predictor of naturalness. Loads in a few seconds, then takes about 1 s a sentence on one core.

  `score(wave (S,) float32, sample_rate) -> float`. Raises BadInput where its packages are missing.
  """

  def __init__(self):
    # Only distillmos's own command line needs torchaudio, whose wheel does not load beside PyTorch for CPUs.
    with stub_module('torchaudio', replace=True):
      try:
        import distillmos
        import torch
      except ImportError as error:
        raise BadInput(f'predicted MOS needs the Python module {error.name}: {INSTALL}') from error
    self._torch = torch
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the path of its weights
      self._model = distillmos.ConvTransformerSQAModel().eval()

  def score(self, wave: np.ndarray, sample_rate: int) -> float:
    if not len(wave) or not np.isfinite(wave).all():
      raise BadInput('predicted MOS of nothing: the sound is empty or has samples that are not finite')
    samples = self._torch.from_numpy(resample(wave, sample_rate, RATE)[None].copy())
    with self._torch.inference_mode():
      return float(self._model(samples)[0])


class DNSMOS:
  """Predictor of noisiness ('cleanliness'). Loads in a second, then takes about 0.3 s a sentence.

  `score(wave (S,) float32, sample_rate)` -> 'speech', 'background' and 'overall' of P.835 and 'p808', all 1 to 5.
  Raises BadInput where its packages are missing. It takes 9 s at once: what is shorter is repeated to that length.
  """

  def __init__(self):
    try:
      from speechmos import dnsmos
    except ImportError as error:
      raise BadInput(f'cleanliness needs the Python module {error.name}: {INSTALL}') from error
    self._run = dnsmos.run

  def score(self, wave: np.ndarray, sample_rate: int) -> dict[str, float]:
    if not len(wave) or not np.isfinite(wave).all():
      raise BadInput('cleanliness of nothing: the sound is empty or has samples that are not finite')
    scores = self._run(np.clip(resample(wave, sample_rate, RATE), -1, 1), RATE)
    names = {'speech': 'sig_mos', 'background': 'bak_mos', 'overall': 'ovrl_mos', 'p808': 'p808_mos'}
    return {name: float(scores[theirs]) for name, theirs in names.items()}
