import numpy as np
import pytest

from dubber_jax.transcription.diarization import cluster_speakers, name_clusters
from dubber_jax.transcription.utterances import Utterance


def spoken(seconds, embedding, start=0.0, speaker=''):
  return Utterance(((start, start + 0.1, 'a'), (start + 0.1, start + seconds, 'b')), np.float32(embedding), speaker)


def direction(axis, rng=None, spread=0.0):
  vector = np.eye(8)[axis] + (rng.normal(0, spread, 8) if rng else 0)
  return vector / np.linalg.norm(vector)


def test_speakers_are_found_by_their_embeddings_in_the_order_of_first_words():
  rng = np.random.default_rng(0)
  order = [2, 0, 0, 2, 1, 0, 1, 2]
  people = [spoken(2.0, direction(axis, rng, 0.1), start=i) for i, axis in enumerate(order)]
  assert cluster_speakers(people).tolist() == [0, 1, 1, 0, 2, 1, 2, 0]
  assert len(set(cluster_speakers(people, 2))) == 2


def test_short_utterances_go_to_the_nearest_and_silent_ones_to_nobody():
  people = [
    spoken(3, direction(0)),
    spoken(3, direction(1)),
    spoken(0.5, direction(1) + 0.4 * direction(2)),
    spoken(1, np.zeros(8)),
  ]
  assert cluster_speakers(people).tolist() == [0, 1, 1, -1]


def test_a_speaker_of_less_than_two_seconds_joins_the_nearest_unless_the_number_is_given():
  people = [spoken(4, direction(0)), spoken(4, direction(1)), spoken(1.5, direction(2) + 0.5 * direction(0))]
  assert cluster_speakers(people).tolist() == [0, 1, 0]
  assert cluster_speakers(people, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize('people', [[], [spoken(0.4, np.zeros(8))]])
def test_nothing_to_cluster_is_no_error(people):
  assert cluster_speakers(people).tolist() == [-1] * len(people)


def test_names_of_subtitles_hold_for_their_clusters_and_others_are_numbered():
  people = [
    spoken(2, direction(0), speaker='Anna'),
    spoken(2, direction(0)),
    spoken(2, direction(1)),
    spoken(2, direction(0), speaker='Ben'),
    spoken(0.3, np.zeros(8), start=9.0),
  ]
  # Ben is named by the subtitle although he sounds like Anna.
  assert name_clusters(people, np.array([0, 0, 1, 0, -1])) == ['Anna', 'Anna', 'Speaker 1', 'Ben', 'Anna']
