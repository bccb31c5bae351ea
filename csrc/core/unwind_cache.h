/* unwind_cache.h - unwind tables kept on disk, one file for each build id.
 *
 * $XDG_CACHE_HOME/cprof (else ~/.cache/cprof)/unwind/<build id>: a header with magic,
 * version of the format, size and a digest of what it was made from, checksum; then the
 * rows. A file is written under another name and renamed, so that readers and a second
 * writer never see half of one. What is read is checked wholly before it is used: a
 * damaged, foreign or hostile file is as if it was not there. Losing the cache costs time
 * only: no function here is needed for a right result.
 *
 * The files that were not used for longest make room for new ones, once all together
 * would have more than CPROF_UNWIND_CACHE_MAX bytes. */
#ifndef CPROF_UNWIND_CACHE_H
#define CPROF_UNWIND_CACHE_H

#include "unwind_rows.h"

enum { CPROF_UNWIND_CACHE_MAX = 256 << 20 };

/* The directory by the environment; -ENOENT where there is none (no HOME), or when it or
 * what it lies in belongs to another user than us. */
int cprof_unwind_cache_dir(char *path, size_t room);

/* The table of `elf` as kept in `dir`: 0 and *ret (owned; its rows are mapped from the
 * file), -ENOENT, -EBADMSG, -ENOMEM, -EPERM (others may write to the directory) or
 * the errno of open. */
int cprof_unwind_cache_load(const char *dir, const struct cprof_elf *elf,
                            struct cprof_unwind_rows **ret);

/* Keep it; `dir` is made where it is missing, for its owner only. Errors are of no
 * consequence and say why: -ENODATA for a file without build id, or whose rows came from
 * its debug file. */
int cprof_unwind_cache_store(const char *dir, const struct cprof_elf *elf,
                             const struct cprof_unwind_rows *rows);

#endif
