/* wrap.c - run a command and note what it cost: wrap FILE COMMAND [ARGUMENT ...]
 *
 * FILE gets one line "CPU WALL": seconds of CPU time, user and system, of the command and
 * all that it waited for, by the kernel's count, and seconds from start to end. The same
 * small program stands between each profiler and its target, so that the target's own
 * cost can be told from the profiler's. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct rusage used;
    double start = now();
    int status = 0;
    FILE *file;
    pid_t pid;

    if (argc < 3)
        return 2;
    pid = fork();
    if (!pid) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 1;
    getrusage(RUSAGE_CHILDREN, &used);
    file = fopen(argv[1], "w");
    if (!file)
        return 1;
    fprintf(file, "%.6f %.6f\n", seconds(used.ru_utime) + seconds(used.ru_stime),
            now() - start);
    if (fclose(file))
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
