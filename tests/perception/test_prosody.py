import numpy as np

from dubber_jax.perception.prosody import measure_prosody, track_pitch
from dubber_jax.script.alignment import Alignment


def glide(start_hz, end_hz, seconds, rate=22050):
  """A buzzing tone with ten harmonics whose pitch glides; returns the wave and its pitch at each sample."""
  hz = np.geomspace(start_hz, end_hz, round(seconds * rate))
  phase = 2 * np.pi * np.cumsum(hz) / rate
  wave = sum(np.sin(k * phase) / k for k in range(1, 11)) * 0.2
  return wave.astype(np.float32), hz


def test_pitch_sits_on_the_mel_frames_it_was_sung_in():
  wave, hz = glide(110, 220, 1.5)
  silence = np.zeros(22050 // 2, np.float32)
  pitch = track_pitch(np.concatenate([silence, wave, silence]), 22050)
  assert len(pitch) == int(2.5 * 22050) // 256
  centers = np.arange(len(pitch)) * 256 + 128 - len(silence)
  inside = (centers > 2500) & (centers < len(wave) - 2500)
  truth = hz[np.clip(centers, 0, len(hz) - 1)]
  assert np.abs(np.log2(pitch[inside] / truth[inside])).max() < 0.25 / 12
  assert (pitch[(centers < -1500) | (centers > len(wave) + 1500)] == 0).all()


def test_quiet_sound_of_another_rate_gets_the_same_pitch():
  wave, _ = glide(180, 180, 1.0, rate=48000)
  pitch = track_pitch(wave * 1e-3, 48000, num_frames=86)
  assert pitch.shape == (86,)
  assert abs(np.median(pitch[pitch > 0]) - 180) < 2 and (pitch > 0).mean() > 0.9


def test_silence_and_nothing_are_unvoiced():
  assert not track_pitch(np.zeros(22050, np.float32), 22050).any()
  assert track_pitch(np.zeros(0, np.float32), 22050).shape == (0,)


def test_pauses_and_pace_count_only_the_time_between_first_and_last_sound():
  rate = 22050
  voice, _ = glide(120, 120, 1.0)
  gap = np.zeros(rate // 2, np.float32)
  prosody = measure_prosody(np.concatenate([gap, voice, gap, voice, gap, gap]) * 0.1, rate, phonemes=24)
  assert abs(prosody['pauses'] - 0.2) < 0.02
  assert abs(prosody['pace'] - 12) < 0.3
  assert abs(prosody['pitch'] - 120) < 2 and prosody['range'] < 0.5


def test_alignment_decides_where_speech_is_when_there_is_one():
  wave, _ = glide(110, 220, 2.0)
  alignment = Alignment(
    phonemes=('@sil', '@AH0', '@L', ',', '@IY1', '@sil'),
    starts=np.array([0, 0.5, 0.7, 0.8, 1.2, 1.5]),
    ends=np.array([0.5, 0.7, 0.8, 1.2, 1.5, 2.0]),
    words=((0.5, 0.8, 'all'), (1.2, 1.5, 'e')),
  )
  prosody = measure_prosody(wave, 22050, alignment)
  assert abs(prosody['pace'] - 3 / 0.6) < 1e-6 and abs(prosody['pauses'] - 0.4) < 1e-6
  assert 3.5 < prosody['range'] < 6  # an octave in 2 s: the 80 % in the middle of 1 s is 4.8 semitones


def test_half_the_amplitude_is_six_decibels_softer_and_nothing_else():
  wave, _ = glide(150, 200, 2.0)
  loud, soft = (measure_prosody(wave * gain, 22050, phonemes=20) for gain in (1, 0.5))
  assert abs(loud['loudness'] - soft['loudness'] - 6.02) < 0.05
  assert all(abs(loud[k] - soft[k]) < 1e-2 * abs(loud[k]) + 1e-6 for k in ('pace', 'pitch', 'range', 'pauses'))


def test_silence_has_no_prosody_and_no_count_no_pace():
  assert measure_prosody(np.zeros(22050, np.float32), 22050, phonemes=10) == {}
  assert 'pace' not in measure_prosody(glide(150, 200, 1.0)[0], 22050)


def test_anger_of_an_actor_is_measured_louder_and_higher_than_neutral(data_dir):
  from dubber_jax.media.sound import read_sound

  folder = data_dir / 'ravdess' / 'Actor_02'
  neutral, angry = (
    measure_prosody(read_sound(folder / f'03-01-{code}-01-01-02.opus'), 22050, phonemes=19)
    for code in ('01-01', '05-02')
  )
  assert angry['loudness'] > neutral['loudness'] + 6
  assert angry['pitch'] > neutral['pitch'] * 1.2
