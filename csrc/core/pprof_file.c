/* The bytes of a pprof file: from where they are, inflated. */
#include <fcntl.h>
#include <stdarg.h>
#include <zlib.h>

#include "cleanup.h"
#include "pprof_read.h"

enum { GZIP_WINDOW = 15 + 16, PIECE = 64 * 1024 };

typedef CPROF_VEC(uint8_t) bytes_vec;

int pprof_bad(const char *name, struct cprof_error *err, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = cprof_error_bad_file(err, "pprof", name, format, args);
    va_end(args);
    return r;
}

int pprof_no_memory(struct cprof_error *err)
{
    return cprof_error_set(err, -ENOMEM, "pprof: out of memory");
}

/* Fill `room` bytes, less only at the end of the file: how many, or negative errno. */
static ssize_t read_some(int fd, uint8_t *to, size_t room)
{
    size_t n = 0;

    while (n < room) {
        ssize_t r = read(fd, to + n, room - n);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (!r)
            break;
        n += r > 0 ? (size_t)r : 0;
    }
    return (ssize_t)n;
}

/* Compressed bytes: all there are, or a piece of a file, which the next one replaces. */
struct source {
    uint8_t *bytes;
    size_t n;
    int fd; /* -1: there is no more */
};

/* More compressed bytes, none at their end. 0 or negative errno. */
static int refill(z_stream *z, const struct source *from)
{
    ssize_t n = 0;

    if (z->avail_in || from->fd < 0)
        return 0;
    n = read_some(from->fd, from->bytes, PIECE);
    z->next_in = from->bytes;
    z->avail_in = n > 0 ? (unsigned)n : 0;
    return n < 0 ? (int)n : 0;
}

static int inflate_error(int r, const char *name, struct cprof_error *err)
{
    if (r == Z_MEM_ERROR)
        return pprof_no_memory(err);
    if (r == Z_BUF_ERROR)
        return pprof_bad(name, err, "is cut off: the gzip data ends too early");
    return pprof_bad(name, err, "is damaged: bad gzip data");
}

static int no_read(int r, const char *name, struct cprof_error *err)
{
    errno = -r;
    return cprof_error_set(err, r, "pprof: cannot read %s: %m", name);
}

static int inflate_all(z_stream *z, const struct source *from, bytes_vec *to,
                       const char *name, struct cprof_error *err)
{
    int r, status;

    do {
        size_t room;
        if (to->n > CPROF_PPROF_MAX_BYTES)
            return pprof_bad(name, err, "inflates to more than %zu MiB",
                             CPROF_PPROF_MAX_BYTES >> 20);
        if (cprof_vec_reserve(to, PIECE) < 0)
            return pprof_no_memory(err);
        if ((r = refill(z, from)) < 0)
            return no_read(r, name, err);
        room = to->capacity - to->n;
        if (room > CPROF_PPROF_MAX_BYTES + 1 - to->n)
            room = CPROF_PPROF_MAX_BYTES + 1 - to->n;
        z->next_out = to->data + to->n;
        z->avail_out = (unsigned)room;
        status = inflate(z, Z_NO_FLUSH);
        to->n = (size_t)(z->next_out - to->data);
    } while (status == Z_OK);
    if (status != Z_STREAM_END)
        return inflate_error(status, name, err);
    if ((r = refill(z, from)) < 0)
        return no_read(r, name, err);
    return z->avail_in ? pprof_bad(name, err, "has bytes after the end of its gzip data")
                       : 0;
}

static bool is_gzip(const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* 0 or negative errno; *to is to be freed in either case. */
static int inflate_gzip(const struct source *from, bytes_vec *to, const char *name,
                        struct cprof_error *err)
{
    z_stream z = {.next_in = from->bytes, .avail_in = (unsigned)from->n};
    int r;

    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return pprof_no_memory(err);
    r = inflate_all(&z, from, to, name, err);
    inflateEnd(&z);
    return r;
}

int cprof_pprof_decode(const void *bytes, size_t n, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    const struct source from = {.bytes = (uint8_t *)bytes, .n = n, .fd = -1};
    bytes_vec plain = {0};
    int r;

    if (n > CPROF_PPROF_MAX_BYTES)
        return pprof_bad(name, err, "is larger than %zu MiB",
                         CPROF_PPROF_MAX_BYTES >> 20);
    if (!is_gzip(bytes, n))
        return pprof_read_message(bytes, n, NULL, name, ret, err);
    r = inflate_gzip(&from, &plain, name, err);
    if (r >= 0)
        return pprof_read_message(plain.data, plain.n, plain.data, name, ret, err);
    free(plain.data);
    return r;
}

/* What comes behind the first piece of a plain file, up to a little more than the limit.
 */
static int read_rest(const struct source *from, bytes_vec *to, const char *name,
                     struct cprof_error *err)
{
    ssize_t n = (ssize_t)from->n;

    do {
        if (cprof_vec_reserve(to, PIECE) < 0)
            return pprof_no_memory(err);
        if (!to->n)
            memcpy(to->data, from->bytes, from->n);
        else
            n = read_some(from->fd, to->data + to->n, PIECE);
        if (n < 0)
            return no_read((int)n, name, err);
        to->n += (size_t)n;
        if (to->n > CPROF_PPROF_MAX_BYTES)
            return pprof_bad(name, err, "is larger than %zu MiB",
                             CPROF_PPROF_MAX_BYTES >> 20);
    } while (n == PIECE);
    return 0;
}

static int read_plain(int fd, const char *name, bytes_vec *to, struct cprof_error *err)
{
    _cleanup_free_ uint8_t *piece = malloc(PIECE);
    struct source from = {.bytes = piece, .fd = fd};
    ssize_t n = piece ? read_some(fd, piece, PIECE) : 0;

    if (!piece)
        return pprof_no_memory(err);
    if (n < 0)
        return no_read((int)n, name, err);
    from.n = (size_t)n;
    return is_gzip(piece, from.n) ? inflate_gzip(&from, to, name, err)
                                  : read_rest(&from, to, name, err);
}

int cprof_pprof_read(const char *path, struct cprof_profile **ret,
                     struct cprof_error *err)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    bytes_vec plain = {0};
    int r = fd < 0 ? no_read(-errno, path, err) : read_plain(fd, path, &plain, err);

    if (r >= 0)
        return pprof_read_message(plain.data, plain.n, plain.data, path, ret, err);
    free(plain.data);
    return r;
}
