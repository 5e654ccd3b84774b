// Owns: the table of payloads that do not want to end, with a timeout of a second. The tests bound it generously; bench/nasty.mjs measures it.
// Must not: be run as a test.
import assert from 'node:assert/strict'

import { Sandbox } from 'pinfold'

export const box = new Sandbox({ timeoutMs: 1000 })
const python = (code) => ['/usr/bin/python3', '-c', code]
const sh = (code) => ['sh', '-c', code]

export const PAYLOADS = {
  'a setsid holder of the pipe': { argv: sh('echo early; setsid sleep 60 & exec sleep 60'), ended: 'wall_time', text: 'early\n' },
  'a holder of the pipe that outlives the payload': { argv: sh('setsid sleep 60 & echo early; exit 3'), ended: 'exited', exitCode: 3, text: 'early\n' },
  'one that ignores SIGTERM': { argv: sh("trap '' TERM INT HUP; echo early; while :; do sleep 0.1; done"), ended: 'wall_time', text: 'early\n' },
  'one that stops itself': { argv: sh('echo early; kill -STOP $$; echo late'), ended: 'wall_time', text: 'early\n' },
  'one that forks twice': { argv: sh('(setsid sh -c "sleep 60 & sleep 60" &) ; echo early; sleep 60'), ended: 'wall_time', text: 'early\n' },
  'a gigabyte of output': { argv: sh('head -c 1000000000 /dev/zero'), call: { output: '1MiB' }, length: 1 << 20, truncated: true },
  'output without an end': { argv: ['yes'], call: { output: '1MiB' }, ended: 'wall_time', length: 1 << 20, truncated: true },
  'output without an end, where that kills': { argv: ['yes'], box: box.with({ limits: { overflow: 'kill', output: '64KiB' } }), ended: 'output', length: 64 << 10, truncated: true },
  'a fork bomb': { argv: sh('echo early; f() { f | f & }; f; sleep 60'), call: { rlimits: { nproc: 64 } }, endedOneOf: ['wall_time', 'exited'] },
  'bytes that are no text': { argv: ['printf', '\\377\\376\\000x'], ended: 'exited', bytes: Buffer.from([0xff, 0xfe, 0, 0x78]) },
  'recursion without an end': { argv: python('import sys\nsys.setrecursionlimit(10**9)\nf = lambda: f()\nf()'), endedOneOf: ['signaled', 'exited', 'wall_time'], ok: false },
  'a loop': { argv: sh('while :; do :; done'), ended: 'wall_time' },
  'one that kills everything it sees': { argv: sh('echo early; kill -9 -1; sleep 60'), endedOneOf: ['wall_time', 'signaled', 'exited'], text: 'early\n' },
  'one that kills init': { argv: sh('echo early; kill -9 1; kill -TERM 1; sleep 60'), ended: 'wall_time', text: 'early\n' },
  'one that closes its streams': { argv: sh('echo early; exec >&- 2>&-; sleep 60'), ended: 'wall_time', text: 'early\n' },
  'one that kills its own group': { argv: sh('echo early; kill -9 0'), ended: 'signaled', signal: 'SIGKILL', text: 'early\n' },
  'one that takes memory without an end': {
    argv: python('a = []\nwhile True: a.append(bytearray(1 << 24))'),
    box: box.with({ memory: '128MiB', compat: { prefer: ['limits.*'] } }), endedOneOf: ['memory', 'exited', 'signaled'], ok: false,
  },
}

/** Whether it ended as it must. */
export function check(payload, r) {
  if (payload.ended) assert.equal(r.ended, payload.ended)
  if (payload.endedOneOf) assert.ok(payload.endedOneOf.includes(r.ended), r.detail)
  if (payload.exitCode !== undefined) assert.equal(r.exitCode, payload.exitCode)
  if (payload.signal) assert.equal(r.signal, payload.signal)
  if (payload.ok !== undefined) assert.equal(r.ok, payload.ok)
  if (payload.text !== undefined) assert.equal(r.text, payload.text)
  if (payload.bytes) assert.deepEqual(r.stdout, payload.bytes)
  if (payload.length !== undefined) assert.equal(r.stdout.length, payload.length)
  assert.equal(r.stdoutTruncated, payload.truncated ?? false)
}
