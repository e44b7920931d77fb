import pytest

from dubber_jax.script.subtitles import load_script
from dubber_jax.transcription.recognizer import joined_words
from dubber_jax.transcription.utterances import COLUMNS, Cue, Utterance, make_cues, split_utterances, srt_text, wrap


def words(text, start=1.0, each=0.3, gaps=None):
  """Words of `each` s, one after the other; `gaps`: {word number: pause before it in s}."""
  at, found = start, []
  for i, word in enumerate(text.split()):
    at += (gaps or {}).get(i, 0.0)
    found.append((round(at, 3), round(at + each, 3), word))
    at += each
  return found


def test_tokens_without_a_space_belong_to_the_word_before():
  tokens = [
    (0.0, 0.2, ' well'),
    (0.2, 0.4, '-known'),
    (0.4, 0.5, '.'),
    (0.6, 0.8, ' O'),
    (0.8, 0.9, "'Brien"),
    (1, 1, ' '),
  ]
  assert joined_words(tokens) == [(0.0, 0.5, 'well-known.'), (0.6, 0.9, "O'Brien")]


def test_utterances_end_with_sentences_and_at_pauses_but_not_behind_titles():
  found = split_utterances(words('Dr. Smith came. He sat down and slept.', gaps={6: 0.6}))
  assert [u.text for u in found] == ['Dr. Smith came.', 'He sat down', 'and slept.']
  assert found[0].start == 1.0 and found[-1].end == pytest.approx(4.0)
  assert split_utterances([]) == []


def test_short_sentences_of_one_speaker_are_one_cue():
  spoken = [Utterance(tuple(words('No.')), speaker='A'), Utterance(tuple(words('I will not.', 1.3)), speaker='A')]
  assert [cue.text for cue in make_cues(spoken, 60)] == ['No. I will not.']
  other = [spoken[0], Utterance(spoken[1].words, speaker='B')]
  assert [cue.text for cue in make_cues(other, 60)] == ['No.', 'I will not.']


def test_long_utterances_are_divided_at_their_pauses_and_fit_two_rows():
  text = 'we were all of us going to the old house by the sea, and then it began to rain as it had never rained before'
  cues = make_cues([Utterance(tuple(words(text, gaps={11: 0.3})), speaker='Anna')], 60)
  assert len(cues) > 1 and ' '.join(cue.text for cue in cues) == text
  assert all(before.end <= after.start for before, after in zip(cues, cues[1:], strict=False))
  for block in srt_text(cues).strip().split('\n\n'):
    rows = block.split('\n')[2:]
    assert len(rows) <= 2 and all(len(row) <= COLUMNS for row in rows)


def test_lines_of_subtitles_stay_as_they_are():
  known = [Utterance(tuple(words('Go.')), speaker='A', fixed=True), Utterance(tuple(words('Now.', 1.3)), speaker='A')]
  assert [(cue.text, cue.start) for cue in make_cues(known, 60)] == [('Go.', 1.0), ('Now.', 1.3)]


def test_no_cue_lasts_beyond_the_film_or_into_the_next():
  spoken = [Utterance(tuple(words('One two.'))), Utterance(tuple(words('Three four five six.', 1.65)), speaker='B')]
  cues = make_cues(spoken, 2.0)
  assert cues[0].end == 1.65 and cues[1].end == 2.0


def test_rows_are_balanced():
  assert wrap('a short one') == 'a short one'
  rows = wrap('this text is a good deal longer than one row can be').split('\n')
  assert len(rows) == 2 and abs(len(rows[0]) - len(rows[1])) < 10


def test_what_is_written_is_read_again_with_its_speakers(tmp_path):
  cues = [
    Cue(1.0, 2.5, 'Come here!', 'Speaker 1'),
    Cue(3661.25, 3662.0, 'OK: go.', "O'Brien"),
    Cue(3663.0, 3664.0, 'Why?'),
  ]
  (tmp_path / 'film.srt').write_text(srt_text(cues))
  lines = load_script(tmp_path / 'film.srt').lines
  assert [(line.start, line.end, line.text, line.character) for line in lines] == [
    (cue.start, cue.end, cue.text, cue.speaker) for cue in cues
  ]
