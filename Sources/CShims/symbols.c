// Names of functions for stack traces. backtrace_symbols_fd(3) knows exported symbols only, which a Swift program has
// none of; its symbol table (.symtab) is read from the program's file instead, mapped when the server starts, so that a
// signal handler needs neither memory nor locks. Names stay mangled: `swift demangle` reads them from standard input.
#define _GNU_SOURCE
#include "frames.h"
#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const ElfW(Sym) *symbols;
static size_t symbol_count;
static const char *names;
static size_t names_size;
/// Where the program lies in memory, less where its file says.
static uintptr_t bias, first_address, last_address;

static int note_program(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    bias = info->dlpi_addr;
    first_address = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD) continue;
        uintptr_t start = bias + part->p_vaddr;
        if (start < first_address) first_address = start;
        if (start + part->p_memsz > last_address) last_address = start + part->p_memsz;
    }
    // The program itself comes first.
    return 1;
}

/// Section `index` lies within the file.
static int holds(const ElfW(Ehdr) *head, size_t size, const ElfW(Shdr) *section) {
    (void)head;
    return section->sh_offset <= size && section->sh_size <= size - section->sh_offset;
}

static void find_table(const unsigned char *file, size_t size) {
    const ElfW(Ehdr) *head = (const void *)file;
    if (size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return;
    if (head->e_shentsize != sizeof(ElfW(Shdr)) || head->e_shoff > size
        || (size - head->e_shoff) / sizeof(ElfW(Shdr)) < head->e_shnum) return;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    for (size_t i = 0; i < head->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_type != SHT_SYMTAB || section->sh_link >= head->e_shnum) continue;
        const ElfW(Shdr) *strings = &sections[section->sh_link];
        if (!holds(head, size, section) || !holds(head, size, strings) || strings->sh_size == 0) return;
        if (file[strings->sh_offset + strings->sh_size - 1] != 0) return;
        names = (const char *)(file + strings->sh_offset);
        names_size = strings->sh_size;
        symbol_count = section->sh_size / sizeof(ElfW(Sym));
        symbols = (const void *)(file + section->sh_offset);
        return;
    }
}

void sr_symbols_prepare(void) {
    // Loads what backtrace(3) needs now, for loading allocates.
    void *frame[1];
    backtrace(frame, 1);
    if (symbols) return;
    dl_iterate_phdr(note_program, NULL);
    int descriptor = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat status;
    if (fstat(descriptor, &status) == 0 && status.st_size > 0) {
        void *file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (file != MAP_FAILED) find_table(file, (size_t)status.st_size);
    }
    close(descriptor);
}

void sr_put(int descriptor, const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t count = write(descriptor, text, left);
        if (count <= 0) return;
        text += count;
        left -= (size_t)count;
    }
}

void sr_put_frame(int descriptor, void *address, int returns) {
    uintptr_t place = (uintptr_t)address, called = place - (returns != 0);
    if (!symbols || place < first_address || place >= last_address) {
        backtrace_symbols_fd(&address, 1, descriptor);
        return;
    }
    const ElfW(Sym) *best = NULL;
    for (size_t i = 0; i < symbol_count; i++) {
        const ElfW(Sym) *symbol = &symbols[i];
        uintptr_t start = bias + symbol->st_value;
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_name >= names_size || start > called) continue;
        if (called - start < (symbol->st_size ? symbol->st_size : 1)) best = symbol;
    }
    char line[512];
    if (best) {
        snprintf(line, sizeof line, "swift-redis(%.420s+0x%zx)[0x%zx]\n", names + best->st_name,
                 (size_t)(place - bias - best->st_value), (size_t)place);
    } else {
        snprintf(line, sizeof line, "swift-redis(+0x%zx)[0x%zx]\n", (size_t)(place - bias), (size_t)place);
    }
    sr_put(descriptor, line);
}
