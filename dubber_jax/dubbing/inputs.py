"""Script and library of a dub, checked before a network is loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dubber_jax.dubbing.request import Lexicon
from dubber_jax.errors import BadInput
from dubber_jax.perception.analyze import Extractors
from dubber_jax.retrieval.library import Library
from dubber_jax.script.g2p import Phonemes, phonemize
from dubber_jax.types import MODALITIES, Line

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model
  from dubber_jax.inference.stored_model import StoredModel

LONGEST_TEXT, MOST_PHONEMES = 3000, 1200  # characters and phonemes of a line: a minute and more of speech


def read_script(text: str, lexicon: Lexicon | None = None) -> Phonemes:
  """`phonemize`; raises BadInput as well for a line that takes more than about a minute."""
  phonemes = phonemize(text, lexicon) if len(text) < LONGEST_TEXT else None
  if phonemes is None or len(phonemes.symbols) > MOST_PHONEMES:
    raise BadInput(f'the line {text.strip()[:40]!r}... is more than a minute of speech: split it into several')
  return phonemes


def check_script(lines: Sequence[Line], lexicon: Lexicon | None = None):
  """Raises BadInput for the first line that cannot be spoken, before any time is spent on the others."""
  for number, line in enumerate(lines, 1):
    try:
      read_script(line.text, lexicon)
    except BadInput as e:
      raise BadInput(f'line {number}: {e}' if len(lines) > 1 else str(e)) from None


def shipped_library(model: 'Model | StoredModel') -> Library | None:
  """The library that comes with the package, checked against the extractors; None where the director is off."""
  return Library.open(None, library_features()) if model.config.task.director.enabled else None


def library_features() -> dict[str, dict[str, Any]]:
  """{modality: its extractor's name, version and width}, for the modalities of a library."""
  manifest = Extractors().manifest()
  return {m: manifest[m] for m in (*MODALITIES, 'sound')}
