/* Rows are made in the order of addresses: the FDEs of .eh_frame by the linker's search
 * table, merged with those of .debug_frame. Each FDE first takes away what was said of
 * addresses from its start on (the gap after the one before, or an overlap), as a search
 * finds the last FDE that starts before an address. */
#include "unwind_rows_internal.h"

#include <zlib.h>

#include "elf_internal.h"
#include "unwind_program.h"

enum {
    N_CIES = 16,
    BYTES_PER_FDE = 40, /* about */
    ROWS_PER_FDE = 12,  /* seldom more */
    INFLATED_MAX = 256 << 20,
    PROGRAMS_MAX = 1 << 30, /* bytes of programs, of all FDEs */
};

/* FDEs in the order of their starts. */
struct source {
    struct cprof_cfi cfi;
    uint64_t origin;      /* what pairs are relative to */
    const uint8_t *pairs; /* struct cprof_cfi_pair, perhaps not aligned */
    size_t n, i;
    struct cprof_cfi_pair *made; /* owned: pairs */
    uint8_t *inflated;           /* owned: cfi.bytes */
};

struct known_cie {
    const struct source *of; /* NULL: empty */
    uint64_t vaddr;
    struct cprof_cie cie;
    struct cprof_rules rules;
    bool is_good;
};

struct builder {
    struct cprof_row_list list;
    struct source eh, debug;
    struct known_cie cies[N_CIES];
    uint64_t covered; /* where the last FDE of .eh_frame ends */
    size_t n_good, n_bad;
};

static void source_deinit(struct source *source)
{
    free(source->made);
    free(source->inflated);
}

static void builder_deinit(struct builder *builder)
{
    source_deinit(&builder->eh);
    source_deinit(&builder->debug);
    cprof_vec_free(&builder->list.rows);
}

static struct cprof_cfi_pair pair_at(const struct source *source, size_t i)
{
    struct cprof_cfi_pair pair;

    memcpy(&pair, source->pairs + i * sizeof(pair), sizeof(pair));
    return pair;
}

static bool is_sorted(const struct source *source)
{
    for (size_t i = 1; i < source->n; i++)
        if (pair_at(source, i).start < pair_at(source, i - 1).start)
            return false;
    return true;
}

/* Make the pairs of a source that has no table to search. */
static int make_pairs(struct source *source, uint64_t end, size_t *n_bad)
{
    int r = cprof_cfi_pairs(&source->cfi, source->cfi.vaddr, end, source->origin,
                            &source->made, &source->n, n_bad);

    source->pairs = (const uint8_t *)source->made;
    return r;
}

/* The .eh_frame itself ends with its section; where there are no sections, somewhere
 * before its segment does. */
static struct cprof_cfi eh_frame_of(const struct cprof_elf *elf,
                                    const struct cprof_elf_unwind *unwind)
{
    const struct cprof_elf_section *section = cprof_elf_find(elf, ".eh_frame");
    struct cprof_cfi cfi = cprof_cfi_of(elf, unwind->eh_frame_vaddr, unwind->hdr_vaddr);

    if (section && section->vaddr == cfi.vaddr && section->size < cfi.n)
        cfi.n = section->size;
    return cfi;
}

static const uint8_t *search_table(const struct cprof_elf *elf,
                                   const struct cprof_elf_unwind *unwind)
{
    size_t n;

    return unwind->made_table ? (const uint8_t *)unwind->made_table
                              : cprof_elf_at(elf, unwind->table_vaddr, &n);
}

static int open_eh_frame(const struct cprof_elf *elf, struct source *source,
                         size_t *n_bad)
{
    struct cprof_elf_unwind unwind;

    if (!cprof_elf_unwind(elf, &unwind))
        return 0;
    source->cfi = eh_frame_of(elf, &unwind);
    source->origin = unwind.hdr_vaddr;
    if (unwind.is_table_usable) {
        source->pairs = search_table(elf, &unwind);
        source->n = source->pairs ? unwind.n_fdes : 0;
        if (source->n > CPROF_CFI_FDES_MAX)
            return -E2BIG;
        if (source->n && is_sorted(source))
            return 0;
    }
    return make_pairs(source, source->cfi.vaddr + source->cfi.n, n_bad);
}

size_t cprof_unwind_rows_spans(const struct cprof_elf *elf,
                               struct cprof_span ret[CPROF_SPANS_MAX])
{
    const struct cprof_elf_section *debug = cprof_elf_find(elf, ".debug_frame");
    struct cprof_elf_unwind unwind;
    struct cprof_cfi cfi;
    size_t n = 0;

    if (cprof_elf_unwind(elf, &unwind)) {
        cfi = eh_frame_of(elf, &unwind);
        if (unwind.is_table_usable)
            ret[n++] = (struct cprof_span){search_table(elf, &unwind),
                                           unwind.n_fdes * sizeof(struct cprof_cfi_pair),
                                           unwind.hdr_vaddr};
        if (cfi.n)
            ret[n++] = (struct cprof_span){cfi.bytes, cfi.n, cfi.vaddr};
    }
    if (debug && debug->bytes)
        ret[n++] = (struct cprof_span){debug->bytes, debug->size, 0};
    return n;
}

/* The contents of a section that is compressed (System V ABI, "Section Compression"): 0,
 * -ENOMEM, -EOPNOTSUPP for ways other than zlib's, -EBADMSG. */
static int inflate_section(const struct cprof_elf_section *section, uint8_t **ret,
                           size_t *n)
{
    Elf64_Chdr header;
    uLongf size;
    uint8_t *out;

    if (section->size < sizeof(header))
        return -EBADMSG;
    memcpy(&header, section->bytes, sizeof(header));
    if (header.ch_type != ELFCOMPRESS_ZLIB)
        return -EOPNOTSUPP;
    if (!header.ch_size || header.ch_size > INFLATED_MAX)
        return -EBADMSG;
    out = malloc(header.ch_size);
    if (!out)
        return -ENOMEM;
    size = header.ch_size;
    if (uncompress(out, &size, section->bytes + sizeof(header),
                   section->size - sizeof(header)) != Z_OK) {
        free(out);
        return -EBADMSG;
    }
    *ret = out;
    *n = size;
    return 0;
}

static int open_debug_frame(const struct cprof_elf *elf, uint64_t base,
                            struct source *source, size_t *n_bad)
{
    const struct cprof_elf_section *section = cprof_elf_find(elf, ".debug_frame");
    int r;

    if (!section || !section->bytes)
        return 0;
    /* It has no address: offsets into it count from that of pc 0. */
    source->origin = base;
    source->cfi = (struct cprof_cfi){.bytes = section->bytes,
                                     .n = section->size,
                                     .vaddr = base,
                                     .is_debug_frame = true};
    if (section->flags & SHF_COMPRESSED) {
        source->cfi.n = 0;
        r = inflate_section(section, &source->inflated, &source->cfi.n);
        if (r < 0)
            return r;
        source->cfi.bytes = source->inflated;
    }
    return make_pairs(source, base + source->cfi.n, n_bad);
}

static struct known_cie *find_cie(struct builder *builder, const struct source *source,
                                  uint64_t vaddr)
{
    struct known_cie *known = &builder->cies[vaddr * 0x9e3779b97f4a7c15 >> 60];

    if (known->of != source || known->vaddr != vaddr) {
        known->of = source;
        known->vaddr = vaddr;
        known->is_good = cprof_cfi_cie(&source->cfi, vaddr, &known->cie) &&
                         cprof_program_begin(&builder->list, &known->cie,
                                             source->cfi.data_base, &known->rules) == 0;
    }
    return known;
}

static void cut(struct cprof_row_list *list, uint64_t vaddr)
{
    while (list->rows.n && list->rows.data[list->rows.n - 1].pc >= vaddr - list->base)
        list->rows.n--;
}

static int push_gap(struct cprof_row_list *list, uint64_t vaddr)
{
    return cprof_row_push(list,
                          (struct cprof_unwind_row){
                              .pc = (uint32_t)(vaddr - list->base),
                              .cfa = cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_GAP)});
}

/* The rows of one FDE, where the search finds it. */
static int add_rows(struct builder *builder, const struct source *source,
                    const struct known_cie *known, const struct cprof_fde *fde)
{
    struct cprof_row_list *list = &builder->list;
    int r;

    cut(list, fde->start);
    r = cprof_program_run(list, &known->cie, &known->rules, fde, source->cfi.data_base);
    if (r == -EBADMSG) {
        builder->n_bad++;
        cut(list, fde->start);
        return push_gap(list, fde->start);
    }
    builder->n_good++;
    if (list->rows.n > CPROF_UNWIND_ROWS_MAX)
        r = -E2BIG;
    return r < 0 ? r : push_gap(list, fde->end);
}

/* The FDE of pair `i`. Linkers leave those of functions that they dropped at address 0,
 * or at another where no code can be. */
static int add_fde(struct builder *builder, const struct source *source, size_t i)
{
    struct cprof_cfi_pair pair = pair_at(source, i);
    uint64_t start = source->origin + (uint64_t)(int64_t)pair.start;
    uint64_t last = builder->list.base + UINT32_MAX;
    const struct known_cie *known;
    struct cprof_cfi_entry entry;
    struct cprof_fde fde;

    if (!start || start < builder->list.base)
        return 0;
    if (!cprof_cfi_entry(&source->cfi, source->origin + (uint64_t)(int64_t)pair.fde,
                         &entry) ||
        entry.is_cie)
        goto bad;
    known = find_cie(builder, source, entry.cie);
    if (!known->is_good || !cprof_cfi_fde(&source->cfi, &entry, &known->cie, &fde) ||
        fde.start != start || start >= last)
        goto bad;
    if (fde.end == start)
        return 0;
    if (fde.end > last)
        fde.end = last;
    if (source == &builder->eh)
        builder->covered = fde.end;
    else if (start < builder->covered)
        return 0;
    return add_rows(builder, source, known, &fde);
bad:
    builder->n_bad++;
    return 0;
}

static uint64_t next_start(const struct source *source)
{
    return source->origin + (uint64_t)(int64_t)pair_at(source, source->i).start;
}

static int add_all(struct builder *builder)
{
    struct source *eh = &builder->eh, *debug = &builder->debug;
    int r = 0;

    while (r == 0 && (eh->i < eh->n || debug->i < debug->n)) {
        struct source *next = eh;
        if (eh->i == eh->n || (debug->i < debug->n && next_start(debug) < next_start(eh)))
            next = debug;
        r = add_fde(builder, next, next->i++);
    }
    return r;
}

/* The lowest address of code. */
static bool code_base(const struct cprof_elf *elf, uint64_t *ret)
{
    const Elf64_Phdr *segment;
    bool is_there = false;

    *ret = UINT64_MAX;
    for (size_t i = 0; (segment = cprof_elf_segment(elf, i)); i++) {
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
            segment->p_vaddr > UINT64_MAX - UINT32_MAX)
            continue;
        is_there = true;
        if (segment->p_vaddr < *ret)
            *ret = segment->p_vaddr;
    }
    return is_there;
}

size_t cprof_unwind_rows_expected(const struct cprof_elf *elf)
{
    const struct cprof_elf_section *section;
    struct cprof_elf_unwind unwind;
    size_t n = 0;

    if (cprof_elf_unwind(elf, &unwind)) {
        section = cprof_elf_find(elf, ".eh_frame");
        n = unwind.n_fdes;
        if (!n && section)
            n = section->size / BYTES_PER_FDE;
    }
    section = cprof_elf_find(elf, ".debug_frame");
    return section ? n + section->size / BYTES_PER_FDE : n;
}

/* All of a file's information, in the order of addresses. */
static int open_sources(struct builder *builder, const struct cprof_elf *elf,
                        const struct cprof_elf *debug, struct cprof_error *err)
{
    int r = open_eh_frame(elf, &builder->eh, &builder->n_bad);

    if (r == 0)
        r = open_debug_frame(elf, builder->list.base, &builder->debug, &builder->n_bad);
    if (r == 0 && debug && !builder->eh.n && !builder->debug.n)
        r = open_debug_frame(debug, builder->list.base, &builder->debug, &builder->n_bad);
    if (r == -ENOMEM)
        return cprof_error_set(err, r, "unwind: out of memory");
    if (r == -E2BIG)
        return cprof_error_set(err, r, "unwind: an .eh_frame_hdr of too many entries");
    if (builder->eh.n || builder->debug.n)
        return 0;
    if (r == -EOPNOTSUPP)
        return cprof_error_set(err, -ENODATA,
                               "unwind: .debug_frame is not compressed by zlib");
    if (r < 0 || builder->n_bad)
        return cprof_error_set(err, -EBADMSG,
                               "unwind: malformed .eh_frame or "
                               ".debug_frame");
    return cprof_error_set(err, -ENODATA, "unwind: neither .eh_frame nor .debug_frame");
}

static int finish(struct builder *builder, struct cprof_unwind_rows **ret,
                  struct cprof_error *err)
{
    struct cprof_row_memory of = {.n = builder->list.rows.n};
    void *rows = builder->list.rows.data;
    int r;

    if (!builder->n_good)
        return cprof_error_set(err, builder->n_bad ? -EBADMSG : -ENODATA,
                               "unwind: no usable unwind information");
    memset(&builder->list.rows, 0, sizeof(builder->list.rows));
    of.memory = realloc(rows, of.n * sizeof(*of.data));
    if (!of.memory) /* it did not become smaller */
        of.memory = rows;
    of.data = of.memory;
    r = cprof_unwind_rows_adopt(&of, builder->list.base, builder->n_bad, ret);
    return r < 0 ? cprof_error_set(err, r, "unwind: out of memory") : 0;
}

int cprof_unwind_rows_build(const struct cprof_elf *elf, const struct cprof_elf *debug,
                            struct cprof_unwind_rows **ret, struct cprof_error *err)
{
    struct builder builder = {.list.budget = PROGRAMS_MAX};
    size_t n;
    int r;

    if (cprof_elf_machine(elf) != EM_X86_64 || !code_base(elf, &builder.list.base))
        return cprof_error_set(err, -ENODATA, "unwind: no x86-64 code");
    r = open_sources(&builder, elf, debug, err);
    if (r < 0)
        goto out;
    cprof_elf_bytes(elf, &n);
    if (n + builder.debug.cfi.n < builder.list.budget)
        builder.list.budget = n + builder.debug.cfi.n;
    /* Room that is not used costs nothing, room that grows is copied. */
    cprof_vec_reserve(&builder.list.rows,
                      (builder.eh.n + builder.debug.n) * ROWS_PER_FDE);
    r = add_all(&builder);
    r = r < 0 ? cprof_error_set(err, r,
                                r == -ENOMEM ? "unwind: out of memory"
                                             : "unwind: too many rows")
              : finish(&builder, ret, err);
out:
    builder_deinit(&builder);
    return r;
}
