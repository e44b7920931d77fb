import dataclasses
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

# A cache of features for all processes of a run, empty at its start, so that the user's own is left alone. What XLA has
# compiled is kept between runs, in .pytest_cache: it is found by its program. Set before jax reads the environment;
# workers inherit it.
if 'PYTEST_XDIST_WORKER' not in os.environ:
  compiled = Path(__file__).resolve().parents[1] / '.pytest_cache' / 'xla'
  compiled.mkdir(parents=True, exist_ok=True)
  os.environ['DUBBER_CACHE'] = tempfile.mkdtemp(prefix='dubber-tests-')
  os.symlink(compiled, os.path.join(os.environ['DUBBER_CACHE'], 'xla'))  # where the command line looks for it
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(compiled)
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'
  os.environ['DUBBER_KEEP_PROGRAMS'] = '0'  # tests change networks under the programs' names

import jax
import numpy as np
import pytest

from dubber_jax.config import ActorTask, Config
from dubber_jax.data.config import DataConfig
from dubber_jax.inference.batch import Shape, empty_batch
from dubber_jax.inference.model_directory import ModelContents, load, write_model_directory
from dubber_jax.model import DirectorActor
from dubber_jax.types import Voice

sys.path.insert(0, os.path.dirname(__file__))  # small_configs.py, synthetic.py, packed_set.py
from small_configs import SMALL_ACTOR, SMALL_DIRECTOR  # noqa: E402

TINY = Config(
  task=ActorTask(
    actor=dataclasses.replace(SMALL_ACTOR, decoder_layers=2, noise_width=4, directed=True),
    director=SMALL_DIRECTOR,
    data=DataConfig(buckets=(128,)),
  ),
)


# The longest files, by the start of their paths below tests/: they come first, so that both processes end together.
LONGEST = (
  'authentic_dubber/test_model.py',
  'training/tasks/',
  'test_model.py',
  'training/',
  'export/',
  'inference/',
  'data_pipelines/',
  'end_to_end/',
  'experiments/',
  'dubbing/',
  'evaluation/benchmark/',
  'vocoder/',
  'convert/',
  'critic/',
)


def pytest_unconfigure():
  if 'PYTEST_XDIST_WORKER' not in os.environ:
    shutil.rmtree(os.environ['DUBBER_CACHE'], ignore_errors=True)


def pytest_collection_modifyitems(items):
  def rank(item):
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((i for i, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))

  items.sort(key=rank)


@pytest.fixture(scope='session')
def data_dir() -> Path:
  """The real speech and film data, or a skip that says how to get it."""
  path = Path(os.environ.get('DUBBER_DATA', Path(__file__).parents[1] / '..' / 'shared' / 'data')).resolve()
  if not (path / 'grid.jsonl').exists():
    pytest.skip(f'no data at {path}: set DUBBER_DATA to the folder that holds grid.jsonl')
  return path


@pytest.fixture(scope='module')
def browser():
  """Chromium, without a window; where playwright or it is missing, a skip that says how to get it."""
  playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: make test installs it')
  program = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
  if not program:
    pytest.skip('no Chromium here: apt-get install chromium')
  arguments = ['--no-sandbox', '--mute-audio', '--use-fake-device-for-media-stream']
  with playwright.sync_playwright() as drive:
    browser = drive.chromium.launch(executable_path=program, args=arguments)
    yield browser
    browser.close()


def random_params(config, seed=0):
  """Weights drawn without compiling anything."""
  batch = empty_batch(config, Shape(1, 16, 8, 8, 16))
  shapes = jax.eval_shape(lambda: DirectorActor(config).init({'params': jax.random.key(0)}, batch)['params'])
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes)


@pytest.fixture(scope='session')
def apply_drawn():
  """A function (module, *inputs, **settings) -> outputs, with variables drawn by NumPy from a fixed seed.

  The forward pass is jitted; initializers, which take longer to compile, do not run.
  """

  def run(module, fixed, variables, inputs, arrays):
    return module.apply(variables, *inputs, **arrays, **dict(fixed))

  jitted = jax.jit(run, static_argnums=(0, 1))

  def apply(module, *inputs, **settings):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **settings))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: rng.normal(0, 0.3, s.shape).astype(np.float32), shapes)
    arrays = {name: value for name, value in settings.items() if isinstance(value, np.ndarray)}
    fixed = tuple((name, value) for name, value in settings.items() if name not in arrays)
    return jax.device_get(jitted(module, fixed, variables, inputs, arrays))

  return apply


@pytest.fixture(scope='session')
def model(tmp_path_factory):
  """A tiny model directory, opened."""
  rng = np.random.default_rng(1)
  mel = rng.normal(-5, 2, (120, 80)).astype(np.float16).astype(np.float32)
  voice = Voice(rng.normal(0, 0.06, 256).astype(np.float32), mel, 'ada')
  folder = tmp_path_factory.mktemp('model') / 'tiny'
  vocoder = tmp_path_factory.mktemp('vocoder')
  (vocoder / 'config.json').write_text(json.dumps({'name': 'griffin-lim', 'iterations': 2}))
  write_model_directory(folder, ModelContents(TINY, random_params(TINY), {'ada': voice}, 'A card.\n', vocoder))
  return load(folder)
