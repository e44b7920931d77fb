"""Speed of the published system and BigVGAN here, beside the same computation by stock PyTorch modules.

    python -m venv torchenv && torchenv/bin/pip install torch==2.13.0 numpy
    python experiments/timing/published.py --torch torchenv/bin/python --json published.json    # 15 min on 2 idle cores
    python experiments/timing/published.py --cases infer_1 vocoder                              # ours alone
    python experiments/timing/published.py --gpu                                                # training on a GPU

Float32, full published sizes, random weights, 60 phonemes, 75 lip frames, 260 mel frames; a second of sound for the
vocoder. First small copies of both get the same weights and must agree. Then every case has two processes, ours and
PyTorch's (experiments/timing/published_torch.py), which alternate; the table gives medians of wall-clock seconds, of
processor seconds (less affected by other programs), and each process's peak of resident memory. The first call, which
traces and compiles, is timed in a process before, with an empty persistent compilation cache, and in the measured one,
with the filled cache: compiling takes memory of its own.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PHONEMES, LIPS, FRAMES, EXEMPLARS = 60, 75, 260, 3
SECOND = 86  # mel frames: 0.998 s of sound
VOCODER = 'bigvgan_v2_22khz_80band_fmax8k_256x'
TWIN = Path(__file__).with_name('published_torch.py')
SMALL = {'text_layers': 1, 'lip_layers': 1, 'cross_layers': 2, 'decoder_layers': 2}
SMALL_VOCODER = {'upsample_initial_channel': 64}
CASES = {
  'infer_1': ('published', 'infer', 1),
  'infer_8': ('published', 'infer', 8),
  'train_1': ('published', 'train', 1),
  'train_8': ('published', 'train', 8),
  'vocoder': ('bigvgan', 'infer', 1),
}
TITLES = {
  'infer_1': 'inference to mel, batch 1',
  'infer_8': 'inference to mel, batch 8',
  'train_1': 'training step, batch 1',
  'train_8': 'training step, batch 8',
  'vocoder': 'BigVGAN v2, a second of sound',
}


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--torch', help='a Python with PyTorch; without it ours alone is timed')
  parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES))
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument('--small', action='store_true', help='sizes cut down, to try the benchmark out')
  parser.add_argument('--gpu', action='store_true')
  parser.add_argument('--json')
  parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.worker:
    return work()
  if given.gpu:
    return measure_gpu()
  with tempfile.TemporaryDirectory() as folder:
    if given.torch:
      for network in sorted({CASES[case][0] for case in given.cases}):
        difference = disagreement(network, given.torch, Path(folder))
        print(f'{network}: ours and PyTorch differ by {difference:.1e}', flush=True)
    rows = {}
    for case in given.cases:
      rows[case] = measure(case, given.torch, given.repeats, given.small, Path(folder))
      print(TITLES[case], json.dumps(rows[case]), flush=True)
  load = os.getloadavg()[0]
  print(f'\n{len(os.sched_getaffinity(0))} cores, load average {load:.1f} at the end, median of {given.repeats}\n')
  print(table(rows))
  if given.json:
    Path(given.json).write_text(json.dumps({'load_average': load, 'cases': rows}, indent=2) + '\n')


def measure(case: str, torch: str | None, repeats: int, small: bool, folder: Path) -> dict:
  """{'ours': {...}, 'torch': {...}}: medians of both sides of a case, run alternately, and our compilation times."""
  network, mode, items = CASES[case]
  job = {'network': network, 'mode': mode, 'config': settings(network, small), 'cache': str(folder / case)}
  job['batch'] = str(folder / f'{case}.npz')
  np.savez(job['batch'], **example(network, items, small))
  cold = Side(OURS, job)
  first = cold.run()
  cold.close()
  sides = {'ours': Side(OURS, job)} | ({'torch': Side([torch, str(TWIN)], job)} if torch else {})
  second = {name: side.run()['seconds'] for name, side in sides.items()}
  runs = {name: [] for name in sides}
  for _ in range(repeats):
    for name, side in sides.items():
      runs[name].append(side.run())
  medians = {
    name: {key: float(np.median([run[key] for run in of])) for key in ('seconds', 'processor', 'peak_gib')}
    for name, of in runs.items()
  }
  for side in sides.values():
    side.close()
  medians['ours'] |= {'first_cold': first['seconds'], 'first_cached': second['ours'], 'peak_cold': first['peak_gib']}
  return medians


def table(rows: dict) -> str:
  """Markdown table of the medians."""
  heads = (
    '',
    'ours, s',
    'PyTorch, s',
    'times as fast',
    'processor s, ours / PyTorch',
    'peak GiB, ours (compiling too) / PyTorch',
    'first call s, no cache / cache',
  )
  lines = ['| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]
  for case, row in rows.items():
    ours, theirs = row['ours'], row.get('torch', dict.fromkeys(('seconds', 'processor', 'peak_gib'), float('nan')))
    lines.append(
      f'| {TITLES[case]} | {ours["seconds"]:.3f} | {theirs["seconds"]:.3f} | {theirs["seconds"] / ours["seconds"]:.2f} '
      f'| {ours["processor"]:.2f} / {theirs["processor"]:.2f} '
      f'| {ours["peak_gib"]:.2f} ({ours["peak_cold"]:.2f}) / {theirs["peak_gib"]:.2f} '
      f'| {ours["first_cold"]:.1f} / {ours["first_cached"]:.1f} |'
    )
  return '\n'.join(lines)


def disagreement(network: str, torch: str, folder: Path) -> float:
  """The largest difference between a small copy of ours and of PyTorch's with the same weights. Exits above 1e-3."""
  import jax

  from dubber_jax.authentic_dubber import checkpoint_names
  from dubber_jax.convert import vocoders

  config, batch = settings(network, True), example(network, 1, True)
  job = {
    'network': network,
    'mode': 'infer',
    'config': config,
    'batch': str(folder / 'check.npz'),
    'weights': str(folder / 'weights.npz'),
  }
  infer, variables = build(network, config)
  if network == 'published':
    exported = checkpoint_names.to_torch(checkpoint_names.whole_model(make_config(network, config)), variables)
  else:
    exported = vocoders.to_torch(jax.tree.map(np.asarray, variables['params']), network, filters=False)
  np.savez(job['batch'], **batch)
  np.savez(job['weights'], **exported)
  side = Side([torch, str(TWIN)], job)
  side.run(str(folder / 'theirs.npy'))
  side.close()
  ours, theirs = np.asarray(infer(variables, batch)), np.load(folder / 'theirs.npy')
  both = min(ours.shape[1], theirs.shape[1])
  difference = float(np.abs(ours[:, :both] - theirs[:, :both]).max())
  if not difference < 1e-3:
    sys.exit(f'{network}: ours and PyTorch differ by {difference}: not the same computation')
  return difference


OURS = [sys.executable, str(Path(__file__).resolve()), '--worker']


class Side:
  """A process that runs one case once per request."""

  def __init__(self, command: list[str], job: dict):
    self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    self._ask(job | {'threads': len(os.sched_getaffinity(0))})

  def run(self, save: str | None = None) -> dict:
    return self._ask({'save': save})

  def _ask(self, line: dict) -> dict:
    self._process.stdin.write(json.dumps(line) + '\n')
    self._process.stdin.flush()
    answer = self._process.stdout.readline()
    if not answer:
      sys.exit(f'{" ".join(self._process.args)} ended with exit code {self._process.wait()}')
    return json.loads(answer)

  def close(self):
    self._process.stdin.close()
    self._process.wait()


def settings(network: str, small: bool) -> dict:
  """The fields of the network's config."""
  from dubber_jax.authentic_dubber.config import PublishedConfig
  from dubber_jax.vocoder.bigvgan import PUBLISHED

  full, cut = (PublishedConfig(), SMALL) if network == 'published' else (PUBLISHED[VOCODER], SMALL_VOCODER)
  return dataclasses.asdict(full) | (cut if small else {})


def make_config(network: str, fields: dict):
  from dubber_jax.authentic_dubber.config import PublishedConfig
  from dubber_jax.vocoder.neural import read_config

  return PublishedConfig(**fields) if network == 'published' else read_config('bigvgan', fields, 'the benchmark')


def example(network: str, items: int, small: bool) -> dict:
  """Batch of random features, every item of full length."""
  rng = np.random.default_rng(0)

  def normal(*shape):
    return rng.normal(0, 1, (items, *shape)).astype(np.float32)

  if network == 'bigvgan':
    return {'mel': normal(8 if small else SECOND, 80) - 5}
  durations = np.full((items, PHONEMES), FRAMES // PHONEMES, np.int32)
  durations[:, : FRAMES % PHONEMES] += 1
  full = {'phoneme_length': PHONEMES, 'lip_length': LIPS, 'reference_length': FRAMES, 'mel_length': FRAMES}
  return {
    'phonemes': rng.integers(1, 88, (items, PHONEMES), np.int32),
    'durations': durations,
    'emotion': rng.integers(0, 8, items, np.int32),
    'lips': normal(LIPS, 512),
    'reference': normal(FRAMES, 80) - 5,
    'mel': normal(FRAMES, 80) - 5,
    'speaker': np.abs(normal(256)) / 16,
    'sounds': normal(3, EXEMPLARS, 1024),
    'scene': normal(1024),
    'face': normal(1024),
    'text': normal(2048),
    'scene_refs': normal(EXEMPLARS, 1024),
    'face_refs': normal(EXEMPLARS, 1024),
    'text_refs': normal(EXEMPLARS, 2048),
  } | {name: np.full(items, length, np.int32) for name, length in full.items()}


def build(network: str, fields: dict):
  """-> (infer(variables, batch) -> array, fresh variables)."""
  import jax

  config = make_config(network, fields)
  if network == 'published':
    from dubber_jax.authentic_dubber.model import initialize, synthesize

    return lambda variables, batch: synthesize(config, variables, batch)['finished'], initialize(config, 0)
  from dubber_jax.vocoder.bigvgan import BigVGAN

  module = BigVGAN(config)
  shapes = jax.eval_shape(lambda m: module.init(jax.random.key(0), m), np.zeros((1, 8, config.num_mels), np.float32))
  rng = np.random.default_rng(0)

  def draw(shape):
    return jax.numpy.asarray(rng.normal(0, np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.1, shape), np.float32)

  variables = jax.tree.map(lambda s: draw(s.shape), shapes)
  apply = jax.jit(module.apply)
  return lambda variables, batch: apply(variables, batch['mel']), variables


def work():
  """One case of ours: the job on the first line of stdin, then runs it for every further line; answers in JSON."""
  job = json.loads(sys.stdin.readline())
  import jax

  jax.config.update('jax_compilation_cache_dir', job['cache'])
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  batch = dict(np.load(job['batch']))
  if job['mode'] == 'train':
    run = training(job['config'], batch)
  else:
    infer, variables = build(job['network'], job['config'])
    variables = jax.device_put(variables)

    def run():
      return infer(variables, batch)

  print(json.dumps({'ready': True}), flush=True)
  for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(run())
    answer = {'seconds': time.perf_counter() - began, 'processor': time.process_time() - used}
    if path := json.loads(line)['save']:
      np.save(path, np.asarray(result))
    print(json.dumps(answer | {'peak_gib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}), flush=True)


def training(fields: dict, batch: dict, precision: str = 'float32'):
  """-> a function that does one published update of all weights, dropout, batch norm and both Adams included."""
  import jax
  import optax

  from dubber_jax.authentic_dubber.config import PublishedConfig
  from dubber_jax.authentic_dubber.losses import published_task
  from dubber_jax.config import Config, PublishedTask
  from dubber_jax.training.config import TrainConfig

  config = Config(task=PublishedTask(published=PublishedConfig(**fields)), train=TrainConfig(precision=precision))
  task = published_task(config)
  optimizer = task.optimizer()

  def create(key):
    params, collections = task.init(key, batch)
    return params, collections, optimizer.init(params)

  def update(state, batch, key):
    params, collections, inner = state
    gradients, (losses, collections) = jax.grad(task.loss, has_aux=True)(params, collections, batch, key)
    updates, inner = optimizer.update(gradients, inner, params)
    return (optax.apply_updates(params, updates), collections, inner), losses['total']

  state, number = jax.jit(create)(jax.random.key(0)), 0
  step = jax.jit(update, donate_argnums=0)

  def run():
    nonlocal state, number
    number += 1
    state, loss = step(state, batch, jax.random.key(number))
    return state, loss

  return run


def measure_gpu():
  """Items a second of training in both precisions, and the share of the matrix units' peak, on the GPU at hand."""
  import jax

  if jax.default_backend() != 'gpu':
    sys.exit(f'the devices here are {jax.devices()}; --gpu needs a GPU and a jaxlib for it')
  print(f'{jax.devices()[0].device_kind}\n\n| batch | float32, items/s | bfloat16, items/s | TFLOP/s in bfloat16 |')
  print('|---|---|---|---|')
  fields = settings('published', False)
  for items in (32, 64, 128):
    rates = {}
    for precision in ('float32', 'bfloat16'):
      run = training(fields, example('published', items, False), precision)
      jax.block_until_ready(run())
      began = time.perf_counter()
      for _ in range(20):
        result = run()
      jax.block_until_ready(result)
      rates[precision] = 20 * items / (time.perf_counter() - began)
    tera = 3 * flops_of_an_item(fields) * rates['bfloat16'] / 1e12  # backward takes twice as many as forward
    print(f'| {items} | {rates["float32"]:.1f} | {rates["bfloat16"]:.1f} | {tera:.1f} |', flush=True)


def flops_of_an_item(fields: dict) -> float:
  """Multiplications and additions of the matrix products in a forward pass of the four deep stacks."""

  def block(length, width):
    projections = 4 * width * width + 10 * width * fields['filter']  # a kernel of 9 up, of 1 down
    return 2 * length * (projections + 2 * length * width)

  width, cross = fields['width'], fields['cross_width']
  across = 2 * PHONEMES * 10 * cross**2 + 2 * (FRAMES // 16) * 2 * cross**2
  return (
    fields['text_layers'] * block(PHONEMES, width)
    + fields['lip_layers'] * block(LIPS, 512)
    + fields['decoder_layers'] * block(FRAMES, width)
    + fields['cross_layers'] * across
  )


if __name__ == '__main__':
  main()
