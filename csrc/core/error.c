#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SHOWN = 200 };

int cprof_error_set(struct cprof_error *err, int code, const char *format, ...)
{
    va_list args;

    if (!err)
        return code;
    cprof_error_clear(err);
    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return code;
}

int cprof_error_bad_file(struct cprof_error *err, const char *module, const char *name,
                         const char *format, va_list args)
{
    size_t n = strlen(name);
    char what[CPROF_ERROR_MESSAGE];

    vsnprintf(what, sizeof(what), format, args);
    return cprof_error_set(err, -EBADMSG, "%s: %s%s: %.150s", module,
                           n > NAME_SHOWN ? "..." : "",
                           n > NAME_SHOWN ? name + n - NAME_SHOWN : name, what);
}

void cprof_error_refused(struct cprof_error *err, const char *knob, const char *value,
                         const char *remedy)
{
    if (!err)
        return;
    snprintf(err->knob, sizeof(err->knob), "%s", knob);
    snprintf(err->value, sizeof(err->value), "%s", value);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
}

void cprof_error_clear(struct cprof_error *err)
{
    if (err)
        memset(err, 0, sizeof(*err));
}
