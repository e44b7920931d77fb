import base64
import io
import json
import re

import av
import numpy as np
import pytest

from dubber_jax.dubbing.report.figures import LineAssets, line_figures, sound_uri
from dubber_jax.dubbing.report.page import LineFigures, ReportAssets, TakeEntry, write_report
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import write_wav
from dubber_jax.media.video import write_silent_clip
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, SAMPLE_RATE, MouthTrack, Take

LENGTH = 25  # lip frames: one second
HAPPY = [0.0, 0.0, 0.0, 0.8, 0.2, 0.0, 0.0, 0.0]


@pytest.fixture
def arrays():
  """Assets of a line of one second, of noise."""
  rng = np.random.default_rng(0)
  frames_of_mel = SAMPLE_RATE // HOP
  take = Take(
    mel=rng.normal(-5, 2, (frames_of_mel, 80)).astype(np.float32),
    phonemes=('@sil', '@HH', '@AH0', '@L', '@OW1', '.', '@sil'),
    durations=np.array([10, 8, 12, 10, 26, 0, 20], np.int32),
    pitch=np.where(np.arange(frames_of_mel) % 30 < 20, 200.0, 0.0),
    emotion=np.array(HAPPY),
    waveform=rng.normal(0, 0.1, frames_of_mel * HOP).astype(np.float32),
  )
  track = MouthTrack(
    lips=rng.normal(0, 0.3, (LENGTH, 82)).astype(np.float32),
    opening=np.abs(rng.normal(0, 0.2, LENGTH)).astype(np.float32),
    present=np.arange(LENGTH) > 4,
    boxes=np.tile(np.float32([20, 20, 60, 70]), (LENGTH, 1)),
  )
  frames = rng.integers(0, 255, (LENGTH, 91, 81, 3), dtype=np.uint8)  # odd sizes, which H.264 does not take
  return LineAssets(take, frames, track, ((0.1, 0.8, 'hello'),))


def result(text='Hello.', **more):
  direction = {
    'emotion': HAPPY,
    'pace': 0.9,
    'note': 'Bright and quick.',
    'note_zh': '明亮轻快。',
    'pauses': [(0, 0.2)],
  }
  return {
    'line': {'text': text, 'character': 'ANNA'},
    'reading': {'captions': {'face': 'a wide smile'}, 'emotions': {'face': HAPPY}},
    'exemplars': {'face': [{'key': 'set/one/7', 'similarity': 0.93, 'text': 'Well met.', 'emotion': 'happy'}]},
    'direction': direction,
    'rounds': [{'direction': direction, 'takes': [{'scores': {'timing': 0.5}}], 'best_score': 0.5}],
    'seconds': {'read': 0.5, 'perform': 0.2},
    'slot_seconds': 1.0,
    'speech_seconds': 0.7,
    'warnings': ['the voice is short'],
    **more,
  }


def sounds(html):
  """{name by which a player asks for it: bytes of the sound}."""
  (stored,) = re.findall(r'id="sounds">(.*?)</script>', html)
  return {
    name: base64.b64decode(uri.removeprefix('data:audio/ogg;base64,')) for name, uri in json.loads(stored).items()
  }


def players(html):
  """Bytes of what each line's player plays."""
  found = re.findall(r'class="player"[^>]*(?:data-sound="([^"]+)"|src="data:video/\w+;base64,([^"]+)")', html)
  return [sounds(html)[name] if name else base64.b64decode(data) for name, data in found]


def test_the_page_shows_what_was_seen_recalled_and_directed(tmp_path, arrays):
  write_report(result(), tmp_path / 'report.html', ReportAssets((arrays,)))
  html = (tmp_path / 'report.html').read_text()
  for shown in ('Hello.', 'a wide smile', 'set/one/7', 'Bright and quick.', '明亮轻快。', 'the voice is short', '80%'):
    assert shown in html


def test_the_page_says_by_how_much_a_line_runs_on_and_only_then(tmp_path, arrays):
  pages = []
  for seconds in (0.0, 0.42):
    write_report(result(overrun_seconds=seconds), tmp_path / 'report.html', ReportAssets((LineAssets(),)))
    pages.append((tmp_path / 'report.html').read_text())
  assert 'runs on after its slot' not in pages[0]
  assert re.search(r'runs on after its slot</dt><dd>0\.42 s', pages[1])


def test_the_page_needs_no_other_file_and_no_network(tmp_path, arrays):
  write_report(result(), tmp_path / 'report.html', ReportAssets((arrays,)))
  html = (tmp_path / 'report.html').read_text()
  addresses = re.findall(r'(?:src|href)="([^"]*)"', html) + re.findall(r'url\(([^)]*)\)', html)
  assert addresses and all(address.startswith(('data:', '#')) for address in addresses)


def test_the_player_holds_the_pictures_and_the_take_for_the_whole_slot(tmp_path, arrays):
  write_report(result(), tmp_path / 'report.html', ReportAssets((arrays,)))
  (player,) = players((tmp_path / 'report.html').read_text())
  with av.open(io.BytesIO(player)) as film:
    assert sum(1 for _ in film.decode(video=0)) == LENGTH
  with av.open(io.BytesIO(player)) as film:
    samples = sum(frame.samples for frame in film.decode(audio=0))
  assert samples / SAMPLE_RATE == pytest.approx(LENGTH / LIP_RATE, abs=0.1)


def test_words_of_the_script_cannot_change_the_page(tmp_path, arrays):
  write_report(result(text='</script><img src=x onerror=alert(1)>'), tmp_path / 'report.html', ReportAssets((arrays,)))
  assert '<img' not in (tmp_path / 'report.html').read_text()


def test_each_of_several_lines_can_be_played(tmp_path, arrays):
  whole = {'lines': [result('One.'), result('Two.')], 'warnings': [], 'slot_seconds': 2.0}
  write_report(whole, tmp_path / 'report.html', ReportAssets((arrays, arrays)))
  html = (tmp_path / 'report.html').read_text()
  assert len(players(html)) == 2 and 'One.' in html and 'Two.' in html


def test_speech_without_a_film_gets_a_page_too(tmp_path, arrays):
  spoken = LineAssets(take=arrays.take)
  plain = result(reading={}, exemplars={}, rounds=[])
  write_report(plain, tmp_path / 'report.html', ReportAssets((spoken,)))
  html = (tmp_path / 'report.html').read_text()
  (player,) = players(html)
  assert player[:4] == b'OggS' and '<video' not in html


def test_a_result_with_nothing_in_it_still_gives_a_page(tmp_path):
  write_report({'line': 'Hello.'}, tmp_path / 'report.html', ReportAssets((LineAssets(),)))
  assert 'Hello.' in (tmp_path / 'report.html').read_text()


def test_probabilities_by_name_mean_the_same_as_by_place(tmp_path, arrays):
  pages = []
  for values in (HAPPY, dict(zip(EMOTIONS, HAPPY, strict=True))):
    reading = {'captions': {}, 'emotions': {'scene': values}}
    write_report(result(reading=reading), tmp_path / 'report.html', ReportAssets((LineAssets(),)))
    pages.append((tmp_path / 'report.html').read_text())
  assert pages[0] == pages[1]


def test_an_exemplar_is_playable_where_its_sound_is_at_hand_and_only_there(tmp_path, arrays):
  write_wav(tmp_path / 'good.wav', np.sin(np.arange(16000) / 20).astype(np.float32) * 0.1, 16000)
  (tmp_path / 'broken.mp4').write_bytes(b'not a film')
  clips = [
    {'key': name, 'similarity': 0.5, 'media': str(tmp_path / name)} for name in ('good.wav', 'broken.mp4', 'gone')
  ]
  write_report(result(exemplars={'text': clips}), tmp_path / 'report.html', ReportAssets((LineAssets(),)))
  html = (tmp_path / 'report.html').read_text()
  assert list(sounds(html)) == ['clip good.wav'] and html.count('data-sound=') == 1


def test_a_film_that_no_browser_plays_is_shown_from_its_frames(tmp_path, arrays):
  (tmp_path / 'dubbed.mkv').write_bytes(b'anything')
  write_report(result(), tmp_path / 'report.html', ReportAssets((arrays,), video=str(tmp_path / 'dubbed.mkv')))
  assert len(players((tmp_path / 'report.html').read_text())) == 1


def test_a_failure_leaves_an_older_page_as_it_was(tmp_path, arrays):
  (tmp_path / 'report.html').write_text('older')
  with pytest.raises(BadInput, match='2 lines but 1'):
    write_report({'lines': [result(), result()]}, tmp_path / 'report.html', ReportAssets((arrays,)))
  assert [path.read_text() for path in tmp_path.iterdir()] == ['older']


def test_lines_are_folded_and_no_line_has_pictures_that_move(tmp_path, arrays):
  whole = {'lines': [result('One.'), result('Two.')], 'warnings': [], 'slot_seconds': 2.0}
  write_report(whole, tmp_path / 'report.html', ReportAssets((arrays, arrays)))
  html = (tmp_path / 'report.html').read_text()
  assert html.count('<details class="line"') == 2 and 'video/mp4' not in html
  assert len(html) < 2 * 150_000


def test_takes_are_listed_with_what_their_note_did_and_each_sound_is_there_once(tmp_path, arrays):
  figures, other = line_figures(arrays), sound_uri(arrays.take.waveform[::-1])
  takes = (TakeEntry(1, False, '', '', other), TakeEntry(2, True, 'softer', 'softer by 4.0 dB', figures['sound']))
  whole = {'lines': [result('One.'), result('Two.')], 'warnings': []}
  lines = (LineFigures(figures, 0.0, takes), LineFigures(line_figures(LineAssets())))
  write_report(whole, tmp_path / 'report.html', ReportAssets(lines))
  html = (tmp_path / 'report.html').read_text()
  assert re.search(r'take 2.*?in the film.*?softer by 4\.0 dB.*?<q>softer</q>', html, re.DOTALL)
  assert len(sounds(html)) == 2 and html.count(figures['sound']) == 1 and html.count(other) == 1
  assert set(re.findall('data-sound="([^"]+)"', html)) == set(sounds(html))


def test_figures_are_plain_json_so_that_they_can_be_kept(arrays):
  figures = line_figures(arrays)
  assert json.loads(json.dumps(figures)) == figures


def test_the_film_of_several_lines_is_beside_the_page_and_not_in_it(tmp_path, arrays):
  write_silent_clip(tmp_path / 'dubbed.mp4', np.zeros((5, 64, 64, 3), np.uint8))
  whole = {'lines': [result('One.'), result('Two.')], 'warnings': []}
  for lines, inside in ((whole, False), (result(), True)):
    assets = (arrays,) * len(lines.get('lines', (1,)))
    write_report(lines, tmp_path / 'report.html', ReportAssets(assets, video=str(tmp_path / 'dubbed.mp4')))
    html = (tmp_path / 'report.html').read_text()
    assert ('src="dubbed.mp4"' in html) is not inside and ('data:video/mp4' in html) is inside
