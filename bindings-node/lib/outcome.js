// Owns: an outcome as JavaScript has it.  Must not: hold an fd or anything that can't be cloned.
'use strict'

/** How a payload ended. Plain data: `structuredClone` and `postMessage` take its fields. */
class Outcome {
  constructor(json, stdout, stderr) {
    this.ended = json.ended
    this.exitCode = json.exit_code
    this.signal = json.signal_name
    this.signalNumber = json.signal
    this.ok = json.ok
    this.detail = json.detail
    this.stdout = stdout?.bytes ?? null
    this.stderr = stderr?.bytes ?? null
    this.stdoutTruncated = json.stdout_truncated || (stdout?.truncated ?? false)
    this.stderrTruncated = json.stderr_truncated || (stderr?.truncated ?? false)
    this.durationMs = json.duration * 1000
    this.usage = camel(json.usage)
    this.timings = camel(json.timings)
    this.report = { enforced: json.report.enforced, degradations: json.report.degradations }
    Object.defineProperty(this, 'json', { value: json })
  }

  /** Standard output as text; what is not UTF-8 is replaced. */
  get text() {
    return decode(this.stdout)
  }

  /** Standard error as text. */
  get stderrText() {
    return decode(this.stderr)
  }

  /** What was changed in the root, sorted by path, where it has an overlay; else null. A path that is no text is a Buffer. */
  changes() {
    return this.json.changes?.map(written) ?? null
  }

  /** The form of `pinfold run --report`, the same in every language. */
  toJSON() {
    return { ...this.json, stdout_truncated: this.stdoutTruncated, stderr_truncated: this.stderrTruncated }
  }
}

/** A change. A path that is no text is a Buffer; the mode, octal in JSON, is a number. */
function written({ path, mode, ...change }) {
  return { path: Array.isArray(path) ? Buffer.from(path) : path, mode: parseInt(mode, 8), ...camel(change) }
}

function decode(bytes) {
  return bytes === null ? '' : bytes.toString('utf8')
}

/** What is used at one moment. */
function sample({ pressure, ...json }) {
  const waited = pressure && { cpuMs: ms(pressure.cpu), memoryMs: ms(pressure.memory), ioMs: ms(pressure.io) }
  return { ...camel(json), pressure: waited }
}

const ms = (seconds) => (seconds === null ? null : seconds * 1000)

const SECONDS = new Set(['elapsed', 'cpu_user', 'cpu_system', 'cpu_throttled', 'wait_time', 'service_time', 'setup', 'payload', 'teardown'])

/** Keys in this language's spelling, seconds as milliseconds under a name that says so. */
function camel(value) {
  if (Array.isArray(value)) return value.map(camel)
  if (value === null || typeof value !== 'object') return value
  const result = {}
  for (const [key, inner] of Object.entries(value)) {
    const name = key.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
    if (SECONDS.has(key)) result[`${name}Ms`] = ms(inner)
    else result[name] = camel(inner)
  }
  return result
}

module.exports = { Outcome, camel, sample, written }
