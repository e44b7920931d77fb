"""report.html: one page, in one file, on which a person sees and hears what was done with a clip.

Everything but a film of more than LARGEST_FILM bytes, which lies beside it, is inside the file, so that it can be sent
around and opened without a network; every sound is in it once, as Opus. Numbers come from the result of `dub` (the same
as `--json` writes), pictures and curves from the lines' figures (`figures.py`). What is missing is left out.

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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.actor.slot import SLOWEST, UNHURRIED
from dubber_jax.dubbing.report.figures import LineAssets, embedded, line_figures, sound_uri
from dubber_jax.errors import BadInput
from dubber_jax.media.sound import read_sound
from dubber_jax.pages import stylesheet
from dubber_jax.storage.atomic import complete_file
from dubber_jax.storage.cache import cached
from dubber_jax.types import EMOTIONS, LIP_RATE, MODALITIES

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
LARGEST_FILM = 1_500_000  # bytes of the film of one line that goes into the page; others are linked to
LARGEST_EXEMPLAR = 200_000  # bytes of an exemplar's film that goes into the page; of others the sound alone
EXEMPLAR_RATE = 16_000  # Hz
PLAYABLE = {  # by a browser: suffix, and the codecs of its pictures
  '.mp4': ('video/mp4', ('h264', 'av1')),
  '.m4v': ('video/mp4', ('h264', 'av1')),
  '.webm': ('video/webm', ('vp8', 'vp9', 'av1')),
}


@dataclass(frozen=True)
class TakeEntry:
  """A take of a line on the page: its note and what that did, and its sound, as `figures.sound_uri` gives it."""

  number: int
  chosen: bool  # whether it is in the film
  note: str
  change: str
  sound: str


@dataclass(frozen=True)
class LineFigures:
  """The figures of one line (`figures.line_figures`), where its slot begins in the dubbed film, s, and its takes."""

  figures: dict[str, Any]
  offset: float = 0.0
  takes: tuple[TakeEntry, ...] = ()


@dataclass(frozen=True)
class ReportAssets:
  """The figures of each line in the order of the result, or its arrays, and the files that were written."""

  lines: Sequence[LineFigures | LineAssets] = field(default_factory=tuple)
  video: str = ''  # path of the dubbed film
  sound: str = ''  # path of the dialogue stem, or of the wav of `speak`
  source: str = ''  # the film as it was, to be named


def write_report(result: dict[str, Any], out_html: str | Path, assets: ReportAssets, overwrite: bool = True) -> None:
  """Writes the page for one dub: of one line, or of several under `result['lines']`.

  It appears only when complete. About 0.1 MB a line, and the film where it is small enough.
  Raises BadInput where the file cannot be written, or there are not as many assets as lines.
  """
  out_html = Path(out_html)
  results = list(result.get('lines') or [result])
  if len(assets.lines) != len(results):
    raise BadInput(f'the report has {len(results)} lines but {len(assets.lines)} assets: give one for each')
  several = len(results) > 1
  film = _film(assets.video, out_html, link=several)
  sounds: dict[str, str] = {}
  page = {
    'style': stylesheet(),
    'title': Path(assets.video or assets.sound or out_html).name,
    'source': Path(assets.source).name,
    'film': film,
    'stem': _link(assets.sound, out_html),
    'several': several,
    'warnings': list(dict.fromkeys(result.get('warnings') or ())),
    'totals': _totals(result, results),
    'lines': [
      _line(number, line, _figures(arrays, line, film, several), None if several else film, sounds)
      for number, (line, arrays) in enumerate(zip(results, assets.lines, strict=True), 1)
    ],
    'sounds': sounds,
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


def _figures(
  line: LineFigures | LineAssets, result: Mapping[str, Any], film: dict[str, Any] | None, several: bool
) -> LineFigures:
  if isinstance(line, LineFigures):
    return line
  return LineFigures(line_figures(line, result.get('slot_seconds'), not several and film is None), line.offset)


def _line(
  number: int, result: Mapping[str, Any], arrays: LineFigures, film: dict[str, Any] | None, sounds: dict[str, str]
) -> dict[str, Any]:
  """All that the template shows of one line. Its sounds join `sounds`, by the names by which players find them."""
  line = result.get('line') or {}
  line = {'text': line} if isinstance(line, str) else line
  direction = result.get('direction') or _last_direction(result)
  reading, figures = result.get('reading') or {}, arrays.figures
  length = figures['seconds']
  player = _player(number, arrays, film, sounds)
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
    'takes': _takes(number, arrays, player, sounds),
    'note': direction.get('note') or '',
    'note_zh': direction.get('note_zh') or '',
    'spoken': _spoken(line.get('text') or '', direction),
    'dials': _dials(direction) if direction else [],
    'sources': _sources(reading, direction, figures['emotion']),
    'exemplars': _exemplars(result.get('exemplars') or {}, sounds),
    'rounds': _rounds(result.get('rounds') or []),
    'seconds': _seconds(result, length),
    'facts': _facts(result, figures),
    'timeline': figures['timeline'],
    'strip': figures['strip'],
    'live': {
      'offset': player['offset'] if player else 0.0,
      'seconds': round(length, 4),
      'lips': figures['lips'],
      'rate': LIP_RATE,
    },
    'warnings': list(dict.fromkeys(result.get('warnings') or ())),
  }


def _last_direction(result: Mapping[str, Any]) -> Mapping[str, Any]:
  rounds = result.get('rounds') or []
  return (rounds[-1].get('direction') or {}) if rounds else {}


def _voice(result: Mapping[str, Any]) -> str:
  voice = result.get('voice') or ''
  return str(voice.get('name', '') if isinstance(voice, Mapping) else voice)


def _when(line: Mapping[str, Any], arrays: LineFigures) -> str:
  start = line.get('start')
  start = arrays.offset if start is None else float(start)
  return f'{int(start // 60)}:{start % 60:05.2f}'


# What can be played


def _film(path: str, out_html: Path, link: bool) -> dict[str, Any] | None:
  """The dubbed film for a browser, inside the page or, where it is large or `link` is true, as a link; None if it
  cannot play it."""
  if not path or not Path(path).exists():
    return None
  if not is_playable(path):
    return None
  kind = PLAYABLE[Path(path).suffix.lower()][0]
  inside = not link and Path(path).stat().st_size <= LARGEST_FILM
  source = embedded(Path(path).read_bytes(), kind) if inside else _link(path, out_html)
  return {'src': source, 'kind': 'video', 'offset': 0.0}


def is_playable(path: str) -> bool:
  """Whether a browser plays a film."""
  _, codecs = PLAYABLE.get(Path(path).suffix.lower(), ('', ()))
  return bool(codecs) and _codec(path) in codecs


def _codec(path: str) -> str:
  from dubber_jax.media.video import probe

  try:
    return probe(path).codec
  except BadInput:
    return ''


def _player(
  number: int, arrays: LineFigures, film: dict[str, Any] | None, sounds: dict[str, str]
) -> dict[str, Any] | None:
  """What plays this line: the film, else the line's pictures with its take, else the take alone."""
  if film is not None:
    return {**film, 'offset': round(arrays.offset, 3)}
  if arrays.figures['preview']:
    return {'src': arrays.figures['preview'], 'kind': 'video', 'offset': 0.0}
  if arrays.figures['sound']:
    sounds[f'line-{number}'] = arrays.figures['sound']
    return {'sound': f'line-{number}', 'kind': 'audio', 'offset': 0.0}
  return None


def _takes(
  number: int, arrays: LineFigures, player: dict[str, Any] | None, sounds: dict[str, str]
) -> list[dict[str, Any]]:
  """The line's takes, where there are several, each with the name of its sound."""
  shown = []
  for take in arrays.takes if len(arrays.takes) > 1 else ():
    name = f'line-{number}-take-{take.number}'
    if take.chosen and player and player['kind'] == 'audio':
      name = player['sound']
    elif take.sound:
      sounds[name] = take.sound
    shown.append(
      {'number': take.number, 'chosen': take.chosen, 'note': take.note, 'change': take.change, 'sound': name}
    )
  return shown


def _link(path: str, out_html: Path) -> str:
  """The file's address as seen from the page; '' where there is none."""
  import os
  from urllib.parse import quote

  if not path or not Path(path).exists():
    return ''
  return quote(os.path.relpath(Path(path).resolve(), out_html.resolve().parent).replace(os.sep, '/'))


def _exemplar_player(media: str, name: str, sounds: dict[str, str]) -> dict[str, Any] | None:
  path = Path(media) if media else None
  if path is None or not path.is_file():
    return None
  kind, codecs = PLAYABLE.get(path.suffix.lower(), ('', ()))
  if kind and path.stat().st_size <= LARGEST_EXEMPLAR and _codec(media) in codecs:
    return {'src': embedded(path.read_bytes(), kind), 'kind': 'video'}
  if name not in sounds:
    stamp = path.stat()
    sounds[name] = cached(_ExemplarSound(), (media, stamp.st_size, stamp.st_mtime_ns), lambda: _sound_of(media))['uri']
  if not sounds[name]:
    del sounds[name]
    return None
  return {'sound': name, 'kind': 'audio'}


class _ExemplarSound:
  """Cache key of exemplars' sounds."""

  name, version = 'page-sound', 1


def _sound_of(media: str) -> dict[str, str]:
  """{'uri': the first 20 s of a recording as Opus, at one peak}; '' where it cannot be heard."""
  try:
    wave = read_sound(media, EXEMPLAR_RATE)[: 20 * EXEMPLAR_RATE]
  except BadInput:  # an exemplar that cannot be heard does not spoil the report
    return {'uri': ''}
  peak = float(np.abs(wave).max(initial=0.0))
  return {'uri': sound_uri(wave / peak * 0.8 if peak else wave, EXEMPLAR_RATE)}


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


def _bars(values) -> list[dict[str, Any]]:
  values = _probabilities(values)
  best = max(values, default=0.0)
  return [
    {'emotion': emotion, 'percent': round(100 * value), 'colour': COLORS[emotion], 'best': value == best > 0}
    for emotion, value in zip(EMOTIONS, values, strict=False)
  ]


def _sources(
  reading: Mapping[str, Any], direction: Mapping[str, Any], heard_emotion: Sequence[float] | None
) -> list[dict[str, Any]]:
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
  heard = {'title': 'Heard in the take', 'caption': '', 'bars': _bars(heard_emotion)}
  return cards + [card for card in (directed, heard) if card['bars']]


def _spoken(text: str, direction: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def _dials(direction: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def _exemplars(exemplars: Mapping[str, Any], sounds: dict[str, str]) -> list[dict[str, Any]]:
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
          'player': _exemplar_player(clip.get('media') or '', f'clip {clip.get("key") or ""}', sounds),
        }
      )
    if cards:
      columns.append({'title': f'Like the {modality}', 'cards': cards})
  return columns


# The rehearsal


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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


def _seconds(result: Mapping[str, Any], slot: float) -> dict[str, Any] | None:
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


def _facts(result: Mapping[str, Any], figures: Mapping[str, Any]) -> list[dict[str, Any]]:
  facts = [['slot', f'{result.get("slot_seconds") or figures["seconds"]:.2f} s']]
  if result.get('speech_seconds') is not None:
    facts.append(['speech', f'{result["speech_seconds"]:.2f} s'])
  if result.get('overrun_seconds'):
    facts.append(['runs on after its slot', f'{result["overrun_seconds"]:.2f} s'])
  facts += figures['facts']
  rounds = result.get('rounds') or []
  if len(rounds) > 1:
    facts.append(['rounds', str(len(rounds))])
  return [{'name': name, 'value': value} for name, value in facts]


def _totals(result: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
