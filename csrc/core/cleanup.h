/* cleanup.h - scope guards for locals: released at the end of the scope on every path. */
#ifndef CPROF_CLEANUP_H
#define CPROF_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cprof_cleanup_free(void *p)
{
    free(*(void **)p);
}
static inline void cprof_cleanup_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void cprof_cleanup_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define _cleanup_free_ __attribute__((cleanup(cprof_cleanup_free)))
#define _cleanup_fd_ __attribute__((cleanup(cprof_cleanup_fd)))
#define _cleanup_file_ __attribute__((cleanup(cprof_cleanup_file)))

#endif
