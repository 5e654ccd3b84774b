// A terminal of the payload's own.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox, run, spawn } from 'pinfold'
import { leavesNothing, warm } from './kit.mjs'

const box = new Sandbox({ timeoutMs: 20_000 })
await warm(box)
const SIZE = ['stty', 'size']
const terminal = { columns: 100, rows: 30 }

/** Reads until it says `words`. */
async function says(stream, words) {
  let read = ''
  while (!read.includes(words)) read += (await once(stream, 'data'))[0]
  return read
}

test('what is printed is the output', async () => {
  await leavesNothing(async () => {
    assert.equal((await box.run(SIZE, { terminal: true })).text, '24 80\r\n')
    const r = await box.run(['sh', '-c', 'stty size; tty; echo err >&2; echo $TERM'], { terminal })
    assert.deepEqual([r.text.split(/\s+/), r.stderr], [['30', '100', '/dev/pts/0', 'err', 'xterm', ''], null])
    assert.equal((await run(SIZE, { terminal })).text, '30 100\r\n')
    const s = await box.open()
    assert.equal((await s.run(SIZE, { terminal })).text, '30 100\r\n')
    await s.close()
  })
})

test('what is printed last is not lost', async () => {
  const s = await box.open()
  for (let n = 0; n < 50; n++) {
    const p = s.spawn(['sh', '-c', 'read x; stty size; echo last'], { terminal })
    p.terminal.write('\n')
    assert.equal(await text(p.terminal), '\r\n30 100\r\nlast\r\n')
    await p
  }
  await s.close()
})

test('the config may ask for one', async () => {
  assert.equal((await box.with({ process: { terminal: true } }).run(SIZE)).text, '24 80\r\n')
})

test('typing and resizing', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sh', '-c', 'stty -echo; echo ready; read x; stty size; echo got $x'], { terminal })
    assert.equal(p.terminal, p.stdout)
    assert.deepEqual([p.stdin, p.stderr], [null, null])
    await says(p.terminal, 'ready\r\n')
    p.resize({ columns: 120, rows: 40 })
    p.terminal.write('this\n')
    assert.equal(await text(p.terminal), '40 120\r\ngot this\r\n')
    const outcome = await p
    assert.deepEqual([outcome.ok, outcome.stdout], [true, null])
    p.resize({ columns: 1, rows: 1 })
  })
})

test('control-C reaches the foreground', async () => {
  const p = box.spawn(['sh', '-c', "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"], { terminal: true })
  await says(p.terminal, 'ready')
  p.terminal.write('\x03')
  assert.match(await text(p.terminal), /caught/)
  assert.equal((await p).exitCode, 3)
})

test('events, and output that is asked for late', async () => {
  let read = ''
  for await (const event of spawn(['echo', 'hi'], { terminal })) if (event.type === 'stdout') read += event.data
  assert.equal(read, 'hi\r\n')
  const p = spawn(['echo', 'hi'], { terminal })
  await once(p, 'close')
  assert.equal(p.terminal, null)
  assert.equal(await text(p.stdout), 'hi\r\n')
})

test('a payload that reads nothing does not hold the event loop up', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sh', '-c', 'stty raw -echo; echo ready; exec sleep 60'], { terminal })
    await says(p.terminal, 'ready')
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 5)
    assert.equal(p.terminal.write(Buffer.alloc(1 << 20, 'x')), false)
    await sleep(500)
    clearInterval(timer)
    assert.ok(ticks > 20, `${ticks} ticks`)
    assert.ok(p.terminal.writableLength > 0)
    p.kill()
    assert.equal((await p).ended, 'killed')
    await text(p.terminal)
    assert.equal(p.terminal.destroyed, true)
  })
})

test('a terminal that is destroyed lets the payload go on', async () => {
  await leavesNothing(async () => {
    const p = box.spawn(['sh', '-c', 'trap "" HUP; sleep 0.2; exit 4'], { terminal })
    p.terminal.destroy()
    assert.equal((await p).exitCode, 4)
  })
})

test('refusals', async () => {
  for (const size of [false, '80x24', 80, {}, { columns: 80 }, { columns: 0, rows: 24 }, { columns: 80, rows: 70_000 }, { columns: 8.5, rows: 2 }]) {
    await assert.rejects(box.run(SIZE, { terminal: size }), (error) => error.code === 'ERR_PINFOLD_CONFIG' && /terminal/.test(error.message))
  }
  await assert.rejects(box.run(SIZE, { terminal: true, stdout: 'pipe' }), /stdout/)
  assert.throws(() => new Sandbox({ terminal: true }), /belongs to a call/)
  const p = box.spawn(['sleep', '60'])
  assert.equal(p.terminal, null)
  assert.throws(() => p.resize({ columns: 80, rows: 24 }), /no terminal/)
  assert.throws(() => p.resize(), /resize/)
  p.kill()
  await p
})
