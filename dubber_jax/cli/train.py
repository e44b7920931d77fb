"""The commands `train`, `digest` and `release`: training runs, and model directories made of them."""

import argparse
import json
import sys
import time
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.cli.interrupts import ended_at_once
from dubber_jax.errors import BadInput

SETTINGS = (
  'Any setting of the experiment can follow these options by its dotted name, as --train.learning-rate 3e-4 '
  '--task.actor.width 128; `dubber train EXPERIMENT --help` lists them.'
)


def add_commands(command: AddCommand):
  _add_train(command)
  _add_digest(command)
  _add_goodput(command)
  _add_release(command)


def _add_train(command):
  text = 'Train an experiment, or go on where it was stopped.'
  sub = command('train', run_train, text, add_help=False, epilog=SETTINGS)
  sub.set_defaults(overrides=())
  sub.add_argument(
    '-h', '--help', action=_Help, nargs=0, help='show this help message, after EXPERIMENT with its settings, and exit'
  )
  sub.add_argument('experiment', help='a file of experiments/')
  sub.add_argument('--arm', help='one arm (default: all, in order)')
  sub.add_argument('--workdir', help='default: runs/EXPERIMENT/ARM')
  sub.add_argument('--steps', type=int, help='train to this step')
  sub.add_argument('--minutes', type=float, help='stop after so long, and write the weights alone too')
  sub.add_argument('--init-from', help='start from the weights of a model directory, workdir or folder of weights')
  sub.add_argument(
    '--profile',
    nargs='?',
    const='5',
    metavar='N|FIRST:LAST',
    help='trace N steps (default 5) after the first three, or the steps FIRST to LAST, for XProf',
  )
  sub.add_argument('--mesh', help="devices along each axis, as data=2,fsdp=4,tensor=1 (default: the experiment's)")
  sub.add_argument(
    '--dry-run', action='store_true', help='print what a step would take; train nothing (default arm: the first)'
  )
  sub.add_argument('--parameters', action='store_true', help='with --dry-run: list every parameter too')
  sub.add_argument(
    '--compile-for', metavar='TOPOLOGY', help='compile the step for TPUs that are not here, as v5e:4x4; train nothing'
  )
  sub.add_argument('--chip', default='v5e', help='for --dry-run: v5e, v5p, v6e or h200')
  sub.add_argument('--packed', help='folder of packed features; made if missing')
  sub.add_argument('--data', help='folder of published features, or of recordings, where an experiment asks for them')
  sub.add_argument('--library', help='footage library whose clips the director recalls (default: the shipped one)')
  sub.add_argument('--workers', type=int, default=2, help='processes that prepare features')


class _Help(argparse.Action):
  """--help, which lists the settings too where an experiment has been given before it."""

  def __call__(self, parser, given, values, option=None):
    parser.print_help()
    if given.experiment:
      from dubber_jax.cli.overrides import list_settings

      arms = _arms(given, _read(given))
      name, config = next(iter(arms.items()))
      print(f'\nsettings of {given.experiment}, with the values of arm {name}:\n\n{list_settings(config)}')
    parser.exit()


def _read(given):
  from dubber_jax.training.experiment import read_experiment

  return read_experiment(given.experiment)


def _arms(given, experiment) -> dict:
  """The arms that are asked for: one, or all."""
  if given.arm and given.arm not in experiment.arms:
    raise BadInput(f'{given.experiment} has no arm {given.arm!r}: it has {", ".join(experiment.arms)}')
  return {given.arm: experiment.arms[given.arm]} if given.arm else experiment.arms


def _compile_for(given: argparse.Namespace):
  from dubber_jax.training.planning import compile_for

  compile_for.read_topology(given.compile_for)
  compile_for.prepare_process()
  devices = compile_for.topology_devices(given.compile_for)
  warning = compile_for.other_version()
  if warning:
    print(warning, file=sys.stderr)
  from dubber_jax.training.planning.dry_run import example_batch
  from dubber_jax.training.tasks.actor import voice_task

  experiment = _read(given)
  name, config = next(iter(_arms(given, experiment).items()))
  config = _completed(config, experiment, given)
  mesh = compile_for.mesh_for(given.compile_for, config, devices, bool(given.mesh))
  config = config.replace(mesh=mesh)
  batch = experiment.example(config) if experiment.example else example_batch(config, experiment.batches)
  task = experiment.task(config) if experiment.task else voice_task(config)
  print(f'{name}: compiling for {given.compile_for}; this takes minutes', file=sys.stderr)
  if other_arms := _other_arms(given, experiment, name):
    print(other_arms, file=sys.stderr)
  for line in compile_for.report(name, compile_for.compile_step(config, task, batch, given.compile_for, devices)):
    print(line, flush=True)


def _other_arms(given, experiment, name: str) -> str:
  """A line that names the other arms where none was asked for, else ''."""
  others = [other for other in experiment.arms if other != name]
  return f'this is the first arm; --arm names another: {", ".join(others)}' if others and not given.arm else ''


def run_train(given: argparse.Namespace):
  from dubber_jax.storage.distinct import check_distinct
  from dubber_jax.training import goodput
  from dubber_jax.training.distributed import init_distributed, is_primary

  if given.compile_for or given.dry_run:
    with ended_at_once():
      return _compile_for(given) if given.compile_for else _dry_run(given)
  goodput.count_from(goodput.process_began())
  with goodput.initialization():
    init_distributed()
    is_primary()  # which finds the devices
  experiment = _read(given)
  arms = _arms(given, experiment)
  if given.workdir and len(arms) > 1:
    raise BadInput(f'--workdir holds one run: name an --arm of {", ".join(arms)} too')
  for name, config in arms.items():
    config = _completed(config, experiment, given)
    workdir = given.workdir or Path('runs') / Path(given.experiment).stem / name
    inputs = {'the experiment': given.experiment, '--init-from': config.train.init_from, '--library': given.library}
    check_distinct({what: path for what, path in inputs.items() if path}, {'--workdir': workdir})
    if is_primary():
      print(f'training {name} in {workdir}')
    state = _train(config, workdir, experiment, given)
    if is_primary():
      print(f'{name}: at step {int(state.step)}')
      found = goodput.read_goodput(workdir)
      for line in found.lines() if found else ():
        print(line)
    goodput.count_from(time.time())


def _completed(config, experiment, given):
  """The config of an arm with the options of the command line and what follows from them."""
  from dubber_jax.training.config import profile_window

  config = _with_options(config, given)
  if experiment.complete:
    config = experiment.complete(config)
  profile_window(config.train)
  return config


def _with_options(config, given):
  """The config as the command line changes it: single settings first, then the options. `--steps` leaves the schedule
  as it is, so that N steps and N more are 2 N."""
  import dataclasses

  from dubber_jax.cli.overrides import override

  for name in ('steps', 'minutes'):
    if getattr(given, name) is not None and getattr(given, name) <= 0:
      raise BadInput(f'--{name} {getattr(given, name)}: give a number above 0')
  config = override(config, given.overrides)
  if (given.steps or 0) > config.train.steps:
    print(
      f'the schedule of {config.name} ends at step {config.train.steps}: from there on the rate stays as it is '
      'there; for a longer schedule set --train.steps',
      file=sys.stderr,
    )
  if given.profile == '0':
    raise BadInput('--profile 0: give a number above 0')
  wanted = {'stop': given.steps, 'minutes': given.minutes, 'profile': given.profile, 'init_from': given.init_from}
  changes = {name: value for name, value in wanted.items() if value is not None}
  config = config.replace(train=dataclasses.replace(config.train, **changes))
  if given.mesh:
    from dubber_jax.training.sharding import read_mesh

    config = config.replace(mesh=read_mesh(given.mesh))
  if given.packed and hasattr(config.task, 'data'):
    config = config.with_task(data=dataclasses.replace(config.task.data, packed=given.packed))
  return config.with_data(given.data)


def _dry_run(given):
  from dubber_jax.training.planning.accelerators import find_accelerator
  from dubber_jax.training.planning.dry_run import dry_run, example_batch, report
  from dubber_jax.training.tasks.actor import voice_task

  chip = find_accelerator(given.chip)
  experiment = _read(given)
  name, config = next(iter(_arms(given, experiment).items()))
  config = _completed(config, experiment, given)
  task = experiment.task(config) if experiment.task else voice_task(config)
  batch = experiment.example(config) if experiment.example else example_batch(config, experiment.batches)
  print(f'{name}, nothing is trained; a batch of {len(next(iter(batch.values())))} items')
  if other_arms := _other_arms(given, experiment, name):
    print(other_arms)
  for line in report(dry_run(config, task, batch, chip), config, chip, given.parameters):
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

  import jax

  from data_pipelines.pack import pack_sources
  from dubber_jax.data.director_inputs import make_director_inputs
  from dubber_jax.export import at_start
  from dubber_jax.training.tasks.actor import train_voice

  folders = pack_sources(config.task.data.sources, config.task.data.packed, given.workers)
  director_inputs = None
  if config.task.data.director_inputs:
    sentences = Path(given.experiment).resolve().parents[1] / 'data' / 'text_emotion.txt'
    director_inputs = make_director_inputs(config, given.library, sentences if sentences.exists() else None)
  # On several processes the others would wait for the one that exports: there it is a step of its own.
  on_start = at_start(config, workdir) if jax.process_count() == 1 else None
  return train_voice(config, workdir, folders, director_inputs, on_start=on_start)


def _on_eval(config, experiment):
  """What training calls to evaluate: every host does it all, on one device, since none holds the batch of another."""
  import jax

  from dubber_jax.training.distributed import gather_to_host

  def on_eval(state, step):
    variables = gather_to_host({'params': state.ema, **state.collections})
    return experiment.evaluate(config, jax.device_put(variables, jax.local_devices()[0]))

  return on_eval


def _list_skipped(rows, workdir):
  """Clips that cannot be trained on, with the reasons, in the workdir's skipped.jsonl."""
  from dubber_jax.training.distributed import is_primary

  if rows and is_primary():
    from dubber_jax.storage.atomic import atomic_file, disk_errors

    path = Path(workdir) / 'skipped.jsonl'
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(path), atomic_file(path) as partial:
      partial.write_text(''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows), encoding='utf-8')
    print(f'{len(rows)} clips are left out, listed in {path}; the first: {rows[0]["why"]}')


def _add_digest(command):
  sub = command('digest', run_digest, 'One hash each of the parameters, optimizer state and data position of a run.')
  sub.add_argument('workdir')
  sub.add_argument('--step', type=int, help='a kept step (default: the last)')


def run_digest(given: argparse.Namespace):
  from dubber_jax.training.checkpoints import digest

  for name, value in digest(given.workdir, given.step).items():
    print(f'{name:10s} {value}')


def _add_goodput(command):
  text = 'Share of the wall time of a run, over all its restarts, that went into its steps, and the rest by cause.'
  sub = command('goodput', run_goodput, text)
  sub.add_argument('workdir')
  sub.add_argument('--as-json', action='store_true', help='as one JSON object')


def run_goodput(given: argparse.Namespace):
  from dubber_jax.training.goodput import read_goodput

  found = read_goodput(given.workdir)
  if found is None:
    raise BadInput(
      f'{given.workdir}: no goodput.jsonl here; give the --workdir of a training run that has logged a row'
    )
  for line in [json.dumps(found.to_json())] if given.as_json else found.lines():
    print(line)


def _add_release(command):
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


def run_release(given: argparse.Namespace):
  import tempfile

  from dubber_jax.config import ActorTask
  from dubber_jax.inference.model import Model
  from dubber_jax.inference.model_directory import MARKS, ModelContents, load, open_vocoder, write_model_directory
  from dubber_jax.inference.speaker_adaptation import SENTENCE
  from dubber_jax.inference.synthesis import LineInputs, synthesize
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.script.g2p import phonemize
  from dubber_jax.storage.atomic import check_folder
  from dubber_jax.storage.distinct import check_distinct
  from dubber_jax.training.checkpoints import best_step, load_weights, read_config
  from dubber_jax.training.task import drop_discriminators
  from dubber_jax.types import Voice
  from dubber_jax.vocoder.griffin_lim import GriffinLim

  recordings = dict(_named_recording(pair) for pair in given.voices)
  inputs = {'the run': given.workdir, '--vocoder': given.vocoder, '--critic': given.critic, '--card': given.card}
  check_distinct(inputs | {'a recording of --voices': list(recordings.values())}, {}, {'-o': given.out})
  check_folder(given.out, given.overwrite, MARKS)
  card_text = _text(given.card) if given.card else None
  voices = {}
  if (Path(given.workdir) / 'MANIFEST.json').exists():  # a model directory, of which parts are replaced
    base, former = Path(given.workdir), load(given.workdir)
    config, params, voices = former.config, former.params, dict(former.voices)
  else:
    step, params = load_weights(given.workdir, step=best_step(given.workdir) if given.best else None)
    config, params = read_config(given.workdir), drop_discriminators(params)
    if not isinstance(config.task, ActorTask):
      raise BadInput(f'{given.workdir} trains a {config.task.kind}; a model directory is made of an actor')
    base = Path(config.train.init_from or '.')
    if not (base / 'MANIFEST.json').exists():  # there is no model directory that the run went on from
      base = None
  critic = given.critic or (base and (base / 'critic').is_dir() and base / 'critic')
  scratch = tempfile.TemporaryDirectory()
  vocoder = _vocoder_folder(given.vocoder, scratch.name) if given.vocoder else base and base / 'vocoder'
  model = Model(config, params, open_vocoder(Path(vocoder)) if vocoder else GriffinLim(), {}, Path(given.workdir))
  for name, path in recordings.items():
    voice = find_voice(path, {})
    # The reference that ships is spoken by the model itself, so that no recording goes along.
    take = synthesize(model, LineInputs(phonemize(SENTENCE), voice))
    voices[name] = Voice(voice.embedding, take.mel[: len(voice.reference_mel)], name)
  if base is not None and base == Path(given.workdir):
    card = _text(base / 'CARD.md')
  else:
    card = f'# {config.name}\n\nStep {step}.\n'
  if base and base != Path(given.workdir):
    card += f'\nMade from the following model, on its terms.\n\n{_text(base / "CARD.md")}'
  card = card if card_text is None else card_text
  with scratch:
    contents = ModelContents(config, params, voices, card, vocoder, critic)
    write_model_directory(given.out, contents, given.overwrite, opened=True)
  print(given.out)


def _named_recording(pair: str) -> tuple[str, str]:
  name, _, path = pair.partition('=')
  if not name or not path:
    raise BadInput(f'--voices {pair}: write NAME=RECORDING')
  if '/' in name:
    raise BadInput(f'--voices {pair}: a name of a voice holds no /')
  return name, path


def _text(path) -> str:
  try:
    return Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as e:
    raise BadInput(f'{path}: cannot be read ({e}); give a text file in UTF-8') from e


def _vocoder_folder(path, scratch) -> Path:
  """The folder of a vocoder; of the workdir that one was trained in, it is written into `scratch`."""
  from dubber_jax.config import VocoderTask
  from dubber_jax.training.checkpoints import is_workdir, load_weights, read_config
  from dubber_jax.training.tasks.vocoder import generator_config
  from dubber_jax.vocoder.neural import NeuralVocoder, write_vocoder

  if not is_workdir(path):
    return Path(path)
  config, params = read_config(path), load_weights(path)[1]
  if not isinstance(config.task, VocoderTask) or 'generator' not in params:
    raise BadInput(f'{path} is a run of {config.name}, which is no vocoder')
  write_vocoder(NeuralVocoder('source-filter', generator_config(config), params['generator']), scratch, 'bfloat16')
  return Path(scratch)
