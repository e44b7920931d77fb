"""Lossless compression of packed features into files of limited size, and their restoration.

    python -m data_pipelines.transfer split cache/packed/*[0-9a-f] -o parts   # parts/SET/000.xz ..., manifest.json
    python -m data_pipelines.transfer join parts/* -o cache/packed

LZMA over byte differences between successive frames: mels take about 0.64 of their bytes, lips 0.57. Every file is
restored byte for byte, which its stored hash verifies. Splitting takes a second a MB, joining much less.
"""

import argparse
import json
import lzma
import sys
from collections.abc import Sequence
from pathlib import Path

from dubber_jax.errors import BadInput, exit_code
from dubber_jax.perception.config import FeatureConfig
from dubber_jax.storage.atomic import complete_folder
from dubber_jax.storage.hashing import sha256_bytes, sha256_file
from dubber_jax.types import MEL_BANDS

LARGEST = 24  # MiB a part
STRIDES = {'mel.npy': MEL_BANDS, 'lips.npy': 2 * FeatureConfig.lip_width, 'pitch.npy': 2}  # bytes a frame
BLOCK = 1 << 20  # bytes read at once


def split(folder: str | Path, out: str | Path, largest: float = LARGEST) -> Path:
  """Writes a folder's files to parts of at most `largest` MiB in the folder `out`/NAME, and returns that."""
  folder, out = Path(folder), Path(out) / Path(folder).name
  files = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
  if not files:
    raise BadInput(f'{folder}: no packed features here; give a folder of cache/packed')
  with complete_folder(out) as beside:
    stream = _PartWriter(beside, int(largest * 2**20))
    rows = []
    for path in files:
      begin = stream.position
      packer = lzma.LZMACompressor(filters=_filters(path.name))
      with path.open('rb') as file:
        while block := file.read(BLOCK):
          stream.write(packer.compress(block))
      stream.write(packer.flush())
      rows.append({'name': path.name, 'sha256': sha256_file(path), 'begin': begin, 'end': stream.position})
    (beside / 'manifest.json').write_text(json.dumps({'files': rows, 'parts': stream.close()}, indent=2))
  return out


def join(parts: str | Path, out: str | Path) -> Path:
  """Restores the folder `out`/NAME from the parts in folder `parts`, and returns it. Raises BadInput where a part is
  missing or damaged."""
  parts, out = Path(parts), Path(out) / Path(parts).name
  try:
    manifest = json.loads((parts / 'manifest.json').read_text())
    files, written = manifest['files'], manifest['parts']
  except (OSError, ValueError, KeyError) as e:
    raise BadInput(f'{parts}: no manifest of parts here ({e}); copy manifest.json too') from None
  lost = [p['name'] for p in written if not (parts / p['name']).exists()]
  if lost:
    raise BadInput(f'{parts}: {len(lost)} of {len(written)} parts are missing ({", ".join(lost)}); copy them too')
  for p in written:
    if sha256_file(parts / p['name']) != p['sha256']:
      raise BadInput(f'{parts / p["name"]}: damaged in transfer; copy it again')
  with complete_folder(out, overwrite=True) as beside:
    for row in files:
      unpacker = lzma.LZMADecompressor()
      with (beside / row['name']).open('wb') as file:
        for block in _read_range(parts, written, row['begin'], row['end']):
          file.write(unpacker.decompress(block))
      if sha256_file(beside / row['name']) != row['sha256']:
        raise BadInput(f'{parts}: {row["name"]} was restored with another hash; split it again')
  return out


def _filters(name: str) -> list[dict]:
  difference = [{'id': lzma.FILTER_DELTA, 'dist': STRIDES[name]}] if name in STRIDES else []
  return [*difference, {'id': lzma.FILTER_LZMA2, 'preset': 6}]


class _PartWriter:
  """Writes a stream of bytes to files of limited size."""

  def __init__(self, folder: Path, largest: int):
    self.folder, self.largest, self.position = folder, largest, 0
    self.held = bytearray()
    self.parts = []

  def write(self, data: bytes):
    self.held += data
    self.position += len(data)
    while len(self.held) > self.largest:
      self._cut(self.largest)

  def close(self) -> list[dict]:
    self._cut(len(self.held))
    return self.parts

  def _cut(self, count: int):
    data, name = bytes(self.held[:count]), f'{len(self.parts):03d}.xz'
    del self.held[:count]
    (self.folder / name).write_bytes(data)
    self.parts.append({'name': name, 'bytes': count, 'sha256': sha256_bytes(data)})


def _read_range(folder: Path, parts: list[dict], begin: int, end: int):
  """Yields the stream's bytes from `begin` to `end` in blocks."""
  start = 0
  for part in parts:
    first, last = max(begin - start, 0), min(end - start, part['bytes'])
    if first < last:
      with (folder / part['name']).open('rb') as file:
        file.seek(first)
        while first < last and (block := file.read(min(BLOCK, last - first))):
          first += len(block)
          yield block
    start += part['bytes']


def main(arguments: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(prog='python -m data_pipelines.transfer', description=__doc__.split('\n')[0])
  parser.add_argument('what', choices=('split', 'join'))
  parser.add_argument('folders', nargs='+')
  parser.add_argument('-o', '--out', required=True)
  parser.add_argument('--largest', type=float, default=LARGEST, help='MiB a part')
  given = parser.parse_args(arguments)

  def action() -> None:
    for folder in given.folders:
      print(split(folder, given.out, given.largest) if given.what == 'split' else join(folder, given.out))

  return exit_code(action)


if __name__ == '__main__':
  sys.exit(main())
