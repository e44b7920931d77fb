"""Export of a trained model to an artifact that serves without the training code (docs/how-to/export.md)."""

import importlib

_WHERE = {'load': 'artifact', 'export': 'write', 'at_start': 'write'}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
  # Imported on first use: an environment for ONNX conversion lacks most dependencies of the rest.
  if name not in _WHERE:
    raise AttributeError(f'dubber_jax.export has no {name!r}')
  return getattr(importlib.import_module(f'dubber_jax.export.{_WHERE[name]}'), name)
