"""The lines of a project for its report page, from figures that lie beside each take, and what each take's note did."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.dubbing.comparison import TakeChange, describe_change
from dubber_jax.dubbing.project import Project
from dubber_jax.dubbing.report.figures import FORMAT, LineAssets, line_figures, sound_uri
from dubber_jax.dubbing.report.page import LineFigures, TakeEntry, is_playable
from dubber_jax.dubbing.timeline import LONGEST_LINE
from dubber_jax.media.film import Film
from dubber_jax.storage.atomic import write_json

WIDEST = 640  # pixels of the longer side that perception and the report page look at
FIGURES = 'figures.json'  # beside a take


class PageLines(Sequence[LineFigures]):
  """The figures of each line. Of a take that was on a page before, nothing is decoded or encoded again.

  chosen: (take in the film, take that the dub made) of each line; spans: (start s, end s) in which it is heard;
  anchors: the level of its character, LUFS; pictures: of the only line, where they are at hand.
  """

  def __init__(
    self,
    film: Film,
    work: Project,
    chosen: Sequence[tuple[int, int]],
    spans: Sequence[tuple[float, float]],
    anchors: Sequence[float],
    pictures: np.ndarray | None = None,
  ):
    self.film, self.work, self.chosen, self.spans, self.anchors = film, work, chosen, spans, anchors
    self.pictures = pictures
    self.moving = len(chosen) == 1 and not is_playable(work.state.out)

  def __len__(self):
    return len(self.chosen)

  def __getitem__(self, i: int) -> LineFigures:  # pyright: ignore[reportIncompatibleMethodOverride]
    take = self.chosen[i][0]
    figures = read_figures(self.work, i + 1, take, self.spans[i], self.moving) or self._make_figures(i, take)
    changes = take_changes(self.work, i + 1, self.anchors[i])
    entries = [
      TakeEntry(n, n == take, told.note, told.change, '' if len(changes) == 1 else self._sound(i + 1, n))
      for n, told in changes.items()
    ]
    return LineFigures(figures, self.spans[i][0], tuple(entries))

  def _make_figures(self, i: int, take: int) -> dict[str, Any]:
    (start, end), frames, stored = self.spans[i], self.pictures, self.work.load(i + 1, take)
    if frames is None or stored.result.overrun_seconds:
      frames, _ = self.film.frames(start, end, max_seconds=2 * LONGEST_LINE + 1, max_side=WIDEST)
    assets = LineAssets(stored.take, frames, stored.track, stored.result.words or (), start)
    figures = line_figures(assets, moving=self.moving) | {'span': list(self.spans[i]), 'moving': self.moving}
    write_json(figures, figures_path(self.work, i + 1, take), overwrite=True)
    return figures

  def _sound(self, number: int, take: int) -> str:
    figures = read_figures(self.work, number, take)
    if figures and figures['sound']:
      return figures['sound']
    wave = self.work.load(number, take).take.waveform
    return sound_uri(wave) if wave is not None and len(wave) else ''


def figures_path(work: Project, number: int, take: int) -> Path:
  return work.line_folder(number) / f'take_{take}' / FIGURES


def read_figures(
  work: Project, number: int, take: int, span: tuple[float, float] | None = None, moving: bool = False
) -> dict[str, Any] | None:
  """The figures that are kept of a take; None where there are none, or (with a span) others are asked for."""
  try:
    found = json.loads(figures_path(work, number, take).read_text(encoding='utf-8'))
    fits = found['format'] == FORMAT and found['sound'] is not None
    if fits and span is not None:
      fits = found['span'] == list(span) and found['moving'] == moving
    return found if fits else None
  except (OSError, ValueError, KeyError, TypeError):
    return None


def take_changes(work: Project, number: int, anchor: float) -> Mapping[int, TakeChange]:
  """{take: its note and what that did} of a line; of takes that the dub made by itself all is empty.

  anchor: the level of the line's character, LUFS.
  """
  told = {}
  for take in work.takes(number):
    made = work.made(number, take)
    if made is None:
      continue
    before = made.get('of')
    change = change_zh = ''
    if before is not None and work.made(number, before):
      change, change_zh = describe_change(work.measures(number, before), work.measures(number, take), anchor)
    told[take] = TakeChange(made.get('note', ''), change, change_zh)
  return told
