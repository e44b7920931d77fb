"""Settings of an experiment from the command line: every field of its config, by its dotted name, read by tyro.

    dubber train experiments/recipes/first_voice.py --arm felt --train.learning-rate 3e-4 --task.actor.width 128

Types, defaults and help texts are those of the dataclasses.
"""

import contextlib
import difflib
import io
import typing

from dubber_jax.config import Config, settings
from dubber_jax.errors import BadInput

KINDS = {int: 'a whole number', float: 'a number', bool: 'True or False', str: 'a text', int | str: 'a number or text'}
KINDS_OF_TUPLES = {int: 'whole numbers', float: 'numbers', str: 'texts'}


def override(config: Config, arguments: list[str]) -> Config:
  """The config with settings as ['--train.learning-rate', '3e-4'] changed; where one is given twice, the later counts.

  Raises BadInput for an unknown name and for a value of another type.
  """
  given, fields = _split(arguments), {name: field for name, _, field in settings(config)}
  names = {option: option.replace('-', '_') for option, _ in given}
  for option, name in names.items():
    if name not in fields:
      raise BadInput(f'no option or setting --{option}{_suggest(name, list(fields))}')
  if not given:
    return config
  changed = _parsed(config, [word for option, values in given for word in (f'--{names[option]}', *values)])
  if changed is not None:
    return changed
  for option, values in given:  # the first that is wrong by itself
    if _parsed(config, [f'--{names[option]}', *values]) is None:
      raise BadInput(f'--{" ".join([option, *values])}: give {_kind(fields[names[option]].type)}')
  raise BadInput(f'{" ".join(arguments)}: give each setting once')


def list_settings(config: Config) -> str:
  """A page with every setting of the config: its name, type, meaning and value."""
  page = io.StringIO()
  with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
    _parse(config, ['--help'])
  return page.getvalue().partition('\n\n')[2]  # without tyro's own usage line


def _parsed(config: Config, arguments: list[str]) -> Config | None:
  """None where a value is wrong."""
  try:
    with contextlib.redirect_stderr(io.StringIO()):
      return _parse(config, arguments, console_outputs=False)
  except SystemExit:
    return None


def _parse(config: Config, arguments: list[str], **options) -> Config:
  import tyro

  # The task stays of the kind that the experiment gives it, and every setting takes a value.
  markers = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
  return tyro.cli(Config, default=config, args=arguments, config=markers, **options)


def _split(arguments: list[str]) -> list[tuple[str, list[str]]]:
  """['--a.b', '1', '2', '--c=3'] -> [('a.b', ['1', '2']), ('c', ['3'])]."""
  found = []
  for argument in arguments:
    if argument.startswith('--'):
      name, equals, value = argument[2:].partition('=')
      found.append((name, [value] if equals else []))
    elif found:
      found[-1][1].append(argument)
    else:
      raise BadInput(f'{argument} is not understood; settings are written as --train.learning-rate 3e-4')
  return found


def _suggest(name: str, known: list[str]) -> str:
  same_end = [k for k in known if k.endswith(f'.{name}')]
  close = same_end or difflib.get_close_matches(name, known, 1)
  if close:
    return f'; did you mean --{close[0].replace("_", "-")}?'
  return '; `dubber train EXPERIMENT --help` lists them'


def _kind(kind) -> str:
  if typing.get_origin(kind) is typing.Literal:
    return ' or '.join(typing.get_args(kind))
  return KINDS_OF_TUPLES[typing.get_args(kind)[0]] if typing.get_origin(kind) is tuple else KINDS[kind]
