import contextlib
import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from dubber_jax.cli.main import main
from dubber_jax.errors import BadInput
from dubber_jax.export.triton import NAME, configuration, to_text, write_repository
from dubber_jax.storage.checked_folder import write_manifest

PHONEMES = ('W', 'IY1', 'N', 'EH1', 'V', 'ER0', 'AE1', 'S', 'K', 'T', '.')


@pytest.fixture(scope='module')
def model_config():
  """The protobuf message of Triton's own client, read without what else it needs."""
  folder = importlib.util.find_spec('tritonclient').submodule_search_locations[0]
  spec = importlib.util.spec_from_file_location('model_config_pb2', Path(folder) / 'grpc' / 'model_config_pb2.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.ModelConfig


INPUTS = {
  'phonemes': ('int32', [32], ''),
  'slot': ('int32', [], ''),
  'language': ('int32', [], ''),
  'controls': ('float32', [3], ''),
  'speaker': ('float32', [256], ''),
  'reference': ('float32', [256, 80], ''),
  'reference_mask': ('bool', [256], 'reference'),
  'present': ('bool', [3], ''),
}
OUTPUTS = {'mel': [128, 80], 'durations': [32], 'pitch': [128], 'emotion': [8]}
LOADER = """
import json
from pathlib import Path
import numpy as np

class Artifact:
  def __init__(self, path):
    self.facts = json.loads((Path(path) / 'programs.json').read_text())
    self.voices = {'ada': {'speaker': np.ones(256, 'f4')}, 'ben': {'speaker': np.zeros(256, 'f4')}}
    self.batches = []

  def synthesize(self, lines):
    self.batches.append(len(lines))
    if any(line['slot'] > 128 for line in lines):
      raise ValueError('exported for shorter lines than these')
    if any(not isinstance(p, int) and p not in self.facts['symbols'] for line in lines for p in line['phonemes']):
      raise ValueError('unknown phoneme')
    return [{'mel': np.full((line['slot'], 80), line['speaker'][0] + line.get('controls', [0])[0], 'f4'),
             'durations': np.full(len(line['phonemes']), 4, 'i4'), 'pitch': np.full(line['slot'], 100, 'f4'),
             'emotion': np.ones(8, 'f4')} for line in lines]

  def vocode(self, mels, seed=0):
    return [np.full(len(mel) * 256, mel[0, 0] + seed, 'f4') for mel in mels]
"""


@pytest.fixture(scope='module')
def light(tmp_path_factory):
  """A folder in the form of an artifact, whose loader answers at once: speaker + pitch shift as mel, + seed as wave."""
  folder = tmp_path_factory.mktemp('artifact') / 'light'
  folder.mkdir()
  programs = {
    'synthesize_128': {
      'inputs': {k: {'dtype': d, 'shape': s, 'marks': m} for k, (d, s, m) in INPUTS.items()},
      'outputs': {k: {'dtype': 'int32' if k == 'durations' else 'float32', 'shape': s} for k, s in OUTPUTS.items()},
    },
    'vocode_128': {'inputs': {}, 'outputs': {'wave': {'dtype': 'float32', 'shape': [128 * 256]}}},
  }
  bucket = {'items': 1, 'frames': 128, 'phonemes': 32, 'lips': 39, 'reference': 256}
  facts = {'format': 2, 'buckets': [bucket], 'sample_rate': 22050, 'hop': 256, 'frame_rate': 86.1, 'programs': programs}
  (folder / 'programs.json').write_text(json.dumps(facts | {'symbols': ['_', *PHONEMES]}))
  (folder / 'serve.py').write_text(LOADER)
  write_manifest(folder)
  return folder


@pytest.fixture(scope='module')
def repository(light, tmp_path_factory):
  folder = tmp_path_factory.mktemp('triton') / 'models'
  write_repository(light, folder)
  return folder


class Tensor:
  def __init__(self, name, array):
    self._name, self._array = name, array

  def name(self):
    return self._name

  def as_numpy(self):
    return self._array


class Request:
  """A request as Triton's Python backend gives it: tensors with a batch axis."""

  def __init__(self, **arrays):
    self._arrays = arrays

  def inputs(self):
    return [Tensor(name, array) for name, array in self._arrays.items()]


@contextlib.contextmanager
def opened(repository):
  """model.py of a repository, initialized, with a stand-in of the module that Triton puts beside it."""
  utils = types.ModuleType('triton_python_backend_utils')
  utils.Tensor, utils.TritonError = Tensor, ValueError
  utils.InferenceResponse = lambda output_tensors, error=None: types.SimpleNamespace(
    error=error, **{tensor.name(): tensor.as_numpy() for tensor in output_tensors}
  )
  path, others = sys.path[:], {**sys.modules}
  sys.modules['triton_python_backend_utils'] = utils
  sys.modules.pop('serve', None)
  try:
    spec = importlib.util.spec_from_file_location('triton_model_under_test', repository / NAME / '1' / 'model.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({})
    yield model
  finally:
    sys.path[:] = path
    for name in ('serve', 'triton_python_backend_utils'):
      sys.modules.pop(name, None)
      if name in others:
        sys.modules[name] = others[name]


@pytest.fixture(scope='module')
def backend(repository):
  with opened(repository) as model:
    yield model


def texts(*values):
  return np.array([[value.encode() for value in values]], object)


def line(slot=60, **arrays):
  return Request(phonemes=texts(*PHONEMES), slot=np.array([[slot]], np.int32), **arrays)


def check_configuration(repository, facts, model_config):
  config = text_format.Parse((repository / NAME / 'config.pbtxt').read_text(), model_config())
  assert (config.name, config.backend, config.max_batch_size) == (NAME, 'python', 8)
  program = facts['programs'][f'synthesize_{facts["buckets"][-1]["frames"]}']
  tensors = {tensor.name: tensor for tensor in config.input}
  unmasked = {name for name, spec in program['inputs'].items() if not spec['marks']}
  assert set(tensors) == unmasked | {'voice', 'seed'}
  assert {name for name, tensor in tensors.items() if not tensor.optional} == {'phonemes', 'slot'}
  assert list(tensors['reference'].dims) == [-1, 80] and list(tensors['controls'].dims) == [3]
  scalars = [name for name, spec in program['inputs'].items() if not spec['shape']]
  assert scalars and all(list(tensors[name].dims) == [1] for name in scalars)
  outputs = {tensor.name: list(tensor.dims) for tensor in config.output}
  assert outputs == {'wave': [-1], 'mel': [-1, 80], 'durations': [-1], 'pitch': [-1], 'emotion': [8]}
  assert {p: v.string_value for p, v in config.parameters.items()}['sample_rate'] == '22050'
  assert config.instance_group[0].kind == config.instance_group[0].KIND_CPU


def test_configuration_is_a_model_config_with_the_programs_inputs(repository, light, model_config):
  check_configuration(repository, json.loads((light / 'programs.json').read_text()), model_config)


def test_a_field_that_the_format_does_not_have_is_refused(light, model_config):
  config = configuration(json.loads((light / 'programs.json').read_text()))
  with pytest.raises(text_format.ParseError):
    text_format.Parse(to_text(config | {'batching': 3}), model_config())


def test_backend_answers_a_batch_of_lines_of_several_lengths_each_with_its_take(backend):
  before = len(backend.artifact.batches)
  short, long, shifted = backend.execute(
    [line(60), line(90, voice=texts('ben')), line(30, controls=np.array([[3, 1, 0]], np.float32))]
  )
  assert backend.artifact.batches[before:] == [4]  # one call, filled up to a power of two
  assert (short.mel.shape, short.wave.shape) == ((1, 60, 80), (1, 60 * 256))
  assert (long.mel.shape, long.wave.shape) == ((1, 90, 80), (1, 90 * 256))
  assert [float(r.wave[0, 0]) for r in (short, long, shifted)] == [1, 0, 4]


def test_backend_refuses_the_faulty_request_alone(backend):
  answers = backend.execute(
    [
      line(60),
      line(60, voice=texts('nobody')),
      line(10_000),
      Request(phonemes=texts('QQ'), slot=np.array([[60]], np.int32)),
      Request(phonemes=texts(), slot=np.array([[60]], np.int32)),
    ]
  )
  assert answers[0].error is None and answers[0].wave.shape == (1, 60 * 256)
  told = [str(answer.error) for answer in answers[1:]]
  wanted = ('nobody', 'shorter lines', 'unknown phoneme', 'needs phonemes')
  assert all(word in error for word, error in zip(wanted, told, strict=True)), told


def test_rows_of_a_request_have_seeds_of_their_own_and_are_padded_to_the_longest(backend):
  both = Request(
    phonemes=np.array([[p.encode() for p in PHONEMES]] * 2, object),
    slot=np.array([[60], [80]], np.int32),
    seed=np.array([[1], [2]], np.int32),
  )
  (answer,) = backend.execute([both])
  assert answer.error is None and answer.mel.shape == (2, 80, 80) and not answer.mel[0, 60:].any()
  assert answer.wave[:, 0].tolist() == [2, 3]


@pytest.mark.slow
def test_backend_gives_the_takes_of_the_artifact_itself(artifact, tmp_path, model_config):
  write_repository(artifact, tmp_path / 'models')
  check_configuration(tmp_path / 'models', json.loads((artifact / 'programs.json').read_text()), model_config)
  with opened(tmp_path / 'models') as model:
    short, long = model.execute([line(60), line(90, voice=texts('ada'))])
    given = {'phonemes': list(PHONEMES), 'slot': 90, **model.artifact.voices['ada']}
    (take,) = model.artifact.synthesize([given])
  assert short.error is None and short.wave.shape == (1, 60 * 256)
  np.testing.assert_allclose(long.mel[0], take['mel'], rtol=1e-4, atol=1e-4)
  assert long.durations.sum() == 90 and np.abs(long.wave).max() > 1e-4


def test_command_makes_a_repository_of_an_artifact_once(light, tmp_path, capsys):
  command = ['export', str(light), '--triton', str(tmp_path / 'models')]
  assert main(command) == 0
  assert (tmp_path / 'models' / NAME / '1' / 'artifact' / 'serve.py').is_file()
  assert main(command) == 2 and main([*command, '--overwrite']) == 0
  assert main(['export', str(light)]) == 2
  assert '-o FOLDER' in capsys.readouterr().err


def test_what_is_no_whole_artifact_is_refused(light, tmp_path):
  (tmp_path / 'model').mkdir()
  with pytest.raises(BadInput, match='not an artifact'):
    write_repository(tmp_path / 'model', tmp_path / 'models')
  shutil.copytree(light, tmp_path / 'changed')
  (tmp_path / 'changed' / 'serve.py').write_text('')
  with pytest.raises(BadInput, match='serve.py'):
    write_repository(tmp_path / 'changed', tmp_path / 'models')
  assert not (tmp_path / 'models').exists()
