"""Settings of the training loop and the mesh. Those marked `run_only` say how far, how often and where a run trains,
never what is computed: they may change between two starts of one run."""

from dataclasses import dataclass, field
from typing import Literal

from dubber_jax.errors import BadInput

RUN_ONLY = {'run_only': True}
PROFILE_AFTER = 3  # steps of compilation and warm-up


@dataclass(frozen=True)
class TrainConfig:
  """Schedule, optimizer and logging of a run."""

  steps: int = field(default=6000, metadata=RUN_ONLY)  # length of the whole schedule
  stop: int = field(default=0, metadata=RUN_ONLY)  # end at this step, the schedule unchanged; 0: end at `steps`
  minutes: float = field(default=0.0, metadata=RUN_ONLY)  # stop after so long; 0: by steps alone
  learning_rate: float = 1e-3  # between warm-up and decay
  warmup_steps: int = 200  # steps of linear warm-up from zero
  decay_steps: int = 1000  # last steps, of linear decay to zero
  weight_decay: float = 0.01  # of matrices
  clip_norm: float = 1.0  # largest norm of the gradient
  ema: float = 0.998  # decay of the moving average of the weights, which is evaluated and shipped
  log_every: int = field(default=20, metadata=RUN_ONLY)  # steps between two rows of the log
  save_every: int = field(default=200, metadata=RUN_ONLY)  # steps between two checkpoints
  sample_every: int = field(default=500, metadata=RUN_ONLY)  # steps between two sets of samples
  eval_every: int = field(default=500, metadata=RUN_ONLY)  # steps between two evaluations
  keep: int = field(default=2, metadata=RUN_ONLY)  # number of checkpoints kept, the last ones
  best: str = field(default='', metadata=RUN_ONLY)  # metric of the log whose best checkpoint is kept too: eval/total
  best_mode: Literal['min', 'max'] = field(default='min', metadata=RUN_ONLY)  # which value of it is the best
  max_skips: int = field(default=20, metadata=RUN_ONLY)  # steps in a row without a finite gradient that end a run
  # steps of which a trace for XProf is written: their number, after the first three, or FIRST:LAST
  profile: int | str = field(default=0, metadata=RUN_ONLY)
  init_from: str = field(default='', metadata=RUN_ONLY)  # model directory, workdir or folder of weights to start from
  fresh: tuple[str, ...] = field(default=(), metadata=RUN_ONLY)  # beginnings of names of parameters that start anew
  accumulate: int = 1  # parts that a batch is taken in, one after the other, for one update
  # of the computation; parameters, norms, softmax and losses stay float32
  precision: Literal['float32', 'bfloat16'] = 'float32'
  remat: bool = False  # recompute the activations of a stack's layer for its gradient, to save memory
  unroll: bool = False  # write stacks out layer by layer: slower to compile, the same parameters


@dataclass(frozen=True)
class MeshConfig:
  """Devices along each axis; their product is the number of devices."""

  data: int = field(default=1, metadata=RUN_ONLY)  # data parallel
  fsdp: int = field(default=1, metadata=RUN_ONLY)  # fully sharded data parallel
  tensor: int = field(default=1, metadata=RUN_ONLY)  # tensor parallel


def profile_window(c: TrainConfig, start: int = 0) -> tuple[int, int]:
  """(first, last) step to trace, counted from 1, of a run that goes on from step `start`; last < first for none.

  Raises BadInput where `profile` is neither a number of steps nor FIRST:LAST within the run's steps.
  """
  text, end = str(c.profile), c.stop or c.steps
  numbers = text.split(':')
  if len(numbers) > 2 or not all(n.isascii() and n.isdigit() and len(n) < 16 for n in numbers):
    raise BadInput(f'--profile {text}: give a number of steps, as 5, or the first and the last step, as 10:15')
  if len(numbers) == 1:
    return start + PROFILE_AFTER + 1, start + PROFILE_AFTER + int(text)
  first, last = map(int, numbers)
  if not 1 <= first <= last:
    raise BadInput(f'--profile {text}: steps count from 1, and the last one is not before the first')
  if last > end:
    raise BadInput(f'--profile {text}: the run ends at step {end}; give a window within its steps')
  return first, last
