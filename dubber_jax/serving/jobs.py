"""Long work of a server: dubs, lines played again and exports, one after the other in a thread, with progress that many
can follow and that can be stopped.

Events are pairs (name, dict). 'progress': {job, kind, done, of, message, seconds_left}; 'job': {job, kind, state,
error}; others are what `Jobs.publish` is given. They go to those who follow the job and to those who follow its key,
the id of the project that it works on.
"""

import asyncio
import collections
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from dubber_jax.errors import BadInput
from dubber_jax.serving.errors import ApiError, as_fault, from_bad_input

QUEUED, RUNNING, DONE, FAILED, CANCELLED = STATES = 'queued', 'running', 'done', 'failed', 'cancelled'
ENDED = (DONE, FAILED, CANCELLED)
LATELY = 8  # steps from whose time the time left follows: the first ones compile
KEPT = 200  # jobs that are over and can still be asked for
PENDING_EVENTS = 1000  # of one who follows and does not read; the oldest are left out
Event = tuple[str, dict[str, Any]]


class Cancelled(Exception):
  """Raised by `Job.progress` in the function that runs, once the job was cancelled or the server stops."""


class Job:
  """One piece of long work.

  id: 12 hex digits; kind: as 'dub', 'line', 'export'; key: the project's id, '' for none; state: one of STATES;
  done, of, message: how far it is; error: the answer where it failed; result: what its function returned; stopped:
  whether it was the server's stop that cancelled it; dropped: is called where somebody cancels it before it began.
  """

  def __init__(
    self,
    jobs: 'Jobs',
    kind: str,
    run: Callable[['Job'], Any],
    key: str = '',
    dropped: Callable[[], object] | None = None,
  ):
    self.id, self.kind, self.key = uuid.uuid4().hex[:12], kind, key
    self.state, self.done, self.of, self.message = QUEUED, 0, 0, ''
    self.error: ApiError | None = None
    self.result: Any = None
    self.stopped = False
    self.seconds_left: float | None = None
    self._steps: collections.deque[tuple[float, int]] = collections.deque(maxlen=LATELY)  # when how much was done
    self._jobs, self._run, self._cancel, self._dropped = jobs, run, False, dropped

  @property
  def live(self) -> bool:
    """Whether it waits or runs."""
    return self.state in (QUEUED, RUNNING)

  def progress(self, done: int, of: int, message: str = '') -> None:
    """Tells how far the work is: called by the function that runs, which the Cancelled that it raises ends."""
    self.check()
    now = time.monotonic()
    if self._steps and done < self._steps[-1][1]:
      self._steps.clear()
    if not self._steps or done > self._steps[-1][1]:
      self._steps.append((now, done))
    since, first = self._steps[0]
    self.seconds_left = round((now - since) / (done - first) * (of - done), 1) if done > first else None
    told, self.done, self.of, self.message = (self.done, self.of, self.message), done, of, message
    if told != (done, of, message):
      self._jobs._publish(self, 'progress')

  def check(self) -> None:
    """Raises Cancelled where the job was cancelled."""
    if self._cancel:
      raise Cancelled(f'job {self.id}')

  def cancel(self) -> None:
    """Stops it: at once where it waits, at its next step where it runs. What is done stays. Blocks its thread while
    `dropped` notes that it does not begin."""
    if self._jobs._cancel(self) and self._dropped is not None:
      self._dropped()

  def to_json(self) -> dict[str, Any]:
    """Progress and state, as events and answers have them."""
    fields = {'job': self.id, 'kind': self.kind, 'state': self.state, 'done': self.done, 'of': self.of}
    error = self.error and self.error.to_json()['error']
    return fields | {'message': self.message, 'seconds_left': self.seconds_left, 'error': error}

  def event(self, name: str) -> Event:
    """An event of it, 'progress' or 'job'."""
    names = {
      'progress': ('job', 'kind', 'done', 'of', 'message', 'seconds_left'),
      'job': ('job', 'kind', 'state', 'error'),
    }
    fields = self.to_json()
    return name, {field: fields[field] for field in names[name]}

  async def events(self) -> AsyncIterator[Event]:
    """What it is now, then what it becomes, to its end."""
    async with self._jobs._following(self.id) as follower:
      first = self.event('job')
      yield first
      if first[1]['state'] in ENDED:
        return
      if self.of:
        yield self.event('progress')
      while (event := await follower.next()) is not None:
        yield event
        if event[0] == 'job' and event[1]['state'] in ENDED:
          return


class _Follower:
  """Events that one reader has not read yet. Filled from any thread, read in the loop that made it."""

  def __init__(self):
    self.loop, self.wake = asyncio.get_running_loop(), asyncio.Event()
    self.events: collections.deque[Event | None] = collections.deque(maxlen=PENDING_EVENTS)

  def put(self, event: Event | None):
    self.events.append(event)
    with contextlib.suppress(RuntimeError):  # its loop is closed
      self.loop.call_soon_threadsafe(self.wake.set)

  async def next(self) -> Event | None:
    """The next event; None where there will be no more."""
    while not self.events:
      self.wake.clear()
      await self.wake.wait()
    return self.events.popleft()


class Jobs:
  """Work that waits and runs in one thread, in order. limit: jobs that may wait; one more is answered by 429."""

  def __init__(self, limit: int):
    self.limit = limit
    self._all: dict[str, Job] = {}
    self._waiting: collections.deque[Job] = collections.deque()
    self._running: Job | None = None
    self._followers: dict[str, set[_Follower]] = {}
    self._changed = threading.Condition(threading.RLock())
    self._stopping, self._thread = False, None

  def submit(
    self, kind: str, run: Callable[[Job], Any], key: str = '', dropped: Callable[[], object] | None = None
  ) -> Job:
    """Queues `run(job)`. dropped: as of a Job. Raises ApiError 409 where work on the same key goes on, 429 where too
    many jobs wait, and 503 where the server stops."""
    with self._changed:
      if self._stopping:
        raise ApiError(503, 'the server is stopping; ask again when it has started', 'stopping', retry_after=30)
      if key and (other := self.of(key)):
        raise ApiError(
          409, f'other work goes on there (job {other.id}, {other.kind}): wait for it or cancel it', 'busy'
        )
      if len(self._waiting) >= self.limit:
        raise ApiError(429, f'{len(self._waiting)} jobs wait already; ask again later', 'queue_full', retry_after=30)
      job = Job(self, kind, run, key, dropped)
      self._all[job.id] = job
      self._forget()
      self._publish(job, 'job')
      self._waiting.append(job)
      if self._thread is None:
        self._thread = threading.Thread(target=self._work, name='dubber-jobs', daemon=True)
        self._thread.start()
      self._changed.notify_all()
    return job

  def get(self, job_id: str) -> Job:
    """The job of an id. Raises ApiError 404 where there is none."""
    job = self._all.get(job_id)
    if job is None:
      raise ApiError(404, f'no job {job_id[:40]!r}', 'unknown_job')
    return job

  def of(self, key: str) -> Job | None:
    """The job that waits or runs for a key."""
    with self._changed:
      return next((job for job in self._all.values() if job.key == key and job.live), None)

  def all(self) -> list[Job]:
    """All that are known, the oldest first."""
    with self._changed:
      return list(self._all.values())

  async def subscribe(self, key: str) -> AsyncIterator[Event]:
    """Events of a key from now on, until the server stops. What its job is now comes first."""
    async with self._following(key) as follower:
      if job := self.of(key):
        yield job.event('job')
        if job.of:
          yield job.event('progress')
      while (event := await follower.next()) is not None:
        yield event

  def publish(self, key: str, name: str, data: dict[str, Any]) -> None:
    """Gives an event to those who follow a key. From any thread."""
    with self._changed:
      followers = [*self._followers.get(key, ())]
    for follower in followers:
      follower.put((name, data))

  def end_streams(self) -> None:
    """Ends what follows: `subscribe` and `events` return, so that a server that stops need not wait for readers."""
    with self._changed:
      followers = [follower for group in self._followers.values() for follower in group]
    for follower in followers:
      follower.put(None)

  def wait(self, job: Job, seconds: float) -> bool:
    """Waits until a job is over, at most so long -> whether it is. Blocks its thread."""
    with self._changed:
      return self._changed.wait_for(lambda: not job.live, seconds)

  def stop(self, seconds: float = 10.0) -> bool:
    """Takes no more work, stops what runs at its next step, and ends all streams -> whether it stopped in time.

    Jobs that waited or ran are `stopped`: their projects can be gone on with.
    """
    with self._changed:
      self._stopping = True
      for job in [*self._waiting, *([self._running] if self._running else [])]:
        job.stopped = True
        self._cancel(job)
      self._changed.notify_all()
      thread = self._thread
    self.end_streams()
    if thread is not None and thread is not threading.current_thread():
      thread.join(seconds)
    return thread is None or not thread.is_alive()

  def _work(self):
    while True:
      with self._changed:
        self._changed.wait_for(lambda: self._waiting or self._stopping)
        if not self._waiting:
          return
        job = self._running = self._waiting.popleft()
        job.state = RUNNING
      self._publish(job, 'job')
      state, error = DONE, None
      try:
        job.result = job._run(job)
      except Cancelled:
        state = CANCELLED
      except ApiError as failed:
        state, error = FAILED, failed
      except BadInput as failed:
        state, error = FAILED, from_bad_input(failed)
      except Exception as failed:
        state, error = FAILED, as_fault(failed, f'job {job.id} ({job.kind})')
      with self._changed:
        self._running, job.error = None, error
        self._end(job, state)

  def _cancel(self, job: Job) -> bool:
    """Cancels a job -> whether it was waiting, so that it never begins."""
    with self._changed:
      job._cancel = True
      waiting = job in self._waiting
      if waiting:
        self._waiting.remove(job)
        self._end(job, CANCELLED)
      return waiting

  def _end(self, job: Job, state: str):
    job.state = state
    self._publish(job, 'job')
    self._changed.notify_all()

  def _publish(self, job: Job, name: str):
    for key in {job.id, job.key} - {''}:
      self.publish(key, *job.event(name))

  def _forget(self):
    over = [job for job in self._all.values() if not job.live]
    for job in over[: max(0, len(over) - KEPT)]:
      del self._all[job.id]

  @contextlib.asynccontextmanager
  async def _following(self, key: str) -> AsyncIterator[_Follower]:
    follower = _Follower()
    with self._changed:
      self._followers.setdefault(key, set()).add(follower)
      if self._stopping:
        follower.put(None)
    try:
      yield follower
    finally:
      with self._changed:
        group = self._followers.get(key, set())
        group.discard(follower)
        if not group:
          self._followers.pop(key, None)
