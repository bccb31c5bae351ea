#define _GNU_SOURCE /* memrchr */
#include "elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "elf_internal.h"

enum { PAGE = 4096, MAX_NOTES = 100000 };

struct cprof_elf {
    atomic_uint n_refs;
    uint8_t *bytes;
    size_t n;
    bool is_mapped; /* bytes came from mmap, else from malloc */
    Elf64_Ehdr header;
    Elf64_Phdr *segments;
    size_t n_segments;
    struct cprof_elf_section *sections;
    size_t n_sections;
    const uint8_t *build_id;
    size_t build_id_n;
    struct cprof_elf_tables tables;
};

/* Every read of the file goes through here: [offset, offset + n) or NULL. */
static const uint8_t *range(const struct cprof_elf *elf, uint64_t offset, uint64_t n)
{
    if (offset > elf->n || n > elf->n - offset)
        return NULL;
    return elf->bytes + offset;
}

static bool first_section(const struct cprof_elf *elf, Elf64_Shdr *ret)
{
    const uint8_t *at;

    if (!elf->header.e_shoff || elf->header.e_shentsize != sizeof(*ret))
        return false;
    at = range(elf, elf->header.e_shoff, sizeof(*ret));
    if (at)
        memcpy(ret, at, sizeof(*ret));
    return at;
}

static int read_header(struct cprof_elf *elf, const char *name, struct cprof_error *err)
{
    Elf64_Ehdr *header = &elf->header;

    if (elf->n < EI_NIDENT || memcmp(elf->bytes, ELFMAG, SELFMAG))
        return cprof_error_set(err, -EBADMSG, "elf: %s is not an ELF file", name);
    if (elf->bytes[EI_CLASS] != ELFCLASS64 || elf->bytes[EI_DATA] != ELFDATA2LSB)
        return cprof_error_set(err, -EOPNOTSUPP,
                               "elf: %s is not a 64-bit little-endian file", name);
    if (elf->n < sizeof(*header))
        return cprof_error_set(err, -EBADMSG, "elf: %s is cut short", name);
    memcpy(header, elf->bytes, sizeof(*header));
    return 0;
}

static int read_segments(struct cprof_elf *elf, const char *name, struct cprof_error *err)
{
    size_t n = elf->header.e_phnum;
    const uint8_t *at;
    Elf64_Shdr zero;

    if (n == PN_XNUM && first_section(elf, &zero))
        n = zero.sh_info;
    if (!n)
        return 0;
    at = range(elf, elf->header.e_phoff, n * sizeof(Elf64_Phdr));
    if (!at || elf->header.e_phentsize != sizeof(Elf64_Phdr) ||
        n > CPROF_ELF_MAX_SEGMENTS)
        return cprof_error_set(err, -EBADMSG, "elf: %s has bad program headers", name);
    elf->segments = malloc(n * sizeof(*elf->segments));
    if (!elf->segments)
        return cprof_error_set(err, -ENOMEM, "elf: out of memory");
    memcpy(elf->segments, at, n * sizeof(*elf->segments));
    elf->n_segments = n;
    for (size_t i = 0; i < n; i++) {
        Elf64_Phdr *segment = &elf->segments[i];
        uint64_t there = segment->p_offset < elf->n ? elf->n - segment->p_offset : 0;
        if (segment->p_filesz > there)
            segment->p_filesz = there;
        if (segment->p_filesz > UINT64_MAX - segment->p_vaddr)
            segment->p_filesz = 0;
    }
    return 0;
}

static void fill_section(const struct cprof_elf *elf, const Elf64_Shdr *from,
                         struct cprof_elf_section *ret)
{
    *ret = (struct cprof_elf_section){
        .name = "",
        .type = from->sh_type,
        .link = from->sh_link,
        .info = from->sh_info,
        .flags = from->sh_flags,
        .vaddr = from->sh_addr,
        .offset = from->sh_offset,
        .size = from->sh_size,
        .entsize = from->sh_entsize,
    };
    if (from->sh_type == SHT_NOBITS || from->sh_type == SHT_NULL)
        return;
    ret->bytes = range(elf, from->sh_offset, from->sh_size);
    if (!ret->bytes)
        ret->size = 0;
}

size_t cprof_elf_text_size(const struct cprof_elf_section *section)
{
    const uint8_t *last =
        section->bytes ? memrchr(section->bytes, 0, section->size) : NULL;

    return last ? (size_t)(last - section->bytes) + 1 : 0;
}

/* A section table that makes no sense is treated as absent: what runs is described by the
 * program headers, and programs whose section table was cut off are profiled too. */
static int read_sections(struct cprof_elf *elf)
{
    const struct cprof_elf_section *names;
    size_t n = elf->header.e_shnum, names_at = elf->header.e_shstrndx, names_n;
    const uint8_t *at;
    Elf64_Shdr shdr;

    if (!first_section(elf, &shdr))
        return 0;
    if (!n)
        n = shdr.sh_size < CPROF_ELF_MAX_SECTIONS ? shdr.sh_size : CPROF_ELF_MAX_SECTIONS;
    if (names_at == SHN_XINDEX)
        names_at = shdr.sh_link;
    at = range(elf, elf->header.e_shoff, n * sizeof(shdr));
    if (!at || !n)
        return 0;
    elf->sections = malloc(n * sizeof(*elf->sections));
    if (!elf->sections)
        return -ENOMEM;
    elf->n_sections = n;
    for (size_t i = 0; i < n; i++) {
        memcpy(&shdr, at + i * sizeof(shdr), sizeof(shdr));
        fill_section(elf, &shdr, &elf->sections[i]);
    }
    names = cprof_elf_section(elf, names_at);
    names_n = names ? cprof_elf_text_size(names) : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t offset;
        memcpy(&offset, at + i * sizeof(shdr), sizeof(offset)); /* sh_name is first */
        if (offset < names_n)
            elf->sections[i].name = (const char *)names->bytes + offset;
    }
    return 0;
}

/* Notes are padded to 4 bytes, or to 8 in areas aligned so. *budget bounds the notes that
 * are looked at in a file whose many note areas all overlap. */
static bool find_build_id(struct cprof_elf *elf, const uint8_t *notes, uint64_t n,
                          uint64_t align, size_t *budget)
{
    while (n >= sizeof(Elf64_Nhdr) && *budget) {
        Elf64_Nhdr note;
        uint64_t desc_at, next;
        --*budget;
        memcpy(&note, notes, sizeof(note));
        desc_at = (sizeof(note) + note.n_namesz + align - 1) & -align;
        next = (desc_at + note.n_descsz + align - 1) & -align;
        if (desc_at > n || note.n_descsz > n - desc_at)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
            !memcmp(notes + sizeof(note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) &&
            note.n_descsz && note.n_descsz <= CPROF_BUILD_ID_MAX) {
            elf->build_id = notes + desc_at;
            elf->build_id_n = note.n_descsz;
            return true;
        }
        if (next >= n)
            return false;
        notes += next;
        n -= next;
    }
    return false;
}

static void read_build_id(struct cprof_elf *elf)
{
    size_t budget = MAX_NOTES;

    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *note = &elf->segments[i];
        const uint8_t *at = range(elf, note->p_offset, note->p_filesz);
        uint64_t align = note->p_align == 8 ? 8 : 4;
        if (note->p_type == PT_NOTE && at &&
            (find_build_id(elf, at, note->p_filesz, align, &budget) ||
             find_build_id(elf, at, note->p_filesz, 12 - align, &budget)))
            return;
    }
    for (size_t i = 0; i < elf->n_sections; i++) {
        const struct cprof_elf_section *note = &elf->sections[i];
        if (note->type == SHT_NOTE && note->bytes &&
            (find_build_id(elf, note->bytes, note->size, 4, &budget) ||
             find_build_id(elf, note->bytes, note->size, 8, &budget)))
            return;
    }
}

/* Takes over `bytes`, also on failure. */
static int create(uint8_t *bytes, size_t n, bool is_mapped, const char *name,
                  struct cprof_elf **ret, struct cprof_error *err)
{
    struct cprof_elf *elf = calloc(1, sizeof(*elf));
    int r;

    if (!elf) {
        if (is_mapped)
            munmap(bytes, n);
        else
            free(bytes);
        return cprof_error_set(err, -ENOMEM, "elf: out of memory");
    }
    atomic_init(&elf->n_refs, 1);
    elf->bytes = bytes;
    elf->n = n;
    elf->is_mapped = is_mapped;
    r = read_header(elf, name, err);
    if (r < 0)
        goto fail;
    r = read_segments(elf, name, err);
    if (r < 0)
        goto fail;
    r = read_sections(elf);
    if (r < 0) {
        cprof_error_set(err, r, "elf: out of memory");
        goto fail;
    }
    read_build_id(elf);
    cprof_elf_tables_read(elf, &elf->tables);
    *ret = elf;
    return 0;
fail:
    cprof_elf_unref(elf);
    return r;
}

int cprof_elf_open(const char *path, struct cprof_elf **ret, struct cprof_error *err)
{
    _cleanup_fd_ int fd = -1;
    struct stat st;

    /* A mapped path may name a device: opening one can have effects, so look first. */
    if (stat(path, &st) < 0)
        return cprof_error_set(err, -errno, "elf: cannot open %s: %s", path,
                               strerror(errno));
    if (!S_ISREG(st.st_mode))
        return cprof_error_set(err, -EBADMSG, "elf: %s is not a regular file", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cprof_error_set(err, -errno, "elf: cannot open %s: %s", path,
                               strerror(errno));
    return cprof_elf_open_fd(fd, path, ret, err);
}

int cprof_elf_open_fd(int fd, const char *name, struct cprof_elf **ret,
                      struct cprof_error *err)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) < 0)
        return cprof_error_set(err, -errno, "elf: cannot stat %s: %s", name,
                               strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size < EI_NIDENT)
        return cprof_error_set(err, -EBADMSG, "elf: %s is not an ELF file", name);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return cprof_error_set(err, -errno, "elf: cannot map %s: %s", name,
                               strerror(errno));
    return create(map, (size_t)st.st_size, true, name, ret, err);
}

int cprof_elf_open_bytes(void *bytes, size_t n, const char *name, struct cprof_elf **ret,
                         struct cprof_error *err)
{
    return create(bytes, n, false, name, ret, err);
}

struct cprof_elf *cprof_elf_ref(struct cprof_elf *elf)
{
    atomic_fetch_add_explicit(&elf->n_refs, 1, memory_order_relaxed);
    return elf;
}

void cprof_elf_unref(struct cprof_elf *elf)
{
    if (!elf || atomic_fetch_sub(&elf->n_refs, 1) > 1)
        return;
    if (elf->is_mapped)
        munmap(elf->bytes, elf->n);
    else
        free(elf->bytes);
    cprof_elf_tables_deinit(&elf->tables);
    free(elf->segments);
    free(elf->sections);
    free(elf);
}

const uint8_t *cprof_elf_build_id(const struct cprof_elf *elf, size_t *n)
{
    *n = elf->build_id_n;
    return elf->build_id;
}

void cprof_build_id_hex(const uint8_t *id, size_t n, char hex[2 * CPROF_BUILD_ID_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";

    if (n > CPROF_BUILD_ID_MAX)
        n = CPROF_BUILD_ID_MAX;
    for (size_t i = 0; i < n; i++) {
        *hex++ = digits[id[i] >> 4];
        *hex++ = digits[id[i] & 15];
    }
    *hex = '\0';
}

static bool holds(const Elf64_Phdr *load, uint64_t offset, bool is_rounded)
{
    uint64_t start = load->p_offset, end = start + load->p_filesz; /* inside the file */

    if (is_rounded) {
        start &= -(uint64_t)PAGE;
        end = (end + PAGE - 1) & -(uint64_t)PAGE;
    }
    return load->p_filesz && start <= offset && offset < end;
}

/* Code is what is asked for, so executable segments go first, even when only the rounding
 * to pages reaches the offset: lld lets segments share a page of the file, and the start
 * of an executable mapping is then a byte that belongs to the segment before. */
bool cprof_elf_vaddr_of(const struct cprof_elf *elf, uint64_t offset, uint64_t *vaddr)
{
    for (int pass = 0; pass < 4; pass++) {
        bool is_code = pass < 2, is_rounded = pass & 1;
        for (size_t i = 0; i < elf->n_segments; i++) {
            const Elf64_Phdr *load = &elf->segments[i];
            if (load->p_type != PT_LOAD || !(load->p_flags & PF_X) == is_code ||
                !holds(load, offset, is_rounded))
                continue;
            *vaddr = offset - load->p_offset + load->p_vaddr;
            return true;
        }
    }
    return false;
}

const uint8_t *cprof_elf_at(const struct cprof_elf *elf, uint64_t vaddr, size_t *n)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *load = &elf->segments[i];
        uint64_t into = vaddr - load->p_vaddr;
        if (load->p_type != PT_LOAD || vaddr < load->p_vaddr || into >= load->p_filesz)
            continue;
        *n = load->p_filesz - into;
        return elf->bytes + load->p_offset + into;
    }
    return NULL;
}

size_t cprof_elf_n_sections(const struct cprof_elf *elf)
{
    return elf->n_sections;
}

const struct cprof_elf_section *cprof_elf_section(const struct cprof_elf *elf, size_t i)
{
    return i < elf->n_sections ? &elf->sections[i] : NULL;
}

const struct cprof_elf_section *cprof_elf_find(const struct cprof_elf *elf,
                                               const char *name)
{
    for (size_t i = 0; i < elf->n_sections; i++)
        if (!strcmp(elf->sections[i].name, name))
            return &elf->sections[i];
    return NULL;
}

const uint8_t *cprof_elf_bytes(const struct cprof_elf *elf, size_t *n)
{
    *n = elf->n;
    return elf->bytes;
}

uint16_t cprof_elf_machine(const struct cprof_elf *elf)
{
    return elf->header.e_machine;
}

const Elf64_Phdr *cprof_elf_segment(const struct cprof_elf *elf, size_t i)
{
    return i < elf->n_segments ? &elf->segments[i] : NULL;
}

const struct cprof_elf_tables *cprof_elf_tables(const struct cprof_elf *elf)
{
    return &elf->tables;
}
