"""Speech requests by many clients at once: times to first and last sound, refusals, and the memory of the server.

`closed_loop` has a number of clients that each ask again as soon as they are answered; `open_loop` sends requests at a
rate, whatever the server does, as the public does.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

LINES = Path(__file__).parents[1] / 'data' / 'development_lines.jsonl'
HEADER = 44  # bytes of a WAV header: sound begins behind it
WAIT = 300.0  # seconds for an answer


@dataclass(frozen=True)
class Request:
  """One request. began: seconds since the run's start; first, total: seconds to the first sound and to the last, of an
  answer that is whole; retry_after: of a refusal; problem: what was wrong with an answer that is neither."""

  began: float
  status: int | None
  first: float = 0.0
  total: float = 0.0
  seconds: float = 0.0  # that the sound lasts
  retry_after: float = 0.0
  problem: str = ''

  @property
  def spoken(self) -> bool:
    return self.status == 200 and not self.problem

  @property
  def refused(self) -> bool:
    return self.status == 429 and self.retry_after > 0 and not self.problem


def texts(words: tuple[int, int] = (8, 12)) -> list[str]:
  """Lines of so many words."""
  rows = [json.loads(row)['text'] for row in LINES.read_text(encoding='utf-8').splitlines()]
  return [text for text in rows if words[0] <= len(text.split()) <= words[1]]


async def ask(client: httpx.AsyncClient, text: str, voice: str, since: float) -> Request:
  """Speaks one text as 16-bit WAV, which is read as it comes."""
  began = time.perf_counter()
  first, size, data = 0.0, 0, b''
  try:
    body = {'model': 'tts-1', 'input': text, 'voice': voice, 'response_format': 'wav'}
    async with client.stream('POST', '/v1/audio/speech', json=body) as answer:
      async for part in answer.aiter_raw():
        size += len(part)
        data = data if len(data) >= 400 else data + part
        if not first and size > HEADER:
          first = time.perf_counter() - began
      total = time.perf_counter() - began
  except httpx.HTTPError as error:
    return Request(began - since, None, problem=f'{type(error).__name__}: {error}')
  if answer.status_code == 200:
    whole = data[:4] == b'RIFF' and size > HEADER
    rate = int.from_bytes(data[24:28], 'little') or 1
    seconds = (size - HEADER) / 2 / rate
    return Request(began - since, 200, first, total, seconds, problem='' if whole else f'{size} bytes that are no WAV')
  retry = answer.headers.get('Retry-After', '')
  problem = ''
  try:
    json.loads(data)['error']['message']
  except (ValueError, KeyError, TypeError):
    problem = f'an error that is no JSON: {data[:200]!r}'
  return Request(
    began - since, answer.status_code, retry_after=float(retry) if retry.isdigit() else 0.0, problem=problem
  )


def _client(address: str, token: str, connections: int) -> httpx.AsyncClient:
  limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
  headers = {'Authorization': f'Bearer {token}'} if token else {}
  return httpx.AsyncClient(base_url=address, timeout=WAIT, limits=limits, headers=headers)


async def closed_loop(
  address: str, clients: int, seconds: float, lines: Sequence[str], voice: str, token: str = ''
) -> list[Request]:
  """Requests of `clients` clients that began within so many seconds. A client that is refused waits as it is told."""
  found: list[Request] = []
  since = time.perf_counter()
  supply = itertools.cycle(lines)

  async def one(client: httpx.AsyncClient):
    while time.perf_counter() - since < seconds:
      request = await ask(client, next(supply), voice, since)
      found.append(request)
      if not request.spoken:
        await asyncio.sleep(request.retry_after or 1.0)

  async with _client(address, token, clients) as client:
    await asyncio.gather(*(one(client) for _ in range(clients)))
  return found


async def open_loop(
  address: str, rate: float, seconds: float, lines: Sequence[str], voice: str, token: str = ''
) -> list[Request]:
  """Requests sent at `rate` a second, for so many seconds, in intervals drawn from an exponential distribution."""
  rng = np.random.default_rng(0)
  tasks: list[asyncio.Task[Request]] = []
  since, supply = time.perf_counter(), itertools.cycle(lines)
  due = 0.0
  async with _client(address, token, 1000) as client:
    while due < seconds:
      await asyncio.sleep(max(0.0, since + due - time.perf_counter()))
      tasks.append(asyncio.create_task(ask(client, next(supply), voice, since)))
      due += float(rng.exponential(1 / rate))
    return list(await asyncio.gather(*tasks))


def summarize(requests: Sequence[Request]) -> dict[str, Any]:
  """Requests a second, and percentiles in milliseconds, of those that were spoken; counts of the others."""
  spoken = [r for r in requests if r.spoken]
  finish = max((r.began + r.total for r in spoken), default=1.0)
  lost = [r for r in requests if not r.spoken and not r.refused]
  return {
    'requests': len(requests),
    'spoken': len(spoken),
    'refused': sum(r.refused for r in requests),
    'lost': len(lost),
    'problems': sorted({f'{r.status}: {r.problem}' for r in lost})[:10],
    'per_second': round(len(spoken) / finish, 3),
    'real_time': round(sum(r.seconds for r in spoken) / finish, 3),  # seconds of sound a second
    'first_ms': percentiles([r.first for r in spoken]),
    'total_ms': percentiles([r.total for r in spoken]),
  }


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
  """p50, p95 and p99 in milliseconds; None where nothing was measured."""
  return {f'p{p}': round(1e3 * float(np.percentile(seconds, p)), 1) if len(seconds) else None for p in (50, 95, 99)}


def resident_bytes(pid: int) -> int:
  """Resident memory of a process; 0 where it is gone."""
  try:
    (row,) = [row for row in Path(f'/proc/{pid}/status').read_text().splitlines() if row.startswith('VmRSS')]
    return int(row.split()[1]) * 1024
  except (OSError, ValueError):
    return 0


async def watch_memory(pid: int, every: float = 5.0) -> list[tuple[float, int]]:
  """(seconds, resident bytes) of a process every so often, until it is cancelled, when it returns what it has."""
  since, found = time.perf_counter(), []
  try:
    while True:
      found.append((round(time.perf_counter() - since, 1), resident_bytes(pid)))
      await asyncio.sleep(every)
  except asyncio.CancelledError:
    return found


def memory_growth(samples: Sequence[tuple[float, int]]) -> float:
  """The median of the last fifth over that of the second fifth, less 1: the first fifth is the warm-up."""
  fifth = max(1, len(samples) // 5)
  sizes = [size for _, size in samples]
  return float(np.median(sizes[-fifth:]) / np.median(sizes[fifth : 2 * fifth] or sizes) - 1)
