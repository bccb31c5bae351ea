/* Rows are mapped, not read: copying them would take as long again as all else does. What
 * is mapped can change under us, but not by anything that this module does: files are
 * replaced by rename, and nobody else can write into the directory. Rows that changed
 * after they were checked give wrong stacks, no wild reads; whoever shortens a file in
 * place can end us, as with every program or library that he has mapped. */
#define _GNU_SOURCE /* secure_getenv */
#include "unwind_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "outfile.h"
#include "unwind_rows_internal.h"
#include "vec.h"

/* To be changed with anything below, or in what rows are made of the same file. */
enum { VERSION = 2 };

static const char magic[8] = "cprofrow";

struct header {
    char magic[8];
    uint32_t version;
    uint32_t row_size;
    uint64_t n, base, n_bad;
    uint64_t of;       /* digest of the bytes that the rows were made from */
    uint64_t checksum; /* of this header with a 0 here, and the rows */
};

static const uint64_t odd = 0x9e3779b97f4a7c15;

/* Four numbers side by side, as one multiplication has to wait for the one before. */
struct lanes {
    uint64_t a, b, c, d;
};

static uint64_t stir(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * odd;
    return lane << 31 | lane >> 33;
}

static struct lanes stir_all(struct lanes lanes, const struct lanes *words)
{
    return (struct lanes){stir(lanes.a, words->a), stir(lanes.b, words->b),
                          stir(lanes.c, words->c), stir(lanes.d, words->d)};
}

/* It finds damage and tells files apart; it does not resist forgery: whoever can write
 * the file may as well write a right sum. */
static uint64_t digest(uint64_t seed, const void *bytes, size_t n)
{
    struct lanes lanes = {seed, seed + 1, seed + 2, seed + 3}, words, rest = {0};
    size_t n_whole = n / sizeof(words);
    const uint8_t *at = bytes;

    for (size_t i = 0; i < n_whole; i++) {
        memcpy(&words, at + i * sizeof(words), sizeof(words));
        lanes = stir_all(lanes, &words);
    }
    if (n % sizeof(words))
        memcpy(&rest, at + n_whole * sizeof(words), n % sizeof(words));
    lanes = stir_all(lanes, &rest);
    return stir(stir(stir(stir(n, lanes.a), lanes.b), lanes.c), lanes.d);
}

static uint64_t checksum(struct header header, const struct cprof_unwind_row *rows)
{
    header.checksum = 0;
    return digest(digest(0, &header, sizeof(header)), rows, header.n * sizeof(*rows));
}

/* false: the file has no unwind information of its own. */
static bool digest_of(const struct cprof_elf *elf, uint64_t *ret)
{
    struct cprof_span spans[CPROF_SPANS_MAX];
    size_t n = cprof_unwind_rows_spans(elf, spans);

    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret = digest(*ret ^ spans[i].vaddr, spans[i].bytes, spans[i].n);
    return n;
}

static bool file_name(const struct cprof_elf *elf, char ret[2 * CPROF_BUILD_ID_MAX + 1])
{
    size_t n;
    const uint8_t *id = cprof_elf_build_id(elf, &n);

    cprof_build_id_hex(id, n, ret);
    return n;
}

/* The directory that is to hold `path`, or would once it were made, is ours. */
static bool is_ours(const char *path)
{
    char parent[PATH_MAX];
    struct stat st;
    size_t n = strlen(path);

    if (n >= sizeof(parent))
        return false;
    memcpy(parent, path, n + 1);
    while (stat(parent, &st) < 0) {
        char *slash = strrchr(parent, '/');
        if (errno != ENOENT || !slash || slash == parent)
            return false;
        *slash = '\0';
    }
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int cprof_unwind_cache_dir(char *path, size_t room)
{
    const char *base = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");
    char made[PATH_MAX];
    int n;

    if (base && base[0] == '/') /* a relative one is to be ignored, its standard says */
        n = snprintf(made, sizeof(made), "%s/cprof/unwind", base);
    else if (home && home[0] == '/')
        n = snprintf(made, sizeof(made), "%s/.cache/cprof/unwind", home);
    else
        return -ENOENT;
    if (n >= (int)sizeof(made) || (size_t)n >= room || !is_ours(made))
        return -ENOENT;
    memcpy(path, made, (size_t)n + 1);
    return 0;
}

/* Its fd, where nobody else can put files into it. */
static int open_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 022) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int make_dir(const char *dir)
{
    char path[PATH_MAX];
    size_t n = strlen(dir);

    if (n >= sizeof(path) || !n)
        return -ENAMETOOLONG;
    memcpy(path, dir, n + 1);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* What can be checked before the rows are touched. */
static int read_header(int fd, const struct cprof_elf *elf, struct header *ret)
{
    struct stat st;
    uint64_t of;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        pread(fd, ret, sizeof(*ret), 0) != sizeof(*ret))
        return -EBADMSG;
    if (memcmp(ret->magic, magic, sizeof(magic)) || ret->version != VERSION ||
        ret->row_size != sizeof(struct cprof_unwind_row) || !ret->n ||
        ret->n > CPROF_UNWIND_CACHE_MAX / ret->row_size ||
        (uint64_t)st.st_size != sizeof(*ret) + ret->n * ret->row_size)
        return -EBADMSG;
    return digest_of(elf, &of) && of == ret->of ? 0 : -EBADMSG;
}

int cprof_unwind_cache_load(const char *dir, const struct cprof_elf *elf,
                            struct cprof_unwind_rows **ret)
{
    char name[2 * CPROF_BUILD_ID_MAX + 1];
    _cleanup_fd_ int dir_fd = -1, fd = -1;
    struct cprof_row_memory rows;
    struct header header;
    int r;

    if (!file_name(elf, name))
        return -ENOENT;
    dir_fd = open_dir(dir);
    if (dir_fd < 0)
        return dir_fd;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = read_header(fd, elf, &header);
    if (r < 0)
        return r;
    rows.n = header.n;
    rows.n_mapped = sizeof(header) + rows.n * sizeof(*rows.data);
    rows.memory = mmap(NULL, rows.n_mapped, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (rows.memory == MAP_FAILED)
        return -errno;
    rows.data = (const void *)((const uint8_t *)rows.memory + sizeof(header));
    if (checksum(header, rows.data) != header.checksum) {
        munmap(rows.memory, rows.n_mapped);
        return -EBADMSG;
    }
    futimens(fd, NULL); /* used last: see make_room() */
    return cprof_unwind_rows_adopt(&rows, header.base, header.n_bad, ret);
}

struct kept {
    struct timespec used;
    uint64_t size;
    char name[2 * CPROF_BUILD_ID_MAX + 32];
};

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct kept *)a)->used;
    const struct timespec *y = &((const struct kept *)b)->used;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Ours are tables, and the unfinished files of writers that were killed. */
static bool is_our_name(const char *name)
{
    return name[0] == '.' ? strstr(name, ".cprof-") != NULL
                          : !name[strspn(name, "0123456789abcdef")];
}

/* Remove those not used for longest until `more` bytes fit. */
static void make_room(int dir_fd, uint64_t more)
{
    CPROF_VEC(struct kept) all = {0};
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t total = more;

    while (dir && (entry = readdir(dir))) {
        struct kept kept;
        struct stat st;
        if (!is_our_name(entry->d_name) || strlen(entry->d_name) >= sizeof(kept.name) ||
            fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        kept.used = st.st_mtim;
        kept.size = (uint64_t)st.st_size;
        memcpy(kept.name, entry->d_name, strlen(entry->d_name) + 1);
        total += kept.size;
        if (cprof_vec_push(&all, kept) < 0)
            break;
    }
    if (total > CPROF_UNWIND_CACHE_MAX && all.n)
        qsort(all.data, all.n, sizeof(*all.data), by_use);
    for (size_t i = 0; i < all.n && total > CPROF_UNWIND_CACHE_MAX; i++)
        if (unlinkat(dir_fd, all.data[i].name, 0) == 0)
            total -= all.data[i].size;
    cprof_vec_free(&all);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

int cprof_unwind_cache_store(const char *dir, const struct cprof_elf *elf,
                             const struct cprof_unwind_rows *rows)
{
    char name[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_MAX];
    struct header header = {.version = VERSION,
                            .row_size = sizeof(struct cprof_unwind_row),
                            .n_bad = cprof_unwind_rows_n_bad(rows)};
    const struct cprof_unwind_row *data;
    _cleanup_free_ uint8_t *bytes = NULL;
    _cleanup_fd_ int dir_fd = -1;
    size_t n, size;
    int r;

    data = cprof_unwind_rows_data(rows, &n, &header.base);
    size = sizeof(header) + n * sizeof(*data);
    memcpy(header.magic, magic, sizeof(magic));
    header.n = n;
    if (!file_name(elf, name) || !digest_of(elf, &header.of))
        return -ENODATA;
    if (size > CPROF_UNWIND_CACHE_MAX)
        return -E2BIG;
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    r = make_dir(dir);
    if (r < 0)
        return r;
    dir_fd = open_dir(dir);
    if (dir_fd < 0)
        return dir_fd;
    bytes = malloc(size);
    if (!bytes)
        return -ENOMEM;
    header.checksum = checksum(header, data);
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), data, n * sizeof(*data));
    make_room(dir_fd, size);
    return cprof_outfile_write(path, bytes, size, "unwind", NULL);
}
