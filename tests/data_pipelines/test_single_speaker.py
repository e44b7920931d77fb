import json
import sys

import numpy as np
import pytest
from synthetic import synthetic_speech

from data_pipelines import single_speaker
from data_pipelines.single_speaker import MAX_PIECE, find_voice_recordings, pack_voice, read_texts, split_at_pauses
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import write_wav
from dubber_jax.types import SAMPLE_RATE

SEE = 'See, see, see.'


def record(folder, names, seconds=1.5):
  """Vowels for so long; of no length given, something an aligner finds SEE in."""
  wave = synthetic_speech(['_', *['s', 'ee'] * 3, '_'] if seconds is None else ['ee'])
  wave = wave if seconds is None else np.resize(wave, int(seconds * SAMPLE_RATE))
  folder.mkdir(exist_ok=True)
  for name in names:
    write_wav(folder / name, wave, SAMPLE_RATE)
  return [folder / name for name in names]


class FakeTranscriber:
  """Transcribes every recording as the same two words, and counts its calls."""

  def __init__(self):
    self.calls = 0

  def __call__(self, wave, rate):
    self.calls += 1
    return [(0.1, 0.5, 'Good'), (0.6, 1.2, 'evening.')]


def texts_of(recordings):
  return [r.text for r in recordings]


@pytest.mark.parametrize(
  'name, content',
  [
    ('metadata.csv', 'a|What Ann said.|what ann said\nb.wav|What Bob said.|what bob said\n'),
    ('metadata.csv', 'file_name,text\na.wav,what ann said\nb.wav,"what bob said"\n'),
    ('metadata.jsonl', '{"file_name": "a", "text": "what ann said"}\n{"id": "b", "sentence": "what bob said"}\n'),
  ],
)
def test_tables_of_texts_are_read_and_a_text_file_beside_goes_before_them(tmp_path, name, content):
  a, b, c = record(tmp_path, ['a.wav', 'b.wav', 'c.wav'])
  (tmp_path / name).write_text(content)
  assert read_texts(tmp_path, [a, b, c]) == {a: 'what ann said', b: 'what bob said'}
  (tmp_path / 'a.txt').write_text('\ufeffanother\n text ')
  (tmp_path / 'b.txt').write_text(' \n')
  assert read_texts(tmp_path, [a, b, c]) == {a: 'another text'}


def test_table_that_names_no_file_is_refused_with_its_place(tmp_path):
  paths = record(tmp_path, ['a.wav'])
  (tmp_path / 'metadata.jsonl').write_text('{"file": "a.wav", "text": "x"}\n{"text": "y"}\n')
  with pytest.raises(BadInput, match='metadata.jsonl, entry 2: names no file'):
    read_texts(tmp_path, paths)


def test_recordings_without_text_are_listened_to_once_and_what_was_heard_may_be_corrected(tmp_path):
  folder, heard, transcriber, said = tmp_path / 'sam', tmp_path / 'sam.heard.jsonl', FakeTranscriber(), []
  record(folder, ['a.wav', 'b.wav'])
  (folder / 'a.txt').write_text('Good morning.')
  for _ in range(2):
    assert texts_of(find_voice_recordings(folder, heard, transcriber, said.append)) == [
      'Good morning.',
      'Good evening.',
    ]
  assert transcriber.calls == 1
  row = json.loads(heard.read_text())
  row['words'][1][2] = 'night.'
  heard.write_text(json.dumps(row))
  recordings = find_voice_recordings(folder, heard, transcriber, said.append)
  assert texts_of(recordings) == ['Good morning.', 'Good night.'] and transcriber.calls == 1
  assert recordings[1].speaker == 'sam' and recordings[1].end is None  # short enough to stay whole
  record(folder, ['b.wav'], 2.0)  # another recording of that name
  find_voice_recordings(folder, heard, transcriber, said.append)
  assert transcriber.calls == 2


def test_long_recording_without_text_is_cut_between_the_words_heard(tmp_path):
  record(tmp_path / 'sam', ['a.wav'], 70.0)
  heard = [(0.5, 4.0, 'Good'), (4.2, 6.0, 'evening.'), (7.0, 11.0, 'Sit')]
  first, second = find_voice_recordings(tmp_path / 'sam', tmp_path / 'heard', lambda wave, rate: heard)
  assert (first.text, second.text) == ('Good evening.', 'Sit')
  assert 6.0 <= first.end <= second.start <= 7.0 and first.key != second.key


def test_recordings_without_text_are_not_transcribed_by_the_judge_of_word_error(tmp_path, monkeypatch):
  record(tmp_path / 'sam', ['a.wav'])
  monkeypatch.setitem(sys.modules, 'faster_whisper', None)  # the judge cannot be opened
  monkeypatch.setattr(single_speaker, 'recognize', lambda wave16k: [(0.2, 0.6, 'good'), (0.6, 1.0, 'evening')])
  said = []
  recordings = find_voice_recordings(tmp_path / 'sam', tmp_path / 'heard', say=said.append)
  assert texts_of(recordings) == ['good evening'] and '1 recordings have no text' in said[0]


def test_unreadable_file_is_named_in_one_line_and_the_rest_is_used(tmp_path):
  folder, said = tmp_path / 'sam', []
  record(folder, ['a.wav'])
  (folder / 'a.txt').write_text(SEE)
  (folder / 'broken.mp3').write_bytes(b'no sound at all')
  assert texts_of(find_voice_recordings(folder, tmp_path / 'heard', FakeTranscriber(), said.append)) == [SEE]
  assert len(said) == 1 and str(folder / 'broken.mp3') in said[0] and '\n' not in said[0]
  (folder / 'a.wav').unlink()
  with pytest.raises(BadInput, match='none of 1 recordings'):
    find_voice_recordings(folder, tmp_path / 'heard', FakeTranscriber(), said.append)


@pytest.mark.parametrize('made, why', [(False, 'no such folder'), (True, 'no recording in it')])
def test_folder_without_recordings_is_refused(tmp_path, made, why):
  if made:
    (tmp_path / 'sam').mkdir()
  with pytest.raises(BadInput, match=why):
    find_voice_recordings(tmp_path / 'sam', tmp_path / 'heard')


def test_too_little_speech_is_refused_with_the_seconds_found_and_needed(tmp_path):
  folder = tmp_path / 'sam'
  record(folder, ['a.wav'], None)
  (folder / 'a.txt').write_text(SEE)
  with pytest.raises(BadInput, match=r'1\.\d s of speech can be used and 10 s are needed'):
    pack_voice(folder, tmp_path / 'packed')


def test_long_recordings_are_cut_in_their_longest_pauses_and_keep_every_word(tmp_path):
  rng = np.random.default_rng(0)
  starts = np.cumsum(rng.uniform(0.3, 0.6, 120) + (np.arange(120) % 9 == 8))
  words = [(s, s + 0.25, f'w{i}') for i, s in enumerate(starts.tolist())]
  parts = split_at_pauses(words)
  assert [w for part in parts for w in part] == words
  assert all(part[-1][1] - part[0][0] <= MAX_PIECE for part in parts)
  assert all(int(after[0][2][1:]) % 9 == 8 for after in parts[1:])  # where a breath was taken
  assert split_at_pauses([]) == [] and split_at_pauses([(0.0, 9.0, 'Aaah')]) == [[(0.0, 9.0, 'Aaah')]]
