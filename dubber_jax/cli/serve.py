"""The command `export`: serving artifacts."""

import argparse

from dubber_jax.cli import AddCommand


def add_commands(command: AddCommand):
  _add_export(command)


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
  sub.add_argument('--overwrite', action='store_true')


def run_export(given: argparse.Namespace):
  from dubber_jax.errors import BadInput
  from dubber_jax.storage.distinct import check_distinct

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
  elif not given.triton:
    raise BadInput('name the artifact to write: -o FOLDER')
  if given.triton:
    from dubber_jax.export.triton import write_repository

    write_repository(given.out or given.checkpoint, given.triton, given.overwrite)
    print(given.triton)
