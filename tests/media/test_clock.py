import av
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.media.clock import clock_of, fill_unknown, find_jumps, follow, join_clocks
from dubber_jax.media.container import open_media
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames


@pytest.fixture
def parts(tmp_path, media, monkeypatch):
  """Makes a stream of two parts of 1 s, pictures 0 to 24 each, the second one's clock `jump` s on."""
  monkeypatch.setitem(media.FILMS, '.ts', ('mpegts', 'libx264', 'aac'))

  def make(jump: float, suffix='.ts'):
    if suffix == '.mpg':
      first = media.film(tmp_path / f'a{suffix}', seconds=1.0, sound=media.clicks(1.0))
      second = media.film(tmp_path / f'b{suffix}', seconds=1.0, sound=media.clicks(1.0))
      contents = [first.read_bytes(), second.read_bytes()]
    else:
      contents = []
      for offset in (0.0, jump):
        path = tmp_path / 'part.ts'
        with av.open(str(path), 'w', format='mpegts', container_options={'mpegts_copyts': '1'}) as file:
          with av.open(str(media.film(tmp_path / 'part.mp4', seconds=1.0, sound=media.clicks(1.0)))) as source:
            outs = {s.index: file.add_stream_from_template(s, opaque=True) for s in source.streams}
            for packet in source.demux():
              if packet.size:
                shift = round((offset + 5) / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                  packet.pts + shift,
                  packet.dts + shift,
                  outs[packet.stream.index],
                )
                file.mux(packet)
        contents.append(path.read_bytes())
    (tmp_path / f'joined{suffix}').write_bytes(b''.join(contents))
    return tmp_path / f'joined{suffix}'

  return make


@pytest.mark.parametrize('jump', [0.0, 5000.0, -2.0])
def test_parts_whose_clock_jumps_or_restarts_are_joined(jump, parts, tmp_path, media):
  film = parts(jump)
  info = probe(film)
  assert info.seconds == pytest.approx(2.0, abs=0.12) and 'clock jumps at' in info.warnings[0]
  frames, seconds = read_frames(film)
  assert seconds == pytest.approx(2.0, abs=0.12)
  shown = media.index_of(frames)
  assert shown[:25] == [i % 10 for i in range(25)] and shown[-24:] == [i % 10 for i in range(1, 25)]
  assert len(read_sound(film, 48000)) == pytest.approx(96000, abs=6000)
  part, _ = read_frames(film, start=seconds - 0.4, end=seconds)
  assert media.index_of(part) == shown[-10:]


@pytest.mark.parametrize('out', ['.mp4', '.mkv'])
def test_joined_parts_are_muxed_with_all_their_pictures(out, parts, tmp_path):
  film = parts(5000.0)
  told = write_dubbed(film, np.zeros(96000, np.float32), 48000, tmp_path / f'dubbed{out}', options=MuxOptions())
  assert not any('encoded again' in line for line in told)
  counts = []
  for path in (film, tmp_path / f'dubbed{out}'):
    with av.open(str(path)) as file:
      counts.append([sum(bool(p.size) for p in file.demux(file.streams.video[0])), len(file.streams.audio)])
  assert counts == [[50, 1], [50, 2]]
  assert probe(tmp_path / f'dubbed{out}').seconds == pytest.approx(2.0, abs=0.12)


def test_program_stream_of_two_parts_is_joined(parts, media):
  frames, seconds = read_frames(parts(0.0, '.mpg'))
  assert seconds == pytest.approx(2.0, abs=0.15) and media.index_of(frames)[-20:] == [i % 10 for i in range(5, 25)]


def test_film_of_one_clock_has_no_jump(tmp_path, media):
  for suffix in ('.mpg', '.mp4'):
    film = media.film(tmp_path / f'film{suffix}')
    with open_media(film) as container:
      assert not clock_of(container, film).jumps
    assert probe(film).warnings == ()


@pytest.mark.parametrize(
  'times, jumps',
  [
    ([0, 1, 2, 3], []),
    ([0, 1, 2, 0, 1, 2], [3]),
    ([0, 1, 2, 5000, 5001], [3]),
    ([0, 1, 900, 3, 4], []),  # one stray time
    ([0, 1, 2, 3, 900], []),
    ([0, 1, np.nan, 3, 0, 1], [4]),
    ([5, 6, 0, 1, 0, 1], [2, 4]),
    ([0, 8, 16, 24], []),  # pauses
  ],
)
def test_jumps_are_told_from_stray_times_and_pauses(times, jumps):
  assert find_jumps(fill_unknown(np.array(times, float))) == jumps


def test_unknown_times_are_those_before():
  nan = np.nan
  np.testing.assert_array_equal(fill_unknown(np.array([nan, 1, nan, 2])), [1, 1, 1, 2])
  np.testing.assert_array_equal(fill_unknown(np.array([nan, nan])), [0, 0])


def test_track_with_pauses_follows_the_leading_one():
  parts = [np.arange(0, 10.0), np.arange(100, 110.0)]
  np.testing.assert_array_equal(follow(np.array([2, 9, 101.0]), parts), [0, 2])
  np.testing.assert_array_equal(follow(np.array([105.0]), parts), [0, 0])
  np.testing.assert_array_equal(follow(np.array([2, 9, 1.0]), [parts[0], parts[0]]), [0, 2])


def test_tracks_that_do_not_jump_together_are_refused():
  def track(times):
    times = np.array(times, float)
    return times, np.stack([times, times + 1], 1)

  first, second = track([0, 1, 2, 0, 1, 2]), track([0, 1, 2, 3, 4, 5])
  with pytest.raises(BadInput, match='jumps after'):
    join_clocks({0: first[0], 1: second[0]}, {0: first[1], 1: second[1]}, [0, 1], 'film.ts')
