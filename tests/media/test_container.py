import av
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.container import check_span, choose_track, header_seconds, last_packet_end, open_media
from dubber_jax.media.sound import write_wav


@pytest.fixture
def sound(tmp_path):
  write_wav(tmp_path / 'a.wav', np.zeros(24000, np.float32), 16000)
  return tmp_path / 'a.wav'


def test_duration_by_the_header_agrees_with_the_packets(sound):
  with open_media(sound) as container:
    assert header_seconds(container, choose_track(container, 'audio', sound)) == pytest.approx(1.5)
  assert last_packet_end(sound) == pytest.approx(1.5)


def test_missing_tracks_are_named(sound):
  with pytest.raises(BadInput, match='no picture track'), open_media(sound) as container:
    choose_track(container, 'video', sound)
  with pytest.raises(BadInput, match='no sound track 1; it has 1'), open_media(sound) as container:
    choose_track(container, 'audio', sound, track=1)


def test_failure_while_reading_is_bad_input(sound):
  with pytest.raises(BadInput, match='export it again'), open_media(sound):
    raise av.error.InvalidDataError(1, 'broken')


@pytest.mark.parametrize('start, end', [(-1.0, None), (2.0, 1.0), (float('nan'), None), (None, 0.0)])
def test_spans_that_are_not_spans_are_refused(start, end):
  with pytest.raises(BadInput, match='part'):
    check_span('film.mp4', start, end)
