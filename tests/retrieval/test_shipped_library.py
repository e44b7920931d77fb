import re

import numpy as np
import pytest

from dubber_jax.retrieval.library import EMBEDDINGS, SHIPPED, Library
from dubber_jax.types import EMOTIONS, MODALITIES


@pytest.fixture(scope='module')
def shipped():
  return Library.open()


def test_shipped_library_was_built_with_the_extractors_that_ship_with_it():
  from dubber_jax.perception.analyze import Extractors

  Library.open(features=Extractors().manifest())


def test_shipped_library_holds_only_the_actors_that_nothing_is_tested_on(shipped):
  assert set(shipped.speakers) == {f'ravdess_{actor:02}' for actor in range(1, 11)}
  assert {clip.emotion for clip in shipped.clips} == set(EMOTIONS) - {'others'}


def test_shipped_library_is_small_and_holds_no_media_words_or_paths(shipped):
  files = [path for path in SHIPPED.rglob('*') if path.is_file()]
  assert sum(path.stat().st_size for path in files) <= 3_000_000
  assert {path.suffix for path in files} <= {'.npy', '.json', '.jsonl', '.md'}
  assert not any(clip.text or clip.media.startswith('/') for clip in shipped.clips)
  assert not shipped.manifest['media_root'] and 'CC BY-NC-SA 4.0' in shipped.manifest['licence']


def test_every_shipped_clip_can_be_recalled_and_heard_of(shipped):
  assert all(clip.present == EMBEDDINGS for clip in shipped.clips)
  assert np.isfinite(shipped.prosody).all()
  assert all(np.linalg.norm(shipped.embeddings[m].astype(float), axis=1).min() > 0.5 for m in EMBEDDINGS)


def test_shipped_prosody_tells_anger_from_sadness(shipped):
  departures = {e: [] for e in ('angry', 'sad')}
  for row, clip in enumerate(shipped.clips):
    if clip.emotion in departures:
      departures[clip.emotion].append(shipped.exemplar(row).prosody['loudness_shift'])
  assert np.median(departures['angry']) > np.median(departures['sad']) + 6


def test_media_of_shipped_clips_are_found_where_the_data_are(shipped, data_dir, monkeypatch):
  monkeypatch.setenv('DUBBER_DATA', str(data_dir))
  assert re.search(r'ravdess.Actor_\d\d.', shipped.exemplar(0).media)
  monkeypatch.setenv('DUBBER_DATA', str(data_dir / 'nowhere'))
  assert shipped.exemplar(0).media == ''


def test_a_sad_line_recalls_sad_performances(shipped):
  from dubber_jax.perception.text import read_text

  embedding, _, _ = read_text('My mother died last night and I never said goodbye.')
  rows, _ = shipped.retrieve_rows({'text': embedding[None]})
  recalled = rows[0, MODALITIES.index('text')]
  assert [shipped.clips[row].emotion for row in recalled] == ['sad'] * 3
