// The film as a whole: a voice for each character, the sound behind the dialogue, and the export.

import { at } from './api.js'
import { el, show } from './dom.js'
import { toldList } from './messages.js'
import { chooseBackground, chooseVoice, exportFilm, isPending } from './session.js'
import { state, tell, watch } from './state.js'
import { t } from './strings.js'

export function castView() {
  const view = el('section', { class: 'panel-body cast', 'aria-label': t('cast') })

  function draw() {
    const { project, job } = state
    if (!project) return
    const accepted = project.lines.filter((line) => line.accepted).length
    show(view, el('h2', { class: 'heading' }, t('cast')), el('ul', { class: 'characters' }, project.characters.map(character)),
      el('h2', { class: 'heading' }, t('narrow_background')), backgrounds(project),
      el('h2', { class: 'heading' }, t('export')),
      el('p', { class: 'soft' }, t('progress_of', accepted, project.lines.length), el('progress', { max: project.lines.length, value: accepted, 'aria-label': t('accepted') })),
      el('p', { class: 'soft' }, project.exported ? t('exported', project.output) : t('not_exported')),
      el('div', { class: 'actions' },
        el('button', { type: 'button', 'data-key': 'export', 'aria-disabled': String(Boolean(job) || isPending('export')), onclick: exportFilm }, t('export')),
        downloadLink()),
      toldList(project.warnings, 'warnings small'),
      el('p', { class: 'faint small' }, t('model', project.model)))
  }

  function character({ name, voice, lines }) {
    const busy = isPending(`voice ${name}`)
    const known = state.project.voices.some((one) => one.name === voice)
    const choice = el('select', { 'data-key': `voice ${name}`, 'aria-label': t('voice_of', name || t('nobody')), 'aria-busy': String(busy), disabled: Boolean(state.job) || busy, onchange: () => { chooseVoice(name, choice.value); tell('filter') } },
      !known && el('option', { value: voice, selected: true }, voice),
      state.project.voices.map((one) => el('option', { value: one.name, selected: one.name === voice }, one.name)))
    return el('li', {}, el('span', { class: 'name' }, el('b', {}, name || t('nobody')), el('small', { class: 'faint' }, t('lines_n', lines))), choice)
  }

  function backgrounds({ background, backgrounds: kinds }) {
    const choice = el('select', { 'data-key': 'background', 'aria-label': t('background'), disabled: isPending('background'), onchange: () => chooseBackground(choice.value) },
      [...new Set([...kinds, background])].map((kind) => el('option', { value: kind, selected: kind === background }, backgroundName(kind))))
    return choice
  }

  watch(['project', 'pending', 'job'], draw)
  draw()
  return { view }
}

const BACKGROUNDS = ['separate', 'mute', 'duck', 'none']

/** What a kind of background is called; a recording has its own name. */
export const backgroundName = (kind) => (BACKGROUNDS.includes(kind) ? t(`background_${kind}`) : kind || t('background_file'))

/** A link to the exported film, where there is one. */
export function downloadLink() {
  const { project } = state
  if (!project.output) return null
  return el('a', { class: 'button quiet download', href: at(state.id, 'output'), download: project.output.split('/').pop(), 'data-key': 'download', hidden: !project.exported, title: t('exported', project.output) }, t('download'))
}
