/* resample.h - how sure ratios of sums are when neighbours in time are alike: the block
 * bootstrap, with blocks as long as the data ask for. docs/estimator.md has the reasons
 * and what was measured. */
#ifndef CPROF_RESAMPLE_H
#define CPROF_RESAMPLE_H

#include "view_blocks.h"

enum { CPROF_RESAMPLE_BLOCKS = 32, CPROF_RESAMPLE_BLOCKS_MIN = 8 };

/* The sum of item `top` over that of item `bottom`; CPROF_NONE is the time, where the
 * whole span is 1. */
struct cprof_ratio {
    uint32_t top, bottom;
};

struct cprof_ratio_estimate {
    double top, bottom; /* the sums */
    double variance;    /* of top / bottom; 0 where bottom is 0 */
    double df;          /* degrees of freedom of that variance, at least 1 */
};

/* For each ratio: draw blocks of time with replacement `n_draws` times and see how top /
 * bottom varies. There are 32 blocks, fewer (16, 8) where slices tell that neighbouring
 * blocks would still be alike, for one ratio or for all together (a program's phases
 * change many); for what likeness is left the variance is scaled up. The
 * same `seed` draws the same blocks for all ratios, on every machine. The slices must be
 * a power of two, from 8 on. 0, -ENOMEM, or -EINVAL: other slices, an item that is not
 * there, no draws. */
int cprof_resample(const struct cprof_blocks *blocks, const struct cprof_ratio *ratios,
                   size_t n, uint32_t n_draws, uint64_t seed,
                   struct cprof_ratio_estimate *ret);

#endif
