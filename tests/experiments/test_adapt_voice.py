import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from small_configs import SMALL_ACTOR, SMALL_DIRECTOR
from synthetic import made_up_features, made_up_recordings

from data_pipelines import single_speaker
from data_pipelines.pack import recording_row
from dubber_jax.actor.config import GuidanceConfig
from dubber_jax.cli.main import main
from dubber_jax.config import ActorTask, Config
from dubber_jax.data.config import DataConfig
from dubber_jax.data.packed import write_packed
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.model import DirectorActor
from dubber_jax.training.experiment import read_experiment
from dubber_jax.training.task import Task

EXPERIMENT = Path(__file__).parents[2] / 'experiments' / 'recipes' / 'adapt_voice.py'
SMALL = Config(
  task=ActorTask(
    director=SMALL_DIRECTOR,
    actor=dataclasses.replace(SMALL_ACTOR, postnet_layers=1),
    data=DataConfig(sources=('others', 'absent'), director_inputs=False),
    guidance=GuidanceConfig(critic='of those who trained it'),
  ),
)


def made_up_set(folder, name, count):
  """A packed set of random features."""
  recordings = made_up_recordings(folder, count)
  write_packed(folder / name, ((recording_row(r) | {'set': name}, made_up_features(r, 1.0, False)) for r in recordings))
  return folder / name


@pytest.fixture
def completed(tmp_path, monkeypatch):
  """completed() -> the experiment and its config, of a small model whose `others` are packed where that is wanted."""

  def complete(replay: bool):
    own = made_up_set(tmp_path, 'sam-12345678', 1)
    if replay:
      made_up_set(tmp_path, 'others-12345678', 8)
    (tmp_path / 'model').mkdir()
    (tmp_path / 'model' / 'config.json').write_text(SMALL.to_json())
    monkeypatch.setattr(single_speaker, 'pack_voice', lambda folder, out: own)
    experiment = read_experiment(EXPERIMENT)
    config = experiment.arms['voice'].with_data('recordings/sam')
    train = dict(vars(config.train)) | {'init_from': str(tmp_path / 'model')}
    data = dict(vars(config.task.data)) | {'packed': str(tmp_path)}
    config = config.replace(train=type(config.train)(**train)).with_task(data=type(config.task.data)(**data))
    return experiment, experiment.complete(config)

  return complete


def test_voice_and_replay_take_turns(completed):
  experiment, config = completed(replay=True)
  assert [Path(s).name for s in config.task.data.sources] == ['sam-12345678', 'others-12345678']
  batches = experiment.batches(config, (0, 1))
  first, second, third = ({m.tobytes() for m in batches[i]['mel']} for i in range(3))
  assert first == third and len(first) == 1  # one recording fills all rows
  assert len(second) == 3 and not first & second
  assert config.task.actor == SMALL.task.actor and not config.task.guidance.critic
  assert config.task.data.buckets == experiment.arms['voice'].task.data.buckets


@pytest.mark.slow
@pytest.mark.parametrize('replay', [True, False])
def test_only_what_the_voice_shapes_is_moved(completed, replay, monkeypatch):
  def loss(params, batch, key):  # every parameter has a gradient
    return sum(p.sum() for p in jax.tree.leaves(params)), {}

  monkeypatch.setattr('dubber_jax.training.tasks.actor.voice_task', lambda config: Task(None, loss, None))
  experiment, config = completed(replay)
  batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
  shapes = jax.eval_shape(lambda: DirectorActor(config).init({'params': jax.random.key(0)}, batch)['params'])
  params = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes)
  gradient = jax.grad(experiment.task(config).loss, has_aux=True)(params, {}, None)[0]
  moved = {
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, g in jax.tree_util.tree_leaves_with_path(gradient)
    if np.any(g)
  }
  assert not [name for name in moved if name.startswith(('text', 'lip', 'graphs', 'aggregators', 'emotion'))]
  assert any(name.startswith('style') for name in moved) and any('gain_shift' in name for name in moved)
  assert any(name.startswith('decoder/mel') for name in moved) == replay


def test_without_a_folder_of_recordings_it_is_asked_for(capsys):
  assert main(['train', str(EXPERIMENT)]) == 2
  assert '--data FOLDER' in capsys.readouterr().err
