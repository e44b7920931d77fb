import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import SafetensorError

from dubber_jax.cli.main import main
from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.inference.model_directory import ModelContents, load, open_vocoder, write_model_directory
from dubber_jax.storage import weights
from dubber_jax.storage.checked_folder import MANIFEST, write_manifest
from dubber_jax.vocoder.hifigan import HiFiGAN, HiFiGANConfig
from dubber_jax.vocoder.neural import NeuralVocoder, expected_shapes, write_vocoder

TINY = HiFiGANConfig(upsample_rates=(16, 16), upsample_kernel_sizes=(32, 32), upsample_initial_channel=8)


def make_vocoder(config=TINY):
  rng = np.random.default_rng(0)
  module = HiFiGAN(config)
  flat = {k: rng.normal(0, 0.1, s).astype(np.float32) for k, s in expected_shapes(module).items()}
  params = {}
  for path, value in flat.items():
    node = params
    *parents, leaf = path.split('/')
    for name in parents:
      node = node.setdefault(name, {})
    node[leaf] = value
  return NeuralVocoder('hifigan', config, params)


@pytest.mark.parametrize('dtype, tolerance', [('float32', 0), ('bfloat16', 4e-3)])
def test_vocoder_with_weights_ships_in_a_model_directory(tmp_path, dtype, tolerance):
  vocoder = make_vocoder()
  (tmp_path / 'vocoder').mkdir()
  write_vocoder(vocoder, tmp_path / 'vocoder', dtype)
  weights = {'text': {'kernel': np.ones(2, np.float32)}}
  contents = ModelContents(Config(), weights, {}, '# card', tmp_path / 'vocoder')
  write_model_directory(tmp_path / 'out', contents)
  manifest = json.loads((tmp_path / 'out' / 'MANIFEST.json').read_text())
  assert {'vocoder/config.json', 'vocoder/model.safetensors'} <= set(manifest)
  shipped = open_vocoder(tmp_path / 'out' / 'vocoder')
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance), shipped.params, vocoder.params)
  mel = np.random.default_rng(1).normal(-5, 2, (7, 80))
  assert shipped.vocode(mel).shape == (7 * 256,)


@pytest.mark.parametrize('change, told', [({'fmax': None}, 'fmax'), ({'sampling_rate': 24000}, 'sampling_rate')])
def test_vocoder_of_other_mels_is_refused_before_anything_is_written(tmp_path, change, told):
  (tmp_path / 'vocoder').mkdir()
  write_vocoder(make_vocoder(HiFiGANConfig(**TINY.__dict__ | change)), tmp_path / 'vocoder')
  with pytest.raises(BadInput, match=told):
    write_model_directory(tmp_path / 'out', ModelContents(Config(), {}, {}, '', tmp_path / 'vocoder'))
  assert [p.name for p in tmp_path.iterdir()] == ['vocoder']


@pytest.mark.parametrize('settings', [None, '', '[]', '{"name": "opera"}', '{"name": "hifigan", "config": 3}'])
def test_folder_that_is_no_vocoder_is_refused(tmp_path, settings):
  if settings is not None:
    (tmp_path / 'config.json').write_text(settings)
  with pytest.raises(BadInput, match=str(tmp_path)):
    open_vocoder(tmp_path)


def test_part_of_a_model_directory_is_replaced_and_the_others_stay(model, tmp_path):
  (tmp_path / 'vocoder').mkdir()
  (tmp_path / 'vocoder' / 'config.json').write_text(json.dumps({'name': 'griffin-lim', 'iterations': 7}))
  new = str(tmp_path / 'new')
  assert main(['release', str(model.path), '-o', new, '--vocoder', str(tmp_path / 'vocoder')]) == 0
  found = load(new)
  assert found.vocoder.iterations == 7 and list(found.voices) == ['ada']
  assert (found.path / 'CARD.md').read_text() == (model.path / 'CARD.md').read_text()
  for old, kept in zip(jax.tree.leaves(model.params), jax.tree.leaves(found.params), strict=True):
    np.testing.assert_array_equal(old, kept)


def test_vocoder_of_a_run_that_trained_something_else_is_refused(model, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr('dubber_jax.training.checkpoints.is_workdir', lambda path: True)
  monkeypatch.setattr('dubber_jax.training.checkpoints.read_config', lambda path: model.config)
  monkeypatch.setattr('dubber_jax.training.checkpoints.load_weights', lambda path: (1, {}))
  assert main(['release', str(model.path), '-o', str(tmp_path / 'new'), '--vocoder', 'runs/voice']) == 2
  assert 'which is no vocoder' in capsys.readouterr().err


def contents_of(model, params) -> ModelContents:
  return ModelContents(model.config, params, model.voices, 'A card.\n')


def test_a_model_that_could_not_be_opened_does_not_take_its_name(model, tmp_path):
  out = tmp_path / 'new'
  other = jax.tree.map(lambda x: x, model.params)
  other[next(iter(other))] = {'of_another_network': np.zeros(3, np.float32)}
  with pytest.raises(BadInput, match='is missing'):
    write_model_directory(out, contents_of(model, other), opened=True)
  assert not list(tmp_path.iterdir())
  write_model_directory(out, contents_of(model, model.params))
  with pytest.raises(BadInput, match='is missing'):
    write_model_directory(out, contents_of(model, other), overwrite=True, opened=True)
  assert load(out).voices.keys() == model.voices.keys() and list(tmp_path.iterdir()) == [out]


def test_a_full_disk_is_one_line_and_leaves_nothing(model, tmp_path, monkeypatch):
  def full(arrays, path, metadata=None):
    Path(path).write_bytes(b'half')
    raise SafetensorError('Error while serializing: I/O error: No space left on device (os error 28)')

  monkeypatch.setattr(weights, 'save_file', full)
  with pytest.raises(BadInput, match='no space left'):
    write_model_directory(tmp_path / 'new', contents_of(model, model.params))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('name', 'change'),
  [
    ('config.json', lambda text: text.replace('"width": 16', '"width": "wide"', 1)),
    ('config.json', lambda text: text.replace('"width": 16', '"width": 0', 1)),
    ('config.json', lambda text: text.replace('"text_layers": 1', '"text_layers": 100000000')),
    ('config.json', lambda text: '[' * 100_000),
    ('features.json', lambda text: '7'),
    ('features.json', lambda text: '{"scene": 7}'),
    ('vocoder/config.json', lambda text: '{"name": "griffin-lim", "iterations": "many"}'),
    ('vocoder/config.json', lambda text: '{"name": "hifigan", "config": 7}'),
    ('voices.safetensors', None),
    ('model.safetensors', None),
  ],
)
def test_parts_that_do_not_fit_are_one_line_though_their_hashes_do(model, tmp_path, name, change):
  shutil.copytree(model.path, tmp_path / 'model')
  path = tmp_path / 'model' / name
  if change:
    path.write_text(change(path.read_text()))
  else:  # the one in place of the other
    parts = {'voices.safetensors', 'model.safetensors'}
    shutil.copyfile(model.path / (parts - {name}).pop(), path)
  (tmp_path / 'model' / MANIFEST).unlink()
  write_manifest(tmp_path / 'model')
  with pytest.raises(BadInput) as said:
    load(tmp_path / 'model')
  assert '\n' not in str(said.value)


def test_weights_that_are_no_numbers_are_refused(model, tmp_path):
  broken = jax.tree.map(np.array, model.params)
  jax.tree.leaves(broken)[0].flat[0] = np.nan
  write_model_directory(tmp_path / 'new', contents_of(model, broken))
  with pytest.raises(BadInput, match='not finite'):
    load(tmp_path / 'new')
