// The few things Swift cannot say: fork (marked unavailable in Swift), and malloc with an exact account.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// fork(2). The child must touch raw memory only: another thread may have held a lock at the moment of the fork.
pid_t sr_fork(void);

/// malloc/realloc/free that keep the sum of usable sizes. Never return NULL: running out of memory ends the process.
void *sr_malloc(size_t byteCount);
void *sr_calloc(size_t byteCount);
void *sr_realloc(void *pointer, size_t byteCount);
void sr_free(void *pointer);
size_t sr_usable_size(const void *pointer);
/// Bytes handed out by the functions above and not freed yet, as the allocator rounds them.
size_t sr_used_memory(void);
