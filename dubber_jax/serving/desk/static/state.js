// What the page knows, and who is told when it changes.

export const EMOTIONS = ['angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise', 'others']

export const state = {
  id: '', // of the project
  project: null, // as the server gives it
  line: 0, // the number of the line that is open
  detail: null, // that line as the server gives it, with its takes
  pair: [0, 0], // the takes compared, A and B; 0 is the film's own sound
  active: 0, // which of the two is heard
  job: null, // work that is going on: {job, kind, state, done, of, message, seconds_left}
  connected: true,
  view: 'takes', // what a narrow screen shows, and which panel stands at the right of a wide one
  panel: 'direction',
  filter: { text: '', kind: 'all', character: '' },
}

export const lineOf = (number = state.line) => state.project?.lines[number - 1] ?? null
export const takeOf = (number) => state.detail?.takes.find((take) => take.number === number) ?? null

const watchers = new Map() // topic -> functions
let changed = new Set()

/** Calls `act` after any of the topics was told of, once for all that happens in one go. */
export function watch(topics, act) {
  for (const topic of topics) watchers.set(topic, [...(watchers.get(topic) ?? []), act])
}

/** Says that something changed: 'project', 'line', 'detail', 'pair', 'job', 'pending', 'panel', 'filter', 'draft', 'film'. */
export function tell(...topics) {
  if (!changed.size) queueMicrotask(settle)
  for (const topic of topics) changed.add(topic)
}

function settle() {
  const acts = new Set([...changed].flatMap((topic) => watchers.get(topic) ?? []))
  changed = new Set()
  for (const act of acts) act()
}

/** Forgets all watchers: another screen is built. */
export function forget() {
  watchers.clear()
  changed = new Set()
}
