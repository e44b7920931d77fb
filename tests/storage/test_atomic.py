import pytest

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import check_output, complete_file


def test_a_file_appears_only_when_it_is_complete(tmp_path):
  out = tmp_path / 'result.json'
  with complete_file(out) as part:
    part.write_text('{}')
    assert part.suffix == '.json' and part.parent == tmp_path and not out.exists()
  assert out.read_text() == '{}' and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize('failure', [KeyboardInterrupt, ValueError, OSError(28, 'No space left on device')])
def test_whatever_fails_leaves_the_old_file_and_nothing_else(failure, tmp_path):
  out = tmp_path / 'result.json'
  out.write_text('old')
  with pytest.raises((KeyboardInterrupt, ValueError)), complete_file(out, overwrite=True) as part:
    part.write_text('half')
    raise failure
  assert out.read_text() == 'old' and list(tmp_path.iterdir()) == [out]


def test_a_file_that_appeared_meanwhile_is_not_lost(tmp_path):
  out = tmp_path / 'result.json'
  with pytest.raises(BadInput, match='exists'), complete_file(out) as part:
    part.write_text('new')
    out.write_text("someone else's")
  assert out.read_text() == "someone else's" and list(tmp_path.iterdir()) == [out]


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path):
  for place in (tmp_path, tmp_path / 'missing' / 'out.mp4'):
    with pytest.raises(BadInput):
      check_output(place)
  check_output(tmp_path / 'new.mp4')
