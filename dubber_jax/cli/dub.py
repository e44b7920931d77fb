"""The commands `dub`, `redo`, `speak` and `demo`: what is dubbed or spoken with a model."""

import argparse
import sys
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput


def add_commands(command: AddCommand):
  _add_dub(command)
  _add_redo(command)
  _add_speak(command)
  _add_demo(command)


def _add_dub(command):
  sub = command('dub', run_dub, 'Dub a clip, or a film with subtitles.')
  sub.add_argument('film', help='mp4, mkv, mov, mpg, webm or flv')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('--text', help='one line, spoken over the whole clip')
  what.add_argument('--script', help='srt, vtt, ass or fountain')
  sub.add_argument('--voice', help='a recording of the voice, or the name of a shipped one; beside --cast, the default')
  sub.add_argument('--cast', help='TOML: a voice for each character, as [cast] ANNA = "anna.wav"')
  sub.add_argument('-o', '--out', required=True, help='the dubbed film')
  sub.add_argument(
    '--background',
    default='none',
    metavar='keep|duck|none|FILE',
    help="behind the dialogue: the film's own sound, muted or lowered in the lines, or a file of music "
    'and effects (default: none)',
  )
  sub.add_argument('--project', help="folder for every line's takes (default, of several lines: beside the film)")
  sub.add_argument('--directions', help='a project, or its directions.json, whose directions are played')
  sub.add_argument(
    '--guide',
    metavar='original|FILE',
    help="a performance to follow, the film's own or a recording on its time: feeling, pace, pitch",
  )
  sub.add_argument('--face', type=int, help='which face speaks, from 0, left to right')
  sub.add_argument('--no-report', action='store_true', help='no report page beside the film')
  _add_fit_option(sub, 'strict', 'strict')
  _add_model_options(sub)


def run_dub(given: argparse.Namespace):
  from dubber_jax.dubbing.cast import cast_lines, read_cast, read_names
  from dubber_jax.dubbing.film import dub
  from dubber_jax.dubbing.request import DubOptions, DubRequest
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.subtitles import parse_line, read_lines

  if not (given.voice or given.cast):
    raise BadInput('nobody speaks: give --voice, or a --cast')
  planner = _planner(given)
  lines = [parse_line(given.text)] if given.text is not None else list(read_lines(given.script, overlap=True))
  if given.cast:
    lines = cast_lines(lines, read_names(given.cast))
  options = DubOptions(
    lines=_line_options(given, face=given.face, fit=given.fit),
    background=given.background,
    guide=given.guide,
    directions=given.directions,
    report=not given.no_report,
    overwrite=given.overwrite,
  )
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps) if given.voice else None
  if given.cast:
    voice = read_cast(given.cast, lines, model.voices, voice, model, given.fit_steps)
  request = DubRequest.of(given.film, lines, voice, given.out, options, given.project, given.json)
  _print_files(dub(request, model, library, planner))


def _print_files(result):
  for path in result.files.values():
    print(path)


def _add_redo(command):
  sub = command('redo', run_redo, 'Play one line of a project again, by a note, or choose an earlier take.')
  sub.add_argument('project', help='the folder of `dubber dub --project`')
  sub.add_argument('--line', type=int, required=True, help='its number')
  what = sub.add_mutually_exclusive_group()
  what.add_argument('--note', default='', help='what to do otherwise, as "softer, almost a whisper" (or in Chinese)')
  what.add_argument('--take', type=int, help='go back to this take')
  _add_fit_option(sub, None, "that of the line's take in the film")
  _add_planner_options(sub)


def run_redo(given: argparse.Namespace):
  from dubber_jax.director.llm_planner import open_planner
  from dubber_jax.director.notes.apply import parse
  from dubber_jax.dubbing.project import open_project
  from dubber_jax.dubbing.redo import RedoRequest, redo

  read_note = getattr(open_planner(given.planner, given.planner_model), 'parse', parse)
  request = RedoRequest(Path(given.project), given.line, given.note, given.take, given.fit)
  with open_project(given.project) as project:
    state = project.state
    project.check_line(given.line)
  model = library = None
  if given.take is None:
    options = argparse.Namespace(
      model=state.model, library=state.library or None, director='on' if state.director else 'off'
    )
    model, library = _open(options)
  _print_files(redo(request, model, library, read_note))


def _add_speak(command):
  sub = command('speak', run_speak, 'Speak a line, or one a row, without a film.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('--text', help='the line')
  what.add_argument('--lines', help='a text file, one line a row, or a script; -o is then a folder, for 001.wav on')
  sub.add_argument('--voice', required=True, help='a recording of the voice, or the name of a shipped one')
  sub.add_argument('--emotion', default='', help='angry, disgust, fear, happy, neutral, sad, surprise or others')
  sub.add_argument('-o', '--out', required=True, help='a wav, or a folder')
  _add_fit_option(sub, None, 'lines last as long as they need, and times of a script do not count')
  _add_model_options(sub)


def run_speak(given: argparse.Namespace):
  from dubber_jax.dubbing.speak import SpeakRequest, speak
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.subtitles import parse_line, read_lines
  from dubber_jax.storage.atomic import check_output, write_json

  planner = _planner(given)
  if given.text is not None:
    lines, outs = [parse_line(given.text)], [Path(given.out)]
  else:
    script = Path(given.lines).suffix.lower() in ('.srt', '.vtt', '.ass', '.ssa', '.fountain')
    lines = list(read_lines(given.lines)) if script else [parse_line(row) for row in _read_rows(given.lines)]
    outs = [Path(given.out) / f'{i:03d}.wav' for i in range(1, len(lines) + 1)]
  if given.json:
    check_output(Path(given.json), given.overwrite)
  options = _line_options(given)
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps)
  if given.lines:
    Path(given.out).mkdir(parents=True, exist_ok=True)
  request = SpeakRequest(tuple(lines), voice, tuple(outs), options, given.emotion, given.fit, given.overwrite)
  results = [result.to_json() for result in speak(request, model, library, planner)]
  if given.json:
    write_json(results[0] if given.text is not None else {'lines': results}, given.json, given.overwrite)


def _read_rows(path) -> list[str]:
  try:
    rows = Path(path).read_text(encoding='utf-8').splitlines()
  except (OSError, UnicodeDecodeError) as e:
    raise BadInput(f'{path}: cannot be read as text ({e}); give a UTF-8 file, one line a row') from e
  texts = [row.strip() for row in rows if row.strip()]
  if not texts:
    raise BadInput(f'{path} holds no lines; write one a row')
  return texts


def _add_demo(command):
  sub = command('demo', run_demo, 'Draw a talking character and dub it: needs no file.')
  sub.add_argument('-o', '--out', default='demo', help='folder for clip and dub (default: demo)')
  sub.add_argument('--text', default='I miss you so much every day.')
  sub.add_argument('--emotion', default='sad', help="the scene's mood, in which it is drawn")
  sub.add_argument('--voice', default='', help='a recording, or the name of a shipped voice')
  _add_model_options(sub)


def run_demo(given: argparse.Namespace):
  from dubber_jax.demo.cartoon import draw_cartoon
  from dubber_jax.dubbing.film import dub
  from dubber_jax.dubbing.request import DubOptions, DubRequest
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.media.video import write_silent_clip
  from dubber_jax.storage.atomic import check_output
  from dubber_jax.types import EMOTIONS

  if given.emotion not in EMOTIONS:
    raise BadInput(f'no emotion {given.emotion!r}: use one of {", ".join(EMOTIONS)}')
  folder = Path(given.out)
  clip, dubbed = folder / 'clip.mp4', folder / 'dubbed.mp4'
  folder.mkdir(parents=True, exist_ok=True)
  for path in (clip, dubbed):
    check_output(path, given.overwrite)
  model, library = _open(given)
  voice = find_voice(given.voice or next(iter(model.voices)), model.voices, model, given.fit_steps)
  print(f'drawing a {given.emotion} character')
  write_silent_clip(clip, draw_cartoon(given.emotion, given.text), overwrite=given.overwrite)
  options = DubOptions(_line_options(given), overwrite=given.overwrite)
  _print_files(dub(DubRequest.of(clip, given.text, voice, dubbed, options, json=given.json), model, library))


def _add_planner_options(sub):
  sub.add_argument(
    '--planner',
    default='rules',
    metavar='rules|URL',
    help='who writes directions: rules, or a language model, as http://localhost:8000/v1',
  )
  sub.add_argument('--planner-model', default='', metavar='NAME', help='which model the URL is to use')


def _add_fit_option(sub, default, of_default):
  sub.add_argument(
    '--fit',
    default=default,
    action=_FitOption,
    metavar='strict|natural',
    help='strict: a line keeps to its slot, however fast that is; natural: it runs on into the '
    f'silence after it rather than hurry (default: {of_default})',
  )


class _FitOption(argparse.Action):
  """--fit, which is a word, and --fit-steps, which is a number: what was meant for the other is told in one line."""

  def __call__(self, parser, given, value, option=None):
    from dubber_jax.actor.duration import FITS, check_fit

    if self.dest == 'fit':
      check_fit(value)
    elif value in FITS:
      raise BadInput(f'--fit-steps {value}: give a number of steps; how a line fits its slot is --fit {value}')
    elif not value.lstrip('-').isdigit():
      raise BadInput(f'--fit-steps {value}: give a number of steps, from 0 to 1000')
    setattr(given, self.dest, value if self.dest == 'fit' else int(value))


def _add_model_options(sub):
  sub.add_argument('--model', help='model directory (default: the shipped one)')
  sub.add_argument('--library', help='footage library (default: the shipped one)')
  sub.add_argument('--director', choices=('on', 'off'), default='on', help='off: one-way dubbing')
  sub.add_argument('--search', choices=('exact', 'scann'), default='exact', help='how the library is searched')
  sub.add_argument('--rounds', type=int, default=3, help='how often a line is asked for at most (default: 3)')
  sub.add_argument('--candidates', type=int, default=4, help='takes of a round; the best counts (default: 4)')
  sub.add_argument(
    '--fit-steps',
    default=40,
    action=_FitOption,
    metavar='N',
    help='steps that fit the actor to a voice it does not know; 0: none (default: 40)',
  )
  _add_planner_options(sub)
  sub.add_argument('--lexicon', help='pronunciations of names, one a row: Zhivago ZH IH0 V AA1 G OW0')
  sub.add_argument('--overwrite', action='store_true', help='replace what exists')
  sub.add_argument('--json', help='write the result here too, for a program')


def _open(given):
  """-> model and library, as the options say."""
  import dataclasses

  from dubber_jax.dubbing.line import library_features
  from dubber_jax.inference.model_directory import load
  from dubber_jax.retrieval.library import Library

  model = load(given.model)
  tell_terms(model.path)
  if given.director == 'off':
    director = dataclasses.replace(model.config.task.director, enabled=False)
    model = dataclasses.replace(model, config=model.config.with_task(director=director))
  library = None
  if model.config.task.director.enabled:
    library = Library.open(given.library, library_features())
  return model, library


def tell_terms(path: Path):
  """Says what a model may be used for, the first time that it is."""
  import contextlib

  from dubber_jax.inference.model_directory import terms
  from dubber_jax.storage.cache import cache_folder
  from dubber_jax.storage.hashing import content_key

  said, folder = terms(path), cache_folder()
  told = folder and folder / 'terms' / content_key(said)
  if not said or (told and told.exists()):
    return
  print(f'terms of {path.name}: {said}', file=sys.stderr)
  if told:
    with contextlib.suppress(OSError):
      told.parent.mkdir(parents=True, exist_ok=True)
      told.touch()


def _planner(given):
  """The planner that the options name; numbers out of range are refused before anything is opened."""
  for name, least, most in (('rounds', 1, 20), ('candidates', 1, 64), ('fit_steps', 0, 1000)):
    if not least <= getattr(given, name) <= most:
      raise BadInput(f'--{name.replace("_", "-")} {getattr(given, name)}: give a number from {least} to {most}')
  from dubber_jax.director.llm_planner import open_planner

  return open_planner(given.planner, given.planner_model)


def _line_options(given, **more):
  """How lines are rehearsed, as the options say."""
  from dubber_jax.dubbing.request import LineOptions

  return LineOptions(given.rounds, given.candidates, search=given.search, lexicon=_lexicon(given), **more)


def _lexicon(given):
  from dubber_jax.script.lexicon import read_lexicon

  return read_lexicon(given.lexicon) if given.lexicon else None
