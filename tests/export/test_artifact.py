import importlib.util
import json
import shutil
import sys

import jax
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.export import export, load
from dubber_jax.inference.synthesis import LineInputs, synthesize, vocode
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.types import MODALITIES, Direction, Exemplars, MouthTrack, Reading
from dubber_jax.vocoder.inputs import draw

PHONEMES = phonemize('We never asked.')


def scene(config):
  """A reading, exemplars and a mouth of random numbers."""
  f, k, rng = config.task.features, config.task.director.exemplars, np.random.default_rng(2)

  def normal(*shape):
    return rng.normal(0, 1, shape).astype(np.float32)

  widths = dict(zip(MODALITIES, (f.scene_width, f.face_width, f.text_width), strict=True))
  reading = Reading(*(normal(w) for w in widths.values()), present=np.ones(3, bool))
  exemplars = Exemplars(
    {},
    {m: normal(k, w) for m, w in widths.items()},
    normal(3, k, f.sound_width),
    np.ones((3, k), bool),
    np.ones((3, k), bool),
  )
  opening = np.abs(np.sin(np.arange(25, dtype=np.float32)))
  track = MouthTrack(normal(25, f.lip_width), opening, np.ones(25, bool), np.zeros((25, 4), np.float32))
  return reading, exemplars, track


def test_takes_and_sound_of_the_artifact_are_the_models(model, artifact):
  opened = load(artifact)
  direction = Direction(pitch_shift=1.0, pitch_range=1.2, loudness=3.0, pauses=((0, 0.1),))
  reading, exemplars, track = scene(model.config)
  ours, theirs = (
    synthesize(m, LineInputs(PHONEMES, m.voices['ada'], 1.0, reading, exemplars, track), direction)
    for m in (model, opened)
  )
  np.testing.assert_array_equal(theirs.durations, ours.durations)
  for name in ('mel', 'pitch', 'emotion'):
    np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-5, atol=1e-5, err_msg=name)
  waves = [vocode(m, ours, seed=3).waveform for m in (model, opened)]
  np.testing.assert_allclose(*waves, rtol=1e-5, atol=1e-5)
  assert np.abs(waves[0]).max() > 1e-3


def test_takes_of_two_seeds_differ_and_of_one_do_not(model):
  takes = [synthesize(model, LineInputs(PHONEMES, model.voices['ada'], 1.0), seed=seed).mel for seed in (1, 1, 2)]
  np.testing.assert_array_equal(takes[0], takes[1])
  assert np.abs(takes[0] - takes[2]).max() > 1e-3


def standalone(artifact):
  spec = importlib.util.spec_from_file_location('serve', artifact / 'serve.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.Artifact(artifact)


def test_standalone_loader_gives_the_models_takes_of_a_batch(model, artifact):
  voice = standalone(artifact)
  slots, ids = (60, 90), encode(PHONEMES.symbols)
  reading, _, track = scene(model.config)
  seen = {'lips': track.lips, 'scene': reading.scene, 'present': [True, False, False]}
  line = {'phonemes': PHONEMES.symbols, **voice.voices['ada']}
  takes = voice.synthesize([line | {'slot': slots[0]}, line | {'slot': slots[1]} | seen])
  waves = voice.vocode([take['mel'] for take in takes], seed=3)
  for take, wave, slot in zip(takes, waves, slots, strict=True):
    assert take['durations'].sum() == slot and len(take['mel']) == slot and len(wave) == slot * 256

  opened = load(artifact)
  shape = opened.shape(slots[1], len(ids))
  arrays = {k: np.zeros((1, *v.shape), v.dtype) for k, v in opened.programs.inputs('synthesize', shape.frames).items()}
  durations = np.zeros((1, shape.phonemes), np.int32)
  durations[0, : len(ids)] = takes[1]['durations']
  arrays['phonemes'][0, : len(ids)] = ids
  arrays['speaker'][0] = model.voices['ada'].embedding
  arrays['reference'][0, :120] = model.voices['ada'].reference_mel
  arrays['reference_mask'][0, :120] = arrays['lip_mask'][0, :25] = arrays['present'][0, 0] = True
  arrays['lips'][0, :25] = track.lips
  arrays['scene'][0] = reading.scene
  arrays['noise'][0] = draw(opened.programs.inputs('synthesize', shape.frames), seed=0)['noise']
  batch = {k: v for k, v in arrays.items() if k not in ('durations', 'slot', 'controls')}
  mel, pitch, emotion = model.synthesize(batch, durations, np.array([[0, 1, 0]], np.float32), shape.frames)
  np.testing.assert_allclose(takes[1]['mel'], mel[0, : slots[1]], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(takes[1]['emotion'], emotion[0], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(waves[1], opened.vocoder.vocode(takes[1]['mel'], seed=3), atol=1e-5)


def test_standalone_loader_is_small_and_needs_jax_and_numpy_alone(artifact):
  lines = (artifact / 'serve.py').read_text().splitlines()
  assert len(lines) <= 100
  imported = {line.split()[1].split('.')[0] for line in lines if line.startswith(('import ', 'from '))}
  assert imported - set(sys.stdlib_module_names) == {'jax', 'numpy'}


def test_programs_hold_no_weights_and_serve_every_platform(model, artifact):
  weights = sum(x.nbytes for x in jax.tree.leaves(model.params))
  for path in (artifact / 'programs').iterdir():
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    assert program.platforms == ('cpu', 'cuda', 'tpu')
    assert program.out_avals[0].shape[0] == program.in_avals[-1].shape[0], 'the batch size is not a symbol'
    assert not isinstance(program.out_avals[0].shape[0], int)
  read = (artifact / 'programs' / 'predict_durations_128.jaxexport').stat().st_size
  assert read < 300_000 < weights + 300_000


def refusal(folder, **options):
  with pytest.raises(BadInput) as error:
    load(folder, **options)
  assert '\n' not in str(error.value)
  return str(error.value)


@pytest.fixture
def copy(artifact, tmp_path):
  return shutil.copytree(artifact, tmp_path / 'copy')


def test_changed_file_is_named(copy):
  path = copy / 'programs' / 'predict_durations_128.jaxexport'
  path.write_bytes(path.read_bytes()[:-1] + b'!')
  assert 'predict_durations_128.jaxexport' in refusal(copy)
  with pytest.raises(ValueError, match='predict_durations_128'):
    standalone(copy)


def test_other_format_is_refused(copy, change_facts):
  assert '0.9' in refusal(change_facts(copy, format=99, dubber_jax='0.9'))
  with pytest.raises(ValueError, match='99'):
    standalone(copy)


def test_missing_platform_is_refused(copy, change_facts):
  assert 'tpu' in refusal(change_facts(copy, platforms=['tpu']))
  with pytest.raises(ValueError, match='tpu'):
    standalone(copy)


def test_program_that_this_jax_cannot_open_is_named(copy):
  (copy / 'programs' / 'vocode_128.jaxexport').write_bytes(b'of another age')
  with pytest.raises(BadInput, match='vocode_128'):
    load(copy, check=False).vocoder.vocode(np.zeros((20, 80), np.float32))


def test_folder_without_programs_is_no_artifact(model):
  assert 'dubber export' in refusal(model.path)


def test_line_too_long_for_every_bucket_is_refused(artifact):
  opened = load(artifact)
  with pytest.raises(BadInput, match='--buckets'):
    synthesize(opened, LineInputs(PHONEMES, opened.voices['ada'], 3.0))
  with pytest.raises(ValueError, match='shorter'):
    standalone(artifact).synthesize([{'phonemes': PHONEMES.symbols, 'slot': 300}])


def test_unknown_phoneme_is_named(artifact):
  with pytest.raises(ValueError, match='XX'):
    standalone(artifact).synthesize([{'phonemes': ['HH', 'XX'], 'slot': 30}])


@pytest.mark.parametrize('options, named', [({'buckets': [8]}, '8'), ({'platforms': ['abacus']}, 'abacus')])
def test_export_that_cannot_be_leaves_nothing(model, tmp_path, options, named):
  with pytest.raises(BadInput, match=named):
    export(model.path, tmp_path / 'out', **options)
  assert not list(tmp_path.iterdir())


def test_existing_folder_is_kept(model, tmp_path):
  (tmp_path / 'out').mkdir()
  with pytest.raises(BadInput, match='--overwrite'):
    export(model.path, tmp_path / 'out')


def test_artifact_is_a_model_directory_too(model, artifact):
  from dubber_jax.inference.model_directory import load as load_model

  again = load_model(artifact)
  jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
  assert again.config == model.config and list(again.voices) == ['ada']
  assert json.loads((artifact / 'vocoder' / 'config.json').read_text())['iterations'] == 2
