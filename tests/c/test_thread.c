/* thread: what the thread sees of itself is the truth. */
#define _GNU_SOURCE
#include "thread.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"

struct seen {
    int fd;
    bool is_blocked;
    char name[16];
};

static void *look(void *arg)
{
    struct pollfd polled = {.fd = ((struct seen *)arg)->fd, .events = POLLIN};
    struct seen *seen = arg;
    sigset_t mask;

    poll(&polled, 1, 60000); /* until it is woken: it has its name by then */
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen->is_blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM);
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    return seen;
}

static void test_a_thread_takes_no_signals_and_has_a_name(void)
{
    struct seen seen = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    sigset_t before, after;
    pthread_t thread;
    void *result = NULL;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK_EQ(cprof_thread_start("cprof-test", look, &seen, &thread), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_EQ(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    cprof_thread_wake(seen.fd);
    pthread_join(thread, &result);
    CHECK(result == &seen);
    CHECK(seen.is_blocked);
    CHECK_STR(seen.name, "cprof-test");
    close(seen.fd);
}

static void test_waking_twice_is_waking(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    uint64_t most = UINT64_MAX - 1;

    CHECK_EQ(poll(&polled, 1, 0), 0);
    cprof_thread_wake(fd);
    cprof_thread_wake(fd);
    CHECK_EQ(poll(&polled, 1, 0), 1);
    CHECK_EQ(read(fd, &most, sizeof(most)), sizeof(most));
    CHECK_EQ(poll(&polled, 1, 0), 0);
    most = UINT64_MAX - 1; /* as full as it gets: one more is refused */
    CHECK_EQ(write(fd, &most, sizeof(most)), sizeof(most));
    cprof_thread_wake(fd);
    CHECK_EQ(poll(&polled, 1, 0), 1);
    close(fd);
}

int main(void)
{
    RUN(test_a_thread_takes_no_signals_and_has_a_name);
    RUN(test_waking_twice_is_waking);
    return test_report(__FILE__);
}
