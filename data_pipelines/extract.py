"""Feature extraction from recordings: forced alignment, mel, F0, lip motion and speaker embedding.

One function call a recording, run by processes or Apache Beam. Results go into a folder, one file a recording, and are
not computed again, so that a killed run resumes. For a recording that cannot be used the folder holds the reason.
"""

import contextlib
import dataclasses
import functools
import json
import operator
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from etils import epath
from tqdm import tqdm

from data_pipelines.recordings import Recording
from dubber_jax.data.packed import quantize, quantize_wave
from dubber_jax.errors import BadInput
from dubber_jax.perception.config import FeatureConfig
from dubber_jax.storage.atomic import atomic_file, remove_partials
from dubber_jax.storage.hashing import sha256_text
from dubber_jax.storage.locks import locked
from dubber_jax.types import LIP_RATE, SAMPLE_RATE

VERSION = 2  # increased when the extracted features change
TARGET_LUFS = -23.0  # LUFS: of a speaker's recordings, by their median
LEAD, TAIL = 0.2, 0.3  # s of silence kept before and after speech without video
LOUDNESS_RECORDINGS = 40  # recordings of a speaker whose loudness is measured, about


def extract(recording: Recording, gain: float, films: bool) -> dict[str, np.ndarray]:
  """Features of one recording at a linear `gain`, by the names of dubber_jax.data.packed.

  Audio without video is trimmed to its speech; with video it keeps the video's length. `films`: also compute lip
  motion. Raises BadInput where the text cannot be aligned with the sound.
  """
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import resample
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.speaker import embed_speaker
  from dubber_jax.script.alignment import align, durations_in_frames
  from dubber_jax.script.g2p import encode

  wave = _wave(recording) * gain
  alignment = align(resample(wave, SAMPLE_RATE, 16000), recording.text)
  if not recording.has_video:
    start = max(alignment.ends[0] - LEAD, 0.0)
    end = min(alignment.starts[-1] + TAIL, len(wave) / SAMPLE_RATE)
    wave = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    times = {n: np.clip(getattr(alignment, n) - start, 0, end - start) for n in ('starts', 'ends')}
    alignment = dataclasses.replace(alignment, **times)
  mel = mel_numpy(wave)
  lips, present = np.zeros((0, FeatureConfig.lip_width)), np.zeros(0, bool)
  if recording.has_video and films:
    from dubber_jax.media.video import read_frames
    from dubber_jax.perception.lips import track_mouth

    frames, _ = read_frames(recording.path, recording.start, recording.end, fps=LIP_RATE)
    track = track_mouth(frames)
    lips, present = track.lips, track.present
  return {
    'mel': quantize(mel),
    'pitch': track_pitch(wave, SAMPLE_RATE, len(mel)),
    'phonemes': encode(alignment.phonemes),
    'durations': durations_in_frames(alignment, len(mel)),
    'lips': lips,
    'lip_present': present,
    'speaker': embed_speaker(wave, SAMPLE_RATE),
    'wave': quantize_wave(wave, len(mel)),
  }


def extract_sound(recording: Recording, gain: float, films: bool = False) -> dict[str, np.ndarray]:
  """Features of one recording without its text, for a vocoder: as `extract`, without phonemes and lip motion."""
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.perception.prosody import track_pitch
  from dubber_jax.perception.speaker import embed_speaker

  wave = _wave(recording) * gain
  mel = mel_numpy(wave)
  return {
    'mel': quantize(mel),
    'pitch': track_pitch(wave, SAMPLE_RATE, len(mel)),
    'phonemes': np.zeros(0),
    'durations': np.zeros(0),
    'lips': np.zeros((0, FeatureConfig.lip_width)),
    'lip_present': np.zeros(0, bool),
    'speaker': embed_speaker(wave, SAMPLE_RATE),
    'wave': quantize_wave(wave, len(mel)),
  }


def loudness(recording: Recording) -> float:
  """Integrated loudness in LUFS (EBU R128); -inf where it cannot be measured."""
  from dubber_jax.media.loudness import integrated_loudness

  try:
    return integrated_loudness(_wave(recording), SAMPLE_RATE)
  except BadInput:
    return -np.inf


def speaker_gain(measured: Iterable[float]) -> float:
  """Linear gain that brings the median of a speaker's loudness values (LUFS) to -23 LUFS.

  One gain for all recordings of a speaker preserves their relative levels.
  """
  finite = [x for x in measured if np.isfinite(x)]
  return float(10 ** ((TARGET_LUFS - np.median(finite)) / 20)) if finite else 1.0


def loudness_sample(recordings: list[Recording]) -> list[Recording]:
  """About LOUDNESS_RECORDINGS evenly spaced recordings of each speaker."""
  by_speaker: dict[str, list[Recording]] = {}
  for r in recordings:
    by_speaker.setdefault(r.speaker, []).append(r)
  return [r for own in by_speaker.values() for r in own[:: max(1, len(own) // LOUDNESS_RECORDINGS)]]


def _wave(recording: Recording) -> np.ndarray:
  from dubber_jax.media.sound import read_sound

  return read_sound(recording.sound or recording.path, SAMPLE_RATE, recording.start, recording.end)


def content_name(r: Recording) -> str:
  """A name that changes with the recording's files and text, so that only changed recordings are extracted again."""
  stats = [(s.st_size, s.st_mtime_ns) for s in (p.stat() for p in (r.path, r.sound) if p)]
  return f'{VERSION} {r.key} {r.text} {r.start} {r.end} {stats}'


class WorkFolder:
  """Folder of finished recordings: a .npz of features each, or a .skipped.json with the reason."""

  def __init__(self, path: epath.PathLike, name: Callable[[Recording], str] | None = None):
    """name: identifies a recording, whose file is named by the hash of it; by default its key."""
    self.path, self.name = epath.Path(path), name or operator.attrgetter('key')

  def file(self, recording: Recording) -> epath.Path:
    """Path of its features."""
    return self.path / f'{sha256_text(self.name(recording))[:16]}.npz'

  def reason(self, recording: Recording) -> epath.Path:
    """Path of the reason why it was skipped."""
    return self.file(recording).with_suffix('.skipped.json')

  def done(self, recording: Recording) -> bool:
    return self.file(recording).exists() or self.reason(recording).exists()

  def load(self, recording: Recording) -> dict[str, np.ndarray] | None:
    """The features of a recording, or None where it was skipped."""
    if not self.file(recording).exists():
      return None
    with self.file(recording).open('rb') as file, np.load(file) as features:
      return dict(features)

  def skipped(self, recordings: list[Recording]) -> list[dict]:
    """Rows (key, file, why) of those that were skipped."""
    return [json.loads(self.reason(r).read_text()) for r in recordings if self.reason(r).exists()]


@dataclasses.dataclass(frozen=True)
class ExtractionJob:
  """The extraction of one recording into a folder; picklable, so that it runs in other processes and machines."""

  folder: WorkFolder
  films: bool = True
  features: Callable[[Recording, float, bool], dict[str, np.ndarray]] = extract

  def __call__(self, recording: Recording, gain: float):
    """Extracts one recording into the folder, or stores why it cannot be used; no-op where one of them is there."""
    if self.folder.done(recording):
      return
    try:
      features = self.features(recording, gain, self.films)
    except Exception as e:  # noqa: BLE001 (one broken file must not end the extraction)
      why = str(e) if isinstance(e, BadInput) else f'{type(e).__name__}: {e}'
      row = {'key': recording.key, 'file': str(recording.path), 'why': why}
      with atomic_file(self.folder.reason(recording)) as partial:
        partial.write_text(json.dumps(row, ensure_ascii=False))
    else:
      with atomic_file(self.folder.file(recording)) as partial, partial.open('wb') as file:
        np.savez(file, **features)


def extract_all(
  recordings: list[Recording], work: ExtractionJob, workers: int = 1, beam: str | None = None
) -> list[dict]:
  """Extracts recordings that are not in the folder yet; returns a row (key, file, why) for each that cannot be used.

  Runs in `workers` processes or, if `beam` is given, by Apache Beam with these options, as
  'runner=DataflowRunner,project=mine' ('': Beam's local runner). Raises BadInput where no recording can be used, and
  where another process extracts into the folder.
  """
  work.folder.path.mkdir(parents=True, exist_ok=True)
  with locked(work.folder.path, 'another process is extracting into this folder; wait for it'):
    remove_partials(work.folder.path)
    left = [r for r in recordings if not work.folder.done(r)]
    if left:
      _by_processes(recordings, left, work, workers) if beam is None else _by_beam(recordings, left, work, beam)
  skipped = work.folder.skipped(recordings)
  if len(skipped) == len(recordings):
    raise BadInput(f'none of {len(recordings)} recordings can be used; the first: {skipped[0]["why"]}')
  return skipped


def _by_processes(recordings, left, work, workers):
  stored = work.folder.path / 'gains.json'
  gains = json.loads(stored.read_text()) if stored.exists() else {}
  with _mapper(workers) as run:
    new = [r for r in loudness_sample(recordings) if r.speaker not in gains]
    measured: dict[str, list[float]] = {}
    for r, value in zip(new, run(loudness, new), strict=True):
      measured.setdefault(r.speaker, []).append(value)
    gains |= {speaker: speaker_gain(values) for speaker, values in measured.items()}
    with atomic_file(stored) as partial:
      partial.write_text(json.dumps(gains))
    jobs = run(work, left, [gains[r.speaker] for r in left])
    for _ in tqdm(jobs, total=len(recordings), initial=len(recordings) - len(left), desc='features', unit='clip'):
      pass


@contextlib.contextmanager
def _mapper(workers):
  """Yields `map`, or its equivalent over several processes."""
  if workers <= 1:
    yield map
    return
  with ProcessPoolExecutor(workers, get_context('spawn')) as pool:
    yield functools.partial(pool.map, chunksize=4)


def _by_beam(recordings, left, work, options):
  try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
  except ImportError:
    raise BadInput("Apache Beam is not installed: pip install 'dubber_jax[beam]', or omit --beam") from None
  flags = [f'--{option.strip()}' for option in options.split(',') if option.strip()]
  with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
    gains = (
      pipeline
      | 'to measure' >> beam.Create(loudness_sample(recordings))
      | 'spread them' >> beam.Reshuffle()
      | 'loudness' >> beam.Map(lambda r: (r.speaker, loudness(r)))
      | 'by speaker' >> beam.GroupByKey()
      | 'gain' >> beam.MapTuple(lambda speaker, values: (speaker, speaker_gain(values)))
    )
    _ = (
      pipeline
      | 'left to do' >> beam.Create(left)
      | 'spread' >> beam.Reshuffle()
      | 'features' >> beam.Map(lambda r, gains: work(r, gains[r.speaker]), beam.pvalue.AsDict(gains))
    )
