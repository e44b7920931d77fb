"""A tiny voice on meshes of simulated devices, in processes of their own."""

import dataclasses
import re
import sys
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.actor.decoder import MelDecoder
from dubber_jax.actor.text_encoder import TextEncoder
from dubber_jax.config import ActorTask, Config
from dubber_jax.director.config import DirectorConfig
from dubber_jax.training.config import MeshConfig, TrainConfig
from dubber_jax.training.task import Task, adamw

sys.path.append(str(Path(__file__).parents[1]))
from small_configs import SMALL_ACTOR  # noqa: E402

TINY = Config(
  task=ActorTask(
    actor=dataclasses.replace(SMALL_ACTOR, text_layers=2, decoder_layers=2, postnet_layers=2),
    director=DirectorConfig(width=16, exemplars=1, dropout=0.0),
  ),
  train=TrainConfig(steps=20, warmup_steps=2, decay_steps=0, learning_rate=1e-3),
)
# Compiler options of programs that run a few times on small arrays: optimizing them doubles the compile time.
UNOPTIMIZED = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
STEPS = 6
DEVICES = {
  'XLA_FLAGS': '--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 '
  '--xla_llvm_disable_expensive_passes=true',
  'NPROC': '32',  # threads: simulated devices wait for each other in them, and with one a core they can wait forever
}


def small_batch(config, dtype=np.float32, items=8):
  """Eight items of different lengths, or those again and again."""
  from test_model import random_batch

  batch = random_batch(config, 8, frames=24, phonemes=16, lips=14, reference=16)
  batch['emotion_known'][::3] = True
  batch = {k: np.concatenate([v] * (items // 8)) for k, v in batch.items()}
  return {k: v.astype(dtype) if v.dtype.kind == 'f' else v for k, v in batch.items()}


def numpy_task(config, dtype=np.float32):
  """The voice, its weights drawn by NumPy."""
  from dubber_jax.training.tasks.actor import voice_task

  return drawn_by_numpy(voice_task(config), small_batch(config), dtype)


def drawn_by_numpy(task, batch, dtype):
  """`task` with initial weights drawn by NumPy: a model's own initializers take long to compile."""
  with jax.enable_x64(False):
    shapes = jax.eval_shape(task.init, jax.random.key(0), batch)

  def init(key, batch):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.2, s.shape), dtype), shapes)

  return dataclasses.replace(task, init=init)


class Reader(nn.Module):
  """Text encoder and mel decoder of the voice, one frame a phoneme: layers of every sharded kind, quick to compile."""

  @nn.compact
  def __call__(self, phonemes, prosody, condition):
    mask = phonemes > 0
    text = TextEncoder(96, 16, 2, 2, name='text')(phonemes, mask)
    return MelDecoder(80, 2, 7, 3, 16, 2, name='decoder')(text, *jnp.moveaxis(prosody, -1, 0), mask, condition)


def reader_batch(dtype=np.float32):
  """Eight items of different lengths."""
  rng = np.random.default_rng(0)
  phonemes = rng.integers(1, 96, (8, 12), np.int32) * (np.arange(12) < np.arange(5, 13)[:, None])
  shapes = {'prosody': (8, 12, 3), 'condition': (8, 16), 'mel': (8, 12, 80)}
  return {'phonemes': phonemes} | {name: rng.normal(0, 1, shape).astype(dtype) for name, shape in shapes.items()}


def reader_task(config, dtype=np.float32):
  def apply(params, batch):
    return Reader().apply({'params': params}, batch['phonemes'], batch['prosody'], batch['condition'])

  def loss(params, batch, key):
    error = sum(jnp.square(mel - batch['mel']).mean() for mel in apply(params, batch))
    return error, {'total': error}

  def init(key, batch):
    batch = reader_batch()
    return Reader().init(key, batch['phonemes'], batch['prosody'], batch['condition'])['params']

  return drawn_by_numpy(Task(init, loss, lambda: adamw(config.train)), reader_batch(), dtype)


def published_batch(dtype=np.float32):
  """Eight items of different lengths for the published system."""
  from dubber_jax.authentic_dubber.batches import empty_published
  from dubber_jax.inference.batch import Shape

  rng = np.random.default_rng(0)
  batch = empty_published(Shape(8, 40, 12, 12, 40), 2)
  lengths = {'phoneme_length': (5, 13), 'mel_length': (20, 41), 'reference_length': (20, 41), 'lip_length': (6, 13)}
  for name, array in batch.items():
    if name in lengths:
      batch[name] = rng.integers(*lengths[name], 8, np.int32)
    elif name in ('phonemes', 'durations'):
      batch[name] = rng.integers(1, 4, array.shape, np.int32)
    elif array.dtype.kind == 'f':
      batch[name] = rng.normal(0, 1, array.shape).astype(dtype)
  return batch


def published_small_task(config, dtype=np.float32):
  """The published system with a layer of each kind: batch norms, dropout, padding up to the batch's longest item."""
  from dubber_jax.authentic_dubber.config import PublishedConfig
  from dubber_jax.authentic_dubber.losses import published_task
  from dubber_jax.config import PublishedTask

  sizes = PublishedConfig(text_layers=1, lip_layers=1, cross_layers=1, decoder_layers=1, filter=64)
  task = published_task(config.replace(task=PublishedTask(published=sizes)))
  return drawn_by_numpy(task, published_batch(), dtype)


NETWORKS = {
  'reader': (reader_task, reader_batch),
  'voice': (numpy_task, partial(small_batch, TINY)),
  'published': (published_small_task, published_batch),
}


def train_on(say, network, dtype, meshes):
  """Says, for each mesh (data, fsdp, tensor): in float64 the losses of STEPS steps and the last parameters,
  in float32, and of the published system, the first losses and gradient; and whether each of the optimizer's arrays is
  replicated."""
  jax.config.update('jax_enable_x64', dtype == 'float64')
  from dubber_jax.training.sharding import batch_sharding, make_mesh, path_name
  from dubber_jax.training.step import create_state, jit_step, make_gradient

  make_task, make_batch = NETWORKS[network]
  batch = make_batch(dtype)
  for mesh_config in (MeshConfig(*sizes) for sizes in meshes):
    config = TINY.replace(mesh=mesh_config)
    task, mesh = make_task(config, dtype), make_mesh(mesh_config)
    state, shardings = create_state(config, task, batch, mesh)
    placed = jax.device_put(batch, batch_sharding(mesh))
    whole = {path_name(p): x.sharding.is_fully_replicated for p, x in jax.tree.leaves_with_path(state.optimizer)}
    if dtype == 'float32' or network == 'published':
      gradient = jax.jit(make_gradient(task, mesh=mesh), out_shardings=(shardings.params, None))
      first, (metrics, _) = gradient(state.params, state.collections, placed, jax.random.key(0))
      say(({k: float(v) for k, v in metrics.items()}, jax.device_get(first), whole))
      continue
    step, losses = jit_step(config, task, mesh, shardings), []
    for _ in range(STEPS):
      state, metrics = step(state, placed)
      losses.append(float(metrics['total']))
    say((losses, jax.device_get(state.params), whole))


def exchanges(say):
  """Says the kind and the shape of all that devices exchange for the gradient of a stack of layers on (2, 4, 1), and
  the shapes of its parameters, layer by layer."""
  from dubber_jax.training.sharding import batch_sharding, constrain_batch, make_mesh, parameter_sharding

  mesh, encoder = make_mesh(MeshConfig(data=2, fsdp=4)), TextEncoder(96, 64, 4, 2)
  ids, mask = jax.ShapeDtypeStruct((16, 24), np.int32), jax.ShapeDtypeStruct((16, 24), bool)
  params = {'text': jax.eval_shape(encoder.init, jax.random.key(0), ids, mask)['params']}
  placed, items = parameter_sharding(mesh, params), batch_sharding(mesh)

  def loss(params, ids, mask):
    with constrain_batch(mesh, 16):
      return jnp.square(encoder.apply({'params': params['text']}, ids, mask)).mean()

  gradient = jax.jit(jax.grad(loss), in_shardings=(placed, items, items), out_shardings=placed)
  program = gradient.lower(params, ids, mask).compile().as_text()
  kinds = 'all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute'
  found = re.findall(rf'= (\(?[a-z0-9]+\[.*?) ({kinds})(?:-start)?\(', program)
  say([(kind, shape) for shapes, kind in found for shape in re.findall(r'[a-z]+\d+\[([\d,]*)\]', shapes)])
  say(
    [
      ','.join(map(str, p.shape[1:] if 'block' in jax.tree_util.keystr(path) else p.shape))
      for path, p in jax.tree.leaves_with_path(params)
    ]
  )


def created(say):
  """Says the bytes of a parameter and those that creating it takes on each of 8 devices, besides what it makes."""
  import optax

  from dubber_jax.training.sharding import make_mesh, parameter_sharding
  from dubber_jax.training.step import new_state

  task = Task(lambda key, batch: {'up': {'kernel': jax.random.normal(key, (4096, 512))}}, None, lambda: optax.sgd(0.1))
  create, key = partial(new_state, task, {}), jax.random.key(0)
  placed = parameter_sharding(make_mesh(MeshConfig(fsdp=8)), jax.eval_shape(create, key))
  program = jax.jit(create, out_shardings=placed).lower(key).compile()
  say((4096 * 512 * 4, program.memory_analysis().temp_size_in_bytes))
