"""The first voice: pronunciation and voices from clean speech, then films and the director, sharpness, and feeling.

    dubber train experiments/first_voice.py                    # all three, one after the other
    python -m data_pipelines.waves cache/packed/*              # before `sharp`: the sound behind the packed features,
    python -m data_pipelines.warped cache/packed/*-????????    # and voices that nobody has, made of it
    dubber train experiments/first_voice.py --arm sharp        # one alone
    python -m data_pipelines.degraded cache/packed/*-????????  # before `felt`: recordings spoilt by degrees,
    dubber train experiments/critic.py                         # of which a critic learns,
    python experiments/critic.py runs/critic/coach -o runs/coach
    dubber train experiments/first_voice.py --arm felt
    dubber release runs/first_voice/felt --critic runs/critic_model -o model/

`speech` learns to pronounce, to keep time and to sound like someone, on all the speech, with a silent director. `film`
goes on from its weights with lips (GRID) and with the director's nodes (emotional speech of RAVDESS), and replays the
rest so that pronunciation is not lost. `sharp` goes on from there against discriminators, since what is learned by
distance alone is the blurred mean of all that might be said, and with more voices, so that one never heard is followed;
sets of which there is little, or much to learn from, are named more than once. `felt` goes on with a critic's opinions
among its losses (training/guidance.py): acted speech has two sentences, and feelings have to be heard in any.

Features take about 25 minutes on two cores, `speech` 25, `film` 50, `sharp` 100 and `felt` 55, most of it shared with
other work.
What each gives is in docs/voice.md; the figures of what ships, in its CARD.md.
"""

import dataclasses

from dubber_jax.config import ActorConfig, AdversarialConfig, Config, DataConfig, GuidanceConfig, TrainConfig

SPEECH = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'ravdess')


def arms() -> dict[str, Config]:
  speech = Config(
    name='first_voice/speech',
    actor=ActorConfig(noise_width=16, directed=True),
    data=DataConfig(sources=SPEECH, buckets=(320, 640), frames_per_batch=6400, films=False, readings=False),
    train=TrainConfig(steps=600, decay_steps=0),
  )
  film = speech.replace(
    name='first_voice/film',
    data=DataConfig(sources=(*SPEECH, 'grid'), buckets=(320, 640), frames_per_batch=6400),
    train=TrainConfig(steps=1600, warmup_steps=50, decay_steps=500, init_from='runs/first_voice/speech'),
  )
  sharp = film.replace(
    name='first_voice/sharp',
    adversarial=AdversarialConfig(weight=1.0),
    data=DataConfig(
      sources=(*SPEECH, 'ravdess', *('ljspeech',) * 3, 'grid', 'cache/packed/warped'), buckets=(320, 640),
      frames_per_batch=4800,
    ),
    train=TrainConfig(
      steps=2000, learning_rate=5e-4, warmup_steps=100, decay_steps=500, save_every=100, sample_every=250,
      init_from='runs/first_voice/film',
    ),
  )  # fmt: skip
  felt = sharp.replace(
    name='first_voice/felt',
    guidance=GuidanceConfig(critic='runs/coach', weight=0.25, share=0.25),
    data=dataclasses.replace(sharp.data, sources=(*sharp.data.sources, 'ravdess', 'ravdess')),
    train=dataclasses.replace(
      sharp.train, steps=1200, learning_rate=6e-4, warmup_steps=30, decay_steps=700, init_from='runs/first_voice/sharp'
    ),
  )  # fmt: skip
  return {'speech': speech, 'film': film, 'sharp': sharp, 'felt': felt}
