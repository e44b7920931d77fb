import json
import shutil

import numpy as np
import pytest

from data_pipelines.v2c_animation import (
  GRID,
  V2C,
  FeatureTree,
  main,
  read_listing,
  survey,
  truncate_to_common_length,
  write_random_tree,
  write_retrieval_lists,
)
from dubber_jax.authentic_dubber.collate import collate
from dubber_jax.authentic_dubber.retrieval_lists import list_name, read_list
from dubber_jax.errors import BadInput
from dubber_jax.types import MODALITIES


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('features') / 'tree'
  write_random_tree(folder, clips=8)
  return folder


@pytest.fixture
def tree(whole, tmp_path):
  """A tree that a test may damage."""
  folder = tmp_path / 'tree'
  shutil.copytree(whole, folder)
  return FeatureTree(folder)


def file_of(tree, feature, i=0):
  return tree.path(feature, tree.entries[i].name, tree.entries[i].speaker)


def change(tree, feature, to, i=0):
  path = file_of(tree, feature, i)
  np.save(path, to(np.load(path)))
  return path


def test_item_has_what_the_collation_asks_for(whole):
  tree = FeatureTree(whole, unused=True)
  items = [tree.item(i) | {'speaker': np.int64(0)} for i in range(3)]
  batch = collate(items)
  assert batch['text_refs'].shape == (3, 3, 2048) and batch['sounds'].shape == (3, 3, 3, 1024)
  np.testing.assert_array_equal(batch['durations'].sum(1), batch['mel_length'])
  np.testing.assert_array_equal(batch['phoneme_length'], [len(i['duration']) for i in items])
  assert batch['pitch'].shape == batch['phonemes'].shape


def test_directories_of_the_styledubber_release_are_found_too(tree):
  (tree.root / 'extrated_embedding_V2C_gray').rename(tree.root / 'extrated_embedding_V2C_gray_New2')
  renamed = FeatureTree(tree.root)
  np.testing.assert_array_equal(renamed.item(2)['lip_embedding'], np.load(file_of(renamed, 'lip_embedding', 2)))


def test_tree_without_emotion_embeddings_trains_with_a_director_that_sees_zeros(tree):
  for folder in ('scene_emo_roberta', 'face_emo_roberta', 'text_cat_react_emb_reberta', 'audio_emo', 'retrieval'):
    shutil.rmtree(tree.root / folder)
  with pytest.raises(BadInput, match='arm `silent`'):
    FeatureTree(tree.root)
  assert main(['--check', str(tree.root), '--silent']) == 0
  item = FeatureTree(tree.root, exemplars=0).item(0)
  assert not any(item[f'{m}_refs'].any() for m in MODALITIES)


def test_longer_of_phonemes_and_durations_is_cut(tree):
  more = change(tree, 'duration', lambda d: np.append(d, [3, 4]))
  item = tree.item(0)
  assert len(item['text']) == len(item['duration']) == len(np.load(more)) - 2
  change(tree, 'duration', lambda d: d[:-3])
  item = tree.item(0)
  assert len(item['text']) == len(item['duration'])
  assert len(item['mel']) == item['duration'].sum()


def test_mel_shorter_than_its_durations_shortens_the_last_phonemes(tree):
  change(tree, 'mel', lambda mel: mel[:-6])
  item = tree.item(0)
  durations = np.load(file_of(tree, 'duration'))
  assert item['duration'].sum() == len(item['mel']) == len(item['ref_mel']) == len(np.load(file_of(tree, 'mel')))
  assert (item['duration'] <= durations).all() and (item['duration'] == durations)[:-4].all()


def test_durations_are_cut_to_the_mel_or_the_mel_to_them():
  mel = np.arange(20.0).reshape(10, 2)
  for given, kept, frames in (([3, 4, 5], [3, 4, 3], 10), ([3, 4, 1], [3, 4, 1], 8), ([8, 4, 5], [8, 2, 0], 10)):
    cut, durations = truncate_to_common_length(mel, np.array(given))
    np.testing.assert_array_equal(durations, kept)
    np.testing.assert_array_equal(cut, mel[:frames])


def test_reference_is_the_own_mel_with_its_phonemes_shuffled_the_same_for_the_same_seed(whole):
  tree = FeatureTree(whole)
  plain, one, same, other = (tree.item(1, rng and np.random.default_rng(rng)) for rng in (None, 1, 1, 2))
  np.testing.assert_array_equal(plain['ref_mel'], plain['mel'])
  np.testing.assert_array_equal(one['ref_mel'], same['ref_mel'])
  assert (one['ref_mel'] != other['ref_mel']).any()
  rows = lambda item: sorted(map(bytes, item['ref_mel']))  # noqa: E731
  assert rows(one) == rows(plain)
  assert len(one['ref_linguistic']) == len(one['ref_mel'])


def test_dub_2_takes_mel_and_speaker_of_the_clip_named(whole):
  tree = FeatureTree(whole, 'Refrence_Setting2.txt')
  entry, item = tree.entries[0], tree.item(0)
  assert entry.reference != entry.name
  reference = np.load(tree.path('mel', entry.reference, entry.speaker))
  np.testing.assert_array_equal(item['ref_mel'], reference[: len(item['ref_mel'])])
  np.testing.assert_array_equal(item['spk_embedding'], np.load(tree.path('spk_embedding', entry.reference, '')))
  np.testing.assert_array_equal(item['mel'], FeatureTree(whole, 'val.txt').item(0)['mel'])


def test_dub_3_takes_a_stranger_of_grid(whole):
  grid = FeatureTree(whole / 'grid', 'train.txt', GRID, exemplars=0)
  tree = FeatureTree(whole, 'V2C_Setting3.txt', references=grid)
  entry, item = tree.entries[0], tree.item(0)
  assert entry.speaker == 'Film@Character2'
  reference = np.load(whole / 'grid' / 'mel' / f's0-mel-{entry.reference}.npy')
  np.testing.assert_array_equal(item['ref_mel'], reference[: len(item['ref_mel'])])


def test_grid_is_neutral_and_its_lips_go_by_the_clip_alone(whole):
  tree = FeatureTree(whole / 'grid', layout=GRID)
  assert tree.path('lip_embedding', 's1-bbaf2n', 's1').name == 's1-face-bbaf2n.npy'
  assert tree.item(0)['emotion_id'] == 4


def test_exemplars_are_the_first_of_each_list_and_as_many_as_the_shortest_has(tree):
  name = tree.entries[0].name
  path = tree.root / 'retrieval' / list_name('face', name)
  path.write_text(json.dumps(json.loads(path.read_text())[:2]))
  item = tree.item(0)
  assert len(item['scene_refs']) == len(item['text_ref_audios']) == 2
  first = read_list(tree.root / 'retrieval' / list_name('scene', name), 'scene')[0]
  np.testing.assert_array_equal(item['scene_refs'][0], np.load(tree.path('scene', first, ''))[0])


def test_lists_that_are_made_and_read_name_what_exact_search_finds(whole, tmp_path):
  tree, pool = FeatureTree(whole, 'val.txt'), FeatureTree(whole)
  write_retrieval_lists(tree, pool, tmp_path, count=4)
  for entry in tree.entries:
    others = [e for e in pool.entries if e.speaker != entry.speaker]
    for m in MODALITIES:
      own, rows = (
        np.concatenate([t.vector(m, e.name, e.speaker) for e in es]) for t, es in ((tree, [entry]), (pool, others))
      )
      halves = 2 if m == 'text' else 1
      own, rows = (np.float64(x).reshape(len(x), halves, -1) for x in (own, rows))
      own, rows = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (own, rows))
      best = np.argsort(-(rows * own).sum(-1).mean(-1))[:4]
      assert read_list(tmp_path / list_name(m, entry.name), m) == [others[i].name for i in best]


WRONG = {
  'mel': [
    (lambda a: a[:, :40], 'expected .T, 80.'),
    (lambda a: np.where(a > 0, np.nan, a), 'NaN'),
    (lambda a: np.repeat(a, 2, axis=0), 'another hop'),
    (lambda a: a[:0], 'shape'),
  ],
  'duration': [(lambda a: a * 0, 'no frame is spoken'), (lambda a: -a, 'whole numbers'), (lambda a: a + 0.5, 'whole')],
  'lip_embedding': [(lambda a: a[:, :256], 'another extractor'), (lambda a: a[:5], 'lip frames')],
  'spk_embedding': [(lambda a: a[:100], 'expected .256.')],
  'scene': [(lambda a: a[:, :768], 'expected .1, 1024.'), (lambda a: a * np.inf, 'NaN or infinite')],
}


@pytest.mark.parametrize('feature, to, why', [(f, *row) for f, rows in WRONG.items() for row in rows])
def test_file_that_does_not_fit_is_named_with_what_is_wrong(tree, feature, to, why):
  path = change(tree, feature, to)
  with pytest.raises(BadInput, match=why) as error:
    tree.item(0)
  assert str(path) in str(error.value) and ';' in str(error.value)


def test_clips_that_cannot_be_used_are_counted_and_listed_and_the_others_taken(tree):
  file_of(tree, 'mel', 1).unlink()
  broken = file_of(tree, 'lip_embedding', 4)
  broken.write_bytes(broken.read_bytes()[:200])
  (tree.root / 'retrieval' / list_name('text', tree.entries[6].name)).write_text('{')
  found = survey(tree)
  assert found.usable.tolist() == [0, 2, 3, 5, 7]
  assert [row['name'] for row in found.skipped] == [tree.entries[i].name for i in (1, 4, 6)]
  assert str(broken) in found.skipped[1]['why']
  assert (found.lengths[:, 2] == found.lengths[:, 3]).all()


def test_tree_of_which_nothing_can_be_used_is_refused(tree):
  shutil.rmtree(tree.root / 'mel')
  with pytest.raises(BadInput, match='none of its 8 clips'):
    survey(tree)


@pytest.mark.parametrize('row', ['name|speaker', 'name|speaker|AA1 B|text', 'a|{B}|c|{D}|e|f'])
def test_row_of_no_known_form_is_named(tmp_path, row):
  (tmp_path / 'train.txt').write_text('a|b|{AA1 B}|Fine.\n' + row + '\n')
  with pytest.raises(BadInput, match='row 2'):
    read_listing(tmp_path / 'train.txt', V2C)


def test_command_writes_a_tree_finds_nothing_wrong_and_lists_it(tmp_path, capsys):
  folder = str(tmp_path / 'made')
  assert main(['--random', folder, '--clips', '4']) == 0
  assert main(['--check', folder]) == 0
  assert '4 of 4' in capsys.readouterr().out
  assert main(['--lists', folder]) == 0
  assert main(['--random', folder]) == 2
