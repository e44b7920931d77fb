// The bar at the top: the project, undo and redo, work that is going on, and export.

import { el, icon, show } from './dom.js'
import { downloadLink } from './cast.js'
import { jobBar, jobText } from './jobs.js'
import { showHelp } from './keys.js'
import { exportFilm, isPending, step, stopJob } from './session.js'
import { state, watch } from './state.js'
import { changeName, t } from './strings.js'
import { preferences } from './preferences.js'

export function headerView() {
  const steps = el('span', { class: 'steps' }), job = el('div', { class: 'job' }), last = el('span', { class: 'last' })
  const link = el('span', { class: 'link-state', role: 'img' })

  function draw() {
    const { project } = state
    if (!project) return
    const name = (which) => (project[which] ? t(`${which}_what`, changeName(project, which)) : t(which))
    const one = (which) => el('button', { type: 'button', class: 'bare', 'data-key': which, disabled: !project[which] || isPending('step'), 'aria-label': name(which), title: name(which), onclick: () => step(which) }, icon(which))
    show(steps, one('undo'), one('redo'))
    const ready = !project.exported && project.lines.every((line) => line.accepted)
    show(last, downloadLink(), el('button', { type: 'button', class: ready ? '' : 'quiet', 'data-key': 'export', 'aria-disabled': String(Boolean(state.job) || isPending('export')), title: `${t('export')} (E)`, onclick: exportFilm }, t('export')))
    link.classList.toggle('off', !state.connected)
  }

  function drawJob() {
    const now = state.job
    job.hidden = !now
    if (!now) return show(job)
    return show(job, jobBar(now), el('span', { class: 'soft number' }, jobText(now)),
      el('button', { type: 'button', class: 'bare', 'data-key': 'stop', 'aria-label': t('stop'), title: t('stop'), 'aria-disabled': String(isPending('stop')), onclick: stopJob }, icon('close')))
  }

  watch(['project', 'pending', 'job', 'connection'], draw)
  watch(['job', 'pending'], drawJob)
  draw()
  drawJob()
  return el('header', { class: 'top' }, el('a', { href: '#', class: 'home', 'aria-label': t('projects') }, '‹'), el('h1', {}, state.project.name), steps, job,
    el('span', { class: 'rest' }, preferences(), el('button', { type: 'button', class: 'bare', title: `${t('help')} (?)`, 'aria-label': t('help'), onclick: showHelp }, '?'), last))
}
