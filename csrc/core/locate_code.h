/* locate_code.h - the code of one file on disk: which functions lie where, and their
 * lines. For those who look at instructions, not at samples. */
#ifndef CPROF_LOCATE_CODE_H
#define CPROF_LOCATE_CODE_H

#include "symbol.h"
#include "symbol_lines.h"

struct cprof_code;

/* Open `path`, which must have the build id `hex` ("": any). *ret is owned. The errno of
 * open; -ESTALE: it is another file by now. */
int cprof_code_open(const char *path, const char *hex, struct cprof_code **ret,
                    struct cprof_error *err);
void cprof_code_close(struct cprof_code *code); /* accepts NULL */

/* The virtual address of an offset in the file. */
uint64_t cprof_code_vaddr(const struct cprof_code *code, uint64_t offset);
/* The function at a virtual address; see cprof_symbols_find. */
void cprof_code_function(struct cprof_code *code, uint64_t vaddr,
                         struct cprof_symbol *ret);
/* See cprof_lines_find; where there is no debug information nothing is known. */
int cprof_code_lines(struct cprof_code *code, const uint64_t *vaddrs, size_t n,
                     cprof_lines_taker *take, void *arg, struct cprof_error *err);

#endif
