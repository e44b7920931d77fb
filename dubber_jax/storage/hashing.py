"""Hashes of content: SHA-256 in hexadecimal of bytes, texts, JSON values, arrays and files.

Stored hashes (manifests, caches, projects) are these digests or their first digits, so that what is hashed here, and
in which order, is part of the file formats.
"""

import hashlib
import json
import os
from collections.abc import Mapping

import numpy as np
from etils import epath


def sha256_bytes(*parts: bytes) -> str:
  """Of the parts joined, without a separator."""
  state = hashlib.sha256()
  for part in parts:
    state.update(part)
  return state.hexdigest()


def sha256_text(text: str) -> str:
  """Of a text as UTF-8."""
  return sha256_bytes(text.encode())


def sha256_json(value: object) -> str:
  """Of a value as one line of JSON with sorted keys."""
  return sha256_text(json.dumps(value, sort_keys=True))


def sha256_file(path: str | os.PathLike) -> str:
  """Of a file's content, read in blocks; the path may be in a bucket."""
  with epath.Path(path).open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def sha256_named_arrays(arrays: Mapping[str, np.ndarray]) -> str:
  """Of names and arrays in the mapping's order, by their types, shapes and C-ordered content."""
  state = hashlib.sha256()
  for name, array in arrays.items():
    array = np.ascontiguousarray(array)
    state.update(f'{name} {array.dtype} {array.shape}'.encode())
    state.update(array.view(np.uint8).data if array.ndim else array.tobytes())
  return state.hexdigest()


def content_key(*parts: object) -> str:
  """BLAKE2b, 40 digits, of arrays, strings and numbers by content, shape and type: the key of a cache entry."""
  state = hashlib.blake2b(digest_size=20)
  for part in parts:
    if isinstance(part, np.ndarray):
      state.update(f'{part.dtype}{part.shape}'.encode())
      state.update(np.ascontiguousarray(part).data)
    else:
      state.update(f'{type(part).__name__}:{part!r}'.encode())
    state.update(b'\0')
  return state.hexdigest()
