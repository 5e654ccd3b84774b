// Owns: the types of the public names.  Must not: list an option of the config: those are generated, in config.d.ts.
/// <reference types="node" />

import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'

import { Bytes, EnvValue, FdConfig, LimitsConfig, RlimitValue, SandboxConfig, SandboxOptions } from './config'

export * from './config'

/** A program and its arguments. Bytes where they are not text. */
export type Command = readonly (string | Uint8Array)[]

/** Something with an open fd: its number, or a stream, socket, listening server or FileHandle. */
export type HasFd = number | { readonly fd: number } | NodeJS.WritableStream | NodeJS.ReadableStream | import('node:net').Server | Socket

/** What a standard stream is connected to. `'ignore'` is `'null'`. */
export type Stdio = 'null' | 'ignore' | 'pipe' | 'inherit' | HasFd

/** What a call may say differently from its sandbox. */
export interface CallOptions {
  /** Variables over the sandbox's; null removes one. */
  env?: { [name: string]: EnvValue | null } | null
  /** Whether to start from no variables at all. */
  envClear?: boolean | null
  /** The working directory inside. */
  cwd?: string | null
  /** The ids inside: `1000`, or `'1000:100'`. */
  user?: number | string | null
  /** Bounds the whole call, counted from its start: `'1.5s'`. */
  timeout?: string | null
  /** The same in milliseconds. */
  timeoutMs?: number | null
  /** CPU time of the whole tree: `'1.5s'`. */
  cpuTime?: string | null
  /** The same in milliseconds. */
  cpuTimeMs?: number | null
  /** How many bytes of each captured stream are kept. */
  output?: Bytes | null
  /** The file mode creation mask: an octal string, or a number. */
  umask?: string | number | null
  /** The nice value, -20 to 19. */
  nice?: number | null
  /** Resource limits, only ever lowered. */
  rlimits?: { [name: string]: RlimitValue } | null
}

/** A path inside: absolute, as text or as bytes. */
export type GuestPath = string | Uint8Array

/** A path of the host's. */
export type HostPath = string | Uint8Array | URL

/** The size of a terminal, in characters. */
export interface TerminalSize {
  columns: number
  rows: number
}

/** What is live in a call: streams, fds, an abort signal. */
export interface LiveOptions {
  /** Default: `'null'`. */
  stdin?: Stdio
  /** Default: `'pipe'`. */
  stdout?: Stdio
  /** Default: `'pipe'`. `'stdout'`: wherever standard output goes. */
  stderr?: Stdio | 'stdout'
  /** All three in one word, or one each. */
  stdio?: 'null' | 'ignore' | 'pipe' | 'inherit' | readonly (Stdio | null | undefined)[]
  /** These bytes as standard input. */
  input?: string | Uint8Array
  /** A terminal of its own as its standard streams, instead of pipes; `true`: 80 columns, 24 rows. What is printed there is `stdout`. */
  terminal?: true | TerminalSize
  /** Aborting kills the whole tree, waits for it, and rejects with an `AbortError`. */
  signal?: AbortSignal
  /** Whether an outcome that is not ok rejects, with `CommandFailed` or `TimedOut`. Default: false. */
  check?: boolean
}

/** Options of a call on a sandbox. */
export interface RunOptions extends CallOptions, LiveOptions {
  /** Declared names, and what is attached to them. */
  fds?: { [name: string]: HasFd }
}

/** Options of a start in a fresh sandbox. */
export interface SpawnOptions extends RunOptions {
  /** Whether the changed root is kept for `takeKeptRoot`. Needs an overlay. Default: false. */
  keepRoot?: boolean
}

/** Options of a call that brings its sandbox along. */
export interface OneShotOptions extends Omit<SandboxOptions, 'fds'>, Pick<CallOptions, 'envClear' | 'umask' | 'nice' | 'rlimits'>, LiveOptions {
  /** Declarations, each with the fd that is attached; or names that are declared elsewhere. */
  fds?: readonly (FdConfig & { fd?: HasFd })[] | { [name: string]: HasFd }
}

/** How a payload ended. The first cause wins. */
export type Ended = 'exited' | 'signaled' | 'wall_time' | 'cpu_time' | 'memory' | 'output' | 'killed' | 'cancelled'

/** What the payload and its descendants used. null: this host can't tell. */
export interface Usage {
  readonly cpuUserMs: number | null
  readonly cpuSystemMs: number | null
  /** Time in which it could have run and was not let, by a CPU quota. */
  readonly cpuThrottledMs: number | null
  /** Bytes; see `memorySource`. */
  readonly memoryPeak: number | null
  /** Where `memoryPeak` comes from: `cgroup-v1`, `cgroup-v2`, or `vmhwm`, the largest resident set of any one process. */
  readonly memorySource: string | null
  readonly memoryLimitHits: number | null
  readonly oomKills: number | null
  /** Bytes. */
  readonly swapPeak: number | null
  readonly pageFaultsMajor: number | null
  readonly pageIns: number | null
  readonly pageOuts: number | null
  readonly pidsPeak: number | null
  readonly pidsLimitHits: number | null
  readonly io: readonly IoUsage[] | null
  readonly contextSwitchesVoluntary: number | null
  readonly contextSwitchesInvoluntary: number | null
}

/** What was read from and written to one device. */
export interface IoUsage {
  /** `major:minor`. */
  readonly device: string
  readonly readBytes: number | null
  readonly writeBytes: number | null
  readonly readOps: number | null
  readonly writeOps: number | null
  readonly queued: number | null
  readonly waitTimeMs: number | null
  readonly serviceTimeMs: number | null
}

/** What a payload and its descendants use at one moment. */
export interface Sample {
  /** Since the payload was executed. */
  readonly elapsedMs: number
  /** Everything used until now. */
  readonly usage: Usage
  /** Bytes in use now. */
  readonly memoryCurrent: number | null
  /** Processes and threads now, without those of Pinfold. */
  readonly pidsCurrent: number | null
  /** How long something had to wait; null without cgroup v2, or on a kernel without PSI. */
  readonly pressure: { readonly cpuMs: number | null; readonly memoryMs: number | null; readonly ioMs: number | null } | null
}

/** Where the time went. */
export interface Timings {
  /** From the call to the payload's exec. */
  readonly setupMs: number
  /** From the exec to the payload's end. */
  readonly payloadMs: number
  /** From the payload's end to the outcome. */
  readonly teardownMs: number
}

/** What was enforced, and what was weakened and why. */
export interface Report {
  readonly enforced: { readonly [key: string]: string }
  readonly degradations: readonly { readonly feature: string; readonly wanted: string; readonly got: string; readonly because: string }[]
}

/** One difference between the root as it is and the layers below its writable one. */
export interface Change {
  /** The absolute path inside; a Buffer where it is no text. */
  readonly path: string | Buffer
  readonly change: 'added' | 'modified' | 'deleted'
  /** What it is now; of something deleted: what it was. */
  readonly kind: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'device'
  readonly size: number
  readonly mode: number
  /** Its owner, mode or extended attributes are others, its content is the same. */
  readonly metadataOnly: boolean
  /** Nothing of what was there shows any more. */
  readonly replaced: boolean
}

/** How a payload ended. Plain data: `structuredClone` and `postMessage` take its fields. */
export class Outcome {
  private constructor()
  readonly ended: Ended
  /** null: it did not exit by itself. */
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | (string & {}) | null
  readonly signalNumber: number | null
  /** Whether it exited with 0. */
  readonly ok: boolean
  /** One sentence: `exited with 0`, `killed after 5s of wall time`. */
  readonly detail: string
  /** null: it was not captured. */
  readonly stdout: Buffer | null
  readonly stderr: Buffer | null
  /** Standard output as text; what is not UTF-8 is replaced. Empty where it was not captured. */
  get text(): string
  get stderrText(): string
  /** Whether it went on beyond `limits.output`. */
  readonly stdoutTruncated: boolean
  readonly stderrTruncated: boolean
  /** From the call to the outcome. */
  readonly durationMs: number
  readonly usage: Usage
  readonly timings: Timings
  readonly report: Report
  /** What was changed in the root, sorted by path, where it has an overlay; else null. */
  changes(): Change[] | null
  /** The form of `pinfold run --report`, the same in every language. */
  toJSON(): { [key: string]: unknown }
}

/** What a process says while it runs, in the order in which it arrives. */
export type ProcessEvent =
  | { type: 'stdout'; data: Buffer }
  | { type: 'stderr'; data: Buffer }
  | { type: 'exit'; outcome: Outcome }

/** The events of a process and what comes with them. */
export interface ProcessEvents {
  spawn: []
  exit: [outcome: Outcome]
  error: [error: Error]
  close: []
}

/** A payload that was started. Awaiting it gives its outcome. */
export class Process extends EventEmitter implements PromiseLike<Outcome>, AsyncIterable<ProcessEvent> {
  private constructor()
  /** On the host. undefined: it could not be started. */
  readonly pid?: number | null
  /** A pipe's end, made at the first look; null where there is none. */
  get stdin(): Socket | null
  /** null also once somebody waits: then it goes into the outcome. */
  get stdout(): Readable | null
  get stderr(): Readable | null
  /** Our end of its terminal: what is written is typed, what is printed is read, here or as `stdout`. null where there is none, or somebody waits. */
  get terminal(): Duplex | null
  /** null until it has ended. */
  get outcome(): Outcome | null
  /** Waits for the end. Pipes that nobody took are read into the outcome, bounded. */
  wait(): Promise<Outcome>
  then<A = Outcome, B = never>(resolved?: ((outcome: Outcome) => A | PromiseLike<A>) | null, rejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<A | B>
  catch<B = never>(rejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<Outcome | B>
  finally(settled?: (() => void) | null): Promise<Outcome>
  /** Leaving the loop early kills it. */
  [Symbol.asyncIterator](): AsyncGenerator<ProcessEvent, void, undefined>
  /** The changed root of a process that was started with `keepRoot`, once: after its end; else null. Close it. */
  takeKeptRoot(): KeptRoot | null
  /** Kills the whole sandbox; await the process for its end. */
  kill(): void
  /** Sends a signal to the payload alone. */
  signal(signal: NodeJS.Signals | number): void
  /** Tells its terminal the new size; its foreground processes get SIGWINCH. */
  resize(size: TerminalSize): void
  /** What was used until now; after its end, what the outcome says. */
  usage(): Promise<Usage>
  /**
   * What is used: now, then every `intervalMs` (default 1000) until the payload has ended. Leaving the loop does nothing to it.
   * Needs a cgroup of its own: any limit that needs one.
   */
  samples(options?: { intervalMs?: number }): AsyncGenerator<Sample, void, undefined>
  /** Stops every process inside, until `thaw`. Deadlines run on. Needs a cgroup: any limit that needs one. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Changes limits; what is not given stays. */
  update(limits: LimitsConfig): Promise<void>
  ref(): this
  unref(): this
  /** Kills it and waits for the end. */
  dispose(): Promise<void>
  /** The same, for `await using`, where the runtime has the symbol (Node 20.5). */
  [Symbol.asyncDispose](): Promise<void>
  on<K extends keyof ProcessEvents>(event: K, listener: (...args: ProcessEvents[K]) => void): this
  once<K extends keyof ProcessEvents>(event: K, listener: (...args: ProcessEvents[K]) => void): this
  off<K extends keyof ProcessEvents>(event: K, listener: (...args: ProcessEvents[K]) => void): this
}

/** A checked, reusable description. Immutable; nothing runs yet. */
export class Sandbox {
  /** Checks everything at once, and settles it on this host. */
  constructor(options?: SandboxOptions | null)
  /** From a config file, TOML or JSON by its name. Relative paths in it start at the file. */
  static fromFile(path: string | URL): Sandbox
  /** Another sandbox: this one's config with these options above it. Tables merge, arrays replace, null unsets. */
  with(options: SandboxOptions): Sandbox
  /** What the config says, as a config file spells it; what it leaves open is not there. */
  get config(): SandboxConfig
  get report(): Report
  toJSON(): SandboxConfig
  /** What would be done for this payload, one line per operation. Runs nothing. */
  explain(command: Command, options?: RunOptions): string
  /** Starts a payload in a fresh sandbox. Standard input is null, output and error are pipes. */
  spawn(command: Command, options?: SpawnOptions): Process
  /** Runs a payload to its end in a fresh sandbox, with output and error captured. */
  run(command: Command, options?: RunOptions): Promise<Outcome>
  /** The same, and hands over the changed root, kept. Needs an overlay. Close it. */
  runKept(command: Command, options?: RunOptions): Promise<{ outcome: Outcome; kept: KeptRoot }>
  /** Sets a sandbox up that stays, in which many payloads run. Close it. */
  open(): Promise<Session>
}

/** A live sandbox: payloads in it share its file system, processes and network. Also `await using`, where the runtime has that. */
export class Session {
  private constructor()
  /** Starts a payload in it. */
  spawn(command: Command, options?: RunOptions): Process
  /** Runs a payload in it to its end. What it leaves running belongs to the session. */
  run(command: Command, options?: RunOptions): Promise<Outcome>
  /** The files inside, as payloads see them: those of the root and of whatever is mounted in it. */
  get files(): Files
  /** What differs from the layers below the writable one until now, sorted by path. Needs an overlay. */
  changes(): Promise<Change[]>
  /** Writes the changes until now to a directory of the host's, new or empty, as a layer. */
  commit(directory: HostPath): Promise<void>
  get report(): Report
  get closed(): boolean
  /** Sends a signal to every payload that runs, not to what payloads have started. */
  signal(signal: NodeJS.Signals | number): void
  /** What was used until now. */
  usage(): Promise<Usage>
  /**
   * Stops every process inside, until `thaw`. Starting meanwhile is an error (`setup`). What must end thaws the session, and it stays
   * thawed: a payload's deadline, `kill`, SIGKILL, too much output, `killAll`. Needs a cgroup: any limit that needs one.
   */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Changes limits; what is not given stays. */
  update(limits: LimitsConfig): Promise<void>
  /** Kills everything inside. The session stays. */
  killAll(): Promise<void>
  /** Kills everything inside, and ends. Closing twice is no error. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What a path is. */
export type FileKind = Change['kind']

/** What is known of one file. */
export interface FileStatus {
  readonly kind: FileKind
  /** Bytes of a regular file, or of a link's text; else 0. */
  readonly size: number
  /** The permission bits, with set-user-ID and the like. */
  readonly mode: number
  /** The owner and the group, as the payload sees them. */
  readonly uid: number
  readonly gid: number
  /** When its content was changed last. */
  readonly modified: Date
}

/** An entry of a directory. */
export interface FileEntry {
  /** A Buffer where it is no text. */
  readonly name: string | Buffer
  /** Of a link, the link's own. */
  readonly status: FileStatus
}

/**
 * The files of a sandbox's root, as the payload sees them. Symbolic links lead where they lead inside, never out of it. What is
 * written belongs to the payload's user. What goes wrong is a `SandboxError` with the code `ERR_PINFOLD_FILES` and the kernel's `errno`.
 */
export class Files {
  private constructor()
  /** The same files; no call reads, writes or copies more than `bytes`: the next byte is an error (EFBIG). `reader` and `writer` are not counted. */
  limit(bytes: Bytes): Files
  /** All of a regular file. */
  read(path: GuestPath, encoding?: null): Promise<Buffer>
  read(path: GuestPath, encoding: BufferEncoding): Promise<string>
  readFile(path: GuestPath, encoding?: null): Promise<Buffer>
  readFile(path: GuestPath, encoding: BufferEncoding): Promise<string>
  /** Writes a file, new or over what it had, with the missing directories above it. Leave bytes alone until it is done. */
  write(path: GuestPath, data: string | Uint8Array): Promise<void>
  writeFile(path: GuestPath, data: string | Uint8Array): Promise<void>
  /** A regular file as a stream. It stays readable after the sandbox's end. */
  reader(path: GuestPath): Promise<import('node:fs').ReadStream>
  /** A file, new or emptied, as a stream to write to. */
  writer(path: GuestPath): Promise<import('node:fs').WriteStream>
  /** Pours a regular file into a stream, and ends that. How many bytes there were. */
  readTo(path: GuestPath, to: NodeJS.WritableStream): Promise<number>
  /** Writes a file from a stream, or from anything that gives chunks. How many bytes there were. */
  writeFrom(path: GuestPath, from: NodeJS.ReadableStream | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>): Promise<number>
  /** What is in a directory, sorted by name. */
  list(path: GuestPath): Promise<FileEntry[]>
  /** What is at a path; of a symbolic link, what it leads to. */
  stat(path: GuestPath): Promise<FileStatus>
  /** Makes a directory, with the missing ones above it. One that is there already is fine. */
  mkdir(path: GuestPath): Promise<void>
  /** Removes a file, a link (not what it leads to), or a directory with all that is in it. */
  remove(path: GuestPath): Promise<void>
  /** Copies a file or a tree of the host's into the root. Links stay links. How many bytes there were. */
  copyIn(from: HostPath, to: GuestPath): Promise<number>
  /** Copies a file or a tree out of the root. Links stay links: whoever follows them later must know whose they are. How many bytes there were. */
  copyOut(from: GuestPath, to: HostPath): Promise<number>
}

/** The changed root of a sandbox that has ended, kept. It holds the changes, in memory or the lock on their directory, until it is closed. */
export class KeptRoot {
  private constructor()
  /** What differs from the layers below, sorted by path. */
  changes(): Promise<Change[]>
  /** Writes the changes to a directory of the host's, new or empty, as a layer. */
  commit(directory: HostPath): Promise<void>
  /** The files of the root, as the payload saw them last. What was mounted in it is gone. */
  get files(): Files
  get closed(): boolean
  /** Lets go of it. Closing twice is no error. */
  close(): Promise<void>
  /** The same, for `await using`, where the runtime has the symbol (Node 20.5). */
  [Symbol.asyncDispose](): Promise<void>
}

/** What a pool has and has done. */
export interface PoolStats {
  /** How many it keeps ready when it is full. */
  readonly size: number
  readonly ready: number
  readonly taken: number
  /** How many of these were opened on the spot, because none was ready. */
  readonly missed: number
  /** How many ended while they waited. */
  readonly lost: number
}

/** Sandboxes that are open already, so that a payload costs a spawn and no set-up. Each is used once, and replaced when the event loop has a turn. */
export class Pool {
  /** `size`: 1 to 1024. Default: 4. */
  constructor(sandbox: Sandbox, options?: { size?: number })
  /** A fresh sandbox, the caller's to close. */
  take(): Promise<Session>
  /** Runs a payload to its end in a fresh sandbox, which is closed afterwards. */
  run(command: Command, options?: RunOptions): Promise<Outcome>
  stats(): PoolStats
  /** Ends those that wait. Sessions that were taken go on. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Runs a payload to its end in a sandbox of its own. */
export function run(command: Command, options?: OneShotOptions): Promise<Outcome>
/** Starts a payload in a sandbox of its own. With `keepRoot` its changed root can be taken afterwards. */
export function spawn(command: Command, options?: OneShotOptions & Pick<SpawnOptions, 'keepRoot'>): Process

/** Options of `runModule`: those of a sandbox, and these. */
export interface RunModuleOptions extends Omit<SandboxOptions, 'fds'> {
  /** What the module's default function is called with: anything that JSON can say. */
  input?: unknown
  /** How much JSON the input may be. Default: 16 MiB. */
  inputLimit?: Bytes
  /** How much JSON the result may be. Default: 16 MiB. */
  resultLimit?: Bytes
  /** The size of V8's heap, at least 16 MiB. It bounds neither buffers nor WebAssembly: `memory` does. Default: 256 MiB. */
  heap?: Bytes
  signal?: AbortSignal
  /** Whether to reject with a `RemoteError` where the module throws, and with `CommandFailed` where it ends otherwise. */
  check?: boolean
}

/** What a guest threw, as data. */
export interface GuestError {
  readonly name: string
  readonly message: string
  /** Text of the guest's. */
  readonly stack: string
}

/** What came of `runModule`. */
export interface ModuleResult<T = any> {
  /** What the module's default export was, or returned. Nothing but JSON comes out: check it. */
  readonly value: T | undefined
  /** What it threw; null where it did not, or had no time to say so (see `outcome`). */
  readonly error: GuestError | null
  readonly outcome: Outcome
}

/** Runs the default export of an ES module in a fresh Node inside a sandbox: JSON in, JSON out. */
export function runModule<T = any>(source: string, options?: RunModuleOptions): Promise<ModuleResult<T>>

/** A fact about this host, in words. */
export interface Finding {
  readonly feature: string
  readonly state: 'available' | 'limited' | 'missing'
  readonly detail: string
  /** How to have it. */
  readonly remedy: string | null
}

/** What this host can do. */
export interface Doctor {
  /** The facts. */
  readonly host: { [key: string]: any }
  /** What they mean. */
  readonly findings: Finding[]
  /** Whether a default sandbox runs `true`. */
  readonly ok: boolean
  /** Why none could be set up; null where one ran, however it ended. */
  readonly error: SandboxError | null
}

/** What this host can do, and how to enable what it can't. Starts one default sandbox, and returns after its end, 10 seconds later at most. */
export function doctor(): Doctor

/** What went wrong, as a closed set. */
export type ErrorKind = 'config' | 'unsupported' | 'setup' | 'program_not_found' | 'not_executable' | 'timeout' | 'cancelled' | 'files' | 'closed' | 'lost'

/** Nothing ran, or Pinfold's own part of the work was lost. How a payload ended is an outcome, never this. */
export class SandboxError extends Error {
  private constructor()
  /** `ERR_PINFOLD_` and the kind. */
  readonly code: `ERR_PINFOLD_${Uppercase<ErrorKind>}`
  readonly kind: ErrorKind
  readonly stage: string
  /** The failed operation, as `explain` numbers it. */
  readonly step: { readonly number: number; readonly of: number; readonly what: string } | null
  /** The config key that the failed part came from. */
  readonly origin: string | null
  readonly subject: string | null
  readonly errno: number | null
  readonly errnoName: string | null
  /** What to do. */
  readonly hint: string | null
  /** Every problem of a config at once. */
  readonly problems: readonly { readonly key: string; readonly message: string; readonly hint?: string }[]
  /** The form of `pinfold run --report`, the same in every language. */
  toJSON(): ErrorReport
}

/** An error as data, the same in every language. */
export interface ErrorReport extends Pick<SandboxError, 'kind' | 'stage' | 'step' | 'origin' | 'subject' | 'errno' | 'hint'> {
  readonly errno_name: string | null
  /** One sentence, without the problems. */
  readonly message: string
  /** Where there are any. */
  readonly problems?: SandboxError['problems']
}

/** A payload that did not exit with 0, where `check` was asked for. Nothing is wrong with Pinfold. */
export class CommandFailed extends Error {
  protected constructor()
  readonly code: 'ERR_PINFOLD_COMMAND_FAILED' | 'ERR_PINFOLD_TIMED_OUT'
  readonly outcome: Outcome
}

/** The same, of one that used up its time: `wall_time` or `cpu_time`. */
export class TimedOut extends CommandFailed {
  readonly code: 'ERR_PINFOLD_TIMED_OUT'
}

/** What the guest of `runModule` threw, where `check` was asked for. */
export class RemoteError extends Error {
  private constructor()
  readonly code: 'ERR_PINFOLD_REMOTE'
  readonly remoteName: string
  readonly remoteMessage: string
  readonly remoteStack: string
  readonly outcome: Outcome
}

/** The caller's `AbortSignal` fired. */
export class AbortError extends Error {
  private constructor()
  readonly code: 'ABORT_ERR'
  /** What was there until then; null where nothing had started. */
  readonly outcome: Outcome | null
}
