"""SHA-256 of files and of Python values."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()
