/* loop.c - a fixed amount of work on the CPU: loop MILLIONS. Prints the CPU time that it
 * took, in seconds, by its own clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static __attribute__((noinline)) double mix(double x, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++)
        x = x * 0.999 + (double)(i & 7);
    return x;
}

int main(int argc, char **argv)
{
    unsigned long millions = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    struct timespec t;
    double x = 0;

    for (unsigned long i = 0; i < millions; i++)
        x = mix(x, 1000000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    printf("%.6f\n", (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return x < 0;
}
