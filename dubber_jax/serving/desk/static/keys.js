// The keyboard: single keys where nobody types, and the list of them.

import { el, icon, keep, kept } from './dom.js'
import { t } from './strings.js'

const LISTED = [
  [['Space'], 'key_play'], [['↓', '↑'], 'key_lines'], [['←', '→'], 'key_seek'], [['H'], 'key_hear'], [['1', '…', '9', '0'], 'key_number'],
  [['B'], 'key_compare'], [['U'], 'key_use'], [['A'], 'key_accept'], [['N'], 'key_note'], [['T'], 'key_again'], [['D'], 'key_direction'],
  [['P'], 'key_play_direction'], [['W'], 'key_why'], [['G'], 'key_reference'], [['C'], 'key_cast'], [['R'], 'key_record'], [['L'], 'key_repeat'],
  [['/'], 'key_find'], [['Z', 'Y'], 'key_undo'], [['E'], 'key_export'], [['?'], 'key_help'],
]

let acts = {}

/** Which act each key has: {key: act}; letters by their small form. */
export function useKeys(given) {
  acts = given
}

const isTyping = (target) => target.closest?.('textarea, select, [contenteditable], input:not([type="range"], [type="checkbox"], [type="radio"], [type="file"], [type="button"])')
const hasOwn = (target, key) => {
  if (key === ' ' || key === 'Enter') return target.closest?.('button, a, summary, input, [role="option"]') && !(key === ' ' && target.closest('[role="option"]'))
  if (key.startsWith('Arrow')) return target.closest?.('input[type="range"], [role="option"]')
  return false
}

addEventListener('keydown', (event) => {
  const { key, target } = event
  if (event.defaultPrevented || event.isComposing || event.altKey || document.querySelector('dialog[open]')) return
  const command = event.ctrlKey || event.metaKey
  if (isTyping(target)) {
    if (key === 'Escape') target.blur()
    return
  }
  let name = key.length === 1 ? key.toLowerCase() : key
  if (command) name = name === 'z' ? (event.shiftKey ? 'y' : 'z') : name === 'y' ? 'y' : ''
  else if (kept('keys', 'on') !== 'on' && key.length === 1 && key !== ' ' && key !== '?') return
  if (name === 'z' && event.shiftKey && !command) name = 'y'
  const act = acts[name]
  if (!act || hasOwn(target, key) || (event.repeat && !key.startsWith('Arrow'))) return
  event.preventDefault()
  act()
})

/** The list of keys. Esc closes it, and it can switch single keys off. */
export function showHelp() {
  const box = el('dialog', { class: 'help', 'aria-labelledby': 'help-title', onclose: () => box.remove(), onclick: (event) => { if (event.target === box) box.close() } },
    el('header', {}, el('h2', { id: 'help-title' }, t('help')), el('button', { type: 'button', class: 'bare', 'aria-label': t('close'), onclick: () => box.close() }, icon('close'))),
    el('dl', {}, LISTED.map(([names, what]) => el('div', {}, el('dt', {}, names.map((name) => (name === '…' ? ' … ' : el('kbd', {}, name)))), el('dd', {}, t(what))))),
    el('label', { class: 'check' }, el('input', { type: 'checkbox', checked: kept('keys', 'on') === 'on', onchange: (event) => keep('keys', event.target.checked ? 'on' : 'off') }), t('keys_on')))
  document.body.append(box)
  box.showModal()
}
