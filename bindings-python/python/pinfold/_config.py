# Generated from the config types of the library by `cargo xtask generate`. Do not edit.
"""The types of configs and options, for type checkers and editors.

The keys are those of a config file; docs/config-reference.md describes them. Every key may be left out or None.
"""

from __future__ import annotations

import os
from typing import Literal, Mapping, Sequence, TypedDict, Union

Bytes = Union[int, str]
"""A size: bytes, or a string with a unit such as "64MiB" or "256M". Units are powers of 1024."""


class EnvValueUnset(TypedDict):
    unset: bool


EnvValue = Union[str, None, EnvValueUnset]
"""A value; null (in TOML `{ unset = true }`) removes the variable."""


FileContent = Union[str, Sequence[int]]
"""A text, or bytes."""


class JoinPid(TypedDict):
    pid: int


class JoinFd(TypedDict):
    fd: str


Join = Union[str, JoinPid, JoinFd]
"""A namespace that exists: a path, a process, or the name of an fd that the caller attaches."""


Keyring = Literal["new", "host"]
"""The session keyring."""


Landlock = Literal["auto", "require", "off"]
"""Landlock, a second wall around the file system."""


MountKind = Literal["bind", "tmpfs", "proc", "sysfs", "devpts", "dev", "mqueue", "overlay", "symlink", "file"]
"""What is mounted."""


class MountSourceFd(TypedDict):
    fd: str


MountSource = Union[str, MountSourceFd]
"""A path, or the name of an fd that the caller attaches."""


class NamespaceJoin(TypedDict):
    join: Join


Namespace = Union[Literal["new", "host"], NamespaceJoin]
"""One of its own, that of the host process, or one that exists."""


class NetworkModeJoin(TypedDict):
    join: Join


NetworkMode = Union[Literal["none", "host"], NetworkModeJoin]
"""A loopback interface alone, the network of the host process, or one that exists."""


Overflow = Literal["truncate", "kill"]
"""What happens when more is written than is captured."""


OverlayUpper = str
"""`"memory"`, or a directory with a `/`."""


Propagation = Literal["private", "slave", "shared", "unbindable"]
"""Whether mounts travel between the host and the sandbox."""


RlimitValue = Union[int, str]
"""The value of a resource limit: an integer, a size such as "64MiB", or "unlimited"."""


RootfsKind = Literal["system", "host", "dir", "layers", "empty"]
"""What the root file system is made of."""


Seccomp = str
"""`"default"`, `"none"`, or the path of a profile with a `/`."""


Securebits = Union[Literal["default", "none"], Sequence[str]]
"""`"default"`, `"none"`, or a list of bits."""


class TimeNamespaceJoin(TypedDict):
    join: Join


class TimeNamespaceOffset(TypedDict, total=False):
    offset_boottime: Union[int, None]
    offset_monotonic: Union[int, None]


TimeNamespace = Union[Literal["new", "host"], TimeNamespaceJoin, TimeNamespaceOffset]
"""As the other namespaces; also offsets in seconds, which mean one of its own."""


Timespan = Union[float, str]
"""A time span: seconds, or a string with units such as "1.5s" or "200ms"."""


class CompatConfig(TypedDict, total=False):
    """The section `[compat]`."""

    prefer: Union[Sequence[str], None]
    """What may be weaker than asked for where the host can't do it: config keys, in which `*` stands
    for anything. Each weakening is in the report. Everything else is required. Default: none.
    Example: `prefer = ["limits.*"]`.
    """


class InitConfig(TypedDict, total=False):
    """The section `[init]`: the program that sets the sandbox up and is PID 1 in it."""

    path: Union[str, None]
    """An installed copy of init, for hosts whose policy must name a path (AppArmor); relative to this
    file. Also as the environment variable `PINFOLD_INIT`. Default: `""`, the one that is built in.
    Example: `path = "/usr/lib/pinfold/init"`.
    """


class ProcessConfig(TypedDict, total=False):
    """The section `[process]`: how payloads are started, unless the call says otherwise."""

    cwd: Union[str, None]
    """The working directory inside: an absolute path that exists there. The host's is never used.
    Default: `"/"`. Example: `cwd = "/data"`.
    """
    env: Union[Mapping[str, EnvValue], None]
    """Environment variables, in addition to `PATH`, `HOME`, `USER` and `LANG` (and `TERM` with a
    terminal). `null`, in TOML `{ unset = true }`, removes one. 4,096 at most. Default: none.
    Example: `env = { JOB = "7" }`.
    """
    inherit_env: Union[Sequence[str], None]
    """Variables that are taken from the environment of the host process where they are set there;
    `env` wins. Default: none. Example: `inherit_env = ["LANG"]`.
    """
    env_clear: Union[bool, None]
    """Whether the default variables are left out. Default: false. Example: `env_clear = true`."""
    umask: Union[str, None]
    """The permissions that new files never have, as an octal string up to `"0777"`. Default: `"0022"`.
    Example: `umask = "0077"`.
    """
    nice: Union[int, None]
    """The niceness: -20 to 19; below 0 needs a privileged host process. Default: that of the host
    process. Example: `nice = 10`.
    """
    terminal: Union[bool, None]
    """Whether payloads get a terminal of their own. Default: false. Example: `terminal = true`."""
    init: Union[bool, None]
    """Whether Pinfold's init is PID 1. With false the payload is PID 1 itself, as a system container
    wants it, and there are no sessions. Default: true. Example: `init = false`.
    """


class SecurityConfig(TypedDict, total=False):
    """The section `[security]`: what the payload may do."""

    seccomp: Union[Seccomp, None]
    """The filter of system calls: `"default"` (as strict as Docker's, and more), `"none"`, or the path
    of a profile in the JSON form of OCI and Docker (with a `/`, relative to this file). Default:
    `"default"`. Example: `seccomp = "./profile.json"`.
    """
    capabilities: Union[Sequence[str], None]
    """The capabilities that are kept, with or without `CAP_`, in any case; `"all"` means all of them.
    They count inside the sandbox's user namespace only. Default: none. Example: `capabilities =
    ["net_bind_service"]`.
    """
    securebits: Union[Securebits, None]
    """The bits of capabilities(7) that say whether uid 0 is special: `"default"` (it is not, locked,
    unless capabilities are kept), `"none"`, or a list of `noroot`, `no_setuid_fixup`, `keep_caps`,
    `no_cap_ambient_raise`, each also with `_locked`. Default: `"default"`. Example: `securebits =
    ["noroot", "noroot_locked"]`.
    """
    no_new_privs: Union[bool, None]
    """Whether programs can never gain privileges (`PR_SET_NO_NEW_PRIVS`). Default: true. Example:
    `no_new_privs = true`.
    """
    landlock: Union[Landlock, None]
    """A second wall around the file system: `"auto"` uses it where the kernel has it (and the report
    says so), `"require"` refuses hosts without it, `"off"`. Since Linux 5.13. Default: `"auto"`.
    Example: `landlock = "require"`.
    """
    keyring: Union[Keyring, None]
    """The session keyring: `"new"` is an empty one, `"host"` that of the host process. Default:
    `"new"`. Example: `keyring = "new"`.
    """
    nested_user_namespaces: Union[bool, None]
    """Whether the payload may make user namespaces, in which it has all capabilities over what it
    makes there. Default: false. Example: `nested_user_namespaces = true`.
    """


class FdConfig(TypedDict, total=False):
    """One entry of `[[fds]]`: an open file that the payload gets. It has exactly one of `target`,
    `socket_activation` and `inetd`; the live file is attached by its name when a payload is
    started.
    """

    name: Union[str, None]
    """The name by which the caller attaches the file, and its name in `LISTEN_FDNAMES`: 1 to 255
    printable ASCII characters without `:`. Required. Example: `name = "http"`.
    """
    target: Union[int, None]
    """The number the file has inside: 3 to 1023. Default: none. Example: `target = 3`."""
    socket_activation: Union[bool, None]
    """Whether it is one of the sockets of `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, which are
    numbered from 3 in the order of their declaration. Default: false. Example: `socket_activation =
    true`.
    """
    inetd: Union[bool, None]
    """Whether it is standard input and output, as inetd does. Default: false. Example: `inetd = true`.
    """


class IoLimitConfig(TypedDict, total=False):
    """Limits of block I/O on one device."""

    device: Union[str, None]
    """The block device: its path, or `MAJOR:MINOR`. Required. Example: `device = "/dev/vda"`."""
    read_bps: Union[Bytes, None]
    """Bytes read per second. Default: no limit. Example: `read_bps = "10MiB"`."""
    write_bps: Union[Bytes, None]
    """Bytes written per second. Default: no limit. Example: `write_bps = "10MiB"`."""
    read_iops: Union[int, None]
    """Reads per second. Default: no limit. Example: `read_iops = 1000`."""
    write_iops: Union[int, None]
    """Writes per second. Default: no limit. Example: `write_iops = 500`."""


class LimitsConfig(TypedDict, total=False):
    """The section `[limits]`: how much the sandbox may use. What is not given is not limited, except
    `output` and `rlimits.core`. A limit that the host can't enforce is an error, unless
    `compat.prefer` names it.
    """

    memory: Union[Bytes, None]
    """Memory of all processes together, with the page cache they cause: a size of at least 1 byte.
    Beyond it the kernel kills. Needs cgroups. Default: no limit. Example: `memory = "256MiB"`.
    """
    memory_high: Union[Bytes, None]
    """Memory beyond which processes are slowed down and their pages reclaimed: at most `memory`. Needs
    cgroups v2. Default: no limit. Example: `memory_high = "200MiB"`.
    """
    swap: Union[Bytes, None]
    """Swap in addition to memory: a size, 0 for none. Needs cgroups. Default: no limit. Example: `swap
    = 0`.
    """
    oom_group: Union[bool, None]
    """Whether running out of memory kills the whole sandbox instead of one process. Needs cgroups v2.
    Default: false. Example: `oom_group = true`.
    """
    pids: Union[int, None]
    """Number of processes and threads, without PID 1: 1 to 4194304. In a session each running
    payload's supervisor counts too. Needs cgroups. Default: no limit. Example: `pids = 64`.
    """
    cpus: Union[float, None]
    """How many CPUs' worth of time per time: more than 0, up to 65536. Needs cgroups. Default: no
    limit. Example: `cpus = 0.5`.
    """
    cpu_weight: Union[int, None]
    """Share of CPU time where it is scarce: 1 to 10000, where 100 is what everybody has. Needs
    cgroups. Default: 100. Example: `cpu_weight = 50`.
    """
    cpuset: Union[str, None]
    """Which CPUs may be used: numbers and ranges, all of them CPUs that the group above has. Needs
    cgroups. Default: all. Example: `cpuset = "0-1"`.
    """
    io_weight: Union[int, None]
    """Share of block I/O where it is scarce: 1 to 10000, where 100 is what everybody has. Needs
    cgroups. Default: 100. Example: `io_weight = 100`.
    """
    io: Union[Sequence[IoLimitConfig], None]
    """Limits of block I/O by device. Needs cgroups. Default: none. Example: `io = [{ device =
    "/dev/vda", read_bps = "10MiB", write_iops = 500 }]`.
    """
    devices: Union[Sequence[str], None]
    """Devices beyond the minimal set, each as `PATH:ACCESS` or `TYPE MAJOR:MINOR ACCESS`, where the
    access is made of `r`, `w` and `m`, the type is `c` or `b`, and a number may be `*`. Once there
    is one, opening and making any other device is refused. Needs cgroups; on v2 also the right to
    load BPF programs. Default: none, and no such wall. Example: `devices = ["/dev/net/tun:rw", "c
    10:200 rw"]`.
    """
    hugepages: Union[Mapping[str, Bytes], None]
    """Huge pages: page size to bytes. Needs cgroups. Default: no limit. Example: `hugepages = { "2MiB"
    = "64MiB" }`.
    """
    timeout: Union[Timespan, None]
    """Another name of `wall_time`. Default: no limit. Example: `timeout = "5s"`."""
    wall_time: Union[Timespan, None]
    """How long a call may take, counted from its start: a duration above 0. Then the whole tree is
    killed. Also spelled `timeout`. Default: no limit. Example: `wall_time = "5s"`.
    """
    cpu_time: Union[Timespan, None]
    """CPU time of the whole tree: a duration above 0. Needs cgroups. Default: no limit. Example:
    `cpu_time = "2s"`.
    """
    output: Union[Bytes, None]
    """How many bytes of stdout, and of stderr, are captured: a size. Default: 16 MiB. Example: `output
    = "1MiB"`.
    """
    overflow: Union[Overflow, None]
    """What happens beyond `output`: the rest is dropped and the outcome says so, or the tree is
    killed. Default: `"truncate"`. Example: `overflow = "kill"`.
    """
    rlimits: Union[Mapping[str, RlimitValue], None]
    """Limits of setrlimit(2), of each process: names without `RLIMIT_`, to a number, a size, or
    `"unlimited"`. Default: `core = 0`, the others are those of the host process. Example: `rlimits
    = { nofile = 256, stack = "8MiB" }`.
    """
    cgroup_parent: Union[str, None]
    """Below which cgroup that of the sandbox is made, as a path in the hierarchy; empty: that of the
    host process. Default: `""`. Example: `cgroup_parent = "/grading"`.
    """
    payload_groups: Union[bool, None]
    """Whether each payload of a session gets a group of its own, below that of the session: for its
    numbers, and for a `cpu_time` of one call. Needs cgroups; on v2 it counts CPU time and
    processes. Default: false. Example: `payload_groups = true`.
    """


class MountConfig(TypedDict, total=False):
    """One entry of `[[mounts]]`."""

    kind: Union[MountKind, None]
    """What is mounted. Required. Example: `kind = "bind"`."""
    source: Union[MountSource, None]
    """What is shown at the target. For `bind`: a file or directory of the host, relative to this file
    (in code to the cwd at build time), or the name of an fd that the caller attaches (`{ fd =
    "name" }`). For `symlink`: the link's text, as it is. Default: none; these two kinds need one.
    Example: `source = "data"`.
    """
    target: Union[str, None]
    """Where it appears inside: an absolute path other than `/`. Required. Nothing is ever created on a
    host file system, so on a writable bind the target must exist. Example: `target = "/data"`.
    """
    read_only: Union[bool, None]
    """Whether it can't be written to, with everything mounted below it. Default: false; sysfs always
    is. Example: `read_only = true`.
    """
    recursive: Union[bool, None]
    """For `bind`: whether what is mounted below the source comes along. Default: true. Example:
    `recursive = false`.
    """
    optional: Union[bool, None]
    """For `bind`: a missing source is skipped and reported, instead of an error. Default: false.
    Example: `optional = true`.
    """
    nosuid: Union[bool, None]
    """Whether set-user-id bits and file capabilities count for nothing. Default: true. Example:
    `nosuid = false`.
    """
    nodev: Union[bool, None]
    """Whether device files can't be opened. Default: true; false for `dev` and `devpts`. Example:
    `nodev = true`.
    """
    noexec: Union[bool, None]
    """Whether programs can't be executed. Default: false; true for `proc`, `sysfs`, `devpts`, `dev`
    and `mqueue`. Example: `noexec = true`.
    """
    propagation: Union[Propagation, None]
    """Whether mounts travel between the host and this mount. Default: that of the root. Example:
    `propagation = "slave"`.
    """
    idmap: Union[bool, None]
    """For `bind`: whether owners are translated, so that the host's ids appear as those inside. Needs
    a privileged host process and a file system that can. Since Linux 5.12. Default: false. Example:
    `idmap = true`.
    """
    size: Union[Bytes, None]
    """For `tmpfs` and an `overlay` in memory: how many bytes fit. Default: 256 MiB. Example: `size =
    "16MiB"`.
    """
    inodes: Union[int, None]
    """For `tmpfs`: how many files fit. Default: one for each 4 KiB of the size, 1,024 at least.
    Example: `inodes = 10000`.
    """
    mode: Union[str, None]
    """For `tmpfs` and `file`: the permissions, as an octal string up to `"7777"`. Default: `"1777"`
    for tmpfs, `"0644"` for a file. A file belongs to the sandbox's root where `identity` gives it
    an id of its own, else to the payload's user: what the payload is to read in every case has its
    last digit set. Example: `mode = "0755"`.
    """
    content: Union[FileContent, None]
    """For `file`: what is in it, as a string (in JSON also an array of bytes); 1 MiB at most.
    Required. Example: `content = "hello\\n"`.
    """
    lower: Union[Sequence[str], None]
    """For `overlay`: the directories below, highest precedence first: 1 to 500; relative to this file.
    Required. Example: `lower = ["top", "base"]`.
    """
    upper: Union[OverlayUpper, None]
    """For `overlay`: where changes go: `"memory"` or a directory (with a `/`). Default: nowhere, it is
    read-only. Example: `upper = "./changes"`.
    """
    work: Union[str, None]
    """For `overlay` with a directory as upper: the work directory. Default: the upper directory's name
    with `.work` added. Example: `work = "./changes.work"`.
    """
    masked: Union[Sequence[str], None]
    """For `proc`: what is covered, relative to the target or absolute. Default: what OCI runtimes
    cover (`kcore`, `keys`, `timer_list`, ...). Example: `masked = ["kcore"]`.
    """
    readonly_paths: Union[Sequence[str], None]
    """For `proc`: what can't be written to, relative to the target or absolute. Default: what OCI
    runtimes protect (`bus`, `fs`, `irq`, `sys`, `sysrq-trigger`). Example: `readonly_paths =
    ["sys"]`.
    """


class OverlayConfig(TypedDict, total=False):
    """The section `[rootfs.overlay]`. Also as a string: `"memory"`, `"memory:64MiB"` or a directory
    with a `/`.
    """

    upper: Union[OverlayUpper, None]
    """Where changes go: `"memory"`, which is gone afterwards, or a directory that is kept (a string
    with a `/`, relative to this file). Default: `"memory"`. Example: `upper = "./changes"`.
    """
    work: Union[str, None]
    """The work directory of overlayfs: on the same file system as `upper`, and empty. Only with a
    directory. Default: the upper directory's name with `.work` added. Example: `work =
    "./changes.work"`.
    """
    size: Union[Bytes, None]
    """How many bytes of changes fit in memory. Only in memory. Default: 256 MiB. Example: `size =
    "64MiB"`.
    """


class RootfsConfig(TypedDict, total=False):
    """The section `[rootfs]`. Also as one word or a directory: `rootfs = "system"`, `rootfs =
    "./rootfs"`; a string with a `/` is a directory.
    """

    kind: Union[RootfsKind, None]
    """What the root is made of. Default: `"dir"` where `path` is given, `"layers"` where `layers` is
    given, else `"system"`. Example: `kind = "host"`.
    """
    path: Union[str, None]
    """The directory, for `kind = "dir"`; relative to this file. Default: none. Example: `path =
    "rootfs"`.
    """
    layers: Union[Sequence[str], None]
    """The directories that are stacked, highest precedence first, for `kind = "layers"`: 1 to 500;
    relative to this file. Default: none. Example: `layers = ["top", "base"]`.
    """
    propagation: Union[Propagation, None]
    """Whether mounts made outside later become visible inside (`"slave"`), in both directions
    (`"shared"`), or not at all. Default: `"private"`. Example: `propagation = "slave"`.
    """
    overlay: Union[OverlayConfig, str, None]
    """A writable layer above the root: a table, `"memory"`, `"memory:64MiB"`, or a directory. Default:
    none, the root is read-only. In memory on an unprivileged host since Linux 6.6. Example:
    `overlay = "memory"`.
    """


class IdMapConfig(TypedDict, total=False):
    """One range of an id map."""

    inside: Union[int, None]
    """The first id inside. Required. Example: `inside = 0`."""
    outside: Union[int, None]
    """The first id on the host. Required. Example: `outside = 100000`."""
    count: Union[int, None]
    """How many ids. Default: 1. Example: `count = 65536`."""


class IdentityConfig(TypedDict, total=False):
    """The section `[identity]`: who the payload is, inside and on the host."""

    uid: Union[int, None]
    """The payload's user id inside: 0 to 4294967294. Default: 1000. Example: `uid = 0`."""
    gid: Union[int, None]
    """The payload's group id inside: 0 to 4294967294. Default: 1000. Example: `gid = 0`."""
    groups: Union[Sequence[int], None]
    """The payload's supplementary groups inside, 64 at most. Default: none. Example: `groups = [44,
    100]`.
    """
    uid_map: Union[Sequence[IdMapConfig], None]
    """Which user ids of the host stand behind those inside: 340 ranges at most, which must not
    overlap. A range beyond the caller's own id needs a privileged host process or a line in
    `/etc/subuid`. Default: the caller's own id alone; for a root host a range of 65,536 ids without
    host uid 0. Example: `uid_map = [{ inside = 0, outside = 100000, count = 65536 }]`.
    """
    gid_map: Union[Sequence[IdMapConfig], None]
    """The same for groups, with `/etc/subgid`. Default: as for `uid_map`. Example: `gid_map = [{
    inside = 0, outside = 100000, count = 65536 }]`.
    """
    host_root: Union[bool, None]
    """Whether the payload may be uid 0 (or gid 0) of the host. Without it such a map is refused.
    Default: false. Example: `host_root = true`.
    """


class NetworkConfig(TypedDict, total=False):
    """The section `[network]`. Also as one word: `network = "none"`."""

    mode: Union[NetworkMode, None]
    """The network of the sandbox: `"none"` is a namespace of its own with nothing but a loopback
    interface that is up, `"host"` the network of the host process with all that listens there, `{
    join = ... }` a namespace that exists, by path, pid or fd. Default: `"none"`. Example: `mode = {
    join = "/run/netns/blue" }`.
    """


class NamespacesConfig(TypedDict, total=False):
    """The section `[namespaces]`: each one `"new"`, `"host"` or `{ join = ... }`. `join` takes a path
    (`"/proc/1/ns/ipc"`), a process (`{ pid = 1 }`) or the name of an fd that the caller attaches to
    the sandbox (`{ fd = "name" }`). The network namespace is decided by `network.mode` and nowhere
    else.
    """

    user: Union[Namespace, None]
    """Users, groups and capabilities. Default: `"new"`. `"host"` needs a privileged host process.
    Example: `user = "new"`.
    """
    pid: Union[Namespace, None]
    """Process ids. Default: `"new"`. Without one of its own the tree can only be killed through its
    cgroup. Example: `pid = { join = { pid = 4711 } }`.
    """
    mount: Union[Namespace, None]
    """Mounts. Default: `"new"`. With `"host"` or `join` there is no rootfs and there are no mounts of
    the sandbox. Example: `mount = "new"`.
    """
    ipc: Union[Namespace, None]
    """System V IPC and POSIX message queues. Default: `"new"`. Example: `ipc = { join =
    "/proc/1/ns/ipc" }`.
    """
    uts: Union[Namespace, None]
    """Host and domain name. Default: `"new"`. Example: `uts = "host"`."""
    cgroup: Union[Namespace, None]
    """The view of the cgroup tree. Default: `"new"`. Example: `cgroup = "new"`."""
    time: Union[TimeNamespace, None]
    """The boot-time and monotonic clocks: also a table of offsets in seconds, which means a new
    namespace. Default: `"host"`. Since Linux 5.6. Example: `time = { offset_boottime = 3600,
    offset_monotonic = 0 }`.
    """


class SandboxConfig(TypedDict, total=False):
    """A sandbox as the user wrote it: plain data, every field optional, nothing checked beyond its
    type. TOML, JSON, Python's dicts, Node's objects and the builder all end here, with the same
    keys. A config is checked when a sandbox is built from it, and then every problem is reported at
    once.
    """

    version: Union[int, None]
    """The version of this format. Only `1` exists. Default: 1. Example: `version = 1`."""
    extends: Union[Sequence[str], None]
    """Config files that this one builds on, relative to this file; later files override earlier ones,
    and this file overrides them all. Tables merge key by key, arrays replace, null unsets. Works in
    files that are read by path; 16 levels deep at most. Default: none. Example: `extends =
    ["base.toml"]`.
    """
    hostname: Union[str, None]
    """The host name inside: 1 to 64 letters, digits, `-`, `.` and `_`. Needs a new uts namespace.
    Default: `"sandbox"`. Example: `hostname = "box"`.
    """
    namespaces: Union[NamespacesConfig, None]
    """Which parts of the system the sandbox sees a copy of its own of."""
    network: Union[NetworkConfig, Literal["none", "host"], None]
    """The network, also as one word: `network = "none"`."""
    identity: Union[IdentityConfig, None]
    """Who the payload is, inside and on the host."""
    rootfs: Union[RootfsConfig, str, None]
    """The root file system, also as one word or a directory: `rootfs = "system"`, `rootfs =
    "./rootfs"`.
    """
    mounts: Union[Sequence[MountConfig], None]
    """What is mounted above the root file system, in this order. `/proc`, `/dev`, `/tmp`, `/dev/shm`
    and `/run` are there without being asked for; a mount at the same target replaces them. 1,024 at
    most.
    """
    limits: Union[LimitsConfig, None]
    """How much the sandbox may use."""
    fds: Union[Sequence[FdConfig], None]
    """Open files that the payload gets from its caller. 512 at most."""
    security: Union[SecurityConfig, None]
    """What the payload may do."""
    process: Union[ProcessConfig, None]
    """How payloads are started, unless the call says otherwise."""
    init: Union[InitConfig, None]
    """The program that sets the sandbox up."""
    compat: Union[CompatConfig, None]
    """What may be weaker than asked for on hosts that can't do better."""


class SandboxOptions(SandboxConfig, total=False):
    """The keyword arguments of a sandbox: the sections of a config, and the shorthands."""

    memory: Union[Bytes, None]
    """Memory of all processes together; units are powers of 1024 (`limits.memory`). Example: `256M`.
    """
    swap: Union[Bytes, None]
    """Swap in addition to memory; 0 for none (`limits.swap`). Example: `0`."""
    pids: Union[int, None]
    """Number of processes and threads (`limits.pids`). Example: `64`."""
    cpus: Union[float, None]
    """How many CPUs' worth of time per time (`limits.cpus`). Example: `0.5`."""
    timeout: Union[Timespan, None]
    """How long the call may take, from its start; then the whole tree is killed (`limits.wall_time`).
    Example: `5s`.
    """
    cpu_time: Union[Timespan, None]
    """CPU time of the whole tree (`limits.cpu_time`). Example: `2s`."""
    output: Union[Bytes, None]
    """How many bytes of stdout, and of stderr, are captured (`limits.output`). Example: `1M`."""
    overlay: Union[OverlayConfig, str, None]
    """A writable layer above the root, in memory or in a directory that is kept (`rootfs.overlay`).
    Example: `memory:64M`.
    """
    bind: Union[str, Sequence[str], None]
    """Show a file or directory of the host inside, writable (`mounts`). Example: `data:/data`."""
    ro_bind: Union[str, Sequence[str], None]
    """Show a file or directory of the host inside, read-only (`mounts`). Example: `data:/data`."""
    tmpfs: Union[str, Sequence[str], None]
    """An empty directory in memory (`mounts`). Example: `/scratch:64M`."""
    user: Union[int, str, None]
    """Who the payload is inside, by number (`identity.uid`). Example: `1000:1000`."""
    env: Union[Mapping[str, EnvValue], str, Sequence[str], None]
    """An environment variable (`process.env`). Example: `LANG=C`."""
    cwd: Union[str, os.PathLike[str], None]
    """The working directory inside (`process.cwd`). Example: `/tmp`."""
    seccomp: Union[Seccomp, None]
    """The filter of system calls; a profile is written with a / (`security.seccomp`). Example:
    `default`.
    """


__all__ = [
    "Bytes",
    "CompatConfig",
    "EnvValue",
    "EnvValueUnset",
    "FdConfig",
    "FileContent",
    "IdMapConfig",
    "IdentityConfig",
    "InitConfig",
    "IoLimitConfig",
    "Join",
    "JoinFd",
    "JoinPid",
    "Keyring",
    "Landlock",
    "LimitsConfig",
    "MountConfig",
    "MountKind",
    "MountSource",
    "MountSourceFd",
    "Namespace",
    "NamespaceJoin",
    "NamespacesConfig",
    "NetworkConfig",
    "NetworkMode",
    "NetworkModeJoin",
    "Overflow",
    "OverlayConfig",
    "OverlayUpper",
    "ProcessConfig",
    "Propagation",
    "RlimitValue",
    "RootfsConfig",
    "RootfsKind",
    "SandboxConfig",
    "SandboxOptions",
    "Seccomp",
    "Securebits",
    "SecurityConfig",
    "TimeNamespace",
    "TimeNamespaceJoin",
    "TimeNamespaceOffset",
    "Timespan",
]
