"""The desk's page and its files, from the package."""

import functools
import importlib.resources
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dubber_jax.serving.errors import ApiError
from dubber_jax.storage.hashing import sha256_bytes

KINDS = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}
STYLE = 'style.css'  # of all pages


def routes() -> list[BaseRoute]:
  """The page and its files."""
  return [
    Route('/', get_page, methods=['GET']),
    Route('/favicon.ico', get_icon, methods=['GET']),
    Route('/desk/static/{file}', get_static, methods=['GET']),
  ]


async def get_page(request: Request) -> Response:
  return _answer(request, 'index.html')


async def get_icon(request: Request) -> Response:
  return _answer(request, 'icon.svg')


async def get_static(request: Request) -> Response:
  return _answer(request, request.path_params['file'])


def _answer(request: Request, name: str) -> Response:
  """A file by its name, or 304 where the browser has it. Raises ApiError 404 for a name that no file has."""
  data = _files().get(name)
  if data is None:
    raise ApiError(404, f'no file {name!r:.60} of the page', 'not_found')
  content, tag = data
  headers = {'ETag': tag, 'Cache-Control': 'no-cache'}
  if tag in request.headers.get('if-none-match', ''):
    return Response(status_code=304, headers=headers)
  return Response(content, media_type=KINDS[PurePath(name).suffix], headers=headers)


@functools.cache
def _files() -> dict[str, tuple[bytes, str]]:
  """{name: (content, ETag)} of all files of the page, read once."""
  from dubber_jax.pages import stylesheet

  folder = importlib.resources.files('dubber_jax.serving.desk') / 'static'
  found = {item.name: item.read_bytes() for item in folder.iterdir() if PurePath(item.name).suffix in KINDS}
  found[STYLE] = stylesheet().encode()
  return {name: (data, f'"{sha256_bytes(data)[:16]}"') for name, data in found.items()}
