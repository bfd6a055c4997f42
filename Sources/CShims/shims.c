#define _GNU_SOURCE
#include "CShims.h"
#include "Slabs.h"
#include <errno.h>
#include <signal.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

pid_t sr_fork(void) {
    sr_slab_lock();
    pid_t child = fork();
    sr_slab_unlock();
    if (child == 0) {
        // The server waits for signals in a thread, which the child has not: it is to die of them.
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        sr_move_freely();
    }
    return child;
}

int sr_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

int sr_become_child(pid_t parent, int keep, const char *name) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGPIPE) signal(number, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (keep != 3) {
        dup2(keep, 3);
        keep = 3;
    }
    close_range(4, ~0U, 0);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    return keep;
}

void sr_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
void sr_set_timer_slack(unsigned long nanoseconds) { prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0); }

int sr_fill_randomly(void *bytes, size_t count) {
    for (size_t filled = 0; filled < count;) {
        ssize_t got = getrandom((char *)bytes + filled, count - filled, 0);
        if (got < 0 && errno != EINTR) return errno;
        if (got > 0) filled += (size_t)got;
    }
    return 0;
}

// Relaxed: read by INFO and maxmemory checks only, never used to order anything. Split by thread in two
// plain counters would be faster still; one uncontended lock-prefixed add measured 5 ns.
static _Atomic size_t used;

static void account(void *pointer) {
    atomic_fetch_add_explicit(&used, malloc_usable_size(pointer), memory_order_relaxed);
}

static void *checked(void *pointer, size_t byteCount) {
    if (pointer == NULL) {
        static char line[64];
        snprintf(line, sizeof line, "Out Of Memory allocating %zu bytes!\n", byteCount);
        fputs(line, stderr);
        sr_crash(line);
    }
    return pointer;
}

void *sr_malloc(size_t byteCount) {
    if (byteCount <= SR_SLAB_LARGEST) {
        void *block = sr_slab_allocate(byteCount);
        if (block != NULL) return block;
    }
    void *pointer = checked(malloc(byteCount ? byteCount : 1), byteCount);
    account(pointer);
    return pointer;
}

void *sr_calloc(size_t byteCount) {
    if (byteCount <= SR_SLAB_LARGEST) {
        void *block = sr_slab_allocate(byteCount);
        if (block != NULL) return memset(block, 0, byteCount);
    }
    void *pointer = checked(calloc(1, byteCount ? byteCount : 1), byteCount);
    account(pointer);
    return pointer;
}

void *sr_realloc(void *pointer, size_t byteCount) {
    if (pointer == NULL) return sr_malloc(byteCount);
    if (sr_slab_owns(pointer)) {
        size_t size = sr_slab_size(pointer);
        // Up to 8 bytes are no reason to move.
        if (byteCount <= size && byteCount + 8 > size) return pointer;
        void *moved = sr_malloc(byteCount);
        memcpy(moved, pointer, byteCount < size ? byteCount : size);
        sr_slab_free(pointer);
        return moved;
    }
    if (byteCount <= SR_SLAB_LARGEST / 2) {
        size_t size = malloc_usable_size(pointer);
        void *moved = sr_malloc(byteCount);
        memcpy(moved, pointer, byteCount < size ? byteCount : size);
        sr_free(pointer);
        return moved;
    }
    size_t before = malloc_usable_size(pointer);
    void *moved = checked(realloc(pointer, byteCount), byteCount);
    atomic_fetch_add_explicit(&used, malloc_usable_size(moved) - before, memory_order_relaxed);
    return moved;
}

void *sr_try_realloc(void *pointer, size_t byteCount) {
    size_t before = pointer ? malloc_usable_size(pointer) : 0;
    void *moved = realloc(pointer, byteCount ? byteCount : 1);
    if (moved) atomic_fetch_add_explicit(&used, malloc_usable_size(moved) - before, memory_order_relaxed);
    return moved;
}

void sr_free(void *pointer) {
    if (pointer == NULL) return;
    if (sr_slab_owns(pointer)) {
        sr_slab_free(pointer);
        return;
    }
    atomic_fetch_sub_explicit(&used, malloc_usable_size(pointer), memory_order_relaxed);
    free(pointer);
}

size_t sr_usable_size(const void *pointer) {
    return sr_slab_owns(pointer) ? sr_slab_size(pointer) : malloc_usable_size((void *)pointer);
}

size_t sr_used_memory(void) { return atomic_load_explicit(&used, memory_order_relaxed) + sr_slab_used(); }

int sr_format_double_17(char *target, size_t capacity, double value) {
    return snprintf(target, capacity, "%.17g", value);
}

int sr_format_long_double_fixed(char *target, size_t capacity, sr_long_double value) {
    return snprintf(target, capacity, "%.17Lf", (long double)value);
}

int sr_parse_long_double(const char *text, sr_long_double *value, long *consumed) {
    char *end;
    errno = 0;
    *value = (sr_long_double)strtold(text, &end);
    *consumed = end - text;
    return errno;
}

#if defined(__x86_64__)
int sr_has_crc32c(void) { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2")))
uint32_t sr_crc32c(uint32_t state, const void *bytes, size_t count) {
    const unsigned char *next = bytes;
    uint64_t wide = state;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; count--, next++) state = __builtin_ia32_crc32qi(state, *next);
    return state;
}
#else
int sr_has_crc32c(void) { return 0; }
uint32_t sr_crc32c(uint32_t state, const void *bytes, size_t count) { (void)bytes; (void)count; return state; }
#endif
