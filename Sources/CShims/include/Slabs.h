// The allocator of small things; slabs.c says how it works.
#pragma once
#include <stddef.h>

// What looks for misuse of memory sees into malloc's blocks, not into ours: under AddressSanitizer malloc serves all.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SR_SLABS_SERVE 0
#endif
#endif
#ifndef SR_SLABS_SERVE
#define SR_SLABS_SERVE 1
#endif

#define SR_SLAB_LARGEST 512

/// A block of at least `byteCount` (1 to SR_SLAB_LARGEST) bytes, aligned to 8, or to 16 if its size is a multiple of
/// that. NULL: there is no more room here, ask malloc.
void *sr_slab_allocate(size_t byteCount);
/// Whether a block is one of ours.
int sr_slab_owns(const void *pointer);
void sr_slab_free(void *pointer);
/// What a block of ours has room for.
size_t sr_slab_size(const void *pointer);
/// Bytes in blocks that are handed out, and in slabs that take memory.
void sr_slab_facts(size_t *allocated, size_t *active);
size_t sr_slab_used(void);
/// Gives the memory of empty slabs back to the system.
void sr_slab_purge(void);
/// From here on, until the end, this thread takes and keeps blocks many at a time. They count as handed out.
void sr_slab_begin_cache(void);
void sr_slab_end_cache(void);
/// Around fork(2), so that the child finds the allocator at rest.
void sr_slab_lock(void);
void sr_slab_unlock(void);
