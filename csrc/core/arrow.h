/* arrow.h - the rows of a profile as an Arrow C stream (arrow.apache.org, "The Arrow C
 * stream interface"), so that any data frame library takes them.
 *
 * One batch of a struct with the columns
 * - time: int64, ns since the recording began (0 where rows have no times)
 * - pid, tid, cpu_id: int32, -1 = unknown ("cpu" is a sample type)
 * - thread, comm: text (dictionary), the thread's name and its process's name
 * - stack: uint32, number of the stack, equal for equal stacks
 * - function, module: text (dictionary) of the leaf frame
 * - how: text (dictionary), how the stack was found: cprof_how_text(), "" as a rule
 * - n_added: uint16, outermost frames that were spliced or continued
 * - each sample type: int64; " value" is appended to a name that is taken
 * pid, tid, cpu_id, stack and what is stored of n_added and values are not copied. A byte
 * of a name that is not UTF-8 becomes "\xNN". */
#ifndef CPROF_ARROW_H
#define CPROF_ARROW_H

#include "profile.h"

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_NULLABLE 2

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

/* Fill *ret: the caller calls its release(). It and every array taken from it hold a
 * reference to `p` of their own. 0, -ENOMEM, or -EOVERFLOW (names of more than 2 GiB). */
int cprof_arrow_stream(struct cprof_profile *p, struct ArrowArrayStream *ret,
                       struct cprof_error *err);

#endif
