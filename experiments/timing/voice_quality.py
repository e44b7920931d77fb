"""Detection of faulty voice recordings: hit rates by fault, and false alarms on good recordings.

    python experiments/timing/voice_quality.py --clips 25 --every 5     # of each corpus; about 3 min of one core
    python experiments/timing/voice_quality.py --every 50               # all recordings of 1 s or more; about 25 min

Every recording is measured as it is (false alarms), and one in `--every` also degraded by known amounts (hits). It can
be stopped and restarted: measurements are stored in `--out`.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from data_pipelines import audio_damage
from data_pipelines.recordings import read_recordings
from dubber_jax.media.loudness import normalize_loudness
from dubber_jax.media.sound import read_sound
from dubber_jax.perception.prosody import track_pitch
from dubber_jax.perception.recording_quality import FAULTS, VoiceReport, detect_faults, measure_voice
from dubber_jax.perception.speaker import SpeakerEncoder
from dubber_jax.types import SAMPLE_RATE

# Speakers whose voice, raised in pitch, stands for a child's.
WOMEN = ('allison', 'kathleen', 'ljspeech', 'p225', 'p228', *(f'ravdess_{n:02d}' for n in range(2, 23, 2)))
SETS = ('asterisk', 'cremad', 'grid', 'kathleen', 'kokoro', 'librispeech', 'ljspeech', 'ravdess', 'teacher', 'vctk')
CHILD = 'female voice, F0 x 1.4'
DEGRADATIONS = {
  **{f'white noise {d} dB': lambda w, _, d=d: audio_damage.add_noise(w, d) for d in (0, 5, 10, 15, 20)},
  **{f'pink noise {d} dB': lambda w, _, d=d: audio_damage.add_noise(w, d, pink=True) for d in (5, 10, 15)},
  **{
    f'room {s} s, direct {d} dB': lambda w, _, s=s, d=d: audio_damage.reverberate(w, s, d)
    for s, d in ((0.3, 0), (0.6, 0), (0.6, -6), (1.2, 0), (1.2, -6))
  },
  'whisper': lambda w, _: audio_damage.whisper(w),
  CHILD: lambda w, _: audio_damage.child_voice(w, 1.4),
  'telephone': lambda w, _: audio_damage.telephone(w),
  'two in turn': audio_damage.one_after_the_other,
  'two at once': audio_damage.overlap,
  'music alone': lambda w, _: audio_damage.synthetic_music(len(w) / SAMPLE_RATE, seed=len(w)),
  'music 5 dB below': lambda w, _: (
    w + 0.56 * audio_damage.match_power(audio_damage.synthetic_music(len(w) / SAMPLE_RATE, seed=len(w)), w)
  ),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--clips', type=int, help='of each corpus (default: all)')
  parser.add_argument('--every', type=int, default=8, help='one in so many is also degraded')
  parser.add_argument('--out', type=Path, default=Path('runs/voice_quality.jsonl'))
  given = parser.parse_args()
  given.out.parent.mkdir(parents=True, exist_ok=True)
  rows = [json.loads(row) for row in given.out.read_text().splitlines()] if given.out.exists() else []
  done = {(row['set'], row['id'], row['kind']) for row in rows}
  with given.out.open('a') as file:
    for recording, kind, wave in recordings(given, done):
      report = measure(wave)
      rows.append({'set': recording.set, 'id': recording.key, 'kind': kind, 'report': dataclasses.asdict(report)})
      print(json.dumps(rows[-1]), file=file, flush=True)
  show(rows)


def recordings(given, done):
  """(recording, degradation or '', wave) of what is not measured yet, the corpora by turns."""
  lists = {}
  for name in SETS:
    rows = read_recordings(name)
    lists[name] = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))][: given.clips]
  other = {r.set: s for r, s in zip((x[0] for x in lists.values()), [*SETS[1:], SETS[0]], strict=True)}
  for place in range(max(map(len, lists.values()))):
    for name, rows in lists.items():
      if place >= len(rows):
        continue
      recording, kinds = rows[place], ('', *(DEGRADATIONS if place % given.every == 0 else ()))
      kinds = [kind for kind in kinds if (name, recording.key, kind) not in done]
      kinds = [kind for kind in kinds if kind != CHILD or recording.speaker in WOMEN]
      if not kinds:
        continue
      wave = read_sound(recording.path, SAMPLE_RATE)
      if len(wave) < SAMPLE_RATE:
        continue
      second = lists[other[name]][place % len(lists[other[name]])]
      second = read_sound(second.path, SAMPLE_RATE) if len(kinds) > 1 else wave
      for kind in kinds:
        yield recording, kind, DEGRADATIONS[kind](wave, second) if kind else wave


def measure(wave):
  wave = normalize_loudness(wave - wave.mean(), SAMPLE_RATE)
  return measure_voice(wave, SAMPLE_RATE, track_pitch(wave, SAMPLE_RATE), SpeakerEncoder().windows(wave, SAMPLE_RATE))


def show(rows):
  names = tuple(FAULTS)
  print(f'{"":28s}{"clips":>6s}' + ''.join(f'{name:>10s}' for name in names))
  groups = {}
  for row in rows:
    groups.setdefault(row['kind'] or f'({row["set"]})', []).append(detect_faults(VoiceReport(**row['report'])))
  for group in [*(f'({name})' for name in SETS), *DEGRADATIONS]:
    found = groups.get(group, [])
    if found:
      rates = (100 * np.mean([name in f for f in found]) for name in names)
      print(f'{group:28s}{len(found):6d}' + ''.join(f'{rate:8.0f} %' for rate in rates))


if __name__ == '__main__':
  main()
