/* session: real recordings of small programs whose hot function is known. Skipped, with
 * the probe's reason, where perf_event_open(2) is refused. */
#define _GNU_SOURCE
#include "session.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"
#include "stolen.h"
#include "test.h"

static char dir[] = "/tmp/cprof-test-session-XXXXXX";
static char burner[64];

static const char *const true_argv[] = {"true", NULL};

/* Spends argv[1] milliseconds of CPU time in burn_here(). */
static const char burner_source[] =
    "#include <stdlib.h>\n"
    "#include <time.h>\n"
    "static volatile unsigned long sink;\n"
    "__attribute__((noinline)) void burn_here(void)\n"
    "{ for (int i = 0; i < 100000; i++) sink += i; }\n"
    "int main(int argc, char **argv)\n"
    "{ while (clock() < atol(argv[argc - 1]) * (CLOCKS_PER_SEC / 1000)) burn_here();\n"
    "  return 7; }\n";

static bool build_burner(void)
{
    char command[256];
    FILE *gcc;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(burner, sizeof(burner), "%s/burner", dir);
    snprintf(command, sizeof(command), "gcc -O1 -x c - -o %s", burner);
    gcc = popen(command, "w");
    return gcc && fputs(burner_source, gcc) >= 0 && pclose(gcc) == 0;
}

/* As the child of a real target would be, without the fork's copy of our signal state. */
static struct cprof_session_options defaults(void)
{
    return (struct cprof_session_options){.event = "auto",
                                          .jitter = true,
                                          .follow = true,
                                          .kernel = -1,
                                          .unwind = "auto",
                                          .stack_bytes = CPROF_STACK_BYTES_AUTO};
}

static struct cprof_session_options of_child(const char *const *argv)
{
    struct cprof_session_options options = defaults();

    options.argv = argv;
    return options;
}

static struct cprof_session_options of_pids(const pid_t *pids, size_t n)
{
    struct cprof_session_options options = defaults();

    options.pids = pids;
    options.n_pids = n;
    options.freq = 997;
    return options;
}

static size_t entries_of(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}

/* What must be as it was before a session, whatever became of it. */
struct before {
    size_t n_fds, n_threads;
    struct rlimit files;
};

static struct before look(void)
{
    struct before b = {entries_of("/proc/self/fd"), entries_of("/proc/self/task"), {0}};

    getrlimit(RLIMIT_NOFILE, &b.files);
    return b;
}

static void check_as_before(const struct before *b)
{
    struct before now = look();
    int status;

    /* a thread that was joined may be listed for a moment longer */
    for (int i = 0; i < 500 && now.n_threads != b->n_threads; i++) {
        usleep(10000);
        now = look();
    }
    CHECK_EQ(now.n_fds, b->n_fds);
    CHECK_EQ(now.n_threads, b->n_threads);
    CHECK_EQ(now.files.rlim_cur, b->files.rlim_cur);
    CHECK_EQ(waitpid(-1, &status, WNOHANG), -1); /* no child, not even a zombie */
    CHECK_EQ(errno, ECHILD);
}

/* A busy process of our own. */
static pid_t fork_busy(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned long i = 0;; i++)
            ;
    }
    return pid;
}

/* A thread of a chain: it works for 20 us and makes the next one. */
static void *link_of_chain(void *arg)
{
    struct timespec now, end;
    pthread_attr_t attr;
    pthread_t next;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    end.tv_nsec += 20000;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    while (pthread_create(&next, &attr, link_of_chain, arg))
        usleep(100);
    return NULL;
}

static pid_t fork_chains(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        link_of_chain(NULL);
        for (;;)
            pause();
    }
    usleep(20000);
    return pid;
}

static double cpu_seconds(pid_t pid)
{
    struct timespec now;
    clockid_t clock;

    CHECK_EQ(clock_getcpuclockid(pid, &clock), 0);
    CHECK_EQ(clock_gettime(clock, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Weight of the samples whose leaf is called `name`. */
static int64_t weight_of(const struct cprof_profile *p, const char *name)
{
    int64_t sum = 0;

    for (size_t i = 0; i < p->n; i++) {
        uint32_t function = cprof_stacks_leaf_function(p->stacks, p->stack[i]);
        if (function != CPROF_NONE &&
            !strcmp(
                cprof_stacks_text(p->stacks, p->stacks->functions.data[function].name),
                name))
            sum += cprof_profile_value(p, 1, i);
    }
    return sum;
}

static void wait_for_samples(struct cprof_session *s, uint64_t n)
{
    struct cprof_session_stats stats;
    time_t until = time(NULL) + 30;

    do {
        usleep(2000);
        cprof_session_stats(s, &stats);
    } while (stats.n_samples < n && time(NULL) < until);
    CHECK(stats.n_samples >= n);
}

static void test_a_burner_is_named_and_accounted(void)
{
    const char *const argv[] = {burner, "200", NULL};
    struct cprof_session_options options = of_child(argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_profile *p = NULL;
    struct cprof_error err = {0};
    double stolen = stolen_seconds();
    int64_t total;
    int status;

    CHECK_EQ(cprof_session_create(&options, &s, &err), 0);
    CHECK(cprof_session_child(s) > 0);
    CHECK_EQ(cprof_session_start(s, &err), 0);
    CHECK_EQ(cprof_session_start(s, &err), -EALREADY);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK_EQ(cprof_session_finish(s, &p, &err), 0);
    CHECK(cprof_session_child_status(s, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK_EQ(cprof_session_kill_child(s, SIGTERM), -ESRCH);
    total = cprof_profile_total(p, 1);
    CHECK(weight_of(p, "burn_here") > total * 8 / 10);
    /* 0.2 s of CPU time and a start of milliseconds, by samples and by the kernel */
    stolen = 1e9 * stolen_since(stolen);
    CHECK(total > 150000000 && (double)total < 300000000 + stolen);
    CHECK(p->run.cpu_time > 190000000 && (double)p->run.cpu_time < 300000000 + stolen);
    CHECK_EQ(p->run.n_records_bad, 0);
    cprof_session_destroy(s);
    cprof_profile_unref(p);
    check_as_before(&before);
}

static void test_a_program_that_ends_at_once(void)
{
    struct cprof_session_options options = of_child(true_argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_profile *p = NULL;
    int status;

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK(cprof_session_child_status(s, &status));
    CHECK_EQ(status, 0);
    CHECK_EQ(cprof_session_stop(s, NULL), 0);
    CHECK_EQ(cprof_session_stop(s, NULL), 0); /* twice */
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    cprof_profile_unref(p);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), -EINVAL);
    CHECK_EQ(cprof_session_snapshot(s, false, &p, NULL), -EINVAL);
    cprof_session_destroy(s);
    check_as_before(&before);
}

/* Windows since the last one: disjoint, in order, and together the whole. */
static void test_windows_add_up(void)
{
    pid_t pid = fork_busy();
    struct cprof_session_options options = of_pids(&pid, 1);
    struct cprof_profile *window, *whole = NULL;
    struct cprof_session_stats stats;
    struct cprof_session *s = NULL;
    uint64_t last = 0;
    size_t n = 0, n_wrong = 0;
    int64_t weight = 0;

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_snapshot(s, false, &window, NULL), -EINVAL);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    for (int i = 0; i < 12; i++) {
        if (i < 11)
            wait_for_samples(s, (uint64_t)(i + 1) * 10);
        else
            CHECK_EQ(cprof_session_stop(s, NULL), 0);
        window = NULL;
        CHECK_EQ(cprof_session_snapshot(s, true, &window, NULL), 0);
        for (size_t k = 0; k < window->n; k++) {
            n_wrong += window->time[k] < last;
            last = window->time[k];
        }
        n += window->n;
        weight += cprof_profile_total(window, 1);
        cprof_profile_unref(window);
    }
    CHECK_EQ(n_wrong, 0);
    CHECK_EQ(cprof_session_finish(s, &whole, NULL), 0);
    CHECK_EQ(whole->n, n);
    cprof_session_stats(s, &stats);
    if (!stats.n_lost) /* by the kernel's notes in windows, by its counters in the end */
        CHECK_EQ(cprof_profile_total(whole, 1), weight);
    CHECK(n >= 100);
    cprof_session_destroy(s);
    cprof_profile_unref(whole);
    end(pid);
}

static void test_a_snapshot_stands_still(void)
{
    pid_t pid = fork_busy();
    struct cprof_session_options options = of_pids(&pid, 1);
    struct cprof_profile *early = NULL, *late = NULL;
    struct cprof_session *s = NULL;
    size_t n;

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    wait_for_samples(s, 20);
    CHECK_EQ(cprof_session_snapshot(s, false, &early, NULL), 0);
    n = early->n;
    CHECK(n >= 19);
    wait_for_samples(s, 60);
    CHECK_EQ(cprof_session_snapshot(s, false, &late, NULL), 0);
    CHECK_EQ(early->n, n);
    CHECK(late->n > n);
    CHECK(weight_of(late, "fork_busy") > cprof_profile_total(late, 1) / 2);
    cprof_session_destroy(s);
    CHECK(weight_of(early, "fork_busy") > 0); /* it outlives its session */
    cprof_profile_unref(early);
    cprof_profile_unref(late);
    end(pid);
}

static void test_a_process_named_twice_is_recorded_once(void)
{
    pid_t pid = fork_busy(), pids[] = {pid, pid, pid};
    struct cprof_session_options options = of_pids(pids, 3);
    struct cprof_session_stats stats;
    struct cprof_profile *p = NULL;
    struct cprof_session *s = NULL;
    int64_t span;

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    cprof_session_stats(s, &stats);
    CHECK_EQ(stats.n_targets, 1);
    wait_for_samples(s, 100);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    span = (int64_t)(p->run.end_mono - p->run.start_mono);
    CHECK(cprof_profile_total(p, 1) <= span * 11 / 10); /* one thread is on one CPU */
    cprof_session_destroy(s);
    cprof_profile_unref(p);
    end(pid);
}

/* Threads that are found while the events are opened may have inherited them already:
 * their time, and that of all that come after them, counts once. */
static void test_threads_that_come_while_attaching_count_once(void)
{
    struct cprof_session_options options;
    struct cprof_session *s;
    struct cprof_profile *p;
    double used, total, stolen;
    pid_t pid;

    for (int i = 0; i < 25; i++) {
        pid = fork_chains();
        options = of_pids(&pid, 1);
        options.freq = 5000;
        CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
        stolen = stolen_seconds();
        used = cpu_seconds(pid);
        CHECK_EQ(cprof_session_start(s, NULL), 0);
        usleep(60000);
        CHECK_EQ(cprof_session_stop(s, NULL), 0);
        used = cpu_seconds(pid) - used;
        CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
        total = (double)cprof_profile_total(p, 1) / 1e9;
        /* by the kernel's count, and by samples (few: no thread has a whole period) */
        stolen = stolen_since(stolen);
        CHECK((double)p->run.cpu_time / 1e9 < used * 1.1 + stolen);
        CHECK(total < used * 1.1 + stolen);
        cprof_session_destroy(s);
        cprof_profile_unref(p);
        end(pid);
    }
}

/* A target that has ended is an error before the start and an end after it. */
static void test_a_target_that_ends_between_open_and_start(void)
{
    pid_t pid = fork_busy();
    struct cprof_session_options options = of_pids(&pid, 1);
    struct before before;
    struct cprof_profile *p = NULL;
    struct cprof_session *s = NULL;

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    end(pid);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    CHECK_EQ(p->n, 0);
    cprof_profile_unref(p);
    cprof_session_destroy(s);
    before = look();
    CHECK_EQ(cprof_session_create(&options, &s, NULL), -ESRCH);
    check_as_before(&before);
}

static void test_destroyed_at_each_stage(void)
{
    const char *const argv[] = {burner, "60000", NULL};
    struct cprof_session_options options = of_child(argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    pid_t pid;

    cprof_session_destroy(NULL);
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    pid = cprof_session_child(s);
    cprof_session_destroy(s); /* never let go: it never ran */
    CHECK_EQ(kill(pid, 0), -1);
    check_as_before(&before);
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    pid = cprof_session_child(s);
    cprof_session_destroy(s); /* runs on */
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    end(pid);
    check_as_before(&before);
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    CHECK_EQ(cprof_session_kill_child(s, SIGTERM), 0);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK_EQ(cprof_session_stop(s, NULL), 0);
    cprof_session_destroy(s);
    check_as_before(&before);
}

/* Two children wait at once; each ends for itself. */
static void test_two_sessions_with_waiting_children(void)
{
    struct cprof_session_options options = of_child(true_argv);
    struct before before = look();
    struct cprof_session *a = NULL, *b = NULL;

    CHECK_EQ(cprof_session_create(&options, &a, NULL), 0);
    CHECK_EQ(cprof_session_create(&options, &b, NULL), 0);
    cprof_session_destroy(a);
    CHECK_EQ(cprof_session_start(b, NULL), 0);
    CHECK_EQ(cprof_session_wait(b, 30000), 1);
    cprof_session_destroy(b);
    check_as_before(&before);
}

static void check_refused(const struct cprof_session_options *options, int code,
                          const char *words)
{
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_error err = {0};
    int r = cprof_session_create(options, &s, &err);

    CHECK_EQ(r, code);
    CHECK_EQ(err.code, code);
    CHECK(strstr(err.message, words) != NULL);
    if (!strstr(err.message, words))
        fprintf(stderr, "said: %s\n", err.message);
    CHECK(s == NULL);
    CHECK_EQ(cprof_session_create(options, &s, NULL), code);
    check_as_before(&before);
}

static void test_targets_that_are_refused(void)
{
    static const pid_t gone[] = {0x7ffffff0, 0, -1};
    const pid_t kernel_thread = 2;
    struct cprof_session_options options;
    struct cprof_session *s;
    siginfo_t info;
    pid_t zombie;

    for (size_t i = 0; i < 3; i++) {
        options = of_pids(&gone[i], 1);
        check_refused(&options, -ESRCH, "no process");
    }
    options = of_pids(&kernel_thread, 1);
    check_refused(&options, -EINVAL, "kernel thread");
    options = of_pids(gone, 0);
    check_refused(&options, -EINVAL, "no process given");
    zombie = fork();
    if (zombie == 0)
        _exit(0);
    waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT);
    options = of_pids(&zombie, 1);
    CHECK_EQ(cprof_session_create(&options, &s, NULL), -ESRCH);
    waitpid(zombie, NULL, 0);
}

static void test_options_that_are_refused(void)
{
    static const char *const none[] = {NULL}, *const empty[] = {"", NULL};
    struct cprof_session_options options = of_child(true_argv);

    options.event = "no-such-event";
    check_refused(&options, -EOPNOTSUPP, "no-such-event");
    options = of_child(true_argv);
    options.freq = 1e12;
    check_refused(&options, -EINVAL, "above the kernel's limit");
    options.freq = -1;
    check_refused(&options, -EINVAL, "positive freq");
    options.freq = 1e-300;
    check_refused(&options, -EINVAL, "at least");
    options.freq = 0.0 / 0.0;
    check_refused(&options, -EINVAL, "freq");
    options.freq = 99;
    options.period = 1000000;
    check_refused(&options, -EINVAL, "freq");
    options = of_child(true_argv);
    options.unwind = "magic";
    check_refused(&options, -EINVAL, "magic");
    options = of_child(true_argv);
    options.stack_bytes = 65529;
    check_refused(&options, -EINVAL, "stack_bytes");
    options = of_child(true_argv);
    options.stack = "some";
    check_refused(&options, -EINVAL, "stack");
    options = of_child(true_argv);
    options.verify = 1.5;
    check_refused(&options, -EINVAL, "verify");
    options.verify = 0.0 / 0.0;
    check_refused(&options, -EINVAL, "verify");
    options = of_child(none);
    check_refused(&options, -EINVAL, "empty");
    options = of_child(empty);
    check_refused(&options, -EINVAL, "empty");
    options.pids = &(pid_t){1};
    check_refused(&options, -EINVAL, "a command or processes");
    options.pids = NULL;
    options.argv = NULL;
    check_refused(&options, -EINVAL, "a command or processes");
}

static void test_a_command_that_does_not_exist(void)
{
    static const char *const argv[] = {"/no/such/command", NULL};
    struct cprof_session_options options = of_child(argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_profile *p;
    struct cprof_error err = {0};

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, &err), -ENOENT);
    CHECK(strstr(err.message, "/no/such/command") != NULL);
    CHECK_EQ(cprof_session_kill_child(s, SIGKILL), -ESRCH);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), -EINVAL);
    cprof_session_destroy(s);
    check_as_before(&before);
}

/* page-faults with a period of 1: every value of both columns is 1. */
static void test_an_event_counted_one_by_one(void)
{
    struct cprof_session_options options = of_child(true_argv);
    struct cprof_profile *p = NULL;
    struct cprof_session *s = NULL;

    options.event = "page-faults:u";
    options.period = 1;
    options.stack_bytes = 1024; /* so little that none is lost */
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    CHECK(p->n > 10);
    CHECK_EQ(cprof_profile_total(p, 1), (int64_t)p->n);
    cprof_session_destroy(s);
    cprof_profile_unref(p);
}

/* Everybody at once: the sanitizers and the counts tell. */
static void *stop_it(void *session)
{
    CHECK_EQ(cprof_session_stop(session, NULL), 0);
    return NULL;
}

static void *look_at_it(void *session)
{
    struct cprof_session_stats stats;
    struct cprof_profile *p;
    int status;

    for (int i = 0; i < 20; i++) {
        cprof_session_stats(session, &stats);
        cprof_session_child_status(session, &status);
        if (cprof_session_snapshot(session, i % 2, &p, NULL) == 0)
            cprof_profile_unref(p);
    }
    return NULL;
}

static void test_stop_and_snapshots_from_many_threads(void)
{
    const char *const argv[] = {burner, "60000", NULL};
    struct cprof_session_options options = of_child(argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_profile *p = NULL;
    pthread_t threads[6];

    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    wait_for_samples(s, 10);
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, i < 3 ? look_at_it : stop_it, s);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    CHECK(p->n >= 10);
    CHECK_EQ(cprof_session_kill_child(s, SIGKILL), 0);
    waitpid(cprof_session_child(s), NULL, 0);
    cprof_session_destroy(s);
    cprof_profile_unref(p);
    check_as_before(&before);
}

static int create_and_finish(void *options)
{
    struct cprof_session *s = NULL;
    struct cprof_profile *p = NULL;
    int r = cprof_session_create(options, &s, NULL);

    if (r == 0)
        r = cprof_session_start(s, NULL);
    if (r == 0) {
        cprof_session_wait(s, 30000);
        r = cprof_session_finish(s, &p, NULL);
    }
    cprof_session_destroy(s);
    cprof_profile_unref(p);
    while (waitpid(-1, NULL, 0) > 0)
        ; /* a child that was let go before a failure */
    return r;
}

/* With stacks read on in the live process; the same as a process that runs. */
static void test_exact_stacks(void)
{
    const char *const argv[] = {burner, "200", NULL};
    struct cprof_session_options options = of_child(argv);
    struct before before = look();
    struct cprof_session *s = NULL;
    struct cprof_profile *p = NULL;
    pid_t pid;

    options.stack = "exact";
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    CHECK_EQ(cprof_session_finish(s, &p, NULL), 0);
    CHECK(weight_of(p, "burn_here") > cprof_profile_total(p, 1) * 8 / 10);
    cprof_session_destroy(s);
    cprof_profile_unref(p);
    pid = fork_busy();
    options = of_pids(&pid, 1);
    options.stack = "exact";
    CHECK_EQ(cprof_session_create(&options, &s, NULL), 0);
    CHECK_EQ(cprof_session_start(s, NULL), 0);
    wait_for_samples(s, 50);
    end(pid); /* its events hang up: no reader may follow that */
    CHECK_EQ(cprof_session_wait(s, 30000), 1);
    cprof_session_destroy(s);
    check_as_before(&before);
}

/* The first allocations, one by one; not those of naming and reading files, which have
 * sweeps of their own. */
static void test_failing_allocations_leave_nothing_behind(void)
{
    struct cprof_session_options options = of_child(true_argv);
    struct before before = look();

    for (long n = 1; n <= 200; n++) {
        int r;
        options.stack = n % 2 ? "exact" : "auto";
        test_n_allocated = 0;
        test_fail_at = (n + 1) / 2;
        r = create_and_finish(&options);
        test_fail_at = 0;
        CHECK(r == 0 || r == -ENOMEM);
    }
    check_as_before(&before);
}

/* libunwind opens a pipe with its first step, for good. */
static void warm_up(void)
{
    const char *const argv[] = {burner, "50", NULL};
    struct cprof_session_options options = of_child(argv);

    CHECK_EQ(create_and_finish(&options), 0);
}

int main(void)
{
    int r = cprof_probe_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, false);
    struct cprof_error err = {0};

    if (r < 0) {
        cprof_probe_refusal(r, 0, false, &err);
        SKIP(err.message);
        return test_report(__FILE__);
    }
    CHECK(build_burner());
    warm_up();
    RUN(test_a_burner_is_named_and_accounted);
    RUN(test_a_program_that_ends_at_once);
    RUN(test_windows_add_up);
    RUN(test_a_snapshot_stands_still);
    RUN(test_a_process_named_twice_is_recorded_once);
    RUN(test_threads_that_come_while_attaching_count_once);
    RUN(test_a_target_that_ends_between_open_and_start);
    RUN(test_destroyed_at_each_stage);
    RUN(test_two_sessions_with_waiting_children);
    RUN(test_targets_that_are_refused);
    RUN(test_options_that_are_refused);
    RUN(test_a_command_that_does_not_exist);
    RUN(test_an_event_counted_one_by_one);
    RUN(test_stop_and_snapshots_from_many_threads);
    RUN(test_exact_stacks);
    RUN(test_failing_allocations_leave_nothing_behind);
    unlink(burner);
    rmdir(dir);
    return test_report(__FILE__);
}
