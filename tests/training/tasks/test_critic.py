import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meshes import UNOPTIMIZED

from dubber_jax.config import Config, CriticTask
from dubber_jax.critic.config import CriticConfig
from dubber_jax.critic.inference import CriticModel
from dubber_jax.data.config import SourceConfig
from dubber_jax.data.packed import quantize, write_packed
from dubber_jax.errors import BadInput
from dubber_jax.training.config import TrainConfig
from dubber_jax.training.step import make_step, new_state
from dubber_jax.training.tasks.critic import CriticBatches, critic_sizes, critic_task, empty_batch, excerpt
from dubber_jax.training.tasks.critic_guidance import guidance_losses
from dubber_jax.types import EMOTIONS

CONFIG = Config(
  name='small',
  task=CriticTask(
    data=SourceConfig(sources=('made',)),
    critic=CriticConfig(width=16, layers=1, opinion=8, embedding=8, items=4, frames=64, shares=(1.0,)),
  ),
  train=TrainConfig(steps=30, learning_rate=3e-3, warmup_steps=2, decay_steps=1),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Eight recordings of two speakers with a mouth, half of them angry; one that only judges may hear."""
  rng, items = np.random.default_rng(0), []
  for i in range(9):
    features = {
      'mel': quantize(rng.normal(-5, 2, (60, 80)) + i % 2),
      'pitch': np.full(60, 120.0),
      'phonemes': [1, 20, 40, 1],
      'durations': [5, 20, 30, 5],
      'lips': np.tile(np.sin(np.arange(17.0))[:, None], 82) * (i + 1),
      'lip_present': np.ones(17, bool),
      'speaker': np.ones(256),
    }
    row = {
      'key': f'made/{i}',
      'set': 'ravdess',
      'speaker': 'ab'[i // 4 % 2],
      'text': '',
      'emotion': ('neutral', 'angry')[i % 2],
      'split': 'train' if i < 8 else 'test',
    }
    items.append((row, features))
  write_packed(tmp_path_factory.mktemp('packed') / 'made', items)
  return next(iter(tmp_path_factory.getbasetemp().glob('packed*/made')))


def test_speech_of_judges_and_tests_is_never_heard(folder):
  assert CriticBatches(CONFIG, [folder]).items[0].tolist() == list(range(8))
  assert CriticBatches(CONFIG, [folder], splits=('test',)).items[0].tolist() == [8]
  with pytest.raises(BadInput, match='may hear'):
    CriticBatches(CONFIG, [folder], splits=('train_b',))


def test_batch_is_the_same_whatever_was_read_before(folder):
  source = CriticBatches(CONFIG, [folder])
  first = source[3]
  for name, value in CriticBatches(CONFIG, [folder])[3].items():
    np.testing.assert_array_equal(value, first[name], err_msg=name)
  halves = [CriticBatches(CONFIG, [folder], host=(i, 2))[3]['mel'] for i in range(2)]
  np.testing.assert_array_equal(np.concatenate(halves), first['mel'])


def test_mouth_that_does_not_go_with_the_sound_is_not_its_own(folder):
  source = CriticBatches(CONFIG, [folder])
  own, told = source.sets[0].features(0)['lips'], set()
  for seed in range(10):
    batch = empty_batch(source.config, 1)
    source.fill_item(batch, 0, 0, 0, np.random.default_rng(seed))
    assert np.array_equal(batch['lips'][0, : len(own)], own) == batch['in_sync'][0]
    told.add(bool(batch['in_sync'][0]))
  assert told == {True, False}


def test_reference_is_plain_speech_of_the_same_speaker(folder):
  source = CriticBatches(CONFIG, [folder])
  batch = empty_batch(source.config, 1)
  source.fill_item(batch, 0, 0, 5, np.random.default_rng(0), plain=True)
  neutral = [source.sets[0].features(i)['mel'] for i in (4, 6)]
  assert any(np.allclose(batch['reference'][0, :60], np.maximum(mel, np.log(1e-5)), atol=1e-5) for mel in neutral)


@pytest.fixture(scope='module')
def strangers(tmp_path_factory):
  """Sound without a text, one long recording each of two people; and a line whose F0 was changed."""
  rng, items = np.random.default_rng(1), []
  for i, frames in enumerate((200, 180, 60)):
    spoken = i == 2
    features = {
      'mel': quantize(np.arange(frames)[:, None] / 40 - 8 + rng.normal(0, 0.1, (frames, 80))),
      'pitch': np.full(frames, 100.0),
      'phonemes': [1, 20, 1] if spoken else [],
      'durations': [5, 50, 5] if spoken else [],
      'lips': np.zeros((0, 82)),
      'lip_present': np.zeros(0, bool),
      'speaker': np.ones(256),
    }
    row = {
      'key': f'libri/{i}',
      'set': 'librispeech',
      'speaker': f'l{i}',
      'text': '',
      'emotion': 'neutral',
      'split': 'train',
      'edit': {'shift': 4.0} if spoken else None,
    }
    items.append((row, features))
  folder = tmp_path_factory.mktemp('strangers') / 'made'
  write_packed(folder, items)
  return folder


def test_only_recording_of_a_speaker_is_known_by_another_part_of_itself(strangers):
  source = CriticBatches(CONFIG, [strangers])
  for seed in range(5):
    batch = empty_batch(source.config, 1)
    source.fill_item(batch, 0, 0, 0, np.random.default_rng(seed), plain=True)
    level, known = batch['mel'][0].mean(-1), batch['reference'][0][batch['reference_mask'][0]].mean(-1)
    assert len(known) >= 64 and (known.max() < level.min() + 0.1 or known.min() > level.max() - 0.1)  # it rises
    assert not batch['transcribed'][0] and batch['durations'].sum() == CONFIG.task.critic.frames


@pytest.fixture(scope='module')
def params(strangers):
  """Initial parameters of the critic."""
  batch = empty_batch(CONFIG, 4)
  return jax.jit(critic_task(CONFIG).init, compiler_options=UNOPTIMIZED)(jax.random.key(0), batch)


@pytest.fixture(scope='module')
def loss_and_gradient():
  """(params, batch) -> ((loss, losses), gradient), compiled once for the batches of this file."""

  def loss(params, batch):
    return critic_task(CONFIG).loss(params, batch, jax.random.key(1))

  return jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=UNOPTIMIZED)


@pytest.mark.slow
def test_recording_without_text_teaches_voice_naturalness_and_pitch_alone(strangers, params, loss_and_gradient):
  batch = empty_batch(CONFIG, 4)
  for row, item in enumerate((0, 1, 0, 1)):
    CriticBatches(CONFIG, [strangers]).fill_item(batch, row, 0, item, np.random.default_rng(row))
  (_, losses), gradient = loss_and_gradient(params, batch)
  assert all(np.isfinite(float(x)) for x in losses.values())
  assert {name for name, x in losses.items() if float(x) == 0 and '/' not in name} == {
    'intelligibility',
    'phones',
    'emotion',
    'av_sync',
    'neutral_template',
    'neutral_log_duration',
  }
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  assert np.abs(gradient['natural']['out']['kernel']).max() > 0 == np.abs(gradient['emotion']['out']['kernel']).max()


def test_line_with_changed_pitch_says_nothing_of_naturalness_nor_emotion(strangers, params, loss_and_gradient):
  source = CriticBatches(CONFIG, [strangers])
  batch = empty_batch(source.config, 4)
  for row in range(4):
    source.fill_item(batch, row, 0, 2, np.random.default_rng(row))
  assert batch['edited'].all() and batch['transcribed'].all()
  (_, losses), _ = loss_and_gradient(params, batch)
  assert losses['naturalness'] == losses['emotion'] == losses['neutral_template'] == 0 < losses['intelligibility']


def test_part_of_a_long_recording_begins_and_ends_between_phonemes():
  durations = np.array([10, 7, 30, 4, 9, 25, 15, 20])
  ends = np.cumsum(durations)
  found = {
    'mel': np.arange(ends[-1])[:, None] * np.ones(80),
    'pitch': np.arange(ends[-1]),
    'durations': durations,
    'phonemes': np.arange(1, 9),
    'lips': np.zeros((0, 82)),
    'lip_present': np.zeros(0, bool),
  }
  begun = set()
  for seed in range(30):
    first, part = excerpt(found, 60, 4, True, np.random.default_rng(seed))
    assert first in {0, *ends} and first + len(part['mel']) in set(ends) and part['mel'][0, 0] == first
    assert len(part['mel']) == len(part['pitch']) == part['durations'].sum() <= 60 and len(part['phonemes']) <= 4
    np.testing.assert_array_equal(part['durations'], durations[part['phonemes'] - 1])
    begun.add(first)
  assert len(begun) > 2
  assert excerpt(found, 200, 50, True, np.random.default_rng(0))[0] == 0


def test_sources_share_by_their_shares_and_shards_by_their_items(folder, strangers):
  config = CONFIG.with_task(critic=dataclasses.replace(CONFIG.task.critic, shares=(3.0, 1.0)))
  source = CriticBatches(config, [folder, [strangers, folder]])
  np.testing.assert_allclose(source.shares, [0.75, 0.25 * 3 / 11, 0.25 * 8 / 11])


@pytest.mark.slow
def test_training_learns_what_it_hears(folder, params):
  task, batch = critic_task(CONFIG), CriticBatches(CONFIG, [folder])[0]
  state = new_state(dataclasses.replace(task, init=lambda key, batch: params), batch, None)
  step = jax.jit(make_step(CONFIG, task), compiler_options=UNOPTIMIZED)
  totals = []
  for _ in range(25):
    state, metrics = step(state, batch)
    totals.append(float(metrics['total']))
  assert totals[-1] < 0.8 * totals[0]


def test_guidance_moves_what_is_performed_and_leaves_the_critic(folder, params):
  """A performer whose mel is its weights plus what it is told to feel."""
  batch = CriticBatches(CONFIG, [folder])[0]
  critic = CriticModel(critic_sizes(CONFIG), params, {})
  nodes = {name: np.ones((4, 3), np.float32) for name in ('present', 'refs_present', 'sounds_present')}
  batch |= nodes | {'reference_plain': np.ones(4, bool), 'domain': np.zeros(4, np.int32)}
  asked = []

  def losses(weights):
    def synthesize(told, durations, controls, frames):
      asked.append(told)
      mel = batch['mel'] + weights[told['directed'].argmax(-1)][:, None]
      return jnp.broadcast_to(mel, (4, frames, 80)), None, None

    return guidance_losses(synthesize, critic, batch, jax.random.key(1))['guidance']

  gradient = jax.jit(jax.grad(losses), compiler_options=UNOPTIMIZED)(jnp.zeros((len(EMOTIONS), 80)))
  assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
  assert asked[0]['present'].aval.shape == (4, 3)
  assert np.abs(gradient[EMOTIONS.index('others')]).max() == 0  # which nobody can tell
