"""Training task of the vocoder: batches of waveform segments, spectral losses and adversarial losses."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dubber_jax.config import Config
from dubber_jax.data.batches import TRAINING_SPLITS
from dubber_jax.data.packed import FULL_SCALE, PackedSet, dequantize
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR, PAD, filterbank, frame, mel_numpy, mel_of_frames
from dubber_jax.media.sound import write_wav
from dubber_jax.training.task import DISCRIMINATORS, Task, learning_rate
from dubber_jax.types import HOP, SAMPLE_RATE
from dubber_jax.vocoder.discriminators import PERIODS, Discriminators
from dubber_jax.vocoder.losses import adversarial_losses, energy_distance, mel_loss, pitch_loss, spectral_loss
from dubber_jax.vocoder.source_filter import SourceFilter, SourceFilterConfig

MIN_LEVEL = 0.01  # standard deviation of a segment with speech
SILENT_SHARE = 0.03  # probability with which a segment below it is kept
NARROW_BAND = 8150.0  # Hz: recordings without energy above were sampled at 16 kHz; losses ignore these frequencies


def generator_config(config: Config) -> SourceFilterConfig:
  """Generator settings of a vocoder task."""
  c = config.task.vocoder
  return SourceFilterConfig(c.width, c.layers, c.kernel, c.expansion, c.window, c.modulated, c.projections)


class VocoderBatches:
  """Random-access source of waveform segments from packed folders with waves.npy; batch i does not depend on what was
  read before.

  A batch: wave (B, F * 256 + 768) with 384 samples of context on both sides, pitch (B, F) Hz, interpolated, voiced
  (B, F) bool, narrow (B,) bool for recordings without energy above 8 kHz, and where vocoder.gta is set mel (B, F, 80):
  the recording's or, for that share of the items, the actor's teacher-forced (GTA) mel (data_pipelines/gta_mels.py).
  """

  def __init__(self, config: Config, folders, splits=TRAINING_SPLITS, host=(0, 1)):
    self.config, self.host = config, host
    self.sets = [PackedSet(f) for f in folders]
    self.waves = [packed.optional_array('waves') for packed in self.sets]
    self.gta = [packed.optional_array('gta') for packed in self.sets] if config.task.vocoder.gta else []
    need = config.task.vocoder.frames + 8
    self.items = [
      (s, i)
      for s, packed in enumerate(self.sets)
      for i, row in enumerate(packed.rows)
      if row['split'] in splits and row['spans']['mel'][1] - row['spans']['mel'][0] >= need
    ]
    if not self.items:
      raise BadInput(f'no recording of {need} frames or more in {", ".join(map(str, folders))}')
    lengths = np.array([np.diff(self.sets[s].rows[i]['spans']['mel'])[0] for s, i in self.items], np.float64)
    self.ends = np.cumsum(lengths / lengths.sum())

  def __len__(self) -> int:
    return 1_000_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    c, (number, hosts) = self.config.task.vocoder, self.host
    if c.items % hosts:
      raise BadInput(f'{hosts} hosts cannot share a batch of {c.items} pieces: change task.vocoder.items')
    rows = c.items // hosts
    segments = [
      self.segment(np.random.default_rng([self.config.seed, int(index), number * rows + r])) for r in range(rows)
    ]
    return {name: np.stack([p[name] for p in segments]) for name in segments[0]}

  def segment(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random segment of the recordings, rarely a silent one."""
    frames = self.config.task.vocoder.frames
    while True:
      s, i = self.items[np.searchsorted(self.ends, rng.random())]
      first, last = self.sets[s].rows[i]['spans']['mel']
      start = first + 2 + rng.integers(last - first - frames - 3)
      samples = np.array(self.waves[s][start * HOP - PAD : (start + frames) * HOP + PAD], np.float32)
      samples *= FULL_SCALE / 32768
      if len(samples) == frames * HOP + 2 * PAD and (samples.std() > MIN_LEVEL or rng.random() < SILENT_SHARE):
        break
    pitch = np.array(self.sets[s].arrays['pitch'][first:last], np.float32)
    cut = slice(start - first, start - first + frames)
    gain = np.float32(10 ** rng.uniform(-0.4, 0.2))  # level augmentation
    found = {
      'wave': samples * gain,
      'pitch': fill_pitch(pitch)[cut],
      'voiced': pitch[cut] > 0,
      'narrow': is_narrow(samples),
    }
    if not self.gta:
      return found
    acted = rng.random() < self.config.task.vocoder.gta
    mel = dequantize((self.gta[s] if acted else self.sets[s].arrays['mel'])[start : start + frames])
    return found | {'mel': np.maximum(mel + np.log(gain), LOG_FLOOR)}

  def iterator(self) -> grain.DatasetIterator:
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def empty_batch(config: Config) -> dict[str, np.ndarray]:
  """Batch of silence with the arrays of VocoderBatches."""
  c = config.task.vocoder
  batch = {
    'wave': np.zeros((c.items, c.frames * HOP + 2 * PAD), np.float32),
    'pitch': np.full((c.items, c.frames), 150.0, np.float32),
    'voiced': np.zeros((c.items, c.frames), bool),
    'narrow': np.zeros(c.items, bool),
  }
  return batch | ({'mel': np.full((c.items, c.frames, 80), LOG_FLOOR, np.float32)} if c.gta else {})


def is_narrow(wave: np.ndarray) -> np.bool_:
  """Whether a waveform (S,) has next to no energy above 8 kHz."""
  power = np.square(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))))
  return power[int(NARROW_BAND * len(wave) / SAMPLE_RATE) :].sum() < 1e-7 * power.sum()


def below_8_khz(wave_bs: jax.Array) -> jax.Array:
  """Waveforms (B, S), low-pass filtered below 8 kHz."""
  spectrum = jnp.fft.rfft(wave_bs)
  kept = np.fft.rfftfreq(wave_bs.shape[1], 1 / SAMPLE_RATE) < 7800
  return jnp.fft.irfft(spectrum * kept, wave_bs.shape[1])


def fill_pitch(pitch: np.ndarray) -> np.ndarray:
  """F0 (T,) Hz with 0 for unvoiced -> linearly interpolated over unvoiced frames; 150 Hz if no frame is voiced."""
  voiced = np.flatnonzero(pitch > 0)
  if not len(voiced):
    return np.full(len(pitch), 150.0, np.float32)
  return np.interp(np.arange(len(pitch)), voiced, pitch[voiced]).astype(np.float32)


def vocoder_task(config: Config, samples: Callable | None = None) -> Task:
  """GAN training of the source-filter generator and its discriminators in one step; each side's losses have no gradient
  in the other's parameters."""
  c = config.task.vocoder
  generator, discriminators = SourceFilter(generator_config(config)), Discriminators(PERIODS if c.periods else ())
  margin = (c.frames - c.heard) * HOP // 2

  def init(key, batch):
    params = {'generator': generator.init(key, jnp.zeros((1, c.frames, config.task.mel_bands)))['params']}
    if not c.adversarial:
      return params
    return params | {DISCRIMINATORS: discriminators.init(key, batch['wave'][:1, : c.heard * HOP])['params']}

  def loss(params, batch, key):
    filters = jnp.asarray(filterbank())
    wave = batch['wave'][:, PAD:-PAD]
    mel = mel_of_frames(frame(batch['wave'], c.frames), filters)
    conditioning = batch.get('mel', mel)
    noise_key, phase_key = jax.random.split(key)
    takes = 2 if c.energy_distance else 1
    noise = jax.random.normal(noise_key, (takes * len(wave), batch['wave'].shape[1]))
    phase = jax.random.uniform(phase_key, (takes * len(wave),))
    vocoded, logits = generator.apply(
      {'params': params['generator']}, conditioning, None, batch['pitch'], noise, phase, return_logits=True, takes=takes
    )
    losses = {'mel': mel_loss(vocoded, jnp.tile(mel, (takes, 1, 1)), filters)}
    narrow = batch['narrow'][:, None]
    vocoded = jnp.where(jnp.tile(narrow, (takes, 1)), below_8_khz(vocoded), vocoded)
    wave = jnp.where(narrow, below_8_khz(wave), wave)
    losses['spectrum'] = energy_distance(*jnp.split(vocoded, 2), wave) if takes == 2 else spectral_loss(vocoded, wave)
    losses['pitch'] = pitch_loss(logits, batch['pitch'], batch['voiced'])
    total = c.mel_weight * losses['mel'] + c.spectral_weight * losses['spectrum'] + c.pitch_weight * losses['pitch']
    if c.adversarial:
      cut = slice(margin, margin + c.heard * HOP)
      segment = vocoded[: len(wave), cut]
      losses |= adversarial_losses(discriminators, params[DISCRIMINATORS], segment, wave[:, cut])
      total += losses['adversarial'] + c.feature_weight * losses['features'] + losses['discriminators']
    losses['total'] = total
    return total, losses

  def optimizer():
    def group(lr_multiplier):
      return optax.chain(
        optax.clip_by_global_norm(config.train.clip_norm),
        optax.adamw(learning_rate(config.train), b1=0.8, b2=0.99, weight_decay=config.train.weight_decay),
        optax.scale(lr_multiplier),
      )

    groups = {'generator': group(1.0), DISCRIMINATORS: group(2.0)}
    return optax.partition(groups, lambda params: {name: name for name in params})

  return Task(init, loss, optimizer, samples)


def vocoder_samples(
  config: Config, folders: Sequence[str | os.PathLike], splits: Sequence[str] = ('test',), count: int = 3
) -> Callable:
  """`samples` of a Task: vocodes held-out recordings, writes the waveforms and plots both mels."""
  generator = SourceFilter(generator_config(config))
  chosen = []
  for packed in map(PackedSet, folders):
    rows = [i for i, row in enumerate(packed.rows) if row['split'] in splits]
    chosen += [(packed, i) for i in rows[:1]]
  chosen = chosen[:count]
  apply = jax.jit(lambda params, mel, frames: generator.apply({'params': params}, mel, frames))

  def samples(params, step: int, folder: Path):
    for number, (packed, i) in enumerate(chosen):
      mel = packed.features(i)['mel']
      padded = np.full((1, -(-len(mel) // 64) * 64, mel.shape[1]), LOG_FLOOR, np.float32)
      padded[0, : len(mel)] = mel
      sound = np.array(apply(params['generator'], padded, np.array([len(mel)]))[0, : len(mel) * HOP])
      write_wav(folder / f'sample_{number}.wav', np.clip(sound, -1, 1), SAMPLE_RATE)
      _draw(mel, mel_numpy(sound), folder / f'sample_{number}.png', f'step {step}')

  return samples


def _draw(target, made, path: Path, title: str):
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(2, 1, figsize=(10, 5), sharex=True, layout='constrained')
  for axis, (name, mel) in zip(axes, (('recording', target), (f'vocoded, {title}', made)), strict=True):
    axis.imshow(mel.T, origin='lower', aspect='auto', cmap='magma', vmin=LOG_FLOOR, vmax=1)
    axis.set_ylabel('mel band')
    axis.set_title(name, fontsize=9, loc='left')
  axes[-1].set_xlabel('frame (11.6 ms)')
  figure.savefig(path, dpi=80)
  plt.close(figure)
