"""`dubber prepare`: a data set's own files become array_record, ready to be trained on."""

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

  from data_pipelines.builders import BUILDERS, listing_digest
  from data_pipelines.layouts import find_recordings
  from dubber_jax.training.records import RecordSet

  tfds.disable_progress_bar()
  builder = BUILDERS[name](data_dir=str(out), workers=workers, beam=beam, **settings)
  folder = Path(builder.data_dir)
  for half in folder.parent.glob(f'incomplete.*_{folder.name}'):
    shutil.rmtree(half)
  if (folder / 'dataset_info.json').exists():
    before = json.loads((folder / 'metadata.json').read_text())
    if before.get('listing') == listing_digest(find_recordings(name, source)) and not overwrite:
      RecordSet(folder)
      return folder, before['skipped']
    if not overwrite:
      raise BadInput(f'{folder} holds another state of {name}: give --overwrite to prepare it again')
    shutil.rmtree(folder)
    builder = BUILDERS[name](data_dir=str(out), workers=workers, beam=beam, **settings)
  builder.download_and_prepare(
    download_dir=str(builder.work / 'downloads'),  # TFDS wants one; nothing is downloaded
    download_config=tfds.download.DownloadConfig(manual_dir=str(Path(source).resolve())),
  )
  RecordSet(folder)  # reads everything once, and makes the index
  skipped = builder.info.metadata['skipped']
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder, skipped
