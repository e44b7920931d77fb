"""The rehearsal: direct, perform, review.

One round for now: the direction is planned from reading and exemplars, the take is performed and reviewed.
"""

import dataclasses
import functools

import jax
import numpy as np

from dubber_jax.actor.duration import SLOWEST, fit_to_slot
from dubber_jax.batch import empty_line, lay_direction, lay_lips, lay_noise, lay_voice
from dubber_jax.clip import (
  EMOTIONS,
  HOP,
  LIP_RATE,
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
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.model_directory import Model
from dubber_jax.script.phonemes import SILENCES, Phonemes, encode

FRAME_RATE = SAMPLE_RATE / HOP  # mel frames a second
BREATH = 0.2  # s from the first movement of the lips to the first sound
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


def mouth_window(track: MouthTrack | None) -> tuple[float, float] | None:
  """(start s, end s) between which the mouth speaks, or None where it was not seen or hardly moves.

  It begins BREATH after the lips begin to move, since people open the mouth and breathe in first, and ends when
  the mouth has closed. Against the words of GRID: docs/dubbing.md.
  """
  if track is None or not track.usable or len(track.opening) < 5:
    return None
  seen = np.flatnonzero(track.present)
  frames = np.arange(len(track.present))

  def smooth(x_l, width):
    return np.convolve(np.pad(x_l, width // 2, mode='edge'), np.ones(width) / width, mode='valid')

  lips = np.stack([smooth(np.interp(frames, seen, column[seen]), 3) for column in track.lips.T], axis=1)
  moving = smooth(np.linalg.norm(np.diff(lips, axis=0, prepend=lips[:1]), axis=1), 3)
  opening = smooth(np.interp(frames, seen, track.opening[seen]), 3)
  open_by = smooth(np.maximum(opening - np.percentile(opening, 10), 0), 3)
  if open_by.max() < 0.02:  # eye distances: tracking noise
    return None
  start = np.flatnonzero(moving > 0.25 * np.percentile(moving, 95))[0] / LIP_RATE + BREATH
  end = (np.flatnonzero(open_by > 0.25 * np.percentile(open_by, 95))[-1] + 1) / LIP_RATE
  return (float(start), float(end)) if end - start > 0.15 else None


def with_pauses(phonemes: Phonemes, pauses) -> tuple[tuple[str, ...], np.ndarray, dict[int, float]]:
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


def perform(
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
  direction = direction or Direction()
  symbols, word_of, asked = with_pauses(phonemes, direction.pauses)
  ids = encode(symbols)
  silent = np.array([s in SILENCES for s in symbols])
  lips = track if track is not None and track.usable else None

  def lay(frames: int):
    shape = model.shape(frames, len(ids))
    batch = empty_line(model.config, shape)
    batch['phonemes'][0, : len(ids)] = ids
    lay_voice(batch, 0, voice.embedding, voice.reference_mel)
    if lips is not None:
      lay_lips(batch, 0, lips.lips, lips.present)
    if reading is not None and model.config.director.enabled:
      lay_direction(batch, 0, direction.emotion, direction.intensity)
      batch['present'][0] = reading.present
      for m in MODALITIES:
        batch[m][0] = reading.embedding(m)
      if exemplars is not None:
        for m in MODALITIES:
          batch[f'{m}_refs'][0] = exemplars.refs[m]
        batch['sounds'][0] = exemplars.sounds
        batch['refs_present'][0] = exemplars.refs_present
        batch['sounds_present'][0] = exemplars.sounds_present
    return batch, shape.frames

  slot = round(slot_seconds * FRAME_RATE) if slot_seconds is not None else None
  # Lips are read over the whole slot; without a slot there are none.
  frames = np.expm1(np.array(model.read(lay(slot or 1)[0])[0, : len(ids)]))
  frames[0] = frames[-1] = 0.0
  for index, seconds in asked.items():
    frames[index] = seconds * FRAME_RATE * direction.pace
  if direction.emphasis:
    weight = np.array([direction.emphasis[w] if 0 <= w < len(direction.emphasis) else 0.0 for w in word_of])
    frames *= 1.0 + 0.2 * weight
  window = mouth_window(lips)
  if slot is None:
    slot = int(np.ceil(frames.sum() / np.clip(direction.pace, SLOWEST, 1.35) + 0.25 * FRAME_RATE))
  speech = None if window is None else (round(window[0] * FRAME_RATE), round(window[1] * FRAME_RATE))
  durations, _, warnings = fit_to_slot(frames, silent, slot, direction.pace, speech)
  tail = max(int(durations[-1]) - round(LONGEST_TAIL * FRAME_RATE), 0)
  durations[-1] -= tail

  batch, played = lay(slot - tail)
  lay_noise(batch, 0, slot - tail, np.random.default_rng(seed))
  padded = np.zeros((1, batch['phonemes'].shape[1]), np.int32)
  padded[0, : len(durations)] = durations
  loud = direction.loudness / 8.686  # dB to nepers; half of it in how the voice is used, all of it in the level
  controls = np.array([[direction.pitch_shift, direction.pitch_range, 0.5 * loud]], np.float32)
  mel, hertz, emotion = jax.device_get(model.play(batch, padded, controls, played))
  mel = np.concatenate([mel[0, : slot - tail], np.full((tail, mel.shape[-1]), LOG_FLOOR, np.float32)])
  hertz = np.pad(hertz[0, : slot - tail], (0, tail))
  durations[-1] += tail
  return Take(mel, symbols, durations, hertz, emotion[0], warnings=tuple(warnings))


def vocode(model: Model, take: Take, seed: int = 0) -> Take:
  """The take with its waveform, (T * 256,) at 22,050 Hz, faded to silence a little outside what is spoken, so that
  the room of the training recordings is not heard to be switched on and off."""
  wave = np.asarray(model.vocoder.vocode(take.mel, seed), np.float32)
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


def review(take: Take, direction: Direction, track: MouthTrack | None) -> Review:
  """What the director can tell of a take by itself: is the emotion the one asked for, by the actor's own emotion
  head, and does speech lie where the mouth moves (overlap of the two spans over their union)."""
  wanted = int(np.argmax(direction.emotion))
  scores = {'emotion': float(take.emotion[wanted])}
  window = mouth_window(track)
  if window is not None:
    start, end = speech_span(take)
    overlap = max(0.0, min(end, window[1]) - max(start, window[0]))
    scores['timing'] = overlap / max(max(end, window[1]) - min(start, window[0]), 1e-6)
  scores['overall'] = float(np.mean(list(scores.values())))
  return Review(scores, scores['overall'] >= 0.5, direction)


def emotion_name(probabilities) -> str:
  return EMOTIONS[int(np.argmax(probabilities))]
