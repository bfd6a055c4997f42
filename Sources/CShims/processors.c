// On which processors threads and children run: as somebody said, or, with two of them, where hand-overs are cheap.
#define _GNU_SOURCE
#include "CShims.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

static cpu_set_t chosen[sr_runs_rewrite + 1];
static int is_chosen[sr_runs_rewrite + 1];

int sr_processor_count(void) {
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

int sr_current_processor(void) { return sched_getcpu(); }

static _Thread_local cpu_set_t before_staying;
static _Thread_local int stays;

void sr_stay_on_processor(int processor) {
    if (is_chosen[sr_runs_server] || is_chosen[sr_runs_background]) return;
    if (!stays) stays = sched_getaffinity(0, sizeof before_staying, &before_staying) == 0;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    sched_setaffinity(0, sizeof only, &only);
}

void sr_move_freely(void) {
    if (stays) sched_setaffinity(0, sizeof before_staying, &before_staying);
    stays = 0;
}

// The number at *text, which moves behind it; -1: there is none.
static long number(const char **text) {
    long value = 0;
    const char *start = *text;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        value = value * 10 + (**text - '0');
        if (value > CPU_SETSIZE) return -1;
    }
    return *text == start ? -1 : value;
}

int sr_set_processors(sr_runner runner, const char *list) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const char *next = list;;) {
        while (*next == ' ') next++;
        long first = number(&next), last = first, step = 1;
        if (*next == '-') {
            next++;
            last = number(&next);
            if (*next == ':') {
                next++;
                step = number(&next);
            }
        }
        if (first < 0 || last < first || last >= CPU_SETSIZE || step < 1) return EINVAL;
        for (long processor = first; processor <= last; processor += step) CPU_SET((size_t)processor, &set);
        while (*next == ' ') next++;
        if (*next == '\0') break;
        if (*next++ != ',') return EINVAL;
    }
    chosen[runner] = set;
    is_chosen[runner] = 1;
    return 0;
}

int sr_run_as(sr_runner runner) {
    if (!is_chosen[runner]) return 0;
    return sched_setaffinity(0, sizeof chosen[runner], &chosen[runner]) == 0 ? 0 : errno;
}
