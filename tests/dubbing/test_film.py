"""Scenes and their project folders, with an actor that takes no time: it hums each line at a pitch of its own."""

import dataclasses
import gc
import json
import os
import re
import shutil
import weakref
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import lfilter

from dubber_jax.actor.slot import FRAME_RATE, GAP
from dubber_jax.config import Config
from dubber_jax.director import source_performance
from dubber_jax.director.source_performance import SourcePerformance
from dubber_jax.dubbing import export as export_module
from dubber_jax.dubbing import film as film_module
from dubber_jax.dubbing.cast import Cast
from dubber_jax.dubbing.film import dub, rooms
from dubber_jax.dubbing.project import open_project
from dubber_jax.dubbing.redo import RedoRequest, redo
from dubber_jax.dubbing.request import DubOptions, DubRequest, LineOptions
from dubber_jax.dubbing.result import DubbedLine, LineResult, TakeResult, overrun_of
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.inference.synthesis import insert_pauses
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.sound import read_channels, read_sound, write_wav
from dubber_jax.media.video import probe, write_silent_clip
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import EMOTIONS, HOP, SAMPLE_RATE, Direction, Line, Take, Voice

LIBRARY = SimpleNamespace(hash='books', folder='library')
LINES = [
  Line('Good day.', 0.2, 1.0, 'Anna'),
  Line('Who is there?', 1.0, 1.9, 'Ben'),
  Line('Only me.', 2.0, 2.8, 'Anna'),
  Line('Come in, then.', 2.8, 3.8, 'Ben', 'softly'),
]


def a_voice(name, seed):
  rng = np.random.default_rng(seed)
  return Voice(rng.normal(size=256).astype(np.float32), rng.normal(size=(20, 80)).astype(np.float32), name)


CAST = Cast({'anna': a_voice('anna', 1), 'ben': a_voice('ben', 2)})


@pytest.fixture(scope='module')
def silent(tmp_path_factory):
  path = tmp_path_factory.mktemp('film') / 'film.mp4'
  write_silent_clip(path, np.random.default_rng(0).integers(0, 255, (100, 32, 32, 3), np.uint8))
  return path


@pytest.fixture
def model(tmp_path):
  folder = tmp_path / 'model'
  folder.mkdir()
  (folder / 'MANIFEST.json').write_text('{"model.safetensors": "1"}')
  return Model(Config(), {}, None, {}, folder)


class Actor:
  """Stands in for `dub_line`. Stops as a killed process would after `lives` lines; cannot say what is in `cannot`. By
  a natural fit it uses all the room that there is."""

  def __init__(self):
    self.played, self.lives, self.cannot, self.pictures = [], 10**6, (), []

  def __call__(self, model, library, task, options, planner):
    line, voice, slot, fit = task.line, task.voice, task.slot_seconds, options.fit
    assert not any(pictures() is not None for pictures in self.pictures), 'pictures of an earlier line are still held'
    self.pictures.append(weakref.ref(task.clip.frames))
    if not self.lives:
      raise KeyboardInterrupt
    self.lives -= 1
    if line.text in self.cannot:
      raise BadInput('it does not fit its slot')
    self.played.append(line.text)
    phonemes = phonemize(line.text, options.lexicon)
    direction, noted = planner(None, None, line, phonemes, task.before)
    symbols, _, _ = insert_pauses(phonemes, direction.pauses)
    frames = int((slot + task.room_seconds) * FRAME_RATE) if fit == 'natural' else round(slot * FRAME_RATE)
    durations = np.full(len(symbols), frames // len(symbols))
    durations[-1] += frames - durations.sum()
    pitch = 100 + zlib.crc32(f'{line.text}{voice.name}{options.seed}{direction.pitch_shift}'.encode()) % 200
    time = np.arange(frames * HOP) / SAMPLE_RATE
    wave = 0.1 * np.sin(2 * np.pi * pitch * time) * 10 ** (direction.loudness / 20)
    take = Take(
      np.zeros((frames, 80), np.float32),
      symbols,
      durations,
      np.full(frames, float(pitch)),
      np.eye(8)[4],
      wave.astype(np.float32),
    )
    result = LineResult(
      line=line,
      voice=voice.name,
      direction=direction,
      take=TakeResult(tuple(symbols), tuple(durations.tolist()), 'neutral'),
      slot_seconds=slot,
      fit=fit,
      speech_seconds=slot,
      speech_start=0.0,
      overrun_seconds=overrun_of(take, slot),
      rehearsal_seconds=0.1,
      warnings=tuple(noted),
    )
    return DubbedLine(line, take, result, phonemes, None, task.clip.frames)


@pytest.fixture
def actor(monkeypatch):
  stand_in = Actor()
  monkeypatch.setattr('dubber_jax.dubbing.line.dub_line', stand_in)
  return stand_in


def planned(reading, exemplars, line, phonemes, before=()):
  """Each line a little louder than the one before, so that a resumed dub has to know how that was directed."""
  loudness = before[-1][1].loudness + 1 if before else -3.0
  return Direction(loudness=loudness, pauses=((0, 0.1),), note=f'by {line.character}'), ()


@pytest.fixture
def scene(silent, model, actor, tmp_path):
  """Dubs the scene in a project folder, again and again: -> (result, bytes of its dialogue)."""

  def run(lines=LINES, cast=CAST, film=silent, out='dubbed.mp4', project='project', model=model, **options):
    planner = options.pop('planner', planned)
    of_lines = {name: options.pop(name) for name in ('fit', 'face', 'lexicon') if name in options}
    options = DubOptions(LineOptions(**of_lines), **({'report': False} | options))
    request = DubRequest.of(film, lines, cast, tmp_path / out, options, project and tmp_path / project)
    result = dub(request, model, LIBRARY, planner).to_json()
    return result, (tmp_path / out).with_suffix('.dialogue.wav').read_bytes()

  return run


def again(project, line, model=None, note='', take=None, fit=None):
  """`redo`, with its result as JSON."""
  return json.loads(json.dumps(redo(RedoRequest(project, line, note, take, fit), model, LIBRARY).to_json()))


def wave_of(tmp_path, out='dubbed.mp4'):
  return read_sound((tmp_path / out).with_suffix('.dialogue.wav'), SOUND_RATE)


def test_scene_that_is_stopped_after_any_line_ends_as_if_it_had_not_been(scene, actor, tmp_path):
  _, whole = scene(project='uninterrupted', out='uninterrupted.mp4')
  actor.played.clear()
  for _ in LINES[1:]:
    actor.lives = 1
    with pytest.raises(KeyboardInterrupt):
      scene()
  actor.lives = 1
  result, resumed = scene()
  assert resumed == whole and actor.played == [line.text for line in LINES]
  assert [line['direction']['loudness'] for line in result['lines']] == [-3, -2, -1, 0]


@pytest.mark.parametrize('left', ['no choice', 'half a film', 'half a take', 'cut file', 'other file', 'no file'])
def test_what_a_kill_may_leave_behind_is_made_good(scene, actor, tmp_path, left):
  _, whole = scene()
  second = tmp_path / 'project' / 'lines' / '002'
  if left == 'no choice':  # killed between a take and the note that it counts
    (second / 'chosen.json').unlink()
  elif left == 'half a film':
    (tmp_path / '.dubbed.77.part.mp4').write_text('half')
  elif left == 'half a take':
    shutil.move(second / 'take_1', second / '.take_1.77.part')
    (second / 'chosen.json').unlink()
  elif left == 'no file':
    (second / 'take_1' / 'take.npz').unlink()
  else:
    data = (second / 'take_1' / 'take.npz').read_bytes()
    (second / 'take_1' / 'take.npz').write_bytes(data[:-9] if left == 'cut file' else data[:-9] + bytes(9))
  (tmp_path / 'dubbed.mp4').unlink()
  actor.played.clear()
  assert scene()[1] == whole
  assert actor.played == ([] if left in ('no choice', 'half a film') else [LINES[1].text])
  assert not [*second.glob('.*'), *tmp_path.glob('.*')]


def test_only_what_changed_is_played_again(scene, actor):
  scene()
  actor.played.clear()
  changed = [*LINES[:2], dataclasses.replace(LINES[2], text='Only us.'), LINES[3]]
  scene(changed)
  scene(changed, Cast({**CAST.voices, 'ben': a_voice('ben', 3)}))
  scene(changed, Cast({**CAST.voices, 'ben': a_voice('ben', 3)}), face=1)
  assert actor.played[:3] == ['Only us.', 'Who is there?', 'Come in, then.']
  assert actor.played[3:] == [line.text for line in changed]
  actor.played.clear()
  scene()
  assert not actor.played  # the first takes are still there


def test_at_most_three_rows_a_line_are_logged(scene, caplog):
  with caplog.at_level('INFO', 'dubber_jax'):
    scene()
  rows = [row for row in caplog.records if row.name.startswith('dubber_jax.dubbing')]
  starts = [i for i, row in enumerate(rows) if re.match(r'line \d of 4', row.message)]
  assert len(starts) == len(LINES)
  for first, after in zip(starts, starts[1:], strict=False):
    assert 1 < after - first <= 3 and not any('\n' in row.message for row in rows[first:after])


def test_what_a_note_did_is_logged_first_and_kept_with_the_take(scene, model, tmp_path, caplog):
  scene()
  caplog.clear()
  with caplog.at_level('INFO', 'dubber_jax'):
    again(tmp_path / 'project', 3, model, 'softer, slower')
  told = [row.message for row in caplog.records if row.name.startswith('dubber_jax.dubbing')]
  assert re.match(r'line 3, take 2, against take 1: softer by \d+\.\d dB', told[0])
  page = (tmp_path / 'project' / 'index.html').read_text()
  assert re.search(r'take 2<.*?in the film.*?softer by .*?<q>softer, slower</q>', page, re.DOTALL)


def test_take_or_background_is_chosen_without_a_model_and_no_line_is_loaded_that_is_on_the_page(
  scene, actor, model, tmp_path, monkeypatch
):
  scene(report=True)
  again(tmp_path / 'project', 3, model, 'softer')
  monkeypatch.setattr(Film, 'frames', None)  # decodes pictures
  again(tmp_path / 'project', 3, take=1)
  changed = redo(RedoRequest(tmp_path / 'project', background='none'))
  assert len(actor.played) == len(LINES) + 1 and changed.files['film'] == str(tmp_path / 'dubbed.mp4')
  with pytest.raises(BadInput, match='nothing is to be changed'):
    RedoRequest(tmp_path / 'project')


def test_project_is_moved_with_its_film_and_goes_on_there(scene, silent, model, tmp_path):
  (tmp_path / 'home').mkdir()
  shutil.copy(silent, tmp_path / 'home' / 'film.mp4')
  scene(film=tmp_path / 'home' / 'film.mp4', out='home/dubbed.mp4', project='home/project')
  stored = json.loads((tmp_path / 'home' / 'project' / 'project.json').read_text())
  assert (stored['film'], stored['out']) == ('../film.mp4', '../dubbed.mp4')
  shutil.move(tmp_path / 'home', tmp_path / 'moved')
  result = again(tmp_path / 'moved' / 'project', 3, model, 'softer')
  assert result['files']['film'] == str(tmp_path / 'moved' / 'dubbed.mp4') and not (tmp_path / 'home').exists()
  (tmp_path / 'moved' / 'film.mp4').rename(tmp_path / 'elsewhere.mp4')
  with pytest.raises(BadInput, match='--film PATH'):
    again(tmp_path / 'moved' / 'project', 3, take=1)
  redo(RedoRequest(tmp_path / 'moved' / 'project', 3, take=1, film=tmp_path / 'elsewhere.mp4'))
  again(tmp_path / 'moved' / 'project', 3, take=2)  # its new place is kept


def test_project_of_an_older_version_with_absolute_paths_opens(scene, silent, tmp_path):
  scene()
  path = tmp_path / 'project' / 'project.json'
  stored = json.loads(path.read_text())
  for name in ('place', 'wrote_sizes', 'film_stamp'):
    del stored[name]
  stored |= {'film': str(silent), 'out': str(tmp_path / 'dubbed.mp4'), 'wrote': [str(tmp_path / 'dubbed.mp4')]}
  path.write_text(json.dumps(stored))
  assert again(tmp_path / 'project', 3, take=1)['files']['film'] == str(tmp_path / 'dubbed.mp4')


def test_output_is_named_anew(scene, tmp_path):
  scene()
  (tmp_path / 'other.mp4').write_bytes(b'not ours')
  with pytest.raises(BadInput, match='exists already'):
    redo(RedoRequest(tmp_path / 'project', out=tmp_path / 'other.mp4'))
  (tmp_path / 'other.mp4').unlink()
  redo(RedoRequest(tmp_path / 'project', out=tmp_path / 'other.mp4'))
  assert (tmp_path / 'other.mp4').exists() and (tmp_path / 'dubbed.mp4').exists()


def test_everybody_may_read_what_is_written(scene, tmp_path):
  before = os.umask(0o022)
  try:
    scene(report=True)
  finally:
    os.umask(before)
  modes = {p.relative_to(tmp_path).as_posix(): p.stat().st_mode & 0o777 for p in tmp_path.rglob('*')}
  modes = {name: mode for name, mode in modes.items() if not name.startswith('model') and '.lock' not in name}
  wrong = {n: oct(m) for n, m in modes.items() if m != (0o755 if (tmp_path / n).is_dir() else 0o644)}
  assert not wrong and len(modes) > 30


def test_redo_changes_its_line_and_no_sample_of_another(scene, actor, model, tmp_path):
  scene()
  before = wave_of(tmp_path)
  result = again(tmp_path / 'project', 3, model, 'softer, almost a whisper')
  after, (start, end) = wave_of(tmp_path), (round(2.0 * SOUND_RATE), round(2.8 * SOUND_RATE))
  asked = result['lines'][2]['direction']
  assert asked['loudness'] < -3 and actor.played[len(LINES) :] == ['Only me.']
  margin = 500  # samples that the stem's change of rate reaches
  np.testing.assert_array_equal(after[: start - margin], before[: start - margin])
  np.testing.assert_array_equal(after[end + margin :], before[end + margin :])
  level = [20 * np.log10(np.std(wave[start + 500 : end - 500])) for wave in (before, after)]
  assert level[1] - level[0] == pytest.approx(asked['loudness'] - -1.0, abs=0.5)
  takes = tmp_path / 'project' / 'lines' / '003'
  assert (takes / 'take_1' / 'take.wav').exists() and (takes / 'take_2' / 'take.wav').exists()
  scene()  # the same dub again keeps what was redone
  np.testing.assert_array_equal(wave_of(tmp_path), after)
  again(tmp_path / 'project', 3, take=1)
  np.testing.assert_array_equal(wave_of(tmp_path), before)


APART = [
  Line('Good day.', 0.2, 1.0, 'Anna'),
  Line('Who is there?', 1.6, 2.4, 'Ben'),
  Line('Only me.', 3.0, 3.6, 'Anna'),
]


def speaks(tmp_path, start, end):
  """Whether something is heard in the dialogue between two moments, the stem's change of rate left out."""
  part = wave_of(tmp_path)[round((start + 0.02) * SOUND_RATE) : round((end - 0.02) * SOUND_RATE)]
  return bool(np.abs(part).max() > 0.01)


def test_natural_lines_run_on_into_silence_and_never_into_a_line_or_past_the_film(scene, tmp_path):
  result, _ = scene(APART, fit='natural')
  over = [line['overrun_seconds'] for line in result['lines']]
  assert over == pytest.approx([0.6 - GAP, 0.6 - GAP, 0.4], abs=1.01 / FRAME_RATE)
  assert over == pytest.approx(rooms(APART, 4.0), abs=1.01 / FRAME_RATE) and probe(tmp_path / 'dubbed.mp4').seconds == 4
  assert speaks(tmp_path, 1.0, 1.4) and speaks(tmp_path, 2.4, 2.8)
  assert not speaks(tmp_path, 1.5, 1.6) and not speaks(tmp_path, 2.9, 3.0)
  strict, _ = scene(APART, fit='strict')
  assert [line['overrun_seconds'] for line in strict['lines']] == [0, 0, 0]
  assert not speaks(tmp_path, 1.0, 1.6)


@pytest.mark.parametrize(('background', 'heard'), [('mute', 0.0), ('duck', 10 ** (-18 / 20))])
def test_films_own_speech_is_not_heard_under_a_line_that_runs_on(scene, silent, tmp_path, background, heard):
  tone = 0.1 * np.sin(2 * np.pi * 3000 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE)  # the actor hums below 300 Hz
  write_dubbed(silent, tone.astype(np.float32), SAMPLE_RATE, tmp_path / 'sounding.mp4')

  def left(start, end):
    part = read_sound(tmp_path / 'dubbed.mp4', SOUND_RATE)[round(start * SOUND_RATE) : round(end * SOUND_RATE)]
    return 2 * abs(np.mean(part * np.exp(-2j * np.pi * 3000 * np.arange(len(part)) / SOUND_RATE))) / 0.1

  result, _ = scene(APART, film=tmp_path / 'sounding.mp4', background=background, fit='natural')
  spoken = 0.2 + result['lines'][0]['words'][-1][1]  # the take's silence after the last word is left to the film
  assert spoken > 1.1 and left(1.02, spoken - 0.01) == pytest.approx(heard, abs=0.03)
  scene(APART, film=tmp_path / 'sounding.mp4', background=background)
  assert left(1.2, 1.4) == pytest.approx(1.0, abs=0.05)


def test_redo_fits_a_line_as_before_or_as_it_is_told(scene, actor, model, tmp_path):
  scene(APART, fit='natural')
  project = tmp_path / 'project'
  kept = again(project, 1, model, 'softer')['lines'][0]
  assert kept['fit'] == 'natural' and kept['overrun_seconds'] == pytest.approx(0.5, abs=0.02)
  changed = again(project, 1, model, fit='strict')['lines'][0]
  assert changed['fit'] == 'strict' and changed['overrun_seconds'] == 0 and not speaks(tmp_path, 1.0, 1.6)
  assert changed['direction'] == kept['direction']
  assert again(project, 1, model, 'softer')['lines'][0]['fit'] == 'strict'
  back = again(project, 1, take=1)['lines'][0]
  assert back['fit'] == 'natural' and speaks(tmp_path, 1.0, 1.4)
  with pytest.raises(BadInput, match='leave --fit out'):
    again(project, 1, take=2, fit='strict')


def test_natural_line_is_played_again_when_less_silence_is_left_after_it(scene, actor):
  scene(APART, fit='natural')
  actor.played.clear()
  nearer = [APART[0], dataclasses.replace(APART[1], start=1.3), APART[2]]
  result, _ = scene(nearer, fit='natural')
  assert actor.played == [APART[0].text, APART[1].text]
  assert result['lines'][0]['overrun_seconds'] <= 0.3 - GAP
  scene(nearer)
  actor.played.clear()
  scene([*nearer[:2], dataclasses.replace(APART[2], start=2.8)])  # by a strict fit only what moved
  assert actor.played == [APART[2].text]


def test_fit_that_is_none_is_refused_before_anything_is_written(scene, tmp_path):
  with pytest.raises(BadInput, match='strict or natural'):
    scene(fit='loose')
  assert [path.name for path in tmp_path.iterdir()] == ['model']


def test_redo_pronounces_names_as_the_dub_did(scene, actor, model, tmp_path):
  first, _ = scene(lexicon={'good': ('ZH', 'IH0'), 'day': ('V', 'AA1')})
  other = again(tmp_path / 'project', 1, model, 'softer')
  assert first['lines'][0]['take']['phonemes'] == other['lines'][0]['take']['phonemes']
  assert any('ZH' in symbol for symbol in other['lines'][0]['take']['phonemes'])


def test_redo_without_a_note_is_another_take_of_the_same_direction(scene, actor, model, tmp_path):
  first, _ = scene()
  before = wave_of(tmp_path)
  other = again(tmp_path / 'project', 1, model)
  assert other['lines'][0]['direction'] == first['lines'][0]['direction']
  assert not np.array_equal(wave_of(tmp_path), before)


def test_redo_that_was_stopped_before_the_film_was_written_goes_on(scene, actor, model, tmp_path, monkeypatch):
  scene()

  def stop(*_, **__):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(export_module, 'write_dubbed', stop)
    again(tmp_path / 'project', 1, model, 'softer')
  played = len(actor.played)
  again(tmp_path / 'project', 1, model, 'softer')
  assert len(actor.played) == played
  again(tmp_path / 'project', 1, model, 'softer')  # and softer still
  with open_project(tmp_path / 'project') as project:
    assert project.takes(1) == [1, 2, 3]
    assert project.load(1, 3).direction.loudness < project.load(1, 2).direction.loudness < -3


@pytest.mark.parametrize('broken', ['', '[]', '{}', '{"format": 1}'])
def test_broken_project_is_refused(scene, tmp_path, broken):
  scene()
  (tmp_path / 'project' / 'project.json').write_text(broken)
  for attempt in (scene, lambda: again(tmp_path / 'project', 1, take=1)):
    with pytest.raises(BadInput, match=r'project\.json'):
      attempt()


def test_redo_over_a_film_that_has_changed_is_refused(scene, silent, model, tmp_path):
  film = tmp_path / 'film.mp4'
  shutil.copy(silent, film)
  scene(film=film)
  write_silent_clip(film, np.zeros((100, 32, 32, 3), np.uint8), overwrite=True)
  with pytest.raises(BadInput, match='put that one back'):
    again(tmp_path / 'project', 1, model, 'softer')


@pytest.mark.parametrize(('line', 'take', 'said'), [(0, None, '1 to 4'), (9, None, '1 to 4'), (2, 7, 'no whole take')])
def test_line_or_take_that_does_not_exist_is_refused(scene, model, tmp_path, line, take, said):
  _, dialogue = scene()
  with pytest.raises(BadInput, match=said):
    again(tmp_path / 'project', line, model, 'softer', take)
  assert (tmp_path / 'dubbed.dialogue.wav').read_bytes() == dialogue


def test_project_of_another_film_or_model_is_refused(scene, silent, model, tmp_path):
  scene()
  other = tmp_path / 'other.mp4'
  write_silent_clip(other, np.zeros((100, 32, 32, 3), np.uint8))
  with pytest.raises(BadInput, match='another film'):
    scene(film=other)
  (model.path / 'MANIFEST.json').write_text('{"model.safetensors": "2"}')
  for attempt in (scene, lambda: again(tmp_path / 'project', 1, model, 'softer')):
    with pytest.raises(BadInput, match='model'):
      attempt()


def test_folder_that_is_no_project_is_refused_and_left_alone(scene, tmp_path):
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos' / 'cat.jpg').write_text('cat')
  with pytest.raises(BadInput, match='no project'):
    scene(project='photos')
  with pytest.raises(BadInput, match='no project'):
    again(tmp_path / 'photos', 1)
  assert [path.name for path in (tmp_path / 'photos').iterdir()] == ['cat.jpg']


def test_project_is_one_processs_at_a_time(scene, tmp_path):
  scene()
  with open_project(tmp_path / 'project'), pytest.raises(BadInput, match='another dubber'):
    scene()


def test_film_that_was_there_before_is_not_replaced(scene, tmp_path):
  (tmp_path / 'dubbed.mp4').write_text('mine')
  with pytest.raises(BadInput, match='exists already'):
    scene()
  assert sorted(path.name for path in tmp_path.iterdir()) == ['dubbed.mp4', 'model']


def test_lines_that_do_not_fit_are_told_when_the_others_are_done(scene, actor, tmp_path):
  actor.cannot = (LINES[0].text, LINES[2].text)
  with pytest.raises(BadInput, match=r'^line 1: .* \(and 1 more'):
    scene()
  assert not (tmp_path / 'dubbed.mp4').exists() and actor.played == [LINES[1].text, LINES[3].text]
  with pytest.raises(BadInput, match=r'not all lines were played yet \(1, 3\)'):
    again(tmp_path / 'project', 2, take=1)


def test_character_without_a_voice_is_told_before_anything_is_written(scene, tmp_path):
  with pytest.raises(BadInput, match='Ben'):
    scene(cast=Cast({'anna': a_voice('anna', 1)}))
  assert [path.name for path in tmp_path.iterdir()] == ['model']


def test_directions_of_one_language_are_played_in_another(scene, tmp_path):
  first, _ = scene()
  stored = json.loads((tmp_path / 'project' / 'directions.json').read_text())
  assert not any(line.text in json.dumps(stored) for line in LINES)
  german = [dataclasses.replace(line, text='Nein.') for line in LINES[:3]] + LINES[3:]
  neutral = Direction(note='planned')
  options = {'out': 'german.mp4', 'project': 'german', 'planner': lambda *_: (neutral, ())}
  second, _ = scene(german, directions=tmp_path / 'project', **options)
  for number, (old, new) in enumerate(zip(first['lines'], second['lines'], strict=True)):
    assert new['direction']['loudness'] == old['direction']['loudness']
    assert new['direction']['pauses'] == ([] if number < 3 else [[0, 0.1]])
  assert sum('its words are others' in warning for warning in second['warnings']) == 3
  moved = [dataclasses.replace(LINES[0], start=3.85, end=4.0)]
  options |= {'out': 'moved.mp4', 'project': 'moved'}
  third, _ = scene(moved, directions=tmp_path / 'project' / 'directions.json', **options)
  assert third['direction']['note'] == 'planned' and any('it is planned' in warning for warning in third['warnings'])


@pytest.mark.parametrize('broken', ['', '[]', '{"lines": [{}]}', '{"lines": 3}', 'emotion', 'pauses', 'loudness'])
def test_directions_that_are_broken_are_refused(scene, tmp_path, broken):
  if broken in ('emotion', 'pauses', 'loudness'):
    direction = {broken: {'emotion': [1.0], 'pauses': [[1]], 'loudness': 'loud'}[broken]}
    broken = json.dumps({'lines': [{'start': 0, 'end': 1, 'character': '', 'text_hash': '', 'direction': direction}]})
  (tmp_path / 'directions.json').write_text(broken)
  with pytest.raises(BadInput, match='directions.json'):
    scene(directions=tmp_path / 'directions.json')


def test_background_is_heard_between_the_lines_and_not_on_the_stem(scene, silent, tmp_path):
  music = 0.1 * np.sin(np.arange(4 * SAMPLE_RATE) * 0.05).astype(np.float32)
  write_dubbed(silent, music, SAMPLE_RATE, tmp_path / 'sounding.mp4')
  scene(film=tmp_path / 'sounding.mp4', background='mute')
  write_wav(tmp_path / 'music.wav', music, SAMPLE_RATE)
  scene(background=str(tmp_path / 'music.wav'), out='mixed.mp4', project='mixed')
  for out in ('dubbed.mp4', 'mixed.mp4'):
    between = slice(round(3.85 * SOUND_RATE), round(3.95 * SOUND_RATE))
    assert np.std(read_sound(tmp_path / out, SOUND_RATE)[between]) == pytest.approx(0.07, abs=0.01)
    assert not wave_of(tmp_path, out)[between].any()
    assert probe(tmp_path / out).seconds == pytest.approx(4.0, abs=0.05)
  with pytest.raises(BadInput, match='short.wav'):
    write_wav(tmp_path / 'short.wav', music[:SAMPLE_RATE], SAMPLE_RATE)
    scene(background=str(tmp_path / 'short.wav'), out='short.mp4', project='short')
  assert not (tmp_path / 'short').exists()


def test_old_name_of_a_background_is_refused_with_the_new_one_before_anything_is_written(scene, tmp_path):
  with pytest.raises(BadInput, match='now called mute'):
    scene(background='keep')
  assert [path.name for path in tmp_path.iterdir()] == ['model']


def test_music_is_muted_only_while_a_line_is_spoken(scene, silent, monkeypatch, tmp_path):
  music = 0.1 * np.sin(2 * np.pi * 3000 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
  write_dubbed(silent, music, SAMPLE_RATE, tmp_path / 'sounding.mp4')
  words = ((0.3, 0.6, 'Run'), (0.7, 0.9, 'now'), (1.9, 2.2, 'please'))  # within a slot from 0.2 to 3.8 s
  monkeypatch.setattr(film_module, 'words_of', lambda take, phonemes: words)
  one = [Line('Run now please!', 0.2, 3.8)]
  scene(one, Cast(default=a_voice('anna', 1)), film=tmp_path / 'sounding.mp4', background='mute')
  wave = read_sound(tmp_path / 'dubbed.mp4', SOUND_RATE)

  def left(start, end):
    part = wave[round(start * SOUND_RATE) : round(end * SOUND_RATE)]
    return 2 * abs(np.mean(part * np.exp(-2j * np.pi * 3000 * np.arange(len(part)) / SOUND_RATE))) / 0.1

  for start, end in ((0.25, 0.4), (1.2, 2.0), (2.5, 3.7)):
    assert left(start, end) == pytest.approx(1.0, abs=0.1)
  for start, end in ((0.55, 1.05), (2.15, 2.35)):
    assert left(start, end) == pytest.approx(0.0, abs=0.05)


class KnownBed:
  """Stands in for a separator that knows what the film's background is."""

  def __init__(self, bed):
    self.bed, self.calls = bed, 0

  def remove_dialogue(self, blocks):
    self.calls, first = self.calls + 1, 0
    for block in blocks:
      yield self.bed[first : first + len(block), : block.shape[1]]
      first += len(block)


def film_with_dialogue(silent, path, channels):
  """A film of music with a murmur at LINES -> its background (S, C) at SOUND_RATE and its loudness in LUFS."""
  rng = np.random.default_rng(3)
  time = np.arange(4 * SOUND_RATE) / SOUND_RATE
  bed = np.stack([0.05 * np.sin(2 * np.pi * (2000 + 100 * i) * time) for i in range(channels)], 1).astype(np.float32)
  voice = 0.2 * rng.standard_normal(len(time)) * sum((time > line.start) & (time < line.end) for line in LINES)
  voice = lfilter([1], [1, -0.9], 0.2 * voice).astype(np.float32)
  sound = bed.copy()
  sound[:, [0] if channels == 1 else [2] if channels == 6 else [0, 1]] += (voice * channels**-0.5)[:, None]
  write_dubbed(silent, sound, SOUND_RATE, path)
  return bed, integrated_loudness(sound, SOUND_RATE)


@pytest.mark.parametrize('channels', [1, 2, 6])
def test_separated_background_is_whole_in_all_channels_and_the_film_as_loud_as_before(
  scene, silent, tmp_path, monkeypatch, channels
):
  film = tmp_path / 'sounding.mkv'
  bed, loudness = film_with_dialogue(silent, film, channels)
  separator = KnownBed(bed)
  monkeypatch.setattr(film_module, 'check_separator', lambda name: None)
  monkeypatch.setattr(export_module, 'open_separator', lambda name: separator)
  result, _ = scene(film=film, out='dubbed.mkv')
  wave, _ = read_channels(tmp_path / 'dubbed.mkv', track=0)
  assert wave.shape[1] == channels and separator.calls == 1
  assert integrated_loudness(wave, SOUND_RATE) == pytest.approx(loudness, abs=1.0)
  assert not any('LU' in warning for warning in result['warnings'])
  for channel in range(channels):
    if channel == 3:
      continue  # coders cut the low-frequency channel off above 120 Hz
    tone = np.exp(-2j * np.pi * (2000 + 100 * channel) * np.arange(len(wave)) / SOUND_RATE)
    heard = np.abs(np.add.reduceat(wave[:, channel] * tone, np.arange(0, len(wave) - 4800, 2400))) / 1200
    assert 20 * np.log10(heard[2:-2].min() / 0.05) > -6  # no gap
  if channels == 6:
    assert np.abs(wave[SOUND_RATE : 2 * SOUND_RATE, 0]).max() < 0.07  # no dialogue in the left channel


def test_redo_neither_separates_nor_measures_the_film_again(scene, silent, model, tmp_path, monkeypatch):
  film = tmp_path / 'sounding.mkv'
  bed, _ = film_with_dialogue(silent, film, 2)
  separator = KnownBed(bed)
  monkeypatch.setattr(film_module, 'check_separator', lambda name: None)
  monkeypatch.setattr(export_module, 'open_separator', lambda name: separator)
  scene(film=film)
  monkeypatch.setattr(export_module, 'measure_film', None)
  before = wave_of(tmp_path)
  again(tmp_path / 'project', 3, model, 'softer, almost a whisper')
  again(tmp_path / 'project', 3, take=1)
  np.testing.assert_array_equal(wave_of(tmp_path), before)
  assert separator.calls == 1


def test_film_is_dubbed_without_a_separator_unless_that_is_asked_for(scene, silent, tmp_path, monkeypatch):
  film = tmp_path / 'sounding.mkv'
  film_with_dialogue(silent, film, 2)

  def missing(*_):
    raise BadInput('install the extra separation')

  monkeypatch.setattr(film_module, 'check_separator', missing)
  result, _ = scene(film=film)
  assert any('install the extra' in warning for warning in result['warnings'])
  with pytest.raises(BadInput, match='install the extra'):
    scene(film=film, background='separate', project='other', out='other.mp4')


def test_separator_that_was_asked_for_by_name_is_the_one_that_is_used(scene, silent, tmp_path, monkeypatch):
  film, asked = tmp_path / 'sounding.mkv', []
  bed, _ = film_with_dialogue(silent, film, 2)
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(BadInput, match='extra demucs'):
    scene(film=film, separator='demucs')
  monkeypatch.setattr(film_module, 'check_separator', asked.append)
  monkeypatch.setattr(export_module, 'open_separator', lambda name: asked.append(name) or KnownBed(bed))
  scene(film=film, separator='demucs')
  assert asked == ['demucs', 'demucs'] and (tmp_path / 'project' / 'bed_demucs.flac').exists()


def test_guide_tells_what_it_heard_in_one_row_a_line(scene, silent, tmp_path, monkeypatch, caplog):
  heard = SourcePerformance((0, 0, 0, 0, 0, 1.0, 0, 0), 0.7, 4.0, 180.0, 7.0, (0.0,) * 16, ((0.5, 0.3),))
  monkeypatch.setattr(source_performance, 'read_performance', lambda wave, rate: heard if np.std(wave) > 0.05 else None)
  film_with_dialogue(silent, tmp_path / 'sounding.mkv', 2)
  lines = [*LINES, Line('Nobody.', 3.85, 4.0, 'Ben')]

  def guided(*_, **__):
    return Direction(), ()

  with caplog.at_level('INFO', 'dubber_jax'):
    scene(lines, film=tmp_path / 'sounding.mkv', background='none', guide='original', planner=guided)
  rows = [row for row in caplog.messages if row.startswith('guide, line')]
  assert len(rows) == 5 and 'sad 100%' in rows[0] and '180 Hz' in rows[0] and 'pauses of 0.3 s' in rows[0]
  assert LINES[0].text in rows[0] and 'nobody speaks' in rows[4]


@pytest.mark.parametrize('count', [60, pytest.param(500, marks=pytest.mark.slow)])
def test_many_lines_are_dubbed_with_one_lines_pictures_in_memory(count, scene, actor, tmp_path, caplog):
  film = tmp_path / 'long.mp4'
  write_silent_clip(film, np.random.default_rng(0).integers(0, 255, (count, 16, 16, 3), np.uint8), fps=5)
  lines = [Line('Yes.' if i % 3 else 'No.', 0.2 * i, 0.2 * i + 0.2, 'Ben' if i % 2 else 'Anna') for i in range(count)]
  with caplog.at_level('INFO', 'dubber_jax'):
    result, _ = scene(lines, film=film, report=True)
  assert len(result['lines']) == len(actor.played) == count and 'report' not in result['files']
  assert any(f'line {count - 10} of {count}' in row and 'left' in row for row in caplog.messages)
  page = (tmp_path / 'project' / 'index.html').read_text()
  assert page.count('<article') == count and f'lines/{count:03d}/take_1/take.wav' in page


def test_single_line_leaves_no_folder_behind_unless_asked(scene, tmp_path):
  one = [Line('Good day.')]
  result, _ = scene(one, Cast(default=a_voice('anna', 1)), project=None)
  assert 'lines' not in result and result['slot_seconds'] == pytest.approx(4.0, abs=1e-3)
  written = ['dubbed.dialogue.wav', 'dubbed.mp4', 'dubbed.srt', 'dubbed.vtt', 'model']
  assert sorted(path.name for path in tmp_path.iterdir()) == written
  assert len(EMOTIONS) == len(result['direction']['emotion'])


def test_a_full_disk_leaves_no_part_of_a_film_and_the_same_dub_works_after_it(scene, tmp_path, monkeypatch):
  def full(*_, **__):
    raise OSError(28, 'No space left on device')

  before = sorted(tmp_path.iterdir())
  with monkeypatch.context() as patch, pytest.raises(BadInput, match='No space left'):
    patch.setattr(export_module, 'write_wav_blocks', full)  # after the film
    scene(LINES[:1], project=None)
  assert sorted(tmp_path.iterdir()) == before
  gc.collect()  # the error's traceback, which holds the pictures
  scene(LINES[:1], project=None)
  assert (tmp_path / 'dubbed.mp4').exists() and not list(tmp_path.glob('.*'))
