// Owns: the files of a root, and what was changed in it, as JavaScript has them.  Must not: read, write or list on the event loop.
'use strict'

const fs = require('node:fs')
const { resolve } = require('node:path')
const { Transform } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { setImmediate: turn } = require('node:timers/promises')
const { fileURLToPath } = require('node:url')

const { native } = require('./native.js')
const { SandboxError, call, later, refused } = require('./errors.js')
const { camel, written } = require('./outcome.js')

/** The files of a sandbox's root, as the payload sees them. Paths are guest paths. */
class Files {
  #reach
  #most

  /** `reach` gives the native part, or throws where there is none any more. */
  constructor(reach, most = null) {
    this.#reach = reach
    this.#most = most
  }

  /** The same files; no call reads, writes or copies more than `bytes`: the next one is an error (EFBIG). */
  limit(bytes) {
    return new Files(this.#reach, size(bytes))
  }

  /** All of a regular file: a Buffer, or text where an encoding is given. */
  async read(path, encoding) {
    const decode = encoding === undefined || encoding === null ? null : encoding
    if (decode !== null && !Buffer.isEncoding(decode)) throw refused(`there is no encoding ${JSON.stringify(decode)}`, "write 'utf8'")
    const bytes = await this.#do((files) => files.read(guest(path), this.#most))
    return decode === null ? bytes : bytes.toString(decode)
  }

  /** Writes a file, new or over what it had, with the missing directories above it. */
  async write(path, data) {
    const bytes = content(data)
    await this.#do((files) => files.write(guest(path), bytes, this.#most))
  }

  /** A regular file as a stream. It stays readable after the sandbox's end. */
  async reader(path) {
    return fs.createReadStream('', opened(await this.#do((files) => files.reader(guest(path)))))
  }

  /** A file, new or emptied, as a stream to write to. */
  async writer(path) {
    return fs.createWriteStream('', opened(await this.#do((files) => files.writer(guest(path)))))
  }

  /** Pours a regular file into a stream, and ends that. How many bytes there were. */
  async readTo(path, to) {
    const counter = this.#counter('read', path)
    await pipeline(await this.reader(path), counter, to)
    return counter.bytes
  }

  /** Writes a file from a stream or anything that can be iterated. How many bytes there were. */
  async writeFrom(path, from) {
    const counter = this.#counter('write', path)
    await pipeline(from, counter, await this.writer(path))
    return counter.bytes
  }

  /** What is in a directory, sorted by name. */
  async list(path) {
    return joined(await this.#do((files) => files.list(guest(path))), ({ name, status }) => ({ name: text(name), status: stated(status) }))
  }

  /** What is at a path; of a symbolic link, what it leads to. */
  async stat(path) {
    return stated(JSON.parse(await this.#do((files) => files.stat(guest(path)))))
  }

  /** Makes a directory, with the missing ones above it. One that is there already is fine. */
  async mkdir(path) {
    await this.#do((files) => files.mkdir(guest(path)))
  }

  /** Removes a file, a link (not what it leads to), or a directory with all that is in it. */
  async remove(path) {
    await this.#do((files) => files.remove(guest(path)))
  }

  /** Copies a file or a tree of the host's into the root. How many bytes there were. */
  async copyIn(from, to) {
    return this.#do((files) => files.copyIn(host(from), guest(to), this.#most))
  }

  /** Copies a file or a tree out of the root to the host. How many bytes there were. */
  async copyOut(from, to) {
    return this.#do((files) => files.copyOut(guest(from), host(to), this.#most))
  }

  #do(what) {
    const files = this.#reach()
    return later(() => what(files))
  }

  #counter(what, path) {
    const most = this.#most ?? Infinity
    return new Transform({
      construct(ready) {
        this.bytes = 0
        ready()
      },
      transform(chunk, _, ready) {
        this.bytes += chunk.length
        ready(this.bytes > most ? tooLarge(what, path) : null, chunk)
      },
    })
  }
}

Files.prototype.readFile = Files.prototype.read
Files.prototype.writeFile = Files.prototype.write

/** The changed root of a sandbox that has ended, kept. It holds the changes until it is closed. */
class KeptRoot {
  #native

  constructor(kept) {
    this.#native = kept
  }

  /** What differs from the layers below, sorted by path. */
  async changes() {
    return joined(await later(() => this.#open().changes()), written)
  }

  /** Writes the changes to a directory of the host's, new or empty, as a layer. */
  async commit(directory) {
    await later(() => this.#open().commit(host(directory)))
  }

  /** The files of the root, as the payload saw them last, without what was mounted in it. */
  get files() {
    const files = call(() => this.#open().files())
    return new Files(() => {
      this.#open()
      return files
    })
  }

  get closed() {
    return this.#native === null
  }

  /** Lets go of it. Closing twice is no error. */
  async close() {
    const kept = this.#native
    this.#native = null
    if (kept !== null) await later(() => kept.close())
  }

  #open() {
    if (this.#native === null) throw new SandboxError({ kind: 'closed', stage: 'supervise', message: 'this kept root was closed' })
    return this.#native
  }
}

// Node 20 has the symbol from 20.5 on.
if (Symbol.asyncDispose) KeptRoot.prototype[Symbol.asyncDispose] = KeptRoot.prototype.close

/** A list that came in pieces. A long one is read with a turn of the event loop after each. */
async function joined(pieces, make) {
  const all = []
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await turn()
    for (const entry of JSON.parse(piece)) all.push(make(entry))
  }
  return all
}

/** Options of a stream on an open file, which the native part closes: `fs` would warn of an fd that it has not opened. */
function opened(file) {
  const close = (_, done) => {
    file.close()
    process.nextTick(done, null)
  }
  const { read, write, writev } = fs
  return { fd: file.fd, fs: { read, write, writev, close } }
}

function stated({ modified_ms: modified, ...status }) {
  return { ...camel(status), modified: new Date(modified) }
}

/** A name that is no text is a Buffer. */
function text(name) {
  return Array.isArray(name) ? Buffer.from(name) : name
}

function guest(path) {
  if (typeof path === 'string' && path.isWellFormed()) return path
  if (path instanceof Uint8Array) return Buffer.from(path)
  throw refused('a path inside must be a string or a Buffer', typeof path === 'string' ? 'this one is not well-formed Unicode: pass bytes as a Buffer' : null)
}

/** A path of the host's, fixed now: the current directory may be another when it is used. */
function host(path) {
  if (path instanceof URL) return fileURLToPath(path)
  if (path instanceof Uint8Array && path[0] !== 0x2f) return Buffer.concat([Buffer.from(`${process.cwd()}/`), path])
  const given = guest(path)
  return typeof given === 'string' ? resolve(given) : given
}

/** Bytes, not copied: as with `fs`, they must not be changed before the promise is settled. */
function content(data) {
  if (typeof data === 'string') return Buffer.from(data)
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  throw refused('what is written must be a string, a Buffer or a Uint8Array', 'for a stream use writeFrom')
}

function size(bytes) {
  if (typeof bytes === 'string') return call(() => native.parseSize(bytes))
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes
  throw refused(`limit: must be a number of bytes, or a string such as '16MiB', got ${String(bytes)}`)
}

function tooLarge(what, path) {
  return new SandboxError({
    kind: 'files', stage: 'supervise', message: `could not ${what} ${String(path)}`, subject: String(path), errno: 27, errno_name: 'EFBIG',
    hint: 'it is larger than the limit that was set for this call',
  })
}

module.exports = { Files, KeptRoot, host, joined }
