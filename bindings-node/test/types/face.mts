// What the compiler must know, and what it must refuse. Compiled, not run.
import type { Duplex } from 'node:stream'

import { expectTypeOf } from 'expect-type'

import { AbortError, Change, CommandFailed, Ended, ErrorReport, FileEntry, FileStatus, Files, Finding, KeptRoot, Outcome, Process, ProcessEvent, RemoteError, Sample, Sandbox, SandboxError, SandboxOptions, Session, TimedOut, doctor, run, runModule, spawn } from 'pinfold'

const outcome = await run(['true'], { timeoutMs: 5000, limits: { memory: '64MiB', wallTimeMs: 5 }, env: { A: '1', B: null }, signal: AbortSignal.timeout(1), check: true })
expectTypeOf(outcome).toEqualTypeOf<Outcome>()
expectTypeOf(outcome.ended).toEqualTypeOf<Ended>()
expectTypeOf(outcome.stdout).toEqualTypeOf<Buffer | null>()
expectTypeOf(outcome.usage.memoryPeak).toEqualTypeOf<number | null>()

// Both spellings, also in sections.
const options: SandboxOptions = { ro_bind: '/usr:/a', limits: { wall_time: '5s', memoryHigh: 5 }, namespaces: { time: { offsetBoottimeMs: 5000 } }, env: ['A=1'] }
const box = new Sandbox(options)
expectTypeOf(box.spawn(['cat'], { stdin: 'pipe', stderr: 'stdout' })).toEqualTypeOf<Process>()
expectTypeOf(spawn(['cat'], { fds: [{ name: 'log', target: 3, fd: 1 }] })).toEqualTypeOf<Process>()
expectTypeOf(await box.spawn(['true'])).toEqualTypeOf<Outcome>()
for await (const event of box.spawn(['true'])) {
  expectTypeOf(event).toEqualTypeOf<ProcessEvent>()
  if (event.type === 'exit') expectTypeOf(event.outcome).toEqualTypeOf<Outcome>()
  else expectTypeOf(event.data).toEqualTypeOf<Buffer>()
}
expectTypeOf(box.spawn(['sh'], { terminal: { columns: 100, rows: 30 } }).terminal).toEqualTypeOf<Duplex | null>()
box.spawn(['sh'], { terminal: true }).resize({ columns: 1, rows: 1 })
box.spawn(['true']).on('exit', (ended) => expectTypeOf(ended).toEqualTypeOf<Outcome>())
for await (const sample of box.spawn(['true'], {}).samples({ intervalMs: 100 })) expectTypeOf(sample).toEqualTypeOf<Sample>()
expectTypeOf(await box.open()).toEqualTypeOf<Session>()
const session = await box.open()
expectTypeOf(session).toEqualTypeOf<Session>()
expectTypeOf(session.files).toEqualTypeOf<Files>()
expectTypeOf(await session.changes()).toEqualTypeOf<Change[]>()
expectTypeOf(outcome.changes()).toEqualTypeOf<Change[] | null>()
expectTypeOf<Change['change']>().toEqualTypeOf<'added' | 'modified' | 'deleted'>()
expectTypeOf<Change['path']>().toEqualTypeOf<string | Buffer>()
expectTypeOf(await session.files.limit('1MiB').read('/a')).toEqualTypeOf<Buffer>()
expectTypeOf(await session.files.readFile('/a', 'utf8')).toEqualTypeOf<string>()
expectTypeOf(await session.files.list('/')).toEqualTypeOf<FileEntry[]>()
expectTypeOf(await session.files.stat(Buffer.from('/'))).toEqualTypeOf<FileStatus>()
expectTypeOf(await session.files.copyIn(new URL('file:///a'), '/a')).toEqualTypeOf<number>()
expectTypeOf(await session.files.writeFrom('/a', ['a', Buffer.from('b')])).toEqualTypeOf<number>()
const { kept } = await box.runKept(['true'], { timeoutMs: 5000 })
expectTypeOf(kept).toEqualTypeOf<KeptRoot>()
expectTypeOf(kept.files).toEqualTypeOf<Files>()
expectTypeOf(await kept.changes()).toEqualTypeOf<Change[]>()
expectTypeOf(box.spawn(['true'], { keepRoot: true }).takeKeptRoot()).toEqualTypeOf<KeptRoot | null>()
expectTypeOf(doctor().findings).toEqualTypeOf<Finding[]>()
expectTypeOf(doctor().ok).toEqualTypeOf<boolean>()
expectTypeOf(doctor().error).toEqualTypeOf<SandboxError | null>()
new Sandbox({ namespaces: { time: { offset_monotonic: 5 } }, env: 'A=1' }).with(box.config)

const answer = await runModule<number>('export default 1', { input: { x: 1 }, heap: '64MiB', memory: '128MiB' })
expectTypeOf(answer.value).toEqualTypeOf<number | undefined>()

declare const error: unknown
if (error instanceof SandboxError && error.code === 'ERR_PINFOLD_CONFIG') expectTypeOf(error.hint).toEqualTypeOf<string | null>()
if (error instanceof SandboxError) expectTypeOf(error.toJSON()).toEqualTypeOf<ErrorReport>()
expectTypeOf<ErrorReport['errno_name']>().toEqualTypeOf<string | null>()
expectTypeOf<ErrorReport['message']>().toEqualTypeOf<string>()
if (error instanceof CommandFailed) expectTypeOf(error.code).toEqualTypeOf<'ERR_PINFOLD_COMMAND_FAILED' | 'ERR_PINFOLD_TIMED_OUT'>()
if (error instanceof TimedOut) {
  expectTypeOf(error).toMatchTypeOf<CommandFailed>()
  expectTypeOf(error.code).toEqualTypeOf<'ERR_PINFOLD_TIMED_OUT'>()
}
if (error instanceof AbortError) expectTypeOf(error.outcome).toEqualTypeOf<Outcome | null>()
if (error instanceof RemoteError) expectTypeOf(error.remoteStack).toEqualTypeOf<string>()

// @ts-expect-error a command is an array
run('ls -l')
// @ts-expect-error a bare number could be seconds or milliseconds
run(['true'], { timeout: 5 })
// @ts-expect-error as a config file spells it, too
new Sandbox({ cpu_time: 5 })
// @ts-expect-error and in a section
new Sandbox({ limits: { wall_time: 5 } })
// @ts-expect-error and of a clock's offset
new Sandbox({ namespaces: { time: { offsetBoottime: 5 } } })
// @ts-expect-error a terminal has rows
run(['true'], { terminal: { columns: 80 } })
// @ts-expect-error there is no such option
new Sandbox({ memroy: '1M' })
// @ts-expect-error belongs to a call
new Sandbox({ stdin: 'pipe' })
// @ts-expect-error who gets the outcome alone can't take the root
box.run(['true'], { keepRoot: true })
// @ts-expect-error is no path inside
session.files.read(new URL('file:///a'))
// @ts-expect-error is made by the library
new Files()
// @ts-expect-error is made by the library
new Outcome()
