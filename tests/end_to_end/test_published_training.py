"""Published features in, a trained model and its measures out, on a small copy of the published system."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipelines.v2c_animation import FeatureTree, write_random_tree
from dubber_jax import cli
from dubber_jax.evaluation import published
from dubber_jax.training.checkpoints import load_extra, load_weights
from dubber_jax.training.log import read_log

EXPERIMENTS = Path(__file__).parents[2] / 'experiments'
SMALL = """
import dataclasses
import importlib.util
from dubber_jax.config import PublishedConfig

spec = importlib.util.spec_from_file_location('whole', {path!r})
whole = importlib.util.module_from_spec(spec)
spec.loader.exec_module(whole)
task, batches, evaluate = whole.task, whole.batches, whole.evaluate


def arms():
  arm = whole.arms()[{arm!r}]
  sizes = PublishedConfig(text_layers=1, lip_layers=1, cross_layers=1, decoder_layers=1, cross_width=32, filter=16)
  tree = dataclasses.replace(arm.tree, batch=2)
  train = dataclasses.replace(arm.train, log_every=1, save_every=2)
  return {{'small': arm.replace(published=sizes, tree=tree, train=train)}}
"""


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  folder = tmp_path_factory.mktemp('features') / 'tree'
  write_random_tree(folder, clips=6, frames=(60, 90))
  clips = FeatureTree(folder)
  clips.path('mel', clips.entries[2].name, clips.entries[2].speaker).unlink()
  return folder


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
  path = tmp_path_factory.mktemp('experiment') / 'small.py'
  path.write_text(SMALL.format(path=str(EXPERIMENTS / 'v2c_animation.py'), arm='published'))
  return path


def train(experiment, tree, workdir, steps):
  arguments = ['train', str(experiment), '--data', str(tree), '--workdir', str(workdir), '--steps', str(steps)]
  assert cli.main(arguments) == 0


def test_features_are_trained_on_stopped_resumed_and_dubbed(experiment, tree, tmp_path, capsys):
  train(experiment, tree, tmp_path / 'halves', 2)
  said = capsys.readouterr().out
  assert '1 clips are left out' in said
  skipped = [json.loads(row) for row in (tmp_path / 'halves' / 'skipped.jsonl').read_text().splitlines()]
  assert len(skipped) == 1 and '.npy: missing' in skipped[0]['why']
  train(experiment, tree, tmp_path / 'halves', 3)
  train(experiment, tree, tmp_path / 'whole', 3)
  for load in (load_weights, load_extra):
    jax.tree.map(np.testing.assert_array_equal, load(tmp_path / 'halves'), load(tmp_path / 'whole'))
  moved = jax.tree.leaves(load_extra(tmp_path / 'whole'))
  assert any((m != 0).any() and (m != 1).any() for m in moved), 'batch statistics did not follow'
  logged = [row for row in read_log(tmp_path / 'whole')]
  losses = [row for row in logged if 'total' in row]
  assert {'mel', 'finished', 'speaker', 'duration', 'diagonal', 'emotion'} <= losses[0].keys()
  assert 6.36 < losses[0]['emotion'] < 11.38
  assert any(row.get('eval/clips') == 1 and row['eval/mcd_dtw_sl'] > 0 for row in logged)

  options = ['--workdir', str(tmp_path / 'whole'), '--data', str(tree)]
  assert published.main([str(experiment), *options]) == 0
  rows = capsys.readouterr().out.splitlines()
  assert [row[:7] for row in rows[2:]] == ['Dub 2.0', 'Dub 3.0', 'Dub 1.0']
  assert all(np.isfinite(list(map(float, row.split()[2:]))).all() for row in rows[2:])
