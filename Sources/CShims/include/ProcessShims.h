// What a process does about itself that Swift can't say: variadic prctl, the memory behind argv.
#pragma once

/// Keeps the places of argv and the environment, for sr_set_process_title; copies the environment elsewhere. Once,
/// before other threads run.
void sr_prepare_process_title(int argc, char **argv);
/// Overwrites argv with a title, cut to the room there is. Does nothing without the preparation.
void sr_set_process_title(const char *title);

/// PR_SET_THP_DISABLE: huge pages make a forked child's copy-on-write dear. Returns 0 or errno.
int sr_disable_huge_pages(void);
