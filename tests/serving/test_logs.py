import json
import logging

import pytest

from dubber_jax.serving import logs


@pytest.fixture
def rows(capsys):
  """A function that logs as JSON and gives what was written."""
  names = ('dubber_jax', 'dubber_jax.serving', 'dubber_jax.serving.desk', 'uvicorn', 'uvicorn.access')
  kept = {name: logging.getLogger(name).__dict__.copy() for name in names}
  yield lambda: [json.loads(row) for row in capsys.readouterr().err.splitlines()]
  for name, state in kept.items():
    logging.getLogger(name).__dict__.update(state)


@pytest.mark.parametrize('texts', [False, True])
def test_what_is_said_is_logged_only_where_that_is_asked_for(rows, texts):
  logs.log_as_json(texts=texts)
  logging.getLogger('dubber_jax.dubbing.film').warning('A secret line.')
  logging.getLogger('dubber_jax.dubbing.film').error('The disk\nis full.')
  logs.log('request', route='/v1/audio/speech', status=200)
  found = rows()
  said = [row['message'] for row in found]
  assert said == [*['A secret line.'] * texts, 'The disk\nis full.', 'request']
  assert found[-1] | {'time': ''} == {
    'time': '',
    'level': 'info',
    'logger': 'dubber_jax.serving',
    'message': 'request',
    'route': '/v1/audio/speech',
    'status': 200,
  }
