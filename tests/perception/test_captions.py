import numpy as np
import pytest

from dubber_jax.perception import captions, face, scene, text
from dubber_jax.perception.captions import label_captions, training_captions
from dubber_jax.types import EMOTIONS, MODALITIES


@pytest.mark.parametrize('modality', MODALITIES)
def test_captions_of_an_emotion_vary(modality):
  rng = np.random.default_rng(0)
  for emotion in EMOTIONS:
    assert len({label_captions(emotion, modality, rng) for _ in range(60)}) >= 2


def test_no_caption_from_a_label_repeats_the_wording_that_test_clips_get():
  tables = (face.EXPRESSIONS, scene.FEELINGS, text.REACTIONS)
  at_test = {tuple(words) for table in tables for sentence in table.values() for words in _triples(sentence)}
  tables = (captions.SCENES, captions.FACES, captions.LISTENERS)
  in_training = {words for table in tables for row in table.values() for one in row for words in _triples(one)}
  assert not at_test & in_training


def _triples(sentence):
  words = ''.join(c for c in sentence.lower() if c.isalpha() or c == ' ').split()
  return zip(words, words[1:], words[2:], strict=False)


def test_training_captions_are_sometimes_missing_and_sometimes_wrong():
  rng = np.random.default_rng(1)
  drawn = [training_captions('happy', rng) for _ in range(400)]
  missing = np.mean(['face' not in captions for captions in drawn])
  assert 0.05 < missing < 0.16
  happy = [any(words in c.get('face', '') for words in captions.FACES['happy']) for c in drawn if 'face' in c]
  assert 0.4 < np.mean(happy) < 0.7


def test_unknown_emotion_is_refused():
  with pytest.raises(ValueError):
    label_captions('calm', 'face', np.random.default_rng(0))
