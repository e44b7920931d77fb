"""Names of emotions, controls and their changes, in English and Chinese, that notes and warnings are written with."""

EMOTION_NAMES = {
  'angry': ('anger', '愤怒'),
  'disgust': ('disgust', '厌恶'),
  'fear': ('fear', '恐惧'),
  'happy': ('joy', '喜悦'),
  'neutral': ('plain speech', '平静'),
  'sad': ('sadness', '悲伤'),
  'surprise': ('surprise', '惊讶'),
  'others': ('mixed feelings', '复杂的情绪'),
}
CONTROL_NAMES = {
  'pace': 'pace',
  'pitch_shift': 'pitch',
  'pitch_range': 'pitch range',
  'loudness': 'loudness',
  'breathiness': 'breathiness',
  'tremor': 'tremor',
  'intensity': 'intensity',
}  # in warnings
UNIT_NAMES = {'loudness': 'dB', 'pitch_shift': 'semitones'}
# Smallest change that is described; names of less and more, in English and in Chinese with a place for 再 (still).
CHANGES = {
  'loudness': (0.5, ('softer', 'louder'), ('{}轻', '{}响')),
  'pitch_shift': (0.25, ('lower', 'higher'), ('音调{}低', '音调{}高')),
  'pace': (0.02, ('slower', 'faster'), ('{}慢', '{}快')),
  'pitch_range': (0.04, ('flatter', 'livelier'), ('语调{}平淡', '语调{}起伏')),
  'intensity': (0.04, ('less intense', 'more intense'), ('情绪{}收敛', '情绪{}强烈')),
  'breathiness': (0.05, ('less breathy', 'breathier'), ('气声{}减轻', '气声{}加强')),
  'tremor': (0.05, ('less tremor', 'more tremor'), ('颤抖{}减轻', '颤抖{}加强')),
}
