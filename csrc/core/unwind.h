/* unwind.h - registers + stack bytes + maps -> return addresses, and why they ended.
 *
 * Implementations sit behind struct cprof_unwind_ops: unwind_table.c (tables of rows made
 * from the files' unwind information; what a row cannot say it asks libunwind),
 * unwind_libunwind.c (the unwind information itself, through libunwind's remote
 * accessors) and unwind_fp.c (the chain of frame pointers). They do no I/O, know nothing
 * of symbols, and read only the sample's bytes and the mapped files, so they can be
 * tested from data.
 *
 * A `struct cprof_unwind_space` is an implementation's memory of one address space (its
 * rule cache). One thread at a time may use a space; different spaces are independent. */
#ifndef CPROF_UNWIND_H
#define CPROF_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a stack ended. The text of each is cprof_end_name() (stack.h); those that are not
 * complete stand in a profile as the outermost pseudo frame of the stack. */
enum cprof_end {
    CPROF_END_ROOT,      /* reached the start of the thread: complete */
    CPROF_END_KERNEL,    /* no user part exists (kernel thread, exiting task): complete */
    CPROF_END_TRUNCATED, /* the stack goes on above its copied bytes */
    CPROF_END_NO_INFO,   /* no unwind information for the address */
    CPROF_END_BAD_MEMORY,  /* a rule led outside the stack, or an address made no sense */
    CPROF_END_NO_MAPPING,  /* the address lies in no known mapping */
    CPROF_END_OTHER_STACK, /* went on on another stack (signal handler's), not copied */
    CPROF_END_DEPTH,       /* more than CPROF_UNWIND_MAX_FRAMES */
    CPROF_END_UNSUPPORTED, /* 32-bit code, or registers that cannot be used */
    CPROF_N_ENDS
};

enum { CPROF_UNWIND_MAX_FRAMES = 1 << 17, CPROF_RED_ZONE = 128 };

/* How far above its copied bytes a stack can go on (also where the copy is short of what
 * was asked for: the kernel stops at the first page that is not there at that moment);
 * what lies further up is another stack, or nonsense. */
enum { CPROF_STACK_REACH = 64 << 20 };

/* User registers of a sample, numbered as DWARF does on x86-64 (System V ABI, figure
 * 3.36): rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip. */
enum {
    CPROF_REG_RAX = 0,
    CPROF_REG_RBP = 6,
    CPROF_REG_RSP = 7,
    CPROF_REG_RIP = 16,
    CPROF_N_REGS = 17
};

struct cprof_unwind_input {
    uint64_t regs[CPROF_N_REGS];
    const uint8_t *stack; /* bytes at [regs[RSP], regs[RSP] + stack_n) */
    size_t stack_n;
    /* CPROF_RED_ZONE bytes up to regs[RSP], where somebody could read them: the kernel
     * does not copy them. NULL otherwise. */
    const uint8_t *below;
};

/* How a stack was found, beyond its rules; bits. */
enum cprof_how {
    CPROF_HOW_FALLBACK = 1,  /* libunwind was asked, as the tables of rows did not do */
    CPROF_HOW_GUESSED = 2,   /* a frame was found without a table's word for it */
    CPROF_HOW_SPLICED = 4,   /* outer frames are the kernel's chain of frame pointers */
    CPROF_HOW_CONTINUED = 8, /* outer frames were read from the live process */
    CPROF_HOW_REFUSED = 16,  /* the live stack had changed: left truncated */
};

enum { CPROF_UNWIND_SLOTS = 3 };

struct cprof_dso;

/* Code addresses, leaf first, ready for look-up: the leaf's is its instruction, a
 * caller's is moved one byte into its call, except above a signal frame. */
struct cprof_unwind_chain {
    size_t n;
    enum cprof_end end;
    uint32_t n_guessed; /* steps taken without a table's word for it */
    uint8_t how;        /* enum cprof_how */
    /* Where the last return addresses were found, the outermost last, `n_slots` of them:
     * what a continuation must find unchanged. */
    uint32_t n_slots;
    uint64_t slots[CPROF_UNWIND_SLOTS];
    /* The rows of this file are needed first: the rest of the struct says nothing. NULL
     * as a rule. */
    struct cprof_dso *wants;
    uint64_t pc[CPROF_UNWIND_MAX_FRAMES];
};

struct cprof_maps;
struct cprof_unwind_space;

struct cprof_unwind_ops {
    const char *name;
    bool needs_stack; /* wants stack bytes with each sample */
    /* A space for one address space: *ret owned (destroy). 0 or -ENOMEM. */
    int (*create)(struct cprof_unwind_space **ret);
    void (*destroy)(struct cprof_unwind_space *space); /* accepts NULL */
    /* Mappings that were used may have been replaced: forget rules. */
    void (*flush)(struct cprof_unwind_space *space);
    /* Never fails: how it went is chain->end. chain->n is at least 1. */
    void (*unwind)(struct cprof_unwind_space *space, const struct cprof_maps *maps,
                   const struct cprof_unwind_input *in, struct cprof_unwind_chain *chain);
    /* The same by libunwind, to compare with; NULL where there is nothing to compare. */
    void (*reference)(struct cprof_unwind_space *space, const struct cprof_maps *maps,
                      const struct cprof_unwind_input *in,
                      struct cprof_unwind_chain *chain);
};

/* An implementation begins with this: the chain is its leaf, and says nothing else. */
void cprof_unwind_chain_begin(struct cprof_unwind_chain *chain,
                              const struct cprof_unwind_input *in);

extern const struct cprof_unwind_ops cprof_unwind_table, cprof_unwind_libunwind,
    cprof_unwind_fp;

/* By the user's word: "auto" (table), "table", "libunwind", "fp"; NULL for any other. */
const struct cprof_unwind_ops *cprof_unwind_find(const char *name);

#endif
