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
void sr_append_text(sr_buffer *buffer, const char *text);
void sr_append_format(sr_buffer *buffer, const char *format, ...);

struct sr_interpreter {
    lua_State *lua;
    sr_host host;
    size_t used, limit;
    /// 2 or 3: how replies of redis.call are converted.
    int resp;
    /// Seed of math.random, set anew for every script.
    uint64_t random;
    sr_buffer reply;
    /// Scratch of the libraries: kept here so that an error raised midway leaks nothing.
    sr_buffer scratch;
};

sr_interpreter *sr_of(lua_State *lua);
/// Errors as a table {err = ...}: pushed.
void sr_push_error(lua_State *lua, const char *text, size_t length);
/// The RESP value at *next, pushed; *next moves behind it.
void sr_push_reply(lua_State *lua, const char **next, int depth);
/// The value on top as a reply for a client; popped.
void sr_write_reply(lua_State *lua, sr_buffer *out, int resp, int depth);

void sr_open_redis(lua_State *lua);
void sr_open_cjson(lua_State *lua);
void sr_open_bit(lua_State *lua);
void sr_protect_globals(lua_State *lua);

#endif
