"""Uploads: forms on the disk, and files that are read by processes with limits."""

import asyncio
import dataclasses
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from uploading import LIES, SRT, endless_wav, hum, playlist, run_in_place_of_workers, write_film, write_talking_film

from dubber_jax.serving import upload_worker, uploads
from dubber_jax.serving.access import Access
from dubber_jax.serving.errors import HANDLERS, ApiError
from dubber_jax.serving.settings import Limits, ServerSettings
from dubber_jax.serving.uploads import UploadWorkers
from dubber_jax.types import SAMPLE_RATE

LIMITS = Limits(worker_seconds=60)


@pytest.fixture
def workers(tmp_path):
  """Workers without a process that waits, which these tests would not use."""
  made = UploadWorkers(tmp_path / 'uploads', LIMITS)
  made._put_spare = lambda: None
  made.start()
  yield made
  assert not [*made.folder.iterdir()], 'something is left of an upload'
  made.stop()


def refused(workers, path, kind, **more) -> ApiError:
  with pytest.raises(ApiError) as error:
    asyncio.run(workers.read(path, kind, **more))
  return error.value


def in_this_process(monkeypatch):
  """Tasks are done by `answer` in this process, which takes no time to start."""

  def run(self, task, reading):
    result = json.dumps(upload_worker.answer(json.loads(json.dumps(task))))
    (uploads.Path(task['folder']) / 'result.json').write_text(result)
    return uploads._result(task, 0)

  monkeypatch.setattr(UploadWorkers, '_run', run)


def test_a_recording_becomes_a_wave_in_a_process_of_its_own(workers, tmp_path):
  (tmp_path / 'a.wav').write_bytes(hum())
  facts = asyncio.run(workers.read(tmp_path / 'a.wav', 'voice', 'ada.wav'))
  assert facts['rate'] == SAMPLE_RATE and facts['wave'].shape == (2 * SAMPLE_RATE, 1)
  assert facts['wave'].dtype == np.float32 and facts['seconds'] == 2.0


def test_a_film_a_script_and_a_reference_are_read(workers, tmp_path, monkeypatch):
  in_this_process(monkeypatch)
  film = write_film(tmp_path / 'film.mp4')
  (tmp_path / 'film.srt').write_text(SRT)
  (tmp_path / 'a.wav').write_bytes(hum())
  facts = asyncio.run(workers.read(film, 'film'))
  assert facts['seconds'] == 3.0 and (facts['width'], facts['has_sound']) == (32, False) and 'mov' in facts['container']
  lines = asyncio.run(workers.read(tmp_path / 'film.srt', 'script'))['lines']
  assert [line['character'] for line in lines] == ['Anna', 'Ben', 'Anna'] and lines[2]['stage_direction'] == 'softly'
  assert asyncio.run(workers.read(film, 'reference'))['frames'].shape == (75, 32, 32, 3)
  assert asyncio.run(workers.read(tmp_path / 'a.wav', 'reference'))['wave'].shape == (2 * SAMPLE_RATE,)


def test_pictures_of_a_long_reference_are_smaller(workers, tmp_path, monkeypatch):
  in_this_process(monkeypatch)
  monkeypatch.setattr(upload_worker, 'FRAME_BYTES', 75 * 16 * 16 * 3)
  film = write_film(tmp_path / 'film.mp4')
  assert asyncio.run(workers.read(film, 'reference'))['frames'].shape == (75, 16, 16, 3)


def test_of_a_long_recording_a_minute_is_kept_and_a_longer_one_is_refused(workers, tmp_path, monkeypatch):
  in_this_process(monkeypatch)
  (tmp_path / 'a.wav').write_bytes(hum(62))
  facts = asyncio.run(workers.read(tmp_path / 'a.wav', 'voice', 'ada.wav'))
  assert len(facts['wave']) == 60 * SAMPLE_RATE and 'ada.wav' in facts['warnings'][0]
  monkeypatch.setattr(upload_worker, 'LONGEST_VOICE', 61.0)
  assert refused(workers, tmp_path / 'a.wav', 'voice').status == 422


@pytest.mark.parametrize('kind', uploads.KINDS)
@pytest.mark.parametrize('lie', [*LIES, 'endless', 'playlist'])
def test_files_that_lie_about_their_type_are_an_error_of_their_request(workers, tmp_path, monkeypatch, kind, lie):
  in_this_process(monkeypatch)
  (tmp_path / 'secret.wav').write_bytes(hum())
  data = {**LIES, 'endless': endless_wav(), 'playlist': playlist(tmp_path / 'secret.wav')}[lie]
  path = tmp_path / ('x.srt' if kind == 'script' else 'x.mp4')
  path.write_bytes(data)
  error = refused(workers, path, kind, name='holiday.mp4')
  assert (error.status, error.code, error.param) == (422, 'bad_upload', kind)
  assert str(tmp_path) not in error.message and 'holiday.mp4' in error.message


def test_a_worker_that_dies_costs_its_own_request_and_another_takes_its_place(tmp_path, monkeypatch):
  workers = UploadWorkers(tmp_path / 'uploads', LIMITS)
  workers.start()
  (tmp_path / 'a.wav').write_bytes(hum())
  killed = []

  def take_killed(self):
    worker = take(self)
    killed.append(kill(worker.process.pid))
    return worker

  take = UploadWorkers._take
  monkeypatch.setattr(UploadWorkers, '_take', take_killed)
  try:
    error = refused(workers, tmp_path / 'a.wav', 'voice')
    assert (error.status, error.code) == (422, 'bad_upload')
    assert workers._spare.process.pid not in killed
    monkeypatch.setattr(UploadWorkers, '_take', take)
    killed.append(kill(workers._spare.process.pid))  # while it waits: costs nobody anything
    assert asyncio.run(workers.read(tmp_path / 'a.wav', 'voice'))['rate'] == SAMPLE_RATE
    assert workers._spare.process.pid not in killed and not [*workers.folder.iterdir()]
  finally:
    workers.stop()


def kill(pid: int) -> int:
  os.kill(pid, signal.SIGKILL)
  os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
  return pid


@pytest.mark.parametrize(
  ('program', 'status', 'code'),
  [
    ('os.kill(os.getpid(), signal.SIGSEGV)', 422, 'bad_upload'),
    ('sys.exit(3)', 422, 'bad_upload'),
    ('os.kill(os.getpid(), signal.SIGXCPU)', 408, 'too_slow'),
    ('x = bytearray(10**9)', 422, 'bad_upload'),
    ('open(task["folder"] + "/x", "wb").write(bytes(2000))', 422, 'bad_upload'),
    ('open(task["folder"] + "/result.json", "w").write("[" * 100000)', 422, 'bad_upload'),
    ('open(task["folder"] + "/result.json", "w").write("{}")', 422, 'bad_upload'),
    ('open(task["folder"] + "/result.json", "w").write(json.dumps({"facts": {}, "arrays": ["x"]}))', 422, 'bad_upload'),
    ('os.symlink("/etc/passwd", task["folder"] + "/result.json")', 422, 'bad_upload'),
  ],
)
def test_a_crash_costs_one_request_an_error(workers, tmp_path, monkeypatch, program, status, code):
  workers.limits = dataclasses.replace(LIMITS, worker_bytes=500_000_000)
  if 'bytes(2000)' in program:
    monkeypatch.setattr(uploads, 'FILE_BYTES', 1000)
  run_in_place_of_workers(monkeypatch, program)
  error = refused(workers, tmp_path / 'a.wav', 'voice')
  assert (error.status, error.code) == (status, code)


def test_a_worker_that_hangs_is_killed_with_all_that_it_started(workers, tmp_path, monkeypatch):
  workers.limits = dataclasses.replace(LIMITS, worker_seconds=1.5)
  child = f'open({str(tmp_path / "child")!r}, "w").write(str(subprocess.Popen(["sleep", "60"]).pid))'
  run_in_place_of_workers(monkeypatch, f'{child}\ntime.sleep(60)')
  error = refused(workers, tmp_path / 'a.wav', 'voice')
  assert (error.status, error.code) == (408, 'too_slow')
  finish = time.monotonic() + 20
  while is_running(int((tmp_path / 'child').read_text())):  # the signal was sent; the system ends it in its time
    assert time.monotonic() < finish
    time.sleep(0.01)


def is_running(pid: int) -> bool:
  try:
    with open(f'/proc/{pid}/stat') as file:
      return file.read().rpartition(')')[2].split()[0] != 'Z'
  except FileNotFoundError:
    return False


@pytest.mark.parametrize(
  ('end', 'error'),
  [
    (lambda workers, reading: reading.cancel(), asyncio.CancelledError),
    (lambda workers, reading: workers.stop(), ApiError),
  ],
  ids=['the request goes away', 'the server stops'],
)
def test_whoever_ends_a_reading_takes_its_process_along(workers, tmp_path, monkeypatch, end, error):
  run_in_place_of_workers(
    monkeypatch, f'open({str(tmp_path / "began")!r}, "w").write(str(os.getpid()))\ntime.sleep(60)'
  )

  async def ask():
    reading = asyncio.create_task(workers.read(tmp_path / 'a.wav', 'voice'))
    while not (tmp_path / 'began').exists() or not (tmp_path / 'began').read_text():
      await asyncio.sleep(0.01)
    end(workers, reading)
    with pytest.raises(error):
      await reading

  asyncio.run(ask())
  assert not is_running(int((tmp_path / 'began').read_text()))


# Films that are decoded whole


def test_a_film_is_decoded_whole_in_a_process_that_tells_how_far_it_is(workers, tmp_path):
  film, told = write_film(tmp_path / 'film.mp4'), []
  workers.decode_film(film, 'film.mp4', 3.0, told.append)
  assert told == sorted(told) and 0 <= told[0] and told[-1] <= 1


def test_pictures_sound_and_subtitles_are_all_decoded(tmp_path, monkeypatch):
  film, told, seen = write_talking_film(tmp_path / 'film.mkv'), [], []
  monkeypatch.setattr(upload_worker._Teller, '__call__', lambda self, *told_of: told.append(told_of))
  task = {'kind': 'whole film', 'path': str(film), 'name': 'film.mkv', 'folder': str(tmp_path)}
  facts = upload_worker.answer({**task, 'seconds': 2.0, 'audio_track': None})
  assert facts == {'facts': {}, 'arrays': []}
  for low in (0.0, upload_worker.PICTURES_SHARE):
    seen = [at for at, begin, _ in told if begin == low]
    assert seen == sorted(seen) and seen[-1] == pytest.approx(2.0, abs=0.1)
  assert (2.0, 0.0, 1.0) in told  # a subtitle


@pytest.mark.parametrize(
  ('program', 'limits', 'status', 'code'),
  [
    ('os.abort()', {}, 422, 'bad_upload'),
    ('os.kill(os.getpid(), signal.SIGSEGV)', {}, 422, 'bad_upload'),
    ('os.kill(os.getpid(), signal.SIGKILL)', {}, 422, 'bad_upload'),
    ('x = bytearray(10**9)', {'worker_bytes': 500_000_000}, 422, 'bad_upload'),
    ('time.sleep(60)', {'film_still_seconds': 0.5}, 408, 'too_slow'),
    (
      'while True: print(0.7, flush=True); time.sleep(0.01)',
      {'worker_seconds': 1.0, 'film_ratio': 0.5},
      408,
      'too_slow',
    ),
    ('while True: os.write(1, bytes(1 << 16))', {'worker_seconds': 1.0, 'film_ratio': 0.5}, 408, 'too_slow'),
  ],
)
def test_a_film_that_ends_the_process_in_its_middle_is_an_error(
  workers, tmp_path, monkeypatch, program, limits, status, code
):
  workers.limits = dataclasses.replace(LIMITS, **limits)
  run_in_place_of_workers(monkeypatch, f'print("0.25\\nnan\\n7\\n0.5", flush=True)\n{program}')
  told = []
  with pytest.raises(ApiError) as error:
    workers.decode_film(tmp_path / 'film.mp4', 'holiday.mp4', 1.0, told.append)
  assert (error.value.status, error.value.code) == (status, code) and 'holiday.mp4' in error.value.message
  assert told == sorted(told) and (code == 'too_slow' or told[-1] == 0.5)


def test_a_film_that_nobody_waits_for_any_more_is_not_decoded_on(workers, tmp_path, monkeypatch):
  run_in_place_of_workers(
    monkeypatch, f'open({str(tmp_path / "began")!r}, "w").write(str(os.getpid()))\ntime.sleep(60)'
  )

  def stop(share):
    if (tmp_path / 'began').exists() and (tmp_path / 'began').read_text():
      raise KeyError('cancelled')

  with pytest.raises(KeyError):
    workers.decode_film(tmp_path / 'film.mp4', 'film.mp4', 1.0, stop)
  assert not is_running(int((tmp_path / 'began').read_text()))


def test_more_uploads_than_can_wait_are_refused_with_a_time_to_come_back(workers, tmp_path, monkeypatch):
  go = threading.Event()
  monkeypatch.setattr(UploadWorkers, '_run', lambda self, task, reading: {'went': go.wait(20)})

  async def ask():
    reading = [asyncio.create_task(workers.read(tmp_path, 'voice')) for _ in range(uploads.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as error:
      await workers.read(tmp_path, 'voice')
    go.set()
    return error.value, await asyncio.gather(*reading)

  error, done = asyncio.run(ask())
  assert error.status == 429 and error.retry_after and all(facts == {'went': True} for facts in done)


def test_what_a_killed_server_left_behind_is_deleted_at_the_next_start(tmp_path):
  with UploadWorkers(tmp_path, LIMITS).new_folder() as mine:
    left = tmp_path / mine.name.replace(f'-{os.getpid()}-', '-999999999-')
    left.mkdir()
    (left / 'film.mp4').touch()
    workers = UploadWorkers(tmp_path, LIMITS)
    workers._put_spare = lambda: None
    workers.start()
    workers.stop()
    assert not left.exists() and mine.exists()
  assert not [*tmp_path.iterdir()]


# Forms


@pytest.fixture
def client(workers):
  async def receive(request):
    async with workers.form(request, {'film': 10_000, 'script': 1000}) as form:
      there = sorted(path.name for path in form.folder.iterdir())
      sizes = {name: (file.size, len(file.hash), file.name) for name, file in form.files.items()}
      film = form.file('film')
      assert film.path.read_bytes() == b'm' * film.size
      return JSONResponse({'fields': form.fields, 'files': sizes, 'there': there})

  limits = dataclasses.replace(LIMITS, film_bytes=100_000, silent_seconds=5)
  middleware = [Middleware(Access, ServerSettings(limits=limits))]
  app = Starlette(
    routes=[Route('/v1/dubs', receive, methods=['POST'])], middleware=middleware, exception_handlers=HANDLERS
  )
  return TestClient(app, 'http://localhost')


def test_a_form_lies_on_the_disk_for_as_long_as_its_request_lasts(client):
  files = {'film': ('my film.MP4', b'm' * 9000), 'script': ('../../x.srt', b's')}
  answer = client.post('/v1/dubs', files=files, data={'voice': 'kathleen', 'note': '轻一点'}).json()
  assert answer['fields'] == {'voice': 'kathleen', 'note': '轻一点'} and answer['there'] == ['film.mp4', 'script.srt']
  assert answer['files'] == {'film': [9000, 64, 'my film.MP4'], 'script': [1, 64, '../../x.srt']}


PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
FILM = PART % (b'film', b'; filename="f.mp4"', b'mmm')


@pytest.mark.parametrize(
  ('body', 'status', 'code'),
  [
    (b'', 400, 'bad_form'),
    (b'no form', 400, 'bad_form'),
    (FILM, 400, 'bad_form'),
    (FILM[:60], 400, 'bad_form'),
    (FILM + b'--x', 400, 'bad_form'),
    (b'--x--\r\n', 400, 'missing_file'),
    (FILM.replace(b'mmm', b'') + b'--x--\r\n', 400, 'empty_file'),
    (PART % (b'film', b'', b'mmm') + b'--x--\r\n', 400, 'missing_file'),
    (FILM + FILM + b'--x--\r\n', 400, 'bad_form'),
    (FILM.replace(b'film', b'other') + b'--x--\r\n', 400, 'unknown_file'),
    (FILM.replace(b'name="film"; ', b'') + b'--x--\r\n', 400, 'bad_form'),
    (FILM.replace(b'mmm', b'm' * 10_001) + b'--x--\r\n', 413, 'too_large'),
    (PART % (b'note', b'', b'n' * 60_000) + b'--x--\r\n', 413, 'too_large'),
    (b''.join(PART % (b'%d' % i, b'', b'') for i in range(41)) + b'--x--\r\n', 400, 'bad_form'),
    (b'--x\r\nContent-Disposition: ' + b'a' * 90_000, 400, 'bad_form'),
  ],
)
def test_broken_forms_are_refused_and_nothing_is_left(client, monkeypatch, body, status, code):
  monkeypatch.setattr('dubber_jax.serving.forms.FIELD_BYTES', 50_000)
  answer = client.post('/v1/dubs', content=body, headers={'content-type': 'multipart/form-data; boundary=x'})
  assert (answer.status_code, answer.json()['error']['code']) == (status, code)


@pytest.mark.parametrize(
  'kind', ['', 'application/json', 'multipart/form-data', 'multipart/form-data; boundary=', 'text/plain; boundary=x']
)
def test_what_is_no_form_is_told_to_be_one(client, kind):
  answer = client.post('/v1/dubs', content=b'{}', headers={'content-type': kind} if kind else {})
  assert (answer.status_code, answer.json()['error']['code']) == (415, 'form_required')


def test_a_full_disk_is_told(client, monkeypatch):
  def full(self):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('dubber_jax.serving.forms._FormReader.write', full)
  answer = client.post('/v1/dubs', files={'film': ('f.mp4', b'm')})
  assert (answer.status_code, answer.json()['error']['code']) == (507, 'disk_full')


def test_a_client_that_hangs_up_leaves_nothing_behind(client):
  async def ask():
    messages = iter(
      [{'type': 'http.request', 'body': FILM[:70], 'more_body': True}, {'type': 'http.disconnect'}],
    )
    sent = []

    async def receive():
      return next(messages)

    async def send(message):
      sent.append(message)

    headers = [
      (b'host', b'localhost'),
      (b'content-type', b'multipart/form-data; boundary=x'),
      (b'content-length', b'9'),
    ]
    scope = {'type': 'http', 'method': 'POST', 'path': '/v1/dubs', 'query_string': b'', 'headers': headers}
    await client.app(scope, receive, send)
    return sent

  assert asyncio.run(ask()) == []


def test_too_many_uploads_at_once_are_told_to_wait(client, workers):
  workers._forms = uploads.MOST_FORMS
  answer = client.post('/v1/dubs', files={'film': ('f.mp4', b'm')})
  assert (answer.status_code, answer.json()['error']['code']) == (429, 'queue_full') and answer.headers['retry-after']
  workers._forms = 0
  assert client.post('/v1/dubs', files={'film': ('f.mp4', b'm')}).status_code == 200 and not workers._forms
