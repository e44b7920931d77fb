import numpy as np
import pytest

from dubber_jax.critic.inference import collate_takes
from dubber_jax.errors import BadInput
from dubber_jax.inference import synthesis
from dubber_jax.inference.batch import (
  FRAME_STEP,
  REFERENCE,
  empty_batch,
  empty_critic_batch,
  empty_line,
  fill_lips,
  fill_reference,
  fill_text,
  lip_frames,
  padded_shape,
)
from dubber_jax.inference.synthesis import LineInputs, synthesize
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.g2p import phonemize
from dubber_jax.types import HOP, LIP_RATE, SAMPLE_RATE, MouthTrack, Take, Voice


def test_shapes_are_padded_to_whole_steps():
  shape = padded_shape(FRAME_STEP + 1, 3)
  assert (shape.frames, shape.phonemes) == (2 * FRAME_STEP, 64)
  assert shape.lips == lip_frames(shape.frames) > shape.frames * HOP / SAMPLE_RATE * LIP_RATE


def test_reference_mel_is_cut_or_padded_with_the_log_floor(model):
  batch = empty_batch(model.config, padded_shape(1, 1))
  fill_reference(batch, 0, np.zeros((10, 80)))
  assert (batch['reference'][0, :10] == 0).all() and (batch['reference'][0, 10:] == np.float32(LOG_FLOOR)).all()
  assert batch['reference_mask'][0].sum() == 10
  fill_reference(batch, 0, np.ones((REFERENCE + 5, 80)))
  assert batch['reference_mask'].all() and (batch['reference'] == 1).all()


def test_padding_of_the_reference_does_not_reach_the_actors_output(model, monkeypatch):
  inputs = LineInputs(phonemize('We never asked.'), model.voices['ada'], 1.0)
  assert len(inputs.voice.reference_mel) < REFERENCE
  takes = []
  for padding in (LOG_FLOOR, 0.0, 7.0):

    def padded(config, shape, padding=padding):
      return empty_line(config, shape) | {'reference': np.full((shape.items, shape.reference, 80), padding, np.float32)}

    monkeypatch.setattr(synthesis, 'empty_line', padded)
    takes.append(synthesize(model, inputs))
  for take in takes[1:]:
    np.testing.assert_array_equal(take.mel, takes[0].mel)
    np.testing.assert_array_equal(take.durations, takes[0].durations)


def test_batch_of_the_critic_is_padding_until_it_is_filled():
  batch = empty_critic_batch(2, 8, 4, 3)
  assert not any(batch[name].any() for name in ('phonemes', 'durations', 'reference_mask', 'lips', 'lip_mask'))
  assert all((batch[name] == np.float32(LOG_FLOOR)).all() for name in ('mel', 'reference'))
  fill_lips(batch, 1, np.ones((5, 82)), np.array([True, False, True, True, True]))
  assert batch['lip_mask'].tolist() == [[False] * 3, [True, False, True]] and batch['lips'][1].all()


def test_takes_are_collated_with_the_mouth_where_it_was_tracked():
  take = Take(np.zeros((6, 80)), ('@sil', '@AA1'), np.array([2, 4]), np.zeros(6), np.zeros(8))
  voice = Voice(np.zeros(256), np.ones((20, 80)))
  track = MouthTrack(np.ones((7, 82), np.float32), np.ones(7), np.arange(7) > 1, np.zeros((7, 4)))
  plain, tracked = collate_takes([take], voice), collate_takes([take, take], voice, track)
  assert not plain['lip_mask'].any() and tracked['lip_mask'].sum(1).tolist() == [5, 5]
  assert tracked['mel'].shape[1] % 2 == 0 and tracked['durations'].sum(1).tolist() == [6, 6]
  assert tracked['reference_mask'].sum(1).tolist() == [20, 20]


def test_symbols_and_languages_that_a_model_does_not_have_are_refused(model):
  batch = empty_line(model.config, padded_shape(1, 4))
  with pytest.raises(BadInput, match='English only'):
    fill_text(batch, 0, model.config, np.array([model.config.task.actor.symbols]))
  with pytest.raises(BadInput, match='unknown language'):
    fill_text(batch, 0, model.config, np.array([1]), 'tlh')
