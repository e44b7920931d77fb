"""A page of sound examples: each line in several versions, to be heard and seen side by side.

The sounds (wav) and their mel spectrograms (png) lie beside the page, in a folder of its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.clip import HOP, SAMPLE_RATE
from dubber_jax.media.loudness import anchor
from dubber_jax.media.mel import LOG_FLOOR, mel_numpy
from dubber_jax.media.output import complete_file
from dubber_jax.media.sound import write_wav

LOUDEST = 2.0  # natural-log mel that is drawn white
TALL = 2  # pixels a mel band; a frame is one pixel wide


@dataclass(frozen=True)
class Example:
  """One version of a line: (S,) at 22,050 Hz, and what it is."""

  name: str
  wave: np.ndarray


def write_page(out: str | Path, title: str, groups: Mapping[str, Sequence[tuple[str, Sequence[Example]]]]) -> None:
  """Writes `out` (html) for {heading: [(line, its examples)]}. All sounds are brought to the same loudness.

  The page appears only when complete; raises BadInput where it cannot be written.
  """
  out = Path(out)
  folder = out.with_suffix('')
  folder.mkdir(parents=True, exist_ok=True)
  shown = []
  for g, (heading, lines) in enumerate(groups.items()):
    rows = []
    for n, (text, examples) in enumerate(lines):
      cells = [_cell(folder, f'{g}-{n}-{i}', example) for i, example in enumerate(examples)]
      rows.append({'text': text, 'cells': cells})
    shown.append({'heading': heading, 'rows': rows})
  with complete_file(out, overwrite=True) as beside:
    beside.write_text(_template().render(title=title, groups=shown), encoding='utf-8')


def _cell(folder: Path, name: str, example: Example) -> dict:
  wave = anchor(example.wave, SAMPLE_RATE)
  write_wav(folder / f'{name}.wav', wave, SAMPLE_RATE)
  with complete_file(folder / f'{name}.png', overwrite=True) as beside:
    picture = draw_mel(mel_numpy(wave))
    picture.save(beside)
  seconds = len(wave) / SAMPLE_RATE
  return {'name': example.name, 'file': f'{folder.name}/{name}', 'seconds': f'{seconds:.1f}', 'width': picture.width}


def draw_mel(mel: np.ndarray):
  """(T, 80) natural-log mel -> a picture T pixels wide and 160 tall, low bands below."""
  import matplotlib
  from PIL import Image

  level = np.clip((mel.T[::-1] - LOG_FLOOR) / (LOUDEST - LOG_FLOOR), 0, 1)
  colours = matplotlib.colormaps['magma'](level, bytes=True)[..., :3]
  return Image.fromarray(np.repeat(colours, TALL, axis=0))


def _template():
  from jinja2 import Environment, StrictUndefined

  source = Path(__file__).with_name('examples.html').read_text(encoding='utf-8')
  environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  environment.globals['frame'] = f'{1000 * HOP / SAMPLE_RATE:.1f}'
  return environment.from_string(source)
