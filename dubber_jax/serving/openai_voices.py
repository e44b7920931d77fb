"""OpenAI's names of voices and models, mapped to those of the model that is served.

Programs send these names whatever speaks to them. Which of ours stands for which is a choice by the kind of voice; the
same name is always the same voice.
"""

from collections.abc import Sequence

# Of the shipped model: kathleen, a woman; ljspeech, a woman who reads; joe, a man.
SHIPPED = {
  'alloy': 'kathleen',
  'ash': 'joe',
  'ballad': 'joe',
  'cedar': 'joe',
  'coral': 'kathleen',
  'echo': 'joe',
  'fable': 'ljspeech',
  'marin': 'kathleen',
  'nova': 'kathleen',
  'onyx': 'joe',
  'sage': 'ljspeech',
  'shimmer': 'ljspeech',
  'verse': 'joe',
}
MODELS = ('tts-1', 'tts-1-hd', 'gpt-4o-mini-tts')


def voice_for(name: str, voices: Sequence[str]) -> str | None:
  """The voice of the model that stands for one of OpenAI's names; None for another name, and where it has none.

  voices: of the model, in its order. A model with other voices than the shipped one has them in turn."""
  if name not in SHIPPED or not voices:
    return None
  return SHIPPED[name] if SHIPPED[name] in voices else voices[list(SHIPPED).index(name) % len(voices)]


def is_openai_model(name: str) -> bool:
  """Whether a name is of one of OpenAI's speech models, with or without its date."""
  return any(name == model or name.startswith(f'{model}-20') for model in MODELS)
