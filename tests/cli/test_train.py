import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dubber_jax.cli.main import main

RECIPES = Path(__file__).parents[2] / 'experiments' / 'recipes'
TINY = RECIPES / 'tiny.py'


@pytest.mark.parametrize(
  ('window', 'reason'),
  [
    ('15:10', 'not before'),
    ('0:3', 'count from 1'),
    ('a:b', 'first and the last'),
    ('1:2:3', 'first and the last'),
    ('10:', 'first and the last'),
    ('-3', 'first and the last'),
    ('0', 'above 0'),
    ('2.5', 'first and the last'),
    ('10:15', 'ends at step 12'),
  ],
)
def test_a_profile_window_that_cannot_be_is_refused_in_one_line(tmp_path, capfd, window, reason):
  code = main(['train', str(TINY), '--workdir', str(tmp_path / 'run'), '--steps', '12', f'--profile={window}'])
  told = capfd.readouterr().err.splitlines()
  assert code == 2 and len(told) == 1 and window in told[0] and reason in told[0]
  assert not (tmp_path / 'run').exists()


def test_dry_run_takes_the_first_arm_and_names_the_others(capfd, tmp_path):
  text = f"""
from dubber_jax.training.experiment import read_experiment
tiny = read_experiment({str(TINY)!r})
task, batches = tiny.task, tiny.batches
arms = lambda: dict(first=tiny.arms['tiny'], second=tiny.arms['tiny'], third=tiny.arms['tiny'])
"""
  (tmp_path / 'several.py').write_text(text)
  assert main(['train', str(tmp_path / 'several.py'), '--dry-run']) == 0
  first, second, *rest = capfd.readouterr().out.splitlines()
  assert first.startswith('first, nothing is trained') and second.endswith('second, third')
  assert rest[0].startswith('mesh: ')
  assert main(['train', str(tmp_path / 'several.py'), '--dry-run', '--arm', 'third']) == 0
  first, second, *_ = capfd.readouterr().out.splitlines()
  assert first.startswith('third') and second.startswith('mesh: ')


def interrupted(command):
  """Exit code and stderr of a command that gets Ctrl-C after its first line."""

  def listen():  # a shell's background jobs ignore Ctrl-C, and so would what they start
    signal.signal(signal.SIGINT, signal.SIG_DFL)

  with subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen
  ) as process:
    try:
      assert process.stdout and process.stdout.readline()
      os.kill(process.pid, signal.SIGINT)
      _, told = process.communicate(timeout=120)
    finally:
      process.kill()
  return process.returncode, told


PROGRAM = """
import sys, time
from dubber_jax.cli.interrupts import ended_at_once
with ended_at_once():
  print('ready', flush=True)
  {}
"""


WORK = {
  'in Python': 'while True: pass',
  'in native code that does not come back': 'import hashlib; hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)',
  'where the program swallows interrupts': """
  while True:
    try: time.sleep(600)
    except BaseException: pass
""",
}


@pytest.mark.parametrize('work', WORK.values(), ids=WORK)
def test_ctrl_c_ends_at_once_with_130_and_one_line(work):
  assert interrupted([sys.executable, '-c', PROGRAM.format(work)]) == (130, 'dubber: stopped\n')


@pytest.mark.slow
def test_ctrl_c_ends_a_dry_run_at_once():
  command = [sys.executable, '-m', 'dubber_jax.cli', 'train', str(RECIPES / 'first_voice.py'), '--dry-run']
  assert interrupted(command) == (130, 'dubber: stopped\n')
