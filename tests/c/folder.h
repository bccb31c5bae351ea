/* folder.h - a folder of a test's own, and the commands that are run in it. main() makes
 * it with mkdtemp(dir), and removes it. */
#ifndef CPROF_TESTS_FOLDER_H
#define CPROF_TESTS_FOLDER_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static char dir[] = "/tmp/cprof-test-XXXXXX";

/* Run a shell command in `dir`: true when it succeeds. */
__attribute__((format(printf, 1, 2))) static inline bool sh(const char *format, ...)
{
    char command[8192];
    int n = snprintf(command, sizeof(command), "cd %s && ", dir);
    va_list args;

    va_start(args, format);
    vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
    va_end(args);
    return system(command) == 0;
}

static inline void write_file(const char *name, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

#endif
