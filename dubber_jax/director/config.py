"""Settings of the director."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DirectorConfig:
  """Emotion graphs of the director. `enabled`, `scene`, `face`, `text`, `indirect` and `direct` are masks: the
  parameter tree does not depend on them. `graph`, `build_then_encode` and `hierarchical` change the tree (rows 10 to 12
  of the paper's ablation)."""

  enabled: bool = True  # False: one-way dubbing
  scene: bool = True  # use the scene's nodes
  face: bool = True  # use the face's nodes
  text: bool = True  # use the text's nodes
  indirect: bool = True  # use the exemplars' scene, face and text nodes
  direct: bool = True  # use the exemplars' sound nodes
  graph: bool = True  # False: the nodes are only projected
  build_then_encode: bool = True  # False: one graph of all nodes, encoded once
  hierarchical: bool = True  # False: one cross-attention at the end
  width: int = 128  # of a node; 256 in the published system
  heads: int = 2  # of graph attention
  exemplars: int = 3  # K, retrieved clips a modality (paper: best of those tried)
  dropout: float = 0.1  # rate
