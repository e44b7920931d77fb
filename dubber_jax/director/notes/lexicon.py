"""Lexicon of stage directions and notes, in English and Chinese: cues, controls, degrees, particles, numbers, units.

Each entry is a regular expression for each language. `notes/parser.py` puts the words of a clause together.
"""

import math
from dataclasses import dataclass

from dubber_jax.director.limits import LIMITS, RATIOS

STEPS = {
  'loudness': 4.0,
  'pitch_shift': 2.0,
  'pitch_range': math.log(1.2),
  'pace': math.log(1.15),
  'intensity': 0.15,
  'tremor': 0.3,
  'breathiness': 0.3,
}  # additive change of a control by a word without an amount


@dataclass(frozen=True)
class Cue:
  """Changes of a direction by one word: ratios for pace and pitch_range, differences for the rest.

  `about`: the control that the word names. Its other changes are implied: a request that names a control overrides an
  implied change of it.
  """

  en: str  # a regular expression, matched from the start of a word to the word's end
  zh: str
  about: str = ''
  emotion: str = ''  # one of EMOTIONS, or several with spaces between
  intensity: float = 0.0
  pace: float = 1.0
  pitch_shift: float = 0.0
  pitch_range: float = 1.0
  loudness: float = 0.0
  breathiness: float = 0.0
  tremor: float = 0.0
  pauses: float = 0.0  # s, where the line has marks of punctuation
  held_back: bool = False  # not louder than plain speech

  @property
  def steps(self) -> dict[str, float]:
    """Its nonzero changes by control; ratios as logarithms."""
    steps = {name: math.log(getattr(self, name)) if name in RATIOS else getattr(self, name) for name in LIMITS}
    return {name: step for name, step in steps.items() if step}


CUES = (
  Cue(r'ang(?:ry|rily|er|rier)\b|furious|fury|rag(?:e|ing)\b|enrage|irritat|annoy|bitter(?!sweet)|irate|wrath|hostil'
      r'|outrage|resent|frustrat|impatien|stern|harsh|sharply|snaps\b|snapping|barks?\b|barking|hiss',
      '严厉|厉声|呵斥|不耐烦|愤怒|生气|怒气|怒火|恼怒|恼火|愤恨|气愤|发火|大怒|不满|怒', 'emotion', 'angry'),
  Cue('disgust|revolt|repuls|contempt|sneer|scorn', '厌恶|恶心|嫌弃|反感|鄙视|轻蔑|不屑|冷笑', 'emotion', 'disgust'),
  Cue('afraid|fear(?!less)|scare|terrif|terror|fright|panic|nervous|anxi|worr(?:y|ied)|dread',
      '恐惧|害怕|惊恐|恐慌|紧张|焦虑|担心|不安|惧怕|胆怯', 'emotion', 'fear'),
  Cue('happ(?:y|ily|ier|iness)|joy|cheer|delight|laugh|smil|excited|glee|amuse|grin|playful|chuckl|giggl|eager|enthusias',
      '高兴|开心|快乐|喜悦|愉快|欢快|兴奋|微笑|含笑|带笑|带着笑|笑着|笑意|笑|欣喜|俏皮', 'emotion', 'happy'),
  Cue('calm|neutral|matter.of.fact|composed|plain(?:ly)?\\b|plain speech|dispassionate',
      '平静|冷静|镇定|淡定|不动声色', 'emotion', 'neutral', intensity=-0.1),
  Cue('sad|sorrow|grie[fv]|mourn|heartbroken|melanchol|wistful|despair|downcast|regret|remorse|guilt|asham|lonel|hurt'
      '|pained|resigned|hopeless',
      '悲伤|伤心|难过|哀伤|忧伤|悲痛|沉痛|悲哀|心碎|低落|失落|绝望|愧疚|内疚|羞愧|孤独|痛苦|苦涩|无奈|悲', 'emotion',
      'sad'),
  Cue('tearful|cry(?:ing)?\\b|sobb?(?:ing|s)?\\b|weep|in tears|tears|lump in (?:the|your|her|his) throat',
      '哭泣|哭腔|抽泣|流泪|含泪|哭|泪', 'emotion', 'sad', tremor=0.4),
  Cue('desperat|plead|beg(?:ging)?\\b|implor', '哀求|恳求|乞求|走投无路', 'emotion', 'sad fear'),
  Cue('threaten|menac|ic(?:y|ily)\\b|cold(?:er|ly)?\\b|ominous', '威胁|冷冷|冰冷|阴沉|阴森', 'emotion', 'angry',
      pitch_shift=-1, pitch_range=0.8),
  Cue('reliev|relief|hopeful|proud', '松了一口气|如释重负|满怀希望|自豪|骄傲', 'emotion', 'happy'),
  Cue('mock|derisive|snide', '嘲讽|讽刺|讥讽|嘲弄', 'emotion', 'disgust', pitch_range=1.15),
  Cue('surpris|shock|astonish|amaze|startl|stunned|incredul|disbelie|confus|puzzl|baffl',
      '惊讶|吃惊|震惊|意外|惊奇|诧异|难以置信|困惑|疑惑|不解',
      'emotion', 'surprise'),
  Cue('mixed feelings|ambivalen|conflicted|complicated', '复杂的?情绪|五味杂陈|矛盾|复杂', 'emotion', 'others'),
  Cue('bittersweet', '苦笑|强颜欢笑|苦乐参半', 'emotion', 'sad happy'),
  Cue('(?:under|below) (?:his|her|their|your|the) breath|whisper|hushed|sotto voce', '耳语|悄声|低语|说悄悄话|悄悄',
      'loudness', loudness=-8, breathiness=0.8, pitch_range=0.8, pitch_shift=-1),
  Cue('quiet|soft|gentl|mutter|murmur|mumbl|low(?:er)? (?:your |the |his |her )?voice|keep (?:it|your voice) down|faint'
      '|hush|less volume|to (?:him|her|them|your)sel(?:f|ves)\\b|aside', '小声|轻声|轻柔|轻轻|低声|放轻|很轻|轻|小点声'
      '|安静|压低(?:声音|嗓音|嗓门)|自言自语|放低(?:声音|嗓音)|柔和', 'loudness', loudness=-4),
  Cue('shout|yell|scream|roar|bellow|at the top of', '大喊|喊叫|呼喊|怒吼|吼|咆哮|喊|嚷', 'loudness', intensity=0.3,
      loudness=6, pitch_shift=2),
  Cue('loud|rais(?:e|ing) (?:your |the |his |her )?voice|speak up|project|booming|call(?:s|ing)? (?:out|across|after)'
      '|full voice', '大声|高声|洪亮|响亮|提高(?:声音|嗓音|嗓门)|放大声音|放声|响', 'loudness', loudness=4),
  Cue('held.back|hold(?:ing|s)? (?:it |this |that |yourself )?(?:back|in\\b)|restrain|controlled?\\b|suppress'
      '|swallow(?:ed|ing)|bottled|contained?|simmer|(?:gritted|clenched) teeth|reined?.in|pent.up',
      '压住|压抑|压着|克制|隐忍|忍住|强忍|忍着|憋着|按捺|收着|收住|抑制|咬牙',
      intensity=-0.15, pace=0.92, pitch_range=0.85, held_back=True),
  Cue('tight|clipped|tense|narrow', '收紧|紧绷|绷紧|绷着', 'pitch_range', pitch_range=0.85),
  Cue('slow(?:s|ing)?(?: \\w+)?(?: \\w+)? down\\b', '慢下来', 'pace', pace=0.86),
  Cue("slow|deliberate(?:ly)?\\b|drawl|draw(?:s|n)? (?:it )?out|unhurried|tak(?:e|ing) (?:your|more|its) time|leisure"
      '|linger|drag', '放慢|减慢|缓慢|慢慢|慢|缓缓|放缓|从容|拖长|拖', 'pace', pace=0.86),
  Cue('fast|quick|hurr(?:y|ied)|rush|urgen|rapid|brisk|snapp|speed(?: it| this)? up|pick (?:up the pace|it up)|swift',
      '加快|加速|快速|赶快|快|急促|急切|赶|急', 'pace', pace=1.15),
  Cue('(?:breathless|out of breath|panting|gasp)', '喘不过气|气喘|喘息|喘着气|上气不接下气', 'breathiness',
      breathiness=0.5, pauses=0.1),
  Cue('breathy|breathier|breathiness|airy|husky|more breath\\b|breath in (?:the|your) voice', '气声|气音|虚声',
      'breathiness', breathiness=0.4),
  Cue('clear(?:er|ly)?\\b', '清晰|清亮', 'breathiness', breathiness=-0.3),
  Cue('trembl|shak(?:y|ing|es|ier)|quaver|quiver|wobbl|unstead|chok|tremor|crack(?:s|ing)?\\b|waver',
      '颤抖|发颤|颤音|颤|发抖|抖动|哽咽|抖', 'tremor', tremor=0.5),
  Cue('steady|steadier', '平稳有力|稳住|沉稳', 'tremor', tremor=-0.5),
  Cue('flat|monoton|deadpan|dry(?:ly)?\\b|drily|sarcas|ironic|inexpressive|bored|indifferent',
      '平一点|平一些|无聊|冷漠|漠然|平淡|平板|单调|平直|平(?=$|的|些|一)|面无表情|冷淡', 'pitch_range',
      pitch_range=0.7),
  Cue('live(?:ly|lier)|animated|expressive|sing.song|melod|varied|vivid|more life|wider|colou?rful',
      '起伏|活泼|生动|抑扬顿挫|有变化|绘声绘色', 'pitch_range', pitch_range=1.25),
  Cue('shrill|squeak|high.pitched|bright(?:er|ly)?\\b', '尖声|尖锐|尖细|尖|高亢|明亮', 'pitch_shift', pitch_shift=2),
  Cue('deep(?:er)?\\b|dark(?:er|ly)?\\b|low.pitched|growl|gravel', '低沉|浑厚|深沉', 'pitch_shift', pitch_shift=-2),
  Cue('tired|exhaust|weak|weary|dying|sleepy|drunk|drained|limp', '疲惫|疲倦|虚弱|无力|困倦|有气无力', pace=0.88,
      loudness=-3, breathiness=0.3, pitch_range=0.85),
  Cue('hesita|halting|unsure|uncertain|falter|stumbl', '犹豫|迟疑|吞吞吐吐|不确定', pace=0.95, pauses=0.2),
  Cue('tender|warm|loving|affection', '温柔|温暖|深情', loudness=-2, pace=0.95, breathiness=0.15),
  Cue('confident|assertive|commanding|authorit|firm', '自信|坚定|威严|命令', loudness=2, tremor=-0.3, intensity=0.05),
  Cue('sigh', '叹气|叹息|叹着气', loudness=-2, pace=0.95, breathiness=0.3),
  Cue('shy|timid|meek|embarrass|awkward|sheepish', '尴尬|羞怯|害羞|怯生生', loudness=-3, pace=0.95, pitch_range=0.9),
  Cue('solemn|serious|grave(?:ly)?\\b', '严肃|庄重|郑重', pace=0.92, pitch_range=0.9, pitch_shift=-0.5),
  Cue('intens|strong|emotional|passion|forceful|powerful|energetic|vehement|violent|big(?:ger)?\\b|over the top',
      '强烈|激烈|激动|有力|用力|投入|夸张|激昂', 'intensity', intensity=0.15),
  Cue('subtl|underplay|understat|mild|tone it down|dial it (?:back|down)|play it down|cool(?:er)?\\b|smaller',
      '收一点|收一收|收着点|内敛|含蓄|收敛|淡然|克制一点|淡', 'intensity', intensity=-0.15),
)  # fmt: skip

# Controls by name, for "lower the volume", "pace 0.9" and the like.
NOUNS = {
  'loudness': ('volume|loudness|level', '音量|响度'),
  'voice': ('voice', '声音|嗓音|嗓门|嗓子|声'),  # "raise the voice" means loudness
  'pitch_shift': ('pitch|register|key\\b', '音调|音高|声调'),
  'pitch_range': ('(?:pitch )?range|intonation|melody|inflection|pitch variation|variation', '语调|音域|语气'),
  'pace': ('pace|speed|tempo|rate\\b|delivery', '语速|速度|节奏'),
  'intensity': ('intensity|energy|emotion\\b|feeling\\b|drama', '强度|情绪|感情|力度|能量'),
  'tremor': ('tremor', '颤抖度'),
  'breathiness': ('breathiness', '气声度'),
}
MOVES = {  # (sign, the control where none is named)
  (1, 'pitch_shift'): ('higher|high\\b', '升高|拔高|高'),
  (-1, 'pitch_shift'): ('lower|low\\b', '压低|降低|低'),
  (1, 'intensity'): (
    'up|raise|raising|increase|boost|lift|heighten|turn up|bring up|take up|add\\b',
    '提高|提升|上去|增加|增大|加大|加强|增强|调高|大|升|加|强|上调',
  ),
  (-1, 'intensity'): (
    'down|reduce|drop|decrease|cut|pull back|lessen|turn down',
    '减小|减弱|减少|调低|小|弱|降|减|下调',
  ),
}
DEGREES = {
  0.3: (
    'barely|a (?:tiny|wee|small) bit|a fraction|ever so slightly|a hair|a hint of|a trace of',
    '一点点|一丝丝|极轻微',
  ),
  0.5: (
    '(?:just |only )?(?:a (?:little|bit|touch|tad|shade|notch|dash)(?: bit)?(?: of)?|slight(?:ly)?|somewhat|some'
    '|a notch|lightly)',
    '略带|略微|略|稍微|稍稍|稍|轻微|微微|有一?点|一点儿?|一些|一丝|些许|点儿|带一?点|些|一下',
  ),
  0.8: ('almost|nearly|close to', '几乎|近乎|差不多|接近'),
  1.5: (
    'very|much|a lot|far\\b|really|way|deeply|considerabl[ey]|significantly|noticeably|clearly',
    '非常|很|十分|特别|得多|许多|很多|明显|更加|大幅|大大',
  ),
  1.8: (
    'extreme(?:ly)?|utter(?:ly)?|as (?=\\w+ as (?:you can|possible))|completely|totally',
    '极其|极度|极|尽量|尽可能|完全',
  ),
}
PARTICLES = {
  'not': ("(?:do|does|did|is|are|was|must|should|need|ca|wo)n'?t|not|cannot|never|no(?: longer)?\\b|without|stop"
          '|avoid|lose the|remove|skip|take out|instead of|rather than',
          '不要|不用|不必|不能|不可|不|别|没有?|毫无|勿|去掉|取消'),
  'only': ('not only|not just', '不仅|不只|不但'),
  'too': ('too|overly|excessively', '太|过于|过分|过'),
  'enough': ('enough', '足够'),
  'lacking': ('lacks?|needs? (?:more|to be)', '不够|不足|欠'),
  'less': ('less|fewer|ease off(?: on)?|go easy on', '少些|少一点|少|减轻|减'),
  'more': ('more|even\\b|still\\b|further', '更多|多些|多一点|多|更|再|还要'),
  'keep': ('keep(?:s|ing)?|stay(?:s|ing)?|remain(?:s|ing)?|hold(?:s|ing)? the', '保持|维持|依然|仍然|仍旧|仍|始终'),
  'normal': ('normal(?:ly)?|usual|natural(?:ly)?|regular|default|even and natural|even\\b(?! \\w+er)|neutral'
             '(?= (?:pace|pitch|volume|level|voice|range))', '正常|平时|平稳自然|自然|原来的?|默认'),
  'same': ('(?:the )?same(?: again)?|as before|unchanged|as (?:it )?is\\b|leave', '不变|照旧|照原样|同上|一样'),
  'reset': ('back to (?:neutral|normal|plain|zero|the script|the start)|as written|as (?:in )?the script'
            '|start (?:over|again)|from scratch|reset|forget (?:that|it|all|everything)|play it straight'
            '|speak normally', '回到(?:中性|正常|平静|原样|开始)'
            '|恢复(?:中性|正常|平静|原样)|照剧本|按剧本|正常说话?|重来|从头来|中性|复位|重置'),
  'pause': ('paus(?:e|es|ing)\\b|(?:a )?beat\\b|break\\b', '停顿|稍停|停一停|停一下|停|顿一下|顿'),
  'breath': ('(?:(?:as if |as )?(?:for|to take|taking|take|takes) (?:a )?)?breath(?:e|s|es|ing)?\\b',
             '换气处?|气口|喘口气|吸气|呼吸'),
  'marks': ('commas?\\b|punctuation|marks?\\b|phrases?\\b', '逗号|标点|句读|句中'),
  'short': ('small|short|shorter|brief(?:ly|er)?|tiny|little', '短|短暂|片刻|小小'),
  'long': ('long|longer|lengthy', '长'),
  'stress': ('lean(?:s|ing)?(?: harder| more)? (?:in)?(?:to|on)|stress(?:es)?\\b|emphasi[sz]e?|emphasis|accent|punch'
             '|weight on|highlight|underline|land on|hit(?= ["\ue000]| the word)',
             '重读|强调|重音|加重|说重一?点?|念重一?点?|突出|咬重|咬住'),
  'after': ('after|following', '之后|以后|后面|后'),
  'before': ('before|ahead of', '再说|之前|以前|前面|前'),
}  # fmt: skip

NUMBERS = {'a': 1, 'an': 1, 'one': 1, 'two': 2, 'three': 3, 'four': 4, 'five': 5, 'six': 6, 'seven': 7, 'eight': 8,
           'nine': 9, 'ten': 10, 'twelve': 12, 'fifteen': 15, 'twenty': 20, 'thirty': 30, 'fifty': 50, 'half': 0.5,
           'a couple of': 2, 'a few': 3, 'a quarter of': 0.25, 'half a': 0.5, 'half an': 0.5}  # fmt: skip
DIGITS = {'零': 0, '一': 1, '二': 2, '两': 2, '三': 3, '四': 4, '五': 5, '六': 6, '七': 7, '八': 8, '九': 9, '半': 0.5}
UNITS = (  # pattern, control or kind of amount, factor to its unit
  ('db|decibels?|分贝', 'loudness', 1.0),
  ('semi-?tones?|half.?steps?|半音', 'pitch_shift', 1.0),
  ('octaves?|八度', 'pitch_shift', 12.0),
  ('seconds?|secs?|s|秒钟?', 'pauses', 1.0),
  ('milliseconds?|ms|毫秒', 'pauses', 0.001),
  ('%|percent|per cent', 'percent', 0.01),
  ('成', 'percent', 0.1),
  ('times(?: as)?|x|倍速?', 'times', 1.0),
)
FIXED = (  # amounts without a number
  ('half (?:as|the|speed|pace)|at half|减半|一半', 'times', 0.5),
  ('twice(?: as| the)?|double|一倍|加倍', 'times', 2.0),
)
# Traditional characters of the lexicon, to simplified ones.
SIMPLIFIED = str.maketrans(
  '聲顫氣壓調語緊輕響強換處頓讀減點憤煩惱懼慮擔開樂興歡悅靜鎮淚傷'
  '難驚訝複雜緒穩喚隱著緩從趕猶遲溫熱動誇張斂節變過於幾極還為後個來',
  '声颤气压调语紧轻响强换处顿读减点愤烦恼惧虑担开乐兴欢悦静镇泪伤'
  '难惊讶复杂绪稳唤隐着缓从赶犹迟温热动夸张敛节变过于几极还为后个来',
)
