/* session_double.c - threads that have the events of a recording twice.
 *
 * A thread that is made while processes are attached to may inherit the events of the one
 * that made it, be found in the list of threads as well, and be given its own. All that
 * it makes has both then, and would count double. The kernel does not tell what a thread
 * inherited, but the records of samplers do: two of them on one CPU are of one thread.
 *
 * Of these the one opened later can go, as whoever has it has the earlier one: one of the
 * two threads that they were opened for descends from the other. It is the later one's;
 * the earlier one's would have been made before the later event was there to inherit. */
#include "session_internal.h"

enum { SEEN_MAX = 4096 };

static void forget(struct cprof_session *s, int32_t tid)
{
    for (size_t i = 0; i < s->rings.n; i++)
        cprof_map_remove(&s->rings.data[i].sampled_by, (uint64_t)tid);
}

static void forget_all(struct cprof_session *s)
{
    for (size_t i = 0; i < s->rings.n; i++) {
        cprof_map_clear(&s->rings.data[i].sampled_by);
        s->rings.data[i].switched_tid = -1;
    }
}

/* A record of the sampler `i` in the ring, by the thread `tid`. */
static bool is_second(struct cprof_session *s, struct cprof_session_ring *ring,
                      int32_t tid, uint32_t i)
{
    uint32_t other = cprof_map_get(&ring->sampled_by, (uint64_t)tid);

    if (s->sampler.fds.data[i].fd < 0)
        return true;
    if (other != CPROF_MAP_NONE && other < i) {
        cprof_counter_drop(&s->sampler, i);
        return true;
    }
    if (other != CPROF_MAP_NONE && other > i)
        cprof_counter_drop(&s->sampler, other);
    if (ring->sampled_by.n >= SEEN_MAX)
        cprof_map_clear(&ring->sampled_by);
    if (other != i && cprof_map_set(&ring->sampled_by, (uint64_t)tid, i) < 0)
        forget(s, tid); /* it will be seen again */
    return false;
}

/* No thread goes the same way twice in a row. */
static bool is_switch_again(struct cprof_session_ring *ring,
                            const struct cprof_record *record)
{
    bool is_out = record->misc & PERF_RECORD_MISC_SWITCH_OUT;
    bool is_again = ring->switched_tid == record->tid && ring->is_switched_out == is_out;

    ring->switched_tid = record->tid;
    ring->is_switched_out = is_out;
    return is_again;
}

bool cprof_session_is_double(struct cprof_session *s, struct cprof_session_ring *ring)
{
    const struct cprof_record *record = &ring->head;
    uint32_t i;

    if (!s->is_attached)
        return false;
    if (record->type == PERF_RECORD_LOST)
        forget_all(s);
    if (record->type == PERF_RECORD_FORK)
        forget(s, record->task.tid); /* a number used anew */
    if (record->type == PERF_RECORD_SWITCH)
        return is_switch_again(ring, record);
    i = cprof_map_get(&s->sampler.by_id, record->id);
    return i != CPROF_MAP_NONE && record->tid >= 0 && is_second(s, ring, record->tid, i);
}
