"""Relation-aware graph attention (spec section 4.5)."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from dubber_jax.nn.attention import masked_softmax

gelu = partial(nn.gelu, approximate=False)


class RelationAttention(nn.Module):
  """One head of graph attention with relation types: e_ij = leaky_relu(a1.Wh_i + a2.Wh_j + a3[relation_ij]), softmax
  over the neighbors j.

  nodes (B, V, F), relations (B, V, V) int with 0 for no edge -> (B, V, width). An isolated node aggregates zeros, of
  which layer norm leaves its bias; with `isolated_average`, the published behavior, it averages all nodes.
  """

  width: int
  relations: int  # number of relation types, "no edge" included
  slope: float = 0.2
  dropout: float = 0.0
  isolated_average: bool = False

  @nn.compact
  def __call__(self, nodes_bvf: jax.Array, relation_bvv: jax.Array, train: bool = False) -> jax.Array:
    projected = nn.Dense(self.width, use_bias=False, kernel_init=nn.initializers.xavier_uniform(), name='W')(nodes_bvf)
    init = nn.initializers.normal(self.width**-0.5)
    receiver = self.param('receiver', init, (self.width,))
    sender = self.param('sender', init, (self.width,))
    kind = self.param('kind', init, (self.relations,))
    scores = (projected @ receiver)[:, :, None] + (projected @ sender)[:, None, :] + kind[relation_bvv]
    neighbors = relation_bvv > 0
    if self.isolated_average:
      neighbors |= ~neighbors.any(-1, keepdims=True)
      scores = jnp.where(relation_bvv > 0, scores, 0.0)
    weights = masked_softmax(nn.leaky_relu(scores, self.slope), neighbors)
    weights = nn.Dropout(self.dropout, deterministic=not train)(weights)
    return nn.LayerNorm(epsilon=1e-5)(weights @ projected)


class RelationalGraphAttention(nn.Module):
  """Multi-head relational graph attention with an output layer and a residual: (B, V, D) -> (B, V, D)."""

  heads: int
  relations: int
  dropout: float = 0.0
  isolated_average: bool = False

  @nn.compact
  def __call__(self, nodes_bvd: jax.Array, relation_bvv: jax.Array, train: bool = False) -> jax.Array:
    width = nodes_bvd.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    layer = partial(
      RelationAttention, width, self.relations, dropout=self.dropout, isolated_average=self.isolated_average
    )
    x = drop(nodes_bvd)
    heads = [gelu(layer(name=f'head_{i}')(x, relation_bvv, train)) for i in range(self.heads)]
    x = drop(jnp.concatenate(heads, axis=-1))
    x = gelu(layer(name='out')(x, relation_bvv, train))
    return nn.LayerNorm(epsilon=1e-5)(nn.Dense(width, name='mix')(x) + nodes_bvd)
