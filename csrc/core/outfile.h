/* outfile.h - a whole file or none: what the writers of formats put their bytes down
 * with. */
#ifndef CPROF_OUTFILE_H
#define CPROF_OUTFILE_H

#include <stddef.h>

#include "error.h"

/* Make `path` hold exactly these bytes: written to a temporary file beside it, then
 * renamed, so that on failure nothing stands under `path` that was not there before. A
 * symbolic link is followed. A regular file keeps its mode; a new one gets 0666 less the
 * umask. Anything else that exists (a pipe, a terminal, /dev/full) is written directly.
 * `format` begins the error message ("pprof"). 0 or negative errno (-ENOSPC ...). */
int cprof_outfile_write(const char *path, const void *bytes, size_t n, const char *format,
                        struct cprof_error *err);

#endif
