import pytest

from dubber_jax.errors import BadInput
from dubber_jax.training.experiment import read_experiment


@pytest.mark.parametrize(
  'text', ['', 'arms = 7', 'def arms(:', 'import no_such_module', 'def arms(): return 7', 'def arms(): return {}[1]']
)
def test_a_file_that_is_no_experiment_is_one_line(tmp_path, text):
  (tmp_path / 'mine.py').write_text(text)
  with pytest.raises(BadInput, match='mine.py') as said:
    read_experiment(tmp_path / 'mine.py')
  assert '\n' not in str(said.value)


def test_a_file_that_is_not_python_is_one_line(tmp_path):
  (tmp_path / 'mine.txt').write_text('')
  with pytest.raises(BadInput, match='not a Python file'):
    read_experiment(tmp_path / 'mine.txt')
