#include "unwind_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol_internal.h"
#include "thread.h"
#include "unwind_cache.h"

enum {
    FDES_AT_ONCE = 20000, /* some 200,000 rows: a few milliseconds */
    FDES_KEPT = 2000,     /* smaller ones are made sooner than read */
};

/* One table being made, or made. */
struct job {
    struct cprof_dso *dso;
    struct cprof_unwind_rows *rows;
    bool is_done; /* under the lock, while the thread runs */
};

struct cprof_unwind_builder {
    int wake_fd;
    bool has_cache;
    char cache[CPROF_FILENAME_MAX];
    CPROF_VEC(struct job *) jobs; /* owned, with their rows */
    pthread_mutex_t lock;
    struct job *awaited; /* what the thread makes; its `is_done` is the thread's */
    pthread_t thread;
};

int cprof_unwind_builder_create(int wake_fd, bool use_cache,
                                struct cprof_unwind_builder **ret)
{
    struct cprof_unwind_builder *b = calloc(1, sizeof(*b));

    if (!b)
        return -ENOMEM;
    b->wake_fd = wake_fd;
    b->has_cache = use_cache && cprof_unwind_cache_dir(b->cache, sizeof(b->cache)) == 0;
    pthread_mutex_init(&b->lock, NULL);
    *ret = b;
    return 0;
}

/* The thread has said that it is done, or is waited for. */
static void collect(struct cprof_unwind_builder *b)
{
    struct job *job = b->awaited;

    pthread_join(b->thread, NULL);
    b->awaited = NULL;
    job->dso->rows = job->rows;
    job->dso->rows_state = CPROF_ROWS_SETTLED;
}

void cprof_unwind_builder_destroy(struct cprof_unwind_builder *b)
{
    if (!b)
        return;
    cprof_unwind_builder_wait(b);
    for (size_t i = 0; i < b->jobs.n; i++) {
        cprof_unwind_rows_destroy(b->jobs.data[i]->rows);
        free(b->jobs.data[i]);
    }
    cprof_vec_free(&b->jobs);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* Files without .eh_frame may have .debug_frame, here or in their debug file. */
static void make_from_debug(const struct cprof_dso *dso, struct cprof_unwind_rows **rows)
{
    struct cprof_elf *debug = NULL;

    if (cprof_symbols_open_debug(dso->elf, dso->root, dso->path, dso->build_id,
                                 dso->build_id_n, &debug) == 0 &&
        debug)
        cprof_unwind_rows_build(dso->elf, debug, rows, NULL);
    cprof_elf_unref(debug);
}

/* Touches of the dso only what never changes. */
static void make(const struct cprof_unwind_builder *b, struct job *job)
{
    const struct cprof_dso *dso = job->dso;
    bool is_kept = b->has_cache && dso->build_id_n &&
                   cprof_unwind_rows_expected(dso->elf) >= FDES_KEPT;

    if (is_kept && cprof_unwind_cache_load(b->cache, dso->elf, &job->rows) == 0)
        return;
    if (cprof_unwind_rows_build(dso->elf, NULL, &job->rows, NULL) == -ENODATA)
        make_from_debug(dso, &job->rows);
    if (is_kept && job->rows)
        cprof_unwind_cache_store(b->cache, dso->elf, job->rows);
}

static void *run(void *arg)
{
    struct cprof_unwind_builder *b = arg;

    make(b, b->awaited);
    pthread_mutex_lock(&b->lock);
    b->awaited->is_done = true;
    pthread_mutex_unlock(&b->lock);
    cprof_thread_wake(b->wake_fd);
    return NULL;
}

static bool start(struct cprof_unwind_builder *b, struct job *job)
{
    b->awaited = job;
    if (cprof_thread_start("cprof-tables", run, b, &b->thread) == 0)
        return true;
    b->awaited = NULL;
    return false;
}

static bool is_awaited_done(struct cprof_unwind_builder *b)
{
    bool is_done;

    pthread_mutex_lock(&b->lock);
    is_done = b->awaited->is_done;
    pthread_mutex_unlock(&b->lock);
    return is_done;
}

static struct job *add_job(struct cprof_unwind_builder *b, struct cprof_dso *dso)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job || cprof_vec_push(&b->jobs, job) < 0) {
        free(job);
        return NULL;
    }
    job->dso = dso;
    return job;
}

bool cprof_unwind_builder_want(struct cprof_unwind_builder *b, struct cprof_dso *dso)
{
    struct job *job = NULL;

    if (b->awaited && is_awaited_done(b))
        collect(b);
    if (dso->rows_state == CPROF_ROWS_SETTLED)
        return true;
    if (b->awaited) /* one at a time: two would take the target's CPUs */
        return false;
    if (dso->elf)
        job = add_job(b, dso);
    if (job && b->wake_fd >= 0 && cprof_unwind_rows_expected(dso->elf) > FDES_AT_ONCE &&
        start(b, job)) {
        dso->rows_state = CPROF_ROWS_AWAITED;
        return false;
    }
    if (job) {
        make(b, job);
        dso->rows = job->rows;
    }
    dso->rows_state = CPROF_ROWS_SETTLED;
    return true;
}

void cprof_unwind_builder_wait(struct cprof_unwind_builder *b)
{
    if (b->awaited)
        collect(b);
}
