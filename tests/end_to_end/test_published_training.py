"""Published features in, a trained model and its measures out, on a small copy of the published system."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipelines.v2c_animation import FeatureTree, write_random_tree
from dubber_jax.cli import main
from dubber_jax.evaluation.benchmark import authentic_dubber
from dubber_jax.training.checkpoints import digest, load_collections, load_weights
from dubber_jax.training.log import read_log

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / 'experiments' / 'recipes'
SMALL = """
import dataclasses
import importlib.util
from dubber_jax.authentic_dubber.config import PublishedConfig

spec = importlib.util.spec_from_file_location('whole', {path!r})
whole = importlib.util.module_from_spec(spec)
spec.loader.exec_module(whole)
task, batches, evaluate = whole.task, whole.batches, whole.evaluate


def arms():
  arm = whole.arms()[{arm!r}]
  sizes = PublishedConfig(text_layers=1, lip_layers=1, cross_layers=1, decoder_layers=1, cross_width=32, filter=16)
  tree = dataclasses.replace(arm.task.tree, batch=2)
  train = dataclasses.replace(arm.train, log_every=1, save_every=2)
  return {{'small': arm.replace(train=train).with_task(published=sizes, tree=tree)}}
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
  assert main.main(arguments) == 0


def test_features_are_trained_on_resumed_and_dubbed(experiment, tree, tmp_path, capsys):
  train(experiment, tree, tmp_path / 'run', 2)
  assert '1 clips are left out' in capsys.readouterr().out
  skipped = [json.loads(row) for row in (tmp_path / 'run' / 'skipped.jsonl').read_text().splitlines()]
  assert len(skipped) == 1 and '.npy: missing' in skipped[0]['why']
  before = load_collections(tmp_path / 'run')
  train(experiment, tree, tmp_path / 'run', 3)
  step, _ = load_weights(tmp_path / 'run')
  after = load_collections(tmp_path / 'run')
  assert step == 3
  assert all((a != b).any() for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)), 'norms stood still'
  logged = list(read_log(tmp_path / 'run'))
  losses = [row for row in logged if 'total' in row]
  assert {'mel', 'finished', 'speaker', 'duration', 'diagonal', 'emotion'} <= losses[0].keys()
  assert 6.36 < losses[0]['emotion'] < 11.38
  assert any(row.get('eval/clips') == 1 and row['eval/mel_distance_dtw_sl'] > 0 for row in logged)

  capsys.readouterr()
  options = ['--workdir', str(tmp_path / 'run'), '--data', str(tree)]
  assert authentic_dubber.main([str(experiment), *options]) == 0
  rows = capsys.readouterr().out.splitlines()
  assert [row[:7] for row in rows[2:]] == ['Dub 2.0', 'Dub 3.0', 'Dub 1.0']
  assert all(np.isfinite(list(map(float, row.split()[2:]))).all() for row in rows[2:])


def test_published_run_that_was_stopped_goes_on_to_the_same_bits(experiment, tree, tmp_path):
  train(experiment, tree, tmp_path / 'halves', 2)
  train(experiment, tree, tmp_path / 'halves', 3)
  train(experiment, tree, tmp_path / 'whole', 3)
  assert digest(tmp_path / 'halves') == digest(tmp_path / 'whole')
