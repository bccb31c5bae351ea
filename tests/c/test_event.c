/* event: the user's words -> what to open; the words are those of perf(1). */
#include "event.h"

#include <errno.h>

#include "test.h"

static void test_every_event_is_found_by_its_own_name(void)
{
    const struct cprof_event *event;
    size_t n = 0;

    for (; (event = cprof_event_at(n)); n++) {
        CHECK(cprof_event_find(event->name) == event);
        CHECK_EQ(event->is_clock,
                 !strcmp(event->name, "task-clock") || !strcmp(event->name, "cpu-clock"));
    }
    CHECK(n >= 10);
    CHECK(cprof_event_at(n) == NULL && cprof_event_at(SIZE_MAX) == NULL);
    CHECK(cprof_event_find("") == NULL && cprof_event_find("cycle") == NULL);
}

static void test_a_name_is_itself_alone(void)
{
    const struct cprof_event *found[4];
    bool is_user = true;

    CHECK_EQ(cprof_event_candidates("page-faults", found, 4, &is_user, NULL), 1);
    CHECK_EQ(found[0]->type, PERF_TYPE_SOFTWARE);
    CHECK_EQ(found[0]->config, PERF_COUNT_SW_PAGE_FAULTS);
    CHECK(!is_user);
    CHECK_EQ(cprof_event_candidates("cycles:u", found, 4, &is_user, NULL), 1);
    CHECK_EQ(found[0]->type, PERF_TYPE_HARDWARE);
    CHECK(is_user);
}

static void test_auto_tries_cycles_then_the_clocks(void)
{
    static const char *const words[] = {"auto", "auto:u"};
    const struct cprof_event *found[4];
    bool is_user;

    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(cprof_event_candidates(words[i], found, 4, &is_user, NULL), 3);
        CHECK_STR(found[0]->name, "cycles");
        CHECK_STR(found[1]->name, "task-clock");
        CHECK_STR(found[2]->name, "cpu-clock");
        CHECK_EQ(is_user, i == 1);
    }
    CHECK_EQ(cprof_event_candidates("auto", found, 2, &is_user, NULL), 2);
}

static void test_other_words_are_refused_with_all_names(void)
{
    static const char *const words[] = {
        "",
        ":u",
        "cycles:k",
        "cycles:",
        "CYCLES",
        "task-clock ",
        "auto:u:u",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:u",
        "cycles%s%n"};
    const struct cprof_event *found[4];
    struct cprof_error err;
    bool is_user;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        CHECK_EQ(cprof_event_candidates(words[i], found, 4, &is_user, &err), -EOPNOTSUPP);
        CHECK_EQ(err.code, -EOPNOTSUPP);
        for (size_t k = 0; cprof_event_at(k); k++)
            CHECK(strstr(err.message, cprof_event_at(k)->name) != NULL);
    }
}

int main(void)
{
    RUN(test_every_event_is_found_by_its_own_name);
    RUN(test_a_name_is_itself_alone);
    RUN(test_auto_tries_cycles_then_the_clocks);
    RUN(test_other_words_are_refused_with_all_names);
    return test_report(__FILE__);
}
