"""`dubber prepare`: a data set's own files become array_record, ready to be trained on."""

import contextlib
import json
import shutil
from pathlib import Path

from dubber_jax.errors import BadInput


def prepare(name: str, source, out, workers: int = 1, beam: str | None = None, overwrite: bool = False, **settings):
  """Prepares data set `name` (a key of builders.BUILDERS) from the folder `source` under the folder `out`.

  Returns (the data set's folder, rows of what was skipped: key, file, why), which also stand in skipped.jsonl there.
  Killed, it goes on where it was; done already, it is only returned. `beam`: see extract.extract_all.

  Raises BadInput for a source without such recordings, or when another state of it was prepared before, unless
  `overwrite` is given. Unchanged recordings are not extracted again.
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
  with contextlib.redirect_stdout(None):  # TFDS says that it downloads; nothing is
    builder.download_and_prepare(
      download_dir=str(builder.work / 'downloads'),
      download_config=tfds.download.DownloadConfig(manual_dir=str(source)),
    )
  builder.reader(folder)  # reads everything once, and makes the index
  skipped = json.loads((folder / 'metadata.json').read_text())['skipped']
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder, skipped
