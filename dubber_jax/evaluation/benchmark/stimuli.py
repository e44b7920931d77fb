"""Test sets of dubbing: new emotional lines in the voices of unseen actors, and films of unseen people.

Half of the lines are text alone. The others come with a drawn face in the mood of the line, stored as a film and read
by its pixels like any other. `emotion` is the label, for judges alone: the system under test never gets it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.types import LIP_RATE, Clip

ACTORS = ('ravdess_19', 'ravdess_20', 'ravdess_21', 'ravdess_22')  # in no training split
STRANGER = 'cremad_1002'  # the voice of CREMA-D's films, so that no film is dubbed with its own speaker
LETTER, MARGIN = 0.062, 0.8  # s a letter of a line, and s added, for the length of a drawn film
SIDE = 256  # pixels


@dataclass(frozen=True)
class Stimulus:
  """One clip of a test set. `scene`: the mood of a drawn film; `film`: a real one, of `person`; without either, text
  alone. `given`: the file that the voice is made of, if not the speaker's reference."""

  key: str
  text: str
  emotion: str
  speaker: str
  scene: str = ''
  film: Path | None = None
  seed: int = 0  # of the drawn face
  person: str = ''
  given: Path | None = None

  @property
  def seconds(self) -> float:
    """Length of a drawn film, a whole number of frames."""
    return round((LETTER * len(self.text) + MARGIN) * LIP_RATE) / LIP_RATE

  def clip(self, folder: Path) -> Clip | None:
    """Silent clip of the stimulus, None for text alone; films are drawn once, into `folder`."""
    from dubber_jax.demo.cartoon import draw_cartoon
    from dubber_jax.media.video import read_frames, write_silent_clip
    from dubber_jax.storage.hashing import content_key

    path = self.film
    if self.scene:
      drawn = content_key(self.scene, self.text, self.seconds, SIDE, self.seed)[:16]
      path = folder / f'{drawn}.mp4'  # the name must not reveal the mood
      if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frames = draw_cartoon(self.scene, self.text, self.seconds, SIDE, self.seed)
        write_silent_clip(path, frames, overwrite=True)
    if path is None:
      return None
    frames, seconds = read_frames(path)
    return Clip(frames, seconds, str(path))


def read_lines(path: str | Path, speakers: Sequence[str] = ACTORS) -> list[Stimulus]:
  """Stimuli of a JSON-lines file (text, emotion, and scene where one is to be drawn), each in one of the voices.

  Voices alternate every two lines, since every second line has a scene: each voice has as many lines of each emotion,
  with and without a scene. Raises BadInput for a row that cannot be read.
  """
  found = []
  for number, row in enumerate(Path(path).read_text(encoding='utf-8').splitlines()):
    try:
      line = json.loads(row)
      speaker = speakers[number // 2 % len(speakers)]
      key = f'line/{number + 1:03d}/{speaker}'
      found.append(Stimulus(key, line['text'], line['emotion'], speaker, line.get('scene', ''), seed=number))
    except (ValueError, KeyError, TypeError) as e:
      raise BadInput(f'{path}, row {number + 1}: {e!r}; a row is {{"text", "emotion"}} and maybe "scene"') from e
  return found


def read_films(speaker: str = STRANGER) -> list[Stimulus]:
  """The films of CREMA-D, dubbed in the voice of another speaker."""
  from data_pipelines.recordings import read_recordings

  films = [r for r in read_recordings('cremad') if r.has_video]
  return [Stimulus(f'film/{r.id}/{speaker}', r.text, r.emotion, speaker, film=r.path, person=r.speaker) for r in films]


def read_grid(setting: str) -> list[Stimulus]:
  """GRID's films of a dubbing setting, dubbed in the voice of the person seen: '2.0', held-out films of the training
  speaker; '3.0', films of an unseen speaker. Voices are made of another recording; '1.0' has the films of 3.0 and
  makes voices of the films' own sound, which is too favorable."""
  from dubber_jax.evaluation.benchmark.speakers import DAMAGED, recordings, reference

  speaker, split = ('s1', 'test') if setting == '2.0' else ('s4', 'test_unseen')
  films = [r for r in recordings(speaker) if r.split == split and r.key not in DAMAGED and r != reference(speaker)]
  return [
    Stimulus(
      f'grid-{setting}/{r.id}/{speaker}',
      r.text,
      r.emotion,
      speaker,
      film=r.path,
      person=speaker,
      given=r.path if setting == '1.0' else None,
    )
    for r in films
  ]


def balanced(lines: Sequence[Stimulus], every: int) -> list[Stimulus]:
  """Every second or fourth line of `read_lines` (`every`: 2 or 4), balanced over emotions, and over voices with and
  without a face."""
  count = len(lines) // every
  return [lines[every * i + (i + i // 4) % every] for i in range(count)]


def spread(stimuli: Sequence[Stimulus], limit: int | None) -> list[Stimulus]:
  """At most `limit` stimuli, evenly spaced."""
  if limit is None or limit >= len(stimuli):
    return list(stimuli)
  return [stimuli[int((i + 0.5) * len(stimuli) / limit)] for i in range(limit)]
