/* unwind_libunwind.c - the files' own unwind tables, walked by libunwind in remote mode.
 *
 * libunwind asks through accessors: where the table for an address is (find_proc_info),
 * for memory (the sample's stack bytes, else bytes of the mapped files) and for
 * registers. Its cache of rules is per address space; it is off at first, and its size
 * can only be set once the first step has made it, so it grows with use (cache_grow). */
#include "unwind.h"

#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"

/* Exported by libunwind but declared in none of its public headers. */
int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t as, unw_word_t ip,
                                       unw_dyn_info_t *di, unw_proc_info_t *pi,
                                       int need_unwind_info, void *arg);

enum { N_CACHE_STEPS = 3 };

/* Where a table that is not in the target's memory seems to lie: no user address is
 * there. */
#define MADE_TABLE 0xfff0000000000000ull

struct cprof_unwind_space {
    unw_addr_space_t as;
    uint64_t n_unwound;
    int cache_step;
};

/* One sample being unwound: what the accessors get as `arg`. */
struct context {
    const struct cprof_maps *maps;
    const struct cprof_unwind_input *in;
    uint64_t regs[CPROF_N_REGS]; /* where the walk began: the sample's, or a guess's */
    const struct cprof_maps_entry *last; /* file of the last look-up */
    uint32_t n_reads;                    /* of memory, so far */
    bool is_guess;                       /* the last step had no table to go by */
    enum cprof_end trouble; /* why memory was refused, ROOT when it was not */
};

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi,
                          int need_unwind_info, void *arg)
{
    struct context *c = arg;
    const struct cprof_maps_entry *entry = cprof_maps_find(c->maps, ip);
    const struct cprof_elf_unwind *unwind;
    unw_dyn_info_t di;

    c->is_guess = true;
    if (!entry || !entry->dso->has_unwind || !entry->dso->unwind.is_table_usable)
        return -UNW_ENOINFO;
    unwind = &entry->dso->unwind;
    memset(&di, 0, sizeof(di));
    di.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    di.start_ip = entry->start;
    di.end_ip = entry->end;
    di.u.rti.segbase = entry->bias + unwind->hdr_vaddr;
    di.u.rti.table_data =
        unwind->made_table ? MADE_TABLE : entry->bias + unwind->table_vaddr;
    di.u.rti.table_len = unwind->n_fdes * 8 / sizeof(unw_word_t);
    c->last = entry;
    if (_Ux86_64_dwarf_search_unwind_table(as, ip, &di, pi, need_unwind_info, arg) < 0)
        return -UNW_ENOINFO;
    c->is_guess = false;
    return 0;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
    (void)as, (void)pi, (void)arg; /* libunwind frees its own */
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *ret, void *arg)
{
    (void)as, (void)ret, (void)arg;
    return -UNW_ENOINFO;
}

static bool read_made(const struct context *c, uint64_t address, unw_word_t *ret)
{
    const struct cprof_elf_unwind *unwind = c->last ? &c->last->dso->unwind : NULL;
    uint64_t at = address - MADE_TABLE;

    if (!unwind || !unwind->made_table || at > (unwind->n_fdes - 1) * 8)
        return false;
    memcpy(ret, (const uint8_t *)unwind->made_table + at, 8);
    return true;
}

static bool read_file(struct context *c, uint64_t address, unw_word_t *ret)
{
    const struct cprof_maps_entry *entry = c->last;
    const uint8_t *bytes;
    size_t n = 0;

    if (!entry || address < entry->bias + entry->dso->low ||
        address >= entry->bias + entry->dso->high)
        entry = cprof_maps_find_image(c->maps, address);
    if (!entry)
        return false;
    c->last = entry;
    bytes = cprof_elf_at(entry->dso->elf, address - entry->bias, &n);
    *ret =
        0; /* inside the image but not in the file: zero fill, not needed for unwinding */
    if (bytes)
        memcpy(ret, bytes, n < sizeof(*ret) ? n : sizeof(*ret));
    return true;
}

/* A rule can be a program with a loop, and libunwind runs it to its end: each operation
 * is read through us. Deep stacks with a cold cache need some hundred reads a frame. */
enum { READS_MAX = 1 << 22 };

static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value,
                      int is_write, void *arg)
{
    struct context *c = arg;
    uint64_t sp = c->in->regs[CPROF_REG_RSP], at = address - sp;

    (void)as;
    if (is_write)
        return -UNW_EINVAL;
    if (++c->n_reads > READS_MAX) {
        c->trouble = CPROF_END_BAD_MEMORY;
        return -UNW_EINVAL;
    }
    if (c->in->stack_n >= 8 && at <= c->in->stack_n - 8) {
        memcpy(value, c->in->stack + at, 8);
        return 0;
    }
    if (c->in->below && address + 8 <= sp && sp - address <= CPROF_RED_ZONE) {
        memcpy(value, c->in->below + (CPROF_RED_ZONE - (sp - address)), 8);
        return 0;
    }
    if (address < sp && sp - address <= CPROF_RED_ZONE) {
        /* After `pop %rbp` the table still says "saved at CFA-16", below the stack
         * pointer and so not copied; the register itself has the value again. */
        *value = c->in->regs[CPROF_REG_RBP];
        return 0;
    }
    if (address >= MADE_TABLE)
        return read_made(c, address, value) ? 0 : -UNW_EINVAL;
    if (read_file(c, address, value))
        return 0;
    c->trouble = address >= sp && at < CPROF_STACK_REACH ? CPROF_END_TRUNCATED
                                                         : CPROF_END_BAD_MEMORY;
    return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value,
                      int is_write, void *arg)
{
    struct context *c = arg;

    (void)as;
    if (is_write)
        return -UNW_EREADONLYREG;
    if (reg < 0 || reg >= CPROF_N_REGS)
        return -UNW_EBADREG;
    *value = c->regs[reg];
    return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value,
                        int is_write, void *arg)
{
    (void)as, (void)reg, (void)value, (void)is_write, (void)arg;
    return -UNW_EINVAL;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
    (void)as, (void)cursor, (void)arg;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t ip, char *text, size_t n,
                         unw_word_t *offset, void *arg)
{
    (void)as, (void)ip, (void)text, (void)n, (void)offset, (void)arg;
    return -UNW_ENOINFO;
}

static int create(struct cprof_unwind_space **ret)
{
    static const unw_accessors_t accessors = {
        .find_proc_info = find_proc_info,
        .put_unwind_info = put_unwind_info,
        .get_dyn_info_list_addr = get_dyn_info_list_addr,
        .access_mem = access_mem,
        .access_reg = access_reg,
        .access_fpreg = access_fpreg,
        .resume = resume,
        .get_proc_name = get_proc_name,
    };
    struct cprof_unwind_space *space = calloc(1, sizeof(*space));

    if (!space)
        return -ENOMEM;
    space->as = unw_create_addr_space((unw_accessors_t *)&accessors, 0);
    if (!space->as) {
        free(space);
        return -ENOMEM;
    }
    unw_set_caching_policy(space->as, UNW_CACHE_GLOBAL);
    *ret = space;
    return 0;
}

static void destroy(struct cprof_unwind_space *space)
{
    if (!space)
        return;
    unw_destroy_addr_space(space->as);
    free(space);
}

static void flush(struct cprof_unwind_space *space)
{
    unw_flush_cache(space->as, 0, 0); /* always flushes all */
}

/* A set size before the first step is lost (the first step makes the table anew), and a
 * short-lived process is not worth a large one: grow after some use. */
static void cache_grow(struct cprof_unwind_space *space)
{
    static const struct {
        uint64_t after;
        size_t size;
    } steps[N_CACHE_STEPS] = {{8, 1 << 9}, {128, 1 << 11}, {2048, 1 << 14}};

    space->n_unwound++;
    if (space->cache_step < N_CACHE_STEPS &&
        space->n_unwound >= steps[space->cache_step].after)
        unw_set_cache_size(space->as, steps[space->cache_step++].size, 0);
}

/* A frame at the program's entry point has no caller, whatever the tables say of it. */
static bool is_entry(const struct context *c, uint64_t pc)
{
    enum { START_SIZE = 64 };
    const struct cprof_maps_entry *entry = cprof_maps_find(c->maps, pc);
    uint64_t start;

    if (!entry || !entry->dso->entry)
        return false;
    start = entry->bias + entry->dso->entry;
    return pc >= start && pc < start + START_SIZE;
}

/* Why it ended at the last frame of the chain, `r` being what libunwind said. */
static enum cprof_end reason(const struct context *c, int r, uint64_t pc, uint64_t sp,
                             bool was_signal)
{
    uint64_t low = c->in->regs[CPROF_REG_RSP] - CPROF_RED_ZONE;

    if (is_entry(c, pc) || r >= 0)
        return CPROF_END_ROOT;
    if (c->trouble == CPROF_END_ROOT)
        return CPROF_END_BAD_MEMORY;
    if (!cprof_maps_find(c->maps, pc))
        return CPROF_END_NO_MAPPING;
    if (was_signal && (sp < low || sp - low > c->in->stack_n + CPROF_RED_ZONE))
        return CPROF_END_OTHER_STACK;
    return c->trouble;
}

/* One frame of the walk: where its code is, its stack pointer, what it was entered by. */
struct frame {
    uint64_t ip, sp;
    bool is_signal;
};

/* Frames come from memory that may be anything: going on needs code at the new address
 * and a stack pointer that moved up (or went to another stack through a signal frame). */
static bool is_plausible(const struct context *c, const struct frame *from,
                         const struct frame *to)
{
    return (to->sp > from->sp || from->is_signal) && cprof_maps_find(c->maps, to->ip - 1);
}

/* Where signal handlers return to: it asks for rt_sigreturn(2). unw_is_signal_frame() is
 * not asked: by its release it speaks of this frame or of the one before. */
static bool is_trampoline(const struct context *c, uint64_t ip)
{
    static const uint8_t by_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    static const uint8_t by_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
    const struct cprof_maps_entry *entry = cprof_maps_find(c->maps, ip);
    const uint8_t *code = NULL;
    size_t n;

    if (entry && entry->dso->elf)
        code = cprof_elf_at(entry->dso->elf, ip - entry->bias, &n);
    return code && ((n >= sizeof(by_rax) && !memcmp(code, by_rax, sizeof(by_rax))) ||
                    (n >= sizeof(by_eax) && !memcmp(code, by_eax, sizeof(by_eax))));
}

static bool read_stack(const struct context *c, uint64_t address, uint64_t *ret)
{
    uint64_t at = address - c->in->regs[CPROF_REG_RSP];

    if (c->in->stack_n < 8 || at > c->in->stack_n - 8)
        return false;
    memcpy(ret, c->in->stack + at, 8);
    return true;
}

static int begin(struct context *c, struct cprof_unwind_space *space,
                 unw_cursor_t *cursor)
{
    return unw_init_remote(cursor, space->as, c) < 0 ? -EINVAL : 0;
}

/* The frame pointer as it was in the frame `n_steps` from where the walk began. */
static bool frame_pointer(struct context *c, struct cprof_unwind_space *space,
                          unw_cursor_t *cursor, size_t n_steps, uint64_t *ret)
{
    unw_word_t fp;

    if (begin(c, space, cursor) < 0)
        return false;
    for (size_t i = 0; i < n_steps; i++)
        if (unw_step(cursor) <= 0)
            return false;
    if (unw_get_reg(cursor, UNW_X86_64_RBP, &fp) < 0)
        return false;
    *ret = fp;
    return true;
}

/* Begin anew at `to`, with the frame pointer `fp`; the other registers are kept where
 * nothing can have saved them. */
static bool begin_at(struct context *c, struct cprof_unwind_space *space,
                     unw_cursor_t *cursor, const struct frame *to, uint64_t fp,
                     bool keeps_registers)
{
    if (!keeps_registers)
        memset(c->regs, 0, sizeof(c->regs));
    c->regs[CPROF_REG_RIP] = to->ip;
    c->regs[CPROF_REG_RSP] = to->sp;
    c->regs[CPROF_REG_RBP] = fp;
    return begin(c, space, cursor) == 0;
}

/* The return address at the stack pointer: right at a function's first instruction, in
 * linkage stubs, around system calls. */
static bool guess_by_sp(struct context *c, struct cprof_unwind_space *space,
                        unw_cursor_t *cursor, const struct frame *from, struct frame *to)
{
    *to = (struct frame){.sp = from->sp + 8};
    return read_stack(c, from->sp, &to->ip) && is_plausible(c, from, to) &&
           begin_at(c, space, cursor, to, c->regs[CPROF_REG_RBP], true);
}

static bool guess_by_fp(struct context *c, struct cprof_unwind_space *space,
                        unw_cursor_t *cursor, size_t n_steps, const struct frame *from,
                        struct frame *to)
{
    uint64_t fp, next;

    if (!frame_pointer(c, space, cursor, n_steps, &fp) || fp < from->sp)
        return false;
    *to = (struct frame){.sp = fp + 16};
    return read_stack(c, fp, &next) && read_stack(c, fp + 8, &to->ip) &&
           is_plausible(c, from, to) && begin_at(c, space, cursor, to, next, false);
}

/* A step out of code that no table describes. Functions without one in a file that has
 * tables are small pieces of assembly; code made at run time, and files without any
 * tables, often keep frame pointers. libunwind's own guess is not asked: it cannot tell
 * them. */
static bool guess(struct context *c, struct cprof_unwind_space *space,
                  unw_cursor_t *cursor, size_t n_steps, const struct frame *from,
                  struct frame *to)
{
    const struct cprof_maps_entry *entry = cprof_maps_find(c->maps, from->ip);
    bool is_leaf = from->sp == c->in->regs[CPROF_REG_RSP];

    if (is_leaf && entry && entry->dso->has_unwind &&
        guess_by_sp(c, space, cursor, from, to))
        return true;
    return guess_by_fp(c, space, cursor, n_steps, from, to);
}

/* A chain of frame pointers through code without any table ends with a zero. */
static bool is_end_of_pointers(struct context *c, struct cprof_unwind_space *space,
                               unw_cursor_t *cursor, size_t n_steps, uint64_t pc)
{
    const struct cprof_maps_entry *entry = cprof_maps_find(c->maps, pc);
    uint64_t fp;

    return entry && !entry->dso->has_unwind &&
           frame_pointer(c, space, cursor, n_steps, &fp) && !fp;
}

static void walk(struct context *c, struct cprof_unwind_space *space,
                 unw_cursor_t *cursor, struct cprof_unwind_chain *chain)
{
    struct frame at = {.ip = chain->pc[0], .sp = c->in->regs[CPROF_REG_RSP]}, next;
    bool passed_signal;
    size_t n_steps = 0;
    unw_word_t ip = 0, sp = 0;
    int r;

    at.is_signal = passed_signal = is_trampoline(c, at.ip);
    for (;;) {
        c->is_guess = false;
        c->trouble = CPROF_END_ROOT;
        r = unw_step(cursor);
        if (r > 0 && (unw_get_reg(cursor, UNW_REG_IP, &ip) < 0 ||
                      unw_get_reg(cursor, UNW_REG_SP, &sp) < 0))
            r = -UNW_EBADREG;
        next = (struct frame){.ip = r > 0 ? ip : 0, .sp = sp};
        if (c->is_guess && !is_entry(c, at.ip)) {
            if (!guess(c, space, cursor, n_steps, &at, &next)) {
                chain->end = is_end_of_pointers(c, space, cursor, n_steps, at.ip)
                                 ? CPROF_END_ROOT
                                 : CPROF_END_NO_INFO;
                return;
            }
            chain->n_guessed++;
            n_steps = 0;
        } else if (!next.ip) {
            chain->end = reason(c, r, chain->pc[chain->n - 1], at.sp, passed_signal);
            return;
        } else if (!is_plausible(c, &at, &next)) {
            chain->end = is_entry(c, at.ip) ? CPROF_END_ROOT : CPROF_END_BAD_MEMORY;
            return;
        } else {
            n_steps++;
            next.is_signal = is_trampoline(c, next.ip);
        }
        if (chain->n == CPROF_UNWIND_MAX_FRAMES) {
            chain->end = CPROF_END_DEPTH;
            return;
        }
        /* A trampoline is entered at its first byte, and what a signal interrupted had
         * not called anything: only real callers are moved into their call. */
        chain->pc[chain->n++] = next.is_signal || at.is_signal ? next.ip : next.ip - 1;
        passed_signal |= next.is_signal;
        at = next;
    }
}

static void unwind(struct cprof_unwind_space *space, const struct cprof_maps *maps,
                   const struct cprof_unwind_input *in, struct cprof_unwind_chain *chain)
{
    struct context c = {.maps = maps, .in = in};
    unw_cursor_t cursor;

    memcpy(c.regs, in->regs, sizeof(c.regs));
    cprof_unwind_chain_begin(chain, in);
    if (!cprof_maps_find(maps, chain->pc[0])) {
        chain->end = CPROF_END_NO_MAPPING;
        return;
    }
    if (begin(&c, space, &cursor) < 0) {
        chain->end = CPROF_END_BAD_MEMORY;
        return;
    }
    walk(&c, space, &cursor, chain);
    if (chain->n_guessed)
        chain->how |= CPROF_HOW_GUESSED;
    cache_grow(space);
}

const struct cprof_unwind_ops cprof_unwind_libunwind = {
    .name = "libunwind",
    .needs_stack = true,
    .create = create,
    .destroy = destroy,
    .flush = flush,
    .unwind = unwind,
};
