/* symbol.h - names of the code in one module: address -> function.
 *
 * Sources of a file, best first: its .symtab; that of a separate debug file (by build id
 * under the debug directories, then .gnu_debuglink, CRC checked); .gnu_debugdata (xz);
 * .dynsym; PLT stubs from their relocations ("puts@plt"); the unwind table, which gives a
 * function without a symbol one stable name for all its addresses ("xz!fn_0x1234", hex of
 * the function's start in the file). An address that nothing covers is "[unknown]".
 * Other sources: the kernel's symbol list, perf-PID.map files of JIT compilers.
 *
 * A table is built when made, sorted once, and immutable afterwards. File, line and
 * inlined callers will be answered by the same call from DWARF (the `lines`
 * out-parameter's seam: cprof_symbols_find returns one frame now, the outermost). */
#ifndef CPROF_SYMBOL_H
#define CPROF_SYMBOL_H

#include "elf.h"

struct cprof_symbols;

enum cprof_symbol_source {
    CPROF_SYMBOL_SYMTAB,    /* .symtab of the file or of its debug file */
    CPROF_SYMBOL_DEBUGDATA, /* .gnu_debugdata */
    CPROF_SYMBOL_DYNSYM,
    CPROF_SYMBOL_PLT,
    CPROF_SYMBOL_FDE, /* named after its unwind table entry */
    CPROF_SYMBOL_KERNEL,
    CPROF_SYMBOL_JIT,
    CPROF_SYMBOL_UNKNOWN,
};

struct cprof_symbol {
    const char *name; /* as in the file; borrowed until the table is destroyed, for FDE
                         and UNKNOWN names until the next find on this table */
    uint64_t start, size; /* same address space as the query; size 0 = unknown */
    enum cprof_symbol_source source;
};

/* Names of an ELF file. `elf` may be NULL (the file is gone): then only debug files found
 * by build id can help. `root` is a prefix for looking up debug files in the target's own
 * mount namespace ("/proc/123/root") or "". `path` is the file's path as the target sees
 * it; its last part is the module's name. Never fails for lack of symbols (that is an
 * empty table): 0 or -ENOMEM. */
int cprof_symbols_create_elf(struct cprof_elf *elf, const char *root, const char *path,
                             const uint8_t *build_id, size_t build_id_n,
                             struct cprof_symbols **ret);
/* /proc/kallsyms, with module names in brackets dropped from the name. All addresses zero
 * (kptr_restrict) gives an empty table. */
int cprof_symbols_create_kernel(struct cprof_symbols **ret);
/* Lines "START SIZE name" in hex, as JIT compilers write /tmp/perf-PID.map; `text` is
 * parsed, not kept. Later entries win over earlier ones they overlap. */
int cprof_symbols_create_jit(const char *text, size_t n, struct cprof_symbols **ret);
void cprof_symbols_destroy(struct cprof_symbols *symbols); /* accepts NULL */

size_t cprof_symbols_n(const struct cprof_symbols *symbols); /* named functions */

/* The function at `address`: a virtual address of the ELF file (cprof_elf_vaddr_of), a
 * kernel address, a run-time address for JIT. Always fills *ret. One thread at a time. */
void cprof_symbols_find(struct cprof_symbols *symbols, uint64_t address,
                        struct cprof_symbol *ret);

#endif
