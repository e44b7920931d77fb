"""The export of a project: the film with its new sound, the dialogue stem, the report page and the result.

Sound passes through it by blocks: nothing holds the sound of a whole film, and of the takes their waveforms alone.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.dubbing.cast import folded
from dubber_jax.dubbing.directions import write_directions
from dubber_jax.dubbing.editorial.folder import EditorialFilm, editorial_folder, write_editorial
from dubber_jax.dubbing.editorial.project import editorial_lines, subtitle_files, write_film_subtitles
from dubber_jax.dubbing.mix import (
  FilmLoudness,
  LineAudio,
  character_levels,
  dialogue_blocks,
  film_dialogue,
  gain_of,
  matching_gain,
  measure_film,
  spoken_spans,
)
from dubber_jax.dubbing.page_lines import PageLines, take_changes
from dubber_jax.dubbing.progress import SEPARATED, WRITTEN, Progress, blocks, export_steps, untold
from dubber_jax.dubbing.project import Project, ProjectState, StoredTake, write_index
from dubber_jax.dubbing.report.page import ReportAssets, write_report
from dubber_jax.dubbing.result import DubResult, LineResult
from dubber_jax.errors import BadInput
from dubber_jax.media.background import (
  BLOCK,
  KINDS,
  MUTE,
  NONE,
  SEPARATE,
  background_blocks,
  mixed_blocks,
  read_bed,
  write_bed,
)
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import TARGET_LUFS, LoudnessMeter, integrated_loudness
from dubber_jax.media.mux import write_dubbed
from dubber_jax.media.mux_options import MuxOptions
from dubber_jax.media.sound import write_wav_blocks
from dubber_jax.profiling import Stopwatch
from dubber_jax.separation import TRAINED, open_separator
from dubber_jax.storage.atomic import atomic_file, complete_together, write_json
from dubber_jax.storage.hashing import content_key
from dubber_jax.types import SAMPLE_RATE, Line

logger = logging.getLogger(__name__)

FAINT_FILM = -50.0  # LUFS: a film whose own sound is quieter says nothing of how loud its dialogue was
LOUDNESS_CHANGE = 1.0  # LU by which a film with its background may differ from before without a warning
MOST_ON_PAGE = 40  # lines, of about a second and half a megabyte each


@dataclass(frozen=True)
class _ChosenLine:
  """A line as it is in the film: its take and what of it is needed beside the arrays. dubbed: its audio by the dub's
  own take, which a redo does not change, so that neither do the levels."""

  audio: LineAudio
  dubbed: LineAudio
  stored: StoredTake  # without its arrays
  pitch_hz: float | None


def export(
  work: Project,
  film: Film | None = None,
  pictures: np.ndarray | None = None,
  watch: Stopwatch | None = None,
  progress: Progress = untold,
) -> DubResult:
  """Writes the film of a project, its dialogue, page and result, of the takes that are chosen.

  film: where it is open already; pictures: of its only line, where they are at hand; progress: is told how much of the
  film is written, and may stop it, so that earlier outputs stay as they were. Every character is brought to the
  loudness that the film's own dialogue has, by one gain that a redo does not move.
  """
  state = work.state
  with complete_together(output_files(state), overwrite=True) as staged:
    result, takes, anchors = _write_outputs(work, staged, film, pictures, watch or Stopwatch(), progress)
  chosen = [work.chosen(number) or (0, 0) for number in range(1, len(state.lines) + 1)]
  write_directions(work.folder / 'directions.json', [(t.line, t.direction) for t in takes])
  write_index(work, takes, [take_changes(work, number, anchor) for number, anchor in enumerate(anchors, 1)])
  work.write_state(dataclasses.replace(state, exported=tuple(take for take, _ in chosen)))
  return result


def _write_outputs(
  work: Project,
  staged: Mapping[Path, Path],
  film: Film | None,
  pictures: np.ndarray | None,
  watch: Stopwatch,
  progress: Progress,
) -> tuple[DubResult, list[StoredTake], list[float]]:
  """Writes the outputs of a project to their staged places, to appear together -> result, takes, anchors of lines."""
  state = work.state
  film = film or Film(Path(state.film), state.audio_track)
  out, stem = (staged[Path(path).absolute()] for path in (state.out, stem_of(state.out)))
  leveled = level_lines(work, film, watch, progress)
  chosen, played, gains, anchors = leveled.chosen, leveled.played, leveled.gains, leveled.anchors
  audio, own, sound = [line.audio for line in played], leveled.own, leveled.sound
  handed_on = editorial_lines([line.stored for line in played], audio, gains)
  with watch('encode'):
    options = mux_options(state)
    if state.subtitles:
      srt = write_film_subtitles(handed_on, out, film.seconds)
      options = dataclasses.replace(options, subtitles=(srt,))
    warnings = [
      *state.warnings,
      *leveled.warnings,
      *write_dubbed(film.path, sound, SOUND_RATE, out, overwrite=True, options=options),
    ]
    warnings += sound.loudness_warnings(own)
    write_wav_blocks(stem, film_dialogue(audio, gains, film), SOUND_RATE)
    if state.editorial:
      of_film = EditorialFilm(film, Path(state.out).stem, film.samples)
      warnings += write_editorial(editorial_folder(state.out), of_film, handed_on, sound.background_blocks())
  lines = tuple(_measured(line, gain) for line, gain in zip(played, gains, strict=True))
  on_page = state.report and len(lines) <= MOST_ON_PAGE
  if state.report and not on_page:
    warnings.append(f'{len(lines)} lines are too many for one page: {work.folder / "index.html"} has them all')
  files = {'film': state.out, 'dialogue': str(stem_of(state.out))}
  if on_page:
    files['report'] = str(Path(state.out).with_suffix('.html'))
  if state.subtitles:
    files['subtitles'] = str(subtitle_files(state.out)[0])
  if state.editorial:
    files['editorial'] = str(editorial_folder(state.out))
  if state.kept:
    files['project'] = str(work.folder)
  seconds = {stage: round(value, 4) for stage, value in watch.seconds.items()}
  result = DubResult(lines, tuple(warnings), seconds, files)
  for warning in warnings:
    logger.warning(warning)
  if on_page:
    on_it = PageLines(film, work, chosen, [a.span for a in audio], anchors, pictures)
    assets = ReportAssets(on_it, str(out), str(stem), str(film.path))
    write_report(result.to_json(), out.with_suffix('.html'), assets)
  if state.json:
    write_json(result.to_json(), staged[Path(state.json).absolute()])
  return result, [line.stored for line in played], anchors


@dataclass(frozen=True)
class LeveledLines:
  """The lines of a project as they are in the film: (chosen take, take of the dub) and gain in dB of each, the level in
  LUFS of its character (anchor), the sound that they make with what is behind them, the loudness of the film's own, and
  warnings."""

  chosen: list[tuple[int, int]]
  played: list[_ChosenLine]
  gains: list[float]
  anchors: list[float]
  sound: 'FilmSound'
  own: FilmLoudness
  warnings: list[str]


def level_lines(work: Project, film: Film, watch: Stopwatch, progress: Progress = untold) -> LeveledLines:
  """Loads the chosen takes and brings every character to the loudness of the film's own dialogue.

  progress: is told, here and whenever the sound is iterated over, how much of it is done.
  """
  state, steps, count = work.state, export_steps(film.seconds), blocks(film.seconds)
  progress(0, steps, 'levels')
  chosen = [work.chosen(number) or (0, 0) for number in range(1, len(state.lines) + 1)]
  played = [_chosen_line(work, number, *takes) for number, takes in enumerate(chosen, 1)]
  audio = [line.audio for line in played]
  with watch('background'):
    bed = None
    if state.background == SEPARATE and film.info.has_sound:
      bed = separated_bed(work, film, lambda n: progress(min(n, count) * SEPARATED, steps, 'dialogue is taken out'))
    own = film_loudness(work, film, bed)
  target, warnings = dialogue_target(film, own)
  level = character_levels([line.dubbed for line in played])
  anchors = [level[folded(a.line.character)] for a in audio]
  if bed is not None:
    first = [gain_of(p.dubbed, anchor, target) for p, anchor in zip(played, anchors, strict=True)]
    target += matching_gain(own, dialogue_blocks([p.dubbed for p in played], first, film.seconds))
  gains = [gain_of(a, anchor, target) for a, anchor in zip(audio, anchors, strict=True)]
  done = SEPARATED * count
  sound = FilmSound(film, audio, gains, state.background, bed)
  sound.on_block = lambda n: progress(done + min(n, count) * WRITTEN, steps, 'the film is written')
  return LeveledLines(chosen, played, gains, anchors, sound, own, warnings)


def export_editorial(work: Project, folder: Path, start: str | None = None) -> list[str]:
  """Writes the editorial folder of a project whose lines are all played -> warnings.

  start: timecode of the first picture, in place of the film's own. Raises BadInput where the project's film is not
  there any more, or is another one.
  """
  state = work.state
  film = Film(Path(state.film), state.audio_track)
  if film.info.has_video and film.hash != state.film_hash:
    raise BadInput(f'{state.film} is not the film any more that {work.folder} was made of; put that one back')
  work.check_line(1)
  leveled = level_lines(work, film, Stopwatch())
  lines = editorial_lines(
    [line.stored for line in leveled.played], [line.audio for line in leveled.played], leveled.gains
  )
  of_film = EditorialFilm(film, Path(state.out).stem, film.samples)
  return write_editorial(folder, of_film, lines, leveled.sound.background_blocks(), start)


class FilmSound:
  """The new sound of a film: blocks (S, C) at SOUND_RATE, as long as the film, each time that it is iterated over."""

  def __init__(
    self, film: Film, audio: Sequence[LineAudio], gains: Sequence[float], background: str, bed: Path | None = None
  ):
    self.film, self.audio, self.gains, self.background, self.bed = film, audio, gains, background, bed
    self.loudness: float | None = None  # LUFS, once it was iterated over
    self.on_block: Callable[[int], None] = lambda _: None  # is told how many blocks were taken

  def __iter__(self) -> Iterator[np.ndarray]:
    blocks = mixed_blocks(film_dialogue(self.audio, self.gains, self.film), self.background_blocks())
    meter, taken = None, 0
    for block in blocks:
      self.on_block(taken // BLOCK)
      taken += len(block)
      meter = meter or LoudnessMeter(SOUND_RATE, block.shape[1])
      meter.add(block)
      yield block
    self.loudness = meter and meter.integrated()

  def background_blocks(self) -> Iterator[np.ndarray] | None:
    """Blocks of what is behind the dialogue, None where nothing is."""
    spans = [a.span for a in self.audio]
    if self.background == MUTE:
      spans = [span for a in self.audio for span in spoken_spans(a)]
    return background_blocks(self.background, self.film, spans, self.bed)

  def loudness_warnings(self, own: FilmLoudness) -> list[str]:
    """Says where a film that keeps its own sound is not as loud as before."""
    if self.background not in KINDS or self.background == NONE or self.loudness is None or not np.isfinite(own.film):
      return []
    change = self.loudness - own.film
    more = 'louder' if change > 0 else 'quieter'
    return [f'the dubbed film is {abs(change):.1f} LU {more} than the film'] if abs(change) > LOUDNESS_CHANGE else []


def mux_options(state: ProjectState) -> MuxOptions:
  """Which tracks the project's film has."""
  return MuxOptions(state.tracks, state.language, audio_track=state.audio_track)


def separated_bed(work: Project, film: Film, on_block: Callable[[int], None] = lambda _: None) -> Path:
  """The file of the film's sound without its dialogue. It is separated once in a project, which keeps it.

  on_block: is told how many blocks are done.
  """
  separator = work.state.separator
  which = [str(film.audio_track)] if film.audio_track is not None else []
  which += [separator] if separator != TRAINED else []
  path = work.folder / f'{"_".join(["bed", *which])}.flac'
  if not path.exists():
    logger.info(f'taking the dialogue out of {film.path.name}, {film.seconds:.0f} s')
    write_bed(film, open_separator(separator), path, on_block)
  return path


def film_loudness(work: Project, film: Film, bed: Path | None) -> FilmLoudness:
  """`measure_film` of the project's film and lines. The project keeps it: a redo does not decode the film's sound."""
  if not film.info.has_sound:
    return FilmLoudness()
  spans, path = merged_spans(work.state.lines), work.folder / 'loudness.npz'
  key = content_key('loudness', work.state.film_hash, str(film.audio_track), repr(spans))
  try:
    with np.load(path) as found:
      if str(found['key']) == key and (bed is None or str(found['bed_name']) == bed.name):
        left = (float(found['dialogue']), found['bed']) if bed else (None, None)
        return FilmLoudness(float(found['film']), float(found['lines']), *left)
  except (OSError, ValueError, EOFError, KeyError):
    pass
  own = measure_film(film, spans, read_bed(bed, film) if bed else None)
  fields = {name: value for name, value in dataclasses.asdict(own).items() if value is not None}
  with atomic_file(path) as partial:
    np.savez(partial, key=key, bed_name=bed.name if bed else '', **fields)
  return own


def _chosen_line(work: Project, number: int, take: int, first: int) -> _ChosenLine:
  line, stored = work.state.lines[number - 1], work.load(number, take)
  audio = _audio(stored, line)
  dubbed = audio if take == first else _audio(work.load(number, first), line)
  voiced = stored.take.pitch[stored.take.pitch > 0]
  pitch = round(float(np.median(voiced)), 1) if len(voiced) else None
  empty = np.zeros(0, np.float32)
  take_alone = dataclasses.replace(stored.take, mel=empty, pitch=empty, waveform=None)
  return _ChosenLine(audio, dubbed, dataclasses.replace(stored, take=take_alone, track=None), pitch)


def _measured(line: _ChosenLine, gain: float) -> LineResult:
  """The result with its loudness in the film and its median F0."""
  level = integrated_loudness(line.audio.waveform * 10 ** (gain / 20), SAMPLE_RATE)
  return dataclasses.replace(
    line.stored.result,
    level_lufs=round(level, 2) if np.isfinite(level) else None,
    pitch_hz=line.pitch_hz,
    exported=True,
  )


def _audio(stored: StoredTake, line: Line) -> LineAudio:
  result = stored.result
  return LineAudio(line, stored.take.waveform, stored.direction.loudness, result.overrun_seconds, result.words or ())


def dialogue_target(film: Film, own: FilmLoudness) -> tuple[float, list[str]]:
  """The loudness in LUFS that the dialogue is to have, that of the film's own; and warnings."""
  if not film.info.has_sound:
    return TARGET_LUFS, []
  if own.target >= FAINT_FILM:
    return own.target, []
  return TARGET_LUFS, [
    f"the film's own sound is nearly silent ({own.target:.0f} LUFS): the dialogue is at {TARGET_LUFS:g} LUFS"
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
  subtitles = subtitle_files(out) if state.subtitles else ()
  return [out, stem_of(out), *page, *subtitles, *([Path(state.json)] if state.json else [])]


def stem_of(out: str | Path) -> Path:
  """OUT.dialogue.wav of a film."""
  return Path(out).with_name(f'{Path(out).stem}.dialogue.wav')
