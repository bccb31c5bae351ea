/* test.h - the whole of the C test harness: CHECK what must hold, RUN each test.
 *
 * A test is a `static void test_x(void)`. A failed CHECK prints where and what, and the
 * test goes on; the program exits 1 if any failed. The last line is "test_x: N passed, N
 * failed". Skipped work is said with SKIP("reason"), and fails where
 * CPROF_REQUIRE_PERF=1.
 *
 * sweep(): run a function with its n-th allocation failing, for n = 1, 2, ... until it
 * needs no more; the sanitizers see what an error path leaks or touches. All programs
 * here are linked with --wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,
 * --wrap=strndup, so that only our own code's calls are counted. */
#ifndef CPROF_TEST_H
#define CPROF_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_passed, n_failed, n_checks_failed, n_skipped;

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            n_checks_failed++;                                                           \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);      \
        }                                                                                \
    } while (0)
#define CHECK_EQ(a, b)                                                                   \
    do {                                                                                 \
        long long got_ = (long long)(a), want_ = (long long)(b);                         \
        if (got_ != want_) {                                                             \
            n_checks_failed++;                                                           \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld (%s)\n", __FILE__, __LINE__,    \
                    #a, got_, want_, #b);                                                \
        }                                                                                \
    } while (0)
#define CHECK_STR(a, b)                                                                  \
    do {                                                                                 \
        const char *got_ = (a), *want_ = (b);                                            \
        if (!got_ || strcmp(got_, want_)) {                                              \
            n_checks_failed++;                                                           \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, \
                    got_ ? got_ : "(null)", want_);                                      \
        }                                                                                \
    } while (0)
#define SKIP(reason)                                                                     \
    do {                                                                                 \
        const char *must_ = getenv("CPROF_REQUIRE_PERF");                                \
        fprintf(stderr, "%s: skipped: %s\n", __func__, (reason));                        \
        if (must_ && !strcmp(must_, "1"))                                                \
            n_checks_failed++;                                                           \
        n_skipped++;                                                                     \
    } while (0)
#define RUN(test)                                                                        \
    do {                                                                                 \
        int before_ = n_checks_failed;                                                   \
        test();                                                                          \
        if (n_checks_failed == before_)                                                  \
            n_passed++;                                                                  \
        else {                                                                           \
            n_failed++;                                                                  \
            fprintf(stderr, "FAILED %s\n", #test);                                       \
        }                                                                                \
    } while (0)

static inline int test_report(const char *file)
{
    const char *name = strrchr(file, '/');
    if (n_skipped)
        fprintf(stderr, "%d skipped\n", n_skipped);
    printf("%.*s: %d passed, %d failed\n", (int)(strcspn(name ? name + 1 : file, ".")),
           name ? name + 1 : file, n_passed, n_failed);
    return n_failed ? 1 : 0;
}

/* alloc.c */
extern volatile long test_fail_at; /* the n-th allocation from now fails; 0 = none does */
extern volatile long test_n_allocated; /* allocations since test_fail_at was set */

/* Run `attempt(arg)` with every allocation failing in turn. It must clean up after itself
 * and return 0 on success or the negative errno it met; returns what is not as it should
 * be as a count. */
static inline int sweep(int (*attempt)(void *arg), void *arg)
{
    int wrong = 0;

    for (long n = 1; n < 100000; n++) {
        int r;
        test_n_allocated = 0;
        test_fail_at = n;
        r = attempt(arg);
        test_fail_at = 0;
        if (test_n_allocated < n) /* it needed fewer: it was not disturbed */
            return wrong + (r < 0);
        if (r >= 0)
            continue; /* an allocation it can do without */
        if (r != -12 /* -ENOMEM */)
            wrong++;
    }
    return wrong + 1;
}

#endif
