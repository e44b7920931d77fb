import numpy as np
import pytest

from dubber_jax.dubbing.cast import Cast, cast_lines, read_cast
from dubber_jax.errors import BadInput
from dubber_jax.types import Line, Voice

KATHLEEN, SAM = (Voice(np.ones(256), np.zeros((9, 80)), name) for name in ('kathleen', 'sam'))
SHIPPED = {'kathleen': KATHLEEN, 'sam': SAM}
SCRIPT = [Line('Hi.', character='Anna'), Line('Ho.', character='Old Man'), Line('Hm.'), Line('Ha.', character='Ben')]


def cast(tmp_path, text, lines=SCRIPT, default=None):
  path = tmp_path / 'cast.toml'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return read_cast(path, lines, SHIPPED, default)


def test_each_character_speaks_in_their_voice_however_the_name_is_written(tmp_path):
  found = cast(tmp_path, '[cast]\nANNA = "kathleen"\n"old  man" = "sam"\ndefault = "sam"\n')
  assert found.voice_of('anna') is KATHLEEN and found.voice_of('OLD MAN') is SAM
  assert found.voice_of('Ben') is found.voice_of('') is SAM
  assert not found.warnings


def test_all_without_a_voice_are_named_before_a_recording_is_opened(tmp_path):
  with pytest.raises(BadInput) as error:
    cast(tmp_path, '[cast]\nANNA = "nowhere.wav"\n')
  assert 'Old Man, Ben' in str(error.value) and 'line 3 ' in str(error.value) and 'nowhere' not in str(error.value)
  with pytest.raises(BadInput, match='no voice for Anna'):
    Cast().check(SCRIPT[:1])


def test_a_voice_beside_the_cast_is_everybody_elses(tmp_path):
  found = cast(tmp_path, '[cast]\nANNA = "sam"', default=KATHLEEN)
  assert found.voice_of('Anna') is SAM and found.voice_of('Ben') is KATHLEEN


def test_several_at_once_have_the_voice_of_the_first_who_has_one(tmp_path):
  found = cast(tmp_path, '[cast]\nBEN = "sam"\n', [Line('No!', character='Anna & Ben')])
  assert found.voice_of('Anna & Ben') is SAM
  assert not found.warnings


def test_a_name_that_no_line_has_is_told_and_its_recording_left_alone(tmp_path):
  found = cast(tmp_path, '[cast]\nANA = "nowhere.wav"\ndefault = "sam"\n')
  assert len(found.warnings) == 1 and 'ANA' in found.warnings[0]


def test_a_recording_that_cannot_be_used_says_whose_it_is(tmp_path):
  with pytest.raises(BadInput, match=r'cast\.toml: ANNA: .*nowhere\.wav'):
    cast(tmp_path, '[cast]\nANNA = "nowhere.wav"\ndefault = "sam"\n')


@pytest.mark.parametrize(
  'broken',
  [
    '',
    'ANNA = "sam"',
    '[cast]\n',
    '[cast]\nANNA = sam',
    '[cast]\nANNA = 3',
    '[cast]\nANNA = ""',
    'cast = "sam"',
    '[cast]\nANNA = "sam"\nanna = "sam"',
    '[cast]\nANNA = "sam"\nANNA = "sam"',
    b'\xff\xfe\x00',
  ],
)
def test_broken_cast_is_refused_in_one_line(tmp_path, broken):
  with pytest.raises(BadInput, match=r'cast\.toml') as error:
    cast(tmp_path, broken)
  assert '\n' not in str(error.value)


def test_missing_cast_is_refused(tmp_path):
  with pytest.raises(BadInput, match='none.toml'):
    read_cast(tmp_path / 'none.toml', SCRIPT, SHIPPED)


def test_names_of_the_cast_are_known_in_any_spelling_at_a_lines_head():
  lines = [Line('Anna: Come here.', 1.0, 2.0), Line('Listen: it rains.'), Line('Ben: no.', character='Anna')]
  assert cast_lines(lines, ['ANNA', 'BEN', 'default']) == [Line('Come here.', 1.0, 2.0, 'Anna'), *lines[1:]]
