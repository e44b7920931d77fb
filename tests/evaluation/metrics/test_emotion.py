import shutil

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.metrics.egemaps import functional_names, functionals
from dubber_jax.evaluation.metrics.emotion import SHIPPED, load_judge

RATE = 22050
STRONG = ('02', '01', '01')  # intensity, sentence, take


def voice(pitch=160.0, seconds=1.6, rate=RATE):
  """A buzz in syllables, whose pitch falls from `pitch` Hz."""
  time = np.arange(round(seconds * rate)) / rate
  phase = np.cumsum(pitch * (1 - 0.15 * time / seconds)) / rate
  buzz = sum(np.sin(2 * np.pi * n * phase) / n for n in range(1, 24))
  return (0.1 * buzz * (0.2 + np.sin(np.pi * 4 * time) ** 2)).astype(np.float32)


@pytest.fixture(scope='module')
def judge():
  return load_judge()


def test_level_and_silence_around_the_speech_are_not_heard(judge):
  wave = voice()
  quiet = np.concatenate([np.zeros(RATE), wave * 0.004, np.zeros(RATE // 2)])
  np.testing.assert_allclose(judge.probabilities(quiet, RATE), judge.probabilities(wave, RATE), atol=0.02)


def test_the_sample_rate_is_not_heard(judge):
  at_24k, at_48k = judge.probabilities(voice(rate=24000), 24000), judge.probabilities(voice(rate=48000), 48000)
  np.testing.assert_allclose(at_24k, at_48k, atol=0.05)


def test_probabilities_are_of_the_seven_emotions_and_add_up(judge):
  assert judge.emotions == ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise')
  for neutral in (None, voice(140), [voice(140), voice(150)]):
    probabilities = judge.probabilities(voice(), RATE, neutral=neutral)
    assert probabilities.shape == (7,) and probabilities.min() >= 0
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_neutral_speech_beside_it_changes_what_is_heard(judge):
  beside_low, beside_high = (judge.embedding(voice(200), RATE, neutral=voice(pitch)) for pitch in (110, 200))
  assert np.abs(beside_low - beside_high).max() > 0.01


def test_embeddings_of_the_same_sound_are_alike(judge):
  first, again = judge.embedding(voice(), RATE), judge.embedding(voice() * 0.1, RATE)
  assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
  assert first @ again > 0.99


def test_pitch_is_measured_in_semitones_over_the_voice():
  pitch = functional_names().index('pitch middle')
  octave = functionals(voice(300), RATE)[pitch] - functionals(voice(150), RATE)[pitch]
  assert octave == pytest.approx(12, abs=0.7)


def test_a_whisper_is_judged_though_it_has_no_pitch(judge):
  hiss = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * np.sin(np.arange(RATE) / 2000)
  assert np.isfinite(judge.probabilities(hiss, RATE)).all()


@pytest.mark.parametrize(
  'wave', [np.zeros(RATE), np.ones(100), np.full(RATE, np.nan), np.zeros((2, RATE))], ids=['zero', 'short', 'nan', '2d']
)
def test_what_holds_no_voice_is_refused(judge, wave):
  with pytest.raises(BadInput):
    judge.probabilities(wave, RATE)


def test_no_neutral_speech_at_all_is_refused(judge):
  with pytest.raises(BadInput, match='neutral'):
    judge.probabilities(voice(), RATE, neutral=[])


@pytest.mark.parametrize('name', ['weights.safetensors', 'judge.json', 'MANIFEST.json'])
def test_a_judge_that_was_changed_or_is_incomplete_is_refused(tmp_path, name):
  folder = tmp_path / 'judge'
  shutil.copytree(SHIPPED, folder)
  load_judge(folder)
  load_judge.cache_clear()
  content = bytearray((folder / name).read_bytes())
  content[-9] ^= 1
  (folder / name).write_bytes(content)
  with pytest.raises(BadInput):
    load_judge(folder)
  (folder / name).unlink()
  with pytest.raises(BadInput):
    load_judge(folder)


def test_actors_it_never_heard_are_heard_far_above_chance(judge):
  """Guards the measures, which the weights were made for: a change in them would make it deaf without a word."""
  from data_pipelines.recordings import read_recordings
  from dubber_jax.media.sound import read_sound

  try:
    clips = [c for c in read_recordings('ravdess') if c.speaker in ('ravdess_19', 'ravdess_20')]
  except BadInput as missing:
    pytest.skip(str(missing))
  right = count = 0
  for speaker in ('ravdess_19', 'ravdess_20'):
    # the parts of an id: film or sound, speech or song, emotion, intensity, sentence, take, actor
    theirs = {tuple(c.id.split('-')[2:6]): c for c in clips if c.speaker == speaker}
    neutral = [read_sound(theirs['01', '01', '02', take].path, RATE) for take in ('01', '02')]
    for clip in (c for (_, intensity, sentence, take), c in theirs.items() if (intensity, sentence, take) == STRONG):
      probabilities = judge.probabilities(read_sound(clip.path, RATE), RATE, neutral)
      right += judge.emotions[int(probabilities.argmax())] == clip.emotion
      count += 1
  assert count == 14 and right >= 6  # by chance 2
