import jax
import numpy as np
import pytest

from dubber_jax.media.mel import LOG_FLOOR, PAD, mel_numpy
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.types import SAMPLE_RATE
from dubber_jax.vocoder.neural import NeuralVocoder, read_vocoder, write_vocoder
from dubber_jax.vocoder.source_filter import (
  SourceFilter,
  SourceFilterConfig,
  project,
  pulse_train,
)

SMALL = SourceFilterConfig(width=32, layers=2)


def play(module, params, *inputs, **settings):
  """The sound (B, S), compiled as one program."""
  return np.array(jax.jit(lambda p, *x: module.apply({'params': p}, *x, **settings))(params, *inputs))


def draw(module, mel):
  return jax.jit(module.init)(jax.random.key(0), mel)['params']


@pytest.fixture(scope='module')
def vowel():
  """A vowel-like tone of 150 Hz, 1.5 s: pulses through two resonances."""
  time = np.arange(96 * 256) / 22050
  harmonics = np.arange(1, 60)
  strength = 1 / (1 + ((harmonics * 150 - 700) / 200) ** 2) + 0.5 / (1 + ((harmonics * 150 - 1200) / 300) ** 2)
  return 0.1 * (strength[:, None] * np.cos(2 * np.pi * 150 * harmonics[:, None] * time)).sum(0).astype(np.float32)


@pytest.fixture(scope='module')
def vocoder():
  params = draw(SourceFilter(SMALL), np.zeros((1, 8, 80), np.float32))
  return NeuralVocoder('source-filter', SMALL, params)


def test_source_has_the_pitch_it_is_given_and_unit_power():
  pitch = np.linspace(120, 240, 100, dtype=np.float32)[None]
  source = np.array(pulse_train(pitch, np.zeros(1))[0])[0, PAD:-PAD]
  assert 0.8 < source.std() < 1.2
  heard = track_pitch(0.1 * source, 22050, 100)[5:-5]
  semitones = 12 * np.abs(np.log2(heard / pitch[0, 5:-5]))[heard > 0]
  assert len(semitones) > 60
  assert np.median(semitones) < 0.1


def test_long_sounds_keep_their_phase():
  steady = np.array(pulse_train(np.full((1, 3000), 200.0, np.float32), np.zeros(1))[0])[0]
  period = np.argmax(steady[-600:-300]), np.argmax(steady[-300 + 1 :])
  assert steady[-600:].max() > 0.9 * steady[:600].max(), period


def test_untrained_network_already_follows_the_mel_and_the_pitch(vocoder, vowel):
  mel = mel_numpy(vowel)
  made = play(vocoder.module, vocoder.params, mel[None], None, np.full((1, len(mel)), 150.0))[0]
  loud = mel.max(0) > -6
  assert np.abs(mel_numpy(made) - mel)[2:-2, loud].mean() < 1.0
  heard = track_pitch(made, 22050, len(mel))[10:-10]
  assert np.abs(np.median(heard[heard > 0]) - 150) < 2


def test_padding_changes_nothing(vocoder, vowel):
  mel = mel_numpy(vowel)[:70]
  padded = np.full((2, 128, 80), LOG_FLOOR + 3, np.float32)
  padded[0, :70], padded[1] = mel, mel_numpy(vowel)[:1]
  pitch = np.full((2, 128), 150.0, np.float32)
  pitch[:, 70:] = 400.0
  noise = np.random.default_rng(0).standard_normal((2, 128 * 256 + 768), np.float32)
  alone = play(vocoder.module, vocoder.params, mel[None], None, pitch[:1, :70], noise[:1, : 70 * 256 + 768])[0]
  beside = play(vocoder.module, vocoder.params, padded, np.array([70, 128]), pitch, noise)[0]
  np.testing.assert_allclose(beside[: 70 * 256], np.array(alone), atol=1e-3)
  assert np.abs(beside[70 * 256 + 1024 :]).max() == 0


def test_same_seed_same_sound_other_seed_other_breath(vocoder, vowel):
  mel = mel_numpy(vowel)[:64]
  np.testing.assert_array_equal(vocoder.vocode(mel, 1), vocoder.vocode(mel, 1))
  assert np.abs(vocoder.vocode(mel, 1) - vocoder.vocode(mel, 2)).max() > 1e-4


def test_folder_round_trip(vocoder, tmp_path, vowel):
  write_vocoder(vocoder, tmp_path)
  mel = mel_numpy(vowel)[:64]
  np.testing.assert_array_equal(read_vocoder(tmp_path).vocode(mel), vocoder.vocode(mel))


def test_breath_and_tremor_are_heard():
  """A steady voice: breath adds noise between the harmonics, tremor moves the pitch; neither is there unasked."""
  module = SourceFilter(SourceFilterConfig(width=16, layers=1))
  frames = 86
  mel = np.full((1, frames, 80), -4.0, np.float32)
  params = draw(module, mel)
  pitch = np.full((1, frames), 200.0, np.float32)

  def sound(*quality):
    quality = np.array([quality], np.float32) if quality else None
    return play(module, params, mel, None, pitch, voice_quality=quality)[0]

  def floor(wave):  # level between harmonics against that of the harmonics, dB
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    low = (hertz > 900) & (hertz < 3900)
    near = np.abs((hertz + 100) % 200 - 100) < 20
    return 10 * np.log10(power[low & ~near].mean() / power[low & near].mean())

  plain = sound()
  np.testing.assert_array_equal(plain, sound(0, 0))
  assert floor(sound(1, 0)) > floor(plain) + 2
  assert floor(sound(0, 1)) > floor(plain) + 1  # side bands


@pytest.mark.parametrize('settings', [{'window': 512}, {'window': 512, 'modulated': True}])
def test_shorter_windows_and_modulated_noise_follow_the_mel_too(settings, vowel):
  module = SourceFilter(SourceFilterConfig(width=32, layers=2, **settings))
  mel = mel_numpy(vowel)
  pitch = np.full((1, len(mel)), 150.0)
  params = draw(module, mel[None])
  made = play(module, params, mel[None], None, pitch)[0]
  assert made.shape == (len(mel) * 256,)
  loud = mel.max(0) > -6
  assert np.abs(mel_numpy(made) - mel)[2:-2, loud].mean() < 1.3


def test_projection_brings_the_mel_nearer(vowel):
  mel = mel_numpy(vowel)
  sound = 0.3 * vowel[None] + 0.01 * np.random.default_rng(0).standard_normal((1, len(vowel))).astype(np.float32)
  apart = [np.abs(mel_numpy(sound[0]) - mel).mean()]
  for _ in range(3):
    sound = np.array(project(sound, mel[None]))
    apart.append(np.abs(mel_numpy(sound[0]) - mel).mean())
  assert apart[1] < 0.5 * apart[0] and apart[3] < apart[1], apart


@pytest.mark.slow
def test_several_takes_of_a_mel_differ_by_noise_alone(vowel):
  module = SourceFilter(SourceFilterConfig(width=16, layers=1, projections=1))
  mel = np.stack([mel_numpy(vowel)[:32], mel_numpy(vowel)[32:64]])
  params = draw(module, mel)
  noise = np.random.default_rng(0).standard_normal((4, 32 * 256 + 768), np.float32)
  pitch, phase = np.full((2, 32), 150.0, np.float32), np.zeros(4, np.float32)
  both = play(module, params, mel, None, pitch, noise, phase, takes=2)
  for half in (slice(0, 2), slice(2, 4)):
    alone = play(module, params, mel, None, pitch, noise[half], phase[half])
    np.testing.assert_allclose(both[half], alone, atol=1e-4)
