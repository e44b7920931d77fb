"""Damaged and mishandled inputs: whatever is wrong with a file, a command says so in one line and leaves nothing half
written."""

import contextlib
import io
import random
import shutil
import sys
import traceback
from pathlib import Path

import jax
import pytest
from bad_inputs import KINDS, damaged, make_project, make_whole, mishandled
from stand_ins import hum_line

from dubber_jax.cli.main import main
from dubber_jax.inference import stored_model
from dubber_jax.storage.atomic import is_partial
from dubber_jax.training.checkpoints import Workdir

FIXTURES = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'


def command(*arguments) -> tuple[int, str]:
  """Exit code and stderr of a command. Raises what it does not turn into one line."""
  error = io.StringIO()
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
    try:
      code = main([*map(str, arguments)])
    except SystemExit as stopped:
      code = stopped.code
  return code, error.getvalue()


@pytest.fixture(scope='module')
def whole(tmp_path_factory, model):
  """A folder with one whole input of every kind."""
  folder = tmp_path_factory.mktemp('whole')
  make_whole(folder)
  shutil.copytree(model.path, folder / 'model')
  shutil.copyfile(FIXTURES / 'torch_zip.pt', folder / 'model.pt')
  params = model.params
  with contextlib.closing(Workdir(folder / 'run', model.config)) as run:
    for step in (1, 2):
      state = {'params': params, 'ema': params, 'optimizer': {}, 'step': step}
      run.save(step, jax.device_put(state), {'next_index': step})
  with pytest.MonkeyPatch.context() as patch:
    without_networks(patch)
    make_project(folder, lambda *arguments: command(*arguments)[0])
  return folder


def without_networks(patch):
  """Lines are hummed, and a model's networks are not loaded for it."""
  patch.setattr('dubber_jax.dubbing.line.dub_line', hum_line)
  if 'dubber_jax.dubbing.speak' in sys.modules:
    patch.setattr('dubber_jax.dubbing.speak.dub_line', hum_line, raising=False)
  patch.setattr(stored_model.StoredModel, 'opened', property(lambda self: self))


def faults(whole, place, seed, kinds) -> list[str]:
  """What is wrong with how the commands took each of so many inputs; a kind of '' is a mishandled one."""
  found = []
  for number, kind in enumerate(kinds):
    rng = random.Random(f'{seed} {number} {kind}')
    folder, outs = place / str(number) / 'in', place / str(number) / 'out'
    shutil.copytree(whole, folder, symlinks=True)
    outs.mkdir()
    case = damaged(kind, folder, outs / 'new', rng) if kind else mishandled(folder, outs / 'new', rng)
    told = len(found)
    where = f'{number} {case.kind}, {case.fault}: {" ".join(case.arguments)}'
    with pytest.MonkeyPatch.context() as patch:
      if not case.kind.startswith('model '):
        without_networks(patch)
      try:
        code, error = command(*case.arguments)
      except BaseException:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
          raise
        code, error = 'none', ''
        found.append(f'{where}\n{traceback.format_exc()}')
    lines = [line for line in error.splitlines() if line.startswith('dubber: ')]
    if code == 'none':
      pass
    elif code not in (0, 1, 2) or (code == 1 and case.arguments[0] != 'check'):
      found.append(f'{where}\nexit code {code}: {error}')
    elif code and 'usage:' not in error and (len(lines) != 1 or 'Traceback' in error):
      found.append(f'{where}\nsays {error!r}')
    left = [path.name for path in (place / str(number)).rglob('*') if is_partial(path.name)]
    if left or (code and any(path.is_file() and path.suffix == '.mp4' for path in outs.iterdir())):
      found.append(f'{where}\nleaves {left or [*outs.iterdir()]}')
    shutil.rmtree(place / str(number))
    print(*found[told:], '' if (number + 1) % 100 else f'{number + 1} inputs, {len(found)} faults', flush=True)
  return found


def test_one_damaged_input_of_each_kind_is_one_line(whole, tmp_path):
  assert not faults(whole, tmp_path, 1, [*KINDS, '', '', ''])


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(5))
def test_no_damage_to_any_file_is_a_traceback(whole, tmp_path, seed, record_property):
  kinds = [*KINDS] * 9 + [''] * 80
  found = faults(whole, tmp_path, 100 + seed, kinds)
  record_property('inputs', len(kinds))
  print(f'{len(kinds)} inputs, {len(found)} faults')
  assert not found, f'{len(found)} of {len(kinds)}:\n\n' + '\n\n'.join(found[:40])
