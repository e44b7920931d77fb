import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.separation import open_separator
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.separation.inference import (
  CHUNK,
  CONTEXT,
  HOP,
  LEAST_POWER,
  SHIPPED,
  TrainedSeparator,
  _filled,
  _Stream,
  load_separator,
  parameter_shapes,
  write_separator,
)
from dubber_jax.separation.network import BINS, WINDOW

TINY = SeparatorConfig(width=4, hidden=4, dilations=(1,))
RATE = 48000


def blocks_of(wave, size):
  return (wave[i : i + size] for i in range(0, len(wave), size))


def run(masks, wave, size=RATE, parts=0):
  stream = _Stream(masks, parts)
  return np.concatenate([*(y for b in blocks_of(wave, size) for y in stream.push(b)), *stream.finish()])


def noise(samples, channels, seed=0):
  return np.random.default_rng(seed).standard_normal((samples, channels)).astype(np.float32)


def all_kept(spectra):
  return np.ones(spectra.shape, np.float32)


def power_dependent(spectra):
  """A mask that depends on the frames around, as far as the context reaches."""
  level = np.square(np.abs(spectra)).mean(-1)
  around = np.stack([np.pad(level, ((CONTEXT, CONTEXT), (0, 0)), 'edge')[i : i + len(level)] for i in (40, 160, 320)])
  return np.broadcast_to((around.argmax(0) / 2)[..., None], spectra.shape).astype(np.float32)


@pytest.mark.parametrize('channels', [1, 2, 3, 6, 8])
@pytest.mark.parametrize('samples', [1, 1000, HOP, 20 * HOP, 1_000_003])
def test_a_mask_of_ones_leaves_the_sound_as_it_is(samples, channels):
  wave = noise(samples if channels < 3 else min(samples, 20 * HOP), channels)
  kept = run(all_kept, wave)
  assert kept.shape == wave.shape and kept.dtype == np.float32
  np.testing.assert_allclose(kept, wave, atol=1e-4)


def test_sound_without_blocks_stays_without():
  stream = _Stream(all_kept, 0)
  assert not [*stream.finish()]


def test_the_sound_does_not_depend_on_how_it_is_cut_into_blocks():
  wave = noise(1500 * HOP + 17, 1)
  wave *= np.linspace(0, 1, len(wave), dtype=np.float32)[:, None]
  once, pieces = run(power_dependent, wave, len(wave)), run(power_dependent, wave, 44444)
  np.testing.assert_allclose(once, pieces, atol=1e-6)


def test_chunks_see_what_lies_around_them():
  def seen_of(spectra):
    assert len(spectra) <= CHUNK + 2 * CONTEXT
    return power_dependent(spectra)

  wave = noise(1500 * HOP, 1) * np.sin(np.linspace(0, 40, 1500 * HOP, dtype=np.float32))[:, None]
  kept = run(seen_of, wave)
  # The mask of the whole sound at once, as it would be without chunks.
  padded = np.pad(wave[:, 0], (HOP, HOP)).reshape(-1, HOP)
  frames = np.concatenate([padded[:-1], padded[1:]], 1)
  window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW))
  spectra = np.fft.rfft(frames * window)
  out = np.fft.irfft(spectra * power_dependent(spectra[:, None])[:, 0]) * window
  whole = (out[1:, :HOP] + out[:-1, HOP:]).reshape(-1)
  inside = slice(2 * CONTEXT * HOP, -2 * CONTEXT * HOP)
  np.testing.assert_allclose(kept[inside, 0], whole[inside], atol=1e-4)


def test_memory_is_bounded():
  stream, most = _Stream(all_kept, 0), 0
  for block in blocks_of(noise(4000 * HOP, 1), 100 * HOP):
    for _ in stream.push(block):
      pass
    most = max(most, len(stream._spectra))
  assert most <= CHUNK + 2 * CONTEXT + 100


def test_stereo_is_masked_as_mid_and_side():
  def mid_removed(spectra):
    masks = np.ones(spectra.shape, np.float32)
    masks[:, 0] = 0
    return masks

  wave = noise(20 * HOP, 2)
  kept = run(mid_removed, wave)
  side = (wave[:, 0] - wave[:, 1]) / 2
  np.testing.assert_allclose(kept, np.stack([side, -side], 1), atol=1e-4)


def test_parts_get_the_masks_of_the_mixture():
  halves = noise(30 * HOP, 2)
  parts = np.concatenate([halves.sum(1, keepdims=True), halves], 1)
  kept = run(lambda spectra: np.full(spectra.shape, 0.5, np.float32), parts, parts=2)
  np.testing.assert_allclose(kept, 0.5 * parts, atol=1e-4)
  np.testing.assert_allclose(kept[:, 0], kept[:, 1] + kept[:, 2], atol=1e-4)


def test_frames_that_the_mask_would_empty_keep_a_little():
  loud = np.full((3, BINS), 10.0, np.complex64)
  mask = np.full((3, BINS), 1e-4, np.float32)
  filled = _filled(mask, loud)
  assert (np.square(filled * 10).sum(1) >= 0.99 * LEAST_POWER).all() and filled.max() < 0.1
  np.testing.assert_array_equal(_filled(mask, np.zeros_like(loud)), np.ones_like(mask))
  np.testing.assert_array_equal(_filled(np.ones_like(mask), loud), np.ones_like(mask))


@pytest.fixture(scope='module')
def tiny():
  import jax

  shapes = parameter_shapes(TINY)
  rng = np.random.default_rng(0)
  return TrainedSeparator(TINY, jax.tree.map(lambda s: 0.2 * rng.standard_normal(s.shape, np.float32), shapes))


def test_a_network_keeps_length_and_channels_and_leaves_low_frequency_effects(tiny):
  wave = 0.1 * noise(30 * HOP + 5, 6)
  kept = np.concatenate([*tiny.remove_dialogue(blocks_of(wave, 9999))])
  assert kept.shape == wave.shape
  np.testing.assert_allclose(kept[:, 3], wave[:, 3], atol=1e-4)
  assert np.abs(kept[:, 2] - wave[:, 2]).max() > 0.01


def test_masks_do_not_change_with_the_level(tiny):
  wave = 0.1 * noise(30 * HOP, 1)
  loud, soft = (np.concatenate([*tiny.remove_dialogue([w])]) for w in (wave, 0.1 * wave))
  np.testing.assert_allclose(0.1 * loud, soft, atol=2e-4 * np.abs(soft).max())


def test_a_written_separator_can_be_opened_and_damage_is_told(tiny, tmp_path):
  write_separator(tiny, '# A card\n', tmp_path / 'separator')
  again = load_separator(tmp_path / 'separator')
  assert again.config == TINY
  wave = 0.1 * noise(10 * HOP, 1)
  a, b = (np.concatenate([*s.remove_dialogue([wave])]) for s in (tiny, again))
  np.testing.assert_allclose(a, b, atol=0.01)
  weights = tmp_path / 'separator' / 'weights.safetensors'
  weights.write_bytes(weights.read_bytes()[:-1])
  with pytest.raises(BadInput, match='changed or cut off'):
    load_separator(tmp_path / 'separator')
  with pytest.raises(BadInput, match='is not a separator'):
    load_separator(tmp_path)


def test_an_unknown_name_is_refused():
  with pytest.raises(BadInput, match='trained and demucs'):
    open_separator('spleeter')


def test_what_ships_is_whole_and_small():
  separator = load_separator(SHIPPED)
  assert separator.config == SeparatorConfig()
  assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 10e6
  assert open_separator('trained') is open_separator()
