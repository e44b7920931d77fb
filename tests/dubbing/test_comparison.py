import dataclasses

import numpy as np
import pytest

from dubber_jax.dubbing.comparison import TakeMeasures, describe_change, measure_take
from dubber_jax.dubbing.mix import EVEN
from dubber_jax.types import HOP, SAMPLE_RATE, Direction, Take

PLAIN = TakeMeasures(-23.0, 0.0, 2.0, 200.0, 6.0, 'neutral')


def a_take(level=0.1, frames=100, hertz=200.0, emotion=4):
  """A hum in the middle of a take."""
  time = np.arange(frames * HOP) / SAMPLE_RATE
  pitch = np.full(frames, hertz) * np.linspace(0.9, 1.1, frames)
  wave = level * np.sin(2 * np.pi * 440 * time)
  durations = np.array([10, frames - 20, 10])
  return Take(
    np.zeros((frames, 80)), ('@sil', '@AA1', '@sil'), durations, pitch, np.eye(8)[emotion], wave.astype(np.float32)
  )


@pytest.mark.parametrize(
  ('changes', 'told', 'told_zh'),
  [
    ({'asked': -4.0}, 'softer by 4.0 dB', '轻4.0分贝'),
    ({'asked': 2.5}, 'louder by 2.5 dB', '响2.5分贝'),
    ({'seconds': 2.14}, 'slower by 7 %', '慢7%'),
    ({'seconds': 1.8}, 'faster by 10 %', '快10%'),
    ({'pitch_hz': 200 * 2 ** (1.2 / 12)}, 'higher by 1.2 semitones', '音调高1.2个半音'),
    ({'range_st': 4.5}, 'flatter by 25 %', '语调平淡25%'),
    ({'emotion': 'sad'}, 'sad instead of neutral', '情绪由平静变为悲伤'),
    ({'asked': -4.0, 'seconds': 2.14}, 'softer by 4.0 dB, slower by 7 %', '轻4.0分贝，慢7%'),
    ({'asked': 0.2, 'seconds': 2.01, 'pitch_hz': 201.0}, 'no measurable difference', '没有可测得的差别'),
    ({'plain_lufs': None, 'pitch_hz': None, 'range_st': None}, 'no measurable difference', '没有可测得的差别'),
  ],
)
def test_what_a_note_did_is_told_in_plain_numbers(changes, told, told_zh):
  assert describe_change(PLAIN, dataclasses.replace(PLAIN, **changes), -23.0) == (told, told_zh)


def test_loudness_is_as_heard_in_the_film_where_a_take_is_brought_to_its_characters_level():
  far = dataclasses.replace(PLAIN, plain_lufs=-13.0)  # 10 dB louder as a file, EVEN dB louder in the film
  assert describe_change(PLAIN, far, -23.0)[0] == f'louder by {EVEN:.1f} dB'


def test_measures_are_those_of_the_sound_and_survive_json():
  soft, loud = (measure_take(a_take(level), Direction()) for level in (0.05, 0.1))
  assert loud.plain_lufs - soft.plain_lufs == pytest.approx(20 * np.log10(2), abs=0.05)
  asked = measure_take(a_take(0.1), Direction(loudness=6.0))
  assert asked.plain_lufs == pytest.approx(loud.plain_lufs - 6.0, abs=0.02) and asked.asked == 6.0
  assert loud.seconds == pytest.approx(80 * HOP / SAMPLE_RATE, abs=1e-3) and loud.emotion == 'neutral'
  assert loud.pitch_hz == pytest.approx(200, abs=1) and loud.range_st == pytest.approx(2.79, abs=0.05)
  assert TakeMeasures.from_json(loud.to_json()) == loud
  silent = measure_take(dataclasses.replace(a_take(), waveform=np.zeros(25600, np.float32)), Direction())
  assert silent.plain_lufs is None
