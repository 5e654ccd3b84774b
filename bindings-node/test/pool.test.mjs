// Sandboxes that are open already.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Pool, Sandbox } from 'pinfold'
import { comm, descendants, eventually, leavesNothing } from './kit.mjs'

const box = new Sandbox({ timeoutMs: 20_000 })
const warm = await box.open()
await warm.run(['true'])
await warm.close()

test('every payload has a sandbox of its own', async () => {
  await leavesNothing(async () => {
    const pool = new Pool(box, { size: 3 })
    await eventually('it is full', () => pool.stats().ready === 3)
    const texts = await Promise.all(Array.from({ length: 10 }, () => pool.run(['sh', '-c', 'ls /tmp | wc -l; touch /tmp/x']).then((r) => r.text)))
    assert.deepEqual(new Set(texts), new Set(['0\n']))
    const { taken, missed, lost } = pool.stats()
    assert.deepEqual([taken, lost], [10, 0])
    assert.ok(missed <= 7)
    await eventually('it is full again', () => pool.stats().ready === 3)
    const session = await pool.take()
    await pool.close()
    assert.equal((await session.run(['echo', 'on'])).text, 'on\n')
    await session.close()
    await assert.rejects(pool.run(['true']), (error) => error.code === 'ERR_PINFOLD_CLOSED')
  })
})

test('one that was lost while it waited is passed over', async () => {
  const pool = new Pool(box, { size: 1 })
  await eventually('it is full', () => pool.stats().ready === 1)
  for (const pid of descendants().filter((pid) => comm(pid) === 'pinfold-init')) process.kill(pid, 'SIGKILL')
  await eventually('they are gone', () => descendants().length === 0)
  assert.equal((await pool.run(['echo', 'on'])).text, 'on\n')
  assert.equal(pool.stats().lost, 1)
  await pool.close()
})

test('a pool has a size', () => {
  for (const size of [0, 1.5, 2000, '4']) assert.throws(() => new Pool(box, { size }), (error) => error.code === 'ERR_PINFOLD_CONFIG')
  assert.throws(() => new Pool({}), /Sandbox/)
  assert.throws(() => new Pool(box, { sise: 4 }), /no such option/)
})
