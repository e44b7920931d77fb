"""A loaded model: the actor with its weights, vocoder, voices and critic, and how it is called."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dubber_jax.config import Config
from dubber_jax.critic.inference import CriticModel
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, padded_shape
from dubber_jax.inference.fitted_params import moved_params, norms_hash
from dubber_jax.storage.programs import KeptProgram
from dubber_jax.types import Line, Voice

if TYPE_CHECKING:
  from dubber_jax.dubbing.cast import Cast
  from dubber_jax.dubbing.request import DubOptions
  from dubber_jax.dubbing.result import DubResult
  from dubber_jax.retrieval.library import Library


@dataclasses.dataclass(frozen=True)
class Model:
  """A loaded model directory: parameters, vocoder, voices and critic."""

  config: Config
  params: Any  # of DirectorActor, float32 NumPy arrays
  vocoder: Any
  voices: dict[str, Voice]  # the voices it ships with, by name
  path: Path
  critic: CriticModel | None = None

  @functools.cached_property
  def module(self) -> Any:
    return _module(self.config)

  def speaking_as(self, voice: Voice) -> 'Model':
    """The model with the changes of parameters that were adapted to a voice; itself where there are none. Raises
    BadInput where they were adapted for another model."""
    if not voice.fit:
      return self
    if voice.fit_of != norms_hash(self.params):
      raise BadInput(f'the voice {voice.name!r} was fitted to another model: find it again, with this one')
    return dataclasses.replace(self, params=moved_params(self.params, voice.fit))

  def shape(self, frames: float, phonemes: int) -> Shape:
    """The padded shape of a batch of one line, of so many mel frames and phonemes."""
    return padded_shape(frames, phonemes)

  def predict_durations(self, batch: dict[str, Any]) -> jax.Array:
    """Log durations (B, N) of a batch laid out as `empty_line`."""
    return _predict(self.config)(self.params, batch)

  def synthesize(
    self, batch: dict[str, Any], durations: np.ndarray, controls: np.ndarray, num_frames: int
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mel (B, T, 80), pitch (B, T) Hz, emotion (B, 8); see DirectorActor.synthesize."""
    return _synthesize(self.config, num_frames)(self.params, batch, durations, controls)

  def voice(self, recording: str | Path, steps: int | None = None) -> Voice:
    """A voice from a recording, or one that ships with the model by its name; the actor is adapted to a recording in so
    many steps. Raises BadInput for a recording that cannot be used."""
    from dubber_jax.inference.voices import find_voice

    return find_voice(str(recording), self.voices, self, steps)

  def dub(
    self,
    film: str | Path,
    lines: 'str | Sequence[Line]',
    *,
    voice: 'Voice | Cast',
    out: str | Path,
    options: 'DubOptions | None' = None,
    library: 'Library | None' = None,
    project: str | Path | None = None,
  ) -> 'DubResult':
    """Dubs a film: one line's text, or lines with their times, into `out`; see dubbing/film.py."""
    from dubber_jax.dubbing.film import dub
    from dubber_jax.dubbing.request import DubRequest

    return dub(DubRequest.of(film, lines, voice, out, options, project), self, library)


@functools.lru_cache(maxsize=64)
def _predict(config: Config) -> KeptProgram:
  def predict(params: Any, batch: dict[str, Any]):
    return _module(config).apply({'params': params}, batch, method='encode')[2]

  return KeptProgram('durations', config.to_json(), predict)


@functools.lru_cache(maxsize=64)
def _synthesize(config: Config, num_frames: int) -> KeptProgram:
  def synthesize(params: Any, batch: dict[str, Any], durations: jax.Array, controls: jax.Array):
    return _module(config).apply({'params': params}, batch, durations, controls, num_frames, method='synthesize')

  return KeptProgram('takes', f'{config.to_json()} {num_frames}', synthesize)


def _module(config: Config) -> Any:
  from dubber_jax.model import DirectorActor  # with Flax, which kept programs do without

  return DirectorActor(config)
