/* alloc.c - allocation functions that fail on request; see test.h. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

volatile long test_fail_at,
    test_n_allocated; /* the compiler thinks malloc reads neither */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);

static int is_refused(void)
{
    if (!test_fail_at || ++test_n_allocated != test_fail_at)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t n)
{
    return is_refused() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return is_refused() ? NULL : __real_realloc(p, n);
}
char *__wrap_strdup(const char *s)
{
    return is_refused() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n)
{
    return is_refused() ? NULL : __real_strndup(s, n);
}
