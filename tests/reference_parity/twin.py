"""Reference implementation of the published system in PyTorch, written from the specification alone.

It shares nothing with dubber_jax: plain functions over a state dict `w` of the published names, in any precision. In
float64 it gives the outputs and gradients that no fixture of the released code has.
"""

import math

import torch
import torch.nn.functional as F


def linear(w, key, x):
  return F.linear(x, w[f'{key}.weight'], w.get(f'{key}.bias'))


def conv(w, key, x_btc, padding=None, dilation=1):
  weight = w[f'{key}.weight']
  padding = dilation * (weight.shape[2] - 1) // 2 if padding is None else padding
  y_bct = F.conv1d(x_btc.transpose(1, 2), weight, w.get(f'{key}.bias'), padding=padding, dilation=dilation)
  return y_bct.transpose(1, 2)


def layer_norm(w, key, x):
  return F.layer_norm(x, x.shape[-1:], w[f'{key}.weight'], w[f'{key}.bias'], 1e-5)


def batch_norm(w, key, x_btc, train):
  mean, var = w[f'{key}.running_mean'].clone(), w[f'{key}.running_var'].clone()
  y = F.batch_norm(x_btc.transpose(1, 2), mean, var, w[f'{key}.weight'], w[f'{key}.bias'], train, 0.1, 1e-5)
  return y.transpose(1, 2)


def padding_mask(length, size):
  return torch.arange(size) >= length[:, None]


def heads_of(x, heads):
  return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def joined(x):
  return x.transpose(1, 2).flatten(2)


def fft_block(w, key, x, pad, heads, speaker=None):
  def styled(y, place):
    if speaker is None:
      return y
    gain, shift = linear(w, f'{key}.saln_{place}.style.affine', speaker)[:, None].chunk(2, -1)
    return gain * F.layer_norm(y, y.shape[-1:], eps=1e-5) + shift

  q, k, v = (heads_of(linear(w, f'{key}.slf_attn.w_{n}s', x), heads) for n in 'qkv')
  scores = (q @ k.transpose(2, 3)) / math.sqrt(q.shape[-1])
  scores = scores.masked_fill(pad[:, None, None], -torch.inf)
  out = linear(w, f'{key}.slf_attn.fc', joined(scores.softmax(-1) @ v))
  u = styled(layer_norm(w, f'{key}.slf_attn.layer_norm', out + x), 0).masked_fill(pad[..., None], 0)
  f = conv(w, f'{key}.pos_ffn.w_2', conv(w, f'{key}.pos_ffn.w_1', u).relu())
  return styled(layer_norm(w, f'{key}.pos_ffn.layer_norm', f + u), 1).masked_fill(pad[..., None], 0)


def fft_stack(w, key, x, pad, heads, layers, speaker=None):
  for i in range(layers):
    x = fft_block(w, f'{key}.layer_stack.{i}', x, pad, heads, speaker)
  return x


def mish(x):
  return x * F.softplus(x).tanh()


def fusion(w, ids, src_len, ref, ref_len, layers, train):
  pad = padding_mask(src_len, ids.shape[1])
  text = conv(w, 'encoder.proj_life', F.embedding(ids, w['encoder.src_word_emb.weight'], padding_idx=0))
  text = fft_stack(w, 'encoder', text, pad, 8, layers['encoder_layer'])

  ref_pad = padding_mask(ref_len, ref.shape[1])
  x = mish(linear(w, 'style_encoder.spectral.0.fc', ref))
  x = mish(linear(w, 'style_encoder.spectral.3.fc', x))
  for i in range(2):
    a, b = conv(w, f'style_encoder.temporal.{i}.conv1.conv', x).chunk(2, -1)
    x = x + a * b.sigmoid()
  x = x.masked_fill(ref_pad[..., None], 0)
  q, k, v = (heads_of(linear(w, f'style_encoder.slf_attn.w_{n}s', x), 2) for n in 'qkv')
  scores = (q @ k.transpose(2, 3) / 16).masked_fill(ref_pad[:, None, None], -torch.inf)
  x = linear(w, 'style_encoder.slf_attn.fc', joined(scores.softmax(-1) @ v)) + x
  x = linear(w, 'style_encoder.fc.fc', x)

  for i in range(4):
    x = batch_norm(w, f'ds_speaker_encoder.bns.{i}', conv(w, f'ds_speaker_encoder.conv1ds.{i}', x).relu(), train)
    x = F.avg_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
  local = linear(w, 'ds_speaker_encoder.local_outlayer.0', x).tanh()
  count = (ref_len // 16).clamp(min=1)
  within = ~padding_mask(count, local.shape[1])
  utterance = (local * within[..., None]).sum(1) / count[:, None]

  cross = cross_modal(w, conv(w, 'proj_l', text), conv(w, 'proj_v', local), layers['multimodal_layers'])
  return text, (linear(w, 'linear_for_ref_mel', cross) + text) / 2, utterance


def with_positions(z):
  """Scaled by the root of the width, with the position t + 1 where channel 0 is not zero."""
  half = z.shape[-1] // 2
  rate = torch.exp(torch.arange(half, dtype=z.dtype) * (-math.log(10000.0) / (half - 1)))
  angle = torch.arange(1, z.shape[1] + 1, dtype=z.dtype)[:, None] * rate
  table = torch.cat([angle.sin(), angle.cos()], -1).float().to(z.dtype)
  return math.sqrt(z.shape[-1]) * z + table * (z[..., :1] != 0)


def cross_modal(w, query, key, layers):
  x, k0 = with_positions(query), with_positions(key)
  n, r = x.shape[1], k0.shape[1]
  ahead = torch.arange(r) - torch.arange(n)[:, None] >= 1 + abs(r - n)
  for i in range(layers):
    layer = f'trans_l_with_v.layers.{i}'
    y, k = (layer_norm(w, f'{layer}.layer_norms.0', z) for z in (x, k0))
    weights, biases = (w[f'{layer}.self_attn.in_proj_{s}'].chunk(3) for s in ('weight', 'bias'))
    q, k, v = (heads_of(F.linear(z, m, b), 8) for z, m, b in zip((y, k, k), weights, biases, strict=True))
    scores = (q * 16**-0.5) @ k.transpose(2, 3)
    attended = joined(scores.masked_fill(ahead, -torch.inf).softmax(-1) @ v)
    x = x + linear(w, f'{layer}.self_attn.out_proj', attended)
    y = layer_norm(w, f'{layer}.layer_norms.1', x)
    x = x + linear(w, f'{layer}.fc2', linear(w, f'{layer}.fc1', y).relu())
  return layer_norm(w, 'trans_l_with_v.layer_norm', x)


def lip_encoder(w, lip, pad, layers):
  width = lip.shape[-1]
  place = torch.arange(lip.shape[1], dtype=torch.float64)[:, None]
  angle = place / 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
  table = torch.stack([angle.sin(), angle.cos()], -1).flatten(1).float().to(lip.dtype)
  x = layer_norm(w, 'lip_encoder.ln', lip) + table
  return linear(w, 'lip_encoder.fc_out', fft_stack(w, 'lip_encoder', x, pad, 2, layers))


def lip_text(w, text, text_pad, lips, lip_pad, lip_len):
  key = 'attn_lip_text'
  q, k, v = (heads_of(linear(w, f'{key}.energy.w_{n}s', x), 8) for n, x in zip('qkv', (text, lips, lips), strict=True))
  scores = q @ k.transpose(2, 3) / math.sqrt(32)
  hidden = text_pad[:, None, :, None] | lip_pad[:, None, None]
  scores = scores.masked_fill(hidden, torch.finfo(torch.float32).min)
  attention = scores.softmax(-1).masked_fill(text_pad[:, None, :, None], 0)
  context = layer_norm(w, f'{key}.layer_norm', linear(w, f'{key}.last_layer', joined(attention @ v)))
  rate = attention.amax(2).masked_fill(lip_pad[:, None], 0).sum(-1) / lip_len[:, None]
  return context, attention[torch.arange(len(text)), rate.argmax(1)]


def duration_predictor(w, context, pad):
  key, x = 'variance_adaptor.duration_predictor', context
  for i in (1, 2):
    x = layer_norm(w, f'{key}.conv_layer2.layer_norm_{i}', conv(w, f'{key}.conv_layer2.conv1d_{i}.conv', x).relu())
  return F.softplus(conv(w, f'{key}.conv', x)[..., 0]).masked_fill(pad, 0)


def regulate(x, durations, size):
  ends = durations.cumsum(1)
  frame = torch.arange(size)
  phoneme = (frame[None, :, None] >= ends[:, None]).sum(-1).clamp(max=x.shape[1] - 1)
  y = torch.gather(x, 1, phoneme[..., None].expand(-1, -1, x.shape[2]))
  return y.masked_fill((frame >= ends[:, -1:])[..., None], 0)


def graph_layer(w, key, h, relation):
  hidden = h @ w[f'{key}.W']
  a = w[f'{key}.a'][:, 0]
  width = hidden.shape[-1]
  e = (hidden @ a[:width])[:, :, None] + (hidden @ a[width : 2 * width])[:, None] + a[2 * width :][relation]
  alpha = F.leaky_relu(e, 0.2).masked_fill(relation == 0, -9e15).softmax(-1)
  return layer_norm(w, f'{key}.layer_norm', alpha @ hidden)


def rgat(w, key, x, relation):
  y = torch.cat([F.gelu(graph_layer(w, f'{key}.attention_{i}', x, relation)) for i in range(2)], -1)
  y = F.gelu(graph_layer(w, f'{key}.out_att', y, relation))
  return layer_norm(w, f'{key}.layer_norm', linear(w, f'{key}.fc', y) + x)


def relation_of(k):
  relation = torch.zeros(3 + 6 * k, 3 + 6 * k, dtype=torch.long)
  relation[:3, :3] = 1 - torch.eye(3, dtype=torch.long)
  for m in range(3):
    for kind, first in ((2, 3), (3, 3 + 3 * k)):
      own = slice(first + m * k, first + (m + 1) * k)
      relation[m, own] = relation[own, m] = kind
  return relation


def graphs(w, batch):
  names = ('scene', 'face', 'text')
  k = batch['scene_refs'].shape[1]
  relation = relation_of(k)
  stages = (('Basic', '{}_emo', ''), ('Indirect', '{}_refs', ''), ('Direct', '{}_ref_audios', '_audios'))
  nodes, out = None, []
  for stage, source, suffix in stages:
    key = 'Basic_Emotion_Graph' if stage == 'Basic' else f'{stage}_Emotion_Extended_Graph'
    fresh = [linear(w, f'{key}.linear_{m}{suffix}', batch[source.format(m)]) for m in names]
    nodes = torch.cat(fresh if nodes is None else [nodes, *fresh], 1)
    size = nodes.shape[1]
    nodes = rgat(w, f'{key}.RGAT', nodes, relation[:size, :size])
    out.append(nodes)
  return out


def aggregate(w, key, x, nodes):
  weights, biases = (w[f'{key}.cross_att.in_proj_{s}'].chunk(3) for s in ('weight', 'bias'))
  q, k, v = (F.linear(z, m, b) for z, m, b in zip((x, nodes, nodes), weights, biases, strict=True))
  attended = (q @ k.transpose(1, 2) / 16).softmax(-1) @ v
  return conv(w, f'{key}.pro_output', torch.cat([x, linear(w, f'{key}.cross_att.out_proj', attended)], -1))


def postnet(w, mel, speaker, train):
  x = mel
  for i in range(5):
    x = batch_norm(w, f'postnet.convolutions.{i}.1', conv(w, f'postnet.convolutions.{i}.0.conv', x), train)
    if i < 4:
      gain, shift = linear(w, 'postnet.saln_0.style.affine', speaker)[:, None].chunk(2, -1)
      x = gain * F.layer_norm(x.tanh(), x.shape[-1:], eps=1e-5) + shift
  return mel + x


def published(w, batch, layers, train=False):
  """The teacher-forced pass: outputs by their names in the fixtures, weighted losses among them.

  `w` maps both state dicts' keys to tensors, `batch` the fixtures' inputs; `layers` is their cfg.
  """
  text_pad = padding_mask(batch['src_len'], batch['text'].shape[1])
  lip_pad = padding_mask(batch['face_lens'], batch['lip_embedding'].shape[1])
  frames = batch['mel_target'].shape[1]
  mel_pad = padding_mask(batch['mel_lens'], frames)
  text, feature, utterance = fusion(
    w, batch['text'], batch['src_len'], batch['ref_mels'], batch['ref_mel_lens'], layers, train
  )
  lips = lip_encoder(w, batch['lip_embedding'], lip_pad, layers['lip_encoder_layer'])
  context, alignment = lip_text(w, text, text_pad, lips, lip_pad, batch['face_lens'])
  log_d = duration_predictor(w, context, text_pad)
  decoded_outputs = decode(w, batch, feature, batch['durations'], frames, mel_pad, layers, train)
  losses = weighted_losses(batch, decoded_outputs, log_d, utterance, alignment, text_pad, lip_pad, mel_pad)
  return (
    decoded_outputs
    | losses
    | {
      'feature': feature,
      'utterance_style': utterance,
      'text_encoder': text,
      't_lip_encoder': lips,
      't_lip_text_context': context,
      'attn': alignment,
      'log_d': log_d,
      'mel_mask': mel_pad,
      'src_mask': text_pad,
      'lip_mask': lip_pad,
    }
  )


def decode(w, batch, feature, durations, size, mel_pad, layers, train=False):
  x = regulate(feature, durations, size)
  fused, outputs = x, {'t_expanded': x}
  for i, nodes in enumerate(graphs(w, batch), 1):
    fused = aggregate(w, f'aggregator_stage_{i}', fused, nodes)
    outputs |= {f't_graph{i}': nodes, f't_agg{i}': fused}
  length = durations.sum(1)
  within = ~padding_mask(length, size)
  mean = (fused * within[..., None]).sum(1) / length[:, None]
  decoded = conv(w, 'proj_fusion', torch.cat([x, fused], -1))
  decoded = fft_stack(w, 'decoder_Condition', decoded, mel_pad, 4, layers['decoder_layer'], batch['spk_embedding'])
  mel = linear(w, 'mel_linear', decoded)
  return outputs | {
    't_decoder': decoded,
    't_mel': mel,
    't_mel_post': postnet(w, mel, batch['spk_embedding'], train),
    'emotion_probs': linear(w, 'emoID_classifier.layers.0', mean).softmax(-1),
  }


def synthesized(w, batch, layers):
  """The pass with predicted durations, in eval mode: the mel and what leads to it."""
  text_pad = padding_mask(batch['src_len'], batch['text'].shape[1])
  lip_pad = padding_mask(batch['face_lens'], batch['lip_embedding'].shape[1])
  text, feature, _ = fusion(w, batch['text'], batch['src_len'], batch['ref_mels'], batch['ref_mel_lens'], layers, False)
  lips = lip_encoder(w, batch['lip_embedding'], lip_pad, layers['lip_encoder_layer'])
  context, _ = lip_text(w, text, text_pad, lips, lip_pad, batch['face_lens'])
  d = (duration_predictor(w, context, text_pad).exp() - 1).clamp(min=0)
  unrounded = d / d.sum(1, keepdim=True) * batch['mel_lens'][:, None]
  durations = unrounded.round().long()
  length = durations.sum(1)
  size = int(length.max())
  decoded_outputs = decode(w, batch, feature, durations, size, padding_mask(length, size), layers)
  return {
    'i_expanded': decoded_outputs['t_expanded'],
    'i_agg3': decoded_outputs['t_agg3'],
    'i_mel_post': decoded_outputs['t_mel_post'],
    'i_mel_len': length,
    'i_dur_unrounded': unrounded,
  }


def weighted_losses(batch, decoded_outputs, log_d, utterance, alignment, text_pad, lip_pad, mel_pad):
  def absolute(mel):
    return (mel - batch['mel_target']).abs()[~mel_pad].mean()

  wanted = (batch['durations'].to(log_d.dtype) + 1).log()
  cosine = F.cosine_similarity(utterance, batch['spk_embedding'], eps=1e-6)
  count, lips = batch['src_len'].float(), batch['face_lens'].float()
  center = (lips / count)[:, None] * torch.arange(alignment.shape[1]).float()
  reach = (lips / 10)[:, None]
  first, end = (center - reach).clamp(min=0).trunc()[..., None], (center + reach).trunc()[..., None]
  frame = torch.arange(alignment.shape[2])
  band = (frame >= first) & (frame < end)
  heard = alignment.masked_fill(text_pad[..., None] | lip_pad[:, None], 0)
  share = (heard * band).sum((1, 2)) / heard.sum((1, 2))
  losses = {
    'loss_mel': 5 * absolute(decoded_outputs['t_mel']),
    'loss_mel_post': 5 * absolute(decoded_outputs['t_mel_post']),
    'loss_speaker': 25 * (1 - cosine).mean(),
    'loss_duration': 5 * (log_d - wanted)[~text_pad].square().mean(),
    'loss_diagonal': -share.mean().log(),
    'loss_emotion': 5 * F.cross_entropy(decoded_outputs['emotion_probs'], batch['emotion_id']),
  }
  return losses | {'loss_total': sum(losses.values())}


def snake(w, key, x):
  """Anti-aliased SnakeBeta on (B, C, T)."""
  taps = low_pass().to(x.dtype).expand(x.shape[1], 1, -1)
  up = F.conv_transpose1d(F.pad(x, (5, 5), mode='replicate'), taps, stride=2, groups=x.shape[1])[..., 15:-15] * 2
  alpha, beta = (w[f'{key}.act.{n}'].exp()[:, None] for n in ('alpha', 'beta'))
  up = up + (up * alpha).sin().square() / (beta + 1e-9)
  return F.conv1d(F.pad(up, (5, 6), mode='replicate'), taps, stride=2, groups=x.shape[1])


def low_pass():
  """In float32, as released: its roundings show in the wave."""
  attenuation = 2.285 * 5 * math.pi * 1.2 + 7.95
  window = torch.kaiser_window(12, periodic=False, beta=0.1102 * (attenuation - 8.7))
  taps = 0.5 * window * torch.sinc(0.5 * (torch.arange(12) - 5.5))
  return taps / taps.sum()


def normed(w, key):
  if f'{key}.weight' in w:
    return w[f'{key}.weight']
  direction = w[f'{key}.weight_v']
  return w[f'{key}.weight_g'] * direction / direction.square().sum((1, 2), keepdim=True).sqrt()


def bigvgan(w, mel, rates=(4, 4, 2, 2, 2, 2), kernels=(8, 8, 4, 4, 4, 4), sizes=(3, 7, 11), dilations=(1, 3, 5)):
  """(B, bands, T) -> (B, 1, T * hop); the wave is clamped."""

  def convolve(key, x, dilation=1):
    weight = normed(w, key)
    return F.conv1d(x, weight, w.get(f'{key}.bias'), padding=dilation * (weight.shape[2] - 1) // 2, dilation=dilation)

  x = convolve('conv_pre', mel)
  for stage, (rate, kernel) in enumerate(zip(rates, kernels, strict=True)):
    key = f'ups.{stage}.0'
    x = F.conv_transpose1d(x, normed(w, key), w[f'{key}.bias'], stride=rate, padding=(kernel - rate) // 2)
    total = 0
    for i in range(len(sizes)):
      y, block = x, f'resblocks.{stage * len(sizes) + i}'
      for j, dilation in enumerate(dilations):
        z = convolve(f'{block}.convs1.{j}', snake(w, f'{block}.activations.{2 * j}', y), dilation)
        y = y + convolve(f'{block}.convs2.{j}', snake(w, f'{block}.activations.{2 * j + 1}', z))
      total = total + y
    x = total / len(sizes)
  return convolve('conv_post', snake(w, 'activation_post', x)).clamp(-1, 1)
