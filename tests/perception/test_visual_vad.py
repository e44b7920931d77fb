import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dubber_jax.errors import BadInput
from dubber_jax.perception.lips import track_mouth
from dubber_jax.perception.visual_vad import (
  FEATURES,
  RATE,
  SHAPES,
  UPSAMPLING,
  add_detrended,
  gaussian_smooth,
  lip_shape,
  load_network,
  network,
  normalize_features,
  silent_gaps,
  speech_spans,
  speech_window,
  visual_vad,
)
from dubber_jax.script.visemes import NAMES
from dubber_jax.types import MouthTrack


def mouth(opening, present=True, scale=1.0):
  """A track of an elliptical mouth that opens so far, in eye distances."""
  angle = np.pi - np.arange(20) * 2 * np.pi / 20  # from the left corner along the lower lip
  length = len(opening)
  contours = []
  for width, thickness in ((0.4, 0.06), (0.32, 0.0)):
    x = np.tile(width * np.cos(angle), (length, 1))
    y = np.sin(angle) * (0.5 * np.asarray(opening)[:, None] + thickness)
    contours.append(np.stack([x, y], axis=-1))
  points = scale * np.concatenate(contours, axis=1)
  lips = np.concatenate([points.reshape(length, 80), scale * np.stack([opening, np.full(length, 0.8)], 1)], axis=1)
  lips = lips.astype(np.float32)
  return MouthTrack(lips, lips[:, 80], np.full(length, present), np.zeros((length, 4), np.float32))


def talking(start=25, end=60, length=90):
  opening = np.full(length, 0.02)
  moments = np.arange(start, end)
  opening[start:end] += 0.15 * np.abs(np.sin(moments * 0.7)) * (0.6 + 0.4 * np.sin(moments * 1.9))
  return opening


def test_shape_is_measured_in_eye_distances():
  shape = lip_shape(mouth(np.array([0.1, 0.3])).lips, np.ones(2, bool))
  assert shape.shape == (2, SHAPES)
  assert shape[:, 0] == pytest.approx([0.1, 0.3], abs=1e-5)  # gap of the inner lips
  assert shape[:, 5] == pytest.approx(0.64, abs=1e-5)  # their width
  assert shape[:, 7] == pytest.approx([np.pi * 0.05 * 0.32, np.pi * 0.15 * 0.32], rel=0.05)  # their area


def test_frames_without_a_mouth_are_interpolated():
  track = mouth(np.linspace(0, 0.2, 11))
  present = np.ones(11, bool)
  present[4:7] = False
  lips = np.where(present[:, None], track.lips, 0)
  np.testing.assert_allclose(lip_shape(lips, present), lip_shape(track.lips, np.ones(11, bool)), atol=1e-5)


def test_size_of_the_mouth_does_not_matter():
  small, large = (visual_vad(mouth(talking(), scale=s)) for s in (1.0, 1.5))
  np.testing.assert_allclose(small.speaking, large.speaking, atol=0.05)


def test_network_gives_four_moments_a_frame_and_sees_a_fifth_of_a_second():
  features = np.random.default_rng(0).normal(size=(40, FEATURES)).astype(np.float32)
  logits = network(load_network(), features)
  assert logits.shape == (UPSAMPLING * 40, len(NAMES))
  changed = features.copy()
  changed[20] += 1.0
  moved = np.abs(network(load_network(), changed) - logits).max(1).reshape(40, UPSAMPLING).max(1) > 0
  assert moved[15:26].all() and not moved[:15].any() and not moved[26:].any()


def test_trained_network_computes_the_same_in_jax():
  import jax.numpy as jnp

  features = add_detrended(normalize_features(lip_shape(mouth(talking()).lips, np.ones(90, bool))))
  np.testing.assert_allclose(network(load_network(), features), network(load_network(), features, jnp), atol=1e-3)


@pytest.mark.parametrize('still', [np.full(75, 0.1), 0.1 + 0.001 * np.sin(np.arange(75))])
def test_mouth_that_does_not_move_does_not_speak(still):
  assert visual_vad(mouth(still)) is None and speech_window(None) is None


def test_face_that_was_not_seen_does_not_speak():
  assert visual_vad(mouth(talking(), present=False)) is None
  assert visual_vad(None) is None


def test_spans_of_speech_are_found_to_the_hundredth_and_flickers_are_not():
  speaking = np.full(300, 0.02)
  speaking[70:120] = speaking[170:250] = 0.97
  speaking[20:23], speaking[200:203] = 0.9, 0.1
  assert speech_spans(speaking) == [(0.7, 1.2), (1.7, 2.5)]
  assert silent_gaps(speaking) == [(1.2, 1.7)]
  speaking[120:170] = 0.3
  assert silent_gaps(speaking) == []  # not sure enough


@pytest.mark.parametrize('file, spoken', [('grid/s1/bbaf2n.mp4', (0.95, 2.12)), ('grid/s1/bbaf3s.mp4', (0.71, 1.87))])
def test_speaker_is_seen_to_speak_when_he_does(film, file, spoken):
  seen = visual_vad(track_mouth(film(file)))
  assert len(seen.speaking) == len(seen.scores) and RATE == 100
  assert speech_window(seen) == pytest.approx(spoken, abs=0.2)


def test_folder_without_weights_is_refused(tmp_path):
  with pytest.raises(BadInput, match='visual_vad'):
    load_network(tmp_path)


@pytest.mark.parametrize('length', [1, 5, 24, 300])
def test_smoothing_is_that_of_scipy_to_the_bit(length):
  values = np.random.default_rng(length).normal(size=(length, 4)).astype(np.float32)
  np.testing.assert_array_equal(gaussian_smooth(values, 6.0), gaussian_filter1d(values, 6.0, axis=0, mode='nearest'))
