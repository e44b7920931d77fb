// The page: which screen is shown, its parts and its keys.

import { send } from './api.js'
import { castView } from './cast.js'
import { directionView } from './direction.js'
import { el, show } from './dom.js'
import { headerView } from './header.js'
import { showHelp, useKeys } from './keys.js'
import { linesView } from './lines.js'
import { fail, notify, tellAway } from './notices.js'
import { detach, hear, player, seek, setLoop, stop, switchPair, toggle } from './player.js'
import { projectsView } from './projects.js'
import { recordingView } from './recording.js'
import { accept, closeProject, exportFilm, isPending, openLine, openProject, step } from './session.js'
import { forgetSounds } from './sounds.js'
import { stageView } from './stage.js'
import { forget, lineOf, state, tell, watch } from './state.js'
import { t } from './strings.js'
import { takesView } from './takes.js'
import { whyView } from './why.js'

const PANELS = ['direction', 'why', 'reference', 'cast'] // at the right of a wide screen
const VIEWS = ['lines', 'takes', ...PANELS] // one at a time on a narrow one
const desk = document.getElementById('desk')
let closing = [], opened = 0, retry = 0

const place = () => {
  const [, id, line] = /^#([^/]+)(?:\/(\d+))?/.exec(location.hash) ?? []
  return { id: id ?? '', line: Number(line) || 1 }
}

function clear() {
  for (const close of closing) close()
  closing = []
  clearTimeout(retry)
  player.onTick = []
  forget()
  useKeys({ '?': showHelp })
}

/** Shows what the address names. */
async function go() {
  const { id, line } = place(), turn = (opened += 1)
  if (id && id === state.id && state.project) {
    if (line !== state.line && lineOf(line)) {
      openLine(line)
      seek(lineOf(line).start)
    }
    return
  }
  clear()
  detach()
  closeProject()
  forgetSounds()
  if (!id) return start()
  show(desk, el('main', { class: 'opening' }, el('span', { class: 'spinner', 'aria-hidden': 'true' }), el('p', { class: 'soft', role: 'status' }, t('loading'))))
  try {
    await openProject(id, line)
  } catch (error) {
    if (turn !== opened) return
    if (error.unreachable) {
      tellAway(true)
      retry = setTimeout(go, 1000)
      return
    }
    if (error.status === 401) return
    fail(error)
    history.replaceState(null, '', location.pathname)
    start()
    return
  }
  if (turn !== opened) return
  tellAway(false)
  work()
  seek(lineOf().start)
}

function start() {
  document.title = t('title')
  document.body.className = 'on-start'
  const { view, close } = projectsView()
  closing.push(close)
  show(desk, view)
}

/** The desk itself. */
function work() {
  document.title = `${state.project.name} · ${t('title')}`
  document.body.className = 'on-desk'
  const time = player.time
  const lines = linesView(), stage = stageView(), takes = takesView()
  const direction = directionView(takes.played), why = whyView(), recording = recordingView(takes.played), cast = castView()
  closing.push(stage.close, recording.close)
  const bodies = { direction: direction.view, why: why.view, reference: recording.view, cast: cast.view }
  const buttons = VIEWS.map((name) => el('button', { type: 'button', class: 'tab', 'data-view': name, onclick: () => choose(name) }, t(name)))
  const tabs = el('nav', { class: 'tabs', 'aria-label': t('title') }, buttons)
  const side = el('div', { class: 'side' }, Object.values(bodies))

  function choose(name) {
    state.view = name
    if (PANELS.includes(name)) state.panel = name
    tell('panel')
  }

  function drawPanel() {
    for (const [name, body] of Object.entries(bodies)) body.hidden = name !== state.panel
    frame.dataset.view = state.view
    for (const button of buttons) {
      const { view } = button.dataset
      button.setAttribute('aria-pressed', String(PANELS.includes(view) ? view === state.panel && (state.view === view || !isNarrow.matches) : view === state.view))
    }
  }

  const isNarrow = matchMedia('(max-width: 860px), (max-width: 960px) and (max-height: 520px)')
  const onNarrow = () => drawPanel()
  isNarrow.addEventListener('change', onNarrow)
  closing.push(() => isNarrow.removeEventListener('change', onNarrow))
  const frame = el('main', { class: 'frame' }, lines.view, el('div', { class: 'middle' }, stage.view, takes.view), el('div', { class: 'right' }, tabs, side))
  show(desk, headerView(), frame)
  watch(['panel'], drawPanel)
  drawPanel()
  tell('line', 'panel', 'film')
  player.time = time

  function goOn() {
    const line = lineOf()
    if (!line.accepted) {
      accept(line.number, true)
      const open = state.project.lines.filter((one) => !one.accepted && !isPending(`accept ${one.number}`))
      const next = open.find((one) => one.number > line.number) ?? open[0]
      if (next) {
        openLine(next.number)
        seek(next.start)
      } else notify(t('all_accepted'))
    } else accept(line.number, false)
  }

  const focusIn = (body) => () => { const name = Object.keys(bodies).find((key) => bodies[key] === body); choose(name); body.querySelector('input, select, button')?.focus() }
  const numbers = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [String(n), () => takes.playTake(n)]))
  useKeys({
    ...numbers,
    ' ': toggle, ArrowDown: () => lines.step(1), ArrowUp: () => lines.step(-1), j: () => lines.step(1), k: () => lines.step(-1),
    ArrowLeft: () => seek(player.time - 1), ArrowRight: () => seek(player.time + 1),
    h: () => (player.mode === 'take' ? stop() : hear(state.pair, state.active)), b: switchPair, u: takes.useHeard, a: goOn,
    n: () => { choose('takes'); takes.focusNote() }, t: takes.another, d: focusIn(bodies.direction), p: direction.send, w: () => choose('why'), g: focusIn(bodies.reference),
    c: focusIn(bodies.cast), r: () => { choose('reference'); recording.record() }, l: () => setLoop(!player.loop), '/': () => { choose('lines'); document.getElementById('find').focus() },
    z: () => step('undo'), y: () => step('redo'), e: exportFilm, '?': showHelp, Escape: stop,
  })
}

/** Builds the screen anew, in another language, at the same place. */
function redraw() {
  const time = player.time
  clear()
  if (!state.project) {
    start()
    document.getElementById('language')?.focus()
    return
  }
  detach()
  work()
  seek(time)
  document.getElementById('language')?.focus()
}

/** Asks for the server's token. */
function askToken() {
  if (document.querySelector('dialog.token')) return
  const input = el('input', { type: 'password', autocomplete: 'current-password', required: true })
  const wrong = el('p', { class: 'bad', role: 'alert' })
  const box = el('dialog', { class: 'token', 'aria-labelledby': 'token-title', oncancel: (event) => event.preventDefault() },
    el('form', { onsubmit: async (event) => {
      event.preventDefault()
      try {
        await send('POST', '/desk/session', { token: input.value })
        box.close()
        box.remove()
        state.id = ''
        state.project = null
        go()
      } catch (error) { wrong.textContent = error.status === 401 ? t('token_wrong') : error.message }
    } }, el('h2', { id: 'token-title' }, t('token')), el('p', { class: 'soft' }, t('token_about')), el('label', { class: 'field' }, el('span', {}, t('token')), input), wrong, el('button', { type: 'submit' }, t('enter'))))
  document.body.append(box)
  box.showModal()
}

addEventListener('hashchange', go)
addEventListener('language-changed', redraw)
addEventListener('look-changed', () => tell('film', 'line'))
addEventListener('token-wanted', askToken)
go()
