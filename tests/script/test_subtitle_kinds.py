"""Odd subtitle files, by kind: what is read of them, and what is told."""

import re

import pytest

from dubber_jax.errors import BadInput
from dubber_jax.script.speakers import character_of
from dubber_jax.script.subtitles import load_script, parse_line
from dubber_jax.types import Line

STYLES = (
  '[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n'
  '[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n'
)


def load(tmp_path, text, suffix='srt', names=()):
  path = tmp_path / f'film.{suffix}'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return load_script(path, overlap=True, names=names)


def cue(*texts):
  """SubRip cues of two seconds each, from 1 s on."""
  return '\n'.join(
    f'{i}\n00:00:{2 * i - 1:02d},000 --> 00:00:{2 * i + 1:02d},000\n{text}\n' for i, text in enumerate(texts, 1)
  )


def ass(*rows):
  return STYLES + ''.join(f'Dialogue: 0,0:00:01.00,0:00:03.00,{row}\n' for row in rows)


def spoken(script):
  return [(line.character, line.text) for line in script.lines]


def slots(script):
  return [(line.start, line.end) for line in script.lines]


@pytest.mark.parametrize(
  ('times', 'start', 'end'),
  [
    ('00:00:0,500 --> 00:00:2,00', 0.5, 2.0),
    ('00:00:01 --> 00:00:02', 1.0, 2.0),
    ('0:0:0,5 --> 0:0:2,5', 0.5, 2.5),
    ('00:00:00,500000 --> 00:00:02,500000', 0.5, 2.5),
    ('00:00:01,249.0999999999999 --> 00:00:02,251.79999999999995', 1.249, 2.251),
    ('00:00:01.500 --> 00:00:02.500', 1.5, 2.5),
    ('00: 00: 01, 500 -> 00: 00: 02, 500', 1.5, 2.5),
    ('00:00:01:500 --> 00:00:02:500', 1.5, 2.5),
    ('00:00:01:05 --> 00:00:02:10', 1.2, 2.4),
    ('00:00:01,000 --> 00:00:02,000 X1:100 X2:200 Y1:10 Y2:20', 1.0, 2.0),
    ('00:00:01,000 \u2013> 00:00:02,000', 1.0, 2.0),
    ('00:00:01,000 00:00:02,000', 1.0, 2.0),
    ('-00:00:00,500 --> 00:00:02,000', 0.0, 2.0),
    ('00:00:59,000 --> 00:00:60,500', 59.0, 60.5),
    ('12.5 --> 14.25', 12.5, 14.25),
    ('00:00:01,000 -->', 1.0, 1.8),
  ],
)
def test_times_are_read_in_all_their_forms(tmp_path, times, start, end):
  script = load(tmp_path, f'1\n{times}\nHello there.\n')
  assert script.lines == (Line('Hello there.', start, end),)


@pytest.mark.parametrize(
  ('text', 'wanted'),
  [
    ('1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n2\n', ['Hello there.']),
    (
      '1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\nMy friend.\n\n2\n00:00:03,000 --> 00:00:04,000\nHow?\n',
      ['Hello there. My friend.', 'How?'],
    ),
    ('1\n00:00:00,000 --> 00:00:00,000\n\n\n2\n00:00:01,000 --> 00:00:02,000\nHello.\n', ['Hello.']),
    ('2\n00:00:03,000 --> 00:00:04,000\nHow?\n\n1\n00:00:01,000 --> 00:00:02,000\nHello.\n', ['Hello.', 'How?']),
    ('1\r\r\n00:00:01,000 --> 00:00:02,000\r\r\nHello.\r\r\n\r\r\n', ['Hello.']),
    (
      '1\n\n00:00:01,000 --> 00:00:02,000\n\nHello.\n\n2\n\n00:00:03,000 --> 00:00:04,000\n\nHow?\n',
      ['Hello.', 'How?'],
    ),
    ('1\n00:00:01,000 --> 00:00:02,000\n2\n00:00:03,000 --> 00:00:04,000\nHow?\n', ['How?']),
    ('1\n00:00:01,000 --> 00:00:02,000\n1999\n', ['1999']),
    ('1\n00:00:01,000 --> 00:00:02,000\nThe answer is\n42\n', ['The answer is 42']),
    ('00:00:01,000 --> 00:00:02,000\nNo number.\n', ['No number.']),
    ('1\n00:00:01,000 --> 00:00:02,000 Hello.\n', ['Hello.']),
    ('1\n00:00:01,000 --> 00:00:02,000\nHello.\x00\n\x1a', ['Hello.']),
    ('1\n00:00:01,000 --> 00:00:02,000\nHello there.\\NHow\\hare you?\n', ['Hello there. How are you?']),
    ('1\n00:00:01,000 --> 00:00:02,000\nA x --> y arrow.\n', ['A x y arrow.']),
    ('WEBVTT\n\n00:01.000 --> 00:02.000\nNamed srt.\n', ['Named srt.']),
  ],
)
def test_rows_of_subrip_are_put_in_their_cues(tmp_path, text, wanted):
  assert [line.text for line in load(tmp_path, text).lines] == wanted


@pytest.mark.parametrize(
  ('body', 'wanted'),
  [
    # A row of one space does not end a cue.
    ('00:01.000 --> 00:02.000\n \nHello.\n', ['Hello.']),
    ('00:01.000 --> 00:02.000 line:91% align:center\n\nAfter a blank row.\n', ['After a blank row.']),
    ('1\n00:01.000 --> 00:02.000\n\n2\n00:03.000 --> 00:04.000\nHello.\n', ['Hello.']),
    (
      'NOTE\nnot spoken\n\nSTYLE\n::cue(.a) { color: red }\n\nREGION\nid:one\n\n00:01.000 --> 00:02.000\nHi.\n\n'
      'NOTE also not\nspoken\n\nnext one\n00:03.000 --> 00:04.000\nHo.\n',
      ['Hi.', 'Ho.'],
    ),
    ('STYLE\n00:01.000 --> 00:02.000\nA cue of that name.\n', ['A cue of that name.']),
    (
      '00:01.000 --> 00:02.000\n<ruby>Tokyo<rt>to</rt></ruby> <lang en>is</lang> far &amp; big.\n',
      ['Tokyo is far & big.'],
    ),
    ('00:01.000 --> 00:02.000\none --> two\n', ['one two']),
  ],
)
def test_blocks_of_webvtt_are_told_apart(tmp_path, body, wanted):
  assert [line.text for line in load(tmp_path, f'WEBVTT\n\n{body}', 'vtt').lines] == wanted


@pytest.mark.parametrize(
  ('text', 'wanted'),
  [
    ('[JOHN]: Hello there.', [('John', 'Hello there.')]),
    ('(JOHN): Hello there.', [('John', 'Hello there.')]),
    ('JOHN (on phone): Hello there.', [('John', 'Hello there.')]),
    ('McCOY: Hello there.', [('McCoy', 'Hello there.')]),
    ('GUARD #2: Hello there.', [('Guard #2', 'Hello there.')]),
    ('1ST GUARD: Hello there.', [('1st Guard', 'Hello there.')]),
    ('Dr. SMITH: Hello there.', [('Dr. Smith', 'Hello there.')]),
    ('ANNA & BOB: Hello there.', [('Anna & Bob', 'Hello there.')]),
    ('ANNA and BOB: Hello there.', [('Anna and Bob', 'Hello there.')]),
    ('SPEAKER_00: Hello there.', [('Speaker_00', 'Hello there.')]),
    ('[SPEAKER_01] Hello. \n[SPEAKER_01]: Go.', [('Speaker_01', 'Hello.'), ('Speaker_01', 'Go.')]),
    ('Man 1: Hello there.', [('Man 1', 'Hello there.')]),
    ('MAN 1: Come here. MAN 2: Never.', [('Man 1', 'Come here.'), ('Man 2', 'Never.')]),
    ("I'm trying to! (MASTER): Faster now.", [('', "I'm trying to!"), ('Master', 'Faster now.')]),
    ('JOHN：Hello there.', [('John', 'Hello there.')]),
    ('>>> Hello there. >> REPORTER: How are you?', [('', 'Hello there.'), ('Reporter', 'How are you?')]),
    ('&gt;&gt; Reporter: How are you?', [('Reporter', 'How are you?')]),
    ('- Hello there.\n- How are you?', [('', 'Hello there.'), ('', 'How are you?')]),
    ('Hello there.\n- How are you?', [('', 'Hello there.'), ('', 'How are you?')]),
    ('- Hello there. - How are you?', [('', 'Hello there.'), ('', 'How are you?')]),
    (
      "-UNA: I have it.\n-M'BENGA: Good.\nGet out of there.",
      [('Una', 'I have it.'), ("M'Benga", 'Good. Get out of there.')],
    ),
    ("UNA:\nFirst officer's log.\nStardate 2122.", [('Una', "First officer's log. Stardate 2122.")]),
    ('- Only one\nspeaks here.', [('', 'Only one speaks here.')]),
    ('I was going to \u2014\n\u2014 but you know.', [('', 'I was going to \u2014 but you know.')]),
    ('It was -5 degrees,\n-10 at night.', [('', 'It was -5 degrees, -10 at night.')]),
    # Not names.
    ('OK: go.', [('', 'OK: go.')]),
    ('WARNING: Do not enter.', [('', 'WARNING: Do not enter.')]),
    ('Cause of death: Drowning.', [('', 'Cause of death: Drowning.')]),
    ('HE SHOWED UP AT 10:42 PM.', [('', 'HE SHOWED UP AT 10:42 PM.')]),
    ('I SAID: GO HOME.', [('', 'I SAID: GO HOME.')]),
    ('See HTTP://A.ORG now.', [('', 'See HTTP://A.ORG now.')]),
    ('But listen: it rains.', [('', 'But listen: it rains.')]),
  ],
)
def test_names_and_changes_of_speaker(tmp_path, text, wanted):
  assert spoken(load(tmp_path, cue(text))) == wanted


def test_a_cue_of_two_speakers_without_names_is_shared_by_the_lengths_of_their_texts(tmp_path):
  assert slots(load(tmp_path, cue('- No.\n- Why should I not do that?'))) == [(1.0, 1.214), (1.214, 3.0)]


def test_a_name_in_small_letters_is_one_where_other_lines_use_it_or_the_cast_has_it(tmp_path):
  once = load(tmp_path, cue('John: Hello there.', 'Go.'))
  assert spoken(once) == [('', 'John: Hello there.'), ('', 'Go.')]
  assert any('John:' in warning and 'may be a name' in warning for warning in once.warnings)
  for script in (
    load(tmp_path, cue('John: Hello there.', 'Go.'), names=['JOHN']),
    load(tmp_path, cue('John: Hello there.', 'JOHN: Go.')),
    load(tmp_path, cue('John: Hello there.', 'John: Go.')),
  ):
    assert script.lines[0] == Line('Hello there.', 1.0, 3.0, 'John')
    assert not script.warnings


def test_a_word_that_no_line_shows_to_be_a_name_is_kept_and_told(tmp_path):
  script = load(tmp_path, cue('OK: go.', 'WARNING: Do not enter.'))
  assert [line.text for line in script.lines] == ['OK: go.', 'WARNING: Do not enter.']
  assert '"OK:", "WARNING:"' in script.warnings[0]


def test_a_known_name_in_brackets_without_a_colon_is_the_speaker(tmp_path):
  script = load(tmp_path, cue('[MARY] Come here.', 'MARY: Go.', '[SOFTLY] Why?'))
  assert spoken(script) == [('Mary', 'Come here.'), ('Mary', 'Go.'), ('', 'Why?')]
  assert script.lines[2].stage_direction == 'SOFTLY'


def test_voice_spans_and_actors_of_two_speakers(tmp_path):
  vtt = 'WEBVTT\n\n00:01.000 --> 00:03.000\n<v Mary Ann>Go!</v> <v.loud Ben>No!</v>\n'
  assert spoken(load(tmp_path, vtt, 'vtt')) == [('Mary Ann', 'Go!'), ('Ben', 'No!')]
  dialogue = ass('Default,Anna/Ben,0,0,0,,- Go!\\N- No!')
  assert spoken(load(tmp_path, dialogue, 'ass')) == [('Anna', 'Go!'), ('Ben', 'No!')]


@pytest.mark.parametrize(
  ('text', 'wanted', 'direction'),
  [
    ('(SIGHS) Hello there. (LAUGHS) Fine.', 'Hello there. Fine.', 'SIGHS'),
    ('*sighs* Hello there.', 'Hello there.', 'sighs'),
    ('I *never* said that.', 'I never said that.', ''),
    ('（sighs）Hello there. 【door】', 'Hello there.', 'sighs'),
    ('Fine (laughs), I will go.', 'Fine, I will go.', ''),
    ('All (humans and others) came.', 'All (humans and others) came.', ''),
    ('Really? LAUGHS: Yeah.', 'Really? Yeah.', ''),
    ('{quietly} Come here.', 'Come here.', 'quietly'),
    ('Hello \u266a la la \u266a there.', 'Hello there.', ''),
    ('He said <i>yes</i>, <font color="#fff">yes</font>.', 'He said yes, yes.', ''),
    ('This is a won-\nderful day.', 'This is a wonderful day.', ''),
    ('He is well-\nknown here.', 'He is well- known here.', ''),
    ('A soft\u00adhyphen and a zero\u200bwidth\ufeff space.', 'A softhyphen and a zerowidth space.', ''),
  ],
)
def test_what_is_not_spoken_is_taken_off(tmp_path, text, wanted, direction):
  line = load(tmp_path, cue(text)).lines[0]
  assert (line.text, line.stage_direction) == (wanted, direction)


def test_a_bleep_leaves_a_pause_and_is_told(tmp_path):
  script = load(tmp_path, cue('What the [bleep] is that?'))
  assert script.lines[0].text == 'What the ... is that?'
  assert '[bleep]' in script.warnings[0]


@pytest.mark.parametrize(
  ('text', 'kind'),
  [
    ('subs by someone', 'credits'),
    ('Subtitles & Sync by a person', 'credits'),
    ('Translated by: A. Person', 'credits'),
    ('Downloaded from a site', 'credits'),
    ('www.some-subtitles.org', 'credits'),
    ('Advertise your product or brand here', 'credits'),
    ('\u266a Happy birthday to you \u266a', 'songs'),
    ('# Happy birthday to you #', 'songs'),
  ],
)
def test_credits_and_songs_are_left_out_and_told_with_cue_and_row(tmp_path, text, kind):
  script = load(tmp_path, cue('Hello there.', text))
  assert [line.text for line in script.lines] == ['Hello there.']
  assert kind in script.warnings[0] and 'cue 2 (row 5)' in script.warnings[0]


@pytest.mark.parametrize(
  'text', ['I was hurt by him.', 'Go to www.dogs.com and look.', 'He wrote the captions, by hand.']
)
def test_spoken_lines_that_resemble_credits_are_kept(tmp_path, text):
  assert [line.text for line in load(tmp_path, cue(text)).lines] == [text]


def test_text_on_screen_of_substation_alpha_is_left_out_and_told(tmp_path):
  rows = (
    'Default,Anna,0,0,0,,Hello there.',
    'Sign,,0,0,0,,EXIT',
    'Default,,0,0,0,,{\\pos(100,100)}POLICE',
    'Default,,0,0,0,,{\\p1}m 0 0 l 10 0 10 10{\\p0}',
    'Song-Romaji,,0,0,0,,{\\k20}la {\\k30}la',
  )
  script = load(tmp_path, ass(*rows), 'ass')
  assert spoken(script) == [('Anna', 'Hello there.')]
  assert all(word in script.warnings[0] for word in ('EXIT', 'POLICE', 'row 12'))


def test_a_position_or_style_that_all_lines_have_makes_no_sign(tmp_path):
  rows = [f'Caption,,0,0,0,,{{\\pos(1,{i})}}{word}.' for i, word in enumerate(('One', 'Two', 'Three'))]
  assert len(load(tmp_path, ass(*rows), 'ass').lines) == 3


def test_long_capitals_beside_which_others_speak_are_text_on_screen(tmp_path):
  text = (
    '1\n00:00:01,000 --> 00:00:09,000\nWISTERIA\n\n2\n00:00:02,000 --> 00:00:03,000\nLook there,\n\n'
    '3\n00:00:04,000 --> 00:00:05,000\na house.\n'
  )
  assert [line.text for line in load(tmp_path, text).lines] == ['Look there,', 'a house.']


def test_copies_in_layers_are_one_line(tmp_path):
  script = load(tmp_path, ass('Default,Anna,0,0,0,,Hello.', 'Default,Anna,0,0,0,,{\\blur5}Hello.'), 'ass')
  assert spoken(script) == [('Anna', 'Hello.')]
  assert 'cue 2 (row 11)' in script.warnings[0]


def test_lines_of_nobody_that_begin_together_follow_each_other(tmp_path):
  text = ''.join(
    f'{i}\n00:00:01,000 --> 00:00:04,000\n{word}\n\n' for i, word in enumerate(('One.', 'Two.', 'Six.'), 1)
  )
  assert slots(load(tmp_path, text)) == [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]


YOUTUBE = (
  'WEBVTT\nKind: captions\nLanguage: en\n\n'
  '00:00:00.500 --> 00:00:01.500 align:start position:0%\n \nhello<00:00:00.800><c> there</c>\n\n'
  '00:00:01.500 --> 00:00:01.510 align:start position:0%\nhello there\n \n\n'
  '00:00:01.510 --> 00:00:02.500 align:start position:0%\nhello there\nhow<00:00:01.900><c> are</c><c> you</c>\n'
)


def test_captions_that_roll_are_read_once(tmp_path):
  script = load(tmp_path, YOUTUBE, 'vtt')
  assert script.lines == (Line('hello there', 0.5, 1.51), Line('how are you', 1.51, 2.5))
  rows = ('a b', 'a b', 'a b\nc d', 'c d', 'c d\ne f', 'e f', 'e f\ng h')
  assert [line.text for line in load(tmp_path, cue(*rows)).lines] == ['a b', 'c d', 'e f', 'g h']
  assert [line.text for line in load(tmp_path, cue('No!', 'No!', 'Go.')).lines] == ['No!', 'No!', 'Go.']


def test_a_text_with_one_marked_word_after_another_is_one_line(tmp_path):
  words = ('<u>So,</u> you came.', 'So, you came.', 'So, <u>you</u> came.', 'So, you <u>came.</u>', 'Yes.')
  script = load(tmp_path, cue(*words))
  assert [(line.text, line.start, line.end) for line in script.lines] == [
    ('So, you came.', 1.0, 9.0),
    ('Yes.', 9.0, 11.0),
  ]


@pytest.mark.parametrize(
  ('text', 'encoding'),
  [
    ('Don\u2019t go to the caf\u00e9, Jos\u00e9.', 'cp1252'),
    ('Don\u2019t go to the caf\u00e9, Jos\u00e9.', 'mac_roman'),
    ('\u0141ukasz came.', 'cp1250'),
    ('\u00c7a va, Fran\u00e7ois? \u00ab\u00c9t\u00e9\u00bb\u2026', 'cp1252'),
    ('Caf\u00e9.', 'utf-16-le'),
    ('Caf\u00e9.', 'utf-16-be'),
    ('Caf\u00e9.', 'utf-16'),
    ('Caf\u00e9.', 'utf-32'),
    ('Caf\u00e9.', 'utf-8-sig'),
  ],
)
def test_encodings_are_told_apart(tmp_path, text, encoding):
  script = load(tmp_path, cue(text).encode(encoding))
  assert script.lines[0].text == text
  assert bool(script.warnings) == encoding.startswith(('cp', 'mac'))


@pytest.mark.parametrize(
  ('text', 'encoding', 'says'),
  [
    ('\u6211\u4eec\u4ece\u6765\u6ca1\u6709\u8981\u6c42\u8fd9\u4e9b\nWe never asked.', 'gbk', 'GBK'),
    ('\u6211\u5011\u5f9e\u4f86\u6c92\u6709\u8981\u6c42\u9019\u4e9b', 'big5', 'Big5'),
    ('\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?', 'cp1251', 'Cyrillic'),
    ('\u0414\u0430.', 'cp1251', ''),
    ('\u3053\u3093\u306b\u3061\u306f\u3001\u5143\u6c17\u3067\u3059\u304b\u3002', 'cp932', 'Shift JIS'),
    ('\uc548\ub155\ud558\uc138\uc694', 'cp949', 'Korean'),
  ],
)
def test_other_code_pages_are_refused_by_their_name(tmp_path, text, encoding, says):
  with pytest.raises(BadInput, match=f'not UTF-8; it looks like .*{says}.*: save it as UTF-8'):
    load(tmp_path, cue(text).encode(encoding))


@pytest.mark.parametrize(
  ('data', 'says'), [(b'PK\x03\x04', 'zip'), (b'{\\rtf1 Hello', 'rich text'), (b'\x1f\x8b\x08', 'gzip')]
)
def test_other_files_with_the_suffix_are_named(tmp_path, data, says):
  with pytest.raises(BadInput, match=says):
    load(tmp_path, data)


def test_a_single_byte_of_no_code_page_is_damage_and_told_with_its_row(tmp_path):
  script = load(tmp_path, cue('Hello.', 'HeXllo.').encode().replace(b'X', b'\xcc'))
  assert script.lines[1].text == 'Hello.' and 'row 7' in script.warnings[0]


def test_a_damaged_character_of_utf_8_is_told_with_its_row(tmp_path):
  script = load(tmp_path, cue('\u00c9t\u00e9, \u00e9t\u00e9, \u00e9t\u00e9.', 'cafX').encode().replace(b'X', b'\xe9'))
  assert script.lines[1].text == 'caf' and 'row 7' in script.warnings[0]


@pytest.mark.parametrize(
  ('name', 'wanted'),
  [
    ('MARY ANN', 'Mary Ann'),
    ("O'BRIEN", "O'Brien"),
    ("MARY'S MOM", "Mary's Mom"),
    ('JEAN-LUC', 'Jean-Luc'),
    ('McCOY', 'McCoy'),
    ('Old Man', 'Old Man'),
    ('MAN on PHONE', 'Man on Phone'),
  ],
)
def test_names_in_capitals_are_written_as_names(name, wanted):
  assert character_of(name) == wanted


def test_one_line_alone_is_read_as_in_a_file():
  assert parse_line('JOHN: (softly) Go. (LAUGHS)') == Line('Go.', character='John', stage_direction='softly')
  assert parse_line('OK: go.') == Line('OK: go.')


def test_a_warning_quotes_three_places_and_counts_the_others(tmp_path):
  script = load(tmp_path, cue('Hello.', *['\u266a la \u266a'] * 5))
  assert re.search(r'cue 2 .*cue 4 .* and 2 more$', script.warnings[0])
