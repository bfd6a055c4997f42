#ifndef CSCRIPTING_INTERNAL_H
#define CSCRIPTING_INTERNAL_H

#include "CScripting.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/// Bytes that grow; `failed` once memory ran out, after which nothing is added.
typedef struct {
    char *bytes;
    size_t count, capacity;
    int failed;
} sr_buffer;

void sr_append(sr_buffer *buffer, const void *bytes, size_t count);
void sr_append_integer(sr_buffer *buffer, long long number);
/// `mark`, the number and the end of a line.
void sr_append_header(sr_buffer *buffer, char mark, long long number);
void sr_append_text(sr_buffer *buffer, const char *text);
void sr_append_format(sr_buffer *buffer, const char *format, ...);

enum { block_step = 16, block_classes = 16, kept_blocks = 64 };

struct sr_interpreter {
    lua_State *lua;
    sr_host host;
    size_t used, limit;
    /// What Lua held after the last whole collection.
    size_t collected;
    /// The collector runs: it may ask for memory beyond the limit, to shrink a table, and gives back more.
    int is_collecting;
    /// Free blocks of 16, 32, ... 256 bytes that are kept for the next use, and how many; each holds the next one.
    void *blocks[block_classes];
    int block_count[block_classes];
    /// References to what runs jobs: C closures that are made once.
    int script_runner, function_runner, library_loader;
    int is_functions;
    /// A library runs, and registers its functions.
    int is_loading;
    /// NULL: runs are not debugged.
    sr_debugger *debugger;
    /// Why the running script is to end, whatever it catches; NULL: it is not.
    const char *end;
    /// 2 or 3: how replies of redis.call are converted.
    int resp;
    /// What is logged of the script's commands: 1 the log, 2 replicas, 3 both.
    int repl;
    /// Handles given to functions so far.
    int handles;
    /// Seed of math.random, set anew for every script.
    uint64_t random;
    sr_buffer reply;
    /// Scratch of the libraries: kept here so that an error raised midway leaks nothing.
    sr_buffer scratch;
};

typedef struct {
    sr_interpreter *interpreter;
    const char *name, *source;
    size_t length;
    int handle, key_count, count, client_resp;
    const char *const *arguments;
    const size_t *lengths;
} sr_job;

sr_interpreter *sr_of(lua_State *lua);
/// The hook of all interpreters, and setting it as it is while no script runs.
void sr_hook(lua_State *lua, lua_Debug *where);
void sr_rest_hook(sr_interpreter *interpreter);
int sr_redis_call(lua_State *lua);
/// The interpreter's scratch, emptied.
sr_buffer *sr_scratch(lua_State *lua);
/// Errors as a table {err = ...}: pushed.
void sr_push_error(lua_State *lua, const char *text, size_t length);
/// The message handler of protected calls: the error as a table that knows where it was raised.
int sr_place_error(lua_State *lua);
/// As luaL_loadbuffer, of text alone: 0, or an error with its message pushed.
int sr_compile(lua_State *lua, const char *text, size_t length, const char *name);
/// A table of the job's arguments, pushed.
void sr_push_list(lua_State *lua, const sr_job *work, int from, int to);
/// Runs the closure that `body` refers to with the job and leaves the reply in the interpreter.
void sr_run_job(sr_interpreter *interpreter, int body, sr_job *work, const char **reply, size_t *length);
/// Calls the function on the stack with the `arguments` on it; its result is written as the reply.
void sr_call_and_reply(lua_State *lua, sr_job *work, int arguments, int handler);
/// The RESP value at *next, pushed; *next moves behind it.
void sr_push_reply(lua_State *lua, const char **next, int depth);
/// The value on top as a reply for a client; popped.
void sr_write_reply(lua_State *lua, sr_buffer *out, int resp, int depth);

void sr_open_redis(lua_State *lua);
/// The closures that run functions and load libraries.
void sr_open_functions(lua_State *lua);
void sr_open_cjson(lua_State *lua);
void sr_open_cmsgpack(lua_State *lua);
void sr_open_struct(lua_State *lua);
void sr_open_bit(lua_State *lua);
/// Pushes what a library sees as `redis` while it is loaded.
void sr_push_loading_redis(lua_State *lua);
void sr_protect_globals(lua_State *lua, int is_functions);
/// Of an interpreter of functions: whether code sees the globals of a library that is being loaded.
void sr_show_loading(lua_State *lua, int is_loading);

#endif
