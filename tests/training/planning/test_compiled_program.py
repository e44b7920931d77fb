from dubber_jax.training.planning.compiled_program import KINDS, Collectives, collectives, largest_arrays

HLO = """HloModule step, is_scheduled=true

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%async_collective_fusion.1 (p: bf16[4,8]) -> bf16[16,8] {
  %p = bf16[4,8]{1,0} parameter(0)
  ROOT %all-gather.2 = bf16[16,8]{1,0} all-gather(%p), dimensions={0}, frontend_attributes={chain_id="5"}
}

%async_collective_fusion.2 (p: bf16[4,8]) -> bf16[16,8] {
  %p = bf16[4,8]{1,0} parameter(0)
  ROOT %all-gather.3 = bf16[16,8]{1,0} all-gather(%p), dimensions={0}, frontend_attributes={chain_id="5"}
}

%body (s: (s32[], f32[64])) -> (s32[], f32[64]) {
  %s = (s32[]{:T(128)}, f32[64]{0}) parameter(0)
  %x = f32[64]{0} get-tuple-element(%s), index=1
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %all-reduce.7 = f32[64]{0:T(256)} all-reduce(%x), channel_id=3, to_apply=%add, metadata={op_name="jit(step)/psum"}
  ROOT %out = (s32[]{:T(128)}, f32[64]{0}) tuple(%i, %all-reduce.7)
}

%condition (s: (s32[], f32[64])) -> pred[] {
  %s = (s32[]{:T(128)}, f32[64]{0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %limit = s32[]{:T(128)} constant(12)
  ROOT %less = pred[]{:T(512)} compare(%i, %limit), direction=LT
}

ENTRY %main (a: f32[64], b: f32[32,100], g: bf16[4,8]) -> f32[64] {
  %a = f32[64]{0} parameter(0)
  %b = f32[32,100]{1,0} parameter(1)
  %g = bf16[4,8]{1,0} parameter(2)
  %all-reduce.1 = (f32[64]{0}, f32[32,100]{1,0}) all-reduce(%a, %b), channel_id=1, to_apply=%add
  %start = (bf16[4,8]{1,0}, bf16[16,8]{1,0}) all-gather-start(%g), channel_id=2, dimensions={0}
  %done = bf16[16,8]{1,0} all-gather-done(%start)
  %f1 = bf16[16,8]{1,0} fusion(%g), kind=kOutput, calls=%async_collective_fusion.1
  %f2 = bf16[16,8]{1,0} fusion(%g), kind=kOutput, calls=%async_collective_fusion.2
  %big = f32[1000,10]{1,0} broadcast(%a), metadata={op_name="jit(step)/big"}
  %loop = (s32[], f32[64]{0}) while(%t), condition=%condition, body=%body
  ROOT %r = f32[64]{0} get-tuple-element(%loop), index=1
}
"""


def test_collectives_count_as_often_as_they_run_and_chains_once():
  found = {c.kind: c for c in collectives(HLO)}
  assert found['all-reduce'] == Collectives('all-reduce', 1 + 12, (64 + 3200) * 4 + 12 * 64 * 4)
  assert found['all-gather'] == Collectives('all-gather', 2, 2 * 16 * 8 * 2)
  assert tuple(found) == KINDS and found['all-to-all'] == Collectives('all-to-all', 0, 0)


def test_largest_arrays_are_those_that_are_computed():
  assert largest_arrays(HLO, 2) == [(40000, 'f32[1000,10]', 'jit(step)/big'), (12800, 'f32[32,100]', '')]


def test_a_program_of_this_machine_is_read():
  import jax
  import jax.numpy as jnp

  hlo = jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((8, 8))).compile().as_text()
  assert all(c.count == 0 for c in collectives(hlo))
  assert largest_arrays(hlo)[0][0] == 256
