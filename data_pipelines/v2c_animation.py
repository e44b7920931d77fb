"""Published features of V2C-Animation, in the directory layout of StyleDubber and Authentic-Dubber (spec section 8).

One folder holds listings (train.txt, val.txt, and those of Dub 2.0 and 3.0), emotions.json and one NumPy file a
clip for each feature. `FeatureTree` reads items as dictionaries with the released code's field names, which
`dubber_jax.authentic_dubber.collate.collate` batches. GRID has the same layout under other names.

    python -m data_pipelines.v2c_animation --random DIR        # writes a small tree of random features
    python -m data_pipelines.v2c_animation --check DIR         # lists the clips that cannot be used, with the reason
    python -m data_pipelines.v2c_animation --lists DIR         # writes the retrieval lists

Errors of the released reader are corrected; docs/results/reproduction.md lists the differences.
"""

import argparse
import functools
import json
import re
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from etils import epath

from dubber_jax.authentic_dubber.batches import TreeBatches
from dubber_jax.authentic_dubber.config import TreeConfig
from dubber_jax.authentic_dubber.records import PublishedRecords
from dubber_jax.authentic_dubber.retrieval_lists import LISTED, list_name, read_list, retrieve, write_lists
from dubber_jax.config import Config
from dubber_jax.errors import BadInput, exit_code
from dubber_jax.script.g2p import published_ids
from dubber_jax.script.symbols import ARPABET_87
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MEL_BANDS, MODALITIES, SAMPLE_RATE

FRAMES_PER_LIP = SAMPLE_RATE / HOP / LIP_RATE  # 3.45
SLACK_FRAMES, SLACK = 8, 0.1  # tolerated difference of a clip's lengths: mel frames, or a fraction
DENOISED = 'wav_22050_chenqi_clean_Denoise_version2_all'  # the authors' name of the denoised sound


@dataclass(frozen=True)
class Layout:
  """Path templates of each feature under the tree, in the order in which they are tried.

  {name} is the clip's name in the listing, {speaker} its speaker, {clip} the name without the speaker.
  """

  mel: tuple[str, ...] = ('mel/{speaker}-mel-{name}.npy',)
  duration: tuple[str, ...] = ('duration/{speaker}-duration-{name}.npy',)
  pitch: tuple[str, ...] = ('pitch/{speaker}-pitch-{name}.npy',)
  energy: tuple[str, ...] = ('energy/{speaker}-energy-{name}.npy',)
  lip_embedding: tuple[str, ...] = (
    'extrated_embedding_V2C_gray/{speaker}-face-{name}.npy',
    'extrated_embedding_V2C_gray_New2/{speaker}-face-{name}.npy',
  )
  face_embedding: tuple[str, ...] = (
    'VA_feature/{speaker}-feature-{name}.npy',
    'VA_feature_face_all_equal/{speaker}-feature-{name}.npy',
  )
  emos_embedding: tuple[str, ...] = ('emos/{speaker}-emo-{name}.npy',)
  spk_embedding: tuple[str, ...] = (
    f'spk2/{DENOISED}-spk-{{name}}.npy',
    'spk2/{speaker}-spk-{name}.npy',
    'spk2/{name}.npy',
  )
  scene: tuple[str, ...] = ('scene_emo_roberta/{name}-scene_attri_emo.npy',)
  face: tuple[str, ...] = ('face_emo_roberta/{name}-face_caption.npy',)
  text: tuple[str, ...] = ('text_cat_react_emb_reberta/{name}-text_cat_react-{speaker}.npy',)
  audio: tuple[str, ...] = ('audio_emo/{name}-audio_emo-{speaker}.npy', '{name}-audio_emo-{speaker}.npy')
  lists: tuple[str, ...] = ('retrieval', '.')  # folders of the retrieval lists
  speaker_of: str = r'(.+?)_\d\d_'  # of a clip's name
  emotion: str = ''  # of every clip, where there is no emotions.json


V2C = Layout()
GRID = Layout(
  lip_embedding=('extrated_embedding_Grid_152_gray/{speaker}-face-{clip}.npy',),
  face_embedding=('Grid_VA_feature/{speaker}-feature-{clip}.npy',),
  spk_embedding=('Grid_spk2/{speaker}-spk-{name}.npy',),
  speaker_of=r'(.+?)-',
  emotion='neutral',
)
LAYOUTS = {'v2c': V2C, 'grid': GRID}

# Shape of each array; letters stand for lengths.
SHAPES = {
  'mel': ('T', MEL_BANDS),
  'duration': ('N',),
  'pitch': ('N',),
  'energy': ('N',),
  'lip_embedding': ('L', 512),
  'face_embedding': ('F', 256),
  'emos_embedding': (256,),
  'spk_embedding': (256,),
  'scene': (1, 1024),
  'face': (1, 1024),
  'text': (1, 2048),
  'audio': (1, 1024),
}
UNUSED = ('pitch', 'energy', 'face_embedding', 'emos_embedding')  # by the published model


@dataclass(frozen=True)
class Entry:
  """One row of a listing. A clip without a reference is its own reference."""

  name: str
  speaker: str
  phonemes: str  # ARPAbet codes in braces
  text: str = ''
  reference: str = ''  # name of the clip that gives the voice
  reference_phonemes: str = ''


def read_listing(path: epath.PathLike, layout: Layout = V2C) -> list[Entry]:
  """The rows of train.txt, val.txt (name|speaker|{phonemes}|text), of a listing for Dub 1.0 or 2.0
  (name|{phonemes}|speaker|reference|{its phonemes}) or for Dub 3.0 (name|{phonemes}|reference|{its phonemes})."""
  path = epath.Path(path)
  try:
    rows = path.read_text(encoding='utf-8').splitlines()
  except (OSError, UnicodeDecodeError) as e:
    raise BadInput(f'{path}: the listing cannot be read ({e}); give the folder that holds it') from None
  entries = []
  for number, row in enumerate(rows, 1):
    if not row.strip():
      continue
    parts = row.split('|')
    braces = tuple(i for i, part in enumerate(parts) if part.strip().startswith('{'))
    if len(parts) >= 4 and braces[:1] == (2,):
      name, speaker, phonemes = parts[:3]
      entries.append(Entry(name, speaker, phonemes, '|'.join(parts[3:])))
    elif len(parts) == 5 and braces == (1, 4):
      name, phonemes, speaker, reference, its = parts
      entries.append(Entry(name, speaker, phonemes, '', reference, its))
    elif len(parts) == 4 and braces == (1, 3):
      name, phonemes, reference, its = parts
      entries.append(Entry(name, speaker_of(name, layout), phonemes, '', reference, its))
    else:
      raise BadInput(
        f'{path}, row {number}: {row[:80]!r} is not name|speaker|{{phonemes}}|text, '
        'nor one of the forms with a reference'
      )
  if not entries:
    raise BadInput(f'{path} lists no clips')
  return entries


def speaker_of(name: str, layout: Layout = V2C) -> str:
  """The speaker in a clip's name: Movie@Character of Movie@Character_00_0123_00, s1 of s1-bbaf2n."""
  found = re.match(layout.speaker_of, name)
  return found.group(1) if found else name.split('_')[0]


class FeatureTree:
  """The clips of one listing: `entries`, and `item(i)` with all inputs of the model.

  exemplars: how many of each retrieval list; 0 for a tree without emotion embeddings, whose director gets zeros.
  references: the tree of the listing's references, by default this one (Dub 3.0 takes GRID). unused: also read the
  arrays that the released code reads and its model ignores.
  """

  def __init__(
    self,
    root: epath.PathLike,
    listing: str = 'train.txt',
    layout: Layout = V2C,
    exemplars: int = 3,
    references: 'FeatureTree | None' = None,
    unused: bool = False,
  ):
    self.root, self.layout, self.exemplars, self.unused = epath.Path(root), layout, exemplars, unused
    if not self.root.is_dir():
      raise BadInput(f'{self.root}: no such folder of features; see docs/how-to/v2c_animation.md for where to get them')
    if exemplars and not any((self.root / name).parent.is_dir() for name in layout.scene):
      raise BadInput(
        f'{self.root}: there are no emotion embeddings ({layout.scene[0].split("/")[0]}/ and others, '
        'docs/how-to/v2c_animation.md), which StyleDubber does not have: train arm `silent` (tree.exemplars 0), '
        'or add them'
      )
    self.listing = self.root / listing
    self.entries = read_listing(self.listing, layout)
    self.references = references or self
    self._templates = {}
    self.emotions = self._read_emotions()

  def __len__(self) -> int:
    return len(self.entries)

  def item(self, i: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """The published item's fields (spec section 8). `rng` shuffles the phonemes of the reference mel, as in
    training; without it they stay in order.

    Durations and mel are truncated to the shorter of them. Raises BadInput naming the file that cannot be used.
    """
    entry = self.entries[i]
    ids, durations, mel = self._spoken(entry.name, entry.speaker, entry.phonemes)
    lips = self._read('lip_embedding', entry.name, entry.speaker)
    mel, durations = self._agree(entry, mel, durations, len(lips))
    item = {'id': entry.name, 'text': ids, 'duration': durations, 'mel': mel, 'lip_embedding': lips}
    item['emotion_id'] = np.int64(self._emotion(entry.name))
    item |= self._voice(entry, item, rng)
    item |= self._nodes(entry)
    if self.unused:
      item |= {name: self._read(name, entry.name, entry.speaker) for name in UNUSED}
      item |= {name: item[name][: len(ids)] for name in ('pitch', 'energy')}
    return item

  def path(self, feature: str, name: str, speaker: str) -> epath.Path:
    """Path of a clip's feature, by the first template for which files exist."""
    parts = {'name': name, 'speaker': speaker, 'clip': name.removeprefix(f'{speaker}-')}
    if feature not in self._templates:
      templates = getattr(self.layout, feature)
      some = [
        {'name': e.name, 'speaker': e.speaker, 'clip': e.name.removeprefix(f'{e.speaker}-')} for e in self.entries[:20]
      ]
      there = (t for t in templates if any((self.root / t.format(**e)).exists() for e in some))
      self._templates[feature] = next(there, templates[0])
    return self.root / self._templates[feature].format(**parts)

  def _read(self, feature: str, name: str, speaker: str) -> np.ndarray:
    array = read_array(self.path(feature, name, speaker), SHAPES[feature])
    if feature != 'duration':
      return array
    whole = np.rint(array).astype(np.int64)
    if (whole < 0).any() or np.abs(whole - array).max() > 1e-3:
      raise BadInput(
        f'{self.path(feature, name, speaker)}: durations must be whole numbers of mel frames, none '
        'negative; align the clip again'
      )
    return whole

  def vector(self, feature: str, name: str, speaker: str) -> np.ndarray:
    """An emotion embedding (1, D) of any clip of the tree: of its scene, face or text, or of its sound ('audio')."""
    return _read_vector(str(self.path(feature, name, speaker)), SHAPES[feature])

  def _spoken(self, name, speaker, phonemes):
    """Phoneme ids and durations, both as long as the shorter, and the mel."""
    ids = published_ids(phonemes)
    durations = self._read('duration', name, speaker)
    count = min(len(ids), len(durations))
    if not count or durations[:count].sum() <= 0:
      path = self.path('duration', name, speaker)
      raise BadInput(f'{path}: no frame is spoken ({len(ids)} phonemes in {self.listing.name}); align the clip again')
    return ids[:count], durations[:count], self._read('mel', name, speaker).astype(np.float32)

  def _agree(self, entry, mel, durations, lips):
    """Mel and durations cut to the same end. Where they differ by more than a few frames, the lips tell which of
    the two is of another hop."""
    spoken, seen = int(durations.sum()), lips * FRAMES_PER_LIP
    if _lengths_differ(spoken, len(mel)) and _lengths_differ(len(mel), seen):
      raise BadInput(
        f'{self.path("mel", entry.name, entry.speaker)}: {len(mel)} frames, but durations add up to {spoken} and '
        f'{lips} lip frames take {seen:.0f}: made with another hop, or broken off; make it with hop {HOP} at '
        f'{SAMPLE_RATE} Hz'
      )
    if not 0.5 < seen / min(spoken, len(mel)) < 2:
      raise BadInput(
        f'{self.path("lip_embedding", entry.name, entry.speaker)}: {lips} lip frames for {len(mel)} mel frames, about '
        f'{len(mel) / FRAMES_PER_LIP:.0f} expected; make it at {LIP_RATE} frames a second'
      )
    return truncate_to_common_length(mel, durations)

  def _voice(self, entry, item, rng):
    """Reference mel and speaker embedding: the clip's own, or those of the clip that the listing names."""
    tree, name, speaker, phonemes = self, entry.name, entry.speaker, entry.phonemes
    if entry.reference and (entry.reference != entry.name or self.references is not self):
      tree, name, phonemes = self.references, entry.reference, entry.reference_phonemes
      speaker = entry.speaker if tree is self else speaker_of(name, tree.layout)
      ids, durations, mel = tree._spoken(name, speaker, phonemes)
      mel, durations = truncate_to_common_length(mel, durations)
    else:
      ids, durations, mel = item['text'], item['duration'], item['mel']
    order = np.arange(len(ids)) if rng is None else rng.permutation(len(ids))
    return {
      'ref_mel': reorder_phonemes(mel, durations, order),
      'ref_linguistic': np.repeat(ids[order], durations[order]),
      'Ref_reordered_array': ids[order],
      'spk_embedding': tree._read('spk_embedding', name, speaker).astype(np.float32),
    }

  def _nodes(self, entry):
    """Emotion embeddings of the clip, and of the clips that its three lists name first."""
    if not self.exemplars:
      widths = {m: SHAPES[m][1] for m in MODALITIES}
      nodes = {f'{m}_emo_embedding': np.zeros((1, width), np.float32) for m, width in widths.items()}
      nodes |= {f'{m}_refs': np.zeros((1, width), np.float32) for m, width in widths.items()}
      return nodes | {f'{m}_ref_audios': np.zeros((1, 1024), np.float32) for m in MODALITIES}
    names = {m: read_list(self._list(m, entry.name), m) for m in MODALITIES}
    count = min(self.exemplars, *map(len, names.values()))
    nodes = {}
    for m in MODALITIES:
      clips = [(name, self.speaker(name)) for name in names[m][:count]]
      nodes[f'{m}_emo_embedding'] = self.vector(m, entry.name, entry.speaker)
      nodes[f'{m}_refs'] = np.concatenate([self.vector(m, *clip) for clip in clips])
      nodes[f'{m}_ref_audios'] = np.concatenate([self.vector('audio', *clip) for clip in clips])
    return nodes

  def _list(self, modality, name) -> epath.Path:
    if 'lists' not in self._templates:
      folders = (f for f in self.layout.lists if (self.root / f / list_name(modality, name)).exists())
      self._templates['lists'] = next(folders, self.layout.lists[0])
    return self.root / self._templates['lists'] / list_name(modality, name)

  @functools.cached_property
  def _speakers(self) -> dict[str, str]:
    return {entry.name: entry.speaker for entry in self.entries}

  def speaker(self, name: str) -> str:
    """The speaker of any clip of the tree."""
    return self._speakers.get(name) or speaker_of(name, self.layout)

  def _read_emotions(self) -> dict:
    path = self.root / 'emotions.json'
    if self.layout.emotion and not path.exists():
      return {}
    try:
      return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as e:
      raise BadInput(f'{path}: cannot be read ({e}); it gives each clip one of 0 to 7') from None

  def _emotion(self, name) -> int:
    if not self.emotions:
      return EMOTIONS.index(self.layout.emotion)
    number = self.emotions.get(name)
    if number not in range(len(EMOTIONS)):
      raise BadInput(f'{self.root}/emotions.json: {name} has emotion {number!r}; one of 0 to 7 is needed')
    return number


def read_array(path: epath.Path, shape: tuple) -> np.ndarray:
  """Reads a NumPy file of finite numbers. In `shape` a letter stands for any positive length; a leading axis of 1 may
  be missing. Raises BadInput naming the file and the fault.
  """
  try:
    with path.open('rb') as file:
      array = np.load(file, allow_pickle=False)
  except FileNotFoundError:
    raise BadInput(f'{path}: missing; extract the feature, or take the clip off the listing') from None
  except (OSError, ValueError, EOFError) as e:
    raise BadInput(f'{path}: not a whole NumPy file ({str(e).splitlines()[0]}); extract it again') from None
  if shape[0] == 1 and array.ndim == 1:
    array = array[None]
  fits = array.ndim == len(shape) and all(
    have == want if isinstance(want, int) else have > 0 for have, want in zip(array.shape, shape, strict=True)
  )
  if not fits:
    wanted = f'({", ".join(map(str, shape))})'
    raise BadInput(f'{path}: shape {array.shape}, expected {wanted}; it is from another extractor, or truncated')
  if array.dtype.kind not in 'iuf' or not np.isfinite(array).all():
    raise BadInput(f'{path}: it contains NaN or infinite values; extract it again')
  return array


@functools.lru_cache(65536)  # the same exemplars are read for many clips
def _read_vector(path: str, shape: tuple) -> np.ndarray:
  return read_array(epath.Path(path), shape).astype(np.float32)


def truncate_to_common_length(mel: np.ndarray, durations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mel (T, 80) and durations (N,), truncated so that the durations add up to the frames.

  Where the mel is shorter, the last phonemes are shortened; the released code fails there.
  """
  ends = np.minimum(np.cumsum(durations), len(mel))
  return mel[: ends[-1]], np.diff(ends, prepend=0)


def reorder_phonemes(mel: np.ndarray, durations: np.ndarray, order: np.ndarray) -> np.ndarray:
  """The mel with its phonemes' segments permuted: (T, 80), (N,), (N,) -> (T, 80)."""
  pieces = np.split(mel, np.cumsum(durations)[:-1])
  return np.concatenate([pieces[i] for i in order])


def _lengths_differ(a: float, b: float) -> bool:
  return abs(a - b) > max(SLACK_FRAMES, SLACK * b)


@dataclass(frozen=True)
class Survey:
  """Usable items of a tree with their lengths, and the others with the reason."""

  usable: np.ndarray  # (M,) int, item numbers
  lengths: np.ndarray  # (M, 4) int: phonemes, lip frames, mel frames, reference frames
  skipped: list[dict] = field(default_factory=list)  # {'name', 'why'}


def survey(tree: FeatureTree, threads: int = 8) -> Survey:
  """Reads every item once to check it. Raises BadInput where none can be used."""

  def look(i):
    try:
      item = tree.item(i)
    except BadInput as e:
      return str(e)
    return tuple(len(item[name]) for name in ('text', 'lip_embedding', 'mel', 'ref_mel'))

  with ThreadPoolExecutor(threads) as pool:
    found = list(pool.map(look, range(len(tree))))
  usable = [i for i, row in enumerate(found) if not isinstance(row, str)]
  skipped = [{'name': tree.entries[i].name, 'why': row} for i, row in enumerate(found) if isinstance(row, str)]
  if not usable:
    raise BadInput(f'{tree.listing}: none of its {len(tree)} clips can be used; the first: {skipped[0]["why"]}')
  return Survey(np.array(usable), np.array([found[i] for i in usable]), skipped)


def training_batches(config: Config, host: tuple[int, int] = (0, 1)) -> TreeBatches:
  """Batches of the clips that `config.task.tree` names for training, without those that cannot be used."""
  c = config.task.tree
  open_setting(c, 'dub1')  # fails here rather than at the first evaluation
  if is_prepared(c.root):
    tree, found = open_prepared(c, 'train')
  else:
    tree = FeatureTree(c.root, c.train, LAYOUTS[c.layout], c.exemplars)
    found = survey(tree)
  warn_of_hop_length(tree, found)
  return TreeBatches(config, tree, found.usable, found.lengths, found.skipped, host)


@functools.lru_cache(4)  # training evaluates again and again
def open_setting(config: TreeConfig, setting: str) -> tuple[FeatureTree, Survey]:
  """The clips of an evaluation setting, 'dub1', 'dub2' or 'dub3'. Raises BadInput where the tree does not have it."""
  listing = getattr(config, setting)
  if not listing:
    raise BadInput(f'the {config.layout} features have no listing for {setting}')
  if is_prepared(config.root):
    if setting != 'dub1':
      raise BadInput(f'{config.root}: a prepared data set has the clips of dub1 alone; give the features themselves')
    return open_prepared(config, 'validation')
  references = None
  if setting == 'dub3':
    references = FeatureTree(epath.Path(config.root) / config.strangers, 'train.txt', GRID, exemplars=0)
  tree = FeatureTree(config.root, listing, LAYOUTS[config.layout], config.exemplars, references)
  return tree, survey(tree)


def is_prepared(root: epath.PathLike) -> bool:
  """Whether a folder was written by `dubber prepare --set v2c_animation`."""
  return (epath.Path(root) / 'dataset_info.json').exists()


def open_prepared(config: TreeConfig, split: str) -> tuple[PublishedRecords, Survey]:
  """The clips of a split of a prepared data set, without records that do not parse."""
  records = PublishedRecords(config.root, split, config.exemplars)
  return records, Survey(np.arange(len(records)), records.lengths, [{'why': why} for why in records.unreadable])


def warn_of_hop_length(tree: FeatureTree, found: Survey) -> None:
  """Warns where the mels' frame rate does not fit the lip frames, as with another hop length."""
  ratio = float(np.median(found.lengths[:, 2] / found.lengths[:, 1]))
  if abs(ratio / FRAMES_PER_LIP - 1) > SLACK:
    warnings.warn(
      f'{tree.root}: {ratio:.2f} mel frames a lip frame, {FRAMES_PER_LIP:.2f} expected: if the mels are not of hop '
      f'{HOP} at {SAMPLE_RATE} Hz (HPMDubbing has 220), compute them again: no published vocoder fits such mels',
      stacklevel=2,
    )


def write_retrieval_lists(
  tree: FeatureTree, pool: FeatureTree, folder: epath.PathLike | None = None, count: int = LISTED
) -> None:
  """Writes the retrieval lists of every clip of `tree`, from the clips of `pool` by other speakers, into the tree's
  folder of lists or `folder`."""
  pooled = {m: np.concatenate([pool.vector(m, e.name, e.speaker) for e in pool.entries]) for m in MODALITIES}
  pool_names, pool_speakers = [e.name for e in pool.entries], [e.speaker for e in pool.entries]
  for first in range(0, len(tree), 256):  # bounds the size of the similarity matrix
    part = tree.entries[first : first + 256]
    names, speakers = [e.name for e in part], [e.speaker for e in part]
    queries = {m: np.concatenate([tree.vector(m, e.name, e.speaker) for e in part]) for m in MODALITIES}
    retrieved = retrieve(queries, names, speakers, pooled, pool_names, pool_speakers, count)
    write_lists(folder or tree.root / tree.layout.lists[0], retrieved, names)


def write_random_tree(
  folder: epath.PathLike, clips: int = 12, seed: int = 0, layout: Layout = V2C, frames: tuple = (40, 90)
) -> None:
  """Writes a complete tree of random features: `clips` training clips, a quarter as many for validation, of three
  speakers, each clip with `frames` mel frames (from, to).

  Of V2C-Animation's layout it includes a tree `grid`, whose clips are the references of Dub 3.0.
  """
  folder = epath.Path(folder)
  rng = np.random.default_rng(seed)
  grid = layout is not V2C
  form = 's{0}-clip{1:04d}' if grid else 'Film@Character{0}_00_{1:04d}_00'
  names = [form.format(i % 3, i) for i in range(clips + clips // 4)]
  spoken = [s[1:] for s in ARPABET_87 if s[-1] in '012' or s[1:] in ('B', 'D', 'K', 'L', 'M', 'N', 'S', 'T', 'sp')]
  speakers = {name: speaker_of(name, layout) for name in names}
  lines = {}

  def save(feature, name, array):
    parts = {'name': name, 'speaker': speakers[name], 'clip': name.removeprefix(f'{speakers[name]}-')}
    path = folder / getattr(layout, feature)[0].format(**parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('wb') as file:
      np.save(file, array)

  for name in names:
    count = int(rng.integers(*frames))
    phonemes = count // 7
    lines[name] = '{' + ' '.join(rng.choice(spoken, phonemes)) + '}'
    cuts = np.sort(rng.choice(np.arange(1, count), phonemes - 1, replace=False))
    save('duration', name, np.diff(cuts, prepend=0, append=count))
    save('mel', name, rng.normal(-5, 2, (count + int(rng.integers(3)), MEL_BANDS)).astype(np.float32))
    voice = np.abs(rng.normal(0, 1, 256)).astype(np.float32)
    save('spk_embedding', name, voice / np.linalg.norm(voice))
    lips = round(count / FRAMES_PER_LIP)
    shapes = {f: SHAPES[f] for f in ('emos_embedding', *MODALITIES, 'audio')}
    shapes |= {'pitch': (phonemes,), 'energy': (phonemes,), 'lip_embedding': (lips, 512), 'face_embedding': (lips, 256)}
    for feature, shape in shapes.items():
      save(feature, name, rng.normal(0, 1, shape).astype(np.float32))

  own = {s: [n for n in names if speakers[n] == s] for s in speakers.values()}
  training, validation = names[:clips], names[clips:]
  other = {n: next((o for o in own[speakers[n]] if o != n), n) for n in names}
  listings = {
    f'{part}.txt': [f'{n}|{speakers[n]}|{lines[n]}|Random words.' for n in rows]
    for part, rows in (('train', training), ('val', validation))
  }
  listings['Refrence_Setting2.txt'] = [f'{n}|{lines[n]}|{speakers[n]}|{other[n]}|{lines[other[n]]}' for n in validation]
  if not grid:
    write_random_tree(folder / 'grid', clips, seed + 1, GRID, frames)
    strangers = read_listing(folder / 'grid' / 'train.txt', GRID)
    listings['V2C_Setting3.txt'] = [
      f'{n}|{lines[n]}|{s.name}|{s.phonemes}' for n, s in zip(validation, strangers, strict=False)
    ]
    (folder / 'emotions.json').write_text(json.dumps({n: int(rng.integers(len(EMOTIONS))) for n in names}))
  for file, rows in listings.items():
    (folder / file).write_text(''.join(row + '\n' for row in rows))
  (folder / 'speakers.json').write_text(json.dumps({s: i for i, s in enumerate(own)}))
  stats = {name: [-2.0, 2.0, 0.0, 1.0] for name in ('pitch', 'energy')}
  (folder / 'stats.json').write_text(json.dumps(stats))
  trees = [FeatureTree(folder, part, layout) for part in ('train.txt', 'val.txt')]
  for tree in trees:
    write_retrieval_lists(tree, trees[0])


def main(arguments: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(prog='python -m data_pipelines.v2c_animation', description=__doc__.split('\n')[0])
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument('--random', metavar='DIR', help='write a small tree of random features')
  what.add_argument('--check', metavar='DIR', help='read every clip and list those that cannot be used')
  what.add_argument('--lists', metavar='DIR', help='write the retrieval lists, from the embeddings')
  parser.add_argument('--layout', choices=LAYOUTS, default='v2c')
  parser.add_argument('--silent', action='store_true', help='--check without emotion embeddings, for arm `silent`')
  parser.add_argument('--clips', type=int, default=12, help='of a random tree')
  parser.add_argument('--seed', type=int, default=0)
  given = parser.parse_args(arguments)
  layout = LAYOUTS[given.layout]

  def action() -> None:
    if given.random:
      if epath.Path(given.random).exists():
        raise BadInput(f'{given.random} exists already: choose another folder')
      write_random_tree(given.random, given.clips, given.seed, layout)
      print(given.random)
      return
    listings, exemplars = ('train.txt', 'val.txt'), 0 if given.silent and given.check else 3
    trees = [FeatureTree(given.check or given.lists, part, layout, exemplars) for part in listings]
    for tree in trees:
      if given.lists:
        write_retrieval_lists(tree, trees[0])
        continue
      found = survey(tree)
      print(f'{tree.listing}: {len(found.usable)} of {len(tree)} clips can be used')
      for row in found.skipped:
        print(f'  {row["name"]}: {row["why"]}')

  return exit_code(action)


if __name__ == '__main__':
  sys.exit(main())
