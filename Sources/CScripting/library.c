// Libraries of functions: loading one registers its functions, each of which is kept under a number.
//
// While a library is loaded it sees `redis` alone, and of that only what registers, logs and tells the version.
#include "internal.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct {
    /// Places on the stack; 0: not given.
    int name, description, callback;
    unsigned flags;
} registration;

static int fail(lua_State *lua, const char *text) {
    char line[256];
    snprintf(line, sizeof line, "ERR %s", text);
    sr_push_error(lua, line, strlen(line));
    return lua_error(lua);
}

static unsigned flag(lua_State *lua, int index) {
    static const struct { const char *name; unsigned bit; } flags[] = {
        {"no-writes", sr_no_writes}, {"allow-oom", sr_allow_oom}, {"allow-stale", sr_allow_stale},
        {"no-cluster", sr_no_cluster}, {"allow-cross-slot-keys", sr_allow_cross_slot_keys}};
    const char *name = lua_isstring(lua, index) ? lua_tostring(lua, index) : "";
    for (size_t each = 0; each < sizeof flags / sizeof *flags; each++)
        if (strcasecmp(flags[each].name, name) == 0) return flags[each].bit;
    fail(lua, "unknown flag given");
    return 0;
}

static unsigned read_flags(lua_State *lua, int table) {
    unsigned all = 0;
    if (!lua_istable(lua, table))
        fail(lua, "flags argument to redis.register_function must be a table representing function flags");
    for (int index = 1;; index++) {
        lua_rawgeti(lua, table, index);
        if (lua_isnil(lua, -1)) break;
        all |= flag(lua, lua_gettop(lua));
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    return all;
}

// The value on top belongs to `name`; it stays where it is if it is kept.
static void read_argument(lua_State *lua, const char *name, registration *given) {
    int top = lua_gettop(lua);
    if (strcasecmp(name, "function_name") == 0) {
        if (!lua_isstring(lua, top))
            fail(lua, "function_name argument given to redis.register_function must be a string");
        lua_replace(lua, given->name = 2);
    } else if (strcasecmp(name, "description") == 0) {
        if (!lua_isstring(lua, top))
            fail(lua, "description argument given to redis.register_function must be a string");
        lua_replace(lua, given->description = 3);
    } else if (strcasecmp(name, "callback") == 0) {
        if (!lua_isfunction(lua, top))
            fail(lua, "callback argument given to redis.register_function must be a function");
        lua_replace(lua, given->callback = 4);
    } else if (strcasecmp(name, "flags") == 0) {
        given->flags = read_flags(lua, top);
        lua_pop(lua, 1);
    } else {
        fail(lua, "unknown argument given to redis.register_function");
    }
}

static void read_named(lua_State *lua, registration *given) {
    if (!lua_istable(lua, 1)) {
        fail(lua, "calling redis.register_function with a single argument is only applicable to Lua table "
             "(representing named arguments).");
    }
    lua_settop(lua, 4);
    for (lua_pushnil(lua); lua_next(lua, 1);) {
        int type = lua_type(lua, -2);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            fail(lua, "named argument key given to redis.register_function is not a string");
        read_argument(lua, type == LUA_TSTRING ? lua_tostring(lua, -2) : "", given);
    }
    if (!given->name) fail(lua, "redis.register_function must get a function name argument");
    if (!given->callback) fail(lua, "redis.register_function must get a callback argument");
}

static void read_plain(lua_State *lua, registration *given) {
    if (!lua_isstring(lua, 1)) fail(lua, "first argument to redis.register_function must be a string");
    if (!lua_isfunction(lua, 2)) fail(lua, "second argument to redis.register_function must be a function");
    given->name = 1;
    given->callback = 2;
}

static int register_function(lua_State *lua) {
    sr_interpreter *interpreter = sr_of(lua);
    registration given = {0, 0, 0, 0};
    int count = lua_gettop(lua);
    luaL_checkstack(lua, 16, "too many arguments");
    if (!interpreter->is_loading)
        return fail(lua, "redis.register_function can only be called on FUNCTION LOAD command");
    if (count < 1 || count > 2) return fail(lua, "wrong number of arguments to redis.register_function");
    if (count == 1) read_named(lua, &given); else read_plain(lua, &given);
    size_t length, description_length = 0;
    const char *name = lua_tolstring(lua, given.name, &length);
    const char *description = given.description ? lua_tolstring(lua, given.description, &description_length) : NULL;
    int handle = ++interpreter->handles;
    lua_getfield(lua, LUA_REGISTRYINDEX, "sr_functions");
    lua_pushvalue(lua, given.callback);
    lua_rawseti(lua, -2, handle);
    const char *error = interpreter->host.registers(interpreter->host.context, name, length, description,
                                                    description_length, given.flags, handle);
    return error ? fail(lua, error) : 0;
}

void sr_push_loading_redis(lua_State *lua) {
    static const char *const shared[] = {
        "log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM", NULL};
    lua_newtable(lua);
    lua_getfield(lua, LUA_GLOBALSINDEX, "redis");
    for (int index = 0; shared[index]; index++) {
        lua_getfield(lua, -1, shared[index]);
        lua_setfield(lua, -3, shared[index]);
    }
    lua_pop(lua, 1);
    lua_pushcfunction(lua, register_function);
    lua_setfield(lua, -2, "register_function");
}

// MARK: Loading

typedef struct {
    sr_job job;
    char *message;
    size_t capacity;
    int is_loaded;
} loading;

static int load(lua_State *lua) {
    loading *work = lua_touserdata(lua, 1);
    lua_pushcfunction(lua, sr_place_error);
    if (sr_compile(lua, work->job.source, work->job.length, "@user_function") != 0) {
        snprintf(work->message, work->capacity, "Error compiling function: %s", lua_tostring(lua, -1));
        return 0;
    }
    work->job.interpreter->is_loading = 1;
    sr_show_loading(lua, 1);
    int failed = lua_pcall(lua, 0, 0, 2);
    work->job.interpreter->is_loading = 0;
    sr_show_loading(lua, 0);
    if (!failed) {
        work->is_loaded = 1;
        return 0;
    }
    if (lua_istable(lua, -1)) {
        lua_pushliteral(lua, "err");
        lua_rawget(lua, -2);
    }
    const char *text = lua_isstring(lua, -1) ? lua_tostring(lua, -1) : "unknown error";
    snprintf(work->message, work->capacity, "Error registering functions: %s", text);
    return 0;
}

int sr_library_load(sr_interpreter *interpreter, const char *source, size_t length, char *message, size_t capacity) {
    loading work = {{.interpreter = interpreter, .name = "", .source = source, .length = length}, message, capacity, 0};
    const char *reply;
    size_t reply_length;
    snprintf(message, capacity, "not enough memory");
    sr_run_job(interpreter, interpreter->library_loader, (sr_job *)&work, &reply, &reply_length);
    interpreter->is_loading = 0;
    return work.is_loaded;
}

static int drop(lua_State *lua) {
    sr_job *work = lua_touserdata(lua, 1);
    lua_getfield(lua, LUA_REGISTRYINDEX, "sr_functions");
    lua_pushnil(lua);
    lua_rawseti(lua, -2, work->handle);
    return 0;
}

void sr_function_drop(sr_interpreter *interpreter, int handle) {
    sr_job work = {.interpreter = interpreter, .handle = handle};
    if (lua_cpcall(interpreter->lua, drop, &work) != 0) lua_settop(interpreter->lua, 0);
}

// MARK: Running

// A closure over the functions and sr_place_error.
static int run(lua_State *lua) {
    sr_job *work = lua_touserdata(lua, 1);
    lua_pushvalue(lua, lua_upvalueindex(2));
    lua_rawgeti(lua, lua_upvalueindex(1), work->handle);
    sr_push_list(lua, work, 0, work->key_count);
    sr_push_list(lua, work, work->key_count, work->count);
    sr_call_and_reply(lua, work, 2, 2);
    return 0;
}

void sr_function_run(sr_interpreter *interpreter, int handle, const char *name, int key_count, int count,
                     const char *const *arguments, const size_t *lengths, int client_resp,
                     const char **reply, size_t *length) {
    sr_job work = {.interpreter = interpreter, .name = name, .handle = handle, .key_count = key_count, .count = count,
                   .client_resp = client_resp, .arguments = arguments, .lengths = lengths};
    sr_run_job(interpreter, interpreter->function_runner, &work, reply, length);
}

void sr_open_functions(lua_State *lua) {
    sr_interpreter *interpreter = sr_of(lua);
    lua_newtable(lua);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, LUA_REGISTRYINDEX, "sr_functions");
    lua_pushcfunction(lua, sr_place_error);
    lua_pushcclosure(lua, run, 2);
    interpreter->function_runner = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, load);
    interpreter->library_loader = luaL_ref(lua, LUA_REGISTRYINDEX);
}
