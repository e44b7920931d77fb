import numpy as np
import pytest

from dubber_jax.media import film as module
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.video import write_silent_clip
from dubber_jax.types import SAMPLE_RATE


@pytest.fixture
def film(tmp_path):
  write_silent_clip(tmp_path / 'silent.mp4', np.zeros((50, 16, 16, 3), np.uint8))
  tone = np.stack([0.2 * np.sin(np.arange(2 * SOUND_RATE) * 0.05), np.zeros(2 * SOUND_RATE)], axis=1)
  write_dubbed(tmp_path / 'silent.mp4', tone.astype(np.float32), SOUND_RATE, tmp_path / 'film.mkv')
  return Film(tmp_path / 'film.mkv')


def test_film_is_probed_once_and_its_sound_decoded_once(film, monkeypatch):
  calls = []
  for name in ('probe', 'read_sound'):
    function = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, f=function, n=name, **k: calls.append(n) or f(*a, **k))
  for _ in range(2):
    assert film.info.has_sound and film.seconds == pytest.approx(2.0, abs=0.05)
    assert len(film.sound) == pytest.approx(2 * SOUND_RATE, abs=3000) and film.mono.ndim == 1
  assert calls == ['probe', 'read_sound']


def test_mono_is_the_mean_of_the_channels_at_the_models_rate(film):
  assert film.sound.shape[1] == 2 and len(film.mono) == pytest.approx(2 * SAMPLE_RATE, abs=1500)
  middle = film.mono[SAMPLE_RATE // 2 : SAMPLE_RATE]
  assert np.std(middle) == pytest.approx(0.1 / np.sqrt(2), rel=0.05)


def test_frames_are_those_of_the_part(film):
  frames, seconds = film.frames(0.4, 1.2)
  assert frames.shape == (20, 16, 16, 3) and seconds == pytest.approx(0.8)


def test_two_files_of_the_same_content_have_one_hash(film, tmp_path):
  (tmp_path / 'copy.mkv').write_bytes(film.path.read_bytes())
  assert Film(tmp_path / 'copy.mkv').hash == film.hash and len(film.hash) == 16
