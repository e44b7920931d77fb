"""Accuracy and speed of the extractors: lips, text, pictures, speech emotion, speaker (docs/results/perception.md).

python experiments/timing/perception.py                  # all; about 3 min on 2 CPU cores
python experiments/timing/perception.py lips speaker     # some of: lips text pictures sound speaker
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from dubber_jax.media.sound import read_sound
from dubber_jax.media.video import read_frames
from dubber_jax.types import EMOTIONS

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get('DUBBER_DATA', ROOT / '..' / 'shared' / 'data'))


def main():
  parts = {'lips': lips, 'text': text, 'pictures': pictures, 'sound': sound, 'speaker': speaker}
  for name in sys.argv[1:] or parts:
    parts[name]()


def lips():
  from dubber_jax.perception.lips import track_mouth

  for pattern in ('grid/s1', 'grid/s2', 'grid/s3', 'grid/s4', 'grid/s5', 'cremad'):
    files = [row['file'] for row in _rows(pattern.split('/')[0]) if row['file'].startswith(pattern + '/')]
    films = [read_frames(DATA / file)[0] for file in [f for f in files if not f.endswith('.mp3')][:6]]
    track_mouth(films[0][:2])
    start = time.process_time()
    tracks = [track_mouth(frames) for frames in films]
    seconds = time.process_time() - start
    present = np.concatenate([track.present for track in tracks])
    height, width = films[0].shape[1:3]
    speed = f'{len(present) / seconds:.0f} frames per CPU second at {width}x{height}'
    print(f'lips {pattern}: {speed}, followed {present.mean():.1%}')


def text():
  from dubber_jax.perception.text import text_emotion

  lines, labels, emotion = [], [], None
  for row in (ROOT / 'experiments' / 'data' / 'text_emotion.txt').read_text().splitlines():
    if row.startswith('['):
      name, _, part = row.strip('[]').partition(', ')
      emotion = EMOTIONS.index(name) if part else None
    elif row and emotion is not None:
      lines.append(row)
      labels.append(emotion)
  right = text_emotion(lines).argmax(1) == labels
  print(f'text emotion, held out: {right.mean():.3f} of {len(right)}')


def pictures():
  from dubber_jax.perception.face import read_face
  from dubber_jax.perception.lips import track_mouth
  from dubber_jax.perception.scene import read_scene

  clips = [row for row in _rows('cremad') if row.get('has_video')]
  right = np.zeros(2, int)
  for row in clips:
    frames, _ = read_frames(DATA / row['file'])
    _, face, caption, _ = read_face(frames, track_mouth(frames))
    _, scene, _, _ = read_scene(frames)
    guesses = [EMOTIONS[probabilities.argmax()] for probabilities in (face, scene)]
    right += [guess == row['emotion'] for guess in guesses]
    print(f'{row["id"]}: face {guesses[0]}, scene {guesses[1]}. {caption}')
  print(f'face {right[0]} of {len(clips)}, scene {right[1]} of {len(clips)}')


def sound():
  from dubber_jax.perception.speech_emotion import sound_emotion

  rows = [row for row in _rows('ravdess') if row['speaker'][-2:] in ('19', '20', '21', '22')]
  guesses = np.array([sound_emotion(read_sound(DATA / row['file']), 22050).argmax() for row in rows])
  truth = np.array([EMOTIONS.index(row['emotion']) for row in rows])
  recalls = [np.mean(guesses[truth == e] == e) for e in sorted(set(truth))]
  print(f'sound emotion, actors 19-22: {np.mean(guesses == truth):.3f}, mean recall {np.mean(recalls):.3f}')
  for e in sorted(set(truth)):
    print(f'  {EMOTIONS[e]:9s}', np.bincount(guesses[truth == e], minlength=len(EMOTIONS)))


def speaker():
  from dubber_jax.perception.speaker import embed_speaker

  chosen = random.Random(0)
  names, vectors = [], []
  for table in ('ravdess', 'grid', 'vctk', 'teacher', 'kathleen', 'ljspeech', 'asterisk'):
    by_speaker = {}
    for row in _rows(table):
      by_speaker.setdefault(row['speaker'], []).append(row['file'])
    for name, files in by_speaker.items():
      for file in chosen.sample(files, min(4, len(files))):
        wave = read_sound(DATA / file, 16000)
        if len(wave) >= 16000:
          names.append(name)
          vectors.append(embed_speaker(wave, 16000))
  names, cosine = np.array(names), np.stack(vectors) @ np.stack(vectors).T
  same = (names[:, None] == names) & ~np.eye(len(names), dtype=bool)
  other = names[:, None] != names
  studio = np.char.startswith(names, 'ravdess')
  for label, among in (('RAVDESS', studio[:, None] & studio), ('the others', ~studio[:, None] & ~studio)):
    print(f'speaker, {label}: same {cosine[same & among].mean():.2f}, other {cosine[other & among].mean():.2f}')
  rates = [(np.mean(cosine[other] > t), np.mean(cosine[same] <= t)) for t in np.linspace(0, 1, 201)]
  accepted, refused = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
  print(f'speaker, equal error rate over {len(names)} recordings: {(accepted + refused) / 2:.3f}')


def _rows(table):
  return [json.loads(line) for line in (DATA / f'{table}.jsonl').open()]


if __name__ == '__main__':
  main()
