/* splice.h - the outer part of a stack, from the kernel's chain of frame pointers.
 *
 * Such a chain needs no copy of the stack, so that it reaches further up than one; but it
 * is right only where every function keeps a frame. It is asked for where code does, and
 * joined to a stack that its copied bytes cut short, where both agree on what they share.
 */
#ifndef CPROF_SPLICE_H
#define CPROF_SPLICE_H

#include "elf.h"
#include "unwind.h"

/* Do many of the file's functions (a third: those that call nothing need none) begin by
 * making a frame? */
bool cprof_splice_has_frames(const struct cprof_elf *elf);

/* Append the frames of `ips` (as the kernel writes them: the leaf, then return addresses)
 * that lie outside of the chain. The end of the chain must be found in it: two or more
 * return addresses in a row, and at one place only that has the most of them. Returns how
 * many were added, 0 when it is not. */
size_t cprof_splice(struct cprof_unwind_chain *chain, const uint64_t *ips, size_t n);

#endif
