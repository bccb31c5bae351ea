/* error.h - what went wrong, in words, beside the negative errno that says it in code.
 *
 * A function that a user's request reaches takes `struct cprof_error *err` last; NULL is
 * accepted everywhere. The struct lives on the caller's stack and owns nothing.
 * Per-sample code never formats a message: it bumps a counter. */
#ifndef CPROF_ERROR_H
#define CPROF_ERROR_H

#include <stdarg.h>

enum {
    CPROF_ERROR_MESSAGE = 384,
    CPROF_ERROR_KNOB = 64,
    CPROF_ERROR_VALUE = 64,
    CPROF_ERROR_REMEDY = 256
};

struct cprof_error {
    int code;                          /* negative errno, 0 when nothing was set */
    char message[CPROF_ERROR_MESSAGE]; /* one line, starts with the module's name */
    char knob[CPROF_ERROR_KNOB];       /* what refused ("perf_event_paranoid"), or "" */
    char value[CPROF_ERROR_VALUE];     /* the knob's value now */
    char remedy[CPROF_ERROR_REMEDY];   /* what the user can do about it */
};

/* Fill *err (may be NULL) and return `code`, so that `return cprof_error_set(...)` reads
 * as one step. `code` is a negative errno. Clears knob, value and remedy. */
int cprof_error_set(struct cprof_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, of a file: "module: name: what", -EBADMSG. Of a long name the end is shown.
 */
int cprof_error_bad_file(struct cprof_error *err, const char *module, const char *name,
                         const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/* Add the knob that refused, its value and the remedy to an error that was just set. */
void cprof_error_refused(struct cprof_error *err, const char *knob, const char *value,
                         const char *remedy);

void cprof_error_clear(struct cprof_error *err);

#endif
