/* process.h - the processes and threads of a recording, as its records tell of them.
 *
 * Names and address spaces "now": records are applied in time order. Belongs to one
 * session and is touched under its lock only. */
#ifndef CPROF_PROCESS_H
#define CPROF_PROCESS_H

#include "maps.h"
#include "proc.h"
#include "stack.h"
#include "unwind.h"

struct cprof_process {
    pid_t pid;
    uint32_t serial; /* changes with every change of the space that can mislead a
                        cache of addresses; never reused */
    uint32_t n_threads;
    struct cprof_maps maps;
    struct cprof_unwind_space *space; /* made with the first sample */
    bool has_space;
    uint64_t maps_read;  /* when /proc/PID/maps was read: older records say nothing new */
    uint64_t maps_tried; /* last attempt to read it again after a miss */
    uint32_t comm;       /* string: the process's name */
};

struct cprof_task {
    pid_t tid, pid;
    uint32_t name;   /* string */
    uint32_t thread; /* number in stacks->threads, CPROF_NONE until sampled or renamed */
};

struct cprof_processes {
    const struct cprof_unwind_ops *unwind;
    struct cprof_stacks *stacks;           /* borrowed: strings and threads */
    CPROF_VEC(struct cprof_process *) all; /* owned; holes are NULL */
    CPROF_VEC(struct cprof_task) tasks;
    CPROF_VEC(uint32_t) free_processes, free_tasks;
    struct cprof_map by_pid, by_tid;
    struct cprof_dsos dsos;
    uint32_t next_serial;
};

/* A struct with unwind and stacks set and the rest zero is valid. */
void cprof_processes_deinit(struct cprof_processes *ps);

/* The process, made (with maps read from /proc) when it was not known. */
int cprof_processes_get(struct cprof_processes *ps, pid_t pid,
                        struct cprof_process **ret);
/* The process if known, or NULL. */
struct cprof_process *cprof_processes_find(const struct cprof_processes *ps, pid_t pid);

/* Know a task: its name from `name`, or from /proc when NULL. */
int cprof_processes_task(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         const char *name, struct cprof_task **ret);

/* What records say. Each returns 0 or -ENOMEM. Numbers below 0 (of tasks that the kernel
 * has reaped already) say nothing. */
int cprof_processes_fork(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         pid_t parent_pid, pid_t parent_tid);
int cprof_processes_comm(struct cprof_processes *ps, pid_t pid, pid_t tid,
                         const char *name, bool is_exec);
int cprof_processes_mmap(struct cprof_processes *ps, pid_t pid,
                         const struct cprof_mmap *mmap, uint64_t time);
/* The task is gone; the process too, with its last task: then `before` is called with it
 * first (NULL allowed). */
void cprof_processes_exit(struct cprof_processes *ps, pid_t pid, pid_t tid,
                          void (*before)(void *arg, struct cprof_process *process),
                          void *arg);

/* Read /proc/PID/maps into the process, as of `now`. 0, -ENOMEM, or why it cannot be
 * read. */
int cprof_process_read_maps(struct cprof_processes *ps, struct cprof_process *process,
                            uint64_t now);

/* The task's number in stacks->threads. */
int cprof_processes_thread(struct cprof_processes *ps, pid_t pid, pid_t tid,
                           uint32_t *ret);

#endif
