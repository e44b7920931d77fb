"""The engine's queue, batches and stop, with functions that take no time in place of the networks."""

import asyncio
import contextlib
import sys
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # quick_engine.py

from quick_engine import VOICE, Actor, hum, quick_engine  # noqa: E402

from dubber_jax.errors import BadInput  # noqa: E402
from dubber_jax.serving.directed_lines import SpeechLine  # noqa: E402
from dubber_jax.serving.engine import SpeechEngine  # noqa: E402
from dubber_jax.serving.errors import ApiError  # noqa: E402
from dubber_jax.serving.metrics import Metrics  # noqa: E402
from dubber_jax.serving.settings import ServerSettings  # noqa: E402


@pytest.fixture
def actor():
  return Actor()


@pytest.fixture
def running(actor, tmp_path):
  """A function that starts an engine with limits."""
  with contextlib.ExitStack() as stack:
    yield lambda **limits: stack.enter_context(quick_engine(actor, tmp_path, **limits))
    actor.gate.set()


def line(text, **more):
  return SpeechLine(text, VOICE, **more)


async def until(condition):
  while not condition():
    await asyncio.sleep(0.005)


async def _behind_a_closed_gate(engine, actor):
  """A line that holds the synthesis until the gate opens."""
  actor.gate.clear()
  first = asyncio.create_task(engine.submit(line('first')))
  await until(actor.entered.is_set)
  return first


def test_line_is_spoken_at_its_loudness_with_times_of_its_words(running):
  spoken = asyncio.run(running().submit(line('We never asked.')))
  assert [word for _, _, word in spoken.words] == ['we', 'never', 'asked']
  assert spoken.words[-1][1] <= len(spoken.waveform) / 22050 and np.abs(spoken.waveform).max() > 0.1
  assert set(spoken.seconds) == {'direction', 'takes', 'vocoder', 'loudness'}


def test_lines_that_wait_are_spoken_together_by_their_deadlines(running, actor):
  engine = running(batch=2)

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    deadlines = {'late': 9.0, 'soon': 1.0, 'next': 2.0}
    others = [asyncio.create_task(engine.submit(line(text, deadline=at))) for text, at in deadlines.items()]
    await until(lambda: len(engine._waiting) == 3)
    actor.gate.set()
    await asyncio.gather(first, *others)

  asyncio.run(ask())
  assert actor.batches == [['first'], ['soon', 'next'], ['late']]


def test_rehearsed_line_goes_alone(running, actor):
  engine = running(batch=8)
  rehearsed = []

  def rehearse(waiting):
    rehearsed.append(waiting.asked.text)
    return [(hum(waiting.directed.inputs), {})]

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    others = [
      asyncio.create_task(engine.submit(line(text, rounds=rounds, deadline=at)))
      for at, (text, rounds) in enumerate((('one', 1), ('two', 3), ('three', 1)))
    ]
    await until(lambda: len(engine._waiting) == 3)
    actor.gate.set()
    await asyncio.gather(first, *others)

  with mock.patch.object(engine, '_rehearse', rehearse):
    asyncio.run(ask())
  assert rehearsed == ['two'] and actor.batches == [['first'], ['one'], ['three']]


def test_line_that_nobody_waits_for_any_more_is_not_spoken(running, actor):
  engine = running()

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    gone, stays = (asyncio.create_task(engine.submit(line(text))) for text in ('gone', 'stays'))
    await until(lambda: len(engine._waiting) == 2)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    actor.gate.set()
    await asyncio.gather(first, stays)
    assert engine.idle

  asyncio.run(ask())
  assert actor.batches == [['first'], ['stays']]


@pytest.mark.parametrize('word, error', [('unspeakable', BadInput), ('broken', RuntimeError)])
def test_line_that_fails_costs_no_other_of_its_batch(running, actor, word, error):
  engine = running()

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    others = [asyncio.create_task(engine.submit(line(text))) for text in ('good', word, 'fine')]
    await until(lambda: len(engine._waiting) == 3)
    actor.gate.set()
    return await asyncio.gather(first, *others, return_exceptions=True)

  results = asyncio.run(ask())
  assert [isinstance(result, Exception) for result in results] == [False, False, True, False]
  assert isinstance(results[2], error)


def test_request_beyond_the_queue_is_refused_with_429(running, actor):
  engine = running(queue=1, batch=1)

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    second = asyncio.create_task(engine.submit(line('second')))
    await until(lambda: engine._held == 2)
    with pytest.raises(ApiError) as refused:
      await engine.submit(line('third'))
    actor.gate.set()
    await asyncio.gather(first, second)
    await engine.submit(line('again'))
    return refused.value

  error = asyncio.run(ask())
  assert (error.status, error.code) == (429, 'queue_full') and error.retry_after > 0


def test_stopping_engine_finishes_what_it_holds_and_refuses_what_is_new(running, actor):
  engine = running()

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    engine.begin_stop()
    assert not engine.ready
    with pytest.raises(ApiError) as refused:
      await engine.submit(line('second'))
    actor.gate.set()
    spoken = await first
    assert await asyncio.to_thread(engine.wait_idle, 20)
    return spoken, refused.value

  spoken, error = asyncio.run(ask())
  assert spoken.words and (error.status, error.code) == (503, 'stopping')


def test_lines_that_wait_at_the_end_are_told(running, actor):
  engine = running()

  async def ask():
    first = await _behind_a_closed_gate(engine, actor)
    waiting = asyncio.create_task(engine.submit(line('second')))
    await until(lambda: len(engine._waiting) == 1)
    stopping = asyncio.create_task(asyncio.to_thread(engine.stop))
    await until(lambda: engine._closed)
    actor.gate.set()
    await stopping
    return await asyncio.gather(first, waiting, return_exceptions=True)

  _, waiting = asyncio.run(ask())
  assert isinstance(waiting, ApiError) and waiting.status == 503


def test_engine_that_cannot_load_says_why(tmp_path):
  engine = SpeechEngine(ServerSettings(home=tmp_path), Metrics())
  told = []
  engine.on_failure = lambda: told.append(engine.phase)
  with mock.patch.object(engine, '_load', side_effect=BadInput('the weights are damaged')):
    engine.start()
    engine._threads[0].join()
  with pytest.raises(ApiError, match='weights are damaged'):
    engine.check_ready()
  engine.stop()
  assert told and not engine.ready and isinstance(engine.failure, BadInput)


def test_model_that_is_not_there_is_refused_before_anything_starts(tmp_path):
  with pytest.raises(BadInput, match='nowhere'):
    SpeechEngine(ServerSettings(model=tmp_path / 'nowhere'), Metrics())


def test_long_work_runs_in_turn_beside_the_speech(running):
  engine, order = running(), []
  done = [engine.run(order.append, number) for number in range(3)]
  for each in done:
    each.result(20)
  assert order == [0, 1, 2]


def test_long_work_is_refused_by_an_engine_that_stops(running):
  engine = running()
  engine.begin_stop()
  with pytest.raises(ApiError) as refused:
    engine.run(print)
  assert (refused.value.status, refused.value.code) == (503, 'stopping')


def test_a_voice_that_is_made_keeps_no_take_of_the_desk_waiting(running):
  engine, over = running(), threading.Event()
  making = engine.run_beside(over.wait, 20)
  assert engine.run(lambda: making.done()).result(20) is False
  over.set()
  assert making.result(20)
