"""The commands `dub`, `redo`, `speak` and `demo`: what is dubbed or spoken with a model."""

import argparse
import dataclasses
import sys
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput
from dubber_jax.storage.distinct import check_distinct

# Of types.EMOTIONS, which takes NumPy to import.
EMOTION_NAMES = 'angry, disgust, fear, happy, neutral, sad, surprise or others'


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
    metavar='separate|mute|duck|none|FILE',
    help="behind the dialogue: the film's own sound, its dialogue taken out, or silent where a line is spoken, or "
    'lowered in the lines; or a file of music and effects (default: separate where the film has sound)',
  )
  sub.add_argument(
    '--separator',
    choices=('trained', 'demucs'),
    default='trained',
    help='what takes the dialogue out: the shipped network, or Demucs where it is installed (default: trained)',
  )
  sub.add_argument(
    '--tracks',
    default='add',
    metavar='add|replace',
    help="add: the dub is the first sound track, the film's own ones follow; replace: it takes the place of the film's "
    'own (default: add)',
  )
  sub.add_argument('--language', default='eng', help="of the dub's track, ISO 639-2 (default: eng)")
  sub.add_argument('--audio-track', type=int, help="which of the film's sounds is its own, from 0 (default: the first)")
  sub.add_argument('--project', help="folder for every line's takes (default, of several lines: beside the film)")
  sub.add_argument('--directions', help='a project, or its directions.json, whose directions are played')
  sub.add_argument(
    '--guide',
    metavar='original|FILE',
    help="a performance to follow, the film's own or a recording on its time: feeling, pace, pitch",
  )
  sub.add_argument('--emotion', default='', help=f'of all lines that the script gives none: {EMOTION_NAMES}')
  sub.add_argument('--face', type=int, help='which face speaks, from 0, left to right')
  sub.add_argument('--no-report', action='store_true', help='no report page beside the film')
  sub.add_argument('--no-subtitles', action='store_true', help='no subtitles of the dub, beside the film and in it')
  sub.add_argument('--editorial', action='store_true', help='OUT.editorial: stems, OTIO, EDL and ADR cue sheet')
  _add_fit_option(sub, 'strict', 'strict')
  _add_model_options(sub)


def run_dub(given: argparse.Namespace):
  from dubber_jax.dubbing.cast import cast_lines, read_cast, read_names
  from dubber_jax.dubbing.film import check_film, check_new_outputs, dub
  from dubber_jax.dubbing.request import DubOptions, DubRequest, with_emotion
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.media.film import Film
  from dubber_jax.media.mux_options import MuxOptions
  from dubber_jax.script.subtitles import Script, load_script, parse_line

  if not (given.voice or given.cast):
    raise BadInput('nobody speaks: give --voice, or a --cast')
  _check_dub_paths(given)
  planner = _planner(given)
  names = read_names(given.cast) if given.cast else {}
  text = given.text
  script = Script((parse_line(text),)) if text is not None else load_script(given.script, overlap=True, names=names)
  lines = cast_lines(script.lines, names)
  options = DubOptions(
    lines=_line_options(given, face=given.face, fit=given.fit),
    background=given.background,
    separator=given.separator,
    audio_track=given.audio_track,
    mux=MuxOptions(given.tracks, given.language),
    guide=given.guide,
    directions=given.directions,
    report=not given.no_report,
    subtitles=not given.no_subtitles,
    editorial=given.editorial,
    overwrite=given.overwrite,
  )
  if given.emotion:
    lines = with_emotion(lines, given.emotion)
  film = Film(given.film, given.audio_track)
  check_film(film, lines, Path(given.out), options)
  check_new_outputs(options, Path(given.out), len(lines), given.project, given.json)
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps) if given.voice else None
  if given.cast:
    voice = read_cast(given.cast, lines, model.voices, voice, model, given.fit_steps)
  request = DubRequest.of(given.film, lines, voice, given.out, options, given.project, given.json)
  request = dataclasses.replace(request, warnings=script.warnings)
  _print_files(given, dub(request, model, library, planner))


def _check_dub_paths(given):
  """Raises BadInput where a dub would write over what it reads, or over itself."""
  from dubber_jax.dubbing.export import stem_of
  from dubber_jax.dubbing.project import OWN_FILES

  out, inputs = Path(given.out), _model_inputs(given)
  project = Path(given.project) if given.project else out.with_name(f'{out.stem}.project')
  inputs |= {'the film': given.film, '--script': given.script, '--directions': given.directions}
  inputs |= {'--guide': given.guide if given.guide != 'original' else None}
  inputs |= {'--background': given.background if Path(given.background or '').is_file() else None}
  if given.cast:
    from dubber_jax.dubbing.cast import read_names

    found = [Path(given.cast).parent / voice for voice in read_names(given.cast).values()]
    inputs |= {'--cast': given.cast, 'a recording of --cast': [path for path in found if path.is_file()]}
  outputs = {
    '-o': out,
    'the dialogue': stem_of(out),
    'the report': None if given.no_report else out.with_suffix('.html'),
    'the subtitles': [] if given.no_subtitles else [out.with_suffix('.srt'), out.with_suffix('.vtt')],
  }
  outputs |= {'--json': given.json}
  folders = {'the editorial folder': out.with_name(f'{out.stem}.editorial') if given.editorial else None}
  check_distinct(inputs, outputs, folders)
  check_distinct(
    {}, outputs | {'the project': [project / name for name in OWN_FILES]}, {'the lines': project / 'lines'}
  )


def _model_inputs(given) -> dict:
  """The files that commands with a model read: of options that may also be names, where there is such a file."""
  voice = given.voice if given.voice and Path(given.voice).exists() else None
  return {'--voice': voice, '--model': given.model, '--library': given.library, '--lexicon': given.lexicon}


def _print_files(given, result):
  for path in () if given.quiet else result.files.values():
    print(path)


def _add_redo(command):
  sub = command(
    'redo', run_redo, 'Play one line of a project again, by a note, or choose an earlier take or another background.'
  )
  sub.add_argument('project', help='the folder of `dubber dub --project`')
  sub.add_argument('--line', type=int, help='its number')
  what = sub.add_mutually_exclusive_group()
  what.add_argument('--note', default='', help='what to do otherwise, as "softer, almost a whisper" (or in Chinese)')
  what.add_argument('--take', type=int, help='go back to this take')
  sub.add_argument('--background', metavar='separate|mute|duck|none|FILE', help='another one, from now on')
  sub.add_argument('-o', '--out', help='where the dubbed film goes from now on (default: where it is)')
  sub.add_argument('--film', help='where the film is, of a project that was moved without it')
  _add_fit_option(sub, None, "that of the line's take in the film")
  _add_planner_options(sub)


def run_redo(given: argparse.Namespace):
  from dubber_jax.dubbing.project import open_project
  from dubber_jax.dubbing.redo import RedoRequest, redo

  paths = (Path(path) if path else None for path in (given.film, given.out))
  request = RedoRequest(Path(given.project), given.line, given.note, given.take, given.fit, given.background, *paths)
  with open_project(given.project) as project:
    state = project.state
    project.check_line(given.line)
  model = library = None
  if request.plays:
    options = argparse.Namespace(
      model=state.model, library=state.library or None, director='on' if state.director else 'off'
    )
    model, library = _open(options)
  read_note = getattr(_open_planner(given), 'parse', None) if given.planner != 'rules' else None
  _print_files(given, redo(request, model, library, read_note))


def _add_speak(command):
  sub = command('speak', run_speak, 'Speak a line, or one a row, without a film.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('--text', help='the line')
  what.add_argument('--lines', help='a text file, one line a row, or a script; -o is then a folder, for 001.wav on')
  sub.add_argument('--format', help='of --lines: wav, flac, mp3, opus, ogg or m4a (default: wav)')
  sub.add_argument('--voice', required=True, help='a recording of the voice, or the name of a shipped one')
  sub.add_argument('--emotion', default='', help=EMOTION_NAMES)
  sub.add_argument('-o', '--out', required=True, help='a wav, flac, mp3, opus, ogg or m4a, or a folder')
  _add_fit_option(sub, None, 'lines last as long as they need, and times of a script do not count')
  _add_model_options(sub)


def run_speak(given: argparse.Namespace):
  from dubber_jax.dubbing.request import check_emotion
  from dubber_jax.dubbing.speak import SpeakRequest, speak
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.subtitles import parse_line, read_lines
  from dubber_jax.storage.atomic import check_output, complete_together, remove_staged, write_json

  check_distinct(_model_inputs(given) | {'--lines': given.lines}, {'-o': given.out, '--json': given.json})
  suffix = _sound_suffix(given)
  planner = _planner(given)
  if given.text is not None:
    lines, outs = [parse_line(given.text)], [Path(given.out)]
  else:
    script = Path(given.lines).suffix.lower() in ('.srt', '.vtt', '.ass', '.ssa', '.fountain')
    lines = (
      list(read_lines(given.lines, overlap=True)) if script else [parse_line(row) for row in _read_rows(given.lines)]
    )
    outs = [Path(given.out) / f'{i:03d}{suffix}' for i in range(1, len(lines) + 1)]
    check_distinct(_model_inputs(given) | {'--lines': given.lines}, {'-o': outs, '--json': given.json})
  remove_staged([*outs, *([given.json] if given.json else [])])
  for path in (*outs, *([Path(given.json)] if given.json else [])):
    if path.parent.is_dir() or given.text is not None:  # that of several lines is made
      check_output(path, given.overwrite)
  if given.emotion:
    check_emotion(given.emotion)
  options = _line_options(given)
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps)
  if given.lines:
    Path(given.out).mkdir(parents=True, exist_ok=True)
  request = SpeakRequest(tuple(lines), voice, tuple(outs), options, given.emotion, given.fit, given.overwrite)
  with complete_together([*outs, *([given.json] if given.json else [])], given.overwrite) as staged:
    results = [result.to_json() for result in speak(request, model, library, planner, staged)]
    if given.json:
      found = results[0] if given.text is not None else {'lines': results}
      write_json(found, staged[Path(given.json).absolute()])


def _sound_suffix(given) -> str:
  """The suffix of the sound files of `speak`. Raises BadInput for a format that cannot be written."""
  from dubber_jax.media.encode import FORMATS, sound_format

  if given.lines:
    suffix = f'.{(given.format or "wav").lower().lstrip(".")}'
    if suffix not in FORMATS:
      raise BadInput(f'--format {given.format}: give one of {", ".join(name[1:] for name in FORMATS)}')
    return suffix
  sound_format(given.out)
  if given.format:
    raise BadInput('--format is for --lines; name the file of -o accordingly, as line.mp3')
  return Path(given.out).suffix.lower()


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
  from dubber_jax.dubbing.request import DubOptions, DubRequest, check_emotion
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.media.video import write_silent_clip
  from dubber_jax.storage.atomic import check_output

  check_emotion(given.emotion)
  folder = Path(given.out)
  clip, dubbed = folder / 'clip.mp4', folder / 'dubbed.mp4'
  check_distinct(_model_inputs(given), {'the clip': clip, 'the dub': dubbed, '--json': given.json})
  folder.mkdir(parents=True, exist_ok=True)
  for path in (clip, dubbed):
    check_output(path, given.overwrite)
  model, library = _open(given)
  voice = find_voice(given.voice or next(iter(model.voices)), model.voices, model, given.fit_steps)
  if not given.quiet:
    print(f'drawing a {given.emotion} character')
  write_silent_clip(clip, draw_cartoon(given.emotion, given.text), overwrite=given.overwrite)
  options = DubOptions(_line_options(given), overwrite=given.overwrite)
  request = DubRequest.of(clip, given.text, voice, dubbed, options, json=given.json)
  _print_files(given, dub(request, model, library))


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
    from dubber_jax.actor.slot import FITS, check_fit

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
  """-> model, whose networks are not loaded yet, and library, as the options say."""
  from dubber_jax.dubbing.inputs import library_features
  from dubber_jax.inference.stored_model import StoredModel
  from dubber_jax.inference.voices import check_known
  from dubber_jax.retrieval.library import Library

  model = StoredModel.find(given.model)
  if given.director == 'off':
    director = dataclasses.replace(model.config.task.director, enabled=False)
    model = dataclasses.replace(model, config=model.config.with_task(director=director))
  if getattr(given, 'voice', None):
    check_known(given.voice, model.voices)
  library = None
  if model.config.task.director.enabled:
    library = Library.open(given.library, library_features())
  tell_terms(model.path)
  return model, library


def tell_terms(path: Path):
  """Says what a model may be used for, the first time that it is."""
  import contextlib

  from dubber_jax.inference.stored_model import terms
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
  return _open_planner(given)


def _open_planner(given):
  if given.planner == 'rules':  # without the packages that speak to a language model
    from dubber_jax.director.planner import by_rules

    return by_rules
  from dubber_jax.director.llm_planner import open_planner

  return open_planner(given.planner, given.planner_model)


def _line_options(given, **more):
  """How lines are rehearsed, as the options say."""
  from dubber_jax.dubbing.request import LineOptions

  return LineOptions(given.rounds, given.candidates, search=given.search, lexicon=_lexicon(given), **more)


def _lexicon(given):
  from dubber_jax.script.lexicon import read_lexicon

  return read_lexicon(given.lexicon) if given.lexicon else None
