"""Accelerator specifications for roofline estimates: peak FLOPs (dense bfloat16), memory, bandwidths, as published by
their makers."""

from dataclasses import dataclass

from dubber_jax.errors import BadInput


@dataclass(frozen=True)
class Accelerator:
  """Specification of a chip. `tile` is the side of its matrix unit, to which the sides of a product are padded."""

  name: str
  kind: str  # prefix of JAX's `device_kind`
  flops: float  # per second, bfloat16
  memory: float  # bytes
  bandwidth: float  # bytes per second, of its memory
  link: float  # bytes per second, between neighboring chips
  tile: int
  source: str

  @property
  def platform(self) -> str:
    """JAX's name of its platform."""
    return 'tpu' if self.kind.startswith('TPU') else 'gpu'


ACCELERATORS = {
  chip.name: chip
  for chip in (
    Accelerator('v5e', 'TPU v5 lite', 197e12, 16e9, 819e9, 200e9, 128, 'https://cloud.google.com/tpu/docs/v5e'),
    Accelerator('v5p', 'TPU v5', 459e12, 95e9, 2765e9, 600e9, 128, 'https://cloud.google.com/tpu/docs/v5p'),
    Accelerator('v6e', 'TPU v6 lite', 918e12, 32e9, 1600e9, 400e9, 256, 'https://cloud.google.com/tpu/docs/v6e'),
    Accelerator(
      'h200', 'NVIDIA H200', 989e12, 141e9, 4800e9, 450e9, 64, 'https://www.nvidia.com/en-us/data-center/h200/'
    ),
  )
}


def find_accelerator(name: str) -> Accelerator:
  """Accelerator by name. Raises BadInput for an unknown one."""
  if name not in ACCELERATORS:
    raise BadInput(f'no chip {name!r}: use one of {", ".join(ACCELERATORS)}')
  return ACCELERATORS[name]


def accelerator_of(device_kind: str) -> Accelerator | None:
  """Accelerator of a JAX `device_kind`; None where it is unknown, as for a CPU."""
  fitting = [chip for chip in ACCELERATORS.values() if device_kind.startswith(chip.kind)]
  return max(fitting, key=lambda chip: len(chip.kind), default=None)
