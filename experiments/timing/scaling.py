"""Memory per device and compilation time of the training step against depth of the stacks and size of the mesh.

    python experiments/timing/scaling.py                                              # depths 4 to 32, 1 to 8 devices
    python experiments/timing/scaling.py --unroll --depths 4 8 --meshes 1             # the same without scanning

Prints a Markdown table, of narrow models on simulated devices. Every stack of the actor has the depth (text, lips,
pitch, duration, decoder); the mesh is fsdp alone. Seconds are of CPU time, so that other load matters little. 16
programs take about 10 minutes of a core.
"""

import argparse
import math
import time

import jax

from dubber_jax.actor.config import ActorConfig
from dubber_jax.config import ActorTask, Config
from dubber_jax.director.config import DirectorConfig
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.training.config import MeshConfig, TrainConfig
from dubber_jax.training.sharding import make_mesh, parameter_sharding
from dubber_jax.training.step import abstract_state, jit_step
from dubber_jax.training.tasks.actor import voice_task


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--depths', type=int, nargs='+', default=[4, 8, 16, 32])
  parser.add_argument('--meshes', type=int, nargs='+', default=[1, 2, 4, 8])
  parser.add_argument('--width', type=int, default=64)
  parser.add_argument('--unroll', action='store_true')
  parser.add_argument('--remat', action='store_true')
  given = parser.parse_args()
  jax.config.update('jax_num_cpu_devices', max(given.meshes))
  print('| depth | devices | parameters | state a device | temporaries a device | lower s | compile s |')
  print('| ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
  for depth in given.depths:
    for devices in given.meshes:
      print(row(depth, devices, given.width, TrainConfig(unroll=given.unroll, remat=given.remat)), flush=True)


def row(depth: int, devices: int, width: int, train: TrainConfig) -> str:
  config = Config(
    task=ActorTask(
      actor=ActorConfig(
        width=width,
        text_layers=depth,
        style_width=width,
        condition_width=width,
        lip_width=width,
        lip_layers=depth,
        prosody_layers=depth,
        prosody_width=width,
        decoder_layers=depth,
        postnet_width=width,
      ),
      director=DirectorConfig(width=width),
    ),
    mesh=MeshConfig(fsdp=devices),
    train=train,
  )
  task, mesh = voice_task(config), make_mesh(config.mesh)
  batch = empty_batch(config, Shape(8, 64, 16, 20, 32))
  state = abstract_state(config, task, batch)
  shardings = parameter_sharding(mesh, state)
  began = time.process_time()
  lowered = jit_step(config, task, mesh, shardings).lower(state, batch)
  traced = time.process_time()
  program = lowered.compile()
  compiled = time.process_time()
  places = zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True)
  held = sum(math.prod(s.shard_shape(x.shape)) * x.dtype.itemsize for x, s in places)
  count = sum(x.size for x in jax.tree.leaves(state.params))
  temporary = program.memory_analysis().temp_size_in_bytes
  return (
    f'| {depth} | {devices} | {count:,} | {held / 1e6:.2f} MB | {temporary / 1e6:.2f} MB | '
    f'{traced - began:.1f} | {compiled - traced:.1f} |'
  )


if __name__ == '__main__':
  main()
