// Sounds of takes and exemplars, fetched once and decoded, and the one context that plays them.

import { at, request } from './api.js'
import { t } from './strings.js'

const MOST = 80 // sounds that are kept

let context = null
const kept = new Map() // address -> promise of its AudioBuffer

/** The context of the page's sounds. Browsers let it sound after the first key or click. */
export function audio() {
  context ??= new AudioContext({ latencyHint: 'interactive' })
  if (context.state === 'suspended') context.resume()
  return context
}

/** Address of a take of a line; 0: the film's own sound in the slot. */
export const takeAddress = (id, line, take) => (take ? at(id, 'lines', line, 'takes', `${take}.wav`) : at(id, 'lines', line, 'original.wav'))

/** The decoded sound at an address. */
export function sound(address) {
  const known = kept.get(address)
  if (known) {
    kept.delete(address)
    kept.set(address, known)
    return known
  }
  const found = fetchSound(address)
  kept.set(address, found)
  found.catch(() => kept.delete(address))
  if (kept.size > MOST) kept.delete(kept.keys().next().value)
  return found
}

async function fetchSound(address) {
  const response = await request(address, { cache: 'no-cache' })
  if (!response.ok) throw new Error(t('no_sound', response.status))
  const bytes = await response.arrayBuffer()
  try {
    return await decode(bytes)
  } catch (error) {
    throw new Error(t('no_sound', error.message), { cause: error })
  }
}

/** Sound of bytes of any kind that the browser knows. Needs no sounding context. */
export const decode = (bytes) => new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes)

/** Forgets decoded sounds: all, those of a line, or one take of it. */
export function forgetSounds(line, take) {
  for (const address of [...kept.keys()]) {
    if (line === undefined || address.includes(`/lines/${line}/takes/${take === undefined ? '' : `${take}.wav`}`)) kept.delete(address)
  }
}

let alone = null

/** Plays one sound by itself: an exemplar, a recording. Returns what stops it; `ended` is called once. */
export function playAlone(buffer, ended = () => {}) {
  alone?.()
  const source = audio().createBufferSource()
  let over = false
  const stop = () => {
    if (over) return
    over = true
    try { source.stop() } catch { /* had ended */ }
    if (alone === stop) alone = null
    ended()
  }
  source.buffer = buffer
  source.connect(audio().destination)
  source.addEventListener('ended', stop)
  source.start()
  alone = stop
  return stop
}

export const stopAlone = () => alone?.()
