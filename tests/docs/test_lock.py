"""The lock file of `make dev`: complete, and the same on every machine."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / 'requirements-dev.lock'


def normal(requirement: str) -> str:
  return re.sub(r'[-_.]+', '-', re.match(r'[\w.-]+', requirement)[0]).lower()


def test_lock_names_no_index_and_no_path():
  lines = [line.split(' #')[0] for line in LOCK.read_text().splitlines()]
  assert not [line for line in lines if re.search(r'://|^\s*(?:-[a-z]|--)|@ |/(?:home|root|opt|work|tmp|Users)/', line)]


def test_lock_has_every_requirement():
  config = configparser.ConfigParser()
  config.read(ROOT / 'setup.cfg')
  extras = config['options.extras_require']
  wanted = [
    config['options']['install_requires'],
    *(extras[e] for e in ('features', 'mandarin', 'eval', 'beam', 'dev')),
  ]
  locked = {normal(line) for line in LOCK.read_text().splitlines() if re.match(r'\w', line)}
  missing = {normal(line) for text in wanted for line in text.strip().splitlines()} - locked
  assert not missing, 'run make lock'
