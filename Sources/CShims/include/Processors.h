// On which processors the program runs.
#pragma once

/// How many processors the calling thread may run on, and the number of the one it runs on.
int sr_processor_count(void);
int sr_current_processor(void);
/// From here on the calling thread runs on this processor alone, until it may run again where it might before. A child
/// of `sr_fork` runs where it wants; a thread's threads don't: let it move freely before it starts one. Nothing happens
/// once somebody has said where the server's threads are to run.
void sr_stay_on_processor(int processor);
void sr_move_freely(void);

/// Who is told on which processors to run: the server (its engine and I/O threads), threads that work for the disk and
/// free memory, and children that write a dump or the log anew. Who is not told runs where its parent does.
typedef enum { sr_runs_server, sr_runs_background, sr_runs_dump, sr_runs_rewrite } sr_runner;

/// Notes a list like `0,2-5,8-15:2` (a range may have a step). Before threads are started. 0, or EINVAL.
int sr_set_processors(sr_runner runner, const char *list);
/// The calling thread and those that it starts run on the processors noted for `runner`, if there are any. 0, or errno.
/// Raw: for children, too.
int sr_run_as(sr_runner runner);
