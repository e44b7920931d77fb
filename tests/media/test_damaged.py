"""Damaged files give a clear refusal or a result that is sound in itself, and never half an output."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.media.video import probe, read_frames

KINDS = ['.mp4', '.mkv', '.mov', '.mpg', '.webm', '.flv', '.wav', '.flac', '.opus', '.mp3']
QUICK = settings(
  max_examples=12,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
damage = st.one_of(
  st.tuples(st.just('cut'), st.floats(0, 1)),
  st.tuples(st.just('flip'), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=60)),
  # Headers and indices stand at the ends: damage there reaches further.
  st.tuples(st.just('flip'), st.lists(st.tuples(st.floats(0, 0.06), st.integers(0, 7)), min_size=1, max_size=8)),
  st.tuples(st.just('flip'), st.lists(st.tuples(st.floats(0.85, 1), st.integers(0, 7)), min_size=1, max_size=8)),
)


@pytest.fixture(scope='session')
def originals(tmp_path_factory, media) -> dict[str, bytes]:
  folder = tmp_path_factory.mktemp('originals')
  for kind in KINDS:
    if kind in media.FILMS:
      media.film(folder / f'whole{kind}', seconds=1.0, sound=media.clicks(1.0))
    else:
      media.sound_file(folder / f'whole{kind}', media.clicks(1.0))
  return {kind: (folder / f'whole{kind}').read_bytes() for kind in KINDS}


def damaged(content: bytes, how) -> bytes:
  what, where = how
  if what == 'cut':
    return content[: int(where * len(content))]
  changed = bytearray(content)
  for place, bit in where:
    changed[min(int(place * len(changed)), len(changed) - 1)] ^= 1 << bit
  return bytes(changed)


def check_damaged(path, folder):
  """Reads and dubs the file: anything but BadInput or a valid result is an error."""
  for action in (check_probe, check_frames, check_sound, check_dubbed):
    before = {p.name for p in folder.iterdir()}
    try:
      action(path, folder)
    except BadInput as error:
      assert '\n' not in str(error) and len(str(error)) < 500
      assert {p.name for p in folder.iterdir()} == before
    for made in ('dubbed.mp4', 'dubbed.mkv', 'sound.wav'):
      (folder / made).unlink(missing_ok=True)


def check_probe(path, folder):
  info = probe(path)
  assert info.seconds >= 0 and (info.has_video or info.has_sound)


def check_frames(path, folder):
  frames, seconds = read_frames(path, max_seconds=60)
  assert 0 < seconds <= 60 and len(frames) == max(1, round(seconds * 25))
  assert frames.dtype == np.uint8 and frames.shape[3] == 3


def check_sound(path, folder):
  wave = read_sound(path)
  assert wave.dtype == np.float32 and wave.ndim == 1 and len(wave) and np.isfinite(wave).all()
  write_wav(folder / 'sound.wav', wave, 22050)


def check_dubbed(path, folder):
  for out in ('dubbed.mp4', 'dubbed.mkv'):
    write_dubbed(path, np.zeros(22050, np.float32), 22050, folder / out)
    assert probe(folder / out).has_sound and len(read_sound(folder / out))


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_file_is_refused_or_gives_a_valid_result(kind, originals, tmp_path):
  @QUICK
  @given(damage)
  def check(how):
    path = tmp_path / f'damaged{kind}'
    path.write_bytes(damaged(originals[kind], how))
    check_damaged(path, tmp_path)

  check()


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_many_damaged_files_are_refused_or_give_a_valid_result(kind, originals, tmp_path):
  @settings(QUICK, max_examples=400, derandomize=False)
  @given(damage)
  def check(how):
    path = tmp_path / f'damaged{kind}'
    path.write_bytes(damaged(originals[kind], how))
    check_damaged(path, tmp_path)

  check()


@QUICK
@given(st.binary(max_size=4000), st.sampled_from(KINDS))
def test_a_file_of_any_bytes_is_refused_or_gives_a_valid_result(tmp_path, content, kind):
  path = tmp_path / f'any{kind}'
  path.write_bytes(content)
  check_damaged(path, tmp_path)
