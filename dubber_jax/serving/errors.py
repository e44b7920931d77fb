"""Errors of the server in the form that OpenAI's clients read: {"error": {message, type, param, code}}."""

import logging
import re
import traceback
import uuid
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dubber_jax.errors import BadInput, FilmMissing, FolderBusy
from dubber_jax.storage.atomic import is_disk_full

logger = logging.getLogger(__name__)

FOLDERS = re.compile(r"""(?<![\w./:])/(?:[^/\s:'"]+/)+""")  # of an absolute path

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
    self.status, self.code, self.retry_after = status, code, retry_after
    self.message, self.param = _printable(message), param and _printable(param)

  def to_json(self) -> dict:
    kind = TYPES.get(self.status, 'invalid_request_error' if self.status < 500 else 'server_error')
    return {'error': {'message': self.message, 'type': kind, 'param': self.param, 'code': self.code or None}}

  def to_response(self) -> Response:
    headers = {'Retry-After': str(self.retry_after)} if self.retry_after else {}
    if self.status == 401:
      headers['WWW-Authenticate'] = 'Bearer'
    return JSONResponse(self.to_json(), self.status, headers)


def from_bad_input(error: BadInput, status: int = 400, param: str | None = None, code: str = 'bad_input') -> ApiError:
  """The answer to input that the library refuses: 409 where another process is at work in a folder and where the film
  of a project is gone, 507 where the disk is full. Of absolute paths it has the last name alone."""
  if isinstance(error, FolderBusy):
    status, code = 409, 'busy'
  elif isinstance(error, FilmMissing):
    status, code = 409, 'film_missing'
  elif is_disk_full(error):
    status, code = 507, 'disk_full'
  return ApiError(status, FOLDERS.sub('', ' '.join(str(error).splitlines())), code, param)


def _printable(text: str) -> str:
  """A text that can be sent as UTF-8: JSON can hold halves of characters."""
  return text.encode('utf-8', 'replace').decode()


def as_fault(error: BaseException, where: str) -> ApiError:
  """The answer to an exception that nobody expected: 500 with an id, under which it is in the log.

  The log has its type and place. Its message, in which a text may be, is logged at the level DEBUG alone.
  """
  number = uuid.uuid4().hex[:12]
  frames = traceback.extract_tb(error.__traceback__)[-4:]
  places = ' > '.join(f'{frame.filename.rpartition("/")[2]}:{frame.lineno}' for frame in frames)
  logger.error('fault %s in %s: %s at %s', number, where, type(error).__name__, places or 'an unknown place')
  logger.debug('fault %s', number, exc_info=error)
  return ApiError(500, f'a fault of the server; it is in its log as {number}', 'internal_error')


def from_http(status: int, said: str = '') -> ApiError:
  """The answer for a status of HTTP that a library gave. said: its own words."""
  codes = {404: 'not_found', 405: 'method_not_allowed', 413: 'too_large', 416: 'range_not_satisfiable'}
  words = {
    404: 'nothing is at this address; see the paths in the documentation',
    405: 'this address does not take that method',
    416: 'the file does not have this range of bytes',
  }
  phrase = next((known.phrase for known in HTTPStatus if known == status), 'error')
  same = not said or said == phrase
  return ApiError(status, words.get(status, phrase) if same else said, codes.get(status, ''))


async def handle_api_error(_: Request, error: Exception) -> Response:
  """Starlette's handler of ApiError."""
  assert isinstance(error, ApiError)
  return error.to_response()


async def handle_bad_input(_: Request, error: Exception) -> Response:
  """Starlette's handler of BadInput."""
  assert isinstance(error, BadInput)
  return from_bad_input(error).to_response()


async def handle_http_error(_: Request, error: Exception) -> Response:
  """Starlette's handler of its own HTTPException, as for unknown paths."""
  assert isinstance(error, HTTPException)
  response = from_http(error.status_code, error.detail).to_response()
  response.headers.update(error.headers or {})
  return response


HANDLERS = {ApiError: handle_api_error, BadInput: handle_bad_input, HTTPException: handle_http_error}
