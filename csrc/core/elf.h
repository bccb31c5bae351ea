/* elf.h - one ELF file: segments, sections, build id, bytes by virtual address.
 *
 * The file is mapped read-only and every header is checked against its size; a hostile
 * file gives -EBADMSG, never a wild read. x86-64 and other little-endian 64-bit files are
 * read; others fail with -EOPNOTSUPP. A handle is immutable and may be shared between
 * threads; it counts its references. */
#ifndef CPROF_ELF_H
#define CPROF_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum {
    CPROF_BUILD_ID_MAX = 64,
    CPROF_ELF_MAX_SECTIONS = 65536,
    CPROF_ELF_MAX_SEGMENTS = 4096
};

struct cprof_elf;

struct cprof_elf_section {
    const char *name;
    uint32_t type, link, info;
    uint64_t flags, vaddr, offset, size, entsize;
    const uint8_t *bytes; /* NULL for NOBITS; otherwise `size` bytes are there */
};

/* Open by path, or by an open fd (which the caller keeps and may close at once). *ret has
 * one reference. -EBADMSG, -EOPNOTSUPP, or the errno of open. */
int cprof_elf_open(const char *path, struct cprof_elf **ret, struct cprof_error *err);
int cprof_elf_open_fd(int fd, const char *name, struct cprof_elf **ret,
                      struct cprof_error *err);
/* From bytes in memory (the vdso, a decompressed .gnu_debugdata): takes over `bytes`,
 * which came from malloc, also on failure. */
int cprof_elf_open_bytes(void *bytes, size_t n, const char *name, struct cprof_elf **ret,
                         struct cprof_error *err);
struct cprof_elf *cprof_elf_ref(struct cprof_elf *elf);
void cprof_elf_unref(struct cprof_elf *elf); /* accepts NULL */

/* The build id, *n bytes of it (0: none). Borrowed. */
const uint8_t *cprof_elf_build_id(const struct cprof_elf *elf, size_t *n);
void cprof_build_id_hex(const uint8_t *id, size_t n,
                        char hex[2 * CPROF_BUILD_ID_MAX + 1]);

/* The virtual address of file offset `offset`, through the PT_LOAD that holds it
 * (vaddr = offset - p_offset + p_vaddr). false when none does. */
bool cprof_elf_vaddr_of(const struct cprof_elf *elf, uint64_t offset, uint64_t *vaddr);

/* File bytes that a process sees at `vaddr`: pointer and how many follow (only what the
 * file holds, not zero fill). NULL when outside. Borrowed from the handle. */
const uint8_t *cprof_elf_at(const struct cprof_elf *elf, uint64_t vaddr, size_t *n);

/* Sections: by number, by name (the first of that name; NULL if none). */
size_t cprof_elf_n_sections(const struct cprof_elf *elf);
const struct cprof_elf_section *cprof_elf_section(const struct cprof_elf *elf, size_t i);
const struct cprof_elf_section *cprof_elf_find(const struct cprof_elf *elf,
                                               const char *name);

/* The unwind tables as mapped at run time, from program headers, so that stripped section
 * tables do not matter. A file without PT_GNU_EH_FRAME (static programs of some linkers)
 * gets a table made from its .eh_frame section: then hdr_vaddr is that of .eh_frame, and
 * the table's (start, FDE) pairs of int32 relative to it stand in `made_table`. false
 * when the file has neither, or what it has is malformed. */
struct cprof_elf_unwind {
    uint64_t hdr_vaddr;   /* of .eh_frame_hdr */
    uint64_t table_vaddr; /* of its sorted table of (initial location, FDE) pairs */
    uint64_t n_fdes;      /* entries, checked to lie inside the segment */
    uint64_t eh_frame_vaddr;
    bool is_table_usable;      /* encoding is datarel|sdata4, the one linkers write */
    const int32_t *made_table; /* NULL: the table is in the file, at table_vaddr */
};
bool cprof_elf_unwind(const struct cprof_elf *elf, struct cprof_elf_unwind *ret);

/* The function that the unwind table knows at `vaddr`: [*start, *end) from its FDE.
 * false when no FDE covers the address. */
bool cprof_elf_fde_range(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                         uint64_t *end);

#endif
