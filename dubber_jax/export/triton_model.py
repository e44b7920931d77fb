"""Python backend of Triton Inference Server for an artifact beside it; needs jax, numpy and flatbuffers.

Input of a row: `phonemes` (ARPAbet with stress, as AH0, or ids of programs.json as digits), `slot` (mel frames),
`voice` (a name in the artifact; the first one where neither it nor `speaker` is given), `seed` of the noise, and
any other input of the program `synthesize`. Output: `wave`, `mel`, `durations`, `pitch`, `emotion`.
"""

import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

ARTIFACT = Path(__file__).parent / 'artifact'
OUTPUTS = ('wave', 'mel', 'durations', 'pitch', 'emotion')


class TritonPythonModel:
  """The artifact, opened once; each `execute` is one batch."""

  def initialize(self, args):
    sys.path.insert(0, str(ARTIFACT))
    from serve import Artifact

    self.artifact = Artifact(ARTIFACT)
    longest = self.artifact.facts['buckets'][-1]['frames']
    self.shapes = {
      name: spec['shape'] for name, spec in self.artifact.facts['programs'][f'synthesize_{longest}']['inputs'].items()
    }
    for bucket in self.artifact.facts['buckets']:  # compiled here, so that the first request does not wait
      symbol = next(s for s in self.artifact.facts['symbols'] if s.endswith('1'))
      self.speak([({'phonemes': [symbol], 'slot': bucket['frames'], **next(iter(self.artifact.voices.values()))}, 0)])

  def execute(self, requests):
    """One response a request, of as many rows as it has. A request that cannot be spoken gets the error alone."""
    rows, failed = [], {}
    for number, request in enumerate(requests):
      try:
        rows.append(self.rows(request))
      except ValueError as error:
        rows.append([])
        failed[number] = error
    try:
      takes = iter(self.speak([row for rows_of_one in rows for row in rows_of_one]))
      answers = {i: [next(takes) for _ in rows[i]] for i in range(len(requests)) if i not in failed}
    except ValueError:  # one of them is to blame: each for itself
      answers = {}
      for number in (i for i in range(len(requests)) if i not in failed):
        try:
          answers[number] = self.speak(rows[number])
        except ValueError as error:
          failed[number] = error
    return [self.answer(answers[i]) if i in answers else self.refusal(failed[i]) for i in range(len(requests))]

  def rows(self, request) -> list[tuple[dict, int]]:
    """The lines of a request, each with its seed."""
    given = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    lines = []
    for row in range(len(given['phonemes'])):
      line = {name: values[row] for name, values in given.items() if name in self.shapes}
      line = {name: value.reshape(()) if not self.shapes[name] else value for name, value in line.items()}
      symbols = [symbol.decode() for symbol in given['phonemes'][row] if symbol]
      line['phonemes'] = [int(s) if s.isdigit() else s for s in symbols]
      line['slot'] = int(given['slot'][row, 0])
      if not line['phonemes'] or line['slot'] < 1:
        raise ValueError('a line needs phonemes and a slot of one mel frame or more')
      seed = int(given['seed'][row, 0]) if 'seed' in given else 0
      lines.append((self.voice(given, row) | line, seed))
    return lines

  def voice(self, given: dict, row: int) -> dict:
    """Speaker embedding and reference mel of the voice that is named, of the first one without a name."""
    if 'voice' not in given:
      return {} if 'speaker' in given else next(iter(self.artifact.voices.values()))
    name = given['voice'][row, 0].decode()
    if name not in self.artifact.voices:
      raise ValueError(f'unknown voice {name!r}: use one of {", ".join(self.artifact.voices)}')
    return self.artifact.voices[name]

  def speak(self, rows: list[tuple[dict, int]]) -> list[dict]:
    """Takes with their waves. The number of rows is filled up to a power of two, so that few sizes are compiled."""
    if not rows:
      return []
    size = 1 << (len(rows) - 1).bit_length()
    lines = [line for line, _ in rows]
    takes = self.artifact.synthesize(lines + lines[-1:] * (size - len(lines)))[: len(lines)]
    for seed in {seed for _, seed in rows}:
      chosen = [take for take, (_, own) in zip(takes, rows, strict=True) if own == seed]
      mels = [take['mel'] for take in chosen]
      size = 1 << (len(mels) - 1).bit_length()
      waves = self.artifact.vocode(mels + mels[-1:] * (size - len(mels)), seed)
      for take, wave in zip(chosen, waves, strict=False):
        take['wave'] = wave
    return takes

  def answer(self, takes: list[dict]):
    """The response to a request. Rows of several lengths are padded with zeros to the longest."""
    tensors = []
    for name in OUTPUTS:
      arrays = [np.asarray(take[name]) for take in takes]
      out = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
      for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
      tensors.append(pb_utils.Tensor(name, out))
    return pb_utils.InferenceResponse(output_tensors=tensors)

  def refusal(self, error: ValueError):
    """The response that says why a request cannot be spoken."""
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
