import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import encode
from dubber_jax.script.mandarin import Syllable, parse_pinyin, phonemize
from dubber_jax.script.symbols import ENGLISH

pytest.importorskip('pypinyin')
pytest.importorskip('jieba')


@pytest.mark.parametrize(
  ('pinyin', 'symbols'),
  [
    ('zhuang4', 'zh:zh zh:uang4'),
    ('jue2', 'zh:j zh:ve2'),
    ('nv3', 'zh:n zh:v3'),
    ('yuan2', 'zh:van2'),
    ('wu5', 'zh:u5'),
    ('liu2', 'zh:l zh:iou2'),
    ('gui1', 'zh:g zh:uei1'),
    ('lun2', 'zh:l zh:uen2'),
    ('ci2', 'zh:c zh:ii2'),
    ('shi4', 'zh:sh zh:iii4'),
    ('xi3', 'zh:x zh:i3'),
    ('bo1', 'zh:b zh:uo1'),
    ('o2', 'zh:o2'),
    ('yo1', 'zh:io1'),
    ('er2', 'zh:er2'),
    ('n2', 'zh:n2'),
    ('hng5', 'zh:h zh:ng5'),
  ],
)
def test_pinyin_is_spoken_as_it_is_pronounced(pinyin, symbols):
  assert ' '.join(parse_pinyin(pinyin).symbols) == symbols
  assert len(encode(parse_pinyin(pinyin).symbols))


@pytest.mark.parametrize('pinyin', ['ma', 'ma7', 'xyz1', '', '4'])
def test_what_is_no_syllable_is_refused(pinyin):
  with pytest.raises(BadInput, match='pinyin'):
    parse_pinyin(pinyin)


def test_every_syllable_of_the_dictionary_has_symbols():
  from pypinyin.constants import PINYIN_DICT
  from pypinyin.contrib.tone_convert import to_tone3

  written = {to_tone3(p, neutral_tone_with_five=True) for given in PINYIN_DICT.values() for p in given.split(',')}
  read = {p: parse_pinyin(p) for p in written}
  assert len(read) > 1500
  assert (encode([s for syllable in read.values() for s in syllable.symbols]) >= ENGLISH).all()
  assert len(set(read.values())) > len(read) - 20  # few are written in two ways


def test_characters_with_two_readings_are_read_by_their_word():
  assert phonemize('银行').symbols[-3:-1] == ('zh:h', 'zh:ang2')
  assert phonemize('行走').symbols[1:3] == ('zh:x', 'zh:ing2')


def test_line_has_words_marks_and_its_language():
  phonemes = phonemize('“你好”，世界？！')
  assert phonemes.symbols == (
    '@sil', 'zh:n', 'zh:i3', 'zh:h', 'zh:ao3', ',', 'zh:sh', 'zh:iii4', 'zh:j', 'zh:ie4', '?', '@sil',
  )  # fmt: skip
  np.testing.assert_array_equal(phonemes.word_of, [-1, 0, 0, 0, 0, -1, 1, 1, 1, 1, -1, -1])
  assert (phonemes.words, phonemes.language) == (('你好', '世界'), 'zh')


@pytest.mark.parametrize(('text', 'named'), [('我有3个', "'3'"), ('OK吧', "'O'"), ('', 'empty'), ('……', 'nothing')])
def test_what_cannot_be_spoken_is_named(text, named):
  with pytest.raises(BadInput, match=named):
    phonemize(text)


def test_syllable_without_initial_is_one_symbol():
  assert Syllable('', 'ai', 4).symbols == ('zh:ai4',)
