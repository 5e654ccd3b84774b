// Worker threads: what runs in one works there, and a worker that is terminated in the middle takes its sandboxes along.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { run } from 'pinfold'
import { descendants, eventually, openFds } from './kit.mjs'

const BUSY = `
  const { Sandbox, runModule } = require('pinfold')
  const { parentPort, workerData } = require('node:worker_threads')
  const box = new Sandbox()
  const again = async () => {
    for (;;) await box.run(['sh', '-c', 'echo x; sleep 0.01'])
  }
  again()
  again()
  box.spawn(['sleep', '60'])
  const p = box.spawn(['cat'], { stdin: 'pipe' })
  p.stdin.write('x')
  p.stdout.once('data', () => parentPort.postMessage('busy'))`

const worker = () => new Worker(BUSY, { eval: true, workerData: null })
// A worker that is evaluated finds modules from the working directory.
process.chdir(new URL('..', import.meta.url).pathname)

test('a worker runs sandboxes, and its outcomes travel', async () => {
  const sends = new Worker(`
    const { run } = require('pinfold')
    run(['echo', 'x']).then((outcome) => require('node:worker_threads').parentPort.postMessage(outcome))`, { eval: true })
  const outcome = await new Promise((resolve, reject) => sends.once('message', resolve).once('error', reject))
  assert.equal(Buffer.from(outcome.stdout).toString(), 'x\n')
  await sends.terminate()
})

test('200 workers that are terminated in the middle leave no crash and no process', { timeout: 600_000 }, async (t) => {
  await run(['true'])
  const once = async (n) => {
    const busy = worker()
    await new Promise((resolve, reject) => busy.once('message', resolve).once('error', reject))
    await new Promise((resolve) => setTimeout(resolve, n % 7))
    await busy.terminate()
  }
  await once(0)
  const before = openFds()
  for (let n = 0; n < 200; n += 4) await Promise.all([0, 1, 2, 3].map((more) => once(n + more)))
  await eventually('all processes have ended', () => descendants().length === 0)
  // A number that JavaScript had in its hands when it was stopped is nobody's.
  t.diagnostic(`${openFds() - before} fds were lost in 200 workers`)
  assert.equal((await run(['echo', 'on'])).text, 'on\n')
})

test('workers that are terminated in the middle of work on files leave nothing', { timeout: 120_000 }, async () => {
  const files = `
    const { Sandbox } = require('pinfold')
    const { parentPort } = require('node:worker_threads')
    const box = new Sandbox({ overlay: 'memory:64MiB' })
    const bytes = Buffer.alloc(1 << 20)
    const again = async (s, n) => {
      for (;;) {
        await s.files.write('/a' + n, bytes)
        await s.files.read('/a' + n)
        await s.changes()
        await (await s.files.reader('/a' + n)).destroy()
        const { kept } = await box.runKept(['true'])
        await kept.close()
      }
    }
    box.open().then((s) => {
      for (let n = 0; n < 4; n++) again(s, n)
      setTimeout(() => parentPort.postMessage('busy'), 20)
    })`
  for (let n = 0; n < 20; n++) {
    const busy = new Worker(files, { eval: true })
    await new Promise((resolve, reject) => busy.once('message', resolve).once('error', reject))
    await new Promise((resolve) => setTimeout(resolve, n % 7))
    await busy.terminate()
  }
  await eventually('all processes have ended', () => descendants().length === 0)
})
