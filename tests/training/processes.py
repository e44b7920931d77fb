"""Work in processes of their own, with devices of their own number, which tests may kill."""

import contextlib
import dataclasses
import functools
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

TINY = Path(__file__).parents[2] / 'experiments' / 'recipes' / 'tiny.py'
# Children are forked from one process that has everything imported but has not touched a device.
_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(['dubber_jax.training.loop', 'tensorboardX', 'flax.linen', 'grain'])


def devices(count: int) -> dict[str, str]:
  # Simulated devices wait for each other in threads: with one a core they can wait forever.
  return {
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={count} --xla_backend_optimization_level=0',
    'NPROC': '32',
  }


def tiny_config(mesh=None, **train):
  """That of experiments/recipes/tiny.py, otherwise set."""
  from dubber_jax.training.config import MeshConfig
  from dubber_jax.training.experiment import read_arms

  config = read_arms(TINY)['tiny']
  return config.replace(train=dataclasses.replace(config.train, **train), mesh=mesh or MeshConfig())


class Child:
  """work(say, *arguments) in a process. `said(seconds)` waits for what it says next; None where it says nothing in
  time, or no more."""

  def __init__(self, work, *arguments, errors: Path, environment=None):
    self._pipe, theirs = _context.Pipe()
    self._errors = errors
    self.process = _context.Process(target=_work, args=(work, arguments, environment or {}, theirs, errors))
    self.process.start()
    theirs.close()

  def said(self, seconds=300.0):
    try:
      return self._pipe.recv() if self._pipe.poll(seconds) else None
    except EOFError:
      return None

  def errors(self) -> str:
    return self._errors.read_text(errors='replace')

  def kill(self):
    self.process.kill()
    self.process.join()

  def finish(self, seconds=300.0) -> int:
    """-> the exit code."""
    self.process.join(seconds)
    if self.process.exitcode is None:
      self.kill()
      raise TimeoutError(f'still running after {seconds} s:\n{self.errors()}')
    return self.process.exitcode


def _work(work, arguments, environment, pipe, errors):
  os.environ.update(environment)
  os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
  sys.exit(work(pipe.send, *arguments))


@functools.cache
def compiled_programs() -> tempfile.TemporaryDirectory:
  """JAX's compilation cache of this session's runs, most of which compile the same programs."""
  return tempfile.TemporaryDirectory(prefix='compiled-')


def start_run(config, workdir, environment=None) -> Child:
  """`dubber train` of a config; it says the number of each step whose save begins."""
  errors = Path(f'{workdir}.{os.urandom(3).hex()}.stderr')
  return Child(_train, config, workdir, compiled_programs().name, errors=errors, environment=environment)


def train_command(say, folder, *arguments):
  """Says what `dubber train` prints, run in a folder, and its exit code."""
  from dubber_jax.cli import main

  os.chdir(folder)
  with contextlib.redirect_stdout(io.StringIO()) as printed:
    code = main.main(['train', *arguments])
  say((printed.getvalue(), code))


def _train(say, config, workdir, cache):
  import jax

  from dubber_jax.cli import main
  from dubber_jax.training import experiment
  from dubber_jax.training.checkpoints import Workdir

  jax.config.update('jax_compilation_cache_dir', cache)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  save, read = Workdir.save, experiment.read_experiment

  def save_and_say(self, step, *rest):
    say(step)
    save(self, step, *rest)

  Workdir.save = save_and_say

  def read_tiny(path):
    found = read(path)
    one_length = functools.partial(found.batches, lengths=(8,))  # which is compiled once
    return dataclasses.replace(found, arms={'tiny': config}, batches=one_length)

  experiment.read_experiment = read_tiny
  return main.main(['train', str(TINY), '--workdir', str(workdir)])


def train_actor(say, workdir, packed, steps):
  """One of several processes that train a tiny actor; it says the step it ends at."""
  from meshes import TINY, numpy_task

  from dubber_jax.data.batches import VoiceBatches
  from dubber_jax.data.config import DataConfig
  from dubber_jax.training.config import MeshConfig
  from dubber_jax.training.distributed import host_share, init_distributed
  from dubber_jax.training.loop import train
  from dubber_jax.training.sharding import make_mesh

  init_distributed()
  config = TINY.with_task(data=DataConfig(buckets=(64,), frames_per_batch=128, reference_frames=16))
  config = config.replace(
    mesh=MeshConfig(fsdp=2), train=dataclasses.replace(config.train, stop=steps, save_every=steps, ema=0.5)
  )
  batches = VoiceBatches(config, [packed], host=host_share(make_mesh(config.mesh)))
  state = train(config, numpy_task(config), batches, workdir, progress=False)
  say(int(state.step))


def reshard(say, folder):
  """Restores a state of one device on eight, and that of eight on four, saving it each time."""
  import jax

  from dubber_jax.training.checkpoints import Workdir
  from dubber_jax.training.config import MeshConfig
  from dubber_jax.training.experiment import read_experiment
  from dubber_jax.training.sharding import make_mesh
  from dubber_jax.training.step import create_state

  experiment = read_experiment(TINY)
  meshes = MeshConfig(), MeshConfig(data=2, fsdp=4), MeshConfig(fsdp=2, tensor=2)
  state = position = None
  for i, mesh in enumerate(meshes):
    config = tiny_config(mesh)
    batch = experiment.batches(config, (0, 1))[0]
    like, _ = create_state(config, experiment.task(config), batch, make_mesh(mesh))
    with contextlib.closing(Workdir(folder / str(i), config)) as run:
      if i:
        shutil.copytree(folder / str(i - 1) / 'checkpoints', folder / str(i) / 'checkpoints', dirs_exist_ok=True)
        run.manager.reload()
        _, state, position = run.restore(like)
        say(len(jax.tree.leaves(state.params)[0].sharding.device_set))
      run.save(i + 1, state or like, position or {'next_index': 3})
