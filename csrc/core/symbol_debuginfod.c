/* Debug files from servers: only when asked for, and through a library that is opened
 * only then. */
#include "symbol_dwarf.h"

#include <dlfcn.h>

#include "cleanup.h"

typedef struct debuginfod_client client;

struct library {
    client *(*begin)(void);
    int (*find)(client *, const unsigned char *id, int n, char **path);
    void (*end)(client *);
};

static bool open_library(struct library *ret)
{
    void *handle = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return false;
    ret->begin = (client * (*)(void)) dlsym(handle, "debuginfod_begin");
    ret->find = (int (*)(client *, const unsigned char *, int, char **))dlsym(
        handle, "debuginfod_find_debuginfo");
    ret->end = (void (*)(client *))dlsym(handle, "debuginfod_end");
    return ret->begin && ret->find && ret->end;
}

int cprof_debuginfod_open(const uint8_t *build_id, size_t n, struct cprof_elf **ret,
                          struct cprof_error *err)
{
    const char *urls = getenv("DEBUGINFOD_URLS");
    _cleanup_fd_ int fd = -1;
    struct library library;
    client *client;
    int r;

    if (!urls || !*urls) {
        r = cprof_error_set(err, -EINVAL, "symbol: no debuginfod server is named");
        cprof_error_refused(err, "DEBUGINFOD_URLS", "",
                            "set DEBUGINFOD_URLS to the address of one");
        return r;
    }
    if (!open_library(&library)) {
        r = cprof_error_set(err, -EOPNOTSUPP, "symbol: there is no libdebuginfod");
        cprof_error_refused(err, "libdebuginfod.so.1", "missing",
                            "install libdebuginfod1 (elfutils-debuginfod-client)");
        return r;
    }
    client = library.begin();
    if (!client)
        return cprof_error_set(err, -ENOMEM, "symbol: out of memory");
    fd = library.find(client, build_id, (int)n, NULL);
    library.end(client);
    if (fd < 0)
        return 0;
    r = cprof_elf_open_fd(fd, "debug file", ret, NULL);
    return r == -ENOMEM ? cprof_error_set(err, r, "symbol: out of memory") : 0;
}
