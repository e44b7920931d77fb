"""Benchmark: dubbing systems on one test set. Missing takes and judgements are computed, others are read from disk.

A system gets a clip's line, pictures and voice, and returns a take. Takes are stored by the hash of the weights, the
system with its settings, the clip and the seed; judgements by the hash of the waveform, so that two systems with the
same output are judged once. The code is not part of these keys: after a change to it, use another folder.
"""

import dataclasses
import functools
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines.recordings import Recording
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark import speakers
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, cores, open_judge
from dubber_jax.evaluation.benchmark.stimuli import Stimulus
from dubber_jax.evaluation.bootstrap import Gain, Interval, crossed, paired
from dubber_jax.evaluation.metrics.emotion import beside, direction, load_judge, softmax
from dubber_jax.evaluation.metrics.speaker_similarity import speaker_similarity
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model import Model
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.profiling import compile_clock
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.hashing import sha256_bytes, sha256_json, sha256_text
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Clip, Line, Take, Voice

JUDGES = ('functionals', 'mos', 'cleanliness', 'words', 'voice', 'lips')
FIRST_SEED_JUDGES = ('cleanliness',)  # slow, and no claim rests on them
FILM_JUDGES = ('lips', 'reference')  # need a real film: its pictures, or its own sound
PROPORTIONS = ('emotion_accuracy', 'emotion_probability', 'intended', 'retrieved', 'accepted')  # between 0 and 1
RATIOS = {'word_error': ('errors', 'words'), 'character_error': ('character_errors', 'characters')}
PACKAGES = (
  'jax',
  'flax',
  'numpy',
  'scipy',
  'torch',
  'distillmos',
  'speechmos',
  'onnxruntime',
  'faster-whisper',
  'ctranslate2',
  'Resemblyzer',
)


@dataclass(frozen=True)
class SystemInput:
  """All that a system may use of a clip. `label`: its emotion, '' unless the system sees labels."""

  model: Model
  library: Library | None
  line: Line
  voice: Voice
  clip: Clip | None
  seed: int
  label: str = ''

  @property
  def slot(self) -> float | None:
    return self.clip.seconds if self.clip else None


@dataclass(frozen=True)
class SystemOutput:
  """A take with its waveform, and numbers by name that the system reports of it."""

  take: Take
  facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
  """A way to dub a clip: `run`. settings: part of the key of its takes, beside the name. weights: of which trained arm;
  '' for the base. sees_label: it is given the clip's emotion. seeds: at most so many are run; 0: all."""

  run: Callable[[SystemInput], SystemOutput]
  settings: str = ''
  weights: str = ''
  sees_label: bool = False
  seeds: int = 0


@dataclass(frozen=True)
class Judging:
  """What casts voices and judges takes: `cast` has the functions of the module `speakers`, `judge(name)` opens a judge,
  `emotion_classifier` classifies emotions (None: metrics/emotion.py's own)."""

  cast: Any = speakers
  judge: Callable[[str], Any] = open_judge
  emotion_classifier: Any = None


class Benchmark:
  """Systems, models, test set and judges. models: the base under '', and trained arms by name."""

  def __init__(
    self,
    folder: str | Path,
    systems: Mapping[str, System],
    models: Mapping[str, Model],
    library: Library | None,
    stimuli: Sequence[Stimulus],
    seeds: int,
    judges: Sequence[str] = JUDGES,
    judging: Judging = Judging(),
  ):
    missing = [name for name, system in systems.items() if system.weights not in models]
    if missing:
      raise BadInput(f'the system {missing[0]} uses weights of {systems[missing[0]].weights!r}, which is no arm')
    self.root, self.systems, self.models, self.library = Path(folder), dict(systems), dict(models), library
    self.stimuli, self.seeds, self.judges = list(stimuli), seeds, tuple(judges)
    self.cast, self.open = judging.cast, judging.judge
    self.emotion_classifier = judging.emotion_classifier or load_judge()
    self.hashes = {name: weights_hash(model) for name, model in self.models.items()}
    self.folder = self.root / self.hashes['']
    self.judgements = {
      False: JsonlCache(self.folder / 'judged.jsonl'),
      True: JsonlCache(self.root / 'recordings.jsonl'),
    }
    self.outputs = JsonlCache(self.folder / 'performed.jsonl')

  def run(self, share: tuple[int, int] = (0, 1)) -> 'Results':
    """Synthesizes and judges all that is missing, or the i-th of n parts of the test set."""
    self._synthesize(share)
    for judge in self.judges:
      self._judge(judge, share)
    return Results(self)

  def key(self, system: str, stimulus: Stimulus, seed: int) -> str:
    """Of a take: SYSTEM-HASH/CLIP/SEED, the hash being of weights, settings, library and clip."""
    library = self.library.hash if self.library is not None else ''
    pictures = stimulus.film.name if stimulus.film else f'{stimulus.scene} {stimulus.seconds} {stimulus.seed}'
    pictures += f' {stimulus.given.name}' if stimulus.given else ''
    inputs = f'{stimulus.text} {pictures}'
    identity = f'{self.hashes[self.systems[system].weights]} {self.systems[system].settings} {library} {inputs}'
    return f'{system}-{sha256_text(identity)[:8]}/{stimulus.key}/{seed}'

  def takes(self, share: tuple[int, int] = (0, 1)) -> Iterator[tuple[str, Stimulus, int]]:
    """(system, stimulus, seed) of all takes, or of a part of them, whole seeds first."""
    for seed in range(self.seeds):
      for stimulus in self.stimuli[share[0] :: share[1]]:
        for name, system in self.systems.items():
          if not system.seeds or seed < system.seeds:
            yield name, stimulus, seed

  def sound(self, key: str) -> Path:
    return self.folder / 'sounds' / f'{self.outputs.value("take", key)["sound"]}.wav'

  def _synthesize(self, share):
    missing = [t for t in self.takes(share) if not self._is_there(self.key(*t))]
    if not missing:
      return
    origin = self._origin()
    for name, stimulus, seed in tqdm(missing, desc='takes', unit='take'):
      inputs = self._inputs(name, stimulus, seed)
      began, compiled = time.perf_counter(), compile_clock().seconds
      output = self.systems[name].run(inputs)
      spent = time.perf_counter() - began - (compile_clock().seconds - compiled)
      seconds = len(output.take.waveform) / SAMPLE_RATE
      # All are judged at the same loudness, so that none is better for being louder.
      wave = normalize_loudness(output.take.waveform, SAMPLE_RATE)
      sound = sha256_bytes(np.round(wave * 32767).astype('<i2').tobytes())[:16]
      path = self.folder / 'sounds' / f'{sound}.wav'
      path.parent.mkdir(parents=True, exist_ok=True)
      if not path.exists():
        write_wav(path, wave, SAMPLE_RATE)
      row = {
        'sound': sound,
        'seconds': round(spent, 3),
        'lasts': round(seconds, 4),
        'slot_error': abs(seconds - inputs.slot) if inputs.slot is not None else None,
        'facts': {k: float(v) for k, v in output.facts.items()},
        'origin': origin,
      }
      self.outputs.add('take', self.key(name, stimulus, seed), row)

  def _is_there(self, key):
    return self.outputs.has('take', key) and self.sound(key).exists()

  def _inputs(self, name, stimulus, seed):
    system = self.systems[name]
    label = stimulus.emotion if system.sees_label else ''
    given = (stimulus.given,) if stimulus.given else ()
    voice = self.cast.voice(stimulus.speaker, self.models[''], *given)  # arms do not train what a voice is fitted to
    model, line = self.models[system.weights], Line(stimulus.text)
    return SystemInput(model, self.library, line, voice, self._clip(stimulus), seed, label)

  @functools.lru_cache(maxsize=1)  # noqa: B019  a benchmark lives as long as its process
  def _clip(self, stimulus):
    clip = stimulus.clip(self.root / 'films')
    if clip is not None:  # perception is cached from here on, so that no system's time includes it
      from dubber_jax.perception.analyze import read_clip

      read_clip(clip, Line(stimulus.text))
    return clip

  def _origin(self) -> str:
    """A key of the code, machine and packages that made a take."""
    facts = origin()
    name = sha256_json(facts)[:8]
    if not self.outputs.has('origin', name):
      self.outputs.add('origin', name, facts)
    return name

  def _judge(self, judge, share):
    takes = [t for t in self.takes(share) if self.is_judged(judge, *t[1:])]
    keys = {self._judgement_key(judge, *t): t for t in takes}
    missing = {key: t for key, t in keys.items() if not self.judgements[False].has(judge, key)}
    for key, take in tqdm(missing.items(), desc=f'judge: {judge}', unit='take') if missing else ():
      wave = read_sound(self.sound(self.key(*take)), SAMPLE_RATE)
      film = (take[1].film,) if judge in FILM_JUDGES else ()
      self.judgements[False].add(judge, key, self.open(judge)(wave, SAMPLE_RATE, *film))

  def is_judged(self, judge: str, stimulus: Stimulus, seed: int) -> bool:
    return (judge not in FIRST_SEED_JUDGES or seed == 0) and (judge not in FILM_JUDGES or stimulus.film is not None)

  def _judgement_key(self, judge, system, stimulus, seed) -> str:
    sound = self.outputs.value('take', self.key(system, stimulus, seed))['sound']
    return f'{sound}/{stimulus.film.name}' if judge in FILM_JUDGES else sound

  def judgement(self, judge: str, system: str, stimulus: Stimulus, seed: int) -> Any:
    """Of a take."""
    return self.judgements[False].value(judge, self._judgement_key(judge, system, stimulus, seed))

  def film_recording(self, stimulus: Stimulus) -> Recording:
    """The recording that a real film's own sound is."""
    return next(r for r in self.cast.recordings(stimulus.person) if r.path == stimulus.film)

  def recorded(self, judge: str, recording: Recording) -> Any:
    """Judgement of a recording at the loudness of takes."""
    return self._of(
      True, judge, recording, recording.key, lambda: normalize_loudness(self.cast.sound_of(recording), SAMPLE_RATE)
    )

  def vocoded(self, judge: str, recording: Recording) -> Any:
    """Judgement of a recording's mel through the base's vocoder."""
    base = self.models['']

    def wave():
      mel = mel_numpy(normalize_loudness(self.cast.sound_of(recording), SAMPLE_RATE))
      return normalize_loudness(np.asarray(base.vocoder.vocode(mel, 0), np.float32), SAMPLE_RATE)

    return self._of(False, judge, recording, f'vocoded/{recording.key}', wave)

  def _of(self, real, judge, recording, key, wave):
    if not self.judgements[real].has(judge, key):
      film = (recording.path,) if judge in FILM_JUDGES else ()
      self.judgements[real].add(judge, key, self.open(judge)(wave(), SAMPLE_RATE, *film))
    return self.judgements[real].value(judge, key)

  def probabilities(
    self, functionals: Sequence[float] | np.ndarray, speaker: str, real: bool = False, but: Recording | None = None
  ) -> np.ndarray:
    """(E,) probabilities of emotions from acoustic functionals, relative to neutral recordings of the speaker, through
    the base's vocoder or, with `real`, as they are. but: a recording that is left out."""
    return softmax(self._logits(functionals, speaker, real, but))

  def emotion_similarity(self, functionals: Sequence[float] | np.ndarray, speaker: str, emotion: str) -> float:
    """Cosine, -1 to 1, between the emotion embeddings of functionals and of the speaker's own recordings of the emotion
    through the base's vocoder. nan where there are none."""
    acted = self._acted(speaker, emotion)
    return np.nan if acted is None else float(direction(self._logits(functionals, speaker)) @ acted)

  @functools.cache  # noqa: B019
  def _acted(self, speaker, emotion):
    own = self.cast.acted(speaker, emotion)
    embeddings = [direction(self._logits(self.vocoded('functionals', r), speaker, but=r)) for r in own]
    return direction(np.mean(embeddings, axis=0)) if own else None

  def _logits(self, functionals, speaker, real=False, but=None):
    judgement_of = self.recorded if real else self.vocoded
    others = np.mean([judgement_of('functionals', r) for r in self.cast.neutral(speaker) if r != but], axis=0)
    return self.emotion_classifier.with_neutral.logits(beside(np.array(functionals), others))


@dataclass(frozen=True)
class Results:
  """Metrics of all takes. Tables are (clips, seeds), nan where a system was not run."""

  benchmark: Benchmark

  def table(self, system: str, figure: str) -> np.ndarray:
    b = self.benchmark
    seeds = min(b.seeds, b.systems[system].seeds or b.seeds)
    rows = [
      [self._figures(system, i, seed).get(figure, np.nan) for seed in range(seeds)] for i in range(len(b.stimuli))
    ]
    return np.pad(np.array(rows, float), ((0, 0), (0, b.seeds - seeds)), constant_values=np.nan)

  def summary(
    self, system: str, figure: str, clips: slice | np.ndarray = slice(None), seeds: int | None = None
  ) -> Interval:
    """Mean and interval of a metric (of RATIOS: all errors over all words), of some clips, of the first seeds."""
    groups = np.array(self.groups)[clips]
    if figure in RATIOS:
      parts, wholes = (self.table(system, name)[clips, :seeds] for name in RATIOS[figure])
      return crossed(parts, wholes, groups)
    found = crossed(self.table(system, figure)[clips, :seeds], groups=groups)
    if figure in PROPORTIONS:
      low, high = np.clip([found.low, found.high], 0.0, 1.0)
      return dataclasses.replace(found, low=float(low), high=float(high))
    return found

  def gain(
    self, of: str, over: str, figure: str, relative: bool = True, clips: slice | np.ndarray = slice(None)
  ) -> Gain:
    """Of one system over another on the same clips and seeds. Relative to zero it is the plain difference."""
    groups = np.array(self.groups)[clips]
    if figure in RATIOS:
      (a, wholes), (b, _) = ([self.table(system, name)[clips] for name in RATIOS[figure]] for system in (over, of))
      return paired(a, b, wholes, relative=False, groups=groups)
    a, b = self.table(over, figure)[clips], self.table(of, figure)[clips]
    return paired(a, b, relative=relative and bool(np.nansum(a) > 0), groups=groups)

  def confusions(self, system: str) -> list[tuple[str, str]]:
    """(label, classified emotion) of each take of the system's first seed."""
    names, stimuli = self.benchmark.emotion_classifier.emotions, self.benchmark.stimuli
    return [(s.emotion, names[int(np.argmax(self._probabilities(system, i, 0)))]) for i, s in enumerate(stimuli)]

  @property
  def groups(self) -> list[str]:
    """Clusters of clips: those of one sentence are not independent."""
    return [s.text for s in self.benchmark.stimuli]

  def take(self, system: str, clip: int, seed: int) -> dict:
    return self.benchmark.outputs.value('take', self.benchmark.key(system, self.benchmark.stimuli[clip], seed))

  def wave(self, system: str, clip: int, seed: int = 0) -> np.ndarray:
    return read_sound(self.benchmark.sound(self.benchmark.key(system, self.benchmark.stimuli[clip], seed)), SAMPLE_RATE)

  def origins(self) -> list[dict]:
    names = dict.fromkeys(
      self.benchmark.outputs.value('take', self.benchmark.key(*t))['origin'] for t in self.benchmark.takes()
    )
    return [self.benchmark.outputs.value('origin', name) for name in names]

  @functools.cache  # noqa: B019
  def _figures(self, system, clip, seed) -> dict[str, float]:
    b, stimulus, take = self.benchmark, self.benchmark.stimuli[clip], self.take(system, clip, seed)
    judgement = {
      judge: b.judgement(judge, system, stimulus, seed) for judge in b.judges if b.is_judged(judge, stimulus, seed)
    }
    found = {'seconds': take['seconds'], 'lasts': take['lasts'], **take['facts']}
    found |= _of_director(take['facts'], stimulus.emotion)
    found['slot_error'] = np.nan if take['slot_error'] is None else 1000 * take['slot_error']
    if 'functionals' in judgement:
      probabilities = self._probabilities(system, clip, seed)
      found['emotion_probability'] = float(probabilities[b.emotion_classifier.emotions.index(stimulus.emotion)])
      found['emotion_accuracy'] = float(
        b.emotion_classifier.emotions[int(np.argmax(probabilities))] == stimulus.emotion
      )
      found['emotion_similarity'] = b.emotion_similarity(judgement['functionals'], stimulus.speaker, stimulus.emotion)
    if 'mos' in judgement:
      found['naturalness'] = judgement['mos']
    if 'cleanliness' in judgement:
      found['cleanliness'] = judgement['cleanliness']['overall']
    if 'words' in judgement:
      found['errors'], found['words'] = count_errors(stimulus.text, judgement['words'])
      counts = count_errors(stimulus.text, judgement['words'], characters=True)
      found['character_errors'], found['characters'] = counts
    if 'lips' in judgement:
      found |= lip_sync_figures(judgement['lips'])
    found |= judgement.get('reference', {})
    if 'voice' in judgement:
      other = b.recorded('voice', b.cast.another(stimulus.speaker))
      found['speaker_similarity'] = speaker_similarity(np.array(judgement['voice']), np.array(other))
    return found

  def _probabilities(self, system, clip, seed):
    functionals = self.benchmark.judgements[False].value('functionals', self.take(system, clip, seed)['sound'])
    return self.benchmark.probabilities(functionals, self.benchmark.stimuli[clip].speaker)


def lip_sync_figures(judgement: Mapping[str, float]) -> dict[str, float]:
  """Metrics of a judgement of lip sync: log-probability of the timing, and the absolute offset in ms."""
  return {'lip_sync': judgement['agreement'], 'lip_offset': abs(judgement['late'])}


def _of_director(facts, emotion) -> dict[str, float]:
  """Whether the director intended the labeled emotion, and the share of retrieved clips that have it."""
  found = {}
  if 'intended' in facts:
    found['intended'] = float(EMOTIONS[int(facts['intended'])] == emotion)
  retrieved = [float(EMOTIONS[int(v)] == emotion) for name, v in facts.items() if name.startswith('retrieved_')]
  return found | ({'retrieved': float(np.mean(retrieved))} if retrieved else {})


def without_director(model: Model) -> Model:
  """The same weights with the director disabled (one-way dubbing)."""
  director = dataclasses.replace(model.config.task.director, enabled=False)
  return dataclasses.replace(model, config=model.config.with_task(director=director))


def weights_hash(model: Model) -> str:
  """Twelve hex digits that identify what a model computes: of its directory where it is one, else of its weights."""
  if (model.path / 'MANIFEST.json').exists():
    return model_hash(model.path)
  from dubber_jax.storage.weights import flatten

  parts = (
    name.encode() + np.ascontiguousarray(value).tobytes() for name, value in sorted(flatten(model.params).items())
  )
  return sha256_bytes(model.config.hash().encode(), *parts)[:12]


def model_hash(folder: Path) -> str:
  """Twelve hex digits that identify a model directory: hash of its manifest without the card."""
  files = json.loads((folder / 'MANIFEST.json').read_text())
  files.pop('CARD.md', None)
  return sha256_json(files)[:12]


def origin() -> dict[str, str]:
  """Commit, machine and packages of this process."""
  return {'commit': commit(), 'machine': machine(), 'versions': versions()}


def commit() -> str:
  """Git commit of the running code, or the package's version where there is no repository."""
  here = Path(__file__).parents[3]

  def git(*arguments):
    return subprocess.run(['git', '-C', here, *arguments], capture_output=True, text=True, check=True).stdout.strip()

  try:
    changed = git('status', '--porcelain', '--untracked-files=no', '--', 'dubber_jax', 'experiments')
    return git('rev-parse', '--short=10', 'HEAD') + (' with changes' if changed else '')
  except (OSError, subprocess.CalledProcessError):
    return f'dubber_jax {_version("dubber_jax")}'


def machine() -> str:
  import jax

  name = platform.processor() or platform.machine()
  try:
    rows = Path('/proc/cpuinfo').read_text().splitlines()
    name = next(row.partition(':')[2].strip() for row in rows if row.startswith('model name'))
  except (OSError, StopIteration):
    pass
  return f'{name}, {cores()} threads, JAX on {jax.default_backend()}'


def versions() -> str:
  found = {name: _version(name) for name in PACKAGES}
  return ', '.join([f'Python {platform.python_version()}', *(f'{n} {v}' for n, v in found.items() if v)])


def _version(package: str) -> str:
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return ''
