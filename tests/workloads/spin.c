/* spin.c - a process in a given condition, at work in spin().
 *
 *   spin [--seconds S] [--exit N] [--ignore-term] [--no-dump] [--idle] [--zombie]
 *
 * S seconds of CPU time (for ever if not given), then exit status N. --ignore-term:
 * SIGTERM does nothing. --no-dump: the process is not dumpable, as a setuid program is
 * not. --idle: it sleeps instead. --zombie: it sleeps, and has a child that is a zombie.
 * Says "ready PID" first, PID being its own or the zombie's. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

static NOINLINE void spin(uint64_t end)
{
    work_until(end);
}

static pid_t zombie(void)
{
    siginfo_t info;
    pid_t pid = fork();

    if (!pid)
        _exit(0);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    return pid;
}

int main(int argc, char **argv)
{
    uint64_t end = UINT64_MAX;
    int status = 0, is_idle = 0;
    pid_t pid = getpid();

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            end = (uint64_t)(atof(argv[++i]) * 1e9);
        else if (!strcmp(argv[i], "--exit") && i + 1 < argc)
            status = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--ignore-term"))
            signal(SIGTERM, SIG_IGN);
        else if (!strcmp(argv[i], "--no-dump"))
            prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        else if (!strcmp(argv[i], "--idle"))
            is_idle = 1;
        else if (!strcmp(argv[i], "--zombie"))
            is_idle = 1, pid = zombie();
        else
            return 2;
    }
    printf("ready %d\n", (int)pid);
    fflush(stdout);
    while (is_idle)
        pause();
    spin(end);
    return status;
}
