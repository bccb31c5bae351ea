/* build.h - a profile from plain tables: what a reader of a file found in it.
 *
 * Everything is borrowed for the call and copied; numbers count from 0 and mean places in
 * the tables here, CPROF_NONE is "no such thing". Nothing is trusted: a number that names
 * nothing, a stack whose callers do not come before it, tables of unequal length and the
 * like are -EBADMSG, with the place in words.
 *
 * Numbers of mappings, nodes and rows stay as they are; equal functions become one, and
 * so do equal threads. A location with neither mapping nor address, of one line, whose
 * function has the name of a pseudo frame (stack.h), is that pseudo frame. */
#ifndef CPROF_BUILD_H
#define CPROF_BUILD_H

#include "profile.h"

struct cprof_build_type {
    const char *type, *unit;
};

enum cprof_build_flag { /* of a mapping, as in pprof */
                        CPROF_BUILD_HAS_FUNCTIONS = 1,
                        CPROF_BUILD_HAS_FILENAMES = 2,
                        CPROF_BUILD_HAS_LINE_NUMBERS = 4,
                        CPROF_BUILD_HAS_INLINE_FRAMES = 8
};

struct cprof_build_mapping {
    uint64_t start, limit, offset;
    const char *file, *module, *build_id, *root;
    unsigned flags; /* the sum of enum cprof_build_flag */
};

struct cprof_build_function {
    const char *name, *system_name, *filename, *module;
    int64_t start_line;
};

struct cprof_build_label {
    const char *key, *text, *unit; /* text NULL: a number */
    int64_t number;
};

struct cprof_build_thread {
    int32_t pid, tid;
    const char *name, *comm;
    const struct cprof_build_label *labels;
    size_t n_labels;
};

struct cprof_tables {
    const char *name; /* of the file, for messages */
    const struct cprof_build_type *types;
    size_t n_types;
    const struct cprof_build_mapping *mappings;
    size_t n_mappings;
    const struct cprof_build_function *functions;
    size_t n_functions;
    const uint64_t *address;  /* by location */
    const uint32_t *mapping;  /* by location */
    const uint8_t *is_folded; /* by location; NULL: none is */
    size_t n_locations;
    const uint32_t *line_location, *line_function, *line_column;
    const int64_t *line; /* these four by line, in order of location; of one location the
                            innermost inlined function first */
    size_t n_lines;
    const uint32_t *parent, *location; /* by node; parent < node, or CPROF_NONE */
    size_t n_nodes;
    const struct cprof_build_thread *threads;
    size_t n_threads;
    const uint64_t *time; /* by row; NULL: rows have no times */
    const uint32_t *thread, *stack;
    const int32_t *cpu;                            /* NULL: unknown */
    const uint8_t *how;                            /* NULL: 0 */
    const uint16_t *n_added;                       /* NULL: 0 */
    const int64_t *values[CPROF_MAX_SAMPLE_TYPES]; /* NULL: all 1 */
    size_t n_rows;
};

/* *ret is owned; its `run` is zero but for has_times, it has no marks and no comments. 0,
 * -ENOMEM, -EBADMSG. */
int cprof_build(const struct cprof_tables *tables, struct cprof_profile **ret,
                struct cprof_error *err);

/* The other way: one column of what a profile's tables hold, from the location, or node,
 * number `first` on. *ret is owned: free(). 0 or -ENOMEM. */
enum cprof_build_column {
    CPROF_BUILD_ADDRESS,       /* uint64_t, by location */
    CPROF_BUILD_MAPPING,       /* uint32_t */
    CPROF_BUILD_IS_FOLDED,     /* uint8_t */
    CPROF_BUILD_LINE_LOCATION, /* uint32_t, by line of those locations */
    CPROF_BUILD_LINE_FUNCTION, /* uint32_t */
    CPROF_BUILD_LINE,          /* int64_t */
    CPROF_BUILD_LINE_COLUMN,   /* uint32_t */
    CPROF_BUILD_PARENT,        /* uint32_t, by node */
    CPROF_BUILD_LOCATION,      /* uint32_t */
    CPROF_N_BUILD_COLUMNS
};
int cprof_build_column(const struct cprof_stacks *s, enum cprof_build_column column,
                       size_t first, void **ret, size_t *n);

#endif
