"""Dialogue removal from a film's sound by the mask network, in chunks: bounded memory, any number of channels."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.separation.network import FEATURES, HOP, WINDOW, averaging, expanding, window
from dubber_jax.storage.assets import ASSETS
from dubber_jax.storage.checked_folder import check_files, new_checked_folder
from dubber_jax.storage.weights import flatten, read_params, write_arrays

SHIPPED = ASSETS / 'separator'
CHUNK = 512  # frames whose masks one pass gives: 10.9 s
CONTEXT = 160  # frames before and after them that the network sees: 3.4 s, all that a frame's mask depends on
# Left and right, by the number of channels; other channels are separated one by one.
PAIRS = {
  2: ((0, 1),),
  3: ((0, 1),),
  4: ((0, 1), (2, 3)),
  5: ((0, 1), (3, 4)),
  6: ((0, 1), (4, 5)),
  8: ((0, 1), (4, 5), (6, 7)),
}
LOW_FREQUENCY = {6: 3, 8: 3}  # channel of low-frequency effects
# Where the masks would leave less than this, sound is kept up to it: holes below -60 dB are heard as faults, remains of
# a voice that are as soft are not.
LEAST_POWER = WINDOW**2 / 4 * 10**-5.4  # of a frame's bins: -54 dB of full scale


class TrainedSeparator:
  """Separator of a trained mask network: the sound's STFT times the share of background in each bin.

  Left and right are separated as mid and side, the dialogue being mostly in the mid; other channels each for itself;
  the channel of low-frequency effects stays as it is.
  """

  def __init__(self, config: SeparatorConfig, params: dict):
    self.config, self.params = config, params

  def remove_dialogue(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Sound in blocks (S, C) float32 at 48 kHz -> the same without its dialogue, in blocks of other sizes, of the same
    length in all. Holds some 30 s of the sound, however long it is."""
    return self.filter(blocks)

  def filter(self, blocks: Iterable[np.ndarray], parts: int = 0) -> Iterator[np.ndarray]:
    """The same of blocks (S, (1 + parts) C): the masks of the first C channels are applied to all.

    With a mixture's dialogue and background as its parts, it can be measured what the masks leave of each.
    """
    stream = _Stream(self.masks, parts)
    for block in blocks:
      yield from stream.push(block)
    yield from stream.finish()

  def masks(self, spectra_tck: np.ndarray) -> np.ndarray:
    """Spectra (T, C, BINS) of channels, T at most CHUNK + 2 CONTEXT -> share of background (T, C, BINS)."""
    frames, channels, _ = spectra_tck.shape
    masks = np.ones(spectra_tck.shape, np.float32)
    for channel in range(channels):
      if channel != LOW_FREQUENCY.get(channels):
        power = np.square(np.abs(spectra_tck[:, channel])) @ averaging()
        # One program for all lengths: beyond the end of a sound it sees the sound turned around.
        padded = np.pad(power, ((0, CHUNK + 2 * CONTEXT - frames), (0, 0)), 'symmetric')
        kept = np.asarray(self._network(self.params, padded[None]))[0, :frames] @ expanding()
        masks[:, channel] = _filled(kept, spectra_tck[:, channel])
    return masks

  @cached_property
  def _network(self) -> Callable:
    import jax

    from dubber_jax.separation.network import MaskNetwork

    network = MaskNetwork(self.config)
    return jax.jit(lambda params, power: network.apply({'params': params}, power))


def _filled(mask_tk: np.ndarray, spectra_tk: np.ndarray) -> np.ndarray:
  """A mask (T, BINS) that leaves LEAST_POWER in every frame that has it."""
  power = np.square(np.abs(spectra_tk))
  silent = (np.square(mask_tk) * power).sum(1) < LEAST_POWER
  least = np.minimum(np.sqrt(LEAST_POWER / (power.sum(1) + 1e-12)), 1)
  return np.where(silent[:, None], np.maximum(mask_tk, least[:, None]), mask_tk).astype(np.float32)


class _Stream:
  """State of one pass over a sound: samples not yet in a frame, spectra not yet masked, and the last frame's half that
  overlaps the next."""

  def __init__(self, masks: Callable[[np.ndarray], np.ndarray], parts: int):
    self._masks, self._parts = masks, parts
    self._samples: np.ndarray | None = None  # (S, C)
    self._spectra: list[np.ndarray] = []  # (C, BINS) a frame
    self._before = 0  # frames of these that are context, already written
    self._tail: np.ndarray | None = None  # (C, HOP)
    self._given = self._written = 0

  def push(self, block: np.ndarray) -> Iterator[np.ndarray]:
    """Takes a block (S, C) and yields what is finished."""
    if self._samples is None:
      self._samples = np.zeros((HOP, block.shape[1]), np.float32)
    self._given += len(block)
    self._analyze(_mid_side(np.asarray(block, np.float32), self._parts))
    while len(self._spectra) - self._before >= CHUNK + CONTEXT:
      yield self._emit(CHUNK)

  def finish(self) -> Iterator[np.ndarray]:
    """Yields the rest of the sound."""
    if self._samples is None:
      return
    self._analyze(np.zeros((-self._given % HOP + HOP, self._samples.shape[1]), np.float32))
    while (left := len(self._spectra) - self._before) > 0:
      yield self._emit(min(left, CHUNK))

  def _analyze(self, block: np.ndarray) -> None:
    samples = block if self._samples is None else np.concatenate([self._samples, block])
    count = len(samples) // HOP - 1
    if count > 0:
      hops = samples[: (count + 1) * HOP].reshape(count + 1, HOP, -1)
      frames = np.concatenate([hops[:-1], hops[1:]], 1).transpose(0, 2, 1)
      self._spectra.extend(np.fft.rfft(frames * window(), axis=-1).astype(np.complex64))
    self._samples = samples[max(count, 0) * HOP :]

  def _emit(self, count: int) -> np.ndarray:
    """Masks the next `count` frames and gives the samples that no later frame adds to."""
    now = slice(self._before, self._before + count)
    seen = np.stack(self._spectra[: now.stop + CONTEXT])
    masks = self._masks(seen[:, : seen.shape[1] // (1 + self._parts)])[now]
    masked = seen[now] * np.tile(masks, (1, 1 + self._parts, 1))
    frames = np.fft.irfft(masked, WINDOW, axis=-1).astype(np.float32) * window()
    hops, tails = frames[..., :HOP], frames[..., HOP:]
    hops[1:] += tails[:-1]
    start = HOP if self._tail is None else 0  # the first frame begins before the sound
    if self._tail is not None:
      hops[0] += self._tail
    self._tail = tails[-1].copy()
    drop = max(now.stop - CONTEXT, 0)
    self._spectra, self._before = self._spectra[drop:], now.stop - drop
    wave = _mid_side(hops.transpose(0, 2, 1).reshape(count * HOP, -1)[start:], self._parts)
    wave = wave[: self._given - self._written]
    self._written += len(wave)
    return wave


def _mid_side(wave: np.ndarray, parts: int) -> np.ndarray:
  """(S, (1 + parts) C) with left and right as mid and side, at equal energy; its own inverse."""
  channels = wave.shape[1] // (1 + parts)
  turned = wave.copy()
  for part in range(1 + parts):
    for left, right in PAIRS.get(channels, ()):
      a, b = wave[:, part * channels + left], wave[:, part * channels + right]
      turned[:, part * channels + left] = (a + b) * np.float32(0.5**0.5)
      turned[:, part * channels + right] = (a - b) * np.float32(0.5**0.5)
  return turned


@lru_cache(maxsize=1)
def shipped_separator() -> TrainedSeparator:
  """The separator that ships with the package."""
  return load_separator(SHIPPED)


def load_separator(path: str | Path) -> TrainedSeparator:
  """Opens a separator's folder. Raises BadInput where it is missing or damaged, or its weights do not fit."""
  path = Path(path)
  check_files(path, kind='a separator', made_by='experiments/tables/separator.py')
  values = json.loads((path / 'config.json').read_text(encoding='utf-8'))
  known = {f.name for f in dataclasses.fields(SeparatorConfig)}
  if unknown := sorted(set(values) - known):
    raise BadInput(f'{path}/config.json: unknown setting {unknown[0]!r}; it is of another version of dubber_jax')
  config = SeparatorConfig(**(values | {'dilations': tuple(values['dilations'])}))
  return TrainedSeparator(config, read_params(path / 'weights.safetensors', parameter_shapes(config)))


def parameter_shapes(config: SeparatorConfig) -> dict:
  """Shapes of a network's parameters."""
  import jax

  from dubber_jax.separation.network import MaskNetwork

  power = jax.ShapeDtypeStruct((1, 4, FEATURES), np.float32)
  return jax.eval_shape(MaskNetwork(config).init, jax.random.key(0), power)['params']


def write_separator(separator: TrainedSeparator, card: str, out: str | Path) -> None:
  """Writes a separator's folder as a whole: weights in bfloat16, settings, card and manifest."""
  import ml_dtypes

  with new_checked_folder(out) as folder:
    write_arrays(folder / 'weights.safetensors', flatten(separator.params), ml_dtypes.bfloat16)
    (folder / 'config.json').write_text(json.dumps(dataclasses.asdict(separator.config), indent=2) + '\n')
    (folder / 'CARD.md').write_text(card, encoding='utf-8')
