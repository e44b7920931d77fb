"""Tracks, chapters, tags and attachments of a film in its dubbed version."""

import io
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

from dubber_jax.errors import BadInput
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.media.remux import ASS_HEADER
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames

CUES = [(0.5, 0.9, 'Guten Tag.'), (1.2, 1.7, 'Auf Wiedersehen.')]
TAGS = {'title': 'The Film', 'artist': 'Somebody', 'comment': 'of two tracks'}
QUICKTIME = ('.mp4', '.mov')


def jpeg() -> bytes:
  file = io.BytesIO()
  with av.open(file, 'w', format='image2pipe') as out:
    stream = out.add_stream('mjpeg', rate=1, width=32, height=32, pix_fmt='yuvj420p')
    out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 120, np.uint8))))
    out.mux(stream.encode(None))
  return file.getvalue()


def rich_film(path, subtitles=None, cover=True, tags=TAGS, layout='stereo', picture=()):
  """A film of 2 s with everything that its container holds: two sounds, subtitles, chapters, timecode, tags, a font and
  a cover. picture: attributes of the picture track's encoder."""
  muxer = {'.mkv': 'matroska', '.mp4': 'mp4', '.mov': 'mov'}[path.suffix]
  subtitles = subtitles or ('mov_text' if path.suffix in QUICKTIME else 'subrip')
  with av.open(str(path), 'w', format=muxer) as file:
    pictures = file.add_stream('libx264', rate=25, width=96, height=64, pix_fmt='yuv420p')
    pictures.options = {'preset': 'ultrafast'}
    for name, value in dict(picture).items():
      setattr(pictures.codec_context, name, value)
    pictures.metadata.update({'title': 'Pictures', 'timecode': '01:00:00:00'})
    sounds = [file.add_stream('aac', rate=48000, layout=layout) for _ in range(2)]
    sounds[0].metadata.update({'language': 'ger', 'title': 'Original'})
    sounds[1].metadata.update({'language': 'fra', 'title': 'Comment'})
    sounds[0].disposition, sounds[1].disposition = Disposition.default, Disposition.comment
    text = file.add_stream(subtitles)
    text.metadata.update({'language': 'ger', 'title': 'Untertitel'})
    text.codec_context.subtitle_header = ASS_HEADER
    text.codec_context.time_base = text.time_base = Fraction(1, 1000)
    file.metadata.update(tags)
    file.set_chapters(
      [
        {'id': i, 'start': s, 'end': e, 'time_base': Fraction(1, 1000), 'metadata': {'title': title}}
        for i, (s, e, title) in enumerate([(0, 800, 'One'), (800, 2000, 'Two')], 1)
      ]
    )
    if path.suffix == '.mkv':
      file.add_attachment('font.ttf', 'application/x-truetype-font', b'\0\1font' * 100)
    first = None
    if cover and path.suffix == '.mkv':
      file.add_attachment('cover.jpg', 'image/jpeg', jpeg())
    elif cover and path.suffix == '.mp4':
      with av.open(io.BytesIO(jpeg()), format='jpeg_pipe') as image:
        stream = file.add_stream_from_template(image.streams.video[0], opaque=True)
      stream.disposition = Disposition.attached_pic
      first = Packet(jpeg())
      first.stream, first.pts, first.dts, first.time_base = stream, 0, 0, Fraction(1, 25)
    for i in range(50):
      frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 25 + 22 * (i * 3 % 10), np.uint8))
      frame.pts, frame.time_base = i, Fraction(1, 25)
      file.mux(pictures.encode(frame))
    file.mux(pictures.encode(None))
    if first is not None:
      file.mux(first)
    for number, stream in enumerate(sounds):
      channels = len(stream.codec_context.layout.channels)
      tone = 3000 * np.sin(np.arange(96000) * 2 * np.pi * 400 * (number + 1) / 48000)
      frame = av.AudioFrame.from_ndarray(np.repeat(tone.astype(np.int16), channels)[None], format='s16', layout=layout)
      frame.sample_rate, frame.pts = 48000, 0
      file.mux(stream.encode(frame))
      file.mux(stream.encode(None))
    for start, end, words in CUES:
      line = f'0,0,Default,,0,0,0,,{{\\i1}}{words}{{\\i0}}'.encode()
      packet = text.codec_context.encode_subtitle(
        SubtitleSet.create(line, 0, round((end - start) * 1000), round(start * 1000))
      )
      packet.stream, packet.time_base = text, Fraction(1, 1000)
      file.mux(packet)
  return path


def dub(film, out, **options):
  sound = np.zeros((96000, 2), np.float32)
  return write_dubbed(film, sound, 48000, out, overwrite=True, options=MuxOptions(**options))


def described(path) -> list[tuple]:
  """(type, codec, language, title, marks) of each track, without those that a muxer makes of chapters and timecode."""
  with av.open(str(path)) as file:
    return [
      (
        s.type,
        s.codec_context.name if s.codec_context else s.name,
        s.metadata.get('language', 'und'),
        s.metadata.get('title', s.metadata.get('name', '')),
        s.disposition,
      )
      for s in file.streams
      if s.type != 'data'
    ]


def cues(path, track=0) -> list[tuple[float, float, str]]:
  """(start s, end s, words) of a text subtitle track."""
  found = []
  with av.open(str(path)) as file:
    stream = file.streams.subtitles[track]
    for packet in file.demux(stream):
      texts = [re.sub('{.*?}', '', shown.dialogue.decode()) for shown in stream.decode(packet)] if packet.size else []
      if texts and texts[0].strip():
        start = float(packet.pts * packet.time_base)
        found.append((start, start + float(packet.duration * packet.time_base), texts[0]))
  return found


def check_cues(path, track=0):
  assert [words for *_, words in cues(path, track)] == [words for *_, words in CUES]
  assert [c[:2] for c in cues(path, track)] == [pytest.approx(cue[:2], abs=0.022) for cue in CUES]  # a frame of AAC


def chapters(path) -> list[tuple[float, float, str]]:
  with av.open(str(path)) as file:
    return [
      (float(c['start'] * c['time_base']), float(c['end'] * c['time_base']), c['metadata']['title'])
      for c in file.chapters()
    ]


@pytest.mark.parametrize('source', ['.mkv', '.mp4', '.mov'])
def test_mkv_has_everything_that_a_film_had(source, tmp_path):
  film, out = rich_film(tmp_path / f'film{source}'), tmp_path / 'dubbed.mkv'
  assert dub(film, out) == []
  kinds = [(kind, language, title) for kind, _, language, title, _ in described(out)]
  assert kinds[:5] == [
    ('video', 'und', 'Pictures'),
    ('audio', 'eng', 'Dub'),
    ('audio', 'deu', 'Original'),
    ('audio', 'fra', 'Comment'),
    ('subtitle', 'deu', 'Untertitel'),
  ]
  with av.open(str(out)) as file:
    tags = {key.lower(): value for key, value in file.metadata.items()}
    assert TAGS.items() <= tags.items()
    assert file.streams.video[0].metadata['TIMECODE'] == '01:00:00:00'
    covers = [s for s in file.streams.video if s.disposition & Disposition.attached_pic]
    assert len(covers) == (source != '.mov')
    fonts = [(s.name, s.mimetype, len(s.data)) for s in file.streams.attachments]
    assert fonts == ([('font.ttf', 'application/x-truetype-font', 600)] if source == '.mkv' else [])
  assert chapters(out) == [(0, 0.8, 'One'), (0.8, 2.0, 'Two')]
  check_cues(out)


def test_dub_is_the_default_sound_and_no_other_one(tmp_path):
  film, out = rich_film(tmp_path / 'film.mkv'), tmp_path / 'dubbed.mkv'
  dub(film, out)
  marks = [mark for kind, *_, mark in described(out) if kind == 'audio']
  assert marks == [Disposition.default, Disposition(0), Disposition.comment]


@pytest.mark.parametrize('source', ['.mkv', '.mp4'])
def test_further_sounds_are_copied_bit_for_bit_but_for_padding_before_the_pictures(source, tmp_path):
  film, out = rich_film(tmp_path / f'film{source}'), tmp_path / f'dubbed{source}'
  dub(film, out)

  def content(path, track):
    with av.open(str(path)) as file:
      return [bytes(p) for p in file.demux(file.streams.audio[track]) if p.size]

  padding = int(source == '.mkv')  # AAC's first packet; MP4 hides it by an edit list
  assert [content(out, 1), content(out, 2)] == [content(film, 0)[padding:], content(film, 1)[padding:]]


def test_source_sound_can_be_replaced_and_chosen(tmp_path):
  film, out = rich_film(tmp_path / 'film.mkv'), tmp_path / 'dubbed.mkv'
  for track, left in [(None, 'Comment'), (0, 'Comment'), (1, 'Original')]:
    assert dub(film, out, tracks='replace', audio_track=track, language='fre', title='VF') == []
    sounds = [(language, title) for kind, _, language, title, _ in described(out) if kind == 'audio']
    assert [title for _, title in sounds] == ['VF', left] and sounds[0][0] == 'fra'
  with pytest.raises(BadInput, match='no sound track 2; it has 2'):
    dub(film, out, audio_track=2)


@pytest.mark.parametrize('suffix', QUICKTIME)
def test_mp4_holds_what_it_can_and_the_rest_is_told_in_a_line_a_kind(suffix, tmp_path):
  film = rich_film(tmp_path / 'film.mkv', subtitles='ass', tags=TAGS | {'MY_TAG': 'mine'})
  out = tmp_path / f'dubbed{suffix}'
  told = dub(film, out)
  kinds = [(kind, codec, language) for kind, codec, language, *_ in described(out)]
  assert kinds[1:5] == [
    ('audio', 'aac', 'eng'),
    ('audio', 'aac', 'deu' if suffix == '.mp4' else 'ger'),
    ('audio', 'aac', 'fra'),
    ('subtitle', 'mov_text', 'deu' if suffix == '.mp4' else 'ger'),
  ]
  assert chapters(out) == [(0, 0.8, 'One'), (0.8, 2.0, 'Two')]
  check_cues(out)
  with av.open(str(out)) as file:
    assert file.streams.video[0].metadata['timecode'] == '01:00:00:00' and file.metadata['title'] == 'The Film'
  words = ['few of their styles', '1 attachment', 'tags of the film: MY_TAG']
  words += ['1 cover picture', 'marks of its tracks: comment'] if suffix == '.mov' else []
  assert len(told) == len(words) and all(any(word in line for line in told) for word in words)


def test_tags_without_a_place_in_mp4_are_kept_as_keys(tmp_path):
  film, out = rich_film(tmp_path / 'film.mkv', cover=False, tags=TAGS | {'MY_TAG': 'mine'}), tmp_path / 'dubbed.mp4'
  assert not any('tags' in line for line in dub(film, out))
  with av.open(str(out)) as file:
    assert file.metadata['MY_TAG'] == 'mine' and file.metadata['title'] == 'The Film'


def test_webm_has_webvtt_and_tells_of_sound_that_it_cannot_hold(tmp_path):
  film, out = rich_film(tmp_path / 'film.mkv'), tmp_path / 'dubbed.webm'
  told = dub(film, out)
  assert [codec for kind, codec, *_ in described(out)] == ['vp9', 'opus', 'webvtt'] and chapters(out)[1][2] == 'Two'
  check_cues(out)
  assert any('2 sound tracks of the film (aac)' in line for line in told) and any(
    '1 attachment' in line for line in told
  )


@pytest.mark.parametrize('suffix', ['.flv', '.mpg'])
def test_containers_of_pictures_and_sound_alone_tell_all_that_is_missing(suffix, tmp_path):
  told = '\n'.join(dub(rich_film(tmp_path / 'film.mkv'), tmp_path / f'dubbed{suffix}'))
  for word in (
    'sound track',
    'subtitle track',
    'attachment',
    'cover',
    'chapters',
    'title',
  ):
    assert word in told
  assert [kind for kind, *_ in described(tmp_path / f'dubbed{suffix}')] == ['video', 'audio']


@pytest.mark.parametrize(
  'suffix, codec', [('.mkv', 'srt'), ('.mp4', 'mov_text'), ('.mov', 'mov_text'), ('.webm', 'webvtt')]
)
def test_subtitles_of_the_dub_are_muxed_before_the_films_own(suffix, codec, tmp_path):
  (tmp_path / 'dub.srt').write_text(
    '1\n00:00:00,250 --> 00:00:00,750\nGood day.\n\n2\n00:00:01,000 --> 00:00:01,900\nBye.\n'
  )
  film, out = rich_film(tmp_path / 'film.mkv'), tmp_path / f'dubbed{suffix}'
  dub(film, out, subtitles=(tmp_path / 'dub.srt',))
  found = [track for track in described(out) if track[0] == 'subtitle']
  assert [track[1] for track in found] == [codec, codec]
  assert found[0][2:4] == ('eng', 'Dub') and not found[0][4] & Disposition.forced
  assert [words for *_, words in cues(out)] == ['Good day.', 'Bye.'] and len(cues(out, 1)) == 2
  assert [c[:2] for c in cues(out)] == [pytest.approx((0.25, 0.75)), pytest.approx((1.0, 1.9))]


def test_subtitles_that_a_container_cannot_hold_are_told_of(tmp_path, media):
  (tmp_path / 'dub.srt').write_text('1\n00:00:00,250 --> 00:00:00,750\nGood day.\n')
  film = media.film(tmp_path / 'film.flv')
  told = dub(film, tmp_path / 'dubbed.flv', tracks='replace', subtitles=(tmp_path / 'dub.srt',))
  assert told == ['flv holds no subtitles: dub.srt was left out']
  with pytest.raises(BadInput, match=r'none\.srt'):
    dub(film, tmp_path / 'dubbed.mkv', subtitles=(tmp_path / 'none.srt',))


def blocks(channels, seconds=2.0):
  time = np.arange(round(48000 * seconds)) / 48000
  wave = np.stack([0.1 * (1 + k) / channels * np.sin(2 * np.pi * (200 + 100 * k) * time) for k in range(channels)], 1)
  return wave.astype(np.float32), (wave[i : i + 9600].astype(np.float32) for i in range(0, len(wave), 9600))


@pytest.mark.parametrize('suffix, channels', [('.mp4', 6), ('.mkv', 6), ('.mov', 2), ('.webm', 1), ('.flv', 6)])
def test_sound_comes_in_blocks_and_keeps_its_channels(suffix, channels, tmp_path, media):
  film = media.film(tmp_path / 'film.mp4', sounds=0)
  wave, parts = blocks(channels)
  told = write_dubbed(film, parts, 48000, tmp_path / f'dubbed{suffix}')
  assert not any('sound' in line for line in told)
  with av.open(str(tmp_path / f'dubbed{suffix}')) as file:
    stream = file.streams.audio[0]
    assert stream.codec_context.layout.name == {1: 'mono', 2: 'stereo', 6: '5.1'}[channels]
    frames = [frame.to_ndarray() for frame in file.decode(stream)]
  levels = np.concatenate(frames, axis=1)[:, 9600:-9600].std(axis=1)
  kept = [k for k in range(channels) if k != 3]  # the low-frequency channel is filtered
  np.testing.assert_allclose(levels[kept], wave.std(axis=0)[kept], rtol=0.1)


def test_mpeg_mixes_six_channels_down_and_says_so(tmp_path, media):
  told = write_dubbed(media.film(tmp_path / 'film.mpg', sounds=0), blocks(6)[1], 48000, tmp_path / 'dubbed.mpg')
  assert told == ['mpeg holds two channels: the 6 of the sound were mixed down']


@pytest.mark.parametrize('seconds, word', [(1.5, 'filled up'), (2.6, 'cut')])
def test_blocks_of_another_length_are_fitted_with_a_warning(seconds, word, tmp_path, media):
  told = write_dubbed(media.film(tmp_path / 'film.mp4'), blocks(2, seconds)[1], 48000, tmp_path / 'dubbed.mp4')
  assert word in told[0] and len(read_sound(tmp_path / 'dubbed.mp4', 48000)) == pytest.approx(96000, abs=500)


def test_part_has_its_own_chapters_cues_and_sounds(tmp_path):
  film, out = rich_film(tmp_path / 'film.mkv'), tmp_path / 'part.mkv'
  write_dubbed(film, np.zeros(48000, np.float32), 48000, out, start=0.6, end=1.6)
  assert chapters(out) == [(0, pytest.approx(0.2), 'One'), (pytest.approx(0.2), 1.0, 'Two')]
  assert [c[:2] for c in cues(out)] == [pytest.approx((0, 0.3), abs=0.022), pytest.approx((0.6, 1.1), abs=0.022)]
  assert len(read_sound(out, 48000, track=1)) == pytest.approx(48000, abs=2100)
  assert len(read_frames(out)[0]) == 25


@pytest.mark.parametrize(
  'given', [{'tracks': 'both'}, {'language': 'english'}, {'language': 'EN'}, {'audio_track': -1}]
)
def test_options_that_cannot_be_are_refused_in_one_line(given):
  with pytest.raises(BadInput) as error:
    MuxOptions(**given)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['a' * 251 + '.mkv', 'é' * 125 + '.mp4', '漢' * 83 + '.mp4'])
def test_film_may_have_the_longest_name_that_a_file_can_have(name, tmp_path, media):
  film = media.film(tmp_path / 'film.mp4', seconds=0.4, sound=media.clicks(0.4))
  write_dubbed(film, np.zeros(19200, np.float32), 48000, tmp_path / name)
  assert probe(tmp_path / name).has_sound


def test_name_too_long_for_the_file_system_is_blamed_on_the_output(tmp_path, media):
  film = media.film(tmp_path / 'film.mp4', seconds=0.4, sound=media.clicks(0.4))
  with pytest.raises(BadInput, match='^.*aaa.mkv: cannot be written'):
    write_dubbed(film, np.zeros(19200, np.float32), 48000, tmp_path / f'{"a" * 260}.mkv')
