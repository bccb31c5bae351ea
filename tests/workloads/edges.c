/* edges.c - code by hand where a look-up one byte off goes wrong.
 *
 *   edges noreturn SECONDS    last_call() ends with its call of a function that does not
 *                             return: the return address is the first of bystander(),
 *                             whose unwind rule is another one
 *   edges rbp SECONDS         ones() sets the frame pointer to all ones while it works,
 *                             called by framed(), which needs its own again
 *
 * SECONDS of CPU time. Truth: every stack of the work is "main last_call finish", or a
 * beginning of "main framed ones". */
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

void last_call(uint64_t ns);
void ones(void);
__attribute__((noreturn)) void finish(uint64_t ns);

__asm__(".text\n"
        ".globl last_call\n"
        ".type last_call, @function\n"
        "last_call:\n"
        "  .cfi_startproc\n"
        "  sub $40, %rsp\n"
        "  .cfi_adjust_cfa_offset 40\n"
        "  call finish\n"
        "  .cfi_endproc\n"
        ".size last_call, . - last_call\n"
        ".type bystander, @function\n"
        "bystander:\n"
        "  .cfi_startproc\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size bystander, . - bystander\n"
        ".globl ones\n"
        ".type ones, @function\n"
        "ones:\n"
        "  .cfi_startproc\n"
        "  push %rbp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %rbp, 0\n"
        "  mov $-1, %rbp\n"
        "  mov $200, %ecx\n"
        "1: dec %ecx\n"
        "  jnz 1b\n"
        "  pop %rbp\n"
        "  .cfi_restore %rbp\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size ones, . - ones\n");

NOINLINE void finish(uint64_t ns)
{
    work_until(thread_ns() + ns);
    _exit(0);
}

static NOINLINE void framed(unsigned n)
{
    volatile char *bytes = (volatile char *)alloca(1 + n % 64);

    bytes[0] = 1;
    ones();
    bytes[0] = 0;
}

int main(int argc, char **argv)
{
    uint64_t ns = (uint64_t)(atof(argc > 2 ? argv[2] : "1") * 1e9);
    uint64_t end = thread_ns() + ns;

    if (argc > 1 && !strcmp(argv[1], "noreturn"))
        last_call(ns);
    while (thread_ns() < end)
        for (unsigned i = 0; i < 1000; i++)
            framed(i);
    return 0;
}
