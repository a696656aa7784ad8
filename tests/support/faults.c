/* Faults in the calls by which programs change files: LD_PRELOAD puts these functions before the C library's.
 *
 * What is to happen stands in a file that all processes of a run map, named by $VSR_FAULTS; calls are counted over all
 * of them. Only what lies below one folder counts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, FSYNC, RENAME, UNLINK, OPEN, NUM_CALLS };
enum { KILL = -1, SHORT = -2 }; /* beside errors, which are above 0 */

struct plan {
    int call, nth, what, fired;
    int counts[NUM_CALLS];
    char folder[1024];
};

static struct plan *plan;

__attribute__((constructor, visibility("default"))) void take_plan(void) {
    const char *path = getenv("VSR_FAULTS");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    plan = NULL;
    if (path == NULL) return;
    int file = real_open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) plan = mapped;
}

/* What is to happen to this call: 0 for nothing. */
static int fate(int call, const char *path) {
    size_t length = strlen(plan->folder);
    if (strncmp(path, plan->folder, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
    int number = __sync_add_and_fetch(&plan->counts[call], 1);
    if (call != plan->call || number != plan->nth) return 0;
    plan->fired = 1;
    if (plan->what == KILL) kill(getpid(), SIGKILL), pause();
    return plan->what;
}

static int fate_of_file(int call, int file) {
    char link[64], path[PATH_MAX];
    if (plan == NULL) return 0;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0) return 0;
    path[length] = 0;
    return fate(call, path);
}

static int fate_of_path(int call, int folder, const char *name) {
    char path[2 * PATH_MAX], link[64];
    ssize_t length = 0;
    if (plan == NULL) return 0;
    int kept = errno;
    if (name[0] != '/') {
        if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, path, PATH_MAX - 1);
        if (length < 0) length = 0;
        path[length++] = '/';
    }
    errno = kept;
    strncpy(path + length, name, PATH_MAX - 1);
    path[length + PATH_MAX - 1] = 0;
    return fate(call, path);
}

#define REAL(name) \
    static typeof(name) *real; \
    if (real == NULL) real = dlsym(RTLD_NEXT, #name)
#define FAIL_OR(what, call) \
    int happens = what; \
    if (happens != 0 && happens != SHORT) { errno = happens; return -1; } \
    return call
#define EXPORT __attribute__((visibility("default")))

EXPORT ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    FAIL_OR(fate_of_file(WRITE, file), real(file, data, happens == SHORT && size > 1 ? size / 2 : size));
}
EXPORT ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    FAIL_OR(fate_of_file(WRITE, file), real(file, data, happens == SHORT && size > 1 ? size / 2 : size, at));
}
EXPORT ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    FAIL_OR(fate_of_file(WRITE, file), real(file, data, happens == SHORT && size > 1 ? size / 2 : size, at));
}
EXPORT ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    FAIL_OR(fate_of_file(WRITE, file), real(file, parts, count));
}
EXPORT int fsync(int file) { REAL(fsync); FAIL_OR(fate_of_file(FSYNC, file), real(file)); }
EXPORT int fdatasync(int file) { REAL(fdatasync); FAIL_OR(fate_of_file(FSYNC, file), real(file)); }
EXPORT int rename(const char *old, const char *new) {
    REAL(rename);
    FAIL_OR(fate_of_path(RENAME, AT_FDCWD, new), real(old, new));
}
EXPORT int renameat(int from, const char *old, int to, const char *new) {
    REAL(renameat);
    FAIL_OR(fate_of_path(RENAME, to, new), real(from, old, to, new));
}
EXPORT int link(const char *old, const char *new) {
    REAL(link);
    FAIL_OR(fate_of_path(RENAME, AT_FDCWD, new), real(old, new));
}
EXPORT int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(linkat);
    FAIL_OR(fate_of_path(RENAME, to, new), real(from, old, to, new, flags));
}
EXPORT int unlink(const char *name) { REAL(unlink); FAIL_OR(fate_of_path(UNLINK, AT_FDCWD, name), real(name)); }
EXPORT int unlinkat(int folder, const char *name, int flags) {
    REAL(unlinkat);
    FAIL_OR(fate_of_path(UNLINK, folder, name), real(folder, name, flags));
}
EXPORT int rmdir(const char *name) { REAL(rmdir); FAIL_OR(fate_of_path(UNLINK, AT_FDCWD, name), real(name)); }
EXPORT int mkdir(const char *name, mode_t mode) {
    REAL(mkdir);
    FAIL_OR(fate_of_path(OPEN, AT_FDCWD, name), real(name, mode));
}
EXPORT int mkdirat(int folder, const char *name, mode_t mode) {
    REAL(mkdirat);
    FAIL_OR(fate_of_path(OPEN, folder, name), real(folder, name, mode));
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
#define OPENING(name) \
    EXPORT int name(const char *path, int flags, ...) { \
        MODE(flags) \
        REAL(name); \
        FAIL_OR(fate_of_path(OPEN, AT_FDCWD, path), real(path, flags, mode)); \
    }
#define OPENING_AT(name) \
    EXPORT int name(int folder, const char *path, int flags, ...) { \
        MODE(flags) \
        REAL(name); \
        FAIL_OR(fate_of_path(OPEN, folder, path), real(folder, path, flags, mode)); \
    }
OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
EXPORT int __open_2(const char *path, int flags) { return open(path, flags, 0); }
EXPORT int __open64_2(const char *path, int flags) { return open64(path, flags, 0); }
EXPORT int __openat_2(int folder, const char *path, int flags) { return openat(folder, path, flags, 0); }
EXPORT int __openat64_2(int folder, const char *path, int flags) { return openat64(folder, path, flags, 0); }
