// What a process does about itself that Swift can't say: variadic prctl, the memory behind argv, signal handlers that
// may only touch C.
#pragma once

/// Keeps the places of argv and the environment, for sr_set_process_title; copies the environment elsewhere. Once,
/// before other threads run.
void sr_prepare_process_title(int argc, char **argv);
/// Overwrites argv with a title, cut to the room there is. Does nothing without the preparation.
void sr_set_process_title(const char *title);

/// PR_SET_THP_DISABLE: huge pages make a forked child's copy-on-write dear. Returns 0 or errno.
int sr_disable_huge_pages(void);

/// Installs handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGABRT that write a report to the log and then
/// let the signal take its course.
/// path: the log; empty: standard output. version: as it is to be named. Both are copied.
void sr_install_crash_report(const char *path, const char *version);
void sr_remove_crash_report(void);
