/* rows.h - one unwind row in words: "401000 rsp+16 c-16". */
#ifndef CPROF_TESTS_ROWS_H
#define CPROF_TESTS_ROWS_H

#include <inttypes.h>
#include <stdio.h>

#include "unwind_rows.h"

enum { ROW_TEXT = 80 };

static inline void row_text_special(unsigned argument, char text[ROW_TEXT])
{
    static const char *const names[] = {"gap", "root", "signal", "other"};

    if (argument >= CPROF_SPECIAL_DEREF)
        snprintf(text, ROW_TEXT, "*(rsp%+d)+%u", cprof_special_deref_a(argument) * 8,
                 cprof_special_deref_b(argument) * 8);
    else if (argument >= CPROF_SPECIAL_PLT)
        snprintf(text, ROW_TEXT, "plt-%u", argument & 15);
    else
        snprintf(text, ROW_TEXT, "%s", names[argument]);
}

static inline const char *row_text(uint64_t base, const struct cprof_unwind_row *row,
                                   char text[ROW_TEXT])
{
    unsigned argument = cprof_cfa_argument(row->cfa);
    char cfa[ROW_TEXT], rbp[16];

    switch (cprof_cfa_kind(row->cfa)) {
    case CPROF_CFA_RSP:
        snprintf(cfa, sizeof(cfa), "rsp+%u", argument * 8);
        break;
    case CPROF_CFA_RBP:
        snprintf(cfa, sizeof(cfa), "rbp+%u", argument * 8);
        break;
    case CPROF_CFA_DEREF:
        snprintf(cfa, sizeof(cfa), "*rbp-%u", argument * 8);
        break;
    case CPROF_CFA_SPECIAL:
        row_text_special(argument, cfa);
        break;
    }
    snprintf(rbp, sizeof(rbp), "c%+d", row->rbp * 8);
    snprintf(text, ROW_TEXT, "%" PRIx64 " %.40s %s", base + row->pc, cfa,
             row->rbp == CPROF_RBP_SAME        ? "same"
             : row->rbp == CPROF_RBP_UNDEFINED ? "undefined"
             : row->rbp == CPROF_RBP_AT_RBP    ? "*rbp"
                                               : rbp);
    return text;
}

#endif
