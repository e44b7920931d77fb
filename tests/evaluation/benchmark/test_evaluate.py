"""From a made-up experiment to its report, with a tiny model and judges that need no package."""

import dataclasses
import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.benchmark.benchmark import Benchmark, Judging, Results, System, SystemOutput
from dubber_jax.evaluation.benchmark.evaluate import Evaluation, Extent, evaluate
from dubber_jax.evaluation.benchmark.stimuli import Stimulus, balanced, read_lines, spread
from dubber_jax.evaluation.benchmark.tables import Comparison, write_gains
from dubber_jax.evaluation.metrics.emotion import JUDGED, Discriminant
from dubber_jax.types import SAMPLE_RATE, Direction, Take, Voice

EXPERIMENTS = Path(__file__).parents[3] / 'experiments'
STIMULI = [Stimulus(f'line/{i}/ada', f'Line number {i}.', JUDGED[i % 7], 'ada') for i in range(8)]
PITCH = 200.0  # Hz: emotion i is a tone of PITCH * (i + 1) here


def tone(number: int, seed: int = 0) -> np.ndarray:
  time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
  return (0.1 * np.sin(2 * np.pi * PITCH * (number + 1) * time + seed)).astype(np.float32)


def output_of(wave) -> SystemOutput:
  take = Take(np.zeros((4, 80), np.float32), ('@sil',), np.array([4]), np.zeros(4), np.zeros(8), wave)
  return SystemOutput(take, {'rounds': 1, 'takes': 1})


class ToneClassifier:
  """Emotion classifier of the tones."""

  emotions = JUDGED
  digest = 'made-up'
  with_neutral = Discriminant(np.zeros(14), np.ones(14), 9 * np.eye(14, 7), np.zeros(7))


def judges(asked: list):
  def open_judge(name):
    def judge(wave, rate):
      asked.append(name)
      spectrum = np.abs(np.fft.rfft(wave))
      number = round(np.argmax(spectrum) * rate / len(wave) / PITCH) - 1
      return {
        'functionals': [float(number == i) for i in range(7)],
        'mos': 3.0 + 0.1 * number,
        'words': 'line number one',
        'cleanliness': {'overall': 3.0},
        'voice': [1.0, 0.5],
      }[name]

    return judge

  return open_judge


RECORDINGS = {
  name: SimpleNamespace(key=name, speaker='ada', emotion=emotion, set='made-up', id=name)
  for name, emotion in (('plain', 'neutral'), ('other', 'neutral'), *((e, e) for e in JUDGED))
}
CAST = SimpleNamespace(
  voice=lambda speaker, actor: Voice(np.full(256, 0.06, np.float32), np.zeros((40, 80), np.float32), speaker),
  neutral=lambda speaker: [RECORDINGS['plain'], RECORDINGS['other']],
  another=lambda speaker: RECORDINGS['other'],
  recordings=lambda speaker: list(RECORDINGS.values()),
  acted=lambda speaker, emotion: [r for r in RECORDINGS.values() if r.emotion == emotion],
  reference=lambda speaker: RECORDINGS['plain'],
  sound_of=lambda recording: tone(JUDGED.index(recording.emotion)),
)
JUDGING = Judging(CAST, emotion_classifier=ToneClassifier())


def systems(calls: list) -> dict[str, System]:
  def flat(inputs):
    calls.append(('off', inputs.seed, inputs.label))
    return output_of(tone(JUDGED.index('neutral'), inputs.seed))

  def labeled(inputs):
    calls.append(('on', inputs.seed, inputs.label))
    return output_of(tone(JUDGED.index(inputs.label)))

  return {'off': System(flat), 'on': System(labeled, sees_label=True), 'once': System(flat, seeds=1)}


def report(results: Results, out, facts):
  gains = [Comparison(f, 'on', 'off', results.gain('on', 'off', f)) for f in ('emotion_accuracy', 'naturalness')]
  write_gains(out, gains, ('on', 'off'), facts)
  return Path(out) / 'gains.json'


def run(folder, calls, asked, model, stimuli=STIMULI, **extent):
  made = Evaluation(systems(calls), report, stimuli)
  judging = Judging(CAST, judges(asked), ToneClassifier())
  return evaluate(made, model, None, folder / 'work', folder / 'report', Extent(**extent), judging)


def test_a_second_run_computes_and_changes_nothing(model, tmp_path):
  calls, asked = [], []
  path = run(tmp_path, calls, asked, model, seeds=2)
  written = {p.name: p.read_bytes() for p in path.parent.iterdir()}
  assert len(calls) == 8 * (2 + 2 + 1) and len(asked) > 0
  again, more = [], []
  assert run(tmp_path, again, more, model, seeds=2) == path and again == [] and more == []
  assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == written
  run(tmp_path, again, more, model, seeds=3)
  assert {seed for _, seed, _ in again} == {2}


def test_a_killed_run_resumes(model, tmp_path):
  def stopped(inputs):
    if inputs.line.text == STIMULI[4].text:
      raise KeyboardInterrupt
    return whole['off'].run(inputs)

  calls = []
  whole = systems(calls)
  broken = Evaluation({'off': System(stopped), 'on': whole['on'], 'once': whole['once']}, report, STIMULI)
  with pytest.raises(KeyboardInterrupt):
    evaluate(
      broken,
      model,
      None,
      tmp_path / 'work',
      tmp_path / 'report',
      Extent(seeds=1),
      Judging(CAST, judges([]), ToneClassifier()),
    )
  assert not (tmp_path / 'report').exists() and len(calls) == 4 * 3
  run(tmp_path, calls, [], model, seeds=1)
  assert len(calls) == 8 * 3


def test_only_a_system_that_sees_labels_gets_the_label(model, tmp_path):
  calls = []
  run(tmp_path, calls, [], model, seeds=1)
  assert {label for name, _, label in calls if name == 'off'} == {''}
  assert [label for name, _, label in calls if name == 'on'] == [s.emotion for s in STIMULI]


def test_systems_are_compared_clip_by_clip(model, tmp_path):
  gains = json.loads(run(tmp_path, [], [], model, seeds=2).read_text())
  accuracy = gains['emotion_accuracy_gain']
  assert accuracy['base'] == pytest.approx(1 / 8) and accuracy['other'] == 1.0 and accuracy['clips'] == 8
  assert {'mean', 'low', 'high', 'smallest'} <= set(accuracy) and accuracy['mean'] == pytest.approx(7.0)
  assert gains['naturalness_gain']['told_from_zero'] in (True, False)
  assert gains['facts']['seeds of takes'] == '0, 1' and gains['facts']['commit']


def test_the_same_sound_is_judged_once(model, tmp_path):
  asked = []
  run(tmp_path, [], asked, model, seeds=1)
  sounds = len(list((tmp_path / 'work').rglob('sounds/*.wav')))
  assert sounds == 7  # one a tone: `off`, `once` and `on` of a neutral line are the same
  assert asked.count('mos') == sounds


def test_shares_add_up_to_the_whole(model, tmp_path):
  calls, asked = [], []
  for i in range(3):
    assert run(tmp_path, calls, asked, model, seeds=1, share=(i, 3)) is None
  assert len(calls) == 8 * 3 and 'mos' in asked
  more = []
  path = run(tmp_path, calls, more, model, seeds=1)
  assert path.exists() and len(calls) == 8 * 3 and 'mos' not in more


def test_other_weights_or_settings_are_other_takes(model, tmp_path):
  first = Benchmark(
    tmp_path,
    {'a': System(output_of)},
    {'': model},
    None,
    STIMULI,
    1,
    judging=JUDGING,
  )
  params = {**model.params, 'duration': {k: v for k, v in model.params['duration'].items()}}
  params['emotion'] = {k: {n: v + 1 for n, v in p.items()} for k, p in params['emotion'].items()}
  other = dataclasses.replace(model, params=params, path=tmp_path)
  second = Benchmark(
    tmp_path,
    {'a': System(output_of)},
    {'': other},
    None,
    STIMULI,
    1,
    judging=JUDGING,
  )
  third = Benchmark(
    tmp_path,
    {'a': System(output_of, 'louder')},
    {'': model},
    None,
    STIMULI,
    1,
    judging=JUDGING,
  )
  assert len({b.folder / b.key('a', STIMULI[0], 0) for b in (first, second, third)}) == 3
  assert first.key('a', dataclasses.replace(STIMULI[0], text='Another line.'), 0) != first.key('a', STIMULI[0], 0)
  with pytest.raises(BadInput, match='no arm'):
    Benchmark(
      tmp_path,
      {'a': System(output_of, weights='b')},
      {'': model},
      None,
      STIMULI,
      1,
      judging=JUDGING,
    )


def test_every_voice_has_as_many_lines_of_each_emotion_with_and_without_a_face():
  lines = read_lines(EXPERIMENTS / 'data' / 'emotional_lines.jsonl')
  counts = Counter((s.speaker, s.emotion, bool(s.scene)) for s in lines)
  assert len(lines) >= 100 and len(counts) == 4 * 7 * 2 and set(counts.values()) == {2}
  assert len({s.key for s in lines}) == len(lines)
  for every in (2, 4):
    part = balanced(lines, every)
    counts = Counter((s.speaker, s.emotion, bool(s.scene)) for s in part)
    assert len(set(part)) == len(lines) // every
    assert set(Counter(s.emotion for s in part).values()) == {16 // every}
    assert set(Counter((s.speaker, bool(s.scene)) for s in part).values()) <= {14 // every, -(-14 // every)}
    assert max(counts.values()) == 1
  few = spread(lines, 14)
  assert len({s.emotion for s in few}) == 7 and len(set(few)) == 14


def test_the_mood_of_a_drawn_film_is_in_its_pixels_alone(tmp_path):
  drawn = Stimulus('line/1/ada', 'Go!', 'angry', 'ada', scene='angry')
  clip = drawn.clip(tmp_path)
  assert len(clip.frames) == round(clip.seconds * 25) and 'angry' not in clip.path
  assert clip.seconds == pytest.approx(drawn.seconds, abs=0.021)


def experiment(name):
  spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / 'tables' / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize('name', ['gains', 'ablations', 'retrieval', pytest.param('settings', marks=pytest.mark.slow)])
def test_the_reports_are_written_of_any_judgements(name, model, tmp_path, monkeypatch):
  module = experiment(name)
  real = module.evaluation(model, steps=0)

  def run_line(inputs):
    number = int(inputs.line.text.split()[-1].strip('.'))
    made = output_of(tone(number % 7 if number % 2 else 0, inputs.seed))
    return SystemOutput(made.take, {**made.facts, 'intended': 3, 'retrieved_text_0': 3, 'accepted': 1, 'critic': 0.5})

  short = {name: dataclasses.replace(system, run=run_line) for name, system in real.systems.items()}
  if name == 'retrieval':
    monkeypatch.setattr(module, 'overlaps', lambda results: [{'name': 'dot', 'share': 1.0}])
  made = dataclasses.replace(real, systems=short, stimuli=STIMULI)
  path = evaluate(
    made,
    model,
    None,
    tmp_path / 'work',
    tmp_path / 'report',
    Extent(seeds=2),
    Judging(CAST, judges([]), ToneClassifier()),
  )
  data = json.loads(path.read_text())
  text = path.with_suffix('.md').read_text()
  if name == 'gains':
    assert {'mean', 'low', 'high'} <= set(data['naturalness_gain']) and data['emotion_accuracy_gain']['target'] == 0.236
    assert 'not significant' in text and (path.parent / 'gains-sounds.html').exists()
    for picture in ('gains.png', 'gains-confusion.png', 'gains-by-emotion.png', 'gains-rounds-naturalness.png'):
      assert (path.parent / picture).stat().st_size > 0 and picture in text
  else:
    assert len(data['rows']) == {'ablations': 9, 'retrieval': 9, 'settings': 1}[name]
  if name == 'settings':
    assert data['rows'][0]['name'] == 'Dub 3.0, lines: on over off' and len(data['emotional_lines']) == 2


def test_the_arms_that_are_trained_differ_in_the_director_alone():
  from dubber_jax.config import difference

  gains, ablations = experiment('gains').arms(), experiment('ablations').arms()
  assert difference(gains['off'], gains['on']) == ['name: gains/off / gains/on', 'task.director.enabled: False / True']
  for number, switch in ((10, 'graph'), (11, 'build_then_encode'), (12, 'hierarchical')):
    changed = difference(ablations['anew'], ablations[f'row_{number}'])
    assert changed[1:] == [f'task.director.{switch}: True / False']


def test_training_the_emotion_path_leaves_the_voice_alone(model):
  from dubber_jax.evaluation.benchmark.finetune_director import emotion_config, emotion_task, on_path

  optimizer = emotion_task(emotion_config(model.config, 'x', 10)).optimizer()
  params = {name: {'kernel': np.ones((2, 2), np.float32)} for name in model.params}
  state = optimizer.init(params)
  for _ in range(2):  # the rate of the first step is zero
    updates, state = optimizer.update(params, state, params)
  moved = {name: bool(np.any(part['kernel'])) for name, part in updates.items()}
  assert moved == {name: on_path(name) for name in params}
  assert moved['graphs'] and moved['emotion'] and not moved['decoder'] and not moved['duration']


@pytest.mark.slow
def test_another_architecture_starts_from_the_weights_that_fit(model):
  from dubber_jax.evaluation.benchmark.finetune_director import emotion_config, starting_weights
  from dubber_jax.storage.weights import flatten

  config = emotion_config(model.config, 'x', 10, build_then_encode=False)
  started, base = flatten(starting_weights(config, model, anew=False)), flatten(model.params)
  assert any('whole' in name for name in started) and not any('graphs/basic' in name for name in started)
  assert all(np.array_equal(v, base[k]) for k, v in started.items() if k in base and 'whole' not in k)
  anew = flatten(starting_weights(config, model, anew=True))
  assert not np.array_equal(anew['graphs/own_scene/kernel'], base['graphs/own_scene/kernel'])


def test_the_upper_bound_gets_the_emotion_and_nothing_else(model, monkeypatch):
  from dubber_jax.evaluation.benchmark import systems as module
  from dubber_jax.evaluation.benchmark.benchmark import SystemInput
  from dubber_jax.types import Line

  seen = []

  def synthesize_all(model, inputs, directions, seeds):
    seen.append((inputs, directions))
    return [output_of(None).take]

  monkeypatch.setattr(module, 'synthesize_all', synthesize_all)
  monkeypatch.setattr(module, 'vocode', lambda model, take, seed: take)
  module.labeled().run(SystemInput(model, None, Line('Go on.'), CAST.voice('ada', None), None, 0, 'fear'))
  inputs, (direction,) = seen[0]
  assert direction.emotion[2] == 1.0 and sum(direction.emotion) == 1.0 and direction.pitch_shift == 0.0
  assert not inputs.reading.present.any() and inputs.exemplars is None
  assert direction.replace(emotion=Direction().emotion, intensity=Direction().intensity) == Direction()


def test_a_file_that_is_no_benchmark_is_refused_in_one_line(capsys):
  assert main(['evaluate', str(EXPERIMENTS / 'recipes' / 'tiny.py')]) == 2
  assert 'no evaluation' in capsys.readouterr().err
  assert main(['evaluate', 'nowhere.py']) == 2
  assert main(['evaluate', str(EXPERIMENTS / 'tables' / 'gains.py'), '--workers', '0']) == 2
  assert '--workers 0' in capsys.readouterr().err


def test_lip_sync_and_reference_distances_are_of_real_films_alone(model, tmp_path):
  asked = []

  def open_judge(name):
    def judge(wave, rate, film):
      asked.append((name, film))
      return {'agreement': -0.5, 'late': -40.0, 'cosine': 0.4} if name == 'lips' else {'mcd': 6.0, 'pitch_rmse': None}

    return judge

  film = tmp_path / 'film.mp4'
  stimuli = [STIMULI[0], dataclasses.replace(STIMULI[1], key='film/1/ada', film=film, person='ada')]
  made = {'a': System(lambda inputs: output_of(tone(1)))}
  benchmark = Benchmark(
    tmp_path / 'work',
    made,
    {'': model},
    None,
    stimuli,
    1,
    ('lips', 'reference'),
    Judging(CAST, open_judge, ToneClassifier()),
  )
  drawn_clip = benchmark._clip
  benchmark._clip = lambda stimulus: None if stimulus.film else drawn_clip(stimulus)  # the film need not exist
  results = benchmark.run()
  assert asked == [('lips', film), ('reference', film)]
  assert results.summary('a', 'lip_offset', [1]).value == 40.0 and results.summary('a', 'mcd', [1]).value == 6.0
  assert np.isnan(results.table('a', 'lip_sync')[0, 0]) and np.isnan(results.table('a', 'pitch_rmse')).all()


def test_a_voice_of_another_file_is_another_take(model, tmp_path):
  benchmark = Benchmark(
    tmp_path,
    {'a': System(output_of)},
    {'': model},
    None,
    STIMULI,
    1,
    judging=JUDGING,
  )
  given = dataclasses.replace(STIMULI[0], given=tmp_path / 'own.wav')
  assert benchmark.key('a', given, 0) != benchmark.key('a', STIMULI[0], 0)


def test_settings_are_for_experiments_that_compare_them(capsys):
  assert main(['evaluate', str(EXPERIMENTS / 'tables' / 'gains.py'), '--settings', '2.0']) == 2
  assert 'compares no settings' in capsys.readouterr().err


def test_two_reports_differ_or_not(model, tmp_path, capsys):
  first = run(tmp_path / 'a', [], [], model, seeds=1)
  assert main(['evaluate', '--compare', str(first), str(first)]) == 0
  shown = capsys.readouterr().out
  assert 'emotion_accuracy_gain' in shown and 'no significant difference' in shown and 'higher' not in shown
