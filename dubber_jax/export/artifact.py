"""Artifact loader: a model whose programs were lowered at export, with the interface of `inference.model.Model`.

model = dubber_jax.export.load('artifact')
take = synthesis.vocode(model, synthesis.synthesize(model, LineInputs(phonemize(text), voice, seconds)))
"""

import dataclasses
import functools
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dubber_jax.config import from_json
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import check_features, open_critic
from dubber_jax.inference.voice_files import read_voices
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.storage.checked_folder import check_files
from dubber_jax.storage.weights import read_arrays, unflatten
from dubber_jax.vocoder.inputs import Input, batch_inputs

FORMAT = 2  # of programs.json and of the programs' inputs


def load(path: str | Path, check: bool = True, features: bool = True) -> 'Artifact':
  """Opens an artifact of `export`. No network is built; programs are compiled at their first call.

  features: compare the installed extractors with those it was trained with; where nothing is read from films or texts,
  none are needed.

  Raises BadInput where a file's hash differs from the manifest (skipped without `check`), for another format, for an
  artifact without programs for the device here, and where other extractors are installed than it was trained with.
  """
  path = Path(path)
  if not (path / 'programs.json').exists():
    raise BadInput(f'{path} is not an artifact (no programs.json): give the folder that `dubber export` wrote')
  check_files(path, hashes=check)
  programs = Programs(path)
  config = from_json((path / 'config.json').read_text(), str(path / 'config.json'))
  if features:
    check_features(path)
  weights = path / 'vocoder' / 'model.safetensors'
  vocoder = ExportedVocoder(programs, read_weights(weights) if weights.exists() else {})
  params, critic = read_weights(path / 'model.safetensors'), open_critic(path)
  return Artifact(config, params, vocoder, read_voices(path / 'voices.safetensors'), path, critic, programs)


def read_weights(path: Path) -> dict:
  """Nested parameters of a safetensors file, on the device, in float32."""
  return jax.device_put(unflatten(read_arrays(path, np.float32)))


class Programs:
  """The programs of an artifact by name and bucket, deserialized and compiled at their first call."""

  def __init__(self, path: Path):
    facts = json.loads((path / 'programs.json').read_text())
    if facts.get('format') != FORMAT:
      raise BadInput(
        f'{path} was exported by dubber_jax {facts.get("dubber_jax")} in format {facts.get("format")}; '
        f'this one reads format {FORMAT}: export the model again'
      )
    platform = {'gpu': 'cuda'}.get(jax.default_backend(), jax.default_backend())
    if platform not in facts['platforms']:
      raise BadInput(
        f'{path} has programs for {", ".join(facts["platforms"])}, and none for {platform}, the device '
        f'here: export it with --platforms {platform}, or set JAX_PLATFORMS'
      )
    self.path, self.facts = path, facts
    self.shapes = [Shape(**bucket) for bucket in facts['buckets']]
    self._call = functools.cache(self._open)

  def shape(self, frames: float, phonemes: int = 0) -> Shape:
    """The smallest bucket that holds so many mel frames and phonemes. Raises BadInput where none does."""
    for shape in self.shapes:
      if frames <= shape.frames and phonemes <= shape.phonemes:
        return shape
    seconds = 1 / self.facts['frame_rate']
    raise BadInput(
      f'a line of {frames * seconds:.1f} s and {phonemes} phonemes is too long for {self.path}, which was exported for '
      f'up to {shape.frames * seconds:.1f} s and {shape.phonemes} phonemes: split it, or export with a longer --buckets'
    )

  def inputs(self, name: str, frames: int) -> dict[str, Input]:
    """The inputs of program `name` of the bucket of `frames` mel frames."""
    return {k: Input(**v) for k, v in self.facts['programs'][f'{name}_{frames}']['inputs'].items()}

  def __call__(self, name: str, frames: int, params: Any, arrays: dict) -> dict[str, jax.Array]:
    return self._call(f'{name}_{frames}')(params, arrays)

  def _open(self, name: str):
    try:
      exported = jax.export.deserialize(bytearray((self.path / 'programs' / f'{name}.jaxexport').read_bytes()))
    except (OSError, ValueError, struct.error) as e:
      raise BadInput(
        f'{self.path}: {name} of JAX {self.facts["jax"]} cannot be opened by JAX {jax.__version__} '
        f'({str(e).splitlines()[0][:200]}): export the model again'
      ) from e
    return jax.jit(exported.call)


@dataclasses.dataclass(frozen=True)
class Artifact(Model):
  """A Model that calls exported programs instead of building its network."""

  programs: Programs | None = None

  def shape(self, frames: float, phonemes: int) -> Shape:
    return self.programs.shape(frames, phonemes)

  def predict_durations(self, batch: dict) -> jax.Array:
    frames = next(s.frames for s in self.programs.shapes if s.lips == batch['lips'].shape[1])
    inputs = {name: batch[name] for name in self.programs.inputs('predict_durations', frames)}
    return self.programs('predict_durations', frames, self.params, inputs)['log_durations']

  def synthesize(
    self, batch: dict, durations: jax.Array, controls: jax.Array, num_frames: int
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    line = batch | {'durations': durations, 'slot': durations.sum(1, dtype=np.int32), 'controls': controls}
    take = self.programs('synthesize', num_frames, self.params, line)
    return take['mel'], take['pitch'], take['emotion']


class ExportedVocoder:
  """The vocoder interface over the artifact's program `vocode`."""

  def __init__(self, programs: Programs, params):
    self.programs, self.params = programs, params
    self.sample_rate, self.hop = programs.facts['sample_rate'], programs.facts['hop']

  def vocode(self, mel: np.ndarray, seed: int = 0, breathiness: float = 0.0, tremor: float = 0.0) -> np.ndarray:
    """(T, bands) natural-log mel -> (T * hop,) float32. Trailing silence may exceed the longest bucket."""
    quality = np.array([[breathiness, tremor]], np.float32)
    sounding = np.flatnonzero((mel > LOG_FLOOR + 1e-3).any(axis=1))
    longest = self.programs.shapes[-1].frames
    frames = len(mel) if len(mel) <= longest else min(int(sounding[-1]) + 1, len(mel)) if len(sounding) else 1
    shape = self.programs.shape(frames)
    wave = self.vocode_batch([mel[:frames]], [seed], quality, 1, shape.frames)[0]
    return np.pad(wave, (0, (len(mel) - frames) * self.hop))

  def vocode_batch(
    self, mels: Sequence[np.ndarray], seeds: Sequence[int], quality: np.ndarray, items: int, frames: int
  ) -> list[np.ndarray]:
    """Waveforms of several mels (T, bands) in one batch, as `NeuralVocoder.vocode_batch`; frames: of a bucket."""
    arrays = batch_inputs(self.programs.inputs('vocode', frames), mels, seeds, quality, items)
    waves = np.asarray(self.programs('vocode', frames, self.params, arrays)['wave'])
    return [wave[: len(mel) * self.hop].copy() for wave, mel in zip(waves, mels, strict=False)]
