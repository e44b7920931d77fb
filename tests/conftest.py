import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def data_dir() -> Path:
  """The real speech and film data, or a skip that says how to get it."""
  path = Path(os.environ.get('DUBBER_DATA', Path(__file__).parents[1] / '..' / 'shared' / 'data')).resolve()
  if not (path / 'grid.jsonl').exists():
    pytest.skip(f'no data at {path}: set DUBBER_DATA to the folder that holds grid.jsonl')
  return path
