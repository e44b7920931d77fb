"""Is it a voice worth hearing? Every figure of it with its 95 % interval, beside one-way and Griffin-Lim.

    python experiments/timing/voice.py                                 # all rows: 25 minutes of one quiet core
    python experiments/timing/voice.py --model DIR --rows words mos    # some rows, of another model directory
    python experiments/timing/voice.py --count 6 --rows words          # a quick look

Writes table.md, table.json, figures.png and confusion.png into --out, and index.html, where examples can be heard and
their spectrograms seen. `--count` is clips a row, spread evenly over its voices; a voice's own lines of everyday.txt,
which is in no corpus, stay the same whatever the row. Everything spoken and every judgement is kept under --out, by
the hash of the model directory, so that a killed run goes on where it was and a second one costs little. The code is
not part of that hash: after a change to it, take another --out.

Columns: `director`, what ships; `one-way`, the director off; `griffin-lim`, the director on and no learned vocoder;
`recordings`, the same measured on real recordings, where there are any. Every voice, those of the training too, is made
of one recording as `--voice FILE` makes it; no voice that ships with the model is used. Of LJ Speech (32 clips) one
clip is held back, so that its column `recordings` has clips of the training, which no row of speech is made of.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from slots import seconds_apart, unseen_films
from tqdm import tqdm

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.dubbing.line import dub_line, shipped_library
from dubber_jax.dubbing.request import LineTask
from dubber_jax.dubbing.speak import SpeakRequest, speak
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import model_hash
from dubber_jax.evaluation.benchmark.examples import Example, write_page
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, cores, errors, open_judge
from dubber_jax.evaluation.benchmark.plots import draw_confusions
from dubber_jax.evaluation.benchmark.speakers import neutral, recordings, reference, sound_of, voice
from dubber_jax.evaluation.bootstrap import Interval, interval, mean_of_means, ratio_of_means, share
from dubber_jax.evaluation.metrics.speaker_similarity import speaker_similarity
from dubber_jax.evaluation.metrics.spectral_flatness import CLASSES, flatness_by_class
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.synthesis import synthesize
from dubber_jax.media.mel import mel_numpy
from dubber_jax.media.sound import read_sound, resample, write_wav
from dubber_jax.script.alignment import align, durations_in_frames
from dubber_jax.storage.atomic import complete_file
from dubber_jax.storage.hashing import sha256_text
from dubber_jax.types import HOP, SAMPLE_RATE, Line, Voice
from dubber_jax.vocoder.griffin_lim import GriffinLim

SEEN = ('kathleen', 'ljspeech', 'teacher_joe')
STRANGERS = ('p225', 'p226', 'p227', 'p228', 's4')
ACTORS = ('ravdess_19', 'ravdess_20', 'ravdess_21', 'ravdess_22')
VOCODED = ('kathleen', 'teacher', 'kokoro', 'ravdess', 'vctk')  # sets with recordings that training has not seen
COLUMNS = ('director', 'one-way', 'griffin-lim')
REAL = 'recordings'
HELD_BACK = ('validation', 'test', 'test_unseen', 'reference_voice')  # splits that the actor has not seen
FEW = 8  # held-back recordings of a speaker below which training ones are measured beside them
PERCENT, SCORE, MILLISECONDS = '{:.1%}', '{:.2f}', '{:.1f} ms'


@dataclass(frozen=True)
class Figure:
  """A row of the table: what, how it is written, what each column came to, and the bar that it has to pass."""

  name: str
  form: str
  cells: dict[str, Interval]
  at_most: float | None = None
  at_least: float | dict[str, float] | None = None  # for all columns, or by column

  @property
  def bar(self) -> str:
    if self.at_most is not None:
      return f'at most {self.form.format(self.at_most)}'
    if isinstance(self.at_least, dict):
      return 'at least ' + ', '.join(f'{self.form.format(bar)} {column}' for column, bar in self.at_least.items())
    return f'at least {self.form.format(self.at_least)}' if self.at_least is not None else ''

  @property
  def bars(self) -> list[float]:
    bar = self.at_least if self.at_most is None else self.at_most
    return [] if bar is None else list(bar.values()) if isinstance(bar, dict) else [bar]


@dataclass(frozen=True)
class Sound:
  """Something to be judged: where its judgement is kept, and how to get it as (S,) at 22,050 Hz."""

  key: str
  wave: Callable[[], np.ndarray] = field(compare=False)
  real: bool = False


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--model', help='model directory (default: the shipped one)')
  parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
  parser.add_argument('--columns', nargs='+', choices=COLUMNS, default=list(COLUMNS))
  parser.add_argument('--count', type=int, default=60, help='clips a row')
  parser.add_argument('--out', default='runs/table', help='folder for table, page and all that is kept')
  given = parser.parse_args()
  _use_compilation_cache()
  bench = Bench(load(given.model), tuple(given.columns), given.count, Path(given.out))
  figures, left_out = {}, []
  for row in given.rows:
    began, computed = time.perf_counter(), time.process_time()
    try:
      figures[row] = ROWS[row](bench)
    except BadInput as e:
      left_out.append(f'{row}: left out: {e}')
      print(left_out[-1])
      continue
    spent, computed = time.perf_counter() - began, time.process_time() - computed
    print(f'\n{table(figures[row], bench.columns)}')
    print(f'({row}: {spent:.0f} s, {computed:.0f} of the processor)\n', flush=True)
  write(bench, figures, left_out)
  return 2 if left_out else 0


def _use_compilation_cache():
  import jax

  from dubber_jax.storage.cache import cache_folder

  if not os.environ.get('JAX_COMPILATION_CACHE_DIR') and cache_folder():
    jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


# What is spoken, and what judges it


class Bench:
  """A model in its columns, the recordings, and the judges, each opened when first needed."""

  def __init__(self, model: Model, columns: tuple[str, ...], count: int, out: Path):
    one_way = dataclasses.replace(model.config.task.director, enabled=False)
    self.models = {
      'director': model,
      'one-way': dataclasses.replace(model, config=model.config.with_task(director=one_way)),
      'griffin-lim': dataclasses.replace(model, vocoder=GriffinLim()),
    }
    self.columns, self.count, self.out = columns, count, out
    self.lines = (Path(__file__).parents[1] / 'data' / 'everyday.txt').read_text(encoding='utf-8').splitlines()
    self.folder = out / model_hash(model.path)
    self.kept = {False: JsonlCache(self.folder / 'judged.jsonl'), True: JsonlCache(out / 'recordings.jsonl')}

  @functools.cached_property
  def library(self):
    return shipped_library(self.models['director'])

  def held_back(self, speaker: str, most: int | None = None) -> list[Recording]:
    """At most `count` neutral recordings of a speaker that neither training nor the voice was made of."""
    rows = [r for r in recordings(speaker) if r.split in HELD_BACK and r.emotion == 'neutral']
    return [r for r in rows if r != reference(speaker)][: self.count if most is None else most]

  def real(self, speaker: str) -> list[Recording]:
    """At most `count` recordings that speech is measured beside, or compared with: held-back ones or, of a speaker with
    FEW of those, all neutral ones but that which the voice is made of."""
    held = self.held_back(speaker)
    if len(held) >= min(FEW, self.count):
      return held
    return [r for r in recordings(speaker) if r.emotion == 'neutral' and r != reference(speaker)][: self.count]

  def cast(self, speakers: tuple[str, ...], clips: int | None = None) -> list[tuple[str, str]]:
    """(speaker, line) of as many clips as a row has or a few more, spread evenly. Each speaker begins elsewhere."""
    each = -(-(clips or self.count) // len(speakers))
    everyone = SEEN + STRANGERS + ACTORS
    start = {s: everyone.index(s) * 17 for s in speakers}
    return [(s, self.lines[(start[s] + i) % len(self.lines)]) for i in range(each) for s in speakers]

  def spoken(self, column: str, speaker: str, text: str, emotion: str = '') -> Sound:
    """A line as `dubber speak` writes it. One-way, no emotion can be asked for."""
    emotion = '' if column == 'one-way' else emotion
    name = sha256_text(f'{reference(speaker).key} {text} {emotion}')[:12]
    path = self.folder / column / speaker / f'{name}.wav'

    def wave():
      if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        library = None if column == 'one-way' else self.library
        request = SpeakRequest((Line(text),), self.voice(speaker), (path,), emotion=emotion)
        speak(request, self.models[column], library)
      return read_sound(path, SAMPLE_RATE)

    return Sound(f'{column}/{speaker}/{name}', wave)

  def voice(self, speaker: str) -> Voice:
    """As `dubber speak --voice FILE` makes it of one recording."""
    return voice(speaker, self.models['director'])

  def vocoded(self, column: str, recording: Recording) -> Sound:
    """A recording's mel through the column's vocoder."""
    path = self.folder / f'{column}-vocoder' / recording.speaker / f'{recording.id}.wav'

    def wave():
      if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, self.models[column].vocoder.vocode(mel_numpy(sound_of(recording))), SAMPLE_RATE)
      return read_sound(path, SAMPLE_RATE)

    return Sound(f'{column}-vocoder/{recording.key}', wave)

  def recorded(self, recording: Recording) -> Sound:
    return Sound(recording.key, lambda: sound_of(recording), real=True)

  def judged(self, judge: str, sounds: Iterable[Sound], what: str) -> list:
    """What a judge says of each sound; see JUDGES."""
    sounds, kept = list(sounds), self.kept
    missing = [s for s in dict.fromkeys(sounds) if not kept[s.real].has(judge, s.key)]
    for sound in tqdm(missing, desc=f'{what} ({judge})', unit='clip') if missing else ():
      kept[sound.real].add(judge, sound.key, open_judge(judge)(sound.wave(), SAMPLE_RATE))
    return [kept[s.real].value(judge, s.key) for s in sounds]


# The rows


def word_rows(bench: Bench, speakers: tuple[str, ...], name: str, at_most: float) -> list[Figure]:
  """Word error over all speakers, then by speaker. Recordings have the words their set gives."""
  counts = {}  # by column, then speaker: (clips, 2) of errors and words
  cast = bench.cast(speakers)
  for column in bench.columns:
    heard = bench.judged('words', [bench.spoken(column, s, text) for s, text in cast], f'{name}, {column}')
    for (speaker, text), words in zip(cast, heard, strict=True):
      counts.setdefault(column, {}).setdefault(speaker, []).append(errors(text, words))
  for speaker in speakers:
    if speaker in STRANGERS:
      continue  # VCTK's words are not known, and Whisper does not know GRID's grammar
    own = bench.real(speaker)
    heard = bench.judged('words', map(bench.recorded, own), f'recordings of {speaker}')
    counts.setdefault(REAL, {})[speaker] = [errors(r.text, words) for r, words in zip(own, heard, strict=True)]
  together = {c: interval(share, sum(v.values(), [])) for c, v in counts.items()}
  figures = [Figure(name, PERCENT, together, at_most=at_most)]
  for speaker in speakers:
    cells = {c: interval(share, v[speaker]) for c, v in counts.items() if speaker in v}
    figures.append(Figure(f'– {speaker}', PERCENT, cells))
  return figures


def mos_rows(bench: Bench) -> list[Figure]:
  """Speech through the codec that the recordings are stored in; every voice counts the same, however many its clips."""
  cast, scores, plain = bench.cast(SEEN), {}, {}
  for column in bench.columns:
    sounds = [bench.spoken(column, s, text) for s, text in cast]
    for judge, found in (('mos-opus', scores), ('mos', plain)):
      heard = bench.judged(judge, sounds, f'MOS, {column}')
      found[column] = [[h for (s, _), h in zip(cast, heard, strict=True) if s == speaker] for speaker in SEEN]
  scores[REAL] = [bench.judged('mos', map(bench.recorded, bench.real(s)), f'recordings of {s}') for s in SEEN]
  ratios = {c: interval(ratio_of_means, *scores[c], *scores[REAL]) for c in bench.columns}
  means, before = ({c: interval(mean_of_means, *v) for c, v in found.items()} for found in (scores, plain))
  figures = [
    Figure('predicted MOS through Opus, training voices', SCORE, means, at_least={'one-way': 4.0, 'director': 3.85}),
    Figure("the same over that of the voices' recordings", SCORE, ratios),
    Figure('– before the codec', SCORE, before),
  ]
  for i, speaker in enumerate(SEEN):
    figures.append(Figure(f'– {speaker}', SCORE, {c: interval(np.mean, v[i]) for c, v in scores.items()}))
  return figures


def vocoder_rows(bench: Bench) -> list[Figure]:
  """Recordings of VOCODED that training has not seen, to a mel and back, beside the recordings as they are; every set
  counts the same. Word error is of the sets whose words are known."""
  own = {name: vocoded_recordings(name, bench.count // 3) for name in VOCODED}
  real = {name: bench.judged('mos', map(bench.recorded, rows), f'recordings of {name}') for name, rows in own.items()}
  spoken = [r for rows in own.values() for r in rows if r.text]
  said = bench.judged('words', map(bench.recorded, spoken), 'recordings')
  words = {REAL: interval(share, [errors(r.text, w) for r, w in zip(spoken, said, strict=True)])}
  ratios, means = {}, {REAL: interval(mean_of_means, *real.values())}
  by_set = {name: {REAL: interval(np.mean, scores)} for name, scores in real.items()}
  for column in bench.columns:
    if column == 'one-way':
      continue  # its vocoder is that of `director`
    scores = {
      name: bench.judged('mos', [bench.vocoded(column, r) for r in rows], f'vocoder of {column}, {name}')
      for name, rows in own.items()
    }
    heard = bench.judged('words', [bench.vocoded(column, r) for r in spoken], f'vocoder of {column}')
    means[column] = interval(mean_of_means, *scores.values())
    ratios[column] = interval(ratio_of_means, *scores.values(), *real.values())
    words[column] = interval(share, [errors(r.text, w) for r, w in zip(spoken, heard, strict=True)])
    for name, values in scores.items():
      by_set[name][column] = interval(np.mean, values)
  return [
    Figure("vocoder alone: predicted MOS over the recordings', five sets", SCORE, ratios, at_least=0.95),
    Figure('– predicted MOS', SCORE, means),
    *(Figure(f'– {name}', SCORE, cells) for name, cells in by_set.items()),
    Figure('– word error', PERCENT, words),
  ]


def vocoded_recordings(name: str, count: int) -> list[Recording]:
  """At most `count` of a set's recordings that training has not seen, spread over all of them."""
  rows = [r for r in read_recordings(name) if r.split in HELD_BACK]
  step = max(1, len(rows) // max(count, 1))
  return rows[step // 2 :: step][:count]


def likeness_rows(bench: Bench) -> list[Figure]:
  """To another recording of the speaker than the voice's reference, each in turn; recordings likewise to the next."""
  figures = []
  for speakers, name, bar in ((SEEN, 'training voices', 0.84), (STRANGERS, 'unseen voices', 0.75)):
    cast = bench.cast(speakers)
    turns = range(len(cast) // len(speakers))
    real = {s: bench.judged('voice', map(bench.recorded, bench.real(s)), f'recordings of {s}') for s in speakers}

    def other(speaker, turn, real=real):
      return real[speaker][turn % len(real[speaker])]

    cells = {}
    for column in bench.columns:
      spoken = bench.judged('voice', [bench.spoken(column, *c) for c in cast], f'likeness, {name}, {column}')
      pairs = ((v, other(s, i // len(speakers))) for i, ((s, _), v) in enumerate(zip(cast, spoken, strict=True)))
      cells[column] = interval(np.mean, [speaker_similarity(a, b) for a, b in pairs])
    same = [speaker_similarity(other(s, i), other(s, i + 1)) for i in turns for s in speakers]
    cells[REAL] = interval(np.mean, same)
    apart = [
      speaker_similarity(other(a, i), other(b, i)) for i in turns for a, b in itertools.combinations(speakers, 2)
    ]
    figures.append(Figure(f'voice likeness, {name}', SCORE, cells, at_least={'director': bar}))
    figures.append(Figure('– different speakers among them', SCORE, {REAL: interval(np.mean, apart)}))
  return figures


def emotion_rows(bench: Bench) -> list[Figure]:
  """New lines asked to be each emotion in the test actors' voices, beside what the judge hears in those actors.

  Accuracy is the mean over emotions, since the actors' neutral clips are more. The judge compares with neutral speech
  of the same voice: recordings through the column's vocoder; of recordings, the others.
  """
  from dubber_jax.evaluation.metrics.emotion import beside, load_judge

  judge = load_judge()
  names = judge.emotions
  plain = {a: neutral(a) for a in ACTORS}

  def hear(sounds, neutrals, what):
    """-> the emotion heard in each of the sounds, beside the neutral ones given for it."""
    own = np.array(bench.judged('functionals', sounds, what))
    others = [np.mean(bench.judged('functionals', n, f'{what}, neutral'), axis=0) for n in neutrals]
    return [names[i] for i in judge.with_neutral.logits(beside(own, np.array(others))).argmax(-1)]

  real = [r for a in ACTORS for r in recordings(a) if r.emotion in names]
  beside_real = [[bench.recorded(n) for n in plain[r.speaker] if n != r] for r in real]
  heard = hear([bench.recorded(r) for r in real], beside_real, 'emotion, recordings')
  pairs = {REAL: [(r.emotion, e) for r, e in zip(real, heard, strict=True)]}
  asked = [(s, text, e) for s, text in bench.cast(ACTORS, -(-2 * bench.count // len(names))) for e in names]
  for column in bench.columns:
    vocoder = 'director' if column == 'one-way' else column
    vocoded = {a: [bench.vocoded(vocoder, n) for n in plain[a]] for a in ACTORS}
    heard = hear([bench.spoken(column, *a) for a in asked], [vocoded[s] for s, *_ in asked], f'emotion, {column}')
    pairs[column] = [(e, h) for (*_, e), h in zip(asked, heard, strict=True)]
  right = {c: [[h == e for e, h in found if e == name] for name in names] for c, found in pairs.items()}
  bench.out.mkdir(parents=True, exist_ok=True)
  draw_confusions(bench.out / 'confusion.png', names, pairs)
  ratios = {c: interval(ratio_of_means, *right[c], *right[REAL]) for c in bench.columns}
  accuracy = {c: interval(mean_of_means, *found) for c, found in right.items()}
  return [
    Figure(
      "emotion: the judge's accuracy over that on the actors' own speech", SCORE, ratios, at_least={'director': 0.9}
    ),
    Figure(f'– accuracy (chance {1 / len(names):.1%})', PERCENT, accuracy),
  ]


def speed_rows(bench: Bench) -> list[Figure]:
  """Warm, compilation apart; columns take turns, so that other work on the machine slows all of them. Not kept."""
  texts, repeats = bench.lines[:4], 3 + bench.count // 6
  runs = {c: {'actor': [], 'vocoder': [], 'actor and vocoder': [], 'rehearsal': []} for c in bench.columns}
  for turn in tqdm(range(1 + repeats), desc='speed', unit='turn'):
    for column in bench.columns:
      library = None if column == 'one-way' else bench.library
      done = [dub_line(bench.models[column], library, LineTask(Line(t), bench.voice('kathleen'))) for t in texts]
      sound = sum(d.result.slot_seconds for d in done)
      began = time.perf_counter()
      for d in done:  # the actor alone: one take of each line
        synthesize(bench.models[column], d.phonemes, bench.voice('kathleen'), None, d.direction)
      alone = time.perf_counter() - began
      if turn:  # the first one compiles
        runs[column]['actor'].append(alone / sound)
        for stage in ('vocoder', 'rehearsal'):
          runs[column][stage].append(sum(d.result.seconds[stage] for d in done) / sound)
        runs[column]['actor and vocoder'].append(runs[column]['actor'][-1] + runs[column]['vocoder'][-1])
  where = f'{cores()} cores, load {os.getloadavg()[0]:.1f}'
  return [
    Figure(
      f'real-time factor, {stage} alone, {where}',
      '{:.3f}',
      {c: interval(np.median, runs[c][stage]) for c in bench.columns},
      at_most=bar,
    )
    for stage, bar in (('actor', None), ('vocoder', None), ('actor and vocoder', 0.05), ('rehearsal', 0.6))
  ]


def slot_rows(bench: Bench) -> list[Figure]:
  """Films of speakers never seen, then held-back ones of GRID's s1."""
  films = unseen_films() + [r for r in read_recordings('grid') if r.split == 'test']
  films, cells = films[: bench.count], {}
  kept = bench.kept[False]
  for column in bench.columns:
    missing = [f for f in films if not kept.has('slot', f'{column}/{f.key}')]
    for film in tqdm(missing, desc=f'slots, {column}', unit='film') if missing else ():
      kept.add('slot', f'{column}/{film.key}', seconds_apart(bench.models[column], bench.voice('kathleen'), film))
    apart = [1000 * kept.value('slot', f'{column}/{f.key}') for f in films]
    cells[column] = Interval(max(apart), np.nan, np.nan, len(films))
  return [Figure('sound against its slot, largest difference', MILLISECONDS, cells, at_most=11.6)]


def flatness_rows(bench: Bench) -> list[Figure]:
  """Spectral flatness by class of phoneme, of takes beside held-back recordings of the same voices: flatness.png.

  Phonemes are found in takes and recordings alike by forced alignment.
  """
  speakers = tuple(s for s in SEEN if len(bench.held_back(s)) >= FEW)
  found = {REAL: [(bench.recorded(r), r.text) for s in speakers for r in bench.held_back(s)]}
  for column in bench.columns:
    found[column] = [(bench.spoken(column, s, text), text) for s, text in bench.cast(speakers)]
  classes = {}
  for column, sounds in found.items():
    progress = tqdm(sounds, desc=f'flatness, {column}', unit='clip')
    by_class = [flatness_of(sound.wave(), text) for sound, text in progress]
    classes[column] = {name: [x for one in by_class for x in one[name]] for name in CLASSES}
  bench.out.mkdir(parents=True, exist_ok=True)
  draw_flatness(bench.out / 'flatness.png', classes)
  return [
    Figure(f'spectral flatness of {name}, dB', '{:.1f}', {c: interval(np.mean, classes[c][name]) for c in found})
    for name in CLASSES
  ]


def flatness_of(wave: np.ndarray, text: str) -> dict[str, list[float]]:
  """flatness_by_class of a sound (S,) in which `text` is found; nothing where it is not."""
  try:
    alignment = align(resample(wave, SAMPLE_RATE, 16000), text)
  except BadInput:
    return {name: [] for name in CLASSES}
  return flatness_by_class(wave, alignment.phonemes, durations_in_frames(alignment, len(wave) // HOP))


def draw_flatness(path: Path, classes: dict[str, dict[str, list[float]]]):
  """Boxes of every column's phonemes, a class a place: the middle half, and a tenth at either end."""
  plt = _pyplot()
  sheet, axes = plt.subplots(1, len(CLASSES), figsize=(2.6 * len(CLASSES), 3.2), sharey=True, layout='constrained')
  for place, name in zip(axes, CLASSES, strict=True):
    values = [found[name] or [np.nan] for found in classes.values()]
    place.boxplot(values, tick_labels=list(classes), whis=(10, 90), showfliers=False)
    place.tick_params(axis='x', rotation=60, labelsize=7)
    place.set_title(name, fontsize=8)
  axes[0].set_ylabel('spectral flatness, 1 to 7.5 kHz (dB)', fontsize=8)
  with complete_file(path, overwrite=True) as beside:
    sheet.savefig(beside, dpi=110, bbox_inches='tight')
  plt.close(sheet)


def example_rows(bench: Bench) -> list[Figure]:
  """index.html: a few lines of each voice to be heard side by side. No figures."""
  lines = min(3, bench.count)
  groups = {}
  for speaker in SEEN:
    groups[speaker] = [
      (r.text, [Example('recording', sound_of(r)), *_examples(bench, speaker, r.text, r)])
      for r in bench.held_back(speaker, lines)
    ]
  for speaker in ('p225', 's4', 'ravdess_19'):
    given = Example('reference', sound_of(reference(speaker)))
    texts = [text for _, text in bench.cast((speaker,), lines)]
    groups[f'{speaker}, not heard in training'] = [(t, [given, *_examples(bench, speaker, t)]) for t in texts]
  actor, text = bench.cast(ACTORS, 1)[0]
  real = {r.emotion: r for r in recordings(actor)}
  groups[f'{actor}, asked to be, in: {text}'] = [
    (e, [Example('recording, other words', sound_of(real[e])), *_examples(bench, actor, text, emotion=e)])
    for e in ('neutral', 'angry', 'disgust', 'fear', 'happy', 'sad', 'surprise')
  ]
  write_page(bench.out / 'index.html', f'Voice of {bench.models["director"].path.name}', groups)
  return []


def _examples(bench: Bench, speaker: str, text: str, recording: Recording | None = None, emotion: str = ''):
  vocoded = ('director', 'griffin-lim') if recording else ()
  names = {'director': 'recording through the vocoder', 'griffin-lim': 'recording through Griffin-Lim'}
  for column in vocoded:
    if column in bench.columns:
      yield Example(names[column], bench.vocoded(column, recording).wave())
  for column in bench.columns:
    yield Example(f'spoken, {column}', bench.spoken(column, speaker, text, emotion).wave())


ROWS = {
  'words': lambda b: word_rows(b, SEEN, 'word error, training voices', 0.015),
  'unseen': lambda b: word_rows(b, STRANGERS + ACTORS, 'word error, unseen voices', 0.015),
  'mos': mos_rows,
  'vocoder': vocoder_rows,
  'likeness': likeness_rows,
  'emotion': emotion_rows,
  'speed': speed_rows,
  'slots': slot_rows,
  'flatness': flatness_rows,
  'examples': example_rows,
}


# What is written


def table(figures: list[Figure], columns: Iterable[str]) -> str:
  """Markdown: a cell is the figure, its interval and how many clips it is of."""
  columns = (*columns, REAL)
  rows = [f'| figure | bar | {" | ".join(columns)} |', '|---' * (2 + len(columns)) + '|']
  for figure in figures:
    cells = (figure.cells.get(c) for c in columns)
    shown = (f'{c.show(figure.form)}, {c.clips}' if c else '' for c in cells)
    rows.append(f'| {figure.name} | {figure.bar} | {" | ".join(shown)} |')
  return '\n'.join(rows) if figures else ''


def write(bench: Bench, figures: dict[str, list[Figure]], left_out: list[str]):
  everything = [f for row in figures.values() for f in row]
  said = f'Figure (95 % interval), clips. Model {bench.folder.name}.'
  text = '\n\n'.join(filter(None, [table(everything, bench.columns), said, *left_out]))
  plain = {row: [_plain(f) for f in found] for row, found in figures.items()}
  bench.out.mkdir(parents=True, exist_ok=True)
  with complete_file(bench.out / 'table.md', overwrite=True) as beside:
    beside.write_text(text + '\n', encoding='utf-8')
  with complete_file(bench.out / 'table.json', overwrite=True) as beside:
    model = {'path': str(bench.models['director'].path), 'hash': bench.folder.name}
    beside.write_text(json.dumps({'model': model, 'rows': plain, 'left_out': left_out}, indent=1), encoding='utf-8')
  if any(f.bar for f in everything):
    draw_figures(bench.out / 'figures.png', everything)
  print(f'{bench.out / "table.md"}')


def _plain(figure: Figure) -> dict:
  """For JSON, which has no nan."""
  cells = {c: {k: None if v != v else v for k, v in vars(cell).items()} for c, cell in figure.cells.items()}
  return {'figure': figure.name, 'bar': figure.bar, 'columns': cells}


def draw_figures(path: Path, figures: list[Figure]):
  """Every figure that has a bar: columns side by side with their intervals, and the bar."""
  plt = _pyplot()
  shown = [f for f in figures if f.bar]
  across = min(4, len(shown))
  down = -(-len(shown) // max(across, 1))
  sheet, axes = plt.subplots(down, across, figsize=(3.4 * across, 2.8 * down), squeeze=False, layout='constrained')
  for place in axes.flat[len(shown) :]:
    place.axis('off')
  for place, figure in zip(axes.flat, shown, strict=False):
    names, cells = list(figure.cells), list(figure.cells.values())
    values = np.array([c.value for c in cells])
    ends = np.nan_to_num([[c.value - c.low for c in cells], [c.high - c.value for c in cells]])
    place.bar(names, values, color=['#4a7fb5' if n != REAL else '#9a9a9a' for n in names], width=0.6)
    place.errorbar(names, values, np.maximum(ends, 0), fmt='none', ecolor='#222222', capsize=4)
    for bar in figure.bars:
      place.axhline(bar, color='#c0392b', linestyle='--', linewidth=1)
    place.set_title(f'{figure.name}\n({figure.bar})', fontsize=8, wrap=True)
    place.tick_params(labelsize=7)
    place.yaxis.set_major_formatter(lambda v, _, form=figure.form: form.format(v))
  with complete_file(path, overwrite=True) as beside:
    sheet.savefig(beside, dpi=110, bbox_inches='tight')
  plt.close(sheet)


def _pyplot():
  import matplotlib

  matplotlib.use('Agg')
  import matplotlib.pyplot as plt

  return plt


if __name__ == '__main__':
  raise SystemExit(main())
