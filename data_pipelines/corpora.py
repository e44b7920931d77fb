"""Readers of the original directory layouts of GRID, RAVDESS, CREMA-D and V2C-Animation, and of a folder of clips.

FINDERS maps a data set's name to a function from its folder to its recordings. A folder with a listing NAME.jsonl is
read by that instead (recordings.py), with the same keys, speakers, emotions and texts.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from data_pipelines.recordings import FILMS, Recording, read_recordings, spoken_grid
from dubber_jax.errors import BadInput
from dubber_jax.retrieval.build import find_footage
from dubber_jax.types import EMOTIONS

GRID_UNSEEN = ('s2', 's3', 's4', 's5')  # speakers held out from training
GRID_UNITS = 25_000  # units of an alignment file in a second
GRID_WORDS = (
  {'b': 'bin', 'l': 'lay', 'p': 'place', 's': 'set'},
  {'b': 'blue', 'g': 'green', 'r': 'red', 'w': 'white'},
  {'a': 'at', 'b': 'by', 'i': 'in', 'w': 'with'},
  {letter: letter for letter in 'abcdefghijklmnopqrstuvwxyz'},
  dict(zip('z123456789', 'zero one two three four five six seven eight nine'.split(), strict=True)),
  {'a': 'again', 'n': 'now', 'p': 'please', 's': 'soon'},
)

RAVDESS_EMOTIONS = ('neutral', 'neutral', 'happy', 'sad', 'angry', 'fear', 'disgust', 'surprise')  # calm is neutral
RAVDESS_TEXTS = ('Kids are talking by the door.', 'Dogs are sitting by the door.')

CREMAD_UNSEEN = 1010  # actors below this number are the test set
CREMAD_EMOTIONS = {'ANG': 'angry', 'DIS': 'disgust', 'FEA': 'fear', 'HAP': 'happy', 'NEU': 'neutral', 'SAD': 'sad'}
CREMAD_TEXTS = {
  'IEO': "It's eleven o'clock.",
  'TIE': 'That is exactly what happened.',
  'IOM': "I'm on my way to the meeting.",
  'IWW': 'I wonder what this is about.',
  'TAI': 'The airplane is almost full.',
  'MTI': 'Maybe tomorrow it will be cold.',
  'IWL': 'I would like a new alarm clock.',
  'ITH': "I think I have a doctor's appointment.",
  'DFA': "Don't forget a jacket.",
  'ITS': "I think I've seen this before.",
  'TSI': 'The surface is slick.',
  'WSI': "We'll stop in a couple of minutes.",
}


def find_grid(root: Path) -> list[Recording]:
  """GRID: films s1/video/*.mpg (or deeper), words s1/align/*.align or align/s1/*.align; else by the film's name."""
  found = {}
  for path in _media(root, '.mpg'):
    speaker = next((p for p in path.parts[::-1] if re.fullmatch(r's\d+', p)), None)
    if speaker is None or not (spelled := _spell_grid(path.stem)):
      continue
    words = _grid_words(root, speaker, path.stem)
    text = ' '.join(w for _, _, w in words if w not in ('sil', 'sp')) or spelled
    split = 'test_unseen' if speaker in GRID_UNSEEN else 'train'
    r = Recording('grid', path.stem, speaker, path, spoken_grid(text), 'neutral', split, True, words)
    found.setdefault(r.key, r)  # each clip exists in two resolutions
  return list(found.values())


def _spell_grid(name: str) -> str:
  """The sentence that a file name encodes: bbaf2n is "bin blue at f two now"; '' for another name."""
  if len(name) != len(GRID_WORDS) or not all(c in table for c, table in zip(name, GRID_WORDS, strict=True)):
    return ''
  return ' '.join(table[c] for c, table in zip(name, GRID_WORDS, strict=True))


def _grid_words(root: Path, speaker: str, name: str) -> tuple:
  """(start s, end s, word) of a clip's alignment file; () without one."""
  places = (
    f'{speaker}/align/{name}',
    f'align/{speaker}/{name}',
    f'alignments/{speaker}/{name}',
    f'align/{name}',
    f'{speaker}/{name}',
  )
  path = next((p for p in (root / f'{place}.align' for place in places) if p.exists()), None)
  if path is None:
    return ()
  rows = [row.split() for row in path.read_text(encoding='utf-8').splitlines() if row.strip()]
  try:
    return tuple((int(a) / GRID_UNITS, int(b) / GRID_UNITS, word) for a, b, word in rows)
  except ValueError:
    raise BadInput(f'{path}: not an alignment file of GRID (rows of start, end, word); take it out') from None


def find_ravdess(root: Path) -> list[Recording]:
  """RAVDESS: speech, Actor_01/03-01-06-01-02-01-01.wav; videos (01-...mp4) take precedence over their sound alone."""
  found = {}
  for path in _media(root, '.mp4', '.wav'):
    codes = re.fullmatch(r'(\d\d)-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)', path.stem)
    if not codes or codes[1] == '02':  # 02: video without sound; -02- in the second place: sung
      continue
    actor = int(codes[6])
    split = 'train_a' if actor <= 10 else 'train_b' if actor <= 18 else 'test'
    film = codes[1] == '01'
    r = Recording(
      'ravdess',
      path.stem,
      f'ravdess_{actor:02d}',
      path,
      RAVDESS_TEXTS[int(codes[4]) - 1],
      RAVDESS_EMOTIONS[int(codes[2]) - 1],
      split,
      film,
    )
    if film or path.stem[2:] not in found:
      found[path.stem[2:]] = r
  return list(found.values())


def find_cremad(root: Path) -> list[Recording]:
  """CREMA-D: VideoFlash/1001_DFA_ANG_XX.flv, and AudioWAV or AudioMP3 where there is no video."""
  found = {}
  for path in _media(root, '.flv', '.wav', '.mp3'):
    codes = re.fullmatch(r'(1\d{3})_([A-Z]{3})_([A-Z]{3})_(XX|LO|MD|HI)', path.stem)
    if not codes or codes[2] not in CREMAD_TEXTS or codes[3] not in CREMAD_EMOTIONS:
      continue
    split = 'test' if int(codes[1]) < CREMAD_UNSEEN else 'train'
    r = Recording(
      'cremad',
      path.stem,
      f'cremad_{codes[1]}',
      path,
      CREMAD_TEXTS[codes[2]],
      CREMAD_EMOTIONS[codes[3]],
      split,
      path.suffix == '.flv',
    )
    found.setdefault(path.stem, r)
  return list(found.values())


def find_v2c(root: Path) -> list[Recording]:
  """V2C-Animation: clips Movie/Movie_videos/Name/0034.mp4, with sound and words in Movie/Movie_speeches/Name/00.

  The sound, Name-00-0034.wav, is the film's center channel. Emotions come from emotions.json and splits from train.txt
  and val.txt, if the folder has them; otherwise all clips are neutral and for training.
  """
  labels, splits = _v2c_labels(root), _v2c_splits(root)
  recordings = []
  for path in _media(root, '.mp4', '.mkv'):
    if len(path.parts) < 3 or not path.parts[-3].endswith('_videos'):
      continue
    movie, character = path.parts[-3].removesuffix('_videos'), path.parts[-2]
    beside = path.parents[2] / f'{movie}_speeches' / character / '00' / f'{character}-00-{path.stem}'
    words, sound = (beside.with_name(f'{beside.name}{end}') for end in ('.normalized.txt', '.wav'))
    text = ' '.join(words.read_text(encoding='utf-8', errors='replace').split()) if words.exists() else ''
    speaker = f'{movie[:1].upper()}{movie[1:]}@{character}'
    name = f'{speaker}_00_{path.stem}_00'
    recordings.append(
      Recording(
        'v2c_animation',
        name,
        speaker,
        path,
        text,
        labels.get(name, 'neutral'),
        splits.get(name, 'train'),
        True,
        sound=sound if sound.exists() else None,
      )
    )
  return recordings


def _v2c_labels(root: Path) -> dict[str, str]:
  path = root / 'emotions.json'
  try:
    return {k: EMOTIONS[v] for k, v in json.loads(path.read_text()).items()} if path.exists() else {}
  except (ValueError, TypeError, IndexError, AttributeError) as e:
    raise BadInput(f'{path}: not the labels of V2C-Animation, names with numbers 0 to 7 ({e})') from None


def _v2c_splits(root: Path) -> dict[str, str]:
  listings = ((root / 'train.txt', 'train'), (root / 'val.txt', 'validation'))
  return {
    row.split('|')[0]: split
    for path, split in listings
    if path.exists()
    for row in path.read_text(encoding='utf-8').splitlines()
  }


def find_clips(root: Path) -> list[Recording]:
  """A folder of clips: SPEAKER/clip.mp4 with clip.srt (a recording a line) or clip.txt beside, or a JSON-lines list.

  The speaker is the folder's name unless the subtitle gives one. Clips under train, validation or test have that split.
  """
  recordings = []
  for f in find_footage(root)[1]:
    path, parts = Path(f.path), f.media.split('/')[:-1]
    split = next((p for p in parts if p in ('train', 'validation', 'test')), 'train')
    name = f.key.removeprefix(f'{f.key.split("/")[0]}/{f.key.split("/")[1]}/')
    name = '_'.join([*(p for p in parts[:-1]), name])
    recordings.append(
      Recording('clips', name, f.speaker or 'unknown', path, f.text, f.emotion or 'neutral', split,
                path.suffix.lower() in FILMS, (), f.start, f.end)
    )  # fmt: skip
  return recordings


FINDERS: dict[str, Callable[[Path], list[Recording]]] = {
  'grid': find_grid,
  'ravdess': find_ravdess,
  'cremad': find_cremad,
  'v2c_animation': find_v2c,
  'clip_folder': find_clips,
}


def find_recordings(name: str, root: str | Path) -> list[Recording]:
  """Recordings with a text of data set `name` under `root`, from its listing or its original layout. Raises BadInput
  where there are none, and for two recordings with one key."""
  root = Path(root)
  if not root.is_dir():
    raise BadInput(f'{root}: no such folder; give the one that {name} was unpacked into')
  listed = name != 'clip_folder' and (root / f'{name}.jsonl').exists()
  recordings = read_recordings(name, root) if listed else FINDERS[name](root)
  if not recordings:
    raise BadInput(f'{root}: nothing of {name} in it ({FINDERS[name].__doc__.split(": ", 1)[1].splitlines()[0]})')
  spoken = [r for r in recordings if r.text]
  if not spoken:
    raise BadInput(f'{root}: no clip has a text; put subtitles or a .txt of the same name beside each')
  seen = {}
  for r in spoken:
    if seen.setdefault(r.key, r).path != r.path:  # a list may name the same twice
      raise BadInput(f'{r.path} and {seen[r.key].path} are both {r.key}: rename one')
  return list(seen.values())


def _media(root: Path, *suffixes: str) -> list[Path]:
  """Files with any of these suffixes, in the order of the suffixes, then sorted."""
  return sorted(
    (p for p in root.rglob('*') if p.suffix.lower() in suffixes),
    key=lambda p: (suffixes.index(p.suffix.lower()), str(p)),
  )
