"""Critic inference: scores of takes, and the folder that a critic is stored in.

config.json        sizes of the networks; `scales`, the medians of each raw score on wrong and on right speech
model.safetensors  weights, bfloat16
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax

from dubber_jax.critic.model import PHONE_OF, SUBSAMPLING, Critic, CriticSizes
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import empty_critic_batch, fill_lips, fill_reference
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.nn.masks import frame_mask
from dubber_jax.script.g2p import encode
from dubber_jax.script.symbols import SILENCES
from dubber_jax.storage.json_files import fields_of, read_json
from dubber_jax.storage.programs import KeptProgram, kept_shapes
from dubber_jax.storage.weights import check_shapes, flatten, read_arrays, unflatten, write_arrays
from dubber_jax.types import HOP, SAMPLE_RATE, MouthTrack, Take, Voice

FRAME_STEP, PHONEME_STEP, LIP_STEP = 128, 64, 32  # lengths are padded to multiples of these, to compile few shapes
MIN_VOICED = 5  # voiced steps, from which on F0 statistics are given
# Scores that are scaled between wrong and right speech, and their keys in config.json, which stored critics have.
SCALED = {
  'naturalness': 'natural',
  'intelligibility': 'words',
  'speaker_similarity': 'voice',
  'av_sync': 'together',
}


@dataclass(frozen=True)
class CriticScores:
  """Scores and prosody measurements of one take. The first four are 0 for wrong speech and 1 for a median recording."""

  naturalness: float
  intelligibility: float
  speaker_similarity: float
  av_sync: float | None  # None where no mouth was tracked
  emotions: np.ndarray  # (8,) probabilities
  pitch: float  # median F0, semitones above 50 Hz; nan where hardly anything is voiced
  range: float  # semitones from the 10th to the 90th percentile of F0
  loudness: float  # dB, of the mel's mean power in speech
  pace: float  # phonemes a second of speech, pauses left out


@dataclass(frozen=True)
class CriticModel:
  """A critic with its weights. scales: {score: (median of wrong speech, median of right speech)}, raw scores."""

  sizes: CriticSizes
  params: dict
  scales: dict[str, tuple[float, float]]

  def score(self, takes: Sequence[Take], voice: Voice, track: MouthTrack | None = None) -> list[CriticScores]:
    """Scores of takes by one voice, computed in one batch. track: the mouth that they are to be in sync with."""
    batch = collate_takes(takes, voice, track)
    raw = jax.device_get(_jitted_scores(self.sizes)(self.params, batch))
    return [self._scores(take, {k: v[i] for k, v in raw.items()}, track) for i, take in enumerate(takes)]

  def _scores(self, take: Take, raw: dict[str, np.ndarray], track: MouthTrack | None) -> CriticScores:
    spoken = np.repeat([s not in SILENCES for s in take.phonemes], take.durations)
    half = spoken[: len(spoken) // SUBSAMPLING * SUBSAMPLING : SUBSAMPLING]
    f0 = raw['f0_semitones'][: len(half)][half & (raw['voiced'][: len(half)] > 0.5)]
    low, median, high = np.percentile(f0, (10, 50, 90)) if len(f0) >= MIN_VOICED else (np.nan,) * 3
    level = np.log(np.exp(2 * take.mel[spoken]).mean() + 1e-10) if spoken.any() else LOG_FLOOR
    scaled = {name: self.scale(name, float(raw[name])) for name in SCALED}
    if track is None or not track.usable:
      scaled['av_sync'] = None
    return CriticScores(
      **scaled,
      emotions=raw['emotion'],
      pitch=float(median),
      range=float(high - low),
      loudness=float(10 / np.log(10) * level),
      pace=float(sum(s not in SILENCES for s in take.phonemes) / max(spoken.sum() * HOP / SAMPLE_RATE, 1e-3)),
    )

  def scale(self, name: str, raw: float) -> float:
    """A raw score, linearly from 0 at the median of wrong speech to 1 at that of right speech, clipped."""
    wrong, right = self.scales[name]
    return float(np.clip((raw - wrong) / (right - wrong), 0.0, 1.0))


def collate_takes(takes: Sequence[Take], voice: Voice, track: MouthTrack | None = None) -> dict[str, np.ndarray]:
  """The padded batch that Critic takes, of takes by one voice."""
  tracked = track is not None and track.usable
  batch = empty_critic_batch(
    len(takes),
    frames=_padded(max(len(t.mel) for t in takes), FRAME_STEP),
    phonemes=_padded(max(len(t.phonemes) for t in takes), PHONEME_STEP),
    lips=_padded(len(track.lips) if tracked else 1, LIP_STEP),
  )
  for row, take in enumerate(takes):
    batch['mel'][row, : len(take.mel)] = take.mel
    batch['phonemes'][row, : len(take.phonemes)] = encode(take.phonemes)
    batch['durations'][row, : len(take.durations)] = take.durations
    fill_reference(batch, row, voice.reference_mel)
    if tracked:
      fill_lips(batch, row, track.lips, track.present)
  return batch


def _padded(length: int, step: int) -> int:
  return -(-length // step) * step


def raw_scores(sizes: CriticSizes, params: Any, batch: dict[str, Any]) -> dict[str, jax.Array]:
  """Raw scores of a batch, (B,) each, greater is better; emotion probabilities (B, 8); F0 and voicing (B, T/2).

  naturalness: probability; intelligibility: mean log likelihood of the line's phones, by `phone_log_likelihood`;
  speaker_similarity: cosine of the embeddings of take and reference; av_sync: a logit.
  """
  outputs = Critic(sizes).apply({'params': params}, batch)
  mask = frame_mask(batch['durations'], batch['mel'].shape[1])
  return {
    'naturalness': jax.nn.sigmoid(outputs['naturalness']),
    'intelligibility': phone_log_likelihood(
      outputs['phones'], mask[:, ::SUBSAMPLING], batch['phonemes'], batch['durations']
    ),
    'speaker_similarity': (outputs['speaker_embedding'] * outputs['reference_embedding']).sum(-1),
    'av_sync': outputs['av_sync'],
    'emotion': jax.nn.softmax(outputs['emotion']),
    'f0_semitones': outputs['f0_semitones'],
    'voiced': outputs['voiced'],
  }


def phone_log_likelihood(
  logits_btc: jax.Array, mask_bt: jax.Array, phonemes_bn: jax.Array, durations_bn: jax.Array
) -> jax.Array:
  """(B,) CTC log likelihood of the spoken phones, over all alignments, divided by their number."""
  phones = jnp.asarray(PHONE_OF)[phonemes_bn]
  spoken = (phones > 0) & (durations_bn > 0)
  order = jnp.argsort(~spoken, axis=1, stable=True)  # spoken phones first, in their order
  labels = jnp.take_along_axis(phones, order, axis=1)
  padding = 1.0 - jnp.take_along_axis(spoken, order, axis=1)
  return -optax.ctc_loss(logits_btc, 1.0 - mask_bt, labels, padding) / jnp.maximum(spoken.sum(1), 1)


@functools.lru_cache(maxsize=4)
def _jitted_scores(sizes):
  return KeptProgram('scores', repr(sizes), functools.partial(raw_scores, sizes))


def write_critic(critic: CriticModel, folder: str | Path):
  """Writes the critic's two files into `folder`, which is made."""
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  scales = {SCALED[name]: scale for name, scale in critic.scales.items()}
  settings = {'sizes': dataclasses.asdict(critic.sizes), 'scales': scales}
  (folder / 'config.json').write_text(json.dumps(settings, indent=2) + '\n')
  write_arrays(folder / 'model.safetensors', flatten(critic.params), ml_dtypes.bfloat16)


def read_critic(folder: str | Path) -> CriticModel:
  """Opens what `write_critic` wrote. Raises BadInput where it is damaged, or of another version."""
  folder = Path(folder)
  settings = read_json(folder / 'config.json')
  try:
    sizes = CriticSizes(**fields_of(CriticSizes, settings['sizes'], f'{folder}/config.json'))
    scales = {
      name: (float(low), float(high)) for name, key in SCALED.items() for low, high in [settings['scales'][key]]
    }
    if not np.isfinite(list(scales.values())).all():
      raise ValueError('scales that are no numbers')
  except BadInput:
    raise
  except (KeyError, TypeError, ValueError, OverflowError) as e:
    raise BadInput(f'{folder}: the critic cannot be read ({e}); copy it again') from e
  arrays, path = read_arrays(folder / 'model.safetensors', np.float32), folder / 'model.safetensors'
  shapes = kept_shapes('critic', repr(sizes), lambda: flax.traverse_util.flatten_dict(param_shapes(sizes), sep='/'))
  check_shapes(arrays, shapes, path, 'these are the weights of another critic')
  return CriticModel(sizes, unflatten(arrays), scales)


def param_shapes(sizes: CriticSizes) -> Any:
  """The nested shape structs of a critic's parameters."""
  batch = empty_critic_batch(1, FRAME_STEP, PHONEME_STEP, LIP_STEP)
  try:
    return jax.eval_shape(lambda: Critic(sizes).init(jax.random.key(0), batch)['params'])
  except Exception as e:  # sizes that make no network: JAX and Flax raise many types
    reason = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
    raise BadInput(f'the sizes of the critic make no network ({reason}); copy it again') from e
