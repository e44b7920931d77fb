"""Stand-ins for modules that a package imports and that its use here does not need."""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def stub_module(name: str, replace: bool = False, **attributes) -> Iterator[None]:
  """Within the context, `import name` gives an empty module with the attributes: where the module is not installed or,
  with `replace`, where it is installed and does not load. A module that is loaded already stays."""
  if name in sys.modules or (not replace and importlib.util.find_spec(name)):
    yield
    return
  sys.modules[name] = types.ModuleType(name)
  vars(sys.modules[name]).update(attributes)
  try:
    yield
  finally:
    del sys.modules[name]
