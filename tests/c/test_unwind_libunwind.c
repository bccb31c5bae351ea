/* unwind_libunwind and unwind_table: signal frames, deep stacks, rules written by hand:
 * the same must come out of both. The truth is backtrace(3), which is libgcc's unwinder,
 * and what the code below says of itself. */
#define _GNU_SOURCE
#include "unwind.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "process.h"
#include "test.h"
#include "unwind_build.h"

enum { STACK_ROOM = 6 << 20, TRUTH_MAX = 256 };

static struct {
    struct cprof_unwind_input in;
    uint8_t *stack; /* at an odd address: a sample's bytes may lie anywhere */
    uint64_t end;   /* of the stack that is copied */
    void *truth[TRUTH_MAX];
    int n_truth;
} snap;

static struct cprof_stacks *stacks;
static struct cprof_processes processes;
static struct cprof_process *self;
static struct cprof_unwind_chain chain;

#define FRAMED __attribute__((noipa, optimize("no-omit-frame-pointer")))

static void fill_registers(const ucontext_t *context, uint64_t *regs)
{
    static const int order[CPROF_N_REGS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

    for (int i = 0; i < CPROF_N_REGS; i++)
        regs[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
}

/* What the kernel does when it samples: registers, and the bytes above the stack pointer.
 * A sanitizer's own backtrace() is a frame of its own. */
FRAMED __attribute__((no_sanitize("address"))) static void capture(void)
{
    static ucontext_t context;
    const volatile uint8_t *from;

    getcontext(&context);
    fill_registers(&context, snap.in.regs);
    from = (const uint8_t *)(uintptr_t)snap.in.regs[CPROF_REG_RSP];
    snap.in.stack_n = snap.end - snap.in.regs[CPROF_REG_RSP];
    if (snap.in.stack_n > STACK_ROOM)
        snap.in.stack_n = STACK_ROOM;
    for (size_t i = 0; i < snap.in.stack_n; i++)
        snap.stack[i] = from[i];
    snap.in.stack = snap.stack;
    snap.n_truth = backtrace(snap.truth, TRUTH_MAX);
    while (snap.n_truth && (uintptr_t)snap.truth[0] - (uintptr_t)&capture > 4096)
        memmove(snap.truth, snap.truth + 1, (size_t)--snap.n_truth * sizeof(void *));
}

static volatile int sink;

FRAMED static void descend(int n, void (*last)(void))
{
    if (n)
        descend(n - 1, last);
    else
        last();
    sink++; /* no tail call */
}

static const struct cprof_unwind_ops *tested;
static struct cprof_unwind_builder *builder;

static void unwind_in(const struct cprof_unwind_ops *ops,
                      struct cprof_unwind_space *space)
{
    do
        ops->unwind(space, &self->maps, &snap.in, &chain);
    while (chain.wants && cprof_unwind_builder_want(builder, chain.wants));
}

static void unwind_with(const struct cprof_unwind_ops *ops)
{
    struct cprof_unwind_space *space = NULL;

    CHECK_EQ(ops->create(&space), 0);
    memset(&chain, 0xaa, sizeof(chain));
    unwind_in(ops, space);
    ops->destroy(space);
}

static void unwind(void)
{
    unwind_with(tested);
}

static uint64_t truth(size_t i)
{
    return (uint64_t)(uintptr_t)snap.truth[i];
}

/* The first `n` frames are those of the truth, callers moved into their call. */
static void check_frames(size_t n)
{
    size_t n_wrong = 0;

    CHECK(chain.n >= n);
    CHECK_EQ(chain.pc[0], snap.in.regs[CPROF_REG_RIP]);
    for (size_t i = 1; i < n && i < chain.n; i++)
        n_wrong += chain.pc[i] != truth(i) - 1;
    CHECK_EQ(n_wrong, 0);
}

static void test_the_main_thread_from_its_start(void)
{
    descend(20, capture);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    CHECK_EQ(chain.n, snap.n_truth);
    CHECK_EQ(chain.n_guessed, 0);
    check_frames((size_t)snap.n_truth);
}

static void test_deep_recursion(void)
{
    descend(9000, capture);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    CHECK(chain.n > 9000);
    check_frames(TRUTH_MAX - 2);
    unwind_with(&cprof_unwind_fp);
    CHECK(chain.n >= 9000);
    check_frames(TRUTH_MAX - 2);
}

FRAMED static void handler(int signal)
{
    (void)signal;
    capture();
    sink++;
}

FRAMED static void interrupted(void)
{
    raise(SIGUSR1);
    sink++;
}

static void signal_on(int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;

    sigaction(SIGUSR1, &action, &before);
    descend(5, interrupted);
    sigaction(SIGUSR1, &before, NULL);
}

/* Through the trampoline to what it interrupted, which had called nothing. */
static void test_a_signal_handler_on_the_same_stack(void)
{
    size_t n_exact = 0, n_wrong = 0;

    signal_on(0);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    CHECK_EQ(chain.n, snap.n_truth);
    for (size_t i = 1; i < chain.n; i++) {
        n_exact += chain.pc[i] == truth(i);
        n_wrong += chain.pc[i] != truth(i) && chain.pc[i] != truth(i) - 1;
    }
    CHECK_EQ(chain.pc[2], truth(2)); /* the trampoline */
    CHECK_EQ(chain.pc[3], truth(3)); /* the interrupted instruction */
    CHECK_EQ(n_exact, 2);
    CHECK_EQ(n_wrong, 0);
}

static void test_a_signal_handler_on_a_stack_of_its_own(void)
{
    size_t size = 256 << 10;
    uint8_t *alternate = malloc(size);
    stack_t stack = {.ss_sp = alternate, .ss_size = size}, off = {.ss_flags = SS_DISABLE};
    uint64_t end = snap.end;

    sigaltstack(&stack, NULL);
    snap.end = (uint64_t)(uintptr_t)alternate + size;
    signal_on(SA_ONSTACK);
    snap.end = end;
    sigaltstack(&off, NULL);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_OTHER_STACK);
    CHECK(chain.n >= 4 && chain.n < (size_t)snap.n_truth);
    CHECK_EQ(chain.pc[1], truth(1) - 1);
    CHECK_EQ(chain.pc[2], truth(2)); /* the trampoline */
    free(alternate);
}

/* Pieces of code whose unwind information is written by hand; they never run. */
void cprof_test_popped(void);
void cprof_test_caller(void);
void cprof_test_endless(void);
void cprof_test_wild(void);
__asm__(".text\n"
        ".globl cprof_test_popped, cprof_test_caller, cprof_test_endless\n"
        ".globl cprof_test_wild\n"
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    pop %rbp\n"
        "    .cfi_def_cfa_offset 8\n" /* and no .cfi_restore, as compilers do */
        "cprof_test_popped:\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    mov %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    call cprof_test_popped\n"
        "cprof_test_caller:\n"
        "    nop\n"
        "    .cfi_endproc\n"
        "    .cfi_startproc\n" /* the CFA is: go back to this very operation */
        "    .cfi_escape 0x0f, 0x03, 0x2f, 0xfd, 0xff\n"
        "    nop\n"
        "cprof_test_endless:\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .cfi_startproc\n" /* the CFA is what is at address 0x1234 */
        "    .cfi_escape 0x0f, 0x04, 0x0a, 0x34, 0x12, 0x06\n"
        "    nop\n"
        "cprof_test_wild:\n"
        "    ret\n"
        "    .cfi_endproc\n");

static const uint64_t sp = 0x7ffc00001000;

/* A sample at `ip` with these words on its stack and `fp` as its frame pointer. */
static void pose(uint64_t ip, uint64_t fp, const uint64_t *words, size_t n)
{
    memset(snap.in.regs, 0, sizeof(snap.in.regs));
    snap.in.regs[CPROF_REG_RIP] = ip;
    snap.in.regs[CPROF_REG_RSP] = sp;
    snap.in.regs[CPROF_REG_RBP] = fp;
    memcpy(snap.stack, words, n * 8);
    snap.in.stack = snap.stack;
    snap.in.stack_n = n * 8;
}

static uint64_t address_of(void (*code)(void))
{
    return (uint64_t)(uintptr_t)code;
}

/* A chain of frame pointers that goes on for longer than anything may. */
static void test_a_stack_without_end(void)
{
    enum { N = CPROF_UNWIND_MAX_FRAMES + 10 };
    uint64_t *words = malloc(N * 16), caller = address_of(cprof_test_caller);

    for (size_t i = 0; i < N; i++) {
        words[2 * i] = sp + (i + 1) * 16;
        words[2 * i + 1] = caller;
    }
    pose(caller, sp, words, 2 * (size_t)N);
    free(words);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_DEPTH);
    CHECK_EQ(chain.n, CPROF_UNWIND_MAX_FRAMES);
    CHECK_EQ(chain.pc[chain.n - 1], caller - 1);
    unwind_with(&cprof_unwind_fp);
    CHECK_EQ(chain.end, CPROF_END_DEPTH);
    CHECK_EQ(chain.n, CPROF_UNWIND_MAX_FRAMES);
}

/* The table says that the frame pointer is saved below the stack pointer, in bytes that
 * no sample has: it is in its register again. */
static void test_a_popped_frame_pointer(void)
{
    uint64_t caller = address_of(cprof_test_caller);
    const uint64_t words[] = {caller, 1, 2, 3, 0, caller, 4, 5};

    pose(address_of(cprof_test_popped), sp + 4 * 8, words, 8);
    unwind();
    CHECK(chain.n >= 3);
    CHECK_EQ(chain.pc[0], address_of(cprof_test_popped));
    CHECK_EQ(chain.pc[1], caller - 1);
    CHECK_EQ(chain.pc[2], caller - 1);
}

static void test_the_entry_point_is_the_root(void)
{
    const struct cprof_maps_entry *entry =
        cprof_maps_find(&self->maps, address_of(cprof_test_caller));
    const uint64_t words[] = {1, 0x7ffc00002000, 0, 0};

    CHECK(entry && entry->dso->entry);
    pose(entry->bias + entry->dso->entry + 4, sp, words, 4);
    unwind();
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    CHECK_EQ(chain.n, 1);
    unwind_with(&cprof_unwind_fp);
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    CHECK_EQ(chain.n, 1);
}

/* A table can ask for anything. It may not hold us up, nor read our own memory. */
static void test_hostile_rules_come_to_an_end(void)
{
    uint64_t caller = address_of(cprof_test_caller);
    const uint64_t words[] = {caller, 1, 2, 3, 0, caller, 4, 5};

    alarm(20); /* a hang ends the test */
    pose(address_of(cprof_test_endless), sp + 4 * 8, words, 8);
    unwind();
    CHECK_EQ(chain.n, 1);
    CHECK_EQ(chain.end, CPROF_END_BAD_MEMORY);
    pose(address_of(cprof_test_wild), sp + 4 * 8, words, 8);
    unwind();
    CHECK_EQ(chain.n, 1);
    CHECK_EQ(chain.end, CPROF_END_BAD_MEMORY);
    alarm(0);
}

static uint64_t random_word(void)
{
    const struct cprof_maps_entry *entry =
        &self->maps.entries.data[(size_t)rand() % self->maps.entries.n];
    uint64_t word = (uint64_t)rand() << 32 ^ (uint64_t)rand();

    switch (rand() % 4) {
    case 0:
        return word;
    case 1:
        return snap.in.regs[CPROF_REG_RSP] + word % (snap.in.stack_n + 64) - 32;
    case 2:
        return entry->start + word % (entry->end - entry->start);
    default:
        return word % 64;
    }
}

static void spoil(void)
{
    uint64_t word;

    for (int i = rand() % 6; i >= 0; i--) {
        word = random_word();
        memcpy(snap.stack + (size_t)rand() % (snap.in.stack_n - 8), &word, 8);
    }
    if (rand() % 4 == 0)
        snap.in.regs[rand() % CPROF_N_REGS] = random_word();
}

/* In one space, whose cache learns from what is spoilt: every caller still lies in code.
 */
static void test_spoilt_stacks_do_no_harm(void)
{
    struct cprof_unwind_space *space;
    size_t n_wrong = 0;

    srand(5);
    CHECK_EQ(tested->create(&space), 0);
    for (int run = 0; run < 10000; run++) {
        if (run % 50 == 0)
            descend(run % 23, capture);
        if (snap.in.stack_n > 4096)
            snap.in.stack_n = 4096;
        spoil();
        unwind_in(tested, space);
        CHECK(chain.n >= 1 && chain.n <= CPROF_UNWIND_MAX_FRAMES);
        CHECK(chain.end < CPROF_N_ENDS);
        for (size_t i = 1; i < chain.n; i++)
            n_wrong += !cprof_maps_find(&self->maps, chain.pc[i]);
    }
    CHECK_EQ(n_wrong, 0);
    descend(10, capture);
    unwind_in(tested, space);
    CHECK_EQ(chain.end, CPROF_END_ROOT);
    check_frames((size_t)snap.n_truth);
    tested->destroy(space);
    tested->destroy(NULL);
}

static uint64_t end_of_main_stack(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    struct cprof_mmap m;
    char line[4200];
    uint64_t end = 0;

    while (file && !end && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (cprof_proc_parse_map(line, &m) && !strcmp(m.file, "[stack]"))
            end = m.start + m.length;
    }
    fclose(file);
    return end;
}

int main(void)
{
    uint8_t *room = malloc(STACK_ROOM + 1);

    snap.stack = room + 1;
    snap.end = end_of_main_stack();
    CHECK(snap.end != 0);
    CHECK_EQ(cprof_stacks_create(&stacks), 0);
    processes.unwind = &cprof_unwind_libunwind;
    processes.stacks = stacks;
    backtrace(snap.truth, 2); /* loads libgcc_s, before the maps are read */
    CHECK_EQ(cprof_processes_get(&processes, getpid(), &self), 0);
    CHECK_EQ(cprof_unwind_builder_create(-1, false, &builder), 0);
    for (size_t i = 0; i < 2; i++) {
        tested = i ? &cprof_unwind_table : &cprof_unwind_libunwind;
        RUN(test_the_main_thread_from_its_start);
        RUN(test_deep_recursion);
        RUN(test_a_signal_handler_on_the_same_stack);
        RUN(test_a_signal_handler_on_a_stack_of_its_own);
        RUN(test_a_popped_frame_pointer);
        RUN(test_a_stack_without_end);
        RUN(test_the_entry_point_is_the_root);
        RUN(test_hostile_rules_come_to_an_end);
        RUN(test_spoilt_stacks_do_no_harm);
    }
    cprof_unwind_builder_destroy(builder);
    cprof_processes_deinit(&processes);
    cprof_stacks_unref(stacks);
    free(room);
    return test_report(__FILE__);
}
