"""Teacher symbols (IPA in Kokoro's spelling) to the actor's ARPAbet, and their times in the teacher's speech.

Mandarin has symbols of its own (teacher_mandarin.py); `place` gives them times in the same way. The pronunciation is
the teacher's, not the dictionary's. A British vowel without an ARPAbet symbol takes the American spelling of the word
(near: IH R), which is what text gets at inference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_pipelines.teacher_speech import RATE, STEP
from dubber_jax.errors import BadInput
from dubber_jax.script.alignment import FRAME, SHORT_PAUSE, STOPS, Alignment
from dubber_jax.script.symbols import SILENCES, STRENGTH, VOWELS

# The longest match is taken. A vowel's stress digit comes from the stress mark before it.
ARPABET = {
  'A': 'EY', 'I': 'AY', 'O': 'OW', 'Q': 'OW', 'W': 'AW', 'Y': 'OY', 'i': 'IY', 'u': 'UW', 'a': 'AE', 'æ': 'AE',
  'ɑ': 'AA', 'ɒ': 'AA', 'ɐ': 'AH', 'ʌ': 'AH', 'ə': 'AH', 'ᵊ': 'AH', 'ɔ': 'AO', 'o': 'AO', 'e': 'EH', 'ɛ': 'EH',
  'ɜ': 'ER', 'ɚ': 'ER', 'ɪ': 'IH', 'ᵻ': 'IH', 'ɨ': 'IH', 'ʊ': 'UH',
  'ɜɹ': 'ER', 'ɜː': 'ER', 'ɜːɹ': 'ER', 'ɚɹ': 'ER', 'eə': 'EH R', 'eəɹ': 'EH R', 'ɛə': 'EH R', 'ɛəɹ': 'EH R',
  'ɪə': 'IH R', 'ɪəɹ': 'IH R', 'ʊə': 'UH R', 'ʊəɹ': 'UH R', 'Wə': 'AW ER', 'ɑ̃': 'AA N', 'ɔ̃': 'AO N',
  'b': 'B', 'd': 'D', 'ð': 'DH', 'f': 'F', 'ɡ': 'G', 'h': 'HH', 'j': 'Y', 'k': 'K', 'l': 'L', 'm': 'M', 'n': 'N',
  'ŋ': 'NG', 'p': 'P', 'ɹ': 'R', 'ɻ': 'R', 's': 'S', 'ʃ': 'SH', 't': 'T', 'ɾ': 'T', 'ʔ': 'T', 'θ': 'TH', 'v': 'V',
  'w': 'W', 'z': 'Z', 'ʒ': 'ZH', 'ʤ': 'JH', 'ʧ': 'CH', 'ʔn': 'T AH N', 'ɲ': 'N Y', 'ʦ': 'T S', 'ʣ': 'D Z',
}  # fmt: skip
LONGEST = max(map(len, ARPABET))
STRESS = {'ˈ': '1', 'ˌ': '2'}
LONG = 'ː'  # the length mark, part of the vowel before it
MARKS = {',': ',', '.': '.', '?': '?', '!': '!', ';': ';', ':': ':', '—': '-', '…': '...'}
UNSPOKEN = frozenset(' "“”()')

LAG = 0.06  # s by which the teacher's durations lag its sound: median over 65 English lines, equal in Mandarin
SILENCE = 35.0  # dB below a line's 90th percentile, for voices without noise
ABOVE_NOISE, LEAST_SILENCE = (
  6.0,
  18.0,
)  # dB above the level after the last phone; dB below the 90th percentile, at least
ATTACK, DECAY = 0.01, 0.03  # s of a phone below that level, at its beginning and end
CLOSURE = 0.05  # s of silence that belong to a stop after a pause
CLOSED = frozenset(f'@{code}' for code in STOPS) | {f'zh:{i}' for i in 'b p d t g k j q zh ch z c'.split()}  # at first
LONG_SILENCE = 0.08  # s of silence that end the last phone or precede the first


@dataclass(frozen=True)
class Piece:
  """The teacher's symbols from `first` up to `last`: a phone with its ARPAbet `codes`, or a gap with its `marks`."""

  first: int
  last: int
  codes: tuple[str, ...] = ()  # with stress
  marks: tuple[str, ...] = ()


def parse_english(phonemes: str) -> list[Piece]:
  """Phones and gaps in order; a stress mark belongs to the phone after it, a gap is a run of spaces and punctuation.

  Raises BadInput for a symbol without an ARPAbet equivalent.
  """
  pieces, stress, first, i = [], '', 0, 0
  while i < len(phonemes):
    symbol = phonemes[i]
    if symbol in STRESS or symbol == LONG and not (pieces and pieces[-1].codes):
      stress, i = STRESS.get(symbol, stress), i + 1
      continue
    if symbol in MARKS or symbol in UNSPOKEN:
      marks = (MARKS[symbol],) if symbol in MARKS else ()
      if pieces and not pieces[-1].codes:
        last = pieces.pop()
        first, marks = last.first, last.marks + marks
      pieces.append(Piece(first, i + 1, marks=marks))
      first, i, stress = i + 1, i + 1, ''
      continue
    if symbol == LONG:
      last = pieces.pop()
      pieces.append(Piece(last.first, i + 1, last.codes))
      first, i = i + 1, i + 1
      continue
    phone = next((phonemes[i : i + n] for n in range(LONGEST, 0, -1) if phonemes[i : i + n] in ARPABET), '')
    if not phone:
      raise BadInput(f'the symbol {symbol!r} (U+{ord(symbol):04X}) in {phonemes!r} has no ARPAbet equivalent')
    written = []
    for code in ARPABET[phone].split():
      if code in VOWELS:
        written.append(code + (stress or '0'))
        stress = ''
      else:
        written.append(code)
    pieces.append(Piece(first, i + len(phone), tuple('@' + code for code in written)))
    i += len(phone)
    first = i
  if first < len(phonemes) and pieces:  # a stress mark at the end
    pieces[-1] = replace(pieces[-1], last=len(phonemes))
  return pieces


def map_english(phonemes: str, durations: Sequence[float]) -> tuple[list[str], np.ndarray]:
  """The actor's symbols (N,) of the teacher's, and their durations (N,) in float steps of 25 ms.

  durations (len(phonemes) + 2,): of the leading silence, of each of `phonemes` and of the trailing silence; their sum
  is preserved. A stress mark's time goes to the vowel after it. Between two words stands their strongest punctuation
  mark, or '@sp'; `place` finds whether there is a pause. Raises BadInput for a symbol without an ARPAbet equivalent,
  and for a line without phones.
  """
  steps = np.asarray(durations, float)
  if len(steps) != len(phonemes) + 2:
    raise BadInput(f'{len(steps)} durations for the {len(phonemes)} symbols of {phonemes!r}, which need two more')
  pieces = parse_english(phonemes)
  if not any(piece.codes for piece in pieces):
    raise BadInput(f'{phonemes!r} contains no phone')
  symbols, lengths = ['@sil'], [steps[0]]
  for number, piece in enumerate(pieces):
    spent = steps[piece.first + 1 : piece.last + 1].sum()
    if piece.codes:
      symbols += piece.codes
      lengths += [spent / len(piece.codes)] * len(piece.codes)
    elif piece.marks:
      symbols.append(max(piece.marks, key=STRENGTH.index))
      lengths.append(spent)
    elif 0 < number < len(pieces) - 1:
      symbols.append('@sp')
      lengths.append(spent)
    else:
      lengths[-1] += spent
  return [*symbols, '@sil'], np.array([*lengths, steps[-1]])


def place(wave: np.ndarray, symbols: list[str], steps: np.ndarray) -> Alignment:
  """Alignment of the symbols with the teacher's sound (S,) at 24 kHz.

  The teacher's durations lag its sound by 60 ms (docs/results/teacher_corpus.md), and a pause's silence is part of the
  phone before it. So phone boundaries are moved by that lag, and pauses are found where the sound is quiet. A
  punctuation mark without a pause of 60 ms gets no duration and '@sp' without one is dropped; its time is shared
  between its neighbors. As in forced alignments, a mark at the end has no duration and '@sil' takes all the silence.
  """
  seconds = len(wave) / RATE
  edges = np.clip(np.concatenate([[0], np.cumsum(steps)]) * STEP / RATE - LAG, 0, seconds)
  spoken = [i for i, symbol in enumerate(symbols) if symbol not in SILENCES]
  first, last = spoken[0], spoken[-1]
  quiet = _quiet(wave, edges[last])
  resumptions = [end - ATTACK for _, end in _silences(quiet, 0, edges[first + 1])]
  begin = min(resumptions, key=lambda time: abs(time - edges[first]), default=0.0)
  end = min((start + DECAY for start, _ in _silences(quiet, edges[last], seconds)), default=seconds)

  kept = [(symbol, begin if i else 0.0) for i, symbol in enumerate(symbols[: first + 1])]
  resumed = None  # s: start of the phone after a pause
  for i in range(first + 1, last + 1):
    if symbols[i] not in SILENCES:
      kept.append((symbols[i], edges[i] if resumed is None else resumed))
      resumed = None
      continue
    pause, resumed = _pause(quiet, edges[i - 1], edges[i + 2], symbols[i + 1])
    is_pause = resumed - pause >= SHORT_PAUSE
    if not is_pause:
      pause = resumed = (edges[i] + edges[i + 1]) / 2
    if is_pause or symbols[i] != '@sp':
      kept.append((symbols[i], pause))
  kept += [(symbol, end) for symbol in symbols[last + 1 :]]
  starts = np.minimum(np.maximum.accumulate([start for _, start in kept]), seconds)
  return Alignment(tuple(symbol for symbol, _ in kept), starts, np.append(starts[1:], seconds), ())


def _quiet(wave, last):
  """Whether each 10 ms frame is silent. `last`: start of the last phone, s; the noise level is measured after it."""
  block = int(RATE * FRAME)
  power = np.square(wave[: len(wave) // block * block].reshape(-1, block).astype(np.float64)).mean(axis=1)
  level = 10 * np.log10(np.convolve(power, np.ones(3) / 3, 'same') + 1e-12)
  speech, noise = np.percentile(level, 90), np.median(level[int(last / FRAME) :])
  return level < min(max(speech - SILENCE, noise + ABOVE_NOISE), speech - LEAST_SILENCE)


def _silences(quiet, earliest, latest, shortest=LONG_SILENCE):
  """(start s, end s) of each silence in an interval."""
  first, last = int(np.ceil(earliest / FRAME)), int(latest / FRAME)
  edges = np.diff(np.concatenate([[False], quiet[first:last], [False]]).astype(int))
  runs = zip(np.flatnonzero(edges == 1) + first, np.flatnonzero(edges == -1) + first, strict=True)
  return [(start * FRAME, end * FRAME) for start, end in runs if (end - start) * FRAME >= shortest]


def _pause(quiet, earliest, latest, after):
  """(start s, end s) of the longest silence in an interval, without the parts that belong to the adjacent phones."""
  silences = _silences(quiet, earliest + 2 * FRAME, latest - FRAME, shortest=FRAME)
  start, end = max(silences, key=lambda silence: silence[1] - silence[0], default=(0.0, 0.0))
  return start + DECAY, end - (CLOSURE if after in CLOSED else ATTACK)
