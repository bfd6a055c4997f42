// Replies into Lua values, and Lua values into replies.
//
//     integer ↔ number (cut off towards zero)    bulk ↔ string    null → false    false, nil → null
//     array ↔ table (up to its first nil)        status ↔ {ok = }                error ↔ {err = }
//     RESP3: map ↔ {map = }  set ↔ {set = }  double ↔ {double = }  boolean ↔ true, false  null → nil
//            big number ↔ {big_number = }  verbatim ↔ {verbatim_string = {string =, format =}}
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { deepest = 500 };

static const char *line_end(const char *next) {
    const char *end = next;
    while (*end != '\r') end++;
    return end;
}

static void push_field(lua_State *lua, const char *name, const char *text, size_t length) {
    lua_newtable(lua);
    lua_pushlstring(lua, text, length);
    lua_setfield(lua, -2, name);
}

static void push_bulk(lua_State *lua, const char **next, long length) {
    lua_pushlstring(lua, *next, (size_t)length);
    *next += length + 2;
}

static void push_verbatim(lua_State *lua, const char **next, long length) {
    lua_newtable(lua);
    lua_newtable(lua);
    lua_pushlstring(lua, *next, 3);
    lua_setfield(lua, -2, "format");
    lua_pushlstring(lua, *next + 4, (size_t)length - 4);
    lua_setfield(lua, -2, "string");
    lua_setfield(lua, -2, "verbatim_string");
    *next += length + 2;
}

static void push_array(lua_State *lua, const char **next, long count, int depth) {
    lua_createtable(lua, (int)(count < 65536 ? count : 65536), 0);
    for (long index = 1; index <= count; index++) {
        sr_push_reply(lua, next, depth + 1);
        lua_rawseti(lua, -2, (int)index);
    }
}

static void push_map(lua_State *lua, const char **next, long count, int depth) {
    lua_newtable(lua);
    lua_newtable(lua);
    for (long index = 0; index < count; index++) {
        sr_push_reply(lua, next, depth + 1);
        sr_push_reply(lua, next, depth + 1);
        if (lua_isnil(lua, -2)) lua_pop(lua, 2); else lua_rawset(lua, -3);
    }
    lua_setfield(lua, -2, "map");
}

static void push_set(lua_State *lua, const char **next, long count, int depth) {
    lua_newtable(lua);
    lua_newtable(lua);
    for (long index = 0; index < count; index++) {
        sr_push_reply(lua, next, depth + 1);
        lua_pushboolean(lua, 1);
        if (lua_isnil(lua, -2)) lua_pop(lua, 2); else lua_rawset(lua, -3);
    }
    lua_setfield(lua, -2, "set");
}

static void push_double(lua_State *lua, const char *text) {
    double value = strtod(text, NULL);
    lua_newtable(lua);
    lua_pushnumber(lua, value);
    lua_setfield(lua, -2, "double");
}

// Attributes are passed over: what they stand before is the reply.
static void push_behind_attributes(lua_State *lua, const char **next, long count, int depth) {
    for (long index = 0; index < 2 * count; index++) {
        sr_push_reply(lua, next, depth + 1);
        lua_pop(lua, 1);
    }
    sr_push_reply(lua, next, depth + 1);
}

// The number that a line begins with; replies are the server's own, and none is out of range.
static long long number_of(const char *text) {
    int is_negative = *text == '-';
    unsigned long long value = 0;
    for (text += is_negative; *text >= '0' && *text <= '9'; text++) value = value * 10 + (unsigned)(*text - '0');
    return (long long)(is_negative ? 0 - value : value);
}

void sr_push_reply(lua_State *lua, const char **next, int depth) {
    if (depth > deepest || !lua_checkstack(lua, 8)) luaL_error(lua, "reached lua stack limit");
    char mark = **next;
    const char *text = *next + 1, *end = line_end(text);
    size_t length = (size_t)(end - text);
    long number = (long)number_of(text);
    *next = end + 2;
    switch (mark) {
    case ':': lua_pushnumber(lua, (lua_Number)number); break;
    case '+': push_field(lua, "ok", text, length); break;
    case '-': push_field(lua, "err", text, length); break;
    case '$': if (number < 0) lua_pushboolean(lua, 0); else push_bulk(lua, next, number); break;
    case '>':
    case '*': if (number < 0) lua_pushboolean(lua, 0); else push_array(lua, next, number, depth); break;
    case '|': push_behind_attributes(lua, next, number, depth); break;
    case '%': push_map(lua, next, number, depth); break;
    case '~': push_set(lua, next, number, depth); break;
    case '_': lua_pushnil(lua); break;
    case '#': lua_pushboolean(lua, *text == 't'); break;
    case ',': push_double(lua, text); break;
    case '(': push_field(lua, "big_number", text, length); break;
    case '=': push_verbatim(lua, next, number); break;
    default: lua_pushnil(lua); break;
    }
}

// The raw field of the table on top, if it has the type wanted: pushed and 1, or nothing and 0.
static int field(lua_State *lua, const char *name, int type) {
    lua_pushstring(lua, name);
    lua_rawget(lua, -2);
    if (lua_type(lua, -1) == type) return 1;
    lua_pop(lua, 1);
    return 0;
}

static void write_line(sr_buffer *out, char mark, const char *text, size_t length) {
    sr_append(out, &mark, 1);
    size_t start = out->count;
    sr_append(out, text, length);
    if (!out->failed)
        for (size_t index = start; index < out->count; index++)
            if (out->bytes[index] == '\r' || out->bytes[index] == '\n') out->bytes[index] = ' ';
    sr_append(out, "\r\n", 2);
}

static void write_bulk(sr_buffer *out, const char *text, size_t length) {
    sr_append_header(out, '$', (long long)length);
    sr_append(out, text, length);
    sr_append(out, "\r\n", 2);
}

static void write_double(sr_buffer *out, double value, int resp) {
    char text[64];
    int count;
    if (isinf(value)) {
        count = snprintf(text, sizeof text, value > 0 ? "inf" : "-inf");
    } else if (isnan(value)) {
        count = snprintf(text, sizeof text, "nan");
    } else {
        count = snprintf(text, sizeof text, "%.17g", value);
    }
    if (resp == 3) sr_append_format(out, ",%s\r\n", text); else write_bulk(out, text, (size_t)count);
}

static long long whole(double value) {
    // What does not fit is as x86 converts it.
    if (!(value > -9223372036854775808.0 && value < 9223372036854775808.0)) return INT64_MIN;
    return (long long)value;
}

static void write_map(lua_State *lua, sr_buffer *out, int resp, int depth) {
    long count = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) count++;
    sr_append_format(out, resp == 3 ? "%%%ld\r\n" : "*%ld\r\n", resp == 3 ? count : count * 2);
    for (lua_pushnil(lua); lua_next(lua, -2);) {
        lua_pushvalue(lua, -2);
        sr_write_reply(lua, out, resp, depth + 1);
        sr_write_reply(lua, out, resp, depth + 1);
    }
}

static void write_set(lua_State *lua, sr_buffer *out, int resp, int depth) {
    long count = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) count++;
    sr_append_format(out, resp == 3 ? "~%ld\r\n" : "*%ld\r\n", count);
    for (lua_pushnil(lua); lua_next(lua, -2);) {
        lua_pop(lua, 1);
        lua_pushvalue(lua, -1);
        sr_write_reply(lua, out, resp, depth + 1);
    }
}

// Replaces the header from `start` to `end`.
static void correct_header(sr_buffer *out, size_t start, size_t end, int count) {
    sr_buffer right = {0};
    char room[32];
    right.bytes = room;
    right.capacity = sizeof room;
    sr_append_header(&right, '*', count);
    size_t before = end - start, rest = out->count - end;
    // The room is there afterwards; what it holds does not matter.
    if (right.count > before) sr_append(out, room, right.count - before);
    if (out->failed) return;
    memmove(out->bytes + start + right.count, out->bytes + end, rest);
    memcpy(out->bytes + start, room, right.count);
    out->count = start + right.count + rest;
}

static void write_array(lua_State *lua, sr_buffer *out, int resp, int depth) {
    // A table without holes ends where Lua says; otherwise the header is corrected.
    int expected = (int)lua_objlen(lua, -1), count = 0;
    size_t start = out->count;
    sr_append_header(out, '*', expected);
    size_t first = out->count;
    for (;; count++) {
        lua_rawgeti(lua, -1, count + 1);
        // What most elements are, without asking for anything else.
        int type = lua_type(lua, -1);
        if (type == LUA_TNIL) break;
        if (type == LUA_TSTRING) {
            size_t length;
            const char *text = lua_tolstring(lua, -1, &length);
            write_bulk(out, text, length);
            lua_pop(lua, 1);
        } else if (type == LUA_TNUMBER) {
            sr_append_header(out, ':', whole(lua_tonumber(lua, -1)));
            lua_pop(lua, 1);
        } else {
            sr_write_reply(lua, out, resp, depth + 1);
        }
    }
    lua_pop(lua, 1);
    if (count != expected && !out->failed) correct_header(out, start, first, count);
}

static int write_verbatim(lua_State *lua, sr_buffer *out, int resp) {
    size_t length, format_length;
    int top = lua_gettop(lua);
    if (!field(lua, "verbatim_string", LUA_TTABLE)) return 0;
    if (field(lua, "format", LUA_TSTRING)) {
        const char *format = lua_tolstring(lua, -1, &format_length);
        lua_insert(lua, -2);
        if (format_length >= 3 && field(lua, "string", LUA_TSTRING)) {
            const char *text = lua_tolstring(lua, -1, &length);
            if (resp == 3) {
                sr_append_format(out, "=%zu\r\n%.3s:", length + 4, format);
                sr_append(out, text, length);
                sr_append(out, "\r\n", 2);
            } else {
                write_bulk(out, text, length);
            }
            lua_settop(lua, top);
            return 1;
        }
    }
    lua_settop(lua, top);
    return 0;
}

static void write_table(lua_State *lua, sr_buffer *out, int resp, int depth) {
    size_t length;
    const char *text;
    if (field(lua, "err", LUA_TSTRING)) {
        text = lua_tolstring(lua, -1, &length);
        write_line(out, '-', text, length);
    } else if (field(lua, "ok", LUA_TSTRING)) {
        text = lua_tolstring(lua, -1, &length);
        write_line(out, '+', text, length);
    } else if (field(lua, "double", LUA_TNUMBER)) {
        write_double(out, lua_tonumber(lua, -1), resp);
    } else if (field(lua, "map", LUA_TTABLE)) {
        write_map(lua, out, resp, depth);
    } else if (field(lua, "set", LUA_TTABLE)) {
        write_set(lua, out, resp, depth);
    } else if (field(lua, "big_number", LUA_TSTRING)) {
        text = lua_tolstring(lua, -1, &length);
        if (resp == 3) write_line(out, '(', text, length); else write_bulk(out, text, length);
    } else if (!write_verbatim(lua, out, resp)) {
        write_array(lua, out, resp, depth);
    }
}

void sr_write_reply(lua_State *lua, sr_buffer *out, int resp, int depth) {
    int below = lua_gettop(lua) - 1;
    size_t length;
    if (depth > deepest || !lua_checkstack(lua, 8)) {
        sr_append_text(out, "-ERR reached lua stack limit\r\n");
        lua_settop(lua, below);
        return;
    }
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(lua, -1, &length);
        write_bulk(out, text, length);
        break;
    }
    case LUA_TNUMBER: sr_append_header(out, ':', whole(lua_tonumber(lua, -1))); break;
    case LUA_TBOOLEAN: {
        int value = lua_toboolean(lua, -1);
        if (resp == 3 && sr_of(lua)->resp == 3) {
            sr_append_text(out, value ? "#t\r\n" : "#f\r\n");
        } else {
            sr_append_text(out, value ? ":1\r\n" : resp == 3 ? "_\r\n" : "$-1\r\n");
        }
        break;
    }
    case LUA_TTABLE: write_table(lua, out, resp, depth); break;
    default: sr_append_text(out, resp == 3 ? "_\r\n" : "$-1\r\n"); break;
    }
    lua_settop(lua, below);
}
