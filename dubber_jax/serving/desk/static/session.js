// The open project: read, followed by its events, and changed one change after another.

import { at, get, send, upload } from './api.js'
import { listen } from './events.js'
import { jobName } from './jobs.js'
import { toldError } from './messages.js'
import { fail, notify, say, tellAway } from './notices.js'
import { reload } from './player.js'
import { forgetSounds } from './sounds.js'
import { lineOf, state, tell } from './state.js'
import { changeName, t } from './strings.js'

let hangUp = () => {}
let lost = false, newest = 0, later = 0

/** Opens a project at a line. Raises what the first reading raises. */
export async function openProject(id, line) {
  closeProject()
  state.id = id
  applyProject(await get(at(id)))
  hangUp = listen(at(id, 'events'), { progress: onProgress, job: onJob, take: onTake, changed: onChanged, film: readLater }, onOpened, onLost)
  openLine(lineOf(line) ? line : 1)
}

export function closeProject() {
  hangUp()
  clearTimeout(later)
  chain = Promise.resolve()
  generation += 1
  pending.clear()
  newest = 0
  Object.assign(state, { id: '', project: null, line: 0, detail: null, pair: [0, 0], active: 0, job: null })
}

function applyProject(project) {
  if (!project || project.id !== state.id) return
  const made = state.project?.film_ready === false && project.film_ready
  state.project = project
  if (made) reload()
  newest = Math.max(newest, project.version)
  setJob(project.job)
  tell('project')
}

/** Reads the project and the open line again. Resolves to whether the server answered. */
export async function readProject() {
  const id = state.id
  if (!id) return true
  try {
    const project = await get(at(id))
    if (id !== state.id) return true
    const changed = project.version !== state.project?.version
    newest = project.version // a server that was started again may count anew
    if (changed) forgetSounds()
    applyProject(project)
    if (changed || !state.detail) await readLine(true)
  } catch (error) {
    if (error.unreachable) return false
    fail(error)
  }
  return true
}

function readLater() {
  clearTimeout(later)
  later = setTimeout(() => { if (!pending.size) readProject() }, 150)
}

// Events

function onOpened() {
  state.connected = true
  tellAway(false)
  if (lost) readProject()
  lost = false
  tell('connection')
}

/** The stream broke: the server is away, or something between lets no stream through; then the project is asked for instead. */
async function onLost() {
  lost = true
  const id = state.id, reached = await readProject()
  if (id !== state.id || !lost) return
  state.connected = reached
  tellAway(!reached)
  tell('connection')
}

function onProgress(data) {
  setJob({ state: 'running', ...data })
}

function onJob(data) {
  const named = jobName(data.kind)
  if (data.state === 'queued' || data.state === 'running') return setJob({ ...(state.job?.job === data.job ? state.job : {}), ...data })
  if (state.job && state.job.job !== data.job) return
  setJob(null)
  if (data.state === 'failed') notify(t('job_failed', named, toldError(data.error)), 'error')
  else notify(t(data.state === 'cancelled' ? 'job_cancelled' : 'job_done', named))
  readProject()
}

function onTake(data) {
  if (pending.size) return
  forgetSounds(data.line)
  if (data.line === state.line) readLine(true)
  readLater()
}

function onChanged(data) {
  newest = Math.max(newest, data.version)
  if (!pending.size && state.project && data.version > state.project.version) readLater()
}

function setJob(job) {
  const known = state.job?.job
  state.job = job?.job ? job : null
  if (job && job.job !== known) say(t('job_running', jobName(job.kind)))
  tell('job')
}

// The open line

let reading = null

/** Opens a line: its takes are read, and the address in the browser names it. */
export function openLine(number) {
  if (!lineOf(number) || number === state.line) return
  state.line = number
  state.detail = null
  state.pair = [lineOf().take, 0]
  state.active = 0
  history.replaceState(null, '', `#${state.id}/${number}`)
  tell('line', 'detail', 'pair', 'draft')
  readLine()
}

/** Reads the takes of the open line. again: what is shown stays until then. */
export async function readLine(again = false) {
  reading?.abort()
  const reader = reading = new AbortController()
  const { id, line } = state
  if (!id || !line) return
  try {
    if (!again) await new Promise((resolve) => setTimeout(resolve, 60)) // lines that are only passed are not read
    if (reader.signal.aborted) return
    const detail = await get(at(id, 'lines', line), { signal: reader.signal })
    if (id !== state.id || line !== state.line) return
    state.detail = detail
    pairUp()
    tell('detail', 'pair', 'draft')
  } catch (error) {
    if (!error.unreachable) fail(error)
  }
}

/** Whether the film has a sound of its own. */
export const hasSound = () => state.project.backgrounds.some((kind) => kind !== 'none')

/** Keeps the pair to takes that exist: at first the one in the film, and the newest other, or the film's own sound. */
function pairUp() {
  const numbers = state.detail.takes.map((take) => take.number), chosen = lineOf().take
  const others = numbers.filter((number) => number !== chosen)
  const [a, b] = state.pair
  if (!numbers.includes(a)) state.pair[0] = chosen
  if (b === 0 || !numbers.includes(b) || b === state.pair[0]) state.pair[1] = others.filter((number) => number !== state.pair[0]).at(-1) ?? (state.pair[0] !== chosen || !hasSound() ? chosen : 0)
  state.active = Math.min(state.active, 1)
}

// Changes

const pending = new Set()
let chain = Promise.resolve(), generation = 0

export const isPending = (...keys) => keys.some((key) => pending.has(key))
export const isBusy = () => pending.size > 0

/**
 * Makes a change when those before it are done. key: a change of the same key that is not yet answered is not sent again.
 * make(version): sends it; its answer is the project, or has it. Resolves to the answer, or undefined where it was refused.
 */
export function change(key, make) {
  if (pending.has(key) || !state.project) return Promise.resolve()
  pending.add(key)
  tell('pending')
  const born = generation
  const done = chain.then(async () => {
    if (born !== generation) return undefined
    try {
      const answer = await make(state.project.version)
      if (born === generation) applyProject(answer?.project ?? (answer?.lines ? answer : null))
      return answer ?? {}
    } catch (error) {
      if (born !== generation) return undefined
      if (error.status === 412) {
        generation += 1 // those that wait were made for what is shown no longer
        pending.clear()
        await readProject()
        notify(t('changed_elsewhere'), 'error')
      } else fail(error)
      return undefined
    } finally {
      if (born === generation) pending.delete(key)
      tell('pending')
      if (!pending.size && state.project && newest > state.project.version) readLater()
    }
  })
  chain = done.catch(() => {})
  return done
}

/** A take of a line, by what `make` sends: shown and returned as soon as it is there. */
async function newTake(line, make) {
  const before = lineOf(line).take
  const answer = await change(`take ${line}`, make)
  if (!answer?.take) return null
  forgetSounds(line, answer.take.number)
  if (line === state.line) {
    if (state.detail && !takeOfDetail(answer.take.number)) state.detail.takes.push(answer.take)
    state.pair = [before === answer.take.number ? state.pair[0] : before, answer.take.number]
    state.active = 1
    tell('detail', 'pair', 'draft')
    readLine(true)
  }
  say(t('take_new', answer.take.number))
  return answer.take
}

const takeOfDetail = (number) => state.detail.takes.some((take) => take.number === number)

export const playAgain = (line, how) => newTake(line, (version) => send('POST', at(state.id, 'lines', line, 'takes'), how, version))

/** kind: 'reference' or 'guide'. */
export function sendRecording(line, kind, file, name) {
  const form = new FormData()
  form.append('file', file, name)
  return newTake(line, (version) => upload('PUT', at(state.id, 'lines', line, kind), form, version))
}

export async function removeReference(line) {
  if (await change(`take ${line}`, (version) => send('DELETE', at(state.id, 'lines', line, 'reference'), undefined, version))) readLine(true)
}

export async function useTake(line, take) {
  if (!take || take === lineOf(line).take) return
  const answer = await change(`use ${line}`, (version) => send('PATCH', at(state.id, 'lines', line), { take }, version))
  if (answer && line === state.line) readLine(true)
}

export const accept = (line, accepted) => change(`accept ${line}`, (version) => send('PATCH', at(state.id, 'lines', line), { accepted }, version))

/** which: 'undo' or 'redo'. */
export async function step(which) {
  const what = changeName(state.project, which)
  if (!what) return
  if (!await change('step', (version) => send('POST', at(state.id, which), undefined, version))) return
  forgetSounds()
  notify(t(which === 'undo' ? 'undone' : 'redone', what))
  readLine(true)
}

export const chooseBackground = (background) => change('background', (version) => send('PUT', at(state.id, 'background'), { background }, version))

async function startJob(key, kind, make) {
  if (state.job) return
  const answer = await change(key, make)
  if (answer?.job && !state.job) setJob({ kind, state: 'queued', ...(typeof answer.job === 'string' ? { job: answer.job } : answer.job) })
  readLater()
}

export const chooseVoice = (character, voice) => startJob(`voice ${character}`, 'voice', (version) => send('PUT', at(state.id, 'characters', character), { voice }, version))
export const exportFilm = () => startJob('export', 'export', (version) => send('POST', at(state.id, 'export'), undefined, version))

export async function stopJob() {
  if (state.job) await change('stop', () => send('DELETE', `/desk/jobs/${encodeURIComponent(state.job.job)}`))
}
