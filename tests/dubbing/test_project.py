import copy
import json

import pytest

from dubber_jax.dubbing.directions import read_directions
from dubber_jax.dubbing.project import FORMAT, Project, ProjectState, open_project, option_fields
from dubber_jax.dubbing.request import LineOptions
from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import partial_name
from dubber_jax.types import Direction, Line

STATE = ProjectState(
  film='film.mp4',
  film_hash='1',
  seconds=4.0,
  model='model',
  model_hash='2',
  director=True,
  library='',
  lines=(Line('Good day.', 0.5, 1.5, 'ANNA'),),
  voice_of=('a',),
  voices={'a': 'anna'},
  options=option_fields(LineOptions(lexicon={'day': ('D', 'EY1')})),
  fit='strict',
  background='none',
  kept=True,
  out='out.mp4',
  report=False,
  json=None,
  warnings=(),
)


def stored() -> dict:
  return json.loads(json.dumps(STATE.to_json()))


def test_a_state_is_read_as_it_was_written(tmp_path):
  state = ProjectState.from_json(stored(), tmp_path)
  assert state.lines == STATE.lines and state.line_options() == STATE.line_options()


@pytest.mark.parametrize(
  'change',
  [
    {'lines': 5},
    {'lines': []},
    {'lines': [{'text': 7, 'start': 0, 'end': 1}]},
    {'lines': [{'text': 'Go.', 'start': 'soon', 'end': 1}]},
    {'lines': [{'text': 'Go.', 'start': None, 'end': 1}]},
    {'lines': [{'text': 'Go.', 'start': 1, 'end': 10**400}]},
    {'lines': [{'words': 'Go.'}]},
    {'voice_of': []},
    {'voice_of': ['b']},
    {'voices': ['a']},
    {'exported': [1, 2]},
    {'exported': 3},
    {'film': 3},
    {'seconds': 'long'},
    {'seconds': -1},
    {'director': 'on'},
    {'options': None},
    {'options': {'rounds': 'three'}},
    {'options': {'rounds': -3}},
    {'options': {'lexicon': {'day': 7}}},
    {'fit': 'loose'},
    {'wrote': 7},
    {'format': FORMAT + 1},
  ],
)
def test_an_edited_state_is_one_line(tmp_path, change):
  with pytest.raises(BadInput, match='project.json'):
    ProjectState.from_json(stored() | change, tmp_path / 'project.json')


@pytest.mark.parametrize('what', [None, [], 7, 'text', {}])
def test_a_state_that_is_none_is_one_line(tmp_path, what):
  with pytest.raises(BadInput, match='project.json'):
    ProjectState.from_json(what, tmp_path / 'project.json')


def test_a_dub_killed_before_its_project_file_stood_does_not_stop_its_rerun(tmp_path):
  folder = tmp_path / 'project'
  folder.mkdir()
  for name in ('.lock', 'voices.safetensors', partial_name('project', '.json')):
    (folder / name).touch()
  with open_project(folder, make=True) as project:
    assert not project.exists
  (folder / 'diary.txt').touch()
  with pytest.raises(BadInput, match='not empty'), open_project(folder, make=True):
    pass


@pytest.fixture
def directions(tmp_path):
  """Writes directions.json of one line, some of it changed -> what is read of it."""

  def read(direction=None, **row):
    fields = {'emotion': list(Direction().emotion), 'pauses': [[0, 0.3]], 'pace': 1.0}
    fields = fields | (direction or {}) if not isinstance(direction, int) else direction
    whole = {'line': 1, 'start': 0.5, 'end': 1.5, 'character': 'ANNA', 'text_hash': 'x', 'direction': fields} | row
    (tmp_path / 'directions.json').write_text(json.dumps({'format': 1, 'lines': [copy.deepcopy(whole)]}))
    return read_directions(tmp_path / 'directions.json', STATE.lines, [('good', 'day')])

  return read


@pytest.mark.parametrize(
  ('name', 'value', 'played'),
  [('pace', 1e300, 1.35), ('pace', -5, 0.75), ('pace', 0, 0.75), ('loudness', 1e9, 8.0), ('intensity', -1e308, 0.1)],
)
def test_extreme_numbers_of_a_direction_are_brought_back_with_a_warning(directions, name, value, played):
  (direction,), warnings = directions({name: value})
  assert getattr(direction, name) == played and any(name in warning for warning in warnings)


def test_numbers_that_can_be_played_stay(directions):
  (direction,), warnings = directions({'pace': 0.9, 'loudness': -3.0})
  assert (direction.pace, direction.loudness) == (0.9, -3.0) and not any('range' in warning for warning in warnings)


@pytest.mark.parametrize(
  'change',
  [
    {'direction': {'emotion': [0] * 8}},
    {'direction': {'emotion': [1]}},
    {'direction': {'pace': 10**400}},
    {'direction': {'pauses': [1]}},
    {'direction': {'pace': 'fast'}},
    {'direction': 7},
    {'start': 10**400},
    {'start': 'now'},
    {'end': 0.1},
    {'character': 7},
    {'lines': 7},
  ],
)
def test_directions_that_are_none_are_one_line(directions, tmp_path, change):
  with pytest.raises(BadInput, match='directions.json'):
    if 'lines' in change:
      (tmp_path / 'directions.json').write_text(json.dumps(change))
      read_directions(tmp_path / 'directions.json', STATE.lines, [('good', 'day')])
    else:
      directions(**change)


@pytest.mark.parametrize('text', ['[' * 100_000, '{"take": 1e999, "dubbed": 1}', '{"take": {}}', '', 'null', '7'])
def test_notes_of_a_take_that_are_none_are_as_missing_ones(tmp_path, text):
  project = Project(tmp_path)
  (project.line_folder(1) / 'take_1').mkdir(parents=True)
  (project.line_folder(1) / 'chosen.json').write_text(text)
  (project.line_folder(1) / 'take_1' / 'made.json').write_text(text)
  assert project.chosen(1) is None and project.made(1, 1) is None
