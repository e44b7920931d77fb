"""The first voice: pronunciation and voices from clean speech, then films and the director.

    dubber train experiments/first_voice.py                  # both stages, one after the other
    dubber train experiments/first_voice.py --arm film       # the second alone
    dubber release runs/first_voice/film -o model/

Two stages. `speech` learns to pronounce, to keep time and to sound like someone, on all the speech, with a
silent director. `film` goes on from its weights with lips (GRID) and with the director's nodes (emotional
speech of RAVDESS), and replays the rest so that pronunciation is not lost.

Features take about 25 minutes on two cores, `speech` 25 and `film` 50, most of it shared with other work. Expect word
error (Whisper base, 40 everyday lines) of 2.6 % in joe's voice and 0.9 % in kathleen's. Measured 2026-11-22 at step
1,400 of `film`.
"""

from dubber_jax.config import Config, DataConfig, TrainConfig

SPEECH = ('kathleen', 'teacher', 'ljspeech', 'asterisk', 'ravdess')


def arms() -> dict[str, Config]:
  speech = Config(
    name='first_voice/speech',
    data=DataConfig(sources=SPEECH, buckets=(320, 640), frames_per_batch=6400, films=False, readings=False),
    train=TrainConfig(steps=600, decay_steps=0),
  )
  film = speech.replace(
    name='first_voice/film',
    data=DataConfig(sources=(*SPEECH, 'grid'), buckets=(320, 640), frames_per_batch=6400),
    train=TrainConfig(steps=1600, warmup_steps=50, decay_steps=500, init_from='runs/first_voice/speech'),
  )
  return {'speech': speech, 'film': film}
