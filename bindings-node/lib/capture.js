// Owns: what a stream has said so far, bounded.  Must not: keep a byte beyond the limit.
'use strict'

class Capture {
  /** `overflow` is called once, with the first byte beyond `limit`. */
  constructor(stream, limit, overflow) {
    this.chunks = []
    this.length = 0
    this.truncated = false
    stream.on('data', (chunk) => {
      const kept = chunk.subarray(0, limit - this.length)
      if (kept.length > 0) {
        this.chunks.push(kept)
        this.length += kept.length
      }
      if (kept.length < chunk.length && !this.truncated) {
        this.truncated = true
        overflow()
      }
    })
    // A pipe that can't be read has nothing more to say; how the payload ended is told elsewhere.
    stream.on('error', () => {})
  }

  get bytes() {
    return Buffer.concat(this.chunks, this.length)
  }
}

module.exports = { Capture }
