/* view.h - profiles made from profiles: windows, filters, merges; sums by function and by
 * call path. Everything here reads immutable profiles and never changes them. */
#ifndef CPROF_VIEW_H
#define CPROF_VIEW_H

#include "profile.h"

/* Rows with start <= time < end (ns, CLOCK_MONOTONIC). A profile without times fails with
 * -ENODATA. *ret is owned (cprof_profile_unref). Marks outside are dropped too. A window
 * or filter that leaves rows out has 0, unknown, for what `run` counts of the whole
 * recording (CPU time, switches, bad records, verified samples ...). */
int cprof_view_window(const struct cprof_profile *p, uint64_t start, uint64_t end,
                      struct cprof_profile **ret, struct cprof_error *err);

/* What to keep; each array may be NULL (keep all), else has one byte for each entry of
 * the table it names, non-zero = keep. A row stays when every given test says so. */
struct cprof_filter {
    const uint8_t *thread; /* by stacks->threads */
    const uint8_t *module; /* by stacks->mappings: the leaf's mapping */
    const uint8_t *under;  /* by stacks->functions: some frame's function */
};
int cprof_view_filter(const struct cprof_profile *p, const struct cprof_filter *filter,
                      struct cprof_profile **ret, struct cprof_error *err);

/* The rows whose byte in `mask` is not 0. */
int cprof_view_select(const struct cprof_profile *p, const uint8_t *mask,
                      struct cprof_profile **ret, struct cprof_error *err);

/* Which names a pattern matched: one byte for each of stacks->functions (its name or its
 * file) and of stacks->mappings (its file). Both NULL: the pattern is not given. */
struct cprof_matches {
    const uint8_t *functions, *mappings;
};

/* What to keep of rows and of their stacks, exactly as google/pprof's options of these
 * names (profile/filter.go and profile/prune.go), applied in this order. A location
 * matches when one of its functions or its mapping does.
 *   drop       all from the outermost match inwards goes, but not before the first frame
 *              that does not match (the profile's own drop_frames); functions only
 *   ignore     rows with a match go
 *   focus      rows without a match go
 *   hide       matching frames go
 *   show       frames that do not match go
 *   show_from  all outside the outermost match goes, and rows without one
 *   prune_from all inside the innermost match goes; functions only
 *   noinlines  of a location only the real function stays
 * A row of whose stack nothing is left goes. Where frames go the result has tables of its
 * own, and exports add no lines to it: they would bring back what is hidden. */
struct cprof_refinement {
    struct cprof_matches drop, ignore, focus, hide, show, show_from, prune_from;
    bool noinlines;
};
int cprof_view_refine(const struct cprof_profile *p, const struct cprof_refinement *how,
                      struct cprof_profile **ret, struct cprof_error *err);

/* One profile with the rows of all that are added, in that order: tables are interned
 * anew, so equal functions, stacks and threads become one. What was added may go at once,
 * so that of many profiles only one has to be in memory. Sample types must agree in name
 * and unit (-EINVAL, named). Counters of the run add up, the period is the largest;
 * comments are kept once. Rows keep their times only when all inputs have times of one
 * host: the run then reaches from the earliest start to the latest end. `from` is where
 * the first input begins, and `to - from` the sum of the inputs' durations, which is not
 * the distance of the first row from the last when inputs overlap or leave a gap. */
struct cprof_merger;
int cprof_merger_create(struct cprof_merger **ret, struct cprof_error *err);
/* After a failure there is nothing but to free the merger. */
int cprof_merger_add(struct cprof_merger *m, const struct cprof_profile *p,
                     struct cprof_error *err);
/* The sum, owned: nothing more is to be added. -EINVAL where nothing was. */
int cprof_merger_finish(struct cprof_merger *m, struct cprof_profile **ret,
                        struct cprof_error *err);
void cprof_merger_free(struct cprof_merger *m); /* accepts NULL */

/* One row for all of one stack, found in one way, of one thread: what a file without
 * times holds. In order of their first row. */
int cprof_view_sum(const struct cprof_profile *p, struct cprof_profile **ret,
                   struct cprof_error *err);

/* Values times a factor for each sample type (-1 for what is to be taken away). Rows of
 * which nothing is left go, and what was counted over the whole recording. Where a factor
 * is no whole number rows are summed first: rounding each would falsify the sums.
 * -EINVAL for a factor that is not finite. */
int cprof_view_scale(const struct cprof_profile *p, const double *factors,
                     struct cprof_profile **ret, struct cprof_error *err);

/* The same rows with more comments after those there are. */
int cprof_view_with_comments(const struct cprof_profile *p, const char *const *comments,
                             size_t n, struct cprof_profile **ret,
                             struct cprof_error *err);

/* One number for each row: the values of a type also where they are not stored; the
 * leaf's function (CPROF_NONE for a location without lines). *ret is owned: free(). */
int cprof_view_values(const struct cprof_profile *p, size_t type, int64_t **ret);
int cprof_view_leaf_functions(const struct cprof_profile *p, uint32_t **ret);

/* Sums by place, of one sample type, for the functions that `wanted` keeps (one byte for
 * each of stacks->functions): by source line, where `address` is 0 and every frame
 * counts; or by address, where an instruction belongs to the real function and `function`
 * and `line` are the innermost of what is inlined there. self = rows whose leaf is there,
 * total = rows that pass it, each once. In order of mapping, address, function, line.
 * *ret is owned: free(). */
struct cprof_place_sum {
    uint32_t function, mapping;
    uint64_t address;
    int64_t line;
    int64_t self, total;
};
int cprof_view_places(const struct cprof_profile *p, size_t type, const uint8_t *wanted,
                      bool is_by_address, struct cprof_place_sum **ret, size_t *n);

/* What of a frame counts for two to be the same. Each tells apart what is in brackets:
 * FUNCTION (name, module), FILE_FUNCTION (and the file), FILE (the file; name and module
 * where none is known), LINE (name, module, file, line), ADDRESS (and the address),
 * MODULE (the module). */
enum cprof_granularity {
    CPROF_BY_FUNCTION,
    CPROF_BY_FILE_FUNCTION,
    CPROF_BY_FILE,
    CPROF_BY_LINE,
    CPROF_BY_ADDRESS,
    CPROF_BY_MODULE
};

/* A frame as one of them sees it: 0 for what it does not tell apart. */
struct cprof_frame {
    uint32_t name, module, filename; /* strings of stacks */
    uint32_t function, mapping;      /* one such; CPROF_NONE where there is none */
    int64_t line;
    uint64_t address;
};

/* Sums of frames, of one sample type: self = rows whose leaf it is, total = rows with it
 * anywhere, each row once. */
struct cprof_frame_sum {
    struct cprof_frame frame;
    int64_t self, total;
};

/* Which calls which: for each pair of a frame and its callee (that differ) the sum of the
 * rows with that call anywhere, each row once. */
struct cprof_graph_edge {
    uint32_t caller, callee; /* numbers of nodes */
    bool is_inlined;         /* always inlined into the caller */
    bool is_residual;        /* of some row, frames between the two were not kept */
    int64_t value;
};
struct cprof_graph {
    struct cprof_frame_sum *nodes; /* largest self first, whatever its sign, then total */
    struct cprof_graph_edge *edges; /* largest value first */
    size_t n_nodes, n_edges;
};
struct cprof_graph_options {
    enum cprof_granularity by;
    bool is_across_modules; /* functions of one name are one, whatever module */
    bool wants_edges;
    /* Kept nodes: one byte for each that the graph has without this, or NULL for all.
     * Others are left out of stacks, and a row whose leaf is one counts for no self. */
    const uint8_t *keep;
    size_t n_keep;
};
/* 0, -ENOMEM, or -EINVAL: no such type, n_keep is not the number of nodes. Release with
 * deinit after success. */
int cprof_view_graph(const struct cprof_profile *p, size_t type,
                     const struct cprof_graph_options *options, struct cprof_graph *ret);
void cprof_graph_deinit(struct cprof_graph *graph);

/* The nodes of the graph by function. *ret is owned: free(). */
int cprof_view_functions(const struct cprof_profile *p, size_t type,
                         struct cprof_frame_sum **ret, size_t *n);

/* All stacks as one trie of frames, by function or by line; inlined functions are frames
 * of their own. A node comes after its caller; one of the outermost frames has the
 * parent CPROF_NONE. */
struct cprof_frame_tree {
    CPROF_VEC(struct cprof_frame) frames;
    CPROF_VEC(uint32_t) parent, frame; /* by node */
    uint32_t *node;                    /* by row: its leaf */
};
/* 0, -ENOMEM, -EOVERFLOW. Release with deinit after success. */
int cprof_view_frame_tree(const struct cprof_profile *p, bool is_by_line,
                          struct cprof_frame_tree *ret);
void cprof_frame_tree_deinit(struct cprof_frame_tree *tree);

/* The call tree: one node for each path of functions (name, module) from the root.
 * nodes[0] is the root of all (name and module CPROF_NONE); children are stored after
 * their parent, siblings in order of total, largest first. *ret is owned: free(). */
struct cprof_tree_node {
    uint32_t parent; /* CPROF_NONE for the root */
    uint32_t name, module, function;
    uint32_t depth;
    int64_t self, total;
};
int cprof_view_tree(const struct cprof_profile *p, size_t type,
                    struct cprof_tree_node **ret, size_t *n);

/* Rows with equal keys, as groups in order of their first row. */
struct cprof_grouping {
    size_t n;                                /* groups */
    uint32_t *first;                         /* by group: its first row */
    uint32_t *rows;                          /* by group: how many rows it has */
    int64_t *values[CPROF_MAX_SAMPLE_TYPES]; /* by group: the sums of each sample type */
};
/* `keys` are n_keys arrays of one number for each row. 0 or -ENOMEM; release with deinit
 * after success. */
int cprof_view_group(const struct cprof_profile *p, const uint32_t *const *keys,
                     size_t n_keys, struct cprof_grouping *ret);
void cprof_grouping_deinit(struct cprof_grouping *grouping);

#endif
