/* folded, outfile: the text whole, and no file where there was an error. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outfile.h"
#include "pprof.h"
#include "profiles.h"
#include "test.h"

static char dir[64], path[128];

static void enter_directory(void)
{
    strcpy(dir, "/tmp/test_folded.XXXXXX");
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/out", dir);
}

/* Remove what is in the directory and it too; returns how many files there were. */
static int leave_directory(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    int n = 0;

    while (d && (entry = readdir(d))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        n++;
        unlinkat(dirfd(d), entry->d_name, 0);
    }
    if (d)
        closedir(d);
    rmdir(dir);
    return n;
}

static const char *content(const char *of)
{
    static char text[4096];
    FILE *f = fopen(of, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    text[n] = '\0';
    if (f)
        fclose(f);
    return f ? text : NULL;
}

static void test_lines_root_first_in_order_of_their_text(void)
{
    struct cprof_profile *p;

    enter_directory();
    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_folded_write(p, 1, path, NULL), 0);
    CHECK_STR(content(path), "[lost] 500\n"
                             "[truncated];c 20\n"
                             "main;a;b 300\n"
                             "main;a;b;i 100\n"
                             "main;c 250\n");
    CHECK_EQ(cprof_folded_write(p, 0, path, NULL), 0);
    CHECK_STR(content(path), "[lost] 5\n"
                             "[truncated];c 1\n"
                             "main;a;b 3\n"
                             "main;a;b;i 1\n"
                             "main;c 2\n");
    CHECK_EQ(leave_directory(), 1);
    cprof_profile_unref(p);
}

static void test_names_cannot_break_a_line(void)
{
    struct cprof_profile *p;
    uint32_t leaf;

    enter_directory();
    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;f", 5), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;libx!f", 6), 0); /* modules are not told apart */
    CHECK_EQ(profile_row(p, 1, 7, "main;g", 7), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;?", 8), 0);
    leaf = cprof_stacks_leaf_function(p->stacks, p->stack[2]);
    CHECK_EQ(cprof_stacks_string(p->stacks, "void g<a;b>(\nint)",
                                 &p->stacks->functions.data[leaf].name),
             0);
    CHECK_EQ(cprof_folded_write(p, 1, path, NULL), 0);
    CHECK_STR(content(path), "main;[unknown] 8\nmain;f 11\nmain;void g<a:b>( int) 7\n");
    CHECK_EQ(cprof_folded_write(p, 2, path, NULL), -EINVAL);
    CHECK_EQ(leave_directory(), 1);
    cprof_profile_unref(p);
}

static void test_an_empty_profile_is_an_empty_file(void)
{
    struct cprof_profile *p;

    enter_directory();
    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(cprof_folded_write(p, 1, path, NULL), 0);
    CHECK_STR(content(path), "");
    CHECK_EQ(leave_directory(), 1);
    cprof_profile_unref(p);
}

static void test_a_new_file_has_the_mode_that_the_umask_leaves(void)
{
    mode_t old = umask(027);
    struct stat st;

    enter_directory();
    CHECK_EQ(cprof_outfile_write(path, "x", 1, "test", NULL), 0);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0640);
    CHECK_EQ(chmod(path, 0604), 0);
    CHECK_EQ(cprof_outfile_write(path, "new", 3, "test", NULL), 0);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0604); /* one that was there keeps its own */
    CHECK_STR(content(path), "new");
    CHECK_EQ(leave_directory(), 1);
    umask(old);
}

static void test_a_link_is_followed(void)
{
    char link[160];
    struct stat st;

    enter_directory();
    snprintf(link, sizeof(link), "%s/link", dir);
    CHECK_EQ(symlink("out", link), 0);
    CHECK_EQ(cprof_outfile_write(path, "old", 3, "test", NULL), 0);
    CHECK_EQ(cprof_outfile_write(link, "new", 3, "test", NULL), 0);
    CHECK_EQ(lstat(link, &st), 0);
    CHECK(S_ISLNK(st.st_mode));
    CHECK_STR(content(path), "new");
    CHECK_EQ(leave_directory(), 2);
}

/* A file size limit stands for a full disk: the write fails half way. */
static void test_a_failure_leaves_what_was_there(void)
{
    static char large[1 << 16];
    struct rlimit limit, small;
    struct cprof_error err;

    enter_directory();
    CHECK_EQ(cprof_outfile_write(path, "old", 3, "test", NULL), 0);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_EQ(cprof_outfile_write(path, large, sizeof(large), "test", &err), -EFBIG);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK(strstr(err.message, "test: cannot write ") && strstr(err.message, "/out: "));
    CHECK_STR(content(path), "old");
    CHECK_EQ(leave_directory(), 1); /* no temporary file either */
}

static void test_places_that_cannot_be_written(void)
{
    struct cprof_error err;

    CHECK_EQ(cprof_outfile_write("/dev/full", "x", 1, "test", &err), -ENOSPC);
    CHECK(strstr(err.message, "No space left"));
    CHECK_EQ(cprof_outfile_write("/no/such/place", "x", 1, "test", NULL), -ENOENT);
    CHECK_EQ(cprof_outfile_write("/tmp", "x", 1, "test", NULL), -EISDIR);
    CHECK_EQ(cprof_outfile_write("", "x", 1, "test", NULL), -ENOENT);
    CHECK_EQ(cprof_outfile_write("/dev/null", "x", 1, "test", NULL), 0);
}

static void test_a_pipe_is_written_directly(void)
{
    char name[64], bytes[4] = "";
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[1]);
    CHECK_EQ(cprof_outfile_write(name, "abc", 3, "test", NULL), 0);
    CHECK_EQ(read(ends[0], bytes, 3), 3);
    CHECK_STR(bytes, "abc");
    close(ends[0]);
    close(ends[1]);
}

static void test_the_longest_name_a_file_can_have(void)
{
    char name[400];

    enter_directory();
    snprintf(name, sizeof(name), "%s/%0255d", dir, 1);
    CHECK_EQ(cprof_outfile_write(name, "x", 1, "test", NULL), 0);
    CHECK_STR(content(name), "x");
    CHECK_EQ(leave_directory(), 1);
}

static int attempt(void *unused)
{
    struct cprof_profile *p;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    r = cprof_folded_write(p, 1, "/dev/null", NULL);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_lines_root_first_in_order_of_their_text);
    RUN(test_names_cannot_break_a_line);
    RUN(test_an_empty_profile_is_an_empty_file);
    RUN(test_a_new_file_has_the_mode_that_the_umask_leaves);
    RUN(test_a_link_is_followed);
    RUN(test_a_failure_leaves_what_was_there);
    RUN(test_places_that_cannot_be_written);
    RUN(test_a_pipe_is_written_directly);
    RUN(test_the_longest_name_a_file_can_have);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
