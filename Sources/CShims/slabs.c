// Small blocks without headers.
//
// A key of a keyspace is an entry of some 40 bytes and often a value of some 100. malloc adds a header of 8 bytes and
// rounds to 16, which is a tenth of a small hash. Here a slab of 16 KB holds blocks of one size, in steps of 8 bytes up
// to 128, of 16 up to 256, of 32 up to 512; what a slab holds is noted beside it, so a block is all the caller's.
//
//     arena     one reservation of addresses; slab n is 16 KB at arena + n * 16 KB; `end` slabs may be used
//     notes     one for each slab: its size, its list of free blocks (each holds the address of the next), how many
//               are handed out, and how many were never handed out yet (`fresh`)
//     partial   for each size, the slabs that have room
//     empty     slabs of no size that still hold memory, `warm` of them at most WARM_BOUND
//     cold      slabs of no size that gave theirs back: taken when no other is left, or one that is emptied and
//               filled again and again would give it back and ask for it each time
//     cache     a thread that allocates much (loading) takes blocks many at a time: it seldom needs the lock
//
// Invariants (lock held)
//  1. A slab is in the list of its size if some but not all of its blocks are handed out, in `empty` or `cold` if none
//     is, and in no list if all are.
//  2. A block is free if it is in its slab's list of free blocks or its number is `fresh` or more.
//  3. `used` is the sum of the sizes of the blocks handed out; what lies in a thread's cache counts as handed out.
#define _GNU_SOURCE
#include "CShims.h"
#include "Slabs.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#define SLAB_SHIFT 14
#define SLAB_BYTES ((size_t)1 << SLAB_SHIFT)
// 256 GB of addresses; what doesn't fit is malloc's.
#define ARENA_BYTES ((size_t)1 << 38)
#define SLAB_COUNT (ARENA_BYTES >> SLAB_SHIFT)
#define GROWTH_SLABS 64
#define CLASS_COUNT 32
// Empty slabs beyond this many give their memory back at once: 4 MB.
#define WARM_BOUND 256
#define NONE UINT32_MAX

struct note {
    void *free;
    uint16_t used, fresh, capacity;
    uint8_t class;
    uint32_t next, previous;
};

// Written once, with the lock held. Whoever has a block of ours, and asks without the lock, finds it written.
static _Atomic(char *) first_slab;
static struct note *notes;
static int is_refused;
static uint32_t end, begun;
static uint32_t partial[CLASS_COUNT];
static uint32_t empty = NONE, cold = NONE;
static uint32_t warm;
static size_t active_slabs;
static _Atomic size_t used;
static atomic_flag lock = ATOMIC_FLAG_INIT;

static char *arena(void) { return atomic_load_explicit(&first_slab, memory_order_relaxed); }

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

void sr_slab_lock(void) {
    for (int spins = 0; atomic_flag_test_and_set_explicit(&lock, memory_order_acquire); spins++) {
        if (spins > 100) sched_yield(); else relax();
    }
}

void sr_slab_unlock(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

static unsigned class_of(size_t byteCount) {
    if (byteCount <= 128) return (unsigned)((byteCount + 7) >> 3) - 1;
    if (byteCount <= 256) return 16 + (unsigned)((byteCount - 128 + 15) >> 4) - 1;
    return 24 + (unsigned)((byteCount - 256 + 31) >> 5) - 1;
}

static size_t size_of(unsigned class) {
    if (class < 16) return (size_t)(class + 1) << 3;
    if (class < 24) return 128 + ((size_t)(class - 15) << 4);
    return 256 + ((size_t)(class - 23) << 5);
}

static void link_first(uint32_t *list, uint32_t slab) {
    notes[slab].previous = NONE;
    notes[slab].next = *list;
    if (*list != NONE) notes[*list].previous = slab;
    *list = slab;
}

static void unlink_from(uint32_t *list, uint32_t slab) {
    uint32_t next = notes[slab].next, previous = notes[slab].previous;
    if (previous == NONE) *list = next; else notes[previous].next = next;
    if (next != NONE) notes[next].previous = previous;
}

static int begin(void) {
    size_t note_bytes = SLAB_COUNT * sizeof(struct note);
    void *noted = mmap(NULL, note_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *reserved = mmap(NULL, ARENA_BYTES + SLAB_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                          -1, 0);
    if (noted == MAP_FAILED || reserved == MAP_FAILED) {
        // A limit on addresses: malloc serves everything.
        if (noted != MAP_FAILED) munmap(noted, note_bytes);
        if (reserved != MAP_FAILED) munmap(reserved, ARENA_BYTES + SLAB_BYTES);
        is_refused = 1;
        return 0;
    }
    for (int class = 0; class < CLASS_COUNT; class++) partial[class] = NONE;
    notes = noted;
    char *start = (char *)(((uintptr_t)reserved + SLAB_BYTES - 1) & ~(uintptr_t)(SLAB_BYTES - 1));
    atomic_store_explicit(&first_slab, start, memory_order_relaxed);
    return 1;
}

// A slab of no size, out of every list; NONE: there is no room.
static uint32_t take_slab(void) {
    if (empty != NONE) {
        uint32_t slab = empty;
        unlink_from(&empty, slab);
        warm--;
        return slab;
    }
    if (cold != NONE) {
        uint32_t slab = cold;
        unlink_from(&cold, slab);
        active_slabs++;
        return slab;
    }
    if (begun == end) {
        if (end + GROWTH_SLABS > SLAB_COUNT) return NONE;
        char *start = arena() + ((size_t)end << SLAB_SHIFT);
        if (mprotect(start, GROWTH_SLABS << SLAB_SHIFT, PROT_READ | PROT_WRITE) != 0) return NONE;
        end += GROWTH_SLABS;
    }
    active_slabs++;
    return begun++;
}

// With the lock held; NULL: there is no room.
static void *allocate(unsigned class, size_t size) {
    if (arena() == NULL && (is_refused || !begin())) return NULL;
    uint32_t slab = partial[class];
    if (slab == NONE) {
        slab = take_slab();
        if (slab == NONE) return NULL;
        notes[slab] = (struct note){.capacity = (uint16_t)(SLAB_BYTES / size), .class = (uint8_t)class};
        link_first(&partial[class], slab);
    }
    struct note *note = &notes[slab];
    void *block = note->free;
    if (block != NULL) {
        note->free = *(void **)block;
    } else {
        block = arena() + ((size_t)slab << SLAB_SHIFT) + note->fresh++ * size;
    }
    if (++note->used == note->capacity) unlink_from(&partial[class], slab);
    atomic_store_explicit(&used, atomic_load_explicit(&used, memory_order_relaxed) + size, memory_order_relaxed);
    return block;
}

// A thread's own free blocks, each with the address of the next.
struct cache {
    void *blocks[CLASS_COUNT];
    uint16_t counts[CLASS_COUNT];
};
#define CACHE_REFILL 32
#define CACHE_BOUND 64

static __thread struct cache own_cache;
static __thread struct cache *cache;

static void *refill(unsigned class, size_t size) {
    sr_slab_lock();
    void *first = allocate(class, size);
    for (int more = 1; first != NULL && more < CACHE_REFILL; more++) {
        void *block = allocate(class, size);
        if (block == NULL) break;
        *(void **)block = cache->blocks[class];
        cache->blocks[class] = block;
        cache->counts[class]++;
    }
    sr_slab_unlock();
    return first;
}

void *sr_slab_allocate(size_t byteCount) {
    if (!SR_SLABS_SERVE) return NULL;
    unsigned class = class_of(byteCount ? byteCount : 1);
    if (cache != NULL) {
        void *block = cache->blocks[class];
        if (block == NULL) return refill(class, size_of(class));
        cache->blocks[class] = *(void **)block;
        cache->counts[class]--;
        return block;
    }
    sr_slab_lock();
    void *block = allocate(class, size_of(class));
    sr_slab_unlock();
    return block;
}

int sr_slabs_serve(void) { return SR_SLABS_SERVE; }

int sr_slab_owns(const void *pointer) {
    char *start = arena();
    return start != NULL && (size_t)((const char *)pointer - start) < ARENA_BYTES;
}

static uint32_t slab_of(const void *pointer) {
    return (uint32_t)((size_t)((const char *)pointer - arena()) >> SLAB_SHIFT);
}

size_t sr_slab_size(const void *pointer) { return size_of(notes[slab_of(pointer)].class); }

static void cool(uint32_t slab) {
    madvise(arena() + ((size_t)slab << SLAB_SHIFT), SLAB_BYTES, MADV_DONTNEED);
    link_first(&cold, slab);
    active_slabs--;
}

static void give_back(void *pointer) {
    uint32_t slab = slab_of(pointer);
    struct note *note = &notes[slab];
    size_t size = size_of(note->class);
    *(void **)pointer = note->free;
    note->free = pointer;
    if (note->used == note->capacity) link_first(&partial[note->class], slab);
    if (--note->used == 0) {
        unlink_from(&partial[note->class], slab);
        if (warm < WARM_BOUND) {
            warm++;
            link_first(&empty, slab);
        } else {
            cool(slab);
        }
    }
    atomic_store_explicit(&used, atomic_load_explicit(&used, memory_order_relaxed) - size, memory_order_relaxed);
}

void sr_slab_free(void *pointer) {
    if (cache != NULL) {
        unsigned class = notes[slab_of(pointer)].class;
        if (cache->counts[class] < CACHE_BOUND) {
            *(void **)pointer = cache->blocks[class];
            cache->blocks[class] = pointer;
            cache->counts[class]++;
            return;
        }
    }
    sr_slab_lock();
    give_back(pointer);
    sr_slab_unlock();
}

void sr_slab_begin_cache(void) { cache = &own_cache; }

void sr_slab_end_cache(void) {
    if (cache == NULL) return;
    sr_slab_lock();
    for (int class = 0; class < CLASS_COUNT; class++) {
        while (cache->blocks[class] != NULL) {
            void *block = cache->blocks[class];
            cache->blocks[class] = *(void **)block;
            give_back(block);
        }
        cache->counts[class] = 0;
    }
    cache = NULL;
    sr_slab_unlock();
}

void sr_slab_facts(size_t *allocated, size_t *active) {
    sr_slab_lock();
    *allocated = atomic_load_explicit(&used, memory_order_relaxed);
    *active = active_slabs << SLAB_SHIFT;
    sr_slab_unlock();
}

size_t sr_slab_used(void) { return atomic_load_explicit(&used, memory_order_relaxed); }

void sr_slab_purge(void) {
    sr_slab_lock();
    while (empty != NONE) {
        uint32_t slab = empty;
        unlink_from(&empty, slab);
        cool(slab);
        warm--;
    }
    sr_slab_unlock();
}
