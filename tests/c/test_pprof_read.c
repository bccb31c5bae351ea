/* pprof, reading: the totals that `go tool pprof -raw` prints of google/pprof's own
 * sample files (tests/data/pprof), files of other producers, and bytes that are no
 * profile. */
#define _GNU_SOURCE
#include "pprof.h"

#include <errno.h>

#include "pprofs.h"

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
    struct cprof_profile *p = NULL, *back;
    uint8_t *bytes, *copy;
    size_t n;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_pprof_encode(p, false, &bytes, &n, NULL), 0);
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

int main(void)
{
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
    return test_report(__FILE__);
}
