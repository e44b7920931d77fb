"""Parity with the PyTorch reference implementation, where no fixture exists: gradients of the whole model, and all
outputs at the published size. Skipped without PyTorch.
"""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.convert.fixtures import draw_weight
from dubber_jax.convert.parity import compare

pytest.importorskip('torch', reason='the twin needs PyTorch: pip install dubber_jax[torch]')

import torch

spec = importlib.util.spec_from_file_location('twin', Path(__file__).with_name('twin.py'))
twin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(twin)

KEPT = Path(__file__).parents[1] / 'reference_parity' / 'fixtures'
SMALL = {'encoder_layer': 2, 'decoder_layer': 2, 'lip_encoder_layer': 2, 'multimodal_layers': 2}
FULL = {'encoder_layer': 12, 'decoder_layer': 24, 'lip_encoder_layer': 4, 'multimodal_layers': 16}
STACKS = {
  'encoder.layer_stack': 'encoder_layer',
  'decoder_Condition.layer_stack': 'decoder_layer',
  'lip_encoder.layer_stack': 'lip_encoder_layer',
  'trans_l_with_v.layers': 'multimodal_layers',
}


def stored(name):
  with np.load(KEPT / f'{name}.npz') as file:
    arrays = {key: file[key] for key in file.files}
  return arrays, json.loads(str(arrays['recipe']))


def deepened(recipe, depths):
  """The recipe's rows, those of a stack's layers repeated to its depth, and the weights that they make."""
  rows = []
  for row in recipe:
    stack = next((s for s in STACKS if re.match(re.escape(s) + r'\.\d', row['key'])), None)
    number = int(re.match(re.escape(stack) + r'\.(\d+)', row['key']).group(1)) if stack else 0
    for layer in range(number, depths[STACKS[stack]], 2) if stack else [None]:
      key = row['key'] if layer is None else row['key'].replace(f'{stack}.{number}.', f'{stack}.{layer}.', 1)
      rows.append(row | {'key': key})
  weights = {row['key']: draw_weight(row) for row in rows}
  for row in rows:
    weight = weights[row['key']].astype(np.float64)
    row['sum'], row['sumsq'] = float(weight.sum()), float(np.square(weight).sum())
  return rows, weights


def tensors(arrays):
  """Floats in float64."""
  made = {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}
  return {key: t.double() if t.is_floating_point() else t for key, t in made.items()}


def write(path, inputs, outputs, rows, cfg):
  arrays = {f'in/{k}': v for k, v in inputs.items()}
  arrays |= {f'out/{k}': v.astype(np.float32) if v.dtype == np.float64 else v for k, v in outputs.items()}
  np.savez(path, **arrays, recipe=np.array(json.dumps(rows)), cfg=np.array(json.dumps(cfg)))
  return path


def assert_within(path):
  """A gradient may jump in float32 where a rectifier's input rounds to the other side: then float64 decides."""
  rows = compare(path)
  beyond = [row for row in rows if not row.within and (row.float64_ratio is None or row.float64_ratio > 1)]
  told = '\n'.join(f'{row.output}: error {row.max_error:.2e}, {row.tolerance_ratio:.2f} of tolerance' for row in beyond)
  assert rows and not beyond, told


@pytest.fixture(scope='module')
def whole():
  arrays, recipe = stored('whole_small')
  return {k[3:]: v for k, v in arrays.items() if k.startswith('in/')}, recipe


@pytest.mark.slow
def test_whole_model_of_published_size_equals_the_twin_in_float64(whole, tmp_path):
  inputs, recipe = whole
  rows, weights = deepened(recipe, FULL)
  w, batch = tensors(weights), tensors(inputs)
  with torch.no_grad():
    outputs = twin.published(w, batch, FULL) | twin.synthesized(w, batch, FULL)
  outputs = {key: value.numpy() for key, value in outputs.items()}
  assert_within(write(tmp_path / 'whole_full.npz', inputs, outputs, rows, {}))


@pytest.mark.slow
@pytest.mark.parametrize('cfg', [SMALL, FULL], ids=['small', 'full'])
def test_gradients_equal_the_twins_in_float64_and_a_changed_one_is_found(whole, tmp_path, cfg):
  inputs, recipe = whole
  rows, weights = deepened(recipe, cfg)
  w = tensors(weights)
  for key, weight in w.items():
    weight.requires_grad_('running_' not in key)
  outputs = twin.published(w, tensors(inputs), cfg, train=True)
  outputs['loss_total'].backward()
  gradients = {f'{row["part"]}.{row["key"]}': w[row['key']].grad for row in rows if 'running_' not in row['key']}
  norms = [0.0 if g is None else float(g.norm()) for g in gradients.values()]
  found = {key: value.detach().numpy() for key, value in outputs.items() if key.startswith('loss_')}
  found |= {'grad_names': np.array(list(gradients)), 'grad_norms': np.array(norms, np.float32)}
  found |= {f'grad/{key}': g.numpy() for key, g in gradients.items() if g is not None and g.numel() < 70_000}
  given = {'mode': 'train', 'dropout': 0} | (cfg if cfg is SMALL else {})
  assert_within(write(tmp_path / 'whole_full_gradients.npz', inputs, found, rows, given))
  if cfg is SMALL:
    key = 'grad/model.mel_linear.weight'
    found[key] = found[key].copy()
    found[key][3, 5] += 1e-3 * np.linalg.norm(norms)
    rows = compare(write(tmp_path / 'whole_full_gradients.npz', inputs, found, rows, given))
    assert key in [row.output for row in rows if not row.within]


def test_twin_itself_computes_what_the_released_code_does(whole):
  inputs, recipe = whole
  arrays, _ = stored('whole_small')
  w, batch = tensors({row['key']: draw_weight(row) for row in recipe}), tensors(inputs)
  with torch.no_grad():
    outputs = twin.published(w, batch, SMALL) | twin.synthesized(w, batch, SMALL)
  for key, value in arrays.items():
    if key.startswith('out/'):
      np.testing.assert_allclose(outputs[key[4:]].numpy(), value, atol=2e-5, rtol=1e-6, err_msg=key)
  arrays, _ = stored('bigvgan_small')
  w = tensors({k[2:]: v for k, v in arrays.items() if k.startswith('w/')})
  with torch.no_grad():
    wave = twin.bigvgan(w, tensors({'mel': arrays['in/mel']})['mel'], (4, 2), (8, 4))
  np.testing.assert_allclose(wave.numpy(), arrays['out/wav'], atol=2e-6)
