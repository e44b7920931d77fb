"""Memory of a film of two hours: its sound and pictures pass by blocks."""

import json
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubber_jax.media.film import SOUND_RATE

PART = 60  # s that are encoded once and repeated


def long_film(path: Path, seconds: int) -> Path:
  """Writes a film of small pictures, one a second, with stereo sound, by repeating the packets of one minute."""
  rng = np.random.default_rng(0)
  with av.open(str(path), 'w', format='matroska') as film:
    pictures = film.add_stream('mpeg4', rate=1, width=64, height=48, pix_fmt='yuv420p')
    pictures.codec_context.gop_size = 10
    sound = film.add_stream('mp2', rate=SOUND_RATE, layout='stereo', bit_rate=128_000)
    wave = 0.1 * np.sin(2 * np.pi * np.array([[220.0], [330.0]]) * np.arange(PART * SOUND_RATE) / SOUND_RATE)
    packed = np.ascontiguousarray(np.round((wave + 0.01 * rng.standard_normal(wave.shape)) * 32767).T.astype(np.int16))
    frame = av.AudioFrame.from_ndarray(packed.reshape(1, -1), 's16', 'stereo')
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
    heard = [bytes(p) for encode in (frame, None) for p in sound.encode(encode)]
    seen = []
    for second in range(PART):
      shown = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), format='rgb24')
      shown.pts, shown.time_base = second, Fraction(1)
      seen += [(bytes(p), p.is_keyframe) for p in pictures.encode(shown)]
    seen += [(bytes(p), p.is_keyframe) for p in pictures.encode(None)]
    step, count = Fraction(1152, SOUND_RATE), 0
    for second in range(seconds):
      data, key = seen[second % PART]
      film.mux(_packet(data, pictures, second, Fraction(1), 1, key))
      while count * step < second + 1:
        film.mux(_packet(heard[count % len(heard)], sound, count * 1152, Fraction(1, SOUND_RATE), 1152, True))
        count += 1
  return path


def _packet(data, stream, time, base, duration, key):
  packet = av.Packet(data)
  packet.stream, packet.time_base = stream, base
  packet.pts = packet.dts = time
  packet.duration, packet.is_keyframe = duration, key
  return packet


def dub_long_film(folder: Path, seconds: int) -> float:
  """Dubs such a film with a stand-in for the actor and for the separator -> the peak of memory in MB."""
  import test_film as stand_ins

  from dubber_jax.dubbing.cast import Cast
  from dubber_jax.dubbing.film import dub
  from dubber_jax.dubbing.request import DubOptions, DubRequest
  from dubber_jax.types import Line

  class Half:
    def remove_dialogue(self, blocks):
      return (block / 2 for block in blocks)

  patch = pytest.MonkeyPatch()
  patch.setattr('dubber_jax.dubbing.line.dub_line', stand_ins.Actor())
  patch.setattr('dubber_jax.dubbing.film.check_separator', lambda name: None)
  patch.setattr('dubber_jax.dubbing.export.open_separator', lambda name: Half())
  film = long_film(folder / 'long.mkv', seconds)
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  starts = np.linspace(1, seconds - 5, 6)
  lines = [Line('Good day.', float(s), float(s) + 2.0, 'Anna' if i % 2 else 'Ben') for i, s in enumerate(starts)]
  model = stand_ins.Model(stand_ins.Config(), {}, None, {}, folder)
  (folder / 'MANIFEST.json').write_text('{}')
  options = DubOptions(report=False)
  cast = Cast({'anna': stand_ins.a_voice('anna', 1), 'ben': stand_ins.a_voice('ben', 2)})
  request = DubRequest.of(film, lines, cast, folder / 'out.mkv', options, folder / 'project')
  dub(request, model, stand_ins.LIBRARY, stand_ins.planned)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  print(json.dumps({'seconds': seconds, 'before': before, 'peak': peak}))
  return peak


@pytest.mark.slow
def test_two_hours_take_hardly_more_memory_than_ten_minutes(tmp_path):
  peaks = {}
  for seconds in (600, 7200):
    folder = tmp_path / str(seconds)
    folder.mkdir()
    paths = [str(path) for path in (Path(__file__).parent, *Path(__file__).parents[1:3])]
    code = f'import sys; sys.path[:0] = {paths}; import test_long_film as t; '
    code += f't.dub_long_film(t.Path({str(folder)!r}), {seconds})'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    peaks[seconds] = json.loads(done.stdout.splitlines()[-1])['peak']
  assert peaks[7200] - peaks[600] < 0.1 * (7200 - 600)  # MB
  assert peaks[7200] < 2000
