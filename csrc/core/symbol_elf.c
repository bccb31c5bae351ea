/* The symbols of an ELF file and of the files that go with it. */
#include "symbol_internal.h"

#include "elf_internal.h"

/* A symbol table somewhere in a file, and the text of its names. */
struct table {
    const uint8_t *bytes, *text;
    size_t n, text_n;
};

static bool read_section(const struct cprof_elf *elf, uint32_t type, struct table *ret)
{
    for (size_t i = 0; i < cprof_elf_n_sections(elf); i++) {
        const struct cprof_elf_section *section = cprof_elf_section(elf, i), *text;
        if (section->type != type || !section->bytes)
            continue;
        text = cprof_elf_section(elf, section->link);
        if (!text)
            continue;
        *ret = (struct table){.bytes = section->bytes,
                              .n = section->size / sizeof(Elf64_Sym),
                              .text = text->bytes,
                              .text_n = cprof_elf_text_size(text)};
        return ret->n && ret->text_n;
    }
    return false;
}

/* The last symbol that a GNU hash table reaches ends the symbol table. */
static size_t gnu_hash_n(const struct cprof_elf *elf, uint64_t vaddr)
{
    uint32_t header[4], last = 0, hash; /* buckets, first symbol, bloom words, shift */
    const uint8_t *at;
    uint64_t skipped;
    size_t n;

    at = cprof_elf_at(elf, vaddr, &n);
    if (!at || n < sizeof(header))
        return 0;
    memcpy(header, at, sizeof(header));
    skipped = sizeof(header) + 8 * (uint64_t)header[2];
    if (skipped > n || header[0] > (n - skipped) / 4)
        return 0;
    at += skipped;
    n = (n - skipped) / 4 - header[0];
    for (uint32_t i = 0; i < header[0]; i++) {
        uint32_t first;
        memcpy(&first, at + 4 * (size_t)i, sizeof(first));
        last = first > last ? first : last;
    }
    if (last < header[1])
        return header[1];
    at += 4 * (size_t)header[0];
    do {
        if (last - header[1] >= n)
            return 0;
        memcpy(&hash, at + 4 * (size_t)(last - header[1]), sizeof(hash));
        last++;
    } while (!(hash & 1));
    return last;
}

static size_t sysv_hash_n(const struct cprof_elf *elf, uint64_t vaddr)
{
    uint32_t header[2] = {0}; /* buckets, chains: as many as symbols */
    size_t n;
    const uint8_t *at = cprof_elf_at(elf, vaddr, &n);

    if (at && n >= sizeof(header))
        memcpy(header, at, sizeof(header));
    return header[1];
}

/* What the dynamic loader uses; for files whose section table is gone. */
static bool read_dynamic(const struct cprof_elf *elf, struct table *ret)
{
    uint64_t value[DT_NUM] = {0}, gnu_hash = 0;
    const Elf64_Phdr *segment;
    const uint8_t *at;
    size_t i = 0, n = 0;

    while ((segment = cprof_elf_segment(elf, i)) && segment->p_type != PT_DYNAMIC)
        i++;
    at = segment ? cprof_elf_at(elf, segment->p_vaddr, &n) : NULL;
    for (n = at ? n / sizeof(Elf64_Dyn) : 0; n; n--, at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn dyn;
        memcpy(&dyn, at, sizeof(dyn));
        if (dyn.d_tag == DT_NULL)
            break;
        if (dyn.d_tag > 0 && dyn.d_tag < DT_NUM)
            value[dyn.d_tag] = dyn.d_un.d_val;
        else if (dyn.d_tag == DT_GNU_HASH)
            gnu_hash = dyn.d_un.d_val;
    }
    if (!value[DT_SYMTAB] || !value[DT_STRTAB])
        return false;
    ret->n = value[DT_HASH] ? sysv_hash_n(elf, value[DT_HASH])
                            : (gnu_hash ? gnu_hash_n(elf, gnu_hash) : 0);
    ret->bytes = cprof_elf_at(elf, value[DT_SYMTAB], &n);
    if (!ret->bytes || ret->n > n / sizeof(Elf64_Sym))
        return false;
    ret->text = cprof_elf_at(elf, value[DT_STRTAB], &n);
    if (!ret->text || !value[DT_STRSZ] || value[DT_STRSZ] > n)
        return false;
    ret->text_n = cprof_elf_text_size(
        &(struct cprof_elf_section){.bytes = ret->text, .size = value[DT_STRSZ]});
    return ret->n && ret->text_n;
}

/* Functions, and code that assembly did not give a type. Labels that assemblers and
 * compilers make for themselves ($x, .L, .annobin) name nothing. */
static bool is_function(const Elf64_Sym *sym, const char *name)
{
    if (sym->st_shndx == SHN_UNDEF ||
        (sym->st_shndx >= SHN_LORESERVE && sym->st_shndx != SHN_XINDEX))
        return false;
    switch (ELF64_ST_TYPE(sym->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC:
        return *name;
    case STT_NOTYPE:
        return *name && *name != '$' && *name != '.';
    }
    return false;
}

static uint8_t binding_rank(const Elf64_Sym *sym)
{
    switch (ELF64_ST_BIND(sym->st_info)) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
        return 0;
    case STB_WEAK:
        return 1;
    }
    return 2;
}

static int add_table(struct cprof_symbols *symbols, const struct table *table,
                     enum cprof_symbol_source source, enum cprof_symbol_text text)
{
    const struct cprof_symbol_range *code = NULL;

    if (cprof_vec_reserve(&symbols->entries, table->n) < 0)
        return -ENOMEM;
    symbols->texts[text] = (const char *)table->text;
    for (size_t i = 0; i < table->n; i++) {
        uint64_t most;
        Elf64_Sym sym;
        memcpy(&sym, table->bytes + i * sizeof(sym), sizeof(sym));
        if (!sym.st_name || sym.st_name >= table->text_n ||
            !is_function(&sym, symbols->texts[text] + sym.st_name))
            continue;
        if (!code || sym.st_value < code->start || sym.st_value >= code->end)
            code = cprof_symbols_code_at(symbols, sym.st_value);
        if (!code)
            continue;
        most = UINT64_MAX - sym.st_value;
        most = most < UINT32_MAX ? most : UINT32_MAX;
        symbols->entries.data[symbols->entries.n++] = (struct cprof_symbol_entry){
            .start = sym.st_value,
            .size = (uint32_t)(sym.st_size < most ? sym.st_size : most),
            .name = sym.st_name,
            .text = text,
            .source = source,
            .rank = binding_rank(&sym),
        };
    }
    return 0;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct cprof_symbol_range *)a)->start;
    uint64_t y = ((const struct cprof_symbol_range *)b)->start;

    return (x > y) - (x < y);
}

static int add_code(struct cprof_symbols *symbols, uint64_t start, uint64_t size)
{
    if (!size || size > UINT64_MAX - start)
        return 0;
    return cprof_vec_push(&symbols->code,
                          (struct cprof_symbol_range){start, start + size});
}

/* Symbols outside of these name no code, whatever section they say they are in. */
static int find_code(struct cprof_symbols *symbols, const struct cprof_elf *elf)
{
    const uint64_t is_code = SHF_ALLOC | SHF_EXECINSTR;
    const struct cprof_elf_section *section;
    const Elf64_Phdr *segment;
    int r = 0;

    for (size_t i = 0; (section = cprof_elf_section(elf, i)) && r == 0; i++)
        if ((section->flags & is_code) == is_code)
            r = add_code(symbols, section->vaddr, section->size);
    for (size_t i = 0;
         !symbols->code.n && (segment = cprof_elf_segment(elf, i)) && r == 0; i++)
        if (segment->p_type == PT_LOAD && segment->p_flags & PF_X)
            r = add_code(symbols, segment->p_vaddr, segment->p_filesz);
    if (symbols->code.n)
        qsort(symbols->code.data, symbols->code.n, sizeof(*symbols->code.data), by_start);
    return r;
}

static int fill(struct cprof_symbols *symbols)
{
    const struct cprof_elf *elf = symbols->elf;
    struct table table;
    int r;

    if (!elf && !symbols->debug)
        return 0;
    r = find_code(symbols, elf ? elf : symbols->debug);
    if (r == 0 && ((elf && read_section(elf, SHT_SYMTAB, &table)) ||
                   (symbols->debug && read_section(symbols->debug, SHT_SYMTAB, &table))))
        r = add_table(symbols, &table, CPROF_SYMBOL_SYMTAB, CPROF_TEXT_SYMTAB);
    if (r == 0 && symbols->debugdata &&
        read_section(symbols->debugdata, SHT_SYMTAB, &table))
        r = add_table(symbols, &table, CPROF_SYMBOL_DEBUGDATA, CPROF_TEXT_DEBUGDATA);
    if (r == 0 && elf &&
        (read_section(elf, SHT_DYNSYM, &table) || read_dynamic(elf, &table)))
        r = add_table(symbols, &table, CPROF_SYMBOL_DYNSYM, CPROF_TEXT_DYNSYM);
    if (r == 0)
        r = cprof_symbols_sort(symbols);
    cprof_symbols_nest(symbols);
    return r == 0 && elf ? cprof_symbols_add_plt(symbols) : r;
}

int cprof_symbols_create_elf(struct cprof_elf *elf, const char *root, const char *path,
                             const uint8_t *build_id, size_t build_id_n,
                             struct cprof_symbols **ret)
{
    const char *module = strrchr(path, '/');
    struct cprof_symbols *symbols;
    struct table table;
    int r = cprof_symbols_create(&symbols);

    if (r < 0)
        return r;
    module = module ? module + 1 : path;
    memcpy(symbols->module, module, strnlen(module, sizeof(symbols->module) - 1));
    if (elf)
        symbols->elf = cprof_elf_ref(elf);
    if (elf && !build_id_n)
        build_id = cprof_elf_build_id(elf, &build_id_n);
    if (!elf || !read_section(elf, SHT_SYMTAB, &table))
        r = cprof_symbols_open_debug(elf, root, path, build_id, build_id_n,
                                     &symbols->debug);
    if (r == 0 && elf)
        r = cprof_symbols_open_debugdata(elf, &symbols->debugdata);
    if (r == 0)
        r = fill(symbols);
    if (r < 0) {
        cprof_symbols_destroy(symbols);
        return r;
    }
    *ret = symbols;
    return 0;
}
