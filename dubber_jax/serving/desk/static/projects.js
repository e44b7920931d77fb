// The list of projects, and the form of a new dub.

import { get, send, upload } from './api.js'
import { backgroundName } from './cast.js'
import { clock, el, show } from './dom.js'
import { jobBar, jobText } from './jobs.js'
import { told, toldError } from './messages.js'
import { fail, tellAway } from './notices.js'
import { preferences } from './preferences.js'
import { language, t } from './strings.js'

const EVERY = 2000 // ms between readings while work is going on, or the server is away
const BACKGROUNDS = ['', 'separate', 'mute', 'duck', 'none']

export function projectsView() {
  const list = el('ul', { class: 'projects' }, el('li', { class: 'soft' }, t('loading')))
  let timer = 0, closed = false, shown = ''

  async function read() {
    clearTimeout(timer)
    let again = EVERY
    try {
      const [{ projects }, dubs] = await Promise.all([get('/desk/projects'), get('/v1/dubs')])
      tellAway(false)
      if (closed) return
      const open = new Set(projects.map(({ id }) => id)), unfinished = (dubs.data ?? []).filter(({ project, status }) => !open.has(project) && status !== 'done')
      const now = JSON.stringify([projects, unfinished])
      if (now !== shown) show(list, projects.length + unfinished.length ? [...unfinished.map(waiting), ...projects.map(item)] : el('li', { class: 'soft' }, t('no_projects')))
      shown = now
      if (![...projects, ...unfinished].some(({ job }) => job)) again = 5 * EVERY
    } catch (error) {
      if (closed) return
      if (error.unreachable) tellAway(true)
      else {
        fail(error)
        again = 10 * EVERY
      }
    }
    timer = setTimeout(read, again)
  }

  function item(project) {
    const { job } = project
    const modified = new Date(typeof project.modified === 'number' ? 1000 * project.modified : project.modified)
    return el('li', {}, el('a', { href: `#${project.id}`, class: 'card' }, el('b', {}, project.name),
      el('span', { class: 'soft' }, project.error ? told(project.error) : t('project_facts', project.lines, project.accepted)), el('span', { class: 'faint time' }, clock(project.seconds, false)),
      !Number.isNaN(modified.getTime()) && el('span', { class: 'faint time' }, modified.toLocaleString(language(), { dateStyle: 'medium', timeStyle: 'short' })),
      job && going(job)))
  }

  const going = (job) => el('span', { class: 'soft going' }, jobBar(job), jobText(job))

  /** A dub that has no project yet, or was left unfinished. */
  function waiting(dub) {
    const act = (name, method, path) => el('button', { type: 'button', class: 'quiet', 'data-key': `${name} ${dub.id}`, onclick: async () => {
      try { await send(method, `/v1/dubs/${encodeURIComponent(dub.id)}${path}`) } catch (error) { fail(error) }
      read()
    } }, t(name))
    return el('li', {}, el('div', { class: 'card' }, el('b', {}, dub.name || t('job_dub')), el('span', { class: 'soft' }, t('lines_n', dub.lines)),
      dub.job ? going(dub.job) : el('span', { class: dub.error ? 'bad' : 'soft' }, toldError(dub.error) || t('left_unfinished')),
      el('span', { class: 'actions' }, dub.job ? act('stop', 'POST', '/cancel') : [act('go_on', 'POST', '/resume'), act('remove', 'DELETE', '')])))
  }

  read()
  const view = el('main', { class: 'start' },
    el('header', { class: 'top' }, el('h1', {}, t('title')), el('span', { class: 'rest' }, preferences())),
    el('section', { 'aria-label': t('projects') }, el('h2', {}, t('projects')), list), newDub(read))
  return { view, close: () => { closed = true; clearTimeout(timer) } }
}

function newDub(read) {
  const film = el('input', { type: 'file', name: 'film', required: true, accept: 'video/*,.mkv,.mxf,.ts,.webm' })
  const script = el('input', { type: 'file', name: 'script', required: true, accept: '.srt,.vtt,.ass,.ssa,.fountain,.txt,text/plain' })
  const voice = el('select', { name: 'voice', required: true })
  const background = el('select', { name: 'background' }, BACKGROUNDS.map((kind) => el('option', { value: kind }, kind ? backgroundName(kind) : '–')))
  const button = el('button', { type: 'submit' }, t('start_dub'))
  const sent = el('span', { class: 'soft', role: 'status' })
  const bar = el('progress', { hidden: true, max: 1, 'aria-label': t('start_dub') })
  const field = (name, input, hint) => el('label', { class: 'field' }, el('span', {}, t(name)), input, hint && el('small', { class: 'faint' }, t(hint)))
  let sending = false

  get('/v1/voices').then((answer) => {
    const names = (answer.voices ?? answer.data ?? []).map((one) => one.name ?? one.id ?? one)
    voice.append(...names.map((name) => el('option', { value: name }, name)))
    if (!names.length) sent.textContent = t('no_voices')
  }, () => {})

  async function start(event) {
    event.preventDefault()
    if (sending) return
    sending = true
    button.setAttribute('aria-disabled', 'true')
    bar.hidden = false
    const form = new FormData()
    form.append('film', film.files[0])
    form.append('script', script.files[0])
    form.append('voice', voice.value)
    if (background.value) form.append('background', background.value)
    try {
      await upload('POST', '/desk/projects', form, undefined, (share) => {
        bar.value = share
        sent.textContent = share < 1 ? t('uploading', Math.floor(100 * share)) : t('uploaded')
      })
      for (const input of [film, script]) input.value = ''
      read()
    } catch (error) {
      fail(error)
    } finally {
      sending = false
      button.removeAttribute('aria-disabled')
      bar.hidden = true
      sent.textContent = ''
    }
  }

  return el('form', { class: 'panel new-dub', onsubmit: start }, el('h2', {}, t('new_dub')),
    field('film', film, 'film_hint'), field('script', script, 'script_hint'), field('voice', voice, 'cast_hint'), field('background', background),
    el('div', { class: 'actions' }, button, bar, sent))
}
