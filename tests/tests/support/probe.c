// Tries things from the inside and prints one line for each: `name ok` or `name ERRNO`.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result) {
    if (result < 0) printf("%s %s\n", name, strerrorname_np(errno));
    else printf("%s ok\n", name);
    fflush(stdout);
}

// In a child of its own: what works must not change what is tried next.
#define TRY(name, expression) do { \
    fflush(stdout); \
    pid_t child = fork(); \
    if (child == 0) { errno = 0; say(name, (long)(expression)); _exit(0); } \
    int status; waitpid(child, &status, 0); \
    if (WIFSIGNALED(status)) printf("%s killed by %d\n", name, WTERMSIG(status)); \
} while (0)

static char zeros[4096];

static void privileges(void) {
    TRY("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    TRY("bind", mount("/usr", "/tmp", 0, MS_BIND, 0));
    TRY("remount", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("umount", umount2("/tmp", MNT_DETACH));
    TRY("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    TRY("chroot", chroot("/tmp"));
    TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    TRY("fsconfig", syscall(SYS_fsconfig, -1, 6, 0, 0, 0));
    TRY("fsmount", syscall(SYS_fsmount, -1, 0, 0));
    TRY("open_tree", syscall(SYS_open_tree, -100, "/", 1));
    TRY("move_mount", syscall(SYS_move_mount, -100, "/tmp", -100, "/run", 0));
    TRY("mount_setattr", syscall(SYS_mount_setattr, -100, "/", 0, zeros, 32));
    TRY("unshare user", unshare(CLONE_NEWUSER));
    TRY("unshare mount", unshare(CLONE_NEWNS));
    TRY("unshare pid", unshare(CLONE_NEWPID));
    TRY("unshare net", unshare(CLONE_NEWNET));
    TRY("unshare uts", unshare(CLONE_NEWUTS));
    TRY("unshare ipc", unshare(CLONE_NEWIPC));
    TRY("unshare cgroup", unshare(CLONE_NEWCGROUP));
    TRY("unshare time", unshare(0x80));
    TRY("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    TRY("setns self", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    TRY("setns init", open("/proc/1/ns/net", O_RDONLY));
    TRY("ptrace init", ptrace(PTRACE_ATTACH, 1, 0, 0));
    TRY("ptrace seize init", ptrace(PTRACE_SEIZE, 1, 0, 0));
    TRY("process_vm_readv init", ({ char b[8]; uint64_t l[2] = {(uint64_t)b, 8}, r[2] = {0x400000, 8}; syscall(SYS_process_vm_readv, 1, l, 1, r, 1, 0); }));
    TRY("kcmp init", syscall(SYS_kcmp, 1, getpid(), 2, 0, 0));
    TRY("pidfd_getfd init", ({ long fd = syscall(SYS_pidfd_open, 1, 0); fd < 0 ? fd : syscall(SYS_pidfd_getfd, fd, 3, 0); }));
    TRY("sethostname", sethostname("x", 1));
    TRY("setdomainname", setdomainname("x", 1));
    TRY("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    TRY("settimeofday", syscall(SYS_settimeofday, zeros, 0));
    TRY("clock_settime", syscall(SYS_clock_settime, 0, zeros));
    TRY("init_module", syscall(SYS_init_module, zeros, 4096, ""));
    TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
    TRY("delete_module", syscall(SYS_delete_module, "x", 0));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    TRY("swapon", syscall(SYS_swapon, "/tmp/x", 0));
    TRY("swapoff", syscall(SYS_swapoff, "/tmp/x"));
    TRY("acct", syscall(SYS_acct, "/tmp/x"));
    TRY("syslog", syscall(SYS_syslog, 3, zeros, 100));
    TRY("quotactl", syscall(SYS_quotactl, 0x800002 << 8, "/", 0, 0));
    TRY("iopl", syscall(SYS_iopl, 3));
    TRY("ioperm", syscall(SYS_ioperm, 0x70, 1, 1));
    TRY("mknod block", mknod("/tmp/block", S_IFBLK | 0666, 0xfe00));
    TRY("mknod char", mknod("/tmp/char", S_IFCHR | 0666, 0x101));
    TRY("chown root", ({ close(creat("/tmp/chown", 0600)); chown("/tmp/chown", 0, 0); }));
    TRY("setuid 0", setuid(0));
    TRY("setresuid 0", setresuid(0, 0, 0));
    TRY("setgid 0", setgid(0));
    TRY("setgroups", ({ gid_t g = 0; syscall(SYS_setgroups, 1, &g); }));
    TRY("bpf", syscall(SYS_bpf, 0, zeros, 72));
    TRY("perf_event_open", ({ zeros[4] = 72; long r = syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0); r; }));
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    TRY("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
    TRY("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
    TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, zeros));
    TRY("io_uring_enter", syscall(SYS_io_uring_enter, 0, 0, 0, 0, 0));
    TRY("io_uring_register", syscall(SYS_io_uring_register, 0, 0, 0, 0));
    TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, -100, zeros, 0));
    TRY("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
    TRY("move_pages", syscall(SYS_move_pages, 1, 0, 0, 0, 0, 0));
    TRY("migrate_pages", syscall(SYS_migrate_pages, 1, 0, 0, 0));
    TRY("personality", syscall(SYS_personality, 0x0040000));
    TRY("vhangup", syscall(SYS_vhangup));
    TRY("clone3", syscall(SYS_clone3, zeros, 88));
    TRY("rlimit core", ({ struct rlimit r = {1, 1}; setrlimit(RLIMIT_CORE, &r); }));
    TRY("no_new_privs off", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TRY("cap_ambient raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 12, 0, 0));
    TRY("securebits", prctl(PR_SET_SECUREBITS, 0));
    TRY("nice", setpriority(PRIO_PROCESS, 0, -5));
}

static long int80(long number) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L), "c"(0L), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
    if ((int)result < 0 && (int)result > -4096) { errno = -(int)result; return -1; }
    return result;
}

static void abi(void) {
    TRY("unknown 470", syscall(600));
    TRY("unknown 9999", syscall(9999));
    TRY("unknown 0x3fffffff", syscall(0x3fffffff));
    TRY("x32 getpid", syscall(0x40000000 | SYS_getpid));
    TRY("x32 execve", syscall(0x40000000 | 520, "/bin/true", 0, 0));
    TRY("i386 getpid", int80(20));
    TRY("i386 mount", int80(21));
}

static void families(void) {
    char name[32];
    for (int family = 0; family < 64; family++) {
        snprintf(name, sizeof name, "%d", family);
        TRY(name, socket(family, SOCK_DGRAM, 0));
    }
}

static void terminal(void) {
    char c = 'x';
    TRY("TIOCSTI", syscall(SYS_ioctl, 0, 0x5412L, &c));
    TRY("TIOCSTI high", syscall(SYS_ioctl, 0, 0x1234567800005412L, &c));
    TRY("TIOCLINUX", syscall(SYS_ioctl, 0, 0x541CL, &c));
    TRY("TIOCLINUX high", syscall(SYS_ioctl, 0, 0xffffffff0000541CL, &c));
    TRY("TIOCGWINSZ", syscall(SYS_ioctl, 0, 0x5413L, zeros));
    TRY("/dev/tty", open("/dev/tty", O_RDWR));
    printf("session %d\n", getsid(0) == getpid() && getpgrp() == getpid());
}

static void state(void) {
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("seccomp %d\n", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    printf("securebits %d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    struct rlimit r;
    getrlimit(RLIMIT_CORE, &r);
    printf("core %ld %ld\n", (long)r.rlim_cur, (long)r.rlim_max);
    uid_t a, b, c;
    getresuid(&a, &b, &c);
    printf("uids %d %d %d\n", a, b, c);
    getresgid(&a, &b, &c);
    printf("gids %d %d %d\n", a, b, c);
    gid_t groups[64];
    int n = getgroups(64, groups);
    printf("groups");
    for (int i = 0; i < n; i++) printf(" %d", groups[i]);
    printf("\n");
}

static void write_to(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        struct stat s;
        int directory = stat(paths[i], &s) == 0 && S_ISDIR(s.st_mode);
        char name[512];
        snprintf(name, sizeof name, directory ? "%s/new" : "%s", paths[i]);
        TRY(paths[i], open(name, O_WRONLY | (directory ? O_CREAT : 0), 0600));
    }
}

static void read_from(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        TRY(paths[i], ({
            char link[512];
            struct stat s;
            int kind = lstat(paths[i], &s);
            long result = kind;
            if (kind == 0 && S_ISLNK(s.st_mode)) result = readlink(paths[i], link, sizeof link);
            else if (kind == 0 && S_ISDIR(s.st_mode)) result = opendir(paths[i]) ? 0 : -1;
            else if (kind == 0) { int fd = open(paths[i], O_RDONLY); result = fd < 0 ? fd : read(fd, link, 1); }
            result; }));
    }
}

// -- a scan of everything that can be read --------------------------------------------------------------------------

static unsigned char hidden[64];
static int hidden_length, found;

// The marker is kept inverted, so that the search does not find itself.
static void look(const char *where, const unsigned char *bytes, long length) {
    for (long i = 0; i + hidden_length <= length; i++) {
        int k = 0;
        while (k < hidden_length && (unsigned char)~bytes[i + k] == hidden[k]) k++;
        if (k == hidden_length) { printf("found in %s\n", where); found++; return; }
    }
}

static unsigned char buffer[1 << 20];

static void look_in(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return;
    for (int i = 0; i < 8; i++) {
        long got = read(fd, buffer, sizeof buffer);
        if (got <= 0) break;
        look(path, buffer, got);
    }
    close(fd);
}

static void look_in_memory(const char *process) {
    char path[600];
    snprintf(path, sizeof path, "%s/maps", process);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "%s/mem", process);
    int memory = open(path, O_RDONLY);
    if (!maps || memory < 0) return;
    char line[600];
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
        // The buffer itself is full of what was read before.
        if (strstr(process, "self") && from <= (unsigned long)buffer && (unsigned long)buffer < to) continue;
        for (unsigned long at = from; at < to; at += sizeof buffer - 64) {
            long got = pread(memory, buffer, to - at < sizeof buffer ? to - at : sizeof buffer, at);
            if (got <= 0) break;
            look(path, buffer, got);
        }
    }
}

static void walk(const char *directory, int depth) {
    DIR *entries = opendir(directory);
    if (!entries) return;
    for (struct dirent *entry; (entry = readdir(entries));) {
        char path[600];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (!strcmp(entry->d_name, "kmsg") || !strcmp(entry->d_name, "trace_pipe")) continue;
        struct stat s;
        if (lstat(path, &s) < 0) continue;
        if (S_ISLNK(s.st_mode)) {
            char text[600];
            long length = readlink(path, text, sizeof text);
            if (length > 0) look(path, (unsigned char *)text, length);
            // fds of any process, its root and its directory: what is behind the link.
            if (strstr(path, "/fd/")) look_in(path);
        } else if (S_ISDIR(s.st_mode)) {
            if (depth < 6) walk(path, depth + 1);
        } else {
            look_in(path);
            if (!strcmp(entry->d_name, "maps")) look_in_memory(directory);
        }
    }
    closedir(entries);
}

static int scan(const char *hex) {
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        sscanf(hex, "%2x", &byte);
        hidden[hidden_length++] = byte;
    }
    walk("/proc", 0);
    look_in_memory("/proc/self");
    for (int fd = 0; fd < 4096; fd++) {
        long got = pread(fd, buffer, sizeof buffer, 0);
        if (got > 0) look("an fd", buffer, got);
    }
    walk("/tmp", 0); walk("/run", 0); walk("/dev/shm", 0); walk("/etc", 0); walk("/var", 0); walk("/home", 0);
    printf("found %d\n", found);
    return 0;
}

// -- network --------------------------------------------------------------------------------------------------------

static void loopback(void) {
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    say("bind", bind(server, (void *)&address, sizeof address));
    getsockname(server, (void *)&address, &length);
    say("listen", listen(server, 1));
    say("connect", connect(client, (void *)&address, sizeof address));
    int server6 = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    say("bind ::1", bind(server6, (void *)&address6, sizeof address6));
    inet_aton("192.0.2.1", &address.sin_addr);
    say("connect outside", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address));
}

static void abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path + 1, name);
    say("connect", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof(sa_family_t) + 1 + strlen(name)));
}

// A directory fd is a place of its own: what may be done from there?
static void from_fd(int fd) {
    TRY("create", openat(fd, "created", O_WRONLY | O_CREAT, 0666));
    TRY("read", openat(fd, "file", O_RDONLY));
    TRY("write", openat(fd, "file", O_WRONLY));
    TRY("parent", openat(fd, "..", O_RDONLY | O_DIRECTORY));
    TRY("unlink", unlinkat(fd, "victim", 0));
}

static long put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    return fd < 0 ? fd : write(fd, text, strlen(text));
}

static void nested(void) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        char map[64];
        int uid = getuid(), gid = getgid();
        say("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
        say("setgroups", put("/proc/self/setgroups", "deny"));
        snprintf(map, sizeof map, "0 %d 1", uid);
        say("uid_map", put("/proc/self/uid_map", map));
        snprintf(map, sizeof map, "0 %d 1", gid);
        say("gid_map", put("/proc/self/gid_map", map));
        say("mount", mount("none", "/tmp", "tmpfs", 0, ""));
        say("write", creat("/tmp/inner", 0600));
        say("chroot", chroot("/tmp"));
        _exit(0);
    }
    waitpid(child, &status, 0);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "state";
    if (!strcmp(what, "privileges")) privileges();
    else if (!strcmp(what, "abi")) abi();
    else if (!strcmp(what, "families")) families();
    else if (!strcmp(what, "terminal")) terminal();
    else if (!strcmp(what, "state")) state();
    else if (!strcmp(what, "write")) write_to(argc - 2, argv + 2);
    else if (!strcmp(what, "read")) read_from(argc - 2, argv + 2);
    else if (!strcmp(what, "scan")) return scan(argv[2]);
    else if (!strcmp(what, "loopback")) loopback();
    else if (!strcmp(what, "abstract")) abstract(argv[2]);
    else if (!strcmp(what, "from_fd")) from_fd(atoi(argv[2]));
    else if (!strcmp(what, "nested")) nested();
    else if (!strcmp(what, "closed")) {
        struct stat root, above;
        stat("/", &root);
        const char *ways[] = {"/..", "/proc/..", "/tmp/../..", "/dev/../../.."};
        for (int i = 0; i < 4; i++) {
            if (stat(ways[i], &above) || above.st_dev != root.st_dev || above.st_ino != root.st_ino) { printf("%s leads out\n", ways[i]); return 1; }
        }
        puts("closed");
    }
    else if (!strcmp(what, "cat")) {
        int fd = open(argv[2], O_RDONLY);
        for (long got; (got = read(fd, buffer, sizeof buffer)) > 0;) write(1, buffer, got);
        return fd < 0;
    }
    else return 2;
    return 0;
}
