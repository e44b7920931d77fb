import av
import numpy as np
import pytest
from desk_server import LINES, acting, make_film, make_project, make_server
from starlette.testclient import TestClient

from dubber_jax.media.film import Film
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames
from dubber_jax.serving.app import create_app
from dubber_jax.serving.desk.previews import is_playable, write_preview
from dubber_jax.serving.home import project_id


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  folder = tmp_path_factory.mktemp('films')
  return {suffix: make_film(folder / f'film{suffix}', 3.0) for suffix in ('.mp4', '.mkv')}


def test_a_film_that_browsers_play_is_given_as_it_is(films):
  assert is_playable(Film(films['.mp4'])) and not is_playable(Film(films['.mkv']))


def test_a_preview_has_the_same_pictures_and_sound_at_the_same_times(films, tmp_path):
  out = tmp_path / 'preview.mp4'
  write_preview(Film(films['.mkv']), out)
  assert is_playable(Film(out)) and abs(probe(out).seconds - 3.0) < 0.15
  for second in (0.5, 1.5, 2.5):
    (theirs, _), (ours, _) = (read_frames(path, second, second + 0.04) for path in (films['.mkv'], out))
    assert np.abs(theirs[0].astype(int) - ours[0]).mean() < 12
  theirs, ours = (read_sound(path)[: 2 * 22050] for path in (films['.mkv'], out))
  assert np.corrcoef(theirs, ours)[0, 1] > 0.98
  with av.open(str(out)) as made:
    assert made.streams.video[0].codec_context.codec.name == 'h264'
  assert out.read_bytes().index(b'moov') < out.read_bytes().index(b'mdat')  # so that it plays while it is loaded


def test_a_film_of_another_kind_is_made_playable_once_and_given_in_parts(tmp_path, monkeypatch):
  project = make_project(tmp_path, LINES[:1], 'film.mkv')
  server, made = make_server(tmp_path, project), []
  monkeypatch.setattr(
    'dubber_jax.serving.desk.previews.write_preview', lambda *given: made.append(1) or write_preview(*given)
  )
  address = f'/desk/projects/{project_id(project)}'
  with acting(), TestClient(create_app(server), base_url='http://127.0.0.1') as client:
    whole = client.get(f'{address}/film')
    assert whole.status_code == 200 and whole.content[4:8] == b'ftyp'
    part = client.get(f'{address}/film', headers={'Range': 'bytes=100-199'})
    assert part.status_code == 206 and part.content == whole.content[100:200]
    assert client.get(address).json()['film_ready'] and made == [1]


def test_a_project_that_is_deleted_takes_its_preview_along(tmp_path):
  project = make_project(tmp_path, LINES[:1], 'film.mkv')
  server = make_server(tmp_path, project)
  session = server.desk.open(project_id(project))
  path, _, making = server.desk.previews.find(session, session.state())
  making.result(60)
  assert path.is_file()
  server.desk.forget(project)
  assert not path.exists() and server.desk.open(project_id(project)) is not session
  server.desk.stop()
