"""What README and docs name exists: linked pages, files, modules and their names, commands and their options."""

import argparse
import ast
import re
from pathlib import Path

import pytest

from dubber_jax.cli.main import make_parser
from dubber_jax.config import Config, settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]
CODE = [p for top in ('dubber_jax', 'data_pipelines', 'experiments', 'tests') for p in (ROOT / top).rglob('*')]
GENERATED = ('docs/reference/cli.md', 'docs/reference/api/')  # by docs/gen_reference.py, while the site is built
ELSEWHERE = {'serve.py', 'dataset.py'}  # in an artifact; in the published release
TOPS = ('dubber_jax', 'data_pipelines', 'experiments', 'tests', 'docs', '.ci')
SETTINGS = {name for name, *_ in settings(Config())}  # of an experiment: every field, by its dotted name
KNOWN = {p.relative_to(ROOT).as_posix() for top in ('docs', '.ci') for p in (ROOT / top).rglob('*')}
KNOWN |= {p.relative_to(ROOT).as_posix() for p in CODE} | {p.name for p in ROOT.iterdir()}


def name(page: Path) -> str:
  return page.relative_to(ROOT).as_posix()


def code_of(page: Path) -> list[str]:
  """Code spans and the lines of code blocks (fenced or indented by four)."""
  text = page.read_text(encoding='utf-8')
  fenced = re.findall(r'^```\w*\n(.*?)^```', text, re.M | re.S)
  rest = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
  return [
    *(line for block in fenced for line in block.splitlines()),
    *re.findall(r'^ {4}(\S.*)$', rest, re.M),
    *re.findall(r'`([^`]+)`', rest),
  ]


def commands() -> dict[str, set[str]]:
  """Options of each command of `dubber`."""
  (action,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
  return {n: {o for a in p._actions for o in a.option_strings} for n, p in action.choices.items()}


def defined(module: str) -> set[str] | None:
  """Top-level names of a module of this repository, read without importing it; None where there is no such module."""
  path = ROOT.joinpath(*module.split('.'))
  path = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
  if not path.is_file():
    return None
  found = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      found.add(node.name)
    elif isinstance(node, ast.Import | ast.ImportFrom):
      found |= {(a.asname or a.name).split('.')[0] for a in node.names}
    elif isinstance(node, ast.Assign | ast.AnnAssign):
      targets = node.targets if isinstance(node, ast.Assign) else [node.target]
      found |= {t.id for t in targets if isinstance(t, ast.Name)}
      if '_WHERE' in found and isinstance(node.value, ast.Dict):  # what a package loads when it is asked for
        found |= {k.value for k in node.value.keys if isinstance(k, ast.Constant)}
  return found | {p.stem for p in path.parent.glob('*') if path.name == '__init__.py'}


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_linked_files_exist(page):
  text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'), flags=re.M | re.S)
  dead = []
  for target in re.findall(r'\]\(([^)\s]+)\)', re.sub(r'`[^`]*`', '', text)):
    path, _, anchor = target.partition('#')
    there = (page.parent / path).resolve() if path else page
    if re.match(r'https?:|mailto:', target) or there.as_posix().startswith(tuple(f'{ROOT}/{g}' for g in GENERATED)):
      continue
    if not there.exists() or (anchor and anchor not in anchors(there)):
      dead.append(target)
  assert not dead


def anchors(page: Path) -> set[str]:
  """Of the headings, as the site makes them."""
  headings = re.findall(r'^#+ +(.*)$', page.read_text(encoding='utf-8'), re.M)
  return {re.sub(r'[-\s]+', '-', re.sub(r'[^\w\s-]', '', h.replace('`', '')).strip().lower()) for h in headings}


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_named_files_exist(page):
  """Programs, whose paths may be cut short from the left (`actor/duration.py`), and all that lies in our folders."""
  gone = []
  for path in re.findall(
    r'(?<![\w./*~-])\.?[\w-][\w.-]*(?:/[\w.-]+)*\.[a-z]{2,}\b(?![/\w*])', ' \n'.join(code_of(page))
  ):
    ours = path.startswith(tuple(f'{top}/' for top in TOPS))
    if (ours or path.endswith(('.py', '.sh'))) and path not in ELSEWHERE | KNOWN:
      if ours or not any(known.endswith(f'/{path}') for known in KNOWN):
        gone.append(path)
  assert not gone


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_named_folders_exist(page):
  named = re.findall(
    rf'(?<![\w./-])((?:{"|".join(map(re.escape, TOPS))})(?:/[\w-]+)*)/?(?![\w./*-])', ' \n'.join(code_of(page))
  )
  assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_commands_and_options_exist(page):
  known, wrong = commands(), []
  for line in code_of(page):
    for command, rest in re.findall(r'(?:^|\s)dubber ([a-z][a-z-]*)((?:(?!\sdubber ).)*)', line.split('  #')[0]):
      given = set(re.findall(r'(?<=\s)(--[a-z][a-z.-]*[a-z])(?=[\s=`,)]|$)', rest))
      unknown = given - known.get(command, set())
      if command == 'train':
        unknown = {o for o in unknown if o.removeprefix('--').replace('-', '_') not in SETTINGS}
      if command not in known or unknown:
        wrong.append((command, sorted(unknown)))
  assert not wrong


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_modules_and_imported_names_exist(page):
  code, wrong = '\n'.join(code_of(page)), []
  packages = '(?:dubber_jax|data_pipelines)'
  for module, names in re.findall(rf'from ({packages}[\w.]*) import ([\w, ]+)', code):
    found = defined(module)
    wrong += [f'{module}.{n}' for n in map(str.strip, names.split(',')) if found is None or n not in found]
  wrong += [module for module in re.findall(rf'-m ({packages}[\w.]*)', code) if defined(module) is None]
  assert not wrong


def test_pages_named_in_code_exist():
  dead = []
  for path in CODE:
    if path.suffix in ('.py', '.sh', '.md') and path.is_file() and path != Path(__file__):
      named = re.findall(r'(?<![\w./])docs/[\w/-]+\.(?:md|json|png|html)\b', path.read_text(encoding='utf-8'))
      dead += [f'{name(path)}: {page}' for page in named if not (ROOT / page).exists()]
  assert not dead


def test_every_page_is_in_the_navigation():
  listed = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
  pages = [p.relative_to(ROOT / 'docs').as_posix() for p in PAGES if 'docs' in p.relative_to(ROOT).parts[:1]]
  assert not [page for page in pages if page not in listed]
