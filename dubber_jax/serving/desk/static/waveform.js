// The sound of a take as a drawing, with its words and where it is played.

import { el } from './dom.js'
import { player } from './player.js'
import { sound } from './sounds.js'

/**
 * Drawing of the sound at an address, from `start` to `end` of the film. words: [[word, from, to]] on the film's time;
 * loudest: {peak}, shared by the sounds that are drawn to one scale, `rescaled` is called where it grew.
 */
export function waveform(address, { start, end, words = [], seconds = end - start, heard, loudest = { peak: 0.05 }, rescaled }) {
  const canvas = el('canvas', { 'aria-hidden': 'true' })
  const cursor = el('i', { class: 'cursor' })
  const slot = el('i', { class: 'slot-end', hidden: seconds <= end - start + 0.05 })
  const length = Math.max(seconds, end - start, 0.1)
  const place = (time) => `${(100 * (time - start)) / length}%`
  slot.style.left = place(end)
  const row = el('div', { class: 'word-row', 'aria-hidden': 'true' }, words.map(([word, from, to]) => el('span', { style: { left: place(from), width: `${(100 * (to - from)) / length}%` } }, word)))
  const view = el('div', { class: 'waveform' }, canvas, slot, cursor, words.length > 0 && row)
  let buffer = null

  function draw() {
    const box = canvas.getBoundingClientRect(), scale = devicePixelRatio || 1
    if (!buffer || !box.width) return
    canvas.width = box.width * scale
    canvas.height = box.height * scale
    const pen = canvas.getContext('2d'), data = buffer.getChannelData(0)
    const samples = (length * buffer.sampleRate) / canvas.width, middle = canvas.height / 2
    pen.fillStyle = getComputedStyle(canvas).color
    for (let x = 0; x < canvas.width; x += 1) {
      let highest = 0
      for (let n = Math.floor(x * samples), last = Math.min(data.length, (x + 1) * samples); n < last; n += 3) highest = Math.max(highest, Math.abs(data[n]))
      const height = Math.max(scale, (0.94 * canvas.height * highest) / loudest.peak)
      pen.fillRect(x, middle - height / 2, 1, height)
    }
  }

  function load() {
    sound(address).then((decoded) => {
      if (buffer === decoded) return
      buffer = decoded
      const peak = buffer.getChannelData(0).reduce((most, one) => Math.max(most, Math.abs(one)), 0)
      const grew = peak > loudest.peak
      if (grew) loudest.peak = peak
      if (grew && rescaled) rescaled()
      else draw()
    }, () => view.classList.add('silent'))
  }

  function tick(time) {
    const shown = player.mode === 'take' && heard() && time >= start && time <= start + length
    cursor.hidden = !shown
    if (shown) cursor.style.left = place(time)
  }

  cursor.hidden = true
  new ResizeObserver(draw).observe(canvas)
  return { view, load, tick, draw }
}
