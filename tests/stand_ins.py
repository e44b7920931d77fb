"""An actor that takes no time, in place of the networks: it hums each line at a pitch of its own."""

import zlib

import numpy as np

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.director.planner import by_rules
from dubber_jax.dubbing.result import DubbedLine, LineResult, TakeResult, overrun_of
from dubber_jax.inference.synthesis import insert_pauses
from dubber_jax.retrieval.reference import with_reference
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import HOP, MODALITIES, SAMPLE_RATE, Exemplars, Reading, Take

NOTHING = Reading(*[np.zeros(4, np.float32)] * 3, np.zeros(3, bool))
NOBODY = Exemplars({m: () for m in MODALITIES}, {}, np.zeros((3, 3, 4)), np.zeros((3, 3), bool), np.zeros((3, 3), bool))


def hum_line(model, library, task, options, planner=by_rules) -> DubbedLine:
  """In place of `dubbing.line.dub_line`: the line directed as it would be without pictures, and hummed."""
  line, voice = task.line, task.voice
  phonemes = phonemize(line.text, options.lexicon)
  exemplars = NOBODY if task.reference is None else with_reference(NOBODY, NOTHING, task.reference)
  direction, noted = planner(NOTHING, exemplars, line, phonemes, task.before)
  symbols, _, _ = insert_pauses(phonemes, direction.pauses)
  frames = round((task.slot_seconds or 0.1 * len(symbols)) * FRAME_RATE)
  durations = np.full(len(symbols), frames // len(symbols))
  durations[-1] += frames - durations.sum()
  pitch = 100 + zlib.crc32(f'{line.text}{voice.name}{options.seed}{direction.pitch_shift}'.encode()) % 200
  wave = 0.1 * np.sin(2 * np.pi * pitch * np.arange(frames * HOP) / SAMPLE_RATE) * 10 ** (direction.loudness / 20)
  mel, pitches = np.zeros((frames, 80), np.float32), np.full(frames, float(pitch))
  take = Take(mel, symbols, durations, pitches, np.eye(8)[4], wave.astype(np.float32))
  result = LineResult(
    line=line,
    voice=voice.name,
    direction=direction,
    take=TakeResult(tuple(symbols), tuple(durations.tolist()), 'neutral'),
    slot_seconds=take.slot_seconds,
    fit=options.fit,
    speech_seconds=take.slot_seconds,
    speech_start=0.0,
    overrun_seconds=overrun_of(take, task.slot_seconds),
    rehearsal_seconds=0.1,
    warnings=tuple(noted),
  )
  return DubbedLine(line, take, result, phonemes, None, task.clip.frames if task.clip else None)
