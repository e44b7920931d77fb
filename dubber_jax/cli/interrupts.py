"""Ctrl-C in time: Python acts on it when native code, as XLA's compiler, comes back, which can take minutes."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

PATIENCE = 3.0  # s that native code has to come back after Ctrl-C
INTERRUPTED = 130  # exit code


@contextlib.contextmanager
def interruptible(patience: float = PATIENCE) -> Iterator[None]:
  """Context in which Ctrl-C raises KeyboardInterrupt, and ends the process where that has not come after `patience` s.

  Then no `finally` clause runs; what is being written is deleted, and locks end with the process. A command that
  handles the signal itself, as training does to save a checkpoint, is left alone while its handler is in force. Does
  nothing outside of the main thread.
  """
  if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    yield
    return
  reading, writing = os.pipe()
  os.set_blocking(writing, False)
  came = threading.Event()

  def interrupt(*_):
    came.set()
    raise KeyboardInterrupt

  before, wakeup = signal.signal(signal.SIGINT, interrupt), signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  watcher = threading.Thread(target=_watch, args=(reading, came, interrupt, patience), daemon=True)
  watcher.start()
  try:
    yield
  finally:
    came.set()
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGINT, before)
    os.close(writing)  # ends the watcher, which closes its own end


@contextlib.contextmanager
def ended_at_once() -> Iterator[None]:
  """Context in which Ctrl-C ends the process at once, also during native code, with one line and exit code 130.

  No `finally` clause runs: it is for commands that write nothing. Does nothing outside of the main thread.
  """
  if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    yield
    return
  reading, writing = os.pipe()
  os.set_blocking(writing, False)

  def left_to_watcher(*_):
    pass

  before = signal.signal(signal.SIGINT, left_to_watcher)
  wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  never = threading.Event()
  threading.Thread(target=_watch, args=(reading, never, left_to_watcher, 0.0), daemon=True).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGINT, before)
    os.close(writing)


def _watch(reading: int, came: threading.Event, interrupt, patience: float) -> None:
  with open(reading, 'rb', buffering=0) as pipe:
    while signals := pipe.read(1):
      if signals[0] != signal.SIGINT or signal.getsignal(signal.SIGINT) is not interrupt:
        continue
      if not came.wait(patience):
        if 'dubber_jax.storage.atomic' in sys.modules:
          sys.modules['dubber_jax.storage.atomic'].discard_open()
        with contextlib.suppress(OSError, ValueError):
          print('dubber: stopped', file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)
