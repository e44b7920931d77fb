"""Dialogue removal by Demucs (Defossez 2021; Rouard et al. 2023), where it is installed: the sound without its vocals.

DUBBER_DEMUCS names the model, as Demucs' own -n (default htdemucs), or a folder of one's own weights and its name, as
FOLDER/NAME. Demucs fetches weights that it knows and does not find.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import resample
from dubber_jax.separation.inference import LOW_FREQUENCY, PAIRS

RATE = 48000  # Hz
MODEL = 'htdemucs'
VOCALS = 'vocals'
# Samples at 48 kHz, multiples of 160, so that they are whole samples at 44.1 kHz too.
CHUNK = 20 * RATE  # of one pass
OVERLAP = 2 * RATE  # of two passes, cross-faded


class DemucsSeparator:
  """Separator that subtracts vocals. `vocals` takes (S, 2) at `rate` Hz and gives the vocals in it, (S, 2)."""

  def __init__(self, vocals: Callable[[np.ndarray], np.ndarray], rate: int):
    self.vocals, self.rate = vocals, rate

  def remove_dialogue(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Sound in blocks (S, C) float32 at 48 kHz -> the same without its vocals, of the same length in all. Left and
    right are separated together, other channels each for itself; holds some 20 s of the sound."""
    held: list[np.ndarray] = []
    size, before = 0, None  # samples that are held; vocals of the last pass in the overlap
    fade = np.sin(np.linspace(0, np.pi / 2, OVERLAP, dtype=np.float32))[:, None] ** 2
    for block in blocks:
      held.append(np.asarray(block, np.float32))
      size += len(block)
      while size >= CHUNK + OVERLAP:
        sound = np.concatenate(held)
        found = self._dialogue(sound[: CHUNK + OVERLAP])
        if before is not None:
          found[:OVERLAP] = before + (found[:OVERLAP] - before) * fade
        before = found[CHUNK:]
        yield sound[:CHUNK] - found[:CHUNK]
        held, size = [sound[CHUNK:]], size - CHUNK
    if size:
      sound = np.concatenate(held)
      found = self._dialogue(sound)
      if before is not None:
        found[:OVERLAP] = before + (found[:OVERLAP] - before) * fade
      yield sound - found

  def _dialogue(self, sound: np.ndarray) -> np.ndarray:
    """(S, C) -> the dialogue in it."""
    channels = sound.shape[1]
    found = np.zeros_like(sound)
    pairs = PAIRS.get(channels, ())
    single = set(range(channels)) - {c for pair in pairs for c in pair} - {LOW_FREQUENCY.get(channels)}
    for pair in (*pairs, *((c, c) for c in sorted(single))):
      picked = list(pair)
      vocals = resample(self.vocals(resample(sound[:, picked], RATE, self.rate)), self.rate, RATE)[: len(sound)]
      found[: len(vocals), pair[0]] = vocals[:, 0] if pair[0] != pair[1] else vocals.mean(1)
      if pair[0] != pair[1]:
        found[: len(vocals), pair[1]] = vocals[:, 1]
    return found


def open_demucs() -> DemucsSeparator:
  """Demucs with the model that DUBBER_DEMUCS names. Raises BadInput where it is not installed or has no such model."""
  try:
    from demucs.pretrained import get_model
  except ImportError as e:
    raise BadInput(f"the separator demucs needs the extra demucs ({e}): pip install 'dubber_jax[demucs]'") from e
  name = os.environ.get('DUBBER_DEMUCS', MODEL)
  folder = Path(name).parent if os.sep in name else None
  try:
    model = get_model(Path(name).name if folder else name, folder)
  except (Exception, SystemExit) as e:  # of many kinds: no such model, no network, damaged weights
    raise BadInput(f'Demucs cannot open the model {name} ({e}): correct DUBBER_DEMUCS, or fetch its weights') from e
  return of_model(model)


def of_model(model: Any) -> DemucsSeparator:
  """A separator of a Demucs model. Raises BadInput for one that has no vocals or takes no stereo."""
  import torch
  from demucs.apply import apply_model

  if VOCALS not in model.sources or model.audio_channels != 2:
    raise BadInput(f'the Demucs model separates {", ".join(model.sources)}: give one with stereo {VOCALS}')
  place = list(model.sources).index(VOCALS)
  model.eval()

  def vocals(sound: np.ndarray) -> np.ndarray:
    # Demucs expects sound of about the same mean and deviation everywhere, as its own command does.
    reference = sound.mean(1)
    mean, deviation = float(reference.mean()), float(reference.std()) + 1e-8
    with torch.no_grad():
      mixture = torch.from_numpy(np.ascontiguousarray((sound.T - mean) / deviation, np.float32))
      separated = apply_model(model, mixture[None], shifts=0, split=True, overlap=0.25)[0, place]
    return separated.numpy().T * np.float32(deviation)

  return DemucsSeparator(vocals, int(model.samplerate))
