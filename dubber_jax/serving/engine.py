"""The speech engine of a server: it loads a model once and speaks the lines of many requests, in batches.

A line passes three threads: one directs it (text, G2P, retrieval, note), one synthesizes, in batches, what has been
directed, and one brings it to its loudness. Work on films and takes of the desk runs beside them (`run`).
"""

import asyncio
import contextlib
import functools
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.inference.stored_model import StoredModel
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.priority import yield_to_others
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.storage.checked_folder import MANIFEST
from dubber_jax.storage.hashing import sha256_file
from dubber_jax.types import HOP, SAMPLE_RATE, Direction, Line, Voice

if TYPE_CHECKING:
  from dubber_jax.inference.model import Model
  from dubber_jax.retrieval.library import Library
  from dubber_jax.serving.directed_lines import DirectedLine, SpeechLine
  from dubber_jax.serving.metrics import Metrics
  from dubber_jax.serving.shapes import UsualShapes
  from dubber_jax.types import Take

logger = logging.getLogger(__name__)

LONGEST_LINE = 20.0  # s, of a model without a limit of its own
PATIENCE = 10.0  # s
SAMPLE_LINES = ('I have waited for this all day long.', '[sadly] We will not see the sea again.')


@dataclass(frozen=True)
class SpokenLine:
  """A line that was spoken. `planned`: its direction without note and speed, for the line after it; waveform (S,)
  float32 at 22,050 Hz, at its loudness; words: (start s, end s, word); seconds: of work, by stage."""

  line: Line
  direction: Direction
  planned: Direction
  waveform: np.ndarray
  words: tuple[tuple[float, float, str], ...] = ()
  phonemes: int = 0
  warnings: tuple[str, ...] = ()
  seconds: dict[str, float] = field(default_factory=dict)


@dataclass(order=True)
class _Waiting:
  """A directed line that waits for synthesis."""

  deadline: float
  number: int
  asked: 'SpeechLine' = field(compare=False)
  directed: 'DirectedLine' = field(compare=False)
  done: 'Future[tuple[Take, dict[str, float]]]' = field(compare=False, default_factory=Future)

  @property
  def alone(self) -> bool:
    """Whether it is rehearsed, in batches of its own."""
    return self.asked.rounds > 1 or self.asked.candidates > 1


class SpeechEngine:
  """A model that speaks lines; see the module. Before `start` has come to its end, `ready` is False."""

  def __init__(self, settings: ServerSettings, metrics: 'Metrics'):
    """Raises BadInput where there is no model."""
    self.settings, self.metrics = settings, metrics
    self.phase = 'starting'
    self.failure: Exception | None = None
    self._stored, self.artifact = _find(settings.model)
    self.on_failure: Callable[[], None] = lambda: None
    self._model: Model | None = None
    self._library: Library | None = None
    self._shapes: UsualShapes | None = None
    self._ready = self._stopping = self._closed = False
    self._held, self._numbers = 0, itertools.count()
    self._waiting: list[_Waiting] = []
    self._changed = threading.Condition()
    self._directors = ThreadPoolExecutor(1, 'dubber-direct')
    self._finishers = ThreadPoolExecutor(1, 'dubber-finish')
    self._workers = ThreadPoolExecutor(1, 'dubber-work')
    self._makers = ThreadPoolExecutor(1, 'dubber-make')
    self._threads: list[threading.Thread] = []

  # What it is

  @property
  def ready(self) -> bool:
    """Whether it speaks."""
    return self._ready and not self._stopping

  @property
  def model(self) -> 'Model':
    """The opened model, or artifact. Raises ApiError 503 before it is loaded."""
    if self._model is None:
      raise _not_ready(self.phase)
    return self._model

  @property
  def stored(self) -> StoredModel:
    """The model directory. Raises ValueError for an artifact."""
    if self._stored is None:
      raise ValueError(f'{self.artifact} is no model directory')
    return self._stored

  @property
  def library(self) -> 'Library | None':
    """The footage library; None where the director reads nothing."""
    return self._library

  @property
  def name(self) -> str:
    """Of the model: that of its folder."""
    return (self.artifact or self.stored.path).absolute().name

  @functools.cached_property
  def voices(self) -> dict[str, Voice]:
    """The voices that the model ships with, before it is loaded, too."""
    from dubber_jax.inference.voice_files import read_voices

    return read_voices(self.artifact / 'voices.safetensors') if self.artifact else self.stored.voices

  @functools.cached_property
  def hash(self) -> str:
    """SHA-256 that changes with the model."""
    return sha256_file(self.artifact / MANIFEST) if self.artifact else self.stored.hash

  @property
  def longest_seconds(self) -> float:
    """Seconds of the longest line: an artifact has a limit."""
    shapes = getattr(getattr(self._model, 'programs', None), 'shapes', None)
    return shapes[-1].frames * HOP / SAMPLE_RATE if shapes else LONGEST_LINE

  def fits(self, voice: Voice) -> bool:
    """Whether a voice was adapted for this model. An artifact's parameters are not changed."""
    return self._model is not None and not self.artifact and voice.fit_of == self._norms

  @functools.cached_property
  def _norms(self) -> str:
    from dubber_jax.inference.fitted_params import norms_hash

    return norms_hash(self.model.params)

  # Start and stop

  def start(self) -> None:
    """Begins to load and to compile, in threads of its own; `ready` and `phase` tell how far it is."""
    for target in (self._open, self._speak):
      thread = threading.Thread(target=target, name=f'dubber-{target.__name__.strip("_")}', daemon=True)
      thread.start()
      self._threads.append(thread)

  def begin_stop(self) -> None:
    """From now on new requests are refused with 503; those that are held go on."""
    with self._changed:
      self._stopping = True
      self._changed.notify_all()

  @property
  def idle(self) -> bool:
    """Whether no request is held."""
    return not self._held

  def wait_idle(self, seconds: float) -> bool:
    """Waits until no request is held, at most so long -> whether none is. Blocks its thread."""
    with self._changed:
      return self._changed.wait_for(lambda: not self._held, seconds)

  def stop(self, seconds: float = 10.0) -> None:
    """Ends the thread that speaks after its batch, at most so long after that began, and the others behind it."""
    self.begin_stop()
    with self._changed:
      self._closed = True
      self._changed.notify_all()
    for pool in (self._directors, self._finishers, self._workers, self._makers):
      pool.shutdown(wait=False, cancel_futures=True)
    for thread in self._threads[1:]:  # the one that loads and compiles may be at it for long, and cannot be stopped
      thread.join(seconds)

  # Requests

  @contextlib.contextmanager
  def place(self) -> Iterator[None]:
    """Context of one request, which may have several lines. Raises ApiError 503 where it does not speak, and 429 where
    as many requests wait as may."""
    with self._changed:
      self.check_ready()
      if self._held >= self.settings.limits.queue + self.settings.limits.batch:
        self.metrics.refused.labels('queue_full').inc()
        raise ApiError(429, 'too many requests wait; ask again later', 'queue_full', retry_after=2)
      self._held += 1
      self.metrics.queue.set(self._held)
    try:
      yield
    finally:
      with self._changed:
        self._held -= 1
        self.metrics.queue.set(self._held)
        self._changed.notify_all()

  def check_ready(self) -> None:
    """Raises ApiError 503 where it does not speak, yet or any more."""
    if self._stopping:
      raise _stopping()
    if not self._ready:
      raise _not_ready(self.phase)

  async def submit(self, line: 'SpeechLine', placed: bool = False) -> SpokenLine:
    """Speaks a line. placed: the caller holds a `place` for it. Cancelling drops the line, if its batch has not begun.

    Raises BadInput for a line that cannot be spoken, else as `place`."""
    if not placed:
      with self.place():
        return await self._submit(line)
    return await self._submit(line)

  async def _submit(self, line: 'SpeechLine') -> SpokenLine:
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    directed, seconds = await loop.run_in_executor(self._directors, self._direct, line)
    waiting = _Waiting(line.deadline, next(self._numbers), line, directed)
    with self._changed:
      if self._closed:
        raise _stopping()
      heapq.heappush(self._waiting, waiting)
      self._changed.notify_all()
    take, spent = await asyncio.wrap_future(waiting.done)
    spoken = await loop.run_in_executor(self._finishers, finish, waiting.directed, take, seconds | spent)
    length = len(spoken.waveform) / SAMPLE_RATE
    for stage, value in spoken.seconds.items():
      self.metrics.stage(stage, value)
    self.metrics.stage('line', time.perf_counter() - began)
    self.metrics.speech_seconds.inc(length)
    self.metrics.real_time_factor.observe(sum(spoken.seconds.values()) / max(length, 0.1))
    return spoken

  def run(self, function: Callable[..., Any], *args: Any) -> Future:
    """Runs a blocking function in the thread of long work, after those that it has already; -> its future. Raises
    ApiError 503 where the server stops."""
    return self._run(self._workers, function, *args)

  def run_beside(self, function: Callable[..., Any], *args: Any) -> Future:
    """The same in another thread, for what takes ten seconds and more: takes of the desk do not wait for it."""
    return self._run(self._makers, function, *args)

  def _run(self, pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any) -> Future:
    if self._stopping:
      raise _stopping()
    return pool.submit(function, *args)

  # Threads

  def _direct(self, line: 'SpeechLine') -> 'tuple[DirectedLine, dict[str, float]]':
    from dubber_jax.serving.directed_lines import direct_line

    began = time.perf_counter()
    directed = direct_line(self.model, self._library, line)
    return directed, {'direction': time.perf_counter() - began}

  def _speak(self) -> None:
    while True:
      with self._changed:
        self._changed.wait_for(lambda: self._waiting or self._closed)
        if self._closed:
          left, self._waiting = self._waiting, []
          break
        lines = self._next_lines()
      if lines:
        self._synthesize(lines)
    for waiting in left:
      if waiting.done.set_running_or_notify_cancel():
        waiting.done.set_exception(_stopping())

  def _next_lines(self) -> list[_Waiting]:
    """The lines of the next batch: those with the earliest deadlines, without those that nobody waits for any more."""
    chosen: list[_Waiting] = []
    while self._waiting and len(chosen) < self.settings.limits.batch:
      if chosen and (self._waiting[0].alone or chosen[0].alone):
        break
      waiting = heapq.heappop(self._waiting)
      if waiting.done.set_running_or_notify_cancel():
        chosen.append(waiting)
    return chosen

  def _synthesize(self, lines: list[_Waiting]) -> None:
    try:
      done = self._rehearse(lines[0]) if lines[0].alone else self._synthesize_batch(lines)
    except Exception as error:
      if len(lines) == 1:
        lines[0].done.set_exception(error)
        return
      for waiting in lines:  # so that a line which cannot be spoken costs no other
        self._synthesize([waiting])
      return
    self.metrics.batch_lines.observe(len(lines))
    for waiting, result in zip(lines, done, strict=True):
      waiting.done.set_result(result)

  def _synthesize_batch(self, lines: list[_Waiting]) -> 'list[tuple[Take, dict[str, float]]]':
    from dubber_jax.inference.synthesis import synthesize_lines, vocode_lines

    began = time.perf_counter()
    choose = self._shapes.choose if self._shapes else None
    directions, seeds = [w.directed.direction for w in lines], [w.asked.seed for w in lines]
    takes = synthesize_lines(self.model, [w.directed.inputs for w in lines], directions, seeds, choose)
    decoded = time.perf_counter()
    takes = vocode_lines(self.model, takes, seeds, directions, choose)
    share = 1 / len(lines)
    spent = {'takes': share * (decoded - began), 'vocoder': share * (time.perf_counter() - decoded)}
    return [(take, spent) for take in takes]

  def _rehearse(self, waiting: _Waiting) -> 'list[tuple[Take, dict[str, float]]]':
    from dubber_jax.inference.synthesis import vocode
    from dubber_jax.rehearsal import rehearse

    began, asked, directed = time.perf_counter(), waiting.asked, waiting.directed
    best = rehearse(self.model, directed.inputs, directed.direction, asked.rounds, asked.candidates, asked.seed)
    decoded = time.perf_counter()
    take = vocode(self.model, best.take, asked.seed, directed.direction)
    return [(take, {'rehearsal': decoded - began, 'vocoder': time.perf_counter() - decoded})]

  # Loading

  def _open(self) -> None:
    began = time.monotonic()
    try:
      self._load()
      self._compile_usual()
    except Exception as error:
      self.failure, self.phase = error, f'cannot start: {" ".join(str(error).split())[:200]}'
      logger.error(self.phase)
      self.on_failure()
      return
    if self._closed:
      return
    self._ready, self.phase = True, 'ready'
    logger.info('speaks, %.1f s after its start', time.monotonic() - began)
    self._compile_rest()

  def _load(self) -> None:
    import dataclasses

    import jax

    self.phase = 'loading the model'
    if self.artifact:
      from dubber_jax.export.artifact import load

      model = load(self.artifact, features=self.settings.library is not None)
    else:
      model = self.stored.opened
    # On the device once, and not with each call.
    model = dataclasses.replace(model, params=jax.device_put(model.params))
    if self.settings.library is not None or not self.artifact:
      self.phase = 'loading the library'
      self._library = _open_library(model, self.settings.library)
    self._model = model

  def _compile_usual(self) -> None:
    from dubber_jax.serving.directed_lines import SpeechLine, direct_line
    from dubber_jax.serving.shapes import UsualShapes

    self.phase = 'compiling what a usual line needs'
    shapes = self._shapes = UsualShapes(self.model, self.settings.limits.batch)
    voice = next(iter(self.voices.values()), None)

    def read():
      if voice is not None:
        for text in SAMPLE_LINES:
          direct_line(self.model, self._library, SpeechLine(text, voice))

    with ThreadPoolExecutor(2, 'dubber-compile') as pool:  # XLA compiles one program in one thread
      done = [pool.submit(shapes.compile, kind, shape) for kind, shape in shapes.first()]
      done.append(pool.submit(read))
      for each in done:
        each.result()

  def _compile_rest(self) -> None:
    """Compiles rarer shapes, one at a time, at a low priority, each begun while no request is held, or PATIENCE s after
    the last: batches are what a busy server needs."""
    shapes = self._shapes
    yield_to_others()
    assert shapes is not None
    for kind, shape in shapes.behind():
      with self._changed:
        self._changed.wait_for(lambda: self._closed or not self._held, PATIENCE)
        if self._closed:
          return
      try:
        shapes.compile(kind, shape)
      except Exception as error:  # of a rare shape: a line that needs it is told
        logger.warning('cannot compile %s %s: %s', kind, shape, type(error).__name__)
    self.phase = 'ready, all shapes compiled'


def finish(directed: 'DirectedLine', take: 'Take', seconds: dict[str, float]) -> SpokenLine:
  """A take at its tempo and loudness: that of speech without a film, plus what its direction asks for."""
  from dubber_jax.dubbing.mix import fill
  from dubber_jax.dubbing.result import words_of
  from dubber_jax.media.loudness import TARGET_LUFS, integrated_loudness, limit_peaks
  from dubber_jax.serving.encoding import change_tempo

  began = time.perf_counter()
  assert take.waveform is not None
  wave = fill(take.waveform, len(take.waveform))
  words = words_of(take, directed.inputs.phonemes)
  if directed.tempo != 1:
    wave = change_tempo(wave, SAMPLE_RATE, directed.tempo)
    words = tuple((start / directed.tempo, end / directed.tempo, word) for start, end, word in words)
  level = integrated_loudness(wave, SAMPLE_RATE) - directed.direction.loudness
  if np.isfinite(level):
    wave = limit_peaks(wave * 10 ** ((TARGET_LUFS - level) / 20), SAMPLE_RATE)
  warnings = tuple(dict.fromkeys([*directed.warnings, *take.warnings]))
  seconds = seconds | {'loudness': time.perf_counter() - began}
  count = len(directed.inputs.phonemes.symbols)
  return SpokenLine(directed.line, directed.direction, directed.planned, wave, words, count, warnings, seconds)


def _find(path: Path | None) -> tuple[StoredModel | None, Path | None]:
  """The model directory, or the artifact, at a path. Raises BadInput where there is neither."""
  if path is not None and (path / 'programs.json').exists():
    return None, path
  return StoredModel.find(path), None


def _open_library(model: 'Model', path: Path | None) -> 'Library | None':
  if not model.config.task.director.enabled:
    return None
  try:
    from dubber_jax.dubbing.inputs import library_features
    from dubber_jax.retrieval.library import Library

    return Library.open(path, library_features())
  except ImportError as error:
    message = f'the director cannot read texts ({error.name} is not installed): install the extra features'
    raise BadInput(message) from None


def _not_ready(phase: str) -> ApiError:
  return ApiError(503, f'the server cannot speak yet ({phase}); ask again in a moment', 'not_ready', retry_after=5)


def _stopping() -> ApiError:
  return ApiError(503, 'the server is stopping; ask again when it has started', 'stopping', retry_after=30)
