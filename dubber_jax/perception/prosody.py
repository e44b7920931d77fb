"""Prosody of a recording: F0 on the mel grid, and speaking rate, F0 level and range, loudness and pauses."""

import functools

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.script.alignment import Alignment
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import HOP, SAMPLE_RATE

PITCH_FLOOR = 60.0  # Hz: below the lowest male speech; excludes subharmonics
PITCH_CEILING = 800.0  # Hz: fearful female speech of RAVDESS reaches 760

# Columns of a library's prosody.npy and keys of a clip's prosody.
PROSODY = ('pace', 'pitch', 'range', 'loudness', 'pauses')
MIN_PAUSE = 0.1  # s: shorter gaps are stop consonants
MIN_SPEECH = 0.03  # s: shorter sounds are not speech


def measure_prosody(wave: np.ndarray, sample_rate: int, phonemes: int | Alignment | None = None) -> dict[str, float]:
  """Prosody statistics of a recording (S,) float32 of one line.

  pace: articulation rate, phonemes per s without pauses. pitch: median F0, Hz. range: semitones from the 10th to the
  90th percentile of F0. loudness: LUFS (EBU R128). pauses: share of silence between the first and the last phoneme.

  `phonemes` is the number of phonemes, or their Alignment, which locates speech and pauses better than the level does.
  Unknown statistics are omitted: pace without `phonemes`, pitch and range of a whisper, all of them for silence.
  """
  wave = np.asarray(wave, np.float32).reshape(-1)
  if isinstance(phonemes, Alignment):
    spans, count = _spoken_spans(phonemes)
  else:
    spans, count = _energy_spans(wave, sample_rate), phonemes
  if not spans:
    return {}
  start, end = spans[0][0], spans[-1][1]
  speaking = sum(e - s for s, e in spans)
  measured = {'pace': count / speaking} if count else {}
  pitch = track_pitch(wave, sample_rate)
  centers = (np.arange(len(pitch)) + 0.5) * HOP / SAMPLE_RATE
  voiced = pitch[(pitch > 0) & (centers >= start) & (centers <= end)]
  if len(voiced) >= 10:
    low, middle, high = np.percentile(voiced, (10, 50, 90))
    measured |= {'pitch': float(middle), 'range': float(12 * np.log2(high / low))}
  loudness = integrated_loudness(wave, sample_rate)
  if np.isfinite(loudness):
    measured['loudness'] = float(loudness)
  return measured | {'pauses': float(1 - speaking / (end - start))}


def _spoken_spans(alignment):
  """Spans (start s, end s) of consecutive phonemes, and the number of phonemes."""
  spans, count = [], 0
  for symbol, start, end in zip(alignment.phonemes, alignment.starts, alignment.ends, strict=True):
    if symbol in SILENCES:
      continue
    count += 1
    if spans and start - spans[-1][1] < MIN_PAUSE:
      spans[-1] = (spans[-1][0], float(end))
    else:
      spans.append((float(start), float(end)))
  return spans, count


def _energy_spans(wave, sample_rate):
  """Spans (start s, end s) with a level well above the noise floor."""
  hop = max(1, round(0.01 * sample_rate))
  frames = wave[: len(wave) // hop * hop].reshape(-1, hop)
  level = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)
  if not len(level) or level.max() < -90:
    return []
  noise, speech = np.percentile(level, (5, 95))
  threshold = max(speech - 35, min(noise + 10, speech - 15))
  edges = np.flatnonzero(np.diff(np.concatenate([[False], level > threshold, [False]]).astype(int)))
  spans = []
  for start, end in (edges.reshape(-1, 2) * hop / sample_rate).tolist():
    if spans and start - spans[-1][1] < MIN_PAUSE:
      spans[-1] = (spans[-1][0], end)
    else:
      spans.append((start, end))
  return [(start, end) for start, end in spans if end - start >= MIN_SPEECH]


def track_pitch(wave: np.ndarray, sample_rate: int, num_frames: int | None = None) -> np.ndarray:
  """F0 on the mel grid, by swift-f0.

  wave (S,) float32 mono -> (T,) float32 Hz, 0 where unvoiced. T is `num_frames`, by default that of the mel:
  floor(samples at 22,050 Hz / 256). Frame t is centered at sample 256 t + 128, as mel frames are (spec, section 11).
  Invariant to level: the sound is normalized to its peak.

  Raises BadInput if swift-f0 is not installed.
  """
  wave = np.asarray(wave, np.float32).reshape(-1)
  if num_frames is None:
    num_frames = round(len(wave) * SAMPLE_RATE / sample_rate) // HOP
  # A quantile instead of the peak: a click would push quiet speech below the network's silence floor.
  peak = float(np.quantile(np.abs(wave), 0.999)) if wave.size else 0.0
  if num_frames == 0 or peak < 1e-6:
    return np.zeros(num_frames, np.float32)
  result = _detector().detect(np.clip(0.5 * wave / peak, -1, 1), sample_rate, fmin=PITCH_FLOOR, fmax=PITCH_CEILING)
  times = (np.arange(num_frames) * HOP + HOP / 2) / SAMPLE_RATE
  return _resample_to_mel_grid(times, result.timestamps, result.pitch_hz, result.confidence >= 0.5)


@functools.cache
def _detector():
  try:
    from swift_f0 import SwiftF0
  except ImportError as error:
    raise BadInput(f'pitch tracking needs swift-f0 ({error}): pip install swift-f0 soxr') from None
  return SwiftF0(threads=1, spin=False)


def _resample_to_mel_grid(times, known_times, hz, voiced) -> np.ndarray:
  """Resamples F0: voicing of the nearest frame, log-F0 interpolated between voiced frames."""
  if not voiced.any():
    return np.zeros(len(times), np.float32)
  step = known_times[1] - known_times[0] if len(known_times) > 1 else 1.0
  nearest = np.clip(np.rint(times / step).astype(int), 0, len(known_times) - 1)
  log_hz = np.interp(times, known_times[voiced], np.log(hz[voiced]))
  return np.where(voiced[nearest], np.exp(log_hz), 0).astype(np.float32)
