"""The rehearsal: direct, perform, review, and again until the take is right."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from dubber_jax.actor.duration import FASTEST, FRAME_RATE, NATURAL, SLOWEST, STRICT, UNHURRIED, fit_to_slot
from dubber_jax.actor.timing import time_by_lips
from dubber_jax.director.notes.apply import describe_change
from dubber_jax.director.review import candidate_directions as propose
from dubber_jax.director.review import conflicting_exemplars, emotion_only, review
from dubber_jax.inference.batch import empty_line, fill_direction, fill_lips, fill_noise, fill_text, fill_voice
from dubber_jax.inference.model_directory import Model
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.perception.visual_vad import RATE, VisualSpeech, silent_gaps, speech_window, visual_vad
from dubber_jax.script.g2p import SILENCES, Phonemes, encode
from dubber_jax.script.symbols import VOWELS
from dubber_jax.types import (
  EMOTIONS,
  MODALITIES,
  SAMPLE_RATE,
  Direction,
  Exemplars,
  MouthTrack,
  Reading,
  Review,
  Take,
  Voice,
)

FADE = 0.1  # s; begins twice as long before speech, or ends as long after it
LONGEST_TAIL = 0.5  # s of silence after the line that the actor plays; the rest is added


class CompileClock:
  """Seconds that XLA has spent compiling in this process, so that they can be told from the work itself."""

  def __init__(self):
    self.seconds = 0.0
    jax.monitoring.register_event_duration_secs_listener(self._add)

  def _add(self, event: str, seconds: float, **_):
    if event.startswith('/jax/core/compile/'):
      self.seconds += seconds


@functools.cache
def compile_clock() -> CompileClock:
  return CompileClock()


def insert_pauses(phonemes: Phonemes, pauses) -> tuple[tuple[str, ...], np.ndarray, dict[int, float]]:
  """Symbols and word numbers with '@sp' after each word that a pause follows, and {index of symbol: seconds}."""
  symbols, word_of, asked = list(phonemes.symbols), list(phonemes.word_of), {}
  for word, seconds in sorted(pauses, reverse=True):
    places = [i for i, w in enumerate(word_of) if w == word]
    if not places:
      continue
    at = places[-1] + 1
    if symbols[at] not in SILENCES:
      symbols.insert(at, '@sp')
      word_of.insert(at, -1)
      asked = {i + 1 if i >= at else i: s for i, s in asked.items()}
    asked[at] = seconds
  return tuple(symbols), np.array(word_of), asked


@dataclass(frozen=True)
class LineInputs:
  """What an actor is given of a line, the same for all its takes.

  slot_seconds: takes last as long, to the nearest mel frame; None: as long as the line needs. fit: whether they keep to
  it (STRICT), or run on into the `room_seconds` of silence after it rather than hurry (NATURAL); see actor/duration.py.
  """

  phonemes: Phonemes
  voice: Voice
  slot_seconds: float | None = None
  reading: Reading | None = None
  exemplars: Exemplars | None = None
  track: MouthTrack | None = None
  fit: str = STRICT
  room_seconds: float = 0.0

  @functools.cached_property
  def seen(self) -> VisualSpeech | None:
    """When the mouth speaks, and which visemes it shows; the same for all takes."""
    return visual_vad(self.track)

  @functools.cached_property
  def window(self) -> tuple[float, float] | None:
    """(start s, end s) of what the mouth says."""
    return speech_window(self.seen)


def synthesize(
  model: Model,
  phonemes: Phonemes,
  voice: Voice,
  slot_seconds: float | None,
  direction: Direction | None = None,
  reading: Reading | None = None,
  exemplars: Exemplars | None = None,
  track: MouthTrack | None = None,
  seed: int = 0,
) -> Take:
  """One take of a line, as a mel; see `vocode` for its sound.

  slot_seconds: the take lasts as long, to the nearest mel frame; None: as long as the line needs. seed: takes of
  different seeds differ a little. Raises BadInput where the line cannot be spoken in its slot.
  """
  part = LineInputs(phonemes, voice, slot_seconds, reading, exemplars, track)
  return synthesize_all(model, part, [direction or Direction()], [seed])[0]


def synthesize_all(
  model: Model, part: LineInputs, directions: Sequence[Direction], seeds: Sequence[int], alone: Sequence[bool] = ()
) -> list[Take]:
  """A take by each direction and seed, all in one batch; otherwise as `synthesize`, whose take each is. alone: which
  are played from the direction alone, by an actor who is not shown what was read and recalled."""
  alone = alone or [False] * len(directions)
  if part.voice.fit:
    model = model.speaking_as(part.voice)
  texts = [insert_pauses(part.phonemes, d.pauses) for d in directions]
  ids = [encode(symbols) for symbols, _, _ in texts]
  lips = part.track if part.track is not None and part.track.usable else None

  def lay(frames: int, mouth=None):
    shape = dataclasses.replace(model.shape(frames, max(map(len, ids))), items=len(ids))
    batch = empty_line(model.config, shape)
    for row, direction in enumerate(directions):
      _fill_line(model, batch, row, part, ids[row], direction, mouth, alone[row])
    return batch, shape.frames

  slot = round(part.slot_seconds * FRAME_RATE) if part.slot_seconds is not None else None
  # Lips are read over the whole slot; without a slot there are none.
  read = np.expm1(np.array(model.predict_durations(lay(slot or 1, lips)[0])))
  speech = None if part.window is None else tuple(round(time * FRAME_RATE) for time in part.window)
  room = 0
  if slot is not None:  # in whole frames that end within it
    room = max(int((part.slot_seconds + part.room_seconds) * FRAME_RATE + 1e-6) - slot, 0)
  timed = [
    _durations(frames[: len(i)], text, direction, slot, speech, part.fit, room, part.seen)
    for frames, i, text, direction in zip(read, ids, texts, directions, strict=True)
  ]
  ids = [encode(symbols) for symbols, _, _ in timed]  # with pauses where the mouth makes some
  # Silence after the line, beyond some, is not played but added.
  tails = [max(int(durations[-1]) - round(LONGEST_TAIL * FRAME_RATE), 0) for _, durations, _ in timed]
  lengths = [int(durations.sum()) - tail for (_, durations, _), tail in zip(timed, tails, strict=True)]

  # The mouth says when something is said, and not how: it was learned from one man who feels nothing.
  batch, played = lay(max(lengths))
  padded = np.zeros((len(ids), batch['phonemes'].shape[1]), np.int32)
  controls = np.zeros((len(ids), 3), np.float32)
  for row, direction in enumerate(directions):
    durations = timed[row][1].copy()
    durations[-1] -= tails[row]
    padded[row, : len(durations)] = durations
    fill_noise(batch, row, lengths[row], np.random.default_rng(seeds[row]))
    loud = direction.loudness / 8.686  # dB to nepers; half of it in how the voice is used, all of it in the level
    controls[row] = direction.pitch_shift, direction.pitch_range, 0.5 * loud
  mels, hertz, emotion = jax.device_get(model.synthesize(batch, padded, controls, played))
  takes = []
  for row, ((symbols, durations, warnings), length, tail) in enumerate(zip(timed, lengths, tails, strict=True)):
    mel = np.concatenate([mels[row, :length], np.full((tail, mels.shape[-1]), LOG_FLOOR, np.float32)])
    pitch = np.pad(hertz[row, :length], (0, tail))
    takes.append(Take(mel, symbols, durations, pitch, emotion[row], warnings=tuple(warnings)))
  return takes


def _fill_line(model, batch, row, part, ids, direction, lips, alone):
  fill_text(batch, row, model.config, ids, part.phonemes.language)
  fill_voice(batch, row, part.voice.embedding, part.voice.reference_mel)
  if lips is not None:
    fill_lips(batch, row, lips.lips, lips.present)
  if part.reading is None or not model.config.director.enabled:
    return
  fill_direction(batch, row, direction.emotion, direction.intensity)
  if alone:
    return
  batch['present'][row] = part.reading.present
  for m in MODALITIES:
    batch[m][row] = part.reading.embedding(m)
  if part.exemplars is not None:
    for m in MODALITIES:
      batch[f'{m}_refs'][row] = part.exemplars.refs[m]
    for name in ('sounds', 'refs_present', 'sounds_present'):
      batch[name][row] = getattr(part.exemplars, name)


def _durations(frames, text, direction, slot, speech, fit, room, seen):
  """Symbols, their (N,) mel frames that add up to the slot (None: to what they need), and warnings; from what was
  predicted, and from the mouth where it is seen to speak. By a natural fit they may run on, by `room` frames."""
  symbols, word_of, asked = text
  frames = frames.copy()
  frames[0] = frames[-1] = 0.0
  for index, seconds in asked.items():
    frames[index] = seconds * FRAME_RATE * direction.pace
  if direction.emphasis:
    weight = np.array([direction.emphasis[w] if 0 <= w < len(direction.emphasis) else 0.0 for w in word_of])
    frames *= 1.0 + 0.2 * weight
  if slot is None:
    slot = int(np.ceil(frames.sum() / np.clip(direction.pace, SLOWEST, UNHURRIED) + 0.25 * FRAME_RATE))
  silent = np.array([s in SILENCES for s in symbols])
  vowels = np.array([s[-1].isdigit() or s.strip('@') in VOWELS for s in symbols])  # with a stress or a tone, or bare
  durations, rate, warnings = fit_to_slot(frames, silent, slot, direction.pace, speech, fit, room, vowels)
  if speech is not None and rate <= UNHURRIED + 1e-9:  # else there is no time left to follow the lips with
    gaps = sum(end - start for start, end in silent_gaps(seen.speaking))
    followed = time_by_lips(symbols, word_of, durations, frames, seen.scores, RATE, FRAME_RATE, gaps)
    spoken = sum(int(d) for s, d in zip(*followed, strict=True) if s not in SILENCES)
    fastest = UNHURRIED if fit == NATURAL else FASTEST
    if frames[~silent].sum() <= fastest * (spoken + 1):  # to the rounding
      symbols, durations = followed
  return symbols, durations, warnings


def vocode(model: Model, take: Take, seed: int = 0, direction: Direction | None = None) -> Take:
  """The take with its waveform, (T * 256,) at 22,050 Hz, faded to silence a little outside what is spoken, so that
  the room of the training recordings is not heard to be switched on and off. direction: whose breathiness and tremor
  the voice has."""
  direction = direction or Direction()
  wave = np.asarray(model.vocoder.vocode(take.mel, seed, direction.breathiness, direction.tremor), np.float32)
  start, end = speech_span(take)
  time = np.arange(len(wave)) / SAMPLE_RATE
  level = np.minimum((time - start) / FADE + 2, (end - time) / FADE + 2).clip(0, 1)
  return dataclasses.replace(take, waveform=(wave * np.sin(level * np.pi / 2) ** 2).astype(np.float32))


def speech_span(take: Take) -> tuple[float, float]:
  """(start s, end s) of what is spoken."""
  ends = np.cumsum(take.durations)
  spoken = [i for i, s in enumerate(take.phonemes) if s not in SILENCES and take.durations[i] > 0]
  if not spoken:
    return 0.0, 0.0
  return float((ends[spoken[0]] - take.durations[spoken[0]]) / FRAME_RATE), float(ends[spoken[-1]] / FRAME_RATE)


@dataclass(frozen=True)
class Round:
  """One round: the direction that was given, its takes' reviews, which of them was best, and what the director says.

  `directions` has one a take: the round's own and others near it.
  """

  direction: Direction
  directions: tuple[Direction, ...]
  reviews: tuple[Review, ...]
  best: int
  why: str  # it was accepted, or what has to change
  why_zh: str
  seconds: float

  @property
  def best_score(self) -> float:
    return self.reviews[self.best].scores['overall']


@dataclass(frozen=True)
class Rehearsal:
  """The best take of all rounds, the direction that it is by, and the rounds. `level`: dB by which the take has to be
  brought up so that it is as loud, against the same emotion without other wishes, as the goal says."""

  take: Take
  direction: Direction
  review: Review
  rounds: tuple[Round, ...]
  level: float


def rehearse(
  model: Model,
  part: LineInputs,
  goal: Direction,
  rounds: int = 3,
  candidates: int = 4,
  seed: int = 0,
  seconds: float | None = None,
  on_take: Callable[[Take], None] | None = None,
) -> Rehearsal:
  """Directs, performs, listens, and asks again, until a take is accepted, rounds are over or `seconds` have passed.

  Each round's takes are performed and heard as mels in one batch; the best take so far is kept, so that more rounds
  never make it worse by the critic's measure. The same seed gives the same rehearsal. on_take: called with the first
  take as soon as it is there. A model without a critic performs once and judges by the actor's own emotion head.
  """
  began = time.perf_counter()
  if model.critic is None or not model.config.director.enabled:
    take = synthesize_all(model, part, [goal], [seed])[0]
    judged = review_without_critic(take, goal, part.window)
    only = Round(goal, (goal,), (judged,), 0, '', '', time.perf_counter() - began)
    return Rehearsal(take, goal, judged, (only,), 0.5 * goal.loudness)

  direction, done, best = goal, [], None
  part = without_conflicting_exemplars(part, goal)
  window = part.window
  felt = emotion_name(goal.emotion) not in ('neutral', 'others')
  for number in range(rounds):
    started, rng = time.perf_counter(), np.random.default_rng([seed, number])
    tried = propose(direction, candidates, rng)
    seeds = [seed] + rng.integers(2**31, size=candidates - 1).tolist()
    alone = [felt and (i + number) % 2 == 1 for i in range(candidates)]  # it depends on the line which are better
    *takes, plain = synthesize_all(model, part, [*tried, emotion_only(direction)], [*seeds, seed], [*alone, False])
    if on_take and not number:
      on_take(takes[0])
    *heard, plain = model.critic.hear([*takes, plain], part.voice, part.track)
    reviews = tuple(
      review(h, plain, d, goal, timing_score(t, window)) for h, d, t in zip(heard, tried, takes, strict=True)
    )
    place = max(range(len(reviews)), key=lambda i: rank(reviews[i]))
    found = reviews[place]
    if best is None or rank(found) > rank(best.review):
      level = goal.loudness - (heard[place].loudness - plain.loudness) if goal.loudness else 0.0
      best = Rehearsal(takes[place], tried[place], found, (), float(np.clip(level, -12.0, 12.0)))
    over = number == rounds - 1 or (seconds is not None and time.perf_counter() - began > seconds)
    following = best.review.direction
    if following == direction:
      over = True
    why, why_zh = ('accepted', '通过') if found.accepted else describe_change(direction, following, part.phonemes.words)
    if over and not found.accepted:
      why, why_zh = 'kept: the best so far', '保留：目前最好的一条'
    done.append(Round(direction, tuple(tried), reviews, place, why, why_zh, time.perf_counter() - started))
    if found.accepted or over:
      break
    note, note_zh = describe_change(direction, following, part.phonemes.words)
    direction = following.replace(note=note, note_zh=note_zh)
  return dataclasses.replace(best, rounds=tuple(done))


def rank(judged: Review) -> tuple[bool, float]:
  """By which the better of two takes is kept."""
  return judged.accepted, judged.scores['overall']


def without_conflicting_exemplars(part: LineInputs, goal: Direction) -> LineInputs:
  """The part, in which exemplars that play another emotion than the goal have given way to those of their modality that
  do not. A modality all of whose exemplars mislead is not shown at all, as long as another one is left."""
  if part.exemplars is None:
    return part
  e = part.exemplars
  clips, refs = dict(e.clips), dict(e.refs)
  sounds, refs_present, sounds_present = e.sounds.copy(), e.refs_present.copy(), e.sounds_present.copy()
  hidden, kept = [], False
  for row, m in enumerate(MODALITIES):
    shown = clips.get(m, ())
    wrong = conflicting_exemplars(goal, shown)
    right = [i for i in range(len(shown)) if i not in wrong]
    kept |= bool(right)
    if not wrong or not right:
      hidden += [row] if wrong else []
      continue
    order = [i if i in right else right[place % len(right)] for place, i in enumerate(range(len(shown)))]
    clips[m] = tuple(shown[i] for i in order)
    if m in refs:
      refs[m] = np.concatenate([refs[m][order], refs[m][len(order) :]])
    for rows in (sounds, refs_present, sounds_present):
      rows[row, : len(order)] = rows[row, order]
  reading = part.reading
  if kept and hidden:
    clips |= {MODALITIES[row]: () for row in hidden}
    refs_present[hidden] = sounds_present[hidden] = False
    if reading is not None:
      present = np.array(reading.present)
      present[hidden] = False
      reading = dataclasses.replace(reading, present=present)
  exemplars = Exemplars(clips, refs, sounds, refs_present, sounds_present)
  return dataclasses.replace(part, reading=reading, exemplars=exemplars)


def timing_score(take: Take, window: tuple[float, float] | None) -> float | None:
  """Does speech lie where the mouth moves: overlap of the two spans over their union; None where no mouth was seen."""
  if window is None:
    return None
  start, end = speech_span(take)
  overlap = max(0.0, min(end, window[1]) - max(start, window[0]))
  return overlap / max(max(end, window[1]) - min(start, window[0]), 1e-6)


def review_without_critic(take: Take, direction: Direction, window: tuple[float, float] | None) -> Review:
  """What can be told of a take without a critic: is the emotion the one asked for, by the actor's own emotion head,
  and does speech lie where the mouth moves."""
  scores = {'emotion': float(take.emotion[int(np.argmax(direction.emotion))])}
  timing = timing_score(take, window)
  if timing is not None:
    scores['timing'] = timing
  scores['overall'] = float(np.mean(list(scores.values())))
  return Review(scores, scores['overall'] >= 0.5, direction)


def emotion_name(probabilities) -> str:
  return EMOTIONS[int(np.argmax(probabilities))]
