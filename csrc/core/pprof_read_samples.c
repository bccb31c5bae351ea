/* The samples of a pprof file: stacks, labels, times. */
#include "pprof_facts.h"
#include "pprof_read.h"

#define bad(rd, ...) pprof_bad((rd)->name, (rd)->err, __VA_ARGS__)

enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_TEXT, LABEL_NUMBER, LABEL_UNIT, LABEL_N };

static int add_frames(struct pprof_reader *rd, struct wire_field *field)
{
    uint64_t id;

    while (wire_number(field, &id)) {
        uint32_t location = pprof_number_of(&rd->location_ids, id);
        if (location == CPROF_NONE)
            return bad(rd, "sample %zu refers to location %llu, which does not exist",
                       rd->p->n + 1, (unsigned long long)id);
        if (cprof_vec_push(&rd->frames, location) < 0)
            return pprof_no_memory(rd->err);
    }
    return field->kind == WIRE_BYTES && field->bytes.is_bad ? pprof_damaged(rd, "sample")
                                                            : 0;
}

static int intern_frames(struct pprof_reader *rd, uint32_t *ret)
{
    if (rd->s->nodes.n + rd->frames.n > CPROF_PPROF_MAX_NODES)
        return bad(rd, "has stacks of more than %zu frames", CPROF_PPROF_MAX_NODES);
    return pprof_check(rd,
                       cprof_stacks_intern(rd->s, rd->frames.data, rd->frames.n, ret));
}

static uint32_t find_stack(const struct pprof_reader *rd, uint64_t key,
                           struct wire locations)
{
    size_t n = (size_t)(locations.end - locations.at), at = 0;
    uint32_t id;

    while ((id = cprof_map_next(&rd->known_stack_ids, key, &at)) != CPROF_MAP_NONE) {
        const struct pprof_known_stack *known = &rd->known_stacks.data[id];
        if (known->n == n && !memcmp(known->bytes, locations.at, n))
            return known->stack;
    }
    return CPROF_NONE;
}

/* Remembered as long as stacks do come again. */
static int remember_stack(struct pprof_reader *rd, uint64_t key, struct wire locations,
                          uint32_t stack)
{
    enum { TRIED = 4096, RARE = 8 };
    struct pprof_known_stack known = {locations.at,
                                      (uint32_t)(locations.end - locations.at), stack};

    if (rd->known_stacks.n > TRIED + rd->n_known_again * RARE)
        return 0;
    if (cprof_vec_push(&rd->known_stacks, known) < 0 ||
        cprof_map_add(&rd->known_stack_ids, key, (uint32_t)rd->known_stacks.n - 1) < 0)
        return pprof_no_memory(rd->err);
    return 0;
}

/* The stack of packed locations, which mostly are those of a sample before. */
static int read_packed_stack(struct pprof_reader *rd, struct wire_field *field,
                             uint32_t *ret)
{
    struct wire locations = field->bytes;
    uint64_t key = cprof_hash_bytes(locations.at, (size_t)(locations.end - locations.at));
    int r;

    *ret = find_stack(rd, key, locations);
    if (*ret != CPROF_NONE) {
        rd->n_known_again++;
        return 0;
    }
    r = add_frames(rd, field);
    if (r >= 0)
        r = intern_frames(rd, ret);
    return r < 0 ? r : remember_stack(rd, key, locations, *ret);
}

/* A label that says which thread: taken into *to. false for any other label, and for a
 * second one of the same key. */
static bool is_thread_label(const struct pprof_reader *rd,
                            const struct cprof_label *label, struct cprof_thread *to)
{
    const uint32_t *known = rd->known;
    bool is_id = !label->text && label->number >= 0 && label->number <= INT32_MAX &&
                 (!label->unit || label->unit == known[KNOWN_ID]);

    if (is_id && to->pid < 0 && label->key == known[KNOWN_PID])
        to->pid = (int32_t)label->number;
    else if (is_id && to->tid < 0 && label->key == known[KNOWN_TID])
        to->tid = (int32_t)label->number;
    else if (label->text && !to->name &&
             (label->key == known[KNOWN_THREAD] ||
              label->key == known[KNOWN_THREAD_COMM]))
        to->name = label->text;
    else if (label->text && !to->comm && label->key == known[KNOWN_COMM])
        to->comm = label->text;
    else
        return false;
    return true;
}

/* A label of ours that says how the stack was found: taken into *to. */
static bool is_how_label(const struct pprof_reader *rd, const struct cprof_label *label,
                         struct cprof_row *to)
{
    if (!to->how && label->key == rd->known[KNOWN_HOW])
        return cprof_how_parse(cprof_stacks_text(rd->s, label->text), &to->how);
    if (to->n_added || label->text || label->number <= 0 || label->number > UINT16_MAX ||
        label->key != rd->known[KNOWN_ADDED] ||
        label->unit != rd->known[KNOWN_ADDED_UNIT])
        return false;
    to->n_added = (uint16_t)label->number;
    return true;
}

static bool is_time(const struct pprof_reader *rd, const uint64_t v[LABEL_N])
{
    return !v[LABEL_TEXT] && v[LABEL_KEY] < rd->n_strings &&
           rd->strings[v[LABEL_KEY]] == rd->known[KNOWN_TIME];
}

/* What one sample says, put together field by field. */
struct sample {
    struct cprof_row row;
    struct cprof_thread thread;
    struct wire_field locations; /* the first of them; mostly all, packed */
    size_t n_locations, n_values;
    bool has_time;
};

static int read_label(struct pprof_reader *rd, struct wire bytes, struct sample *to)
{
    struct cprof_label label;
    uint64_t v[LABEL_N];
    int r;

    if (!wire_numbers(bytes, v, LABEL_N))
        return pprof_damaged(rd, "label");
    if (rd->p->run.has_times && !to->has_time && is_time(rd, v)) {
        to->has_time = true;
        to->row.time = v[LABEL_NUMBER] - (uint64_t)rd->first_time;
        return 0;
    }
    label.number = (int64_t)v[LABEL_NUMBER];
    if ((r = pprof_read_string(rd, v[LABEL_KEY], &label.key)) < 0 ||
        (r = pprof_read_string(rd, v[LABEL_TEXT], &label.text)) < 0 ||
        (r = pprof_read_string(rd, v[LABEL_UNIT], &label.unit)) < 0)
        return r;
    if (!label.text && !label.number && !label.unit)
        return 0; /* says nothing: no reader keeps it */
    if (!is_thread_label(rd, &label, &to->thread) &&
        !is_how_label(rd, &label, &to->row) && cprof_vec_push(&rd->labels, label) < 0)
        return pprof_no_memory(rd->err);
    return 0;
}

static void add_values(struct wire_field *field, struct sample *to)
{
    uint64_t value;

    for (; wire_number(field, &value); to->n_values++)
        if (to->n_values < CPROF_MAX_SAMPLE_TYPES)
            to->row.values[to->n_values] = (int64_t)value;
}

static int read_sample_field(struct pprof_reader *rd, struct wire_field *field,
                             struct sample *to)
{
    int r = 0;

    switch (field->number) {
    case SAMPLE_LOCATION:
        if (!to->n_locations++) {
            to->locations = *field;
            return 0;
        }
        if (to->n_locations == 2)
            r = add_frames(rd, &to->locations);
        return r < 0 ? r : add_frames(rd, field);
    case SAMPLE_VALUE:
        add_values(field, to);
        return field->kind == WIRE_BYTES && field->bytes.is_bad
                   ? pprof_damaged(rd, "sample")
                   : 0;
    case SAMPLE_LABEL:
        return field->kind == WIRE_BYTES ? read_label(rd, field->bytes, to) : 0;
    default:
        return 0;
    }
}

static int finish_stack(struct pprof_reader *rd, struct sample *sample)
{
    int r = 0;

    if (sample->n_locations == 1 && sample->locations.kind == WIRE_BYTES)
        return read_packed_stack(rd, &sample->locations, &sample->row.stack);
    if (sample->n_locations == 1)
        r = add_frames(rd, &sample->locations);
    return r < 0 ? r : intern_frames(rd, &sample->row.stack);
}

static int read_sample(struct pprof_reader *rd, struct wire bytes)
{
    struct sample sample = {.row.cpu = -1, .thread.pid = -1, .thread.tid = -1};
    struct wire_field field;
    int r = 0;

    rd->frames.n = rd->labels.n = 0;
    while (r >= 0 && wire_next(&bytes, &field))
        r = read_sample_field(rd, &field, &sample);
    if (r < 0)
        return r;
    if (bytes.is_bad)
        return pprof_damaged(rd, "sample");
    if (sample.n_values != rd->p->n_types)
        return bad(rd, "sample %zu has %zu values for %zu sample types", rd->p->n + 1,
                   sample.n_values, rd->p->n_types);
    r = pprof_check_size(rd);
    if (r >= 0)
        r = finish_stack(rd, &sample);
    if (r < 0)
        return r;
    sample.row.pid = sample.thread.pid;
    sample.row.tid = sample.thread.tid;
    r = cprof_stacks_thread(rd->s, &sample.thread, rd->labels.data, rd->labels.n,
                            &sample.row.thread);
    if (r >= 0)
        r = cprof_profile_add(rd->p, &sample.row);
    return pprof_check(rd, r);
}

/* ---- times ---- */

/* The first time of a sample: 1, or 0 where it has none. */
static int find_time(const struct pprof_reader *rd, struct wire sample, int64_t *ret)
{
    struct wire_field field;
    uint64_t v[LABEL_N];

    while (wire_next(&sample, &field)) {
        if (field.number != SAMPLE_LABEL || field.kind != WIRE_BYTES ||
            !wire_numbers(field.bytes, v, LABEL_N) || !is_time(rd, v))
            continue;
        *ret = (int64_t)v[LABEL_NUMBER];
        return 1;
    }
    return 0;
}

/* Samples have times where each of them has: since the earliest, wherever their clock
 * began. */
static void find_times(struct pprof_reader *rd)
{
    static const int64_t UNIX_NS = 1000000000000000000; /* times from 2001 on */
    struct wire w = rd->sections[PROFILE_SAMPLE].span;
    struct wire_field field;
    int64_t first = INT64_MAX, last = INT64_MIN, time;
    uint64_t span;

    if (rd->known[KNOWN_TIME] == CPROF_NONE)
        return;
    while (wire_next(&w, &field)) {
        if (field.number != PROFILE_SAMPLE || field.kind != WIRE_BYTES)
            continue;
        if (!find_time(rd, field.bytes, &time))
            return;
        first = time < first ? time : first;
        last = time > last ? time : last;
    }
    if (first > last)
        return;
    rd->p->run.has_times = true;
    rd->first_time = first;
    span = (uint64_t)last - (uint64_t)first;
    if (first >= UNIX_NS)
        rd->p->run.start_unix = first;
    if (span >= rd->p->run.end_mono) {
        rd->p->run.end_mono = span + 1;
        rd->p->to = (double)rd->p->run.end_mono / 1e9;
    }
}

int pprof_read_samples(struct pprof_reader *rd)
{
    find_times(rd);
    return pprof_each(rd, PROFILE_SAMPLE, read_sample);
}
