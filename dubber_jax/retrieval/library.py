"""Footage library: reference performances with embeddings and prosody, retrieved by cosine similarity.

A library directory (docs/reference/file_formats.md) contains clips.jsonl, one .npy of embeddings for each of scene,
face, text and sound, prosody.npy, manifest.json and, for large libraries, ScaNN's indices under scann/.
"""

import functools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from etils import epath

from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import extractor_identity
from dubber_jax.perception.prosody import PROSODY
from dubber_jax.retrieval.search import SMALL_LIBRARY, ExactSearch, ScannSearch, unit_rows
from dubber_jax.storage.assets import ASSETS
from dubber_jax.storage.atomic import atomic_folder, disk_errors
from dubber_jax.storage.checked_folder import changed_file
from dubber_jax.storage.hashing import sha256_file, sha256_json, sha256_text
from dubber_jax.types import MODALITIES, Exemplar, Exemplars, Reading

FORMAT = 1
EMBEDDINGS = MODALITIES + ('sound',)
HALVES = {'text': 2}  # halves of the embedding with equal weight in the similarity: line and reaction
SHIPPED = ASSETS / 'library'
DEFAULT_DATA = Path(__file__).parents[3] / 'shared' / 'data'
MIN_BASELINE = 2  # least clips for a speaker's own prosody baseline
CHECKED_BYTES = 64 << 20  # larger files are checked by shape instead of hash


@dataclass(frozen=True)
class LibraryClip:
  """A reference performance. `present`: which of EMBEDDINGS it has."""

  key: str  # set/speaker/id
  speaker: str = ''
  text: str = ''
  emotion: str = ''
  media: str = ''  # path of its video or sound, relative to the manifest's media_root
  start: float | None = None  # s in the media; None: the whole file
  end: float | None = None
  seconds: float = 0.0
  captions: dict[str, str] = field(default_factory=dict)  # by modality
  present: tuple[str, ...] = ()


class Library:
  """Reference footage from which the director retrieves exemplars. Created by `open` or `build`; immutable."""

  def __init__(self, clips, embeddings, prosody, manifest, folder):
    self.clips: tuple[LibraryClip, ...] = tuple(clips)
    self.embeddings: dict[str, np.ndarray] = embeddings  # (N, D) each, zero rows where absent
    self.prosody: np.ndarray = prosody  # (N, 5) float32 in the order of PROSODY, NaN where unknown
    self.manifest: dict = manifest
    self.folder = folder
    self.keys = np.array([clip.key for clip in self.clips])
    self.speakers = np.array([clip.speaker for clip in self.clips])
    self.present = {m: np.array([m in clip.present for clip in self.clips]) for m in EMBEDDINGS}
    self._searchers = {}

  def __len__(self) -> int:
    return len(self.clips)

  @property
  def hash(self) -> str:
    """Twelve hex digits of a hash of the contents, the key of precomputed exemplars."""
    return sha256_json(self.manifest['files'])[:12]

  @classmethod
  def open(cls, path: str | os.PathLike | None = None, features: Mapping | None = None) -> 'Library':
    """Opens a library directory; by default the shipped one.

    `features`: extractors of the queries by modality (scene, face, text, sound): an extractor, a mapping with any of
    name, version and width, or a name. Raises BadInput where the library was built with others, and where it is missing
    or broken.
    """
    folder = epath.Path(path or SHIPPED)
    manifest = _read_manifest(folder)
    check_extractors(manifest['extractors'], features or {}, folder)
    try:
      fault = changed_file(folder, manifest['files'], CHECKED_BYTES)
      if fault:
        raise _broken(folder, fault)
      rows = (folder / 'clips.jsonl').read_text(encoding='utf-8').splitlines()
      clips = [_clip_of(json.loads(row)) for row in rows]
      arrays = {name: _load_array(folder / f'{name}.npy') for name in (*EMBEDDINGS, 'prosody')}
      widths = {m: manifest['extractors'][m]['width'] for m in EMBEDDINGS} | {'prosody': len(PROSODY)}
      for name, array in arrays.items():
        expected = (manifest['clips'], widths[name])
        if array.shape != expected or len(clips) != manifest['clips'] or array.dtype.kind != 'f':
          raise ValueError(f'{name}.npy has shape {array.shape} ({array.dtype}) for {len(clips)} clips, not {expected}')
    except BadInput:
      raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError, EOFError) as error:
      raise _broken(folder, (str(error) or type(error).__name__).splitlines()[0]) from None
    prosody = np.asarray(arrays.pop('prosody'), np.float32)
    return cls(clips, arrays, prosody, manifest, folder)

  @classmethod
  def build(
    cls,
    path: str | os.PathLike,
    clips: Sequence[LibraryClip],
    embeddings: Mapping[str, np.ndarray],
    prosody: Sequence[Mapping[str, float]],
    extractors: Mapping[str, object],
    licence: str = '',
    media_root: str = '',
    overwrite: bool = False,
    scann: bool | None = None,
    skipped: Sequence[Mapping] = (),
  ) -> 'Library':
    """Writes a library directory atomically and opens it.

    embeddings (N, D) by modality and 'sound', with zero rows where a clip has none; stored as float16, which changes a
    cosine by less than 1e-3. prosody: `measure_prosody` of each clip. extractors: as in `open`,
    with name, version and width. licence: of the sources. scann: whether to build ScaNN indices; by
    default for libraries where they are faster. skipped: rows of skipped.jsonl about skipped clips.

    Raises BadInput for no clips, for clips with equal keys, and where `path` exists and `overwrite` is false.
    """
    folder = epath.Path(path)
    check_absent(folder, overwrite)
    if not clips:
      raise BadInput(f'no clip to put into the library {folder}: check the data')
    keys = [clip.key for clip in clips]
    if len(set(keys)) < len(keys):
      twice = next(key for key in keys if keys.count(key) > 1)
      raise BadInput(f'two clips have the key {twice}: keys are set/speaker/id and stand for one clip each')
    # Equal similarities are resolved to the lower row: sorting by hash avoids a bias to some speakers.
    order = sorted(range(len(clips)), key=lambda i: sha256_text(keys[i]))
    arrays = {m: np.asarray(embeddings[m], np.float16)[order] for m in EMBEDDINGS}
    arrays['prosody'] = np.array([[prosody[i].get(p, np.nan) for p in PROSODY] for i in order], np.float32)

    with disk_errors(folder), atomic_folder(folder) as partial:
      rows = [json.dumps(_without_empty(asdict(clips[i])), ensure_ascii=False) for i in order]
      (partial / 'clips.jsonl').write_text('\n'.join(rows) + '\n')
      for name, array in arrays.items():
        with (partial / f'{name}.npy').open('wb') as file:
          np.save(file, array)
      manifest = {
        'format': FORMAT,
        'clips': len(clips),
        'extractors': {m: extractor_identity(extractors[m]) for m in EMBEDDINGS},
        'licence': licence,
        'media_root': str(media_root),
        'files': {f'{name}': sha256_file(partial / name) for name in ('clips.jsonl', *(f'{n}.npy' for n in arrays))},
      }
      (partial / 'manifest.json').write_text(json.dumps(manifest, indent=2) + '\n')
      if skipped:
        (partial / 'skipped.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in skipped))
      if scann or (scann is None and len(clips) >= SMALL_LIBRARY):
        for m in MODALITIES:
          rows = unit_rows(arrays[m], HALVES.get(m, 1))
          ScannSearch.build(rows).save(Path(partial) / 'scann' / m)
    return cls.open(folder)

  def retrieve(
    self,
    reading: Reading,
    count: int = 3,
    exclude_key: str = '',
    exclude_speaker: str = '',
    search: str = 'exact',
    exclude_media: str | os.PathLike = '',
    exclude_span: tuple[float, float] | None = None,
  ) -> Exemplars:
    """Retrieves the `count` most similar clips, for each modality that query and library have.

    The target itself is excluded: `exclude_key` is its key, `exclude_media` its file, for a clip without a key, and
    `exclude_span` its start and end (s) where the file contains more than the target. `exclude_speaker` excludes all
    clips of a speaker. `search`: 'exact' or 'scann'. Similarities are cosines; for text the mean of those of line and
    reaction. Raises BadInput for a query of another width.
    """
    allowed = self._other_media(exclude_media, exclude_span)
    embeddings = {m: reading.embedding(m)[None] for m, seen in zip(MODALITIES, reading.present, strict=True) if seen}
    rows, similarity = self.retrieve_rows(embeddings, [exclude_key], [exclude_speaker], count, search, allowed)
    refs, sounds, refs_present, sounds_present = self.gather(rows[0])
    clips = {
      m: tuple(self.exemplar(row, score) for row, score in zip(rows[0, i], similarity[0, i], strict=True) if row >= 0)
      for i, m in enumerate(MODALITIES)
    }
    return Exemplars(clips, refs, sounds, refs_present, sounds_present)

  def retrieve_rows(
    self,
    embeddings: Mapping[str, np.ndarray],
    exclude_keys: Sequence[str] | None = None,
    exclude_speakers: Sequence[str] | None = None,
    count: int = 3,
    search: str = 'exact',
    allowed: np.ndarray | None = None,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Batched retrieval, as precomputed for training.

    embeddings (B, D) by modality; a zero row or a missing modality retrieves nothing. exclude_keys and
    exclude_speakers: B each, '' for none. allowed (N,) bool: the permitted clips.
    -> rows (B, 3, count) int32 of this library, best first, -1 where fewer, and their
    similarities (B, 3, count) float32.
    """
    batch = len(next(iter(embeddings.values()))) if embeddings else 1
    rows = np.full((batch, len(MODALITIES), count), -1, np.int32)
    similarity = np.full(rows.shape, -np.inf, np.float32)
    for i, m in enumerate(MODALITIES):
      if m not in embeddings or not self.present[m].any():
        continue
      queries = np.asarray(embeddings[m], np.float32)
      width = self.embeddings[m].shape[1]
      if queries.ndim != 2 or queries.shape[1] != width:
        raise BadInput(
          f'the {m} embedding is {queries.shape[-1]} wide, the library {self.folder} has {width}: '
          'they come from different extractors; index the library again or open another'
        )
      searcher = self._searcher(m, search)
      mask = self.present[m] if allowed is None else self.present[m] & allowed
      for first in range(0, batch, 256):  # bounds the similarity matrix
        part = slice(first, first + 256)
        excluded = self._excluded(exclude_keys, exclude_speakers, part)
        keep = None if mask.all() and excluded is None else mask if excluded is None else mask & ~excluded
        rows[part, i], similarity[part, i] = searcher(unit_rows(queries[part], HALVES.get(m, 1)), count, keep)
      nothing = ~queries.any(axis=1)
      rows[nothing, i], similarity[nothing, i] = -1, -np.inf
    return rows, similarity

  def gather(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Inputs of the director's graphs: rows (..., 3, K), -1 for none ->
    refs by modality (..., K, D) float32, sounds (..., 3, K, Da) float32, refs_present and sounds_present
    (..., 3, K) bool. Absent ones are zero."""
    refs_present = rows >= 0
    at = np.maximum(rows, 0)
    refs = {
      m: np.asarray(self.embeddings[m][at[..., i, :]], np.float32) * refs_present[..., i, :, None]
      for i, m in enumerate(MODALITIES)
    }
    sounds_present = refs_present & self.present['sound'][at]
    sounds = np.asarray(self.embeddings['sound'][at], np.float32) * sounds_present[..., None]
    return refs, sounds, refs_present, sounds_present

  def exemplar(self, row: int, similarity: float = 1.0) -> Exemplar:
    """Clip `row` as an Exemplar. Its prosody has the measures (PROSODY) and their deviations from the speaker's neutral
    baseline: pace_ratio, pitch_shift (semitones), range_ratio, loudness_shift (dB) and pauses_shift. Unknown values are
    omitted."""
    clip = self.clips[row]
    measured = {p: float(v) for p, v in zip(PROSODY, self.prosody[row], strict=True) if np.isfinite(v)}
    baseline = dict(zip(PROSODY, self._baseline(clip.speaker), strict=True))
    baseline = {p: float(baseline[p]) for p in measured if np.isfinite(baseline[p])}
    relative = {}
    if baseline.get('pace'):
      relative['pace_ratio'] = measured['pace'] / baseline['pace']
    if baseline.get('pitch'):
      relative['pitch_shift'] = 12 * float(np.log2(measured['pitch'] / baseline['pitch']))
    if baseline.get('range'):
      relative['range_ratio'] = measured['range'] / baseline['range']
    relative |= {f'{p}_shift': measured[p] - baseline[p] for p in ('loudness', 'pauses') if p in baseline}
    media = self.media_path(clip)
    return Exemplar(clip.key, float(similarity), clip.text, clip.emotion, media, measured | relative)

  def media_path(self, clip: LibraryClip) -> str:
    """Path of a clip's media, '' where not found: under the folder it was indexed from, else under DUBBER_DATA, by
    default ../shared/data of the checkout."""
    roots = (self.manifest.get('media_root', ''), os.environ.get('DUBBER_DATA') or DEFAULT_DATA)
    paths = (os.path.join(root, clip.media) for root in roots if root and clip.media)
    return next((path for path in paths if os.path.exists(path)), '')

  @functools.cached_property
  def _baselines(self) -> dict[str, np.ndarray]:
    """Baseline prosody (5,) by speaker, '' for all speakers: medians over neutral clips where there are MIN_BASELINE,
    else over all clips of the speaker."""
    neutral = np.array([clip.emotion == 'neutral' for clip in self.clips])

    def baseline(own):
      chosen = own & neutral if (own & neutral).sum() >= MIN_BASELINE else own
      columns = self.prosody[chosen].T
      return np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else np.nan for c in columns])

    everyone = baseline(np.ones(len(self), bool))
    found = {'': everyone}
    for speaker in set(self.speakers.tolist()) - {''}:
      own = self.speakers == speaker
      if own.sum() >= MIN_BASELINE:
        found[speaker] = np.where(np.isfinite(baseline(own)), baseline(own), everyone)
    return found

  def _baseline(self, speaker):
    return self._baselines.get(speaker, self._baselines[''])

  def _searcher(self, modality, search):
    if (modality, search) in self._searchers:
      return self._searchers[modality, search]
    rows = unit_rows(self.embeddings[modality], HALVES.get(modality, 1))
    if search == 'exact':
      searcher = ExactSearch(rows)
    elif search == 'scann':
      index = Path(self.folder) / 'scann' / modality
      searcher = ScannSearch.load(index, rows) if index.exists() else ScannSearch.build(rows)
    else:
      raise BadInput(f"search is {search!r}: choose 'exact' or 'scann'")
    self._searchers[modality, search] = searcher
    return searcher

  def _excluded(self, keys, speakers, part) -> np.ndarray | None:
    """Excluded clips (b, N) bool, or None where there are none. '' as a key or speaker excludes nothing."""
    excluded = None
    for names, own in ((keys, self.keys), (speakers, self.speakers)):
      names = np.array(list(names[part])) if names is not None else np.array([])
      if (names != '').any():
        same = (names[:, None] == own) & (names[:, None] != '')
        excluded = same if excluded is None else excluded | same
    return excluded

  def _other_media(self, path, span) -> np.ndarray | None:
    if not path:
      return None
    path = os.path.realpath(path)
    start, end = span or (-np.inf, np.inf)

    def is_target(clip):
      overlaps = (clip.start is None or clip.start < end) and (clip.end is None or clip.end > start)
      media = self.media_path(clip)
      return overlaps and media and os.path.realpath(media) == path

    return np.array([not is_target(clip) for clip in self.clips])


def check_extractors(built_with: Mapping, features: Mapping, folder: str | os.PathLike) -> None:
  """Raises BadInput where a library was built with other extractors than `features` names."""
  for modality, extractor in features.items():
    asked = extractor_identity(extractor)
    had = {k: v for k, v in built_with.get(modality, {}).items() if k in asked}
    if modality in EMBEDDINGS and had != asked:
      raise BadInput(
        f'library {folder} has {modality} embeddings of {_identity_text(had)}, '
        f'these features are of {_identity_text(asked)}: '
        'index the library again with `dubber index`, or open one that was built with them'
      )


def check_absent(folder: epath.Path, overwrite: bool) -> None:
  """Raises BadInput where a library cannot be written. Also called before long work."""
  if not folder.exists():
    return
  if not overwrite:
    raise BadInput(f'library {folder} exists already: pass --overwrite or choose another folder')
  if not folder.is_dir() or (any(folder.iterdir()) and not (folder / 'manifest.json').exists()):
    raise BadInput(f'{folder} is not a library, so it is not overwritten: choose another folder')


def _clip_of(row: Mapping) -> LibraryClip:
  """A clip of its row. Raises TypeError or ValueError where that is not one."""
  clip = LibraryClip(**{**row, 'present': tuple(row['present'])})
  texts = (clip.key, clip.speaker, clip.text, clip.emotion, clip.media, *clip.captions, *clip.captions.values())
  times = (clip.seconds, *(edge for edge in (clip.start, clip.end) if edge is not None))
  if not all(isinstance(text, str) for text in texts) or not set(clip.present) <= set(EMBEDDINGS):
    raise ValueError(f'clips.jsonl: the row of {clip.key!r} is no clip')
  if not all(isinstance(time, int | float) and math.isfinite(time) for time in times):
    raise ValueError(f'clips.jsonl: {clip.key} has times that are no seconds')
  return clip


def _identity_text(identity):
  return ' '.join(str(value) for value in identity.values()) or 'none'


def _read_manifest(folder) -> dict:
  if not folder.is_dir():
    raise BadInput(f'there is no library at {folder}: build one with `dubber index DATA -o {folder}`')
  try:
    manifest = json.loads((folder / 'manifest.json').read_text())
    if manifest['format'] != FORMAT:
      raise BadInput(f'library {folder} has format {manifest["format"]}, this dubber reads {FORMAT}: index it again')
    if not {'clips', 'extractors', 'files'} <= manifest.keys() or not set(EMBEDDINGS) <= manifest['extractors'].keys():
      raise ValueError('manifest.json is incomplete')
    parts = (manifest['files'], *manifest['extractors'].values())
    if not all(isinstance(part, dict) for part in parts):
      raise ValueError('manifest.json has parts of the wrong type')
    if not all(isinstance(text, str) for text in (*manifest['files'].values(), manifest.get('media_root', ''))):
      raise ValueError('manifest.json has parts of the wrong type')
    return manifest
  except FileNotFoundError:
    raise _broken(folder, 'manifest.json is missing') from None
  except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
    if isinstance(error, BadInput):
      raise
    raise _broken(folder, f'manifest.json cannot be read ({error})') from None


def _broken(folder, reason) -> BadInput:
  return BadInput(f'broken library {folder}: {reason}; build it again with `dubber index`')


def _load_array(path) -> np.ndarray:
  if Path(path).exists():
    return np.load(path, mmap_mode='r', allow_pickle=False)
  with path.open('rb') as file:
    return np.load(file, allow_pickle=False)


def _without_empty(row: dict) -> dict:
  return {k: v for k, v in row.items() if v not in (None, '', {}) or k in ('key', 'present')}
