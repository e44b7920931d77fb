import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.script.subtitles import load_script, parse_line, read_lines
from dubber_jax.types import Line

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>MARY:</i> [whispering, angry] Come
here!

2
00:00:02,500 --> 00:00:04,000
[door slams]

3
00:01:00,250 --> 01:00:01,000
- (softly) Why {\\an8}me &amp; you?
"""
VTT = """WEBVTT - a film
Kind: captions

NOTE not
spoken

STYLE
::cue { color: red }

first
00:01.000 --> 00:02.500 align:start position:10%
<v.loud Mary Ann>Come <c.yellow>here</c>, <00:01.500>&lt;now&gt;!

01:00:00.000 --> 01:00:01.000
Why?
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.50,Default,Bob,0,0,0,,{\\i1}(tired){\\i0} Later,\\Nthen.
Comment: 0,0:00:01.00,0:00:09.00,Default,,0,0,0,,never spoken
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,Now.
"""
FOUNTAIN = """Title: A Test

INT. KITCHEN - NIGHT

Mary waits by the window.

MARY (V.O.)
(whispering, angry)
I *told* you never to come. [[too much?]]
(louder)
Get out!

@McAvoy
Yes?

CUT TO:
"""
FILES = {'srt': SRT, 'vtt': VTT, 'ass': ASS, 'fountain': FOUNTAIN}


def read(tmp_path, text, suffix):
  path = tmp_path / f'film.{suffix}'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return read_lines(path)


def test_srt_gives_times_character_and_direction(tmp_path):
  assert read(tmp_path, SRT, 'srt') == (
    Line('Come here!', 1.0, 2.5, 'Mary', 'whispering, angry'),
    Line('Why me & you?', 60.25, 3601.0, '', 'softly'),
  )


def test_vtt_gives_voice_and_leaves_out_notes_and_styles(tmp_path):
  assert read(tmp_path, VTT, 'vtt') == (
    Line('Come here, <now>!', 1.0, 2.5, 'Mary Ann'),
    Line('Why?', 3600.0, 3601.0),
  )


def test_ass_gives_lines_in_order_of_time(tmp_path):
  assert read(tmp_path, ASS, 'ass') == (
    Line('Now.', 1.0, 2.5),
    Line('Later, then.', 3.0, 4.5, 'Bob', 'tired'),
  )


def test_fountain_keeps_character_and_parenthetical(tmp_path):
  assert read(tmp_path, FOUNTAIN, 'fountain') == (
    Line('I told you never to come.', character='MARY', stage_direction='whispering, angry'),
    Line('Get out!', character='MARY', stage_direction='louder'),
    Line('Yes?', character='McAvoy'),
  )


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'cp1252'])
def test_old_encodings_and_line_ends_are_read(tmp_path, encoding):
  text = SRT.replace('Why', 'Café').replace('\n', '\r\n')
  assert read(tmp_path, text.encode(encoding), 'srt')[1].text == 'Café me & you?'


def test_a_time_of_day_is_not_taken_for_a_character():
  assert parse_line('At 10:30 we go.') == Line('At 10:30 we go.')
  assert parse_line('I: nothing') == Line('I: nothing')


def test_a_cue_of_several_speakers_is_shared_by_them(tmp_path):
  srt = '1\n00:00:01,000 --> 00:00:03,000\n- ANNA: Come here,\nplease.\n- JOSÉ (tired): Why should I do?\n'
  assert read(tmp_path, srt, 'srt') == (
    Line('Come here, please.', 1.0, 2.059, 'Anna'),
    Line('Why should I do?', 2.059, 3.0, 'José', 'tired'),
  )
  vtt = 'WEBVTT\n\n00:01.000 --> 00:03.000\n<v Anna>Go!</v> <v Ben>No!</v>\n'
  assert read(tmp_path, vtt, 'vtt') == (Line('Go!', 1.0, 2.0, 'Anna'), Line('No!', 2.0, 3.0, 'Ben'))


def test_a_name_on_a_row_of_its_own_and_brackets_before_it_are_no_lines(tmp_path):
  srt = '1\n00:00:01,000 --> 00:00:03,000\n(softly)\nANNA:\nCome here.\n'
  assert read(tmp_path, srt, 'srt') == (Line('Come here.', 1.0, 3.0, 'Anna', 'softly'),)


def test_inline_times_and_numbers_stay_in_the_cue(tmp_path):
  vtt = (
    'WEBVTT\n\n00:01.000 --> 00:03.000\nwe<00:01.500><c> are</c><00:02.000><c> here</c>\n\n'
    'NOTE a\nb\n\nlast\n00:03.000 --> 00:04.000\n12\n'
  )
  assert [line.text for line in read(tmp_path, vtt, 'vtt')] == ['we are here', '12']


def test_override_tags_are_removed_and_short_times_read(tmp_path):
  srt = '1\n00:01,5 --> 100:00:03,25\n{\\an8}How\\Nmany?\n'
  assert read(tmp_path, srt, 'srt') == (Line('How many?', 1.5, 360003.25),)


def test_rows_of_an_ass_cue_may_have_their_own_speakers(tmp_path):
  lines = read(tmp_path, ASS.replace('Later,\\Nthen.', 'Later.\\NANNA: Then.'), 'ass')
  assert [(line.text, line.character) for line in lines] == [('Now.', ''), ('Later.', 'Bob'), ('Then.', 'Anna')]


def test_lines_of_a_scene_may_overlap(tmp_path):
  (tmp_path / 'film.srt').write_text(SRT.replace('00:01:00,250', '00:00:03,999').replace('[door slams]', 'Now!'))
  assert [line.start for line in read_lines(tmp_path / 'film.srt', overlap=True)] == [1.0, 2.5, 3.999]


@pytest.mark.parametrize(
  ('suffix', 'old', 'new', 'says'),
  [
    ('srt', '[door slams]\n\n3\n00:01:00,250', 'Now!\n\n3\n00:00:03,999', 'starts at 3.999 s, while "Now!"'),
    ('vtt', 'WEBVTT', 'WEBVT', 'WEBVTT'),
    ('vtt', '01:00:00.000 -->', '00:00:02.000 -->', 'starts at 2.000 s'),
    ('ass', '0:00:02.50', '0:00:03.50', 'starts at 3.000 s, while "Now'),
    ('fountain', FOUNTAIN, 'INT. KITCHEN\n\nNobody speaks.\n', 'no spoken line'),
    ('srt', ' --> ', ' ', 'no spoken line|no cue'),
  ],
)
def test_overlaps_and_files_without_lines_are_refused(tmp_path, suffix, old, new, says):
  assert old in FILES[suffix]
  text = FILES[suffix].replace(old, new)
  if old == ' --> ':
    text = re.sub(r'[\d:,]+ --> [\d:,]+', 'soon', FILES[suffix])
  with pytest.raises(BadInput, match=says):
    read(tmp_path, text, suffix)


@pytest.mark.parametrize(
  ('suffix', 'old', 'new', 'times', 'says'),
  [
    # An end before its start: as long as it takes to read the text, at most to the next cue.
    ('srt', '00:00:02,500\n<i>', '00:00:00,500\n<i>', [(1.0, 2.5), (60.25, 3601.0)], r'cue 1 \(row 1\)'),
    ('ass', '0:00:02.50', '0:00:00.50', [(1.0, 1.8), (3.0, 4.5)], r'cue 2 \(row 12\)'),
    # Times that cannot be read: the cue is left out.
    ('srt', '00:00:01,000 -->', '00:00:0Z,000 -->', [(60.25, 3601.0)], r'cue 1 \(row 1\) ".*MARY'),
    ('ass', '0,0:00:03.00,', '0,', [(1.0, 2.5)], r'cue 1 \(row 10\)'),
    # No blank row between two cues.
    ('srt', 'here!\n\n2\n', 'here!\n2\n', [(1.0, 2.5), (60.25, 3601.0)], None),
    ('srt', 'here!\n\n2\n', 'here!\n', [(1.0, 2.5), (60.25, 3601.0)], None),
  ],
)
def test_an_odd_cue_is_repaired_or_left_out_and_told_with_its_number_and_row(tmp_path, suffix, old, new, times, says):
  assert old in FILES[suffix]
  path = tmp_path / f'film.{suffix}'
  path.write_text(FILES[suffix].replace(old, new))
  script = load_script(path)
  assert [(line.start, line.end) for line in script.lines] == times
  told = ' '.join(script.warnings)
  assert 'cue' not in told if says is None else re.search(says, told)


def test_what_is_not_a_script_is_refused(tmp_path):
  for name, data in {'a.srt': b'', 'b.srt': bytes(range(256)) * 9, 'c.mp4': b'1'}.items():
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=name):
      read_lines(tmp_path / name)
  for name in ('missing.srt', '.'):
    with pytest.raises(BadInput):
      read_lines(tmp_path / name)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), suffix=st.sampled_from(sorted(FILES)))
def test_truncated_or_bit_flipped_scripts_are_read_or_refused_in_one_line(tmp_path_factory, data, suffix):
  script = bytearray(FILES[suffix].encode())
  for place, bit in data.draw(st.lists(st.tuples(st.integers(0, len(script) - 1), st.integers(0, 7)), max_size=6)):
    script[place] ^= 1 << bit
  script = script[: data.draw(st.integers(0, len(script)))]
  try:
    lines = read(tmp_path_factory.mktemp('script'), bytes(script), suffix)
  except BadInput as error:
    assert '\n' not in str(error)
    return
  assert lines
  end = 0.0
  for line in lines:
    assert line.text == line.text.strip() != ''
    assert '-->' not in line.text
    if suffix != 'fountain':
      assert end <= line.start < line.end
      end = line.end
