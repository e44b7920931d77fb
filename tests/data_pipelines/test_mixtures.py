import json

import numpy as np
import pytest

from data_pipelines.dialogue_mixtures import (
  BED_RATE,
  SPEECH_RATE,
  Sound,
  bed_sounds,
  bed_split,
  is_voice,
  open_store,
  speech_split,
  trim_silence,
  write_store,
)
from data_pipelines.mixer import Mixer, in_room, made_up_noise, normalized, open_mixer, widened
from data_pipelines.recordings import Recording
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import write_wav

LENGTH = 48 * 1024


def tone(seconds, rate, hertz=440.0):
  return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


@pytest.fixture(scope='module')
def mixtures(tmp_path_factory):
  folder = tmp_path_factory.mktemp('mixtures')
  speech = [
    Sound(tone(2, SPEECH_RATE, 200 + 50 * i), f'u{i}', 'librispeech', 'train', 'speech', f's{i % 2}') for i in range(4)
  ]
  beds = [Sound(tone(25, BED_RATE, 100), 'song.ogg', 'band', 'train', 'music')]
  beds += [Sound(tone(0.3, BED_RATE, 3000), 'bang.ogg', 'game', 'train', 'effect')]
  write_store(speech, folder / 'speech')
  write_store(beds, folder / 'beds')
  return folder


def test_a_store_gives_the_sounds_back_and_zeros_beyond_them(mixtures):
  store = open_store(mixtures / 'beds', 'train')
  song = store.rows[0]
  piece = store.piece(song, -100, 1000)
  assert not piece[:100].any()
  np.testing.assert_allclose(piece[100:], tone(25, BED_RATE, 100)[:900] * 32000 / 32768 / 0.5, atol=1e-3)
  end = store.piece(song, song['end'] - song['start'] - 10, 100)
  assert end[:9].any() and not end[10:].any()


def test_missing_stores_and_splits_are_told(mixtures, tmp_path):
  with pytest.raises(BadInput, match='no stored sounds'):
    open_store(tmp_path, 'train')
  with pytest.raises(BadInput, match="no sound of the split 'test'"):
    open_store(mixtures / 'beds', 'test')
  with pytest.raises(BadInput, match='no sound to store'):
    write_store([], tmp_path / 'none')


def test_mixtures_depend_on_their_generator_alone_and_are_finite(mixtures):
  mixer = open_mixer('train', mixtures)
  silent = {'dialogue': 0, 'bed': 0}
  for i in range(25):
    first, second = (mixer.mixture(np.random.default_rng(i), LENGTH) for _ in range(2))
    for a, b in zip(first, second, strict=True):
      assert a.shape == (LENGTH,) and a.dtype == np.float32 and np.isfinite(a).all()
      np.testing.assert_array_equal(a, b)
    silent['dialogue'] += not first[0].any()
    silent['bed'] += not first[1].any()
  assert 0 < silent['dialogue'] + silent['bed'] < 12


@pytest.mark.parametrize('balance', [0.0, 10.0])
def test_a_balanced_mixture_has_the_balance(mixtures, balance):
  dialogue, bed = open_mixer('train', mixtures).balanced(np.random.default_rng(0), LENGTH, balance)
  assert 10 * np.log10(np.square(dialogue).sum() / np.square(bed).sum()) == pytest.approx(balance, abs=0.01)


def test_the_kinds_of_a_background_can_be_chosen(mixtures):
  bed = open_mixer('train', mixtures).bed(np.random.default_rng(3), LENGTH, ('music',))
  spectrum = np.abs(np.fft.rfft(bed))
  assert spectrum.argmax() * BED_RATE / LENGTH == pytest.approx(100, abs=2)


def test_speech_gets_an_upper_band_at_most():
  rng, low = np.random.default_rng(0), np.random.default_rng(1).standard_normal(LENGTH // 2).astype(np.float32)
  for seed in range(6):
    wave = in_room(widened(low, LENGTH, np.random.default_rng(seed)), rng)
    assert wave.shape == (LENGTH,) and np.isfinite(wave).all() and wave.std() > 1e-3


@pytest.mark.parametrize('seed', range(14))
def test_made_up_noises_are_whole(seed):
  noise = made_up_noise(np.random.default_rng(seed), LENGTH)
  assert noise.shape == (LENGTH,) and np.isfinite(noise).all() and noise.std() > 0


def test_normalized_keeps_silence():
  assert not normalized(np.zeros(LENGTH, np.float32)).any()
  assert normalized(tone(1, BED_RATE)).std() == pytest.approx(1, rel=0.05)


def test_silence_at_both_ends_is_cut():
  wave = np.concatenate([np.zeros(24000), tone(1, SPEECH_RATE), np.zeros(12000)]).astype(np.float32)
  assert len(trim_silence(wave, SPEECH_RATE)) == SPEECH_RATE
  assert not len(trim_silence(np.zeros(1000, np.float32), SPEECH_RATE))


def recording(name, speaker, split):
  return Recording(name, 'x', speaker, None, '', 'neutral', split, False)


def test_no_speaker_is_in_two_splits():
  development = frozenset({'libri_1', 'ravdess_19'})
  assert speech_split(recording('ravdess', 'ravdess_02', 'train_a'), development) == 'train'
  assert speech_split(recording('ravdess', 'ravdess_19', 'test'), development) == 'development'
  assert speech_split(recording('ravdess', 'ravdess_22', 'test'), development) == 'test'
  assert speech_split(recording('librispeech', 'libri_1', 'validation'), development) == 'development'
  assert speech_split(recording('librispeech', 'libri_2', 'validation'), development) == 'test'
  assert speech_split(recording('grid', 's1', 'test'), development) is None
  assert speech_split(recording('kokoro', 'kokoro_af', 'test'), development) is None


def test_variants_of_a_file_are_in_one_split_and_voices_left_out(tmp_path):
  assert len({bed_split('game', tmp_path / f'steps-{i}.ogg') for i in range(9)}) == 1
  assert {bed_split('game', tmp_path / f'{name}.ogg') for name in map(chr, range(97, 123))} == {
    'train',
    'development',
    'test',
  }
  (tmp_path / 'game' / 'voices').mkdir(parents=True)
  for name in ('door.wav', 'voices/hello.wav', 'notes.txt', 'broken.ogg'):
    (tmp_path / 'game' / name).write_bytes(b'nothing')
  write_wav(tmp_path / 'game' / 'door.wav', tone(0.5, BED_RATE), BED_RATE)
  write_wav(tmp_path / 'game' / 'voices' / 'hello.wav', tone(0.5, BED_RATE), BED_RATE)
  assert is_voice(tmp_path / 'game' / 'voices' / 'hello.wav', tmp_path / 'game')
  told = []
  assert [(s.name, s.source, s.kind) for s in bed_sounds([tmp_path], told.append)] == [('door.wav', 'game', 'effect')]
  assert told == ['game: 1 of 2 files']


def test_rows_are_json(mixtures):
  rows = [json.loads(line) for line in (mixtures / 'speech' / 'rows.jsonl').read_text().splitlines()]
  assert [row['name'] for row in rows] == ['u0', 'u1', 'u2', 'u3'] and rows[1]['start'] == rows[0]['end']


def test_a_source_without_effects_is_made_up_for(mixtures):
  store = open_store(mixtures / 'beds', 'train')
  music = type(store)(store.rows[:1], store.samples)
  bed = Mixer(open_store(mixtures / 'speech', 'train'), music).bed(np.random.default_rng(0), LENGTH, ('effects',))
  assert np.isfinite(bed).all() and bed.std() > 0
