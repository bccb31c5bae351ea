#define _GNU_SOURCE /* process_vm_readv */
#include "dump.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "locate.h"
#include "unwind_build.h"

enum { STACK_FIRST = 256 << 10, STACK_MOST = 16 << 20 };

/* What is needed while dumping, beside the result. */
struct dumper {
    struct cprof_dump *dump;
    struct cprof_processes processes;
    struct cprof_locator locator;
    struct cprof_process *process;
    struct cprof_unwind_builder *builder;
    struct cprof_unwind_chain *chain;
    uint8_t *stack; /* STACK_MOST bytes, touched as far as used */
};

void cprof_dump_destroy(struct cprof_dump *dump)
{
    if (!dump)
        return;
    cprof_stacks_unref(dump->stacks);
    cprof_vec_free(&dump->threads);
    cprof_vec_free(&dump->frames);
    free(dump);
}

static void dumper_deinit(struct dumper *d)
{
    cprof_locator_deinit(&d->locator);
    cprof_unwind_builder_destroy(d->builder);
    cprof_processes_deinit(&d->processes);
    free(d->chain);
    free(d->stack);
}

/* The tables of all that is mapped, before anything is stopped. */
static void make_tables(struct dumper *d)
{
    for (size_t i = 0; i < d->process->maps.entries.n; i++)
        cprof_unwind_builder_want(d->builder, d->process->maps.entries.data[i].dso);
}

static int dumper_init(struct dumper *d, pid_t pid)
{
    int r;

    memset(d, 0, sizeof(*d));
    d->dump = calloc(1, sizeof(*d->dump));
    d->chain = malloc(sizeof(*d->chain));
    d->stack = malloc(STACK_MOST);
    if (!d->dump || !d->chain || !d->stack)
        return -ENOMEM;
    r = cprof_stacks_create(&d->dump->stacks);
    if (r == 0)
        r = cprof_unwind_builder_create(-1, true, &d->builder);
    if (r == 0)
        r = cprof_locator_init(&d->locator, d->dump->stacks, &d->processes.dsos);
    d->processes.unwind = &cprof_unwind_table;
    d->processes.stacks = d->dump->stacks;
    if (r == 0)
        r = cprof_processes_get(&d->processes, pid, &d->process);
    if (r == 0)
        r = d->processes.unwind->create(&d->process->space);
    d->process = r == 0 ? d->process : NULL;
    if (d->process) {
        d->process->has_space = true;
        make_tables(d);
    }
    return r;
}

/* Stop one thread: 0, -ESRCH when it is gone, -EPERM. */
static int seize(pid_t tid)
{
    int status;

    if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
        return -errno;
    if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0 &&
        waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
        /* a signal that arrived at the same moment must reach the thread: see release()
         */
        return status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
    }
    ptrace(PTRACE_DETACH, tid, 0, 0);
    return -ESRCH;
}

static int read_registers(pid_t tid, uint64_t regs[CPROF_N_REGS])
{
    struct user_regs_struct user;
    struct iovec io = {&user, sizeof(user)};

    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) < 0)
        return -errno;
    if (io.iov_len != sizeof(user))
        return -EOPNOTSUPP; /* a 32-bit program */
    const uint64_t in_order[CPROF_N_REGS] = {
        user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi,
        user.rbp, user.rsp, user.r8,  user.r9,  user.r10, user.r11,
        user.r12, user.r13, user.r14, user.r15, user.rip};
    memcpy(regs, in_order, sizeof(in_order));
    return 0;
}

/* The stack from its pointer up, as much as is mapped of `most` bytes: reads stop at the
 * first hole and say how far they came. */
static size_t read_stack(pid_t pid, uint64_t sp, uint8_t *bytes, size_t most)
{
    enum { PIECE = 64 << 10 };
    size_t n = 0;

    while (n < most) {
        size_t piece = most - n < PIECE ? most - n : PIECE;
        struct iovec to = {bytes + n, piece}, from = {(void *)(sp + n), piece};
        ssize_t got = process_vm_readv(pid, &to, 1, &from, 1, 0);
        if (got <= 0) { /* the last pages, one by one */
            piece = 4096 - (sp + n) % 4096;
            to.iov_len = from.iov_len = piece < most - n ? piece : most - n;
            got = process_vm_readv(pid, &to, 1, &from, 1, 0);
        }
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static int add_frames(struct dumper *d, struct cprof_dump_thread *thread)
{
    uint32_t location;
    int r = 0;

    thread->end = d->chain->end;
    thread->first_frame = d->dump->frames.n;
    for (size_t i = 0; r == 0 && i < d->chain->n; i++) {
        r = cprof_locate_user(&d->locator, d->process, d->chain->pc[i], &location);
        if (r == 0)
            r = cprof_vec_push(&d->dump->frames, location);
    }
    thread->n_frames = d->dump->frames.n - thread->first_frame;
    return r;
}

/* While the thread is stopped: registers and stack, deeper while the unwinder asks. */
static int unwind_stopped(struct dumper *d, pid_t pid, struct cprof_dump_thread *thread)
{
    struct cprof_unwind_input in = {.stack = d->stack};
    uint8_t below[CPROF_RED_ZONE];
    size_t most;
    int r = read_registers(thread->tid, in.regs);

    if (r == 0 && read_stack(pid, in.regs[CPROF_REG_RSP] - CPROF_RED_ZONE, below,
                             sizeof(below)) == sizeof(below))
        in.below = below;
    d->chain->n = 0;
    d->chain->end = CPROF_END_UNSUPPORTED;
    for (most = STACK_FIRST; r == 0; most *= 8) {
        in.stack_n = read_stack(pid, in.regs[CPROF_REG_RSP], d->stack, most);
        d->processes.unwind->unwind(d->process->space, &d->process->maps, &in, d->chain);
        if (d->chain->end != CPROF_END_TRUNCATED || in.stack_n < most ||
            most * 8 > STACK_MOST)
            break;
    }
    return r == -ESRCH ? r : 0;
}

static void describe(pid_t pid, struct cprof_dump_thread *thread)
{
    struct cprof_proc_status status = {.state = '?'};
    char path[64];
    _cleanup_free_ char *text = NULL;
    size_t n;

    cprof_proc_status(pid, thread->tid, &status);
    thread->state = status.state;
    cprof_proc_comm(pid, thread->tid, thread->name);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", pid, thread->tid);
    if (cprof_proc_read(path, 4096, &text, &n) == 0 && strcmp(text, "0"))
        snprintf(thread->wait, sizeof(thread->wait), "%s", text);
}

static int dump_thread(struct dumper *d, pid_t pid, pid_t tid)
{
    struct cprof_dump_thread thread = {.tid = tid};
    int signal, r;

    describe(pid, &thread);
    signal = seize(tid);
    if (signal < 0)
        return signal;
    r = unwind_stopped(d, pid, &thread);
    ptrace(PTRACE_DETACH, tid, 0, signal); /* it goes on, with its signal if it had one */
    if (r == 0)
        r = add_frames(d, &thread);
    return r < 0 ? r : cprof_vec_push(&d->dump->threads, thread);
}

static int dump_all(struct dumper *d, pid_t pid)
{
    struct cprof_tasks tasks = {0};
    int r = cprof_proc_tasks(pid, &tasks);

    for (size_t i = 0; r == 0 && i < tasks.ids.n; i++) {
        r = dump_thread(d, pid, tasks.ids.data[i]);
        if (r == -ESRCH)
            r = 0;
    }
    cprof_vec_free(&tasks.ids);
    if (r == 0 && !d->dump->threads.n)
        r = -ESRCH;
    return r == 0 ? cprof_locator_name_all(&d->locator) : r;
}

static int refused(int r, pid_t pid, struct cprof_error *err)
{
    if (r == -ESRCH)
        return cprof_error_set(err, r, "dump: process %d has ended", pid);
    cprof_error_set(err, r, "dump: cannot look at process %d: %s", pid, strerror(-r));
    if (r == -EPERM)
        cprof_error_refused(err, "ptrace", "refused",
                            "run as its user or as root, with CAP_SYS_PTRACE, and with "
                            "kernel.yama.ptrace_scope=0; only one debugger or tracer can "
                            "hold a process");
    return r;
}

int cprof_dump_create(pid_t pid, struct cprof_dump **ret, struct cprof_error *err)
{
    struct cprof_proc_status status;
    struct dumper d;
    int r = pid > 0 ? cprof_proc_status(pid, pid, &status) : -ESRCH;

    if (r < 0)
        return cprof_error_set(err, r, "dump: no process has the number %d", pid);
    if (status.state == 'Z' || status.is_kernel_thread)
        return cprof_error_set(err, status.state == 'Z' ? -ESRCH : -EINVAL,
                               "dump: %d is a %s", pid,
                               status.state == 'Z' ? "zombie" : "kernel thread");
    r = dumper_init(&d, pid);
    if (r == 0)
        r = dump_all(&d, pid);
    dumper_deinit(&d);
    if (r < 0) {
        cprof_dump_destroy(d.dump);
        return refused(r, pid, err);
    }
    *ret = d.dump;
    return 0;
}
