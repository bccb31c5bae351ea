/* process: histories of forks, execs and ends; numbers far above any real one, so that
 * /proc has nothing to say, and ourselves where it shall. */
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <unistd.h>

#include "test.h"

enum { PID = 2000000000 };

struct fixture {
    struct cprof_stacks *stacks;
    struct cprof_processes ps;
};

static int fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->ps.unwind = &cprof_unwind_libunwind;
    if (cprof_stacks_create(&f->stacks) < 0)
        return -ENOMEM;
    f->ps.stacks = f->stacks;
    return 0;
}

static void fixture_deinit(struct fixture *f)
{
    cprof_processes_deinit(&f->ps);
    cprof_stacks_unref(f->stacks);
}

static struct cprof_mmap code_at(uint64_t start)
{
    return (struct cprof_mmap){
        .start = start, .length = 0x1000, .inode = 1, .protection = 5, .file = "//anon"};
}

static const struct cprof_thread *thread_of(struct fixture *f, pid_t pid, pid_t tid)
{
    uint32_t i;

    CHECK_EQ(cprof_processes_thread(&f->ps, pid, tid, &i), 0);
    return &f->stacks->threads.data[i];
}

static const char *name_of(struct fixture *f, pid_t pid, pid_t tid)
{
    return cprof_stacks_text(f->stacks, thread_of(f, pid, tid)->name);
}

static size_t n_live(const struct fixture *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->ps.all.n; i++)
        n += f->ps.all.data[i] != NULL;
    return n;
}

static bool maps_has(const struct fixture *f, pid_t pid, uint64_t address)
{
    const struct cprof_process *process = cprof_processes_find(&f->ps, pid);

    return process && cprof_maps_find(&process->maps, address);
}

static void test_a_fork_copies_names_and_maps(void)
{
    struct cprof_mmap first = code_at(0x1000), second = code_at(0x5000);
    struct fixture f;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "parent", true), 0);
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID, &first, 1), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID + 1, PID + 1, PID, PID), 0);
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID, &second, 2), 0);
    CHECK(maps_has(&f, PID + 1, 0x1800));
    CHECK(!maps_has(&f, PID + 1, 0x5800)); /* its own from now on */
    CHECK(maps_has(&f, PID, 0x5800));
    CHECK_STR(name_of(&f, PID + 1, PID + 1), "parent");
    CHECK_EQ(cprof_processes_comm(&f.ps, PID + 1, PID + 1, "child", false), 0);
    CHECK_STR(name_of(&f, PID + 1, PID + 1), "child");
    CHECK_STR(name_of(&f, PID, PID), "parent");
    CHECK(maps_has(&f, PID + 1, 0x1800)); /* a new name is no exec */
    fixture_deinit(&f);
}

static void test_threads_share_their_process(void)
{
    struct cprof_mmap code = code_at(0x1000);
    const struct cprof_thread *thread;
    struct fixture f;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "server", true), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID, PID + 5, PID, PID), 0);
    CHECK_STR(name_of(&f, PID, PID + 5), "server");
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID + 5, "worker", false), 0);
    thread = thread_of(&f, PID, PID + 5);
    CHECK_STR(cprof_stacks_text(f.stacks, thread->name), "worker");
    CHECK_STR(cprof_stacks_text(f.stacks, thread->comm), "server");
    CHECK_EQ(thread->pid, PID);
    CHECK_EQ(thread->tid, PID + 5);
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID, &code, 1), 0);
    CHECK_EQ(n_live(&f), 1);
    cprof_processes_exit(&f.ps, PID, PID + 5, NULL, NULL);
    CHECK(maps_has(&f, PID, 0x1800));
    fixture_deinit(&f);
}

static void test_an_exec_clears_maps_and_other_threads(void)
{
    struct cprof_mmap code = code_at(0x1000);
    struct cprof_process *process;
    struct fixture f;
    uint32_t serial;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "shell", true), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID, PID + 1, PID, PID), 0);
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID, &code, 1), 0);
    CHECK_EQ(cprof_processes_get(&f.ps, PID, &process), 0);
    process->has_space = f.ps.unwind->create(&process->space) == 0;
    process->maps_read = 100;
    serial = process->serial;
    /* a thread execs: the first one ends, and it takes over its number */
    cprof_processes_exit(&f.ps, PID, PID, NULL, NULL);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "program", true), 0);
    CHECK(!maps_has(&f, PID, 0x1800));
    CHECK(process->serial != serial);
    CHECK_EQ(process->n_threads, 1);
    CHECK(!process->has_space);
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID, &code, 50), 0); /* maps_read is over too */
    CHECK(maps_has(&f, PID, 0x1800));
    CHECK_STR(name_of(&f, PID, PID), "program");
    cprof_processes_exit(&f.ps, PID, PID, NULL, NULL);
    CHECK_EQ(n_live(&f), 0);
    fixture_deinit(&f);
}

static void count_end(void *arg, struct cprof_process *process)
{
    CHECK_EQ(process->pid, PID);
    (*(int *)arg)++;
}

static void test_the_last_exit_ends_the_process(void)
{
    struct fixture f;
    int n_ended = 0;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "x", true), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID, PID + 1, PID, PID), 0);
    cprof_processes_exit(&f.ps, PID, PID, count_end, &n_ended);
    CHECK_EQ(n_ended, 0);
    CHECK(cprof_processes_find(&f.ps, PID) != NULL);
    cprof_processes_exit(&f.ps, PID, PID, count_end, &n_ended); /* told twice */
    CHECK_EQ(n_ended, 0);
    cprof_processes_exit(&f.ps, PID, PID + 1, count_end, &n_ended);
    CHECK_EQ(n_ended, 1);
    CHECK(cprof_processes_find(&f.ps, PID) == NULL);
    cprof_processes_exit(&f.ps, PID, PID + 1, count_end, &n_ended);
    cprof_processes_exit(&f.ps, PID + 7, PID + 8, count_end, &n_ended);
    CHECK_EQ(n_ended, 1);
    fixture_deinit(&f);
}

/* A number comes back in another process, and nobody told of its end. */
static void test_numbers_that_come_back(void)
{
    struct cprof_mmap code = code_at(0x1000);
    struct fixture f;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "one", true), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID, PID + 9, PID, PID), 0);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID + 1, PID + 1, "two", true), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID + 1, PID + 9, PID + 1, PID + 1), 0);
    CHECK_STR(name_of(&f, PID + 1, PID + 9), "two");
    CHECK_EQ(cprof_processes_find(&f.ps, PID)->n_threads, 1);
    CHECK_EQ(cprof_processes_find(&f.ps, PID + 1)->n_threads, 2);
    cprof_processes_exit(&f.ps, PID, PID, NULL, NULL);
    CHECK(cprof_processes_find(&f.ps, PID) == NULL);
    /* a whole process, threads and all */
    CHECK_EQ(cprof_processes_mmap(&f.ps, PID + 1, &code, 1), 0);
    CHECK_EQ(cprof_processes_fork(&f.ps, PID + 1, PID + 1, PID + 2, PID + 2), 0);
    CHECK(!maps_has(&f, PID + 1, 0x1800));
    CHECK_EQ(cprof_processes_find(&f.ps, PID + 1)->n_threads, 1);
    CHECK_EQ(n_live(&f), 2); /* it and its parent */
    fixture_deinit(&f);
}

static void test_slots_are_used_again(void)
{
    struct fixture f;

    fixture_init(&f);
    CHECK_EQ(cprof_processes_comm(&f.ps, PID, PID, "main", true), 0);
    for (int i = 1; i <= 100000; i++) {
        pid_t pid = PID + i;
        if (i % 2) {
            CHECK_EQ(cprof_processes_fork(&f.ps, PID, pid, PID, PID), 0);
            cprof_processes_exit(&f.ps, PID, pid, NULL, NULL);
        } else {
            CHECK_EQ(cprof_processes_fork(&f.ps, pid, pid, PID, PID), 0);
            CHECK_EQ(cprof_processes_comm(&f.ps, pid, pid, "child", true), 0);
            cprof_processes_exit(&f.ps, pid, pid, NULL, NULL);
        }
    }
    CHECK(f.ps.all.n <= 2 && f.ps.tasks.n <= 2);
    CHECK(f.ps.free_processes.capacity < 100 && f.ps.free_tasks.capacity < 100);
    CHECK(f.ps.by_pid.n_slots <= 64 && f.ps.by_tid.n_slots <= 64);
    CHECK_EQ(n_live(&f), 1);
    fixture_deinit(&f);
}

/* Random records, true or not: tables and counts must agree. */
static void check_counts(const struct fixture *f)
{
    size_t n_tasks = 0;

    for (size_t i = 0; i < f->ps.all.n; i++) {
        const struct cprof_process *process = f->ps.all.data[i];
        uint32_t n = 0;
        for (size_t k = 0; process && k < f->ps.tasks.n; k++)
            n += f->ps.tasks.data[k].pid == process->pid;
        if (process) {
            CHECK_EQ(process->n_threads, n);
            CHECK(cprof_processes_find(&f->ps, process->pid) == process);
        }
        n_tasks += n;
    }
    CHECK_EQ(n_tasks + f->ps.free_tasks.n, f->ps.tasks.n);
    CHECK_EQ(f->ps.by_tid.n, n_tasks);
    CHECK_EQ(f->ps.by_pid.n + f->ps.free_processes.n, f->ps.all.n);
}

static pid_t any(void)
{
    return rand() % 30 ? PID + rand() % 12 : -1;
}

static void test_nonsense_does_not_upset_the_tables(void)
{
    struct cprof_mmap code;
    struct fixture f;
    uint32_t thread;

    fixture_init(&f);
    srand(11);
    for (int step = 0; step < 20000; step++) {
        code = code_at((uint64_t)(rand() % 16) << 12);
        switch (rand() % 6) {
        case 0:
            CHECK_EQ(cprof_processes_fork(&f.ps, any(), any(), any(), any()), 0);
            break;
        case 1:
            CHECK_EQ(cprof_processes_comm(&f.ps, any(), any(), "n", rand() % 2), 0);
            break;
        case 2:
            CHECK_EQ(cprof_processes_mmap(&f.ps, any(), &code, 1), 0);
            break;
        case 3:
            CHECK_EQ(cprof_processes_thread(&f.ps, PID + rand() % 12, PID + rand() % 12,
                                            &thread),
                     0);
            break;
        default:
            cprof_processes_exit(&f.ps, any(), any(), NULL, NULL);
        }
        if (step % 50 == 0)
            check_counts(&f);
    }
    CHECK(f.ps.all.n <= 14 && f.ps.tasks.n <= 14);
    fixture_deinit(&f);
}

static void test_ourselves_are_read_from_proc(void)
{
    struct cprof_process *process;
    struct cprof_mmap older = code_at(0x1000);
    char name[CPROF_COMM_MAX];
    struct fixture f;

    fixture_init(&f);
    cprof_proc_comm(getpid(), getpid(), name);
    CHECK_EQ(cprof_processes_get(&f.ps, getpid(), &process), 0);
    CHECK(maps_has(&f, getpid(), (uint64_t)(uintptr_t)&test_numbers_that_come_back));
    CHECK(maps_has(&f, getpid(), (uint64_t)(uintptr_t)&getpid));
    CHECK_STR(name_of(&f, getpid(), getpid()), name);
    CHECK_EQ(cprof_process_read_maps(&f.ps, process, 1000), 0);
    CHECK_EQ(cprof_processes_mmap(&f.ps, getpid(), &older, 999), 0);
    CHECK(!maps_has(&f, getpid(), 0x1800)); /* the text is newer */
    CHECK_EQ(cprof_processes_mmap(&f.ps, getpid(), &older, 1000), 0);
    CHECK(maps_has(&f, getpid(), 0x1800));
    process->pid = 0x7ffffff0;
    CHECK_EQ(cprof_process_read_maps(&f.ps, process, 2000), -ESRCH);
    process->pid = getpid();
    CHECK(maps_has(&f, getpid(), 0x1800)); /* what is known stays */
    fixture_deinit(&f);
}

static int live(void *arg)
{
    struct cprof_mmap code = code_at(0x1000);
    struct cprof_process *process;
    struct fixture f;
    uint32_t thread;
    int r = fixture_init(&f);

    (void)arg;
    if (r == 0)
        r = cprof_processes_comm(&f.ps, PID, PID, "p", true);
    if (r == 0)
        r = cprof_processes_mmap(&f.ps, PID, &code, 1);
    for (int i = 1; r == 0 && i < 12; i++)
        r = cprof_processes_fork(&f.ps, PID + i / 2, PID + i, PID, PID);
    if (r == 0)
        r = cprof_processes_thread(&f.ps, PID, PID + 1, &thread);
    if (r == 0)
        r = cprof_processes_get(&f.ps, getpid(), &process);
    if (r == 0)
        check_counts(&f);
    fixture_deinit(&f);
    return r;
}

static void test_survives_failing_allocations(void)
{
    CHECK_EQ(sweep(live, NULL), 0);
}

int main(void)
{
    RUN(test_a_fork_copies_names_and_maps);
    RUN(test_threads_share_their_process);
    RUN(test_an_exec_clears_maps_and_other_threads);
    RUN(test_the_last_exit_ends_the_process);
    RUN(test_numbers_that_come_back);
    RUN(test_slots_are_used_again);
    RUN(test_nonsense_does_not_upset_the_tables);
    RUN(test_ourselves_are_read_from_proc);
    RUN(test_survives_failing_allocations);
    return test_report(__FILE__);
}
