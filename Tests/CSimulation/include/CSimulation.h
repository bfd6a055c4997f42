// The clock of a simulation: clock_gettime of this program, which answers the calling thread with the simulation's
// time while it has one, and with the system's otherwise.
#pragma once
#include <stdint.h>

/// From now on the calling thread's clocks stand at these times, in nanoseconds.
void sr_simulate_clock(int64_t monotonic, int64_t unix_time);
/// The calling thread's clocks are the system's again.
void sr_release_clock(void);
