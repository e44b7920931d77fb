"""What a model may be used for is said once."""

from dubber_jax.cli.dub import tell_terms
from dubber_jax.cli.main import main


def test_terms_are_said_at_first_use_and_again_only_when_they_change(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('DUBBER_CACHE', str(tmp_path / 'cache'))
  model = tmp_path / 'model'
  model.mkdir()
  tell_terms(model)  # without a card
  assert capsys.readouterr().err == ''
  (model / 'CARD.md').write_text('# ada\n\n**Licence.** For non-commercial\nuse.\n\n**Data.** None.\n')
  tell_terms(model)
  assert capsys.readouterr().err == 'terms of model: For non-commercial use.\n'
  tell_terms(model)
  assert capsys.readouterr().err == ''
  (model / 'CARD.md').write_text('# ada\n\n**Licence.** For any use.\n')
  tell_terms(model)
  assert 'For any use.' in capsys.readouterr().err


def test_without_a_cache_commands_run_and_terms_are_said_each_time(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('DUBBER_CACHE', '')
  assert main(['digest', str(tmp_path / 'nothing')]) == 2  # what was wrong, and not a trace
  (tmp_path / 'CARD.md').write_text('**Licence.** For any use.\n')
  for _ in range(2):
    capsys.readouterr()
    tell_terms(tmp_path)
    assert 'For any use.' in capsys.readouterr().err
