"""The published system and BigVGAN in stock PyTorch modules, the baseline of experiments/timing/published.py, which
runs it.

Modules follow the description of the released system and have its checkpoint's names, so that weights can be exchanged
and outputs compared. Tensors are (batch, time, channel); all lengths are full and nothing is padded, since only speed
is measured.
"""

import json
import math
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Named(nn.Module):
  """A module under the further names that the checkpoint's keys go through."""

  def __init__(self, **inner):
    super().__init__()
    for name, module in inner.items():
      self.add_module(name, module)

  def forward(self, x):
    for module in self.children():
      x = module(x)
    return x


class TimeConv(nn.Conv1d):
  """nn.Conv1d on (B, T, C), "same"."""

  def __init__(self, width, features, kernel=1, bias=True):
    super().__init__(width, features, kernel, padding=kernel // 2, bias=bias)

  def forward(self, x):
    return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Attention(nn.Module):
  def __init__(self, width, heads, scale=None, dropout=0.0, out='fc'):
    super().__init__()
    self.heads, self.scale, self.out = heads, scale or (width / heads) ** -0.5, out
    self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width) for _ in range(3))
    if out:
      setattr(self, out, nn.Linear(width, width))
    self.dropout = nn.Dropout(dropout)

  def forward(self, query, keys, padding=None):
    q, k, v = (
      f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
      for f, x in ((self.w_qs, query), (self.w_ks, keys), (self.w_vs, keys))
    )
    scores = q @ k.transpose(-1, -2) * self.scale
    if padding is not None:
      scores = scores.masked_fill(padding[:, None, None], -math.inf)
    self.weights = scores.softmax(-1)
    y = (self.dropout(self.weights) @ v).transpose(1, 2).flatten(2)
    return getattr(self, self.out)(y) if self.out else y


class StyleNorm(nn.Module):
  def __init__(self, width, condition):
    super().__init__()
    self.style = Named(affine=nn.Linear(condition, 2 * width))

  def forward(self, x, condition):
    gain, shift = self.style(condition)[:, None].chunk(2, -1)
    return gain * F.layer_norm(x, x.shape[-1:]) + shift


class FFTBlock(nn.Module):
  def __init__(self, width, heads, filter, dropout, condition=0):
    super().__init__()
    self.slf_attn = Attention(width, heads)
    self.slf_attn.layer_norm = nn.LayerNorm(width)
    self.pos_ffn = nn.Module()
    self.pos_ffn.w_1, self.pos_ffn.w_2 = nn.Conv1d(width, filter, 9, padding=4), nn.Conv1d(filter, width, 1)
    self.pos_ffn.layer_norm = nn.LayerNorm(width)
    if condition:
      self.saln_0, self.saln_1 = StyleNorm(width, condition), StyleNorm(width, condition)
    self.dropout = nn.Dropout(dropout)

  def forward(self, x, padding, condition=None):
    x = self.slf_attn.layer_norm(self.dropout(self.slf_attn(x, x, padding)) + x)
    x = (x if condition is None else self.saln_0(x, condition)).masked_fill(padding[..., None], 0)
    y = self.pos_ffn.w_2(F.relu(self.pos_ffn.w_1(x.transpose(1, 2)))).transpose(1, 2)
    x = self.pos_ffn.layer_norm(self.dropout(y) + x)
    return (x if condition is None else self.saln_1(x, condition)).masked_fill(padding[..., None], 0)


class FFTStack(nn.Module):
  def __init__(self, width, heads, layers, filter, dropout, condition=0):
    super().__init__()
    self.layer_stack = nn.ModuleList(FFTBlock(width, heads, filter, dropout, condition) for _ in range(layers))

  def forward(self, x, condition=None, lengths=None):
    padding = torch.zeros(x.shape[:2], dtype=torch.bool)
    if lengths is not None:
      padding = torch.arange(x.shape[1]) >= lengths[:, None]
    for block in self.layer_stack:
      x = block(x, padding, condition)
    return x


class TextEncoder(FFTStack):
  def __init__(self, c, dropout):
    super().__init__(c['width'], c['text_heads'], c['text_layers'], c['filter'], dropout)
    self.src_word_emb = nn.Embedding(88, c['width'], padding_idx=0)
    self.proj_life = TimeConv(c['width'], c['width'], bias=False)

  def forward(self, ids):
    return super().forward(self.proj_life(self.src_word_emb(ids)))


class LipEncoder(FFTStack):
  def __init__(self, c, dropout):
    super().__init__(512, c['lip_heads'], c['lip_layers'], c['filter'], dropout)
    self.ln, self.fc_out = nn.LayerNorm(512), nn.Linear(512, c['width'])
    angle = torch.arange(3001)[:, None] / 10000 ** (2 * (torch.arange(512) // 2).double() / 512)
    table = torch.where(torch.arange(512) % 2 == 0, angle.sin(), angle.cos()).float()
    self.register_buffer('table', table, persistent=False)

  def forward(self, lips):
    return self.fc_out(super().forward(self.ln(lips) + self.table[: lips.shape[1]]))


class GLU(nn.Module):
  def __init__(self, width, dropout):
    super().__init__()
    self.conv1 = Named(conv=TimeConv(width, 2 * width, 5))
    self.dropout = nn.Dropout(dropout)

  def forward(self, x):
    return x + self.dropout(F.glu(self.conv1(x), -1))


class StyleEncoder(nn.Module):
  def __init__(self, width, dropout):
    super().__init__()
    first, second = Named(fc=nn.Linear(80, width)), Named(fc=nn.Linear(width, width))
    self.spectral = nn.Sequential(first, nn.Mish(), nn.Dropout(dropout), second, nn.Mish(), nn.Dropout(dropout))
    self.temporal = nn.Sequential(GLU(width, dropout), GLU(width, dropout))
    self.slf_attn = Attention(width, 2, width**-0.5, dropout)
    self.dropout, self.fc = nn.Dropout(dropout), Named(fc=nn.Linear(width, width))

  def forward(self, mel):
    x = self.temporal(self.spectral(mel))
    return self.fc(self.dropout(self.slf_attn(x, x)) + x)


class DownsamplingEncoder(nn.Module):
  def __init__(self, width, dropout):
    super().__init__()
    widths = (width, 128, 256, 512, 512)
    self.conv1ds = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False))
    self.bns = nn.ModuleList(nn.BatchNorm1d(b) for b in widths[1:])
    self.local_outlayer = nn.Sequential(nn.Linear(512, width), nn.Tanh())
    self.dropout = nn.Dropout(dropout)

  def forward(self, x):
    x = x.transpose(1, 2)
    for conv, norm in zip(self.conv1ds, self.bns, strict=True):
      x = F.avg_pool1d(self.dropout(norm(F.relu(conv(x)))), 2)
    return self.local_outlayer(x.transpose(1, 2))


class CrossModalLayer(nn.Module):
  def __init__(self, width, heads, dropout):
    super().__init__()
    self.self_attn = nn.MultiheadAttention(width, heads)
    self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    self.layer_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
    self.dropout = nn.Dropout(dropout)

  def forward(self, x, key, value, mask):
    norm, feed_norm = self.layer_norms
    x = x + self.dropout(self.self_attn(norm(x), norm(key), norm(value), attn_mask=mask, need_weights=False)[0])
    return x + self.dropout(self.fc2(self.dropout(F.relu(self.fc1(feed_norm(x))))))


class CrossModal(nn.Module):
  def __init__(self, width, heads, layers, embed_dropout, dropout):
    super().__init__()
    self.layers = nn.ModuleList(CrossModalLayer(width, heads, dropout) for _ in range(layers))
    self.layer_norm, self.dropout = nn.LayerNorm(width), nn.Dropout(embed_dropout)

  def embed(self, z):
    half = z.shape[-1] // 2
    frequency = torch.exp(-torch.arange(half) * (math.log(10000) / (half - 1)))
    angle = torch.arange(1, len(z) + 1)[:, None] * frequency
    position = torch.cat([angle.sin(), angle.cos()], 1)[:, None]
    return self.dropout(math.sqrt(z.shape[-1]) * z + position * (z[..., :1] != 0))

  def forward(self, query, keys):
    query, keys = query.transpose(0, 1), keys.transpose(0, 1)
    x, key, value = self.embed(query), self.embed(keys), self.embed(keys)
    mask = torch.full((len(x), len(key)), -math.inf).triu(1 + abs(len(key) - len(x)))
    for layer in self.layers:
      x = layer(x, key, value, mask)
    return self.layer_norm(x).transpose(0, 1)


class Fusion(nn.Module):
  def __init__(self, c, rate):
    super().__init__()
    width, cross = c['width'], c['cross_width']
    self.encoder = TextEncoder(c, 0.2 * rate)
    self.style_encoder = StyleEncoder(width, 0.1 * rate)
    self.ds_speaker_encoder = DownsamplingEncoder(width, 0.2 * rate)
    self.proj_l, self.proj_v = TimeConv(width, cross, bias=False), TimeConv(width, cross, bias=False)
    self.trans_l_with_v = CrossModal(cross, c['cross_heads'], c['cross_layers'], 0.25 * rate, 0.1 * rate)
    self.linear_for_ref_mel, self.dropout = nn.Linear(cross, width), nn.Dropout(0.25 * rate)

  def forward(self, ids, reference):
    text = self.encoder(ids)
    local = self.ds_speaker_encoder(self.style_encoder(reference))
    styled = self.trans_l_with_v(self.proj_l(self.dropout(text)), self.proj_v(local))
    return text, (self.linear_for_ref_mel(styled) + text) / 2, local[:, : reference.shape[1] // 16].mean(1)


class GraphHead(nn.Module):
  def __init__(self, width, out, relations, dropout):
    super().__init__()
    self.W, self.a = nn.Parameter(torch.empty(width, out)), nn.Parameter(torch.empty(2 * out + relations, 1))
    nn.init.xavier_uniform_(self.W, 1.414), nn.init.xavier_uniform_(self.a, 1.414)
    self.layer_norm, self.dropout, self.out = nn.LayerNorm(out), nn.Dropout(dropout), out

  def forward(self, nodes, relation):
    projected = nodes @ self.W
    receiver, sender, kind = self.a.split([self.out, self.out, len(self.a) - 2 * self.out])
    one_hot = F.one_hot(relation, len(kind)).float()
    scores = projected @ receiver + (projected @ sender).transpose(1, 2) + (one_hot @ kind)[..., 0]
    scores = F.leaky_relu(scores, 0.2).masked_fill(relation == 0, -9e15)
    return self.layer_norm(self.dropout(scores.softmax(-1)) @ projected)


class RGAT(nn.Module):
  def __init__(self, width, relations, dropout):
    super().__init__()
    self.attention_0, self.attention_1 = (GraphHead(width, width, relations, dropout) for _ in range(2))
    self.out_att = GraphHead(2 * width, width, relations, dropout)
    self.fc, self.layer_norm, self.dropout = nn.Linear(width, width), nn.LayerNorm(width), nn.Dropout(dropout)

  def forward(self, nodes, relation):
    x = self.dropout(nodes)
    heads = [F.gelu(head(x, relation)) for head in (self.attention_0, self.attention_1)]
    x = F.gelu(self.out_att(self.dropout(torch.cat(heads, -1)), relation))
    return self.layer_norm(self.fc(x) + nodes)


class Graph(nn.Module):
  def __init__(self, widths, suffix, out, relations, dropout):
    super().__init__()
    self.RGAT = RGAT(out, relations, dropout)
    self.maps = [f'linear_{modality}{suffix}' for modality in ('scene', 'face', 'text')]
    for name, width in zip(self.maps, widths, strict=True):
      setattr(self, name, nn.Linear(width, out))

  def forward(self, nodes, added, relation):
    new = [getattr(self, name)(x) for name, x in zip(self.maps, added, strict=True)]
    nodes = torch.cat([*nodes, *new], 1)
    size = nodes.shape[1]
    return self.RGAT(nodes, relation[:, :size, :size])


def relations(items, exemplars):
  matrix = torch.zeros(3 + 6 * exemplars, 3 + 6 * exemplars, dtype=torch.long)
  for m in range(3):
    matrix[m, [x for x in range(3) if x != m]] = 1
    own, heard = 3 + m * exemplars, 3 + (3 + m) * exemplars
    matrix[m, own : own + exemplars], matrix[m, heard : heard + exemplars] = 2, 3
  return torch.maximum(matrix, matrix.T).expand(items, -1, -1)


class Aggregator(nn.Module):
  def __init__(self, width, dropout):
    super().__init__()
    self.cross_att = nn.MultiheadAttention(width, 1, dropout, batch_first=True)
    self.pro_output = TimeConv(2 * width, width, bias=False)

  def forward(self, frames, nodes):
    return self.pro_output(torch.cat([frames, self.cross_att(frames, nodes, nodes)[0]], -1))


class Postnet(nn.Module):
  def __init__(self, width, dropout):
    super().__init__()
    widths = (80, width, width, width, width, 80)
    self.convolutions = nn.ModuleList(
      nn.Sequential(Named(conv=nn.Conv1d(a, b, 5, padding=2)), nn.BatchNorm1d(b))
      for a, b in zip(widths, widths[1:], strict=False)
    )
    self.saln_0, self.dropout = StyleNorm(width, width), nn.Dropout(dropout)

  def forward(self, mel, speaker):
    x = mel.transpose(1, 2)
    for conv in self.convolutions[:-1]:
      x = self.saln_0(self.dropout(torch.tanh(conv(x))).transpose(1, 2), speaker).transpose(1, 2)
    return mel + self.dropout(self.convolutions[-1](x)).transpose(1, 2)


class Model(nn.Module):
  def __init__(self, c, rate):
    super().__init__()
    width = c['width']
    self.lip_encoder = LipEncoder(c, 0.2 * rate)
    self.attn_lip_text = Named(energy=Attention(width, 8, out=''), last_layer=nn.Linear(width, width))
    self.attn_lip_text.layer_norm = nn.LayerNorm(width)
    pointwise = {f'conv1d_{i}': Named(conv=TimeConv(width, width)) for i in (1, 2)}
    pointwise |= {f'layer_norm_{i}': nn.LayerNorm(width) for i in (1, 2)}
    predictor = Named(conv_layer2=Named(**pointwise), conv=TimeConv(width, 1))
    self.variance_adaptor = Named(duration_predictor=predictor)
    graphs = ((1024, 1024, 2048), '', 2), ((1024, 1024, 2048), '', 3), ((1024,) * 3, '_audios', 4)
    for stage, (widths, suffix, kinds) in zip(('Basic', 'Indirect', 'Direct'), graphs, strict=True):
      graph = Graph(widths, suffix, width, kinds, 0.2 * rate)
      setattr(self, f'{stage}_Emotion_{"" if stage == "Basic" else "Extended_"}Graph', graph)
    for i in (1, 2, 3):
      setattr(self, f'aggregator_stage_{i}', Aggregator(width, 0.1 * rate))
    self.emoID_classifier = Named(layers=nn.Sequential(nn.Linear(width, 8)))
    self.proj_fusion = TimeConv(2 * width, width, bias=False)
    self.decoder_Condition = FFTStack(width, c['decoder_heads'], c['decoder_layers'], c['filter'], 0.2 * rate, 256)
    self.mel_linear, self.postnet = nn.Linear(width, 80), Postnet(width, 0.5 * rate)
    self.drop, self.drop_duration = nn.Dropout(0.2 * rate), nn.Dropout(0.5 * rate)

  def read(self, text, lips):
    attend = self.attn_lip_text
    looked = attend.last_layer(attend.energy(text, self.lip_encoder(lips)))
    weights = attend.energy.weights
    head = weights.amax(2).mean(-1).argmax(1)
    x, predictor = attend.layer_norm(self.drop(looked)), self.variance_adaptor.duration_predictor
    for i in (1, 2):
      layer = predictor.conv_layer2
      x = F.relu(getattr(layer, f'conv1d_{i}')(x))
      x = self.drop_duration(getattr(layer, f'layer_norm_{i}')(x))
    return F.softplus(predictor.conv(x)[..., 0]), weights[torch.arange(len(head)), head]

  def direct(self, batch):
    relation = relations(len(batch['scene']), batch['sounds'].shape[2])
    own = [batch[m][:, None] for m in ('scene', 'face', 'text')]
    nodes = self.Basic_Emotion_Graph([], own, relation * (relation < 2))
    refs = [batch[f'{m}_refs'] for m in ('scene', 'face', 'text')]
    more = self.Indirect_Emotion_Extended_Graph([nodes], refs, relation * (relation < 3))
    return nodes, more, self.Direct_Emotion_Extended_Graph([more], batch['sounds'].unbind(1), relation)

  def play(self, styled, durations, batch):
    frames = nn.utils.rnn.pad_sequence(
      [x.repeat_interleave(d, 0) for x, d in zip(styled, durations, strict=True)], batch_first=True
    )
    felt = frames
    for i, nodes in enumerate(self.direct(batch)):
      felt = getattr(self, f'aggregator_stage_{i + 1}')(felt, nodes)
    emotion = self.emoID_classifier(felt.mean(1)).softmax(-1)
    joined = self.proj_fusion(torch.cat([frames, felt], -1))
    mel = self.mel_linear(self.decoder_Condition(joined, batch['speaker'], durations.sum(1)))
    return mel, self.postnet(mel, batch['speaker']), emotion


class Published(nn.Module):
  """Both state dicts' modules in one."""

  def __init__(self, c):
    super().__init__()
    self.model, self.fusion = Model(c, float(c['dropout'])), Fusion(c, float(c['dropout']))

  def load(self, weights):
    for module in (self.model, self.fusion):
      names = [n for n in module.state_dict() if not n.endswith('num_batches_tracked')]
      module.load_state_dict({n: torch.tensor(weights[n]) for n in names}, strict=False)

  def infer(self, batch):
    text, styled, _ = self.fusion(batch['phonemes'], batch['reference'])
    log_durations, _ = self.model.read(text, batch['lips'])
    frames = (log_durations.exp() - 1).clamp(min=0)
    durations = (frames / frames.sum(1, keepdim=True) * batch['mel_length'][:, None]).round().long()
    return self.model.play(styled, durations, batch)[1]

  def loss(self, batch):
    text, styled, style = self.fusion(batch['phonemes'], batch['reference'])
    log_durations, alignment = self.model.read(text, batch['lips'])
    mel, finished, emotion = self.model.play(styled, batch['durations'], batch)
    rate = alignment.shape[2] / alignment.shape[1]
    center, frame = torch.arange(alignment.shape[1])[:, None] * rate, torch.arange(alignment.shape[2])
    reach = alignment.shape[2] / 10
    band = (frame >= (center - reach).clamp(min=0).trunc()) & (frame < (center + reach).trunc())
    return (
      5 * (mel - batch['mel']).abs().mean()
      + 5 * (finished - batch['mel']).abs().mean()
      + 25 * (1 - F.cosine_similarity(style, batch['speaker'])).mean()
      + 5 * (log_durations - (batch['durations'] + 1).log()).square().mean()
      + 5 * F.cross_entropy(emotion, batch['emotion'])
      - ((alignment * band).sum((1, 2)) / alignment.sum((1, 2))).mean().log()
    )


class Resample(nn.Module):
  """The 12-tap filters as released: one group a channel."""

  def __init__(self):
    super().__init__()
    window = torch.kaiser_window(12, periodic=False, beta=0.1102 * (2.285 * 5 * math.pi * 1.2 + 7.95 - 8.7))
    taps = 0.5 * window * torch.sinc(0.5 * (torch.arange(12) - 5.5))
    self.register_buffer('taps', (taps / taps.sum())[None, None], persistent=False)


class Up(Resample):
  def forward(self, x):
    width = x.shape[1]
    y = F.conv_transpose1d(F.pad(x, (5, 5), mode='replicate'), self.taps.expand(width, -1, -1), stride=2, groups=width)
    return 2 * y[..., 15:-15]


class Down(Resample):
  def forward(self, x):
    x = F.pad(x, (5, 6), mode='replicate')
    return F.conv1d(x, self.taps.expand(x.shape[1], -1, -1), stride=2, groups=x.shape[1])


class Snake(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.act = nn.Module()
    self.act.alpha, self.act.beta = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
    self.up, self.down = Up(), Down()

  def forward(self, x):
    x = self.up(x)
    alpha, beta = self.act.alpha.exp()[:, None], self.act.beta.exp()[:, None]
    return self.down(x + (1 / (beta + 1e-9)) * torch.sin(x * alpha).square())


class AMPBlock(nn.Module):
  def __init__(self, width, kernel, dilations):
    super().__init__()
    self.convs1 = nn.ModuleList(
      nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)) for d in dilations
    )
    self.convs2 = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in dilations)
    self.activations = nn.ModuleList(Snake(width) for _ in range(2 * len(dilations)))

  def forward(self, x):
    for i, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
      x = x + second(self.activations[2 * i + 1](first(self.activations[2 * i](x))))
    return x


class BigVGAN(nn.Module):
  def __init__(self, c):
    super().__init__()
    width = c['upsample_initial_channel']
    self.conv_pre = nn.Conv1d(c['num_mels'], width, 7, padding=3)
    self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
    self.blocks = list(zip(c['resblock_kernel_sizes'], c['resblock_dilation_sizes'], strict=True))
    for rate, kernel in zip(c['upsample_rates'], c['upsample_kernel_sizes'], strict=True):
      up = nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2)
      self.ups.append(nn.ModuleList([up]))
      width //= 2
      self.resblocks.extend(AMPBlock(width, size, dilations) for size, dilations in self.blocks)
    self.activation_post = Snake(width)
    self.conv_post = nn.Conv1d(width, 1, 7, padding=3, bias=c['use_bias_at_final'])

  def load(self, weights):
    self.load_state_dict({n: torch.tensor(weights[n]) for n in self.state_dict()})

  def infer(self, batch):
    x = self.conv_pre(batch['mel'].transpose(1, 2))
    count = len(self.blocks)
    for i, (up,) in enumerate(self.ups):
      x = up(x)
      x = sum(block(x) for block in self.resblocks[i * count : (i + 1) * count]) / count
    return self.conv_post(self.activation_post(x)).clamp(-1, 1)[:, 0]


def optimizer(network):
  """One Adam, two groups, as the released training has it."""
  return torch.optim.Adam(
    [
      {'params': network.model.parameters(), 'betas': (0.9, 0.98), 'eps': 1e-9},
      {'params': network.fusion.parameters()},
    ],
    lr=1e-6,
  )


def main():
  """Reads the job, one JSON line; then for each further line runs it once and answers with a JSON line."""
  job = json.loads(sys.stdin.readline())
  torch.set_num_threads(job['threads'])
  torch.manual_seed(0)
  arrays = dict(np.load(job['batch']))
  batch = {k: torch.tensor(v).long() if v.dtype.kind == 'i' else torch.tensor(v) for k, v in arrays.items()}
  network = (BigVGAN if job['network'] == 'bigvgan' else Published)(job['config'])
  if job.get('weights'):
    with np.load(job['weights']) as weights:
      network.load(weights)
  training = job['mode'] == 'train'
  network.train(training)
  adam = optimizer(network) if training else None

  def run():
    if not training:
      with torch.inference_mode():
        return network.infer(batch)
    adam.zero_grad()
    loss = network.loss(batch)
    loss.backward()
    nn.utils.clip_grad_norm_(network.model.parameters(), 1.0)
    adam.step()
    return loss.detach()

  print(json.dumps({'ready': True}), flush=True)
  for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    result = run()
    answer = {'seconds': time.perf_counter() - began, 'processor': time.process_time() - used}
    if path := json.loads(line)['save']:
      np.save(path, result.numpy())
    print(json.dumps(answer | {'peak_gib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}), flush=True)


if __name__ == '__main__':
  main()
