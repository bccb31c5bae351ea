/* pprof.h - profile <-> profile.proto (github.com/google/pprof), gzip compressed.
 *
 * Writer rules: ids 1..n in order, one gzip member, mapping[0] the main binary, leaf
 * first, every numeric label with a unit, a placeholder frame for an empty stack, has_*
 * flags only for what was resolved. Rows with equal stack and thread are one sample;
 * with `has_times` each row is one, and has its time as a label.
 * Labels written for recorded rows: pid, tid (unit "id"), thread, comm. The recording's
 * own facts (quality, command, host, rate) travel in comments "cprof.<key>: <value>" and
 * come back on reading.
 *
 * Reader limits: CPROF_PPROF_MAX_BYTES of protobuf after inflating,
 * CPROF_PPROF_MAX_MEMORY of tables, CPROF_PPROF_MAX_NODES of distinct frames;
 * every reference is checked. Any producer's file is accepted when it is valid; unknown
 * fields are skipped. Samples without locations get the frame "[no stack]". Functions
 * that are named only by their mangled name are demangled.
 *
 * Where every sample has a numeric label "timestamp_ns", rows have times: nanoseconds
 * since the earliest of them. If these count from 1970 (and not from a boot), the
 * earliest is also when the recording began. Written with `has_times`, they count from
 * 1970 where that is known, else from the recording's start; -ENODATA without times. */
#ifndef CPROF_PPROF_H
#define CPROF_PPROF_H

#include "profile.h"

#define CPROF_PPROF_MAX_BYTES ((size_t)512 << 20)
#define CPROF_PPROF_MAX_MEMORY ((size_t)1 << 30)
#define CPROF_PPROF_MAX_NODES ((size_t)1 << 25)

/* Write to `path`: first a temporary file beside it, then renamed; on failure nothing
 * stands under `path` that was not there before. 0 or negative errno (-ENOSPC ...). */
int cprof_pprof_write(const struct cprof_profile *p, bool has_times, const char *path,
                      struct cprof_error *err);
/* The same bytes in memory: *ret owned (free). */
int cprof_pprof_encode(const struct cprof_profile *p, bool has_times, uint8_t **ret,
                       size_t *n, struct cprof_error *err);

/* Read a file, gzip or plain protobuf. -EBADMSG when the bytes are not a profile (the
 * message says what is wrong), the errno of open/read otherwise. *ret is owned. */
int cprof_pprof_read(const char *path, struct cprof_profile **ret,
                     struct cprof_error *err);
int cprof_pprof_decode(const void *bytes, size_t n, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err);

/* Folded text, "root;...;leaf N" a line, of one sample type: ';' in names becomes ':',
 * control characters become spaces; lines in order of their text. Written like
 * cprof_pprof_write.
 */
int cprof_folded_write(const struct cprof_profile *p, size_t type, const char *path,
                       struct cprof_error *err);

#endif
