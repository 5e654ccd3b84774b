// Owns: the errors that are thrown.  Must not: decide when.
'use strict'

/** Nothing ran, or Pinfold's own part of the work was lost. How a payload ended is an Outcome, never this. */
class SandboxError extends Error {
  #message

  constructor(report) {
    super([report.message, ...(report.problems ?? []).map(line)].join('\n  '))
    this.code = `ERR_PINFOLD_${report.kind.toUpperCase()}`
    this.kind = report.kind
    this.stage = report.stage
    this.step = report.step ?? null
    this.origin = report.origin ?? null
    this.subject = report.subject ?? null
    this.errno = report.errno ?? null
    this.errnoName = report.errno_name ?? null
    this.hint = report.hint ?? null
    this.problems = report.problems ?? []
    this.#message = report.message
  }

  /** The form of `pinfold run --report`, the same in every language. */
  toJSON() {
    const { kind, stage, step, origin, subject, errno, errnoName, hint, problems } = this
    const report = { kind, stage, step, origin, subject, errno, errno_name: errnoName, message: this.#message, hint }
    return problems.length > 0 ? { ...report, problems } : report
  }
}

/** One problem of a config. */
function line({ key, message, hint }) {
  return `${key}: ${message}${hint ? ` (hint: ${hint})` : ''}`
}

/** A payload that did not exit with 0, where `check` was asked for. */
class CommandFailed extends Error {
  constructor(argv, outcome) {
    super(`${argv.map(String).join(' ')}: ${outcome.detail}${excerpt(outcome)}`)
    this.code = 'ERR_PINFOLD_COMMAND_FAILED'
    this.outcome = outcome
  }
}

/** The same, of one that used up its time. */
class TimedOut extends CommandFailed {
  constructor(argv, outcome) {
    super(argv, outcome)
    this.code = 'ERR_PINFOLD_TIMED_OUT'
  }
}

/** What the guest of `runModule` threw, where `check` was asked for. Its stack is text of the guest's: `remoteStack`. */
class RemoteError extends Error {
  constructor(thrown, outcome) {
    super(`${thrown.name}: ${thrown.message}`)
    this.code = 'ERR_PINFOLD_REMOTE'
    this.remoteName = thrown.name
    this.remoteMessage = thrown.message
    this.remoteStack = thrown.stack
    this.outcome = outcome
  }
}

/** The caller's `AbortSignal` fired. `outcome`: what was there until then, null where nothing had started. */
class AbortError extends Error {
  constructor(signal, outcome = null) {
    super('The operation was aborted', { cause: signal.reason })
    this.code = 'ABORT_ERR'
    this.outcome = outcome
  }
}

for (const type of [SandboxError, CommandFailed, TimedOut, RemoteError, AbortError]) {
  Object.defineProperty(type.prototype, 'name', { value: type.name, configurable: true, writable: true })
}

function excerpt(outcome) {
  const text = outcome.stderr === null ? '' : outcome.stderrText.trimEnd()
  return text === '' ? '' : `\n${text.length > 2000 ? `...${text.slice(-2000)}` : text}`
}

/** An error of the caller's that this side finds. */
function refused(message, hint = null) {
  return new SandboxError({ kind: 'config', stage: 'parse', message, hint })
}

/** Calls into the native part, whose errors are reports in JSON. */
function call(what) {
  try {
    return what()
  } catch (error) {
    throw translate(error)
  }
}

/** The same, for what it does on the side and promises. */
async function later(what) {
  try {
    return await what()
  } catch (error) {
    throw translate(error)
  }
}

function translate(error) {
  if (!(error instanceof Error) || !error.message.startsWith('{"kind":')) return error
  const translated = new SandboxError(JSON.parse(error.message))
  Error.captureStackTrace(translated, translate)
  return translated
}

function failed(argv, outcome) {
  const timed = outcome.ended === 'wall_time' || outcome.ended === 'cpu_time'
  return new (timed ? TimedOut : CommandFailed)(argv, outcome)
}

module.exports = { SandboxError, CommandFailed, TimedOut, RemoteError, AbortError, call, failed, later, refused }
