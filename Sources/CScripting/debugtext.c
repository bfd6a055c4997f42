// Values of Lua and replies as a debugger shows them.
#include "debugger.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { deepest = 10, deepest_reply = 100 };

static void quote(sr_buffer *out, const char *text, size_t length) {
    sr_append_text(out, "\"");
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)text[index];
        const char *escape = NULL;
        switch (byte) {
        case '\\': escape = "\\\\"; break;
        case '"': escape = "\\\""; break;
        case '\n': escape = "\\n"; break;
        case '\r': escape = "\\r"; break;
        case '\t': escape = "\\t"; break;
        case '\a': escape = "\\a"; break;
        case '\b': escape = "\\b"; break;
        default: break;
        }
        if (escape) sr_append_text(out, escape);
        else if (isprint(byte)) sr_append(out, text + index, 1);
        else sr_append_format(out, "\\x%02x", byte);
    }
    sr_append_text(out, "\"");
}

// Whether the keys of the table on top are 1, 2, 3 …, in this order.
static int is_list(lua_State *lua) {
    int table = lua_gettop(lua), expected = 1, yes = 1;
    lua_pushnil(lua);
    while (lua_next(lua, table)) {
        if (lua_type(lua, -2) != LUA_TNUMBER || lua_tonumber(lua, -2) != expected) yes = 0;
        expected++;
        lua_pop(lua, 1);
    }
    return yes;
}

static void write_table(lua_State *lua, sr_buffer *out, int depth) {
    int table = lua_gettop(lua), list = is_list(lua), first = 1;
    sr_append_text(out, "{");
    lua_pushnil(lua);
    while (lua_next(lua, table)) {
        if (!first) sr_append_text(out, "; ");
        first = 0;
        if (!list) {
            sr_append_text(out, "[");
            lua_pushvalue(lua, -2);
            sr_debug_value(lua, out, depth + 1);
            lua_pop(lua, 1);
            sr_append_text(out, "]=");
        }
        sr_debug_value(lua, out, depth + 1);
        lua_pop(lua, 1);
    }
    sr_append_text(out, "}");
}

void sr_debug_value(lua_State *lua, sr_buffer *out, int depth) {
    if (depth == deepest) {
        sr_append_text(out, "<max recursion level reached! Nested table?>");
        return;
    }
    luaL_checkstack(lua, 8, "no room for the debugger");
    size_t length;
    const char *text;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(lua, -1, &length);
        quote(out, text, length);
        break;
    case LUA_TBOOLEAN: sr_append_text(out, lua_toboolean(lua, -1) ? "true" : "false"); break;
    case LUA_TNUMBER: sr_append_format(out, "%g", lua_tonumber(lua, -1)); break;
    case LUA_TNIL: sr_append_text(out, "nil"); break;
    case LUA_TTABLE: write_table(lua, out, depth); break;
    default: sr_append_format(out, "\"%s@%p\"", luaL_typename(lua, -1), lua_topointer(lua, -1));
    }
}

// MARK: Replies

static const char *line_end(const char *text) {
    while (*text != '\r') text++;
    return text;
}

static void write_elements(sr_buffer *out, const char **next, long count, const char *ends, int is_map, int depth) {
    sr_append(out, ends, strlen(ends) - 1);
    for (long index = 0; index < count; index++) {
        if (index > 0) sr_append_text(out, ",");
        sr_debug_reply(out, next, depth + 1);
        if (!is_map) continue;
        sr_append_text(out, " => ");
        sr_debug_reply(out, next, depth + 1);
    }
    sr_append(out, ends + strlen(ends) - 1, 1);
}

// The reply is the host's own, and whole.
void sr_debug_reply(sr_buffer *out, const char **next, int depth) {
    const char *line = *next, *end = line_end(line);
    long number = strtol(line + 1, NULL, 10);
    *next = end + 2;
    if (depth > deepest_reply) return;
    switch (*line) {
    case '$': case '=':
        if (number < 0) {
            sr_append_text(out, "NULL");
            return;
        }
        quote(out, *next, (size_t)number);
        *next += number + 2;
        return;
    case '+': case '-': quote(out, line, (size_t)(end - line)); return;
    case '*': case '>':
        if (number < 0) sr_append_text(out, "NULL"); else write_elements(out, next, number, "[]", 0, depth);
        return;
    case '~': write_elements(out, next, number, "~()", 0, depth); return;
    case '%': write_elements(out, next, number, "{}", 1, depth); return;
    case '_': sr_append_text(out, "(null)"); return;
    case '#': sr_append_text(out, line[1] == 't' ? "#true" : "#false"); return;
    case ',': sr_append_text(out, "(double) "); break;
    default: break;
    }
    sr_append(out, line + 1, (size_t)(end - line - 1));
}
