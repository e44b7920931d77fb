"""Films of kinds that users of other tools have reported as mishandled."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from dubber_jax.errors import BadInput
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames

SILENCE = np.zeros(96000, np.float32)


def dub(film, out, **options):
  return write_dubbed(film, SILENCE, 48000, out, overwrite=True, options=MuxOptions(**options))


def encode(path, muxer, codec, pixels='yuv420p', count=50, attributes=(), options=(), sides=(96, 64)):
  """A film without sound, picture i of the shade of the other tests' films; attributes: of the encoder."""
  with av.open(str(path), 'w', format=muxer) as file:
    stream = file.add_stream(codec, rate=25, width=sides[0], height=sides[1], pix_fmt=pixels, options=dict(options))
    for name, value in dict(attributes).items():
      setattr(stream.codec_context, name, value)
    for i in range(count):
      frame = av.VideoFrame.from_ndarray(np.full((sides[1], sides[0], 3), 25 + 22 * (i * 3 % 10), np.uint8))
      frame.pts, frame.time_base = i, Fraction(1, 25)
      file.mux(stream.encode(frame.reformat(format=pixels)))
    file.mux(stream.encode(None))
  return path


def remuxed(source, path, muxer, shift=0.0, only=('video', 'audio'), marks=None):
  """Copies a film's tracks; shift: seconds by track type that are added to their times."""
  with av.open(str(source)) as file, av.open(str(path), 'w', format=muxer) as out:
    streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in file.streams if s.type in only}
    for index, stream in streams.items():
      stream.disposition = marks if marks is not None else file.streams[index].disposition
    for packet in file.demux():
      if packet.size and packet.stream.index in streams:
        later = shift.get(packet.stream.type, 0.0) if isinstance(shift, dict) else shift
        ticks = round(later / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks if packet.dts is not None else None
        packet.stream = streams[packet.stream.index]
        out.mux(packet)
  return path


def picture_track(path):
  with av.open(str(path)) as file:
    stream = file.streams.video[0]
    context = stream.codec_context
    colors = context.color_primaries, context.color_trc, context.colorspace
    return stream.average_rate, context.sample_aspect_ratio, colors, context.pix_fmt, next(file.decode(stream))


@pytest.mark.parametrize('out', ['.mkv', '.mp4', '.mov'])
def test_pictures_that_an_edit_list_hides_stay_hidden(out, tmp_path, media):
  film = remuxed(media.film(tmp_path / 'film.mp4'), tmp_path / 'edited.mp4', 'mp4', shift=-0.2)
  shown = media.index_of(read_frames(film)[0])
  assert shown[:3] == [5, 6, 7]
  told = dub(film, tmp_path / f'dubbed{out}')
  new = media.index_of(read_frames(tmp_path / f'dubbed{out}')[0])
  assert new == shown and probe(tmp_path / f'dubbed{out}').seconds == pytest.approx(1.8, abs=0.03)
  assert any('edit list' in line for line in told) == (out == '.mkv')


@pytest.mark.parametrize('suffix, muxer', [('.mp4', 'mp4'), ('.mkv', 'matroska')])
def test_pictures_that_start_late_keep_their_time(suffix, muxer, tmp_path, media):
  film = remuxed(media.film(tmp_path / 'film.mp4'), tmp_path / f'late{suffix}', muxer, shift={'video': 0.8})
  assert probe(film).seconds == pytest.approx(2.8, abs=0.05)
  frames, seconds = read_frames(film)
  assert seconds == pytest.approx(2.8, abs=0.03)
  assert media.index_of(frames)[:20] == [0] * 20 and media.index_of(frames)[-20:] == [i % 10 for i in range(20)]
  dub(film, tmp_path / f'dubbed{suffix}')
  assert media.index_of(read_frames(tmp_path / f'dubbed{suffix}')[0]) == media.index_of(frames)
  old, new = (
    media.click_times(read_sound(path, 48000, track=track)[:96000], 48000)
    for path, track in ((film, 0), (tmp_path / f'dubbed{suffix}', 1))
  )
  np.testing.assert_allclose(new, old, atol=0.003)
  np.testing.assert_allclose(old, media.CLICKS, atol=0.022)  # Matroska has no place for AAC's padding


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv'])
def test_sound_that_starts_late_stays_late(suffix, tmp_path, media):
  film = media.film(tmp_path / f'film{suffix}', delay=0.3)
  dub(film, tmp_path / f'dubbed{suffix}')
  old, new = (read_sound(*given) for given in ((film, 48000), (tmp_path / f'dubbed{suffix}', 48000, None, None, 1)))
  assert np.flatnonzero(np.abs(new) > 0.1)[0] == pytest.approx(np.flatnonzero(np.abs(old) > 0.1)[0], abs=100)


def test_two_default_sounds_leave_one_default_the_dub(tmp_path, media):
  film = remuxed(media.film(tmp_path / 'a.mp4', sounds=2), tmp_path / 'film.mkv', 'matroska', marks=Disposition.default)
  dub(film, tmp_path / 'dubbed.mkv')
  with av.open(str(tmp_path / 'dubbed.mkv')) as file:
    assert [bool(s.disposition & Disposition.default) for s in file.streams.audio] == [True, False, False]


@pytest.mark.parametrize('codec, out', [('ffv1', '.mp4'), ('libx264', '.mkv'), ('libx264', '.mp4')])
def test_colors_of_a_wide_range_film_stay_marked_and_deep(codec, out, tmp_path):
  colors = {'color_primaries': 9, 'color_trc': 16, 'colorspace': 9}
  film = encode(tmp_path / 'film.mkv', 'matroska', codec, 'yuv420p10le', attributes=colors)
  assert any('encoded again' in line for line in dub(film, tmp_path / f'dubbed{out}')) == (codec == 'ffv1')
  _, _, found, pixels, frame = picture_track(tmp_path / f'dubbed{out}')
  assert found == (9, 16, 9) and pixels == 'yuv420p10le'
  assert (frame.color_primaries, frame.color_trc) == (9, 16)


@pytest.mark.parametrize('start', [None, 0.52])
def test_interlaced_pictures_stay_marked_with_their_first_field(start, tmp_path):
  fields = {'flags': '+ildct+ilme', 'x264-params': 'tff=1', 'preset': 'ultrafast'}
  film = encode(tmp_path / 'film.mkv', 'matroska', 'libx264', options=fields)
  assert picture_track(film)[4].interlaced_frame
  told = write_dubbed(film, SILENCE, 48000, tmp_path / 'dubbed.mp4', start=start)
  assert any('encoded again' in line for line in told) == (start is not None)
  assert picture_track(tmp_path / 'dubbed.mp4')[4].interlaced_frame


@pytest.mark.parametrize('codec, out', [('libx264', '.mkv'), ('libx264', '.webm'), ('libvpx-vp9', '.webm')])
def test_pictures_of_oblong_pixels_are_shown_as_wide_as_before_or_told(codec, out, tmp_path):
  film = encode(tmp_path / 'film.mp4', 'mp4', codec, attributes={'sample_aspect_ratio': Fraction(4, 3)}, sides=(96, 64))
  told = dub(film, tmp_path / f'dubbed{out}')
  *_, frame = picture_track(tmp_path / f'dubbed{out}')
  shape = picture_track(tmp_path / f'dubbed{out}')[1] or 1
  assert frame.width * shape / frame.height == pytest.approx(2.0) or any('shape of its pixels' in line for line in told)


@pytest.mark.parametrize(
  'codec, pixels',
  [
    ('ffv1', 'yuv422p'),
    ('ffv1', 'gray'),
    ('mpeg2video', 'yuv420p'),
    ('mjpeg', 'yuvj420p'),
    ('prores', 'yuv422p10le'),
  ],
)
def test_mkv_copies_what_it_holds(codec, pixels, tmp_path):
  film = encode(tmp_path / 'film.mkv', 'matroska', codec, pixels, count=10, sides=(98, 66))
  told = write_dubbed(film, SILENCE[:19200], 48000, tmp_path / 'dubbed.mkv')
  assert told == []
  contents = []
  for path in (film, tmp_path / 'dubbed.mkv'):
    with av.open(str(path)) as file:
      contents.append([bytes(p) for p in file.demux(file.streams.video[0]) if p.size])
  assert contents[0] == contents[1]


def test_pictures_of_odd_size_that_are_encoded_again_are_told_to_lose_a_row(tmp_path):
  film = encode(tmp_path / 'film.mkv', 'matroska', 'ffv1', 'yuv444p', sides=(97, 65))
  told = dub(film, tmp_path / 'dubbed.mp4')
  assert any('96x64' in line and '97x65' in line for line in told)
  assert (probe(tmp_path / 'dubbed.mp4').width, probe(tmp_path / 'dubbed.mp4').height) == (96, 64)


@pytest.mark.parametrize('out', ['.mkv', '.mp4', '.mov'])
def test_constant_rate_is_stated_as_before(out, tmp_path, media):
  dub(media.film(tmp_path / 'film.mp4', fps=30), tmp_path / f'dubbed{out}')
  assert picture_track(tmp_path / f'dubbed{out}')[0] == pytest.approx(30, abs=0.05)


@pytest.mark.parametrize('out, held', [('.mkv', True), ('.mp4', False), ('.webm', False)])
def test_subtitles_that_are_pictures_are_copied_or_told(out, held, tmp_path, media):
  base, film = media.film(tmp_path / 'a.mp4', sounds=0), tmp_path / 'film.mkv'
  with av.open(str(base)) as source, av.open(str(film), 'w', format='matroska') as file:
    pictures = file.add_stream_from_template(source.streams.video[0], opaque=True)
    signs = file.add_mux_stream('hdmv_pgs_subtitle')
    signs.metadata['language'] = 'fra'
    signs.time_base = Fraction(1, 1000)
    for packet in source.demux():
      if packet.size:
        packet.stream = pictures
        file.mux(packet)
    sign = av.Packet(bytes.fromhex('80 0000'))  # the end of a display set
    sign.stream, sign.pts, sign.dts, sign.time_base = signs, 500, 500, Fraction(1, 1000)
    file.mux(sign)
  told = dub(film, tmp_path / f'dubbed{out}')
  with av.open(str(tmp_path / f'dubbed{out}')) as file:
    assert [s.language for s in file.streams.subtitles] == (['fra'] if held else [])
  assert any('1 subtitle track' in line for line in told) == (not held)


def test_sound_file_with_a_cover_is_no_film(tmp_path, media):
  base, song = media.film(tmp_path / 'a.mp4', seconds=0.2), tmp_path / 'song.mkv'
  with av.open(str(base)) as source, av.open(str(song), 'w', format='matroska') as file:
    sound = file.add_stream_from_template(source.streams.audio[0], opaque=True)
    cover = encode(tmp_path / 'cover.jpg', 'image2', 'mjpeg', 'yuvj420p', count=1)
    file.add_attachment('cover.jpg', 'image/jpeg', cover.read_bytes())
    for packet in source.demux(source.streams.audio[0]):
      if packet.size:
        packet.stream = sound
        file.mux(packet)
  assert not probe(song).has_video and probe(song).has_sound
  with pytest.raises(BadInput, match='no picture track'):
    dub(song, tmp_path / 'dubbed.mp4')


def test_timecode_of_the_beginning_is_not_given_to_a_part(tmp_path, media):
  base, film = media.film(tmp_path / 'a.mp4'), tmp_path / 'film.mov'
  with av.open(str(base)) as source, av.open(str(film), 'w', format='mov') as file:
    out = file.add_stream_from_template(source.streams.video[0], opaque=True)
    out.metadata['timecode'] = '10:00:00:00'
    for packet in source.demux(source.streams.video[0]):
      if packet.size:
        packet.stream = out
        file.mux(packet)
  for start, timecode in ((None, '10:00:00:00'), (0.48, None)):
    told = write_dubbed(film, SILENCE, 48000, tmp_path / 'part.mov', overwrite=True, start=start)
    with av.open(str(tmp_path / 'part.mov')) as file:
      assert file.streams.video[0].metadata.get('timecode') == timecode
    assert any('timecode' in line for line in told) == (timecode is None)
