// Untrusted JavaScript: what goes in, what comes out, what never crosses.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AbortError, CommandFailed, RemoteError, runModule } from 'pinfold'
import { leavesNothing } from './kit.mjs'

const limits = { timeoutMs: 20_000 }
// The first start of a process makes what all later ones share.
await runModule('', limits)

test('a value comes back', async () => {
  await leavesNothing(async () => {
    const { value, error, outcome } = await runModule('export default (input) => input.x * 2', { input: { x: 21 }, ...limits })
    assert.deepEqual([value, error, outcome.ok], [42, null, true])
  })
  assert.deepEqual((await runModule('export default async ({ a }) => ({ a, b: [null, "ä"] })', { input: { a: 1 }, ...limits })).value, { a: 1, b: [null, 'ä'] })
  assert.equal((await runModule('export default 5', limits)).value, 5)
  assert.equal((await runModule('export default () => {}', limits)).value, undefined)
})

test('what it prints is in the outcome, and is not the result', async () => {
  const { value, outcome } = await runModule('console.log("{\\"value\\": 1}"); console.error("oops"); export default () => 2', limits)
  assert.deepEqual([value, outcome.text, outcome.stderrText], [2, '{"value": 1}\n', 'oops\n'])
})

test('what it throws comes back as data', async () => {
  for (const [source, name, message] of [
    ['export default () => { throw new RangeError("too far") }', 'RangeError', 'too far'],
    ['export default async () => { null.x }', 'TypeError', /null/],
    ['throw new Error("at the top")', 'Error', 'at the top'],
    ['export default () => { throw "text" }', 'Error', 'text'],
    ['export default (', 'SyntaxError', /Unexpected/],
    ['import "nothing-of-this-name"', 'Error', /nothing-of-this-name/],
    ['export default () => 1n', 'TypeError', /BigInt/],
    ['export default () => { const a = {}; a.a = a; return a }', 'TypeError', /circular/],
    ['setTimeout(() => { throw new Error("later") }); export default () => new Promise(() => setInterval(() => {}, 1e6))', 'Error', 'later'],
    ['export default () => { throw { get message() { throw 1 } } }', 'Error', /could not be read/],
  ]) {
    const { value, error } = await runModule(source, limits)
    assert.equal(value, undefined)
    assert.equal(error.name, name, source)
    if (typeof message === 'string') assert.equal(error.message, message)
    else assert.match(error.message, message)
    assert.equal(typeof error.stack, 'string')
  }
  const { error } = await runModule('\nexport default function grade() { throw new Error("here") }', limits)
  assert.match(error.stack, /grade.*module\.mjs:2/)
})

test('check rejects', async () => {
  const thrown = await runModule('export default () => { throw new RangeError("x") }', { check: true, ...limits }).catch((error) => error)
  assert.ok(thrown instanceof RemoteError)
  assert.deepEqual([thrown.remoteName, thrown.remoteMessage], ['RangeError', 'x'])
  const gone = await runModule('process.exit(7)', { check: true, ...limits }).catch((error) => error)
  assert.ok(gone instanceof CommandFailed)
})

test('input and result have limits', async () => {
  await assert.rejects(runModule('export default 1', { input: 'x'.repeat(2000), inputLimit: 1000 }), /inputLimit/)
  const { value, error } = await runModule('export default () => "x".repeat(2000)', { resultLimit: '1KiB', ...limits })
  assert.deepEqual([value, error.name], [undefined, 'ResultTooLarge'])
  const big = 'y'.repeat(3 << 20)
  assert.equal((await runModule('export default (input) => input', { input: big, ...limits })).value, big)
  await assert.rejects(runModule('export default 1', { resultLimit: 'many' }), /size|many/)
  await assert.rejects(runModule('export default 1', { input: 1n }), /JSON/)
  await assert.rejects(runModule('export default 1', { stdin: 'pipe' }), /streams itself/)
  await assert.rejects(runModule('export default 1', { memroy: '1M' }), /memory/)
})

test('a guest that writes to the result itself gives nothing but JSON', async () => {
  const forged = 'import { writeSync } from "node:fs"; writeSync(3, process.argv0 && "BODY"); process.exit(0)'
  assert.equal((await runModule(forged.replace('BODY', 'nonsense'), limits)).error.name, 'MalformedResult')
  const { value } = await runModule(forged.replace('"BODY"', '\'{"value": {"__proto__": {"polluted": true}}}\''), limits)
  assert.equal({}.polluted, undefined)
  assert.deepEqual(Object.keys(value), ['__proto__'])
  assert.deepEqual((await runModule(forged.replace('"BODY"', '\'{"error": 5}\''), limits)).error, { name: 'Error', message: '', stack: '' })
})

test('a timeout and an abort end it', async () => {
  await leavesNothing(async () => {
    const { value, error, outcome } = await runModule('while (true);', { timeoutMs: 500 })
    assert.deepEqual([value, error, outcome.ended], [undefined, null, 'wall_time'])
    const aborted = await runModule('while (true);', { signal: AbortSignal.timeout(300) }).catch((error) => error)
    assert.ok(aborted instanceof AbortError)
    const early = await runModule('', { signal: AbortSignal.abort() }).catch((error) => error)
    assert.equal(early.name, 'AbortError')
  })
})
