import numpy as np
import pytest
from PIL import Image

from dubber_jax.evaluation.benchmark.plots import draw_ablations, draw_gains, draw_groups
from dubber_jax.evaluation.bootstrap import Gain, Interval

GAINS = [Gain(0.2, 0.1, 0.3, 40), Gain(0.0, -0.1, 0.1, 40)]
VALUES = {'angry': Interval(0.5, 0.4, 0.6, 9), 'sad': Interval(0.3, 0.2, 0.4, 9)}


@pytest.mark.parametrize(
  'draw',
  [
    lambda path: draw_gains(path, {'MOS': [('on over off', g) for g in GAINS]}, {'MOS': 0.189}),
    lambda path: draw_ablations(path, ['scene', 'face'], {'accuracy': GAINS}, {'accuracy': [-0.02, None]}),
    lambda path: draw_groups(path, {'accuracy': {'off': VALUES, 'on': VALUES}}, 'mean'),
  ],
  ids=['gains', 'ablations', 'groups'],
)
def test_a_plot_is_written_and_is_not_blank(draw, tmp_path):
  draw(tmp_path / 'plot.png')
  assert np.asarray(Image.open(tmp_path / 'plot.png').convert('L')).std() > 10
  assert [p.name for p in tmp_path.iterdir()] == ['plot.png']
