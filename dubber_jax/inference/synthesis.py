"""Synthesis of takes: from a line, a voice and directions to durations, mels and waveforms, in one batch."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from dubber_jax.actor.slot import FASTEST, FRAME_RATE, NATURAL, SLOWEST, STRICT, UNHURRIED, fit_to_slot
from dubber_jax.actor.timing import time_by_lips
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import empty_line, fill_direction, fill_lips, fill_noise, fill_text, fill_voice
from dubber_jax.inference.model import Model
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.perception.visual_vad import RATE, VisualSpeech, silent_gaps, speech_window, visual_vad
from dubber_jax.script.g2p import Phonemes, encode
from dubber_jax.script.symbols import SILENCES, VOWELS
from dubber_jax.types import MODALITIES, SAMPLE_RATE, Direction, Exemplars, MouthTrack, Reading, Take, Voice

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
  actor/slot.py.
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
  def visual_speech(self) -> VisualSpeech | None:
    """Visual voice activity and viseme scores of the mouth; None where none was tracked."""
    return visual_vad(self.track)

  @functools.cached_property
  def window(self) -> tuple[float, float] | None:
    """(start s, end s) of the mouth's speech."""
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
  texts = [insert_pauses(inputs.phonemes, d.pauses) for d in directions]
  symbols = [text[0] for text in texts]
  # Durations are predicted with the lips of the whole slot; without a slot there are none.
  batch, _ = _line_batch(model, inputs, directions, symbols, inputs.slot or 1, no_retrieval)
  if inputs.track is not None and inputs.track.usable:
    for row in range(len(directions)):
      fill_lips(batch, row, inputs.track.lips, inputs.track.present)
  predicted = np.expm1(np.array(model.predict_durations(batch)))
  if not np.isfinite(predicted).all():
    raise BadInput('the model computes durations that are no numbers: it, or the voice, is damaged; copy it again')
  timed = [
    _fit_durations(inputs, text, frames[: len(text[0])], direction)
    for text, frames, direction in zip(texts, predicted, directions, strict=True)
  ]
  return _synthesize_frames(model, inputs, directions, seeds, timed, no_retrieval)


def _line_batch(model, inputs, directions, symbols, frames, no_retrieval):
  """The batch of a line with one row for each direction and its symbols, without lips, and its padded frames, as many
  as `frames` or more."""
  ids = [encode(s) for s in symbols]
  shape = dataclasses.replace(model.shape(frames, max(map(len, ids))), items=len(ids))
  batch = empty_line(model.config, shape)
  for row, direction in enumerate(directions):
    fill_text(batch, row, model.config, ids[row], inputs.phonemes.language)
    fill_voice(batch, row, inputs.voice.embedding, inputs.voice.reference_mel)
    if inputs.reading is not None and model.config.task.director.enabled:
      fill_direction(batch, row, direction.emotion, direction.intensity)
      if not no_retrieval[row]:
        _fill_nodes(batch, row, inputs.reading, inputs.exemplars)
  return batch, shape.frames


def _fill_nodes(batch, row: int, reading: Reading, exemplars: Exemplars | None):
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
    gaps = sum(end - start for start, end in silent_gaps(seen.speaking))
    aligned = time_by_lips(symbols, word_of, durations, frames, seen.scores, RATE, FRAME_RATE, gaps)
    spoken = sum(int(d) for s, d in zip(*aligned, strict=True) if s not in SILENCES)
    fastest = UNHURRIED if inputs.fit == NATURAL else FASTEST
    if frames[~silent].sum() <= fastest * (spoken + 1):  # to the rounding
      symbols, durations = aligned
  return TimedText(symbols, durations, tuple(warnings))


def _synthesize_frames(model, inputs, directions, seeds, timed: Sequence[TimedText], no_retrieval) -> list[Take]:
  """Takes from timed texts: the decoder's mels, and silence added after them. Lips are not given, since the corpus that
  their encoder is trained on has one neutral speaker; they determine the timing alone."""
  symbols = [text.symbols for text in timed]
  frames = max(text.synthesized for text in timed)
  batch, frames = _line_batch(model, inputs, directions, symbols, frames, no_retrieval)
  durations = np.zeros(batch['phonemes'].shape, np.int32)
  controls = np.zeros((len(timed), 3), np.float32)
  for row, (text, direction) in enumerate(zip(timed, directions, strict=True)):
    durations[row, : len(text.durations)] = text.durations
    durations[row, len(text.durations) - 1] -= text.tail
    fill_noise(batch, row, text.synthesized, np.random.default_rng(seeds[row]))
    energy = ACTED_LOUDNESS * (direction.loudness / DB_PER_NEPER)
    controls[row] = direction.pitch_shift, direction.pitch_range, energy
  mels, hertz, emotion = jax.device_get(model.synthesize(batch, durations, controls, frames))
  takes = []
  for row, text in enumerate(timed):
    silence = np.full((text.tail, mels.shape[-1]), LOG_FLOOR, np.float32)
    mel = np.concatenate([mels[row, : text.synthesized], silence])
    pitch = np.pad(hertz[row, : text.synthesized], (0, text.tail))
    takes.append(Take(mel, text.symbols, text.durations, pitch, emotion[row], warnings=text.warnings))
  return takes


def vocode(model: Model, take: Take, seed: int = 0, direction: Direction | None = None) -> Take:
  """The take with its waveform, (T * 256,) at 22,050 Hz, with the breathiness and tremor of `direction`.

  It is faded to silence around the speech, since the synthesized background noise would be heard to begin and end.
  """
  direction = direction or Direction()
  wave = np.asarray(model.vocoder.vocode(take.mel, seed, direction.breathiness, direction.tremor), np.float32)
  if not np.isfinite(wave).all():
    raise BadInput('the model makes sound that is no numbers: it, or the voice, is damaged; copy it again')
  start, end = speech_span(take)
  time = np.arange(len(wave)) / SAMPLE_RATE
  level = np.minimum((time - start) / FADE + 2, (end - time) / FADE + 2).clip(0, 1)
  return dataclasses.replace(take, waveform=(wave * np.sin(level * np.pi / 2) ** 2).astype(np.float32))
