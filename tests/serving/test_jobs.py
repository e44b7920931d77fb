import asyncio
import threading

import pytest

from dubber_jax.errors import BadInput, FilmMissing, FolderBusy
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.jobs import LATELY, PENDING_EVENTS, Jobs

LONG = 20.0  # s: more than anything here takes


@pytest.fixture
def jobs():
  made = Jobs(limit=2)
  yield made
  made.stop(LONG)


class Gate:
  """Work that says when it began and waits until it may go on."""

  def __init__(self):
    self.began, self.go = threading.Event(), threading.Event()

  def __call__(self, job):
    self.began.set()
    assert self.go.wait(LONG)
    job.progress(1, 2, 'half')
    return 'result'


def test_jobs_run_in_order_and_keep_their_results(jobs):
  order, gate = [], Gate()
  first = jobs.submit('dub', gate)
  assert gate.began.wait(LONG)
  rest = [jobs.submit('line', lambda job, number=number: order.append(number)) for number in (1, 2)]
  gate.go.set()
  assert all(jobs.wait(job, LONG) for job in (first, *rest))
  assert order == [1, 2] and first.result == 'result' and first.state == 'done'


def test_more_jobs_than_may_wait_are_refused_with_a_time_to_come_back(jobs):
  gate = Gate()
  jobs.submit('dub', gate)
  assert gate.began.wait(LONG)
  for _ in range(2):
    jobs.submit('dub', lambda job: None)
  with pytest.raises(ApiError) as refused:
    jobs.submit('dub', lambda job: None)
  assert refused.value.status == 429 and refused.value.to_response().headers['retry-after']
  gate.go.set()


def test_one_project_has_one_job_at_a_time(jobs):
  gate = Gate()
  job = jobs.submit('dub', gate, 'p')
  assert jobs.of('p') is job
  with pytest.raises(ApiError, match=job.id) as refused:
    jobs.submit('line', lambda job: None, 'p')
  assert refused.value.status == 409
  gate.go.set()
  assert jobs.wait(job, LONG) and jobs.of('p') is None
  assert jobs.wait(jobs.submit('line', lambda job: None, 'p'), LONG)


def test_a_job_that_runs_is_cancelled_at_its_next_step_and_one_that_waits_at_once(jobs):
  gate = Gate()
  first, second = jobs.submit('dub', gate), jobs.submit('dub', lambda job: pytest.fail('it was cancelled'))
  assert gate.began.wait(LONG)
  second.cancel()
  first.cancel()
  assert second.state == 'cancelled' and first.state == 'running'
  gate.go.set()
  assert jobs.wait(first, LONG) and first.state == 'cancelled' and first.result is None


@pytest.mark.parametrize(
  ('error', 'status', 'code'),
  [
    (BadInput('no\nfilm'), 400, 'bad_input'),
    (FolderBusy('busy'), 409, 'busy'),
    (FilmMissing('gone'), 409, 'film_missing'),
    (ApiError(404, 'none', 'unknown'), 404, 'unknown'),
    (ZeroDivisionError('a secret text'), 500, 'internal_error'),
  ],
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(jobs, caplog, error, status, code):
  def fail(job):
    raise error

  job = jobs.submit('dub', fail)
  assert jobs.wait(job, LONG) and job.state == 'failed'
  assert (job.error.status, job.to_json()['error']['code']) == (status, code)
  assert '\n' not in job.error.message
  assert 'secret' not in caplog.text and 'secret' not in job.error.message
  assert ('ZeroDivisionError' in caplog.text) == (status == 500)
  assert jobs.wait(jobs.submit('dub', lambda job: 1), LONG)


def test_time_left_follows_from_the_last_steps(jobs, monkeypatch):
  clock = iter([100.0, 103.0, 106.0, *(106.0 + 30 * step for step in range(1, LATELY + 1))])
  told = []

  def work(job):
    monkeypatch.setattr('dubber_jax.serving.jobs.time.monotonic', lambda: next(clock))
    for done in range(3):
      job.progress(done, 4)
      told.append(job.seconds_left)
    for done in range(3, 3 + LATELY):
      job.progress(done, 3 + LATELY)
    told.append(job.seconds_left)
    monkeypatch.undo()

  assert jobs.wait(jobs.submit('dub', work), LONG) and told == [None, 9.0, 6.0, 30.0]


def test_events_of_a_job_end_with_its_end(jobs):
  async def follow():
    gate = Gate()
    job = jobs.submit('dub', gate, 'p')
    events = []
    async for event in job.events():
      gate.go.set()
      events.append(event)
    return events, [event async for event in job.events()]

  events, later = asyncio.run(follow())
  assert events[-1][1]['state'] == 'done' and ('progress', 'half') in [(n, d.get('message')) for n, d in events]
  assert [(name, data['state']) for name, data in later] == [('job', 'done')]


def test_a_project_is_followed_over_its_jobs_until_the_server_stops(jobs):
  async def follow():
    events = []
    async for name, data in jobs.subscribe('p'):
      events.append((name, data.get('state', data.get('line'))))
      if data.get('state') == 'done':
        jobs.publish('p', 'take', {'line': 3})
        jobs.publish('q', 'take', {'line': 4})
      elif name == 'take':
        jobs.stop(LONG)
    return events

  async def both():
    reader = asyncio.create_task(follow())
    while not jobs._followers.get('p'):
      await asyncio.sleep(0)
    jobs.submit('line', lambda job: None, 'p')
    return await reader

  assert asyncio.run(both()) == [('job', 'queued'), ('job', 'running'), ('job', 'done'), ('take', 3)]
  assert not jobs._followers


def test_a_reader_that_does_not_read_costs_no_memory_without_bound(jobs):
  async def follow():
    stream = jobs.subscribe('p')
    first = asyncio.ensure_future(anext(stream))
    while not jobs._followers.get('p'):
      await asyncio.sleep(0)
    for number in range(3 * PENDING_EVENTS):
      jobs.publish('p', 'take', {'line': number})
    (follower,) = jobs._followers['p']
    kept = len(follower.events)
    await first
    await stream.aclose()
    return kept

  assert asyncio.run(follow()) <= PENDING_EVENTS and not jobs._followers


def test_a_server_that_stops_hands_its_jobs_back():
  jobs, gate = Jobs(limit=2), Gate()
  running, waiting = jobs.submit('dub', gate), jobs.submit('dub', lambda job: None)
  assert gate.began.wait(LONG)
  stopper = threading.Thread(target=lambda: jobs.stop(LONG))
  stopper.start()
  assert jobs.wait(waiting, LONG)
  gate.go.set()
  stopper.join(LONG)
  assert running.stopped and waiting.stopped and {running.state, waiting.state} == {'cancelled'}
  with pytest.raises(ApiError) as refused:
    jobs.submit('dub', lambda job: None)
  assert refused.value.status == 503
