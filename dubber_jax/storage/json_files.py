"""JSON files that others may have changed: read with bounds, and their values checked against a dataclass's types."""

import dataclasses
import json
import math
import os
import types
import typing
from collections.abc import Mapping
from typing import Any

from etils import epath

from dubber_jax.errors import BadInput

LARGEST = 256 << 20  # bytes of a JSON file
LARGEST_INTEGER = 2**63
MOST_LAYERS = 512  # of any stack: a network is built layer by layer before its shapes are known


def read_json(path: str | os.PathLike, what_to_do: str = 'copy it again') -> Any:
  """A JSON file. Raises BadInput, with what to do, where it is missing, too large, no UTF-8 or no JSON."""
  path = epath.Path(path)
  try:
    if path.stat().length > LARGEST:
      raise ValueError(f'more than {LARGEST >> 20} MiB')
    return json.loads(path.read_bytes().decode('utf-8'))
  except OSError as error:
    raise BadInput(f'{path}: cannot be read ({error.strerror or error}); {what_to_do}') from None
  except (ValueError, RecursionError) as error:
    reason = 'too deep' if isinstance(error, RecursionError) else error
    raise BadInput(f'{path}: cannot be read ({reason}); {what_to_do}') from None


def fields_of(kind: type, values: Any, where: str) -> dict[str, Any]:
  """Those of `values` that the dataclass `kind` has a field for, lists as tuples, each of the field's type.

  Raises BadInput naming the first that is not.
  """
  if not isinstance(values, Mapping):
    raise BadInput(f'{where}: expected an object of settings, found {type(values).__name__}')
  fields = {f.name: f for f in dataclasses.fields(kind)}
  return {name: checked_value(fields[name], value, where) for name, value in values.items() if name in fields}


def checked_value(field: dataclasses.Field, value: Any, where: str) -> Any:
  """A value of JSON for a field, lists as tuples. Raises BadInput where it is of another type or out of all bounds."""
  value = _frozen(value)
  if not _fits(field.type, value):
    raise BadInput(f'{where}.{field.name}: {str(value)[:60]!r} is {_misfit(field.type)}')
  if field.name.endswith('layers') and isinstance(value, int) and not 0 <= value <= MOST_LAYERS:
    raise BadInput(f'{where}.{field.name}: {value} layers; there can be {MOST_LAYERS}')
  return value


def _frozen(value):
  return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def _fits(kind: Any, value: Any) -> bool:
  origin, arguments = typing.get_origin(kind), typing.get_args(kind)
  if origin is typing.Literal:
    return any(type(value) is type(choice) and value == choice for choice in arguments)
  if origin in (typing.Union, types.UnionType):
    return any(_fits(choice, value) for choice in arguments)
  if origin is tuple:
    if not isinstance(value, tuple):
      return False
    if len(arguments) == 2 and arguments[1] is ...:
      return len(value) <= 10_000 and all(_fits(arguments[0], v) for v in value)
    return len(value) == len(arguments) and all(map(_fits, arguments, value))
  if origin is dict:
    return isinstance(value, dict) and all(_fits(arguments[0], k) and _fits(arguments[1], v) for k, v in value.items())
  if kind is bool:
    return isinstance(value, bool)
  if kind is int:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER
  if kind is float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= 1e300 and math.isfinite(value)
  if kind in (str, type(None)):
    return isinstance(value, kind)
  return not isinstance(kind, type) or not kind.__module__ == 'builtins' or isinstance(value, kind)


def _misfit(kind: Any) -> str:
  if typing.get_origin(kind) is typing.Literal:
    return f'none of {", ".join(map(str, typing.get_args(kind)))}'
  return f'not {({int: "a whole number", float: "a number", bool: "true or false", str: "a text"}).get(kind, kind)}'
