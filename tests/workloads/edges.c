/* edges.c - code by hand where a look-up one byte off goes wrong.
 *
 *   edges noreturn SECONDS    last_call() ends with its call of a function that does not
 *                             return: the return address is the first of bystander(),
 *                             whose unwind rule is another one
 *   edges rbp SECONDS         ones() sets the frame pointer to all ones while it works,
 *                             called by framed(), which needs its own again
 *   edges below SECONDS       aligned() works on a stack that it aligned, and keeps its
 *                             caller's stack pointer in the word below its own, as
 *                             OpenSSL's hashing with AVX2 does: no sample has it
 *
 * SECONDS of CPU time. Truth: every stack of the work is "main last_call finish", or a
 * beginning of "main framed ones" or "main framed aligned". */
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

void last_call(uint64_t ns);
void ones(void);
void aligned(void);
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
        ".size ones, . - ones\n"
        ".globl aligned\n"
        ".type aligned, @function\n"
        "aligned:\n"
        "  .cfi_startproc\n"
        "  mov %rsp, %rax\n"
        "  .cfi_def_cfa_register %rax\n"
        "  push %rbx\n"
        "  .cfi_offset %rbx, -16\n"
        "  push %rbp\n"
        "  .cfi_offset %rbp, -24\n"
        "  sub $96, %rsp\n"
        "  and $-64, %rsp\n"
        "  mov %rax, 88(%rsp)\n"
        "  .cfi_escape 0x0f, 6, 0x77, 0xd8, 0, 0x06, 0x23, 8\n" /* *(rsp + 88) + 8 */
        "  mov %rax, -72(%rsp)\n"
        "  lea -64(%rsp), %rsp\n"
        "  .cfi_escape 0x0f, 5, 0x77, 0x78, 0x06, 0x23, 8\n" /* *(rsp - 8) + 8 */
        "  mov $19, %ecx\n" /* what it works on: all words below the kept one */
        "3: mov %rcx, -8(%rsp,%rcx,8)\n"
        "  dec %ecx\n"
        "  jnz 3b\n"
        "  mov $1, %ebp\n"
        "  mov $200, %ecx\n"
        "2: dec %ecx\n"
        "  jnz 2b\n"
        "  mov -8(%rsp), %rax\n"
        "  .cfi_def_cfa %rax, 8\n"
        "  mov -16(%rax), %rbp\n"
        "  .cfi_restore %rbp\n"
        "  mov -8(%rax), %rbx\n"
        "  .cfi_restore %rbx\n"
        "  lea (%rax), %rsp\n"
        "  .cfi_def_cfa_register %rsp\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size aligned, . - aligned\n");

NOINLINE void finish(uint64_t ns)
{
    work_until(thread_ns() + ns);
    _exit(0);
}

static NOINLINE void framed(unsigned n, int is_below)
{
    volatile char *bytes = (volatile char *)alloca(1 + n % 64);

    bytes[0] = 1;
    if (is_below)
        aligned();
    else
        ones();
    bytes[0] = 0;
}

int main(int argc, char **argv)
{
    uint64_t ns = (uint64_t)(atof(argc > 2 ? argv[2] : "1") * 1e9);
    uint64_t end = thread_ns() + ns;
    int is_below = argc > 1 && !strcmp(argv[1], "below");

    if (argc > 1 && !strcmp(argv[1], "noreturn"))
        last_call(ns);
    while (thread_ns() < end)
        for (unsigned i = 0; i < 1000; i++)
            framed(i, is_below);
    return 0;
}
