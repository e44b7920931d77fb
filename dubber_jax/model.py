"""DirectorActor: the director's graphs and the actor, one Flax module.

Its methods take a batch, a dictionary of arrays with these names (B items; N, L, T, R padded lengths):

  phonemes (B, N) int32, 0 is padding      durations (B, N) int32 mel frames
  lips (B, L, 82), lip_mask (B, L) bool    speaker (B, 256), reference (B, R, 80), reference_mask (B, R)
  scene, face, text (B, D*)                present (B, 3) bool
  scene_refs, face_refs, text_refs (B, K, D*), refs_present (B, 3, K)
  sounds (B, 3, K, Da), sounds_present (B, 3, K)
  language (B,) int32, index into script/symbols.LANGUAGES; only for models with several
  directed (B, 8), one-hot emotion of the direction times its intensity; zeros if it names none
  noise (B, T, noise_width), standard normal; zeros give the most probable take
and, for training, mel (B, T, 80), pitch (B, T) Hz with 0 for unvoiced, emotion (B,) int, emotion_known (B,),
reference_plain (B,) bool, pace (B,), the speaking rate that a synthesizer was asked for, else 1, edited (B,) bool,
whether F0 and energy were modified, and domain (B,) int, the recording condition, 0 where it is missing.

Masks make every item independent of what else is in its batch and of the padding.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.actor.decoder import (
  PITCH_CENTER,
  PITCH_SCALE,
  SEMITONE,
  MelDecoder,
  ProsodyPredictor,
  energy_of_mel,
  scale_pitch,
)
from dubber_jax.actor.duration import DurationPredictor
from dubber_jax.actor.emotion_fusion import Aggregator, EmotionHead
from dubber_jax.actor.length_regulator import LengthRegulator
from dubber_jax.actor.lip_encoder import LipEncoder, LipTextAttention
from dubber_jax.actor.style_encoder import StyleEncoder
from dubber_jax.actor.text_encoder import TextEncoder
from dubber_jax.config import Config
from dubber_jax.director.graphs import EmotionGraphs, node_mask
from dubber_jax.media.mel import LOG_FLOOR
from dubber_jax.nn.attention import Attention
from dubber_jax.nn.scan import Stacking
from dubber_jax.types import MODALITIES

DIRECTED_SCALE = 8.0  # a higher effective learning rate for weights that few recordings train


class DirectorActor(nn.Module):
  """The director's emotion graphs and the actor: text, voice, lips and context to mel. Batch: see the module."""

  config: Config

  def setup(self):
    c = self.config.task.actor
    self.graphs = EmotionGraphs(self.config.task.director)
    stacking = Stacking(self.config.train.remat, self.config.train.unroll)
    self.text = TextEncoder(
      c.symbols, c.width, c.text_layers, c.text_heads, c.kernel, c.expansion, c.dropout, stacking, c.languages
    )
    self.style = StyleEncoder(c.style_width, c.condition_width, dropout=c.dropout)
    if c.timbre_heads:
      self.timbre = Attention(c.timbre_heads, c.style_width, c.width)
    if c.domains:
      self.domain = nn.Embed(c.domains, c.condition_width, embedding_init=nn.initializers.zeros)
    if c.directed:
      self.directed = nn.Dense(c.width, use_bias=False, kernel_init=nn.initializers.zeros)
    if c.directed_condition:
      self.directed_condition = nn.Dense(c.condition_width, use_bias=False, kernel_init=nn.initializers.zeros)
    self.lips = LipEncoder(c.lip_width, c.lip_layers, c.kernel, c.expansion, c.dropout, stacking)
    self.lip_text = LipTextAttention(c.lip_heads, c.lip_width, c.dropout)
    self.duration = DurationPredictor(c.prosody_width, c.prosody_layers, dropout=c.dropout, stacking=stacking)
    self.regulator = LengthRegulator()
    stages = 3 if self.config.task.director.hierarchical else 1
    self.aggregators = [Aggregator(dropout=c.dropout) for _ in range(stages)]
    self.emotion = EmotionHead()
    self.join = nn.Dense(c.width)
    self.prosody = ProsodyPredictor(c.prosody_width, c.prosody_layers, c.kernel, c.dropout, stacking)
    self.decoder = MelDecoder(
      self.config.task.mel_bands,
      c.decoder_layers,
      c.kernel,
      c.expansion,
      c.postnet_width,
      c.postnet_layers,
      c.dropout,
      stacking,
    )

  def encode(self, batch: dict, train: bool = False) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Phonemes, voice and lips -> text (B, N, D), condition (B, C), log durations (B, N), lip attention (B, N, L)."""
    mask_bn = batch['phonemes'] > 0
    text = self.text(batch['phonemes'], mask_bn, train, batch.get('language'))
    actor, enabled = self.config.task.actor, self.config.task.director.enabled
    if actor.directed:
      named_emotion = batch['directed'] * (DIRECTED_SCALE * enabled)
      text += self.directed(named_emotion)[:, None] * mask_bn[..., None]
    condition, voice_brd = self.style(batch['reference'], batch['reference_mask'], batch['speaker'], train)
    if actor.directed_condition:
      condition += self.directed_condition(batch['directed'] * (DIRECTED_SCALE * enabled))
    if actor.domains:
      condition += self.domain(batch.get('domain', jnp.zeros(condition.shape[0], jnp.int32)))
    if actor.timbre_heads:
      text += self.timbre(text, voice_brd, batch['reference_mask'], train=train)[0] * mask_bn[..., None]
    lips = self.lips(batch['lips'], batch['lip_mask'], train)
    context, weights = self.lip_text(text, mask_bn, lips, batch['lip_mask'], train)
    log_durations = self.duration(text, context, mask_bn, condition, train)
    return text + context, condition, log_durations, weights

  def emotion_nodes(self, batch: dict, train: bool = False) -> list[tuple[jax.Array, jax.Array]]:
    """Emotion nodes of the three graph stages with their masks, each (B, V, W) and (B, V)."""
    mask_bv = node_mask(self.config.task.director, batch['present'], batch['refs_present'], batch['sounds_present'])
    targets = {m: batch[m] for m in MODALITIES}
    refs = {m: batch[f'{m}_refs'] for m in MODALITIES}
    nodes = self.graphs(targets, refs, batch['sounds'], mask_bv, train)
    return [(n, mask_bv[:, : n.shape[1]]) for n in nodes]

  def decode(
    self,
    text: jax.Array,
    nodes: list[tuple[jax.Array, jax.Array]],
    durations: jax.Array,
    num_frames: int,
    train: bool = False,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Length regulation and fusion with the emotion nodes, stage by stage -> frames (B, T, D), mask (B, T), emotion
    logits (B, 8)."""
    frames, mask_bt = self.regulator(text, durations, num_frames)
    fused = frames
    for aggregate, (stage, stage_mask) in zip(self.aggregators, nodes[-len(self.aggregators) :], strict=True):
      fused = aggregate(fused, stage, stage_mask, train)
    logits = self.emotion(fused, mask_bt)
    joined = self.join(jnp.concatenate([frames, fused], axis=-1)) * mask_bt[..., None]
    return joined, mask_bt, logits

  def __call__(self, batch: dict, train: bool = False) -> dict[str, jax.Array]:
    """Teacher-forced pass, with the target's own durations, pitch and energy -> outputs by name."""
    num_frames = batch['mel'].shape[1]
    text, condition, log_durations, lip_weights = self.encode(batch, train)
    nodes = self.emotion_nodes(batch, train)
    frames, mask_bt, logits = self.decode(text, nodes, batch['durations'], num_frames, train)
    pitch, voicing, energy = self.prosody(frames, mask_bt, condition, train)
    voiced = (batch['pitch'] > 0).astype(frames.dtype)
    true_pitch, true_energy = scale_pitch(batch['pitch']), energy_of_mel(batch['mel'])
    mel, finished = self.decoder(frames, true_pitch, voiced, true_energy, mask_bt, condition, train, batch.get('noise'))
    return {
      'mel': mel,
      'finished': finished,
      'mask': mask_bt,
      'log_durations': log_durations,
      'lip_weights': lip_weights,
      'pitch': pitch,
      'voicing': voicing,
      'energy': energy,
      'emotion': logits,
    }

  def synthesize(
    self, batch: dict, durations: jax.Array, controls: jax.Array, num_frames: int
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Synthesizes a take. controls (B, 3): pitch shift in semitones, pitch range ratio, energy shift in nepers
    (8.7 dB).

    Returns mel (B, T, 80), pitch (B, T) Hz with 0 for unvoiced, emotion probabilities (B, 8).
    """
    text, condition, _, _ = self.encode(batch)
    frames, mask_bt, logits = self.decode(text, self.emotion_nodes(batch), durations, num_frames)
    pitch, voicing, energy = self.prosody(frames, mask_bt, condition)
    voiced = (voicing > 0).astype(frames.dtype) * mask_bt
    mean_b1 = (pitch * voiced).sum(1, keepdims=True) / jnp.maximum(voiced.sum(1, keepdims=True), 1.0)
    shift, range_ratio, gain = (controls[:, i : i + 1] for i in range(3))
    pitch = mean_b1 + (pitch - mean_b1) * range_ratio + shift * SEMITONE / PITCH_SCALE
    noise = batch.get('noise')
    _, mel = self.decoder(frames, pitch, voiced, energy + gain / 2.0, mask_bt, condition, noise_btn=noise)
    mel = jnp.where(mask_bt[..., None], jnp.maximum(mel, LOG_FLOOR), LOG_FLOOR)
    hertz = jnp.exp(pitch * PITCH_SCALE + PITCH_CENTER) * voiced
    return mel, hertz, jax.nn.softmax(logits)
