// Limits by cgroups, where this host has them for us.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox, runModule } from 'pinfold'

let box = null
let why = ''
try {
  box = new Sandbox({ memory: '128MiB', pids: 32, timeoutMs: 20_000 })
} catch (error) {
  assert.equal(error.code, 'ERR_PINFOLD_UNSUPPORTED')
  why = error.message
}
const skip = box === null && why

test('a payload that takes too much memory ends for that', { skip }, async () => {
  const r = await box.run(['/usr/bin/python3', '-c', 'a = []\nwhile True: a.append(bytearray(1 << 22))'])
  assert.deepEqual([r.ended, r.signal], ['memory', 'SIGKILL'])
  assert.ok(r.usage.oomKills > 0)
  assert.match(r.usage.memorySource, /cgroup/)
  assert.match(r.report.enforced['limits.memory'], /cgroup/)
})

test('memory bombs in JavaScript', { skip }, async () => {
  const limits = { memory: '256MiB', pids: 64, timeoutMs: 20_000 }
  const buffers = await runModule('const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(1))', limits)
  assert.equal(buffers.outcome.ended, 'memory')
  const wasm = await runModule('const all = []; for (;;) { const m = new WebAssembly.Memory({ initial: 256 }); new Uint8Array(m.buffer).fill(1); all.push(m) }', limits)
  assert.equal(wasm.outcome.ended, 'memory')
  assert.equal((await runModule('export default 1', limits)).value, 1)
})

test('samples come until the end', { skip }, async () => {
  const growing = 'import time\nkept = []\nfor _ in range(6):\n  kept.append(bytearray(b"x" * (8 << 20)))\n  time.sleep(0.1)'
  const p = box.spawn(['/usr/bin/python3', '-c', growing])
  const samples = []
  for await (const sample of p.samples({ intervalMs: 50 })) samples.push(sample)
  assert.ok((await p).ok)
  assert.ok(samples.length >= 5)
  const memory = samples.map((sample) => sample.memoryCurrent)
  assert.ok(Math.max(...memory) - memory[0] > 32 << 20, memory.join(' '))
  samples.reduce((before, sample) => (assert.ok(before.elapsedMs < sample.elapsedMs), sample))
  const cpu = samples.map(({ usage }) => usage.cpuUserMs + usage.cpuSystemMs)
  assert.ok(cpu.every((ms, i) => i === 0 || cpu[i - 1] <= ms) && cpu.at(-1) > 0, cpu.join(' '))
  assert.ok(samples[0].pidsCurrent >= 1 && samples[0].usage.cpuUserMs >= 0 && samples[0].elapsedMs < 20_000)
  for await (const _ of p.samples()) assert.fail('it has ended')
  // The end of the payload is the end, however long the interval is; whoever leaves before does nothing to it.
  const short = box.spawn(['sleep', '0.3'])
  let count = 0
  for await (const _ of short.samples({ intervalMs: 60_000 })) count += 1
  assert.equal(count, 1)
  const cat = box.spawn(['cat'], { stdin: 'pipe' })
  for await (const _ of cat.samples(null)) break
  assert.equal(cat.listenerCount('close'), 0)
  cat.stdin.end('x')
  assert.equal((await cat).text, 'x')
  const controller = new AbortController()
  const aborted = box.spawn(['sleep', '1000'], { signal: controller.signal })
  aborted.catch(() => {})
  for await (const _ of aborted.samples({ intervalMs: 60_000 })) setTimeout(() => controller.abort(), 100)
  await assert.rejects(aborted, { name: 'AbortError' })
  for (const intervalMs of [0, NaN, Infinity, '1s']) assert.throws(() => cat.samples({ intervalMs }), /intervalMs: must be a number/)
  const failed = box.spawn(['no-such-program'])
  failed.catch(() => {})
  await assert.rejects(failed.samples().next(), (error) => error.kind === 'program_not_found')
  const groupless = new Sandbox().spawn(['sleep', '60'])
  await assert.rejects(groupless.samples().next(), (error) => error.kind === 'unsupported')
  groupless.kill()
  await groupless
})

test('a session is frozen, thawed, measured and given other limits', { skip }, async () => {
  const s = await box.open()
  const p = s.spawn(['sh', '-c', 'while :; do echo x; sleep 0.02; done'])
  await once(p.stdout, 'data')
  assert.ok((await s.usage()).memoryPeak > 0)
  assert.ok((await p.usage()).cpuUserMs >= 0)
  await s.freeze()
  p.stdout.resume()
  await sleep(100)
  let written = 0
  p.stdout.on('data', (data) => (written += data.length))
  await sleep(200)
  assert.equal(written, 0)
  await s.thaw()
  await once(p.stdout, 'data')
  await s.update({ memory: '64MiB' })
  const r = await s.run(['/usr/bin/python3', '-c', 'bytearray(100 << 20)'])
  assert.equal(r.ok, false)
  await assert.rejects(s.update({ memroy: 1 }), /did you mean "memory"/)
  await s.close()
})
