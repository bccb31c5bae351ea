#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "session_internal.h"
#include "thread.h"
#include "view.h"

enum {
    POLL_MS = 100,           /* look at least so often: ends of targets, jitter */
    SETTLE_NS = 1000 * 1000, /* records older than this have all been written */
};

uint64_t cprof_session_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t unix_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- creation ---- */

static int pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

static int add_target(struct cprof_session *s, pid_t pid, struct cprof_error *err)
{
    struct cprof_session_target target = {.pid = pid};
    struct cprof_proc_status status;
    int r = pid > 0 ? cprof_proc_status(pid, pid, &status) : -ESRCH;

    if (r < 0)
        return cprof_error_set(err, r, "session: no process has the number %d", pid);
    if (status.state == 'Z')
        return cprof_error_set(
            err, -ESRCH,
            "session: process %d has ended (a zombie: its parent %d has "
            "not waited for it)",
            pid, status.parent);
    if (status.is_kernel_thread)
        return cprof_error_set(err, -EINVAL,
                               "session: %d is a kernel thread: it has no user code to "
                               "profile",
                               pid);
    target.pidfd = pidfd_open(pid);
    if (target.pidfd == -EINVAL) /* the number of a thread: profile its process */
        return cprof_error_set(err, -EINVAL,
                               "session: %d is a thread, not a process: give its process",
                               pid);
    if (target.pidfd < 0)
        return cprof_error_set(err, target.pidfd, "session: cannot watch process %d: %s",
                               pid, strerror(-target.pidfd));
    if (cprof_vec_push(&s->targets, target) < 0) {
        close(target.pidfd);
        return cprof_error_set(err, -ENOMEM, "session: out of memory");
    }
    return 0;
}

static bool is_target(const struct cprof_session *s, pid_t pid)
{
    for (size_t i = 0; i < s->targets.n; i++)
        if (s->targets.data[i].pid == pid)
            return true;
    return false;
}

static int add_targets(struct cprof_session *s,
                       const struct cprof_session_options *options,
                       struct cprof_error *err)
{
    char name[64];
    int r = 0;

    if (s->is_attached) {
        if (!options->n_pids)
            return cprof_error_set(err, -EINVAL, "session: no process given");
        for (size_t i = 0; r == 0 && i < options->n_pids; i++)
            if (!is_target(s, options->pids[i])) /* twice in the list is not twice */
                r = add_target(s, options->pids[i], err);
        snprintf(name, sizeof(name), "pid %d", options->pids[0]);
        s->name = strdup(name);
    } else {
        if (!options->argv[0] || !options->argv[0][0])
            return cprof_error_set(err, -EINVAL, "session: the command is empty");
        s->name = strdup(options->argv[0]);
        r = cprof_child_create(&s->child, options->argv, options->envp, options->cwd,
                               options->stdio, &s->files, err);
        s->child_pid = s->child.pid;
        if (r == 0)
            r = add_target(s, s->child.pid, err);
    }
    if (r == 0 && !s->name)
        r = cprof_error_set(err, -ENOMEM, "session: out of memory");
    return r;
}

static int make_tables(struct cprof_session *s, int lines)
{
    int r;

    s->chain = malloc(sizeof(*s->chain));
    s->frames = malloc((CPROF_KERNEL_FRAMES_MAX + CPROF_UNWIND_MAX_FRAMES + 1) *
                       sizeof(*s->frames));
    if (s->unwind->reference)
        s->reference = malloc(sizeof(*s->reference));
    if (!s->chain || !s->frames || (s->unwind->reference && !s->reference) ||
        cprof_unwind_builder_create(s->wake_fd, true, &s->builder) < 0 ||
        cprof_stacks_create(&s->stacks) < 0 ||
        cprof_profile_create(s->stacks, &s->profile) < 0)
        return -ENOMEM;
    s->processes.unwind = s->unwind;
    s->processes.stacks = s->stacks;
    s->stacks->is_without_lines = !lines;
    s->wants_all_lines = lines > 0;
    r = cprof_locator_init(&s->locator, s->stacks, &s->processes.dsos);
    s->locator.wants_lines = lines != 0;
    s->locator.liner.most = CPROF_LINES_AT_ONCE;
    return r;
}

static void command_text(const struct cprof_session *s,
                         const struct cprof_session_options *options, char *text,
                         size_t room)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; s->is_attached && i < s->targets.n && n < room; i++) {
        char command[1024];
        cprof_proc_command(s->targets.data[i].pid, command, sizeof(command));
        n += (size_t)snprintf(text + n, room - n, "%s%s", i ? "; " : "", command);
    }
    for (size_t i = 0; !s->is_attached && options->argv[i] && n < room; i++)
        n += (size_t)snprintf(text + n, room - n, "%s%s", i ? " " : "", options->argv[i]);
}

static int fill_run(struct cprof_session *s, const struct cprof_session_options *options)
{
    struct cprof_run *run = &s->profile->run;
    const char *type = s->event->is_clock || s->is_scaled ? "cpu" : s->event->name;
    const char *unit = s->event->is_clock || s->is_scaled ? "nanoseconds" : "count";
    struct utsname host = {0};
    char command[4096];
    int r = cprof_profile_add_type(s->profile, "samples", "count");

    uname(&host);
    command_text(s, options, command, sizeof(command));
    run->rate_asked = s->freq;
    run->period = s->period;
    run->stack_bytes = s->stack_bytes;
    run->is_kernel_excluded = s->is_kernel_excluded;
    run->has_times = true;
    if (r == 0)
        r = cprof_profile_add_type(s->profile, type, unit);
    if (r == 0)
        r = cprof_stacks_string(s->stacks, s->event->name, &run->event);
    if (r == 0)
        r = cprof_stacks_string(s->stacks, type, &run->period_type);
    if (r == 0)
        r = cprof_stacks_string(s->stacks, unit, &run->period_unit);
    if (r == 0)
        r = cprof_stacks_string(s->stacks, s->unwind->name, &run->unwinder);
    if (r == 0)
        r = cprof_stacks_string(s->stacks, command, &run->command);
    return r < 0 ? r : cprof_stacks_string(s->stacks, host.nodename, &run->host);
}

static int find_stack_mode(const char *word)
{
    static const char *const words[] = {"auto", "dump", "exact"};

    for (int i = 0; i < 3; i++)
        if (!word || !strcmp(word, words[i]))
            return i;
    return -EINVAL;
}

static int fill(struct cprof_session *s, const struct cprof_session_options *options,
                struct cprof_error *err)
{
    int r;

    s->unwind = cprof_unwind_find(options->unwind);
    if (!s->unwind)
        return cprof_error_set(err, -EINVAL,
                               "session: no unwinder is called \"%.40s\"; known: auto "
                               "table libunwind fp",
                               options->unwind);
    if (!options->argv == !options->pids)
        return cprof_error_set(err, -EINVAL, "session: give a command or processes");
    s->is_attached = options->pids != NULL;
    s->jitter = options->jitter;
    s->follow = options->follow;
    s->verify = options->verify;
    r = find_stack_mode(options->stack);
    if (r < 0)
        return cprof_error_set(err, r,
                               "session: stack is auto, exact or dump, not \"%.40s\"",
                               options->stack);
    s->stack_mode = (enum cprof_stack_mode)r;
    if (!(options->verify >= 0 && options->verify <= 1))
        return cprof_error_set(err, -EINVAL, "session: verify is a share from 0 to 1");
    if (getrandom(&s->random, sizeof(s->random), 0) < 0 || !s->random)
        s->random = cprof_session_now() | 1;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0 || s->done_fd < 0)
        return cprof_error_set(err, -errno, "session: cannot make an eventfd: %s",
                               strerror(errno));
    getrlimit(RLIMIT_NOFILE, &s->files);
    r = make_tables(s, options->lines);
    if (r == 0)
        r = cprof_probe_cpus(&s->cpus);
    if (r < 0)
        return cprof_error_set(err, r, "session: %s", strerror(-r));
    r = add_targets(s, options, err);
    if (r == 0)
        r = cprof_session_begin_exact(s, err);
    if (r == 0)
        r = cprof_session_open(s, options, err);
    if (r < 0)
        return r;
    r = fill_run(s, options);
    return r < 0 ? cprof_error_set(err, r, "session: out of memory") : 0;
}

int cprof_session_create(const struct cprof_session_options *options,
                         struct cprof_session **ret, struct cprof_error *err)
{
    struct cprof_session *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return cprof_error_set(err, -ENOMEM, "session: out of memory");
    s->wake_fd = s->done_fd = -1;
    s->child.go_fd = s->child.failure_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->turn_lock, NULL);
    r = fill(s, options, err);
    if (r < 0) {
        cprof_session_destroy(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void restore_file_limit(struct cprof_session *s)
{
    if (s->has_raised_files)
        setrlimit(RLIMIT_NOFILE, &s->files);
}

void cprof_session_destroy(struct cprof_session *s)
{
    if (!s)
        return;
    cprof_session_stop(s, NULL);
    cprof_child_deinit(&s->child);
    cprof_session_end_exact(s);
    cprof_vec_free(&s->exact);
    cprof_session_close_rings(s);
    cprof_vec_free(&s->rings);
    cprof_counter_deinit(&s->keeper);
    cprof_counter_deinit(&s->tracker);
    cprof_counter_deinit(&s->sampler);
    for (size_t i = 0; i < s->targets.n; i++)
        if (s->targets.data[i].pidfd >= 0)
            close(s->targets.data[i].pidfd);
    cprof_vec_free(&s->targets);
    cprof_unwind_builder_destroy(s->builder);
    cprof_processes_deinit(&s->processes);
    cprof_locator_deinit(&s->locator);
    cprof_vec_free(&s->jitters);
    cprof_vec_free(&s->lost);
    cprof_vec_free(&s->cpus.numbers);
    cprof_profile_unref(s->profile);
    cprof_stacks_unref(s->stacks);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->done_fd >= 0)
        close(s->done_fd);
    restore_file_limit(s);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->turn_lock);
    free(s->polled);
    free(s->chain);
    free(s->reference);
    free(s->frames);
    free(s->name);
    free(s);
}

/* ---- the drain thread ---- */

/* Under the lock: nobody may signal the child between its end and our knowing of it. */
static void reap_child(struct cprof_session *s)
{
    int status;

    if (s->child_pid && !s->child_ended &&
        waitpid(s->child_pid, &status, WNOHANG) == s->child_pid) {
        s->child_status = status;
        s->child_ended = true;
        s->child.pid = 0;
    }
}

/* A target's pidfd is readable: it has ended. When all have, tell who waits. */
static void note_ended(struct cprof_session *s, struct cprof_session_target *target)
{
    size_t n_left = 0;

    close(target->pidfd);
    target->pidfd = -1;
    reap_child(s);
    for (size_t i = 0; i < s->targets.n; i++)
        n_left += s->targets.data[i].pidfd >= 0;
    if (n_left)
        return;
    atomic_store(&s->is_done, true);
    cprof_thread_wake(s->done_fd);
}

static size_t fill_poll(struct cprof_session *s, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < s->targets.n; i++)
        fds[n++] = (struct pollfd){.fd = s->targets.data[i].pidfd, .events = POLLIN};
    for (size_t i = 0; i < s->rings.n; i++) {
        const struct cprof_session_ring *ring = &s->rings.data[i];
        bool is_polled = !ring->is_deaf && !ring->is_exact;
        fds[n++] = (struct pollfd){.fd = is_polled ? ring->fd : -1, .events = POLLIN};
    }
    return n;
}

static void look_at(struct cprof_session *s, const struct pollfd *fds)
{
    uint64_t count;

    if (fds[0].revents && read(s->wake_fd, &count, sizeof(count)) < 0)
        return; /* spurious */
    for (size_t i = 0; i < s->targets.n; i++)
        if (fds[1 + i].revents)
            note_ended(s, &s->targets.data[i]);
    for (size_t i = 0; i < s->rings.n; i++)
        if (fds[1 + s->targets.n + i].revents & (POLLHUP | POLLERR | POLLNVAL))
            s->rings.data[i].is_deaf = true; /* it would poll as hung up at once */
}

static void *drain_thread(void *arg)
{
    struct cprof_session *s = arg;
    int n_ready;

    if (s->stack_mode == CPROF_STACK_EXACT)
        cprof_session_hurry();
    while (!atomic_load(&s->stop_asked)) {
        n_ready = poll(s->polled, fill_poll(s, s->polled), POLL_MS);
        pthread_mutex_lock(&s->lock);
        if (n_ready > 0)
            look_at(s, s->polled);
        cprof_session_drain(s, cprof_session_now() - SETTLE_NS, false);
        cprof_session_adjust_exact(s);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static int start_thread(struct cprof_session *s)
{
    int r;

    free(s->polled); /* of a start that failed */
    s->polled = calloc(1 + s->targets.n + 2 * s->cpus.numbers.n, sizeof(*s->polled));
    if (!s->polled)
        return -ENOMEM;
    r = cprof_thread_start("cprof-drain", drain_thread, s, &s->thread);
    s->has_thread = r == 0;
    return r;
}

/* ---- start and stop ---- */

/* Names of threads and maps of what runs already; after enabling, so that whatever
 * changes later comes as a record. */
static int read_attached(struct cprof_session *s)
{
    struct cprof_tasks tasks = {0};
    struct cprof_process *process;
    struct cprof_task *task;
    char path[64], exe[CPROF_FILENAME_MAX];
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->targets.n; i++) {
        pid_t pid = s->targets.data[i].pid;
        uint64_t now = cprof_session_now();
        r = cprof_processes_get(&s->processes, pid, &process);
        if (r == 0)
            process->maps_read = now;
        if (r < 0 || cprof_proc_tasks(pid, &tasks) < 0)
            continue;
        for (size_t k = 0; r == 0 && k < tasks.ids.n; k++)
            r = cprof_processes_task(&s->processes, pid, tasks.ids.data[k], NULL, &task);
    }
    cprof_vec_free(&tasks.ids);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/exe", s->targets.data[0].pid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    return cprof_session_note_exe(s, s->targets.data[0].pid, exe);
}

static int start_attached(struct cprof_session *s)
{
    int r = cprof_counter_enable(&s->tracker);

    if (r == 0)
        r = cprof_counter_enable(&s->sampler);
    return r < 0 ? r : read_attached(s);
}

static int start_once(struct cprof_session *s, struct cprof_error *err)
{
    int r;

    s->profile->run.start_mono = s->cut_time = cprof_session_now();
    s->profile->run.start_unix = unix_now();
    r = cprof_session_start_exact(s, err);
    if (r < 0)
        return r;
    if (s->is_attached) {
        r = start_attached(s);
    } else {
        r = cprof_child_go(&s->child, s->name, err);
        s->child_pid = s->child.pid; /* none any more when it could not be run */
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = start_thread(s);
    return r < 0 ? cprof_error_set(err, r, "session: cannot start: %s", strerror(-r)) : 0;
}

int cprof_session_start(struct cprof_session *s, struct cprof_error *err)
{
    int r;

    pthread_mutex_lock(&s->turn_lock);
    if (s->is_started) {
        r = cprof_error_set(err, -EALREADY, "session: it was started before");
    } else {
        r = start_once(s, err);
        pthread_mutex_lock(&s->lock);
        s->is_started = r == 0;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&s->turn_lock);
    return r;
}

/* What the kernel counted: CPU time, losses; and for hardware events sampled as CPU time,
 * how many nanoseconds one of them stands for. */
static void read_counts(struct cprof_session *s)
{
    struct cprof_counts counts;

    cprof_counter_read(&s->sampler, &counts);
    s->profile->run.cpu_time = s->event->is_clock ? counts.value : counts.time_running;
    s->n_lost_counted = counts.n_lost;
    s->has_lost_counted = counts.has_lost;
    s->scale = counts.value ? (double)counts.time_running / (double)counts.value : 1;
}

/* Rows of lost samples hold what the kernel's notes of loss said, which count all kinds
 * of records; the counters know how many samples were lost. Make the rows add up to that.
 */
static int settle_lost(struct cprof_session *s)
{
    struct cprof_profile *p = s->profile;
    int64_t weight = (int64_t)cprof_session_mean_weight(s), value;
    uint64_t noted = 0, seen = 0, share, given = 0;
    int r = 0;

    for (size_t i = 0; i < s->lost.n; i++)
        noted += s->lost.data[i].n;
    if (!s->has_lost_counted || noted == s->n_lost_counted)
        return 0;
    if (!noted)
        return cprof_session_add_lost(s, p->run.end_mono, s->n_lost_counted);
    for (size_t i = 0; r == 0 && i < s->lost.n; i++) {
        size_t row = s->lost.data[i].row;
        seen += s->lost.data[i].n;
        share = (uint64_t)((double)s->n_lost_counted * (double)seen / (double)noted + .5);
        value = (int64_t)(share - given);
        given = share;
        r = cprof_profile_set_value(p, 0, row, value);
        if (r == 0)
            r = cprof_profile_set_value(p, 1, row, value * weight);
    }
    return r;
}

/* Hardware events that stand for CPU time: one count is so many nanoseconds. */
static int scale_weights(struct cprof_session *s, struct cprof_profile *p)
{
    int r = 0;

    for (size_t i = 0; s->is_scaled && r == 0 && i < p->n; i++) {
        double scaled = (double)cprof_profile_value(p, 1, i) * s->scale;
        r = cprof_profile_set_value(p, 1, i, (int64_t)(scaled + 0.5));
    }
    return r;
}

static int stop_once(struct cprof_session *s)
{
    int r;

    pthread_mutex_lock(&s->lock); /* the thread may close some */
    cprof_counter_disable(&s->sampler);
    cprof_counter_disable(&s->tracker);
    pthread_mutex_unlock(&s->lock);
    atomic_store(&s->stop_asked, true);
    if (s->has_thread) {
        cprof_thread_wake(s->wake_fd);
        pthread_join(s->thread, NULL);
    }
    s->has_thread = false;
    pthread_mutex_lock(&s->lock);
    s->is_stopped = true;
    r = cprof_session_drain(s, UINT64_MAX, true);
    cprof_session_end_exact(s);
    s->profile->run.end_mono = cprof_session_now();
    read_counts(s);
    if (r == 0)
        r = settle_lost(s);
    reap_child(s);
    pthread_mutex_unlock(&s->lock);
    cprof_thread_wake(s->done_fd); /* who waits need not wait longer */
    return r;
}

int cprof_session_stop(struct cprof_session *s, struct cprof_error *err)
{
    int r = 0;

    pthread_mutex_lock(&s->turn_lock);
    if (s->is_started && !s->is_stopped)
        r = stop_once(s);
    pthread_mutex_unlock(&s->turn_lock);
    return r < 0 ? cprof_error_set(err, r, "session: out of memory") : 0;
}

int cprof_session_wait(struct cprof_session *s, int timeout_ms)
{
    struct pollfd fd = {.fd = s->done_fd, .events = POLLIN};

    if (atomic_load(&s->is_done))
        return 1;
    if (poll(&fd, 1, timeout_ms) < 0)
        return errno == EINTR ? -EINTR : 0;
    return atomic_load(&s->is_done);
}

/* ---- profiles ---- */

static void set_span(struct cprof_profile *p, uint64_t until)
{
    p->run.end_mono = until;
    p->from = 0;
    p->to = until > p->run.start_mono ? (double)(until - p->run.start_mono) / 1e9 : 0;
}

static int name_all(struct cprof_session *s)
{
    int r = cprof_locator_name_all(&s->locator);

    s->profile->run.n_lines_refused = s->locator.liner.n_refused;
    return r;
}

/* The lines of all code, where they were asked for: not under the lock, as it may take a
 * while. *p is taken over. */
static int add_all_lines(const struct cprof_session *s, struct cprof_profile *p,
                         struct cprof_profile **ret, struct cprof_error *err)
{
    int r = 0;

    if (s->wants_all_lines) {
        r = cprof_profile_with_lines(p, false, ret, err);
        cprof_profile_unref(p);
    } else {
        *ret = p;
    }
    return r;
}

/* Take in what is there and name it; *until is the time up to which all is in. */
static int catch_up(struct cprof_session *s, uint64_t *until)
{
    int r = 0;

    if (s->is_stopped) {
        *until = s->profile->run.end_mono;
    } else {
        *until = cprof_session_now() - SETTLE_NS;
        r = cprof_session_drain(s, *until, true);
        read_counts(s);
    }
    return r < 0 ? r : name_all(s);
}

/* A copy of `rows`, which belong to the live profile, that goes on without it. */
static int copy_rows(struct cprof_session *s, const struct cprof_profile *rows,
                     struct cprof_profile **ret)
{
    struct cprof_profile *copy;
    struct cprof_stacks *stacks;
    int r = cprof_stacks_copy(s->stacks, &stacks);

    if (r < 0)
        return r;
    r = cprof_profile_copy(rows, stacks, &copy);
    cprof_stacks_unref(stacks);
    if (r < 0)
        return r;
    r = scale_weights(s, copy);
    if (r == 0)
        *ret = copy;
    else
        cprof_profile_unref(copy);
    return r;
}

static int copy_locked(struct cprof_session *s, bool since_last,
                       struct cprof_profile **ret)
{
    struct cprof_profile *window;
    uint64_t until;
    int r = catch_up(s, &until);

    if (r < 0)
        return r;
    set_span(s->profile, until);
    if (!since_last)
        return copy_rows(s, s->profile, ret);
    r = cprof_view_window(s->profile, s->cut_time, until + 1, &window, NULL);
    if (r < 0)
        return r;
    r = copy_rows(s, window, ret);
    cprof_profile_unref(window);
    if (r == 0)
        s->cut_time = until + 1;
    return r;
}

static int not_recording(struct cprof_error *err)
{
    return cprof_error_set(err, -EINVAL, "session: it is not recording");
}

int cprof_session_snapshot(struct cprof_session *s, bool since_last,
                           struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_profile *copy = NULL;
    bool is_recording;
    int r = 0;

    pthread_mutex_lock(&s->lock);
    is_recording = s->is_started && !s->is_finished;
    if (is_recording)
        r = copy_locked(s, since_last, &copy);
    pthread_mutex_unlock(&s->lock);
    if (!is_recording)
        return not_recording(err);
    if (r < 0)
        return cprof_error_set(err, r, "session: %s", strerror(-r));
    return add_all_lines(s, copy, ret, err);
}

static int finish_locked(struct cprof_session *s, struct cprof_profile **ret)
{
    int r = name_all(s);

    if (r == 0)
        r = scale_weights(s, s->profile);
    if (r < 0)
        return r;
    set_span(s->profile, s->profile->run.end_mono);
    s->is_finished = true;
    *ret = cprof_profile_ref(s->profile);
    return 0;
}

int cprof_session_finish(struct cprof_session *s, struct cprof_profile **ret,
                         struct cprof_error *err)
{
    struct cprof_profile *whole = NULL;
    bool is_recording;
    int r = cprof_session_stop(s, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    is_recording = s->is_started && !s->is_finished;
    if (is_recording)
        r = finish_locked(s, &whole);
    pthread_mutex_unlock(&s->lock);
    if (!is_recording)
        return not_recording(err);
    if (r < 0)
        return cprof_error_set(err, r, "session: out of memory");
    return add_all_lines(s, whole, ret, err);
}

void cprof_session_stats(struct cprof_session *s, struct cprof_session_stats *ret)
{
    memset(ret, 0, sizeof(*ret));
    pthread_mutex_lock(&s->lock);
    ret->n_samples = s->profile->n - s->lost.n;
    for (size_t i = 0; i < s->lost.n; i++)
        ret->n_lost += (uint64_t)cprof_profile_value(s->profile, 0, s->lost.data[i].row);
    for (size_t i = 0; i < s->profile->marks.n; i++)
        ret->n_throttled += s->profile->marks.data[i].kind == CPROF_MARK_THROTTLED;
    ret->start_mono = s->profile->run.start_mono;
    ret->now_mono = s->is_stopped ? s->profile->run.end_mono : cprof_session_now();
    ret->rate_asked = s->freq;
    ret->event = s->event->name;
    ret->n_rings = s->rings.n;
    ret->ring_bytes = s->rings.n ? cprof_ring_size(s->rings.data[0].ring) : 0;
    ret->n_fds = s->tracker.fds.n + s->sampler.fds.n;
    ret->is_kernel_excluded = s->is_kernel_excluded;
    ret->is_running = s->is_started && !s->is_stopped;
    for (size_t i = 0; i < s->targets.n; i++)
        ret->n_targets += s->targets.data[i].pidfd >= 0;
    pthread_mutex_unlock(&s->lock);
}

pid_t cprof_session_child(const struct cprof_session *s)
{
    return s->child_pid;
}

bool cprof_session_child_status(struct cprof_session *s, int *status)
{
    bool has_ended;

    pthread_mutex_lock(&s->lock);
    reap_child(s);
    *status = s->child_status;
    has_ended = s->child_ended;
    pthread_mutex_unlock(&s->lock);
    return has_ended;
}

int cprof_session_kill_child(struct cprof_session *s, int signal)
{
    int r = -ESRCH;

    pthread_mutex_lock(&s->lock);
    if (s->child_pid && !s->child_ended)
        r = kill(s->child_pid, signal) < 0 ? -errno : 0;
    pthread_mutex_unlock(&s->lock);
    return r;
}
