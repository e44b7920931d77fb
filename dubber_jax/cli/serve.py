"""The commands `serve` and `desk`, and `export` for artifacts that are served."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dubber_jax.cli import AddCommand

if TYPE_CHECKING:
  from dubber_jax.serving.settings import ServerSettings


def add_commands(command: AddCommand):
  _add_serve(command)
  _add_desk(command)
  _add_export(command)


def _add_serve(command):
  sub = command('serve', run_serve, "A server that speaks as OpenAI's does, dubs films, and has the desk as its page.")
  _add_server_options(sub)


def run_serve(given: argparse.Namespace) -> int:
  return _serve(_settings(given))


def _add_desk(command):
  sub = command('desk', run_desk, 'Direct the lines of a project on a page in the browser.')
  sub.add_argument('project', nargs='?', help='the folder of `dubber dub --project`')
  sub.add_argument('--no-browser', action='store_true', help='print the address and open nothing')
  _add_server_options(sub)


def run_desk(given: argparse.Namespace) -> int:
  from dubber_jax.errors import BadInput

  projects = ()
  if given.model and (given.model / 'programs.json').exists():
    raise BadInput(f'{given.model} is an exported artifact, which speaks and dubs no films: give a model directory')
  if given.project:
    projects = (Path(given.project),)
    if not (projects[0] / 'project.json').is_file():
      raise BadInput(f'{given.project} is not a project: give the folder that `dubber dub --project` wrote')
  return _serve(_settings(given, projects), desk=True, browser=not given.no_browser)


def _serve(settings: 'ServerSettings', **how: bool) -> int:
  from dubber_jax.errors import BadInput

  try:
    from dubber_jax.serving.run import serve
  except ModuleNotFoundError as error:
    if (error.name or '').startswith('dubber_jax'):
      raise
    raise BadInput(f'{error.name} is not installed: pip install "dubber_jax[serve]"') from None
  return serve(settings, **how)


def _add_server_options(sub):
  sub.add_argument('--host', default='127.0.0.1', help='where it listens (default: 127.0.0.1, this machine alone)')
  sub.add_argument('--port', type=int, default=8000, help='0: one that is free (default: 8000)')
  sub.add_argument('--model', type=Path, help='model directory or exported artifact (default: the shipped model)')
  sub.add_argument('--library', type=Path, help='footage library (default: the shipped one; none for an artifact)')
  sub.add_argument('--home', type=Path, help='folder of uploaded voices and dubs (default: ./dubber-server)')
  sub.add_argument(
    '--films', type=Path, nargs='*', default=(), metavar='FOLDER', help='folders whose films requests may name'
  )
  sub.add_argument('--token', default='', help='what requests have to show; or set DUBBER_TOKEN')
  sub.add_argument('--allow-host', nargs='*', default=(), metavar='NAME', help='names by which it may be addressed')
  sub.add_argument('--wyoming', type=int, metavar='PORT', help='speak the Wyoming protocol of Home Assistant here, too')
  sub.add_argument('--log-texts', action='store_true', help='write the texts that are spoken to the log')
  sub.add_argument('--queue', type=int, help='speech requests that may wait (default: 32)')
  sub.add_argument('--batch', type=int, help='lines that are synthesized together at most (default: 8)')


def _settings(given: argparse.Namespace, projects: tuple[Path, ...] = ()) -> 'ServerSettings':
  import dataclasses
  import os

  from dubber_jax.errors import BadInput
  from dubber_jax.serving.settings import Limits, ServerSettings

  limits = Limits()
  for name, most in (('queue', 10_000), ('batch', 64)):
    value = getattr(given, name)
    if value is not None and not 1 <= value <= most:
      raise BadInput(f'--{name} {value}: give a number from 1 to {most}')
    limits = dataclasses.replace(limits, **({name: value} if value is not None else {}))
  token = given.token or os.environ.get('DUBBER_TOKEN', '')
  hosts = tuple(given.allow_host)
  home = given.home or ServerSettings.home
  for folder in given.films:
    if not folder.is_dir():
      raise BadInput(f'--films {folder}: is no folder')
  return ServerSettings(
    given.host,
    given.port,
    given.model,
    given.library,
    home,
    projects,
    token,
    hosts,
    given.log_texts,
    limits,
    films=tuple(given.films),
    wyoming=given.wyoming,
  )


def _add_export(command):
  sub = command('export', run_export, 'Make a serving artifact: weights and programs that need no training code.')
  sub.add_argument('checkpoint', help='a model directory, the workdir of a training run, or (--triton) an artifact')
  sub.add_argument('-o', '--out', help='the artifact, a folder; not needed where an artifact is given')
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
  sub.add_argument('--triton', metavar='FOLDER', help='a model repository of Triton Inference Server with the artifact')
  sub.add_argument(
    '--verify',
    metavar='TOPOLOGY',
    help="compile the artifact's programs for a TPU that is not here, as v5e:2x2 (`tpu`: that one); print their memory",
  )
  sub.add_argument('--overwrite', action='store_true')


def run_export(given: argparse.Namespace):
  from dubber_jax.errors import BadInput
  from dubber_jax.storage.distinct import check_distinct
  from dubber_jax.training.planning import compile_for

  if given.verify:
    given.verify = 'v5e:2x2' if given.verify == 'tpu' else given.verify
    compile_for.read_topology(given.verify)
    if 'tpu' not in given.platforms:
      raise BadInput('--verify compiles what is lowered for tpu: name it among --platforms')
    compile_for.prepare_process()

  check_distinct(
    {'the checkpoint': given.checkpoint, '--vocoder': given.vocoder}, {}, {'-o': given.out, '--triton': given.triton}
  )
  if given.triton:
    from dubber_jax.storage.atomic import check_folder

    check_folder(given.triton, given.overwrite, ('dubber/config.pbtxt',))
  if given.out:
    from dubber_jax.export import export

    export(
      given.checkpoint, given.out, given.buckets, given.platforms, given.vocoder, given.onnx, given.overwrite, print
    )
    print(given.out)
  elif not (given.triton or given.verify):
    raise BadInput('name the artifact to write: -o FOLDER')
  if given.verify:
    from dubber_jax.export.verify import verify

    for line in verify(given.out or given.checkpoint, given.verify):
      print(line, flush=True)
  if given.triton:
    from dubber_jax.export.triton import write_repository

    write_repository(given.out or given.checkpoint, given.triton, given.overwrite)
    print(given.triton)
