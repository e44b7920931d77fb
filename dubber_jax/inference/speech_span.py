"""When a take speaks. NumPy alone, for programs that load takes and no model."""

import numpy as np

from dubber_jax.actor.slot import FRAME_RATE
from dubber_jax.script.symbols import SILENCES
from dubber_jax.types import Take


def speech_span(take: Take) -> tuple[float, float]:
  """(start s, end s) of the take's speech; zeros where it has none."""
  ends = np.cumsum(take.durations)
  spoken = [i for i, s in enumerate(take.phonemes) if s not in SILENCES and take.durations[i] > 0]
  if not spoken:
    return 0.0, 0.0
  return float((ends[spoken[0]] - take.durations[spoken[0]]) / FRAME_RATE), float(ends[spoken[-1]] / FRAME_RATE)
