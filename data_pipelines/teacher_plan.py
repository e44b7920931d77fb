"""Plan of the synthetic corpus: text, voice, speaking rate and prosody edit of every row, deterministic.

The first English rows are those of kokoro.jsonl, which are synthesized already. Each further row takes the voice, the
split and the text source that are most below their target share, so that any number of first rows is a balanced corpus.
Mandarin has a plan of its own, whose rows follow.
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
MANDARIN_ROWS = 1500  # of a plan of its own, after the English rows; equally many for each of eight voices

# Stock voices, by Kokoro's own grades. The first letter is the accent, the second the sex.
BEST_VOICES = tuple(
  'af_heart af_bella af_aoede af_kore af_sarah am_michael am_fenrir am_puck bf_emma bf_isabella bm_george '
  'bm_fable'.split()
)
OTHER_VOICES = tuple(
  'af_alloy af_jessica af_nova af_river af_sky am_adam am_echo am_eric am_liam am_onyx bf_alice bf_lily bm_daniel '
  'bm_lewis'.split()
)
UNSEEN_STOCK = ('af_river', 'am_onyx')  # held out from training, alone and in the blends made here
UNSEEN_BLENDS = ('blend_60', 'blend_61', 'blend_62', 'blend_63')
BLENDS, BLENDS_SEED = 60, 7  # those of most of kokoro.jsonl; its other blends are named early_NN here
ROWS_PER_VOICE = {'best': 110, 'rest': 70, 'blend': 50, 'unseen': 40}  # 12, 12, 117 and 6 voices: ENGLISH_ROWS in all

HELD_OUT_ROWS = 10  # a voice, of texts that no training row has
HELD_OUT_LINES = 70  # film lines held out for these, besides prompts that other sets hold out
HELD_OUT_MANDARIN = 40  # Mandarin lines held out besides the test lines: ten a voice, each in two voices
HELD_OUT_TRANSLATIONS = 96  # film lines held out from training in both languages
NEAR_TEST_LINES = ('w2-0601',)  # film lines nearly equal to one of experiments/data/emotional_lines.jsonl
SOURCES = {'lines': 0.6, 'arctic': 0.2, 'ljspeech': 0.2}  # shares of training rows
EDITED_SHARE = 0.4  # share of rows with changed pitch and energy


@dataclasses.dataclass(frozen=True)
class ProsodyRanges:
  """Ranges from which the prosody edits and speaking rates of a language are drawn uniformly."""

  shift: tuple[float, float]  # semitones
  narrow: tuple[float, float]  # factors of range, of one half of the edits
  wide: tuple[float, float]  # and of the other half
  slope: tuple[float, float]  # semitones
  energy: tuple[float, float]  # natural log
  pace: tuple[float, float]  # of rows without an edit
  edited_pace: tuple[float, float]


PROSODY_RANGES = {  # narrower in Mandarin, whose tones must stay recognizable
  'en': ProsodyRanges((-4.0, 8.0), (0.5, 1.0), (1.0, 1.9), (-2.0, 3.0), (-1.0, 1.0), (0.85, 1.2), (0.75, 1.35)),
  'zh': ProsodyRanges((-3.0, 6.0), (0.7, 1.0), (1.0, 1.6), (-1.0, 1.5), (-1.0, 1.0), (0.85, 1.2), (0.8, 1.3)),
}


@dataclasses.dataclass(frozen=True)
class Text:
  """A text to be synthesized. `held`: 'test' or 'validation' where it is held out from training, else ''."""

  source: str  # as lines:w1-0001, lines_zh:w1-0001-zh, arctic:arctic_a0001, ljspeech:LJ001-0001
  text: str
  emotion: str  # of the line as it was written
  held: str
  language: str = 'en'


@dataclasses.dataclass(frozen=True)
class Row:
  """One utterance of the corpus. `file`, `phonemes` and `durations` are those of a row that is synthesized already."""

  id: str
  source: str
  text: str
  emotion: str  # of the text: the teacher's speech does not express it
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
    """Its name in messages."""
    return f'{self.id} ({self.source})'


def english_plan(root: str | Path | None = None) -> list[Row]:
  """The 8,250 English rows; kokoro.jsonl's come first. `root`: the folder of data_root."""
  folder = data_root(root)
  texts = read_texts(folder)
  rows = recorded_rows(folder, texts)
  choices = _choices(rows, texts, all_voices(rows), ENGLISH_ROWS, rows_per_voice, SOURCES)
  return rows + [new_row(number, *choice) for number, choice in enumerate(choices, len(rows))]


def mandarin_plan(root: str | Path | None = None) -> list[Row]:
  """The 1,500 Mandarin rows, in eight voices. `root`: the folder of data_root."""
  voices = {name: {name: 1.0} for name in teacher_mandarin.VOICES}
  texts = read_mandarin(data_root(root))
  choices = _choices([], texts, voices, MANDARIN_ROWS, lambda _: MANDARIN_ROWS / len(voices), {'lines_zh': 1.0})
  return [new_row(number, *choice) for number, choice in enumerate(choices)]


def plan_hash(rows: list[Row]) -> str:
  """SHA-256 of all fields of the rows: equal hashes make equal corpora."""
  texts = (json.dumps(dataclasses.asdict(row), ensure_ascii=False, sort_keys=True) for row in rows)
  return sha256_bytes(*(text.encode() for text in texts))


# Voices


def all_voices(recorded: list[Row]) -> dict[str, dict[str, float]]:
  """Weights of stock voices by voice: 26 stock voices, 64 blends of two or three of one sex, and the voices of the rows
  that are synthesized already."""
  stock = {name: {name: 1.0} for name in BEST_VOICES + OTHER_VOICES}
  return stock | blends() | {row.voice: dict(row.shares) for row in recorded}


def is_unseen(voice: str) -> bool:
  """Whether a voice is held out from training."""
  return voice in UNSEEN_STOCK or voice in UNSEEN_BLENDS


def rows_per_voice(voice: str) -> int:
  """Number of rows of a voice in the English plan."""
  if is_unseen(voice):
    return ROWS_PER_VOICE['unseen']
  return ROWS_PER_VOICE['best' if voice in BEST_VOICES else 'rest' if voice in OTHER_VOICES else 'blend']


def blends() -> dict[str, dict[str, float]]:
  """The 60 blends of kokoro.jsonl, and four held-out ones, two of each sex."""
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


def held_out_translations(root: str | Path | None = None) -> frozenset[str]:
  """Ids of the 96 film lines that are held out from training in English and in Mandarin."""
  translated = {row['of'] for row in _listing(data_root(root), 'lines_zh')}
  return frozenset(sorted(translated, key=_shuffle_key)[:HELD_OUT_TRANSLATIONS])


def read_texts(folder: Path) -> dict[str, Text]:
  """Texts by source, from film lines and the prompts of recordings, with the split that each is held out for.

  Held out are texts that are test or validation in any set, by prompt or by text, the held-out translations,
  NEAR_TEST_LINES, and HELD_OUT_LINES further film lines.
  """
  texts: dict[str, str] = {}
  emotions, splits = {}, defaultdict(set)
  for name in ('kokoro', 'ljspeech', 'teacher', 'kathleen'):
    for row in _listing(folder, name):
      source = source_of(row['prompt'])
      texts.setdefault(source, row['text'])
      splits[source].add(row['split'])
      splits[_letters(row['text'])].add(row['split'])
  used = {source for source in texts if source.startswith('lines:')}
  for row in _listing(folder, 'lines'):
    source = f'lines:{row["id"]}'
    texts[source], emotions[source] = row['text'], row['emotion']
  near = [line for line in NEAR_TEST_LINES if f'lines:{line}' in texts]
  for line in (*held_out_translations(folder), *near):
    splits[f'lines:{line}'].add('test')
    splits[_letters(texts[f'lines:{line}'])].add('test')
  free = [s for s in emotions if s not in used and not _held(splits, s, texts[s])]
  for source in sorted(free, key=_shuffle_key)[:HELD_OUT_LINES]:
    splits[source].add('validation')
    splits[_letters(texts[source])].add('validation')
  return {
    source: Text(source, text, emotions.get(source, 'neutral'), _held(splits, source, text))
    for source, text in texts.items()
  }


def read_mandarin(folder: Path) -> dict[str, Text]:
  """The film lines of lines_zh.jsonl by source. Lines held out in English are held out here, and further ones, so that
  HELD_OUT_MANDARIN are for validation."""
  english, lines = read_texts(folder), _listing(folder, 'lines_zh')
  held = {row['id']: english[f'lines:{row["of"]}'].held for row in lines}
  free = sorted((line for line in held if not held[line]), key=_shuffle_key)
  held |= dict.fromkeys(free[: max(0, HELD_OUT_MANDARIN - Counter(held.values())['validation'])], 'validation')
  texts = (Text(f'lines_zh:{r["id"]}', r['text'], r['emotion'], held[r['id']], 'zh') for r in lines)
  return {text.source: text for text in texts}


def source_of(prompt: str) -> str:
  """The source name of a prompt id: 'arctic:arctic_a0001'."""
  kinds = {'ar': 'arctic', 'LJ': 'ljspeech', 'w1': 'lines', 'w2': 'lines'}
  if prompt[:2] not in kinds:
    raise BadInput(f'the prompt {prompt!r} is of no known text set: ids begin with {", ".join(kinds)}')
  return f'{kinds[prompt[:2]]}:{prompt}'


def _held(splits, source, text):
  found = splits.get(source, set()) | splits.get(_letters(text), set())
  return next((split for split in ('test', 'validation') if split in found), '')


def _letters(text):
  """The letters and digits of a text in lower case, by which equal sentences of two sets are found."""
  return ''.join(c for c in text.lower() if c.isalnum())


def _seed(name: str) -> int:
  return int(_shuffle_key(name)[:8], 16)


@functools.cache
def _shuffle_key(name: str) -> str:
  """Sort key that shuffles names deterministically."""
  return sha256_text(f'{SEED} {name}')


def _listing(folder: Path, name: str) -> list[dict]:
  path = folder / f'{name}.jsonl'
  try:
    return [json.loads(row) for row in path.read_text(encoding='utf-8').splitlines()]
  except (OSError, ValueError) as e:
    raise BadInput(f'{path}: cannot be read ({e}); set DUBBER_DATA to the folder that holds it') from e


# Rows


def recorded_rows(folder: Path, texts: dict[str, Text]) -> list[Row]:
  """The rows of kokoro.jsonl, in its order, with the splits of this plan.

  Two sets of blends have the same names there; those that `blends` does not give are named early_NN.
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
  """The split of a text in a voice: that it is held out for, else 'validation' for a held-out voice, else 'train'."""
  return text.held or ('validation' if is_unseen(voice) else 'train')


def new_row(number: int, voice: str, shares: dict[str, float], text: Text) -> Row:
  """Row `number` of its language's plan; speaking rate and edit are drawn from the row's own seed."""
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
  voice_rows: Callable[[str], float],
  sources: dict[str, float],
):
  """Yields (voice, weights, text) of each row after `rows` up to `total`. `made`: weights of stock voices by voice;
  `voice_rows`: number of rows of a voice; `sources`: target shares of the text sources among training rows."""
  used = {(row.voice, row.source) for row in rows}
  times = Counter(row.source for row in rows)
  by_voice = Counter(row.voice for row in rows)
  by_source = Counter(row.source.split(':')[0] for row in rows if not texts[row.source].held)
  held_of = Counter(row.voice for row in rows if texts[row.source].held == 'validation')
  queues = {source: _queue(texts, times, source=source) for source in sources}
  held = {kind: _queue(texts, times, held=kind) for kind in ('validation', 'test')}
  tests = deque(source for source in held['test'] if not times[source])  # each is used once
  apart, next_test = (total - len(rows)) // max(1, len(tests)), len(rows)
  for number in range(len(rows), total):
    voice = _most_underrepresented({v: voice_rows(v) * (number + 1) / total - by_voice[v] for v in made})
    # The quadratic schedule puts held-out rows late, so that the first rows of a plan are for training.
    due = HELD_OUT_ROWS * ((by_voice[voice] + 1) / voice_rows(voice)) ** 2
    last_chance = voice_rows(voice) - by_voice[voice] <= HELD_OUT_ROWS - held_of[voice]
    if tests and number >= next_test and not is_unseen(voice) and not last_chance:
      source, next_test = tests.popleft(), next_test + apart
    elif due > held_of[voice] + 0.5 or last_chance:
      source = _next(held['validation'], voice, used)
      held_of[voice] += 1
    else:
      count = sum(by_source.values()) + 1
      kind = _most_underrepresented({s: share * count - by_source[s] for s, share in sources.items()})
      source = _next(queues[kind], voice, used)
      by_source[kind] += 1
    by_voice[voice] += 1
    used.add((voice, source))
    yield voice, made[voice], texts[source]


def _most_underrepresented(behind: dict[str, float]) -> str:
  return max(behind, key=lambda name: (round(behind[name], 6), _shuffle_key(name)))


def _queue(texts, times, source='', held=''):
  """Texts to cycle through: the least used first, emotions alternating."""
  chosen = sorted(
    (t for t in texts.values() if t.held == held and t.source.startswith(source)), key=lambda t: _shuffle_key(t.source)
  )
  place, seen = {}, Counter()
  for t in chosen:
    place[t.source] = seen[times[t.source], t.emotion]
    seen[times[t.source], t.emotion] += 1
  return deque(t.source for t in sorted(chosen, key=lambda t: (times[t.source], place[t.source])))


def _next(queue: deque, voice: str, used: set) -> str:
  """The first text of the queue that a voice has not spoken; it moves to the queue's end."""
  for source in queue:
    if (voice, source) not in used:
      queue.remove(source)
      queue.append(source)
      return source
  raise BadInput(f'{voice} has spoken every text: there are too few texts for the plan')
