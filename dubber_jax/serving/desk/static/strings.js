// All texts of the page, in English and Chinese.

import { keep, kept } from './dom.js'

const TEXTS = {
  // The whole page
  title: ["Director's desk", '导演台'],
  language: ['中文', 'English'],
  switch_language: ['Switch to Chinese', '切换为英文'],
  theme: ['Theme: {0}', '主题：{0}'],
  theme_auto: ['system', '跟随系统'],
  theme_light: ['light', '浅色'],
  theme_dark: ['dark', '深色'],
  help: ['Keys', '快捷键'],
  close: ['Close', '关闭'],
  loading: ['Loading…', '正在载入…'],
  gone: ['The server does not answer. Trying again…', '服务器没有响应，正在重试…'],
  back: ['Connected again', '已重新连接'],
  gone_once: ['The server did not answer: nothing was changed here. Try again', '服务器没有响应，内容未改变，请重试'],
  failed: ['Error {0}', '错误 {0}'],
  changed_elsewhere: ['Changed in another window: read again. Your change was not made; do it again', '内容已在另一窗口更改，现已刷新；刚才的更改未生效，请再试一次'],
  read_again: ['Changed in another window: read again', '内容已在另一窗口更改，现已刷新'],
  token: ['Token of this server', '服务器令牌'],
  token_about: ['This server asks for its token. It is what was given to --token.', '此服务器需要令牌，即启动时 --token 的值。'],
  token_wrong: ['This is not the token', '令牌不正确'],
  enter: ['Enter', '进入'],

  // Projects
  projects: ['Projects', '项目'],
  no_projects: ['No projects yet. Dub a film below', '还没有项目，请在下方新建配音'],
  project_facts: ['{0} lines, {1} accepted', '{0} 句台词，已通过 {1} 句'],
  left_unfinished: ['left unfinished', '未完成'],
  go_on: ['Go on', '继续'],
  new_dub: ['New dub', '新建配音'],
  film: ['Film', '影片'],
  script: ['Script', '剧本'],
  voice: ['Voice', '音色'],
  background: ['Background', '背景声'],
  film_hint: ['mp4, mkv, mov, webm', 'mp4、mkv、mov 或 webm'],
  script_hint: ['srt, vtt, ass or fountain', 'srt、vtt、ass 或 fountain'],
  cast_hint: ['A voice for all characters; change it for each one at the desk', '所有角色先用同一音色，之后可在导演台逐一更换'],
  start_dub: ['Start', '开始'],
  uploading: ['Uploading {0} %', '正在上传 {0}%'],
  uploaded: ['Checking the files…', '正在检查文件…'],
  no_voices: ['This server has no voices: add one with POST /v1/voices', '服务器上没有音色，请用 POST /v1/voices 添加'],

  // Backgrounds
  background_separate: ["the film's, without its dialogue", '原声去除对白'],
  background_mute: ["the film's, silent in the lines", '台词处静音'],
  background_duck: ["the film's, lowered in the lines", '台词处压低'],
  background_none: ['none', '无'],
  background_file: ['a recording', '录音文件'],

  // Lines
  lines: ['Lines', '台词'],
  line_n: ['Line {0}', '第 {0} 句'],
  of: ['{0} of {1}', '{0} / {1}'],
  find: ['Find a line', '查找台词'],
  show_lines: ['Lines shown', '显示'],
  all: ['all', '全部'],
  open: ['not accepted', '未通过'],
  warned: ['with warnings', '有警告'],
  unfit: ['do not fit', '时长不合'],
  changed_lines: ['with several takes', '有多条录音'],
  nothing_found: ['No line is like this', '没有符合的台词'],
  accepted: ['accepted', '已通过'],
  accept: ['Accept', '通过'],
  warnings_n: ['{0} warnings', '{0} 条警告'],
  one_warning: ['1 warning', '1 条警告'],
  runs_on: ['runs on {0} s', '超出 {0} 秒'],
  rate: ['pace ×{0}', '语速 ×{0}'],
  hurried: ['hurried, ×{0}', '过快 ×{0}'],
  guided: ['guided by a recording', '按录音引导'],
  referenced: ['reference: {0}', '参考：{0}'],
  all_accepted: ['All lines are accepted', '所有台词均已通过'],

  // Player
  player: ['Film', '影片'],
  play: ['Play', '播放'],
  pause: ['Pause', '暂停'],
  position: ['Position in the film', '影片位置'],
  playing_take: ['Take {0}', '第 {0} 条'],
  playing_original: ["Film's own sound", '影片原声'],
  playing_film: ['Film with the takes', '影片配音'],
  film_sound: ["Film's sound in a line", '台词处的原声'],
  film_mute: ['muted', '静音'],
  film_low: ['lowered', '压低'],
  film_full: ['full', '原音量'],
  loop: ['Repeat', '循环'],
  no_film: ['The film cannot be shown here; takes can be heard', '无法显示影片，但仍可听配音'],
  making_film: ['The film is being made playable; takes can be heard', '正在转换影片格式；仍可听配音'],
  no_sound: ['This sound cannot be played: {0}', '无法播放此声音：{0}'],
  waiting_film: ['Loading the film…', '正在载入影片…'],

  // Takes
  takes: ['Takes', '录音'],
  take_n: ['Take {0}', '第 {0} 条'],
  take_new: ['Take {0} is playing', '正在播放第 {0} 条'],
  original: ["Film's own sound", '影片原声'],
  in_film: ['in the film', '已选用'],
  use: ['Use', '选用'],
  use_take: ['Use take {0} in the film', '选用第 {0} 条'],
  play_take: ['Play take {0} on the picture', '在画面上播放第 {0} 条'],
  play_original: ["Play the film's own sound", '播放影片原声'],
  set_a: ['Compare take {0} as A', '将第 {0} 条设为 A'],
  set_b: ['Compare take {0} as B', '将第 {0} 条设为 B'],
  compare: ['Compare', '对比'],
  switch_ab: ['Switch A and B', '切换 A/B'],
  emotion_score: ['emotion', '情绪'],
  naturalness: ['naturalness', '自然度'],
  from_take: ['from take {0}', '由第 {0} 条而来'],
  first_take: ['as the director planned it', '导演的最初方案'],
  note: ['Note to the actor', '给演员的说明'],
  note_hint: ['softer, almost a whisper', '轻一点，像耳语'],
  send_note: ['Play it', '重演'],
  another: ['Another take', '再来一条'],
  another_about: ['Plays the same direction once more', '按相同的指示再演一次'],
  being_played: ['Being played…', '正在演…'],
  word_times: ['Words', '词'],

  // Direction
  direction: ['Direction', '指示'],
  not_played: ['This line has no take yet', '这句台词还没有录音'],
  the_director: ['The director says', '导演说'],
  of_take: ['of take {0}', '第 {0} 条'],
  emotion_mixture: ['Emotion', '情绪'],
  emotion_mix: ['{0}, share of the mixture', '{0}，所占比例'],
  delivery: ['Delivery', '表达'],
  emphasis: ['Emphasis', '重音'],
  emphasis_of: ['Emphasis on “{0}”', '“{0}”的重音'],
  pause_after: ['pause of {0} s', '停顿 {0} 秒'],
  intensity: ['Intensity', '强度'],
  pace: ['Pace', '语速'],
  pitch_shift: ['Pitch', '音高'],
  pitch_range: ['Pitch range', '语调起伏'],
  loudness: ['Loudness', '响度'],
  breathiness: ['Breathiness', '气声'],
  tremor: ['Tremor', '颤抖'],
  semitones: ['{0} semitones', '{0} 半音'],
  decibels: ['{0} dB', '{0} 分贝'],
  fit: ['Fit', '时长'],
  fit_keep: ['as it is', '保持不变'],
  fit_strict: ['as long as the slot', '与原句等长'],
  fit_natural: ['may run on rather than hurry', '宁可超出也不赶'],
  play_direction: ['Play this direction', '按此重演'],
  reset: ['Reset', '还原'],
  changed_n: ['{0} changed', '已改 {0} 项'],

  // Why
  why: ['Why', '缘由'],
  scene: ['Scene', '场景'],
  face: ['Face', '面部'],
  words: ['Words', '文字'],
  not_seen: ['nothing to go by', '没有依据'],
  agreement: ['Agreement of scene, face and words: {0} %', '场景、面部与文字的一致程度：{0}%'],
  exemplars: ['What it recalled', '想起的范例'],
  like_scene: ['like the scene', '场景相似'],
  like_face: ['like the face', '面部相似'],
  like_text: ['like the words', '文字相似'],
  similarity: ['similarity {0}', '相似度 {0}'],
  hear: ['Hear', '试听'],
  hear_exemplar: ['Hear “{0}”', '试听“{0}”'],
  rounds: ['The rehearsal', '排练'],
  round: ['Round', '轮'],
  score: ['Score', '得分'],
  no_why: ['Nothing is known about this line', '没有这句台词的记录'],
  picture: ['Picture of line {0}', '第 {0} 句的画面'],

  // Reference and guide
  reference: ['Reference', '参考'],
  reference_about: ['A recording or clip with the emotion that you want. It becomes the exemplar of this line, and a take is played.', '放入一段带有所需情绪的录音或片段，它会成为这句台词的范例，并立即演一条。'],
  drop: ['Drop a recording here, or choose one', '将录音拖到此处，或选择文件'],
  drop_now: ['Drop it: reference of line {0}', '松开即作为第 {0} 句的参考'],
  remove: ['Remove', '移除'],
  guide: ['Say it yourself', '亲自示范'],
  guide_about: ['Speak the line as you want it; the take follows your emotion, pace and pauses, in the voice of the character.', '按你想要的方式说出台词，配音会跟随你的情绪、语速和停顿，音色仍是角色的。'],
  record: ['Record', '录音'],
  stop_recording: ['Stop', '停止'],
  recording: ['Recording… the picture plays without sound', '正在录音…画面静音播放'],
  recorded: ['{0} s recorded', '已录 {0} 秒'],
  hear_recording: ['Hear it', '试听'],
  use_guide: ['Use as guide', '用作引导'],
  discard: ['Discard', '放弃'],
  no_microphone_allowed: ['The microphone was refused. Allow it for this page in the browser, or drop a recording above', '麦克风未获授权。请在浏览器中允许此页使用麦克风，或在上方放入录音'],
  no_microphone: ['No microphone was found. Drop a recording above', '未找到麦克风，请在上方放入录音'],
  no_secure: ['The browser gives a microphone only over https or on this machine itself', '浏览器只在 https 或本机地址下提供麦克风'],
  too_short: ['Nothing was recorded: hold on a little longer', '没有录到声音，请录得长一些'],

  // Film
  cast: ['Cast', '角色'],
  voice_of: ['Voice of {0}', '{0} 的音色'],
  nobody: ['no name', '未具名'],
  lines_n: ['{0} lines', '{0} 句'],
  narrow_background: ['Sound behind the dialogue', '对白之下的声音'],
  undo: ['Undo', '撤销'],
  redo: ['Redo', '重做'],
  undo_what: ['Undo: {0}', '撤销：{0}'],
  redo_what: ['Redo: {0}', '重做：{0}'],
  change_note: ['note on line {0}', '第 {0} 句的说明'],
  change_direction: ['direction of line {0}', '第 {0} 句的指示'],
  change_take: ['another take of line {0}', '第 {0} 句再来一条'],
  change_choose: ['choice of take, line {0}', '第 {0} 句的选用'],
  change_accept: ['acceptance of line {0}', '第 {0} 句的通过'],
  change_reference: ['reference of line {0}', '第 {0} 句的参考'],
  change_guide: ['recording for line {0}', '第 {0} 句的示范'],
  change_voice: ['voice of {1}', '{1} 的音色'],
  change_background: ['background', '背景声'],
  change_outside: ['change by the command line', '命令行的更改'],
  undone: ['Taken back: {0}', '已撤销：{0}'],
  redone: ['Made again: {0}', '已重做：{0}'],
  export: ['Export', '导出'],
  download: ['Download', '下载'],
  download_old: ['Download the film as exported before', '下载上次导出的影片'],
  exported: ['{0} is up to date', '{0} 已是最新'],
  not_exported: ['Changed since the last export', '上次导出后有更改'],
  progress_of: ['{0} of {1} lines accepted', '{1} 句中已通过 {0} 句'],
  model: ['Model: {0}', '模型：{0}'],

  // Jobs
  job_export: ['Export', '导出'],
  job_dub: ['Dub', '配音'],
  job_voice: ['Change of voice', '更换音色'],
  job_other: ['Work', '任务'],
  job_queued: ['{0} waits', '{0}排队中'],
  job_running: ['{0} is running', '{0}进行中'],
  job_done: ['{0} is done', '{0}已完成'],
  job_failed: ['{0} failed: {1}', '{0}失败：{1}'],
  job_cancelled: ['{0} was stopped', '{0}已停止'],
  seconds_left: ['{0} left', '剩余 {0}'],
  stop: ['Stop', '停止'],

  // Keys
  keys_on: ['Single keys work', '启用单键快捷键'],
  key_play: ['play or pause', '播放或暂停'],
  key_lines: ['next or previous line', '下一句或上一句'],
  key_seek: ['one second back or on', '后退或前进一秒'],
  key_hear: ['play the line with its take', '播放本句的录音'],
  key_number: ['play take 1 to 9; 0 the film’s own sound', '播放第 1 至 9 条；0 为影片原声'],
  key_compare: ['switch between A and B, also while it plays', '在 A 与 B 之间切换（播放中亦可）'],
  key_use: ['use the take that is heard', '选用正在听的一条'],
  key_accept: ['accept the line and go on to the next', '通过本句并跳到下一句'],
  key_note: ['write a note; Enter sends it, Esc leaves', '写说明；回车发送，Esc 离开'],
  key_again: ['another take', '再来一条'],
  key_direction: ['direction', '指示'],
  key_play_direction: ['play this direction', '按此指示重演'],
  key_why: ['why the director chose so', '导演的缘由'],
  key_reference: ['reference and recording', '参考与录音'],
  key_cast: ['cast, background, export', '角色、背景声、导出'],
  key_record: ['record, stop', '录音、停止'],
  key_repeat: ['repeat', '循环'],
  key_find: ['find a line', '查找台词'],
  key_undo: ['undo, redo', '撤销、重做'],
  key_export: ['export', '导出'],
  key_help: ['these keys', '本帮助'],

  // Emotions
  angry: ['anger', '愤怒'],
  disgust: ['disgust', '厌恶'],
  fear: ['fear', '恐惧'],
  happy: ['joy', '喜悦'],
  neutral: ['neutral', '平静'],
  sad: ['sadness', '悲伤'],
  surprise: ['surprise', '惊讶'],
  others: ['mixed', '复杂'],
}

export const LANGUAGES = ['en', 'zh']
let place = LANGUAGES.indexOf(kept('language', navigator.language?.toLowerCase().startsWith('zh') ? 'zh' : 'en'))
if (place < 0) place = 0

export const language = () => LANGUAGES[place]

export function switchLanguage() {
  place = 1 - place
  keep('language', language())
  document.documentElement.lang = language()
}

/** The text of a name in the language chosen, `{0}`, `{1}` … replaced by values. */
export function t(name, ...values) {
  return TEXTS[name][place].replace(/\{(\d)\}/g, (_, n) => values[n])
}

/** Of a pair that the server gives, `field` and `field_zh`, the one in the language chosen, else the other. */
export function either(of, field) {
  const [here, other] = place ? [`${field}_zh`, field] : [field, `${field}_zh`]
  return of?.[here] || of?.[other] || ''
}

/** What undo would take back, or redo make again: '' where there is nothing. change: {kind, line, character}, where the server tells it. */
export function changeName(project, which) {
  const change = project?.[`${which}_change`], text = project?.[which] ?? ''
  if (!text || !TEXTS[`change_${change?.kind}`]) return text
  return t(`change_${change.kind}`, change.line, change.character || t('nobody'))
}

/** The name of an emotion, or what the server calls it. */
export const mood = (name) => (TEXTS[name] ? t(name) : name)

/** Seconds in words: 45 s, 3 min. */
export function duration(seconds) {
  const [s, min] = place ? [' 秒', ' 分钟'] : [' s', ' min']
  return seconds < 90 ? Math.max(1, Math.round(seconds)) + s : Math.round(seconds / 60) + min
}

document.documentElement.lang = language()
