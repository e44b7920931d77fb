"""Words to utterances (what one person says without a pause), and utterances to cues of subtitles."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dubber_jax.script.asr import Word

ROWS, COLUMNS = 2, 42  # of a cue
LONGEST_CUE = 7.0  # s
PAUSE = 0.5  # s between two words, at which an utterance ends
SHORT = 1.0  # s: a shorter sentence joins its neighbor of the same speaker
AFTER = 0.1  # s that a cue lasts beyond its last word, where there is room

_SENTENCE_END = re.compile(r'[.?!…。？！]["\'”’)\]]*$')
_CLAUSE_END = re.compile(r'[,;:—–]["\'”’)\]]*$')
_TITLE = re.compile(r'^(?:Mr|Mrs|Ms|Dr|St|Prof|Sgt|Lt|Capt|[A-Z])\.$')


@dataclass(frozen=True)
class Utterance:
  """What one person says: words with their times in s of the film.

  embedding: (256,) of unit norm, or zeros where it is too short. speaker: a name, '' where unknown. fixed: it is the
  line of a subtitle, and stays one cue.
  """

  words: tuple[Word, ...]
  embedding: np.ndarray = field(default_factory=lambda: np.zeros(256, np.float32))
  speaker: str = ''
  fixed: bool = False

  @property
  def start(self) -> float:
    return self.words[0][0]

  @property
  def end(self) -> float:
    return self.words[-1][1]

  @property
  def seconds(self) -> float:
    return self.end - self.start

  @property
  def text(self) -> str:
    return ' '.join(text for _, _, text in self.words)


def split_utterances(words: Sequence[Word]) -> list[Utterance]:
  """Words in order -> utterances, ended by the end of a sentence or a pause of PAUSE."""
  utterances, current = [], []
  for word in words:
    if current and (word[0] - current[-1][1] >= PAUSE or _ends_sentence(current[-1][2])):
      utterances.append(Utterance(tuple(current)))
      current = []
    current.append(word)
  return [*utterances, Utterance(tuple(current))] if current else utterances


def _ends_sentence(word: str) -> bool:
  return bool(_SENTENCE_END.search(word)) and not _TITLE.match(word)


@dataclass(frozen=True)
class Cue:
  """One cue of the script: a line of a speaker, and its slot in s."""

  start: float
  end: float
  text: str
  speaker: str = ''


def make_cues(utterances: Sequence[Utterance], seconds: float) -> list[Cue]:
  """Utterances with their speakers -> cues of at most ROWS x COLUMNS characters, in the order of time.

  Short sentences of one speaker are joined; long ones are divided at their longest pause, or behind a comma.
  """
  joined: list[Utterance] = []
  for utterance in sorted(utterances, key=lambda utterance: utterance.start):
    if joined and _belong_together(joined[-1], utterance):
      joined[-1] = replace(joined[-1], words=joined[-1].words + utterance.words)
    else:
      joined.append(utterance)
  parts: list[tuple[list[Word], str]] = []
  for utterance in joined:
    words = list(utterance.words)
    divided = [words] if utterance.fixed else _divide(words, _room(utterance.speaker))
    parts += [(part, utterance.speaker) for part in divided]
  cues = []
  for i, (words, speaker) in enumerate(parts):
    following = min((other[0][0] for other, _ in parts[i + 1 :] if other[0][0] > words[0][0]), default=seconds)
    end = max(words[-1][1], min(words[-1][1] + AFTER, following))
    start = min(words[0][0], end - 0.05)
    cues.append(Cue(round(max(start, 0.0), 3), round(min(end, seconds), 3), _text(words), speaker))
  return [cue for cue in cues if cue.end > cue.start]


def _room(speaker: str) -> int:
  """Characters of a cue that are left for its text."""
  return ROWS * COLUMNS - (len(speaker) + 2 if speaker else 0)


def _belong_together(before: Utterance, after: Utterance) -> bool:
  if before.speaker != after.speaker or before.fixed or after.fixed:
    return False
  fits = len(before.text) + 1 + len(after.text) <= ROWS * COLUMNS // 2
  short = min(before.seconds, after.seconds) < SHORT
  return short and fits and after.start - before.end < PAUSE and after.end - before.start <= LONGEST_CUE


def _divide(words: list[Word], room: int) -> list[list[Word]]:
  if len(words) < 2 or (len(_text(words)) <= room and words[-1][1] - words[0][0] <= LONGEST_CUE):
    return [words]

  def worth(i):
    """Of a cut before word i: pauses and ends of clauses, near the middle."""
    pause = min(max(0.0, words[i][0] - words[i - 1][1]), 1.0)
    clause = 0.4 if _CLAUSE_END.search(words[i - 1][2]) else 0.0
    left = len(_text(words[:i])) / max(len(_text(words)), 1)
    return pause + clause - 1.5 * abs(left - 0.5)

  at = max(range(1, len(words)), key=worth)
  return _divide(words[:at], room) + _divide(words[at:], room)


def _text(words: Sequence[Word]) -> str:
  return ' '.join(text for _, _, text in words)


def wrap(text: str) -> str:
  """Text in as few rows of COLUMNS as it needs; two rows are about as long as each other."""
  if len(text) <= COLUMNS:
    return text
  words = text.split()
  splits = [(' '.join(words[:i]), ' '.join(words[i:])) for i in range(1, len(words))]
  fitting = [pair for pair in splits if max(map(len, pair)) <= COLUMNS]
  if fitting:
    return '\n'.join(min(fitting, key=lambda pair: abs(len(pair[0]) - len(pair[1]))))
  import textwrap

  return '\n'.join(textwrap.wrap(text, COLUMNS, break_long_words=False, break_on_hyphens=False)) or text


def srt_text(cues: Sequence[Cue]) -> str:
  """The cues as SubRip, each with its speaker's name in capitals before a colon, which is how scripts are read here."""
  blocks = []
  for number, cue in enumerate(cues, 1):
    named = f'{cue.speaker.upper()}: {cue.text}' if cue.speaker else cue.text
    blocks.append(f'{number}\n{_time(cue.start)} --> {_time(cue.end)}\n{wrap(named)}\n')
  return '\n'.join(blocks)


def _time(seconds: float) -> str:
  ms = round(seconds * 1000)
  return f'{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}'
