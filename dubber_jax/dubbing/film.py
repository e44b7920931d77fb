"""A film with its script becomes a dubbed film: line after line, in a project folder that can be stopped and gone on
with, and every line of which can be played again by a note."""

import contextlib
import dataclasses
import glob
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.actor.duration import NATURAL, STRICT, check_fit, room_after
from dubber_jax.director.notes.apply import parse
from dubber_jax.director.planner import Planner, by_rules, with_source_performance
from dubber_jax.director.source_performance import read_performances
from dubber_jax.dubbing.cast import Cast, folded
from dubber_jax.dubbing.line import check_script, play_line, read_script, shipped_library
from dubber_jax.dubbing.mix import LineAudio, character_levels, gain_of, mix_dialogue
from dubber_jax.dubbing.project import (
  Project,
  StoredTake,
  hash_of,
  hash_of_file,
  hash_of_voice,
  opened,
  read_directions,
  write_directions,
  write_index,
)
from dubber_jax.dubbing.report.page import LineAssets, ReportAssets, write_report
from dubber_jax.dubbing.result import tell, words_of
from dubber_jax.dubbing.timeline import LONGEST_LINE, check_slots, fixed_direction, separate_lines
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.media.background import NONE, mix, read_background
from dubber_jax.media.loudness import TARGET_LUFS, integrated, target_of
from dubber_jax.media.mux import SOUND_RATE, container_kind, write_dubbed, write_stem
from dubber_jax.media.sound import read_sound, resample
from dubber_jax.media.video import probe, read_frames
from dubber_jax.profiling import Stopwatch
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.atomic import check_output, write_json
from dubber_jax.types import SAMPLE_RATE, Clip, Direction, Line, Voice

LONGEST_FILM = 3600.0  # s: its sound is held in memory, some 200 kB a second
FAINT_FILM = -50.0  # LUFS: a film whose own sound is quieter says nothing of how loud its dialogue was
SUMMED = ('slot_seconds', 'speech_seconds', 'rehearsal_seconds', 'compile_seconds')
WIDEST = 640  # pixels of the longer side that perception looks at
MOST_ON_PAGE = 40  # lines, of about a second and half a megabyte each


def dub(
  film: str | Path,
  lines: list[Line],
  voice: Voice | Cast,
  out: str | Path,
  model: Model,
  library: Library | None = None,
  overwrite: bool = False,
  json_out: str | Path | None = None,
  report: bool = True,
  face: int | None = None,
  lexicon: dict | None = None,
  search: str = 'exact',
  planner: Planner = by_rules,
  say=print,
  background: str = NONE,
  project: str | Path | None = None,
  directions: str | Path | None = None,
  guide: str | Path | None = None,
  fit: str = STRICT,
  **options,
) -> dict:
  """Dubs a film. Writes `out`, OUT.dialogue.wav (48 kHz) and OUT.html beside it, and the result as JSON.

  voice: of all lines, or a Cast. library: the shipped one by default. background: keep, duck, none or a file
  (media/background.py). project: a folder for every line's takes, OUT.project by default where there are several
  lines; where it holds lines that were made from the same, they are not played again. directions: another project,
  or its directions.json, whose directions are played. guide: 'original' or a recording on the film's time, whose
  performance the planner is told of (director/source_performance.py). fit: 'strict', every line keeps to its slot,
  however fast that is; 'natural', it runs on into the silence after it rather than hurry (actor/duration.py). options:
  of `play_line`.

  Returns the result (see the module report.py for its form). Raises BadInput, before anything is written, for
  input that cannot be used; lines that turn out not to fit their slots are named together when the others are done.
  """
  film, out = Path(film), Path(out)
  watch = Stopwatch()
  check_fit(fit)
  if model.config.director.enabled:
    library = library or shipped_library(model)
  elif directions:
    raise BadInput('the director is off: nobody would follow --directions; leave one of the two out')
  elif guide:
    raise BadInput('the director is off: nobody would follow --guide; leave one of the two out')
  container_kind(out)
  info = probe(film)
  if not info.has_video:
    raise BadInput(f'{film} has no pictures; `dubber speak` speaks without a film')
  if info.seconds > LONGEST_FILM:
    raise BadInput(f'{film} is {info.seconds:.0f} s long, the limit is {LONGEST_FILM:.0f} s; cut it into parts')
  if not lines:
    raise BadInput('there is nothing to say: give --text or --script')
  cast = voice if isinstance(voice, Cast) else Cast(default=voice, warnings=voice.warnings)
  cast.check(lines)
  check_script(lines, lexicon)
  noted = [
    f'line {n} would last to {line.end:.2f} s, past the end of the film at {info.seconds:.2f} s: it is cut there'
    for n, line in enumerate(lines, 1)
    if line.end is not None and line.end > info.seconds + 0.1
  ]
  lines, parted = separate_lines(check_slots(lines, info.seconds, film))
  given, dropped = _given(directions, lines, lexicon)
  guides, unguided = (
    read_performances(film if guide == 'original' else guide, lines) if guide else ([None] * len(lines), [])
  )
  voices = [cast.voice_of(line.character) for line in lines]
  hashes = [hash_of_voice(v) for v in voices]
  spoken = list(dict.fromkeys(w for v in voices for w in v.warnings))
  if project is None and len(lines) > 1:
    project = out.with_name(f'{out.stem}.project')
  facts = {
    'film': str(film.absolute()),
    'film_hash': hash_of_file(film),
    'seconds': info.seconds,
    'model': str(model.path.absolute()),
    'model_hash': hash_of_model(model),
    'director': model.config.director.enabled,
    'library': str(getattr(library, 'folder', '')),
    'lines': [dataclasses.asdict(line) for line in lines],
    'voice_of': hashes,
    'voices': {h: v.name for h, v in zip(hashes, voices, strict=True)},
    'options': {'face': face, 'lexicon': lexicon, 'search': search, **options},
    'fit': fit,
    'background': background if background in ('keep', 'duck', NONE) else str(Path(background).absolute()),
    'kept': project is not None,
    'out': str(out.absolute()),
    'report': report,
    'json': str(Path(json_out).absolute()) if json_out else None,
    'warnings': list(dict.fromkeys([*cast.warnings, *spoken, *noted, *parted, *dropped, *unguided])),
  }
  played_by = {
    'film': facts['film_hash'],
    'model': facts['model_hash'],
    'library': getattr(library, 'hash', None),
    'planner': planner_name(planner),
    **facts['options'],
    'lexicon': lexicon and hash_of(lexicon),
  }
  read_background(facts['background'], film, info.seconds, info.has_sound, [])  # bad input is told before the work
  if project is None or not (Path(project) / 'project.json').exists():
    for path in outputs(facts):
      check_output(path, overwrite)
  with _folder(project) as folder, opened(folder, make=True) as work:
    old = work.facts if (work.folder / 'project.json').exists() else {}
    _check_same(old, facts, work.folder)
    wrote = old.get('wrote', [])
    for path in outputs(facts):
      check_output(path, overwrite or str(path) in wrote)
      for left in path.parent.glob(f'.{glob.escape(path.stem)}.*.part{path.suffix}') if str(path) in wrote else ():
        left.unlink()  # by a process that was killed while it wrote
    work.keep_voices(dict(zip(hashes, voices, strict=True)))
    work.write_facts(facts | {'wrote': sorted({*wrote, *map(str, outputs(facts))}), 'exported': old.get('exported')})
    inputs = [
      played_by
      | {
        'line': line,
        'voice': voice,
        'given': g and dataclasses.asdict(g),
        'guide': original and dataclasses.asdict(original),
      }
      for line, voice, g, original in zip(facts['lines'], hashes, given, guides, strict=True)
    ]
    if fit == NATURAL:  # strict takes do not depend on what follows
      room = rooms(lines, info.seconds)
      inputs = [i | {'fit': fit, 'room': round(r, 3)} for i, r in zip(inputs, room, strict=True)]
    planners = [
      fixed_direction(g) if g else with_source_performance(planner, original)
      for g, original in zip(given, guides, strict=True)
    ]
    pictures = _play_lines(work, lines, voices, inputs, planners, facts['options'], model, library, watch, say)
    return export(work, say, pictures, watch)


def _play_lines(work: Project, lines, voices, inputs, planners, options, model, library, watch, say):
  """Plays the lines that are not done; -> the pictures of an only line, where it was played.

  Raises BadInput, when all others are done, for those that cannot be.
  """
  facts, done = work.facts, [work.settle(number, i) for number, i in enumerate(inputs, 1)]
  room = rooms(lines, facts['seconds'])
  if any(done):
    say(f'{sum(done)} of {len(lines)} lines are done already, in {work.folder}')
  pictures, before, failed, played, began = None, [], [], 0, time.perf_counter()
  for number, line in enumerate(lines, 1):
    if not done[number - 1]:
      if len(lines) > 1:
        left = (time.perf_counter() - began) / max(played, 1) * done[number - 1 :].count(False)
        say(f'line {number} of {len(lines)}{f", {minutes(left)} left" if played else ""}: {line.text}')
      how = options | {'planner': planners[number - 1], 'before': before}
      how |= {'fit': facts['fit'], 'room_seconds': room[number - 1]}
      try:
        dubbed = play(facts['film'], line, voices[number - 1], model, library, facts['seconds'], how, watch)
      except BadInput as e:
        failed.append(f'line {number}: {e}' if len(lines) > 1 else str(e))
        say(f'  warning: {failed[-1]}')
        continue
      tell(dubbed.result, say)
      work.add_dubbed(number, dubbed, inputs[number - 1])
      pictures = dubbed.frames if len(lines) == 1 else None
      del dubbed  # or the pictures of two lines would be held
      played += 1
    before.append((line, work.direction(number, work.chosen(number)[1])))
  if failed:
    more = f' (and {len(failed) - 1} more, told above)' if len(failed) > 1 else ''
    raise BadInput(f'{failed[0]}{more}')
  return pictures


def redo(
  folder: str | Path,
  number: int,
  model: Model | None = None,
  library: Library | None = None,
  note: str = '',
  take: int | None = None,
  read_note=parse,
  say=print,
  fit: str | None = None,
) -> dict:
  """Plays one line of a project again and exports the film; what is not that line stays as it was, to the sample.

  note: what to do otherwise, as `read_note` understands it (by rules, English or Chinese); without one it is another
  take of the same direction. take: an earlier take of the line is chosen instead, which needs no model. fit: as of
  `dub`; that of the line's take in the film by default. Former takes are kept. Raises BadInput for a line or a take
  that the project does not have, and for a model that is not its own.
  """
  if fit is not None:
    check_fit(fit)
    if take is not None:
      raise BadInput(f'take {take} is there as it was played: leave --fit out, or play the line again without --take')
  with opened(folder) as work:
    facts = work.facts
    work.check_line(number)
    chosen, dubbed_take = work.chosen(number)
    if take is not None:
      work.load(number, take)
      work.choose(number, take, dubbed_take)
      return export(work, say)
    if model is None or hash_of_model(model) != facts['model_hash']:
      raise BadInput(f'{work.folder} was played by the model {facts["model"]}, which this is not; give that one')
    if probe(facts['film']).has_video and hash_of_file(facts['film']) != facts['film_hash']:
      raise BadInput(f'{facts["film"]} is not the film any more that {work.folder} was made of; put that one back')
    last = work.load(number, chosen)
    exported, as_before = facts.get('exported') or [], last.result.get('fit', STRICT)
    fit = fit or as_before
    same = last.note == note and fit == as_before
    if last.made.get('of') and same and (exported[number - 1 : number] or [None]) != [chosen]:
      return export(work, say)  # this note was played when the film was not yet written
    line, direction, warnings = work.lines[number - 1], last.direction, ()
    lexicon = {word: tuple(symbols) for word, symbols in (facts['options'].get('lexicon') or {}).items()}
    if note:
      if not facts['director']:
        raise BadInput('the director is off in this project: nobody would follow the note')
      parsed = read_note(note, direction, read_script(line.text, lexicon))
      direction, warnings = parsed.direction, parsed.warnings
    options = facts['options'] | {'planner': fixed_direction(direction, warnings), 'lexicon': lexicon, 'fit': fit}
    options['room_seconds'] = rooms(work.lines, facts['seconds'])[number - 1]
    options['seed'] = options.get('seed', 0) + (0 if note or fit != as_before else max(work.takes(number)))
    voice, watch = work.voice(facts['voice_of'][number - 1]), Stopwatch()
    dubbed = play(facts['film'], line, voice, model, library, facts['seconds'], options, watch)
    tell(dubbed.result, say)
    made = work.save(number, dubbed, last.made['inputs'], {'note': note, 'of': chosen})
    work.choose(number, made, dubbed_take)
    say(f'take {made} of line {number}; `dubber redo {folder} --line {number} --take {chosen}` goes back')
    return export(work, say, watch=watch)


def play(film, line: Line, voice: Voice, model: Model, library, seconds: float, options: dict, watch: Stopwatch):
  """`play_line` of a line of the film, with its pictures; `words` joins the result: [start s, end s, word]."""
  with watch('decode'):
    frames, shown = read_frames(film, line.start, line.end, max_seconds=LONGEST_LINE + 1, max_side=WIDEST)
  whole = line.start == 0.0 and line.end >= seconds - 1e-6
  slot = shown if whole else line.end - line.start
  dubbed = play_line(model, line, voice, library, Clip(frames, slot, str(film)), slot, **options)
  return dataclasses.replace(dubbed, result=dubbed.result | {'words': words_of(dubbed)})


def export(work: Project, say=print, pictures=None, watch: Stopwatch | None = None) -> dict:
  """Writes the film of a project, its dialogue, page and result, of the takes that are chosen; returns the result.

  pictures: of its only line, where they are at hand. Every character is brought to the loudness that the film's own
  sound has in its lines, by one gain that a redo does not move.
  """
  watch = watch or Stopwatch()
  facts, lines = work.facts, work.lines
  film, out, stem = Path(facts['film']), Path(facts['out']), stem_of(facts['out'])
  info, warnings = probe(film), list(facts['warnings'])
  chosen = [work.chosen(number) for number in range(1, len(lines) + 1)]
  takes = [work.load(number, take) for number, (take, _) in enumerate(chosen, 1)]
  heard = [_heard(t, line) for t, line in zip(takes, lines, strict=True)]
  first = [
    h if take == dubbed else _heard(work.load(number, dubbed), h.line)
    for number, (h, (take, dubbed)) in enumerate(zip(heard, chosen, strict=True), 1)
  ]
  target, told = _target(film, info.has_sound, lines)
  anchor = character_levels(first)
  gains = [gain_of(h, anchor[folded(h.line.character)], target) for h in heard]
  dialogue = mix_dialogue(heard, gains, facts['seconds'])
  slots = [h.span for h in heard]
  behind, of_background = read_background(facts['background'], film, facts['seconds'], info.has_sound, slots)
  with watch('encode'):
    sound, rate = dialogue, SAMPLE_RATE
    if behind is not None:
      sound, rate = mix(resample(dialogue, SAMPLE_RATE, SOUND_RATE), behind), SOUND_RATE
    warnings += [*told, *of_background, *write_dubbed(film, sound, rate, out, overwrite=True)]
    write_stem(stem, dialogue, SAMPLE_RATE)
  results = []
  for t, h, gain in zip(takes, heard, gains, strict=True):
    pitch = t.take.pitch[t.take.pitch > 0]
    level = integrated(h.waveform * 10 ** (gain / 20), SAMPLE_RATE)
    results.append(
      t.result
      | {
        'level_lufs': round(level, 2) if np.isfinite(level) else None,
        'pitch_hz': round(float(np.median(pitch)), 1) if len(pitch) else None,
      }
    )
  result = (
    results[0]
    if len(results) == 1
    else {
      'lines': results,
      **{k: sum(r[k] for r in results) for k in SUMMED},
      'rounds': [],
      'warnings': [],
    }
  )
  if facts['report'] and len(lines) > MOST_ON_PAGE:
    warnings.append(f'{len(lines)} lines are too many for one page: {work.folder / "index.html"} has them all')
  result['warnings'] = [*warnings, *result['warnings']]
  result['seconds'] = result.get('seconds', {}) | {k: round(v, 4) for k, v in watch.seconds.items()}
  result['files'] = {'film': str(out), 'dialogue': str(stem)}
  for warning in warnings:
    say(f'  warning: {warning}')
  if facts['report'] and len(lines) <= MOST_ON_PAGE:
    page = out.with_suffix('.html')
    result['files']['report'] = str(page)
    shown = _Shown(film, heard, takes, pictures)
    write_report(result, page, ReportAssets(shown, str(out), str(stem), str(film)))
  write_directions(work, takes)
  write_index(work, takes)
  if facts['kept']:
    result['files']['project'] = str(work.folder)
  if facts['json']:
    write_json(result, facts['json'], overwrite=True)
  work.write_facts(facts | {'exported': [take for take, _ in chosen]})
  return result


class _Shown(Sequence):
  """The arrays of each line for the page, whose pictures are read from the film when their turn comes."""

  def __init__(self, film, heard: list[LineAudio], takes: list[StoredTake], pictures=None):
    self.film, self.heard, self.takes, self.pictures = film, heard, takes, pictures

  def __len__(self):
    return len(self.heard)

  def __getitem__(self, i):
    (start, end), stored, frames = self.heard[i].span, self.takes[i], self.pictures
    if frames is None or self.heard[i].overrun:
      frames, _ = read_frames(self.film, start, end, max_seconds=2 * LONGEST_LINE + 1, max_side=WIDEST)
    words = tuple((first, last, word) for first, last, word in stored.result['words'])
    return LineAssets(stored.take, frames, stored.track, words, start)


@contextlib.contextmanager
def _folder(project):
  """The project's folder; without one, one that goes when the film is done."""
  if project is not None:
    yield Path(project)
    return
  with tempfile.TemporaryDirectory(prefix='dubber-') as folder:
    yield Path(folder)


def _check_same(old: dict, facts: dict, folder: Path):
  """Raises BadInput where a project is of another film or model."""
  if old and old['film_hash'] != facts['film_hash']:
    raise BadInput(f'{folder} is the project of another film, {old["film"]}; name another --project')
  if old and old['model_hash'] != facts['model_hash']:
    raise BadInput(
      f'{folder} was played by another model, {old["model"]} (or the same with the director '
      f'{"on" if old["director"] else "off"}); give that one, or another --project'
    )


def _given(directions, lines, lexicon) -> tuple[list[Direction | None], list[str]]:
  if directions is None:
    return [None] * len(lines), []
  return read_directions(directions, lines, [read_script(line.text, lexicon).words for line in lines])


def _heard(stored: StoredTake, line: Line) -> LineAudio:
  return LineAudio(line, stored.take.waveform, stored.direction.loudness, stored.result.get('overrun_seconds', 0.0))


def _target(film, has_sound: bool, lines) -> tuple[float, list[str]]:
  """The loudness in LUFS that the dialogue is to have, that of the film's own within the lines; and warnings."""
  if not has_sound:
    return TARGET_LUFS, []
  own = read_sound(film, SAMPLE_RATE)
  target = target_of(
    np.concatenate([own[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in merged(lines)]), SAMPLE_RATE
  )
  if target >= FAINT_FILM:
    return target, []
  return TARGET_LUFS, [
    f"the film's own sound is nearly silent ({target:.0f} LUFS): the dialogue is at {TARGET_LUFS:g} LUFS"
  ]


def rooms(lines: list[Line], seconds: float) -> list[float]:
  """Seconds of silence after each line: to the next line of any character, or to the film's end."""
  spans = [(line.start, line.end) for line in lines]
  return [room_after(span, spans[:i] + spans[i + 1 :], seconds) for i, span in enumerate(spans)]


def merged(lines) -> list[tuple[float, float]]:
  """(start s, end s) in which some line is spoken."""
  spans = []
  for start, end in sorted((line.start, line.end) for line in lines):
    if spans and start <= spans[-1][1]:
      spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
    else:
      spans.append((start, end))
  return spans


def outputs(facts: dict) -> list[Path]:
  """The files that an export writes."""
  out = Path(facts['out'])
  page = [out.with_suffix('.html')] if facts['report'] and len(facts['lines']) <= MOST_ON_PAGE else []
  return [out, stem_of(out), *page, *([Path(facts['json'])] if facts['json'] else [])]


def stem_of(out) -> Path:
  return Path(out).with_name(f'{Path(out).stem}.dialogue.wav')


def hash_of_model(model: Model) -> str:
  """Of what the manifest says of every file, and of the config as it is used, with the director on or off."""
  manifest = model.path / 'MANIFEST.json'
  return hash_of({'files': manifest.read_text() if manifest.exists() else '', 'config': model.config.to_json()})


def planner_name(planner: Planner) -> str:
  return getattr(planner, 'name', None) or getattr(planner, '__name__', type(planner).__name__)


def minutes(seconds: float) -> str:
  return f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'
