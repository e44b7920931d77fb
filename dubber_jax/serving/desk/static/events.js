// The stream of a project's events, opened again whenever it breaks.

const FIRST_WAIT = 400, LONGEST_WAIT = 4000 // ms

/** Listens to `address`. handlers: {event: act(data)}; `opened`, `lost`: the stream is there, or is not. Returns what closes it. */
export function listen(address, handlers, opened, lost) {
  let source = null, timer = 0, wait = FIRST_WAIT, closed = false

  function open() {
    clearTimeout(timer)
    source?.close()
    source = new EventSource(address)
    source.addEventListener('open', () => { wait = FIRST_WAIT; opened() })
    source.addEventListener('error', () => {
      source.close()
      if (closed) return
      lost()
      timer = setTimeout(open, wait)
      wait = Math.min(LONGEST_WAIT, 1.6 * wait)
    })
    for (const [name, act] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => act(JSON.parse(event.data)))
    }
  }

  // A window out of sight needs no stream: browsers open only six to one server.
  let hiding = 0
  function seen() {
    clearTimeout(hiding)
    if (document.hidden) hiding = setTimeout(() => { source.close(); clearTimeout(timer) }, 60_000)
    else if (source.readyState === EventSource.CLOSED) open()
  }

  document.addEventListener('visibilitychange', seen)
  addEventListener('online', open)
  open()
  return () => {
    closed = true
    clearTimeout(timer)
    clearTimeout(hiding)
    document.removeEventListener('visibilitychange', seen)
    removeEventListener('online', open)
    source.close()
  }
}
