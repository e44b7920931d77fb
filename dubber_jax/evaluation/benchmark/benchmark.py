"""Ways of dubbing on one test set: what is missing is performed and judged, what was done before is found again.

A way gets a clip's line, pictures and voice, and gives back a sound. Sounds are kept by the hash of the weights, the
way with its settings, the clip and the seed; judgements by the hash of the sound, so that two ways that come to the
same sound are judged once. The code is not part of these: after a change to it, take another folder.
"""

import dataclasses
import functools
import json
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark import speakers
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, cores, errors, open_judge
from dubber_jax.evaluation.benchmark.stimuli import Stimulus
from dubber_jax.evaluation.bootstrap import Gain, Interval, crossed, paired
from dubber_jax.evaluation.metrics.emotion import beside, direction, load_judge, softmax
from dubber_jax.evaluation.metrics.speaker_similarity import speaker_similarity
from dubber_jax.inference.model import Model
from dubber_jax.media.loudness import anchor
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound, write_wav
from dubber_jax.profiling import compile_clock
from dubber_jax.retrieval.library import Library
from dubber_jax.storage.hashing import sha256_bytes, sha256_json, sha256_text
from dubber_jax.types import EMOTIONS, SAMPLE_RATE, Clip, Line, Take, Voice

JUDGES = ('functionals', 'mos', 'cleanliness', 'words', 'voice', 'lips')
SPARED = ('cleanliness',)  # judges that hear the first seed alone: slow, and no claim rests on them
FILMED = ('lips', 'recording')  # judges that need a real film: what is seen in it, or what was said in it
SHARES = ('emotion_accuracy', 'emotion_probability', 'intended', 'recalled', 'accepted')  # between 0 and 1
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
  """All that a way may know of a clip. `label`: its emotion, '' but for ways that are told."""

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
  """A take with its waveform, and what the way says of it: numbers by name."""

  take: Take
  facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
  """How a clip is dubbed. `weights`: of which trained arm; '' for the base. settings: what is kept by, beside the name.
  told: it is given the label. seeds: at most so many are performed; 0: all."""

  play: Callable[[SystemInput], SystemOutput]
  settings: str = ''
  weights: str = ''
  sees_label: bool = False
  seeds: int = 0


class Benchmark:
  """models: the base under '', and trained arms by name. `judge(name)` opens a judge; `emotion_classifier` hears
  emotions; `cast` has the functions of the module `speakers`."""

  def __init__(
    self,
    folder: str | Path,
    systems: Mapping[str, System],
    models: Mapping[str, Model],
    library: Library | None,
    stimuli: Sequence[Stimulus],
    seeds: int,
    judges: Sequence[str] = JUDGES,
    cast=speakers,
    judge=open_judge,
    emotion_classifier=None,
  ):
    missing = [name for name, way in systems.items() if way.weights not in models]
    if missing:
      raise BadInput(f'the way {missing[0]} is played with weights of {systems[missing[0]].weights!r}, which is no arm')
    self.root, self.systems, self.models, self.library = Path(folder), dict(systems), dict(models), library
    self.stimuli, self.seeds, self.judges, self.cast, self.open = list(stimuli), seeds, tuple(judges), cast, judge
    self.emotion_classifier = emotion_classifier or load_judge()
    self.hashes = {name: weights_hash(model) for name, model in self.models.items()}
    self.folder = self.root / self.hashes['']
    self.kept = {False: JsonlCache(self.folder / 'judged.jsonl'), True: JsonlCache(self.root / 'recordings.jsonl')}
    self.performed = JsonlCache(self.folder / 'performed.jsonl')

  def run(self, share: tuple[int, int] = (0, 1)) -> 'Results':
    """Performs and judges all that is missing, or the i-th of n parts of it, with the time that is left."""
    self._perform(share)
    for judge in self.judges:
      self._judge(judge, share)
    return Results(self)

  def key(self, way: str, stimulus: Stimulus, seed: int) -> str:
    recalled = self.library.hash if self.library is not None else ''
    seen = stimulus.film.name if stimulus.film else f'{stimulus.scene} {stimulus.seconds} {stimulus.seed}'
    seen += f' {stimulus.given.name}' if stimulus.given else ''
    shown = f'{stimulus.text} {seen}'
    known_by = f'{self.hashes[self.systems[way].weights]} {self.systems[way].settings} {recalled} {shown}'
    return f'{way}-{sha256_text(known_by)[:8]}/{stimulus.key}/{seed}'

  def takes(self, share: tuple[int, int] = (0, 1)):
    """(way, stimulus, seed) of everything that is performed, or of a part, whole seeds first."""
    for seed in range(self.seeds):
      for stimulus in self.stimuli[share[0] :: share[1]]:
        for name, way in self.systems.items():
          if not way.seeds or seed < way.seeds:
            yield name, stimulus, seed

  def sound(self, key: str) -> Path:
    return self.folder / 'sounds' / f'{self.performed.value("take", key)["sound"]}.wav'

  def _perform(self, share):
    missing = [t for t in self.takes(share) if not self._is_there(self.key(*t))]
    if not missing:
      return
    origin = self._origin()
    for name, stimulus, seed in tqdm(missing, desc='performed', unit='take'):
      stage = self._stage(name, stimulus, seed)
      began, compiled = time.perf_counter(), compile_clock().seconds
      played = self.systems[name].play(stage)
      spent = time.perf_counter() - began - (compile_clock().seconds - compiled)
      seconds = len(played.take.waveform) / SAMPLE_RATE
      # All are heard at the same loudness, so that none is better for being louder.
      wave = anchor(played.take.waveform, SAMPLE_RATE)
      known_by = sha256_bytes(np.round(wave * 32767).astype('<i2').tobytes())[:16]
      path = self.folder / 'sounds' / f'{known_by}.wav'
      path.parent.mkdir(parents=True, exist_ok=True)
      if not path.exists():
        write_wav(path, wave, SAMPLE_RATE)
      apart = abs(seconds - stage.slot) if stage.slot is not None else None
      facts = {k: float(v) for k, v in played.facts.items()}
      self.performed.add(
        'take',
        self.key(name, stimulus, seed),
        {
          'sound': known_by,
          'seconds': round(spent, 3),
          'lasts': round(seconds, 4),
          'slot_error': apart,
          'facts': facts,
          'origin': origin,
        },
      )

  def _is_there(self, key):
    return self.performed.has('take', key) and self.sound(key).exists()

  def _stage(self, name, stimulus, seed):
    way = self.systems[name]
    label = stimulus.emotion if way.sees_label else ''
    given = (stimulus.given,) if stimulus.given else ()
    voice = self.cast.voice(stimulus.speaker, self.models[''], *given)  # what arms learn leaves what it is fitted by
    return SystemInput(
      self.models[way.weights], self.library, Line(stimulus.text), voice, self._clip(stimulus), seed, label
    )

  @functools.lru_cache(maxsize=1)  # noqa: B019  a bench lives as long as its process
  def _clip(self, stimulus):
    clip = stimulus.clip(self.root / 'films')
    if clip is not None:  # what is seen is kept from here on, so that it costs no way any time
      from dubber_jax.perception.analyze import read_clip

      read_clip(clip, Line(stimulus.text))
    return clip

  def _origin(self) -> str:
    """A name of what made a take: code, machine and packages."""
    facts = origin()
    name = sha256_json(facts)[:8]
    if not self.performed.has('origin', name):
      self.performed.add('origin', name, facts)
    return name

  def _judge(self, judge, share):
    takes = [t for t in self.takes(share) if self.is_judged(judge, *t[1:])]
    keys = {self._judged_by(judge, *t): t for t in takes}
    missing = {key: t for key, t in keys.items() if not self.kept[False].has(judge, key)}
    for key, take in tqdm(missing.items(), desc=f'judged: {judge}', unit='take') if missing else ():
      wave = read_sound(self.sound(self.key(*take)), SAMPLE_RATE)
      film = (take[1].film,) if judge in FILMED else ()
      self.kept[False].add(judge, key, self.open(judge)(wave, SAMPLE_RATE, *film))

  def is_judged(self, judge: str, stimulus: Stimulus, seed: int) -> bool:
    return (judge not in SPARED or seed == 0) and (judge not in FILMED or stimulus.film is not None)

  def _judged_by(self, judge, way, stimulus, seed) -> str:
    sound = self.performed.value('take', self.key(way, stimulus, seed))['sound']
    return f'{sound}/{stimulus.film.name}' if judge in FILMED else sound

  def judgement(self, judge: str, way: str, stimulus: Stimulus, seed: int):
    """What a judge says of a take."""
    return self.kept[False].value(judge, self._judged_by(judge, way, stimulus, seed))

  def filmed(self, stimulus: Stimulus):
    """The recording of a real film's own sound."""
    return next(r for r in self.cast.recordings(stimulus.person) if r.path == stimulus.film)

  def recorded(self, judge: str, recording):
    """What a judge says of a recording as it is, but as loud as takes are."""
    return self._of(True, judge, recording, recording.key, lambda: anchor(self.cast.sound_of(recording), SAMPLE_RATE))

  def vocoded(self, judge: str, recording):
    """The same of a recording's mel through the base's vocoder."""
    base = self.models['']

    def wave():
      mel = mel_numpy(anchor(self.cast.sound_of(recording), SAMPLE_RATE))
      return anchor(np.asarray(base.vocoder.vocode(mel, 0), np.float32), SAMPLE_RATE)

    return self._of(False, judge, recording, f'vocoded/{recording.key}', wave)

  def _of(self, real, judge, recording, key, wave):
    if not self.kept[real].has(judge, key):
      film = (recording.path,) if judge in FILMED else ()
      self.kept[real].add(judge, key, self.open(judge)(wave(), SAMPLE_RATE, *film))
    return self.kept[real].value(judge, key)

  def probabilities(self, heard, speaker: str, real: bool = False, but=None) -> np.ndarray:
    """(E,) probabilities of functionals that were heard, beside neutral recordings of the speaker: through the base's
    vocoder, or as they are. but: a recording that is left out."""
    return softmax(self._logits(heard, speaker, real, but))

  def emotion_similarity(self, heard, speaker: str, emotion: str) -> float:
    """Cosine, -1 to 1, of functionals that were heard and of the speaker's own recordings of the emotion through the
    base's vocoder, as the judge hears both. nan where there are none."""
    acted = self._acted(speaker, emotion)
    return np.nan if acted is None else float(direction(self._logits(heard, speaker)) @ acted)

  @functools.cache  # noqa: B019
  def _acted(self, speaker, emotion):
    own = self.cast.acted(speaker, emotion)
    heard = [direction(self._logits(self.vocoded('functionals', r), speaker, but=r)) for r in own]
    return direction(np.mean(heard, axis=0)) if own else None

  def _logits(self, heard, speaker, real=False, but=None):
    hear = self.recorded if real else self.vocoded
    others = np.mean([hear('functionals', r) for r in self.cast.neutral(speaker) if r != but], axis=0)
    return self.emotion_classifier.with_neutral.logits(beside(np.array(heard), others))


@dataclass(frozen=True)
class Results:
  """What the judges said. Tables are (clips, seeds), nan where a way was not performed."""

  bench: Benchmark

  def table(self, way: str, figure: str) -> np.ndarray:
    b = self.bench
    seeds = min(b.seeds, b.systems[way].seeds or b.seeds)
    rows = [[self._figures(way, i, seed).get(figure, np.nan) for seed in range(seeds)] for i in range(len(b.stimuli))]
    return np.pad(np.array(rows, float), ((0, 0), (0, b.seeds - seeds)), constant_values=np.nan)

  def summary(self, way: str, figure: str, clips=slice(None), seeds: int | None = None) -> Interval:
    """Mean and interval of a figure (of RATIOS: all errors over all words), of some clips, of the first seeds."""
    groups = np.array(self.groups)[clips]
    if figure in RATIOS:
      parts, wholes = (self.table(way, name)[clips, :seeds] for name in RATIOS[figure])
      return crossed(parts, wholes, groups)
    found = crossed(self.table(way, figure)[clips, :seeds], groups=groups)
    if figure in SHARES:
      low, high = np.clip([found.low, found.high], 0.0, 1.0)
      return dataclasses.replace(found, low=float(low), high=float(high))
    return found

  def gain(self, of: str, over: str, figure: str, relative: bool = True, clips=slice(None)) -> Gain:
    """Of one way over another on the same clips and seeds. Relative to nothing, it is the plain difference."""
    groups = np.array(self.groups)[clips]
    if figure in RATIOS:
      (a, wholes), (b, _) = ([self.table(way, name)[clips] for name in RATIOS[figure]] for way in (over, of))
      return paired(a, b, wholes, relative=False, groups=groups)
    a, b = self.table(over, figure)[clips], self.table(of, figure)[clips]
    return paired(a, b, relative=relative and bool(np.nansum(a) > 0), groups=groups)

  def heard(self, way: str) -> list[tuple[str, str]]:
    """(label, what is heard) of each take of the way's first seed."""
    names = self.bench.emotion_classifier.emotions
    return [
      (s.emotion, names[int(np.argmax(self._probabilities(way, i, 0)))]) for i, s in enumerate(self.bench.stimuli)
    ]

  @property
  def groups(self) -> list[str]:
    """Clips of one sentence are no independent ones."""
    return [s.text for s in self.bench.stimuli]

  def take(self, way: str, clip: int, seed: int) -> dict:
    return self.bench.performed.value('take', self.bench.key(way, self.bench.stimuli[clip], seed))

  def wave(self, way: str, clip: int, seed: int = 0) -> np.ndarray:
    return read_sound(self.bench.sound(self.bench.key(way, self.bench.stimuli[clip], seed)), SAMPLE_RATE)

  def origins(self) -> list[dict]:
    names = dict.fromkeys(self.bench.performed.value('take', self.bench.key(*t))['origin'] for t in self.bench.takes())
    return [self.bench.performed.value('origin', name) for name in names]

  @functools.cache  # noqa: B019
  def _figures(self, way, clip, seed) -> dict[str, float]:
    b, stimulus, take = self.bench, self.bench.stimuli[clip], self.take(way, clip, seed)
    judgement = {
      judge: b.judgement(judge, way, stimulus, seed) for judge in b.judges if b.is_judged(judge, stimulus, seed)
    }
    found = {'seconds': take['seconds'], 'lasts': take['lasts'], **take['facts']}
    found |= _of_director(take['facts'], stimulus.emotion)
    found['slot_error'] = np.nan if take['slot_error'] is None else 1000 * take['slot_error']
    if 'functionals' in judgement:
      probabilities = self._probabilities(way, clip, seed)
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
      found['errors'], found['words'] = errors(stimulus.text, judgement['words'])
      found['character_errors'], found['characters'] = errors(stimulus.text, judgement['words'], of=tuple)
    if 'lips' in judgement:
      found |= lip_sync_figures(judgement['lips'])
    found |= judgement.get('recording', {})
    if 'voice' in judgement:
      other = b.recorded('voice', b.cast.another(stimulus.speaker))
      found['likeness'] = speaker_similarity(np.array(judgement['voice']), np.array(other))
    return found

  def _probabilities(self, way, clip, seed):
    heard = self.bench.kept[False].value('functionals', self.take(way, clip, seed)['sound'])
    return self.bench.probabilities(heard, self.bench.stimuli[clip].speaker)


def lip_sync_figures(judgement) -> dict[str, float]:
  """Of what the judge of lip sync says: how sure it is of the timing, and by how many ms it would move the sound."""
  return {'lip_sync': judgement['agreement'], 'lip_offset': abs(judgement['late'])}


def _of_director(facts, emotion) -> dict[str, float]:
  """Was the emotion meant that the label names, and do the recalled clips play it."""
  found = {}
  if 'intended' in facts:
    found['intended'] = float(EMOTIONS[int(facts['intended'])] == emotion)
  recalled = [float(EMOTIONS[int(v)] == emotion) for name, v in facts.items() if name.startswith('recalled_')]
  return found | ({'recalled': float(np.mean(recalled))} if recalled else {})


def without_director(model: Model) -> Model:
  """The same weights, one-way."""
  director = dataclasses.replace(model.config.task.director, enabled=False)
  return dataclasses.replace(model, config=model.config.with_task(director=director))


def weights_hash(model: Model) -> str:
  """Twelve hex digits of what a model computes: of its directory where it is one, else of its weights."""
  if (model.path / 'MANIFEST.json').exists():
    return model_hash(model.path)
  from dubber_jax.storage.weights import flatten

  parts = (
    name.encode() + np.ascontiguousarray(value).tobytes() for name, value in sorted(flatten(model.params).items())
  )
  return sha256_bytes(model.config.hash().encode(), *parts)[:12]


def model_hash(folder: Path) -> str:
  """Twelve hex digits of what a model directory computes: of its manifest without the card."""
  files = json.loads((folder / 'MANIFEST.json').read_text())
  files.pop('CARD.md', None)
  return sha256_json(files)[:12]


def origin() -> dict[str, str]:
  """Commit, machine and packages of this process."""
  return {'commit': commit(), 'machine': machine(), 'versions': versions()}


def commit() -> str:
  """Of the code that runs, by git; the package's version where it is installed without."""
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
