/* jit.c - code made at run time, named in /tmp/perf-PID.map as JIT compilers do.
 *
 *   jit SECONDS    of CPU time
 *
 * Two functions, each with a frame pointer and a loop: 75 % in "jit_hot(Square)" (the
 * name has a space before it in no compiler's map, brackets in many), 25 % in "jit_cold".
 * Truth, printed at the end: "hot NS cold NS". Called by run(), called by main(). The map
 * stays behind when the program ends; who starts it removes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "workload.h"

typedef void (*loop_function)(unsigned n);

/* push %rbp; mov %rsp,%rbp; 1: dec %edi; jnz 1b; pop %rbp; ret */
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff,
                                     0xcf, 0x75, 0xfc, 0x5d, 0xc3};

static int write_map(const unsigned char *page)
{
    char path[64];
    FILE *map;

    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    map = fopen(path, "w");
    if (!map)
        return -1;
    fprintf(map, "%lx %x jit_hot(Square)\n", (unsigned long)page, 64);
    fprintf(map, "%lx %x jit_cold\n", (unsigned long)(page + 64), 64);
    return fclose(map);
}

static NOINLINE uint64_t run(loop_function function, uint64_t ns)
{
    uint64_t begin = thread_ns();

    while (thread_ns() < begin + ns)
        function(100000);
    return thread_ns() - begin;
}

int main(int argc, char **argv)
{
    uint64_t total = (uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9), hot = 0, cold = 0;
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return 1;
    memcpy(page, code, sizeof(code));
    memcpy(page + 64, code, sizeof(code));
    if (write_map(page) < 0)
        return 1;
    while (hot + cold < total) {
        hot += run((loop_function)(uintptr_t)page, 75000000);
        cold += run((loop_function)(uintptr_t)(page + 64), 25000000);
    }
    printf("hot %llu cold %llu\n", (unsigned long long)hot, (unsigned long long)cold);
    return 0;
}
