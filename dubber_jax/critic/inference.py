"""The critic at work: takes in, what is heard in them out, and the folder that its weights lie in.

config.json        sizes of the networks; `scales`, what each raw figure is like in speech that is wrong and in speech
                   that is right
model.safetensors  weights
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dubber_jax.critic.model import OPENING, PHONE_OF, STEP, Critic, CriticSizes
from dubber_jax.errors import BadInput
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.script.g2p import SILENCES, encode
from dubber_jax.types import EMOTIONS, HOP, MEL_BANDS, SAMPLE_RATE, MouthTrack, Take, Voice

FRAME_STEP, PHONEME_STEP = 128, 64  # lengths are padded to multiples, so that few shapes are compiled
REFERENCE = 256  # mel frames of a voice
SCALED = ('natural', 'words', 'voice', 'together')  # opinions that are placed between wrong and right


@dataclass(frozen=True)
class CriticScores:
  """What the critic hears in a take. The first four are 0 for speech that is wrong and 1 for a recording's middle."""

  natural: float
  words: float
  voice: float
  together: float | None  # with the mouth; None where none was seen
  emotions: np.ndarray  # (8,) probabilities
  pitch: float  # median, semitones above 50 Hz
  range: float  # semitones from the 10th to the 90th percentile of pitch
  loudness: float  # dB, of the mel's power while somebody speaks
  pace: float  # phonemes a second, pauses left out


@dataclass(frozen=True)
class CriticModel:
  """A critic with its weights. scales: {opinion: (wrong, right)}, raw figures."""

  sizes: CriticSizes
  params: dict
  scales: dict[str, tuple[float, float]]

  def hear(self, takes: Sequence[Take], voice: Voice, track: MouthTrack | None = None) -> list[CriticScores]:
    """What is heard in takes by one voice, in one batch. track: the mouth that they are to go with."""
    batch = collate_takes(takes, voice, track)
    found = jax.device_get(_hear(self.sizes)(self.params, batch))
    return [self._heard(take, {k: v[i] for k, v in found.items()}, track) for i, take in enumerate(takes)]

  def _heard(self, take, raw, track):
    spoken = np.repeat([s not in SILENCES for s in take.phonemes], take.durations)
    half = spoken[: len(spoken) // STEP * STEP : STEP]
    sung = raw['height'][: len(half)][half & (raw['voiced'][: len(half)] > 0.5)]
    low, middle, high = np.percentile(sung, (10, 50, 90)) if len(sung) >= 5 else (np.nan,) * 3
    level = np.log(np.exp(2 * take.mel[spoken]).mean() + 1e-10) if spoken.any() else LOG_FLOOR
    scaled = {name: self.scale(name, float(raw[name])) for name in SCALED}
    if track is None or not track.usable:
      scaled['together'] = None
    return CriticScores(
      **scaled,
      emotions=raw['emotion'],
      pitch=float(middle),
      range=float(high - low),
      loudness=float(10 / np.log(10) * level),
      pace=float(sum(s not in SILENCES for s in take.phonemes) / max(spoken.sum() * HOP / SAMPLE_RATE, 1e-3)),
    )

  def scale(self, name: str, raw: float) -> float:
    wrong, right = self.scales[name]
    return float(np.clip((raw - wrong) / (right - wrong), 0.0, 1.0))


def collate_takes(takes: Sequence[Take], voice: Voice, track: MouthTrack | None = None) -> dict[str, np.ndarray]:
  """The batch that Critic takes, of takes by one voice, padded."""
  most = max(len(t.mel) for t in takes)
  frames = -(-most // FRAME_STEP) * FRAME_STEP
  phonemes = -(-max(len(t.phonemes) for t in takes) // PHONEME_STEP) * PHONEME_STEP
  seen = track is not None and track.usable
  lips = len(track.lips) if seen else 1
  lips = -(-lips // 32) * 32
  count = len(takes)
  batch = {
    'mel': np.full((count, frames, MEL_BANDS), LOG_FLOOR, np.float32),
    'phonemes': np.zeros((count, phonemes), np.int32),
    'durations': np.zeros((count, phonemes), np.int32),
    'reference': np.full((count, REFERENCE, MEL_BANDS), LOG_FLOOR, np.float32),
    'reference_mask': np.zeros((count, REFERENCE), bool),
    'lips': np.zeros((count, lips, 82), np.float32),
    'lip_mask': np.zeros((count, lips), bool),
  }
  reference = voice.reference_mel[:REFERENCE]
  batch['reference'][:, : len(reference)] = reference
  batch['reference_mask'][:, : len(reference)] = True
  for row, take in enumerate(takes):
    batch['mel'][row, : len(take.mel)] = take.mel
    batch['phonemes'][row, : len(take.phonemes)] = encode(take.phonemes)
    batch['durations'][row, : len(take.durations)] = take.durations
    if seen:
      batch['lips'][row, : len(track.lips), OPENING:] = track.lips[:, OPENING:]
      batch['lip_mask'][row, : len(track.present)] = track.present
  return batch


def raw_scores(sizes: CriticSizes, params, batch) -> dict[str, jax.Array]:
  """Raw figures of a batch, one an item, all of them the greater the better; and the pitch that was heard.

  words: the mean log probability of the line's phones, by `phone_log_likelihood`; voice: the cosine of take and
  reference; together: a logit.
  """
  heard = Critic(sizes).apply({'params': params}, batch)
  mask = jnp.arange(batch['mel'].shape[1]) < batch['durations'].sum(1, keepdims=True)
  return {
    'natural': jax.nn.sigmoid(heard['natural']),
    'words': phone_log_likelihood(heard['phones'], mask[:, ::STEP], batch['phonemes'], batch['durations']),
    'voice': (heard['voice'] * heard['reference_voice']).sum(-1),
    'together': heard['together'],
    'emotion': jax.nn.softmax(heard['emotion']),
    'height': heard['height'],
    'voiced': heard['voiced'],
  }


def phone_log_likelihood(logits_btc, mask_bt, phonemes_bn, durations_bn) -> jax.Array:
  """(B,) log likelihood of the phones that are spoken, over all alignments, divided by their number."""
  phones = jnp.asarray(PHONE_OF)[phonemes_bn]
  spoken = (phones > 0) & (durations_bn > 0)
  order = jnp.argsort(~spoken, axis=1, stable=True)  # those first, as they follow each other
  labels = jnp.take_along_axis(phones, order, axis=1)
  padding = 1.0 - jnp.take_along_axis(spoken, order, axis=1)
  return -optax.ctc_loss(logits_btc, 1.0 - mask_bt, labels, padding) / jnp.maximum(spoken.sum(1), 1)


@functools.lru_cache(maxsize=4)
def _hear(sizes):
  return jax.jit(functools.partial(raw_scores, sizes))


def write_critic(listener: CriticModel, folder: str | Path):
  """Writes the critic's two files into `folder`, which is made."""
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  settings = {'sizes': dataclasses.asdict(listener.sizes), 'scales': listener.scales}
  (folder / 'config.json').write_text(json.dumps(settings, indent=2) + '\n')
  flat = flax.traverse_util.flatten_dict(listener.params, sep='/')
  save_file({k: np.asarray(v).astype(ml_dtypes.bfloat16) for k, v in flat.items()}, folder / 'model.safetensors')
  (folder / 'model.safetensors').chmod(0o644)


def read_critic(folder: str | Path) -> CriticModel:
  """Opens what `write_critic` wrote. Raises BadInput where it is damaged, or of another version."""
  folder = Path(folder)
  try:
    settings = json.loads((folder / 'config.json').read_text())
    sizes = CriticSizes(**settings['sizes'])
    scales = {name: tuple(map(float, settings['scales'][name])) for name in SCALED}
    flat = {k: v.astype(np.float32) for k, v in load_file(folder / 'model.safetensors').items()}
  except (OSError, SafetensorError, KeyError, TypeError, ValueError) as e:
    raise BadInput(f'{folder}: the critic cannot be read ({e}); copy it again') from e
  expected = flax.traverse_util.flatten_dict(_shapes(sizes), sep='/')
  wrong = [k for k in {*expected, *flat} if k not in flat or k not in expected or flat[k].shape != expected[k].shape]
  if wrong:
    raise BadInput(
      f'{folder}: {sorted(wrong)[0]} is not what its config.json says ({len(wrong)} in all); '
      'these are the weights of another critic'
    )
  return CriticModel(sizes, flax.traverse_util.unflatten_dict(flat, sep='/'), scales)


def _shapes(sizes):
  take = Take(np.zeros((8, MEL_BANDS), np.float32), ('@sil',), np.array([8]), np.zeros(8), np.zeros(len(EMOTIONS)))
  batch = collate_takes([take], Voice(np.zeros(256, np.float32), np.zeros((8, MEL_BANDS), np.float32)))
  return jax.eval_shape(lambda: Critic(sizes).init(jax.random.key(0), batch)['params'])
