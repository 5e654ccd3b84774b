// Owns: untrusted JavaScript: a fresh Node in a sandbox, JSON in, JSON out.
// Must not: let anything but JSON text cross, in either direction.
'use strict'

const { closeSync, readFileSync, realpathSync } = require('node:fs')
const net = require('node:net')
const { join } = require('node:path')

const { Capture } = require('./capture.js')
const { AbortError, RemoteError, call, failed, refused } = require('./errors.js')
const { native } = require('./native.js')
const { text } = require('./options.js')
const { startOnce } = require('./sandbox.js')

const GUEST = readFileSync(join(__dirname, 'guest.mjs'), 'utf8')
const RESULT_FD = 3
const DEFAULTS = { inputLimit: '16MiB', resultLimit: '16MiB', heap: '256MiB' }
/** What the `system` root has of the host anyway. */
const IN_THE_ROOT = /^\/(usr|bin|sbin|lib|lib32|lib64|libx32|nix\/store|gnu\/store)\//

/**
 * Runs the default export of an ES module in a fresh Node inside a sandbox. Resolves to
 * `{ value, error, outcome }`: what it returned, or what it threw as data, and how the process ended.
 */
async function runModule(source, all = {}) {
  if (typeof source !== 'string') throw refused('runModule: the source must be a string')
  if (all === null || typeof all !== 'object') throw refused('runModule: the options must be an object')
  const { input, inputLimit, resultLimit, heap, signal, check, stdin, stdout, stderr, stdio, fds, ...described } = all
  for (const [name, value] of Object.entries({ stdin, stdout, stderr, stdio, fds })) {
    if (value !== undefined) throw refused(`${name}: runModule connects the streams itself`, 'what the guest prints is in outcome.stdout and outcome.stderr')
  }
  if (signal?.aborted) throw new AbortError(signal)
  const limits = { input: size(inputLimit, 'inputLimit'), result: size(resultLimit, 'resultLimit'), heap: size(heap, 'heap') }
  const message = request(source, input, limits)
  const sandbox = text({ ...described, mounts: [...runtime(), ...(described.mounts ?? [])], fds: [{ name: 'result', target: RESULT_FD }] })
  const [reader, writer] = call(() => native.pipe())
  const pipe = new net.Socket({ fd: reader, readable: true, writable: false })
  const closed = new Promise((resolve) => pipe.once('close', resolve))
  const result = new Capture(pipe, limits.result, () => {})
  const outcome = await ended(sandbox, limits.heap, { input: message, fds: { result: writer }, signal }, writer).catch((error) => {
    pipe.destroy()
    throw error
  })
  // Everything inside is dead: the pipe has ended, too.
  await closed
  const answer = { ...read(result, limits, outcome), outcome }
  if (check === true && answer.error !== null) throw new RemoteError(answer.error, outcome)
  if (check === true && !outcome.ok) throw failed(['runModule'], outcome)
  return answer
}

/** Only the guest writes to its end of the pipe. */
async function ended(sandbox, heap, live, writer) {
  try {
    return startOnce(sandbox, command(heap), live, '{}')
  } finally {
    closeSync(writer)
  }
}

function size(value, name) {
  const written = value ?? DEFAULTS[name]
  if (Number.isSafeInteger(written) && written > 0) return written
  if (typeof written === 'string') return call(() => native.parseSize(written))
  throw refused(`${name}: must be a number of bytes or a string such as "1MiB"`)
}

function request(source, input, limits) {
  let text
  try {
    text = JSON.stringify({ source, input })
  } catch (cause) {
    throw refused(`input: can't be written as JSON: ${cause.message}`)
  }
  const bytes = Buffer.from(text)
  if (bytes.length - Buffer.byteLength(source) > limits.input + 64) throw refused(`input: has more than the ${limits.input} bytes of inputLimit`)
  return bytes
}

/** Node as it stands, with a heap that is bounded. No address space limit: V8 reserves far more than it uses. */
function command(heap) {
  const megabytes = Math.max(16, Math.floor(heap / (1 << 20)))
  return [node(), `--max-old-space-size=${megabytes}`, '--no-addons', '--input-type=module', '--eval', GUEST]
}

const node = () => realpathSync(process.execPath)

/** The program and the libraries that this very process was loaded from, where the root does not have them. */
function runtime() {
  const files = new Set([node()])
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const path = line.slice(line.indexOf('/'))
    if (/ r-xp /.test(line) && path.startsWith('/') && /\.so(\.|$)/.test(path)) files.add(path)
  }
  return [...files].filter((path) => !IN_THE_ROOT.test(path) && !path.endsWith(' (deleted)'))
    .map((path) => ({ kind: 'bind', source: path, target: path, read_only: true }))
}

/** What the guest said, if it is what a guest says. */
function read(result, limits, outcome) {
  const nothing = { value: undefined, error: null }
  if (result.truncated) return { value: undefined, error: { name: 'ResultTooLarge', message: `the result has more than the ${limits.result} bytes of resultLimit`, stack: '' } }
  if (result.length === 0) return nothing
  let answer
  try {
    answer = JSON.parse(result.bytes.toString('utf8'))
  } catch {
    // It was killed while it wrote, or wrote something of its own.
    return outcome.ok ? { value: undefined, error: { name: 'MalformedResult', message: 'the result is not JSON', stack: '' } } : nothing
  }
  if (answer !== null && typeof answer === 'object' && answer.error !== undefined && answer.error !== null) return { value: undefined, error: thrown(answer.error) }
  return { value: answer?.value, error: null }
}

function thrown(error) {
  const text = (value) => (typeof value === 'string' ? value : '')
  return { name: text(error.name) || 'Error', message: text(error.message), stack: text(error.stack) }
}

module.exports = { runModule }
