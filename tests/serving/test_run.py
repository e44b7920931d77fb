"""Start and stop of the server."""

import contextlib
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # quick_engine.py

from quick_engine import Actor, QuickServer, quick_engine  # noqa: E402
from uploading import wait_for  # noqa: E402

from dubber_jax.cli.main import main  # noqa: E402
from dubber_jax.errors import BadInput  # noqa: E402
from dubber_jax.serving import run  # noqa: E402
from dubber_jax.serving.settings import ServerSettings  # noqa: E402


@pytest.fixture
def server(tmp_path):
  actor = Actor()
  with quick_engine(actor, tmp_path) as engine:
    running = QuickServer(engine, actor)
    yield running
    running.stop()


def test_signal_to_stop_finishes_what_is_spoken_and_refuses_what_is_new(server):
  server.actor.held = 'nobody'
  server.actor.gate.clear()
  with ThreadPoolExecutor(1) as pool, httpx.Client() as client:
    client.get(f'{server.url}/healthz')  # a connection that is open
    spoken = pool.submit(server.post)
    assert server.actor.entered.wait(20)
    server.server.handle_exit(signal.SIGTERM, None)
    wait_for(lambda: not server.engine.ready)
    refused = client.post(f'{server.url}/v1/audio/speech', json={'input': 'And now?', 'voice': 'alloy'})
    assert client.get(f'{server.url}/readyz').status_code == 503
    server.actor.gate.set()
    whole = spoken.result(20)
  assert (refused.status_code, refused.json()['error']['code']) == (503, 'stopping')
  assert refused.headers['retry-after']
  assert whole.status_code == 200 and len(whole.content) > 10_000
  server.thread.join(20)
  assert not server.thread.is_alive() and server.engine.idle


def test_second_signal_stops_at_once(server):
  server.actor.gate.clear()
  with ThreadPoolExecutor(1) as pool:
    spoken = pool.submit(server.post)
    assert server.actor.entered.wait(20)
    server.server.handle_exit(signal.SIGINT, None)
    server.server.handle_exit(signal.SIGINT, None)
    server.thread.join(20)
    assert not server.thread.is_alive() and not server.actor.gate.is_set()
    server.actor.gate.set()
    assert spoken.exception(20) is not None or spoken.result().status_code != 200


def test_model_that_cannot_be_loaded_ends_the_server_with_one_line(tmp_path):
  with (
    mock.patch('dubber_jax.serving.engine.SpeechEngine._load', side_effect=BadInput('the weights are damaged')),
    mock.patch('dubber_jax.serving.uploads.UploadWorkers.start'),
    mock.patch.object(run, 'log_as_json'),
    pytest.raises(BadInput, match='weights are damaged'),
  ):
    run.serve(ServerSettings(port=0, home=tmp_path))


@pytest.fixture
def quiet(monkeypatch):
  """The log's handlers stay as they are."""
  monkeypatch.setattr('dubber_jax.cli.main.log_to_terminal', lambda level: None)


def test_port_that_is_taken_is_refused(tmp_path, capsys, quiet):
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    assert main(['serve', '--port', str(port), '--home', str(tmp_path)]) == 2
  assert f'127.0.0.1:{port}' in capsys.readouterr().err


def test_port_of_the_wyoming_protocol_that_is_taken_is_refused(tmp_path, capsys, quiet):
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    assert main(['serve', '--port', '0', '--wyoming', str(port), '--home', str(tmp_path)]) == 2
  told = capsys.readouterr().err
  assert f'127.0.0.1:{port}' in told and '--wyoming' in told


@pytest.mark.parametrize(
  'arguments, told',
  [
    (['serve', '--host', '0.0.0.0'], '--token'),
    (['serve', '--port', '99999'], '--port 99999'),
    (['serve', '--batch', '0'], '--batch 0'),
    (['serve', '--model', 'nowhere', '--port', '0'], 'nowhere'),
    (['desk', 'nowhere'], 'nowhere'),
  ],
)
def test_settings_that_cannot_be_used_are_refused(arguments, told, tmp_path, monkeypatch, capsys, quiet):
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv('DUBBER_TOKEN', raising=False)
  assert main(arguments) == 2
  assert told in capsys.readouterr().err


def test_address_of_the_page_names_project_and_token(tmp_path):
  settings = ServerSettings(token='a secret', projects=(tmp_path,))
  assert run._page(settings).startswith('/?token=a+secret#') and run._page(ServerSettings()) == '/'
  assert run._address(ServerSettings(host='::1'), 8000) == 'http://[::1]:8000'


STOPPED = """
import sys, threading, time
from pathlib import Path
from unittest import mock
from dubber_jax.serving import run
from dubber_jax.serving.settings import ServerSettings

def compiles_for_long(engine):
  print("compiling", flush=True)  # in native code, which does not come back
  threading.Event().wait(600)

with (
  mock.patch('dubber_jax.serving.engine.SpeechEngine._load'),
  mock.patch('dubber_jax.serving.engine.SpeechEngine._compile_usual'),
  mock.patch('dubber_jax.serving.engine.SpeechEngine._compile_rest', compiles_for_long),
  mock.patch('dubber_jax.serving.uploads.UploadWorkers.start'),
):
  run.serve(ServerSettings(port=0, home=Path(sys.argv[1])))
  print('not ended')  # Python would now wait for the thread, or abort in native code
"""


def started(tmp_path):
  """A server that compiles for long."""
  command = [sys.executable, '-c', STOPPED, str(tmp_path)]
  server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  said = [server.stdout.readline(), server.stdout.readline()]
  assert said[0].startswith('http://127.0.0.1:') and said[1] == 'compiling\n'
  return server


@pytest.mark.slow
def test_server_that_compiles_stops_at_once_at_a_second_signal(tmp_path):
  server = started(tmp_path)
  server.send_signal(signal.SIGINT)
  while 'stopping' not in server.stderr.readline():
    assert server.poll() is None
  with contextlib.suppress(ProcessLookupError):
    server.send_signal(signal.SIGINT)
  more, rows = server.communicate(timeout=60)
  assert server.returncode in (0, 130) and not more and 'FATAL' not in rows  # 0: it had stopped by then


@pytest.mark.slow
def test_server_that_compiles_stops_at_a_signal_and_succeeds(tmp_path):
  server = started(tmp_path)
  server.send_signal(signal.SIGTERM)
  more, rows = server.communicate(timeout=60)
  assert server.returncode == 0 and 'stopping' in rows and not more
