"""Product code does not depend on evaluation: only the command line imports it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'dubber_jax'
ALLOWED = ('evaluation', 'cli')
PARTS = sorted({p.relative_to(PACKAGE).parts[0] for p in PACKAGE.glob('*/**/*.py')} - set(ALLOWED))


def imported(path: Path) -> set[str]:
  """Modules that a file imports, inside functions too."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and not node.level:
      found |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
  return found


@pytest.mark.parametrize('part', PARTS)
def test_only_the_command_line_imports_evaluation(part):
  files = list((PACKAGE / part).rglob('*.py'))
  wrong = [str(p) for p in files if any(m.startswith('dubber_jax.evaluation') for m in imported(p))]
  assert files and wrong == []


def test_such_an_import_would_be_noticed():
  assert any(m.startswith('dubber_jax.evaluation') for m in imported(PACKAGE / 'cli' / 'evaluate.py'))
