/* stub.c - a library function that is called through a linkage stub, and does nothing.
 *
 *   stub SECONDS    of CPU time
 *
 * Built with -DLIBRARY it is the library. Truth: every stack of the loop is
 *
 *   main loop ( nothing@plt | nothing )?
 *
 * and a good part of it ends in the stub. */
#include <stdlib.h>

#include "workload.h"

void nothing(void);

#ifdef LIBRARY
void nothing(void)
{
    __asm__ volatile("");
}
#else
static NOINLINE void loop(uint64_t end)
{
    while (thread_ns() < end)
        for (int i = 0; i < 1000000; i++)
            nothing();
    NOT_A_TAIL_CALL();
}

int main(int argc, char **argv)
{
    loop(thread_ns() + (uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9));
    return 0;
}
#endif
