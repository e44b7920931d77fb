import numpy as np
import pytest

from dubber_jax.dubbing.mix import EDGE, EVEN, LineAudio, character_levels, dialogue_blocks, fill, gain_of
from dubber_jax.dubbing.timeline import check_slots, separate_lines, within_film
from dubber_jax.errors import BadInput
from dubber_jax.media.loudness import integrated_loudness
from dubber_jax.types import SAMPLE_RATE, Line


@pytest.mark.parametrize('samples', [0, 1, 7, 5000, 20000, 60000])
def test_sound_cut_or_padded_to_its_slot_begins_and_ends_without_a_jump(samples):
  filled = fill(np.full(40000, 0.5, np.float32), samples)
  assert filled.shape == (samples,) and filled.dtype == np.float32
  if samples > 1000:
    assert filled[0] == 0 and abs(filled[-1]) < 1e-6
    assert np.abs(np.diff(filled)).max() < 0.5 * np.pi / 2 / (EDGE * SAMPLE_RATE) * 1.1
    assert (filled[500 : min(samples, 40000) - 500] == 0.5).all()


@pytest.mark.parametrize(
  ('start', 'end', 'said'),
  [
    (9.0, 9.5, 'starts at 9.00 s'),
    (3.0, 3.0, 'after its start'),
    (3.0, 2.0, 'after its start'),
    (-1.0, 2.0, 'from 0 on'),
    (float('nan'), 2.0, 'after its start'),
    (0.0, 1e9, 'limit'),
  ],
)
def test_slot_that_cannot_be_is_refused(start, end, said):
  with pytest.raises(BadInput, match=f'line 2.*{said}'):
    check_slots([Line('One.', 0.0, 1.0), Line('Two.', start, end)], 100.0 if end > 1e6 else 8.0, 'film.mp4')


def test_line_after_the_end_of_the_film_is_left_out_and_told():
  lines = [Line('One.', 0.0, 1.0), Line('Late.', 9.0, 10.0), Line('Two.', 7.0, 9.0)]
  kept, told = within_film(lines, 8.0)
  assert kept == [lines[0], lines[2]]
  assert len(told) == 2 and told[0].startswith('line 2 starts after the end') and 'line 3 would last to 9.00' in told[1]


def test_script_of_another_film_is_refused():
  lines = [Line('One.', 0.0, 1.0), Line('Late.', 9.0, 10.0), Line('Later.', 10.0, 11.0)]
  kept, _ = within_film(lines, 8.0)
  with pytest.raises(BadInput, match='line 2 starts at 9.00 s'):
    check_slots(kept, 8.0, 'film.mp4')


def test_slot_ends_with_the_film():
  assert check_slots([Line('One.', 7.0, 9.0)], 8.0, 'film.mp4')[0].end == 8.0


def said(character, start, end, text='Yes.'):
  return Line(text, start, end, character)


def test_line_of_a_character_ends_where_their_next_begins():
  lines, warnings = separate_lines([said('Anna', 1.0, 3.0), said('ANNA', 2.5, 4.0), said('Anna', 4.0, 5.0)])
  assert [(line.start, line.end) for line in lines] == [(1.0, 2.5), (2.5, 4.0), (4.0, 5.0)]
  assert len(warnings) == 1 and '2.50 s, not 3.00 s' in warnings[0]


def test_characters_may_speak_at_once_and_that_is_told():
  given = [said('Anna', 1.0, 3.0), said('Ben', 2.5, 4.0), said('Anna', 3.0, 3.5)]
  lines, warnings = separate_lines(given)
  assert lines == given
  assert len(warnings) == 2 and all('both are heard' in warning for warning in warnings)
  assert '0.50 s' in warnings[0]


@pytest.mark.parametrize('character', ['Anna', ''])
def test_lines_of_one_character_that_begin_together_are_refused(character):
  with pytest.raises(BadInput, match='lines 1 and 2'):
    separate_lines([said(character, 1.0, 2.0), said(character, 1.1, 2.0)])


def tone(seconds, level):
  """A sine of so many LUFS (-3 dB of full scale's amplitude is a sine's RMS)."""
  time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
  wave = np.sin(2 * np.pi * 997 * time).astype(np.float32)
  return wave * np.float32(10 ** ((level - integrated_loudness(wave, SAMPLE_RATE)) / 20))


def test_every_character_comes_to_the_films_level_and_a_whisper_stays_one():
  lines = [said('Anna', 0, 2), said('Ben', 2, 4), said('Anna', 4, 6)]
  heard = [
    LineAudio(lines[0], tone(2, -20)),
    LineAudio(lines[1], tone(2, -35)),
    LineAudio(lines[2], tone(2, -29), asked=-9.0),
  ]
  levels = character_levels(heard)
  assert levels == pytest.approx({'anna': -20, 'ben': -35}, abs=0.1)
  gains = [gain_of(h, levels[h.line.character.casefold()], -23.0) for h in heard]
  dialogue = np.concatenate([*dialogue_blocks(heard, gains, 6.0)])[:, 0]
  parts = [
    integrated_loudness(dialogue[round(a.start * SAMPLE_RATE) : round(a.end * SAMPLE_RATE)], SAMPLE_RATE) for a in lines
  ]
  assert parts == pytest.approx([-23, -23, -32], abs=0.2)


def test_a_take_that_jumps_out_unasked_is_brought_near_its_character():
  heard = [LineAudio(said('Anna', i, i + 1), tone(1, level)) for i, level in enumerate([-23.0, -23.5, -14.0, -40.0])]
  moved = [integrated_loudness(h.waveform, SAMPLE_RATE) + gain_of(h, -23.0, -23.0) for h in heard]
  assert moved == pytest.approx([-23, -23.5, -23 + EVEN, -23 - EVEN], abs=0.05)


def test_silent_takes_are_not_raised():
  silent = LineAudio(said('Anna', 0, 1), np.zeros(SAMPLE_RATE, np.float32))
  assert character_levels([silent]) == {'anna': -np.inf}
  assert gain_of(silent, -np.inf, -23.0) == 0.0 and np.isfinite(gain_of(silent, -30.0, -23.0))


def test_takes_keep_to_their_slots_to_the_sample_and_add_up_where_these_overlap():
  spans = [(0.1, 0.7331), (0.7331, 1.2), (1.0, 1.9)]
  ones = np.full(3 * SAMPLE_RATE, 0.3, np.float32)
  heard = [LineAudio(said(str(i), *span), ones) for i, span in enumerate(spans)]
  dialogue = np.concatenate([*dialogue_blocks(heard, [0.0] * 3, 2.0)])[:, 0]
  assert len(dialogue) == 2 * SAMPLE_RATE
  edges = [round(time * SAMPLE_RATE) for time in (0.1, 0.7331, 1.0, 1.2, 1.9)]
  assert not dialogue[: edges[0]].any() and not dialogue[edges[4] :].any()
  np.testing.assert_allclose(dialogue[[edges[1] - 1, edges[1]]], 0, atol=1e-6)
  np.testing.assert_allclose(dialogue[edges[2] + 300 : edges[3] - 300], 0.6, rtol=1e-6)
  np.testing.assert_allclose(dialogue[edges[3] + 1 : edges[4] - 300], 0.3, rtol=1e-6)
