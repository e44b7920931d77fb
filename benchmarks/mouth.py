"""Does speech start and end when the mouth does? Our window against GRID's words, in seconds.

    python benchmarks/mouth.py         # 40 clips of one training speaker, and the unseen ones; 2 minutes
"""

import numpy as np

from data_pipelines.recordings import read_recordings
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import read_frames
from dubber_jax.perception.read import follow_mouth
from dubber_jax.rehearsal import mouth_window
from dubber_jax.script.alignment import align


def spoken(recording):
  """(start s, end s) of the words: by our alignment, since GRID's own first word often begins in silence."""
  words = align(read_sound(recording.path, 16000), recording.text).words
  return words[0][0], words[-1][1]


def main():
  recordings = read_recordings('grid')
  groups = {
    's1, held back': [r for r in recordings if r.split == 'test'][:40],
    'unseen speakers': [r for r in recordings if r.split == 'test_unseen'],
  }
  print('| | clips | start: median error, bias (s) | end: median error, bias (s) |\n|---|---|---|---|')
  for name, group in groups.items():
    differences = []
    for r in group:
      window = mouth_window(follow_mouth(read_frames(r.path, max_side=640)[0]))
      if window is not None:
        differences.append(np.subtract(window, spoken(r)))
    error, bias = np.median(np.abs(differences), axis=0), np.median(differences, axis=0)
    print(f'| {name} | {len(differences)} | {error[0]:.2f}, {bias[0]:+.2f} | {error[1]:.2f}, {bias[1]:+.2f} |')


if __name__ == '__main__':
  main()
