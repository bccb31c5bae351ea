/* dso.h - the files (and things like files) that processes map and run code from.
 *
 * A file is opened and its build id noted when its mapping is first seen, so that code of
 * processes that have ended, and of files deleted since, can still be unwound and named.
 * A dso is known by its path and build id (or device and inode where the kernel gave no
 * build id) and shared by all processes of a recording. */
#ifndef CPROF_DSO_H
#define CPROF_DSO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "elf.h"
#include "map.h"
#include "record.h"
#include "vec.h"

enum cprof_dso_kind {
    CPROF_DSO_FILE,
    CPROF_DSO_VDSO,
    CPROF_DSO_KERNEL,
    CPROF_DSO_ANON, /* code without a file: JIT compilers, one dso for each process */
};

struct cprof_unwind_rows;

enum cprof_rows_state {
    CPROF_ROWS_UNASKED,
    CPROF_ROWS_AWAITED, /* a thread makes them */
    CPROF_ROWS_SETTLED  /* `rows` is what there will be; NULL: none */
};

struct cprof_dso {
    enum cprof_dso_kind kind;
    uint32_t no; /* its place in the table */
    char *path;  /* as the target names it, without " (deleted)"; "[vdso]", "//anon" */
    char *root;  /* "/proc/PID/root" where the target has mounts of its own, else "" */
    pid_t pid;   /* ANON: whose code it is */
    uint8_t build_id[CPROF_BUILD_ID_MAX];
    size_t build_id_n;
    uint32_t major, minor; /* of the file, 0 where a build id was given instead */
    uint64_t inode;
    struct cprof_elf *elf; /* NULL: could not be opened, or not a file */
    bool has_unwind;
    struct cprof_elf_unwind unwind;
    enum cprof_rows_state rows_state;     /* set by unwind_build.c */
    const struct cprof_unwind_rows *rows; /* borrowed from it */
    uint64_t low, high, entry; /* virtual addresses: span of the image, entry point */
};

struct cprof_dsos {
    CPROF_VEC(struct cprof_dso *) all; /* owned */
    struct cprof_map by_key;           /* hash of identity -> number */
};

/* A zeroed table is valid. */
void cprof_dsos_deinit(struct cprof_dsos *dsos);

/* The dso behind a mapping of `pid`, opened when new: 0 and *ret (borrowed from the
 * table), or -ENOMEM. A file that cannot be opened gives a dso without `elf`. */
int cprof_dsos_get(struct cprof_dsos *dsos, pid_t pid, const struct cprof_mmap *mmap,
                   struct cprof_dso **ret);

/* The one dso of the kernel. */
int cprof_dsos_kernel(struct cprof_dsos *dsos, struct cprof_dso **ret);

#endif
