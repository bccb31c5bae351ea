/* dso: which file is behind a mapping. The truth: files that the test made itself, copies
 * of two programs that are known to differ. */
#define _GNU_SOURCE
#include "dso.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"
#include "test.h"

static char dir[] = "/tmp/cprof-test-dso-XXXXXX";
static char library[64], other[64];

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    char bytes[65536];
    ssize_t n;

    CHECK(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        CHECK_EQ(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

/* What the kernel would say of a mapping of `path`, by device and inode. */
static struct cprof_mmap mapping_of(const char *path)
{
    struct cprof_mmap m = {.length = 4096, .protection = 5, .file = path};
    struct stat st = {0};

    CHECK_EQ(stat(path, &st), 0);
    m.major = major(st.st_dev);
    m.minor = minor(st.st_dev);
    m.inode = st.st_ino;
    return m;
}

static struct cprof_mmap by_build_id(const char *path, const uint8_t *id, size_t n)
{
    struct cprof_mmap m = {.length = 4096, .protection = 5, .file = path};

    m.build_id_n = (uint8_t)n;
    memcpy(m.build_id, id, n);
    return m;
}

static struct cprof_dso *get(struct cprof_dsos *dsos, pid_t pid,
                             const struct cprof_mmap *m)
{
    struct cprof_dso *dso = NULL;

    CHECK_EQ(cprof_dsos_get(dsos, pid, m, &dso), 0);
    return dso;
}

static void test_a_file_is_opened_once(void)
{
    struct cprof_mmap m = mapping_of(library), n = mapping_of(other);
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso = get(&dsos, getpid(), &m);

    CHECK_EQ(dso->kind, CPROF_DSO_FILE);
    CHECK_STR(dso->path, library);
    CHECK_STR(dso->root, "");
    CHECK(dso->elf && dso->has_unwind);
    CHECK(dso->build_id_n == 20 && dso->low < dso->entry && dso->entry < dso->high);
    CHECK(get(&dsos, getpid(), &m) == dso);
    CHECK(get(&dsos, 1, &m) == dso); /* whoever maps it */
    CHECK(get(&dsos, getpid(), &n) != dso);
    CHECK_EQ(dsos.all.n, 2);
    cprof_dsos_deinit(&dsos);
}

/* Known by inode from /proc and by build id from a record: one file. */
static void test_twins_are_one(void)
{
    struct cprof_mmap m = mapping_of(library), record;
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso = get(&dsos, getpid(), &m);

    record = by_build_id(library, dso->build_id, 20);
    CHECK(get(&dsos, getpid(), &record) == dso);
    CHECK(get(&dsos, getpid(), &record) == dso);
    CHECK_EQ(dsos.all.n, 1);
    cprof_dsos_deinit(&dsos);
}

static void test_another_build_id_is_another_file(void)
{
    uint8_t id[20] = {1, 2, 3};
    struct cprof_mmap m = by_build_id(library, id, 20);
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso = get(&dsos, getpid(), &m);

    CHECK(dso->elf == NULL && !dso->has_unwind);
    CHECK(dso->build_id_n == 20 && !memcmp(dso->build_id, id, 20));
    CHECK(get(&dsos, getpid(), &m) == dso);
    cprof_dsos_deinit(&dsos);
}

/* The same device tells inodes apart; overlay and btrfs report other devices. */
static void test_inodes_count_on_one_device(void)
{
    struct cprof_mmap m = mapping_of(library);
    struct cprof_dsos dsos = {0};

    m.inode += 1000000;
    CHECK(get(&dsos, getpid(), &m)->elf == NULL);
    m.major += 77;
    m.inode++; /* unknown until now */
    CHECK(get(&dsos, getpid(), &m)->elf != NULL);
    cprof_dsos_deinit(&dsos);
}

/* A file replaced since: what lies under its name now is not it, whatever the device. */
static void test_a_replaced_file_is_not_mistaken(void)
{
    char replaced[80], deleted[96];
    struct cprof_mmap m;
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso;

    snprintf(replaced, sizeof(replaced), "%s/replaced", dir);
    snprintf(deleted, sizeof(deleted), "%s (deleted)", replaced);
    copy_file(other, replaced);
    m = mapping_of(replaced);
    m.inode += 1000000;
    m.major += 77;
    m.file = deleted;
    dso = get(&dsos, getpid(), &m);
    CHECK(dso->elf == NULL);
    CHECK_STR(dso->path, replaced);
    unlink(replaced);
    cprof_dsos_deinit(&dsos);
}

/* Mapped, then deleted: the kernel's own link still leads to it. */
static void test_a_deleted_file_by_its_mapping(void)
{
    char path[80], deleted[96], link[96];
    struct cprof_dsos dsos = {0};
    struct cprof_mmap m;
    struct cprof_dso *dso;
    int fd;
    void *at;

    snprintf(path, sizeof(path), "%s/gone", dir);
    snprintf(deleted, sizeof(deleted), "%s (deleted)", path);
    copy_file(library, path);
    m = mapping_of(path);
    fd = open(path, O_RDONLY);
    at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    close(fd);
    unlink(path);
    m.start = (uint64_t)(uintptr_t)at;
    m.file = deleted;
    snprintf(link, sizeof(link), "/proc/self/map_files/%llx-%llx",
             (unsigned long long)m.start, (unsigned long long)m.start + 4096);
    fd = open(link, O_RDONLY);
    dso = get(&dsos, getpid(), &m);
    CHECK_STR(dso->path, path);
    if (fd < 0)
        SKIP("/proc/PID/map_files cannot be read");
    else
        CHECK(dso->elf && dso->build_id_n == 20);
    close(fd);
    munmap(at, 4096);
    cprof_dsos_deinit(&dsos);
}

/* The first process to map it was gone already, and its name is not one of ours. */
static void test_a_file_is_opened_by_a_later_process(void)
{
    char hidden[80];
    struct cprof_mmap m = mapping_of(library);
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso;

    snprintf(hidden, sizeof(hidden), "%s/hidden", dir);
    m.file = hidden;
    dso = get(&dsos, 0x7ffffff0, &m);
    CHECK(dso->elf == NULL);
    CHECK_EQ(link(library, hidden), 0);
    CHECK(get(&dsos, getpid(), &m) == dso);
    CHECK(dso->elf != NULL && dso->has_unwind && dso->high > dso->low);
    unlink(hidden);
    cprof_dsos_deinit(&dsos);
}

static void test_the_vdso_is_everybodys(void)
{
    struct cprof_mmap m = {.start = 0x7ffff000, .length = 8192, .file = "[vdso]"};
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso = get(&dsos, getpid(), &m);

    CHECK_EQ(dso->kind, CPROF_DSO_VDSO);
    CHECK(dso->elf && dso->has_unwind);
    CHECK_STR(dso->path, "[vdso]");
    CHECK(get(&dsos, 1, &m) == dso);
    cprof_dsos_deinit(&dsos);
}

static void test_code_without_a_file_belongs_to_its_process(void)
{
    static const char *const names[] = {
        "//anon",   "",          "[heap]",      "[stack]",         "/memfd:jit (deleted)",
        "/SYSV000", "/dev/zero", "/dev/shm/ab", "anon_inode:[x]",  "[anon: js]",
        "relative", "//",        " (deleted)",  "[vdso] (deleted)"};
    struct cprof_dsos dsos = {0};
    struct cprof_mmap m = {.start = 1, .length = 4096, .file = "//anon"};
    struct cprof_dso *mine = get(&dsos, 100, &m), *theirs = get(&dsos, 101, &m);

    CHECK(mine != theirs);
    CHECK_EQ(mine->kind, CPROF_DSO_ANON);
    CHECK_EQ(mine->pid, 100);
    CHECK_STR(mine->path, "//anon");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) - 1; i++) {
        m.file = names[i];
        CHECK(get(&dsos, 100, &m) == mine);
    }
    CHECK_EQ(dsos.all.n, 2);
    cprof_dsos_deinit(&dsos);
}

/* Whatever lies under a target's names, opening it must not block or fail. */
static void test_names_of_what_is_no_program(void)
{
    char fifo[80], text[80], hole[80], long_name[6000];
    const char *const names[] = {fifo, text, hole, dir, "/no/such/file", long_name};
    struct cprof_dsos dsos = {0};

    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    snprintf(text, sizeof(text), "%s/text", dir);
    snprintf(hole, sizeof(hole), "%s/empty", dir);
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    copy_file("/proc/self/maps", text);
    copy_file("/dev/null", hole);
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[0] = '/';
    long_name[sizeof(long_name) - 1] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct cprof_mmap m = {.length = 4096, .file = names[i]};
        struct cprof_dso *dso = get(&dsos, getpid(), &m);
        CHECK_EQ(dso->kind, CPROF_DSO_FILE);
        CHECK(dso->elf == NULL);
        CHECK(get(&dsos, getpid(), &m) == dso);
    }
    unlink(fifo);
    unlink(text);
    unlink(hole);
    cprof_dsos_deinit(&dsos);
}

static void test_there_is_one_kernel(void)
{
    struct cprof_dsos dsos = {0};
    struct cprof_dso *first = NULL, *second = NULL;

    CHECK_EQ(cprof_dsos_kernel(&dsos, &first), 0);
    CHECK_EQ(cprof_dsos_kernel(&dsos, &second), 0);
    CHECK(first == second && first->elf == NULL);
    CHECK_EQ(first->kind, CPROF_DSO_KERNEL);
    cprof_dsos_deinit(&dsos);
}

static int get_some(void *arg)
{
    struct cprof_mmap file = mapping_of(library), vdso = {.length = 1, .file = "[vdso]"},
                      anon = {.length = 1, .file = "//anon"}, twin;
    struct cprof_dsos dsos = {0};
    struct cprof_dso *dso;
    int r = cprof_dsos_get(&dsos, getpid(), &file, &dso);

    (void)arg;
    if (r == 0) {
        CHECK(dso->elf != NULL);
        twin = by_build_id(library, dso->build_id, 20);
        r = cprof_dsos_get(&dsos, getpid(), &twin, &dso);
    }
    if (r == 0)
        r = cprof_dsos_get(&dsos, getpid(), &vdso, &dso);
    if (r == 0)
        r = cprof_dsos_get(&dsos, getpid(), &anon, &dso);
    if (r == 0)
        r = cprof_dsos_kernel(&dsos, &dso);
    CHECK(r < 0 || dsos.all.n == 4);
    cprof_dsos_deinit(&dsos);
    return r;
}

static void test_survives_failing_allocations(void)
{
    CHECK_EQ(sweep(get_some, NULL), 0);
}

int main(void)
{
    CHECK(mkdtemp(dir) != NULL);
    snprintf(library, sizeof(library), "%s/library", dir);
    snprintf(other, sizeof(other), "%s/other", dir);
    copy_file("/proc/self/exe", library);
    copy_file("/bin/sh", other);
    RUN(test_a_file_is_opened_once);
    RUN(test_twins_are_one);
    RUN(test_another_build_id_is_another_file);
    RUN(test_inodes_count_on_one_device);
    RUN(test_a_replaced_file_is_not_mistaken);
    RUN(test_a_deleted_file_by_its_mapping);
    RUN(test_a_file_is_opened_by_a_later_process);
    RUN(test_the_vdso_is_everybodys);
    RUN(test_code_without_a_file_belongs_to_its_process);
    RUN(test_names_of_what_is_no_program);
    RUN(test_there_is_one_kernel);
    RUN(test_survives_failing_allocations);
    unlink(library);
    unlink(other);
    CHECK_EQ(rmdir(dir), 0);
    return test_report(__FILE__);
}
