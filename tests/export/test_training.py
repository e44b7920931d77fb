import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.config import VocoderTask
from dubber_jax.errors import BadInput
from dubber_jax.export import at_start, export, load
from dubber_jax.training.checkpoints import Workdir
from dubber_jax.training.step import TrainState


def state_of(params):
  smoothed = jax.tree.map(jnp.asarray, params)
  return TrainState(jnp.int32(1), jax.tree.map(lambda x: x + 1, smoothed), smoothed, {}, {})


def test_training_starts_with_an_artifact_of_its_shortest_bucket(model, tmp_path):
  config = model.config.with_task(data=dataclasses.replace(model.config.task.data, buckets=(64, 128)))
  for _ in range(2):  # a run that goes on writes it again
    at_start(config, tmp_path)(state_of(model.params))
  opened = load(tmp_path / 'export')
  assert [shape.frames for shape in opened.programs.shapes] == [64]
  jax.tree.map(np.testing.assert_array_equal, opened.params, model.params)
  assert [p.name for p in tmp_path.iterdir()] == ['export']


def test_model_that_cannot_be_exported_is_not_trained(model, tmp_path, monkeypatch):
  from dubber_jax.model import DirectorActor

  def on_the_host(self, batch, train=False):
    return jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), np.float32), jnp.float32(1)) + jnp.zeros((1, 1))

  monkeypatch.setattr(DirectorActor, 'encode', on_the_host)
  with pytest.raises(BadInput, match='predict_durations_128'):
    at_start(model.config, tmp_path)(state_of(model.params))


def test_workdir_is_exported_with_the_weights_that_are_evaluated(model, tmp_path):
  weights = jax.tree.map(lambda x: x + np.float32(1e-4), model.params)  # of more digits than bfloat16 has
  run = Workdir(tmp_path / 'run', model.config)
  run.save(1, state_of(weights), {'at': 1})
  run.close()
  export(tmp_path / 'run', tmp_path / 'out', buckets=(64,), platforms=('cpu',))
  jax.tree.map(np.testing.assert_array_equal, load(tmp_path / 'out').params, weights)


def test_run_of_something_else_than_a_voice_is_refused(model, tmp_path):
  run = Workdir(tmp_path / 'run', model.config.replace(task=VocoderTask()))
  run.close()
  with pytest.raises(BadInput, match='vocoder'):
    export(tmp_path / 'run', tmp_path / 'out')
