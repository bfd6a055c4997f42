#ifndef CSCRIPTING_DEBUGGER_H
#define CSCRIPTING_DEBUGGER_H

#include "CShims.h"
#include "internal.h"

struct sr_debugger {
    sr_debug_link link;
    /// The script; line n is from starts[n - 1] up to the byte before starts[n] - 1.
    char *source;
    size_t *starts;
    int lines;
    /// The line that runs.
    int current;
    /// Stop at every line, and show commands.
    int steps;
    /// redis.breakpoint(): stop at the next line.
    int stops_next;
    /// The user has left.
    int is_alone;
    int breakpoint[64], breakpoints;
    /// Bytes of a value or reply that are shown; 0: all.
    size_t longest;
    int knows_trimming;
    /// Seconds after which a script that runs on is stopped; 0: never. When it was last let go.
    double limit, resumed;
    /// Lines that were not sent yet.
    sr_buffer shown;
    int shown_lines;
    sr_buffer text;
};

/// At a line or after many instructions: NULL, or the error that ends the script.
const char *sr_debug_hook(lua_State *lua, lua_Debug *where, sr_debugger *debugger);
void sr_debug_line(sr_debugger *debugger, const char *text, size_t length);
/// A command of the script and its reply.
void sr_debug_command(sr_debugger *debugger, int count, const char *const *arguments, const size_t *lengths,
                      const char *reply, size_t length, int was_refused);
/// redis.debug: all that is on the stack.
void sr_debug_say(lua_State *lua, sr_debugger *debugger);
/// The value on top as text.
void sr_debug_value(lua_State *lua, sr_buffer *out, int depth);
/// The RESP value at *next as text; *next moves behind it.
void sr_debug_reply(sr_buffer *out, const char **next, int depth);

#endif
