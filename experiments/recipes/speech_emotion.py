"""Trains the speech emotion classifier of perception on RAVDESS actors 01-10; measured on actors 19-22.

    python experiments/recipes/speech_emotion.py                  # 5 min on 2 CPU cores, writes the weights
    python experiments/recipes/speech_emotion.py --arm held_out   # leaves out actors 09 and 10, for selection

Prints the accuracy on unseen actors, and writes dubber_jax/assets/speech_emotion/. Expect 0.53 on actors 19-22 (always
neutral: 0.20).
"""

import argparse
import json
import os
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dubber_jax.config import Config, ExperimentTask
from dubber_jax.perception.speech_emotion import LENGTHS, WEIGHTS, sound_features, speech_mel
from dubber_jax.perception.speech_emotion_network import SpeechEmotionNetwork
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.weights import write_arrays
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task, adamw
from dubber_jax.types import EMOTIONS

DATA = Path(os.environ.get('DUBBER_DATA', Path(__file__).parents[2] / '..' / 'shared' / 'data'))
SPEEDS = (0.89, 1.0, 1.12)  # by resampling: F0 and formants change too, as of other speakers
FRAMES = 160  # of a training item: 1.9 s
ITEMS = 32
SMOOTHING = 0.1
TEST = range(19, 23)


def arms() -> dict[str, Config]:
  train = TrainConfig(
    steps=1200, learning_rate=2e-3, warmup_steps=60, decay_steps=900, weight_decay=0.05, ema=0.99, save_every=500
  )
  return {
    'final': Config(name='sound_emotion', task=ExperimentTask('sound_emotion'), train=train),
    'held_out': Config(name='sound_emotion_held_out', task=ExperimentTask('sound_emotion'), train=train),
  }


def actors(config: Config) -> range:
  return range(1, 9) if config.name.endswith('held_out') else range(1, 11)


def task(config: Config) -> Task:
  model = SpeechEmotionNetwork()

  def init(key, batch):
    return model.init(key, batch['features'], batch['mask'])['params']

  def loss(params, batch, key):
    _, logits = model.apply({'params': params}, batch['features'], batch['mask'], True, rngs={'dropout': key})
    error = optax.softmax_cross_entropy(logits, optax.smooth_labels(batch['emotion'], SMOOTHING)).mean()
    right = (logits.argmax(-1) == batch['emotion'].argmax(-1)).mean()
    return error, {'total': error, 'accuracy': right}

  return Task(init, loss, lambda: adamw(config.train))


def example(config: Config) -> dict[str, np.ndarray]:
  """Arrays of a batch's shapes."""
  shape, emotions = (ITEMS, FRAMES), np.zeros((ITEMS, len(EMOTIONS)), np.float32)
  return {'features': np.zeros((*shape, 240), np.float32), 'mask': np.ones(shape, bool), 'emotion': emotions}


class SoundBatches:
  """Batch i depends on its number alone: balanced emotions, time-warped, cropped and masked."""

  def __init__(self, config: Config, mels: list[tuple[list[np.ndarray], int]]):
    self.seed, self.mels = config.seed, mels
    self.by_emotion = {e: [i for i, (_, own) in enumerate(mels) if own == e] for _, e in mels}

  def __len__(self):
    return 1_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([self.seed, int(index)])
    items = [self._item(rng) for _ in range(ITEMS)]
    features, mask, emotion = (np.stack(parts) for parts in zip(*items, strict=True))
    return {'features': features, 'mask': mask, 'emotion': emotion}

  def _item(self, rng):
    emotion = rng.choice(list(self.by_emotion))
    versions, _ = self.mels[rng.choice(self.by_emotion[emotion])]
    mel = _warp(versions[rng.integers(len(versions))], rng.uniform(0.85, 1.15))
    if len(mel) > FRAMES:
      start = rng.integers(len(mel) - FRAMES + 1)
      mel = mel[start : start + FRAMES]
    tilt = np.linspace(-1, 1, mel.shape[1]) * rng.normal(0, 0.4)  # microphone
    noise = rng.uniform(-8, -4) + np.log(np.exp(mel).mean())  # background noise
    features = sound_features(np.maximum(mel + tilt, noise + rng.normal(0, 0.3, mel.shape)))
    for _ in range(2):
      start, width = rng.integers(80), rng.integers(14)
      features.reshape(len(mel), 3, 80)[:, :, start : start + width] = 0
      start, width = rng.integers(len(mel)), rng.integers(16)
      features[start : start + width] = 0
    padded = np.zeros((FRAMES, features.shape[1]), np.float32)
    padded[: len(features)] = features
    return padded, np.arange(FRAMES) < len(features), np.eye(len(EMOTIONS), dtype=np.float32)[emotion]

  def iterator(self):
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def _warp(mel, factor):
  """Time warp: (T, 80) -> (T * factor, 80)."""
  place = np.linspace(0, len(mel) - 1, max(2, round(len(mel) * factor)))
  low = np.minimum(place.astype(int), len(mel) - 2)
  share = (place - low)[:, None]
  return mel[low] * (1 - share) + mel[low + 1] * share


def read_mels(numbers, speeds=(1.0,)) -> list[tuple[list[np.ndarray], int]]:
  """RAVDESS clips of these actors: (mel at each speed, index of the emotion)."""
  from dubber_jax.media.sound import read_sound

  clips = []
  for row in map(json.loads, (DATA / 'ravdess.jsonl').open()):
    if int(row['speaker'][-2:]) in numbers:
      wave = read_sound(DATA / row['file'], sample_rate=24000)
      mels = [speech_mel(wave, round(24000 * speed)) for speed in speeds]
      clips.append((mels, EMOTIONS.index(row['emotion'])))
  return clips


def predict(params, clips) -> np.ndarray:
  """Probabilities (B, 8) of the clips, computed as perception does."""
  model = SpeechEmotionNetwork()
  apply = jax.jit(lambda features, mask: jax.nn.softmax(model.apply({'params': params}, features, mask)[1]))
  probabilities = []
  for (mel, *_), _ in clips:
    features = sound_features(mel)[: LENGTHS[-1]]
    length = next(n for n in LENGTHS if n >= len(features))
    padded = np.zeros((1, length, features.shape[1]), np.float32)
    padded[0, : len(features)] = features
    probabilities.append(np.asarray(apply(padded, np.arange(length)[None] < len(features)))[0])
  return np.stack(probabilities)


def evaluate(params, clips) -> float:
  probabilities, emotions = predict(params, clips), np.array([e for _, e in clips])
  for e in sorted(set(emotions)):
    guesses = np.bincount(probabilities[emotions == e].argmax(1), minlength=len(EMOTIONS))
    print(f'  {EMOTIONS[e]:9s} {guesses[e] / guesses.sum():.2f}', guesses)
  return float(np.mean(probabilities.argmax(1) == emotions))


def write_weights(params, path: Path):
  from flax.traverse_util import flatten_dict

  path.parent.mkdir(parents=True, exist_ok=True)
  with atomic_file(path) as partial:
    write_arrays(partial, flatten_dict(params, sep='.'), jnp.bfloat16)


def main():
  from dubber_jax.training.loop import train

  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--arm', choices=list(arms()), default='final')
  parser.add_argument('--workdir', default='')
  parser.add_argument('--steps', type=int, default=0)
  options = parser.parse_args()
  config = arms()[options.arm]
  if options.steps:
    config = config.replace(train=TrainConfig(**{**vars(config.train), 'steps': options.steps}))
  clips = read_mels(actors(config), SPEEDS)
  state = train(config, task(config), SoundBatches(config, clips), options.workdir or f'runs/{config.name}')
  params = jax.device_get(state.ema)
  if options.arm == 'final':
    write_weights(params, WEIGHTS)
    print(f'actors 19-22: {evaluate(params, read_mels(TEST)):.3f}')
  else:
    print(f'actors 09-10: {evaluate(params, read_mels(range(9, 11))):.3f}')


if __name__ == '__main__':
  main()
