"""Timecode of films at all rates of SMPTE ST 12, drop frame and not."""

from fractions import Fraction as F

import opentimelineio as otio
import pytest

from dubber_jax.dubbing.editorial.frames import RATES, FrameClock, clock_at, film_clock, nearest_rate, show_rate
from dubber_jax.errors import BadInput

NTSC_FILM, NTSC, NTSC_60 = F(24000, 1001), F(30000, 1001), F(60000, 1001)
STARTS = [
  (NTSC_FILM, '01:00:00:00', 86_400),
  (F(24), '00:59:59:23', 86_399),
  (F(25), '10:00:00:00', 900_000),
  (NTSC, '01:00:00:00', 108_000),
  (NTSC, '01:00:00;00', 107_892),
  (F(30), '01:00:00:00', 108_000),
  (F(50), '01:00:00:49', 180_049),
  (NTSC_60, '01:00:00:00', 216_000),
  (NTSC_60, '01:00:00;00', 215_784),
  (F(60), '00:00:01:00', 60),
]


@pytest.mark.parametrize('rate,start,frame', STARTS, ids=lambda v: str(v).replace('/', '_'))
def test_the_timecode_of_a_film_is_read_to_the_frame(make_film, rate, start, frame):
  clock, warnings = film_clock(make_film(rate, start, seconds=0.2))
  assert (clock.rate, clock.start, clock.drop, warnings) == (rate, frame, ';' in start, [])
  assert clock.timecode(0) == start


@pytest.mark.parametrize('name', ['film.mp4', 'film.mkv'])
def test_timecode_is_found_in_every_container(make_film, name):
  assert film_clock(make_film(F(25), '01:02:03:04', 0.2, name))[0].timecode(0) == '01:02:03:04'


def test_a_film_without_timecode_begins_at_zero(make_film):
  assert film_clock(make_film(NTSC, None, 0.2))[0] == FrameClock(NTSC)


@pytest.mark.parametrize('rate', RATES, ids=show_rate)
def test_every_frame_of_an_hour_agrees_with_opentimelineio(rate):
  clock = FrameClock(rate, start=round(3600 * rate))
  for frame in range(0, round(3600 * rate), 997):
    assert clock_at(clock.timecode(frame), rate).start == clock.start + frame
    assert otio.opentime.from_timecode(clock.timecode(frame), float(rate)).value == clock.start + frame


@pytest.mark.parametrize('rate', [NTSC, NTSC_60], ids=show_rate)
def test_drop_frame_stays_with_the_clock_for_a_day(rate):
  for minute in range(0, 24 * 60, 7):
    clock = clock_at(f'{minute // 60:02d}:{minute % 60:02d}:30;00', rate)
    assert abs(clock.start / rate - (minute * 60 + 30)) < 0.15
    assert clock.timecode(0) == f'{minute // 60:02d}:{minute % 60:02d}:30;00'


@pytest.mark.parametrize('rate', RATES, ids=show_rate)
def test_times_in_milliseconds_fall_into_their_own_frames(rate):
  clock = FrameClock(rate)
  for frame in range(0, 200_000, 1999):
    rounded = round(float(frame / rate), 3)  # as a subtitle gives it
    assert clock.first(rounded) == frame and clock.after(rounded) == frame
    assert clock.first(rounded + 0.01) == frame and clock.after(rounded + 0.01) == frame + 1


@pytest.mark.parametrize(
  'timecode,rate',
  [
    ('01:00:00;00', F(25)),
    ('00:01:00;00', NTSC),
    ('00:01:00;01', NTSC),
    ('00:01:00;03', NTSC_60),
    ('24:00:00:00', F(25)),
    ('00:00:00:25', F(25)),
    ('00:00:60:00', F(25)),
    ('1:00:00', F(25)),
    ('-1:00:00:00', F(25)),
    ('', F(25)),
  ],
)
def test_timecode_that_does_not_exist_is_refused_in_one_line(timecode, rate):
  with pytest.raises(BadInput, match='timecode'):
    clock_at(timecode, rate)


@pytest.mark.parametrize(
  'found,rate,warned',
  [
    (F(2997, 100), NTSC, False),
    (F(23976, 1000), NTSC_FILM, False),
    (F(15), F(30), True),
    (F(12), F(24), True),
    (F(2937, 100), NTSC, True),
    (F(0), F(25), True),
  ],
)
def test_other_frame_rates_are_counted_at_the_nearest_one(found, rate, warned):
  assert nearest_rate(found)[0] == rate
  assert bool(nearest_rate(found)[1]) == warned


def test_the_time_reference_is_exact_to_the_sample():
  assert clock_at('01:00:00:00', NTSC_FILM).samples(48_000) == 3600 * 48_048
  assert clock_at('01:00:00:00', F(25)).samples(48_000) == 3600 * 48_000
