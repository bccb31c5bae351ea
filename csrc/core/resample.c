#include "resample.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

enum { N_LEVELS = 3, MIN_COMPARED = 16, MAX_LEVELS = 30 };

static const double LIKE = 0.25;  /* blocks of 4 times the correlation time do */
static const double CHANCE = 2.5; /* standard errors by which a variance has to grow */
static const double UNSEEN = 10; /* a span of 1/u times the correlation time hides part of
                                    it: it is taken (1 + UNSEEN u) times as long */
static const double PIECES = 1 / 3.; /* of a span that hold something independent: this
                                        over the correlation time, as part of the span */
static const double LARGEST = 25;    /* more than this the scaling cannot know */

/* How often each block is drawn, draws side by side: times[block * n_draws + draw]. */
struct draws {
    uint32_t n_blocks, n_draws;
    float *times;
};

struct sampler {
    const struct cprof_blocks *blocks;
    struct draws draws[N_LEVELS];    /* 32, 16 and 8 blocks */
    double *top, *bottom;            /* by slice, then by ever longer blocks */
    float *drawn_top, *drawn_bottom; /* by draw */
};

/* SplitMix64 (Steele, Lea, Flood: OOPSLA 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static int draws_init(struct draws *draws, uint32_t n_blocks, uint32_t n_draws,
                      uint64_t seed)
{
    *draws = (struct draws){n_blocks, n_draws,
                            calloc((size_t)n_blocks * n_draws, sizeof(float))};
    if (!draws->times)
        return -ENOMEM;
    for (uint32_t draw = 0; draw < n_draws; draw++)
        for (uint32_t i = 0; i < n_blocks; i++) {
            uint32_t block = (uint32_t)(next_random(&seed) >> 32) & (n_blocks - 1);
            draws->times[(size_t)block * n_draws + draw]++;
        }
    return 0;
}

static void sampler_deinit(struct sampler *s)
{
    for (size_t i = 0; i < N_LEVELS; i++)
        free(s->draws[i].times);
    free(s->top);
    free(s->bottom);
    free(s->drawn_top);
    free(s->drawn_bottom);
}

static int sampler_init(struct sampler *s, const struct cprof_blocks *blocks,
                        uint32_t n_draws, uint64_t seed)
{
    uint32_t n = CPROF_RESAMPLE_BLOCKS;

    *s = (struct sampler){
        .blocks = blocks,
        .top = malloc(blocks->n_slices * sizeof(*s->top)),
        .bottom = malloc(blocks->n_slices * sizeof(*s->bottom)),
        .drawn_top = malloc(n_draws * sizeof(*s->drawn_top)),
        .drawn_bottom = malloc(n_draws * sizeof(*s->drawn_bottom)),
    };
    if (!s->top || !s->bottom || !s->drawn_top || !s->drawn_bottom)
        return -ENOMEM;
    for (size_t i = 0; i < N_LEVELS; i++, n /= 2)
        if (draws_init(&s->draws[i], n, n_draws, seed + i) < 0)
            return -ENOMEM;
    return 0;
}

/* An item by slice, as part of its own sum, which is returned. */
static double spread(const struct cprof_blocks *blocks, uint32_t item, double *ret)
{
    double sum = 0;

    memset(ret, 0, blocks->n_slices * sizeof(*ret));
    for (uint64_t i = blocks->first[item]; i < blocks->first[item + 1]; i++) {
        ret[blocks->slice[i]] = blocks->sum[i];
        sum += blocks->sum[i];
    }
    for (uint32_t i = 0; i < blocks->n_slices && sum != 0; i++)
        ret[i] /= sum;
    return sum;
}

/* Neighbours become one: half as many blocks. */
static void join(double *sums, uint32_t n)
{
    for (uint32_t i = 0; i < n / 2; i++)
        sums[i] = sums[2 * i] + sums[2 * i + 1];
}

/* What blocks' tops are off what their bottoms lead to expect, squared and summed: n / (n
 * - 1) times that estimates the variance of the ratio, as part of it squared. */
static double off(const double *top, const double *bottom, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (top[i] - bottom[i]) * (top[i] - bottom[i]);
    return sum * n / (n - 1);
}

/* The part of a block's variance that correlation within takes from it, where values are
 * correlated by exp(-t / tau): `u` is tau over the block's length. */
static double cut_off(double u)
{
    return u <= 0 ? 0 : u * (1 - exp(-1 / u));
}

/* tau over the length of blocks, from how the variance grows where two become one. */
static double time_of_growth(double growth)
{
    double low = 1e-3, high = 1e3;

    if (!(growth > 1))
        return 0;
    for (int i = 0; i < 40; i++) {
        double middle = sqrt(low * high);
        if ((1 - cut_off(middle / 2)) < growth * (1 - cut_off(middle)))
            low = middle;
        else
            high = middle;
    }
    return low > 1.001e-3 ? low : 0;
}

/* `off` for ever longer blocks: ret[0] by slice, then with half as many each time. */
static void take_levels(struct sampler *s, double *ret)
{
    uint32_t n = s->blocks->n_slices;

    *ret++ = off(s->top, s->bottom, n);
    for (; n >= MIN_COMPARED; n /= 2) {
        join(s->top, n);
        join(s->bottom, n);
        *ret++ = off(s->top, s->bottom, n / 2);
    }
}

/* The correlation time, as part of the whole span: the largest that the growth from any
 * length of block to twice that length tells. At the shortest every growth counts, which
 * is precise there; later only what chance does not explain. `n_series` are as many as
 * the levels were summed over. */
static double correlation_time(uint32_t n, const double *level, double n_series)
{
    double longest = 0;

    for (bool is_first = true; n >= MIN_COMPARED; n /= 2, level++, is_first = false) {
        double growth, time, chance = 1 / sqrt(n * n_series);
        if (!(level[0] > 0))
            continue;
        growth =
            level[1] / level[0] * (1 + 1. / n); /* the mean was taken from the data */
        if (!is_first && growth - 1 < CHANCE * chance)
            continue;
        if (!is_first) /* what chance added, if only large growth is seen */
            growth -= chance / n_series;
        time = time_of_growth(growth) / n;
        longest = time > longest ? time : longest;
    }
    return longest;
}

static void draw(const struct draws *draws, const double *sums, float *ret)
{
    memset(ret, 0, draws->n_draws * sizeof(*ret));
    for (uint32_t i = 0; i < draws->n_blocks; i++) {
        const float *times = draws->times + (size_t)i * draws->n_draws;
        float sum = (float)sums[i];
        for (uint32_t k = 0; sum != 0 && k < draws->n_draws; k++)
            ret[k] += times[k] * sum;
    }
}

/* The variance of the drawn ratios; a draw without any of `bottom` says nothing. */
static double drawn_variance(const struct sampler *s, const struct draws *draws)
{
    double sum = 0, squares = 0;
    uint32_t n = 0;

    draw(draws, s->top, s->drawn_top);
    draw(draws, s->bottom, s->drawn_bottom);
    for (uint32_t i = 0; i < draws->n_draws; i++) {
        double ratio = (double)s->drawn_top[i] / (double)s->drawn_bottom[i] - 1;
        if (!(s->drawn_bottom[i] > 0))
            continue;
        sum += ratio;
        squares += ratio * ratio;
        n++;
    }
    return n > 1 ? (squares - sum * sum / n) / (n - 1) : 0;
}

/* How many blocks of equal size say as much as these. */
static double effective(const double *sums, uint32_t n)
{
    double squares = 0;

    for (uint32_t i = 0; i < n; i++)
        squares += sums[i] * sums[i];
    return squares > 0 ? 1 / squares : 1; /* the sums add up to 1 */
}

static void take(struct sampler *s, struct cprof_ratio ratio)
{
    if (ratio.bottom != CPROF_NONE) {
        spread(s->blocks, ratio.bottom, s->bottom);
    } else {
        for (uint32_t i = 0; i < s->blocks->n_slices; i++)
            s->bottom[i] = 1. / s->blocks->n_slices;
    }
    spread(s->blocks, ratio.top, s->top);
}

/* Which draws do, given the correlation time. */
static const struct draws *blocks_for(const struct sampler *s, double time)
{
    size_t i = 0;

    while (s->draws[i].n_blocks > s->blocks->n_slices ||
           (i + 1 < N_LEVELS && time * s->draws[i].n_blocks > LIKE))
        i++;
    return &s->draws[i];
}

/* `time` is the correlation time, as far as the span shows it. */
static void estimate(struct sampler *s, struct cprof_ratio ratio, double time,
                     struct cprof_ratio_estimate *ret)
{
    const struct draws *draws;
    double left, scale, share, pieces;

    time *= 1 + UNSEEN * time;
    draws = blocks_for(s, time);
    take(s, ratio);
    for (uint32_t n = s->blocks->n_slices; n > draws->n_blocks; n /= 2) {
        join(s->top, n);
        join(s->bottom, n);
    }
    left = 1 / fmax(1 - cut_off(time * draws->n_blocks), 1 / LARGEST);
    scale = fmin(left / fmax(1 - left / draws->n_blocks, 0.2), LARGEST);
    share = ret->top / ret->bottom;
    ret->variance = drawn_variance(s, draws) * scale * share * share;
    pieces = time > 0 ? PIECES / time : draws->n_blocks;
    ret->df = fmax(fmin(effective(s->bottom, draws->n_blocks) - 1, pieces), 2);
}

static bool is_there(const struct cprof_ratio_estimate *sums)
{
    return sums->top > 0 && sums->bottom > 0;
}

/* times[i] becomes the correlation time of each ratio, and that of all together is
 * returned: phases of a program change many of them, and what one alone cannot tell from
 * chance, all can. */
static double find_times(struct sampler *s, const struct cprof_ratio *ratios, size_t n,
                         const struct cprof_ratio_estimate *sums, double *times)
{
    double all[MAX_LEVELS] = {0}, squares = 0;
    double levels[MAX_LEVELS];

    for (size_t i = 0; i < n; i++) {
        double share = sums[i].top / sums[i].bottom;
        if (!is_there(&sums[i]))
            continue;
        take(s, ratios[i]);
        take_levels(s, levels);
        times[i] = correlation_time(s->blocks->n_slices, levels, 1);
        for (size_t k = 0; k < MAX_LEVELS && s->blocks->n_slices >> k >= MIN_COMPARED / 2;
             k++)
            all[k] += share * levels[k];
        squares += share * levels[0] * share * levels[0];
    }
    if (!(squares > 0))
        return 0;
    return correlation_time(s->blocks->n_slices, all, all[0] * all[0] / squares);
}

static double sum_of(const struct cprof_blocks *blocks, uint32_t item)
{
    double sum = 0;

    for (uint64_t i = blocks->first[item]; i < blocks->first[item + 1]; i++)
        sum += blocks->sum[i];
    return sum;
}

static bool is_known(const struct cprof_blocks *blocks, struct cprof_ratio ratio)
{
    return ratio.top < blocks->n_items &&
           (ratio.bottom < blocks->n_items || ratio.bottom == CPROF_NONE);
}

int cprof_resample(const struct cprof_blocks *blocks, const struct cprof_ratio *ratios,
                   size_t n, uint32_t n_draws, uint64_t seed,
                   struct cprof_ratio_estimate *ret)
{
    uint32_t n_slices = blocks->n_slices;
    _cleanup_free_ double *times = NULL; /* by ratio */
    struct sampler sampler;
    double common = 0;
    int r;

    if (n_slices < CPROF_RESAMPLE_BLOCKS_MIN || (n_slices & (n_slices - 1)) ||
        n_draws < 2 || n_draws > 1u << 20)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!is_known(blocks, ratios[i]))
            return -EINVAL;
    r = sampler_init(&sampler, blocks, n_draws, seed);
    times = calloc(n + 1, sizeof(*times));
    if (!times)
        r = -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint32_t bottom = ratios[i].bottom;
        ret[i] = (struct cprof_ratio_estimate){
            .top = sum_of(blocks, ratios[i].top),
            .bottom = bottom == CPROF_NONE ? 1 : sum_of(blocks, bottom),
            .df = 1,
        };
    }
    if (r >= 0)
        common = find_times(&sampler, ratios, n, ret, times);
    for (size_t i = 0; i < n && r >= 0; i++)
        if (is_there(&ret[i]))
            estimate(&sampler, ratios[i], fmax(times[i], common), &ret[i]);
    sampler_deinit(&sampler);
    return r;
}
