"""report.html: one page, in one file, on which a person sees and hears what was done with a clip.

Everything is inside the file (pictures, sound, the film itself where it is small enough), so that it can be sent
around and opened without a network. Numbers come from the result of `dub` (the same as `--json` writes), pictures
and curves from the assets beside it. What is missing is left out of the page.

A result, or one of its `lines[]` where there are several:

    line         {text, character, stage_direction, start, end}
    voice        name of the voice
    reading      {captions: {modality: str}, emotions: {modality: probabilities}}
    exemplars    {modality: [{key, similarity, text, emotion, media, prosody}]}
    direction    the fields of Direction
    rounds       [{direction, takes: [{scores}], best_score, why}], why it was accepted or what has to change
    seconds      {stage: seconds}
    slot_seconds, speech_seconds, rehearsal_seconds, compile_seconds, warnings
    overrun_seconds  for which the line goes on after its slot, by a natural fit

Probabilities are eight numbers in the order of EMOTIONS, or a dict by emotion.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dubber_jax.actor.duration import SLOWEST, UNHURRIED
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import read_sound, wav_bytes
from dubber_jax.storage.atomic import complete_file
from dubber_jax.types import EMOTIONS, HOP, LIP_RATE, MODALITIES, SAMPLE_RATE, MouthTrack, Take

COLORS = {
  'angry': '#e5533d',
  'disgust': '#93ab45',
  'fear': '#8f7fe0',
  'happy': '#f0b535',
  'neutral': '#a3aeb2',
  'sad': '#5590d9',
  'surprise': '#3fc4bd',
  'others': '#cb80c8',
}
LARGEST_FILM = 24_000_000  # bytes of a film that goes into the page; a larger one is linked to
LARGEST_EXEMPLAR = 1_500_000  # bytes; a longer one is not worth waiting for
PLAYABLE = {  # by a browser: suffix, and the codecs of its pictures
  '.mp4': ('video/mp4', ('h264', 'av1')),
  '.m4v': ('video/mp4', ('h264', 'av1')),
  '.webm': ('video/webm', ('vp8', 'vp9', 'av1')),
}
THUMBNAILS = 9
PREVIEW_SIDE = 480  # pixels, longer side


@dataclass(frozen=True)
class LineAssets:
  """The arrays of one line. Whatever is None is left out of the page."""

  take: Take | None = None  # mel, phonemes, durations, pitch, emotion, waveform
  frames: np.ndarray | None = None  # (L, H, W, 3) uint8 at 25 a second
  track: MouthTrack | None = None
  words: tuple[tuple[float, float, str], ...] = ()  # start s, end s, word
  offset: float = 0.0  # s: where the line's slot begins in the dubbed film


@dataclass(frozen=True)
class ReportAssets:
  """The arrays of each line in the order of the result, and the files that were written."""

  lines: tuple[LineAssets, ...] = field(default_factory=tuple)
  video: str = ''  # path of the dubbed film
  sound: str = ''  # path of the dialogue stem, or of the wav of `speak`
  source: str = ''  # the film as it was, to be named


def write_report(result: dict, out_html: str | Path, assets: ReportAssets, overwrite: bool = True) -> None:
  """Writes the page for one dub: of one line, or of several under `result['lines']`.

  It appears only when complete. About 1 s a line; 0.3 to 1 MB a line, and the film where it is small enough.
  Raises BadInput where the file cannot be written, or there are not as many assets as lines.
  """
  out_html = Path(out_html)
  results = list(result.get('lines') or [result])
  if len(assets.lines) != len(results):
    raise BadInput(f'the report has {len(results)} lines but {len(assets.lines)} assets: give one for each')
  film = _film(assets.video, out_html)
  several = len(results) > 1
  page = {
    'title': Path(assets.video or assets.sound or out_html).name,
    'source': Path(assets.source).name,
    'film': film,
    'stem': _link(assets.sound, out_html),
    'several': several,
    'warnings': list(dict.fromkeys(result.get('warnings') or ())),
    'totals': _totals(result, results),
    'lines': [
      _line(number, line, arrays, film if not several else None)
      for number, (line, arrays) in enumerate(zip(results, assets.lines, strict=True), 1)
    ],
    'colours': COLORS,
  }
  html = _template().render(page)
  with complete_file(out_html, overwrite) as beside:
    beside.write_text(html, encoding='utf-8')


def _template():
  from jinja2 import Environment, StrictUndefined

  source = Path(__file__).with_name('report.html').read_text(encoding='utf-8')
  return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
    source
  )


def _line(number: int, result: Mapping, arrays: LineAssets, film: dict | None) -> dict:
  """All that the template shows of one line."""
  line = result.get('line') or {}
  line = {'text': line} if isinstance(line, str) else line
  direction = result.get('direction') or _last_direction(result)
  reading = result.get('reading') or {}
  length = _slot(result, arrays)
  player = _player(arrays, film)
  mood = _strongest(direction.get('emotion')) or 'neutral'
  return {
    'number': number,
    'text': line.get('text') or '',
    'character': line.get('character') or '',
    'stage_direction': line.get('stage_direction') or '',
    'when': _when(line, arrays),
    'voice': _voice(result),
    'mood': mood,
    'colour': COLORS[mood],
    'player': player,
    'note': direction.get('note') or '',
    'note_zh': direction.get('note_zh') or '',
    'spoken': _spoken(line.get('text') or '', direction),
    'dials': _dials(direction) if direction else [],
    'sources': _sources(reading, direction, arrays.take),
    'exemplars': _exemplars(result.get('exemplars') or {}),
    'rounds': _rounds(result.get('rounds') or []),
    'seconds': _seconds(result, length),
    'facts': _facts(result, arrays, length),
    'timeline': _timeline(arrays, length) if arrays.take is not None else None,
    'strip': _strip(arrays, length),
    'live': {
      'offset': player['offset'] if player else 0.0,
      'seconds': round(length, 4),
      'lips': _live_lips(arrays.track),
      'rate': LIP_RATE,
    },
    'warnings': list(dict.fromkeys(result.get('warnings') or ())),
  }


def _last_direction(result: Mapping) -> Mapping:
  rounds = result.get('rounds') or []
  return (rounds[-1].get('direction') or {}) if rounds else {}


def _slot(result: Mapping, arrays: LineAssets) -> float:
  if arrays.take is not None and len(arrays.take.mel):
    return arrays.take.slot_seconds
  frames = 0 if arrays.frames is None else len(arrays.frames)
  return float(result.get('slot_seconds') or frames / LIP_RATE or 1.0)


def _voice(result: Mapping) -> str:
  voice = result.get('voice') or ''
  return str(voice.get('name', '') if isinstance(voice, Mapping) else voice)


def _when(line: Mapping, arrays: LineAssets) -> str:
  start = line.get('start')
  start = arrays.offset if start is None else float(start)
  return f'{int(start // 60)}:{start % 60:05.2f}'


# What can be played


def _film(path: str, out_html: Path) -> dict | None:
  """The dubbed film for a browser, inside the page or, where it is large, as a link; None if it cannot play it."""
  if not path or not Path(path).exists():
    return None
  kind, codecs = PLAYABLE.get(Path(path).suffix.lower(), ('', ()))
  if not kind or _codec(path) not in codecs:
    return None
  small = Path(path).stat().st_size <= LARGEST_FILM
  source = _embedded(Path(path).read_bytes(), kind) if small else _link(path, out_html)
  return {'src': source, 'kind': 'video', 'offset': 0.0}


def _codec(path: str) -> str:
  from dubber_jax.media.video import probe

  try:
    return probe(path).codec
  except BadInput:
    return ''


def _player(arrays: LineAssets, film: dict | None) -> dict | None:
  """What plays this line: the film, else the line's frames with its take, else the take alone."""
  if film is not None:
    return {**film, 'offset': round(arrays.offset, 3)}
  wave = None if arrays.take is None else arrays.take.waveform
  if arrays.frames is not None and len(arrays.frames):
    return {'src': _embedded(_preview(arrays.frames, wave), 'video/mp4'), 'kind': 'video', 'offset': 0.0}
  if wave is not None and len(wave):
    return {'src': _embedded(wav_bytes(wave, SAMPLE_RATE), 'audio/wav'), 'kind': 'audio', 'offset': 0.0}
  return None


def _preview(frames: np.ndarray, wave: np.ndarray | None) -> bytes:
  """The line as a small mp4 that any browser plays, whatever container the film is in."""
  import av
  from PIL import Image

  height, width = frames.shape[1:3]
  scale = min(1.0, PREVIEW_SIDE / max(height, width))
  size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    pictures = container.add_stream('libx264', rate=LIP_RATE, options={'crf': '23', 'preset': 'veryfast'})
    pictures.width, pictures.height, pictures.pix_fmt = *size, 'yuv420p'
    sound = container.add_stream('aac', rate=SAMPLE_RATE, layout='mono') if wave is not None else None
    for picture in frames:
      if (picture.shape[1], picture.shape[0]) != size:
        picture = np.asarray(Image.fromarray(picture).resize(size))
      container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')))
    container.mux(pictures.encode(None))
    if sound is not None:
      for start in range(0, len(wave), 1024):
        block = av.AudioFrame.from_ndarray(np.float32(wave[start : start + 1024])[None], 'fltp', 'mono')
        block.sample_rate, block.pts = SAMPLE_RATE, start
        container.mux(sound.encode(block))
      container.mux(sound.encode(None))
  return file.getvalue()


def _embedded(data: bytes, kind: str) -> str:
  return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _link(path: str, out_html: Path) -> str:
  """The file's address as seen from the page; '' where there is none."""
  import os
  from urllib.parse import quote

  if not path or not Path(path).exists():
    return ''
  return quote(os.path.relpath(Path(path).resolve(), out_html.resolve().parent).replace(os.sep, '/'))


def _exemplar_player(media: str) -> dict | None:
  path = Path(media) if media else None
  if path is None or not path.is_file():
    return None
  kind, codecs = PLAYABLE.get(path.suffix.lower(), ('', ()))
  if kind and path.stat().st_size <= LARGEST_EXEMPLAR and _codec(media) in codecs:
    return {'src': _embedded(path.read_bytes(), kind), 'kind': 'video'}
  try:
    wave = read_sound(media, 16000)[: 16000 * 20]
  except BadInput:  # an exemplar that cannot be heard does not spoil the report
    return None
  peak = float(np.abs(wave).max(initial=0.0))
  return {'src': _embedded(wav_bytes(wave / peak * 0.8 if peak else wave, 16000), 'audio/wav'), 'kind': 'audio'}


# What the director saw and said


def _probabilities(values) -> list[float]:
  """Eight numbers from eight numbers, or from a dict by emotion; none from nothing."""
  if values is None or len(values) == 0:
    return []
  if isinstance(values, Mapping):
    values = [values.get(emotion, 0.0) for emotion in EMOTIONS]
  return [float(value) for value in values]


def _strongest(values) -> str:
  values = _probabilities(values)
  return EMOTIONS[int(np.argmax(values))] if values else ''


def _bars(values) -> list[dict]:
  values = _probabilities(values)
  best = max(values, default=0.0)
  return [
    {'emotion': emotion, 'percent': round(100 * value), 'colour': COLORS[emotion], 'best': value == best > 0}
    for emotion, value in zip(EMOTIONS, values, strict=False)
  ]


def _sources(reading: Mapping, direction: Mapping, take: Take | None) -> list[dict]:
  """A card of emotion bars for each thing that was seen, for what was directed and for what came out."""
  captions, emotions = reading.get('captions') or {}, reading.get('emotions') or {}
  cards = [
    {'title': f'The {modality}', 'caption': captions.get(modality, ''), 'bars': _bars(emotions.get(modality))}
    for modality in MODALITIES
  ]
  if any(card['bars'] or card['caption'] for card in cards):
    for card in cards:
      if not card['bars'] and not card['caption']:
        card['caption'] = 'nothing to go by'
  else:  # spoken without a film
    cards = []
  directed = {'title': 'Directed', 'caption': '', 'bars': _bars(direction.get('emotion'))}
  heard = {'title': 'Heard in the take', 'caption': '', 'bars': _bars(None if take is None else take.emotion)}
  return cards + [card for card in (directed, heard) if card['bars']]


def _spoken(text: str, direction: Mapping) -> list[dict]:
  """The line's words with how each is to be said: weight and the pause after it."""
  words = text.split()
  emphasis = list(direction.get('emphasis') or ())
  pauses = {int(word): float(seconds) for word, seconds in direction.get('pauses') or ()}
  most = max(emphasis, default=0.0)
  return [
    {
      'word': word,
      'stressed': bool(most > 0 and i < len(emphasis) and emphasis[i] >= 0.8 * most and min(emphasis) < most),
      'pause': f'{pauses[i]:.1f} s' if i in pauses else '',
    }
    for i, word in enumerate(words)
  ]


def _dials(direction: Mapping) -> list[dict]:
  """How the direction differs from a plain delivery: a needle each, between two words."""

  def dial(name, low, high, key, plain, span, show, ratio=False):
    value = float(direction.get(key, plain))
    scale = (lambda v: math.log(max(v, 1e-3))) if ratio else float
    place = lambda v: min(1.0, max(0.0, (scale(v) - scale(span[0])) / (scale(span[1]) - scale(span[0]))))  # noqa: E731
    here, rest = 100 * place(value), 100 * place(plain)
    return {
      'name': name,
      'low': low,
      'high': high,
      'value': show(value),
      'place': round(here, 1),
      'rest': round(rest, 1),
      'from': round(min(here, rest), 1),
      'width': round(abs(here - rest), 1),
    }

  percent = '{:.0%}'.format
  return [
    dial('Intensity', 'held back', 'full', 'intensity', 0.5, (0, 1), percent),
    dial('Pace', 'slower', 'faster', 'pace', 1.0, (SLOWEST, UNHURRIED), '×{:.2f}'.format, ratio=True),
    dial('Pitch', 'lower', 'higher', 'pitch_shift', 0.0, (-6, 6), '{:+.1f} st'.format),
    dial('Pitch range', 'flatter', 'livelier', 'pitch_range', 1.0, (0.5, 2), '×{:.2f}'.format, ratio=True),
    dial('Loudness', 'quieter', 'louder', 'loudness', 0.0, (-10, 10), '{:+.1f} dB'.format),
    dial('Breath', 'clear', 'breathy', 'breathiness', 0.0, (0, 1), percent),
    dial('Tremor', 'steady', 'shaking', 'tremor', 0.0, (0, 1), percent),
  ]


PROSODY = {
  'pace': '{:.1f} phonemes/s',
  'pitch': '{:.0f} Hz',
  'range': '{:.0f} st',
  'loudness': '{:.0f} LUFS',
  'pauses': '{:.0%} pauses',
}


def _exemplars(exemplars: Mapping) -> list[dict]:
  columns = []
  for modality in MODALITIES:
    cards = []
    for clip in exemplars.get(modality) or ():
      similarity = float(clip.get('similarity') or 0.0)
      prosody = clip.get('prosody') or {}
      cards.append(
        {
          'key': clip.get('key') or '',
          'text': clip.get('text') or '',
          'emotion': clip.get('emotion') or '',
          'colour': COLORS.get(clip.get('emotion') or '', COLORS['neutral']),
          'similarity': f'{similarity:.2f}',
          'percent': round(100 * min(1.0, max(0.0, similarity))),
          'prosody': [
            PROSODY[name].format(value) for name, value in prosody.items() if name in PROSODY and np.isfinite(value)
          ],
          'player': _exemplar_player(clip.get('media') or ''),
        }
      )
    if cards:
      columns.append({'title': f'Like the {modality}', 'cards': cards})
  return columns


# The rehearsal


def _rounds(rounds: Sequence[Mapping]) -> list[dict]:
  scores = [entry.get('best_score') for entry in rounds]
  known = [score for score in scores if score is not None]
  best = max(known, default=None)
  shown = []
  for number, entry in enumerate(rounds, 1):
    takes = entry.get('takes') or []
    takes = list(takes) if isinstance(takes, Sequence) else [{}] * int(takes)
    scored = [take.get('scores') or {} for take in takes if isinstance(take, Mapping)]
    shown.append(
      {
        'number': number,
        'note': (entry.get('direction') or {}).get('note') or '',
        'why': entry.get('why') or '',
        'takes': len(takes),
        'score': None if entry.get('best_score') is None else f'{float(entry["best_score"]):.3f}',
        'percent': 0 if entry.get('best_score') is None else round(100 * min(1.0, max(0.0, entry['best_score']))),
        'kept': entry.get('best_score') is not None and entry['best_score'] == best,
        'scores': [
          ', '.join(f'{name} {float(value):.2f}' for name, value in sorted(scores.items()))
          for scores in scored
          if scores
        ],
      }
    )
  return shown


STAGE_COLORS = ('#d9a441', '#6fa8a0', '#c8705a', '#7f8fc9', '#a9b665', '#b983b0', '#8a9aa0', '#d08c60')


def _seconds(result: Mapping, slot: float) -> dict | None:
  """The time each stage took, as shares of a bar."""
  stages = {name: float(value) for name, value in (result.get('seconds') or {}).items()}
  if not stages:
    stages = {
      name: float(result[f'{name}_seconds']) for name in ('rehearsal', 'compile') if result.get(f'{name}_seconds')
    }
  total = sum(stages.values())
  if total <= 0:
    return None
  return {
    'total': f'{total:.2f}',
    'factor': f'{total / slot:.2f}',
    'stages': [
      {
        'name': name.replace('_', ' '),
        'seconds': f'{value:.2f}',
        'percent': round(100 * value / total, 2),
        'colour': color,
      }
      for (name, value), color in zip(stages.items(), STAGE_COLORS * (1 + len(stages) // 8), strict=False)
    ],
  }


def _facts(result: Mapping, arrays: LineAssets, length: float) -> list[dict]:
  facts = [('slot', f'{result.get("slot_seconds") or length:.2f} s')]
  if result.get('speech_seconds') is not None:
    facts.append(('speech', f'{result["speech_seconds"]:.2f} s'))
  if result.get('overrun_seconds'):
    facts.append(('runs on after its slot', f'{result["overrun_seconds"]:.2f} s'))
  if arrays.take is not None:
    voiced = arrays.take.pitch[arrays.take.pitch > 0]
    if len(voiced):
      facts.append(('pitch', f'{np.median(voiced):.0f} Hz'))
  track = arrays.track
  if track is not None:
    facts.append(('mouth seen', f'{track.present.mean() if track.present.size else 0:.0%}'))
    if track.faces > 1:
      facts.append(('face', f'{track.face + 1} of {track.faces}'))
    if track.usable and arrays.take is not None:
      together = _correlation(track.opening, _level(arrays.take))
      if np.isfinite(together):
        facts.append(('lips with sound, r', f'{together:.2f}'))
  rounds = result.get('rounds') or []
  if len(rounds) > 1:
    facts.append(('rounds', str(len(rounds))))
  return [{'name': name, 'value': value} for name, value in facts]


def _totals(result: Mapping, results: Sequence[Mapping]) -> list[dict]:
  names = {
    'slot_seconds': 'in all',
    'speech_seconds': 'of speech',
    'rehearsal_seconds': 'to rehearse',
    'compile_seconds': 'to compile',
  }
  totals = []
  for key, name in names.items():
    values = [line.get(key) for line in results if line.get(key) is not None]
    value = result.get(key) if result.get(key) is not None else (sum(values) if values else None)
    if value is not None:
      totals.append({'name': name, 'value': f'{float(value):.2f} s'})
  return totals


# Curves, on one time axis. Drawn as SVG of 1000 units across.

WIDE = 1000
VOWELS = 'AEIOU'


def _timeline(arrays: LineAssets, length: float) -> dict:
  """Phonemes, mel with pitch, and the mouth's opening over the sound's level, against time."""
  take = arrays.take
  return {
    'words': _words(arrays.words, length),
    'phonemes': _phonemes(take, length),
    'mel': _mel_image(take.mel),
    **_pitch_curve(take),
    **_opening_curve(arrays.track, take, length),
    'ticks': _ticks(length),
  }


def _ticks(length: float) -> list[dict]:
  step = next(s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if length / s <= 12)
  return [
    {'x': round(WIDE * t / length, 1), 'label': f'{t:g}'} for t in np.arange(0, length + 1e-6, step).round(2).tolist()
  ]


def _words(words, length: float) -> list[dict]:
  return [
    {'x': round(WIDE * start / length, 1), 'w': round(WIDE * (end - start) / length, 1), 'word': word}
    for start, end, word in words
    if word
  ]


def _phonemes(take: Take, length: float) -> list[dict]:
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
  """The mel spectrogram (T, 80) as a PNG, low bands at the bottom."""
  from matplotlib import colormaps
  from PIL import Image

  low, high = np.percentile(mel, (5, 99.7))
  shade = np.clip((mel.T[::-1] - low) / max(high - low, 1e-6), 0, 1)
  picture = Image.fromarray((colormaps['inferno'](shade)[..., :3] * 255).astype(np.uint8))
  picture = picture.resize((min(1600, 4 * len(mel)), 320), Image.Resampling.BICUBIC)
  return _embedded(_image_bytes(picture, 'PNG'), 'image/png')


def _image_bytes(picture, kind: str, **options) -> bytes:
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def _pitch_curve(take: Take) -> dict:
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


def _opening_curve(track: MouthTrack | None, take: Take, length: float) -> dict:
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


def _strip(arrays: LineAssets, length: float) -> list[dict]:
  """Frames at even distances as JPEG, cut to the face, each with its face box, its lips in place and its time."""
  from PIL import Image

  frames, track = arrays.frames, arrays.track
  if frames is None or not len(frames):
    return []
  left, top, right, bottom = cut = _around_face(frames.shape[2], frames.shape[1], track)
  count = min(THUMBNAILS, len(frames))
  shown = []
  for i in ((np.arange(count) + 0.5) * len(frames) / count).astype(int):
    picture = Image.fromarray(frames[i]).crop(cut)
    picture.thumbnail((240, 240))
    present = track is not None and i < len(track.present) and bool(track.present[i])
    box = [round(float(v), 1) for v in track.boxes[i]] if present else [0, 0, 0, 0]
    shown.append(
      {
        'src': _embedded(_image_bytes(picture, 'JPEG', quality=84), 'image/jpeg'),
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
        'present': present,
        'lips': _lips_in_frame(frames[i], track.boxes[i]) if present else [],
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


def _live_lips(track: MouthTrack | None) -> list:
  """The 40 lip points of each frame in hundredths of an eye distance, [] where unseen: moves with the player."""
  if track is None:
    return []
  points = np.round(100 * track.lips[:, :80]).astype(int)
  return [row.tolist() if seen else [] for row, seen in zip(points, track.present, strict=True)]
