"""Exported artifact against the model it was made of: size, load time, first call and steady latency.

    python experiments/timing/export.py [MODEL] [--bucket 256] [--calls 30]        # 2 minutes on two quiet cores

Prints a Markdown table; each is measured in a process of its own. A call is one line of 2.9 s: `synthesize` gives its
mel with durations given, `vocode` its waveform. 'Compiled before' starts with the compilation cache of the first
process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 2.9
TEXT = 'We never asked for any of this.'
HOW = ('model', 'artifact', 'standalone')


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('model', nargs='?')
  parser.add_argument('--bucket', type=int, default=256)
  parser.add_argument('--calls', type=int, default=30)
  parser.add_argument('--measure', choices=HOW, help='measure this one in this process')
  parser.add_argument('--artifact')
  given = parser.parse_args()
  if given.measure:
    print(json.dumps(measure(given.measure, given.artifact, given.calls)))
    return
  from dubber_jax.export import export
  from dubber_jax.inference.model_directory import SHIPPED

  with tempfile.TemporaryDirectory() as folder:
    artifact = Path(folder) / 'artifact'
    began = time.perf_counter()
    export(given.model or SHIPPED, artifact, [given.bucket])
    print(f'export of one bucket for three platforms: {time.perf_counter() - began:.1f} s\n')
    sizes(artifact)
    print(
      '\n| | load, s | first synthesize, s | first vocode, s | synthesize, ms | vocode, ms | start to first sound, s |'
    )
    print('|---|---|---|---|---|---|---|')
    for before in ('', ', compiled before'):
      for how in HOW:
        row = child(how, given, artifact, cache=f'{folder}/cache-{how}')
        print(
          f'| {how}{before} | {row["load"]:.2f} | {row["first_synthesize"]:.2f} | {row["first_vocode"]:.2f} | '
          f'{1e3 * row["synthesize"]:.1f} | {1e3 * row["vocode"]:.1f} | {row["whole"]:.1f} |',
          flush=True,
        )


def sizes(artifact: Path):
  print('| file | MB |\n|---|---|')
  for path in sorted(p for p in artifact.rglob('*') if p.is_file()):
    if path.stat().st_size > 1e4:
      print(f'| {path.relative_to(artifact)} | {path.stat().st_size / 1e6:.2f} |')
  print(f'| all | {sum(p.stat().st_size for p in artifact.rglob("*") if p.is_file()) / 1e6:.2f} |')


def child(how: str, given, artifact: Path, cache: str) -> dict:
  settings = {
    'JAX_COMPILATION_CACHE_DIR': cache,
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '0',
    'DUBBER_STARTED': str(time.time()),
  }
  command = [sys.executable, __file__, given.model or '', '--measure', how, '--calls', str(given.calls)]
  command = [c for c in command if c] + ['--artifact', str(artifact)]
  done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
  return json.loads(done.stdout.splitlines()[-1])


def measure(how: str, artifact: str, calls: int) -> dict:
  started = float(os.environ['DUBBER_STARTED'])
  synthesize, vocode, load = {'standalone': standalone}.get(how, packaged)(how, artifact)

  def timed(call):
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result

  first_synthesize, mel = timed(synthesize)
  first_vocode, _ = timed(lambda: vocode(mel))
  whole = time.time() - started
  steady = [(timed(synthesize)[0], timed(lambda: vocode(mel))[0]) for _ in range(calls)]
  return {
    'load': load,
    'first_synthesize': first_synthesize,
    'first_vocode': first_vocode,
    'whole': whole,
    'synthesize': statistics.median(p for p, _ in steady),
    'vocode': statistics.median(v for _, v in steady),
  }


def packaged(how: str, artifact: str):
  """The model itself, or the artifact loaded by dubber_jax."""
  import jax
  import numpy as np

  from dubber_jax.actor.slot import FRAME_RATE
  from dubber_jax.export import load as load_artifact
  from dubber_jax.inference.batch import empty_line, fill_voice
  from dubber_jax.inference.model_directory import load as load_model
  from dubber_jax.script.g2p import encode, phonemize

  began = time.perf_counter()
  model = (load_model if how == 'model' else load_artifact)(artifact)
  load = time.perf_counter() - began
  ids, frames = encode(phonemize(TEXT).symbols), round(SECONDS * FRAME_RATE)
  shape = model.shape(frames, len(ids))
  batch = empty_line(model.config, shape)
  batch['phonemes'][0, : len(ids)] = ids
  voice = next(iter(model.voices.values()))
  fill_voice(batch, 0, voice.embedding, voice.reference_mel)
  durations = np.zeros((1, shape.phonemes), np.int32)
  durations[0, : len(ids)] = frames // len(ids)
  controls = np.array([[0, 1, 0]], np.float32)

  def synthesize():
    return jax.device_get(model.synthesize(batch, durations, controls, shape.frames)[0])[0, :frames]

  return synthesize, model.vocoder.vocode, load


def standalone(how: str, artifact: str):
  """The artifact loaded by its own loader, without dubber_jax."""
  sys.path.insert(0, artifact)
  import serve

  began = time.perf_counter()
  opened = serve.Artifact(artifact)
  load = time.perf_counter() - began
  symbols = [s for s in opened.facts['symbols'] if s.endswith('1')][:23]
  frames = round(SECONDS * opened.facts['frame_rate'])
  voice = next(iter(opened.voices.values()))
  line = {'phonemes': symbols, 'slot': frames, 'durations': [frames // len(symbols)] * len(symbols), **voice}
  return lambda: opened.synthesize([line])[0]['mel'], lambda mel: opened.vocode([mel])[0], load


if __name__ == '__main__':
  main()
