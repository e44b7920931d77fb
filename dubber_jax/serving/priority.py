"""Priority of threads that work behind the others."""

import contextlib
import os
import sys
import threading

NICENESS = 15


def yield_to_others() -> None:
  """Lets this thread, and those that it starts, take only the time that others leave. On Linux alone threads have a
  priority of their own."""
  if sys.platform == 'linux':
    with contextlib.suppress(OSError):
      os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
