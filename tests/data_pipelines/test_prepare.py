import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from synthetic import made_up_features, synthetic_speech

from data_pipelines.corpora import find_recordings
from data_pipelines.pack import pack_set, recording_row
from data_pipelines.prepare import prepare
from data_pipelines.v2c_animation import FeatureTree, training_batches, write_random_tree
from dubber_jax.actor.config import ActorConfig
from dubber_jax.authentic_dubber.config import TreeConfig
from dubber_jax.authentic_dubber.records import PublishedRecords
from dubber_jax.cli.main import main
from dubber_jax.config import ActorTask, Config, PublishedTask
from dubber_jax.data.batches import VoiceBatches
from dubber_jax.data.config import DataConfig
from dubber_jax.data.records import RecordSet
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import write_wav
from dubber_jax.script.symbols import LANGUAGES


@pytest.fixture
def actors(tmp_path):
  """RAVDESS in its own layout, in miniature: empty files of three actors."""
  for actor in (1, 2, 19):
    folder = tmp_path / 'RAVDESS' / f'Actor_{actor:02d}'
    folder.mkdir(parents=True)
    for take in (1, 2):
      (folder / f'03-01-05-01-01-{take:02d}-{actor:02d}.wav').touch()
  return tmp_path / 'RAVDESS'


def test_prepared_set_gives_back_what_was_extracted(actors, tmp_path):
  folder, skipped = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  assert not skipped and folder == tmp_path / 'out' / 'ravdess' / '1.0.0'
  records = RecordSet(folder)
  assert sorted(records.splits) == ['test'] * 2 + ['train_a'] * 4
  rows = {row['key']: features for row, features in map(records.item, range(len(records)))}
  found = rows['ravdess/ravdess_19/03-01-05-01-01-02-19']
  recording = next(r for r in find_recordings('ravdess', actors) if r.key == 'ravdess/ravdess_19/03-01-05-01-01-02-19')
  for name, value in made_up_features(recording, 1.0, False).items():
    near = {'mel': 0.06, 'speaker': 1e-2}.get(name, 0)
    if name == 'mel':
      value = value * 0.055 + np.log(1e-5)
    np.testing.assert_allclose(found[name], value, atol=near)


@pytest.fixture
def made_speech(tmp_path):
  """A listing of RAVDESS whose rows say more than those of other sets: two Mandarin rows, one of them edited."""
  folder = tmp_path / 'listed'
  folder.mkdir()
  row = {'speaker': 'a', 'text': '好。', 'emotion': 'angry', 'split': 'train', 'language': 'zh', 'speed': 1.25}
  edit = {'shift': 2.0, 'range': 1.5, 'slope': 0.0, 'energy': 0.5}
  more = [{'edit': None, 'source': 'lines_zh:w1-0001-zh'}, {'edit': edit, 'intensity': 'strong'}]
  rows = [row | {'id': str(i), 'file': f'{i}.wav'} | about for i, about in enumerate(more)]
  for r in rows:
    (folder / r['file']).touch()
  (folder / 'ravdess.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return folder


def test_prepared_rows_say_what_packed_ones_do(made_speech, tmp_path):
  folder, skipped = prepare('ravdess', made_speech, tmp_path / 'out', features=made_up_features)
  assert not skipped
  records = RecordSet(folder)
  rows = {row['key']: row for row, _ in map(records.item, range(2))}
  assert rows == {r.key: recording_row(r) for r in find_recordings('ravdess', made_speech)}
  plain, edited = rows['ravdess/a/0'], rows['ravdess/a/1']
  assert plain['language'] == 'zh' and plain['edit'] is None and plain['source'] == 'lines_zh:w1-0001-zh'
  assert 'intensity' not in plain and edited['intensity'] == 1.0 and edited['edit']['range'] == 1.5
  data = DataConfig(buckets=(64,), frames_per_batch=128, reference_frames=16, director_inputs=False)
  config = Config(task=ActorTask(actor=ActorConfig(languages=len(LANGUAGES)), data=data))
  batch = VoiceBatches(config, [folder])[0]
  assert sorted(batch['edited'].tolist()) == [False, True] and (batch['pace'] == 1.25).all()
  assert (batch['language'] == LANGUAGES.index('zh')).all()


def test_set_prepared_before_rows_said_more_is_read_as_plain_english(made_speech, tmp_path):
  folder, _ = prepare('ravdess', made_speech, tmp_path / 'out', features=made_up_features)
  spec = json.loads((folder / 'features.json').read_text())
  del spec['featuresDict']['features']['details']
  (folder / 'features.json').write_text(json.dumps(spec))
  row, features = RecordSet(folder).item(0)
  assert row.keys() == {'key', 'set', 'speaker', 'text', 'emotion', 'split'} and len(features['mel'])


def test_changed_source_is_refused_and_only_the_change_is_extracted_again(actors, tmp_path, monkeypatch):
  out = tmp_path / 'out'
  monkeypatch.setenv('TALLY', str(tmp_path / 'tally'))
  folder, _ = prepare('ravdess', actors, out, features=made_up_features)
  assert prepare('ravdess', actors, out, features=made_up_features) == (folder, [])
  (actors / 'Actor_01' / '03-01-03-01-01-01-01.wav').touch()
  with pytest.raises(BadInput, match='--overwrite'):
    prepare('ravdess', actors, out, features=made_up_features)
  prepare('ravdess', actors, out, overwrite=True, features=made_up_features)
  assert len(RecordSet(folder)) == 7
  assert len((tmp_path / 'tally').read_text().split()) == 7


def test_half_built_set_is_refused_and_preparing_again_completes_it(actors, tmp_path):
  folder, _ = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  half = folder.with_name('incomplete.ABC_1.0.0')
  folder.rename(half)
  (half / 'dataset_info.json').unlink()
  with pytest.raises(BadInput, match='half-built'):
    VoiceBatches(Config(), [pack_set(str(folder), tmp_path)])
  prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  assert len(RecordSet(folder)) == 6 and not half.exists()


@pytest.mark.parametrize('damage', ['cut', 'missing', 'swapped'])
def test_shard_that_is_not_whole_is_named(actors, tmp_path, damage):
  folder, _ = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  shard, other = sorted(folder.glob('*.array_record-*'), key=lambda p: 'test' in p.name)
  if damage == 'missing':
    shard.unlink()
  elif damage == 'swapped':
    shutil.copy(other, shard)
  else:
    shard.write_bytes(shard.read_bytes()[:-1000])
  with pytest.raises(BadInput, match=f'{shard.name}.*dubber prepare'):
    RecordSet(folder)


def test_set_with_other_phonemes_is_refused(actors, tmp_path):
  folder, _ = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  metadata = json.loads((folder / 'metadata.json').read_text())
  (folder / 'metadata.json').write_text(json.dumps(metadata | {'symbols': ['@AA']}))
  with pytest.raises(BadInput, match='other symbols'):
    RecordSet(folder)


def test_prepared_published_features_are_the_trees(tmp_path):
  write_random_tree(tmp_path / 'tree', clips=6)
  (tmp_path / 'tree' / 'mel').joinpath('junk').touch()
  tree = FeatureTree(tmp_path / 'tree')
  next((tmp_path / 'tree' / 'mel').glob(f'*{tree.entries[2].name}.npy')).write_bytes(b'broken')
  folder, skipped = prepare('v2c_animation', tmp_path / 'tree', tmp_path / 'out')
  assert [row['key'] for row in skipped] == [tree.entries[2].name]
  records = PublishedRecords(folder)
  assert len(records) == 5 and len(PublishedRecords(folder, 'validation')) == 1
  places = {entry.name: i for i, entry in enumerate(tree.entries)}
  for i in range(5):
    item = records.item(i, np.random.default_rng(i))
    expected = tree.item(places[item['id']], np.random.default_rng(i))
    assert item.keys() == expected.keys()
    for name, value in expected.items():
      np.testing.assert_array_equal(item[name], value, err_msg=name)
    assert records.lengths[i].tolist() == [len(expected[n]) for n in ('text', 'lip_embedding', 'mel', 'ref_mel')]
  silent = PublishedRecords(folder, exemplars=0).item(0)
  assert not silent['scene_refs'].any() and silent['text_ref_audios'].shape == (1, 1024)
  with pytest.raises(BadInput, match='4 are asked for'):
    PublishedRecords(folder, exemplars=4)
  with pytest.raises(BadInput, match='another kind'):
    RecordSet(folder)


def test_features_of_which_none_can_be_used_are_refused(tmp_path):
  write_random_tree(tmp_path / 'tree', clips=4)
  for path in (tmp_path / 'tree' / 'mel').iterdir():
    path.write_bytes(b'broken')
  with pytest.raises(BadInput, match='none of its 4 clips'):
    prepare('v2c_animation', tmp_path / 'tree', tmp_path / 'out')
  assert not (tmp_path / 'out' / 'v2c_animation' / 'features' / '1.0.0').exists()


def test_experiment_trains_on_prepared_features_as_on_the_tree(tmp_path):
  write_random_tree(tmp_path / 'tree', clips=6)
  folder, _ = prepare('v2c_animation', tmp_path / 'tree', tmp_path / 'out')
  config = Config(task=PublishedTask(tree=TreeConfig(batch=2)))
  one, two = (training_batches(config.with_data(root)) for root in (tmp_path / 'tree', folder))
  kinds = [[{n: x.shape for n, x in batches[i].items()} for i in range(3)] for batches in (one, two)]
  assert sorted(map(str, kinds[0])) == sorted(map(str, kinds[1]))
  np.testing.assert_allclose(*(sum(batches[i]['mel'].sum() for i in range(3)) for batches in (one, two)), rtol=1e-6)


def test_raw_clips_of_v2c_animation_are_prepared(tmp_path):
  speeches, videos = 'frozen_speeches/Elsa/00', 'frozen_videos/Elsa'
  for path in (f'{videos}/0034.mp4', f'{videos}/0036.mp4', f'{speeches}/Elsa-00-0034.wav'):
    (tmp_path / 'raw' / 'frozen' / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / 'raw' / 'frozen' / path).touch()
  for number, words in (('0034', 'Let it go'), ('0036', 'The cold')):
    words_file = tmp_path / 'raw' / 'frozen' / speeches / f'Elsa-00-{number}.normalized.txt'
    words_file.write_text(words)
  (tmp_path / 'raw' / 'emotions.json').write_text('{"Frozen@Elsa_00_0034_00": 3}')
  (tmp_path / 'raw' / 'val.txt').write_text('Frozen@Elsa_00_0036_00|Frozen@Elsa|{DH AH0}|The cold\n')
  folder, _ = prepare('v2c_animation', tmp_path / 'raw', tmp_path / 'out', features=made_up_features)
  rows = sorted((r['text'], r['emotion'], r['split'], r['speaker']) for r, _ in map(RecordSet(folder).item, range(2)))
  assert rows == [('Let it go', 'happy', 'train', 'Frozen@Elsa'), ('The cold', 'neutral', 'validation', 'Frozen@Elsa')]


def test_own_clips_are_prepared_by_the_command_without_tensorflow(tmp_path, capsys):
  (tmp_path / 'clips' / 'mary').mkdir(parents=True)
  see = synthetic_speech(['_', 's', 'ee', 's', 'ee', 's', 'ee', '_'])
  write_wav(tmp_path / 'clips' / 'mary' / 'one.wav', see, 22050)
  (tmp_path / 'clips' / 'mary' / 'one.txt').write_text('See, see, see.')
  (tmp_path / 'clips' / 'mary' / 'two.wav').write_bytes(b'not sound')
  (tmp_path / 'clips' / 'mary' / 'two.txt').write_text('See.')
  arguments = ['prepare', str(tmp_path / 'clips'), '-o', str(tmp_path / 'out'), '--workers', '1']
  code = f'import sys; from dubber_jax.cli.main import main; code = main({arguments!r})\n'
  code += "assert not {'tensorflow', 'torch'} & {m.split('.')[0] for m in sys.modules}; sys.exit(code)"
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300, check=False)
  assert done.returncode == 0, done.stderr[-2000:]
  assert '1 skipped' in done.stdout and 'two.wav' in done.stdout
  records = RecordSet(done.stdout.split()[-1])
  row, features = records.item(0)
  assert (row['key'], row['text'], len(records)) == ('clips/mary/one', 'See, see, see.', 1)
  assert 0.8 < len(features['mel']) * 256 / 22050 < 1.5 and features['durations'].sum() == len(features['mel'])
  assert main(['prepare', str(tmp_path), '-o', str(tmp_path / 'out'), '--set', 'grid']) == 2
  assert 'grid' in capsys.readouterr().err


def damage_record(folder):
  """Overwrites a stretch inside the largest shard, whose end stays whole."""
  shard = max(folder.glob('*.array_record-*'), key=lambda p: p.stat().st_size)
  data = bytearray(shard.read_bytes())
  middle = np.flatnonzero(np.frombuffer(data, np.uint8))[len(data) // 6]
  data[middle : middle + 300] = bytes(300)
  shard.write_bytes(data)


def test_records_that_do_not_parse_are_skipped_counted_and_listed(actors, tmp_path, caplog):
  for emotion in range(1, 9):
    (actors / 'Actor_01' / f'03-01-{emotion:02d}-02-01-01-01.wav').touch()
  folder, _ = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  damage_record(folder)
  data = DataConfig(buckets=(64,), frames_per_batch=256, reference_frames=16, director_inputs=False)
  config = Config(task=ActorTask(data=data))
  listing = tmp_path / 'unreadable.jsonl'
  batches = VoiceBatches(config, [folder], listing=listing)
  before = [batches[i] for i in range(9)]
  assert batches.unreadable and 'does not parse' in caplog.text
  listed = [json.loads(row) for row in listing.read_text().splitlines()]
  assert {row['record']: row['why'] for row in listed} == batches.unreadable
  assert all((batch['durations'].sum(1) > 0).all() for batch in before)
  halves = [VoiceBatches(config, [folder], host=(h, 2)) for h in range(2)]
  for i in (5, 0):  # in another order, and shared out
    for name, value in before[i].items():
      np.testing.assert_array_equal(np.concatenate([h[i][name] for h in halves]), value)
  (folder / 'index.npz').unlink()
  assert len(RecordSet(folder).unreadable) == len(batches.unreadable)
  again = VoiceBatches(config, [folder])
  assert sum(len(b) for b in again.buckets) == 12 - len(batches.unreadable)


@pytest.mark.parametrize('name', ['clip_folder', 'ravdess', 'v2c_animation'])
def test_a_folder_without_recordings_is_one_line(tmp_path, capsys, name):
  (tmp_path / 'empty').mkdir()
  assert main(['prepare', str(tmp_path / 'empty'), '--set', name, '-o', str(tmp_path / 'out')]) == 2
  said = capsys.readouterr().err
  assert said.count('\n') == 1 and 'empty' in said and 'manual_dir' not in said


def test_a_set_that_is_prepared_again_stands_until_the_new_one_does(actors, tmp_path):
  folder, _ = prepare('ravdess', actors, tmp_path / 'out', features=made_up_features)
  next(actors.rglob('*.wav')).unlink()

  def full(recording, gain, films):
    raise OSError(28, 'No space left on device')

  shutil.rmtree(tmp_path / 'out' / 'ravdess.work')
  with pytest.raises(BadInput):
    prepare('ravdess', actors, tmp_path / 'out', overwrite=True, features=full)
  assert len(RecordSet(folder)) == 6
  shutil.rmtree(tmp_path / 'out' / 'ravdess.work')
  prepare('ravdess', actors, tmp_path / 'out', overwrite=True, features=made_up_features)
  assert len(RecordSet(folder)) == 5 and [p.name for p in folder.parent.iterdir() if p.is_dir()] == ['1.0.0']
