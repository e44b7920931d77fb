"""The server's log, which has no texts unless they are asked for."""

import json
import logging

import pytest

from dubber_jax.serving.logs import log, log_as_json

NAMES = ('', 'dubber_jax', 'dubber_jax.serving', 'dubber_jax.serving.desk', 'uvicorn', 'uvicorn.access')


@pytest.fixture(autouse=True)
def as_before():
  loggers = [logging.getLogger(name) for name in NAMES]
  kept = [(one.handlers, one.propagate, one.level) for one in loggers]
  yield
  for one, (handlers, propagate, level) in zip(loggers, kept, strict=True):
    one.handlers, one.propagate = handlers, propagate
    one.setLevel(level)


@pytest.mark.parametrize('texts', [False, True])
def test_texts_of_lines_are_in_the_log_on_wish_alone(capsys, texts):
  log_as_json(texts)
  log('request', route='/v1/dubs', status=200)
  logging.getLogger('dubber_jax.dubbing.film').info('line 1 of 14: a secret')
  logging.getLogger('dubber_jax.dubbing.film').warning('line 2: "a secret" does not fit')
  logging.getLogger('dubber_jax.serving.desk.edits').warning('line 3: "a secret" does not fit')
  logging.getLogger('dubber_jax.serving.uploads').warning('an upload ended its process')
  rows = [json.loads(row) for row in capsys.readouterr().err.splitlines()]
  assert {'request', 'an upload ended its process'} <= {row['message'] for row in rows}
  assert sum('secret' in row['message'] for row in rows) == 3 * texts and rows[0]['status'] == 200
