import dataclasses
import json

from dubber_jax.dubbing.result import (
  DubResult,
  LineResult,
  ReadingResult,
  RoundResult,
  TakeResult,
  TakeScores,
)
from dubber_jax.types import Direction, Exemplar, Line

SCORES = {'naturalness': 0.9, 'intelligibility': 0.8, 'speaker_similarity': 0.7, 'av_sync': 0.6, 'emotion': 0.5}
SCORES |= {'control_accuracy': 0.4, 'timing': 0.3, 'overall': 0.2}
LINE = LineResult(
  line=Line('Go on.', 0.5, 1.5, 'Anna'),
  voice='joe',
  direction=Direction(pauses=((0, 0.2),), emphasis=(0.1, 0.9), note='softer'),
  take=TakeResult(('@sil', '@G', '@OW1'), (3, 4, 5), 'sad'),
  slot_seconds=1.0,
  fit='strict',
  speech_seconds=0.8,
  speech_start=0.1,
  rehearsal_seconds=0.3,
  seconds={'lips': 0.1},
  reading=ReadingResult({'text': 'Go on.'}, {'text': [0.125] * 8}, 0.7, ('angry', 'sad')),
  exemplars={'text': (Exemplar('set/a/1', 0.9, prosody={'pace': 12.0}),)},
  rounds=(
    RoundResult(Direction(), (TakeScores(SCORES, True, 0.5, 0.0, 1.0, 1.0),), 0, 0.2, True, 'accepted', '', 0.1),
  ),
  warnings=('the slot is short',),
  words=((0.1, 0.4, 'go'), (0.4, 0.9, 'on')),
)


def test_line_is_the_same_after_json():
  exported = dataclasses.replace(LINE, level_lufs=-24.0, pitch_hz=None, exported=True)
  for line in (LINE, exported):
    found = json.loads(json.dumps(line.to_json()))
    assert LineResult.from_json(found) == line and found == line.to_json()


def test_json_of_a_line_has_the_keys_that_programs_read():
  assert set(LINE.to_json()) == {
    *('line', 'voice', 'reading', 'exemplars', 'direction', 'rounds', 'take', 'slot_seconds', 'fit', 'words'),
    *('overrun_seconds', 'speech_seconds', 'speech_start', 'rehearsal_seconds', 'compile_seconds', 'seconds'),
    'warnings',
  }
  (take,) = LINE.to_json()['rounds'][0]['takes']
  assert set(take['scores']) == {
    *('natural', 'words', 'voice', 'together', 'emotion', 'obedience', 'timing', 'overall'),
  }


def test_a_film_of_one_line_is_that_line_and_of_several_their_sum():
  files = {'film': 'dubbed.mp4'}
  one = DubResult((LINE,), ('music ends',), {'encode': 0.2}, files).to_json()
  assert one['warnings'] == ['music ends', 'the slot is short'] and one['seconds'] == {'lips': 0.1, 'encode': 0.2}
  assert one['line']['text'] == 'Go on.' and one['files'] == files
  several = DubResult((LINE, LINE), ('music ends',), {'encode': 0.2}, files).to_json()
  assert several['slot_seconds'] == 2.0 and several['rounds'] == [] and len(several['lines']) == 2
  assert several['warnings'] == ['music ends'] and several['seconds'] == {'encode': 0.2}
