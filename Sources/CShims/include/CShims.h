// The few things Swift cannot say: fork (marked unavailable in Swift), and malloc with an exact account.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ProcessShims.h"
#include "Processors.h"
#include "Reports.h"
#include "Slabs.h"
#if defined(__linux__)
// Not in the Glibc module.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

/// fork(2). The child must touch raw memory only: another thread may have held a lock at the moment of the fork.
pid_t sr_fork(void);

/// accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
int sr_accept(int listener);

/// Makes a forked child harmless: default signal handlers, no open file but 0 to 2 and `keep` (which is moved to 3,
/// and returned), killed when `parent` ends, named `name`.
int sr_become_child(pid_t parent, int keep, const char *name);

/// The calling thread's name, as top -H shows it: at most 15 bytes.
void sr_set_thread_name(const char *name);
/// How much later than asked for the calling thread may be woken, in nanoseconds (Linux's default is 50,000).
void sr_set_timer_slack(unsigned long nanoseconds);

/// Bytes from the system's generator. 0, or errno.
int sr_fill_randomly(void *bytes, size_t count);

/// malloc/realloc/free that keep the sum of usable sizes. Never return NULL: running out of memory ends the process.
void *sr_malloc(size_t byteCount);
void *sr_calloc(size_t byteCount);
void *sr_realloc(void *pointer, size_t byteCount);
/// As malloc and realloc, accounted for: NULL when there is no memory, and what was there stays.
void *sr_try_realloc(void *pointer, size_t byteCount);
void sr_free(void *pointer);
size_t sr_usable_size(const void *pointer);
/// Bytes handed out by the functions above and not freed yet, as the allocator rounds them.
size_t sr_used_memory(void);
/// Whether small blocks come from slabs in this build; malloc serves them where a sanitizer is to see them.
int sr_slabs_serve(void);
/// Asks for the cache line at an address, which need not be mapped.
static inline void sr_prefetch(const void *address) { __builtin_prefetch(address); }

/// `%.17g`, which Swift can't call (variadic). Returns the number of bytes, without the NUL.
int sr_format_double_17(char *target, size_t capacity, double value);

// C's long double has no name in Swift where it is not Float80.
#if defined(__x86_64__) || defined(__i386__)
typedef long double sr_long_double;
#else
typedef double sr_long_double;
#endif
/// `%.17Lf`. Returns the number of bytes, without the NUL.
int sr_format_long_double_fixed(char *target, size_t capacity, sr_long_double value);
/// strtold; returns errno and the number of bytes read.
int sr_parse_long_double(const char *text, sr_long_double *value, long *consumed);

/// Whether the processor computes CRC-32C itself; only then may the function below be called.
int sr_has_crc32c(void);
uint32_t sr_crc32c(uint32_t state, const void *bytes, size_t count);

/// What the allocator has handed out, and what it took from the system for that, in bytes.
void sr_allocator_facts(size_t *allocated, size_t *active);
/// Gives free memory back to the system.
void sr_allocator_purge(void);
/// The allocator's own report, NUL-terminated, to be freed with free(3); NULL if there is none.
char *sr_allocator_report(void);
/// CPU time in µs; who: 0 the process, 1 its dead children, 2 the calling thread.
void sr_processor_time(int who, int64_t *user, int64_t *system);
