// Owns: our end of a payload's terminal as a stream: what is written is typed, what is printed is read.
// Must not: wait for a payload that reads nothing; touch the terminal of this process.
'use strict'

const fs = require('node:fs')
const { Duplex } = require('node:stream')
const { ReadStream } = require('node:tty')

/** When typing is tried again after the payload has left unread what was typed before. No event loop tells that it has read. */
const AGAIN_MS = 10
const CHUNK = 1 << 16

/** It ends when nobody has the other end any more. */
class Terminal extends Duplex {
  #printed
  #typed
  /** How many calls are using the number of `#typed`, which must stay ours meanwhile. */
  #calls = 0
  #again = null
  #referenced = true

  /** `fd` is read, the open file `typed` is written to. Both are this stream's from here on. */
  constructor(fd, typed) {
    // Whoever prints nothing more reads nothing more.
    super({ allowHalfOpen: false })
    this.#typed = typed
    // Not for writing: libuv would block, or spin, until the payload reads.
    this.#printed = new ReadStream(fd)
    this.#printed.pause()
    this.#printed.on('data', (data) => this.push(data) || this.#printed.pause())
    // EIO: nobody has the other end any more, which of a pipe would be its end.
    this.#printed.on('error', (error) => error.code !== 'EIO' && this.destroy(error))
    this.#printed.once('close', () => this.#rest())
  }

  /** libuv takes the hang-up for the end, which of a terminal comes before the last that was printed. */
  #rest() {
    this.#call(fs.read, Buffer.alloc(CHUNK), (error, count, bytes) => {
      // EIO: that was all.
      if (error || count === 0) return this.push(null)
      this.push(bytes.subarray(0, count))
      return this.#rest()
    })
  }

  _read() {
    this.#printed.resume()
  }

  _write(chunk, encoding, done) {
    // Who has gone reads nothing: it is as if it had been typed and not been looked at.
    if (this.#printed.destroyed) return done()
    return this.#call(fs.write, chunk, (error, written) => {
      if (error?.code === 'EAGAIN') {
        this.#again = setTimeout(() => this._write(chunk, encoding, done), AGAIN_MS)
        if (!this.#referenced) this.#again.unref()
        return undefined
      }
      if (error) return done(error.code === 'EIO' ? null : error)
      return written < chunk.length ? this._write(chunk.subarray(written), encoding, done) : done()
    })
  }

  /** Reads or writes on the runtime's worker pool. What comes after the end of this stream is nobody's. */
  #call(what, bytes, done) {
    if (this.destroyed) return
    this.#calls += 1
    what(this.#typed.fd, bytes, 0, bytes.length, null, (...told) => {
      this.#calls -= 1
      if (!this.destroyed) done(...told)
      else if (this.#calls === 0) this.#typed.close()
    })
  }

  _destroy(error, done) {
    clearTimeout(this.#again)
    this.#printed.destroy()
    if (this.#calls === 0) this.#typed.close()
    done(error)
  }

  ref() {
    this.#referenced = true
    this.#printed.ref()
    this.#again?.ref()
    return this
  }

  unref() {
    this.#referenced = false
    this.#printed.unref()
    this.#again?.unref()
    return this
  }
}

module.exports = { Terminal }
