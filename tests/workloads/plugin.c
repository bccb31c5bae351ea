/* plugin.c - a library with one function, NAME (given by -DNAME=), that burns `ns` of CPU
 * time. See reload.c. */
#include "workload.h"

void NAME(uint64_t ns);

void NAME(uint64_t ns)
{
    work_until(thread_ns() + ns);
}
