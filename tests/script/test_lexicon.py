import pytest

from dubber_jax.errors import BadInput
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.lexicon import read_lexicon, split_by_lexicon


def test_lexicon_goes_before_the_dictionary(tmp_path):
  path = tmp_path / 'names.txt'
  path.write_text('# names\nZhivago ZH IH0 V AA1 G OW0\nVan_Gogh V AE N G OW1 # painter\nX\u00e9na Z IY N AH\n')
  lexicon = read_lexicon(path)
  assert lexicon['van gogh'] == ('@V', '@AE0', '@N', '@G', '@OW1')
  phonemes = phonemize("Zhivago's van Gogh, Xena.", lexicon)
  assert phonemes.words == ("zhivago's", 'van gogh', 'xena')
  assert phonemes.symbols[1:8] == ('@ZH', '@IH0', '@V', '@AA1', '@G', '@OW0', '@Z')
  assert phonemes.symbols[-6:] == ('@Z', '@IY1', '@N', '@AH0', '.', '@sil')


@pytest.mark.parametrize('row', ['Zhivago', 'Zhivago ZH QQ', 'Zhivago @sil', 'Zhivago ,'])
def test_a_bad_row_of_a_lexicon_is_named(tmp_path, row):
  path = tmp_path / 'names.txt'
  path.write_text(f'Anna AE1 N AH0\n\n{row}\n')
  with pytest.raises(BadInput, match='row 3'):
    read_lexicon(path)
  with pytest.raises(BadInput):
    read_lexicon(tmp_path / 'missing.txt')


def test_longer_entries_are_matched_first_and_only_whole_words():
  lexicon = {'ann': ('@AE1', '@N'), 'ann arbor': ('@AA1',)}
  pieces = split_by_lexicon("Ann Arbor, Ann's, Anne", lexicon)
  assert pieces == [('Ann Arbor', ('@AA1',)), (', ', None), ("Ann's", ('@AE1', '@N', '@Z')), (', Anne', None)]
