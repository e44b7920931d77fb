"""Scores of a listening test from its answers and key: opinion scores, gains, preferences, inter-rater agreement.

The 95 % intervals allow for other lines and for other listeners (`bootstrap.py`).
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.tables import table
from dubber_jax.evaluation.bootstrap import Gain, Interval, crossed, interval, paired
from dubber_jax.evaluation.listening_test.krippendorff import krippendorff_alpha
from dubber_jax.evaluation.listening_test.page import SECTIONS
from dubber_jax.storage.atomic import complete_together

PASSED = 0.8  # share of the attention checks, so that one slip in five is allowed
RATED = SECTIONS[:2]
SAME = 'same'


@dataclass(frozen=True)
class Listener:
  """One person's answers. checks, failed: numbers of attention checks; answers: all others, as the page wrote them."""

  name: str
  checks: int
  failed: int
  answers: tuple[dict, ...]

  @property
  def attentive(self) -> bool:
    return self.checks > 0 and self.failed <= (1 - PASSED) * self.checks + 1e-9


@dataclass(frozen=True)
class Scores:
  """Results of a listening test. ratings: {section: {system: mean opinion score}}; counts: the numbers of ratings;
  gains: {section: {(a, b): gain of b over a}}; preferred: {(a, b): share of choices of b over a}, where no preference
  counts as half; agreement: {section: Krippendorff's alpha}."""

  title: str
  listeners: tuple[Listener, ...]
  ratings: dict[str, dict[str, Interval]]
  counts: dict[str, dict[str, int]]
  gains: dict[str, dict[tuple[str, str], Gain]]
  preferred: dict[tuple[str, str], Interval]
  agreement: dict[str, Interval]

  @property
  def dropped(self) -> tuple[Listener, ...]:
    return tuple(one for one in self.listeners if not one.attentive)


def find_key(answers: Sequence[str | Path]) -> Path:
  """Path of the key beside the answers. Raises BadInput where there is none, or more than one that fits."""
  test = _read(answers[0]).get('test')
  found = [
    path
    for path in {Path(file).parent for file in answers}
    for path in sorted(path.glob('*.key.json'))
    if _read(path).get('test') == test
  ]
  if len(found) != 1:
    raise BadInput(f'{len(found)} keys of this test lie beside {answers[0]}: name one with --key')
  return found[0]


def score(answers: Sequence[str | Path], key: str | Path) -> Scores:
  """Scores over the listeners who passed the attention checks.

  Raises BadInput for answers that cannot be read or are of another test, for one listener twice, and where nobody
  passed the attention checks.
  """
  try:
    return _score(answers, key)
  except BadInput:
    raise
  except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
    raise BadInput(
      f'the key {key}, or the answers to it, are not as the page wrote them ({type(e).__name__}: {e}); copy them again'
    ) from e


def _score(answers: Sequence[str | Path], key: str | Path) -> Scores:
  known = _read(key)
  if not {'test', 'systems', 'samples', 'checks', 'lines', 'sections'} <= set(known):
    raise BadInput(f'{key} is no key of a listening test: it was written beside the page')
  listeners = tuple(_listener(path, known) for path in answers)
  names = [one.name for one in listeners]
  twice = {name for name in names if names.count(name) > 1}
  if twice:
    raise BadInput(f'two files hold answers of listener {min(twice)}: keep the fuller one')
  kept = [one for one in listeners if one.attentive]
  if not kept:
    raise BadInput(f'none of {len(listeners)} listeners passed the attention checks: there is nothing to score')

  systems = known['systems']
  pairs = list(itertools.combinations(systems, 2))
  ratings, counts, gains, agreement = {}, {}, {}, {}
  for section in RATED:
    values = _ratings(kept, section, known)
    if not np.isnan(values).all():
      rated = {s: v for s, v in zip(systems, values, strict=True) if not np.isnan(v).all()}
      ratings[section] = {s: crossed(v) for s, v in rated.items()}
      counts[section] = {s: int((~np.isnan(v)).sum()) for s, v in rated.items()}
      gains[section] = {
        (a, b): paired(rated[a], rated[b])
        for a, b in pairs
        if a in rated and b in rated and _in_both(rated[a], rated[b])
      }
      agreement[section] = _agreement(values.reshape(-1, len(kept)), 'ordinal')
  choices = {pair: _choices(kept, pair, known) for pair in pairs}
  choices = {pair: values for pair, values in choices.items() if not np.isnan(values).all()}
  if choices:
    agreement['preference'] = _agreement(np.concatenate(list(choices.values())), 'nominal')
  preferred = {pair: crossed(values) for pair, values in choices.items()}
  return Scores(known.get('title', ''), listeners, ratings, counts, gains, preferred, agreement)


def _read(path) -> dict:
  try:
    value = json.loads(Path(path).read_text(encoding='utf-8'))
  except (OSError, ValueError, RecursionError) as e:
    raise BadInput(f'{path} cannot be read as JSON ({e}): give a file written by the page or beside it') from e
  if not isinstance(value, dict):
    raise BadInput(f'{path} holds no object: give a file written by the page or beside it')
  return value


def _listener(path, known) -> Listener:
  record = _read(path)
  if record.get('test') != known['test']:
    raise BadInput(f'{path} answers another test ({record.get("test")}) than the key is of ({known["test"]})')
  right, answers = [], []
  for answer in record.get('answers', ()):
    sounds, value = answer.get('sounds', ()), answer.get('value')
    strange = [sound for sound in sounds if sound not in known['samples'] and sound not in known['checks']]
    options = (*sounds, SAME) if answer.get('section') == 'preference' else (1, 2, 3, 4, 5)
    if strange or not sounds or (value is not None and value not in options):
      raise BadInput(f'{path}: {value!r} is no possible answer to {list(sounds)}: the file was changed')
    check = [sound for sound in sounds if sound in known['checks']]
    if check:
      right.append(value == (check[0] if len(sounds) > 1 else known['checks'][check[0]]))
    elif value is not None:  # null where the sound could not be played
      answers.append(answer)
  return Listener(str(record.get('listener', Path(path).stem)), len(right), right.count(False), tuple(answers))


def _ratings(listeners, section, known) -> np.ndarray:
  """Ratings (systems, lines, listeners), nan where missing."""
  values = np.full((len(known['systems']), len(known['lines']), len(listeners)), np.nan)
  for place, one in enumerate(listeners):
    for answer in one.answers:
      if answer['section'] == section:
        sample = known['samples'][answer['sounds'][0]]
        values[known['systems'].index(sample['system']), sample['line'], place] = answer['value']
  return values


def _choices(listeners, pair, known) -> np.ndarray:
  """Preferences (lines, listeners): 1 for the pair's second, 0 for the first, 0.5 for neither, nan where missing."""
  values = np.full((len(known['lines']), len(listeners)), np.nan)
  for place, one in enumerate(listeners):
    for answer in one.answers:
      systems = [known['samples'][sound]['system'] for sound in answer['sounds']]
      if answer['section'] == 'preference' and set(systems) == set(pair):
        second = answer['sounds'][systems.index(pair[1])]
        value = 0.5 if answer['value'] == SAME else float(answer['value'] == second)
        values[known['samples'][second]['line'], place] = value
  return values


def _in_both(a, b) -> bool:
  return bool((~np.isnan(a) & ~np.isnan(b)).any())


def _agreement(values, level) -> Interval:
  """Krippendorff's alpha of values (units, listeners), with its interval over units."""
  units = values[(~np.isnan(values)).sum(1) > 1]
  value = krippendorff_alpha(units, level)
  if math.isnan(value):
    return Interval(value, math.nan, math.nan, len(units))
  drawn = interval(lambda rows: krippendorff_alpha(rows, level), units, resamples=500)
  return Interval(value, drawn.low, drawn.high, len(units))


def write_table(scores: Scores, out: str | Path, overwrite: bool = False) -> tuple[Path, Path]:
  """Writes OUT.md and OUT.json; returns both paths."""
  paths = table_files(out)
  contents = markdown(scores), json.dumps(summary(scores), indent=1, ensure_ascii=False) + '\n'
  with complete_together(paths, overwrite) as parts:
    for path, content in zip(paths, contents, strict=True):
      parts[path.absolute()].write_text(content, encoding='utf-8')
  return paths


def table_files(out: str | Path) -> tuple[Path, Path]:
  """OUT.md and OUT.json of a table's name with or without its suffix."""
  out = Path(out)
  stem = out.name.removesuffix('.md').removesuffix('.json')
  return out.with_name(f'{stem}.md'), out.with_name(f'{stem}.json')


def markdown(scores: Scores) -> str:
  counted, came = len(scores.listeners) - len(scores.dropped), len(scores.listeners)
  parts = [
    f'# {scores.title}',
    f'{counted} of {came} listeners passed the attention checks; 95 % intervals over lines and listeners.',
  ]
  for one in scores.dropped:
    failed = f'failed {one.failed} of {one.checks} attention checks' if one.checks else 'was given no attention check'
    parts.append(f'Listener {one.name} is left out: {failed}.')
  ratings, gains = scores.ratings, scores.gains
  systems = dict.fromkeys(system for rows in ratings.values() for system in rows)
  parts.append(
    table(
      [
        {
          'system': system,
          **{f'{_named(s)}, 1 to 5': rows.get(system) for s, rows in ratings.items()},
          'ratings': sum(rows.get(system, 0) for rows in scores.counts.values()),
        }
        for system in systems
      ]
    )
  )
  pairs = dict.fromkeys([*scores.preferred, *(pair for rows in gains.values() for pair in rows)])
  parts.append(
    table(
      [
        {
          'compared': f'{pair[1]} over {pair[0]}',
          'preferred': scores.preferred.get(pair),
          **{f'gain in {_named(s)}': rows.get(pair) for s, rows in gains.items()},
        }
        for pair in pairs
      ],
      {'preferred': '{:.0%}'},
    )
  )
  parts.append(
    table(
      [
        {'inter-rater agreement': _named(section), "Krippendorff's alpha": alpha, 'rated by two or more': alpha.clips}
        for section, alpha in scores.agreement.items()
        if not math.isnan(alpha.value)
      ]
    )
  )
  return '\n\n'.join(filter(None, parts)) + '\n'


def _named(section: str) -> str:
  return {'emotion': 'fit of emotion'}.get(section, section)


def summary(scores: Scores) -> dict:
  """The scores as a JSON object; what is not known is null."""
  return {
    'title': scores.title,
    'listeners': len(scores.listeners) - len(scores.dropped),
    'dropped': [{'listener': one.name, 'checks': one.checks, 'failed': one.failed} for one in scores.dropped],
    'ratings': {
      section: {system: found.row() | {'ratings': scores.counts[section][system]} for system, found in rows.items()}
      for section, rows in scores.ratings.items()
    },
    'gains': {
      section: [{'of': b, 'over': a, **gain.row()} for (a, b), gain in rows.items()]
      for section, rows in scores.gains.items()
    },
    'preferred': [{'of': b, 'over': a, **found.row()} for (a, b), found in scores.preferred.items()],
    'agreement': {section: found.row() for section, found in scores.agreement.items()},
  }
