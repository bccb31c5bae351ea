/* One file with debug information: libdw's handle, and the bytes of its sections. */
#include "symbol_dwarf.h"

#include <dwarf.h>
#include <gelf.h>

#include "elf_internal.h"

/* More than this is not decompressed: what a file says it will be costs it nothing. */
#define UNPACKED_MAX ((uint64_t)16 << 30)

const char *const CPROF_DWARF_NAMES[CPROF_N_DWARF_SECTIONS] = {
    [CPROF_DWARF_INFO] = "debug_info",
    [CPROF_DWARF_ABBREV] = "debug_abbrev",
    [CPROF_DWARF_LINE] = "debug_line",
    [CPROF_DWARF_STR] = "debug_str",
    [CPROF_DWARF_LINE_STR] = "debug_line_str",
    [CPROF_DWARF_STR_OFFSETS] = "debug_str_offsets",
    [CPROF_DWARF_ADDR] = "debug_addr",
    [CPROF_DWARF_RANGES] = "debug_ranges",
    [CPROF_DWARF_RNGLISTS] = "debug_rnglists",
};

/* ".debug_x" -> "debug_x"; also of ".zdebug_x", GNU's older way to compress. NULL: other
 * sections. */
static const char *debug_name(const char *name)
{
    if (!strncmp(name, ".debug_", 7))
        return name + 1;
    return !strncmp(name, ".zdebug_", 8) ? name + 2 : NULL;
}

static uint64_t unpacked_size(const struct cprof_elf_section *section)
{
    Elf64_Chdr header;
    uint64_t size = 0;

    if (!section->bytes)
        return 0;
    if (section->flags & SHF_COMPRESSED && section->size >= sizeof(header)) {
        memcpy(&header, section->bytes, sizeof(header));
        return header.ch_size;
    }
    if (section->name[1] != 'z' || section->size < 12)
        return section->size;
    for (size_t i = 4; i < 12; i++) /* "ZLIB", then the size, big-endian */
        size = size << 8 | section->bytes[i];
    return size;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t cprof_dwarf_size(const struct cprof_elf *elf)
{
    const struct cprof_elf_section *section;
    uint64_t n = 0, info = 0;

    for (size_t i = 0; (section = cprof_elf_section(elf, i)); i++) {
        const char *name = debug_name(section->name);
        uint64_t size = name ? unpacked_size(section) : 0;
        bool is_info = name && !strcmp(name, CPROF_DWARF_NAMES[CPROF_DWARF_INFO]);
        info = is_info ? sum(info, size) : info;
        if (is_info || (name && !strcmp(name, CPROF_DWARF_NAMES[CPROF_DWARF_LINE])))
            n = sum(n, size);
    }
    return info ? n : 0;
}

static bool is_reasonable(const struct cprof_elf *elf)
{
    const struct cprof_elf_section *section;
    uint64_t n = 0;

    for (size_t i = 0; (section = cprof_elf_section(elf, i)); i++)
        if (debug_name(section->name))
            n = sum(n, unpacked_size(section));
    return n <= UNPACKED_MAX;
}

static void read_sections(struct cprof_dwarf *dwarf)
{
    Elf_Scn *section = NULL;
    size_t names;

    if (elf_getshdrstrndx(dwarf->handle, &names) < 0)
        return;
    while ((section = elf_nextscn(dwarf->handle, section))) {
        GElf_Shdr header;
        const char *name;
        Elf_Data *data;
        if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
            continue;
        name = elf_strptr(dwarf->handle, names, header.sh_name);
        name = name ? debug_name(name) : NULL;
        for (size_t i = 0; name && i < CPROF_N_DWARF_SECTIONS; i++) {
            if (strcmp(name, CPROF_DWARF_NAMES[i]) || dwarf->sections[i].at)
                continue;
            data = elf_getdata(section, NULL);
            if (data && data->d_buf)
                dwarf->sections[i] = cprof_bytes_of(data->d_buf, data->d_size);
        }
    }
}

int cprof_dwarf_begin(Elf *handle, struct cprof_dwarf *ret)
{
    ret->handle = handle;
    ret->dwarf = dwarf_begin_elf(handle, DWARF_C_READ, NULL);
    if (ret->dwarf)
        read_sections(ret);
    if (ret->sections[CPROF_DWARF_INFO].at && ret->sections[CPROF_DWARF_ABBREV].at)
        return 0;
    cprof_dwarf_close(ret);
    return -ENODATA;
}

int cprof_dwarf_open(struct cprof_elf *elf, struct cprof_dwarf *ret)
{
    size_t n;
    const uint8_t *bytes = cprof_elf_bytes(elf, &n);
    Elf *handle;

    memset(ret, 0, sizeof(*ret));
    ret->elf = elf;
    if (!is_reasonable(elf) || elf_version(EV_CURRENT) == EV_NONE ||
        !(handle = elf_memory((char *)bytes, n))) {
        cprof_dwarf_close(ret);
        return -ENODATA;
    }
    return cprof_dwarf_begin(handle, ret);
}

void cprof_dwarf_close(struct cprof_dwarf *dwarf)
{
    if (dwarf->dwarf)
        dwarf_end(dwarf->dwarf);
    if (dwarf->handle)
        elf_end(dwarf->handle);
    cprof_elf_unref(dwarf->elf);
    memset(dwarf, 0, sizeof(*dwarf));
}

bool cprof_unit_bytes(struct cprof_bytes info, uint64_t offset,
                      struct cprof_unit_bytes *ret)
{
    struct cprof_bytes *at = &ret->dies;

    memset(ret, 0, sizeof(*ret));
    ret->start = cprof_bytes_take(&info, offset) ? info.at : NULL;
    if (!ret->start || !cprof_bytes_unit(&info, at, &ret->offset_size))
        return false;
    ret->version = (unsigned)cprof_bytes_number(at, 2);
    if (ret->version >= 5) {
        ret->type = (unsigned)cprof_bytes_number(at, 1);
        ret->address_size = (unsigned)cprof_bytes_number(at, 1);
        ret->abbrev_offset = cprof_bytes_number(at, ret->offset_size);
        if (ret->type == DW_UT_skeleton || ret->type == DW_UT_split_compile)
            ret->id = cprof_bytes_number(at, 8);
        if (ret->type == DW_UT_type || ret->type == DW_UT_split_type)
            cprof_bytes_take(at, 8 + ret->offset_size);
    } else {
        ret->abbrev_offset = cprof_bytes_number(at, ret->offset_size);
        ret->address_size = (unsigned)cprof_bytes_number(at, 1);
    }
    return !at->is_bad && ret->version >= 2 && ret->version <= 5 &&
           (ret->address_size == 4 || ret->address_size == 8);
}

bool cprof_die_number(Dwarf_Die *die, unsigned attribute, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;

    if (!dwarf_attr_integrate(die, attribute, &attr) || dwarf_formudata(&attr, &value))
        return false;
    *ret = value;
    return true;
}

/* libdw checks strings in tables of strings, not those that stand in the entry itself. */
static bool ends_within(const struct cprof_dwarf *dwarf, const char *text)
{
    const struct cprof_bytes *info = &dwarf->sections[CPROF_DWARF_INFO];
    const uint8_t *at = (const uint8_t *)text;

    return at >= info->at && at < info->end && memchr(at, 0, (size_t)(info->end - at));
}

const char *cprof_die_text(const struct cprof_lines *lines,
                           const struct cprof_dwarf *dwarf, Dwarf_Die *die,
                           unsigned attribute)
{
    Dwarf_Attribute attr;
    const char *text;

    if (!dwarf_attr_integrate(die, attribute, &attr))
        return NULL;
    text = dwarf_formstring(&attr);
    if (!text || dwarf_whatform(&attr) != DW_FORM_string)
        return text;
    return ends_within(dwarf, text) || ends_within(&lines->alt, text) ? text : NULL;
}
