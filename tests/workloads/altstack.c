/* altstack.c - a signal handler at work, on a stack of its own or not.
 *
 *   altstack SECONDS [same]    of CPU time; "same": on the stack that it interrupts
 *
 * Every 10 ms of CPU time a timer interrupts victim(), called by main(); the handler,
 * on_signal(), burns 8 ms in handler_work() on the alternate stack. Truth, printed at the
 * end: "handler NS victim NS". Every stack with handler_work() goes on with on_signal(),
 * the C library's return trampoline, and victim() (or work it is inlined into). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "workload.h"

static volatile uint64_t in_handler;

static NOINLINE void handler_work(uint64_t ns)
{
    uint64_t begin = thread_ns();

    work_until(begin + ns);
    in_handler += thread_ns() - begin;
}

static void on_signal(int number)
{
    (void)number;
    handler_work(8000000);
    NOT_A_TAIL_CALL();
}

static NOINLINE void victim(uint64_t total_ns)
{
    /* No system calls here: a timer signal would come at their end, and nowhere else. */
    while (in_handler * 10 < total_ns * 8)
        work();
}

int main(int argc, char **argv)
{
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = argc > 2 ? 0 : SA_ONSTACK};
    struct itimerspec every = {.it_value.tv_nsec = 10000000,
                               .it_interval.tv_nsec = 10000000};
    uint64_t begin = thread_ns();
    timer_t timer;

    if (sigaltstack(&stack, NULL) < 0 || sigaction(SIGALRM, &action, NULL) < 0 ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, NULL, &timer) < 0 ||
        timer_settime(timer, 0, &every, NULL) < 0)
        return 1;
    victim((uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9));
    timer_delete(timer);
    printf("handler %llu victim %llu\n", (unsigned long long)in_handler,
           (unsigned long long)(thread_ns() - begin - in_handler));
    return 0;
}
