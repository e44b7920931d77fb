"""Bad input: one clear line, exit code 2, nothing left behind."""

import json
import os
import shutil

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.inference.model_directory import SHIPPED as MODEL
from dubber_jax.media.sound import write_wav
from dubber_jax.media.video import write_silent_clip
from dubber_jax.retrieval.library import SHIPPED as LIBRARY
from dubber_jax.types import SAMPLE_RATE


@pytest.fixture
def refused(media, tmp_path, capsys):
  """Runs `dubber dub` with some arguments replaced; gives the one line it said. Nothing may have been written."""
  folder = tmp_path / 'out'
  folder.mkdir()

  def run(film=None, text='What a lovely day.', voice=None, out=None, more=(), kept=()):
    what = ['--text', text] if text is not None else []
    arguments = [
      'dub',
      str(film or media / 'clip.mp4'),
      *what,
      '--voice',
      str(voice or media / 'voice.wav'),
      '-o',
      str(out or folder / 'dubbed.mp4'),
      *map(str, more),
    ]
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    said = [row for row in error.splitlines() if row.startswith('dubber: ')]
    assert len(said) == 1 and 'Traceback' not in error
    assert {p.name for p in folder.iterdir()} == set(kept)
    return said[0]

  return run


def test_missing_film(refused, tmp_path):
  assert 'nowhere.mp4' in refused(film=tmp_path / 'nowhere.mp4')


def test_film_that_is_text(refused, tmp_path):
  (tmp_path / 'film.mp4').write_text('this is no film')
  refused(film=tmp_path / 'film.mp4')


def test_truncated_film(refused, media, tmp_path):
  whole = (media / 'clip.mp4').read_bytes()
  (tmp_path / 'cut.mp4').write_bytes(whole[: len(whole) // 2])
  refused(film=tmp_path / 'cut.mp4')


def test_empty_film(refused, tmp_path):
  (tmp_path / 'empty.mp4').write_bytes(b'')
  refused(film=tmp_path / 'empty.mp4')


def test_sound_instead_of_a_film(refused, media):
  assert 'speak' in refused(film=media / 'voice.wav')


def test_film_longer_than_the_limit(refused, tmp_path):
  pictures = np.broadcast_to(draw_cartoon('sad', 'Hm', seconds=0.2)[:1], (62, 256, 256, 3))
  write_silent_clip(tmp_path / 'long.mp4', pictures, fps=1)
  assert '60' in refused(film=tmp_path / 'long.mp4')


@pytest.mark.parametrize('fault', ['short', 'silent', 'clipped'])
def test_voice_that_is_no_voice(refused, tmp_path, hum, fault):
  wave = {'short': hum(0.6), 'silent': np.zeros(2 * SAMPLE_RATE), 'clipped': np.clip(hum(2.0) * 40, -1, 1)}[fault]
  write_wav(tmp_path / 'bad.wav', wave, SAMPLE_RATE)
  assert 'bad.wav' in refused(voice=tmp_path / 'bad.wav')


def test_voice_that_is_missing(refused, tmp_path):
  assert 'no voice' in refused(voice=tmp_path / 'none.wav')


@pytest.mark.parametrize('text', ['', '   ', '☃ ☃', '12,,, 你好'[5:], '...?!'])
def test_line_with_nothing_to_speak(refused, text):
  refused(text=text)


def test_line_too_long_for_its_slot_says_by_how_much(refused):
  said = refused(
    text='This is a line that goes on and on, for much longer than anybody could ever say it in so short '
    'a time, however fast they spoke, and then it still goes on for a good while.'
  )
  assert 'times as fast' in said and 'its slot is 2.40 s' in said


@pytest.mark.parametrize(
  ('given', 'said'),
  [
    (('--fit', '40'), '--fit-steps 40'),
    (('--fit-steps', 'natural'), '--fit natural'),
    (('--fit', 'loose'), 'natural'),
    (('--fit-steps', 'many'), 'number'),
    (('--fit-steps', '-1'), 'from 0 to 1000'),
  ],
)
def test_how_a_line_fits_and_steps_of_a_voice_are_never_mistaken(refused, given, said):
  assert said in refused(more=given)


@pytest.mark.parametrize('short', ['--fit-step=3', '--back=keep', '--fi=strict'])
def test_options_cannot_be_shortened(media, tmp_path, short, capsys):
  with pytest.raises(SystemExit) as stopped:
    main(['dub', str(media / 'clip.mp4'), '--text', 'No.', '--voice', 'kathleen', '-o', str(tmp_path / 'o.mp4'), short])
  assert stopped.value.code == 2 and short.split('=')[0] in capsys.readouterr().err


def test_natural_line_with_no_silence_after_it_names_both_ways_out(refused):
  said = refused(
    text='This is a line that somebody could just about say in so short a time as this is.', more=('--fit', 'natural')
  )
  assert 'no silence after it' in said and '--fit strict' in said and 'shorten the line' in said


def test_spoken_lines_without_times_have_nothing_to_fit(tmp_path, capsys):
  assert main(['speak', '--text', 'No.', '--voice', 'kathleen', '-o', str(tmp_path / 'o.wav'), '--fit', 'natural']) == 2
  assert 'have no times' in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_subtitles_past_the_end_of_the_film(refused, tmp_path):
  script = tmp_path / 'late.srt'
  script.write_text('1\n00:01:00,000 --> 00:01:02,000\nToo late.\n')
  assert '60.00 s' in refused(text=None, more=('--script', script))


def test_library_that_is_broken(refused, tmp_path):
  shutil.copytree(LIBRARY, tmp_path / 'library')
  os.remove(tmp_path / 'library' / 'clips.jsonl')
  refused(more=('--library', tmp_path / 'library'))


def test_library_that_is_none(refused, tmp_path):
  refused(more=('--library', tmp_path))


def test_model_whose_weights_were_changed(refused, tmp_path):
  shutil.copytree(MODEL, tmp_path / 'model')
  with open(tmp_path / 'model' / 'model.safetensors', 'r+b') as file:
    file.seek(5000)
    file.write(b'changed')
  assert 'hash' in refused(more=('--model', tmp_path / 'model'))


def test_model_of_another_config(refused, tmp_path):
  shutil.copytree(MODEL, tmp_path / 'model')
  config = json.loads((tmp_path / 'model' / 'config.json').read_text())
  config['task']['actor']['width'] = 64
  (tmp_path / 'model' / 'config.json').write_text(json.dumps(config))
  manifest = json.loads((tmp_path / 'model' / 'MANIFEST.json').read_text())
  del manifest['config.json']
  (tmp_path / 'model' / 'MANIFEST.json').write_text(json.dumps(manifest))
  assert 'another config' in refused(more=('--model', tmp_path / 'model'))


def test_folder_that_is_no_model(refused, tmp_path):
  assert 'model directory' in refused(more=('--model', tmp_path))


def test_output_that_exists_is_kept(refused, tmp_path):
  (tmp_path / 'out' / 'dubbed.mp4').write_text('precious')
  assert '--overwrite' in refused(kept=('dubbed.mp4',))
  assert (tmp_path / 'out' / 'dubbed.mp4').read_text() == 'precious'


def test_output_in_a_folder_that_is_not_there(refused, tmp_path):
  refused(out=tmp_path / 'nowhere' / 'dubbed.mp4')


def test_output_of_no_known_kind(refused, tmp_path):
  assert '.xyz' in refused(out=tmp_path / 'out' / 'dubbed.xyz')


def test_face_that_is_not_there(refused):
  refused(more=('--face', '7'))


def test_lexicon_with_an_unknown_phoneme(refused, tmp_path):
  (tmp_path / 'lexicon.txt').write_text('lovely QQ1\n')
  assert 'row 1' in refused(more=('--lexicon', tmp_path / 'lexicon.txt'))
