"""Errors of the server in the form that OpenAI's clients read: {"error": {message, type, param, code}}."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dubber_jax.errors import BadInput

TYPES = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'invalid_request_error',
  429: 'rate_limit_error',
  503: 'service_unavailable_error',
}


class ApiError(Exception):
  """An answer other than success.

  status: of HTTP, 400 to 599; message: one line, what is wrong and what to do; param: the field that it is about; code:
  for programs, as 'unknown_voice'; retry_after: seconds, for 429 and 503.
  """

  def __init__(self, status: int, message: str, code: str = '', param: str | None = None, retry_after: int = 0):
    super().__init__(message)
    self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

  def to_json(self) -> dict:
    kind = TYPES.get(self.status, 'invalid_request_error' if self.status < 500 else 'server_error')
    return {'error': {'message': self.message, 'type': kind, 'param': self.param, 'code': self.code or None}}

  def to_response(self) -> Response:
    headers = {'Retry-After': str(self.retry_after)} if self.retry_after else {}
    if self.status == 401:
      headers['WWW-Authenticate'] = 'Bearer'
    return JSONResponse(self.to_json(), self.status, headers)


def from_bad_input(error: BadInput, status: int = 400, param: str | None = None, code: str = 'bad_input') -> ApiError:
  """The answer to input that the library refuses."""
  return ApiError(status, ' '.join(str(error).splitlines()), code, param)


async def handle_api_error(_: Request, error: Exception) -> Response:
  """Starlette's handler of ApiError."""
  assert isinstance(error, ApiError)
  return error.to_response()


async def handle_bad_input(_: Request, error: Exception) -> Response:
  """Starlette's handler of BadInput."""
  assert isinstance(error, BadInput)
  return from_bad_input(error).to_response()
