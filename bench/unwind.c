/* unwind.c - one recording through every unwinder: unwind FILE
 *
 * FILE is what samples.c wrote. Each unwinder gets the same registers, stack bytes and
 * maps. Prints a line of words for each, in pairs of name and value:
 *
 *   cold    ns a frame with the samples in their order, each with its own stack bytes
 *   hot     ns a frame where one sample is unwound many times in a row
 *   equal, shorter, longer, different    chains beside libunwind's; 0, 1, 2, ...: those
 *           that are different, by the first frame that is
 *   whole, fallback, guessed   chains that reach the start; found by other means */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "process.h"
#include "record.h"
#include "unwind.h"
#include "unwind_build.h"

enum { COLD_ROUNDS = 3, HOT_SAMPLES = 400, HOT_ROUNDS = 40, N_BUCKETS = 4 };

/* An address space as it was for some samples. */
struct space {
    pid_t pid;
    uint32_t serial;
    struct cprof_maps maps;
    struct cprof_unwind_space *state;
};

struct sample {
    size_t space;
    struct cprof_unwind_input in;
};

struct chain { /* what is kept of one, to compare with */
    uint64_t *pc;
    size_t n;
    enum cprof_end end;
};

struct replay {
    uint8_t *bytes;
    size_t n_bytes;
    uint64_t sample_type;
    CPROF_VEC(struct cprof_record) records;
    struct cprof_stacks *stacks;
    struct cprof_processes processes;
    struct cprof_unwind_builder *builder;
    CPROF_VEC(struct space) spaces;
    CPROF_VEC(struct sample) samples;
    struct chain *reference;
    struct cprof_unwind_chain chain;
};

struct tally {
    uint64_t n_frames, whole, fallback, guessed, equal, shorter, longer, different;
    uint64_t first[N_BUCKETS]; /* different: at frame 0, 1, 2, later */
};

static void need(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "unwind: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_file(struct replay *r, const char *path)
{
    FILE *file = fopen(path, "re");
    long n;

    need(file && !fseek(file, 0, SEEK_END) && (n = ftell(file)) > 8, "no such recording");
    rewind(file);
    r->n_bytes = (size_t)n;
    r->bytes = malloc(r->n_bytes);
    need(r->bytes && fread(r->bytes, r->n_bytes, 1, file) == 1, "cannot read it");
    fclose(file);
    memcpy(&r->sample_type, r->bytes, 8);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct cprof_record *)a)->time;
    uint64_t y = ((const struct cprof_record *)b)->time;

    return (x > y) - (x < y);
}

static void decode(struct replay *r)
{
    const struct perf_event_header *header;
    struct cprof_record record;

    for (size_t at = 8; at < r->n_bytes; at += header->size) {
        header = (const struct perf_event_header *)(r->bytes + at);
        need(r->n_bytes - at >= sizeof(*header) && header->size >= sizeof(*header) &&
                 header->size <= r->n_bytes - at,
             "the recording is cut");
        if (cprof_record_decode(header, header->size, r->sample_type, &record) == 0)
            need(cprof_vec_push(&r->records, record) == 0, "out of memory");
    }
    qsort(r->records.data, r->records.n, sizeof(*r->records.data), by_time);
}

/* The process's space as it is now; mappings that only came in addition do not make it
 * another one. */
static size_t space_of(struct replay *r, const struct cprof_process *process)
{
    struct space *space = NULL;

    for (size_t i = r->spaces.n; !space && i-- > 0;)
        if (r->spaces.data[i].pid == process->pid &&
            r->spaces.data[i].serial == process->serial)
            space = &r->spaces.data[i];
    if (!space) {
        struct space made = {.pid = process->pid, .serial = process->serial};
        need(cprof_vec_push(&r->spaces, made) == 0, "out of memory");
        space = &r->spaces.data[r->spaces.n - 1];
    }
    if (space->maps.entries.n != process->maps.entries.n) {
        cprof_maps_deinit(&space->maps);
        memset(&space->maps, 0, sizeof(space->maps));
        need(cprof_maps_copy(&process->maps, &space->maps) == 0, "out of memory");
    }
    return (size_t)(space - r->spaces.data);
}

static void take_sample(struct replay *r, const struct cprof_record *record)
{
    enum { AX, BX, CX, DX, SI, DI, BP, SP, IP, R8 = 12 };
    static const uint8_t place[CPROF_N_REGS] = {
        AX,     DX,     CX,     BX,     SI,     DI,     BP,     SP, R8,
        R8 + 1, R8 + 2, R8 + 3, R8 + 4, R8 + 5, R8 + 6, R8 + 7, IP};
    const struct cprof_sample *from = &record->sample;
    struct sample sample = {.in = {.stack = from->stack, .stack_n = from->stack_n}};
    struct cprof_process *process;

    if (record->pid < 0 || from->regs_abi != PERF_SAMPLE_REGS_ABI_64 || !from->stack_n)
        return;
    for (size_t i = 0; i < CPROF_N_REGS; i++)
        memcpy(&sample.in.regs[i], &from->regs[place[i]], 8);
    process = cprof_processes_find(&r->processes, record->pid);
    if (!process || !cprof_maps_find(&process->maps, sample.in.regs[CPROF_REG_RIP]))
        return; /* between two programs */
    sample.space = space_of(r, process);
    need(cprof_vec_push(&r->samples, sample) == 0, "out of memory");
}

static void take_record(struct replay *r, const struct cprof_record *record)
{
    struct cprof_processes *ps = &r->processes;
    int e = 0;

    if (record->type == PERF_RECORD_SAMPLE)
        take_sample(r, record);
    else if (record->type == PERF_RECORD_MMAP2)
        e = cprof_processes_mmap(ps, record->pid, &record->mmap, record->time);
    else if (record->type == PERF_RECORD_COMM)
        e = cprof_processes_comm(ps, record->pid, record->tid, record->comm.name,
                                 record->misc & PERF_RECORD_MISC_COMM_EXEC);
    else if (record->type == PERF_RECORD_FORK)
        e = cprof_processes_fork(ps, record->task.pid, record->task.tid,
                                 record->task.parent_pid, record->task.parent_tid);
    else if (record->type == PERF_RECORD_EXIT)
        cprof_processes_exit(ps, record->task.pid, record->task.tid, NULL, NULL);
    need(e == 0, "out of memory");
}

static void settle_tables(struct replay *r)
{
    need(cprof_unwind_builder_create(-1, false, &r->builder) == 0, "out of memory");
    for (size_t i = 0; i < r->processes.dsos.all.n; i++)
        cprof_unwind_builder_want(r->builder, r->processes.dsos.all.data[i]);
}

static void load(struct replay *r, const char *path)
{
    read_file(r, path);
    decode(r);
    need(cprof_stacks_create(&r->stacks) == 0, "out of memory");
    r->processes.stacks = r->stacks;
    r->processes.unwind = &cprof_unwind_libunwind;
    for (size_t i = 0; i < r->records.n; i++)
        take_record(r, &r->records.data[i]);
    need(r->samples.n > 0, "it has no samples");
    settle_tables(r);
    r->reference = calloc(r->samples.n, sizeof(*r->reference));
    need(r->reference != NULL, "out of memory");
}

static void unwind(struct replay *r, const struct cprof_unwind_ops *ops, size_t i)
{
    struct sample *sample = &r->samples.data[i];
    struct space *space = &r->spaces.data[sample->space];

    ops->unwind(space->state, &space->maps, &sample->in, &r->chain);
}

/* One sample after another, each with stack bytes that no cache holds any more. */
static double cold(struct replay *r, const struct cprof_unwind_ops *ops)
{
    double best = 0;

    for (int round = 0; round <= COLD_ROUNDS; round++) { /* the first fills the caches */
        uint64_t n_frames = 0, start = now_ns();
        double each;
        for (size_t i = 0; i < r->samples.n; i++) {
            unwind(r, ops, i);
            n_frames += r->chain.n;
        }
        each = (double)(now_ns() - start) / (double)n_frames;
        if (round && (!best || each < best))
            best = each;
    }
    return best;
}

static double hot(struct replay *r, const struct cprof_unwind_ops *ops)
{
    size_t step = r->samples.n / HOT_SAMPLES + 1;
    uint64_t n_frames = 0, ns = 0;

    for (size_t i = 0; i < r->samples.n; i += step) {
        uint64_t start;
        unwind(r, ops, i);
        start = now_ns();
        for (int round = 0; round < HOT_ROUNDS; round++)
            unwind(r, ops, i);
        ns += now_ns() - start;
        n_frames += HOT_ROUNDS * r->chain.n;
    }
    return (double)ns / (double)n_frames;
}

static void keep(struct chain *to, const struct cprof_unwind_chain *from)
{
    to->n = from->n;
    to->end = from->end;
    to->pc = malloc(from->n * sizeof(*to->pc));
    need(to->pc != NULL, "out of memory");
    memcpy(to->pc, from->pc, from->n * sizeof(*to->pc));
}

static void compare(struct tally *tally, const struct chain *to,
                    const struct cprof_unwind_chain *chain)
{
    size_t n = to->n < chain->n ? to->n : chain->n, i = 0;

    while (i < n && to->pc[i] == chain->pc[i])
        i++;
    if (i < n) {
        tally->different++;
        tally->first[i < N_BUCKETS ? i : N_BUCKETS - 1]++;
    } else if (chain->n == to->n) {
        tally->equal++;
    } else {
        *(chain->n < to->n ? &tally->shorter : &tally->longer) += 1;
    }
}

static struct tally count(struct replay *r, const struct cprof_unwind_ops *ops)
{
    struct tally tally = {0};

    for (size_t i = 0; i < r->samples.n; i++) {
        unwind(r, ops, i);
        tally.n_frames += r->chain.n;
        tally.whole += r->chain.end == CPROF_END_ROOT;
        tally.fallback += !!(r->chain.how & CPROF_HOW_FALLBACK);
        tally.guessed += r->chain.n_guessed > 0;
        if (!r->reference[i].pc)
            keep(&r->reference[i], &r->chain);
        compare(&tally, &r->reference[i], &r->chain);
    }
    return tally;
}

static void measure(struct replay *r, const struct cprof_unwind_ops *ops)
{
    struct tally t;
    double ns_cold, ns_hot;

    for (size_t i = 0; i < r->spaces.n; i++)
        need(ops->create(&r->spaces.data[i].state) == 0, "out of memory");
    t = count(r, ops);
    ns_cold = cold(r, ops);
    ns_hot = hot(r, ops);
    for (size_t i = 0; i < r->spaces.n; i++)
        ops->destroy(r->spaces.data[i].state);
    printf("unwinder %s samples %zu frames %lu cold %.2f hot %.2f whole %lu fallback %lu "
           "guessed %lu equal %lu shorter %lu longer %lu different %lu 0 %lu 1 %lu 2 %lu "
           "more %lu\n",
           ops->name, r->samples.n, t.n_frames, ns_cold, ns_hot, t.whole, t.fallback,
           t.guessed, t.equal, t.shorter, t.longer, t.different, t.first[0], t.first[1],
           t.first[2], t.first[3]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct replay r; /* the chain in it is large */
    static const struct cprof_unwind_ops *const all[] = {
        &cprof_unwind_libunwind, &cprof_unwind_table, &cprof_unwind_fp};

    need(argc == 2, "usage: unwind FILE");
    load(&r, argv[1]);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        measure(&r, all[i]);
    return 0;
}
