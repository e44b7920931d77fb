"""The JSON of a request."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from dubber_jax.serving.errors import ApiError


async def json_body(request: Request, known: Sequence[str] = ()) -> dict[str, Any]:
  """The request's JSON object; {} where it has no body. known: the fields that it may have, all where none is named.

  Raises ApiError 400 for anything else.
  """
  data = await request.body()
  try:
    found = json.loads(data) if data.strip() else {}
    json.dumps(found, ensure_ascii=False).encode()  # halves of characters cannot be stored
  except (ValueError, RecursionError):
    raise ApiError(400, 'the request is no JSON of whole characters', 'bad_json') from None
  if not isinstance(found, dict):
    raise ApiError(400, 'the request is no JSON object', 'bad_json')
  for name in found:
    if known and name not in known:
      raise ApiError(400, f'there is no field {name[:40]!r}: give {", ".join(known)}', 'unknown_field', name[:40])
  return found
