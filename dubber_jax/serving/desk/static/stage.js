// The picture with the subtitle over it, and what plays it.

import { at } from './api.js'
import { clock, el, fill, icon, show } from './dom.js'
import { told } from './messages.js'
import { attach, duration, isPlaying, lineAt, player, seek, setDuck, setLoop, toggle } from './player.js'
import { openLine } from './session.js'
import { state, watch } from './state.js'
import { t } from './strings.js'

export function stageView() {
  const { project } = state
  const video = el('video', { preload: 'auto', playsinline: true, src: at(state.id, 'film'), 'aria-label': t('player'), tabindex: -1, onclick: toggle })
  const still = el('img', { class: 'still', alt: '', hidden: true })
  const subtitle = el('p', { class: 'subtitle', 'aria-hidden': 'true' })
  const status = el('p', { class: 'told', role: 'status' })
  const picture = el('div', { class: 'picture', style: { 'aspect-ratio': `${project.width || 16} / ${project.height || 9}` } }, video, still, subtitle, status)
  const play = el('button', { type: 'button', class: 'quiet round', onclick: toggle })
  const time = el('span', { class: 'time' })
  const range = el('input', { type: 'range', min: 0, max: Math.max(duration(), 0.1), step: 0.01, value: 0, 'aria-label': t('position'), oninput: () => seek(Number(range.value)) })
  const slots = el('canvas', { class: 'slots', 'aria-hidden': 'true', onclick: pick })
  const duck = el('select', { 'aria-label': t('film_sound'), title: t('film_sound'), onchange: () => setDuck(duck.value) },
    ['mute', 'low', 'full'].map((name) => el('option', { value: name, selected: player.duck === name }, t(`film_${name}`))))
  const loop = el('button', { type: 'button', class: 'bare', 'aria-label': t('loop'), title: `${t('loop')} (L)`, 'aria-pressed': String(player.loop), onclick: () => setLoop(!player.loop) }, icon('loop'))
  const view = el('section', { class: 'stage', 'aria-label': t('player') }, picture,
    el('div', { class: 'transport' }, play, time, el('div', { class: 'timeline' }, range, slots), el('label', { class: 'duck' }, el('span', { 'aria-hidden': 'true' }, icon('sound')), duck), loop))
  attach(video)

  function pick(event) {
    const box = slots.getBoundingClientRect()
    const to = (duration() * (event.clientX - box.left)) / box.width
    const line = lineAt(to)
    if (line) openLine(line.number)
    seek(line ? line.start : to)
  }

  let shown = ''
  function tick(now) {
    const line = player.mode === 'take' || player.mode === 'guide' || !isPlaying() ? state.project?.lines[state.line - 1] : lineAt(now)
    const near = line && now >= line.start - 0.05 && now <= line.end + 0.6
    const text = near ? line.text : ''
    if (text !== shown) subtitle.textContent = shown = text
    subtitle.hidden = !text
    if (document.activeElement !== range || isPlaying()) range.value = now
    fill(range)
    time.textContent = `${clock(now)} / ${clock(duration(), false)}`
    range.setAttribute('aria-valuetext', clock(now))
  }

  function draw() {
    const playing = isPlaying()
    show(play, icon(playing ? 'pause' : 'play'))
    play.setAttribute('aria-label', t(playing ? 'pause' : 'play'))
    play.title = `${t(playing ? 'pause' : 'play')} (Space)`
    loop.setAttribute('aria-pressed', String(player.loop))
    duck.value = player.duck
    range.max = Math.max(duration(), 0.1)
    view.dataset.playing = player.mode
    const take = state.pair[state.active]
    const what = { take: take ? t('playing_take', take) : t('playing_original'), film: t('playing_film'), guide: t('recording') }[player.mode]
    const { film_ready: ready, film_error: missing } = state.project
    status.textContent = ready === false && !missing ? t('making_film') : player.broken ? (missing ? told(missing) : t('no_film')) : player.waiting ? t('waiting_film') : what ?? ''
    status.hidden = !status.textContent
    video.hidden = player.broken
    still.hidden = !player.broken
    if (player.broken) {
      const address = at(state.id, 'lines', state.line, 'frame.jpg')
      if (still.getAttribute('src') !== address) still.src = address
    }
    tick(player.time)
  }

  function drawSlots() {
    const box = slots.getBoundingClientRect(), scale = devicePixelRatio || 1
    if (!box.width) return
    slots.width = box.width * scale
    slots.height = box.height * scale
    const pen = slots.getContext('2d'), styles = getComputedStyle(slots), seconds = duration() || 1
    for (const line of state.project?.lines ?? []) {
      const left = (line.start / seconds) * slots.width, width = Math.max(2, ((line.end - line.start) / seconds) * slots.width - 1)
      pen.globalAlpha = line.number === state.line ? 1 : 0.55
      pen.fillStyle = styles.getPropertyValue(`--${line.emotion}`) || styles.color
      pen.fillRect(left, 0, width, slots.height)
      if (line.number === state.line) {
        pen.fillStyle = styles.color
        pen.fillRect(left, slots.height - 2 * scale, width, 2 * scale)
      }
    }
  }

  player.onTick.push(tick)
  watch(['film', 'pair', 'line', 'project'], draw)
  watch(['line', 'project', 'film'], drawSlots)
  const sized = new ResizeObserver(drawSlots)
  sized.observe(slots)
  draw()
  return { view, close: () => sized.disconnect() }
}
