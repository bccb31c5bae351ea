/* elf_cfi.h - call frame information, .eh_frame or .debug_frame: its entries and what
 * stands in their heads (DWARF 5, 6.4.1; LSB Core, "DWARF Extensions"). What their
 * programs say is for others (unwind_program.h).
 *
 * An address here is the virtual address of bytes in the file. A section that is not
 * mapped (.debug_frame) gets one from its reader. */
#ifndef CPROF_ELF_CFI_H
#define CPROF_ELF_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How a pointer is written: the low four bits are its format, the next three what it is
 * relative to (LSB Core, "DWARF Extensions"). */
enum {
    PE_ABSPTR = 0x00,
    PE_ULEB128 = 0x01,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SLEB128 = 0x09,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
    PE_FORMAT = 0x0f,
    PE_BASE = 0x70,
};

/* Bytes eaten from the front; nothing is read past the end: then it is bad, and empty. */
struct cprof_cursor {
    const uint8_t *at, *end;
    uint64_t bias; /* an address less where its byte is in memory */
    bool is_bad;
};

static inline uint64_t cprof_cursor_vaddr(const struct cprof_cursor *c)
{
    return (uint64_t)(uintptr_t)c->at + c->bias;
}

static inline size_t cprof_cursor_left(const struct cprof_cursor *c)
{
    return (size_t)(c->end - c->at);
}

static inline void cprof_cursor_fail(struct cprof_cursor *c)
{
    c->is_bad = true;
    c->at = c->end;
}

static inline void cprof_cursor_skip(struct cprof_cursor *c, uint64_t n)
{
    if (n > cprof_cursor_left(c))
        cprof_cursor_fail(c);
    else
        c->at += n;
}

/* `n` bytes, at most 8, as a number. */
static inline uint64_t cprof_cursor_fixed(struct cprof_cursor *c, size_t n)
{
    uint64_t value = 0;

    if (n > cprof_cursor_left(c)) {
        cprof_cursor_fail(c);
        return 0;
    }
    memcpy(&value, c->at, n);
    c->at += n;
    return value;
}

uint64_t cprof_cursor_long_leb(struct cprof_cursor *c, bool is_signed);

static inline uint64_t cprof_cursor_uleb(struct cprof_cursor *c)
{
    return c->at < c->end && *c->at < 0x80 ? *c->at++ : cprof_cursor_long_leb(c, false);
}

static inline int64_t cprof_cursor_sleb(struct cprof_cursor *c)
{
    return (int64_t)cprof_cursor_long_leb(c, true);
}

/* A number as the low bits of `encoding` say, and a pointer. Text-relative,
 * function-relative, aligned and indirect pointers need a running process or are not
 * written for code by any linker: they are refused. */
uint64_t cprof_cursor_format(struct cprof_cursor *c, uint8_t encoding);
uint64_t cprof_cursor_pointer(struct cprof_cursor *c, uint8_t encoding,
                              uint64_t data_base);

struct cprof_elf;

/* Where entries are: `n` bytes at `vaddr`. Those of an .eh_frame may also lie elsewhere
 * in `elf` (NULL: they do not). */
struct cprof_cfi {
    const struct cprof_elf *elf;
    const uint8_t *bytes;
    size_t n;
    uint64_t vaddr;
    uint64_t data_base;  /* what PE_DATAREL is relative to */
    bool is_debug_frame; /* its entries point to one another by offset from `vaddr` */
};

/* The .eh_frame that begins at `vaddr` of what `elf` maps. */
struct cprof_cfi cprof_cfi_of(const struct cprof_elf *elf, uint64_t vaddr,
                              uint64_t data_base);

/* One entry, a CIE or an FDE. */
struct cprof_cfi_entry {
    struct cprof_cursor body; /* after the length and the CIE's id or pointer */
    uint64_t cie;             /* the FDE's */
    uint64_t next;            /* where the entry after it would be */
    bool is_cie;
};

struct cprof_cie {
    struct cprof_cursor program;
    uint64_t code_align, return_register;
    int64_t data_align;
    uint8_t encoding; /* of addresses in its FDEs */
    bool has_lengths; /* its FDEs tell the length of what else is in their heads */
    bool is_signal;   /* its FDEs are of code that the kernel calls */
};

struct cprof_fde {
    struct cprof_cursor program;
    uint64_t start, end;
};

/* false: not an entry (at the end of a section stands a zero), or a malformed one. */
bool cprof_cfi_entry(const struct cprof_cfi *cfi, uint64_t vaddr,
                     struct cprof_cfi_entry *ret);
bool cprof_cfi_cie(const struct cprof_cfi *cfi, uint64_t vaddr, struct cprof_cie *ret);
bool cprof_cfi_fde(const struct cprof_cfi *cfi, const struct cprof_cfi_entry *entry,
                   const struct cprof_cie *cie, struct cprof_fde *ret);

/* One line of a table to search: where a function starts and where its FDE is, relative
 * to an address that the reader knows. */
struct cprof_cfi_pair {
    int32_t start, fde;
};

enum { CPROF_CFI_FDES_MAX = 16 << 20 };

/* The pairs of all FDEs in [vaddr, end), sorted by start; those of no code, or too far
 * from `origin`, are left out, and if `n_bad` is given, malformed ones counted in it.
 * *ret is owned (free), NULL when there is none. 0 or -ENOMEM. */
int cprof_cfi_pairs(const struct cprof_cfi *cfi, uint64_t vaddr, uint64_t end,
                    uint64_t origin, struct cprof_cfi_pair **ret, size_t *n,
                    size_t *n_bad);

#endif
