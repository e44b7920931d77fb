import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from data_pipelines import pack
from data_pipelines.recordings import Recording
from dubber_jax.actor.config import ActorConfig
from dubber_jax.config import (
  KINDS,
  ActorTask,
  AdaptationTask,
  Config,
  CriticTask,
  ExperimentTask,
  PublishedTask,
  SeparatorTask,
  VocoderTask,
  difference,
  from_json,
  settings,
)
from dubber_jax.convert.old_config import main as convert
from dubber_jax.data.config import SourceConfig
from dubber_jax.errors import BadInput
from dubber_jax.inference.model_directory import SHIPPED
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.storage.checked_folder import check_files
from dubber_jax.training.config import MeshConfig, TrainConfig
from dubber_jax.vocoder.config import VocoderConfig

TASKS = (
  ActorTask(actor=ActorConfig(width=64)),
  AdaptationTask(recordings='sam'),
  VocoderTask(vocoder=VocoderConfig(gta=0.5), data=SourceConfig(sources=('a', 'b'))),
  CriticTask(),
  SeparatorTask(separator=SeparatorConfig(dilations=(1, 2))),
  PublishedTask(),
  ExperimentTask('tiny'),
)


@pytest.mark.parametrize('task', TASKS, ids=lambda task: task.kind)
def test_config_of_every_task_survives_json(task):
  config = Config(name='x', task=task, train=TrainConfig(fresh=('generator',)), mesh=MeshConfig(fsdp=2), seed=3)
  again = from_json(config.to_json())
  assert again == config and again.hash() == config.hash() and type(again.task) is type(task)


def test_every_task_can_be_stored():
  assert {type(task) for task in TASKS} == set(KINDS.values())


def test_run_carries_the_settings_of_its_own_task_alone():
  stored = json.loads(Config(task=VocoderTask()).to_json())
  assert set(stored) == {'name', 'task', 'train', 'mesh', 'seed'}
  assert set(stored['task']) == {'kind', 'vocoder', 'data', 'mel_bands'}
  assert set(stored['task']['data']) == {'packed', 'sources'}


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'task': {'kind': 'opera'}}, "no task 'opera'"),
    ({'task': {'actor': {}}}, 'no task None'),
    ({'task': ['actor']}, 'no task None'),
    ({'task': {'kind': 'vocoder', 'actor': {}}}, "config.json.task: unknown setting 'actor'"),
    ({'task': {'kind': 'actor', 'actor': {'wide': 3}}}, "config.json.task.actor: unknown setting 'wide'"),
    ({'task': {'kind': 'actor', 'actor': 3}}, 'expected an object of settings, found int'),
    ({'task': {'kind': 'experiment'}}, "no setting 'network'"),
    ({'actor': {}}, "unknown setting 'actor'"),
    ({'train': {'precision': 'float8'}}, "precision: 'float8' is none of float32, bfloat16"),
  ],
)
def test_settings_of_no_known_task_are_refused_by_name(change, said):
  with pytest.raises(BadInput, match=said.replace('[', r'\[')):
    from_json(json.dumps(change))


def test_settings_that_may_change_between_two_starts_of_a_run_are_marked():
  marked = {name for task in TASKS for name, _, f in settings(Config(task=task)) if f.metadata.get('run_only')}
  assert marked == {
    *(f'mesh.{axis}' for axis in ('data', 'fsdp', 'tensor')),
    *(
      f'train.{name}'
      for name in (
        'steps stop minutes log_every save_every sample_every eval_every keep best best_mode max_skips profile '
        'init_from fresh'
      ).split()
    ),
    'task.data.packed',
    'task.tree.root',
    'task.tree.strangers',
    'task.recordings',
  }


def test_difference_names_settings_and_leaves_out_what_may_change_where_asked():
  a = Config(task=ActorTask(actor=ActorConfig(width=192)))
  b = a.replace(seed=1, train=TrainConfig(steps=7)).with_task(actor=ActorConfig(width=256))
  fixed = ['task.actor.width: 192 / 256', 'seed: 0 / 1']
  assert difference(a, b, run_only=False) == fixed
  assert sorted(difference(a, b)) == sorted([*fixed, 'train.steps: 6000 / 7'])
  assert difference(a, a) == []


def test_configs_of_two_tasks_differ_in_the_kind():
  a, b = Config(task=ActorTask()), Config(task=VocoderTask(data=SourceConfig(sources=())))
  assert difference(a, b, run_only=False) == ['task.kind: actor / vocoder']


def test_shipped_config_is_of_an_actor_and_is_as_its_manifest_says():
  check_files(SHIPPED)
  text = (SHIPPED / 'config.json').read_text()
  config = from_json(text)
  assert isinstance(config.task, ActorTask) and config.task.actor.width == 192 and config.to_json() + '\n' == text


def old_form(config: Config, task: str) -> dict:
  """As earlier versions wrote it: the sections of all tasks side by side, and the task's name."""
  sections = {}
  for kind in (VocoderTask(), CriticTask(), PublishedTask(), ActorTask(), config.task):
    sections |= {k: v for k, v in dataclasses.asdict(kind).items() if k not in ('loss', 'network', 'recordings')}
  whole = dataclasses.asdict(config)
  whole.pop('task')
  return {'task': task} | sections | {'published_loss': dataclasses.asdict(PublishedTask().loss)} | whole


def test_config_of_an_earlier_version_is_refused_and_says_how_to_convert_it(tmp_path):
  with pytest.raises(BadInput) as refused:
    from_json(json.dumps(old_form(Config(), 'voice')), f'{tmp_path}/config.json')
  said = str(refused.value)
  assert 'earlier version' in said and f'python -m dubber_jax.convert.old_config {tmp_path}' in said
  assert '\n' not in said


@pytest.mark.parametrize(
  ('old', 'task'),
  [
    ('voice', ActorTask(actor=ActorConfig(width=64))),
    ('vocoder', VocoderTask(vocoder=VocoderConfig(gta=0.5))),
    ('critic', CriticTask()),
    ('published', PublishedTask()),
    ('tiny', ExperimentTask('tiny')),
  ],
)
def test_config_of_an_earlier_version_is_converted_and_no_number_changes(tmp_path, old, task):
  config = Config(name='x', task=task, train=TrainConfig(steps=5), seed=2)
  (tmp_path / 'config.json').write_text(json.dumps(old_form(config, old)))
  assert convert([str(tmp_path)]) == 0
  assert from_json((tmp_path / 'config.json').read_text()) == config
  assert convert([str(tmp_path)]) == 2  # there is nothing left to convert


def test_converted_model_directory_is_whole_and_its_weights_are_untouched(tmp_path):
  folder = tmp_path / 'model'
  shutil.copytree(SHIPPED, folder)
  config = from_json((folder / 'config.json').read_text())
  (folder / 'config.json').write_text(json.dumps(old_form(config, 'voice')))
  assert convert([str(folder)]) == 0
  assert check_files(folder) == check_files(SHIPPED)


def test_names_of_packed_folders_stay(tmp_path):
  """Hours of features lie under these names."""
  recordings = [
    Recording('kathleen', f'kathleen/{i}', 'kathleen', Path(f'{i}.wav'), f'Line {i}.', 'neutral', 'train', False)
    for i in range(2)
  ]
  done = tmp_path / 'kathleen-4b6393da'
  done.mkdir()
  (done / 'items.jsonl').touch()
  assert pack.pack_recordings('kathleen', recordings, tmp_path) == done


@pytest.mark.parametrize('task', [AdaptationTask(), PublishedTask()], ids=lambda task: task.kind)
def test_folder_of_data_is_set_where_the_task_has_one(task):
  changed = Config(task=task).with_data('there')
  assert [d.partition(': ')[2].split(' / ')[1] for d in difference(Config(task=task), changed)] == ['there']
  assert Config().with_data('there') == Config()


def test_configs_need_neither_jax_nor_flax():
  import subprocess
  import sys

  code = 'import sys, dubber_jax.config; print([m for m in ("jax", "flax", "tyro") if m in sys.modules])'
  assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == '[]'
