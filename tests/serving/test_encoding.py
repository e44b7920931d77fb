import io
import wave as wave_file

import av
import numpy as np
import pytest

from dubber_jax.serving.encoding import FORMATS, RATE, SpeechEncoder, change_tempo, encode_whole, wav_header
from dubber_jax.types import SAMPLE_RATE

TONE = (0.3 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


def decoded(data: bytes) -> tuple[np.ndarray, int]:
  with av.open(io.BytesIO(data)) as container:
    frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    sound = np.concatenate(frames)
    return sound / (32768 if sound.dtype == np.int16 else 1), container.streams.audio[0].rate


def pitch(sound: np.ndarray, rate: int) -> float:
  return float(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * rate / len(sound))


@pytest.mark.parametrize('name', [name for name in FORMATS if name != 'pcm'])
def test_stream_of_each_format_decodes_to_the_sound(name):
  encoder = SpeechEncoder(name)
  parts = [encoder.add(TONE[:5000]), encoder.add(TONE[5000:]), encoder.finish()]
  sound, rate = decoded(b''.join(parts))
  assert abs(len(sound) / rate - 1) < 0.1  # a lossy coder's padding
  assert abs(pitch(sound[rate // 4 : rate * 3 // 4], rate) - 220) < 3
  assert np.sqrt(np.mean(np.square(sound[rate // 4 : rate * 3 // 4]))) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize('name', FORMATS)
def test_first_part_is_there_before_the_last_is_given(name):
  assert len(SpeechEncoder(name).add(np.tile(TONE, 2))) > 1000


def test_pcm_is_16_bit_at_24_khz_without_a_header():
  encoder = SpeechEncoder('pcm')
  samples = np.frombuffer(encoder.add(TONE) + encoder.finish(), '<i2')
  assert len(samples) == RATE and abs(pitch(samples / 32768, RATE) - 220) < 2


def test_streamed_wav_leaves_its_sizes_open_and_a_whole_one_states_them():
  streamed = SpeechEncoder('wav').add(TONE)[:44]
  assert streamed[4:8] == streamed[40:44] == b'\xff\xff\xff\xff'
  with wave_file.open(io.BytesIO(encode_whole(TONE, 'wav'))) as file:
    assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, RATE)
  assert len(wav_header(None)) == 44


def test_parts_are_encoded_as_the_whole_is():
  encoder = SpeechEncoder('pcm')
  parts = b''.join(encoder.add(part) for part in np.array_split(TONE, 7)) + encoder.finish()
  together, whole = (np.frombuffer(data, '<i2').astype(int) for data in (parts, encode_whole(TONE, 'pcm')))
  assert len(together) == len(whole) and np.abs(together - whole).max() <= 1


@pytest.mark.parametrize('tempo', [0.25, 0.6, 1.3, 4.0])
def test_tempo_changes_the_length_and_not_the_pitch(tempo):
  changed = change_tempo(np.tile(TONE, 3), SAMPLE_RATE, tempo)
  assert len(changed) == round(3 * SAMPLE_RATE / tempo)
  middle = changed[len(changed) // 4 : len(changed) * 3 // 4]
  assert pitch(middle, SAMPLE_RATE) == pytest.approx(220, abs=6)
