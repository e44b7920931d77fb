"""Dockerfile, compose files and .dockerignore: what they say, and the steps of the installation in an empty folder."""

import fnmatch
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from build_stages import run_steps, steps_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def steps():
  """Instructions of the Dockerfile in order, each as (instruction, value)."""
  return steps_of(ROOT / 'Dockerfile')


def of(steps, instruction):
  return [value for name, value in steps if name == instruction]


def last_stage(steps):
  return steps[max(i for i, (name, _) in enumerate(steps) if name == 'FROM') :]


def copied(steps):
  """What comes from the build context: (sources, target)."""
  found = [value.split() for value in of(steps, 'COPY') if not value.startswith('--from')]
  return [(words[:-1], words[-1]) for words in found]


def compose(name):
  return yaml.safe_load((ROOT / name).read_text())


def test_image_runs_the_server_as_a_user_who_owns_the_volume_alone(steps):
  final = last_stage(steps)
  (user,) = of(final, 'USER')
  assert user == 'dubber' and of(final, 'VOLUME') == ['/data']
  (made,) = of(final, 'RUN')
  assert re.search(r'useradd .*--uid [1-9]\d{3,}', made) and 'install -d -o dubber' in made
  command = json.loads(of(final, 'ENTRYPOINT')[0]) + json.loads(of(final, 'CMD')[0])
  assert command[:2] == ['dubber', 'serve'] and '/data/server' in command
  names = [name for name, _ in final]
  assert names.index('USER') > names.index('RUN')
  assert 'EXPOSE' in names and of(final, 'EXPOSE') == ['8000']


def test_health_check_is_python_that_asks_the_server(steps):
  (check,) = of(last_stage(steps), 'HEALTHCHECK')
  command = json.loads(check[check.index('CMD') + 3 :])
  assert command[:2] == ['python', '-c']
  compile(command[2], 'healthcheck', 'exec')
  assert 'http://127.0.0.1:8000/readyz' in command[2]


def test_commands_of_image_and_compose_file_are_taken_by_the_parser(steps):
  from dubber_jax.cli.main import make_parser

  (service,) = compose('compose.yaml')['services'].values()
  for command in (json.loads(of(last_stage(steps), 'CMD')[0]), service['command']):
    given = make_parser().parse_args(command)
    assert (given.host, given.port, str(given.home)) == ('0.0.0.0', 8000, '/data/server')


def test_cuda_is_a_build_argument_and_not_there_unless_asked_for(steps):
  assert 'JAX=cpu' in of(steps, 'ARG')
  (cuda,) = [value for value in of(steps, 'RUN') if 'jax[' in value]
  assert cuda.startswith('if [ "${JAX}" != cpu ]')


def test_extras_and_packages_are_those_of_the_readme(steps):
  runs = ' '.join(of(steps, 'RUN'))
  assert set(re.findall(r'--extra (\w+)', runs)) == {'features', 'editorial', 'serve'}
  assert '--no-deps -r requirements-features.txt' in runs


def test_what_is_copied_exists_and_nothing_else_is_sent_to_the_builder(steps):
  rules = [line for line in (ROOT / '.dockerignore').read_text().splitlines() if line and not line.startswith('#')]
  assert rules[0] == '*'
  kept = {rule[1:] for rule in rules if rule.startswith('!')}
  sources = {source for group, _ in copied(steps) for source in group}
  assert sources == kept and all((ROOT / source).exists() for source in sources)
  left_out = [rule for rule in rules[1:] if not rule.startswith('!')]
  assert any(fnmatch.fnmatch('dubber_jax/__pycache__', rule) for rule in left_out)


def test_compose_binds_loopback_asks_for_a_token_and_keeps_the_home_folder():
  services = compose('compose.yaml')['services']
  (service,) = services.values()
  (port,) = service['ports']
  assert port.startswith('${DUBBER_BIND:-127.0.0.1}:') and port.endswith(':8000')
  assert service['environment']['DUBBER_TOKEN'].startswith('${DUBBER_TOKEN:?')
  (volume,) = service['volumes']
  name, target = volume.split(':')
  assert target == '/data' and name in compose('compose.yaml')['volumes']
  assert service['cap_drop'] == ['ALL'] and service['read_only'] is True
  assert service['build']['args'] == {'JAX': '${DUBBER_JAX:-cpu}'}


def test_cuda_file_adds_a_gpu_to_the_same_service():
  service = compose('deploy/compose.cuda.yaml')['services']
  assert set(service) == set(compose('compose.yaml')['services'])
  (device,) = service['dubber']['deploy']['resources']['reservations']['devices']
  assert device['driver'] == 'nvidia' and device['capabilities'] == ['gpu']


@pytest.mark.slow
def test_installation_steps_of_the_build_stage_give_a_server_in_an_empty_environment(steps, tmp_path):
  """Each COPY and RUN of the build stage, with /opt/dubber below a temporary folder and without a container."""
  place, environment = run_steps(steps[: steps.index(last_stage(steps)[0])], tmp_path)
  program = (
    'import dubber_jax.serving.app, dubber_jax.serving.wyoming, cv2, onnxruntime\n'
    'import dubber_jax as dj\n'
    'print(len(dj.load().voices), dj.__file__)'
  )
  done = subprocess.run(
    [place / 'bin' / 'python', '-c', program],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
    timeout=900,
  )
  assert done.returncode == 0, done.stderr
  assert str(place) in done.stdout and int(done.stdout.split()[0]) > 0
  subprocess.run([place / 'bin' / 'dubber', 'serve', '--help'], env=environment, check=True, timeout=300)
