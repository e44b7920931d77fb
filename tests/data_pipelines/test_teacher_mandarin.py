import json

import numpy as np
import pytest

from data_pipelines.teacher_mandarin import TEACHER_FINALS, TEACHER_INITIALS, mandarin_phonemes, map_mandarin
from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import encode
from dubber_jax.script.mandarin import PUNCTUATION_OF, UNSPOKEN, Syllable, phonemize
from dubber_jax.script.symbols import FINALS, INITIALS

pytest.importorskip('pypinyin')
pytest.importorskip('jieba')

KNOWN = set(' ,.!?:;—…“”"' + '→↗↘↓' + 'ʦʨꭧaefhijklmnopstuwxyɔɕəɚɛɥɨŋɤɻʂʊʰ')  # of the teacher's table
HELLO = 'ni↓xau↓, ʂɨ↘ʨje↘!'


def test_every_initial_and_final_has_its_teacher_symbols():
  assert set(TEACHER_INITIALS) == {'', *INITIALS} and set(TEACHER_FINALS) == set(FINALS)
  assert set(''.join([*TEACHER_INITIALS.values(), *TEACHER_FINALS.values()])) - {'0'} <= KNOWN


def test_teacher_reads_what_misaki_writes():
  assert mandarin_phonemes('你好，世界！')[0] == HELLO
  assert mandarin_phonemes('他去哪儿了？一会儿见。')[0] == 'tʰa→ ʨʰy↘ na↓ɚ↗ lɤ? i→xwei↘ɚ ʨjɛ↘n.'
  assert mandarin_phonemes('等等……')[0] == 'tə↓ŋtə↓ŋ……'


def test_times_go_to_initials_finals_and_marks():
  _, syllables = mandarin_phonemes('你好，世界！')
  symbols, steps = map_mandarin(HELLO, 2 ** np.arange(len(HELLO) + 2), syllables)
  assert tuple(symbols) == phonemize('你好，世界！').symbols
  #        sil  n  i↓      x   au↓           ', '        ʂ    ɨ↘            ʨ      je↘            !      sil
  sums = [1, 2, 4 + 8, 16, 32 + 64 + 128, 256 + 512, 1024, 2048 + 4096, 8192, 0b111 << 14, 1 << 17, 1 << 18]
  np.testing.assert_array_equal(steps, sums)


def test_words_are_apart_by_a_pause_that_may_be():
  teacher, syllables = mandarin_phonemes('“天” 黑')
  assert teacher == '“tʰjɛ→n” xei→'
  symbols, steps = map_mandarin(teacher, [5] + [1] * len(teacher) + [7], syllables)
  assert symbols == ['@sil', 'zh:t', 'zh:ian1', '@sp', 'zh:h', 'zh:ei1', '@sil']
  np.testing.assert_array_equal(steps, [6, 2, 4, 2, 1, 3, 7])


def test_every_character_that_is_not_spoken_can_be_given_to_the_teacher():
  for character in sorted({*PUNCTUATION_OF, *UNSPOKEN, '\n', '\u3000'}):
    text = f'好{character}好'
    teacher, syllables = mandarin_phonemes(text)
    assert set(teacher) <= KNOWN, text
    symbols, steps = map_mandarin(teacher, np.ones(len(teacher) + 2, int), syllables)
    assert steps.sum() == len(teacher) + 2
    assert [s for s in symbols if s != '@sp'] == list(phonemize(text).symbols)


@pytest.mark.parametrize(
  ('teacher', 'syllables', 'named'),
  [
    ('ma→', (Syllable('m', 'a', 4),), 'zh:a4'),
    ('ma→ma→', (Syllable('m', 'a', 1),), "'m' at 3"),
    ('ma→', (Syllable('m', 'a', 1),) * 2, 'zh:mzh:a1'),
    ('ma→', (), "'m' at 0"),
  ],
)
def test_teacher_symbols_of_other_syllables_are_refused(teacher, syllables, named):
  with pytest.raises(BadInput, match=named):
    map_mandarin(teacher, [1] * (len(teacher) + 2), syllables)


def test_durations_of_another_line_are_refused():
  with pytest.raises(BadInput, match='durations'):
    map_mandarin('ma→', [1] * 4, (Syllable('m', 'a', 1),))


@pytest.mark.parametrize('text', ['我有3个', ''])
def test_line_that_cannot_be_read_is_refused(text):
  with pytest.raises(BadInput):
    mandarin_phonemes(text)


def test_every_line_of_the_data_is_mapped(data_dir):
  path = data_dir / 'lines_zh.jsonl'
  if not path.exists():
    pytest.skip(f'no {path}')
  texts = [json.loads(row)['text'] for row in path.read_text(encoding='utf-8').splitlines()]
  rng = np.random.default_rng(0)
  for text in texts:
    teacher, syllables = mandarin_phonemes(text)
    assert set(teacher) <= KNOWN, text
    durations = rng.integers(1, 9, len(teacher) + 2)
    symbols, steps = map_mandarin(teacher, durations, syllables)
    assert steps.sum() == durations.sum() and (steps > 0).all() and len(encode(symbols)) == len(steps)
    assert tuple(s for s in symbols if s != '@sp') == phonemize(text).symbols, text
