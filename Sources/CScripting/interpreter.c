// One interpreter: its memory, compiling, running.
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key = 0;

void sr_append(sr_buffer *buffer, const void *bytes, size_t count) {
    if (buffer->failed) return;
    if (count > buffer->capacity - buffer->count) {
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (capacity - buffer->count < count) capacity *= 2;
        char *grown = capacity > ((size_t)1 << 32) ? NULL : realloc(buffer->bytes, capacity);
        if (!grown) {
            buffer->failed = 1;
            return;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    if (count) memcpy(buffer->bytes + buffer->count, bytes, count);
    buffer->count += count;
}

void sr_append_text(sr_buffer *buffer, const char *text) { sr_append(buffer, text, strlen(text)); }

void sr_append_format(sr_buffer *buffer, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    int count = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (count > 0) sr_append(buffer, text, (size_t)count < sizeof text ? (size_t)count : sizeof text - 1);
}

sr_interpreter *sr_of(lua_State *lua) {
    lua_pushlightuserdata(lua, (void *)&key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    sr_interpreter *interpreter = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return interpreter;
}

static void *allocate(void *context, void *old, size_t old_size, size_t new_size) {
    sr_interpreter *interpreter = context;
    if (new_size == 0) {
        interpreter->used -= old_size;
        free(old);
        return NULL;
    }
    if (new_size > old_size && new_size - old_size > interpreter->limit - interpreter->used) return NULL;
    void *memory = realloc(old, new_size);
    if (memory) interpreter->used += new_size - old_size;
    return memory;
}

static int open_all(lua_State *lua) {
    sr_interpreter *interpreter = lua_touserdata(lua, 1);
    lua_pushlightuserdata(lua, (void *)&key);
    lua_pushlightuserdata(lua, interpreter);
    lua_rawset(lua, LUA_REGISTRYINDEX);
    luaL_openlibs(lua);
    sr_open_redis(lua);
    sr_open_cjson(lua);
    sr_open_bit(lua);
    sr_protect_globals(lua);
    return 0;
}

sr_interpreter *sr_interpreter_create(sr_host host, size_t memory_limit) {
    sr_interpreter *interpreter = calloc(1, sizeof *interpreter);
    if (!interpreter) return NULL;
    interpreter->host = host;
    interpreter->limit = memory_limit;
    interpreter->resp = 2;
    interpreter->lua = lua_newstate(allocate, interpreter);
    if (!interpreter->lua || lua_cpcall(interpreter->lua, open_all, interpreter) != 0) {
        sr_interpreter_free(interpreter);
        return NULL;
    }
    return interpreter;
}

void sr_interpreter_free(sr_interpreter *interpreter) {
    if (interpreter->lua) lua_close(interpreter->lua);
    free(interpreter->reply.bytes);
    free(interpreter->scratch.bytes);
    free(interpreter);
}

size_t sr_interpreter_memory(const sr_interpreter *interpreter) { return interpreter->used; }

typedef struct {
    sr_interpreter *interpreter;
    const char *name, *source;
    size_t length;
    int key_count, count, client_resp;
    const char *const *arguments;
    const size_t *lengths;
} job;

static int load(lua_State *lua) {
    job *work = lua_touserdata(lua, 1);
    // Compiled code could do anything to the interpreter: only text is taken.
    if (work->length > 0 && work->source[0] == '\033') return luaL_error(lua, "user_script: bytecode is refused");
    if (luaL_loadbuffer(lua, work->source, work->length, "@user_script") != 0) return lua_error(lua);
    lua_setfield(lua, LUA_REGISTRYINDEX, work->name);
    return 0;
}

int sr_script_load(sr_interpreter *interpreter, const char *name, const char *source, size_t length,
                   char *message, size_t capacity) {
    job work = {interpreter, name, source, length, 0, 0, 2, NULL, NULL};
    lua_State *lua = interpreter->lua;
    if (lua_cpcall(lua, load, &work) == 0) return 1;
    const char *text = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "unknown error";
    snprintf(message, capacity, "%s", text);
    lua_settop(lua, 0);
    return 0;
}

static int drop(lua_State *lua) {
    job *work = lua_touserdata(lua, 1);
    lua_pushnil(lua);
    lua_setfield(lua, LUA_REGISTRYINDEX, work->name);
    return 0;
}

void sr_script_drop(sr_interpreter *interpreter, const char *name) {
    job work = {interpreter, name, NULL, 0, 0, 0, 2, NULL, NULL};
    if (lua_cpcall(interpreter->lua, drop, &work) != 0) lua_settop(interpreter->lua, 0);
}

// An error as a table with the place where it was raised.
static int place_error(lua_State *lua) {
    lua_Debug where;
    int known = lua_getstack(lua, 1, &where) && lua_getinfo(lua, "Sl", &where);
    if (known && where.what[0] == 'C') known = lua_getstack(lua, 2, &where) && lua_getinfo(lua, "Sl", &where);
    if (!lua_istable(lua, 1)) {
        lua_newtable(lua);
        lua_pushliteral(lua, "ERR ");
        if (lua_isstring(lua, 1)) {
            lua_pushvalue(lua, 1);
        } else if (lua_isboolean(lua, 1)) {
            lua_pushstring(lua, lua_toboolean(lua, 1) ? "true" : "false");
        } else {
            lua_pushfstring(lua, lua_isnil(lua, 1) ? "nil" : "%s", luaL_typename(lua, 1));
        }
        lua_concat(lua, 2);
        lua_setfield(lua, -2, "err");
        lua_replace(lua, 1);
    }
    lua_settop(lua, 1);
    if (known) {
        lua_pushliteral(lua, "source");
        lua_pushstring(lua, where.source);
        lua_rawset(lua, 1);
        lua_pushliteral(lua, "line");
        lua_pushinteger(lua, where.currentline);
        lua_rawset(lua, 1);
    }
    return 1;
}

static void set_list(lua_State *lua, const char *name, const job *work, int from, int to) {
    lua_createtable(lua, to - from, 0);
    for (int index = from; index < to; index++) {
        lua_pushlstring(lua, work->arguments[index], work->lengths[index]);
        lua_rawseti(lua, -2, index - from + 1);
    }
    lua_getfield(lua, LUA_REGISTRYINDEX, "sr_globals");
    lua_insert(lua, -2);
    lua_setfield(lua, -2, name);
    lua_pop(lua, 1);
}

static const char *raw_text(lua_State *lua, int table, const char *field, size_t *length) {
    lua_pushstring(lua, field);
    lua_rawget(lua, table);
    return lua_isstring(lua, -1) ? lua_tolstring(lua, -1, length) : NULL;
}

// The error on top as a reply, with the script's name and the place.
static void write_error(lua_State *lua, job *work) {
    sr_buffer *out = &work->interpreter->reply;
    int table = lua_gettop(lua);
    if (!lua_istable(lua, table)) {
        const char *text = lua_isstring(lua, table) ? lua_tostring(lua, table) : "unknown error";
        sr_append_format(out, "-ERR %.200s script: %s\r\n", text, work->name);
        return;
    }
    size_t length = 0;
    const char *text = raw_text(lua, table, "err", &length);
    if (!text) {
        text = "ERR unknown error";
        length = strlen(text);
    }
    sr_append_text(out, "-");
    size_t start = out->count;
    sr_append(out, text, length);
    for (size_t index = start; index < out->count; index++)
        if (out->bytes[index] == '\r' || out->bytes[index] == '\n') out->bytes[index] = ' ';
    const char *source = raw_text(lua, table, "source", NULL), *line = raw_text(lua, table, "line", NULL);
    sr_append_format(out, " script: %s", work->name);
    if (source && line) sr_append_format(out, ", on %.100s:%.20s.", source, line);
    sr_append_text(out, "\r\n");
}

static int run(lua_State *lua) {
    job *work = lua_touserdata(lua, 1);
    sr_interpreter *interpreter = work->interpreter;
    set_list(lua, "KEYS", work, 0, work->key_count);
    set_list(lua, "ARGV", work, work->key_count, work->count);
    lua_pushcfunction(lua, place_error);
    lua_getfield(lua, LUA_REGISTRYINDEX, work->name);
    if (lua_pcall(lua, 0, 1, 2) != 0) {
        write_error(lua, work);
    } else {
        sr_write_reply(lua, &interpreter->reply, work->client_resp, 0);
    }
    return 0;
}

void sr_script_run(sr_interpreter *interpreter, const char *name, int key_count, int count,
                   const char *const *arguments, const size_t *lengths, int client_resp,
                   const char **reply, size_t *length) {
    job work = {interpreter, name, NULL, 0, key_count, count, client_resp, arguments, lengths};
    lua_State *lua = interpreter->lua;
    interpreter->reply.count = 0;
    interpreter->reply.failed = 0;
    interpreter->resp = 2;
    interpreter->random = 0x1234ABCD330EULL;
    if (lua_cpcall(lua, run, &work) != 0 || interpreter->reply.failed) {
        interpreter->reply.count = 0;
        interpreter->reply.failed = 0;
        sr_append_format(&interpreter->reply, "-ERR not enough memory script: %s\r\n", name);
    }
    lua_settop(lua, 0);
    lua_gc(lua, LUA_GCSTEP, 10);
    if (interpreter->used > interpreter->limit / 2) lua_gc(lua, LUA_GCCOLLECT, 0);
    if (interpreter->scratch.capacity > 1 << 20) {
        free(interpreter->scratch.bytes);
        memset(&interpreter->scratch, 0, sizeof interpreter->scratch);
    }
    *reply = interpreter->reply.bytes ? interpreter->reply.bytes : "-ERR not enough memory\r\n";
    *length = interpreter->reply.bytes ? interpreter->reply.count : 24;
}
