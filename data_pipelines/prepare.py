"""`dubber prepare`: converts a data set's original files to array_record shards of features."""

import contextlib
import json
import shutil
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import atomic_file, disk_errors, remove_partials
from dubber_jax.storage.distinct import check_distinct
from dubber_jax.storage.json_files import read_json
from dubber_jax.storage.locks import locked


def prepare(
  name: str,
  source: str | Path,
  out: str | Path,
  workers: int = 1,
  beam: str | None = None,
  overwrite: bool = False,
  **settings,
) -> tuple[Path, list[dict]]:
  """Prepares data set `name` (a key of builders.BUILDERS) from the folder `source` under the folder `out`.

  Returns the data set's folder and rows (key, file, why) of skipped recordings, which are also in its skipped.jsonl.
  A killed run resumes; a prepared set is returned as it is. `beam`: see extract.extract_all.

  Raises BadInput for a source without such recordings, and, unless `overwrite` is given, where another state of the
  source was prepared before. Unchanged recordings are not extracted again.
  """
  import tensorflow_datasets as tfds

  from data_pipelines.builders import BUILDERS

  tfds.disable_progress_bar()
  source = Path(source).resolve()
  if not source.is_dir():
    raise BadInput(f'{source} is no folder: give the one that holds the clips, or what {name} was unpacked into')
  settings |= {'data_dir': str(out), 'workers': workers, 'beam': beam}
  if name == 'v2c_animation':
    settings['config'] = 'features' if (source / 'train.txt').exists() and (source / 'mel').is_dir() else 'clips'
  builder = BUILDERS[name](**settings)
  folder = Path(builder.data_dir)
  check_distinct({'the data': source}, {}, {'-o': folder})
  with disk_errors(folder), locked(folder.parent, 'another process is preparing this data set; wait for it'):
    _tidy(folder)
    listing = builder.digest(source)  # or BadInput where there is nothing to prepare
    if (folder / 'dataset_info.json').exists():
      before = read_json(folder / 'metadata.json', 'give --overwrite to prepare it again') if not overwrite else {}
      if not overwrite:
        if before.get('listing') != listing:
          raise BadInput(f'{folder} holds another state of {name}: give --overwrite to prepare it again')
        return folder, _finish(builder, folder)
      folder.rename(_former(folder))  # until the new one stands
      builder = BUILDERS[name](**settings)
    try:
      _build(builder, source)
    finally:
      _tidy(folder)
    return folder, _finish(builder, folder)


def _build(builder, source: Path) -> None:
  """Runs TFDS, whose errors for a source that it cannot use become BadInput."""
  import tensorflow_datasets as tfds

  try:
    with contextlib.redirect_stdout(None):  # TFDS announces a download that does not happen
      builder.download_and_prepare(
        download_dir=str(builder.work / 'downloads'),
        download_config=tfds.download.DownloadConfig(manual_dir=str(source)),
      )
  except AssertionError as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise BadInput(f'{source} cannot be prepared: {reason}') from error


def _finish(builder, folder: Path) -> list[dict]:
  """Reads every record of a prepared set once, writes its index and skipped.jsonl -> the rows of the latter."""
  builder.reader(folder)
  found = read_json(folder / 'metadata.json', 'give --overwrite to prepare it again')
  if not isinstance(found, dict) or not isinstance(found.get('skipped'), list):
    raise BadInput(f'{folder}/metadata.json is damaged: give --overwrite to prepare it again')
  with atomic_file(folder / 'skipped.jsonl') as partial:
    rows = (json.dumps(row, ensure_ascii=False) + '\n' for row in found['skipped'])
    partial.write_text(''.join(rows), encoding='utf-8')
  return found['skipped']


def _former(folder: Path) -> Path:
  return folder.with_name(f'{folder.name}.former')


def _tidy(folder: Path) -> None:
  """Removes what TFDS left half-written, and the former set where the new one stands; else that is put back."""
  for half in folder.parent.glob(f'incomplete.*_{folder.name}'):
    shutil.rmtree(half, ignore_errors=True)
  remove_partials(folder)
  former = _former(folder)
  if former.exists():
    if (folder / 'dataset_info.json').exists():
      shutil.rmtree(former)
    else:
      shutil.rmtree(folder, ignore_errors=True)
      former.rename(folder)
