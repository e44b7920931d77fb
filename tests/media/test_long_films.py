"""Films of hours: parts are found without decoding what is before them, and muxing holds little in memory."""

import resource
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from dubber_jax.media import video
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.video import probe, read_frames

MUXERS = {'.mkv': 'matroska', '.mp4': 'mp4', '.ts': 'mpegts'}
PERIOD = 10  # s that are encoded, and repeated


def long_film(path, seconds: int, fps: int = 5):
  """A film of small pictures whose packets repeat every PERIOD s; picture i of a period is of shade 20 + 4 i."""
  base = path.with_name('period.mp4')
  with av.open(str(base), 'w') as file:
    pictures = file.add_stream('libx264', rate=fps, width=64, height=48, options={'preset': 'ultrafast', 'bf': '0'})
    sound = file.add_stream('aac', rate=48000, layout='mono', bit_rate=32000)
    for i in range(PERIOD * fps):
      frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 4 * i, np.uint8))
      frame.pts, frame.time_base = i, Fraction(1, fps)
      file.mux(pictures.encode(frame))
    file.mux(pictures.encode(None))
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000 * PERIOD), np.int16), format='s16', layout='mono')
    frame.sample_rate, frame.pts = 48000, 0
    file.mux(sound.encode(frame))
    file.mux(sound.encode(None))
  with av.open(str(base)) as file, av.open(str(path), 'w', format=MUXERS[path.suffix]) as out:
    streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in file.streams}
    packets = [p for p in file.demux() if p.size and 0 <= p.pts * p.time_base < PERIOD]
    packets = sorted(packets, key=lambda p: p.dts * p.time_base)
    kept = [(streams[p.stream.index], bytes(p), p.pts, p.dts, p.time_base, p.duration, p.is_keyframe) for p in packets]
    for begin in range(0, seconds, PERIOD):
      for stream, content, pts, dts, base_, duration, key in kept:
        packet, shift = av.Packet(content), round(begin / base_)
        packet.pts, packet.dts, packet.time_base, packet.duration = pts + shift, dts + shift, base_, duration
        packet.is_keyframe, packet.stream = key, stream
        out.mux(packet)
  return path


@pytest.mark.parametrize('suffix', MUXERS)
def test_part_far_into_a_film_is_read_without_what_is_before_it(suffix, tmp_path, monkeypatch):
  film, read = long_film(tmp_path / f'film{suffix}', 300), []
  assert probe(film).seconds == pytest.approx(300, abs=0.3)
  packets = video.timed_packets
  monkeypatch.setattr(
    video, 'timed_packets', lambda *a, **k: (read.append(packet) or packet for packet in packets(*a, **k))
  )
  frames, seconds = read_frames(film, 255.0, 257.0)
  assert seconds == 2.0 and len(frames) == 50 and len(read) < 250
  assert frames[10].mean() == pytest.approx(20 + 4 * 27, abs=5)  # at 5.4 s of the period


@pytest.mark.slow
@pytest.mark.parametrize('source, out', [('.mkv', '.mkv'), ('.mp4', '.mp4'), ('.ts', '.mkv')])
def test_film_of_two_hours_is_muxed_in_little_memory(source, out, tmp_path):
  film = long_film(tmp_path / f'film{source}', 7200)
  code = (
    'import resource, sys, numpy as np\n'
    'from dubber_jax.media.mux import write_dubbed\n'
    'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
    'blocks = (np.zeros((480000, 2), np.float32) for _ in range(720))\n'
    'assert write_dubbed(sys.argv[1], blocks, 48000, sys.argv[2]) == []\n'
    'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code, film, tmp_path / f'dubbed{out}'], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  assert int(done.stdout) * (1 if sys.platform == 'linux' else 1 / 1024) < 150_000  # kB
  assert probe(tmp_path / f'dubbed{out}').seconds == pytest.approx(7200, abs=0.3)


@pytest.mark.slow
def test_memory_of_muxing_does_not_grow_with_the_film(tmp_path):
  before = 0
  for seconds in (300, 1500):
    film = long_film(tmp_path / f'film_{seconds}.mkv', seconds)
    blocks = (np.zeros((480000, 1), np.float32) for _ in range(seconds // 10))
    write_dubbed(film, blocks, 48000, tmp_path / f'dubbed_{seconds}.mkv')
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if before:
      assert after - before < 30_000  # kB; 20 minutes more of mono sound are 230 MB
    before = after
