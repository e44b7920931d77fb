import numpy as np
import pytest

from data_pipelines import degrade
from dubber_jax.clip import SAMPLE_RATE
from dubber_jax.errors import BadInput
from dubber_jax.footage.prosody import track_pitch
from dubber_jax.media.sound import read_sound
from dubber_jax.perception.speaker import SpeakerEncoder
from dubber_jax.perception.voice_quality import measure_voice, noticed
from dubber_jax.voices import densest, make_voice


@pytest.fixture(scope='module')
def man(data_dir):
  return read_sound(data_dir / 'ljspeech' / 'LJ001-0002.opus', SAMPLE_RATE)


@pytest.fixture(scope='module')
def woman(data_dir):
  return read_sound(data_dir / 'vctk' / 'p225_003.opus', SAMPLE_RATE)


def report(wave):
  windows = SpeakerEncoder().windows(wave, SAMPLE_RATE)
  return measure_voice(wave, SAMPLE_RATE, track_pitch(wave, SAMPLE_RATE), windows)


def test_good_voices_are_not_suspected(man, woman):
  assert noticed(report(man)) == noticed(report(woman)) == ()


@pytest.mark.parametrize(
  ('fault', 'worse'),
  [
    ('noise', lambda w, _: degrade.noise(w, 10)),
    ('noise', lambda w, _: degrade.noise(w, 5, pink=True)),
    ('echo', lambda w, _: degrade.echo(w, 0.8)),
    ('whisper', lambda w, _: degrade.whisper(w)),
    ('dull', lambda w, _: degrade.telephone(w)),
    ('several', degrade.in_turn),
    ('no speech', lambda w, _: degrade.chords(4.0)),
    ('little', lambda w, _: np.concatenate([w[: int(0.8 * SAMPLE_RATE)], np.zeros(3 * SAMPLE_RATE, np.float32)])),
  ],
)
def test_fault_is_noticed_and_nothing_else(woman, man, fault, worse):
  assert noticed(report(worse(woman, man))) == (fault,)


def test_measures_are_those_of_what_was_done(woman):
  assert report(degrade.noise(woman, 10)).noise == pytest.approx(10, abs=2)
  assert report(degrade.echo(woman, 1.0)).decay == pytest.approx(1.0, rel=0.2)
  assert report(degrade.telephone(woman)).bandwidth < 6000


def test_level_and_offset_of_a_recording_do_not_matter(woman):
  plain, changed = make_voice(woman, SAMPLE_RATE), make_voice(0.1 * woman + 0.3, SAMPLE_RATE)
  assert plain.warnings == changed.warnings == ()
  assert plain.embedding @ changed.embedding > 0.99


def test_voice_in_a_long_recording_is_found(woman):
  silence = np.zeros(70 * SAMPLE_RATE, np.float32)
  voice = make_voice(np.concatenate([silence, woman, silence]), SAMPLE_RATE, 'long')
  assert voice.embedding @ make_voice(woman, SAMPLE_RATE).embedding > 0.95
  assert len(voice.warnings) == 1 and '60 s' in voice.warnings[0]


@pytest.mark.parametrize(
  'wave', [np.full(3 * SAMPLE_RATE, 0.3), np.zeros(3 * SAMPLE_RATE), np.full(SAMPLE_RATE // 3, 0.1)]
)
def test_what_holds_no_voice_is_refused(wave):
  with pytest.raises(BadInput):
    make_voice(wave.astype(np.float32), SAMPLE_RATE)


@pytest.mark.parametrize('kind', ['click', 'tone', 'noise'])
def test_sound_without_a_voice_still_gives_one_that_can_be_spoken_with(kind):
  time = np.arange(3 * SAMPLE_RATE)
  wave = {
    'click': 0.9 * (time == SAMPLE_RATE), 'tone': 0.2 * np.sin(0.1 * time),
    'noise': 0.1 * np.random.default_rng(0).standard_normal(len(time)),
  }[kind]  # fmt: skip
  voice = make_voice(wave.astype(np.float32), SAMPLE_RATE)
  assert any('no speech' in warning for warning in voice.warnings)
  assert np.isfinite(voice.embedding).all() and np.isfinite(voice.reference_mel).all()


def test_densest_stretch_is_where_the_values_are_greatest():
  assert densest(np.array([0, 1, 5, 4, 0, 0]), 2) == 2
  assert densest(np.array([1, 2]), 5) == 0
