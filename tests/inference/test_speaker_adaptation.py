"""A voice is fitted: the actor comes nearer to the recording, and nothing but that voice changes."""

import dataclasses

import jax
import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.inference import speaker_adaptation
from dubber_jax.inference.fitted_params import fitted_names
from dubber_jax.inference.speaker_adaptation import Piece, adapt_voice, cut_pieces
from dubber_jax.inference.synthesis import LineInputs, synthesize_all
from dubber_jax.inference.voice_files import read_voices, write_voices
from dubber_jax.script.asr import recognize
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.types import SAMPLE_RATE, Direction


@pytest.fixture
def piece():
  """Three seconds by somebody with a bright voice of 200 Hz."""
  symbols = phonemize('Good morning.').symbols
  durations = np.full(len(symbols), 256 // len(symbols))
  durations[-1] += 256 - durations.sum()
  mel = np.random.default_rng(2).normal(-3, 1, (256, 80)).astype(np.float32)
  return Piece(mel, np.full(256, 200.0, np.float32), encode(symbols), durations.astype(np.int32))


@pytest.fixture
def fitted(model, piece, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', '')
  monkeypatch.setattr(speaker_adaptation, 'cut_pieces', lambda wave: [piece])
  losses = []
  voice = adapt_voice(model, model.voices['ada'], np.zeros(9), 15, lambda step, loss: losses.append(loss))
  return voice, losses


def test_a_fitted_voice_comes_nearer_to_its_recording_and_moves_nothing_else(model, fitted):
  voice, losses = fitted
  assert len(losses) == 15 and losses[-1] < losses[0] - 0.05
  assert set(voice.fit) == set(fitted_names(model.params)) and voice.fit
  part = LineInputs(phonemize('Good evening.'), model.voices['ada'], 1.0)
  plain = synthesize_all(model, part, [Direction()], [0])[0]
  own = synthesize_all(model, dataclasses.replace(part, voice=voice), [Direction()], [0])[0]
  again = synthesize_all(model, part, [Direction()], [0])[0]
  assert np.abs(own.mel - plain.mel).max() > 0.05
  np.testing.assert_array_equal(plain.mel, again.mel)


def test_a_voice_fitted_to_one_model_is_refused_by_another(model, fitted):
  other = dataclasses.replace(model, params=jax.tree.map(lambda x: 0.5 * x, model.params))
  with pytest.raises(BadInput, match='fitted to another model'):
    other.speaking_as(fitted[0])


def test_a_fitted_voice_is_stored_and_found_again(fitted, tmp_path):
  write_voices({'ada/ben': fitted[0]}, tmp_path / 'voices.safetensors')
  found = read_voices(tmp_path / 'voices.safetensors')['ada/ben']
  assert found.fit_of == fitted[0].fit_of
  for name, value in fitted[0].fit.items():
    np.testing.assert_array_equal(found.fit[name], value)


def test_the_same_recording_is_fitted_once(model, piece, monkeypatch, tmp_path):
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path))
  asked = []
  monkeypatch.setattr(speaker_adaptation, 'cut_pieces', lambda wave: asked.append(1) or [piece])
  first, second = (adapt_voice(model, model.voices['ada'], np.zeros(9), 2) for _ in range(2))
  assert len(asked) == 1
  for name, value in first.fit.items():
    np.testing.assert_array_equal(second.fit[name], value)


def test_a_recording_without_words_leaves_the_voice_as_it_is_and_says_so(model, monkeypatch):
  monkeypatch.setenv('DUBBER_CACHE', '')
  monkeypatch.setattr(speaker_adaptation, 'cut_pieces', lambda wave: [])
  voice = adapt_voice(model, model.voices['ada'], np.zeros(9), 2)
  assert not voice.fit and 'no words were found' in voice.warnings[-1]


def test_pieces_of_real_speech_have_words_that_last_as_long_as_they_do(data_dir):
  from dubber_jax.media.sound import read_sound, resample

  wave = read_sound(next((data_dir / 'vctk').glob('**/*.opus')), SAMPLE_RATE)
  assert len(recognize(resample(wave, SAMPLE_RATE, 16000))) >= 3
  pieces = cut_pieces(wave)
  assert pieces
  for p in pieces:
    assert p.durations.sum() == len(p.mel) == len(p.pitch) and len(p.durations) == len(p.phonemes)
    assert len(p.mel) <= speaker_adaptation.FRAMES


def test_an_actor_of_another_assembly_is_left_as_it_is(model):
  other = {'decoder': {'layer': {'gain_shift': {'bias': np.zeros(4)}}}}  # the published system has no such pitch
  assert fitted_names(other) == []
  assert adapt_voice(dataclasses.replace(model, params=other), model.voices['ada'], np.zeros(9)) is model.voices['ada']
