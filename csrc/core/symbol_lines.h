/* symbol_lines.h - where code comes from: addresses of one ELF file -> functions, files
 * and lines, with what was inlined there.
 *
 * Read from DWARF 2 to 5: the file's own, or that of its separate debug file (symbol.h
 * says where that is looked for), with dwz alternate files, compressed sections, and
 * split units in .dwo files or a .dwp. libdw opens and decompresses the file and reads
 * attributes; the long way through units and line programs is the code's own, in one pass
 * for all addresses asked for, and keeps nothing. No server is ever asked unless told to.
 */
#ifndef CPROF_SYMBOL_LINES_H
#define CPROF_SYMBOL_LINES_H

#include "elf.h"

struct cprof_lines;

/* Where to look. Strings and bytes are borrowed during open. */
struct cprof_lines_from {
    struct cprof_elf
        *elf;         /* the file itself; NULL: it is gone, only its debug file helps */
    const char *root; /* see cprof_symbols_create_elf */
    const char *path; /* of the file, as the target sees it */
    const uint8_t *build_id;
    size_t build_id_n; /* 0: the file's own */
    uint64_t most;     /* bytes of debug information worth reading; 0: any number */
    bool debuginfod;   /* ask a server for what is not here */
};

/* One function at an address. */
struct cprof_lines_frame {
    const char *name;         /* linkage name where there is one; NULL: not known */
    const char *file;         /* full path; "" when not known */
    int64_t line, start_line; /* 0 when not known */
    uint32_t column;
};

/* What find() is to be told: frames[0..n) of addresses[i], the innermost inlined function
 * first, the real one last; borrowed during the call. n is 0 where nothing is known. A
 * negative value ends find(). */
typedef int cprof_lines_taker(void *arg, size_t i, const struct cprof_lines_frame *frames,
                              size_t n);

/* 0 and *ret (owned), -ENODATA: no line information, -EFBIG: more than from->most,
 * -ENOMEM; with from->debuginfod also what cprof_debuginfod_open says. */
int cprof_lines_open(const struct cprof_lines_from *from, struct cprof_lines **ret,
                     struct cprof_error *err);
void cprof_lines_close(struct cprof_lines *lines); /* accepts NULL */

/* Each of the addresses, which are virtual addresses of the ELF file in any order, is
 * answered once. 0, -ENOMEM, or what `take` returned. One thread at a time. */
int cprof_lines_find(struct cprof_lines *lines, const uint64_t *addresses, size_t n,
                     cprof_lines_taker *take, void *arg);

/* How often this file was not read to its end: its data contradicts itself, or made for
 * more work than any honest file. */
uint64_t cprof_lines_n_refused(const struct cprof_lines *lines);

/* Bytes of debug information that answers are read from. */
uint64_t cprof_lines_size(const struct cprof_lines *lines);

#endif
