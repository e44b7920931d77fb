import json

import pytest

from dubber_jax.cli.main import main
from dubber_jax.training import goodput
from dubber_jax.training.goodput import CAUSES, Stopwatch, measure, read_goodput


def row(began, time, start, at, end=False, **seconds):
  return {'began': began, 'time': time, 'start': start, 'step': at, 'end': end, 'seconds': seconds}


FIRST = [
  row(0.0, 30.0, 0, 10, training_prep=5.0, program_startup=15.0, step=10.0),
  row(0.0, 40.0, 0, 20, training_prep=5.0, program_startup=15.0, step=20.0),
]


def test_steps_of_a_killed_start_that_were_not_saved_are_wasted_and_the_pause_is_recovery():
  found = measure([*FIRST, row(100.0, 130.0, 15, 30, True, training_prep=10.0, step=20.0)])
  assert found.repeated == 5 and found.starts == 2 and found.step == 30
  assert found.badput['wasted_progress_from_disruption'] == pytest.approx(5.0)  # half of the steps 11 to 20
  assert found.badput['infrastructure_recovery_from_disruption'] == pytest.approx(60.0)
  assert found.productive == pytest.approx(15.0 + 20.0)
  assert found.total == pytest.approx(130.0) and found.share == pytest.approx(35 / 130)


def test_a_step_lost_twice_is_wasted_twice():
  again = [row(50.0, 60.0, 5, 15, step=10.0), row(70.0, 80.0, 5, 15, True, step=10.0)]
  found = measure([*FIRST, *again])
  assert found.productive == pytest.approx(5.0 + 10.0) and found.repeated == 15 + 10
  assert found.badput['wasted_progress_from_disruption'] == pytest.approx(15.0 + 10.0)


def test_the_pause_behind_a_start_that_reached_its_end_is_not_counted():
  done = row(0.0, 40.0, 0, 20, True, step=40.0)
  found = measure([done, row(1000.0, 1010.0, 20, 25, True, step=10.0)])
  assert found.share == 1.0 and found.total == pytest.approx(50.0)


def test_goodput_so_far_is_that_of_the_rows(monkeypatch):
  begun = row(100.0, 100.0, 15, 15)
  last = row(100.0, 130.0, 15, 30, training_prep=10.0, step=20.0)
  assert measure([*FIRST, begun]).plus(last) == measure([*FIRST, last])


def test_every_second_counts_once(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(goodput.time, 'time', lambda: now[0])
  goodput.count_from(90.0)
  watch = Stopwatch()

  def spend(seconds):
    now[0] += seconds

  spend(2.0)
  with watch.on('unproductive_checkpoint_restore_time'):
    spend(3.0)
  watch.steps_begin()
  spend(4.0)
  with watch.on('data_loading_sync'), watch.on('program_startup'):
    spend(5.0)
  spend(6.0)
  with watch.on('unproductive_checkpoint_save_time'):
    spend(7.0)
  found = watch.row(0, 10)
  assert found['seconds'] == {
    'tpu_initialization': 0.0,
    'training_prep': 12.0,
    'unproductive_checkpoint_restore_time': 3.0,
    'step': 10.0,
    'data_loading_sync': 5.0,
    'unproductive_checkpoint_save_time': 7.0,
  }
  assert sum(found['seconds'].values()) == found['time'] - found['began'] == 37.0


def test_command_prints_every_cause_and_reads_past_a_row_that_was_cut_off(tmp_path, capsys):
  text = ''.join(json.dumps(r) + '\n' for r in FIRST)
  (tmp_path / 'goodput.jsonl').write_text(text + '{"began": 100.0, "ti\n')
  assert main(['goodput', str(tmp_path)]) == 0
  first, *rest = capsys.readouterr().out.splitlines()
  assert first.startswith('goodput 50.0%') and len(rest) == 2
  assert main(['goodput', str(tmp_path), '--as-json']) == 0
  told = json.loads(capsys.readouterr().out)
  assert set(told['badput_seconds']) == set(CAUSES) and told == read_goodput(tmp_path).to_json()
  assert main(['goodput', str(tmp_path / 'none')]) == 2
