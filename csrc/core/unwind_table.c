/* unwind_table.c - tables of rows, and a cache of the rules that addresses had.
 *
 * A step is: the rule of the address (one look into the cache, as a rule), the frame it
 * says, one return address read. Only what is plain is done here: where a row cannot say
 * how to go on, or where it leads makes no sense, libunwind unwinds the sample anew. */
#include "unwind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "unwind_rows.h"

enum {
    RULES_FIRST = 1 << 12,
    RULES_MOST = 1 << 16,
    START_SIZE = 64, /* of the code at a program's entry point */
    /* In the ucontext_t that a signal frame begins with (Linux, x86-64). */
    CONTEXT_RBP = 120,
    CONTEXT_RSP = 160,
    CONTEXT_RIP = 168,
};

struct rule {
    uint64_t pc; /* the address that was looked up */
    uint32_t generation;
    uint16_t cfa;
    int16_t rbp;
};

/* Where the return addresses of a thread's last stack were. The outer ones are there
 * again, as a rule, in bytes that another CPU wrote: all are fetched at once, before the
 * walk comes to them one by one. */
enum { TRAILS = 8, TRAIL_MOST = 128 };
struct trail {
    uint64_t slots[TRAIL_MOST];
    size_t n;
};

struct cprof_unwind_space {
    struct trail trails[TRAILS]; /* by where the stack is */
    struct rule *rules;          /* direct mapped */
    uint32_t n_rules, generation, n_missed;
    struct cprof_unwind_space *reference; /* of libunwind */
    bool has_reference;
};

static int create(struct cprof_unwind_space **ret)
{
    struct cprof_unwind_space *space = calloc(1, sizeof(*space));

    if (!space)
        return -ENOMEM;
    space->n_rules = RULES_FIRST;
    space->generation = 1;
    space->rules = calloc(space->n_rules, sizeof(*space->rules));
    if (!space->rules) {
        free(space);
        return -ENOMEM;
    }
    *ret = space;
    return 0;
}

static void destroy(struct cprof_unwind_space *space)
{
    if (!space)
        return;
    if (space->has_reference)
        cprof_unwind_libunwind.destroy(space->reference);
    free(space->rules);
    free(space);
}

static void flush(struct cprof_unwind_space *space)
{
    if (!++space->generation) { /* wrapped: old rules would look new */
        memset(space->rules, 0, space->n_rules * sizeof(*space->rules));
        space->generation = 1;
    }
    if (space->has_reference)
        cprof_unwind_libunwind.flush(space->reference);
}

static void unwind_reference(struct cprof_unwind_space *space,
                             const struct cprof_maps *maps,
                             const struct cprof_unwind_input *in,
                             struct cprof_unwind_chain *chain)
{
    if (!space->has_reference)
        space->has_reference = cprof_unwind_libunwind.create(&space->reference) == 0;
    if (space->has_reference) {
        cprof_unwind_libunwind.unwind(space->reference, maps, in, chain);
        return;
    }
    cprof_unwind_chain_begin(chain, in); /* no memory for it */
    chain->end = CPROF_END_NO_INFO;
}

static struct rule *slot_of(const struct cprof_unwind_space *space, uint64_t pc)
{
    return &space->rules[(pc * 0x9e3779b97f4a7c15ull >> 32) & (space->n_rules - 1)];
}

/* A program with many places needs more of them remembered. */
static void grow(struct cprof_unwind_space *space)
{
    uint32_t n = space->n_rules;
    struct rule *rules, *old = space->rules;

    space->n_missed = 0;
    if (n >= RULES_MOST)
        return;
    rules = calloc((size_t)n * 4, sizeof(*rules));
    if (!rules)
        return;
    space->rules = rules;
    space->n_rules = n * 4;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].generation == space->generation)
            *slot_of(space, old[i].pc) = old[i];
    free(old);
}

/* The rule from the file's table. A frame at the program's entry point has no caller,
 * whatever the table says of it. NULL with *wants: the table is not made yet. */
static const struct rule *find_rule(struct cprof_unwind_space *space,
                                    const struct cprof_maps *maps, uint64_t pc,
                                    struct cprof_dso **wants)
{
    const struct cprof_maps_entry *entry = cprof_maps_find(maps, pc);
    struct rule made = {.pc = pc, .generation = space->generation}, *slot;
    uint64_t vaddr;

    made.cfa = cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_GAP);
    if (entry && entry->dso->rows_state != CPROF_ROWS_SETTLED) {
        *wants = entry->dso;
        return NULL;
    }
    if (entry && entry->dso->rows) {
        const struct cprof_unwind_row *row;
        vaddr = pc - entry->bias;
        row = cprof_unwind_rows_find(entry->dso->rows, vaddr);
        made.cfa = row->cfa;
        made.rbp = row->rbp;
        if (entry->dso->entry && vaddr - entry->dso->entry < START_SIZE)
            made.cfa = cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_ROOT);
    }
    if (++space->n_missed > space->n_rules / 2)
        grow(space);
    slot = slot_of(space, pc);
    *slot = made;
    return slot;
}

/* A frame on its way: what the next step needs. */
struct walk {
    const struct cprof_maps *maps;
    const uint8_t *stack, *below;
    uint64_t low, n; /* bytes of stack from address `low` */
    uint64_t sampled_rbp, rax;
    uint64_t ip, sp, bp;
    bool passed_signal, is_guessed;
};

enum step { STEP_ON, STEP_END, STEP_ASK, STEP_OUTSIDE, STEP_LOST };

static bool read_word(const struct walk *w, uint64_t address, uint64_t *ret)
{
    uint64_t at = address - w->low;

    if (w->n < 8 || at > w->n - 8)
        return false;
    memcpy(ret, w->stack + at, 8);
    return true;
}

static bool read_below(const struct walk *w, uint64_t address, uint64_t *ret)
{
    uint64_t back = w->low - address;

    if (!w->below || back < 8 || back > CPROF_RED_ZONE)
        return false;
    memcpy(ret, w->below + (CPROF_RED_ZONE - back), 8);
    return true;
}

/* Does a call end right before `ip`? (call rel32; call through a register or memory) */
static bool is_after_call(const struct cprof_maps *maps, uint64_t ip)
{
    const struct cprof_maps_entry *entry = cprof_maps_find(maps, ip - 1);
    const uint8_t *code = NULL;
    size_t n = 0;

    if (entry && entry->dso->elf && ip - 7 >= entry->start)
        code = cprof_elf_at(entry->dso->elf, ip - 7 - entry->bias, &n);
    if (!code || n < 7)
        return false;
    if (code[2] == 0xe8)
        return true;
    for (size_t i = 0; i <= 5; i++) /* ff /2, 2 to 7 bytes long */
        if (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 2)
            return true;
    return false;
}

/* A CFA kept below the stack pointer, in bytes that no sample has. The code that does so
 * (it works on a stack that it aligned) keeps the old stack pointer above, too: the first
 * word there that points to a return address. */
static bool guess_cfa(struct walk *w, uint64_t *cfa)
{
    enum { REACH = 1024 };
    uint64_t kept, ip;

    for (uint64_t at = w->low; at < w->low + REACH; at += 8) {
        if (!read_word(w, at, &kept))
            return false;
        if (kept > at && kept % 8 == 0 && read_word(w, kept, &ip) &&
            is_after_call(w->maps, ip)) {
            w->is_guessed = true;
            *cfa = kept + 8;
            return true;
        }
    }
    return false;
}

static bool find_deref(struct walk *w, unsigned argument, uint64_t *cfa)
{
    uint64_t at = w->sp + 8 * (uint64_t)(int64_t)cprof_special_deref_a(argument), kept;
    unsigned more = cprof_special_deref_b(argument);

    if (read_word(w, at, &kept) || read_below(w, at, &kept)) {
        *cfa = kept + 8 * (uint64_t)more;
        return true;
    }
    return at < w->low && w->low - at <= CPROF_RED_ZONE && more == 1 && guess_cfa(w, cfa);
}

/* Where the interrupted code was, from the ucontext at the stack pointer. */
static enum step step_signal(struct walk *w)
{
    uint64_t at = w->sp, ip, sp, bp;

    if (!read_word(w, at + CONTEXT_RIP, &ip) || !read_word(w, at + CONTEXT_RSP, &sp) ||
        !read_word(w, at + CONTEXT_RBP, &bp))
        return STEP_OUTSIDE;
    w->ip = ip;
    w->sp = sp;
    w->bp = bp;
    w->passed_signal = true;
    return STEP_ON;
}

static bool find_cfa(struct walk *w, const struct rule *rule, uint64_t *cfa)
{
    unsigned argument = cprof_cfa_argument(rule->cfa);

    switch (cprof_cfa_kind(rule->cfa)) {
    case CPROF_CFA_RSP:
        *cfa = w->sp + 8 * (uint64_t)argument;
        return true;
    case CPROF_CFA_RBP:
        *cfa = w->bp + 8 * (uint64_t)argument;
        return true;
    case CPROF_CFA_DEREF:
        return read_word(w, w->bp - 8 * (uint64_t)argument, cfa);
    case CPROF_CFA_SPECIAL:
        if (argument & CPROF_SPECIAL_DEREF)
            return find_deref(w, argument, cfa);
        if (!(argument & CPROF_SPECIAL_PLT))
            return false;
        *cfa = w->sp + 8 + 8 * ((rule->pc & 15) >= (argument & 15));
        return true;
    }
    return false;
}

/* The caller's rbp. After `pop %rbp` a table still says "saved at CFA - 16", below the
 * stack pointer and so not copied; the register itself has the value again. */
static bool find_rbp(const struct walk *w, const struct rule *rule, uint64_t cfa,
                     uint64_t *rbp)
{
    uint64_t at;

    if (rule->rbp == CPROF_RBP_SAME) {
        *rbp = w->bp;
        return true;
    }
    if (rule->rbp == CPROF_RBP_UNDEFINED) {
        *rbp = 0;
        return true;
    }
    at = rule->rbp == CPROF_RBP_AT_RBP ? w->bp : cfa + 8 * (uint64_t)(int64_t)rule->rbp;
    if (at < w->low && w->low - at <= CPROF_RED_ZONE) {
        if (!read_below(w, at, rbp))
            *rbp = w->sampled_rbp;
        return true;
    }
    return read_word(w, at, rbp);
}

/* To the caller. *slot is where its return address was found. */
static inline enum step step_call(struct walk *w, const struct rule *rule, uint64_t *slot)
{
    uint64_t cfa, ip, bp;

    if (!find_cfa(w, rule, &cfa) || cfa <= w->sp)
        return STEP_ASK;
    if (!read_word(w, cfa - 8, &ip))
        return cfa - 8 >= w->low && cfa - 8 - w->low < CPROF_STACK_REACH ? STEP_OUTSIDE
                                                                         : STEP_ASK;
    if (!find_rbp(w, rule, cfa, &bp))
        return STEP_ASK;
    *slot = cfa - 8;
    w->ip = ip;
    w->sp = cfa;
    w->bp = bp;
    return ip ? STEP_ON : STEP_END;
}

/* A thread at its very first instruction, which no table describes: right behind the
 * system call of glibc's clone() or clone3(), which gave it zero. */
static bool is_thread_start(const struct walk *w)
{
    static const uint8_t call[] = {0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7c};
    static const uint8_t leap[] = {0x74, 0x01, 0xc3}; /* over the parent's `ret` */
    const struct cprof_maps_entry *entry = cprof_maps_find(w->maps, w->ip);
    const uint8_t *code = NULL;
    size_t n = 0;

    if (w->rax == 0 && entry && entry->dso->elf && w->ip - 2 >= entry->start)
        code = cprof_elf_at(entry->dso->elf, w->ip - 2 - entry->bias, &n);
    return code && n >= sizeof(call) + 1 + sizeof(leap) &&
           !memcmp(code, call, sizeof(call)) &&
           !memcmp(code + sizeof(call) + 1, leap, sizeof(leap));
}

/* libunwind knows nothing of this file: its rows are from .debug_frame. */
static bool is_known_here_only(const struct walk *w, uint64_t pc)
{
    const struct cprof_maps_entry *entry = cprof_maps_find(w->maps, pc);

    return entry && entry->dso->rows && !entry->dso->has_unwind;
}

/* To the caller by the frame pointer, which such files keep. */
static enum step step_by_pointer(struct walk *w, uint64_t *slot)
{
    uint64_t ip, bp;

    if (w->bp < w->sp || !read_word(w, w->bp, &bp) || !read_word(w, w->bp + 8, &ip) ||
        !cprof_maps_find(w->maps, ip - 1))
        return STEP_LOST;
    *slot = w->bp + 8;
    w->ip = ip;
    w->sp = w->bp + 16;
    w->bp = bp;
    w->is_guessed = true;
    return STEP_ON;
}

/* Why the walk ended with this step; CPROF_N_ENDS where libunwind must be asked. */
static enum cprof_end end_of(enum step step, const struct walk *w)
{
    bool is_elsewhere = w->sp < w->low || w->sp - w->low > w->n;

    switch (step) {
    case STEP_END:
        return CPROF_END_ROOT;
    case STEP_LOST:
        return CPROF_END_NO_INFO;
    case STEP_OUTSIDE: /* the stack goes on where no bytes are */
        return w->passed_signal && is_elsewhere ? CPROF_END_OTHER_STACK
                                                : CPROF_END_TRUNCATED;
    default:
        return CPROF_N_ENDS;
    }
}

static struct trail *follow_trail(struct cprof_unwind_space *space, const struct walk *w)
{
    struct trail *trail = &space->trails[(w->low >> 20 ^ w->low >> 23) % TRAILS];

    for (size_t i = 0; i < trail->n; i++)
        if (trail->slots[i] - w->low < w->n)
            __builtin_prefetch(w->stack + (trail->slots[i] - w->low));
    trail->n = 0;
    return trail;
}

/* The chain up to its end; CPROF_N_ENDS where libunwind must be asked. */
static enum cprof_end walk(struct cprof_unwind_space *space, struct walk *w,
                           struct cprof_unwind_chain *chain)
{
    struct trail *trail = follow_trail(space, w);
    enum cprof_end end = CPROF_END_ROOT;
    uint64_t pc = w->ip, slot = 0;
    size_t n = 1;

    for (;;) {
        const struct rule *rule = slot_of(space, pc);
        bool is_signal;
        enum step step;

        if (rule->pc != pc || rule->generation != space->generation)
            rule = find_rule(space, w->maps, pc, &chain->wants);
        if (!rule || rule->cfa == cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_ROOT))
            break;
        is_signal = rule->cfa == cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_SIGNAL);
        if (is_signal) /* entered at its first byte, not called */
            chain->pc[n - 1] = w->ip;
        step = is_signal ? step_signal(w) : step_call(w, rule, &slot);
        if (step == STEP_ASK && n == 1 && is_thread_start(w))
            break;
        if (step == STEP_ASK && is_known_here_only(w, pc))
            step = step_by_pointer(w, &slot);
        if (step != STEP_ON) {
            end = end_of(step, w);
            break;
        }
        if (n == CPROF_UNWIND_MAX_FRAMES) {
            end = CPROF_END_DEPTH;
            break;
        }
        if (!is_signal) {
            chain->slots[chain->n_slots++ % CPROF_UNWIND_SLOTS] = slot;
            if (trail->n < TRAIL_MOST)
                trail->slots[trail->n++] = slot;
        }
        /* what a signal interrupted had not called anything */
        pc = is_signal ? w->ip : w->ip - 1;
        chain->pc[n++] = pc;
    }
    chain->n = n;
    return end;
}

/* The slots in order, the outermost last. */
static void order_slots(struct cprof_unwind_chain *chain)
{
    uint64_t ordered[CPROF_UNWIND_SLOTS];
    uint32_t n =
        chain->n_slots < CPROF_UNWIND_SLOTS ? chain->n_slots : CPROF_UNWIND_SLOTS;

    for (uint32_t i = 0; i < n; i++)
        ordered[i] = chain->slots[(chain->n_slots - n + i) % CPROF_UNWIND_SLOTS];
    memcpy(chain->slots, ordered, n * sizeof(*ordered));
    chain->n_slots = n;
}

static void unwind(struct cprof_unwind_space *space, const struct cprof_maps *maps,
                   const struct cprof_unwind_input *in, struct cprof_unwind_chain *chain)
{
    struct walk w = {.maps = maps,
                     .stack = in->stack,
                     .below = in->below,
                     .low = in->regs[CPROF_REG_RSP],
                     .n = in->stack_n,
                     .sampled_rbp = in->regs[CPROF_REG_RBP],
                     .rax = in->regs[CPROF_REG_RAX],
                     .ip = in->regs[CPROF_REG_RIP],
                     .sp = in->regs[CPROF_REG_RSP],
                     .bp = in->regs[CPROF_REG_RBP]};
    enum cprof_end end;

    cprof_unwind_chain_begin(chain, in);
    end = walk(space, &w, chain);
    if (chain->wants)
        return;
    if (end == CPROF_N_ENDS) {
        unwind_reference(space, maps, in, chain);
        chain->how |= CPROF_HOW_FALLBACK;
        return;
    }
    chain->end = end;
    chain->n_guessed = w.is_guessed;
    chain->how = w.is_guessed ? CPROF_HOW_GUESSED : 0;
    order_slots(chain);
}

const struct cprof_unwind_ops cprof_unwind_table = {
    .name = "table",
    .needs_stack = true,
    .create = create,
    .destroy = destroy,
    .flush = flush,
    .unwind = unwind,
    .reference = unwind_reference,
};
