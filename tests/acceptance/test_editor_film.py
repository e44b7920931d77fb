"""A film of 70 s with three characters, music, two sound tracks, subtitles, chapters, tags and an attachment goes
through `transcribe`, `dub` and two notes, and comes out with everything that it had, and files that an editing program
opens.

    pytest -m slow tests/acceptance/test_editor_film.py -s      # about 5 minutes of CPU time
"""

import csv
import io
import json
import tomllib
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pysubs2
import pytest
import soundfile

from dubber_jax.cli.main import main
from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.dubbing.request import LineOptions
from dubber_jax.dubbing.speak import SpeakRequest, speak
from dubber_jax.inference.model_directory import load
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.media.sound import read_sound, resample
from dubber_jax.types import SAMPLE_RATE, Line

pytestmark = pytest.mark.slow

SECONDS, FPS, RATE = 70.0, 25, 48_000
VOICES = {'ANNA': 'kathleen', 'BEN': 'joe', 'CLARA': 'ljspeech'}
NAMES = tuple(name.title() for name in VOICES)  # as a script reader writes names in capitals
SCRIPT = (
  ('ANNA', 'Where have you been all day?'),
  ('BEN', 'I was down at the old harbor.'),
  ('CLARA', 'You never told us about that.'),
  ('ANNA', 'We were so worried about you.'),
  ('BEN', 'I know, and I am very sorry.'),
  ('CLARA', 'Sorry is not enough this time.'),
  ('ANNA', 'Then what do you want from me?'),
  ('BEN', 'Only the truth, nothing else.'),
  ('CLARA', 'The boat was gone this morning.'),
  ('ANNA', 'You sold it to the fishermen.'),
  ('BEN', 'I had no other choice, believe me.'),
  ('CLARA', 'There is always another choice.'),
)
SLOTS = [(2.0 + 5.5 * i, 2.0 + 5.5 * i + 3.4) for i in range(len(SCRIPT))]
CHAPTERS = [(0.0, 21.0, 'Morning'), (21.0, 47.5, 'The harbor'), (47.5, SECONDS, 'The truth')]
TONES = (110.0, 164.8, 220.0, 277.2)  # Hz, of the music
TITLE, TIMECODE = 'The Boat', '01:00:00:00'
REDONE = {3: 'much softer', 8: 'slower'}


def music() -> np.ndarray:
  """(S, 2) at RATE: a chord that never ends and a beat, at about -30 LUFS."""
  time = np.arange(round(SECONDS * RATE)) / RATE
  left = sum(np.sin(2 * np.pi * tone * time + 0.5 * np.sin(2 * np.pi * 0.2 * time)) for tone in TONES)
  right = sum(np.sin(2 * np.pi * tone * time + 0.5 * np.cos(2 * np.pi * 0.2 * time)) for tone in TONES)
  beat = np.exp(-20 * (time % 0.5)) * np.random.default_rng(0).normal(size=len(time))
  return (0.02 * np.stack([left, right], 1) + 0.03 * beat[:, None]).astype(np.float32)


def dialogue(folder: Path) -> np.ndarray:
  """(S,) at RATE: the script, spoken by three shipped voices from half a second after the start of each slot."""
  model, sound = load(), np.zeros(round(SECONDS * RATE), np.float32)
  for name, voice in VOICES.items():
    own = [i for i, (who, _) in enumerate(SCRIPT) if who == name]
    outs = tuple(folder / f'spoken_{i}.wav' for i in own)
    lines = tuple(Line(SCRIPT[i][1]) for i in own)
    speak(SpeakRequest(lines, model.voices[voice], outs, LineOptions(rounds=1, candidates=1)), model)
    for i, path in zip(own, outs, strict=True):
      wave = resample(soundfile.read(path, dtype='float32')[0], SAMPLE_RATE, RATE)[: round(2.8 * RATE)]
      first = round((SLOTS[i][0] + 0.3) * RATE)
      sound[first : first + len(wave)] += wave
  return sound


def write_film(path: Path, folder: Path, sounds) -> None:
  """Pictures, two sound tracks, subtitles, chapters, tags and an attachment."""
  shots = [draw_cartoon('neutral', SCRIPT[i][1], 3.0, seed=i) for i in range(3)]
  stamps = [(pysubs2.make_time(s=a), pysubs2.make_time(s=b)) for a, b in SLOTS]
  file = pysubs2.SSAFile()
  file.events = [pysubs2.SSAEvent(a, b, f'{who}: {text}') for (a, b), (who, text) in zip(stamps, SCRIPT, strict=True)]
  file.save(str(folder / 'titles.srt'))
  with av.open(str(path), 'w') as film, av.open(str(folder / 'titles.srt')) as titles:
    film.metadata.update({'title': TITLE, 'comment': 'made for a test', 'DIRECTOR': 'Nobody'})
    pictures = film.add_stream('libx264', rate=FPS, options={'preset': 'ultrafast'})
    pictures.height, pictures.width = shots[0].shape[1:3]
    pictures.pix_fmt = 'yuv420p'
    pictures.metadata['TIMECODE'] = TIMECODE
    tracks = []
    for (_, language, title), layout in zip(sounds, ('stereo', 'mono'), strict=True):
      tracks.append(film.add_stream('flac', rate=RATE, layout=layout))
      tracks[-1].metadata.update({'language': language, 'title': title})
    text = film.add_stream_from_template(titles.streams.subtitles[0])
    text.metadata.update({'language': 'eng', 'title': 'English'})
    film.add_attachment('notes.txt', 'text/plain', b'what the director said')
    film.set_chapters(
      [
        {
          'id': i,
          'start': round(1000 * a),
          'end': round(1000 * b),
          'time_base': Fraction(1, 1000),
          'metadata': {'title': title},
        }
        for i, (a, b, title) in enumerate(CHAPTERS, 1)
      ]
    )
    for packet in titles.demux():
      if packet.size:
        packet.stream = text
        film.mux(packet)
    for i in range(round(SECONDS * FPS)):
      shot = shots[i // 138 % 3]  # 5.5 s each
      film.mux(pictures.encode(av.VideoFrame.from_ndarray(shot[i % len(shot)], format='rgb24')))
    film.mux(pictures.encode(None))
    for stream, (wave, _, _) in zip(tracks, sounds, strict=True):
      packed = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
      for begin in range(0, len(packed), RATE):
        part = packed[begin : begin + RATE]
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), 's16', stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
        film.mux(stream.encode(frame))
      film.mux(stream.encode(None))


def contents(path: Path) -> dict:
  """What a film holds: packets and tags of each track, chapters, tags, attachments."""
  with av.open(str(path)) as film:
    streams = [s for s in film.streams if s.type in ('video', 'audio', 'subtitle')]
    packets = {s.index: [] for s in streams}
    for packet in film.demux(streams):
      if packet.size:
        packets[packet.stream.index].append(bytes(packet))
    attached = [s for s in film.streams if s.type == 'attachment']
    return {
      'tracks': [
        {
          'type': s.type,
          'codec': s.codec_context.name,
          'packets': packets[s.index],
          'default': bool(s.disposition & av.stream.Disposition.default),
          **{name.lower(): value for name, value in s.metadata.items()},
        }
        for s in streams
      ],
      'chapters': [
        (float(c['start'] * c['time_base']), float(c['end'] * c['time_base']), c['metadata'].get('title'))
        for c in film.chapters()
      ],
      'tags': {name.lower(): value for name, value in film.metadata.items()},
      'attachments': [s.metadata.get('filename') for s in attached],
      'seconds': film.duration / av.time_base,
    }


def run(*arguments) -> None:
  assert main([str(a) for a in arguments]) == 0


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """The folder after all commands: film.mkv, script.srt, cast.toml, dub.mkv; first_*: copies from before the notes."""
  folder = tmp_path_factory.mktemp('film')
  film, dub = folder / 'film.mkv', folder / 'dub.mkv'
  spoken, behind = dialogue(folder), music()
  soundfile.write(folder / 'music.wav', behind, RATE, subtype='FLOAT')
  mixed = 0.7 * spoken[:, None] + behind
  comment = (0.05 * np.sin(2 * np.pi * 330 * np.arange(len(spoken)) / RATE)).astype(np.float32)
  write_film(film, folder, [(mixed, 'fra', 'Original'), (comment, 'deu', 'Kommentar')])
  run('transcribe', film, '-o', folder / 'script.srt', '--cast', folder / 'cast.toml', '--speakers', 3)
  run(
    'dub',
    film,
    '--script',
    folder / 'script.srt',
    '--cast',
    folder / 'cast.toml',
    '-o',
    dub,
    '--editorial',
    '--rounds',
    1,
    '--candidates',
    2,
    '--fit-steps',
    5,
    '--json',
    folder / 'result.json',
  )
  for path in (folder / 'dub.dialogue.wav', folder / 'result.json', folder / 'dub.editorial' / 'dub.otio'):
    path.with_name(f'first_{path.name}').write_bytes(path.read_bytes())
  for line, note in REDONE.items():
    run('redo', folder / 'dub.project', '--line', line, '--note', note)
  return folder


@pytest.fixture(scope='module')
def result(made):
  return json.loads((made / 'result.json').read_text())


def slots(result):
  return [(line['line']['start'], line['line']['end'] + line['overrun_seconds']) for line in result['lines']]


def test_the_script_and_the_cast_are_found(made):
  script = pysubs2.load(str(made / 'script.srt'))
  assert [event.plaintext.replace('\n', ' ') for event in script] == [f'{who}: {text}' for who, text in SCRIPT]
  for event, (start, end) in zip(script, SLOTS, strict=True):
    assert start - 0.3 <= event.start / 1000 < event.end / 1000 <= end + 0.3
  cast = tomllib.loads((made / 'cast.toml').read_text())['cast']
  assert {name for name in cast if name != 'default'} == set(VOICES)
  for name in VOICES:
    assert soundfile.info(made / cast[name]).duration >= 1.0


def test_everything_that_the_film_had_is_in_the_dub(made):
  before, after = contents(made / 'film.mkv'), contents(made / 'dub.mkv')
  kinds = Counter(track['type'] for track in after['tracks'])
  assert kinds == {'video': 1, 'audio': 3, 'subtitle': 2}
  dubbed, *others = [track for track in after['tracks'] if track['type'] == 'audio']
  assert dubbed['default'] and dubbed['language'] == 'eng' and dubbed['title']
  for kept, track in zip(others, [t for t in before['tracks'] if t['type'] == 'audio'], strict=True):
    assert (kept['language'], kept['title'], kept['codec']) == (track['language'], track['title'], track['codec'])
    assert kept['packets'] == track['packets'] and not kept['default']
  (pictures,), (source,) = ([t for t in found['tracks'] if t['type'] == 'video'] for found in (after, before))
  assert pictures['packets'] == source['packets'] and pictures['timecode'] == TIMECODE
  titles = [track for track in after['tracks'] if track['type'] == 'subtitle']
  (english,) = [track for track in before['tracks'] if track['type'] == 'subtitle']
  assert english['packets'] in [track['packets'] for track in titles]
  assert ('eng', 'English') in [(track.get('language'), track.get('title')) for track in titles]
  assert len(after['chapters']) == len(CHAPTERS)
  for (start, end, title), expected in zip(after['chapters'], CHAPTERS, strict=True):
    assert abs(start - expected[0]) < 0.002 and abs(end - expected[1]) < 0.002 and title == expected[2]
  assert {name: after['tags'].get(name) for name in ('title', 'comment', 'director')} == {
    'title': TITLE,
    'comment': 'made for a test',
    'director': 'Nobody',
  }
  assert after['attachments'] == ['notes.txt']
  assert abs(after['seconds'] - before['seconds']) <= 1 / FPS


def loudness_of_windows(wave, seconds=0.05):
  """dB of full scale of each window of so many seconds, one every 10 ms; (S,) or (S, C)."""
  power = np.square(wave, dtype=np.float64).reshape(len(wave), -1).mean(1)
  total = np.concatenate([[0], np.cumsum(power)])
  size, hop = round(seconds * RATE), RATE // 100
  firsts = np.arange(0, len(wave) - size + 1, hop)
  return 10 * np.log10((total[firsts + size] - total[firsts]) / size + 1e-20)


def test_the_music_is_unbroken_and_the_old_dialogue_gone(made):
  behind = soundfile.read(made / 'music.wav', dtype='float32')[0]
  bed = soundfile.read(made / 'dub.editorial' / 'stems' / 'music_and_effects.wav', dtype='float32')[0]
  new = read_sound(made / 'dub.mkv', RATE, stereo=True)
  count = min(len(behind), len(bed), len(new))
  had = loudness_of_windows(behind[:count]) > -60
  assert had.mean() > 0.99
  assert (loudness_of_windows(bed[:count])[had] > -60).all(), 'a gap of 50 ms in music and effects'
  assert (loudness_of_windows(new[:count])[had] > -60).all(), 'a gap of 50 ms in the dub'
  mixed = read_sound(made / 'film.mkv', RATE, stereo=True)[:count]
  assert dialogue_left(bed[:count], behind[:count], mixed) < -18, 'the old dialogue is still there'
  assert abs(integrated_loudness(new, RATE) - integrated_loudness(mixed, RATE)) <= 1.0


def dialogue_left(bed, behind, mixed, seconds=0.05):
  """Energy of the dialogue in a separated background in dB of the dialogue's own: what differs from the true background
  is projected on the dialogue, window by window. Music that was lost with it does not count."""
  size = round(seconds * RATE)
  dialogue, error = (
    (x - behind)[: len(behind) // size * size].astype(np.float64).reshape(-1, size * 2) for x in (mixed, bed)
  )
  energy = np.square(dialogue).sum(1)
  left = np.square((dialogue * error).sum(1)) / np.maximum(energy, 1e-9)
  return 10 * np.log10(left.sum() / energy.sum())


def test_every_line_is_spoken_in_its_slot_and_nowhere_else(made, result):
  wave, rate = soundfile.read(made / 'dub.dialogue.wav')
  assert rate == RATE and len(wave) == round(SECONDS * RATE)
  outside = np.ones(len(wave), bool)
  for start, end in slots(result):
    first, last = round(start * RATE), round(end * RATE)
    assert np.abs(wave[first:last]).max() > 0.01
    outside[max(0, first - RATE // 100) : last + RATE // 100] = False
  assert np.abs(wave[outside]).max() < 1e-3


def test_notes_change_their_lines_alone(made, result):
  first = json.loads((made / 'first_result.json').read_text())
  softer, slower = 2, 7
  assert result['lines'][softer]['level_lufs'] < first['lines'][softer]['level_lufs'] - 1.0
  assert result['lines'][slower]['direction']['pace'] < first['lines'][slower]['direction']['pace']
  before, after = (soundfile.read(made / name)[0] for name in ('first_dub.dialogue.wav', 'dub.dialogue.wav'))
  same = np.ones(len(before), bool)
  for i in (softer, slower):
    same[round((slots(result)[i][0] - 0.05) * RATE) : round((slots(result)[i][1] + 0.05) * RATE)] = False
  assert np.array_equal(before[same], after[same]) and not np.array_equal(before, after)


def test_the_subtitles_have_the_words_at_their_times(made, result):
  cues = pysubs2.load(str(made / 'dub.srt'))
  assert [cue.plaintext.replace('\n', ' ') for cue in cues] == [text for _, text in SCRIPT]
  for cue, line in zip(cues, result['lines'], strict=True):
    words = line['words']
    assert abs(cue.start / 1000 - (line['line']['start'] + words[0][0])) < 0.002
    assert cue.end / 1000 >= line['line']['start'] + words[-1][1] - 0.002
  vtt = (made / 'dub.vtt').read_text()
  assert vtt.count('<v ') == len(SCRIPT) and all(f'<v {name}>' in vtt for name in NAMES)
  with av.open(str(made / 'dub.mkv')) as film:
    muxed = [
      [(round(1000 * float(p.pts * p.time_base)), bytes(p).decode()) for p in film.demux(stream) if p.size]
      for stream in film.streams.subtitles
      if film.seek(0) is None
    ]
  assert [(cue.start, cue.plaintext) for cue in cues] in muxed


def test_the_timeline_opens_and_is_exact_to_the_frame(made, result):
  folder = made / 'dub.editorial'
  timeline = otio.adapters.read_from_file(str(folder / 'dub.otio'))
  names = [track.name for track in timeline.tracks]
  assert names[:2] == ['Picture', 'Original sound'] and set(names[2:5]) == set(NAMES)
  assert otio.opentime.to_timecode(timeline.global_start_time, FPS) == TIMECODE
  assert timeline.tracks[0].duration().value == round(SECONDS * FPS)
  lines = {}
  for track in timeline.tracks[2:5]:
    for clip in track.find_clips():
      placed, told = track.range_of_child(clip), clip.metadata['dubber']
      lines[told['line']] = (placed.start_time.value, placed.end_time_exclusive().value)
      assert told['text'] == SCRIPT[told['line'] - 1][1] and clip.markers[0].name == told['text']
      assert told['take'] == (2 if told['line'] in REDONE else 1) and told['note'] == REDONE.get(told['line'], '')
  for number, (start, end) in enumerate(slots(result), 1):
    assert abs(lines[number][0] - start * FPS) < 1 and abs(lines[number][1] - end * FPS) < 1
  for clip in timeline.find_clips():
    assert (folder / otio.url_utils.filepath_from_url(clip.media_reference.target_url)).is_file()
  edl = otio.adapters.read_from_file(str(folder / 'dub.edl'), rate=FPS)
  events = [clip for track in edl.tracks for clip in track.find_clips()]
  assert len(events) == 1 + len(SCRIPT)
  start = timeline.global_start_time.value
  assert {
    (c.source_range.start_time.value - start, c.source_range.end_time_exclusive().value - start) for c in events[1:]
  } == set(lines.values())


def test_stems_add_up_to_the_dialogue_and_the_cue_sheet_tells_of_the_notes(made):
  folder = made / 'dub.editorial'
  wave = soundfile.read(made / 'dub.dialogue.wav')[0]
  total = sum(soundfile.read(folder / 'stems' / f'{name}.wav')[0] for name in NAMES)
  assert len(total) == len(wave) and np.abs(total - wave).max() < 0.03 * np.abs(wave).max()
  text = (folder / 'dub.adr.csv').read_bytes().decode('utf-8-sig')
  rows = list(csv.DictReader(io.StringIO(text, newline='')))
  assert [(row['Character'], row['Text']) for row in rows] == [(who.title(), text) for who, text in SCRIPT]
  assert {int(row['Cue']): row['Note'] for row in rows if row['Note']} == REDONE
  assert all(row['TC In'].startswith('01:0') for row in rows)
  assert (folder / 'dub.otio').read_bytes() != (folder / 'first_dub.otio').read_bytes()
