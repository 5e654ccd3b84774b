//! Owns: what a payload must not be able to do, tried from the inside: every refusal with its exact errno.
//! Must not: need anything of the host but a C compiler.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use pinfold::{HostCaps, Mount, Sandbox, SandboxBuilder};
use pinfold_tests::{Leaks, cc, is_root, open_to_all, scratch, settle_in};

/// Tries the operations that its arguments name, each in a process of its own, and prints `NAME ok`, `NAME ERRNO` or
/// `NAME SIGNAL`. `open-r:PATH`, `open-w:PATH`, `list:PATH`, `link:PATH` and `read:PATH` take a path.
const TRY: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <stddef.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));
static int nothing(void *a) { return 0; }
static long of(const char *op) {
    char buf[4096] = {0};
    if (!strncmp(op, "open-r:", 7)) return open(op + 7, O_RDONLY);
    if (!strncmp(op, "open-w:", 7)) return open(op + 7, O_WRONLY | O_CREAT, 0644);
    if (!strncmp(op, "read:", 5)) { int f = open(op + 5, O_RDONLY); return f < 0 ? f : read(f, buf, sizeof buf) < 0 ? -1 : 0; }
    if (!strncmp(op, "link:", 5)) return readlink(op + 5, buf, sizeof buf);
    if (!strncmp(op, "list:", 5)) {
        DIR *d = opendir(op + 5); struct dirent *e;
        if (!d) return -1;
        errno = 0;
        while ((e = readdir(d))) if (e->d_name[0] != '.') { errno = ENOTEMPTY; return -1; }
        return errno ? -1 : 0;
    }
    if (!strncmp(op, "empty:", 6)) {
        int f = open(op + 6, O_RDONLY), n;
        if (f < 0) return f;
        n = read(f, buf, sizeof buf);
        if (n > 0) { errno = ENOTEMPTY; return -1; }
        return n;
    }
    if (!strncmp(op, "abstract:", 9)) {
        struct sockaddr_un a = {AF_UNIX};
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(a.sun_path + 1, op + 9);
        return connect(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(op + 9));
    }
    if (!strcmp(op, "loopback")) {
        struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
        socklen_t n = sizeof a;
        int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(l, (void *)&a, n) || listen(l, 1) || getsockname(l, (void *)&a, &n)) return -1;
        return connect(c, (void *)&a, n);
    }
    if (!strcmp(op, "outside")) {
        struct sockaddr_in a = {AF_INET, htons(53), {htonl(0x08080808)}};
        return connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&a, sizeof a);
    }
    if (!strcmp(op, "euid-0")) { if (geteuid() == 0 || getegid() == 0) return 0; errno = EPERM; return -1; }
    if (!strcmp(op, "mount")) return mount("none", "/tmp", "tmpfs", 0, "");
    if (!strcmp(op, "remount")) return mount("", "/usr", 0, MS_REMOUNT | MS_BIND, 0);
    if (!strcmp(op, "umount2")) return umount2("/tmp", MNT_DETACH);
    if (!strcmp(op, "pivot_root")) return syscall(SYS_pivot_root, "/tmp", "/tmp");
    if (!strcmp(op, "chroot")) return chroot("/tmp");
    if (!strcmp(op, "unshare-user")) return unshare(CLONE_NEWUSER);
    if (!strcmp(op, "unshare-ns")) return unshare(CLONE_NEWNS);
    if (!strcmp(op, "unshare-net")) return unshare(CLONE_NEWNET);
    if (!strcmp(op, "setns")) { int f = open("/proc/self/ns/user", O_RDONLY); return f < 0 ? f : setns(f, 0); }
    if (!strcmp(op, "clone-user")) return clone(nothing, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, 0);
    if (!strcmp(op, "clone3")) { uint64_t a[11] = {0}; return syscall(SYS_clone3, a, sizeof a); }
    if (!strcmp(op, "bpf")) return syscall(SYS_bpf, 0, buf, 64);
    if (!strcmp(op, "perf_event_open")) return syscall(SYS_perf_event_open, buf, 0, -1, -1, 0);
    if (!strcmp(op, "keyctl")) return syscall(SYS_keyctl, 0, -3, 0);
    if (!strcmp(op, "add_key")) return syscall(SYS_add_key, "user", "x", "y", 1, -3);
    if (!strcmp(op, "request_key")) return syscall(SYS_request_key, "user", "x", 0, -3);
    if (!strcmp(op, "userfaultfd")) return syscall(SYS_userfaultfd, 1);
    if (!strcmp(op, "io_uring_setup")) return syscall(425, 4, buf);
    if (!strcmp(op, "io_uring_enter")) return syscall(426, -1, 0, 0, 0, 0, 0);
    if (!strcmp(op, "io_uring_register")) return syscall(427, -1, 0, 0, 0);
    if (!strcmp(op, "open_tree")) return syscall(428, AT_FDCWD, "/", 1);
    if (!strcmp(op, "move_mount")) return syscall(429, AT_FDCWD, "/tmp", AT_FDCWD, "/run", 0);
    if (!strcmp(op, "fsopen")) return syscall(430, "tmpfs", 0);
    if (!strcmp(op, "fsconfig")) return syscall(431, -1, 6, 0, 0, 0);
    if (!strcmp(op, "fsmount")) return syscall(432, -1, 0, 0);
    if (!strcmp(op, "fspick")) return syscall(433, AT_FDCWD, "/", 0);
    if (!strcmp(op, "mount_setattr")) return syscall(442, AT_FDCWD, "/usr", 0, buf, 32);
    if (!strcmp(op, "open_by_handle_at")) return syscall(SYS_open_by_handle_at, AT_FDCWD, buf, 0);
    if (!strcmp(op, "sethostname")) return sethostname("x", 1);
    if (!strcmp(op, "syslog")) return syscall(SYS_syslog, 3, buf, 64);
    if (!strcmp(op, "pidfd_getfd")) return syscall(438, -1, 0, 0);
    if (!strcmp(op, "unknown")) return syscall(9999);
#ifdef __x86_64__
    if (!strcmp(op, "x32")) return syscall(SYS_getpid | 0x40000000);
    if (!strcmp(op, "i386")) {
        long answer;
        __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
        if ((int)answer < 0) { errno = -(int)answer; return -1; }
        return answer;
    }
#endif
    if (!strncmp(op, "socket:", 7)) return socket(atoi(op + 7), atoi(op + 7) == 38 ? SOCK_SEQPACKET : SOCK_DGRAM, 0);
    if (!strncmp(op, "pair:", 5)) { int f[2]; return socketpair(atoi(op + 5), SOCK_STREAM, 0, f); }
    if (!strcmp(op, "tiocsti")) return syscall(SYS_ioctl, 0, 0x5412UL, "x");
    if (!strcmp(op, "tiocsti-high")) return syscall(SYS_ioctl, 0, 0x5412UL | 1UL << 32, "x");
    if (!strcmp(op, "tioclinux")) return syscall(SYS_ioctl, 0, 0x541CUL, "\2");
    if (!strcmp(op, "tioclinux-high")) return syscall(SYS_ioctl, 0, 0x541CUL | 1UL << 32, "\2");
    if (!strcmp(op, "attach-1")) return ptrace(PTRACE_ATTACH, 1, 0, 0);
    if (!strcmp(op, "seize-1")) return ptrace(PTRACE_SEIZE, 1, 0, 0);
    if (!strcmp(op, "kill-1")) return kill(1, SIGKILL);
    if (!strcmp(op, "stop-1")) return kill(1, SIGSTOP);
    if (!strcmp(op, "alive-1")) { usleep(50000); int f = open("/proc/1/comm", O_RDONLY); return f < 0 ? f : read(f, buf, 16) > 0 ? 0 : -1; }
    if (!strcmp(op, "mknod")) return mknod("/tmp/device", S_IFCHR | 0666, 0x103);
    if (!strcmp(op, "personality")) return syscall(SYS_personality, 0x0040000);
    if (!strcmp(op, "setuid-0")) return setuid(0);
    if (!strcmp(op, "setgroups")) { gid_t g = 0; return setgroups(1, &g); }
    if (!strcmp(op, "nice")) return syscall(SYS_setpriority, 0, 0, -5);
    if (!strcmp(op, "securebits")) return prctl(PR_GET_SECUREBITS) == 0xef ? 0 : (errno = prctl(PR_GET_SECUREBITS), -1);
    errno = ENOTSUP;
    return -1;
}
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child < 0) { perror("fork"); return 9; }
        if (!child) {
            errno = 0;
            long got = of(argv[i]);
            if (got >= 0) printf("%s ok\n", argv[i]);
            else printf("%s %s\n", argv[i], strerrorname_np(errno) ? strerrorname_np(errno) : "?");
            fflush(stdout);
            _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) < 0) ;
        if (WIFSIGNALED(status)) printf("%s SIG%s\n", argv[i], sigabbrev_np(WTERMSIG(status)));
    }
    return 0;
}
"#;

fn try_program() -> PathBuf {
    cc("try", TRY)
}

/// What each operation answers in this sandbox, in its first start as in all later ones.
fn answers<'a>(builder: SandboxBuilder, operations: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let sandbox = builder.ro_bind(try_program(), "/run/try").build().expect("a sandbox");
    let operations: Vec<&str> = operations.into_iter().collect();
    let ask = || {
        let outcome = sandbox.command("/run/try").args(&operations).output().expect("it runs");
        assert!(outcome.success(), "{} {}", outcome.detail(), outcome.stderr_text());
        outcome.text()
    };
    let text = ask();
    settle_in(&sandbox);
    assert_eq!(ask(), text, "later starts");
    text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, answer)| (name.into(), answer.into())).collect()
}

/// Every operation of the table answers as it says; all that differ are shown at once.
fn assert_answers(builder: SandboxBuilder, table: &[(&str, &str)]) {
    let got = answers(builder, table.iter().map(|(operation, _)| *operation));
    let wrong: Vec<String> = table
        .iter()
        .filter(|(operation, expected)| {
            !got.get(*operation).is_some_and(|got| expected.split('|').any(|one| one == got))
        })
        .map(|(operation, expected)| format!("{operation}: {:?}, not {expected}", got.get(*operation)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn namespaces_and_mounts_are_refused() {
    let _leaks = Leaks::watch();
    let refused = [
        "mount",
        "remount",
        "umount2",
        "pivot_root",
        "chroot",
        "unshare-user",
        "unshare-ns",
        "unshare-net",
        "setns",
        "clone-user",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "mount_setattr",
        "sethostname",
    ];
    let mut table: Vec<(&str, &str)> = refused.iter().map(|name| (*name, "EPERM")).collect();
    table.push(("clone3", "ENOSYS"));
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn dangerous_parts_of_the_kernel_are_refused() {
    let _leaks = Leaks::watch();
    let refused = [
        "bpf",
        "perf_event_open",
        "keyctl",
        "add_key",
        "request_key",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "open_by_handle_at",
        "syslog",
        "pidfd_getfd",
        "personality",
        "mknod",
        "setgroups",
    ];
    let mut table: Vec<(&str, &str)> = refused.iter().map(|name| (*name, "EPERM")).collect();
    // In a single map there is no uid 0.
    table.push(("setuid-0", if is_root() { "EPERM" } else { "EINVAL" }));
    table.push(("nice", "EACCES"));
    table.push(("unknown", "ENOSYS"));
    assert_answers(Sandbox::builder(), &table);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn other_ways_into_the_kernel_are_refused() {
    let _leaks = Leaks::watch();
    assert_answers(Sandbox::builder(), &[("x32", "ENOSYS"), ("i386", "ENOSYS")]);
}

#[test]
fn only_some_socket_families_exist() {
    let _leaks = Leaks::watch();
    let table = [
        ("socket:40", "EAFNOSUPPORT"),
        ("socket:38", "EAFNOSUPPORT"),
        ("socket:17", "EAFNOSUPPORT"),
        ("socket:29", "EAFNOSUPPORT"),
        ("socket:30", "EAFNOSUPPORT"),
        ("pair:30", "EAFNOSUPPORT"),
        ("socket:1", "ok"),
        ("socket:2", "ok"),
        ("socket:10", "ok"),
        ("socket:16", "ok"),
        ("pair:1", "ok"),
    ];
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn terminals_take_no_input_from_inside() {
    let _leaks = Leaks::watch();
    let table = ["tiocsti", "tiocsti-high", "tioclinux", "tioclinux-high"].map(|name| (name, "EPERM"));
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn init_is_out_of_reach() {
    let _leaks = Leaks::watch();
    // Landlock keeps signals inside since ABI 6; before, the kernel drops what its own namespace sends to PID 1.
    let abi = HostCaps::probe().expect("the host's facts").landlock_abi;
    let signalled = if abi >= 6 { "EPERM" } else { "EPERM|ok" };
    let table = [
        ("attach-1", "EPERM"),
        ("seize-1", "EPERM"),
        ("kill-1", signalled),
        ("stop-1", signalled),
        ("alive-1", "ok"),
        ("open-r:/proc/1/mem", "EACCES"),
        ("open-r:/proc/1/environ", "EACCES"),
        ("list:/proc/1/fd", "EACCES"),
        ("link:/proc/1/fd/0", "EACCES"),
        ("link:/proc/1/exe", "EACCES"),
        ("link:/proc/1/root", "EACCES"),
        ("link:/proc/1/cwd", "EACCES"),
        ("read:/proc/1/maps", "EACCES"),
    ];
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn files_of_the_host_are_not_there_or_read_only() {
    let _leaks = Leaks::watch();
    let table = [
        ("open-w:/usr/x", "EROFS"),
        ("open-w:/x", "EROFS"),
        // A file of the sandbox's own: for a single map its owner is the payload itself.
        ("open-w:/etc/passwd", if is_root() { "EACCES" } else { "EROFS" }),
        ("open-w:/home/x", "EROFS"),
        ("open-w:/proc/sys/kernel/hostname", "EACCES"),
        ("open-w:/dev/x", "EROFS"),
        ("open-r:/etc/shadow", "ENOENT"),
        ("open-r:/etc/ssh", "ENOENT"),
        ("open-r:/sys", "ENOENT"),
        ("list:/root", "ok"),
        ("list:/home", "ok"),
        ("list:/var/tmp", "ok"),
        ("list:/opt", "ok"),
        ("list:/srv", "ok"),
        ("open-w:/tmp/x", "ok"),
    ];
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn secrets_of_the_kernel_are_masked() {
    let _leaks = Leaks::watch();
    let table = [
        ("empty:/proc/kcore", "ok|ENOENT"),
        ("empty:/proc/keys", "ok|ENOENT"),
        ("empty:/proc/timer_list", "ok|ENOENT"),
        ("list:/proc/scsi", "ok|ENOENT"),
        ("list:/proc/acpi", "ok|ENOENT"),
        ("open-w:/proc/acpi/file", "EROFS|ENOENT|EACCES"),
        ("open-w:/proc/sys/kernel/core_pattern", "EACCES"),
        ("open-w:/proc/self/oom_score_adj", "ok"),
    ];
    assert_answers(Sandbox::builder(), &table);
}

#[test]
fn without_a_filter_user_namespaces_are_still_refused() {
    let _leaks = Leaks::watch();
    let table = [
        ("unshare-user", "ENOSPC"),
        ("clone-user", "ENOSPC"),
        ("unshare-ns", "EPERM"),
        ("unshare-net", "EPERM"),
        ("mount", "EPERM"),
        ("umount2", "EPERM"),
        ("chroot", "EPERM"),
        ("fsopen", "EPERM"),
        ("attach-1", "EPERM"),
        ("mknod", "EPERM"),
        ("socket:17", "EPERM"),
    ];
    assert_answers(Sandbox::builder().seccomp("none"), &table);
}

#[test]
fn nested_user_namespaces_are_there_when_asked_for() {
    let _leaks = Leaks::watch();
    assert_answers(Sandbox::builder().nested_user_namespaces(true), &[("unshare-user", "ok"), ("clone-user", "ok")]);
}

fn cat(file: &str) -> String {
    let outcome = Sandbox::builder().build().expect("a sandbox").command("cat").arg(file).output().expect("cat runs");
    assert!(outcome.success(), "{file}: {}", outcome.stderr_text());
    outcome.text()
}

#[test]
fn no_privilege_is_left() {
    let _leaks = Leaks::watch();
    let status = cat("/proc/self/status");
    let field = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("{name} in {status}")).trim().to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    assert_eq!(field("Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(field("Gid"), "1000\t1000\t1000\t1000");
    assert_answers(Sandbox::builder(), &[("securebits", "ok")]);
    let limits = cat("/proc/self/limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit of core files");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}

#[test]
fn only_its_own_processes_and_network_are_seen() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    let outcome = sandbox.command("ls").arg("/proc").output().expect("ls runs");
    let pids = outcome.text().lines().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).count();
    assert_eq!(pids, 2, "init and ls: {}", outcome.text());
    assert_eq!(cat("/proc/sys/kernel/hostname"), "sandbox\n");
    let devices = cat("/proc/net/dev");
    let names: Vec<&str> = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(names, ["lo"]);
    assert_answers(Sandbox::builder(), &[("loopback", "ok"), ("outside", "ENETUNREACH")]);
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let _leaks = Leaks::watch();
    let name = format!("pinfold-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
    let _listener = UnixListener::bind_addr(&address).expect("a listener");
    let operation = format!("abstract:{name}");
    assert_answers(Sandbox::builder(), &[(&operation, "ECONNREFUSED")]);
    // The program is able to: it is the namespace that keeps it apart (and Landlock, which is off here).
    let mut host = Sandbox::builder().network("host");
    host = host.landlock(pinfold::Landlock::Off);
    assert_answers(host, &[(&operation, "ok")]);
}

/// Looks for a marker (an argument, in hex of bytes that were changed) in everything below the other arguments that can be read.
const SCAN: &str = r#"
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static unsigned char key[64]; static int length, files, found;
static unsigned char buf[65536 + 64];
static void look(const char *path) {
    int f = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (f < 0) return;
    if (!fstat(f, &st) && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) && !isatty(f)) {
        int keep = 0, n; long total = 0;
        files++;
        while (total < 1 << 20 && (n = read(f, buf + keep, 65536)) > 0) {
            total += n; n += keep;
            for (int i = 0; i + length <= n; i++) {
                int j = 0;
                while (j < length && (buf[i + j] ^ 0x5a) == key[j]) j++;
                if (j == length) { found++; fprintf(stderr, "%s\n", path); total = 1 << 20; break; }
            }
            keep = n < length ? n : length;
            memmove(buf, buf + n - keep, keep);
        }
    }
    close(f);
}
static void walk(const char *path, int depth) {
    DIR *d = depth > 8 ? 0 : opendir(path); struct dirent *e;
    if (!d) return;
    while ((e = readdir(d))) {
        char below[4096]; struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (lstat(below, &st)) continue;
        if (S_ISDIR(st.st_mode)) walk(below, depth + 1); else look(below);
    }
    closedir(d);
}
int main(int argc, char **argv) {
    for (const char *p = argv[1]; *p; p += 2) { unsigned v; sscanf(p, "%2x", &v); key[length++] = v; }
    for (int i = 2; i < argc; i++) walk(argv[i], 0);
    printf("%d %d\n", files > 50, found);
    return 0;
}
"#;

#[test]
fn nothing_of_the_host_process_can_be_read() {
    let _leaks = Leaks::watch();
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos();
    let marker = format!("MARKER-{}-{time}", std::process::id());
    let hex: String = marker.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect();
    let heap = std::hint::black_box(marker.clone().into_boxed_str());
    // SAFETY: std guards its own reads of the environment, and no C code of this process reads it.
    unsafe { std::env::set_var("PINFOLD_TEST_MARKER", &marker) };
    let flags = nix::sys::memfd::MFdFlags::empty();
    // Without CLOEXEC: a host that is careless.
    let memfd = nix::sys::memfd::memfd_create(c"marker", flags).expect("a memfd");
    let mut file = std::fs::File::from(memfd);
    file.write_all(marker.as_bytes()).expect("it can be written");

    let scan = cc("scan", SCAN);
    let sandbox = Sandbox::builder().ro_bind(scan, "/run/scan").build().expect("a sandbox");
    let command = || sandbox.command("/run/scan").args([hex.as_str(), "/proc", "/dev", "/run", "/tmp", "/etc", "/var"]);
    let outcome = command().output().expect("it runs");
    assert_eq!(outcome.text(), "1 0\n", "{}", outcome.stderr_text());
    // It does find what is there.
    let outcome = command().env("PLANTED", &marker).output().expect("it runs");
    assert!(outcome.text().starts_with("1 ") && outcome.text() != "1 0\n", "{}", outcome.text());
    assert!(outcome.stderr_text().contains("/environ"), "{}", outcome.stderr_text());
    // SAFETY: as above.
    unsafe { std::env::remove_var("PINFOLD_TEST_MARKER") };
    drop(heap);
}

#[test]
fn the_payload_is_nobody_outside() {
    let _leaks = Leaks::watch();
    let sandbox = Sandbox::builder().build().expect("a sandbox");
    let process = sandbox.command("sleep").arg("1000").spawn().expect("it starts");
    let id = process.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let ranges = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.starts_with("root:") || line.starts_with("pinfold:"))
    };
    for (field, own, file) in [("Uid:", own.0, "/etc/subuid"), ("Gid:", own.1, "/etc/subgid")] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("its ids");
        for id in line.split_whitespace().map(|id| id.parse::<u32>().expect("a number")) {
            if !is_root() {
                assert_eq!(id, own);
            } else if !ranges(file) {
                assert_eq!(id, 0x6FFF_0000 + 1000);
            }
            assert_ne!(id, 0);
        }
    }
    process.kill().expect("it can be killed");
    process.wait().expect("an outcome");
}

#[test]
fn setuid_has_no_effect() {
    let _leaks = Leaks::watch();
    let directory = scratch();
    let program = directory.path().join("try");
    std::fs::copy(try_program(), &program).expect("a copy");
    open_to_all(&program, 0o6755);
    let mount = |builder: SandboxBuilder| builder.mount(Mount::bind(&program, "/run/setuid").read_only(true));
    let sandbox = mount(Sandbox::builder()).build().expect("a sandbox");
    let outcome = sandbox.command("/run/setuid").arg("euid-0").output().expect("it runs");
    assert_eq!(outcome.text(), "euid-0 EPERM\n");
    let mounts = sandbox.command("cat").arg("/proc/self/mountinfo").output().expect("cat runs").text();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (root, options) = (fields.nth(3).expect("a root"), fields.nth(1).expect("options"));
        // Single device nodes, also those that mask files of /proc, can't be executed.
        if ["/null", "/zero", "/full", "/random", "/urandom", "/tty"].contains(&root) {
            continue;
        }
        assert!(options.split(',').any(|option| option == "nosuid"), "{line}");
    }
    assert!(mounts.contains(" /run/setuid ro,nosuid,nodev"), "{mounts}");
}
