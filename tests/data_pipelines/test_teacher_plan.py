"""The plan on texts made up here, and, where the data are, on the real ones."""

import json
from collections import Counter, defaultdict

import pytest

from data_pipelines import teacher_plan
from data_pipelines.recordings import data_root
from data_pipelines.teacher_corpus import SHARD_ROWS
from data_pipelines.teacher_mandarin import VOICES
from data_pipelines.teacher_plan import (
  BEST_VOICES,
  HELD_OUT_ROWS,
  OTHER_VOICES,
  UNSEEN_STOCK,
  blends,
  english_plan,
  held_out_translations,
  is_unseen,
  mandarin_plan,
  plan_hash,
  read_texts,
  rows_per_voice,
)
from dubber_jax.errors import BadInput

# Raised by whoever changes the plan on purpose: sounds made from another one are no longer right.
REAL_HASH = '0969997378a05003389fb5ad823008d4feaa765e5ce746c5ccb3d2eaecdfadd0'
REAL_MANDARIN_HASH = 'bb50b0677a3fc91491aec0c8c9eb33c69f6fa1dbad6162720b7bd906d3741106'
EMOTIONS = ('angry', 'sad', 'happy', 'neutral')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """500 lines, 200 translations, 300 prompts of ARCTIC and 200 of LJ Speech, 30 rows spoken already."""
  folder = tmp_path_factory.mktemp('data')

  def write(name, rows):
    (folder / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))

  def prompt(name, i, split='train'):
    return {'prompt': f'{name}{i:04d}', 'text': f'Prompt {name} of number {i}.', 'split': split}

  lines = [{'id': f'w1-{i:04d}', 'text': f'Line {i} of the film.', 'emotion': EMOTIONS[i % 4]} for i in range(500)]
  write('lines', lines)
  write(
    'lines_zh',
    [line | {'id': f'{line["id"]}-zh', 'of': line['id'], 'text': f'第{i}。'} for i, line in enumerate(lines[:200])],
  )
  write('ljspeech', [prompt('LJ001-', i, 'validation' if i == 0 else 'train') for i in range(100)])
  write('teacher', [prompt('LJ002-', i) for i in range(100)] + [prompt('arctic_a', i) for i in range(150)])
  write('kathleen', [prompt('arctic_b', i, 'test' if i < 5 else 'train') for i in range(150)])
  ready = []
  for i in range(30):
    voice = f'blend_{i % 3:02d}'
    shares = blends()[voice] if i % 2 else {'af_sky': 0.5, 'af_nova': 0.5}
    row = {'id': f'k{i:05d}', 'speaker': f'kokoro_{voice}', 'file': f'kokoro/k{i:05d}.opus', 'voice': shares}
    line = {'prompt': f'w1-{i:04d}', 'text': f'Line {i} of the film.', 'split': 'test' if i == 3 else 'train'}
    ready.append(row | line | {'phones': 'hˈI', 'durations': [1] * 5, 'speed': 1.0, 'edit': None})
  write('kokoro', ready)
  return folder


ROWS_OF = {'best': 22, 'rest': 20, 'blend': 18, 'unseen': 12}


@pytest.fixture(scope='module')
def rows(folder):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(teacher_plan, 'HELD_OUT_LINES', 30)
    patch.setattr(teacher_plan, 'ROWS_PER_VOICE', ROWS_OF)
    patch.setattr(teacher_plan, 'ENGLISH_ROWS', 12 * 22 + 12 * 20 + 63 * 18 + 6 * 12)  # 3 of the 63 are early_NN
    return english_plan(folder)


def test_plan_depends_on_settings_and_texts_alone(rows):
  assert plan_hash(rows) == '4122d9b5ab1267efa7dd7fe800d3d22336a380b16a0fec8cc171a96623cbb6c7'


def test_rows_that_are_spoken_come_first_under_names_that_mean_one_voice(rows):
  assert [row.id for row in rows[:2]] == ['k00000', 'k00001']
  assert [row.voice for row in rows[:4]] == ['early_00', 'blend_01', 'early_02', 'blend_00']
  shares = defaultdict(set)
  for row in rows:
    shares[row.voice].add(row.shares)
  assert all(len(different) == 1 for different in shares.values())


def test_each_voice_has_its_share_and_says_no_line_twice(rows):
  count = Counter(row.voice for row in rows)
  assert set(count) > set(BEST_VOICES + OTHER_VOICES) | set(blends())
  assert all(count[voice] == ROWS_OF['best'] for voice in BEST_VOICES)
  assert len({(row.voice, row.source) for row in rows}) == len(rows)
  assert len({row.id for row in rows}) == len(rows)


def test_no_text_is_trained_on_that_is_held_back(rows, folder):
  held = {f'lines:{line}' for line in held_out_translations(folder)}
  trained = {row.source for row in rows if row.split == 'train'}
  assert len(held) == 96 and not held & trained
  assert {row.split for row in rows if row.source in held} == {'test'}  # also where kokoro.jsonl says train
  for row in rows:
    if row.source in trained and row.split != 'train':
      assert is_unseen(row.voice)
  assert {row.split for row in rows if row.source == 'ljspeech:LJ001-0000'} <= {'validation'}
  assert {row.split for row in rows if row.source in ('arctic:arctic_b0001', 'lines:w1-0003')} <= {'test'}


def test_unseen_voices_are_never_trained_on(rows):
  assert {row.split for row in rows if row.voice in UNSEEN_STOCK} <= {'validation', 'test'}
  assert len({row.voice for row in rows if is_unseen(row.voice)}) == 6


def test_ten_lines_of_each_voice_are_in_no_training_row(rows):
  trained = {row.source for row in rows if row.split == 'train'}
  count = Counter(row.voice for row in rows if row.split == 'validation' and row.source not in trained)
  assert all(count[voice] >= HELD_OUT_ROWS for voice in BEST_VOICES + OTHER_VOICES)


def test_any_beginning_of_the_plan_is_balanced(rows):
  for part in (rows[:400], rows[:900]):
    count = Counter(row.voice for row in part)
    assert max(count[v] for v in BEST_VOICES) - min(count[v] for v in BEST_VOICES) <= 1
  edited = [row.edit for row in rows[30:] if row.edit]
  assert 0.35 < len(edited) / len(rows[30:]) < 0.45
  assert min(e.shift for e in edited) < -3 and max(e.shift for e in edited) > 7
  assert min(e.range for e in edited) < 0.6 and max(e.range for e in edited) > 1.7
  assert {row.split for row in rows[30:60]} >= {'train'}


@pytest.fixture(scope='module')
def mandarin(folder):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(teacher_plan, 'MANDARIN_ROWS', 300)
    return mandarin_plan(folder)


def test_mandarin_rows_are_shared_by_its_voices_and_each_line_is_in_two_at_most(mandarin):
  assert [row.id for row in mandarin[:2]] == ['zh00000', 'zh00001'] and {row.language for row in mandarin} == {'zh'}
  count = Counter(row.voice for row in mandarin)
  assert set(count) == set(VOICES) and max(count.values()) - min(count.values()) <= 1
  assert len({(row.voice, row.source) for row in mandarin}) == len(mandarin)
  assert max(Counter(row.source for row in mandarin).values()) <= 3  # of fewer lines than there are in truth
  assert all(row.shares == ((row.voice, 1.0),) for row in mandarin)


def test_what_is_held_back_in_english_is_held_back_in_mandarin(mandarin, folder):
  english = read_texts(folder)
  for row in mandarin:
    held = english[row.source.replace('lines_zh', 'lines').removesuffix('-zh')].held
    assert row.split == held if held else row.split in ('train', 'validation')
  tests = {row.source for row in mandarin if row.split == 'test'}
  assert {f'lines_zh:{line}-zh' for line in held_out_translations(folder)} <= tests
  validation = Counter(row.voice for row in mandarin if row.split == 'validation')
  assert all(validation[voice] == HELD_OUT_ROWS for voice in VOICES)


def test_mandarin_is_edited_less_so_that_tones_are_kept(mandarin):
  edited = [row.edit for row in mandarin if row.edit]
  assert 0.3 < len(edited) / len(mandarin) < 0.5
  assert all(0.7 <= e.range <= 1.6 and abs(e.slope) <= 1.5 and -3 <= e.shift <= 6 for e in edited)


def test_data_that_are_not_there_are_one_line(tmp_path):
  with pytest.raises(BadInput, match='kokoro.jsonl: cannot be read'):
    english_plan(tmp_path)


def test_real_plan_is_the_one_whose_sound_was_made():
  try:
    folder = data_root()
  except BadInput as e:
    pytest.skip(str(e))
  rows = english_plan(folder)
  assert plan_hash(rows) == REAL_HASH
  assert len(rows) == teacher_plan.ENGLISH_ROWS >= 8000
  count = Counter(row.voice for row in rows)
  assert all(count[voice] == rows_per_voice(voice) >= 40 for voice in count)
  made = blends()
  assert all(dict(row.shares) == made[row.voice] for row in rows if row.voice.startswith('blend'))
  validation = Counter(row.voice for row in rows if row.split == 'validation')
  assert all(validation[voice] == HELD_OUT_ROWS for voice in count if not is_unseen(voice))
  held = [text for text in read_texts(folder).values() if text.held]
  assert not {text.text for text in held} & {row.text for row in rows if row.split == 'train'}


def test_real_mandarin_plan_fills_its_shards_and_follows_english_ones_that_are_full():
  try:
    folder = data_root()
  except BadInput as e:
    pytest.skip(str(e))
  rows = mandarin_plan(folder)
  assert plan_hash(rows) == REAL_MANDARIN_HASH
  assert (
    len(rows) == teacher_plan.MANDARIN_ROWS and teacher_plan.ENGLISH_ROWS % SHARD_ROWS == len(rows) % SHARD_ROWS == 0
  )
  held_out = held_out_translations(folder)
  assert {row.split for row in rows if row.source[9:16] in held_out} == {'test'}
  assert Counter(row.voice for row in rows if row.split == 'validation') == dict.fromkeys(VOICES, HELD_OUT_ROWS)
  assert max(Counter(row.source for row in rows).values()) == 2
  assert len({row.source for row in rows}) == 960
  trained = {row.text for row in rows if row.split == 'train'}
  assert not trained & {row.text for row in rows if row.split != 'train'}
