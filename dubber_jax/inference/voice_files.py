"""Voice files in safetensors: speaker embedding, reference mel and parameter changes of each voice."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.storage.weights import read_arrays_and_metadata, write_arrays
from dubber_jax.types import MEL_BANDS, Voice

SPEAKER_WIDTH = 256  # of a speaker embedding


def write_voices(voices: Mapping[str, Voice], path: Path, mel_type: type = np.float32):
  """Writes voices by name: NAME/embedding, NAME/reference_mel and, of adapted ones, NAME/fit/PARAMETER.

  The metadata has, by name, the hash of the actor that each was adapted for."""
  arrays, fitted = {}, {}
  for name, voice in voices.items():
    arrays[f'{name}/embedding'] = np.float32(voice.embedding)
    arrays[f'{name}/reference_mel'] = voice.reference_mel.astype(mel_type)
    arrays |= {f'{name}/fit/{parameter}': np.float32(value) for parameter, value in voice.fit.items()}
    if voice.fit:
      fitted[name] = voice.fit_of
  write_arrays(path, arrays, metadata=fitted)


def read_voices(path: Path) -> dict[str, Voice]:
  """Reads the voices that `write_voices` wrote, by name. Raises BadInput where a file is damaged or not of voices."""
  by_name: dict[str, dict] = {}
  arrays, fitted = read_arrays_and_metadata(path)
  for key, array in arrays.items():
    name, fit, part = key.partition('/fit/')
    if not fit:
      name, _, part = key.rpartition('/')
    by_name.setdefault(name, {})[f'{fit[1:]}{part}'] = array
  return {name: _voice(name, parts, fitted.get(name, ''), path) for name, parts in sorted(by_name.items())}


def _voice(name: str, parts: Mapping[str, np.ndarray], fit_of: str, path: Path) -> Voice:
  embedding, mel = (parts.get(part, np.zeros(0)).astype(np.float32) for part in ('embedding', 'reference_mel'))
  fit = {k.removeprefix('fit/'): v.astype(np.float32) for k, v in parts.items() if k.startswith('fit/')}
  sized = embedding.shape == (SPEAKER_WIDTH,) and mel.ndim == 2 and mel.shape[1] == MEL_BANDS and len(mel)
  if not sized or not all(np.isfinite(array).all() for array in (embedding, mel, *fit.values())):
    raise BadInput(
      f'{path}: the voice {name!r} has no embedding ({SPEAKER_WIDTH},) and reference mel (frames, {MEL_BANDS}) of '
      'finite numbers; it is no file of voices, or damaged: copy it again'
    )
  return Voice(embedding, mel, name, fit=fit, fit_of=fit_of)
