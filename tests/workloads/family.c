/* family.c - processes that beget others.
 *
 *   family fork SECONDS    the parent burns a third in parent_work(), then its child,
 * which never calls exec, two thirds in child_work() family exec SECONDS    the program
 * executes itself three times, each time as a file of another name (links made in the
 * current folder): stage-1, stage-2, stage-3; each burns a third in stage_work()
 *
 * SECONDS of CPU time, all together. Truth is those shares; exec keeps the process id. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

static NOINLINE void parent_work(uint64_t ns)
{
    work_until(thread_ns() + ns);
}

static NOINLINE void child_work(uint64_t ns)
{
    work_until(thread_ns() + ns);
}

static NOINLINE void stage_work(uint64_t ns)
{
    work_until(thread_ns() + ns);
}

static int run_fork(uint64_t ns)
{
    int status;

    parent_work(ns / 3);
    if (fork() == 0) {
        child_work(ns / 3 * 2);
        _exit(0);
    }
    return wait(&status) < 0 || status;
}

static int run_exec(const char *self, int stage, const char *seconds, uint64_t ns)
{
    char name[32], number[16];

    if (stage)
        stage_work(ns / 3);
    if (stage == 3)
        return 0;
    snprintf(name, sizeof(name), "./stage-%d", stage + 1);
    snprintf(number, sizeof(number), "%d", stage + 1);
    if (link(self, name) < 0)
        return 1;
    execl(name, name, "exec", seconds, number, (char *)NULL);
    return 1;
}

int main(int argc, char **argv)
{
    char self[4096] = "";
    uint64_t ns;

    if (argc < 3 || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return 1;
    ns = (uint64_t)(atof(argv[2]) * 1e9);
    if (!strcmp(argv[1], "fork"))
        return run_fork(ns);
    return run_exec(self, argc > 3 ? atoi(argv[3]) : 0, argv[2], ns);
}
