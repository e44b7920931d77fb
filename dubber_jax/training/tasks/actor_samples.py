"""Samples of the actor during training: plots of mels and F0, and Griffin-Lim waveforms."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from dubber_jax.config import Config
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.media.sound import write_wav
from dubber_jax.types import SAMPLE_RATE
from dubber_jax.vocoder.griffin_lim import GriffinLim


def voice_samples(config: Config, batch: dict[str, np.ndarray], count: int = 3) -> Callable:
  """`samples` of a Task: synthesizes the first items of `batch` with the recordings' durations and writes sample_0.png
  (mels and F0 beside the recording's), sample_0.wav and so on."""
  from dubber_jax.model import DirectorActor

  model = DirectorActor(config)
  few = {k: v[:count] for k, v in batch.items()}
  frames = few['mel'].shape[1]
  controls = np.tile(np.array([[0.0, 1.0, 0.0]], np.float32), (count, 1))
  synthesize = jax.jit(
    lambda params, b: model.apply({'params': params}, b, b['durations'], controls, frames, method='synthesize')
  )

  def samples(params, step: int, folder: Path):
    mel, pitch, _ = jax.device_get(synthesize(params, few))
    for i in range(count):
      length = int(few['durations'][i].sum())
      draw(
        few['mel'][i, :length],
        mel[i, :length],
        few['pitch'][i, :length],
        pitch[i, :length],
        few['durations'][i],
        folder / f'sample_{i}.png',
        f'step {step}',
      )
      write_wav(folder / f'sample_{i}.wav', GriffinLim().vocode(mel[i, :length]), SAMPLE_RATE)

  return samples


def draw(
  target: np.ndarray,
  predicted: np.ndarray,
  target_pitch: np.ndarray,
  pitch: np.ndarray,
  durations: np.ndarray,
  path: Path,
  title: str,
):
  """Plots the recording's mel above the synthesized one, each with its F0 and the phoneme boundaries."""
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(2, 1, figsize=(10, 5), sharex=True, layout='constrained')
  rows = (('recording', target, target_pitch), (f'model, {title}', predicted, pitch))
  for axis, (name, mel, hertz) in zip(axes, rows, strict=True):
    axis.imshow(mel.T, origin='lower', aspect='auto', cmap='magma', vmin=LOG_FLOOR, vmax=1)
    voiced = np.where(hertz > 0, hertz, np.nan) / 8  # 640 Hz reaches the top
    axis.plot(voiced, color='cyan', linewidth=1)
    axis.vlines(np.cumsum(durations[durations > 0]), 0, 4, color='white', linewidth=0.5)
    axis.set_ylabel('mel band')
    axis.set_title(name, fontsize=9, loc='left')
  axes[-1].set_xlabel('frame (11.6 ms)')
  figure.savefig(path, dpi=80)
  plt.close(figure)
