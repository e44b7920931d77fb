"""Uploaded forms: their files go to the disk as they arrive, of which one part at a time is in memory."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from dubber_jax.serving.errors import ApiError
from dubber_jax.storage.atomic import is_disk_full

MOST_PARTS = 40
FIELD_BYTES = 1_000_000  # of all fields that are no files
WRITTEN_BYTES = 1 << 20  # that are collected before they are written


@dataclass(frozen=True)
class UploadedFile:
  """A file of a form. name: as the sender calls it, which says nothing for certain; hash: SHA-256."""

  path: Path
  name: str
  size: int
  hash: str


@dataclass
class UploadForm:
  """What a form holds: its fields as texts, and its files, which lie in `folder` and go with it."""

  folder: Path
  fields: dict[str, str] = field(default_factory=dict)
  files: dict[str, UploadedFile] = field(default_factory=dict)

  def file(self, name: str) -> UploadedFile:
    """A file that has to be there. Raises ApiError 400 where it is not, or is empty."""
    found = self.files.get(name)
    if found is None:
      wrong = 'is a text, send a file' if name in self.fields else 'is missing'
      raise ApiError(400, f'the file {name!r} of the form {wrong}', 'missing_file', name)
    if not found.size:
      raise ApiError(400, f'the file {name!r} of the form is empty', 'empty_file', name)
    return found


def suffix_of(name: str) -> str:
  """The suffix of a sender's file name, where it is a plain one: '.mp4'; else ''."""
  found = re.search(r'\.[A-Za-z0-9]{1,8}$', name)
  return found[0].lower() if found else ''


async def receive_form(request: Request, folder: Path, files: Mapping[str, int]) -> UploadForm:
  """Reads a request's form, its files into `folder`. files: the limit in bytes of each file that it may have.

  Raises ApiError 415 for a request that is no form, 400 for one that is broken, cut off or has another file, 413 for a
  file beyond its limit, 507 where the disk is full.
  """
  kind, options = parse_options_header(request.headers.get('content-type', ''))
  if kind != b'multipart/form-data' or not 0 < len(options.get(b'boundary', b'')) <= 200:
    raise ApiError(415, 'send a form (multipart/form-data with a boundary)', 'form_required')
  form = UploadForm(folder)
  reader = _FormReader(form, files)
  parser = MultipartParser(options[b'boundary'], reader.callbacks())
  try:
    async for data in request.stream():
      parser.write(data)
      if reader.waiting >= WRITTEN_BYTES:
        await asyncio.to_thread(reader.write)
    await asyncio.to_thread(reader.write)
    parser.finalize()
  except FormParserError as error:
    raise ApiError(400, f'the form is broken ({" ".join(str(error).split())[:120]})', 'bad_form') from None
  except OSError as error:
    if is_disk_full(error):
      raise ApiError(507, 'the disk of the server is full; free some space on it', 'disk_full') from None
    raise
  finally:
    reader.close()
  if not reader.ended:
    raise ApiError(400, 'the form is cut off before its end', 'bad_form')
  return form


class _FormReader:
  """Takes what the parser finds. Files are written by `write`, outside of the event loop."""

  def __init__(self, form: UploadForm, limits: Mapping[str, int]):
    self.form, self._limits = form, limits
    self.ended, self.waiting, self._parts, self._field_bytes = False, 0, 0, 0
    self._header, self._value = b'', b''
    self._name, self._file_name = '', ''
    self._disposition = b''
    self._text: bytearray | None = None
    self._pieces: list[tuple[str, bytes | None]] = []  # of files; None: its end
    self._open: dict[str, tuple[IO[bytes], Any]] = {}
    self._sizes: dict[str, int] = {}
    self._names: dict[str, str] = {}

  def callbacks(self) -> Any:
    names = ('part_begin', 'part_data', 'part_end', 'header_field', 'header_value', 'header_end', 'headers_finished')
    return {f'on_{name}': getattr(self, f'_{name}') for name in names} | {'on_end': self._end}

  def write(self):
    """Writes what waits."""
    for name, data in self._pieces:
      path = self.form.folder / f'{name}{suffix_of(self._names[name])}'
      if name not in self._open:
        self._open[name] = (open(path, 'xb'), hashlib.sha256())
      file, digest = self._open[name]
      if data is None:
        file.close()
        self.form.files[name] = UploadedFile(path, self._names[name], self._sizes[name], digest.hexdigest())
      else:
        file.write(data)
        digest.update(data)
    self._pieces, self.waiting = [], 0

  def close(self):
    for file, _ in self._open.values():
      file.close()

  def _part_begin(self):
    self._parts += 1
    self._disposition, self._text, self._name, self._file_name = b'', None, '', ''
    if self._parts > MOST_PARTS:
      raise ApiError(400, f'the form has more than {MOST_PARTS} parts', 'bad_form')

  def _header_field(self, data: bytes, start: int, end: int):
    self._header += data[start:end]

  def _header_value(self, data: bytes, start: int, end: int):
    self._value += data[start:end]

  def _header_end(self):
    if self._header.lower() == b'content-disposition':
      self._disposition = self._value
    self._header = self._value = b''

  def _headers_finished(self):
    _, options = parse_options_header(self._disposition)
    name = options.get(b'name', b'').decode('utf-8', 'replace')
    if not name or len(name) > 100 or name in self.form.fields or name in self._names:
      raise ApiError(400, f'the form has a part without a name of its own ({name[:40]!r})', 'bad_form')
    self._name = name
    if b'filename' not in options:
      self._text = bytearray()
      self.form.fields[name] = ''
      return
    if name not in self._limits:
      known = ', '.join(self._limits) or 'none'
      raise ApiError(400, f'the form has a file {name[:40]!r}; files can be: {known}', 'unknown_file', name[:40])
    self._names[name] = options[b'filename'].decode('utf-8', 'replace')[:500]
    self._sizes[name] = 0
    self._pieces.append((name, b''))

  def _part_data(self, data: bytes, start: int, end: int):
    if self._text is not None:
      self._field_bytes += end - start
      if self._field_bytes > FIELD_BYTES:
        raise ApiError(413, f'the fields of the form are larger than {FIELD_BYTES:,} bytes', 'too_large', self._name)
      self._text += data[start:end]
      return
    self._sizes[self._name] += end - start
    if self._sizes[self._name] > self._limits[self._name]:
      message = f'the file {self._name!r} is larger than {self._limits[self._name]:,} bytes'
      raise ApiError(413, message, 'too_large', self._name)
    self._pieces.append((self._name, data[start:end]))
    self.waiting += end - start

  def _part_end(self):
    if self._text is not None:
      self.form.fields[self._name] = self._text.decode('utf-8', 'replace')
    else:
      self._pieces.append((self._name, None))

  def _end(self):
    self.ended = True
