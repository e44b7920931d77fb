"""The server as many use it, as nobody should use it, and as it is killed: one run of all its figures.

    python experiments/timing/serving.py                              # 50 minutes on two quiet cores
    python experiments/timing/serving.py --parts load --seconds 20    # a part, in short
    python experiments/timing/serving.py --parts soak --minutes 1

`load`: requests a second and times to the first and to the last sound at 1, 4, 16 and 64 clients. `loop`: the same
lines by `dj.speak` one after the other, rehearsed as by default, and in one take as the server does. `soak`: so many
minutes at twice the capacity: what is lost, how often is refused, the memory. `fuzz`: 1,000 damaged requests
(serving_fuzz.py). `kills`: 50 of the process that reads uploads, 50 of the server while a project is worked on
(serving_kills.py; that server hums its lines, so that the kills fall into its files and not into its model). `ready`:
from the start with an empty compilation cache to /readyz. `desk`: from a note to the sound of its take, weight of the
page, accessibility by axe (needs Chromium; CHROMIUM names it).

Parts are added to FOLDER/serving.json, of which serving.md and serving.png are made.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import serving_fuzz
import serving_load
import serving_tables
from serving_kills import (
  Server,
  answer_faults,
  kill_servers,
  kill_upload_workers,
  project_faults,
)

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / 'tests' / 'serving' / 'stand_in_server.py'
PARTS = ('load', 'loop', 'soak', 'fuzz', 'kills', 'ready', 'desk')
CONSENT = {
  'consent_speaker': 'Nobody, a synthetic voice',
  'consent_date': '2026-01-01',
  'consent_statement': 'This sound was computed; there is nobody to ask.',
}
SCRIPT = (
  '1\n00:00:00,300 --> 00:00:02,300\nANNA: We never asked for any of this.\n\n'
  '2\n00:00:02,600 --> 00:00:04,600\nANNA: And now it is here, on the table.\n'
)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--parts', nargs='*', choices=PARTS, default=PARTS)
  parser.add_argument('--model')
  parser.add_argument('--voice', default='kathleen')
  parser.add_argument('--clients', nargs='*', type=int, default=(1, 4, 16, 64))
  parser.add_argument('--seconds', type=float, default=60.0, help='of each number of clients')
  parser.add_argument('--minutes', type=float, default=10.0, help='of the soak')
  parser.add_argument('--fuzz', type=int, default=1000, help='requests')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--kills', type=int, default=50, help='of each kind')
  parser.add_argument('--notes', type=int, default=20, help='on the desk')
  parser.add_argument('--out', default='.', metavar='FOLDER')
  parser.add_argument('--machine', default='', help='what else the machine was doing, for the table')
  given = parser.parse_args()
  out = Path(given.out)
  out.mkdir(parents=True, exist_ok=True)
  path = out / 'serving.json'
  found = json.loads(path.read_text()) if path.exists() else {}
  with tempfile.TemporaryDirectory(prefix='dubber-serving-') as folder:
    for part in given.parts:
      print(f'{part} ...', flush=True)
      began = time.monotonic()
      measured = globals()[f'measure_{part}'](given, Path(folder) / part)
      load = os.getloadavg()[1]
      found[part] = measured | {
        'machine': given.machine,
        'load_average': round(load, 1),
        'date': f'{datetime.date.today()}',
      }
      print(f'{part}: {time.monotonic() - began:.0f} s, {json.dumps(measured)[:600]}', flush=True)
      path.write_text(json.dumps(found, indent=1) + '\n')
  (out / 'serving.md').write_text(serving_tables.markdown(found))
  if 'load' in found:
    serving_tables.draw(found['load'], found.get('loop'), out / 'serving.png')
  print(serving_tables.markdown(found))


def started(given, folder: Path, *options: str, environment: dict[str, str] | None = None) -> Server:
  """A server of its own home folder, which is not ready yet."""
  folder.mkdir(parents=True, exist_ok=True)
  options = (*options, *(('--model', given.model) if given.model else ()))
  return Server.of_package(folder / 'home', folder / 'server.log', *options, environment=environment)


def wait_compiled(server: Server, seconds: float = 600.0) -> None:
  """Waits until rarer shapes are compiled, too, so that no request of a measurement waits for a compiler."""
  server.wait()
  finish = time.monotonic() + seconds
  while time.monotonic() < finish:
    if 'all shapes' in httpx.get(server.address + '/readyz', timeout=30).json().get('phase', ''):
      return
    time.sleep(1)


# ---- speech


def measure_load(given, folder: Path) -> dict[str, Any]:
  """Clients that ask again as soon as they are answered."""
  lines = serving_load.texts()
  rows = []
  with started(given, folder) as server:
    wait_compiled(server)
    asyncio.run(serving_load.closed_loop(server.address, 2, 5.0, lines, given.voice))  # warm
    for clients in given.clients:
      requests = asyncio.run(serving_load.closed_loop(server.address, clients, given.seconds, lines, given.voice))
      rows.append({'clients': clients, **serving_load.summarize(requests)})
      print(json.dumps(rows[-1]), flush=True)
    code = server.stop()
  return {'seconds': given.seconds, 'clients': rows, 'exit_code': code}


def measure_loop(given, folder: Path) -> dict[str, Any]:
  """The same lines by `dj.speak` one after the other: rehearsed, as by default, and in one take."""
  return {'rehearsed': loop_of_speak(given, None), 'one_take': loop_of_speak(given, (1, 1))}


def loop_of_speak(given, rehearsal: tuple[int, int] | None) -> dict[str, Any]:
  """A loop in a process of its own, warm. rehearsal: rounds and candidates, None: the defaults."""
  lines = serving_load.texts()
  program = (
    'import json, sys, tempfile, time\n'
    'from pathlib import Path\n'
    'import dubber_jax as dj\n'
    'model_path, voice, seconds, lines, rehearsal = json.loads(sys.stdin.read())\n'
    'options = dj.LineOptions(**dict(zip(("rounds", "candidates"), rehearsal or (), strict=False)))\n'
    'model = dj.load(model_path)\n'
    'spent, sound = [], 0.0\n'
    'with tempfile.TemporaryDirectory() as folder:\n'
    '  def say(text, number):\n'
    '    out = Path(folder) / f"{number}.wav"\n'
    '    request = dj.SpeakRequest((dj.Line(text),), model.voices[voice], (out,), options)\n'
    '    return dj.speak(request, model)[0]\n'
    '  for number, text in enumerate(lines):\n'
    '    say(text, f"warm{number}")\n'
    '  began = time.perf_counter()\n'
    '  while time.perf_counter() - began < seconds:\n'
    '    start = time.perf_counter()\n'
    '    done = say(lines[len(spent) % len(lines)], len(spent))\n'
    '    spent.append(time.perf_counter() - start)\n'
    '    sound += done.slot_seconds\n'
    'print(json.dumps([spent, sound]))\n'
  )
  task = json.dumps([given.model, given.voice, given.seconds, lines, rehearsal])
  done = subprocess.run([sys.executable, '-c', program], input=task, capture_output=True, text=True, check=True)
  spent, sound = json.loads(done.stdout.splitlines()[-1])
  total = serving_load.percentiles(spent)
  per_second, real_time = len(spent) / sum(spent), sound / sum(spent)
  return {'lines': len(spent), 'per_second': round(per_second, 3), 'real_time': round(real_time, 3), 'total_ms': total}


def measure_soak(given, folder: Path) -> dict[str, Any]:
  """So many minutes at twice what 16 clients get out of it."""
  lines = serving_load.texts()

  async def soak(server: Server, rate: float):
    watcher = asyncio.create_task(serving_load.watch_memory(server.process.pid))
    requests = await serving_load.open_loop(server.address, rate, 60 * given.minutes, lines, given.voice)
    watcher.cancel()
    return requests, await watcher

  with started(given, folder) as server:
    wait_compiled(server)
    asyncio.run(serving_load.closed_loop(server.address, 4, 10.0, lines, given.voice))
    trial = serving_load.summarize(
      asyncio.run(serving_load.closed_loop(server.address, 16, min(60.0, given.seconds), lines, given.voice))
    )
    requests, memory = asyncio.run(soak(server, 2 * trial['per_second']))
    code = server.stop()
  answers = serving_load.summarize(requests)
  sizes = [size for _, size in memory]
  return {
    'minutes': given.minutes,
    'capacity_per_second': trial['per_second'],
    'asked_per_second': 2 * trial['per_second'],
    **answers,
    'memory_start_mb': round(sizes[len(sizes) // 5] / 1e6),
    'memory_end_mb': round(sizes[-1] / 1e6),
    'memory_most_mb': round(max(sizes) / 1e6),
    'memory_growth': round(serving_load.memory_growth(memory), 4),
    'exit_code': code,
  }


# ---- damaged requests and kills


def write_media(folder: Path) -> dict[str, Path]:
  """A drawn film of 5 s, its script, and a hummed recording."""
  from dubber_jax.demo.cartoon import draw_cartoon
  from dubber_jax.media.video import write_silent_clip

  paths = write_sound_and_script(folder) | {'film': folder / 'film.mp4'}
  write_silent_clip(paths['film'], draw_cartoon('neutral', 'We never asked for any of this.', seconds=5.0))
  return paths


def write_sound_and_script(folder: Path) -> dict[str, Path]:
  """A script of two lines, and a hummed recording."""
  import numpy as np

  from dubber_jax.media.sound import write_wav

  folder.mkdir(parents=True, exist_ok=True)
  paths = {'script': folder / 'film.srt', 'voice': folder / 'voice.wav'}
  paths['script'].write_text(SCRIPT)
  rng, time_s = np.random.default_rng(0), np.arange(8 * 22050) / 22050
  pitch = 130 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s))
  phase = 2 * np.pi * np.cumsum(pitch) / 22050
  hum = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_s))
  write_wav(paths['voice'], (0.08 * hum + 1e-3 * rng.normal(size=len(hum))).astype(np.float32), 22050)
  return paths


def new_project(address: str, media: dict[str, Path], voice: str, background: str = 'none') -> str:
  """Has a film dubbed by the server -> the id of its project. Raises RuntimeError where that fails."""
  with media['film'].open('rb') as film, media['script'].open('rb') as script:
    files = {'film': ('film.mp4', film), 'script': ('film.srt', script)}
    answer = httpx.post(
      f'{address}/desk/projects', data={'voice': voice, 'background': background}, files=files, timeout=120
    )
  if answer.status_code != 202:
    raise RuntimeError(f'a dub was refused: {answer.status_code} {answer.text[:500]}')
  return answer.json()['id']


def wait_idle(address: str, project: str, seconds: float = 600.0) -> dict[str, Any]:
  """Waits for the end of a project's job -> the project. Raises RuntimeError where it does not end."""
  finish = time.monotonic() + seconds
  while time.monotonic() < finish:
    answer = httpx.get(f'{address}/desk/projects/{project}', timeout=60)
    if answer.status_code == 200 and not answer.json().get('job'):
      return answer.json()
    time.sleep(0.3)
  raise RuntimeError(f'the dub did not end: {answer.status_code} {answer.text[:500]}')


def measure_fuzz(given, folder: Path) -> dict[str, Any]:
  """Damaged requests to all routes, of a server that has a project and a voice."""
  media = write_media(folder / 'media')
  routes = serving_fuzz.server_routes()
  with started(given, folder) as server:
    server.wait()
    project = new_project(server.address, media, given.voice)
    wait_idle(server.address, project)
    known = {
      'p': project,
      'id': project,
      'n': '1',
      'k': '1',
      'name': given.voice,
      'model': 'first_voice',
      'file': 'desk.js',
    }
    before = serving_load.resident_bytes(server.process.pid)
    outcomes = serving_fuzz.fuzz(
      serving_fuzz.draw_cases(given.fuzz, given.seed, routes, known), '127.0.0.1', server.port
    )
    alive = httpx.get(server.address + '/readyz', timeout=60).status_code
    after = serving_load.resident_bytes(server.process.pid)
    uploads = sorted(path.name for path in (folder / 'home' / 'uploads').glob('*'))
    code = server.stop()
  return {
    **serving_fuzz.summarize(outcomes),
    'routes': len(routes),
    'ready_after': alive,
    'left_behind': uploads,
    'memory_mb': [round(before / 1e6), round(after / 1e6)],
    'exit_code': code,
  }


def measure_kills(given, folder: Path) -> dict[str, Any]:
  """Of the processes that read uploads, and of the server."""
  media = write_media(folder / 'media')
  return {'upload_worker': _kill_workers(given, folder, media), 'server': _kill_servers(given, folder, media)}


def stand_in(folder: Path) -> Server:
  """A server that hums its lines, ready."""
  command = [sys.executable, str(STAND_IN), '--port', 'PORT', '--home', str(folder / 'home')]
  server = Server(command, folder / 'server.log')
  server.wait()
  return server


def _kill_workers(given, folder: Path, media: dict[str, Path]) -> dict[str, Any]:
  numbers = iter(range(10**6))
  with stand_in(folder) as server:

    def upload() -> httpx.Response:
      with media['voice'].open('rb') as file:
        fields = {'name': f'voice {next(numbers)}', **CONSENT}
        return httpx.post(
          f'{server.address}/v1/voices', data=fields, files={'recording': ('voice.wav', file)}, timeout=180
        )

    def other() -> httpx.Response:
      body = {'model': 'tts-1', 'input': 'Good day.', 'voice': given.voice, 'response_format': 'wav'}
      return httpx.post(f'{server.address}/v1/audio/speech', json=body, timeout=180)

    found = kill_upload_workers(server.process.pid, folder / 'home' / 'uploads', upload, other, given.kills)
    found['left_behind'] = sorted(path.name for path in (folder / 'home' / 'uploads').glob('*'))
    return found


def _kill_servers(given, folder: Path, media: dict[str, Path]) -> dict[str, Any]:
  folder = folder / 'servers'
  folder.mkdir()
  dubs = folder / 'home' / 'dubs'

  def work(address: str, rng: random.Random, gone: threading.Event):
    change_projects(address, rng, gone, media, given.voice)

  def check() -> str:
    projects = [path.parent for path in dubs.glob('*/project/project.json')]
    return '; '.join(project_faults(projects))

  with stand_in(folder) as server:
    wait_idle(server.address, new_project(server.address, media, given.voice))
    server.stop()
  found = kill_servers(lambda: stand_in(folder), work, check, given.kills, 4.0, given.seed)
  with stand_in(folder) as server:
    listed = len(httpx.get(f'{server.address}/desk/projects', timeout=60).json()['projects'])
    found |= {'projects': listed, 'after': answer_faults(server.address, listed)}
  return found


def change_projects(address: str, rng: random.Random, gone: threading.Event, media: dict[str, Path], voice: str):
  """Dubs a film now and then, and directs lines, chooses, accepts, undoes and exports, until the event is set."""
  while not gone.is_set():
    listed = httpx.get(f'{address}/desk/projects', timeout=60).json()['projects']
    if not listed or rng.random() < 0.1:
      new_project(address, media, voice)
      continue
    path = f'{address}/desk/projects/{rng.choice(listed)["id"]}'
    line = f'{path}/lines/{rng.choice([1, 2])}'
    with httpx.Client(timeout=60) as client:
      for answer in (
        client.post(f'{line}/takes', json={'note': rng.choice(['softer', 'slower', 'sadly', 'whisper'])}),
        client.patch(line, json={'take': 1}),
        client.patch(line, json={'accepted': rng.random() < 0.5}),
        client.post(f'{path}/undo') if rng.random() < 0.5 else client.post(f'{path}/export'),
        client.put(f'{path}/background', json={'background': rng.choice(['none', 'duck'])}),
      ):
        if answer.status_code >= 500:
          raise RuntimeError(
            f'{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}'
          )


# ---- start and desk


def measure_ready(given, folder: Path) -> dict[str, Any]:
  """Seconds from the start of the process to /readyz, with and without what an earlier start compiled."""
  folder.mkdir(parents=True)
  environment = {'DUBBER_CACHE': str(folder / 'cache')}
  found = {}
  for name in ('empty_cache_seconds', 'second_start_seconds'):
    with started(given, folder, environment=environment) as server:
      found[name] = round(server.wait(), 1)
      if name == 'empty_cache_seconds':
        wait_compiled(server, 900)
      server.stop()
  return found


def measure_desk(given, folder: Path) -> dict[str, Any]:
  """From a note to its sound, the weight of the page, and what axe says of it."""
  media = write_media(folder / 'media')
  notes = ('softer', 'slower', 'angrier', 'higher, with a pause after "asked"', 'almost a whisper')
  with started(given, folder) as server:
    wait_compiled(server)
    project = new_project(server.address, media, given.voice)
    wait_idle(server.address, project)
    spent = []
    with httpx.Client(base_url=f'{server.address}/desk/projects/{project}', timeout=120) as client:
      for number in range(given.notes + 3):
        began = time.perf_counter()
        answer = client.post('lines/1/takes', json={'note': notes[number % len(notes)]})
        take = answer.raise_for_status().json()['take']['number']
        sound = client.get(f'lines/1/takes/{take}.wav').raise_for_status().content
        spent.append(time.perf_counter() - began)
        assert sound[:4] == b'RIFF'
    page = browse(f'{server.address}/#{project}/1')
    server.stop()
  times = serving_load.percentiles(spent[3:])
  return {
    'notes': given.notes,
    'note_to_sound_ms': times,
    'first_three_ms': [round(1e3 * s) for s in spent[:3]],
    **page,
  }


def browse(address: str) -> dict[str, Any]:
  """Bytes that the page loads before any media, and axe's findings, on a desktop and on a phone."""
  from axe_playwright_python.sync_playwright import Axe
  from playwright.sync_api import sync_playwright

  media = ('.wav', '.mp4', '.jpg', '.png', '/film', '/events')
  found: dict[str, Any] = {'axe': {}}
  with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=os.environ.get('CHROMIUM', '/usr/bin/chromium'), args=['--no-sandbox']
    )
    for name, (width, height) in {'desktop': (1280, 800), 'phone': (390, 844)}.items():
      page = browser.new_context(viewport={'width': width, 'height': height}).new_page()
      sizes: list[int] = []

      def count(response, sizes=sizes):
        if not response.url.split('?')[0].endswith(media):
          sizes.append(int(response.headers.get('content-length') or len(response.body())))

      page.on('response', count)
      page.goto(address, wait_until='load')
      page.get_by_text('We never asked').first.wait_for(state='attached', timeout=60_000)
      violations = Axe().run(page).response['violations']
      serious = [v['id'] for v in violations if v['impact'] in ('serious', 'critical')]
      found['axe'][name] = {'serious': serious, 'others': [v['id'] for v in violations if v['id'] not in serious]}
      found.setdefault('page_bytes', sum(sizes))
    browser.close()
  return found


if __name__ == '__main__':
  main()
