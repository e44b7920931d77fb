"""Films of any frame rate and timecode, and lines that hum."""

from fractions import Fraction

import av
import numpy as np
import pytest

from dubber_jax.dubbing.editorial.lines import EditorialLine
from dubber_jax.types import SAMPLE_RATE, Line


@pytest.fixture
def make_film(tmp_path):
  """(rate, timecode, seconds, name) -> the path of a film of small gray pictures, without sound."""

  def make(rate=Fraction(25), timecode=None, seconds=1.0, name='film.mov'):
    path = tmp_path / name
    with av.open(str(path), 'w') as film:
      stream = film.add_stream('libx264', rate=rate, options={'preset': 'ultrafast'})
      stream.width = stream.height = 32
      stream.pix_fmt = 'yuv420p'
      if timecode:
        stream.metadata['timecode'] = timecode
      for level in range(round(seconds * rate)):
        film.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), level % 200, np.uint8))))
      film.mux(stream.encode(None))
    return path

  return make


@pytest.fixture
def make_line():
  """(number, text, start, end, character, ...) -> a line whose take is a tone as long as its slot."""

  def make(number, text, start, end, character='Anna', level=0.1, **more):
    time = np.arange(round((end - start + more.get('overrun', 0)) * SAMPLE_RATE)) / SAMPLE_RATE
    wave = (level * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    return EditorialLine(number, Line(text, start, end, character), lambda: wave, **more)

  return make
