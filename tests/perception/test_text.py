from pathlib import Path

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.text import embed_text, read_text, text_emotion
from dubber_jax.types import EMOTIONS

SENTENCES = Path(__file__).parents[2] / 'experiments' / 'data' / 'text_emotion.txt'


def test_embedding_is_nearer_to_a_paraphrase_than_to_another_subject():
  one, paraphrase, other = embed_text(
    ['The cat sleeps on the sofa.', 'A kitten is napping on the couch.', 'Interest rates rose by two per cent.']
  )
  assert one @ paraphrase > 0.5 > 0.2 > one @ other


def test_embedding_of_a_line_does_not_depend_on_what_else_is_in_the_batch():
  lines = ['Run!', 'The meeting has been moved to Thursday because the room is taken.', 'Who is it?'] * 14
  alone = np.concatenate([embed_text([line]) for line in lines[:3]])
  together = embed_text(lines)
  np.testing.assert_allclose(together[:3], alone, atol=2e-5)
  np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
  assert embed_text([]).shape == (0, 384)


def test_long_text_is_cut_rather_than_refused():
  assert np.isfinite(embed_text(['word ' * 2000])).all()


def test_emotion_of_sentences_that_were_never_trained_on():
  lines, labels, emotion = [], [], None
  for row in SENTENCES.read_text().splitlines():
    if row.startswith('['):
      name, _, part = row.strip('[]').partition(', ')
      emotion = EMOTIONS.index(name) if part else None
    elif row and emotion is not None:
      lines.append(row)
      labels.append(emotion)
  probabilities = text_emotion(lines)
  np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
  assert len(labels) == 96 and np.mean(probabilities.argmax(1) == labels) >= 0.8


@pytest.mark.parametrize('direction, emotion', [('cheerfully', 'happy'), ('furious, shouting', 'angry')])
def test_stage_direction_outweighs_plain_words(direction, emotion):
  _, plain, _ = read_text('The train leaves at nine.')
  embedding, played, reaction = read_text('The train leaves at nine.', direction)
  assert EMOTIONS[plain.argmax()] == 'neutral' and EMOTIONS[played.argmax()] == emotion
  assert embedding.shape == (768,) and emotion in reaction


def test_both_halves_of_a_reading_weigh_the_same():
  embedding, _, _ = read_text('I have lost everything.')
  np.testing.assert_allclose(np.linalg.norm(embedding.reshape(2, 384), axis=1), 1, atol=1e-4)


def test_empty_line_is_refused():
  with pytest.raises(BadInput):
    read_text('  ')
