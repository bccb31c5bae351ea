#define _GNU_SOURCE /* strsep */
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static void process_destroy(struct cprof_processes *ps, struct cprof_process *process)
{
    if (!process)
        return;
    if (process->has_space)
        ps->unwind->destroy(process->space);
    cprof_maps_deinit(&process->maps);
    free(process);
}

void cprof_processes_deinit(struct cprof_processes *ps)
{
    for (size_t i = 0; i < ps->all.n; i++)
        process_destroy(ps, ps->all.data[i]);
    cprof_vec_free(&ps->all);
    cprof_vec_free(&ps->tasks);
    cprof_vec_free(&ps->free_processes);
    cprof_vec_free(&ps->free_tasks);
    cprof_map_deinit(&ps->by_pid);
    cprof_map_deinit(&ps->by_tid);
    cprof_dsos_deinit(&ps->dsos);
}

struct cprof_process *cprof_processes_find(const struct cprof_processes *ps, pid_t pid)
{
    uint32_t i = cprof_map_get(&ps->by_pid, (uint64_t)pid);

    return i == CPROF_MAP_NONE ? NULL : ps->all.data[i];
}

/* Forget a process; there is room for its slot (process_create). */
static void process_drop(struct cprof_processes *ps, struct cprof_process *process)
{
    uint32_t i = cprof_map_get(&ps->by_pid, (uint64_t)process->pid);

    cprof_map_remove(&ps->by_pid, (uint64_t)process->pid);
    ps->all.data[i] = NULL;
    ps->free_processes.data[ps->free_processes.n++] = i;
    process_destroy(ps, process);
}

static int process_create(struct cprof_processes *ps, pid_t pid,
                          struct cprof_process **ret)
{
    struct cprof_process *process = calloc(1, sizeof(*process));
    bool is_reused = ps->free_processes.n > 0;
    uint32_t i;

    if (!process || cprof_vec_reserve(&ps->all, 1) < 0 ||
        cprof_vec_reserve(&ps->free_processes, ps->all.n + 1) < 0)
        goto fail;
    i = is_reused ? ps->free_processes.data[ps->free_processes.n - 1]
                  : (uint32_t)ps->all.n;
    if (cprof_map_set(&ps->by_pid, (uint64_t)pid, i) < 0)
        goto fail;
    if (is_reused)
        ps->free_processes.n--;
    else
        ps->all.n++;
    ps->all.data[i] = process;
    process->pid = pid;
    process->serial = ++ps->next_serial;
    *ret = process;
    return 0;
fail:
    free(process);
    return -ENOMEM;
}

int cprof_processes_get(struct cprof_processes *ps, pid_t pid, struct cprof_process **ret)
{
    struct cprof_process *process = cprof_processes_find(ps, pid);
    char name[CPROF_COMM_MAX];
    int r;

    if (process) {
        *ret = process;
        return 0;
    }
    r = process_create(ps, pid, &process);
    if (r < 0)
        return r;
    cprof_proc_comm(pid, pid, name);
    r = cprof_stacks_string(ps->stacks, name, &process->comm);
    if (r == 0)
        r = cprof_process_read_maps(ps, process, 0);
    if (r == -ENOMEM)
        return r;
    *ret = process; /* maps that cannot be read leave a space that records may fill */
    return 0;
}

/* What is remembered of the space's addresses may be wrong from now on. */
static void forget_addresses(struct cprof_processes *ps, struct cprof_process *process)
{
    process->serial = ++ps->next_serial;
    if (process->has_space)
        ps->unwind->flush(process->space);
}

/* 1 when it took another mapping's place, 0, or -ENOMEM. */
static int insert(struct cprof_processes *ps, pid_t pid, struct cprof_maps *maps,
                  const struct cprof_mmap *mmap)
{
    struct cprof_maps_entry entry;
    struct cprof_dso *dso;
    int r = cprof_dsos_get(&ps->dsos, pid, mmap, &dso);

    if (r < 0)
        return r;
    entry = cprof_maps_entry_of(mmap, dso);
    r = cprof_maps_insert(maps, &entry);
    return r < 0 && r != -ENOMEM ? 0 : r;
}

static int parse_maps(struct cprof_processes *ps, pid_t pid, char *text,
                      struct cprof_maps *maps)
{
    enum { PROTECTION_EXEC = 4 };
    struct cprof_mmap mmap;
    char *line;
    int r = 0;

    while (r >= 0 && (line = strsep(&text, "\n")))
        if (cprof_proc_parse_map(line, &mmap) && mmap.protection & PROTECTION_EXEC)
            r = insert(ps, pid, maps, &mmap);
    return r < 0 ? r : 0;
}

int cprof_process_read_maps(struct cprof_processes *ps, struct cprof_process *process,
                            uint64_t now)
{
    char path[64];
    _cleanup_free_ char *text = NULL;
    struct cprof_maps maps = {0};
    size_t n;
    int r;

    snprintf(path, sizeof(path), "/proc/%d/maps", process->pid);
    r = cprof_proc_read(path, CPROF_PROC_TEXT_MAX, &text, &n);
    if (r == 0)
        r = parse_maps(ps, process->pid, text, &maps);
    if (r == 0 &&
        !maps.entries.n) /* it has ended: its space is empty, what we know stays */
        r = -ESRCH;
    if (r < 0) {
        cprof_maps_deinit(&maps);
        return r == -ENOENT ? -ESRCH : r;
    }
    cprof_maps_deinit(&process->maps);
    process->maps = maps;
    process->maps_read = now;
    forget_addresses(ps, process);
    return 0;
}

static struct cprof_task *task_find(const struct cprof_processes *ps, pid_t tid)
{
    uint32_t i = cprof_map_get(&ps->by_tid, (uint64_t)tid);

    return i == CPROF_MAP_NONE ? NULL : &ps->tasks.data[i];
}

/* Forget a task; there is room for its slot (task_create). */
static void task_drop(struct cprof_processes *ps, struct cprof_task *task)
{
    struct cprof_process *process = cprof_processes_find(ps, task->pid);

    if (process && process->n_threads)
        process->n_threads--;
    cprof_map_remove(&ps->by_tid, (uint64_t)task->tid);
    task->pid = task->tid = -1;
    ps->free_tasks.data[ps->free_tasks.n++] = (uint32_t)(task - ps->tasks.data);
}

/* Forget the tasks of a process, but `kept`. */
static void drop_tasks(struct cprof_processes *ps, pid_t pid, pid_t kept)
{
    for (size_t i = 0; i < ps->tasks.n; i++)
        if (ps->tasks.data[i].pid == pid && ps->tasks.data[i].tid != kept)
            task_drop(ps, &ps->tasks.data[i]);
}

static int task_create(struct cprof_processes *ps, pid_t pid, pid_t tid,
                       struct cprof_task **ret)
{
    struct cprof_task *old = task_find(ps, tid);
    struct cprof_process *process;
    bool is_reused;
    uint32_t i;
    int r;

    if (old) /* nobody told of its end */
        cprof_processes_exit(ps, old->pid, tid, NULL, NULL);
    r = cprof_processes_get(ps, pid, &process);
    if (r < 0)
        return r;
    is_reused = ps->free_tasks.n > 0;
    if (cprof_vec_reserve(&ps->tasks, 1) < 0 ||
        cprof_vec_reserve(&ps->free_tasks, ps->tasks.n + 1) < 0)
        return -ENOMEM;
    i = is_reused ? ps->free_tasks.data[ps->free_tasks.n - 1] : (uint32_t)ps->tasks.n;
    r = cprof_map_set(&ps->by_tid, (uint64_t)tid, i);
    if (r < 0)
        return r;
    if (is_reused)
        ps->free_tasks.n--;
    else
        ps->tasks.n++;
    ps->tasks.data[i] = (struct cprof_task){.tid = tid, .pid = pid, .thread = CPROF_NONE};
    process->n_threads++;
    *ret = &ps->tasks.data[i];
    return 0;
}

int cprof_processes_task(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         const char *name, struct cprof_task **ret)
{
    char found[CPROF_COMM_MAX];
    struct cprof_task *task = task_find(ps, tid);
    bool is_new = !task || task->pid != pid;
    int r = 0;

    if (is_new)
        r = task_create(ps, pid, tid, &task);
    if (r < 0)
        return r;
    if (is_new || name) {
        if (!name) {
            cprof_proc_comm(pid, tid, found);
            name = found;
        }
        r = cprof_stacks_string(ps->stacks, name, &task->name);
        task->thread = CPROF_NONE;
    }
    if (r < 0)
        return r;
    *ret = task;
    return 0;
}

int cprof_processes_fork(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         pid_t parent_pid, pid_t parent_tid)
{
    struct cprof_process *parent = NULL, *child;
    struct cprof_task *task, *parent_task;
    uint32_t name = 0;
    int r = 0;

    if (pid < 0 || tid < 0 || parent_pid < 0)
        return 0;
    if (pid != parent_pid) { /* a new process: a copy of its parent's space */
        child = cprof_processes_find(ps, pid);
        if (child) { /* had the number before; nobody told of its end */
            drop_tasks(ps, pid, -1);
            process_drop(ps, child);
        }
        r = cprof_processes_get(ps, parent_pid, &parent);
        if (r == 0)
            r = process_create(ps, pid, &child);
        if (r == 0)
            r = cprof_maps_copy(&parent->maps, &child->maps);
        if (r < 0)
            return r;
        child->comm = parent->comm;
    }
    parent_task = task_find(ps, parent_tid);
    if (parent_task)
        name = parent_task->name;
    task = task_find(ps, tid);
    if (!task || task->pid != pid)
        r = task_create(ps, pid, tid, &task);
    if (r < 0)
        return r;
    task->name = name;
    task->thread = CPROF_NONE;
    return 0;
}

int cprof_processes_comm(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         const char *name, bool is_exec)
{
    struct cprof_process *process;
    struct cprof_task *task;
    int r;

    if (pid < 0 || tid < 0)
        return 0;
    r = cprof_processes_task(ps, pid, tid, name, &task);
    if (r == 0)
        r = cprof_processes_get(ps, pid, &process);
    if (r < 0)
        return r;
    if (tid == pid)
        process->comm = task->name;
    if (is_exec) {
        drop_tasks(ps, pid, tid); /* one of them became this one and has not ended */
        process->maps.entries.n = 0;
        process->maps_read = 0;
        process->serial = ++ps->next_serial;
        if (process->has_space)
            ps->unwind->destroy(process->space);
        process->has_space = false;
        process->space = NULL;
    }
    return 0;
}

int cprof_processes_mmap(struct cprof_processes *ps, pid_t pid,
                         const struct cprof_mmap *mmap, uint64_t time)
{
    struct cprof_process *process;
    int r;

    if (pid < 0)
        return 0;
    r = cprof_processes_get(ps, pid, &process);
    if (r < 0 || time < process->maps_read)
        return r;
    r = insert(ps, pid, &process->maps, mmap);
    if (r == 1) /* code was replaced */
        forget_addresses(ps, process);
    return r < 0 ? r : 0;
}

void cprof_processes_exit(struct cprof_processes *ps, pid_t pid, pid_t tid,
                          void (*before)(void *arg, struct cprof_process *process),
                          void *arg)
{
    struct cprof_process *process = cprof_processes_find(ps, pid);
    struct cprof_task *task = task_find(ps, tid);

    if (task && task->pid == pid)
        task_drop(ps, task);
    if (!process || process->n_threads)
        return;
    if (before)
        before(arg, process);
    process_drop(ps, process);
}

int cprof_processes_thread(struct cprof_processes *ps, pid_t pid, pid_t tid,
                           uint32_t *ret)
{
    struct cprof_process *process;
    struct cprof_task *task;
    struct cprof_thread thread;
    int r = cprof_processes_task(ps, pid, tid, NULL, &task);

    if (r < 0)
        return r;
    if (task->thread == CPROF_NONE) {
        process = cprof_processes_find(ps, pid);
        thread = (struct cprof_thread){.pid = pid,
                                       .tid = tid,
                                       .name = task->name,
                                       .comm = process ? process->comm : task->name};
        r = cprof_stacks_thread(ps->stacks, &thread, NULL, 0, &task->thread);
    }
    *ret = task->thread;
    return r;
}
