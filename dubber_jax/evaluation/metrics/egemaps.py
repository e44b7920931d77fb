"""Functionals of acoustic features over an utterance, in the spirit of eGeMAPS (Eyben et al. 2016): F0, level, spectral
balance, cepstra, formants, harmonicity, rhythm, and their course from the first word to the last; about a hundred.

The recording's level, the silence at both ends and the room below the speech (ROOM dB) are removed first, so that
neither gain nor background counts; nor does anything above 8 kHz, where sound synthesized from mels ends.
"""

import functools

import numpy as np
from scipy.fft import dct

from dubber_jax.errors import BadInput
from dubber_jax.media.mel import filterbank
from dubber_jax.media.sound import resample
from dubber_jax.perception.prosody import PITCH_FLOOR, track_pitch
from dubber_jax.types import HOP, SAMPLE_RATE

WINDOW = 1024  # samples at 22,050 Hz: 46 ms, every 11.6 ms; the FFT's size too
FRAME = HOP / SAMPLE_RATE  # s
PAUSE = 30.0  # dB below the loudest 5 % of the frames, under which a frame is a pause
ROOM = 50.0  # dB below the maximum of the long-term spectrum, the floor
SHORTEST = 0.3  # s
SHORT_GAP = 3  # frames; stretches of voice with a shorter gap are joined
CEPSTRA = 10
BANDS = 26
ORDER = 12  # of linear prediction, for formants up to 5.5 kHz
LONG_TERM = (0, 250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000)  # Hz
HERTZ = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)


def functionals(wave: np.ndarray, sample_rate: int) -> np.ndarray:
  """wave (S,) float32 mono -> (F,) float32, in the order of `functional_names()`.

  Raises BadInput for less than 0.3 s of sound, for silence, and for samples that are not finite.
  """
  wave = np.asarray(wave, np.float32)
  if wave.ndim != 1 or len(wave) < SHORTEST * sample_rate:
    raise BadInput(f'a sound of {wave.size / sample_rate:.2f} s is too short to analyze: give {SHORTEST} s or more')
  if not np.isfinite(wave).all() or not np.any(wave):
    raise BadInput('the sound is silent or damaged: there is no voice to analyze')
  return np.array(list(_measure(trim(resample(wave, sample_rate, SAMPLE_RATE))).values()), np.float32)


@functools.cache
def functional_names() -> tuple[str, ...]:
  """Names of the functionals, in order."""
  return tuple(_measure(np.sin(np.arange(SAMPLE_RATE) * 0.05).astype(np.float32)))


def trim(wave: np.ndarray) -> np.ndarray:
  """(S,) at 22,050 Hz -> trimmed to its first and last loud frame, scaled to unit power of the loud frames."""
  energy = np.square(wave[: len(wave) // HOP * HOP].reshape(-1, HOP), dtype=np.float64).mean(1)
  loud = energy > np.percentile(energy, 95) * 10 ** (-PAUSE / 10)
  steady = np.flatnonzero(np.convolve(loud, np.ones(3), 'same') >= 2)  # without single clicks
  first, last = (steady[0], steady[-1] + 1) if len(steady) else (0, len(energy))
  shortest = int(SHORTEST / FRAME)
  first = max(0, min(first, len(energy) - shortest))
  last = max(last, first + shortest)
  return (wave[first * HOP : last * HOP] / np.sqrt(energy[loud].mean())).astype(np.float32)


def _measure(wave) -> dict[str, float]:
  """Trimmed wave (S,) at 22,050 Hz -> all functionals by name."""
  frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, WINDOW // 2), WINDOW)[HOP // 2 :: HOP]
  hertz = track_pitch(wave, SAMPLE_RATE, len(wave) // HOP)
  power = np.square(np.abs(np.fft.rfft(frames[: len(hertz)] * np.hanning(WINDOW))))
  power[:, HERTZ > 8000] = 0
  power += power.mean(0).max() * 10 ** (-ROOM / 10)
  level = 10 * np.log10(power.sum(1))
  level -= np.log10((10 ** (level / 10)).mean()) * 10
  loud = level > np.percentile(level, 95) - PAUSE
  voiced = loud & (hertz > 0)
  semitones = np.zeros(len(level))
  if voiced.sum() < 5:  # whispered: all loud frames count as voiced, without F0
    voiced = loud
  else:
    semitones = np.interp(np.arange(len(level)), *_known(12 * np.log2(hertz.clip(PITCH_FLOOR) / PITCH_FLOOR), voiced))
  return {
    **_pitch(semitones, voiced),
    **_level(level, loud, voiced),
    **_spectrum(power, loud, voiced),
    **_quality(power, semitones, voiced),
    **_rhythm(level, loud, voiced),
  }


def _known(values, where):
  return np.flatnonzero(where), values[where]


def _spread(name, values):
  low, middle, high = np.percentile(values, (10, 50, 90))
  return {f'{name} middle': middle, f'{name} low': low, f'{name} high': high, f'{name} deviation': np.std(values)}


def _course(name, values):
  """Difference of the last third from the first, and of the middle one from their mean."""
  first, middle, last = (part.mean() for part in np.array_split(values, 3))
  return {f'{name} rise': last - first, f'{name} arch': middle - (first + last) / 2}


def _pitch(semitones, voiced):
  known = semitones[voiced]
  slope = np.gradient(semitones)[voiced] / FRAME  # semitones a second
  bend = np.gradient(np.gradient(semitones))[voiced]
  end = known[-max(5, len(known) // 8) :]
  return {
    **_spread('pitch', known),
    **_course('pitch', known),
    'pitch mean': known.mean(),
    'pitch top': np.percentile(known, 98),
    'pitch end': end.mean() - known.mean(),
    'pitch end slope': np.polyfit(np.arange(len(end)), end, 1)[0],
    'pitch slope': np.polyfit(np.linspace(0, 1, len(known)), known, 1)[0],
    'pitch rising': np.percentile(slope, 90),
    'pitch falling': np.percentile(slope, 10),
    'pitch movement': np.log(np.abs(slope).mean() + 1),
    'pitch unsteadiness': np.log(np.median(np.abs(bend)) + 1e-2),
    'pitch peak place': np.argmax(known) / len(known),
    'pitch skew': (known.mean() - np.median(known)) / (known.std() + 0.5),
  }


def _level(level, loud, voiced):
  known = level[loud]
  slope = np.gradient(level)[voiced]
  return {
    **_spread('level', known),
    **_course('level', known),
    'level rising': np.percentile(slope, 90),
    'level falling': np.percentile(slope, 10),
    'level unsteadiness': np.log(np.median(np.abs(np.gradient(slope))) + 1e-2),
    'level peak place': np.argmax(known) / len(known),
    'level attack': level[: max(3, len(level) // 8)].max() - known.max(),
  }


def _spectrum(power, loud, voiced):
  found = {}
  bands = np.stack(
    [power[:, (HERTZ >= a) & (HERTZ < b)].mean(1) for a, b in zip(LONG_TERM, LONG_TERM[1:], strict=False)], axis=1
  )
  long_term = 10 * np.log10(bands[voiced].mean(0))
  long_term -= long_term.mean()
  found |= {f'band {hertz}': value for hertz, value in zip(LONG_TERM, long_term, strict=False)}
  decibels = 10 * np.log10(power)
  low, mid, high = (decibels[:, (HERTZ > a) & (HERTZ <= b)] for a, b in ((0, 500), (500, 1500), (2000, 5000)))
  below, above = (HERTZ > 50) & (HERTZ <= 1000), (HERTZ > 1000) & (HERTZ < 5000)
  alpha = 10 * np.log10(power[:, above].sum(1) / power[:, below].sum(1))
  hammarberg = decibels[:, HERTZ < 2000].max(1) - high.max(1)
  share = power / power.sum(1, keepdims=True)
  centroid = np.log2((share * HERTZ).sum(1) + 1)
  for name, values in (
    ('alpha ratio', alpha),
    ('hammarberg', hammarberg),
    ('centroid', centroid),
    ('slope below 500', _tilt(low)),
    ('slope to 1500', _tilt(mid)),
  ):
    found |= {f'{name} mean': values[voiced].mean(), f'{name} deviation': values[voiced].std()}
  found |= _course('alpha ratio', alpha[voiced])
  unvoiced = loud & ~voiced
  found['hiss centroid'] = centroid[unvoiced].mean() if unvoiced.sum() > 3 else centroid[voiced].max()
  mel = 10 * np.log10(power @ filterbank(bands=BANDS).T + 1e-9)
  cepstra = dct(mel, norm='ortho')[:, 1 : CEPSTRA + 1]
  for i in range(CEPSTRA):
    known = cepstra[voiced, i]
    found |= {f'cepstrum {i + 1} mean': known.mean(), f'cepstrum {i + 1} deviation': known.std()}
  change = np.sqrt(np.square(np.diff(cepstra, axis=0)).mean(1))
  found |= {'change mean': change[loud[1:]].mean(), 'change deviation': change[loud[1:]].std()}
  return found


def _tilt(decibels):
  """Spectral slope by least squares, in dB over the width of the range."""
  place = np.linspace(-0.5, 0.5, decibels.shape[1])
  return decibels @ place / (place @ place)


def _quality(power, semitones, voiced):
  power = power[voiced]
  hertz = PITCH_FLOOR * 2 ** (semitones[voiced] / 12)
  decibels = 10 * np.log10(power)
  first, second, third = (_peak(decibels, n * hertz) for n in (1, 2, 3))
  # harmonics-to-noise ratio by the autocorrelation at one period (Boersma 1993)
  window = np.square(np.abs(np.fft.rfft(np.hanning(WINDOW), 2 * WINDOW)))
  correlation = np.fft.irfft(power, WINDOW)
  correlation = correlation / correlation[:, :1]
  reach = np.fft.irfft(window)[: WINDOW // 2]
  lags = (SAMPLE_RATE / hertz)[:, None] * np.linspace(0.96, 1.04, 9)
  lags = lags.clip(1, WINDOW // 2 - 2).round().astype(int)
  periodic = np.take_along_axis(correlation, lags, 1) / (reach / reach[0])[lags]
  periodic = periodic.max(1).clip(0.01, 0.999)
  harmonicity = 10 * np.log10(periodic / (1 - periodic))
  cepstrum = np.fft.irfft(decibels, WINDOW)
  prominence = np.take_along_axis(cepstrum, lags, 1).max(1) - np.abs(cepstrum[:, 40 : WINDOW // 2]).mean(1)
  formants = _formants(power)
  a3 = decibels[:, (HERTZ > 2000) & (HERTZ < 3500)].max(1)
  found = {}
  for name, values in (
    ('first to second harmonic', first - second),
    ('first to third harmonic', first - third),
    ('first harmonic to third formant', first - a3),
    ('harmonicity', harmonicity),
    ('cepstral peak', prominence),
    ('formant 1', formants[:, 0]),
    ('formant 2', formants[:, 1]),
    ('formant 3', formants[:, 2]),
  ):
    found |= {f'{name} middle': np.median(values), f'{name} deviation': values.std()}
  found |= _course('harmonicity', harmonicity)
  return found


def _peak(decibels, hertz):
  """Maximum over the three bins around each frame's frequency (T,)."""
  bins = (hertz[:, None] * WINDOW / SAMPLE_RATE + np.arange(-1, 2)).round().astype(int)
  return np.take_along_axis(decibels, bins.clip(0, decibels.shape[1] - 1), 1).max(1)


def _formants(power):
  """(T, 3) formants in octaves above 100 Hz: the lowest three LPC poles with a bandwidth below 700 Hz."""
  half = WINDOW // 4 + 1  # the spectrum up to 5.5 kHz, as of half the sampling rate
  lift = np.square(np.abs(1 - 0.95 * np.exp(-2j * np.pi * np.arange(half) / (WINDOW // 2))))  # pre-emphasis
  correlation = np.fft.irfft(power[:, :half] * lift, WINDOW // 2)[:, : ORDER + 1]
  companion = np.zeros((len(power), ORDER, ORDER))
  companion[:, 1:, :-1] = np.eye(ORDER - 1)
  lag = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
  companion[:, 0] = np.linalg.solve(correlation[:, lag], correlation[:, 1:, None])[..., 0]
  roots = np.linalg.eigvals(companion)
  rate = SAMPLE_RATE / 2
  hertz = np.angle(roots) * rate / (2 * np.pi)
  width = -np.log(np.abs(roots).clip(1e-6)) * rate / np.pi
  hertz = np.sort(np.where((hertz > 150) & (hertz < 5000) & (width < 700), hertz, 5000), axis=1)[:, :3]
  return np.log2(hertz / 100)


def _rhythm(level, loud, voiced):
  seconds = len(level) * FRAME
  stretches, gaps = _stretches(voiced)
  smooth = np.convolve(level, np.hanning(9) / np.hanning(9).sum(), 'same')
  peaks = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & loud[1:-1]
  return {
    'loud share': loud.mean(),
    'voiced share': voiced.mean() / loud.mean(),
    'voiced stretches a second': len(stretches) / seconds,
    'voiced stretch mean': stretches.mean() * FRAME,
    'voiced stretch deviation': stretches.std() * FRAME,
    'gap mean': gaps.mean() * FRAME,
    'gap longest': gaps.max() * FRAME,
    'level peaks a second': peaks.sum() / seconds,
    'syllable energy': np.log(np.abs(np.diff(smooth[loud])).mean() + 1e-2),
  }


def _stretches(voiced):
  """Lengths in frames of voiced stretches and of the gaps between them."""
  edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(int))).reshape(-1, 2)
  joined = [list(edges[0])]
  for start, end in edges[1:]:
    if start - joined[-1][1] < SHORT_GAP:
      joined[-1][1] = end
    else:
      joined.append([start, end])
  joined = np.array(joined)
  return joined[:, 1] - joined[:, 0], np.append(joined[1:, 0] - joined[:-1, 1], 0)
