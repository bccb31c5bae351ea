/* strtab: equal text, equal number; text is what went in. */
#include "strtab.h"

#include <errno.h>

#include "test.h"

static void test_equal_text_has_one_number(void)
{
    struct cprof_strtab tab = {0};
    uint32_t empty = 9, a, b, again;

    CHECK_STR(cprof_strtab_get(&tab, 0), "");
    CHECK_EQ(cprof_strtab_add(&tab, "main", &a), 0);
    CHECK_EQ(cprof_strtab_add(&tab, "", &empty), 0);
    CHECK_EQ(empty, 0);
    CHECK_EQ(cprof_strtab_add(&tab, "mai", &b), 0);
    CHECK_EQ(cprof_strtab_add_n(&tab, "main_loop", 4, &again), 0);
    CHECK(a != b && a != 0 && b != 0);
    CHECK_EQ(again, a);
    CHECK_STR(cprof_strtab_get(&tab, a), "main");
    CHECK_STR(cprof_strtab_get(&tab, b), "mai");
    CHECK_STR(cprof_strtab_get(&tab, 1234567), "");
    cprof_strtab_deinit(&tab);
}

static void test_a_nul_inside_ends_the_text(void)
{
    struct cprof_strtab tab = {0};
    uint32_t a, b;

    CHECK_EQ(cprof_strtab_add_n(&tab, "ab\0cd", 5, &a), 0);
    CHECK_EQ(cprof_strtab_add(&tab, "ab", &b), 0);
    CHECK_EQ(a, b);
    cprof_strtab_deinit(&tab);
}

static void test_long_text_is_cut(void)
{
    struct cprof_strtab tab = {0};
    size_t n = CPROF_STRTAB_MAX + 100;
    char *text = malloc(n + 1);
    uint32_t a, b;

    memset(text, 'q', n);
    text[n] = '\0';
    CHECK_EQ(cprof_strtab_add(&tab, text, &a), 0);
    CHECK_EQ(strlen(cprof_strtab_get(&tab, a)), CPROF_STRTAB_MAX);
    CHECK_EQ(cprof_strtab_add_n(&tab, text, n, &b), 0);
    CHECK_EQ(a, b);
    free(text);
    cprof_strtab_deinit(&tab);
}

/* The table's own text, while the table moves: a part of each text becomes a new one. */
static void test_text_of_the_table_itself_may_be_added(void)
{
    struct cprof_strtab tab = {0};
    char text[32], want[32];
    uint32_t id, part;

    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "name-%d-%d", i, i * 31);
        CHECK_EQ(cprof_strtab_add(&tab, text, &id), 0);
        CHECK_EQ(cprof_strtab_add(&tab, cprof_strtab_get(&tab, id) + 5, &part), 0);
        snprintf(want, sizeof(want), "%d-%d", i, i * 31);
        CHECK_STR(cprof_strtab_get(&tab, part), want);
        CHECK_STR(cprof_strtab_get(&tab, id), text);
    }
    cprof_strtab_deinit(&tab);
}

static void test_a_copy_reads_the_same_and_is_its_own(void)
{
    struct cprof_strtab tab = {0}, copy = {0}, none = {0};
    uint32_t id, later;

    CHECK_EQ(cprof_strtab_copy(&none, &copy), 0);
    CHECK_STR(cprof_strtab_get(&copy, 0), "");
    cprof_strtab_deinit(&copy);
    CHECK_EQ(cprof_strtab_add(&tab, "kept", &id), 0);
    CHECK_EQ(cprof_strtab_copy(&tab, &copy), 0);
    CHECK_EQ(cprof_strtab_add(&tab, "later", &later), 0);
    cprof_strtab_deinit(&tab);
    CHECK_STR(cprof_strtab_get(&copy, id), "kept");
    CHECK_STR(cprof_strtab_get(&copy, later), "");
    cprof_strtab_deinit(&copy);
}

static int fill(void *arg)
{
    struct cprof_strtab tab = {0}, copy = {0};
    char text[16];
    uint32_t id;
    int r = 0;

    (void)arg;
    for (int i = 0; r == 0 && i < 100; i++) {
        snprintf(text, sizeof(text), "s%d", i);
        r = cprof_strtab_add(&tab, text, &id);
        if (r == 0)
            CHECK_STR(cprof_strtab_get(&tab, id), text);
    }
    if (r == 0)
        r = cprof_strtab_copy(&tab, &copy);
    CHECK_EQ(copy.n, r == 0 ? tab.n : 0);
    cprof_strtab_deinit(&tab);
    cprof_strtab_deinit(&copy);
    return r;
}

static void test_survives_failing_allocations(void)
{
    CHECK_EQ(sweep(fill, NULL), 0);
}

int main(void)
{
    RUN(test_equal_text_has_one_number);
    RUN(test_a_nul_inside_ends_the_text);
    RUN(test_long_text_is_cut);
    RUN(test_text_of_the_table_itself_may_be_added);
    RUN(test_a_copy_reads_the_same_and_is_its_own);
    RUN(test_survives_failing_allocations);
    return test_report(__FILE__);
}
