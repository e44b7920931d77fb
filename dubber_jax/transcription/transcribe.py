"""From a film to its script: the lines that are spoken, by whom, and a recording of each voice.

The film's sound is heard part by part, cut where nobody speaks, so that memory does not grow with its length. What was
recognized of each part is cached: a run that failed later on, or another translation, starts from there.
"""

import glob
import logging
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.media.film import Film
from dubber_jax.media.sound import resample, write_wav
from dubber_jax.script.asr import Word
from dubber_jax.script.subtitles import Script, load_script
from dubber_jax.storage.atomic import check_outputs, complete_together
from dubber_jax.storage.cache import cached
from dubber_jax.storage.distinct import check_distinct
from dubber_jax.transcription.diarization import cluster_speakers, name_clusters
from dubber_jax.transcription.known_lines import read_track, text_tracks, with_known_lines
from dubber_jax.transcription.recognizer import RATE, Recognizer
from dubber_jax.transcription.utterances import Cue, Utterance, make_cues, split_utterances, srt_text
from dubber_jax.transcription.voice_cuts import cut_voice
from dubber_jax.types import SAMPLE_RATE

logger = logging.getLogger(__name__)

PART = 240.0  # s of the film that are heard at once
SEARCHED = 30.0  # s at a part's end in which the pause is sought at which it is cut
ENGLISH = ('en', 'eng', 'english')
NO_SUBTITLES = 'none'


@dataclass(frozen=True)
class TranscribeRequest:
  """A film whose script is asked for.

  out: the script (SubRip); cast: the cast (TOML), beside which the voices are written. speakers: how many there are; 0:
  as many as are heard. subtitles: a file, the number of a track of the film, or 'none'; None: the film's own, where it
  has any in `language` or English. language: of the film's speech; '': detected.
  """

  film: Path
  out: Path
  cast: Path
  speakers: int = 0
  subtitles: str | None = None
  language: str = ''
  audio_track: int | None = None
  overwrite: bool = False

  def __post_init__(self):
    if self.out.suffix.lower() != '.srt':
      raise BadInput(f'-o {self.out}: the script is written as SubRip: name a file that ends in .srt')
    if self.cast.suffix.lower() != '.toml':
      raise BadInput(f'--cast {self.cast}: name a file that ends in .toml')
    if not 0 <= self.speakers <= 100:
      raise BadInput(f'--speakers {self.speakers}: give how many people speak, from 1 to 100')
    inputs = {'the film': self.film, '--subtitles': self.subtitle_file}
    check_distinct(inputs, {'-o': self.out, '--cast': self.cast})
    check_outputs([self.out, self.cast], self.overwrite)
    voices = sorted(self.cast.parent.glob(f'{glob.escape(self.cast.stem)}.*.wav'))
    if voices and not self.overwrite:
      raise BadInput(f'{voices[0]}: a voice of this cast exists already; pass --overwrite or choose another name')
    if self.subtitle_file is not None and not self.subtitle_file.is_file():
      raise BadInput(f'--subtitles {self.subtitles}: no such file; give one, the number of a track, or none')

  @property
  def subtitle_file(self) -> Path | None:
    named = self.subtitles
    return None if named is None or named == NO_SUBTITLES or named.isdigit() else Path(named)


@dataclass(frozen=True)
class Transcript:
  """What was heard of a film."""

  cues: tuple[Cue, ...]
  voices: dict[str, np.ndarray]  # by speaker: (S,) float32 at SAMPLE_RATE
  language: str
  warnings: tuple[str, ...] = ()


def transcribe(request: TranscribeRequest, recognizer: Recognizer) -> Transcript:
  """The lines of a film, and a recording of each voice. Nothing is written.

  Raises BadInput for a film that cannot be read or has no sound, and where nobody speaks in it.
  """
  film = Film(request.film, request.audio_track)
  seconds = film.seconds
  script = _known_script(request)
  utterances, language = _listen(film, recognizer, request.language)
  warnings = list(script.warnings)
  late = [line for line in script.lines if (line.start or 0.0) >= seconds]
  if late:
    warnings.append(f'{len(late)} lines of the subtitles start past the end of the film, and are left out')
  utterances = with_known_lines(utterances, [line for line in script.lines if line not in late])
  if not utterances:
    raise BadInput(f'{film.path}: nobody is heard to speak in it; check --audio-track, or write its script by hand')
  utterances = _embedded(film, utterances)
  names = name_clusters(utterances, cluster_speakers(utterances, request.speakers))
  named = [replace(u, speaker=name) for u, name in zip(utterances, names, strict=True)]
  cues = make_cues(named, seconds)
  voices, lacking = {}, []
  for speaker in dict.fromkeys(cue.speaker for cue in cues):
    wave = cut_voice(film, utterances, names, speaker)
    if wave.size:
      voices[speaker] = wave
    else:
      lacking.append(speaker)
  if not voices:
    raise BadInput(f'{film.path}: no second of anybody speaking alone in it: there is no voice to be cut')
  if lacking:
    warnings.append(f'{", ".join(lacking)}: less than a second without others: the default voice speaks these lines')
  logger.info(f'{len(cues)} lines by {len(voices) + len(lacking)} speakers')
  return Transcript(tuple(cues), voices, language, tuple(warnings))


def write_transcript(transcript: Transcript, request: TranscribeRequest) -> list[Path]:
  """Writes script, cast and voices, which appear together -> their paths. Raises BadInput as `complete_together`."""
  files = voice_files(transcript.voices, request.cast)
  paths = [request.out, request.cast, *files.values()]
  check_distinct({'the film': request.film, '--subtitles': request.subtitle_file}, {'a voice': list(files.values())})
  with complete_together(paths, request.overwrite) as staged:
    staged[request.out.absolute()].write_text(srt_text(transcript.cues), encoding='utf-8')
    staged[request.cast.absolute()].write_text(cast_text(transcript, files), encoding='utf-8')
    for speaker, path in files.items():
      write_wav(staged[path.absolute()], transcript.voices[speaker], SAMPLE_RATE)
  return paths


def voice_files(voices: Sequence[str] | dict[str, np.ndarray], cast: Path) -> dict[str, Path]:
  """The file of each speaker's voice, beside the cast: "Old Man" -> cast.old-man.wav."""
  files: dict[str, Path] = {}
  for speaker in voices:
    plain = unicodedata.normalize('NFKD', speaker).encode('ascii', 'ignore').decode().lower()
    stem = re.sub(r'[^a-z0-9]+', '-', plain).strip('-')[:60] or 'voice'
    taken = {path.name for path in files.values()}
    names = (f'{cast.stem}.{stem}{f"-{n}" if n > 1 else ""}.wav' for n in range(1, len(voices) + 2))
    files[speaker] = cast.with_name(next(name for name in names if name not in taken))
  return files


def cast_text(transcript: Transcript, files: dict[str, Path]) -> str:
  """The cast as TOML; the voice with most speech is the default where a speaker has none."""
  rows = [f'{_quoted(speaker.upper())} = {_quoted(path.name)}' for speaker, path in files.items()]
  if any(cue.speaker not in files for cue in transcript.cues):
    most = max(files, key=lambda speaker: sum(c.end - c.start for c in transcript.cues if c.speaker == speaker))
    rows.append(f'default = {_quoted(files[most].name)}')
  return '[cast]\n' + '\n'.join(rows) + '\n'


def _quoted(text: str) -> str:
  """Text as a basic string of TOML."""
  return '"' + ''.join(f'\\{c}' if c in '"\\' else c if c.isprintable() else ' ' for c in text) + '"'


def _known_script(request: TranscribeRequest) -> Script:
  """The lines of the subtitles that the request names, or that the film has in a language that is spoken here."""
  if request.subtitle_file is not None:
    return load_script(request.subtitle_file, overlap=True)
  if request.subtitles == NO_SUBTITLES:
    return Script(())
  if request.subtitles is not None:
    return read_track(request.film, int(request.subtitles))
  tracks = text_tracks(request.film)
  wanted = [number for number, language in tracks if language in ('', 'und', *ENGLISH, request.language or 'en')]
  if wanted:
    logger.info(f'the texts and names of subtitle track {wanted[0]} are used; --subtitles none: they are not')
    return read_track(request.film, wanted[0])
  if tracks:
    logger.info(f'subtitles in {", ".join(language for _, language in tracks)} are not used; --subtitles 0: they are')
  return Script(())


def _listen(film: Film, recognizer: Recognizer, language: str) -> tuple[list[Utterance], str]:
  """What is said in the film, and in which language."""
  utterances: list[Utterance] = []
  began = time.perf_counter()
  for start, end, wave in film_parts(film):
    words, language = _recognize(recognizer, wave, language)
    utterances += split_utterances([(start + s, start + e, text) for s, e, text in words])
    left = (time.perf_counter() - began) / end * (film.seconds - end)
    ahead = f', {left / 60:.0f} min left' if left > 90 else f', {left:.0f} s left' if film.seconds - end > 1 else ''
    logger.info(f'heard {_clock(end)} of {_clock(film.seconds)}{ahead}')
  return utterances, language


class _RecognizedParts:
  """The recognizer's name and version, by which its results are cached."""

  name = 'transcripts'

  def __init__(self, version: str):
    self.version = version


def _recognize(recognizer: Recognizer, wave: np.ndarray, language: str) -> tuple[list[Word], str]:
  def compute() -> dict[str, object]:
    words, heard = recognizer.recognize(wave, language)
    times = np.array([word[:2] for word in words], np.float64).reshape(-1, 2)
    return {'times': times, 'texts': '\n'.join(word[2] for word in words), 'language': heard}

  found = cached(_RecognizedParts(recognizer.name), (wave, language), compute)
  texts = str(found['texts']).split('\n') if len(found['times']) else []
  words = [(float(s), float(e), text) for (s, e), text in zip(found['times'], texts, strict=True)]
  return words, str(found['language'])


def film_parts(film: Film) -> Iterator[tuple[float, float, np.ndarray]]:
  """(start s, end s, (S,) at 16 kHz) of parts of at most PART s, cut where it is quietest near their ends."""
  start = 0.0
  while start < film.seconds - 0.05:
    end = min(start + PART, film.seconds)
    wave = resample(film.mono_span(start, end), SAMPLE_RATE, RATE)
    if end < film.seconds:
      size = RATE // 5
      tail = wave[len(wave) - round(SEARCHED * RATE) :]
      levels = np.mean(np.square(tail[: len(tail) // size * size].reshape(-1, size)), axis=1)
      cut = len(wave) - len(tail) + int(np.argmin(levels)) * size + size // 2
      wave, end = wave[:cut], start + cut / RATE
    yield start, end, wave
    start = end


def _embedded(film: Film, utterances: Sequence[Utterance]) -> list[Utterance]:
  """Utterances with the speaker embeddings of their sound."""
  from dubber_jax.perception.speaker import SpeakerEncoder

  encoder = SpeakerEncoder()
  spans = [(u.start, min(max(u.end, u.start + 0.3), film.seconds)) for u in utterances]
  embedded = []
  for utterance, span, wave in zip(utterances, spans, film.mono_spans(spans), strict=True):
    del span
    try:
      embedded.append(replace(utterance, embedding=encoder.embed(wave, SAMPLE_RATE)))
    except BadInput as error:
      if 'needs' in str(error):  # a module that is missing
        raise
      embedded.append(utterance)  # silent, or too short
  return embedded


def _clock(seconds: float) -> str:
  return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'
