// Work that the server does behind the page: its name, how far it is, and a bar of that.

import { el } from './dom.js'
import { told } from './messages.js'
import { duration, t } from './strings.js'

const KINDS = ['export', 'dub', 'voice']

/** What a kind of job is called. */
export const jobName = (kind) => t(`job_${KINDS.includes(kind) ? kind : 'other'}`)

/** What a job is at, and how long it will take. job: {kind, state, done, of, message, seconds_left}. */
export function jobText(job) {
  const name = jobName(job.kind), now = told(job.message ?? '') || t('job_running', name)
  return [job.state === 'queued' ? t('job_queued', name) : now, job.of > 0 && t('of', job.done, job.of), job.seconds_left > 0 && t('seconds_left', duration(job.seconds_left))].filter(Boolean).join(' · ')
}

/** A bar of how far a job is; of one that does not say, it moves. */
export const jobBar = (job) => el('progress', { 'aria-label': jobName(job.kind), max: job.of || null, value: job.of ? job.done : null, title: jobText(job) })
