"""Processes that are killed at work: those that read uploads, and the server itself.

`kill_upload_workers`: a request whose process is killed gets an error, and those beside it and after it are answered.
`kill_servers`: a server is killed while a project is dubbed, changed or exported; the project opens again, whole, by
the library and by the next server. 50 of each: `experiments/timing/serving.py --parts kills`; some: `tests/serving/`.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

START = 300.0  # seconds for a server to answer
WORKER = 'dubber_jax.serving.upload_worker'


def free_port() -> int:
  """A port of the loopback interface that nobody listens at."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


@dataclass
class Server:
  """A server in a process of its own: `command` (PORT in it is replaced), on a free port of the loopback interface."""

  command: Sequence[str]
  log: Path
  port: int = 0
  environment: Mapping[str, str] = field(default_factory=dict)
  process: subprocess.Popen[bytes] = field(init=False)

  def __post_init__(self):
    self.port = self.port or free_port()
    command = [word.replace('PORT', str(self.port)) for word in self.command]
    with self.log.open('ab') as log:
      self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})

  @classmethod
  def of_package(cls, home: Path, log: Path, *options: str, environment: Mapping[str, str] | None = None) -> 'Server':
    """`dubber serve` of the package that is imported here."""
    command = [sys.executable, '-m', 'dubber_jax.cli', 'serve', '--port', 'PORT', '--home', str(home), *options]
    return cls(command, log, environment=environment or {})

  @property
  def address(self) -> str:
    return f'http://127.0.0.1:{self.port}'

  def wait(self, path: str = '/readyz', seconds: float = START) -> float:
    """Waits until a path is answered by 200 -> seconds since then. Raises RuntimeError where that does not happen."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
      if self.process.poll() is not None:
        raise RuntimeError(f'the server ended with code {self.process.returncode}: {self.log.read_text()[-2000:]}')
      with contextlib.suppress(httpx.HTTPError):
        if httpx.get(self.address + path, timeout=5).status_code == 200:
          return time.monotonic() - began
      time.sleep(0.25)
    raise RuntimeError(f'{path} was not answered by 200 within {seconds:g} s: {self.log.read_text()[-2000:]}')

  def kill(self) -> None:
    """Kills it with what it started, without a warning."""
    with contextlib.suppress(psutil.NoSuchProcess):
      for child in psutil.Process(self.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
          child.kill()
    self.process.kill()
    self.process.wait()

  def stop(self, seconds: float = 60.0) -> int:
    """Asks it to end -> its exit code."""
    self.process.terminate()
    try:
      return self.process.wait(seconds)
    except subprocess.TimeoutExpired:
      self.kill()
      raise

  def __enter__(self) -> 'Server':
    return self

  def __exit__(self, *_: object) -> None:
    if self.process.poll() is None:
      self.kill()


# ---- processes that read uploads


def upload_workers(pid: int) -> list[psutil.Process]:
  """The processes of a server that read uploads, or wait for one."""
  found = []
  with contextlib.suppress(psutil.NoSuchProcess):
    for child in psutil.Process(pid).children(recursive=True):
      with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        if WORKER in child.cmdline():
          found.append(child)
  return found


def kill_upload_workers(
  pid: int, uploads: Path, upload: Callable[[], httpx.Response], other: Callable[[], httpx.Response], kills: int
) -> dict[str, Any]:
  """Kills the process that reads an upload, so many times.

  pid: of the server; uploads: the folder in which it keeps them; upload: sends a whole upload; other: a request that is
  to be answered by 200 meanwhile. The process is stopped before the request is sent, and goes on for a random time
  before it is killed, so that it is killed at work; where it was done already, that does not count.
  """
  rng = random.Random(0)
  first = upload()
  if first.status_code >= 300:
    raise RuntimeError(f'an upload whose process is not killed is refused: {first.status_code} {first.text[:300]}')
  found: dict[str, Any] = {'kills': 0, 'finished_before': 0, 'statuses': {}, 'faults': []}
  with ThreadPoolExecutor(2) as pool:
    while found['kills'] < kills:
      worker = _waiting_worker(pid)
      worker.send_signal(signal.SIGSTOP)
      sent = pool.submit(upload)
      _wait_for(lambda sent=sent: len(list(uploads.glob('*'))) >= 2 or sent.done(), 'the server reads no upload')
      time.sleep(rng.uniform(0.05, 0.2))  # the time of the kill is what is drawn
      beside = pool.submit(other)
      worker.send_signal(signal.SIGCONT)
      time.sleep(rng.uniform(0.0, 0.1))
      worker.kill()
      answer = sent.result()
      if answer.status_code < 300:
        found['finished_before'] += 1
        continue
      found['kills'] += 1
      status = str(answer.status_code)
      found['statuses'][status] = found['statuses'].get(status, 0) + 1
      fault = error_fault(answer)
      if fault:
        found['faults'].append(fault)
      if beside.result().status_code != 200:
        found['faults'].append(f'a request beside it was answered by {beside.result().status_code}')
  after = upload()
  if after.status_code >= 300:
    found['faults'].append(f'an upload after all of them was answered by {after.status_code}: {after.text[:300]}')
  return found


def _wait_for(true: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> None:
  finish = time.monotonic() + seconds
  while not true():
    if time.monotonic() > finish:
      raise RuntimeError(f'{otherwise} within {seconds:g} s')
    time.sleep(0.01)


def error_fault(answer: httpx.Response) -> str:
  """What is wrong with an answer that has to say, in OpenAI's form, that a file could not be read; '' for nothing."""
  if answer.status_code not in (408, 413, 422):
    return f'the request whose process was killed was answered by {answer.status_code}: {answer.text[:300]}'
  try:
    return '' if answer.json()['error']['message'] else 'an error without a message'
  except (ValueError, KeyError, TypeError):
    return f'an error that is no JSON: {answer.text[:300]}'


def _waiting_worker(pid: int, seconds: float = 60.0) -> psutil.Process:
  """The process that waits for an upload. Raises RuntimeError where there is none for so long."""
  finish = time.monotonic() + seconds
  while time.monotonic() < finish:
    workers = [w for w in upload_workers(pid) if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    if workers:
      return workers[-1]
    time.sleep(0.02)
  raise RuntimeError('no process waits for an upload')


# ---- the server


def kill_servers(
  start: Callable[[], Server],
  work: Callable[[str, random.Random, threading.Event], None],
  check: Callable[[], str],
  kills: int,
  longest: float = 2.0,
  seed: int = 0,
) -> dict[str, Any]:
  """Starts a server, has work done on its projects, and kills it at a random time, so many times.

  start: a server that answers already; work: changes projects of the server at an address until the event is set,
  and raises httpx.HTTPError when the server is gone; check: what is wrong with the projects on the disk, '' where
  nothing is; longest: seconds from the start of the work to the kill.
  """
  rng = random.Random(seed)
  found: dict[str, Any] = {'kills': 0, 'faults': []}
  while found['kills'] < kills:
    with start() as server:
      gone, killed = threading.Event(), threading.Event()
      failure: list[BaseException] = []

      def run(server=server, gone=gone, killed=killed, failure=failure):
        try:
          work(server.address, random.Random(rng.random()), gone)
        except BaseException as error:
          if not (killed.is_set() and isinstance(error, httpx.HTTPError)):  # the kill's own, not a server that failed
            failure.append(error)

      thread = threading.Thread(target=run)
      thread.start()
      thread.join(rng.uniform(0.02, longest))
      killed.set()
      server.kill()
      gone.set()
      thread.join()
      found['kills'] += 1
      if failure:
        found['faults'].append(f'kill {found["kills"]}: {failure[0]!r}')
    fault = check()
    if fault:
      found['faults'].append(f'kill {found["kills"]}: {fault}')
  return found


def project_faults(projects: Sequence[Path]) -> Iterator[str]:
  """What is wrong with project folders after a kill: each has to open, with every chosen take whole."""
  from dubber_jax.dubbing.project import open_project

  for folder in projects:
    try:
      with open_project(folder) as project:
        for number in range(1, len(project.state.lines) + 1):
          chosen = project.chosen(number)
          if chosen is not None:
            project.load(number, chosen[0])
    except Exception as error:
      yield f'{folder.name}: {type(error).__name__}: {error}'


def answer_faults(address: str, projects: int) -> str:
  """What is wrong with the projects that a server lists, each of which has to be readable; '' for nothing."""
  listed = httpx.get(f'{address}/desk/projects', timeout=60).json()['projects']
  if len(listed) != projects:
    return f'the server lists {len(listed)} projects of {projects}'
  for entry in listed:
    answer = httpx.get(f'{address}/desk/projects/{entry["id"]}', timeout=60)
    if answer.status_code != 200:
      return f'{entry["name"]}: {answer.status_code} {answer.text[:300]}'
  return ''
