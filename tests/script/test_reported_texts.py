"""Texts that other speech systems were reported to read wrongly."""

import pytest

from dubber_jax.script.g2p import phonemize


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('Act Ⅳ, Scene Ⅸ', 'act four scene nine'),
    ("IBM's mainframes and MIT's", "i b m's mainframes and m i t's"),
    ('2st, 1nd and 3rd', 'second first and third'),
    ('ipv6, grubx64 and idv3', 'i p v six g r u b x sixty four and i d v three'),
    ('I’m sure it’s not what they’re after.', "i'm sure it's not what they're after"),
    ('a model with 82 million parameters', 'a model with eighty two million parameters'),
    ('There are 5.4, or 5.5', 'there are five point four or five point five'),
    ('01 and 0101', 'zero one and zero one zero one'),
    ('In 2001 and 2002', 'in two thousand and one and two thousand and two'),
    ('CVPR-15 and NE-123', 'c v p r fifteen and n e one twenty three'),
    ("Tom's 1986 report", "tom's nineteen eighty six report"),
    ('21 4 star hotels', 'twenty one four star hotels'),
    ('2/3 of $100, 50g', 'two thirds of one hundred dollars fifty grams'),
    ('on Sunset Blvd today', 'on sunset boulevard today'),
    ('1.234.567 euros', 'one million two hundred and thirty four thousand five hundred and sixty seven euros'),
    ('$1,200 on Jan 3rd', 'one thousand two hundred dollars on january third'),
    ('World War II cost $500.', 'world war two cost five hundred dollars'),
    ('Mr Smith Jr. and Mrs Jones', 'mister smith junior and missus jones'),
    ('In 1920 and 1908', 'in nineteen twenty and nineteen oh eight'),
    ('Dr. Smith welcomes Mr Brown', 'doctor smith welcomes mister brown'),
    ('We have approximately 16 min remaining', 'we have approximately sixteen minutes remaining'),
    ('Body 2 a is far.', 'body two a is far'),
    ('See Sec. 1.2 and wait a sec.', 'see section one point two and wait a sec'),
    ('Thutmose II ruled to 1479 BC.', 'thutmose the second ruled to fourteen seventy nine b c'),
    ('a 10m (32ft) way with a 40cm gap', 'a ten meters thirty two feet way with a forty centimeters gap'),
    ('the 24th, $100B, 3 kWh', 'the twenty fourth one hundred billion dollars three kilowatt hours'),
    ('22,361 readers', 'twenty two thousand three hundred and sixty one readers'),
    ('3:30 this afternoon, 9:10 the next', 'three thirty this afternoon nine ten the next'),
    ('7:30 I will, 8:00 your turn', "seven thirty i will eight o'clock your turn"),
    ('Kosten 27,50 €', 'kosten twenty seven euros fifty cents'),
    ('google.com is related to apple.com', 'google dot com is related to apple dot com'),
  ],
)
def test_words(text, words):
  assert ' '.join(phonemize(text).words) == words


@pytest.mark.parametrize(
  ('text', 'sounds'),
  [
    ('fairy tales', 'T EY1 L Z'),
    ('The wind is blowing.', 'W IH1 N D'),
    ('What we must do is read.', 'R IY1 D'),
    ("It's how we live.", 'L IH1 V'),
    ('We watched the performance live.', 'L AY1 V'),
    ('Yesterday we read books.', 'R EH1 D'),
    ('The session is live.', 'L AY1 V'),
    ('2024 is a great year to live.', 'L IH1 V'),
    ('The website went live.', 'L AY1 V'),
    ('A number of pipes of lead.', 'L EH1 D'),
    ('double and triple', 'D AH1 B AH0 L'),
  ],
)
def test_sounds(text, sounds):
  assert f' {sounds} ' in ' '.join(symbol.strip('@') for symbol in phonemize(text).symbols)
