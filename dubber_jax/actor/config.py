"""Settings of the actor, and of the losses by networks that it is trained against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ActorConfig:
  """Sizes of the actor."""

  width: int = 192  # of the text encoder and the decoder
  text_layers: int = 3  # of the text encoder
  text_heads: int = 2  # of its attention
  style_width: int = 128  # of the style encoder
  condition_width: int = 128  # of speaker and style together
  lip_width: int = 96  # of the lip encoder
  lip_layers: int = 2  # of the lip encoder
  lip_heads: int = 2  # of the attention between text and lips
  prosody_layers: int = 3  # of each of the duration predictor and the F0 and energy predictor
  prosody_width: int = 128  # of these predictors
  decoder_layers: int = 6  # of the mel decoder
  expansion: int = 3  # of the pointwise part of a convolution block
  kernel: int = 7  # of a convolution, frames or phonemes
  postnet_width: int = 96  # of the postnet
  postnet_layers: int = 3  # of the postnet
  timbre_heads: int = 0  # of attention from phonemes to the reference mel's frames; 0: the reference is only pooled
  noise_width: int = 0  # of the noise that differs from take to take, a frame
  symbols: int = 96  # embedded symbols, the first of script/symbols.py: 96 are English
  languages: int = 0  # embedded languages, the first of script/symbols.py; 0: one language and no such input
  domains: int = 0  # embedded recording conditions (data/batches.py), in training; takes are of the first
  directed: bool = False  # condition the text on the named emotion of a direction, beside the director's nodes
  directed_condition: bool = False  # condition the norms of the prosody predictor and the decoder on it too
  dropout: float = 0.0  # rate; a short training does not overfit, and on a CPU dropout costs a fifth of a step


@dataclass(frozen=True)
class AdversarialConfig:
  """Discriminators of the actor's mels (actor/mel_discriminators.py)."""

  weight: float = 0.0  # of the adversarial loss; 0: no discriminators
  feature_weight: float = 1.0  # of the feature matching loss
  width: int = 128  # of the discriminators
  band_width: int = 48  # of the discriminators of a band
  lr_multiplier: float = 2.0  # the discriminators' learning rate over the actor's


@dataclass(frozen=True)
class GuidanceConfig:
  """Scores of a frozen critic as losses of the actor (training/tasks/critic_guidance.py)."""

  critic: str = ''  # folder of the critic; '': none
  weight: float = 0.5  # of the guidance loss
  share: float = 0.5  # of a batch's items that are synthesized for it
