"""Speech quality of a model: every metric with its 95 % interval, beside one-way synthesis and Griffin-Lim.

    python experiments/timing/voice.py                                 # all rows: 25 minutes of one quiet core
    python experiments/timing/voice.py --model DIR --rows words mos    # some rows, of another model directory
    python experiments/timing/voice.py --count 6 --rows words          # a quick look

Writes table.md, table.json, figures.png and confusion.png into --out, and index.html, a page of examples with their
spectrograms. `--count` is clips a row, spread evenly over its voices; a voice's own lines of everyday.txt, which is in
no corpus, are the same in all rows. Synthesized speech and judgements are stored under --out by the hash of the model
directory, so that a stopped run resumes and a second one costs little. The code is not part of that hash: after a
change to it, use another --out.

Columns: `director`, what ships; `one-way`, the director off; `griffin-lim`, the director on and no learned vocoder;
`recordings`, the same metrics on real recordings, where there are any. Every voice, training voices too, is made of one
recording as `--voice FILE` makes it; no voice that ships with the model is used. Of LJ Speech (32 clips) one clip is
held out, so that its column `recordings` has training clips, which no row of synthesized speech is made of.
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
from dubber_jax.dubbing.inputs import shipped_library
from dubber_jax.dubbing.line import dub_line
from dubber_jax.dubbing.request import LineTask
from dubber_jax.dubbing.speak import SpeakRequest, speak
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import model_hash
from dubber_jax.evaluation.benchmark.examples import Example, write_page
from dubber_jax.evaluation.benchmark.judgements import JsonlCache, cores, open_judge
from dubber_jax.evaluation.benchmark.plots import draw_confusions
from dubber_jax.evaluation.benchmark.speakers import neutral, recordings, reference, sound_of, voice
from dubber_jax.evaluation.bootstrap import Interval, interval, mean_of_means, ratio_of_means, share
from dubber_jax.evaluation.metrics.speaker_similarity import speaker_similarity
from dubber_jax.evaluation.metrics.spectral_flatness import CLASSES, flatness_by_class
from dubber_jax.evaluation.metrics.wer import count_errors
from dubber_jax.inference.model import Model
from dubber_jax.inference.model_directory import load
from dubber_jax.inference.synthesis import LineInputs, synthesize
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
VOCODED = ('kathleen', 'teacher', 'kokoro', 'ravdess', 'vctk')  # sets with recordings unseen in training
COLUMNS = ('director', 'one-way', 'griffin-lim')
REAL = 'recordings'
HELD_OUT = ('validation', 'test', 'test_unseen', 'reference_voice')  # splits unseen in the actor's training
FEW = 8  # held-out recordings of a speaker, below which training ones are used too
PERCENT, SCORE, MILLISECONDS = '{:.1%}', '{:.2f}', '{:.1f} ms'


@dataclass(frozen=True)
class Figure:
  """A row of the table: metric, number format, a value for each column, and the threshold that it has to reach."""

  name: str
  form: str
  cells: dict[str, Interval]
  at_most: float | None = None
  at_least: float | dict[str, float] | None = None  # for all columns, or by column

  @property
  def threshold(self) -> str:
    if self.at_most is not None:
      return f'at most {self.form.format(self.at_most)}'
    if isinstance(self.at_least, dict):
      return 'at least ' + ', '.join(f'{self.form.format(bar)} {column}' for column, bar in self.at_least.items())
    return f'at least {self.form.format(self.at_least)}' if self.at_least is not None else ''

  @property
  def thresholds(self) -> list[float]:
    bar = self.at_least if self.at_most is None else self.at_most
    return [] if bar is None else list(bar.values()) if isinstance(bar, dict) else [bar]


@dataclass(frozen=True)
class Sound:
  """A sound to be judged: the key of its judgements, and a function that returns (S,) at 22,050 Hz."""

  key: str
  wave: Callable[[], np.ndarray] = field(compare=False)
  real: bool = False


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--model', help='model directory (default: the shipped one)')
  parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
  parser.add_argument('--columns', nargs='+', choices=COLUMNS, default=list(COLUMNS))
  parser.add_argument('--count', type=int, default=60, help='clips a row')
  parser.add_argument('--out', default='runs/table', help='folder for table, page and stored takes and judgements')
  given = parser.parse_args()
  _use_compilation_cache()
  voices = VoiceQuality(load(given.model), tuple(given.columns), given.count, Path(given.out))
  figures, left_out = {}, []
  for row in given.rows:
    began, computed = time.perf_counter(), time.process_time()
    try:
      figures[row] = ROWS[row](voices)
    except BadInput as e:
      left_out.append(f'{row}: left out: {e}')
      print(left_out[-1])
      continue
    spent, computed = time.perf_counter() - began, time.process_time() - computed
    print(f'\n{table(figures[row], voices.columns)}')
    print(f'({row}: {spent:.0f} s, {computed:.0f} of the processor)\n', flush=True)
  write(voices, figures, left_out)
  return 2 if left_out else 0


def _use_compilation_cache():
  import jax

  from dubber_jax.storage.cache import cache_folder

  if not os.environ.get('JAX_COMPILATION_CACHE_DIR') and cache_folder():
    jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


# Synthesized speech and its judgements


class VoiceQuality:
  """The model of each column, its synthesized speech, the recordings, and the cached judgements of both."""

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
    self.judgements = {False: JsonlCache(self.folder / 'judged.jsonl'), True: JsonlCache(out / 'recordings.jsonl')}

  @functools.cached_property
  def library(self):
    return shipped_library(self.models['director'])

  def held_out(self, speaker: str, most: int | None = None) -> list[Recording]:
    """At most `count` neutral recordings of a speaker that neither the training nor the voice used."""
    rows = [r for r in recordings(speaker) if r.split in HELD_OUT and r.emotion == 'neutral']
    return [r for r in rows if r != reference(speaker)][: self.count if most is None else most]

  def real(self, speaker: str) -> list[Recording]:
    """At most `count` reference recordings: held-out ones or, of a speaker with fewer than FEW of those, all neutral
    ones but that of which the voice is made."""
    held = self.held_out(speaker)
    if len(held) >= min(FEW, self.count):
      return held
    return [r for r in recordings(speaker) if r.emotion == 'neutral' and r != reference(speaker)][: self.count]

  def cast(self, speakers: tuple[str, ...], clips: int | None = None) -> list[tuple[str, str]]:
    """(speaker, line) of as many clips as a row has or a few more, spread evenly, each speaker from another line on."""
    each = -(-(clips or self.count) // len(speakers))
    everyone = SEEN + STRANGERS + ACTORS
    start = {s: everyone.index(s) * 17 for s in speakers}
    return [(s, self.lines[(start[s] + i) % len(self.lines)]) for i in range(each) for s in speakers]

  def spoken(self, column: str, speaker: str, text: str, emotion: str = '') -> Sound:
    """A line as `dubber speak` writes it. The one-way column takes no emotion."""
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
    """Judgements of the sounds, by a name of JUDGES."""
    sounds, cache = list(sounds), self.judgements
    missing = [s for s in dict.fromkeys(sounds) if not cache[s.real].has(judge, s.key)]
    for sound in tqdm(missing, desc=f'{what} ({judge})', unit='clip') if missing else ():
      cache[sound.real].add(judge, sound.key, open_judge(judge)(sound.wave(), SAMPLE_RATE))
    return [cache[s.real].value(judge, s.key) for s in sounds]


# The rows


def word_rows(voices: VoiceQuality, speakers: tuple[str, ...], name: str, at_most: float) -> list[Figure]:
  """Word error over all speakers, then by speaker. Recordings are scored against the text of their data set."""
  counts = {}  # by column, then speaker: (clips, 2) of errors and words
  cast = voices.cast(speakers)
  for column in voices.columns:
    judgements = voices.judged('words', [voices.spoken(column, s, text) for s, text in cast], f'{name}, {column}')
    for (speaker, text), words in zip(cast, judgements, strict=True):
      counts.setdefault(column, {}).setdefault(speaker, []).append(count_errors(text, words))
  for speaker in speakers:
    if speaker in STRANGERS:
      continue  # VCTK has no texts here, and Whisper does not fit GRID's grammar
    own = voices.real(speaker)
    judgements = voices.judged('words', map(voices.recorded, own), f'recordings of {speaker}')
    counts.setdefault(REAL, {})[speaker] = [
      count_errors(r.text, words) for r, words in zip(own, judgements, strict=True)
    ]
  together = {c: interval(share, sum(v.values(), [])) for c, v in counts.items()}
  figures = [Figure(name, PERCENT, together, at_most=at_most)]
  for speaker in speakers:
    cells = {c: interval(share, v[speaker]) for c, v in counts.items() if speaker in v}
    figures.append(Figure(f'– {speaker}', PERCENT, cells))
  return figures


def mos_rows(voices: VoiceQuality) -> list[Figure]:
  """Predicted MOS through the codec that recordings are stored in; every voice has the same weight."""
  cast, scores, plain = voices.cast(SEEN), {}, {}
  for column in voices.columns:
    sounds = [voices.spoken(column, s, text) for s, text in cast]
    for judge, found in (('mos-opus', scores), ('mos', plain)):
      judgements = voices.judged(judge, sounds, f'MOS, {column}')
      found[column] = [[h for (s, _), h in zip(cast, judgements, strict=True) if s == speaker] for speaker in SEEN]
  scores[REAL] = [voices.judged('mos', map(voices.recorded, voices.real(s)), f'recordings of {s}') for s in SEEN]
  ratios = {c: interval(ratio_of_means, *scores[c], *scores[REAL]) for c in voices.columns}
  means, before = ({c: interval(mean_of_means, *v) for c, v in found.items()} for found in (scores, plain))
  figures = [
    Figure('predicted MOS through Opus, training voices', SCORE, means, at_least={'one-way': 4.0, 'director': 3.85}),
    Figure("the same relative to the voices' recordings", SCORE, ratios),
    Figure('– before the codec', SCORE, before),
  ]
  for i, speaker in enumerate(SEEN):
    figures.append(Figure(f'– {speaker}', SCORE, {c: interval(np.mean, v[i]) for c, v in scores.items()}))
  return figures


def vocoder_rows(voices: VoiceQuality) -> list[Figure]:
  """Copy synthesis: held-out recordings of VOCODED through mel and vocoder, beside the recordings; every set has the
  same weight. Word error is of the sets that have texts."""
  own = {name: vocoded_recordings(name, voices.count // 3) for name in VOCODED}
  real = {name: voices.judged('mos', map(voices.recorded, rows), f'recordings of {name}') for name, rows in own.items()}
  spoken = [r for rows in own.values() for r in rows if r.text]
  transcripts = voices.judged('words', map(voices.recorded, spoken), 'recordings')
  words = {REAL: interval(share, [count_errors(r.text, w) for r, w in zip(spoken, transcripts, strict=True)])}
  ratios, means = {}, {REAL: interval(mean_of_means, *real.values())}
  by_set = {name: {REAL: interval(np.mean, scores)} for name, scores in real.items()}
  for column in voices.columns:
    if column == 'one-way':
      continue  # it has the vocoder of `director`
    scores = {
      name: voices.judged('mos', [voices.vocoded(column, r) for r in rows], f'vocoder of {column}, {name}')
      for name, rows in own.items()
    }
    judgements = voices.judged('words', [voices.vocoded(column, r) for r in spoken], f'vocoder of {column}')
    means[column] = interval(mean_of_means, *scores.values())
    ratios[column] = interval(ratio_of_means, *scores.values(), *real.values())
    words[column] = interval(share, [count_errors(r.text, w) for r, w in zip(spoken, judgements, strict=True)])
    for name, values in scores.items():
      by_set[name][column] = interval(np.mean, values)
  return [
    Figure("vocoder alone: predicted MOS relative to the recordings', five sets", SCORE, ratios, at_least=0.95),
    Figure('– predicted MOS', SCORE, means),
    *(Figure(f'– {name}', SCORE, cells) for name, cells in by_set.items()),
    Figure('– word error', PERCENT, words),
  ]


def vocoded_recordings(name: str, count: int) -> list[Recording]:
  """At most `count` of a set's recordings unseen in training, evenly spread."""
  rows = [r for r in read_recordings(name) if r.split in HELD_OUT]
  step = max(1, len(rows) // max(count, 1))
  return rows[step // 2 :: step][:count]


def similarity_rows(voices: VoiceQuality) -> list[Figure]:
  """Speaker similarity to recordings of the speaker other than the reference, by turns; of recordings, to the next
  one."""
  figures = []
  for speakers, name, bar in ((SEEN, 'training voices', 0.84), (STRANGERS, 'unseen voices', 0.75)):
    cast = voices.cast(speakers)
    turns = range(len(cast) // len(speakers))
    own = {s: map(voices.recorded, voices.real(s)) for s in speakers}
    real = {s: voices.judged('voice', sounds, f'recordings of {s}') for s, sounds in own.items()}

    def other(speaker, turn, real=real):
      return real[speaker][turn % len(real[speaker])]

    cells = {}
    for column in voices.columns:
      spoken = voices.judged('voice', [voices.spoken(column, *c) for c in cast], f'similarity, {name}, {column}')
      pairs = ((v, other(s, i // len(speakers))) for i, ((s, _), v) in enumerate(zip(cast, spoken, strict=True)))
      cells[column] = interval(np.mean, [speaker_similarity(a, b) for a, b in pairs])
    same = [speaker_similarity(other(s, i), other(s, i + 1)) for i in turns for s in speakers]
    cells[REAL] = interval(np.mean, same)
    apart = [
      speaker_similarity(other(a, i), other(b, i)) for i in turns for a, b in itertools.combinations(speakers, 2)
    ]
    figures.append(Figure(f'speaker similarity, {name}', SCORE, cells, at_least={'director': bar}))
    figures.append(Figure('– different speakers among them', SCORE, {REAL: interval(np.mean, apart)}))
  return figures


def emotion_rows(voices: VoiceQuality) -> list[Figure]:
  """Emotion accuracy of new lines in each emotion and the test actors' voices, relative to those actors' recordings.

  It is the mean over emotions, since neutral clips of the actors are more. The judge's neutral reference is recordings
  through the column's vocoder; of recordings, the others.
  """
  from dubber_jax.evaluation.metrics.emotion import beside, load_judge

  judge = load_judge()
  names = judge.emotions
  plain = {a: neutral(a) for a in ACTORS}

  def classify(sounds, neutrals, what):
    """Emotions of the sounds by the judge, relative to the neutral ones of each."""
    own = np.array(voices.judged('functionals', sounds, what))
    others = [np.mean(voices.judged('functionals', n, f'{what}, neutral'), axis=0) for n in neutrals]
    return [names[i] for i in judge.with_neutral.logits(beside(own, np.array(others))).argmax(-1)]

  real = [r for a in ACTORS for r in recordings(a) if r.emotion in names]
  beside_real = [[voices.recorded(n) for n in plain[r.speaker] if n != r] for r in real]
  predicted = classify([voices.recorded(r) for r in real], beside_real, 'emotion, recordings')
  pairs = {REAL: [(r.emotion, e) for r, e in zip(real, predicted, strict=True)]}
  requested = [(s, text, e) for s, text in voices.cast(ACTORS, -(-2 * voices.count // len(names))) for e in names]
  for column in voices.columns:
    vocoder = 'director' if column == 'one-way' else column
    vocoded = {a: [voices.vocoded(vocoder, n) for n in plain[a]] for a in ACTORS}
    predicted = classify(
      [voices.spoken(column, *a) for a in requested], [vocoded[s] for s, *_ in requested], f'emotion, {column}'
    )
    pairs[column] = [(e, h) for (*_, e), h in zip(requested, predicted, strict=True)]
  right = {c: [[h == e for e, h in found if e == name] for name in names] for c, found in pairs.items()}
  voices.out.mkdir(parents=True, exist_ok=True)
  draw_confusions(voices.out / 'confusion.png', names, pairs)
  ratios = {c: interval(ratio_of_means, *right[c], *right[REAL]) for c in voices.columns}
  accuracy = {c: interval(mean_of_means, *found) for c, found in right.items()}
  return [
    Figure("emotion accuracy relative to that of the actors' recordings", SCORE, ratios, at_least={'director': 0.9}),
    Figure(f'– accuracy (chance {1 / len(names):.1%})', PERCENT, accuracy),
  ]


def speed_rows(voices: VoiceQuality) -> list[Figure]:
  """Real-time factors, warm, without compilation; columns alternate, so that other load slows all of them. Not
  cached."""
  texts, repeats = voices.lines[:4], 3 + voices.count // 6
  runs = {c: {'actor': [], 'vocoder': [], 'actor and vocoder': [], 'rehearsal': []} for c in voices.columns}
  for turn in tqdm(range(1 + repeats), desc='speed', unit='turn'):
    for column in voices.columns:
      library = None if column == 'one-way' else voices.library
      done = [dub_line(voices.models[column], library, LineTask(Line(t), voices.voice('kathleen'))) for t in texts]
      sound = sum(d.result.slot_seconds for d in done)
      began = time.perf_counter()
      for d in done:  # the actor alone: one take of each line
        synthesize(voices.models[column], LineInputs(d.phonemes, voices.voice('kathleen')), d.direction)
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
      {c: interval(np.median, runs[c][stage]) for c in voices.columns},
      at_most=bar,
    )
    for stage, bar in (('actor', None), ('vocoder', None), ('actor and vocoder', 0.05), ('rehearsal', 0.6))
  ]


def slot_rows(voices: VoiceQuality) -> list[Figure]:
  """Slot error of films of unseen speakers, then of held-out ones of GRID's s1."""
  films = unseen_films() + [r for r in read_recordings('grid') if r.split == 'test']
  films, cells = films[: voices.count], {}
  cache = voices.judgements[False]
  for column in voices.columns:
    missing = [f for f in films if not cache.has('slot', f'{column}/{f.key}')]
    for film in tqdm(missing, desc=f'slots, {column}', unit='film') if missing else ():
      cache.add('slot', f'{column}/{film.key}', seconds_apart(voices.models[column], voices.voice('kathleen'), film))
    apart = [1000 * cache.value('slot', f'{column}/{f.key}') for f in films]
    cells[column] = Interval(max(apart), np.nan, np.nan, len(films))
  return [Figure('slot error, largest', MILLISECONDS, cells, at_most=11.6)]


def flatness_rows(voices: VoiceQuality) -> list[Figure]:
  """Spectral flatness by phoneme class, of takes and of held-out recordings of the same voices: flatness.png.

  Phonemes are located by forced alignment in both.
  """
  speakers = tuple(s for s in SEEN if len(voices.held_out(s)) >= FEW)
  found = {REAL: [(voices.recorded(r), r.text) for s in speakers for r in voices.held_out(s)]}
  for column in voices.columns:
    found[column] = [(voices.spoken(column, s, text), text) for s, text in voices.cast(speakers)]
  classes = {}
  for column, sounds in found.items():
    progress = tqdm(sounds, desc=f'flatness, {column}', unit='clip')
    by_class = [flatness_of(sound.wave(), text) for sound, text in progress]
    classes[column] = {name: [x for one in by_class for x in one[name]] for name in CLASSES}
  voices.out.mkdir(parents=True, exist_ok=True)
  draw_flatness(voices.out / 'flatness.png', classes)
  return [
    Figure(f'spectral flatness of {name}, dB', '{:.1f}', {c: interval(np.mean, classes[c][name]) for c in found})
    for name in CLASSES
  ]


def flatness_of(wave: np.ndarray, text: str) -> dict[str, list[float]]:
  """flatness_by_class of a sound (S,) by forced alignment of `text`; empty where it cannot be aligned."""
  try:
    alignment = align(resample(wave, SAMPLE_RATE, 16000), text)
  except BadInput:
    return {name: [] for name in CLASSES}
  return flatness_by_class(wave, alignment.phonemes, durations_in_frames(alignment, len(wave) // HOP))


def draw_flatness(path: Path, classes: dict[str, dict[str, list[float]]]):
  """Box plots of every column, an axis a class: quartiles, whiskers at the 10th and 90th percentile."""
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


def example_rows(voices: VoiceQuality) -> list[Figure]:
  """index.html: a few lines of each voice side by side. No metrics."""
  lines = min(3, voices.count)
  groups = {}
  for speaker in SEEN:
    groups[speaker] = [
      (r.text, [Example('recording', sound_of(r)), *_examples(voices, speaker, r.text, r)])
      for r in voices.held_out(speaker, lines)
    ]
  for speaker in ('p225', 's4', 'ravdess_19'):
    given = Example('reference', sound_of(reference(speaker)))
    texts = [text for _, text in voices.cast((speaker,), lines)]
    groups[f'{speaker}, unseen in training'] = [(t, [given, *_examples(voices, speaker, t)]) for t in texts]
  actor, text = voices.cast(ACTORS, 1)[0]
  real = {r.emotion: r for r in recordings(actor)}
  groups[f'{actor}, by emotion: {text}'] = [
    (e, [Example('recording, other words', sound_of(real[e])), *_examples(voices, actor, text, emotion=e)])
    for e in ('neutral', 'angry', 'disgust', 'fear', 'happy', 'sad', 'surprise')
  ]
  write_page(voices.out / 'index.html', f'Voice of {voices.models["director"].path.name}', groups)
  return []


def _examples(voices: VoiceQuality, speaker: str, text: str, recording: Recording | None = None, emotion: str = ''):
  vocoded = ('director', 'griffin-lim') if recording else ()
  names = {'director': 'recording through the vocoder', 'griffin-lim': 'recording through Griffin-Lim'}
  for column in vocoded:
    if column in voices.columns:
      yield Example(names[column], voices.vocoded(column, recording).wave())
  for column in voices.columns:
    yield Example(f'spoken, {column}', voices.spoken(column, speaker, text, emotion).wave())


ROWS = {
  'words': lambda b: word_rows(b, SEEN, 'word error, training voices', 0.015),
  'unseen': lambda b: word_rows(b, STRANGERS + ACTORS, 'word error, unseen voices', 0.015),
  'mos': mos_rows,
  'vocoder': vocoder_rows,
  'similarity': similarity_rows,
  'emotion': emotion_rows,
  'speed': speed_rows,
  'slots': slot_rows,
  'flatness': flatness_rows,
  'examples': example_rows,
}


# Output


def table(figures: list[Figure], columns: Iterable[str]) -> str:
  """Markdown table: a cell is the value, its interval and the number of clips."""
  columns = (*columns, REAL)
  rows = [f'| metric | threshold | {" | ".join(columns)} |', '|---' * (2 + len(columns)) + '|']
  for figure in figures:
    cells = (figure.cells.get(c) for c in columns)
    shown = (f'{c.show(figure.form)}, {c.clips}' if c else '' for c in cells)
    rows.append(f'| {figure.name} | {figure.threshold} | {" | ".join(shown)} |')
  return '\n'.join(rows) if figures else ''


def write(voices: VoiceQuality, figures: dict[str, list[Figure]], left_out: list[str]):
  everything = [f for row in figures.values() for f in row]
  caption = f'Value (95 % interval), clips. Model {voices.folder.name}.'
  text = '\n\n'.join(filter(None, [table(everything, voices.columns), caption, *left_out]))
  plain = {row: [_plain(f) for f in found] for row, found in figures.items()}
  voices.out.mkdir(parents=True, exist_ok=True)
  with complete_file(voices.out / 'table.md', overwrite=True) as beside:
    beside.write_text(text + '\n', encoding='utf-8')
  with complete_file(voices.out / 'table.json', overwrite=True) as beside:
    model = {'path': str(voices.models['director'].path), 'hash': voices.folder.name}
    beside.write_text(json.dumps({'model': model, 'rows': plain, 'left_out': left_out}, indent=1), encoding='utf-8')
  if any(f.threshold for f in everything):
    draw_figures(voices.out / 'figures.png', everything)
  print(f'{voices.out / "table.md"}')


def _plain(figure: Figure) -> dict:
  """A row as JSON, nan as null."""
  cells = {c: {k: None if v != v else v for k, v in vars(cell).items()} for c, cell in figure.cells.items()}
  return {'figure': figure.name, 'bar': figure.threshold, 'columns': cells}


def draw_figures(path: Path, figures: list[Figure]):
  """Bar charts of all metrics with a threshold: columns with their intervals, and the threshold as a line."""
  plt = _pyplot()
  shown = [f for f in figures if f.threshold]
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
    for bar in figure.thresholds:
      place.axhline(bar, color='#c0392b', linestyle='--', linewidth=1)
    place.set_title(f'{figure.name}\n({figure.threshold})', fontsize=8, wrap=True)
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
