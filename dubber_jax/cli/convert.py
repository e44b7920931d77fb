"""The commands `convert` and `check`: published PyTorch checkpoints, and parity with them."""

import argparse
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput


def add_commands(command: AddCommand):
  _add_convert(command)
  _add_check(command)


def _add_convert(command):
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


def run_convert(given: argparse.Namespace):
  from dubber_jax.convert.kinds import MARKS, survey_checkpoint, torch_state, write_torch
  from dubber_jax.storage.atomic import check_folder
  from dubber_jax.storage.distinct import check_distinct

  to_torch = given.to == 'torch' or (given.to is None and Path(given.checkpoint).is_dir())
  if not given.out and not given.dry_run:
    raise BadInput('say where to write by -o, or give --dry-run')
  out = given.out if not given.dry_run else None
  config = given.config if given.config and Path(given.config).is_file() else None  # not the name of a published one
  inputs = {'the checkpoint': given.checkpoint, '--config': config}
  if to_torch:
    check_distinct(inputs, {'-o': out})
    if given.dry_run:
      for key, array in torch_state(given.checkpoint)[1].items():
        print(f'mapped       {key}  {array.shape}')
    else:
      print(f'{given.out}: {write_torch(given.checkpoint, given.out, given.overwrite)}')
    return
  check_distinct(inputs, {}, {'-o': out})
  if out:
    check_folder(out, given.overwrite, MARKS)
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


def _add_check(command):
  sub = command('check', run_check, "Compare this program with the published one's outputs in a parity fixture.")
  sub.add_argument('fixture', help='an .npz of inputs, outputs and weights')


def run_check(given: argparse.Namespace) -> int:
  from dubber_jax.convert.parity import compare

  rows = compare(given.fixture)
  width = max(len(row.output) for row in rows)
  for row in rows:
    verdict = 'ok' if row.within else 'FAIL'
    note = '' if row.float64_ratio is None else f'; {row.float64_ratio:.2f} in float64'
    error = f'largest error {row.max_error:.2e}, {row.tolerance_ratio:.2f} of the tolerance'
    print(f'{verdict:4}  {row.output:{width}}  {error}{note}')
  passed = sum(row.within for row in rows)
  print(f'{given.fixture}: {passed} of {len(rows)} outputs within tolerance')
  return 0 if passed == len(rows) else 1
