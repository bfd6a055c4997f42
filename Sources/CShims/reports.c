// Reports of a crash and of a stuck engine.
//
//     signal → head, registers, stack (raw memory and write(2) alone)
//            → what the server adds (INFO, clients, the running command): ordinary code, in a broken process
//            → memory test → end → the same signal with its default action
//
// 1. The process dies, of the signal it got. A second crash or five seconds cut the report off; what was written stays.
// 2. A thread that crashes while another reports waits for that one's end.
// 3. snprintf of numbers and short strings allocates nothing in glibc.
#define _GNU_SOURCE
#include "Reports.h"
#include "frames.h"
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { report_seconds = 5, tested_bytes = 32 << 20 };

static char log_path[4096];
static char version[32];
static long utc_offset;

void sr_report_to(const char *path, const char *name, long offset) {
    snprintf(log_path, sizeof log_path, "%s", path);
    snprintf(version, sizeof version, "%s", name);
    utc_offset = offset;
    sr_symbols_prepare();
}

static int open_log(void) {
    if (!log_path[0]) return STDOUT_FILENO;
    int descriptor = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    return descriptor >= 0 ? descriptor : STDERR_FILENO;
}

/// `25 Nov 2026 20:40:01.123`, without the C library's time zone lock. Civil date of a day: see LogDate.date.
static void date(char *text, size_t capacity) {
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long seconds = now.tv_sec + utc_offset, rest = seconds % 86400, shifted = seconds / 86400 + 719468;
    long era = shifted / 146097, of_era = shifted % 146097;
    long year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    long of_year = of_era - (365 * year + year / 4 - year / 100), march = (5 * of_year + 2) / 153;
    long day = of_year - (153 * march + 2) / 5 + 1, month = march < 10 ? march + 3 : march - 9;
    snprintf(text, capacity, "%02ld %s %ld %02ld:%02ld:%02ld.%03ld", day, months[(month - 1) % 12],
             year + era * 400 + (month <= 2), rest / 3600, rest / 60 % 60, rest % 60, now.tv_nsec / 1000000);
}

static void put_line(int descriptor, const char *text) {
    char stamp[64], head[128];
    date(stamp, sizeof stamp);
    snprintf(head, sizeof head, "%d:M %s # ", (int)getpid(), stamp);
    sr_put(descriptor, head);
    sr_put(descriptor, text);
    sr_put(descriptor, "\n");
}

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

static void put_stack(int descriptor, const ucontext_t *context) {
    sr_put(descriptor, "\n------ STACK TRACE ------\nEIP:\n");
    sr_put_frame(descriptor, instruction(context), 0);
    sr_put(descriptor, "\nBacktrace:\n");
    void *frames[100];
    int count = backtrace(frames, 100);
    for (int i = 0; i < count; i++) sr_put_frame(descriptor, frames[i], 1);
}

static void put_registers(int descriptor, const ucontext_t *context) {
    char line[160];
    sr_put(descriptor, "\n------ REGISTERS ------\n");
#if defined(__x86_64__)
    static const struct { const char *name; int place; } registers[] = {
        {"RAX", REG_RAX}, {"RBX", REG_RBX}, {"RCX", REG_RCX}, {"RDX", REG_RDX}, {"RDI", REG_RDI}, {"RSI", REG_RSI},
        {"RBP", REG_RBP}, {"RSP", REG_RSP}, {"R8 ", REG_R8}, {"R9 ", REG_R9}, {"R10", REG_R10}, {"R11", REG_R11},
        {"R12", REG_R12}, {"R13", REG_R13}, {"R14", REG_R14}, {"R15", REG_R15}, {"RIP", REG_RIP}, {"EFL", REG_EFL},
    };
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        snprintf(line, sizeof line, "%s:%016llx%s", registers[i].name,
                 (unsigned long long)context->uc_mcontext.gregs[registers[i].place], i % 4 == 3 ? "\n" : " ");
        sr_put(descriptor, line);
    }
    sr_put(descriptor, "\n");
#elif defined(__aarch64__)
    for (int i = 0; i < 31; i++) {
        snprintf(line, sizeof line, "X%02d:%016llx%s", i, (unsigned long long)context->uc_mcontext.regs[i],
                 i % 4 == 3 ? "\n" : " ");
        sr_put(descriptor, line);
    }
    snprintf(line, sizeof line, "SP:%016llx PC:%016llx\n", (unsigned long long)context->uc_mcontext.sp,
             (unsigned long long)context->uc_mcontext.pc);
    sr_put(descriptor, line);
#else
    (void)context;
    (void)line;
#endif
}

// MARK: Crash

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
enum { crash_signal_count = sizeof crash_signals / sizeof *crash_signals };
static int is_installed, tests_memory, exits;
static void (*crash_writer)(void *, int);
static void *crash_context;
/// Why the server crashes itself.
static const char *crash_lines;
/// The thread that reports; 0: nobody has crashed.
static atomic_int reporter;
static volatile int crash_number, crash_descriptor;

static _Noreturn void die(void) {
    if (exits) _exit(1);
    signal(crash_number, SIG_DFL);
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, crash_number);
    pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    raise(crash_number);
    _exit(128 + crash_number);
}

static const char start_line[] = "\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n";
static const char end_line[] = "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n";

/// The report takes too long: it waits for a lock, or for who should read it.
static void on_timeout(int number) {
    (void)number;
    fcntl(crash_descriptor, F_SETFL, fcntl(crash_descriptor, F_GETFL) | O_NONBLOCK);
    sr_put(crash_descriptor, "\n(cut off: it took too long)\n");
    sr_put(crash_descriptor, end_line);
    die();
}

/// Whoever started the server may have blocked the signal.
static void unblock_alarms(void) {
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
}

static void limit_time(void) {
    struct sigaction action = {.sa_handler = on_timeout};
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    unblock_alarms();
    alarm(report_seconds);
}

static void put_head(int descriptor, int number, const siginfo_t *info, const ucontext_t *context) {
    char line[256], thread[17] = "";
    sr_put(descriptor, start_line);
    if (crash_lines) sr_put(descriptor, crash_lines);
    snprintf(line, sizeof line, "Redis %s crashed by signal: %d, si_code: %d", version, number, info->si_code);
    put_line(descriptor, line);
    if ((number == SIGSEGV || number == SIGBUS) && info->si_code > 0) {
        snprintf(line, sizeof line, "Accessing address: %p", info->si_addr);
        put_line(descriptor, line);
    }
    if (info->si_code == SI_USER) {
        snprintf(line, sizeof line, "Killed by PID: %ld, UID: %d", (long)info->si_pid, (int)info->si_uid);
        put_line(descriptor, line);
    }
    snprintf(line, sizeof line, "Crashed running the instruction at: %p", instruction(context));
    put_line(descriptor, line);
    prctl(PR_GET_NAME, thread, 0, 0, 0);
    snprintf(line, sizeof line, "In the thread: %s", thread);
    put_line(descriptor, line);
}

/// Memory that nobody uses: what others use can't be written to, for the log's thread may be at work on it.
static void test_memory(int descriptor) {
    sr_put(descriptor, "\n------ FAST MEMORY TEST ------\n");
    uint64_t *words = mmap(NULL, tested_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) {
        sr_put(descriptor, "There is no memory to test.\n");
        return;
    }
    static const uint64_t patterns[] = {0, UINT64_MAX, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa};
    size_t count = tested_bytes / sizeof *words, errors = 0;
    for (size_t round = 0; round <= sizeof patterns / sizeof *patterns; round++) {
        volatile uint64_t *place = words;
        int is_address = round == sizeof patterns / sizeof *patterns;
        for (size_t i = 0; i < count; i++) place[i] = is_address ? (uint64_t)(uintptr_t)&place[i] : patterns[round];
        for (size_t i = 0; i < count; i++)
            errors += place[i] != (is_address ? (uint64_t)(uintptr_t)&place[i] : patterns[round]);
    }
    char line[128];
    if (errors == 0) {
        sr_put(descriptor, "Fast memory test PASSED, however your memory can still be broken. Please run a memory test "
                           "for several hours if possible.\n");
    } else {
        snprintf(line, sizeof line, "Fast memory test FAILED: %zu words. Don't trust this machine's memory.\n", errors);
        sr_put(descriptor, line);
    }
}

static void on_crash(int number, siginfo_t *info, void *context) {
    int self = (int)syscall(SYS_gettid), nobody = 0;
    if (!atomic_compare_exchange_strong(&reporter, &nobody, self)) {
        while (nobody != self) pause();
        char line[64];
        snprintf(line, sizeof line, "\n(cut off: signal %d while it was written)\n", number);
        sr_put(crash_descriptor, line);
        sr_put(crash_descriptor, end_line);
        die();
    }
    crash_number = number;
    int descriptor = crash_descriptor = open_log();
    limit_time();
    put_head(descriptor, number, info, context);
    put_registers(descriptor, context);
    put_stack(descriptor, context);
    if (crash_writer) crash_writer(crash_context, descriptor);
    if (tests_memory) test_memory(descriptor);
    sr_put(descriptor, end_line);
    die();
}

void sr_crash_install(void) {
    // Wide enough for ordinary code; a page is used when it is touched.
    static char stack[1 << 20];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < crash_signal_count; i++) sigaction(crash_signals[i], &action, NULL);
    is_installed = 1;
}

void sr_crash_remove(void) {
    for (int i = 0; i < crash_signal_count; i++) signal(crash_signals[i], SIG_DFL);
    is_installed = 0;
}

void sr_crash_add(void (*writer)(void *, int), void *context) {
    crash_context = context;
    crash_writer = writer;
}

void sr_crash_options(int memory, int exit_status) {
    tests_memory = memory;
    exits = exit_status;
}

_Noreturn void sr_crash(const char *lines) {
    if (is_installed) {
        crash_lines = lines;
    } else {
        sr_put(open_log(), lines);
        if (exits) _exit(1);
    }
    abort();
}

void sr_crash_by_access(void) {
    volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *nowhere = 1;
}

// MARK: Watchdog

static int watched_thread;

static void on_watchdog(int number, siginfo_t *info, void *context) {
    int before = errno;
    // The signal is the process'; it is the engine that is of interest.
    if ((int)syscall(SYS_gettid) != watched_thread) {
        syscall(SYS_tgkill, getpid(), watched_thread, number);
        errno = before;
        return;
    }
    (void)info;
    int descriptor = open_log();
    put_line(descriptor, "--- WATCHDOG TIMER EXPIRED ---");
    put_stack(descriptor, context);
    put_line(descriptor, "--------");
    if (descriptor != STDOUT_FILENO && descriptor != STDERR_FILENO) close(descriptor);
    errno = before;
}

void sr_watchdog_arm(int milliseconds) {
    if (atomic_load(&reporter) != 0) return;
    if (milliseconds > 0 && watched_thread == 0) {
        watched_thread = (int)syscall(SYS_gettid);
        struct sigaction action = {.sa_sigaction = on_watchdog, .sa_flags = SA_SIGINFO | SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(SIGALRM, &action, NULL);
        unblock_alarms();
    }
    struct itimerval timer = {.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    if (milliseconds <= 0 && watched_thread != 0) {
        signal(SIGALRM, SIG_IGN);
        watched_thread = 0;
    }
}
