import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from jax.extend.core import Primitive
from jax.interpreters import mlir

from dubber_jax.errors import BadInput
from dubber_jax.export.programs import Program, programs, spread
from dubber_jax.vocoder.inputs import Input, draw
from dubber_jax.vocoder.neural import ARCHITECTURES, NeuralVocoder, expected_shapes


def on_the_host(weights, arrays):
  return {'y': jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), np.float32), jnp.float32(1)) + arrays['x']}


def on_one_kind_of_device(weights, arrays):
  return {'y': jnp.linalg.eigh(arrays['x'][:, :, None] * arrays['x'][:, None])[0]}


def spoken_aloud(weights, arrays):
  jax.debug.print('{}', arrays['x'])
  return {'y': arrays['x']}


CPU_ONLY = Primitive('cpu_only')
CPU_ONLY.def_abstract_eval(lambda x: x)
mlir.register_lowering(CPU_ONLY, lambda ctx, x: [x], platform='cpu')


def lowered_for_one_platform(weights, arrays):
  return {'y': CPU_ONLY.bind(arrays['x'])}


@pytest.mark.parametrize(
  ('function', 'why'),
  [
    (on_the_host, 'callback'),
    (on_one_kind_of_device, 'not portable'),
    (spoken_aloud, 'an effect on the host'),
    (lowered_for_one_platform, 'for cpu, .*cpu_only'),
  ],
)
def test_program_that_other_machines_cannot_run_is_refused(function, why):
  with pytest.raises(BadInput, match=f'odd_128 cannot be exported.*{why}'):
    Program('odd_128', function, {}, {'x': Input((3,))}).lower()


def test_a_mistake_in_a_program_is_not_told_as_an_export_that_cannot_be():
  with pytest.raises(TypeError, match='NoneType'):
    Program('odd_128', lambda weights, arrays: {'y': arrays['x'] + None}, {}, {'x': Input((3,))}).lower()


def test_predicted_durations_fill_the_slot_exactly():
  log_durations = np.log1p(np.float32([[3, 0, 5.5, 1, 0, 0], [0.2, 9, 9, 9, 9, 0], [0, 0, 0, 0, 0, 0]]))
  durations = np.asarray(spread(log_durations, np.int32([100, 7, 20])))
  np.testing.assert_array_equal(durations.sum(1), [100, 7, 0])
  assert (durations >= 0).all()
  np.testing.assert_allclose(durations[0], np.float32([3, 0, 5.5, 1, 0, 0]) / 9.5 * 100, atol=1.0)


UPSAMPLING = dict(
  upsample_rates=(16, 16),
  upsample_kernel_sizes=(32, 32),
  upsample_initial_channel=8,
  resblock_kernel_sizes=(3,),
  resblock_dilation_sizes=((1,),),
)
SMALL = {'bigvgan': UPSAMPLING, 'hifigan': UPSAMPLING, 'source-filter': dict(width=8, layers=1)}


def small_vocoder(name):
  module, kind = ARCHITECTURES[name]
  config, rng = kind(**SMALL[name]), np.random.default_rng(0)
  shapes = expected_shapes(module(config))
  params = {tuple(k.split('/')): rng.normal(0, 0.1, shape).astype(np.float32) for k, shape in shapes.items()}
  return NeuralVocoder(name, config, unflatten_dict(params))


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_every_vocoder_can_be_exported(model, name):
  program = programs(model.config, model.params, small_vocoder(name), 64)[2]
  (wave,) = program.lower().out_avals
  assert wave.shape[1] == 64 * 256


def test_vocoder_with_weights_is_exported_as_it_sounds(model):
  vocoder = small_vocoder('hifigan')
  program = programs(model.config, model.params, vocoder, 64)[2]
  mels = np.random.default_rng(1).normal(-5, 2, (2, 64, 80)).astype(np.float32)
  exported = jax.export.deserialize(program.lower().serialize())
  waves = jax.jit(exported.call)(vocoder.params, {'mel': mels, 'frames': np.int32([64, 40])})['wave']
  np.testing.assert_allclose(waves[0], vocoder.vocode(mels[0]), atol=1e-5)
  np.testing.assert_allclose(waves[1, : 40 * 256], vocoder.vocode(mels[1, :40]), atol=1e-5)


@pytest.mark.parametrize('languages', [0, 2])
def test_programs_are_told_the_language_where_the_model_has_several(model, languages):
  config = model.config.with_task(actor=dataclasses.replace(model.config.task.actor, languages=languages))
  read, perform, _ = programs(config, model.params, small_vocoder('hifigan'), 64)
  for program in (read, perform):
    assert program.inputs.get('language') == (Input((), 'int32') if languages else None)


def test_program_of_a_model_with_recording_conditions_takes_batches_of_any_size(model):
  actor = dataclasses.replace(model.config.task.actor, domains=2)
  config = model.config.with_task(actor=actor)
  width = actor.condition_width
  params = model.params | {'domain': {'embedding': np.zeros((2, width), np.float32)}}
  read, _, _ = programs(config, params, small_vocoder('hifigan'), 64)
  items = jax.export.symbolic_shape('b')[0]
  arrays = {k: jax.ShapeDtypeStruct((items, *v.shape), v.dtype) for k, v in read.inputs.items()}
  (durations,) = jax.eval_shape(read.function, read.params, arrays).values()
  assert durations.shape[0] == items


def test_noise_of_a_take_does_not_depend_on_its_padding():
  short, long = (draw({'phase': Input((n, 5), noise='random')}, seed=4)['phase'] for n in (3, 9))
  np.testing.assert_array_equal(short, long[:3])
  assert not (short == draw({'phase': Input((3, 5), noise='random')}, seed=5)['phase']).any()
