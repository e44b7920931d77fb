"""Wall-clock time of stages, with XLA compilation counted separately."""

import functools
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field


class CompileClock:
  """Seconds that XLA has spent compiling in this process."""

  def __init__(self):
    import jax

    self.seconds = 0.0
    jax.monitoring.register_event_duration_secs_listener(self._add)

  def _add(self, event: str, seconds: float, **_):
    if event.startswith('/jax/core/compile/'):
      self.seconds += seconds


@functools.cache
def compile_clock() -> CompileClock:
  """The process's clock, which starts at the first call."""
  return CompileClock()


@dataclass
class Stopwatch:
  """Seconds by stage, in order of their first begin, without compilation: `with stopwatch(stage): ...`."""

  seconds: dict[str, float] = field(default_factory=dict)
  compiling: float = 0.0  # s, of all stages

  def __call__(self, stage: str) -> AbstractContextManager:
    return _Lap(self, stage)


@dataclass
class _Lap:
  watch: Stopwatch
  stage: str

  def __enter__(self):
    self.began, self.compiled = time.perf_counter(), _compiled_seconds()

  def __exit__(self, *_):
    spent = time.perf_counter() - self.began
    compiling = min(_compiled_seconds() - self.compiled, spent)  # other threads may compile, too
    spent -= compiling
    self.watch.compiling += compiling
    self.watch.seconds[self.stage] = self.watch.seconds.get(self.stage, 0.0) + spent


def _compiled_seconds() -> float:
  """Seconds of the process's clock; 0 where nothing was compiled, since JAX was not even imported."""
  return compile_clock().seconds if 'jax' in sys.modules else 0.0
