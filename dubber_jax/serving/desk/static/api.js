// Requests to the server.

import { toldError } from './messages.js'
import { t } from './strings.js'

/** An answer other than success, or none at all (`unreachable`). */
export class Refused extends Error {
  constructor(message, status = 0, code = '') {
    super(message)
    this.status = status
    this.code = code
    this.unreachable = status === 0
  }
}

export const at = (id, ...path) => ['/desk/projects', id, ...path].map((part, n) => (n ? encodeURIComponent(part) : part)).join('/')

async function read(response) {
  const text = await response.text()
  let answer = null
  try { answer = text ? JSON.parse(text) : null } catch { /* not JSON: told by its status */ }
  if (response.ok) return answer
  throw refusal(response.status, answer)
}

function refusal(status, answer) {
  const { error } = answer ?? {}
  if (status === 401) dispatchEvent(new Event('token-wanted'))
  return new Refused(toldError(error) || t('failed', status), status, error?.code ?? '')
}

/** Fetches; raises Refused. */
export async function request(path, options = {}) {
  let response
  try {
    response = await fetch(path, { credentials: 'same-origin', ...options })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Refused(error.message)
  }
  return response
}

export const get = async (path, options = {}) => read(await request(path, { cache: 'no-store', ...options }))

/** Changes something. body: to be sent as JSON; version: that of the project which the change was made for. */
export async function send(method, path, body, version) {
  const headers = {}
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (version !== undefined) headers['If-Match'] = String(version)
  return read(await request(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }))
}

/** Sends a form with files; `progress` is called with the share that is sent. */
export function upload(method, path, form, version, progress = () => {}) {
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest()
    sender.open(method, path)
    if (version !== undefined) sender.setRequestHeader('If-Match', String(version))
    sender.upload.addEventListener('progress', (event) => progress(event.lengthComputable ? event.loaded / event.total : 0))
    sender.upload.addEventListener('load', () => progress(1))
    sender.addEventListener('error', () => reject(new Refused('')))
    sender.addEventListener('abort', () => reject(new Refused('')))
    sender.addEventListener('load', () => {
      let answer = null
      try { answer = JSON.parse(sender.responseText) } catch { /* as above */ }
      if (sender.status >= 200 && sender.status < 300) resolve(answer)
      else reject(refusal(sender.status, answer))
    })
    sender.send(form)
  })
}
