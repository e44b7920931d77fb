"""Voice adaptation: speaker similarity and word error before and after experiments/recipes/adapt_voice.py.

    python experiments/timing/adapt_voice.py p225 p226 p227 p228    # VCTK: 75 s each, no text
    python experiments/timing/adapt_voice.py s4 --set grid          # 24 sentences of GRID
    python experiments/timing/adapt_voice.py p225 --model DIR --out runs/adapted_DIR

Some recordings of each voice are held out (--held-back); the model is adapted to the rest by the commands of the
recipe, and speaks everyday lines that are in no corpus. Speaker similarity is the mean GE2E cosine of a line to the
held-out recordings; the row `recordings` compares the speaker's other recordings with them. Results are stored under
--out, and a stopped run resumes; use another --out for another model.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.cli.main import main as dubber
from dubber_jax.dubbing.inputs import shipped_library
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineTask
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.bootstrap import interval, share
from dubber_jax.evaluation.metrics.speaker_similarity import load_judge, speaker_similarity
from dubber_jax.evaluation.metrics.wer import Whisper, count_errors
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import SHIPPED, load
from dubber_jax.inference.voices import find_voice
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound
from dubber_jax.storage.atomic import complete_file
from dubber_jax.types import SAMPLE_RATE, Line

HERE = Path(__file__).parent


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('voices', nargs='+', help='speakers of the data')
  parser.add_argument('--set', default='vctk')
  parser.add_argument('--model', default=str(SHIPPED), help='model directory to start from')
  parser.add_argument('--packed', default='cache/packed', help='packed features, some of which are replayed')
  parser.add_argument('--steps', type=int, help="stop there (default: the recipe's)")
  parser.add_argument('--held-back', type=int, default=3, help='recordings')
  parser.add_argument('--lines', type=int, default=20)
  parser.add_argument('--out', default='runs/adapted')
  given = parser.parse_args()
  table = {}
  for voice in given.voices:
    own = [r for r in read_recordings(given.set) if r.speaker == voice]
    if len(own) <= given.held_back:
      raise SystemExit(f'{given.set} has {len(own)} recordings of {voice!r}: more than --held-back are needed')
    rest, held_back = own[: -given.held_back], own[-given.held_back :]
    table[voice] = measure(voice, rest, held_back, given)
  print('| voice | | speaker similarity | word error |\n|---|---|---|---|')
  for voice, rows in table.items():
    for name, row in rows.items():
      print(f'| {voice} | {name} | {row["speaker_similarity"]} | {row.get("word_error", "")} |')
  with complete_file(Path(given.out) / 'table.json', overwrite=True) as beside:
    beside.write_text(json.dumps(table, indent=1))


def measure(voice: str, rest: list[Recording], held_back: list[Recording], given) -> dict[str, dict[str, str]]:
  """{row: {'speaker_similarity': ..., 'word_error': ...}} before and after adaptation, and the similarity of real
  recordings, as they are and through the vocoder."""
  judge = load_judge()
  base = load(given.model)
  real, others = ([read_sound(r.path, SAMPLE_RATE) for r in part] for part in (held_back, rest))
  vocoded = [np.asarray(base.vocoder.vocode(mel_numpy(wave), 0), np.float32) for wave in others]
  real, others, vocoded = ([judge.embed(w, SAMPLE_RATE) for w in waves] for waves in (real, others, vocoded))
  before = find_voice(str(rest[0].path), {})
  rows = {'before': speak(base, before, real, Path(given.out) / f'{voice}.before.json', given.lines)}
  adapted = load(adapt(voice, rest, given))
  after = adapted.voices[voice]
  rows['after'] = speak(adapted, after, real, Path(given.out) / f'{voice}.after.json', given.lines)
  shown = {
    name: {
      'speaker_similarity': interval(np.mean, [line['speaker_similarity'] for line in lines]).show(),
      'word_error': interval(share, [line['errors'] for line in lines]).show('{:.1%}'),
    }
    for name, lines in rows.items()
  }
  for name, spoken in (('recordings, vocoded', vocoded), ('recordings', others)):
    similarities = [np.mean([speaker_similarity(a, b) for b in real]) for a in spoken]
    shown[name] = {'speaker_similarity': interval(np.mean, similarities).show()}
  return shown


def adapt(voice: str, recordings: list[Recording], given) -> Path:
  """Model directory with the adapted voice, made by the commands that a user runs."""
  out = Path(given.out)
  folder, workdir, released = out / 'recordings' / voice, out / 'runs' / voice, out / 'models' / voice
  if released.exists():
    return released
  folder.mkdir(parents=True, exist_ok=True)
  for r in recordings:
    link = folder / r.path.name
    if not link.exists():
      link.symlink_to(r.path.resolve())
      if r.text:
        link.with_suffix('.txt').write_text(r.text)
  train = [
    'train',
    str(HERE.parent / 'recipes' / 'adapt_voice.py'),
    '--data',
    str(folder),
    '--workdir',
    str(workdir),
    '--init-from',
    given.model,
    '--packed',
    given.packed,
  ]
  train += ['--steps', str(given.steps)] if given.steps else []
  released.parent.mkdir(exist_ok=True)
  release = ['release', str(workdir), '-o', str(released), '--voices', f'{voice}={recordings[0].path}']
  for command in (train, release):
    if dubber(command):
      raise SystemExit(f'dubber {command[0]} failed')
  return released


def speak(model: Model, voice, real: list[np.ndarray], path: Path, count: int) -> list[dict]:
  """Everyday lines, synthesized and judged: {'text', 'heard', 'errors': [edits, words], 'speaker_similarity'} each."""
  rows = json.loads(path.read_text()) if path.exists() else []
  texts = (HERE.parent / 'data' / 'everyday.txt').read_text(encoding='utf-8').splitlines()[:count]
  library = shipped_library(model)
  whisper = Whisper() if len(rows) < len(texts) else None
  for text in texts[len(rows) :]:
    wave = dub_line(model, library, LineTask(Line(text), voice)).take.waveform
    spoken = load_judge().embed(wave, SAMPLE_RATE)
    transcript = whisper.transcribe(wave, SAMPLE_RATE)
    rows.append(
      {
        'text': text,
        'heard': transcript,
        'errors': count_errors(text, transcript),
        'speaker_similarity': float(np.mean([speaker_similarity(spoken, r) for r in real])),
      }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path, overwrite=True) as beside:
      beside.write_text(json.dumps(rows, indent=1))
  return rows


if __name__ == '__main__':
  try:
    main()
  except BadInput as e:
    raise SystemExit(str(e)) from None
