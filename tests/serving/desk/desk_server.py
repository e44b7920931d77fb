"""A film of 14 lines with its project, an actor that takes no time, and a server of the desk, for tests of the page.

    with desk_server(folder) as desk:
      desk.url, desk.project_id, desk.project

By hand: `.venv/bin/python tests/serving/desk/desk_server.py FOLDER [PORT]`.
"""

import contextlib
import dataclasses
import functools
import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # stand_ins.py

import stand_ins

from dubber_jax.config import Config
from dubber_jax.director.source_performance import SourcePerformance
from dubber_jax.dubbing.cast import Cast
from dubber_jax.dubbing.film import dub
from dubber_jax.dubbing.line import SeenLine
from dubber_jax.dubbing.request import DubOptions, DubRequest, LineOptions
from dubber_jax.dubbing.result import DubbedLine, ReadingResult, RoundResult, TakeScores
from dubber_jax.errors import BadInput
from dubber_jax.inference.model import Model
from dubber_jax.media.background import MUTE
from dubber_jax.media.film import Film
from dubber_jax.retrieval.library import Library
from dubber_jax.retrieval.reference import exemplar_of
from dubber_jax.script.g2p import phonemize
from dubber_jax.serving.app import create_app
from dubber_jax.serving.desk.sessions import DeskSessions
from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.home import project_id
from dubber_jax.serving.jobs import Jobs
from dubber_jax.serving.metrics import Metrics
from dubber_jax.serving.settings import ServerSettings
from dubber_jax.serving.state import ServerState
from dubber_jax.serving.upload_worker import READERS
from dubber_jax.serving.uploads import UploadWorkers
from dubber_jax.serving.voices import VoiceStore
from dubber_jax.types import EMOTIONS, MODALITIES, Line, Reference, Voice

RATE, FPS, WIDTH, HEIGHT = 48_000, 12, 160, 90
SLOT, STEP = 1.6, 2.0  # s of a line, and from one to the next
SCRIPT = (
  ('ANNA', 'Where have you been all day?', 'worried'),
  ('BEN', 'At the old harbor.', ''),
  ('CLARA', 'You never told us.', ''),
  ('ANNA', 'We were so worried.', 'sadly'),
  ('BEN', 'I am very sorry.', ''),
  ('CLARA', 'That is not enough.', 'angry'),
  ('ANNA', 'What do you want?', ''),
  ('BEN', 'Only the truth.', ''),
  ('CLARA', 'The boat is gone!', ''),
  ('ANNA', 'You sold it, Ben.', ''),
  ('BEN', 'I had no choice.', 'whispering'),
  ('CLARA', 'There is always one.', ''),
  ('ANNA', 'Let us go home.', ''),
  ('BEN', 'Yes, let us go.', ''),
)
LINES = tuple(
  Line(text, 0.5 + STEP * i, 0.5 + STEP * i + SLOT, who, note) for i, (who, text, note) in enumerate(SCRIPT)
)
SECONDS = 0.5 + STEP * len(SCRIPT)
CAST = {'ANNA': 'ada', 'BEN': 'bob', 'CLARA': 'cleo'}
VOICES = ('ada', 'bob', 'cleo', 'dora')


def make_film(path: Path, seconds: float = SECONDS) -> Path:
  """Writes a film of colors that change from line to line, with a hum: H.264 and AAC in MP4, or by the suffix."""
  with av.open(str(path), 'w') as film:
    pictures = film.add_stream('libx264', rate=FPS, options={'preset': 'ultrafast'})
    pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
    sound = film.add_stream('aac' if path.suffix == '.mp4' else 'flac', rate=RATE, layout='mono')
    for i in range(round(seconds * FPS)):
      shade = 40 + 30 * (int(i / FPS / STEP) % 6)
      picture = np.full((HEIGHT, WIDTH, 3), (shade, 255 - shade, 120), np.uint8)
      picture[20:70, 10 + i % 100 : 40 + i % 100] = 230
      film.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
    time = np.arange(round(seconds * RATE)) / RATE
    wave = (0.05 * np.sin(2 * np.pi * 180 * time) * (np.sin(np.pi * time) ** 2)).astype(np.float32)
    kind, packed = ('fltp', wave) if path.suffix == '.mp4' else ('s16', np.round(wave * 32767).astype(np.int16))
    for begin in range(0, len(packed), RATE):
      frame = av.AudioFrame.from_ndarray(packed[None, begin : begin + RATE], kind, 'mono')
      frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
      film.mux(sound.encode(frame))
    for stream in (pictures, sound):
      film.mux(stream.encode(None))
  return path


def act_line(model, library, task, options, planner) -> DubbedLine:
  """In place of `dub_line`: the line hummed, with a reading, exemplars and rounds as the desk shows them."""
  dubbed = stand_ins.hum_line(model, library, task, options, planner)
  direction = dubbed.result.direction
  number = sum(map(ord, task.line.text))
  emotions = {m: list(np.roll(np.linspace(0.5, 0.02, 8) / 2.08, number + i)) for i, m in enumerate(MODALITIES)}
  captions = {'scene': 'A room in blue light.', 'face': 'Someone looks on.', 'text': 'One would feel for them.'}
  found = {}
  for i, m in enumerate(MODALITIES):
    clips = [library.exemplar((number + i + k) % len(library), 0.9 - 0.1 * k) for k in range(3)] if library else []
    found[m] = (*([exemplar_of(task.reference)] if task.reference else []), *clips)[:3]
  scores = {'emotion': 0.7, 'naturalness': 0.8, 'intelligibility': 0.9, 'overall': 0.8}
  takes = tuple(TakeScores(scores, k == 1, direction.intensity, 0.0, 1.0, 1.0) for k in range(2))
  rounds = (RoundResult(direction, takes, 1, 0.8, True, 'accepted', '通过', 0.1),)
  reading = ReadingResult(captions, emotions, 0.8)
  return dataclasses.replace(
    dubbed, result=dataclasses.replace(dubbed.result, reading=reading, exemplars=found, rounds=rounds)
  )


def see_nothing(model, library, task, options, extractors=None, watch=None) -> SeenLine:
  """In place of `see_line`."""
  return SeenLine(phonemize(task.line.text, options.lexicon), task.slot_seconds)


def hear_reference(wave, sample_rate, frames=None, name='', key='') -> Reference:
  """In place of `read_reference`: of the emotion that the file's name says, else happy."""
  if not (wave is not None and np.any(wave)) and frames is None:
    raise BadInput(f'{name}: nothing is heard in it and no face is seen: give a recording of speech')
  emotion = next((e for e in EMOTIONS if e in name), 'happy')
  shares = tuple(0.9 if e == emotion else 0.1 / 7 for e in EMOTIONS)
  embeddings = {m: np.ones(384, np.float32) for m in MODALITIES}
  return Reference(key, name, 1.0, shares, np.ones(128, np.float32), {'range_ratio': 1.3}, embeddings)


def hear_performance(wave, sample_rate) -> SourcePerformance | None:
  """In place of `read_performance`: of any sound, a happy one with a pause in its middle."""
  if not np.any(wave):
    return None
  shares = tuple(0.9 if e == 'happy' else 0.1 / 7 for e in EMOTIONS)
  return SourcePerformance(shares, 1.0, 5.0, 200.0, 9.0, (0.0,) * 16, ((0.5, 0.4),))


def a_voice(name: str) -> Voice:
  rng = np.random.default_rng(list(name.encode()))
  return Voice(rng.normal(size=256).astype(np.float32), rng.normal(size=(20, 80)).astype(np.float32), name)


@functools.cache
def open_library() -> Library:
  """The shipped library."""
  return Library.open()


def make_model(folder: Path) -> Model:
  """A model without networks, with VOICES."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'MANIFEST.json').write_text('{"model.safetensors": "1"}')
  return Model(Config(), {}, None, {name: a_voice(name) for name in VOICES}, folder)


class StandInEngine:
  """In place of the SpeechEngine: one thread for long work."""

  hash, ready, phase = 'stand-in', True, 'ready'

  def __init__(self, model: Model, library: Library | None):
    self.model, self.library = model, library
    self._pool = ThreadPoolExecutor(1)

  @property
  def voices(self):
    return self.model.voices

  def run(self, function, *arguments):
    return self._pool.submit(function, *arguments)

  run_beside = run

  def start(self):
    pass

  def stop(self, seconds=0.0):
    self._pool.shutdown(wait=False, cancel_futures=True)


class StandInUploads(UploadWorkers):
  """Reads uploads in this process."""

  async def read(self, path, kind, name='', **more):
    try:
      facts, arrays = READERS[kind]({'path': path, 'name': name, **more})
    except BadInput as error:
      raise ApiError(422, str(error), 'bad_upload') from None
    return facts | arrays

  def decode_film(self, path, name, seconds, told, audio_track=None):
    READERS['whole film']({'path': path, 'name': name, 'seconds': seconds, 'audio_track': audio_track})
    told(1.0)

  def start(self):
    pass


@dataclass
class Desk:
  """A server with a project: its url, the project's folder and id, and the parts of it."""

  folder: Path
  project: Path
  server: ServerState
  url: str = ''
  pause: threading.Event = field(default_factory=threading.Event)  # cleared: the actor waits before it plays

  @property
  def project_id(self) -> str:
    return project_id(self.project)


def acting(pause: threading.Event | None = None) -> contextlib.ExitStack:
  """The stand-in actor in place of the networks, for a block. pause: it waits for it before it plays."""

  def act(*arguments):
    if pause is not None:
      pause.wait(60)
    return act_line(*arguments)

  stack = contextlib.ExitStack()
  stack.enter_context(mock.patch('dubber_jax.dubbing.line.dub_line', act))
  stack.enter_context(mock.patch('dubber_jax.dubbing.line.see_line', see_nothing))
  stack.enter_context(mock.patch('dubber_jax.serving.desk.warm.Warmer.warm', lambda *_: None))
  for module, stand_in in (('read_reference', hear_reference), ('read_performance', hear_performance)):
    stack.enter_context(mock.patch(f'dubber_jax.serving.desk.references.{module}', stand_in))
  return stack


def make_project(folder: Path, lines=LINES, film: str = 'film.mp4') -> Path:
  """A film and its dubbed project in a folder -> the project's folder."""
  project = folder / 'film.project'
  if (project / 'project.json').exists():
    return project
  model = make_model(folder / 'model')
  path = make_film(folder / film)
  cast = Cast({who.casefold(): model.voices[CAST[who]] for who in CAST}, model.voices['dora'])
  options = DubOptions(LineOptions(), background=MUTE, report=False, subtitles=False)
  request = DubRequest.of(path, lines, cast, folder / f'dubbed{path.suffix}', options, project)
  with acting():
    dub(request, model, open_library())
  return project


def make_server(folder: Path, project: Path, **settings) -> ServerState:
  """The parts of a server, of stand-ins where they would load networks."""
  model = make_model(folder / 'model')
  stated = ServerSettings(home=folder / 'home', projects=(project,), **settings)
  voices = VoiceStore(stated.home / 'voices', lambda: model.voices)
  uploads, jobs = StandInUploads(stated.home / 'uploads', stated.limits), Jobs(stated.limits.dubs)
  server = ServerState(stated, Metrics(), StandInEngine(model, open_library()), voices, uploads, jobs)
  server.desk = DeskSessions(server)
  return server


@contextlib.contextmanager
def desk_server(folder: Path, port: int = 0, lines=LINES, film: str = 'film.mp4', **settings) -> Iterator[Desk]:
  """A running server of the desk with a project of `lines`, in a thread, on a free port."""
  import uvicorn

  folder.mkdir(parents=True, exist_ok=True)
  project = make_project(folder, lines, film)
  server = make_server(folder, project, **settings)
  desk = Desk(folder, project, server)
  desk.pause.set()
  config = uvicorn.Config(create_app(server), host='127.0.0.1', port=port, log_level='warning', lifespan='on')
  listener = socket.socket()
  listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  listener.bind(('127.0.0.1', port))
  desk.url = f'http://127.0.0.1:{listener.getsockname()[1]}'
  running = uvicorn.Server(config)
  running.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
  thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
  with acting(desk.pause):
    thread.start()
    while not running.started and thread.is_alive():
      thread.join(0.01)
    try:
      yield desk
    finally:
      server.jobs.stop(5)
      running.should_exit = True
      thread.join(10)
      server.engine.stop(1)
      listener.close()


if __name__ == '__main__':
  os.environ.setdefault('DUBBER_CACHE', '')
  with desk_server(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) as running_desk:
    print(f'{running_desk.url}/#{running_desk.project_id}', Film(running_desk.folder / 'film.mp4').seconds, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
      threading.Event().wait()
