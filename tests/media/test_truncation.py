"""Films that end early are told, however little is missing."""

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.truncation import missing_end
from dubber_jax.media.video import probe, read_frames

KINDS = ['.mp4', '.mkv', '.mov', '.webm', '.flv', '.avi', '.ts', '.mpg']
LIVE = ('.ts', '.mpg')  # whose packets alone state a length


@pytest.fixture(scope='module')
def whole(tmp_path_factory, media):
  folder = tmp_path_factory.mktemp('whole')
  kinds = {'.ts': ('mpegts', 'libx264', 'aac'), '.avi': ('avi', 'mpeg4', 'libmp3lame')}
  noise = np.random.default_rng(0).normal(0, 0.05, 96000).astype(np.float32)
  with pytest.MonkeyPatch.context() as patch:
    for suffix, codecs in kinds.items():
      patch.setitem(media.FILMS, suffix, codecs)
    faststart = ('.mp4', '.mov')
    return {s: media.film(folder / f'film{s}', sound=noise, faststart=s in faststart).read_bytes() for s in KINDS}


@pytest.mark.parametrize('suffix', KINDS)
def test_whole_film_is_not_taken_as_cut(suffix, whole, tmp_path):
  path = tmp_path / f'film{suffix}'
  path.write_bytes(whole[suffix])
  assert probe(path).warnings == ()


@pytest.mark.parametrize('suffix', [s for s in KINDS if s not in LIVE])
@pytest.mark.parametrize('missing', [2, 100, 0.03, 0.1, 0.5, 0.9])
def test_film_that_ends_early_is_refused(suffix, missing, whole, tmp_path):
  content, path = whole[suffix], tmp_path / f'cut{suffix}'
  path.write_bytes(content[: len(content) - (missing if missing >= 1 else round(missing * len(content)))])
  for action in (probe, read_frames):
    with pytest.raises(BadInput, match='cut off'):
      action(path)
  with pytest.raises(BadInput, match='cut off'):
    write_dubbed(path, np.zeros(96000, np.float32), 48000, tmp_path / 'dubbed.mkv')
  assert not (tmp_path / 'dubbed.mkv').exists()


@pytest.mark.parametrize('suffix', LIVE)
@pytest.mark.parametrize('missing', [1, 100, 0.03, 0.13, 0.3])
def test_recording_that_ends_within_a_packet_is_told(suffix, missing, whole, tmp_path):
  content, path = whole[suffix], tmp_path / f'cut{suffix}'
  path.write_bytes(content[: len(content) - (missing if missing >= 1 else round(missing * len(content)))])
  assert 'lost' in probe(path).warnings[0] or 'cut off' in probe(path).warnings[0]


@pytest.mark.parametrize(
  'content, name',
  [
    (b'', 'mov,mp4,m4a,3gp,3g2,mj2'),
    (b'\0\0\0\0mdat' + bytes(50), 'mov,mp4,m4a,3gp,3g2,mj2'),  # to the end of the file
    (bytes(50), 'mov,mp4,m4a,3gp,3g2,mj2'),
    (b'\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff' + bytes(9), 'matroska,webm'),  # live
    (b'RIFF\xff\xff\xff\xffWAVE' + bytes(50), 'wav'),  # streamed
    (bytes(1000), 'mpegts'),
    (bytes(1000), 'mpeg'),
    (bytes(1000), 'ogg'),
  ],
)
def test_files_that_state_no_size_are_not_taken_as_cut(content, name, tmp_path):
  (tmp_path / 'film').write_bytes(content)
  assert missing_end(tmp_path / 'film', name) == ''
