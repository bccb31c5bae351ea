/* locate_lines.h - locations that have their functions -> files, lines and inlined
 * functions. For tables that are still being filled, and for profiles that are finished
 * or were read from a file: then the code's files must still be there, with the same
 * build ids. */
#ifndef CPROF_LOCATE_LINES_H
#define CPROF_LOCATE_LINES_H

#include "profile.h"
#include "symbol_lines.h"

/* Files whose debug information has at most so many bytes are read at once when a
 * recording ends: that is a matter of milliseconds. */
enum { CPROF_LINES_AT_ONCE = 4 << 20 };

struct cprof_liner_file { /* one file that code lies in, by what the stacks call it */
    uint32_t path, build_id;
    struct cprof_lines *lines; /* NULL: has none, or too many */
    struct cprof_elf *elf;     /* NULL: the file itself is not at hand */
};

struct cprof_liner {
    uint64_t most;   /* see struct cprof_lines_from */
    bool debuginfod; /* see there */
    CPROF_VEC(struct cprof_liner_file) files;
    struct cprof_map readable; /* strings: linkage name -> readable name */
    size_t n_lined;            /* locations below this were looked at */
    uint64_t n_refused;        /* see cprof_lines_n_refused */
};

/* A liner that is zero but for its first two fields is valid. It is for one stacks. */
void cprof_liner_deinit(struct cprof_liner *liner);

/* Give every location from liner->n_lined on that has a function but no line what its
 * file's debug information says. The function that its symbol table named keeps that
 * name. 0, -ENOMEM, or with debuginfod what symbol_lines.h says. */
int cprof_locate_lines(struct cprof_liner *liner, struct cprof_stacks *stacks,
                       struct cprof_error *err);

/* The same rows, with lines. *ret is owned; it may be the profile itself. Errors as
 * above. */
int cprof_profile_with_lines(struct cprof_profile *p, bool debuginfod,
                             struct cprof_profile **ret, struct cprof_error *err);

#endif
