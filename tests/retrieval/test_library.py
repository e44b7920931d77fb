import json
import shutil

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.retrieval.library import EMBEDDINGS, Library, LibraryClip
from dubber_jax.types import MODALITIES, Reading

WIDTHS = {'scene': 6, 'face': 6, 'text': 8, 'sound': 4}
EXTRACTORS = {m: {'name': f'{m}-net', 'version': '2', 'width': w} for m, w in WIDTHS.items()}


def make(folder, count=12, seed=0, **options):
  """Clips of three speakers in turn; every fourth is neutral, every sixth has no face, the last no sound."""
  rng = np.random.default_rng(seed)
  clips = [
    LibraryClip(
      key=f'set/s{i % 3}/{i}',
      speaker=f's{i % 3}',
      text=f'line {i}',
      emotion='neutral' if i % 4 == 0 else 'angry',
      media=f'{i}.wav',
      start=float(i),
      end=i + 1.0,
      present=tuple(m for m in EMBEDDINGS if (m != 'face' or i % 6 != 5) and (m != 'sound' or i != count - 1)),
    )
    for i in range(count)
  ]
  embeddings = {m: rng.standard_normal((count, w)) for m, w in WIDTHS.items()}
  for i, clip in enumerate(clips):
    for m in EMBEDDINGS:
      embeddings[m][i] *= m in clip.present
  prosody = [
    {'pace': 10.0 + i, 'pitch': 100.0 * 2 ** (i % 3), 'range': 4.0, 'loudness': -30.0 + (i % 4), 'pauses': 0.1}
    for i in range(count)
  ]
  library = Library.build(folder, clips, embeddings, prosody, EXTRACTORS, **options)
  return library, embeddings, clips


def reading_of(embeddings, i, present=(True, True, True)):
  return Reading(*(embeddings[m][i].astype(np.float32) for m in MODALITIES), present=np.array(present))


def keys_of(exemplars, modality):
  return [e.key for e in exemplars.clips[modality]]


def test_a_clip_recalls_itself_first_unless_it_is_the_target(tmp_path):
  library, embeddings, _ = make(tmp_path / 'lib')
  assert all(keys_of(library.retrieve(reading_of(embeddings, 3)), m)[0] == 'set/s0/3' for m in MODALITIES)
  others = library.retrieve(reading_of(embeddings, 3), exclude_key='set/s0/3')
  assert all('set/s0/3' not in keys_of(others, m) and len(others.clips[m]) == 3 for m in MODALITIES)


def test_speaker_filter_leaves_out_every_clip_of_the_speaker(tmp_path):
  library, embeddings, _ = make(tmp_path / 'lib')
  exemplars = library.retrieve(reading_of(embeddings, 4), count=12, exclude_speaker='s1')
  assert all(not key.startswith('set/s1/') for m in MODALITIES for key in keys_of(exemplars, m))
  assert len(exemplars.clips['scene']) == 8 and exemplars.refs_present[0].sum() == 8


def test_target_known_only_by_its_file_is_left_out_and_other_lines_of_the_film_are_not(tmp_path):
  (tmp_path / 'media').mkdir()
  for i in range(12):
    (tmp_path / 'media' / f'{i}.wav').touch()
  library, embeddings, _ = make(tmp_path / 'lib', media_root=str(tmp_path / 'media'))
  reading, target = reading_of(embeddings, 3), tmp_path / 'media' / '..' / 'media' / '3.wav'
  assert 'set/s0/3' not in keys_of(library.retrieve(reading, exclude_media=target), 'scene')
  assert 'set/s0/3' not in keys_of(library.retrieve(reading, exclude_media=target, exclude_span=(3.5, 9)), 'scene')
  assert 'set/s0/3' in keys_of(library.retrieve(reading, exclude_media=target, exclude_span=(4.0, 9)), 'scene')


def test_arrays_given_to_the_graphs_belong_to_the_clips_named(tmp_path):
  library, embeddings, clips = make(tmp_path / 'lib')
  exemplars = library.retrieve(reading_of(embeddings, 7), count=12)
  number = {clip.key: i for i, clip in enumerate(clips)}
  for i, m in enumerate(MODALITIES):
    for k, exemplar in enumerate(exemplars.clips[m]):
      row = number[exemplar.key]
      assert np.allclose(exemplars.refs[m][k], embeddings[m][row], atol=2e-3)
      assert np.allclose(exemplars.sounds[i, k], embeddings['sound'][row], atol=2e-3)
      assert exemplars.sounds_present[i, k] == (row != 11)
    assert not exemplars.refs[m][len(exemplars.clips[m]) :].any()
  assert len(exemplars.clips['face']) == 10  # two have no face


def test_a_modality_that_the_reading_lacks_recalls_nothing(tmp_path):
  library, embeddings, _ = make(tmp_path / 'lib')
  exemplars = library.retrieve(reading_of(embeddings, 0, present=(True, False, True)))
  assert exemplars.clips['face'] == () and not exemplars.refs_present[1].any() and not exemplars.sounds[1].any()
  assert exemplars.refs['face'].shape == (3, 6) and len(exemplars.clips['text']) == 3


def test_recall_of_many_is_recall_of_each(tmp_path):
  library, embeddings, clips = make(tmp_path / 'lib')
  rows, _ = library.retrieve_rows(
    {m: embeddings[m] for m in MODALITIES}, [c.key for c in clips], [c.speaker for c in clips], count=3
  )
  for i, clip in enumerate(clips):
    present = [m in clip.present for m in MODALITIES]
    exemplars = library.retrieve(reading_of(embeddings, i, present), 3, clip.key, clip.speaker)
    for j, m in enumerate(MODALITIES):
      assert [library.clips[row].key for row in rows[i, j] if row >= 0] == keys_of(exemplars, m)


def test_scann_recalls_as_exact_does(tmp_path):
  pytest.importorskip('scann')
  library, embeddings, _ = make(tmp_path / 'lib', count=300, scann=True)
  for i in (0, 8, 100):
    exact, scann = (
      library.retrieve(reading_of(embeddings, i), exclude_key=f'set/s{i % 3}/{i}', search=s) for s in ('exact', 'scann')
    )
    assert all(keys_of(exact, m) == keys_of(scann, m) for m in MODALITIES)
  with pytest.raises(BadInput, match='exact'):
    library.retrieve(reading_of(embeddings, 0), search='fuzzy')


def test_prosody_is_told_against_the_same_speakers_neutral_delivery(tmp_path):
  library, _, clips = make(tmp_path / 'lib', count=24)
  row = library.keys.tolist().index('set/s2/23')
  prosody = library.exemplar(row).prosody
  neutral = [10.0 + i for i in range(24) if i % 3 == 2 and i % 4 == 0]
  assert np.isclose(prosody['pace'], 33) and np.isclose(prosody['pace_ratio'], 33 / np.median(neutral))
  assert np.isclose(prosody['pitch_shift'], 0, atol=1e-5)  # high for the library, usual for this speaker
  assert np.isclose(prosody['loudness_shift'], 3)


def test_opened_library_is_the_built_one_and_its_hash_follows_its_contents(tmp_path):
  library, embeddings, _ = make(tmp_path / 'lib')
  again = Library.open(tmp_path / 'lib')
  assert again.clips == library.clips and again.hash == library.hash
  assert make(tmp_path / 'other')[0].hash == library.hash != make(tmp_path / 'third', seed=1)[0].hash
  shutil.move(tmp_path / 'lib', tmp_path / 'moved')
  assert len(Library.open(tmp_path / 'moved')) == 12


def test_library_of_another_extractor_version_is_refused(tmp_path):
  make(tmp_path / 'lib')
  Library.open(tmp_path / 'lib', features=EXTRACTORS | {'lips': 'facemesh'})
  Library.open(tmp_path / 'lib', features={'text': 'text-net'})
  for other in ({'name': 'face-net', 'version': '3', 'width': 6}, 'videollama'):
    with pytest.raises(BadInput, match='face embeddings of face-net'):
      Library.open(tmp_path / 'lib', features={'face': other})


def test_reading_of_another_width_is_bad_input(tmp_path):
  library, embeddings, _ = make(tmp_path / 'lib')
  wide = Reading(np.ones(9), np.ones(6), np.ones(8), present=np.ones(3, bool))
  with pytest.raises(BadInput, match='9 wide'):
    library.retrieve(wide)


def damage(folder, name):
  path = folder / name
  path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
  'breaking, message',
  [
    (shutil.rmtree, 'no library at'),
    (lambda f: (f / 'manifest.json').unlink(), 'manifest.json is missing'),
    (lambda f: damage(f, 'manifest.json'), 'cannot be read'),
    (lambda f: (f / 'manifest.json').write_text('[]'), 'cannot be read'),
    (lambda f: (f / 'manifest.json').write_bytes(b'\xff\xfe\xfd'), 'cannot be read'),
    (lambda f: (f / 'face.npy').unlink(), 'face.npy is missing'),
    (lambda f: damage(f, 'sound.npy'), 'changed or cut off'),
    (lambda f: damage(f, 'clips.jsonl'), 'changed or cut off'),
  ],
)
def test_broken_library_is_one_clear_line(tmp_path, breaking, message):
  make(tmp_path / 'lib')
  breaking(tmp_path / 'lib')
  with pytest.raises(BadInput, match=message) as error:
    Library.open(tmp_path / 'lib')
  assert '\n' not in str(error.value) and 'dubber index' in str(error.value)


def test_large_files_whose_hash_is_not_checked_are_still_checked_by_shape(tmp_path, monkeypatch):
  monkeypatch.setattr('dubber_jax.retrieval.library.CHECKED_BYTES', 0)
  make(tmp_path / 'lib')
  np.save(tmp_path / 'lib' / 'face.npy', np.zeros((11, 6), np.float16))
  with pytest.raises(BadInput, match='shape'):
    Library.open(tmp_path / 'lib')


def test_newer_format_is_refused(tmp_path):
  make(tmp_path / 'lib')
  manifest = json.loads((tmp_path / 'lib' / 'manifest.json').read_text())
  (tmp_path / 'lib' / 'manifest.json').write_text(json.dumps(manifest | {'format': 99}))
  with pytest.raises(BadInput, match='format 99'):
    Library.open(tmp_path / 'lib')


def test_library_is_not_overwritten_unasked_nor_in_place_of_something_else(tmp_path):
  make(tmp_path / 'lib')
  with pytest.raises(BadInput, match='--overwrite'):
    make(tmp_path / 'lib')
  library, _, _ = make(tmp_path / 'lib', count=9, overwrite=True)
  assert len(library) == 9 and [p.name for p in tmp_path.iterdir()] == ['lib']
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos' / 'a.jpg').touch()
  with pytest.raises(BadInput, match='not a library'):
    make(tmp_path / 'photos', overwrite=True)
  assert (tmp_path / 'photos' / 'a.jpg').exists()


def test_two_clips_with_one_key_are_refused(tmp_path):
  clip = LibraryClip('set/s/1', present=EMBEDDINGS)
  embeddings = {m: np.ones((2, w)) for m, w in WIDTHS.items()}
  with pytest.raises(BadInput, match='two clips have the key set/s/1'):
    Library.build(tmp_path / 'lib', [clip, clip], embeddings, [{}, {}], EXTRACTORS)
  assert not list(tmp_path.iterdir())
