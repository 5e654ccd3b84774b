// Generated from the config types of the library by `cargo xtask generate`. Do not edit.
//
// The types of configs and options. docs/config-reference.md describes the keys. Every key may be left out or null, and may be
// written in camelCase or as in a config file, but not both ways at once. Keys of maps (`env`, `rlimits`, `hugepages`) are yours and
// stay as they are. A time span is a string (`'1.5s'`), or a number of milliseconds under the name with `Ms`.

/** A size: bytes, or a string with a unit such as "64MiB" or "256M". Units are powers of 1024. */
export type Bytes = number | string

/** A value; null (in TOML `{ unset = true }`) removes the variable. */
export type EnvValue = string | null | { unset: boolean }

/** A text, or bytes. */
export type FileContent = string | number[]

/** A namespace that exists: a path, a process, or the name of an fd that the caller attaches. */
export type Join = string | { pid: number } | { fd: string }

/** The session keyring. */
export type Keyring = 'new' | 'host'

/** Landlock, a second wall around the file system. */
export type Landlock = 'auto' | 'require' | 'off'

/** What is mounted. */
export type MountKind = 'bind' | 'tmpfs' | 'proc' | 'sysfs' | 'devpts' | 'dev' | 'mqueue' | 'overlay' | 'symlink' | 'file'

/** A path, or the name of an fd that the caller attaches. */
export type MountSource = string | { fd: string }

/** One of its own, that of the host process, or one that exists. */
export type Namespace = 'new' | 'host' | { join: Join }

/** A loopback interface alone, the network of the host process, or one that exists. */
export type NetworkMode = 'none' | 'host' | { join: Join }

/** What happens when more is written than is captured. */
export type Overflow = 'truncate' | 'kill'

/** `"memory"`, or a directory with a `/`. */
export type OverlayUpper = string

/** Whether mounts travel between the host and the sandbox. */
export type Propagation = 'private' | 'slave' | 'shared' | 'unbindable'

/** The value of a resource limit: an integer, a size such as "64MiB", or "unlimited". */
export type RlimitValue = number | string

/** What the root file system is made of. */
export type RootfsKind = 'system' | 'host' | 'dir' | 'layers' | 'empty'

/** `"default"`, `"none"`, or the path of a profile with a `/`. */
export type Seccomp = string

/** `"default"`, `"none"`, or a list of bits. */
export type Securebits = 'default' | 'none' | string[]

/** As the other namespaces; also offsets in seconds, which mean one of its own. */
export type TimeNamespace = 'new' | 'host' | { join: Join } | { offsetBoottimeMs?: number | null; offset_boottime?: number | null; offsetMonotonicMs?: number | null; offset_monotonic?: number | null }

/** A time span: a string with units such as "1.5s" or "200ms". */
export type Timespan = string

/**
 * A sandbox as the user wrote it: plain data, every field optional, nothing checked beyond its type. TOML, JSON,
 * Python's dicts, Node's objects and the builder all end here, with the same keys. A config is checked when a sandbox
 * is built from it, and then every problem is reported at once.
 */
export interface SandboxConfig {
  /** The version of this format. Only `1` exists. Default: 1. Example: `version = 1`. */
  version?: number | null
  /**
   * Config files that this one builds on, relative to this file; later files override earlier ones, and this file
   * overrides them all. Tables merge key by key, arrays replace, null unsets. Works in files that are read by path; 16
   * levels deep at most. Default: none. Example: `extends = ["base.toml"]`.
   */
  extends?: string[] | null
  /**
   * The host name inside: 1 to 64 letters, digits, `-`, `.` and `_`. Needs a new uts namespace. Default: `"sandbox"`.
   * Example: `hostname = "box"`.
   */
  hostname?: string | null
  /** Which parts of the system the sandbox sees a copy of its own of. */
  namespaces?: NamespacesConfig | null
  /** The network, also as one word: `network = "none"`. */
  network?: NetworkConfig | 'none' | 'host' | null
  /** Who the payload is, inside and on the host. */
  identity?: IdentityConfig | null
  /** The root file system, also as one word or a directory: `rootfs = "system"`, `rootfs = "./rootfs"`. */
  rootfs?: RootfsConfig | string | null
  /**
   * What is mounted above the root file system, in this order. `/proc`, `/dev`, `/tmp`, `/dev/shm` and `/run` are there
   * without being asked for; a mount at the same target replaces them. 1,024 at most.
   */
  mounts?: MountConfig[] | null
  /** How much the sandbox may use. */
  limits?: LimitsConfig | null
  /** Open files that the payload gets from its caller. 512 at most. */
  fds?: FdConfig[] | null
  /** What the payload may do. */
  security?: SecurityConfig | null
  /** How payloads are started, unless the call says otherwise. */
  process?: ProcessConfig | null
  /** The program that sets the sandbox up. */
  init?: InitConfig | null
  /** What may be weaker than asked for on hosts that can't do better. */
  compat?: CompatConfig | null
}

/**
 * The section `[namespaces]`: each one `"new"`, `"host"` or `{ join = ... }`. `join` takes a path (`"/proc/1/ns/ipc"`),
 * a process (`{ pid = 1 }`) or the name of an fd that the caller attaches to the sandbox (`{ fd = "name" }`). The
 * network namespace is decided by `network.mode` and nowhere else.
 */
export interface NamespacesConfig {
  /**
   * Users, groups and capabilities. Default: `"new"`. `"host"` needs a privileged host process. Example: `user =
   * "new"`.
   */
  user?: Namespace | null
  /**
   * Process ids. Default: `"new"`. Without one of its own the tree can only be killed through its cgroup. Example: `pid
   * = { join = { pid = 4711 } }`.
   */
  pid?: Namespace | null
  /**
   * Mounts. Default: `"new"`. With `"host"` or `join` there is no rootfs and there are no mounts of the sandbox.
   * Example: `mount = "new"`.
   */
  mount?: Namespace | null
  /** System V IPC and POSIX message queues. Default: `"new"`. Example: `ipc = { join = "/proc/1/ns/ipc" }`. */
  ipc?: Namespace | null
  /** Host and domain name. Default: `"new"`. Example: `uts = "host"`. */
  uts?: Namespace | null
  /** The view of the cgroup tree. Default: `"new"`. Example: `cgroup = "new"`. */
  cgroup?: Namespace | null
  /**
   * The boot-time and monotonic clocks: also a table of offsets in seconds, which means a new namespace. Default:
   * `"host"`. Since Linux 5.6. Example: `time = { offset_boottime = 3600, offset_monotonic = 0 }`.
   */
  time?: TimeNamespace | null
}

/** The section `[network]`. Also as one word: `network = "none"`. */
export interface NetworkConfig {
  /**
   * The network of the sandbox: `"none"` is a namespace of its own with nothing but a loopback interface that is up,
   * `"host"` the network of the host process with all that listens there, `{ join = ... }` a namespace that exists, by
   * path, pid or fd. Default: `"none"`. Example: `mode = { join = "/run/netns/blue" }`.
   */
  mode?: NetworkMode | null
}

/** The section `[identity]`: who the payload is, inside and on the host. */
export interface IdentityConfig {
  /** The payload's user id inside: 0 to 4294967294. Default: 1000. Example: `uid = 0`. */
  uid?: number | null
  /** The payload's group id inside: 0 to 4294967294. Default: 1000. Example: `gid = 0`. */
  gid?: number | null
  /** The payload's supplementary groups inside, 64 at most. Default: none. Example: `groups = [44, 100]`. */
  groups?: number[] | null
  /**
   * Which user ids of the host stand behind those inside: 340 ranges at most, which must not overlap. A range beyond
   * the caller's own id needs a privileged host process or a line in `/etc/subuid`. Default: the caller's own id alone;
   * for a root host a range of 65,536 ids without host uid 0. Example: `uid_map = [{ inside = 0, outside = 100000,
   * count = 65536 }]`.
   */
  uidMap?: IdMapConfig[] | null
  /** `uidMap` as a config file spells it. */
  uid_map?: IdMapConfig[] | null
  /**
   * The same for groups, with `/etc/subgid`. Default: as for `uid_map`. Example: `gid_map = [{ inside = 0, outside =
   * 100000, count = 65536 }]`.
   */
  gidMap?: IdMapConfig[] | null
  /** `gidMap` as a config file spells it. */
  gid_map?: IdMapConfig[] | null
  /**
   * Whether the payload may be uid 0 (or gid 0) of the host. Without it such a map is refused. Default: false. Example:
   * `host_root = true`.
   */
  hostRoot?: boolean | null
  /** `hostRoot` as a config file spells it. */
  host_root?: boolean | null
}

/** One range of an id map. */
export interface IdMapConfig {
  /** The first id inside. Required. Example: `inside = 0`. */
  inside?: number | null
  /** The first id on the host. Required. Example: `outside = 100000`. */
  outside?: number | null
  /** How many ids. Default: 1. Example: `count = 65536`. */
  count?: number | null
}

/**
 * The section `[rootfs]`. Also as one word or a directory: `rootfs = "system"`, `rootfs = "./rootfs"`; a string with a
 * `/` is a directory.
 */
export interface RootfsConfig {
  /**
   * What the root is made of. Default: `"dir"` where `path` is given, `"layers"` where `layers` is given, else
   * `"system"`. Example: `kind = "host"`.
   */
  kind?: RootfsKind | null
  /** The directory, for `kind = "dir"`; relative to this file. Default: none. Example: `path = "rootfs"`. */
  path?: string | null
  /**
   * The directories that are stacked, highest precedence first, for `kind = "layers"`: 1 to 500; relative to this file.
   * Default: none. Example: `layers = ["top", "base"]`.
   */
  layers?: string[] | null
  /**
   * Whether mounts made outside later become visible inside (`"slave"`), in both directions (`"shared"`), or not at
   * all. Default: `"private"`. Example: `propagation = "slave"`.
   */
  propagation?: Propagation | null
  /**
   * A writable layer above the root: a table, `"memory"`, `"memory:64MiB"`, or a directory. Default: none, the root is
   * read-only. In memory on an unprivileged host since Linux 6.6. Example: `overlay = "memory"`.
   */
  overlay?: OverlayConfig | string | null
}

/** The section `[rootfs.overlay]`. Also as a string: `"memory"`, `"memory:64MiB"` or a directory with a `/`. */
export interface OverlayConfig {
  /**
   * Where changes go: `"memory"`, which is gone afterwards, or a directory that is kept (a string with a `/`, relative
   * to this file). Default: `"memory"`. Example: `upper = "./changes"`.
   */
  upper?: OverlayUpper | null
  /**
   * The work directory of overlayfs: on the same file system as `upper`, and empty. Only with a directory. Default: the
   * upper directory's name with `.work` added. Example: `work = "./changes.work"`.
   */
  work?: string | null
  /** How many bytes of changes fit in memory. Only in memory. Default: 256 MiB. Example: `size = "64MiB"`. */
  size?: Bytes | null
}

/** One entry of `[[mounts]]`. */
export interface MountConfig {
  /** What is mounted. Required. Example: `kind = "bind"`. */
  kind?: MountKind | null
  /**
   * What is shown at the target. For `bind`: a file or directory of the host, relative to this file (in code to the cwd
   * at build time), or the name of an fd that the caller attaches (`{ fd = "name" }`). For `symlink`: the link's text,
   * as it is. Default: none; these two kinds need one. Example: `source = "data"`.
   */
  source?: MountSource | null
  /**
   * Where it appears inside: an absolute path other than `/`. Required. Nothing is ever created on a host file system,
   * so on a writable bind the target must exist. Example: `target = "/data"`.
   */
  target?: string | null
  /**
   * Whether it can't be written to, with everything mounted below it. Default: false; sysfs always is. Example:
   * `read_only = true`.
   */
  readOnly?: boolean | null
  /** `readOnly` as a config file spells it. */
  read_only?: boolean | null
  /** For `bind`: whether what is mounted below the source comes along. Default: true. Example: `recursive = false`. */
  recursive?: boolean | null
  /**
   * For `bind`: a missing source is skipped and reported, instead of an error. Default: false. Example: `optional =
   * true`.
   */
  optional?: boolean | null
  /** Whether set-user-id bits and file capabilities count for nothing. Default: true. Example: `nosuid = false`. */
  nosuid?: boolean | null
  /** Whether device files can't be opened. Default: true; false for `dev` and `devpts`. Example: `nodev = true`. */
  nodev?: boolean | null
  /**
   * Whether programs can't be executed. Default: false; true for `proc`, `sysfs`, `devpts`, `dev` and `mqueue`.
   * Example: `noexec = true`.
   */
  noexec?: boolean | null
  /**
   * Whether mounts travel between the host and this mount. Default: that of the root. Example: `propagation = "slave"`.
   */
  propagation?: Propagation | null
  /**
   * For `bind`: whether owners are translated, so that the host's ids appear as those inside. Needs a privileged host
   * process and a file system that can. Since Linux 5.12. Default: false. Example: `idmap = true`.
   */
  idmap?: boolean | null
  /** For `tmpfs` and an `overlay` in memory: how many bytes fit. Default: 256 MiB. Example: `size = "16MiB"`. */
  size?: Bytes | null
  /**
   * For `tmpfs`: how many files fit. Default: one for each 4 KiB of the size, 1,024 at least. Example: `inodes =
   * 10000`.
   */
  inodes?: number | null
  /**
   * For `tmpfs` and `file`: the permissions, as an octal string up to `"7777"`. Default: `"1777"` for tmpfs, `"0644"`
   * for a file. A file belongs to the sandbox's root where `identity` gives it an id of its own, else to the payload's
   * user: what the payload is to read in every case has its last digit set. Example: `mode = "0755"`.
   */
  mode?: string | null
  /**
   * For `file`: what is in it, as a string (in JSON also an array of bytes); 1 MiB at most. Required. Example: `content
   * = "hello\n"`.
   */
  content?: FileContent | null
  /**
   * For `overlay`: the directories below, highest precedence first: 1 to 500; relative to this file. Required. Example:
   * `lower = ["top", "base"]`.
   */
  lower?: string[] | null
  /**
   * For `overlay`: where changes go: `"memory"` or a directory (with a `/`). Default: nowhere, it is read-only.
   * Example: `upper = "./changes"`.
   */
  upper?: OverlayUpper | null
  /**
   * For `overlay` with a directory as upper: the work directory. Default: the upper directory's name with `.work`
   * added. Example: `work = "./changes.work"`.
   */
  work?: string | null
  /**
   * For `proc`: what is covered, relative to the target or absolute. Default: what OCI runtimes cover (`kcore`, `keys`,
   * `timer_list`, ...). Example: `masked = ["kcore"]`.
   */
  masked?: string[] | null
  /**
   * For `proc`: what can't be written to, relative to the target or absolute. Default: what OCI runtimes protect
   * (`bus`, `fs`, `irq`, `sys`, `sysrq-trigger`). Example: `readonly_paths = ["sys"]`.
   */
  readonlyPaths?: string[] | null
  /** `readonlyPaths` as a config file spells it. */
  readonly_paths?: string[] | null
}

/**
 * The section `[limits]`: how much the sandbox may use. What is not given is not limited, except `output` and
 * `rlimits.core`. A limit that the host can't enforce is an error, unless `compat.prefer` names it.
 */
export interface LimitsConfig {
  /**
   * Memory of all processes together, with the page cache they cause: a size of at least 1 byte. Beyond it the kernel
   * kills. Needs cgroups. Default: no limit. Example: `memory = "256MiB"`.
   */
  memory?: Bytes | null
  /**
   * Memory beyond which processes are slowed down and their pages reclaimed: at most `memory`. Needs cgroups v2.
   * Default: no limit. Example: `memory_high = "200MiB"`.
   */
  memoryHigh?: Bytes | null
  /** `memoryHigh` as a config file spells it. */
  memory_high?: Bytes | null
  /** Swap in addition to memory: a size, 0 for none. Needs cgroups. Default: no limit. Example: `swap = 0`. */
  swap?: Bytes | null
  /**
   * Whether running out of memory kills the whole sandbox instead of one process. Needs cgroups v2. Default: false.
   * Example: `oom_group = true`.
   */
  oomGroup?: boolean | null
  /** `oomGroup` as a config file spells it. */
  oom_group?: boolean | null
  /**
   * Number of processes and threads, without PID 1: 1 to 4194304. In a session each running payload's supervisor counts
   * too. Needs cgroups. Default: no limit. Example: `pids = 64`.
   */
  pids?: number | null
  /**
   * How many CPUs' worth of time per time: more than 0, up to 65536. Needs cgroups. Default: no limit. Example: `cpus =
   * 0.5`.
   */
  cpus?: number | null
  /**
   * Share of CPU time where it is scarce: 1 to 10000, where 100 is what everybody has. Needs cgroups. Default: 100.
   * Example: `cpu_weight = 50`.
   */
  cpuWeight?: number | null
  /** `cpuWeight` as a config file spells it. */
  cpu_weight?: number | null
  /**
   * Which CPUs may be used: numbers and ranges, all of them CPUs that the group above has. Needs cgroups. Default: all.
   * Example: `cpuset = "0-1"`.
   */
  cpuset?: string | null
  /**
   * Share of block I/O where it is scarce: 1 to 10000, where 100 is what everybody has. Needs cgroups. Default: 100.
   * Example: `io_weight = 100`.
   */
  ioWeight?: number | null
  /** `ioWeight` as a config file spells it. */
  io_weight?: number | null
  /**
   * Limits of block I/O by device. Needs cgroups. Default: none. Example: `io = [{ device = "/dev/vda", read_bps =
   * "10MiB", write_iops = 500 }]`.
   */
  io?: IoLimitConfig[] | null
  /**
   * Devices beyond the minimal set, each as `PATH:ACCESS` or `TYPE MAJOR:MINOR ACCESS`, where the access is made of
   * `r`, `w` and `m`, the type is `c` or `b`, and a number may be `*`. Once there is one, opening and making any other
   * device is refused. Needs cgroups; on v2 also the right to load BPF programs. Default: none, and no such wall.
   * Example: `devices = ["/dev/net/tun:rw", "c 10:200 rw"]`.
   */
  devices?: string[] | null
  /** Huge pages: page size to bytes. Needs cgroups. Default: no limit. Example: `hugepages = { "2MiB" = "64MiB" }`. */
  hugepages?: { [name: string]: Bytes | null } | null
  /** Another name of `wall_time`. Default: no limit. Example: `timeout = "5s"`. */
  timeout?: Timespan | null
  /** `timeout` in milliseconds. */
  timeoutMs?: number | null
  /**
   * How long a call may take, counted from its start: a duration above 0. Then the whole tree is killed. Also spelled
   * `timeout`. Default: no limit. Example: `wall_time = "5s"`.
   */
  wallTime?: Timespan | null
  /** `wallTime` in milliseconds. */
  wallTimeMs?: number | null
  /** `wallTime` as a config file spells it. */
  wall_time?: Timespan | null
  /** CPU time of the whole tree: a duration above 0. Needs cgroups. Default: no limit. Example: `cpu_time = "2s"`. */
  cpuTime?: Timespan | null
  /** `cpuTime` in milliseconds. */
  cpuTimeMs?: number | null
  /** `cpuTime` as a config file spells it. */
  cpu_time?: Timespan | null
  /** How many bytes of stdout, and of stderr, are captured: a size. Default: 16 MiB. Example: `output = "1MiB"`. */
  output?: Bytes | null
  /**
   * What happens beyond `output`: the rest is dropped and the outcome says so, or the tree is killed. Default:
   * `"truncate"`. Example: `overflow = "kill"`.
   */
  overflow?: Overflow | null
  /**
   * Limits of setrlimit(2), of each process: names without `RLIMIT_`, to a number, a size, or `"unlimited"`. Default:
   * `core = 0`, the others are those of the host process. Example: `rlimits = { nofile = 256, stack = "8MiB" }`.
   */
  rlimits?: { [name: string]: RlimitValue | null } | null
  /**
   * Below which cgroup that of the sandbox is made, as a path in the hierarchy; empty: that of the host process.
   * Default: `""`. Example: `cgroup_parent = "/grading"`.
   */
  cgroupParent?: string | null
  /** `cgroupParent` as a config file spells it. */
  cgroup_parent?: string | null
  /**
   * Whether each payload of a session gets a group of its own, below that of the session: for its numbers, and for a
   * `cpu_time` of one call. Needs cgroups; on v2 it counts CPU time and processes. Default: false. Example:
   * `payload_groups = true`.
   */
  payloadGroups?: boolean | null
  /** `payloadGroups` as a config file spells it. */
  payload_groups?: boolean | null
}

/** Limits of block I/O on one device. */
export interface IoLimitConfig {
  /** The block device: its path, or `MAJOR:MINOR`. Required. Example: `device = "/dev/vda"`. */
  device?: string | null
  /** Bytes read per second. Default: no limit. Example: `read_bps = "10MiB"`. */
  readBps?: Bytes | null
  /** `readBps` as a config file spells it. */
  read_bps?: Bytes | null
  /** Bytes written per second. Default: no limit. Example: `write_bps = "10MiB"`. */
  writeBps?: Bytes | null
  /** `writeBps` as a config file spells it. */
  write_bps?: Bytes | null
  /** Reads per second. Default: no limit. Example: `read_iops = 1000`. */
  readIops?: number | null
  /** `readIops` as a config file spells it. */
  read_iops?: number | null
  /** Writes per second. Default: no limit. Example: `write_iops = 500`. */
  writeIops?: number | null
  /** `writeIops` as a config file spells it. */
  write_iops?: number | null
}

/**
 * One entry of `[[fds]]`: an open file that the payload gets. It has exactly one of `target`, `socket_activation` and
 * `inetd`; the live file is attached by its name when a payload is started.
 */
export interface FdConfig {
  /**
   * The name by which the caller attaches the file, and its name in `LISTEN_FDNAMES`: 1 to 255 printable ASCII
   * characters without `:`. Required. Example: `name = "http"`.
   */
  name?: string | null
  /** The number the file has inside: 3 to 1023. Default: none. Example: `target = 3`. */
  target?: number | null
  /**
   * Whether it is one of the sockets of `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, which are numbered from 3 in
   * the order of their declaration. Default: false. Example: `socket_activation = true`.
   */
  socketActivation?: boolean | null
  /** `socketActivation` as a config file spells it. */
  socket_activation?: boolean | null
  /** Whether it is standard input and output, as inetd does. Default: false. Example: `inetd = true`. */
  inetd?: boolean | null
}

/** The section `[security]`: what the payload may do. */
export interface SecurityConfig {
  /**
   * The filter of system calls: `"default"` (as strict as Docker's, and more), `"none"`, or the path of a profile in
   * the JSON form of OCI and Docker (with a `/`, relative to this file). Default: `"default"`. Example: `seccomp =
   * "./profile.json"`.
   */
  seccomp?: Seccomp | null
  /**
   * The capabilities that are kept, with or without `CAP_`, in any case; `"all"` means all of them. They count inside
   * the sandbox's user namespace only. Default: none. Example: `capabilities = ["net_bind_service"]`.
   */
  capabilities?: string[] | null
  /**
   * The bits of capabilities(7) that say whether uid 0 is special: `"default"` (it is not, locked, unless capabilities
   * are kept), `"none"`, or a list of `noroot`, `no_setuid_fixup`, `keep_caps`, `no_cap_ambient_raise`, each also with
   * `_locked`. Default: `"default"`. Example: `securebits = ["noroot", "noroot_locked"]`.
   */
  securebits?: Securebits | null
  /**
   * Whether programs can never gain privileges (`PR_SET_NO_NEW_PRIVS`). Default: true. Example: `no_new_privs = true`.
   */
  noNewPrivs?: boolean | null
  /** `noNewPrivs` as a config file spells it. */
  no_new_privs?: boolean | null
  /**
   * A second wall around the file system: `"auto"` uses it where the kernel has it (and the report says so),
   * `"require"` refuses hosts without it, `"off"`. Since Linux 5.13. Default: `"auto"`. Example: `landlock =
   * "require"`.
   */
  landlock?: Landlock | null
  /**
   * The session keyring: `"new"` is an empty one, `"host"` that of the host process. Default: `"new"`. Example:
   * `keyring = "new"`.
   */
  keyring?: Keyring | null
  /**
   * Whether the payload may make user namespaces, in which it has all capabilities over what it makes there. Default:
   * false. Example: `nested_user_namespaces = true`.
   */
  nestedUserNamespaces?: boolean | null
  /** `nestedUserNamespaces` as a config file spells it. */
  nested_user_namespaces?: boolean | null
}

/** The section `[process]`: how payloads are started, unless the call says otherwise. */
export interface ProcessConfig {
  /**
   * The working directory inside: an absolute path that exists there. The host's is never used. Default: `"/"`.
   * Example: `cwd = "/data"`.
   */
  cwd?: string | null
  /**
   * Environment variables, in addition to `PATH`, `HOME`, `USER` and `LANG` (and `TERM` with a terminal). `null`, in
   * TOML `{ unset = true }`, removes one. 4,096 at most. Default: none. Example: `env = { JOB = "7" }`.
   */
  env?: { [name: string]: EnvValue | null } | null
  /**
   * Variables that are taken from the environment of the host process where they are set there; `env` wins. Default:
   * none. Example: `inherit_env = ["LANG"]`.
   */
  inheritEnv?: string[] | null
  /** `inheritEnv` as a config file spells it. */
  inherit_env?: string[] | null
  /** Whether the default variables are left out. Default: false. Example: `env_clear = true`. */
  envClear?: boolean | null
  /** `envClear` as a config file spells it. */
  env_clear?: boolean | null
  /**
   * The permissions that new files never have, as an octal string up to `"0777"`. Default: `"0022"`. Example: `umask =
   * "0077"`.
   */
  umask?: string | null
  /**
   * The niceness: -20 to 19; below 0 needs a privileged host process. Default: that of the host process. Example: `nice
   * = 10`.
   */
  nice?: number | null
  /** Whether payloads get a terminal of their own. Default: false. Example: `terminal = true`. */
  terminal?: boolean | null
  /**
   * Whether Pinfold's init is PID 1. With false the payload is PID 1 itself, as a system container wants it, and there
   * are no sessions. Default: true. Example: `init = false`.
   */
  init?: boolean | null
}

/** The section `[init]`: the program that sets the sandbox up and is PID 1 in it. */
export interface InitConfig {
  /**
   * An installed copy of init, for hosts whose policy must name a path (AppArmor); relative to this file. Also as the
   * environment variable `PINFOLD_INIT`. Default: `""`, the one that is built in. Example: `path =
   * "/usr/lib/pinfold/init"`.
   */
  path?: string | null
}

/** The section `[compat]`. */
export interface CompatConfig {
  /**
   * What may be weaker than asked for where the host can't do it: config keys, in which `*` stands for anything. Each
   * weakening is in the report. Everything else is required. Default: none. Example: `prefer = ["limits.*"]`.
   */
  prefer?: string[] | null
}

/** The options of a sandbox: the sections of a config, and the shorthands. */
export interface SandboxOptions extends SandboxConfig {
  /** Memory of all processes together; units are powers of 1024 (`limits.memory`). Example: `256M`. */
  memory?: Bytes | null
  /** Swap in addition to memory; 0 for none (`limits.swap`). Example: `0`. */
  swap?: Bytes | null
  /** Number of processes and threads (`limits.pids`). Example: `64`. */
  pids?: number | null
  /** How many CPUs' worth of time per time (`limits.cpus`). Example: `0.5`. */
  cpus?: number | null
  /** How long the call may take, from its start; then the whole tree is killed (`limits.wall_time`). Example: `5s`. */
  timeout?: Timespan | null
  /** `timeout` in milliseconds. */
  timeoutMs?: number | null
  /** CPU time of the whole tree (`limits.cpu_time`). Example: `2s`. */
  cpuTime?: Timespan | null
  /** `cpuTime` in milliseconds. */
  cpuTimeMs?: number | null
  /** `cpuTime` as a config file spells it. */
  cpu_time?: Timespan | null
  /** How many bytes of stdout, and of stderr, are captured (`limits.output`). Example: `1M`. */
  output?: Bytes | null
  /**
   * A writable layer above the root, in memory or in a directory that is kept (`rootfs.overlay`). Example:
   * `memory:64M`.
   */
  overlay?: OverlayConfig | string | null
  /** Show a file or directory of the host inside, writable (`mounts`). Example: `data:/data`. */
  bind?: string | string[] | null
  /** Show a file or directory of the host inside, read-only (`mounts`). Example: `data:/data`. */
  roBind?: string | string[] | null
  /** `roBind` as a config file spells it. */
  ro_bind?: string | string[] | null
  /** An empty directory in memory (`mounts`). Example: `/scratch:64M`. */
  tmpfs?: string | string[] | null
  /** Who the payload is inside, by number (`identity.uid`). Example: `1000:1000`. */
  user?: number | string | null
  /** An environment variable (`process.env`). Example: `LANG=C`. */
  env?: { [name: string]: EnvValue | null } | string | string[] | null
  /** The working directory inside (`process.cwd`). Example: `/tmp`. */
  cwd?: string | null
  /** The filter of system calls; a profile is written with a / (`security.seccomp`). Example: `default`. */
  seccomp?: Seccomp | null
}
