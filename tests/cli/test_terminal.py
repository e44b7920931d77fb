import subprocess
import sys

import pytest

from dubber_jax.cli.main import main

NOISE = """
import logging, os, sys, warnings
from dubber_jax.cli.terminal import NORMAL, VERBOSE, foreign_output_hidden, log_to_terminal
from dubber_jax.errors import BadInput
level = VERBOSE if 'verbose' in sys.argv else NORMAL
log_to_terminal(level)
with foreign_output_hidden(level):
  os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n')
  logging.getLogger('absl').warning('no GPU found')
  warnings.warn('deprecated', DeprecationWarning)
  print('ours', file=sys.stderr)
  logging.getLogger('dubber_jax.test').info('progress')
  if 'bad' in sys.argv:
    raise BadInput('the film is missing')
  if 'fault' in sys.argv:
    raise ZeroDivisionError
print('after', file=sys.stderr)
os.write(2, b'native again\\n')
"""


def run(*words):
  return subprocess.run([sys.executable, '-c', NOISE, *words], capture_output=True, text=True)


def test_only_our_own_words_are_shown_and_stderr_is_as_before_afterwards():
  done = run()
  assert done.stderr.splitlines() == ['ours', 'after', 'native again'] and done.stdout == 'progress\n'


def test_what_other_libraries_say_is_shown_to_those_who_ask_and_after_a_fault():
  for word in ('verbose', 'fault'):
    assert 'XNNPACK' in run(word).stderr
  told = run('bad').stderr
  assert 'XNNPACK' not in told and 'the film is missing' in told


@pytest.mark.parametrize('words', [['--version'], ['dub', '--version'], ['redo', '--version']])
def test_version_is_told_anywhere(words, capsys):
  with pytest.raises(SystemExit) as stopped:
    main(words)
  assert stopped.value.code == 0 and capsys.readouterr().out.startswith('dubber ')


REFUSALS = """
import sys
from dubber_jax.cli.main import main
commands = [
  ['dub', 'nofilm.mp4', '--text', 'Hello', '--voice', 'joe', '-o', 'x.mp4'],
  ['dub', 'nofilm.mp4', '--script', 'nofilm.srt', '--voice', 'joe', '-o', 'x.mp4'],
  ['dub', 'nofilm.mp4', '--text', 'Hello', '--voice', 'joe', '-o', 'x.mp4', '--rounds', '99'],
  ['dub', 'nofilm.mp4', '--text', 'Hello', '--voice', 'joe', '-o', 'x.mp4', '--fit', 'loose'],
  ['dub', 'nofilm.mp4', '--text', 'Hello', '--voice', 'joe', '-o', 'x.mp4', '--emotion', 'grumpy'],
  ['speak', '--text', 'Hello', '--voice', 'nobody', '-o', 'x.wav'],
  ['speak', '--text', 'Hello', '--voice', 'joe', '-o', 'nofolder/x.wav'],
  ['speak', '--text', 'Hello', '--voice', 'joe', '-o', 'x.wav', '--emotion', 'grumpy'],
  ['redo', 'noproject', '--line', '3', '--note', 'softer'],
  ['redo', 'noproject', '--line', '3', '--take', '1'],
  ['redo', 'noproject'],
]
codes = [main(words) for words in commands]
heavy = ['jax', 'flax', 'optax', 'scipy', 'librosa', 'transformers', 'cv2', 'matplotlib', 'httpx', 'pydantic', 'torch']
print(codes, [name for name in heavy if name in sys.modules])
"""


def test_refusals_are_one_line_each_and_import_nothing_heavy(tmp_path):
  done = subprocess.run([sys.executable, '-c', REFUSALS], capture_output=True, text=True, cwd=tmp_path)
  assert done.stdout.strip() == f'{[2] * 11} []', done.stderr
  assert len(done.stderr.splitlines()) == 11 and all(row.startswith('dubber: ') for row in done.stderr.splitlines())


def test_help_imports_not_even_numpy():
  code = 'import sys\nfrom dubber_jax.cli.main import make_parser\nmake_parser().format_help()\n'
  code += 'print("numpy" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == 'False\n'
