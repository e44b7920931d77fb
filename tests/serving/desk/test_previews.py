import av
import numpy as np
import pytest
from desk_server import make_film

from dubber_jax.media.film import Film
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames
from dubber_jax.serving.desk.previews import is_playable, write_preview


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  folder = tmp_path_factory.mktemp('films')
  return {suffix: make_film(folder / f'film{suffix}', 3.0) for suffix in ('.mp4', '.mkv')}


def test_a_film_that_browsers_play_is_given_as_it_is(films):
  assert is_playable(Film(films['.mp4'])) and not is_playable(Film(films['.mkv']))


def test_a_preview_has_the_same_pictures_and_sound_at_the_same_times(films, tmp_path):
  out = tmp_path / 'preview.mp4'
  write_preview(Film(films['.mkv']), out)
  assert is_playable(Film(out)) and abs(probe(out).seconds - 3.0) < 0.15
  for second in (0.5, 1.5, 2.5):
    (theirs, _), (ours, _) = (read_frames(path, second, second + 0.04) for path in (films['.mkv'], out))
    assert np.abs(theirs[0].astype(int) - ours[0]).mean() < 12
  theirs, ours = (read_sound(path)[: 2 * 22050] for path in (films['.mkv'], out))
  assert np.corrcoef(theirs, ours)[0, 1] > 0.98
  with av.open(str(out)) as made:
    assert made.streams.video[0].codec_context.codec.name == 'h264'
  assert out.read_bytes().index(b'moov') < out.read_bytes().index(b'mdat')  # so that it plays while it is loaded
