// Owns: our end of a payload's terminal as a stream: what is written is typed, what is printed is read.
// Must not: wait for a payload that reads nothing; touch the terminal of this process.
'use strict'

const fs = require('node:fs')
const { Duplex } = require('node:stream')
const { ReadStream } = require('node:tty')

/** When typing is tried again after the payload has left unread what was typed before. No event loop tells that it has read. */
const AGAIN_MS = 10

/** It ends when nobody has the other end any more. */
class Terminal extends Duplex {
  #printed
  #typed
  #writing = false
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
    this.#printed.once('close', () => this.destroyed || this.push(null))
  }

  _read() {
    this.#printed.resume()
  }

  _write(chunk, encoding, done) {
    // Who has gone reads nothing: it is as if it had been typed and not been looked at.
    if (this.#printed.destroyed) return done()
    this.#writing = true
    fs.write(this.#typed.fd, chunk, 0, chunk.length, null, (error, written) => {
      this.#writing = false
      if (this.destroyed) {
        this.#typed.close()
        return done()
      }
      if (error?.code === 'EAGAIN') {
        this.#again = setTimeout(() => this._write(chunk, encoding, done), AGAIN_MS)
        if (!this.#referenced) this.#again.unref()
        return undefined
      }
      if (error) return done(error.code === 'EIO' ? null : error)
      return written < chunk.length ? this._write(chunk.subarray(written), encoding, done) : done()
    })
    return undefined
  }

  _destroy(error, done) {
    clearTimeout(this.#again)
    this.#printed.destroy()
    // Its number must stay ours for as long as the pool writes to it.
    if (!this.#writing) this.#typed.close()
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
