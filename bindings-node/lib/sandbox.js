// Owns: sandboxes and the calls on them.  Must not: know an option that is plain data.
'use strict'

const { native } = require('./native.js')
const { SandboxError, call, later, refused } = require('./errors.js')
const { Files, host, joined } = require('./files.js')
const options = require('./options.js')
const { camel, written } = require('./outcome.js')
const { Process } = require('./process.js')

/** A checked, reusable description. Nothing runs yet. */
class Sandbox {
  #native

  constructor(described) {
    if (described instanceof native.Sandbox) {
      this.#native = described
      return
    }
    const { live, plain } = options.part(described, 'new Sandbox')
    if (live.fds !== undefined) plain.fds = live.fds
    delete live.fds
    for (const name of Object.keys(live)) throw refused(`${name}: belongs to a call, not to the sandbox`, `write box.run([...], { ${name}: ... })`)
    this.#native = call(() => native.Sandbox.fromOptions(options.text(plain)))
  }

  /** From a config file, TOML or JSON by its name. Relative paths in it start at the file. */
  static fromFile(path) {
    return new Sandbox(call(() => native.Sandbox.fromFile(path instanceof URL ? require('node:url').fileURLToPath(path) : String(path))))
  }

  /** Another sandbox: this one's config with these options above it. Tables merge, arrays replace, null unsets. */
  with(above) {
    return new Sandbox(call(() => this.#native.withOptions(options.text(above))))
  }

  /** The config, in the spelling of config files. */
  get config() {
    return JSON.parse(call(() => this.#native.config))
  }

  /** What will be enforced, and what was weakened and why. */
  get report() {
    return JSON.parse(call(() => this.#native.report))
  }

  toJSON() {
    return this.config
  }

  /** What would be done for this payload, one line per operation. Runs nothing. */
  explain(argv, above) {
    const { live, plain } = options.part(above, 'explain')
    return call(() => this.#native.explain(payload(argv, live, callText(plain))))
  }

  /** Starts a payload in a fresh sandbox. Standard input is null, output and error are pipes. */
  spawn(argv, above) {
    const { live, plain } = options.part(above, 'spawn')
    return start(this.#native, argv, live, callText(plain))
  }

  /** Runs a payload to its end in a fresh sandbox, with output and error captured. */
  async run(argv, above) {
    return this.spawn(argv, alone(above))
  }

  /** The same, and hands over the changed root, kept. Needs an overlay. Close it. */
  async runKept(argv, above) {
    const started = this.spawn(argv, { ...above, keepRoot: true })
    let outcome
    try {
      outcome = await started
    } catch (error) {
      await started.takeKeptRoot()?.close()
      throw error
    }
    const kept = started.takeKeptRoot()
    if (kept === null) throw new SandboxError({ kind: 'lost', stage: 'supervise', message: 'the changed root was not handed over' })
    return { outcome, kept }
  }

  /** Sets a sandbox up that stays, in which many payloads run. Close it. */
  async open() {
    return new Session(call(() => this.#native.open()))
  }
}

/** A live sandbox: payloads in it share its file system, processes and network. */
class Session {
  #native
  #files = null
  #closing = null

  constructor(opened) {
    this.#native = opened
  }

  /** Starts a payload in it. */
  spawn(argv, above) {
    const { live, plain } = options.part(above, 'spawn')
    return start(this.#open(), argv, live, callText(plain))
  }

  /** Runs a payload in it to its end. What it leaves running belongs to the session. */
  async run(argv, above) {
    return this.spawn(argv, above)
  }

  /** The files inside, as payloads see them: those of the root and of whatever is mounted in it. */
  get files() {
    this.#files ??= call(() => this.#open().files())
    return new Files(() => {
      this.#open()
      return this.#files
    })
  }

  /** What differs from the layers below the writable one until now, sorted by path. Needs an overlay. */
  async changes() {
    return joined(await later(() => this.#open().changes()), written)
  }

  /** Writes the changes until now to a directory of the host's, new or empty, as a layer. */
  async commit(directory) {
    await later(() => this.#open().commit(host(directory)))
  }

  /** What is enforced, and what was weakened and why. */
  get report() {
    return JSON.parse(call(() => this.#native.report))
  }

  /** Whether it was closed. */
  get closed() {
    return this.#closing !== null || this.#native.closed
  }

  #open() {
    if (this.#closing !== null) throw new SandboxError({ kind: 'closed', stage: 'launch', message: 'the session was closed' })
    return this.#native
  }

  /** Sends a signal to every payload that runs, not to what payloads have started. */
  signal(signal) {
    const number = options.signalNumber(signal)
    call(() => this.#open().signal(number))
  }

  /** What everything inside has used until now. */
  async usage() {
    return camel(JSON.parse(await later(() => this.#open().usage())))
  }

  /**
   * Stops every process inside, until `thaw`. Starting meanwhile is an error (`setup`). What must end thaws the session, and it stays
   * thawed: a payload's deadline, `kill`, SIGKILL, too much output, `killAll`.
   */
  async freeze() {
    await later(() => this.#open().freeze())
  }

  async thaw() {
    await later(() => this.#open().thaw())
  }

  /** Changes limits: keys of the section `limits`. What is not given stays. */
  async update(limits) {
    await later(() => this.#open().update(options.text(limits)))
  }

  /** Kills everything inside. The session stays. */
  async killAll() {
    await later(() => this.#open().killAll())
  }

  /** Kills everything inside, and ends. Closing twice is no error. */
  async close() {
    this.#closing ??= later(() => {
      this.#files = null
      return this.#native.close()
    })
    await this.#closing
  }
}

// Node 20 has the symbol from 20.5 on.
if (Symbol.asyncDispose) Session.prototype[Symbol.asyncDispose] = Session.prototype.close

function callText(plain) {
  return call(() => native.callOptions(options.text(plain)))
}

function payload(argv, live, callOptions) {
  return {
    argv: options.command(argv), call: callOptions, stdio: options.streams(live), terminal: options.terminalSize(live.terminal),
    fds: options.attached(live.fds), keepRoot: live.keepRoot === true,
  }
}

function start(sandbox, argv, live, callOptions) {
  const signal = options.abortSignal(live.signal)
  const described = payload(argv, live, callOptions)
  return new Process(() => call(() => sandbox.spawn(described)), described.argv, { ...live, signal })
}

/** Starts a payload in a sandbox of its own, described along with the call. */
function spawn(argv, all) {
  const { live, plain } = options.part(all, 'spawn')
  options.declared(live, plain)
  const [described, own] = call(() => native.partOptions(options.text(plain)))
  return startOnce(described, argv, live, own)
}

/** In a sandbox that nobody else uses. What its starts share goes at once; the process goes on. */
function startOnce(described, argv, live, own) {
  const sandbox = call(() => native.Sandbox.fromOptions(described))
  try {
    return start(sandbox, argv, live, own)
  } finally {
    sandbox.close()
  }
}

/** Runs a payload to its end in a sandbox of its own. */
async function run(argv, all) {
  return spawn(argv, alone(all))
}

/** Options for who gets the outcome alone, and could not take the root. */
function alone(above) {
  if (above?.keepRoot || above?.keep_root) throw refused('keepRoot: nobody would have the root', 'runKept hands it over with the outcome; after spawn there is p.takeKeptRoot()')
  return above
}

/** What this host can do, and how to enable what it can't. Waits for the one default sandbox that it starts. */
function doctor() {
  const found = JSON.parse(call(() => native.doctor()))
  return { ...found, error: found.error === null ? null : new SandboxError(found.error) }
}

module.exports = { Sandbox, Session, doctor, run, spawn, startOnce }
