/* Names of PLT stubs: each jumps through a slot that a relocation fills with a function.
 * x86-64 only. */
#include "symbol_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "elf_internal.h"
#include "map.h"

enum { STUB = 16, SHORT_STUB = 8, NAME_MAX_KEPT = 4096 };

/* The relocations that fill slots. */
struct slot {
    uint64_t resolver;    /* IRELATIVE: the function that picks the function */
    const char *function; /* NULL for IRELATIVE */
};
struct slots {
    CPROF_VEC(struct slot) all;
    struct cprof_map by_place; /* slot's address -> number in `all` */
    CPROF_VEC(uint32_t) lazy;  /* number in .rela.plt -> number in `all`, or none */
};

/* The symbols that a relocation section speaks of. */
struct names {
    const struct cprof_elf_section *table, *text;
    size_t text_n;
};

static struct names names_of(const struct cprof_elf *elf,
                             const struct cprof_elf_section *relocations)
{
    struct names names = {.table = cprof_elf_section(elf, relocations->link)};

    if (names.table && names.table->bytes)
        names.text = cprof_elf_section(elf, names.table->link);
    if (names.text)
        names.text_n = cprof_elf_text_size(names.text);
    return names;
}

static const char *name_of(const struct names *names, uint64_t i)
{
    Elf64_Sym sym;

    if (!i || !names->text_n || i >= names->table->size / sizeof(sym))
        return NULL;
    memcpy(&sym, names->table->bytes + i * sizeof(sym), sizeof(sym));
    if (!sym.st_name || sym.st_name >= names->text_n)
        return NULL;
    return (const char *)names->text->bytes + sym.st_name;
}

static int add_slots(const struct cprof_elf *elf,
                     const struct cprof_elf_section *relocations, bool is_lazy,
                     struct slots *slots)
{
    struct names names = names_of(elf, relocations);

    for (size_t i = 0; i < relocations->size / sizeof(Elf64_Rela); i++) {
        uint32_t number = (uint32_t)slots->all.n;
        struct slot slot = {0};
        Elf64_Rela rela;
        uint64_t type;
        memcpy(&rela, relocations->bytes + i * sizeof(rela), sizeof(rela));
        type = ELF64_R_TYPE(rela.r_info);
        if (type == R_X86_64_IRELATIVE)
            slot.resolver = (uint64_t)rela.r_addend;
        else if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT)
            slot.function = name_of(&names, ELF64_R_SYM(rela.r_info));
        if (!slot.resolver && !slot.function)
            number = CPROF_MAP_NONE;
        if (is_lazy && cprof_vec_push(&slots->lazy, number) < 0)
            return -ENOMEM;
        if (number != CPROF_MAP_NONE &&
            (cprof_vec_push(&slots->all, slot) < 0 ||
             cprof_map_set(&slots->by_place, rela.r_offset, number) < 0))
            return -ENOMEM;
    }
    return 0;
}

static int32_t read_i32(const uint8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* The slot of the stub at `at`. Forms, each perhaps after an endbr64:
 *     [bnd] jmp *slot(%rip)                        .plt, .plt.sec, .plt.got
 *     mov $i, %r11d; jmp *slot(%rip)               .plt of mold
 *     push $i; [bnd] jmp .plt                      .plt beside a .plt.sec */
static uint32_t slot_of(const struct slots *slots, const uint8_t *at, size_t n,
                        uint64_t vaddr)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    size_t i = 0;

    if (n > 4 && !memcmp(at, endbr64, sizeof(endbr64)))
        i = 4;
    if (n - i >= 5 && at[i] == 0x68) {
        uint32_t number = (uint32_t)read_i32(at + i + 1);
        return number < slots->lazy.n ? slots->lazy.data[number] : CPROF_MAP_NONE;
    }
    if (n - i > 6 && at[i] == 0x41 && at[i + 1] == 0xbb)
        i += 6;
    if (n > i && at[i] == 0xf2)
        i++;
    if (n - i < 6 || at[i] != 0xff || at[i + 1] != 0x25)
        return CPROF_MAP_NONE;
    return cprof_map_get(&slots->by_place,
                         vaddr + i + 6 + (uint64_t)(int64_t)read_i32(at + i + 2));
}

static int keep_name(struct cprof_symbols *symbols, const struct slot *slot,
                     uint32_t *ret)
{
    const struct cprof_symbol_entry *entry;
    const char *name = slot->function;
    char made[32];

    if (!name) {
        entry = cprof_symbols_covering(symbols, slot->resolver);
        snprintf(made, sizeof(made), "*ABS*+0x%" PRIx64, slot->resolver);
        name = entry && entry->start == slot->resolver
                   ? cprof_symbols_name(symbols, entry)
                   : made;
    }
    return cprof_symbols_keep(symbols, name, strnlen(name, NAME_MAX_KEPT), "@plt", ret);
}

/* Sections do not always say how long a stub is; short ones are a jump and two bytes that
 * do nothing. */
static size_t stub_size(const uint8_t *at, size_t n)
{
    bool is_short = n >= SHORT_STUB && at[0] == 0xff && at[1] == 0x25 && at[6] == 0x66 &&
                    at[7] == 0x90;

    return is_short ? SHORT_STUB : STUB;
}

static int add_stubs(struct cprof_symbols *symbols, const struct slots *slots,
                     const struct cprof_elf_section *section)
{
    size_t size;

    for (size_t i = 0; i < section->size; i += size) {
        struct cprof_symbol_entry entry = {.start = section->vaddr + i,
                                           .outer = CPROF_SYMBOL_NO_OUTER,
                                           .text = CPROF_TEXT_OWN,
                                           .source = CPROF_SYMBOL_PLT};
        uint32_t slot;
        int r;
        size = stub_size(section->bytes + i, section->size - i);
        if (size > section->size - i || entry.start > UINT64_MAX - size)
            break;
        entry.size = (uint32_t)size;
        slot = slot_of(slots, section->bytes + i, size, entry.start);
        if (slot == CPROF_MAP_NONE)
            continue;
        r = keep_name(symbols, &slots->all.data[slot], &entry.name);
        if (r == -EOVERFLOW)
            return 0;
        if (r < 0 || cprof_vec_push(&symbols->plt, entry) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct cprof_symbol_entry *)a)->start;
    uint64_t y = ((const struct cprof_symbol_entry *)b)->start;

    return (x > y) - (x < y);
}

int cprof_symbols_add_plt(struct cprof_symbols *symbols)
{
    static const char *const relocations[] = {".rela.plt", ".rela.dyn", ".rela.iplt"};
    static const char *const stubs[] = {".plt", ".plt.sec", ".plt.got", ".iplt"};
    const struct cprof_elf *elf = symbols->elf;
    const struct cprof_elf_section *section;
    struct slots slots = {0};
    int r = 0;

    if (cprof_elf_machine(elf) != EM_X86_64)
        return 0;
    for (size_t i = 0; i < 3 && r == 0; i++) {
        section = cprof_elf_find(elf, relocations[i]);
        if (section && section->bytes)
            r = add_slots(elf, section, i == 0, &slots);
    }
    for (size_t i = 0; i < 4 && r == 0; i++) {
        section = cprof_elf_find(elf, stubs[i]);
        if (section && section->bytes)
            r = add_stubs(symbols, &slots, section);
    }
    if (symbols->plt.n)
        qsort(symbols->plt.data, symbols->plt.n, sizeof(*symbols->plt.data), by_start);
    cprof_vec_free(&slots.all);
    cprof_vec_free(&slots.lazy);
    cprof_map_deinit(&slots.by_place);
    return r;
}
