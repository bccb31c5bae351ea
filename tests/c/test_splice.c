/* splice: chains joined to what a kernel would say; files with frame pointers and
 * without. */
#include "splice.h"

#include <unistd.h>

#include "test.h"

static struct cprof_unwind_chain chain;

/* A chain whose leaf and callers the kernel would write as `ips`. */
static void set_chain(const uint64_t *ips, size_t n)
{
    for (size_t i = 0; i < n; i++)
        chain.pc[i] = i ? ips[i] - 1 : ips[i];
    chain.n = n;
}

static void check_chain(const uint64_t *ips, size_t n)
{
    CHECK_EQ(chain.n, n);
    for (size_t i = 0; i < n && i < chain.n; i++)
        CHECK_EQ(chain.pc[i], i ? ips[i] - 1 : ips[i]);
}

static void test_the_outer_part_is_added(void)
{
    static const uint64_t ips[] = {10, 20, 30, 40, 50, 60};

    for (size_t n = 3; n <= 6; n++) {
        set_chain(ips, n);
        CHECK_EQ(cprof_splice(&chain, ips, 6), 6 - n);
        check_chain(ips, 6);
    }
}

/* In a prologue the kernel misses the caller: its chain begins one further out. */
static void test_the_inner_part_may_differ(void)
{
    static const uint64_t all[] = {10, 20, 30, 40, 50, 60, 70};
    static const uint64_t ips[] = {10, 30, 40, 50, 60, 70};

    set_chain(all, 5);
    CHECK_EQ(cprof_splice(&chain, ips, 6), 2);
    check_chain(all, 7);
}

static void test_what_does_not_meet_is_left(void)
{
    static const uint64_t all[] = {10, 20, 30, 40, 50};
    static const uint64_t other[] = {10, 20, 35, 40, 55, 60};

    set_chain(all, 4);
    CHECK_EQ(cprof_splice(&chain, other, 6), 0); /* 40 alone */
    CHECK_EQ(cprof_splice(&chain, all, 3), 0);   /* ends before */
    CHECK_EQ(cprof_splice(&chain, all, 0), 0);
    check_chain(all, 4);
    set_chain(all, 2);
    CHECK_EQ(cprof_splice(&chain, all, 5), 0); /* one caller is no proof */
    set_chain(all, 1);
    CHECK_EQ(cprof_splice(&chain, all, 5), 0);
}

/* A recursion is the same return address again and again: only where its beginning is
 * seen is it known how deep one is in it. */
static void test_recursion(void)
{
    static const uint64_t all[] = {10, 20, 30, 30, 30, 30, 30, 30, 40};
    static const uint64_t headless[] = {10, 30, 30, 30, 30, 30, 30, 40};

    set_chain(all, 5);
    CHECK_EQ(cprof_splice(&chain, all, 9), 4);
    check_chain(all, 9);
    set_chain(all, 5);
    CHECK_EQ(cprof_splice(&chain, headless, 8), 0);
    check_chain(all, 5);
}

static void test_a_full_chain(void)
{
    static const uint64_t ips[] = {10, 20, 30, 40, 50};

    chain.n = CPROF_UNWIND_MAX_FRAMES - 1;
    for (size_t i = 0; i < chain.n; i++)
        chain.pc[i] = 1;
    chain.pc[chain.n - 2] = 19;
    chain.pc[chain.n - 1] = 29;
    CHECK_EQ(cprof_splice(&chain, ips, 5), 1);
    CHECK_EQ(chain.n, CPROF_UNWIND_MAX_FRAMES);
    CHECK_EQ(chain.pc[chain.n - 1], 39);
}

static const char program[] = "int f(int *x) { return ++*x; }\n"
                              "int g(int *x) { return f(x) + f(x); }\n"
                              "int h(int *x) { return g(x) + f(x); }\n"
                              "int k(int *x) { return h(x) + g(x); }\n"
                              "int main(void) { int x = 0; return k(&x) + g(&x); }\n";

static bool has_frames(const char *flags)
{
    char path[] = "/tmp/cprof-test-splice-XXXXXX", command[256];
    struct cprof_elf *elf = NULL;
    bool has;
    FILE *gcc;

    close(mkstemp(path));
    snprintf(command, sizeof(command), "gcc %s -fno-inline -x c - -o %s", flags, path);
    gcc = popen(command, "w");
    CHECK(gcc && fputs(program, gcc) >= 0 && pclose(gcc) == 0);
    CHECK_EQ(cprof_elf_open(path, &elf, NULL), 0);
    has = elf && cprof_splice_has_frames(elf);
    cprof_elf_unref(elf);
    unlink(path);
    return has;
}

static void test_files(void)
{
    CHECK(has_frames("-O1 -fno-omit-frame-pointer"));
    CHECK(has_frames("-O0"));
    CHECK(has_frames("-O1 -fno-omit-frame-pointer -fcf-protection"));
    CHECK(!has_frames("-O2 -fomit-frame-pointer"));
    CHECK(!has_frames("-O1 -fno-omit-frame-pointer -fno-asynchronous-unwind-tables "
                      "-nostartfiles -Wl,--entry=main"));
}

int main(void)
{
    RUN(test_the_outer_part_is_added);
    RUN(test_the_inner_part_may_differ);
    RUN(test_what_does_not_meet_is_left);
    RUN(test_recursion);
    RUN(test_a_full_chain);
    RUN(test_files);
    return test_report(__FILE__);
}
