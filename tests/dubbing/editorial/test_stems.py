"""Stems: broadcast waves of the film's length, sample for sample what is in the film."""

import errno
import struct
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from dubber_jax.dubbing.editorial import stems
from dubber_jax.dubbing.editorial.stems import file_names, line_sound, stem_blocks, write_broadcast_wave
from dubber_jax.dubbing.mix import LineAudio, dialogue_blocks
from dubber_jax.media.film import SOUND_RATE
from dubber_jax.media.sound import resample
from dubber_jax.types import SAMPLE_RATE


def chunks(data):
  """(name, content) of the chunks of a RIFF file."""
  at, found = 12, []
  while at < len(data):
    name, size = data[at : at + 4], struct.unpack('<I', data[at + 4 : at + 8])[0]
    found.append((name, data[at + 8 : at + 8 + size]))
    at += 8 + size + (size & 1)
  return found


def test_stems_of_all_characters_add_up_to_the_dialogue(make_line):
  lines = [
    make_line(1, 'One.', 0.5, 2.0, 'Anna', gain=3.0),
    make_line(2, 'Two.', 9.3, 10.9, 'Ben', gain=-2.0),  # over the end of a block
    make_line(3, 'Three.', 10.0, 11.0, 'Anna', overrun=0.4),
  ]
  total = sum(np.concatenate(list(stem_blocks([line], 21 * SOUND_RATE))) for line in lines)
  heard = [LineAudio(line.line, line.wave(), 0.0, line.overrun) for line in lines]
  blocks = dialogue_blocks(heard, [line.gain for line in lines], 21.0)
  dialogue = resample(np.concatenate([*blocks])[:, 0], SAMPLE_RATE, SOUND_RATE)
  assert len(total) == 21 * SOUND_RATE == len(dialogue)
  assert np.abs(total - dialogue).max() < 0.01 and np.corrcoef(total, dialogue)[0, 1] > 0.9999


def test_a_line_begins_at_its_own_sample(make_line):
  (block,) = stem_blocks([make_line(1, 'One.', 1.23456, 2.0)], 3 * SOUND_RATE)
  first = round(1.23456 * SOUND_RATE)
  assert not block[:first].any() and np.abs(block[first : first + 200]).max() > 1e-3


def test_a_wave_is_24_bit_at_48_khz_with_its_time_reference(tmp_path):
  sound = np.linspace(-1, 1, 1001, dtype=np.float32)
  path = tmp_path / 'stem.wav'
  assert write_broadcast_wave(path, [sound[:500], sound[500:]], 'Zoë', 172_800_000) == 1001
  found, rate = soundfile.read(path, dtype='float32')
  info = soundfile.info(path)
  assert (rate, info.channels, info.subtype, info.frames) == (48_000, 1, 'PCM_24', 1001)
  assert np.abs(found - sound).max() < 2**-22
  parts = dict(chunks(path.read_bytes()))
  names = [name for name, _ in chunks(path.read_bytes())]
  assert names.index(b'bext') < names.index(b'data')  # some programs do not look behind the sound
  bext = parts[b'bext']
  assert bext[:4] == b'Zo?\0' and struct.unpack('<Q', bext[338:346]) == (172_800_000,)
  assert bext[320:330].count(b'-') == 2 and bext[330:338].count(b':') == 2  # date and time are set
  with av.open(str(path)) as file:
    assert file.metadata['time_reference'] == '172800000'


@pytest.mark.parametrize('channels,layout', [(2, 'stereo'), (6, '5.1')])
def test_music_and_effects_keep_their_channels(tmp_path, channels, layout):
  bed = np.random.default_rng(0).uniform(-0.5, 0.5, (4800, channels)).astype(np.float32)
  path = tmp_path / 'bed.wav'
  write_broadcast_wave(path, [bed], 'Music and effects')
  with av.open(str(path)) as file:
    assert file.streams.audio[0].layout.name == layout
  assert np.abs(soundfile.read(path, dtype='float32')[0] - bed).max() < 2**-22


def test_loud_lines_are_limited_not_clipped(make_line):
  sound = line_sound(make_line(1, 'Hey!', 0.0, 1.0, level=0.9, gain=12.0))
  assert 0.8 < np.abs(sound).max() <= 10 ** (-0.9 / 20)


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
  def full(self, data):
    self.error = OSError(errno.ENOSPC, 'No space left on device')
    raise self.error

  monkeypatch.setattr(stems._Output, 'write', full)
  with pytest.raises(OSError, match='No space left'):
    write_broadcast_wave(tmp_path / 'stem.wav', [np.zeros(480_000, np.float32)] * 3, 'Anna')


def test_a_long_film_is_written_in_blocks(make_line, tmp_path):
  lines = [make_line(i, 'One.', 60.0 * i, 60.0 * i + 2) for i in range(1, 9)]
  tracemalloc.start()
  assert write_broadcast_wave(tmp_path / 'stem.wav', stem_blocks(lines, 600 * SOUND_RATE), 'Anna') == 600 * SOUND_RATE
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 30e6  # all of it is 115 MB


@pytest.mark.parametrize(
  'names,files',
  [
    (['Anna', 'ANNA B.'], ['Anna', 'ANNA_B']),
    (['a/b', 'a:b'], ['a_b', 'a_b_2']),
    (['Zoë', 'zoe', 'Łódź'], ['Zoe', 'zoe_2', 'Lodz']),
    (['CON', 'nul.x'], ['CON_', 'nul.x_']),
    (['../..', '', '???'], ['character', 'Dialogue', 'character_2']),
    (['x' * 300], ['x' * 60]),
    (['Music and effects'], ['Music_and_effects_2']),
    (['刘'], ['刘']),
  ],
)
def test_every_character_has_a_file_name_of_its_own(names, files):
  assert list(file_names(names, taken=['music_and_effects']).values()) == files
