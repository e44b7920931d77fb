"""What ends a command: bad paths, closed pipes, Ctrl-C. None of them loads a model."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dubber_jax.cli import interrupts
from dubber_jax.cli import main as main_module
from dubber_jax.cli.main import main
from dubber_jax.media.video import write_silent_clip


@pytest.fixture
def film(tmp_path):
  path = tmp_path / 'film.mp4'
  write_silent_clip(path, np.zeros((25, 32, 32, 3), np.uint8))
  return path


def said(capsys, *arguments) -> str:
  """The one line of a refusal."""
  assert main([*map(str, arguments)]) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and error.startswith('dubber: ')
  return error


def test_no_output_of_a_dub_is_one_of_its_inputs_or_another_output(film, tmp_path, capsys):
  (tmp_path / 'voice.wav').write_bytes(b'voice')
  (tmp_path / 'cast.toml').write_text('[cast]\nANNA = "voice.wav"\n')
  (tmp_path / 'link.json').symlink_to(film)
  os.link(tmp_path / 'voice.wav', tmp_path / 'hard.json')
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}
  dub = ('dub', film, '--text', 'Go.', '--cast', tmp_path / 'cast.toml', '--overwrite', '-o')
  assert 'name is empty' in said(capsys, *dub, '')
  out = tmp_path / 'out.mp4'
  assert 'is the film too' in said(capsys, *dub, film)
  for name in ('film.mp4', 'link.json'):
    assert 'is the film too' in said(capsys, *dub, out, '--json', tmp_path / name)
  for name in ('voice.wav', 'hard.json', 'cast.toml'):
    assert 'cast' in said(capsys, *dub, out, '--json', tmp_path / name)
  for name in ('out.mp4', 'OUT.mp4', 'out.html', 'out.dialogue.wav'):
    assert 'one file' in said(capsys, *dub, out, '--json', tmp_path / name)
  assert 'project' in said(capsys, *dub, out, '--json', tmp_path / 'p' / 'project.json', '--project', tmp_path / 'p')
  assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
  ('command', 'told'),
  [
    ('speak --lines {0}/lines.txt --voice kathleen -o {0}/out --json {0}/lines.txt --overwrite', '--lines'),
    ('speak --text Go. --voice {0}/lines.txt -o {0}/lines.txt --overwrite', '--voice'),
    ('convert {0}/folder/model.pt -o {0}/folder --overwrite', 'holds the checkpoint'),
    ('export {0}/folder -o {0}/folder --overwrite', 'holds the checkpoint'),
    ('release {0}/folder -o {0}/folder --overwrite', 'holds the run'),
    ('release {0}/run -o {0}/folder --card {0}/folder/model.pt --overwrite', '--card'),
    ('index {0}/folder -o {0}/folder --overwrite', 'holds the data'),
    ('listening-test --score {0}/lines.json -o {0}/lines.md --overwrite', '--score'),
  ],
)
def test_no_output_of_any_command_is_one_of_its_inputs(tmp_path, capsys, command, told):
  (tmp_path / 'folder').mkdir()
  for name in ('lines.txt', 'lines.json', 'folder/model.pt', 'folder/config.json'):
    (tmp_path / name).write_text('{}')
  assert told in said(capsys, *command.format(tmp_path).split())
  assert len([*tmp_path.rglob('*')]) == 5


TALK = """
import sys
from dubber_jax.cli import main, serve
serve.run_export = lambda given: print('progress')
sys.exit(main.main(['export', 'model', '-o', 'out']))
"""


def test_a_pipe_that_nobody_reads_ends_a_command_in_one_line():
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run([sys.executable, '-c', TALK], stdout=writing, stderr=subprocess.PIPE, text=True)
  os.close(writing)
  assert done.returncode == 141 and done.stderr.count('\n') == 1 and 'nobody reads' in done.stderr


@pytest.mark.parametrize('error', [IsADirectoryError(21, 'Is a directory', '/somewhere/film.srt'), OSError(28, 'full')])
def test_an_error_of_the_file_system_is_one_line(monkeypatch, capsys, error):
  def fails(given):
    raise error

  monkeypatch.setattr(main_module.serve, 'run_export', fails)
  assert (error.filename or 'full') in said(capsys, 'export', 'model', '-o', 'out')


def test_an_error_of_the_program_is_not_hidden(monkeypatch):
  def fails(given):
    raise ZeroDivisionError

  monkeypatch.setattr(main_module.serve, 'run_export', fails)
  with pytest.raises(ZeroDivisionError):
    main(['export', 'model', '-o', 'out'])


WORK = """
import hashlib, sys, threading
from pathlib import Path
from dubber_jax.cli.interrupts import interruptible
from dubber_jax.storage.atomic import atomic_file
with interruptible(patience=0.2), atomic_file(Path(sys.argv[1]) / 'out') as partial:
  partial.touch()
  threading.Timer(1, lambda: print('begun', flush=True)).start()  # when the next line has begun
  hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)  # native code that takes minutes, as a compiler does
"""


@pytest.fixture
def heeding_ctrl_c():
  """Python's own handler of SIGINT, which processes in the background of a shell begin without."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_native_code_too_and_leaves_nothing(tmp_path, heeding_ctrl_c):
  work = subprocess.Popen(
    [sys.executable, '-c', WORK, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  try:
    assert work.stdout and work.stdout.readline() == 'begun\n'
    work.send_signal(signal.SIGINT)
    _, error = work.communicate(timeout=60)
  finally:
    work.kill()
  assert work.returncode == interrupts.INTERRUPTED and error == 'dubber: stopped\n'
  assert not list(tmp_path.iterdir())


def test_ctrl_c_in_python_runs_what_is_to_be_done_at_the_end(heeding_ctrl_c):
  done, before = [], signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyboardInterrupt), interrupts.interruptible():
    with contextlib.ExitStack() as stack:
      stack.callback(done.append, 1)
      signal.raise_signal(signal.SIGINT)
      time.sleep(10)
  assert done == [1] and signal.getsignal(signal.SIGINT) is before
