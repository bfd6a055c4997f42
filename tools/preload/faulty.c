/* faulty: an LD_PRELOAD library that makes writes and fsyncs fail, as a full or dying disk does.
 *
 * The file FAULTY_CONTROL holds one line, read anew at every write and sync (so faults come and go while the program
 * runs), or nothing for no fault:
 *     generation call error after count lose part
 *     generation  a number; when it changes, the counting starts again
 *     call        write: after `after` bytes (the last write of them may be short) `count` writes fail
 *                 sync: after `after` calls of fsync or fdatasync on files, `count` of them fail
 *                 dirsync: likewise, on directories
 *                 slow: nothing fails; every sync of a file takes `after` microseconds longer
 *                 space: nothing fails; statvfs says that `after` bytes are free
 *     error       EIO or ENOSPC
 *     count       -1: from then on all
 *     lose        1: a failed sync of a file loses what was written since its last good one (zeros stand there), as a
 *                 kernel does that drops dirty pages; a later sync succeeds nevertheless
 *                 2: the same, and that sync says that it succeeded: a disk that lies
 *     part        only descriptors whose path has this in it
 * Not seen: mmap, io_uring, AIO. Build: gcc -O2 -shared -fPIC -o faulty.so faulty.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

enum { FILES = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long generation = -1;
static long long used, failed;                              /* since the generation began */
/* By inode modulo FILES, the last one wins: up to where a file was synced, and is as it was then. */
static struct { ino_t inode; off_t size; } synced[FILES];

struct fault {
    long generation;
    char call[16], error[16], part[128];
    long long after, count;
    int lose;
};

static int read_fault(struct fault *fault) {
    char line[256];
    const char *path = getenv("FAULTY_CONTROL");
    if (!path) return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    long length = syscall(SYS_read, file, line, sizeof line - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    line[length] = 0;
    return sscanf(line, "%ld %15s %15s %lld %lld %d %127s", &fault->generation, fault->call, fault->error,
                  &fault->after, &fault->count, &fault->lose, fault->part) == 7;
}

static int concerns(const struct fault *fault, const char *call, int descriptor) {
    char link[64], path[PATH_MAX];
    if (strcmp(fault->call, call) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, fault->part) != NULL;
}

/* How much of `wanted` may go through: less than that means failure (errno is set) when it is 0. */
static long long allow(const char *call, int descriptor, long long wanted, int *lose) {
    struct fault fault;
    int saved = errno;
    long long result = wanted;
    if (!read_fault(&fault) || !concerns(&fault, call, descriptor)) {
        errno = saved;
        return wanted;
    }
    pthread_mutex_lock(&lock);
    if (fault.generation != generation) {
        generation = fault.generation;
        used = failed = 0;
    }
    if (fault.count >= 0 && failed >= fault.count) {
        result = wanted;
    } else if (used + wanted <= fault.after) {
        used += wanted;
    } else if (used < fault.after) {
        result = fault.after - used;
        used = fault.after;
    } else {
        failed++;
        result = 0;
        *lose = fault.lose;
        saved = strcmp(fault.error, "ENOSPC") == 0 ? ENOSPC : EIO;
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

/* What was written since the last good sync turns into zeros. */
static void lose_pages(int descriptor, const struct stat *status) {
    char link[64], zeros[4096] = {0};
    int saved = errno;
    unsigned slot = (unsigned)(status->st_ino % FILES);
    pthread_mutex_lock(&lock);
    off_t from = synced[slot].inode == status->st_ino ? synced[slot].size : 0;
    pthread_mutex_unlock(&lock);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int file = (int)syscall(SYS_openat, AT_FDCWD, link, O_WRONLY | O_CLOEXEC, 0);    /* without O_APPEND */
    while (file >= 0 && from < status->st_size) {
        off_t left = status->st_size - from;
        long done = syscall(SYS_pwrite64, file, zeros, (size_t)(left < 4096 ? left : 4096), from);
        if (done <= 0) abort();
        from += done;
    }
    if (file >= 0) syscall(SYS_close, file);
    errno = saved;
}

static void rest_if_slow(int descriptor) {
    struct fault fault;
    int saved = errno;
    if (read_fault(&fault) && concerns(&fault, "slow", descriptor)) {
        struct timespec left = {fault.after / 1000000, fault.after % 1000000 * 1000};
        while (nanosleep(&left, &left) == -1 && errno == EINTR) {
        }
    }
    errno = saved;
}

static int sync_or_fail(int descriptor, int (*real)(int)) {
    struct stat status;
    int lose = 0;
    if (fstat(descriptor, &status) != 0) return real(descriptor);
    int is_file = S_ISREG(status.st_mode);
    if (is_file) rest_if_slow(descriptor);
    if (allow(is_file ? "sync" : "dirsync", descriptor, 1, &lose) == 0) {
        if (is_file && lose) lose_pages(descriptor, &status);
        return lose == 2 ? 0 : -1;
    }
    int result = real(descriptor);
    if (result == 0 && is_file) {
        unsigned slot = (unsigned)(status.st_ino % FILES);
        pthread_mutex_lock(&lock);
        synced[slot].inode = status.st_ino;
        synced[slot].size = status.st_size;
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int descriptor) {
    REAL(int, "fsync", int);
    return sync_or_fail(descriptor, real);
}

int fdatasync(int descriptor) {
    REAL(int, "fdatasync", int);
    return sync_or_fail(descriptor, real);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    int lose;
    long long allowed = allow("write", descriptor, (long long)count, &lose);
    if (allowed == 0 && count > 0) return -1;
    return syscall(SYS_write, descriptor, bytes, (size_t)allowed);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    int lose;
    long long allowed = allow("write", descriptor, (long long)count, &lose);
    if (allowed == 0 && count > 0) return -1;
    return syscall(SYS_pwrite64, descriptor, bytes, (size_t)allowed, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}

/* What is overwritten is not synced any more. */
static void note_overwriting(int descriptor, off_t offset) {
    struct stat status;
    int saved = errno;
    if (fstat(descriptor, &status) == 0) {
        unsigned slot = (unsigned)(status.st_ino % FILES);
        pthread_mutex_lock(&lock);
        if (synced[slot].inode == status.st_ino && synced[slot].size > offset) synced[slot].size = offset;
        pthread_mutex_unlock(&lock);
    }
    errno = saved;
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    int lose;
    long long wanted = 0;
    for (int index = 0; index < count; index++) wanted += (long long)parts[index].iov_len;
    long long allowed = allow("write", descriptor, wanted, &lose);
    if (allowed == 0 && wanted > 0) return -1;
    note_overwriting(descriptor, offset);
    if (allowed == wanted) return real(descriptor, parts, count, offset);
    for (int index = 0; index < count; index++) {       /* as writev below */
        if (parts[index].iov_len == 0) continue;
        size_t length = parts[index].iov_len;
        if ((long long)length > allowed) length = (size_t)allowed;
        return syscall(SYS_pwrite64, descriptor, parts[index].iov_base, length, offset);
    }
    return 0;
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(descriptor, parts, count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    int lose;
    long long wanted = 0;
    for (int index = 0; index < count; index++) wanted += (long long)parts[index].iov_len;
    long long allowed = allow("write", descriptor, wanted, &lose);
    if (allowed == wanted) return syscall(SYS_writev, descriptor, parts, count);
    if (allowed == 0) return -1;
    for (int index = 0; index < count; index++) {       /* a short write: as much of the first part as may be */
        if (parts[index].iov_len == 0) continue;
        size_t length = parts[index].iov_len;
        if ((long long)length > allowed) length = (size_t)allowed;
        return syscall(SYS_write, descriptor, parts[index].iov_base, length);
    }
    return 0;
}

int statvfs(const char *path, struct statvfs *out) {
    REAL(int, "statvfs", const char *, struct statvfs *);
    struct fault fault;
    int result = real(path, out);
    if (result == 0 && read_fault(&fault) && strcmp(fault.call, "space") == 0 && strstr(path, fault.part)) {
        out->f_bavail = out->f_bfree = (fsblkcnt_t)fault.after / out->f_frsize;
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *out) {
    return statvfs(path, (struct statvfs *)out);    /* the same layout, on 64 bits */
}
