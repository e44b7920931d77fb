"""A voice that taught the actor nothing, followed: what one recording of it says of how its layers should be shaped.

The actor knows a voice by a speaker embedding and a reference mel, and follows those that are like the ones it learned
from. For any other, few numbers are moved until the actor performs the recording as the speaker did: the biases of the
decoder's adaptive norms, which shape the spectrum, and of pitch and energy as a whole; how a line goes, and what is
felt in it, stay the actor's. AdaSpeech (arXiv 2103.00993) adapts conditional norms likewise; here a few seconds have to
do, and what is said in them is heard, not given.

Mels frame by frame would be a bad guide: what comes nearest to them is blurred, and a whole point of predicted MOS is
lost. What is compared is each phoneme's mean spectrum and its spread, and the critic has a say: it is to sound natural.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from dubber_jax.actor.losses import WEIGHTS, actor_losses
from dubber_jax.critic.model import Critic
from dubber_jax.errors import BadInput
from dubber_jax.inference.batch import REFERENCE, Shape, empty_batch, fill_voice, lip_frames
from dubber_jax.inference.fitted_params import fitted_names, moved_params, norms_hash
from dubber_jax.inference.model import Model
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.nn.alignment import frame_to_phoneme
from dubber_jax.script.g2p import encode, phonemize
from dubber_jax.storage.cache import cached
from dubber_jax.storage.weights import flatten
from dubber_jax.types import SAMPLE_RATE, Voice

STEPS, RATE, MOMENTUM = 40, 0.06, 0.8  # of gradients of unit length, so that what matters little is left alone
SPREAD, NATURAL = 0.5, 1.5  # against the mean of a phoneme's spectrum
FRAMES, PIECES = 512, 2  # mel frames of a piece, and how many a step performs
LONGEST = 5.0  # s of words in a piece
AROUND = 0.2  # s kept around them
SENTENCE = 'This is how I sound when I speak plainly, without any hurry.'
KNOWN = 0.95  # of the critic's opinion of a voice, from which on nothing is to be gained


@dataclass(frozen=True)
class Piece:
  """A few words of a recording: mel (T, 80), pitch (T,) Hz, phonemes (N,) ids and durations (N,) mel frames."""

  mel: np.ndarray
  pitch: np.ndarray
  phonemes: np.ndarray
  durations: np.ndarray


@dataclass(frozen=True)
class Fit:
  """Names a fit in the cache of what was found; `version` is raised when what is found changes."""

  name: str = 'fit'
  version: int = 1


def adapt_voice(
  model: Model, voice: Voice, wave: np.ndarray, steps: int = STEPS, on_step: Callable[[int, float], None] | None = None
) -> Voice:
  """The voice with what the model's layers add for it, from a recording (S,) at 22,050 Hz, -23 LUFS.

  Seconds on a CPU, compilation apart; the same recording is fitted once (`storage/cache.py`). on_step(step, loss).
  A voice that the critic takes for the speaker's own already stays as it is; so does one in whose recording no words
  are found, with a warning.
  """
  if not steps or not fitted_names(model.params):
    return voice

  def compute():
    if is_known(model, voice):
      return {'known': 1}
    pieces = cut_pieces(wave)
    return _fit(model, voice, pieces, steps, on_step) if pieces else {}

  ear = sorted(flatten(model.critic.params).items()) if model.critic else ()
  known_by = (norms_hash(model.params), *(v for _, v in ear), wave, voice.embedding, voice.reference_mel, steps)
  found = cached(Fit(), known_by, compute)
  if 'known' in found:
    return voice
  if not found:
    warning = f'{voice.name or "voice"}: no words were found in it, so that it is followed less closely'
    return dataclasses.replace(voice, warnings=(*voice.warnings, warning))
  return dataclasses.replace(voice, fit=found, fit_of=norms_hash(model.params))


def is_known(model: Model, voice: Voice) -> bool:
  """Whether the critic takes what the model performs for the speaker's own already."""
  if model.critic is None:
    return False
  from dubber_jax.inference.synthesis import synthesize

  take = synthesize(model, phonemize(SENTENCE), voice, None)
  return model.critic.hear([take], voice)[0].voice >= KNOWN


def cut_pieces(wave: np.ndarray) -> list[Piece]:
  """Pieces of a recording (S,) at 22,050 Hz in which words are heard, and found again where they are."""
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.script.alignment import RATE as HEARD
  from dubber_jax.script.alignment import align, durations_in_frames
  from dubber_jax.script.asr import cut, recognize, written

  pieces = []
  for words in cut(recognize(resample(wave, SAMPLE_RATE, HEARD)), LONGEST):
    start, end = max(words[0][0] - AROUND, 0.0), words[-1][1] + AROUND
    part = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    mel = mel_numpy(part)[:FRAMES]
    try:
      alignment = align(resample(part, SAMPLE_RATE, HEARD), written(words))
      durations = durations_in_frames(alignment, len(mel))
    except BadInput:
      continue  # what was heard is not there after all
    if len(durations) <= FRAMES // 4 and (durations >= 0).all():
      pitch = track_pitch(part, SAMPLE_RATE, len(mel))
      pieces.append(Piece(mel, pitch, encode(alignment.phonemes), durations))
  return pieces


def _fit(model, voice, pieces: Sequence[Piece], steps, on_step) -> dict[str, np.ndarray]:
  size = min(len(pieces), PIECES)
  flat = flax.traverse_util.flatten_dict(model.params, sep='/')
  moved = {name: np.zeros_like(flat[name]) for name in fitted_names(model.params)}
  critic = model.critic
  state, step = optimizer().init(moved), _step(model.module, critic and critic.sizes)
  rng = np.random.default_rng(0)
  for number in tqdm(range(steps), desc=f'fitted to {voice.name or "the voice"}', unit='step', leave=False):
    chosen = [pieces[(number * size + i) % len(pieces)] for i in range(size)]
    batch = collate_pieces(model, voice, chosen, rng)
    moved, state, loss = step(moved, state, model.params, critic and critic.params, batch)
    if on_step:
      on_step(number + 1, float(loss))
  return {name: np.asarray(value) for name, value in moved.items()}


def collate_pieces(
  model: Model, voice: Voice, pieces: Sequence[Piece], rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """The batch of a teacher-forced pass of DirectorActor, with a silent director."""
  batch = empty_batch(model.config, Shape(len(pieces), FRAMES, FRAMES // 4, lip_frames(FRAMES), REFERENCE))
  for row, piece in enumerate(pieces):
    for name in ('mel', 'pitch', 'phonemes', 'durations'):
      value = getattr(piece, name)
      batch[name][row, : len(value)] = value
    fill_voice(batch, row, voice.embedding, voice.reference_mel)
  if 'noise' in batch:
    batch['noise'] = rng.standard_normal(batch['noise'].shape, np.float32)
  return batch


def apart(made_btm: jax.Array, said_btm: jax.Array, durations_bn: jax.Array) -> jax.Array:
  """How far the phonemes of two mels (B, T, 80) with the same durations (B, N) are from each other: mean and spread
  over time of each, weighed by its frames, of which ten count at most."""
  path_btn = frame_to_phoneme(durations_bn, made_btm.shape[1])
  frames_bn1 = path_btn.sum(1)[..., None]

  def mean(x_btm):
    return jnp.einsum('btn,btm->bnm', path_btn, x_btm) / jnp.maximum(frames_bn1, 1.0)

  means, spreads = [], []
  for mel in (made_btm, said_btm):
    means.append(mean(mel))
    spreads.append(jnp.sqrt(jnp.maximum(mean(jnp.square(mel)) - jnp.square(means[-1]), 0.0) + 1e-3))
  weight = jnp.minimum(frames_bn1, 10.0)
  each = jnp.abs(means[0] - means[1]) + SPREAD * jnp.abs(spreads[0] - spreads[1])
  return (each * weight).sum() / jnp.maximum(weight.sum() * made_btm.shape[-1], 1.0)


def optimizer() -> optax.GradientTransformation:
  return optax.chain(optax.normalize_by_update_norm(), optax.trace(MOMENTUM), optax.scale(-RATE))


@functools.lru_cache(maxsize=4)
def _step(module, sizes):
  def loss(moved, params, ear, batch):
    outputs = module.apply({'params': moved_params(params, moved)}, batch)
    losses = actor_losses(outputs, batch)
    total = sum(WEIGHTS[name] * losses[name] for name in ('pitch', 'energy'))
    total += 2.0 * apart(outputs['finished'], batch['mel'], batch['durations'])
    if ear is not None:
      mel = jnp.where(outputs['mask'][..., None], jnp.maximum(outputs['finished'], LOG_FLOOR), LOG_FLOOR)
      heard = Critic(sizes).apply({'params': ear}, batch | {'mel': mel})
      total += 2.0 * NATURAL * jnp.square(1.0 - jax.nn.sigmoid(heard['natural'])).mean()
    return total

  def step(moved, state, params, ear, batch):
    value, gradient = jax.value_and_grad(loss)(moved, params, ear, batch)
    updates, state = optimizer().update(gradient, state)
    return optax.apply_updates(moved, updates), state, value

  return jax.jit(step)
