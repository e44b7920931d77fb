"""Generates reference pages while the site is built: one a public module from its docstrings, and the command line.

Run by the mkdocs plugin gen-files. Modules are read as text, not imported, but for the parser of the command line.
"""

import argparse
import html
import sys
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ('dubber_jax', 'data_pipelines')
sys.path.insert(0, str(ROOT))


def module_pages():
  """reference/api/PACKAGE/.../NAME.md for every module without a leading underscore, and their navigation."""
  nav = mkdocs_gen_files.Nav()
  for path in sorted(p for package in PACKAGES for p in (ROOT / package).rglob('*.py')):
    parts = path.relative_to(ROOT).with_suffix('').parts
    is_package = parts[-1] == '__init__'
    parts = parts[:-1] if is_package else parts
    if any(part.startswith('_') or part == 'assets' for part in parts):
      continue
    page = Path(*parts, 'index.md') if is_package else Path(*parts).with_suffix('.md')
    nav[parts] = page.as_posix()
    with mkdocs_gen_files.open(Path('reference/api') / page, 'w') as file:
      file.write(f'# {".".join(parts)}\n\n`{path.relative_to(ROOT)}`\n\n::: {".".join(parts)}\n')
  with mkdocs_gen_files.open('reference/api/SUMMARY.md', 'w') as file:
    file.writelines(nav.build_literate_nav())


def command_page():
  """reference/cli.md: usage and options of each command, from the parser that runs them."""
  from dubber_jax.cli.main import make_parser

  parser = make_parser()
  (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
  lines = [
    '# Command line',
    '',
    parser.description,
    '',
    'Exit codes: 0 done, 2 unusable input (one line on stderr), 130 interrupted.',
    '',
  ]
  for name, command in commands.choices.items():
    command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=78)
    usage = command.format_usage().removeprefix('usage: ').rstrip()
    lines += [f'## dubber {name}', '', command.description, '', '```', usage, '```', '']
    rows = [a for a in command._actions if a.help != argparse.SUPPRESS and '--help' not in a.option_strings]
    lines += ['| argument | meaning |', '|---|---|', *(f'| {shown(a)} | {meaning(command, a)} |' for a in rows), '']
  with mkdocs_gen_files.open('reference/cli.md', 'w') as file:
    file.write('\n'.join(lines))


def shown(action: argparse.Action) -> str:
  """The argument as it is typed, in code style."""
  names = ', '.join(action.option_strings) or str(action.metavar or action.dest)
  value = ''
  if action.option_strings and action.nargs != 0:
    value = ' ' + str(
      action.metavar or ('{' + ','.join(map(str, action.choices)) + '}' if action.choices else action.dest.upper())
    )
  return f'<code>{html.escape(names + value).replace("|", "&#124;")}</code>'


def meaning(command: argparse.ArgumentParser, action: argparse.Action) -> str:
  return command._get_formatter()._expand_help(action).replace('|', '\\|') if action.help else ''


module_pages()
command_page()
