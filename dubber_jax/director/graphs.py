"""Emotion graphs of the director: basic, indirect, direct; each extends the one before and is encoded by relational
graph attention (spec section 4.5).

Nodes, in order: the clip's scene, face, text; then K exemplars for each of the three; then the sound
embeddings of the exemplars, in the same order. With K exemplars the three graphs have 3, 3 + 3K and 3 + 6K nodes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dubber_jax.director.config import DirectorConfig
from dubber_jax.nn.graph_attention import RelationalGraphAttention

NONE, TOGETHER, RECALLED, SOUNDS_LIKE = range(4)  # relation types of edges


def relations(exemplars: int) -> np.ndarray:
  """Relation matrix (V, V) int32 of the whole graph, V = 3 + 6K, 0 for no edge. Symmetric, no self loops.

  The first 3 rows and columns are the basic graph, the first 3 + 3K the indirect one.
  """
  k = exemplars
  kind = np.zeros((3 + 6 * k, 3 + 6 * k), np.int32)
  for m in range(3):
    kind[m, [i for i in range(3) if i != m]] = TOGETHER
    kind[m, 3 + m * k : 3 + (m + 1) * k] = RECALLED
    kind[m, 3 + (3 + m) * k : 3 + (4 + m) * k] = SOUNDS_LIKE
  return np.maximum(kind, kind.T)


def node_mask(
  config: DirectorConfig, present_b3: jax.Array, refs_present_b3k: jax.Array, sounds_present_b3k: jax.Array
) -> jax.Array:
  """Node mask (B, 3 + 6K) bool: nodes that are present and that the config enables.

  An exemplar whose modality is missing has no edges and is masked.
  """
  on = jnp.array([config.scene, config.face, config.text]) & config.enabled
  targets_b3 = present_b3 & on
  refs_b3k = refs_present_b3k & targets_b3[..., None] & config.indirect
  sounds_b3k = sounds_present_b3k & targets_b3[..., None] & config.direct
  batch = present_b3.shape[0]
  return jnp.concatenate([targets_b3, refs_b3k.reshape(batch, -1), sounds_b3k.reshape(batch, -1)], axis=1)


class EmotionGraphs(nn.Module):
  """Encoded nodes of the three graphs, from the embeddings of the reading and of the exemplars.

  targets: {'scene': (B, Ds), 'face': (B, Df), 'text': (B, Dt)}; refs: the same with (B, K, D); sounds
  (B, 3, K, Da); mask (B, 3 + 6K) from `node_mask`. Returns three arrays (B, 3, W), (B, 3 + 3K, W),
  (B, 3 + 6K, W); rows of masked nodes are zero.
  """

  config: DirectorConfig
  isolated_average: bool = False  # see RelationAttention

  @nn.compact
  def __call__(
    self,
    targets: dict[str, jax.Array],
    refs: dict[str, jax.Array],
    sounds_b3kd: jax.Array,
    mask_bv: jax.Array,
    train: bool = False,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    c, k = self.config, sounds_b3kd.shape[2]
    batch = mask_bv.shape[0]
    modalities = ('scene', 'face', 'text')
    kinds_vv = jnp.asarray(relations(k))
    kinds_bvv = kinds_vv * (mask_bv[:, :, None] & mask_bv[:, None, :])

    def project(name, x):
      return nn.Dense(c.width, name=name)(x).reshape(batch, -1, c.width)

    own_b3d = jnp.concatenate([project(f'own_{m}', targets[m][:, None]) for m in modalities], axis=1)
    recalled_bvd = jnp.concatenate([project(f'recalled_{m}', refs[m]) for m in modalities], axis=1)
    sounds_bvd = jnp.concatenate([project(f'sound_{m}', sounds_b3kd[:, i]) for i, m in enumerate(modalities)], axis=1)

    def encode(name, nodes_bvd, kinds):
      size = nodes_bvd.shape[1]
      nodes_bvd = nodes_bvd * mask_bv[:, :size, None]
      if c.graph:
        attention = RelationalGraphAttention(c.heads, kinds, c.dropout, self.isolated_average, name=name)
        nodes_bvd = attention(nodes_bvd, kinds_bvv[:, :size, :size], train)
      return nodes_bvd * mask_bv[:, :size, None]

    if not c.build_then_encode:
      whole = encode('whole', jnp.concatenate([own_b3d, recalled_bvd, sounds_bvd], axis=1), 4)
      return whole[:, :3], whole[:, : 3 + 3 * k], whole
    basic = encode('basic', own_b3d, 2)
    indirect = encode('indirect', jnp.concatenate([basic, recalled_bvd], axis=1), 3)
    direct = encode('direct', jnp.concatenate([indirect, sounds_bvd], axis=1), 4)
    return basic, indirect, direct
