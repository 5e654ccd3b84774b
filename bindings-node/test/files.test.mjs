// Files of a root, read and written by the host; what was changed in it; a root that is kept.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { Sandbox, run, spawn } from 'pinfold'
import { leavesNothing, warm } from './kit.mjs'

const box = new Sandbox({ overlay: 'memory:64MiB' })
await (await box.open()).close()
await warm(box)
const rejected = (promise) => promise.then(() => assert.fail('it is not refused'), (error) => error)

function scratch(t) {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-files-'))
  t.after(() => {
    // The kernel leaves a directory beside a layer that not even its owner may enter.
    spawnSync('chmod', ['-R', 'u+rwX', folder])
    rmSync(folder, { recursive: true })
  })
  return folder
}

async function within(what, sandbox = box) {
  await leavesNothing(async () => {
    const s = await sandbox.open()
    try {
      await what(s)
    } finally {
      await s.close()
    }
  })
}

test('what the host writes the payload has, and the other way round', () => within(async (s) => {
  const { files } = s
  await files.write('/job/deep/in.txt', '3\n1\n2\n')
  await files.writeFile('/job/bytes', Buffer.from([0xff, 0]).subarray(0, 1))
  const r = await s.run(['sh', '-c', "sort -o /job/out.txt /job/deep/in.txt; stat -c '%u:%g %a' /job/deep/in.txt /job; wc -c < /job/bytes"])
  assert.equal(r.text, '1000:1000 644\n1000:1000 755\n1\n')
  assert.deepEqual(await files.read('/job/out.txt'), Buffer.from('1\n2\n3\n'))
  assert.equal(await files.readFile('/job/out.txt', 'utf8'), '1\n2\n3\n')
  const status = await files.stat('/job/out.txt')
  assert.deepEqual([status.kind, status.size, status.uid, status.gid, status.mode], ['file', 6, 1000, 1000, 0o644])
  assert.ok(Math.abs(status.modified - Date.now()) < 60_000)
  await files.mkdir('/job/a/b')
  await files.mkdir('/job/a/b')
  assert.deepEqual((await files.list('/job')).map(({ name, status }) => [name, status.kind]), [['a', 'directory'], ['bytes', 'file'], ['deep', 'directory'], ['out.txt', 'file']])
  await files.write('/tmp/t', 't')
  assert.equal((await s.run(['cat', '/tmp/t'])).text, 't')
  await files.remove('/job/deep')
  assert.equal((await s.run(['test', '-e', '/job/deep'])).ok, false)
}))

test('names that are no text are bytes', () => within(async (s) => {
  const name = Buffer.from([0x2f, 0x74, 0x6d, 0x70, 0x2f, 0xff])
  await s.files.write(name, 'x')
  assert.deepEqual((await s.files.list('/tmp')).map((entry) => entry.name), [Buffer.from([0xff])])
  assert.equal(await s.files.read(name, 'utf8'), 'x')
  await s.files.write(Buffer.from([0x2f, 0xfe]), 'x')
  assert.deepEqual((await s.changes()).map(({ path, change }) => [path, change]), [[Buffer.from([0x2f, 0xfe]), 'added']])
}))

test('trees go in and out', (t) => within(async (s) => {
  const folder = scratch(t)
  mkdirSync(join(folder, 'in/sub'), { recursive: true })
  writeFileSync(join(folder, 'in/sub/a'), 'aaa')
  symlinkSync('/etc/shadow', join(folder, 'in/link'))
  assert.equal(await s.files.copyIn(join(folder, 'in'), '/job'), 3)
  assert.equal((await s.run(['sh', '-c', 'cat /job/sub/a; readlink /job/link; echo more > /job/sub/b'])).text, 'aaa/etc/shadow\n')
  assert.equal(await s.files.copyOut('/job', pathToFileURL(join(folder, 'out'))), 8)
  assert.equal(readFileSync(join(folder, 'out/sub/b'), 'utf8'), 'more\n')
  assert.deepEqual(readdirSync(join(folder, 'out')), ['link', 'sub'])
  const error = await rejected(s.files.copyOut('/job', join(folder, 'out')))
  assert.deepEqual([error.code, error.errnoName], ['ERR_PINFOLD_FILES', 'EEXIST'])
}))

test('streams, and more than fits into memory at a time', () => within(async (s) => {
  const chunk = Buffer.alloc(1 << 20, 7)
  assert.equal(await s.files.writeFrom('/big', Array.from({ length: 20 }, () => chunk)), 20 << 20)
  assert.equal((await s.run(['sh', '-c', 'wc -c < /big'])).text, `${20 << 20}\n`)
  let read = 0
  const sink = new Writable({ write: (data, _, done) => ((read += data.length), done()) })
  assert.equal(await s.files.readTo('/big', sink), 20 << 20)
  assert.equal(read, 20 << 20)
  await s.files.writeFrom('/small', Readable.from(['a', 'b']))
  assert.equal(await text(await s.files.reader('/small')), 'ab')
  const writer = await s.files.writer('/small')
  await new Promise((resolve, reject) => writer.once('error', reject).end('z', resolve))
  assert.equal(await s.files.read('/small', 'utf8'), 'z')
}))

test('a limit bounds each call', (t) => within(async (s) => {
  const files = s.files.limit('4')
  await files.write('/a', '1234')
  assert.equal(await files.read('/a', 'utf8'), '1234')
  const folder = scratch(t)
  await s.files.write('/b', '12345')
  writeFileSync(join(folder, 'b'), '12345')
  for (const refused of [
    () => files.write('/c', '12345'), () => files.read('/b'), () => files.readTo('/b', new Writable({ write: (_, __, done) => done() })),
    () => files.writeFrom('/c', ['123', '45']), () => files.copyIn(join(folder, 'b'), '/c'), () => files.copyOut('/b', join(folder, 'c')),
  ]) {
    const error = await rejected(refused())
    assert.deepEqual([error.name, error.code, error.errno, error.errnoName], ['SandboxError', 'ERR_PINFOLD_FILES', 27, 'EFBIG'])
    assert.match(error.hint, /limit/)
  }
  for (const wrong of [-1, 1.5, 'much', null, undefined]) assert.throws(() => s.files.limit(wrong), { code: 'ERR_PINFOLD_CONFIG' })
}))

test('links of the payload lead nowhere outside', (t) => within(async (s) => {
  const folder = scratch(t)
  writeFileSync(join(folder, 'secret'), 'secret')
  await s.run(['sh', '-c', `mkdir /w; cd /w; ln -s ${folder}/secret file; ln -s ${folder} dir; ln -s ../../../..${folder}/secret up; ln -s /proc/self/root magic; mkfifo pipe; ln -s loop loop`])
  for (const path of ['/w/file', '/w/dir/secret', '/w/up', `/w/magic${folder}/secret`, '/w/pipe', '/w/loop']) {
    assert.equal((await rejected(s.files.read(path))).code, 'ERR_PINFOLD_FILES', path)
  }
  await rejected(s.files.write('/w/loop/x', 'x'))
  await s.files.write('/w/dir/new', 'inside').catch(() => {})
  assert.deepEqual(readdirSync(folder), ['secret'])
}))

test('errors teach, and what was closed is closed', async () => {
  const plain = new Sandbox()
  await (await plain.open()).close()
  await within(async (s) => {
    const error = await rejected(s.files.write('/new', 'x'))
    assert.deepEqual([error.code, error.errnoName, error.subject], ['ERR_PINFOLD_FILES', 'EROFS', '/new'])
    assert.match(error.hint, /overlay/)
    assert.equal((await rejected(s.files.read('/none'))).errnoName, 'ENOENT')
    assert.equal((await rejected(s.files.read('relative'))).code, 'ERR_PINFOLD_FILES')
    assert.equal((await rejected(s.files.read(7))).code, 'ERR_PINFOLD_CONFIG')
    assert.equal((await rejected(s.files.read('/\ud800'))).code, 'ERR_PINFOLD_CONFIG')
    assert.equal((await rejected(s.files.write('/tmp/a', { length: 3 }))).code, 'ERR_PINFOLD_CONFIG')
    assert.deepEqual([(await rejected(s.changes())).code, (await rejected(s.commit('/tmp/x'))).origin], ['ERR_PINFOLD_CONFIG', 'rootfs.overlay'])
  }, plain)
  const s = await plain.open()
  const { files } = s
  await s.close()
  assert.throws(() => s.files, { code: 'ERR_PINFOLD_CLOSED' })
  for (const gone of [() => files.read('/tmp/a'), () => s.changes(), () => s.commit('/tmp/x')]) assert.equal((await rejected(gone())).code, 'ERR_PINFOLD_CLOSED')
})

test('changes of a session, and a layer of them', (t) => within(async (s) => {
  const folder = scratch(t)
  assert.deepEqual(await s.changes(), [])
  await s.run(['sh', '-c', 'mkdir /job && echo 12345 > /job/x'], { check: true })
  const changes = await s.changes()
  assert.deepEqual(changes.find((one) => one.path === '/job/x'), { path: '/job/x', change: 'added', kind: 'file', size: 6, mode: 0o644, metadataOnly: false, replaced: false })
  const layer = join(folder, 'layer')
  await s.commit(layer)
  assert.equal(readFileSync(join(layer, 'job/x'), 'utf8'), '12345\n')
  assert.equal((await rejected(s.commit(layer))).code, 'ERR_PINFOLD_FILES')
  assert.deepEqual(await s.changes(), changes)
}))

test('a kept root', (t) => leavesNothing(async () => {
  const folder = scratch(t)
  const { outcome, kept } = await box.runKept(['sh', '-c', 'mkdir /job; echo 12345 > /job/x; exit 3'])
  assert.equal(outcome.exitCode, 3)
  assert.deepEqual(outcome.changes().map((one) => one.path), ['/job', '/job/x'])
  assert.deepEqual(await kept.changes(), outcome.changes())
  const { files } = kept
  assert.equal(await files.read('/job/x', 'utf8'), '12345\n')
  await files.copyOut('/job', join(folder, 'job'))
  assert.equal(statSync(join(folder, 'job/x')).size, 6)
  await kept.commit(join(folder, 'layer'))
  assert.ok(existsSync(join(folder, 'layer/job/x')))
  assert.equal(kept.closed, false)
  // In the middle of a call: that goes on with what it has.
  const listed = kept.changes()
  await kept.close()
  assert.deepEqual(await listed, outcome.changes())
  await kept.close()
  assert.equal(kept.closed, true)
  for (const gone of [() => kept.changes(), () => kept.commit(join(folder, 'other')), () => files.read('/job/x')]) assert.equal((await rejected(gone())).code, 'ERR_PINFOLD_CLOSED')
  assert.throws(() => kept.files, { code: 'ERR_PINFOLD_CLOSED' })
}))

test('who starts a process may take its root', () => leavesNothing(async () => {
  const p = box.spawn(['sh', '-c', 'echo 1 > /x'], { keepRoot: true })
  assert.equal(p.takeKeptRoot(), null)
  assert.equal((await p).ok, true)
  const kept = p.takeKeptRoot()
  assert.equal(p.takeKeptRoot(), null)
  assert.equal(await kept.files.read('/x', 'utf8'), '1\n')
  await kept.close()
  const other = spawn(['true'], { overlay: 'memory', keep_root: true })
  await other
  await other.takeKeptRoot().close()
  const without = box.spawn(['true'])
  await without
  assert.equal(without.takeKeptRoot(), null)
}))

test('a root is kept for those alone who can take it', () => leavesNothing(async () => {
  for (const refused of [() => box.run(['true'], { keepRoot: true }), () => run(['true'], { overlay: 'memory', keepRoot: true }), () => new Sandbox().runKept(['true'])]) {
    assert.equal((await rejected(refused())).code, 'ERR_PINFOLD_CONFIG')
  }
  assert.throws(() => box.spawn(['true'], { keepRoot: true, keep_root: true }), { code: 'ERR_PINFOLD_CONFIG' })
  const s = await box.open()
  assert.throws(() => s.spawn(['true'], { keepRoot: true }), { code: 'ERR_PINFOLD_CONFIG' })
  await s.close()
  const error = await rejected(box.runKept(['sh', '-c', 'echo x > /x; exit 1'], { check: true }))
  assert.deepEqual([error.name, error.outcome.exitCode], ['CommandFailed', 1])
  const aborted = await rejected(box.runKept(['sleep', '60'], { signal: AbortSignal.timeout(100) }))
  assert.deepEqual([aborted.name, aborted.outcome.ended], ['AbortError', 'cancelled'])
}))

const large = new Sandbox({ overlay: 'memory:256MiB' })
await (await large.open()).close()
await warm(large)

test('a directory of changes is free again when its outcome is there', (t) => leavesNothing(async () => {
  const folder = scratch(t)
  const kept = new Sandbox({ overlay: `${join(folder, 'upper')}/`, user: '0:0' })
  const r = await kept.run(['sh', '-c', 'echo 1 > /x'], { check: true })
  assert.deepEqual(r.changes()?.map((one) => one.path), ['/x'])
  assert.equal((await kept.run(['cat', '/x'])).text, '1\n')
}))

test('long lists and trees do not hold the event loop up', { timeout: 120_000 }, () => within(async (s) => {
  await s.run(['sh', '-c', 'mkdir /many; cd /many; seq 1 20000 | xargs touch'])
  let longest = 0
  let last = performance.now()
  const watch = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 1)
  const begun = performance.now()
  try {
    assert.equal((await s.changes()).length, 20_001)
    assert.equal((await s.files.list('/many')).length, 20_000)
    await s.files.remove('/many')
  } finally {
    clearInterval(watch)
  }
  const all = performance.now() - begun
  // On the loop it would be all of it at once.
  assert.ok(longest < Math.max(all / 3, 50), `${longest} ms of ${all}`)
}, large))
