"""Server-sent events of jobs, as text/event-stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import StreamingResponse

from dubber_jax.serving.jobs import Event

PING = 15.0  # s without an event, after which a comment keeps the stream open


def event_response(events: AsyncIterator[Event]) -> StreamingResponse:
  """The answer that gives events as they come, to their end."""
  headers = {'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no'}
  return StreamingResponse(_texts(events), media_type='text/event-stream', headers=headers)


async def _texts(events: AsyncIterator[Event]) -> AsyncGenerator[str, None]:
  following = asyncio.ensure_future(_next(events))
  try:
    yield 'retry: 2000\n\n'
    while True:
      done, _ = await asyncio.wait({following}, timeout=PING)
      if not done:
        yield ': still here\n\n'
        continue
      event = following.result()
      if event is None:
        return
      name, data = event
      yield f'event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n'
      following = asyncio.ensure_future(_next(events))
  finally:
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
      await following
    if isinstance(events, AsyncGenerator):
      await events.aclose()


async def _next(events: AsyncIterator[Event]) -> Event | None:
  return await anext(events, None)
