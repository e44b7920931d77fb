"""Uploads: they lie in a folder of the home folder for as long as their request lasts, and are read by processes of
their own (upload_worker.py), so that a file that is damaged or malicious costs its own request alone."""

import asyncio
import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request

from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.forms import UploadForm, receive_form
from dubber_jax.serving.settings import MEGABYTE, Limits
from dubber_jax.storage.atomic import partial_name, remove_abandoned

logger = logging.getLogger(__name__)

STEM = 'upload'
KINDS = ('voice', 'film', 'script', 'reference')
AT_ONCE = 2  # processes that read; more uploads wait
MOST_WAITING = 16
RESULT_BYTES = 16 * MEGABYTE  # of result.json
FILE_BYTES = 256 * MEGABYTE  # of a file that a process writes, which the server reads into its memory
MOST_FORMS = 16  # that arrive at once
LONGEST_ROW = 100  # bytes of what a process says at once
POLL = 0.2  # s between two looks whether a process that takes long is still wanted
ROOT = Path(__file__).parents[2]  # where the package lies


class UploadWorkers:
  """Reads uploads in processes with limits, one process for each. One waits ready, so that no request waits for it to
  start. folder: home/uploads."""

  def __init__(self, folder: Path, limits: Limits):
    self.folder, self.limits = folder, limits
    self._spare: _Worker | None = None
    self._reading: set[_Worker] = set()
    self._lock, self._waiting, self._stopped = threading.Lock(), 0, False
    self._forms = 0
    self._threads = ThreadPoolExecutor(AT_ONCE, 'dubber-uploads')

  def start(self) -> None:
    """Deletes what killed servers left behind, and starts the process that waits."""
    self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # voices are people's own
    self.folder.mkdir(exist_ok=True)
    remove_abandoned(self.folder / STEM)
    self._put_spare()

  def stop(self) -> None:
    """Ends the processes."""
    with self._lock:
      self._stopped = True
      spare, self._spare = self._spare, None
      reading = [*self._reading]
    if spare:
      spare.end()
    for worker in reading:
      worker.kill()
    self._threads.shutdown(wait=False, cancel_futures=True)

  @contextlib.asynccontextmanager
  async def form(self, request: Request, files: Mapping[str, int]) -> AsyncIterator[UploadForm]:
    """The form of a request, whose files are there until the block ends; see `receive_form`. Raises ApiError 429 where
    too many arrive already."""
    with self.new_folder() as folder:
      if self._forms >= MOST_FORMS:
        raise ApiError(429, f'{MOST_FORMS} uploads arrive already; ask again later', 'queue_full', None, 10)
      self._forms += 1
      try:
        form = await receive_form(request, folder, files)
      finally:
        self._forms -= 1
      yield form

  @contextlib.contextmanager
  def new_folder(self):
    """A folder that is deleted at the end, and by the next server where this one is killed."""
    folder = self.folder / partial_name(STEM)
    folder.mkdir(parents=True)
    try:
      yield folder
    finally:
      shutil.rmtree(folder, ignore_errors=True)

  async def read(self, path: Path, kind: str, name: str = '', **more: Any) -> dict[str, Any]:
    """Facts of an uploaded file and its arrays, by the reader of its kind (one of KINDS; see upload_worker.py).

    name: of the file, for messages. Raises ApiError 422 for a file that cannot be read or that the process died of, 413
    for one that takes too much memory, 408 for one that takes too long, 429 where too many wait.
    """
    if kind not in KINDS:
      raise ValueError(f'no kind of upload {kind!r}')
    with self._lock:
      if self._waiting >= MOST_WAITING:
        raise ApiError(429, f'{self._waiting} uploads are being read already; ask again later', 'queue_full', None, 10)
      self._waiting += 1
    reading = _Reading(self.limits.worker_seconds)
    try:
      with self.new_folder() as folder:
        shown = Path(name or path.name).name[:80]
        task = {'kind': kind, 'path': str(path.absolute()), 'name': shown, 'folder': str(folder.absolute()), **more}
        run = self._threads.submit(self._run, task, reading)
        try:
          return await asyncio.shield(asyncio.wrap_future(run))
        except asyncio.CancelledError:
          reading.cancel()
          if not run.cancel():
            with contextlib.suppress(ApiError):
              await asyncio.wrap_future(run)  # its process is killed, so that this is at once; then its folder can go
          raise
    finally:
      with self._lock:
        self._waiting -= 1

  def decode_film(
    self, path: Path, name: str, seconds: float, told: Callable[[float], None], audio_track: int | None = None
  ) -> None:
    """Decodes a film whole, in a process of its own which keeps nothing of it: what the server decodes of it then has
    been decoded before. Blocks its thread.

    name: of the film, for messages; seconds: that it lasts, from which the time follows that the process has; told: is
    given the share that is done a few times a second, and ends the process by what it raises. Raises ApiError as
    `read`.
    """
    reading = _Reading(self.limits.worker_seconds + self.limits.film_ratio * seconds, told)
    with self.new_folder() as folder:
      task = {'kind': 'whole film', 'path': str(path.absolute()), 'name': Path(name).name[:80]}
      self._run({**task, 'folder': str(folder.absolute()), 'seconds': seconds, 'audio_track': audio_track}, reading)

  def _run(self, task: dict[str, Any], reading: '_Reading') -> dict[str, Any]:
    worker = self._take() if reading.told is None else _Worker(self.limits, reading.seconds * (os.cpu_count() or 1))
    with self._lock:
      self._reading.add(worker)
    try:
      reading.begin(worker)
      late = worker.run(task, reading, self.limits.film_still_seconds)
    finally:
      code = worker.end()
      with self._lock:
        self._reading.discard(worker)
      self._put_spare()
    if late or code == -signal.SIGXCPU:
      raise ApiError(408, f'{task["name"]}: {late or "takes too long to be read"}', 'too_slow', task['kind'])
    return _result(task, code)

  def _take(self) -> '_Worker':
    with self._lock:
      spare, self._spare = self._spare, None
    if spare is not None and spare.process.poll() is None:
      return spare
    if spare is not None:
      spare.end()
    return _Worker(self.limits, self.limits.worker_seconds)

  def _put_spare(self):
    with self._lock:
      if self._stopped or (self._spare is not None and self._spare.process.poll() is None):
        return
      self._spare = _Worker(self.limits, self.limits.worker_seconds)


class _Worker:
  """A process of upload_worker.py. computing: s for which it may compute, on all processors together."""

  def __init__(self, limits: Limits, computing: float):
    command = [sys.executable, '-P', '-m', 'dubber_jax.serving.upload_worker']
    numbers = (limits.worker_bytes, computing, FILE_BYTES)
    single = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    kept = {name: os.environ[name] for name in ('PATH', 'LANG', 'LD_LIBRARY_PATH') if name in os.environ}
    self.process = subprocess.Popen(
      [*command, *map(str, numbers)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      cwd=tempfile.gettempdir(),
      env={**kept, **single, 'PYTHONPATH': str(ROOT)},
      start_new_session=True,
    )
    self._ending = threading.Lock()

  def run(self, task: dict[str, Any], reading: '_Reading', still_seconds: float) -> str:
    """Gives it its task and waits for its end, which closes its output -> why it came too late, '' where it did not.
    still_seconds: for which one that tells how far it is may say nothing."""
    stdin, stdout = self.process.stdin, self.process.stdout
    assert stdin is not None and stdout is not None
    heard = time.monotonic()
    finish, said, share = heard + reading.seconds, b'', 0.0
    with contextlib.suppress(BrokenPipeError):
      stdin.write(json.dumps(task).encode() + b'\n')
      stdin.close()
    with selectors.DefaultSelector() as selector:
      selector.register(stdout, selectors.EVENT_READ)
      while (left := finish - time.monotonic()) > 0:
        there = selector.select(min(left, POLL) if reading.told else left)
        data = os.read(stdout.fileno(), 1 << 16) if there else b''
        if reading.told:
          said = (said + data)[-LONGEST_ROW:]
          share = max(share, _share(said))
          reading.told(share)
        if there and not data:
          return ''
        heard = time.monotonic() if data else heard
        if reading.told and time.monotonic() - heard > still_seconds:
          return f'reading it came no further for {still_seconds:g} s'
    return f'could not be read within {reading.seconds:.4g} s'

  def kill(self) -> None:
    """Kills it with all that it started, if it is there still. From any thread."""
    with self._ending:
      if self.process.returncode is None:  # not waited for yet, so that its number is its own
        with contextlib.suppress(ProcessLookupError, PermissionError):
          os.killpg(self.process.pid, signal.SIGKILL)

  def end(self) -> int:
    """The same, and waits for its end -> its exit code: its own, where it had ended before."""
    self.kill()
    with self._ending:
      self.process.wait()
    for pipe in (self.process.stdin, self.process.stdout):
      with contextlib.suppress(OSError):
        if pipe:
          pipe.close()
    return self.process.returncode


class _Reading:
  """The process that reads for one request, to be killed where that request goes away. seconds: that it has; told: of
  what takes long, is given the share that is done every POLL s and at the end, and ends it by what it raises."""

  def __init__(self, seconds: float, told: Callable[[float], None] | None = None):
    self.seconds, self.told = seconds, told
    self._worker: _Worker | None = None
    self._lock, self._cancelled = threading.Lock(), False

  def begin(self, worker: _Worker) -> None:
    with self._lock:
      self._worker = worker
      if self._cancelled:
        worker.kill()

  def cancel(self) -> None:
    with self._lock:
      self._cancelled = True
      if self._worker is not None:
        self._worker.kill()


def _share(said: bytes) -> float:
  """The number in the last whole line of what a process wrote, from 0 to 1; 0 where there is none."""
  row = said.rpartition(b'\n')[0].rpartition(b'\n')[2]
  try:
    share = float(row)
  except ValueError:
    return 0.0
  return share if 0 <= share <= 1 else 0.0


def _result(task: dict[str, Any], code: int) -> dict[str, Any]:
  """What a process wrote. Raises ApiError for what it refused, and where it wrote nothing."""
  folder = Path(task['folder'])
  try:
    if (folder / 'result.json').stat().st_size > RESULT_BYTES:
      raise ApiError(413, f'{task["name"]}: holds more than an upload may', 'too_large', task['kind'])
    found = json.loads((folder / 'result.json').read_text(encoding='utf-8'))
    if 'error' in found:
      code_name = 'too_large' if found['status'] == 413 else 'bad_upload'
      raise ApiError(int(found['status']), str(found['error'])[:1000], code_name, task['kind'])
    return found['facts'] | {name: _array(folder / f'{name}.npy') for name in found['arrays']}
  except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
    logger.warning('an upload (%s) ended the process that read it: exit code %s', task['kind'], code)
    raise ApiError(422, f'{task["name"]}: cannot be read, it is damaged', 'bad_upload', task['kind']) from None


def _array(path: Path) -> np.ndarray:
  """An array of a file. It is mapped first, which checks its shape against the size of the file."""
  return np.array(np.load(path, mmap_mode='r', allow_pickle=False))
