from dubber_jax.script.symbols import SILENCES, SYMBOLS
from dubber_jax.script.visemes import CLASS_OF, NAMES, SILENT, visemes_of


def test_every_symbol_has_a_class_and_only_pauses_are_silent():
  assert set(CLASS_OF) == set(SYMBOLS)
  assert all(0 <= c < len(NAMES) for c in CLASS_OF.values())
  assert {s for s, c in CLASS_OF.items() if c == SILENT} == SILENCES | {SYMBOLS[0]}


def test_stress_and_tone_do_not_change_the_lips():
  assert len(set(visemes_of(['@AA0', '@AA1', '@AA']))) == 1
  assert len(set(visemes_of([f'zh:ao{tone}' for tone in range(1, 6)]))) == 1


def test_closed_lips_are_the_same_in_both_languages():
  assert [NAMES[c] for c in visemes_of(['@P', '@B', '@M', 'zh:b', 'zh:p', 'zh:m'])] == ['bilabial'] * 6
