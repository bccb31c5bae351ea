/* pprof: what is written reads back the same; what is read agrees with the totals that
 * `go tool pprof -raw` prints of google/pprof's own sample files (tests/data/pprof). */
#define _GNU_SOURCE
#include "pprof.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "profile.pb-c.h"
#include "profiles.h"
#include "test.h"
#include "view.h"

static const char *text(const struct cprof_profile *p, uint32_t string)
{
    return cprof_stacks_text(p->stacks, string);
}

static struct cprof_profile *round_trip(const struct cprof_profile *p)
{
    struct cprof_profile *ret = NULL;
    struct cprof_error err = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;

    CHECK_EQ(cprof_pprof_encode(p, &bytes, &n, &err), 0);
    CHECK_EQ(cprof_pprof_decode(bytes, n, "x", &ret, &err), 0);
    CHECK_STR(err.message, "");
    free(bytes);
    return ret;
}

/* The message inside a written profile. */
static Perftools__Profiles__Profile *message_of(const struct cprof_profile *p)
{
    static uint8_t plain[1 << 20];
    Perftools__Profiles__Profile *m;
    z_stream z = {0};
    uint8_t *bytes;
    size_t n;

    CHECK_EQ(cprof_pprof_encode(p, &bytes, &n, NULL), 0);
    CHECK(n > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b);
    z.next_in = bytes;
    z.avail_in = (unsigned)n;
    z.next_out = plain;
    z.avail_out = sizeof(plain);
    CHECK_EQ(inflateInit2(&z, 31), Z_OK);
    CHECK_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
    CHECK_EQ(z.avail_in, 0); /* one gzip member and nothing after it */
    m = perftools__profiles__profile__unpack(NULL, z.total_out, plain);
    CHECK(m);
    inflateEnd(&z);
    free(bytes);
    return m;
}

/* Sums by function are equal, in order, name by name. */
static void check_same_sums(const struct cprof_profile *a, const struct cprof_profile *b)
{
    CHECK_EQ(a->n_types, b->n_types);
    for (size_t type = 0; type < a->n_types; type++) {
        struct cprof_frame_sum *in_a, *in_b;
        size_t n_a, n_b;
        CHECK_EQ(cprof_profile_total(a, type), cprof_profile_total(b, type));
        CHECK_EQ(cprof_view_functions(a, type, &in_a, &n_a), 0);
        CHECK_EQ(cprof_view_functions(b, type, &in_b, &n_b), 0);
        CHECK_EQ(n_a, n_b);
        for (size_t i = 0; i < n_a && i < n_b; i++) {
            CHECK_STR(text(a, in_a[i].frame.name), text(b, in_b[i].frame.name));
            CHECK_STR(text(a, in_a[i].frame.module), text(b, in_b[i].frame.module));
            CHECK_EQ(in_a[i].self, in_b[i].self);
            CHECK_EQ(in_a[i].total, in_b[i].total);
        }
        free(in_a);
        free(in_b);
    }
}

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
    CHECK_EQ(cprof_pprof_encode(p, &a, &n_a, NULL), 0);
    CHECK_EQ(cprof_pprof_encode(q, &b, &n_b, NULL), 0);
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

static void check_totals(const char *name, const int64_t *totals, size_t n_rows)
{
    char path[256];
    struct cprof_profile *p, *back;
    struct cprof_error err = {0};

    snprintf(path, sizeof(path), "tests/data/pprof/%s", name);
    CHECK_EQ(cprof_pprof_read(path, &p, &err), 0);
    CHECK_STR(err.message, "");
    CHECK_EQ(p->n, n_rows);
    for (size_t k = 0; k < p->n_types; k++)
        CHECK_EQ(cprof_profile_total(p, k), totals[k]);
    back = round_trip(p);
    check_same_sums(p, back);
    CHECK_EQ(back->run.start_unix, p->run.start_unix);
    CHECK_EQ(back->run.period, p->run.period);
    CHECK(back->to == p->to);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void test_sample_files_of_google_pprof_keep_their_totals(void)
{
    check_totals("go.sample.cpu", (int64_t[]){176, 1760000000}, 76);
    check_totals("cppbench.cpu_no_samples_type", (int64_t[]){7120000000}, 52);
    check_totals("go.nomappings.crash", (int64_t[]){2, 1765955, 2, 1765955}, 2);
}

/* A message made by hand, as a producer other than us would. */
struct made {
    Perftools__Profiles__Profile m;
    Perftools__Profiles__ValueType type, *types[1];
    Perftools__Profiles__Sample sample, *samples[1];
    Perftools__Profiles__Label label[6], *labels[6];
    Perftools__Profiles__Mapping mapping, *mappings[1];
    Perftools__Profiles__Location location[2], *locations[2];
    Perftools__Profiles__Line line, *lines[1];
    Perftools__Profiles__Function function, *functions[1];
    uint64_t ids[2];
    int64_t value, comment;
    char *strings[12];
};

static void make(struct made *t)
{
    static char *const strings[] = {"",
                                    "samples",
                                    "count",
                                    "f",
                                    "_Z1fv",
                                    "tid",
                                    "thread_comm",
                                    "bytes",
                                    "/lib/libz.so (deleted)",
                                    "\xff\xfe",
                                    "pid",
                                    "key"};

    *t = (struct made){.m = PERFTOOLS__PROFILES__PROFILE__INIT,
                       .type = PERFTOOLS__PROFILES__VALUE_TYPE__INIT,
                       .sample = PERFTOOLS__PROFILES__SAMPLE__INIT,
                       .mapping = PERFTOOLS__PROFILES__MAPPING__INIT,
                       .line = PERFTOOLS__PROFILES__LINE__INIT,
                       .function = PERFTOOLS__PROFILES__FUNCTION__INIT,
                       .ids = {900, 77},
                       .value = 5,
                       .comment = 9};
    memcpy(t->strings, strings, sizeof(strings));
    for (int i = 0; i < 6; i++) {
        perftools__profiles__label__init(&t->label[i]);
        t->labels[i] = &t->label[i];
    }
    for (int i = 0; i < 2; i++) {
        perftools__profiles__location__init(&t->location[i]);
        t->location[i].id = t->ids[i];
        t->location[i].mapping_id = 6;
        t->location[i].address = 0x1000 + (uint64_t)i;
        t->locations[i] = &t->location[i];
    }
    t->type.type = 1, t->type.unit = 2;
    t->types[0] = &t->type;
    t->sample.n_location_id = 2, t->sample.location_id = t->ids;
    t->sample.n_value = 1, t->sample.value = &t->value;
    t->samples[0] = &t->sample;
    t->mapping.id = 6, t->mapping.filename = 8;
    t->mappings[0] = &t->mapping;
    t->function.id = 1ull << 60, t->function.name = 3, t->function.system_name = 3;
    t->functions[0] = &t->function;
    t->line.function_id = t->function.id, t->line.line = 3, t->line.column = 9;
    t->lines[0] = &t->line;
    t->location[0].n_line = 1, t->location[0].line = t->lines;
    t->m.n_sample_type = 1, t->m.sample_type = t->types;
    t->m.n_sample = 1, t->m.sample = t->samples;
    t->m.n_mapping = 1, t->m.mapping = t->mappings;
    t->m.n_location = 2, t->m.location = t->locations;
    t->m.n_function = 1, t->m.function = t->functions;
    t->m.n_string_table = 12, t->m.string_table = t->strings;
    t->m.n_comment = 1, t->m.comment = &t->comment;
}

static int decode(const struct made *t, struct cprof_profile **ret,
                  struct cprof_error *err)
{
    static uint8_t bytes[1 << 16];
    size_t n = perftools__profiles__profile__pack(&t->m, bytes);

    return cprof_pprof_decode(bytes, n, "made", ret, err);
}

static void test_other_producers_files(void)
{
    struct cprof_profile *p, *back;
    struct cprof_error err;
    struct made t;

    make(&t);
    t.sample.n_label = 6, t.sample.label = t.labels;
    t.label[0].key = 10, t.label[0].num = 41;                          /* pid, no unit */
    t.label[1].key = 5, t.label[1].num = 42;                           /* tid */
    t.label[2].key = 6, t.label[2].str = 3;                            /* thread_comm */
    t.label[3].key = 7, t.label[3].num = 512, t.label[3].num_unit = 7; /* bytes */
    t.label[4].key = 11, t.label[4].str = 9;                           /* not UTF-8 */
    t.label[5].key = 5, t.label[5].num = 43;                           /* a second tid */
    CHECK_EQ(decode(&t, &p, &err), 0);
    CHECK_EQ(p->pid[0], 41);
    CHECK_EQ(p->tid[0], 42);
    CHECK_EQ(p->cpu[0], -1);
    CHECK_STR(text(p, p->stacks->threads.data[0].name), "f");
    CHECK_EQ(p->stacks->threads.data[0].n_labels, 3);
    CHECK_EQ(p->stacks->labels.data[0].number, 512);
    CHECK_STR(text(p, p->stacks->labels.data[1].text), "\xff\xfe");
    CHECK_STR(text(p, p->stacks->mappings.data[0].module), "libz.so");
    CHECK_STR(text(p, p->comments.data[0]), "\xff\xfe");
    CHECK_EQ(p->stacks->locations.data[CPROF_N_PSEUDO].address, 0x1000);
    CHECK_EQ(p->stacks->lines.data[p->stacks->lines.n - 1].column, 9);
    back = round_trip(p);
    check_same_sums(p, back);
    CHECK_EQ(back->stacks->threads.data[0].n_labels, 3);
    CHECK_EQ(back->stacks->lines.data[back->stacks->lines.n - 1].column, 9);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void test_a_mangled_name_alone_is_demangled(void)
{
    struct cprof_profile *p;
    struct cprof_error err;
    struct made t;
    uint32_t leaf;

    make(&t);
    t.function.name = 0;
    t.function.system_name = 4;
    CHECK_EQ(decode(&t, &p, &err), 0);
    leaf = cprof_stacks_leaf_function(p->stacks, p->stack[0]);
    CHECK_STR(text(p, p->stacks->functions.data[leaf].name), "f()");
    CHECK_STR(text(p, p->stacks->functions.data[leaf].system_name), "_Z1fv");
    cprof_profile_unref(p);
}

static void test_samples_without_locations_keep_the_totals(void)
{
    struct cprof_profile *p, *back;
    struct cprof_error err;
    struct made t;

    make(&t);
    t.sample.n_location_id = 0;
    CHECK_EQ(decode(&t, &p, &err), 0);
    back = round_trip(p);
    CHECK_EQ(cprof_profile_total(back, 0), 5);
    CHECK_EQ(cprof_stacks_pseudo_of(back->stacks,
                                    back->stacks->nodes.data[back->stack[0]].location),
             CPROF_PSEUDO_NO_STACK);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void test_no_samples_is_a_profile_too(void)
{
    struct cprof_profile *p, *back;
    struct cprof_error err;
    struct made t;

    make(&t);
    t.m.n_sample = 0;
    CHECK_EQ(decode(&t, &p, &err), 0);
    CHECK_EQ(p->n, 0);
    back = round_trip(p);
    CHECK_EQ(back->n, 0);
    cprof_profile_unref(p);
    cprof_profile_unref(back);
}

static void check_refused(struct made *t, const char *why)
{
    struct cprof_profile *p;
    struct cprof_error err = {0};

    CHECK_EQ(decode(t, &p, &err), -EBADMSG);
    CHECK_EQ(err.code, -EBADMSG);
    CHECK(!strncmp(err.message, "pprof: made: ", 13));
    if (!strstr(err.message, why))
        CHECK_STR(err.message, why);
    make(t);
}

static void test_references_that_lead_nowhere_are_refused_by_name(void)
{
    struct made t;

    make(&t);
    t.ids[1] = 78;
    check_refused(&t, "sample 1 refers to location 78, which does not exist");
    t.location[0].mapping_id = 7;
    check_refused(&t, "location 900 refers to mapping 7, which does not exist");
    t.line.function_id = 2;
    check_refused(&t, "location 900 refers to function 2, which does not exist");
    t.function.name = 12;
    check_refused(&t, "refers to string 12, but there are only 12 strings");
    t.function.filename = -1;
    check_refused(&t, "refers to string -1");
    t.type.unit = INT64_MAX;
    check_refused(&t, "refers to string 9223372036854775807");
    t.location[1].id = 900;
    check_refused(&t, "two locations have the id 900");
    t.location[1].id = 0;
    check_refused(&t, "a location has the reserved id 0");
    t.mapping.id = 0;
    check_refused(&t, "a mapping has the reserved id 0");
    t.function.id = 0;
    check_refused(&t, "a function has the reserved id 0");
    t.sample.n_value = 0;
    check_refused(&t, "sample 1 has 0 values for 1 sample types");
    t.m.n_sample_type = 0;
    check_refused(&t, "has no sample types");
    t.strings[0] = "x";
    check_refused(&t, "string 0 is not empty");
    t.m.n_string_table = 0;
    check_refused(&t, "is not a pprof profile");
    t.comment = 99;
    check_refused(&t, "refers to string 99");
}

static void check_bytes(const void *bytes, size_t n, const char *why)
{
    struct cprof_profile *p;
    struct cprof_error err = {0};

    CHECK_EQ(cprof_pprof_decode(bytes, n, "x", &p, &err), -EBADMSG);
    if (!strstr(err.message, why))
        CHECK_STR(err.message, why);
}

static void test_bytes_that_are_no_profile(void)
{
    static const char java[] = "\0\0\0\0\3\0\0\0\1\0\0\0";

    check_bytes(NULL, 0, "is empty");
    check_bytes("\x1f\x8b", 2, "ends too early");
    check_bytes("hello, world", 12, "is not a pprof profile");
    check_bytes("--- heapz 1 ---\n", 16, "legacy format");
    check_bytes("heap profile: 1: 2 [3: 4] @ heap/1\n", 35, "go tool pprof -proto");
    check_bytes(java, sizeof(java), "legacy format");
}

/* Every cut and every flipped bit of a written file is refused or read, never a crash. */
static void test_damaged_files(void)
{
    struct cprof_profile *p, *back;
    uint8_t *bytes, *copy;
    size_t n;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_pprof_encode(p, &bytes, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(cprof_pprof_decode(bytes, i, "x", &back, NULL), -EBADMSG);
    copy = malloc(2 * n);
    memcpy(copy, bytes, n);
    memcpy(copy + n, bytes, n);
    check_bytes(copy, 2 * n, "after the end of its gzip data");
    for (size_t i = 10; i < n; i++) { /* past the header, a checksum guards the content */
        int r;
        copy[i] ^= 4;
        r = cprof_pprof_decode(copy, n, "x", &back, NULL);
        CHECK(r == 0 || r == -EBADMSG);
        if (r == 0) { /* a bit that says nothing */
            check_same_sums(p, back);
            cprof_profile_unref(back);
        }
        copy[i] ^= 4;
    }
    free(copy);
    free(bytes);
    cprof_profile_unref(p);
}

/* 600 MiB of zeros in less than one: refused for its size, not for lack of memory. */
static void test_a_bomb_is_refused(void)
{
    static uint8_t zeros[1 << 20];
    uint8_t *bytes = malloc(4 << 20);
    z_stream z = {0};

    CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = bytes;
    z.avail_out = 4 << 20;
    for (int i = 0; i < 600; i++) {
        z.next_in = zeros;
        z.avail_in = sizeof(zeros);
        CHECK_EQ(deflate(&z, i < 599 ? Z_NO_FLUSH : Z_FINISH),
                 i < 599 ? Z_OK : Z_STREAM_END);
    }
    check_bytes(bytes, z.total_out, "inflates to more than 512 MiB");
    deflateEnd(&z);
    free(bytes);
}

static void test_messages_name_the_end_of_a_long_path(void)
{
    char name[3000];
    struct cprof_profile *p;
    struct cprof_error err;

    memset(name, 'd', sizeof(name));
    strcpy(name + sizeof(name) - 8, "/cpu.pb");
    CHECK_EQ(cprof_pprof_decode("", 0, name, &p, &err), -EBADMSG);
    CHECK(strstr(err.message, "d/cpu.pb: is empty"));
}

static int attempt(void *unused)
{
    struct cprof_row row = {.how = 1, .n_added = 1, .values = {1, 1}};
    struct cprof_profile *p = NULL, *back;
    uint8_t *bytes;
    size_t n;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    r = cprof_profile_add_comment(p, "note");
    if (r >= 0)
        r = cprof_stacks_string(p->stacks, "table", &p->run.unwinder);
    if (r >= 0)
        r = cprof_profile_add(p, &row);
    if (r >= 0)
        r = cprof_pprof_encode(p, &bytes, &n, NULL);
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
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_what_is_written_reads_back);
    RUN(test_facts_of_the_recording_come_back);
    RUN(test_modules_have_the_names_that_the_recorder_gives);
    RUN(test_quality_is_told_in_comments_and_kept_in_labels);
    RUN(test_labels_of_others_are_left_alone);
    RUN(test_rates_are_read_strictly);
    RUN(test_the_file_keeps_the_rules_of_the_format);
    RUN(test_inlined_frames_are_innermost_first);
    RUN(test_equal_profiles_are_equal_bytes);
    RUN(test_large_profiles_are_written_whole);
    RUN(test_sample_files_of_google_pprof_keep_their_totals);
    RUN(test_other_producers_files);
    RUN(test_a_mangled_name_alone_is_demangled);
    RUN(test_samples_without_locations_keep_the_totals);
    RUN(test_no_samples_is_a_profile_too);
    RUN(test_references_that_lead_nowhere_are_refused_by_name);
    RUN(test_bytes_that_are_no_profile);
    RUN(test_damaged_files);
    RUN(test_a_bomb_is_refused);
    RUN(test_messages_name_the_end_of_a_long_path);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
