"""Nothing of the test set of the gains was in anything that was trained: no clip, no person, no sentence.

RAVDESS has two sentences, which its actors 01-18 speak in the training and 19-22 in the reference voices; that is why
emotion is tested on new lines.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.data.batches import HEARD_BY_JUDGES, TRAINING_SPLITS
from dubber_jax.evaluation.benchmark import speakers
from dubber_jax.evaluation.benchmark.stimuli import ACTORS, STRANGER, read_films, read_lines
from dubber_jax.retrieval.library import SHIPPED as LIBRARY
from dubber_jax.types import SAMPLE_RATE

REPOSITORY = Path(__file__).parents[2]
LINES = REPOSITORY / 'experiments' / 'data' / 'emotional_lines.jsonl'
NEAR_TEXT = 0.9  # cosine of two sentences that say the same
NEAR_SOUND = 0.15  # share of a fingerprint's bits in which two copies of a sound differ at most
EARS = ('train_a',)  # RAVDESS's split of what hears emotion for the director
SETS = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'ravdess', 'grid', 'vctk', 'cremad', 'kokoro', 'librispeech')


@pytest.fixture
def everything(data_dir, monkeypatch):
  from data_pipelines.recordings import read_recordings

  monkeypatch.setenv('DUBBER_DATA', str(data_dir))
  speakers.recordings.cache_clear()
  return [r for name in SETS for r in read_recordings(name)]


@pytest.fixture
def tested(everything):
  """Recordings that the benchmark shows, gives as voices, or compares with."""
  people = {*ACTORS, STRANGER, 'cremad_1001'}
  return [r for r in everything if r.speaker in people]


def learned_from(recordings) -> list:
  """What the actor, the vocoder, the critic or the director's ears may have heard."""
  return [r for r in recordings if r.split in TRAINING_SPLITS or r.split not in HEARD_BY_JUDGES or r.split in EARS]


@pytest.mark.parametrize('name', ['first_voice', 'vocoder', 'critic'])
def test_everything_that_is_trained_on_is_looked_at_here(name):
  from dubber_jax.training.experiment import read_experiment

  arms = read_experiment(REPOSITORY / 'experiments' / 'recipes' / f'{name}.py').arms.values()
  made = {'cache/teacher', 'cache/packed/augmented_speakers', 'cache/packed/degraded_speech'}  # of these sets
  assert {source for arm in arms for source in arm.task.data.sources} - made <= set(SETS)


def test_nobody_of_the_test_was_heard_in_training(everything, tested):
  assert len(tested) == 4 * 60 + 12
  heard = learned_from(everything)
  assert len(heard) > 4000 and not {r.speaker for r in heard} & {r.speaker for r in tested}
  assert {r.split for r in tested} == {'test'} and not {'test'} & {*TRAINING_SPLITS, *EARS}


def test_nobody_of_the_test_is_in_the_library_or_taught_the_judge(tested):
  people, keys = {r.speaker for r in tested}, {r.key for r in tested}
  clips = [json.loads(row) for row in (LIBRARY / 'clips.jsonl').read_text().splitlines()]
  assert clips and not {c['speaker'] for c in clips} & people and not {c['key'] for c in clips} & keys
  judge = json.loads((REPOSITORY / 'dubber_jax' / 'assets' / 'emotion_judge' / 'judge.json').read_text())
  taught = set(judge['trained_on'])
  assert taught and not taught & people and not taught & {c['speaker'] for c in clips}


def test_the_critic_and_the_judge_learned_from_different_people(everything):
  judge = json.loads((REPOSITORY / 'dubber_jax' / 'assets' / 'emotion_judge' / 'judge.json').read_text())
  critic = {r.speaker for r in everything if r.split not in HEARD_BY_JUDGES}
  assert not set(judge['trained_on']) & critic and 'ravdess_01' in critic


def test_what_was_packed_for_training_says_so_too(tested):
  folders = [f for f in (REPOSITORY / 'cache' / 'packed').glob('*') if (f / 'items.jsonl').exists()]
  if not folders:
    pytest.skip('nothing is packed: train something first')
  people = {r.speaker for r in tested}
  rows = [json.loads(row) for folder in folders for row in (folder / 'items.jsonl').read_text().splitlines()]
  assert not {r['speaker'] for r in rows if r['split'] in (*TRAINING_SPLITS, *EARS)} & people


def test_the_stimuli_are_of_unseen_people_and_never_in_their_own_sound(everything):
  stimuli = [*read_lines(LINES), *read_films()]
  assert {s.speaker for s in stimuli} == {*ACTORS, STRANGER}
  for film in read_films():
    assert film.speaker not in str(film.film) and film.speaker.split('_')[1] not in film.film.name


def test_the_films_of_the_settings_were_seen_by_nothing_and_their_voices_are_of_other_recordings(everything):
  from dubber_jax.evaluation.benchmark.stimuli import read_grid

  heard = {r.path for r in learned_from(everything)}
  library = {json.loads(row)['key'] for row in (LIBRARY / 'clips.jsonl').read_text().splitlines()}
  for setting, person in (('2.0', 's1'), ('3.0', 's4')):
    films = read_grid(setting)
    assert len(films) > 20 and {f.speaker for f in films} == {person}
    assert not {f.film for f in films} & heard and not {f'grid/{person}/{f.film.stem}' for f in films} & library
    assert speakers.reference(person).path not in {f.film for f in films} and {f.given for f in films} == {None}
  assert not {'s4'} & {r.speaker for r in learned_from(everything)}
  assert all(f.given == f.film for f in read_grid('1.0'))


@pytest.mark.slow
def test_no_line_means_nearly_what_a_sentence_of_the_training_says(everything):
  from data_pipelines.teacher_plan import english_plan
  from dubber_jax.perception.text import embed_text

  tested = sorted({s.text for s in (*read_lines(LINES), *read_films())})
  ear = (REPOSITORY / 'experiments' / 'data' / 'text_emotion.txt').read_text(encoding='utf-8').splitlines()
  trained = {r.text for r in learned_from(everything) if r.text and r.set != 'ravdess'}
  trained |= {row.text for row in english_plan() if row.split in TRAINING_SPLITS}
  trained = sorted(trained | {row.strip() for row in ear if row.strip() and row.strip()[0] not in '[#'})
  assert len(trained) > 2500
  alike = embed_text(tested) @ embed_text(trained).T
  near = [(tested[i], trained[j], round(float(alike[i, j]), 3)) for i, j in np.argwhere(alike > NEAR_TEXT)]
  assert near == []
  same = embed_text([tested[0], f'Well, {tested[0].lower()}'])
  assert same[0] @ same[1] > NEAR_TEXT  # the bar is one that would be noticed


def fingerprint(wave: np.ndarray) -> np.ndarray:
  """(420,) bits: where a mel of 30 moments and 15 bands rises from one to the next. Loudness does not count."""
  from dubber_jax.evaluation.metrics.egemaps import trim
  from dubber_jax.media.mel import mel_numpy

  mel = mel_numpy(trim(wave))
  small = np.stack([part.mean(0) for part in np.array_split(mel, 30)])[:, :75].reshape(30, 15, 5).mean(2)
  return (np.diff(small, axis=1) > np.roll(np.diff(small, axis=1), 1, axis=0)).reshape(-1)


def test_a_copy_of_a_sound_would_be_noticed(tested):
  from dubber_jax.media.opus import opus_round_trip

  a, b = (speakers.sound_of(r) for r in tested[:2])
  copied = np.mean(fingerprint(a) != fingerprint(0.3 * opus_round_trip(a, SAMPLE_RATE)))
  assert copied < NEAR_SOUND < np.mean(fingerprint(a) != fingerprint(b))


@pytest.mark.slow
def test_no_recording_of_the_test_is_a_copy_of_one_of_the_training(everything, tested):
  heard = [r for r in learned_from(everything) if r.set == 'ravdess']
  ours, theirs = (np.stack([fingerprint(speakers.sound_of(r)) for r in rows]) for rows in (tested, heard))
  apart = (ours[:, None] != theirs).mean(2)
  near = [(tested[i].key, heard[j].key) for i, j in np.argwhere(apart < NEAR_SOUND)]
  assert near == []
