// A payload that runs beside the program that started it: streams, events, signals, references.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox, SandboxError, spawn } from 'pinfold'
import { comm, descendants, eventually, leavesNothing, warm } from './kit.mjs'

const box = new Sandbox()
await warm(box)

test('streams are there while it runs', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sh', '-c', 'while read line; do echo "got $line"; done; echo done >&2'], { stdin: 'pipe' })
    assert.ok(p.pid > 0)
    p.stdout.setEncoding('utf8')
    p.stdin.write('one\n')
    assert.equal((await once(p.stdout, 'data'))[0], 'got one\n')
    p.stdin.end('two\n')
    assert.equal(await text(p.stdout), 'got two\n')
    const outcome = await p
    assert.equal(outcome.exitCode, 0)
    assert.equal(outcome.stdout, null)
    assert.equal(outcome.stderrText, 'done\n')
    assert.equal(p.outcome, outcome)
  })
})

test('what nobody takes goes into the outcome, and an untaken input ends', async () => {
  const outcome = await box.spawn(['sh', '-c', 'cat; echo x'], { stdin: 'pipe' })
  assert.equal(outcome.text, 'x\n')
})

test('a stream that is taken in the turn of wait() belongs to the taker', async () => {
  const p = box.spawn(['echo', 'x'])
  const ended = p.wait()
  assert.equal(await text(p.stdout), 'x\n')
  assert.equal((await ended).stdout, null)
})

test('what it wrote can be read after its end', async () => {
  const p = box.spawn(['sh', '-c', 'echo out; echo err >&2'])
  await once(p, 'close')
  assert.equal(await text(p.stdout), 'out\n')
  assert.equal((await p).stderrText, 'err\n')
})

test('events come one after another', async () => {
  const types = []
  let written = ''
  for await (const event of box.spawn(['sh', '-c', 'echo a; sleep 0.1; echo b >&2; exit 5'])) {
    types.push(event.type)
    if (event.type === 'exit') assert.equal(event.outcome.exitCode, 5)
    else written += event.data
  }
  assert.deepEqual(types, ['stdout', 'stderr', 'exit'])
  assert.equal(written, 'a\nb\n')
})

test('leaving the loop kills it', async () => {
  await leavesNothing(async () => {
    for await (const event of box.spawn(['sh', '-c', 'echo a; sleep 60'])) {
      assert.equal(event.type, 'stdout')
      break
    }
  })
})

test('spawn, exit and close are events', async () => {
  const p = box.spawn(['true'])
  const seen = []
  for (const name of ['spawn', 'exit', 'close']) p.on(name, () => seen.push(name))
  const [outcome] = await once(p, 'exit')
  assert.equal(outcome.ok, true)
  await sleep(5)
  assert.deepEqual(seen, ['spawn', 'exit', 'close'])
})

test('a start that fails: awaited it rejects, un-awaited it is an event', async () => {
  await assert.rejects(box.spawn(['no-such-program']), (error) => error.code === 'ERR_PINFOLD_PROGRAM_NOT_FOUND')
  const p = box.spawn(['no-such-program'])
  const [error] = await once(p, 'error')
  assert.equal(error.code, 'ERR_PINFOLD_PROGRAM_NOT_FOUND')
  assert.equal(p.pid, undefined)
  assert.equal(p.stdout, null)
  p.kill()
  await assert.rejects(p, SandboxError)
  assert.throws(() => box.spawn(['true'], { cwd: 5 }), (error) => error.code === 'ERR_PINFOLD_CONFIG')
  // Nobody listens: it is not lost.
  const script = `const { spawn } = require('pinfold'); spawn(['no-such-program'])`
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: import.meta.dirname ?? '.', encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /ERR_PINFOLD_PROGRAM_NOT_FOUND/)
})

test('kill kills the tree, signal asks the payload', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sh', '-c', 'setsid sleep 60 & sleep 60'])
    await eventually('both sleep', () => descendants().filter((pid) => comm(pid) === 'sleep').length === 2)
    p.kill()
    const outcome = await p
    assert.equal(outcome.ended, 'killed')
    p.kill()
    assert.throws(() => p.kill('SIGTERM'), (error) => /signal\(/.test(error.hint))
  })
  const asked = box.spawn(['sh', '-c', 'trap "echo asked; exit 9" TERM; echo ready; while :; do sleep 0.05; done'])
  await once(asked.stdout, 'data')
  asked.signal('SIGTERM')
  assert.equal((await asked).exitCode, 9)
  assert.throws(() => asked.signal('SIGNONE'), /no signal/)
})

// An emulated machine needs minutes for a gigabyte.
const MUCH = process.env.PINFOLD_EMULATED === undefined ? 1_000_000_000 : 50_000_000

test('a gigabyte that nobody reads stays with the payload, and the host does not grow', async () => {
  const gigabyte = ['sh', '-c', `head -c ${MUCH} /dev/zero; echo all >&2`]
  const p = box.spawn(gigabyte)
  const other = box.spawn(gigabyte)
  // The stream is there and flows nowhere.
  other.stdout.pause()
  const before = process.memoryUsage().rss
  await sleep(500)
  assert.ok(process.memoryUsage().rss - before < 32 << 20)
  assert.deepEqual([p.outcome, other.outcome], [null, null])
  other.kill()
  assert.equal((await other).ended, 'killed')
  // It was not lost: who reads late has all of it.
  let bytes = 0
  let most = 0
  for await (const data of p.stdout) {
    bytes += data.length
    most = Math.max(most, process.memoryUsage.rss() - before)
  }
  assert.equal(bytes, MUCH)
  assert.ok(most < 128 << 20, `${most} bytes more`)
  assert.equal((await p).stderrText, 'all\n')
})

test('backpressure reaches the program that writes in', async () => {
  const p = box.spawn(['sleep', '60'], { stdin: 'pipe' })
  assert.equal(p.stdin.write(Buffer.alloc(1 << 20)), false)
  assert.ok(p.stdin.writableLength > 0)
  p.stdin.on('error', () => {})
  p.kill()
  await p
})

test('the event loop goes on while payloads run', async () => {
  let ticks = 0
  const timer = setInterval(() => (ticks += 1), 5)
  await box.run(['sleep', '0.5'])
  clearInterval(timer)
  assert.ok(ticks > 20, `${ticks} ticks`)
})

test('there is no thread of ours', async () => {
  const { readdirSync } = await import('node:fs')
  await box.run(['true'])
  const before = readdirSync('/proc/self/task').length
  const all = Array.from({ length: 8 }, () => box.spawn(['sleep', '0.2']))
  assert.equal(readdirSync('/proc/self/task').length, before)
  await Promise.all(all)
})

test('unref lets the program end, and the sandbox with it', async () => {
  const script = `
    const { spawn } = require('pinfold')
    const p = spawn(['sleep', '60']).unref()
    p.on('exit', () => console.log('never'))
    console.log(p.pid)`
  const begun = Date.now()
  const { stdout, status } = spawnSync(process.execPath, ['-e', script], { cwd: import.meta.dirname ?? '.', encoding: 'utf8' })
  assert.equal(status, 0)
  assert.ok(Date.now() - begun < 30_000)
  await eventually('it is gone', () => comm(Number(stdout)) !== 'sleep')
})

test('ref takes it back', () => {
  const script = `
    const { spawn } = require('pinfold')
    const p = spawn(['sh', '-c', 'sleep 0.3; exit 3']).unref().ref()
    p.on('exit', (outcome) => console.log(outcome.exitCode))`
  const { stdout } = spawnSync(process.execPath, ['-e', script], { cwd: import.meta.dirname ?? '.', encoding: 'utf8' })
  assert.equal(stdout, '3\n')
})

test('already aborted: nothing starts, and who does not await is told', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sleep', '60'], { signal: AbortSignal.abort(new Error('enough')) })
    assert.deepEqual([p.pid, p.stdout, descendants()], [undefined, null, []])
    p.on('spawn', () => assert.fail('it started'))
    const [error] = await once(p, 'error')
    assert.deepEqual([error.name, error.code, error.cause.message, error.outcome], ['AbortError', 'ABORT_ERR', 'enough', null])
  })
})

test('usage is told at every moment, also between the end and the outcome', async () => {
  const p = box.spawn(['sh', '-c', 'echo x; exec sleep 60'])
  await sleep(50)
  // Somebody outside holds the pipe: its end is waited for after the payload's.
  const held = openSync(`/proc/${p.pid}/fd/1`, 'w')
  p.wait()
  p.kill()
  while (p.outcome === null) assert.ok((await p.usage()).cpuUserMs >= 0)
  closeSync(held)
  assert.deepEqual(await p.usage(), p.outcome.usage)
  const failed = box.spawn(['no-such-program'])
  failed.catch(() => {})
  await assert.rejects(failed.usage(), (error) => error.kind === 'program_not_found')
})

test('dispose kills and waits', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sleep', '60'])
    await (Symbol.asyncDispose ? p[Symbol.asyncDispose]() : p.dispose())
    assert.equal(p.outcome.ended, 'killed')
  })
})

test('a file or a stream of the host as standard output', async (t) => {
  const { closeSync, mkdtempSync, openSync, readFileSync, rmSync } = await import('node:fs')
  const folder = mkdtempSync('/tmp/pinfold-node-')
  t.after(() => rmSync(folder, { recursive: true }))
  const fd = openSync(`${folder}/out`, 'w')
  const outcome = await box.run(['echo', 'filed'], { stdout: fd })
  closeSync(fd)
  assert.equal(outcome.stdout, null)
  assert.equal(readFileSync(`${folder}/out`, 'utf8'), 'filed\n')
  await assert.rejects(box.run(['true'], { stdout: 9999 }), /9999/)
  await assert.rejects(box.run(['true'], { stdin: {} }), /no open fd/)
})

test('a listening server is passed as a declared fd', async (t) => {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const script = `
import os, socket
assert os.environ["LISTEN_FDS"] == "1"
listener = socket.socket(fileno=3)
peer, _ = listener.accept()
peer.sendall(b"from inside")
peer.close()`
  const p = spawn(['/usr/bin/python3', '-c', script], { fds: [{ name: 'http', socketActivation: true, fd: server }], timeout: '20s' })
  server.close()
  t.after(() => p.kill())
  const peer = net.connect(port, '127.0.0.1')
  assert.equal(await text(peer), 'from inside')
  assert.equal((await p).ok, true)
  const declared = new Sandbox({ fds: [{ name: 'log', target: 5 }] })
  const { read, write } = await pipe()
  assert.equal((await declared.run(['sh', '-c', 'echo x >&5'], { fds: { log: write } })).ok, true)
  write.close()
  assert.equal(await text(read.createReadStream()), 'x\n')
  await assert.rejects(declared.run(['true'], { fds: { other: 1 } }), /declares no fd/)
})

/** A fifo: Node has no pipe(2). */
async function pipe() {
  const { open, mkdtemp, rm } = await import('node:fs/promises')
  const folder = await mkdtemp('/tmp/pinfold-node-')
  spawnSync('mkfifo', [`${folder}/fifo`])
  const both = [open(`${folder}/fifo`, 'r'), open(`${folder}/fifo`, 'w')]
  const [read, write] = await Promise.all(both)
  await rm(folder, { recursive: true })
  return { read, write }
}
