"""From recordings to packed features: alignment, mel, pitch, lips, speaker. Resumable, an item at a time."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.recordings import Recording, read_recordings
from dubber_jax.clip import LIP_RATE, SAMPLE_RATE
from dubber_jax.config import FeatureConfig
from dubber_jax.errors import BadInput
from dubber_jax.training.packed import quantise, write_packed

VERSION = 1  # raised when what is extracted changes
ANCHOR = -23.0  # LUFS: where the middle of a speaker's recordings is brought
LEAD, TAIL = 0.2, 0.3  # s of silence kept around speech without pictures


def extract(recording: Recording, gain: float, films: bool) -> dict[str, np.ndarray]:
  """Features of one recording, at `gain` (linear). Keys as in dubber_jax.training.packed.

  Sound without pictures is trimmed to its speech; with pictures it stays as long as they are. Raises
  BadInput where the text cannot be found in the sound.
  """
  from dubber_jax.footage.prosody import track_pitch
  from dubber_jax.media.mel import mel_numpy
  from dubber_jax.media.sound import read_sound, resample
  from dubber_jax.perception.speaker import embed_speaker
  from dubber_jax.script.alignment import align, durations_in_frames
  from dubber_jax.script.phonemes import encode

  wave = read_sound(recording.path, SAMPLE_RATE) * gain
  alignment = align(resample(wave, SAMPLE_RATE, 16000), recording.text)
  if not recording.has_video:
    start = max(alignment.ends[0] - LEAD, 0.0)
    end = min(alignment.starts[-1] + TAIL, len(wave) / SAMPLE_RATE)
    wave = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    times = {n: np.clip(getattr(alignment, n) - start, 0, end - start) for n in ('starts', 'ends')}
    alignment = dataclasses.replace(alignment, **times)
  mel = mel_numpy(wave)
  lips, present = np.zeros((0, FeatureConfig.lip_width)), np.zeros(0, bool)
  if recording.has_video and films:
    from dubber_jax.media.video import read_frames
    from dubber_jax.perception.lips import track_mouth

    frames, _ = read_frames(recording.path, fps=LIP_RATE)
    track = track_mouth(frames)
    lips, present = track.lips, track.present
  return {
    'mel': quantise(mel),
    'pitch': track_pitch(wave, SAMPLE_RATE, len(mel)),
    'phonemes': encode(alignment.phonemes),
    'durations': durations_in_frames(alignment, len(mel)),
    'lips': lips,
    'lip_present': present,
    'speaker': embed_speaker(wave, SAMPLE_RATE),
  }


def speaker_gains(recordings: list[Recording], folder: Path) -> dict[str, float]:
  """Linear gain that brings the middle loudness of each speaker's recordings to -23 LUFS (EBU R128).

  One gain a speaker, so that what is said loudly stays louder than what is whispered.
  """
  from dubber_jax.media.loudness import integrated
  from dubber_jax.media.sound import read_sound

  by_speaker: dict[str, list[Recording]] = {}
  for r in recordings:
    by_speaker.setdefault(r.speaker, []).append(r)
  gains = {}
  for speaker, own in by_speaker.items():
    picked = own[:: max(1, len(own) // 40)]
    loudness = [integrated(read_sound(r.path, SAMPLE_RATE), SAMPLE_RATE) for r in picked]
    finite = [x for x in loudness if np.isfinite(x)]
    gains[speaker] = float(10 ** ((ANCHOR - np.median(finite)) / 20)) if finite else 1.0
  return gains


def _work(job):
  recording, gain, films, out = job
  if out.exists():
    return None
  try:
    features = extract(recording, gain, films)
  except BadInput as e:
    return {'key': recording.key, 'why': str(e)}
  beside = out.with_suffix(f'.{os.getpid()}.npz')
  np.savez(beside, **features)
  os.replace(beside, out)
  return None


def pack_set(name: str, out, films: bool = True, root=None, workers: int = 1) -> Path:
  """Packs one data set under `out`/NAME-HASH and returns that folder; done already, it is only returned.

  Recordings that fail are listed in skipped.jsonl with the reason. Killed, it goes on where it was.
  """
  recordings = [r for r in read_recordings(name, root) if r.text]
  films = films and any(r.has_video for r in recordings)
  listing = '\n'.join(f'{r.key} {r.text}' for r in recordings)
  digest = hashlib.sha256(f'{VERSION} {films} {listing}'.encode()).hexdigest()[:8]
  folder = Path(out) / f'{name}-{digest}'
  if (folder / 'items.jsonl').exists():
    return folder
  work = Path(out) / f'{name}-{digest}.items'
  work.mkdir(parents=True, exist_ok=True)
  gains_file = work / 'gains.json'
  if not gains_file.exists():
    gains_file.write_text(json.dumps(speaker_gains(recordings, work)))
  gains = json.loads(gains_file.read_text())
  paths = [work / f'{hashlib.sha256(r.key.encode()).hexdigest()[:16]}.npz' for r in recordings]
  jobs = [(r, gains[r.speaker], films, p) for r, p in zip(recordings, paths, strict=True)]
  skipped = []
  with multiprocessing.get_context('spawn').Pool(workers) as pool:
    for failed in tqdm(pool.imap(_work, jobs, chunksize=4), total=len(jobs), desc=f'features of {name}', unit='clip'):
      if failed:
        skipped.append(failed)

  def items():
    for r, path in zip(recordings, paths, strict=True):
      if path.exists():
        row = {'key': r.key, 'set': r.set, 'speaker': r.speaker, 'text': r.text, 'emotion': r.emotion, 'split': r.split}
        with np.load(path) as features:
          yield row, dict(features)

  write_packed(folder, items())
  (folder / 'skipped.jsonl').write_text(''.join(json.dumps(s, ensure_ascii=False) + '\n' for s in skipped))
  return folder
