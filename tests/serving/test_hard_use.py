"""The server under load, sent damaged requests and killed at work: samples of experiments/timing/serving.py, by its
harnesses, with an engine that hums."""

import asyncio
import os
import random
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'experiments' / 'timing'), str(Path(__file__).parent)]

import serving  # noqa: E402
import serving_fuzz  # noqa: E402
import serving_kills  # noqa: E402
import serving_load  # noqa: E402
import serving_tables  # noqa: E402
from stand_in_server import StandInUploads, humming, make_film, speaking_server  # noqa: E402

from dubber_jax.serving.app import create_app  # noqa: E402
from dubber_jax.serving.settings import Limits  # noqa: E402

SMALL = Limits(queue=3, batch=1, silent_seconds=0.3, worker_seconds=20.0)


class Running:
  """A server in a thread."""

  def __init__(self, home, **settings):
    self.home, self.port = home, serving_kills.free_port()
    self.state = speaking_server(home, **settings)
    app = create_app(self.state)
    self._server = uvicorn.Server(uvicorn.Config(app, host='127.0.0.1', port=self.port, log_level='warning'))
    self._thread = threading.Thread(target=self._server.run, daemon=True)

  @property
  def address(self):
    return f'http://127.0.0.1:{self.port}'

  def __enter__(self):
    self._thread.start()
    while not self._server.started:
      assert self._thread.is_alive(), 'the server did not start'
      self._thread.join(0.02)
    return self

  def __exit__(self, *_):
    self._server.should_exit = True
    self._thread.join(20)


@pytest.fixture(scope='module')
def media(tmp_path_factory):
  folder = tmp_path_factory.mktemp('media')
  return serving.write_sound_and_script(folder) | {'film': make_film(folder / 'film.mp4', 5.0)}


@pytest.fixture(scope='module')
def running(tmp_path_factory, media):
  """A server with a project."""
  with humming(), Running(tmp_path_factory.mktemp('home'), limits=SMALL) as server:
    server.project = serving.new_project(server.address, media, 'ada')
    serving.wait_idle(server.address, server.project, 60)
    yield server


def test_damaged_requests_are_answered_by_errors_of_the_client_in_one_form(tmp_path, media):
  with humming(), Running(tmp_path, limits=SMALL, kind=StandInUploads) as server:
    project = serving.new_project(server.address, media, 'ada')
    serving.wait_idle(server.address, project, 60)
    (dub,) = httpx.get(f'{server.address}/v1/dubs').json()['data']
    known = {'p': project, 'id': dub['id'], 'n': '1', 'k': '1', 'name': 'ada', 'file': 'desk.js'}
    cases = serving_fuzz.draw_cases(60, 1, serving_fuzz.server_routes(), known)
    found = serving_fuzz.summarize(serving_fuzz.fuzz(cases, '127.0.0.1', server.port))
    assert not found['wrong'] and not found['status_500']
    assert found['requests'] == 60 and len(found['statuses']) > 4
    assert httpx.get(f'{server.address}/readyz').status_code == 200
    assert not list((server.home / 'uploads').glob('*'))


def test_cases_are_the_same_for_one_seed_and_of_every_route():
  routes = serving_fuzz.server_routes()
  first, again, other = (list(serving_fuzz.draw_cases(100, seed, routes)) for seed in (1, 1, 2))
  assert first == again != other
  assert {('POST', '/v1/audio/speech'), ('POST', '/v1/voices')} <= set(routes)
  assert len(routes) > 25 and len({case.fault for case in first}) > 40


@pytest.mark.parametrize(
  ('answer', 'problem'),
  [
    (b'HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno', 'status 500'),
    (b'HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno', 'not in the form'),
    (b'HTTP/1.1 200 Fine\r\nContent-Length: 20\r\n\r\nhalf', 'cut off'),
    (b'', 'no answer'),
    (b'HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok', ''),
  ],
)
def test_the_judge_sees_what_a_server_does_wrong(answer, problem):
  import socket

  with socket.create_server(('127.0.0.1', 0)) as listener:

    def serve():
      connection, _ = listener.accept()
      connection.recv(10_000)
      connection.sendall(answer)
      connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    case = serving_fuzz.Case(0, 'nothing', 'GET', '/', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    outcome = serving_fuzz.send_case(case, '127.0.0.1', listener.getsockname()[1], wait=10)
    thread.join()
  assert problem in outcome.problem and bool(problem) == bool(outcome.problem)


def test_every_client_is_answered_or_refused_with_a_time_to_wait(tmp_path):
  with humming(), Running(tmp_path, limits=SMALL, work=0.05) as server:
    lines = serving_load.texts()[:3]
    requests = asyncio.run(serving_load.open_loop(server.address, 120.0, 1.0, lines, 'ada'))
  found = serving_load.summarize(requests)
  assert found['lost'] == 0, found['problems']
  assert found['spoken'] > 5 and found['refused'] > 5 and found['spoken'] + found['refused'] == found['requests']


def test_clients_that_ask_again_are_measured(running):
  requests = asyncio.run(serving_load.closed_loop(running.address, 2, 0.3, ['Good day.'], 'ada'))
  found = serving_load.summarize(requests)
  assert found['spoken'] == found['requests'] >= 2 and found['per_second'] > 0
  assert 0 < found['first_ms']['p50'] <= found['total_ms']['p99']


def test_what_is_neither_spoken_nor_refused_is_lost():
  requests = [
    serving_load.Request(0.0, 200, 0.1, 0.2, 1.0),
    serving_load.Request(0.1, 429, retry_after=2),
    serving_load.Request(0.1, 429),
    serving_load.Request(0.1, 500),
    serving_load.Request(0.1, None, problem='cut off'),
    serving_load.Request(0.1, 200, 0.1, 0.2, problem='no WAV'),
  ]
  found = serving_load.summarize(requests)
  assert (found['spoken'], found['refused'], found['lost']) == (1, 1, 4)


def test_growth_of_memory_leaves_the_warm_up_out():
  sizes = [*np.linspace(10, 100, 20), *[100] * 60, *[110] * 20]
  assert serving_load.memory_growth([(float(i), int(s)) for i, s in enumerate(sizes)]) == pytest.approx(0.1)


def test_a_killed_upload_process_costs_the_one_request_that_it_served(running, media):
  numbers = iter(range(1000))

  def upload():
    with media['voice'].open('rb') as file:
      fields = {'name': f'voice {next(numbers)}', **serving.CONSENT}
      files = {'recording': ('voice.wav', file)}
      return httpx.post(f'{running.address}/v1/voices', data=fields, files=files, timeout=60)

  def other():
    body = {'model': 'tts-1', 'input': 'Good day.', 'voice': 'ada', 'response_format': 'wav'}
    return httpx.post(f'{running.address}/v1/audio/speech', json=body, timeout=60)

  found = serving_kills.kill_upload_workers(os.getpid(), running.home / 'uploads', upload, other, 2)
  assert found['kills'] == 2 and not found['faults'] and found['statuses'] == {'422': 2}
  assert not list((running.home / 'uploads').glob('*'))


def test_a_project_that_cannot_be_opened_is_a_fault(tmp_path, running):
  project = next((running.home / 'dubs').glob('*/project'))
  assert not list(serving_kills.project_faults([project]))
  (tmp_path / 'project.json').write_text('{')
  (fault,) = serving_kills.project_faults([tmp_path])
  assert 'project.json' in fault and 'BadInput' in fault


@pytest.mark.slow
def test_projects_of_a_killed_server_open_again(tmp_path, media):
  home = tmp_path / 'home'

  def work(address, rng, gone):
    serving.change_projects(address, rng, gone, media, 'ada')

  def check():
    return '; '.join(serving_kills.project_faults([p.parent for p in home.glob('dubs/*/project/project.json')]))

  with serving.stand_in(tmp_path) as server:  # one project that is complete, however slow the machine is
    serving.wait_idle(server.address, serving.new_project(server.address, media, 'ada'))
  found = serving_kills.kill_servers(lambda: serving.stand_in(tmp_path), work, check, 4, 3.0, random.randrange(1000))
  assert found['kills'] == 4 and not found['faults']
  with serving.stand_in(tmp_path) as server:
    listed = httpx.get(f'{server.address}/desk/projects', timeout=60).json()['projects']
    assert listed and not serving_kills.answer_faults(server.address, len(listed))


def test_figures_are_written_as_tables_and_a_picture(tmp_path):
  times = {'p50': 100.0, 'p95': 200.0, 'p99': None}
  row = {'clients': 4, 'per_second': 3.0, 'real_time': 9.0, 'first_ms': times, 'total_ms': times}
  loop = {'per_second': 2.0, 'real_time': 6.0, 'total_ms': times}
  beside = {'machine': 'trains', 'load_average': 3.0, 'date': '2026-12-01'}
  whole = row | {'first_ms': times | {'p99': 1.0}, 'total_ms': times | {'p99': 1.0}}
  load = {'clients': [whole | {'refused': 1, 'requests': 9, 'spoken': 8}]}
  loops = {'rehearsed': loop, 'one_take': loop | {'per_second': 4.0}}
  fuzz = {'requests': 10, 'routes': 3, 'status_500': 0, 'wrong': [{}]}
  text = serving_tables.markdown({'load': load | beside, 'loop': loops | beside, 'fuzz': fuzz | beside})
  assert '| 4 clients | 3.00 | 9.00 | 100, 200, 1 | 100, 200, 1 | 1 of 9 |' in text and '| 0; 1 |' in text
  assert 'load average 3.0. trains' in text
  assert '| loop of `dj.speak`, one take | 4.00 | 6.00 |' in text
  serving_tables.draw(load, loops, tmp_path / 'load.png')
  assert (tmp_path / 'load.png').read_bytes()[:4] == b'\x89PNG'
