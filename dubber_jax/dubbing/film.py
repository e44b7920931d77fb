"""A film with its script becomes a dubbed film: check, plan, play line after line, export.

The work lies in a project folder: it can be stopped and gone on with, and every line can be played again by a note
(redo.py).
"""

import contextlib
import dataclasses
import glob
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.actor.slot import NATURAL, room_after
from dubber_jax.director.planner import Planner, by_rules, with_source_performance
from dubber_jax.director.source_performance import SourcePerformance, describe_performance, read_performances
from dubber_jax.dubbing.directions import read_directions
from dubber_jax.dubbing.editorial.folder import check_editorial, editorial_folder
from dubber_jax.dubbing.editorial.project import subtitle_files
from dubber_jax.dubbing.export import MOST_ON_PAGE, export, output_files, stem_of
from dubber_jax.dubbing.inputs import check_script, read_script, shipped_library
from dubber_jax.dubbing.page_lines import WIDEST
from dubber_jax.dubbing.progress import LINE, Progress, after, export_steps, untold
from dubber_jax.dubbing.project import (
  Project,
  ProjectState,
  hash_of,
  hash_of_voice,
  open_project,
  option_fields,
)
from dubber_jax.dubbing.project_paths import file_stamp
from dubber_jax.dubbing.request import DubOptions, DubRequest, LineOptions, LineTask
from dubber_jax.dubbing.result import DubbedLine, DubResult, log_line, words_of
from dubber_jax.dubbing.timeline import LONGEST_LINE, check_slots, fixed_direction, separate_lines, within_film
from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel, opened
from dubber_jax.media.background import KINDS, MUTE, NONE, SEPARATE, check_background, check_name
from dubber_jax.media.container import choose_track, open_media
from dubber_jax.media.film import Film
from dubber_jax.media.mux import container_kind
from dubber_jax.profiling import Stopwatch
from dubber_jax.retrieval.library import Library
from dubber_jax.separation import TRAINED, check_separator
from dubber_jax.storage.atomic import check_output, check_outputs, remove_partials, short_stem
from dubber_jax.types import Clip, Direction, Line, Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model

logger = logging.getLogger(__name__)

LONGEST_FILM = 4 * 3600.0  # s


@dataclass(frozen=True)
class DubPlan:
  """A request that was found to be possible: what is played of each line, by what, and what was warned of."""

  request: DubRequest
  film: Film
  model: 'Model | StoredModel'
  library: Library | None
  planner: Planner
  lines: tuple[Line, ...]  # with their slots
  voices: tuple[Voice, ...]
  directions: tuple[Direction | None, ...]  # given ones; None where the planner directs
  performances: tuple[SourcePerformance | None, ...]  # of a guide
  warnings: tuple[str, ...]
  background: str  # what was asked for, or what goes without asking


def dub(
  request: DubRequest,
  model: 'Model | StoredModel',
  library: Library | None = None,
  planner: Planner = by_rules,
  progress: Progress = untold,
) -> DubResult:
  """Dubs a film. Writes `out`, OUT.dialogue.wav (48 kHz) and OUT.html beside it, and the result as JSON.

  library: the shipped one by default. progress: is told how far it is, and may stop it. A project that holds lines
  which were made from the same is gone on with. Raises BadInput, before anything is written, for input that cannot be
  used; lines that turn out not to fit their slots are named together when the others are done.
  """
  watch = Stopwatch()
  plan = check(request, model, library, planner)
  project = default_project(request.out, len(plan.lines), request.project)
  state = plan_state(plan, kept=project is not None)
  if project is None or not (project / 'project.json').exists():
    check_outputs(output_files(state), request.options.overwrite)
  with _folder(project) as folder, open_project(folder, make=True) as work:
    inputs = _open_state(work, state, plan)
    pictures = play(work, plan, inputs, watch, progress)
    return export(work, plan.film, pictures, watch, after(LINE * len(plan.lines), progress))


def begin(
  request: DubRequest, model: 'Model | StoredModel', library: Library | None = None, planner: Planner = by_rules
) -> DubPlan:
  """Checks a request and makes its project, in which `dub` will play the lines. Raises BadInput as `dub` does."""
  plan = check(request, model, library, planner)
  if request.project is None:
    raise BadInput('there is no project to begin: give its folder')
  with open_project(request.project, make=True) as work:
    _open_state(work, plan_state(plan, kept=True), plan)
  return plan


def check(
  request: DubRequest, model: 'Model | StoredModel', library: Library | None = None, planner: Planner = by_rules
) -> DubPlan:
  """The plan of a dub, or BadInput for what is wrong with the request. Nothing is written."""
  options, film = request.options, Film(request.film, request.options.audio_track)
  if options.background is not None:
    check_name(options.background)
  if model.config.task.director.enabled:
    library = library or shipped_library(model)
  elif options.directions:
    raise BadInput('the director is off: nobody would follow --directions; leave one of the two out')
  elif options.guide:
    raise BadInput('the director is off: nobody would follow --guide; leave one of the two out')
  request.cast.check(request.lines)
  lines, of_lines = check_film(film, request.lines, request.out, options)
  directions, undirected = _given_directions(options.directions, lines, options.lines.lexicon)
  performances, unguided = _performances(options.guide, film, lines)
  voices = tuple(request.cast.voice_of(line.character) for line in lines)
  of_voices = list(dict.fromkeys(warning for voice in voices for warning in voice.warnings))
  background, behind = choose_background(options.background, film, options.separator)
  of_inputs = [*film.info.warnings, *request.warnings, *request.cast.warnings, *of_voices]
  warnings = [*of_inputs, *of_lines, *undirected, *unguided, *behind]
  return DubPlan(
    request,
    film,
    model,
    library,
    planner,
    tuple(lines),
    voices,
    tuple(directions),
    tuple(performances),
    tuple(dict.fromkeys(warnings)),
    background,
  )


def check_film(film: Film, lines: Sequence[Line], out: Path, options: DubOptions) -> tuple[list[Line], list[str]]:
  """The lines with their slots in the film, and warnings. Needs neither model nor voices.

  Raises BadInput for a film that cannot be dubbed, lines that do not fit into it, and an output of a kind that cannot
  be written.
  """
  container_kind(out)
  if options.editorial:
    check_editorial(editorial_folder(out), options.overwrite)
  if not film.info.has_video:
    raise BadInput(f'{film.path} has no pictures; `dubber speak` speaks without a film')
  if options.audio_track is not None:
    with open_media(film.path) as container:
      choose_track(container, 'audio', film.path, options.audio_track)  # refuses one that is not there
  if film.seconds > LONGEST_FILM:
    raise BadInput(f'{film.path} is {film.seconds:.0f} s long, the limit is {LONGEST_FILM:.0f} s; cut it into parts')
  if not lines:
    raise BadInput('there is nothing to say: give --text or --script')
  check_script(lines, options.lines.lexicon)
  lines, cut = within_film(lines, film.seconds)
  parted, overlaps = separate_lines(check_slots(lines, film.seconds, film.path))
  return parted, [*cut, *overlaps]


def check_new_outputs(
  options: DubOptions, out: Path, lines: int, project: str | Path | None = None, json: str | Path | None = None
) -> None:
  """Raises BadInput where a dub that begins could not write its files; one that goes on checks its project's."""
  folder = default_project(out, lines, project)
  if folder is None or not (Path(folder) / 'project.json').exists():
    page = [out.with_suffix('.html')] if options.report and lines <= MOST_ON_PAGE else []
    subtitles = subtitle_files(out) if options.subtitles else ()
    check_outputs([out, stem_of(out), *page, *subtitles, *([Path(json)] if json else [])], options.overwrite)


def default_project(out: Path, lines: int, project: str | Path | None = None) -> Path | None:
  """The project folder of a dub: as named, for several lines beside the film, None for one line."""
  if project is not None:
    return Path(project)
  return out.with_name(f'{out.stem}.project') if lines > 1 else None


def choose_background(asked: str | None, film: Film, separator: str = TRAINED) -> tuple[str, list[str]]:
  """The background of a dub, and warnings; None: `separate` where the film has sound, else `none`.

  Raises BadInput for one that cannot be had. Where nothing was asked for and nothing can separate, it is `mute`.
  """
  if asked is None and not film.info.has_sound:
    return NONE, []
  what = asked or SEPARATE
  if what == SEPARATE and film.info.has_sound:
    try:
      check_separator(separator)
    except BadInput as error:
      if asked or separator != TRAINED:
        raise
      return MUTE, [f"its dialogue cannot be taken out ({error}): the film's sound is muted where lines are spoken"]
  return what, check_background(what, film)


def plan_state(plan: DubPlan, kept: bool) -> ProjectState:
  """The state with which the plan's project begins."""
  request, options = plan.request, plan.request.options
  hashes = tuple(hash_of_voice(voice) for voice in plan.voices)
  return ProjectState(
    film=str(request.film.absolute()),
    film_hash=plan.film.hash,
    film_stamp=file_stamp(request.film),
    seconds=plan.film.seconds,
    model=str(plan.model.path.absolute()),
    model_hash=hash_of_model(plan.model),
    director=plan.model.config.task.director.enabled,
    library=str(getattr(plan.library, 'folder', '')),
    lines=plan.lines,
    voice_of=hashes,
    voices={h: voice.name for h, voice in zip(hashes, plan.voices, strict=True)},
    options=option_fields(options.lines),
    fit=options.lines.fit,
    background=plan.background if plan.background in KINDS else str(Path(plan.background).absolute()),
    audio_track=options.audio_track,
    separator=options.separator,
    tracks=options.mux.tracks,
    language=options.mux.language,
    subtitles=options.subtitles,
    editorial=options.editorial,
    kept=kept,
    out=str(request.out.absolute()),
    report=options.report,
    json=str(request.json.absolute()) if request.json else None,
    warnings=plan.warnings,
  )


def line_inputs(plan: DubPlan, state: ProjectState) -> list[dict[str, Any]]:
  """What each line's take is made from; a line is played again where these differ."""
  shared = {
    'film': state.film_hash,
    'model': state.model_hash,
    'library': getattr(plan.library, 'hash', None),
    'planner': planner_name(plan.planner),
    **state.options,
    'lexicon': state.options['lexicon'] and hash_of(state.options['lexicon']),
  }
  inputs = [
    shared
    | {
      'line': dataclasses.asdict(line),
      'voice': voice,
      'given': direction and dataclasses.asdict(direction),
      'guide': performance and dataclasses.asdict(performance),
    }
    for line, voice, direction, performance in zip(
      plan.lines, state.voice_of, plan.directions, plan.performances, strict=True
    )
  ]
  if state.fit == NATURAL:  # strict takes do not depend on what follows
    room = rooms(plan.lines, state.seconds)
    inputs = [i | {'fit': state.fit, 'room': round(r, 3)} for i, r in zip(inputs, room, strict=True)]
  return inputs


def play(
  work: Project, plan: DubPlan, inputs: Sequence[dict[str, Any]], watch: Stopwatch, progress: Progress = untold
) -> np.ndarray | None:
  """Dubs the lines that are not done; -> the pictures of an only line, where it was dubbed.

  progress: is told of each line, and may stop it there. Raises BadInput, when all others are done, for those that
  cannot be.
  """
  count = len(plan.lines)
  steps = LINE * count + export_steps(plan.film.seconds)
  done = [work.settle(number, made_from) for number, made_from in enumerate(inputs, 1)]
  planners = [
    fixed_direction(direction) if direction else with_source_performance(plan.planner, performance)
    for direction, performance in zip(plan.directions, plan.performances, strict=True)
  ]
  room = rooms(plan.lines, plan.film.seconds)
  if any(done):
    logger.info(f'{sum(done)} of {count} lines are done already, in {work.folder}')
  pictures, before, failed, played, began = None, [], [], 0, time.perf_counter()
  for number, line in enumerate(plan.lines, 1):
    if not done[number - 1]:
      progress(LINE * (number - 1), steps, f'line {number} of {count}')
      if count > 1:
        left = (time.perf_counter() - began) / max(played, 1) * done[number - 1 :].count(False)
        logger.info(f'line {number} of {count}{f", {minutes(left)} left" if played else ""}: {line.text}')
      task = LineTask(line, plan.voices[number - 1], room_seconds=room[number - 1], before=tuple(before))
      try:
        dubbed = play_line(
          plan.film, opened(plan.model), plan.library, task, plan.request.options.lines, planners[number - 1], watch
        )
      except BadInput as e:
        failed.append(f'line {number}: {e}' if count > 1 else str(e))
        logger.warning(failed[-1])
        continue
      log_line(dubbed.result)
      work.add_dubbed(number, dubbed, inputs[number - 1])
      pictures = dubbed.frames if count == 1 else None
      del dubbed  # or the pictures of two lines would be held
      played += 1
    chosen = work.chosen(number)
    if chosen:
      before.append((line, work.direction(number, chosen[1])))
  if failed:
    more = f' (and {len(failed) - 1} more, told above)' if len(failed) > 1 else ''
    raise BadInput(f'{failed[0]}{more}')
  return pictures


def play_line(
  film: Film,
  model: 'Model',
  library: Library | None,
  task: LineTask,
  options: LineOptions,
  planner: Planner,
  watch: Stopwatch,
) -> DubbedLine:
  """`dub_line` of a line of the film, with its pictures, unless they were seen before; the times of its words join the
  result."""
  from dubber_jax.dubbing.line import dub_line  # with JAX, which an export or a refusal need not wait for

  if task.seen is not None:
    task = dataclasses.replace(task, slot_seconds=task.seen.slot_seconds)
  else:
    with watch('decode'):
      clip = line_clip(film, task.line)
    task = dataclasses.replace(task, clip=clip, slot_seconds=clip.seconds)
  dubbed = dub_line(model, library, task, options, planner)
  words = words_of(dubbed.take, dubbed.phonemes)
  return dataclasses.replace(dubbed, result=dataclasses.replace(dubbed.result, words=words))


def line_clip(film: Film, line: Line) -> Clip:
  """The pictures of a line, and the length of its slot: of one that lasts as long as the film, that of the pictures."""
  start, end = line.start or 0.0, film.seconds if line.end is None else line.end
  frames, shown = film.frames(start, end, max_seconds=LONGEST_LINE + 1, max_side=WIDEST)
  whole = start == 0.0 and end >= film.seconds - 1e-6
  return Clip(frames, shown if whole else end - start, str(film.path))


def _open_state(work: Project, state: ProjectState, plan: DubPlan) -> list[dict[str, Any]]:
  """Makes the project one of this plan -> what each line is made from. Raises BadInput where it is another's."""
  old = work.state if work.exists else None
  _check_same(old, state, work.folder)
  wrote = old.wrote if old else ()
  for path in output_files(state):
    check_output(path, plan.request.options.overwrite or str(path) in wrote)
    if str(path) in wrote:
      remove_partials(path.parent, glob.escape(short_stem(path.stem)))
  work.keep_voices(dict(zip(state.voice_of, plan.voices, strict=True)))
  written = tuple(sorted({*wrote, *map(str, output_files(state))}))
  work.write_state(dataclasses.replace(state, wrote=written, exported=old.exported if old else None))
  return line_inputs(plan, state)


def _check_same(old: ProjectState | None, state: ProjectState, folder: Path):
  """Raises BadInput where a project is of another film or model."""
  if old and old.film_hash != state.film_hash:
    raise BadInput(f'{folder} is the project of another film, {old.film}; name another --project')
  if old and old.model_hash != state.model_hash:
    raise BadInput(
      f'{folder} was played by another model, {old.model} (or the same with the director '
      f'{"on" if old.director else "off"}); give that one, or another --project'
    )


@contextlib.contextmanager
def _folder(project: Path | None) -> Iterator[Path]:
  """The project's folder; without one, one that goes when the film is done."""
  if project is not None:
    yield project
    return
  with tempfile.TemporaryDirectory(prefix='dubber-') as folder:
    yield Path(folder)


def _given_directions(directions, lines, lexicon) -> tuple[list[Direction | None], list[str]]:
  if directions is None:
    return [None] * len(lines), []
  return read_directions(directions, lines, [read_script(line.text, lexicon).words for line in lines])


def _performances(guide, film: Film, lines) -> tuple[list[SourcePerformance | None], list[str]]:
  if guide is None:
    return [None] * len(lines), []
  source = film if guide == 'original' else Film(guide)
  performances, warnings = read_performances(
    source.mono_spans([(line.start, line.end) for line in lines]), lines, source.path
  )
  for number, (line, performance) in enumerate(zip(lines, performances, strict=True), 1):
    logger.info(f'guide, line {number}: {describe_performance(performance)}: {line.text}')
  return performances, warnings


def rooms(lines: Sequence[Line], seconds: float) -> list[float]:
  """Seconds of silence after each line: to the next line of any character, or to the film's end."""
  spans = [(line.start, line.end) for line in lines]
  return [room_after(span, spans[:i] + spans[i + 1 :], seconds) for i, span in enumerate(spans)]


def hash_of_model(model: 'Model | StoredModel') -> str:
  """Of what the manifest says of every file, and of the config as it is used, with the director on or off."""
  manifest = model.path / 'MANIFEST.json'
  return hash_of({'files': manifest.read_text() if manifest.exists() else '', 'config': model.config.to_json()})


def planner_name(planner: Planner) -> str:
  """The name by which takes of a planner are known."""
  return getattr(planner, 'name', None) or getattr(planner, '__name__', type(planner).__name__)


def minutes(seconds: float) -> str:
  """A duration for people: '45 s', '3 min'."""
  return f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'
