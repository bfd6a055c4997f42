/* load: sends prepared requests over many connections, pipelined, and says what they cost the server.

   usage: load PORT PID FILE CLIENTS BATCH WARMUP REQUESTS SUBSCRIBERS

   FILE holds requests as RESP arrays, one after the other. Each client takes the next BATCH of them (from the start
   again after the last), sends them in one write, reads BATCH replies, takes the next. After WARMUP requests the clock
   and the CPU time of the process PID (all of its threads) are read, and again REQUESTS requests later. SUBSCRIBERS
   more connections have subscribed to the channel `news`; what they are sent is read and dropped.

   Prints: seconds, nanoseconds of CPU, requests answered, error replies. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { input_size = 256 * 1024 };

typedef struct {
    int descriptor, subscriber;
    long awaited;                 /* replies */
    long elements;                /* of the reply being read, still to come */
    long skip;                    /* bytes of a bulk string, still to come */
    size_t line_length;
    char line[64];
    const char *send;
    size_t unsent;
} client;

static char *requests;
static size_t *offsets, request_count, next_request;
static long batch, taken, answered, errors, limit;
static int poller;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Nanoseconds that all threads of the process have run. */
static long long cpu(const char *pid) {
    char path[600];
    long long sum = 0, one;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *folder = opendir(path);
    if (!folder) fail(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%lld", &one) == 1) sum += one;
        fclose(file);
    }
    closedir(folder);
    return sum;
}

static void load_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file), at = 0, room = 0;
    rewind(file);
    requests = malloc(size + 1);
    if (fread(requests, 1, size, file) != size) fail(path);
    requests[size] = 0;
    fclose(file);
    while (at < size) {
        if (request_count + 2 > room) offsets = realloc(offsets, (room = room * 2 + 1024) * sizeof *offsets);
        offsets[request_count++] = at;
        char *end;
        long words = strtol(requests + at + 1, &end, 10);
        for (at = end + 2 - requests; words > 0; words--) {
            long length = strtol(requests + at + 1, &end, 10);
            at = end + 2 - requests + length + 2;
        }
    }
    offsets[request_count] = size;
    if (request_count == 0 || request_count % batch) {
        fprintf(stderr, "load: %zu requests are not a multiple of %ld\n", request_count, batch);
        exit(1);
    }
}

static void interest(client *c, int events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->descriptor, &event) != 0) fail("epoll_ctl");
}

static void push(client *c) {
    while (c->unsent > 0) {
        ssize_t sent = write(c->descriptor, c->send, c->unsent);
        if (sent < 0 && errno == EAGAIN) return interest(c, EPOLLIN | EPOLLOUT);
        if (sent < 0) fail("write");
        c->send += sent;
        c->unsent -= sent;
    }
}

static void take(client *c) {
    if (taken >= limit) return;
    size_t first = next_request;
    next_request = (next_request + batch) % request_count;
    taken += batch;
    c->send = requests + offsets[first];
    c->unsent = offsets[first + batch] - offsets[first];
    c->awaited = batch;
    push(c);
}

/* One line of a reply: the header of an element, or the whole of it. */
static void line(client *c) {
    long number = strtol(c->line + 1, NULL, 10);
    if (c->elements == 0) c->elements = 1;
    c->elements--;
    switch (c->line[0]) {
    case '-': errors++; break;
    case '$': case '=': if (number >= 0) c->skip = number + 2; break;
    case '*': case '~': case '>': if (number > 0) c->elements += number; break;
    case '%': c->elements += 2 * number; break;
    }
    if (c->elements == 0 && c->skip == 0) { c->awaited--; answered++; }
}

static void scan(client *c, const char *bytes, size_t count) {
    while (count > 0) {
        if (c->skip > 0) {
            size_t part = (size_t)c->skip < count ? (size_t)c->skip : count;
            bytes += part;
            count -= part;
            c->skip -= part;
            if (c->skip == 0 && c->elements == 0) { c->awaited--; answered++; }
            continue;
        }
        const char *end = memchr(bytes, '\n', count);
        size_t part = end ? (size_t)(end - bytes + 1) : count;
        size_t kept = sizeof c->line - 1 - c->line_length;
        if (kept > part) kept = part;
        memcpy(c->line + c->line_length, bytes, kept);
        c->line_length += kept;
        bytes += part;
        count -= part;
        if (!end) return;
        c->line[c->line_length] = 0;
        c->line_length = 0;
        line(c);
    }
}

static void run(client *all, long clients, long count) {
    static char input[input_size];
    struct epoll_event events[256];
    limit += count;
    for (long i = 0; i < clients; i++) take(&all[i]);
    while (answered < limit) {
        int ready = epoll_wait(poller, events, 256, 20000);
        if (ready == 0) { fprintf(stderr, "load: no reply for 20 s\n"); exit(1); }
        for (int i = 0; i < ready; i++) {
            client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) { interest(c, EPOLLIN); push(c); }
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            ssize_t got = read(c->descriptor, input, input_size);
            if (got <= 0 && errno != EAGAIN) fail("the server hung up");
            if (c->subscriber || got <= 0) continue;
            scan(c, input, got);
            if (c->awaited == 0) take(c);
        }
    }
}

static void open_client(client *c, int port) {
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (c->subscriber) {
        const char *words = "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n";
        char reply[128];
        if (write(c->descriptor, words, strlen(words)) < 0) fail("subscribe");
        if (read(c->descriptor, reply, sizeof reply) <= 0) fail("subscribe");
    }
    fcntl(c->descriptor, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->descriptor, &event) != 0) fail("epoll_ctl");
}

/* Rounds up, so that whole batches are counted. */
static long whole(long count) { return (count + batch - 1) / batch * batch; }

int main(int count, char **words) {
    if (count != 9) {
        fprintf(stderr, "usage: load PORT PID FILE CLIENTS BATCH WARMUP REQUESTS SUBSCRIBERS\n");
        return 2;
    }
    long clients = atol(words[4]), subscribers = atol(words[8]);
    batch = atol(words[5]);
    load_file(words[3]);
    poller = epoll_create1(0);
    client *all = calloc(clients + subscribers, sizeof *all);
    for (long i = 0; i < clients + subscribers; i++) {
        all[i].subscriber = i >= clients;
        open_client(&all[i], atoi(words[1]));
    }
    long warm = whole(atol(words[6])), measured = whole(atol(words[7]));
    run(all, clients, warm);
    long before_errors = errors;
    long long before = cpu(words[2]);
    double begin = now();
    run(all, clients, measured);
    double seconds = now() - begin;
    printf("%.6f %lld %ld %ld\n", seconds, cpu(words[2]) - before, measured, errors - before_errors);
    return 0;
}
