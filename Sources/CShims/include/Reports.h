// Reports from signal handlers: of a crash, and of an engine that is stuck. Handlers may touch little but raw memory
// and descriptors, so they are C.
#pragma once

#include <stddef.h>

/// Where reports go. path: the log; empty: standard output. version: as it is to be named. Both are copied.
/// utc_offset: seconds east of UTC.
void sr_report_to(const char *path, const char *version, long utc_offset);

// A crash.

/// Installs handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGABRT. They write a report and then let the
/// signal take its course. A report that crashes or does not end within some seconds is cut off.
void sr_crash_install(void);
void sr_crash_remove(void);
/// What knows more than a signal handler can: called once registers and stack are written. It may fail in any way.
/// NULL: nobody does.
void sr_crash_add(void (*writer)(void *context, int descriptor), void *context);
/// tests_memory: look at some unused memory. exits: _exit(1) instead of the signal.
void sr_crash_options(int tests_memory, int exits);
/// Crashes with `lines` at the head of the report.
_Noreturn void sr_crash(const char *lines);
/// Crashes by an invalid access.
void sr_crash_by_access(void);

// The watchdog: SIGALRM after so many ms, unless it is armed again before, writes where this thread is. The first call
// says which thread that is. 0: never.

void sr_watchdog_arm(int milliseconds);
