// The `redis` table (also called `server`) of scripts.
#include "debugger.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sr_push_error(lua_State *lua, const char *text, size_t length) {
    lua_newtable(lua);
    lua_pushlstring(lua, text, length);
    lua_setfield(lua, -2, "err");
}

static int raise(lua_State *lua, const char *text, int raises) {
    sr_push_error(lua, text, strlen(text));
    return raises ? lua_error(lua) : 1;
}

enum { few = 16 };

/// A command's words: here while they are few, else in memory of Lua's.
typedef struct {
    const char **texts;
    size_t *lengths;
    const char *few_texts[few];
    size_t few_lengths[few];
} words;

// As "%.17g" writes it; what is whole and small, without that.
static size_t write_number(char *text, size_t capacity, double value) {
    if (!(value > -1e15 && value < 1e15) || value != (double)(long long)value || value == 0)
        return value == 0 && !signbit(value) ? (text[0] = '0', 1) : (size_t)snprintf(text, capacity, "%.17g", value);
    char digits[24], *start = digits + sizeof digits;
    unsigned long long left = (unsigned long long)(value < 0 ? -value : value);
    do *--start = (char)('0' + left % 10); while (left /= 10);
    if (value < 0) *--start = '-';
    size_t length = (size_t)(digits + sizeof digits - start);
    memcpy(text, start, length);
    return length;
}

// The arguments as strings; 0: one is neither string nor number.
static int collect(lua_State *lua, words *all) {
    int count = lua_gettop(lua);
    all->texts = all->few_texts;
    all->lengths = all->few_lengths;
    if (count > few) {
        char *block = lua_newuserdata(lua, (size_t)count * (sizeof(char *) + sizeof(size_t)));
        all->texts = (const char **)block;
        all->lengths = (size_t *)(block + (size_t)count * sizeof(char *));
    }
    for (int index = 1; index <= count; index++) {
        int type = lua_type(lua, index);
        if (type == LUA_TNUMBER) {
            char text[64];
            size_t length = write_number(text, sizeof text, lua_tonumber(lua, index));
            lua_pushlstring(lua, text, length);
            lua_replace(lua, index);
        } else if (type != LUA_TSTRING) {
            return 0;
        }
        all->texts[index - 1] = lua_tolstring(lua, index, &all->lengths[index - 1]);
    }
    return 1;
}

static int call(lua_State *lua, int raises) {
    int count = lua_gettop(lua);
    if (count == 0) return raise(lua, "ERR Please specify at least one argument for this redis lib call", raises);
    const char *reply;
    size_t length;
    words all;
    luaL_checkstack(lua, 16, "too many arguments");
    if (!collect(lua, &all))
        return raise(lua, "ERR Lua redis lib command arguments must be strings or integers", raises);
    sr_interpreter *interpreter = sr_of(lua);
    int was_refused = interpreter->host.call(interpreter->host.context, count, all.texts, all.lengths,
                                             interpreter->resp, interpreter->repl, &reply, &length);
    if (interpreter->debugger)
        sr_debug_command(interpreter->debugger, count, all.texts, all.lengths, reply, length, was_refused);
    if (length == 0) return 0;
    int failed = *reply == '-';
    sr_push_reply(lua, &reply, 0);
    return failed && raises ? lua_error(lua) : 1;
}

int sr_redis_call(lua_State *lua) { return call(lua, 1); }
static int redis_pcall(lua_State *lua) { return call(lua, 0); }

static int status_reply(lua_State *lua) {
    if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING)
        return raise(lua, "ERR wrong number or type of arguments", 0);
    lua_newtable(lua);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int error_reply(lua_State *lua) {
    size_t length;
    if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING)
        return raise(lua, "ERR wrong number or type of arguments", 0);
    // An error ends where C would end it.
    const char *text = lua_tostring(lua, 1);
    length = strlen(text);
    lua_newtable(lua);
    if (length > 0 && *text == '-') text++, length--;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
    if (memchr(text, ' ', length)) {
        lua_pushlstring(lua, text, length);
    } else {
        lua_pushliteral(lua, "ERR ");
        lua_pushlstring(lua, text, length);
        lua_concat(lua, 2);
    }
    lua_setfield(lua, -2, "err");
    return 1;
}

static int sha1hex(lua_State *lua) {
    if (lua_gettop(lua) != 1) return raise(lua, "ERR wrong number of arguments", 1);
    size_t length;
    char digest[40];
    const char *text = lua_tolstring(lua, 1, &length);
    sr_of(lua)->host.sha1hex(text ? text : "", text ? length : 0, digest);
    lua_pushlstring(lua, digest, sizeof digest);
    return 1;
}

static int log_text(lua_State *lua) {
    int count = lua_gettop(lua);
    if (count < 2) return raise(lua, "ERR redis.log() requires two arguments or more.", 1);
    if (!lua_isnumber(lua, 1))
        return raise(lua, "ERR First argument must be a number (log level).", 1);
    double level = lua_tonumber(lua, 1);
    if (!(level >= 0 && level < 4)) return raise(lua, "ERR Invalid log level.", 1);
    luaL_Buffer buffer;
    luaL_buffinit(lua, &buffer);
    for (int index = 2; index <= count; index++) {
        if (!lua_isstring(lua, index)) continue;
        if (index > 2) luaL_addchar(&buffer, ' ');
        lua_pushvalue(lua, index);
        luaL_addvalue(&buffer);
    }
    luaL_pushresult(&buffer);
    size_t length;
    const char *text = lua_tolstring(lua, -1, &length);
    sr_interpreter *interpreter = sr_of(lua);
    interpreter->host.log(interpreter->host.context, (int)level, text, length);
    return 0;
}

static int setresp(lua_State *lua) {
    if (lua_gettop(lua) != 1) return raise(lua, "ERR redis.setresp() requires one argument.", 1);
    double version = lua_tonumber(lua, 1);
    if (version != 2 && version != 3) return raise(lua, "ERR RESP version must be 2 or 3.", 1);
    sr_of(lua)->resp = (int)version;
    return 0;
}

static int set_repl(lua_State *lua) {
    if (lua_gettop(lua) != 1) return raise(lua, "ERR redis.set_repl() requires one argument.", 1);
    double flags = lua_tonumber(lua, 1);
    if (!(flags >= 0 && flags <= 3)) {
        return raise(lua, "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
                     1);
    }
    sr_of(lua)->repl = (int)flags;
    return 0;
}

static int replicate_commands(lua_State *lua) {
    lua_pushboolean(lua, 1);
    return 1;
}

static int breakpoint(lua_State *lua) {
    sr_debugger *debugger = sr_of(lua)->debugger;
    if (debugger) debugger->stops_next = 1;
    lua_pushboolean(lua, debugger != NULL);
    return 1;
}

static int debug(lua_State *lua) {
    sr_debugger *debugger = sr_of(lua)->debugger;
    if (debugger) sr_debug_say(lua, debugger);
    return 0;
}

static int acl_check_cmd(lua_State *lua) {
    int count = lua_gettop(lua);
    if (count == 0)
        return raise(lua, "ERR Please specify at least one argument for this redis lib call", 1);
    words all;
    luaL_checkstack(lua, 16, "too many arguments");
    if (!collect(lua, &all))
        return raise(lua, "ERR Lua redis lib command arguments must be strings or integers", 1);
    sr_interpreter *interpreter = sr_of(lua);
    int answer = interpreter->host.permits(interpreter->host.context, count, all.texts, all.lengths);
    if (answer < 0) return raise(lua, "ERR Invalid command passed to redis.acl_check_cmd()", 1);
    lua_pushboolean(lua, answer);
    return 1;
}

void sr_open_redis(lua_State *lua) {
    static const luaL_Reg functions[] = {
        {"call", sr_redis_call}, {"pcall", redis_pcall}, {"status_reply", status_reply}, {"error_reply", error_reply},
        {"sha1hex", sha1hex}, {"log", log_text}, {"setresp", setresp}, {"set_repl", set_repl},
        {"acl_check_cmd", acl_check_cmd}, {NULL, NULL}};
    static const luaL_Reg of_scripts[] = {
        {"replicate_commands", replicate_commands}, {"breakpoint", breakpoint}, {"debug", debug}, {NULL, NULL}};
    static const struct { const char *name; int value; } numbers[] = {
        {"LOG_DEBUG", 0}, {"LOG_VERBOSE", 1}, {"LOG_NOTICE", 2}, {"LOG_WARNING", 3}, {"REPL_NONE", 0},
        {"REPL_AOF", 1}, {"REPL_SLAVE", 2}, {"REPL_REPLICA", 2}, {"REPL_ALL", 3}, {"REDIS_VERSION_NUM", 0x070401}};
    luaL_register(lua, "redis", functions);
    if (!sr_of(lua)->is_functions) luaL_register(lua, NULL, of_scripts);
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        lua_pushinteger(lua, numbers[index].value);
        lua_setfield(lua, -2, numbers[index].name);
    }
    lua_pushliteral(lua, "7.4.1");
    lua_setfield(lua, -2, "REDIS_VERSION");
    lua_setfield(lua, LUA_GLOBALSINDEX, "server");
}
