import numpy as np
import pytest

from data_pipelines.speaker_augmentation import augment_set
from dubber_jax.data.packed import FULL_SCALE, PackedSet, quantize, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import mel_numpy
from dubber_jax.types import HOP, SAMPLE_RATE


@pytest.fixture
def packed(tmp_path):
  """One recording of 2 s: a buzz of 200 Hz, louder in its second half."""
  frames = 172
  time = np.arange(frames * HOP) / SAMPLE_RATE
  wave = sum(np.sin(2 * np.pi * 200 * k * time) / k for k in range(1, 20)) * np.where(time < time[-1] / 2, 0.03, 0.12)
  features = {
    'mel': quantize(mel_numpy(wave.astype(np.float32))),
    'pitch': np.full(frames, 200.0),
    'phonemes': [1, 20, 21, 1],
    'durations': [20, 66, 66, 20],
    'lips': np.zeros((0, 82)),
    'lip_present': np.zeros(0, bool),
    'speaker': np.zeros(256),
  }
  row = {'key': 'a/b/c', 'set': 'a', 'speaker': 'b', 'text': '', 'emotion': 'neutral', 'split': 'train'}
  write_packed(tmp_path / 'set', [(row, features)])
  return tmp_path / 'set', wave


def test_augmented_voice_is_higher_and_quicker_by_as_much_and_stays_aligned(packed, monkeypatch):
  folder, wave = packed
  np.save(folder / 'waves.npy', (wave / FULL_SCALE * 32767).astype(np.int16))
  monkeypatch.setattr('data_pipelines.speaker_augmentation.embed_speaker', lambda wave, rate: np.zeros(256))
  ((row, features),) = augment_set(folder)
  factor = 2 ** (float(row['speaker'].removeprefix('b')) / 12)
  frames = len(features['mel'])
  assert factor != 1 and frames == pytest.approx(172 / factor, abs=1)
  assert len(features['pitch']) == frames and features['durations'].sum() == frames
  np.testing.assert_allclose(features['pitch'], 200 * factor, rtol=1e-3)
  loud = features['mel'].astype(float).mean(1)
  step = int(np.argmax(loud[3:] - loud[:-3])) + 1.5
  assert step == pytest.approx(features['durations'][:2].sum(), abs=3)


def test_packed_set_without_its_sound_is_named(packed):
  with pytest.raises(BadInput, match='pack the set again'):
    next(augment_set(packed[0]))


def test_recording_without_a_text_becomes_another_speakers_too(packed, monkeypatch, tmp_path):
  folder, wave = packed
  row, features = PackedSet(folder).item(0)
  features |= {'mel': quantize(features['mel']), 'phonemes': np.zeros(0), 'durations': np.zeros(0)}
  sound = {'wave': (wave / FULL_SCALE * 32767).astype(np.int16)}
  write_packed(tmp_path / 'sound', [({k: v for k, v in row.items() if k != 'spans'}, features | sound)])
  monkeypatch.setattr('data_pipelines.speaker_augmentation.embed_speaker', lambda wave, rate: np.zeros(256))
  ((row, changed),) = augment_set(tmp_path / 'sound')
  assert row['speaker'] != 'b' and len(changed['mel']) != len(features['mel']) and not len(changed['durations'])
