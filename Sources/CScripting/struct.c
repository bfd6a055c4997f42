// The `struct` library: numbers and strings to and from binary records that a format describes.
//
//     b B  1 byte         > <  byte order from here on         x   a byte that is skipped
//     h H  2 bytes        !n   aligned to n bytes at most      cn  n bytes; c0: all, or as many as the number before
//     i I  4 bytes, or n  f d  float, double                   s   up to a NUL
//     l L T  8 bytes
//
// Sizes come from the format's text and from the data: every sum is checked before it is used.
#include "internal.h"
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { native_little = 1, longest_integer = 32, widest_alignment = 8 };

typedef struct {
    const char *next;
    int is_little, alignment;
} format;

static int digits(lua_State *lua, format *text, int missing) {
    if (!isdigit((unsigned char)*text->next)) return missing;
    int value = 0;
    while (isdigit((unsigned char)*text->next)) {
        int digit = *text->next - '0';
        if (value > (INT_MAX - digit) / 10) luaL_error(lua, "integral size overflow");
        value = value * 10 + digit;
        text->next++;
    }
    return value;
}

// Of the option that was read; 0 for those that have none of their own.
static size_t size_of(lua_State *lua, format *text, char option) {
    switch (option) {
    case 'b': case 'B': case 'x': return 1;
    case 'h': case 'H': return 2;
    case 'l': case 'L': case 'T': return 8;
    case 'f': return sizeof(float);
    case 'd': return sizeof(double);
    case 'c': return (size_t)digits(lua, text, 1);
    case 'i': case 'I': {
        int size = digits(lua, text, 4);
        if (size > longest_integer)
            luaL_error(lua, "integral size %d is larger than limit of %d", size, longest_integer);
        return (size_t)size;
    }
    default: return 0;
    }
}

// 1: an option that has no data.
static int control(lua_State *lua, format *text, char option) {
    switch (option) {
    case ' ': return 1;
    case '>': text->is_little = 0; return 1;
    case '<': text->is_little = 1; return 1;
    case '!': {
        int alignment = digits(lua, text, widest_alignment);
        if (alignment <= 0 || (alignment & (alignment - 1)) != 0)
            luaL_error(lua, "alignment %d is not a power of 2", alignment);
        text->alignment = alignment;
        return 1;
    }
    case 'b': case 'B': case 'h': case 'H': case 'l': case 'L': case 'T': case 'f': case 'd': case 'x': case 'c':
    case 's': case 'i': case 'I':
        return 0;
    default: luaL_argerror(lua, 1, lua_pushfstring(lua, "invalid format option '%c'", option));
    }
    return 1;
}

static size_t padding(const format *text, char option, size_t size, size_t offset) {
    if (size == 0 || option == 'c') return 0;
    if (size > (size_t)text->alignment) size = (size_t)text->alignment;
    return (size - (offset & (size - 1))) & (size - 1);
}

static format beginning(lua_State *lua) {
    format text = {luaL_checkstring(lua, 1), native_little, 1};
    return text;
}

// MARK: Packing

// What does not fit is as x86 converts it.
static uint64_t integer(double value) {
    if (value < 0 || isnan(value))
        return value > -9223372036854775808.0 ? (uint64_t)(int64_t)value : (uint64_t)INT64_MIN;
    return value < 18446744073709551616.0 ? (uint64_t)value : 0;
}

static void put_bytes(sr_buffer *out, const void *bytes, size_t count, int is_little) {
    if (is_little) {
        sr_append(out, bytes, count);
        return;
    }
    for (size_t index = count; index > 0; index--) sr_append(out, (const char *)bytes + index - 1, 1);
}

static void put_integer(sr_buffer *out, uint64_t value, size_t size, int is_little) {
    unsigned char bytes[longest_integer] = {0};
    for (size_t index = 0; index < size && index < 8; index++) bytes[index] = (unsigned char)(value >> 8 * index);
    put_bytes(out, bytes, size, is_little);
}

// Appends one value; answers the index of the argument behind it.
static int put(lua_State *lua, sr_buffer *out, const format *text, char option, size_t size, int argument) {
    size_t length;
    switch (option) {
    case 'x': sr_append(out, "", 1); return argument;
    case 'f': {
        float value = (float)luaL_checknumber(lua, argument);
        put_bytes(out, &value, sizeof value, text->is_little);
        return argument + 1;
    }
    case 'd': {
        double value = luaL_checknumber(lua, argument);
        put_bytes(out, &value, sizeof value, text->is_little);
        return argument + 1;
    }
    case 'c': case 's': {
        const char *bytes = luaL_checklstring(lua, argument, &length);
        if (size == 0) size = length;
        // Counted as ever by this library: one too far.
        luaL_argcheck(lua, length >= size, argument + 1, "string too short");
        sr_append(out, bytes, size);
        if (option == 's') sr_append(out, "", 1);
        return argument + 1;
    }
    default:
        put_integer(out, integer(luaL_checknumber(lua, argument)), size, text->is_little);
        return argument + 1;
    }
}

static int pack(lua_State *lua) {
    format text = beginning(lua);
    sr_buffer *out = sr_scratch(lua);
    int argument = 2;
    // An argument that is not there is nil, in messages too.
    lua_pushnil(lua);
    while (*text.next) {
        char option = *text.next++;
        if (control(lua, &text, option)) continue;
        size_t size = size_of(lua, &text, option);
        for (size_t count = padding(&text, option, size, out->count); count > 0; count--) sr_append(out, "", 1);
        argument = put(lua, out, &text, option, size, argument);
        if (out->failed) return luaL_error(lua, "not enough memory");
    }
    lua_pushlstring(lua, out->bytes ? out->bytes : "", out->count);
    return 1;
}

// MARK: Unpacking

static void push_integer(lua_State *lua, const unsigned char *bytes, size_t size, int is_little, int is_signed) {
    uint64_t value = 0;
    for (size_t index = 0; index < size; index++) value = value << 8 | bytes[is_little ? size - 1 - index : index];
    if (!is_signed) {
        lua_pushnumber(lua, (lua_Number)value);
        return;
    }
    if (size > 0 && size < 8 && value >> (8 * size - 1) & 1) value |= ~(uint64_t)0 << 8 * size;
    lua_pushnumber(lua, (lua_Number)(int64_t)value);
}

static void copy_ordered(void *target, const unsigned char *bytes, size_t size, int is_little) {
    for (size_t index = 0; index < size; index++)
        ((unsigned char *)target)[index] = bytes[is_little ? index : size - 1 - index];
}

static void need(lua_State *lua, size_t length, size_t at, size_t count) {
    luaL_argcheck(lua, at <= length && count <= length - at, 2, "data string too short");
}

// Pushes one value, if the option has one; answers the bytes that it took.
static size_t push(lua_State *lua, const format *text, char option, size_t size, const char *data, size_t length,
                   size_t at, int *count) {
    const unsigned char *bytes = (const unsigned char *)data + at;
    switch (option) {
    case 'x': return size;
    case 'f': {
        float value;
        copy_ordered(&value, bytes, sizeof value, text->is_little);
        lua_pushnumber(lua, (lua_Number)value);
        break;
    }
    case 'd': {
        double value;
        copy_ordered(&value, bytes, sizeof value, text->is_little);
        lua_pushnumber(lua, value);
        break;
    }
    case 'c':
        if (size == 0) {
            if (*count == 0 || !lua_isnumber(lua, -1)) luaL_error(lua, "format 'c0' needs a previous size");
            double wanted = lua_tonumber(lua, -1);
            luaL_argcheck(lua, wanted >= 0 && wanted <= (double)length, 2, "data string too short");
            size = (size_t)wanted;
            lua_pop(lua, 1);
            (*count)--;
            need(lua, length, at, size);
        }
        lua_pushlstring(lua, (const char *)bytes, size);
        break;
    case 's': {
        const char *end = memchr(bytes, 0, length - at);
        if (!end) luaL_error(lua, "unfinished string in data");
        size = (size_t)(end - (const char *)bytes);
        lua_pushlstring(lua, (const char *)bytes, size);
        size++;
        break;
    }
    default:
        push_integer(lua, bytes, size, text->is_little, islower((unsigned char)option));
        break;
    }
    (*count)++;
    return size;
}

static int unpack(lua_State *lua) {
    format text = beginning(lua);
    size_t length;
    const char *data = luaL_checklstring(lua, 2, &length);
    lua_Integer first = luaL_optinteger(lua, 3, 1);
    luaL_argcheck(lua, first != 0, 3, "offset must be 1 or greater");
    // A negative offset is far behind the end.
    size_t at = first < 0 ? SIZE_MAX : (size_t)first - 1;
    int count = 0;
    lua_settop(lua, 2);
    while (*text.next) {
        char option = *text.next++;
        if (control(lua, &text, option)) continue;
        size_t size = size_of(lua, &text, option), gap = padding(&text, option, size, at);
        need(lua, length, at, gap);
        at += gap;
        need(lua, length, at, size);
        luaL_checkstack(lua, 4, "too many results");
        at += push(lua, &text, option, size, data, length, at, &count);
    }
    lua_pushnumber(lua, (lua_Number)at + 1);
    return count + 1;
}

static int total(lua_State *lua) {
    format text = beginning(lua);
    size_t sum = 0;
    while (*text.next) {
        char option = *text.next++;
        if (control(lua, &text, option)) continue;
        size_t size = size_of(lua, &text, option);
        if (option == 's') return luaL_argerror(lua, 1, "option 's' has no fixed size");
        if (option == 'c' && size == 0) return luaL_argerror(lua, 1, "option 'c0' has no fixed size");
        size_t more = padding(&text, option, size, sum) + size;
        if (more > SIZE_MAX - sum) return luaL_error(lua, "integral size overflow");
        sum += more;
    }
    lua_pushnumber(lua, (lua_Number)sum);
    return 1;
}

void sr_open_struct(lua_State *lua) {
    static const luaL_Reg functions[] = {{"pack", pack}, {"unpack", unpack}, {"size", total}, {NULL, NULL}};
    luaL_register(lua, "struct", functions);
    lua_pop(lua, 1);
}
