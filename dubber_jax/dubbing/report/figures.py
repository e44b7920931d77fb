"""The figures of one line for the report page: its sound, pictures and curves, as JSON. They take time: those of a take
are made once and kept beside it.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.opus import encode_opus
from dubber_jax.types import HOP, LIP_RATE, SAMPLE_RATE, MouthTrack, Take

FORMAT = 1  # of figures that are kept
THUMBNAILS, THUMBNAIL_SIDE = 9, 200  # pixels
PREVIEW_SIDE = 480  # pixels, longer side
MEL_WIDTH = 1100  # pixels
UNSEEN = -128
# The color map "inferno" (matplotlib, CC0) at even distances.
INFERNO = (
  (0, 0, 4),
  (20, 11, 53),
  (58, 9, 99),
  (96, 19, 110),
  (133, 33, 107),
  (169, 46, 94),
  (203, 65, 73),
  (230, 93, 47),
  (247, 131, 17),
  (252, 173, 18),
  (245, 219, 75),
  (252, 255, 164),
)


@dataclass(frozen=True)
class LineAssets:
  """The arrays of one line. Whatever is None is left out of the page."""

  take: Take | None = None  # mel, phonemes, durations, pitch, emotion, waveform
  frames: np.ndarray | None = None  # (L, H, W, 3) uint8 at 25 a second
  track: MouthTrack | None = None
  words: tuple[tuple[float, float, str], ...] = ()  # start s, end s, word
  offset: float = 0.0  # s: where the line's slot begins in the dubbed film


def line_figures(arrays: LineAssets, seconds: float | None = None, moving: bool = False) -> dict[str, Any]:
  """What the page shows of a line's arrays, as JSON.

  seconds: of its slot, where it has no take; moving: with its pictures as a small film, which is for lines whose dubbed
  film no browser plays. About 0.5 s; 60 to 100 kB.
  """
  take, track, frames = arrays.take, arrays.track, arrays.frames
  length = take.slot_seconds if take is not None and len(take.mel) else float(seconds or 0)
  length = length or (0 if frames is None else len(frames)) / LIP_RATE or 1.0
  wave = None if take is None else take.waveform
  pictures = frames if moving and frames is not None and len(frames) else None
  return {
    'format': FORMAT,
    'seconds': length,
    'sound': '' if wave is None or not len(wave) or pictures is not None else sound_uri(wave),
    'preview': embedded(_preview(pictures, wave), 'video/mp4') if pictures is not None else '',
    'timeline': _timeline(take, arrays, length) if take is not None else None,
    'strip': _strip(arrays, length),
    'lips': _live_lips(track),
    'facts': _facts(take, track),
    'emotion': None if take is None else [float(p) for p in take.emotion],
  }


def sound_uri(wave: np.ndarray, rate: int = SAMPLE_RATE) -> str:
  """A sound (S,) as Opus, for a page."""
  return embedded(encode_opus(wave, rate), 'audio/ogg')


def embedded(data: bytes, kind: str) -> str:
  """Data as an address that holds it."""
  return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _facts(take: Take | None, track: MouthTrack | None) -> list[list[str]]:
  """(name, value) of what is measured in the arrays."""
  facts = []
  if take is not None:
    voiced = take.pitch[take.pitch > 0]
    if len(voiced):
      facts.append(['pitch', f'{np.median(voiced):.0f} Hz'])
  if track is not None:
    facts.append(['mouth seen', f'{track.present.mean() if track.present.size else 0:.0%}'])
    if track.faces > 1:
      facts.append(['face', f'{track.face + 1} of {track.faces}'])
    if track.usable and take is not None:
      together = _correlation(track.opening, _level(take))
      if np.isfinite(together):
        facts.append(['lips with sound, r', f'{together:.2f}'])
  return facts


def _preview(frames: np.ndarray, wave: np.ndarray | None) -> bytes:
  """The line as a small mp4 that any browser plays, whatever container the film is in."""
  import av
  from PIL import Image

  height, width = frames.shape[1:3]
  scale = min(1.0, PREVIEW_SIDE / max(height, width))
  size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    pictures = container.add_stream('libx264', rate=LIP_RATE, options={'crf': '26', 'preset': 'veryfast'})
    pictures.width, pictures.height, pictures.pix_fmt = *size, 'yuv420p'
    sound = container.add_stream('aac', rate=SAMPLE_RATE, layout='mono') if wave is not None else None
    for picture in frames:
      if (picture.shape[1], picture.shape[0]) != size:
        picture = np.asarray(Image.fromarray(picture).resize(size))
      container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')))
    container.mux(pictures.encode(None))
    if sound is not None and wave is not None:
      for start in range(0, len(wave), 1024):
        block = av.AudioFrame.from_ndarray(wave[start : start + 1024].astype(np.float32)[None], 'fltp', 'mono')
        block.sample_rate, block.pts = SAMPLE_RATE, start
        container.mux(sound.encode(block))
      container.mux(sound.encode(None))
  return file.getvalue()


# Curves, on one time axis. Drawn as SVG of 1000 units across.

WIDE = 1000
VOWELS = 'AEIOU'


def _timeline(take: Take, arrays: LineAssets, length: float) -> dict[str, Any]:
  """Phonemes, mel with pitch, and the mouth's opening over the sound's level, against time."""
  return {
    'words': _words(arrays.words, length),
    'phonemes': _phonemes(take, length),
    'mel': _mel_image(take.mel),
    **_pitch_curve(take),
    **_opening_curve(arrays.track, take, length),
    'ticks': _ticks(length),
  }


def _ticks(length: float) -> list[dict[str, Any]]:
  step = next(s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if length / s <= 12)
  return [
    {'x': round(WIDE * t / length, 1), 'label': f'{t:g}'} for t in np.arange(0, length + 1e-6, step).round(2).tolist()
  ]


def _words(words: Sequence[tuple[float, float, str]], length: float) -> list[dict[str, Any]]:
  return [
    {'x': round(WIDE * start / length, 1), 'w': round(WIDE * (end - start) / length, 1), 'word': word}
    for start, end, word in words
    if word
  ]


def _phonemes(take: Take, length: float) -> list[dict[str, Any]]:
  ends = np.cumsum(take.durations) * HOP / SAMPLE_RATE
  starts = ends - np.asarray(take.durations) * HOP / SAMPLE_RATE
  blocks = []
  for symbol, start, end in zip(take.phonemes, starts, ends, strict=True):
    if end <= start:
      continue
    bare = symbol.lstrip('@').rstrip('012')
    kind = 'silence' if not bare.isupper() or not bare.isalpha() else ('vowel' if bare[0] in VOWELS else 'consonant')
    if kind == 'vowel' and symbol.endswith('1'):
      kind = 'stressed'
    width = WIDE * (end - start) / length
    blocks.append(
      {
        'x': round(WIDE * start / length, 1),
        'w': round(max(width - 1, 0.6), 1),
        'kind': kind,
        'label': bare if kind != 'silence' and width > 8 * len(bare) else '',
        'hint': f'{symbol.lstrip("@")}, {1000 * (end - start):.0f} ms',
      }
    )
  return blocks


def _mel_image(mel: np.ndarray) -> str:
  """The mel spectrogram (T, 80) as a WebP picture, low bands at the bottom."""
  from PIL import Image

  low, high = np.percentile(mel, (5, 99.7))
  shade = np.clip((mel.T[::-1] - low) / max(high - low, 1e-6), 0, 1)
  colors = np.stack([np.interp(shade, np.linspace(0, 1, len(INFERNO)), column) for column in np.array(INFERNO).T], -1)
  picture = Image.fromarray(colors.astype(np.uint8))
  picture = picture.resize((min(MEL_WIDTH, 3 * len(mel)), 160), Image.Resampling.BICUBIC)
  return embedded(_image_bytes(picture, 'WEBP', quality=72), 'image/webp')


def _image_bytes(picture: Any, kind: str, **options: Any) -> bytes:
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def _pitch_curve(take: Take) -> dict[str, Any]:
  """Runs of voiced frames as SVG points in a box 160 high, on a logarithmic axis, and the axis's ends in Hz."""
  pitch = np.asarray(take.pitch, np.float64)[: len(take.mel)]
  voiced = pitch > 0
  if voiced.sum() < 2:
    return {'pitch': [], 'pitch_low': '', 'pitch_high': ''}
  low, high = pitch[voiced].min() * 0.85, pitch[voiced].max() * 1.18
  x = (np.arange(len(pitch)) + 0.5) * WIDE / len(take.mel)
  y = 160 - 160 * np.log(np.maximum(pitch, 1e-3) / low) / math.log(high / low)
  runs = np.split(np.arange(len(pitch)), np.flatnonzero(np.diff(voiced.astype(int))) + 1)
  curves = [' '.join(f'{x[i]:.1f},{y[i]:.1f}' for i in run) for run in runs if voiced[run[0]] and len(run) > 1]
  return {'pitch': curves, 'pitch_low': f'{low:.0f} Hz', 'pitch_high': f'{high:.0f} Hz'}


def _opening_curve(track: MouthTrack | None, take: Take, length: float) -> dict[str, Any]:
  """The mouth's opening as an area and the sound's level as a line, in a box 90 high, each to its own scale."""
  level = _level(take)
  low, high = np.percentile(level, 3), level.max()
  heights = 86 - 80 * np.clip((level - low) / max(high - low, 1e-6), 0, 1)
  x = (np.arange(len(level)) + 0.5) * WIDE / len(level)
  curve = {'level': ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(x, heights, strict=True)), 'opening': [], 'widest': ''}
  if track is None or not track.present.any():
    return curve
  widest = max(float(track.opening[track.present].max()), 1e-3)
  x = (np.arange(len(track.opening)) + 0.5) / LIP_RATE / length * WIDE
  y = 88 - 82 * track.opening / widest
  runs = np.split(np.arange(len(x)), np.flatnonzero(np.diff(track.present.astype(int))) + 1)
  for run in runs:
    if track.present[run[0]]:
      top = ' '.join(f'{x[i]:.1f},{y[i]:.1f}' for i in run)
      curve['opening'].append(f'{x[run[0]]:.1f},90 {top} {x[run[-1]]:.1f},90')
  curve['widest'] = f'{widest:.2f} eye distances'
  return curve


def _level(take: Take) -> np.ndarray:
  """Sound level per mel frame (T,), dB."""
  return 10 * np.log10(np.square(np.exp(np.asarray(take.mel, np.float64))).sum(1) + 1e-10)


def _correlation(opening: np.ndarray, level: np.ndarray) -> float:
  """Of the mouth's opening with the level at the same moments."""
  at = np.clip(((np.arange(len(opening)) + 0.5) / LIP_RATE * SAMPLE_RATE / HOP).astype(int), 0, len(level) - 1)
  if len(opening) < 3 or np.std(opening) < 1e-6 or np.std(level[at]) < 1e-6:
    return float('nan')
  return float(np.corrcoef(opening, level[at])[0, 1])


# The frames with the mouth track


def _strip(arrays: LineAssets, length: float) -> list[dict[str, Any]]:
  """Frames at even distances as WebP, cut to the face, each with its face box, its lips in place and its time."""
  from PIL import Image

  frames, track = arrays.frames, arrays.track
  if frames is None or not len(frames):
    return []
  left, top, right, bottom = cut = _around_face(frames.shape[2], frames.shape[1], track)
  count = min(THUMBNAILS, len(frames))
  shown = []
  for i in ((np.arange(count) + 0.5) * len(frames) / count).astype(int):
    picture = Image.fromarray(frames[i]).crop(cut)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    mouth = track.boxes[i] if track is not None and i < len(track.present) and track.present[i] else None
    box = [round(float(v), 1) for v in mouth] if mouth is not None else [0, 0, 0, 0]
    shown.append(
      {
        'src': embedded(_image_bytes(picture, 'WEBP', quality=68), 'image/webp'),
        'view': f'{left} {top} {right - left} {bottom - top}',
        'left': left,
        'top': top,
        'width': right - left,
        'height': bottom - top,
        'time': f'{(i + 0.5) * length / len(frames):.2f}',
        'x': box[0],
        'y': box[1],
        'w': box[2] - box[0],
        'h': box[3] - box[1],
        'present': mouth is not None,
        'lips': _lips_in_frame(frames[i], mouth) if mouth is not None else [],
        'stroke': round((right - left) / 110, 2),
      }
    )
  return shown


def _around_face(width: int, height: int, track: MouthTrack | None) -> tuple[int, int, int, int]:
  """Left, top, right, bottom of the part of the frames to show: where the face goes, or all of it."""
  if track is None or not track.present.any():
    return 0, 0, width, height
  boxes = track.boxes[track.present]
  left, top = boxes[:, :2].min(0)
  right, bottom = boxes[:, 2:].max(0)
  half = 0.62 * max(right - left, bottom - top)
  x, y = (left + right) / 2, (top + bottom) / 2
  return max(0, int(x - half)), max(0, int(y - half)), min(width, int(x + half)), min(height, int(y + half))


def _lips_in_frame(frame: np.ndarray, box: np.ndarray) -> list[str]:
  """The two lip outlines in the frame's pixels. The track keeps lips freed of place, so they are found again."""
  from dubber_jax.perception import lips

  left, top, right, bottom = (float(v) for v in box)
  side = lips.MARGIN * max(right - left, bottom - top)
  try:
    points, _ = lips.landmarks(frame, lips.Crop((left + right) / 2, (top + bottom) / 2, side))
    points, sure = lips.landmarks(frame, lips.Crop.around(points))  # again, with the head upright
  except BadInput:  # the landmark model is gone: the box has to do
    return []
  if sure < lips.MIN_CONFIDENCE:
    return []
  return [
    ' '.join(f'{x:.1f},{y:.1f}' for x, y in points[list(contour), :2]) for contour in (lips.OUTER_LIPS, lips.INNER_LIPS)
  ]


def _live_lips(track: MouthTrack | None) -> str:
  """The 40 lip points of each frame in hundredths of an eye distance as signed bytes, 80 a frame, in base64; the mouth
  moves with the player by it. A frame in which no mouth was seen is all UNSEEN."""
  if track is None:
    return ''
  points = np.clip(np.round(100 * track.lips[:, :80]), -127, 127).astype(np.int8)
  points[~track.present] = UNSEEN
  return base64.b64encode(points.tobytes()).decode()
