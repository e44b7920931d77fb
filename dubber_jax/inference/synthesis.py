"""Synthesis of takes: from a line, a voice and directions to durations, mels and waveforms, in one batch."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from dubber_jax.actor.slot import FASTEST, FRAME_RATE, NATURAL, SLOWEST, STRICT, UNHURRIED, fit_to_slot
from dubber_jax.actor.timing import time_by_lips
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_line, fill_direction, fill_lips, fill_noise, fill_text, fill_voice
from dubber_jax.inference.model import Model
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.g2p import Phonemes, encode
from dubber_jax.script.symbols import SILENCES, VOWELS
from dubber_jax.types import MODALITIES, SAMPLE_RATE, Direction, Exemplars, MouthTrack, Reading, Take, Voice

if TYPE_CHECKING:
  from dubber_jax.perception.visual_vad import VisualSpeech

# (of which program: DURATIONS, TAKES or WAVES; lines; mel frames; phonemes) -> the padded shape of their batch; one of
# fewer items has the lines go in several.
DURATIONS, TAKES, WAVES = 'durations', 'takes', 'waves'
ChooseShape = Callable[[str, int, float, int], Shape]

FADE = 0.1  # s; begins twice as long before speech, or ends as long after it
LONGEST_TAIL = 0.5  # s of synthesized silence after the line; further silence is added as padding
EMPHASIS = 0.2  # share by which a stressed word is lengthened at a weight of 1
LONGEST_TAKE = 300.0  # s of a line without a slot; a sound model does not come near it
EXTRA = 0.25  # s of silence around a line without a slot
DB_PER_NEPER = 8.686
ACTED_LOUDNESS = 0.5  # share of the loudness that the decoder's energy input gets; the level gives all of it


@dataclass(frozen=True)
class LineInputs:
  """Inputs of the actor for one line, the same for all its takes.

  slot_seconds: duration of takes, to the nearest mel frame; None: as long as the line needs. fit: whether they keep to
  it (STRICT), or continue into the `room_seconds` of silence after it rather than speed up (NATURAL); see
  actor/slot.py. directed: whether the actor gets emotion and intensity of the direction where there is no reading; with
  one it does.
  """

  phonemes: Phonemes
  voice: Voice
  slot_seconds: float | None = None
  reading: Reading | None = None
  exemplars: Exemplars | None = None
  track: MouthTrack | None = None
  fit: str = STRICT
  room_seconds: float = 0.0
  directed: bool = False

  @functools.cached_property
  def visual_speech(self) -> 'VisualSpeech | None':
    """Visual voice activity and viseme scores of the mouth; None where none was tracked."""
    if self.track is None:
      return None
    from dubber_jax.perception.visual_vad import visual_vad  # not where speech is served without pictures

    return visual_vad(self.track)

  @functools.cached_property
  def window(self) -> tuple[float, float] | None:
    """(start s, end s) of the mouth's speech."""
    if self.track is None:
      return None
    from dubber_jax.perception.visual_vad import speech_window

    return speech_window(self.visual_speech)

  @property
  def slot(self) -> int | None:
    """Mel frames of the slot."""
    return None if self.slot_seconds is None else round(self.slot_seconds * FRAME_RATE)

  @property
  def room(self) -> int:
    """Whole mel frames of silence after the slot."""
    if self.slot is None:
      return 0
    return max(int((self.slot_seconds + self.room_seconds) * FRAME_RATE + 1e-6) - self.slot, 0)


@dataclass(frozen=True)
class TimedText:
  """Symbols of a take, their durations (N,) in mel frames, and warnings of the fit to the slot."""

  symbols: tuple[str, ...]
  durations: np.ndarray
  warnings: tuple[str, ...] = ()
  rate: float = 1.0  # see types.Take

  @property
  def tail(self) -> int:
    """Frames of silence after the line beyond LONGEST_TAIL, which are padding and not synthesized."""
    return max(int(self.durations[-1]) - round(LONGEST_TAIL * FRAME_RATE), 0)

  @property
  def synthesized(self) -> int:
    """Frames that are synthesized."""
    return int(self.durations.sum()) - self.tail


def insert_pauses(
  phonemes: Phonemes, pauses: Iterable[tuple[int, float]]
) -> tuple[tuple[str, ...], np.ndarray, dict[int, float]]:
  """Symbols and word indices with '@sp' after each word that a pause follows, and {index of symbol: seconds}."""
  symbols, word_of, seconds_of = list(phonemes.symbols), list(phonemes.word_of), {}
  for word, seconds in sorted(pauses, reverse=True):
    places = [i for i, w in enumerate(word_of) if w == word]
    if not places:
      continue
    at = places[-1] + 1
    if symbols[at] not in SILENCES:
      symbols.insert(at, '@sp')
      word_of.insert(at, -1)
      seconds_of = {i + 1 if i >= at else i: s for i, s in seconds_of.items()}
    seconds_of[at] = seconds
  return tuple(symbols), np.array(word_of), seconds_of


def synthesize(model: Model, inputs: LineInputs, direction: Direction | None = None, seed: int = 0) -> Take:
  """One take of a line, as a mel; see `vocode` for its waveform.

  seed: of the take's noise. Raises BadInput where the line cannot be spoken in its slot.
  """
  return synthesize_all(model, inputs, [direction or Direction()], [seed])[0]


def synthesize_all(
  model: Model,
  inputs: LineInputs,
  directions: Sequence[Direction],
  seeds: Sequence[int],
  no_retrieval: Sequence[bool] = (),
) -> list[Take]:
  """A take by each direction and seed, all in one batch, each as `synthesize` gives it.

  no_retrieval: for each take, whether the director's nodes (reading and exemplars) are masked, so that the actor has
  the direction alone.
  """
  no_retrieval = no_retrieval or [False] * len(directions)
  if inputs.voice.fit:
    model = model.speaking_as(inputs.voice)
  rows = [inputs] * len(directions)
  timed = _time_texts(model, rows, directions, no_retrieval)
  return _synthesize_frames(model, rows, directions, seeds, timed, no_retrieval)


def synthesize_lines(
  model: Model,
  lines: Sequence[LineInputs],
  directions: Sequence[Direction],
  seeds: Sequence[int],
  choose: ChooseShape | None = None,
) -> list[Take]:
  """A take of each of several lines, which may have other texts, voices and directions, as `synthesize` gives it.

  Lines share batches where their mels have the same padded length, and where their voices have the same parameters: all
  that the model was not adapted to, and each that it was. choose: the padded shapes. Raises BadInput where one of the
  lines cannot be spoken.
  """
  takes: dict[int, Take] = {}
  for own, places in _by_parameters(model, lines):
    rows, said = [lines[i] for i in places], [directions[i] for i in places]
    choose_own = choose or exact_shapes(own)
    timed = _time_texts(own, rows, said, [False] * len(rows), choose_own)
    by_length: dict[int, list[int]] = {}
    for i, text in enumerate(timed):
      by_length.setdefault(choose_own(TAKES, 1, text.synthesized, len(text.symbols)).frames, []).append(i)
    for chosen in by_length.values():
      part = _synthesize_frames(
        own,
        [rows[i] for i in chosen],
        [said[i] for i in chosen],
        [seeds[places[i]] for i in chosen],
        [timed[i] for i in chosen],
        [False] * len(chosen),
        choose_own,
      )
      takes |= {places[i]: take for i, take in zip(chosen, part, strict=True)}
  return [takes[i] for i in range(len(lines))]


def exact_shapes(model: Model) -> ChooseShape:
  """Shapes of batches that hold so many lines, all in one."""
  return lambda _, items, frames, phonemes: dataclasses.replace(model.shape(frames, phonemes), items=items)


def _by_parameters(model: Model, lines: Sequence[LineInputs]) -> list[tuple[Model, list[int]]]:
  """The lines' indices by the parameters that speak them, each with its model."""
  groups: dict[int, list[int]] = {}
  for i, line in enumerate(lines):
    groups.setdefault(id(line.voice) if line.voice.fit else 0, []).append(i)
  return [(model.speaking_as(lines[places[0]].voice), places) for places in groups.values()]


def _time_texts(
  model: Model,
  rows: Sequence[LineInputs],
  directions: Sequence[Direction],
  no_retrieval: Sequence[bool],
  choose: ChooseShape | None = None,
) -> list[TimedText]:
  """Each line's symbols with the pauses of its direction, and their durations."""
  texts = [insert_pauses(line.phonemes, d.pauses) for line, d in zip(rows, directions, strict=True)]
  symbols = [text[0] for text in texts]
  predicted: list[np.ndarray] = []
  # Durations are predicted with the lips of the whole slot; without a slot there are none.
  frames = max(line.slot or 1 for line in rows)
  for part, shape in _batches(choose or exact_shapes(model), DURATIONS, len(rows), frames, max(map(len, symbols))):
    batch = _line_batch(model, rows[part], directions[part], symbols[part], no_retrieval[part], shape)
    for row, line in enumerate(rows[part]):
      if line.track is not None and line.track.usable:
        fill_lips(batch, row, line.track.lips, line.track.present)
    predicted += list(np.expm1(np.array(model.predict_durations(batch)))[: len(rows[part])])
  if not all(np.isfinite(frames).all() for frames in predicted):
    raise BadInput('the model computes durations that are no numbers: it, or the voice, is damaged; copy it again')
  return [
    _fit_durations(line, text, frames[: len(text[0])], direction)
    for line, text, frames, direction in zip(rows, texts, predicted, directions, strict=True)
  ]


def _batches(choose: ChooseShape, kind: str, count: int, frames: float, phonemes: int) -> list[tuple[slice, Shape]]:
  """The batches of so many lines: which of them, and the padded shape."""
  shape = choose(kind, count, frames, phonemes)
  return [(slice(i, i + shape.items), shape) for i in range(0, count, shape.items)]


def _line_batch(
  model: Model,
  rows: Sequence[LineInputs],
  directions: Sequence[Direction],
  symbols: Sequence[tuple[str, ...]],
  no_retrieval: Sequence[bool],
  shape: Shape,
) -> dict[str, np.ndarray]:
  """The batch of so many lines, each with its direction and its symbols, without lips; rows beyond them are padding."""
  batch = empty_line(model.config, shape)
  for row, (inputs, direction) in enumerate(zip(rows, directions, strict=True)):
    fill_text(batch, row, model.config, encode(symbols[row]), inputs.phonemes.language)
    fill_voice(batch, row, inputs.voice.embedding, inputs.voice.reference_mel)
    if (inputs.reading is not None or inputs.directed) and model.config.task.director.enabled:
      fill_direction(batch, row, direction.emotion, direction.intensity)
      if inputs.reading is not None and not no_retrieval[row]:
        _fill_nodes(batch, row, inputs.reading, inputs.exemplars)
  return batch


def _fill_nodes(batch: dict[str, np.ndarray], row: int, reading: Reading, exemplars: Exemplars | None):
  """Writes the director's nodes: the reading's embeddings and those of the exemplars."""
  batch['present'][row] = reading.present
  for m in MODALITIES:
    batch[m][row] = reading.embedding(m)
  if exemplars is not None:
    for m in MODALITIES:
      batch[f'{m}_refs'][row] = exemplars.refs[m]
    for name in ('sounds', 'refs_present', 'sounds_present'):
      batch[name][row] = getattr(exemplars, name)


def _fit_durations(inputs: LineInputs, text, frames: np.ndarray, direction: Direction) -> TimedText:
  """Durations that add up to the slot (None: to what the line needs) from predicted ones (N,), in frames; aligned with
  the mouth where it speaks. By a natural fit they may exceed the slot, by `inputs.room` frames."""
  symbols, word_of, seconds_of = text
  frames = frames.copy()
  frames[0] = frames[-1] = 0.0
  for index, seconds in seconds_of.items():
    frames[index] = seconds * FRAME_RATE * direction.pace
  if direction.emphasis:
    weight = np.array([direction.emphasis[w] if 0 <= w < len(direction.emphasis) else 0.0 for w in word_of])
    frames *= 1.0 + EMPHASIS * weight
  slot = inputs.slot
  if slot is None:
    if not frames.sum() < LONGEST_TAKE * FRAME_RATE:
      raise BadInput('the model makes the line last for minutes: it, or the voice, is damaged; copy it again')
    slot = int(np.ceil(frames.sum() / np.clip(direction.pace, SLOWEST, UNHURRIED) + EXTRA * FRAME_RATE))
  speech = None if inputs.window is None else tuple(round(time * FRAME_RATE) for time in inputs.window)
  silent = np.array([s in SILENCES for s in symbols])
  vowels = np.array([s[-1].isdigit() or s.strip('@') in VOWELS for s in symbols])  # with a stress or a tone, or bare
  durations, rate, warnings = fit_to_slot(frames, silent, slot, direction.pace, speech, inputs.fit, inputs.room, vowels)
  if speech is not None and rate <= UNHURRIED + 1e-9:  # otherwise no time is left to align with the lips
    seen = inputs.visual_speech
    from dubber_jax.perception.visual_vad import RATE, silent_gaps

    gaps = sum(end - start for start, end in silent_gaps(seen.speaking))
    aligned = time_by_lips(symbols, word_of, durations, frames, seen.scores, RATE, FRAME_RATE, gaps)
    spoken = sum(int(d) for s, d in zip(*aligned, strict=True) if s not in SILENCES)
    fastest = UNHURRIED if inputs.fit == NATURAL else FASTEST
    if frames[~silent].sum() <= fastest * (spoken + 1):  # to the rounding
      symbols, durations = aligned
  sounds = sum(int(d) for s, d in zip(symbols, durations, strict=True) if s not in SILENCES)
  return TimedText(symbols, durations, tuple(warnings), round(float(frames[~silent].sum()) / max(sounds, 1), 3))


def _synthesize_frames(
  model: Model,
  rows: Sequence[LineInputs],
  directions: Sequence[Direction],
  seeds: Sequence[int],
  timed: Sequence[TimedText],
  no_retrieval: Sequence[bool],
  choose: ChooseShape | None = None,
) -> list[Take]:
  """Takes from timed texts: the decoder's mels, and silence added after them. Lips are not given, since the corpus that
  their encoder is trained on has one neutral speaker; they determine the timing alone."""
  frames, phonemes = max(text.synthesized for text in timed), max(len(text.symbols) for text in timed)
  takes = []
  for part, shape in _batches(choose or exact_shapes(model), TAKES, len(timed), frames, phonemes):
    texts, directed = timed[part], directions[part]
    symbols = [text.symbols for text in texts]
    batch = _line_batch(model, rows[part], directed, symbols, no_retrieval[part], shape)
    durations = np.zeros(batch['phonemes'].shape, np.int32)
    controls = np.zeros((shape.items, 3), np.float32)
    for row, (text, direction, seed) in enumerate(zip(texts, directed, seeds[part], strict=True)):
      durations[row, : len(text.durations)] = text.durations
      durations[row, len(text.durations) - 1] -= text.tail
      fill_noise(batch, row, text.synthesized, np.random.default_rng(seed))
      energy = ACTED_LOUDNESS * (direction.loudness / DB_PER_NEPER)
      controls[row] = direction.pitch_shift, direction.pitch_range, energy
    mels, hertz, emotion = jax.device_get(model.synthesize(batch, durations, controls, shape.frames))
    for row, text in enumerate(texts):
      silence = np.full((text.tail, mels.shape[-1]), LOG_FLOOR, np.float32)
      mel = np.concatenate([mels[row, : text.synthesized], silence])
      pitch = np.pad(hertz[row, : text.synthesized], (0, text.tail))
      take = Take(mel, text.symbols, text.durations, pitch, emotion[row], warnings=text.warnings, rate=text.rate)
      takes.append(take)
  return takes


def vocode(model: Model, take: Take, seed: int = 0, direction: Direction | None = None) -> Take:
  """The take with its waveform, (T * 256,) at 22,050 Hz, with the breathiness and tremor of `direction`.

  It is faded to silence around the speech, since the synthesized background noise would be heard to begin and end.
  """
  direction = direction or Direction()
  return _with_wave(take, model.vocoder.vocode(take.mel, seed, direction.breathiness, direction.tremor))


def vocode_lines(
  model: Model,
  takes: Sequence[Take],
  seeds: Sequence[int],
  directions: Sequence[Direction],
  choose: ChooseShape | None = None,
) -> list[Take]:
  """The takes with their waveforms, each as `vocode` gives it, those of one padded length together.

  choose: the padded shapes, whose phonemes are ignored; a vocoder without batches takes one at a time."""
  if choose is None or not hasattr(model.vocoder, 'vocode_batch'):
    return [vocode(model, *each) for each in zip(takes, seeds, directions, strict=True)]
  done: dict[int, Take] = {}
  by_length: dict[int, list[int]] = {}
  for i, take in enumerate(takes):
    by_length.setdefault(choose(WAVES, 1, len(take.mel), 1).frames, []).append(i)
  for frames, places in by_length.items():
    for part, shape in _batches(choose, WAVES, len(places), frames, 1):
      chosen = places[part]
      quality = np.array([(directions[i].breathiness, directions[i].tremor) for i in chosen], np.float32)
      mels, own_seeds = [takes[i].mel for i in chosen], [seeds[i] for i in chosen]
      waves = model.vocoder.vocode_batch(mels, own_seeds, quality, shape.items, shape.frames)
      done |= {i: _with_wave(takes[i], wave) for i, wave in zip(chosen, waves, strict=True)}
  return [done[i] for i in range(len(takes))]


def _with_wave(take: Take, wave: np.ndarray) -> Take:
  """The take with its waveform, faded to silence around the speech."""
  wave = np.asarray(wave, np.float32)
  if not np.isfinite(wave).all():
    raise BadInput('the model makes sound that is no numbers: it, or the voice, is damaged; copy it again')
  start, end = speech_span(take)
  time = np.arange(len(wave)) / SAMPLE_RATE
  level = np.minimum((time - start) / FADE + 2, (end - time) / FADE + 2).clip(0, 1)
  return dataclasses.replace(take, waveform=(wave * np.sin(level * np.pi / 2) ** 2).astype(np.float32))
