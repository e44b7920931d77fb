import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import Workdir, load_weights
from dubber_jax.training.data import VoiceBatches
from dubber_jax.training.log import read_log
from dubber_jax.training.loop import train
from dubber_jax.training.task import Task, adamw, learning_rate


def small_task(config):
  """A linear map from phoneme counts to the mean mel, with noise, so that the random key matters too."""

  def init(key, batch):
    return {'w': jax.random.normal(key, (100, 80)) * 0.01, 'b': jnp.zeros(80)}

  def loss(params, batch, key):
    counts = jax.nn.one_hot(batch['phonemes'], 100).sum(1)
    counts = counts + 0.1 * jax.random.normal(key, counts.shape)
    error = jnp.square(counts @ params['w'] + params['b'] - batch['mel'].mean(1)).mean()
    return error, {'total': error}

  return Task(init, loss, lambda: adamw(config.train))


def steps(config, count):
  import dataclasses

  return config.replace(train=dataclasses.replace(config.train, steps=count))


def run(config, packed, workdir):
  return train(config, small_task(config), VoiceBatches(config, [packed]), workdir, progress=False)


def leaves(state):
  return jax.tree.leaves(jax.device_get(state))


def test_stopping_and_going_on_gives_the_same_bits(packed, config, tmp_path):
  whole = run(steps(config, 8), packed, tmp_path / 'whole')
  run(steps(config, 4), packed, tmp_path / 'halves')
  halves = run(steps(config, 8), packed, tmp_path / 'halves')
  for a, b in zip(leaves(whole), leaves(halves), strict=True):
    np.testing.assert_array_equal(a, b)


def test_training_lowers_the_loss(packed, config, tmp_path):
  run(steps(config, 60), packed, tmp_path)
  losses = [row['total'] for row in read_log(tmp_path)]
  assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_another_config_is_refused_with_the_difference(packed, config, tmp_path):
  run(config, packed, tmp_path)
  with pytest.raises(BadInput, match='seed: 0 / 5'):
    run(config.replace(seed=5), packed, tmp_path)


def test_second_run_on_a_workdir_is_refused(config, tmp_path):
  first = Workdir(tmp_path, config)
  with pytest.raises(BadInput, match='another training run'):
    Workdir(tmp_path, config)
  first.close()


def test_weights_without_a_checkpoint_are_asked_for(tmp_path):
  with pytest.raises(BadInput, match='no checkpoints'):
    load_weights(tmp_path)


def test_terminated_run_saves_and_ends_in_peace(packed, config, tmp_path):
  code = f"""
import signal, sys
sys.path[:0] = {[os.path.dirname(__file__)]!r}
from test_loop import *
from dubber_jax.config import from_json
config = from_json({steps(config, 1_000_000).to_json()!r})
task = small_task(config)
calls = 0
class Batches(VoiceBatches):
  def __getitem__(self, i):
    if i == 20:
      os.kill(os.getpid(), signal.SIGTERM)
    return super().__getitem__(i)
state = train(config, task, Batches(config, [{str(packed)!r}]), {str(tmp_path / 'run')!r}, progress=False)
print('ended at', int(state.step))
"""
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=False)
  assert done.returncode == 0, done.stderr[-2000:]
  step, _ = load_weights(tmp_path / 'run')
  assert step == int(done.stdout.split()[-1]) > 0


def test_learning_rate_warms_up_holds_and_falls_to_zero(config):
  import dataclasses

  rate = learning_rate(dataclasses.replace(config.train, steps=100, warmup_steps=10, decay_steps=20, learning_rate=1.0))
  assert [float(rate(s)) for s in (0, 5, 10, 79, 90, 100)] == pytest.approx([0, 0.5, 1, 1, 0.5, 0], abs=1e-6)


def test_run_whose_gradients_stay_infinite_ends_with_a_reason(packed, config, tmp_path):
  task = small_task(config)
  broken = Task(task.init, lambda p, b, k: (task.loss(p, b, k)[0] / 0.0, {'total': jnp.inf}), task.optimiser)
  with pytest.raises(BadInput, match='not been finite'):
    train(steps(config, 60), broken, VoiceBatches(config, [packed]), tmp_path, progress=False)
