/* pprof, writing: the rules of the format, and that it reads back the same. */
#define _GNU_SOURCE
#include "pprof.h"

#include <errno.h>

#include "pprofs.h"

static void test_what_is_written_reads_back(void)
{
    struct cprof_quality before, after;
    struct cprof_profile *p, *back;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(profile_row(p, 9, 7, "main;libx!?", 3), 0);
    CHECK_EQ(profile_row(p, 9, 7, "", 4), 0);
    back = round_trip(p);
    check_same_sums(p, back);
    CHECK_EQ(cprof_profile_quality(p, &before), 0);
    CHECK_EQ(cprof_profile_quality(back, &after), 0);
    CHECK(!memcmp(&before, &after, sizeof(before)));
    CHECK(!back->run.has_times);
    CHECK(back->from == 0 && back->to == 10);
    CHECK_EQ(back->run.start_unix, p->run.start_unix);
    CHECK_EQ(back->pid[0], 7);
    CHECK_EQ(back->tid[1], 8);
    CHECK_STR(text(back, back->stacks->threads.data[back->thread[1]].name), "worker 8");
    CHECK_STR(text(back, back->stacks->threads.data[back->thread[1]].comm), "prog");
    CHECK_EQ(back->stacks->threads.data[0].n_labels, 0);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void check_label(const Perftools__Profiles__Profile *m,
                        const Perftools__Profiles__Label *label, const char *key,
                        const char *value, int64_t number)
{
    CHECK_STR(m->string_table[label->key], key);
    CHECK_STR(m->string_table[label->str], value);
    CHECK_EQ(label->num, number);
    CHECK_STR(m->string_table[label->num_unit], *value ? "" : "id");
}

/* The strict rules of the format, on the bytes. */
static void test_the_file_keeps_the_rules_of_the_format(void)
{
    Perftools__Profiles__Profile *m;
    struct cprof_profile *p, *window;
    const Perftools__Profiles__Sample *sample;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(profile_row(p, 9, 7, "main;a;b", 11), 0); /* like the first row */
    CHECK_EQ(profile_row(p, 9, 9, "main;unseen", 0), 0);
    CHECK_EQ(cprof_profile_set_value(p, 0, 9, 0), 0); /* a row of zeros is no sample */
    m = message_of(p);
    CHECK_STR(m->string_table[0], "");
    CHECK_EQ(m->n_sample, 6);
    CHECK_EQ(m->n_sample_type, 2);
    CHECK_STR(m->string_table[m->mapping[0]->filename], "/bin/prog");
    for (size_t i = 0; i < m->n_mapping; i++)
        CHECK_EQ(m->mapping[i]->id, i + 1);
    for (size_t i = 0; i < m->n_location; i++)
        CHECK_EQ(m->location[i]->id, i + 1);
    for (size_t i = 0; i < m->n_function; i++)
        CHECK_EQ(m->function[i]->id, i + 1);
    for (size_t i = 0; i < m->n_string_table; i++)
        CHECK(strcmp(m->string_table[i], "unseen"));
    sample = m->sample[0];
    CHECK_EQ(sample->n_location_id, 3);
    CHECK_EQ(sample->value[0], 3); /* rows of one stack and thread are one sample */
    CHECK_EQ(sample->value[1], 211);
    CHECK_STR(
        m->string_table
            [m->function[m->location[sample->location_id[0] - 1]->line[0]->function_id -
                         1]
                 ->name],
        "b"); /* leaf first */
    CHECK_EQ(sample->n_label, 4);
    check_label(m, sample->label[0], "pid", "", 7);
    check_label(m, sample->label[1], "tid", "", 7);
    check_label(m, sample->label[2], "thread", "worker 7", 0);
    check_label(m, sample->label[3], "comm", "prog", 0);
    CHECK_EQ(m->default_sample_type, 0);
    CHECK_EQ(m->duration_nanos, 10000000000);
    perftools__profiles__profile__free_unpacked(m, NULL);

    CHECK_EQ(cprof_view_window(p, 1002000000000, 1002500000000, &window, NULL), 0);
    m = message_of(window);
    CHECK_EQ(m->n_sample, 1);
    CHECK_EQ(m->n_location, 3);
    CHECK_EQ(m->time_nanos, 1700000002000000000);
    CHECK_EQ(m->duration_nanos, 500000000);
    perftools__profiles__profile__free_unpacked(m, NULL);
    cprof_profile_unref(window);
    cprof_profile_unref(p);
}

static void test_inlined_frames_are_innermost_first(void)
{
    Perftools__Profiles__Profile *m;
    struct cprof_profile *p;
    const Perftools__Profiles__Location *leaf;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;outer+inner", 1), 0);
    m = message_of(p);
    leaf = m->location[m->sample[0]->location_id[0] - 1];
    CHECK_EQ(leaf->n_line, 2);
    CHECK_STR(m->string_table[m->function[leaf->line[0]->function_id - 1]->name],
              "inner");
    CHECK_STR(m->string_table[m->function[leaf->line[1]->function_id - 1]->name],
              "outer");
    CHECK_EQ(leaf->line[0]->line, 12);
    perftools__profiles__profile__free_unpacked(m, NULL);
    cprof_profile_unref(p);
}

static void test_equal_profiles_are_equal_bytes(void)
{
    struct cprof_profile *p, *q;
    uint8_t *a, *b;
    size_t n_a, n_b;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(profile_sample(&q), 0);
    CHECK_EQ(cprof_pprof_encode(p, false, &a, &n_a, NULL), 0);
    CHECK_EQ(cprof_pprof_encode(q, false, &b, &n_b, NULL), 0);
    CHECK(n_a == n_b && !memcmp(a, b, n_a));
    free(a);
    free(b);
    cprof_profile_unref(p);
    cprof_profile_unref(q);
}

/* More samples, locations and strings than go into one batch of the writer. */
static void test_large_profiles_are_written_whole(void)
{
    struct cprof_profile *p, *back;

    CHECK_EQ(profile_new(&p), 0);
    for (int i = 0; i < 3000; i++) {
        char stack[64];
        snprintf(stack, sizeof(stack), "main;f%d;g%d;libx!h", i % 700, i);
        CHECK_EQ(profile_row(p, i / 300.0, 7 + i % 5, stack, i), 0);
    }
    back = round_trip(p);
    CHECK_EQ(back->n, 3000);
    check_same_sums(p, back);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

/* With times each row is a sample, with a label; they come back from the earliest on. */
static void test_times_are_kept_where_they_are_asked_for(void)
{
    struct cprof_profile *p, *back, *again, *window;
    struct cprof_error err;
    uint8_t *bytes;
    size_t n;

    CHECK_EQ(profile_sample(&p), 0);
    back = round_trip_of(p, true);
    check_same_sums(p, back);
    CHECK(back->run.has_times);
    CHECK_EQ(back->n, p->n);
    CHECK_EQ(back->run.start_unix,
             p->run.start_unix + (int64_t)(p->time[0] - p->run.start_mono));
    for (size_t i = 0; i < p->n; i++)
        CHECK_EQ(back->time[i] - back->run.start_mono, p->time[i] - p->time[0]);
    CHECK_EQ(back->stacks->threads.data[back->thread[0]].n_labels, 0);
    again = round_trip_of(back, true);
    CHECK(!memcmp(again->time, back->time, p->n * sizeof(*p->time)));
    CHECK_EQ(again->run.start_unix, back->run.start_unix);
    CHECK_EQ(cprof_view_window(p, p->time[1], UINT64_MAX, &window, NULL), 0);
    cprof_profile_unref(again);
    again = round_trip_of(window, true);
    check_same_sums(window, again);
    cprof_profile_unref(back);
    back = round_trip(p);
    CHECK_EQ(cprof_pprof_encode(back, true, &bytes, &n, &err), -ENODATA);
    CHECK_STR(err.message, "pprof: this profile has no times");
    cprof_profile_unref(p);
    cprof_profile_unref(back);
    cprof_profile_unref(again);
    cprof_profile_unref(window);
}

static int attempt(void *has_times)
{
    struct cprof_row row = {.how = 1, .n_added = 1, .values = {1, 1}};
    struct cprof_profile *p = NULL, *back;
    uint8_t *bytes;
    size_t n;
    int r = profile_sample(&p);

    if (r < 0)
        return r;
    r = cprof_profile_add_comment(p, "note");
    if (r >= 0)
        r = cprof_stacks_string(p->stacks, "table", &p->run.unwinder);
    if (r >= 0)
        r = cprof_profile_add(p, &row);
    if (r >= 0)
        r = cprof_pprof_encode(p, *(bool *)has_times, &bytes, &n, NULL);
    if (r >= 0) {
        r = cprof_pprof_decode(bytes, n, "x", &back, NULL);
        if (r >= 0)
            cprof_profile_unref(back);
        free(bytes);
    }
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    bool has_times = false;

    CHECK_EQ(sweep(attempt, &has_times), 0);
    has_times = true;
    CHECK_EQ(sweep(attempt, &has_times), 0);
}

int main(void)
{
    RUN(test_what_is_written_reads_back);
    RUN(test_the_file_keeps_the_rules_of_the_format);
    RUN(test_inlined_frames_are_innermost_first);
    RUN(test_equal_profiles_are_equal_bytes);
    RUN(test_large_profiles_are_written_whole);
    RUN(test_times_are_kept_where_they_are_asked_for);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
