"""Against a server on this machine that speaks the protocol."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dubber_jax.director.llm_planner import LanguageModel
from dubber_jax.errors import BadInput
from dubber_jax.transcription.translation import AT_ONCE, translate
from dubber_jax.transcription.utterances import Cue


@contextlib.contextmanager
def serving(answer):
  """`answer`: inputs of a request -> the content of the completion."""
  requests = []

  class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
      request = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
      inputs = json.loads(request['messages'][1]['content'])
      requests.append(inputs)
      content = answer(inputs)
      body = json.dumps({'choices': [{'message': {'content': content}, 'finish_reason': 'stop'}]}).encode()
      self.send_response(200 if content is not None else 400)
      self.end_headers()
      self.wfile.write(body)

    def log_message(self, *_):
      pass

  server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
  threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()
  try:
    yield LanguageModel(f'http://127.0.0.1:{server.server_port}/v1', 'm', timeout=5, tries=2, backoff=0.01), requests
  finally:
    server.shutdown()
    server.server_close()


def said(lines):
  return json.dumps({'lines': [{'number': number, 'text': text} for number, text in lines]})


def numbers(inputs):
  return [line['number'] for line in inputs['lines']]


CUES = [Cue(0.0, 1.0, 'Guten Tag.', 'Anna'), Cue(1.0, 2.0, 'Wie geht es Ihnen heute?', 'Ben')]


def test_lines_are_translated_in_requests_of_a_few_with_what_was_said_before():
  cues = [Cue(i, i + 1.0, f'Satz {i}', 'Anna') for i in range(AT_ONCE + 1)]
  with serving(lambda inputs: said((i, f'Line {i}') for i in numbers(inputs))) as (
    model,
    asked,
  ):
    translated, warnings = translate(cues, 'en', model)
  assert [cue.text for cue in translated] == [f'Line {i + 1}' for i in range(AT_ONCE + 1)]
  assert [(cue.start, cue.end, cue.speaker) for cue in translated] == [(c.start, c.end, c.speaker) for c in cues]
  assert not warnings and len(asked) == 2
  assert asked[1]['lines_before'][-1] == {'speaker': 'Anna', 'text': f'Line {AT_ONCE}'}
  assert asked[0]['language'] == 'en' and asked[0]['lines'][0]['most_characters'] == 15


def test_a_line_that_is_too_long_is_asked_for_again_and_told_if_it_stays_so():
  def answer(inputs):
    second = 'How are you?' if 'too_long' in inputs['lines'][-1] else 'How is it that you are today?'
    return said((i, 'Good day.' if i == 1 else second) for i in numbers(inputs))

  with serving(answer) as (model, asked):
    translated, warnings = translate(CUES, 'English', model)
  assert [cue.text for cue in translated] == ['Good day.', 'How are you?'] and not warnings
  assert [line['number'] for line in asked[1]['lines']] == [2]
  assert asked[1]['lines'][0]['too_long'] == 'How is it that you are today?'

  with serving(lambda inputs: said((i, 'far too long for it, still') for i in numbers(inputs))) as (
    model,
    asked,
  ):
    translated, warnings = translate(CUES[:1], 'English', model)
  assert len(asked) == 3 and 'line 1 has 26 characters in 1.0 s' in warnings[0]


@pytest.mark.parametrize('answer', ['no JSON', '{"lines": []}', '{"lines": [{"number": 1, "text": " "}]}', None])
def test_an_answer_that_cannot_be_used_ends_the_command_in_one_line(answer):
  with serving(lambda inputs: answer) as (model, _), pytest.raises(BadInput, match='nothing was translated') as error:
    translate(CUES, 'en', model)
  assert '\n' not in str(error.value)
