// Why the director chose so: what scene, face and words said, what was recalled, and the rounds of the rehearsal.

import { at } from './api.js'
import { el, icon, show } from './dom.js'
import { hearAlone } from './player.js'
import { EMOTIONS, state, watch } from './state.js'
import { either, mood, t } from './strings.js'

const SOURCES = [['scene', 'scene', 'like_scene'], ['face', 'face', 'like_face'], ['text', 'words', 'like_text']]
const LEAST = 0.03 // share of an emotion that is shown

export function whyView() {
  const view = el('section', { class: 'panel-body why', 'aria-label': t('why') })

  function draw() {
    const { detail } = state
    if (!detail) return show(view, el('p', { class: 'soft' }, t('loading')))
    const why = detail.why ?? {}
    const parts = [picture(), sources(why), why.agreement != null && el('p', { class: 'soft' }, t('agreement', Math.round(100 * why.agreement))), exemplars(why), rounds(why)].filter(Boolean)
    return show(view, parts.length ? parts : el('p', { class: 'soft' }, t('no_why')))
  }

  function picture() {
    const shown = el('img', { class: 'frame', src: at(state.id, 'lines', state.line, 'frame.jpg'), alt: t('picture', state.line), loading: 'lazy', onerror: () => shown.remove() })
    return shown
  }

  function sources(why) {
    const found = SOURCES.filter(([key]) => why.captions?.[key] || why.emotions?.[key])
    if (!found.length) return null
    return el('div', { class: 'sources' }, SOURCES.map(([key, name]) => {
      const shares = EMOTIONS.map((emotion) => [emotion, why.emotions?.[key]?.[emotion] ?? 0]).filter(([, share]) => share >= LEAST).sort((a, b) => b[1] - a[1])
      const caption = why.captions?.[key]
      return el('article', {}, el('h2', {}, t(name)), el('p', { class: 'caption' }, caption || (shares.length ? '' : t('not_seen'))),
        shares.map(([emotion, share]) => el('div', { class: 'share', 'data-mood': emotion }, el('span', {}, mood(emotion)), el('span', { class: 'track' }, el('i', { style: { width: `${100 * share}%` } })), el('span', { class: 'number' }, `${Math.round(100 * share)} %`))))
    }))
  }

  function exemplars(why) {
    const found = SOURCES.filter(([key]) => why.exemplars?.[key]?.length)
    if (!found.length) return null
    return el('div', { class: 'exemplars' }, el('h2', { class: 'heading' }, t('exemplars')), found.map(([key, , like]) => el('div', {}, el('h3', {}, t(like)), el('ul', {}, why.exemplars[key].map(exemplar)))))
  }

  function exemplar(one) {
    const address = (kind) => at(state.id, 'exemplars', `${one.key}.${kind}`)
    let end = null
    const button = one.sound && el('button', { type: 'button', class: 'quiet round', 'aria-label': t('hear_exemplar', one.text || one.key), onclick: hear }, icon('play'))
    async function hear() {
      if (end) return end()
      show(button, icon('pause'))
      end = await hearAlone(address('wav'), () => { end = null; show(button, icon('play')) })
      return undefined
    }
    const still = one.picture && el('img', { src: address('jpg'), alt: '', loading: 'lazy', onerror: () => still.remove() })
    return el('li', { 'data-mood': one.emotion }, button, still, el('span', { class: 'recalled' }, el('q', {}, one.text || one.key),
      el('small', { class: 'faint' }, one.emotion && el('span', { class: 'chip' }, mood(one.emotion)), ' ', t('similarity', Number(one.similarity).toFixed(2)))))
  }

  function rounds(why) {
    if (!why.rounds?.length) return null
    return el('div', {}, el('h2', { class: 'heading' }, t('rounds')), el('ol', { class: 'rounds' }, why.rounds.map((round) => el('li', {},
      el('p', {}, either(round, 'note')), el('p', { class: 'soft' }, either(round, 'why')),
      round.scores?.overall != null && el('p', { class: 'share' }, el('span', {}, t('score')), el('span', { class: 'track' }, el('i', { style: { width: `${100 * round.scores.overall}%` } })), el('span', { class: 'number' }, Number(round.scores.overall).toFixed(2)))))))
  }

  watch(['detail'], draw)
  draw()
  return { view }
}
