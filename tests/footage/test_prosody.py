import numpy as np

from dubber_jax.footage.prosody import track_pitch


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
  centres = np.arange(len(pitch)) * 256 + 128 - len(silence)
  inside = (centres > 2500) & (centres < len(wave) - 2500)
  truth = hz[np.clip(centres, 0, len(hz) - 1)]
  assert np.abs(np.log2(pitch[inside] / truth[inside])).max() < 0.25 / 12
  assert (pitch[(centres < -1500) | (centres > len(wave) + 1500)] == 0).all()


def test_quiet_sound_of_another_rate_gets_the_same_pitch():
  wave, _ = glide(180, 180, 1.0, rate=48000)
  pitch = track_pitch(wave * 1e-3, 48000, num_frames=86)
  assert pitch.shape == (86,)
  assert abs(np.median(pitch[pitch > 0]) - 180) < 2 and (pitch > 0).mean() > 0.9


def test_silence_and_nothing_are_unvoiced():
  assert not track_pitch(np.zeros(22050, np.float32), 22050).any()
  assert track_pitch(np.zeros(0, np.float32), 22050).shape == (0,)
