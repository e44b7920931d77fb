"""The judge of emotion, on RAVDESS actors 11-18; measured on actors 19-22, whom it never heard.

    python experiments/recipes/emotion_judge.py --cross-validate   # leaves actors 11-18 out one by one: to choose by
    python experiments/recipes/emotion_judge.py                    # writes dubber_jax/assets/emotion_judge and the
    figures

About 10 minutes of one CPU core, nearly all of it for vocoding and measuring 3,600 recordings, which are kept in
cache/judge; a second run takes 20 s and gives the same bytes. Expect 0.66 of real speech heard as acted (unweighted
recall 0.64, chance 0.14), 0.64 (0.62) through the shipped vocoder, beside neutral speech of the same voice. Measured
2026-11-22.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.evaluation.benchmark.plots import draw_confusions
from dubber_jax.evaluation.bootstrap import interval
from dubber_jax.evaluation.metrics import egemaps as measures
from dubber_jax.evaluation.metrics.emotion import JUDGED, SHIPPED, Discriminant, beside, softmax, standardize
from dubber_jax.inference.model_directory import SHIPPED as MODEL
from dubber_jax.inference.model_directory import open_vocoder
from dubber_jax.media.loudness import anchor
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound
from dubber_jax.storage.atomic import atomic_file
from dubber_jax.storage.checked_folder import new_checked_folder
from dubber_jax.storage.hashing import sha256_bytes, sha256_file
from dubber_jax.storage.weights import write_arrays
from dubber_jax.types import SAMPLE_RATE
from dubber_jax.vocoder.griffin_lim import GriffinLim

CHANGES = ('real', 'griffin_lim', 'vocoder', 'blurred', 'noisy')  # what each clip is heard through
CALM = '02'  # RAVDESS's third number: counts as neutral, but is no reference
SHRINKAGE = 0.5  # of the covariance, toward the unit matrix
TEMPERATURES = np.arange(1.0, 6.0, 0.1)  # by which logits are divided


def hear(clips: list[Recording], change: str, cache: Path) -> np.ndarray:
  """(N, F) functionals of the clips, changed in one of the ways of CHANGES. Kept in `cache`."""
  probe = np.sin(np.cumsum(np.linspace(0.02, 0.2, SAMPLE_RATE))) * np.hanning(SAMPLE_RATE)
  content = [measures.functionals(probe, SAMPLE_RATE).tobytes(), repr([c.key for c in clips]).encode()]
  if change in ('vocoder', 'blurred'):
    content.append(sha256_file(MODEL / 'vocoder' / 'model.safetensors').encode())
  path = cache / f'{change}-{sha256_bytes(*content)[:12]}.npy'
  if not path.exists():
    vocoder = GriffinLim() if change == 'griffin_lim' else open_vocoder(MODEL / 'vocoder')
    heard = []
    for i, clip in enumerate(clips):
      heard.append(measures.functionals(changed(clip, change, vocoder), SAMPLE_RATE))
      if i % 60 == 59:
        print(f'{change}: {i + 1} of {len(clips)}', flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
      np.save(partial, np.stack(heard))
  return np.load(path)


def changed(clip: Recording, change: str, vocoder) -> np.ndarray:
  """(S,) at 22,050 Hz. 'blurred' is vocoded from a mel as smooth as a trained actor's."""
  wave = read_sound(clip.path, SAMPLE_RATE)
  if change == 'real':
    return wave
  rng = np.random.default_rng(list(clip.key.encode()))
  wave = anchor(measures.trim(wave), SAMPLE_RATE)
  if change == 'noisy':
    return wave + rng.standard_normal(len(wave)).astype(np.float32) * np.std(wave) * 10 ** (-rng.uniform(20, 40) / 20)
  mel = mel_numpy(wave)
  if change == 'blurred':
    mel = gaussian_filter(mel, (rng.uniform(1, 2.5), rng.uniform(0.3, 1.2)))
  return vocoder.vocode(mel)


class Clips:
  """Recordings with what was heard of them, (N, F) for each change, and their labels (N,)."""

  def __init__(self, split: str, cache: Path):
    self.clips = [c for c in read_recordings('ravdess') if c.split == split]
    self.heard = {change: hear(self.clips, change, cache).astype(np.float64) for change in CHANGES}
    self.emotion = np.array([JUDGED.index(c.emotion) for c in self.clips])
    self.speaker = np.array([c.speaker for c in self.clips])
    self.sentence = np.array([c.text for c in self.clips])
    calm = np.array([c.id.split('-')[2] == CALM for c in self.clips])
    reference = (self.emotion == JUDGED.index('neutral')) & ~calm
    same = (self.speaker[:, None] == self.speaker) & reference & ~np.eye(len(calm), dtype=bool)
    self.averaging = same / same.sum(1, keepdims=True)  # (N, N): over the same voice's other neutral clips

  def features(self, change: str, reference: str | None) -> np.ndarray:
    """What a discriminant sees of clips so changed, beside neutral speech changed as `reference` says, or alone."""
    heard = self.heard[change]
    return heard if reference is None else beside(heard, self.averaging @ self.heard[reference])


def pairs(relative: bool) -> list[tuple[str, str | None]]:
  """(change, change of the neutral reference) that are trained on: the reference through the same, and as it was."""
  if not relative:
    return [(change, None) for change in CHANGES]
  return [(c, c) for c in CHANGES] + [(c, 'real') for c in CHANGES[1:]]


def fit(clips: Clips, chosen: np.ndarray, seen: list[tuple], emotion: np.ndarray | None = None) -> Discriminant:
  """Trains on the chosen clips (N,) bool, through every change that is `seen`: linear discriminants with a covariance
  shrunk toward the unit matrix, all emotions taken to be as likely."""
  x = np.concatenate([clips.features(*pair)[chosen] for pair in seen])
  labels = np.tile((clips.emotion if emotion is None else emotion)[chosen], len(seen))
  mean, scale = x.mean(0), x.std(0) + 1e-6
  x = standardize(x, mean, scale)
  centers = np.stack([x[labels == e].mean(0) for e in range(len(JUDGED))])
  within = np.mean([np.cov(x[labels == e].T, bias=True) for e in range(len(JUDGED))], axis=0)
  within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
  weights = np.linalg.solve(within, centers.T)
  return Discriminant(mean, scale, weights, -0.5 * np.einsum('ed,de->e', centers, weights))


def held_out(clips: Clips, relative: bool, judged: list[tuple], seen=None, other_sentence=False) -> np.ndarray:
  """(judged, N, E) logits of each clip by a discriminant that never heard its actor, nor its sentence if so asked."""
  logits = np.empty((len(judged), len(clips.clips), len(JUDGED)))
  for speaker in sorted(set(clips.speaker)):
    for sentence in sorted(set(clips.sentence)) if other_sentence else [None]:
      theirs = (clips.speaker == speaker) & (sentence is None or clips.sentence == sentence)
      heard = (clips.speaker != speaker) & (sentence is None or clips.sentence != sentence)
      discriminant = fit(clips, heard, seen or pairs(relative))
      for i, pair in enumerate(judged):
        logits[i, theirs] = discriminant.logits(clips.features(*pair)[theirs])
  return logits


def train(clips: Clips, relative: bool) -> Discriminant:
  """On all clips; its probabilities as sure as they are right on actors who were left out."""
  logits = np.concatenate(held_out(clips, relative, pairs(relative)))
  right = np.tile(clips.emotion, len(pairs(relative)))
  cost = [-np.log(softmax(logits / t)[np.arange(len(right)), right] + 1e-12).mean() for t in TEMPERATURES]
  temperature = TEMPERATURES[int(np.argmin(cost))]
  found = fit(clips, np.ones(len(clips.clips), bool), pairs(relative))
  return Discriminant(found.mean, found.scale, found.weights / temperature, found.bias / temperature)


def cross_validate(clips: Clips):
  """Prints what there was to choose by: actors 11-18 left out one at a time."""
  alone, same, real = (
    [(c, r) for c, r in zip(CHANGES, refs, strict=True)]
    for refs in ([None] * len(CHANGES), CHANGES, ['real'] * len(CHANGES))
  )
  for name, relative, seen, judged in (
    ('trained on real speech, judged alone', False, [('real', None)], alone),
    ('trained on every change, judged alone', False, None, alone),
    ('trained on real speech, judged beside neutral speech through the same', True, [('real', 'real')], same),
    ('trained on every change, judged beside neutral speech through the same', True, None, same),
    ('trained on every change, judged beside real neutral speech', True, None, real),
  ):
    logits = held_out(clips, relative, judged, seen)
    rates = [f'{change} {recall(clips, of_change):.3f}' for change, of_change in zip(CHANGES, logits, strict=True)]
    print(f'{name}: {", ".join(rates)}', flush=True)


def recall(clips: Clips, logits: np.ndarray) -> float:
  return unweighted(np.stack([clips.emotion, logits.argmax(1)], axis=1))


def unweighted(rows: np.ndarray) -> float:
  """(n, 2) of emotion and answer -> the mean over emotions of the share that was heard as such."""
  return float(np.mean([(rows[rows[:, 0] == e, 1] == e).mean() for e in np.unique(rows[:, 0])]))


def accuracy(rows: np.ndarray) -> float:
  return float((rows[:, 0] == rows[:, 1]).mean())


def shuffled(clips: Clips, test: Clips, times: int = 20) -> float:
  """Unweighted recall of real speech by judges trained on labels shuffled within each actor: what chance gives."""
  rng = np.random.default_rng(0)
  found = []
  for _ in range(times):
    labels = clips.emotion.copy()
    for speaker in sorted(set(clips.speaker)):
      labels[clips.speaker == speaker] = rng.permutation(labels[clips.speaker == speaker])
    judge = fit(clips, np.ones(len(labels), bool), [('real', 'real')], labels)
    found.append(recall(test, judge.logits(test.features('real', 'real'))))
  return float(np.mean(found))


def same_emotion(test: Clips, logits: np.ndarray) -> float:
  """Area under the curve: how often the embeddings of two actors are more alike in one emotion than in two."""
  from sklearn.metrics import roc_auc_score

  centerd = logits - logits.mean(1, keepdims=True)
  centerd /= np.linalg.norm(centerd, axis=1, keepdims=True)
  others = test.speaker[:, None] < test.speaker
  return float(roc_auc_score((test.emotion[:, None] == test.emotion)[others], (centerd @ centerd.T)[others]))


def measure(clips: Clips, test: Clips, discriminants: dict[str, Discriminant]) -> tuple[list[str], np.ndarray]:
  """Lines of Markdown with the figures on unseen actors; the answers beside neutral speech to the real clips (N,)."""
  lines = [
    '| heard | beside neutral speech: accuracy | unweighted recall | alone: accuracy | unweighted recall |',
    '|---|---|---|---|---|',
  ]
  for change, reference, name in (
    ('real', 'real', 'real speech'),
    ('vocoder', 'vocoder', 'through the shipped vocoder, the neutral speech too'),
    ('vocoder', 'real', 'through the shipped vocoder, the neutral speech real'),
    ('griffin_lim', 'griffin_lim', 'through Griffin-Lim, the neutral speech too'),
    ('blurred', 'blurred', 'blurred mels through the shipped vocoder, the neutral speech too'),
    ('noisy', 'noisy', 'with noise 20 to 40 dB below, the neutral speech too'),
  ):
    cells = []
    for kind, pair in (('with_neutral', (change, reference)), ('alone', (change, None))):
      answer = discriminants[kind].logits(test.features(*pair)).argmax(1)
      rows = np.stack([test.emotion, answer], axis=1)
      cells += [interval(statistic, rows).show() for statistic in (accuracy, unweighted)]
    lines.append('| ' + ' | '.join([name, *cells]) + ' |')
  logits = discriminants['with_neutral'].logits(test.features('real', 'real'))
  answer = logits.argmax(1)
  of_actor = {s: accuracy(np.stack([test.emotion, answer], 1)[test.speaker == s]) for s in sorted(set(test.speaker))}
  crossed = {}  # by judges that never heard the clip's actor, and that heard both sentences, or only the other
  for relative, reference in ((True, 'real'), (False, None)):
    for other in (False, True):
      crossed[relative, other] = recall(clips, held_out(clips, relative, [('real', reference)], None, other)[0])
  lines += [
    '',
    f'- labels shuffled in training: unweighted recall {shuffled(clips, test):.2f} (chance 0.14)',
    f'- actors 11-18, left out one by one: unweighted recall {crossed[True, False]:.2f}, alone '
    f'{crossed[False, False]:.2f}; trained on the other sentence only: {crossed[True, True]:.2f}, alone '
    f'{crossed[False, True]:.2f}',
    '- accuracy by actor: ' + ', '.join(f'{s[-2:]} {rate:.2f}' for s, rate in of_actor.items()),
    '- recall by emotion: '
    + ', '.join(f'{e} {(answer[test.emotion == i] == i).mean():.2f}' for i, e in enumerate(JUDGED)),
    f'- embeddings of two actors tell one emotion from two: area under the curve {same_emotion(test, logits):.2f}',
  ]
  return lines, answer


CARD = """# emotion_judge

Hears which of seven emotions a voice speaks with: {emotions}.
For evaluation only. Two linear discriminants (alone, and beside neutral speech of the same voice) of {count}
functionals of pitch, level, spectrum, voice quality and rhythm; made by `experiments/recipes/emotion_judge.py`, used by
`dubber_jax/evaluation/metrics/emotion.py`.

**Data.** RAVDESS (Livingstone and Russo 2018), actors 11-18, 480 clips, each as it is, through two vocoders, blurred,
and with noise. Nothing that directs or reviews has heard them. Licence: CC BY-NC-SA 4.0, as RAVDESS.

**Figures.** RAVDESS actors 19-22, 240 clips, never heard before; 95 % intervals over clips.

{figures}

The vocoder was that of first_voice with the hash {vocoder}.

**Limits.** Eight actors, one acting school, North American English, two sentences. Four actors are few to measure on:
another four may differ by more than the interval says. Loudness is not heard, on purpose. Figures of speech made by a
model are for comparing systems on the same lines and voices, not for their own sake.
"""


def write(clips: Clips, discriminants: dict[str, Discriminant], figures: list[str], out: Path):
  """Writes the judge's folder as a whole or not at all."""
  arrays = {f'{n}/{part}': v for n, d in discriminants.items() for part, v in vars(d).items()}
  names, vocoder = measures.functional_names(), sha256_file(MODEL / 'vocoder' / 'model.safetensors')[:12]
  settings = {'emotions': JUDGED, 'functionals': names, 'trained_on': sorted(set(clips.speaker))}
  card = CARD.format(emotions=', '.join(JUDGED), count=len(names), figures='\n'.join(figures), vocoder=vocoder)
  with new_checked_folder(out) as folder:
    write_arrays(folder / 'weights.safetensors', arrays, np.float32)
    (folder / 'judge.json').write_text(json.dumps(settings, indent=1) + '\n')
    (folder / 'CARD.md').write_text(card)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--cross-validate', action='store_true', help='by actors 11-18 alone; writes nothing')
  parser.add_argument('--cache', type=Path, default=Path('cache/judge'), help='where functionals are kept')
  parser.add_argument('-o', '--out', type=Path, default=SHIPPED)
  parser.add_argument('--picture', type=Path, default=Path('docs/results/emotion_judge.png'))
  options = parser.parse_args()
  clips = Clips('train_b', options.cache)
  if options.cross_validate:
    cross_validate(clips)
    return
  discriminants = {'alone': train(clips, False), 'with_neutral': train(clips, True)}
  test = Clips('test', options.cache)
  figures, answer = measure(clips, test, discriminants)
  write(clips, discriminants, figures, options.out)
  heard = [(JUDGED[acted], JUDGED[said]) for acted, said in zip(test.emotion, answer, strict=True)]
  draw_confusions(options.picture, JUDGED, {'RAVDESS actors 19-22, real speech': heard})
  print('\n'.join(figures))


if __name__ == '__main__':
  main()
