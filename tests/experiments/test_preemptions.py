import dataclasses
import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / 'experiments' / 'timing' / 'preemptions.py'


@pytest.fixture(scope='module')
def harness():
  spec = importlib.util.spec_from_file_location('preemptions', PATH)
  assert spec and spec.loader
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


class StandIn:
  """A start of two processes that go on from `start`, and end by a signal with these codes."""

  def __init__(self, tmp_path, start, codes, running=True, ends=True):
    self.start, self.codes, self.alive, self.ends = start, codes, running, ends
    self.errors = tmp_path / 'errors'
    self.errors.write_text('what it said')
    self.processes = [dataclasses.make_dataclass('P', ['exitcode', 'pid'])(0, None) for _ in codes]

  def wait_for_steps(self, seconds):
    return self.steps_began()

  def steps_began(self):
    return self.start is not None

  def running(self):
    return self.alive

  def finish(self, seconds):
    return self.ends

  def exits(self):
    return self.codes

  def went_on_from(self):
    return self.start


class Always:
  """Draws SIGTERM, to both, while training."""

  def choice(self, options):
    return options[0] if len(options) == 2 else options[-1]

  def random(self):
    return 0.9

  def uniform(self, low, high):
    return low


@pytest.mark.parametrize(
  ('start', 'given', 'fault'),
  [
    (20, {'codes': (0, 0)}, ''),
    (10, {'codes': (0, 0)}, 'went on from step 10, and 20 was whole'),
    (20, {'codes': (0, -6)}, 'exit codes (0, -6)'),
    (20, {'codes': (1, 1), 'running': False}, 'ended without a signal'),
    (None, {'codes': (2, 2), 'running': False}, 'ended without a signal'),
    (20, {'codes': (0, -9), 'ends': False}, 'still running'),
  ],
)
def test_each_kind_of_failure_is_counted(harness, tmp_path, monkeypatch, start, given, fault):
  monkeypatch.setattr('dubber_jax.training.checkpoints.last_step', lambda path: 20)
  monkeypatch.setattr(harness, 'Start', lambda *arguments: StandIn(tmp_path, start, **given))
  found = harness.preempt(tmp_path, tmp_path, 1, Always())
  assert fault in found.fault and bool(found.fault) == bool(fault)


@pytest.mark.slow
def test_two_preemptions_are_recovered_to_the_same_bits(harness, tmp_path):
  result = harness.measure(2, 2, tmp_path)
  assert result['equal_bits'] and result['recovered'] == 2 and not result['faults']
  assert '2 of 2' in harness.table(result)
