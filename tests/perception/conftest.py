import av
import numpy as np
import pytest


@pytest.fixture(scope='session')
def film(data_dir):
  """A function: path inside the data -> its frames (L, H, W, 3), none resampled (all are at about 25 a second)."""

  def read(file, step=1):
    with av.open(str(data_dir / file)) as container:
      frames = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    return np.stack(frames[::step])

  return read


@pytest.fixture(scope='session')
def recording(data_dir):
  """A function: path inside the data -> its sound at 16 kHz, mono."""

  def read(file):
    with av.open(str(data_dir / file)) as container:
      resampler = av.AudioResampler('flt', 'mono', 16000)
      parts = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts])

  return read
