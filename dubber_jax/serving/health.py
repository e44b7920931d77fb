"""Whether the server lives, whether it can speak, and its measurements."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dubber_jax.serving.state import server_of


async def healthz(_: Request) -> Response:
  """GET /healthz: 200 as long as the process answers."""
  return JSONResponse({'status': 'ok'})


async def readyz(request: Request) -> Response:
  """GET /readyz: 200 where it can speak, else 503 with what it is doing."""
  engine = server_of(request).engine
  headers = {} if engine.ready else {'Retry-After': '5'}
  return JSONResponse({'ready': engine.ready, 'phase': engine.phase}, 200 if engine.ready else 503, headers)


async def metrics(request: Request) -> Response:
  """GET /metrics: for Prometheus."""
  server = server_of(request)
  server.metrics.ready.set(server.engine.ready)
  return Response(server.metrics.text(), media_type='text/plain; version=0.0.4; charset=utf-8')


def routes() -> list[BaseRoute]:
  """The paths of this module."""
  return [Route('/healthz', healthz), Route('/readyz', readyz), Route('/metrics', metrics)]
