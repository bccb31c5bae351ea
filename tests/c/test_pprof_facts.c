/* pprof: what the format has no field for travels in comments and labels. */
#define _GNU_SOURCE
#include "pprof.h"

#include "pprofs.h"

static void test_facts_of_the_recording_come_back(void)
{
    struct cprof_profile *p, *back, *again;
    struct cprof_run *run;

    CHECK_EQ(profile_sample(&p), 0);
    run = &p->run;
    run->rate_asked = 997.5;
    run->period = 1003009;
    run->cpu_time = 123456789012;
    run->n_switches = 17;
    run->n_records_bad = 1;
    run->n_verified = 10;
    run->n_agreed = 9;
    run->n_waited = 8;
    run->n_live_dropped = 7;
    run->stack_bytes = 32768;
    run->is_kernel_excluded = true;
    CHECK_EQ(cprof_stacks_string(p->stacks, "libunwind", &run->unwinder), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "./prog --name 'a: b'\n", &run->command), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "cpu", &run->period_type), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "nanoseconds", &run->period_unit), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "samples", &run->default_type), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "https://example.org", &run->doc_url), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "^drop", &run->drop_frames), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "^keep", &run->keep_frames), 0);
    CHECK_EQ(cprof_vec_push(&p->marks, (struct cprof_mark){.n = 4}), 0);
    CHECK_EQ(cprof_profile_add_comment(p, "cprof.unheard_of: 1"), 0);
    CHECK_EQ(cprof_profile_add_comment(p, "cprof.cpu_time: soon"), 0);
    CHECK_EQ(cprof_profile_add_comment(p, "a note"), 0);
    back = round_trip(p);
    again = round_trip(back);
    run = &again->run;
    CHECK(run->rate_asked == 997.5);
    CHECK_EQ(run->period, 1003009);
    CHECK_EQ(run->cpu_time, 123456789012);
    CHECK_EQ(run->n_switches, 17);
    CHECK_EQ(run->n_records_bad, 1);
    CHECK_EQ(run->n_verified, 10);
    CHECK_EQ(run->n_agreed, 9);
    CHECK_EQ(run->n_waited, 8);
    CHECK_EQ(run->n_live_dropped, 7);
    CHECK_EQ(run->stack_bytes, 32768);
    CHECK(run->is_kernel_excluded);
    CHECK_STR(text(again, run->event), "task-clock");
    CHECK_STR(text(again, run->unwinder), "libunwind");
    CHECK_STR(text(again, run->command), "./prog --name 'a: b'\n");
    CHECK_STR(text(again, run->host), "here");
    CHECK_STR(text(again, run->period_type), "cpu");
    CHECK_STR(text(again, run->period_unit), "nanoseconds");
    CHECK_STR(text(again, run->default_type), "samples");
    CHECK_STR(text(again, run->doc_url), "https://example.org");
    CHECK_STR(text(again, run->drop_frames), "^drop");
    CHECK_STR(text(again, run->keep_frames), "^keep");
    CHECK_EQ(again->marks.n, 1);
    CHECK_EQ(again->marks.data[0].n, 4);
    CHECK_EQ(again->comments.n, 3); /* facts are not doubled as comments */
    CHECK_STR(text(again, again->comments.data[0]), "cprof.unheard_of: 1");
    CHECK_STR(text(again, again->comments.data[1]), "cprof.cpu_time: soon");
    CHECK_STR(text(again, again->comments.data[2]), "a note");
    CHECK_EQ(cprof_profile_default_type(again), 0);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
    cprof_profile_unref(again);
}

static void test_modules_have_the_names_that_the_recorder_gives(void)
{
    static const struct {
        const char *file;
        bool has_functions;
        const char *module;
    } MAPPINGS[] = {
        {"/usr/lib/libz.so.1", true, "libz.so.1"},
        {"//anon", true, "[jit]"}, /* named by a map of its compiler */
        {"//anon", false, "//anon"},
        {"[vdso]", true, "[vdso]"},
        {"/tmp/gone.so (deleted)", true, "gone.so"},
    };

    for (size_t i = 0; i < sizeof(MAPPINGS) / sizeof(MAPPINGS[0]); i++) {
        struct cprof_mapping *mapping;
        struct cprof_profile *p = NULL, *back;
        CHECK_EQ(profile_new(&p), 0);
        CHECK_EQ(profile_row(p, 1, 7, "main", 1), 0);
        mapping = &p->stacks->mappings.data[0];
        mapping->has_functions = MAPPINGS[i].has_functions;
        CHECK_EQ(cprof_stacks_string(p->stacks, MAPPINGS[i].file, &mapping->file), 0);
        back = round_trip(p);
        CHECK_STR(text(back, back->stacks->mappings.data[0].module), MAPPINGS[i].module);
        cprof_profile_unref(p);
        cprof_profile_unref(back);
    }
}

static bool has_comment(const Perftools__Profiles__Profile *m, const char *text)
{
    for (size_t i = 0; i < m->n_comment; i++)
        if (!strcmp(m->string_table[m->comment[i]], text))
            return true;
    return false;
}

static void test_quality_is_told_in_comments_and_kept_in_labels(void)
{
    struct cprof_row row = {
        .how = CPROF_HOW_SPLICED | CPROF_HOW_GUESSED, .n_added = 300, .values = {3, 30}};
    Perftools__Profiles__Profile *m;
    struct cprof_profile *p, *back;
    struct cprof_quality q, q_back;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_stacks_string(p->stacks, "table", &p->run.unwinder), 0);
    row.stack = p->stack[0]; /* of the same stack and thread as rows without */
    row.thread = p->thread[0];
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    m = message_of(p);
    CHECK_EQ(m->n_sample, 7);
    CHECK(has_comment(m, "cprof.samples: 10"));
    CHECK(has_comment(m, "cprof.lost: 5"));
    CHECK(has_comment(m, "cprof.complete: 0.9"));
    CHECK(has_comment(m, "cprof.truncated: 1"));
    CHECK(has_comment(m, "cprof.spliced: 3"));
    CHECK(has_comment(m, "cprof.module: prog: complete 1, samples 7, guessed 3, "
                         "spliced 3"));
    CHECK(has_comment(m, "cprof.module: libx: complete 0.666667, samples 3, truncated 1, "
                         "broke 1"));
    perftools__profiles__profile__free_unpacked(m, NULL);

    back = round_trip(p);
    CHECK_EQ(back->comments.n, 0);
    CHECK_EQ(cprof_profile_quality(p, &q), 0);
    CHECK_EQ(cprof_profile_quality(back, &q_back), 0);
    CHECK(!memcmp(&q, &q_back, sizeof(q)));
    CHECK_EQ(back->how[back->n - 1], row.how);
    CHECK_EQ(back->n_added[back->n - 1], 300);
    CHECK_EQ(back->stacks->threads.data[back->thread[back->n - 1]].n_labels, 0);
    CHECK_EQ(cprof_profile_how(back, 0), 0);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

/* Words, and numbers, that are not ours stay labels. */
static void test_labels_of_others_are_left_alone(void)
{
    static const char *const TEXTS[] = {"guessed,", ",guessed",        "guessed,fallback",
                                        "guesse",   "guessed,guessed", "spliced guessed"};
    struct cprof_profile *p = NULL, *back;
    uint8_t how = 77;

    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct cprof_thread thread = {.pid = 7, .tid = 7};
        struct cprof_label label = {0};
        struct cprof_row row = {.pid = 7, .tid = 7, .values = {1, 1}};
        CHECK(!cprof_how_parse(TEXTS[i], &how));
        CHECK_EQ(profile_new(&p), 0);
        CHECK_EQ(cprof_stacks_string(p->stacks, "unwind", &label.key), 0);
        CHECK_EQ(cprof_stacks_string(p->stacks, TEXTS[i], &label.text), 0);
        CHECK_EQ(cprof_stacks_thread(p->stacks, &thread, &label, 1, &row.thread), 0);
        CHECK_EQ(stack_named(p->stacks, "main", &row.stack), 0);
        CHECK_EQ(cprof_profile_add(p, &row), 0);
        back = round_trip(p);
        CHECK(!back->how);
        CHECK_EQ(back->stacks->threads.data[0].n_labels, 1);
        cprof_profile_unref(p);
        cprof_profile_unref(back);
    }
    CHECK_EQ(how, 77);
}

static void check_rate(const char *comment, double rate)
{
    struct cprof_profile *p, *back;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(cprof_profile_add_comment(p, comment), 0);
    back = round_trip(p);
    CHECK(back->run.rate_asked == rate);
    CHECK_EQ(back->comments.n, rate == 0); /* what is no rate stays a comment */
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void test_rates_are_read_strictly(void)
{
    check_rate("cprof.rate_asked: 99", 99);
    check_rate("cprof.rate_asked: 0.5", 0.5);
    check_rate("cprof.rate_asked: 12345.25", 12345.25);
    check_rate("cprof.rate_asked: 997.000000", 997);
    check_rate("cprof.rate_asked: ", 0);
    check_rate("cprof.rate_asked: .5", 0);
    check_rate("cprof.rate_asked: 5.", 0);
    check_rate("cprof.rate_asked: 1.2.3", 0);
    check_rate("cprof.rate_asked: -1", 0);
    check_rate("cprof.rate_asked: 1e3", 0);
    check_rate("cprof.rate_asked: 99999999999999999999999", 0);
    check_rate("cprof.rate_asked: 0.0000001", 0);
}

int main(void)
{
    RUN(test_facts_of_the_recording_come_back);
    RUN(test_modules_have_the_names_that_the_recorder_gives);
    RUN(test_quality_is_told_in_comments_and_kept_in_labels);
    RUN(test_labels_of_others_are_left_alone);
    RUN(test_rates_are_read_strictly);
    return test_report(__FILE__);
}
