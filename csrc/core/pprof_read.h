/* pprof_read.h - bytes of profile.proto -> profile. Private to the pprof reader.
 *
 * The bytes are read where they lie, section by section: strings first, then what refers
 * to them, then the samples (pprof_read_samples.c). */
#ifndef CPROF_PPROF_READ_H
#define CPROF_PPROF_READ_H

#include "pprof.h"
#include "pprof_wire.h"

/* Fields of the messages of profile.proto. */
enum {
    PROFILE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_DROP_FRAMES = 7,
    PROFILE_KEEP_FRAMES = 8,
    PROFILE_TIME = 9,
    PROFILE_DURATION = 10,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_TYPE = 14,
    PROFILE_DOC_URL = 15,
    PROFILE_N
};

/* Strings of labels that say something to us. */
enum known {
    KNOWN_PID,
    KNOWN_TID,
    KNOWN_THREAD,
    KNOWN_THREAD_COMM,
    KNOWN_COMM,
    KNOWN_HOW,
    KNOWN_ADDED,
    KNOWN_ADDED_UNIT,
    KNOWN_TIME,
    KNOWN_ID,
    N_KNOWN
};
/* The numbers that a file gives its things, mostly 1 to n: id -> our number. */
struct pprof_ids {
    uint32_t *direct; /* by id below n_direct; CPROF_NONE where there is none */
    uint64_t n_direct;
    struct cprof_map others;
};

struct pprof_section { /* where the fields of one number lie */
    struct wire span;
    size_t n;
};

/* A stack that occurred, by the bytes of its locations in the file. */
struct pprof_known_stack {
    const uint8_t *bytes;
    uint32_t n, stack;
};

struct pprof_reader {
    const char *name; /* for messages */
    struct cprof_error *err;
    uint8_t *owned; /* the bytes, or NULL where they are somebody else's */
    struct pprof_section sections[PROFILE_N];
    uint64_t header[PROFILE_N]; /* the numbers among its fields */
    struct cprof_stacks *s;
    struct cprof_profile *p;
    uint32_t *strings; /* by the file's index: string of s */
    size_t n_strings;
    uint32_t known[N_KNOWN];          /* strings of s, or CPROF_NONE */
    struct cprof_function *functions; /* in order of the file, not interned */
    size_t n_functions;
    struct pprof_ids mapping_ids, function_ids, location_ids;
    CPROF_VEC(uint32_t) frames;
    CPROF_VEC(struct cprof_line) lines;
    CPROF_VEC(struct cprof_label) labels;
    CPROF_VEC(struct pprof_known_stack) known_stacks;
    struct cprof_map known_stack_ids; /* hash of the bytes -> known_stacks */
    size_t n_known_again;
    int64_t first_time; /* of the earliest sample, where samples have times */
};

static inline uint32_t pprof_number_of(const struct pprof_ids *ids, uint64_t id)
{
    return id < ids->n_direct ? ids->direct[id] : cprof_map_get(&ids->others, id);
}

/* Call `read` for each field of one number that is a message or a string. */
int pprof_each(struct pprof_reader *rd, unsigned number,
               int (*read)(struct pprof_reader *rd, struct wire bytes));
int pprof_read_string(struct pprof_reader *rd, uint64_t index, uint32_t *ret);
/* Would what is read so far, and the things still to come, be too much? A file of few
 * bytes may say a lot. 0 or -EBADMSG. */
int pprof_check_size(struct pprof_reader *rd);

/* All samples, the tables being read. 0 or negative errno. */
int pprof_read_samples(struct pprof_reader *rd);

/* Read `n` bytes of protobuf; `name` stands in messages. As cprof_pprof_decode(). Takes
 * over `owned`, which is what `bytes` are to be freed by, or NULL. */
int pprof_read_message(const uint8_t *bytes, size_t n, uint8_t *owned, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err);

/* The bytes are not a profile: say in words what is wrong. -EBADMSG. */
int pprof_bad(const char *name, struct cprof_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int pprof_no_memory(struct cprof_error *err);

/* The same of a reader: a part of the message is damaged. */
static inline int pprof_damaged(struct pprof_reader *rd, const char *what)
{
    return pprof_bad(rd->name, rd->err, "is not a pprof profile (a %s is damaged)", what);
}

/* What the core's interning functions return, with its message. */
static inline int pprof_check(struct pprof_reader *rd, int r)
{
    if (r == -ENOMEM)
        return pprof_no_memory(rd->err);
    return r < 0 ? pprof_bad(rd->name, rd->err, "holds more than can be numbered") : r;
}

#endif
