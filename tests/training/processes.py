"""Runs of experiments/tiny.py in processes of their own, which tests kill."""

import dataclasses
import multiprocessing
import os
import sys
from pathlib import Path

TINY = Path(__file__).parents[2] / 'experiments' / 'tiny.py'
# Children are forked from one process that has everything imported but has not touched a device.
_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(['dubber_jax.training.loop', 'tensorboardX', 'flax.linen', 'grain'])


def tiny_config(mesh=None, **train):
  from dubber_jax.config import MeshConfig
  from dubber_jax.experiment import read_arms

  config = read_arms(TINY)['tiny']
  return config.replace(train=dataclasses.replace(config.train, **train), mesh=mesh or MeshConfig())


class Run:
  """A training in a process. `said(seconds)` waits for what it says next: the number of a step whose save begins, or
  'end'; None where it says nothing in time."""

  def __init__(self, config, workdir, environment=None):
    self._pipe, theirs = _context.Pipe()
    self.errors = Path(f'{workdir}.stderr-{os.urandom(3).hex()}')
    self.process = _context.Process(target=_train, args=(config, workdir, environment or {}, theirs, self.errors))
    self.process.start()
    theirs.close()

  def said(self, seconds=120.0):
    try:
      return self._pipe.recv() if self._pipe.poll(seconds) else None
    except EOFError:
      return None

  def kill(self):
    self.process.kill()
    self.process.join()

  def finish(self, seconds=120.0) -> int:
    """-> the exit code."""
    self.process.join(seconds)
    if self.process.exitcode is None:
      self.kill()
      raise TimeoutError(f'still running after {seconds} s:\n{self.errors.read_text()}')
    return self.process.exitcode


def _train(config, workdir, environment, pipe, errors):
  os.environ.update(environment)
  sys.stderr.flush()
  os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
  from dubber_jax import cli
  from dubber_jax.training import checkpoints

  save = checkpoints.Workdir.save

  def save_and_say(self, step, *rest):
    pipe.send(step)
    save(self, step, *rest)

  checkpoints.Workdir.save = save_and_say
  import dubber_jax.experiment as experiment

  read = experiment.read_experiment
  experiment.read_experiment = lambda path: dataclasses.replace(read(path), arms={'tiny': config})
  code = cli.main(['train', str(TINY), '--workdir', str(workdir)])
  pipe.send('end')
  sys.exit(code)
