// What a person gives to a line: a recording with the emotion wanted, or the line spoken as it should be.

import { el, icon, show } from './dom.js'
import { notify, say } from './notices.js'
import { player, showSlot, stop } from './player.js'
import { isPending, removeReference, sendRecording } from './session.js'
import { decode, playAlone, stopAlone } from './sounds.js'
import { lineOf, state, watch } from './state.js'
import { t } from './strings.js'

const SHORTEST = 0.2 // s
const KINDS = ['audio/webm;codecs=opus', 'audio/mp4', 'audio/ogg;codecs=opus']

/** played: called with the promise of a take that is made. */
export function recordingView(played) {
  const file = el('input', { type: 'file', accept: 'audio/*,video/*', class: 'unseen', id: 'reference-file', onchange: () => { give(file.files[0]); file.value = '' } })
  const drop = el('label', { class: 'drop', for: 'reference-file' })
  const given = el('div', { class: 'given' })
  const guide = el('div', { class: 'guide' })
  let recorder = null, parts = [], taken = null // taken: {line, blob, buffer, name}

  // Reference

  function give(chosen, line = state.line) {
    if (chosen) played(sendRecording(line, 'reference', chosen, chosen.name))
  }

  function drawReference() {
    const line = lineOf()
    if (!line) return
    const busy = isPending(`take ${line.number}`)
    drop.setAttribute('aria-busy', String(busy))
    show(drop, busy ? el('span', { class: 'spinner', 'aria-hidden': 'true' }) : null, el('span', {}, busy ? t('being_played') : t('drop')))
    show(given, line.reference && el('p', {}, el('span', { class: 'name' }, t('referenced', line.reference)),
      el('button', { type: 'button', class: 'quiet', 'data-key': 'remove', 'aria-disabled': String(busy), onclick: () => removeReference(line.number) }, t('remove'))))
  }

  // The whole window takes files, for the line that is open

  let over = 0
  const hasFiles = (event) => state.project && [...(event.dataTransfer?.types ?? [])].includes('Files')
  const marks = {
    dragenter: (event) => { if (hasFiles(event)) { over += 1; document.body.classList.add('dropping'); document.body.dataset.drop = t('drop_now', state.line) } },
    dragleave: (event) => { if (hasFiles(event) && (over -= 1) <= 0) leave() },
    dragover: (event) => { if (hasFiles(event)) event.preventDefault() },
    drop: (event) => { if (hasFiles(event)) { event.preventDefault(); leave(); give(event.dataTransfer.files[0]) } },
  }
  function leave() {
    over = 0
    document.body.classList.remove('dropping')
  }
  for (const [name, act] of Object.entries(marks)) addEventListener(name, act)

  // Guide

  async function record() {
    if (recorder) return recorder.state === 'recording' ? recorder.stop() : undefined
    const line = lineOf()
    taken = null
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return refuse(window.isSecureContext ? 'no_microphone' : 'no_secure')
    let stream
    recorder = { state: 'asking' }
    drawGuide()
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } })
    } catch (error) {
      recorder = null
      return refuse(error.name === 'NotAllowedError' ? 'no_microphone_allowed' : 'no_microphone')
    }
    parts = []
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind))
    recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {})
    recorder.addEventListener('dataavailable', (event) => parts.push(event.data))
    recorder.addEventListener('stop', () => { for (const track of stream.getTracks()) track.stop(); finish(line) })
    recorder.start()
    drawGuide()
    say(t('recording'))
    await showSlot(line, () => { if (recorder?.state === 'recording') recorder.stop() })
    return undefined
  }

  async function finish(line) {
    const kind = recorder.mimeType || 'audio/webm', blob = new Blob(parts, { type: kind })
    recorder = null
    if (player.mode === 'guide') stop()
    try {
      const buffer = await decode(await blob.arrayBuffer())
      if (buffer.duration < SHORTEST) throw new Error(t('too_short'))
      taken = { line: line.number, blob, buffer, name: `guide.${kind.includes('mp4') ? 'mp4' : kind.includes('ogg') ? 'ogg' : 'webm'}` }
      say(t('recorded', buffer.duration.toFixed(1)))
    } catch {
      notify(t('too_short'), 'error')
    }
    drawGuide()
    guide.querySelector('[data-key="use-guide"]')?.focus()
  }

  function refuse(why) {
    notify(t(why), 'error')
    drawGuide()
  }

  async function use() {
    const { line, blob, name } = taken
    if (isPending(`take ${line}`)) return
    if (await played(sendRecording(line, 'guide', blob, name))) taken = null
    drawGuide()
  }

  function drawGuide() {
    const recording = recorder?.state === 'recording', mine = taken?.line === state.line ? taken : null
    const button = el('button', { type: 'button', class: recording ? 'recording' : 'quiet', 'data-key': 'record', 'aria-disabled': recorder?.state === 'asking' ? 'true' : null, title: '(R)', onclick: record }, icon('mic'), t(recording ? 'stop_recording' : 'record'))
    show(guide, el('div', { class: 'actions' }, button, recording && el('span', { class: 'soft' }, t('recording'))),
      mine && el('div', { class: 'actions' }, el('span', { class: 'soft number' }, t('recorded', mine.buffer.duration.toFixed(1))),
        el('button', { type: 'button', class: 'quiet', 'data-key': 'hear-guide', onclick: () => { stop(); playAlone(mine.buffer) } }, icon('play'), t('hear_recording')),
        el('button', { type: 'button', 'data-key': 'use-guide', 'aria-disabled': String(isPending(`take ${mine.line}`)), onclick: use }, t('use_guide')),
        el('button', { type: 'button', class: 'quiet', 'data-key': 'discard', onclick: () => { taken = null; stopAlone(); drawGuide() } }, t('discard'))))
  }

  watch(['line', 'project', 'pending'], () => { drawReference(); drawGuide() })
  drawReference()
  drawGuide()
  const view = el('section', { class: 'panel-body recording-panel', 'aria-label': t('reference') },
    el('h2', { class: 'heading' }, t('reference')), el('p', { class: 'soft' }, t('reference_about')), file, drop, given,
    el('h2', { class: 'heading' }, t('guide')), el('p', { class: 'soft' }, t('guide_about')), guide)
  return { view, record, close: () => { for (const [name, act] of Object.entries(marks)) removeEventListener(name, act); if (recorder?.state === 'recording') recorder.stop() } }
}
