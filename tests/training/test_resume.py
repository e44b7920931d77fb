"""Stopping, killing and going on: always to the same bits."""

import os
import random
import signal

import pytest
from processes import start_run, tiny_config

from dubber_jax.training.checkpoints import digest, last_step, load_weights

STEPS, EVERY = 24, 4


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """An uninterrupted run that keeps every step -> its workdir."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  assert start_run(tiny_config(stop=STEPS, save_every=EVERY, keep=1000), workdir).finish() == 0
  return workdir


def kill_in_saves(workdir, whole, moments):
  """Kills a run at each of `moments`, seconds after a save began, starts it again, and lets it end at last.
  -> how many saves were cut off."""
  finished = cut_off = 0
  for seconds in moments:
    run = start_run(tiny_config(stop=STEPS, save_every=EVERY), workdir)
    saving = run.said()
    run.said(seconds)  # waits, or until the next save begins
    run.kill()
    step = last_step(workdir)
    # A save begins when the one before it has ended, so no more than the last is lost.
    assert (step or 0) >= max(saving - EVERY, finished)
    if step:
      assert digest(workdir) == digest(whole, step)
    finished = step or 0
    cut_off += finished < saving
    if saving == STEPS:
      break
  assert start_run(tiny_config(stop=STEPS, save_every=EVERY), workdir).finish() == 0
  assert digest(workdir) == digest(whole)
  return cut_off


def test_killed_in_the_middle_of_saves_a_run_opens_and_ends_in_the_same_bits(whole, tmp_path):
  seed = random.randrange(10**6)
  print('seed', seed)
  moments = [random.Random(seed).uniform(0, 0.3) for _ in range(3)]
  kill_in_saves(tmp_path / 'killed', whole, moments)


@pytest.mark.slow
def test_killed_at_twenty_moments_a_run_opens_and_ends_in_the_same_bits(whole, tmp_path):
  moments = [random.uniform(0, 0.5) for _ in range(20)]
  # A run has six saves, so it is killed five times at most and another is begun.
  cut_off = [kill_in_saves(tmp_path / f'killed_{i}', whole, moments[i : i + 5]) for i in range(0, 20, 5)]
  print(f'{sum(cut_off)} of 20 saves were cut off')
  assert sum(cut_off) > 0


def test_terminated_run_saves_its_step_and_exits_0(whole, tmp_path):
  run = start_run(tiny_config(stop=10**6, save_every=EVERY), tmp_path / 'run')
  run.said()
  os.kill(run.process.pid, signal.SIGTERM)
  assert run.finish() == 0
  step = last_step(tmp_path / 'run')
  assert load_weights(tmp_path / 'run')[0] == step < 10**6
  if step <= STEPS and step % EVERY == 0:
    assert digest(tmp_path / 'run') == digest(whole, step)
