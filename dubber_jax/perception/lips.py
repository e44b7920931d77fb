"""Lip landmark tracking of the speaking face through a clip.

Faces are detected by an OpenCV Haar cascade on key frames, verified by a face-landmark network (MediaPipe's 468-point
mesh, Kartynnik et al. 2019, arXiv 1907.06724, Apache-2.0; only its weights are used, through LiteRT), and tracked from
frame to frame by their own landmarks. Lip coordinates are normalized for position, scale and roll of the head: relative
to the mouth's center, rotated upright, in eye distances.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dubber_jax.errors import BadInput
from dubber_jax.perception.extractors import import_or_explain, package_file
from dubber_jax.types import MouthTrack

PURPOSE = 'lip tracking'

# Indices into the 468-point mesh. Each lip contour runs from the left corner (of the picture) along the lower
# lip to the right corner and back along the upper lip.
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIPS = OUTER_LIPS + INNER_LIPS
UPPER_INNER, LOWER_INNER = (82, 13, 312), (87, 14, 317)
LEFT_EYE, RIGHT_EYE = (33, 133), (263, 362)  # left and right in the picture
LEFT_CORNER, RIGHT_CORNER = 61, 291

CROP = 192  # pixels, input side of the network
MARGIN = 1.5  # side of the crop over that of the face, as in the network's training
KEY_FRAMES = 12  # frames between face detections
SEARCH_SIDE = 480  # longer side in pixels of the image for face detection
MIN_FACE_SHARE = 0.1  # smallest detected face, as a share of the image's shorter side
MAX_FACES = 4
MIN_CONFIDENCE = 0.5  # face probability of the landmark network
MAX_YAW = 50.0  # degrees of yaw above which the mouth is not tracked
MAX_GAP = 3  # frames without a face that are interpolated
BOX_SMOOTHING = 1.5  # frames: standard deviation of the Gaussian that smooths the crop


class LandmarkTracker:
  """The offline backend of `MouthTracker`."""

  name = 'facemesh'
  version = '0.10.21'
  width = 82

  def track(self, frames: np.ndarray, face: int | None = None) -> MouthTrack:
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
      raise BadInput(f'the lips need frames of shape (L, H, W, 3), not {frames.shape}')
    paths = _track_faces(frames)
    if face is not None and not 0 <= face < max(len(paths), 1):
      raise BadInput(f'face {face} was asked for, but {len(paths)} were seen: count from 0, left to right')
    if not paths:
      return _no_mouth(frames)
    tracks = [_mouth(frames, path) for path in paths]
    moves = [np.std(opening[seen]) * seen.mean() if seen.any() else 0.0 for _, opening, seen, _ in tracks]
    chosen = int(np.argmax(moves)) if face is None else face
    lips, opening, present, boxes = tracks[chosen]
    return MouthTrack(
      lips=lips,
      opening=opening,
      present=present,
      boxes=boxes,
      face=chosen,
      faces=len(paths),
      warnings=_warnings(present, len(paths), chosen, face),
    )


def track_mouth(frames: np.ndarray, face: int | None = None) -> MouthTrack:
  """frames (L, H, W, 3) uint8 upright RGB at 25 Hz -> lip landmarks of one face.

  Of several faces the one whose mouth moves most, or number `face`, left to right from 0. Without a usable face
  `present` is false in every frame, with a warning. Raises BadInput for a `face` that does not exist.
  """
  return LandmarkTracker().track(frames, face)


def landmarks(frame: np.ndarray, crop: 'Crop') -> tuple[np.ndarray, float]:
  """A frame (H, W, 3) and a crop of it -> (468, 3) landmarks in pixels of the frame, face probability."""
  cv2 = import_or_explain('cv2', PURPOSE)
  turn_23 = crop.to_network()
  picture = cv2.warpAffine(frame, turn_23, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
  points, logit = _network()(picture)
  back_23 = cv2.invertAffineTransform(turn_23)
  scale = crop.side / CROP
  placed = np.concatenate([points[:, :2] @ back_23[:, :2].T + back_23[:, 2], points[:, 2:] * scale], axis=1)
  return placed.astype(np.float32), float(1 / (1 + np.exp(-logit)))


@dataclass(frozen=True)
class Crop:
  """A square crop, rotated so that the eyes are level: center, side in pixels, angle in radians."""

  x: float
  y: float
  side: float
  angle: float = 0.0

  @classmethod
  def around(cls, points: np.ndarray) -> 'Crop':
    """The crop in which the network expects a face with (468, 3) landmarks `points`."""
    across = points[list(RIGHT_EYE), :2].mean(0) - points[list(LEFT_EYE), :2].mean(0)
    angle = float(np.arctan2(across[1], across[0]))
    upright = points[:, :2] @ _rotation(angle)  # rows turned by -angle
    low, high = upright.min(0), upright.max(0)
    x, y = _rotation(angle) @ ((low + high) / 2)
    return cls(float(x), float(y), float((high - low).max() * MARGIN), angle)

  def to_network(self) -> np.ndarray:
    """(2, 3) affine matrix from the frame's pixels to the network's."""
    turn = _rotation(-self.angle) * (CROP / self.side)
    return np.column_stack([turn, CROP / 2 - turn @ (self.x, self.y)]).astype(np.float32)


def _rotation(angle):
  return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


# ---- Face detection and tracking ----


def _track_faces(frames):
  """-> for each face, left to right, its crop in every frame (None where it was not detected)."""
  keys = list(range(0, len(frames), KEY_FRAMES))
  if keys[-1] != len(frames) - 1 and len(frames) - 1 - keys[-1] > KEY_FRAMES // 2:
    keys.append(len(frames) - 1)
  lanes = []  # of each face: {key frame: crop}
  for key in keys:
    _assign_to_lanes(lanes, key, _find_faces(frames[key]))
  often = max(1, round(0.15 * len(keys)))
  lanes = [lane for lane in lanes if len(lane) >= often]
  lanes = sorted(lanes, key=lambda lane: -len(lane) * np.mean([c.side for c in lane.values()]))[:MAX_FACES]
  lanes.sort(key=lambda lane: np.mean([crop.x for crop in lane.values()]))
  return [_track_crop(frames, lane) for lane in lanes]


def _find_faces(frame):
  """Detects the faces of one frame -> crops, each verified by the landmark network."""
  crops = []
  for x, y, side in _haar(frame, 'frontalface_alt2') or _haar(frame, 'frontalface_alt2', equalize=True):
    crop, confidence = Crop(x, y, side * MARGIN), 0.0
    for _ in range(2):  # the second pass uses the crop around the first landmarks
      points, confidence = landmarks(frame, crop)
      if confidence < MIN_CONFIDENCE:
        break
      crop = Crop.around(points)
    if confidence >= MIN_CONFIDENCE and all(_is_distinct(crop, other) for other in crops):
      crops.append(crop)
  return crops


def _haar(frame, cascade, equalize=False):
  """Haar cascade detection -> (x, y, side) of each face: center and side in pixels."""
  cv2 = import_or_explain('cv2', PURPOSE)
  gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
  scale = min(1.0, SEARCH_SIDE / max(gray.shape))
  if scale < 1:
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
  if equalize:
    gray = cv2.equalizeHist(gray)
  least = max(24, int(MIN_FACE_SHARE * min(gray.shape)))
  found = _cascade(cascade).detectMultiScale(gray, 1.2, 4, minSize=(least, least))
  return [((x + w / 2) / scale, (y + h / 2) / scale, w / scale) for x, y, w, h in found]


def _is_distinct(one, other):
  return np.hypot(one.x - other.x, one.y - other.y) > 0.35 * max(one.side, other.side)


def _assign_to_lanes(lanes, key, crops):
  """Assigns each face of a key frame to the nearest lane; after a cut, remaining faces go to free lanes."""
  free = list(range(len(lanes)))
  left = []
  for crop in sorted(crops, key=lambda c: -c.side):
    last = [(np.hypot(crop.x - c.x, crop.y - c.y), i) for i in free for c in [lanes[i][max(lanes[i])]]]
    distance, lane = min(last, default=(np.inf, -1))
    if distance < crop.side * 0.7:
      free.remove(lane)
      lanes[lane][key] = crop
    else:
      left.append((distance, lane, crop))
  for _, lane, crop in sorted(left, key=lambda item: item[0]):
    if lane in free:
      free.remove(lane)
      lanes[lane][key] = crop
    else:
      lanes.append({key: crop})


def _track_crop(frames, lane):
  """Crops of key frames -> crop in every frame, by the landmarks of the frame before."""
  crops = [None] * len(frames)
  onward = range(len(frames))
  for order in (onward, onward[::-1]):  # the backward pass fills frames before the first detection
    crop = None
    for t in order:
      if crops[t] is not None:
        crop = crops[t]
        continue
      crop = lane.get(t, crop)
      if crop is None:
        continue
      points, confidence = landmarks(frames[t], crop)
      if confidence < MIN_CONFIDENCE and t in lane:
        points, confidence = landmarks(frames[t], lane[t])
      crop = Crop.around(points) if confidence >= MIN_CONFIDENCE else None
      crops[t] = crop
  return crops


# ---- Lip landmarks ----


def _mouth(frames, crops):
  """-> lips (L, 82), opening (L,), present (L,), boxes (L, 4)."""
  length = len(frames)
  lips = np.zeros((length, 82), np.float32)
  boxes = np.zeros((length, 4), np.float32)
  present = np.zeros(length, bool)
  for t, crop in enumerate(_smooth_crops(crops)):
    if crop is None:
      continue
    points, confidence = landmarks(frames[t], crop)
    if confidence < MIN_CONFIDENCE or abs(yaw(points)) > MAX_YAW:
      continue
    present[t] = True
    lips[t] = lip_features(points)
    boxes[t, :2], boxes[t, 2:] = points[:, :2].min(0), points[:, :2].max(0)
  for values in (lips, boxes):
    _interpolate_gaps(values, present)
  present = _fill_gaps(present)
  return lips, lips[:, 80].copy(), present, boxes


def yaw(points: np.ndarray) -> float:
  """(468, 3) landmarks -> yaw of the head in degrees; 0 is frontal."""
  across = points[RIGHT_EYE[0]] - points[LEFT_EYE[0]]
  return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def lip_features(points: np.ndarray) -> np.ndarray:
  """(468, 3) landmarks -> (82,): x, y of 40 lip points from the mouth's center, opening, width; in eye distances."""
  across = points[list(RIGHT_EYE)].mean(0) - points[list(LEFT_EYE)].mean(0)
  unit = float(np.linalg.norm(across)) + 1e-6  # in 3D: invariant to yaw
  upright = points[:, :2] @ _rotation(np.arctan2(across[1], across[0])) / unit
  mouth = upright[list(LIPS)]
  gap = upright[list(LOWER_INNER), 1] - upright[list(UPPER_INNER), 1]
  width = np.linalg.norm(upright[RIGHT_CORNER] - upright[LEFT_CORNER])
  centered = mouth - mouth.mean(0)
  return np.concatenate([centered.ravel(), [max(float(gap.mean()), 0.0), width]]).astype(np.float32)


def _smooth_crops(crops):
  """Smooths a face's crops over time within each run of detections: jitter would look like lip motion."""
  from scipy.ndimage import gaussian_filter1d

  steady = list(crops)
  for start, end in _runs([crop is not None for crop in crops]):
    rows = np.array([(c.x, c.y, c.side, np.cos(c.angle), np.sin(c.angle)) for c in crops[start:end]])
    cuts = [0, *(np.nonzero(np.hypot(*np.diff(rows[:, :2], axis=0).T) > 0.25 * rows[1:, 2])[0] + 1), len(rows)]
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
      smooth = gaussian_filter1d(rows[a:b], BOX_SMOOTHING, axis=0, mode='nearest')
      for i, (x, y, side, cosine, sine) in enumerate(smooth):
        steady[start + a + i] = Crop(x, y, side, float(np.arctan2(sine, cosine)))
  return steady


def _runs(seen):
  """-> (start, end) of each run of True values."""
  edges = np.diff(np.concatenate([[0], np.asarray(seen, int), [0]]))
  return list(zip(np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0], strict=True))


def _fill_gaps(present):
  filled = present.copy()
  stretches = _runs(present)
  for (_, end), (start, _) in zip(stretches[:-1], stretches[1:], strict=True):
    if start - end <= MAX_GAP:
      filled[end:start] = True
  return filled


def _interpolate_gaps(values, present):
  """Interpolates the rows of short gaps linearly, in place."""
  for t in np.nonzero(_fill_gaps(present) & ~present)[0]:
    before, after = np.nonzero(present[:t])[0][-1], t + np.nonzero(present[t:])[0][0]
    weight = (t - before) / (after - before)
    values[t] = (1 - weight) * values[before] + weight * values[after]


# ---- Warnings ----


def _no_mouth(frames):
  length = len(frames)
  looks = frames[:: max(1, length // 4)]
  profiles = [bool(_haar(f, 'profileface') or _haar(f[:, ::-1], 'profileface')) for f in looks]
  seen = 'the face is turned away' if np.mean(profiles) >= 0.5 else 'no face was seen'
  return MouthTrack(
    lips=np.zeros((length, 82), np.float32),
    opening=np.zeros(length, np.float32),
    present=np.zeros(length, bool),
    boxes=np.zeros((length, 4), np.float32),
    faces=0,
    warnings=(f'{seen}: the line is dubbed without lips',),
  )


def _warnings(present, faces, chosen, asked):
  warnings = []
  if faces > 1 and asked is None:
    warnings.append(f'{faces} faces: took the one whose mouth moves most, number {chosen} from the left')
  hidden = 1 - present.mean()
  if hidden > 0.5:
    warnings.append(f'the mouth is hidden or turned away for {hidden:.0%} of the clip: dubbed without lips')
  elif hidden > 0.02:
    warnings.append(f'the mouth is hidden or turned away for {hidden:.0%} of the clip')
  return tuple(warnings)


# ---- Models ----


@lru_cache(maxsize=4)
def _cascade(name):
  cv2 = import_or_explain('cv2', PURPOSE)
  path = package_file('cv2', f'data/haarcascade_{name}.xml', PURPOSE)
  return cv2.CascadeClassifier(str(path))


@lru_cache(maxsize=1)
def _network():
  """-> a function of an image (192, 192, 3) uint8: landmarks (468, 3) in its pixels, face logit."""
  litert = import_or_explain('ai_edge_litert.interpreter', PURPOSE)
  path = package_file('mediapipe', 'modules/face_landmark/face_landmark.tflite', PURPOSE)
  interpreter = litert.Interpreter(str(path), num_threads=1)
  interpreter.allocate_tensors()
  into = interpreter.get_input_details()[0]['index']
  sizes = {int(np.prod(d['shape'])): d['index'] for d in interpreter.get_output_details()}

  def run(picture):
    interpreter.set_tensor(into, picture[None].astype(np.float32) / 255)
    interpreter.invoke()
    points = interpreter.get_tensor(sizes[468 * 3]).reshape(468, 3)
    return points, float(interpreter.get_tensor(sizes[1]).ravel()[0])

  return run
