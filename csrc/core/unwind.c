#include "unwind.h"

#include <string.h>

const struct cprof_unwind_ops *cprof_unwind_find(const char *name)
{
    if (!strcmp(name, "auto") || !strcmp(name, cprof_unwind_libunwind.name))
        return &cprof_unwind_libunwind;
    return strcmp(name, cprof_unwind_fp.name) ? NULL : &cprof_unwind_fp;
}
