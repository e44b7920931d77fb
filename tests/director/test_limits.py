import pytest

from dubber_jax.director.limits import LIMITS, NEUTRAL, PAUSE_LIMITS, RATIOS, clipped, clipped_pause
from dubber_jax.types import Direction


@pytest.mark.parametrize('control', LIMITS)
def test_control_is_clipped_at_both_limits_and_rounded_within(control):
  low, high = LIMITS[control]
  assert (clipped(control, low - 1), clipped(control, high + 1)) == (low, high)
  inside = low + 0.61803399 * (high - low)
  assert clipped(control, inside) == pytest.approx(inside, abs=5e-4) == clipped(control, clipped(control, inside))


def test_neutral_direction_is_within_limits_and_at_neutral():
  for control, (low, high) in LIMITS.items():
    value = getattr(Direction(), control)
    assert low <= value <= high and NEUTRAL[control] == (0.0 if control in RATIOS else value)


def test_pause_is_clipped_to_its_limits():
  assert [clipped_pause(s) for s in (-1, 0.3149, 9)] == [PAUSE_LIMITS[0], 0.31, PAUSE_LIMITS[1]]
