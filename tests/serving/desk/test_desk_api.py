"""The desk's HTTP interface, of a film of four lines, with an actor that takes no time."""

import asyncio
import dataclasses
import io
import json
import shutil
import threading
from fractions import Fraction
from urllib.parse import quote

import av
import numpy as np
import pytest
from desk_server import LINES, acting, make_project, make_server
from starlette.testclient import TestClient

from dubber_jax.errors import BadInput
from dubber_jax.media.sound import write_wav
from dubber_jax.serving.app import create_app
from dubber_jax.serving.home import project_id
from dubber_jax.types import SAMPLE_RATE

FOUR = LINES[:4]


@pytest.fixture(scope='module')
def original(tmp_path_factory):
  """A folder with a film and its project, to be copied."""
  folder = tmp_path_factory.mktemp('desk')
  make_project(folder, FOUR)
  return folder


@pytest.fixture
def desk(original, tmp_path):
  """A client of a server with a copy of the project, and helpers."""
  folder = tmp_path / 'desk'
  shutil.copytree(original, folder)
  with acting(), DeskClient(folder) as client:
    yield client


class DeskClient:
  """A client that knows its project's paths."""

  def __init__(self, folder):
    self.folder, self.project = folder, folder / 'film.project'
    self.server = make_server(folder, self.project)
    self.client = TestClient(create_app(self.server), base_url='http://127.0.0.1')
    self.base = f'/desk/projects/{project_id(self.project)}'

  def __enter__(self):
    self.client.__enter__()
    return self

  def __exit__(self, *error):
    self.client.__exit__(*error)

  def get(self, path='', **options):
    return self.client.get(self.base + path, **options)

  def call(self, method, path, json=None, status=200, **options):
    answer = self.client.request(method, self.base + path, json=json, **options)
    assert answer.status_code == status, answer.text
    return answer.json()

  def state(self):
    return self.get().json()

  def finish(self, job):
    """Waits for a job."""
    found = self.server.jobs.get(job['job'])
    assert self.server.jobs.wait(found, 60)
    return found


def test_the_project_and_its_lines_are_told(desk):
  (row,) = desk.client.get('/desk/projects').json()['projects']
  assert (row['name'], row['lines'], row['error']) == ('film', 4, None)
  found = desk.state()
  assert [line['text'] for line in found['lines']] == [line.text for line in FOUR]
  assert found['exported'] and found['undo'] is None and found['film_error'] is None and found['width'] == 160
  assert {c['name']: c['voice'] for c in found['characters']} == {'ANNA': 'ada', 'BEN': 'bob', 'CLARA': 'cleo'}
  line = desk.get('/lines/1').json()
  assert line['takes'][0]['dubbed'] and line['why']['exemplars']['scene'][0]['key']
  assert line['takes'][0]['words'][0][0].lower() == 'where' and line['takes'][0]['words'][0][1] >= FOUR[0].start


def test_a_note_is_played_chosen_and_taken_back(desk):
  before = desk.state()
  told = desk.call('POST', '/lines/2/takes', {'note': 'softer'}, 201)
  assert told['take']['note'] == 'softer' and told['take']['from'] == 1 and told['take']['direction']['loudness'] < 0
  after = told['project']
  assert after['version'] == before['version'] + 1 and after['lines'][1]['take'] == 2 and not after['exported']
  assert after['undo'] == 'note on line 2' and after == desk.state()
  assert desk.get('/lines/2/takes/2.wav').content[:4] == b'RIFF'
  back = desk.call('POST', '/undo')
  assert back['lines'][1] == before['lines'][1] | {'takes': [1, 2]} and back['redo'] == 'note on line 2'
  assert back['exported'] and desk.call('POST', '/redo')['lines'][1]['take'] == 2


def test_the_same_note_by_the_command_line_is_the_same_take(desk, original, tmp_path):
  from dubber_jax.dubbing.project import Project
  from dubber_jax.dubbing.redo import RedoRequest, redo

  other = tmp_path / 'other'
  shutil.copytree(original, other)
  desk.call('POST', '/lines/3/takes', {'note': 'slower, two semitones lower'}, 201)
  session = desk.server.desk.open(project_id(desk.project))
  model, library = session.model(session.state()), session.library(session.state())
  redo(RedoRequest(other / 'film.project', 3, 'slower, two semitones lower'), model, library)
  ours, theirs = (Project(folder).load(3, 2) for folder in (desk.project, other / 'film.project'))
  assert (ours.take.waveform == theirs.take.waveform).all() and ours.direction == theirs.direction
  assert ours.made['key'] == theirs.made['key']


def test_a_direction_is_changed_within_its_limits(desk):
  told = desk.call(
    'POST', '/lines/1/takes', {'direction': {'pace': 0.8, 'emotion': {'sad': 2 / 3, 'fear': 1 / 3}}}, 201
  )
  direction = told['take']['direction']
  assert direction['pace'] == 0.8 and direction['emotion'] == {'fear': 0.3333, 'sad': 0.6667} and direction['note']
  wrong = [
    {'pace': 3},
    {'pace': 'fast'},
    {'pace': True},
    {'warmth': 1},
    {'emotion': {'bored': 1}},
    {'emotion': {}},
    {'pauses': [[99, 0.2]]},
    {'pauses': [[0, 9]]},
    {'pauses': 7},
    {'emphasis': [1] * 99},
    {'intensity': float(2)},
  ]
  for changes in wrong:
    told = desk.call('POST', '/lines/1/takes', {'direction': changes}, 400)
    assert told['error']['message']
  assert desk.state()['lines'][0]['takes'] == [1, 2]


def test_without_a_note_it_is_another_take(desk):
  first = desk.call('POST', '/lines/1/takes', {}, 201)['take']
  second = desk.call('POST', '/lines/1/takes', None, 201)['take']
  assert first['direction'] == second['direction']
  sounds = {desk.get(f'/lines/1/takes/{take}.wav').content for take in (1, 2, 3)}
  assert len(sounds) == 3


def test_a_version_that_is_not_the_present_one_changes_nothing(desk):
  version = desk.state()['version']
  desk.call('PATCH', '/lines/1', {'accepted': True}, headers={'If-Match': f'"{version}"'})
  told = desk.call('PATCH', '/lines/1', {'accepted': False}, 412, headers={'If-Match': f'"{version}"'})
  assert told['error']['code'] == 'version_changed' and desk.state()['lines'][0]['accepted']
  desk.call('POST', '/undo', status=400, headers={'If-Match': 'soon'})


def test_an_accepted_line_that_gets_another_take_is_accepted_no_more(desk):
  desk.call('PATCH', '/lines/1', {'accepted': True})
  assert not desk.call('POST', '/lines/1/takes', {'note': 'louder'}, 201)['project']['lines'][0]['accepted']
  back = desk.call('POST', '/undo')
  assert back['lines'][0]['accepted'] and back['lines'][0]['take'] == 1 and back['undo'] == 'acceptance of line 1'


def test_a_project_that_is_open_elsewhere_is_a_conflict(desk):
  from dubber_jax.dubbing.project import open_project

  with open_project(desk.project):
    told = desk.call('PATCH', '/lines/1', {'accepted': True}, 409)
    assert told['error']['code'] == 'project_open_elsewhere' and desk.get().status_code == 200
  desk.call('PATCH', '/lines/1', {'accepted': True})


def test_what_the_command_line_changes_can_be_taken_back(desk):
  from dubber_jax.dubbing.redo import RedoRequest, redo

  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)
  redo(RedoRequest(desk.project, 1, take=1))
  found = desk.state()
  assert found['lines'][0]['take'] == 1 and found['undo'] == 'changes by the command line'
  assert desk.call('POST', '/undo')['lines'][0]['take'] == 2


def test_a_server_that_is_started_again_remembers(desk):
  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)
  desk.call('PATCH', '/lines/2', {'accepted': True})
  before = desk.state()
  with DeskClient(desk.folder) as again:
    assert again.state() == before
    assert again.call('POST', '/undo')['undo'] == 'note on line 1'


def test_the_film_is_written_when_it_is_asked_for(desk):
  out = desk.folder / 'dubbed.mp4'
  before = out.read_bytes()
  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)
  assert out.read_bytes() == before
  job = desk.finish(desk.call('POST', '/export', status=202)['job'])
  assert job.state == 'done' and out.read_bytes() != before and desk.state()['exported']
  assert desk.get('/output').content == out.read_bytes()


def test_a_character_gets_another_voice(desk):
  before = desk.state()
  job = desk.finish(desk.call('PUT', '/characters/ANNA', {'voice': 'dora'}, 202)['job'])
  found = desk.state()
  assert job.state == 'done' and found['characters'][0]['voice'] == 'dora'
  assert [line['voice'] for line in found['lines']] == ['dora', 'bob', 'cleo', 'dora']
  assert [line['take'] for line in found['lines']] == [2, 1, 1, 2] and found['undo'] == 'voice of ANNA'
  assert desk.call('POST', '/undo')['lines'][3]['voice'] == before['lines'][3]['voice']
  desk.call('PUT', '/characters/NOBODY', {'voice': 'dora'}, 404)
  desk.call('PUT', '/characters/ANNA', {'voice': 'nobody'}, 404)


def test_a_voice_job_that_was_cut_off_goes_on_when_the_project_is_opened_again(desk, monkeypatch):
  from dubber_jax.serving.desk import edits

  speak, played = edits._speak, []

  def once(*arguments):
    if played:
      raise RuntimeError('killed')
    played.append(speak(*arguments))

  monkeypatch.setattr(edits, '_speak', once)
  assert desk.finish(desk.call('PUT', '/characters/ANNA', {'voice': 'dora'}, 202)['job']).state == 'failed'
  assert [line['take'] for line in desk.get().json()['lines']][0] == 2
  monkeypatch.undo()
  with acting(), DeskClient(desk.folder) as again:
    job = again.state()['job']
    if job:
      again.finish(job)
    assert [line['voice'] for line in again.state()['lines']] == ['dora', 'bob', 'cleo', 'dora']
    assert again.call('POST', '/undo')['lines'][0]['voice'] == 'ada'


def test_the_background_is_changed_and_taken_back(desk):
  assert not desk.call('PUT', '/background', {'background': 'duck'})['exported']
  assert desk.call('POST', '/undo')['background'] == 'mute' and desk.state()['exported']
  for wrong in ('loud', None, 7, '/etc/passwd', str(desk.folder / 'film.mp4')):
    desk.call('PUT', '/background', {'background': wrong}, 400)


def test_a_film_that_is_gone_is_told(desk):
  (desk.folder / 'film.mp4').rename(desk.folder / 'away.mp4')
  assert 'film.mp4' in desk.state()['film_error']
  assert desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 409)['error']['code'] == 'film_missing'
  assert desk.get('/film').status_code == 409 and desk.get('/lines/1/takes/1.wav').status_code == 200
  (desk.folder / 'away.mp4').rename(desk.folder / 'film.mp4')
  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)


def test_media_are_there(desk):
  part = desk.get('/film', headers={'Range': 'bytes=0-99'})
  assert part.status_code == 206 and len(part.content) == 100 and part.headers['content-type'] == 'video/mp4'
  assert desk.get('/lines/1/original.wav').content[:4] == b'RIFF'
  assert desk.get('/lines/1/frame.jpg').content[:2] == b'\xff\xd8'
  for path in (
    '/lines/9/frame.jpg',
    '/lines/1/takes/9.wav',
    '/exemplars/../../project.json.wav',
    '/exemplars/a/b/c.jpg',
  ):
    assert desk.get(path).status_code == 404, path
  key = desk.get('/lines/1').json()['why']['exemplars']['scene'][0]
  assert desk.get(f'/exemplars/{key["key"]}.wav').status_code == (200 if key['sound'] else 404)


def a_recording(folder) -> bytes:
  time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
  write_wav(folder / 'cry.wav', (0.3 * np.sin(2 * np.pi * (200 + 50 * time) * time)).astype(np.float32), SAMPLE_RATE)
  return (folder / 'cry.wav').read_bytes()


def a_microphone_recording() -> bytes:
  """As a browser records it: Opus in WebM that is written as it comes, which states no length."""
  file, time = io.BytesIO(), np.arange(48_000) / 48_000
  with av.open(file, 'w', format='webm', options={'live': '1'}) as out:
    sound = out.add_stream('libopus', rate=48_000, layout='mono')
    wave = (0.3 * np.sin(2 * np.pi * (200 + 50 * time) * time)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None], 'flt', 'mono')
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    for encode in (frame, None):
      out.mux(sound.encode(encode))
  return file.getvalue()


def test_a_guide_is_followed(desk):
  files = {'file': ('blob', a_microphone_recording(), 'audio/webm;codecs=opus')}
  told = desk.call('PUT', '/lines/2/guide', status=201, files=files)
  assert told['project']['lines'][1]['guide'] and told['take']['direction']['emotion']['happy'] > 0.5
  assert told['take']['direction']['pauses'] and told['project']['undo'] == 'guide of line 2'
  note = desk.call('POST', '/lines/2/takes', {'note': 'softer'}, 201)
  assert note['project']['lines'][1]['guide'] and note['take']['direction']['emotion']['happy'] > 0.5
  silent = {'file': ('blob', b'no sound', 'audio/webm')}
  assert desk.call('PUT', '/lines/2/guide', status=422, files=silent)['error']['code'] == 'bad_upload'
  assert list((desk.folder / 'home' / 'uploads').iterdir()) == []


def test_a_reference_is_played_from_then_on_and_can_be_removed(desk, tmp_path):
  files = {'file': ('../<i>angry.wav', a_recording(tmp_path), 'audio/wav')}
  told = desk.call('PUT', '/lines/1/reference', status=201, files=files)
  assert told['take']['direction']['emotion']['angry'] > 0.8
  assert told['project']['lines'][0]['reference'] == '<i>angry.wav' and told['take']['by'] == 'reference'
  exemplar = desk.get('/lines/1').json()['why']['exemplars']['face'][0]
  assert (
    exemplar['key'].startswith('reference/') and desk.get(f'/exemplars/{exemplar["key"]}.wav').content[:4] == b'RIFF'
  )
  gone = desk.call('DELETE', '/lines/1/reference')
  assert gone['lines'][0]['reference'] is None
  assert desk.call('POST', '/undo')['lines'][0]['reference'] == '<i>angry.wav'
  assert desk.call('POST', '/undo')['lines'][0] == desk.state()['lines'][0]
  desk.call('PUT', '/lines/1/reference', status=415, json={})
  assert desk.get(f'/lines/{"9" * 5000}').status_code == 404 and desk.get('/lines/0').status_code == 404


def test_a_history_that_is_damaged_does_not_close_the_project(desk):
  desk.call('PATCH', '/lines/1', {'accepted': True})
  for text in ('', '{', 'null', '[' * 100_000, '{"format": 1}', json.dumps({'format': 1, 'version': 1e999})):
    (desk.project / 'desk.json').write_text(text)
    assert desk.get().status_code == 200
  desk.call('PATCH', '/lines/1', {'accepted': True})


BODIES = ['[]', '7', '{', '{"note": 7}', '{"notes": ""}', '{"fit": "loose"}', '{"direction": []}']
BODIES += ['{"note": "\\ud800"}', '{"\\ud800": 1}', '{"direction": {"pace": NaN}}', '[' * 100_000]


@pytest.mark.parametrize('body', BODIES, ids=lambda body: body[:20].encode('ascii', 'replace').decode())
def test_bodies_that_are_none_are_refused(desk, body):
  answer = desk.client.post(f'{desk.base}/lines/1/takes', content=body)
  assert answer.status_code == 400 and answer.json()['error']['message']


def test_a_change_of_several_pointers_is_finished_after_a_kill(desk):
  from dubber_jax.dubbing.project import open_project
  from dubber_jax.serving.desk.history import Change, read_desk, write_desk

  desk.call('PATCH', '/lines/1', {'accepted': True})
  log = read_desk(desk.project)
  change = Change('background', {'background': ['mute', 'none'], 'accepted/2': [False, True]})
  with open_project(desk.project):
    write_desk(desk.project, dataclasses.replace(log, pending=(change, 1)))
  found = desk.state()
  assert found['background'] == 'none' and found['lines'][1]['accepted'] and found['undo'] == 'background'


def test_events_reach_those_who_follow_a_project(desk):
  from dubber_jax.serving.events import event_response

  async def follow():
    events = event_response(desk.server.jobs.subscribe(project_id(desk.project))).body_iterator
    assert (await anext(events)).startswith('retry')
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    desk.server.jobs.publish(project_id(desk.project), 'take', {'line': 1, 'take': 2})
    found = await asyncio.wait_for(waiting, 10)
    await events.aclose()
    return found

  assert asyncio.run(follow()) == 'event: take\ndata: {"line": 1, "take": 2}\n\n'


def test_a_take_is_told_before_the_change(desk, monkeypatch):
  told = []
  monkeypatch.setattr(desk.server.jobs, 'publish', lambda key, name, data: told.append((name, data)))
  version = desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)['project']['version']
  assert told == [('take', {'line': 1, 'take': 2}), ('changed', {'version': version})]


def test_texts_and_names_of_a_project_are_data(original, tmp_path):
  folder = tmp_path / 'desk'
  shutil.copytree(original, folder)
  path = folder / 'film.project' / 'project.json'
  state = json.loads(path.read_text())
  state['lines'][0] |= {'text': '<script>alert(1)</script>', 'character': '../../<b>/ANNA?#'}
  path.write_text(json.dumps(state))
  with acting(), DeskClient(folder) as desk:
    answer = desk.get()
    assert (
      answer.headers['content-type'] == 'application/json' and answer.headers['x-content-type-options'] == 'nosniff'
    )
    name = answer.json()['characters'][0]['name']
    job = desk.call('PUT', f'/characters/{quote(name, safe="")}', {'voice': 'dora'}, 202)['job']
    assert desk.finish(job).state == 'done' and desk.state()['lines'][0]['voice'] == 'dora'


def test_a_note_while_the_film_is_written_is_told_to_wait(desk, monkeypatch):
  from dubber_jax.serving.desk import edits

  going, end = threading.Event(), threading.Event()

  def slow(work, film, progress):
    going.set()
    assert end.wait(30)
    raise BadInput('the disk is full')

  monkeypatch.setattr(edits, 'export', slow)
  job = desk.call('POST', '/export', status=202)['job']
  assert going.wait(30)
  assert desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 409)['error']['code'] == 'job_running'
  assert desk.state()['job']['job'] == job['job']
  end.set()
  found = desk.finish(job)
  assert found.state == 'failed' and found.error.message == 'the disk is full'
  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)


def test_a_voice_job_stops_when_it_is_asked_to(desk, monkeypatch):
  from dubber_jax.serving.desk import edits

  speak, going, end = edits._speak, threading.Event(), threading.Event()

  def slow(*arguments):
    speak(*arguments)
    going.set()
    assert end.wait(30)

  monkeypatch.setattr(edits, '_speak', slow)
  job = desk.call('PUT', '/characters/ANNA', {'voice': 'dora'}, 202)['job']
  assert going.wait(30)
  desk.server.jobs.get(job['job']).cancel()
  end.set()
  assert desk.finish(job).state == 'cancelled'
  assert desk.client.delete(f'/desk/jobs/{job["job"]}').status_code == 200
  found = desk.state()
  assert [line['voice'] for line in found['lines']] == ['dora', 'bob', 'cleo', 'ada'] and found['job'] is None
  assert desk.call('POST', '/undo')['lines'][0]['voice'] == 'ada'
  assert desk.client.delete('/desk/jobs/none').status_code == 404


def test_two_notes_at_once_come_one_after_the_other(desk):
  answers = []
  threads = [
    threading.Thread(target=lambda: answers.append(desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)))
    for _ in range(3)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(60)
  assert sorted(answer['take']['number'] for answer in answers) == [2, 3, 4]
  assert desk.state()['lines'][0]['takes'] == [1, 2, 3, 4]


def test_an_export_tells_how_far_it_is_and_stops_when_it_is_asked_to(desk, monkeypatch):
  jobs, out, told = desk.server.jobs, desk.folder / 'dubbed.mp4', []
  before, publish = out.read_bytes(), jobs.publish
  desk.call('POST', '/lines/1/takes', {'note': 'softer'}, 201)

  def cancelled_on_its_way(key, name, data):
    told.append((key, name, data))
    if name == 'progress' and data['done'] > 0:
      jobs.get(data['job']).cancel()
    publish(key, name, data)

  monkeypatch.setattr(jobs, 'publish', cancelled_on_its_way)
  assert desk.finish(desk.call('POST', '/export', status=202)['job']).state == 'cancelled'
  assert [data['of'] for _, name, data in told if name == 'progress'][0] > 1
  assert out.read_bytes() == before and not desk.state()['exported']
  monkeypatch.undo()
  assert desk.finish(desk.call('POST', '/export', status=202)['job']).state == 'done'


def test_a_voice_that_no_job_can_play_is_not_gone_on_with_later(desk):
  from dubber_jax.serving.desk.history import read_desk

  desk.server.jobs.limit = 0
  told = desk.call('PUT', '/characters/ANNA', {'voice': 'dora'}, 429)
  assert told['error']['code'] == 'queue_full' and read_desk(desk.project).unfinished is None
