"""Director inputs for training on clips without video: embeddings of captions that are written from emotion labels.

A bank of embeddings is made once: for each emotion a number of scene and face captions, and of lines with their
reactions, each with the library clips that it retrieves. An item samples from the bank of its emotion, with the error
and drop rates that were measured for perception (perception/captions.py).
"""

from pathlib import Path

import numpy as np

from dubber_jax.config import Config
from dubber_jax.errors import BadInput
from dubber_jax.retrieval.library import Library
from dubber_jax.types import EMOTIONS, MODALITIES

PER_EMOTION = 32  # embeddings of each modality
RECALLED = 24  # library clips retrieved for each, so that enough are of other speakers
NEUTRAL_SHARE = 0.5  # share of the items without acted emotion that have director inputs


class DirectorInputs:
  """Bank of caption embeddings and retrieved clips, from which `draw` samples an item's director inputs."""

  def __init__(self, config: Config, library: Library, embeddings: dict[str, np.ndarray]):
    """embeddings: by modality (8, M, D), M of each emotion."""
    self.exemplars = config.task.director.exemplars
    self.library = library
    self.embeddings = embeddings
    rows = library.retrieve_rows({m: e.reshape(-1, e.shape[-1]) for m, e in embeddings.items()}, count=RECALLED)[0]
    self.rows = rows.reshape(len(EMOTIONS), -1, len(MODALITIES), RECALLED)

  def draw(self, row: dict, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
    """Director inputs, by names of the batch, for a row's `emotion`, `set` and `speaker`; None: all masked."""
    from dubber_jax.perception.captions import DROP_RATE, ERROR_RATES

    emotion = EMOTIONS.index(row['emotion'])
    if row['set'] != 'ravdess' and rng.random() > NEUTRAL_SHARE:
      return None
    out = {'present': np.zeros(3, bool)}
    chosen = np.full((len(MODALITIES), self.exemplars), -1, np.int32)
    for i, m in enumerate(MODALITIES):
      seen = int(rng.integers(len(EMOTIONS))) if rng.random() < ERROR_RATES[m] else emotion
      which = int(rng.integers(self.embeddings[m].shape[1]))
      if rng.random() < DROP_RATE:
        continue
      out['present'][i] = True
      out[m] = self.embeddings[m][seen, which]
      recalled = self.rows[seen, which, i]
      others = recalled[(recalled >= 0) & (self.library.speakers[recalled] != row['speaker'])][: self.exemplars]
      chosen[i, : len(others)] = others
    refs, sounds, refs_present, sounds_present = self.library.gather(chosen)
    out |= {f'{m}_refs': refs[m] for m in MODALITIES}
    return out | {'sounds': sounds, 'refs_present': refs_present, 'sounds_present': sounds_present}


def make_director_inputs(
  config: Config, library_path: str | None = None, sentences: str | Path | None = None
) -> DirectorInputs:
  """DirectorInputs of a config: captions from labels, lines from the sentences that the text emotion head was trained
  on.

  sentences: file of lines under [emotion] headings; without one, captions take the place of the lines too. Raises
  BadInput for an empty library.
  """
  from dubber_jax.perception.captions import label_captions
  from dubber_jax.perception.text import embed_text

  library = Library.open(library_path)
  if not len(library):
    raise BadInput(f'{library.folder}: the library is empty, so the director has nothing to retrieve')
  rng = np.random.default_rng([config.seed, 7])
  lines = _lines(sentences) if sentences else {}
  captions = {m: [label_captions(e, m, rng) for e in EMOTIONS for _ in range(PER_EMOTION)] for m in MODALITIES}
  spoken = [
    str(rng.choice(lines.get(e) or [label_captions(e, 'text', rng)])) for e in EMOTIONS for _ in range(PER_EMOTION)
  ]
  vectors = {m: embed_text(c) for m, c in captions.items()}
  vectors['text'] = np.concatenate([embed_text(spoken), vectors['text']], axis=1)
  return DirectorInputs(config, library, {m: v.reshape(len(EMOTIONS), PER_EMOTION, -1) for m, v in vectors.items()})


def _lines(path) -> dict[str, list[str]]:
  """Sentences by emotion, without the held-out sections."""
  by_emotion, current = {}, None
  for row in Path(path).read_text(encoding='utf-8').splitlines():
    row = row.strip()
    if row.startswith('['):
      name, _, part = row.strip('[]').partition(', ')
      current = None if part else by_emotion.setdefault(name, [])
    elif row and not row.startswith('#') and current is not None:
      current.append(row)
  return by_emotion
