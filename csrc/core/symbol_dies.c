/* The quick way over the entries of a unit: abbreviations say how long most of them are,
 * so that an entry which is not of interest costs a few instructions. */
#include "symbol_dwarf.h"

#include <dwarf.h>

enum { VARIES = -1, UNKNOWN = -2, TAG_MAX = 0xffff };

/* Bytes of a form in an entry. */
static int form_size(uint64_t form, unsigned version, unsigned offset_size,
                     unsigned address_size)
{
    switch (form) {
    case DW_FORM_addr:
        return (int)address_size;
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
        return 0;
    case DW_FORM_data1:
    case DW_FORM_flag:
    case DW_FORM_ref1:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
        return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
        return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
        return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_ref_sup4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
        return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sup8:
    case DW_FORM_ref_sig8:
        return 8;
    case DW_FORM_data16:
        return 16;
    case DW_FORM_ref_addr:
        return (int)(version <= 2 ? address_size : offset_size);
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_strp_sup:
    case DW_FORM_sec_offset:
    case DW_FORM_GNU_ref_alt:
    case DW_FORM_GNU_strp_alt:
        return (int)offset_size;
    case DW_FORM_string:
    case DW_FORM_block:
    case DW_FORM_block1:
    case DW_FORM_block2:
    case DW_FORM_block4:
    case DW_FORM_exprloc:
    case DW_FORM_sdata:
    case DW_FORM_udata:
    case DW_FORM_ref_udata:
    case DW_FORM_indirect:
    case DW_FORM_strx:
    case DW_FORM_addrx:
    case DW_FORM_loclistx:
    case DW_FORM_rnglistx:
    case DW_FORM_GNU_addr_index:
    case DW_FORM_GNU_str_index:
        return VARIES;
    }
    return UNKNOWN;
}

void cprof_form_skip(struct cprof_cursor *at, uint64_t form, unsigned version,
                     unsigned offset_size, unsigned address_size)
{
    int size;

    while (form == DW_FORM_indirect && !at->is_bad)
        form = cprof_cursor_uleb(at);
    size = form_size(form, version, offset_size, address_size);
    if (size >= 0) {
        cprof_cursor_take(at, (uint64_t)size);
        return;
    }
    switch (form) {
    case DW_FORM_string:
        cprof_cursor_string(at);
        return;
    case DW_FORM_block1:
        cprof_cursor_take(at, cprof_cursor_fixed(at, 1));
        return;
    case DW_FORM_block2:
        cprof_cursor_take(at, cprof_cursor_fixed(at, 2));
        return;
    case DW_FORM_block4:
        cprof_cursor_take(at, cprof_cursor_fixed(at, 4));
        return;
    case DW_FORM_block:
    case DW_FORM_exprloc:
        cprof_cursor_take(at, cprof_cursor_uleb(at));
        return;
    }
    if (size == VARIES)
        cprof_cursor_uleb(at);
    else
        at->is_bad = true; /* a form of later times: nobody knows where it ends */
}

static void read_forms(struct cprof_cursor *at, const struct cprof_unit_bytes *unit,
                       struct cprof_abbrev *ret)
{
    uint64_t attribute, form, total = 0;
    bool varies = false;

    ret->forms = at->at;
    do {
        int size;
        attribute = cprof_cursor_uleb(at);
        form = cprof_cursor_uleb(at);
        if (form == DW_FORM_implicit_const)
            cprof_cursor_sleb(at);
        if (!form)
            continue;
        size = form_size(form, unit->version, unit->offset_size, unit->address_size);
        varies |= size < 0;
        total += size > 0 ? (unsigned)size : 0;
        ret->has_code |= attribute == DW_AT_low_pc || attribute == DW_AT_ranges;
    } while ((attribute || form) && !at->is_bad);
    ret->size =
        varies || total >= CPROF_ABBREV_VARIES ? CPROF_ABBREV_VARIES : (uint32_t)total;
}

static int by_code(const void *a, const void *b)
{
    uint64_t x = ((const struct cprof_abbrev *)a)->code;
    uint64_t y = ((const struct cprof_abbrev *)b)->code;

    return (x > y) - (x < y);
}

int cprof_abbrevs_read(struct cprof_lines *lines, const struct cprof_dwarf *dwarf,
                       const struct cprof_unit_bytes *unit)
{
    struct cprof_cursor at = dwarf->sections[CPROF_DWARF_ABBREV];
    struct cprof_abbrevs *abbrevs = &lines->abbrevs;
    bool is_sorted = true;
    uint64_t tag;

    cprof_cursor_take(&at, unit->abbrev_offset);
    if (at.is_bad)
        return -EBADMSG;
    if (abbrevs->at == at.at && abbrevs->version == unit->version &&
        abbrevs->offset_size == unit->offset_size &&
        abbrevs->address_size == unit->address_size)
        return 0;
    abbrevs->all.n = 0;
    abbrevs->at = NULL; /* until they are whole */
    for (const uint8_t *start = at.at;;) {
        struct cprof_abbrev abbrev = {.code = cprof_cursor_uleb(&at)};
        if (!abbrev.code && !at.is_bad) {
            abbrevs->at = start;
            break;
        }
        tag = cprof_cursor_uleb(&at);
        abbrev.tag = (uint16_t)(tag <= TAG_MAX ? tag : 0);
        abbrev.has_children = cprof_cursor_fixed(&at, 1);
        read_forms(&at, unit, &abbrev);
        if (at.is_bad)
            return -EBADMSG;
        is_sorted &=
            !abbrevs->all.n || abbrevs->all.data[abbrevs->all.n - 1].code < abbrev.code;
        if (cprof_vec_push(&abbrevs->all, abbrev) < 0)
            return -ENOMEM;
    }
    abbrevs->version = unit->version;
    abbrevs->offset_size = unit->offset_size;
    abbrevs->address_size = unit->address_size;
    if (!is_sorted)
        qsort(abbrevs->all.data, abbrevs->all.n, sizeof(*abbrevs->all.data), by_code);
    return cprof_lines_spend(lines, abbrevs->all.n);
}

const struct cprof_abbrev *cprof_abbrevs_find(const struct cprof_abbrevs *abbrevs,
                                              uint64_t code)
{
    const struct cprof_abbrev *all = abbrevs->all.data, wanted = {.code = code};

    if (code - 1 < abbrevs->all.n && all[code - 1].code == code)
        return &all[code - 1]; /* compilers number them so */
    return abbrevs->all.n ? bsearch(&wanted, all, abbrevs->all.n, sizeof(*all), by_code)
                          : NULL;
}

void cprof_die_skip(const struct cprof_abbrev *abbrev,
                    const struct cprof_unit_bytes *unit, struct cprof_cursor *at)
{
    struct cprof_cursor forms = {.at = abbrev->forms,
                                 .end = (const uint8_t *)UINTPTR_MAX};

    if (abbrev->size != CPROF_ABBREV_VARIES) {
        cprof_cursor_take(at, abbrev->size);
        return;
    }
    while (!at->is_bad) { /* the forms were read once: they end */
        uint64_t attribute = cprof_cursor_uleb(&forms), form = cprof_cursor_uleb(&forms);
        if (form == DW_FORM_implicit_const)
            cprof_cursor_sleb(&forms);
        if (!attribute && !form)
            return;
        cprof_form_skip(at, form, unit->version, unit->offset_size, unit->address_size);
    }
}
