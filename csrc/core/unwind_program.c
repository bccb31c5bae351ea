#include "unwind_program.h"

#include "unwind.h"

/* The top two bits of an instruction, whose argument the others are; else all of it. */
enum {
    OP_MASK = 0xc0,
    OP_ADVANCE_LOC = 0x40,
    OP_OFFSET = 0x80,
    OP_RESTORE = 0xc0,
    OP_NOP = 0x00,
    OP_SET_LOC = 0x01,
    OP_ADVANCE_LOC1 = 0x02,
    OP_ADVANCE_LOC2 = 0x03,
    OP_ADVANCE_LOC4 = 0x04,
    OP_OFFSET_EXTENDED = 0x05,
    OP_RESTORE_EXTENDED = 0x06,
    OP_UNDEFINED = 0x07,
    OP_SAME_VALUE = 0x08,
    OP_REGISTER = 0x09,
    OP_REMEMBER_STATE = 0x0a,
    OP_RESTORE_STATE = 0x0b,
    OP_DEF_CFA = 0x0c,
    OP_DEF_CFA_REGISTER = 0x0d,
    OP_DEF_CFA_OFFSET = 0x0e,
    OP_DEF_CFA_EXPRESSION = 0x0f,
    OP_EXPRESSION = 0x10,
    OP_OFFSET_EXTENDED_SF = 0x11,
    OP_DEF_CFA_SF = 0x12,
    OP_DEF_CFA_OFFSET_SF = 0x13,
    OP_VAL_OFFSET = 0x14,
    OP_VAL_OFFSET_SF = 0x15,
    OP_VAL_EXPRESSION = 0x16,
    OP_MIPS_ADVANCE_LOC8 = 0x1d,
    OP_GNU_ARGS_SIZE = 0x2e,
    OP_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

/* rules.cfa */
enum {
    CFA_NONE, /* nothing was said */
    CFA_RSP,  /* a register and cfa_offset */
    CFA_RBP,
    CFA_REGISTER, /* any other */
    CFA_DEREF,    /* what lies at rbp + cfa_argument */
    CFA_KEPT,     /* by what lies at rsp + something: cfa_argument is the row's */
    CFA_SIGNAL,
    CFA_PLT,       /* cfa_argument as in a row */
    CFA_EXPRESSION /* any other */
};

/* rules.ra and rules.rsp; and rules.rbp, where it is none of a row's. */
enum {
    RULE_NONE, /* nothing was said, or for rsp: it is the CFA */
    RULE_UNDEFINED,
    RULE_AT_CFA_8,
    RULE_SIGNAL, /* in the ucontext at rsp */
    RULE_OTHER,
    RBP_SIGNAL = INT32_MAX - 1,
    RBP_OTHER = INT32_MAX
};

/* Where rt_sigreturn(2) finds rbp, rsp and rip, above the stack pointer (struct ucontext
 * of the x86-64 kernel). */
enum { UCONTEXT_RBP = 120, UCONTEXT_RSP = 160, UCONTEXT_RIP = 168 };

enum { REMEMBERED_MAX = 64 };

struct run {
    struct cprof_row_list *list;
    const struct cprof_cie *cie;
    const struct cprof_rules *initial; /* NULL: it is the CIE's own program */
    struct cprof_rules rules;
    struct cprof_cursor c;
    uint64_t pc, end;
    uint64_t data_base;
    struct cprof_rules *remembered;
    size_t n_remembered;
};

int cprof_row_push(struct cprof_row_list *list, struct cprof_unwind_row row)
{
    if (list->rows.n) {
        const struct cprof_unwind_row *last = &list->rows.data[list->rows.n - 1];
        if (last->cfa == row.cfa && last->rbp == row.rbp)
            return 0;
    }
    return cprof_vec_push(&list->rows, row);
}

static struct cprof_unwind_row special(enum cprof_special what)
{
    return (struct cprof_unwind_row){.cfa = cprof_cfa(CPROF_CFA_SPECIAL, what)};
}

/* A CFA of `kind` that is `offset` away, as a row has it. */
static struct cprof_unwind_row at_offset(enum cprof_cfa kind, int64_t offset, int32_t rbp)
{
    if (offset < 0 || offset % 8 || offset / 8 > CPROF_CFA_ARGUMENT_MAX)
        return special(CPROF_SPECIAL_OTHER);
    return (struct cprof_unwind_row){.cfa = cprof_cfa(kind, (unsigned)(offset / 8)),
                                     .rbp = (int16_t)rbp};
}

static bool is_signal(const struct cprof_rules *rules)
{
    return rules->cfa == CFA_SIGNAL && rules->ra == RULE_SIGNAL &&
           rules->rbp == RBP_SIGNAL &&
           (rules->rsp == RULE_SIGNAL || rules->rsp == RULE_NONE);
}

/* At the `ret` of a function that realigned its stack gcc still says "rbp is saved where
 * rbp points": it has been popped. */
static bool is_popped(const struct cprof_rules *rules)
{
    return rules->rbp == CPROF_RBP_AT_RBP && rules->cfa == CFA_RSP &&
           rules->cfa_offset == 8;
}

static struct cprof_unwind_row to_row(const struct run *run)
{
    const struct cprof_rules *rules = &run->rules;
    struct cprof_unwind_row row;

    if (run->cie->return_register != CPROF_REG_RIP)
        return special(CPROF_SPECIAL_OTHER);
    if (rules->ra == RULE_UNDEFINED)
        return special(CPROF_SPECIAL_ROOT);
    if (run->cie->is_signal)
        return special(is_signal(rules) ? CPROF_SPECIAL_SIGNAL : CPROF_SPECIAL_OTHER);
    if (rules->ra != RULE_AT_CFA_8 || rules->rsp != RULE_NONE || rules->rbp > INT16_MAX)
        return special(CPROF_SPECIAL_OTHER);
    if (is_popped(rules))
        return at_offset(CPROF_CFA_RSP, rules->cfa_offset, CPROF_RBP_SAME);
    if (rules->rbp == CPROF_RBP_AT_RBP && rules->cfa != CFA_DEREF)
        return special(CPROF_SPECIAL_OTHER);
    switch (rules->cfa) {
    case CFA_RSP:
        return at_offset(CPROF_CFA_RSP, rules->cfa_offset, rules->rbp);
    case CFA_RBP:
        return at_offset(CPROF_CFA_RBP, rules->cfa_offset, rules->rbp);
    case CFA_DEREF:
        return at_offset(CPROF_CFA_DEREF, -(int64_t)rules->cfa_argument, rules->rbp);
    case CFA_KEPT:
    case CFA_PLT:
        row = special((unsigned)rules->cfa_argument);
        row.rbp = (int16_t)rules->rbp;
        return row;
    }
    return special(CPROF_SPECIAL_OTHER);
}

/* The rules so far hold up to `pc`. */
static int advance_to(struct run *run, uint64_t pc)
{
    struct cprof_unwind_row row;

    if (pc == run->pc)
        return 0;
    if (pc < run->pc || !run->initial)
        return -EBADMSG;
    row = to_row(run);
    row.pc = (uint32_t)(run->pc - run->list->base);
    run->pc = pc;
    return cprof_row_push(run->list, row);
}

static int advance(struct run *run, uint64_t by)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(by, run->cie->code_align, &bytes) ||
        bytes > UINT64_MAX - run->pc)
        return -EBADMSG;
    return advance_to(run, run->pc + bytes);
}

/* "saved at CFA + offset", the offset being in units of the data alignment. */
static void set_offset(struct run *run, uint64_t reg, int64_t factored)
{
    int64_t offset;

    if (reg != CPROF_REG_RBP && reg != CPROF_REG_RIP && reg != CPROF_REG_RSP)
        return;
    if (__builtin_mul_overflow(factored, run->cie->data_align, &offset))
        offset = 1; /* no row can say it */
    if (reg == CPROF_REG_RIP)
        run->rules.ra = offset == -8 ? RULE_AT_CFA_8 : RULE_OTHER;
    else if (reg == CPROF_REG_RSP)
        run->rules.rsp = RULE_OTHER;
    else if (offset % 8 || !offset || offset / 8 > INT16_MAX ||
             offset / 8 <= CPROF_RBP_AT_RBP)
        run->rules.rbp = RBP_OTHER;
    else
        run->rules.rbp = (int32_t)(offset / 8);
}

/* A rule for `reg` that is the same for all registers. */
static void set_rule(struct run *run, uint64_t reg, uint8_t rule, int32_t rbp)
{
    if (reg == CPROF_REG_RBP)
        run->rules.rbp = rbp;
    else if (reg == CPROF_REG_RIP)
        run->rules.ra = rule;
    else if (reg == CPROF_REG_RSP)
        run->rules.rsp = rule;
}

static int restore(struct run *run, uint64_t reg)
{
    if (!run->initial)
        return -EBADMSG;
    if (reg == CPROF_REG_RBP)
        run->rules.rbp = run->initial->rbp;
    else if (reg == CPROF_REG_RIP)
        run->rules.ra = run->initial->ra;
    else if (reg == CPROF_REG_RSP)
        run->rules.rsp = run->initial->rsp;
    return 0;
}

static void set_cfa_register(struct run *run, uint64_t reg)
{
    run->rules.cfa = reg == CPROF_REG_RSP   ? CFA_RSP
                     : reg == CPROF_REG_RBP ? CFA_RBP
                                            : CFA_REGISTER;
}

/* Offsets out of any reach become one that no row can say. */
static void set_cfa_offset(struct run *run, uint64_t offset)
{
    run->rules.cfa_offset = offset > INT32_MAX ? 1 : (int32_t)offset;
}

static void set_cfa_offset_sf(struct run *run, int64_t factored)
{
    if (__builtin_mul_overflow(factored, run->cie->data_align, &run->rules.cfa_offset))
        run->rules.cfa_offset = 1;
}

/* The block of an expression, as a cursor over it. */
static struct cprof_cursor block(struct run *run)
{
    uint64_t n = cprof_cursor_uleb(&run->c);
    struct cprof_cursor c = run->c;

    cprof_cursor_skip(&run->c, n);
    c.end = run->c.is_bad ? c.at : run->c.at;
    return c;
}

enum {
    DW_OP_DEREF = 0x06,
    DW_OP_PLUS_UCONST = 0x23,
    DW_OP_AND = 0x1a,
    DW_OP_PLUS = 0x22,
    DW_OP_SHL = 0x24,
    DW_OP_GE = 0x2a,
    DW_OP_LIT = 0x30,
    DW_OP_BREG = 0x70
};

/* `register + offset`, which most expressions begin with. */
static bool is_breg(struct cprof_cursor *c, unsigned reg, int64_t *offset)
{
    if (cprof_cursor_fixed(c, 1) != DW_OP_BREG + reg)
        return false;
    *offset = cprof_cursor_sleb(c);
    return !c->is_bad;
}

/* What linkers say of their procedure linkage table: one push, which ends before byte k
 * of each 16 (11, or where the entries begin with other instructions 5, 9 or 10), moves
 * rsp.
 */
static bool is_plt(const struct cprof_cursor *c, int32_t *argument)
{
    static const uint8_t head[] = {DW_OP_BREG + CPROF_REG_RSP,
                                   8,
                                   DW_OP_BREG + CPROF_REG_RIP,
                                   0,
                                   DW_OP_LIT + 15,
                                   DW_OP_AND};
    static const uint8_t tail[] = {DW_OP_GE, DW_OP_LIT + 3, DW_OP_SHL, DW_OP_PLUS};
    unsigned k;

    if (cprof_cursor_left(c) != sizeof(head) + 1 + sizeof(tail) ||
        memcmp(c->at, head, sizeof(head)) ||
        memcmp(c->end - sizeof(tail), tail, sizeof(tail)))
        return false;
    k = c->at[sizeof(head)] - DW_OP_LIT;
    *argument = (int32_t)(CPROF_SPECIAL_PLT | k);
    return k < 16;
}

/* *(rsp + 8 * a) + 8 * b */
static bool is_kept(struct cprof_cursor c, int32_t *argument)
{
    int64_t offset;
    uint64_t more;

    if (!is_breg(&c, CPROF_REG_RSP, &offset) || offset % 8 || offset < -128 ||
        offset >= 240 * 8 || cprof_cursor_fixed(&c, 1) != DW_OP_DEREF ||
        cprof_cursor_fixed(&c, 1) != DW_OP_PLUS_UCONST)
        return false;
    more = cprof_cursor_uleb(&c);
    *argument =
        (int32_t)cprof_special_deref((int)(offset / 8), (unsigned)(more / 8) & 15);
    return !c.is_bad && c.at == c.end && more % 8 == 0 && more < 128;
}

static void set_cfa_expression(struct run *run, struct cprof_cursor c)
{
    struct cprof_rules *rules = &run->rules;
    struct cprof_cursor rest = c;
    int64_t offset;

    rules->cfa = CFA_EXPRESSION;
    if (is_plt(&c, &rules->cfa_argument)) {
        rules->cfa = CFA_PLT;
        return;
    }
    if (is_breg(&rest, CPROF_REG_RSP, &offset) && offset == UCONTEXT_RSP &&
        cprof_cursor_fixed(&rest, 1) == DW_OP_DEREF && rest.at == rest.end) {
        rules->cfa = CFA_SIGNAL;
        return;
    }
    rest = c;
    if (is_breg(&rest, CPROF_REG_RBP, &offset) && offset >= INT32_MIN && offset <= 0 &&
        cprof_cursor_fixed(&rest, 1) == DW_OP_DEREF && rest.at == rest.end) {
        rules->cfa = CFA_DEREF;
        rules->cfa_argument = (int32_t)offset;
        return;
    }
    if (is_kept(c, &rules->cfa_argument))
        rules->cfa = CFA_KEPT;
}

/* "saved where the expression says" */
static void set_expression(struct run *run, uint64_t reg, struct cprof_cursor c)
{
    struct cprof_cursor rest = c;
    int64_t offset;
    bool is_context = is_breg(&rest, CPROF_REG_RSP, &offset) && rest.at == rest.end;

    if (is_context && reg == CPROF_REG_RBP && offset == UCONTEXT_RBP)
        run->rules.rbp = RBP_SIGNAL;
    else if (is_context && reg == CPROF_REG_RSP && offset == UCONTEXT_RSP)
        run->rules.rsp = RULE_SIGNAL;
    else if (is_context && reg == CPROF_REG_RIP && offset == UCONTEXT_RIP)
        run->rules.ra = RULE_SIGNAL;
    else if (reg == CPROF_REG_RBP && is_breg(&c, CPROF_REG_RBP, &offset) &&
             c.at == c.end && !offset)
        run->rules.rbp = CPROF_RBP_AT_RBP;
    else
        set_rule(run, reg, RULE_OTHER, RBP_OTHER);
}

static int remember(struct run *run)
{
    if (run->n_remembered == REMEMBERED_MAX)
        return -EBADMSG;
    run->remembered[run->n_remembered++] = run->rules;
    return 0;
}

static int recall(struct run *run)
{
    if (!run->n_remembered)
        return -EBADMSG;
    run->rules = run->remembered[--run->n_remembered];
    return 0;
}

/* Instructions that only move on, or are about the CFA. -ENOENT: none of these. */
static int run_cfa(struct run *run, uint8_t op)
{
    struct cprof_cursor *c = &run->c;

    switch (op) {
    case OP_NOP:
        return 0;
    case OP_SET_LOC:
        return advance_to(run,
                          cprof_cursor_pointer(c, run->cie->encoding, run->data_base));
    case OP_ADVANCE_LOC1:
        return advance(run, cprof_cursor_fixed(c, 1));
    case OP_ADVANCE_LOC2:
        return advance(run, cprof_cursor_fixed(c, 2));
    case OP_ADVANCE_LOC4:
        return advance(run, cprof_cursor_fixed(c, 4));
    case OP_MIPS_ADVANCE_LOC8:
        return advance(run, cprof_cursor_fixed(c, 8));
    case OP_DEF_CFA:
        set_cfa_register(run, cprof_cursor_uleb(c));
        set_cfa_offset(run, cprof_cursor_uleb(c));
        return 0;
    case OP_DEF_CFA_SF:
        set_cfa_register(run, cprof_cursor_uleb(c));
        set_cfa_offset_sf(run, cprof_cursor_sleb(c));
        return 0;
    case OP_DEF_CFA_REGISTER:
        set_cfa_register(run, cprof_cursor_uleb(c));
        return 0;
    case OP_DEF_CFA_OFFSET:
        set_cfa_offset(run, cprof_cursor_uleb(c));
        return 0;
    case OP_DEF_CFA_OFFSET_SF:
        set_cfa_offset_sf(run, cprof_cursor_sleb(c));
        return 0;
    case OP_DEF_CFA_EXPRESSION:
        set_cfa_expression(run, block(run));
        return 0;
    case OP_REMEMBER_STATE:
        return remember(run);
    case OP_RESTORE_STATE:
        return recall(run);
    case OP_GNU_ARGS_SIZE: /* of no use on this machine */
        cprof_cursor_uleb(c);
        return 0;
    }
    return -ENOENT;
}

/* Instructions about one register, named first. Those left are of other machines. */
static int run_register(struct run *run, uint8_t op)
{
    struct cprof_cursor *c = &run->c;
    uint64_t reg = cprof_cursor_uleb(c);
    int64_t value;

    switch (op) {
    case OP_OFFSET_EXTENDED:
        set_offset(run, reg, (int64_t)cprof_cursor_uleb(c));
        return 0;
    case OP_OFFSET_EXTENDED_SF:
        set_offset(run, reg, cprof_cursor_sleb(c));
        return 0;
    case OP_GNU_NEGATIVE_OFFSET_EXTENDED:
        set_offset(run, reg, (int64_t)-cprof_cursor_uleb(c));
        return 0;
    case OP_RESTORE_EXTENDED:
        return restore(run, reg);
    case OP_UNDEFINED:
        set_rule(run, reg, RULE_UNDEFINED, CPROF_RBP_UNDEFINED);
        return 0;
    case OP_SAME_VALUE:
        set_rule(run, reg, RULE_OTHER, CPROF_RBP_SAME);
        return 0;
    case OP_REGISTER:
        cprof_cursor_uleb(c);
        set_rule(run, reg, RULE_OTHER, RBP_OTHER);
        return 0;
    case OP_VAL_OFFSET:
    case OP_VAL_OFFSET_SF:
        value =
            op == OP_VAL_OFFSET ? (int64_t)cprof_cursor_uleb(c) : cprof_cursor_sleb(c);
        set_rule(run, reg, RULE_OTHER, RBP_OTHER);
        if (reg == CPROF_REG_RSP && !value) /* which it is anyway */
            run->rules.rsp = RULE_NONE;
        return 0;
    case OP_EXPRESSION:
        set_expression(run, reg, block(run));
        return 0;
    case OP_VAL_EXPRESSION:
        block(run);
        set_rule(run, reg, RULE_OTHER, RBP_OTHER);
        return 0;
    }
    return -EBADMSG;
}

static int run_all(struct run *run)
{
    struct cprof_rules remembered[REMEMBERED_MAX];
    struct cprof_cursor *c = &run->c;
    int r = 0;

    if (cprof_cursor_left(c) > run->list->budget)
        return -E2BIG;
    run->list->budget -= cprof_cursor_left(c);
    run->remembered = remembered;
    while (c->at < c->end && run->pc < run->end && r == 0) {
        uint8_t op = *c->at++, argument = op & ~OP_MASK;
        switch (op & OP_MASK) {
        case OP_ADVANCE_LOC:
            r = advance(run, argument);
            break;
        case OP_OFFSET:
            set_offset(run, argument, (int64_t)cprof_cursor_uleb(c));
            break;
        case OP_RESTORE:
            r = restore(run, argument);
            break;
        default:
            r = run_cfa(run, op);
            if (r == -ENOENT)
                r = run_register(run, op);
        }
    }
    return r < 0 ? r : c->is_bad ? -EBADMSG : 0;
}

int cprof_program_begin(struct cprof_row_list *list, const struct cprof_cie *cie,
                        uint64_t data_base, struct cprof_rules *ret)
{
    struct run run = {.list = list,
                      .cie = cie,
                      .c = cie->program,
                      .end = UINT64_MAX,
                      .data_base = data_base};
    int r = run_all(&run);

    if (r == 0)
        *ret = run.rules;
    return r;
}

int cprof_program_run(struct cprof_row_list *list, const struct cprof_cie *cie,
                      const struct cprof_rules *initial, const struct cprof_fde *fde,
                      uint64_t data_base)
{
    struct run run = {.list = list,
                      .cie = cie,
                      .initial = initial,
                      .rules = *initial,
                      .c = fde->program,
                      .pc = fde->start,
                      .end = fde->end,
                      .data_base = data_base};
    int r = run_all(&run);

    return r < 0 || run.pc >= run.end ? r : advance_to(&run, run.end);
}
