"""Synthetic captions of clips without video, from their emotion labels: for training and for the library only.

Speech corpora have no video, so captions of scene, face and listener's reaction are generated from the emotion label.
The wording differs from that of `read_scene`, `read_face` and `read_text`, so that nothing can be learned by matching
phrases; at inference the director gets words and pixels, never a label.
"""

import numpy as np

from dubber_jax.types import EMOTIONS

# Measured error rates of perception's most likely emotion (docs/results/perception.md).
ERROR_RATES = {'scene': 0.8, 'face': 0.5, 'text': 0.3}
DROP_RATE = 0.1  # probability that a modality is missing: no face, an off-screen line

PLACES = ('A room', 'A street', 'An office', 'A kitchen', 'A hallway', 'An open field', 'A shop', 'A stage')
PERSONS = ('A man', 'A woman', 'Someone', 'A person', 'The character', 'An actor')
SCENES = {
  'angry': ('in glaring red light, tempers flare', 'where a quarrel has broken out', 'full of raised fists'),
  'disgust': ('that is dirty and neglected', 'with sickly greenish light', 'littered with rotting rubbish'),
  'fear': ('at night, with long shadows', 'where danger seems to lurk', 'gloomy and cold, something is wrong'),
  'happy': ('flooded with sunlight', 'decorated for a party', 'in warm golden light, people celebrate'),
  'neutral': ('on a regular weekday', 'with plain furniture and daylight', 'where nothing special goes on'),
  'sad': ('in grey rain', 'empty after everyone has left', 'in faded colours, quiet as after a funeral'),
  'surprise': ('where something has just popped up', 'in sudden flashing light', 'as the unexpected happens'),
  'others': ('with an ambiguous air', 'half hidden by curtains', 'that is hard to place'),
}
FACES = {
  'angry': ('glares with knitted eyebrows', 'bares their teeth in rage', 'scowls, nostrils flaring'),
  'disgust': ('grimaces as at a foul smell', 'sneers and squints', 'purses the mouth in revulsion'),
  'fear': ('stares in terror, lips parted', 'looks scared and pale', 'blinks nervously, brow creased in alarm'),
  'happy': ('beams with delight', 'grins, cheeks lifted', 'laughs, eyes crinkled'),
  'neutral': ('looks on with an even gaze', 'shows a blank expression', 'talks with a calm, plain look'),
  'sad': ('looks tearful and dejected', 'frowns in sorrow, chin trembling', 'gazes down, grieving'),
  'surprise': ('gapes in astonishment', 'lifts the eyebrows high, jaw dropped', 'is startled, eyes popping'),
  'others': ('smirks in an odd way', 'has an unreadable, mixed look', 'tilts the head, doubtful'),
}
LISTENERS = {
  'angry': ('People nearby flinch at so much fury.', 'One would feel blamed and shouted at.'),
  'disgust': ('People nearby pull a face and step back.', 'One would feel queasy just hearing it.'),
  'fear': ('People nearby hold their breath, alarmed.', 'One would feel that something terrible is coming.'),
  'happy': ('People nearby cheer up at such good news.', 'One would feel like laughing too.'),
  'neutral': ('People nearby nod, they have been informed.', 'One would feel nothing in particular.'),
  'sad': ('People nearby fall silent out of pity.', 'One would feel a lump in the throat.'),
  'surprise': ('People nearby turn round, astonished.', 'One would feel caught off guard.'),
  'others': ('People nearby are not sure how to take it.', 'One would feel puzzled by the tone.'),
}


def label_captions(emotion: str, modality: str, rng: np.random.Generator) -> str:
  """A random caption of a clip of this emotion, by modality: 'scene', 'face', or for 'text' the listener's reaction."""
  if emotion not in EMOTIONS:
    raise ValueError(f'{emotion!r} is none of {", ".join(EMOTIONS)}')
  if modality == 'scene':
    return f'{_choose(PLACES, rng)} {_choose(SCENES[emotion], rng)}.'
  if modality == 'face':
    return f'{_choose(PERSONS, rng)} {_choose(FACES[emotion], rng)}.'
  if modality == 'text':
    return _choose(LISTENERS[emotion], rng)
  raise ValueError(f"{modality!r} is none of 'scene', 'face', 'text'")


def training_captions(emotion: str, rng: np.random.Generator) -> dict[str, str]:
  """Captions by modality with the error rates of perception: some of another emotion, some missing."""
  captions = {}
  for modality, wrong in ERROR_RATES.items():
    if rng.random() < DROP_RATE:
      continue
    seen = _choose(EMOTIONS, rng) if rng.random() < wrong else emotion
    captions[modality] = label_captions(seen, modality, rng)
  return captions


def _choose(choices, rng):
  return choices[int(rng.integers(len(choices)))]
