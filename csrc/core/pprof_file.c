/* The bytes of a pprof file: from where they are, inflated. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zlib.h>

#include "cleanup.h"
#include "pprof_read.h"

enum { GZIP_WINDOW = 15 + 16, NAME_SHOWN = 200 };

typedef CPROF_VEC(uint8_t) bytes_vec;

int pprof_bad(const char *name, struct cprof_error *err, const char *format, ...)
{
    size_t n = strlen(name);
    char what[CPROF_ERROR_MESSAGE];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return cprof_error_set(err, -EBADMSG, "pprof: %s%s: %.150s",
                           n > NAME_SHOWN ? "..." : "",
                           n > NAME_SHOWN ? name + n - NAME_SHOWN : name, what);
}

int pprof_no_memory(struct cprof_error *err)
{
    return cprof_error_set(err, -ENOMEM, "pprof: out of memory");
}

static int inflate_all(z_stream *z, bytes_vec *to, const char *name,
                       struct cprof_error *err)
{
    int r;

    do {
        size_t room;
        if (to->n > CPROF_PPROF_MAX_BYTES)
            return pprof_bad(name, err, "inflates to more than %zu MiB",
                             CPROF_PPROF_MAX_BYTES >> 20);
        if (cprof_vec_reserve(to, 64 * 1024) < 0)
            return pprof_no_memory(err);
        room = to->capacity - to->n;
        if (room > CPROF_PPROF_MAX_BYTES + 1 - to->n)
            room = CPROF_PPROF_MAX_BYTES + 1 - to->n;
        z->next_out = to->data + to->n;
        z->avail_out = (unsigned)room;
        r = inflate(z, Z_NO_FLUSH);
        to->n = (size_t)(z->next_out - to->data);
    } while (r == Z_OK);
    if (r == Z_MEM_ERROR)
        return pprof_no_memory(err);
    if (r == Z_BUF_ERROR)
        return pprof_bad(name, err, "is cut off: the gzip data ends too early");
    if (r != Z_STREAM_END)
        return pprof_bad(name, err, "is damaged: bad gzip data");
    if (z->avail_in)
        return pprof_bad(name, err, "has %u bytes after the end of its gzip data",
                         z->avail_in);
    return 0;
}

static bool is_gzip(const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* 0 or negative errno; *to is to be freed in either case. */
static int inflate_gzip(const uint8_t *bytes, size_t n, bytes_vec *to, const char *name,
                        struct cprof_error *err)
{
    z_stream z = {.next_in = (uint8_t *)bytes, .avail_in = (unsigned)n};
    int r;

    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return pprof_no_memory(err);
    r = inflate_all(&z, to, name, err);
    inflateEnd(&z);
    return r;
}

/* Bytes of a file, which are let go of as soon as they are inflated. */
static int decode_file(bytes_vec *bytes, const char *name, struct cprof_profile **ret,
                       struct cprof_error *err)
{
    bytes_vec plain = {0};
    int r;

    if (bytes->n > CPROF_PPROF_MAX_BYTES || !is_gzip(bytes->data, bytes->n))
        return cprof_pprof_decode(bytes->data, bytes->n, name, ret, err);
    r = inflate_gzip(bytes->data, bytes->n, &plain, name, err);
    cprof_vec_free(bytes);
    if (r >= 0)
        r = pprof_read_message(plain.data, plain.n, name, ret, err);
    free(plain.data);
    return r;
}

int cprof_pprof_decode(const void *bytes, size_t n, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    bytes_vec plain = {0};
    int r;

    if (n > CPROF_PPROF_MAX_BYTES)
        return pprof_bad(name, err, "is larger than %zu MiB",
                         CPROF_PPROF_MAX_BYTES >> 20);
    if (!is_gzip(bytes, n))
        return pprof_read_message(bytes, n, name, ret, err);
    r = inflate_gzip(bytes, n, &plain, name, err);
    if (r >= 0)
        r = pprof_read_message(plain.data, plain.n, name, ret, err);
    free(plain.data);
    return r;
}

/* All of a file, which may be a pipe, up to a little more than the limit. */
static int read_all(int fd, bytes_vec *to)
{
    struct stat st;
    size_t step = 64 * 1024;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < (1 << 30))
        step = (size_t)st.st_size + 1;
    do {
        if (cprof_vec_reserve(to, step) < 0)
            return -ENOMEM;
        n = read(fd, to->data + to->n, to->capacity - to->n);
        if (n < 0 && errno != EINTR)
            return -errno;
        to->n += n > 0 ? (size_t)n : 0;
        step = 64 * 1024;
    } while (n && to->n <= CPROF_PPROF_MAX_BYTES);
    return 0;
}

int cprof_pprof_read(const char *path, struct cprof_profile **ret,
                     struct cprof_error *err)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    bytes_vec bytes = {0};
    int r = fd < 0 ? -errno : read_all(fd, &bytes);

    if (r < 0) {
        errno = -r;
        cprof_error_set(err, r, "pprof: cannot read %s: %m", path);
    } else {
        r = decode_file(&bytes, path, ret, err);
    }
    free(bytes.data);
    return r;
}
