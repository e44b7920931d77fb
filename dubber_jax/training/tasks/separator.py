"""Training task of the dialogue separator: mixtures of speech and background made on the fly, and spectral losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import grain
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.config import Config, SeparatorTask
from dubber_jax.errors import BadInput
from dubber_jax.nn.masks import masked_mean
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.separation.network import BINS, FEATURES, HOP, MaskNetwork, averaging, expanding, stft
from dubber_jax.training.task import Task, adamw

COMPRESSION = 0.3  # power of magnitudes in the magnitude loss
SILENT = 1e-5  # of the mixture's energy: below it a part counts as absent


def separator_config(config: Config) -> SeparatorConfig:
  """Settings of a separator's run. Raises BadInput for a run of another task."""
  if not isinstance(config.task, SeparatorTask):
    raise BadInput(f'{config.name} is a run of the task {config.task.kind}, not of a separator')
  return config.task.separator


class MixtureSource(Protocol):
  """Draws mixtures (data_pipelines/mixer.py)."""

  def mixture(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Dialogue and background (length,) at 48 kHz, whose sum is the film's sound."""
    ...


class SeparatorBatches:
  """Random-access source of mixtures; batch i does not depend on what was read before.

  A batch: dialogue and bed (B, (T + 1) * HOP) at 48 kHz, whose sum is the film's sound.
  """

  def __init__(self, config: Config, mixer: MixtureSource, host: tuple[int, int] = (0, 1)):
    self.config, self.mixer, self.host = config, mixer, host

  def __len__(self) -> int:
    return 1_000_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    c, (number, hosts) = separator_config(self.config), self.host
    if c.items % hosts:
      raise BadInput(f'{hosts} hosts cannot share a batch of {c.items} items: change task.separator.items')
    rows = c.items // hosts
    pairs = [
      self.mixer.mixture(np.random.default_rng([self.config.seed, int(index), number * rows + r]), (c.frames + 1) * HOP)
      for r in range(rows)
    ]
    return {'dialogue': np.stack([p[0] for p in pairs]), 'bed': np.stack([p[1] for p in pairs])}

  def iterator(self) -> grain.DatasetIterator:
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def empty_batch(config: Config) -> dict[str, np.ndarray]:
  """Batch of silence with the arrays of SeparatorBatches."""
  c = separator_config(config)
  return {name: np.zeros((c.items, (c.frames + 1) * HOP), np.float32) for name in ('dialogue', 'bed')}


def separation_losses(mask_btf: jax.Array, dialogue_btk: jax.Array, bed_btk: jax.Array) -> dict[str, jax.Array]:
  """Losses of a mask (B, T, FEATURES) on the spectra (B, T, BINS) of both parts, means over the items.

  waveform: energy of the background's error relative to the mixture, dB; the dialogue's error is the same. By
    Parseval's theorem it is that of the waveforms, but for what overlapping frames cancel.
  magnitude: squared error of the magnitudes of both parts to the power of 0.3, of mixtures of the same energy.
  residual: energy of the dialogue behind the mask relative to the dialogue, dB, at least -30.
  preserved: energy of the background that the mask takes out relative to the background, dB. It is no part of the sum.
  """
  mask = mask_btf @ expanding()
  dialogue, bed, mixture = (jnp.square(jnp.abs(x)) for x in (dialogue_btk, bed_btk, dialogue_btk + bed_btk))
  error = jnp.square(jnp.abs(bed_btk - mask * (dialogue_btk + bed_btk)))
  energy = mixture.sum((1, 2)) + 1e-6
  speaks = dialogue.sum((1, 2)) > SILENT * energy
  plays = bed.sum((1, 2)) > SILENT * energy

  def decibels(part, whole, least):
    return 10 * jnp.log10(part.sum((1, 2)) / (whole.sum((1, 2)) + 1e-6) + least)

  # Averaged as the features are, so that high frequencies, most of the bins, do not outweigh the rest.
  scale = (mixture.size // len(mixture)) / energy[:, None, None]
  both = jnp.square(mask) * mixture, jnp.square(1 - mask) * mixture
  compressed = [((x * scale) @ averaging() + 1e-7) ** (COMPRESSION / 2) for x in (*both, bed, dialogue)]
  magnitude = jnp.square(compressed[0] - compressed[2]) + jnp.square(compressed[1] - compressed[3])
  residual = jnp.where(speaks, decibels(jnp.square(mask) * dialogue, dialogue, 1e-3), 0)
  preserved = jnp.where(plays, decibels(jnp.square(1 - mask) * bed, bed, 1e-3), 0)
  return {
    'waveform': decibels(error, mixture, 1e-4).mean(),
    'magnitude': magnitude.mean(),
    'residual': masked_mean(residual, speaks),
    'preserved': masked_mean(preserved, plays),
  }


def separator_task(config: Config, mixer: MixtureSource | None = None) -> Task:
  """Task of the mask network; with a mixer, its samples show the background of fixed mixtures."""
  c = separator_config(config)
  network = MaskNetwork(c)

  def init(key, batch):
    return network.init(key, jnp.zeros((1, c.frames, FEATURES)))['params']

  def loss(params, batch, key):
    dialogue, bed = stft(batch['dialogue']), stft(batch['bed'])
    power = jnp.square(jnp.abs(dialogue + bed)) @ averaging()
    losses = separation_losses(jnp.asarray(network.apply({'params': params}, power)), dialogue, bed)
    losses['total'] = (
      c.waveform_weight * losses['waveform']
      + c.magnitude_weight * losses['magnitude']
      + c.residual_weight * losses['residual']
    )
    return losses['total'], losses

  return Task(init, loss, lambda: adamw(config.train), separator_samples(config, mixer) if mixer else None)


def separator_samples(config: Config, mixer: MixtureSource, count: int = 3) -> Callable[[dict, int, Path], None]:
  """`samples` of a Task: plots of mixture, background and estimate of fixed mixtures."""
  c = separator_config(config)
  network = MaskNetwork(c)
  pairs = [mixer.mixture(np.random.default_rng(i), (c.frames + 1) * HOP) for i in range(count)]

  @jax.jit
  def spectra(params, dialogue, bed):
    mixture = stft(dialogue + bed)
    mask = network.apply({'params': params}, jnp.square(jnp.abs(mixture)) @ averaging()) @ expanding()
    return jnp.abs(mixture), jnp.abs(stft(bed)), jnp.abs(mask * mixture)

  def samples(params, step: int, folder: Path):
    for number, (dialogue, bed) in enumerate(pairs):
      parts = spectra(params, dialogue[None], bed[None])
      names = ('mixture', 'background', f'estimate, step {step}')
      _draw(dict(zip(names, (np.asarray(p[0]) for p in parts), strict=True)), folder / f'sample_{number}.png')

  return samples


def _draw(spectra: dict[str, np.ndarray], path: Path):
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(len(spectra), 1, figsize=(10, 8), sharex=True, layout='constrained')
  for axis, (name, magnitudes) in zip(axes, spectra.items(), strict=True):
    decibels = 20 * np.log10(magnitudes[:, : BINS // 3].T + 1e-3)
    axis.imshow(decibels, origin='lower', aspect='auto', cmap='magma', vmin=-30, vmax=50, extent=(0, 3, 0, 8))
    axis.set_ylabel('kHz')
    axis.set_title(name, fontsize=9, loc='left')
  axes[-1].set_xlabel('s')
  figure.savefig(path, dpi=80)
  plt.close(figure)
