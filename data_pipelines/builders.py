"""TensorFlow Datasets builders that write array_record shards of features, without importing TensorFlow.

    Grid(data_dir='prepared').download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir='GRID'))

which `dubber prepare GRID --set grid -o prepared` does. Records hold features (extract.py), not media, in the types of
dubber_jax.data.packed; dubber_jax.data.records reads them.
"""

import json
from collections.abc import Callable

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.corpora import find_recordings
from data_pipelines.extract import VERSION, ExtractionJob, WorkFolder, content_name, extract_all
from data_pipelines.pack import recording_row
from data_pipelines.recordings import Recording
from data_pipelines.v2c_animation import FeatureTree
from dubber_jax.authentic_dubber.records import PublishedRecords
from dubber_jax.data.packed import KINDS, MEL_STEP
from dubber_jax.data.records import Records, RecordSet
from dubber_jax.errors import BadInput
from dubber_jax.perception.config import FeatureConfig
from dubber_jax.script.symbols import SYMBOLS
from dubber_jax.storage.hashing import sha256_text
from dubber_jax.types import EMOTIONS, MEL_BANDS

SHAPES = {
  'mel': (None, MEL_BANDS),
  'lips': (None, FeatureConfig.lip_width),
  'speaker': (FeatureConfig.speaker_width,),
}
# Stored fields of a published item; those of its reference are derived when it is read.
PUBLISHED = {
  'phonemes': ((None,), np.int32),
  'duration': ((None,), np.int32),
  'mel': ((None, MEL_BANDS), np.float32),
  'lip_embedding': ((None, 512), np.float32),
  'spk_embedding': ((256,), np.float32),
} | {
  f'{m}_{what}': ((None, width), np.float32)
  for m, own in (('scene', 1024), ('face', 1024), ('text', 2048))
  for what, width in (('emo_embedding', own), ('refs', own), ('ref_audios', 1024))
}
PUBLISHED_NAMES = {'phonemes': 'text'}
EXEMPLARS = 3  # of each retrieval list
DESCRIBED = ('key', 'set', 'voice', 'text', 'split', 'emotion')  # metadata of a record; the rest is JSON in `details`
LISTINGS = {'train': 'train.txt', 'validation': 'val.txt'}


def _array(name: str) -> tfds.features.Tensor:
  return tfds.features.Tensor(shape=SHAPES.get(name, (None,)), dtype=KINDS[name], encoding=tfds.features.Encoding.BYTES)


class RecordingsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Base of the builders: finds the recordings of a data set, extracts their features and writes them as records.

  workers: processes that extract. beam: options of Apache Beam, which then extracts (see extract.extract_all).
  features: the function that extracts one recording.
  """

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'Unpack the data set and give its folder as manual_dir.'
  URL = LICENCE = ''

  def __init__(self, *, workers: int = 1, beam: str | None = None, features: Callable | None = None, **kwargs):
    self.workers, self.beam, self.features = workers, beam, features
    super().__init__(file_format=tfds.core.FileFormat.ARRAY_RECORD, **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    text = tfds.features.Text()
    described = dict.fromkeys(DESCRIBED, text) | {'details': text}
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
    work = ExtractionJob(folder, films, self.features) if self.features else ExtractionJob(folder, films)
    skipped = extract_all(recordings, work, self.workers, self.beam)
    self.info.metadata.update({'listing': listing_digest(recordings), 'skipped': skipped})
    by_split: dict[str, list[Recording]] = {}
    for r in recordings:
      if folder.file(r).exists():
        by_split.setdefault(r.split, []).append(r)
    return {split: self._generate_examples(folder, own) for split, own in by_split.items()}

  def _generate_examples(self, folder: WorkFolder, recordings):
    for r in recordings:
      row = recording_row(r)
      row['voice'] = row.pop('speaker')
      details = {name: row.pop(name) for name in row.keys() - set(DESCRIBED)}
      row['details'] = json.dumps(details, ensure_ascii=False, sort_keys=True)
      features = folder.load(r)
      yield r.key, row | {name: np.asarray(features[name]).astype(kind) for name, kind in KINDS.items()}

  def digest(self, source: epath.PathLike) -> str:
    """Hash of the state of `source`: of its files, texts and labels."""
    return listing_digest(find_recordings(self.name, source))

  @property
  def reader(self) -> type[Records]:
    """The class that reads the prepared data set."""
    return RecordSet

  @property
  def work(self) -> epath.Path:
    """Folder of the extracted features, from which a later run resumes."""
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


class V2cAnimation(RecordingsBuilder):
  """V2C-Animation: lines of 26 animated films. Config `clips` extracts features from the clips; `features` stores the
  published features, which authentic_dubber/records.py reads."""

  URL = 'https://github.com/chenqi008/V2C'
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name='clips', description='films cut into lines, as the authors organise them'),
    tfds.core.BuilderConfig(name='features', description='the features of StyleDubber and Authentic-Dubber'),
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    if self.builder_config.name == 'clips':
      return super()._info()
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict(
        {name: tfds.features.Text() for name in ('key', 'voice', 'text')}
        | {'emotion': tfds.features.ClassLabel(names=EMOTIONS)}
        | {
          name: tfds.features.Tensor(shape=shape, dtype=kind, encoding=tfds.features.Encoding.BYTES)
          for name, (shape, kind) in PUBLISHED.items()
        }
      ),
      homepage=self.URL,
      metadata=tfds.core.MetadataDict({'published': True, 'version': VERSION}),
    )

  def _split_generators(self, dl_manager):
    if self.builder_config.name == 'clips':
      return super()._split_generators(dl_manager)
    root, skipped = epath.Path(dl_manager.manual_dir), []
    exemplars = EXEMPLARS if (root / 'scene_emo_roberta').is_dir() else 0  # features of StyleDubber alone have none
    listings = {split: listing for split, listing in LISTINGS.items() if (root / listing).exists()}
    trees = {split: FeatureTree(root, listing, exemplars=exemplars) for split, listing in listings.items()}
    self.info.metadata.update({'listing': self.digest(root), 'exemplars': exemplars, 'skipped': skipped})
    return {split: self._generate_published(tree, skipped) for split, tree in trees.items()}

  def digest(self, source: epath.PathLike) -> str:
    return super().digest(source) if self.builder_config.name == 'clips' else features_digest(source)

  @property
  def reader(self) -> type[Records]:
    return RecordSet if self.builder_config.name == 'clips' else PublishedRecords

  def _generate_published(self, tree: FeatureTree, skipped: list[dict]):
    bad = []
    for i, entry in enumerate(tree.entries):
      try:
        item = tree.item(i)
      except BadInput as e:
        bad.append({'key': entry.name, 'file': str(tree.listing), 'why': str(e)})
        continue
      row = {'key': entry.name, 'voice': entry.speaker, 'text': entry.text, 'emotion': int(item['emotion_id'])}
      arrays = {name: np.asarray(item[PUBLISHED_NAMES.get(name, name)]) for name in PUBLISHED}
      yield entry.name, row | {name: array.astype(PUBLISHED[name][1]) for name, array in arrays.items()}
    if len(bad) == len(tree):
      raise BadInput(f'{tree.listing}: none of its {len(tree)} clips can be used; the first: {bad[0]["why"]}')
    skipped += bad


class ClipFolder(RecordingsBuilder):
  """A folder of clips, each with its text in a subtitle or text file of the same name."""


BUILDERS = {
  'v2c_animation': V2cAnimation,
  'grid': Grid,
  'ravdess': Ravdess,
  'cremad': Cremad,
  'clip_folder': ClipFolder,
}


def features_digest(root: epath.PathLike) -> str:
  """Sixteen hex digits of a tree of published features: the hash of its listings."""
  texts = [(epath.Path(root) / name).read_text() for name in LISTINGS.values() if (epath.Path(root) / name).exists()]
  return sha256_text('\n'.join(texts))[:16]


def listing_digest(recordings: list[Recording]) -> str:
  """Sixteen hex digits of a data set's recordings: the hash of their files, texts and labels."""
  rows = sorted(json.dumps([content_name(r), r.emotion, r.split, *r.details.items()]) for r in recordings)
  return sha256_text('\n'.join(rows))[:16]
