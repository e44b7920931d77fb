"""Steps of a Dockerfile, and those of a build stage run without a container."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ('PATH', 'LANG', 'SSL_CERT_FILE', 'PIP_', 'UV_', 'REQUESTS_', 'http', 'HTTP', 'no_proxy', 'NO_PROXY')


def steps_of(path: Path) -> list[tuple[str, str]]:
  """Instructions of a Dockerfile in order, each as (instruction, value)."""
  parser = DockerfileParser(fileobj=io.BytesIO(path.read_bytes()))
  return [(step['instruction'], step['value']) for step in parser.structure if step['instruction'] != 'COMMENT']


def run_steps(steps: list[tuple[str, str]], folder: Path) -> tuple[Path, dict[str, str]]:
  """Runs each COPY and RUN with JAX=cpu, /opt/dubber being folder/opt -> that folder, and the environment."""
  source, place = folder / 'source', folder / 'opt'
  source.mkdir()
  environment = {name: value for name, value in os.environ.items() if name.startswith(KNOWN)}
  environment |= {'JAX': 'cpu', 'HOME': str(folder), 'UV_LINK_MODE': 'copy', 'VIRTUAL_ENV': str(place)}
  for name, value in steps:
    if name == 'COPY':
      *sources, target = value.split()
      for item in sources:
        to = source / (item if target == './' else target)
        if (ROOT / item).is_dir():
          shutil.copytree(ROOT / item, to, ignore=shutil.ignore_patterns('__pycache__'))
        else:
          shutil.copy(ROOT / item, to)
    elif name == 'RUN':
      command = value.replace('/opt/dubber', str(place)).replace('python -m venv', f'{sys.executable} -m venv')
      subprocess.run(['/bin/sh', '-ec', command], cwd=source, env=environment, check=True, timeout=1800)
  shutil.rmtree(source)
  return place, environment
