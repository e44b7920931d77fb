"""What a running server holds, shared by its routes: `request.app.state.server`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from dubber_jax.serving.settings import ServerSettings

if TYPE_CHECKING:
  from dubber_jax.serving.engine import SpeechEngine
  from dubber_jax.serving.jobs import Jobs
  from dubber_jax.serving.metrics import Metrics
  from dubber_jax.serving.uploads import UploadWorkers
  from dubber_jax.serving.voices import VoiceStore


@dataclass
class ServerState:
  """The parts of a server. `desk`: open projects (desk/sessions.py)."""

  settings: ServerSettings
  metrics: 'Metrics'
  engine: 'SpeechEngine'
  voices: 'VoiceStore'
  uploads: 'UploadWorkers'
  jobs: 'Jobs'
  desk: Any = field(default=None)


def server_of(request: Request) -> ServerState:
  """The state of the server that a request came to."""
  return request.app.state.server
