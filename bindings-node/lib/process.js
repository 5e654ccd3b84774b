// Owns: a payload that runs: its streams, its news, its end.
// Must not: start one; block; keep a thread.
'use strict'

const { EventEmitter } = require('node:events')
const net = require('node:net')
const { Readable } = require('node:stream')
const { setTimeout: sleep } = require('node:timers/promises')

const { Capture } = require('./capture.js')
const { AbortError, SandboxError, call, failed, later, refused } = require('./errors.js')
const { KeptRoot } = require('./files.js')
const { interval, signalNumber, terminalSize, text } = require('./options.js')
const { Outcome, camel, sample } = require('./outcome.js')
const { Terminal } = require('./terminal.js')

/** How long streams are read on after everything inside is dead: only a holder outside of the sandbox keeps them open. */
const LINGER_MS = 50
/** How long the record socket may lag behind the doorbell at the end. */
const LAG_MS = 1000

/**
 * A payload that was started, or could not be. Awaiting it gives its outcome.
 *
 * `launch` starts it and returns the native handle; an error of it is told through the promise, or as 'error'.
 */
class Process extends EventEmitter {
  #native = null
  #argv
  #check
  #signal
  #abort = null
  #bell = null
  #streams = [null, null, null]
  #captures = [null, null, null]
  #promise = null
  #settled = null
  #settle = []
  #referenced = true
  #concluding = false
  #late = false
  #aside = false
  #hasTerminal = false
  #kept = null
  #turn = Promise.resolve()

  constructor(launch, argv, live) {
    super()
    this.#argv = argv
    this.#check = live.check === true
    this.#signal = live.signal
    if (this.#signal?.aborted) {
      this.#finish(new AbortError(this.#signal))
      return
    }
    try {
      this.#native = launch()
    } catch (error) {
      // What the caller got wrong is told at once, as everywhere in Node.
      if (error instanceof SandboxError && error.kind === 'config') throw error
      this.#finish(error)
      return
    }
    this.#aside = this.#native.listsChanges
    this.#hasTerminal = this.#native.hasTerminal
    Object.defineProperty(this, 'pid', { value: this.#native.pid, enumerable: true })
    this.#listen()
    process.nextTick(() => this.emit('spawn'))
  }

  #listen() {
    this.#bell = new net.Socket({ fd: this.#native.doorbell(), readable: true, writable: false })
    this.#bell.on('data', () => this.#drain())
    this.#bell.on('error', () => {})
    this.#bell.on('close', () => this.#afterBell())
    if (this.#signal) {
      this.#abort = () => this.#tell((native) => native.cancel())
      this.#signal.addEventListener('abort', this.#abort, { once: true })
    }
  }

  /** Takes the outcome, if it is there. A promise where that may take long: it lists what was changed. */
  #drain() {
    if (this.#over) return undefined
    if (this.#aside) {
      this.#turn = this.#turn.then(() => this.#drainAside())
      return this.#turn
    }
    try {
      this.#news(call(() => this.#native.drain()))
    } catch (error) {
      this.#finish(error)
    }
    return undefined
  }

  async #drainAside() {
    if (this.#over) return
    try {
      this.#news(await later(() => this.#native.drainAside()))
    } catch (error) {
      this.#finish(error)
    }
  }

  get #over() {
    return this.#native === null || this.#settled !== null || this.#concluding
  }

  #news(json) {
    if (json !== null && !this.#over) this.#conclude(JSON.parse(json))
  }

  /** Init is gone. What it said last may still be on its way. */
  async #afterBell() {
    const until = Date.now() + LAG_MS
    for (;;) {
      await this.#drain()
      if (this.#over) return
      if (Date.now() >= until) break
      await sleep(2)
    }
    this.#finish(new SandboxError({ kind: 'lost', stage: 'supervise', message: 'init ended without a word about the payload' }))
  }

  /** The payload has ended. What it wrote is read to its end first. */
  #conclude(json) {
    if (this.#concluding) return
    this.#concluding = true
    // What a pipe still holds belongs to whoever asks later.
    this.#late = this.#promise === null
    this.#capture()
    this.#kept = this.#native.takeKeptRoot()
    this.#close()
    const open = [1, 2].filter((index) => this.#captures[index] !== null && !this.#streams[index].closed)
    const done = () => {
      clearTimeout(timer)
      this.#finish(null, new Outcome(json, this.#captures[1], this.#captures[2]))
    }
    // A loop that was busy meanwhile has not looked at them yet: it does before the second turn from now.
    const give = () => open.forEach((index) => this.#streams[index].destroy())
    const timer = setTimeout(() => setImmediate(() => setImmediate(give)), LINGER_MS)
    if (open.length === 0) return done()
    let left = open.length
    for (const index of open) this.#streams[index].once('close', () => --left === 0 && done())
  }

  /** Gives the native part back. */
  #close() {
    this.#streams[0]?.destroy()
    this.#bell?.destroy()
    const native = this.#native
    this.#native = null
    native?.close()
    if (this.#abort) this.#signal.removeEventListener('abort', this.#abort)
  }

  #finish(error, outcome = null) {
    if (this.#settled !== null) return
    this.#close()
    if (error === null && outcome.ended === 'cancelled' && this.#signal?.aborted) error = new AbortError(this.#signal, outcome)
    else if (error === null && this.#check && !outcome.ok) error = failed(this.#argv, outcome)
    this.#settled = { error, outcome: outcome ?? error?.outcome ?? null }
    process.nextTick(() => {
      const { outcome } = this.#settled
      for (const settle of this.#settle.splice(0)) settle()
      if (outcome !== null) this.emit('exit', outcome)
      // An error that somebody awaits is theirs. One of `check` is nobody else's.
      if (error !== null && this.#promise === null && (outcome === null || error instanceof AbortError)) this.emit('error', error)
      this.emit('close')
    })
  }

  /** Our end of a pipe as a stream, made when it is first asked for. */
  #take(index) {
    if (this.#streams[index] === null && this.#native !== null) {
      const fd = call(() => this.#native.takeStream(index))
      if (fd === null) return null
      const typed = index === 1 ? call(() => this.#native.takeTerminal()) : null
      const stream = typed === null ? new net.Socket({ fd, readable: index !== 0, writable: index === 0 }) : new Terminal(fd, typed)
      if (!this.#referenced) stream.unref()
      this.#streams[index] = stream
    }
    return this.#streams[index]
  }

  /** Standard input, where it is a pipe; else null. */
  get stdin() {
    return this.#take(0)
  }

  /** Standard output, where it is a pipe that nobody waits for; else null. */
  get stdout() {
    return this.#readable(1)
  }

  /** Standard error, likewise. */
  get stderr() {
    return this.#readable(2)
  }

  /** Our end of its terminal, where it has one that nobody waits for; else null. It is `stdout`, and can be written to. */
  get terminal() {
    const stream = this.#hasTerminal ? this.stdout : null
    return stream instanceof Terminal ? stream : null
  }

  /** Tells its terminal the new size. */
  resize(size) {
    const checked = terminalSize(size ?? NaN, 'resize')
    this.#tell((native) => native.resize(checked))
  }

  #readable(index) {
    if (this.#captures[index] === null) return this.#take(index)
    return this.#late ? Readable.from([this.#captures[index].bytes]) : null
  }

  /** The outcome, once there is one; else null. */
  get outcome() {
    return this.#settled?.outcome ?? null
  }

  /** Waits for the end. Pipes that nobody took are read into the outcome, bounded; an untaken standard input is closed. */
  wait() {
    this.#promise ??= new Promise((resolve, reject) => {
      const settle = () => {
        const { error, outcome } = this.#settled
        if (error === null) resolve(outcome)
        else reject(error)
      }
      if (this.#settled !== null) return settle()
      this.#settle.push(settle)
      // Whoever takes a stream in this same turn has it.
      process.nextTick(() => this.#capture())
    })
    return this.#promise
  }

  #capture() {
    if (this.#native === null) return
    if (this.#streams[0] === null) this.#take(0)?.destroy()
    const { outputLimit, overflowKills } = this.#native
    for (const index of [1, 2]) {
      if (this.#streams[index] !== null) continue
      const stream = this.#take(index)
      if (stream === null) continue
      const overflow = () => overflowKills && this.#tell((native) => native.endForOutput())
      this.#captures[index] = new Capture(stream, outputLimit, overflow)
    }
  }

  then(resolved, rejected) {
    return this.wait().then(resolved, rejected)
  }

  catch(rejected) {
    return this.wait().catch(rejected)
  }

  finally(settled) {
    return this.wait().finally(settled)
  }

  /** What it writes, as it comes, and its end: `{ type: 'stdout', data }`, `{ type: 'stderr', data }`, `{ type: 'exit', outcome }`. */
  async *[Symbol.asyncIterator]() {
    const pending = []
    let wake = () => {}
    let open = 0
    for (const type of ['stdout', 'stderr']) {
      const stream = this[type]
      if (stream === null) continue
      open += 1
      stream.on('data', (data) => {
        pending.push({ type, data })
        // Read on when this was taken: what nobody takes stays in the pipe.
        stream.pause()
        wake()
      })
      stream.on('error', () => {})
      stream.once('close', () => {
        open -= 1
        wake()
      })
    }
    let error = null
    let outcome = null
    this.wait().then((value) => (outcome = value), (reason) => (error = reason)).finally(() => wake())
    try {
      for (;;) {
        while (pending.length > 0) {
          const event = pending.shift()
          yield event
          this.#streams[event.type === 'stdout' ? 1 : 2]?.resume()
        }
        if (error !== null) throw error
        if (outcome !== null && open === 0) {
          yield { type: 'exit', outcome }
          return
        }
        await new Promise((resolve) => (wake = resolve))
      }
    } finally {
      if (this.#settled === null) await this.dispose()
    }
  }

  /** The changed root of a process that was started with `keepRoot`, once: after its end; else null. Close it. */
  takeKeptRoot() {
    const kept = this.#settled === null ? null : this.#kept
    if (kept === null) return null
    this.#kept = null
    return new KeptRoot(kept)
  }

  /** Kills the whole sandbox. Await the process for its end. */
  kill(...args) {
    if (args.length > 0) throw refused('kill() kills the whole sandbox and takes no signal', "p.signal('SIGTERM') sends one to the payload")
    this.#tell((native) => native.kill())
  }

  /** Sends a signal to the payload alone: `'SIGTERM'`, or its number. */
  signal(signal) {
    const number = signalNumber(signal)
    this.#tell((native) => native.signal(number))
  }

  /** What it has used until now. */
  async usage() {
    if (this.#native !== null) return camel(JSON.parse(await this.#ask((native) => native.usage())))
    // It has ended; what is still in its pipes is being read.
    if (this.#settled === null) await new Promise((resolve) => this.#settle.push(resolve))
    if (this.#settled.outcome === null) throw this.#settled.error
    return this.#settled.outcome.usage
  }

  /** What is used: now, then every `intervalMs` until the payload has ended. Leaving the loop does nothing to it. */
  samples(options) {
    return this.#samples(interval(options))
  }

  async *#samples(intervalMs) {
    if (this.#settled !== null && this.#settled.outcome === null) throw this.#settled.error
    let wake = () => {}
    const ended = () => wake()
    this.once('close', ended)
    try {
      for (;;) {
        const told = await this.#ask((native) => native.sample())
        if (typeof told !== 'string') return
        yield sample(JSON.parse(told))
        if (this.#native === null) return
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, intervalMs)
          if (!this.#referenced) timer.unref()
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    } finally {
      this.off('close', ended)
    }
  }

  /** Stops every process of the sandbox, until `thaw`. Deadlines run on. */
  async freeze() {
    await this.#ask((native) => native.freeze())
  }

  async thaw() {
    await this.#ask((native) => native.thaw())
  }

  /** Changes limits: keys of the section `limits`. What is not given stays. */
  async update(limits) {
    await this.#ask((native) => native.update(text(limits)))
  }

  /** Says it to whoever is still there. */
  #tell(what) {
    if (this.#native !== null) call(() => what(this.#native))
  }

  /** The same, of what may take long. */
  async #ask(what) {
    return this.#native === null ? undefined : later(() => what(this.#native))
  }

  /** Keeps the event loop alive until the end (the default). */
  ref() {
    this.#referenced = true
    for (const socket of [this.#bell, ...this.#streams]) socket?.ref()
    return this
  }

  /** Lets the event loop end before it. The sandbox dies with this process then. */
  unref() {
    this.#referenced = false
    for (const socket of [this.#bell, ...this.#streams]) socket?.unref()
    return this
  }

  /** Kills it and waits for the end. */
  async dispose() {
    this.kill()
    await this.wait().catch(() => {})
  }
}

// Node 20 has the symbol from 20.5 on.
if (Symbol.asyncDispose) Process.prototype[Symbol.asyncDispose] = Process.prototype.dispose

module.exports = { Process }
