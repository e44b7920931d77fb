"""Speaker adaptation: fine-tunes few biases of the actor on one recording of an unseen voice.

The biases of the decoder's adaptive norms, which shape the spectrum, and of the F0 and energy predictor are optimized
until the actor's teacher-forced output matches the recording; timing and emotion are unchanged. AdaSpeech (arXiv
2103.00993) adapts conditional norms likewise; here a few seconds suffice, and their transcript is recognized.

The loss compares the mean spectrum of each phoneme and its deviation over time, since a framewise mel loss blurs the
spectra, which costs a point of predicted MOS; the critic's naturalness is a further term.
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
from dubber_jax.storage.programs import KeptProgram
from dubber_jax.storage.weights import flatten
from dubber_jax.types import SAMPLE_RATE, Voice

STEPS, RATE, MOMENTUM = 40, 0.06, 0.8  # of gradients normalized by the norm of the whole update
DEVIATION, NATURALNESS = 0.5, 1.5  # weights of the losses, against 1 of the mean spectrum
MAX_FRAMES_WEIGHT = 10.0  # frames of a phoneme, from which on its weight in the loss does not grow
FRAMES, PIECES = 512, 2  # mel frames of a piece, and pieces in a step's batch
LONGEST = 5.0  # s of words in a piece
MARGIN = 0.2  # s kept before and after the words
SENTENCE = 'This is how I sound when I speak plainly, without any hurry.'
SIMILAR_ENOUGH = 0.95  # speaker similarity from which on a voice is not adapted


@dataclass(frozen=True)
class Piece:
  """A transcribed segment of a recording: mel (T, 80), pitch (T,) Hz, phonemes (N,) ids, durations (N,) mel frames."""

  mel: np.ndarray
  pitch: np.ndarray
  phonemes: np.ndarray
  durations: np.ndarray


@dataclass(frozen=True)
class Fit:
  """Cache key of adaptations; `version` is raised when their results change."""

  name: str = 'fit'
  version: int = 1


def adapt_voice(
  model: Model, voice: Voice, wave: np.ndarray, steps: int = STEPS, on_step: Callable[[int, float], None] | None = None
) -> Voice:
  """The voice with the changes of the model's biases for it, from a recording (S,) at 22,050 Hz, -23 LUFS.

  Takes seconds on a CPU, without compilation; results are cached (`storage/cache.py`). on_step(step, loss). A voice
  whose speaker similarity is high already is returned unchanged; so is one in whose recording no words are recognized,
  with a warning.
  """
  if not steps or not fitted_names(model.params):
    return voice

  def compute():
    if is_similar(model, voice):
      return {'known': 1}
    pieces = cut_pieces(wave)
    return _fit(model, voice, pieces, steps, on_step) if pieces else {}

  critic = sorted(flatten(model.critic.params).items()) if model.critic else ()
  key = (norms_hash(model.params), *(v for _, v in critic), wave, voice.embedding, voice.reference_mel, steps)
  found = cached(Fit(), key, compute)
  if 'known' in found:
    return voice
  if not found:
    warning = f'{voice.name or "voice"}: no words were found in it, so that it is followed less closely'
    return dataclasses.replace(voice, warnings=(*voice.warnings, warning))
  return dataclasses.replace(voice, fit=found, fit_of=norms_hash(model.params))


def is_similar(model: Model, voice: Voice) -> bool:
  """Whether the critic's speaker similarity of a synthesized sentence is SIMILAR_ENOUGH without adaptation."""
  if model.critic is None:
    return False
  from dubber_jax.inference.synthesis import LineInputs, synthesize

  take = synthesize(model, LineInputs(phonemize(SENTENCE), voice))
  return model.critic.score([take], voice)[0].speaker_similarity >= SIMILAR_ENOUGH


def cut_pieces(wave: np.ndarray) -> list[Piece]:
  """Segments of a recording (S,) at 22,050 Hz in which words are recognized and aligned."""
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.script.alignment import RATE as ALIGNMENT_RATE
  from dubber_jax.script.alignment import align, durations_in_frames
  from dubber_jax.script.asr import recognize, split_at_pauses, transcript

  pieces = []
  for words in split_at_pauses(recognize(resample(wave, SAMPLE_RATE, ALIGNMENT_RATE)), LONGEST):
    start, end = max(words[0][0] - MARGIN, 0.0), words[-1][1] + MARGIN
    part = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    mel = mel_numpy(part)[:FRAMES]
    try:
      alignment = align(resample(part, SAMPLE_RATE, ALIGNMENT_RATE), transcript(words))
      durations = durations_in_frames(alignment, len(mel))
    except BadInput:
      continue  # recognized, but not aligned
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
  for number in tqdm(range(steps), desc=f'adapting to {voice.name or "the voice"}', unit='step', leave=False):
    chosen = [pieces[(number * size + i) % len(pieces)] for i in range(size)]
    batch = collate_pieces(model, voice, chosen, rng)
    moved, state, loss = step(moved, state, model.params, critic and critic.params, batch)
    if on_step:
      on_step(number + 1, float(loss))
  return {name: np.asarray(value) for name, value in moved.items()}


def collate_pieces(
  model: Model, voice: Voice, pieces: Sequence[Piece], rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """The batch of a teacher-forced pass of DirectorActor, with all director nodes masked."""
  batch = empty_batch(model.config, Shape(len(pieces), FRAMES, FRAMES // 4, lip_frames(FRAMES), REFERENCE))
  for row, piece in enumerate(pieces):
    for name in ('mel', 'pitch', 'phonemes', 'durations'):
      value = getattr(piece, name)
      batch[name][row, : len(value)] = value
    fill_voice(batch, row, voice.embedding, voice.reference_mel)
  if 'noise' in batch:
    batch['noise'] = rng.standard_normal(batch['noise'].shape, np.float32)
  return batch


def phoneme_distance(output_btm: jax.Array, target_btm: jax.Array, durations_bn: jax.Array) -> jax.Array:
  """Distance of two mels (B, T, 80) with the same durations (B, N): absolute differences of each phoneme's mean and
  deviation over time, averaged with the phoneme's frames as weights, MAX_FRAMES_WEIGHT at most."""
  path_btn = frame_to_phoneme(durations_bn, output_btm.shape[1])
  frames_bn1 = path_btn.sum(1)[..., None]

  def mean(x_btm):
    return jnp.einsum('btn,btm->bnm', path_btn, x_btm) / jnp.maximum(frames_bn1, 1.0)

  means, deviations = [], []
  for mel in (output_btm, target_btm):
    means.append(mean(mel))
    deviations.append(jnp.sqrt(jnp.maximum(mean(jnp.square(mel)) - jnp.square(means[-1]), 0.0) + 1e-3))
  weight = jnp.minimum(frames_bn1, MAX_FRAMES_WEIGHT)
  each = jnp.abs(means[0] - means[1]) + DEVIATION * jnp.abs(deviations[0] - deviations[1])
  return (each * weight).sum() / jnp.maximum(weight.sum() * output_btm.shape[-1], 1.0)


def optimizer() -> optax.GradientTransformation:
  """Momentum on updates normalized to unit norm."""
  return optax.chain(optax.normalize_by_update_norm(), optax.trace(MOMENTUM), optax.scale(-RATE))


@functools.lru_cache(maxsize=4)
def _step(module, sizes):
  def loss(moved, params, critic_params, batch):
    outputs = module.apply({'params': moved_params(params, moved)}, batch)
    losses = actor_losses(outputs, batch)
    total = sum(WEIGHTS[name] * losses[name] for name in ('pitch', 'energy'))
    total += 2.0 * phoneme_distance(outputs['finished'], batch['mel'], batch['durations'])
    if critic_params is not None:
      mel = jnp.where(outputs['mask'][..., None], jnp.maximum(outputs['finished'], LOG_FLOOR), LOG_FLOOR)
      scored = Critic(sizes).apply({'params': critic_params}, batch | {'mel': mel})
      total += 2.0 * NATURALNESS * jnp.square(1.0 - jax.nn.sigmoid(scored['naturalness'])).mean()
    return total

  def step(moved, state, params, critic_params, batch):
    value, gradient = jax.value_and_grad(loss)(moved, params, critic_params, batch)
    updates, state = optimizer().update(gradient, state)
    return optax.apply_updates(moved, updates), state, value

  return KeptProgram('adaptation', f'{module!r} {sizes!r}', step)
