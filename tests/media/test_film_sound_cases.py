"""Sound of films as other tools are reported to have got it wrong: mixing down, delays, layouts, peaks, rates."""

from fractions import Fraction

import av
import numpy as np
import pytest

from dubber_jax.media.background import background_blocks, mixed_blocks
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import integrated_loudness, normalize_loudness, oversampling
from dubber_jax.media.sound import clipped_share, mix_down, read_channels, read_sound, write_wav_blocks

SECOND = np.arange(SOUND_RATE) / SOUND_RATE
TONE = (0.25 * np.sin(2 * np.pi * 440 * SECOND)).astype(np.float32)
OTHER = (0.25 * np.sin(2 * np.pi * 1250 * SECOND)).astype(np.float32)
SILENCE = np.zeros_like(TONE)


def channels_of(count, **sounds):
  """(S, count) with the sounds in some channels, as c2=TONE."""
  return np.stack([sounds.get(f'c{i}', SILENCE) for i in range(count)], axis=1)


@pytest.mark.parametrize(
  ('channels', 'expected'),
  [
    (channels_of(6, c2=TONE), TONE),  # dialogue in the center keeps its level
    (channels_of(6, c3=TONE), SILENCE),  # low-frequency effects are no part of the mix, and no substitute for it
    (channels_of(6, c4=TONE), 0.5 * TONE),
    (channels_of(2, c0=TONE, c1=-TONE), TONE),  # opposite channels do not cancel
    (channels_of(2, c0=TONE, c1=-0.8 * TONE), TONE),
    (channels_of(2, c0=TONE, c1=TONE), TONE),  # equal ones become neither louder nor clipped
    (channels_of(2, c1=TONE), 0.5 * TONE),  # the right one is not dropped
    (channels_of(2, c0=TONE, c1=OTHER), 0.5 * (TONE + OTHER)),
  ],
  ids=['center', 'low', 'surround', 'opposite', 'nearly opposite', 'equal', 'right alone', 'unrelated'],
)
def test_channels_are_mixed_to_one_as_one_hears_them(tmp_path, channels, expected):
  np.testing.assert_allclose(mix_down(channels), expected, atol=1e-6)
  write_wav_blocks(tmp_path / 'film.wav', [channels], SOUND_RATE, channels.shape[1])
  heard = Film(tmp_path / 'film.wav').mono_span(0.0, 1.0)
  assert np.std(heard) == pytest.approx(np.std(expected), rel=0.02, abs=1e-4)


DELAYED = {
  'aac in mp4': ('.mp4', 'mp4', 'aac', 44100),
  'aac in mov': ('.mov', 'mov', 'aac', 48000),
  'opus in mkv': ('.mkv', 'matroska', 'libopus', 48000),
  'opus in webm': ('.webm', 'webm', 'libopus', 48000),
  'mp3 with a LAME tag': ('.mp3', 'mp3', 'libmp3lame', 44100),
  'mp2 in mpg': ('.mpg', 'mpeg', 'mp2', 48000),
}


@pytest.mark.parametrize('kind', DELAYED)
def test_encoders_delay_does_not_delay_the_sound(tmp_path, kind):
  suffix, muxer, codec, rate = DELAYED[kind]
  wave = np.zeros(2 * rate, np.float32)
  wave[rate // 2 : rate // 2 + rate // 100] = 0.5
  path = tmp_path / f'film{suffix}'
  with av.open(str(path), 'w', format=muxer) as file:
    stream = file.add_stream(codec, rate=rate, layout='mono')
    frame = av.AudioFrame.from_ndarray(np.round(wave * 32767).astype(np.int16)[None], 's16', 'mono')
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
  heard = np.concatenate(list(Film(path).sound_blocks()))[:, 0]
  begins = np.flatnonzero(np.abs(heard) > 0.25)[0] / SOUND_RATE
  tolerance = 0.011 if muxer == 'mpeg' else 0.002  # the format has no place for MP2's delay of 481 samples
  assert begins == pytest.approx(0.5, abs=tolerance)


@pytest.mark.parametrize(('first', 'second'), [('stereo', '5.1'), ('5.1', 'stereo'), ('mono', 'stereo')])
def test_layout_that_changes_within_a_broadcast_loses_neither_part(tmp_path, first, second):
  path = tmp_path / 'film.ts'
  with av.open(str(path), 'w', format='mpegts') as file:
    stream = file.add_stream('ac3', rate=SOUND_RATE, layout=first, bit_rate=192_000)
    for part, layout in enumerate((first, second)):
      encoder = av.CodecContext.create('ac3', 'w')
      encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = SOUND_RATE, layout, 'fltp', 192_000
      encoder.time_base = Fraction(1, SOUND_RATE)
      for begin in range(0, SOUND_RATE - 1536, 1536):
        samples = np.tile((TONE, OTHER)[part][begin : begin + 1536], (len(encoder.layout.channels), 1))
        frame = av.AudioFrame.from_ndarray(samples, 'fltp', layout)
        frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
        frame.pts = begin + part * (SOUND_RATE // 1536 * 1536)
        for packet in encoder.encode(frame):
          packet.stream, packet.time_base = stream, Fraction(1, SOUND_RATE)
          file.mux(packet)
  wave = read_sound(path, SOUND_RATE)
  spectra = [np.abs(np.fft.rfft(part[4800:43200])) for part in (wave[:SOUND_RATE], wave[SOUND_RATE:])]
  hertz = [np.argmax(s) * SOUND_RATE / 38400 for s in (spectra[0], np.abs(np.fft.rfft(wave[50_000:88_400])))]
  assert hertz == pytest.approx([440, 1250], abs=2)


@pytest.mark.parametrize('rate', [8000, 11025, 22050, 32000, 44100, 88200, 96000, 192000])
def test_film_of_any_sample_rate_keeps_time_and_pitch(tmp_path, rate):
  seconds = 12.0
  time = np.arange(round(seconds * rate)) / rate
  write_wav_blocks(tmp_path / 'film.wav', [(0.3 * np.sin(2 * np.pi * 1000 * time))[:, None]], rate)
  wave = np.concatenate(list(Film(tmp_path / 'film.wav').sound_blocks()))[:, 0]
  assert len(wave) == round(seconds * SOUND_RATE)
  late = wave[-SOUND_RATE - 960 : -960]  # of the last second: what drifts is out of phase by now
  expected = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(len(wave))[-SOUND_RATE - 960 : -960] / SOUND_RATE)
  np.testing.assert_allclose(late, expected, atol=2e-3)


@pytest.mark.parametrize('channels', [3, 4, 5, 6, 7, 8])
def test_file_that_does_not_name_its_channels_is_read(tmp_path, channels):
  wave = np.stack([np.full(4800, 0.02 * (i + 1), np.float32) for i in range(channels)], axis=1)
  write_wav_blocks(tmp_path / 'film.wav', [wave], SOUND_RATE, channels)  # a plain header, without a channel mask
  read, _ = read_channels(tmp_path / 'film.wav')
  assert read.shape == (4800, 6 if channels < 7 else 8)
  for level in wave[0]:
    assert np.abs(read[100] - level).min() < 1e-3 or channels in (3, 4, 5, 7)
  assert np.abs(read[100]).max() > 0.05


def peaks(wave):
  return max(np.abs(np.convolve(wave, taps, 'same')).max() for taps in (*oversampling(), np.ones(1)))


def test_decoded_peaks_over_full_scale_are_neither_clipped_nor_passed_on(tmp_path):
  wavfile = pytest.importorskip('scipy.io.wavfile')
  loud = (1.6 * np.sin(2 * np.pi * 997 * SECOND)).astype(np.float32)
  wavfile.write(tmp_path / 'film.wav', SOUND_RATE, np.stack([loud, loud], axis=1))
  film = Film(tmp_path / 'film.wav')
  assert np.abs(next(film.sound_blocks())).max() == pytest.approx(1.6, abs=1e-3)
  (mixed,) = mixed_blocks([SILENCE[:, None]], background_blocks('mute', film))
  assert peaks(mixed[:, 0]) <= 10 ** (-0.99 / 20)


@pytest.mark.parametrize('target', [-23.0, -14.0, -9.0])
def test_quiet_sound_with_peaks_is_raised_without_clipping(target):
  wave = 0.02 * TONE
  wave[::4800] = 0.9
  raised = normalize_loudness(np.tile(wave, 3), SOUND_RATE, target)
  assert peaks(raised) <= 10 ** (-0.9 / 20)
  assert integrated_loudness(raised, SOUND_RATE) <= target + 0.1


@pytest.mark.parametrize('rate', [22050, 44100, 48000])
def test_loudness_of_float_sound_above_full_scale_is_measured_unclipped(rate):
  time = np.arange(2 * rate) / rate
  assert integrated_loudness(2.0 * np.sin(2 * np.pi * 997 * time), rate) == pytest.approx(-3.01 + 6.02, abs=0.1)


@pytest.mark.parametrize('rate', [16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize('side', ['both', 'negative', 'one channel'])
def test_clipping_shows_at_any_rate_and_in_any_channel(tmp_path, rate, side):
  from dubber_jax.errors import BadInput
  from dubber_jax.inference.voices import find_voice

  time = np.arange(4 * rate) / rate
  voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 12)) * (1 + np.sin(2 * np.pi * 3 * time))
  voice = 0.15 * voice.astype(np.float32)
  clipped = np.clip(6 * voice, -0.5 if side == 'negative' else -0.9, 9 if side == 'negative' else 0.9)
  clipped = clipped / np.abs(clipped).max() * 0.9
  wave = np.stack([clipped, 0.2 * voice], axis=1) if side == 'one channel' else clipped[:, None]
  assert clipped_share(voice) < 0.001 < 0.01 < clipped_share(wave)
  write_wav_blocks(tmp_path / 'voice.wav', [wave], rate, wave.shape[1])
  with pytest.raises(BadInput, match='clipped'):
    find_voice(str(tmp_path / 'voice.wav'), {})
