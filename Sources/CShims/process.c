#define _GNU_SOURCE
#include "ProcessShims.h"
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

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

// MARK: Crash report

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
enum { crash_signal_count = sizeof crash_signals / sizeof *crash_signals };
static char crash_path[4096];
static char crash_version[32];
static volatile sig_atomic_t crash_is_reported;

static void *instruction(const ucontext_t *context) {
#if defined(__x86_64__)
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)context->uc_mcontext.pc;
#else
    (void)context;
    return NULL;
#endif
}

static void put(int descriptor, const char *text) {
    if (write(descriptor, text, strlen(text)) < 0) return;
}

static void report(int number, siginfo_t *info, void *context) {
    if (!crash_is_reported) {
        crash_is_reported = 1;
        int descriptor = STDOUT_FILENO;
        if (crash_path[0]) descriptor = open(crash_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (descriptor < 0) descriptor = STDERR_FILENO;
        // snprintf of numbers alone allocates nothing in glibc.
        char line[256];
        put(descriptor, "\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n");
        snprintf(line, sizeof line, "%d:M # Redis %s crashed by signal: %d, si_code: %d\n", (int)getpid(),
                 crash_version, number, info->si_code);
        put(descriptor, line);
        if (number == SIGSEGV || number == SIGBUS) {
            snprintf(line, sizeof line, "%d:M # Accessing address: %p\n", (int)getpid(), info->si_addr);
            put(descriptor, line);
        }
        if (info->si_code == SI_USER) {
            snprintf(line, sizeof line, "%d:M # Killed by PID: %ld, UID: %d\n", (int)getpid(), (long)info->si_pid,
                     (int)info->si_uid);
            put(descriptor, line);
        }
        snprintf(line, sizeof line, "%d:M # Crashed running the instruction at: %p\n", (int)getpid(),
                 instruction(context));
        put(descriptor, line);
        put(descriptor, "\n------ STACK TRACE ------\n");
        void *frames[100];
        backtrace_symbols_fd(frames, backtrace(frames, 100), descriptor);
        put(descriptor, "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n");
    }
    // The default action of the same signal, so that the parent sees how the process died and a core is written.
    signal(number, SIG_DFL);
    raise(number);
}

void sr_install_crash_report(const char *path, const char *version) {
    static char stack[64 * 1024];
    snprintf(crash_path, sizeof crash_path, "%s", path);
    snprintf(crash_version, sizeof crash_version, "%s", version);
    // Loads what backtrace(3) needs now, for loading allocates.
    void *frame[1];
    backtrace(frame, 1);
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    struct sigaction action = {.sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < crash_signal_count; i++) sigaction(crash_signals[i], &action, NULL);
}

void sr_remove_crash_report(void) {
    for (int i = 0; i < crash_signal_count; i++) signal(crash_signals[i], SIG_DFL);
}
