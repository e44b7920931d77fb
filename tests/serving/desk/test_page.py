"""The desk's page in Chromium: as people direct on it, on a screen and on a phone, with an actor that takes no time."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from desk_server import LINES, desk_server, make_project
from test_messages import all_warnings, steps_of_progress

from dubber_jax.media.sound import write_wav
from dubber_jax.pages import stylesheet
from dubber_jax.types import Line

STATIC = Path(__file__).parents[3] / 'dubber_jax' / 'serving' / 'desk' / 'static'
SCREEN, PHONE = {'width': 1440, 'height': 900}, {'width': 390, 'height': 844}
HEAVIEST = 500_000  # bytes of the page before films, sounds and pictures
# What is started by the page's sounds: how long each is, in seconds.
COUNT_SOUNDS = """
window.heard = []
const start = AudioBufferSourceNode.prototype.start
AudioBufferSourceNode.prototype.start = function (...given) {
  window.heard.push(this.buffer.duration)
  return start.apply(this, given)
}
"""
HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


# Without a browser


def test_every_text_of_the_page_is_there_in_both_languages():
  source = {path.name: path.read_text(encoding='utf-8') for path in STATIC.glob('*.js')}
  table = dict(re.findall(r'^  (\w+): (\[.*\]),$', source['strings.js'], re.M))
  assert len(table) > 150
  for name, texts in table.items():
    assert re.search(r'[\u4e00-\u9fff]', texts) or name == 'of', f'{name} has no Chinese'
    english, chinese = re.fullmatch(r"""\[(".*?"|'.*?'), ('.*')\]""", texts).groups()
    assert set(re.findall(r'\{\d\}', english)) == set(re.findall(r'\{\d\}', chinese)), name
  used = {name for text in source.values() for name in re.findall(r"\bt\('(\w+)'", text)}
  assert used and used <= set(table), used - set(table)


def test_texts_become_elements_only_as_texts():
  unsafe = r'innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function'
  for path in STATIC.glob('*.js'):
    assert not re.search(unsafe, path.read_text(encoding='utf-8'))
  page = (STATIC / 'index.html').read_text()
  assert not re.search(r'<style|style=|<script(?![^>]*src=)|\son\w+=', page)


def test_the_stylesheet_can_stand_in_a_page():
  assert '<' not in stylesheet() and '/*' not in stylesheet()
  assert stylesheet().count('{') == stylesheet().count('}') > 40


# In a browser


@pytest.fixture(scope='module')
def original(tmp_path_factory):
  """A folder with a film of 14 lines and its project, to be copied."""
  folder = tmp_path_factory.mktemp('film')
  make_project(folder)
  return folder


@pytest.fixture
def desk(original, tmp_path):
  """A server of the desk with a copy of the project."""
  folder = tmp_path / 'desk'
  shutil.copytree(original, folder)
  with desk_server(folder) as running:
    yield running


@pytest.fixture
def direct(browser):
  """Opens the desk for a person; what the page's console said against it is told at the end."""
  people = []

  def open_desk(desk, size=SCREEN, **context):
    people.append(Director(browser.new_context(viewport=size, has_touch=size is PHONE, **context), desk))
    return people[-1]

  yield open_desk
  for person in people:
    person.context.close()
    assert person.faults == []


class Director:
  """Someone at the desk."""

  def __init__(self, context, desk):
    self.context, self.desk, self.faults, self.sent = context, desk, [], []
    context.add_init_script(COUNT_SOUNDS)
    self.page = self.tab()

  def tab(self):
    page = self.context.new_page()
    page.set_default_timeout(20_000)
    page.on('pageerror', lambda error: self.faults.append(str(error)))
    page.on('console', lambda said: self.faults.append(said.text) if 'Content Security' in said.text else None)
    page.on('request', lambda request: self.sent.append(request) if request.method != 'GET' else None)
    return page

  @property
  def is_phone(self):
    return self.page.viewport_size['width'] < 600

  def open(self, line=None, page=None):
    page = page or self.page
    page.goto(f'{self.desk.url}/#{self.desk.project_id}' + (f'/{line}' if line else ''))
    page.locator('.take .asked, .take .faint, .take .change').first.wait_for(state='attached')
    return page

  def state(self, path=''):
    """The project as the server has it."""
    answer = self.page.request.get(f'{self.desk.url}/desk/projects/{self.desk.project_id}{path}')
    return answer.json()

  def line(self, number):
    return self.state()['lines'][number - 1]

  def view(self, name):
    self.page.locator(f'.tab[data-view={name}]').click()

  def go_to(self, number):
    if self.is_phone:
      self.view('lines')
    self.page.locator(f'.row[data-line="{number}"]').click()
    self.page.locator(f'.row[data-line="{number}"][aria-selected=true]').wait_for(state='attached')
    self.page.locator('.take .scores').first.wait_for(state='attached')

  def note(self, text):
    """Writes a note and waits until its take is heard."""
    if self.is_phone:
      self.view('takes')
    self.page.locator('#note').fill(text)
    self.page.locator('#note').press('Enter')
    self.page.locator('.stage[data-playing=take]').wait_for()

  def change_voice(self, character):
    self.view('cast')
    self.page.get_by_label(f'Voice of {character}', exact=True).select_option('dora')

  def notice(self, text):
    self.page.locator('.notice', has_text=text).first.wait_for()

  def until(self, condition, argument=None):
    self.page.wait_for_function(condition, arg=argument)

  @property
  def heard(self):
    return self.page.evaluate('window.heard.length')


def wave_file(folder, name, seconds=1.0):
  write_wav(folder / name, 0.3 * np.sin(np.arange(int(22050 * seconds)) * 0.06), 22050)
  return folder / name


def test_a_note_is_heard(direct, tmp_path):
  """The quick one: open, a note, its take plays."""
  with desk_server(tmp_path, lines=LINES[:2]) as desk:
    person = direct(desk)
    person.open(2)
    before = person.heard
    person.note('softer')
    person.page.locator('.take.heard[data-take="2"]').wait_for()
    person.until('n => window.heard.length > n', before)
    assert person.line(2)['take'] == 2 and person.line(2)['takes'] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize('size', [SCREEN, PHONE], ids=['screen', 'phone'])
def test_a_film_is_directed_from_start_to_export(direct, desk, tmp_path, size):
  person = direct(desk, size)
  page = person.page
  page.goto(desk.url)
  page.locator('.projects a').click()
  page.locator('.take .scores').first.wait_for()
  assert page.url.endswith(f'#{desk.project_id}/1')

  # The film plays with its takes, subtitles and list follow, and it can be stopped.
  page.get_by_role('button', name='Play', exact=True).click()
  page.locator('.stage[data-playing=film]').wait_for()
  page.locator('.subtitle', has_text=LINES[0].text).wait_for()
  person.until('() => window.heard.length > 0')
  page.locator('.row[data-line="2"][aria-selected=true]').wait_for(state='attached')
  person.until("() => document.querySelector('video').muted")  # its own sound gives way in a slot
  page.keyboard.press('Space') if not person.is_phone else page.get_by_role('button', name='Pause', exact=True).click()
  page.locator('.stage[data-playing=""]').wait_for()

  # A click on a line goes there.
  person.go_to(4)
  person.until('start => Math.abs(document.querySelector("video").currentTime - start) < 0.1', LINES[3].start)

  # A note is heard at once; A and B are switched while they play.
  page.get_by_role('button', name='Repeat').click()
  person.note('two semitones higher')
  page.locator('.take.playing[data-take="2"]').wait_for()
  page.locator('.take[data-take="2"] .asked').wait_for()
  if person.is_phone:
    page.locator('.compare button').nth(0).click()
  else:
    page.locator('#note').press('Escape')
    page.keyboard.press('b')
  page.locator('.take.playing[data-take="1"]').wait_for()
  assert page.locator('.stage').get_attribute('data-playing') == 'take'
  page.locator('.take[data-take="2"] .round').click()
  page.locator('.take.playing[data-take="2"]').wait_for()
  page.get_by_role('button', name='Repeat').click()
  page.locator('.stage[data-playing=""]').wait_for()

  # Sliders.
  person.view('direction')
  page.get_by_label('Loudness').focus()
  for _ in range(4):
    page.keyboard.press('ArrowLeft')
  page.get_by_label('anger, share of the mixture').fill('0.5')
  page.get_by_text('2 changed').wait_for()
  page.get_by_role('button', name='Play this direction').click()
  page.locator('.take[data-take="3"]').wait_for(state='attached')
  played = next(take for take in person.state('/lines/4')['takes'] if take['number'] == 3)['direction']
  before = next(take for take in person.state('/lines/4')['takes'] if take['number'] == 2)['direction']
  assert played['loudness'] == before['loudness'] - 2
  assert played['emotion']['angry'] == pytest.approx(0.5, abs=0.01)
  assert sum(played['emotion'].values()) == pytest.approx(1, abs=0.01)

  # An earlier take is chosen.
  if person.is_phone:
    person.view('takes')
  page.get_by_role('button', name='Use take 2 in the film').click()
  page.locator('.take[data-take="2"] .chosen').wait_for()
  assert person.line(4)['take'] == 2

  # A reference.
  person.view('reference')
  page.locator('#reference-file').set_input_files(wave_file(tmp_path, 'angry.wav'))
  page.get_by_text('reference: angry.wav').wait_for()
  assert person.line(4)['reference'] == 'angry.wav' and len(person.line(4)['takes']) == 4

  # Another, dropped on the page.
  page.evaluate(
    """([name, data]) => { const files = new DataTransfer()
      files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name))
      document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: files })) }""",
    ['sad.wav', base64.b64encode((tmp_path / 'angry.wav').read_bytes()).decode()],
  )
  page.get_by_text('reference: sad.wav').wait_for()
  page.get_by_role('button', name='Remove').click()
  page.get_by_text('reference: sad.wav').wait_for(state='detached')
  assert person.line(4)['reference'] is None

  # Why.
  person.view('why')
  page.locator('.sources').get_by_text('A room in blue light.').wait_for()
  page.locator('.exemplars li').first.wait_for()

  # All lines are accepted.
  if person.is_phone:
    for number in range(1, len(LINES) + 1):
      person.go_to(number)
      page.get_by_role('button', name='Accept', exact=True).click()
      page.locator(f'.row.accepted[data-line="{number}"]').wait_for(state='attached')
  else:
    page.locator('.row[data-line="1"]').click()
    for _ in LINES:
      page.keyboard.press('a')
    person.notice('All lines are accepted')
  person.until('n => document.querySelectorAll(".row.accepted").length === n', len(LINES))
  assert all(line['accepted'] for line in person.state()['lines'])

  # A voice, a background, and one step back.
  person.change_voice('ANNA')
  person.notice('Change of voice is done')
  assert person.line(1)['voice'] == 'dora' and len(person.line(1)['takes']) == 2
  page.locator('[data-key=background]').select_option('none')
  person.until('() => document.querySelector("[data-key=undo]").title.includes("background")')
  assert person.state()['background'] == 'none'
  page.get_by_role('button', name='Undo: background').click()
  person.notice('Taken back: background')
  assert person.state()['background'] == 'mute'

  # The export.
  page.locator('.top [data-key=export]').click()
  person.notice('Export is done')
  with page.expect_download() as download:
    page.locator('.cast .download').click()
  download.value.save_as(tmp_path / 'dubbed.mp4')
  assert (tmp_path / 'dubbed.mp4').stat().st_size == (desk.folder / 'dubbed.mp4').stat().st_size > 10_000
  assert person.state()['exported']
  assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')


@pytest.mark.slow
def test_on_a_slow_network_nothing_is_sent_twice(direct, desk):
  person = direct(desk)
  page = person.open(3)
  slow = person.context.new_cdp_session(page)
  slow.send('Network.enable')
  slow.send(
    'Network.emulateNetworkConditions',
    {'offline': False, 'latency': 600, 'downloadThroughput': 60_000, 'uploadThroughput': 30_000},
  )
  page.locator('#note').fill('softer')
  for _ in range(3):
    page.locator('#note').press('Enter')
  page.locator('.take.coming').wait_for()
  assert page.locator('#note').input_value() == 'softer'  # until it is done
  assert page.locator('form.note [data-key=send]').get_attribute('aria-disabled') == 'true'
  page.locator('.take[data-take="2"]').wait_for()
  page.locator('.stage[data-playing=take]').wait_for()
  assert page.locator('#note').input_value() == ''
  page.locator('.line-head [data-key=accept]').dblclick()
  page.locator('.row.accepted[data-line="3"]').wait_for()
  assert [(request.method, request.url.rpartition('/')[2]) for request in person.sent] == [
    ('POST', 'takes'),
    ('PATCH', '3'),
  ]
  assert person.line(3)['takes'] == [1, 2]


@pytest.mark.slow
def test_a_reload_in_the_middle_of_a_job_comes_back_to_the_line_and_the_job(direct, desk):
  person = direct(desk)
  page = person.open(5)
  desk.pause.clear()
  person.change_voice('BEN')
  page.locator('.job progress').wait_for()
  page.reload()
  page.locator('.job progress').wait_for()
  assert page.url.endswith('/5') and page.locator('.row[data-line="5"][aria-selected=true]').count() == 1
  desk.pause.set()
  person.notice('Change of voice is done')
  page.locator('.job').wait_for(state='hidden')
  assert [line['voice'] for line in person.state()['lines'] if line['character'] == 'BEN'] == ['dora'] * 5


@pytest.mark.slow
def test_a_job_can_be_stopped(direct, desk):
  person = direct(desk)
  page = person.open(1)
  desk.pause.clear()
  person.change_voice('BEN')
  page.locator('.job [data-key=stop]').click()
  desk.pause.set()
  person.notice('was stopped')
  page.locator('.job').wait_for(state='hidden')
  assert page.get_by_label('Voice of BEN', exact=True).is_enabled()


@pytest.mark.slow
def test_two_tabs_do_not_overwrite_each_other(direct, desk):
  person = direct(desk)
  first = person.open(6)
  second = person.tab()
  blind = [False]  # it does not learn what the first one does, until it sends a change itself
  watched = re.compile(r'/events$|/desk/projects/\w+$')
  second.route(watched, lambda route: route.abort() if blind[0] else route.continue_())
  second.on('request', lambda request: blind.__setitem__(0, blind[0] and request.method == 'GET'))
  person.open(6, second)
  blind[0] = True
  second.evaluate('dispatchEvent(new Event("online"))')  # the stream is opened anew
  second.locator('.notice.away').wait_for()
  third = person.open(6, person.tab())
  first.keyboard.press('a')
  first.locator('.row.accepted[data-line="6"]').wait_for()
  third.locator('.row.accepted[data-line="6"]').wait_for()  # this one is told
  assert second.locator('.row.accepted').count() == 0
  second.locator('#note').fill('softer')
  second.locator('#note').press('Enter')
  second.locator('.notice.error', has_text='Changed in another window').wait_for()
  second.locator('.row.accepted[data-line="6"]').wait_for()
  assert person.line(6)['takes'] == [1] and second.locator('#note').input_value() == 'softer'
  second.locator('#note').press('Enter')
  second.locator('.take[data-take="2"]').wait_for()
  assert person.line(6)['takes'] == [1, 2]
  first.bring_to_front()
  first.locator('.row[data-line="6"]', has_text='Take 2').wait_for()


@pytest.mark.slow
def test_a_server_that_was_killed_is_told_and_found_again(direct, original, tmp_path):
  folder = tmp_path / 'desk'
  shutil.copytree(original, folder)
  started = Process(folder)
  try:
    person = direct(started)
    page = person.open(7)
    page.keyboard.press('a')
    page.locator('.row.accepted[data-line="7"]').wait_for()
    page.locator('.row[data-line="8"][aria-selected=true]').wait_for()
    started.kill()
    page.locator('.notice.away').wait_for()
    page.locator('#note').fill('softer')
    page.locator('#note').press('Enter')
    person.notice('The server did not answer')
    assert page.locator('#note').input_value() == 'softer'
    started.start()
    page.locator('.notice.away').wait_for(state='detached', timeout=60_000)
    assert page.locator('.row.accepted').count() == 1
    page.locator('#note').press('Enter')
    page.locator('.take[data-take="2"]').wait_for()
    assert person.line(8)['takes'] == [1, 2] and person.line(7)['accepted']
  finally:
    started.kill()


class Process:
  """The server of a folder in a process of its own."""

  def __init__(self, folder):
    self.folder, self.port, self.process = folder, 0, None
    self.start()

  def start(self):
    script = Path(__file__).with_name('desk_server.py')
    given = [sys.executable, str(script), str(self.folder), str(self.port)]
    self.process = subprocess.Popen(given, stdout=subprocess.PIPE, text=True, env=os.environ | {'OMP_NUM_THREADS': '1'})
    while not (said := self.process.stdout.readline()).startswith('http'):
      assert self.process.poll() is None and said, 'the server did not start'
    self.url, self.project_id = re.match(r'(http://[^/]+)/#(\w+)', said).groups()
    self.port = int(self.url.rpartition(':')[2])

  def kill(self):
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGKILL)
    self.process.wait()
    self.process.stdout.close()


@pytest.mark.slow
def test_texts_of_scripts_names_and_notes_stay_texts(direct, tmp_path):
  lines = (Line(HOSTILE, 0.5, 2.1, f'{HOSTILE}'), Line('Go on.', 2.5, 4.1, 'BEN', HOSTILE))
  with desk_server(tmp_path / 'desk', lines=tuple(lines), film='<img src=x onerror=boom()>.mp4') as desk:
    person = direct(desk)
    page = person.page
    page.goto(desk.url)
    page.locator('.projects a').click()
    page.locator('.take .scores').first.wait_for()
    person.note(f'softer {HOSTILE}')
    page.locator('.take[data-take="2"] .asked').wait_for()
    name = tmp_path / '<img src=x onerror=boom()>.wav'
    person.view('reference')
    page.locator('#reference-file').set_input_files(wave_file(tmp_path, name.name))
    page.locator('.given .name').wait_for()
    for view in ('direction', 'why', 'cast'):
      person.view(view)
    assert 'owned' not in page.title() and page.locator('script').count() == 1
    assert page.locator('img').evaluate_all('all => all.every((one) => one.getAttribute("src") !== "x")')
    assert HOSTILE in page.locator('.row').first.inner_text()


@pytest.mark.slow
def test_a_line_spoken_into_the_microphone_guides_a_take(direct, desk):
  person = direct(desk, permissions=['microphone'])
  page = person.open(2)
  page.keyboard.press('r')
  page.locator('button.recording').wait_for()
  page.locator('.stage[data-playing=guide]').wait_for()
  person.until("() => document.querySelector('video').muted")
  page.get_by_role('button', name='Use as guide').wait_for()  # it ended with the slot
  assert page.evaluate('document.activeElement.textContent') == 'Use as guide'
  page.keyboard.press('Enter')
  page.locator('.take.heard[data-take="2"]').wait_for()
  assert person.line(2)['guide'] and person.line(2)['take'] == 2


@pytest.mark.slow
def test_a_microphone_that_is_refused_is_told(direct, desk):
  person = direct(desk)
  page = person.open(2)
  person.view('reference')
  page.get_by_role('button', name='Record', exact=True).click()
  person.notice('The microphone was refused')
  assert page.get_by_role('button', name='Record', exact=True).is_enabled()


@pytest.mark.slow
def test_what_the_server_refuses_is_one_line(direct, desk, tmp_path):
  person = direct(desk)
  page = person.open(2)
  page.locator('#note').fill('xyzzy')
  page.locator('#note').press('Enter')
  refused = page.locator('.notice.error').first
  refused.wait_for()
  assert 'xyzzy' in refused.inner_text() and '\n' not in refused.locator('span').inner_text()
  assert page.locator('#note').input_value() == 'xyzzy'
  refused.get_by_role('button', name='Close').click()
  person.view('reference')
  (tmp_path / 'notes.wav').write_text('no sound')
  page.locator('#reference-file').set_input_files(tmp_path / 'notes.wav')
  page.locator('.notice.error').first.wait_for()
  assert person.line(2)['takes'] == [1] and person.line(2)['reference'] is None


@pytest.mark.slow
def test_a_film_that_disappeared_leaves_takes_to_be_heard(direct, desk):
  (desk.folder / 'film.mp4').rename(desk.folder / 'elsewhere.mp4')
  person = direct(desk)
  page = person.open(1)
  page.locator('.told:not([hidden])').wait_for()
  page.keyboard.press('h')
  person.until('() => window.heard.length > 0')
  page.locator('.stage[data-playing=take]').wait_for()
  page.locator('.stage[data-playing=""]').wait_for()


@pytest.mark.slow
def test_a_film_that_takes_long_to_be_made_playable_is_shown_when_it_is_there(direct, desk, monkeypatch):
  monkeypatch.setattr('dubber_jax.serving.desk.routes.FILM_PATIENCE', 0.05)
  previews, making = desk.server.desk.previews, Future()
  find = previews.find
  monkeypatch.setattr(previews, 'find', lambda *given: (*find(*given)[:2], making))
  person = direct(desk)
  page = person.open(1)
  page.locator('.told', has_text='made playable').wait_for()
  page.locator('.stage img.still:not([hidden])').wait_for()
  monkeypatch.setattr(previews, 'find', find)
  desk.server.jobs.publish(desk.project_id, 'film', {'ready': True})
  person.until('() => document.querySelector("video").readyState > 0')
  page.locator('.stage video:not([hidden])').wait_for()
  page.locator('.told[hidden]').wait_for(state='attached')


@pytest.mark.slow
def test_the_keyboard_does_all_and_keeps_out_of_texts(direct, desk):
  person = direct(desk)
  page = person.open(1)
  press = page.keyboard.press
  press('ArrowDown')
  page.locator('.row[data-line="2"][aria-selected=true]').wait_for()
  press('n')
  page.keyboard.type('a softer b')
  assert page.locator('#note').input_value() == 'a softer b' and page.locator('.row.accepted').count() == 0
  press('Escape')
  press('/')
  page.keyboard.type('boat')
  person.until('() => document.querySelectorAll(".row").length === 1')
  page.locator('#find').fill('')
  press('Escape')
  press('d')
  assert page.evaluate('document.activeElement.type') == 'range'
  press('?')
  page.get_by_role('dialog').wait_for()
  press('Escape')
  page.get_by_role('dialog').wait_for(state='detached')
  press('1')
  page.locator('.take.playing[data-take="1"]').wait_for()
  press('Escape')
  page.locator('.stage[data-playing=""]').wait_for()
  press('t')
  page.locator('.take.heard[data-take="2"]').wait_for()
  press('1')
  page.locator('.take.heard[data-take="1"]').wait_for()
  press('u')
  page.locator('.take[data-take="1"] .chosen').wait_for()
  press('z')
  page.locator('.take[data-take="2"] .chosen').wait_for()
  press('Shift+Z')
  page.locator('.take[data-take="1"] .chosen').wait_for()

  # The tab key passes through all and comes out at the end; each stop can be seen.
  page.locator('.home').focus()
  seen = set()
  for _ in range(150):
    press('Tab')
    here = page.evaluate("""() => { const one = document.activeElement
      if (one === document.body) return null
      const { tagName, className, dataset, id } = one
      const outline = getComputedStyle(one).outlineStyle
      return [dataset.key ?? id, tagName, className, outline, one.matches('input.unseen')].join('|') }""")
    if here is None:
      break
    assert '|none|' not in here or here.endswith('true'), here
    seen.add(here)
  else:
    pytest.fail('the tab key does not come out')
  assert len(seen) > 25

  # Single keys can be switched off.
  press('?')
  page.get_by_label('Single keys work').uncheck()
  press('Escape')
  press('a')
  press('Control+z')
  person.until('() => document.querySelector("[data-key=redo]").title.includes("Redo:")')
  assert page.locator('.row.accepted').count() == 0


@pytest.mark.slow
def test_lines_are_filtered(direct, desk):
  person = direct(desk)
  page = person.open(1)
  page.keyboard.press('a')
  page.locator('.row.accepted[data-line="1"]').wait_for()
  page.get_by_label('Lines shown').select_option('open')
  person.until('n => document.querySelectorAll(".row").length === n', len(LINES) - 1)
  page.get_by_label('Lines shown').select_option(label='CLARA')
  person.until('n => document.querySelectorAll(".row").length === n', sum(line.character == 'CLARA' for line in LINES))


@pytest.mark.slow
def test_the_language_follows_the_browser_and_is_remembered(direct, desk):
  person = direct(desk, locale='zh-CN')
  page = person.open(1)
  assert page.locator('html').get_attribute('lang') == 'zh'
  page.get_by_role('button', name='导出').first.wait_for()
  page.locator('#note').fill('轻一点')
  page.locator('#note').press('Enter')
  page.locator('.take[data-take="2"]').wait_for()
  page.locator('#language').click()
  page.get_by_role('button', name='Export').first.wait_for()
  assert page.evaluate('document.activeElement.id') == 'language'
  page.reload()
  page.get_by_role('button', name='Export').first.wait_for()
  assert page.locator('html').get_attribute('lang') == 'en'


@pytest.mark.slow
def test_what_the_server_says_is_in_chinese_on_a_chinese_desk(direct, desk):
  person = direct(desk, locale='zh-CN')
  page = person.open(2)
  person.note('louder by 30 dB, two semitones lower')
  take = page.locator('.take[data-take="2"]')
  change = take.locator('.change').inner_text()
  assert re.fullmatch(r'响\d+\.\d分贝，音调[高低]\d+\.\d个半音', change), change
  for place in (take.locator('.warning'), page.locator('.line-head .warnings')):
    assert place.inner_text() == '“louder” 要求响度为 30 分贝：最多只能到 8'
  signs = page.locator('.row[data-line="2"] .sign.warning')
  assert '要求响度' in signs.first.get_attribute('title')
  page.locator('#note').fill('xyzzy')
  page.locator('#note').press('Enter')
  person.notice('未能理解说明 “xyzzy”')


@pytest.mark.slow
def test_every_message_of_the_server_is_found_in_the_page_s_table(direct, desk):
  page = direct(desk, locale='zh-CN').open(2)
  say = "async (texts) => { const { told } = await import('/desk/static/messages.js'); return texts.map(told) }"
  made = {text: iter(range(9)) for text in [*all_warnings(), *steps_of_progress()]}
  given = [re.sub(r'\{\}', lambda _, n=n: str(next(n) + 1), text) for text, n in made.items()]
  for text, chinese in zip(given, page.evaluate(say, given), strict=True):
    assert re.search('[\u4e00-\u9fff]', chinese) and not re.search(r'[a-z]{3,} [a-z]{2,} [a-z]{2,}', chinese), text


@pytest.mark.slow
def test_a_new_dub_is_begun_from_the_page_and_opened(direct, desk, tmp_path):
  script = tmp_path / 'film.srt'
  script.write_text('1\n00:00:00,500 --> 00:00:02,000\nANNA: Where are you?\n')
  person = direct(desk)
  page = person.page
  page.goto(desk.url)
  page.locator('input[name=film]').set_input_files(desk.folder / 'film.mp4')
  page.locator('input[name=script]').set_input_files(script)
  page.locator('select[name=voice]').select_option('ada')
  page.get_by_role('button', name='Start').dblclick()
  page.locator('.projects a', has_text='1 lines').click()
  page.locator('.row', has_text='Where are you?').wait_for()
  assert sum(request.method == 'POST' for request in person.sent) == 1


@pytest.mark.slow
def test_a_script_that_cannot_be_read_is_one_line(direct, desk, tmp_path):
  (tmp_path / 'film.srt').write_bytes(bytes(range(256)))
  person = direct(desk)
  page = person.page
  page.goto(desk.url)
  page.locator('input[name=film]').set_input_files(desk.folder / 'film.mp4')
  page.locator('input[name=script]').set_input_files(tmp_path / 'film.srt')
  page.get_by_role('button', name='Start').click()
  page.locator('.notice.error').wait_for()
  assert page.locator('.projects li').count() == 1 and page.get_by_role('button', name='Start').is_enabled()


@pytest.mark.slow
def test_a_token_is_asked_for_once(direct, original, tmp_path):
  shutil.copytree(original, tmp_path / 'desk')
  with desk_server(tmp_path / 'desk', token='a-long-secret') as desk:
    person = direct(desk)
    page = person.page
    page.goto(f'{desk.url}/#{desk.project_id}/2')
    page.locator('dialog.token input').fill('wrong')
    page.get_by_role('button', name='Enter').click()
    page.get_by_text('This is not the token').wait_for()
    page.locator('dialog.token input').fill('a-long-secret')
    page.get_by_role('button', name='Enter').click()
    page.locator('.row[data-line="2"][aria-selected=true]').wait_for()
    person.note('softer')  # film, sounds and events come with the cookie
    page.reload()
    page.locator('.take[data-take="2"] .asked').wait_for()


@pytest.mark.slow
def test_a_note_that_was_not_sent_survives_a_reload(direct, desk):
  person = direct(desk)
  page = person.open(3)
  page.locator('#note').fill('softer, and then')
  page.reload()
  page.locator('.take .scores').first.wait_for()
  assert page.locator('#note').input_value() == 'softer, and then'
  person.go_to(4)
  assert page.locator('#note').input_value() == ''


@pytest.mark.slow
def test_where_no_stream_comes_through_the_project_is_read_again(direct, desk):
  person = direct(desk)
  page = person.open(1)
  other = person.tab()
  other.route('**/events', lambda route: route.abort())
  person.open(1, other)
  page.keyboard.press('a')
  other.locator('.row.accepted[data-line="1"]').wait_for()
  assert other.locator('.notice.away').count() == 0


@pytest.mark.slow
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('size', [SCREEN, PHONE], ids=['screen', 'phone'])
def test_axe_finds_nothing(direct, desk, size, scheme):
  axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
  person = direct(
    desk, size, color_scheme=scheme, locale='zh-CN' if scheme == 'dark' else 'en-US', reduced_motion='reduce'
  )
  page = person.page

  def check(where):
    page.evaluate('document.querySelectorAll("video").forEach((one) => one.pause())')
    found = axe.run(page, options={'resultTypes': ['violations']}).response['violations']
    assert [(one['id'], one['impact'], one['nodes'][0]['html']) for one in found] == [], where

  page.goto(desk.url)
  page.locator('.projects a').wait_for()
  check('projects')
  person.open(4)
  page.keyboard.press('a')
  page.locator('.row.accepted[data-line="4"]').wait_for(state='attached')
  person.go_to(4)
  person.note('softer')
  page.locator('.take[data-take="2"] .asked').wait_for()
  check('takes')
  for view in (['lines'] if person.is_phone else []) + ['direction', 'why', 'reference', 'cast']:
    person.view(view)
    check(view)
  page.locator('.rest .bare[title*="?"]').click()
  page.get_by_role('dialog').wait_for()
  check('keys')


@pytest.mark.slow
def test_the_page_weighs_little(direct, desk):
  person = direct(desk)
  weights = {}
  media = re.compile(r'/film$|\.wav$|\.jpg$|/events$')

  def weigh(request):
    if not media.search(request.url):
      weights[request.url] = request.sizes()['responseBodySize']

  person.page.on('requestfinished', weigh)
  person.open(1)
  assert 50_000 < sum(weights.values()) < HEAVIEST, weights


@pytest.mark.slow
def test_a_page_of_another_site_gets_nothing(desk):
  request = urllib.request.Request(
    f'{desk.url}/desk/projects/{desk.project_id}/undo', b'', {'Origin': 'http://example.org'}
  )
  with pytest.raises(urllib.error.HTTPError) as refused:
    urllib.request.urlopen(request)
  assert refused.value.code == 403
