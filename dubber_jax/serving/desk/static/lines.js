// The list of lines: one of them is open, another may be spoken at this moment.

import { clock, el, icon } from './dom.js'
import { told } from './messages.js'
import { player, seek } from './player.js'
import { isPending, openLine } from './session.js'
import { lineOf, state, tell, watch } from './state.js'
import { mood, t } from './strings.js'

const HURRIED = 1.15 // speaking rate against the unhurried one from which a line is told to be hurried
const KINDS = {
  all: () => true,
  open: (line) => !line.accepted,
  warned: (line) => line.warnings.length > 0,
  unfit: (line) => fitOf(line) !== '',
  changed_lines: (line) => line.takes.length > 1,
}

/** What is wrong with how a line fits its slot, in words; '' where it fits. */
export function fitOf(line) {
  if (line.overrun_seconds > 0.05) return t('runs_on', line.overrun_seconds.toFixed(1))
  return line.rate > HURRIED ? t('hurried', line.rate.toFixed(2)) : ''
}

export function linesView() {
  const list = el('div', { class: 'rows', role: 'listbox', 'aria-label': t('lines') })
  const count = el('span', { class: 'faint number' })
  const find = el('input', { type: 'search', id: 'find', placeholder: t('find'), 'aria-label': t('find'), value: state.filter.text, autocomplete: 'off', oninput: () => { state.filter.text = find.value; tell('filter') } })
  const kind = el('select', { 'aria-label': t('show_lines'), onchange: () => { state.filter.kind = kind.value; tell('filter') } })
  const rows = new Map() // number -> {row, content: what it shows}
  let spoken = 0

  function drawKinds() {
    const characters = state.project.characters.map(({ name }) => name).filter(Boolean)
    const option = (value, text) => el('option', { value, selected: value === state.filter.kind }, text)
    kind.replaceChildren(...Object.keys(KINDS).map((name) => option(name, t(name))), ...characters.map((name) => option(`: ${name}`, name)))
    if (kind.selectedIndex < 0) kind.value = state.filter.kind = 'all'
  }

  function isShown(line) {
    const { text, kind: of } = state.filter
    const words = `${line.number} ${line.character} ${line.text} ${line.stage_direction}`.toLowerCase()
    return words.includes(text.trim().toLowerCase()) && (of.startsWith(': ') ? line.character === of.slice(2) : KINDS[of](line))
  }

  function draw() {
    const shown = state.project.lines.filter(isShown)
    const wanted = shown.map((line) => {
      const content = JSON.stringify([line, isPending(`accept ${line.number}`, `take ${line.number}`, `use ${line.number}`)])
      let known = rows.get(line.number)
      if (known?.content !== content) {
        const row = rowOf(line)
        if (known?.row === document.activeElement) queueMicrotask(() => row.focus({ preventScroll: true }))
        known?.row.replaceWith(row)
        rows.set(line.number, (known = { row, content }))
      }
      return known.row
    })
    const same = wanted.length === list.childElementCount && wanted.every((row, n) => row === list.children[n])
    if (!same) list.replaceChildren(...(wanted.length ? wanted : [el('p', { class: 'empty soft' }, t('nothing_found'))]))
    count.textContent = shown.length === state.project.lines.length ? String(shown.length) : t('of', shown.length, state.project.lines.length)
    mark()
  }

  function rowOf(line) {
    const fit = fitOf(line), warnings = line.warnings.length
    const busy = isPending(`accept ${line.number}`, `take ${line.number}`, `use ${line.number}`)
    const signs = [
      warnings > 0 && el('span', { class: 'sign warning', title: line.warnings.map(told).join('\n') }, `▲ ${warnings === 1 ? t('one_warning') : t('warnings_n', warnings)}`),
      fit && el('span', { class: 'sign warning' }, fit),
      line.takes.length > 1 && el('span', { class: 'sign' }, t('take_n', line.take)),
      line.reference && el('span', { class: 'sign' }, t('reference')),
      line.guide && el('span', { class: 'sign' }, t('guided')),
    ].filter(Boolean)
    return el('div', { class: `row${line.accepted ? ' accepted' : ''}`, role: 'option', tabindex: -1, 'data-line': line.number, 'data-mood': line.emotion, 'aria-busy': busy ? 'true' : null, onclick: () => pick(line.number) },
      el('span', { class: 'place number' }, String(line.number)),
      el('span', { class: 'what' },
        el('span', { class: 'who' }, el('span', { class: 'time faint' }, clock(line.start)), line.character && el('b', {}, line.character),
          el('span', { class: 'chip' }, mood(line.emotion))),
        el('span', { class: 'words' }, line.stage_direction && el('i', { class: 'soft' }, `(${line.stage_direction}) `), line.text),
        signs.length > 0 && el('span', { class: 'signs' }, signs)),
      el('span', { class: 'state' }, busy ? el('span', { class: 'spinner' }) : line.accepted ? [icon('check'), el('span', { class: 'unseen' }, t('accepted'))] : null))
  }

  function pick(number) {
    openLine(number)
    seek(lineOf(number).start)
    state.view = 'takes'
    tell('panel')
  }

  /** Marks the line that is open and brings it into sight. */
  function mark() {
    let stop = false
    for (const row of list.querySelectorAll('.row')) {
      const open = Number(row.dataset.line) === state.line
      row.setAttribute('aria-selected', String(open))
      row.tabIndex = open ? 0 : -1
      stop ||= open
    }
    if (!stop && list.querySelector('.row')) list.querySelector('.row').tabIndex = 0
    follow()
  }

  function follow() {
    const row = rows.get(state.line)?.row
    if (!row?.isConnected || list.clientHeight === 0) return
    const box = row.getBoundingClientRect(), around = list.getBoundingClientRect()
    if (box.top < around.top || box.bottom > around.bottom) list.scrollTop += box.top - around.top - (around.height - box.height) / 3
  }

  function move(event) {
    const shown = [...list.querySelectorAll('.row')]
    const here = shown.indexOf(document.activeElement.closest('.row'))
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: shown.length - 1 }[event.key]
    if (event.key === 'Enter' && here >= 0) return pick(Number(shown[here].dataset.line))
    if (to === undefined || here < 0) return undefined
    event.preventDefault()
    event.stopPropagation()
    return step(to - here)
  }

  /** Opens the line that is so many rows further among those shown. */
  function step(by) {
    const shown = [...list.querySelectorAll('.row')].map((row) => Number(row.dataset.line))
    if (!shown.length) return
    const here = shown.indexOf(state.line)
    const next = here >= 0 ? here + by : by > 0 ? shown.findIndex((number) => number > state.line) : shown.findLastIndex((number) => number < state.line)
    const number = shown[Math.min(shown.length - 1, Math.max(0, next))]
    const focused = list.contains(document.activeElement)
    openLine(number)
    seek(lineOf(number).start)
    if (focused) rows.get(number).row.focus({ preventScroll: true })
  }

  list.addEventListener('keydown', move)
  const onTick = (time) => {
    const line = player.mode === 'film' ? state.project?.lines.findLast((one) => one.start <= time + 0.001 && time < one.end) : null
    if ((line?.number ?? 0) === spoken) return
    rows.get(spoken)?.row.classList.remove('spoken')
    spoken = line?.number ?? 0
    rows.get(spoken)?.row.classList.add('spoken')
    if (line) openLine(spoken) // the list follows the film
  }
  player.onTick.push(onTick)
  watch(['project', 'pending', 'filter'], draw)
  watch(['line', 'panel'], mark)
  watch(['characters'], drawKinds)
  drawKinds()
  draw()
  const view = el('section', { class: 'lines', 'aria-label': t('lines') },
    el('div', { class: 'filter' }, find, kind, count), list)
  return { view, step }
}
