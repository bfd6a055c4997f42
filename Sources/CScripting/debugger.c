// The debugger of scripts (SCRIPT DEBUG): what redis-cli --ldb speaks with.
//
// While a debugger is attached, a hook runs at every line of the script. Where the script is to stop, it shows the line
// and takes commands until one of them lets the script go on. A command is an array of strings, as requests are; it is
// answered by an array of simple strings, each a line to be shown. What else is shown meanwhile (redis.debug, commands
// of a script that is stepped through) goes out with the next answer, and at last `<endsession>`, behind which the
// script's own reply follows.
//
// The host's `show` and `next` never raise. Errors of what is evaluated are caught here; "abort" ends the script as
// SCRIPT KILL does, past every pcall.
#include "debugger.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { context_lines = 5, most_breakpoints = 64, least_length = 60, logged_arguments = 10, hook_instructions = 100000 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// MARK: Lines to be shown

void sr_debug_line(sr_debugger *debugger, const char *text, size_t length) {
    sr_buffer *out = &debugger->shown;
    sr_append_text(out, "+");
    size_t start = out->count;
    sr_append(out, text, length);
    for (size_t index = start; index < out->count; index++)
        if (out->bytes[index] == '\r' || out->bytes[index] == '\n') out->bytes[index] = ' ';
    sr_append_text(out, "\r\n");
    debugger->shown_lines++;
}

static void line_text(sr_debugger *debugger, const char *text) { sr_debug_line(debugger, text, strlen(text)); }

/// The text as a line, not longer than the user wants lines to be.
static void trimmed_line(sr_debugger *debugger, sr_buffer *text) {
    size_t most = debugger->longest;
    if (most == 0 || text->count <= most) {
        sr_debug_line(debugger, text->bytes, text->count);
        return;
    }
    text->count = most;
    sr_append_text(text, " ...");
    sr_debug_line(debugger, text->bytes, text->count);
    if (!debugger->knows_trimming) {
        debugger->knows_trimming = 1;
        line_text(debugger, "<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
    }
}

static void send_lines(sr_debugger *debugger) {
    sr_buffer head = {0};
    sr_append_format(&head, "*%d\r\n", debugger->shown_lines);
    debugger->link.show(debugger->link.context, head.bytes, head.count);
    if (debugger->shown.count)
        debugger->link.show(debugger->link.context, debugger->shown.bytes, debugger->shown.count);
    sr_free(head.bytes);
    debugger->shown.count = 0;
    debugger->shown.failed = 0;
    debugger->shown_lines = 0;
}

static sr_buffer *begin_text(sr_debugger *debugger, const char *start) {
    debugger->text.count = 0;
    debugger->text.failed = 0;
    sr_append_text(&debugger->text, start);
    return &debugger->text;
}

// MARK: The source

static void split(sr_debugger *debugger, const char *source, size_t length) {
    while (length > 0 && (source[length - 1] == '\n' || source[length - 1] == '\r')) length--;
    if (length == 0) return;
    int count = 1;
    for (size_t index = 0; index < length; index++) count += source[index] == '\n';
    debugger->source = malloc(length);
    debugger->starts = calloc((size_t)count + 1, sizeof *debugger->starts);
    if (!debugger->source || !debugger->starts) return;
    memcpy(debugger->source, source, length);
    for (size_t index = 0; index < length; index++)
        if (source[index] == '\n') debugger->starts[++debugger->lines] = index + 1;
    debugger->starts[++debugger->lines] = length + 1;
}

static int is_line(const sr_debugger *debugger, int line) { return line > 0 && line <= debugger->lines; }

static int is_breakpoint(const sr_debugger *debugger, int line) {
    for (int index = 0; index < debugger->breakpoints; index++)
        if (debugger->breakpoint[index] == line) return 1;
    return 0;
}

static void show_source_line(sr_debugger *debugger, int line) {
    sr_buffer *text = begin_text(debugger, debugger->current == line ? "->" : "  ");
    sr_append_format(text, "%s%-3d ", is_breakpoint(debugger, line) ? "#" : " ", line);
    if (is_line(debugger, line)) {
        size_t start = debugger->starts[line - 1];
        sr_append(text, debugger->source + start, debugger->starts[line] - 1 - start);
    } else {
        sr_append_text(text, "<out of range source code line>");
    }
    sr_debug_line(debugger, text->bytes, text->count);
}

static void list(sr_debugger *debugger, long around, long context) {
    for (int line = 1; line <= debugger->lines; line++) {
        if (around != 0 && (line < around - context || line > around + context)) continue;
        show_source_line(debugger, line);
    }
}

// MARK: Commands

static int is(const char *word, const char *name) {
    // The first letter alone will do.
    if (tolower((unsigned char)word[0]) != name[0]) return 0;
    if (word[1] == 0) return 1;
    size_t index = 0;
    while (word[index] && tolower((unsigned char)word[index]) == name[index]) index++;
    return word[index] == 0 && name[index] == 0;
}

static void help(sr_debugger *debugger) {
    static const char *const lines[] = {
        "Redis Lua debugger help:",
        "[h]elp               Show this text.",
        "[s]tep               Run the current line, and stop at the next one.",
        "[n]ext               The same as step.",
        "[c]ontinue           Run until a breakpoint or the end.",
        "[l]ist               Show the source around the current line.",
        "[l]ist [line]        Show the source around a line; 0 is the current one.",
        "[l]ist [line] [ctx]  Show that many lines before and after it.",
        "[w]hole              Show the whole source.",
        "[p]rint              Show all local variables.",
        "[p]rint <var>        Show a variable, also of callers; or KEYS or ARGV.",
        "[b]reak              Show the breakpoints.",
        "[b]reak <line>       Set a breakpoint.",
        "[b]reak -<line>      Remove a breakpoint.",
        "[b]reak 0            Remove all breakpoints.",
        "[t]race              Show which function was called from where.",
        "[e]val <code>        Run some Lua, which doesn't see local variables.",
        "[r]edis <cmd>        Run a command, as the script would.",
        "[m]axlen [len]       Show or set the length that values are trimmed to; 0: none.",
        "[a]bort              End the script. What it wrote stays, in sync mode.",
        "",
        "For scripts:",
        "redis.debug()        Shows its arguments here.",
        "redis.breakpoint()   Stops before the next line.",
    };
    for (size_t index = 0; index < sizeof lines / sizeof *lines; index++) line_text(debugger, lines[index]);
}

static void print_value(lua_State *lua, sr_debugger *debugger, const char *name) {
    sr_buffer *text = begin_text(debugger, "<value> ");
    if (name) sr_append_format(text, "%.200s = ", name);
    sr_debug_value(lua, text, 0);
    trimmed_line(debugger, text);
    lua_pop(lua, 1);
}

static void print_variable(lua_State *lua, sr_debugger *debugger, const char *wanted) {
    lua_Debug frame;
    for (int level = 0; lua_getstack(lua, level, &frame); level++) {
        const char *name;
        for (int index = 1; (name = lua_getlocal(lua, &frame, index)); index++) {
            if (strcmp(name, wanted) == 0) {
                print_value(lua, debugger, NULL);
                return;
            }
            lua_pop(lua, 1);
        }
    }
    if (strcmp(wanted, "KEYS") == 0 || strcmp(wanted, "ARGV") == 0) {
        lua_getfield(lua, LUA_REGISTRYINDEX, "sr_globals");
        lua_getfield(lua, -1, wanted);
        lua_remove(lua, -2);
        print_value(lua, debugger, NULL);
        return;
    }
    line_text(debugger, "No such variable.");
}

static void print_all(lua_State *lua, sr_debugger *debugger) {
    lua_Debug frame;
    int found = 0;
    if (lua_getstack(lua, 0, &frame)) {
        const char *name;
        for (int index = 1; (name = lua_getlocal(lua, &frame, index)); index++) {
            if (strstr(name, "(*temporary)")) {
                lua_pop(lua, 1);
                continue;
            }
            print_value(lua, debugger, name);
            found = 1;
        }
    }
    if (!found) line_text(debugger, "No local variables in the current context.");
}

static void set_breakpoint(sr_debugger *debugger, const char *argument) {
    char *end;
    long line = strtol(argument, &end, 10);
    if (end == argument || *end || line > 1000000000 || line < -1000000000) {
        sr_buffer *text = begin_text(debugger, "Invalid argument:'");
        sr_append_format(text, "%.100s'", argument);
        sr_debug_line(debugger, text->bytes, text->count);
    } else if (line == 0) {
        debugger->breakpoints = 0;
        line_text(debugger, "All breakpoints removed.");
    } else if (line > 0) {
        if (debugger->breakpoints == most_breakpoints) {
            line_text(debugger, "Too many breakpoints set.");
        } else if (!is_line(debugger, (int)line)) {
            line_text(debugger, "Wrong line number.");
        } else {
            if (!is_breakpoint(debugger, (int)line)) debugger->breakpoint[debugger->breakpoints++] = (int)line;
            list(debugger, (int)line, 1);
        }
    } else {
        for (int index = 0; index < debugger->breakpoints; index++) {
            if (debugger->breakpoint[index] != -line) continue;
            debugger->breakpoints--;
            memmove(debugger->breakpoint + index, debugger->breakpoint + index + 1,
                    (size_t)(debugger->breakpoints - index) * sizeof(int));
            line_text(debugger, "Breakpoint removed.");
            return;
        }
        line_text(debugger, "No breakpoint in the specified line.");
    }
}

static void breakpoints(sr_debugger *debugger, int count, const char *const *arguments) {
    for (int index = 1; index < count; index++) set_breakpoint(debugger, arguments[index]);
    if (count > 1) return;
    if (debugger->breakpoints == 0) {
        line_text(debugger, "No breakpoints set. Use 'b <line>' to add one.");
        return;
    }
    sr_buffer *text = begin_text(debugger, "");
    sr_append_format(text, "%d breakpoints set:", debugger->breakpoints);
    sr_debug_line(debugger, text->bytes, text->count);
    for (int index = 0; index < debugger->breakpoints; index++) show_source_line(debugger, debugger->breakpoint[index]);
}

static void trace(lua_State *lua, sr_debugger *debugger) {
    lua_Debug frame;
    for (int level = 0; lua_getstack(lua, level, &frame); level++) {
        lua_getinfo(lua, "Snl", &frame);
        if (!strstr(frame.short_src, "user_script")) continue;
        sr_buffer *text = begin_text(debugger, level == 0 ? "In" : "From");
        sr_append_format(text, " %.100s:", frame.name ? frame.name : "top level");
        sr_debug_line(debugger, text->bytes, text->count);
        show_source_line(debugger, frame.currentline);
    }
}

/// The error on top, popped.
static void show_error(lua_State *lua, sr_debugger *debugger) {
    sr_buffer *text = begin_text(debugger, "<error> ");
    if (lua_istable(lua, -1)) {
        lua_pushliteral(lua, "err");
        lua_rawget(lua, -2);
        lua_remove(lua, -2);
    }
    size_t length = 0;
    const char *message = lua_type(lua, -1) == LUA_TSTRING ? lua_tolstring(lua, -1, &length) : NULL;
    if (message) sr_append(text, message, length); else sr_append_text(text, luaL_typename(lua, -1));
    sr_debug_line(debugger, text->bytes, text->count);
    lua_pop(lua, 1);
}

static void evaluate(lua_State *lua, sr_debugger *debugger, int count, const char *const *arguments,
                     const size_t *lengths) {
    // As an expression first, else as statements.
    for (int is_expression = 1; is_expression >= 0; is_expression--) {
        sr_buffer code = {0};
        if (is_expression) sr_append_text(&code, "return ");
        for (int index = 1; index < count; index++) {
            if (index > 1) sr_append_text(&code, " ");
            sr_append(&code, arguments[index], lengths[index]);
        }
        int status = sr_compile(lua, code.bytes ? code.bytes : "", code.count, "@ldb_eval");
        sr_free(code.bytes);
        if (status == 0) break;
        if (!is_expression) {
            show_error(lua, debugger);
            return;
        }
        lua_pop(lua, 1);
    }
    if (lua_pcall(lua, 0, 1, 0) != 0) {
        show_error(lua, debugger);
        return;
    }
    sr_buffer *text = begin_text(debugger, "<retval> ");
    sr_debug_value(lua, text, 0);
    trimmed_line(debugger, text);
    lua_pop(lua, 1);
}

static void run_command(lua_State *lua, sr_debugger *debugger, int count, const char *const *arguments,
                        const size_t *lengths) {
    luaL_checkstack(lua, count + 4, "too many arguments");
    lua_pushcfunction(lua, sr_redis_call);
    for (int index = 1; index < count; index++) lua_pushlstring(lua, arguments[index], lengths[index]);
    // Commands are shown while the script is stepped through.
    debugger->steps = 1;
    (void)lua_pcall(lua, count - 1, 1, 0);
    debugger->steps = 0;
    lua_pop(lua, 1);
}

static void set_length(sr_debugger *debugger, int count, const char *const *arguments) {
    if (count == 2) {
        int length = atoi(arguments[1]);
        debugger->knows_trimming = 1;
        debugger->longest = length <= 0 ? 0 : length < least_length ? least_length : (size_t)length;
    }
    sr_buffer *text = begin_text(debugger, "<value> replies are ");
    if (debugger->longest) sr_append_format(text, "truncated at %d bytes.", (int)debugger->longest);
    else sr_append_text(text, "unlimited.");
    sr_debug_line(debugger, text->bytes, text->count);
}

enum { goes_on = 0, stays = 1, ends = 2 };

static int obey(lua_State *lua, sr_debugger *debugger, int count, const char *const *arguments,
                const size_t *lengths) {
    const char *word = arguments[0];
    if (is(word, "help")) help(debugger);
    else if (is(word, "step") || is(word, "next")) return debugger->steps = 1, goes_on;
    else if (is(word, "continue")) return goes_on;
    else if (is(word, "trace")) trace(lua, debugger);
    else if (is(word, "maxlen")) set_length(debugger, count, arguments);
    else if (is(word, "break")) breakpoints(debugger, count, arguments);
    else if (is(word, "eval")) evaluate(lua, debugger, count, arguments, lengths);
    else if (is(word, "abort")) return ends;
    else if (count > 1 && is(word, "redis")) run_command(lua, debugger, count, arguments, lengths);
    else if (is(word, "print")) {
        if (count == 2) print_variable(lua, debugger, arguments[1]); else print_all(lua, debugger);
    } else if (is(word, "list")) {
        int around = count > 1 ? atoi(arguments[1]) : 0, context = count > 2 ? atoi(arguments[2]) : context_lines;
        list(debugger, around > 0 ? around : debugger->current, context);
    } else if (is(word, "whole")) list(debugger, 0, 0);
    else line_text(debugger, "<error> Unknown Redis Lua debugger command or wrong number of arguments.");
    return stays;
}

// MARK: Stopping

/// Takes commands until the script goes on. NULL, or the error that ends it.
static const char *converse(lua_State *lua, sr_debugger *debugger, int is_late) {
    for (;;) {
        const char *const *arguments;
        const size_t *lengths;
        int count = debugger->link.next(debugger->link.context, &arguments, &lengths);
        if (count < 0) return "ERR protocol error";
        if (count == 0) {
            // Nobody is there any more: what ends by itself may end.
            debugger->breakpoints = 0;
            debugger->is_alone = 1;
            return is_late ? "ERR timeout during Lua debugging with client closing connection" : NULL;
        }
        int outcome = obey(lua, debugger, count, arguments, lengths);
        if (outcome == goes_on) return NULL;
        if (outcome == ends) return "ERR script aborted for user request";
        send_lines(debugger);
    }
}

const char *sr_debug_hook(lua_State *lua, lua_Debug *where, sr_debugger *debugger) {
    lua_getinfo(lua, "Sl", where);
    int is_late = 0;
    if (where->event == LUA_HOOKCOUNT) {
        is_late = debugger->limit > 0 && now() - debugger->resumed > debugger->limit;
        if (!is_late) return NULL;
        if (debugger->is_alone) return "ERR timeout during Lua debugging with client closing connection";
    }
    if (!strstr(where->short_src, "user_script")) return NULL;
    debugger->current = where->currentline;
    int at_breakpoint = is_breakpoint(debugger, debugger->current), asked = debugger->stops_next;
    debugger->stops_next = 0;
    if (debugger->is_alone || !(debugger->steps || at_breakpoint || asked || is_late)) return NULL;
    debugger->steps = 0;
    const char *reason = asked ? "redis.breakpoint() called" : at_breakpoint ? "break point"
        : is_late ? "timeout reached, infinite loop?" : "step over";
    sr_buffer *text = begin_text(debugger, "");
    sr_append_format(text, "* Stopped at %d, stop reason = %s", debugger->current, reason);
    sr_debug_line(debugger, text->bytes, text->count);
    show_source_line(debugger, debugger->current);
    send_lines(debugger);
    luaL_checkstack(lua, 20, "no room for the debugger");
    const char *end = converse(lua, debugger, is_late);
    debugger->resumed = now();
    return end;
}

// MARK: What scripts show

void sr_debug_command(sr_debugger *debugger, int count, const char *const *arguments, const size_t *lengths,
                      const char *reply, size_t length, int was_refused) {
    if (!debugger->steps) return;
    sr_buffer *text = begin_text(debugger, "<redis>");
    for (int index = 0; index < count; index++) {
        if (index == logged_arguments) {
            sr_append_format(text, " ... (%d more)", count - index - 1);
            break;
        }
        sr_append_text(text, " ");
        sr_append(text, arguments[index], lengths[index]);
    }
    sr_debug_line(debugger, text->bytes, text->count);
    if (length == 0) return;
    if (*reply == '-') {
        text = begin_text(debugger, "<error> ");
        const char *start = reply, *end = memchr(reply, '\r', length);
        if (was_refused && length > 5 && memcmp(start, "-ERR ", 5) == 0) start += 5;
        sr_append(text, start, (size_t)((end ? end : reply + length) - start));
        sr_debug_line(debugger, text->bytes, text->count);
        if (was_refused) return;
    }
    text = begin_text(debugger, "<reply> ");
    sr_debug_reply(text, &reply, 0);
    trimmed_line(debugger, text);
}

void sr_debug_say(lua_State *lua, sr_debugger *debugger) {
    sr_buffer *text = begin_text(debugger, "");
    sr_append_format(text, "<debug> line %d: ", debugger->current);
    int count = lua_gettop(lua);
    luaL_checkstack(lua, 20, "too many arguments");
    for (int index = 1; index <= count; index++) {
        if (index > 1) sr_append_text(text, ", ");
        lua_pushvalue(lua, index);
        sr_debug_value(lua, text, 0);
        lua_pop(lua, 1);
    }
    sr_debug_line(debugger, text->bytes, text->count);
}

// MARK: Life

sr_debugger *sr_debugger_create(sr_debug_link link, const char *source, size_t length, double limit) {
    sr_debugger *debugger = calloc(1, sizeof *debugger);
    if (!debugger) return NULL;
    debugger->link = link;
    debugger->longest = 256;
    debugger->limit = limit;
    debugger->steps = 1;
    debugger->resumed = now();
    split(debugger, source, length);
    return debugger;
}

void sr_debugger_end(sr_debugger *debugger) {
    line_text(debugger, "<endsession>");
    send_lines(debugger);
    sr_free(debugger->shown.bytes);
    sr_free(debugger->text.bytes);
    free(debugger->source);
    free(debugger->starts);
    free(debugger);
}

void sr_interpreter_debug(sr_interpreter *interpreter, sr_debugger *debugger) {
    interpreter->debugger = debugger;
    if (debugger) {
        lua_sethook(interpreter->lua, sr_hook, LUA_MASKLINE | LUA_MASKCOUNT, hook_instructions);
    } else {
        sr_rest_hook(interpreter);
    }
}
