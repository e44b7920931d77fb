import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.config import Config, SeparatorTask, from_json
from dubber_jax.errors import BadInput
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.separation.network import BINS, FEATURES, HOP, MaskNetwork, averaging, expanding, features, stft
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.loop import train
from dubber_jax.training.tasks.separator import SeparatorBatches, separation_losses, separator_task

TINY = SeparatorConfig(local=2, paired=1, spread=1, width=4, hidden=4, dilations=(1,), items=2, frames=12)
CONFIG = Config(
  name='separator',
  task=SeparatorTask(separator=TINY),
  train=TrainConfig(steps=30, learning_rate=3e-2, warmup_steps=3, decay_steps=5, clip_norm=5.0, log_every=10),
)


class Tones:
  """Dialogue above 3 kHz over a background below."""

  def mixture(self, rng, length):
    time = np.arange(length) / 48000
    low, high = rng.uniform(100, 1500), rng.uniform(3000, 6000)
    return [(0.1 * np.sin(2 * np.pi * hertz * time)).astype(np.float32) for hertz in (high, low)]


def test_bands_cover_the_bins_and_come_back():
  flat = np.full((1, BINS), 3.0, np.float32)
  np.testing.assert_allclose(flat @ averaging(), 3.0, rtol=1e-5)
  np.testing.assert_allclose(np.full((1, FEATURES), 0.5, np.float32) @ expanding(), 0.5, rtol=1e-5)


def test_features_do_not_change_with_the_level():
  power = jnp.asarray(np.random.default_rng(0).gamma(1.0, 1e4, (1, 20, FEATURES)), jnp.float32)
  np.testing.assert_allclose(features(power), features(0.01 * power), atol=1e-3)
  assert np.isfinite(features(jnp.zeros((1, 3, FEATURES)))).all()


def test_a_frame_sees_no_further_than_the_context():
  network = MaskNetwork(SeparatorConfig(local=2, paired=1, spread=1, width=4, hidden=4))
  power = np.random.default_rng(0).gamma(1.0, 1e4, (1, 340, FEATURES)).astype(np.float32)
  shapes = jax.eval_shape(network.init, jax.random.key(0), power)
  rng = np.random.default_rng(1)
  params = jax.tree.map(lambda s: 0.3 * rng.standard_normal(s.shape, np.float32), shapes)
  masked = jax.jit(network.apply)
  changed = power.copy()
  changed[:, 330:] *= 50
  masks = [np.asarray(masked(params, p)) for p in (power, changed)]
  np.testing.assert_allclose(masks[0][:, :170], masks[1][:, :170], atol=1e-5)
  assert np.abs(masks[0][:, 320] - masks[1][:, 320]).max() > 1e-4


def spectra(seed=0):
  rng = np.random.default_rng(seed)
  return [stft(jnp.asarray(rng.standard_normal((2, 13 * HOP)), jnp.float32)) for _ in range(2)]


def test_losses_of_known_masks():
  dialogue, bed = spectra()
  kept = separation_losses(jnp.ones((2, 12, FEATURES)), dialogue, bed)
  assert kept['residual'] == pytest.approx(0, abs=0.05) and kept['preserved'] == pytest.approx(-30, abs=0.1)
  assert kept['waveform'] == pytest.approx(-3, abs=0.2)  # the dialogue, half of the mixture
  removed = separation_losses(jnp.zeros((2, 12, FEATURES)), dialogue, bed)
  assert removed['residual'] == pytest.approx(-30, abs=0.1) and removed['preserved'] == pytest.approx(0, abs=0.05)


def test_absent_parts_count_for_nothing():
  _, bed = spectra()
  losses = separation_losses(jnp.ones((2, 12, FEATURES)), jnp.zeros_like(bed), bed)
  assert losses['residual'] == 0 and losses['waveform'] == pytest.approx(-40, abs=0.1)
  gradient = jax.jit(jax.grad(lambda m: sum(separation_losses(m, bed * 0, bed * 0).values())))(
    jnp.full((2, 12, FEATURES), 0.5)
  )
  assert np.isfinite(gradient).all()


def test_batches_do_not_depend_on_what_was_read_before():
  batches = SeparatorBatches(CONFIG, Tones())
  np.testing.assert_array_equal(batches[5]['bed'], SeparatorBatches(CONFIG, Tones())[5]['bed'])
  halves = [SeparatorBatches(CONFIG, Tones(), (i, 2))[5]['bed'] for i in range(2)]
  np.testing.assert_array_equal(np.concatenate(halves), batches[5]['bed'])
  with pytest.raises(BadInput, match='3 hosts cannot share'):
    SeparatorBatches(CONFIG, Tones(), (0, 3))[0]


def test_a_config_survives_json():
  assert from_json(CONFIG.to_json()) == CONFIG


@pytest.mark.slow
def test_training_learns_to_tell_the_parts_and_resumes(tmp_path):
  task = separator_task(CONFIG, Tones())
  batches = SeparatorBatches(CONFIG, Tones())
  short = CONFIG.replace(train=TrainConfig(**{**vars(CONFIG.train), 'stop': 15}))
  train(short, task, batches, tmp_path, progress=False)
  state = train(CONFIG, task, batches, tmp_path, progress=False)
  assert int(state.step) == 30
  first, last = (
    task.loss(p, batches[999], None)[1]['waveform'] for p in (task.init(jax.random.key(0), {}), state.params)
  )
  assert last < first - 3
