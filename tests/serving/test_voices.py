"""Voices of a server, as they are stored."""

import json

import numpy as np
import pytest

from dubber_jax.serving.errors import ApiError
from dubber_jax.serving.voices import CONSENT, VOICE, Consent, VoiceStore
from dubber_jax.types import Voice

CONSENT_FIELDS = {
  'consent_speaker': 'Ada Example',
  'consent_date': '2026-03-31',
  'consent_statement': 'I agree that my voice speaks the lines of this film.',
}


def a_voice(seed=1, fit=None, name=''):
  rng = np.random.default_rng(seed)
  embedding, mel = rng.normal(size=256).astype(np.float32), rng.normal(size=(20, 80)).astype(np.float32)
  return Voice(embedding, mel, name, ('quiet',), fit or {}, 'this model' if fit else '')


SHIPPED = {'kathleen': a_voice(0, name='kathleen')}


@pytest.fixture
def store(tmp_path):
  return VoiceStore(tmp_path / 'voices', lambda: SHIPPED, lambda voice: voice.fit_of == 'this model')


def test_a_voice_is_stored_with_its_consent_and_read_as_it_was(store, tmp_path):
  voice = a_voice(fit={'text/scale': np.ones(3, np.float32)})
  about = store.add('艾达', voice, Consent.of(CONSENT_FIELDS), 4.2)
  assert about['consent']['speaker'] == 'Ada Example' and about['adapted'] and about['warnings'] == ['quiet']
  again = VoiceStore(tmp_path / 'voices', lambda: SHIPPED, lambda voice: voice.fit_of == 'this model')
  assert again.names() == ['kathleen', '艾达'] and again.about('艾达') == about
  found = again.get('艾达')
  assert (
    found.name == '艾达' and np.array_equal(found.embedding, voice.embedding) and found.fit.keys() == voice.fit.keys()
  )
  assert {path.name for path in (tmp_path / 'voices' / '艾达').iterdir()} == {VOICE, 'voice.json', CONSENT}
  assert json.loads((tmp_path / 'voices' / '艾达' / CONSENT).read_text())['received']


def test_a_voice_that_was_adapted_for_another_model_is_used_without_that(tmp_path):
  VoiceStore(tmp_path, dict, lambda _: True).add('ada', a_voice(fit={'x': np.ones(1)}), Consent.of(CONSENT_FIELDS))
  assert VoiceStore(tmp_path, dict, lambda _: False).get('ada').fit == {}
  assert VoiceStore(tmp_path, dict, lambda _: True).get('ada').fit


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('consent_speaker', ' '),
    ('consent_speaker', 'x' * 201),
    ('consent_date', ''),
    ('consent_date', 'yesterday'),
    ('consent_date', '9999-01-01'),
    ('consent_date', '0001-01-01'),
    ('consent_statement', ''),
    ('consent_statement', 'yes'),
    ('consent_statement', 'x' * 5000),
  ],
)
def test_without_whole_consent_there_is_no_voice(field, value):
  with pytest.raises(ApiError) as refused:
    Consent.of(CONSENT_FIELDS | {field: value})
  assert (refused.value.status, refused.value.code, refused.value.param) == (400, 'consent_required', field)
  with pytest.raises(ApiError, match='consent'):
    Consent.of({name: text for name, text in CONSENT_FIELDS.items() if name != field})


@pytest.mark.parametrize(
  'name',
  ['', ' ', '.', '..', '../x', 'a/b', 'a\\b', '/etc/passwd', '.hidden', 'a..b', 'x' * 65, 'a\0b', 'a\nb', '-x'],
)
def test_names_that_could_lead_elsewhere_are_refused(store, tmp_path, name):
  with pytest.raises(ApiError) as refused:
    store.add(name, a_voice(), Consent.of(CONSENT_FIELDS))
  assert refused.value.status == 400 and not [*tmp_path.rglob('*.safetensors')]
  for ask in (store.get, store.about, store.remove):
    with pytest.raises(ApiError) as refused:
      ask(name)
    assert (refused.value.status, refused.value.code) == (404, 'unknown_voice')


def test_links_in_the_folder_are_no_voices(store, tmp_path):
  store.add('ada', a_voice(), Consent.of(CONSENT_FIELDS))
  (tmp_path / 'voices' / 'ada').rename(tmp_path / 'elsewhere')
  (tmp_path / 'voices' / 'ada').symlink_to(tmp_path / 'elsewhere')
  assert 'ada' not in store.names()
  with pytest.raises(ApiError):
    store.remove('ada')
  assert (tmp_path / 'elsewhere' / VOICE).exists()


@pytest.mark.parametrize('name', ['ada', 'Ada', 'kathleen'])
def test_a_name_is_given_once(store, name):
  store.add('ada', a_voice(), Consent.of(CONSENT_FIELDS))
  with pytest.raises(ApiError) as refused:
    store.add(name, a_voice(2), Consent.of(CONSENT_FIELDS))
  assert (refused.value.status, refused.value.code) == (409, 'voice_exists')


def test_a_voice_is_deleted_and_those_of_the_model_stay(store, tmp_path):
  store.add('ada', a_voice(), Consent.of(CONSENT_FIELDS))
  store.get('ada')
  store.remove('ada')
  assert store.names() == ['kathleen'] and not [*(tmp_path / 'voices').iterdir()]
  for name, status in (('ada', 404), ('kathleen', 403)):
    with pytest.raises(ApiError) as refused:
      store.remove(name)
    assert refused.value.status == status
  store.add('ada', a_voice(3), Consent.of(CONSENT_FIELDS))
  assert np.array_equal(store.get('ada').embedding, a_voice(3).embedding)


def test_a_write_that_fails_leaves_nothing_behind(store, tmp_path, monkeypatch):
  def fail(*_, **__):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('dubber_jax.serving.voices.write_json', fail)
  with pytest.raises(ValueError, match='space'):
    store.add('ada', a_voice(), Consent.of(CONSENT_FIELDS))
  assert store.names() == ['kathleen'] and not [*(tmp_path / 'voices').iterdir()]


def test_a_damaged_voice_costs_its_own_requests_alone(store, tmp_path):
  store.add('ada', a_voice(), Consent.of(CONSENT_FIELDS))
  (tmp_path / 'voices' / 'ada' / VOICE).write_bytes(b'no tensors')
  (tmp_path / 'voices' / 'ada' / CONSENT).write_text('[')
  assert store.names() == ['kathleen', 'ada']
  for ask in (store.get, store.about):
    with pytest.raises(ApiError) as refused:
      ask('ada')
    assert refused.value.status == 409
  store.remove('ada')
