"""A scene of twenty lines and three characters, killed twice and gone on with, by the command itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.demo.cartoon import draw_cartoon
from dubber_jax.media.film import SOUND_RATE
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.media.video import read_frames, write_silent_clip
from dubber_jax.types import HOP, SAMPLE_RATE

CHARACTERS = ('ANNA', 'BEN', 'CLARA')
SCRIPT = (
  'Where have you been all day?',
  'I was down at the harbour.',
  'You never told us that.',
  'Nobody asked me.',
  'We were worried about you.',
  'I know, and I am sorry.',
  'Sorry is not enough now.',
  'Then what do you want?',
  '(softly) Only the truth.',
  'The boat is gone.',
  'Gone? What do you mean?',
  'It was not there this morning.',
  '(angrily) You sold it!',
  'I had no other choice.',
  'There is always a choice.',
  '(sadly) Not this time, my love.',
  'Come here, both of you.',
  'Leave me alone.',
  'We will find another one.',
  'Yes, we will.',
)
SECONDS = 3.0  # of each shot


def shots():
  """Twenty shots (frames, sound at SAMPLE_RATE) of three people in turn: GRID's where it is at hand, else drawn."""
  root = Path(os.environ.get('DUBBER_DATA', Path(__file__).parents[3] / 'shared' / 'data')) / 'grid'
  speakers = sorted((sorted(folder.glob('*.mp4')) for folder in root.glob('s*')), key=len)[-3:]
  for i, text in enumerate(SCRIPT):
    if len(speakers) == 3:
      path = speakers[i % 3][i // 3 % len(speakers[i % 3])]
      frames, _ = read_frames(path, max_side=256)
      sound = read_sound(path, SAMPLE_RATE)
    else:
      frames, sound = draw_cartoon('neutral', text, SECONDS, seed=i % 3), hum(SECONDS, 110 + 40 * (i % 3))
    length, samples = round(25 * SECONDS), round(SAMPLE_RATE * SECONDS)
    frames = np.concatenate([frames, np.repeat(frames[-1:], length, axis=0)])[:length]
    yield frames, np.pad(sound, (0, samples))[:samples]


def hum(seconds, pitch):
  time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  phase = 2 * np.pi * np.cumsum(pitch + 20 * np.sin(2 * np.pi * 1.5 * time)) / SAMPLE_RATE
  return 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
  """A folder with film.mp4, film.srt and cast.toml."""
  folder = tmp_path_factory.mktemp('scene')
  frames, sounds = zip(*shots(), strict=True)
  size = [min(side) // 2 * 2 for side in zip(*(f.shape[1:3] for f in frames), strict=True)]
  write_silent_clip(folder / 'silent.mp4', np.concatenate([f[:, : size[0], : size[1]] for f in frames]))
  write_dubbed(folder / 'silent.mp4', np.concatenate(sounds), SAMPLE_RATE, folder / 'film.mp4')
  rows = []
  for i, text in enumerate(SCRIPT):
    start, end = SECONDS * i + (0.1 if i % 4 else 0.0), SECONDS * (i + 1) - (0.1 if i % 4 == 1 else 0.0)
    rows.append(f'{i + 1}\n{stamp(start)} --> {stamp(end)}\n{CHARACTERS[i % 3]}: {text}\n')
  (folder / 'film.srt').write_text('\n'.join(rows))
  for i, name in enumerate(CHARACTERS):
    write_wav(folder / f'{name}.wav', np.concatenate(sounds[i::3][:3]), SAMPLE_RATE)
  (folder / 'cast.toml').write_text('[cast]\n' + ''.join(f'{name} = "{name}.wav"\n' for name in CHARACTERS))
  return folder


def stamp(seconds):
  return f'00:{int(seconds // 60):02d}:{seconds % 60:06.3f}'.replace('.', ',')


def run(scene, out, kill_at=''):
  """`dubber dub` of the scene, killed when it says `kill_at`; -> what it said."""
  command = [
    sys.executable,
    '-u',
    '-m',
    'dubber_jax.cli',
    'dub',
    'film.mp4',
    '--script',
    'film.srt',
    '--cast',
    'cast.toml',
    '-o',
    f'{out}.mp4',
    '--json',
    f'{out}.json',
    '--no-report',
    '--background',
    'keep',
  ]
  environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])}
  with subprocess.Popen(command, cwd=scene, stdout=subprocess.PIPE, text=True, env=environment) as process:
    said = []
    for row in process.stdout:
      said.append(row)
      if kill_at and kill_at in row:
        process.send_signal(signal.SIGKILL)
        break
  assert process.returncode == (-signal.SIGKILL if kill_at else 0), ''.join(said)
  return said


@pytest.mark.slow
def test_scene_killed_twice_is_the_same_and_keeps_every_slot(scene):
  run(scene, 'whole')
  run(scene, 'killed', kill_at='line 7 of 20')
  run(scene, 'killed', kill_at='line 14 of 20')
  said = run(scene, 'killed')
  assert any('13 of 20 lines are done already' in row for row in said)
  assert (scene / 'killed.dialogue.wav').read_bytes() == (scene / 'whole.dialogue.wav').read_bytes()

  lines = json.loads((scene / 'killed.json').read_text())['lines']
  assert len(lines) == 20 and len({line['voice'] for line in lines}) == 3
  wave = read_sound(scene / 'killed.dialogue.wav', SOUND_RATE)
  assert len(wave) == pytest.approx(20 * SECONDS * SOUND_RATE, abs=SOUND_RATE * HOP / SAMPLE_RATE)
  spoken = np.zeros(len(wave), bool)
  before = {}
  for line in lines:
    start, end = line['line']['start'], line['line']['end']
    assert line['slot_seconds'] == pytest.approx(end - start, abs=1e-3)
    assert sum(line['take']['durations']) * HOP / SAMPLE_RATE == pytest.approx(end - start, abs=HOP / SAMPLE_RATE)
    assert 0 <= line['speech_start'] and line['speech_start'] + line['speech_seconds'] <= end - start + 1e-6
    slot = slice(round(start * SOUND_RATE), round(end * SOUND_RATE))
    assert np.sqrt(np.mean(wave[slot] ** 2)) > 0.003
    assert not spoken[slot].any()
    spoken[slot] = True
    last = before.get(line['line']['character'])
    if last is not None:  # besides what was asked for, a character stays as loud as they were
      asked = line['direction']['loudness'] - last['direction']['loudness']
      assert abs(line['level_lufs'] - last['level_lufs'] - asked) < 3
    before[line['line']['character']] = line
  reach = np.convolve(spoken, np.ones(400), 'same') > 0  # the stem's change of rate
  assert np.abs(wave[~reach]).max(initial=0) < 1e-4


def test_scene_without_a_face_is_dubbed_and_a_line_of_it_played_again_by_a_note(model, tmp_path, capsys):
  write_silent_clip(tmp_path / 'film.mp4', np.full((75, 64, 64, 3), 90, np.uint8))
  (tmp_path / 'film.srt').write_text(
    f'1\n{stamp(0)} --> {stamp(1.5)}\nANNA: Who is there?\n\n2\n{stamp(1.2)} --> {stamp(3)}\nBen: Only me.\n'
  )
  (tmp_path / 'cast.toml').write_text('[cast]\nANNA = "ada"\nBEN = "ada"\n')
  command = [
    'dub',
    str(tmp_path / 'film.mp4'),
    '--script',
    str(tmp_path / 'film.srt'),
    '-o',
    str(tmp_path / 'dubbed.mp4'),
    '--json',
    str(tmp_path / 'result.json'),
    '--model',
    str(model.path),
  ]
  assert main([*command, '--cast', str(tmp_path / 'none.toml')]) == 2
  assert main(command) == 2 and 'nobody speaks' in capsys.readouterr().err
  assert main([*command, '--cast', str(tmp_path / 'cast.toml')]) == 0
  said = capsys.readouterr().out
  assert 'no face' in said and 'both are heard' in said
  first = json.loads((tmp_path / 'result.json').read_text())
  project = tmp_path / 'dubbed.project'
  assert main(['redo', str(project), '--line', '3', '--note', 'softer']) == 2
  assert main(['redo', str(project), '--line', '2', '--note', '轻一点，几乎耳语']) == 0
  again = json.loads((tmp_path / 'result.json').read_text())
  assert again['lines'][0] == first['lines'][0]
  assert again['lines'][1]['direction']['loudness'] <= first['lines'][1]['direction']['loudness'] - 3
  assert (tmp_path / 'dubbed.html').exists() and (project / 'lines' / '002' / 'take_2' / 'take.wav').exists()
  assert main(['redo', str(project), '--line', '2', '--take', '1']) == 0
  assert json.loads((tmp_path / 'result.json').read_text())['lines'] == first['lines']
