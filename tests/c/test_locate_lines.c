/* locate_lines: our own code stands for a target's; the truth is where the compiler says
 * (__LINE__) that a function stands, and what is inlined in it. */
#include "locate.h"

#include <errno.h>
#include <unistd.h>

#include "test.h"

static volatile int sink;

static inline __attribute__((always_inline)) void inlined(int x)
{
    for (int i = 0; i < x; i++)
        sink += i * x; /* inlined_line */
}
enum { INLINED_LINE = __LINE__ - 2 };

__attribute__((noipa)) static void marked(int x)
{
    inlined(x);
}
enum { FIRST_LINE = __LINE__ - 4, CALL_LINE = __LINE__ - 2, LAST_LINE = __LINE__ - 1 };

/* Locations of every byte of marked(). */
struct fixture {
    struct cprof_stacks *stacks;
    struct cprof_processes processes;
    struct cprof_locator locator;
    struct cprof_profile *profile;
};

static int add_row(struct fixture *f, uint32_t location)
{
    struct cprof_thread thread = {.pid = 1, .tid = 1};
    struct cprof_row row = {.pid = 1, .tid = 1, .values = {1}};
    int r = cprof_stacks_thread(f->stacks, &thread, NULL, 0, &row.thread);

    if (r == 0)
        r = cprof_stacks_intern(f->stacks, &location, 1, &row.stack);
    return r < 0 ? r : cprof_profile_add(f->profile, &row);
}

static int fixture_init(struct fixture *f)
{
    uint64_t address = (uint64_t)(uintptr_t)&marked;
    struct cprof_process *self;
    uint32_t location;
    int r;

    memset(f, 0, sizeof(*f));
    r = cprof_stacks_create(&f->stacks);
    if (r < 0)
        return r;
    f->processes.unwind = &cprof_unwind_fp;
    f->processes.stacks = f->stacks;
    r = cprof_locator_init(&f->locator, f->stacks, &f->processes.dsos);
    if (r == 0)
        r = cprof_profile_create(f->stacks, &f->profile);
    if (r == 0)
        r = cprof_profile_add_type(f->profile, "samples", "count");
    if (r == 0)
        r = cprof_processes_get(&f->processes, getpid(), &self);
    for (unsigned i = 0; i < 8 && r == 0; i++) {
        r = cprof_locate_user(&f->locator, self, address + i, &location);
        if (r == 0)
            r = add_row(f, location);
    }
    return r;
}

static void fixture_deinit(struct fixture *f)
{
    cprof_locator_deinit(&f->locator);
    cprof_processes_deinit(&f->processes);
    cprof_profile_unref(f->profile);
    cprof_stacks_unref(f->stacks);
}

/* Every location of marked() has lines that lie in it; how many have an inlined call. */
static size_t check_lines(const struct cprof_stacks *s)
{
    size_t n_inlined = 0;

    for (size_t i = CPROF_N_PSEUDO; i < s->locations.n; i++) {
        const struct cprof_location *location = &s->locations.data[i];
        const struct cprof_line *lines = &s->lines.data[location->first_line];
        const struct cprof_line *last = &lines[location->n_lines - 1];
        const struct cprof_function *real = &s->functions.data[last->function];
        const char *file = cprof_stacks_text(s, real->filename);
        CHECK_STR(cprof_stacks_text(s, real->name), "marked");
        CHECK(strstr(file, "tests/c/test_locate_lines.c") && file[0] == '/');
        CHECK(last->line >= FIRST_LINE && last->line <= LAST_LINE);
        CHECK_EQ(real->start_line, FIRST_LINE);
        CHECK(s->mappings.data[location->mapping].has_line_numbers);
        CHECK(s->mappings.data[location->mapping].has_inline_frames);
        if (location->n_lines == 1)
            continue;
        CHECK_EQ(location->n_lines, 2);
        CHECK_EQ(last->line, CALL_LINE);
        CHECK_STR(cprof_stacks_text(s, s->functions.data[lines[0].function].name),
                  "inlined");
        CHECK(lines[0].line >= INLINED_LINE - 3 && lines[0].line <= INLINED_LINE);
        n_inlined++;
    }
    return n_inlined;
}

static void test_lines_at_once(void)
{
    struct fixture f;

    CHECK_EQ(fixture_init(&f), 0);
    f.locator.wants_lines = true;
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    CHECK(check_lines(f.stacks) > 0);
    CHECK_EQ(f.locator.liner.n_refused, 0);
    fixture_deinit(&f);
}

static void test_none_where_there_are_too_many(void)
{
    struct fixture f;

    CHECK_EQ(fixture_init(&f), 0);
    f.locator.wants_lines = true;
    f.locator.liner.most = 16;
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    for (size_t i = CPROF_N_PSEUDO; i < f.stacks->locations.n; i++)
        CHECK_EQ(f.stacks->lines.data[f.stacks->locations.data[i].first_line].line, 0);
    fixture_deinit(&f);
}

/* What was handed out never changes: lines come with tables of their own. */
static void test_lines_of_a_finished_profile(void)
{
    struct cprof_profile *lined, *again;
    struct fixture f;
    uint32_t same;

    CHECK_EQ(fixture_init(&f), 0);
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    CHECK_EQ(cprof_profile_with_lines(f.profile, false, &lined, NULL), 0);
    CHECK(lined != f.profile && lined->stacks != f.stacks);
    CHECK(check_lines(lined->stacks) > 0);
    for (size_t i = CPROF_N_PSEUDO; i < f.stacks->locations.n; i++) {
        CHECK_EQ(f.stacks->locations.data[i].n_lines, 1);
        CHECK_EQ(f.stacks->lines.data[f.stacks->locations.data[i].first_line].line, 0);
    }
    for (size_t i = 0; i < f.profile->n; i++)
        CHECK_EQ(lined->stack[i], f.profile->stack[i]);
    CHECK_EQ(cprof_stacks_string(lined->stacks, "marked", &same), 0);
    CHECK(same < f.stacks->strings.n); /* known text keeps its number */
    CHECK_EQ(cprof_profile_with_lines(lined, false, &again, NULL), 0);
    CHECK(again == lined); /* nothing lacks lines */
    cprof_profile_unref(again);
    cprof_profile_unref(lined);
    fixture_deinit(&f);
}

/* As after loading: the file is opened again, if it has the build id. */
static void test_files_that_are_opened_again(void)
{
    struct cprof_profile *lined;
    struct cprof_mapping *mapping;
    struct fixture f;

    CHECK_EQ(fixture_init(&f), 0);
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    mapping = &f.stacks->mappings.data[f.stacks->locations.data[CPROF_N_PSEUDO].mapping];
    cprof_elf_unref(mapping->elf);
    mapping->elf = NULL;
    CHECK_EQ(cprof_profile_with_lines(f.profile, false, &lined, NULL), 0);
    CHECK(check_lines(lined->stacks) > 0);
    cprof_profile_unref(lined);
    CHECK_EQ(cprof_stacks_string(f.stacks, "00112233", &mapping->build_id), 0);
    CHECK_EQ(cprof_profile_with_lines(f.profile, false, &lined, NULL), 0);
    CHECK(lined == f.profile); /* another file by now */
    cprof_profile_unref(lined);
    fixture_deinit(&f);
}

static int attempt(void *arg)
{
    struct cprof_profile *lined;
    struct fixture f;
    int r = fixture_init(&f);

    (void)arg;
    if (r == 0)
        r = cprof_locator_name_all(&f.locator);
    if (r == 0)
        r = cprof_profile_with_lines(f.profile, false, &lined, NULL);
    if (r == 0)
        cprof_profile_unref(lined);
    fixture_deinit(&f);
    return r;
}

static void test_out_of_memory(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    marked(3);
    RUN(test_lines_at_once);
    RUN(test_none_where_there_are_too_many);
    RUN(test_lines_of_a_finished_profile);
    RUN(test_files_that_are_opened_again);
    RUN(test_out_of_memory);
    return test_report(__FILE__);
}
