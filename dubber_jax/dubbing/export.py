"""The export of a project: the film with its new sound, the dialogue stem, the report page and the result."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.directions import write_directions
from dubber_jax.dubbing.mix import LineAudio, character_levels, gain_of, mix_dialogue
from dubber_jax.dubbing.project import Project, ProjectState, StoredTake, write_index
from dubber_jax.dubbing.report.page import LineAssets, ReportAssets, write_report
from dubber_jax.dubbing.result import DubResult, LineResult
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.media.background import mix_background, read_background
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import TARGET_LUFS, integrated_loudness, target_loudness
from dubber_jax.media.mux import write_dubbed, write_stem
from dubber_jax.media.sound import resample
from dubber_jax.profiling import Stopwatch
from dubber_jax.storage.atomic import write_json
from dubber_jax.types import SAMPLE_RATE, Line

logger = logging.getLogger(__name__)

FAINT_FILM = -50.0  # LUFS: a film whose own sound is quieter says nothing of how loud its dialogue was
MOST_ON_PAGE = 40  # lines, of about a second and half a megabyte each
WIDEST = 640  # pixels of the longer side that perception and the report page look at


def export(
  work: Project, film: Film | None = None, pictures: np.ndarray | None = None, watch: Stopwatch | None = None
) -> DubResult:
  """Writes the film of a project, its dialogue, page and result, of the takes that are chosen.

  film: where it is open already; pictures: of its only line, where they are at hand. Every character is brought to the
  loudness that the film's own sound has in its lines, by one gain that a redo does not move.
  """
  watch, state = watch or Stopwatch(), work.state
  film = film or Film(Path(state.film))
  chosen = [work.chosen(number) or (0, 0) for number in range(1, len(state.lines) + 1)]
  takes = [work.load(number, take) for number, (take, _) in enumerate(chosen, 1)]
  audio = [_audio(stored, line) for stored, line in zip(takes, state.lines, strict=True)]
  dubbed = [
    a if take == first else _audio(work.load(number, first), a.line)
    for number, (a, (take, first)) in enumerate(zip(audio, chosen, strict=True), 1)
  ]
  target, warnings = dialogue_target(film, state.lines)
  level = character_levels(dubbed)
  gains = [gain_of(a, level[folded(a.line.character)], target) for a in audio]
  warnings = [*state.warnings, *warnings, *_write_film(film, state, audio, gains, watch)]
  lines = tuple(_measured(t.result, a, gain, t) for t, a, gain in zip(takes, audio, gains, strict=True))
  on_page = state.report and len(lines) <= MOST_ON_PAGE
  if state.report and not on_page:
    warnings.append(f'{len(lines)} lines are too many for one page: {work.folder / "index.html"} has them all')
  files = {'film': state.out, 'dialogue': str(stem_of(state.out))}
  if on_page:
    files['report'] = str(Path(state.out).with_suffix('.html'))
  if state.kept:
    files['project'] = str(work.folder)
  seconds = {stage: round(value, 4) for stage, value in watch.seconds.items()}
  result = DubResult(lines, tuple(warnings), seconds, files)
  for warning in warnings:
    logger.warning(warning)
  if on_page:
    assets = ReportAssets(_PageLines(film, audio, takes, pictures), state.out, str(stem_of(state.out)), str(film.path))
    write_report(result.to_json(), files['report'], assets)
  write_directions(work.folder / 'directions.json', [(t.line, t.direction) for t in takes])
  write_index(work, takes)
  if state.json:
    write_json(result.to_json(), state.json, overwrite=True)
  work.write_state(dataclasses.replace(state, exported=tuple(take for take, _ in chosen)))
  return result


def _write_film(film: Film, state: ProjectState, audio, gains, watch: Stopwatch) -> list[str]:
  """Mixes the dialogue, writes it and the film with it; -> warnings."""
  dialogue = mix_dialogue(audio, gains, state.seconds)
  background, warnings = read_background(state.background, film, [a.span for a in audio])
  with watch('encode'):
    sound, rate = dialogue, SAMPLE_RATE
    if background is not None:
      sound, rate = mix_background(resample(dialogue, SAMPLE_RATE, SOUND_RATE), background), SOUND_RATE
    warnings += write_dubbed(film.path, sound, rate, Path(state.out), overwrite=True)
    write_stem(stem_of(state.out), dialogue, SAMPLE_RATE)
  return warnings


def _measured(result: LineResult, audio: LineAudio, gain: float, stored: StoredTake) -> LineResult:
  """The result with its loudness in the film and its median F0."""
  voiced = stored.take.pitch[stored.take.pitch > 0]
  level = integrated_loudness(audio.waveform * 10 ** (gain / 20), SAMPLE_RATE)
  return dataclasses.replace(
    result,
    level_lufs=round(level, 2) if np.isfinite(level) else None,
    pitch_hz=round(float(np.median(voiced)), 1) if len(voiced) else None,
    exported=True,
  )


def _audio(stored: StoredTake, line: Line) -> LineAudio:
  return LineAudio(line, stored.take.waveform, stored.direction.loudness, stored.result.overrun_seconds)


class _PageLines(Sequence):
  """The arrays of each line for the page, whose pictures are read from the film when their turn comes."""

  def __init__(self, film: Film, audio: list[LineAudio], takes: list[StoredTake], pictures=None):
    self.film, self.audio, self.takes, self.pictures = film, audio, takes, pictures

  def __len__(self):
    return len(self.audio)

  def __getitem__(self, i):
    (start, end), stored, frames = self.audio[i].span, self.takes[i], self.pictures
    if frames is None or self.audio[i].overrun:
      frames, _ = self.film.frames(start, end, max_seconds=2 * LONGEST_LINE + 1, max_side=WIDEST)
    return LineAssets(stored.take, frames, stored.track, stored.result.words or (), start)


def dialogue_target(film: Film, lines: Sequence[Line]) -> tuple[float, list[str]]:
  """The loudness in LUFS that the dialogue is to have, that of the film's own within the lines; and warnings."""
  if not film.info.has_sound:
    return TARGET_LUFS, []
  own = film.mono
  spoken = [own[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in merged_spans(lines)]
  target = target_loudness(np.concatenate(spoken), SAMPLE_RATE)
  if target >= FAINT_FILM:
    return target, []
  return TARGET_LUFS, [
    f"the film's own sound is nearly silent ({target:.0f} LUFS): the dialogue is at {TARGET_LUFS:g} LUFS"
  ]


def merged_spans(lines: Sequence[Line]) -> list[tuple[float, float]]:
  """(start s, end s) in which some line is spoken, in order, none overlapping."""
  spans = []
  for start, end in sorted((line.start, line.end) for line in lines):
    if spans and start <= spans[-1][1]:
      spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
    else:
      spans.append((start, end))
  return spans


def output_files(state: ProjectState) -> list[Path]:
  """The files that an export writes."""
  out = Path(state.out)
  page = [out.with_suffix('.html')] if state.report and len(state.lines) <= MOST_ON_PAGE else []
  return [out, stem_of(out), *page, *([Path(state.json)] if state.json else [])]


def stem_of(out: str | Path) -> Path:
  """OUT.dialogue.wav of a film."""
  return Path(out).with_name(f'{Path(out).stem}.dialogue.wav')
