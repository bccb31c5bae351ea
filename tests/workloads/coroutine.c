/* coroutine.c - a coroutine with a stack of its own, switched to by hand.
 *
 *   coroutine ends SECONDS     its first frame says that the stack begins there
 *   coroutine leads SECONDS    its first frame leads to the stack that it was resumed
 * from
 *
 * SECONDS of CPU time. Truth: every stack of the loop is one of
 *
 *   main resume_all ( resumed | switch_stack )?              on the program's stack
 *   (begins_here | leads_on) body ( inner_work | switch_stack )?          on the
 * coroutine's
 *
 * where the second, with "leads", goes on with "main resume_all switch_stack" outside of
 * it for who can see both stacks. */
#include <stdlib.h>
#include <string.h>

#include "workload.h"

void switch_stack(void **from, void *to);
void begins_here(void);
void leads_on(void);

/* The callee-saved registers lie on the stack that is left, so the rule is the same
 * before and after the switch. leads_on() finds the other stack's pointer in its own
 * frame: CFA = *(rsp + 8) + 56. The nop is what a return address points behind. */
__asm__(".text\n"
        ".globl switch_stack\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n"
        "  .cfi_startproc\n"
        "  push %rbp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %rbp, 0\n"
        "  push %rbx\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %rbx, 0\n"
        "  push %r12\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %r12, 0\n"
        "  push %r13\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %r13, 0\n"
        "  push %r14\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %r14, 0\n"
        "  push %r15\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %r15, 0\n"
        "  mov %rsp, (%rdi)\n"
        "  mov %rsi, %rsp\n"
        "  pop %r15\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %r15\n"
        "  pop %r14\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %r14\n"
        "  pop %r13\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %r13\n"
        "  pop %r12\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %r12\n"
        "  pop %rbx\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %rbx\n"
        "  pop %rbp\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  .cfi_restore %rbp\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size switch_stack, . - switch_stack\n"
        ".globl begins_here\n"
        ".type begins_here, @function\n"
        "begins_here:\n"
        "  .cfi_startproc\n"
        "  .cfi_undefined %rip\n"
        "  nop\n"
        "  call body\n"
        "  ud2\n"
        "  .cfi_endproc\n"
        ".size begins_here, . - begins_here\n"
        ".globl leads_on\n"
        ".type leads_on, @function\n"
        "leads_on:\n"
        "  .cfi_startproc\n"
        "  .cfi_escape 0x0f, 5, 0x77, 8, 0x06, 0x23, 56\n"
        "  nop\n"
        "  call body\n"
        "  ud2\n"
        "  .cfi_endproc\n"
        ".size leads_on, . - leads_on\n");

enum { WORDS = 8192, SAVED = 6 };

static void *memory[WORDS] __attribute__((aligned(16)));
static void **const program_sp = &memory[WORDS - 1]; /* in the first frame: rsp + 8 */
static void *coroutine_sp;

static NOINLINE void inner_work(void)
{
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("" : "+r"(i));
}

NOINLINE void body(void)
{
    for (;;) {
        inner_work();
        switch_stack(&coroutine_sp, *program_sp);
    }
}

static NOINLINE void resumed(void)
{
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("" : "+r"(i));
}

static NOINLINE void resume_all(uint64_t end)
{
    while (thread_ns() < end) {
        for (int i = 0; i < 1000; i++) {
            switch_stack(program_sp, coroutine_sp);
            resumed();
        }
    }
    NOT_A_TAIL_CALL();
}

int main(int argc, char **argv)
{
    uint64_t ns = (uint64_t)(atof(argc > 2 ? argv[2] : "1") * 1e9);
    int leads = argc > 1 && !strcmp(argv[1], "leads");
    void **top = &memory[WORDS - 2]; /* the stack pointer in the first frame */

    *--top = (void *)((uintptr_t)(leads ? leads_on : begins_here) + 1);
    coroutine_sp = top - SAVED;
    resume_all(thread_ns() + ns);
    return 0;
}
