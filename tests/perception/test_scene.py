import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.perception.scene import read_scene, scene_statistics
from dubber_jax.types import EMOTIONS


def _plain(red, green, blue, frames=10):
  return np.full((frames, 90, 120, 3), (red, green, blue), np.uint8)


@pytest.mark.parametrize('color, hue', [((200, 0, 0), 0), ((0, 200, 0), 120), ((0, 0, 200), 240), ((200, 200, 0), 60)])
def test_hue_of_a_plain_color(color, hue):
  numbers = scene_statistics(_plain(*color))
  assert (numbers['hue'] - hue + 180) % 360 - 180 == pytest.approx(0, abs=0.5)
  assert numbers['saturation'] == pytest.approx(1) and numbers['brightness'] == pytest.approx(200 / 255, abs=1e-3)


def test_hues_on_either_side_of_red_average_to_red():
  numbers = scene_statistics(np.concatenate([_plain(200, 40, 0), _plain(200, 0, 40)]))
  assert min(numbers['hue'], 360 - numbers['hue']) < 2


def test_cut_is_counted_and_not_taken_for_motion():
  numbers = scene_statistics(np.concatenate([_plain(20, 20, 20), _plain(220, 220, 220)]))
  assert numbers['cuts'] == 1 and numbers['motion'] == pytest.approx(0)


def test_motion_is_measured():
  frames = _plain(60, 60, 60)
  for t in range(10):
    frames[t, :, t * 8 : t * 8 + 30] = 180
  assert scene_statistics(frames)['motion'] > 0.02 > scene_statistics(_plain(60, 60, 60))['motion']


def test_gray_picture_names_no_hue():
  assert 'hardly any colour' in read_scene(_plain(128, 128, 128))[2]


def test_emotion_depends_on_brightness():
  sunny = np.concatenate([_plain(255, 230, 120), _plain(250, 240, 140)])
  gloomy = _plain(20, 22, 30)
  bright, dark = read_scene(sunny)[1], read_scene(gloomy)[1]
  happy, sad = EMOTIONS.index('happy'), EMOTIONS.index('sad')
  assert bright[happy] > dark[happy] and dark[sad] > bright[sad]
  for probabilities in (bright, dark):
    assert probabilities.sum() == pytest.approx(1, abs=1e-4) and probabilities.max() < 0.8


def test_wrong_shape_is_refused():
  with pytest.raises(BadInput):
    read_scene(np.zeros((0, 4, 4, 3), np.uint8))
