#define _GNU_SOURCE
#include "ProcessShims.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

// MARK: Title

extern char **environ;
static char *title_start;
static size_t title_room;

void sr_prepare_process_title(int argc, char **argv) {
    if (argc < 1 || argv == NULL || argv[0] == NULL) return;
    char *end = argv[0];
    for (int i = 0; i < argc; i++)
        if (argv[i] == end) end += strlen(argv[i]) + 1;
    size_t count = 0;
    while (environ[count]) count++;
    char **copy = calloc(count + 1, sizeof(char *));
    if (copy == NULL) return;
    for (size_t i = 0; i < count; i++) {
        if (environ[i] == end) end += strlen(environ[i]) + 1;
        copy[i] = strdup(environ[i]);
        if (copy[i] == NULL) return;
    }
    environ = copy;
    title_start = argv[0];
    title_room = (size_t)(end - argv[0]);
}

void sr_set_process_title(const char *title) {
    if (title_room < 2) return;
    size_t length = strlen(title);
    if (length > title_room - 1) length = title_room - 1;
    memcpy(title_start, title, length);
    memset(title_start + length, 0, title_room - length);
}

int sr_disable_huge_pages(void) {
#ifdef PR_SET_THP_DISABLE
    return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}
