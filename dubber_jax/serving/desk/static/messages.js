// What the server says, in Chinese: warnings, progress and errors, which it sends in English.

import { el } from './dom.js'
import { language } from './strings.js'

// English and Chinese; {0} stands for any text, which is translated too where it is here, {0#} for a number.
const MESSAGES = [
  // Fit of a line to its slot
  ['the slot is short: pace {0} instead of {1}', '时段偏短：语速为 {0}，而非 {1}'],
  ['the slot is short: at {0} times its natural pace the line runs on for {1} s after it', '时段偏短：以 {0} 倍自然语速说出，仍超出 {1} 秒'],
  ['the slot is short: the line is spoken {0} times as fast as it would be, which is harder to understand; --fit natural keeps to {1} where there is silence after the slot', '时段偏短：以 {0} 倍语速说出，较难听清；若其后有静音，时长选“宁可超出也不赶”可保持在 {1} 倍'],
  ['the slot is long for the line: {0} s are spoken while the mouth moves for {1} s; lengthen the line, or give it less time', '时段偏长：说话 {0} 秒，而嘴动了 {1} 秒；请加长台词，或缩短时段'],
  ['the take came out nearly silent: try another voice, or another model', '这一条几乎没有声音：请换一个音色或模型'],
  ['this line was not played yet', '这句台词还没有演过'],

  // Words of a line
  ['not spoken: {0}', '未读出：{0}'],
  ['not English? {0}: read by the rules of English; no other language is spoken', '不是英语？{0}：按英语规则读出，不支持其他语言'],
  ['not in the dictionary, pronounced by the spelling: {0}; a --lexicon says how they are spoken', '词典中没有，按拼写读音：{0}；可用 --lexicon 指定读音'],

  // Faces and pictures
  ['no pictures: only the words are read', '没有画面：只依据文字'],
  ['{0}: the line is dubbed without lips', '{0}：这句台词不按口型配音'],
  ['the face is turned away', '面部转向别处'],
  ['no face was seen', '没有看到面部'],
  ['{0#} faces: took the one whose mouth moves most, number {1#} from the left', '有 {0} 张面孔：取嘴动得最多的一张，左起第 {1} 张'],
  ['the mouth is hidden or turned away for {0#} of the clip: dubbed without lips', '画面有 {0} 的时间看不到嘴：不按口型配音'],
  ['the mouth is hidden or turned away for {0#} of the clip', '画面有 {0} 的时间看不到嘴'],

  // Notes and stage directions
  ['not understood in the note: {0}', '说明中未能理解：{0}'],
  ['{0} asks for {1} {2}: {3} is as far as it goes', '{0} 要求{1}为 {2}：最多只能到 {3}'],
  ['{0} and {1} contradict each other in {2}: {3} is followed, {4}', '{0} 与 {1} 在{2}上相互矛盾：以 {3} 为准，{4}'],
  ['an amount counts before a word', '具体数值优先于词语'],
  ['what is said last counts', '以后说的为准'],
  ['{0} is asked for and ruled out: {1} is followed, what is said last counts', '{0} 既被要求又被排除：以 {1} 为准，以后说的为准'],
  ['a pause of {0#} s: pauses last from {1#} to {2#} s', '停顿 {0} 秒：停顿须在 {1} 至 {2} 秒之间'],
  ['{0}: a single word has no place for a pause', '{0}：只有一个词，没有停顿的位置'],
  ['{0}: the words of the line are not known, so it stands after the first', '{0}：不知道台词的词，因此放在第一个词之后'],
  ['{0}: it is not clear which word of the line; put it in quotation marks', '{0}：不清楚是台词中的哪个词，请加引号'],
  ['{0}: it is not clear after which word of the line', '{0}：不清楚是在台词的哪个词之后'],
  ['{0}: there the line begins or ends, and is silent anyway', '{0}：那里是台词的开头或结尾，本来就没有声音'],
  ['{0} {1}: not done, the words of the line are not known', '未能{0} {1}：不知道台词的词'],
  ['there is no {0} in the line to {1}', '台词中没有 {0}，无法{1}'],
  ['pause after', '在其后停顿'],
  ['pause before', '在其前停顿'],
  ['stress', '重读'],
  ['pace', '语速'],
  ['pitch', '音高'],
  ['pitch range', '语调起伏'],
  ['loudness', '响度'],
  ['breathiness', '气声'],
  ['tremor', '颤抖'],
  ['intensity', '强度'],
  ['pitch_shift', '音高'],
  ['pitch_range', '语调起伏'],
  ['angry', '愤怒'],
  ['disgust', '厌恶'],
  ['fear', '恐惧'],
  ['happy', '喜悦'],
  ['neutral', '平静'],
  ['sad', '悲伤'],
  ['surprise', '惊讶'],
  ['others', '复杂的情绪'],

  // The language model as director
  ['the language model asked for {0} {1}: {2} is as far as it goes', '语言模型要求{0}为 {1}：最多只能到 {2}'],
  ['the language model named words that the line has not: they are left out', '语言模型提到了台词中没有的词：已忽略'],
  ['the language model asked for a pause outside of {0#} to {1#} s', '语言模型要求的停顿不在 {0} 至 {1} 秒之间'],
  ['{0} {1}: the line is directed by rules', '{0} {1}：这句台词按规则指导'],
  ['{0} {1}: the note is read by rules', '{0} {1}：说明按规则解读'],

  // Directions and guides of a film
  ['line {0#}: {1} has no direction for {2#} to {3#} s; it is planned', '第 {0} 句：{1} 中没有 {2} 至 {3} 秒的指示，由导演重新安排'],
  ['line {0#}: its words are others than those directed: pauses and emphasis are left out', '第 {0} 句：文字与指示时不同：停顿和重音已略去'],
  ['{0}: out of range, brought back: {1}', '{0}：超出范围，已调回：{1}'],
  ['lines {0}: nobody speaks in {1} there, no guide', '第 {0} 句：{1} 中此处没有人说话，不作引导'],

  // Times of the lines
  ['line {0#} starts after the end of the film at {1#} s: it is left out', '第 {0} 句在影片结束（{1} 秒）之后才开始：已略去'],
  ['line {0#} would last to {1#} s, past the end of the film at {2#} s: it is cut there', '第 {0} 句到 {1} 秒才结束，超过影片结尾（{2} 秒）：已在结尾处截断'],
  ['line {0#} of {1} ends at {2#} s, not {3#} s: their line {4#} begins there', '{1} 的第 {0} 句在 {2} 秒结束，而非 {3} 秒：其第 {4} 句从那里开始'],
  ['lines {0#} ({1}) and {2#} ({3}) overlap for {4#} s: both are heard', '第 {0} 句（{1}）与第 {2} 句（{3}）重叠 {4} 秒：两句同时播放'],
  ['nobody by name', '未具名'],

  // Voices
  ['{0}: no line is spoken by {1}', '{0}：没有台词由 {1} 说出'],
  ['{0}: lasts {1#} s; its loudest {2#} s are used', '{0}：长 {1} 秒；只用其中最响的 {2} 秒'],
  ['{0}: only {1#} s of voice; 5 s or more sound more like the speaker', '{0}：只有 {1} 秒人声；5 秒以上会更像本人'],
  ['{0}: the voice is quiet (loudest {1#} dB of full scale)', '{0}：人声偏小（最响处为满刻度的 {1} 分贝）'],
  ['{0}: {1#} % of the voice is clipped', '{0}：人声有 {1}% 削波'],
  ['{0}: no words were found in it, so that it is followed less closely', '{0}：其中没有找到词语，因此不会贴得很近'],
  ['no speech is heard in it (music, noise?); the take will be in no particular voice: give a recording of one person talking', '其中听不到说话（是音乐或噪声？）；配音不会像任何人：请提供一个人说话的录音'],
  ['only {0#} s of it are speech; the take will not sound much like the speaker: give 5 s of talk', '其中只有 {0} 秒说话；配音不会很像本人：请提供 5 秒说话'],
  ['noise only {0#} dB below the voice; the take will sound rough and less like the speaker: give a cleaner recording', '噪声只比人声低 {0} 分贝；配音会粗糙且不太像本人：请提供更干净的录音'],
  ['a room that echoes for {0#} s; the take will sound blurred: record closer to the microphone', '房间混响 {0} 秒；配音会模糊：请靠近话筒录音'],
  ['a whisper: it has no pitch; the take will be voiced, at a guessed pitch: give a recording in full voice', '是耳语，没有音高；配音会用猜测的音高发声：请用正常嗓音录音'],
  ['a child, or a voice as high ({0#} Hz); the take will sound older: the model has heard adults only', '是儿童，或同样高的嗓音（{0} 赫兹）；配音会显得年长：模型只听过成人'],
  ['nothing above {0#} kHz, as by telephone; the take may sound dull: give a recording of 16 kHz or more', '没有 {0} 千赫以上的声音，如同电话；配音可能发闷：请提供 16 千赫以上的录音'],
  ['more than one person seems to speak; the take will be a mixture of them: cut out one', '似乎不止一个人在说话；配音会是他们的混合：请只截取一个人'],
  ['music seems to play under the voice; the take will sound rough and less like the speaker: give a recording without it', '人声下似乎有音乐；配音会粗糙且不太像本人：请提供没有音乐的录音'],
  ['more than one person may be speaking; if so, the take will be a mixture of them: cut out one', '可能不止一个人在说话；若是如此，配音会是他们的混合：请只截取一个人'],

  // Film and background
  ['{0}: its clock jumps at {1} s: the parts were joined there, one after the other', '{0}：时间码在 {1} 秒处跳变：各段已在那里首尾相接'],
  ['{0}: one of its tracks ends at {1#} s, another at {2#} s: it may be cut off', '{0}：一条轨道在 {1} 秒结束，另一条在 {2} 秒结束：文件可能被截断'],
  ['{0} ends in the middle of a packet ({1} missing): its last moment may be lost', '{0} 在数据包中间结束（缺 {1}）：最后片刻可能丢失'],
  ['{0} has no sound of its own: there is no background to {1}', '{0} 没有原声：没有可用的背景声'],
  ['{0} lasts {1#} s, the film {2#} s: it is cut there', '{0} 长 {1} 秒，影片长 {2} 秒：已在影片结尾处截断'],
  ["its dialogue cannot be taken out ({0}): the film's sound is muted where lines are spoken", '无法去除对白（{0}）：台词处的原声将静音'],

  // Scripts
  ['{0}: control characters are left out, in row {1}', '{0}：第 {1} 行的控制字符已略去'],
  ['{0}: damaged characters are left out, in row {1}: save it as UTF-8', '{0}：第 {1} 行的损坏字符已略去：请存为 UTF-8'],
  ['{0}: not UTF-8; it is read as {1}: save it as UTF-8 where letters come out wrong', '{0}：不是 UTF-8，按 {1} 读取：若有错字请存为 UTF-8'],
  ['songs are left out', '歌曲已略去'],
  ['taken for speakers, each by one line alone: {0}', '仅凭一句台词即视为角色名：{0}'],
  ['lines that begin together are spoken one after the other', '同时开始的台词将依次说出'],
  ['kept as spoken words, since no line shows it to be a name', '没有台词表明它是角色名，因此当作台词读出'],
  ['may be a name, and is spoken: write it in capitals, or put it into the cast', '可能是角色名，但会被读出：请用大写，或写入角色表'],
  ['a word that is not to be heard is played as a pause', '不应听到的词以停顿代替'],
  ['rows before the first cue are left out', '第一条字幕之前的行已略去'],
  ['left out, since there are no times, as 00:00:01,000 --> 00:00:02,500', '没有时间（如 00:00:01,000 --> 00:00:02,500），已略去'],
  ['starts before 0 s, and is taken to start there', '开始时间早于 0 秒，按 0 秒处理'],
  ['a number without times and text is left out', '没有时间和文字的编号已略去'],
  ['damaged, so left out', '已损坏，故略去'],
  ['left out as text on screen, by style or position', '按样式或位置判断为画面文字，已略去'],
  ['left out as credits or an advert', '判断为片尾名单或广告，已略去'],
  ['ends not after its start, and is given the time in which it can be read', '结束时间不晚于开始时间，已按阅读所需时间设定'],
  ['captions roll: rows that are repeated are read once', '滚动字幕：重复的行只读一次'],
  ['a copy of another cue at the same time is left out', '同一时间的重复字幕已略去'],
  ['left out as text on screen, beside which others speak', '判断为他人说话时的画面文字，已略去'],
  ['cue {0} (row {1#})', '第 {0} 条字幕（第 {1} 行）'],

  // Progress
  ['line {0#} of {1#}', '第 {0} 句，共 {1} 句'],
  ['line {0#}', '第 {0} 句'],
  ['levels', '调整响度'],
  ['the film is checked', '检查影片'],
  ['the film is checked', '检查影片'],
  ['dialogue is taken out', '去除对白'],
  ['the film is written', '写入影片'],
  ['all lines are played', '台词已全部演完'],

  // Errors that say more than their code
  ['nothing in the note {0} was understood: {1}', '未能理解说明 {0}：请用中文或英文谈情绪、语速、音高、响度、气声、颤抖、停顿或重音，如“压低音量，声音略带颤抖”'],
  ['the note has {0#} characters, the limit is {1#}: a sentence or two is enough', '说明有 {0} 个字符，上限为 {1}：一两句即可'],
  ['the line needs {0} at its natural pace and its slot is {1}; it would have to be spoken {2} times as fast, and {3} is the limit: {4}', '这句台词按自然语速需要 {0}，而时段为 {1}；须以 {2} 倍语速说出，上限为 {3} 倍：{4}'],
  ['the line needs {0} at its natural pace and its slot is {1}; it would have to be spoken {2} times as fast, and {3} is the limit of --fit natural: {4}', '这句台词按自然语速需要 {0}，而时段为 {1}；须以 {2} 倍语速说出，而不赶时上限为 {3} 倍：{4}'],
  ['shorten the line or give it {0}', '请缩短台词，或给它 {0}'],
  ['give --fit natural, which may run on into the silence after the slot, shorten the line or give it {0}', '时长可选“宁可超出也不赶”，延入其后的静音；或缩短台词，或给它 {0}'],
  ['give --fit strict, which may go up to {0}, shorten the line or give it {1}', '时长可选“与原句等长”，语速可达 {0} 倍；或缩短台词，或给它 {1}'],
  ['the director is off in this project: nobody would follow {0}', '此项目未启用导演，无法执行'],
  ['{0}: nothing is heard in it and no face is seen: give a recording of speech', '{0}：听不到声音，也看不到面部：请提供说话的录音'],
  ['{0}: nobody speaks in it: there is no performance to be guided by', '{0}：其中没有人说话，无法用作示范'],
  ['{0}: holds no sound; give another recording', '{0}：没有声音，请换一段录音'],
  ['{0}: has no pictures; give a film', '{0}：没有画面，请提供影片'],
  ['{0}: not a film or sound file that can be read, or cut off or damaged ({1}); export it again', '{0}：不是可读取的影片或声音文件，或已被截断或损坏；请重新导出'],
  ['{0}: not a text file: save it as UTF-8', '{0}：不是文本文件，请存为 UTF-8'],
  ['{0}: no spoken line in it', '{0}：其中没有台词'],
  ['{0}: no spoken line in it ({1})', '{0}：其中没有台词（{1}）'],
  ['{0}: is not of this version (format {1#}), or damaged ({2}); start again in another folder', '{0}：属于另一版本或已损坏（{2}）；请在另一个文件夹重新开始'],
  ['this project was played by the model {0}, which is not there: put it back', '此项目使用的模型 {0} 已不在，请放回原处'],
  ['the film {0} of this project cannot be used: {1}', '此项目的影片 {0} 无法使用：请将原文件放回原处'],
  ['the film was not checked to its end: go on with this dub first', '影片还没有检查完，请先继续此配音'],
  ['{0}: these lines keep their voice', '{0}；这些台词保留原来的音色'],
  ['{0} (and {1#} more)', '{0}（另有 {1} 句）'],
]

// Values within messages.
const VALUES = [
  ['{0} and {1#} more', '{0}，另有 {1} 处'],
  ['{0#} s', '{0} 秒'],
  ['{0#} dB', '{0} 分贝'],
  ['{0#} semitones', '{0} 个半音'],
  ['{0}, with no silence after it', '{0}，其后没有静音'],
  ['{0}, with {1} silence after it', '{0}，其后静音 {1}'],
]

// Errors by their code; {0} is what the server says.
const ERRORS = {
  already_done: '已经完成',
  bad_form: '上传的表单有误，请重新载入页面再试',
  bad_input: '无法执行：{0}',
  bad_json: '请求有误，请重新载入页面再试',
  bad_length: '请求有误，请重新载入页面再试',
  bad_upload: '文件无法读取：{0}',
  bad_value: '数值无效：{0}',
  bad_version: '请求有误，请重新载入页面再试',
  busy: '另一项任务正在进行，请等待其完成或停止它',
  consent_required: '上传音色须附同意书：{0}',
  damaged: '服务器上的文件已损坏：{0}',
  damaged_project: '项目已损坏，或属于另一版本：{0}',
  disk_full: '服务器磁盘已满，请腾出空间',
  empty_file: '文件是空的',
  empty_input: '没有可以说出的文字',
  file_not_found: '服务器上没有此文件：{0}',
  film_missing: '影片不在原处，或已换成另一部，请放回原文件',
  film_not_ready: '正在转换影片格式，请稍后再试',
  film_unchecked: '影片还没有检查完，请先继续此配音',
  foreign_origin: '其他网站的页面不能使用此服务器',
  form_required: '请求有误，请重新载入页面再试',
  internal_error: '服务器出错：{0}',
  invalid_json: '请求有误，请重新载入页面再试',
  invalid_name: '名称无效：{0}',
  invalid_value: '数值无效：{0}',
  job_running: '任务正在进行，请等待其完成或停止它',
  method_not_allowed: '请求有误，请重新载入页面再试',
  missing_file: '缺少文件',
  missing_script: '请提供剧本',
  missing_voice: '请选择音色',
  model_not_found: '服务器上没有此模型',
  no_exemplar: '此范例的文件不在',
  no_reference: '这句台词没有参考',
  no_result: '还没有结果',
  no_sound: '影片没有声音',
  not_available: '此服务器不提供此功能：{0}',
  not_done: '尚未完成',
  not_exported: '影片尚未导出，或已不在；请先导出',
  not_found: '此地址没有内容',
  not_ready: '服务器正在载入，请稍后再试',
  not_running: '任务没有在进行',
  nothing_to_redo: '没有可重做的操作',
  nothing_to_undo: '没有可撤销的操作',
  project_busy: '此项目的另一项更改正在进行，请稍后再试',
  project_open_elsewhere: '项目已在别处打开，请等待其完成再试',
  queue_full: '排队已满，请稍后再试',
  range_not_satisfiable: '请求有误，请重新载入页面再试',
  shipped_voice: '此音色随模型提供，不能删除',
  stopping: '服务器正在停止，重启后再试',
  string_above_max_length: '文字太长：{0}',
  timeout: '没有及时完成，请再试一次',
  token_required: '此服务器需要令牌',
  too_large: '文件太大：{0}',
  too_slow: '上传或读取太慢，已超时',
  unknown_character: '项目中没有此角色',
  unknown_dub: '没有此配音，可能已被删除',
  unknown_field: '请求有误，请重新载入页面再试',
  unknown_file: '请求有误，请重新载入页面再试',
  unknown_host: '此服务器不认这个地址，请在启动时用 --allow-host 指定',
  unknown_job: '没有此任务，可能早已结束',
  unknown_line: '没有这句台词',
  unknown_project: '没有此项目，可能已被删除',
  unknown_take: '这句台词没有此条录音，或录音不完整',
  unknown_voice: '没有此音色，可能已被删除',
  version_changed: '内容已在别处更改，请再看一遍',
  voice_exists: '已有同名的音色',
  wrong_token: '令牌不正确',
}

const NUMBER = '([\\d.,%-]+)'
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const rules = (table) => table.map(([english, chinese]) => {
  const parts = english.split(/(\{\d#?\})/)
  const pattern = parts.map((part) => (/^\{\d#\}$/.test(part) ? NUMBER : /^\{\d\}$/.test(part) ? '(.*?)' : escaped(part))).join('')
  return { pattern: new RegExp(`^${pattern}$`, 's'), chinese, known: english.replace(/\{\d#?\}/g, '').length }
}).sort((a, b) => b.known - a.known) // the most exact one first
const OF_MESSAGES = rules(MESSAGES), OF_VALUES = rules(VALUES)

function byRules(text, among) {
  for (const { pattern, chinese } of among) {
    const found = pattern.exec(text)
    if (found) return chinese.replace(/\{(\d)\}/g, (_, n) => value(found[Number(n) + 1]))
  }
  return ''
}

/** An English message in Chinese, '' where it is not known. It may be two, with ': ' between them, as a file and what is wrong with it. */
export function inChinese(text) {
  const whole = byRules(text, OF_MESSAGES)
  if (whole) return whole
  const end = text.indexOf(': ')
  if (end < 0) return ''
  const first = text.slice(0, end), second = text.slice(end + 2), rest = inChinese(second)
  return rest || byRules(first, OF_MESSAGES) ? `${value(first)}：${rest || byRules(second, OF_VALUES) || second}` : ''
}

/** A part of a message; what is in quotation marks stays as it is. */
const value = (text) => (/^(['"]).*\1$/s.test(text) ? `“${text.slice(1, -1)}”` : inChinese(text) || byRules(text, OF_VALUES) || text)

/** What the server says, in the language chosen. */
export const told = (text) => (language() === 'zh' && inChinese(text)) || text

/** A list of what the server says; null where that is nothing. */
export const toldList = (texts, name) => (texts?.length ? el('ul', { class: name }, texts.map((text) => el('li', {}, told(text)))) : null)

/** An error of the server, {message, code}, in the language chosen. */
export function toldError(error) {
  const message = error?.message ?? ''
  if (language() !== 'zh') return message
  return inChinese(message) || (ERRORS[error?.code] ?? '').replace('{0}', () => message) || message
}
