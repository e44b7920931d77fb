"""Mixtures of dialogue and background, as a film's sound: made of stored sounds (dialogue_mixtures.py) and of noises
that are synthesized here, every one from its random generator alone."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.fft import next_fast_len

from data_pipelines.dialogue_mixtures import BED_RATE, SPEECH_RATE, Store, open_store
from dubber_jax.errors import BadInput

ROOM = BED_RATE // 2  # longest reverberation, samples: 0.5 s
# How often a data set's speech is heard, and of backgrounds how often music, effects and noises are.
SPEECH_SHARES = {
  'ravdess': 3.0, 'librispeech': 4.0, 'teacher': 1.0, 'kokoro': 2.0, 'kathleen': 0.7, 'ljspeech': 0.3, 'asterisk': 0.5,
  'grid': 0.5, 'vctk': 2.0,
}  # fmt: skip
BED_KINDS = {'music': 0.6, 'effects': 0.4, 'noise': 0.45}
NO_DIALOGUE, NO_BED, SECOND_SPEAKER = 0.08, 0.04, 0.25
BALANCE = (-8.0, 16.0)  # dB, dialogue to background
ABSENT = 1e-12


class Mixer:
  """Random mixtures of the sounds of a speech store and a store of backgrounds."""

  def __init__(self, speech: Store, beds: Store, shares: Mapping[str, float] = SPEECH_SHARES):
    self.speech, self.beds = speech, beds
    by_source, by_kind = defaultdict(list), {'music': defaultdict(list), 'effect': defaultdict(list)}
    for row in speech.rows:
      by_source[row['source']].append(row)
    for row in beds.rows:
      by_kind[row['kind']][row['source']].append(row)
    self.sources = [rows for _, rows in sorted(by_source.items())]
    weights = np.array([shares.get(name, 1.0) for name in sorted(by_source)])
    self.weights = weights / weights.sum()
    # Sources count by the root of their number of files: large packages are heard more often, small ones too.
    self.kinds = {kind: [rows for _, rows in sorted(found.items())] for kind, found in by_kind.items()}

  def mixture(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Dialogue and background (length,) float32 at 48 kHz of random content, balance and level."""
    dialogue, bed = self.dialogue(rng, length), self.bed(rng, length)
    balance, kind = rng.uniform(*BALANCE), rng.random()
    if kind < NO_DIALOGUE:
      dialogue[:] = 0
    elif kind < NO_DIALOGUE + NO_BED:
      bed[:] = 0
    bed *= np.float32(10 ** (-balance / 20))
    level = max(np.sqrt(np.mean(np.square(dialogue + bed))), 1e-6)
    gain = np.float32(10 ** (rng.uniform(-45, -12) / 20) / level)
    return dialogue * gain, bed * gain

  def balanced(
    self, rng: np.random.Generator, length: int, balance: float = 0.0, kinds: Sequence[str] = ()
  ) -> tuple[np.ndarray, np.ndarray]:
    """Dialogue and background that are both there, of energies exactly `balance` dB apart, for tests."""
    for _ in range(100):
      dialogue, bed = self.dialogue(rng, length), self.bed(rng, length, kinds)
      powers = np.mean(np.square(dialogue)), np.mean(np.square(bed))
      if min(powers) > 1e-6:
        bed *= np.float32(np.sqrt(powers[0] / powers[1]) * 10 ** (-balance / 20))
        gain = np.float32(0.08 / np.sqrt(np.mean(np.square(dialogue + bed))))
        return dialogue * gain, bed * gain
    raise BadInput('the stored sounds are silent: make them again')

  def dialogue(self, rng: np.random.Generator, length: int) -> np.ndarray:
    """Speech of one or two speakers in a made-up room, RMS 1 over its loud half."""
    total = self._voice(rng, length)
    if rng.random() < SECOND_SPEAKER:
      total += self._voice(rng, length) * np.float32(10 ** (rng.uniform(-10, 3) / 20))
    return normalized(total)

  def bed(self, rng: np.random.Generator, length: int, kinds: Sequence[str] = ()) -> np.ndarray:
    """Music, effects and noises, at least one of them (or just the `kinds`), RMS 1 over its loud half."""
    makers = {'music': self._music, 'effects': self._effects, 'noise': made_up_noise}
    heard = [kind for kind, often in BED_KINDS.items() if rng.random() < often]
    heard = heard or [('music', 'noise')[rng.integers(2)]]
    total = np.zeros(length, np.float32)
    for kind in kinds or heard:
      part = normalized(makers[kind](rng, length))
      total += part * np.float32(10 ** (rng.uniform(-14, 0) / 20))
    return normalized(total)

  def _voice(self, rng, length: int) -> np.ndarray:
    """Utterances of one speaker with pauses, in a room."""
    rows = self.sources[rng.choice(len(self.sources), p=self.weights)]
    row = rows[rng.integers(len(rows))]
    own = [r for r in rows if r['speaker'] == row['speaker']] if len(rows) < 400 else [row]
    low = np.zeros(length // 2, np.float32)
    place = -int(rng.uniform(0, max(row['end'] - row['start'] - SPEECH_RATE // 2, 1)))
    while place < len(low):
      size = row['end'] - row['start']
      first = max(place, 0)
      last = min(place + size, len(low))
      if last > first:
        low[first:last] += self.speech.piece(row, first - place, last - first)
      place += size + int(min(rng.exponential(0.5), 3) * SPEECH_RATE)
      row = own[rng.integers(len(own))]
    return in_room(widened(low, length, rng), rng)

  def _pick(self, rng, kind: str) -> dict | None:
    sources = self.kinds[kind]
    if not sources:
      return None
    sizes = np.sqrt([len(rows) for rows in sources])
    rows = sources[rng.choice(len(sources), p=sizes / sizes.sum())]
    return rows[rng.integers(len(rows))]

  def _music(self, rng, length: int) -> np.ndarray:
    row = self._pick(rng, 'music')
    if row is None:
      return made_up_noise(rng, length)
    start = int(rng.integers(0, max(row['end'] - row['start'] - length, 1)))
    return equalized(self.beds.piece(row, start, length), rng)

  def _effects(self, rng, length: int) -> np.ndarray:
    total = np.zeros(length, np.float32)
    for _ in range(1 + rng.poisson(length / BED_RATE)):
      row = self._pick(rng, 'effect')
      if row is None:
        return made_up_noise(rng, length)
      size = min(row['end'] - row['start'], length)
      place = int(rng.integers(-size // 4, length))
      piece = self.beds.piece(row, 0, size) * np.float32(10 ** (rng.uniform(-15, 0) / 20))
      first, last = max(place, 0), min(place + size, length)
      total[first:last] += piece[first - place : last - place]
    return equalized(total, rng)


def open_mixer(split: str, folder: str | os.PathLike | None = None) -> Mixer:
  """The mixer of one split of the stores `speech` and `beds` in a folder, DUBBER_MIXTURES or cache/mixtures."""
  path = Path(folder or os.environ.get('DUBBER_MIXTURES', 'cache/mixtures'))
  return Mixer(open_store(path / 'speech', split), open_store(path / 'beds', split))


def fast_length(samples: int) -> int:
  """An even length of at least `samples` whose Fourier transform is quick."""
  return 2 * int(next_fast_len(-(-samples // 2)) or 0)


def normalized(wave: np.ndarray) -> np.ndarray:
  """(S,) scaled to an RMS of 1 over the louder half of its 20 ms blocks; silence stays."""
  block = BED_RATE // 50
  power = np.square(wave[: len(wave) // block * block]).reshape(-1, block).mean(1)
  loud = np.sort(power)[len(power) // 2 :].mean() if len(power) else 0.0
  return wave / np.float32(np.sqrt(loud)) if loud > ABSENT else wave


def curve(rng: np.random.Generator, bins: int, decibels: float) -> np.ndarray:
  """Random smooth gain over (bins,) frequencies up to 24 kHz, of about `decibels` standard deviation."""
  knots = np.array([0, 80, 200, 500, 1200, 3000, 7000, 12000, 24000.0])
  gains = rng.normal(0, decibels, len(knots))
  coarse = np.linspace(0, BED_RATE / 2, 2049)
  values = 10 ** (np.interp(np.log(coarse + 30), np.log(knots + 30), gains) / 20)
  return np.interp(np.arange(bins), np.linspace(0, bins - 1, 2049), values).astype(np.float32)


def equalized(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """(S,) through a random filter."""
  size = fast_length(len(wave) + 2048)
  spectrum = np.fft.rfft(wave, size)
  return np.fft.irfft(spectrum * curve(rng, len(spectrum), 3.0), size)[: len(wave)]


def widened(low: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
  """Spectrum of speech (length / 2,) at 24 kHz as one at 48 kHz, with an upper band made of the one below: recordings
  end at 8 or 12 kHz, voices of films do not."""
  size = fast_length(length + ROOM)
  spectrum = np.zeros(size // 2 + 1, np.complex64)
  below = np.fft.rfft(low, size // 2)
  spectrum[: len(below)] = below
  at = 2 * len(below) / SPEECH_RATE  # bins a Hz
  power = np.square(np.abs(below))
  edge = 7600 if power[int(8200 * at) :].sum() < 1e-4 * power[int(6000 * at) : int(7600 * at)].sum() else 11400
  if rng.random() < 0.8:
    first, width = int(edge * at), int((edge - 3600) * at)
    tilt = np.exp(-np.arange(width) / width * rng.uniform(0.5, 3)).astype(np.float32)
    spectrum[first : first + width] = below[first - width : first] * tilt * np.float32(rng.uniform(0.2, 0.7))
    again = spectrum[first : first + width] * np.float32(0.3) * tilt
    rest = min(width, len(spectrum) - first - width)
    spectrum[first + width : first + width + rest] = again[:rest]
  spectrum *= curve(rng, len(spectrum), 3.0)
  if rng.random() < 0.06:  # over a telephone or a radio
    spectrum[: int(rng.uniform(150, 400) * at)] = 0
    spectrum[int(rng.uniform(3000, 4500) * at) :] = 0
  return np.concatenate([spectrum, [np.complex64(length)]])


def in_room(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """(length,) sound of the spectrum that `widened` gives, with a made-up room's reverberation (Schroeder's decaying
  noise, darker towards its end) in most cases."""
  length, spectrum = int(spectrum[-1].real), spectrum[:-1]
  size = 2 * (len(spectrum) - 1)
  if rng.random() < 0.7:
    decay = rng.uniform(0.1, 0.9)  # s to -60 dB
    samples = min(int(decay * BED_RATE), ROOM)
    tail = rng.standard_normal(samples, np.float32)
    tail *= np.exp(np.arange(samples, dtype=np.float32) * np.float32(-6.9 / (decay * BED_RATE)))
    tail[: int(rng.uniform(0.001, 0.02) * BED_RATE)] = 0
    tail = np.convolve(tail, np.ones(3, np.float32) / 3, 'same')
    tail *= np.float32(10 ** (-rng.uniform(0, 18) / 20) / (np.sqrt(np.square(tail).sum()) + 1e-6))
    tail[0] += 1
    spectrum = spectrum * np.fft.rfft(tail, size)
  return np.fft.irfft(spectrum, size)[:length].astype(np.float32)


def made_up_noise(rng: np.random.Generator, length: int) -> np.ndarray:
  """Wind, rain, engine, room tone, hum, steps, clicks or a crowd of rustles, (length,) float32."""
  makers: Sequence = (_wind, _rain, _engine, _room_tone, _steps, _clicks, _rustle)
  return makers[rng.integers(len(makers))](rng, length)


def shaped_noise(rng: np.random.Generator, length: int, gains: Sequence[tuple[float, float]]) -> np.ndarray:
  """Gaussian noise of a spectrum given as (Hz, dB), interpolated over log-frequency."""
  size = fast_length(length)
  spectrum = np.fft.rfft(rng.standard_normal(size, np.float32))
  places, values = np.array(gains).T
  coarse = np.linspace(0, BED_RATE / 2, 4097)
  shape = 10 ** (np.interp(np.log(coarse + 20), np.log(places + 20), values) / 20)
  shape = np.interp(np.linspace(0, 4096, len(spectrum)), np.arange(4097), shape).astype(np.float32)
  return np.fft.irfft(spectrum * shape, size)[:length]


def slow_curve(rng: np.random.Generator, length: int, rate: float, low: float) -> np.ndarray:
  """(length,) random curve between `low` and 1 that changes `rate` times a second."""
  knots = rng.uniform(low, 1, max(int(length / BED_RATE * rate), 1) + 3)
  return np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots).astype(np.float32)


def _wind(rng, length):
  cut = rng.uniform(150, 900)
  noise = shaped_noise(rng, length, [(0, 0), (cut, 0), (4 * cut, -25), (24000, -70)])
  return noise * slow_curve(rng, length, rng.uniform(0.3, 2), 0.1)


def _rain(rng, length):
  noise = shaped_noise(rng, length, [(0, -20), (400, -10), (3000, 0), (9000, -2), (24000, -12)])
  drops = np.zeros(length, np.float32)
  count = int(length / BED_RATE * rng.uniform(5, 120))
  drops[rng.integers(0, length, count)] = rng.exponential(8, count)
  return noise + np.convolve(drops, np.exp(-np.arange(200, dtype=np.float32) / 30), 'same')


def _engine(rng, length):
  speed = rng.uniform(15, 90) * slow_curve(rng, length, 0.7, 0.8)
  phase = 2 * np.pi * np.cumsum(speed) / BED_RATE
  harmonics = rng.integers(5, 20)
  wave = sum(np.cos(k * phase + rng.uniform(0, 6)) * rng.uniform(0.2, 1) / k**0.7 for k in range(1, harmonics))
  noise = shaped_noise(rng, length, [(0, 0), (200, 0), (2000, -25), (24000, -60)])
  return (wave + noise * rng.uniform(0.3, 2)).astype(np.float32)


def _room_tone(rng, length):
  noise = shaped_noise(rng, length, [(0, 0), (100, 0), (1000, -rng.uniform(5, 25)), (24000, -rng.uniform(20, 60))])
  hum = 2 * np.pi * rng.choice([50, 60, 100, 120]) * np.arange(length) / BED_RATE
  return (noise + rng.uniform(0, 1) * np.cos(hum) + rng.uniform(0, 0.3) * np.cos(3 * hum)).astype(np.float32)


def _bursts(rng, length, times: np.ndarray, lowest: float, highest: float, decay: tuple[float, float]):
  wave = np.zeros(length, np.float32)
  for time in times:
    size = int(rng.uniform(*decay) * 5 * BED_RATE)
    center = rng.uniform(lowest, highest)
    burst = shaped_noise(rng, size, [(0, -25), (center, 0), (3 * center, -20), (24000, -50)])
    burst *= np.exp(-5 * np.arange(size, dtype=np.float32) / size) * np.float32(rng.uniform(0.3, 1))
    place = int(time)
    last = min(place + size, length)
    wave[place:last] += burst[: last - place]
  return wave


def _steps(rng, length):
  pace = rng.uniform(0.3, 0.9) * BED_RATE
  times = np.arange(rng.uniform(0, pace), length, pace) + rng.uniform(0, 0.03 * BED_RATE)
  return _bursts(rng, length, times[times < length], 150, 1500, (0.02, 0.06))


def _clicks(rng, length):
  times = rng.uniform(0, length, 1 + rng.poisson(3 * length / BED_RATE))
  return _bursts(rng, length, times, 800, 6000, (0.002, 0.03))


def _rustle(rng, length):
  noise = shaped_noise(rng, length, [(0, -30), (800, -8), (4000, 0), (10000, -6), (24000, -25)])
  return noise * slow_curve(rng, length, rng.uniform(4, 15), 0.0) ** 3
