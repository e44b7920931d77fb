import numpy as np
import pytest

from data_pipelines import audio_damage
from dubber_jax.errors import BadInput
from dubber_jax.inference.voices import densest, make_voice
from dubber_jax.media.sound import read_sound
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.perception.recording_quality import detect_faults, measure_voice
from dubber_jax.perception.speaker import SpeakerEncoder
from dubber_jax.types import SAMPLE_RATE


@pytest.fixture(scope='module')
def reader(data_dir):
  return read_sound(data_dir / 'ljspeech' / 'LJ001-0002.opus', SAMPLE_RATE)


@pytest.fixture(scope='module')
def woman(data_dir):
  return read_sound(data_dir / 'vctk' / 'p225_003.opus', SAMPLE_RATE)


def report(wave):
  windows = SpeakerEncoder().windows(wave, SAMPLE_RATE)
  return measure_voice(wave, SAMPLE_RATE, track_pitch(wave, SAMPLE_RATE), windows)


def test_good_recordings_have_no_fault(reader, woman):
  assert detect_faults(report(reader)) == detect_faults(report(woman)) == ()


@pytest.mark.parametrize(
  ('fault', 'worse'),
  [
    ('noise', lambda w, _: audio_damage.add_noise(w, 10)),
    ('noise', lambda w, _: audio_damage.add_noise(w, 5, pink=True)),
    ('echo', lambda w, _: audio_damage.reverberate(w, 0.8)),
    ('whisper', lambda w, _: audio_damage.whisper(w)),
    ('dull', lambda w, _: audio_damage.telephone(w)),
    ('several', audio_damage.one_after_the_other),
    ('no speech', lambda w, _: audio_damage.synthetic_music(4.0)),
    ('little', lambda w, _: np.concatenate([w[: int(0.8 * SAMPLE_RATE)], np.zeros(3 * SAMPLE_RATE, np.float32)])),
  ],
)
def test_each_fault_and_no_other_is_detected(woman, reader, fault, worse):
  assert detect_faults(report(worse(woman, reader))) == (fault,)


@pytest.fixture(scope='module')
def strangers(data_dir):
  """A recording of each person of LibriSpeech's validation set."""
  return [read_sound(path, SAMPLE_RATE) for path in sorted((data_dir / 'librispeech').glob('*_02.opus'))]


@pytest.fixture(scope='module')
def actors(data_dir):
  """What RAVDESS 19 to 22 act: calm, happy, sad, angry and afraid, strongly, each person's in one recording."""
  folders = [data_dir / 'ravdess' / f'Actor_{actor}' for actor in (19, 20, 21, 22)]
  takes = [sorted(folder.glob('03-01-0[2-6]-02-01-01-*.opus')) for folder in folders]
  return [np.concatenate([read_sound(path, SAMPLE_RATE) for path in paths]) for paths in takes]


def test_one_speaker_is_never_flagged_as_several(strangers, actors):
  assert len(strangers) == 10 and len(actors) == 4
  for wave in (*strangers, *actors):
    assert not {'several', 'maybe several', 'music'}.intersection(detect_faults(report(wave)))


def test_two_different_speakers_are_at_least_suspected(strangers):
  flagged = [
    {'several', 'maybe several'}.intersection(detect_faults(report(audio_damage.one_after_the_other(a, b))))
    for a, b in zip(strangers[:-1], strangers[1:], strict=True)
  ]
  assert np.mean([bool(t) for t in flagged]) >= 0.6


@pytest.mark.parametrize('decibels', [5, 15])
def test_music_under_a_voice_is_told_and_is_no_second_speaker(woman, decibels):
  pauses = np.concatenate([np.pad(part, (0, SAMPLE_RATE)) for part in np.array_split(woman, 4)])
  music = audio_damage.match_power(audio_damage.synthetic_music(len(pauses) / SAMPLE_RATE, seed=2), pauses)
  faults = detect_faults(report(pauses + music[: len(pauses)] * 10 ** (-decibels / 20)))
  assert 'music' in faults and not {'several', 'maybe several'}.intersection(faults)


def test_recording_is_judged_at_its_own_rate_and_by_the_channel_that_does_not_cancel(woman, tmp_path):
  from dubber_jax.inference.voices import find_voice
  from dubber_jax.media.sound import write_wav_blocks

  write_wav_blocks(tmp_path / 'opposite.wav', [np.stack([woman, -woman], axis=1)], SAMPLE_RATE, 2)
  write_wav_blocks(tmp_path / 'one.wav', [woman[:, None]], SAMPLE_RATE)
  opposite, one = (find_voice(str(tmp_path / name), {}) for name in ('opposite.wav', 'one.wav'))
  assert opposite.warnings == one.warnings == ()
  np.testing.assert_allclose(opposite.embedding, one.embedding, atol=1e-5)


def test_voice_is_fitted_when_several_speakers_are_only_suspected(woman, monkeypatch):
  import dubber_jax.inference.speaker_adaptation
  import dubber_jax.perception.recording_quality as quality

  fitted = []
  monkeypatch.setattr(
    dubber_jax.inference.speaker_adaptation, 'adapt_voice', lambda model, voice, *_: fitted.append(voice) or voice
  )
  for likeness, times in ((quality.ONE_SPEAKER - 0.01, 1), (quality.TWO_SPEAKERS - 0.01, 0)):
    monkeypatch.setattr(quality, '_speaker_similarity', lambda windows, value=likeness: value)
    fitted.clear()
    (warning,) = make_voice(woman, SAMPLE_RATE, model='a model').warnings
    assert 'more than one person' in warning and len(fitted) == times


def test_measures_agree_with_the_known_degradation(woman):
  assert report(audio_damage.add_noise(woman, 10)).noise == pytest.approx(10, abs=2)
  assert report(audio_damage.reverberate(woman, 1.0)).decay == pytest.approx(1.0, rel=0.2)
  assert report(audio_damage.telephone(woman)).bandwidth < 6000


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
def test_recording_without_speech_is_refused(wave):
  with pytest.raises(BadInput):
    make_voice(wave.astype(np.float32), SAMPLE_RATE)


@pytest.mark.parametrize('kind', ['click', 'tone', 'noise'])
def test_sound_without_a_voice_still_gives_one_that_can_be_spoken_with(kind):
  time = np.arange(3 * SAMPLE_RATE)
  wave = {
    'click': 0.9 * (time == SAMPLE_RATE),
    'tone': 0.2 * np.sin(0.1 * time),
    'noise': 0.1 * np.random.default_rng(0).standard_normal(len(time)),
  }[kind]
  voice = make_voice(wave.astype(np.float32), SAMPLE_RATE)
  assert any('no speech' in warning for warning in voice.warnings)
  assert np.isfinite(voice.embedding).all() and np.isfinite(voice.reference_mel).all()


def test_densest_stretch_is_where_the_values_are_greatest():
  assert densest(np.array([0, 1, 5, 4, 0, 0]), 2) == 2
  assert densest(np.array([1, 2]), 5) == 0
