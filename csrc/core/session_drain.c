/* session_drain.c - from the rings to rows: records are taken in order of time over all
 * rings, so that a mapping made on one CPU is known before a sample of it on another. */
#include <errno.h>
#include <string.h>

#include "session_internal.h"

enum {
    MAPS_RETRY_NS = 100 * 1000 * 1000,
    BACKLOG_MAX = 64 << 20, /* of each ring: some 1,000 samples with the largest stacks */
};

static int add_mark(struct cprof_session *s, uint64_t time, enum cprof_mark_kind kind,
                    uint64_t n)
{
    struct cprof_mark mark = {.time = time, .kind = kind};

    mark.n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
    return cprof_vec_push(&s->profile->marks, mark);
}

/* Kernel frames, leaf first; markers only say where a part begins. */
static int kernel_frames(struct cprof_session *s, const struct cprof_record *record,
                         size_t *n)
{
    bool in_kernel =
        (record->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL;
    bool is_kernel_part = false;
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < record->sample.n_chain; i++) {
        uint64_t ip = record->sample.chain[i];
        if (ip >= PERF_CONTEXT_MAX)
            is_kernel_part = ip == PERF_CONTEXT_KERNEL;
        else if (is_kernel_part && *n < CPROF_KERNEL_FRAMES_MAX) {
            r = cprof_locate_kernel(&s->locator, *n ? ip - 1 : ip, &s->frames[*n]);
            *n += r == 0;
        }
    }
    if (r == 0 && !*n && in_kernel) {
        r = cprof_locate_kernel(&s->locator, record->sample.ip, &s->frames[0]);
        *n += r == 0;
    }
    return r;
}

/* perf's order of x86-64 registers -> DWARF's. */
static void fill_registers(const uint64_t *sampled, uint64_t regs[CPROF_N_REGS])
{
    enum { AX, BX, CX, DX, SI, DI, BP, SP, IP, FLAGS, CS, SS, R8 };
    static const uint8_t place[CPROF_N_REGS] = {
        AX,     DX,     CX,     BX,     SI,     DI,     BP,     SP, R8,
        R8 + 1, R8 + 2, R8 + 3, R8 + 4, R8 + 5, R8 + 6, R8 + 7, IP};

    for (size_t i = 0; i < CPROF_N_REGS; i++)
        memcpy(&regs[i], &sampled[place[i]], sizeof(regs[i]));
}

/* A mapping that no record told of: look again, now and then. */
static void read_maps_again(struct cprof_session *s, struct cprof_process *process,
                            uint64_t pc)
{
    uint64_t now;

    if (cprof_maps_find(&process->maps, pc))
        return;
    now = cprof_session_now();
    if (now - process->maps_tried < MAPS_RETRY_NS)
        return;
    process->maps_tried = now;
    cprof_process_read_maps(&s->processes, process, now);
}

/* The user's registers may be of a program that is no more: the kernel works on its exec,
 * or takes its memory down. */
static bool is_between_programs(const struct cprof_record *record,
                                const struct cprof_process *process, uint64_t pc)
{
    bool has_stack = record->sample.stack_n || !record->sample.stack_asked;

    return (record->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL &&
           (!has_stack || !cprof_maps_find(&process->maps, pc));
}

/* A share of the samples is unwound by libunwind too, and both compared. */
static void verify(struct cprof_session *s, const struct cprof_process *process,
                   const struct cprof_unwind_input *in)
{
    const struct cprof_unwind_chain *a = s->chain, *b = s->reference;

    if (!s->verify || !s->unwind->reference || cprof_session_random(s) >= s->verify ||
        a->how & CPROF_HOW_GUESSED) /* libunwind has no answer there */
        return;
    s->unwind->reference(process->space, &process->maps, in, s->reference);
    s->profile->run.n_verified++;
    s->profile->run.n_agreed +=
        a->n == b->n && a->end == b->end && !memcmp(a->pc, b->pc, a->n * sizeof(*a->pc));
}

int cprof_session_unwind(struct cprof_session *s, const struct cprof_process *process,
                         const struct cprof_unwind_input *in)
{
    do {
        s->unwind->unwind(process->space, &process->maps, in, s->chain);
        if (s->chain->wants && !cprof_unwind_builder_want(s->builder, s->chain->wants)) {
            s->awaited = s->chain->wants;
            return CPROF_SESSION_WAITS;
        }
    } while (s->chain->wants);
    return 0;
}

/* The copied bytes ended: join what the kernel found by frame pointers. Where that ends
 * nobody knows, so that the stack counts as truncated all the same. */
static void splice(struct cprof_session *s, const struct cprof_sample *sample)
{
    uint64_t begin = 0, end;

    while (begin < sample->n_chain && sample->chain[begin] != PERF_CONTEXT_USER)
        begin++;
    if (begin == sample->n_chain)
        return;
    for (end = ++begin; end < sample->n_chain && sample->chain[end] < PERF_CONTEXT_MAX;)
        end++;
    s->n_added = (uint32_t)cprof_splice(s->chain, sample->chain + begin, end - begin);
    if (s->n_added)
        s->chain->how |= CPROF_HOW_SPLICED;
}

static int unwind_user(struct cprof_session *s, struct cprof_process *process,
                       const struct cprof_record *record)
{
    const struct cprof_sample *sample = &record->sample;
    struct cprof_unwind_input in = {.stack = sample->stack, .stack_n = sample->stack_n};
    int r;

    s->chain->how = 0;
    s->n_added = 0;
    if (sample->regs_abi == PERF_SAMPLE_REGS_ABI_NONE) {
        s->chain->n = 0;
        s->chain->end = CPROF_END_KERNEL;
        return 0;
    }
    fill_registers(sample->regs, in.regs);
    if (sample->regs_abi != PERF_SAMPLE_REGS_ABI_64) {
        s->chain->n = 1;
        s->chain->pc[0] = in.regs[CPROF_REG_RIP];
        s->chain->end = CPROF_END_UNSUPPORTED;
        return 0;
    }
    if (!process->has_space) {
        r = s->unwind->create(&process->space);
        if (r < 0)
            return r;
        process->has_space = true;
    }
    if (is_between_programs(record, process, in.regs[CPROF_REG_RIP])) {
        s->chain->n = 0;
        s->chain->end = CPROF_END_KERNEL;
        return 0;
    }
    read_maps_again(s, process, in.regs[CPROF_REG_RIP]);
    r = cprof_session_unwind(s, process, &in);
    if (r == 0) {
        verify(s, process, &in);
        r = cprof_session_continue(s, process, record, &in);
    }
    if (r == 0 && s->has_frames && s->chain->end == CPROF_END_TRUNCATED)
        splice(s, sample);
    return r;
}

static bool is_complete(enum cprof_end end)
{
    return end == CPROF_END_ROOT || end == CPROF_END_KERNEL;
}

/* The whole stack, leaf first, in s->frames. */
static int build_stack(struct cprof_session *s, const struct cprof_record *record,
                       struct cprof_process *process, size_t *n)
{
    int r;

    *n = 0;
    r = kernel_frames(s, record, n);
    if (r == 0)
        r = unwind_user(s, process, record);
    if (r == 0)
        cprof_locate_ahead(&s->locator, process, s->chain->pc, s->chain->n);
    for (size_t i = 0; r == 0 && i < s->chain->n; i++)
        r = cprof_locate_user(&s->locator, process, s->chain->pc[i], &s->frames[(*n)++]);
    if (r == 0 && !is_complete(s->chain->end))
        s->frames[(*n)++] = s->stacks->pseudo[s->chain->end];
    return r;
}

/* Redraw the period of the fd that gave this sample, after some samples of its own. Those
 * of inherited events keep the period that was in force when their task was made. */
static void redraw(struct cprof_session *s, const struct cprof_record *record)
{
    uint32_t i;

    if (record->stream_id != record->id || !s->jitter || !s->event->is_clock)
        return;
    i = cprof_map_get(&s->sampler.by_id, record->id);
    if (i == CPROF_MAP_NONE || --s->jitters.data[i].left)
        return;
    cprof_counter_set_period(&s->sampler, i, cprof_session_draw_period(s));
    s->jitters.data[i].left = 20 + (uint32_t)(s->random % 31);
}

static int take_sample(struct cprof_session *s, const struct cprof_record *record)
{
    struct cprof_row row = {.time = record->time,
                            .pid = record->pid,
                            .tid = record->tid,
                            .cpu = (int32_t)record->cpu,
                            .values = {1, (int64_t)record->sample.period}};
    struct cprof_process *process;
    size_t n;
    int r;

    if (record->pid < 0 || record->tid < 0) /* already reaped: no name, no maps */
        return 0;
    r = cprof_processes_thread(&s->processes, record->pid, record->tid, &row.thread);
    if (r == 0)
        r = cprof_processes_get(&s->processes, record->pid, &process);
    if (r == 0)
        r = build_stack(s, record, process, &n);
    row.how = s->chain->how;
    row.n_added = (uint16_t)(s->n_added < UINT16_MAX ? s->n_added : UINT16_MAX);
    if (r == 0)
        r = cprof_stacks_intern(s->stacks, s->frames, n, &row.stack);
    if (r == 0)
        r = cprof_profile_add(s->profile, &row);
    if (r != CPROF_SESSION_WAITS)
        redraw(s, record);
    return r;
}

static int make_main(struct cprof_session *s, struct cprof_maps_entry *entry)
{
    int r = cprof_locate_mapping(&s->locator, entry);

    if (r == 0)
        s->profile->run.main_mapping = entry->mapping;
    return r;
}

/* The first file that a child maps after an exec is its program. A wrapper (env, sh -c)
 * execs again: the last one counts. */
static int note_main_binary(struct cprof_session *s, const struct cprof_record *record)
{
    struct cprof_process *process = cprof_processes_find(&s->processes, record->pid);
    struct cprof_maps_entry *entry;

    if (!s->awaits_main || record->pid != s->child_pid || !process)
        return 0;
    entry =
        (struct cprof_maps_entry *)cprof_maps_find(&process->maps, record->mmap.start);
    if (!entry || entry->dso->kind != CPROF_DSO_FILE)
        return 0;
    s->awaits_main = false;
    return make_main(s, entry);
}

int cprof_session_note_exe(struct cprof_session *s, pid_t pid, const char *exe)
{
    struct cprof_process *process = cprof_processes_find(&s->processes, pid);
    size_t n = strlen(exe), n_suffix = strlen(" (deleted)");

    if (n > n_suffix && !strcmp(exe + n - n_suffix, " (deleted)"))
        n -= n_suffix;
    for (size_t i = 0; process && i < process->maps.entries.n; i++) {
        struct cprof_maps_entry *entry = &process->maps.entries.data[i];
        const char *path = entry->dso->path;
        if (!strcmp(path, exe) || (!strncmp(path, exe, n) && !path[n]))
            return make_main(s, entry);
    }
    return 0;
}

uint64_t cprof_session_mean_weight(const struct cprof_session *s)
{
    const struct cprof_profile *p = s->profile;
    int64_t weight = 0;
    size_t n = p->n < 1000 ? p->n : 1000, n_samples = 0;

    for (size_t i = 0; i < n; i++) {
        if (p->pid[i] < 0)
            continue;
        weight += cprof_profile_value(p, 1, i);
        n_samples++;
    }
    return n_samples ? (uint64_t)weight / n_samples : s->period;
}

int cprof_session_add_lost(struct cprof_session *s, uint64_t time, uint64_t n)
{
    struct cprof_row row = {.time = time, .pid = -1, .tid = -1, .cpu = -1};
    struct cprof_thread nobody = {.pid = -1, .tid = -1};
    struct cprof_session_lost lost = {.row = s->profile->n, .n = n};
    uint32_t frame = s->stacks->pseudo[CPROF_PSEUDO_LOST];
    int r = cprof_stacks_node(s->stacks, CPROF_NONE, frame, &row.stack);

    if (r == 0)
        r = cprof_stacks_string(s->stacks, "[lost]", &nobody.name);
    nobody.comm = nobody.name;
    if (r == 0)
        r = cprof_stacks_thread(s->stacks, &nobody, NULL, 0, &row.thread);
    if (r == 0)
        r = cprof_vec_reserve(&s->lost, 1);
    row.values[0] = (int64_t)n;
    row.values[1] = (int64_t)(n * cprof_session_mean_weight(s));
    if (r == 0)
        r = cprof_profile_add(s->profile, &row);
    if (r == 0)
        s->lost.data[s->lost.n++] = lost;
    return r;
}

static int take_lost(struct cprof_session *s, const struct cprof_record *record)
{
    int r = add_mark(s, record->time, CPROF_MARK_LOST, record->lost.n);

    return r < 0 ? r : cprof_session_add_lost(s, record->time, record->lost.n);
}

static void keep_jit(void *session, struct cprof_process *process)
{
    struct cprof_session *s = session;

    cprof_locator_keep_jit(&s->locator, process);
}

static int take_record(struct cprof_session *s, const struct cprof_record *record)
{
    struct cprof_processes *ps = &s->processes;
    int r;

    switch (record->type) {
    case PERF_RECORD_SAMPLE:
        return take_sample(s, record);
    case PERF_RECORD_MMAP2:
        r = cprof_processes_mmap(ps, record->pid, &record->mmap, record->time);
        return r < 0 ? r : note_main_binary(s, record);
    case PERF_RECORD_COMM:
        s->awaits_main |=
            record->pid == s->child_pid && record->misc & PERF_RECORD_MISC_COMM_EXEC;
        return cprof_processes_comm(ps, record->pid, record->tid, record->comm.name,
                                    record->misc & PERF_RECORD_MISC_COMM_EXEC);
    case PERF_RECORD_FORK:
        return cprof_processes_fork(ps, record->task.pid, record->task.tid,
                                    record->task.parent_pid, record->task.parent_tid);
    case PERF_RECORD_EXIT:
        cprof_processes_exit(ps, record->task.pid, record->task.tid, keep_jit, s);
        return 0;
    case PERF_RECORD_LOST:
    case PERF_RECORD_LOST_SAMPLES:
        return take_lost(s, record);
    case PERF_RECORD_THROTTLE:
        return add_mark(s, record->time, CPROF_MARK_THROTTLED, 1);
    case PERF_RECORD_SWITCH:
        s->profile->run.n_switches += !!(record->misc & PERF_RECORD_MISC_SWITCH_OUT);
        return 0;
    default:
        return 0;
    }
}

/* The ring's next record, those that were put back first: as cprof_ring_next(). */
static int next_record(struct cprof_session_ring *ring,
                       const struct perf_event_header **ret)
{
    const struct perf_event_header *record = cprof_backlog_next(&ring->backlog);

    if (!record)
        return cprof_ring_next(ring->ring, ret);
    *ret = record;
    return 1;
}

/* Make the ring's next good record its head; false when it has no more. */
static bool advance(struct cprof_session *s, struct cprof_session_ring *ring)
{
    const struct perf_event_header *bytes;
    int r;

    while ((r = next_record(ring, &bytes)) == 1) {
        if (cprof_record_decode(bytes, bytes->size, s->sampler.attr.sample_type,
                                &ring->head) < 0) {
            s->profile->run.n_records_bad++;
            continue;
        }
        /* Written later than it should have been: it counts in the window that is open,
         * so that windows add up. */
        if (ring->head.time < s->cut_time)
            ring->head.time = s->cut_time;
        ring->head_bytes = bytes;
        return ring->has_head = true;
    }
    s->profile->run.n_records_bad += r < 0;
    return ring->has_head = false;
}

/* A table is being made: give the kernel room by moving a ring's records out. */
static void put_by(struct cprof_session *s, struct cprof_session_ring *ring)
{
    const struct perf_event_header *bytes;

    if (cprof_ring_refresh(ring->ring) < cprof_ring_size(ring->ring) / 2)
        return;
    if (ring->has_head &&
        ring->backlog.at) { /* the head is in the backlog, which moves */
        cprof_backlog_return(&ring->backlog, ring->head_bytes);
        ring->has_head = false;
    }
    while (cprof_backlog_reserve(&ring->backlog, BACKLOG_MAX)) {
        if (ring->has_head)
            bytes = ring->head_bytes;
        else if (cprof_ring_next(ring->ring, &bytes) != 1)
            break;
        ring->has_head = false;
        cprof_backlog_push(&ring->backlog, bytes);
        s->profile->run.n_waited += bytes->type == PERF_RECORD_SAMPLE;
    }
}

/* Does a table still keep all records waiting? */
static bool is_waiting(struct cprof_session *s, bool is_patient)
{
    if (!s->awaited)
        return false;
    if (is_patient)
        cprof_unwind_builder_wait(s->builder);
    if (cprof_unwind_builder_want(s->builder, s->awaited))
        s->awaited = NULL;
    return s->awaited != NULL;
}

static struct cprof_session_ring *earliest(struct cprof_session *s)
{
    struct cprof_session_ring *first = NULL;

    for (size_t i = 0; i < s->rings.n; i++) {
        struct cprof_session_ring *ring = &s->rings.data[i];
        if (ring->has_head && (!first || ring->head.time < first->head.time))
            first = ring;
    }
    return first;
}

/* Up to `limit`, or to a record that must wait. */
static int drain_ready(struct cprof_session *s, uint64_t limit)
{
    struct cprof_session_ring *first;
    int r = 0, taken;

    for (size_t i = 0; i < s->rings.n; i++) {
        cprof_ring_refresh(s->rings.data[i].ring);
        if (!s->rings.data[i].has_head)
            advance(s, &s->rings.data[i]);
    }
    while ((first = earliest(s)) && first->head.time <= limit) {
        taken = cprof_session_is_double(s, first) ? 0 : take_record(s, &first->head);
        if (taken == CPROF_SESSION_WAITS)
            return r;
        if (taken < 0)
            r = -ENOMEM;
        advance(s, first);
    }
    return r;
}

int cprof_session_drain(struct cprof_session *s, uint64_t limit, bool is_patient)
{
    int r = 0;

    while (r == 0 && !is_waiting(s, is_patient)) {
        r = drain_ready(s, limit);
        if (!s->awaited)
            return r;
    }
    for (size_t i = 0; i < s->rings.n; i++)
        put_by(s, &s->rings.data[i]);
    return r;
}
