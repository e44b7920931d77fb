"""Platform that a program is traced for, where CPUs need another form of a computation than accelerators do.

XLA compiles some operations into slow programs on CPUs: grouped convolutions, the gradient of a convolution inside a
scan, the gradient of a gather, random bits. Modules compute these in another way there, and by the library's operation
elsewhere.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_TARGET: contextvars.ContextVar[str] = contextvars.ContextVar('platform of the program', default='')


@contextlib.contextmanager
def traced_for(platform: str) -> Iterator[None]:
  """Context in which programs are traced for a platform, 'cpu', 'gpu' or 'tpu', whose devices need not be present."""
  before = _TARGET.set(platform)
  try:
    yield
  finally:
    _TARGET.reset(before)


def on_cpu() -> bool:
  """Whether programs are traced for CPUs: by default, whether JAX computes on them."""
  return (_TARGET.get() or jax.default_backend()) == 'cpu'
