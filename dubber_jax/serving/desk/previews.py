"""What the desk's page plays and shows: the film as browsers play it, a line's own sound and picture, exemplars."""

import contextlib
import functools
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubber_jax.dubbing.line_references import PICTURE, SOUND, jpeg_bytes, reference_folder
from dubber_jax.dubbing.project import ProjectState
from dubber_jax.dubbing.project_paths import file_stamp
from dubber_jax.errors import BadInput
from dubber_jax.media.container import choose_track, open_media, tracks
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.sound import read_sound, wav_bytes
from dubber_jax.media.video import decode_pictures, probe, read_frames, rotation_of, upright_rgb
from dubber_jax.retrieval.reference import KEY
from dubber_jax.serving.desk.sessions import ProjectSession
from dubber_jax.serving.errors import ApiError
from dubber_jax.storage.atomic import atomic_file, disk_errors, remove_abandoned
from dubber_jax.types import SAMPLE_RATE

logger = logging.getLogger(__name__)

PLAYED_CONTAINERS = ('mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm')  # by ffmpeg's names; of the latter .webm alone
PLAYED_VIDEO = ('h264', 'vp8', 'vp9', 'av1')
PLAYED_SOUND = ('aac', 'mp3', 'opus', 'vorbis')
PLAYED_PIXELS = ('yuv420p', 'yuvj420p')
PREVIEW_SIDE = 960  # pixels of the longer side of a film that is encoded again
MOST_RATE = 30.0  # pictures a second
BITS = 96_000  # bits/s of its sound
EXEMPLAR_SIDE = 320


def is_playable(film: Film) -> bool:
  """Whether browsers play a film's file as it is: MP4 or WebM of usual codecs, upright, one track of each."""
  return _is_playable(film, file_stamp(film.path))


@functools.lru_cache(maxsize=256)
def _is_playable(film: Film, _: tuple[int, int] | None) -> bool:
  with open_media(film.path) as container:
    videos, sounds = tracks(container, 'video'), tracks(container, 'audio')
    if container.format.name not in PLAYED_CONTAINERS or len(videos) != 1 or len(sounds) > 1:
      return False
    if 'webm' in container.format.name and film.path.suffix.lower() != '.webm':
      return False
    if 'mp4' in container.format.name and film.path.suffix.lower() not in ('.mp4', '.m4v'):
      return False
    video = videos[0].codec_context
    codecs = video.codec.canonical_name in PLAYED_VIDEO and video.pix_fmt in PLAYED_PIXELS
    return codecs and all(sound.codec_context.codec.canonical_name in PLAYED_SOUND for sound in sounds)


class FilmPreviews:
  """Films as browsers play them, made once, one at a time, and kept in a folder by the hash of the film."""

  def __init__(self, folder: Path):
    self.folder = folder
    self._pool = ThreadPoolExecutor(1, 'dubber-preview')
    self._making: dict[Path, Future[None]] = {}
    self._lock, self._stopped = threading.Lock(), threading.Event()

  def stop(self) -> None:
    """Ends what is being made."""
    self._stopped.set()
    self._pool.shutdown(wait=False, cancel_futures=True)

  def find(self, session: ProjectSession, state: ProjectState) -> tuple[Path, str, 'Future[None] | None']:
    """A file that browsers play, its media type, and the work that makes it, None where it is there.

    Raises ApiError 409 where the film is missing.
    """
    film = session.film(state)
    if film.audio_track in (None, 0) and is_playable(film):
      return film.path, 'video/webm' if film.path.suffix.lower() == '.webm' else 'video/mp4', None
    track = '' if film.audio_track is None else f'-{film.audio_track}'
    path = self.folder / f'{state.film_hash}{track}.mp4'
    with self._lock:
      if path.exists():
        return path, 'video/mp4', None
      if path not in self._making:
        self._making[path] = self._pool.submit(self._make, session, film, path)
      return path, 'video/mp4', self._making[path]

  def discard(self, film_hash: str) -> None:
    """Deletes what was made of a film."""
    for path in self.folder.glob(f'{film_hash}*.mp4'):
      path.unlink(missing_ok=True)

  def _make(self, session: ProjectSession, film: Film, path: Path) -> None:
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      remove_abandoned(path)
      with disk_errors(path), atomic_file(path, sync=False) as partial:
        write_preview(film, partial, self._stopped)
      if not session.work.exists:  # it was deleted meanwhile
        path.unlink()
      session.publish('film', {'ready': True})
    finally:
      with self._lock:
        self._making.pop(path, None)


def write_preview(film: Film, out: Path, stopped: threading.Event | None = None) -> None:
  """Writes a film as MP4 (H.264, AAC) of at most PREVIEW_SIDE pixels and MOST_RATE pictures a second, upright, with its
  index in front. stopped: ends it with BadInput."""
  options = {'movflags': '+faststart'}
  with open_media(film.path) as container, av.open(str(out), 'w', format='mp4', options=options) as made:
    stream = choose_track(container, 'video', film.path)
    rate = Fraction(min(MOST_RATE, max(1.0, film.info.fps or 25.0))).limit_denominator(1001)
    width, height = _size(film.info.width, film.info.height)
    picture = made.add_stream('libx264', rate=rate, options={'preset': 'ultrafast', 'crf': '26', 'tune': 'fastdecode'})
    picture.width, picture.height, picture.pix_fmt = width, height, 'yuv420p'
    picture.time_base = picture.codec_context.time_base = Fraction(1, 90_000)
    picture.codec_context.gop_size = 25  # seeks to a line's start are frequent
    sound = made.add_stream('aac', rate=SOUND_RATE, layout='stereo') if film.info.has_sound else None
    if sound is not None:
      sound.bit_rate = BITS
    blocks = film.sound_blocks() if sound is not None else iter(())
    heard, last = 0, -1.0
    for time, _, frame in decode_pictures(container, stream, film.path):
      if stopped is not None and stopped.is_set():
        raise BadInput('the server stops')
      if time - last < 0.9 / float(rate):
        continue
      last = time
      upright = frame.reformat(width, height, 'yuv420p') if not rotation_of(frame) else _turned(frame, width, height)
      upright.pts, upright.time_base = round(time * 90_000), Fraction(1, 90_000)
      made.mux(picture.encode(upright))
      while sound is not None and heard < (time + 1) * SOUND_RATE and (block := next(blocks, None)) is not None:
        made.mux(sound.encode(_sound_frame(block, heard)))
        heard += len(block)
    for block in blocks:
      made.mux(sound.encode(_sound_frame(block, heard)))  # pyright: ignore[reportOptionalMemberAccess]
      heard += len(block)
    for encoder in filter(None, (picture, sound)):
      made.mux(encoder.encode(None))


def _size(width: int, height: int) -> tuple[int, int]:
  scale = min(1.0, PREVIEW_SIDE / max(width, height))
  return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _turned(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
  return av.VideoFrame.from_ndarray(upright_rgb(frame), format='rgb24').reformat(width, height, 'yuv420p')


def _sound_frame(block: np.ndarray, position: int) -> av.AudioFrame:
  """A block (S, C) as stereo: of more channels the front ones, with the center in both."""
  if block.shape[1] == 1:
    stereo = np.repeat(block, 2, 1)
  elif block.shape[1] == 2:
    stereo = block
  else:
    stereo = block[:, :2] + 0.71 * block[:, 2:3]
  samples = np.ascontiguousarray(np.clip(stereo, -1, 1).T.astype(np.float32))
  frame = av.AudioFrame.from_ndarray(samples, 'fltp', 'stereo')
  frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, position, Fraction(1, SOUND_RATE)
  return frame


def original_sound(session: ProjectSession, state: ProjectState, number: int) -> bytes:
  """The film's own sound in a line's slot, as a WAV."""
  line, film = state.lines[number - 1], session.film(state)
  if not film.info.has_sound:
    raise ApiError(404, 'the film has no sound', 'no_sound')
  return wav_bytes(film.mono_span(line.start or 0.0, line.end or film.seconds), SAMPLE_RATE)


def line_picture(session: ProjectSession, state: ProjectState, number: int) -> bytes:
  """The picture in the middle of a line's slot, as a JPEG."""
  line, film = state.lines[number - 1], session.film(state)
  middle = ((line.start or 0.0) + (line.end or film.seconds)) / 2
  frames, _ = film.frames(middle, min(middle + 0.04, film.seconds), max_side=EXEMPLAR_SIDE * 2)
  return jpeg_bytes(frames[0])


def exemplar_media(session: ProjectSession, state: ProjectState, key: str) -> tuple[Path | None, Path | None]:
  """(sound, picture) of an exemplar as files, None where there is none. The key names a clip of the library, or a
  reference of a line; no path is made of it."""
  if key.startswith(KEY):
    for number in range(1, len(state.lines) + 1):
      with contextlib.suppress(BadInput):
        folder = reference_folder(session.work, number, key.removeprefix(KEY))
        if folder.is_dir():
          sound, picture = folder / SOUND, folder / PICTURE
          return sound if sound.exists() else None, picture if picture.exists() else None
    return None, None
  try:
    library = session.library(state)
  except BadInput as error:
    logger.warning(str(error))
    return None, None
  rows = [] if library is None else np.flatnonzero(library.keys == key)
  if library is None or not len(rows):
    return None, None
  clip = library.clips[int(rows[0])]
  media = library.media_path(clip)
  if not media:
    return None, None
  seen = any(m in clip.present for m in ('scene', 'face')) and Path(media).suffix.lower() in ('.mp4', '.mkv', '.mov')
  return Path(media) if 'sound' in clip.present else None, Path(media) if seen else None


def exemplar_sound(session: ProjectSession, state: ProjectState, key: str) -> bytes:
  """The sound of an exemplar as a WAV. Raises ApiError 404 where it is not there."""
  path, _ = exemplar_media(session, state, key)
  if path is None:
    raise ApiError(404, 'the sound of this exemplar is not here', 'no_exemplar')
  start, end = _span(session, state, key)
  return wav_bytes(read_sound(path, SAMPLE_RATE, start, end), SAMPLE_RATE)


def exemplar_picture(session: ProjectSession, state: ProjectState, key: str) -> bytes:
  """A picture of an exemplar as a JPEG. Raises ApiError 404 where it is not there."""
  _, path = exemplar_media(session, state, key)
  if path is None:
    raise ApiError(404, 'the picture of this exemplar is not here', 'no_exemplar')
  if path.suffix.lower() == '.jpg':
    return path.read_bytes()
  start, end = _span(session, state, key)
  middle = ((start or 0.0) + (probe(path).seconds if end is None else end)) / 2
  frames, _ = read_frames(path, max(0.0, middle - 0.04), middle, max_side=EXEMPLAR_SIDE)
  return jpeg_bytes(frames[0])


def _span(session: ProjectSession, state: ProjectState, key: str) -> tuple[float | None, float | None]:
  library = None if key.startswith(KEY) else session.library(state)
  if library is None:
    return None, None
  clip = library.clips[int(np.flatnonzero(library.keys == key)[0])]
  return clip.start, clip.end
