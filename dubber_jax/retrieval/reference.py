"""Emotion reference: a recording or a clip that a person gives a line becomes its first exemplar.

It is described as a clip of the footage library is: by the embedding of its sound, its prosody, and the embeddings of
scene and face; a recording without pictures has those of captions made up for its emotion, as the library's speech
corpora have. Its speaker is unknown, so that pitch, loudness and pace, which differ between people more than between
emotions, are measured but not compared; range and pauses are.
"""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.captions import label_captions
from dubber_jax.perception.prosody import measure_prosody
from dubber_jax.types import MODALITIES, Clip, Exemplar, Exemplars, Line, Reading, Reference, emotion_name

NEUTRAL = {'range': 6.2, 'pauses': 0.0}  # semitones, share: medians of the shipped library's neutral clips
LONGEST = 30.0  # s of a reference that are used
SOUND_SHARE = 0.7  # of the sound's emotion against the face's, in a clip that has both
KEY = 'reference/'  # before the key of its Exemplar


def read_reference(
  wave: np.ndarray | None, sample_rate: int, frames: np.ndarray | None = None, name: str = '', key: str = ''
) -> Reference:
  """Measures a performance: emotion, prosody and embeddings.

  wave: (S,) float32 mono, None without sound; frames: (L, H, W, 3) uint8 at 25 Hz, None without pictures. Raises
  BadInput where there is neither a sound nor a face to read an emotion from.
  """
  from dubber_jax.perception.speech_emotion import SpeechEmotionExtractor

  seen = _read_pictures(frames)
  sound = emotions = None
  prosody: dict[str, float] = {}
  if wave is not None and len(wave):
    with contextlib.suppress(BadInput):  # silent: its pictures may be of use
      sound, emotions = SpeechEmotionExtractor().read(wave, sample_rate)
      prosody = _compared(measure_prosody(wave, sample_rate))
  face = np.asarray(seen.emotions['face'], float) if seen is not None and 'face' in seen.emotions else None
  if emotions is None and face is None:
    raise BadInput(f'{name or "the reference"}: nothing is heard in it and no face is seen: give a recording of speech')
  if emotions is None or face is None:
    mixed = face if emotions is None else np.asarray(emotions, float)
  else:
    mixed = SOUND_SHARE * np.asarray(emotions, float) + (1 - SOUND_SHARE) * face
  assert mixed is not None
  mixed = mixed / mixed.sum()
  captions, embeddings = _captions(emotion_name(mixed), key)
  if seen is not None:
    shown = [m for m, there in zip(MODALITIES, seen.present, strict=True) if there and m != 'text']
    captions |= {m: seen.captions[m] for m in shown}
    embeddings |= {m: seen.embedding(m) for m in shown}
  seconds = len(wave) / sample_rate if wave is not None and len(wave) else len(frames) / 25 if frames is not None else 0
  return Reference(key, name, round(float(seconds), 3), tuple(map(float, mixed)), sound, prosody, embeddings, captions)


def with_reference(exemplars: Exemplars, reading: Reading, reference: Reference) -> Exemplars:
  """The exemplars of a line with a reference as the first of each modality that is read, before the retrieved ones, of
  which the last gives way."""
  clips, refs = dict(exemplars.clips), dict(exemplars.refs)
  sounds, present, heard = (
    np.array(values) for values in (exemplars.sounds, exemplars.refs_present, exemplars.sounds_present)
  )
  exemplar = exemplar_of(reference)
  for row, m in enumerate(MODALITIES):
    if not reading.present[row] or m not in refs:
      continue
    count, embedding = len(refs[m]), _embedding_of(reference, m, reading)
    clips[m] = (exemplar, *clips.get(m, ()))[:count]
    refs[m] = np.concatenate([np.asarray(embedding, np.float32)[None], refs[m][:-1]])
    sound = np.zeros(sounds.shape[-1], np.float32) if reference.sound is None else reference.sound
    sounds[row] = np.concatenate([sound[None], sounds[row, :-1]])
    present[row] = [True, *present[row, :-1]]
    heard[row] = [reference.sound is not None, *heard[row, :-1]]
  return Exemplars(clips, refs, sounds, present, heard, reference)


def exemplar_of(reference: Reference) -> Exemplar:
  """A reference as the planner and the report know exemplars."""
  emotion = emotion_name(reference.emotions)
  return Exemplar(f'{KEY}{reference.key}', 1.0, reference.name, emotion, '', dict(reference.prosody))


def to_arrays(reference: Reference) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """-> fields for JSON, and arrays."""
  fields = {f.name: getattr(reference, f.name) for f in dataclasses.fields(Reference)}
  arrays = {f'embedding_{m}': value for m, value in fields.pop('embeddings').items()}
  sound = fields.pop('sound')
  return fields, arrays | ({} if sound is None else {'sound': sound})


def from_arrays(fields: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Reference:
  """What `to_arrays` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
  emotions = tuple(float(p) for p in fields['emotions'])
  if len(emotions) != 8 or not np.isfinite(emotions).all() or not sum(emotions) > 0:
    raise ValueError('no emotions')
  embeddings = {m: np.asarray(arrays[f'embedding_{m}']) for m in MODALITIES if f'embedding_{m}' in arrays}
  sound = np.asarray(arrays['sound']) if 'sound' in arrays else None
  return Reference(
    str(fields['key']),
    str(fields['name']),
    float(fields['seconds']),
    emotions,
    sound,
    {str(name): float(value) for name, value in fields['prosody'].items()},
    embeddings,
    {str(name): str(value) for name, value in fields['captions'].items()},
  )


def _read_pictures(frames: np.ndarray | None) -> Reading | None:
  """Scene and face of a clip; its words are not known."""
  if frames is None or not len(frames):
    return None
  from dubber_jax.perception.analyze import read_clip

  return read_clip(Clip(frames, len(frames) / 25), Line('...'))


def _compared(measured: Mapping[str, float]) -> dict[str, float]:
  """Prosody with what can be said of it without knowing the speaker: range_ratio and pauses_shift."""
  found = dict(measured)
  if measured.get('range'):
    found['range_ratio'] = measured['range'] / NEUTRAL['range']
  if 'pauses' in measured:
    found['pauses_shift'] = measured['pauses'] - NEUTRAL['pauses']
  return found


def _captions(emotion: str, key: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
  """Captions made up for an emotion, the same ones for the same key, and their embeddings."""
  from dubber_jax.perception.text import embed_text

  rng = np.random.default_rng(list(key.encode()) or [0])
  captions = {m: label_captions(emotion, m, rng) for m in MODALITIES}
  return captions, dict(zip(captions, embed_text(list(captions.values())), strict=True))


def _embedding_of(reference: Reference, modality: str, reading: Reading) -> np.ndarray:
  """(D,) in a modality. Of text it is the line's own words with the reference's reaction, as it is to be said so."""
  if modality != 'text':
    return reference.embeddings[modality]
  reaction = reference.embeddings['text']
  return np.concatenate([reading.text[: len(reading.text) - len(reaction)], reaction])
