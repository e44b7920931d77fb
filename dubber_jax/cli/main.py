"""The command `dubber`."""

import argparse
import inspect
import os
import sys
from pathlib import Path

from dubber_jax.errors import BadInput

DATA_SETS = ('clip_folder', 'cremad', 'grid', 'ravdess', 'v2c_animation')


def main(arguments: list[str] | None = None) -> int:
  """Runs one command. Bad input is one line on stderr and exit code 2."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  try:
    given = make_parser().parse_args(arguments)
    _use_compilation_cache()
    return given.run(given) or 0
  except BadInput as e:
    print(f'dubber: {e}', file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('dubber: stopped', file=sys.stderr)
    return 130


def _use_compilation_cache():
  """What was compiled once is kept, so that the next start takes seconds."""
  import jax

  from dubber_jax.storage.cache import cache_folder

  if cache_folder() is None:
    return
  jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


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


def make_parser() -> argparse.ArgumentParser:
  # No option may be shortened: --fit would be taken for --fit-steps where only the one is known.
  parser = argparse.ArgumentParser(prog='dubber', description='Movie dubbing with a director.', allow_abbrev=False)
  commands = parser.add_subparsers(required=True, metavar='COMMAND')

  def command(name, run, text):
    sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    sub.set_defaults(run=run)
    return sub

  def planner_options(sub):
    sub.add_argument(
      '--planner',
      default='rules',
      metavar='rules|URL',
      help='who writes directions: rules, or a language model, as http://localhost:8000/v1',
    )
    sub.add_argument('--planner-model', default='', metavar='NAME', help='which model the URL is to use')

  def fit_option(sub, default, of_default):
    sub.add_argument(
      '--fit',
      default=default,
      action=_FitOption,
      metavar='strict|natural',
      help='strict: a line keeps to its slot, however fast that is; natural: it runs on into the '
      f'silence after it rather than hurry (default: {of_default})',
    )

  def model_options(sub):
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
    planner_options(sub)
    sub.add_argument('--lexicon', help='pronunciations of names, one a row: Zhivago ZH IH0 V AA1 G OW0')
    sub.add_argument('--overwrite', action='store_true', help='replace what exists')
    sub.add_argument('--json', help='write the result here too, for a program')

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
  fit_option(sub, 'strict', 'strict')
  model_options(sub)

  sub = command('redo', run_redo, 'Play one line of a project again, by a note, or choose an earlier take.')
  sub.add_argument('project', help='the folder of `dubber dub --project`')
  sub.add_argument('--line', type=int, required=True, help='its number')
  what = sub.add_mutually_exclusive_group()
  what.add_argument('--note', default='', help='what to do otherwise, as "softer, almost a whisper" (or in Chinese)')
  what.add_argument('--take', type=int, help='go back to this take')
  fit_option(sub, None, "that of the line's take in the film")
  planner_options(sub)

  sub = command('speak', run_speak, 'Speak a line, or one a row, without a film.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('--text', help='the line')
  what.add_argument('--lines', help='a text file, one line a row, or a script; -o is then a folder, for 001.wav on')
  sub.add_argument('--voice', required=True, help='a recording of the voice, or the name of a shipped one')
  sub.add_argument('--emotion', default='', help='angry, disgust, fear, happy, neutral, sad, surprise or others')
  sub.add_argument('-o', '--out', required=True, help='a wav, or a folder')
  fit_option(sub, None, 'lines last as long as they need, and times of a script do not count')
  model_options(sub)

  sub = command('demo', run_demo, 'Draw a talking character and dub it: needs no file.')
  sub.add_argument('-o', '--out', default='demo', help='folder for clip and dub (default: demo)')
  sub.add_argument('--text', default='I miss you so much every day.')
  sub.add_argument('--emotion', default='sad', help="the scene's mood, in which it is drawn")
  sub.add_argument('--voice', default='', help='a recording, or the name of a shipped voice')
  model_options(sub)

  sub = command('index', run_index, 'Build a footage library.')
  sub.add_argument('data', help='a JSON-lines list, a folder of clips with .txt or .srt beside, or a data root')
  sub.add_argument('-o', '--out', required=True, help='the library directory')
  sub.add_argument(
    '--only', action='append', default=[], metavar='FIELD=VALUE', help='rows of a list to take, as split=train_a'
  )
  sub.add_argument('--licence', default='', help="of the footage; stands in the library's manifest")
  sub.add_argument('--overwrite', action='store_true')

  sub = command('prepare', run_prepare, 'Make a data set to train on, of your own clips or as others published it.')
  sub.add_argument('data', help='clips with .srt or .txt beside, a folder a speaker; or what --set was unpacked into')
  sub.add_argument('-o', '--out', required=True, help='folder for data sets')
  sub.add_argument('--set', default='clip_folder', choices=DATA_SETS)
  sub.add_argument('--workers', type=int, default=2, help='processes')
  sub.add_argument(
    '--beam',
    metavar='OPTIONS',
    nargs='?',
    const='',
    help="by Apache Beam, with options as 'runner=DataflowRunner,project=mine'",
  )
  sub.add_argument('--overwrite', action='store_true', help='prepare again what has changed')

  sub = command('train', run_train, 'Train an experiment, or go on where it was stopped.')
  sub.add_argument('experiment', help='a file of experiments/')
  sub.add_argument('--arm', help='one arm (default: all, in order)')
  sub.add_argument('--workdir', help='default: runs/EXPERIMENT/ARM')
  sub.add_argument('--steps', type=int, help='train to this step')
  sub.add_argument('--minutes', type=float, help='stop after so long, and write the weights alone too')
  sub.add_argument('--init-from', help='start from the weights of a model directory, workdir or folder of weights')
  sub.add_argument('--profile', type=int, nargs='?', const=5, metavar='N', help='trace N steps (default 5) for XProf')
  sub.add_argument('--mesh', help="devices along each axis, as data=2,fsdp=4,tensor=1 (default: the experiment's)")
  sub.add_argument('--dry-run', action='store_true', help='print what a step would take; train nothing')
  sub.add_argument('--chip', default='v5e', help='for --dry-run: v5e, v5p, v6e or h200')
  sub.add_argument('--packed', help='folder of packed features; made if missing')
  sub.add_argument('--data', help='folder of published features, or of recordings, where an experiment asks for them')
  sub.add_argument('--library', help='footage library whose clips the director recalls (default: the shipped one)')
  sub.add_argument('--workers', type=int, default=2, help='processes that prepare features')

  sub = command('digest', run_digest, 'One hash each of the parameters, optimizer state and data position of a run.')
  sub.add_argument('workdir')
  sub.add_argument('--step', type=int, help='a kept step (default: the last)')

  sub = command('release', run_release, 'Make a model directory of a training run.')
  sub.add_argument('workdir', help='of a training run; or a model directory, whose other parts stay')
  sub.add_argument('-o', '--out', required=True)
  sub.add_argument('--best', action='store_true', help='the best step by what train.best names, not the last')
  sub.add_argument('--voices', nargs='*', default=(), metavar='NAME=RECORDING', help='voices to ship with it')
  sub.add_argument(
    '--vocoder',
    help="a vocoder's folder, or the workdir of one (default: that of the model the "
    'run went on from, else Griffin-Lim, which has no weights)',
  )
  sub.add_argument('--critic', help="a critic's folder, for the director to listen with (default: as the vocoder)")
  sub.add_argument('--card', help='a Markdown file: data, licence, figures')
  sub.add_argument('--overwrite', action='store_true')

  sub = command('convert', run_convert, 'Bring a published PyTorch checkpoint in, or take one out again.')
  sub.add_argument('checkpoint', help='a .safetensors, .pt or .pth file, or a folder that this command wrote')
  sub.add_argument('-o', '--out', help='the folder to write, or the file where it goes back to PyTorch')
  sub.add_argument('--to', choices=('jax', 'torch'), help='default: jax of a file, torch of a folder')
  sub.add_argument(
    '--kind',
    choices=('authentic-dubber', 'styledubber', 'bigvgan', 'hifigan', 'ge2e'),
    help='default: found by the names of its tensors',
  )
  sub.add_argument('--config', help="of a vocoder: a config.json or a published one's name (default: the one beside)")
  sub.add_argument('--dry-run', action='store_true', help='only say where each tensor would go')
  sub.add_argument('--trust-pickle', action='store_true', help='let the file run what it wants; needs PyTorch')
  sub.add_argument('--overwrite', action='store_true', help='replace what exists')

  sub = command('check', run_check, "Compare this program with the published one's outputs in a parity fixture.")
  sub.add_argument('fixture', help='an .npz of inputs, outputs and weights')

  sub = command('evaluate', run_evaluate, 'Run a benchmark: perform and judge what is missing, then one report.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument('experiment', nargs='?', help='a file of experiments/ with an evaluation, as gains.py')
  what.add_argument('--compare', nargs=2, metavar='JSON', help='tell two reports apart, or say that they cannot be')
  sub.add_argument('-o', '--out', help='folder of the report (default: runs/evaluate/report)')
  sub.add_argument(
    '--work',
    help='folder for sounds and judgements, which the next run finds again, of this and '
    'other experiments (default: runs/evaluate)',
  )
  sub.add_argument('--model', help='model directory that all arms share or start from (default: the shipped one)')
  sub.add_argument('--library', help='footage library (default: the shipped one)')
  sub.add_argument('--limit', type=int, help='at most so many clips, spread over the test set')
  sub.add_argument('--seeds', type=int, default=3, help='takes of every clip (default: 3)')
  sub.add_argument('--train-steps', type=int, help="of each arm's emotion path (default: the experiment's; gains: 0)")
  sub.add_argument(
    '--settings',
    nargs='+',
    choices=('1.0', '2.0', '3.0'),
    help='of dubbing, for an experiment that compares them (default: 2.0 3.0)',
  )
  sub.add_argument('--workers', type=int, default=1, help='processes; each takes about 3 GiB (default: 1)')
  sub.add_argument('--share', help=argparse.SUPPRESS)  # i/n: what --workers gives each of its processes

  sub = command('listening-test', run_listening_test, 'Let people rate systems, on a page that needs no server.')
  what = sub.add_mutually_exclusive_group(required=True)
  what.add_argument(
    'items',
    nargs='?',
    help='a folder with a folder of sounds a system and lines.jsonl, or a JSON '
    'list of {"text", "emotion", "sounds": {system: file}}',
  )
  what.add_argument('--score', nargs='+', metavar='ANSWERS', help='make a table of what listeners sent back')
  sub.add_argument('-o', '--out', required=True, help='the page, as test.html; with --score the table, as table.md')
  sub.add_argument(
    '--key',
    help='which sound is which, a file of its own (default: OUT.key.json; with --score the one beside the answers)',
  )
  sub.add_argument('--title', default='Listening test', help='what listeners see; name no system')
  sub.add_argument('--seed', type=int, default=0, help='draws who hears what, in which order')
  sub.add_argument('--lines', type=int, default=12, help='lines that each listener hears of every system (default 12)')
  sub.add_argument(
    '--sections',
    nargs='+',
    default=('naturalness', 'emotion', 'preference'),
    metavar='SECTION',
    help='of naturalness, emotion, preference (default: all)',
  )
  sub.add_argument('--beside', action='store_true', help='sounds in a folder beside the page, not in it')
  sub.add_argument('--overwrite', action='store_true', help='replace what exists')

  sub = command('export', run_export, 'Make a serving artifact: weights and programs that need no training code.')
  sub.add_argument('checkpoint', help='a model directory, or the workdir of a training run')
  sub.add_argument('-o', '--out', required=True, help='the artifact, a folder')
  sub.add_argument(
    '--buckets',
    nargs='*',
    type=int,
    default=(),
    metavar='FRAMES',
    help="longest lines to compile for, in mel frames of 11.6 ms (default: the config's)",
  )
  sub.add_argument('--platforms', nargs='*', default=('cpu', 'cuda', 'tpu'), help='default: cpu cuda tpu')
  sub.add_argument('--vocoder', help="a vocoder's folder, in place of the model's own")
  sub.add_argument('--onnx', metavar='PYTHON', help='programs for onnxruntime too, by a Python that has jax2onnx')
  sub.add_argument('--overwrite', action='store_true')
  return parser


def _open(given):
  """-> model and library, as the options say."""
  import dataclasses

  from dubber_jax.dubbing.line import library_features
  from dubber_jax.inference.model_directory import load
  from dubber_jax.retrieval.library import Library

  model = load(given.model)
  _tell_terms(model.path)
  if given.director == 'off':
    director = dataclasses.replace(model.config.director, enabled=False)
    model = dataclasses.replace(model, config=model.config.replace(director=director))
  library = None
  if model.config.director.enabled:
    library = Library.open(given.library, library_features())
  return model, library


def _tell_terms(path):
  """Says what a model may be used for, the first time that it is."""
  import contextlib

  from dubber_jax.inference.model_directory import terms
  from dubber_jax.storage.cache import cache_folder, digest

  said, folder = terms(path), cache_folder()
  told = folder and folder / 'terms' / digest(said)
  if not said or (told and told.exists()):
    return
  print(f'terms of {path.name}: {said}', file=sys.stderr)
  if told:
    with contextlib.suppress(OSError):
      told.parent.mkdir(parents=True, exist_ok=True)
      told.touch()


def _rehearsal(given) -> dict:
  """How a line is rehearsed, as the options say."""
  for name, least, most in (('rounds', 1, 20), ('candidates', 1, 64), ('fit_steps', 0, 1000)):
    if not least <= getattr(given, name) <= most:
      raise BadInput(f'--{name.replace("_", "-")} {getattr(given, name)}: give a number from {least} to {most}')
  from dubber_jax.director.llm_planner import open_planner

  planner = open_planner(given.planner, given.planner_model)
  return {'rounds': given.rounds, 'candidates': given.candidates, 'planner': planner}


def _lexicon(given):
  from dubber_jax.script.g2p import read_lexicon

  return read_lexicon(given.lexicon) if given.lexicon else None


def run_dub(given):
  from dubber_jax.dubbing.cast import cast_lines, read_cast, read_names
  from dubber_jax.dubbing.film import dub
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.subtitles import parse_line, read_lines

  if not (given.voice or given.cast):
    raise BadInput('nobody speaks: give --voice, or a --cast')
  how = _rehearsal(given)
  lines = [parse_line(given.text)] if given.text is not None else list(read_lines(given.script, overlap=True))
  if given.cast:
    lines = cast_lines(lines, read_names(given.cast))
  lexicon = _lexicon(given)
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps) if given.voice else None
  if given.cast:
    voice = read_cast(given.cast, lines, model.voices, voice, model, given.fit_steps)
  result = dub(
    given.film,
    lines,
    voice,
    given.out,
    model,
    library,
    given.overwrite,
    given.json,
    not given.no_report,
    given.face,
    lexicon,
    given.search,
    background=given.background,
    project=given.project,
    directions=given.directions,
    guide=given.guide,
    fit=given.fit,
    **how,
  )
  for path in result['files'].values():
    print(path)


def run_redo(given):
  from dubber_jax.director.llm_planner import open_planner
  from dubber_jax.director.notes.apply import parse
  from dubber_jax.dubbing.film import redo
  from dubber_jax.dubbing.project import opened

  read_note = getattr(open_planner(given.planner, given.planner_model), 'parse', parse)

  with opened(given.project) as project:
    facts = project.facts
    project.check_line(given.line)
  model = library = None
  if given.take is None:
    options = argparse.Namespace(
      model=facts['model'], library=facts['library'] or None, director='on' if facts['director'] else 'off'
    )
    model, library = _open(options)
  result = redo(given.project, given.line, model, library, given.note, given.take, read_note, fit=given.fit)
  for path in result['files'].values():
    print(path)


def run_speak(given):
  from dubber_jax.dubbing.speak import speak
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.subtitles import parse_line, read_lines
  from dubber_jax.storage.atomic import check_output, write_json

  how = _rehearsal(given)
  if given.text is not None:
    lines, outs = [parse_line(given.text)], [Path(given.out)]
  else:
    script = Path(given.lines).suffix.lower() in ('.srt', '.vtt', '.ass', '.ssa', '.fountain')
    lines = list(read_lines(given.lines)) if script else [parse_line(row) for row in _read_rows(given.lines)]
    outs = [Path(given.out) / f'{i:03d}.wav' for i in range(1, len(lines) + 1)]
  if given.json:
    check_output(Path(given.json), given.overwrite)
  lexicon = _lexicon(given)
  model, library = _open(given)
  voice = find_voice(given.voice, model.voices, model, given.fit_steps)
  if given.lines:
    Path(given.out).mkdir(parents=True, exist_ok=True)
  results = speak(lines, voice, outs, model, library, given.overwrite, lexicon, given.emotion, fit=given.fit, **how)
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


def run_demo(given):
  from dubber_jax.demo.cartoon import draw_cartoon
  from dubber_jax.dubbing.film import dub
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.media.video import write_silent_clip
  from dubber_jax.storage.atomic import check_output
  from dubber_jax.types import EMOTIONS, Line

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
  result = dub(
    clip,
    [Line(given.text)],
    voice,
    dubbed,
    model,
    library,
    given.overwrite,
    given.json,
    lexicon=_lexicon(given),
    search=given.search,
  )
  for path in result['files'].values():
    print(path)


def run_index(given):
  from dubber_jax.retrieval.build import build_library

  pairs = dict(pair.partition('=')[::2] for pair in given.only)
  if not all(pairs.values()):
    raise BadInput('--only takes FIELD=VALUE, as split=train_a')
  build_library(given.data, given.out, overwrite=given.overwrite, only=pairs or None, licence=given.licence)


def run_prepare(given):
  from data_pipelines.prepare import prepare

  folder, skipped = prepare(given.set, given.data, given.out, given.workers, given.beam, given.overwrite)
  if skipped:
    print(f'{len(skipped)} skipped, listed in {folder / "skipped.jsonl"}; the first: {skipped[0]["why"]}')
  print(folder)


def run_train(given):
  from dubber_jax.training.distributed import init_distributed, is_primary
  from dubber_jax.training.experiment import read_experiment

  if not given.dry_run:
    init_distributed()
  experiment = read_experiment(given.experiment)
  arms = experiment.arms
  if given.arm and given.arm not in arms:
    raise BadInput(f'{given.experiment} has no arm {given.arm!r}: it has {", ".join(arms)}')
  if given.workdir and not given.arm and len(arms) > 1:
    raise BadInput(f'--workdir holds one run: name an --arm of {", ".join(arms)} too')
  for name in [given.arm] if given.arm else arms:
    config = _with_options(arms[name], given)
    if experiment.complete:
      config = experiment.complete(config)
    if given.dry_run:
      _dry_run(name, config, experiment, given)
      continue
    workdir = given.workdir or Path('runs') / Path(given.experiment).stem / name
    if is_primary():
      print(f'training {name} in {workdir}')
    state = _train(config, workdir, experiment, given)
    if is_primary():
      print(f'{name}: at step {int(state.step)}')


def _with_options(config, given):
  """The config as the command line changes it. The schedule stays, so that N steps and N more are 2 N."""
  import dataclasses

  for name in ('steps', 'minutes', 'profile'):
    if getattr(given, name) is not None and getattr(given, name) <= 0:
      raise BadInput(f'--{name} {getattr(given, name)}: give a number above 0')
  if (given.steps or 0) > config.train.steps:
    print(
      f'the schedule of {config.name} ends at step {config.train.steps}: from there on the rate stays as it is '
      'there; for a longer schedule set train.steps in the experiment',
      file=sys.stderr,
    )
  wanted = {'stop': given.steps, 'minutes': given.minutes, 'profile': given.profile, 'init_from': given.init_from}
  changes = {name: value for name, value in wanted.items() if value is not None}
  if given.mesh:
    from dubber_jax.training.sharding import read_mesh

    config = config.replace(mesh=read_mesh(given.mesh))
  data = dataclasses.replace(config.data, packed=given.packed or config.data.packed)
  return config.with_tree(given.data).replace(data=data, train=dataclasses.replace(config.train, **changes))


def _dry_run(name, config, experiment, given):
  from dubber_jax.training.planning.accelerators import find_accelerator
  from dubber_jax.training.planning.dry_run import dry_run, example_batch, report, simulate_devices
  from dubber_jax.training.tasks.actor import voice_task

  chip = find_accelerator(given.chip)
  simulate_devices(config.mesh)
  task = experiment.task(config) if experiment.task else voice_task(config)
  batch = example_batch(config, experiment.batches)
  print(f'{name}, nothing is trained; a batch of {len(next(iter(batch.values())))} items')
  for line in report(dry_run(config, task, batch, chip), config, chip):
    print(line)


def _train(config, workdir, experiment, given):
  if experiment.batches:
    from dubber_jax.training.distributed import host_share
    from dubber_jax.training.loop import train
    from dubber_jax.training.sharding import make_mesh
    from dubber_jax.training.weight_export import initial_weights

    batches = experiment.batches(config, host_share(make_mesh(config.mesh)))
    _list_skipped(getattr(batches, 'skipped', ()), workdir)
    initial = initial_weights(config, workdir)
    on_eval = _on_eval(config, experiment) if experiment.evaluate else None
    return train(config, experiment.task(config), batches, workdir, initial, on_eval=on_eval)

  from data_pipelines.pack import pack_sources
  from dubber_jax.data.director_inputs import make_director_inputs
  from dubber_jax.export import at_start
  from dubber_jax.training.tasks.actor import train_voice

  folders = pack_sources(config.data.sources, config.data.packed, given.workers)
  readings = None
  if config.data.readings:
    sentences = Path(given.experiment).with_name('text_emotion.txt')
    readings = make_director_inputs(config, given.library, sentences if sentences.exists() else None)
  return train_voice(config, workdir, folders, readings, on_start=at_start(config, workdir))


def _on_eval(config, experiment):
  """What training calls to evaluate: every host does it all, on one device, since none holds the batch of another."""
  import jax

  from dubber_jax.training.distributed import gather_to_host

  def on_eval(state, step):
    variables = gather_to_host({'params': state.ema, **state.extra})
    return experiment.evaluate(config, jax.device_put(variables, jax.local_devices()[0]))

  return on_eval


def _list_skipped(rows, workdir):
  """Clips that cannot be trained on, with the reasons, in the workdir's skipped.jsonl."""
  from dubber_jax.training.distributed import is_primary

  if rows and is_primary():
    import json

    path = Path(workdir) / 'skipped.jsonl'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows), encoding='utf-8')
    print(f'{len(rows)} clips are left out, listed in {path}; the first: {rows[0]["why"]}')


def run_digest(given):
  from dubber_jax.training.checkpoints import digest

  for name, value in digest(given.workdir, given.step).items():
    print(f'{name:10s} {value}')


def run_release(given):
  import tempfile

  from dubber_jax.inference.model import Model
  from dubber_jax.inference.model_directory import load, open_vocoder, write_model_directory
  from dubber_jax.inference.speaker_adaptation import SENTENCE
  from dubber_jax.inference.synthesis import synthesize
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.g2p import phonemize
  from dubber_jax.training.checkpoints import best_step, load_weights, read_config
  from dubber_jax.training.task import drop_discriminators
  from dubber_jax.types import Voice
  from dubber_jax.vocoder.griffin_lim import GriffinLim

  if Path(given.out).exists() and not given.overwrite:
    raise BadInput(f'{given.out} exists: give --overwrite to replace it, or another folder')
  voices = {}
  if (Path(given.workdir) / 'MANIFEST.json').exists():  # a model directory, of which parts are replaced
    base, former = Path(given.workdir), load(given.workdir)
    config, params, voices = former.config, former.params, dict(former.voices)
  else:
    step, params = load_weights(given.workdir, step=best_step(given.workdir) if given.best else None)
    config, params = read_config(given.workdir), drop_discriminators(params)
    base = Path(config.train.init_from or '.')
    base = base if (base / 'MANIFEST.json').exists() else None  # the model directory that the run went on from
  critic = given.critic or (base and (base / 'critic').is_dir() and base / 'critic')
  scratch = tempfile.TemporaryDirectory()
  vocoder = _vocoder_folder(given.vocoder, scratch.name) if given.vocoder else base and base / 'vocoder'
  model = Model(config, params, open_vocoder(Path(vocoder)) if vocoder else GriffinLim(), {}, Path(given.workdir))
  for pair in given.voices:
    name, _, path = pair.partition('=')
    if not path:
      raise BadInput(f'--voices {pair}: write NAME=RECORDING')
    voice = find_voice(path, {})
    # The reference that ships is spoken by the model itself, so that no recording goes along.
    take = synthesize(model, phonemize(SENTENCE), voice, None)
    voices[name] = Voice(voice.embedding, take.mel[: len(voice.reference_mel)], name)
  if base == Path(given.workdir):
    card = (base / 'CARD.md').read_text(encoding='utf-8')
  else:
    card = f'# {config.name}\n\nStep {step}.\n'
  if base and base != Path(given.workdir):
    card += f'\nMade from the following model, on its terms.\n\n{(base / "CARD.md").read_text(encoding="utf-8")}'
  if given.card:
    card = Path(given.card).read_text(encoding='utf-8')
  with scratch:
    write_model_directory(given.out, config, params, voices, card, given.overwrite, vocoder=vocoder, critic=critic)
  print(given.out)


def _vocoder_folder(path, scratch) -> Path:
  """The folder of a vocoder; of the workdir that one was trained in, it is written into `scratch`."""
  from dubber_jax.training.checkpoints import is_workdir, load_weights, read_config
  from dubber_jax.training.tasks.vocoder import generator_config
  from dubber_jax.vocoder.neural import NeuralVocoder, write_vocoder

  if not is_workdir(path):
    return Path(path)
  config, params = read_config(path), load_weights(path)[1]
  if config.task != 'vocoder':
    raise BadInput(f'{path} is a run of {config.name}, which is no vocoder')
  write_vocoder(NeuralVocoder('source-filter', generator_config(config), params['generator']), scratch, 'bfloat16')
  return Path(scratch)


def run_convert(given):
  from dubber_jax.convert.kinds import survey_checkpoint, torch_state, write_torch

  to_torch = given.to == 'torch' or (given.to is None and Path(given.checkpoint).is_dir())
  if not given.out and not given.dry_run:
    raise BadInput('say where to write by -o, or give --dry-run')
  if to_torch:
    if given.dry_run:
      for key, array in torch_state(given.checkpoint)[1].items():
        print(f'mapped       {key}  {array.shape}')
    else:
      print(f'{given.out}: {write_torch(given.checkpoint, given.out, given.overwrite)}')
    return
  conversion = survey_checkpoint(given.checkpoint, given.kind, given.config, given.trust_pickle)
  for key, status, detail in conversion.rows:
    if given.dry_run or status not in ('mapped', 'dead'):
      print(f'{status:11}  {key}  {detail}')
  counts = ', '.join(f'{n} {status}' for status, n in conversion.counts.items())
  print(f'{given.checkpoint}: {conversion.kind}: {counts}')
  conversion.check()
  if not given.dry_run:
    conversion.save(given.out, given.overwrite)
    print(given.out)


def run_check(given):
  from dubber_jax.convert.parity import compare

  rows = compare(given.fixture)
  width = max(len(row.output) for row in rows)
  for row in rows:
    verdict = 'ok' if row.within else 'FAIL'
    note = '' if row.exact_share is None else f'; {row.exact_share:.2f} in float64'
    print(f'{verdict:4}  {row.output:{width}}  largest error {row.error:.2e}, {row.share:.2f} of the tolerance{note}')
  passed = sum(row.within for row in rows)
  print(f'{given.fixture}: {passed} of {len(rows)} outputs within tolerance')
  return 0 if passed == len(rows) else 1


def run_evaluate(given):
  if given.compare:
    from dubber_jax.evaluation.benchmark.tables import compare, table

    print(table(compare(*given.compare)))
    return
  from dubber_jax.dubbing.line import library_features
  from dubber_jax.evaluation.benchmark.evaluate import evaluate, run_shares, take_cores
  from dubber_jax.inference.model_directory import load
  from dubber_jax.retrieval.library import Library
  from dubber_jax.training.experiment import read_experiment

  share = tuple(map(int, given.share.split('/'))) if given.share else None
  if share:
    take_cores(share)  # before anything has threads
  if given.workers < 1 or (given.train_steps or 0) < 0:
    raise BadInput(f'--workers {given.workers} --train-steps {given.train_steps or 0}: give 1 or more, and 0 or more')
  experiment = read_experiment(given.experiment)
  if experiment.evaluation is None:
    raise BadInput(f'{given.experiment} has no evaluation(base, steps): it is an experiment to train, not a benchmark')
  base = load(given.model)
  asked = {'steps': given.train_steps, 'settings': given.settings}
  asked = {name: value for name, value in asked.items() if value is not None}
  if given.settings and 'settings' not in inspect.signature(experiment.evaluation).parameters:
    raise BadInput(f'{given.experiment} compares no settings of dubbing: leave --settings out')
  evaluation = experiment.evaluation(base, **asked)
  work = Path(given.work or Path('runs') / 'evaluate')
  library = Library.open(given.library, library_features())
  command = ['evaluate', given.experiment, '--work', str(work)]
  for name in ('model', 'library', 'limit', 'seeds', 'train_steps'):
    if getattr(given, name) is not None:
      command += [f'--{name.replace("_", "-")}', str(getattr(given, name))]
  command += ['--settings', *given.settings] if given.settings else []
  report = evaluate(
    evaluation,
    base,
    library,
    work,
    given.out or work / 'report',
    given.limit,
    given.seeds,
    share=share,
    first=lambda: run_shares(command, given.workers) if given.workers > 1 and not share else None,
  )
  if report:
    print(report.with_suffix('.md').read_text(encoding='utf-8'))
    print(report)


def run_listening_test(given):
  from dubber_jax.evaluation.listening_test.page import read_items, write_test
  from dubber_jax.evaluation.listening_test.scores import find_key, score, write_table

  if given.score:
    scores = score(given.score, given.key or find_key(given.score))
    table, _ = write_table(scores, given.out, given.overwrite)
    print(table.read_text(encoding='utf-8'), end='')
    return
  items = read_items(given.items)
  key = write_test(
    items, given.out, given.key, given.title, given.seed, given.lines, given.sections, given.beside, given.overwrite
  )
  print(f'{given.out}: send this to listeners')
  print(f'{key}: keep this')


def run_export(given):
  from dubber_jax.export import export

  export(given.checkpoint, given.out, given.buckets, given.platforms, given.vocoder, given.onnx, given.overwrite, print)
  print(given.out)
