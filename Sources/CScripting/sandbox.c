// What a script sees, and may not change.
//
// Stock Lua 5.1 has no read-only tables. A script's globals, and each library in them, are therefore empty tables
// that look through to the real ones and refuse every assignment. What stores past metamethods (rawset,
// table.insert …) and what reaches metatables is wrapped, and refuses these tables too.
#include "internal.h"
#include <string.h>

static const char *const refusal = "Attempt to modify a readonly table";
static const char protected_key = 0;

// Pushes the table that a protected one looks through to, and answers 1; or pushes nothing.
static int push_real(lua_State *lua, int index) {
    if (!lua_istable(lua, index)) return 0;
    lua_pushlightuserdata(lua, (void *)&protected_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, index);
    lua_rawget(lua, -2);
    lua_remove(lua, -2);
    if (lua_istable(lua, -1)) return 1;
    lua_pop(lua, 1);
    return 0;
}

static int is_protected(lua_State *lua, int index) {
    if (!push_real(lua, index)) return 0;
    lua_pop(lua, 1);
    return 1;
}

static int refuse(lua_State *lua) { return luaL_error(lua, refusal); }

// By a function of Lua's own: the message names no place in the script.
static int refuse_plainly(lua_State *lua) {
    lua_pushstring(lua, refusal);
    return lua_error(lua);
}

// A script that is to end catches nothing any more.
static void end_if_wanted(lua_State *lua) {
    const char *end = sr_of(lua)->end;
    if (!end) return;
    sr_push_error(lua, end, strlen(end));
    lua_error(lua);
}

// Lua's pcall, but an error {err = text} is answered as its text, as scripts written before there were such expect.
static int protected_call(lua_State *lua) {
    luaL_checkany(lua, 1);
    int failed = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
    if (failed) end_if_wanted(lua);
    if (failed && lua_istable(lua, -1)) {
        lua_pushliteral(lua, "err");
        lua_rawget(lua, -2);
        if (lua_isstring(lua, -1)) lua_replace(lua, -2); else lua_pop(lua, 1);
    }
    lua_pushboolean(lua, !failed);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

static int handled_call(lua_State *lua) {
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    lua_insert(lua, 1);
    int failed = lua_pcall(lua, 0, LUA_MULTRET, 1);
    if (failed) end_if_wanted(lua);
    lua_pushboolean(lua, !failed);
    lua_replace(lua, 1);
    return lua_gettop(lua);
}

static int no_global(lua_State *lua) {
    const char *name = lua_isstring(lua, 2) ? lua_tostring(lua, 2) : luaL_typename(lua, 2);
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", name);
}

enum { reads_plainly, reads_strictly };

// Makes the table on top answer with an error for what it does not have.
static void be_strict(lua_State *lua) {
    lua_newtable(lua);
    lua_pushcfunction(lua, no_global);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
}

// Replaces the table on top by one that only reads. `reads_strictly`: what is not there is an error. Reading goes from
// table to table without a call.
static void protect(lua_State *lua, int how) {
    if (how == reads_strictly) be_strict(lua);
    lua_newtable(lua);
    lua_newtable(lua);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_pushlightuserdata(lua, (void *)&protected_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, -2);
    lua_pushvalue(lua, -4);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
    lua_replace(lua, -2);
}

void sr_show_loading(lua_State *lua, int is_loading) {
    // The protected globals themselves: scripts' code is given no other table of globals.
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    if (lua_getmetatable(lua, -1)) {
        lua_getfield(lua, LUA_REGISTRYINDEX, is_loading ? "sr_loading_globals" : "sr_globals");
        lua_setfield(lua, -2, "__index");
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
}

// Refuses a protected first argument; then the function wrapped.
static int guarded(lua_State *lua) {
    if (is_protected(lua, 1)) return refuse_plainly(lua);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

static int raw_get(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    if (push_real(lua, 1)) lua_replace(lua, 1);
    lua_rawget(lua, 1);
    return 1;
}

// next and pairs see the contents of protected tables, but never hand out what is behind them.
static int guarded_next(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 2);
    if (push_real(lua, 1)) lua_replace(lua, 1);
    if (lua_next(lua, 1)) return 2;
    lua_pushnil(lua);
    return 1;
}

// Upvalues: the guarded and Lua's own next.
static int guarded_pairs(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_pushvalue(lua, is_protected(lua, 1) ? lua_upvalueindex(1) : lua_upvalueindex(2));
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

// Lua's own counts with ints that may overflow.
static int unpack(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    int64_t first = luaL_optint(lua, 2, 1);
    int64_t last = lua_isnoneornil(lua, 3) ? (int64_t)lua_objlen(lua, 1) : luaL_checkint(lua, 3);
    if (first > last) return 0;
    int64_t count = last - first + 1;
    if (count >= 8000 || !lua_checkstack(lua, (int)count)) return luaL_error(lua, "too many results to unpack");
    for (int64_t index = first; index <= last; index++) lua_rawgeti(lua, 1, (int)index);
    return (int)count;
}

// Lua's own repeats an empty text as often as it is told, and adds sizes unchecked.
static int string_rep(lua_State *lua) {
    size_t length;
    const char *text = luaL_checklstring(lua, 1, &length);
    double wanted = luaL_checknumber(lua, 2);
    if (!(wanted >= 1) || length == 0) {
        lua_pushliteral(lua, "");
        return 1;
    }
    if (wanted > (double)(1 << 30) / (double)length) return luaL_error(lua, "not enough memory");
    sr_buffer *out = sr_scratch(lua);
    for (size_t count = (size_t)wanted; count > 0; count--) sr_append(out, text, length);
    if (out->failed) return luaL_error(lua, "not enough memory");
    lua_pushlstring(lua, out->bytes, out->count);
    return 1;
}

// The collector serves all scripts: none of them may stop it.
static int collect_garbage(lua_State *lua) {
    static const char *const names[] = {
        "collect", "count", "step", "stop", "restart", "setpause", "setstepmul", NULL};
    int choice = luaL_checkoption(lua, 1, "collect", names);
    switch (choice) {
    case 0: lua_gc(lua, LUA_GCCOLLECT, 0); break;
    case 1:
        lua_pushnumber(lua, lua_gc(lua, LUA_GCCOUNT, 0) + lua_gc(lua, LUA_GCCOUNTB, 0) / 1024.0);
        return 1;
    case 2:
        lua_pushboolean(lua, lua_gc(lua, LUA_GCSTEP, 0));
        return 1;
    default: break;
    }
    lua_pushinteger(lua, choice >= 5 ? 200 : 0);
    return 1;
}

// Lua 5.1 follows a pattern by recursion: a long one would overflow the stack.
static int pattern_guarded(lua_State *lua) {
    if (lua_isstring(lua, 2) && lua_objlen(lua, 2) > 8192) return luaL_error(lua, "pattern too complex");
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

static void wrap(lua_State *lua, int table, const char *name, lua_CFunction wrapper) {
    lua_getfield(lua, table, name);
    lua_pushcclosure(lua, wrapper, 1);
    lua_setfield(lua, table, name);
}

static int compile(lua_State *lua, const char *text, size_t length, const char *name) {
    if (sr_compile(lua, text, length, name) == 0) return 1;
    lua_pushnil(lua);
    lua_insert(lua, -2);
    return 2;
}

static int load_string(lua_State *lua) {
    size_t length;
    const char *text = luaL_checklstring(lua, 1, &length);
    return compile(lua, text, length, luaL_optstring(lua, 2, text));
}

static int load_pieces(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    const char *name = luaL_optstring(lua, 2, "=(load)");
    lua_newtable(lua);
    int pieces = lua_gettop(lua), count = 0;
    size_t length;
    for (;;) {
        lua_pushvalue(lua, 1);
        lua_call(lua, 0, 1);
        if (lua_isnil(lua, -1)) break;
        if (!lua_isstring(lua, -1)) return luaL_error(lua, "reader function must return a string");
        const char *piece = lua_tolstring(lua, -1, &length);
        if (length == 0) break;
        // Known by its first byte: what would come behind it is not waited for.
        if (count == 0 && piece[0] == '\033') return compile(lua, piece, length, name);
        lua_rawseti(lua, pieces, ++count);
    }
    luaL_Buffer buffer;
    lua_settop(lua, pieces);
    luaL_buffinit(lua, &buffer);
    for (int index = 1; index <= count; index++) {
        lua_rawgeti(lua, pieces, index);
        luaL_addvalue(&buffer);
    }
    luaL_pushresult(&buffer);
    const char *text = lua_tolstring(lua, -1, &length);
    return compile(lua, text, length, name);
}

// The 48-bit linear congruential generator of drand48: the same numbers in every run of a script.
static int32_t next_random(sr_interpreter *interpreter) {
    interpreter->random = (interpreter->random * 0x5DEECE66DULL + 0xB) & 0xFFFFFFFFFFFFULL;
    return (int32_t)(interpreter->random >> 17);
}

static int math_random(lua_State *lua) {
    double r = (double)(next_random(sr_of(lua)) % 0x7FFFFFFF) / 0x7FFFFFFF;
    long low = 1, high;
    switch (lua_gettop(lua)) {
    case 0: lua_pushnumber(lua, r); return 1;
    case 1: high = luaL_checklong(lua, 1); break;
    case 2:
        low = luaL_checklong(lua, 1);
        high = luaL_checklong(lua, 2);
        break;
    default: return luaL_error(lua, "wrong number of arguments");
    }
    luaL_argcheck(lua, low <= high, lua_gettop(lua), "interval is empty");
    double span = (double)high - (double)low + 1;
    lua_pushnumber(lua, (double)(int64_t)(r * span) + (double)low);
    return 1;
}

static int math_randomseed(lua_State *lua) {
    sr_of(lua)->random = ((uint64_t)(uint32_t)luaL_checkint(lua, 1) << 16) + 0x330E;
    return 0;
}

static void set(lua_State *lua, int table, const char *name, lua_CFunction function) {
    lua_pushcfunction(lua, function);
    lua_setfield(lua, table, name);
}

static void replace_builtins(lua_State *lua, int all) {
    wrap(lua, all, "rawset", guarded);
    wrap(lua, all, "setmetatable", guarded);
    lua_pushcfunction(lua, guarded_next);
    lua_getfield(lua, all, "next");
    lua_pushcclosure(lua, guarded_pairs, 2);
    lua_setfield(lua, all, "pairs");
    set(lua, all, "next", guarded_next);
    set(lua, all, "rawget", raw_get);
    set(lua, all, "unpack", unpack);
    set(lua, all, "collectgarbage", collect_garbage);
    set(lua, all, "xpcall", handled_call);
    set(lua, all, "pcall", protected_call);
    set(lua, all, "loadstring", load_string);
    set(lua, all, "load", load_pieces);
    lua_getfield(lua, all, "table");
    int table = lua_gettop(lua);
    static const char *const storing[] = {"insert", "remove", "sort", "setn", NULL};
    for (int index = 0; storing[index]; index++) wrap(lua, table, storing[index], guarded);
    lua_getfield(lua, all, "string");
    static const char *const matching[] = {"find", "match", "gmatch", "gsub", "gfind", NULL};
    for (int index = 0; matching[index]; index++) wrap(lua, table + 1, matching[index], pattern_guarded);
    set(lua, table + 1, "rep", string_rep);
    lua_pushnil(lua);
    lua_setfield(lua, table + 1, "dump");
    lua_getfield(lua, all, "math");
    set(lua, table + 2, "random", math_random);
    set(lua, table + 2, "randomseed", math_randomseed);
    // Of the operating system, only its clock.
    lua_getfield(lua, all, "os");
    lua_newtable(lua);
    lua_getfield(lua, -2, "clock");
    lua_setfield(lua, -2, "clock");
    lua_setfield(lua, all, "os");
    // The metatable that all strings share is out of reach.
    lua_pushliteral(lua, "");
    if (lua_getmetatable(lua, -1)) {
        lua_pushboolean(lua, 0);
        lua_setfield(lua, -2, "__metatable");
    }
    lua_settop(lua, all);
}

// What `all` has and scripts may see, protected, in a new table that is pushed.
static void push_visible(lua_State *lua, int all) {
    static const char *const values[] = {
        "_VERSION", "assert", "collectgarbage", "error", "gcinfo", "getmetatable", "ipairs", "load", "loadstring",
        "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select", "setmetatable", "tonumber", "tostring",
        "type", "unpack", "xpcall", NULL};
    static const char *const libraries[] = {
        "bit", "cjson", "cmsgpack", "coroutine", "math", "os", "redis", "server", "string", "struct", "table", NULL};
    lua_newtable(lua);
    int globals = lua_gettop(lua);
    for (int index = 0; values[index]; index++) {
        lua_getfield(lua, all, values[index]);
        lua_setfield(lua, globals, values[index]);
    }
    for (int index = 0; libraries[index]; index++) {
        lua_getfield(lua, all, libraries[index]);
        if (lua_istable(lua, -1)) protect(lua, reads_plainly);
        lua_setfield(lua, globals, libraries[index]);
    }
}

static void make_loading(lua_State *lua) {
    lua_newtable(lua);
    sr_push_loading_redis(lua);
    protect(lua, reads_strictly);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, -3, "redis");
    lua_setfield(lua, -2, "server");
    be_strict(lua);
    lua_setfield(lua, LUA_REGISTRYINDEX, "sr_loading_globals");
}

void sr_protect_globals(lua_State *lua, int is_functions) {
    lua_pushlightuserdata(lua, (void *)&protected_key);
    lua_newtable(lua);
    lua_rawset(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    int all = lua_gettop(lua);
    replace_builtins(lua, all);
    if (is_functions) make_loading(lua);
    push_visible(lua, all);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, LUA_REGISTRYINDEX, "sr_globals");
    protect(lua, reads_strictly);
    lua_getfield(lua, LUA_REGISTRYINDEX, "sr_globals");
    lua_pushvalue(lua, -2);
    lua_setfield(lua, -2, "_G");
    lua_pop(lua, 1);
    lua_replace(lua, LUA_GLOBALSINDEX);
    lua_settop(lua, all - 1);
}
