"""Standalone loader of an artifact: needs jax, numpy and flatbuffers. python serve.py VOICE SECONDS OUT.wav PHONEMES...

artifact = Artifact('artifact')
takes = artifact.synthesize([{'phonemes': ['HH', 'AH0', 'L', 'OW1'], 'slot': 100, **artifact.voices['kathleen']}])
waves = artifact.vocode([take['mel'] for take in takes])
"""

import functools
import hashlib
import json
import sys
import wave
from pathlib import Path

import jax.export
import numpy as np

TYPES = {'F64': 'f8', 'F32': 'f4', 'F16': 'f2', 'BF16': 'u2', 'I64': 'i8', 'I32': 'i4', 'U8': 'u1', 'BOOL': '?'}


def read_weights(path: Path) -> dict:
  """Nested float32 arrays of a safetensors file; {} where there is none."""
  tree, raw = {}, path.read_bytes() if path.exists() else b'\2\0\0\0\0\0\0\0{}'
  start = 8 + int.from_bytes(raw[:8], 'little')
  for name, entry in json.loads(raw[8:start]).items():
    if name != '__metadata__':
      first, last = (start + at for at in entry['data_offsets'])
      array = np.frombuffer(raw[first:last], '<' + TYPES[entry['dtype']]).reshape(entry['shape'])
      if entry['dtype'] == 'BF16':  # the upper half of a float32
        array = (array.astype('u4') << 16).view('f4')
      *folders, leaf = name.split('/')
      functools.reduce(lambda branch, folder: branch.setdefault(folder, {}), folders, tree)[leaf] = array.astype('f4')
  return tree


class Artifact:
  """An exported model. `voices`: {name: {'speaker': (256,), 'reference': (R, 80)}}."""

  def __init__(self, path, check: bool = True):
    self.path, self.programs = Path(path), {}
    for name, digest in json.loads((self.path / 'MANIFEST.json').read_text()).items() if check else ():
      if not (self.path / name).exists() or hashlib.sha256((self.path / name).read_bytes()).hexdigest() != digest:
        raise ValueError(f'{self.path / name} is missing or not what was exported; copy the artifact again')
    self.facts = json.loads((self.path / 'programs.json').read_text())
    if self.facts['format'] != 2:
      raise ValueError(f'{self.path} has format {self.facts["format"]}, this loader reads 2: use its own serve.py')
    platform = jax.default_backend().replace('gpu', 'cuda')
    if platform not in self.facts['platforms']:
      raise ValueError(f'{self.path} has programs for {", ".join(self.facts["platforms"])}, not for {platform}')
    self.weights = jax.device_put(read_weights(self.path / 'model.safetensors'))
    self.vocoder = jax.device_put(read_weights(self.path / 'vocoder' / 'model.safetensors'))
    voices = read_weights(self.path / 'voices.safetensors').items()
    self.voices = {k: {'speaker': v['embedding'], 'reference': v['reference_mel']} for k, v in voices}

  def synthesize(self, lines: list[dict]) -> list[dict]:
    """Mel (slot, 80), durations (N,), pitch (slot,) in Hz and emotion (8,) of each line. A line gives `phonemes`
    (symbols or ids), `slot` (mel frames) and any other inputs of programs.json."""
    ids = {name: i for i, symbol in enumerate(self.facts['symbols']) for name in (symbol, symbol.removeprefix('@'))}
    for unknown in (p for line in lines for p in line['phonemes'] if isinstance(p, str) and p not in ids):
      raise ValueError(f'unknown phoneme {unknown!r}: use those of programs.json, ARPAbet with stress, as AH0')
    lines = [line | {'phonemes': [ids.get(p, p) for p in line['phonemes']]} for line in lines]
    sizes = [(line['slot'], len(line['phonemes'])) for line in lines]
    takes = zip(self._run('synthesize', self.weights, lines, sizes), sizes, strict=True)
    return [t | {'mel': t['mel'][:s], 'pitch': t['pitch'][:s], 'durations': t['durations'][:n]} for t, (s, n) in takes]

  def vocode(self, mels: list, seed: int = 0) -> list[np.ndarray]:
    """Natural-log mels (T, bands) -> waves (T * hop,)."""
    items = [{'mel': mel, 'frames': len(mel)} for mel in mels]
    takes = self._run('vocode', self.vocoder, items, [(len(mel), 0) for mel in mels], seed)
    return [t['wave'][: len(mel) * self.facts['hop']] for t, mel in zip(takes, mels, strict=True)]

  def _run(self, name: str, weights, items: list[dict], sizes: list[tuple[int, int]], seed: int = 0) -> list[dict]:
    room = [b for b in self.facts['buckets'] if all(b['frames'] >= t and b['phonemes'] >= n for t, n in sizes)]
    if not room:
      raise ValueError(f'{self.path} was exported for shorter lines than these (mel frames, phonemes): {sizes}')
    name, arrays = f'{name}_{room[0]["frames"]}', {}
    if name not in self.programs:
      stored = (self.path / 'programs' / f'{name}.jaxexport').read_bytes()
      self.programs[name] = jax.jit(jax.export.deserialize(bytearray(stored)).call)
    for number, (key, spec) in enumerate(sorted(self.facts['programs'][name]['inputs'].items())):
      arrays[key] = np.full((len(items), *spec['shape']), spec['fill'], spec['dtype'])
      if spec['noise']:  # the name of a NumPy generator method
        arrays[key][:] = getattr(np.random.default_rng([seed, number]), spec['noise'])(spec['shape'], 'f4')
      for i, item in enumerate(items):
        if key in item or spec['marks'] in item:
          given = np.asarray(item[key] if key in item else np.ones(len(item[spec['marks']]), bool))
          given = given[tuple(slice(n) for n in spec['shape'])]
          arrays[key][(i, *(slice(n) for n in given.shape))] = given
    outputs = jax.device_get(self.programs[name](weights, arrays))
    return [{k: v[i] for k, v in outputs.items()} for i in range(len(items))]


if __name__ == '__main__':
  _, name, seconds, out, *phonemes = sys.argv
  artifact = Artifact(Path(__file__).parent)
  line = {'phonemes': phonemes, 'slot': round(float(seconds) * artifact.facts['frame_rate']), **artifact.voices[name]}
  (sound,) = artifact.vocode([artifact.synthesize([line])[0]['mel']])
  with wave.open(out, 'wb') as file:
    file.setparams((1, 2, artifact.facts['sample_rate'], 0, 'NONE', ''))
    file.writeframes((sound.clip(-1, 1) * 32767).astype('<i2').tobytes())
