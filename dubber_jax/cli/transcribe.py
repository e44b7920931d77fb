"""The command `transcribe`: from a film to its script and its voices."""

import argparse
from pathlib import Path

from dubber_jax.cli import AddCommand
from dubber_jax.errors import BadInput


def add_commands(command: AddCommand):
  sub = command('transcribe', run_transcribe, 'Write the script of a film, and a cast of the voices that speak in it.')
  sub.add_argument('film', help='mp4, mkv, mov, mpg, webm or flv, or a recording')
  sub.add_argument('-o', '--out', required=True, help='the script, as film.srt')
  sub.add_argument('--cast', required=True, help='the cast, as cast.toml; beside it, a recording of each voice')
  sub.add_argument('--speakers', type=int, default=0, metavar='N', help='how many people speak (default: as heard)')
  sub.add_argument(
    '--subtitles',
    metavar='FILE|N|none',
    help='subtitles whose texts and names are kept: a file, or the number of a text track of the film, from 0 '
    '(default: the first in English or in no named language)',
  )
  sub.add_argument('--language', default='', help='of the speech, as en or fr (default: detected)')
  sub.add_argument('--audio-track', type=int, help="which of the film's sounds is heard, from 0 (default: the first)")
  sub.add_argument(
    '--asr-model',
    metavar='SIZE|FOLDER',
    help='Whisper weights: a size as small, which is downloaded, or a folder (default: base, as installed)',
  )
  sub.add_argument('--translate', metavar='LANG', help='translate the lines, as en; needs --planner')
  sub.add_argument('--planner', metavar='URL', help='language model that translates, as http://localhost:8000/v1')
  sub.add_argument('--planner-model', default='', metavar='NAME', help='which model the URL is to use')
  sub.add_argument(
    '--rate', type=float, default=15.0, help='characters a second that a translated line may have (default: 15)'
  )
  sub.add_argument('--overwrite', action='store_true', help='replace what exists')


def run_transcribe(given: argparse.Namespace):
  if bool(given.translate) != bool(given.planner):
    raise BadInput('--translate LANG and --planner URL belong together: give both, or neither')
  if not 3 <= given.rate <= 40:
    raise BadInput(f'--rate {given.rate:g}: give characters a second, from 3 to 40')
  if not Path(given.film).is_file():
    raise BadInput(f'{given.film}: no such file')
  from dubber_jax.transcription.transcribe import TranscribeRequest, transcribe, write_transcript

  request = TranscribeRequest(
    Path(given.film),
    Path(given.out),
    Path(given.cast),
    given.speakers,
    given.subtitles,
    given.language,
    given.audio_track,
    given.overwrite,
  )
  model = _language_model(given) if given.translate else None
  transcript = transcribe(request, _recognizer(given.asr_model))
  warnings = list(transcript.warnings)
  if model is not None:
    import dataclasses

    from dubber_jax.transcription.translation import translate

    cues, long = translate(transcript.cues, given.translate, model, given.rate)
    transcript = dataclasses.replace(transcript, cues=tuple(cues))
    warnings += long
  elif transcript.language not in ('', 'en'):
    warnings.append(f'the film is in {transcript.language}; the voices speak English: give --translate en')
  _tell(warnings)
  for path in write_transcript(transcript, request):
    print(path)


def _recognizer(named: str | None):
  """The recognizer of --asr-model; by default Whisper base as the extra `eval` brings it, else as it is downloaded."""
  from dubber_jax.evaluation.metrics.wer import join_weights
  from dubber_jax.transcription.recognizer import FasterWhisper

  weights = named
  if named is None:
    try:
      weights = str(join_weights())
    except BadInput:
      weights = 'base'
  return FasterWhisper(weights or 'base')


def _language_model(given):
  from dubber_jax.director.llm_planner import LanguageModel
  from dubber_jax.storage.cache import cache_folder

  folder = cache_folder()
  return LanguageModel(given.planner, given.planner_model, timeout=120.0, cache=folder and folder / 'translations')


def _tell(warnings):
  import logging

  for warning in dict.fromkeys(warnings):
    logging.getLogger('dubber_jax').warning(warning)
