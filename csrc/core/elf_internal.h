/* elf_internal.h - what symbol*.c needs of a file beyond elf.h. */
#ifndef CPROF_ELF_INTERNAL_H
#define CPROF_ELF_INTERNAL_H

#include "elf.h"

/* The whole file, *n bytes of it. Borrowed. */
const uint8_t *cprof_elf_bytes(const struct cprof_elf *elf, size_t *n);

/* How many bytes of a string table end in a NUL: every offset below is a whole string. */
size_t cprof_elf_text_size(const struct cprof_elf_section *section);

uint16_t cprof_elf_machine(const struct cprof_elf *elf);

/* Program header `i`, or NULL past the last. Where the file is shorter than a header
 * says, p_filesz is what the file holds, so [p_offset, p_offset + p_filesz) can be read.
 */
const Elf64_Phdr *cprof_elf_segment(const struct cprof_elf *elf, size_t i);

/* The FDE with the greatest start <= vaddr, whether or not it reaches vaddr. */
bool cprof_elf_fde_before(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                          uint64_t *end);

struct cprof_cfi_pair;

/* Decode .eh_frame_hdr (elf_unwind.c); called once when the file is opened. */
struct cprof_elf_tables {
    struct cprof_elf_unwind unwind;
    bool is_there;
    uint8_t table_encoding;      /* DW_EH_PE_*, DW_EH_PE_omit when there is no table */
    struct cprof_cfi_pair *made; /* owned: unwind.made_table */
};
void cprof_elf_tables_read(const struct cprof_elf *elf, struct cprof_elf_tables *ret);
void cprof_elf_tables_deinit(struct cprof_elf_tables *tables);
const struct cprof_elf_tables *cprof_elf_tables(const struct cprof_elf *elf);

#endif
