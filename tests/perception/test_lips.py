import time

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.lips import LIPS, lip_features, track_mouth, yaw

WOMAN, MAN, ACTOR = 'grid/s4/bwbm9n.mp4', 'grid/s1/bbaf2n.mp4', 'cremad/1001_DFA_ANG_XX.flv'


def _mesh():
  """A mesh of 468 points with eyes 60 px apart and a mouth open by 12 px."""
  points = np.random.default_rng(0).normal(0, 40, (468, 3))
  points[33], points[133], points[362], points[263] = (-42, 0, 0), (-18, 0, 0), (18, 0, 0), (42, 0, 0)
  for i, index in enumerate(LIPS):
    points[index] = (30 * np.cos(i), 60 + 8 * np.sin(i), 0)
  for upper, lower in zip((82, 13, 312), (87, 14, 317), strict=True):
    points[lower] = points[upper] + (0, 12, 0)
  return points


def test_opening_is_measured_in_eye_distances():
  assert lip_features(_mesh())[80] == pytest.approx(12 / 60, abs=1e-4)


def test_lips_do_not_depend_on_where_the_head_is_how_large_or_how_tilted():
  tilt = np.radians(20)
  turn = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
  moved = _mesh() @ turn * 3 + (200, 100, 0)
  np.testing.assert_allclose(lip_features(moved), lip_features(_mesh()), atol=1e-4)


def test_turned_head_is_measured_as_turned():
  turn = np.radians(60)
  rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
  assert abs(yaw(_mesh() @ rotation)) == pytest.approx(60, abs=1)


def test_picture_without_a_face_gives_an_absent_track_and_says_so():
  frames = np.random.default_rng(0).integers(0, 255, (10, 120, 160, 3), np.uint8)
  track = track_mouth(frames)
  assert not track.present.any() and not track.usable and not track.lips.any()
  assert 'without lips' in track.warnings[0]


def test_wrongly_shaped_frames_are_refused():
  with pytest.raises(BadInput):
    track_mouth(np.zeros((0, 10, 10, 3), np.uint8))


@pytest.mark.parametrize('file', [WOMAN, MAN, ACTOR])
def test_real_speaker_is_followed_through_every_frame(film, file):
  frames = film(file)
  track = track_mouth(frames)
  assert track.present.all() and track.faces == 1 and track.warnings == ()
  assert track.lips.shape == (len(frames), 82) and track.boxes.shape == (len(frames), 4)
  np.testing.assert_allclose(track.lips[:, :80].reshape(-1, 40, 2).mean(1), 0, atol=1e-5)
  assert 0.07 < np.ptp(track.opening) < 0.8
  assert np.abs(np.diff(track.opening, 2)).mean() < 0.25 * np.ptp(track.opening)  # speech, not jitter


def test_shouted_words_open_the_mouth_and_silence_closes_it(film):
  track = track_mouth(film(ACTOR))
  assert track.opening[[0, 1, 2, -3, -2, -1]].max() < 0.06 < 0.3 < track.opening.max()


def test_of_two_faces_the_talking_one_is_taken_unless_asked(film):
  man, woman = film(MAN), film('grid/s2/pwij3p.mp4')
  still = np.repeat(woman[:1], len(man), axis=0)
  for frames, talking in ((np.concatenate([still, man], 2), 1), (np.concatenate([man, still], 2), 0)):
    track = track_mouth(frames)
    assert (track.faces, track.face) == (2, talking) and track.present.all()
    assert (track.boxes[:, 0].mean() > 360) == (talking == 1)
    assert track_mouth(frames, face=1 - talking).opening.std() < 0.02
  with pytest.raises(BadInput, match='face 2'):
    track_mouth(frames, face=2)


def test_frames_without_the_face_are_absent_but_the_rest_is_followed(film):
  frames = film(MAN).copy()
  frames[30:50] = 0
  track = track_mouth(frames)
  assert not track.present[31:49].any() and track.present[:29].all() and track.present[52:].all()
  assert not track.lips[31:49].any() and any('hidden' in warning for warning in track.warnings)


def test_cut_to_another_place_is_followed_as_the_same_face(film):
  frames = film(MAN)
  frames = np.concatenate([frames[:36], np.roll(frames[36:], 120, axis=2)])
  track = track_mouth(frames)
  assert track.faces == 1 and track.present.mean() > 0.8


def test_tilted_head_is_followed(film):
  import cv2

  frames = film(MAN, step=5)
  turn = cv2.getRotationMatrix2D((180, 144), 15, 1)
  tilted = np.stack([cv2.warpAffine(frame, turn, (360, 288), borderMode=cv2.BORDER_REPLICATE) for frame in frames])
  upright, turned = track_mouth(frames), track_mouth(tilted)
  assert turned.present.mean() > 0.8
  assert np.median(np.abs(turned.opening - upright.opening)[turned.present & upright.present]) < 0.03


def test_tracking_is_faster_than_twice_the_film(film):
  frames = film(MAN)
  track_mouth(frames[:3])
  start = time.process_time()
  track_mouth(frames)
  assert len(frames) / (time.process_time() - start) > 60
