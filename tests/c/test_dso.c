/* dso: files behind mappings, on copies of this very program. */
#define _GNU_SOURCE
#include "dso.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/cprof-dso-XXXXXX", copy[64], exe[4096];

static void make_copy(void)
{
    char command[8192];

    snprintf(command, sizeof(command), "cp '%s' '%s'", exe, copy);
    CHECK_EQ(system(command), 0);
}

static struct cprof_mmap mmap_of(const char *file)
{
    struct cprof_mmap mmap = {.start = 0x1000, .length = 0x1000, .file = file};
    struct stat st;

    if (stat(file, &st) == 0) {
        mmap.inode = st.st_ino;
        mmap.major = major(st.st_dev);
        mmap.minor = minor(st.st_dev);
    }
    return mmap;
}

static struct cprof_dso *get(struct cprof_dsos *dsos, const struct cprof_mmap *mmap)
{
    struct cprof_dso *dso = NULL;

    CHECK_EQ(cprof_dsos_get(dsos, getpid(), mmap, &dso), 0);
    return dso;
}

static void test_a_file_is_opened_once(void)
{
    struct cprof_dsos dsos = {0};
    struct cprof_mmap mmap = mmap_of(copy), by_id = {.start = 0x1000, .length = 0x1000};
    struct cprof_dso *dso = get(&dsos, &mmap);

    CHECK(dso && dso->elf && dso->kind == CPROF_DSO_FILE);
    CHECK_STR(dso->path, copy);
    CHECK_STR(dso->root, "");
    CHECK(dso->has_unwind && dso->high > dso->low);
    CHECK(get(&dsos, &mmap) == dso);
    by_id.file = copy; /* the same file, told of by a record with its build id */
    by_id.build_id_n = 20;
    CHECK(dso->build_id_n >= 20);
    memcpy(by_id.build_id, dso->build_id, 20);
    CHECK(get(&dsos, &by_id) == dso);
    CHECK(get(&dsos, &by_id) == dso);
    CHECK_EQ(dsos.all.n, 1);
    cprof_dsos_deinit(&dsos);
}

/* Another file under the path: not what was mapped, so it is not read. */
static void test_a_replaced_file_is_not_taken_for_the_old_one(void)
{
    struct cprof_dsos dsos = {0};
    struct cprof_mmap mmap = mmap_of(copy), by_id = {.start = 0x1000, .length = 0x1000};
    struct cprof_dso *dso;

    mmap.inode++;
    dso = get(&dsos, &mmap);
    CHECK(dso && !dso->elf);
    by_id.file = copy;
    by_id.build_id_n = 20;
    memset(by_id.build_id, 0x5a, 20);
    dso = get(&dsos, &by_id);
    CHECK(dso && !dso->elf);
    CHECK_EQ(dso->build_id_n, 20);
    CHECK_EQ(dso->build_id[7], 0x5a); /* the record's word is kept: debug files have it */
    cprof_dsos_deinit(&dsos);
}

/* Overlay and btrfs files have one device in maps and another in stat(2). */
static void test_another_device_is_no_reason_to_refuse(void)
{
    struct cprof_dsos dsos = {0};
    struct cprof_mmap mmap = mmap_of(copy);
    struct cprof_dso *dso;

    mmap.minor++;
    mmap.inode++;
    dso = get(&dsos, &mmap);
    CHECK(dso && dso->elf);
    cprof_dsos_deinit(&dsos);
}

static void test_deleted_and_missing_files(void)
{
    struct cprof_dsos dsos = {0};
    char deleted[128];
    struct cprof_mmap mmap = mmap_of(copy), gone = mmap_of("/no/such/file");
    struct cprof_dso *dso;

    snprintf(deleted, sizeof(deleted), "%s (deleted)", copy);
    mmap.file = deleted;
    dso = get(&dsos, &mmap);
    CHECK(dso && dso->elf);
    CHECK_STR(dso->path, copy);
    gone.inode = 5;
    dso = get(&dsos, &gone);
    CHECK(dso && !dso->elf && !dso->has_unwind);
    CHECK_STR(dso->path, "/no/such/file");
    cprof_dsos_deinit(&dsos);
}

static void test_what_is_no_file(void)
{
    static const char *const anonymous[] = {
        "", "//anon", "[heap]", "[stack]", "/memfd:jit", "/SYSV00000000", "/dev/zero"};
    struct cprof_dsos dsos = {0};
    struct cprof_mmap vdso = {.file = "[vdso]", .start = 1, .length = 1};
    struct cprof_dso *first = NULL, *dso, *kernel, *again;

    for (size_t i = 0; i < sizeof(anonymous) / sizeof(anonymous[0]); i++) {
        struct cprof_mmap mmap = {.file = anonymous[i], .start = 1, .length = 1};
        dso = get(&dsos, &mmap);
        CHECK(dso && dso->kind == CPROF_DSO_ANON && !dso->elf);
        CHECK(!first || dso == first); /* one for the process */
        first = dso;
    }
    dso = get(&dsos, &vdso);
    CHECK(dso && dso->kind == CPROF_DSO_VDSO);
    CHECK(dso && dso->elf && dso->has_unwind);
    CHECK_EQ(cprof_dsos_kernel(&dsos, &kernel), 0);
    CHECK_EQ(cprof_dsos_kernel(&dsos, &again), 0);
    CHECK(kernel == again && kernel->kind == CPROF_DSO_KERNEL);
    cprof_dsos_deinit(&dsos);
}

static int attempt(void *arg)
{
    struct cprof_dsos dsos = {0};
    struct cprof_mmap mmap = mmap_of(copy);
    struct cprof_dso *dso;
    int r = cprof_dsos_get(&dsos, getpid(), &mmap, &dso);

    (void)arg;
    if (r == 0)
        r = cprof_dsos_kernel(&dsos, &dso);
    cprof_dsos_deinit(&dsos);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n <= 0 || !mkdtemp(folder))
        return 1;
    snprintf(copy, sizeof(copy), "%s/program", folder);
    make_copy();
    RUN(test_a_file_is_opened_once);
    RUN(test_a_replaced_file_is_not_taken_for_the_old_one);
    RUN(test_another_device_is_no_reason_to_refuse);
    RUN(test_deleted_and_missing_files);
    RUN(test_what_is_no_file);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    unlink(copy);
    rmdir(folder);
    return test_report(__FILE__);
}
