"""`dubber prepare`: converts a data set's original files to array_record shards of features."""

import contextlib
import json
import shutil
from pathlib import Path

from dubber_jax.errors import BadInput


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
  settings |= {'data_dir': str(out), 'workers': workers, 'beam': beam}
  if name == 'v2c_animation':
    settings['config'] = 'features' if (source / 'train.txt').exists() and (source / 'mel').is_dir() else 'clips'
  builder = BUILDERS[name](**settings)
  folder = Path(builder.data_dir)
  for half in folder.parent.glob(f'incomplete.*_{folder.name}'):
    shutil.rmtree(half)
  if (folder / 'dataset_info.json').exists():
    before = json.loads((folder / 'metadata.json').read_text())
    if not overwrite:
      if before.get('listing') != builder.digest(source):
        raise BadInput(f'{folder} holds another state of {name}: give --overwrite to prepare it again')
      builder.reader(folder)
      return folder, before['skipped']
    shutil.rmtree(folder)
    builder = BUILDERS[name](**settings)
  with contextlib.redirect_stdout(None):  # TFDS announces a download that does not happen
    builder.download_and_prepare(
      download_dir=str(builder.work / 'downloads'),
      download_config=tfds.download.DownloadConfig(manual_dir=str(source)),
    )
  builder.reader(folder)  # reads every record once and writes the index
  skipped = json.loads((folder / 'metadata.json').read_text())['skipped']
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder, skipped
