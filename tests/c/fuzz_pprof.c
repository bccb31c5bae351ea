/* fuzz_pprof: any bytes are refused with a message or give a profile that every view
 * takes and that, written and read again, has the same totals. */
#include <stdlib.h>

#include "arrow.h"
#include "pprof.h"
#include "view.h"

static void check_quality(const struct cprof_profile *p)
{
    struct cprof_module_quality *modules;
    struct cprof_quality whole;
    uint64_t samples = 0, guessed = 0, complete = 0;
    size_t n;

    if (cprof_profile_quality(p, &whole) < 0 ||
        cprof_profile_quality_by_module(p, &modules, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        samples += modules[i].samples.n_samples;
        guessed += modules[i].samples.n_guessed;
        complete += modules[i].samples.ends[CPROF_END_ROOT];
    }
    free(modules);
    if (samples != whole.n_samples || guessed != whole.n_guessed ||
        complete != whole.ends[CPROF_END_ROOT])
        abort();
}

static void use_views(struct cprof_profile *p)
{
    struct ArrowArrayStream stream;
    struct cprof_frame_sum *sums;
    struct cprof_tree_node *tree;
    struct cprof_profile *twice;
    struct cprof_merger *m;
    size_t n;

    if (cprof_view_functions(p, p->n_types - 1, &sums, &n) >= 0)
        free(sums);
    if (cprof_view_tree(p, 0, &tree, &n) >= 0)
        free(tree);
    check_quality(p);
    if (cprof_merger_create(&m, NULL) >= 0 && cprof_merger_add(m, p, NULL) >= 0 &&
        cprof_merger_add(m, p, NULL) >= 0 && cprof_merger_finish(m, &twice, NULL) >= 0)
        cprof_profile_unref(twice);
    cprof_merger_free(m);
    if (cprof_arrow_stream(p, &stream, NULL) >= 0)
        stream.release(&stream);
}

static void check_round_trip(const struct cprof_profile *p)
{
    struct cprof_profile *back;
    uint8_t *bytes;
    size_t n;

    if (cprof_pprof_encode(p, false, &bytes, &n, NULL) < 0)
        abort();
    if (cprof_pprof_decode(bytes, n, "again", &back, NULL) < 0)
        abort();
    for (size_t k = 0; k < p->n_types; k++)
        if (cprof_profile_total(p, k) != cprof_profile_total(back, k))
            abort();
    cprof_profile_unref(back);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct cprof_profile *p;
    struct cprof_error err = {0};

    if (cprof_pprof_decode(data, n, "fuzz", &p, &err) < 0) {
        if (!err.code || !err.message[0])
            abort();
        return 0;
    }
    use_views(p);
    check_round_trip(p);
    cprof_profile_unref(p);
    return 0;
}
