// What `run` resolves and rejects with, and what options mean.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'

import { AbortError, CommandFailed, Sandbox, SandboxError, TimedOut, doctor, run, spawn } from 'pinfold'
import { SOON, descendants, eventually, leavesNothing } from './kit.mjs'

test('an outcome says how it ended', async () => {
  const r = await run(['sh', '-c', 'echo out; echo err >&2; exit 3'], { timeoutMs: 5000 })
  assert.equal(r.ended, 'exited')
  assert.equal(r.exitCode, 3)
  assert.equal(r.ok, false)
  assert.equal(r.signal, null)
  assert.equal(r.signalNumber, null)
  assert.equal(r.detail, 'exited with 3')
  assert.ok(Buffer.isBuffer(r.stdout))
  assert.equal(r.text, 'out\n')
  assert.equal(r.stderrText, 'err\n')
  assert.ok(r.durationMs > 0)
  assert.ok(r.usage.memoryPeak > 0)
  assert.equal(r.changes(), null)
  const killed = await run(['sh', '-c', 'kill -9 $$'])
  assert.deepEqual([killed.ended, killed.signal, killed.signalNumber, killed.exitCode], ['signaled', 'SIGKILL', 9, null])
})

test('an outcome is plain data', async () => {
  const r = await run(['echo', 'x'])
  const copy = structuredClone(r)
  assert.equal(Buffer.from(copy.stdout).toString(), 'x\n')
  assert.equal(copy.detail, 'exited with 0')
  const json = JSON.parse(JSON.stringify(r))
  assert.equal(json.exit_code, 0)
  assert.ok('enforced' in json.report)
})

test('what nobody captures is null', async () => {
  const r = await run(['true'], { stdio: ['null', 'null', 'pipe'] })
  assert.equal(r.stdout, null)
  assert.equal(r.text, '')
  assert.equal(r.stderr.length, 0)
})

test('input goes in, stderr may go where stdout goes', async () => {
  assert.equal((await run(['cat'], { input: 'ä' })).text, 'ä')
  const big = Buffer.alloc(3 << 20, 7)
  assert.ok((await run(['cat'], { input: big })).stdout.equals(big))
  const r = await run(['sh', '-c', 'echo a; echo b >&2'], { stderr: 'stdout' })
  assert.equal(r.text, 'a\nb\n')
  assert.equal(r.stderr, null)
})

test('output is cut where the limit is', async () => {
  const cut = await run(['sh', '-c', 'head -c 100000 /dev/zero; head -c 10 /dev/zero >&2'], { output: '1KiB' })
  assert.deepEqual([cut.stdout.length, cut.stdoutTruncated, cut.stderr.length, cut.stderrTruncated], [1024, true, 10, false])
  assert.equal(cut.toJSON().stdout_truncated, true)
  const ended = await run(['yes'], { limits: { output: 1000, overflow: 'kill' } })
  assert.deepEqual([ended.ended, ended.stdout.length], ['output', 1000])
})

test('a timeout bounds the call, whoever holds the pipe', async () => {
  await leavesNothing(async () => {
    const begun = performance.now()
    const r = await run(['sh', '-c', 'echo early; setsid sleep 60 & sleep 60'], { timeoutMs: SOON })
    assert.equal(r.ended, 'wall_time')
    assert.equal(r.text, 'early\n')
    assert.ok(performance.now() - begun < Math.max(5000, 2 * SOON))
  })
})

test('check rejects, with the outcome', async () => {
  const failed = await run(['sh', '-c', 'echo why >&2; exit 4'], { check: true }).catch((error) => error)
  assert.ok(failed instanceof CommandFailed && !(failed instanceof SandboxError))
  assert.equal(failed.outcome.exitCode, 4)
  assert.match(failed.message, /exited with 4\nwhy/)
  const timed = await run(['sleep', '60'], { check: true, timeout: `${SOON}ms` }).catch((error) => error)
  assert.ok(timed instanceof TimedOut && timed instanceof CommandFailed)
  assert.deepEqual([failed.code, timed.code], ['ERR_PINFOLD_COMMAND_FAILED', 'ERR_PINFOLD_TIMED_OUT'])
  assert.equal((await run(['true'], { check: true })).ok, true)
})

test('errors have a code and say what to do', async () => {
  const missing = await run(['no-such-program']).catch((error) => error)
  assert.ok(missing instanceof SandboxError)
  assert.equal(missing.code, 'ERR_PINFOLD_PROGRAM_NOT_FOUND')
  assert.equal(missing.kind, 'program_not_found')
  assert.equal(missing.name, 'SandboxError')
  assert.equal(missing.errnoName, 'ENOENT')
  assert.match(missing.stack, /run\.test\.mjs|sandbox\.js/)
  const denied = await run(['/etc']).catch((error) => error)
  assert.equal(denied.code, 'ERR_PINFOLD_NOT_EXECUTABLE')
  const cwd = await run(['true'], { cwd: '/nowhere' }).catch((error) => error)
  assert.equal(cwd.code, 'ERR_PINFOLD_SETUP')
})

test('an error as JSON is the report that all languages share', async () => {
  const missing = await run(['no-such-program']).catch((error) => error)
  const json = JSON.parse(JSON.stringify(missing))
  assert.deepEqual(Object.keys(json), ['kind', 'stage', 'step', 'origin', 'subject', 'errno', 'errno_name', 'message', 'hint'])
  assert.deepEqual([json.kind, json.errno, json.errno_name, json.message], ['program_not_found', 2, 'ENOENT', missing.message])
  const wrong = await run(['true'], { umsk: '0022', hostname: 'a b' }).catch((error) => error)
  const { message, problems } = JSON.parse(JSON.stringify({ error: wrong })).error
  assert.ok(wrong.message.startsWith(`${message}\n`) && !message.includes('umsk'), message) // the problems are apart
  assert.deepEqual(problems, wrong.problems)
  // One that this side finds has no fewer fields.
  const own = await run('ls').catch((error) => error)
  assert.deepEqual([own.toJSON().step, own.toJSON().errno_name, own.toJSON().message], [null, null, own.message])
})

test('a command is an array', async () => {
  for (const [argv, hint] of [['ls -l', /\["ls","-l"\]/], [[], null], [[5], /not|String/], [[null], null], [undefined, null], [['a\0b'], null], [['\ud800'], /Buffer/]]) {
    const error = await run(argv).catch((error) => error)
    assert.equal(error.code, 'ERR_PINFOLD_CONFIG', JSON.stringify(argv))
    if (hint) assert.match(error.hint, hint)
  }
  assert.equal((await run(['printf', '%s', Buffer.from([0xff, 0xfe])])).stdout.toString('latin1'), '\xff\xfe')
})

test('options come in both spellings, but not in both at once', async () => {
  const camel = new Sandbox({ cpuTime: '2s', limits: { wallTimeMs: 1500 }, process: { env: { camelCase: '1' } }, compat: { prefer: ['limits.*'] } })
  const snake = new Sandbox({ cpu_time: '2s', limits: { wall_time: '1500ms' }, process: { env: { camelCase: '1' } }, compat: { prefer: ['limits.*'] } })
  assert.deepEqual(camel.config, snake.config)
  assert.equal((await camel.run(['sh', '-c', 'echo $camelCase'])).text, '1\n')
  assert.throws(() => new Sandbox({ roBind: '/usr:/a', ro_bind: '/usr:/b' }), /given twice/)
  assert.throws(() => new Sandbox({ limits: { wallTime: '1s', wall_time: '1s' } }), /given twice/)
  assert.throws(() => new Sandbox({ timeoutMs: 1, timeout: '1s' }), /given twice/)
})

test('a bare number is no duration, in either spelling', async () => {
  const box = new Sandbox()
  const refused = (what) => assert.throws(what, (error) => error.code === 'ERR_PINFOLD_CONFIG' && /Ms: 5/.test(error.problems[0].hint))
  const all = [{ timeout: 5 }, { cpuTime: 5 }, { cpu_time: 5 }, ...['wallTime', 'wall_time', 'cpu_time', 'timeout'].map((name) => ({ limits: { [name]: 5 } }))]
  for (const options of all) {
    refused(() => new Sandbox(options))
    refused(() => box.with(options))
    refused(() => spawn(['true'], options))
  }
  refused(() => box.spawn(['true'], { cpu_time: 5 }))
  refused(() => new Sandbox({ namespaces: { time: { offsetBoottime: 5 } } }))
  refused(() => new Sandbox({ namespaces: { time: { offsetMonotonic: 5 } } }))
  assert.throws(() => new Sandbox({ namespaces: { time: { offsetBoottimeMs: 1500 } } }), /whole seconds/)
  const ahead = new Sandbox({ namespaces: { time: { offsetBoottimeMs: 3_600_000, offsetMonotonicMs: -1000 } }, timeoutMs: 5000 })
  assert.deepEqual(ahead.config, { limits: { wall_time: '5000ms' }, namespaces: { time: { offset_boottime: 3600, offset_monotonic: -1 } } })
  // What it says itself it also reads, as text too.
  assert.deepEqual(new Sandbox(ahead.config).config, ahead.config)
  assert.deepEqual(box.with(JSON.parse(JSON.stringify(ahead))).config, ahead.config)
})

test('a config says nothing that it was not told, and can be laid above another', async (t) => {
  assert.deepEqual(new Sandbox().config, {})
  assert.deepEqual(new Sandbox({ hostname: 'h', env: { A: null } }).config, { hostname: 'h', process: { env: { A: { unset: true } } } })
  const both = new Sandbox({ timeoutMs: 500, env: { A: '1' } }).with(new Sandbox({ hostname: 'h', env: { B: '2' } }).config)
  assert.deepEqual(both.config, { hostname: 'h', limits: { wall_time: '500ms' }, process: { env: { A: '1', B: '2' } } })
  assert.equal((await both.run(['sleep', '60'])).ended, 'wall_time')
  // Seconds of a file have a unit by then.
  const folder = mkdtempSync('/tmp/pinfold-node-')
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(`${folder}/job.toml`, 'limits.wall_time = 5\n')
  const filed = Sandbox.fromFile(`${folder}/job.toml`)
  assert.deepEqual(filed.with(filed.config).config, { limits: { wall_time: '5s' } })
  writeFileSync(`${folder}/job.json`, JSON.stringify(both))
  assert.deepEqual(Sandbox.fromFile(`${folder}/job.json`).config, both.config)
})

test('variables may be written as on the command line', async () => {
  assert.equal((await run(['sh', '-c', 'echo $A'], { env: 'A=b=c' })).text, 'b=c\n')
  assert.equal((await new Sandbox({ env: ['A=1', 'B=2'] }).run(['sh', '-c', 'echo $A $B'])).text, '1 2\n')
})

test('unknown options are refused with what was meant', async () => {
  const meant = (what, hint) => assert.throws(what, (error) => error.code === 'ERR_PINFOLD_CONFIG' && error.problems.some((problem) => hint.test(problem.hint ?? '')))
  meant(() => new Sandbox({ memroy: '1M' }), /did you mean "memory"/)
  meant(() => new Sandbox({ limits: { wallTme: '1s' } }), /did you mean "wall_time"/)
  meant(() => new Sandbox({}).spawn(['true'], { timout: '1s' }), /did you mean "timeout"/)
  const error = await run(['true'], { umsk: '0022' }).catch((error) => error)
  assert.equal(error.problems[0].key, 'umsk')
  for (const live of [{ input: 'x' }, { stdin: 'pipe' }, { check: true }]) assert.throws(() => new Sandbox(live), /belongs to a call/)
  assert.throws(() => new Sandbox({ hostname: () => 'x' }), /plain data/)
  assert.throws(() => new Sandbox({ cpus: NaN }), /finite/)
})

test('options of a call differ from those of the sandbox', async () => {
  const box = new Sandbox({ env: { A: '1', B: '1' }, cwd: '/tmp' })
  const r = await box.run(['sh', '-c', 'echo $A ${B-none} $C; pwd; umask; ulimit -n'], { env: { B: null, C: '3' }, cwd: '/run', umask: '0077', rlimits: { nofile: 32 } })
  assert.equal(r.text, '1 none 3\n/run\n0077\n32\n')
  assert.equal((await run(['sh', '-c', 'umask; echo $A'], { umask: '0027', env: { A: '5' } })).text, '0027\n5\n')
  assert.equal((await box.with({ env: { A: '2' }, cwd: null }).run(['sh', '-c', 'echo $A $B; pwd'])).text, '2 1\n/\n')
})

test('an abort kills the tree, waits for it, and rejects with what was there', async () => {
  await leavesNothing(async () => {
    const controller = new AbortController()
    const box = new Sandbox()
    const running = box.spawn(['sh', '-c', 'echo early; setsid sleep 60 & sleep 60'], { signal: controller.signal })
    const ended = running.catch((error) => error)
    await eventually('it sleeps', () => descendants().length >= 4)
    controller.abort(new Error('enough'))
    const error = await ended
    assert.ok(error instanceof AbortError)
    assert.deepEqual([error.name, error.code, error.cause.message], ['AbortError', 'ABORT_ERR', 'enough'])
    assert.equal(error.outcome.ended, 'cancelled')
    assert.equal(error.outcome.text, 'early\n')
    assert.deepEqual(descendants().filter((pid) => pid === running.pid), [])
  })
})

test('already aborted: nothing starts', async () => {
  const error = await run(['no-such-program'], { signal: AbortSignal.abort() }).catch((error) => error)
  assert.deepEqual([error.name, error.outcome], ['AbortError', null])
  const timed = await run(['sleep', '60'], { signal: AbortSignal.timeout(100) }).catch((error) => error)
  assert.deepEqual([timed.name, timed.cause.name], ['AbortError', 'TimeoutError'])
  await assert.rejects(run(['true'], { signal: 'SIGTERM' }), /AbortSignal/)
})

test('listeners of a signal do not pile up', async () => {
  const { signal } = new AbortController()
  const { getEventListeners } = await import('node:events')
  for (let n = 0; n < 20; n++) await run(['true'], { signal })
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('a sandbox can be explained, printed and read from a file', async (t) => {
  const box = new Sandbox({ hostname: 'box' })
  assert.match(box.explain(['true']), /exec/)
  assert.equal(box.toJSON().hostname, 'box')
  assert.equal(box.report.enforced['namespaces.pid'], 'new')
  const folder = mkdtempSync('/tmp/pinfold-node-')
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(`${folder}/job.toml`, 'hostname = "filed"\n')
  assert.equal((await Sandbox.fromFile(`${folder}/job.toml`).run(['hostname'])).text, 'filed\n')
  assert.throws(() => Sandbox.fromFile(`${folder}/none.toml`), (error) => error.code === 'ERR_PINFOLD_CONFIG')
})

test('the doctor knows this host', () => {
  const { host, findings, ok, error } = doctor()
  assert.ok(host.kernel[0] >= 5)
  assert.ok(findings.length > 0)
  assert.deepEqual([ok, error], [true, null])
})

test('the doctor tries a sandbox, and says why there is none', (t) => {
  const before = process.env.PINFOLD_INIT
  t.after(() => {
    if (before === undefined) delete process.env.PINFOLD_INIT
    else process.env.PINFOLD_INIT = before
  })
  process.env.PINFOLD_INIT = '/no/such/init'
  const found = doctor()
  assert.ok(found.findings.length > 0)
  assert.equal(found.ok, false)
  assert.ok(found.error instanceof SandboxError)
  assert.equal(found.error.errnoName, 'ENOENT')
  assert.equal(JSON.parse(JSON.stringify(found)).error.errno_name, 'ENOENT')
})
