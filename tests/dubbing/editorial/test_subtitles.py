"""Subtitles of a dub: word times, rows, and what players and editing programs stumble over."""

import re

import pysubs2
import pytest

from dubber_jax.dubbing.editorial.subtitles import (
  COLUMNS,
  make_cues,
  shown_words,
  srt_text,
  vtt_text,
  write_subtitles,
)
from dubber_jax.script.subtitles import read_lines

LONG = (
  'We never asked for any of this, and nobody ever told us why; but here we are, all of us, in the rain. '
  'Do you remember the house by the sea? I do, and I always will, whatever they say about it.'
)


def spoken(text, start=0.1, step=0.3):
  """(start s, end s, word) of words spoken one after another."""
  words = re.findall(r'[\w’\']+', text.lower())
  return tuple((round(start + i * step, 3), round(start + i * step + 0.25, 3), word) for i, word in enumerate(words))


def test_words_have_the_times_at_which_they_are_spoken(make_line):
  line = make_line(1, 'Good day, Ben.', 10.0, 12.0, words=((0.1, 0.3, 'good'), (0.4, 0.6, 'day'), (0.9, 1.2, 'ben')))
  assert shown_words(line) == [(10.1, 10.3, 'Good'), (10.4, 10.6, 'day,'), (10.9, 11.2, 'Ben.')]


def test_numbers_stand_as_written_for_as_long_as_they_are_spoken(make_line):
  words = ((0.1, 0.2, 'it'), (0.3, 0.4, 'is'), (0.5, 0.8, 'twenty'), (0.8, 1.1, 'five'), (1.2, 1.5, 'dollars'))
  line = make_line(1, 'It is $25 — now', 0.0, 2.0, words=(*words, (1.6, 1.8, 'now')))
  shown = shown_words(line)
  assert [word for *_, word in shown] == ['It', 'is', '$25', '—', 'now']
  assert shown[2] == (0.5, 1.5, '$25') and shown[4] == (1.6, 1.8, 'now')


def test_a_line_without_word_times_shares_its_speech_by_letters(make_line):
  assert shown_words(make_line(1, 'a bbb', 5.0, 7.0, speech=(0.5, 1.5))) == [(5.5, 5.75, 'a'), (5.75, 6.5, 'bbb')]


@pytest.mark.parametrize('text', [LONG, LONG.replace(' ', ''), 'word ' * 60, 'Yes.', 'a-b ' * 40])
def test_no_cue_has_more_than_two_rows_of_42(make_line, text):
  cues = make_cues([make_line(1, text, 0.0, 60.0, words=spoken(text))], 60.0)
  rows = [row for cue in cues for row in cue.text.split('\n')]
  assert all(len(cue.rows) <= 2 for cue in cues) and max(map(len, rows)) <= COLUMNS
  assert ''.join(rows).replace(' ', '') == text.replace(' ', '')  # nothing is lost


def test_a_long_line_is_divided_at_word_times_and_at_the_ends_of_clauses(make_line):
  words = spoken(LONG)
  cues = make_cues([make_line(1, LONG, 100.0, 160.0, words=words)], 200.0)
  starts = {round(100 + start, 3) for start, *_ in words}
  assert len(cues) == 3 and all(cue.start in starts for cue in cues)
  assert all(before.end <= after.start for before, after in zip(cues, cues[1:], strict=False))
  assert all(cue.text[-1] in '.,;?' for cue in cues)


def test_a_short_word_stays_a_second_unless_another_cue_follows(make_line):
  one = make_line(1, 'Run!', 1.0, 3.0, words=((0.1, 0.3, 'run'),))
  two = make_line(2, 'Why?', 1.8, 3.0, 'Ben', words=((0.1, 0.3, 'why'),))
  assert [(cue.start, cue.end) for cue in make_cues([one], 3.0)] == [(1.1, 2.1)]
  assert [(cue.start, cue.end) for cue in make_cues([two, one], 2.5)] == [(1.1, 1.9), (1.9, 2.5)]


def test_both_files_are_read_back_with_the_same_cues(make_line, tmp_path):
  lines = [
    make_line(1, LONG, 0.5, 20.0, words=spoken(LONG)),
    make_line(2, 'Naïve — “café”?', 21.0, 22.0, 'Zoë & <Co>', words=spoken('Naïve café')),
  ]
  srt, vtt = tmp_path / 'dub.srt', tmp_path / 'dub.vtt'
  write_subtitles(lines, srt, vtt, 30.0)
  cues = make_cues(lines, 30.0)
  expected = [(round(cue.start * 1000), round(cue.end * 1000), cue.text) for cue in cues]
  assert [(e.start, e.end, e.plaintext) for e in pysubs2.load(str(srt))] == expected
  again = read_lines(vtt, overlap=True)
  assert again[-1].text == 'Naïve — “café”?' and again[-1].character == 'Zoë & <Co>'
  assert [line.start for line in again] == [cue.start for cue in cues]


def stamps(text):
  return [
    int(h) * 3_600_000 + int(m) * 60_000 + int(s) * 1000 + int(ms)
    for h, m, s, ms in re.findall(r'<(\d\d):(\d\d):(\d\d)\.(\d{3})>', text)
  ]


def test_vtt_has_a_stamp_for_each_word_after_the_first(make_line):
  line = make_line(1, 'Good day, Ben.', 59.0, 62.0, words=((0.1, 0.3, 'good'), (0.4, 0.6, 'day'), (0.9999, 1.2, 'ben')))
  text = vtt_text(make_cues([line], 70.0))
  assert (
    '00:00:59.100 --> 00:01:00.200\n<v Anna><c>Good</c> <00:00:59.400><c>day,</c> <00:01:00.000><c>Ben.</c>' in text
  )


# What others' programs stumbled over, from public reports: (text, spoken words, what is to be in the SRT, in the VTT).
REPORTED = {
  'angle brackets and ampersands': ('AT&T <inaudible>', 'AT T inaudible', 'AT&T <inaudible>', 'AT&amp;T'),
  'brackets that end a tag': ('a > b', 'a b', 'a > b', '&gt;'),
  'an arrow in the text': ('go --> there', 'go there', 'go -> there', '-&gt;'),
  'braces that are styles elsewhere': ('{so} he said', 'so he said', '{so} he said', '{so}'),
  'a cue that is a number alone': ('1999', 'nineteen ninety nine', '1999', '1999'),
  'words that can be styled as they are spoken': ('one two', 'one two', 'one two', '<c>one</c> <00:'),
}


@pytest.mark.parametrize('text,words,srt,vtt', REPORTED.values(), ids=REPORTED)
def test_text_that_others_lost_is_kept(make_line, text, words, srt, vtt):
  cues = make_cues([make_line(1, text, 1.0, 5.0, words=spoken(words))], 9.0)
  file = pysubs2.SSAFile.from_string(srt_text(cues), format_='srt', keep_unknown_html_tags=True)
  assert [event.text for event in file] == [srt]
  assert vtt in vtt_text(cues)


def test_a_number_never_stands_alone_in_the_last_row(make_line):
  text = 'The war that nobody wanted was over in 1918'  # 43 characters
  cues = make_cues([make_line(1, text, 0.0, 9.0, words=spoken(text))], 9.0)
  assert pysubs2.SSAFile.from_string(srt_text(cues), format_='srt')[-1].plaintext.replace('\n', ' ') == text


@pytest.mark.parametrize('seconds', [1.9995, 59.9996, 3599.9999, 75.1 - 15.1, 2.3])
def test_times_are_rounded_as_a_whole(make_line, seconds):
  cues = make_cues([make_line(1, 'Now.', seconds, seconds + 2.0, words=((0.0, 1.5, 'now'),))], 9999.0)
  text = srt_text(cues) + vtt_text(cues)
  assert not re.search(r':6\d[,.]|[,.]\d{4}', text)
  assert pysubs2.SSAFile.from_string(srt_text(cues))[0].start == round(seconds * 1000)


def test_stamps_grow_within_a_cue_although_words_share_a_time(make_line):
  words = ((0.5, 0.5, 'a'), (0.5, 0.5, 'b'), (0.5, 0.7, 'c'), (0.6, 0.9, 'd'), (0.9, 0.9, 'e'))
  found = stamps(vtt_text(make_cues([make_line(1, 'a b c d e', 0.0, 1.0, words=words)], 1.0)))
  assert found == sorted(set(found)) and all(500 < stamp < 1000 for stamp in found)


def test_the_files_end_with_an_empty_row_and_have_no_byte_order_mark(make_line):
  cues = make_cues([make_line(1, 'Ça va.', 0.0, 1.0)], 1.0)
  assert srt_text(cues).startswith('1\n') and srt_text(cues).endswith('\n\n')
  assert vtt_text(cues).startswith('WEBVTT\n\n') and '\r' not in srt_text(cues)


def test_a_film_without_words_has_empty_files():
  assert srt_text([]) == '' and vtt_text([]) == 'WEBVTT\n'
