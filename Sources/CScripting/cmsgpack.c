// The `cmsgpack` library: MessagePack to Lua values and back.
//
// Packing: whole numbers take the shortest integer, others a float if it holds them exactly. A table whose keys are
// 1…n is an array, any other a map; what lies deeper than `deepest` tables is nil.
//
// Unpacking trusts no length: an item is read only when all of its bytes are there, and a table's size is never
// reserved before its elements were read.
#include "internal.h"
#include <limits.h>
#include <math.h>
#include <string.h>

enum { deepest = 16 };

// MARK: Packing

static void put_big_endian(sr_buffer *out, unsigned char mark, uint64_t value, int bytes) {
    unsigned char text[9];
    text[0] = mark;
    for (int index = 0; index < bytes; index++) text[1 + index] = (unsigned char)(value >> 8 * (bytes - 1 - index));
    sr_append(out, text, (size_t)bytes + 1);
}

static void pack_integer(sr_buffer *out, int64_t value) {
    if (value >= 0) {
        if (value < 128) put_big_endian(out, (unsigned char)value, 0, 0);
        else if (value <= 0xff) put_big_endian(out, 0xcc, (uint64_t)value, 1);
        else if (value <= 0xffff) put_big_endian(out, 0xcd, (uint64_t)value, 2);
        else if (value <= 0xffffffffLL) put_big_endian(out, 0xce, (uint64_t)value, 4);
        else put_big_endian(out, 0xcf, (uint64_t)value, 8);
    } else {
        if (value >= -32) put_big_endian(out, (unsigned char)(0xe0 | (value & 0x1f)), 0, 0);
        else if (value >= -128) put_big_endian(out, 0xd0, (uint64_t)value, 1);
        else if (value >= -32768) put_big_endian(out, 0xd1, (uint64_t)value, 2);
        else if (value >= -2147483648LL) put_big_endian(out, 0xd2, (uint64_t)value, 4);
        else put_big_endian(out, 0xd3, (uint64_t)value, 8);
    }
}

static void pack_number(sr_buffer *out, double value) {
    if (value >= -9223372036854775808.0 && value < 9223372036854775808.0 && floor(value) == value) {
        pack_integer(out, (int64_t)value);
        return;
    }
    float narrow = (float)value;
    if ((double)narrow == value) {
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        put_big_endian(out, 0xca, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        put_big_endian(out, 0xcb, bits, 8);
    }
}

static void pack_string(sr_buffer *out, const char *text, size_t length) {
    if (length < 32) put_big_endian(out, (unsigned char)(0xa0 | length), 0, 0);
    else if (length <= 0xff) put_big_endian(out, 0xd9, length, 1);
    else if (length <= 0xffff) put_big_endian(out, 0xda, length, 2);
    else put_big_endian(out, 0xdb, length, 4);
    sr_append(out, text, length);
}

static void pack_head(sr_buffer *out, size_t count, unsigned char small, unsigned char mark) {
    if (count <= 15) put_big_endian(out, (unsigned char)(small | count), 0, 0);
    else if (count <= 0xffff) put_big_endian(out, mark, count, 2);
    else put_big_endian(out, (unsigned char)(mark + 1), count, 4);
}

// Whether the keys of the table on top are 1…count.
static int is_array(lua_State *lua, size_t *count) {
    double highest = 0;
    size_t items = 0;
    int whole = 1;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        items++;
        double index = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;
        if (!(index >= 1 && floor(index) == index)) whole = 0; else if (index > highest) highest = index;
    }
    *count = items;
    return whole && highest == (double)items;
}

static void pack_value(lua_State *lua, sr_buffer *out, int depth);

static void pack_table(lua_State *lua, sr_buffer *out, int depth) {
    size_t count;
    if (is_array(lua, &count)) {
        pack_head(out, count, 0x90, 0xdc);
        for (size_t index = 1; index <= count; index++) {
            lua_rawgeti(lua, -1, (int)index);
            pack_value(lua, out, depth + 1);
            lua_pop(lua, 1);
        }
        return;
    }
    pack_head(out, count, 0x80, 0xde);
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        lua_pushvalue(lua, -2);
        pack_value(lua, out, depth + 1);
        lua_pop(lua, 1);
        pack_value(lua, out, depth + 1);
    }
}

static void pack_value(lua_State *lua, sr_buffer *out, int depth) {
    size_t length;
    luaL_checkstack(lua, 8, "too many nested tables");
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(lua, -1, &length);
        pack_string(out, text, length);
        break;
    }
    case LUA_TNUMBER: pack_number(out, lua_tonumber(lua, -1)); break;
    case LUA_TBOOLEAN: put_big_endian(out, lua_toboolean(lua, -1) ? 0xc3 : 0xc2, 0, 0); break;
    case LUA_TTABLE:
        if (depth < deepest) pack_table(lua, out, depth); else put_big_endian(out, 0xc0, 0, 0);
        break;
    default: put_big_endian(out, 0xc0, 0, 0); break;
    }
    if (out->failed) luaL_error(lua, "not enough memory");
}

static int pack(lua_State *lua) {
    int count = lua_gettop(lua);
    if (count == 0) return luaL_argerror(lua, 0, "MessagePack pack needs input.");
    sr_buffer *out = sr_scratch(lua);
    for (int index = 1; index <= count; index++) {
        luaL_checkstack(lua, 2, "in function MessagePack pack");
        lua_pushvalue(lua, index);
        pack_value(lua, out, 0);
        lua_pop(lua, 1);
    }
    lua_pushlstring(lua, out->bytes ? out->bytes : "", out->count);
    return 1;
}

// MARK: Unpacking

typedef struct {
    const unsigned char *next;
    size_t left;
} reader;

static void unpack_value(lua_State *lua, reader *in);

static void need(lua_State *lua, const reader *in, size_t count) {
    if (in->left < count) luaL_error(lua, "Missing bytes in input.");
}

static const unsigned char *take(lua_State *lua, reader *in, size_t count) {
    need(lua, in, count);
    const unsigned char *start = in->next;
    in->next += count;
    in->left -= count;
    return start;
}

static uint64_t number(lua_State *lua, reader *in, size_t bytes) {
    const unsigned char *text = take(lua, in, bytes);
    uint64_t value = 0;
    for (size_t index = 0; index < bytes; index++) value = value << 8 | text[index];
    return value;
}

static void unpack_string(lua_State *lua, reader *in, uint64_t length) {
    need(lua, in, length > in->left ? in->left + 1 : 0);
    lua_pushlstring(lua, (const char *)take(lua, in, (size_t)length), (size_t)length);
}

static void unpack_array(lua_State *lua, reader *in, uint64_t count) {
    lua_newtable(lua);
    for (uint64_t index = 1; index <= count; index++) {
        unpack_value(lua, in);
        lua_pushnumber(lua, (lua_Number)index);
        lua_insert(lua, -2);
        lua_rawset(lua, -3);
    }
}

static void unpack_map(lua_State *lua, reader *in, uint64_t count) {
    lua_newtable(lua);
    for (uint64_t index = 0; index < count; index++) {
        unpack_value(lua, in);
        unpack_value(lua, in);
        int is_key = !lua_isnil(lua, -2);
        if (is_key && lua_type(lua, -2) == LUA_TNUMBER && isnan(lua_tonumber(lua, -2))) is_key = 0;
        if (!is_key) luaL_error(lua, "Bad data format in input.");
        lua_rawset(lua, -3);
    }
}

static void unpack_float(lua_State *lua, reader *in) {
    uint32_t bits = (uint32_t)number(lua, in, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    lua_pushnumber(lua, (lua_Number)value);
}

static void unpack_double(lua_State *lua, reader *in) {
    uint64_t bits = number(lua, in, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    lua_pushnumber(lua, value);
}

static void unpack_marked(lua_State *lua, reader *in, unsigned char mark) {
    switch (mark) {
    case 0xc0: lua_pushnil(lua); break;
    case 0xc2: case 0xc3: lua_pushboolean(lua, mark == 0xc3); break;
    case 0xca: unpack_float(lua, in); break;
    case 0xcb: unpack_double(lua, in); break;
    case 0xcc: lua_pushnumber(lua, (lua_Number)number(lua, in, 1)); break;
    case 0xcd: lua_pushnumber(lua, (lua_Number)number(lua, in, 2)); break;
    case 0xce: lua_pushnumber(lua, (lua_Number)number(lua, in, 4)); break;
    // As a signed number, like the library that everybody knows.
    case 0xcf: case 0xd3: lua_pushnumber(lua, (lua_Number)(int64_t)number(lua, in, 8)); break;
    case 0xd0: lua_pushnumber(lua, (lua_Number)(int8_t)number(lua, in, 1)); break;
    case 0xd1: lua_pushnumber(lua, (lua_Number)(int16_t)number(lua, in, 2)); break;
    case 0xd2: lua_pushnumber(lua, (lua_Number)(int32_t)number(lua, in, 4)); break;
    case 0xd9: unpack_string(lua, in, number(lua, in, 1)); break;
    case 0xda: unpack_string(lua, in, number(lua, in, 2)); break;
    case 0xdb: unpack_string(lua, in, number(lua, in, 4)); break;
    case 0xdc: unpack_array(lua, in, number(lua, in, 2)); break;
    case 0xdd: unpack_array(lua, in, number(lua, in, 4)); break;
    case 0xde: unpack_map(lua, in, number(lua, in, 2)); break;
    case 0xdf: unpack_map(lua, in, number(lua, in, 4)); break;
    default: luaL_error(lua, "Bad data format in input.");
    }
}

static void unpack_value(lua_State *lua, reader *in) {
    // Each level of nesting asks for room, of which there is a limited amount: so is the depth.
    luaL_checkstack(lua, 8, "too many return values at once; use unpack_one or unpack_limit instead.");
    unsigned char mark = *take(lua, in, 1);
    if (mark < 0x80) lua_pushnumber(lua, mark);
    else if (mark < 0x90) unpack_map(lua, in, mark & 0x0f);
    else if (mark < 0xa0) unpack_array(lua, in, mark & 0x0f);
    else if (mark < 0xc0) unpack_string(lua, in, mark & 0x1f);
    else if (mark >= 0xe0) lua_pushnumber(lua, (lua_Number)(int8_t)mark);
    else unpack_marked(lua, in, mark);
}

// `limit` 0 with `offset` 0: all there is, without saying where it ended.
static int unpack_some(lua_State *lua, int limit, int offset) {
    size_t length;
    const char *text = luaL_checklstring(lua, 1, &length);
    if (offset < 0 || limit < 0) {
        return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.", offset, (int)length);
    }
    if ((size_t)offset > length)
        return luaL_error(lua, "Start offset %d greater than input length %d.", offset, (int)length);
    int all = limit == 0 && offset == 0;
    reader in = {(const unsigned char *)text + offset, length - (size_t)offset};
    int count = 0;
    lua_settop(lua, 1);
    while (in.left > 0 && (all || count < limit)) {
        unpack_value(lua, &in);
        count++;
    }
    if (all) return count;
    lua_pushnumber(lua, in.left == 0 ? -1 : (lua_Number)(length - in.left));
    lua_insert(lua, 2);
    return count + 1;
}

static int unpack_all(lua_State *lua) { return unpack_some(lua, 0, 0); }

static int unpack_one(lua_State *lua) {
    int offset = luaL_optint(lua, 2, 0);
    return unpack_some(lua, 1, offset);
}

static int unpack_limit(lua_State *lua) {
    int limit = luaL_checkint(lua, 2), offset = luaL_optint(lua, 3, 0);
    return unpack_some(lua, limit, offset);
}

void sr_open_cmsgpack(lua_State *lua) {
    static const luaL_Reg functions[] = {
        {"pack", pack}, {"unpack", unpack_all}, {"unpack_one", unpack_one}, {"unpack_limit", unpack_limit},
        {NULL, NULL}};
    static const char *const facts[][2] = {
        {"_NAME", "cmsgpack"}, {"_VERSION", "lua-cmsgpack 0.4.0"},
        {"_DESCRIPTION", "MessagePack C implementation for Lua"}, {NULL, NULL}};
    luaL_register(lua, "cmsgpack", functions);
    for (int index = 0; facts[index][0]; index++) {
        lua_pushstring(lua, facts[index][1]);
        lua_setfield(lua, -2, facts[index][0]);
    }
    lua_pop(lua, 1);
}
