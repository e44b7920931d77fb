"""Quality of a reference recording: noise, reverberation, music, several speakers, whisper, child, narrow band.

Each fault is a measure with a threshold, set on the corpora and on recordings degraded by known amounts
(`experiments/timing/voice_quality.py`; detection rates in docs/results/dubbing.md).
"""

from dataclasses import dataclass

import numpy as np

from dubber_jax.media.sound import resample
from dubber_jax.perception.speaker import SpeakerEncoder
from dubber_jax.perception.vad import RATE, WINDOW, speech_probabilities
from dubber_jax.types import HOP, SAMPLE_RATE

MIN_SPEECH = 0.3  # s: less counts as no speech
LITTLE_SPEECH = 1.0  # s
MIN_SNR = 14.0  # dB
MAX_DECAY = 0.45  # s, reverberation time (RT60)
MIN_VOICED = 0.06  # share of voiced speech; less is a whisper
CHILD_PITCH, CHILD_SPACING = 225.0, 1250.0  # Hz: median F0 and formant spacing; a raised woman's voice has the first
MIN_BANDWIDTH = 6000.0  # Hz
TWO_SPEAKERS = 0.55  # cosine between the two clusters of windows
ONE_SPEAKER = 0.65  # the same: a warning below it; the minimum of 481 recordings of one speaker each is 0.69
MOST_TONES = 0.3  # sustained tones at once, mean of the recording: the most of 10 readers without music is 0.25

FRAME, STEP = 512, 128  # samples at 16 kHz: 32 and 8 ms
BANDS = (250, 400, 630, 1000, 1600, 2500, 4000, 6300)  # Hz, edges of the bands in which decays are measured
DECAY_RANGE = 3.0, 13.0  # dB below a peak between which its decay is measured
MIN_FALL = 5.0  # dB of it that have to be observed
MAX_RISE = 1.5  # dB of increase that end a decay
DECAY_SMOOTHING = 5  # frames, moving average of the level
MIN_DECAYS = 6
MIN_WINDOWS = 8  # windows of the speaker encoder
WINDOW_SMOOTHING = 5  # windows (2.4 s), moving average of embeddings: single windows differ by words
MIN_FORMANT_FRAMES = 5  # frames with formants
MIN_CLUSTER_SHARE = 0.15  # least share of windows of a second speaker
# Sustained tones, of music: spectral peaks that stay within a bin or so, as harmonics of a speaking voice never do.
TONE_FRAME, TONE_STEP = 2048, 256  # samples at 16 kHz: 128 and 16 ms
TONE_RANGE = 300, 5000  # Hz
TONE_FRAMES = 40  # for which a tone lasts: 0.64 s; shorter ones are also in the reverberation of rooms
TONE_PEAK = 8.0  # dB of a peak above the spectrum around it
STEADY = 0.7  # share of the recording above which a tone is a whine of the equipment


@dataclass(frozen=True)
class VoiceReport:
  """Quality measures of a recording; NaN where not measurable."""

  speech_seconds: float
  noise: float = np.nan  # signal-to-noise ratio, dB: level of speech over that of the quietest 5 %
  decay: float = np.nan  # RT60, s, median over decays (dry speech: 0.15 to 0.3)
  voiced: float = np.nan  # share of voiced speech
  pitch: float = np.nan  # median F0, Hz
  formants: float = np.nan  # formant spacing, Hz: 1000 to 1200 of adults, more of shorter vocal tracts
  bandwidth: float = np.nan  # Hz: highest frequency within 60 dB of the strongest
  likeness: float = np.nan  # cosine between the two clusters of window embeddings: one speaker or two
  tones: float = np.nan  # sustained tones at once, mean over the recording: of music

  @property
  def kilohertz(self) -> float:
    return self.bandwidth / 1000


def measure_voice(wave: np.ndarray, sample_rate: int, pitch: np.ndarray, windows: np.ndarray) -> VoiceReport:
  """A recording (S,) -> its VoiceReport.

  pitch: (T,) Hz on the mel grid, 0 where unvoiced. windows: (W, 256) unit speaker embeddings of its windows.
  """
  wave = resample(wave, sample_rate, RATE)
  wave = wave - wave.mean()
  wave = np.clip(wave * (0.3 / max(float(np.quantile(np.abs(wave), 0.999)), 1e-9)), -1, 1)
  speaking = speech_probabilities(wave) > 0.5
  seconds = float(speaking.sum()) * WINDOW / RATE
  if seconds < MIN_SPEECH:
    return VoiceReport(seconds)
  power_ft = _power(wave)
  frames = np.arange(power_ft.shape[1])
  speech_t = speaking[np.minimum((frames * STEP + FRAME // 2) // WINDOW, len(speaking) - 1)]
  at = (np.arange(len(pitch)) + 0.5) * HOP / SAMPLE_RATE * RATE / WINDOW
  spoken = pitch[speaking[np.minimum(at.astype(int), len(speaking) - 1)]]
  noise, tones, likeness = _signal_to_noise(power_ft, speech_t), _sustained_tones(wave), _speaker_similarity(windows)
  if likeness < ONE_SPEAKER and (tones > MOST_TONES or noise < MIN_SNR):
    # Music or noise between the words is taken for another speaker: the speech alone has to show two.
    likeness = float(np.fmax(likeness, _speaker_similarity(_speech_windows(wave, speaking))))
  return VoiceReport(
    seconds,
    noise,
    _decay_time(power_ft),
    float((spoken > 0).mean()) if len(spoken) else np.nan,
    float(np.median(spoken[spoken > 0])) if (spoken > 0).sum() >= 10 else np.nan,
    _formant_spacing(wave, pitch),
    _bandwidth(power_ft, speech_t),
    likeness,
    tones,
  )


# Faults by name: condition and warning.
FAULTS = {
  'no speech': (
    lambda r: r.speech_seconds < MIN_SPEECH,
    'no speech is heard in it (music, noise?); the take will be in no particular voice: '
    'give a recording of one person talking',
  ),
  'little': (
    lambda r: MIN_SPEECH <= r.speech_seconds < LITTLE_SPEECH,
    'only {0.speech_seconds:.1f} s of it are speech; the take will not sound much like the speaker: give 5 s of talk',
  ),
  'noise': (
    lambda r: r.noise < MIN_SNR,
    'noise only {0.noise:.0f} dB below the voice; the take will sound rough and less like the speaker: '
    'give a cleaner recording',
  ),
  'echo': (
    lambda r: r.decay > MAX_DECAY,
    'a room that echoes for {0.decay:.1f} s; the take will sound blurred: record closer to the microphone',
  ),
  'whisper': (
    lambda r: r.voiced < MIN_VOICED,
    'a whisper: it has no pitch; the take will be voiced, at a guessed pitch: give a recording in full voice',
  ),
  'child': (
    lambda r: r.pitch > CHILD_PITCH and r.formants > CHILD_SPACING,
    'a child, or a voice as high ({0.pitch:.0f} Hz); the take will sound older: the model has heard adults only',
  ),
  'dull': (
    lambda r: r.bandwidth < MIN_BANDWIDTH,
    'nothing above {0.kilohertz:.1f} kHz, as by telephone; the take may sound dull: give a recording of 16 kHz or more',
  ),
  'several': (
    lambda r: r.likeness < TWO_SPEAKERS,
    'more than one person seems to speak; the take will be a mixture of them: cut out one',
  ),
  'music': (
    lambda r: r.tones > MOST_TONES and not r.decay > MAX_DECAY,  # an echo prolongs tones of the voice itself
    'music seems to play under the voice; the take will sound rough and less like the speaker: '
    'give a recording without it',
  ),
  'maybe several': (
    lambda r: TWO_SPEAKERS <= r.likeness < ONE_SPEAKER,
    'more than one person may be speaking; if so, the take will be a mixture of them: cut out one',
  ),
}


def detect_faults(report: VoiceReport) -> tuple[str, ...]:
  """Names of the FAULTS of a recording."""
  return tuple(name for name, (found, _) in FAULTS.items() if found(report))


def voice_warnings(report: VoiceReport, name: str) -> tuple[str, ...]:
  """One line for each fault: its effect on the take, and what to do."""
  return tuple(f'{name}: {FAULTS[fault][1].format(report)}' for fault in detect_faults(report))


def _power(wave):
  """(S,) -> (257, T) power spectrogram of frames of 32 ms."""
  from scipy.signal import stft

  return np.abs(stft(wave, RATE, nperseg=FRAME, noverlap=FRAME - STEP, boundary=None, padded=False)[2]) ** 2


def _bins(low, high):
  return slice(int(np.ceil(low * FRAME / RATE)), int(np.ceil(high * FRAME / RATE)))


def _signal_to_noise(power_ft, speech_t):
  level_t = power_ft[_bins(100, RATE / 2)].sum(axis=0)
  floor = max(float(np.percentile(level_t, 5)), 1e-14)
  return float(10 * np.log10(max(level_t[speech_t].mean() - floor, 1e-14) / floor))


def _decay_time(power_ft):
  """Blind estimate of RT60, s: median decay time over free decays in frequency bands.

  A decay that the next sound interrupts is extrapolated by its slope: dropping it would favor short ones.
  """
  from scipy.ndimage import uniform_filter1d

  near, far = DECAY_RANGE
  times = []
  for low, high in zip(BANDS[:-1], BANDS[1:], strict=True):
    level = 10 * np.log10(uniform_filter1d(power_ft[_bins(low, high)].sum(axis=0), DECAY_SMOOTHING) + 1e-14)
    floor = np.percentile(level, 5) + 5
    peaks = np.flatnonzero((level[1:-1] >= level[:-2]) & (level[1:-1] > level[2:]) & (level[1:-1] > floor + far)) + 1
    for peak in peaks:
      onset, lowest = None, peak
      for frame in range(peak + 1, len(level)):
        if level[frame] > level[lowest] + MAX_RISE or level[frame] < floor:
          break
        lowest = frame if level[frame] < level[lowest] else lowest
        onset = frame if onset is None and level[frame] <= level[peak] - near else onset
        if level[frame] <= level[peak] - far:
          break
      fallen = level[onset] - level[lowest] if onset is not None else 0.0
      if fallen >= MIN_FALL:
        times.append((lowest - onset) * STEP / RATE * 60 / fallen)
  return float(np.median(times)) if len(times) >= MIN_DECAYS else np.nan


def _formant_spacing(wave, pitch):
  """Formant spacing in Hz: median over voiced frames of the mean distance of LPC poles below 5.6 kHz."""
  import librosa

  rate, length, order = 12000, 360, 14
  wave = resample(wave, RATE, rate)
  wave = np.diff(wave, prepend=wave[:1]) + 0.03 * wave  # pre-emphasis
  starts = ((np.flatnonzero(pitch > 0) + 0.5) * HOP / SAMPLE_RATE * rate).astype(int)[::4] - length // 2
  starts = starts[(starts >= 0) & (starts + length <= len(wave))]
  if len(starts) < MIN_FORMANT_FRAMES:
    return np.nan
  frames = wave[starts[:, None] + np.arange(length)] * np.hamming(length)
  frames = frames / (np.abs(frames).max(axis=1, keepdims=True) + 1e-9)
  predictors = librosa.lpc(frames + 1e-6 * np.random.default_rng(0).standard_normal(frames.shape), order=order)
  companion = np.tile(np.eye(order, k=-1), (len(frames), 1, 1))
  companion[:, 0] = -predictors[:, 1:]
  poles = np.linalg.eigvals(companion)
  hertz = np.angle(poles) * rate / (2 * np.pi)
  widths = -np.log(np.abs(poles) + 1e-9) * rate / np.pi
  kept = (hertz > 200) & (hertz < 5600) & (widths < 500)
  spacings = [np.ptp(h[k]) / (k.sum() - 1) for h, k in zip(hertz, kept, strict=True) if k.sum() > 2]
  return float(np.median(spacings)) if len(spacings) >= MIN_FORMANT_FRAMES else np.nan


def _bandwidth(power_ft, speech_t):
  loudest = 10 * np.log10(np.percentile(power_ft[:, speech_t], 98, axis=1) + 1e-14)
  return float(np.flatnonzero(loudest > loudest.max() - 60)[-1] * RATE / FRAME)


def _speaker_similarity(windows):
  """Cosine between the centers of two clusters of speaker embeddings (spherical 2-means, initialized by PCA).

  Embeddings are averaged over WINDOW_SMOOTHING windows: single windows of 0.8 s cluster by their words, which lowers
  the minimum over recordings of one speaker from 0.69 to 0.53; two speakers are as distinct either way.
  """
  from scipy.ndimage import uniform_filter1d

  if len(windows) < MIN_WINDOWS:
    return np.nan
  windows = uniform_filter1d(windows, WINDOW_SMOOTHING, axis=0, mode='nearest')
  windows = windows / np.linalg.norm(windows, axis=1, keepdims=True)
  second = np.linalg.svd(windows - windows.mean(axis=0), full_matrices=False)[0][:, 0] > 0
  for _ in range(10):
    if not MIN_CLUSTER_SHARE <= second.mean() <= 1 - MIN_CLUSTER_SHARE:
      return np.nan
    centers = np.stack([windows[~second].mean(axis=0), windows[second].mean(axis=0)])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    second = np.argmax(windows @ centers.T, axis=1) == 1
  return float(centers[0] @ centers[1])


def _speech_windows(wave, speaking):
  """Embeddings of the windows of the speech alone; wave (S,) at RATE, speaking (V,) bool by VAD windows."""
  near = np.convolve(speaking, np.ones(3), 'same') > 0
  spoken = wave[: len(near) * WINDOW][np.repeat(near, WINDOW)[: len(wave)]]
  return SpeakerEncoder().windows(np.ascontiguousarray(spoken), RATE)


def _sustained_tones(wave):
  """Number of tones at once that keep their frequency for TONE_FRAMES, mean over the recording (S,) at RATE."""
  from scipy.ndimage import maximum_filter1d, uniform_filter1d

  low, high = (round(hertz * TONE_FRAME / RATE) for hertz in TONE_RANGE)
  padded = np.pad(wave, (0, max(0, TONE_FRAME - len(wave))))
  frames = np.lib.stride_tricks.sliding_window_view(padded, TONE_FRAME)[::TONE_STEP]
  level_tf = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(TONE_FRAME).astype(np.float32))) + 1e-6)
  level = level_tf.T[low - 25 : high + 25]
  peaks = (level >= maximum_filter1d(level, 5, axis=0)) & (level > uniform_filter1d(level, 41, axis=0) + TONE_PEAK)
  near = maximum_filter1d(peaks.astype(np.uint8), 3, axis=0)[25:-25].astype(np.float32)
  near *= near.mean(axis=1, keepdims=True) < STEADY
  lasting = uniform_filter1d(near, TONE_FRAMES, axis=1) >= 0.9
  tones = maximum_filter1d(lasting.astype(np.uint8), TONE_FRAMES, axis=1) * near
  return float(tones.sum(axis=0).mean() / 3)  # a tone takes three bins
