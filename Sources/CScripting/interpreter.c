// One interpreter: its memory, compiling, running, ending.
//
// A count hook asks the host every `tick_instructions` whether the script may go on. Once it may not, the hook fires at
// every line, and pcall hands on what it would have caught: the script ends.
#include "debugger.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { tick_instructions = 10000 };

/// Lua collects while memory is asked for, in steps. What a run leaves beyond twice of what there was, and this many
/// bytes, is collected at once.
static const size_t garbage_slack = 1 << 20;

/// Bytes of one reply or packed value, and of a source: counters inside of Lua are ints.
static const size_t largest_buffer = (size_t)1 << 30, largest_source = (size_t)512 << 20;

void sr_append(sr_buffer *buffer, const void *bytes, size_t count) {
    if (buffer->failed) return;
    if (count > buffer->capacity - buffer->count) {
        if (count > largest_buffer || buffer->count > largest_buffer - count) {
            buffer->failed = 1;
            return;
        }
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (capacity - buffer->count < count) capacity *= 2;
        char *grown = sr_try_realloc(buffer->bytes, capacity);
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

// Digits before `end`; where they begin.
static char *write_digits(char *end, long long number) {
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do *--end = (char)('0' + left % 10); while (left /= 10);
    if (number < 0) *--end = '-';
    return end;
}

void sr_append_integer(sr_buffer *buffer, long long number) {
    char text[24], *end = text + sizeof text, *start = write_digits(end, number);
    sr_append(buffer, start, (size_t)(end - start));
}

void sr_append_header(sr_buffer *buffer, char mark, long long number) {
    char text[32], *end = text + sizeof text;
    end[-1] = '\n';
    end[-2] = '\r';
    char *start = write_digits(end - 2, number);
    *--start = mark;
    sr_append(buffer, start, (size_t)(end - start));
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

static void shrink(sr_buffer *buffer) {
    if (buffer->capacity <= 1 << 20) return;
    sr_free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

// The allocator's context is the interpreter.
sr_interpreter *sr_of(lua_State *lua) {
    void *context;
    lua_getallocf(lua, &context);
    return context;
}

sr_buffer *sr_scratch(lua_State *lua) {
    sr_buffer *scratch = &sr_of(lua)->scratch;
    scratch->count = 0;
    scratch->failed = 0;
    return scratch;
}

// MARK: Memory

// The class of small blocks, or one beyond them.
static size_t class_of(size_t size) {
    size_t class = (size + block_step - 1) / block_step - 1;
    return class < block_classes ? class : block_classes;
}

static void *take(sr_interpreter *interpreter, size_t size) {
    size_t class = class_of(size);
    if (class == block_classes) return sr_try_realloc(NULL, size);
    void *block = interpreter->blocks[class];
    if (!block) return sr_try_realloc(NULL, (class + 1) * block_step);
    memcpy(&interpreter->blocks[class], block, sizeof block);
    interpreter->block_count[class]--;
    return block;
}

static void give(sr_interpreter *interpreter, void *block, size_t size) {
    size_t class = class_of(size);
    if (class == block_classes || interpreter->block_count[class] == kept_blocks) {
        sr_free(block);
        return;
    }
    memcpy(block, &interpreter->blocks[class], sizeof block);
    interpreter->blocks[class] = block;
    interpreter->block_count[class]++;
}

static void *resize(sr_interpreter *interpreter, void *old, size_t old_size, size_t new_size) {
    size_t old_class = class_of(old_size), new_class = class_of(new_size);
    if (old_class == new_class) return old_class < block_classes ? old : sr_try_realloc(old, new_size);
    void *moved = take(interpreter, new_size);
    // What shrinks may stay where it is.
    if (!moved) return new_size < old_size ? old : NULL;
    memcpy(moved, old, old_size < new_size ? old_size : new_size);
    give(interpreter, old, old_size);
    return moved;
}

static void *allocate(void *context, void *old, size_t old_size, size_t new_size) {
    sr_interpreter *interpreter = context;
    if (new_size == 0) {
        if (old) {
            interpreter->used -= old_size;
            give(interpreter, old, old_size);
        }
        return NULL;
    }
    if (!old) old_size = 0;
    // What shrinks is never refused: Lua relies on it.
    if (new_size > old_size && !interpreter->is_collecting
        && (interpreter->used >= interpreter->limit || new_size - old_size > interpreter->limit - interpreter->used))
        return NULL;
    void *memory = old ? resize(interpreter, old, old_size, new_size) : take(interpreter, new_size);
    if (memory) interpreter->used = interpreter->used - old_size + new_size;
    return memory;
}

static int collect_all(lua_State *lua) {
    lua_gc(lua, LUA_GCCOLLECT, 0);
    return 0;
}

// Each collection halves the table of strings at most, and needs memory for that: what is over the limit could never
// shrink within it. Protected, for outside of a call an error of the collector would end the process.
static void collect_garbage(sr_interpreter *interpreter) {
    size_t before;
    interpreter->is_collecting = 1;
    do {
        before = interpreter->used;
        if (lua_cpcall(interpreter->lua, collect_all, NULL) != 0) lua_settop(interpreter->lua, 0);
    } while (interpreter->used < before - before / 8);
    interpreter->is_collecting = 0;
    interpreter->collected = interpreter->used;
}

static void collect_if_grown(sr_interpreter *interpreter) {
    size_t grown = interpreter->used > interpreter->collected ? interpreter->used - interpreter->collected : 0;
    if (grown > interpreter->collected + garbage_slack
        || (interpreter->used > interpreter->limit / 2 && grown > interpreter->limit / 16))
        collect_garbage(interpreter);
}

// MARK: Ticks

void sr_rest_hook(sr_interpreter *interpreter) {
    lua_sethook(interpreter->lua, sr_hook, LUA_MASKCOUNT, tick_instructions);
}

void sr_hook(lua_State *lua, lua_Debug *where) {
    sr_interpreter *interpreter = sr_of(lua);
    if (!interpreter->end) {
        interpreter->end = interpreter->debugger ? sr_debug_hook(lua, where, interpreter->debugger)
            : interpreter->host.tick(interpreter->host.context);
    }
    if (!interpreter->end) {
        // A coroutine that outlived the script in which it was ended, or debugged.
        if (!interpreter->debugger && lua_gethookmask(lua) & LUA_MASKLINE)
            lua_sethook(lua, sr_hook, LUA_MASKCOUNT, tick_instructions);
        return;
    }
    lua_sethook(lua, sr_hook, LUA_MASKLINE | LUA_MASKCOUNT, 1);
    sr_push_error(lua, interpreter->end, strlen(interpreter->end));
    lua_error(lua);
}

// MARK: Life

static int run(lua_State *lua);

static int open_all(lua_State *lua) {
    sr_interpreter *interpreter = lua_touserdata(lua, 1);
    luaL_openlibs(lua);
    sr_open_redis(lua);
    sr_open_cjson(lua);
    sr_open_cmsgpack(lua);
    sr_open_struct(lua);
    sr_open_bit(lua);
    sr_protect_globals(lua, interpreter->is_functions);
    lua_getfield(lua, LUA_REGISTRYINDEX, "sr_globals");
    lua_pushcfunction(lua, sr_place_error);
    lua_pushcclosure(lua, run, 2);
    interpreter->script_runner = luaL_ref(lua, LUA_REGISTRYINDEX);
    sr_open_functions(lua);
    return 0;
}

void sr_interpreter_limit(sr_interpreter *interpreter, size_t memory_limit) {
    interpreter->limit = memory_limit;
    if (interpreter->used > memory_limit / 2) collect_garbage(interpreter);
}

sr_interpreter *sr_interpreter_create(sr_host host, size_t memory_limit, int is_functions) {
    sr_interpreter *interpreter = calloc(1, sizeof *interpreter);
    if (!interpreter) return NULL;
    interpreter->host = host;
    interpreter->limit = memory_limit;
    interpreter->is_functions = is_functions;
    interpreter->resp = 2;
    interpreter->lua = lua_newstate(allocate, interpreter);
    if (!interpreter->lua || lua_cpcall(interpreter->lua, open_all, interpreter) != 0) {
        sr_interpreter_free(interpreter);
        return NULL;
    }
    sr_rest_hook(interpreter);
    collect_garbage(interpreter);
    return interpreter;
}

void sr_interpreter_free(sr_interpreter *interpreter) {
    if (interpreter->lua) lua_close(interpreter->lua);
    for (size_t class = 0; class < block_classes; class++) {
        for (void *block = interpreter->blocks[class], *next; block; block = next) {
            memcpy(&next, block, sizeof next);
            sr_free(block);
        }
    }
    sr_free(interpreter->reply.bytes);
    sr_free(interpreter->scratch.bytes);
    free(interpreter);
}

void sr_interpreter_trim(sr_interpreter *interpreter) { shrink(&interpreter->reply); }

size_t sr_interpreter_memory(const sr_interpreter *interpreter) { return interpreter->used; }

// MARK: Scripts

int sr_compile(lua_State *lua, const char *text, size_t length, const char *name) {
    // Compiled code could do anything to the interpreter, and what is longer than an int counts would mislead it.
    if (length > 0 && text[0] == '\033') {
        lua_pushliteral(lua, "attempt to load bytecode");
        return LUA_ERRSYNTAX;
    }
    if (length > largest_source) {
        lua_pushliteral(lua, "source is too long");
        return LUA_ERRSYNTAX;
    }
    // The parser keeps the name without holding on to it: while it is here, the collector leaves it alone.
    luaL_checkstack(lua, 4, "too many nested calls");
    lua_pushstring(lua, name);
    int status = luaL_loadbuffer(lua, text, length, lua_tostring(lua, -1));
    lua_remove(lua, -2);
    return status;
}

static int load(lua_State *lua) {
    sr_job *work = lua_touserdata(lua, 1);
    if (sr_compile(lua, work->source, work->length, "@user_script") != 0) return lua_error(lua);
    work->handle = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

int sr_script_load(sr_interpreter *interpreter, const char *source, size_t length, char *message, size_t capacity) {
    sr_job work = {.interpreter = interpreter, .source = source, .length = length};
    lua_State *lua = interpreter->lua;
    if (lua_cpcall(lua, load, &work) != 0) {
        const char *text = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "unknown error";
        snprintf(message, capacity, "%s", text);
        lua_settop(lua, 0);
    }
    collect_if_grown(interpreter);
    return work.handle;
}

static int drop(lua_State *lua) {
    sr_job *work = lua_touserdata(lua, 1);
    luaL_unref(lua, LUA_REGISTRYINDEX, work->handle);
    return 0;
}

void sr_script_drop(sr_interpreter *interpreter, int handle) {
    sr_job work = {.interpreter = interpreter, .handle = handle};
    if (lua_cpcall(interpreter->lua, drop, &work) != 0) lua_settop(interpreter->lua, 0);
}

// MARK: Errors

int sr_place_error(lua_State *lua) {
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

static const char *raw_text(lua_State *lua, int table, const char *field, size_t *length) {
    lua_pushstring(lua, field);
    lua_rawget(lua, table);
    return lua_isstring(lua, -1) ? lua_tolstring(lua, -1, length) : NULL;
}

// The error on top as a reply, with the script's name and the place.
static void write_error(lua_State *lua, sr_job *work) {
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

// MARK: Running

void sr_push_list(lua_State *lua, const sr_job *work, int from, int to) {
    lua_createtable(lua, to - from, 0);
    for (int index = from; index < to; index++) {
        lua_pushlstring(lua, work->arguments[index], work->lengths[index]);
        lua_rawseti(lua, -2, index - from + 1);
    }
}

void sr_call_and_reply(lua_State *lua, sr_job *work, int arguments, int handler) {
    if (lua_pcall(lua, arguments, 1, handler) != 0) {
        write_error(lua, work);
    } else {
        sr_write_reply(lua, &work->interpreter->reply, work->client_resp, 0);
    }
}

// A closure over the scripts' globals and sr_place_error.
static int run(lua_State *lua) {
    sr_job *work = lua_touserdata(lua, 1);
    sr_push_list(lua, work, 0, work->key_count);
    lua_setfield(lua, lua_upvalueindex(1), "KEYS");
    sr_push_list(lua, work, work->key_count, work->count);
    lua_setfield(lua, lua_upvalueindex(1), "ARGV");
    lua_pushvalue(lua, lua_upvalueindex(2));
    lua_rawgeti(lua, LUA_REGISTRYINDEX, work->handle);
    sr_call_and_reply(lua, work, 0, 2);
    return 0;
}

void sr_run_job(sr_interpreter *interpreter, int body, sr_job *work, const char **reply, size_t *length) {
    lua_State *lua = interpreter->lua;
    interpreter->reply.count = 0;
    interpreter->reply.failed = 0;
    interpreter->resp = 2;
    interpreter->repl = 3;
    interpreter->end = NULL;
    interpreter->random = 0x1234ABCD330EULL;
    // Of what comes before the protected call nothing asks for memory.
    lua_rawgeti(lua, LUA_REGISTRYINDEX, body);
    lua_pushlightuserdata(lua, work);
    if (lua_pcall(lua, 1, 0, 0) != 0 || interpreter->reply.failed) {
        interpreter->reply.count = 0;
        interpreter->reply.failed = 0;
        sr_append_format(&interpreter->reply, "-ERR not enough memory script: %s\r\n", work->name);
    }
    lua_settop(lua, 0);
    if (interpreter->end) {
        interpreter->end = NULL;
        sr_rest_hook(interpreter);
    }
    collect_if_grown(interpreter);
    shrink(&interpreter->scratch);
    *reply = interpreter->reply.bytes ? interpreter->reply.bytes : "-ERR not enough memory\r\n";
    *length = interpreter->reply.bytes ? interpreter->reply.count : 24;
}

void sr_script_run(sr_interpreter *interpreter, int handle, const char *name, int key_count, int count,
                   const char *const *arguments, const size_t *lengths, int client_resp,
                   const char **reply, size_t *length) {
    sr_job work = {.interpreter = interpreter, .name = name, .handle = handle, .key_count = key_count, .count = count,
                   .client_resp = client_resp, .arguments = arguments, .lengths = lengths};
    sr_run_job(interpreter, interpreter->script_runner, &work, reply, length);
}
