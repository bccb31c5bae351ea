/* view_frames.h - what view_functions.c and view_tree.c share: frames by what people see,
 * and sums by node of the stack trie. Private to the views. */
#ifndef CPROF_VIEW_FRAMES_H
#define CPROF_VIEW_FRAMES_H

#include "view.h"

/* One group for each (name, module) of a function, and one for the nameless locations of
 * each module. */
struct view_group {
    uint32_t name, module, function;
};
struct view_groups {
    const struct cprof_stacks *stacks;
    CPROF_VEC(struct view_group) all;
    struct cprof_map ids;  /* name << 32 | module -> number in all */
    uint32_t *of_function; /* by function */
    uint32_t *of_location; /* of its one frame; CPROF_NONE where inlining made several */
};

/* 0 or -ENOMEM; release with deinit also after failure. */
int view_groups_init(struct view_groups *groups, const struct cprof_stacks *s);
void view_groups_deinit(struct view_groups *groups);

/* A location as frames: how many, and the group of each, innermost first. */
static inline uint32_t view_n_frames(const struct view_groups *groups, uint32_t location)
{
    return groups->of_location[location] != CPROF_NONE
               ? 1
               : groups->stacks->locations.data[location].n_lines;
}
static inline uint32_t view_frame(const struct view_groups *groups, uint32_t location,
                                  uint32_t i)
{
    const struct cprof_stacks *s = groups->stacks;
    uint32_t line;

    if (groups->of_location[location] != CPROF_NONE)
        return groups->of_location[location];
    line = s->locations.data[location].first_line + i;
    return groups->of_function[s->lines.data[line].function];
}

/* One value summed by the node that rows end in, and whether any does (a sum of values
 * can be 0). */
struct view_sums {
    int64_t *self;
    uint8_t *is_used;
};

/* 0 or -ENOMEM; release with deinit also after failure. */
int view_sums_init(struct view_sums *sums, const struct cprof_profile *p, size_t type);
void view_sums_deinit(struct view_sums *sums);
/* From here on a node is also used when one that it calls is. */
void view_sums_mark_callers(struct view_sums *sums, const struct cprof_profile *p);

/* strcmp of two strings of `s`. */
int view_compare_text(const struct cprof_stacks *s, uint32_t a, uint32_t b);

#endif
