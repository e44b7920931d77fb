"""Settings on the command line: every field by its dotted name, beside the options of `dubber train`."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from dubber_jax.cli.main import main
from dubber_jax.cli.overrides import list_settings, override
from dubber_jax.config import (
  ActorTask,
  AdaptationTask,
  Config,
  CriticTask,
  ExperimentTask,
  PublishedTask,
  VocoderTask,
  settings,
)
from dubber_jax.errors import BadInput
from dubber_jax.training.checkpoints import Workdir, read_config

RECIPES = Path(__file__).parents[2] / 'experiments' / 'recipes'
TINY = str(RECIPES / 'tiny.py')
TASKS = (ActorTask(), AdaptationTask(), VocoderTask(), CriticTask(), PublishedTask(), ExperimentTask('tiny'))


@pytest.mark.parametrize(
  ('given', 'name', 'value'),
  [
    ('--train.learning-rate 3e-4', 'train.learning_rate', 3e-4),
    ('--train.learning_rate=3e-4', 'train.learning_rate', 3e-4),
    ('--task.adversarial.weight -1e-3', 'task.adversarial.weight', -1e-3),
    ('--task.actor.width 128', 'task.actor.width', 128),
    ('--task.actor.width 128 --task.actor.width 64', 'task.actor.width', 64),
    ('--task.director.enabled False', 'task.director.enabled', False),
    ('--task.data.sources a b', 'task.data.sources', ('a', 'b')),
    ('--task.data.sources', 'task.data.sources', ()),
    ('--task.data.buckets 64 128', 'task.data.buckets', (64, 128)),
    ('--task.guidance.critic runs/critic', 'task.guidance.critic', 'runs/critic'),
    ('--mesh.fsdp 2', 'mesh.fsdp', 2),
    ('--seed 5', 'seed', 5),
  ],
)
def test_setting_changes_and_nothing_else(given, name, value):
  before = {name: value for name, value, _ in settings(Config())}
  after = {name: value for name, value, _ in settings(override(Config(), given.split()))}
  assert after == before | {name: value}


@pytest.mark.parametrize('task', TASKS, ids=lambda task: task.kind)
def test_every_setting_of_every_task_can_be_set_and_is_listed(task):
  config, given = Config(task=task), []
  page = list_settings(config)
  for name, value, _ in settings(config):
    given += [f'--{name}', *map(str, value if isinstance(value, tuple) else (value,))]
    assert f'--{name.replace("_", "-")} ' in page, name
  assert override(config, given) == config


@pytest.mark.parametrize(
  ('given', 'said'),
  [
    ('--task.actor.widht 3', 'no option or setting --task.actor.widht; did you mean --task.actor.width?'),
    ('--actor.width 3', 'did you mean --task.actor.width?'),
    ('--task.vocoder.width 3', 'no option or setting --task.vocoder.width'),
    ('--qqqq 3', '`dubber train EXPERIMENT --help` lists them'),
    ('--train.learning-rate fast', '--train.learning-rate fast: give a number'),
    ('--train.learning-rate', '--train.learning-rate: give a number'),
    ('--train.steps 1.5', '--train.steps 1.5: give a whole number'),
    ('--train.steps 1 2', '--train.steps 1 2: give a whole number'),
    ('--task.director.enabled perhaps', 'give True or False'),
    ('--task.data.buckets 64 wide', 'give whole numbers'),
    ('width=3', 'width=3 is not understood'),
  ],
)
def test_wrong_name_or_value_is_one_line(given, said, capsys):
  with pytest.raises(BadInput) as refused:
    override(Config(), given.split())
  assert said in str(refused.value) and '\n' not in str(refused.value)
  assert capsys.readouterr() == ('', '')


def test_choices_of_a_setting_are_said():
  with pytest.raises(BadInput, match='give published or safe'):
    override(Config(task=PublishedTask()), ['--task.published.padding', 'none'])


def test_wrong_setting_ends_the_command_with_one_line_and_code_2(tmp_path, capsys):
  assert main(['train', TINY, '--workdir', str(tmp_path / 'run'), '--train.step', '3']) == 2
  said = capsys.readouterr().err.splitlines()
  assert said == ['dubber: no option or setting --train.step; did you mean --train.steps?']
  assert not (tmp_path / 'run').exists()


def test_other_commands_take_no_settings(tmp_path, capsys):
  with pytest.raises(SystemExit) as stopped:
    main(['digest', str(tmp_path), '--train.steps', '3'])
  assert stopped.value.code == 2 and 'unrecognized arguments: --train.steps 3' in capsys.readouterr().err


def test_help_lists_the_settings_of_the_experiment_that_is_named(capsys):
  with pytest.raises(SystemExit) as stopped:
    main(['train', str(RECIPES / 'first_voice.py'), '--arm', 'felt', '--help'])
  page = capsys.readouterr().out
  assert stopped.value.code == 0
  assert '--workdir' in page and 'values of arm felt' in page and '--task.guidance.share' in page
  with pytest.raises(SystemExit) as stopped:
    main(['train', '--help'])
  assert stopped.value.code == 0 and '--task.guidance.share' not in capsys.readouterr().out


@pytest.fixture
def without_training(monkeypatch):
  """`dubber train` opens its workdir with its config and trains nothing."""

  def train(config, workdir, experiment, given):
    with contextlib.closing(Workdir(workdir, config)):
      return SimpleNamespace(step=0)

  monkeypatch.setattr('dubber_jax.cli.train._train', train)


@pytest.mark.usefixtures('without_training')
def test_settings_go_with_the_options_and_changes_of_what_is_computed_are_refused_on_resume(tmp_path, capsys):
  workdir = tmp_path / 'run'
  arguments = ['train', TINY, '--arm', 'tiny', '--workdir', str(workdir)]
  assert main([*arguments, '--train.learning-rate', '1e-3', '--steps', '2', '--train.log-every', '1']) == 0
  stored = read_config(workdir).train
  assert (stored.learning_rate, stored.stop, stored.steps, stored.log_every) == (1e-3, 2, 200, 1)
  capsys.readouterr()
  assert main([*arguments, '--train.learning-rate', '2e-3', '--steps', '3']) == 2
  said = [line for line in capsys.readouterr().err.splitlines() if line.startswith('dubber: ')]
  assert len(said) == 1 and 'train.learning_rate: 0.001 / 0.002' in said[0]
  assert main([*arguments, '--train.learning-rate', '1e-3', '--train.keep', '1', '--steps', '3']) == 0
  assert read_config(workdir).train.keep == 1


@pytest.mark.usefixtures('without_training')
@pytest.mark.parametrize('recipe', ['first_voice', 'vocoder', 'critic'])
def test_packed_sets_the_folder_of_every_arm(recipe, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert main(['train', str(RECIPES / f'{recipe}.py'), '--packed', 'there']) == 0
  runs = sorted(p.parent for p in (tmp_path / 'runs' / recipe).glob('*/config.json'))
  assert runs and {read_config(run).task.data.packed for run in runs} == {'there'}


def test_settings_that_follow_from_the_model_are_refused_by_an_adaptation(tmp_path, capsys):
  arguments = ['train', str(RECIPES / 'adapt_voice.py'), '--data', str(tmp_path), '--workdir', str(tmp_path / 'run')]
  assert main([*arguments, '--task.actor.width', '64']) == 2
  assert 'leave --task.actor.width out' in capsys.readouterr().err
