"""What an export hands to the writers of this folder: the lines of a project as they are in the film."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.dubbing.editorial.lines import EditorialLine
from dubber_jax.dubbing.editorial.subtitles import write_subtitles
from dubber_jax.dubbing.mix import LineAudio
from dubber_jax.dubbing.project import StoredTake


def editorial_lines(
  takes: Sequence[StoredTake], audio: Sequence[LineAudio], gains: Sequence[float]
) -> list[EditorialLine]:
  """The lines of a film: its chosen takes (their arrays are not looked at), the sound of each and its gain in dB."""
  return [
    _line(number, stored, sound, gain)
    for number, (stored, sound, gain) in enumerate(zip(takes, audio, gains, strict=True), 1)
  ]


def subtitle_files(out: str | Path) -> tuple[Path, Path]:
  """OUT.srt and OUT.vtt of a dubbed film."""
  return Path(out).with_suffix('.srt'), Path(out).with_suffix('.vtt')


def write_film_subtitles(lines: Sequence[EditorialLine], out: str | Path, seconds: float) -> Path:
  """Writes the subtitles beside a dubbed film -> the SRT file, which can be muxed."""
  srt, vtt = subtitle_files(out)
  write_subtitles(lines, srt, vtt, seconds)
  return srt


def _line(number: int, stored: StoredTake, sound: LineAudio, gain: float) -> EditorialLine:
  result = stored.result

  def wave() -> np.ndarray:
    return sound.waveform

  return EditorialLine(
    number,
    sound.line,
    wave,
    gain,
    sound.overrun,
    result.words or (),
    (result.speech_start, result.speech_start + result.speech_seconds),
    stored.number,
    stored.direction.note,
    stored.note,
    not result.rounds or any(done.accepted for done in result.rounds),
    result.warnings,
  )
