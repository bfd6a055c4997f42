#ifndef CSCRIPTING_H
#define CSCRIPTING_H

// Lua 5.1 for scripts. Everything that Lua may leave by longjmp is C: no Swift frame ever lies between a protected
// call and an error. The host's callbacks never raise; they answer bytes.

#include <stddef.h>
#include <stdint.h>

typedef struct sr_interpreter sr_interpreter;

typedef struct {
    void *context;
    /// Runs a command; answers its reply as RESP, good until the next call.
    void (*call)(void *context, int count, const char *const *arguments, const size_t *lengths, int resp,
                 const char **reply, size_t *length);
    void (*log)(void *context, int level, const char *text, size_t length);
    /// 1: there is such a command and the user may run it; 0: may not; -1: no such command.
    int (*permits)(void *context, int count, const char *const *arguments, const size_t *lengths);
    /// Writes 40 hexadecimal digits.
    void (*sha1hex)(const char *text, size_t length, char *digest);
} sr_host;

/// NULL: no memory.
sr_interpreter *sr_interpreter_create(sr_host host, size_t memory_limit);
void sr_interpreter_free(sr_interpreter *interpreter);
size_t sr_interpreter_memory(const sr_interpreter *interpreter);

/// Compiles a script and keeps it under `name`. 1: done; else `message` (terminated) says why.
int sr_script_load(sr_interpreter *interpreter, const char *name, const char *source, size_t length,
                   char *message, size_t capacity);
void sr_script_drop(sr_interpreter *interpreter, const char *name);

/// Runs a kept script; its reply as RESP is good until the next run.
void sr_script_run(sr_interpreter *interpreter, const char *name, int key_count, int count,
                   const char *const *arguments, const size_t *lengths, int client_resp,
                   const char **reply, size_t *length);

#endif
