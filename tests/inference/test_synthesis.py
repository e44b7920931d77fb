import dataclasses

import flax.traverse_util
import numpy as np
import pytest

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.inference.fitted_params import fitted_names, norms_hash
from dubber_jax.inference.speech_span import speech_span
from dubber_jax.inference.synthesis import (
  LineInputs,
  TimedText,
  exact_shapes,
  insert_pauses,
  synthesize,
  synthesize_all,
  synthesize_lines,
  vocode,
  vocode_lines,
)
from dubber_jax.perception.visual_vad import VisualSpeech
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.visemes import NAMES, SILENT
from dubber_jax.types import Direction, MouthTrack, Reading, Take, Voice

ANGRY = Direction(emotion=(1.0, *[0.0] * 7), intensity=0.6)
VOICE = Voice(np.zeros(256), np.zeros((8, 80)))


@pytest.mark.parametrize('seconds, room, frames', [(None, 2.0, (None, 0)), (1.0, 0.0, (86, 0)), (1.0, 0.5, (86, 43))])
def test_slot_and_room_are_whole_frames(seconds, room, frames):
  inputs = LineInputs(phonemize('Go.'), VOICE, seconds, room_seconds=room)
  assert (inputs.slot, inputs.room) == frames
  assert inputs.window is None and inputs.visual_speech is None  # no mouth


def test_long_silence_after_a_line_is_padding_and_not_synthesized():
  text = TimedText(('@sil', '@AA1', '@sil'), np.array([5, 20, 100]))
  assert text.tail + text.synthesized == 125 and 100 - text.tail == round(0.5 * FRAME_RATE)
  assert TimedText(text.symbols, np.array([5, 20, 10])).tail == 0


def test_take_without_speech_has_an_empty_span():
  assert speech_span(Take(np.zeros((9, 80)), ('@sil',), np.array([9]), np.zeros(9), np.zeros(8))) == (0.0, 0.0)


def test_pause_is_put_after_its_word():
  phonemes = phonemize('One two, three.')
  symbols, word_of, asked = insert_pauses(phonemes, ((0, 0.3), (1, 0.2)))
  assert len(symbols) == len(word_of) == len(phonemes.symbols) + 1
  places = sorted(asked)
  assert [symbols[i] for i in places] == ['@sp', ',']
  assert [asked[i] for i in places] == [0.3, 0.2]
  assert [word_of[i - 1] for i in places] == [0, 1]


def test_takes_of_one_batch_are_those_performed_alone(model):
  reading = Reading(*(np.ones(w, np.float32) for w in (384, 384, 768)), present=np.ones(3, bool))
  part = LineInputs(phonemize('We never asked.'), model.voices['ada'], None, reading)
  directions = [ANGRY, Direction(pace=0.8, pauses=((0, 0.3),)), ANGRY.replace(pitch_shift=2.0, loudness=-6.0)]
  together = synthesize_all(model, part, directions, [1, 2, 3])
  for take, direction, seed in zip(together, directions, [1, 2, 3], strict=True):
    alone = synthesize(model, part, direction, seed)
    assert take.phonemes == alone.phonemes
    np.testing.assert_array_equal(take.durations, alone.durations)
    np.testing.assert_allclose(take.mel, alone.mel, rtol=1e-4, atol=1e-4)


def adapted(model, name, seed):
  """A voice with changes of the actor's parameters."""
  rng, flat = np.random.default_rng(seed), flax.traverse_util.flatten_dict(model.params, sep='/')
  fit = {k: rng.normal(0, 0.2, flat[k].shape).astype(np.float32) for k in fitted_names(model.params)}
  assert fit
  return dataclasses.replace(model.voices['ada'], name=name, fit=fit, fit_of=norms_hash(model.params))


def test_lines_of_one_batch_are_those_spoken_alone(model):
  reading = Reading(*(np.ones(w, np.float32) for w in (384, 384, 768)), present=np.ones(3, bool))
  ada, bob, cleo = model.voices['ada'], adapted(model, 'bob', 1), adapted(model, 'cleo', 2)
  lines = [
    LineInputs(phonemize('We never asked.'), ada, None, reading),
    LineInputs(phonemize('Nobody told us that the boat would leave at ten.'), bob),
    LineInputs(phonemize('Go!'), cleo, 1.0, directed=True),
    LineInputs(phonemize('Go home.'), ada, directed=True),
    LineInputs(phonemize('I said so.'), ada, None, reading),
  ]
  directions = [ANGRY, Direction(pauses=((2, 0.3),)), ANGRY, ANGRY.replace(pace=0.8, breathiness=0.4), Direction()]
  shapes = []

  def choose(kind, items, frames, phonemes):
    shapes.append(dataclasses.replace(exact_shapes(model)(kind, items, frames, phonemes), items=min(items, 2)))
    return shapes[-1]

  seeds = [1, 2, 3, 4, 5]
  together = vocode_lines(model, synthesize_lines(model, lines, directions, seeds, choose), seeds, directions, choose)
  for take, inputs, direction, seed in zip(together, lines, directions, seeds, strict=True):
    alone = vocode(model, synthesize(model, inputs, direction, seed), seed, direction)
    assert take.phonemes == alone.phonemes
    np.testing.assert_array_equal(take.durations, alone.durations)
    np.testing.assert_allclose(take.mel, alone.mel, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(take.waveform, alone.waveform, atol=1e-3)
  assert [shape.items for shape in shapes if shape.items > 1]  # two of ada's three lines go together


def test_direction_without_a_reading_is_heard_where_it_is_all_there_is(model):
  part = LineInputs(phonemize('We never asked.'), model.voices['ada'], 1.0)
  neutral, plain = (synthesize(model, part, direction).mel for direction in (Direction(), ANGRY))
  np.testing.assert_array_equal(neutral, plain)
  told = synthesize(model, dataclasses.replace(part, directed=True), ANGRY).mel
  assert np.abs(told - plain).max() > 1e-3


def test_sounds_of_a_take_fall_where_the_mouth_shows_them(model, monkeypatch):
  shown = np.full(150, NAMES.index('silence'))
  shown[60:70], shown[70:90] = NAMES.index('bilabial'), NAMES.index('open')
  seen = VisualSpeech((shown != SILENT).astype(float), 4.0 * np.eye(len(NAMES))[shown])
  monkeypatch.setattr('dubber_jax.perception.visual_vad.visual_vad', lambda track: seen)
  nothing = np.zeros((150, 0), np.float32)
  track = MouthTrack(nothing, np.zeros(150), np.zeros(150, bool), nothing)  # the lips themselves are not to be seen
  take = synthesize(model, LineInputs(phonemize('Pa.'), model.voices['ada'], 1.5, track=track))
  start = take.durations[: take.phonemes.index('@P')].sum() / FRAME_RATE
  assert 0.55 < start < 0.9  # the untrained actor's sounds are shorter than the mouth's
  assert take.durations.sum() == round(1.5 * FRAME_RATE) and len(take.durations) == len(take.phonemes)


def test_take_without_retrieval_has_neither_reading_nor_exemplars(model):
  f, rng = model.config.task.features, np.random.default_rng(3)
  seen = [rng.normal(size=w).astype(np.float32) for w in (f.scene_width, f.face_width, f.text_width)]
  part = LineInputs(phonemize('We never asked.'), model.voices['ada'], 1.0, Reading(*seen, np.ones(3, bool)))
  blank = dataclasses.replace(part, reading=dataclasses.replace(part.reading, present=np.zeros(3, bool)))
  shown, alone = synthesize_all(model, part, [ANGRY, ANGRY], [0, 0], [False, True])
  np.testing.assert_allclose(alone.mel, synthesize_all(model, blank, [ANGRY], [0])[0].mel, atol=1e-4)
  assert np.abs(shown.mel - alone.mel).max() > 1e-3
