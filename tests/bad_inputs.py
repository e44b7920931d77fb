"""Damaged and mishandled inputs of every kind of file that a command takes, drawn from a seed."""

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubber_jax.media.sound import write_wav
from dubber_jax.media.video import write_silent_clip
from dubber_jax.retrieval.library import EMBEDDINGS, Library, LibraryClip
from dubber_jax.storage.checked_folder import MANIFEST, write_manifest
from dubber_jax.types import SAMPLE_RATE

SRT = (
  '1\n00:00:00,200 --> 00:00:01,000\nANNA: Good day.\n\n2\n00:00:01,100 --> 00:00:01,900\nBEN: Who is there?\n\n'
  '3\n00:00:02,000 --> 00:00:02,800\nANNA: (softly) Only me.\n'
)
VTT = 'WEBVTT\n\n' + SRT.replace(',', '.')
ASS = (
  '[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n'
  'Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n'
  'Dialogue: 0,0:00:00.20,0:00:01.00,Default,ANNA,0,0,0,,Good day.\n'
  'Dialogue: 0,0:00:01.10,0:00:01.90,Default,BEN,0,0,0,,{\\i1}Who{\\i0} is there?\n'
)
FOUNTAIN = (
  'Title: A film\n\nINT. ROOM - DAY [00:00:00.2-00:00:03.0]\n\nANNA\n(softly)\nGood day.\n\nBEN\nWho is there?\n'
)
CAST = '[cast]\nANNA = "voice.wav"\nBEN = "ada"\ndefault = "ada"\n'
LEXICON = '# names\nZhivago ZH IH0 V AA1 G OW0\nBen B EH1 N\n'
LINES = 'Good day.\nWho is there?\nOnly me.\n'
EXPERIMENT = """from dubber_jax.config import Config

def arms():
  return {'small': Config(name='small')}
"""
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, 10**400, 1e308, -1e308, 1e-320, float('nan'), float('inf'), 0.5)
ODD_VALUES = (*ODD_NUMBERS, None, True, '', 'x' * 5000, '\0', '../../etc', '\ufffd', [], {}, [[]], [None], {'a': 1})
ODD_TEXTS = tuple('\0\ufeff\u202e\x1a{}[]()"\'=:') + ('-->', '\n\n', '99:99:99,999')
OTHERS = (b'', b'\0' * 100, b'{}', b'[]', b'null', b'7', b'<html>not found</html>', b'RIFF', b'PK\3\4', b'[' * 100_000)


@dataclass(frozen=True)
class Case:
  """A command and what is wrong with it. `arguments` may name files of the case's folder."""

  kind: str
  fault: str
  arguments: tuple[str, ...]


def make_whole(folder: Path) -> None:
  """Fills a folder with one whole input of every kind, small ones."""
  from dubber_jax.dubbing.inputs import library_features
  from dubber_jax.perception.extractors import extractor_identity

  rng = np.random.default_rng(0)
  write_silent_clip(folder / 'film.mp4', rng.integers(0, 255, (75, 32, 32, 3), np.uint8))
  time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
  hum = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 9)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
  write_wav(folder / 'voice.wav', (0.1 * hum).astype(np.float32), SAMPLE_RATE)
  for name, text in (('film.srt', SRT), ('film.vtt', VTT), ('film.ass', ASS), ('film.fountain', FOUNTAIN)):
    (folder / name).write_text(text)
  for name, text in (('cast.toml', CAST), ('lexicon.txt', LEXICON), ('lines.txt', LINES)):
    (folder / name).write_text(text)
  clips = [LibraryClip(f'set/a/{i}', 'a', f'Line {i}.', 'happy', f'{i}.wav', present=EMBEDDINGS) for i in range(6)]
  features = {m: dict(extractor_identity(extractor)) for m, extractor in library_features().items()}
  arrays = {m: rng.normal(size=(6, features[m]['width'])).astype(np.float32) for m in EMBEDDINGS}
  Library.build(folder / 'library', clips, arrays, [{'pace': 10.0}] * 6, features)
  _make_checkpoints(folder, rng)
  answers = {'test': 'a', 'listener': 'x', 'answers': []}
  key = {'test': 'a', 'title': 't', 'systems': ['a'], 'sections': ['emotion'], 'lines': [], 'checks': {}, 'samples': {}}
  (folder / 'answers.json').write_text(json.dumps(answers))
  (folder / 'key.json').write_text(json.dumps(key))
  rows = [{'id': str(i), 'speaker': 'a', 'file': f'{i}.wav', 'text': 'Go.', 'emotion': 'sad'} for i in range(3)]
  (folder / 'clips.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  (folder / 'experiment.py').write_text(EXPERIMENT)
  (folder / 'loop').symlink_to(folder / 'loop')
  np.savez(folder / 'fixture.npz', **{'in/x': np.ones(3), 'out/y': np.ones(3), 'cfg': np.array('{}')})


def _make_checkpoints(folder: Path, rng) -> None:
  from safetensors.numpy import save_file

  from dubber_jax.convert.vocoders import torch_shapes
  from dubber_jax.storage.json_files import fields_of
  from dubber_jax.vocoder.hifigan import HiFiGANConfig

  sizes = {
    'upsample_rates': [4, 4],
    'upsample_kernel_sizes': [8, 8],
    'upsample_initial_channel': 8,
    'resblock_kernel_sizes': [3],
    'resblock_dilation_sizes': [[1, 3]],
    'resblock': '2',
  }
  (folder / 'config.json').write_text(json.dumps(sizes))
  shapes = torch_shapes('hifigan', HiFiGANConfig(**fields_of(HiFiGANConfig, sizes, 'config.json')))
  save_file({k: rng.normal(size=v).astype(np.float32) for k, v in shapes.items()}, folder / 'model.safetensors')


def make_project(folder: Path, run: Callable[..., int]) -> None:
  """A dubbed film and its project, made by the command itself."""
  code = run(
    'dub',
    folder / 'film.mp4',
    '--script',
    folder / 'film.srt',
    '--voice',
    'ada',
    '--model',
    folder / 'model',
    '--library',
    folder / 'library',
    '--project',
    folder / 'project',
    '-o',
    folder / 'dubbed.mp4',
    '--fit-steps',
    '0',
    '--no-report',
    '--background',
    'none',
  )
  assert code == 0
  shutil.copyfile(folder / 'project' / 'directions.json', folder / 'directions.json')
  assert run('convert', folder / 'model.safetensors', '-o', folder / 'converted') == 0


# ---- damage


def bit(data: bytes, rng: random.Random) -> bytes:
  changed = bytearray(data)
  for _ in range(rng.choice((1, 1, 3, 20))):
    if changed:
      changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
  return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
  return data[: rng.randrange(len(data) + 1)]


def block(data: bytes, rng: random.Random) -> bytes:
  """A run of bytes zeroed, repeated, left out or made noise."""
  first = rng.randrange(max(len(data), 1))
  last = min(len(data), first + rng.choice((1, 16, 512, 4096)))
  part = rng.choice((bytes(last - first), data[first:last] * 3, b'', rng.randbytes(last - first)))
  return data[:first] + part + data[last:]


def other(data: bytes, rng: random.Random) -> bytes:
  """Another file in its place."""
  return rng.choice((*OTHERS, rng.randbytes(300), 'text'.encode('utf-16')))


def words(data: bytes, rng: random.Random) -> bytes:
  """A text with some of its parts changed as people and programs change them."""
  text = data.decode('utf-8', 'replace')
  for _ in range(rng.choice((1, 1, 2, 5))):
    kind, at = rng.randrange(6), rng.randrange(len(text) + 1)
    numbers = [*re.finditer(r'\d+', text)]
    rows = text.split('\n')
    if kind == 0:
      text = text[:at] + rng.choice(ODD_TEXTS) + text[at:]
    elif kind == 1 and numbers:
      number = rng.choice(numbers)
      text = text[: number.start()] + str(rng.choice(ODD_NUMBERS)) + text[number.end() :]
    elif kind == 2:
      rows.insert(rng.randrange(len(rows) + 1), rng.choice(rows))
      text = '\n'.join(rows)
    elif kind == 3:
      rows.pop(rng.randrange(len(rows)))
      text = '\n'.join(rows) or ' '
    elif kind == 4:
      rng.shuffle(rows)
      text = '\n'.join(rows)
    else:
      text = text[:at] + text[at + rng.choice((1, 5, 40)) :]
  return text.encode(rng.choice(('utf-8',) * 6 + ('utf-16', 'utf-8-sig', 'cp1252')), 'replace')


def fields(data: bytes, rng: random.Random) -> bytes:
  """JSON with some of its values of another type or size, or left out."""
  try:
    value = json.loads(data)
  except ValueError:
    return words(data, rng)
  for _ in range(rng.choice((1, 1, 1, 3))):
    value = _changed(value, rng)
  return json.dumps(value).encode()


def _changed(value, rng, depth=0):
  if isinstance(value, dict) and value and (depth == 0 or rng.random() < 0.8):
    name = rng.choice([*value])
    if rng.random() < 0.12:
      return {k: v for k, v in value.items() if k != name}
    if rng.random() < 0.05:
      return value | {rng.choice(('new', name.upper(), '')): value[name]}
    return value | {name: _changed(value[name], rng, depth + 1)}
  if isinstance(value, list) and value and (depth == 0 or rng.random() < 0.8):
    at = rng.randrange(len(value))
    if rng.random() < 0.2:
      return rng.choice((value[:at], value + [value[at]], value * 2, value[::-1]))
    return [*value[:at], _changed(value[at], rng, depth + 1), *value[at + 1 :]]
  return rng.choice(ODD_VALUES)


BINARY, TEXT, JSON = (bit, cut, block, other), (words, words, bit, cut, other), (fields, fields, fields, cut, other)

# kind: (file that is damaged, how, arguments of the command; {0} is the folder, {1} a new name for outputs)
SPEAK = 'speak --text Go. --voice ada --fit-steps 0 --model {0}/model --library {0}/library -o {1}.wav'
DUB = (
  'dub {0}/film.mp4 --text Go. --voice ada --fit-steps 0 --model {0}/model --library {0}/library --no-report '
  '--background none -o {1}.mp4'
)
SCRIPT = DUB.replace('--text Go.', '--script {0}/%s')
KINDS = {
  'film': ('film.mp4', BINARY, DUB),
  'srt': ('film.srt', TEXT, SCRIPT % 'film.srt'),
  'vtt': ('film.vtt', TEXT, SCRIPT % 'film.vtt'),
  'ass': ('film.ass', TEXT, SCRIPT % 'film.ass'),
  'fountain': ('film.fountain', TEXT, SCRIPT % 'film.fountain'),
  'cast': ('cast.toml', TEXT, (SCRIPT % 'film.srt').replace('--voice ada', '--cast {0}/cast.toml')),
  'lexicon': ('lexicon.txt', TEXT, DUB + ' --lexicon {0}/lexicon.txt'),
  'lines': ('lines.txt', TEXT, SPEAK.replace('--text Go.', '--lines {0}/lines.txt').replace('{1}.wav', '{1}')),
  'directions': ('directions.json', JSON, SCRIPT % 'film.srt' + ' --directions {0}/directions.json'),
  'voice': ('voice.wav', BINARY, SPEAK.replace('--voice ada', '--voice {0}/voice.wav')),
  'background': ('voice.wav', BINARY, DUB.replace('--background none', '--background {0}/voice.wav')),
  'guide': ('voice.wav', BINARY, DUB + ' --guide {0}/voice.wav'),
  'project.json': ('project/project.json', JSON, 'redo {0}/project --line 1 --take 1'),
  'project.json, dubbed again': (
    'project/project.json',
    JSON,
    (SCRIPT % 'film.srt').replace('{1}.mp4', '{0}/dubbed.mp4 --project {0}/project'),
  ),
  'chosen take': ('project/lines/001/chosen.json', JSON, 'redo {0}/project --line 2 --take 1'),
  'made.json': ('project/lines/001/take_1/made.json', JSON, 'redo {0}/project --line 2 --take 1'),
  'result.json': ('project/lines/002/take_1/result.json', JSON, 'redo {0}/project --line 2 --take 1'),
  'take': ('project/lines/001/take_1/take.npz', BINARY, 'redo {0}/project --line 1 --take 1'),
  'model config': ('model/config.json', JSON, SPEAK),
  'model features': ('model/features.json', JSON, SPEAK),
  'model manifest': ('model/MANIFEST.json', JSON, SPEAK),
  'model voices': ('model/voices.safetensors', BINARY, SPEAK),
  'model weights': ('model/model.safetensors', BINARY, SPEAK),
  'model vocoder': ('model/vocoder/config.json', JSON, SPEAK),
  'library manifest': ('library/manifest.json', JSON, SPEAK),
  'library clips': ('library/clips.jsonl', TEXT, SPEAK),
  'library arrays': ('library/face.npy', BINARY, SPEAK),
  'checkpoint': ('model.safetensors', BINARY, 'convert {0}/model.safetensors -o {1}'),
  'checkpoint as a pickle': ('model.pt', BINARY, 'convert {0}/model.pt --kind hifigan -o {1}'),
  'vocoder config': ('config.json', JSON, 'convert {0}/model.safetensors -o {1}'),
  'converted': ('converted/config.json', JSON, 'convert {0}/converted -o {1}.safetensors'),
  'fixture': ('fixture.npz', BINARY, 'check {0}/fixture.npz'),
  'answers': ('answers.json', JSON, 'listening-test --score {0}/answers.json --key {0}/key.json -o {1}.md'),
  'key': ('key.json', JSON, 'listening-test --score {0}/answers.json --key {0}/key.json -o {1}.md'),
  'clip list': ('clips.jsonl', TEXT, 'index {0}/clips.jsonl -o {1}'),
  'run config': ('run/config.json', JSON, 'release {0}/run -o {1}'),
  'run checkpoint': ('run/checkpoints/2/data/metadata', JSON, 'digest {0}/run'),
  'run state': ('run/checkpoints/2/state/_METADATA', JSON, 'digest {0}/run'),
  'experiment': ('experiment.py', TEXT, 'train {0}/experiment.py --arm none --workdir {1}'),
}
HASHED = (
  'model config',
  'model features',
  'model voices',
  'model weights',
  'model vocoder',
)  # also with a new manifest


def mishandled(folder: Path, out: Path, rng: random.Random) -> Case:
  """A command with a path that is no such file: a folder, a device, a missing, unreadable or oddly named one."""
  kind = rng.choice([name for name in KINDS if '{0}' in KINDS[name][2]])
  command = KINDS[kind][2].format(folder, out)
  given = [i for i, word in enumerate(command.split()) if word.startswith(str(folder)) or word.startswith(str(out))]
  words, at = command.split(), rng.choice(given)
  fault, path = rng.choice(
    (
      ('a folder', str(folder)),
      ('missing', str(folder / 'nowhere' / 'file.bin')),
      ('a device', '/dev/null'),
      ('empty name', ''),
      ('long name', str(folder / ('x' * 300))),
      ('name with a null', f'{folder}/a\0b'),
      ('a file as a folder', str(folder / 'film.mp4' / 'inner.json')),
      (
        'another file',
        str(folder / rng.choice(('film.mp4', 'film.srt', 'voice.wav', 'model.safetensors', 'cast.toml'))),
      ),
      ('a link in itself', str(folder / 'loop')),
    )
  )
  words[at] = path
  return Case(kind, f'{fault} in place of argument {at}', tuple(words))


def damaged(kind: str, folder: Path, out: Path, rng: random.Random) -> Case:
  """Damages the file of a kind in `folder` -> the command that takes it."""
  name, ways, command = KINDS[kind]
  way, path = rng.choice(ways), folder / name
  path.write_bytes(way(path.read_bytes(), rng))
  fault = way.__name__
  if kind in HASHED and rng.random() < 0.7:
    (folder / 'model' / MANIFEST).unlink()
    write_manifest(folder / 'model')
    fault += ', well hashed'
  return Case(kind, fault, tuple(command.format(folder, out).split()))
