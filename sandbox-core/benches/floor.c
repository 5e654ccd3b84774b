/*
 * Owns: what the isolation of Pinfold's default sandbox costs when nothing but its system calls is done: no library,
 * no init, no supervision, no report. It is a yardstick, not a sandbox: it forgives nothing and cleans up nothing.
 * Must not: do less for the payload than the default sandbox does, or anything that the default sandbox need not.
 * Start at: sandbox().
 *
 *   floor vfork DIR         clone(CLONE_VM|CLONE_VFORK) and exec, no isolation
 *   floor sandbox DIR N     the default sandbox and N read-only binds more
 *
 * DIR holds program/true and binds/0, binds/1 and so on. Both speak the protocol of serve.rs: after "ready NOTE" each line
 * "COUNT PAUSE" (microseconds before each start) is answered by COUNT durations in nanoseconds, or by "! REASON".
 *
 * The child shares our memory until it execs: in child() and below nothing may allocate, print or lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#else
#error "the floor knows x86-64 and aarch64"
#endif

/* <linux/mount.h> and <sys/mount.h> can't be included together with every C library, so these are repeated here. */
enum { RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8 };                    /* MS_* and MOUNT_ATTR_* agree on these */
enum { REMOUNT = 32, BIND = 4096 };                                        /* MS_* */
enum { CLONE_TREE = 1, TREE_CLOEXEC = O_CLOEXEC, RECURSIVE = 0x8000 };      /* OPEN_TREE_*, AT_RECURSIVE */
enum { FROM_EMPTY_PATH = 4 };                                              /* MOVE_MOUNT_F_EMPTY_PATH */
enum { SET_STRING = 1, CREATE = 6 };                                       /* FSCONFIG_* */
struct attributes { uint64_t set, clear, propagation, userns; };           /* struct mount_attr */

enum { UID = 1000, GID = 1000 };

/* ---- failure: the line and the errno, readable by the parent because the memory is shared --------------------------- */

static volatile int failed_line, failed_errno;
#define TRY(call)                                                                                                        \
	do {                                                                                                             \
		if ((long)(call) < 0) {                                                                                  \
			failed_line = __LINE__;                                                                          \
			failed_errno = errno;                                                                            \
			return -1;                                                                                       \
		}                                                                                                        \
	} while (0)

static void fail(const char *what)
{
	if (failed_line)
		printf("! %s: floor.c:%d: %s\n", what, failed_line, strerror(failed_errno));
	else
		printf("! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

/* ---- the calls that C libraries wrap differently or not at all ------------------------------------------------------ */

static int mount_(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	return syscall(SYS_mount, source, target, type, flags, data);
}

static int clone_tree(int at, const char *path, unsigned flags)
{
	return syscall(SYS_open_tree, at, path, CLONE_TREE | TREE_CLOEXEC | flags);
}

static int attach(int mount, int at, const char *path)
{
	return syscall(SYS_move_mount, mount, "", at, path, FROM_EMPTY_PATH);
}

static int set_attributes(int mount, unsigned flags, uint64_t set)
{
	struct attributes attributes = { .set = set };
	return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

static int write_file(int at, const char *path, int flags, const char *text)
{
	int fd = openat(at, path, O_WRONLY | O_CLOEXEC | flags, 0644);
	TRY(fd);
	TRY(write(fd, text, strlen(text)));
	close(fd);
	return 0;
}

/* ---- the root: the same list of steps, carried out once for the premade tree or at every start ---------------------- */

struct entry {
	enum { DIRECTORY, LINK, TEXT, BIND_DIRECTORY, BIND_FILE } kind;
	char path[64];
	char text[256]; /* of a link, of a file, or the source of a bind */
	uint64_t attributes;
};
static struct entry entries[256];
static int entry_count;

static void entry(int kind, const char *path, const char *text, uint64_t attributes)
{
	struct entry *new = &entries[entry_count++];
	new->kind = kind;
	new->attributes = attributes;
	snprintf(new->path, sizeof new->path, "%s", path);
	snprintf(new->text, sizeof new->text, "%s", text);
}

/* As the host has it: a link stays a link (all that are met lead to /usr), the rest is bound read-only. */
static void like_host(const char *path)
{
	char host[80], text[256];
	struct stat info;
	snprintf(host, sizeof host, "/%s", path);
	if (lstat(host, &info))
		return;
	ssize_t length = S_ISLNK(info.st_mode) ? readlink(host, text, sizeof text - 1) : -1;
	if (length >= 0) {
		text[length] = 0;
		entry(LINK, path, text, 0);
	} else
		entry(S_ISDIR(info.st_mode) ? BIND_DIRECTORY : BIND_FILE, path, host, RDONLY | NOSUID | NODEV);
}

static void list_root(const char *dir, int binds)
{
	static const char *const directories[] = { "etc", "etc/ssl", "proc", "tmp", "run", "dev", "dev/shm", "dev/pts",
		"dev/mqueue", "var", "home", "root", "opt", "srv", "bench", "binds" };
	static const char *const host[] = { "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc/alternatives",
		"etc/ca-certificates", "etc/ca-certificates.conf", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d",
		"etc/localtime", "etc/mime.types", "etc/nsswitch.conf", "etc/protocols", "etc/services", "etc/ssl/certs",
		"etc/terminfo" };
	static const char *const texts[][2] = { { "etc/passwd", "sandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n" },
		{ "etc/group", "sandbox:x:1000:\n" }, { "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" },
		{ "etc/hostname", "sandbox\n" }, { "etc/resolv.conf", "" } };
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const char *const links[][2] = { { "dev/fd", "/proc/self/fd" }, { "dev/stdin", "/proc/self/fd/0" },
		{ "dev/stdout", "/proc/self/fd/1" }, { "dev/stderr", "/proc/self/fd/2" }, { "dev/ptmx", "pts/ptmx" } };
	char path[64], source[256];
#define EACH(list) for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)
	EACH(directories) entry(DIRECTORY, directories[i], "", 0);
	EACH(host) like_host(host[i]);
	EACH(texts) entry(TEXT, texts[i][0], texts[i][1], 0);
	EACH(links) entry(LINK, links[i][0], links[i][1], 0);
	EACH(devices) {
		snprintf(path, sizeof path, "dev/%s", devices[i]);
		snprintf(source, sizeof source, "/dev/%s", devices[i]);
		entry(BIND_FILE, path, source, NOSUID | NOEXEC);
	}
	snprintf(source, sizeof source, "%s/program", dir);
	entry(BIND_DIRECTORY, "bench", source, RDONLY | NOSUID | NODEV);
	for (int i = 0; i < binds; i++) {
		snprintf(path, sizeof path, "binds/%d", i);
		snprintf(source, sizeof source, "%s/binds/%d", dir, i);
		entry(BIND_DIRECTORY, path, source, RDONLY | NOSUID | NODEV);
	}
}

static int new_tmpfs(void)
{
	int context, mount;
	TRY(context = syscall(SYS_fsopen, "tmpfs", 1));
	TRY(syscall(SYS_fsconfig, context, SET_STRING, "mode", "0755", 0));
	TRY(syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0));
	TRY(mount = syscall(SYS_fsmount, context, 1, NOSUID | NODEV));
	close(context);
	return mount;
}

static int fill_root(int root)
{
	for (int i = 0; i < entry_count; i++) {
		const struct entry *e = &entries[i];
		int mount, file;
		switch (e->kind) {
		case DIRECTORY:
			TRY(mkdirat(root, e->path, 0755));
			continue;
		case LINK:
			TRY(symlinkat(e->text, root, e->path));
			continue;
		case TEXT:
			TRY(write_file(root, e->path, O_CREAT, e->text));
			continue;
		case BIND_DIRECTORY:
			if (mkdirat(root, e->path, 0755) && errno != EEXIST)
				TRY(-1);
			break;
		case BIND_FILE:
			TRY(file = openat(root, e->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
			close(file);
			break;
		}
		unsigned depth = e->kind == BIND_DIRECTORY ? RECURSIVE : 0;
		TRY(mount = clone_tree(AT_FDCWD, e->text, depth));
		TRY(set_attributes(mount, depth, e->attributes));
		TRY(attach(mount, root, e->path));
		close(mount);
	}
	TRY(set_attributes(root, 0, RDONLY));
	return 0;
}

/* Linux before 6.15 can't mount below a detached mount or clone one, and only a privileged host may prepare: -1. */
static int premade_root(void)
{
	int root = new_tmpfs();
	if (root < 0 || fill_root(root))
		return -1;
	int probe = clone_tree(root, "", AT_EMPTY_PATH | RECURSIVE);
	if (probe < 0)
		return -1;
	close(probe);
	return root;
}

/* ---- proc: what container runtimes hide, as far as this kernel has it ----------------------------------------------- */

static char masked_files[16][32], masked_directories[16][32], read_only[16][32];
static int masked_file_count, masked_directory_count, read_only_count;

static void list_proc(void)
{
	static const char *const masked[] = { "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug",
		"scsi", "timer_list", "timer_stats" };
	static const char *const readable[] = { "bus", "fs", "irq", "sys", "sysrq-trigger" };
	char path[32];
	struct stat info;
	EACH(masked) {
		snprintf(path, sizeof path, "/proc/%s", masked[i]);
		if (!stat(path, &info))
			strcpy(S_ISDIR(info.st_mode) ? masked_directories[masked_directory_count++] : masked_files[masked_file_count++],
				path + 1);
	}
	EACH(readable) {
		snprintf(path, sizeof path, "/proc/%s", readable[i]);
		if (!stat(path, &info))
			strcpy(read_only[read_only_count++], path + 1);
	}
}

static int fresh_proc(void)
{
	TRY(mount_("proc", "proc", "proc", NOSUID | NODEV | NOEXEC, NULL));
	/* the second wall against user namespaces, behind the filter */
	TRY(write_file(AT_FDCWD, "proc/sys/user/max_user_namespaces", 0, "0"));
	for (int i = 0; i < masked_file_count; i++)
		TRY(mount_("dev/null", masked_files[i], NULL, BIND, NULL));
	/* an empty directory of the read-only root, instead of a tmpfs for each */
	for (int i = 0; i < masked_directory_count; i++)
		TRY(mount_("srv", masked_directories[i], NULL, BIND, NULL));
	for (int i = 0; i < read_only_count; i++) {
		TRY(mount_(read_only[i], read_only[i], NULL, BIND, NULL));
		TRY(mount_(NULL, read_only[i], NULL, REMOUNT | BIND | RDONLY | NOSUID | NODEV | NOEXEC, NULL));
	}
	return 0;
}

/* ---- seccomp: a tree over the call number, as Pinfold's default filter is one --------------------------------- */

enum leaf { ALLOW, REFUSE, MISSING, NO_FAMILY, CLONE, SOCKET, IOCTL, PERSONALITY };

static struct sock_filter filter_code[1024];
static struct sock_fprog filter = { .filter = filter_code };

static int put(uint16_t code, uint8_t yes, uint8_t no, uint32_t value)
{
	filter_code[filter.len] = (struct sock_filter){ code, yes, no, value };
	return filter.len++;
}
static void load(uint32_t offset) { put(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }

/* A jump of instruction `at` to `leaf`, whose code follows later. Every leaf is there once, however many jump to it. */
struct jump { int at, when_true; enum leaf leaf; };
static struct jump jumps[512];
static int jump_count;
static void jump_later(int at, int when_true, enum leaf leaf)
{
	jumps[jump_count++] = (struct jump){ at, when_true, leaf };
}

static void place(enum leaf leaf)
{
	for (int i = 0; i < jump_count; i++)
		if (jumps[i].leaf == leaf) {
			int distance = filter.len - jumps[i].at - 1;
			if (distance > 255)
				fail("the filter has become too long for a short jump");
			*(jumps[i].when_true ? &filter_code[jumps[i].at].jt : &filter_code[jumps[i].at].jf) = distance;
		}
}

/* One of `values` in argument `number`: `then`, else `otherwise`. */
static void compare(enum leaf leaf, int number, const uint32_t *values, int count, enum leaf then, enum leaf otherwise)
{
	int last = 0;
	place(leaf);
	load(offsetof(struct seccomp_data, args) + 8 * number);
	for (int i = 0; i < count; i++)
		jump_later(last = put(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, values[i]), 1, then);
	jump_later(last, 0, otherwise);
}

static void put_leaves(void)
{
	static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const uint32_t requests[] = { TIOCSTI, TIOCLINUX };
	static const uint32_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };
	static const struct { enum leaf leaf; uint32_t value; } answers[] = { { ALLOW, SECCOMP_RET_ALLOW },
		{ REFUSE, SECCOMP_RET_ERRNO | EPERM }, { MISSING, SECCOMP_RET_ERRNO | ENOSYS },
		{ NO_FAMILY, SECCOMP_RET_ERRNO | EAFNOSUPPORT } };
	place(CLONE);
	load(offsetof(struct seccomp_data, args));
	int flags = put(BPF_JMP | BPF_JSET | BPF_K, 0, 0, 0x7E020000); /* every CLONE_NEW* */
	jump_later(flags, 1, REFUSE);
	jump_later(flags, 0, ALLOW);
	compare(SOCKET, 0, families, 4, ALLOW, NO_FAMILY);
	compare(IOCTL, 1, requests, 2, REFUSE, ALLOW);
	compare(PERSONALITY, 0, personalities, 5, ALLOW, REFUSE);
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		place(answers[i].leaf);
		put(BPF_RET | BPF_K, 0, 0, answers[i].value);
	}
}

struct segment { uint32_t first; enum leaf leaf; };

/* Needs at least two segments. The lower half follows at once, so that it needs no jump. */
static void put_tree(const struct segment *segments, int count)
{
	int half = count / 2;
	int branch = put(BPF_JMP | BPF_JGE | BPF_K, 0, 0, segments[half].first);
	if (half == 1)
		jump_later(branch, 0, segments->leaf);
	else
		put_tree(segments, half);
	if (count - half == 1)
		jump_later(branch, 1, segments[half].leaf);
	else {
		filter_code[branch].jt = filter.len - branch - 1;
		put_tree(segments + half, count - half);
	}
}

static void build_filter(void)
{
	static const int refused[] = { SYS_add_key, SYS_request_key, SYS_keyctl, SYS_userfaultfd, SYS_bpf, SYS_perf_event_open,
		SYS_kexec_load, SYS_swapon, SYS_swapoff, SYS_migrate_pages, SYS_move_pages, SYS_fanotify_init,
		SYS_lookup_dcookie, SYS_quotactl, SYS_syslog, SYS_open_by_handle_at, SYS_reboot, SYS_chroot, SYS_delete_module,
		SYS_finit_module, SYS_init_module, SYS_get_mempolicy, SYS_mbind, SYS_set_mempolicy, SYS_acct, SYS_kcmp,
		SYS_clock_settime, SYS_settimeofday, SYS_vhangup, SYS_mount, SYS_setdomainname, SYS_sethostname, SYS_setns,
		SYS_umount2, SYS_pivot_root, SYS_unshare, SYS_nfsservctl,
#ifdef __x86_64__
		SYS_kexec_file_load, SYS__sysctl, SYS_afs_syscall, SYS_create_module, SYS_get_kernel_syms, SYS_getpmsg,
		SYS_putpmsg, SYS_query_module, SYS_security, SYS_sysfs, SYS_tuxcall, SYS_uselib, SYS_ustat, SYS_vserver,
		SYS_ioperm, SYS_iopl,
#endif
		/* io_uring, the mount API, pidfd_getfd, process_madvise, mount_setattr, quotactl_fd, set_mempolicy_home_node,
		 * the three lsm calls, open_tree_attr: the same numbers everywhere */
		425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 450, 459, 460, 461, 467 };
	enum { LAST = 469, END = LAST + 1 };
	static enum leaf leaves[END];
	static struct segment segments[END + 2];
	int count = 0;
	EACH(refused) leaves[refused[i]] = REFUSE;
	leaves[SYS_clone] = CLONE;
	leaves[SYS_socket] = leaves[SYS_socketpair] = SOCKET;
	leaves[SYS_ioctl] = IOCTL;
	leaves[SYS_personality] = PERSONALITY;
	leaves[435] = leaves[468] = leaves[469] = MISSING; /* clone3, file_getattr, file_setattr */
	for (int nr = 337; nr < 424; nr++)
		leaves[nr] = MISSING;
	for (int nr = 0; nr < END; nr++)
		if (!count || segments[count - 1].leaf != leaves[nr])
			segments[count++] = (struct segment){ nr, leaves[nr] };
	if (segments[count - 1].leaf != MISSING)
		segments[count++] = (struct segment){ END, MISSING }; /* and with it x32 */
	load(offsetof(struct seccomp_data, arch));
	put(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_HERE);
	put(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	load(offsetof(struct seccomp_data, nr));
	put_tree(segments, count);
	put_leaves();
}

/* ---- Landlock --------------------------------------------------------------------------------------------------------- */

static int landlock_abi;
enum { L_EXECUTE = 1, L_WRITE_FILE = 2, L_READ_FILE = 4, L_READ_DIR = 8, L_TRUNCATE = 1 << 14, L_IOCTL_DEV = 1 << 15 };

static int landlock(void)
{
	struct { uint64_t fs, net, scoped; } handled = { 0 };
	struct { uint64_t allowed; int32_t parent; } __attribute__((packed)) rule;
	uint64_t all = landlock_abi >= 5 ? 0xffff : landlock_abi >= 3 ? 0x7fff : landlock_abi >= 2 ? 0x3fff : 0x1fff;
	static const struct { const char *path; uint64_t access; } rules[] = {
		{ "/", L_EXECUTE | L_READ_FILE | L_READ_DIR },
		{ "/tmp", ~0 }, { "/run", ~0 }, { "/dev/shm", ~0 }, { "/dev/mqueue", ~0 },
		{ "/dev", L_READ_FILE | L_READ_DIR | L_WRITE_FILE | L_TRUNCATE | L_IOCTL_DEV },
		{ "/proc", L_READ_FILE | L_READ_DIR | L_WRITE_FILE | L_TRUNCATE },
	};
	int ruleset;
	handled.fs = all;
	handled.scoped = landlock_abi >= 6 ? 3 : 0;
	size_t size = landlock_abi >= 6 ? 24 : landlock_abi >= 4 ? 16 : 8;
	TRY(ruleset = syscall(SYS_landlock_create_ruleset, &handled, size, 0));
	EACH(rules) {
		rule.allowed = rules[i].access & all;
		TRY(rule.parent = open(rules[i].path, O_PATH | O_CLOEXEC));
		TRY(syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0));
		close(rule.parent);
	}
	TRY(syscall(SYS_landlock_restrict_self, ruleset, 0));
	return 0;
}

/* ---- one start -------------------------------------------------------------------------------------------------------- */

static int privileged;          /* the parent writes a range of ids; otherwise the child maps the one it has */
static int premade = -1;        /* the tree made once, or -1: the child makes one */
static int tree = -1;           /* this start's clone of it */
static int gate[2];             /* the child waits here for its id maps */
static char uid_line[32], gid_line[32];
static char program[256];
static char *const arguments[] = { "true", NULL };
static char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp",
	"USER=sandbox", "LANG=C.UTF-8", NULL };

static int identity(void)
{
	char go;
	if (!privileged) {
		TRY(write_file(AT_FDCWD, "/proc/self/setgroups", 0, "deny"));
		TRY(write_file(AT_FDCWD, "/proc/self/uid_map", 0, uid_line));
		TRY(write_file(AT_FDCWD, "/proc/self/gid_map", 0, gid_line));
		return 0;
	}
	if (read(gate[0], &go, 1) != 1)
		TRY(-1);
	/* raw calls: the wrappers of the C library speak to its other threads. Capabilities stay, because the host's 0 is not
	 * the root of this namespace */
	TRY(syscall(SYS_setgroups, 0, NULL));
	TRY(syscall(SYS_setresgid, GID, GID, GID));
	TRY(syscall(SYS_setresuid, UID, UID, UID));
	return 0;
}

static int names(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;
	TRY(fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	TRY(ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
	TRY(sethostname("sandbox", 7));
	return 0;
}

static int root(void)
{
	if (premade < 0) {
		TRY(tree = new_tmpfs());
		TRY(attach(tree, AT_FDCWD, "/"));
		TRY(fill_root(tree));
	} else
		TRY(attach(tree, AT_FDCWD, "/"));
	TRY(fchdir(tree));
	TRY(mount_("tmpfs", "tmp", "tmpfs", NOSUID | NODEV, "mode=1777,size=256m,nr_inodes=65536"));
	TRY(mount_("tmpfs", "run", "tmpfs", NOSUID | NODEV, "mode=0755,size=16m,nr_inodes=4096"));
	TRY(mount_("tmpfs", "dev/shm", "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777,size=64m,nr_inodes=16384"));
	TRY(mount_("devpts", "dev/pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
	TRY(mount_("mqueue", "dev/mqueue", "mqueue", NOSUID | NODEV | NOEXEC, NULL));
	TRY(fresh_proc());
	TRY(syscall(SYS_pivot_root, ".", "."));
	TRY(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */));
	TRY(chdir("/"));
	return 0;
}

static int privileges(void)
{
	struct rlimit none = { 0, 0 };
	struct __user_cap_header_struct version = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct nothing[2];
	memset(nothing, 0, sizeof nothing);
	TRY(syscall(SYS_setsid));
	TRY(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL));
	TRY(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
	for (int capability = 0; capability <= 40; capability++)
		TRY(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
	TRY(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED));
	TRY(syscall(SYS_capset, &version, nothing));
	TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	umask(022);
	if (landlock_abi > 0)
		TRY(landlock());
	TRY(syscall(SYS_close_range, 3, ~0u, 0));
	TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
	return 0;
}

static int child(void *isolated)
{
	if (isolated && (identity() || names() || root() || privileges()))
		return 90;
	execve(isolated ? "/bench/true" : program, arguments, environment);
	failed_line = __LINE__;
	failed_errno = errno;
	return 91;
}

static char stack[1 << 16] __attribute__((aligned(64)));

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void start(int flags, void *isolated)
{
	int status;
	/* the range can only be written by the parent, which therefore must not be suspended */
	int pid = clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD | flags, isolated);
	if (pid < 0)
		fail("clone");
	if (isolated && privileged) {
		char path[40];
		snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
		int bad = write_file(AT_FDCWD, path, 0, uid_line);
		snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
		bad = bad || write_file(AT_FDCWD, path, 0, gid_line) || write(gate[1], "", 1) != 1;
		if (bad) {
			kill(pid, SIGKILL);
			fail("id maps");
		}
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("wait");
	if (status)
		fail(WIFSIGNALED(status) ? "killed by a signal" : "start");
}

static uint64_t vfork_once(void)
{
	uint64_t began = now();
	start(CLONE_VFORK, NULL);
	return now() - began;
}

static uint64_t sandbox(void)
{
	uint64_t began = now();
	if (premade >= 0 && (tree = clone_tree(premade, "", AT_EMPTY_PATH | RECURSIVE)) < 0)
		fail("open_tree of the premade tree");
	start(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
		(privileged ? 0 : CLONE_VFORK), "");
	if (premade >= 0)
		close(tree);
	return now() - began;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int isolated = !strcmp(argv[1], "sandbox");
	long count, pause;
	snprintf(program, sizeof program, "%s/program/true", argv[2]);
	privileged = geteuid() == 0;
	if (privileged) { /* 0x6FFF0000, as Pinfold does without a range in /etc/subuid */
		strcpy(uid_line, "0 1878982656 65536");
		strcpy(gid_line, uid_line);
	} else {
		snprintf(uid_line, sizeof uid_line, "%d %d 1", UID, geteuid());
		snprintf(gid_line, sizeof gid_line, "%d %d 1", GID, getegid());
	}
	if (pipe2(gate, O_CLOEXEC))
		fail("pipe");
	if (isolated) {
		list_root(argv[2], argc > 3 ? atoi(argv[3]) : 0);
		list_proc();
		build_filter();
		landlock_abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
		premade = privileged ? premade_root() : -1;
		failed_line = 0;
		printf("ready %s, %d filter instructions, %s\n", premade < 0 ? "binds at every start" : "premade tree", filter.len,
			landlock_abi > 0 ? "Landlock" : "no Landlock here");
	} else
		printf("ready\n");
	fflush(stdout);
	while (scanf("%ld %ld", &count, &pause) == 2) {
		for (long i = 0; i < count; i++) {
			if (pause)
				usleep(pause);
			printf("%llu ", (unsigned long long)(isolated ? sandbox() : vfork_once()));
		}
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
