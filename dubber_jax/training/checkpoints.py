"""Orbax checkpoints of a run: state, data position and config together; resume is the default."""

import fcntl
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from dubber_jax.config import Config, difference, from_json
from dubber_jax.errors import BadInput

RUN_ONLY = ('train.', 'mesh.')  # settings that may change between two starts of one run


class Workdir:
  """A training run's folder. Held by one process at a time: a second is refused, and a killed one leaves no lock."""

  def __init__(self, path, config: Config):
    self.path = Path(path).absolute()
    self.path.mkdir(parents=True, exist_ok=True)
    self._lock = open(self.path / '.lock', 'w')  # noqa: SIM115 (held until the process ends)
    try:
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise BadInput(f'{self.path}: another training run is using this folder; give --workdir another one') from None
    stored = self.path / 'config.json'
    if stored.exists():
      other = from_json(stored.read_text(), str(stored))
      unlike = [d for d in difference(other, config) if not d.startswith(RUN_ONLY)]
      if unlike:
        raise BadInput(f'{self.path} holds a run of another config ({"; ".join(unlike)}, there / here); '
                       'give --workdir another folder')  # fmt: skip
    stored.write_text(config.to_json())
    options = ocp.CheckpointManagerOptions(max_to_keep=config.train.keep, enable_async_checkpointing=True)
    self.manager = ocp.CheckpointManager(self.path / 'checkpoints', options=options)

  def save(self, step: int, state, position: dict):
    items = ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(position))
    self.manager.save(step, args=items)

  def restore(self, like):
    """(step, state, data position) of the last finished save, or None. `like`: a state of shapes and shardings."""
    step = self.manager.latest_step()
    if step is None:
      return None
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
    items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
    found = self.manager.restore(step, args=items)
    return step, found.state, found.data

  def close(self):
    self.manager.wait_until_finished()
    self.manager.close()
    self._lock.close()


def load_weights(path, smoothed: bool = True):
  """Parameters of the last checkpoint of a workdir, the moving average by default, as NumPy arrays."""
  folder = Path(path).absolute() / 'checkpoints'
  if not folder.is_dir():
    raise BadInput(f'{path}: no checkpoints here; give the --workdir of a training run')
  with ocp.CheckpointManager(folder) as manager:
    step = manager.latest_step()
    if step is None:
      raise BadInput(f'{path}: training has not saved anything yet')
    found = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore()))
  return step, jax.device_get(found.state['ema' if smoothed else 'params'])
