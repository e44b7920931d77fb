import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meshes import UNOPTIMIZED

from dubber_jax.config import Config, VocoderTask
from dubber_jax.data.packed import quantize, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import filterbank, frame, mel_numpy, mel_of_frames
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.step import make_step, new_state
from dubber_jax.training.tasks.vocoder import VocoderBatches, below_8_khz, fill_pitch, is_narrow, vocoder_task
from dubber_jax.vocoder.config import VocoderConfig
from dubber_jax.vocoder.losses import energy_distance

CONFIG = Config(
  name='small',
  task=VocoderTask(
    vocoder=VocoderConfig(width=16, layers=1, items=4, frames=24, heard=16),
  ),
  train=TrainConfig(steps=30, learning_rate=2e-3, warmup_steps=2, decay_steps=1, clip_norm=10.0),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Four made-up recordings of 60 frames, packed, with their sound."""
  folder = tmp_path_factory.mktemp('packed') / 'made'
  rng = np.random.default_rng(0)
  rows, waves = [], []
  for i in range(4):
    time = np.arange(60 * 256) / 22050
    pitch = 110 * 2 ** (i / 4)
    wave = sum(np.cos(2 * np.pi * pitch * k * time + k) / k for k in range(1, 20)) * 0.1
    wave = (wave + 0.01 * rng.standard_normal(len(time))).astype(np.float32)
    waves.append(wave)
    features = {
      'mel': quantize(mel_numpy(wave)),
      'pitch': np.full(60, pitch),
      'phonemes': np.array([5]),
      'durations': np.array([60]),
      'lips': np.zeros((0, 82)),
      'lip_present': np.zeros(0, bool),
      'speaker': np.ones(256),
    }
    row = {'key': f'made/{i}', 'set': 'made', 'speaker': 'a', 'text': '', 'emotion': 'neutral', 'split': 'train'}
    rows.append((row, features))
  write_packed(folder, rows)
  np.save(folder / 'waves.npy', np.rint(np.concatenate(waves) * 16384).astype(np.int16))
  return folder


def test_pieces_carry_their_own_pitch_and_sound(folder):
  batch = VocoderBatches(CONFIG, [folder])[3]
  assert batch['wave'].shape == (4, 24 * 256 + 768)
  for wave, pitch in zip(batch['wave'], batch['pitch'], strict=True):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    assert abs(np.argmax(spectrum) * 22050 / len(wave) - pitch[0]) < 5


def test_hosts_share_a_batch_out(folder):
  whole = VocoderBatches(CONFIG, [folder])[5]['wave']
  parts = [VocoderBatches(CONFIG, [folder], host=(i, 2))[5]['wave'] for i in range(2)]
  np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_packed_features_without_sound_are_refused(folder, tmp_path):
  for path in folder.iterdir():
    if path.name != 'waves.npy':
      (tmp_path / path.name).write_bytes(path.read_bytes())
  with pytest.raises(BadInput, match=r'waves\.npy is missing'):
    VocoderBatches(CONFIG, [tmp_path])


def test_teacher_forced_mel_goes_with_the_sound_at_its_level(folder, tmp_path):
  for path in folder.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  np.save(tmp_path / 'gta.npy', np.load(folder / 'mel.npy'))  # an actor who says it as it was said
  config = CONFIG.with_task(vocoder=dataclasses.replace(CONFIG.task.vocoder, gta=1.0))
  batch = VocoderBatches(config, [tmp_path])[3]
  heard = mel_of_frames(frame(jnp.asarray(batch['wave']), CONFIG.task.vocoder.frames), filterbank())
  assert np.abs(heard - batch['mel']).mean() < 0.05


def test_gaps_in_pitch_are_bridged():
  np.testing.assert_allclose(fill_pitch(np.array([0, 100, 0, 0, 160, 0], np.float32)), [100, 100, 120, 140, 160, 160])
  assert (fill_pitch(np.zeros(3, np.float32)) == 150).all()


def train_steps(config, folder, count):
  """-> (parameters before, state after, metrics of each step)."""
  batches, task = VocoderBatches(config, [folder]), vocoder_task(config)
  state = jax.jit(partial(new_state, task), compiler_options=UNOPTIMIZED)(batches[0], jax.random.key(0))
  before = jax.tree.map(np.array, state.params)
  step = jax.jit(make_step(config, task), compiler_options=UNOPTIMIZED)
  rows = []
  for i in range(count):
    state, metrics = step(state, batches[i])
    rows.append({k: float(v) for k, v in metrics.items()})
  return before, state, rows


def largest_change(before, after):
  return jax.tree.map(lambda a, b: float(np.abs(a - np.array(b)).max()), before, after)


@pytest.mark.slow
def test_training_brings_the_sound_nearer_and_moves_generator_and_discriminators(folder):
  before, state, rows = train_steps(CONFIG, folder, 12)
  assert np.mean([r['mel'] for r in rows[-3:]]) < np.mean([r['mel'] for r in rows[:3]]), json.dumps(rows[-1])
  moved = largest_change(before, state.params)
  assert max(jax.tree.leaves(moved['generator'])) > 1e-3
  assert max(jax.tree.leaves(moved['discriminators'])) > 1e-3


@pytest.mark.slow
def test_a_generator_with_projections_learns_by_the_energy_distance_without_discriminators(folder):
  settings = {'window': 512, 'modulated': True, 'projections': 1}
  vocoder = dataclasses.replace(CONFIG.task.vocoder, adversarial=False, energy_distance=True, **settings)
  before, state, rows = train_steps(CONFIG.with_task(vocoder=vocoder), folder, 12)
  assert set(before) == {'generator'}
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params)) and rows[-1]['skipped'] == 0
  assert max(jax.tree.leaves(largest_change(before, state.params)['generator']['shape'])) > 1e-3
  assert np.mean([r['mel'] for r in rows[-3:]]) < np.mean([r['mel'] for r in rows[:3]]), json.dumps(rows[-1])


def test_energy_distance_is_least_for_noise_of_the_right_level():
  rng = np.random.default_rng(0)
  recorded, one, other = (jnp.asarray(rng.standard_normal((2, 8192)) * 0.1, jnp.float32) for _ in range(3))
  found = [float(energy_distance(one * gain, other * gain, recorded)) for gain in (0.5, 0.8, 1.0, 1.25, 2.0)]
  assert np.argmin(found) == 2, found


def test_a_recording_of_16_khz_is_known_by_what_it_lacks():
  noise = np.random.default_rng(0).standard_normal(12288).astype(np.float32)
  assert not is_narrow(noise)
  assert is_narrow(np.asarray(below_8_khz(jnp.asarray(noise[None]))[0]))
