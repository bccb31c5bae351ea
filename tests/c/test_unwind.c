/* unwind: a thread of our own on a stack of known bounds, copied as the kernel would; the
 * truth is backtrace(3), which unwinds the live thread with another unwinder. */
#define _GNU_SOURCE
#include "unwind.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process.h"
#include "test.h"
#include "unwind_build.h"

enum { STACK = 256 << 10, MOST = 64 };

static char *stack_area;
static struct cprof_unwind_input input;
static uint8_t copy[STACK];
static void *truth[MOST];
static int n_truth;
static struct cprof_stacks *stacks;
static struct cprof_processes processes;
static struct cprof_process *self;
static struct cprof_unwind_builder *builder;

#define KEEPS_FP __attribute__((noipa, optimize("no-omit-frame-pointer")))

/* Byte by byte: the sanitizers guard what lies between the locals of a live stack. */
__attribute__((no_sanitize("address"))) static void
copy_stack(const volatile uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        copy[i] = from[i];
}

/* Registers and stack at one instruction, then the truth at nearly the same one. */
KEEPS_FP static void capture(void)
{
    uint64_t *r = input.regs, sp;

    __asm__ volatile("mov %%rsp, 56(%0)\n\tmov %%rbp, 48(%0)\n\tmov %%rbx, 24(%0)\n\t"
                     "mov %%r12, 96(%0)\n\tmov %%r13, 104(%0)\n\tmov %%r14, 112(%0)\n\t"
                     "mov %%r15, 120(%0)\n\tlea 0(%%rip), %%rax\n\tmov %%rax, 128(%0)"
                     :
                     : "r"(r)
                     : "rax", "memory");
    sp = r[CPROF_REG_RSP];
    input.stack = copy;
    input.stack_n = (size_t)(stack_area + STACK - (char *)sp);
    copy_stack((const volatile uint8_t *)sp, input.stack_n);
    /* frame 1 is our caller; a sanitizer's own frame may stand before us */
    n_truth = backtrace(truth, MOST);
    while (n_truth > 1 && truth[1] != __builtin_return_address(0))
        memmove(truth, truth + 1, (size_t)--n_truth * sizeof(*truth));
}
KEEPS_FP static void inner(int depth)
{
    if (depth)
        inner(depth - 1);
    else
        capture();
    __asm__ volatile("" ::: "memory");
}
KEEPS_FP static void outer(void)
{
    volatile char room[300];
    room[0] = 1;
    inner(5);
    room[1] = room[0];
}

static void *on_known_stack(void *arg)
{
    outer();
    return arg;
}

static void take_capture(void)
{
    pthread_attr_t attr;
    pthread_t thread;

    stack_area =
        mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, stack_area, STACK);
    pthread_create(&thread, &attr, on_known_stack, NULL);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    CHECK_EQ(cprof_stacks_create(&stacks), 0);
    processes.unwind = &cprof_unwind_fp;
    processes.stacks = stacks;
    CHECK_EQ(cprof_processes_get(&processes, getpid(), &self), 0);
}

static struct cprof_unwind_chain *unwind(const struct cprof_unwind_ops *ops,
                                         const struct cprof_unwind_input *in)
{
    static struct cprof_unwind_chain chain;
    struct cprof_unwind_space *space;

    memset(&chain, 0xee, sizeof(chain));
    CHECK_EQ(ops->create(&space), 0);
    do
        ops->unwind(space, &self->maps, in, &chain);
    while (chain.wants && cprof_unwind_builder_want(builder, chain.wants));
    ops->destroy(space);
    return &chain;
}

static size_t n_right(const struct cprof_unwind_chain *chain)
{
    size_t i = 1; /* frame 0 differs by a few instructions */

    while (i < chain->n && i < (size_t)n_truth &&
           chain->pc[i] == (uint64_t)(uintptr_t)truth[i] - 1)
        i++;
    return i;
}

static void test_tables_give_the_whole_chain(void)
{
    const struct cprof_unwind_chain *chain = unwind(&cprof_unwind_libunwind, &input);

    CHECK(n_truth >= 9);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(chain->end, CPROF_END_ROOT);
        CHECK_EQ(chain->n_guessed, 0);
        CHECK_EQ(chain->how, 0);
        CHECK_EQ(chain->n, n_truth);
        CHECK_EQ(n_right(chain), n_truth);
        chain = unwind(&cprof_unwind_table, &input);
    }
}

/* The same in a warm space, past every size of its cache. */
static void test_a_warm_cache_changes_nothing(void)
{
    static struct cprof_unwind_chain chain;
    struct cprof_unwind_space *space;

    CHECK_EQ(cprof_unwind_libunwind.create(&space), 0);
    for (int i = 0; i < 2200; i++) {
        cprof_unwind_libunwind.unwind(space, &self->maps, &input, &chain);
        CHECK_EQ(chain.end, CPROF_END_ROOT);
        CHECK_EQ(n_right(&chain), n_truth);
        if (i % 500 == 499)
            cprof_unwind_libunwind.flush(space);
    }
    cprof_unwind_libunwind.destroy(space);
}

static void test_frame_pointers_as_far_as_they_go(void)
{
    const struct cprof_unwind_chain *chain = unwind(&cprof_unwind_fp, &input);

    CHECK(n_right(chain) >= 8); /* capture, inner x6, outer keep theirs */
    CHECK(chain->end != CPROF_END_TRUNCATED);
}

/* A copy that ends early gives a right beginning, and says that it was cut. */
static void test_cut_stacks(void)
{
    const struct cprof_unwind_ops *const all[] = {&cprof_unwind_libunwind,
                                                  &cprof_unwind_table, &cprof_unwind_fp};

    for (size_t k = 0; k < 3; k++) {
        for (size_t n = 0; n < 200; n += 8) { /* less than inner's own frames need */
            struct cprof_unwind_input cut = input;
            const struct cprof_unwind_chain *chain;
            cut.stack_n = n;
            chain = unwind(all[k], &cut);
            CHECK_EQ(chain->end, CPROF_END_TRUNCATED);
            CHECK_EQ(n_right(chain), chain->n);
        }
    }
}

static uint64_t random_word(void)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Stacks and registers that lie: whatever comes out, it ends, and has a reason. */
static void test_hostile_stacks_end(void)
{
    const struct cprof_unwind_ops *const all[] = {&cprof_unwind_libunwind,
                                                  &cprof_unwind_table, &cprof_unwind_fp};
    static uint8_t bytes[4096];

    for (int i = 0; i < 4000; i++) {
        struct cprof_unwind_input lie = input;
        const struct cprof_unwind_chain *chain;
        memcpy(bytes, copy, sizeof(bytes));
        for (uint64_t k = random_word() % 200; k; k--) {
            uint64_t word =
                random_word() % 3
                    ? random_word()
                    : (uint64_t)(uintptr_t)truth[random_word() % (uint64_t)n_truth];
            memcpy(bytes + random_word() % (sizeof(bytes) - 8), &word, 8);
        }
        lie.stack = bytes;
        lie.stack_n = random_word() % sizeof(bytes);
        if (random_word() % 2)
            lie.regs[CPROF_REG_RBP] = random_word() % 3 ? random_word() : UINT64_MAX;
        if (random_word() % 4 == 0)
            lie.regs[CPROF_REG_RSP] = random_word();
        if (random_word() % 4 == 0)
            lie.regs[CPROF_REG_RIP] = random_word();
        chain = unwind(all[i % 3], &lie);
        CHECK(chain->n >= 1 && chain->n <= CPROF_UNWIND_MAX_FRAMES);
        CHECK(chain->end < CPROF_N_ENDS);
    }
}

static void test_code_in_no_mapping(void)
{
    struct cprof_unwind_input lost = input;

    lost.regs[CPROF_REG_RIP] = 0x10;
    CHECK_EQ(unwind(&cprof_unwind_libunwind, &lost)->end, CPROF_END_NO_MAPPING);
    CHECK_EQ(unwind(&cprof_unwind_table, &lost)->end, CPROF_END_NO_MAPPING);
    CHECK_EQ(unwind(&cprof_unwind_fp, &lost)->end, CPROF_END_NO_MAPPING);
    CHECK_EQ(unwind(&cprof_unwind_fp, &lost)->n, 1);
}

static void test_names(void)
{
    CHECK(cprof_unwind_find("auto") == &cprof_unwind_table);
    CHECK(cprof_unwind_find("table") == &cprof_unwind_table);
    CHECK(cprof_unwind_find("libunwind") == &cprof_unwind_libunwind);
    CHECK(cprof_unwind_find("fp") == &cprof_unwind_fp);
    CHECK(cprof_unwind_find("dwarf") == NULL);
    CHECK(cprof_unwind_find("") == NULL);
}

static int attempt(void *arg)
{
    const struct cprof_unwind_ops *ops = arg;
    struct cprof_unwind_space *space;
    int r = ops->create(&space);

    if (r == 0)
        ops->destroy(space);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, (void *)&cprof_unwind_libunwind), 0);
    CHECK_EQ(sweep(attempt, (void *)&cprof_unwind_table), 0);
}

int main(void)
{
    CHECK_EQ(cprof_unwind_builder_create(-1, false, &builder), 0);
    take_capture();
    RUN(test_tables_give_the_whole_chain);
    RUN(test_a_warm_cache_changes_nothing);
    RUN(test_frame_pointers_as_far_as_they_go);
    RUN(test_cut_stacks);
    RUN(test_hostile_stacks_end);
    RUN(test_code_in_no_mapping);
    RUN(test_names);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    cprof_unwind_builder_destroy(builder);
    cprof_processes_deinit(&processes);
    cprof_stacks_unref(stacks);
    munmap(stack_area, STACK);
    return test_report(__FILE__);
}
