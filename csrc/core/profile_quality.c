#define _GNU_SOURCE /* qsort_r */
#include "profile.h"

static const char *const HOW_NAMES[] = {"fallback", "guessed", "spliced", "continued",
                                        "refused"}; /* by bit */
enum { N_HOW = sizeof(HOW_NAMES) / sizeof(HOW_NAMES[0]) };

const char *cprof_how_text(uint8_t how, char text[CPROF_HOW_TEXT])
{
    char *end = text;

    *end = '\0';
    for (unsigned i = 0; i < N_HOW; i++)
        if (how >> i & 1)
            end = stpcpy(stpcpy(end, end > text ? "," : ""), HOW_NAMES[i]);
    return text;
}

bool cprof_how_parse(const char *text, uint8_t *ret)
{
    unsigned how = 0;
    bool is_more = true;

    for (unsigned i = 0; i < N_HOW && is_more; i++) {
        size_t n = strlen(HOW_NAMES[i]);
        if (strncmp(text, HOW_NAMES[i], n) || (text[n] && text[n] != ','))
            continue;
        how |= 1u << i;
        is_more = text[n] == ',';
        text += n + is_more;
    }
    if (is_more)
        return false;
    *ret = (uint8_t)how;
    return true;
}

/* What is asked of every row, known for every node. */
struct survey {
    const struct cprof_profile *p;
    const struct cprof_stacks *stacks; /* of p */
    bool is_counted;     /* the first value says how many samples a row is */
    uint8_t *is_kernel;  /* by mapping */
    uint8_t *ends;       /* by node: why its stack ended, an enum cprof_pseudo */
    uint32_t *outermost; /* by node: mapping of the outermost frame that has one */
};

static void survey_deinit(struct survey *survey)
{
    free(survey->is_kernel);
    free(survey->ends);
    free(survey->outermost);
}

static void find_kernel(struct survey *survey)
{
    static const char KERNEL[] = "[kernel.kallsyms]"; /* "..._stext" from some tools */
    const struct cprof_stacks *s = survey->stacks;

    for (size_t i = 0; i < s->mappings.n; i++)
        survey->is_kernel[i] = !strncmp(cprof_stacks_text(s, s->mappings.data[i].file),
                                        KERNEL, sizeof(KERNEL) - 1);
}

static bool is_kernel(const struct survey *survey, uint32_t mapping)
{
    return mapping != CPROF_NONE && survey->is_kernel[mapping];
}

static uint8_t end_at(const struct survey *survey, uint32_t location, uint32_t mapping)
{
    int pseudo = cprof_stacks_pseudo_of(survey->stacks, location);

    if (pseudo >= 0)
        return (uint8_t)pseudo;
    return is_kernel(survey, mapping) ? CPROF_END_KERNEL : CPROF_END_ROOT;
}

/* Callers come before what they call, so one pass carries what is known of the outermost
 * frames up to every leaf. */
static void find_ends(struct survey *survey)
{
    const struct cprof_stacks *s = survey->stacks;

    for (size_t i = 0; i < s->nodes.n; i++) {
        uint32_t parent = s->nodes.data[i].parent, location = s->nodes.data[i].location;
        if (parent != CPROF_NONE && survey->outermost[parent] != CPROF_NONE)
            survey->outermost[i] = survey->outermost[parent];
        else
            survey->outermost[i] = s->locations.data[location].mapping;
        survey->ends[i] = parent != CPROF_NONE
                              ? survey->ends[parent]
                              : end_at(survey, location, survey->outermost[i]);
    }
}

static int survey_init(struct survey *survey, const struct cprof_profile *p)
{
    const struct cprof_stacks *s = p->stacks;

    *survey = (struct survey){.p = p, .stacks = s};
    survey->is_counted =
        p->n_types && !strcmp(cprof_stacks_text(s, p->types[0].unit), "count");
    survey->is_kernel = malloc(s->mappings.n + 1);
    survey->ends = malloc(s->nodes.n + 1);
    survey->outermost = malloc((s->nodes.n + 1) * sizeof(*survey->outermost));
    if (!survey->is_kernel || !survey->ends || !survey->outermost)
        return -ENOMEM;
    find_kernel(survey);
    find_ends(survey);
    return 0;
}

static bool is_unknown(const struct cprof_stacks *s, uint32_t stack)
{
    uint32_t function = cprof_stacks_leaf_function(s, stack);

    return function == CPROF_NONE || s->functions.data[function].name == s->unknown;
}

static enum cprof_end end_of(const struct survey *survey, uint32_t stack)
{
    uint8_t end = survey->ends[stack];

    return end < CPROF_N_ENDS ? (enum cprof_end)end : CPROF_END_NO_INFO;
}

static uint32_t leaf_mapping(const struct survey *survey, uint32_t stack)
{
    const struct cprof_stacks *s = survey->stacks;

    return s->locations.data[s->nodes.data[stack].location].mapping;
}

/* 0 where a row's values are those of a difference. */
static uint64_t count_of(const struct survey *survey, size_t row)
{
    int64_t n = survey->is_counted ? cprof_profile_value(survey->p, 0, row) : 1;

    return n > 0 ? (uint64_t)n : 0;
}

static bool is_lost(const struct survey *survey, uint32_t stack)
{
    return survey->ends[stack] == CPROF_PSEUDO_LOST;
}

static void count_sample(const struct survey *survey, size_t row, struct cprof_quality *q)
{
    uint32_t stack = survey->p->stack[row];
    uint8_t how = cprof_profile_how(survey->p, row);
    uint64_t n = count_of(survey, row);

    q->n_samples += n;
    q->ends[end_of(survey, stack)] += n;
    q->n_unknown += is_unknown(survey->stacks, stack) ? n : 0;
    q->n_kernel += is_kernel(survey, leaf_mapping(survey, stack)) ? n : 0;
    q->n_fallback += how & CPROF_HOW_FALLBACK ? n : 0;
    q->n_guessed += how & CPROF_HOW_GUESSED ? n : 0;
    q->n_spliced += how & CPROF_HOW_SPLICED ? n : 0;
    q->n_continued += how & CPROF_HOW_CONTINUED ? n : 0;
    q->n_refused += how & CPROF_HOW_REFUSED ? n : 0;
}

int cprof_profile_quality(const struct cprof_profile *p, struct cprof_quality *ret)
{
    struct cprof_quality q = {0};
    struct survey survey;
    int r = survey_init(&survey, p);

    for (size_t i = 0; i < p->n && r == 0; i++) {
        if (is_lost(&survey, p->stack[i]))
            q.n_lost += count_of(&survey, i);
        else
            count_sample(&survey, i, &q);
    }
    for (size_t i = 0; i < p->marks.n; i++)
        if (p->marks.data[i].kind == CPROF_MARK_THROTTLED)
            q.n_throttled += p->marks.data[i].n;
    survey_deinit(&survey);
    if (r == 0)
        *ret = q;
    return r;
}

/* ---- by module ---- */

struct modules {
    struct cprof_module_quality *all;
    size_t n;
    uint32_t *of_mapping; /* number in `all`; the last is that of no mapping */
};

static void modules_deinit(struct modules *modules)
{
    free(modules->all);
    free(modules->of_mapping);
}

static int modules_init(struct modules *modules, const struct cprof_stacks *s)
{
    struct cprof_map ids = {0};
    int r = 0;

    *modules = (struct modules){0};
    modules->all = calloc(s->mappings.n + 1, sizeof(*modules->all));
    modules->of_mapping = malloc((s->mappings.n + 1) * sizeof(*modules->of_mapping));
    if (!modules->all || !modules->of_mapping)
        return -ENOMEM;
    for (size_t i = 0; i <= s->mappings.n && r == 0; i++) {
        uint32_t module = i < s->mappings.n ? s->mappings.data[i].module : 0;
        uint32_t id = cprof_map_get(&ids, module);
        if (id == CPROF_MAP_NONE) {
            id = (uint32_t)modules->n++;
            modules->all[id].module = module;
            r = cprof_map_add(&ids, module, id);
        }
        modules->of_mapping[i] = id;
    }
    cprof_map_deinit(&ids);
    return r;
}

static struct cprof_module_quality *
module_of(const struct modules *modules, const struct cprof_stacks *s, uint32_t mapping)
{
    size_t i = mapping == CPROF_NONE ? s->mappings.n : mapping;

    return &modules->all[modules->of_mapping[i]];
}

/* A stack that is only the kernel's part of one says nothing of where the rest broke. */
static uint32_t broken_in(const struct survey *survey, uint32_t stack)
{
    uint32_t mapping = survey->outermost[stack];

    return is_kernel(survey, mapping) ? CPROF_NONE : mapping;
}

static void count_by_module(const struct survey *survey, struct modules *modules)
{
    for (size_t i = 0; i < survey->p->n; i++) {
        uint32_t stack = survey->p->stack[i];
        enum cprof_end end = end_of(survey, stack);
        struct cprof_module_quality *module;

        if (is_lost(survey, stack))
            continue;
        module = module_of(modules, survey->stacks, leaf_mapping(survey, stack));
        count_sample(survey, i, &module->samples);
        if (end == CPROF_END_ROOT || end == CPROF_END_KERNEL)
            continue;
        module = module_of(modules, survey->stacks, broken_in(survey, stack));
        module->broke[end] += count_of(survey, i);
    }
}

static bool has_counts(const struct cprof_module_quality *module)
{
    uint64_t n = module->samples.n_samples;

    for (size_t i = 0; i < CPROF_N_ENDS; i++)
        n += module->broke[i];
    return n;
}

static int compare_modules(const void *a_arg, const void *b_arg, void *stacks)
{
    const struct cprof_module_quality *a = a_arg, *b = b_arg;

    if (a->samples.n_samples != b->samples.n_samples)
        return a->samples.n_samples > b->samples.n_samples ? -1 : 1;
    return strcmp(cprof_stacks_text(stacks, a->module),
                  cprof_stacks_text(stacks, b->module));
}

int cprof_profile_quality_by_module(const struct cprof_profile *p,
                                    struct cprof_module_quality **ret, size_t *n)
{
    struct modules modules = {0};
    struct survey survey;
    size_t n_kept = 0;
    int r = survey_init(&survey, p);

    if (r == 0)
        r = modules_init(&modules, p->stacks);
    if (r == 0) {
        count_by_module(&survey, &modules);
        for (size_t i = 0; i < modules.n; i++)
            if (has_counts(&modules.all[i]))
                modules.all[n_kept++] = modules.all[i];
        qsort_r(modules.all, n_kept, sizeof(*modules.all), compare_modules, p->stacks);
        *ret = modules.all;
        *n = n_kept;
        modules.all = NULL;
    }
    modules_deinit(&modules);
    survey_deinit(&survey);
    return r;
}
