"""Limits of a direction's controls: ranges that the actor can follow, and which of them are ratios."""

import numpy as np

RATIOS = ('pace', 'pitch_range')  # controls that multiply, compared as logarithms; the others add
LIMITS = {  # lowest and highest value of each control, in the units of types.Direction
  'intensity': (0.1, 1.0),
  'pace': (0.75, 1.35),
  'pitch_shift': (-4.0, 6.0),
  'pitch_range': (0.6, 1.6),
  'loudness': (-10.0, 8.0),
  'breathiness': (0.0, 1.0),
  'tremor': (0.0, 1.0),
}
NEUTRAL = {name: 0.0 for name in LIMITS} | {'intensity': 0.5}  # of the additive value: the logarithm of a ratio
PAUSE_LIMITS = (0.08, 1.2)  # s, of a pause after a word


def clipped(control: str, value: float) -> float:
  """A control's value within its LIMITS, to three decimals."""
  return round(float(np.clip(value, *LIMITS[control])), 3)


def clipped_pause(seconds: float) -> float:
  """A pause within PAUSE_LIMITS, to hundredths of a second."""
  return round(float(np.clip(seconds, *PAUSE_LIMITS)), 2)
