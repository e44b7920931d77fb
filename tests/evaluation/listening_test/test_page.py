import base64
import io
import json
import re
import wave

import numpy as np
import pytest

from dubber_jax.cli.main import main
from dubber_jax.errors import BadInput
from dubber_jax.evaluation.listening_test.page import BEEPS, Plan, beeps, read_items, write_test
from dubber_jax.evaluation.listening_test.scores import find_key, score, summary, write_table
from dubber_jax.media.sound import write_wav

LINES = [('Get out!', 'angry'), ('Well, well.', 'neutral'), ('</script><b>Hurray!', 'happy'), ('Oh no.', 'fear')]
SYSTEMS = ('off', 'on')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Two systems that speak four lines, each a tone of its own."""
  folder = tmp_path_factory.mktemp('sounds')
  for s, system in enumerate(SYSTEMS):
    (folder / system).mkdir()
    for n in range(len(LINES)):
      tone = 0.1 * np.sin(np.arange(6000) * 0.05 * (1 + n + 4 * s))
      write_wav(folder / system / f'{n + 1:03d}.wav', tone, 22050)
  rows = [json.dumps({'text': text, 'emotion': emotion}) for text, emotion in LINES]
  (folder / 'lines.jsonl').write_text('\n'.join(rows))
  return folder


@pytest.fixture
def made(folder, tmp_path):
  """A page and its key, in a folder."""
  write_test(read_items(folder), tmp_path / 'test.html', Plan('Voices', seed=1))
  return tmp_path


def plan_of(page):
  return json.loads(re.search(r'id="plan">(.*?)</script>', page.read_text(), re.S)[1])


def key_of(made):
  return json.loads((made / 'test.key.json').read_text())


def answers_of(made, name, rate, choose, slips=0):
  """A listener's file: every sound rated by rate(system, line), each pair answered by choose(off, on), some slips."""
  key = key_of(made)
  sound = {(of['system'], of['line']): name for name, of in key['samples'].items()}
  answers = []
  for section in ('naturalness', 'emotion'):
    answers += [
      {'section': section, 'sounds': [name], 'value': rate(of['system'], of['line'])}
      for name, of in key['samples'].items()
    ]
    checks = list(key['checks'].items())[:2]
    answers += [{'section': section, 'sounds': [check], 'value': count} for check, count in checks]
  for line in range(len(LINES)):
    pair = [sound['off', line], sound['on', line]]
    answers.append({'section': 'preference', 'sounds': pair[:: (-1) ** line], 'value': choose(*pair)})
  check = next(iter(key['checks']))
  answers.append({'section': 'preference', 'sounds': [sound['on', 0], check], 'value': check})
  wrong = [answer for answer in answers if set(answer['sounds']) & set(key['checks'])][:slips]
  for answer in wrong:
    answer['value'] = 1 + answer['value'] % 5
  path = made / f'{name}.json'
  path.write_text(json.dumps({'test': key['test'], 'listener': name, 'answers': answers}))
  return path


def test_the_page_does_not_say_whose_sound_it_is(made):
  plan = plan_of(made / 'test.html')
  for text in (json.dumps(plan['lines']), json.dumps(plan['checks']), ' '.join(plan['sounds'])):
    assert not re.search(r'\b(on|off)\b', text)
  key = key_of(made)
  assert set(plan['sounds']) == set(key['samples']) | set(key['checks'])
  order = [key['samples'][name]['system'] for line in plan['lines'] for name in line['sounds']]
  assert order not in (['off', 'on'] * 4, ['on', 'off'] * 4)


def test_the_key_names_the_sound_that_each_system_spoke(made):
  sounds = plan_of(made / 'test.html')['sounds']
  for name, of in key_of(made)['samples'].items():
    with wave.open(io.BytesIO(base64.b64decode(sounds[name].partition(',')[2]))) as file:
      samples = np.frombuffer(file.readframes(6000), '<i2')
    pitch = np.argmax(np.abs(np.fft.rfft(samples))) / 6000 * 2 * np.pi
    assert pitch == pytest.approx(0.05 * (1 + of['line'] + 4 * (of['system'] == 'on')), abs=0.002)


def test_words_of_a_line_cannot_change_the_page(made):
  assert '<b>' not in (made / 'test.html').read_text()
  assert plan_of(made / 'test.html')['lines'][2]['text'] == LINES[2][0]


def test_beeps_can_be_counted():
  loud = np.abs(beeps(BEEPS)) > 0.1
  starts = np.flatnonzero(np.diff(np.convolve(loud, np.ones(200), 'same') > 0)).reshape(-1, 2)
  assert len(starts) == BEEPS and (starts[1:, 0] - starts[:-1, 1]).min() > 0.15 * 22050


def test_sounds_may_lie_beside_the_page(folder, tmp_path):
  write_test(read_items(folder), tmp_path / 'test.html', Plan(beside=True))
  sounds = plan_of(tmp_path / 'test.html')['sounds']
  assert all((tmp_path / address).is_file() for address in sounds.values()) and len(sounds) == 8 + BEEPS


def test_other_sounds_are_another_test(folder, tmp_path):
  items = read_items(folder)
  write_test(items, tmp_path / 'a.html')
  write_test(items, tmp_path / 'b.html')
  write_test(items[::-1], tmp_path / 'c.html')
  a, b, c = (plan_of(tmp_path / f'{name}.html') for name in 'abc')
  assert a == b and a['test'] != c['test']


def test_lines_are_read_from_a_list_too(folder):
  rows = [{'text': 'Oh no.', 'emotion': 'fear', 'sounds': {'a': 'off/001.wav', 'b': 'on/001.wav'}}]
  (folder / 'list.json').write_text(json.dumps(rows))
  (item,) = read_items(folder / 'list.json')
  assert item.text == 'Oh no.' and item.sounds['b'] == folder / 'on' / '001.wav'


@pytest.mark.parametrize(
  'row, said',
  [
    ({'text': 'Hm.', 'emotion': 'grumpy', 'sounds': {'a': 'off/001.wav'}}, 'grumpy'),
    ({'text': 'Hm.', 'emotion': 'sad', 'sounds': {'a': 'off/009.wav'}}, 'does not exist'),
    ({'text': 'Hm.', 'emotion': 'sad'}, 'no sounds'),
    ({'emotion': 'sad', 'sounds': {'a': 'off/001.wav'}}, '"text"'),
    ({'text': 'Hm.', 'emotion': 'sad', 'sounds': {'b': 'off/001.wav'}}, 'no sound of b'),
  ],
)
def test_rows_that_cannot_be_used_are_named(folder, row, said):
  good = {'text': 'Oh.', 'emotion': 'sad', 'sounds': {'a': 'off/001.wav'}}
  (folder / 'bad.json').write_text(json.dumps([good, row]))
  with pytest.raises(BadInput, match=said):
    read_items(folder / 'bad.json')


def test_ratings_become_means_and_gains(made):
  liked = {'off': 2, 'on': 3}
  files = [
    answers_of(made, f'l{n}', lambda system, line: liked[system] + line % 2, lambda off, on: on) for n in range(3)
  ]
  found = summary(score(files, find_key(files)))
  assert found['ratings']['naturalness']['off']['mean'] == 2.5 and found['ratings']['emotion']['on']['mean'] == 3.5
  (gain,) = found['gains']['naturalness']
  assert (gain['of'], gain['over']) == ('on', 'off') and gain['mean'] == pytest.approx(0.4)
  assert 0 < gain['low'] <= gain['mean'] <= gain['high']
  assert found['preferred'][0]['mean'] == 1.0
  assert found['agreement']['naturalness']['mean'] == 1.0 and found['listeners'] == 3


def test_who_prefers_neither_counts_half(made):
  file = answers_of(made, 'l', lambda *_: 3, lambda off, on: 'same')
  assert summary(score([file], made / 'test.key.json'))['preferred'][0]['mean'] == 0.5


def test_who_does_not_listen_is_left_out_and_named(made):
  careful = answers_of(made, 'careful', lambda *_: 4, lambda off, on: on, slips=1)
  careless = answers_of(made, 'careless', lambda *_: 1, lambda off, on: off, slips=2)
  scores = score([careful, careless], made / 'test.key.json')
  assert scores.ratings['naturalness']['on'].value == 4 and [one.name for one in scores.dropped] == ['careless']
  table, data = write_table(scores, made / 'table.md')
  assert 'careless' in table.read_text() and json.loads(data.read_text())['dropped'][0]['failed'] == 2
  with pytest.raises(BadInput, match='attention'):
    score([careless], made / 'test.key.json')


def test_a_sound_that_could_not_be_played_is_nobodys_rating(made):
  file = answers_of(made, 'l', lambda system, line: None if line else 5, lambda off, on: on)
  found = summary(score([file], made / 'test.key.json'))['ratings']['emotion']['on']
  assert (found['mean'], found['low'], found['ratings']) == (5, None, 1)


def test_answers_that_do_not_belong_are_refused(made):
  file = answers_of(made, 'l', lambda *_: 3, lambda off, on: on)
  with pytest.raises(BadInput, match='two files'):
    score([file, file], made / 'test.key.json')
  record = json.loads(file.read_text())
  for change, said in (
    ({'test': 'other'}, 'another test'),
    ({'answers': [{'section': 'emotion', 'sounds': ['s0000'], 'value': 6}]}, 'changed'),
    ({'answers': [{'section': 'emotion', 'sounds': ['x'], 'value': 3}]}, 'changed'),
  ):
    (made / 'bad.json').write_text(json.dumps(record | change))
    with pytest.raises(BadInput, match=said):
      score([made / 'bad.json'], made / 'test.key.json')


# In a browser


class Person:
  """Someone at the page: plays, then answers by keyboard or by finger, knowing the key as no listener does."""

  def __init__(self, page, key, fingers):
    self.page, self.key, self.fingers = page, key, fingers
    self.errors = []
    page.on('pageerror', lambda error: self.errors.append(str(error)))

  def go_on(self):
    if self.fingers:
      self.page.locator('.go button').first.click()
    else:
      self.page.keyboard.press('Enter')

  def answer(self, prefer, marks):
    """The trial that is shown."""
    sounds = self.page.evaluate('trials[record.answers.length].sounds')
    for place in range(len(sounds)):
      if self.fingers:
        self.page.locator('.player button').nth(place).click()
      else:
        self.page.keyboard.press('ab'[place] if len(sounds) > 1 else 'p')
      self.page.locator('.player.heard').nth(place).wait_for(timeout=20_000)
    wanted = [self._liking(sound, prefer, marks) for sound in sounds]
    mark = str(wanted[0]) if len(sounds) == 1 else 'AB'[int(np.argmax(wanted))]
    if self.fingers:
      self.page.locator(f'label:has(input[value="{mark}"])').click()
    else:
      self.page.keyboard.press({'A': '1', 'B': '2'}.get(mark, mark))
    self.go_on()
    return len(sounds)

  def _liking(self, sound, prefer, marks):
    if sound in self.key['checks']:
      return self.key['checks'][sound] * (100 if prefer is None else 1)
    return marks[self.key['samples'][sound]['system']]

  @property
  def asked(self):
    return self.page.locator('fieldset').count() > 0

  @property
  def done(self):
    return self.page.get_by_role('button', name='Download the answers').count() > 0


@pytest.mark.slow
@pytest.mark.parametrize('beside', [False, True], ids=['embedded', 'beside'])
def test_from_the_page_to_the_table_in_a_browser(browser, folder, tmp_path, beside):
  assert (
    main(
      [
        'listening-test',
        str(folder),
        '-o',
        str(tmp_path / 'test.html'),
        '--lines',
        '2',
        *(['--beside'] if beside else []),
      ]
    )
    == 0
  )
  key = key_of(tmp_path)
  marks = {'off': 2, 'on': 4}
  files = []
  for listener, fingers in (('1', False), ('2', True)):
    size = {'width': 390, 'height': 800} if fingers else {'width': 1000, 'height': 800}
    context = browser.new_context(viewport=size, has_touch=fingers)
    page = context.new_page()
    person = Person(page, key, fingers)
    address = f'{(tmp_path / "test.html").as_uri()}?listener={listener}'
    page.goto(address)
    page.get_by_role('button', name='Start').click()
    reloaded = False
    while not person.done:
      if not person.asked:
        person.go_on()
        continue
      before = page.evaluate('record.answers.length')
      section = page.evaluate('trials[record.answers.length].section')
      person.answer(None if section == 'preference' else 'rate', marks)
      assert page.evaluate('record.answers.length') == before + 1
      if before == 3 and not reloaded:  # the page is closed and opened again: it goes on where it was
        reloaded = True
        page.goto(address)
        page.get_by_role('button', name='Start').click()
        assert page.evaluate('record.answers.length') == 4
    with page.expect_download() as download:
      person.go_on()
    files.append(tmp_path / download.value.suggested_filename)
    download.value.save_as(files[-1])
    assert person.errors == []
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    context.close()
  assert main(['listening-test', '--score', *map(str, files), '-o', str(tmp_path / 'table.md')]) == 0
  found = json.loads((tmp_path / 'table.json').read_text())
  assert found['listeners'] == 2 and not found['dropped']
  assert found['ratings']['naturalness']['off']['mean'] == 2 and found['ratings']['emotion']['on']['mean'] == 4
  assert found['preferred'][0]['mean'] == 1 and found['ratings']['emotion']['on']['ratings'] == 4


@pytest.mark.slow
def test_many_listeners_hear_all_lines_alike_often_and_in_no_fixed_order(browser, folder, tmp_path):
  write_test(read_items(folder), tmp_path / 'test.html', Plan(lines=2))
  page = browser.new_page()
  page.goto((tmp_path / 'test.html').as_uri())
  heard = page.evaluate('Array.from({length: 200}, (_, n) => trialsOf(String(n + 1)))')
  assert heard[0] == page.evaluate("trialsOf('1')") and heard[0] != heard[2]
  key = key_of(tmp_path)
  rated = [t['sounds'][0] for one in heard for t in one if t['section'] == 'emotion']
  assert {rated.count(name) for name in key['samples']} == {100}
  first = [
    key['samples'][t['sounds'][0]]['system']
    for one in heard
    for t in one
    if t['section'] == 'preference' and set(t['sounds']) <= set(key['samples'])
  ]
  assert 0.4 < first.count('on') / len(first) < 0.6
  for one in heard:
    checks = [t for t in one if set(t['sounds']) & set(key['checks'])]
    assert [t['section'] for t in checks] == ['naturalness'] * 2 + ['emotion'] * 2 + ['preference']
    assert not any(t['first'] for t in checks)


@pytest.mark.parametrize(
  'change',
  [
    {'answers': 7},
    {'answers': True},
    {'answers': [7]},
    {'answers': [{'sounds': 7}]},
    {'answers': {'a': 1}},
    {'test': []},
  ],
)
def test_answers_that_the_page_did_not_write_are_one_line(made, tmp_path, change):
  whole = {'test': key_of(made)['test'], 'listener': 'ann', 'answers': []}
  (tmp_path / 'ann.json').write_text(json.dumps(whole | change))
  with pytest.raises(BadInput) as said:
    score([tmp_path / 'ann.json'], made / 'test.key.json')
  assert '\n' not in str(said.value)
