// One live sandbox, many payloads.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { Pool, Sandbox } from 'pinfold'
import { SOON, descendants, leavesNothing, warm } from './kit.mjs'

const box = new Sandbox()
await (await box.open()).close()
await warm(box)

test('payloads of a session see the same files', async () => {
  await leavesNothing(async () => {
    const s = await box.open()
    try {
      assert.equal((await s.run(['sh', '-c', 'echo kept > /tmp/a'])).ok, true)
      assert.equal((await s.run(['cat', '/tmp/a'])).text, 'kept\n')
      assert.equal((await s.run(['sh', '-c', 'echo $A; pwd'], { env: { A: '1' }, cwd: '/tmp' })).text, '1\n/tmp\n')
      assert.equal(s.report.enforced['namespaces.pid'], 'new')
    } finally {
      await s.close()
    }
    assert.equal(s.closed, true)
    await s.close()
    await assert.rejects(s.run(['true']), (error) => error.code === 'ERR_PINFOLD_CLOSED')
  })
})

test('payloads run side by side, each with its own end', async () => {
  const s = await box.open()
  const outcomes = await Promise.all(Array.from({ length: 20 }, (_, n) => s.run(['sh', '-c', `cat; exit ${n}`], { input: `${n}` })))
  assert.deepEqual(outcomes.map((r) => [r.exitCode, r.text]), outcomes.map((_, n) => [n, `${n}`]))
  const timed = s.run(['sh', '-c', 'setsid sleep 60 & sleep 60'], { timeoutMs: SOON })
  const other = s.spawn(['sleep', '60'])
  assert.equal((await timed).ended, 'wall_time')
  assert.equal(other.outcome, null)
  other.kill()
  assert.equal((await other).ended, 'killed')
  await s.close()
})

test('signals, killAll and close', async () => {
  await leavesNothing(async () => {
    const s = await box.open()
    const p = s.spawn(['sh', '-c', 'trap "echo asked; exit 9" TERM; echo ready; while :; do sleep 0.05; done'])
    await once(p.stdout, 'data')
    s.signal('SIGTERM')
    assert.equal((await p).exitCode, 9)
    const all = [s.spawn(['sleep', '60']), s.spawn(['sleep', '60'])]
    await s.killAll()
    for (const ended of await Promise.all(all)) assert.equal(ended.ended, 'killed')
    assert.equal((await s.run(['echo', 'on'])).text, 'on\n')
    const last = s.spawn(['sleep', '60'])
    await s.close()
    assert.equal((await last).ended, 'killed')
    assert.equal(descendants().length, 0)
  })
})

test('an abort in a session leaves the others alone', async () => {
  const s = await box.open()
  const other = s.spawn(['sh', '-c', 'sleep 0.5; echo on'])
  const error = await s.run(['sleep', '60'], { signal: AbortSignal.timeout(100) }).catch((error) => error)
  assert.deepEqual([error.name, error.outcome.ended], ['AbortError', 'cancelled'])
  assert.equal((await other).text, 'on\n')
  await s.close()
})

test('sessions, pools and kept roots are closed by `await using`', { skip: !Symbol.asyncDispose && 'this Node has no Symbol.asyncDispose' }, async () => {
  const layered = new Sandbox({ overlay: 'memory:16MiB' })
  await (await layered.runKept(['true'])).kept.close()
  await leavesNothing(async () => {
    const s = await box.open()
    const p = s.spawn(['sleep', '60'])
    await s[Symbol.asyncDispose]()
    assert.equal((await p).ended, 'killed')
    assert.equal(s.closed, true)
    const pool = new Pool(box, { size: 1 })
    await pool[Symbol.asyncDispose]()
    await assert.rejects(pool.run(['true']), (error) => error.code === 'ERR_PINFOLD_CLOSED')
    const { kept } = await layered.runKept(['mkdir', '/job'])
    assert.equal((await kept.changes()).length, 1)
    await kept[Symbol.asyncDispose]()
    await assert.rejects(kept.changes(), (error) => error.code === 'ERR_PINFOLD_CLOSED')
  })
})
