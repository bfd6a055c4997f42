// The `bit` library: operations on 32-bit integers; numbers are taken modulo 2^32, results are signed.
#include "internal.h"
#include <math.h>
#include <stdio.h>

static uint32_t bits(lua_State *lua, int index) {
    double value = luaL_checknumber(lua, index);
    if (!isfinite(value)) return 0;
    value = nearbyint(value);
    // Exact: fmod of doubles is.
    double rest = fmod(value, 4294967296.0);
    return (uint32_t)(int64_t)rest;
}

static int answer(lua_State *lua, uint32_t value) {
    lua_pushnumber(lua, (lua_Number)(int32_t)value);
    return 1;
}

static uint32_t rotated(uint32_t value, uint32_t by) {
    by &= 31;
    return by ? value << by | value >> (32 - by) : value;
}

static int tobit(lua_State *lua) { return answer(lua, bits(lua, 1)); }
static int bnot(lua_State *lua) { return answer(lua, ~bits(lua, 1)); }
static int lshift(lua_State *lua) { return answer(lua, bits(lua, 1) << (bits(lua, 2) & 31)); }
static int rshift(lua_State *lua) { return answer(lua, bits(lua, 1) >> (bits(lua, 2) & 31)); }
static int arshift(lua_State *lua) { return answer(lua, (uint32_t)((int32_t)bits(lua, 1) >> (bits(lua, 2) & 31))); }
static int rol(lua_State *lua) { return answer(lua, rotated(bits(lua, 1), bits(lua, 2))); }
static int ror(lua_State *lua) { return answer(lua, rotated(bits(lua, 1), 0u - bits(lua, 2))); }
static int bswap(lua_State *lua) { return answer(lua, __builtin_bswap32(bits(lua, 1))); }

static int band(lua_State *lua) {
    uint32_t value = bits(lua, 1);
    for (int index = lua_gettop(lua); index > 1; index--) value &= bits(lua, index);
    return answer(lua, value);
}

static int bor(lua_State *lua) {
    uint32_t value = bits(lua, 1);
    for (int index = lua_gettop(lua); index > 1; index--) value |= bits(lua, index);
    return answer(lua, value);
}

static int bxor(lua_State *lua) {
    uint32_t value = bits(lua, 1);
    for (int index = lua_gettop(lua); index > 1; index--) value ^= bits(lua, index);
    return answer(lua, value);
}

static int tohex(lua_State *lua) {
    uint32_t value = bits(lua, 1);
    int32_t wanted = lua_isnoneornil(lua, 2) ? 8 : (int32_t)bits(lua, 2);
    char text[16];
    const char *format = wanted < 0 ? "%08X" : "%08x";
    int count = wanted < -8 || wanted > 8 ? 8 : wanted < 0 ? -wanted : wanted;
    snprintf(text, sizeof text, format, value);
    lua_pushlstring(lua, text + 8 - count, (size_t)count);
    return 1;
}

void sr_open_bit(lua_State *lua) {
    static const luaL_Reg functions[] = {
        {"tobit", tobit}, {"bnot", bnot}, {"band", band}, {"bor", bor}, {"bxor", bxor}, {"lshift", lshift},
        {"rshift", rshift}, {"arshift", arshift}, {"rol", rol}, {"ror", ror}, {"bswap", bswap}, {"tohex", tohex},
        {NULL, NULL}};
    luaL_register(lua, "bit", functions);
    lua_pop(lua, 1);
}
