// The film with takes in their slots: the picture is the clock, takes are started where it is, and the film's own sound gives way.

import { playAlone, audio, sound, stopAlone, takeAddress } from './sounds.js'
import { keep, kept, within } from './dom.js'
import { fail } from './notices.js'
import { lineOf, state, tell } from './state.js'

const LEVELS = { mute: 0, low: 0.15, full: 1 } // of the film's own sound while a take sounds
const DRIFT = 0.09 // s between picture and take before the take is started anew
const AHEAD = 4 // s before its slot that a take is fetched
const PATIENCE = 1500 // ms to wait for the picture before a take is heard without it
const FADE = 0.012 // s, of a change from A to B

export const player = {
  video: null,
  mode: '', // '' | 'film' | 'take' | 'guide'
  time: 0,
  waiting: false,
  broken: false, // the film cannot be shown
  onTick: [], // called with the time, as often as it is drawn
  loop: kept('loop', '') === 'yes',
  duck: kept('duck', 'mute') in LEVELS ? kept('duck', 'mute') : 'mute',
}

let run = null // of mode 'take' and 'guide': {line, start, end, takes, from: context time of a run without pictures, done}
const sounding = new Map() // key -> {source, gain, at, offset}
const ready = new WeakMap() // line as the server gave it -> sound of its take
let frame = 0

/** Gives the player its video element. */
export function attach(video) {
  stop()
  Object.assign(player, { video, broken: false, time: 0, waiting: false })
  const { signal } = (attach.bound = new AbortController())
  const on = (name, act) => video.addEventListener(name, act, { signal })
  on('play', go)
  on('playing', () => { player.waiting = false; go(); tell('film') })
  on('waiting', () => { player.waiting = true; silence(); tell('film') })
  on('pause', () => {
    silence()
    if (run?.started && video.paused) stop() // by a media key
    if (player.mode === 'film') player.mode = ''
    tell('film')
  })
  on('seeking', silence)
  on('seeked', () => { tick(); tell('film') })
  on('timeupdate', tick) // where no frames are drawn, as in a window behind others
  on('ended', () => stop())
  on('loadedmetadata', () => tell('film'))
  on('error', () => { player.broken = true; tell('film') })
}

/** Loads the film again where it could not be shown. */
export function reload() {
  if (!player.video || !player.broken) return
  player.broken = false
  player.video.load()
  tell('film')
}

export function detach() {
  stop()
  attach.bound?.abort()
  player.video = null
}

export const duration = () => state.project?.seconds || player.video?.duration || 0
export const isPlaying = () => player.mode !== ''

// What is played

/** Plays the film from where it is, each line with its take; or pauses what plays. */
export async function toggle() {
  stopAlone()
  if (isPlaying()) return stop()
  if (player.broken) return hear([lineOf().take, 0], 0)
  audio()
  player.mode = 'film'
  tell('film')
  try {
    await player.video.play()
  } catch (error) {
    player.mode = ''
    tell('film')
    if (!player.broken) fail(error)
  }
  return undefined
}

/** Plays takes of the open line in its slot, of which the one at `active` of the pair is heard. */
export async function hear(pair, active) {
  const line = lineOf()
  if (!line) return
  begin('take', { line: line.number, start: line.start, end: line.end, pair: [...pair] })
  const mine = run
  state.pair = [...pair]
  state.active = active
  tell('pair')
  const wanted = pair.map((take) => sound(takeAddress(state.id, line.number, take)))
  wanted[1 - active].catch(() => {}) // the other one need not be there
  try {
    const [heard] = await Promise.all([wanted[active], cue(line.start)])
    if (run !== mine) return
    mine.end = line.start + Math.max(heard.duration, 0.1)
    mine.buffers = []
    for (const [n, buffer] of wanted.entries()) buffer.then((decoded) => { mine.buffers[n] = decoded; if (run === mine) mine.end = Math.max(mine.end, line.start + decoded.duration) }, () => {})
    mine.buffers[active] = heard
    await start(mine)
  } catch (error) {
    if (run === mine) stop()
    fail(error)
  }
}

/** Shows the picture of a slot without a sound, for somebody who speaks; `done` is called at its end. */
export async function showSlot(line, done) {
  begin('guide', { line: line.number, start: line.start, end: line.end + 0.5, done })
  const mine = run
  await cue(line.start)
  if (run === mine) await start(mine)
}

/** Switches between A and B, also while they play. */
export function switchPair() {
  state.active = 1 - state.active
  if (player.mode === 'take' && run) fadeTo(state.active)
  tell('pair')
  if (player.mode !== 'take') hear(state.pair, state.active)
}

export function stop() {
  const ended = run
  run = null
  player.mode = ''
  player.waiting = false
  silence()
  if (player.video && !player.video.paused) player.video.pause()
  level()
  ended?.done?.()
  tell('film')
}

/** Goes to a time of the film. What plays of one line ends. */
export function seek(time) {
  if (run) stop()
  const to = within(time, 0, duration())
  player.time = to
  if (player.video && !player.broken) player.video.currentTime = to
  tell('film')
}

export function setLoop(on) {
  player.loop = on
  keep('loop', on ? 'yes' : '')
  tell('film')
}

export function setDuck(name) {
  player.duck = name
  keep('duck', name)
  level()
  tell('film')
}

/** Hears a sound by itself; what plays stops. */
export async function hearAlone(address, ended) {
  stop()
  audio()
  try {
    return playAlone(await sound(address), ended)
  } catch (error) {
    ended()
    fail(error)
    return () => {}
  }
}

// How it is played

function begin(mode, of) {
  const ended = run
  run = null
  ended?.done?.()
  stopAlone()
  silence()
  player.video?.pause()
  run = { buffers: [], from: null, started: false, ...of }
  player.mode = mode
  audio()
  tell('film')
}

/** Brings the picture to a time; gives up after PATIENCE. */
function cue(time) {
  const { video } = player
  player.time = time
  if (!video || player.broken) return Promise.resolve()
  return new Promise((resolve) => {
    const until = new AbortController()
    const ready = () => {
      if (video.seeking || video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return
      end()
    }
    const end = () => { until.abort(); clearTimeout(timer); resolve() }
    const timer = setTimeout(end, PATIENCE)
    for (const name of ['seeked', 'canplay', 'loadeddata']) video.addEventListener(name, ready, { signal: until.signal })
    video.addEventListener('error', end, { signal: until.signal })
    if (Math.abs(video.currentTime - time) > 0.01 || video.seeking) video.currentTime = time
    else ready()
  })
}

async function start(mine) {
  const { video } = player
  level()
  const shown = video && !player.broken && !video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA
  if (shown) await Promise.race([video.play().catch(() => {}), new Promise((resolve) => setTimeout(resolve, PATIENCE))])
  if (run !== mine) return
  if (shown && !video.paused && !player.waiting) mine.started = true
  else {
    video?.pause()
    mine.from = audio().currentTime
  }
  go()
}

function go() {
  cancelAnimationFrame(frame)
  frame = requestAnimationFrame(() => { tick(); if (isPlaying()) go() })
}

function now() {
  if (run?.from != null) return run.start + audio().currentTime - run.from
  return player.video ? player.video.currentTime : player.time
}

function tick() {
  player.time = now()
  const running = run?.from != null || (player.video && !player.video.paused && !player.video.seeking && !player.waiting)
  if (running && player.mode === 'take') tickTake()
  if (running && player.mode === 'guide' && player.time >= run.end) stop()
  if (running && player.mode === 'film') tickFilm()
  level()
  for (const act of player.onTick) act(player.time)
}

function tickTake() {
  const mine = run
  if (player.time >= mine.end) {
    if (player.loop && !player.video.paused) {
      silence()
      player.video.currentTime = mine.start
    } else if (player.loop && mine.from != null) {
      silence()
      mine.from = audio().currentTime
    } else {
      stop()
      seek(mine.start) // the picture of the line, to be heard again
    }
    return
  }
  mine.buffers.forEach((buffer, n) => keepUp(n, buffer, mine.start, n === state.active ? 1 : 0))
}

function tickFilm() {
  const time = player.time
  for (const line of near(time)) {
    if (!line.take) continue
    const buffer = ready.get(line)
    if (!buffer) sound(takeAddress(state.id, line.number, line.take)).then((decoded) => ready.set(line, decoded), () => {})
    else if (time >= line.start && time < line.start + buffer.duration) keepUp(`line ${line.number}`, buffer, line.start, 1)
  }
}

/** Lines whose takes sound at a time or soon after it. */
function near(time) {
  return (state.project?.lines ?? []).filter((line) => line.start - AHEAD <= time && time <= line.end + Math.max(line.overrun_seconds, 0) + 1)
}

/** Starts a sound where it should be at this moment, or anew where it is somewhere else. */
function keepUp(key, buffer, begins, volume) {
  const context = audio()
  const wanted = now() - begins + within(context.outputLatency || 0, 0, 0.3)
  const playing = sounding.get(key)
  if (playing && Math.abs(context.currentTime - playing.at + playing.offset - wanted) < DRIFT) return
  playing?.source.stop()
  sounding.delete(key)
  if (wanted >= buffer.duration || wanted < -0.05) return
  const source = context.createBufferSource(), gain = context.createGain()
  source.buffer = buffer
  gain.gain.value = volume
  source.connect(gain).connect(context.destination)
  const one = { source, gain, at: context.currentTime, offset: Math.max(wanted, 0) }
  source.addEventListener('ended', () => { if (sounding.get(key) === one) sounding.delete(key) })
  source.start(0, one.offset)
  sounding.set(key, one)
}

function fadeTo(active) {
  for (const n of [0, 1]) sounding.get(n)?.gain.gain.setTargetAtTime(n === active ? 1 : 0, audio().currentTime, FADE)
}

function silence() {
  for (const { source } of sounding.values()) {
    try { source.stop() } catch { /* had ended */ }
  }
  sounding.clear()
}

/** The film's own sound: quiet while a take sounds or somebody is to speak. */
function level() {
  const { video, mode, time } = player
  if (!video) return
  const inSlot = mode === 'take' || sounding.size > 0 || (mode === 'film' && near(time).some((line) => line.take && time >= line.start && time < line.end))
  const original = mode === 'take' && state.pair[state.active] === 0
  const volume = mode === 'guide' || original ? 0 : inSlot ? LEVELS[player.duck] : 1
  video.muted = volume === 0
  if (video.volume !== volume && volume > 0) video.volume = volume
}

/** The line that is spoken at a time, or null. */
export function lineAt(time) {
  return (state.project?.lines ?? []).findLast((line) => line.start <= time + 0.001 && time < line.end + Math.max(line.overrun_seconds, 0)) ?? null
}
