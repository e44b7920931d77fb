"""The dialogue track: each take in its slot, every character at one loudness."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubber_jax.dubbing.cast import folded
from dubber_jax.media.loudness import integrated_loudness, limit_peaks
from dubber_jax.types import SAMPLE_RATE, Line

EDGE = 0.005  # s over which a line's sound comes up and goes down, so that neither end clicks


EVEN = 1.0  # dB that a take may lie from its character's level, besides what its direction asks for


@dataclass(frozen=True)
class LineAudio:
  """A line as it is to be heard. `asked`: dB, its direction's own loudness, which the waveform has; `overrun`: s for
  which it goes on after its slot."""

  line: Line
  waveform: np.ndarray  # (S,) at SAMPLE_RATE
  asked: float = 0.0
  overrun: float = 0.0

  @property
  def span(self) -> tuple[float, float]:
    """(start s, end s) of the film in which it is heard."""
    return self.line.start, self.line.end + self.overrun

  @property
  def plain(self) -> np.ndarray:
    return self.waveform / 10 ** (self.asked / 20)


def character_levels(heard: list[LineAudio]) -> dict[str, float]:
  """{character: LUFS} of all that each says, without the directions' own loudness, so that a whisper stays one."""
  plain = {}
  for h in heard:
    plain.setdefault(folded(h.line.character), []).append(h.plain)
  return {character: integrated_loudness(np.concatenate(waves), SAMPLE_RATE) for character, waves in plain.items()}


def gain_of(heard: LineAudio, anchor: float, target: float) -> float:
  """dB by which a take is raised so that its character, at `anchor` LUFS, comes to `target`; one that lies further
  than EVEN from its character's level is brought that near."""
  if not np.isfinite(anchor):
    return 0.0
  level = integrated_loudness(heard.plain, SAMPLE_RATE)
  beside = level - anchor if np.isfinite(level) else 0.0
  return float(target - anchor - beside + np.clip(beside, -EVEN, EVEN))


def mix_dialogue(heard: Sequence[LineAudio], gains: Sequence[float], seconds: float) -> np.ndarray:
  """(S,) at SAMPLE_RATE: every take in its own span, raised by its gain in dB; where these overlap, their sum."""
  total = round(max(seconds, *(h.line.end for h in heard)) * SAMPLE_RATE)
  dialogue = np.zeros(total, np.float32)
  for h, gain in zip(heard, gains, strict=True):
    first, last = (round(time * SAMPLE_RATE) for time in h.span)
    dialogue[first:last] += fill(h.waveform, last - first)[: total - first] * np.float32(10 ** (gain / 20))
  return limit_peaks(dialogue, SAMPLE_RATE)


def fill(wave: np.ndarray, samples: int) -> np.ndarray:
  """(S,) cut or padded with silence to so many samples, and faded over EDGE at both ends."""
  wave = wave[:samples]
  edge = min(round(EDGE * SAMPLE_RATE), len(wave) // 2)
  rise = np.sin(np.linspace(0, np.pi / 2, edge, dtype=np.float32)) ** 2
  faded = np.concatenate([wave[:edge] * rise, wave[edge : len(wave) - edge], wave[len(wave) - edge :] * rise[::-1]])
  return np.pad(faded, (0, samples - len(wave)))
