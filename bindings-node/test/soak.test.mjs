// Many sandboxes from one process, 20 at once: memory stays flat, no fd stays open, no rejection is left unhandled.
// PINFOLD_SOAK says how many; `.ci/run --long` takes 10,000.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Sandbox, run } from 'pinfold'
import { collect, leavesNothing } from './kit.mjs'

const COUNT = Number(process.env.PINFOLD_SOAK ?? 1000)
const AT_ONCE = 20

test(`${COUNT} sandboxes, ${AT_ONCE} at once`, { timeout: 1_800_000 }, async (t) => {
  let unhandled = 0
  process.on('unhandledRejection', () => (unhandled += 1))
  const box = new Sandbox({ timeoutMs: 60_000 })
  const kinds = [
    async (n) => assert.equal((await box.run(['sh', '-c', `echo ${n}; exit ${n % 256}`])).text, `${n}\n`),
    async (n) => assert.equal((await box.run(['cat'], { input: `${n}` })).text, `${n}`),
    async () => assert.equal((await run(['true'])).ok, true),
    async () => assert.equal((await run(['no-such-program']).catch((error) => error)).kind, 'program_not_found'),
    async () => assert.equal((await box.run(['sleep', '60'], { signal: AbortSignal.timeout(1) }).catch((error) => error)).name, 'AbortError'),
  ]
  let next = 0
  const worker = async (until) => {
    while (next < until) await kinds[next % kinds.length](next++)
  }
  const all = (until) => Promise.all(Array.from({ length: AT_ONCE }, () => worker(until)))
  await all(COUNT / 10)
  const resident = () => {
    collect()
    return process.memoryUsage().rss
  }
  const before = resident()
  await leavesNothing(() => all(COUNT))
  const grown = resident() - before
  t.diagnostic(`${COUNT} sandboxes: ${Math.round(before / 1024)} KiB resident before, ${Math.round(grown / 1024)} KiB more after`)
  assert.ok(grown < 64 << 20, `${grown} bytes`)
  assert.equal(unhandled, 0)
})
