"""The lines on which emotion is tested are new to everything that was trained."""

import json
from collections import Counter
from pathlib import Path

from data_pipelines.teacher_plan import NEAR_TEST_LINES
from dubber_jax.demo.cartoon import MOODS
from dubber_jax.evaluation.metrics.wer import normalize
from dubber_jax.types import EMOTIONS

REPOSITORY = Path(__file__).parents[2]
LINES, DEVELOPMENT = (
  [json.loads(row) for row in (REPOSITORY / 'experiments' / 'data' / f'{name}_lines.jsonl').read_text().splitlines()]
  for name in ('emotional', 'development')
)
NEAR = 0.6  # of all words of two sentences, this share in both: the same sentence in other words

# The one pair: a sentence on which the text classifier is tested, not trained.
HELD_OUT_PAIR = ('Turn off the torch, or they will find us!', "Turn off the torch, they'll see us.")


def held_out_of(rows) -> list[str]:
  """Sentences of text_emotion.txt under a heading '[EMOTION, held out]'."""
  found, held_out = [], False
  for row in rows:
    held_out = row.endswith('held out]') if row.startswith('[') else held_out
    found += [row] if held_out and not row.startswith('[') else []
  return found


def overlaps(texts) -> list[tuple[str, str]]:
  """Lines of the test that are nearly one of the texts, with it."""
  others = {frozenset(normalize(text).split()): text for text in texts}
  found = []
  for line in LINES:
    words = frozenset(normalize(line['text']).split())
    found += [(line['text'], text) for other, text in others.items() if len(words & other) > NEAR * len(words | other)]
  return found


def test_every_emotion_has_its_lines_and_half_of_them_a_scene():
  count = Counter(line['emotion'] for line in LINES)
  scenes = Counter(line['emotion'] for line in LINES if 'scene' in line)
  assert len(LINES) >= 105 and set(count) == set(EMOTIONS) - {'others'} and min(count.values()) >= 15
  assert all(scenes[emotion] == count[emotion] // 2 for emotion in count)
  assert {line['scene'] for line in LINES if 'scene' in line} <= set(MOODS)


def test_lines_are_as_long_as_those_of_films():
  assert [line['text'] for line in LINES if not 5 <= len(line['text'].split()) <= 12] == []


def test_a_sentence_in_another_order_would_be_noticed():
  turned = 'To my mother, like that you speak! How dare you!'
  assert overlaps(['Good morning.', turned]) == [('How dare you speak to my mother like that!', turned)]


def test_no_line_was_heard_or_read_in_training():
  emotion_classifier = (REPOSITORY / 'experiments' / 'data' / 'text_emotion.txt').read_text().splitlines()
  everyday = (REPOSITORY / 'experiments' / 'data' / 'everyday.txt').read_text().splitlines()
  ravdess = ['Kids are talking by the door.', 'Dogs are sitting by the door.']
  library = (REPOSITORY / 'dubber_jax' / 'assets' / 'library' / 'clips.jsonl').read_text().splitlines()
  captions = [caption for row in library for caption in json.loads(row).get('captions', {}).values()]
  found = overlaps([*emotion_classifier, *everyday, *ravdess, *captions])
  assert found == [HELD_OUT_PAIR] and HELD_OUT_PAIR[1] in held_out_of(emotion_classifier)


def test_no_line_is_in_a_corpus(data_dir):
  rows = [
    json.loads(row) for corpus in data_dir.glob('*.jsonl') for row in corpus.read_text(encoding='utf-8').splitlines()
  ]
  held = {row['text'] for row in rows if row['id'] in NEAR_TEST_LINES}  # the plan of the teacher corpus leaves them out
  texts = {text for row in rows if (text := row.get('text')) and text not in held}
  assert len(texts) > 1000 and overlaps(texts) == []


def test_the_director_was_not_developed_on_them():
  assert len(DEVELOPMENT) > 100 and overlaps(line['text'] for line in DEVELOPMENT) == []


def test_no_two_lines_are_one():
  texts = [line['text'] for line in LINES]
  assert overlaps(texts) == [(text, text) for text in texts]
