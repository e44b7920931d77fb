"""Orbax checkpoints of a run: train state, data position and config; a run resumes from the last whole one.

A workdir holds `config.json`, `checkpoints/STEP/` (written atomically), the log, its loss curve, `samples/` and, on a
local disk, `.lock`. It may be on gs://. `checkpoints/STEP/hashes.json` has the SHA-256 of each file of the step: a step
that is not as it was saved is moved to `damaged/`, and the one before it is taken.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as policies

from dubber_jax.config import Config, difference, from_json
from dubber_jax.errors import BadInput
from dubber_jax.storage.atomic import atomic_file, is_disk_full, is_local, remove_partials
from dubber_jax.storage.checked_folder import changed_file
from dubber_jax.storage.hashing import sha256_file, sha256_json, sha256_named_arrays
from dubber_jax.storage.locks import acquire_lock
from dubber_jax.training.distributed import wait_for_all

DISCARDED = 'discarded'
DAMAGED = 'damaged'  # folder of a workdir for steps that are not as they were saved
HASHES = 'hashes.json'  # of a step

logger = logging.getLogger(__name__)


class Workdir:
  """Folder of a training run, locked by the run; the lock of a killed run is released by the system.

  Raises BadInput for a folder in use, of another config, or that cannot be written.
  """

  def __init__(self, path, config: Config):
    self.path = workdir_path(path)
    self.config = config
    self._lock = None
    self._unhashed: set[str] = set()  # steps that are being saved
    with _all_or_none(self.path):
      if jax.process_index() == 0:
        self._claim()
    keep, name, highest = policies.LatestN(config.train.keep), config.train.best, config.train.best_mode == 'max'

    def goodness(metrics):
      value = metrics.get(name, float('nan'))
      return (value if highest else -value) if np.isfinite(value) else float('-inf')

    if name:
      best = policies.BestN(get_metric_fn=goodness, n=1, keep_checkpoints_without_metrics=False)
      keep = policies.AnyPreservationPolicy([keep, best])
    options = ocp.CheckpointManagerOptions(
      preservation_policy=keep,
      best_fn=goodness if name else None,
      cleanup_tmp_directories=True,
      # A step is renamed before it is deleted, so that a kill during deletion leaves no partial step.
      todelete_subdir=DISCARDED,
      async_options=ocp.AsyncOptions(post_finalization_callback=self._hash_saved),
    )
    self.manager = ocp.CheckpointManager(self.path / 'checkpoints', options=options)

  def _claim(self):
    self._lock = acquire_lock(self.path, 'another training run is using this folder; give --workdir another one')
    self.path.mkdir(parents=True, exist_ok=True)
    remove_partials(self.path)
    stored = self.path / 'config.json'
    if stored.exists():
      unlike = difference(read_config(self.path), self.config, run_only=False)
      if unlike:
        raise BadInput(
          f'{self.path} holds a run of another config ({"; ".join(unlike)}, there / here); '
          'give --workdir another folder'
        )
    with atomic_file(stored) as partial:
      partial.write_text(self.config.to_json())
    self._discard()

  def _discard(self):
    (self.path / 'checkpoints' / DISCARDED).rmtree(missing_ok=True)

  def check_space(self, state: Any):
    """Raises BadInput where a local disk has no space for one more checkpoint."""
    if not is_local(self.path):
      return
    needed = sum(x.nbytes for x in jax.tree.leaves(state)) // jax.process_count()
    found = os.statvfs(self.path)
    free = found.f_bavail * found.f_frsize
    if free < needed:
      raise BadInput(
        f'{self.path}: a checkpoint takes {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free; '
        'make room, or give another --workdir'
      )

  def save(self, step: int, state: Any, position: dict, metrics: dict[str, float] | None = None):
    """Starts to write a checkpoint asynchronously; arrays are copied before it returns. metrics: the last logged
    values, of which `train.best` tells the best step. Raises BadInput for a full disk, also of the save before."""
    name = self.config.train.best
    items = ocp.args.Composite(
      state=ocp.args.StandardSave(state),
      data=ocp.args.JsonSave(position),
      config=ocp.args.JsonSave(json.loads(self.config.to_json())),
      log=ocp.args.JsonSave({name: float(value) for name, value in (metrics or {}).items()}),
    )
    self._unhashed.add(str(step))
    with full_disk_as_error(self.path):
      saved = self.manager.save(step, args=items, metrics={name: metrics[name]} if name in (metrics or {}) else None)
      if saved and jax.process_index() == 0:
        self._discard()

  def restore(self, like: Any) -> Any:
    """(step, state, data position) of the last whole save, or None. `like`: a state of the shapes and shardings to
    restore to; the mesh may differ from the one that saved.

    A step whose files are not as they were saved is moved to `damaged/`, with a warning. Raises BadInput where the
    state has other arrays, and where no step is whole.
    """
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
    items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
    faults: dict[int, str] = {}
    for step in sorted(self.manager.all_steps(), reverse=True):
      fault, hashed = _told_by_first(self.path, step)
      if fault is None:
        try:
          found = self.manager.restore(step, args=items)
        except Exception as e:  # of a step without hashes Orbax raises many types
          fault = (str(e) or type(e).__name__).splitlines()[0]
          if hashed and isinstance(e, (ValueError, KeyError)):
            raise BadInput(
              f'{self.path}/checkpoints/{step} does not fit this network ({fault}); it is of another config or version '
              'of dubber_jax: give --workdir another folder'
            ) from e
          if hashed or jax.process_count() > 1:
            raise
        else:
          self._set_aside(faults, step)
          return step, found['state'], found['data']
      faults[step] = fault
    if faults:
      step, fault = next(iter(faults.items()))
      raise BadInput(
        f'{self.path}/checkpoints/{step} is damaged or does not fit this network ({fault}), and so is every other '
        'step; give --workdir another folder'
      )
    return None

  def logged(self, step: int) -> dict[str, float]:
    """Last logged values at the save of a step; {} of a step without them, as those of earlier versions are."""
    path = self.path / 'checkpoints' / str(step) / 'log' / 'metadata'
    return json.loads(path.read_text()) if path.exists() else {}

  def _set_aside(self, faults: dict[int, str], whole: int):
    """Moves damaged steps out of the way of those that will be saved, and says from which one the run goes on."""
    for step, fault in faults.items():
      logger.warning(f'{self.path}/checkpoints/{step} is damaged ({fault}): going on from step {whole}')
      if jax.process_index() == 0:
        aside = self.path / DAMAGED
        aside.mkdir(parents=True, exist_ok=True)
        names = (aside / (f'{step}_{i}' if i else f'{step}') for i in range(1000))
        (self.path / 'checkpoints' / str(step)).rename(next(name for name in names if not name.exists()))
    if faults:
      wait_for_all(f'damaged steps above {whole} set aside')
      self.manager.reload()

  def _hash_saved(self):
    """Writes the hashes of a step whose files are written, before Orbax gives it its name (its own records of the whole
    step come after that, and are not hashed)."""
    if jax.process_index() != 0:
      return
    for folder in (self.path / 'checkpoints').iterdir():
      if folder.name.partition('.')[0] in self._unhashed and not (folder / HASHES).exists():
        hashes = {
          f'{item.name}/{name}': digest
          for item in folder.iterdir()
          if item.is_dir()
          for name, digest in _hashes_of(item).items()
        }
        with atomic_file(folder / HASHES) as partial:
          partial.write_text(json.dumps(hashes, indent=1))
        self._unhashed.discard(folder.name.partition('.')[0])

  def wait(self):
    """Waits until the last save is finished."""
    with full_disk_as_error(self.path):
      self.manager.wait_until_finished()
      self.manager.check_for_errors()

  def close(self):
    try:
      self.wait()
    finally:
      with contextlib.suppress(Exception):  # what failed has been said by wait
        self.manager.close()
      if self._lock is not None:
        self._discard()
        self._lock.release()


@contextlib.contextmanager
def full_disk_as_error(path: str | os.PathLike) -> Iterator[None]:
  """Context that turns write errors of a full disk into BadInput."""
  try:
    yield
  except Exception as e:
    if is_disk_full(e):
      raise BadInput(
        f'{path}: no space left; make room and start the same command again: it goes on from step '
        f'{last_step(path) or 0}'
      ) from e
    raise


def workdir_path(path: str | os.PathLike) -> epath.Path:
  path = epath.Path(path)
  return epath.Path(os.path.abspath(path)) if is_local(path) else path


@contextlib.contextmanager
def _all_or_none(path):
  """Context in which a BadInput of the first process is raised on all, so that none waits for the others."""
  refusal = None
  try:
    yield
  except BadInput as e:
    refusal = e
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    if multihost_utils.process_allgather(np.array(refusal is not None)).any() and refusal is None:
      refusal = BadInput(f'{path}: refused by the first process; its message says why')
  if refusal is not None:
    raise refusal


def _hashes_of(folder: epath.Path) -> dict[str, str]:
  """{name in a folder: sha256} of all files in it."""
  hashes = {}
  for path in sorted(folder.iterdir()):
    if path.is_dir():
      hashes |= {f'{path.name}/{name}': digest for name, digest in _hashes_of(path).items()}
    else:
      hashes[path.name] = sha256_file(path)
  return hashes


def _fault_of(path: epath.Path, step: int) -> tuple[str | None, bool]:
  """What is wrong with a step's files, or None; and whether there are hashes to say so by."""
  folder = path / 'checkpoints' / str(step)
  if not (folder / HASHES).exists():
    return None, False
  try:
    hashes = json.loads((folder / HASHES).read_text())
    return changed_file(folder, hashes), True
  except (OSError, ValueError, TypeError, AttributeError, RecursionError) as e:
    return f'{HASHES} cannot be read ({type(e).__name__})', True


def _told_by_first(path: epath.Path, step: int) -> tuple[str | None, bool]:
  """`_fault_of` by the first process, told to all."""
  if jax.process_count() == 1:
    return _fault_of(path, step)
  from jax.experimental import multihost_utils

  fault, hashed = _fault_of(path, step) if jax.process_index() == 0 else (None, False)
  told = multihost_utils.broadcast_one_to_all(np.array([fault is not None, hashed]))
  return ((fault or 'the first process found it changed') if told[0] else None), bool(told[1])


def last_step(path: str | os.PathLike) -> int | None:
  """Last step whose save was finished; None where there is none."""
  folder = workdir_path(path) / 'checkpoints'
  return max(ocp.utils.checkpoint_steps(folder), default=None) if folder.exists() else None


def last_whole_step(path: str | os.PathLike) -> int:
  """Last step whose files are as they were saved; of later ones it is warned. Raises BadInput where there is none."""
  path, faults = workdir_path(path), {}
  for step in sorted(ocp.utils.checkpoint_steps(path / 'checkpoints'), reverse=True):
    fault = _fault_of(path, step)[0]
    if fault is None:
      for later, why in faults.items():
        logger.warning(f'{path}/checkpoints/{later} is damaged ({why}): step {step} is taken')
      return step
    faults[step] = fault
  raise BadInput(f'{path}: no step is whole ({"; ".join(f"{s}: {why}" for s, why in faults.items())})')


def read_config(path: str | os.PathLike) -> Config:
  """Config of a workdir. Raises BadInput where it has none."""
  stored = workdir_path(path) / 'config.json'
  if not stored.exists():
    raise BadInput(f'{path}: no config.json here; give the --workdir of a training run')
  try:
    text = stored.read_text()
  except (OSError, UnicodeDecodeError) as e:
    raise BadInput(f'{stored}: cannot be read ({e}); the file is damaged') from e
  return from_json(text, str(stored))


def best_step(path: str | os.PathLike) -> int:
  """Kept step with the best value of the metric `train.best`. Raises BadInput where no checkpoint has it."""
  train = read_config(path).train
  if not (workdir_path(path) / 'checkpoints').is_dir():
    raise BadInput(f'{path}: no checkpoints here; give the --workdir of a training run')
  options = ocp.CheckpointManagerOptions(read_only=True)
  with ocp.CheckpointManager(workdir_path(path) / 'checkpoints', options=options) as manager:
    measured = {s: (manager.metrics(s) or {}).get(train.best, np.nan) for s in manager.all_steps()}
  measured = {s: v for s, v in measured.items() if np.isfinite(v)}
  if not measured:
    raise BadInput(f'{path}: no checkpoint has the metric of train.best ({train.best!r}); leave out --best')
  pick = max if train.best_mode == 'max' else min
  return pick(measured, key=measured.get)


def _read(path, step: int | None, names) -> tuple[int, dict]:
  """(step, fields of a checkpoint's train state as NumPy arrays), whatever the sharding it was saved with."""
  path = workdir_path(path)
  if not (path / 'checkpoints').is_dir():
    raise BadInput(f'{path}: no checkpoints here; give the --workdir of a training run')
  if last_step(path) is None:
    raise BadInput(f'{path}: training has not saved anything yet')
  step = last_whole_step(path) if step is None else step
  folder = path / 'checkpoints' / str(step) / 'state'
  if not folder.exists():
    raise BadInput(f'{path}: step {step} is not kept; the last is {last_step(path)}')
  if fault := _fault_of(path, step)[0]:
    raise BadInput(f'{path}/checkpoints/{step} is damaged ({fault}); name another step, or copy it again')
  logging.getLogger('absl').setLevel(logging.ERROR)  # Orbax warns that a partial tree has no metadata
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
      stored = reader.metadata(folder).item_metadata.tree
      wanted = {name: stored[name] for name in names if name in stored}
      if not wanted:
        return step, {}
      as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
      args = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
      return step, reader.restore(folder, args=args)
  except Exception as e:  # of a step without hashes Orbax raises many types
    reason = (str(e) or type(e).__name__).splitlines()[0]
    raise BadInput(
      f'{path}/checkpoints/{step} cannot be read ({reason}); it is damaged, or of another version: name another '
      '--step, or copy it again'
    ) from e


def load_weights(path: str | os.PathLike, smoothed: bool = True, step: int | None = None) -> Any:
  """(step, parameters) of a workdir's last checkpoint as NumPy arrays; by default their moving average."""
  name = 'ema' if smoothed else 'params'
  step, found = _read(path, step, (name,))
  return step, found[name]


def load_collections(path: str | os.PathLike, step: int | None = None) -> Any:
  """Flax collections of a stateful network besides its parameters, as NumPy arrays; {} of a stateless one."""
  return _read(path, step, ('collections',))[1].get('collections') or {}


def digest(path: str | os.PathLike, step: int | None = None) -> dict[str, int | str]:
  """SHA-256 of the 'parameters', 'optimizer' and 'data' position of a checkpoint, with its 'step', to compare two runs
  bit for bit.

  Parameters include their moving average and the network's other collections. The mesh makes no difference.
  """
  step, state = _read(path, step, ('step', 'params', 'ema', 'collections', 'optimizer'))
  position = json.loads((workdir_path(path) / 'checkpoints' / str(step) / 'data' / 'metadata').read_text())
  weights = {name: state.get(name) for name in ('params', 'ema', 'collections')}
  return {
    'step': step,
    'parameters': _hash(weights),
    'optimizer': _hash(state['optimizer']),
    'data': sha256_json(position),
  }


def _hash(tree) -> str:
  return sha256_named_arrays({jax.tree_util.keystr(k): v for k, v in jax.tree_util.tree_leaves_with_path(tree)})


def is_workdir(path: str | os.PathLike) -> bool:
  return (workdir_path(path) / 'checkpoints').exists()
