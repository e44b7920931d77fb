"""The stylesheet that all pages share: desk, report, project, listening test and sound examples."""

import re
from functools import cache
from pathlib import Path


@cache
def stylesheet() -> str:
  """Text of style.css without comments and indentation, to go into a page that is one file.

  Holds no `<`, so that it can stand in a style element as it is.
  """
  text = Path(__file__).with_name('style.css').read_text(encoding='utf-8')
  text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
  return '\n'.join(line for line in map(str.strip, text.splitlines()) if line)
