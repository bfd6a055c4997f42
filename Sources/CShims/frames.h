// What the files of this directory need of each other to write reports.
#pragma once

#include <stddef.h>

/// Finds the program's symbols, for reports; once, before anything crashes.
void sr_symbols_prepare(void);
/// Writes a line about an address in code: `program(symbol+0x1c)[0x55d0…]`. Safe in a signal handler.
/// returns: a call returns to it, and may have been its function's last instruction.
void sr_put_frame(int descriptor, void *address, int returns);
/// Writes the whole text, however many calls that takes.
void sr_put(int descriptor, const char *text);
