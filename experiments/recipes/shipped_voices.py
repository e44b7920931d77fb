"""The voices that ship with the model and their reference recordings: the only list of them.

    dubber release runs/first_voice/felt -o model/ --voices $(python experiments/recipes/shipped_voices.py)

Prints NAME=RECORDING for each. `joe` and the last six are synthetic: single stock voices of Kokoro-82M (Apache-2.0),
with unchanged F0 and energy; af and am are American, bf and bm British, the second letter is the sex. Of a
recording a model directory keeps a speaker embedding, and a reference mel that the model itself speaks. What a user
types stands in the model directory alone (`voices.safetensors`): docs and tests name `kathleen` and `joe` only.
"""

from data_pipelines.recordings import data_root

VOICES = {
  'joe': 'teacher/joe_LJ005-0115.opus',
  'kathleen': 'kathleen/arctic_a0001_1592748574.opus',
  'af_heart': 'kokoro/k00054.opus',
  'af_bella': 'kokoro/k00459.opus',
  'am_michael': 'kokoro/k02132.opus',
  'am_fenrir': 'kokoro/k02168.opus',
  'bf_emma': 'kokoro/k02222.opus',
  'bm_george': 'kokoro/k00281.opus',
}


def main():
  root = data_root().resolve()
  print('\n'.join(f'{name}={root / file}' for name, file in VOICES.items()))


if __name__ == '__main__':
  main()
