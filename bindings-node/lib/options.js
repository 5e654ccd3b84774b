// Owns: parting what is live in a call (streams, sockets, signals) from what is plain data.
// Must not: know any option that is plain data: that goes to the core as it is.
'use strict'

const { constants } = require('node:os')
const { refused } = require('./errors.js')

const LIVE = ['stdin', 'stdout', 'stderr', 'stdio', 'input', 'fds', 'terminal', 'signal', 'check', 'keepRoot']

/** Parts options into `live`, of which there is a fixed set, and `plain`. */
function part(options, what) {
  if (options === undefined || options === null) return { live: {}, plain: {} }
  if (typeof options !== 'object' || Array.isArray(options)) throw refused(`${what}: the options must be an object`)
  const plain = { ...options }
  const live = {}
  if (plain.keep_root !== undefined) {
    if (plain.keepRoot !== undefined) throw refused('keep_root: is given in both spellings', 'leave one out')
    plain.keepRoot = plain.keep_root
    delete plain.keep_root
  }
  for (const name of LIVE) {
    if (plain[name] !== undefined) live[name] = plain[name]
    delete plain[name]
  }
  return { live, plain }
}

/** Plain data as JSON, bytes as lists of numbers. What JSON would drop without a word is refused. */
function text(plain) {
  return JSON.stringify(plain, function (key, value) {
    if (this[key] instanceof Uint8Array) return Array.from(this[key])
    if (typeof value === 'bigint') return Number(value)
    if (typeof value === 'number' && !Number.isFinite(value)) throw refused(`${key}: must be a finite number, got ${value}`)
    if (['function', 'symbol'].includes(typeof value)) throw refused(`${key}: must be plain data, got a ${typeof value}`)
    return typeof value === 'string' ? wellFormed(value, key) : value
  })
}

/** A lone surrogate has no form outside of this language; it would arrive as another character. */
function wellFormed(value, what) {
  if (!value.isWellFormed()) throw refused(`${what}: is not well-formed Unicode`, 'pass bytes as a Buffer')
  return value
}

function command(argv) {
  if (typeof argv === 'string') {
    throw refused('the command must be an array of program and arguments, got a string', `write ${JSON.stringify(argv.trim().split(/\s+/))}, or ['sh', '-c', ${JSON.stringify(argv)}] for a shell`)
  }
  if (!Array.isArray(argv) || argv.length === 0) throw refused("the command must be an array that begins with the program, as in ['ls', '-l']")
  return argv.map((arg, index) => {
    if (typeof arg === 'string') return wellFormed(arg, `argv[${index}]`)
    if (arg instanceof Uint8Array) return Buffer.from(arg)
    throw refused(`argv[${index}]: must be a string or a Buffer, got ${arg === null ? 'null' : typeof arg}`, typeof arg === 'number' ? 'write String(value)' : null)
  })
}

/** The number of what has an fd: a number, a stream, a socket, a server, a FileHandle. */
function number(value, what) {
  const found = Number.isInteger(value) ? value : (value?.fd ?? value?._handle?.fd)
  if (Number.isInteger(found) && found >= 0) return found
  throw refused(`${what}: has no open fd`, 'pass a number, or a stream, socket, server (after its "listening" event) or FileHandle that is open')
}

/** What the native part takes for stdin, stdout and stderr; null where nothing is said. */
function streams(live) {
  let all = live.stdio ?? []
  if (typeof all === 'string') all = [all, all, all]
  if (!Array.isArray(all) || all.length > 3) throw refused('stdio: must be a word, or an array of up to three')
  return ['stdin', 'stdout', 'stderr'].map((name, index) => {
    if (live[name] !== undefined && all[index] !== undefined) throw refused(`${name}: is given twice, in stdio and by its name`)
    const value = live[name] ?? all[index]
    if (index === 0 && live.input !== undefined) {
      if (value !== undefined && value !== null) throw refused('input: goes to standard input, which was connected to something else')
      return bytes(live.input)
    }
    if (value === undefined || value === null) return null
    if (value === 'ignore') return 'null'
    if (['null', 'pipe', 'inherit'].includes(value)) return value
    if (value === 'stdout' && index === 2) return value
    if (typeof value === 'string') throw refused(`${name}: must be 'null', 'pipe', 'inherit'${index === 2 ? ", 'stdout'" : ''}, an fd or a stream, got ${JSON.stringify(value)}`)
    return number(value, name)
  })
}

function bytes(input) {
  if (typeof input === 'string') return Buffer.from(input)
  if (input instanceof Uint8Array) return Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  throw refused('input: must be a string, a Buffer or a Uint8Array', "for a stream, use spawn with stdin: 'pipe' and write to p.stdin")
}

/** The size of a terminal; `true` is the usual one. */
function terminalSize(size, what = 'terminal') {
  if (size === undefined || size === null) return undefined
  const { columns, rows } = size === true ? { columns: 80, rows: 24 } : size
  if ([columns, rows].every((count) => Number.isInteger(count) && count > 0 && count < 1 << 16)) return { columns, rows }
  throw refused(`${what}: must be true or { columns, rows }, got ${JSON.stringify(size)}`, 'leave it out for no terminal')
}

/** Names of the config, each with the number of the fd attached to it. */
function attached(fds) {
  if (fds === undefined || fds === null) return {}
  if (typeof fds !== 'object' || Array.isArray(fds)) throw refused('fds: must be an object from a declared name to an fd, a stream, a socket or a server')
  return Object.fromEntries(Object.entries(fds).map(([name, value]) => [name, number(value, `fds.${name}`)]))
}

/** Without a sandbox the declaration may hold the live fd: `fds: [{ name, target, fd: server }]`. */
function declared(live, plain) {
  if (!Array.isArray(live.fds)) return
  const fds = {}
  plain.fds = live.fds.map((declaration) => {
    const { fd, ...rest } = declaration ?? {}
    if (fd !== undefined) fds[rest.name] = fd
    return rest
  })
  live.fds = fds
}

function signalNumber(signal) {
  const found = typeof signal === 'number' ? signal : constants.signals[signal]
  if (Number.isInteger(found) && found > 0 && found <= 64) return found
  throw refused(`there is no signal ${JSON.stringify(signal)}`, "write a name such as 'SIGTERM', or its number")
}

/** How long it is from one sample to the next. */
function interval(options) {
  const intervalMs = options?.intervalMs ?? 1000
  if (typeof intervalMs === 'number' && intervalMs >= 1 && intervalMs < 2 ** 31) return intervalMs
  throw refused(`intervalMs: must be a number of milliseconds from 1 to ${2 ** 31 - 1}, got ${intervalMs}`)
}

function abortSignal(signal) {
  if (signal === undefined || signal === null || signal instanceof AbortSignal) return signal ?? null
  throw refused('signal: must be an AbortSignal', 'to send a signal to a running payload use p.signal()')
}

module.exports = { abortSignal, attached, command, declared, interval, part, signalNumber, streams, terminalSize, text }
