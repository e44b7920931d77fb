from pathlib import Path

import numpy as np
import pytest

from dubber_jax.script.g2p import encode
from dubber_jax.script.symbols import ARPABET_87, BASE_OF, ENGLISH, MANDARIN, NUM_TONES, SILENCES, SYMBOLS, TONE_OF

REFERENCE = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'


def test_symbols_keep_the_ids_of_the_published_table():
  assert ARPABET_87 == tuple(np.load(REFERENCE / 'text_symbols.npz')['out/symbols'])
  assert ENGLISH == 96
  np.testing.assert_array_equal(encode(['_', '@AA', '@sil', ',', '...']), [0, 1, 87, 88, 95])


def test_ids_of_mandarin_stay_what_checkpoints_learned():
  assert len(set(SYMBOLS)) == len(SYMBOLS) == 332
  first_and_last = ['zh:b', 'zh:s', 'zh:a1', 'zh:a5', 'zh:o1', 'zh:er2', 'zh:iii4', 'zh:uang2', 'zh:v3', 'zh:ng5']
  np.testing.assert_array_equal(encode(first_and_last), [96, 116, 117, 121, 122, 183, 200, 288, 299, 331])


def test_symbols_of_two_languages_are_never_taken_for_each_other():
  assert not {s[1:] for s in SYMBOLS[:ENGLISH]} & {s[1:] for s in MANDARIN}
  assert not SILENCES & set(MANDARIN)


@pytest.mark.parametrize(
  ('variants', 'tones'),
  [
    (['@AA', '@AA0', '@AA1', '@AA2'], [0, 1, 2, 3]),
    (['zh:uang1', 'zh:uang2', 'zh:uang3', 'zh:uang4', 'zh:uang5'], [4, 5, 6, 7, 8]),
    (['@DH'], [0]),
    (['zh:zh'], [0]),
    (['...'], [0]),
  ],
)
def test_variants_of_a_vowel_or_final_share_a_base_and_differ_in_tone(variants, tones):
  ids = encode(variants)
  np.testing.assert_array_equal(BASE_OF[ids], ids[0])
  np.testing.assert_array_equal(TONE_OF[ids], tones)
  assert set(np.flatnonzero(BASE_OF == ids[0])) == set(ids)


def test_base_and_tone_name_a_symbol():
  assert len(set(zip(BASE_OF.tolist(), TONE_OF.tolist(), strict=True))) == len(SYMBOLS)
  assert (BASE_OF <= np.arange(len(SYMBOLS))).all() and TONE_OF.max() == NUM_TONES - 1
