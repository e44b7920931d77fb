"""Which lines the teacher speaks, in which voice and how: a fixed function of the settings here and of the texts.

The first English rows are those of kokoro.jsonl, which are spoken already. After them each row goes to the voice, the
kind of line (training, validation, test) and the source of text that are furthest behind their shares, so that the
first rows of a plan are a balanced corpus, however many they are. Mandarin has a plan of its own, whose rows follow.
"""

import dataclasses
import functools
import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from data_pipelines import teacher_mandarin
from data_pipelines.recordings import data_root
from data_pipelines.teacher_speech import Edit
from dubber_jax.errors import BadInput
from dubber_jax.storage.hashing import sha256_bytes, sha256_text

SEED = 20261130
ENGLISH_ROWS = 8250
MANDARIN_ROWS = 1500  # of another plan, after the English rows: as many for each of its eight voices

# Stock voices, by Kokoro's own grades. The first letter is the accent, the second the sex.
BEST_VOICES = tuple(
  'af_heart af_bella af_aoede af_kore af_sarah am_michael am_fenrir am_puck bf_emma bf_isabella bm_george '
  'bm_fable'.split()
)
OTHER_VOICES = tuple(
  'af_alloy af_jessica af_nova af_river af_sky am_adam am_echo am_eric am_liam am_onyx bf_alice bf_lily bm_daniel '
  'bm_lewis'.split()
)
UNSEEN_STOCK = ('af_river', 'am_onyx')  # never trained on by themselves, nor in a blend made here
UNSEEN_BLENDS = ('blend_60', 'blend_61', 'blend_62', 'blend_63')
BLENDS, BLENDS_SEED = 60, 7  # as in most of kokoro.jsonl; its other blends are called early_NN here
ROWS_PER_VOICE = {'best': 110, 'rest': 70, 'blend': 50, 'unseen': 40}  # 12, 12, 117 and 6 voices: ENGLISH_ROWS in all

HELD_OUT_ROWS = 10  # a voice, of texts that no training row has
HELD_OUT_LINES = 70  # film lines held back for those, besides the prompts held back elsewhere
HELD_OUT_MANDARIN = 40  # of the Mandarin lines, besides the test lines: ten a voice, each in two voices
HELD_OUT_TRANSLATIONS = 96  # film lines that are trained on in neither language
NEAR_TEST_LINES = ('w2-0601',)  # film lines that are nearly one of experiments/data/emotional_lines.jsonl
SOURCES = {'lines': 0.6, 'arctic': 0.2, 'ljspeech': 0.2}  # shares of training rows
EDITED_SHARE = 0.4  # share of rows with changed pitch and energy


@dataclasses.dataclass(frozen=True)
class ProsodyRanges:
  """What the edits and the paces of a language are drawn from, uniformly."""

  shift: tuple[float, float]  # semitones
  narrow: tuple[float, float]  # factors of range, of one half of the edits
  wide: tuple[float, float]  # and of the other half
  slope: tuple[float, float]  # semitones
  energy: tuple[float, float]  # natural log
  pace: tuple[float, float]  # of rows without an edit
  edited_pace: tuple[float, float]


PROSODY_RANGES = {  # milder in Mandarin, whose tones have to be heard
  'en': ProsodyRanges((-4.0, 8.0), (0.5, 1.0), (1.0, 1.9), (-2.0, 3.0), (-1.0, 1.0), (0.85, 1.2), (0.75, 1.35)),
  'zh': ProsodyRanges((-3.0, 6.0), (0.7, 1.0), (1.0, 1.6), (-1.0, 1.5), (-1.0, 1.0), (0.85, 1.2), (0.8, 1.3)),
}


@dataclasses.dataclass(frozen=True)
class Text:
  """What can be said. `held`: 'test' or 'validation' where no training row may have it, else ''."""

  source: str  # as lines:w1-0001, lines_zh:w1-0001-zh, arctic:arctic_a0001, ljspeech:LJ001-0001
  text: str
  emotion: str  # of the line as it was written
  held: str
  language: str = 'en'


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the corpus. `file`, `phonemes` and `durations`: of a row that is spoken already."""

  id: str
  source: str
  text: str
  emotion: str  # of the line as it was written: the teacher speaks them all alike
  language: str
  voice: str
  shares: tuple[tuple[str, float], ...]
  speed: float
  edit: Edit | None
  seed: int
  split: str
  file: str = ''
  phonemes: str = ''
  durations: tuple[int, ...] = ()

  @property
  def speaker(self) -> str:
    return f'kokoro_{self.voice}'

  @property
  def key(self) -> str:
    return f'kokoro/{self.speaker}/{self.id}'

  @property
  def path(self) -> str:
    """What a message calls it by."""
    return f'{self.id} ({self.source})'


def english_plan(root=None) -> list[Row]:
  """The 8,250 English rows; kokoro.jsonl's come first. `root`: the folder of data_root."""
  folder = data_root(root)
  texts = read_texts(folder)
  rows = recorded_rows(folder, texts)
  choices = _choices(rows, texts, all_voices(rows), ENGLISH_ROWS, rows_per_voice, SOURCES)
  return rows + [new_row(number, *choice) for number, choice in enumerate(choices, len(rows))]


def mandarin_plan(root=None) -> list[Row]:
  """The 1,500 Mandarin rows, in eight voices. `root`: the folder of data_root."""
  voices = {name: {name: 1.0} for name in teacher_mandarin.VOICES}
  texts = read_mandarin(data_root(root))
  choices = _choices([], texts, voices, MANDARIN_ROWS, lambda _: MANDARIN_ROWS / len(voices), {'lines_zh': 1.0})
  return [new_row(number, *choice) for number, choice in enumerate(choices)]


def plan_hash(rows: list[Row]) -> str:
  """sha256 of all that the rows say. Two machines with one hash make the same corpus."""
  texts = (json.dumps(dataclasses.asdict(row), ensure_ascii=False, sort_keys=True) for row in rows)
  return sha256_bytes(*(text.encode() for text in texts))


# Voices


def all_voices(ready: list[Row]) -> dict[str, dict[str, float]]:
  """Shares of stock voices by voice: 26 stock voices, 64 blends of two or three of one sex, and those of the rows that
  are spoken already."""
  return (
    {name: {name: 1.0} for name in BEST_VOICES + OTHER_VOICES}
    | blends()
    | {row.voice: dict(row.shares) for row in ready}
  )


def is_unseen(voice: str) -> bool:
  """Whether no training row may be in this voice."""
  return voice in UNSEEN_STOCK or voice in UNSEEN_BLENDS


def rows_per_voice(voice: str) -> int:
  """How many rows of the plan are in this voice."""
  kind = (
    'unseen' if is_unseen(voice) else 'best' if voice in BEST_VOICES else 'rest' if voice in OTHER_VOICES else 'blend'
  )
  return ROWS_PER_VOICE[kind]


def blends() -> dict[str, dict[str, float]]:
  """The 60 blends of kokoro.jsonl, and four unseen ones, two of each sex."""
  draw, made = random.Random(BLENDS_SEED), {}
  while len(made) < BLENDS:
    sex = draw.choice('fm')
    names = draw.sample([v for v in BEST_VOICES + OTHER_VOICES if v[1] == sex], draw.choice([2, 3]))
    made[f'blend_{len(made):02d}'] = _normalized(names, [draw.uniform(0.2, 1) for _ in names])
  for number, name in enumerate(UNSEEN_BLENDS):
    draw = random.Random(_seed(name))
    own = [v for v in BEST_VOICES + OTHER_VOICES if v[1] == 'fm'[number % 2] and v not in UNSEEN_STOCK]
    names = draw.sample(own, 2 + number // 2)
    made[name] = _normalized(names, sorted((draw.uniform(0.3, 1) for _ in names), reverse=True))
  return made


def _normalized(names, weights):
  return {name: round(weight / sum(weights), 2) for name, weight in zip(names, weights, strict=True)}


# Texts


def held_out_translations(root=None) -> frozenset[str]:
  """Ids of the 96 film lines that are trained on in no voice, neither in English nor in their Mandarin version."""
  translated = {row['of'] for row in _listing(data_root(root), 'lines_zh')}
  return frozenset(sorted(translated, key=_shuffle_key)[:HELD_OUT_TRANSLATIONS])


def read_texts(folder: Path) -> dict[str, Text]:
  """Texts by source, from film lines and the prompts of recordings, with what is held back of them.

  Held back are what is test or validation in any set, by prompt and by text, the held translations, NEAR_TEST_LINES,
  and HELD_LINES film lines more.
  """
  said: dict[str, str] = {}
  emotions, splits = {}, defaultdict(set)
  for name in ('kokoro', 'ljspeech', 'teacher', 'kathleen'):
    for row in _listing(folder, name):
      source = source_of(row['prompt'])
      said.setdefault(source, row['text'])
      splits[source].add(row['split'])
      splits[_letters(row['text'])].add(row['split'])
  spoken = {source for source in said if source.startswith('lines:')}
  for row in _listing(folder, 'lines'):
    source = f'lines:{row["id"]}'
    said[source], emotions[source] = row['text'], row['emotion']
  near = [line for line in NEAR_TEST_LINES if f'lines:{line}' in said]
  for line in (*held_out_translations(folder), *near):
    splits[f'lines:{line}'].add('test')
    splits[_letters(said[f'lines:{line}'])].add('test')
  free = [s for s in emotions if s not in spoken and not _held(splits, s, said[s])]
  for source in sorted(free, key=_shuffle_key)[:HELD_OUT_LINES]:
    splits[source].add('validation')
    splits[_letters(said[source])].add('validation')
  return {
    source: Text(source, text, emotions.get(source, 'neutral'), _held(splits, source, text))
    for source, text in said.items()
  }


def read_mandarin(folder: Path) -> dict[str, Text]:
  """The film lines of lines_zh.jsonl by source. What is held back in English is held back here, and some lines more, so
  that HELD_MANDARIN are for validation."""
  english, lines = read_texts(folder), _listing(folder, 'lines_zh')
  held = {row['id']: english[f'lines:{row["of"]}'].held for row in lines}
  free = sorted((line for line in held if not held[line]), key=_shuffle_key)
  held |= dict.fromkeys(free[: max(0, HELD_OUT_MANDARIN - Counter(held.values())['validation'])], 'validation')
  texts = (Text(f'lines_zh:{r["id"]}', r['text'], r['emotion'], held[r['id']], 'zh') for r in lines)
  return {text.source: text for text in texts}


def source_of(prompt: str) -> str:
  """The name of a prompt with that of the texts it is of."""
  kinds = {'ar': 'arctic', 'LJ': 'ljspeech', 'w1': 'lines', 'w2': 'lines'}
  if prompt[:2] not in kinds:
    raise BadInput(f'the prompt {prompt!r} is of no known texts: it begins with {", ".join(kinds)}')
  return f'{kinds[prompt[:2]]}:{prompt}'


def _held(splits, source, text):
  found = splits.get(source, set()) | splits.get(_letters(text), set())
  return next((split for split in ('test', 'validation') if split in found), '')


def _letters(text):
  """Text by its letters and digits alone, so that one sentence in two sets is one."""
  return ''.join(c for c in text.lower() if c.isalnum())


def _seed(name: str) -> int:
  return int(_shuffle_key(name)[:8], 16)


@functools.cache
def _shuffle_key(name: str) -> str:
  """Names sorted by this are shuffled, the same way everywhere."""
  return sha256_text(f'{SEED} {name}')


def _listing(folder: Path, name: str) -> list[dict]:
  path = folder / f'{name}.jsonl'
  try:
    return [json.loads(row) for row in path.read_text(encoding='utf-8').splitlines()]
  except (OSError, ValueError) as e:
    raise BadInput(f'{path}: cannot be read ({e}); set DUBBER_DATA to the folder that holds it') from e


# Rows


def recorded_rows(folder: Path, texts: dict[str, Text]) -> list[Row]:
  """The rows of kokoro.jsonl, in its order, with splits as held back here.

  Two sets of blends were given the same names there: the one that `blends` does not give is called early_NN.
  """
  rows, made = [], blends()
  for r in _listing(folder, 'kokoro'):
    text = texts[source_of(r['prompt'])]
    voice = r['speaker'].removeprefix('kokoro_')
    if voice in made and r['voice'] != made[voice]:
      voice = voice.replace('blend', 'early')
    rows.append(
      Row(
        r['id'],
        text.source,
        r['text'],
        text.emotion,
        'en',
        voice,
        tuple(r['voice'].items()),
        r['speed'],
        Edit(**r['edit']) if r['edit'] else None,
        0,
        split_of(text, voice),
        r['file'],
        r['phones'],
        tuple(r['durations']),
      )
    )
  return rows


def split_of(text: Text, voice: str) -> str:
  return text.held or ('validation' if is_unseen(voice) else 'train')


def new_row(number: int, voice: str, shares: dict[str, float], text: Text) -> Row:
  """Row `number` of its language's plan: its manner of speaking is drawn from its own seed."""
  identity, manner = f'{text.language}{number:05d}', PROSODY_RANGES[text.language]
  seed = _seed(identity)
  draw = random.Random(seed)
  edit, pace = None, manner.pace
  if draw.random() < EDITED_SHARE:
    edit = Edit(
      round(draw.uniform(*manner.shift), 1),
      round(draw.uniform(*(manner.narrow if draw.random() < 0.5 else manner.wide)), 2),
      round(draw.uniform(*manner.slope), 1),
      round(draw.uniform(*manner.energy), 2),
    )
    pace = manner.edited_pace
  return Row(
    identity,
    text.source,
    text.text,
    text.emotion,
    text.language,
    voice,
    tuple(shares.items()),
    round(draw.uniform(*pace), 2),
    edit,
    seed,
    split_of(text, voice),
  )


def _choices(
  rows: list[Row],
  texts: dict[str, Text],
  made: dict[str, dict[str, float]],
  total: int,
  rows_of: Callable[[str], float],
  sources: dict[str, float],
):
  """(voice, shares, text) of each row after `rows`, until there are `total`. `made`: shares by voice; rows_of: how many
  rows each gets; sources: shares of the training rows."""
  spoken = {(row.voice, row.source) for row in rows}
  times = Counter(row.source for row in rows)
  by_voice = Counter(row.voice for row in rows)
  by_source = Counter(row.source.split(':')[0] for row in rows if not texts[row.source].held)
  held_of = Counter(row.voice for row in rows if texts[row.source].held == 'validation')
  queues = {source: _queue(texts, times, source=source) for source in sources}
  held = {kind: _queue(texts, times, held=kind) for kind in ('validation', 'test')}
  tests = deque(source for source in held['test'] if not times[source])  # each is said once
  apart, next_test = (total - len(rows)) // max(1, len(tests)), len(rows)
  for number in range(len(rows), total):
    voice = _most_underrepresented({v: rows_per_voice(v) * (number + 1) / total - by_voice[v] for v in made})
    due = (
      HELD_OUT_ROWS * ((by_voice[voice] + 1) / rows_per_voice(voice)) ** 2
    )  # more of them late: training rows come first
    last_chance = rows_per_voice(voice) - by_voice[voice] <= HELD_OUT_ROWS - held_of[voice]
    if tests and number >= next_test and not is_unseen(voice) and not last_chance:
      source, next_test = tests.popleft(), next_test + apart
    elif due > held_of[voice] + 0.5 or last_chance:
      source = _next(held['validation'], voice, spoken)
      held_of[voice] += 1
    else:
      count = sum(by_source.values()) + 1
      kind = _most_underrepresented({s: share * count - by_source[s] for s, share in sources.items()})
      source = _next(queues[kind], voice, spoken)
      by_source[kind] += 1
    by_voice[voice] += 1
    spoken.add((voice, source))
    yield voice, made[voice], texts[source]


def _most_underrepresented(behind: dict[str, float]) -> str:
  return max(behind, key=lambda name: (round(behind[name], 6), _shuffle_key(name)))


def _queue(texts, times, source='', held=''):
  """Texts to go through again and again: those said least first, and emotions in turn."""
  chosen = sorted(
    (t for t in texts.values() if t.held == held and t.source.startswith(source)), key=lambda t: _shuffle_key(t.source)
  )
  place, seen = {}, Counter()
  for t in chosen:
    place[t.source] = seen[times[t.source], t.emotion]
    seen[times[t.source], t.emotion] += 1
  return deque(t.source for t in sorted(chosen, key=lambda t: (times[t.source], place[t.source])))


def _next(queue: deque, voice: str, spoken: set) -> str:
  """The first text of the queue that this voice has not said, which goes to its end."""
  for source in queue:
    if (voice, source) not in spoken:
      queue.remove(source)
      queue.append(source)
      return source
  raise BadInput(f'{voice} has said every text there is: there are too few for the plan')
