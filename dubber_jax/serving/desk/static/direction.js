// The direction of the take in the film, in words and as sliders; what is moved is played as another take.

import { el, fill, show } from './dom.js'
import { isPending, playAgain } from './session.js'
import { EMOTIONS, lineOf, state, takeOf, tell, watch } from './state.js'
import { either, mood, t } from './strings.js'

const LIMITS = { intensity: [0.1, 1], pace: [0.75, 1.35], pitch_shift: [-4, 6], pitch_range: [0.6, 1.6], loudness: [-10, 8], breathiness: [0, 1], tremor: [0, 1] }
const NEUTRAL = { pace: 1, pitch_shift: 0, pitch_range: 1, loudness: 0 } // from which a slider is filled
const STEPS = { pitch_shift: 0.1, loudness: 0.5 }
const STRONGEST = 2 // weight of an emphasized word
const percent = (value) => `${Math.round(100 * value)} %`
const signed = (value, digits) => `${value > 0 ? '+' : value < 0 ? '−' : ''}${Math.abs(value).toFixed(digits)}`
const TOLD = {
  intensity: percent,
  pace: (value) => `×${value.toFixed(2)}`,
  pitch_shift: (value) => t('semitones', signed(value, 1)),
  pitch_range: (value) => `×${value.toFixed(2)}`,
  loudness: (value) => t('decibels', signed(value, 1)),
  breathiness: percent,
  tremor: percent,
}

const drafts = new Map() // line -> {take: from which, changes: {field: value}, fit}

/** played: called with the promise of a take that is made. */
export function directionView(played) {
  const view = el('section', { class: 'panel-body direction', 'aria-label': t('direction') })
  const counted = el('span', { class: 'soft', 'aria-live': 'polite' })
  const reset = el('button', { type: 'button', class: 'quiet', onclick: () => { drafts.delete(state.line); tell('draft') } }, t('reset'))
  const play = el('button', { type: 'button', title: '(P)', onclick: send }, t('play_direction'))
  const foot = el('div', { class: 'foot' }, counted, reset, play)

  const take = () => takeOf(lineOf()?.take)

  function draft() {
    const known = drafts.get(state.line)
    if (known && known.take === take()?.number) return known
    const fresh = { take: take()?.number, changes: {}, fit: '' }
    drafts.set(state.line, fresh)
    return fresh
  }

  function draw() {
    const direction = take()?.direction
    if (!direction) return show(view, el('p', { class: 'soft' }, t(state.detail ? 'not_played' : 'loading')))
    const { changes } = draft(), of = { ...direction, ...changes }
    show(view,
      el('div', { class: 'spoken' }, el('span', { class: 'heading' }, `${t('the_director')} · ${t('of_take', take().number)}`), el('p', {}, either(direction, 'note'))),
      emotions(of), delivery(of), emphasis(of), fit(), foot)
    drawFoot()
    return undefined
  }

  function set(field, value) {
    const before = take().direction[field]
    const { changes } = draft()
    if (JSON.stringify(value) === JSON.stringify(before)) delete changes[field]
    else changes[field] = value
    drawFoot()
  }

  // Shares of emotions: moving one gives to the others or takes from them, in proportion

  function emotions(of) {
    const shares = EMOTIONS.map((name) => of.emotion?.[name] ?? 0)
    const rows = EMOTIONS.map((name, n) => {
      const range = el('input', { type: 'range', min: 0, max: 1, step: 0.01, value: shares[n], 'data-key': `emotion ${name}`, 'aria-label': t('emotion_mix', mood(name)), oninput: () => { share(n, Number(range.value)); spread() } })
      const value = el('output', { class: 'number' })
      return { range, value, row: el('label', { class: 'slider', 'data-mood': name }, el('span', {}, mood(name)), range, value) }
    })
    function share(moved, value) {
      const rest = shares.reduce((sum, one, n) => (n === moved ? sum : sum + one), 0)
      const others = EMOTIONS.length - 1
      shares.forEach((one, n) => { shares[n] = n === moved ? value : rest > 1e-6 ? (one / rest) * (1 - value) : n === EMOTIONS.indexOf('neutral') || moved === EMOTIONS.indexOf('neutral') ? (1 - value) / (moved === EMOTIONS.indexOf('neutral') ? others : 1) : 0 })
      set('emotion', Object.fromEntries(EMOTIONS.map((name, n) => [name, Math.round(1000 * shares[n]) / 1000])))
    }
    function spread() {
      rows.forEach(({ range, value, row }, n) => {
        if (range !== document.activeElement) range.value = shares[n]
        fill(range)
        value.textContent = percent(shares[n])
        range.setAttribute('aria-valuetext', percent(shares[n]))
        row.classList.toggle('none', shares[n] < 0.005)
      })
    }
    spread()
    return el('fieldset', {}, el('legend', { class: 'heading' }, t('emotion_mixture')), rows.map(({ row }) => row))
  }

  function delivery(of) {
    const limits = { ...LIMITS, ...state.detail.limits }
    return el('fieldset', {}, el('legend', { class: 'heading' }, t('delivery')), Object.keys(LIMITS).map((name) => {
      const [low, high] = limits[name], value = el('output', { class: 'number' })
      const range = el('input', { type: 'range', min: low, max: high, step: STEPS[name] ?? 0.01, value: of[name], 'data-key': name, 'aria-label': t(name), oninput: () => { set(name, Number(range.value)); tellValue() } })
      function tellValue() {
        fill(range, NEUTRAL[name])
        value.textContent = TOLD[name](Number(range.value))
        range.setAttribute('aria-valuetext', value.textContent)
        row.classList.toggle('moved', name in draft().changes)
      }
      const row = el('label', { class: 'slider' }, el('span', {}, t(name)), range, value)
      tellValue()
      return row
    }))
  }

  function emphasis(of) {
    const words = lineOf().text.split(/\s+/).filter(Boolean)
    const weights = words.map((_, n) => of.emphasis?.[n] ?? 0)
    const pauses = new Map(of.pauses ?? [])
    return el('fieldset', { class: 'emphasis' }, el('legend', { class: 'heading' }, t('emphasis')), words.map((word, n) => {
      const range = el('input', { type: 'range', min: 0, max: STRONGEST, step: 0.25, value: weights[n], 'data-key': `word ${n}`, 'aria-label': t('emphasis_of', word), oninput: () => { weights[n] = Number(range.value); set('emphasis', [...weights]); weigh() } })
      const text = el('span', { class: 'word' }, word)
      const weigh = () => { fill(range); text.dataset.weight = Math.min(2, Math.round(weights[n])); range.setAttribute('aria-valuetext', weights[n].toFixed(2)) }
      weigh()
      return el('label', {}, text, range, pauses.has(n) && el('span', { class: 'silence', title: t('pause_after', pauses.get(n)) }, `‖ ${pauses.get(n).toFixed(1)} s`))
    }))
  }

  function fit() {
    const choice = el('select', { id: 'fit', 'data-key': 'fit', onchange: () => { draft().fit = choice.value; drawFoot() } },
      ['', 'strict', 'natural'].map((name) => el('option', { value: name, selected: draft().fit === name }, t(`fit_${name || 'keep'}`))))
    return el('label', { class: 'field' }, el('span', { class: 'heading' }, t('fit')), choice)
  }

  function drawFoot() {
    const { changes, fit: chosen } = draft(), count = Object.keys(changes).length + (chosen ? 1 : 0)
    const busy = isPending(`take ${state.line}`)
    counted.textContent = count ? t('changed_n', count) : ''
    reset.hidden = !count
    play.disabled = !count
    play.setAttribute('aria-disabled', String(busy))
  }

  async function send() {
    const line = state.line, { changes, fit: chosen } = draft()
    if (isPending(`take ${line}`) || play.disabled) return
    const how = Object.keys(changes).length ? { direction: changes } : {}
    if (chosen) how.fit = chosen
    if (await played(playAgain(line, how))) drafts.delete(line)
    tell('draft')
  }

  watch(['line', 'detail', 'draft'], draw)
  watch(['pending'], () => { if (take()) drawFoot() })
  draw()
  return { view, send }
}
