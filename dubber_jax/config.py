"""The config of a whole run, JSON in and out, its hash, and how two differ.

Each part lies beside what it sets (actor/config.py and so on). `Config.task` is one of several dataclasses, so that a
run carries only what it uses. An experiment is a Python file whose `arms() -> dict[str, Config]` gives its configs by
name; every field can be set on the command line (cli/overrides.py).
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from dubber_jax.actor.config import ActorConfig, AdversarialConfig, GuidanceConfig
from dubber_jax.authentic_dubber.config import PublishedConfig, PublishedLossConfig, TreeConfig
from dubber_jax.critic.config import CriticConfig
from dubber_jax.data.config import DataConfig, SourceConfig
from dubber_jax.director.config import DirectorConfig
from dubber_jax.errors import BadInput
from dubber_jax.perception.config import FeatureConfig
from dubber_jax.separation.config import SeparatorConfig
from dubber_jax.storage.json_files import checked_value
from dubber_jax.training.config import MeshConfig, TrainConfig
from dubber_jax.types import MEL_BANDS
from dubber_jax.vocoder.config import VocoderConfig


class TaskPart:
  """Base of the tasks. To the type checker a part that another task has is Any, since a function that takes a Config is
  called with the task that its module is for."""

  if TYPE_CHECKING:

    def __getattr__(self, name: str) -> Any: ...


@dataclass(frozen=True)
class ActorTask(TaskPart):
  """Director and actor (training/tasks/actor.py): what a model directory holds."""

  kind: ClassVar[str] = 'actor'

  features: FeatureConfig = field(default_factory=FeatureConfig)
  director: DirectorConfig = field(default_factory=DirectorConfig)
  actor: ActorConfig = field(default_factory=ActorConfig)
  data: DataConfig = field(default_factory=DataConfig)
  adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
  guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
  mel_bands: int = MEL_BANDS  # of the mel


@dataclass(frozen=True)
class AdaptationTask(ActorTask):
  """An actor that goes on, on recordings of one speaker (experiments/recipes/adapt_voice.py)."""

  kind: ClassVar[str] = 'adaptation'

  recordings: str = field(default='', metadata={'run_only': True})  # folder of the speaker's recordings


@dataclass(frozen=True)
class VocoderTask(TaskPart):
  """Vocoder with its discriminators (training/tasks/vocoder.py)."""

  kind: ClassVar[str] = 'vocoder'

  vocoder: VocoderConfig = field(default_factory=VocoderConfig)
  data: SourceConfig = field(default_factory=SourceConfig)
  mel_bands: int = MEL_BANDS  # of the mel


@dataclass(frozen=True)
class CriticTask(TaskPart):
  """Critic (training/tasks/critic.py)."""

  kind: ClassVar[str] = 'critic'

  critic: CriticConfig = field(default_factory=CriticConfig)
  data: SourceConfig = field(default_factory=SourceConfig)


@dataclass(frozen=True)
class SeparatorTask(TaskPart):
  """Dialogue separator (training/tasks/separator.py)."""

  kind: ClassVar[str] = 'separator'

  separator: SeparatorConfig = field(default_factory=SeparatorConfig)


@dataclass(frozen=True)
class PublishedTask(TaskPart):
  """The published system (authentic_dubber/losses.py)."""

  kind: ClassVar[str] = 'published'

  published: PublishedConfig = field(default_factory=PublishedConfig)
  loss: PublishedLossConfig = field(default_factory=PublishedLossConfig)
  tree: TreeConfig = field(default_factory=TreeConfig)


@dataclass(frozen=True)
class ExperimentTask(TaskPart):
  """A network of the experiment file's own, with no settings here."""

  kind: ClassVar[str] = 'experiment'

  network: str  # its name


KINDS = {
  t.kind: t for t in (ActorTask, AdaptationTask, VocoderTask, CriticTask, SeparatorTask, PublishedTask, ExperimentTask)
}


@dataclass(frozen=True)
class Config:
  """One arm of an experiment."""

  name: str = 'stage'  # of the run
  task: ActorTask | AdaptationTask | VocoderTask | CriticTask | SeparatorTask | PublishedTask | ExperimentTask = field(
    default_factory=ActorTask
  )
  train: TrainConfig = field(default_factory=TrainConfig)
  mesh: MeshConfig = field(default_factory=MeshConfig)
  seed: int = 0  # of the initial parameters, the batches and the dropout

  def replace(self, **changes) -> 'Config':
    return dataclasses.replace(self, **changes)

  def with_task(self, **changes) -> 'Config':
    """The same with other parts of its task."""
    return self.replace(task=dataclasses.replace(self.task, **changes))

  def with_data(self, folder: str | None) -> 'Config':
    """The same with published features, or recordings of a speaker, in another folder, where one is given and the task
    takes either."""
    if not folder:
      return self
    if isinstance(self.task, PublishedTask):
      return self.with_task(tree=dataclasses.replace(self.task.tree, root=str(folder)))
    if isinstance(self.task, AdaptationTask):
      return self.with_task(recordings=str(folder))
    return self

  def to_json(self) -> str:
    values = dataclasses.asdict(self)
    return json.dumps(values | {'task': {'kind': self.task.kind, **values['task']}}, indent=2)

  def hash(self) -> str:
    """Twelve hex digits that name this config."""
    return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


def from_json(text: str, where: str = 'config.json') -> Config:
  """The inverse of Config.to_json. Raises BadInput naming the first setting that is not known, and for a config that
  an earlier version wrote."""
  try:
    values = json.loads(text)
  except json.JSONDecodeError as e:
    raise BadInput(f'{where}: not JSON ({e.msg} at line {e.lineno}); the file is damaged') from e
  except (ValueError, RecursionError) as e:
    raise BadInput(f'{where}: not JSON that can be read ({type(e).__name__}); the file is damaged') from e
  if isinstance(values, dict) and isinstance(values.get('task'), str):
    raise BadInput(
      f'{where}: written by an earlier version of dubber_jax; convert it: '
      f'python -m dubber_jax.convert.old_config {where.removesuffix("config.json") or "."}'
    )
  return _build(Config, values, where)


def _build(kind, values: dict, where: str):
  if not isinstance(values, dict):
    raise BadInput(f'{where}: expected an object of settings, found {type(values).__name__}')
  fields = {f.name: f for f in dataclasses.fields(kind)}
  unknown = sorted(set(values) - set(fields))
  if unknown:
    raise BadInput(f'{where}: unknown setting {unknown[0]!r}; the checkpoint is of another version of dubber_jax')
  missing = [f.name for f in fields.values() if f.name not in values and _is_required(f)]
  if missing:
    raise BadInput(f'{where}: no setting {missing[0]!r}; the file is damaged')
  built = {}
  for name, value in values.items():
    if kind is Config and name == 'task':
      built[name] = _build_task(value, f'{where}.{name}')
    elif dataclasses.is_dataclass(fields[name].type):
      built[name] = _build(fields[name].type, value, f'{where}.{name}')
    else:
      built[name] = checked_value(fields[name], value, where)
  return kind(**built)


def _is_required(f: dataclasses.Field) -> bool:
  return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _build_task(values: dict, where: str):
  kind = values.get('kind') if isinstance(values, dict) else None
  if not isinstance(kind, str) or kind not in KINDS:
    raise BadInput(f'{where}: no task {kind!r}; there are {", ".join(KINDS)}')
  return _build(KINDS[kind], {k: v for k, v in values.items() if k != 'kind'}, where)


def settings(part: Any, prefix: str = '') -> Iterator[tuple[str, Any, dataclasses.Field]]:
  """Every setting of a config, or of a part of one: its dotted name ('task.actor.width'), value and field."""
  for f in dataclasses.fields(part):
    value = getattr(part, f.name)
    if dataclasses.is_dataclass(value):
      yield from settings(value, f'{prefix}{f.name}.')
    else:
      yield prefix + f.name, value, f


def difference(a: Config, b: Config, run_only: bool = True) -> list[str]:
  """Settings in which two configs differ, as 'task.actor.width: 192 / 256'. run_only: those too that may change
  between two starts of one run. Configs of two kinds of task differ in the kind, not in each of its settings."""
  left, right = ({name: (value, f) for name, value, f in settings(c)} for c in (a, b))
  kinds = [f'task.kind: {a.task.kind} / {b.task.kind}'] if a.task.kind != b.task.kind else []
  shared = [name for name in left if name in right and not (kinds and name.startswith('task.'))]
  return kinds + [
    f'{name}: {left[name][0]} / {right[name][0]}'
    for name in shared
    if left[name][0] != right[name][0] and (run_only or not left[name][1].metadata.get('run_only'))
  ]
