/* outfile: the whole file, or what was there before. */
#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/cprof-outfile-XXXXXX", path[64];

static size_t n_files(void)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2; /* . and .. */
}

static bool holds(const char *text)
{
    char got[64] = "";
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, got, sizeof(got) - 1);

    close(fd);
    return n == (ssize_t)strlen(text) && !strcmp(got, text);
}

static void test_new_and_replaced(void)
{
    struct stat st;

    umask(027);
    CHECK_EQ(cprof_outfile_write(path, "one", 3, "test", NULL), 0);
    CHECK(holds("one"));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    CHECK_EQ(chmod(path, 0604), 0);
    CHECK_EQ(cprof_outfile_write(path, "two!", 4, "test", NULL), 0);
    CHECK(holds("two!"));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0604);
    CHECK_EQ(cprof_outfile_write(path, "", 0, "test", NULL), 0);
    CHECK(holds(""));
    CHECK_EQ(n_files(), 1);
}

static void test_a_link_is_followed(void)
{
    char link[80];
    struct stat st;

    snprintf(link, sizeof(link), "%s/link", folder);
    CHECK_EQ(symlink(path, link), 0);
    CHECK_EQ(cprof_outfile_write(link, "through", 7, "test", NULL), 0);
    CHECK(holds("through"));
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    unlink(link);
}

/* A file-size limit stands for a full disk: writing fails half-way. */
static void test_what_was_there_survives_a_failure(void)
{
    static char big[1 << 20];
    struct rlimit kept, small;
    struct cprof_error err = {0};

    CHECK_EQ(cprof_outfile_write(path, "kept", 4, "test", NULL), 0);
    getrlimit(RLIMIT_FSIZE, &kept);
    small = kept;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_EQ(cprof_outfile_write(path, big, sizeof(big), "test", &err), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &kept);
    CHECK(strstr(err.message, "test") == err.message && strstr(err.message, path));
    CHECK(holds("kept"));
    CHECK_EQ(n_files(), 1);
}

static void test_places_that_cannot_be_written(void)
{
    struct cprof_error err = {0};

    CHECK_EQ(cprof_outfile_write("/no/such/folder/x", "x", 1, "test", &err), -ENOENT);
    CHECK(strstr(err.message, "/no/such/folder/x") != NULL);
    CHECK_EQ(cprof_outfile_write("/dev/full", "x", 1, "test", &err), -ENOSPC);
    CHECK_EQ(cprof_outfile_write("/dev/null", "x", 1, "test", &err), 0);
    CHECK(cprof_outfile_write(folder, "x", 1, "test", &err) < 0);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/file", folder);
    RUN(test_new_and_replaced);
    RUN(test_a_link_is_followed);
    RUN(test_what_was_there_survives_a_failure);
    RUN(test_places_that_cannot_be_written);
    unlink(path);
    rmdir(folder);
    return test_report(__FILE__);
}
