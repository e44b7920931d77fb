import os
import sys
from pathlib import Path

import numpy as np
import pytest

from dubber_jax.errors import BadInput
from dubber_jax.export import export, load
from dubber_jax.export.onnx import check_python


def test_python_without_jax2onnx_is_refused_with_the_way_to_install_it(tmp_path):
  with pytest.raises(BadInput, match='pip install jax2onnx'):
    check_python(tmp_path / 'python')
  bare = tmp_path / 'bare'
  bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
  bare.chmod(0o755)
  with pytest.raises(BadInput, match='pip install jax2onnx'):
    check_python(bare)


@pytest.mark.slow
def test_onnxruntime_gives_the_models_take(model, tmp_path):
  python = os.environ.get('JAX2ONNX_PYTHON', 'onnx-env/bin/python')
  if not Path(python).exists():
    pytest.skip('no jax2onnx: set JAX2ONNX_PYTHON to a Python that has it (docs/how-to/export.md)')
  onnxruntime = pytest.importorskip('onnxruntime')
  export(model.path, tmp_path / 'out', onnx=python)
  opened, rng = load(tmp_path / 'out'), np.random.default_rng(0)
  for name in ('predict_durations', 'synthesize'):
    given = opened.programs.inputs(name, 128)
    arrays = {k: rng.normal(0, 1, (1, *v.shape)).astype(v.dtype) for k, v in given.items()}
    arrays |= {k: np.ones_like(v) for k, v in arrays.items() if v.dtype == bool}
    arrays['phonemes'] = rng.integers(1, 90, arrays['phonemes'].shape, np.int32)
    if name == 'synthesize':
      arrays |= {'durations': np.zeros_like(arrays['durations']), 'slot': np.int32([100])}
    ours = opened.programs(name, 128, opened.params, arrays)
    session = onnxruntime.InferenceSession(tmp_path / 'out' / 'onnx' / f'{name}_128.onnx')
    names = [o.name for o in session.get_outputs()]
    found = session.run(names, {i.name: arrays[i.name] for i in session.get_inputs()})
    for output, theirs in zip(names, found, strict=True):
      np.testing.assert_allclose(theirs, ours[output.removesuffix('_out')], rtol=1e-4, atol=1e-4, err_msg=output)
