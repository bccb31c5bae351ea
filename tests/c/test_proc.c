/* proc: lines of /proc/PID/maps, good and hostile; our own process and children with
 * known state as the truth. */
#define _GNU_SOURCE
#include "proc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static bool parse(const char *line, struct cprof_mmap *ret)
{
    static char copy[512];

    snprintf(copy, sizeof(copy), "%s", line);
    return cprof_proc_parse_map(copy, ret);
}

static void test_a_line_of_maps(void)
{
    struct cprof_mmap m;

    CHECK(parse("7f0c1a400000-7f0c1a425000 r-xp 00026000 fe:01 1837483    "
                "              /usr/lib/x86_64-linux-gnu/libc.so.6",
                &m));
    CHECK_EQ(m.start, 0x7f0c1a400000);
    CHECK_EQ(m.length, 0x25000);
    CHECK_EQ(m.protection, 5);
    CHECK_EQ(m.flags, 2);
    CHECK_EQ(m.offset, 0x26000);
    CHECK_EQ(m.major, 0xfe);
    CHECK_EQ(m.minor, 1);
    CHECK_EQ(m.inode, 1837483);
    CHECK_EQ(m.build_id_n, 0);
    CHECK_STR(m.file, "/usr/lib/x86_64-linux-gnu/libc.so.6");
}

static void test_odd_names_of_files(void)
{
    struct cprof_mmap m;

    CHECK(parse("1000-2000 rwxs 00000000 00:00 0 ", &m));
    CHECK_STR(m.file, "");
    CHECK_EQ(m.flags, 1);
    CHECK_EQ(m.protection, 7);
    CHECK(parse("1000-2000 ---p 00000000 00:00 0", &m));
    CHECK_STR(m.file, "");
    CHECK(parse("1000-2000 r-xp 00000000 08:01 7      /opt/my app/a (b) c", &m));
    CHECK_STR(m.file, "/opt/my app/a (b) c");
    CHECK(parse("1000-2000 r-xp 00000000 08:01 7 /tmp/x (deleted)", &m));
    CHECK_STR(m.file, "/tmp/x (deleted)");
    CHECK(parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]",
                &m));
    CHECK_STR(m.file, "[vsyscall]");
    CHECK(parse("0-ffffffffffffffff r-xp ffffffffffffffff ffffffff:ffffffff "
                "18446744073709551615 /a",
                &m));
    CHECK_EQ(m.inode, UINT64_MAX);
}

static void test_hostile_lines_are_refused(void)
{
    static const char *const lines[] = {
        "",
        " ",
        "-",
        "1000",
        "1000-",
        "1000-2000",
        "1000-2000 ",
        "1000-2000 r-x",
        "1000-2000 r-xp",
        "1000-2000 r-xp ",
        "1000-2000 r-xp 0",
        "1000-2000 r-xp 0 ",
        "1000-2000 r-xp 0 0",
        "1000-2000 r-xp 0 0:",
        "1000-2000 r-xp 0 0:0",
        "1000-2000 r-xp 0 0:0 ",
        "1000-2000 r-xp 0 0:0 /x",
        "1000-2000 r-xp 0 0:0 -1 /x",
        "1000-2000 r-xp 0 0:0 12x /x",
        "2000-1000 r-xp 0 0:0 0 /x",
        "1000-1000 r-xp 0 0:0 0 /x",
        "-5--3 r-xp 0 0:0 0 /x",
        "+1000-+2000 r-xp 0 0:0 0 /x",
        " 1000- 2000 r-xp 0 0:0 0 /x",
        "0x1000-0x2000 r-xp 0 0:0 0 /x",
        "10000000000000000-20000000000000000 r-xp 0 0:0 0 /x",
        "zzzz-zzzz r-xp 0 0:0 0 /x",
        "1000-2000-3000 r-xp 0 0:0 0 /x",
        "1000-2000 r-xpp 0 0:0 0 /x",
    };
    struct cprof_mmap m;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (parse(lines[i], &m)) {
            fprintf(stderr, "taken: \"%s\"\n", lines[i]);
            CHECK(false);
        }
}

/* Every line of our own maps, put together again, is the line. */
static void test_our_own_maps_line_by_line(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[4200], copy[4200], head[128];
    struct cprof_mmap m;
    size_t n = 0;

    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        strcpy(copy, line);
        CHECK(cprof_proc_parse_map(copy, &m));
        snprintf(head, sizeof(head), "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
                 (unsigned long long)m.start, (unsigned long long)(m.start + m.length),
                 m.protection & 1 ? 'r' : '-', m.protection & 2 ? 'w' : '-',
                 m.protection & 4 ? 'x' : '-', m.flags == 1 ? 's' : 'p',
                 (unsigned long long)m.offset, m.major, m.minor,
                 (unsigned long long)m.inode);
        CHECK(!strncmp(line, head, strlen(head)));
        CHECK(strlen(line) >= strlen(m.file) &&
              !strcmp(line + strlen(line) - strlen(m.file), m.file));
        n++;
    }
    fclose(file);
    CHECK(n > 5);
}

struct crowd {
    pthread_barrier_t barrier;
    pid_t tids[8];
};

static void *stand(void *arg)
{
    struct crowd *crowd = arg;
    static int next;

    crowd->tids[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)] = gettid();
    pthread_barrier_wait(&crowd->barrier);
    pthread_barrier_wait(&crowd->barrier);
    return NULL;
}

static bool has(const struct cprof_tasks *tasks, pid_t tid)
{
    for (size_t i = 0; i < tasks->ids.n; i++)
        if (tasks->ids.data[i] == tid)
            return true;
    return false;
}

static void test_tasks_of_ourselves(void)
{
    struct cprof_tasks tasks = {0};
    struct crowd crowd;
    pthread_t threads[8];

    pthread_barrier_init(&crowd.barrier, NULL, 9);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, stand, &crowd), 0);
    pthread_barrier_wait(&crowd.barrier);
    CHECK_EQ(cprof_proc_tasks(getpid(), &tasks), 0);
    CHECK(tasks.ids.n >= 9); /* a sanitizer may have one of its own */
    CHECK(has(&tasks, getpid()));
    for (int i = 0; i < 8; i++)
        CHECK(has(&tasks, crowd.tids[i]));
    pthread_barrier_wait(&crowd.barrier);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    cprof_vec_free(&tasks.ids);
    pthread_barrier_destroy(&crowd.barrier);
}

/* A child that waits to be killed, with this name. */
static pid_t named_child(const char *name)
{
    int ready[2];
    char byte;
    pid_t pid;

    CHECK_EQ(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, name);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_names_that_would_mislead_a_parser(void)
{
    static const char *const names[] = {"a b c",           ") R 1 1 1", "(x) (y)",
                                        "two\nlines",      "end\n",     "tab\tbed",
                                        "15 characters..", ""};
    char name[CPROF_COMM_MAX];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pid_t pid = named_child(names[i]);
        struct cprof_proc_status status;
        cprof_proc_comm(pid, pid, name);
        CHECK_STR(name, names[i]);
        CHECK_EQ(cprof_proc_status(pid, pid, &status), 0);
        CHECK(strchr("SR", status.state) != NULL);
        CHECK_EQ(status.parent, getpid());
        CHECK_EQ(status.uid, getuid());
        CHECK(!status.is_kernel_thread);
        end_child(pid);
        cprof_proc_comm(pid, pid, name);
        CHECK_STR(name, "");
        CHECK_EQ(cprof_proc_status(pid, pid, &status), -ESRCH);
    }
}

static void test_zombies_and_the_gone(void)
{
    struct cprof_tasks tasks = {0};
    struct cprof_proc_status status;
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(cprof_proc_status(pid, pid, &status), 0);
    CHECK_EQ(status.state, 'Z');
    waitpid(pid, NULL, 0);
    CHECK_EQ(cprof_proc_status(pid, pid, &status), -ESRCH);
    CHECK_EQ(cprof_proc_tasks(pid, &tasks), -ESRCH);
    CHECK_EQ(cprof_proc_tasks(-1, &tasks), -ESRCH);
    CHECK(!cprof_proc_has_own_mounts(pid));
    cprof_vec_free(&tasks.ids);
}

static void test_kernel_threads_are_known(void)
{
    struct cprof_proc_status status;

    if (cprof_proc_status(2, 2, &status) < 0) {
        SKIP("this PID namespace has no kernel threads");
        return;
    }
    CHECK(status.is_kernel_thread);
    CHECK_EQ(cprof_proc_status(getpid(), getpid(), &status), 0);
    CHECK(!status.is_kernel_thread);
}

static void test_command_lines(void)
{
    char text[64], small[6];
    char exe[4096] = "";

    cprof_proc_command(getpid(), text, sizeof(text));
    CHECK(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    CHECK(strstr(text, "test_proc") || strlen(exe) > sizeof(text));
    cprof_proc_command(getpid(), small, sizeof(small));
    CHECK_EQ(strlen(small), sizeof(small) - 1);
    cprof_proc_command(0x7ffffff0, text, sizeof(text));
    CHECK_STR(text, "[]");
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "w");

    CHECK(file && fwrite(text, 1, n, file) == n);
    fclose(file);
}

static void test_reading_files(void)
{
    char path[] = "/tmp/cprof-test-XXXXXX", big[10000];
    int fd = mkstemp(path);
    char *text = NULL;
    long value = 5;
    size_t n;

    close(fd);
    memset(big, '7', sizeof(big));
    write_file(path, big, sizeof(big));
    CHECK_EQ(cprof_proc_read(path, 9999, &text, &n), -EFBIG);
    CHECK(text == NULL);
    CHECK_EQ(cprof_proc_read(path, 10000, &text, &n), 0);
    CHECK_EQ(n, 10000);
    CHECK(!memcmp(text, big, n) && text[n] == '\0');
    free(text);
    write_file(path, " -12\n", 5);
    CHECK_EQ(cprof_proc_number(path, &value), 0);
    CHECK_EQ(value, -12);
    write_file(path, "none\n", 5);
    CHECK_EQ(cprof_proc_number(path, &value), -EBADMSG);
    write_file(path, "", 0);
    CHECK_EQ(cprof_proc_number(path, &value), -EBADMSG);
    CHECK_EQ(value, -12);
    unlink(path);
    CHECK_EQ(cprof_proc_read(path, 10, &text, &n), -ENOENT);
    CHECK_EQ(cprof_proc_read("/", 10, &text, &n), -EISDIR);
}

/* A target can put anything under the name of its JIT map. */
static void test_a_fifo_does_not_block(void)
{
    char path[] = "/tmp/cprof-test-XXXXXX", *text = NULL;
    size_t n = 1;

    close(mkstemp(path));
    unlink(path);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_EQ(cprof_proc_read(path, 10, &text, &n), 0);
    CHECK_EQ(n, 0);
    free(text);
    unlink(path);
}

static void test_namespaces_of_ourselves(void)
{
    pid_t inner = 0;

    CHECK_EQ(cprof_proc_last_nspid(getpid(), &inner), 0);
    CHECK_EQ(inner, getpid());
    CHECK(!cprof_proc_has_own_mounts(getpid()));
    CHECK(cprof_proc_last_nspid(0x7ffffff0, &inner) < 0);
}

static int read_all(void *arg)
{
    struct cprof_tasks tasks = {0};
    char *text = NULL;
    size_t n;
    int r = cprof_proc_read("/proc/self/maps", CPROF_PROC_TEXT_MAX, &text, &n);

    (void)arg;
    free(text);
    if (r == 0)
        r = cprof_proc_tasks(getpid(), &tasks);
    cprof_vec_free(&tasks.ids);
    return r;
}

static void test_survives_failing_allocations(void)
{
    CHECK_EQ(sweep(read_all, NULL), 0);
}

int main(void)
{
    RUN(test_a_line_of_maps);
    RUN(test_odd_names_of_files);
    RUN(test_hostile_lines_are_refused);
    RUN(test_our_own_maps_line_by_line);
    RUN(test_tasks_of_ourselves);
    RUN(test_names_that_would_mislead_a_parser);
    RUN(test_zombies_and_the_gone);
    RUN(test_kernel_threads_are_known);
    RUN(test_command_lines);
    RUN(test_reading_files);
    RUN(test_a_fifo_does_not_block);
    RUN(test_namespaces_of_ourselves);
    RUN(test_survives_failing_allocations);
    return test_report(__FILE__);
}
