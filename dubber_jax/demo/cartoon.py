"""Procedural cartoon clip of a talking character, for demonstrations without a film.

The portrait has the proportions and soft shading of a human face, so that face detectors trained on photographs find it
and its lips can be tracked. The mouth has a shape for each group of letters of the text; brows, lids and mouth corners
depend on the emotion, and so do the colors of the scene.

Coordinates are in portrait units: x and y from -1 to 1 across the image, y down.
"""

import math
from dataclasses import dataclass

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.types import EMOTIONS, LIP_RATE

OVERSAMPLING = 2  # antialiasing: drawn larger by this factor, then averaged


@dataclass(frozen=True)
class Mood:
  """Appearance of an emotion. Offsets are in portrait units, up is positive."""

  sky: tuple[tuple[int, int, int], tuple[int, int, int]]  # RGB at the top and at the bottom of the scene
  light: tuple[float, float, float]  # factors of the character's colors
  brow: tuple[float, float]  # offset of the inner and outer end
  lids: float  # eye opening, 1 is relaxed
  smile: float  # offset of the mouth's corners
  rest: float = 0.0  # mouth opening in silence
  squint: float = 0.0  # offset of the lower lid
  tilt: float = 0.0  # of the head, degrees
  sway: float = 1.0  # amplitude of head motion
  air: str = 'motes'  # particles in the scene: motes, rain, embers, rays, bubbles
  air_color: tuple[int, int, int] = (255, 255, 255)


MOODS = {
  'angry': Mood(
    ((92, 12, 16), (206, 62, 28)), (1.04, 0.83, 0.78), (-0.055, 0.03), 0.78, -0.035, squint=0.25, sway=1.9,
    air='embers', air_color=(255, 170, 70),
  ),
  'disgust': Mood(
    ((58, 74, 22), (142, 158, 62)), (0.92, 1.0, 0.78), (-0.04, -0.005), 0.62, -0.04, squint=0.45, tilt=-5,
    sway=0.8, air='bubbles', air_color=(206, 222, 110),
  ),
  'fear': Mood(
    ((10, 10, 30), (46, 40, 88)), (0.74, 0.76, 0.98), (0.06, -0.01), 1.3, -0.025, rest=0.14, sway=1.6,
    air='motes', air_color=(130, 130, 220),
  ),
  'happy': Mood(
    ((255, 196, 84), (255, 238, 176)), (1.06, 1.02, 0.92), (0.015, 0.03), 0.95, 0.07, squint=0.4, tilt=4, sway=1.5,
    air='motes', air_color=(255, 252, 225),
  ),
  'neutral': Mood(((118, 146, 150), (196, 206, 200)), (1.0, 1.0, 1.0), (0.0, 0.0), 1.0, 0.0, sway=0.7),
  'sad': Mood(
    ((42, 62, 98), (104, 128, 158)), (0.82, 0.9, 1.04), (0.06, -0.03), 0.7, -0.05, tilt=-6, sway=0.5,
    air='rain', air_color=(190, 212, 240),
  ),
  'surprise': Mood(
    ((64, 186, 214), (252, 206, 232)), (1.04, 1.02, 1.04), (0.08, 0.085), 1.45, 0.0, rest=0.3, sway=1.2,
    air='rays', air_color=(255, 255, 255),
  ),
  'others': Mood(
    ((66, 36, 92), (150, 96, 168)), (0.98, 0.92, 1.04), (0.0, 0.045), 0.85, 0.02, tilt=6, sway=1.0,
    air='bubbles', air_color=(226, 180, 250),
  ),
}  # fmt: skip

# (skin, hair) RGB.
SKIN_AND_HAIR = (
  ((246, 208, 182), (196, 148, 84)),
  ((240, 196, 166), (120, 52, 30)),
  ((234, 186, 150), (58, 38, 28)),
  ((222, 170, 130), (30, 24, 24)),
  ((196, 142, 104), (42, 28, 22)),
  ((166, 114, 82), (28, 20, 18)),
)
COATS = ((44, 66, 104), (122, 42, 54), (48, 92, 80), (74, 66, 88), (176, 132, 64))


@dataclass(frozen=True)
class Character:
  """Appearance of the character: colors and features, sampled by the seed."""

  skin: tuple[int, int, int]
  hair: tuple[int, int, int]
  coat: tuple[int, int, int]
  iris: tuple[int, int, int]
  long_hair: bool
  full_lips: float


def draw_cartoon(emotion: str, text: str, seconds: float = 3.0, size: int = 256, seed: int = 0) -> np.ndarray:
  """Frames of a talking character: (L, size, size, 3) uint8 RGB at 25 Hz, L = round(seconds * 25).

  emotion: one of EMOTIONS. text: spoken by the mouth, within the middle of the clip. seed: of appearance and motion;
  deterministic. About 30 ms for a frame of 256 pixels. Raises BadInput for other values.
  """
  if emotion not in MOODS:
    raise BadInput(f'no emotion called {emotion!r}: choose one of {", ".join(EMOTIONS)}')
  if not text.strip():
    raise BadInput('the cartoon has nothing to say: give it a line of text')
  if not (0.2 <= seconds <= 60) or not (96 <= size <= 1024):
    raise BadInput(f'a cartoon of {seconds} s and {size} pixels: choose 0.2 to 60 s and 96 to 1024 pixels')
  rng = np.random.default_rng(seed)
  mood, character = MOODS[emotion], _random_character(rng)
  count = max(1, round(seconds * LIP_RATE))
  opening, rounding = mouth_shapes(text, count)
  stage = _Stage(size, mood, character, rng)
  blinks = _blinks(count, rng, often=emotion == 'fear')
  frames = np.empty((count, size, size, 3), np.uint8)
  stress = np.convolve(opening, np.ones(9) / 9, mode='same')  # brows and head move with open syllables
  for i in range(count):
    frames[i] = stage.frame(i / LIP_RATE, opening[i], rounding[i], blinks[i], stress[i])
  return frames


# Mouth shape by letter: opening, and rounding (1 rounded, -1 spread).
LETTERS = {
  **dict.fromkeys('a', (1.0, 0.0)),
  **dict.fromkeys('o', (0.75, 0.8)),
  **dict.fromkeys('e', (0.55, -0.5)),
  **dict.fromkeys('i', (0.45, -0.7)),
  **dict.fromkeys('y', (0.35, -0.6)),
  **dict.fromkeys('u', (0.45, 0.9)),
  **dict.fromkeys('w', (0.25, 1.0)),
  **dict.fromkeys('qr', (0.3, 0.5)),
  **dict.fromkeys('mbp', (0.0, 0.0)),
  **dict.fromkeys('fv', (0.08, -0.2)),
  **dict.fromkeys('lndtkgh', (0.3, -0.1)),
  **dict.fromkeys('szcxj', (0.18, -0.3)),
}
LETTER_SECONDS = 0.068  # about 15 letters/s: relaxed speech
PAUSE_SECONDS = {' ': 0.03, ',': 0.2, ';': 0.25, '.': 0.3, '!': 0.3, '?': 0.3, '-': 0.12}


def mouth_shapes(text: str, count: int) -> tuple[np.ndarray, np.ndarray]:
  """Text -> mouth opening (count,) from 0 to 1 and rounding (count,) from -1 to 1, at 25 Hz.

  The mouth is closed before and after. A text too long for the clip is spoken faster, a short one ends early.
  """
  targets = [(0.0, 0.0, 0.0)]  # opening, rounding, seconds
  previous = ''
  for letter in text.lower():
    if letter in LETTERS and letter != previous:
      targets.append((*LETTERS[letter], LETTER_SECONDS * (1.35 if letter in 'aeiou' else 0.8)))
    elif letter in PAUSE_SECONDS and targets[-1][0] + targets[-1][2]:
      closed = PAUSE_SECONDS[letter] >= 0.1
      targets.append((0.0 if closed else targets[-1][0] * 0.6, 0.0, PAUSE_SECONDS[letter]))
    previous = letter
  length = count / LIP_RATE
  head = min(0.3, 0.12 * length)
  total = sum(target[2] for target in targets)
  scale = min(1.0, (length - 2 * head) / max(total, 1e-6))
  fine = 200  # Hz, internal rate
  opening, rounding = np.zeros((2, max(1, int(length * fine)) + fine))
  time = head
  for o, r, duration in targets:
    start, end = int(time * fine), max(int(time * fine) + 1, int((time + duration * scale) * fine))
    opening[start:end], rounding[start:end] = o, r
    time += duration * scale
  kernel = np.hanning(int(0.11 * fine))  # lip movements take about 0.1 s
  kernel /= kernel.sum()
  centers = ((np.arange(count) + 0.5) / LIP_RATE * fine).astype(int)
  return np.convolve(opening, kernel, 'same')[centers], np.convolve(rounding, kernel, 'same')[centers]


def _random_character(rng: np.random.Generator) -> Character:
  pick = lambda options: options[int(rng.integers(len(options)))]  # noqa: E731
  skin, hair = pick(SKIN_AND_HAIR)
  return Character(
    skin=skin,
    hair=hair,
    coat=pick(COATS),
    iris=pick(((66, 104, 140), (84, 58, 34), (72, 110, 72), (58, 44, 34))),
    long_hair=bool(rng.integers(2)),
    full_lips=float(rng.uniform(0.85, 1.25)),
  )


def _blinks(count: int, rng: np.random.Generator, often: bool) -> np.ndarray:
  """Closure of the lids, (count,) from 0 to 1."""
  shut = np.zeros(count)
  at = rng.uniform(0.4, 1.2)
  while at < count / LIP_RATE:
    frame = int(at * LIP_RATE)
    for offset, amount in enumerate((0.6, 1.0, 0.5)):
      if frame + offset < count:
        shut[frame + offset] = amount
    at += rng.uniform(0.7, 1.6) if often else rng.uniform(1.8, 3.4)
  return shut


class _Stage:
  """Renderer of the scene and the character."""

  def __init__(self, size: int, mood: Mood, character: Character, rng: np.random.Generator):
    self.size, self.big, self.mood, self.character = size, size * OVERSAMPLING, mood, character
    self.phase = rng.uniform(0, 2 * math.pi, 4)
    self.motes = rng.uniform(0, 1, (26, 4))  # x, y, speed, size
    self.scene = self._scene()
    self.body = self._body()
    self.head, self.back_hair = self._head(), self._back_hair()
    self.scratch = self.head.copy()  # buffer of the interior of eyes and mouth

  def frame(self, time: float, opening: float, rounding: float, blink: float, stress: float) -> np.ndarray:
    from PIL import Image

    head = self.head.copy()
    self._eyes(head, time, blink, stress)
    self._mouth(head, max(opening, self.mood.rest * (1 - 0.3 * min(1, stress))), rounding)
    layers = Image.new('RGBA', (self.big, self.big))
    a, b, c, d = self.phase
    sway = self.mood.sway
    turn = self.mood.tilt + sway * (1.6 * math.sin(1.7 * time + a) + 2.0 * (stress - 0.25) * math.sin(5 * time + b))
    across = 0.014 * sway * math.sin(1.3 * time + c)
    down = 0.010 * sway * math.sin(2.1 * time + d) + 0.02 * sway * (stress - 0.25)
    for layer in (self.back_hair, None, head):
      if layer is None:
        layers.alpha_composite(self.body)
      else:
        layers.alpha_composite(self._moved(layer, turn, across, down))
    picture = self._air(self.scene.copy(), time)
    small = layers.convert('RGBa').reduce(OVERSAMPLING).convert('RGBA')
    lit = np.asarray(small, np.float32)
    alpha = lit[..., 3:] / 255
    lit = lit[..., :3] * np.asarray(self.mood.light, np.float32)
    mixed = np.asarray(picture, np.float32) * (1 - alpha) + lit * alpha
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)

  # Coordinates and shapes

  def _at(self, x, y):
    return (np.asarray(x) + 1) / 2 * self.big, (np.asarray(y) + 1) / 2 * self.big

  def _shape(self, points) -> list[tuple[float, float]]:
    """A smooth closed outline through the points, in pixels (Catmull-Rom)."""
    p = np.asarray(points, np.float64)
    t = np.linspace(0, 1, 10, endpoint=False)[:, None, None]
    p0, p1, p2, p3 = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    x, y = self._at(*curve.transpose(1, 0, 2).reshape(-1, 2).T)
    return list(zip(x.tolist(), y.tolist(), strict=True))

  def _stroke(self, draw, points, width: float, color) -> None:
    """A curve of a width in portrait units, tapered at its ends."""
    p = np.asarray(points, np.float64)
    t = np.linspace(0, 1, 14)
    knots = np.linspace(0, 1, len(p))
    degree = min(2, len(p) - 1)
    x, y = (np.polyval(np.polyfit(knots, p[:, axis], degree), t) for axis in (0, 1))
    half = width / 2 * np.sqrt(np.sin(np.pi * np.clip(t, 0.06, 0.94)))
    along = np.stack([np.gradient(x), np.gradient(y)], 1)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    outline = np.concatenate(
      [np.stack([x, y], 1) + normal * half[:, None], (np.stack([x, y], 1) - normal * half[:, None])[::-1]]
    )
    px, py = self._at(*outline.T)
    draw.polygon(list(zip(px.tolist(), py.tolist(), strict=True)), fill=color)

  def _ellipse(self, draw, x, y, rx, ry, color) -> None:
    (x0, y0), (x1, y1) = self._at(x - rx, y - ry), self._at(x + rx, y + ry)
    draw.ellipse((float(x0), float(y0), float(x1), float(y1)), fill=color)

  def _soft(self, layer, paint, color, strength: float, blur: float) -> None:
    """A blurred patch of color, masked by the layer's alpha."""
    from PIL import Image, ImageChops, ImageDraw, ImageFilter

    mask = Image.new('L', layer.size)
    paint(ImageDraw.Draw(mask))
    mask = mask.filter(ImageFilter.GaussianBlur(blur * self.big / 2)).point(lambda v: int(v * strength))
    patch = Image.new('RGBA', layer.size, (*color, 255))
    patch.putalpha(ImageChops.multiply(mask, layer.getchannel('A')))
    layer.alpha_composite(patch)

  def _moved(self, layer, degrees: float, across: float, down: float):
    """The layer rotated about the neck, then translated."""
    from PIL import Image

    x, y = (float(v) for v in self._at(0.0, 0.62))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    dx, dy = across * self.big / 2, down * self.big / 2
    matrix = (cos, sin, x - cos * (x + dx) - sin * (y + dy), -sin, cos, y + sin * (x + dx) - cos * (y + dy))
    return layer.transform(layer.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

  # Static layers

  def _scene(self):
    from PIL import Image

    y, x = np.mgrid[0 : self.size, 0 : self.size] / (self.size - 1)
    top, bottom = (np.asarray(c, np.float32) for c in self.mood.sky)
    picture = top + (bottom - top) * y[..., None] ** 1.2
    glow = np.exp(-(((x - 0.5) / 0.38) ** 2 + ((y - 0.42) / 0.42) ** 2))[
      ..., None
    ]  # separates the head from the background
    picture = picture + (255 - picture) * 0.22 * glow
    vignette = 1 - 0.38 * np.clip(((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2, 0, 1)[..., None]
    return Image.fromarray(np.clip(picture * vignette, 0, 255).astype(np.uint8))

  def _air(self, picture, time: float):
    """Draws the particles behind the character."""
    from PIL import Image, ImageDraw

    kind, n = self.mood.air, self.size
    veil = Image.new('RGBA', (n, n))
    draw = ImageDraw.Draw(veil)
    if kind == 'rays':
      turn = 0.12 * time + self.phase[0]
      for ray in range(14):
        a = turn + ray * math.pi / 7
        corner = [(n / 2 + 2 * n * math.cos(a + e), n * 0.45 + 2 * n * math.sin(a + e)) for e in (-0.11, 0.11)]
        draw.polygon([(n / 2, n * 0.45), *corner], fill=(*self.mood.air_color, 60))
    for x, y, speed, bulk in self.motes:
      pace = 0.25 + 0.75 * speed
      if kind == 'rain':
        px, py = (x - 0.12 * time * pace) % 1 * n, (y + 1.5 * time * pace) % 1.1 * n
        draw.line(
          (px, py, px - 0.012 * n, py + (0.05 + 0.05 * bulk) * n), (*self.mood.air_color, 110), max(1, n // 200)
        )
        continue
      rise = {'embers': 0.42, 'bubbles': 0.12, 'rays': 0.3}.get(kind, 0.05)
      px = (x + 0.03 * math.sin(2 * time * pace + 6 * y)) % 1 * n
      py = (y - rise * time * pace) % 1.1 * n
      r = n * {'embers': 0.004 + 0.007 * bulk, 'bubbles': 0.012 + 0.03 * bulk}.get(kind, 0.006 + 0.03 * bulk**2)
      fill = (*self.mood.air_color, 200 if kind == 'embers' else 46)
      draw.ellipse((px - r, py - r, px + r, py + r), fill=fill)
    picture.paste(veil, (0, 0), veil)
    return picture

  def _body(self):
    from PIL import Image, ImageDraw

    skin, coat = self.character.skin, self.character.coat
    layer = Image.new('RGBA', (self.big, self.big))
    draw = ImageDraw.Draw(layer)
    neck = [(-0.2, 0.35), (0.2, 0.35), (0.2, 0.62), (0.3, 0.8), (0, 0.95), (-0.3, 0.8), (-0.2, 0.62)]
    draw.polygon(self._shape(neck), fill=(*skin, 255))
    self._soft(layer, lambda d: self._ellipse(d, 0, 0.5, 0.3, 0.16, 255), _scaled(skin, 0.55), 0.75, 0.05)
    draw = ImageDraw.Draw(layer)
    right = [(0, 0.98), (0.27, 0.72), (0.52, 0.8), (0.84, 0.93), (1.02, 1.3), (0, 1.3)]
    for side in (-1, 1):
      x, y = self._at(np.asarray([p[0] * side for p in right]), np.asarray([p[1] for p in right]))
      draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=(*coat, 255))
      lapel = np.asarray([(0.02, 1.02), (0.2, 0.7), (0.3, 0.74), (0.26, 0.92)]) * (side, 1)
      x, y = self._at(*lapel.T)
      draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=(*_scaled(coat, 0.78), 255))
    self._soft(layer, lambda d: self._ellipse(d, 0, 1.15, 0.55, 0.3, 255), _scaled(coat, 0.6), 0.5, 0.1)
    return layer

  def _back_hair(self):
    from PIL import Image, ImageDraw

    layer = Image.new('RGBA', (self.big, self.big))
    draw = ImageDraw.Draw(layer)
    hair = _scaled(self.character.hair, 0.8)
    if self.character.long_hair:
      points = [(0, -0.86), (0.36, -0.76), (0.56, -0.4), (0.6, 0.1), (0.62, 0.5), (0.5, 0.74), (0.25, 0.66)]
    else:
      points = [(0, -0.8), (0.34, -0.71), (0.5, -0.42), (0.49, -0.1), (0.38, 0.05)]
    draw.polygon(self._shape(points + [(-x, y) for x, y in points[:0:-1]]), fill=(*hair, 255))
    return layer

  def _head(self):
    from PIL import Image, ImageChops, ImageDraw

    skin, hair = self.character.skin, self.character.hair
    layer = Image.new('RGBA', (self.big, self.big))
    draw = ImageDraw.Draw(layer)
    if not self.character.long_hair:
      for side in (-1, 1):
        self._ellipse(draw, side * 0.455, -0.03, 0.065, 0.12, (*_scaled(skin, 0.88), 255))
        self._ellipse(draw, side * 0.46, -0.03, 0.035, 0.075, (*_scaled(skin, 0.7), 255))
    half = [
      (0, -0.74),
      (0.26, -0.68),
      (0.42, -0.45),
      (0.455, -0.12),
      (0.43, 0.14),
      (0.35, 0.36),
      (0.2, 0.53),
      (0.07, 0.585),
    ]
    draw.polygon(self._shape(half + [(-x, y) for x, y in half[::-1] if x > 0]), fill=(*skin, 255))
    dark, bright = _scaled(skin, 0.62), _mixed(skin, (255, 244, 230), 0.5)
    rose = _mixed(skin, (214, 86, 80), 0.5)
    e = self._ellipse
    for side in (-1, 1):
      self._soft(layer, lambda d, s=side: e(d, s * 0.5, 0.12, 0.12, 0.5, 255), dark, 0.62, 0.09)  # shading at the sides
      self._soft(layer, lambda d, s=side: e(d, s * 0.185, -0.13, 0.13, 0.075, 255), dark, 0.5, 0.045)  # eye sockets
      self._soft(layer, lambda d, s=side: e(d, s * 0.26, 0.16, 0.1, 0.075, 255), rose, 0.45, 0.06)  # cheeks
      self._soft(layer, lambda d, s=side: e(d, s * 0.25, 0.07, 0.08, 0.035, 255), bright, 0.4, 0.04)
      self._soft(
        layer, lambda d, s=side: e(d, s * 0.062, 0.02, 0.02, 0.14, 255), dark, 0.42, 0.025
      )  # sides of the nose
    self._soft(layer, lambda d: e(d, 0, 0.6, 0.3, 0.07, 255), dark, 0.6, 0.06)  # under the chin
    self._soft(layer, lambda d: e(d, 0, 0.47, 0.12, 0.035, 255), bright, 0.4, 0.035)
    self._soft(layer, lambda d: e(d, 0, 0.425, 0.1, 0.02, 255), dark, 0.5, 0.02)  # below the lower lip
    self._soft(layer, lambda d: e(d, 0, -0.4, 0.2, 0.12, 255), bright, 0.35, 0.09)  # forehead
    self._soft(layer, lambda d: e(d, 0, 0.03, 0.02, 0.14, 255), bright, 0.7, 0.018)  # bridge of the nose
    self._soft(layer, lambda d: e(d, 0, 0.205, 0.085, 0.022, 255), dark, 0.75, 0.018)  # below the nose
    self._soft(layer, lambda d: e(d, 0, 0.16, 0.05, 0.045, 255), bright, 0.55, 0.022)  # tip of the nose
    self._soft(layer, lambda d: e(d, 0, 0.245, 0.014, 0.03, 255), dark, 0.4, 0.012)  # philtrum
    draw = ImageDraw.Draw(layer)
    for side in (-1, 1):
      e(draw, side * 0.04, 0.193, 0.021, 0.011, (*_scaled(skin, 0.38), 255))
      self._stroke(
        draw, [(side * 0.078, 0.13), (side * 0.094, 0.17), (side * 0.074, 0.2)], 0.012, (*_scaled(skin, 0.6), 255)
      )
    if self.character.long_hair:
      fringe = [
        (0, -0.88), (0.32, -0.8), (0.54, -0.5), (0.56, -0.05), (0.5, 0.3), (0.44, 0.05), (0.4, -0.3), (0.22, -0.5),
        (-0.06, -0.62), (-0.3, -0.44), (-0.41, -0.25), (-0.44, 0.05), (-0.5, 0.3), (-0.56, -0.05), (-0.54, -0.5),
        (-0.32, -0.8),
      ]  # fmt: skip
    else:
      fringe = [
        (0, -0.84), (0.34, -0.74), (0.5, -0.46), (0.47, -0.14), (0.41, -0.24), (0.35, -0.46), (0.12, -0.56),
        (-0.16, -0.52), (-0.35, -0.42), (-0.41, -0.24), (-0.47, -0.14), (-0.5, -0.46), (-0.34, -0.76),
      ]  # fmt: skip
    self._soft(layer, lambda d: d.polygon(self._shape([(x, y + 0.04) for x, y in fringe]), fill=255), dark, 0.55, 0.03)
    draw = ImageDraw.Draw(layer)
    draw.polygon(self._shape(fringe), fill=(*hair, 255))
    locks = Image.new('RGBA', layer.size)
    draw = ImageDraw.Draw(locks)
    for k, x in enumerate(np.linspace(-0.36, 0.36, 9)):
      tone = _mixed(hair, (255, 236, 200), 0.22) if k % 2 else _scaled(hair, 0.72)
      self._stroke(draw, [(x * 0.45, -0.84), (x * 1.02, -0.72), (x * 1.24, -0.52)], 0.02, (*tone, 120))
    locks.putalpha(ImageChops.darker(locks.getchannel('A'), layer.getchannel('A')))
    layer.alpha_composite(locks)
    return layer

  # Animated features

  def _eyes(self, head, time: float, blink: float, stress: float) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(head)
    skin, hair, mood = self.character.skin, self.character.hair, self.mood
    gaze = 0.016 * math.sin(0.9 * time + self.phase[1])
    upper = 0.052 * mood.lids * (1 - blink) + 0.001
    lower = 0.036 * (1 - 0.6 * mood.squint) * (1 - 0.5 * blink)
    for side in (-1, 1):
      x, y = side * 0.185, -0.11
      slant = 0.25 * (mood.brow[0] - mood.brow[1])  # the lid follows the brow
      inner, outer = x - side * 0.088, x + side * 0.09
      eye = [
        (inner, y + 0.012),
        (x - side * 0.04, y - upper * 0.82 - slant),
        (x + side * 0.02, y - upper),
        (x + side * 0.062, y - upper * 0.62 + slant),
        (outer, y - 0.002),
        (x + side * 0.045, y + lower * 0.75),
        (x, y + lower),
        (x - side * 0.05, y + lower * 0.7),
      ]
      outline = self._shape(eye)
      if upper < 0.02:
        draw.polygon(outline, fill=(*_scaled(skin, 0.86), 255))
      else:
        ball = ImageDraw.Draw(self.scratch)
        ball.polygon(outline, fill=(246, 243, 240, 255))
        px, py = x + gaze, y - 0.004
        self._ellipse(ball, px, py, 0.044, 0.044, (*_scaled(self.character.iris, 0.6), 255))
        self._ellipse(ball, px, py, 0.037, 0.037, (*self.character.iris, 255))
        self._ellipse(ball, px, py, 0.019, 0.019, (14, 12, 14, 255))
        self._ellipse(ball, px + 0.014, py - 0.016, 0.0095, 0.0095, (255, 255, 255, 255))
        self._cut(head, outline)
        draw = ImageDraw.Draw(head)
      lash = _mixed(hair, (16, 10, 10), 0.75)
      self._stroke(draw, [eye[0], (x, y - upper * 1.08 - slant * 0.3), eye[4]], 0.026, (*lash, 255))
      self._stroke(draw, [eye[4], eye[6], eye[0]], 0.007, (*_scaled(skin, 0.6), 255))
      crease = y - upper - 0.026
      self._stroke(
        draw,
        [(inner + side * 0.01, crease + 0.024), (x, crease - slant * 0.3), (outer, crease + 0.03)],
        0.008,
        (*_scaled(skin, 0.62), 255),
      )
      lift = 0.02 * stress * mood.sway
      raise_in, raise_out = mood.brow[0] + lift, mood.brow[1] + lift
      by = -0.225
      brow = [
        (x - side * 0.115, by + 0.014 - raise_in),
        (x + side * 0.02, by - 0.022 - (raise_in + raise_out) * 0.55),
        (x + side * 0.125, by + 0.012 - raise_out),
      ]
      self._stroke(draw, brow, 0.042, (*_mixed(hair, (30, 20, 18), 0.35), 255))
    if mood.brow[0] < -0.03:  # frown lines
      for side in (-1, 1):
        self._stroke(
          draw, [(side * 0.03, -0.25), (side * 0.024, -0.2), (side * 0.028, -0.16)], 0.012, (*_scaled(skin, 0.55), 255)
        )

  def _mouth(self, head, opening: float, rounding: float) -> None:
    from PIL import ImageDraw

    skin, smile, full = self.character.skin, self.mood.smile, self.character.full_lips
    lip = _mixed(skin, (176, 58, 62), 0.55)
    wide = 0.168 * (1 - 0.34 * max(rounding, 0) + 0.1 * max(-rounding, 0)) * (1 + 1.2 * max(smile, 0))
    drop, lift = 0.15 * opening, 0.025 * opening
    y, corner = 0.335, 0.335 - smile + 0.03 * opening
    up, down = 0.036 * full * (1 + 0.3 * max(rounding, 0)), 0.05 * full * (1 + 0.3 * max(rounding, 0))
    top, bottom = y - lift, y + drop  # inner edges of the lips at the middle
    edge = 0.92 * wide

    def along(share: float, height: float, depth: float) -> tuple[float, float]:
      return share * wide, height + (corner - height) * depth

    outer = [
      along(-1, corner, 1),
      along(-0.6, top - up * 0.8, 0.3),
      along(-0.2, top - up * 1.12, 0.02),
      along(0, top - up * 0.9, 0),
      along(0.2, top - up * 1.12, 0.02),
      along(0.6, top - up * 0.8, 0.3),
      along(1, corner, 1),
      along(0.62, bottom + down * 0.75, 0.3),
      along(0, bottom + down, 0),
      along(-0.62, bottom + down * 0.75, 0.3),
    ]
    inner = [
      (-edge, corner),
      along(-0.5, top + 0.002, 0.24),
      along(0, top, 0),
      along(0.5, top + 0.002, 0.24),
      (edge, corner),
      along(0.52, bottom, 0.26),
      along(0, bottom, 0),
      along(-0.52, bottom, 0.26),
    ]
    draw = ImageDraw.Draw(head)
    draw.polygon(self._shape(outer), fill=(*lip, 255))
    upper = [
      *outer[:7],
      (edge * 0.5, corner * 0.3 + top * 0.7 + 0.004),
      (0, top + 0.004),
      (-edge * 0.5, corner * 0.3 + top * 0.7 + 0.004),
    ]
    draw.polygon(self._shape(upper), fill=(*_scaled(lip, 0.82), 255))
    self._stroke(
      draw,
      [(-0.3 * wide, bottom + down * 0.42), (0, bottom + down * 0.55), (0.3 * wide, bottom + down * 0.42)],
      0.016,
      (*_mixed(lip, (255, 220, 210), 0.4), 255),
    )
    if bottom - top > 0.012:
      outline = self._shape(inner)
      hole = ImageDraw.Draw(self.scratch)
      hole.polygon(outline, fill=(58, 14, 18, 255))
      self._ellipse(hole, 0, bottom + 0.03, wide * 0.6, 0.035 + drop * 0.45, (168, 70, 74, 255))
      self._ellipse(hole, 0, top - 0.012, wide * 0.78, 0.03 + 0.1 * drop, (240, 234, 226, 255))
      self._cut(head, outline)
    else:
      self._stroke(draw, [(-edge, corner), (0, (top + bottom) / 2), (edge, corner)], 0.014, (*_scaled(lip, 0.45), 255))
    for side in (-1, 1):
      x = side * wide
      dimple = [(x * 0.97, corner - 0.014), (x * 1.03, corner), (x, corner + 0.014)]
      self._stroke(ImageDraw.Draw(head), dimple, 0.012, (*_scaled(skin, 0.52), 255))

  def _cut(self, head, outline) -> None:
    """Copies the scratch layer within the outline."""
    from PIL import Image, ImageDraw

    xs, ys = zip(*outline, strict=True)
    left, top = int(min(xs)), int(min(ys))
    box = (left, top, int(max(xs)) + 2, int(max(ys)) + 2)
    mask = Image.new('L', (box[2] - left, box[3] - top))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=255)
    head.paste(self.scratch.crop(box), (left, top), mask)


def _scaled(color, factor: float) -> tuple[int, int, int]:
  return tuple(int(min(255, c * factor)) for c in color)


def _mixed(color, other, share: float) -> tuple[int, int, int]:
  return tuple(int(a * (1 - share) + b * share) for a, b in zip(color, other, strict=True))
