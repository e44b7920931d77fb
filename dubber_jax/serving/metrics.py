"""Measurements of a server for Prometheus: requests, the queue, seconds by stage, and the real-time factor."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
LINES = (1, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
  """The measurements of one server, in a registry of their own."""

  def __init__(self):
    own = self.registry = CollectorRegistry()
    self.requests = Counter('dubber_requests_total', 'Answers, by route and status.', ('route', 'status'), registry=own)
    self.request_seconds = Histogram(
      'dubber_request_seconds', 'From a request to its last byte, s.', ('route',), buckets=SECONDS, registry=own
    )
    self.stage_seconds = Histogram(
      'dubber_stage_seconds', 'Work on one line, by stage, s.', ('stage',), buckets=SECONDS, registry=own
    )
    self.first_sound = Histogram(
      'dubber_first_sound_seconds', 'From a speech request to its first sound, s.', buckets=SECONDS, registry=own
    )
    self.real_time_factor = Histogram(
      'dubber_real_time_factor', 'Seconds of work for a second of speech.', buckets=RATIOS, registry=own
    )
    self.batch_lines = Histogram('dubber_batch_lines', 'Lines synthesized together.', buckets=LINES, registry=own)
    self.speech_seconds = Counter('dubber_speech_seconds_total', 'Speech that was made, s.', registry=own)
    self.queue = Gauge('dubber_queue', 'Speech requests that are held, waiting ones included.', registry=own)
    self.ready = Gauge('dubber_ready', 'Whether the server can speak.', registry=own)
    self.refused = Counter('dubber_refused_total', 'Requests refused, by reason.', ('reason',), registry=own)

  def request(self, route: str, status: int, seconds: float) -> None:
    """One answer. route: the path with its parameters' names."""
    self.requests.labels(route, str(status)).inc()
    self.request_seconds.labels(route).observe(seconds)

  def stage(self, name: str, seconds: float) -> None:
    """Seconds of work of one stage."""
    self.stage_seconds.labels(name).observe(seconds)

  def text(self) -> bytes:
    """All of it as Prometheus reads it."""
    return generate_latest(self.registry)
