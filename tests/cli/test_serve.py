"""Options of `dubber serve`."""

import pytest

from dubber_jax.cli.main import main


@pytest.fixture
def settings(monkeypatch):
  """Runs `dubber serve` with options -> what the server would be told."""
  told = []

  def serve(settings, **_):
    told.append(settings)
    return 0

  pytest.importorskip('uvicorn')
  monkeypatch.setattr('dubber_jax.serving.run.serve', serve)

  def run(*options):
    assert main(['serve', *map(str, options)]) == 0
    return told.pop()

  return run


def test_every_option_arrives(settings, tmp_path):
  options = ('--films', tmp_path, '--wyoming', 10300, '--port', 0, '--token', 'x', '--allow-host', 'a', 'b')
  found = settings('--host', '0.0.0.0', '--home', tmp_path / 'home', '--queue', 5, '--log-texts', *options)
  assert found.films == (tmp_path,) and found.wyoming == 10300 and found.port == 0 and found.token == 'x'
  assert found.hosts == ('a', 'b') and found.home == tmp_path / 'home' and found.limits.queue == 5 and found.log_texts


def test_by_default_it_is_for_this_machine_alone(settings, monkeypatch):
  monkeypatch.delenv('DUBBER_TOKEN', raising=False)
  found = settings()
  assert found.host == '127.0.0.1' and not found.token and not found.films and found.wyoming is None


@pytest.mark.parametrize(
  ('options', 'told'),
  [
    (('--host', '0.0.0.0'), '--token'),
    (('--port', '99999'), '--port'),
    (('--films', '/nowhere'), '--films'),
    (('--queue', '0'), '--queue'),
  ],
)
def test_what_cannot_be_is_one_line(settings, capsys, monkeypatch, options, told):
  monkeypatch.delenv('DUBBER_TOKEN', raising=False)
  assert main(['serve', *options]) == 2
  said = capsys.readouterr().err
  assert told in said and said.count('\n') == 1
