#define _GNU_SOURCE
#include "CSimulation.h"
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

static _Thread_local int is_simulated;
static _Thread_local int64_t monotonic_now, unix_now;

void sr_simulate_clock(int64_t monotonic, int64_t unix_time) {
    is_simulated = 1;
    monotonic_now = monotonic;
    unix_now = unix_time;
}

void sr_release_clock(void) { is_simulated = 0; }

// Stands before the C library's in this program alone.
int clock_gettime(clockid_t clock, struct timespec *time) {
    // Whoever comes first asks for it, maybe several threads.
    static int (*_Atomic found)(clockid_t, struct timespec *);
    if (is_simulated && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)) {
        int64_t now = clock == CLOCK_REALTIME ? unix_now : monotonic_now;
        time->tv_sec = now / 1000000000;
        time->tv_nsec = now % 1000000000;
        return 0;
    }
    int (*real)(clockid_t, struct timespec *) = atomic_load_explicit(&found, memory_order_relaxed);
    if (!real) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        atomic_store_explicit(&found, real, memory_order_relaxed);
    }
    return real(clock, time);
}
