#include "demangle_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vec.h"

typedef char *demangle_cxx(const char *name, char *buffer, size_t *n, int *status);

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static demangle_cxx *cxx; /* of libstdc++, which stays open; NULL where there is none */

static void open_cxx(void)
{
    void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "__cxa_demangle") : NULL;

    memcpy(&cxx, &symbol, sizeof(cxx)); /* ISO C has no cast between the two */
}

void cprof_text_add(struct cprof_text *text, const char *bytes, size_t n)
{
    if (text->r < 0)
        return;
    if (n > CPROF_DEMANGLED_MAX - text->n)
        text->r = -EOVERFLOW;
    else
        text->r = cprof_vec_reserve(text, n + 1);
    if (text->r < 0)
        return;
    memcpy(text->data + text->n, bytes, n);
    text->n += n;
    text->data[text->n] = '\0';
}

void cprof_text_put(struct cprof_text *text, const char *string)
{
    cprof_text_add(text, string, strlen(string));
}

static size_t letters(const char *at, size_t n)
{
    size_t i = 0;
    while (i < n && ((at[i] >= 'a' && at[i] <= 'z') || at[i] == '_'))
        i++;
    return i;
}

static size_t digits(const char *at, size_t n)
{
    size_t i = 0;
    while (i < n && at[i] >= '0' && at[i] <= '9')
        i++;
    return i;
}

/* ".isra.0.cold" becomes " [clone .isra.0] [clone .cold]": a word and the numbers after
 * it, as c++filt cuts them. */
static void add_clones(struct cprof_text *out, const char *suffix, size_t n)
{
    while (n) {
        size_t used = 1 + letters(suffix + 1, n - 1);
        while (used + 1 < n && suffix[used] == '.' &&
               digits(suffix + used + 1, n - used - 1))
            used += 1 + digits(suffix + used + 1, n - used - 1);
        if (used < n && suffix[used] != '.')
            used = n; /* of another form: leave it whole */
        cprof_text_put(out, " [clone ");
        cprof_text_add(out, suffix, used);
        cprof_text_put(out, "]");
        suffix += used;
        n -= used;
    }
}

/* Where the compiler's own ".llvm.1234" begins, else n. */
static size_t without_llvm(const char *suffix, size_t n)
{
    for (size_t i = 0; i + 6 <= n; i++)
        if (!memcmp(suffix + i, ".llvm.", 6))
            return i;
    return n;
}

static bool demangle_rust(const char *name, size_t n, struct cprof_text *out)
{
    size_t used;

    if (!cprof_demangle_rust_v0(name, n, out, &used) &&
        !cprof_demangle_rust_legacy(name, n, out, &used))
        return false;
    name += used;
    n = without_llvm(name, n - used);
    if (n && *name == '.')
        add_clones(out, name, n);
    return out->r == 0;
}

/* name[0..n) through libstdc++; *status as its own: 0, -1 out of memory, -2 not a name.
 */
static bool call_cxx(const char *name, size_t n, struct cprof_text *out)
{
    char *copy = strndup(name, n), *readable;
    int status = -2;

    if (!copy) {
        out->r = -ENOMEM;
        return false;
    }
    readable = cxx(copy, NULL, NULL, &status);
    free(copy);
    if (readable)
        cprof_text_put(out, readable);
    else if (status == -1)
        out->r = -ENOMEM;
    free(readable);
    return readable && out->r == 0;
}

static bool demangle_cpp(const char *name, size_t n, struct cprof_text *out)
{
    const char *dot = memchr(name, '.', n);

    pthread_once(&opened, open_cxx);
    if (n < 3 || memcmp(name, "_Z", 2) || !cxx)
        return false;
    if (call_cxx(name, n, out))
        return true;
    if (!dot || out->r < 0 || !call_cxx(name, (size_t)(dot - name), out))
        return false;
    add_clones(out, dot, n - (size_t)(dot - name));
    return out->r == 0;
}

int cprof_demangle(const char *name, char **ret)
{
    size_t n = strnlen(name, CPROF_DEMANGLE_MAX + 1), base;
    struct cprof_text out = {0};
    bool is_done = false;

    base = strcspn(name, "@");
    if (n <= CPROF_DEMANGLE_MAX && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R'))
        is_done = demangle_rust(name, base, &out) ||
                  (out.r == 0 && demangle_cpp(name, base, &out));
    if (is_done)
        cprof_text_put(&out, name + base);
    if (!is_done || out.r < 0) {
        free(out.data);
        out.data = NULL;
    }
    if (out.r == -ENOMEM)
        return -ENOMEM;
    *ret = out.data;
    return 0;
}
