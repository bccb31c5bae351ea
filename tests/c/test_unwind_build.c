/* unwind_build: small tables at once, large ones by the thread, the same in both ways.
 * The large file is the compiler that builds this. */
#include "unwind_build.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"
#include "unwind_rows.h"

static struct cprof_dsos dsos;
static char large[CPROF_FILENAME_MAX];

static struct cprof_dso *dso_of(const char *path)
{
    struct cprof_mmap m = {.start = 0x10000, .length = 0x1000, .file = path};
    struct cprof_dso *dso = NULL;

    CHECK_EQ(cprof_dsos_get(&dsos, getpid(), &m, &dso), 0);
    dso->rows = NULL;
    dso->rows_state = CPROF_ROWS_UNASKED;
    return dso;
}

static bool find_large(void)
{
    FILE *pipe = popen("${CC:-gcc} -print-prog-name=cc1", "r");
    bool is_found =
        pipe && fgets(large, sizeof(large), pipe) && strchr(large, '/') != NULL;

    large[strcspn(large, "\n")] = '\0';
    if (pipe)
        pclose(pipe);
    return is_found;
}

static void test_small_ones_are_made_at_once(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct cprof_dso *self = dso_of("/proc/self/exe"), *none = dso_of("//anon");
    struct cprof_unwind_builder *b;

    CHECK_EQ(cprof_unwind_builder_create(fd, false, &b), 0);
    CHECK(cprof_unwind_builder_want(b, self));
    CHECK_EQ(self->rows_state, CPROF_ROWS_SETTLED);
    CHECK(self->rows != NULL);
    CHECK(cprof_unwind_builder_want(b, none));
    CHECK_EQ(none->rows_state, CPROF_ROWS_SETTLED);
    CHECK(none->rows == NULL);
    cprof_unwind_builder_destroy(b);
    close(fd);
}

static void test_a_large_one_takes_its_time(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct cprof_dso *dso = dso_of(large), *other = dso_of("/proc/self/exe");
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    struct cprof_unwind_builder *b, *at_once;
    const struct cprof_unwind_row *made, *same;
    size_t n, n_same;
    uint64_t base;

    CHECK_EQ(cprof_unwind_builder_create(fd, false, &b), 0);
    CHECK(!cprof_unwind_builder_want(b, dso));
    CHECK_EQ(dso->rows_state, CPROF_ROWS_AWAITED);
    CHECK(dso->rows == NULL);
    CHECK_EQ(poll(&polled, 1, 60000), 1);
    CHECK(cprof_unwind_builder_want(b, dso));
    CHECK(dso->rows != NULL);
    CHECK(cprof_unwind_builder_want(b, other));
    made = cprof_unwind_rows_data(dso->rows, &n, &base);
    CHECK_EQ(cprof_unwind_builder_create(-1, false, &at_once), 0);
    dso->rows_state = CPROF_ROWS_UNASKED;
    CHECK(cprof_unwind_builder_want(at_once, dso));
    same = cprof_unwind_rows_data(dso->rows, &n_same, &base);
    CHECK_EQ(n, n_same);
    CHECK(n > 20000 && !memcmp(made, same, n * sizeof(*made)));
    cprof_unwind_builder_destroy(at_once);
    cprof_unwind_builder_destroy(b);
    close(fd);
}

static void test_waiting_and_leaving(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct cprof_dso *dso = dso_of(large);
    struct cprof_unwind_builder *b;

    CHECK_EQ(cprof_unwind_builder_create(fd, false, &b), 0);
    cprof_unwind_builder_wait(b); /* for nothing */
    CHECK(!cprof_unwind_builder_want(b, dso));
    cprof_unwind_builder_wait(b);
    CHECK_EQ(dso->rows_state, CPROF_ROWS_SETTLED);
    CHECK(dso->rows != NULL);
    dso->rows_state = CPROF_ROWS_UNASKED;
    CHECK(!cprof_unwind_builder_want(b, dso));
    cprof_unwind_builder_destroy(b); /* while it is being made */
    cprof_unwind_builder_destroy(NULL);
    close(fd);
}

static int make(void *arg)
{
    struct cprof_dso *dso = arg;
    struct cprof_unwind_builder *b;
    bool has_rows;
    int r = cprof_unwind_builder_create(-1, false, &b);

    if (r < 0)
        return r;
    dso->rows_state = CPROF_ROWS_UNASKED;
    dso->rows = NULL;
    CHECK(cprof_unwind_builder_want(b, dso)); /* without rows where memory failed */
    has_rows = dso->rows != NULL;
    cprof_unwind_builder_destroy(b);
    return has_rows ? 0 : -ENOMEM;
}

static void test_no_memory_is_no_table(void)
{
    CHECK_EQ(sweep(make, dso_of("/proc/self/exe")), 0);
}

int main(void)
{
    RUN(test_small_ones_are_made_at_once);
    if (find_large()) {
        RUN(test_a_large_one_takes_its_time);
        RUN(test_waiting_and_leaving);
    } else {
        SKIP("the compiler's own program was not found");
    }
    RUN(test_no_memory_is_no_table);
    cprof_dsos_deinit(&dsos);
    return test_report(__FILE__);
}
