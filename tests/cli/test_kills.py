"""A command that was killed at any time is run again, and ends with whole outputs."""

import contextlib
import os
import random
import shutil
import time

import jax
import pytest
from bad_inputs import make_whole
from kills import COMMANDS, Run

from dubber_jax.storage.atomic import is_partial
from dubber_jax.training.checkpoints import Workdir

KILLS = int(os.environ.get('DUBBER_KILLS', '40'))  # of each command
IN_A_ROW = 4


@pytest.fixture(scope='module')
def whole(tmp_path_factory, model):
  folder = tmp_path_factory.mktemp('whole')
  make_whole(folder)
  shutil.copytree(model.path, folder / 'model')
  params = model.params
  with contextlib.closing(Workdir(folder / 'run', model.config)) as run:
    run.save(1, jax.device_put({'params': params, 'ema': params, 'optimizer': {}, 'step': 1}), {'next_index': 1})
  for actor in (1, 2, 19):
    place = folder / 'RAVDESS' / f'Actor_{actor:02d}'
    place.mkdir(parents=True)
    for take in (1, 2):
      (place / f'03-01-05-01-01-{take:02d}-{actor:02d}.wav').touch()
  (folder / 'footage').mkdir()
  for number in range(12):
    (folder / 'footage' / f'{"x" * (number + 1)}.wav').touch()
  (folder / 'loop').unlink()
  return folder


@pytest.mark.slow
@pytest.mark.parametrize('name', COMMANDS)
def test_a_killed_command_run_again_ends_with_whole_outputs(whole, tmp_path, name):
  text, check = COMMANDS[name]
  rng, kills, runs = random.Random(name), 0, 0

  def start(folder):
    command = COMMANDS['dub'][0] if name == 'redo' and not (folder / 'project' / 'project.json').exists() else text
    return Run(command.format(folder).split(), tmp_path / 'stderr')

  def finish(folder):
    """The command run to its end; one that refuses since its outputs are there must have them whole."""
    run = start(folder)
    code, said = run.wait(1200), (tmp_path / 'stderr').read_text()
    assert code == 0 or (code == 2 and 'exists' in said), f'{code}: {said}'
    check(folder)
    left = [path for path in folder.rglob('*') if is_partial(path.name) and 'checkpoints' not in path.parts]
    assert not left, left

  def new(number):
    folder = tmp_path / str(number)
    shutil.copytree(whole, folder)
    if name == 'redo':  # of a film that is dubbed there, since a project knows where its film is
      assert start(folder).wait(1200) == 0
    return folder

  for number in ('first', 'second'):  # only the second is timed: the first one starts the server of processes too
    folder, began = new(number), time.monotonic()
    finish(folder)
    seconds = time.monotonic() - began
  while kills < KILLS:
    runs += 1
    folder = new(runs)
    for _ in range(min(IN_A_ROW, KILLS - kills)):
      run, began = start(folder), time.monotonic()
      if run.wait(rng.uniform(0.02, 1.0) * seconds) is not None:
        seconds = min(seconds, time.monotonic() - began)
        break
      run.kill()
      kills += 1
    finish(folder)
    shutil.rmtree(folder)
  print(f'{name}: {kills} kills, {runs} times run to the end, {seconds:.1f} s each', flush=True)
