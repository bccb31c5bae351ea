/* pages.c - a known number of page faults.
 *
 *   pages N [REST]    touches N fresh pages, a third of them in first(), the rest in
 *                     second(), with about REST x 10 us of work after each
 *
 * Truth: N / 3 and N - N / 3 faults (the pages are no huge ones). */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "workload.h"

enum { PAGE = 4096 };

static NOINLINE void first(volatile char *memory, size_t n, int rest)
{
    for (size_t i = 0; i < n; i++) {
        memory[i * PAGE] = 1;
        for (int k = 0; k < rest; k++)
            work();
    }
}

static NOINLINE void second(volatile char *memory, size_t n, int rest)
{
    for (size_t i = 0; i < n; i++) {
        memory[i * PAGE] = 2;
        for (int k = 0; k < rest; k++)
            work();
    }
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)atoi(argv[1]) : 300;
    int rest = argc > 2 ? atoi(argv[2]) : 0;
    char *memory =
        mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return 1;
    madvise(memory, n * PAGE, MADV_NOHUGEPAGE);
    first(memory, n / 3, rest);
    second(memory + n / 3 * PAGE, n - n / 3, rest);
    return 0;
}
