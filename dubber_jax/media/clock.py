"""Time stamps of a file whose clock may jump: MPEG streams that were joined, or cut, byte by byte.

A recording of several parts in one MPEG transport or program stream keeps the clock of each part. The parts are told
from each other by their decoding times, and each is moved to where the one before ends.
"""

import functools
import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from dubber_jax.errors import BadInput

FORMATS_THAT_JUMP = {'mpegts', 'mpeg'}
FORWARD, BACKWARD = 10.0, 0.1  # s: a longer step of the decoding time is a jump of the clock (ffmpeg has the same)
SAME_JUMP = 1.5  # s by which the jumps of two tracks may differ and still be one


@dataclass(frozen=True)
class Clock:
  """The parts of a file by their clocks.

  starts: of each track index, the packet with which each part begins; shifts (parts,): seconds to add to a part's
  times; at: seconds from the film's start at which the second part, and so on, begins; ends: of each track index, the
  end of its last packet in s of the joined clock.
  """

  starts: dict[int, np.ndarray] = field(default_factory=dict)
  shifts: np.ndarray = field(default_factory=lambda: np.zeros(1))
  at: tuple[float, ...] = ()
  ends: dict[int, float] = field(default_factory=dict)

  @property
  def finish(self) -> float:
    """The end of the last packet, in s of the joined clock; 0 where it was not scanned."""
    return max(self.ends.values(), default=0.0)

  @property
  def jumps(self) -> bool:
    return len(self.shifts) > 1


def clock_of(container: InputContainer, path: str | os.PathLike) -> Clock:
  """The clock of an open file. Demuxes MPEG streams once in a process; other formats state one clock.

  Raises BadInput where the tracks do not jump together.
  """
  if not FORMATS_THAT_JUMP & set(container.format.name.split(',')):
    return Clock()
  state = os.stat(path)
  options = tuple(container.container_options.items())
  return _scanned(container.name, options, str(path), state.st_size, state.st_mtime_ns)


def timed_packets(
  container: InputContainer, path: str | os.PathLike, *streams: Stream, clock: Clock | None = None
) -> Iterator[Packet]:
  """The packets of `streams`, their times on one clock. Where the clock jumps, they have to be read from the start."""
  clock = clock or clock_of(container, path)
  if not clock.jumps:
    yield from container.demux(*streams)
    return
  counts = defaultdict(int)
  for packet in container.demux(*streams):
    index = packet.stream.index
    if packet.size and index in clock.starts:
      part = int(np.searchsorted(clock.starts[index], counts[index], side='right')) - 1
      counts[index] += 1
      shift = round(clock.shifts[part] / packet.time_base)
      packet.pts = packet.pts + shift if packet.pts is not None else None
      packet.dts = packet.dts + shift if packet.dts is not None else None
    yield packet


@functools.lru_cache(maxsize=16)
def _scanned(name: str, options: tuple[tuple[str, str], ...], path: str, size: int, changed: int) -> Clock:
  """The clock of a file; size and time of its last change tell one version of it from another."""
  decoded, shown = defaultdict(list), defaultdict(list)
  with av.open(name, container_options=dict(options), metadata_errors='replace') as container:
    kinds = {stream.index: stream.type for stream in container.streams}
    for packet in container.demux():
      if packet.size:
        dts, pts = packet.dts, packet.pts if packet.pts is not None else packet.dts
        base, index = packet.time_base, packet.stream.index
        decoded[index].append(float((pts if dts is None else dts) * base) if pts is not None else np.nan)
        shown[index].append((pts * base, (pts + (packet.duration or 0)) * base) if pts is not None else (np.nan,) * 2)
  return join_clocks(
    {index: np.array(times) for index, times in decoded.items()},
    {index: np.array(times, float) for index, times in shown.items()},
    [index for index in decoded if kinds[index] in ('video', 'audio')],
    path,
  )


def join_clocks(
  decoded: dict[int, np.ndarray], shown: dict[int, np.ndarray], steady: list[int], path: str | os.PathLike
) -> Clock:
  """The Clock of packets: decoding times (P,) s and (P, 2) when each is shown, of each track index, NaN where unknown.

  steady: the tracks that show jumps: pictures and sound, which have no long pauses. The others follow the first.
  """
  times = {index: fill_unknown(found) for index, found in decoded.items()}
  jumps = {index: find_jumps(times[index]) for index in steady}
  parts = max((len(found) for found in jumps.values()), default=0) + 1
  if parts == 1:
    return Clock(ends={i: float(np.nanmax(shown[i][:, 1])) for i in steady if np.isfinite(shown[i]).any()})
  leading = next(index for index in steady if len(jumps[index]) + 1 == parts)
  steps = {index: [times[index][k] - times[index][k - 1] for k in found] for index, found in jumps.items()}
  for own in steps.values():
    if len(own) != parts - 1 or np.abs(np.subtract(own, steps[leading])).max() > SAME_JUMP:
      when = times[leading][jumps[leading][0]] - times[leading][0]
      raise BadInput(
        f'{path}: its clock jumps after {when:.1f} s, and not in all its tracks alike; convert it to mp4 or mkv first'
      )
  starts = {index: np.array([0, *found]) for index, found in jumps.items()}
  spans = {index: [*zip(first, [*first[1:], len(times[index])], strict=True)] for index, first in starts.items()}
  ends = np.array([[np.nanmax(shown[index][a:b, 1]) for a, b in spans[index]] for index in steady])
  begins = np.array([[np.nanmin(shown[index][a:b, 0]) for a, b in spans[index]] for index in steady])
  shifts = np.zeros(parts)
  for part in range(1, parts):  # nothing begins before what its track has had ends
    shifts[part] = (ends[:, part - 1] + shifts[part - 1] - begins[:, part]).max()
  lead = steady.index(leading)
  at = begins[lead] + shifts - begins[:, 0].min()
  for index in set(times) - set(steady):
    starts[index] = follow(times[index], [times[leading][a:b] for a, b in spans[leading]])
  return Clock(starts, shifts, tuple(map(float, at[1:])), dict(zip(steady, ends[:, -1] + shifts[-1], strict=True)))


def find_jumps(times: np.ndarray) -> list[int]:
  """Packets of (P,) at which the decoding time jumps and stays on the new clock; a single stray one is no jump."""
  step = np.diff(times, prepend=times[:1])
  found = []
  for k in np.flatnonzero((step > FORWARD) | (step < -BACKWARD)).tolist():
    if found and k == found[-1] + 1 and -BACKWARD <= times[k] - times[k - 2] <= FORWARD:
      found.pop()  # back on the clock of before: the packet between had a damaged time
    else:
      found.append(k)
  return [k for k in found if k < len(times) - 1]


def fill_unknown(times: np.ndarray) -> np.ndarray:
  """Times (P,) with NaN replaced by the known one before, at the beginning by the first known one."""
  known = np.isfinite(times)
  if not known.any():
    return np.zeros(len(times))
  before = np.maximum.accumulate(np.where(known, np.arange(len(times)), 0))
  return np.where(known[before], times[before], times[known][0])


def follow(times: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
  """The first packet of each part in a track with pauses, by the times of each part in the leading track.

  A packet belongs to the next part where its time goes back, or is nearer to that part's times.
  """
  starts = [0]
  for before, after in itertools.pairwise(parts):
    k = starts[-1]
    while k < len(times) and _distance(times[k], before) <= _distance(times[k], after):
      if k > starts[-1] and times[k] < times[k - 1] - BACKWARD:
        break
      k += 1
    starts.append(k)
  return np.array(starts)


def _distance(time: float, part: np.ndarray) -> float:
  return max(part.min() - time, time - part.max(), 0.0)
