"""Background of the dialogue: the film's own sound, muted or ducked at its lines, or a music-and-effects track."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.film import SOUND_RATE, Film
from dubber_jax.media.loudness import integrated_loudness, limit_peaks
from dubber_jax.media.sound import pad_or_trim, read_sound

KEEP, DUCK, NONE = 'keep', 'duck', 'none'
LINE_GAINS = {KEEP: 0.0, DUCK: 10 ** (-18 / 20)}  # gain of the film's own sound during a line
FADE_SECONDS = {KEEP: 0.03, DUCK: 0.15}  # s, fade before and after a line
MAX_SHORTFALL = 1.0  # s by which a track may be shorter than its film


def read_background(what: str, film: Film, slots: Sequence[tuple[float, float]]) -> tuple[np.ndarray | None, list[str]]:
  """The background under the dialogue: (S,) or (S, 2) at SOUND_RATE from the film's start, or None; and warnings.

  what: `keep`: the film's own sound, muted in the `slots` (start s, end s) of the lines; `duck`: lowered there by
  18 dB; `none`; or a file of music and effects, used unchanged. Raises BadInput for a file without sound, silent, or
  shorter than the film.
  """
  if what == NONE:
    return None, []
  if what in LINE_GAINS:
    if not film.info.has_sound:
      return None, [f'{film.path.name} has no sound of its own: there is no background to {what}']
    wave = pad_or_trim(film.sound, round(film.seconds * SOUND_RATE))
    return (wave.T * ducking_gain(slots, len(wave), SOUND_RATE, LINE_GAINS[what], FADE_SECONDS[what])).T, []
  wave = read_sound(what, SOUND_RATE, stereo=True)
  lasts, seconds = len(wave) / SOUND_RATE, film.seconds
  if not np.isfinite(integrated_loudness(wave, SOUND_RATE)):
    raise BadInput(f'{what}: is silent; give a track of music and effects, or --background none')
  if lasts < seconds - MAX_SHORTFALL:
    raise BadInput(f'{what}: lasts {lasts:.2f} s, the film {seconds:.2f} s; give a track as long as the film')
  warning = f'{Path(what).name} lasts {lasts:.2f} s, the film {seconds:.2f} s: it is cut there'
  return pad_or_trim(wave, round(seconds * SOUND_RATE)), [warning] if lasts > seconds + MAX_SHORTFALL else []


def mix_background(dialogue: np.ndarray, background: np.ndarray) -> np.ndarray:
  """Mixes dialogue (S,) at SOUND_RATE with a background (S,) or (S, 2), peaks limited to -1 dB true peak.

  In a stereo mix the dialogue is panned to the center at equal power.
  """
  if background.ndim > 1:
    dialogue = np.repeat(dialogue[:, None] * np.float32(0.5**0.5), 2, axis=1)
  return limit_peaks(dialogue + pad_or_trim(background, len(dialogue)), SOUND_RATE)


def ducking_gain(
  slots: Sequence[tuple[float, float]], samples: int, rate: int, lowered: float, fade: float
) -> np.ndarray:
  """Gain curve (S,) float32: `lowered` in the `slots` (start s, end s), else 1, with sine-squared fades of `fade` s."""
  gain = np.ones(samples, np.float32)
  for start, end in slots:
    first, last = max(0, round((start - fade) * rate)), min(samples, round((end + fade) * rate) + 1)
    time = np.arange(first, last) / rate
    outside = np.maximum(np.maximum(start - time, time - end) / fade, 0).clip(0, 1)
    gain[first:last] = np.minimum(gain[first:last], lowered + (1 - lowered) * np.sin(outside * np.pi / 2) ** 2)
  return gain
