import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubber_jax.errors import BadInput
from dubber_jax.script.characters import plain_text, spell_character
from dubber_jax.script.g2p import phonemize
from dubber_jax.script.normalize import mark_spelled, normalize_text, tokenize


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('It cost $3.50 in 1984.', 'it cost three dollars fifty cents in nineteen eighty four'),
    ('$1.5 million, or 5kg', 'one point five million dollars or five kilograms'),
    ('Dr. Smith, Prof. Jones etc.', 'doctor smith professor jones et cetera'),
    ('the 1920s, at 3:45pm', 'the nineteen twenties at three forty five p m'),
    ('NASA and the BBC left the U.S.A.', 'nasa and the b b c left the u s a'),
    ('GET OUT OF HERE!', 'get out of here'),
    ('J. R. R. Tolkien and Henry VIII', 'j r r tolkien and henry the eighth'),
    ('Nooo! Sweeeet.', 'no sweet'),
    ('2 1/2 cups & 50%', 'two and one half cups and fifty percent'),
    ('café—naïve “rock ’n’ roll”', 'cafe naive rock and roll'),
    ('1914–1918', 'nineteen fourteen to nineteen eighteen'),
    ('£3, 20 € and $3.5m', 'three pounds twenty euros and three point five million dollars'),
    ('₹20.50', 'twenty rupees fifty paise'),
    ('at 120 km/h, 1 mph', 'at one hundred and twenty kilometers per hour one mile per hour'),
    ('the 3rd of Dec. 2020', 'the third of december twenty twenty'),
    ("the '90s and 60's", 'the nineties and sixties'),
    ('15:00, 7:05 a.m., 10:00', "fifteen hundred seven oh five a m ten o'clock"),
    ('5/8, 1/3 or 9/11', 'five eighths one third or nine eleven'),
    ('call 555-1234, agent 007', 'call five five five one two three four agent zero zero seven'),
    ('10-20 at 3-1', 'ten to twenty at three to one'),
    ('20°C or 98.6°F', 'twenty degrees celsius or ninety eight point six degrees fahrenheit'),
    ('me@foo-bar.co.uk', 'me at foo dash bar dot co dot uk'),
    ('https://example.com/a.', 'example dot com slash a'),
    ('12 Main St. near St. Paul', 'twelve main street near saint paul'),
    ('Mr Fox, Ph.D., w/o C-3PO', 'mister fox p h d without c three p o'),
    ('brb, 3 × 4 = 12', 'b r b three times four equals twelve'),
    ('soft\u00adly \ufeffnow', 'softly now'),
  ],
)
def test_numbers_and_abbreviations_are_written_out(text, words):
  assert ' '.join(phonemize(text).words) == words


def test_marks_within_words_are_not_spelled_into_them():
  assert (
    ' '.join(phonemize('visit www.foo.org at twelve:thirty').words) == 'visit w w w dot foo dot org at twelve thirty'
  )


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('This is a won-\nderful day.', 'this is a wonderful day'),
    ('pre- and post-war', 'pre and post war'),
    ("Don't touch IT!", "don't touch it"),
    ('Give IT to US.', 'give it to us'),
    ('THAT is IT.', 'that is it'),
    ('He works in IT, the IT guy.', 'he works in i t the i t guy'),
    ('US troops left the US.', 'u s troops left the u s'),
    ('I AM HERE AT 5 AM ON AM RADIO.', 'i am here at five a m on a m radio'),
    ('SHOW ME YOUR ID.', 'show me your i d'),
    ('I SAW A UFO IN THE USA.', 'i saw a u f o in the u s a'),
    ('I LOVE THE FBI.', 'i love the f b i'),
    ('LAPD! OPEN UP, ZHIVAGO!', 'l a p d open up zhivago'),
    ('THE US ARMY NEEDS US.', 'the u s army needs us'),
    ('A 4x4 truck hit me.', 'a four by four truck hit me'),
    ('HE CAME 1ST ON THE 21ST OF MAY.', 'he came first on the twenty first of may'),
    ("I'm fine.Thank you.Goodbye.", "i'm fine thank you goodbye"),
    ('Mr.Smith is here.', 'mister smith is here'),
    ('Meet me at 3.30 tomorrow.', 'meet me at three thirty tomorrow'),
    ('I have 2.50 left.', 'i have two point five oh left'),
    ('She has 10K followers and $20K.', 'she has ten thousand followers and twenty thousand dollars'),
    ('He stole $2B and £3M.', 'he stole two billion dollars and three million pounds'),
    ('I want apartment 2B and a 4K TV.', 'i want apartment two b and a four k t v'),
    ('Call 911 now!', 'call nine one one now'),
    ('911 people came.', 'nine hundred and eleven people came'),
    (
      'Beverly Hills 90210, room 237, the 747',
      'beverly hills nine oh two one oh room two thirty seven the seven forty seven',
    ),
    ('King Henry VIII had six wives.', 'king henry the eighth had six wives'),
    ('Act I, Scene X.', 'act one scene ten'),
    ('Louis XIV and Thutmose II', 'louis the fourteenth and thutmose the second'),
    ('Elizabeth I, Elizabeth I love you.', 'elizabeth the first elizabeth i love you'),
    ('Rocky IV, Super Bowl LIV, Malcolm X', 'rocky four super bowl fifty four malcolm x'),
    ('We celebrate on July 4.', 'we celebrate on july fourth'),
    ('On 4 July 1776 they signed it.', 'on the fourth of july seventeen seventy six they signed it'),
    ('1:30pm-2:30pm or 2:30-3:30', 'one thirty p m to two thirty p m or two thirty to three thirty'),
    ('12/25/2023, 2024-01-05', 'december twenty fifth twenty twenty three january fifth twenty twenty four'),
    ('I may 5 times.', 'i may five times'),
    ('He lives on Elm Dr. near the park.', 'he lives on elm drive near the park'),
    ('Hello Dr., I met Dr. No.', 'hello doctor i met doctor no'),
    ('WE WENT TO ST. MARY ON MAIN ST.', 'we went to saint mary on main street'),
    ('Y-you are my friend.', 'you are my friend'),
    ("W-w-what? I-I don't, so-so.", "what i i don't so so"),
    ('Søren met Æon in Łódź.', 'soren met aeon in lodz'),
    ('Đoković won.', 'dokovic won'),
    ('I don´t know what it´s for.', "i don't know what it's for"),
    ('WWII was long.', 'world war two was long'),
    ('Pvt. Ryan is lost.', 'private ryan is lost'),
    ('Cpl. Jones, stop!', 'corporal jones stop'),
    ('Ft. Worth is 5 ft. off.', 'fort worth is five feet off'),
    ('Det. Lee, Maj. Tom, Adm. Fox, Rep. Ray', 'detective lee major tom admiral fox representative ray'),
    ('Love you, hon. Bye, Max. Thanks, Jan.', 'love you hon bye max thanks jan'),
    ('That costs €27,50 today.', 'that costs twenty seven euros fifty cents today'),
    ('1,5 hours and 1,500 men', 'one point five hours and one thousand five hundred men'),
    ('10-4, good buddy.', 'ten four good buddy'),
    ('A 1-2 punch, 24/7, 9-1-1.', 'a one two punch twenty four seven nine one one'),
    ('~Hello~ there, ~5 men.', 'hello there about five men'),
    ('Call me at 135-4567-8900.', 'call me at one three five four five six seven eight nine zero zero'),
    ('Dial 1300 555 019.', 'dial one three zero zero five five five zero one nine'),
    ('B-52s flew.', 'b fifty twos flew'),
    ('Two Boeing 737s.', 'two boeing seven thirty sevens'),
    ('I saw UFOs.', "i saw u f o's"),
    ('Show me your IDs.', "show me your i d's"),
    ('Wait 5s. A pair of 3s.', 'wait five seconds a pair of threes'),
    ('Th1s is $1,234.56.', 'this is one thousand two hundred and thirty four dollars fifty six cents'),
    ('H2O, R&B, C#, Ke$ha', 'h two o r and b c sharp kesha'),
    ('Goooood, noooo, coool!', 'good no cool'),
  ],
)
def test_kinds_of_tokens_are_told_apart_by_their_context(text, words):
  assert ' '.join(phonemize(text).words) == words


@pytest.mark.parametrize(
  ('text', 'words', 'left_out'),
  [
    ('What the @#$% is that?', 'what the is that', ('@#$%',)),
    ('F**k you.', 'you', ('F**k',)),
    ('sh*t happens, d--n it', 'happens it', ('sh*t', 'd--n')),
    ('I <3 you.', 'i you', ('<3',)),
    ('Hi 😀 ♪ there', 'hi there', ('😀',)),
    ('Fine :D go *now*', 'fine go now', (':D',)),
  ],
)
def test_what_is_left_out_is_named(text, words, left_out):
  phonemes = phonemize(text)
  assert ' '.join(phonemes.words) == words and phonemes.unspoken == left_out
  assert all(part in phonemes.warnings[0] for part in left_out)


@pytest.mark.parametrize(
  ('text', 'sounds'),
  [
    ('Aaah! It hurts!', '@AA1 !'),
    ('Eww, that is gross.', '@IY1 @UW0 ,'),
    ('Ooooh, nice.', '@UW1 ,'),
    ('Nuh-uh, no way.', '@N @AH1 @AH1 ,'),
    ('Ahem.', '@AH0 @HH @EH1 @M .'),
    ('Hehe.', '@HH @EH1 @HH @EH0 .'),
    ('Shhhhh!', '@SH !'),
    ('MMMM.', '@M .'),
    ('Ugh.', '@AH1 @G .'),
    ('Psssst!', '@P @S @T !'),
    ('Tsk.', '@T @S @K .'),
    ('Hahaha!', '@HH @AA1 @HH @AA0 @HH @AA1 !'),
  ],
)
def test_interjections_of_any_length(text, sounds):
  assert ' '.join(phonemize(text).symbols[1:]).startswith(sounds)


def test_sentences_without_a_blank_between_them_keep_their_pause():
  assert [s for s in phonemize("I'm fine.Thank you.Goodbye.").symbols if s == '.'] == ['.'] * 3
  assert '.' not in phonemize('Pvt. Ryan ran').symbols


@pytest.mark.parametrize(
  ('text', 'normalized'),
  [
    ('$3.50', 'three dollars fifty cents'),
    ('£1', 'one pound'),
    ('at 7:05', 'at seven oh five'),
    ('5 km/h', 'five kilometers per hour'),
    ('Dr. No', 'doctor No'),
    ('Henry VIII', 'Henry the eighth'),
    ('GET OUT', 'get out'),
    ('the BBC', f'the {mark_spelled("BBC")}'),
  ],
)
def test_each_kind_of_token_is_normalized(text, normalized):
  assert normalize_text(text, []) == normalized


def test_removed_parts_are_reported():
  unspoken = []
  assert normalize_text('日本 hello 😀', unspoken) == 'hello'
  assert unspoken == ['日本', '😀']


PARTS = (
  'July |4 |$|10|K |Dr. |VIII |B-|52s |at |3.30 |911 |US |F**k |@#$% |<3 |1,5 |won- |Y-you |½|1st |No. |Jan. |1/2 '
  "|p.m. |x²|€27,50|-|'|7|I |A "
).split('|')
MIXED_TEXT = st.text(max_size=24) | st.lists(st.sampled_from(PARTS), max_size=6).map(''.join)


@settings(max_examples=300, deadline=None)
@given(MIXED_TEXT)
def test_no_letter_or_digit_is_lost_without_a_word(text):
  unspoken = []
  plain = plain_text(text, unspoken)
  named = ''.join(unspoken)
  for character in text:
    if unicodedata.category(character)[0] in 'LN':
      assert (spell_character(character) or '').strip() or character in named
  tokens = tokenize(plain)
  assert ''.join(token.text for token in tokens) == plain
  left_out = []
  normalized = normalize_text(text, left_out)
  assert not re.search(r'\d', normalized)
  for token in tokens:
    if re.search('[A-Za-z0-9]', token.text):
      assert re.search('[A-Za-z\ue000-\ue019]', token.spoken) or token.text.strip() in left_out
  spoken = set(re.findall("[A-Za-z]+(?:'[A-Za-z]+)*", normalized))
  try:
    phonemes = phonemize(text)
  except BadInput:
    return
  assert {word.lower() for word in spoken} <= set(phonemes.words) | {word.lower() for word in phonemes.unspoken}


@settings(max_examples=200, deadline=None)
@given(MIXED_TEXT, st.data())
def test_each_digit_counts(text, data):
  places = [i for i, character in enumerate(text) if character in '0123456789']
  if not places:
    return
  place = data.draw(st.sampled_from(places))
  other = data.draw(st.sampled_from([d for d in '0123456789' if d != text[place]]))
  changed, unspoken, unspoken_too = text[:place] + other + text[place + 1 :], [], []
  before, after = normalize_text(text, unspoken), normalize_text(changed, unspoken_too)
  assert (before, unspoken) != (after, unspoken_too)
