import dataclasses

import jax
import numpy as np
import pytest
from small_configs import SMALL_ACTOR, SMALL_DIRECTOR

from dubber_jax.config import ActorTask, Config
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import Shape, empty_batch, fill_direction, fill_noise, fill_text
from dubber_jax.model import DirectorActor
from dubber_jax.script.g2p import encode
from dubber_jax.script.symbols import SYMBOLS
from dubber_jax.types import MODALITIES

TINY = Config(
  task=ActorTask(
    actor=dataclasses.replace(SMALL_ACTOR, noise_width=4, directed=True),
    director=SMALL_DIRECTOR,
  ),
)


def random_batch(config, items=2, frames=48, phonemes=12, lips=16, reference=20, seed=0):
  """A batch in which everything is present; item i has i frames and phonemes of padding more than the first."""
  rng = np.random.default_rng(seed)
  batch = empty_batch(config, Shape(items, frames, phonemes, lips, reference))
  for i in range(items):
    n, t = phonemes - i, frames - i
    batch['phonemes'][i, :n] = rng.integers(1, 90, n)
    cuts = np.sort(rng.integers(0, t, n - 1))
    batch['durations'][i, :n] = np.diff(np.concatenate([[0], cuts, [t]]))
    batch['mel'][i, :t] = rng.normal(-5, 2, (t, 80))
    batch['pitch'][i, :t] = rng.choice([0, 120, 200], t)
    batch['lips'][i, : lips - i] = rng.normal(0, 0.3, (lips - i, 82))
    batch['lip_mask'][i, : lips - i] = True
    batch['reference'][i, : reference - i] = rng.normal(-5, 2, (reference - i, 80))
    batch['reference_mask'][i, : reference - i] = True
    fill_noise(batch, i, t, rng)
    fill_direction(batch, i, rng.dirichlet(np.ones(8)), 0.1)
  for name in ('speaker', 'sounds', *MODALITIES, *(f'{m}_refs' for m in MODALITIES)):
    batch[name] = rng.normal(0, 1, batch[name].shape).astype(np.float32)
  for name in ('present', 'refs_present', 'sounds_present'):
    batch[name][:] = True
  return batch


@pytest.fixture(scope='module')
def params():
  return init(TINY)


def shapes(config):
  return jax.eval_shape(DirectorActor(config).init, {'params': jax.random.key(0)}, random_batch(config))['params']


def init(config):
  """Drawn by NumPy: the model's own initializers take long to compile."""
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes(config))


def run(config, params, batch):
  # Operation by operation: these tests share the compiled operations, not whole graphs.
  return jax.device_get(DirectorActor(config).apply({'params': params}, batch))


def pad(batch, extra):
  """The same items with more padding on every axis of time."""
  widths = {'phonemes': 1, 'durations': 1, 'mel': 1, 'pitch': 1, 'lips': 1, 'lip_mask': 1, 'reference': 1, 'noise': 1}
  widths['reference_mask'] = 1
  out = {}
  for name, value in batch.items():
    if name in widths:
      space = [(0, 0)] * value.ndim
      space[1] = (0, extra)
      value = np.pad(value, space, constant_values=-11.5 if name == 'mel' else 0)
    out[name] = value
  return out


def test_result_of_a_clip_does_not_depend_on_its_batch_or_padding(params):
  batch = random_batch(TINY)
  together = run(TINY, params, batch)
  alone = run(TINY, params, pad({k: v[1:] for k, v in batch.items()}, 7))
  for name in ('finished', 'pitch', 'energy', 'emotion'):
    length = 47 if together[name].ndim > 1 and name != 'emotion' else None
    np.testing.assert_allclose(together[name][1, :length], alone[name][0, :length], atol=2e-5, err_msg=name)
  np.testing.assert_allclose(together['log_durations'][1, :11], alone['log_durations'][0, :11], atol=2e-5)


MASKS = ('enabled', 'scene', 'face', 'text', 'indirect', 'direct')
TREES = ('graph', 'build_then_encode', 'hierarchical')


@pytest.mark.parametrize('switch', MASKS)
def test_masking_switch_keeps_the_parameters_and_changes_the_take(params, switch):
  config = TINY.with_task(director=dataclasses.replace(TINY.task.director, **{switch: False}))
  assert jax.tree.structure(shapes(config)) == jax.tree.structure(params)
  batch = random_batch(TINY)
  assert np.abs(run(config, params, batch)['finished'] - run(TINY, params, batch)['finished']).max() > 1e-4


@pytest.mark.parametrize('switch', TREES)
def test_tree_switch_trains_another_tree(params, switch):
  config = TINY.with_task(director=dataclasses.replace(TINY.task.director, **{switch: False}))
  other = init(config)
  assert jax.tree.structure(other) != jax.tree.structure(params)
  assert np.isfinite(run(config, other, random_batch(config))['finished']).all()


def test_director_off_does_not_hear_the_reading(params):
  config = TINY.with_task(director=dataclasses.replace(TINY.task.director, enabled=False))
  batch = random_batch(TINY)
  other = batch | {m: batch[m] + 1.0 for m in MODALITIES} | {name: -batch[name] for name in ('sounds', 'directed')}
  np.testing.assert_array_equal(run(config, params, batch)['finished'], run(config, params, other)['finished'])
  silent = batch | {name: np.zeros_like(batch[name]) for name in ('present', 'directed')}
  np.testing.assert_allclose(run(config, params, batch)['finished'], run(TINY, params, silent)['finished'], atol=1e-6)


def test_exemplar_that_is_absent_is_not_heard(params):
  batch = random_batch(TINY)
  batch['refs_present'][:, :, 2] = False
  batch['sounds_present'][:, :, 2] = False
  other = dict(batch)
  for name in ('scene_refs', 'face_refs', 'text_refs'):
    other[name] = np.array(batch[name])
    other[name][:, 2] = 9.0
  other['sounds'] = np.array(batch['sounds'])
  other['sounds'][:, :, 2] = 9.0
  np.testing.assert_array_equal(run(TINY, params, batch)['finished'], run(TINY, params, other)['finished'])


def test_pitch_shift_moves_the_pitch_by_semitones(params):
  batch = random_batch(TINY)
  model = DirectorActor(TINY)

  def hertz(shift):
    controls = np.array([[shift, 1.0, 0.0]] * 2, np.float32)
    return model.apply({'params': params}, batch, batch['durations'], controls, 48, method='synthesize')[1]

  plain, raised = hertz(0.0), hertz(2.0)
  voiced = np.asarray(plain) > 0
  assert voiced.any()
  np.testing.assert_allclose(12 * np.log2(raised[voiced] / plain[voiced]), 2.0, atol=1e-2)


BOTH = TINY.with_task(actor=dataclasses.replace(TINY.task.actor, symbols=len(SYMBOLS), languages=2))


def test_line_is_spoken_in_its_language():
  params, batch = init(BOTH), random_batch(BOTH)
  ids = encode(['@sil', 'zh:h', 'zh:ao3', '.', '@sil'])
  for row, language in enumerate(('en', 'zh')):
    for name in ('phonemes', 'durations'):
      batch[name][row] = 0
    fill_text(batch, row, BOTH, ids, language)
    batch['durations'][row, : len(ids)] = 9
  batch = {k: v if k in ('language', 'phonemes', 'durations') else np.stack([v[0]] * 2) for k, v in batch.items()}
  one, other = run(BOTH, params, batch)['finished'][:, :45]
  assert np.abs(one - other).max() > 1e-3


def test_model_of_one_language_has_no_such_input():
  assert 'language' not in empty_batch(TINY, Shape(1, 16, 8, 8, 16))


FULL = TINY.replace(name='full').with_task(
  actor=dataclasses.replace(TINY.task.actor, timbre_heads=2, domains=3, directed_condition=True)
)


@pytest.fixture(scope='module')
def full_params():
  return init(FULL)


def test_attending_to_the_reference_depends_on_neither_batch_nor_padding(full_params):
  batch = random_batch(FULL)
  together = run(FULL, full_params, batch)['finished']
  alone = run(FULL, full_params, pad({k: v[1:] for k, v in batch.items()}, 7))['finished']
  np.testing.assert_allclose(together[1, :47], alone[0, :47], atol=2e-5)
  other = batch | {'reference': batch['reference'][:, ::-1].copy(), 'reference_mask': batch['reference_mask'][:, ::-1]}
  assert np.abs(run(FULL, full_params, other)['finished'] - together).max() > 1e-4


def test_kind_of_recording_is_the_first_where_none_is_said_and_shapes_the_sound(full_params):
  batch = random_batch(FULL)
  first = run(FULL, full_params, batch | {'domain': np.zeros(2, np.int32)})['finished']
  unsaid = run(FULL, full_params, {k: v for k, v in batch.items() if k != 'domain'})['finished']
  np.testing.assert_array_equal(first, unsaid)
  assert np.abs(run(FULL, full_params, batch | {'domain': np.ones(2, np.int32)})['finished'] - first).max() > 1e-4


def test_director_off_silences_the_named_emotion_in_the_norms_too(full_params):
  off = FULL.with_task(director=dataclasses.replace(FULL.task.director, enabled=False))
  batch = random_batch(FULL)
  other = batch | {'directed': batch['directed'][:, ::-1].copy()}
  for config, changes in ((FULL, True), (off, False)):
    apart = np.abs(run(config, full_params, batch)['finished'] - run(config, full_params, other)['finished']).max()
    assert (apart > 1e-5) == changes


def test_symbol_that_the_model_does_not_have_is_refused_by_name():
  batch = empty_batch(TINY, Shape(1, 16, 8, 8, 16))
  fill_text(batch, 0, TINY, encode(['@sil', '@AA1', '...']))
  with pytest.raises(BadInput, match='zh:ao3.*English only'):
    fill_text(batch, 0, TINY, encode(['@sil', '@AA1', 'zh:ao3']), 'zh')
  with pytest.raises(BadInput, match="'fr'"):
    fill_text(batch, 0, BOTH, encode(['@sil']), 'fr')


def test_shipped_config_fits_its_size():
  assert sum(np.prod(s.shape) for s in jax.tree.leaves(shapes(Config()))) * 2 < 12_000_000
