r"""Trains the shipped actor in four stages: clean speech, adversarial, emotional speech, and guidance by a critic.

    dubber train experiments/recipes/first_voice.py                    # all stages, one after the other
    dubber train experiments/recipes/first_voice.py --arm sharp        # one alone
    # before `felt`, which needs a training critic (experiments/recipes/critic.py has its data):
    dubber train experiments/recipes/critic.py --arm training_critic
    python experiments/recipes/critic.py runs/critic/training_critic -o runs/training_critic
    dubber train experiments/recipes/first_voice.py --arm felt
    dubber release runs/first_voice/felt --critic runs/critic_model -o model/ \
      --voices $(python experiments/recipes/shipped_voices.py)

`speech` learns pronunciation, durations and voices from all the speech, lips included (GRID). `sharp` fine-tunes it
against discriminators, since distances alone give the blurred mean of all possible renderings. `acted` adds the
emotional speech of RAVDESS and replays the rest, so that pronunciation is not lost; sets that are small, or matter
more, are named more than once. `felt` adds a critic's scores to the losses (training/tasks/critic_guidance.py): acted
speech has two sentences, and emotions have to be audible in any.

Features take about 25 minutes on two cores, `speech` 25, `sharp` 100 and `felt` 55, most of it measured beside other
work. docs/results/voice.md has the results of each; the metrics of the shipped model are in its CARD.md.
"""

import dataclasses

from dubber_jax.actor.config import ActorConfig, AdversarialConfig, GuidanceConfig
from dubber_jax.config import ActorTask, Config
from dubber_jax.data.batches import DOMAINS
from dubber_jax.data.config import DataConfig
from dubber_jax.script.symbols import LANGUAGES, SYMBOLS
from dubber_jax.training.config import TrainConfig

SPEECH = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'grid', 'cache/teacher')


def arms() -> dict[str, Config]:
  speech = Config(
    name='first_voice/speech',
    task=ActorTask(
      actor=ActorConfig(
        width=224, text_layers=4, text_heads=4, style_width=160, condition_width=192, timbre_heads=4,
        prosody_width=160, noise_width=16, domains=DOMAINS, directed=True, directed_condition=True,
        symbols=len(SYMBOLS), languages=len(LANGUAGES),
      ),
      data=DataConfig(sources=SPEECH, buckets=(320, 576), frames_per_batch=5120, reference_damage=0.4),
    ),
    train=TrainConfig(
      steps=4000, learning_rate=8e-4, warmup_steps=200, decay_steps=0, save_every=200, sample_every=500, unroll=True,
    ),
  )  # fmt: skip
  sharp = speech.replace(
    name='first_voice/sharp',
    task=dataclasses.replace(speech.task, adversarial=AdversarialConfig(weight=0.3, feature_weight=0.5)),
    train=TrainConfig(
      steps=12000,
      learning_rate=5e-4,
      warmup_steps=100,
      decay_steps=3000,
      ema=0.999,
      save_every=200,
      sample_every=1000,
      unroll=True,
      init_from='runs/first_voice/speech',
    ),
  )
  acted = sharp.replace(
    name='first_voice/acted',
    task=dataclasses.replace(
      sharp.task, data=dataclasses.replace(sharp.task.data, sources=(*SPEECH, *('ravdess',) * 4))
    ),
    train=dataclasses.replace(
      sharp.train, steps=3000, learning_rate=4e-4, decay_steps=1000, init_from='runs/first_voice/sharp'
    ),
  )
  felt = acted.replace(
    name='first_voice/felt',
    task=dataclasses.replace(
      acted.task, guidance=GuidanceConfig(critic='runs/training_critic', weight=0.1, share=0.25)
    ),
    train=dataclasses.replace(
      acted.train, steps=1200, learning_rate=3e-4, warmup_steps=30, decay_steps=700, init_from='runs/first_voice/acted'
    ),
  )
  return {'speech': speech, 'sharp': sharp, 'acted': acted, 'felt': felt}
