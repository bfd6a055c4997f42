// The `cjson` library: JSON text to Lua values and back.
//
// A table whose keys are positive integers is an array, unless it is empty; with gaps its missing elements are null.
#include "internal.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { deepest = 1000, sparse_ratio = 2, sparse_safe = 10 };

typedef struct {
    int encode_depth, decode_depth, precision, converts_sparse, ratio, safe, decodes_invalid;
    /// 0: an error, 1: as printf writes them, 2: null.
    int encodes_invalid;
} settings;

/// Each instance of the library has its own, which its functions carry.
static settings *settings_of(lua_State *lua) { return lua_touserdata(lua, lua_upvalueindex(1)); }

// MARK: Encoding

static void encode_string(sr_buffer *out, const char *text, size_t length) {
    sr_append(out, "\"", 1);
    size_t plain = 0;
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)text[index];
        if (byte >= 32 && byte != '"' && byte != '\\' && byte != '/' && byte != 127) continue;
        sr_append(out, text + plain, index - plain);
        plain = index + 1;
        switch (byte) {
        case '"': sr_append(out, "\\\"", 2); break;
        case '\\': sr_append(out, "\\\\", 2); break;
        case '/': sr_append(out, "\\/", 2); break;
        case '\b': sr_append(out, "\\b", 2); break;
        case '\t': sr_append(out, "\\t", 2); break;
        case '\n': sr_append(out, "\\n", 2); break;
        case '\f': sr_append(out, "\\f", 2); break;
        case '\r': sr_append(out, "\\r", 2); break;
        default: sr_append_format(out, "\\u%04x", byte);
        }
    }
    sr_append(out, text + plain, length - plain);
    sr_append(out, "\"", 1);
}

static void refuse_value(lua_State *lua, int index, const char *why) {
    luaL_error(lua, "Cannot serialise %s: %s", luaL_typename(lua, index), why);
}

static void encode_number(lua_State *lua, sr_buffer *out, const settings *how) {
    double value = lua_tonumber(lua, -1);
    if (!isfinite(value) && how->encodes_invalid == 0) refuse_value(lua, -1, "must not be NaN or Inf");
    if (!isfinite(value) && how->encodes_invalid == 2) {
        sr_append_text(out, "null");
        return;
    }
    if (isnan(value)) {
        sr_append_text(out, "nan");
        return;
    }
    // What has at most six digits looks the same with any precision that most people set.
    if (how->precision >= 6 && value > -1e6 && value < 1e6 && value == (double)(int)value && value != 0) {
        sr_append_integer(out, (int)value);
        return;
    }
    sr_append_format(out, "%.*g", how->precision, value);
}

// The highest index of an array, −1: an object.
static int array_length(lua_State *lua, const settings *how) {
    double highest = 0, items = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        double index = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;
        if (!(index >= 1 && floor(index) == index && index <= 2147483647)) {
            lua_pop(lua, 2);
            return -1;
        }
        if (index > highest) highest = index;
        items++;
    }
    if (how->ratio > 0 && highest > items * how->ratio && highest > how->safe) {
        if (!how->converts_sparse) refuse_value(lua, -1, "excessively sparse array");
        return -1;
    }
    return (int)highest;
}

static void encode(lua_State *lua, sr_buffer *out, const settings *how, int depth);

static void encode_array(lua_State *lua, sr_buffer *out, const settings *how, int depth, int count) {
    sr_append(out, "[", 1);
    for (int index = 1; index <= count; index++) {
        if (index > 1) sr_append(out, ",", 1);
        lua_rawgeti(lua, -1, index);
        encode(lua, out, how, depth);
        lua_pop(lua, 1);
    }
    sr_append(out, "]", 1);
}

static void encode_object(lua_State *lua, sr_buffer *out, const settings *how, int depth) {
    const char *comma = "";
    sr_append(out, "{", 1);
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        sr_append_text(out, comma);
        comma = ",";
        if (lua_type(lua, -2) == LUA_TNUMBER) {
            sr_append(out, "\"", 1);
            lua_pushvalue(lua, -2);
            encode_number(lua, out, how);
            lua_pop(lua, 1);
            sr_append(out, "\":", 2);
        } else if (lua_type(lua, -2) == LUA_TSTRING) {
            size_t length;
            const char *text = lua_tolstring(lua, -2, &length);
            encode_string(out, text, length);
            sr_append(out, ":", 1);
        } else {
            refuse_value(lua, -2, "table key must be a number or string");
        }
        encode(lua, out, how, depth);
    }
    sr_append(out, "}", 1);
}

static void encode(lua_State *lua, sr_buffer *out, const settings *how, int depth) {
    size_t length;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(lua, -1, &length);
        encode_string(out, text, length);
        break;
    }
    case LUA_TNUMBER: encode_number(lua, out, how); break;
    case LUA_TBOOLEAN: sr_append_text(out, lua_toboolean(lua, -1) ? "true" : "false"); break;
    case LUA_TNIL: sr_append_text(out, "null"); break;
    case LUA_TTABLE: {
        if (++depth > how->encode_depth || !lua_checkstack(lua, 4))
            luaL_error(lua, "Cannot serialise, excessive nesting (%d)", depth);
        int count = array_length(lua, how);
        if (count > 0) encode_array(lua, out, how, depth, count); else encode_object(lua, out, how, depth);
        break;
    }
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua, -1) == NULL) {
            sr_append_text(out, "null");
            break;
        }
        refuse_value(lua, -1, "type not supported");
        break;
    default: refuse_value(lua, -1, "type not supported");
    }
    // A table that is full of the same others is huge as text.
    if (out->failed) luaL_error(lua, "not enough memory");
}

static int encode_any(lua_State *lua) {
    luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
    sr_buffer *out = sr_scratch(lua);
    encode(lua, out, settings_of(lua), 0);
    lua_pushlstring(lua, out->bytes ? out->bytes : "", out->count);
    return 1;
}

// MARK: Decoding

typedef struct {
    lua_State *lua;
    const char *start, *next, *end;
    sr_buffer *scratch;
    const settings *how;
} reader;

static void skip_space(reader *in) {
    while (in->next < in->end && (*in->next == ' ' || *in->next == '\t' || *in->next == '\r' || *in->next == '\n'))
        in->next++;
}

static const char *token_name(reader *in) {
    if (in->next >= in->end) return "T_END";
    switch (*in->next) {
    case '{': return "T_OBJ_BEGIN";
    case '}': return "T_OBJ_END";
    case '[': return "T_ARR_BEGIN";
    case ']': return "T_ARR_END";
    case ',': return "T_COMMA";
    case ':': return "T_COLON";
    case '"': return "T_STRING";
    case 't': case 'f': return "T_BOOLEAN";
    case 'n': return "T_NULL";
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return "T_NUMBER";
    default: return "invalid token";
    }
}

static void expected(reader *in, const char *what) {
    luaL_error(in->lua, "Expected %s but found %s at character %d", what, token_name(in),
               (int)(in->next - in->start) + 1);
}

static void wrong_text(reader *in, const char *what, const char *where) {
    luaL_error(in->lua, "Expected value but found %s at character %d", what, (int)(where - in->start) + 1);
}

static int hex4(const char *text, const char *end, unsigned *value) {
    *value = 0;
    if (end - text < 4) return 0;
    for (int index = 0; index < 4; index++) {
        int digit = text[index];
        int part = digit >= '0' && digit <= '9' ? digit - '0'
            : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
            : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
        if (part < 0) return 0;
        *value = *value << 4 | (unsigned)part;
    }
    return 1;
}

static void append_utf8(sr_buffer *out, unsigned code) {
    char bytes[4];
    int count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (int index = count - 1; index > 0; index--) {
        bytes[index] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    bytes[0] = (char)(lead[count] | code);
    sr_append(out, bytes, (size_t)count);
}

// Behind `\u`; 0: not well formed.
static int unicode_escape(reader *in) {
    unsigned code, low;
    if (!hex4(in->next, in->end, &code)) return 0;
    in->next += 4;
    if (code >= 0xdc00 && code < 0xe000) return 0;
    if (code >= 0xd800 && code < 0xdc00) {
        if (in->end - in->next < 6 || in->next[0] != '\\' || in->next[1] != 'u' || !hex4(in->next + 2, in->end, &low))
            return 0;
        if (low < 0xdc00 || low > 0xdfff) return 0;
        in->next += 6;
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
    }
    append_utf8(in->scratch, code);
    return 1;
}

static void decode_string(reader *in) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    in->next++;
    // Mostly there is nothing to be undone.
    const char *end = in->next;
    while (end < in->end && *end != '"' && *end != '\\' && (unsigned char)*end >= 32) end++;
    if (end < in->end && *end == '"') {
        lua_pushlstring(in->lua, in->next, (size_t)(end - in->next));
        in->next = end + 1;
        return;
    }
    in->scratch->count = 0;
    in->scratch->failed = 0;
    while (in->next < in->end && *in->next != '"') {
        const char *start = in->next;
        if (*in->next != '\\') {
            if ((unsigned char)*in->next < 32) wrong_text(in, "invalid token", in->next);
            sr_append(in->scratch, in->next++, 1);
            continue;
        }
        in->next++;
        const char *found = in->next < in->end && *in->next ? strchr(from, *in->next) : NULL;
        if (found) {
            sr_append(in->scratch, to + (found - from), 1);
            in->next++;
        } else if (in->next < in->end && *in->next == 'u') {
            in->next++;
            if (!unicode_escape(in)) wrong_text(in, "invalid unicode escape code", start);
        } else {
            wrong_text(in, "invalid escape code", start);
        }
    }
    if (in->next >= in->end) wrong_text(in, "unexpected end of string", in->next);
    in->next++;
    if (in->scratch->failed) luaL_error(in->lua, "not enough memory");
    lua_pushlstring(in->lua, in->scratch->bytes ? in->scratch->bytes : "", in->scratch->count);
}

static int word(reader *in, const char *text) {
    size_t length = strlen(text);
    if ((size_t)(in->end - in->next) < length || memcmp(in->next, text, length) != 0) return 0;
    in->next += length;
    return 1;
}

static void decode_number(reader *in) {
    const char *first = *in->next == '-' ? in->next + 1 : in->next;
    int is_digit = first < in->end && *first >= '0' && *first <= '9';
    if (!is_digit && !in->how->decodes_invalid) wrong_text(in, "invalid number", in->next);
    if (is_digit && *first == '0' && first + 1 < in->end && !in->how->decodes_invalid
        && ((first[1] >= '0' && first[1] <= '9') || first[1] == 'x' || first[1] == 'X'))
        wrong_text(in, "invalid number", in->next);
    // The text is Lua's, and so ends with a NUL.
    const char *digit = first;
    long long whole = 0;
    while (*digit >= '0' && *digit <= '9' && digit - first < 15) whole = whole * 10 + (*digit++ - '0');
    if (is_digit && (*digit == ',' || *digit == ']' || *digit == '}') && whole != 0) {
        lua_pushnumber(in->lua, (double)(first == in->next ? whole : -whole));
        in->next = digit;
        return;
    }
    char *end;
    double value = strtod(in->next, &end);
    if (end == in->next) wrong_text(in, "invalid number", in->next);
    in->next = end;
    lua_pushnumber(in->lua, value);
}

// inf, nan, and what has a plus: no JSON, but numbers to those who take them.
static int is_foreign_number(reader *in) {
    size_t left = (size_t)(in->end - in->next);
    return in->how->decodes_invalid && left > 0
        && (*in->next == '+' || (left >= 3 && (strncasecmp(in->next, "inf", 3) == 0
                                               || strncasecmp(in->next, "nan", 3) == 0)));
}

static void decode(reader *in, int depth);

// Behind the bracket of a table that lies within `depth` − 1 others.
static void descend(reader *in, int depth) {
    in->next++;
    if (depth > in->how->decode_depth || !lua_checkstack(in->lua, 8)) {
        luaL_error(in->lua, "Found too many nested data structures (%d) at character %d", depth,
                   (int)(in->next - in->start));
    }
    lua_newtable(in->lua);
}

static void decode_array(reader *in, int depth) {
    descend(in, depth);
    skip_space(in);
    if (in->next < in->end && *in->next == ']') {
        in->next++;
        return;
    }
    for (int index = 1;; index++) {
        decode(in, depth);
        lua_rawseti(in->lua, -2, index);
        skip_space(in);
        if (in->next < in->end && *in->next == ']') break;
        if (in->next >= in->end || *in->next != ',') expected(in, "comma or array end");
        in->next++;
    }
    in->next++;
}

static void decode_object(reader *in, int depth) {
    descend(in, depth);
    skip_space(in);
    if (in->next < in->end && *in->next == '}') {
        in->next++;
        return;
    }
    for (;;) {
        skip_space(in);
        if (in->next >= in->end || *in->next != '"') expected(in, "object key string");
        decode_string(in);
        skip_space(in);
        if (in->next >= in->end || *in->next != ':') expected(in, "colon");
        in->next++;
        decode(in, depth);
        lua_rawset(in->lua, -3);
        skip_space(in);
        if (in->next < in->end && *in->next == '}') break;
        if (in->next >= in->end || *in->next != ',') expected(in, "comma or object end");
        in->next++;
    }
    in->next++;
}

static void decode(reader *in, int depth) {
    skip_space(in);
    char byte = in->next < in->end ? *in->next : 0;
    if (byte == '"') {
        decode_string(in);
    } else if (byte == '[') {
        decode_array(in, depth + 1);
    } else if (byte == '{') {
        decode_object(in, depth + 1);
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        decode_number(in);
    } else if (byte == 't' && word(in, "true")) {
        lua_pushboolean(in->lua, 1);
    } else if (byte == 'f' && word(in, "false")) {
        lua_pushboolean(in->lua, 0);
    } else if (byte == 'n' && word(in, "null")) {
        lua_pushlightuserdata(in->lua, NULL);
    } else if (is_foreign_number(in)) {
        decode_number(in);
    } else if (byte && strchr("tfn", byte)) {
        wrong_text(in, "invalid token", in->next);
    } else {
        expected(in, "value");
    }
}

static int decode_any(lua_State *lua) {
    luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
    size_t length;
    const char *text = luaL_checklstring(lua, 1, &length);
    if (length >= 2 && (!text[0] || !text[1])) return luaL_error(lua, "JSON parser does not support UTF-16 or UTF-32");
    reader in = {lua, text, text, text + length, &sr_of(lua)->scratch, settings_of(lua)};
    decode(&in, 0);
    skip_space(&in);
    if (in.next < in.end) expected(&in, "the end");
    return 1;
}

// MARK: Settings

static int integer_setting(lua_State *lua, int argument, int *value, int lowest, int highest) {
    if (!lua_isnoneornil(lua, argument)) {
        int wanted = luaL_checkint(lua, argument);
        if (wanted < lowest || wanted > highest) {
            char text[64];
            snprintf(text, sizeof text, "expected integer between %d and %d", lowest, highest);
            return luaL_argerror(lua, 1, text);
        }
        *value = wanted;
    }
    lua_pushinteger(lua, *value);
    return 1;
}

static int encode_max_depth(lua_State *lua) {
    return integer_setting(lua, 1, &settings_of(lua)->encode_depth, 1, INT_MAX);
}
static int decode_max_depth(lua_State *lua) {
    return integer_setting(lua, 1, &settings_of(lua)->decode_depth, 1, INT_MAX);
}
static int number_precision(lua_State *lua) { return integer_setting(lua, 1, &settings_of(lua)->precision, 1, 14); }

static int flag_setting(lua_State *lua, int *value) {
    if (lua_isboolean(lua, 1)) *value = lua_toboolean(lua, 1);
    lua_pushboolean(lua, *value);
    return 1;
}

static int encode_invalid(lua_State *lua) {
    static const char *const choices[] = {"off", "on", "null", NULL};
    int *value = &settings_of(lua)->encodes_invalid;
    if (lua_isboolean(lua, 1)) *value = lua_toboolean(lua, 1);
    else if (!lua_isnoneornil(lua, 1)) *value = luaL_checkoption(lua, 1, NULL, choices);
    if (*value == 2) lua_pushstring(lua, choices[2]); else lua_pushboolean(lua, *value);
    return 1;
}

static int decode_invalid(lua_State *lua) { return flag_setting(lua, &settings_of(lua)->decodes_invalid); }

static int keep_buffer(lua_State *lua) {
    lua_pushboolean(lua, lua_isboolean(lua, 1) ? lua_toboolean(lua, 1) : 1);
    return 1;
}

static int sparse_array(lua_State *lua) {
    settings *how = settings_of(lua);
    flag_setting(lua, &how->converts_sparse);
    integer_setting(lua, 2, &how->ratio, 0, INT_MAX);
    integer_setting(lua, 3, &how->safe, 0, INT_MAX);
    return 3;
}

static int make(lua_State *lua) {
    static const luaL_Reg functions[] = {
        {"encode", encode_any}, {"decode", decode_any}, {"encode_sparse_array", sparse_array},
        {"encode_max_depth", encode_max_depth}, {"decode_max_depth", decode_max_depth},
        {"encode_number_precision", number_precision}, {"encode_keep_buffer", keep_buffer},
        {"encode_invalid_numbers", encode_invalid}, {"decode_invalid_numbers", decode_invalid}, {"new", make},
        {NULL, NULL}};
    lua_newtable(lua);
    int library = lua_gettop(lua);
    settings *how = lua_newuserdata(lua, sizeof *how);
    *how = (settings){deepest, deepest, 14, 0, sparse_ratio, sparse_safe, 1, 0};
    for (int index = 0; functions[index].name; index++) {
        lua_pushvalue(lua, library + 1);
        lua_pushcclosure(lua, functions[index].func, 1);
        lua_setfield(lua, library, functions[index].name);
    }
    lua_pushlightuserdata(lua, NULL);
    lua_setfield(lua, library, "null");
    lua_pushliteral(lua, "cjson");
    lua_setfield(lua, library, "_NAME");
    lua_pushliteral(lua, "2.1.0");
    lua_setfield(lua, library, "_VERSION");
    lua_settop(lua, library);
    return 1;
}

void sr_open_cjson(lua_State *lua) {
    make(lua);
    lua_setfield(lua, LUA_GLOBALSINDEX, "cjson");
}
