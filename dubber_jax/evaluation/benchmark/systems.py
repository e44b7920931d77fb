"""The ways of dubbing that benchmarks compare. Each gives a function from a Stage to what was Played."""

import dataclasses
from collections.abc import Callable

import numpy as np

from dubber_jax.director.review import WEIGHTS
from dubber_jax.dubbing.line import dub_line, read_script
from dubber_jax.dubbing.request import LineOptions, LineTask
from dubber_jax.dubbing.result import LineResult
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import System, SystemInput, SystemOutput, without_director
from dubber_jax.inference.synthesis import LineInputs, synthesize_all, vocode
from dubber_jax.perception.analyze import Extractors, follow_mouth
from dubber_jax.retrieval.library import Library
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, Exemplars, Reading

ONE_WAY_SCORES = ('naturalness', 'intelligibility', 'speaker_similarity')  # of the critic: those that need no goal
TOLD = 0.8  # intensity of a label: as strong as the rules play what they are sure of


@dataclasses.dataclass(frozen=True)
class RetrievalOverride:
  """A library of which something else is recalled: `recall(library, reading, count, **options)`."""

  library: Library
  by: Callable[..., Exemplars]

  def recall(self, reading, count, **options) -> Exemplars:
    return self.by(self.library, reading, count, **options)


def directed(
  name: str = '',
  rounds: int = 1,
  candidates: int = 1,
  search: str = 'exact',
  recall=None,
  director: dict | None = None,
  extractors: Extractors | None = None,
  weights: str = '',
  seeds: int = 0,
) -> System:
  """By the director, as `dubber dub` does it. director: settings of DirectorConfig that differ; recall: see Recalling;
  name: by which what cannot be told from numbers is known."""

  def play(stage: SystemInput) -> SystemOutput:
    model, library = stage.model, stage.library
    if director:
      changed = dataclasses.replace(model.config.task.director, **director)
      model = dataclasses.replace(model, config=model.config.with_task(director=changed))
    if recall:
      library = RetrievalOverride(library, recall)
    task = LineTask(stage.line, stage.voice, stage.clip, stage.slot)
    options = LineOptions(rounds, candidates, stage.seed, search)
    done = dub_line(model, library, task, options, extractors=extractors)
    return SystemOutput(done.take, rehearsal_facts(done.result))

  settings = f'{name} rounds={rounds} candidates={candidates} search={search} {sorted((director or {}).items())}'
  return System(play, settings, weights, seeds=seeds)


def rehearsal_facts(result: LineResult) -> dict[str, float]:
  """What a rehearsal says of itself, as numbers: rounds, takes, the critic's score, emotions meant and retrieved."""
  rounds = result.rounds
  facts = {'rounds': len(rounds), 'takes': sum(len(done.takes) for done in rounds)}
  facts['critic'] = max(done.best_score for done in rounds)
  facts['accepted'] = any(done.accepted for done in rounds)
  facts['intended'] = int(np.argmax(result.direction.emotion))
  for m in MODALITIES:
    retrieved = [EMOTIONS.index(e.emotion) for e in result.exemplars.get(m, ()) if e.emotion in EMOTIONS]
    facts |= {f'recalled_{m}_{i}': e for i, e in enumerate(retrieved)}
  return facts


def one_way(weights: str = '') -> System:
  """No director: one take of the line in its slot."""

  def play(stage: SystemInput) -> SystemOutput:
    model = without_director(stage.model)
    done = dub_line(
      model, None, LineTask(stage.line, stage.voice, stage.clip, stage.slot), LineOptions(seed=stage.seed)
    )
    return SystemOutput(done.take, {'rounds': 1, 'takes': 1})

  return System(play, 'one take', weights)


def best_of(count: int, weights: str = '') -> System:
  """No director, but as many takes as one would ask for, of which the critic's favorite counts. It has no emotion in
  mind, so naturalness, words and voice decide, weighed as a review weighs them. The first take is that of `one_way`."""

  def play(stage: SystemInput) -> SystemOutput:
    model = without_director(stage.model)
    if model.critic is None:
      raise BadInput(f'{model.path} has no critic to choose between takes: release it with --critic')
    part = inputs_without_director(stage)
    drawn = np.random.default_rng([stage.seed, 1]).integers(2**31, size=count - 1)
    takes = synthesize_all(model, part, [Direction()] * count, [stage.seed, *drawn.tolist()])
    scores = model.critic.score(takes, part.voice, part.track)
    overall = [sum(WEIGHTS[name] * getattr(s, name) for name in ONE_WAY_SCORES) for s in scores]
    chosen = int(np.argmax(overall))
    return SystemOutput(vocode(model, takes[chosen], stage.seed), {'rounds': 1, 'takes': count, 'chosen': chosen})

  return System(play, f'takes={count}', weights)


def labeled(weights: str = '') -> System:
  """One take, told the true emotion outright: nothing is read or recalled. What a perfect reader could reach without
  a rehearsal."""

  def play(stage: SystemInput) -> SystemOutput:
    f = stage.model.config.task.features
    blank = (np.zeros(width, np.float32) for width in (f.scene_width, f.face_width, f.text_width))
    part = dataclasses.replace(inputs_without_director(stage), reading=Reading(*blank, np.zeros(3, bool)))
    named = Direction(emotion=tuple(float(e == stage.label) for e in EMOTIONS), intensity=TOLD)
    take = synthesize_all(stage.model, part, [named], [stage.seed])[0]
    return SystemOutput(vocode(stage.model, take, stage.seed), {'rounds': 1, 'takes': 1})

  return System(play, f'intensity={TOLD}', weights, sees_label=True)


def inputs_without_director(stage: SystemInput) -> LineInputs:
  """What the actor is given of a clip where nobody directs: words, voice, slot and mouth."""
  track = follow_mouth(stage.clip.frames) if stage.clip else None
  return LineInputs(read_script(stage.line.text), stage.voice, stage.slot, track=track)
