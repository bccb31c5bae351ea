/* One file with debug information: libdw's handle, and the bytes of its sections. */
#define _GNU_SOURCE /* stpcpy */
#include "symbol_dwarf.h"

#include <dwarf.h>
#include <fcntl.h>
#include <zlib.h>

#include "cleanup.h"

enum { CHUNK = 1 << 30 }; /* zlib counts in ints */

/* More than this is not decompressed: what a file says it will be costs it nothing. */
#define UNPACKED_MAX ((uint64_t)16 << 30)

const char *const CPROF_DWARF_NAMES[CPROF_N_DWARF_SECTIONS] = {
    [CPROF_DWARF_INFO] = ".debug_info",
    [CPROF_DWARF_TYPES] = ".debug_types",
    [CPROF_DWARF_ABBREV] = ".debug_abbrev",
    [CPROF_DWARF_LINE] = ".debug_line",
    [CPROF_DWARF_STR] = ".debug_str",
    [CPROF_DWARF_LINE_STR] = ".debug_line_str",
    [CPROF_DWARF_STR_OFFSETS] = ".debug_str_offsets",
    [CPROF_DWARF_ADDR] = ".debug_addr",
    [CPROF_DWARF_RANGES] = ".debug_ranges",
    [CPROF_DWARF_RNGLISTS] = ".debug_rnglists",
};

/* ---- sections of the file ---- */

/* Is `name` that of a section, also as GNU's older way to compress has it (".zdebug_x")
 * or a .dwo file (".debug_x.dwo")? */
static bool is_named(const char *name, const char *wanted)
{
    size_t n;

    if (name[0] == '.' && name[1] == 'z') {
        name += 2;
        wanted++;
    }
    n = strlen(wanted);
    return !strncmp(name, wanted, n) && (!name[n] || !strcmp(name + n, ".dwo"));
}

/* How long the section is decompressed, and where its compressed bytes begin; 0: it is
 * not compressed, or in a way that is not known here. */
static size_t packing(const struct cprof_elf_section *section, uint64_t *unpacked)
{
    Elf64_Chdr header;

    *unpacked = section->size;
    if (section->flags & SHF_COMPRESSED) {
        *unpacked = 0;
        if (section->size < sizeof(header))
            return 0;
        memcpy(&header, section->bytes, sizeof(header));
        if (header.ch_type == ELFCOMPRESS_ZLIB)
            *unpacked = header.ch_size;
        return sizeof(header);
    }
    if (strncmp(section->name, ".z", 2) || section->size < 12)
        return 0;
    *unpacked = 0;
    for (size_t i = 4; i < 12; i++) /* "ZLIB", then the size, big-endian */
        *unpacked = *unpacked << 8 | section->bytes[i];
    return 12;
}

/* Object files have a section of its own for each unit of types. */
static bool holds_types(const struct cprof_elf_section *section)
{
    struct cprof_unit_bytes unit;

    return !(section->flags & SHF_COMPRESSED) &&
           cprof_unit_bytes(cprof_cursor_of(section->bytes, section->size), 0, &unit) &&
           (unit.type == DW_UT_type || unit.type == DW_UT_split_type);
}

static const struct cprof_elf_section *find(const struct cprof_elf *elf,
                                            enum cprof_dwarf_section wanted)
{
    const struct cprof_elf_section *section, *types = NULL;

    for (size_t i = 0; (section = cprof_elf_section(elf, i)); i++) {
        if (!section->bytes || !is_named(section->name, CPROF_DWARF_NAMES[wanted]))
            continue;
        if (wanted != CPROF_DWARF_INFO || !holds_types(section))
            return section;
        types = types ? types : section;
    }
    return types;
}

uint64_t cprof_dwarf_size(const struct cprof_elf *elf)
{
    static const enum cprof_dwarf_section read[] = {CPROF_DWARF_INFO, CPROF_DWARF_LINE};
    uint64_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        const struct cprof_elf_section *section = find(elf, read[i]);
        uint64_t size = 0;
        if (section)
            packing(section, &size);
        if (read[i] == CPROF_DWARF_INFO && !size)
            return 0;
        n = size > UINT64_MAX - n ? UINT64_MAX : n + size;
    }
    return n;
}

/* zlib makes at most 1032 bytes of one. */
static int unpack(const struct cprof_elf_section *section, size_t header, uint64_t n,
                  struct cprof_dwarf *dwarf, enum cprof_dwarf_section to)
{
    z_stream stream = {.next_in = (uint8_t *)section->bytes + header};
    size_t left = section->size - header, done = 0;
    int r = Z_OK;

    if (n > UNPACKED_MAX || n / 1032 > left)
        return 0;
    dwarf->unpacked[to] = malloc(n + 1);
    if (!dwarf->unpacked[to] || inflateInit(&stream) != Z_OK)
        return -ENOMEM;
    while (r == Z_OK && done < n) {
        uInt in = left < CHUNK ? (uInt)left : CHUNK;
        uInt out = n - done < CHUNK ? (uInt)(n - done) : CHUNK;
        stream.avail_in = in;
        stream.avail_out = out;
        stream.next_out = dwarf->unpacked[to] + done;
        r = inflate(&stream, Z_NO_FLUSH);
        left -= in - stream.avail_in;
        done += out - stream.avail_out;
    }
    inflateEnd(&stream);
    if (done == n)
        dwarf->sections[to] = cprof_cursor_of(dwarf->unpacked[to], n);
    return 0;
}

static int read_sections(struct cprof_dwarf *dwarf)
{
    int r = 0;

    for (unsigned i = 0; i < CPROF_N_DWARF_SECTIONS && r == 0; i++) {
        const struct cprof_elf_section *section = find(dwarf->elf, i);
        uint64_t unpacked;
        size_t header;
        if (!section)
            continue;
        header = packing(section, &unpacked);
        if (header)
            r = unpack(section, header, unpacked, dwarf, i);
        else if (unpacked)
            dwarf->sections[i] = cprof_cursor_of(section->bytes, section->size);
    }
    return r;
}

/* ---- libdw's handle ---- */

static bool add_section(Elf *handle, uint32_t type, uint32_t name, const void *bytes,
                        size_t n)
{
    Elf_Scn *section = elf_newscn(handle);
    Elf64_Shdr *header = section ? elf64_getshdr(section) : NULL;
    Elf_Data *data = section ? elf_newdata(section) : NULL;

    if (!header || !data)
        return false;
    header->sh_name = name;
    header->sh_type = type;
    header->sh_addralign = 1;
    header->sh_size = n;
    *data = (Elf_Data){.d_buf = (void *)bytes,
                       .d_size = n,
                       .d_type = ELF_T_BYTE,
                       .d_align = 1,
                       .d_version = EV_CURRENT};
    return true;
}

/* A file of the debug sections alone, which exists in memory only: libdw is given nothing
 * but what was checked here, need not know how it was compressed or in how many files it
 * lies, and does not copy it. */
static bool add_sections(struct cprof_dwarf *dwarf)
{
    Elf64_Ehdr *header = elf64_newehdr(dwarf->handle);
    size_t n = 1, n_sections = 1;

    if (!header)
        return false;
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_machine = EM_X86_64;
    header->e_type = ET_EXEC;
    header->e_version = EV_CURRENT;
    dwarf->names[0] = '\0';
    for (size_t i = 0; i < CPROF_N_DWARF_SECTIONS; i++) {
        const struct cprof_cursor *bytes = &dwarf->sections[i];
        if (!bytes->at)
            continue;
        if (!add_section(dwarf->handle, SHT_PROGBITS, (uint32_t)n, bytes->at,
                         cprof_cursor_left(bytes)))
            return false;
        n = (size_t)(stpcpy(dwarf->names + n, CPROF_DWARF_NAMES[i]) - dwarf->names) + 1;
        n_sections++;
    }
    if (!add_section(dwarf->handle, SHT_STRTAB, 0, dwarf->names, n))
        return false;
    header->e_shstrndx = (Elf64_Half)n_sections;
    return true;
}

int cprof_dwarf_begin(struct cprof_dwarf *dwarf)
{
    _cleanup_fd_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* nothing is written */

    if (!dwarf->sections[CPROF_DWARF_INFO].at ||
        !dwarf->sections[CPROF_DWARF_ABBREV].at || fd < 0 ||
        elf_version(EV_CURRENT) == EV_NONE)
        return -ENODATA;
    dwarf->handle = elf_begin(fd, ELF_C_WRITE, NULL);
    if (!dwarf->handle || !add_sections(dwarf))
        return -ENOMEM;
    dwarf->dwarf = dwarf_begin_elf(dwarf->handle, DWARF_C_READ, NULL);
    return dwarf->dwarf ? 0 : -ENODATA;
}

int cprof_dwarf_load(struct cprof_elf *elf, struct cprof_dwarf *ret)
{
    int r;

    memset(ret, 0, sizeof(*ret));
    ret->elf = elf;
    r = read_sections(ret);
    if (r < 0)
        cprof_dwarf_close(ret);
    return r;
}

int cprof_dwarf_open(struct cprof_elf *elf, struct cprof_dwarf *ret)
{
    int r = cprof_dwarf_load(elf, ret);

    if (r == 0)
        r = cprof_dwarf_begin(ret);
    if (r < 0)
        cprof_dwarf_close(ret);
    return r;
}

void cprof_dwarf_close(struct cprof_dwarf *dwarf)
{
    if (dwarf->dwarf)
        dwarf_end(dwarf->dwarf);
    if (dwarf->handle)
        elf_end(dwarf->handle);
    for (size_t i = 0; i < CPROF_N_DWARF_SECTIONS; i++)
        free(dwarf->unpacked[i]);
    cprof_elf_unref(dwarf->elf);
    memset(dwarf, 0, sizeof(*dwarf));
}

/* ---- units and attributes ---- */

bool cprof_unit_bytes(struct cprof_cursor info, uint64_t offset,
                      struct cprof_unit_bytes *ret)
{
    struct cprof_cursor *at = &ret->dies;

    memset(ret, 0, sizeof(*ret));
    ret->start = cprof_cursor_take(&info, offset) ? info.at : NULL;
    if (!ret->start || !cprof_cursor_unit(&info, at, &ret->offset_size))
        return false;
    ret->version = (unsigned)cprof_cursor_fixed(at, 2);
    if (ret->version >= 5) {
        ret->type = (unsigned)cprof_cursor_fixed(at, 1);
        ret->address_size = (unsigned)cprof_cursor_fixed(at, 1);
        ret->abbrev_offset = cprof_cursor_fixed(at, ret->offset_size);
        if (ret->type == DW_UT_skeleton || ret->type == DW_UT_split_compile)
            ret->id = cprof_cursor_fixed(at, 8);
        if (ret->type == DW_UT_type || ret->type == DW_UT_split_type)
            cprof_cursor_take(at, 8 + ret->offset_size);
    } else {
        ret->abbrev_offset = cprof_cursor_fixed(at, ret->offset_size);
        ret->address_size = (unsigned)cprof_cursor_fixed(at, 1);
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
    const struct cprof_cursor *info = &dwarf->sections[CPROF_DWARF_INFO];
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
