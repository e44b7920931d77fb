"""Settings of the server: where it listens, what it loads, and the limits of a request."""

import dataclasses
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from dubber_jax.errors import BadInput

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
  """Limits of time and size of one request, each of which is answered by an error and not by a stop of the server."""

  text: int = 20_000  # characters of a text to be spoken
  json_bytes: int = 2 * MEGABYTE  # of a request's JSON
  voice_bytes: int = 50 * MEGABYTE  # of an uploaded recording
  film_bytes: int = 4_000 * MEGABYTE  # of an uploaded film
  speech_seconds: float = 120.0  # from a speech request to its first sound, and from each part to the next
  upload_seconds: float = 600.0  # from the first to the last byte of an upload
  silent_seconds: float = 20.0  # between two parts of an upload
  unread_seconds: float = 60.0  # for which a client may read nothing of its answer
  worker_seconds: float = 60.0  # of the process that reads an upload
  worker_bytes: int = 2_000 * MEGABYTE  # of memory of that process
  film_ratio: float = 5.0  # s that it has besides for each second of a film that it decodes whole
  film_still_seconds: float = 120.0  # for which it may come no further in that
  queue: int = 32  # speech requests that wait; one more is answered by 429
  dubs: int = 8  # dubs that wait
  batch: int = 8  # lines that are synthesized together


@dataclass(frozen=True)
class ServerSettings:
  """What `dubber serve` and `dubber desk` were told.

  model: a model directory or an exported artifact, None: the shipped model. home: folder of uploaded voices and dubs.
  projects: project folders that the desk opens besides those in `home`. token: what a request has to show
  (`Authorization: Bearer TOKEN`), '' where none is asked for. hosts: names under which the server may be addressed,
  besides those of the loopback interface. log_texts: whether logs hold texts. wyoming: port of the Wyoming protocol, of
  the loopback interface alone, None: it is not spoken. films: folders whose films and scripts requests may name.
  """

  host: str = '127.0.0.1'
  port: int = 8000
  model: Path | None = None
  library: Path | None = None
  home: Path = Path('dubber-server')
  projects: tuple[Path, ...] = ()
  token: str = ''
  hosts: tuple[str, ...] = ()
  log_texts: bool = False
  limits: Limits = dataclasses.field(default_factory=Limits)
  films: tuple[Path, ...] = ()
  wyoming: int | None = None

  def __post_init__(self):
    if not 0 <= self.port <= 65535:
      raise BadInput(f'--port {self.port}: give a number from 0 (any that is free) to 65535')
    if self.wyoming is not None and not 0 <= self.wyoming <= 65535:
      raise BadInput(f'--wyoming {self.wyoming}: give a port from 0 (any that is free) to 65535')
    if not is_loopback(self.host) and not self.token:
      raise BadInput(
        f'--host {self.host} is not the loopback interface, so that others could use this server: give --token too'
      )


def is_loopback(host: str) -> bool:
  """Whether a host name or address is of this machine alone."""
  if host == 'localhost':
    return True
  try:
    return ipaddress.ip_address(host.strip('[]')).is_loopback
  except ValueError:
    return False
