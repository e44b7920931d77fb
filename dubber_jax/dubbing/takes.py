"""One line of a project played again: by a note, a changed direction, another voice, a reference or a guide.

The take is stored and chosen; the film that was written stays as it is until the next export.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dubber_jax.actor.slot import check_fit
from dubber_jax.director.limits import LIMITS, PAUSE_LIMITS, clipped_pause
from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.film import hash_of_model, line_clip, play_line, rooms
from dubber_jax.dubbing.inputs import read_script
from dubber_jax.dubbing.line_references import load_reference
from dubber_jax.dubbing.project import Project, ProjectState, StoredTake
from dubber_jax.dubbing.request import LineOptions, LineTask
from dubber_jax.dubbing.result import DubbedLine
from dubber_jax.dubbing.timeline import fixed_direction
from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel, opened
from dubber_jax.media.film import Film
from dubber_jax.profiling import Stopwatch
from dubber_jax.retrieval.library import Library
from dubber_jax.script.g2p import Phonemes
from dubber_jax.types import EMOTIONS, Direction

if TYPE_CHECKING:
  from dubber_jax.director.notes.apply import RevisedDirection
  from dubber_jax.director.planner import Before, Planner
  from dubber_jax.director.source_performance import SourcePerformance
  from dubber_jax.dubbing.line import SeenLine
  from dubber_jax.inference.model import Model

NoteReader = Callable[[str, Direction, Phonemes], 'RevisedDirection']
WEIGHTS = (0.0, 2.0)  # of a stressed word
MOST_PAUSES = 200


@dataclass(frozen=True)
class TakeRequest:
  """How a line is to be played, by one of: `note`, in English or Chinese; `changes` of the direction's fields; `plan`:
  directed anew, with the line's reference and with `guide`, a performance to follow; without any of these it is another
  take of the same direction.

  reference: the key of the one to be played with, by default the line's own. fit: 'strict' or 'natural', by default
  that of the line's take in the film. voice: the hash of another voice of the project. made: what is stored with the
  take, beside the note and the take that it is of.
  """

  line: int
  note: str = ''
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  plan: bool = False
  guide: 'SourcePerformance | None' = None
  reference: str | None = None
  fit: str | None = None
  voice: str | None = None
  made: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if self.fit is not None:
      check_fit(self.fit)


@dataclass(frozen=True)
class PlayedTake:
  """A take that was played: its number, what it was made of, and the line before it is loaded back."""

  number: int
  before: int
  dubbed: DubbedLine


def play_take(
  work: Project,
  film: Film,
  request: TakeRequest,
  model: 'Model | StoredModel',
  library: Library | None,
  read_note: NoteReader | None = None,
  seen: 'SeenLine | None' = None,
  watch: Stopwatch | None = None,
) -> PlayedTake:
  """Plays a line and stores it as a new take, which is not chosen yet; former takes stay.

  read_note: as of `redo`; seen: what `see` found before. Raises BadInput for a note or a change that is not understood,
  for a line that does not fit, and for a model that is not the project's.
  """
  state, number, watch = work.state, request.line, watch or Stopwatch()
  check_model(work, state, model)
  before, _ = work.chosen(number) or (0, 0)
  last = work.load(number, before)
  planner = _planner(work, state, request, last, read_note)
  with watch('prepare'):
    task = line_task(work, state, number, request.voice, request.reference)
  task = dataclasses.replace(task, seen=seen, before=_before(work, number) if request.plan else ())
  options = line_options(state, request, last, max(work.takes(number)))
  dubbed = play_line(film, opened(model), library, task, options, planner, watch)
  inputs = last.made['inputs'] | ({'voice': request.voice} if request.voice else {})
  kept = {} if request.plan or 'guide' not in last.made else {'guide': last.made['guide']}
  with watch('store'):
    take = work.save(number, dubbed, inputs, {'note': request.note, 'of': before, **kept, **request.made})
  return PlayedTake(take, before, dubbed)


def check_model(work: Project, state: ProjectState, model: 'Model | StoredModel | None') -> None:
  """Raises BadInput where a model is not the one that played the project."""
  if model is None or hash_of_model(model) != state.model_hash:
    raise BadInput(f'{work.folder} was played by the model {state.model}, which this is not; give that one')


def line_task(
  work: Project, state: ProjectState, number: int, voice: str | None = None, reference: str | None = None
) -> LineTask:
  """The task of a line, with its voice (or another one of the project) and its reference (or another one that is kept);
  its pictures are added where it is played."""
  line = state.lines[number - 1]
  room = rooms(state.lines, state.seconds)[number - 1]
  spoken_by = work.voice(voice or state.voice_of[number - 1])
  return LineTask(line, spoken_by, room_seconds=room, reference=load_reference(work, number, reference))


def line_options(state: ProjectState, request: TakeRequest, last: StoredTake, takes: int) -> LineOptions:
  """How a line is rehearsed again. takes: how many it has; another take of the same has another seed."""
  fit, seed = request.fit or last.result.fit, state.options.get('seed', 0)
  changed = request.note or request.changes or request.plan or request.voice or fit != last.result.fit
  return state.line_options(fit=fit, seed=seed if changed else seed + takes)


def see(work: Project, film: Film, number: int, model: 'Model | StoredModel', library: Library | None) -> 'SeenLine':
  """What all takes of a line have in common (`line.see_line`), to be kept for further ones."""
  from dubber_jax.dubbing.line import see_line  # with JAX

  state = work.state
  clip = line_clip(film, state.lines[number - 1])
  task = dataclasses.replace(line_task(work, state, number), clip=clip, slot_seconds=clip.seconds)
  return see_line(opened(model), library, task, state.line_options())


def change_direction(direction: Direction, changes: Mapping[str, Any], words: tuple[str, ...]) -> Direction:
  """A direction with fields changed, of JSON: `emotion` {name: share}, which is normalized, `pauses` [[word, s]],
  `emphasis` [weight], and the controls of LIMITS. words: of the line.

  Raises BadInput for a field that there is not, a value of another type, and one out of its limits.
  """
  from dubber_jax.director.notes.describe import describe  # its words take a while

  known = (*LIMITS, 'emotion', 'pauses', 'emphasis')
  found: dict[str, Any] = {}
  for name, value in changes.items():
    if name not in known:
      raise BadInput(f'a direction has no {name!r:.40}: change {", ".join(known)}')
    if name in LIMITS:
      found[name] = _number(name, value, LIMITS[name])
  if 'emotion' in changes:
    found['emotion'] = _emotion(changes['emotion'])
  if 'pauses' in changes:
    found['pauses'] = _pauses(changes['pauses'], len(words))
  if 'emphasis' in changes:
    found['emphasis'] = _emphasis(changes['emphasis'], len(words))
  changed = direction.replace(**found)
  note, note_zh = describe(changed, words)
  return changed.replace(note=note, note_zh=note_zh)


def _number(name: str, value: Any, limits: tuple[float, float]) -> float:
  low, high = limits
  if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
    raise BadInput(f'{name} {value!r:.40}: give a number from {low:g} to {high:g}')
  return float(value)


def _emotion(shares: Any) -> tuple[float, ...]:
  if not isinstance(shares, Mapping) or not set(shares) <= set(EMOTIONS):
    raise BadInput(f'emotion: give shares by name, of {", ".join(EMOTIONS)}')
  values = [_number(f'emotion {name}', shares.get(name, 0.0), (0.0, 1.0)) for name in EMOTIONS]
  if not sum(values) > 0:
    raise BadInput('emotion: no emotion has a share')
  return tuple(value / sum(values) for value in values)


def _pauses(pauses: Any, words: int) -> tuple[tuple[int, float], ...]:
  if not isinstance(pauses, list) or not all(isinstance(p, list) and len(p) == 2 for p in pauses):
    raise BadInput('pauses: give [[word, seconds]], words counted from 0')
  if len(pauses) > MOST_PAUSES:
    raise BadInput(f'pauses: {len(pauses)}, the limit is {MOST_PAUSES}')
  found = {}
  for word, seconds in pauses:
    if not isinstance(word, int) or isinstance(word, bool) or not 0 <= word < max(words - 1, 0):
      raise BadInput(f'pauses: after word {word!r:.40}, and the line has {words}; the last one has no pause after it')
    found[word] = clipped_pause(_number('a pause', seconds, PAUSE_LIMITS))
  return tuple(sorted(found.items()))


def _emphasis(weights: Any, words: int) -> tuple[float, ...]:
  if not isinstance(weights, list) or len(weights) > words:
    raise BadInput(f'emphasis: give a weight for each of the {words} words')
  found = tuple(_number('the weight of a word', weight, WEIGHTS) for weight in weights)
  return found if any(found) else ()


def _planner(
  work: Project, state: ProjectState, request: TakeRequest, last: StoredTake, read_note: NoteReader | None
) -> 'Planner':
  """Who directs the take."""
  from dubber_jax.director.planner import by_rules, with_source_performance

  if (request.note or request.changes or request.plan) and not state.director:
    what = 'the note' if request.note else 'a direction' if request.changes else 'it'
    raise BadInput(f'the director is off in this project: nobody would follow {what}')
  if request.plan:
    return with_source_performance(by_rules, request.guide)
  if not (request.note or request.changes):
    return fixed_direction(last.direction)
  phonemes = read_script(state.lines[request.line - 1].text, state.lexicon)
  if request.changes:
    return fixed_direction(change_direction(last.direction, request.changes, phonemes.words))
  from dubber_jax.director.notes.apply import parse  # its patterns take a while to compile

  revised = (read_note or parse)(request.note, last.direction, phonemes)
  return fixed_direction(revised.direction, revised.warnings)


def _before(work: Project, number: int) -> 'Before':
  """The lines before one, as they were directed by the dub; of its own character the last is enough, of all the last
  few."""
  state = work.state
  character = folded(state.lines[number - 1].character)
  own = [n for n in range(1, number) if folded(state.lines[n - 1].character) == character][-1:]
  found = []
  for other in sorted({*own, *range(max(1, number - 3), number)}):
    chosen = work.chosen(other)
    if chosen:
      found.append((state.lines[other - 1], work.direction(other, chosen[0])))
  return tuple(found)
