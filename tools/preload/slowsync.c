/* slowsync: an LD_PRELOAD library that makes a disk slow: every fsync and fdatasync sleeps first for
 * SLOWSYNC_MICROSECONDS. Built on demand by tools/bench: gcc -O2 -shared -fPIC -o slowsync.so slowsync.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void rest(void) {
    const char *text = getenv("SLOWSYNC_MICROSECONDS");
    long microseconds = text ? atol(text) : 0;
    struct timespec left = {microseconds / 1000000, (microseconds % 1000000) * 1000};
    while (microseconds > 0 && nanosleep(&left, &left) == -1 && errno == EINTR) {
    }
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    rest();
    return real(descriptor);
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    rest();
    return real(descriptor);
}
