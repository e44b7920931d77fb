"""The server's messages in Chinese: all that the library can say of a line has a form in messages.js."""

import ast
import re
from pathlib import Path

import pytest

import dubber_jax
from dubber_jax.director.notes.vocabulary import CONTROL_NAMES
from dubber_jax.perception.recording_quality import FAULTS
from dubber_jax.types import EMOTIONS

PACKAGE = Path(dubber_jax.__file__).parent
MESSAGES = PACKAGE / 'serving' / 'desk' / 'static' / 'messages.js'
# Parts of the package whose warnings are logged, or shown by the command line, and are in no project.
ELSEWHERE = ('authentic_dubber', 'cli', 'convert', 'data', 'evaluation', 'training', 'transcription')
OF_OUTPUTS = ('dubbing/editorial', 'dubbing/export.py', 'media/mux.py', 'media/remux.py')
LEFT_OUT = ('{}: {}',)  # put together of others


def template(node: ast.AST) -> str | None:
  """The text of a string, {} in place of each value; None of anything else."""
  if isinstance(node, ast.Constant) and isinstance(node.value, str):
    return node.value
  if isinstance(node, ast.JoinedStr):
    return plain(''.join(str(part.value) if isinstance(part, ast.Constant) else '{}' for part in node.values))
  return None


def plain(text: str) -> str:
  """A template with {} for each value, and for several side by side."""
  return re.sub(r'(\{[^{}]*\})+', '{}', text)


def texts(node: ast.AST, around: ast.AST):
  """The strings that an expression can give, of names those that `around`, a function, gives them."""
  if (text := template(node)) is not None:
    yield text
  elif isinstance(node, ast.Name):
    for other in ast.walk(around):
      if isinstance(other, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in other.targets):
        if template(other.value) is not None:
          yield from texts(other.value, around)
  elif isinstance(node, ast.Starred):
    yield from texts(node.value, around)
  elif isinstance(node, ast.List | ast.Tuple):
    for part in node.elts:
      yield from texts(part, around)
  elif isinstance(node, ast.IfExp):
    yield from texts(node.body, around)
    yield from texts(node.orelse, around)
  elif isinstance(node, ast.BinOp | ast.BoolOp):
    for part in (node.left, node.right) if isinstance(node, ast.BinOp) else node.values:
      yield from texts(part, around)
  elif isinstance(node, ast.Dict):
    for part in node.values:
      yield from texts(part, around)
  elif isinstance(node, ast.ListComp | ast.GeneratorExp):
    yield from texts(node.elt, around)
  elif isinstance(node, ast.Call):
    for part in node.args:
      yield from texts(part, around)


def is_warnings(node: ast.AST) -> bool:
  name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ''
  return 'warning' in name


def sources(node: ast.AST, around: ast.FunctionDef):
  """The expressions of a node that become warnings."""
  if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
    if node.func.attr in ('append', 'insert', 'extend') and is_warnings(node.func.value):
      yield from node.args
    elif node.func.attr == 'add' and isinstance(node.func.value, ast.Name | ast.Attribute):
      if 'notes' in ast.unparse(node.func.value):  # of a script: script/cues.py
        yield from node.args[:1]
  if isinstance(node, ast.Call):
    yield from (given.value for given in node.keywords if given.arg == 'warnings')
  elif isinstance(node, ast.Assign):
    if any(is_warnings(part) for target in node.targets for part in ast.walk(target)):
      yield node.value
  elif isinstance(node, ast.AugAssign | ast.AnnAssign):
    if is_warnings(node.target) and node.value is not None:
      yield node.value
  elif isinstance(node, ast.Tuple | ast.List):
    if any(isinstance(part, ast.Starred) and is_warnings(part.value) for part in node.elts):
      yield node
  elif isinstance(node, ast.Return) and node.value is not None:
    told = (ast.get_docstring(around) or '') + around.name
    if 'warning' in told.lower() or 'is told' in told:
      parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
      yield from (part for part in parts if isinstance(part, ast.List | ast.ListComp | ast.Tuple | ast.IfExp))
  elif isinstance(node, ast.Dict):
    for key, value in zip(node.keys, node.values, strict=True):
      if isinstance(key, ast.Constant) and key.value == 'warnings':
        yield value


def warnings_of(path: Path):
  """The templates of the warnings that a module makes."""
  for around in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
      for node in ast.walk(around):
        for source in sources(node, around):
          yield from (text for text in texts(source, around) if ' ' in text)


def all_warnings() -> dict[str, str]:
  """{template: its module} of all that can be in a project's or a line's warnings."""
  found = {plain(text): 'perception/recording_quality.py' for _, text in FAULTS.values()}
  for path in sorted(PACKAGE.rglob('*.py')):
    name = path.relative_to(PACKAGE).as_posix()
    if not name.startswith(OF_OUTPUTS) and name.split('/')[0] not in ELSEWHERE:
      found |= {text: name for text in warnings_of(path) if text not in LEFT_OUT}
  return found


def steps_of_progress() -> set[str]:
  """The templates of what `progress` is told."""
  found = set()
  for path in [*PACKAGE.glob('dubbing/*.py'), *PACKAGE.glob('serving/**/*.py')]:
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.Call) and ast.unparse(node.func).split('.')[-1] == 'progress' and len(node.args) == 3:
        found |= {template(node.args[2])} - {None}
  return found


def error_codes() -> set[str]:
  """The codes of the server's errors; those of the Wyoming protocol no page sees."""
  found = set()
  for path in PACKAGE.glob('serving/**/*.py'):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))) if path.stem != 'wyoming' else ():
      if isinstance(node, ast.Call) and ast.unparse(node.func) in ('ApiError', 'from_bad_input'):
        given = [*node.args[2:3], *(word.value for word in node.keywords if word.arg == 'code')]
        found |= {code.value for code in given if isinstance(code, ast.Constant)}
      elif isinstance(node, ast.Assign) and re.search(r'\bcodes?\b|\bcode_name\b', ast.unparse(node.targets[0])):
        found |= {*texts(node.value, node)}  # as `status, code = 409, 'busy'`
  return {code for code in found if isinstance(code, str) and re.fullmatch('[a-z_]{4,}', code)}


def table() -> list[tuple[str, str]]:
  """(English, Chinese) of each message and value in messages.js."""
  rows = re.findall(r'^  (\[.*\]),$', MESSAGES.read_text(encoding='utf-8'), re.M)
  return [tuple(ast.literal_eval(row)) for row in rows]


def test_every_warning_of_a_line_has_a_chinese_form():
  found, known = all_warnings(), {plain(english) for english, _ in table()}
  assert len(found) > 70
  assert 'the slot is short: pace {} instead of {}' in found
  assert '{} asks for {} {}: {} is as far as it goes' in found
  assert 'no pictures: only the words are read' in found
  assert '{}: the line is dubbed without lips' in found
  assert 'this line was not played yet' in found
  lacking = {text: module for text, module in found.items() if text not in known}
  assert not lacking, f'put into {MESSAGES.name}, in Chinese too'


def test_every_name_in_a_warning_has_a_chinese_form():
  known = {english for english, _ in table()}
  assert {*CONTROL_NAMES.values(), *EMOTIONS} <= known


def test_every_step_of_a_job_has_a_chinese_form():
  found = steps_of_progress()
  assert {'line {} of {}', 'the film is written'} <= found
  assert found <= {plain(english) for english, _ in table()}


def test_every_error_of_the_server_has_a_chinese_form():
  source = MESSAGES.read_text(encoding='utf-8')
  known = dict(re.findall(r"^  (\w+): '(.*)',$", source, re.M))
  found = error_codes() | {'bad_input'}
  assert {'unknown_take', 'film_missing', 'busy', 'too_large', 'project_busy'} <= found
  assert found <= set(known), found - set(known)
  assert all(re.search('[\u4e00-\u9fff]', chinese) for chinese in known.values())


@pytest.mark.parametrize(('english', 'chinese'), table())
def test_a_message_has_its_values_in_both_languages(english, chinese):
  places = re.findall(r'\{(\d)#?\}', english)
  assert places == [str(n) for n in range(len(places))]
  assert set(re.findall(r'\{(\d)\}', chinese)) <= set(places)
  assert re.search('[\u4e00-\u9fff]', chinese) or english.startswith('{0#}')
