"""Progress of a dub, and what is left of one that is stopped on the way."""

from types import SimpleNamespace

import pytest
import stand_ins
from dub_server import a_voice, stand_in_model
from uploading import write_film

from dubber_jax.dubbing.film import begin, dub
from dubber_jax.dubbing.project import Project
from dubber_jax.dubbing.redo import RedoRequest, redo
from dubber_jax.dubbing.request import DubOptions, DubRequest
from dubber_jax.errors import BadInput
from dubber_jax.media.background import NONE
from dubber_jax.types import Line

LINES = (Line('Good day.', 0.2, 1.0), Line('Only me.', 1.2, 2.0), Line('Come in.', 2.0, 2.8))
LIBRARY = SimpleNamespace(hash='books', folder='library')


class Stopped(Exception):
  pass


class Scene:
  """A film of three lines, dubbed with progress noted, and stopped at a message."""

  def __init__(self, folder):
    self.folder, self.model, self.told, self.stop_at = folder, stand_in_model(folder / 'model'), [], None
    write_film(folder / 'film.mp4')
    options = DubOptions(background=NONE, report=False, subtitles=False, overwrite=True)
    self.out, self.work = folder / 'dubbed.mp4', Project(folder / 'project')
    film, voice = folder / 'film.mp4', a_voice('ada')
    self.request = DubRequest.of(film, LINES, voice, self.out, options, folder / 'project')

  def progress(self, done, of, message):
    self.told.append((done, of, message))
    if message == self.stop_at:
      raise Stopped

  def dub(self):
    return dub(self.request, self.model, LIBRARY, progress=self.progress)

  def outputs(self):
    return sorted(path.name for path in self.folder.iterdir() if path.name.startswith(('dubbed', '.dubbed')))


@pytest.fixture
def scene(tmp_path, monkeypatch):
  monkeypatch.setattr('dubber_jax.dubbing.line.dub_line', stand_ins.hum_line)
  return Scene(tmp_path)


def test_progress_grows_from_the_first_line_to_the_written_film(scene):
  scene.dub()
  done, of = [row[0] for row in scene.told], {row[1] for row in scene.told}
  assert done == sorted(done) and done[0] == 0 and len(of) == 1 and done[-1] <= of.pop()
  messages = list(dict.fromkeys(row[2] for row in scene.told))
  assert messages == ['line 1 of 3', 'line 2 of 3', 'line 3 of 3', 'levels', 'the film is written']


def test_a_dub_that_is_stopped_before_a_line_keeps_the_lines_before_it(scene):
  scene.stop_at = 'line 3 of 3'
  with pytest.raises(Stopped):
    scene.dub()
  assert [scene.work.takes(n) for n in (1, 2, 3)] == [[1], [1], []] and not scene.outputs()
  scene.stop_at = None
  scene.told.clear()
  scene.dub()
  assert scene.told[0][2] == 'line 3 of 3' and 'dubbed.mp4' in scene.outputs()


@pytest.mark.parametrize('message', ['levels', 'the film is written'])
def test_an_export_that_is_stopped_leaves_the_earlier_film(scene, message):
  scene.dub()
  before, names = scene.out.read_bytes(), scene.outputs()
  scene.stop_at = message
  with pytest.raises(Stopped):
    redo(RedoRequest(scene.work.folder, 1, 'softer'), scene.model, LIBRARY, progress=scene.progress)
  assert scene.out.read_bytes() == before and scene.outputs() == names
  assert scene.work.chosen(1) == (2, 1)
  redo(RedoRequest(scene.work.folder, 1, 'softer'), scene.model, LIBRARY)
  assert scene.out.read_bytes() != before and scene.work.takes(1) == [1, 2]


def test_a_project_that_is_begun_has_its_lines_and_is_gone_on_with(scene):
  begin(scene.request, scene.model, LIBRARY)
  assert scene.work.state.lines == LINES and scene.work.takes(1) == [] and not scene.outputs()
  scene.dub()
  assert scene.work.takes(1) == [1]
  with pytest.raises(BadInput, match='project'):
    begin(DubRequest.of(scene.folder / 'film.mp4', LINES, a_voice('ada'), scene.out), scene.model, LIBRARY)
