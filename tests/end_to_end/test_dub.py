import json

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import probe, read_frames
from dubber_jax.types import EMOTIONS, HOP, SAMPLE_RATE

FRAME = HOP / SAMPLE_RATE  # s


@pytest.fixture(scope='module')
def dubbed(media, tmp_path_factory):
  """A clip dubbed with the shipped weights: its folder and its result."""
  folder = tmp_path_factory.mktemp('dubbed')
  code = main(
    [
      'dub',
      str(media / 'clip.mp4'),
      '--text',
      'What a lovely day.',
      '--voice',
      str(media / 'voice.wav'),
      '-o',
      str(folder / 'dubbed.mp4'),
      '--json',
      str(folder / 'result.json'),
    ]
  )
  assert code == 0
  return folder, json.loads((folder / 'result.json').read_text())


def test_sound_lasts_as_long_as_the_slot(dubbed, media):
  folder, result = dubbed
  assert result['slot_seconds'] == pytest.approx(2.4, abs=1e-3)
  stem = read_sound(folder / 'dubbed.dialogue.wav', 48000)
  assert len(stem) / 48000 == pytest.approx(result['slot_seconds'], abs=FRAME)
  assert sum(result['take']['durations']) * FRAME == pytest.approx(result['slot_seconds'], abs=FRAME)
  assert probe(folder / 'dubbed.mp4').seconds == pytest.approx(2.4, abs=0.05)


def test_pictures_are_those_of_the_clip(dubbed, media):
  folder, _ = dubbed
  np.testing.assert_array_equal(read_frames(folder / 'dubbed.mp4')[0], read_frames(media / 'clip.mp4')[0])


def test_something_is_spoken_and_the_edges_are_silent(dubbed):
  folder, result = dubbed
  wave = read_sound(folder / 'dubbed.dialogue.wav')
  speech = wave[int(result['speech_start'] * SAMPLE_RATE) :][: int(result['speech_seconds'] * SAMPLE_RATE)]
  assert np.sqrt(np.mean(speech**2)) > 0.01
  assert np.abs(wave[-int(0.02 * SAMPLE_RATE) :]).max() < 0.3 * np.abs(wave).max()


def test_result_says_what_was_seen_recalled_and_directed(dubbed):
  _, result = dubbed
  assert set(result['reading']['captions']) == {'scene', 'face', 'text'}
  for odds in result['reading']['emotions'].values():
    assert len(odds) == len(EMOTIONS) and sum(odds) == pytest.approx(1, abs=0.01)
  assert all(len(result['exemplars'][m]) == 3 for m in ('scene', 'face', 'text'))
  assert 1 <= len(result['rounds']) <= 3
  for done in result['rounds']:
    assert done['direction']['note'] and done['direction']['note_zh'] and done['takes'] and done['why']
    assert 0.75 <= done['direction']['pace'] <= 1.35
  for name in ('slot_seconds', 'speech_seconds', 'rehearsal_seconds', 'compile_seconds', 'warnings'):
    assert name in result


def test_report_page_is_beside_the_film(dubbed):
  folder, _ = dubbed
  page = (folder / 'dubbed.html').read_text()
  assert 'What a lovely day.' in page and 'data:video/mp4' in page


def test_subtitles_are_spoken_in_their_slots(model, media, tmp_path):
  script = tmp_path / 'film.srt'
  script.write_text(
    '1\n00:00:00,000 --> 00:00:01,000\nGood day.\n\n2\n00:00:01,300 --> 00:00:02,300\n[sadly] Goodbye.\n'
  )
  out, result = tmp_path / 'out.mkv', tmp_path / 'r.json'
  code = main(
    [
      'dub',
      str(media / 'clip.mp4'),
      '--script',
      str(script),
      '--voice',
      str(media / 'voice.wav'),
      '-o',
      str(out),
      '--json',
      str(result),
      '--no-report',
      '--model',
      str(model.path),
    ]
  )
  assert code == 0
  lines = json.loads(result.read_text())['lines']
  assert [line['slot_seconds'] for line in lines] == pytest.approx([1.0, 1.0], abs=1e-6)
  wave = read_sound(tmp_path / 'out.dialogue.wav')
  spans = ((0, 1), (1.02, 1.28), (1.3, 2.3))
  loud = [np.abs(wave[int(a * SAMPLE_RATE) : int(b * SAMPLE_RATE)]).max() for a, b in spans]
  assert loud[1] < 0.1 * min(loud[0], loud[2])


def test_lines_are_spoken_without_a_film(model, media, tmp_path):
  (tmp_path / 'lines.txt').write_text('Good day.\n\nWhere are you?\n')
  code = main(
    [
      'speak',
      '--lines',
      str(tmp_path / 'lines.txt'),
      '--voice',
      str(media / 'voice.wav'),
      '--emotion',
      'sad',
      '--model',
      str(model.path),
      '-o',
      str(tmp_path / 'out'),
      '--json',
      str(tmp_path / 'r.json'),
    ]
  )
  assert code == 0
  assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['001.wav', '002.wav']
  lines = json.loads((tmp_path / 'r.json').read_text())['lines']
  assert [EMOTIONS[int(np.argmax(line['direction']['emotion']))] for line in lines] == ['sad', 'sad']


def test_one_way_dubbing_sees_nothing(model, media, tmp_path):
  code = main(
    [
      'dub',
      str(media / 'clip.mp4'),
      '--text',
      'What a lovely day.',
      '--voice',
      str(media / 'voice.wav'),
      '-o',
      str(tmp_path / 'o.mp4'),
      '--json',
      str(tmp_path / 'r.json'),
      '--director',
      'off',
      '--no-report',
      '--model',
      str(model.path),
    ]
  )
  assert code == 0
  result = json.loads((tmp_path / 'r.json').read_text())
  assert result['reading'] is None and not result['exemplars']


def test_unseen_speaker_of_grid_is_dubbed_in_time(data_dir, model, media, tmp_path):
  film = data_dir / 'grid' / 's4' / 'bgim8s.mp4'
  code = main(
    [
      'dub',
      str(film),
      '--text',
      'We never asked for this.',
      '--voice',
      str(media / 'voice.wav'),
      '-o',
      str(tmp_path / 'o.mp4'),
      '--json',
      str(tmp_path / 'r.json'),
      '--no-report',
      '--model',
      str(model.path),
    ]
  )
  assert code == 0
  result = json.loads((tmp_path / 'r.json').read_text())
  stem = read_sound(tmp_path / 'o.dialogue.wav', 48000)
  assert len(stem) / 48000 == pytest.approx(result['slot_seconds'], abs=FRAME)
  assert 'timing' in result['rounds'][0]['takes'][0]['scores']  # the mouth was followed
