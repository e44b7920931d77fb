"""Commands in processes that a test kills, with light stand-ins for what takes long in them."""

import contextlib
import dataclasses
import functools
import io
import json
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np

TINY = Path(__file__).parents[1] / 'experiments' / 'recipes' / 'tiny.py'
_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(
  [
    'dubber_jax.cli.main',
    'dubber_jax.dubbing.redo',
    'dubber_jax.export.write',
    'dubber_jax.inference.model_directory',
    'dubber_jax.training.loop',
    'dubber_jax.convert.kinds',
    'tensorflow_datasets',
    'stand_ins',
    'tensorboardX',
    'grain',
  ]
)


class Run:
  """A command in a process of its own, whose stderr is kept."""

  def __init__(self, arguments, errors: Path):
    self.errors = errors
    self.process = _context.Process(target=_run, args=([*map(str, arguments)], errors))
    self.process.start()

  def wait(self, seconds: float | None = None) -> int | None:
    """Its exit code; None where it still runs after so many seconds."""
    self.process.join(seconds)
    return self.process.exitcode

  def kill(self) -> None:
    self.process.kill()
    self.process.join()


def _run(arguments, errors):
  os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
  _stand_in()
  from dubber_jax.cli.main import main

  with contextlib.redirect_stdout(io.StringIO()):
    code = main(arguments)
  sys.stderr.flush()
  os._exit(code)  # the rest is Python's own end


def _stand_in():
  """Lines are hummed, clips and recordings have made-up features, and a run of few steps trains on one length."""
  from stand_ins import hum_line
  from synthetic import made_up_features

  import data_pipelines.builders as builders
  import dubber_jax.dubbing.line as line
  import dubber_jax.dubbing.speak as speak
  from data_pipelines.extract import ExtractionJob
  from dubber_jax.inference.stored_model import StoredModel
  from dubber_jax.retrieval import build
  from dubber_jax.training import experiment

  line.dub_line = speak.dub_line = hum_line
  StoredModel.opened = property(lambda self: self)
  build.FootageReader, build.SAVE_CLIPS = _Reader, 3
  builders.ExtractionJob = lambda folder, films, features=made_up_features: ExtractionJob(folder, films, features)
  read = experiment.read_experiment

  def read_tiny(path):
    found = read(path)
    config = found.arms['tiny']
    config = config.replace(train=dataclasses.replace(config.train, steps=30, save_every=5, log_every=5))
    return dataclasses.replace(found, arms={'tiny': config}, batches=functools.partial(found.batches, lengths=(8,)))

  experiment.read_experiment = read_tiny


class _Reader:
  """Features of a clip by its name alone."""

  @property
  def extractors(self):
    from dubber_jax.retrieval.library import EMBEDDINGS

    return {m: {'name': 'length', 'version': '1', 'width': 64} for m in EMBEDDINGS}

  def __call__(self, footage):
    from dubber_jax.retrieval.build import Entry
    from dubber_jax.retrieval.library import LibraryClip

    vector = np.random.default_rng(len(footage.key)).normal(size=64).astype(np.float32)
    clip = LibraryClip(footage.key, footage.speaker, footage.text, media=footage.media, present=('scene', 'sound'))
    return Entry(clip, {'scene': vector, 'sound': vector}, {'pace': 10.0})


# ---- whether what a command wrote is whole


def whole_dub(folder: Path) -> None:
  from dubber_jax.media.video import probe

  info = probe(folder / 'dubbed.mp4')
  assert info.has_video and info.has_sound
  assert (folder / 'dubbed.dialogue.wav').stat().st_size > 44
  result = json.loads((folder / 'result.json').read_text())
  assert len(result['lines']) == 3
  whole_project(folder)


def whole_project(folder: Path) -> None:
  from dubber_jax.dubbing.project import open_project

  with open_project(folder / 'project') as project:
    for number in (1, 2, 3):
      take, _ = project.chosen(number) or (0, 0)
      project.load(number, take)
    assert project.state.exported == tuple((project.chosen(number) or (0,))[0] for number in (1, 2, 3))


def whole_speech(folder: Path) -> None:
  from dubber_jax.media.sound import read_sound

  assert all(len(read_sound(folder / 'out' / f'{number:03d}.wav')) for number in (1, 2, 3))
  assert len(json.loads((folder / 'result.json').read_text())['lines']) == 3


def whole_library(folder: Path) -> None:
  from dubber_jax.retrieval.library import Library

  assert len(Library.open(folder / 'out')) == 12 and not (folder / '.out.index').exists()


def whole_set(folder: Path) -> None:
  from dubber_jax.data.records import RecordSet

  assert len(RecordSet(folder / 'out' / 'ravdess' / '1.0.0')) == 6


def whole_model(folder: Path) -> None:
  from dubber_jax.inference.model_directory import load

  load(folder / 'out')


def whole_artifact(folder: Path) -> None:
  from dubber_jax.storage.checked_folder import check_files

  assert 'programs.json' in check_files(folder / 'out')


def whole_vocoder(folder: Path) -> None:
  from dubber_jax.vocoder.neural import read_vocoder

  read_vocoder(folder / 'out')


def whole_run(folder: Path) -> None:
  from dubber_jax.training.checkpoints import last_whole_step, load_weights

  assert last_whole_step(folder / 'out') == 30 == load_weights(folder / 'out')[0]


MODEL = '--fit-steps 0 --model {0}/model --library {0}/library'
COMMANDS = {
  'dub': (
    'dub {0}/film.mp4 --script {0}/film.srt --voice ada --project {0}/project -o {0}/dubbed.mp4 --json {0}/result.json '
    f'--background none --no-report {MODEL}',
    whole_dub,
  ),
  'redo': ('redo {0}/project --line 2 --note softer', whole_project),
  'speak': (f'speak --lines {{0}}/lines.txt --voice ada -o {{0}}/out --json {{0}}/result.json {MODEL}', whole_speech),
  'index': ('index {0}/footage -o {0}/out', whole_library),
  'prepare': ('prepare {0}/RAVDESS --set ravdess --workers 1 -o {0}/out', whole_set),
  'release': ('release {0}/run -o {0}/out --overwrite', whole_model),
  'export': ('export {0}/model -o {0}/out --platforms cpu --buckets 32 --overwrite', whole_artifact),
  'convert': ('convert {0}/model.safetensors -o {0}/out', whole_vocoder),
  'train': (f'train {TINY} --workdir {{0}}/out', whole_run),
}
