"""The systems that benchmarks compare: the directed one, one-way baselines, and one that is given the true emotion."""

import dataclasses
from collections.abc import Callable

import numpy as np

from dubber_jax.director.review import WEIGHTS
from dubber_jax.dubbing.inputs import read_script
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineOptions, LineTask
from dubber_jax.dubbing.result import LineResult
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import System, SystemInput, SystemOutput, without_director
from dubber_jax.inference.synthesis import LineInputs, synthesize_all, vocode
from dubber_jax.perception.analyze import Extractors, follow_mouth
from dubber_jax.retrieval.library import Library
from dubber_jax.types import EMOTIONS, MODALITIES, Direction, Exemplars, Reading

ONE_WAY_SCORES = ('naturalness', 'intelligibility', 'speaker_similarity')  # of the critic: those that need no goal
LABEL_INTENSITY = 0.8  # that of the planner's rules for an emotion they are sure of


@dataclasses.dataclass(frozen=True)
class RetrievalOverride:
  """A library with another retrieval function, `by(library, reading, count, **options)`."""

  library: Library
  by: Callable[..., Exemplars]

  def retrieve(self, reading: Reading, count: int, **options) -> Exemplars:
    return self.by(self.library, reading, count, **options)


def directed(
  name: str = '',
  rounds: int = 1,
  candidates: int = 1,
  search: str = 'exact',
  retrieve: Callable[..., Exemplars] | None = None,
  director: dict | None = None,
  extractors: Extractors | None = None,
  weights: str = '',
  seeds: int = 0,
) -> System:
  """The director with its rehearsal, as `dubber dub` runs it. director: settings of DirectorConfig that differ;
  retrieve: as in retrieval_variants.py; name: part of the key of takes, for arguments that have no text form."""

  def run(inputs: SystemInput) -> SystemOutput:
    model, library = inputs.model, inputs.library
    if director:
      changed = dataclasses.replace(model.config.task.director, **director)
      model = dataclasses.replace(model, config=model.config.with_task(director=changed))
    if retrieve:
      library = RetrievalOverride(library, retrieve)
    task = LineTask(inputs.line, inputs.voice, inputs.clip, inputs.slot)
    options = LineOptions(rounds, candidates, inputs.seed, search)
    done = dub_line(model, library, task, options, extractors=extractors)
    return SystemOutput(done.take, rehearsal_facts(done.result))

  settings = f'{name} rounds={rounds} candidates={candidates} search={search} {sorted((director or {}).items())}'
  return System(run, settings, weights, seeds=seeds)


def rehearsal_facts(result: LineResult) -> dict[str, float]:
  """Numbers of a rehearsal: rounds, takes, the critic's best score, emotions intended and retrieved."""
  rounds = result.rounds
  facts = {'rounds': len(rounds), 'takes': sum(len(done.takes) for done in rounds)}
  facts['critic'] = max(done.best_score for done in rounds)
  facts['accepted'] = any(done.accepted for done in rounds)
  facts['intended'] = int(np.argmax(result.direction.emotion))
  for m in MODALITIES:
    retrieved = [EMOTIONS.index(e.emotion) for e in result.exemplars.get(m, ()) if e.emotion in EMOTIONS]
    facts |= {f'retrieved_{m}_{i}': e for i, e in enumerate(retrieved)}
  return facts


def one_way(weights: str = '') -> System:
  """One-way dubbing: no director, one take of the line in its slot."""

  def run(inputs: SystemInput) -> SystemOutput:
    model = without_director(inputs.model)
    done = dub_line(
      model, None, LineTask(inputs.line, inputs.voice, inputs.clip, inputs.slot), LineOptions(seed=inputs.seed)
    )
    return SystemOutput(done.take, {'rounds': 1, 'takes': 1})

  return System(run, 'one take', weights)


def best_of(count: int, weights: str = '') -> System:
  """One-way dubbing with `count` takes, of which the one with the critic's best score is kept. There is no intended
  emotion, so naturalness, intelligibility and speaker similarity decide, weighted as in a review. The first take is
  that of `one_way`."""

  def run(inputs: SystemInput) -> SystemOutput:
    model = without_director(inputs.model)
    if model.critic is None:
      raise BadInput(f'{model.path} has no critic to select takes with: release it with --critic')
    line = inputs_without_director(inputs)
    drawn = np.random.default_rng([inputs.seed, 1]).integers(2**31, size=count - 1)
    takes = synthesize_all(model, line, [Direction()] * count, [inputs.seed, *drawn.tolist()])
    scores = model.critic.score(takes, line.voice, line.track)
    overall = [sum(WEIGHTS[name] * getattr(s, name) for name in ONE_WAY_SCORES) for s in scores]
    chosen = int(np.argmax(overall))
    return SystemOutput(vocode(model, takes[chosen], inputs.seed), {'rounds': 1, 'takes': count, 'chosen': chosen})

  return System(run, f'takes={count}', weights)


def labeled(weights: str = '') -> System:
  """One take given the true emotion, with nothing read or retrieved: upper bound of the reading, without rehearsal."""

  def run(inputs: SystemInput) -> SystemOutput:
    f = inputs.model.config.task.features
    blank = (np.zeros(width, np.float32) for width in (f.scene_width, f.face_width, f.text_width))
    line = dataclasses.replace(inputs_without_director(inputs), reading=Reading(*blank, np.zeros(3, bool)))
    named = Direction(emotion=tuple(float(e == inputs.label) for e in EMOTIONS), intensity=LABEL_INTENSITY)
    take = synthesize_all(inputs.model, line, [named], [inputs.seed])[0]
    return SystemOutput(vocode(inputs.model, take, inputs.seed), {'rounds': 1, 'takes': 1})

  return System(run, f'intensity={LABEL_INTENSITY}', weights, sees_label=True)


def inputs_without_director(inputs: SystemInput) -> LineInputs:
  """Inputs of the actor without a director: phonemes, voice, slot and mouth track."""
  track = follow_mouth(inputs.clip.frames) if inputs.clip else None
  return LineInputs(read_script(inputs.line.text), inputs.voice, inputs.slot, track=track)
