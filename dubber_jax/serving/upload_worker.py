"""Reads one uploaded file in a process of its own, with limits of memory, time and files: `python -m` this module.

A file that makes a decoder crash, hang or fill the memory ends this process and not the server. It is started before
there is anything to do, gets one task as a line of JSON on its standard input, writes result.json and its arrays
(NAME.npy) into the task's folder, and ends. Where a task takes long, it writes lines with the share that is done to its
standard output.

    {"kind": "voice", "path": "...", "name": "ada.wav", "folder": "...", "names": []}
    {"facts": {...}, "arrays": ["wave"]}   or   {"error": "...", "status": 422}
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  import numpy as np

LONGEST_VOICE = 600.0  # s of a recording
LONGEST_REFERENCE = 30.0  # s of a reference that are read
WIDEST = 640  # pixels of a reference's longer side
FRAME_BYTES = 200_000_000  # of a reference's pictures; of a long one they are smaller
MOST_LINES = 5000  # of a script
TRIED_SECONDS = 3.0  # of computing for which a film's sound is decoded, and then its pictures
PICTURES_SHARE = 0.9  # of the time that decoding a film takes
TELL_SECONDS = 0.2  # between two lines on how far it is
Read = tuple[dict[str, Any], dict[str, 'np.ndarray']]  # facts and arrays


def limit_process(memory: int, seconds: float, file_bytes: int) -> None:
  """Limits this process: memory (address space, bytes), time of computing (s), size of a file (bytes), no core dump."""
  computing = max(1, round(seconds))
  limits = {
    resource.RLIMIT_AS: (memory, memory),
    resource.RLIMIT_CPU: (computing, computing + 5),  # SIGXCPU, by which it is told from a crash; then SIGKILL
    resource.RLIMIT_FSIZE: (file_bytes, file_bytes),
    resource.RLIMIT_NOFILE: (64, 64),
    resource.RLIMIT_CORE: (0, 0),
  }
  for kind, limit in limits.items():
    with contextlib.suppress(ValueError, OSError):  # macOS does not limit all of them
      resource.setrlimit(kind, limit)
  os.nice(5)


def read_voice(task: dict[str, Any]) -> Read:
  """`wave`: the loudest minute of a recording, (S, C) at its own rate; `rate`, `seconds`, `warnings`."""
  from dubber_jax.errors import BadInput
  from dubber_jax.inference.voices import LONGEST, loudest_part
  from dubber_jax.media.sound import read_channels

  path, warnings = task['path'], []
  wave, rate = read_channels(path, 0.0, LONGEST_VOICE + 1)
  seconds = len(wave) / rate
  if not len(wave):
    raise BadInput(f'{path}: holds no sound; give another recording')
  if seconds > LONGEST_VOICE:
    raise BadInput(f'{path}: lasts more than {LONGEST_VOICE / 60:.0f} minutes; give a part of it, a minute is enough')
  if seconds > LONGEST:
    warnings.append(f'{task["name"]}: lasts {seconds:.0f} s; its loudest {LONGEST:.0f} s are used')
    wave = loudest_part(wave, rate, LONGEST)
  return {'rate': rate, 'seconds': seconds, 'warnings': warnings}, {'wave': wave}


def read_reference(task: dict[str, Any]) -> Read:
  """Of a recording or a clip, at most LONGEST_REFERENCE s: `wave` (S,) at SAMPLE_RATE, `frames` (L, H, W, 3) uint8 at
  25 a second, each where there is one; `rate`, `seconds`."""
  from dubber_jax.media.film import Film
  from dubber_jax.types import LIP_RATE, SAMPLE_RATE

  film, arrays = Film(Path(task['path'])), {}
  lasts = min(film.seconds, LONGEST_REFERENCE)
  if film.info.has_sound:
    arrays['wave'] = film.mono_span(0.0, lasts)
  if film.info.has_video:
    info = film.info
    shape = min(info.width, info.height) / max(info.width, info.height, 1)
    side = (FRAME_BYTES / max(1.0, 3 * LIP_RATE * lasts * shape)) ** 0.5
    arrays['frames'] = film.frames(0.0, lasts, LONGEST_REFERENCE + 1, min(WIDEST, int(side)))[0]
  return {'rate': SAMPLE_RATE, 'seconds': film.seconds}, arrays


def read_film(task: dict[str, Any]) -> Read:
  """Length, size, tracks and container of a film, the beginning of which is decoded."""
  from dubber_jax.errors import BadInput
  from dubber_jax.media.container import open_media
  from dubber_jax.media.film import Film

  film = Film(Path(task['path']))
  info = film.info
  if not info.has_video:
    raise BadInput(f'{film.path}: has no pictures; give a film')
  with open_media(film.path) as container:
    kind = container.format.name
  _try_film(film)
  facts = {name: getattr(info, name) for name in ('seconds', 'width', 'height', 'fps', 'codec', 'has_sound')}
  return facts | {'container': kind, 'warnings': list(info.warnings)}, {}


def _try_film(film) -> None:
  """Decodes the beginning of a film, for TRIED_SECONDS its sound and its pictures. Raises BadInput where it cannot."""
  from dubber_jax.media.container import choose_track, open_media
  from dubber_jax.media.video import decode_pictures

  if film.info.has_sound:
    _for_a_while(film.sound_blocks())
  with open_media(film.path) as container:
    _for_a_while(decode_pictures(container, choose_track(container, 'video', film.path), film.path))


def _for_a_while(parts) -> None:
  finish = time.process_time() + TRIED_SECONDS
  for _ in parts:
    if time.process_time() > finish:
      return


def decode_film(task: dict[str, Any]) -> Read:
  """Nothing: it decodes all that a dub decodes of a film, its pictures, its sound and its subtitles, and drops it, so
  that what a decoder dies of is found here. seconds: that it lasts; audio_track: as of a Film."""
  from dubber_jax.media.container import MEDIA_ERRORS, choose_track, open_media, tracks
  from dubber_jax.media.sound import decode_sound, open_sound
  from dubber_jax.media.video import decode_pictures

  path, tell = task['path'], _Teller(task['seconds'])
  with open_media(path) as container:
    has_sound, subtitles = bool(tracks(container, 'audio')), len(container.streams.subtitles)
    for time, _, _ in decode_pictures(container, choose_track(container, 'video', path), path):
      tell(time, 0.0, PICTURES_SHARE)
  if has_sound:
    with open_sound(path, task['audio_track']) as (container, stream, rate):
      count = 0
      for piece in decode_sound(container, stream, rate, path, 0.0, None):
        count += len(piece)
        tell(count / rate, PICTURES_SHARE, 1.0)
  for number in range(subtitles):
    with open_media(path) as container:
      stream = container.streams.subtitles[number]
      decoder: Any = stream.codec_context
      for packet in container.demux(stream):
        tell(task['seconds'], 0.0, 1.0)
        with contextlib.suppress(*MEDIA_ERRORS):  # such a text is left out of the dubbed film
          decoder.decode(packet)
  return {}, {}


class _Teller:
  """Writes how far a film is done, a few times a second. seconds: that it lasts."""

  def __init__(self, seconds: float):
    self.seconds, self._told = max(seconds, 0.001), time.monotonic()

  def __call__(self, at: float, low: float, high: float) -> None:
    """It is at a time (s) of a part that goes from one share of the work to another."""
    if time.monotonic() - self._told >= TELL_SECONDS:
      self._told = time.monotonic()
      print(f'{low + (high - low) * min(1.0, at / self.seconds):.4f}', flush=True)


def read_script(task: dict[str, Any]) -> Read:
  """`lines` of a script, each as the fields of a Line, and `warnings`. names: of characters, as of a cast."""
  import dataclasses

  from dubber_jax.errors import BadInput
  from dubber_jax.script.subtitles import load_script

  script = load_script(task['path'], overlap=True, names=task.get('names') or ())
  if len(script.lines) > MOST_LINES:
    raise BadInput(f'{task["path"]}: has {len(script.lines)} lines, the limit is {MOST_LINES}; cut it into parts')
  return {'lines': [dataclasses.asdict(line) for line in script.lines], 'warnings': list(script.warnings)}, {}


READERS = {
  'voice': read_voice,
  'reference': read_reference,
  'film': read_film,
  'whole film': decode_film,
  'script': read_script,
}


def answer(task: dict[str, Any]) -> dict[str, Any]:
  """Reads the file of a task and writes its arrays -> what result.json is to hold."""
  import numpy as np

  from dubber_jax.errors import BadInput

  try:
    facts, arrays = READERS[task['kind']](task)
    for name, array in arrays.items():
      np.save(Path(task['folder']) / f'{name}.npy', np.ascontiguousarray(array), allow_pickle=False)
    return {'facts': facts, 'arrays': [*arrays]}
  except BadInput as error:
    return {'error': str(error).replace(str(task['path']), task['name']), 'status': 422}
  except MemoryError:
    return {'error': f'{task["name"]}: takes more memory than an upload may', 'status': 413}


def main(arguments: list[str]) -> int:
  """Waits for a task and does it. arguments: limits of memory in bytes, of time in s and of files in bytes."""
  memory, seconds, file_bytes = arguments
  limit_process(int(memory), float(seconds), int(file_bytes))
  import dubber_jax.inference.voices
  import dubber_jax.media.film
  import dubber_jax.script.subtitles  # noqa: F401  (slow imports, before there is a task)

  line = sys.stdin.readline()
  if not line:
    return 0
  task = json.loads(line)
  result = json.dumps(answer(task))
  place = Path(task['folder']) / 'result.json'
  place.with_suffix('.part').write_text(result, encoding='utf-8')
  place.with_suffix('.part').replace(place)
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
