"""A line directed at the desk by the shipped model: what is computed for a note, and that it is what the command line
makes of it.

    pytest -m slow tests/serving/desk/test_shipped_model.py -s
"""

import shutil
import threading
import time
from pathlib import Path
from unittest import mock

import pytest
from starlette.testclient import TestClient

from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.dubbing import line as line_module
from dubber_jax.dubbing.film import dub
from dubber_jax.dubbing.project import Project
from dubber_jax.dubbing.redo import RedoRequest, redo
from dubber_jax.dubbing.request import DubOptions, DubRequest
from dubber_jax.media.video import write_silent_clip
from dubber_jax.serving.app import create_app, open_server
from dubber_jax.serving.home import project_id
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.types import EMOTIONS, Line

pytestmark = pytest.mark.slow

TEXT = 'I have waited for this all day long.'
NOTES = ('softer', 'a bit slower', 'sadder', 'softer')


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
  """(client, server, project's folder, a copy of it as the dub left it) of a line of 3 s."""
  folder = tmp_path_factory.mktemp('desk')
  film, project = folder / 'film.mp4', folder / 'project'
  write_silent_clip(film, draw_cartoon('sad', TEXT, 3.2))
  server = open_server(ServerSettings(home=folder / 'home', projects=(project,)))
  with TestClient(create_app(server), base_url='http://127.0.0.1') as client:
    wait = threading.Event()
    while not server.engine.ready:
      assert server.engine.failure is None
      wait.wait(0.2)
    model, library = server.engine.model, server.engine.library
    request = DubRequest.of(film, [Line(TEXT, 0.1, 3.1)], model.voices['kathleen'], folder / 'out.mp4', DubOptions())
    dub(DubRequest(**{**vars(request), 'project': project}), model, library)
    copy = folder / 'copy'
    shutil.copytree(project, copy)
    yield client, server, project, copy


def test_a_note_reads_no_picture_again_and_is_what_the_command_line_makes_of_it(desk):
  client, server, project, copy = desk
  address = f'/desk/projects/{project_id(project)}/lines/1/takes'
  reading = mock.Mock(wraps=line_module.see_line)
  with mock.patch.object(line_module, 'see_line', reading):
    for note in NOTES:
      began, computed = time.perf_counter(), time.process_time()
      take = client.post(address, json={'note': note}).json()['take']
      seconds = time.perf_counter() - began, time.process_time() - computed
      stages = server.desk.open(project_id(project)).result(1, take['number']).seconds
      print(f'{note}: {seconds[0]:.2f} s, {seconds[1]:.2f} s of computing; {stages}')
  assert reading.call_count == 1
  with mock.patch('dubber_jax.dubbing.redo.export'):
    for note in NOTES[:2]:
      redo(RedoRequest(copy, 1, note), server.engine.model, server.engine.library)
  for number in (2, 3):
    ours, theirs = (Project(folder).load(1, number) for folder in (project, copy))
    assert ours.direction == theirs.direction
    assert (ours.take.waveform == theirs.take.waveform).all() and (ours.take.mel == theirs.take.mel).all()


def test_an_angry_recording_makes_the_line_angrier_in_every_way(desk, data_dir):
  client, server, project, _ = desk
  library = server.engine.library
  angry = next(clip for clip in library.clips if clip.emotion == 'angry' and library.media_path(clip))
  sound = Path(library.media_path(angry)).read_bytes()
  address = f'/desk/projects/{project_id(project)}/lines/1'
  before = client.get(address).json()['takes'][0]['direction']
  told = client.put(f'{address}/reference', files={'file': ('cry.opus', sound, 'audio/ogg')})
  assert told.status_code == 201, told.text
  after, number = told.json()['take']['direction'], told.json()['take']['number']
  assert after['emotion'].get('angry', 0.0) > before['emotion'].get('angry', 0.0) + 0.5
  firsts = [found[0] for found in client.get(address).json()['why']['exemplars'].values()]
  assert all(first['emotion'] == 'angry' and first['key'].startswith('reference/') for first in firsts)
  assert client.get(f'/desk/projects/{project_id(project)}/exemplars/{firsts[0]["key"]}.wav').content[:4] == b'RIFF'
  odds = Project(project).load(1, number).take.emotion[EMOTIONS.index('angry')]
  assert odds > Project(project).load(1, 1).take.emotion[EMOTIONS.index('angry')]
