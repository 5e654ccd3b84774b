// Owns: sandboxes that are open already.  Must not: open two in one turn of the event loop.
'use strict'

const { SandboxError, refused } = require('./errors.js')
const { Sandbox } = require('./sandbox.js')

/** Each is several processes' worth of kernel memory. */
const MOST = 1024

/** Sandboxes that are open already, so that a payload costs a spawn and no set-up. Each is used once. */
class Pool {
  #box
  #size
  #ready = []
  #filling = null
  #closed = false
  #counts = { taken: 0, missed: 0, lost: 0 }

  constructor(box, { size = 4, ...unknown } = {}) {
    if (!(box instanceof Sandbox)) throw refused('a pool is made of a Sandbox', 'new Pool(new Sandbox({ ... }), { size: 4 })')
    for (const name of Object.keys(unknown)) throw refused(`${name}: there is no such option of a pool`)
    if (!Number.isInteger(size) || size < 1 || size > MOST) throw refused(`size: a pool has 1 to ${MOST} sandboxes, got ${size}`)
    this.#box = box
    this.#size = size
    this.#fill()
  }

  /** One in each turn, so that a start is all that anybody waits for. */
  #fill() {
    if (this.#filling !== null || this.#closed || this.#ready.length >= this.#size) return
    this.#filling = setImmediate(async () => {
      try {
        const session = await this.#box.open()
        if (this.#closed) await session.close()
        else this.#ready.push(session)
      } catch {
        // Whoever takes one next opens it on the spot, and is told why that fails.
        return
      } finally {
        this.#filling = null
      }
      this.#fill()
    })
  }

  /** A fresh sandbox, the caller's to close. */
  async take() {
    if (this.#closed) throw new SandboxError({ kind: 'closed', stage: 'launch', message: 'the pool is closed' })
    this.#counts.taken += 1
    const session = this.#ready.shift()
    if (session === undefined) this.#counts.missed += 1
    this.#fill()
    return session ?? this.#box.open()
  }

  /** Runs a payload to its end in a fresh sandbox, which is closed afterwards. */
  async run(argv, options) {
    for (;;) {
      const session = await this.take()
      try {
        return await session.run(argv, options)
      } catch (error) {
        // Its init was killed from outside while it waited; before the payload, so that nothing ran.
        const lost = error instanceof SandboxError && error.kind === 'lost' && error.stage === 'launch'
        if (!lost) throw error
        this.#counts.lost += 1
      } finally {
        await session.close()
      }
    }
  }

  /** `{ size, ready, taken, missed, lost }`: missed ones were opened on the spot, lost ones ended while they waited. */
  stats() {
    return { size: this.#size, ready: this.#ready.length, ...this.#counts }
  }

  /** Ends those that wait. Sessions that were taken go on. */
  async close() {
    this.#closed = true
    await Promise.all(this.#ready.splice(0).map((session) => session.close()))
  }
}

// Node 20 has the symbol from 20.5 on.
if (Symbol.asyncDispose) Pool.prototype[Symbol.asyncDispose] = Pool.prototype.close

module.exports = { Pool }
