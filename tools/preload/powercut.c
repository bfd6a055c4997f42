/* powercut: an LD_PRELOAD library that notes what is durable, so that tools/crash --power can take away the rest.
 *
 * Journal (POWERCUT_JOURNAL), one line per event, after the call has succeeded:
 *   S inode size        fsync or fdatasync of a file that had `size` bytes when the call began
 *   T inode size        truncated
 *   D path              fsync of a directory
 *   C inode path        created
 *   R backup old new    renamed; `backup` is a link to what stood at `new`, or -
 *   U backup path       unlinked; `backup` is a link to it
 *   O inode offset count place     overwritten: what stood there is in the file `overwritten` of POWERCUT_BACKUP, from
 *                                  `place` on; noted before the call
 * Backups are links in POWERCUT_BACKUP. Paths hold no spaces (the tool's own directories). Of writes only pwritev is
 * looked at for overwriting. Not seen: mmap, io_uring. Build: gcc -O2 -shared -fPIC -o powercut.so powercut.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static atomic_int counter;

static void note(const char *format, ...) {
    char line[3 * PATH_MAX];
    int saved = errno;
    const char *path = getenv("POWERCUT_JOURNAL");
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (path && length > 0) {
        int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (file >= 0) {
            if (syscall(SYS_write, file, line, (size_t)length) < 0) abort();
            syscall(SYS_close, file);
        }
    }
    errno = saved;
}

static void absolute(int folder, const char *path, char *out) {
    char base[PATH_MAX] = "", link[64];
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) base[0] = 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length > 0 ? length : 0] = 0;
    }
    snprintf(out, PATH_MAX, "%.2000s/%.2000s", base, path);
}

/* Links what stands at `path` into the backup directory; out is "-" when nothing stands there. */
static void back_up(const char *path, char *out) {
    const char *folder = getenv("POWERCUT_BACKUP");
    int saved = errno;
    snprintf(out, PATH_MAX, "%s/%d-%d", folder ? folder : "/nonexistent", (int)getpid(), atomic_fetch_add(&counter, 1));
    if (!folder || link(path, out) != 0) strcpy(out, "-");
    errno = saved;
}

static int sync_and_note(int descriptor, int (*real)(int)) {
    struct stat before;
    int known = fstat(descriptor, &before) == 0;
    int result = real(descriptor);
    if (result != 0 || !known) return result;
    if (S_ISREG(before.st_mode)) {
        note("S %llu %lld\n", (unsigned long long)before.st_ino, (long long)before.st_size);
    } else if (S_ISDIR(before.st_mode)) {
        char link[64], path[PATH_MAX] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        if (readlink(link, path, sizeof path - 1) > 0) note("D %s\n", path);
    }
    return result;
}

int fsync(int descriptor) {
    REAL(int, "fsync", int);
    return sync_and_note(descriptor, real);
}

int fdatasync(int descriptor) {
    REAL(int, "fdatasync", int);
    return sync_and_note(descriptor, real);
}

/* Keeps what stands in a file from `offset` on, as far as the `count` bytes to be written cover it. */
static void keep_overwritten(int descriptor, off_t offset, size_t count) {
    struct stat status;
    char link[64], path[PATH_MAX];
    const char *folder = getenv("POWERCUT_BACKUP");
    int saved = errno;
    if (!folder || fstat(descriptor, &status) != 0 || offset >= status.st_size) return;
    if (offset + (off_t)count > status.st_size) count = (size_t)(status.st_size - offset);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    snprintf(path, sizeof path, "%s/overwritten", folder);
    int source = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    int target = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    char *bytes = malloc(count);
    if (source < 0 || target < 0 || !bytes) abort();
    if (syscall(SYS_pread64, source, bytes, count, offset) != (long)count) abort();
    off_t place = lseek(target, 0, SEEK_END);
    if (syscall(SYS_write, target, bytes, count) != (long)count) abort();
    free(bytes);
    syscall(SYS_close, source);
    syscall(SYS_close, target);
    note("O %llu %lld %zu %lld\n", (unsigned long long)status.st_ino, (long long)offset, count, (long long)place);
    errno = saved;
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    size_t total = 0;
    for (int index = 0; index < count; index++) total += parts[index].iov_len;
    keep_overwritten(descriptor, offset, total);
    return real(descriptor, parts, count, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(descriptor, parts, count, offset);
}

int ftruncate(int descriptor, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    struct stat status;
    int result = real(descriptor, size);
    if (result == 0 && fstat(descriptor, &status) == 0)
        note("T %llu %lld\n", (unsigned long long)status.st_ino, (long long)size);
    return result;
}

int ftruncate64(int descriptor, off_t size) {
    return ftruncate(descriptor, size);
}

static int rename_and_note(int from, const char *old, int to, const char *new) {
    char a[PATH_MAX], b[PATH_MAX], backup[PATH_MAX];
    absolute(from, old, a);
    absolute(to, new, b);
    back_up(b, backup);
    int result = (int)syscall(SYS_renameat2, from, old, to, new, 0);
    if (result == 0) note("R %s %s %s\n", backup, a, b);
    return result;
}

int rename(const char *old, const char *new) {
    return rename_and_note(AT_FDCWD, old, AT_FDCWD, new);
}

int renameat(int from, const char *old, int to, const char *new) {
    return rename_and_note(from, old, to, new);
}

static int unlink_and_note(int folder, const char *path, int flags) {
    char a[PATH_MAX], backup[PATH_MAX] = "-";
    absolute(folder, path, a);
    if (!(flags & AT_REMOVEDIR)) back_up(a, backup);
    int result = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (result == 0 && !(flags & AT_REMOVEDIR)) note("U %s %s\n", backup, a);
    return result;
}

int unlink(const char *path) {
    return unlink_and_note(AT_FDCWD, path, 0);
}

int unlinkat(int folder, const char *path, int flags) {
    return unlink_and_note(folder, path, flags);
}

static int open_and_note(int folder, const char *path, int flags, mode_t mode) {
    char a[PATH_MAX];
    struct stat status;
    int fresh = (flags & O_CREAT) && fstatat(folder, path, &status, 0) != 0;
    int descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        absolute(folder, path, a);
        if (fresh) note("C %llu %s\n", (unsigned long long)status.st_ino, a);
        else if (flags & O_TRUNC) note("T %llu 0\n", (unsigned long long)status.st_ino);
    }
    return descriptor;
}

#define OPEN_MODE(flags)                        \
    mode_t mode = 0;                            \
    if ((flags) & (O_CREAT | O_TMPFILE)) {      \
        va_list list;                           \
        va_start(list, flags);                  \
        mode = va_arg(list, mode_t);            \
        va_end(list);                           \
    }

int open(const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_and_note(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_and_note(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    OPEN_MODE(flags)
    return open_and_note(folder, path, flags, mode);
}

static FILE *fopen_and_note(const char *path, const char *mode, FILE *(*real)(const char *, const char *)) {
    struct stat status;
    char a[PATH_MAX];
    int fresh = mode[0] != 'r' && stat(path, &status) != 0;
    FILE *file = real(path, mode);
    if (file && mode[0] != 'r' && fstat(fileno(file), &status) == 0) {
        absolute(AT_FDCWD, path, a);
        if (fresh) note("C %llu %s\n", (unsigned long long)status.st_ino, a);
        else if (mode[0] == 'w') note("T %llu 0\n", (unsigned long long)status.st_ino);
    }
    return file;
}

FILE *fopen(const char *path, const char *mode) {
    REAL(FILE *, "fopen", const char *, const char *);
    return fopen_and_note(path, mode, real);
}

FILE *fopen64(const char *path, const char *mode) {
    REAL(FILE *, "fopen64", const char *, const char *);
    return fopen_and_note(path, mode, real);
}
