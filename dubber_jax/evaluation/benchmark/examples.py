"""HTML page of sound examples: each line in several versions side by side, with their mel spectrograms.

The sounds (wav) and spectrograms (png) are stored beside the page, in a folder of its name, or embedded in the page
(Opus and jpeg), so that it is one file.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.media.opus import encode_opus
from dubber_jax.media.sound import write_wav
from dubber_jax.pages import stylesheet
from dubber_jax.storage.atomic import complete_file
from dubber_jax.types import HOP, SAMPLE_RATE

LOUDEST = 2.0  # natural-log mel of the lightest color
BAND_PIXELS = 2  # height of a mel band; a frame is one pixel wide
PAGE_RATE = 24_000  # bit/s of embedded sound


@dataclass(frozen=True)
class Example:
  """One version of a line: its name, and the waveform (S,) at 22,050 Hz."""

  name: str
  wave: np.ndarray


def write_page(
  out: str | Path, title: str, groups: Mapping[str, Sequence[tuple[str, Sequence[Example]]]], embedded: bool = False
) -> None:
  """Writes `out` (html) for {heading: [(line, its examples)]}. All sounds are normalized to the same loudness.

  The page appears only when complete; raises BadInput where it cannot be written.
  """
  out = Path(out)
  folder = None if embedded else out.with_suffix('')
  (folder or out.parent).mkdir(parents=True, exist_ok=True)
  shown = []
  for g, (heading, lines) in enumerate(groups.items()):
    rows = []
    for n, (text, examples) in enumerate(lines):
      cells = [_cell(folder, f'{g}-{n}-{i}', example) for i, example in enumerate(examples)]
      rows.append({'text': text, 'cells': cells})
    shown.append({'heading': heading, 'rows': rows})
  with complete_file(out, overwrite=True) as beside:
    beside.write_text(_template().render(style=stylesheet(), title=title, groups=shown), encoding='utf-8')


def _cell(folder: Path | None, name: str, example: Example) -> dict:
  """Template values of an example. folder: for sound and picture; None: they are embedded."""
  wave = normalize_loudness(example.wave, SAMPLE_RATE)
  picture = draw_mel(mel_numpy(wave))
  if folder is None:
    data = io.BytesIO()
    picture.save(data, 'jpeg', quality=70)
    sound, drawn = (
      _address(encode_opus(wave, SAMPLE_RATE, PAGE_RATE), 'audio/ogg'),
      _address(data.getvalue(), 'image/jpeg'),
    )
  else:
    sound, drawn = (f'{folder.name}/{name}.{kind}' for kind in ('wav', 'png'))
    write_wav(folder / f'{name}.wav', wave, SAMPLE_RATE)
    with complete_file(folder / f'{name}.png', overwrite=True) as beside:
      picture.save(beside)
  seconds = f'{len(wave) / SAMPLE_RATE:.1f}'
  return {'name': example.name, 'sound': sound, 'picture': drawn, 'seconds': seconds, 'width': picture.width}


def _address(data: bytes, kind: str) -> str:
  return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def draw_mel(mel: np.ndarray) -> Any:
  """Mel spectrogram (T, 80), natural log -> image of T by 160 pixels, low bands at the bottom."""
  import matplotlib
  from PIL import Image

  level = np.clip((mel.T[::-1] - LOG_FLOOR) / (LOUDEST - LOG_FLOOR), 0, 1)
  colors = matplotlib.colormaps['magma'](level, bytes=True)[..., :3]
  return Image.fromarray(np.repeat(colors, BAND_PIXELS, axis=0))


def _template():
  from jinja2 import Environment, StrictUndefined

  source = Path(__file__).with_name('examples.html').read_text(encoding='utf-8')
  environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  environment.globals['frame'] = f'{1000 * HOP / SAMPLE_RATE:.1f}'
  return environment.from_string(source)
