"""Sound files of speech: every format decodes to the sound's own length, with its tag."""

import io

import av
import numpy as np
import pytest
import soundfile

from dubber_jax.errors import BadInput
from dubber_jax.media.encode import FORMATS, sound_format, write_sound

RATES = {'.wav': 22_050, '.flac': 22_050, '.mp3': 44_100, '.opus': 48_000, '.ogg': 44_100, '.m4a': 44_100}
CODECS = {'.wav': 'pcm_s16le', '.flac': 'flac', '.mp3': 'mp3float', '.opus': 'opus', '.ogg': 'vorbis', '.m4a': 'aac'}
FRAME = {'.wav': 0, '.flac': 0, '.mp3': 0, '.opus': 0, '.ogg': 1024, '.m4a': 1024}  # samples that the end may be off


def chirp(samples, rate=22_050):
  time = np.arange(samples) / rate
  return (0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time)).astype(np.float32)


@pytest.mark.parametrize('suffix', FORMATS)
@pytest.mark.parametrize('samples', [300, 44_223])
def test_the_sound_comes_back_in_place_and_at_its_length(tmp_path, suffix, samples):
  path, wave = tmp_path / f'line{suffix}', chirp(samples)
  write_sound(path, wave, 22_050, 'Ça — “va”,\n= ?')
  with av.open(str(path)) as file:
    stream = file.streams.audio[0]
    tags = {name.lower(): value for name, value in {**file.metadata, **stream.metadata}.items()}
    decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(stream)])
    assert (stream.codec_context.name, stream.rate, stream.channels) == (CODECS[suffix], RATES[suffix], 1)
  assert tags.get('title') == (None if suffix == '.wav' else 'Ça — “va”, = ?')
  expected = round(samples * RATES[suffix] / 22_050)
  assert abs(len(decoded) - expected) <= FRAME[suffix]
  if suffix == '.ogg':
    decoded = soundfile.read(path)[0]
    assert len(decoded) == expected
  decoded = decoded / (32768 if decoded.dtype.kind == 'i' else 1)
  same = np.interp(np.arange(samples), np.arange(len(decoded)) * 22_050 / RATES[suffix], decoded)
  assert np.corrcoef(same, wave)[0, 1] > 0.99


def test_a_long_vorbis_file_is_written_whole(tmp_path):
  write_sound(tmp_path / 'long.ogg', np.zeros(22_050 * 70, np.float32), 22_050)
  assert soundfile.info(tmp_path / 'long.ogg').frames == 44_100 * 70


@pytest.mark.parametrize('name', ['line', 'line.aac', 'line.mp4', 'line.'])
def test_an_unknown_suffix_is_told_with_the_known_ones(name):
  with pytest.raises(BadInput, match=r'\.wav, \.flac, \.mp3, \.opus, \.ogg, \.m4a'):
    sound_format(name)


def test_capitals_of_a_suffix_do_not_matter(tmp_path):
  write_sound(tmp_path / 'A.FLAC', chirp(2205), 22_050)
  assert soundfile.info(io.BytesIO((tmp_path / 'A.FLAC').read_bytes())).format == 'FLAC'


def test_an_existing_file_stays_unless_told(tmp_path):
  (tmp_path / 'a.mp3').write_bytes(b'mine')
  with pytest.raises(BadInput, match='exists'):
    write_sound(tmp_path / 'a.mp3', chirp(2205), 22_050, overwrite=False)
  assert (tmp_path / 'a.mp3').read_bytes() == b'mine'
