/* unwind_cache: what is kept is what was made; files that are damaged, foreign or made to
 * harm are as if they were not there; writers and readers at once. */
#define _GNU_SOURCE
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "frames.h"
#include "unwind_cache.c" /* a hostile file has a right checksum, too */

/* A folder of its own for each test, and a file with two functions. */
struct setting {
    char root[64], dir[96];
    struct image *image;
    struct cprof_elf *elf;
    struct cprof_unwind_rows *rows;
    char path[160]; /* where they are kept */
};

static struct image *image_with(uint8_t id, const char *more)
{
    struct image *image = image_create();

    put_cie(image, USUAL);
    put_fde(image, 0, 0x10, BYTES("\x41\x0e\x10\x86\x02"));
    put_fde(image, 0x20, 0x10, (struct bytes){strlen(more), more});
    put_header(image);
    put_build_id(image, id);
    return image;
}

static struct setting setting_create(void)
{
    struct setting s = {.root = "/tmp/test_unwind_cache-XXXXXX"};

    CHECK(mkdtemp(s.root));
    snprintf(s.dir, sizeof(s.dir), "%s/a/b", s.root);
    snprintf(s.path, sizeof(s.path), "%s/abababab", s.dir);
    s.image = image_with(0xab, "\x0e\x18");
    s.elf = must_open(s.image);
    CHECK_EQ(cprof_unwind_rows_build(s.elf, NULL, &s.rows, NULL), 0);
    return s;
}

static void setting_destroy(struct setting *s)
{
    char command[128];

    cprof_unwind_rows_destroy(s->rows);
    cprof_elf_unref(s->elf);
    free(s->image);
    snprintf(command, sizeof(command), "rm -rf %s", s->root);
    CHECK_EQ(system(command), 0);
}

static void store(const struct setting *s)
{
    CHECK_EQ(cprof_unwind_cache_store(s->dir, s->elf, s->rows), 0);
}

static int load(const struct setting *s)
{
    struct cprof_unwind_rows *rows = NULL;
    int r = cprof_unwind_cache_load(s->dir, s->elf, &rows);

    CHECK_EQ(r == 0, rows != NULL);
    cprof_unwind_rows_destroy(rows);
    return r;
}

static bool is_same(const struct cprof_unwind_rows *a, const struct cprof_unwind_rows *b)
{
    uint64_t base_a, base_b;
    size_t n_a, n_b;
    const struct cprof_unwind_row *x = cprof_unwind_rows_data(a, &n_a, &base_a);
    const struct cprof_unwind_row *y = cprof_unwind_rows_data(b, &n_b, &base_b);

    return n_a == n_b && base_a == base_b && !memcmp(x, y, n_a * sizeof(*x)) &&
           cprof_unwind_rows_n_other(a) == cprof_unwind_rows_n_other(b) &&
           cprof_unwind_rows_n_bad(a) == cprof_unwind_rows_n_bad(b);
}

/* The file's bytes, and writing them back otherwise. */
static size_t read_kept(const struct setting *s, uint8_t *ret, size_t room)
{
    FILE *file = fopen(s->path, "r");
    size_t n = file ? fread(ret, 1, room, file) : 0;

    if (file)
        fclose(file);
    return n;
}

static void write_kept(const struct setting *s, const void *bytes, size_t n)
{
    FILE *file = fopen(s->path, "w");

    fwrite(bytes, 1, n, file);
    fclose(file);
}

static void test_what_is_kept_is_what_was_made(void)
{
    struct setting s = setting_create();
    struct cprof_unwind_rows *kept = NULL;
    struct stat st;

    CHECK_EQ(load(&s), -ENOENT);
    store(&s);
    CHECK(stat(s.dir, &st) == 0 && (st.st_mode & 0777) == 0700);
    CHECK_EQ(load(&s), 0);
    CHECK_EQ(cprof_unwind_cache_load(s.dir, s.elf, &kept), 0);
    CHECK(is_same(kept, s.rows));
    CHECK_EQ(unlink(s.path), 0); /* what was loaded stays */
    CHECK(is_same(kept, s.rows));
    cprof_unwind_rows_destroy(kept);
    CHECK_EQ(load(&s), -ENOENT);
    setting_destroy(&s);
}

static void test_a_real_file(void)
{
    struct setting s = setting_create();
    struct cprof_unwind_rows *made = NULL, *kept = NULL;
    struct cprof_elf *elf = NULL;

    CHECK_EQ(cprof_elf_open("/usr/bin/env", &elf, NULL), 0);
    CHECK_EQ(cprof_unwind_rows_build(elf, NULL, &made, NULL), 0);
    CHECK_EQ(cprof_unwind_cache_store(s.dir, elf, made), 0);
    CHECK_EQ(cprof_unwind_cache_load(s.dir, elf, &kept), 0);
    CHECK(is_same(kept, made));
    cprof_unwind_rows_destroy(kept);
    cprof_unwind_rows_destroy(made);
    cprof_elf_unref(elf);
    setting_destroy(&s);
}

/* Files that nothing can be kept of, or that only look like the one that was kept. */
static void test_other_files(void)
{
    struct setting s = setting_create();
    struct cprof_elf *elf;
    struct cprof_unwind_rows *rows = NULL;
    struct image *image = image_with(0xab, "\x0e\x20");

    store(&s);
    elf = must_open(image); /* the same build id, other rules */
    CHECK_EQ(cprof_unwind_cache_load(s.dir, elf, &rows), -EBADMSG);
    cprof_elf_unref(elf);
    image->phdrs[1].p_type = PT_NULL; /* no rules of its own: they came from elsewhere */
    elf = must_open(image);
    CHECK_EQ(cprof_unwind_cache_load(s.dir, elf, &rows), -EBADMSG);
    CHECK_EQ(cprof_unwind_cache_store(s.dir, elf, s.rows), -ENODATA);
    cprof_elf_unref(elf);
    image->header->e_phnum = 2; /* no build id */
    elf = must_open(image);
    CHECK_EQ(cprof_unwind_cache_load(s.dir, elf, &rows), -ENOENT);
    CHECK_EQ(cprof_unwind_cache_store(s.dir, elf, s.rows), -ENODATA);
    cprof_elf_unref(elf);
    CHECK(!rows);
    CHECK_EQ(load(&s), 0);
    free(image);
    setting_destroy(&s);
}

/* Each bit of the file turned, each length that is not its own. */
static void test_damaged_files(void)
{
    struct setting s = setting_create();
    uint8_t bytes[4096] = {0};
    size_t n;

    store(&s);
    n = read_kept(&s, bytes, sizeof(bytes));
    CHECK(n > 64 && n < 512);
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_kept(&s, bytes, n);
        CHECK_EQ(load(&s), -EBADMSG);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = 0; length < n + 40; length++) {
        write_kept(&s, bytes, length);
        CHECK_EQ(load(&s), length == n ? 0 : -EBADMSG);
    }
    store(&s); /* it is replaced */
    CHECK_EQ(load(&s), 0);
    setting_destroy(&s);
}

/* Rows that are no table, with a right checksum. */
static void test_hostile_rows(void)
{
    static const struct cprof_unwind_row wrong[] = {
        {.pc = 0x1000}, {.pc = UINT32_MAX}, {.pc = 0x1008, .cfa = 0xffff}};
    struct setting s = setting_create();
    uint8_t bytes[4096];
    struct header header;
    struct cprof_unwind_row *rows = (void *)(bytes + sizeof(header));
    size_t n;

    store(&s);
    n = read_kept(&s, bytes, sizeof(bytes));
    memcpy(&header, bytes, sizeof(header));
    CHECK_EQ(checksum(header, rows), header.checksum);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct cprof_unwind_row was = rows[1];
        rows[1] = wrong[i];
        header.checksum = checksum(header, rows);
        memcpy(bytes, &header, sizeof(header));
        write_kept(&s, bytes, n);
        CHECK_EQ(load(&s), -EBADMSG);
        rows[1] = was;
    }
    header.n = (UINT64_MAX - sizeof(header)) / 8 + 2; /* a size that wraps around */
    memcpy(bytes, &header, sizeof(header));
    write_kept(&s, bytes, sizeof(header));
    CHECK_EQ(load(&s), -EBADMSG);
    setting_destroy(&s);
}

/* Things that are no file of ours, where one is looked for. */
static void test_other_things_under_its_name(void)
{
    struct setting s = setting_create();
    char other[192];

    store(&s);
    snprintf(other, sizeof(other), "%s/../other", s.dir);
    CHECK_EQ(rename(s.path, other), 0);
    CHECK_EQ(symlink(other, s.path), 0);
    CHECK_EQ(load(&s), -ELOOP);
    unlink(s.path);
    CHECK_EQ(mkfifo(s.path, 0600), 0);
    CHECK_EQ(load(&s), -EBADMSG); /* and does not wait for a writer */
    unlink(s.path);
    CHECK_EQ(mkdir(s.path, 0700), 0);
    CHECK_EQ(load(&s), -EBADMSG);
    CHECK(cprof_unwind_cache_store(s.dir, s.elf, s.rows) < 0);
    setting_destroy(&s);
}

static void test_folders_of_others(void)
{
    enum { NOBODY = 65534 };
    struct setting s = setting_create();

    store(&s);
    CHECK_EQ(chmod(s.dir, 0770), 0);
    CHECK_EQ(load(&s), -EPERM);
    CHECK_EQ(cprof_unwind_cache_store(s.dir, s.elf, s.rows), -EPERM);
    CHECK_EQ(chmod(s.dir, 0755), 0); /* to be read by others is no harm */
    CHECK_EQ(load(&s), 0);
    if (geteuid() == 0) {
        CHECK_EQ(chown(s.path, NOBODY, NOBODY), 0);
        CHECK_EQ(load(&s), -EBADMSG);
        CHECK_EQ(chown(s.path, 0, 0), 0);
        CHECK_EQ(chown(s.dir, NOBODY, NOBODY), 0);
        CHECK_EQ(load(&s), -EPERM);
        CHECK_EQ(cprof_unwind_cache_store(s.dir, s.elf, s.rows), -EPERM);
    }
    CHECK(cprof_unwind_cache_store("/dev/null/x", s.elf, s.rows) < 0);
    CHECK(cprof_unwind_cache_store("", s.elf, s.rows) < 0);
    setting_destroy(&s);
}

static size_t n_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t n = 0;

    while ((entry = readdir(dir)))
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return n;
}

/* Two processes write while this one reads: each time all of a table, or none yet. */
static void test_writers_and_readers(void)
{
    enum { ROUNDS = 100 };
    struct setting s = setting_create();
    pid_t writers[2];
    int status;

    for (int i = 0; i < 2; i++) {
        writers[i] = fork();
        if (writers[i] == 0) {
            for (int k = 0; k < ROUNDS; k++)
                if (cprof_unwind_cache_store(s.dir, s.elf, s.rows) < 0)
                    _exit(1);
            _exit(0);
        }
    }
    for (int k = 0; k < ROUNDS; k++) {
        struct cprof_unwind_rows *kept = NULL;
        int r = cprof_unwind_cache_load(s.dir, s.elf, &kept);
        CHECK(r == 0 || r == -ENOENT);
        CHECK(r < 0 || is_same(kept, s.rows));
        cprof_unwind_rows_destroy(kept);
    }
    for (int i = 0; i < 2; i++)
        CHECK(waitpid(writers[i], &status, 0) == writers[i] && status == 0);
    CHECK_EQ(load(&s), 0);
    CHECK_EQ(n_files(s.dir), 1);
    setting_destroy(&s);
}

/* An empty file of this size that was last used `age` seconds ago. */
static void put_old(const struct setting *s, const char *name, off_t size, time_t age)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - age},
                                {.tv_sec = time(NULL) - age}};
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    file = fopen(path, "w");
    CHECK(file && ftruncate(fileno(file), size) == 0);
    CHECK_EQ(futimens(fileno(file), times), 0);
    fclose(file);
}

static bool has(const struct setting *s, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    return access(path, F_OK) == 0;
}

static void test_room(void)
{
    enum { PART = CPROF_UNWIND_CACHE_MAX / 4 };
    struct setting s = setting_create();

    store(&s);
    put_old(&s, "aa01", PART, 300);
    put_old(&s, "aa02", PART, 200);
    put_old(&s, ".aa03.cprof-01234567", PART, 400); /* of a writer that was killed */
    put_old(&s, "note.txt", CPROF_UNWIND_CACHE_MAX, 9000); /* not ours */
    store(&s);
    CHECK(has(&s, "aa01") && has(&s, "aa02") && has(&s, ".aa03.cprof-01234567"));
    put_old(&s, "aa04", PART, 100);
    store(&s);
    CHECK(has(&s, "aa01") && has(&s, "aa02") && has(&s, "aa04"));
    CHECK(!has(&s, ".aa03.cprof-01234567"));
    put_old(&s, "aa05", 2 * PART, 50);
    store(&s);
    CHECK(!has(&s, "aa01") && !has(&s, "aa02"));
    CHECK(has(&s, "aa04") && has(&s, "aa05") && has(&s, "note.txt"));
    CHECK_EQ(load(&s), 0);
    setting_destroy(&s);
}

/* A table that was used is not the next to go. */
static void test_use_is_noted(void)
{
    struct setting s = setting_create();
    struct stat st;

    store(&s);
    CHECK_EQ(utimensat(AT_FDCWD, s.path,
                       (struct timespec[2]){{.tv_sec = 1000}, {.tv_sec = 1000}}, 0),
             0);
    CHECK_EQ(load(&s), 0);
    CHECK(stat(s.path, &st) == 0 && st.st_mtim.tv_sec > 1000);
    setting_destroy(&s);
}

static void check_dir(const char *xdg, const char *home, const char *want)
{
    char path[PATH_MAX] = "untouched";
    int r;

    if (xdg)
        setenv("XDG_CACHE_HOME", xdg, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    if (home)
        setenv("HOME", home, 1);
    else
        unsetenv("HOME");
    r = cprof_unwind_cache_dir(path, sizeof(path));
    CHECK_EQ(r, want ? 0 : -ENOENT);
    CHECK_STR(path, want ? want : "untouched");
}

static void test_the_directory_by_the_environment(void)
{
    struct setting s = setting_create();
    char in_root[128], in_home[128], file[128];

    snprintf(in_root, sizeof(in_root), "%s/cprof/unwind", s.root);
    snprintf(in_home, sizeof(in_home), "%s/.cache/cprof/unwind", s.root);
    check_dir(s.root, NULL, in_root);
    check_dir(s.root, "/nonexistent", in_root);
    check_dir(NULL, s.root, in_home);
    check_dir("", s.root, in_home);
    check_dir("relative", s.root, in_home);
    check_dir(NULL, NULL, NULL);
    check_dir(NULL, "relative", NULL);
    check_dir("relative", NULL, NULL);
    snprintf(file, sizeof(file), "%s/file", s.root);
    fclose(fopen(file, "w"));
    check_dir(file, NULL, NULL);
    CHECK_EQ(cprof_unwind_cache_dir(in_root, 8), -ENOENT);
    if (geteuid() == 0) {
        CHECK_EQ(chown(s.root, 65534, 65534), 0);
        check_dir(s.root, NULL, NULL);
        check_dir(NULL, s.root, NULL);
    }
    setting_destroy(&s);
}

static int attempt_store(void *arg)
{
    const struct setting *s = arg;

    return cprof_unwind_cache_store(s->dir, s->elf, s->rows);
}

static int attempt_load(void *arg)
{
    const struct setting *s = arg;
    struct cprof_unwind_rows *rows = NULL;
    int r = cprof_unwind_cache_load(s->dir, s->elf, &rows);

    cprof_unwind_rows_destroy(rows);
    return r;
}

static void test_allocation_failures(void)
{
    struct setting s = setting_create();

    store(&s);
    CHECK_EQ(sweep(attempt_load, &s), 0);
    CHECK_EQ(sweep(attempt_store, &s), 0);
    setting_destroy(&s);
}

int main(void)
{
    RUN(test_what_is_kept_is_what_was_made);
    RUN(test_a_real_file);
    RUN(test_other_files);
    RUN(test_damaged_files);
    RUN(test_hostile_rows);
    RUN(test_other_things_under_its_name);
    RUN(test_folders_of_others);
    RUN(test_writers_and_readers);
    RUN(test_room);
    RUN(test_use_is_noted);
    RUN(test_the_directory_by_the_environment);
    RUN(test_allocation_failures);
    return test_report(__FILE__);
}
