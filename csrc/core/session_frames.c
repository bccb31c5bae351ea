/* session_frames.c - does the targets' code keep frame pointers? Where it does, the
 * kernel is asked to follow them with each sample, for the sake of stacks that are longer
 * than their copy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "session_internal.h"

enum { LARGEST = 3, PATH_ROOM = 4352 };

static bool file_has_frames(const char *path)
{
    struct cprof_elf *elf = NULL;
    bool has = cprof_elf_open(path, &elf, NULL) == 0 && cprof_splice_has_frames(elf);

    cprof_elf_unref(elf);
    return has;
}

static const char *path_variable(const char *const *envp)
{
    for (; envp && *envp; envp++)
        if (!strncmp(*envp, "PATH=", 5))
            return *envp + 5;
    return getenv("PATH");
}

/* The file that execvp(3) will find. */
static bool find_program(const struct cprof_session_options *options,
                         char path[PATH_ROOM])
{
    const char *name = options->argv[0], *at = path_variable(options->envp);
    int n;

    if (strchr(name, '/')) {
        bool is_below = options->cwd && name[0] != '/';
        n = snprintf(path, PATH_ROOM, "%s%s%s", is_below ? options->cwd : "",
                     is_below ? "/" : "", name);
        return n < PATH_ROOM;
    }
    while (at) {
        int length = (int)strcspn(at, ":");
        n = snprintf(path, PATH_ROOM, "%.*s/%s", length, at, name);
        if (n < PATH_ROOM && access(path, X_OK) == 0)
            return true;
        at = at[length] ? at + length + 1 : NULL;
    }
    return false;
}

/* The largest mappings of code of a process, largest first. */
static size_t largest_mappings(char *text, struct cprof_mmap largest[LARGEST])
{
    struct cprof_mmap map;
    char *save = NULL;
    size_t n = 0, k;

    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (!cprof_proc_parse_map(line, &map) || map.file[0] != '/' ||
            !(map.protection & 4 /* PROT_EXEC */))
            continue;
        for (k = n < LARGEST ? n++ : LARGEST; k && largest[k - 1].length < map.length;
             k--)
            if (k < LARGEST)
                largest[k] = largest[k - 1];
        if (k < LARGEST)
            largest[k] = map;
    }
    return n;
}

static bool process_has_frames(pid_t pid)
{
    struct cprof_mmap largest[LARGEST];
    _cleanup_free_ char *text = NULL;
    char path[PATH_ROOM];
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (file_has_frames(path))
        return true;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    if (cprof_proc_read(path, CPROF_PROC_TEXT_MAX, &text, &n) < 0)
        return false;
    n = largest_mappings(text, largest);
    for (size_t i = 0; i < n; i++) {
        int length =
            snprintf(path, sizeof(path), "/proc/%d/root%s", pid, largest[i].file);
        if (length < PATH_ROOM && file_has_frames(path))
            return true;
    }
    return false;
}

bool cprof_session_has_frames(const struct cprof_session *s,
                              const struct cprof_session_options *options)
{
    char path[PATH_ROOM];

    if (!s->is_attached)
        return find_program(options, path) && file_has_frames(path);
    for (size_t i = 0; i < s->targets.n; i++)
        if (process_has_frames(s->targets.data[i].pid))
            return true;
    return false;
}
