/* stack.h - what the events of a profile refer to by number: strings, mappings,
 * functions, locations, interned stacks, threads.
 *
 * One `struct cprof_stacks` is filled by one writer (the session's drain thread, or a
 * reader of a file). Once a profile that holds it has been handed out it never changes
 * again; views of that profile share it by reference. Numbers are dense and start at 0;
 * CPROF_NONE means "no such thing".
 *
 * Stacks are a trie: a node is a location on top of a caller's node, so a stack is the
 * number of its leaf node, callers are shared, and a parent's number is always below its
 * child's. A node whose parent is CPROF_NONE is the outermost frame.
 *
 * Addresses: a location's address is a run-time address inside its mapping, already moved
 * into the call (return address - 1) for frames that called. A file mapped at several
 * places (other processes, dlopen again) has one mapping here, the first one seen, and
 * addresses of the others are moved into it, so that one place in a file is one location.
 *
 * Pseudo frames say what a frame cannot: a stack that ended before its root has one of
 * them as its outermost frame ("[truncated]"), lost samples are a stack of one
 * ("[lost]"). They are locations without a mapping, one for each enum cprof_pseudo. */
#ifndef CPROF_STACK_H
#define CPROF_STACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "elf.h"
#include "map.h"
#include "strtab.h"
#include "unwind.h" /* enum cprof_end */
#include "vec.h"

enum { CPROF_NONE = 0xffffffffu };

enum cprof_pseudo { /* the first CPROF_N_ENDS are the ends of unwind.h */
                    CPROF_PSEUDO_LOST =
                        CPROF_N_ENDS,      /* samples that the kernel could not deliver */
                    CPROF_PSEUDO_NO_STACK, /* a sample of an imported file without
                                              locations */
                    CPROF_N_PSEUDO
};
const char *cprof_pseudo_name(unsigned pseudo); /* "[truncated]", "[lost]" ... */
const char *cprof_end_name(enum cprof_end end); /* "truncated", "root" ... for quality */

struct cprof_mapping {
    uint64_t start, limit, offset; /* run-time [start, limit), offset in the file */
    uint32_t file;                 /* string: full path, "[vdso]", "[kernel.kallsyms]" */
    uint32_t module;               /* string: what people call it, the path's last part */
    uint32_t build_id;             /* string: hex, "" when unknown */
    uint32_t root;         /* string: prefix of paths of the target's own file system */
    struct cprof_elf *elf; /* the file as it was; NULL when not at hand. Tables hold
                              references of their own */
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct cprof_function {
    uint32_t name;        /* string: readable (demangled) */
    uint32_t system_name; /* string: as in the symbol table */
    uint32_t filename;    /* string: "" until line information is known */
    uint32_t module;      /* string: module it lives in, "" for pseudo frames */
    int64_t start_line;
};

struct cprof_line {
    uint32_t function;
    uint32_t column; /* 0 = unknown */
    int64_t line;    /* 0 = unknown */
};

struct cprof_location {
    uint64_t address;
    uint32_t mapping;             /* CPROF_NONE for pseudo frames */
    uint32_t first_line, n_lines; /* in lines[]: innermost inlined function first, the
                                     real function last; n_lines 0 = not symbolised yet */
    bool is_folded;
};

struct cprof_node {
    uint32_t parent; /* the caller's node, CPROF_NONE for the outermost frame */
    uint32_t location;
};

struct cprof_label {    /* of an imported sample, beyond pid, tid and names */
    uint32_t key, text; /* strings; text is "" for a number */
    uint32_t unit;      /* string */
    int64_t number;
};

struct cprof_thread {
    int32_t pid, tid;               /* -1 when unknown (imported) */
    uint32_t name;                  /* string: this thread's name (comm) */
    uint32_t comm;                  /* string: its process's name */
    uint32_t first_label, n_labels; /* in labels[] */
};

struct cprof_stacks {
    atomic_uint refs;
    struct cprof_strtab strings;
    CPROF_VEC(struct cprof_mapping) mappings;
    CPROF_VEC(struct cprof_function) functions;
    CPROF_VEC(struct cprof_line) lines;
    CPROF_VEC(struct cprof_location) locations;
    CPROF_VEC(struct cprof_node) nodes;
    CPROF_VEC(struct cprof_label) labels;
    CPROF_VEC(struct cprof_thread) threads;
    uint32_t pseudo[CPROF_N_PSEUDO]; /* location of each pseudo frame */
    bool is_without_lines;           /* told so: exports add no lines */
    uint32_t unknown; /* string "[unknown]": what views call a location without lines */
    CPROF_VEC(uint32_t) path; /* nodes of the last stack interned, outermost first */
    struct cprof_map function_ids, location_ids, thread_ids;
    uint32_t *node_slots; /* hash table of nodes: their numbers, or CPROF_NONE */
    size_t n_node_slots;  /* a power of two, or 0 */
    size_t n_in_slots; /* how many nodes are in it: those not right behind their caller */
};

/* New, with one reference and its pseudo frames in place. 0 or -ENOMEM. */
int cprof_stacks_create(struct cprof_stacks **ret);
struct cprof_stacks *cprof_stacks_ref(struct cprof_stacks *stacks);
void cprof_stacks_unref(struct cprof_stacks *stacks); /* accepts NULL */

/* An independent copy, for a snapshot while the original goes on growing. The copy is for
 * reading only: its hash tables are empty. 0 or -ENOMEM. */
int cprof_stacks_copy(const struct cprof_stacks *from, struct cprof_stacks **ret);
/* A copy for storing: locations in order of address, functions as those come to them.
 * Numbers of nodes, mappings and threads stay. 0 or -ENOMEM. */
int cprof_stacks_ordered(const struct cprof_stacks *from, struct cprof_stacks **ret);
/* Let go of what only interning needs: nothing is to be added any more. */
void cprof_stacks_close(struct cprof_stacks *s);
/* The same where stacks and threads are still to come, but nothing that they are of. */
void cprof_stacks_close_tables(struct cprof_stacks *s);
/* Let strings and functions be interned into a copy again. 0 or -ENOMEM. */
int cprof_stacks_reopen(struct cprof_stacks *s);

/* Intern; equal things get equal numbers. 0 and *ret, -ENOMEM, or -EOVERFLOW past 2^32-2.
 */
int cprof_stacks_string(struct cprof_stacks *s, const char *text, uint32_t *ret);
int cprof_stacks_function(struct cprof_stacks *s, const struct cprof_function *function,
                          uint32_t *ret);
int cprof_stacks_node(struct cprof_stacks *s, uint32_t parent, uint32_t location,
                      uint32_t *ret);
/* Labels of the thread are copied from `labels` (n may be 0); name, comm, pid, tid and
 * the labels together are its identity. */
int cprof_stacks_thread(struct cprof_stacks *s, const struct cprof_thread *thread,
                        const struct cprof_label *labels, size_t n_labels, uint32_t *ret);

/* Append without looking for an equal one (the caller knows it is new); takes a reference
 * of its own to the mapping's file. */
int cprof_stacks_add_mapping(struct cprof_stacks *s, const struct cprof_mapping *mapping,
                             uint32_t *ret);
int cprof_stacks_add_location(struct cprof_stacks *s, uint64_t address, uint32_t mapping,
                              uint32_t *ret);

/* The location of (mapping, address), added when new. */
int cprof_stacks_location(struct cprof_stacks *s, uint64_t address, uint32_t mapping,
                          uint32_t *ret);

/* Give a location its functions (innermost first). Replaces what it had. 0 or -ENOMEM. */
int cprof_stacks_set_lines(struct cprof_stacks *s, uint32_t location,
                           const struct cprof_line *lines, size_t n);

/* A stack from frames[0..n): locations, leaf first. n = 0 gives the NO_STACK stack. */
int cprof_stacks_intern(struct cprof_stacks *s, const uint32_t *frames, size_t n,
                        uint32_t *ret);

/* The function of a stack's leaf (the innermost inlined one), CPROF_NONE when its
 * location has no lines. */
uint32_t cprof_stacks_leaf_function(const struct cprof_stacks *s, uint32_t node);

/* The pseudo frame that `location` is, or -1. */
int cprof_stacks_pseudo_of(const struct cprof_stacks *s, uint32_t location);

const char *cprof_stacks_text(const struct cprof_stacks *s, uint32_t string);

#endif
