"""The server's log: one JSON object a row on stderr, without what is said unless that is asked for."""

import json
import logging
import sys
import time
from typing import Any

logger = logging.getLogger('dubber_jax.serving')


class JsonRows(logging.Formatter):
  """A record as JSON: time (UTC), level, the logger's name below the package, message, and the fields it was given."""

  def format(self, record: logging.LogRecord) -> str:
    stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created)) + f'.{int(record.msecs):03d}Z'
    row: dict[str, Any] = {'time': stamp, 'level': record.levelname.lower(), 'logger': record.name}
    row |= {'message': record.getMessage()} | getattr(record, 'fields', {})
    if record.exc_info:
      row['error'] = self.formatException(record.exc_info)
    return json.dumps(row, ensure_ascii=False, default=str)


def log_as_json(texts: bool = False) -> None:
  """From now on the package's log and that of uvicorn go to stderr as JSON.

  texts: whether also what the library tells of lines, in which their texts are; else of the library errors alone.
  """
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(JsonRows())
  for name in ('dubber_jax', 'uvicorn'):
    own = logging.getLogger(name)
    own.handlers, own.propagate = [handler], False
    own.setLevel(logging.INFO)
  if not texts:
    logging.getLogger('dubber_jax').setLevel(logging.ERROR)
    logger.setLevel(logging.INFO)
    logging.getLogger('dubber_jax.serving.desk').setLevel(logging.ERROR)  # its warnings quote lines
  logging.getLogger('uvicorn.access').handlers = []
  logging.getLogger('uvicorn.access').propagate = False  # requests are logged here, without their addresses' secrets


def log(message: str, **fields: Any) -> None:
  """One row with fields of its own."""
  logger.info(message, extra={'fields': fields})
