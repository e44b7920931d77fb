import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.v2c_animation import open_setting, training_batches, write_random_tree
from dubber_jax.authentic_dubber.config import PublishedConfig, PublishedLossConfig, TreeConfig
from dubber_jax.authentic_dubber.losses import diagonal_band, published_losses, published_task
from dubber_jax.config import Config, PublishedTask
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.experiment import read_experiment

EXPERIMENTS = Path(__file__).parents[2] / 'experiments' / 'recipes'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  folder = tmp_path_factory.mktemp('features') / 'tree'
  write_random_tree(folder, clips=4)
  sizes = PublishedConfig(text_layers=1, lip_layers=1, cross_layers=1, decoder_layers=1, cross_width=32, filter=16)
  return Config(task=PublishedTask(published=sizes, tree=TreeConfig(root=str(folder), batch=2)))


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_loss_takes_a_batch_of_the_tree_and_gives_back_statistics_of_the_same_form(config, precision):
  config = config.replace(train=TrainConfig(precision=precision))
  batch, task = training_batches(config)[0], published_task(config)
  params, collections = jax.eval_shape(task.init, jax.random.key(0), batch)
  loss, (losses, moved) = jax.eval_shape(task.loss, params, collections, batch, jax.random.key(1))
  assert moved == collections
  assert {a.dtype for a in jax.tree.leaves((params, collections, loss, losses))} == {np.dtype('float32')}
  assert task.speech(batch) == pytest.approx(batch['mel_length'].sum() * 256 / 22050)


@pytest.mark.parametrize('name, arm', [('v2c_animation', 'published'), ('v2c_animation', 'silent'), ('grid', 'silent')])
def test_experiment_reads_the_layout_it_is_for_in_all_its_settings(config, name, arm):
  experiment = read_experiment(EXPERIMENTS / f'{name}.py')
  whole = experiment.arms[arm]
  root = config.task.tree.root + ('/grid' if name == 'grid' else '')
  tree = dataclasses.replace(whole.task.tree, root=root, batch=2)
  batch = experiment.batches(whole.with_task(tree=tree), (0, 1))[0]
  assert batch['sounds'].any() == (arm == 'published') and batch['mel'].any()
  for setting in [s for s in ('dub1', 'dub2', 'dub3') if getattr(tree, s)]:
    assert len(open_setting(tree, setting)[1].usable) == 1


def made_up_outputs(rng):
  alignment = rng.random((2, 6, 20)).astype(np.float32)
  return {
    'mel': rng.normal(size=(2, 9, 80)),
    'finished': rng.normal(size=(2, 9, 80)),
    'utterance_style': rng.normal(size=(2, 256)),
    'log_durations': rng.random((2, 6)),
    'alignment': alignment,
    'emotion': jax.nn.softmax(rng.normal(size=(2, 8))),
  }


def test_weights_of_the_losses_and_the_band_are_those_of_the_config():
  rng = np.random.default_rng(0)
  outputs = made_up_outputs(rng)
  batch = {
    'mel': rng.normal(size=(2, 9, 80)),
    'mel_length': jnp.array([9, 7]),
    'durations': rng.integers(1, 4, (2, 6)),
    'phoneme_length': jnp.array([6, 4]),
    'lip_length': jnp.array([20, 13]),
    'speaker': rng.normal(size=(2, 256)),
    'emotion': jnp.array([3, 0]),
  }
  plain = published_losses(outputs, batch)
  twice = PublishedLossConfig(**{k: 2 * v for k, v in dataclasses.asdict(PublishedLossConfig()).items() if k != 'band'})
  doubled = published_losses(outputs, batch, twice)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(2 * a, b, rtol=1e-6), plain, doubled)
  wide = published_losses(outputs, batch, PublishedLossConfig(band=4))
  assert wide['diagonal'] < plain['diagonal'] and wide['mel'] == plain['mel']
  lengths = jnp.array([10]), jnp.array([40])
  assert diagonal_band(10, 40, *lengths, 4)[0, 5].sum() == 20 and diagonal_band(10, 40, *lengths)[0, 5].sum() == 8
