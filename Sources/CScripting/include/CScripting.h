#ifndef CSCRIPTING_H
#define CSCRIPTING_H

// Lua 5.1 for scripts and functions. Everything that Lua may leave by longjmp is C: no Swift frame ever lies between a
// protected call and an error. The host's callbacks never raise; they answer bytes.

#include <stddef.h>
#include <stdint.h>

typedef struct sr_interpreter sr_interpreter;
typedef struct sr_debugger sr_debugger;

typedef struct {
    void *context;
    /// Runs a command; answers its reply as RESP, good until the next call. `repl`: what redis.set_repl chose. 1: it
    /// was refused, and did not run.
    int (*call)(void *context, int count, const char *const *arguments, const size_t *lengths, int resp, int repl,
                const char **reply, size_t *length);
    void (*log)(void *context, int level, const char *text, size_t length);
    /// 1: there is such a command and the user may run it; 0: may not; -1: no such command.
    int (*permits)(void *context, int count, const char *const *arguments, const size_t *lengths);
    /// Writes 40 hexadecimal digits.
    void (*sha1hex)(const char *text, size_t length, char *digest);
    /// Called after some thousand instructions each; NULL, or the error (terminated, static) that ends the script.
    const char *(*tick)(void *context);
    /// redis.register_function; `description` may be NULL. NULL, or the error (terminated, static).
    const char *(*registers)(void *context, const char *name, size_t length, const char *description,
                             size_t description_length, unsigned flags, int handle);
} sr_host;

/// Bits of a function's flags.
enum { sr_no_writes = 1, sr_allow_oom = 2, sr_allow_stale = 4, sr_no_cluster = 8, sr_allow_cross_slot_keys = 16 };

/// NULL: no memory.
/// - Parameter is_functions: for libraries of functions, which see other globals than scripts do.
sr_interpreter *sr_interpreter_create(sr_host host, size_t memory_limit, int is_functions);
/// From now on; of what is held already the garbage goes.
void sr_interpreter_limit(sr_interpreter *interpreter, size_t memory_limit);
void sr_interpreter_free(sr_interpreter *interpreter);
/// The last reply was taken: a big one's memory is given back.
void sr_interpreter_trim(sr_interpreter *interpreter);
/// Bytes that Lua holds, garbage among them.
size_t sr_interpreter_memory(const sr_interpreter *interpreter);

/// Compiles a script and keeps it. Its handle, above 0; or 0, and `message` (terminated) says why.
int sr_script_load(sr_interpreter *interpreter, const char *source, size_t length, char *message, size_t capacity);
void sr_script_drop(sr_interpreter *interpreter, int handle);

/// Runs a kept script; its reply as RESP is good until the next run. `name`: what errors call it.
void sr_script_run(sr_interpreter *interpreter, int handle, const char *name, int key_count, int count,
                   const char *const *arguments, const size_t *lengths, int client_resp,
                   const char **reply, size_t *length);

/// Runs a library, which registers its functions. 1: done; else `message` (terminated) says why, and what was
/// registered is to be dropped.
int sr_library_load(sr_interpreter *interpreter, const char *source, size_t length, char *message, size_t capacity);
/// How a debugger speaks with its user. Neither raises.
typedef struct {
    void *context;
    /// Bytes for the user.
    void (*show)(void *context, const char *bytes, size_t length);
    /// Waits for a command: its arguments, terminated, good until the next call. 0: the user has left; -1: it was none.
    int (*next)(void *context, const char *const **arguments, const size_t **lengths);
} sr_debug_link;

/// NULL: no memory. `limit`: seconds after which a script that runs on is stopped; 0: none.
sr_debugger *sr_debugger_create(sr_debug_link link, const char *source, size_t length, double limit);
/// Says goodbye, and is gone.
void sr_debugger_end(sr_debugger *debugger);
/// Runs from now on are debugged; NULL: they are not.
void sr_interpreter_debug(sr_interpreter *interpreter, sr_debugger *debugger);

void sr_function_drop(sr_interpreter *interpreter, int handle);
/// Runs a registered function, as `sr_script_run`.
void sr_function_run(sr_interpreter *interpreter, int handle, const char *name, int key_count, int count,
                     const char *const *arguments, const size_t *lengths, int client_resp,
                     const char **reply, size_t *length);

#endif
