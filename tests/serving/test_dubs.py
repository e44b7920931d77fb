"""/v1/dubs and /v1/voices over HTTP, with an actor that hums."""

import contextlib
import dataclasses
import io
import json
import threading

import av
import pytest
import stand_ins
from dub_server import stand_in_model, stand_in_server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from uploading import LIES, SRT, endless_wav, hum, run_in_place_of_workers, wait_for, write_film

from dubber_jax.dubbing.project import Project, open_project
from dubber_jax.dubbing.redo import RedoRequest, redo
from dubber_jax.media.background import NONE
from dubber_jax.serving import dubs, upload_worker, uploads, voice_routes
from dubber_jax.serving.access import Access
from dubber_jax.serving.errors import HANDLERS
from dubber_jax.serving.home import project_id
from dubber_jax.serving.settings import Limits, ServerSettings
from dubber_jax.serving.uploads import UploadWorkers

LONG = 20.0  # s
REAL_RUN = UploadWorkers._run
CONSENT = {
  'consent_speaker': 'Ada Example',
  'consent_date': '2026-03-31',
  'consent_statement': 'I agree that my voice speaks the lines of this film.',
}
LATE = '1\n00:00:09,000 --> 00:00:10,000\nANNA: Late.\n'
CAST = json.dumps({'anna': 'ada', 'BEN': 'bob'})


@pytest.fixture(scope='module')
def film(tmp_path_factory):
  return write_film(tmp_path_factory.mktemp('film') / 'film.mp4').read_bytes()


class Stage:
  """Holds the actor before a line until it may go on."""

  def __init__(self):
    self.hold_at, self.reached, self.go, self.played = None, threading.Event(), threading.Event(), []

  def __call__(self, model, library, task, options, planner):
    if task.line.text == self.hold_at:
      self.reached.set()
      assert self.go.wait(LONG)
    self.played.append(task.line.text)
    return stand_ins.hum_line(model, library, task, options, planner)


@pytest.fixture
def stage(monkeypatch):
  made = Stage()
  monkeypatch.setattr('dubber_jax.dubbing.line.dub_line', made)
  yield made
  made.go.set()


@pytest.fixture(autouse=True)
def reads_here(monkeypatch):
  """Uploads are read in this process, which takes no time to start."""

  def run(self, task, reading):
    (uploads.Path(task['folder']) / 'result.json').write_text(json.dumps(upload_worker.answer(task)))
    return uploads._result(task, 0)

  monkeypatch.setattr(UploadWorkers, '_run', run)
  monkeypatch.setattr(UploadWorkers, '_put_spare', lambda self: None)


def without(kind):
  """A `_run` of uploads of which those of a kind are read by processes, as in a real server."""
  read_here = UploadWorkers._run

  def run(self, task, reading):
    return (REAL_RUN if task['kind'] == kind else read_here)(self, task, reading)

  return run


class Served:
  """A running server and a client of it."""

  def __init__(self, settings, model):
    self.server = stand_in_server(settings, model)
    app = Starlette(
      routes=[*dubs.routes(), *voice_routes.routes()],
      middleware=[Middleware(Access, settings)],
      exception_handlers=HANDLERS,
    )
    app.state.server = self.server
    self.client = TestClient(app, 'http://localhost')
    self.server.uploads.start()

  def wait(self, answer):
    """Waits for the job of an answer -> it."""
    job = self.server.jobs.get(answer.json()['job']['job'])
    assert self.server.jobs.wait(job, LONG)
    return job

  def make(self, film, script=SRT, **fields):
    files = {'film': ('my film.mp4', film), 'script': ('my film.srt', script)}
    return self.client.post('/v1/dubs', files=files, data={'cast': CAST, 'background': NONE} | fields)

  def stop(self):
    self.server.jobs.stop(LONG)
    self.server.uploads.stop()
    self.server.engine.stop()


@pytest.fixture
def serve(tmp_path, stage):
  """Starts servers on one home folder, the former one stopped or killed."""
  running = []

  def start(model=True, **more):
    settings = ServerSettings(home=tmp_path / 'home', **more)
    running.append(Served(settings, stand_in_model(tmp_path / 'model') if model else None))
    return running[-1]

  yield start
  stage.go.set()
  for served in running:
    served.stop()


@pytest.fixture
def served(serve):
  return serve()


def error_of(answer):
  error = answer.json()['error']
  assert set(error) == {'message', 'type', 'param', 'code'} and error['message']
  return answer.status_code, error['code']


def left_over(served):
  """What is in the home folder beside stored voices."""
  home = served.server.settings.home
  return [path for path in home.rglob('*') if path.is_file() and 'voices' not in path.parts]


def test_a_film_is_dubbed_from_upload_to_result(served, stage, film):
  answer = served.make(film, subtitles='false')
  made = answer.json()
  assert answer.status_code == 202 and made['status'] in ('queued', 'running') and made['name'] == 'my film.mp4'
  assert answer.headers['location'] == f'/v1/dubs/{made["id"]}'
  assert served.wait(answer).state == 'done' and stage.played == ['Good day.', 'Who is there?', 'Only me.']
  found = served.client.get(f'/v1/dubs/{made["id"]}').json()
  assert found['status'] == 'done' and found['job'] is None and found['finished'] and found['lines'] == 3
  assert served.client.get('/v1/dubs').json()['data'] == [found]
  result = served.client.get(found['result'])
  assert result.headers['content-type'] == 'video/mp4' and 'my%20film.film.mp4' in result.headers['content-disposition']
  with av.open(io.BytesIO(result.content)) as dubbed:
    assert len(dubbed.streams.video) == 1 and len(dubbed.streams.audio) == 1
  part = served.client.get(found['result'], headers={'range': 'bytes=10-19'})
  assert part.status_code == 206 and part.content == result.content[10:20]
  lines = served.client.get(f'/v1/dubs/{made["id"]}/lines').json()['data']
  assert [(line['voice'], line['emotion'], line['warnings']) for line in lines] == [
    ('ada', 'neutral', []),
    ('bob', 'neutral', []),
    ('ada', 'neutral', []),
  ]
  assert [(line['number'], line['character'], line['take'], line['takes']) for line in lines] == [
    (1, 'Anna', 1, [1]),
    (2, 'Ben', 1, [1]),
    (3, 'Anna', 1, [1]),
  ]
  assert not [*(served.server.settings.home / 'uploads').iterdir()]


def test_progress_comes_as_events_to_the_end(served, stage, film):
  stage.hold_at = 'Who is there?'
  made = served.make(film).json()
  assert stage.reached.wait(LONG)
  stage.hold_at = None
  stage.go.set()
  with served.client.stream('GET', f'/v1/dubs/{made["id"]}/events') as stream:
    assert stream.headers['content-type'].startswith('text/event-stream')
    rows = [row for row in stream.iter_lines() if row]
  events = [row.removeprefix('event: ') for row in rows if row.startswith('event: ')]
  data = [json.loads(row.removeprefix('data: ')) for row in rows if row.startswith('data: ')]
  assert {*events} == {'job', 'progress'} and data[-1]['state'] == 'done'
  told = [found for found in data if 'message' in found]
  assert 'line 3 of 3' in [found['message'] for found in told] and told[-1]['message'] == 'the film is written'
  assert all(0 <= found['done'] <= found['of'] for found in told)
  rows = served.client.get(f'/v1/dubs/{made["id"]}/events').text
  assert '"state": "done"' in rows


def test_a_line_is_redone_by_a_note_and_taken_back(served, stage, film):
  made = served.make(film)
  served.wait(made)
  lines = f'/v1/dubs/{made.json()["id"]}/lines'
  before = served.client.get(made.json()['result'] or f'/v1/dubs/{made.json()["id"]}/result').content
  answer = served.client.post(f'{lines}/2', json={'note': 'softer'})
  assert answer.status_code == 202 and served.wait(answer).state == 'done'
  line = served.client.get(lines).json()['data'][1]
  assert (line['take'], line['takes']) == (2, [1, 2]) and stage.played[-1] == 'Who is there?'
  assert served.client.get(f'/v1/dubs/{made.json()["id"]}/result').content != before
  assert served.wait(served.client.post(f'{lines}/2', json={'take': 1})).state == 'done'
  assert served.client.get(lines).json()['data'][1]['take'] == 1 and len(stage.played) == 4
  assert served.client.get(f'/v1/dubs/{made.json()["id"]}').json()['status'] == 'done'


ODD_LINES = [
  (0, {'note': 'softer'}, 404, 'unknown_line'),
  (4, {'note': 'softer'}, 404, 'unknown_line'),
  (10**30, {'note': 'softer'}, 404, 'unknown_line'),
  (1, {'take': 7}, 404, 'unknown_take'),
  (1, {'take': -1}, 404, 'unknown_take'),
  (1, {'take': True}, 400, 'bad_value'),
  (1, {'take': 1.5}, 400, 'bad_value'),
  (1, {'note': 'softer', 'take': 1}, 400, 'bad_value'),
  (1, {'note': 7}, 400, 'bad_value'),
  (1, {'note': 'x' * 2001}, 400, 'bad_value'),
  (1, {'fit': 'loose'}, 400, 'bad_value'),
  (1, {'softer': 1}, 400, 'unknown_field'),
  (1, [], 400, 'bad_json'),
  (1, 'softer', 400, 'bad_json'),
]


def test_odd_requests_for_a_line_are_refused(served, film):
  made = served.make(film)
  served.wait(made)
  for line, body, status, code in ODD_LINES:
    answer = served.client.post(f'/v1/dubs/{made.json()["id"]}/lines/{line}', json=body)
    assert error_of(answer) == (status, code), (line, body)


def test_a_cancelled_dub_keeps_its_takes_and_goes_on(served, stage, film):
  stage.hold_at = 'Who is there?'
  answer = served.make(film)
  made = f'/v1/dubs/{answer.json()["id"]}'
  assert stage.reached.wait(LONG)
  assert served.client.post(f'{made}/cancel').status_code == 202
  stage.hold_at = None
  stage.go.set()
  assert served.wait(answer).state == 'cancelled'
  assert served.client.get(made).json()['status'] == 'cancelled'
  assert error_of(served.client.get(f'{made}/result')) == (409, 'no_result')
  assert error_of(served.client.post(f'{made}/cancel')) == (409, 'not_running')
  assert error_of(served.client.post(f'{made}/lines/1', json={'note': 'softer'})) == (409, 'not_done')
  answer = served.client.post(f'{made}/resume')
  assert answer.status_code == 202 and served.wait(answer).state == 'done'
  assert stage.played == ['Good day.', 'Who is there?', 'Only me.']
  assert error_of(served.client.post(f'{made}/resume')) == (409, 'already_done')


def test_a_dub_that_waits_is_cancelled_at_once(served, stage, film):
  stage.hold_at = 'Good day.'
  served.make(film)
  assert stage.reached.wait(LONG)
  waiting = served.make(film).json()
  assert waiting['status'] == 'queued'
  answer = served.client.post(f'/v1/dubs/{waiting["id"]}/cancel')
  assert answer.json()['status'] == 'cancelled'


def test_a_dub_that_waits_is_cancelled_by_whoever_cancels_its_job(served, stage, film):
  stage.hold_at = 'Good day.'
  served.make(film)
  assert stage.reached.wait(LONG)
  waiting = served.make(film).json()
  served.server.jobs.get(waiting['job']['job']).cancel()  # as the desk does
  found = served.client.get(f'/v1/dubs/{waiting["id"]}').json()
  assert found['status'] == 'cancelled' and found['finished']


def test_what_a_server_left_unfinished_is_interrupted_and_goes_on(serve, stage, film):
  served = serve()
  stage.hold_at = 'Who is there?'
  made = served.make(film).json()
  assert stage.reached.wait(LONG)
  record = served.server.settings.home / 'dubs' / made['id'] / 'dub.json'
  killed = record.read_bytes()
  stopper = threading.Thread(target=served.stop)
  stopper.start()
  stage.hold_at = None
  with contextlib.suppress(AssertionError):
    assert served.server.jobs.wait(served.server.jobs.get(made['job']['job']), 0.01)
  stage.go.set()
  stopper.join(LONG)
  assert record.read_bytes() == killed and json.loads(killed)['state'] == 'running'
  again = serve()
  found = again.client.get(f'/v1/dubs/{made["id"]}').json()
  assert found['status'] == 'interrupted' and found['job'] is None
  rows = again.client.get(f'/v1/dubs/{made["id"]}/events').text
  assert '"interrupted"' in rows
  assert again.wait(again.client.post(f'/v1/dubs/{made["id"]}/resume')).state == 'done'
  assert stage.played.count('Good day.') == 1


# Uploaded films are decoded whole in a process first


@pytest.fixture
def decoded(monkeypatch):
  """What is decoded whole; by default nothing is wrong with it."""
  found, run = [], UploadWorkers._run

  def noted(self, task, reading):
    found.extend([task['name']] if task['kind'] == 'whole film' else [])
    return run(self, task, reading)

  monkeypatch.setattr(UploadWorkers, '_run', noted)
  return found


@pytest.mark.parametrize('end', ['os.abort()', 'os.kill(os.getpid(), signal.SIGKILL)'])
def test_a_film_whose_decoder_dies_in_its_middle_fails_its_dub_alone(served, stage, film, monkeypatch, end):
  with monkeypatch.context() as patch:
    patch.setattr(UploadWorkers, '_run', without('whole film'))
    run_in_place_of_workers(patch, f'print(0.5, flush=True)\n{end}')
    answer = served.make(film)
    assert served.wait(answer).state == 'failed'
    found = served.client.get(f'/v1/dubs/{answer.json()["id"]}').json()
    assert found['status'] == 'failed' and found['error']['code'] == 'bad_upload'
    assert 'my film.mp4' in found['error']['message'] and '/' not in found['error']['message']
    assert stage.played == [] and found['result'] is None
    assert served.wait(served.client.post(f'/v1/dubs/{found["id"]}/resume')).state == 'failed'
  assert served.wait(served.make(film)).state == 'done'
  assert served.wait(served.client.post(f'/v1/dubs/{found["id"]}/resume')).state == 'done'


def test_a_film_is_decoded_whole_once_over_cancel_and_resume(served, stage, film, decoded):
  stage.hold_at = 'Who is there?'
  answer = served.make(film)
  made = f'/v1/dubs/{answer.json()["id"]}'
  assert stage.reached.wait(LONG) and decoded == ['my film.mp4']
  served.client.post(f'{made}/cancel')
  stage.hold_at = None
  stage.go.set()
  assert served.wait(answer).state == 'cancelled'
  assert served.wait(served.client.post(f'{made}/resume')).state == 'done' and decoded == ['my film.mp4']
  served.wait(served.client.post(f'{made}/lines/2', json={'note': 'softer'}))
  assert decoded == ['my film.mp4']


def test_a_dub_is_cancelled_while_its_film_is_decoded_and_goes_on_with_that(served, stage, film, monkeypatch, tmp_path):
  with monkeypatch.context() as patch:
    patch.setattr(UploadWorkers, '_run', without('whole film'))
    run_in_place_of_workers(patch, f'open({str(tmp_path / "began")!r}, "w").close()\ntime.sleep(60)')
    answer = served.make(film)
    wait_for((tmp_path / 'began').exists)
    job = served.server.jobs.get(answer.json()['job']['job'])
    wait_for(lambda: job.message)
    assert job.message == 'the film is checked' and 0 <= job.done < job.of
    served.client.post(f'/v1/dubs/{answer.json()["id"]}/cancel')
    assert served.wait(answer).state == 'cancelled'
  record = served.server.settings.home / 'dubs' / answer.json()['id'] / 'dub.json'
  assert not json.loads(record.read_text())['decoded']
  assert served.wait(served.client.post(f'/v1/dubs/{answer.json()["id"]}/resume')).state == 'done'
  assert json.loads(record.read_text())['decoded']


def test_a_server_that_stops_while_a_film_is_decoded_leaves_its_dub_to_be_gone_on_with(
  serve, film, monkeypatch, tmp_path
):
  served = serve()
  with monkeypatch.context() as patch:
    patch.setattr(UploadWorkers, '_run', without('whole film'))
    run_in_place_of_workers(patch, f'open({str(tmp_path / "began")!r}, "w").close()\ntime.sleep(60)')
    made = served.make(film).json()
    wait_for((tmp_path / 'began').exists)
    served.stop()
  again = serve()
  assert again.client.get(f'/v1/dubs/{made["id"]}').json()['status'] == 'interrupted'
  assert again.wait(again.client.post(f'/v1/dubs/{made["id"]}/resume')).state == 'done'


def test_the_guide_in_an_uploaded_film_is_not_decoded_before_the_whole_film_is(served, film, decoded, monkeypatch):
  asked = []

  def performances(guide, film, lines):
    asked.append((guide, len(decoded)))
    return [None] * len(lines), []

  monkeypatch.setattr('dubber_jax.dubbing.film._performances', performances)
  assert served.wait(served.make(film, guide='original')).state == 'done'
  assert asked == [(None, 0), ('original', 1)]


def test_a_dub_is_a_project_as_the_command_line_makes_it_and_one_at_a_time_writes_in_it(served, film, tmp_path):
  answer = served.make(film)
  served.wait(answer)
  made = answer.json()
  folder = served.server.settings.home / 'dubs' / made['id'] / 'project'
  assert made['project'] == project_id(folder)
  redo(RedoRequest(folder, 1, 'softer'), served.server.engine.model, served.server.engine.library)
  assert served.client.get(f'/v1/dubs/{made["id"]}/lines').json()['data'][0]['take'] == 2
  with open_project(folder):
    for method, path, body in (('POST', '/lines/1', {'note': 'louder'}), ('DELETE', '', None)):
      answer = served.client.request(method, f'/v1/dubs/{made["id"]}{path}', json=body)
      assert error_of(answer) == (409, 'busy') and str(tmp_path) not in answer.text
  assert Project(folder).takes(1) == [1, 2]


def test_a_dub_at_work_takes_no_second_job(served, stage, film):
  stage.hold_at = 'Good day.'
  made = f'/v1/dubs/{served.make(film).json()["id"]}'
  assert stage.reached.wait(LONG)
  assert error_of(served.client.post(f'{made}/lines/1', json={'note': 'softer'})) == (409, 'busy')
  assert error_of(served.client.post(f'{made}/resume')) == (409, 'busy')


def test_a_deleted_dub_is_stopped_and_leaves_nothing(served, stage, film):
  stage.hold_at = 'Who is there?'
  made = served.make(film)
  assert stage.reached.wait(LONG)
  job = served.server.jobs.get(made.json()['job']['job'])
  cancel = job.cancel

  def cancel_and_go():
    cancel()
    stage.go.set()

  job.cancel = cancel_and_go
  answer = served.client.delete(f'/v1/dubs/{made.json()["id"]}')
  assert answer.json()['deleted'] and not left_over(served)
  assert error_of(served.client.get(f'/v1/dubs/{made.json()["id"]}')) == (404, 'unknown_dub')
  assert error_of(served.client.delete(f'/v1/dubs/{made.json()["id"]}')) == (404, 'unknown_dub')


@pytest.mark.parametrize('dub', ['x', '..', '%2e%2e', '000000000000', '..%2f..%2fetc', 'dub.json', 'é' * 300])
@pytest.mark.parametrize('rest', ['', '/result', '/lines', '/events'])
def test_unknown_dubs_are_404(served, dub, rest):
  assert served.client.get(f'/v1/dubs/{dub}{rest}').status_code == 404


def test_dubs_that_are_links_are_not_followed(served, film, tmp_path):
  made = served.make(film)
  served.wait(made)
  folder = served.server.settings.home / 'dubs' / made.json()['id']
  folder.rename(tmp_path / 'elsewhere')
  folder.symlink_to(tmp_path / 'elsewhere')
  assert error_of(served.client.get(f'/v1/dubs/{made.json()["id"]}/result')) == (404, 'unknown_dub')
  folder.unlink()
  (tmp_path / 'elsewhere').rename(folder)
  (folder / 'dubbed.mp4').unlink()
  (folder / 'dubbed.mp4').symlink_to('/etc/passwd')
  assert error_of(served.client.get(f'/v1/dubs/{made.json()["id"]}/result')) == (410, 'no_result')


def test_a_damaged_record_costs_its_own_dub_alone(served, film):
  made, other = served.make(film), served.make(film)
  served.wait(other)
  (served.server.settings.home / 'dubs' / made.json()['id'] / 'dub.json').write_text('{"format": 1, "lines": 7}')
  assert error_of(served.client.get(f'/v1/dubs/{made.json()["id"]}')) == (409, 'damaged')
  assert [found['id'] for found in served.client.get('/v1/dubs').json()['data']] == [other.json()['id']]


# Films that are named


@pytest.fixture
def named(serve, tmp_path, film):
  folder = tmp_path / 'films'
  (folder / 'deep').mkdir(parents=True)
  (folder / 'deep' / 'film.mp4').write_bytes(film)
  (folder / 'film.srt').write_text(SRT)
  (tmp_path / 'secret.mp4').write_bytes(film)
  (folder / 'link.mp4').symlink_to(tmp_path / 'secret.mp4')
  return serve(films=(folder,)), folder


WISH = {'film': 'deep/film.mp4', 'script': 'film.srt', 'cast': {'Anna': 'ada', 'default': 'bob'}, 'background': 'none'}


def test_a_film_that_is_named_stays_where_it_is(named):
  served, folder = named
  answer = served.client.post('/v1/dubs', json=WISH)
  assert answer.status_code == 202 and served.wait(answer).state == 'done'
  home = served.server.settings.home / 'dubs' / answer.json()['id']
  assert not [*home.glob('film.*')] and (folder / 'deep' / 'film.mp4').exists()
  assert served.client.get(f'/v1/dubs/{answer.json()["id"]}/result').status_code == 200
  served.client.delete(f'/v1/dubs/{answer.json()["id"]}')
  assert (folder / 'deep' / 'film.mp4').exists() and not home.exists()


def test_a_film_of_the_owner_s_folders_is_no_upload(named, decoded):
  served, _ = named
  assert served.wait(served.client.post('/v1/dubs', json=WISH)).state == 'done' and not decoded


def test_a_film_that_disappeared_is_told(named):
  served, folder = named
  answer = served.client.post('/v1/dubs', json=WISH)
  served.wait(answer)
  made = f'/v1/dubs/{answer.json()["id"]}'
  (folder / 'deep' / 'film.mp4').rename(folder / 'gone.mp4')
  assert error_of(served.client.post(f'{made}/lines/1', json={'note': 'softer'})) == (409, 'film_missing')
  assert served.client.get(made).json()['status'] == 'done'
  assert served.client.get(f'{made}/result').status_code == 200


def test_a_film_that_disappears_before_it_is_played_is_told(named, stage):
  served, folder = named
  stage.hold_at = 'Good day.'
  first = served.client.post('/v1/dubs', json=WISH)
  assert stage.reached.wait(LONG)
  second = served.client.post('/v1/dubs', json=WISH)
  (folder / 'deep' / 'film.mp4').unlink()
  stage.go.set()
  served.wait(first)
  assert served.wait(second).state == 'failed'
  found = served.client.get(f'/v1/dubs/{second.json()["id"]}').json()
  assert found['status'] == 'failed' and found['error']['code'] == 'film_missing'
  assert error_of(served.client.post(f'/v1/dubs/{second.json()["id"]}/resume')) == (409, 'film_missing')


@pytest.mark.parametrize(
  'path',
  [
    '../secret.mp4',
    'link.mp4',
    '/etc/passwd',
    'none.mp4',
    'deep',
    'deep/../../secret.mp4',
    'a\0b',
    'x' * 1999,
    '~/x',
    '.',
  ],
)
def test_films_outside_of_the_folders_cannot_be_named(named, path):
  served, _ = named
  assert error_of(served.client.post('/v1/dubs', json=WISH | {'film': path})) == (404, 'file_not_found')
  assert error_of(served.client.post('/v1/dubs', json=WISH | {'script': path})) == (404, 'file_not_found')


def test_without_folders_no_film_can_be_named(served, tmp_path, film):
  (tmp_path / 'film.mp4').write_bytes(film)
  answer = served.client.post('/v1/dubs', json=WISH | {'film': str(tmp_path / 'film.mp4')})
  assert error_of(answer) == (404, 'file_not_found')


@pytest.mark.parametrize(
  ('change', 'status', 'code'),
  [
    ({'film': None}, 400, 'missing_file'),
    ({'film': 7}, 400, 'bad_value'),
    ({'script': None}, 400, 'missing_script'),
    ({'text': 'Good day.'}, 400, 'missing_script'),
    ({'cast': None}, 400, 'missing_voice'),
    ({'cast': {}}, 400, 'missing_voice'),
    ({'cast': []}, 400, 'bad_value'),
    ({'cast': {'Anna': 7}}, 400, 'bad_value'),
    ({'cast': {'Anna': 'ada'}}, 400, 'bad_input'),
    ({'cast': {'Anna': 'nobody', 'default': 'bob'}}, 404, 'unknown_voice'),
    ({'voice': '../ada'}, 404, 'unknown_voice'),
    ({'background': 'loud'}, 400, 'bad_value'),
    ({'background': '/etc/passwd'}, 400, 'bad_value'),
    ({'rounds': 0}, 400, 'bad_value'),
    ({'rounds': 10**400}, 400, 'bad_value'),
    ({'rounds': 1.5}, 400, 'bad_value'),
    ({'rounds': True}, 400, 'bad_value'),
    ({'rounds': 'many'}, 400, 'bad_value'),
    ({'audio_track': 3}, 400, 'bad_input'),
    ({'guide': '/etc/passwd'}, 400, 'bad_value'),
    ({'language': 'english'}, 400, 'bad_value'),
    ({'subtitles': 'perhaps'}, 400, 'bad_value'),
    ({'emotion': 'bored'}, 400, 'bad_value'),
    ({'model': 'other'}, 400, 'unknown_field'),
  ],
)
def test_odd_wishes_are_refused_and_nothing_is_left(named, change, status, code):
  served, _ = named
  if change == {'rounds': 10**400}:
    answer = served.client.post('/v1/dubs', content=json.dumps(WISH)[:-1] + ', "rounds": 1' + '0' * 400 + '}')
  else:
    answer = served.client.post('/v1/dubs', json=WISH | change)
  assert error_of(answer) == (status, code) and not left_over(served)


@pytest.mark.parametrize(
  'body', [b'', b'[', b'[]', b'7', b'"film"', b'[' * 100_000, b'\xff', b'{"film": "\\ud800"}', b'{"\\udfff": 1}']
)
def test_what_is_no_json_object_is_refused(served, body):
  assert error_of(served.client.post('/v1/dubs', content=body))[0] == 400


# Uploads that cannot be used


@pytest.mark.parametrize('lie', [*LIES])
def test_films_that_are_none_are_refused_and_nothing_is_left(served, lie):
  assert error_of(served.make(LIES[lie])) == (422, 'bad_upload') and not left_over(served)


def test_recordings_and_cut_off_films_are_refused_as_films(served, film):
  for data in (hum(), endless_wav(), film[: len(film) // 2]):
    assert error_of(served.make(data)) == (422, 'bad_upload')
  assert not left_over(served)


@pytest.mark.parametrize(
  'script', ['', '\n', 'no script', '1\n00:00:09,000 --> 00:00:10,000\nANNA: Late.\n', 'ÿ' * 100]
)
def test_scripts_that_cannot_be_used_are_refused_and_nothing_is_left(served, film, script):
  assert error_of(served.make(film, script))[0] in (400, 422) and not left_over(served)


def test_a_full_disk_is_told_and_nothing_is_left(served, film, monkeypatch):
  def full(*_, **__):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('dubber_jax.serving.dub_records.write_json', full)
  assert error_of(served.make(film)) == (507, 'disk_full') and not left_over(served)


def test_messages_do_not_tell_where_the_server_keeps_its_files(served, film):
  answer = served.make(film, LATE)
  assert str(served.server.settings.home) not in answer.text and 'my film.mp4' in answer.json()['error']['message']


def test_a_server_without_a_model_says_so_before_anything_is_read(serve, film):
  served = serve(model=False)
  answer = served.make(film)
  assert error_of(answer)[0] == 503 and answer.headers['retry-after'] and not left_over(served)
  recording = {'recording': ('a.wav', hum())}
  assert served.client.post('/v1/voices', files=recording, data=CONSENT | {'name': 'eve'}).status_code == 503
  assert served.client.get('/v1/dubs').status_code == 200


def test_more_dubs_than_may_wait_are_refused_and_nothing_of_them_is_left(serve, stage, film):
  served = serve(limits=dataclasses.replace(Limits(), dubs=1))
  stage.hold_at = 'Good day.'
  served.make(film)
  assert stage.reached.wait(LONG)
  assert served.make(film).status_code == 202
  answer = served.make(film)
  assert error_of(answer) == (429, 'queue_full') and answer.headers['retry-after']
  assert len(served.client.get('/v1/dubs').json()['data']) == 2


def test_the_desk_begins_a_dub_by_the_same_form(served, film):
  files = {'film': ('f.mp4', film), 'script': ('f.srt', SRT)}
  answer = served.client.post('/desk/projects', files=files, data={'voice': 'ada', 'background': 'none'})
  assert answer.status_code == 202 and served.wait(answer).state == 'done'
  (made,) = served.client.get('/v1/dubs').json()['data']
  assert answer.json()['id'] == made['project'] and answer.json()['dub'] == made['id']


# Voices


@pytest.fixture
def making(monkeypatch):
  """Voices are made without perception."""
  from dub_server import a_voice

  made = []

  def make(wave, rate, name='', path='', model=None, steps=None):
    made.append((wave.shape, rate, model is not None, steps))
    return a_voice(name)

  monkeypatch.setattr('dubber_jax.inference.voices.make_voice', make)
  return made


def post_voice(served, recording=None, **fields):
  data = CONSENT | {'name': 'eve'} | fields
  files = {'recording': ('eve.wav', hum() if recording is None else recording)}
  return served.client.post('/v1/voices', files=files, data={k: v for k, v in data.items() if v is not None})


def test_a_voice_is_uploaded_used_and_deleted(served, making, film):
  answer = post_voice(served)
  about = answer.json()
  assert answer.status_code == 201 and about['name'] == 'eve' and not about['shipped'] and about['seconds'] == 2.0
  assert about['consent']['speaker'] == 'Ada Example' and len(about['consent']['recording']) == 64
  assert making == [((44100, 1), 22050, True, None)]
  voices = served.client.get('/v1/voices').json()['voices']
  assert [(voice['name'], voice['shipped']) for voice in voices] == [('ada', True), ('bob', True), ('eve', False)]
  assert served.client.get('/v1/voices/eve').json() == about
  assert served.wait(served.make(film, cast='', voice='eve')).state == 'done'
  assert served.client.delete('/v1/voices/eve').json()['deleted']
  assert error_of(served.client.get('/v1/voices/eve')) == (404, 'unknown_voice')
  assert error_of(served.client.delete('/v1/voices/ada')) == (403, 'shipped_voice')


def test_a_voice_is_made_without_adaptation_on_wish(served, making):
  assert post_voice(served, fit_steps='0').status_code == 201 and making[0][-1] == 0


@pytest.mark.parametrize('field', [*CONSENT])
def test_a_voice_without_consent_is_refused(served, making, field):
  answer = post_voice(served, **{field: None})
  assert error_of(answer) == (400, 'consent_required') and answer.json()['error']['param'] == field
  assert not making and served.client.get('/v1/voices/eve').status_code == 404 and not left_over(served)


@pytest.mark.parametrize(
  ('fields', 'status', 'code'),
  [
    ({'name': None}, 400, 'invalid_name'),
    ({'name': '../eve'}, 400, 'invalid_name'),
    ({'name': 'Ada'}, 409, 'voice_exists'),
    ({'model': 'x'}, 400, 'unknown_field'),
    ({'fit_steps': '1001'}, 400, 'bad_value'),
    ({'fit_steps': 'many'}, 400, 'bad_value'),
  ],
)
def test_odd_voices_are_refused(served, making, fields, status, code):
  assert error_of(post_voice(served, **fields)) == (status, code) and not making


@pytest.mark.parametrize('lie', [*LIES])
def test_recordings_that_are_none_are_refused_and_nothing_is_left(served, making, lie):
  assert error_of(post_voice(served, LIES[lie])) == (422, 'bad_upload')
  assert not making and not [*served.server.settings.home.rglob('voice.safetensors')] and not left_over(served)


def test_a_recording_that_the_library_refuses_is_refused(served):
  assert error_of(post_voice(served, hum(0.5))) == (400, 'bad_input')
  assert not [*(served.server.settings.home).rglob('consent.json')]


def test_a_voice_is_made_once_at_a_time(served, making):
  with served.server.voices.reserved('Eve', 4):
    assert error_of(post_voice(served)) == (409, 'voice_exists')
  with contextlib.ExitStack() as stack:
    for number in range(4):
      stack.enter_context(served.server.voices.reserved(f'voice {number}', 4))
    answer = post_voice(served)
    assert error_of(answer) == (429, 'queue_full') and answer.headers['retry-after']
  assert post_voice(served).status_code == 201
