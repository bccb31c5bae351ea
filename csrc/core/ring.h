/* ring.h - read perf records out of one kernel ring buffer.
 *
 * Owns the mapping, not the fd. One thread reads a ring at a time (others may peek);
 * different rings may be read in parallel. Does not know what a record means (record.h)
 * and never waits for one (session.h).
 *
 * Protocol (perf_event_open(2), the kernel's ring-buffer document): the kernel moves
 * data_head, the reader moves data_tail; bytes between them are whole records. The reader
 * loads the head with acquire order once (cprof_ring_refresh), walks to it, and stores
 * the tail with release order after each record that it is done with. A single mapping is
 * used; kernels of 2025 refuse the mirrored double mapping. */
#ifndef CPROF_RING_H
#define CPROF_RING_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct cprof_ring;

enum { CPROF_RECORD_MAX = 65536 }; /* perf_event_header.size is 16 bits */

/* Map `n_pages` data pages (a power of two) of perf event `fd`. The caller keeps `fd`
 * open for as long as the ring lives. On success *ret is owned: release it with
 * cprof_ring_destroy(). Fails with -EINVAL (size), -ENOMEM, or the errno of mmap (-EPERM:
 * the locked-memory budget is spent); *ret is then untouched. */
int cprof_ring_create(int fd, size_t n_pages, struct cprof_ring **ret,
                      struct cprof_error *err);
void cprof_ring_destroy(struct cprof_ring *ring); /* accepts NULL and half-built */

/* See what the kernel has written up to now; cprof_ring_next() walks up to here. Returns
 * the number of bytes waiting. */
size_t cprof_ring_refresh(struct cprof_ring *ring);

/* Step to the next record: 1 and *ret, 0 when drained, -EBADMSG when the bytes cannot be
 * a record, whose size is a multiple of 8 (the rest of the batch is dropped). *ret is
 * borrowed until the next call on this ring, which also gives its room back to the
 * kernel; wrapped records arrive joined.
 */
int cprof_ring_next(struct cprof_ring *ring, const struct perf_event_header **ret);

/* A walk of its own over the same ring, by another thread, which leaves the records
 * there: its size and *ret, the record at *at, which moves behind it; 0 when there is no
 * newer one, -EBADMSG when the bytes cannot be a record (the batch is skipped). *at
 * begins as 0; records that were given back already are skipped. Wrapped records are
 * joined in `scratch` (CPROF_RECORD_MAX). What was seen counts only if cprof_ring_holds()
 * says afterwards that the record, from where *at was before, has not been given back. */
int cprof_ring_peek(const struct cprof_ring *ring, uint64_t *at, void *scratch,
                    const struct perf_event_header **ret);
bool cprof_ring_holds(const struct cprof_ring *ring, uint64_t at);
/* Bytes that wait for the ring's reader; any thread may ask. */
size_t cprof_ring_waiting(const struct cprof_ring *ring);

size_t cprof_ring_size(const struct cprof_ring *ring); /* data bytes */

#endif
