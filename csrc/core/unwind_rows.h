/* unwind_rows.h - the unwind rules of one file as a table of 8-byte rows.
 *
 * A row holds from its `pc` to the next row's: how to find the canonical frame address
 * (CFA: the stack pointer before the call), and where the caller's rbp is. The return
 * address is at CFA - 8 in every row that says a CFA. What eight bytes cannot say is a
 * row of kind OTHER: libunwind reads the file's own tables there.
 *
 * Built once from .eh_frame, or from .debug_frame where that is all there is (System V
 * ABI, DWARF 5 section 6.4, LSB "DWARF Extensions"); immutable and shared afterwards. */
#ifndef CPROF_UNWIND_ROWS_H
#define CPROF_UNWIND_ROWS_H

#include "elf.h"

struct cprof_unwind_row {
    uint32_t pc;  /* virtual address less the table's base */
    uint16_t cfa; /* enum cprof_cfa in the top two bits, its argument in the others */
    int16_t rbp;  /* caller's rbp: enum cprof_rbp, else saved at CFA + 8 * rbp */
};

enum cprof_cfa {
    CPROF_CFA_RSP,    /* rsp + 8 * argument */
    CPROF_CFA_RBP,    /* rbp + 8 * argument */
    CPROF_CFA_DEREF,  /* *(rbp - 8 * argument): a realigned stack (DRAP) */
    CPROF_CFA_SPECIAL /* the argument is an enum cprof_special */
};

enum cprof_special {
    CPROF_SPECIAL_GAP,    /* between functions: no rule is known */
    CPROF_SPECIAL_ROOT,   /* return address undefined: the stack begins here */
    CPROF_SPECIAL_SIGNAL, /* signal trampoline: rip, rsp, rbp of the ucontext at rsp */
    CPROF_SPECIAL_OTHER,  /* only libunwind can follow */
    /* With k in the low four bits: rsp + 8 + 8 * ((rip & 15) >= k), a linkage table of
     * which each 16 bytes push a word before byte k. */
    CPROF_SPECIAL_PLT = 1 << 11,
    /* *(rsp + 8 * a) + 8 * b: code that keeps the old stack pointer on a stack that it
     * aligned, as OpenSSL's does; see cprof_special_deref(). */
    CPROF_SPECIAL_DEREF = 1 << 12
};

/* What DEREF carries: -16 <= a < 240, 0 <= b < 16. */
static inline unsigned cprof_special_deref(int a, unsigned b)
{
    return CPROF_SPECIAL_DEREF | (unsigned)(a + 16) << 4 | b;
}
static inline int cprof_special_deref_a(unsigned argument)
{
    return (int)(argument >> 4 & 0xff) - 16;
}
static inline unsigned cprof_special_deref_b(unsigned argument)
{
    return argument & 15;
}

enum cprof_rbp {
    CPROF_RBP_SAME = 0,               /* not saved: unchanged */
    CPROF_RBP_UNDEFINED = INT16_MIN,  /* has no value in the caller */
    CPROF_RBP_AT_RBP = INT16_MIN + 1, /* saved at *rbp (with CFA_DEREF) */
};

enum { CPROF_CFA_SHIFT = 14, CPROF_CFA_ARGUMENT_MAX = (1 << CPROF_CFA_SHIFT) - 1 };

static inline uint16_t cprof_cfa(enum cprof_cfa kind, unsigned argument)
{
    return (uint16_t)((unsigned)kind << CPROF_CFA_SHIFT | argument);
}
static inline enum cprof_cfa cprof_cfa_kind(uint16_t cfa)
{
    return (enum cprof_cfa)(cfa >> CPROF_CFA_SHIFT);
}
static inline unsigned cprof_cfa_argument(uint16_t cfa)
{
    return cfa & CPROF_CFA_ARGUMENT_MAX;
}

struct cprof_unwind_rows; /* owned with cprof_unwind_rows_destroy */

/* How many FDEs the file has as far as that is known without reading them (its search
 * table's count, else a guess by the section's size): what building will cost. */
size_t cprof_unwind_rows_expected(const struct cprof_elf *elf);

/* The table of `elf`. `debug` (NULL allowed) is its separate debug file, where
 * .debug_frame may be. -ENODATA: no unwind information; -EBADMSG: none of it is usable;
 * -E2BIG: more than fits; -ENOMEM. A malformed entry is left out (its code is a gap) and
 * counted. */
int cprof_unwind_rows_build(const struct cprof_elf *elf, const struct cprof_elf *debug,
                            struct cprof_unwind_rows **ret, struct cprof_error *err);
void cprof_unwind_rows_destroy(struct cprof_unwind_rows *rows); /* accepts NULL */

/* The row in force at `vaddr`, never NULL: a GAP row where nothing is known. */
const struct cprof_unwind_row *
cprof_unwind_rows_find(const struct cprof_unwind_rows *rows, uint64_t vaddr);

/* All rows, for tests and the cache file: sorted by pc, strictly. */
const struct cprof_unwind_row *
cprof_unwind_rows_data(const struct cprof_unwind_rows *rows, size_t *n, uint64_t *base);
size_t cprof_unwind_rows_n_other(const struct cprof_unwind_rows *rows); /* rows OTHER */
size_t cprof_unwind_rows_n_bad(const struct cprof_unwind_rows *rows); /* FDEs left out */

#endif
