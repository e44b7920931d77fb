"""Movie dubbing with a director: script, silent clip and a voice in; speech in time with the lips out.

model = load()
model.dub('clip.mp4', 'We never asked for any of this.', voice=model.voice('voice.wav'), out='dubbed.mp4')
"""

import importlib

_WHERE = {
  'load': 'inference.model_directory',
  'Model': 'inference.model_directory',
  'find_voice': 'inference.voices',
  'make_voice': 'inference.voices',
  'dub': 'dubbing.film',
  'redo': 'dubbing.redo',
  'RedoRequest': 'dubbing.redo',
  **dict.fromkeys(('DubRequest', 'DubOptions', 'LineOptions', 'LineTask'), 'dubbing.request'),
  **dict.fromkeys(('DubResult', 'LineResult'), 'dubbing.result'),
  'Film': 'media.film',
  'Cast': 'dubbing.cast',
  'read_cast': 'dubbing.cast',
  'speak': 'dubbing.speak',
  'SpeakRequest': 'dubbing.speak',
  'Library': 'retrieval.library',
  'Config': 'config',
  'BadInput': 'errors',
  **dict.fromkeys(
    ('Line', 'Clip', 'Voice', 'MouthTrack', 'Reading', 'Exemplar', 'Exemplars', 'Direction', 'Take', 'Review'), 'types'
  ),
}
__all__ = sorted(_WHERE)
__version__ = '0.1.0'


def __getattr__(name: str):
  # Loaded when asked for, so that `import dubber_jax` is quick.
  if name not in _WHERE:
    raise AttributeError(f'dubber_jax has no {name!r}')
  return getattr(importlib.import_module(f'dubber_jax.{_WHERE[name]}'), name)
