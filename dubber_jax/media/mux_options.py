"""How the tracks of a dubbed film are put together. Imports nothing heavy: the command line checks it first."""

import re
from dataclasses import dataclass
from pathlib import Path

from dubber_jax.errors import BadInput

ADD, REPLACE = 'add', 'replace'


@dataclass(frozen=True)
class MuxOptions:
  """Which tracks a dubbed film has.

  tracks: 'add': the dub is the first and default sound track, the film's own ones follow; 'replace': it takes the place
  of the source sound track, and all else stays. language: of the dub, ISO 639-2 (three letters). title: of the dub's
  track. audio_track: the source sound track, from 0; None: the film's default one. subtitles: SRT files of the dub,
  each muxed as a text track. Raises BadInput for values that cannot be.
  """

  tracks: str = ADD
  language: str = 'eng'
  title: str = 'Dub'
  audio_track: int | None = None
  subtitles: tuple[Path, ...] = ()

  def __post_init__(self):
    if self.tracks not in (ADD, REPLACE):
      raise BadInput(f"--tracks {self.tracks}: give add (the dub beside the film's own sound) or replace")
    if not re.fullmatch('[a-z]{3}', self.language):
      raise BadInput(f'--language {self.language}: give its code of three letters (ISO 639-2), as eng, fra or zho')
    if self.audio_track is not None and self.audio_track < 0:
      raise BadInput(f'--audio-track {self.audio_track}: sound tracks are counted from 0')
    object.__setattr__(self, 'subtitles', tuple(Path(path) for path in self.subtitles))
