#include "dso.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "elf_internal.h"
#include "proc.h"

static void dso_destroy(struct cprof_dso *dso)
{
    if (!dso)
        return;
    cprof_elf_unref(dso->elf);
    free(dso->path);
    free(dso->root);
    free(dso);
}

void cprof_dsos_deinit(struct cprof_dsos *dsos)
{
    for (size_t i = 0; i < dsos->all.n; i++)
        dso_destroy(dsos->all.data[i]);
    cprof_vec_free(&dsos->all);
    cprof_map_deinit(&dsos->by_key);
}

static bool is_file_path(const char *path)
{
    return path[0] == '/' && path[1] != '/' && strncmp(path, "/memfd:", 7) &&
           strncmp(path, "/SYSV", 5) && strncmp(path, "/dev/zero", 9) &&
           strncmp(path, "/dev/shm/", 9);
}

static enum cprof_dso_kind kind_of(const char *path)
{
    if (!strcmp(path, "[vdso]"))
        return CPROF_DSO_VDSO;
    return is_file_path(path) ? CPROF_DSO_FILE : CPROF_DSO_ANON;
}

enum trust {
    TRUST_MAPPED, /* the kernel's own link to what is mapped */
    TRUST_NAME,   /* the name that was mapped */
    TRUST_INODE,  /* a name whose file was deleted: another may be there now */
};

/* Is the open file the one that was mapped? By build id where the kernel gave one; else
 * by inode, except across devices: overlay and btrfs report another device than stat(2).
 */
static bool is_same_file(const struct cprof_dso *dso, int fd, struct cprof_elf *elf,
                         enum trust trust)
{
    struct stat st;

    if (dso->build_id_n) {
        size_t n;
        const uint8_t *id = cprof_elf_build_id(elf, &n);
        if (n > 20 && dso->build_id_n == 20)
            n = 20;
        return n == dso->build_id_n && !memcmp(id, dso->build_id, n);
    }
    if (trust == TRUST_MAPPED || !dso->inode || fstat(fd, &st) < 0)
        return true;
    if (st.st_ino == dso->inode)
        return true;
    return trust == TRUST_NAME &&
           (major(st.st_dev) != dso->major || minor(st.st_dev) != dso->minor);
}

static int try_open(struct cprof_dso *dso, const char *path, enum trust trust)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct cprof_elf *elf;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    r = cprof_elf_open_fd(fd, path, &elf, NULL);
    if (r < 0)
        return r;
    if (!is_same_file(dso, fd, elf, trust)) {
        cprof_elf_unref(elf);
        return -ESTALE;
    }
    dso->elf = elf;
    return 0;
}

/* The path as the target sees it, then the mapped file itself (needs privilege, finds
 * deleted and replaced files too), then the path as we see it. */
static int open_file(struct cprof_dso *dso, pid_t pid, const struct cprof_mmap *mmap,
                     bool is_deleted)
{
    enum trust trust = is_deleted ? TRUST_INODE : TRUST_NAME;
    char path[CPROF_FILENAME_MAX + 64];
    int r;

    snprintf(path, sizeof(path), "/proc/%d/root%s", pid, dso->path);
    r = try_open(dso, path, trust);
    if (r < 0 && r != -ENOMEM) {
        snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid,
                 (unsigned long long)mmap->start,
                 (unsigned long long)(mmap->start + mmap->length));
        r = try_open(dso, path, TRUST_MAPPED);
    }
    if (r < 0 && r != -ENOMEM && (dso->inode || dso->build_id_n)) {
        /* the program itself: its user may open it, also when it was deleted */
        snprintf(path, sizeof(path), "/proc/%d/exe", pid);
        r = try_open(dso, path, TRUST_INODE);
    }
    if (r < 0 && r != -ENOMEM)
        r = try_open(dso, dso->path, trust);
    return r == -ENOMEM ? r : 0;
}

/* Our own vdso is every 64-bit process's vdso: the kernel has one. */
static int open_vdso(struct cprof_dso *dso)
{
    const uint8_t *at = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
    size_t n = 2 * (size_t)sysconf(_SC_PAGESIZE);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)at;
    void *bytes;
    int r;

    if (!at)
        return 0;
    if (header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize <= 16 * n)
        n = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    bytes = malloc(n);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, at, n);
    r = cprof_elf_open_bytes(bytes, n, "[vdso]", &dso->elf, NULL);
    return r == -ENOMEM ? r : 0;
}

static void note_image(struct cprof_dso *dso)
{
    const Elf64_Phdr *segment;
    size_t n;
    const uint8_t *header = cprof_elf_bytes(dso->elf, &n);

    memcpy(&dso->entry, header + offsetof(Elf64_Ehdr, e_entry), sizeof(dso->entry));
    dso->low = UINT64_MAX;
    for (size_t i = 0; (segment = cprof_elf_segment(dso->elf, i)); i++) {
        if (segment->p_type != PT_LOAD ||
            segment->p_vaddr + segment->p_memsz < segment->p_vaddr)
            continue;
        if (segment->p_vaddr < dso->low)
            dso->low = segment->p_vaddr;
        if (segment->p_vaddr + segment->p_memsz > dso->high)
            dso->high = segment->p_vaddr + segment->p_memsz;
    }
}

static void note_elf(struct cprof_dso *dso)
{
    const uint8_t *id;
    size_t n;

    if (!dso->elf)
        return;
    id = cprof_elf_build_id(dso->elf, &n);
    if (n && n <= CPROF_BUILD_ID_MAX) {
        memcpy(dso->build_id, id, n);
        dso->build_id_n = n;
    }
    dso->has_unwind = cprof_elf_unwind(dso->elf, &dso->unwind);
    note_image(dso);
}

/* Where the target's files are for us: "" when they are ours too. */
static char *root_of(pid_t pid)
{
    char root[32] = "";

    if (cprof_proc_has_own_mounts(pid))
        snprintf(root, sizeof(root), "/proc/%d/root", pid);
    return strdup(root);
}

/* A file that could not be opened, perhaps because its process was gone: by another one.
 */
static int open_again(struct cprof_dso *dso, pid_t pid, const struct cprof_mmap *mmap,
                      bool is_deleted)
{
    char *root;
    int r;

    if (dso->kind != CPROF_DSO_FILE || dso->elf)
        return 0;
    r = open_file(dso, pid, mmap, is_deleted);
    if (r < 0 || !dso->elf)
        return r;
    note_elf(dso);
    root = root_of(pid);
    if (!root)
        return -ENOMEM;
    free(dso->root);
    dso->root = root;
    return 0;
}

static int dso_create(pid_t pid, const struct cprof_mmap *mmap, const char *path,
                      bool is_deleted, struct cprof_dso **ret)
{
    struct cprof_dso *dso = calloc(1, sizeof(*dso));
    int r = 0;

    if (!dso)
        return -ENOMEM;
    dso->kind = kind_of(path);
    dso->pid = dso->kind == CPROF_DSO_ANON ? pid : 0;
    dso->path = strdup(dso->kind == CPROF_DSO_ANON ? "//anon" : path);
    dso->root = dso->kind == CPROF_DSO_FILE ? root_of(pid) : strdup("");
    dso->build_id_n = mmap->build_id_n;
    memcpy(dso->build_id, mmap->build_id, mmap->build_id_n);
    dso->major = mmap->major;
    dso->minor = mmap->minor;
    dso->inode = mmap->inode;
    if (!dso->path || !dso->root)
        r = -ENOMEM;
    else if (dso->kind == CPROF_DSO_FILE)
        r = open_file(dso, pid, mmap, is_deleted);
    else if (dso->kind == CPROF_DSO_VDSO)
        r = open_vdso(dso);
    if (r < 0) {
        dso_destroy(dso);
        return r;
    }
    note_elf(dso);
    *ret = dso;
    return 0;
}

static bool is_match(const struct cprof_dso *dso, pid_t pid,
                     const struct cprof_mmap *mmap, const char *path)
{
    if (dso->kind != kind_of(path))
        return false;
    if (dso->kind == CPROF_DSO_ANON)
        return dso->pid == pid;
    if (dso->kind == CPROF_DSO_VDSO)
        return true;
    if (strcmp(dso->path, path))
        return false;
    if (mmap->build_id_n)
        return dso->build_id_n >= mmap->build_id_n &&
               !memcmp(dso->build_id, mmap->build_id, mmap->build_id_n);
    return dso->inode == mmap->inode && dso->major == mmap->major &&
           dso->minor == mmap->minor;
}

static int add(struct cprof_dsos *dsos, uint64_t key, struct cprof_dso *dso)
{
    if (cprof_vec_reserve(&dsos->all, 1) < 0 ||
        cprof_map_add(&dsos->by_key, key, (uint32_t)dsos->all.n) < 0)
        return -ENOMEM;
    dso->no = (uint32_t)dsos->all.n;
    dsos->all.data[dsos->all.n++] = dso;
    return 0;
}

/* A library read from /proc/PID/maps (known by inode) and later from a record (known by
 * build id) is one dso: the newcomer is given up for the one with its build id. */
static struct cprof_dso *twin_of(const struct cprof_dsos *dsos,
                                 const struct cprof_dso *dso)
{
    for (size_t i = 0; dso->build_id_n && i < dsos->all.n; i++) {
        struct cprof_dso *other = dsos->all.data[i];
        if (other->build_id_n == dso->build_id_n &&
            !memcmp(other->build_id, dso->build_id, dso->build_id_n) &&
            !strcmp(other->path, dso->path))
            return other;
    }
    return NULL;
}

int cprof_dsos_get(struct cprof_dsos *dsos, pid_t pid, const struct cprof_mmap *mmap,
                   struct cprof_dso **ret)
{
    static const char deleted[] = " (deleted)";
    size_t n = strlen(mmap->file), at = 0;
    char path[CPROF_FILENAME_MAX];
    struct cprof_dso *dso, *twin;
    bool is_deleted;
    uint64_t key;
    uint32_t i;
    int r;

    is_deleted =
        n >= sizeof(deleted) && !strcmp(mmap->file + n - (sizeof(deleted) - 1), deleted);
    if (is_deleted)
        n -= sizeof(deleted) - 1;
    snprintf(path, sizeof(path), "%.*s", (int)n, mmap->file);
    key = kind_of(path) == CPROF_DSO_ANON
              ? cprof_hash_mix((uint64_t)pid)
              : cprof_hash_bytes(path, strlen(path)) ^ cprof_hash_mix(mmap->inode) ^
                    cprof_hash_bytes(mmap->build_id, mmap->build_id_n);
    while ((i = cprof_map_next(&dsos->by_key, key, &at)) != CPROF_MAP_NONE) {
        if (is_match(dsos->all.data[i], pid, mmap, path)) {
            *ret = dsos->all.data[i];
            return open_again(*ret, pid, mmap, is_deleted);
        }
    }
    r = dso_create(pid, mmap, path, is_deleted, &dso);
    if (r < 0)
        return r;
    twin = twin_of(dsos, dso);
    if (twin) {
        dso_destroy(dso);
        *ret = twin;
        return cprof_map_add(&dsos->by_key, key, twin->no);
    }
    r = add(dsos, key, dso);
    if (r < 0) {
        dso_destroy(dso);
        return r;
    }
    *ret = dso;
    return 0;
}

int cprof_dsos_kernel(struct cprof_dsos *dsos, struct cprof_dso **ret)
{
    uint64_t key = cprof_hash_mix(CPROF_DSO_KERNEL);
    struct cprof_dso *dso;

    for (size_t i = 0; i < dsos->all.n; i++) {
        if (dsos->all.data[i]->kind == CPROF_DSO_KERNEL) {
            *ret = dsos->all.data[i];
            return 0;
        }
    }
    dso = calloc(1, sizeof(*dso));
    if (!dso)
        return -ENOMEM;
    dso->kind = CPROF_DSO_KERNEL;
    dso->path = strdup("[kernel.kallsyms]");
    dso->root = strdup("");
    if (!dso->path || !dso->root || add(dsos, key, dso) < 0) {
        dso_destroy(dso);
        return -ENOMEM;
    }
    *ret = dso;
    return 0;
}
