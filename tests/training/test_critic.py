
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dubber_jax.clip import EMOTIONS
from dubber_jax.config import Config, CriticConfig, DataConfig, TrainConfig
from dubber_jax.director.listening import Listener
from dubber_jax.errors import BadInput
from dubber_jax.training.critic import CriticBatches, critic_sizes, critic_task
from dubber_jax.training.guidance import guidance_losses
from dubber_jax.training.packed import quantise, write_packed
from dubber_jax.training.sharding import make_mesh
from dubber_jax.training.step import create_state, make_step

CONFIG = Config(
  name='small', task='critic', data=DataConfig(sources=('made',)),
  critic=CriticConfig(width=16, layers=1, opinion=8, embedding=8, items=4, frames=64, shares=(1.0,)),
  train=TrainConfig(steps=30, learning_rate=3e-3, warmup_steps=2, decay_steps=1),
)  # fmt: skip


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Eight recordings of two speakers with a mouth, half of them angry; one that only judges may hear."""
  rng, items = np.random.default_rng(0), []
  for i in range(9):
    features = {
      'mel': quantise(rng.normal(-5, 2, (60, 80)) + i % 2), 'pitch': np.full(60, 120.0), 'phonemes': [1, 20, 40, 1],
      'durations': [5, 20, 30, 5], 'lips': np.tile(np.sin(np.arange(17.0))[:, None], 82) * (i + 1),
      'lip_present': np.ones(17, bool), 'speaker': np.ones(256),
    }  # fmt: skip
    row = {
      'key': f'made/{i}', 'set': 'ravdess', 'speaker': 'ab'[i // 4 % 2], 'text': '',
      'emotion': ('neutral', 'angry')[i % 2], 'split': 'train' if i < 8 else 'test',
    }  # fmt: skip
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
    batch = source.empty(1)
    source.lay(batch, 0, 0, 0, np.random.default_rng(seed))
    assert np.array_equal(batch['lips'][0, : len(own)], own) == batch['together'][0]
    told.add(bool(batch['together'][0]))
  assert told == {True, False}


def test_reference_is_plain_speech_of_the_same_speaker(folder):
  source = CriticBatches(CONFIG, [folder])
  batch = source.empty(1)
  source.lay(batch, 0, 0, 5, np.random.default_rng(0), plain=True)
  neutral = [source.sets[0].features(i)['mel'] for i in (4, 6)]
  assert any(np.allclose(batch['reference'][0, :60], np.maximum(mel, np.log(1e-5)), atol=1e-5) for mel in neutral)


def test_training_learns_what_it_hears(folder):
  task, source = critic_task(CONFIG), CriticBatches(CONFIG, [folder])
  batch = source[0]
  state, _ = create_state(CONFIG, task, batch, make_mesh(CONFIG.mesh))
  step = jax.jit(make_step(CONFIG, task))
  totals = []
  for _ in range(25):
    state, metrics = step(state, batch)
    totals.append(float(metrics['total']))
  assert totals[-1] < 0.8 * totals[0]


def test_guidance_moves_what_is_performed_and_leaves_the_critic(folder):
  """A performer whose mel is its weights plus what it is told to feel."""
  batch = CriticBatches(CONFIG, [folder])[0]
  task = critic_task(CONFIG)
  critic = Listener(critic_sizes(CONFIG), jax.jit(task.init)(jax.random.key(0), batch), {})
  nodes = {name: np.ones((4, 3), np.float32) for name in ('present', 'refs_present', 'sounds_present')}
  batch |= nodes | {'reference_plain': np.ones(4, bool)}
  asked = []

  def losses(weights):
    def perform(told, durations, controls, frames):
      asked.append(told)
      mel = batch['mel'] + weights[told['directed'].argmax(-1)][:, None]
      return jnp.broadcast_to(mel, (4, frames, 80)), None, None

    return guidance_losses(perform, critic, batch, jax.random.key(1))['guidance']

  gradient = jax.jit(jax.grad(losses))(jnp.zeros((len(EMOTIONS), 80)))
  assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
  assert asked[0]['present'].aval.shape == (4, 3)
  assert np.abs(gradient[EMOTIONS.index('others')]).max() == 0  # which nobody can tell


