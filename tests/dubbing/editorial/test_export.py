"""What a project hands on: subtitles and the editorial folder, at export and by `dubber editorial`, without JAX."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pysubs2
import pytest
import soundfile

from dubber_jax.cli.main import main
from dubber_jax.dubbing.export import export, export_editorial
from dubber_jax.dubbing.project import ProjectState, open_project
from dubber_jax.dubbing.result import DubbedLine, LineResult, TakeResult
from dubber_jax.errors import BadInput
from dubber_jax.media.film import Film
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import HOP, SAMPLE_RATE, Direction, Line, Take

LINES = (Line('Good day, Ben.', 0.2, 1.2, 'Anna'), Line('Who is there?', 1.2, 2.4, 'Ben'))
WORDS = (
  ((0.1, 0.3, 'good'), (0.35, 0.6, 'day'), (0.65, 0.9, 'ben')),
  ((0.2, 0.4, 'who'), (0.4, 0.6, 'is'), (0.6, 1.0, 'there')),
)


def hummed(line, words, pitch, note=''):
  """A line as it was dubbed: a tone."""
  frames = round((line.end - line.start) * SAMPLE_RATE / HOP)
  wave = 0.1 * np.sin(2 * np.pi * pitch * np.arange(frames * HOP) / SAMPLE_RATE)
  take = Take(
    np.zeros((frames, 80), np.float32),
    ('@sil',),
    np.array([frames]),
    np.full(frames, float(pitch)),
    np.eye(8)[4],
    wave.astype(np.float32),
  )
  result = LineResult(
    line,
    'anna',
    Direction(note=note),
    TakeResult(('@sil',), (frames,), 'neutral'),
    line.end - line.start,
    'strict',
    speech_seconds=0.8,
    speech_start=0.1,
    words=words,
  )
  return DubbedLine(line, take, result, Phonemes(('@sil',), np.array([-1]), ()))


@pytest.fixture
def project(make_film, tmp_path):
  """A project folder of two lines that were played."""
  film = make_film(Fraction(24000, 1001), '01:00:00:00', 3.0)
  folder = tmp_path / 'project'
  state = ProjectState(
    film=str(film),
    film_hash=Film(film).hash,
    seconds=Film(film).seconds,
    model='model',
    model_hash='0',
    director=True,
    library='',
    lines=LINES,
    voice_of=('a', 'b'),
    voices={'a': 'anna', 'b': 'ben'},
    options={},
    fit='strict',
    background='none',
    kept=True,
    out=str(tmp_path / 'dub.mp4'),
    report=False,
    json=None,
    warnings=(),
    subtitles=True,
    editorial=True,
  )
  with open_project(folder, make=True) as work:
    work.write_state(state)
    for number, (line, words) in enumerate(zip(LINES, WORDS, strict=True), 1):
      work.add_dubbed(number, hummed(line, words, 200 * number, 'softly'), {'line': number})
  return folder


def test_an_export_writes_subtitles_and_folder(project, tmp_path):
  with open_project(project) as work:
    result = export(work)
  assert result.files['subtitles'] == str(tmp_path / 'dub.srt')
  assert result.files['editorial'] == str(tmp_path / 'dub.editorial')
  cues = pysubs2.load(str(tmp_path / 'dub.srt'))
  assert [(e.start, e.end, e.text) for e in cues] == [(300, 1300, 'Good day, Ben.'), (1400, 2400, 'Who is there?')]
  assert '<v Anna><c>Good</c> <00:00:00.550><c>day,</c>' in (tmp_path / 'dub.vtt').read_text()
  muxed = Film(tmp_path / 'dub.mp4')
  import av

  with av.open(str(muxed.path)) as film:
    (subtitles,) = film.streams.subtitles
    shown = [packet.pts * packet.time_base for packet in film.demux(subtitles) if packet.size > 2]
  assert [round(float(time), 2) for time in shown] == [0.3, 1.4]
  timeline = otio.adapters.read_from_file(str(tmp_path / 'dub.editorial' / 'dub.otio'))
  assert [track.name for track in timeline.tracks] == ['Picture', 'Anna', 'Ben']
  with open_project(project) as work:
    assert {str(tmp_path / 'dub.srt'), str(tmp_path / 'dub.vtt')} <= set(map(str, output_paths(work)))


def output_paths(work):
  from dubber_jax.dubbing.export import output_files

  return output_files(work.state)


def test_stems_add_up_to_the_dialogue_of_the_export(project, tmp_path):
  with open_project(project) as work:
    export(work)
  dialogue, rate = soundfile.read(tmp_path / 'dub.dialogue.wav')
  stems = sum(soundfile.read(path)[0] for path in (tmp_path / 'dub.editorial' / 'stems').iterdir())
  assert rate == 48_000 and len(dialogue) == len(stems)
  assert np.abs(dialogue - stems).max() < 0.02 * np.abs(dialogue).max()


def test_a_redo_renews_all_of_it(project, tmp_path):
  with open_project(project) as work:
    export(work)
  before = {p.name: p.read_bytes() for p in (tmp_path / 'dub.editorial').rglob('*') if p.is_file()}
  with open_project(project) as work:
    words = ((0.3, 0.5, 'who'), (0.5, 0.7, 'is'), (0.7, 1.1, 'there'))
    take = work.save(2, hummed(LINES[1], words, 300, 'louder'), {'line': 2}, {'note': 'louder!', 'of': 1})
    work.choose(2, take, 1)
    export(work)
  after = {p.name: p.read_bytes() for p in (tmp_path / 'dub.editorial').rglob('*') if p.is_file()}
  assert set(after) == set(before)
  assert all(after[name] != before[name] for name in ('Ben.wav', 'dub.otio', 'dub.edl', 'dub.adr.csv'))
  assert after['Anna.wav'][-100_000:] == before['Anna.wav'][-100_000:]  # all but the time it was written
  assert 'louder!,2,redone' in after['dub.adr.csv'].decode('utf-8-sig')
  assert pysubs2.load(str(tmp_path / 'dub.srt'))[1].start == 1500


def test_without_the_options_nothing_is_written(project, tmp_path):
  path = project / 'project.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | {'subtitles': False, 'editorial': False}))
  with open_project(project) as work:
    export(work)
  assert not list(tmp_path.glob('dub.srt')) + list(tmp_path.glob('dub.vtt')) + list(tmp_path.glob('dub.editorial'))


def test_the_command_writes_the_folder_of_a_project_without_jax(project, tmp_path):
  code = (
    'import sys; from dubber_jax.cli.main import main; '
    f'rc = main(["editorial", {str(project)!r}, "-o", {str(tmp_path / "handed")!r}, "--start", "10:00:00:00"]); '
    'print(rc, "jax" in sys.modules)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
  assert done.stdout.split('\n')[-2] == '0 False', done.stdout + done.stderr
  timeline = otio.adapters.read_from_file(str(tmp_path / 'handed' / 'dub.otio'))
  assert timeline.global_start_time.value == 36_000 * 24


def test_a_project_that_is_not_whole_is_refused_and_nothing_written(project, tmp_path):
  (project / 'lines' / '002' / 'chosen.json').unlink()
  with open_project(project) as work, pytest.raises(BadInput, match='not all lines'):
    export_editorial(work, tmp_path / 'handed')
  assert not (tmp_path / 'handed').exists()


def test_another_film_in_its_place_is_refused(project, tmp_path, make_film):
  make_film(Fraction(25), None, 2.0)
  with open_project(project) as work, pytest.raises(BadInput, match='not the film any more'):
    export_editorial(work, tmp_path / 'handed')


def test_a_folder_that_holds_the_project_is_never_replaced(project, tmp_path):
  for out in (tmp_path, project):
    assert main(['editorial', str(project), '-o', str(out), '--overwrite']) == 2
  assert (project / 'project.json').exists()
