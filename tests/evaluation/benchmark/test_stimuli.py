from pathlib import Path

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.stimuli import Stimulus, read_lines, spread


def test_a_line_takes_its_voice_by_twos(tmp_path):
  rows = ['{"text": "Go.", "emotion": "angry"}', '{"text": "Oh.", "emotion": "sad", "scene": "sad"}'] * 2
  (tmp_path / 'lines.jsonl').write_text('\n'.join(rows))
  lines = read_lines(tmp_path / 'lines.jsonl', ('ada', 'bob'))
  assert [s.speaker for s in lines] == ['ada', 'ada', 'bob', 'bob'] and [s.scene for s in lines[:2]] == ['', 'sad']


@pytest.mark.parametrize('row', ['{"text": "Go."}', 'Go.', '["Go.", "angry"]'])
def test_a_row_that_cannot_be_read_is_named(tmp_path, row):
  (tmp_path / 'lines.jsonl').write_text(f'{{"text": "Go.", "emotion": "angry"}}\n{row}\n')
  with pytest.raises(BadInput, match='row 2'):
    read_lines(tmp_path / 'lines.jsonl')


def test_a_line_without_film_or_scene_has_no_clip():
  line = Stimulus('a', 'Go home now.', 'angry', 'ada')
  assert line.clip(Path('unused')) is None and line.seconds == pytest.approx(round((0.062 * 12 + 0.8) * 25) / 25)


def test_a_limit_keeps_the_order_and_the_range():
  chosen = spread(list(range(100)), 7)
  assert chosen == sorted(set(chosen)) and len(chosen) == 7 and chosen[0] < 10 and chosen[-1] >= 90
  assert spread([1, 2], 5) == spread([1, 2], None) == [1, 2]
