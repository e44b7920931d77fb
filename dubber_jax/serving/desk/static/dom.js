// Elements, made of texts and never of HTML, and redrawing that keeps the focus.

const SVG = 'http://www.w3.org/2000/svg'

/** An element. `on…`: listeners; `style`: properties of CSS; true: an attribute without a value; null, false: none. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) set(made, name, value)
  made.append(...children.flat().filter((child) => child != null && child !== false))
  return made
}

function set(element, name, value) {
  if (value == null || value === false) return
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
  else if (name === 'style') for (const [key, of] of Object.entries(value)) element.style.setProperty(key, of)
  else if (name === 'value' || name === 'checked' || name === 'selected') element[name] = value
  else element.setAttribute(name, value === true ? '' : value)
}

const ICONS = {
  play: 'M5 3.2v9.6l8-4.8z',
  pause: 'M4 3h3v10H4zM9 3h3v10H9z',
  check: 'M3 8.5l3.2 3.2L13 4.6',
  undo: 'M6 4L3 7l3 3M3.5 7H9a3.5 3.5 0 010 7H6',
  redo: 'M10 4l3 3-3 3M12.5 7H7a3.5 3.5 0 000 7h3',
  mic: 'M8 2a2 2 0 012 2v4a2 2 0 01-4 0V4a2 2 0 012-2zM4 7.5a4 4 0 008 0M8 11.5V14',
  loop: 'M4 9V7a2 2 0 012-2h6M10 3l2 2-2 2M12 7v2a2 2 0 01-2 2H4M6 13l-2-2 2-2',
  close: 'M4 4l8 8M12 4l-8 8',
  sound: 'M3 6v4h2.5L9 13V3L5.5 6zM11 6a3 3 0 010 4M12.8 4a6 6 0 010 8',
}
const FILLED = new Set(['play', 'pause'])

/** A small drawing that only repeats what the text or label beside it says. */
export function icon(name) {
  const drawn = document.createElementNS(SVG, 'svg')
  const path = document.createElementNS(SVG, 'path')
  drawn.setAttribute('viewBox', '0 0 16 16')
  drawn.setAttribute('class', FILLED.has(name) ? 'icon filled' : 'icon')
  drawn.setAttribute('aria-hidden', 'true')
  path.setAttribute('d', ICONS[name])
  drawn.append(path)
  return drawn
}

/** Puts `parts` in place of what `region` holds. What had the focus has it afterwards, found by its `data-key`. */
export function show(region, ...parts) {
  const focused = region.contains(document.activeElement) ? document.activeElement : null
  const key = focused?.closest('[data-key]')?.dataset.key
  const caret = focused && 'selectionStart' in focused ? [focused.selectionStart, focused.selectionEnd] : null
  const scrolled = [...region.querySelectorAll('[data-scroll]')].map((one) => [one.dataset.scroll, one.scrollLeft])
  region.replaceChildren(...parts.flat().filter((part) => part != null && part !== false))
  for (const [name, left] of scrolled) {
    const again = region.querySelector(`[data-scroll="${name}"]`)
    if (again) again.scrollLeft = left
  }
  if (!focused) return
  const again = key && region.querySelector(`[data-key="${CSS.escape(key)}"]`)
  if (again) {
    again.focus({ preventScroll: true })
    if (caret && caret[0] != null && again.setSelectionRange) again.setSelectionRange(...caret)
  } else {
    region.tabIndex = -1
    region.focus({ preventScroll: true })
  }
}

/** Draws the part of a slider between a value, by default the lowest, and where it stands. */
export function fill(range, from = range.min) {
  const place = (value) => `${(100 * (value - range.min)) / (range.max - range.min)}%`
  const [low, high] = [Number(from), Number(range.value)].sort((a, b) => a - b)
  range.style.setProperty('--from', place(low))
  range.style.setProperty('--at', place(high))
}

/** A number between two others. */
export const within = (value, low, high) => Math.min(high, Math.max(low, value))

/** Seconds as 1:02.50, or 1:02 without hundredths. */
export function clock(seconds, hundredths = true) {
  const rest = hundredths ? (seconds % 60).toFixed(2).padStart(5, '0') : String(Math.floor(seconds % 60)).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`
}

/** What localStorage keeps under a name, where the browser keeps anything. */
export function kept(name, otherwise) {
  try { return localStorage.getItem(`desk.${name}`) ?? otherwise } catch { return otherwise }
}

export function keep(name, value) {
  try { localStorage.setItem(`desk.${name}`, value) } catch { /* this browser keeps nothing: asked for again next time */ }
}
