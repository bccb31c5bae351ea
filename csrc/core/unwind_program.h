/* unwind_program.h - runs the program of an FDE (DWARF 5, 6.4.2): its rules as rows.
 *
 * Only what a row can say is followed: the CFA, the return address, rbp, and whether rsp
 * is something else than the CFA. */
#ifndef CPROF_UNWIND_PROGRAM_H
#define CPROF_UNWIND_PROGRAM_H

#include "elf_cfi.h"
#include "unwind_rows.h"
#include "vec.h"

/* The rules at one point of a program. */
struct cprof_rules {
    int32_t cfa_offset;   /* from a register; it outlives an expression */
    int32_t cfa_argument; /* of an expression */
    int32_t rbp;          /* as in a row, or beyond the values of one */
    uint8_t cfa;          /* what the CFA is found by */
    uint8_t ra, rsp;      /* what kind of rule these have */
};

struct cprof_row_list {
    CPROF_VEC(struct cprof_unwind_row) rows;
    uint64_t base;   /* address of pc 0 */
    uint64_t budget; /* bytes of programs that may still be run */
};

/* The rules that `cie` begins its FDEs with. 0, -EBADMSG, -E2BIG (the budget). */
int cprof_program_begin(struct cprof_row_list *list, const struct cprof_cie *cie,
                        uint64_t data_base, struct cprof_rules *ret);

/* Add the rows of `fde`; its addresses have been checked to fit. They begin at its start,
 * which lies above all rows in the list, and a row that would repeat the one before is
 * left out. 0, -EBADMSG (rows may have been added), -E2BIG, -ENOMEM. */
int cprof_program_run(struct cprof_row_list *list, const struct cprof_cie *cie,
                      const struct cprof_rules *initial, const struct cprof_fde *fde,
                      uint64_t data_base);

/* Add a row at `pc` (above all others) unless it says what the last one says. */
int cprof_row_push(struct cprof_row_list *list, struct cprof_unwind_row row);

#endif
