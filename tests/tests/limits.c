// The payload of the tests of limits: does one thing, named by its first argument, so that what it uses is known.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *word) { write(1, word, strlen(word)); }

static void touch(long mib) {
    char *at = mmap(0, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) { say("no memory\n"); _exit(3); }
    for (long i = 0; i < mib << 20; i += 4096) at[i] = 1;
}

static void spin(long milliseconds) {
    struct timespec t;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < milliseconds);
}

// User time only: no system call in the loop.
static void spin_user(long milliseconds) {
    struct timespec t;
    do {
        for (volatile int i = 0; i < 2000000; i++) {}
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    } while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < milliseconds);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(what, "exit")) return number;
    if (!strcmp(what, "touch")) { touch(number); return 0; }
    if (!strcmp(what, "hold")) { touch(number); pause(); return 0; }
    if (!strcmp(what, "spin")) { spin(number); return 0; }
    if (!strcmp(what, "sleep")) { usleep(number * 1000); return 0; }
    if (!strcmp(what, "stop")) { raise(SIGSTOP); return 0; }
    if (!strcmp(what, "suicide")) { raise(SIGKILL); return 0; }
    if (!strcmp(what, "spin2")) {
        if (!fork()) for (;;) {}
        for (;;) {}
    }
    if (!strcmp(what, "bomb")) for (;;) fork();
    if (!strcmp(what, "forks")) {
        long made = 0;
        pid_t first = getpid();
        while (made < number && fork() > 0) made++;
        // Only the first process says how many; the others wait for the end.
        if (getpid() != first) { pause(); return 0; }
        printf("%ld\n", made);
        fflush(stdout);
        return 0;
    }
    if (!strcmp(what, "child-touches")) {
        pid_t child = fork();
        if (!child) { touch(number); _exit(0); }
        int status;
        waitpid(child, &status, 0);
        printf("%d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        return 0;
    }
    if (!strcmp(what, "double")) {
        if (!fork()) { if (!fork()) { spin(100000); } _exit(0); }
        wait(0);
        spin(50);
        return 0;
    }
    if (!strcmp(what, "hog")) {
        // Twice the limit through the page cache: reclaimed, not killed.
        int fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
        static char block[1 << 20];
        for (long i = 0; i < number; i++) {
            if (write(fd, block, sizeof block) != sizeof block) return 4;
            if (i % 4 == 3 && fdatasync(fd)) return 5;
        }
        return fsync(fd) ? 5 : 0;
    }
    if (!strcmp(what, "direct")) {
        int fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
        if (fd < 0) return errno == EINVAL ? 77 : 4;
        void *block;
        posix_memalign(&block, 4096, 4096);
        memset(block, 7, 4096);
        for (long i = 0; i < number; i++) if (write(fd, block, 4096) != 4096) return 5;
        say("done\n");
        pause();
    }
    if (!strcmp(what, "huge")) {
        char *at = mmap(0, number << 21, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (at == MAP_FAILED) return 77;
        for (long i = 0; i < number; i++) at[i << 21] = 1;
        return 0;
    }
    if (!strcmp(what, "open")) return open(argv[2], O_RDWR) < 0 ? errno : 0;
    // A character device MAJOR MINOR.
    if (!strcmp(what, "make")) return mknod("/tmp/device", S_IFCHR | 0600, makedev(number, atol(argv[3]))) ? errno : 0;
    if (!strcmp(what, "work")) {
        spin_user(number);
        touch(32);
        say("done\n");
        pause();
    }
    if (!strcmp(what, "count")) {
        for (long i = 0;; i++) { usleep(1000); if (i % 10 == 0) say("."); }
    }
    return 2;
}
