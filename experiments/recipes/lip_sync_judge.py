"""Trains the judge of lip sync on GRID's speaker s1 and measures it on the unseen speakers s2 to s5.

    python experiments/recipes/lip_sync_judge.py               # crops mouths, trains, measures, writes the weights
    python experiments/recipes/lip_sync_judge.py --choose      # measures on s1's validation films alone, for selection
    python experiments/recipes/lip_sync_judge.py --measure     # measures the shipped judge

Forty minutes of one shared CPU core, of which eight crop mouths out of 971 films (stored in cache/lip_sync). A stopped
run resumes by the same command. docs/results/judges.md has its accuracy.
"""

import argparse
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from data_pipelines.recordings import read_recordings
from dubber_jax.config import Config, ExperimentTask
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.evaluation.metrics.lip_sync import (
  BANDS,
  FINE,
  SEEN,
  SHIFTS,
  SHIPPED,
  STORED,
  LipSync,
  cut_out,
  leveled,
  load_judge,
  log_mels,
  middle,
  relative,
  shifted,
  timing_of_curve,
)
from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import read_frames
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.checked_folder import new_checked_folder
from dubber_jax.storage.weights import write_arrays
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.task import Task, adamw
from dubber_jax.types import LIP_RATE, SAMPLE_RATE

FRAMES = 75  # of a GRID film
ITEMS = 12
NEAR = 10.0  # inverse temperature of the loss of single moments
DAMAGED = ('grid/s1/sgib8n', 'grid/s4/bbaf2a')
OFFSETS = (0.04, 0.08, 0.2)  # s of offset, both ways, in the measurement
EDGE = 5  # pictures at both ends, left out to allow these offsets


def arms() -> dict[str, Config]:
  train = TrainConfig(
    steps=2400, learning_rate=2e-3, warmup_steps=100, decay_steps=1800, weight_decay=0.05, ema=0.995, save_every=200
  )
  return {'lip_sync': Config(name='lip_sync', task=ExperimentTask('lip_sync'), train=train)}


def task(config: Config) -> Task:
  model = LipSync()

  def init(key, batch):
    return model.init(key, batch['mouths'], batch['sound'])['params']

  def loss(params, batch, key):
    visual, audio, weight, sharpness = model.apply(
      {'params': params}, batch['mouths'], batch['sound'], True, rngs={'dropout': key}
    )
    own = shifted(visual, audio, weight)  # (B, 31)
    inner = slice(SHIFTS, FRAMES - SHIFTS)
    share = weight[:, inner] / weight[:, inner].sum(-1, keepdims=True)
    others = jnp.einsum('bld,cld,bl->bc', visual[:, inner], audio[:, inner], share)
    others = jnp.where(jnp.eye(len(others), dtype=bool), -jnp.inf, others * sharpness)
    logits = jnp.concatenate([own * sharpness, others], axis=1)
    whole = -jax.nn.log_softmax(logits)[:, SHIFTS].mean()
    moments = NEAR * jnp.einsum('bld,bmd->blm', visual, audio)
    moment = -jnp.diagonal(jax.nn.log_softmax(moments, axis=-1), axis1=1, axis2=2).mean()
    right = (own.argmax(-1) == SHIFTS).mean()
    return whole + 0.3 * moment, {'total': whole + 0.3 * moment, 'whole': whole, 'moment': moment, 'right': right}

  return Task(init, loss, lambda: adamw(config.train), compares_items=True)


def example(config: Config) -> dict[str, np.ndarray]:
  """Arrays of a batch's shapes."""
  mouths, sound = (ITEMS, FRAMES, SEEN, SEEN), (ITEMS, FINE * FRAMES, BANDS)
  return {'mouths': np.zeros(mouths, np.float32), 'sound': np.zeros(sound, np.float32)}


class Films:
  """Mouths (N, 75, 64, 64) uint8 and log10 mels (N, 300, 40) of GRID's films of a split."""

  def __init__(self, cache: Path, split: str):
    self.films = [r for r in read_recordings('grid') if r.split == split and r.key not in DAMAGED]
    parts = [self._read(r, cache) for r in tqdm(self.films, desc=split, unit='film')]
    self.mouths, self.mels = (np.stack(part) for part in zip(*parts, strict=True))
    self.speaker = np.array([r.speaker for r in self.films])

  @staticmethod
  def _read(recording, cache):
    path = cache / f'{recording.speaker}-{recording.id}.npz'
    if not path.exists():
      frames, _ = read_frames(recording.path)
      mel = log_mels(read_sound(recording.path, SAMPLE_RATE), SAMPLE_RATE, FRAMES)
      mouths = cut_out(frames[:FRAMES])
      mouths = np.concatenate([mouths, mouths[-1:].repeat(FRAMES - len(mouths), 0)])
      cache.mkdir(parents=True, exist_ok=True)
      with atomic_file(path) as partial:
        np.savez(partial, mouths=mouths, mel=mel.astype(np.float16))
    with np.load(path) as kept:
      return kept['mouths'], kept['mel'].astype(np.float32)


class Batches:
  """Batch i depends on its number alone. Augmented are place, size and light; voice, room and microphone."""

  def __init__(self, config: Config, films: Films):
    self.seed, self.films = config.seed, films

  def __len__(self):
    return 1_000_000

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([self.seed, int(index)])
    chosen = rng.choice(len(self.films.films), ITEMS, replace=False)
    mouths = np.stack([augmented_mouth(self.films.mouths[i], rng) for i in chosen])
    return {'mouths': mouths, 'sound': np.stack([augmented_sound(self.films.mels[i], rng) for i in chosen])}

  def iterator(self):
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def augmented_mouth(mouths: np.ndarray, rng) -> np.ndarray:
  """Augmented network input: mouth crops (L, 64, 64) uint8 -> (L, 48, 48) of another place, light and sharpness."""
  import cv2

  angle, size = np.radians(rng.uniform(-8, 8)), rng.uniform(0.85, 1.2)
  turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  turn *= np.array([[rng.uniform(0.9, 1.1)], [1.0]])  # aspect ratio
  turn[:, 0] *= rng.choice([-1.0, 1.0])
  place = np.column_stack([turn, SEEN / 2 + rng.uniform(-4, 4, 2) - turn @ (STORED / 2, STORED / 2)])
  warped = np.stack([cv2.warpAffine(m, place, (SEEN, SEEN), borderMode=cv2.BORDER_REPLICATE) for m in mouths])
  bright = 255 * (warped / 255.0) ** rng.uniform(0.6, 1.6)
  bright = bright * (1 + rng.uniform(-0.4, 0.4) * np.linspace(-1, 1, SEEN)).astype(np.float32)  # light from one side
  if rng.random() < 0.5:
    blur = rng.uniform(0.4, 1.2)
    bright = np.stack([cv2.GaussianBlur(b, (0, 0), blur) for b in bright])
  visual = relative(bright.astype(np.float32)) * np.float32(rng.uniform(0.7, 1.4))
  visual += rng.normal(0, rng.uniform(0, 0.3), visual.shape).astype(np.float32)
  if rng.random() < 0.3:  # occlusion
    y, x = rng.integers(0, SEEN - 12, 2)
    visual[:, y : y + rng.integers(6, 20), x : x + rng.integers(6, 20)] = 0
  return visual


def augmented_sound(mel: np.ndarray, rng) -> np.ndarray:
  """Augmented log10 mels (4 L, 40): another vocal tract length and microphone, with noise."""
  bands = np.arange(BANDS)
  stretch = rng.uniform(0.8, 1.3)
  place = np.clip((bands + 8) * stretch - 8, 0, BANDS - 1)  # mel is nearly linear below 1 kHz
  low = np.minimum(place.astype(int), BANDS - 2)
  warped = mel[:, low] + (mel[:, low + 1] - mel[:, low]) * (place - low)
  tilt = rng.normal(0, 0.3) * np.linspace(-1, 1, BANDS) + rng.normal(0, 0.15, BANDS)
  floor = warped.max() - rng.uniform(2.5, 6.0) + 0.2 * rng.standard_normal(warped.shape)
  audio = leveled(np.maximum(warped + tilt, floor))
  start, width = rng.integers(BANDS), rng.integers(8)
  audio[:, start : start + width] = 0
  return audio


@jax.jit
def curve(params, mouths, sound):
  return shifted(*LipSync().apply({'params': params}, mouths, sound)[:3])


def curves(params, films: Films, late: int = 0, order=None) -> np.ndarray:
  """Offset curves (N, 31) of films without their edges, with their own sound `late` by so many pictures, or with that
  of films in another order (N,)."""
  visual = slice(EDGE, FRAMES - EDGE)
  audio = slice(FINE * (EDGE - late), FINE * (FRAMES - EDGE - late))
  mels = films.mels if order is None else films.mels[order]
  pairs = zip(films.mouths, mels, strict=True)
  return np.concatenate([np.asarray(curve(params, middle(m[visual])[None], leveled(s[audio])[None])) for m, s in pairs])


def next_of_same(films: Films) -> np.ndarray:
  """For each film, the next one of the same speaker, or of any where the speaker has only one."""
  names = np.array([r.text for r in films.films])
  order = []
  for i in range(len(names)):
    others = [(i + k) % len(names) for k in range(1, len(names))]
    same = [j for j in others if films.speaker[j] == films.speaker[i] and names[j] != names[i]]
    order.append((same or others)[0])
  return np.array(order)


def area(rows: np.ndarray) -> float:
  """(n, k) agreements, of films as they are and in k - 1 changed forms -> area under the ROC curve."""
  return roc_auc_score(np.repeat([1, 0], [len(rows), rows[:, 1:].size]), np.concatenate([rows[:, 0], *rows[:, 1:].T]))


def measure(params, films: Films) -> dict:
  """Areas under the ROC curve by change, with 95 % intervals over films."""
  sharpness = float(np.exp(params['sharpness']))

  def agreements(found):
    return np.array([timing_of_curve(c[None], sharpness).agreement for c in found])

  own = curves(params, films)
  changed = {
    f'{1000 * seconds:.0f} ms': [curves(params, films, sign * round(seconds * LIP_RATE)) for sign in (-1, 1)]
    for seconds in OFFSETS
  }
  changed['swapped'] = [curves(params, films, order=next_of_same(films))]
  rows = {
    name: interval(area, np.stack([agreements(found) for found in (own, *others)], axis=1))
    for name, others in changed.items()
  }
  rows['within 40 ms'] = interval(np.mean, (np.abs(own.argmax(1) - SHIFTS) <= 1).astype(float))
  return rows


def table(rows: dict[str, dict]) -> list[str]:
  names = list(next(iter(rows.values())))
  heads = [f'by {n}' if n.endswith('ms') and n[0].isdigit() else n for n in names]
  lines = ['| films | ' + ' | '.join(heads) + ' |', '|---' * (len(names) + 1) + '|']
  return lines + ['| ' + ' | '.join([name, *(row[n].show() for n in names)]) + ' |' for name, row in rows.items()]


CARD = """# lip_sync_judge

Lip sync of sound and mouth: confidence and offset. For evaluation only: two small networks of gray pixels
around the mouth and of log-mels; made by `experiments/recipes/lip_sync_judge.py`, used by
`dubber_jax/evaluation/metrics/lip_sync.py`.

**Data.** GRID (Cooke et al. 2006, CC BY 4.0), speaker s1, 791 films of his training split. The critic and the actor
were trained on the same speaker's films too, by lip landmarks; weights, features and architecture are shared with
neither.

**Figures.** Area under the ROC curve by which films are distinguished from themselves with shifted sound, both ways,
or with the sound of another film of the same speaker (of the next one, where there is but one film); and the share of
films whose best offset is within 40 ms. 95 % intervals over films.

{figures}

**Limits.** Trained on one man, at 25 pictures a second, front on, in good light. It is less accurate for other
speakers, as the table shows: their values are for comparing systems on the same films.
"""


def write(params, figures: list[str], out: Path):
  """Writes the judge's folder as a whole or not at all."""
  from flax.traverse_util import flatten_dict

  with new_checked_folder(out) as folder:
    write_arrays(folder / 'weights.safetensors', flatten_dict(params, sep='.'), jnp.bfloat16)
    (folder / 'CARD.md').write_text(CARD.format(figures='\n'.join(figures)))


def main():
  from dubber_jax.training.loop import train

  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--choose', action='store_true', help='measure on validation clips alone; writes nothing')
  parser.add_argument('--measure', action='store_true', help='measure the shipped judge; trains nothing')
  parser.add_argument('--cache', type=Path, default=Path('cache/lip_sync'), help='folder of stored mouth crops')
  parser.add_argument('--workdir', default='runs/lip_sync')
  parser.add_argument('--steps', type=int, default=0)
  parser.add_argument('-o', '--out', type=Path, default=SHIPPED)
  options = parser.parse_args()
  config = arms()['lip_sync']
  if options.steps:
    config = config.replace(train=TrainConfig(**{**vars(config.train), 'steps': options.steps}))
  if options.measure:
    params = load_judge(options.out).params
  else:
    state = train(config, task(config), Batches(config, Films(options.cache, 'train')), options.workdir)
    params = jax.tree.map(lambda v: np.asarray(jnp.asarray(v, jnp.bfloat16), np.float32), jax.device_get(state.ema))
  if options.choose:
    print('\n'.join(table({'s1, validation': measure(params, Films(options.cache, 'validation'))})))
    return
  rows = {
    's1, held-out films': measure(params, Films(options.cache, 'test')),
    's2 to s5, unseen': measure(params, Films(options.cache, 'test_unseen')),
  }
  figures = table(rows)
  if not options.measure:
    write(params, figures, options.out)
  print('\n'.join(figures))


if __name__ == '__main__':
  main()
