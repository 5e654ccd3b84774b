// Payloads that do not want to end, each with a timeout of one second: the reason is right, what was written is kept, the
// call returns, nothing is left.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { leavesNothing, warm } from './kit.mjs'
import { PAYLOADS, box, check } from './payloads.mjs'

await warm(box)

for (const [name, payload] of Object.entries(PAYLOADS)) {
  test(name, async () => {
    if (payload.box !== undefined) await warm(payload.box)
    await leavesNothing(async () => {
      const begun = performance.now()
      check(payload, await (payload.box ?? box).run(payload.argv, payload.call))
      const took = performance.now() - begun
      assert.ok(took < 5000, `${took} ms`)
    })
  })
}

test('many of them at once', async () => {
  // Not those that take a core each.
  const some = Object.entries(PAYLOADS).filter(([name]) => !/output|gigabyte|bomb|loop|recursion|memory/.test(name))
  assert.ok(some.length >= 8)
  await leavesNothing(() => Promise.all(some.map(async ([, payload]) => check(payload, await (payload.box ?? box).run(payload.argv, payload.call)))))
})
