"""Random bits for dropout and other noise of training that do not depend on how a batch is split over devices.

On a CPU the bits are a hash of each position of the array with the key, since the generators of JAX 0.10 are slow
there: on one core, a dropout mask of 2.1 million elements takes 451 ms with impl='rbg', 528 ms with threefry, the
default, and 18 ms here (the least of twelve). Positions are counted over the whole array, of which a device that has a
part of the batch (nn/batch_axes.py) draws its own rows: masks are the same on every mesh, which rbg does not promise.
On accelerators the bits are those of XLA's own generator, from the same keys. Every `nn.Dropout` takes such a key as
it is.

Source of the hash's constants: hash-prospector (C. Wellons), the least biased two-round hash listed there.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

UNSIGNED = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32, 64: jnp.uint64}


def training_key(key: jax.Array) -> jax.Array:
  """Key of this generator, derived from a key of any; to be given as `rngs={'dropout': ...}`."""
  if key.dtype == HASHED_KEY:
    return jax.random.fold_in(key, DERIVED)
  words = jax.random.bits(key, (2,), jnp.uint32)
  return jax.random.wrap_key_data(jnp.concatenate([words, jnp.zeros(1, jnp.uint32)]), impl=HASHED)


def key_of_part(key: jax.Array, number: jax.Array | int) -> jax.Array:
  """A key of this generator whose bits are those of part `number` of arrays that are split by their first axis."""
  words = jax.random.key_data(key)
  return jax.random.wrap_key_data(words.at[2].set(jnp.asarray(number).astype(jnp.uint32)), impl=HASHED)


def _hash(x: jax.Array) -> jax.Array:
  x = (x ^ (x >> 16)) * jnp.uint32(0x21F0AAAD)
  x = (x ^ (x >> 15)) * jnp.uint32(0xD35A2D97)
  return x ^ (x >> 15)


# The raw key: two words that are hashed, and the number of the part of the batch, which splitting and folding in keep.
def _seed(seed: jax.Array) -> jax.Array:
  return _fold_in(jnp.array([0x9E3779B9, 0x85EBCA6B, 0], jnp.uint32), seed)


def _fold_in(key_3: jax.Array, data: jax.Array | int) -> jax.Array:
  words = _hash(key_3[:2] ^ _hash(jnp.asarray(data).astype(jnp.uint32) + jnp.array([1, 0x7F4A7C15], jnp.uint32)))
  return jnp.concatenate([words, key_3[2:]])


def _split(key_3: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  key_3 = _fold_in(key_3, 0x5EED)  # so that split keys differ from folded-in ones
  return jax.vmap(lambda i: _fold_in(key_3, i))(jnp.arange(math.prod(shape))).reshape(*shape, 3)


def _bits(key_3: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
  hashed, generated = (partial(bits, width=width, shape=shape) for bits in (_hashed_bits, _generated_bits))
  return jax.lax.platform_dependent(key_3, cpu=hashed, default=generated)


def _generated_bits(key_3: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
  words = jnp.concatenate([key_3[:2], _hash(key_3[:2] ^ _hash(key_3[2:] + jnp.uint32(1)))])
  return jax.lax.rng_bit_generator(words, shape, UNSIGNED[width])[1]


def _hashed_bits(key_3: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
  if width == 64:
    return jnp.stack([_hashed_bits(_fold_in(key_3, i), 32, shape) for i in range(2)], -1).view(jnp.uint64)[..., 0]
  position, stride = jnp.zeros(shape, jnp.uint32), 1
  for axis in reversed(range(len(shape))):
    position += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
    stride *= shape[axis]
  position += key_3[2] * jnp.uint32(stride % 2**32)
  bits = _hash(_hash(position ^ key_3[0]) + key_3[1])
  return (bits >> (32 - width)).astype(f'uint{width}')


HASHED = define_prng_impl(
  key_shape=(3,), seed=_seed, split=_split, random_bits=_bits, fold_in=_fold_in, name='hashed', tag='hash'
)
HASHED_KEY = jax.eval_shape(lambda: jax.random.key(0, impl=HASHED)).dtype
DERIVED = 0xD209  # folded into a key of this generator to derive another
