// One line for what went wrong, one for what happened, and one that stays while the server is away.

import { el, icon } from './dom.js'
import { t } from './strings.js'

const notices = document.getElementById('notices')
const said = document.getElementById('said')
let away = null

/** Read out by screen readers, not shown. */
export function say(text) {
  said.textContent = ''
  requestAnimationFrame(() => { said.textContent = text })
}

/** A line at the bottom that goes after some seconds; `kind`: 'error', which stays until it is closed, or 'fact'. */
export function notify(text, kind = 'fact') {
  for (const old of [...notices.querySelectorAll('.notice')]) if (old !== away && (old.dataset.text === text || notices.childElementCount > 2)) old.remove()
  const box = el('div', { class: `notice ${kind}`, role: kind === 'error' ? 'alert' : 'status', 'data-text': text }, el('span', {}, text),
    el('button', { type: 'button', class: 'bare', 'aria-label': t('close'), onclick: () => box.remove() }, icon('close')))
  notices.append(box)
  if (kind !== 'error') setTimeout(() => box.remove(), 6000)
}

/** What an error says, in one line. */
export function fail(error) {
  if (error?.name === 'AbortError' || error?.status === 401) return // it is asked for the token
  if (error?.unreachable) notify(t('gone_once'), 'error')
  else notify(error?.message || String(error), 'error')
}

/** Tells that the server is away, until it is back. */
export function tellAway(isAway) {
  if (isAway && !away) {
    away = el('div', { class: 'notice away', role: 'alert' }, el('span', { class: 'spinner', 'aria-hidden': 'true' }), el('span', {}, t('gone')))
    notices.prepend(away)
  } else if (!isAway && away) {
    away.remove()
    away = null
    for (const old of notices.querySelectorAll('.notice.error')) old.remove()
    notify(t('back'))
  }
}
