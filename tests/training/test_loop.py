import contextlib
import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dubber_jax.data.batches import VoiceBatches
from dubber_jax.data.config import DataConfig
from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import Workdir, best_step, digest, load_weights
from dubber_jax.training.goodput import read_goodput, read_rows
from dubber_jax.training.log import read_log
from dubber_jax.training.loop import train
from dubber_jax.training.task import Task, adamw, learning_rate
from dubber_jax.training.weight_export import initial_weights, main


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


def steps(config, count, **settings):
  return config.replace(train=dataclasses.replace(config.train, steps=count, **settings))


def run(config, packed, workdir):
  initial = initial_weights(config, workdir)
  return train(config, small_task(config), VoiceBatches(config, [packed]), workdir, initial, progress=False)


def leaves(state):
  return jax.tree.leaves(jax.device_get(state))


STEPS = 60


@pytest.fixture(scope='module')
def whole(packed, config, tmp_path_factory):
  """An uninterrupted run of STEPS steps -> (workdir, last state). Tests that write take a copy of the workdir."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  return workdir, run(steps(config, STEPS, save_every=STEPS), packed, workdir)


def test_stopping_and_going_on_gives_the_same_bits(packed, config, tmp_path, whole):
  run(steps(config, STEPS // 2, save_every=STEPS), packed, tmp_path)
  halves = run(steps(config, STEPS, save_every=STEPS), packed, tmp_path)
  for a, b in zip(leaves(whole[1]), leaves(halves), strict=True):
    np.testing.assert_array_equal(a, b)


def test_training_lowers_the_loss(whole):
  losses = [row['total'] for row in read_log(whole[0])]
  assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_another_config_is_refused_with_the_difference(packed, config, whole):
  with pytest.raises(BadInput, match='seed: 0 / 5'):
    run(config.replace(seed=5), packed, whole[0])


def test_second_run_on_a_workdir_is_refused(config, tmp_path):
  first = Workdir(tmp_path, config)
  with pytest.raises(BadInput, match='another training run'):
    Workdir(tmp_path, config)
  first.close()


def test_weights_without_a_checkpoint_are_asked_for(tmp_path):
  with pytest.raises(BadInput, match='no checkpoints'):
    load_weights(tmp_path)


def test_learning_rate_warms_up_holds_and_falls_to_zero(config):
  rate = learning_rate(dataclasses.replace(config.train, steps=100, warmup_steps=10, decay_steps=20, learning_rate=1.0))
  assert [float(rate(s)) for s in (0, 5, 10, 79, 90, 100)] == pytest.approx([0, 0.5, 1, 1, 0.5, 0], abs=1e-6)


def test_run_whose_gradients_stay_infinite_ends_with_the_batch_that_did_it(packed, config, tmp_path):
  task = small_task(config)
  broken = Task(task.init, lambda p, b, k: (task.loss(p, b, k)[0] / 0.0, {'total': jnp.inf}), task.optimizer)
  with pytest.raises(BadInput, match='not been finite') as told:
    train(steps(config, 60, save_every=100), broken, VoiceBatches(config, [packed]), tmp_path, progress=False)
  kept = np.load(next(tmp_path.glob('nonfinite_*.npz')))
  assert str(next(tmp_path.glob('nonfinite_*.npz'))) in str(told.value)
  assert kept['mel'].shape[1] in config.task.data.buckets


class OneBadBatch(VoiceBatches):
  def __getitem__(self, index):
    batch = super().__getitem__(index)
    return batch | {'mel': np.full_like(batch['mel'], np.nan)} if index == 2 else batch


def test_one_bad_batch_is_passed_over_counted_and_leaves_no_trace_in_the_state(packed, config, tmp_path):
  few = steps(config, 4)
  task = small_task(few)
  state = train(few, task, OneBadBatch(few, [packed]), tmp_path, progress=False)
  assert all(np.isfinite(x).all() for x in leaves(state))
  assert [row['skipped'] for row in read_log(tmp_path)] == [0, 0, 1, 1]


def test_log_has_norms_rates_shares_and_evaluations(packed, config, tmp_path):
  few = steps(config, 4, eval_every=2, save_every=2, best='eval/error')
  seen = []

  def on_eval(state, number):
    seen.append((int(state.step), number))
    return {'error': 10.0 - number}

  task = dataclasses.replace(small_task(few), speech=lambda batch: 3600.0)
  started = []
  train(few, task, VoiceBatches(few, [packed]), tmp_path, None, started.append, on_eval, progress=False)
  assert seen == [(2, 2), (4, 4)] and len(started) == 1
  first = next(iter(read_log(tmp_path)))
  names = {'norm/gradient', 'norm/update', 'norm/parameter', 'items_per_second', 'share/input', 'share/compiling'}
  assert names < set(first) and first['share/compiling'] > 0
  assert first['speech_hours_per_second'] == pytest.approx(first['steps_per_second'])
  assert best_step(tmp_path) == 4
  assert (tmp_path / 'loss.png').stat().st_size > 1000


def test_rows_of_steps_that_were_lost_leave_the_log(packed, config, tmp_path, whole):
  workdir = shutil.copytree(whole[0], tmp_path / 'run')
  with open(workdir / 'log.jsonl', 'a') as log:
    log.write(f'{{"step": {STEPS + 1}, "total": -1.0}}\n{{"step": {STEPS + 2}, "tot')
  run(steps(config, STEPS + 2), packed, workdir)
  rows = list(read_log(workdir))
  assert [row['step'] for row in rows] == list(range(1, STEPS + 3)) and rows[STEPS]['total'] > 0


def test_a_profile_is_a_trace_that_xprof_reads(packed, config, tmp_path):
  few = steps(config, 6, profile=2)
  run(few, packed, tmp_path)
  assert list((tmp_path / 'profile').rglob('*.xplane.pb'))


def test_a_window_of_steps_is_traced_also_where_the_run_goes_on_within_it(packed, config, tmp_path, monkeypatch):
  traced = []
  monkeypatch.setattr(jax.profiler, 'start_trace', lambda folder: traced.append('start'))
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: traced.append('stop'))
  at = []

  def on_eval(state, number):
    at.append((number, len(traced)))
    return {'seen': 0.0}

  def go(stop):
    few = steps(config, 8, stop=stop, eval_every=1, save_every=100, profile='3:5')
    train(few, small_task(few), VoiceBatches(few, [packed]), tmp_path, None, None, on_eval, progress=False)

  with pytest.raises(BadInput, match='--profile 3:5: the run ends at step 4'):
    go(4)
  go(6)  # not yet open before step 3 (1 event after step 3), closed before step 6
  assert traced == ['start', 'stop'] and dict(at) == {1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 2}
  go(8)  # the window is past
  assert traced == ['start', 'stop']


def test_a_run_that_goes_on_knows_the_best_value_so_far(packed, config, tmp_path):
  """A save between two evaluations has the value of the last one, also where that was before a restart."""

  def go(stop, calls):
    few = steps(config, 12, stop=stop, eval_every=6, save_every=2, keep=100, best='eval/error', log_every=1)
    count = []

    def on_eval(state, number):
      count.append(number)
      return {'error': 1.0}

    train(few, small_task(few), VoiceBatches(few, [packed]), tmp_path, None, None, on_eval, progress=False)
    assert count == calls

  go(7, [6, 7])
  go(12, [12])
  with contextlib.closing(Workdir(tmp_path, steps(config, 12, best='eval/error', keep=100))) as run:
    assert run.logged(8)['eval/error'] == 1.0 and 'eval/error' not in run.logged(4)
    assert (run.manager.metrics(8) or {})['eval/error'] == 1.0


def test_goodput_counts_all_starts_and_nothing_twice(packed, config, tmp_path):
  run(steps(config, 30, stop=20, save_every=10), packed, tmp_path)
  shutil.rmtree(tmp_path / 'checkpoints' / '20')
  run(steps(config, 30, save_every=10), packed, tmp_path)
  found = read_goodput(tmp_path)
  assert found.starts == 2 and found.step == 30 and found.repeated == 10
  assert found.badput['wasted_progress_from_disruption'] > 0 and found.badput['program_startup'] > 0
  assert found.badput['unproductive_checkpoint_restore_time'] > 0
  assert found.total == pytest.approx(found.productive + sum(found.badput.values()))
  rows = read_rows(tmp_path)
  ended = {row['began']: row['time'] for row in rows}  # of each start, its last row
  assert found.total == pytest.approx(sum(time - began for began, time in ended.items()), abs=0.02)
  assert 0 < list(read_log(tmp_path))[-1]['goodput'] < 1


def test_limited_time_ends_a_run_and_leaves_weights_to_start_from(packed, config, tmp_path):
  short = steps(config, 10**6, minutes=1e-6)
  state = run(short, packed, tmp_path / 'short')
  on = steps(config, 8, init_from=str(tmp_path / 'short' / 'weights'))
  weights = initial_weights(on, tmp_path / 'on').params
  assert 1 <= int(state.step) < 10
  np.testing.assert_allclose(weights['w'], state.ema['w'], rtol=2**-8)


def test_a_run_that_is_carried_to_another_machine_goes_on_at_its_step(packed, config, tmp_path, whole):
  workdir, state = whole
  assert main([str(workdir), '-o', str(tmp_path / 'carried')]) == 0
  first = load_weights(workdir)[1]
  further = steps(config, STEPS + 3, init_from=str(tmp_path / 'carried'))
  np.testing.assert_allclose(initial_weights(further, tmp_path / 'second').ema['w'], first['w'], rtol=2**-8)
  on = run(further, packed, tmp_path / 'second')
  assert int(on.step) == STEPS + 3
  assert np.abs(on.ema['w'] - first['w']).max() > 0
  counts = optax.tree.get_all_with_path(on.optimizer, 'count')
  assert counts and all(int(count) == STEPS + 3 for _, count in counts)
  assert jax.tree.structure(on) == jax.tree.structure(state)


def test_weights_of_another_network_are_refused_by_name(packed, config, tmp_path):
  with pytest.raises(BadInput, match=r'another network: w is \(3, 80\), not \(100, 80\)'):
    initial = {'w': np.zeros((3, 80)), 'b': np.zeros(80)}
    train(config, small_task(config), VoiceBatches(config, [packed]), tmp_path, initial, progress=False)


@pytest.mark.slow
def test_the_voice_itself_goes_on_to_the_same_bits(packed, tmp_path):
  from meshes import TINY, numpy_task

  data = DataConfig(buckets=(64,), frames_per_batch=128, reference_frames=16)
  for name, ends in (('whole', (6,)), ('halves', (3, 6))):
    for end in ends:
      config = steps(TINY.with_task(data=data), 20, stop=end, save_every=100)
      train(config, numpy_task(config), VoiceBatches(config, [packed]), tmp_path / name, progress=False)
  assert digest(tmp_path / 'whole') == digest(tmp_path / 'halves')
