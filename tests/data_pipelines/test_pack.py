import json
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.pack import folders_with_sound, items_per_folder, pack_sources
from dubber_jax.data.packed import quantize, write_packed
from dubber_jax.errors import BadInput


def packed(folder, name, count, phonemes=3):
  features = {
    'mel': quantize(np.zeros((8, 80))),
    'pitch': np.zeros(8),
    'phonemes': np.ones(phonemes),
    'durations': np.full(phonemes, 8 // max(phonemes, 1)),
    'lips': np.zeros((0, 82)),
    'lip_present': np.zeros(0, bool),
    'speaker': np.zeros(256),
  }
  row = {'set': name, 'speaker': 'a', 'text': 'Yes.', 'emotion': 'neutral', 'split': 'train'}
  write_packed(folder, [(row | {'key': f'{name}/a/{i}'}, features) for i in range(count)])
  return folder


def test_items_are_spread_over_shards_of_a_set_and_its_sound_alone_is_not_counted(tmp_path):
  shards = [packed(tmp_path / f'shard_{i:04d}', 'kokoro', count) for i, count in enumerate((6, 2))]
  sound = packed(tmp_path / 'kokoro-sound-00000000', 'kokoro', 8, phonemes=0)
  strangers = packed(tmp_path / 'librispeech-sound-00000000', 'librispeech', 4, phonemes=0)
  assert items_per_folder([*shards, sound, strangers], 40) == {shards[0]: 30, shards[1]: 10, strangers: 40}


def test_folders_without_sound_are_refused(tmp_path):
  with pytest.raises(BadInput, match='pack the sets again'):
    folders_with_sound([packed(tmp_path / 'made', 'made', 1)])


def test_shards_that_stand_are_the_sources(tmp_path):
  shard = packed(tmp_path / 'teacher' / 'shard_0001', 'kokoro', 1)
  (tmp_path / 'teacher' / 'shard_0002.123').mkdir()
  assert pack_sources([str(tmp_path / 'teacher')], tmp_path) == [shard]
  with pytest.raises(BadInput, match='no such data set'):
    pack_sources([str(tmp_path / 'none')], tmp_path)


def test_shipped_voices_are_recordings_of_one_voice_each_that_nobody_changed(data_dir):
  from importlib.util import module_from_spec, spec_from_file_location

  spec = spec_from_file_location(
    'shipped_voices', Path(__file__).parents[2] / 'experiments' / 'recipes' / 'shipped_voices.py'
  )
  shipped = module_from_spec(spec)
  spec.loader.exec_module(shipped)
  kokoro = {row['file']: row for row in map(json.loads, (data_dir / 'kokoro.jsonl').read_text('utf-8').splitlines())}
  sexes, accents = set(), set()
  for name, file in shipped.VOICES.items():
    assert (data_dir / file).exists()
    if file.startswith('kokoro/'):
      row = kokoro[file]
      assert list(row['voice']) == [name] and row['edit'] is None and row['split'] == 'train'
      accents.add(name[0])
      sexes.add(name[1])
  assert (sexes, accents) == ({'f', 'm'}, {'a', 'b'}) and {'joe', 'kathleen'} <= set(shipped.VOICES)
  assert 'ljspeech' not in shipped.VOICES
