"""Numbers of bytes as people read them."""


def format_bytes(count: float) -> str:
  """Bytes with four digits and a unit, as '1.234 GB'."""
  for unit in ('B', 'kB', 'MB'):
    if count < 1000:
      return f'{count:.4g} {unit}'
    count /= 1000
  return f'{count:.4g} GB'
