#define _GNU_SOURCE /* asprintf, memrchr */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"

enum { TEMPORARY_TRIES = 64, TEMPORARY_BASE_MAX = 200 };

static int cannot(struct cprof_error *err, int code, const char *format, const char *path)
{
    errno = -code;
    return cprof_error_set(err, code, "%s: cannot write %s: %m", format, path);
}

/* Write all, then close: some file systems say only then that there was no room. */
static int write_and_close(int fd, const char *bytes, size_t n)
{
    int r = 0;

    while (n && r >= 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            r = done < 0 ? -errno : -EIO;
            break;
        }
        bytes += done;
        n -= (size_t)done;
    }
    if (close(fd) < 0 && r >= 0 && errno != EINTR)
        r = -errno;
    return r;
}

/* A new file in the directory of `path`: its fd, and its name in *ret (owned). The kernel
 * applies the umask, which a program with threads cannot ask for. */
static int create_beside(const char *path, char **ret)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    int directory_n = (int)(base - path);

    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        uint32_t number;
        char *name;
        int fd;

        if (getrandom(&number, sizeof(number), 0) < 0)
            return -errno;
        if (asprintf(&name, "%.*s.%.*s.cprof-%08x", directory_n, path, TEMPORARY_BASE_MAX,
                     base, number) < 0)
            return -ENOMEM;
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            *ret = name;
            return fd;
        }
        free(name);
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

static int replace(const char *path, const struct stat *old, const void *bytes, size_t n)
{
    _cleanup_free_ char *name = NULL;
    int fd = create_beside(path, &name), r;

    if (fd < 0)
        return fd;
    if (old && fchmod(fd, old->st_mode & 0777) < 0) {
        r = -errno;
        close(fd);
    } else {
        r = write_and_close(fd, bytes, n);
    }
    if (r >= 0 && rename(name, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(name);
    return r;
}

int cprof_outfile_write(const char *path, const void *bytes, size_t n, const char *format,
                        struct cprof_error *err)
{
    _cleanup_free_ char *real = NULL;
    struct stat old;
    int r;

    if (stat(path, &old) < 0) {
        r = errno == ENOENT ? replace(path, NULL, bytes, n) : -errno;
    } else if (S_ISREG(old.st_mode)) {
        real = realpath(path, NULL);
        if (!real || access(real, W_OK) < 0)
            r = -errno;
        else
            r = replace(real, &old, bytes, n);
    } else {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        r = fd < 0 ? -errno : write_and_close(fd, bytes, n);
    }
    return r < 0 ? cannot(err, r, format, path) : 0;
}
