"""Descriptions of directions, and of changes between two, as sentences in English and Chinese.

`notes.apply.parse` reads what is written here, and gives the direction again.
"""

import math

import numpy as np

from dubber_jax.director.limits import RATIOS
from dubber_jax.director.notes.vocabulary import CHANGES, EMOTION_NAMES
from dubber_jax.types import EMOTIONS, Direction

MIXED = 0.25  # share of the mixture from which on a second emotion is named


def describe(direction: Direction, words: tuple[str, ...] = (), held_back: bool = False) -> tuple[str, str]:
  """A direction as one sentence in English and in Chinese, as 'held-back anger: slower, tight, not louder'.

  `words`: the line's, to name those that are stressed or followed by a pause.
  """
  ranked = sorted(range(len(EMOTIONS)), key=lambda i: -direction.emotion[i])
  first, second = (EMOTIONS[i] for i in ranked[:2])
  feeling, feeling_zh = EMOTION_NAMES[first]
  if first != 'neutral':
    if held_back or (first == 'angry' and direction.loudness < 1):
      feeling, feeling_zh = f'held-back {feeling}', f'克制的{feeling_zh}'
    elif direction.intensity < 0.6:
      feeling, feeling_zh = f'a touch of {feeling}', f'一丝{feeling_zh}'
    elif direction.intensity > 0.85:
      feeling, feeling_zh = f'strong {feeling}', f'强烈的{feeling_zh}'
  if second != 'neutral' and direction.emotion[ranked[1]] >= MIXED:
    if second == 'happy':
      feeling, feeling_zh = f'{feeling} behind a smile', f'{feeling_zh}，却带着笑'
    else:
      feeling, feeling_zh = (
        f'{feeling} with some {EMOTION_NAMES[second][0]}',
        f'{feeling_zh}，带一点{EMOTION_NAMES[second][1]}',
      )

  how = [said for applies, said in _manners(direction, first) if applies]
  stressed = [word for word, weight in zip(words, direction.emphasis, strict=False) if weight > 0]
  if stressed:
    how.append((f'lean on "{" ".join(stressed)}"', f'重读“{" ".join(stressed)}”'))
  paused = [words[i] for i, _ in direction.pauses if i < len(words)]
  if paused:
    how.append((f'pause after "{paused[0]}"', f'在“{paused[0]}”之后停顿'))
  if not how and first != 'neutral':
    return feeling, feeling_zh
  how = how or [('even and natural', '平稳自然')]
  return f'{feeling}: {", ".join(en for en, _ in how)}', f'{feeling_zh}：{"，".join(zh for _, zh in how)}'


def _manners(d: Direction, emotion: str) -> tuple[tuple[bool, tuple[str, str]], ...]:
  """(whether it applies, its name in English and Chinese) for each manner of delivery."""
  return (
    (d.pace < 0.85, ('much slower', '明显放慢')),
    (0.85 <= d.pace < 0.96, ('slower', '放慢')),
    (1.05 < d.pace <= 1.15, ('faster', '加快')),
    (d.pace > 1.15, ('much faster', '明显加快')),
    (d.pitch_shift > 1, ('higher', '音调升高')),
    (d.pitch_shift < -1, ('lower', '音调压低')),
    (d.pitch_range < 0.9, ('tight', '语调收紧')),
    (d.pitch_range > 1.15, ('lively', '语调起伏')),
    (d.loudness > 1.5, ('louder', '更响亮')),
    (d.loudness < -6, ('very soft', '很轻')),
    (-6 <= d.loudness < -1.5, ('softer', '放轻')),
    (emotion == 'angry' and abs(d.loudness) <= 1.5, ('not louder', '不提高音量')),
    (d.breathiness >= 0.3, ('breathy', '带气声')),
    (d.tremor >= 0.25, ('trembling', '声音发颤')),
  )


def describe_change(before: Direction, after: Direction, words: tuple[str, ...] = ()) -> tuple[str, str]:
  """The differences of two directions as a note in English and in Chinese, as 'softer still by 2 dB'.

  `parse` of either, applied to `before`, gives `after` again, to the precision that is written.
  """
  said = []
  for i in np.argsort(-np.abs(np.subtract(after.emotion, before.emotion)), kind='stable'):
    change = after.emotion[i] - before.emotion[i]
    if abs(change) >= 0.05:
      (name, name_zh), share = EMOTION_NAMES[EMOTIONS[i]], f'{after.emotion[i]:.2f}'
      more, more_zh = ('more', '加强') if change > 0 else ('less', '减弱')
      said.append((f'{more} {name} to {share}', f'{name_zh}{more_zh}到{share}'))
  for axis, (least, english, chinese) in CHANGES.items():
    old, new = getattr(before, axis), getattr(after, axis)
    change = math.log(new / old) if axis in RATIOS else new - old
    if abs(change) < least:
      continue
    more = int(change > 0)
    plain = getattr(Direction, axis)
    still = abs(old - plain) > least and (old > plain) == more
    english, chinese = english[more] + ' still' * still, chinese[more].format('再' * still)
    said.append(_amount_of_change(axis, english, chinese, old, new))
  said += _word_changes(before, after, words)
  if not said:
    return 'the same again', '照原样再来一遍'
  return '; '.join(en for en, _ in said), '；'.join(zh for _, zh in said)


def _amount_of_change(axis, english, chinese, old, new) -> tuple[str, str]:
  if axis == 'loudness':
    return f'{english} by {abs(new - old):.1f} dB', f'{chinese}{abs(new - old):.1f}分贝'
  if axis == 'pitch_shift':
    return f'{english} by {abs(new - old):.1f} semitones', f'{chinese}{abs(new - old):.1f}个半音'
  if axis in RATIOS:
    share = abs(new / old - 1)
    return f'{english} by {share:.0%}', f'{chinese}{share:.0%}'
  return f'{english} to {new:.2f}', f'{chinese}到{new:.2f}'


def _word_changes(before, after, words) -> list[tuple[str, str]]:
  def name(i):
    if i < len(words) and words.count(words[i]) == 1:
      return f'"{words[i]}"', f'“{words[i]}”'
    return f'word {i + 1}', f'第{i + 1}个词'

  said = []
  old, new = dict(before.pauses), dict(after.pauses)
  for i in sorted(old.keys() | new.keys()):
    english, chinese = name(i)
    if i not in new:
      said.append((f'no pause after {english}', f'{chinese}之后不停顿'))
    elif abs(new[i] - old.get(i, 0.0)) >= 0.03:
      said.append((f'a pause of {new[i]:.2f} s after {english}', f'在{chinese}之后停顿{new[i]:.2f}秒'))
  count = max(len(before.emphasis), len(after.emphasis))
  old, new = ((*d.emphasis, *[0.0] * (count - len(d.emphasis))) for d in (before, after))
  for i in range(count):
    english, chinese = name(i)
    if old[i] <= 0 < new[i]:
      said.append((f'lean on {english}', f'重读{chinese}'))
    elif new[i] <= 0 < old[i]:
      said.append((f'no stress on {english}', f'不要重读{chinese}'))
  return said
