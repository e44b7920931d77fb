import itertools
import json
import subprocess
import sys
import tomllib
from fractions import Fraction

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from dubber_jax.cli.main import main
from dubber_jax.errors import BadInput
from dubber_jax.media.film import Film
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.script.subtitles import load_script
from dubber_jax.transcription import transcribe as module
from dubber_jax.transcription.known_lines import read_track, text_tracks, with_known_lines
from dubber_jax.transcription.transcribe import (
  TranscribeRequest,
  Transcript,
  cast_text,
  film_parts,
  transcribe,
  voice_files,
  write_transcript,
)
from dubber_jax.transcription.utterances import Cue, split_utterances
from dubber_jax.transcription.voice_cuts import WANTED, cleanness, cut_voice, speaker_spans
from dubber_jax.types import SAMPLE_RATE, Line

RATE = 22050
# Who speaks when, in s: two tones stand for two people.
TALK = ((1.0, 4.0, 'low'), (4.5, 7.0, 'high'), (7.5, 14.0, 'low'), (14.5, 18.0, 'high'))
TONES = {'low': 150.0, 'high': 400.0}
TEXTS = ('Come here at once.', 'Why should I?', 'Because I say so, and you know it well.', 'I will not.')


class FakeRecognizer:
  name = 'fake'

  def __init__(self):
    self.calls = []

  def recognize(self, wave16k, language=''):
    self.calls.append((len(wave16k), language))
    words = []
    for (start, end, _), text in zip(TALK, TEXTS, strict=True):
      parts = text.split()
      each = (end - start) / len(parts)
      words += [(start + i * each, start + (i + 1) * each, part) for i, part in enumerate(parts)]
    return words, 'en'


class FakeEncoder:
  """Embeds a wave by its strongest frequency."""

  def embed(self, wave, sample_rate):
    if not np.any(wave):
      raise BadInput('the voice is silent')
    peak = np.fft.rfftfreq(len(wave), 1 / sample_rate)[np.argmax(np.abs(np.fft.rfft(wave)))]
    return np.float32(np.eye(256)[0 if peak < 250 else 1])


@pytest.fixture
def film(tmp_path, monkeypatch):
  monkeypatch.setattr('dubber_jax.perception.speaker.SpeakerEncoder', FakeEncoder)
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'cache'))
  time = np.arange(20 * RATE) / RATE
  wave = np.zeros(len(time), np.float32)
  for start, end, who in TALK:
    at = (time >= start) & (time < end)
    wave[at] = 0.3 * np.sin(2 * np.pi * TONES[who] * time[at])
  write_wav(tmp_path / 'film.wav', wave, RATE)
  return tmp_path / 'film.wav'


def request(film, **more):
  return TranscribeRequest(film, film.with_name('out.srt'), film.with_name('cast.toml'), **more)


def test_script_cast_and_voices_are_what_dub_takes(film):
  asked = request(film)
  paths = write_transcript(transcribe(asked, FakeRecognizer()), asked)
  assert [path.name for path in paths] == ['out.srt', 'cast.toml', 'cast.speaker-1.wav', 'cast.speaker-2.wav']
  cast = tomllib.loads((film.parent / 'cast.toml').read_text())['cast']
  assert cast == {'SPEAKER 1': 'cast.speaker-1.wav', 'SPEAKER 2': 'cast.speaker-2.wav'}
  lines = load_script(film.parent / 'out.srt').lines
  assert [line.character for line in lines] == ['Speaker 1', 'Speaker 2', 'Speaker 1', 'Speaker 2']
  assert [line.text for line in lines] == list(TEXTS)
  assert [line.start for line in lines] == [start for start, _, _ in TALK]
  for name, tone in (('cast.speaker-1.wav', 150), ('cast.speaker-2.wav', 400)):
    voice = read_sound(film.parent / name, RATE)
    spectrum = np.abs(np.fft.rfft(voice))
    assert abs(np.fft.rfftfreq(len(voice), 1 / RATE)[spectrum.argmax()] - tone) < 2
  assert len(read_sound(film.parent / 'cast.speaker-1.wav', RATE)) / RATE >= WANTED  # one stretch of 6.5 s
  assert len(read_sound(film.parent / 'cast.speaker-2.wav', RATE)) / RATE >= 5.9  # two, of 2.5 and 3.5 s


def test_what_was_recognized_is_not_recognized_again(film):
  recognizer = FakeRecognizer()
  first = transcribe(request(film), recognizer)
  assert transcribe(request(film), recognizer).cues == first.cues
  assert len(recognizer.calls) == 1


def test_texts_and_names_of_subtitles_are_kept_and_speech_beside_them_is_added(film):
  srt = film.with_name('known.srt')
  srt.write_text(
    '1\n00:00:01,000 --> 00:00:04,000\nANNA: Come here right now!\n\n2\n00:00:04,500 --> 00:00:07,000\nBEN: Why?\n\n'
    '3\n00:00:50,000 --> 00:00:51,000\nPast the end.\n'
  )
  found = transcribe(request(film, subtitles=str(srt)), FakeRecognizer())
  assert [(cue.speaker, cue.text) for cue in found.cues] == [
    ('Anna', 'Come here right now!'),
    ('Ben', 'Why?'),
    ('Anna', TEXTS[2]),
    ('Ben', TEXTS[3]),
  ]
  assert any('1 lines of the subtitles start past the end' in warning for warning in found.warnings)


def test_words_within_a_slot_are_those_of_its_line():
  words = [(0.0, 0.4, 'well'), (0.9, 1.4, 'come'), (1.5, 1.9, 'here'), (4.0, 4.4, 'and'), (4.4, 4.9, 'go')]
  found = with_known_lines(split_utterances(words), [Line('Komm her!', 1.0, 2.0, 'Anna')])
  assert [(u.text, u.speaker, u.fixed) for u in found] == [('Komm her!', 'Anna', True), ('and go', '', False)]
  assert found[0].start == 1.0 and found[0].end == 2.0


def film_with_subtitles(path, codec, texts):
  """A film of 4 s with a line a second, each of 0.9 s."""
  header = b'[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n'
  with av.open(str(path), 'w') as container:
    video = container.add_stream('mpeg4', 25)
    video.width, video.height, video.pix_fmt = 32, 32, 'yuv420p'
    subtitles = container.add_stream(codec)
    subtitles.metadata['language'] = 'eng'
    subtitles.codec_context.subtitle_header = header
    subtitles.codec_context.time_base = subtitles.time_base = Fraction(1, 1000)
    for _ in range(100):
      container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format='rgb24')))
    container.mux(video.encode(None))
    for i, text in enumerate(texts):
      line = SubtitleSet.create(f'{i},0,Default,,0,0,0,,{text}'.encode(), 0, 900, 1000 * i)
      packet = subtitles.codec_context.encode_subtitle(line)
      packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
      container.mux(packet)
  return path


@pytest.mark.parametrize(('suffix', 'codec'), [('mkv', 'subrip'), ('mkv', 'ass'), ('mp4', 'mov_text')])
def test_lines_of_a_subtitle_track_are_read_as_those_of_a_file(tmp_path, suffix, codec):
  texts = ('ANNA: Come here,\\Nplease.', '(LAUGHS) {\\i1}Why?{\\i0}')
  path = film_with_subtitles(tmp_path / f'film.{suffix}', codec, texts)
  assert text_tracks(path) == [(0, 'eng')]
  lines = read_track(path, 0).lines
  assert [(line.text, line.character) for line in lines] == [('Come here, please.', 'Anna'), ('Why?', '')]
  assert [line.start for line in lines] == [0.0, 1.0]
  with pytest.raises(BadInput, match='--subtitles 3'):
    read_track(path, 3)


def test_a_long_film_is_heard_in_parts_cut_where_it_is_quiet(film, monkeypatch):
  monkeypatch.setattr(module, 'PART', 8.0)
  monkeypatch.setattr(module, 'SEARCHED', 4.0)
  parts = list(film_parts(Film(film)))
  assert [round(start, 1) for start, _, _ in parts][0] == 0.0 and parts[-1][1] == 20.0
  assert all(before[1] == after[0] for before, after in zip(parts, parts[1:], strict=False))
  assert 4.0 <= parts[0][1] <= 4.5 or 7.0 <= parts[0][1] <= 7.5
  assert sum(len(wave) for _, _, wave in parts) == pytest.approx(20 * 16000, abs=20)


def test_stretches_of_a_speaker_hold_nobody_else():
  utterances = split_utterances(
    [(0, 2, 'One.'), (2.3, 4, 'Two.'), (4.5, 6, 'Three.'), (5.5, 7, 'Four.'), (8, 9, 'Five.')]
  )
  found = speaker_spans(utterances, ['a', 'a', 'a', 'b', 'a'], 'a', 10.0)
  assert [tuple(np.round(span, 2)) for span in found] == [(0.0, 4.12), (7.88, 9.12)]  # the third speaks over the fourth


def test_the_cleanest_stretch_is_cut(tmp_path):
  rng = np.random.default_rng(0)
  time = np.arange(30 * RATE) / RATE
  voice = 0.3 * np.sin(2 * np.pi * 200 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
  voice[: 15 * RATE] += 0.05 * rng.normal(size=15 * RATE)  # the first half is noisy
  write_wav(tmp_path / 'film.wav', voice.astype(np.float32), RATE)
  utterances = split_utterances([(1, 9, 'A.'), (17, 25, 'B.')])
  wave = cut_voice(Film(tmp_path / 'film.wav'), utterances, ['a', 'a'], 'a')
  assert len(wave) / SAMPLE_RATE == pytest.approx(8.24, abs=0.05)
  assert cleanness(wave) > 40


def test_names_become_files_that_differ_and_toml_that_is_read(tmp_path):
  files = voice_files(['Old Man', 'OLD-MAN', 'Zoë "Z"', '李'], tmp_path / 'cast.toml')
  assert [path.name for path in files.values()] == [
    'cast.old-man.wav',
    'cast.old-man-2.wav',
    'cast.zoe-z.wav',
    'cast.voice.wav',
  ]
  cues = (Cue(0, 1, 'a', 'Old Man'), Cue(1, 5, 'b', '李'), Cue(5, 6, 'c', 'Nobody'))
  cast = tomllib.loads(cast_text(Transcript(cues, {}, 'en'), files))['cast']
  assert cast['ZOË "Z"'] == 'cast.zoe-z.wav' and cast['default'] == 'cast.voice.wav'


def test_nothing_is_overwritten_unasked_and_nothing_is_left_of_a_failure(film):
  cast, out = film.with_name('cast.toml'), film.with_name('out.srt')
  for path in (cast, out, film.with_name('cast.anna.wav')):
    path.write_text('mine')
    with pytest.raises(BadInput, match='exists already'):
      request(film)
    request(film, overwrite=True)
    path.unlink()
  asked = request(film)
  transcript = transcribe(asked, FakeRecognizer())
  broken = Transcript(transcript.cues, {**transcript.voices, 'Speaker 2': None}, 'en')
  with pytest.raises((AttributeError, TypeError, ValueError)):
    write_transcript(broken, asked)
  assert not [path for path in film.parent.iterdir() if path.is_file() and path != film]


@pytest.mark.parametrize(
  ('options', 'says'),
  [
    (['-o', 'x.vtt', '--cast', 'c.toml'], 'ends in .srt'),
    (['-o', 'x.srt', '--cast', 'c.txt'], 'ends in .toml'),
    (['-o', 'x.srt', '--cast', 'c.toml', '--speakers', '-1'], '--speakers -1'),
    (['-o', 'x.srt', '--cast', 'c.toml', '--translate', 'en'], 'belong together'),
    (['-o', 'x.srt', '--cast', 'c.toml', '--subtitles', 'none.srt'], 'no such file'),
    (['-o', 'x.srt', '--cast', 'c.toml', '--rate', '0'], '--rate 0'),
    (['-o', 'x.srt', '--cast', 'c.toml', '--translate', 'en', '--planner', 'nowhere'], 'no address'),
  ],
)
def test_arguments_are_checked_before_anything_is_heard(film, monkeypatch, capsys, options, says):
  monkeypatch.chdir(film.parent)
  monkeypatch.setattr('dubber_jax.transcription.transcribe.transcribe', lambda *_: pytest.fail('heard'))
  assert main(['transcribe', str(film), *options]) == 2
  assert says in capsys.readouterr().err


def test_nothing_heavy_is_imported_for_a_refusal(tmp_path):
  code = (
    'import argparse, json, sys\n'
    'from dubber_jax.cli.transcribe import run_transcribe\n'
    'from dubber_jax.errors import BadInput\n'
    'given = argparse.Namespace(translate="en", planner=None, rate=15.0, film="none.mp4")\n'
    'try:\n  run_transcribe(given)\nexcept BadInput:\n  pass\n'
    'print(json.dumps([m for m in ("jax", "numpy", "faster_whisper", "av") if m in sys.modules]))\n'
  )
  ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert json.loads(ran.stdout) == []


def test_a_silent_film_is_refused(tmp_path, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', '')
  write_wav(tmp_path / 'film.wav', np.zeros(3 * RATE, np.float32), RATE)

  class Deaf:
    name = 'deaf'

    def recognize(self, wave16k, language=''):
      return [], ''

  with pytest.raises(BadInput, match='nobody is heard'):
    transcribe(request(tmp_path / 'film.wav'), Deaf())


@pytest.mark.slow
def test_two_real_speakers_are_told_apart_and_their_words_recognized(tmp_path, monkeypatch, data_dir):
  from dubber_jax.evaluation.metrics.wer import join_weights, word_error_rate
  from dubber_jax.transcription.recognizer import FasterWhisper

  pytest.importorskip('faster_whisper')
  try:
    weights = join_weights()
  except BadInput as error:
    pytest.skip(str(error))
  monkeypatch.setenv('DUBBER_CACHE', '')
  found: dict[str, list[dict]] = {'kathleen': [], 'teacher': []}
  for name, rows in found.items():
    with open(data_dir / f'{name}.jsonl', encoding='utf-8') as file:
      every = (json.loads(row) for row in file)
      wanted = (r for r in every if 30 < len(r['text']) < 80 and (name != 'teacher' or r['speaker'] == 'teacher_joe'))
      rows += itertools.islice(wanted, 3)
  pieces, texts = [], []
  for pair in zip(*found.values(), strict=True):
    for row in pair:
      wave = read_sound(data_dir / row['file'], RATE)
      pieces += [0.1 * wave / wave.std(), np.zeros(RATE // 2, np.float32)]
      texts.append(row['text'])
  write_wav(tmp_path / 'film.wav', np.clip(np.concatenate(pieces), -1, 1), RATE)
  transcript = transcribe(request(tmp_path / 'film.wav'), FasterWhisper(weights))
  assert transcript.language == 'en' and len(transcript.voices) == 2
  assert word_error_rate(' '.join(texts), ' '.join(cue.text for cue in transcript.cues)) < 0.2
