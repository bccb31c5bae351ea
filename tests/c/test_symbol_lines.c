/* symbol_lines: a program is built here in every form that debug information comes in;
 * what is said of each of its instructions is compared with addr2line and with libdw's
 * own reading, and must not depend on the form. */
#include "test.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "folder.h"
#include "symbol_lines.h"
#include "vec.h"

static const char PROGRAM[] = /* */
    "#include \"inner.h\"\n"
    "static inline int middle(int x)\n"
    "{\n"
    "    return inner(x) * 3;\n"
    "}\n"
    "__attribute__((noinline)) int outer(int x)\n"
    "{\n"
    "    for (int i = 0; i < x; i++)\n"
    "        x += middle(i) ^ x;\n"
    "    return x;\n"
    "}\n"
    "__attribute__((noinline, section(\".text.apart\"))) int apart(int x)\n"
    "{\n"
    "    return middle(x + 1) / (x | 1);\n"
    "}\n"
    "int main(int argc, char **argv)\n"
    "{\n"
    "    (void)argv;\n"
    "    return outer(argc) + apart(argc);\n"
    "}\n";
static const char INNER[] = /* in a directory of its own */
    "#include <stdlib.h>\n"
    "static inline int inner(int x)\n"
    "{\n"
    "    if (x == 12345)\n"
    "        abort();\n"
    "    return x * x + 7;\n"
    "}\n";

static const char BUILD[] = "-O2 -Iinclude -ffunction-sections program.c";

/* One line for each frame of each address: "function file:line". */
struct answers {
    CPROF_VEC(uint64_t) addresses;
    CPROF_VEC(char *) texts; /* by address */
};

static void answers_deinit(struct answers *a)
{
    for (size_t i = 0; i < a->texts.n; i++)
        free(a->texts.data[i]);
    cprof_vec_free(&a->texts);
    cprof_vec_free(&a->addresses);
}

/* The address of each instruction of the program's own functions. */
static void read_addresses(struct answers *a, const char *name)
{
    char command[PATH_MAX + 256];
    unsigned long long address;
    FILE *pipe;

    snprintf(command, sizeof(command),
             "cd %s && for f in outer apart main; do objdump -d --no-show-raw-insn "
             "--disassemble=$f %s; done | sed -n 's/^ *\\([0-9a-f]*\\):\\t.*/\\1/p'",
             dir, name);
    pipe = popen(command, "r");
    while (fscanf(pipe, "%llx", &address) == 1)
        CHECK_EQ(cprof_vec_push(&a->addresses, address), 0);
    pclose(pipe);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int take(void *arg, size_t i, const struct cprof_lines_frame *frames, size_t n)
{
    struct answers *a = arg;
    size_t size = 0;
    FILE *out = open_memstream(&a->texts.data[i], &size);

    for (size_t k = 0; k < n; k++) {
        fprintf(out, "%s %s:%lld\n", frames[k].name ? frames[k].name : "?",
                base_name(frames[k].file), (long long)frames[k].line);
        CHECK(frames[k].file[0] == '/');
        CHECK(frames[k].start_line <= frames[k].line);
    }
    fclose(out);
    return 0;
}

static int open_lines(const char *name, const char *root, uint64_t most,
                      struct cprof_lines **ret)
{
    char path[PATH_MAX];
    struct cprof_elf *elf;
    int r;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    r = cprof_elf_open(path, &elf, NULL);
    if (r == 0) {
        struct cprof_lines_from from = {
            .elf = elf, .root = root, .path = path, .most = most};
        r = cprof_lines_open(&from, ret, NULL);
        cprof_elf_unref(elf);
    }
    return r;
}

/* What we say of `name`, at the addresses that are in *a already. */
static void ask(struct answers *a, const char *name)
{
    struct cprof_lines *lines;

    for (size_t i = 0; i < a->addresses.n; i++)
        CHECK_EQ(cprof_vec_push(&a->texts, NULL), 0);
    if (open_lines(name, "", 0, &lines) < 0) {
        fprintf(stderr, "%s has no lines\n", name);
        CHECK(false);
        return;
    }
    CHECK_EQ(cprof_lines_find(lines, a->addresses.data, a->addresses.n, take, a), 0);
    CHECK_EQ(cprof_lines_n_refused(lines), 0);
    cprof_lines_close(lines);
}

/* What addr2line says of one address, in the same words. */
static void addr2line(const char *name, uint64_t address, char *ret, size_t room)
{
    char command[PATH_MAX + 256], function[256], place[PATH_MAX];
    size_t n = 0;
    FILE *pipe;

    snprintf(command, sizeof(command), "cd %s && addr2line -i -f -e %s 0x%llx", dir, name,
             (unsigned long long)address);
    pipe = popen(command, "r");
    ret[0] = '\0';
    while (fgets(function, sizeof(function), pipe) && fgets(place, sizeof(place), pipe)) {
        function[strcspn(function, "\n")] = '\0';
        place[strcspn(place, "\n (")] = '\0'; /* "(discriminator 2)" */
        n += (size_t)snprintf(ret + n, room - n, "%s %s\n", function, base_name(place));
    }
    pclose(pipe);
}

static struct answers plain; /* of the program in its plainest form */

static void test_says_what_addr2line_says(void)
{
    size_t n_inlined = 0;

    CHECK(sh("gcc -g %s -o plain", BUILD));
    read_addresses(&plain, "plain");
    ask(&plain, "plain");
    CHECK(plain.addresses.n > 30);
    for (size_t i = 0; i < plain.addresses.n; i++) {
        char expected[4096];
        addr2line("plain", plain.addresses.data[i], expected, sizeof(expected));
        CHECK_STR(plain.texts.data[i], expected);
        n_inlined += !strncmp(plain.texts.data[i], "inner inner.h:", 14);
    }
    CHECK(n_inlined > 5); /* or it shows nothing */
}

/* libdw reads the same rows. */
static void test_says_what_libdw_says(void)
{
    char path[PATH_MAX];
    Dwarf *dwarf;
    int fd;

    snprintf(path, sizeof(path), "%s/plain", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    dwarf = dwarf_begin(fd, DWARF_C_READ);
    for (size_t i = 0; dwarf && i < plain.addresses.n; i++) {
        const char *place = strchr(plain.texts.data[i], ' ') + 1;
        char expected[PATH_MAX];
        Dwarf_Die unit;
        Dwarf_Line *line;
        int number = 0;
        CHECK(dwarf_addrdie(dwarf, plain.addresses.data[i], &unit));
        line = dwarf_getsrc_die(&unit, plain.addresses.data[i]);
        CHECK(line);
        dwarf_lineno(line, &number);
        snprintf(expected, sizeof(expected), "%s:%d",
                 base_name(dwarf_linesrc(line, NULL, NULL)), number);
        CHECK(!strncmp(place, expected, strlen(expected)));
    }
    CHECK(dwarf);
    dwarf_end(dwarf);
    close(fd);
}

/* `name` has the same code as "plain" (its addresses are checked), and its debug
 * information in another form: it must say the same. */
static void check_form(const char *name)
{
    struct answers form = {0};

    read_addresses(&form, name);
    CHECK_EQ(form.addresses.n, plain.addresses.n);
    if (form.addresses.n == plain.addresses.n) {
        CHECK(!memcmp(form.addresses.data, plain.addresses.data,
                      plain.addresses.n * sizeof(*plain.addresses.data)));
        ask(&form, name);
        for (size_t i = 0; i < plain.addresses.n; i++)
            CHECK_STR(form.texts.data[i], plain.texts.data[i]);
    }
    answers_deinit(&form);
}

static void test_every_version_of_dwarf(void)
{
    for (int version = 2; version <= 5; version++) {
        CHECK(sh("gcc -gdwarf-%d %s -o v%d", version, BUILD, version));
        char name[16];
        snprintf(name, sizeof(name), "v%d", version);
        check_form(name);
    }
    CHECK(sh("gcc -g -gdwarf64 %s -o wide", BUILD));
    check_form("wide");
    CHECK(sh("gcc -g -fdebug-types-section %s -o types", BUILD));
    check_form("types");
    CHECK(sh("gcc -g -gno-as-loc-support %s -o gcclines", BUILD)); /* gcc's own program */
    check_form("gcclines");
}

static void test_compressed_sections(void)
{
    CHECK(sh("gcc -g -gz=zlib %s -o packed", BUILD));
    check_form("packed");
    CHECK(sh("objcopy --compress-debug-sections=zlib-gnu plain packed.gnu"));
    check_form("packed.gnu");
}

/* .dwo files beside the program, all of them in one .dwp, then none at all. */
static void test_split_units(void)
{
    for (int version = 4; version <= 5; version++) {
        struct answers lost = {0};
        char name[24];
        snprintf(name, sizeof(name), "split%d", version);
        CHECK(sh("gcc -gdwarf-%d -gsplit-dwarf %s -o %s", version, BUILD, name));
        check_form(name);
        if (!sh("dwp -e %s -o %s.dwp 2>dwp.err", name, name))
            fprintf(stderr, "no .dwp of DWARF %d here\n", version);
        CHECK(sh("rm -f *.dwo"));
        if (sh("test -s %s.dwp", name))
            check_form(name);
        CHECK(sh("rm -f %s.dwp", name));
        for (size_t i = 0; i < plain.addresses.n; i++)
            CHECK_EQ(cprof_vec_push(&lost.addresses, plain.addresses.data[i]), 0);
        ask(&lost, name); /* the program itself still has files and lines */
        CHECK_EQ(strncmp(lost.texts.data[0], "? program.c:", 12), 0);
        answers_deinit(&lost);
    }
    CHECK(sh("gcc -gdwarf-5 -gsplit-dwarf -fdebug-types-section %s -o split", BUILD));
    check_form("split");
    CHECK(sh("rm -f *.dwo"));
}

/* What two files have in common, in a third one. */
static void test_alternate_file(void)
{
    if (!sh("command -v dwz >/dev/null")) {
        fprintf(stderr, "no dwz here\n");
        return;
    }
    CHECK(sh("cp plain one && cp plain two && dwz -m common one two"));
    CHECK(sh("readelf -S one | grep -q gnu_debugaltlink"));
    check_form("one");
}

static void test_separate_debug_file(void)
{
    CHECK(sh("objcopy --only-keep-debug plain apart.debug && "
             "objcopy --strip-debug --add-gnu-debuglink=apart.debug plain apart"));
    check_form("apart");
    CHECK(sh("mkdir -p .debug && mv apart.debug .debug/"));
    check_form("apart");
}

static void test_in_the_targets_own_file_system(void)
{
    struct answers found = {0};
    struct cprof_lines *lines;
    char root[PATH_MAX];

    CHECK(sh("mkdir -p root$PWD && mv .debug root$PWD/"));
    CHECK_EQ(open_lines("apart", "", 0, &lines), -ENODATA);
    snprintf(root, sizeof(root), "%s/root", dir);
    CHECK_EQ(open_lines("apart", root, 0, &lines), 0);
    CHECK_EQ(cprof_vec_push(&found.addresses, plain.addresses.data[0]), 0);
    CHECK_EQ(cprof_vec_push(&found.texts, NULL), 0);
    CHECK_EQ(cprof_lines_find(lines, found.addresses.data, 1, take, &found), 0);
    CHECK_STR(found.texts.data[0], plain.texts.data[0]);
    cprof_lines_close(lines);
    answers_deinit(&found);
}

static void test_limits(void)
{
    struct cprof_lines *lines;

    CHECK_EQ(open_lines("plain", "", 16, &lines), -EFBIG);
    CHECK(sh("strip -o bare plain"));
    CHECK_EQ(open_lines("bare", "", 0, &lines), -ENODATA);
    CHECK_EQ(open_lines("plain", "", 0, &lines), 0);
    CHECK(cprof_lines_size(lines) > 100);
    cprof_lines_close(lines);
}

static int take_nothing(void *arg, size_t i, const struct cprof_lines_frame *frames,
                        size_t n)
{
    (void)i;
    (void)frames;
    CHECK_EQ(n, 0);
    ++*(int *)arg;
    return 0;
}

static void test_addresses_of_no_code(void)
{
    uint64_t addresses[] = {0, UINT64_MAX, 0x10, 0x10};
    struct cprof_lines *lines;
    int n = 0;

    CHECK_EQ(open_lines("plain", "", 0, &lines), 0);
    CHECK_EQ(cprof_lines_find(lines, addresses, 4, take_nothing, &n), 0);
    CHECK_EQ(n, 4);
    CHECK_EQ(cprof_lines_find(lines, NULL, 0, take_nothing, &n), 0);
    cprof_lines_close(lines);
}

/* ---- files that are not as they should be ---- */

static int ignore(void *arg, size_t i, const struct cprof_lines_frame *frames, size_t n)
{
    size_t *total = arg;

    (void)i;
    for (size_t k = 0; k < n; k++)
        *total += strlen(frames[k].file) + (frames[k].name ? strlen(frames[k].name) : 0);
    return 0;
}

/* The bytes of `name` in `dir`; *n of them. Owned. */
static uint8_t *read_bytes(const char *name, size_t *n)
{
    char path[PATH_MAX];
    uint8_t *bytes;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "r");
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(*n);
    CHECK_EQ(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

/* What is read must stay inside, whatever it says. */
static void ask_all(const struct cprof_lines_from *from, size_t *total)
{
    struct cprof_lines *lines;

    if (cprof_lines_open(from, &lines, NULL) < 0)
        return;
    cprof_lines_find(lines, plain.addresses.data, plain.addresses.n, ignore, total);
    cprof_lines_close(lines);
}

/* Each byte of the debug sections changed in turn. */
static void test_damaged_bytes(void)
{
    struct cprof_elf *elf;
    size_t total = 0, n;
    uint8_t *bytes = read_bytes("plain", &n);

    for (size_t i = 0x3000; i < n; i += 3) {
        uint8_t *copy = malloc(n);
        memcpy(copy, bytes, n);
        copy[i] ^= (uint8_t)(1u << i % 8 | 0x80);
        if (cprof_elf_open_bytes(copy, n, "damaged", &elf, NULL) < 0)
            continue;
        ask_all(&(struct cprof_lines_from){.elf = elf, .root = "", .path = "damaged"},
                &total);
        cprof_elf_unref(elf);
    }
    CHECK(total > 0);
    free(bytes);
}

/* The same of a .dwo and a .dwp, which lie beside the program. */
static void test_damaged_split_files(void)
{
    static const char *const made[] = {"hurt-program.dwo", "hurt.dwp"};
    char path[PATH_MAX], of[PATH_MAX];
    struct cprof_elf *elf;

    CHECK(sh("gcc -gdwarf-4 -gsplit-dwarf %s -o hurt", BUILD));
    if (!sh("dwp -e hurt -o hurt.dwp"))
        return;
    snprintf(path, sizeof(path), "%s/hurt", dir);
    CHECK_EQ(cprof_elf_open(path, &elf, NULL), 0);
    for (size_t k = 2; k-- > 0;) { /* the .dwp, while it is there, is what is asked */
        size_t total = 0, n;
        uint8_t *bytes = read_bytes(made[k], &n);
        snprintf(of, sizeof(of), "%s/%s", dir, made[k]);
        for (size_t i = 0; i < n; i += 5) {
            FILE *file = fopen(of, "w");
            bytes[i] ^= (uint8_t)(1u << i % 8 | 0x80);
            fwrite(bytes, 1, n, file);
            fclose(file);
            bytes[i] ^= (uint8_t)(1u << i % 8 | 0x80);
            ask_all(&(struct cprof_lines_from){.elf = elf, .root = "", .path = path},
                    &total);
        }
        CHECK(total > 0);
        free(bytes);
        remove(of);
    }
    cprof_elf_unref(elf);
}

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* 100,000 units of 21 bytes, by turns with two tables of 200,000 abbreviations: 2e10 of
 * them if each were read. Then nesting without end, then a line program of rows only. */
static const char UNITS[] =
    ".text\nstart: .fill 400000, 1, 0x90\n"
    ".macro root\n.uleb128 1; .uleb128 0x11; .byte 0; .uleb128 0x11; .uleb128 1; "
    ".uleb128 0x12; .uleb128 0xb; .byte 0, 0\n.endm\n"
    ".section .debug_abbrev, \"\", @progbits\n"
    "abbrevs: root\nsecond: root\n"
    ".set code, 2\n.rept 200000\n.uleb128 code; .uleb128 0x34; .byte 0, 0, 0\n"
    ".set code, code + 1\n.endr\n.byte 0\n"
    ".section .debug_info, \"\", @progbits\n.set at, 0\n.rept 100000\n"
    ".long 17; .value 4; .long (at & 2) / 2 * (second - abbrevs); .byte 8; .uleb128 1; "
    ".quad start + at; .byte 2\n"
    ".set at, at + 2\n.endr\n";
static const char NESTED[] =
    ".text\nstart: .fill 16, 1, 0x90\n"
    ".section .debug_abbrev, \"\", @progbits\n"
    "abbrevs: .uleb128 1; .uleb128 0x11; .byte 1; .uleb128 0x11; .uleb128 1; "
    ".uleb128 0x12; .uleb128 0xb; .byte 0, 0\n"
    ".uleb128 2; .uleb128 0x1d; .byte 1; .uleb128 0x31; .uleb128 0x13; .byte 0, 0, 0\n"
    ".section .debug_info, \"\", @progbits\n"
    ".long end - begin\nbegin: .value 4; .long 0; .byte 8; .uleb128 1; .quad start; "
    ".byte 16\n.rept 1000000\n.uleb128 2; .long 11\n.endr\nend:\n";
static const char ROWS[] =
    ".text\nstart: .fill 16, 1, 0x90\n"
    ".section .debug_abbrev, \"\", @progbits\n"
    "abbrevs: .uleb128 1; .uleb128 0x11; .byte 0; .uleb128 0x11; .uleb128 1; "
    ".uleb128 0x12; .uleb128 0xb; .uleb128 0x10; .uleb128 0x17; .byte 0, 0, 0\n"
    ".section .debug_info, \"\", @progbits\n"
    ".long end - begin\nbegin: .value 4; .long 0; .byte 8; .uleb128 1; .quad start; "
    ".byte 16; .long 0\nend:\n"
    ".section .debug_line, \"\", @progbits\n"
    ".long last - first\nfirst: .value 4; .long code - header\nheader: .byte 1, 1, 1, "
    "-1, "
    "1, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1; .byte 0, 0\ncode: .byte 0, 9, 2; .quad start\n"
    ".fill 20000000, 1, 10\nlast:\n";

static void test_hostile_files_cost_little(void)
{
    const char *const sources[] = {UNITS, NESTED, ROWS};
    long before = peak_kib();
    double start;

    for (size_t i = 0; i < 3; i++) {
        uint64_t addresses[1000];
        struct cprof_lines *lines;
        char path[PATH_MAX];
        struct cprof_elf *elf;
        size_t total = 0;
        write_file("hostile.s", sources[i]);
        if (!sh("gcc -nostdlib -shared -Wl,--build-id=none -Wl,-z,noseparate-code "
                "hostile.s -o hostile && nm hostile | grep -q ' start$'")) {
            CHECK(false);
            continue;
        }
        snprintf(path, sizeof(path), "%s/hostile", dir);
        CHECK_EQ(cprof_elf_open(path, &elf, NULL), 0);
        const struct cprof_elf_section *text = cprof_elf_find(elf, ".text");
        for (size_t k = 0; k < 1000; k++)
            addresses[k] = text->vaddr + k * (text->size / 1001 | 2);
        struct cprof_lines_from from = {.elf = elf, .root = "", .path = path};
        start = cpu_seconds();
        CHECK_EQ(cprof_lines_open(&from, &lines, NULL), 0);
        CHECK_EQ(cprof_lines_find(lines, addresses, 1000, ignore, &total), 0);
        CHECK(cpu_seconds() - start < 100); /* 0.1 s here; without bounds hours */
        CHECK(i == 2 || cprof_lines_n_refused(lines) > 0); /* rows are linear */
        cprof_lines_close(lines);
        cprof_elf_unref(elf);
    }
    CHECK(peak_kib() - before < 400 * 1024);
}

static int attempt(void *arg)
{
    struct cprof_lines *lines;
    size_t total = 0;
    int r = open_lines("apart", arg, 0, &lines);

    if (r < 0)
        return r;
    r = cprof_lines_find(lines, plain.addresses.data, plain.addresses.n, ignore, &total);
    cprof_lines_close(lines);
    return r;
}

static void test_out_of_memory(void)
{
    char root[PATH_MAX];

    snprintf(root, sizeof(root), "%s/root", dir);
    CHECK_EQ(sweep(attempt, root), 0);
}

int main(void)
{
    unsetenv("DEBUGINFOD_URLS");
    if (!mkdtemp(dir))
        return 1;
    CHECK(sh("mkdir include"));
    write_file("program.c", PROGRAM);
    write_file("include/inner.h", INNER);
    RUN(test_says_what_addr2line_says);
    RUN(test_says_what_libdw_says);
    RUN(test_every_version_of_dwarf);
    RUN(test_compressed_sections);
    RUN(test_split_units);
    RUN(test_alternate_file);
    RUN(test_separate_debug_file);
    RUN(test_in_the_targets_own_file_system);
    RUN(test_limits);
    RUN(test_addresses_of_no_code);
    RUN(test_damaged_bytes);
    RUN(test_damaged_split_files);
    RUN(test_hostile_files_cost_little);
    RUN(test_out_of_memory);
    answers_deinit(&plain);
    if (!sh("rm -rf %s", dir))
        return 1;
    return test_report(__FILE__);
}
