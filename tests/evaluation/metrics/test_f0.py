import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.f0 import f0_distance, level_distance, prosody_distance

HERTZ = np.array([0, 100, 110, 120, 130, 0, 0, 200, 190, 180.0])


def spoken(pitch, seconds=1.2, vowels=(700, 400, 900), rate=22050):
  """Three vowels of a buzz whose pitch (start, end) glides, with silence at both ends."""
  count = int(seconds * rate)
  hertz = np.geomspace(*pitch, count)
  phase = 2 * np.pi * np.cumsum(hertz) / rate
  formant = np.repeat(vowels, -(-count // len(vowels)))[:count]
  harmonics = [np.exp(-np.abs(k * hertz - formant) / 300) * np.sin(k * phase) for k in range(1, 20)]
  return np.pad(0.1 * np.sum(harmonics, 0), rate // 5).astype(np.float32)


def test_the_same_melody_is_no_distance_away():
  found = f0_distance(HERTZ, HERTZ)
  assert found.pop('pitch_correlation') == pytest.approx(1)
  assert set(found.values()) == {0.0}


def test_two_semitones_higher_is_two_semitones_away_and_moves_alike():
  found = f0_distance(HERTZ, HERTZ * 2 ** (2 / 12))
  assert found['pitch_rmse'] == found['pitch_shift'] == pytest.approx(2)
  assert found['pitch_correlation'] == pytest.approx(1) and found['gross_pitch_error'] == 0


def test_frames_that_one_alone_voices_count_as_voicing_errors_only():
  heard = HERTZ.copy()
  heard[[0, 5]], heard[1] = 150, 0
  found = f0_distance(HERTZ, heard)
  assert found['voicing_error'] == found['f0_frame_error'] == pytest.approx(0.3) and found['pitch_rmse'] == 0


def test_an_octave_is_a_gross_error():
  heard = HERTZ.copy()
  heard[7] *= 2
  found = f0_distance(HERTZ, heard)
  assert found['gross_pitch_error'] == pytest.approx(1 / 7) and found['f0_frame_error'] == pytest.approx(0.1)
  assert found['pitch_rmse'] == pytest.approx(12 / np.sqrt(7))


def test_a_whisper_has_no_pitch_to_compare():
  found = f0_distance(HERTZ, np.zeros(10))
  assert np.isnan(found['pitch_rmse']) and np.isnan(found['pitch_correlation'])
  assert found['voicing_error'] == pytest.approx(0.7)


def test_a_recordings_gain_is_no_difference_and_a_flat_level_is():
  rng = np.random.default_rng(0)
  mel = rng.normal(-5, 0.1, (50, 80)) + np.linspace(0, 3, 50)[:, None]
  assert level_distance(mel, mel + 1.5)['level_rmse'] == pytest.approx(0, abs=1e-6)
  assert level_distance(mel, mel + 1.5)['level_correlation'] == pytest.approx(1)
  flat = mel - np.linspace(0, 3, 50)[:, None]
  ramp = 20 / np.log(10) * np.linspace(0, 3, 50)  # dB
  assert level_distance(mel, flat)['level_rmse'] == pytest.approx(ramp.std(), rel=0.05)


def test_sounds_are_compared_where_they_say_the_same():
  low = spoken((120, 160))
  slow, high, falling = spoken((120, 160), seconds=1.8), spoken((150, 200)), spoken((160, 120))
  assert prosody_distance(low, slow)['pitch_rmse'] < 0.7
  raised = prosody_distance(low, high)
  assert raised['pitch_shift'] == pytest.approx(12 * np.log2(1.25), abs=0.4) and raised['pitch_correlation'] > 0.9
  assert prosody_distance(low, falling)['pitch_correlation'] < -0.8
  assert prosody_distance(low, slow)['voicing_error'] < 0.1
  with pytest.raises(BadInput, match='too short'):
    prosody_distance(low, low[:0])
