// The takes of the open line side by side, two of them compared, and the box for a note.

import { clock, el, icon, show } from './dom.js'
import { toldList } from './messages.js'
import { hear, isPlaying, player, stop, switchPair } from './player.js'
import { accept, hasSound, isPending, playAgain, useTake } from './session.js'
import { takeAddress } from './sounds.js'
import { lineOf, state, tell, watch } from './state.js'
import { either, t } from './strings.js'
import { waveform } from './waveform.js'
import { fitOf } from './lines.js'

const notes = { // what is being written for each line, kept for a reload
  of: (line) => { try { return sessionStorage.getItem(`desk.note ${state.id} ${line}`) ?? '' } catch { return '' } },
  set: (line, text) => { try { sessionStorage[text ? 'setItem' : 'removeItem'](`desk.note ${state.id} ${line}`, text) } catch { /* this browser keeps nothing */ } },
}

export function takesView() {
  const head = el('div', { class: 'line-head' })
  const strip = el('div', { class: 'strip', role: 'group', 'aria-label': t('takes') })
  const bar = el('div', { class: 'compare' })
  const box = el('textarea', { id: 'note', rows: 1, 'aria-label': t('note'), placeholder: t('note_hint'), autocomplete: 'off', maxlength: 500,
    oninput: () => notes.set(state.line, box.value), onkeydown: typed })
  const sendButton = el('button', { type: 'submit', 'data-key': 'send' }, t('send_note'))
  const again = el('button', { type: 'button', class: 'quiet', title: `${t('another_about')} (T)`, onclick: another }, t('another'))
  const form = el('form', { class: 'note', onsubmit: (event) => { event.preventDefault(); sendNote() } }, box, sendButton, again)
  let cards = new Map() // take -> {card, content: what it shows, wave, buttons}
  let loudest = { line: 0, peak: 0.05 } // of the line's takes, which are drawn to one scale

  // The head: which line it is, and whether it is accepted

  function drawHead() {
    const line = lineOf()
    if (!line) return
    const fit = fitOf(line)
    const busy = isPending(`accept ${line.number}`)
    show(head,
      el('h2', {}, el('span', { class: 'number' }, t('line_n', line.number)), line.character && el('span', { class: 'soft' }, line.character)),
      el('span', { class: 'time faint' }, `${clock(line.start)} – ${clock(line.end)}`),
      line.rate > 0 && el('span', { class: fit ? 'warning' : 'faint' }, fit || t('rate', line.rate.toFixed(2))),
      el('button', { type: 'button', class: 'quiet accept', 'aria-pressed': String(line.accepted), 'aria-disabled': busy ? 'true' : null, 'data-key': 'accept', title: `${t('accept')} (A)`, onclick: () => accept(line.number, !line.accepted) }, icon('check'), t(line.accepted ? 'accepted' : 'accept')),
      el('p', { class: 'said' }, line.stage_direction && el('i', { class: 'soft' }, `(${line.stage_direction}) `), line.text),
      toldList(line.warnings, 'warnings'))
  }

  // The takes

  function draw() {
    const line = lineOf(), { detail } = state
    if (!line) return
    const listed = detail ? [...detail.takes].sort((a, b) => b.number - a.number) : []
    const takes = detail ? hasSound() ? [...listed, { number: 0 }] : listed : [...line.takes].reverse().map((number) => ({ number, waiting: true }))
    if (loudest.line !== line.number) loudest = { line: line.number, peak: 0.05 }
    const fresh = new Map()
    for (const take of takes) {
      const content = JSON.stringify([state.id, line.number, line.start, line.end, take])
      const known = cards.get(take.number)
      fresh.set(take.number, known?.content === content ? known : cardOf(line, take, content))
    }
    const wanted = [...fresh.values()].map(({ card }) => card)
    if (isPending(`take ${line.number}`)) wanted.unshift(el('div', { class: 'take coming' }, el('span', { class: 'spinner', 'aria-hidden': 'true' }), t('being_played')))
    const replaced = [...cards.values()].some((known) => ![...fresh.values()].includes(known))
    cards = fresh
    if (replaced || wanted.length !== strip.childElementCount || wanted.some((card, n) => card !== strip.children[n])) show(strip, wanted)
    mark()
    for (const { wave } of cards.values()) if (detail && wave) wave.load()
  }

  function cardOf(line, take, content) {
    const { number } = take
    const wave = take.waiting ? null : waveform(takeAddress(state.id, line.number, number), {
      start: line.start, end: line.end, words: take.words, heard: () => state.pair[state.active] === number,
      ...(number && { loudest, rescaled: () => { for (const [shown, { wave: one }] of cards) if (shown) one?.draw() } }),
      seconds: take.seconds ?? (number === line.take ? line.end - line.start + Math.max(line.overrun_seconds, 0) : undefined),
    })
    const name = number ? t('take_n', number) : t('original')
    const letters = ['A', 'B'].map((letter, n) => el('button', { type: 'button', class: 'quiet letter', 'data-key': `${letter}${number}`, 'aria-label': t(n ? 'set_b' : 'set_a', number || name), onclick: () => setPair(n, number) }, letter))
    const play = el('button', { type: 'button', class: 'quiet round', 'data-key': `play${number}`, 'aria-label': number ? t('play_take', number) : t('play_original'), onclick: () => playTake(number) }, icon('play'))
    const use = number > 0 && el('button', { type: 'button', class: 'quiet', 'data-key': `use${number}`, 'aria-label': t('use_take', number), onclick: () => useTake(line.number, number) }, t('use'))
    const chosen = number > 0 && el('span', { class: 'chip chosen' }, t('in_film'))
    const scores = Object.entries(take.scores ?? {}).filter(([key]) => key === 'emotion' || key === 'naturalness')
    const card = el('article', { class: `take${number ? '' : ' own'}`, 'data-take': number, 'data-mood': mainOf(take) },
      el('header', {}, play, el('h3', {}, name), chosen, use, el('span', { class: 'letters' }, letters)),
      wave?.view,
      take.note && el('p', { class: 'asked' }, '“', take.note, '”'),
      take.change ? el('p', { class: 'change' }, either(take, 'change')) : number > 0 && !take.note && !take.waiting && el('p', { class: 'faint' }, t(take.from ? 'from_take' : 'first_take', take.from)),
      scores.length > 0 && el('dl', { class: 'scores' }, scores.map(([key, value]) => el('div', {}, el('dt', {}, t(key === 'emotion' ? 'emotion_score' : key)), el('dd', {}, el('span', { class: 'track' }, el('i', { style: { width: `${Math.round(100 * value)}%` } })), el('span', { class: 'number' }, value.toFixed(2)))))),
      toldList(take.warnings, 'warning small'))
    return { card, content, wave, play, use, chosen, letters }
  }

  /** Shows which takes are compared, which of them is heard, and which is in the film. */
  function mark() {
    const line = lineOf(), heard = state.pair[state.active]
    for (const [number, { card, play, use, chosen, letters }] of cards) {
      const playing = player.mode === 'take' && number === heard
      card.classList.toggle('heard', number === heard)
      card.classList.toggle('playing', playing)
      show(play, icon(playing ? 'pause' : 'play'))
      if (use) {
        use.hidden = number === line.take
        use.setAttribute('aria-disabled', String(isPending(`use ${line.number}`)))
        chosen.hidden = number !== line.take
      }
      letters.forEach((letter, n) => letter.setAttribute('aria-pressed', String(state.pair[n] === number)))
    }
    drawBar()
  }

  function drawBar() {
    const name = (number) => (number ? t('take_n', number) : t('original'))
    const one = (n) => el('button', { type: 'button', class: 'quiet', 'data-key': `pair${n}`, 'aria-pressed': String(state.active === n), onclick: () => hearOne(n) }, el('b', {}, 'AB'[n]), ' ', name(state.pair[n]))
    show(bar, el('span', { class: 'heading' }, t('compare')), one(0), one(1), el('button', { type: 'button', class: 'bare', 'data-key': 'switch', 'aria-label': t('switch_ab'), title: `${t('switch_ab')} (B)`, onclick: switchPair }, '⇄ ', el('kbd', {}, 'B')))
  }

  function hearOne(n) {
    if (n !== state.active && player.mode === 'take') return switchPair()
    return hear(state.pair, n)
  }

  function setPair(n, number) {
    const pair = [...state.pair]
    if (pair[1 - n] === number) pair[1 - n] = pair[n]
    pair[n] = number
    if (isPlaying()) return hear(pair, n)
    state.pair = pair
    return tell('pair')
  }

  /** Plays a take on the picture, as A or B where it is one of the two, else as B. */
  function playTake(number) {
    const n = state.pair.indexOf(number)
    if (player.mode === 'take' && n === state.active) return stop()
    if (number ? !lineOf().takes.includes(number) : !hasSound()) return undefined
    return n >= 0 ? hear(state.pair, n) : hear([state.pair[0], number], 1)
  }

  // Notes

  async function played(making) {
    const line = state.line
    const take = await making
    if (take && line === state.line) hear(state.pair, 1)
    return take
  }

  async function sendNote() {
    const note = box.value.trim(), line = state.line
    if (!note || isPending(`take ${line}`)) return
    if (!await played(playAgain(line, { note }))) return
    if (notes.of(line).trim() === note) notes.set(line, '')
    if (line === state.line) box.value = notes.of(line)
    grow()
  }

  function another() {
    if (!isPending(`take ${state.line}`)) played(playAgain(state.line, {}))
  }

  function typed(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      sendNote()
    } else if (event.key === 'Escape') box.blur()
    queueMicrotask(grow)
  }

  function grow() {
    box.style.height = 'auto'
    if (box.scrollHeight > 40) box.style.height = `${Math.min(box.scrollHeight + 2, 120)}px`
  }

  function drawForm() {
    const busy = String(isPending(`take ${state.line}`))
    for (const button of [sendButton, again]) button.setAttribute('aria-disabled', busy)
    form.setAttribute('aria-busy', busy)
  }

  watch(['line'], () => { box.value = notes.of(state.line); grow() })
  watch(['line', 'project', 'pending'], drawHead)
  watch(['line', 'detail', 'project', 'pending'], draw)
  watch(['pair', 'film'], mark)
  watch(['line', 'pending'], drawForm)
  player.onTick.push((time) => { for (const { wave } of cards.values()) wave?.tick(time) })
  box.value = notes.of(state.line)
  drawHead()
  draw()
  drawForm()
  const view = el('section', { class: 'takes', 'aria-label': t('takes') }, head, form, bar, strip)
  return { view, playTake, another, played, useHeard: () => useTake(state.line, state.pair[state.active]), focusNote: () => box.focus() }
}

/** The emotion of which a take has most. */
function mainOf(take) {
  const shares = Object.entries(take.direction?.emotion ?? {})
  return shares.length ? shares.reduce((best, one) => (one[1] > best[1] ? one : best))[0] : null
}
