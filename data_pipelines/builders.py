"""TFDS builders that write array_record, without TensorFlow: GRID, RAVDESS, CREMA-D and anybody's clips.

    Grid(data_dir='prepared').download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir='GRID'))

or, shorter, `dubber prepare GRID --set grid -o prepared`. Records hold features (extract.py), not media, in the types
of dubber_jax.training.packed; dubber_jax.training.records reads them.
"""

import hashlib
import json

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.extract import VERSION, Work, WorkFolder, extract_all
from data_pipelines.layouts import find_recordings
from data_pipelines.pack import describe
from data_pipelines.recordings import Recording
from dubber_jax.clip import EMOTIONS, MEL_BANDS
from dubber_jax.config import FeatureConfig
from dubber_jax.script.phonemes import SYMBOLS
from dubber_jax.training.packed import KINDS, MEL_STEP

SHAPES = {
  'mel': (None, MEL_BANDS), 'lips': (None, FeatureConfig.lip_width), 'speaker': (FeatureConfig.speaker_width,),
}  # fmt: skip


def _array(name: str) -> tfds.features.Tensor:
  return tfds.features.Tensor(shape=SHAPES.get(name, (None,)), dtype=KINDS[name], encoding=tfds.features.Encoding.BYTES)


class RecordingsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """What the sets of recordings share: they are found, their features extracted, and written as records.

  workers: processes that extract. beam: options of Apache Beam, which then does it (see extract.extract_all).
  features: what extracts one recording.
  """

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'Unpack the data set and give its folder as manual_dir.'
  URL = LICENCE = ''

  def __init__(self, *, workers: int = 1, beam: str | None = None, features=None, **kwargs):
    self.workers, self.beam, self.features = workers, beam, features
    super().__init__(file_format=tfds.core.FileFormat.ARRAY_RECORD, **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    text = tfds.features.Text()
    described = {name: text for name in ('key', 'set', 'voice', 'text', 'split')}
    described['emotion'] = tfds.features.ClassLabel(names=EMOTIONS)
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict(described | {name: _array(name) for name in KINDS}),
      homepage=self.URL or None,
      license=self.LICENCE or None,
      metadata=tfds.core.MetadataDict({'symbols': list(SYMBOLS), 'mel_step': MEL_STEP, 'version': VERSION}),
    )

  def _split_generators(self, dl_manager):
    recordings = find_recordings(self.name, dl_manager.manual_dir)
    films = any(r.has_video for r in recordings)
    folder = WorkFolder(self.work, content_name)
    work = Work(folder, films, self.features) if self.features else Work(folder, films)
    skipped = extract_all(recordings, work, self.workers, self.beam)
    self.info.metadata.update({'listing': listing_digest(recordings), 'skipped': skipped})
    by_split: dict[str, list[Recording]] = {}
    for r in recordings:
      if folder.file(r).exists():
        by_split.setdefault(r.split, []).append(r)
    return {split: self._generate_examples(folder, own) for split, own in by_split.items()}

  def _generate_examples(self, folder: WorkFolder, recordings):
    for r in recordings:
      row = describe(r)
      row['voice'] = row.pop('speaker')
      features = folder.load(r)
      yield r.key, row | {name: np.asarray(features[name]).astype(kind) for name, kind in KINDS.items()}

  @property
  def work(self) -> epath.Path:
    """Where features are kept while, and after, they are extracted: the next start goes on from there."""
    return epath.Path(self.data_dir_root) / f'{self.name}.work'


class Grid(RecordingsBuilder):
  """GRID: 34 talkers, 1,000 sentences of six words each, faces and sound."""

  URL = 'https://doi.org/10.5281/zenodo.3625687'
  LICENCE = 'CC BY 4.0'


class Ravdess(RecordingsBuilder):
  """RAVDESS: 24 actors speak two sentences with eight emotions at two strengths."""

  URL = 'https://doi.org/10.5281/zenodo.1188976'
  LICENCE = 'CC BY-NC-SA 4.0'


class Cremad(RecordingsBuilder):
  """CREMA-D: 91 actors speak twelve sentences with six emotions."""

  URL = 'https://github.com/CheyneyComputerScience/CREMA-D'
  LICENCE = 'Open Database License (ODbL) 1.0'


class ClipFolder(RecordingsBuilder):
  """Anybody's clips, each with its words in a subtitle or text file of the same name."""


BUILDERS = {'grid': Grid, 'ravdess': Ravdess, 'cremad': Cremad, 'clip_folder': ClipFolder}


def content_name(r: Recording) -> str:
  """A name that changes when the recording or its text does, so that only what was changed is extracted again."""
  stat = r.path.stat()
  return f'{VERSION} {r.key} {r.text} {r.start} {r.end} {stat.st_size} {stat.st_mtime_ns}'


def listing_digest(recordings: list[Recording]) -> str:
  """Names what a data set was made of."""
  rows = sorted(json.dumps([content_name(r), r.emotion, r.split]) for r in recordings)
  return hashlib.sha256('\n'.join(rows).encode()).hexdigest()[:16]
