"""Trains visual voice activity detection and visemes from lip contours on GRID's speaker s1; measured on held-out
films.

    python experiments/recipes/visual_vad.py               # tracks mouths, trains, measures, writes the weights
    python experiments/recipes/visual_vad.py --choose      # measures on s1's validation films alone, for selection

Some ten minutes of one CPU core, estimated on a shared one; all but two track mouths and align words (stored in
cache/visual_vad). Expect a voice activity accuracy of 0.96 of the frames on s1's held-out films, and 0.85 on those of
s2 to s5. Its effect on dubbed lines: experiments/timing/mouth.py, docs/results/perception.md.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.config import Config, ExperimentTask
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.bootstrap import Interval, interval
from dubber_jax.perception.visual_vad import (
  FEATURES,
  HIDDEN,
  KERNELS,
  RATE,
  SHAPES,
  SHIPPED,
  UPSAMPLING,
  add_detrended,
  lip_shape,
  load_network,
  network,
  normalize_features,
  speech_window,
  visual_vad,
)
from dubber_jax.script.visemes import NAMES, SILENT, visemes_of
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.checked_folder import new_checked_folder
from dubber_jax.storage.weights import write_arrays
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task, adamw
from dubber_jax.types import MouthTrack

FRAMES = 80  # lip frames of a training item: 3.2 s
ITEMS = 16
FILMS = 320  # of s1's 792 for training, since tracking takes longest
DAMAGED = ('grid/s1/sgib8n', 'grid/s4/bbaf2a')
SMOOTHING = 0.1  # of labels
OPENINGS = (0, 1, 2, 3, 4, 7, 8, 12, 13)  # features that grow with the opening of the jaw


def arms() -> dict[str, Config]:
  train = TrainConfig(
    steps=1200, learning_rate=2e-3, warmup_steps=100, decay_steps=1000, weight_decay=0.05, ema=0.99, save_every=400
  )
  return {'visual_vad': Config(name='visual_vad', task=ExperimentTask('visual_vad'), train=train)}


def initial(key) -> dict:
  """Initial parameters of `network`, by He et al. (2015), the last layer near zero."""
  params, width = {}, FEATURES
  for i, kernel in enumerate(KERNELS):
    key, own = jax.random.split(key)
    fan = kernel * width
    params[f'conv_{i}.kernel'] = jax.random.normal(own, (fan, HIDDEN)) * (2 / fan) ** 0.5
    params[f'conv_{i}.bias'] = jnp.zeros(HIDDEN)
    width = HIDDEN
  params['out.kernel'] = 0.02 * jax.random.normal(key, (HIDDEN, UPSAMPLING * len(NAMES)))
  params['out.bias'] = jnp.zeros(UPSAMPLING * len(NAMES))
  return params


def task(config: Config) -> Task:
  def loss(params, batch, key):
    features = batch['features']
    logits = network(params, features, jnp)
    log_p = jax.nn.log_softmax(logits)
    truth = jax.nn.one_hot(batch['visemes'], len(NAMES))
    truth = (1 - SMOOTHING) * truth + SMOOTHING / len(NAMES)
    error = -(truth * log_p).sum(-1).mean()
    right = (log_p.argmax(-1) == batch['visemes']).mean()
    speaking = ((log_p[..., SILENT] < jnp.log(0.5)) == (batch['visemes'] != SILENT)).mean()
    return error, {'total': error, 'right': right, 'speaking': speaking}

  return Task(lambda key, batch: initial(key), loss, lambda: adamw(config.train))


def example(config: Config) -> dict[str, np.ndarray]:
  """Arrays of a batch's shapes."""
  features, visemes = (ITEMS, FRAMES, FEATURES), (ITEMS, UPSAMPLING * FRAMES)
  return {'features': np.zeros(features, np.float32), 'visemes': np.zeros(visemes, np.int32)}


@dataclass(frozen=True)
class Film:
  """A mouth track, the visemes (4 L,) by forced alignment of the sound, and (start s, end s) of words."""

  recording: Recording
  track: MouthTrack
  visemes: np.ndarray
  words: np.ndarray


def read_films(cache: Path, splits: tuple[str, ...], speakers: tuple[str, ...] = ()) -> list[Film]:
  recordings = [r for r in read_recordings('grid') if r.split in splits and r.key not in DAMAGED]
  recordings = [r for r in recordings if not speakers or r.speaker in speakers][:FILMS]
  return [f for f in (read_film(r, cache) for r in tqdm(recordings, desc=' '.join(splits), unit='film')) if f]


def read_film(recording: Recording, cache: Path) -> Film | None:
  """Tracked and aligned film, from the cache where it is there; None where alignment fails."""
  from dubber_jax.media.sound import read_sound
  from dubber_jax.media.video import read_frames
  from dubber_jax.perception.lips import track_mouth
  from dubber_jax.script.alignment import align

  path = cache / f'{recording.set}-{recording.speaker}-{recording.id}.npz'
  if not path.exists():
    track = track_mouth(read_frames(recording.path)[0])
    try:
      found = align(read_sound(recording.path, 16000), recording.text)
      aligned = {
        'phonemes': np.array(found.phonemes),
        'starts': found.starts,
        'ends': found.ends,
        'words': np.array([word[:2] for word in found.words]),
      }
    except BadInput:
      aligned = {}
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
      np.savez(partial, lips=track.lips, opening=track.opening, present=track.present, boxes=track.boxes, **aligned)
  with np.load(path) as kept:
    track = MouthTrack(kept['lips'], kept['opening'], kept['present'], kept['boxes'])
    if 'phonemes' not in kept or not track.usable:
      return None
    moments = (np.arange(UPSAMPLING * len(track.opening)) + 0.5) / RATE
    place = np.searchsorted(kept['ends'], moments, side='right').clip(max=len(kept['ends']) - 1)
    return Film(recording, track, visemes_of(kept['phonemes'])[place], kept['words'])


class Batches:
  """Batch i depends on its number alone. Augmented are crop, speed, mouth shape and camera."""

  def __init__(self, config: Config, films: list[Film]):
    self.seed = config.seed
    self.films = [(lip_shape(f.track.lips, f.track.present), f.visemes) for f in films]

  def __len__(self):
    return 1_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([self.seed, int(index)])
    items = [augmented(*self.films[i], rng) for i in rng.integers(len(self.films), size=ITEMS)]
    features, visemes = (np.stack(part) for part in zip(*items, strict=True))
    return {'features': features, 'visemes': visemes}

  def iterator(self):
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def augmented(shape: np.ndarray, visemes: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
  """Augmented item: (L, 14) lip shape and (4 L,) visemes -> (80, 18) features and (320,) visemes."""
  speed, length = rng.uniform(0.75, 1.3), len(shape)
  start = rng.uniform(-15, max(length - FRAMES * speed, 0) + 15)
  place = start + speed * np.arange(FRAMES)
  # Label i of a frame is i / UPSAMPLING into it.
  fine = start + speed * ((np.arange(UPSAMPLING * FRAMES) + 0.5) / UPSAMPLING - 0.5) + 0.5
  truth = visemes[np.floor(UPSAMPLING * fine).astype(int).clip(0, len(visemes) - 1)]
  silent = (truth == SILENT).reshape(FRAMES, UPSAMPLING).mean(1)

  spread = np.subtract(*np.percentile(shape, [95, 5], axis=0)) + 1e-3
  frames = np.arange(length)
  x = np.stack([np.interp(place, frames, column) for column in (shape / spread).T], axis=1)
  for _ in range(rng.integers(0, 3)):  # movement without speech
    middle, width = rng.uniform(0, FRAMES), rng.uniform(3, 15)
    bump = np.exp(-0.5 * np.square((np.arange(FRAMES) - middle) / width)) * silent
    direction = rng.normal(0, 0.3, SHAPES)
    direction[list(OPENINGS)] += rng.uniform(-0.4, 0.8)
    x += gaussian_filter1d(bump, 1.0)[:, None] * direction
  slow = gaussian_filter1d(rng.standard_normal((FRAMES, SHAPES)), rng.uniform(8, 20), axis=0, mode='wrap')
  x += slow * rng.uniform(0, 0.5) / (slow.std() + 1e-6) * rng.uniform(0, 0.5)  # the head turns
  x += rng.normal(0, rng.uniform(0, 0.06), x.shape)  # tracking noise
  if rng.random() < 0.5:
    x = gaussian_filter1d(x, rng.uniform(0.3, 0.9), axis=0, mode='nearest')
  if rng.random() < 0.3:  # weaker articulation
    mixing = np.eye(SHAPES) + rng.normal(0, 0.15, (SHAPES, SHAPES))
    x = x @ mixing
  features = normalize_features(x.astype(np.float32))
  features = np.sign(features) * np.abs(features) ** rng.uniform(0.75, 1.3)
  features *= rng.uniform(0.75, 1.3) * rng.uniform(0.75, 1.3, SHAPES)
  features += rng.normal(0, 0.25, SHAPES)
  features *= rng.random(SHAPES) > 0.12
  return add_detrended(features), truth.astype(np.int32)


def log_prior(films: list[Film]) -> np.ndarray:
  """(C,) log share of each viseme class in the films."""
  counts = np.bincount(np.concatenate([f.visemes for f in films]), minlength=len(NAMES)) + 1.0
  return np.log(counts / counts.sum()).astype(np.float32)


def measure(params: dict, films: list[Film]) -> dict[str, Interval]:
  """Frame accuracies, and errors of the speech window's ends, with 95 % intervals over films."""
  rows = []
  for film in films:
    seen = visual_vad(film.track, params)
    window = speech_window(seen)
    if window is None:
      rows.append([0.5, 0.0, np.nan, np.nan])
      continue
    speaking, visemes = film.visemes != SILENT, (seen.scores + params['log_prior']).argmax(1)
    apart = np.subtract(window, (film.words[0, 0], film.words[-1, 1]))
    rows.append([np.mean((seen.speaking > 0.5) == speaking), np.mean((visemes == film.visemes)[speaking]), *apart])
  vad, classes, start, end = np.array(rows).T
  return {
    'speech or not': interval(np.mean, vad),
    f'viseme, of {len(NAMES) - 1}': interval(np.mean, classes),
    'start, s': interval(median_error, start),
    'end, s': interval(median_error, end),
  }


def median_error(apart) -> float:
  return float(np.nanmedian(np.abs(apart)))


def table(rows: dict[str, dict[str, Interval]]) -> list[str]:
  names = list(next(iter(rows.values())))
  lines = ['| films | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
  return lines + ['| ' + ' | '.join([name, *(row[n].show() for n in names)]) + ' |' for name, row in rows.items()]


CARD = """# visual_vad

Visual voice activity and nine viseme classes from lip contours; made by
`experiments/recipes/visual_vad.py`, used by `dubber_jax/perception/visual_vad.py` to time dubbed lines. {size} weights.

**Data.** GRID (Cooke et al. 2006, CC BY 4.0), speaker s1, {films} films of his training split, with phonemes by forced
alignment of the sound (`script/alignment.py`). The judge of lip sync was trained on the same films, by pixels and
sound; weights, features and architecture are shared with neither it nor the critic.

**Figures.** Accuracy of voice activity in 10 ms frames, and of viseme classes in speech; median error of the start and
end of speech. 95 % intervals over films.

{figures}

Of s2 to s5 one figure, the error of the start with an earlier threshold (0.35 s), was seen before the threshold was set
on s1, s3 and s5: the row of the window on unseen speakers is not strictly blind.

**Limits.** Trained on one man, at 25 pictures a second, front on; visemes of other faces are much less accurate. Other
movement of the mouth, as chewing and laughing, is not in the data. A mouth that hardly moves gives no result.
"""


def write(params: dict, figures: list[str], films: int, out: Path):
  """Writes the folder as a whole or not at all."""
  size = f'{sum(v.size for v in params.values()):,}'
  with new_checked_folder(out) as folder:
    write_arrays(folder / 'weights.safetensors', params, jnp.bfloat16)
    (folder / 'CARD.md').write_text(CARD.format(figures='\n'.join(figures), films=films, size=size))


def main():
  from dubber_jax.training.loop import train

  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--choose', action='store_true', help='measure on validation films alone; writes nothing')
  parser.add_argument('--measure', action='store_true', help='trains nothing')
  parser.add_argument('--cache', type=Path, default=Path('cache/visual_vad'), help='folder of stored mouth tracks')
  parser.add_argument('--workdir', default='runs/visual_vad')
  parser.add_argument('--steps', type=int, default=0)
  parser.add_argument('-o', '--out', type=Path, default=SHIPPED)
  options = parser.parse_args()
  config = arms()['visual_vad']
  if options.steps:
    config = config.replace(train=TrainConfig(**{**vars(config.train), 'steps': options.steps}))
  if options.measure:
    params, films = load_network(options.out), []
  else:
    films = read_films(options.cache, ('train',))
    state = train(config, task(config), Batches(config, films), options.workdir)
    params = jax.device_get(state.ema) | {'log_prior': log_prior(films)}
    params = {name: np.asarray(jnp.asarray(value, jnp.bfloat16), np.float32) for name, value in params.items()}
  if options.choose:
    print('\n'.join(table({'s1, validation': measure(params, read_films(options.cache, ('validation',)))})))
    return
  rows = {
    's1, held-out films': measure(params, read_films(options.cache, ('test',))),
    's2 to s5, unseen': measure(params, read_films(options.cache, ('test_unseen',))),
  }
  figures = table(rows)
  if not options.measure:
    write(params, figures, len(films), options.out)
  print('\n'.join(figures))


if __name__ == '__main__':
  main()
