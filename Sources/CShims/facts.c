#define _GNU_SOURCE
#include "CShims.h"
#include "Slabs.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

void sr_allocator_facts(size_t *allocated, size_t *active) {
    struct mallinfo2 info = mallinfo2();
    sr_slab_facts(allocated, active);
    *allocated += info.uordblks + info.hblkhd;
    *active += info.arena + info.hblkhd;
}

void sr_allocator_purge(void) {
    sr_slab_purge();
    malloc_trim(0);
}

char *sr_allocator_report(void) {
    char *text = NULL;
    size_t count = 0;
    FILE *stream = open_memstream(&text, &count);
    if (stream == NULL) return NULL;
    malloc_info(0, stream);
    fclose(stream);
    return text;
}

void sr_processor_time(int who, int64_t *user, int64_t *system) {
    struct rusage usage = {0};
    getrusage(who == 0 ? RUSAGE_SELF : who == 1 ? RUSAGE_CHILDREN : RUSAGE_THREAD, &usage);
    *user = (int64_t)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
    *system = (int64_t)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
}
