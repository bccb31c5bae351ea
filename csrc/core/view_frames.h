/* view_frames.h - what the views share: frames by what people see, and sums by node of
 * the stack trie. Private to the views. */
#ifndef CPROF_VIEW_FRAMES_H
#define CPROF_VIEW_FRAMES_H

#include "view.h"

/* The frames of all locations, each different one once, as the granularity sees them. */
struct view_groups {
    const struct cprof_stacks *stacks;
    enum cprof_granularity by;
    bool is_across_modules; /* the module of a function with a name is left out */
    CPROF_VEC(struct cprof_frame) all;
    struct cprof_map ids;  /* while they are made: hash of a frame -> number in all */
    uint32_t *of_line;     /* by line of a location */
    uint32_t *of_location; /* of its one frame; CPROF_NONE where inlining made several */
};

/* 0 or -ENOMEM; release with deinit also after failure. */
int view_groups_init(struct view_groups *groups, const struct cprof_stacks *s,
                     enum cprof_granularity by, bool is_across_modules);
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
    if (groups->of_location[location] != CPROF_NONE)
        return groups->of_location[location];
    return groups->of_line[groups->stacks->locations.data[location].first_line + i];
}

/* By node, whether some row's stack passes it: owned (free), NULL without memory. */
uint8_t *view_used_nodes(const struct cprof_profile *p);

/* strcmp of two strings of `s`. */
int view_compare_text(const struct cprof_stacks *s, uint32_t a, uint32_t b);

#endif
