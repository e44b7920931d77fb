"""A trained model as an artifact that serves without the training code. See docs/how-to/export.md."""

import importlib

_WHERE = {'load': 'artifact', 'export': 'write', 'at_start': 'write'}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
  # Loaded when asked for: an environment for ONNX has little of what the rest needs.
  if name not in _WHERE:
    raise AttributeError(f'dubber_jax.export has no {name!r}')
  return getattr(importlib.import_module(f'dubber_jax.export.{_WHERE[name]}'), name)
