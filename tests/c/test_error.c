/* error: messages are cut, never overrun; NULL is accepted everywhere. */
#include "error.h"

#include <errno.h>

#include "test.h"

static void test_set_fills_code_and_message_and_returns_the_code(void)
{
    struct cprof_error err;

    memset(&err, 0xaa, sizeof(err));
    CHECK_EQ(cprof_error_set(&err, -EPERM, "ring: cannot map %d KiB", 12), -EPERM);
    CHECK_EQ(err.code, -EPERM);
    CHECK_STR(err.message, "ring: cannot map 12 KiB");
    CHECK_STR(err.knob, "");
    CHECK_STR(err.value, "");
    CHECK_STR(err.remedy, "");
}

static void test_refused_adds_to_what_was_set(void)
{
    struct cprof_error err;

    cprof_error_set(&err, -EACCES, "session: no");
    cprof_error_refused(&err, "kernel.perf_event_paranoid", "3", "sysctl ...");
    CHECK_EQ(err.code, -EACCES);
    CHECK_STR(err.message, "session: no");
    CHECK_STR(err.knob, "kernel.perf_event_paranoid");
    CHECK_STR(err.value, "3");
    CHECK_STR(err.remedy, "sysctl ...");
    cprof_error_set(&err, -EINVAL, "other");
    CHECK_STR(err.knob, "");
    cprof_error_clear(&err);
    CHECK_EQ(err.code, 0);
    CHECK_STR(err.message, "");
}

static int bad_file(struct cprof_error *err, const char *name, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = cprof_error_bad_file(err, "build", name, format, args);
    va_end(args);
    return r;
}

static void test_a_bad_file_is_named(void)
{
    struct cprof_error err;
    char name[1000];

    CHECK_EQ(bad_file(&err, "x.pb", "row %d", 7), -EBADMSG);
    CHECK_STR(err.message, "build: x.pb: row 7");
    memset(name, 'a', sizeof(name));
    strcpy(name + 900, "/end");
    bad_file(&err, name, "row %d", 7);
    CHECK_STR(strchr(err.message, '/'), "/end: row 7");
    CHECK(!strncmp(err.message, "build: ...a", 11));
}

static void test_long_texts_are_cut_to_their_fields(void)
{
    struct cprof_error err;
    char text[1000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cprof_error_set(&err, -EINVAL, "%s", text);
    cprof_error_refused(&err, text, text, text);
    CHECK_EQ(strlen(err.message), CPROF_ERROR_MESSAGE - 1);
    CHECK_EQ(strlen(err.knob), CPROF_ERROR_KNOB - 1);
    CHECK_EQ(strlen(err.value), CPROF_ERROR_VALUE - 1);
    CHECK_EQ(strlen(err.remedy), CPROF_ERROR_REMEDY - 1);
}

static void test_null_is_accepted(void)
{
    CHECK_EQ(cprof_error_set(NULL, -ENOMEM, "%d", 1), -ENOMEM);
    cprof_error_refused(NULL, "a", "b", "c");
    cprof_error_clear(NULL);
}

int main(void)
{
    RUN(test_set_fills_code_and_message_and_returns_the_code);
    RUN(test_refused_adds_to_what_was_set);
    RUN(test_a_bad_file_is_named);
    RUN(test_long_texts_are_cut_to_their_fields);
    RUN(test_null_is_accepted);
    return test_report(__FILE__);
}
