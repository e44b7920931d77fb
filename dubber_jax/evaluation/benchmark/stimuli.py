"""What benchmarks of emotion are asked to dub: new lines in the voices of unseen actors, and films of unseen people.

Half of the lines are words alone. The others come with a drawn face in the mood of the line, which is stored as a film
and read like any: by its pixels. `emotion` is the label and is for the judges; what dubs never sees it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubber_jax.errors import BadInput
from dubber_jax.types import LIP_RATE, Clip

ACTORS = ('ravdess_19', 'ravdess_20', 'ravdess_21', 'ravdess_22')  # in no training split
STRANGER = 'cremad_1002'  # speaks for the people of CREMA-D's films, so that nobody's own sound is given
LETTER, MARGIN = 0.062, 0.8  # s: a letter of a line, and before and after it, of which a drawn film's length is made
SIDE = 256  # pixels


@dataclass(frozen=True)
class Stimulus:
  """One clip of a test set. `scene`: the mood of a drawn film; `film`: a real one, of `person`; without either, words
  alone. `given`: the file that the voice is made of, if not the speaker's reference."""

  key: str
  text: str
  emotion: str
  speaker: str
  scene: str = ''
  film: Path | None = None
  seed: int = 0  # who is drawn
  person: str = ''
  given: Path | None = None

  @property
  def seconds(self) -> float:
    """Of a drawn film, a whole number of its frames."""
    return round((LETTER * len(self.text) + MARGIN) * LIP_RATE) / LIP_RATE

  def clip(self, folder: Path) -> Clip | None:
    """Its silent pictures; what has to be drawn is drawn once, into `folder`."""
    from dubber_jax.demo.cartoon import draw_cartoon
    from dubber_jax.media.video import read_frames, write_silent_clip
    from dubber_jax.storage.hashing import content_key

    path = self.film
    if self.scene:
      drawn = content_key(self.scene, self.text, self.seconds, SIDE, self.seed)[:16]
      path = folder / f'{drawn}.mp4'  # says nothing of the mood
      if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frames = draw_cartoon(self.scene, self.text, self.seconds, SIDE, self.seed)
        write_silent_clip(path, frames, overwrite=True)
    if path is None:
      return None
    frames, seconds = read_frames(path)
    return Clip(frames, seconds, str(path))


def read_lines(path: str | Path, speakers: Sequence[str] = ACTORS) -> list[Stimulus]:
  """Lines of a JSON-lines file (text, emotion, and scene where one is to be drawn), each in one of the voices.

  Lines take voices in turn by twos, since every second one has a scene: each voice has as many lines of each emotion,
  with and without. Raises BadInput for a row that cannot be read.
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
  """The films of CREMA-D, dubbed by somebody else."""
  from data_pipelines.recordings import read_recordings

  films = [r for r in read_recordings('cremad') if r.has_video]
  return [Stimulus(f'film/{r.id}/{speaker}', r.text, r.emotion, speaker, film=r.path, person=r.speaker) for r in films]


def read_grid(setting: str) -> list[Stimulus]:
  """GRID's films of a dubbing setting, dubbed in the voice of who is seen: '2.0', of the speaker that the actor learned
  from, films that it did not; '3.0', of a stranger. Voices are made of another recording; in '1.0' of the film's own
  sound, which flatters, of the films of 3.0."""
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
  """One of `every` (2 or 4) lines of `read_lines`, with as many of each emotion, and of each voice with and without a
  face, as before."""
  count = len(lines) // every
  return [lines[every * i + (i + i // 4) % every] for i in range(count)]


def spread(stimuli: Sequence[Stimulus], limit: int | None) -> list[Stimulus]:
  """At most `limit` of them, evenly spread over their order."""
  if limit is None or limit >= len(stimuli):
    return list(stimuli)
  return [stimuli[int((i + 0.5) * len(stimuli) / limit)] for i in range(limit)]
