"""Voice files in safetensors: speaker embedding, reference mel and parameter changes of each voice."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dubber_jax.storage.weights import read_arrays_and_metadata, write_arrays
from dubber_jax.types import Voice


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
  """Reads the voices that `write_voices` wrote, by name."""
  by_name: dict[str, dict] = {}
  arrays, fitted = read_arrays_and_metadata(path)
  for key, array in arrays.items():
    name, fit, part = key.partition('/fit/')
    if not fit:
      name, _, part = key.rpartition('/')
    by_name.setdefault(name, {})[f'{fit[1:]}{part}'] = array
  return {
    name: Voice(
      parts['embedding'],
      parts['reference_mel'].astype(np.float32),
      name,
      fit={k.removeprefix('fit/'): v for k, v in parts.items() if k.startswith('fit/')},
      fit_of=fitted.get(name, ''),
    )
    for name, parts in sorted(by_name.items())
  }
