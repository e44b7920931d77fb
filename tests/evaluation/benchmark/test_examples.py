import re
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.evaluation.benchmark.examples import Example, draw_mel, write_page
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.media.sound import read_sound
from dubber_jax.types import SAMPLE_RATE


def test_every_sound_and_picture_that_the_page_names_lies_beside_it(tmp_path):
  wave = 0.1 * np.sin(np.arange(SAMPLE_RATE) / 10).astype(np.float32)
  groups = {'a <voice>': [('Is it <b>?', [Example('recording', wave), Example('spoken', wave[: SAMPLE_RATE // 2])])]}
  write_page(tmp_path / 'index.html', 'Voices', groups)
  page = (tmp_path / 'index.html').read_text()
  named = re.findall(r'src="([^"]+)"', page)
  assert len(named) == 4 and all((tmp_path / name).stat().st_size for name in named)
  assert '<b>' not in page and '&lt;b&gt;' in page
  assert len(read_sound(tmp_path / 'index' / '0-0-1.wav')) == SAMPLE_RATE // 2


def test_time_goes_right_and_pitch_goes_up():
  mel = np.full((30, 80), LOG_FLOOR)
  mel[20:, :10] = 2.0
  picture = np.asarray(draw_mel(mel), int).sum(-1)
  assert picture.shape == (160, 30)
  assert picture[-20:, 20:].min() > picture[:-20].max() and picture[-20:, 20:].min() > picture[:, :20].max()


@pytest.mark.parametrize('page', ['benchmarks/gains-sounds.html', 'restrained/index.html'])
def test_pages_of_the_results_have_the_style_that_is_written_now(tmp_path, page):
  kept = Path(__file__).parents[3] / 'docs' / 'results' / page
  write_page(tmp_path / 'now.html', 'Now', {})
  style, now = (path.read_text(encoding='utf-8').split('<style>')[1] for path in (kept, tmp_path / 'now.html'))
  assert style.split('</style>')[0] == now.split('</style>')[0], f'write {page} anew, or put the style into it'
