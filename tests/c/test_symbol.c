/* symbol: small programs are built here with the compiler and binutils, and what the
 * table says is compared with nm, objdump and readelf. */
#include "test.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "symbol_internal.h"

/* A table with what its look-ups need around it. */
struct opened {
    struct cprof_elf *elf;
    struct cprof_symbols *symbols;
    struct cprof_symbol found;
};

/* The table of `name` in `dir` (or of an absolute path). `build_id_n` 1 is a build id
 * that no debug file can have: what the machine has installed must not matter. */
static struct opened open_with(const char *name, const char *root, size_t build_id_n)
{
    struct opened opened = {0};
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : dir,
             name[0] == '/' ? "" : "/", name);
    CHECK_EQ(cprof_elf_open(path, &opened.elf, NULL), 0);
    CHECK_EQ(cprof_symbols_create_elf(opened.elf, root, path, (const uint8_t *)"x",
                                      build_id_n, &opened.symbols),
             0);
    return opened;
}

static struct opened open_alone(const char *name)
{
    return open_with(name, "", 1);
}

static void close_it(struct opened *opened)
{
    cprof_symbols_destroy(opened->symbols);
    cprof_elf_unref(opened->elf);
}

static const char *name_at(struct opened *opened, uint64_t address)
{
    cprof_symbols_find(opened->symbols, address, &opened->found);
    return opened->found.name;
}

struct function {
    uint64_t start, size;
    char name[200];
};
struct functions {
    struct function all[8192];
    size_t n;
};

/* What nm says: the functions of known size that `options` select. */
static struct functions *functions_of(const char *options, const char *name)
{
    struct functions *functions = calloc(1, sizeof(*functions));
    char line[4096];
    FILE *pipe;

    snprintf(line, sizeof(line), "cd %s && nm --defined-only -S %s %s", dir, options,
             name);
    pipe = popen(line, "r");
    while (functions->n < 8192 && fgets(line, sizeof(line), pipe)) {
        struct function *f = &functions->all[functions->n];
        unsigned long long start, size;
        char type;
        if (sscanf(line, "%llx %llx %c %199s", &start, &size, &type, f->name) != 4 ||
            !strchr("tTwWiu", type) || !size)
            continue;
        f->start = start;
        f->size = size;
        f->name[strcspn(f->name, "@")] = '\0';
        functions->n++;
    }
    pclose(pipe);
    return functions;
}

static uint64_t address_of(const struct functions *functions, const char *name)
{
    for (size_t i = 0; i < functions->n; i++)
        if (!strcmp(functions->all[i].name, name))
            return functions->all[i].start;
    return 0;
}

/* Is what was found the innermost of nm's functions at `address`, by one of its names? */
static bool is_innermost(const struct functions *functions,
                         const struct cprof_symbol *found, uint64_t address)
{
    const struct function *best = NULL;
    bool is_named = false;

    for (size_t i = 0; i < functions->n; i++) {
        const struct function *f = &functions->all[i];
        if (address - f->start < f->size &&
            (!best || f->start > best->start ||
             (f->start == best->start && f->size < best->size)))
            best = f;
    }
    for (size_t i = 0; best && i < functions->n; i++) {
        const struct function *f = &functions->all[i];
        is_named |= f->start == best->start && f->size == best->size &&
                    !strcmp(f->name, found->name);
    }
    return is_named && found->start == best->start && found->size == best->size;
}

static void check_against_nm(const char *options, const char *name, size_t at_least)
{
    struct functions *functions = functions_of(options, name);
    struct opened opened = open_alone(name);

    CHECK(functions->n >= at_least);
    for (size_t i = 0; i < functions->n; i++) {
        uint64_t start = functions->all[i].start, size = functions->all[i].size;
        uint64_t addresses[] = {start, start + size / 2, start + size - 1};
        for (size_t k = 0; k < 3; k++) {
            const char *found = name_at(&opened, addresses[k]);
            if (!is_innermost(functions, &opened.found, addresses[k])) {
                fprintf(stderr, "%s %#llx: %s\n", name, (unsigned long long)addresses[k],
                        found);
                CHECK(!"the innermost function by one of its names");
            }
        }
    }
    close_it(&opened);
    free(functions);
}

static const char program[] =
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "static int __attribute__((noinline)) inner(int x)\n"
    "{ if (x > 100) puts(\"big\"); return x * 3; }\n"
    "int __attribute__((noinline)) outer(int x)\n"
    "{ return inner(x) + inner(x + 1) + rand(); }\n"
    "static int __attribute__((noinline)) by_size(const void *a, const void *b)\n"
    "{ return *(int *)a - *(int *)b; }\n"
    "int main(int argc, char **argv)\n"
    "{ int v[3] = {argc, 2, 1}; qsort(v, 3, 4, by_size); free(calloc(argc, 2));\n"
    "  printf(\"%s %d\\n\", argv[0], outer(v[1])); return 0; }\n";

static void build_program(void)
{
    write_file("program.c", program);
    CHECK(sh("gcc -O1 -g -fno-optimize-sibling-calls -rdynamic program.c -o full"));
    CHECK(sh("strip -s full -o stripped && objcopy --only-keep-debug full full.debug"));
}

static void test_every_function_of_nm(void)
{
    check_against_nm("", "full", 4);
    check_against_nm("-D", "stripped", 2);
    check_against_nm("-D", "/bin/bash", 1000);
    if (access("/usr/bin/python3", R_OK) == 0)
        check_against_nm("-D", "/usr/bin/python3", 1);
    check_against_nm("-D", "/lib64/ld-linux-x86-64.so.2", 10);
}

/* Without a name: one for all addresses of the function, and another for each other. */
static void test_stripped_function_has_one_name(void)
{
    struct functions *functions = functions_of("", "full");
    struct opened opened = open_alone("stripped");
    static const char *const hidden[] = {"inner", "by_size"};
    char want[64];

    for (size_t i = 0; i < 2; i++) {
        uint64_t start = address_of(functions, hidden[i]), size = 0;
        for (size_t k = 0; k < functions->n; k++)
            if (functions->all[k].start == start)
                size = functions->all[k].size;
        CHECK(start && size > 3);
        snprintf(want, sizeof(want), "stripped!fn_0x%llx", (unsigned long long)start);
        for (uint64_t address = start; address < start + size; address++)
            CHECK_STR(name_at(&opened, address), want);
        CHECK_EQ(opened.found.source, CPROF_SYMBOL_FDE);
        CHECK_EQ(opened.found.start, start);
        CHECK_EQ(opened.found.size, size);
    }
    CHECK_STR(name_at(&opened, address_of(functions, "outer")), "outer");
    CHECK_STR(name_at(&opened, 0), "[unknown]");
    CHECK_STR(name_at(&opened, UINT64_MAX), "[unknown]");
    CHECK_EQ(opened.found.source, CPROF_SYMBOL_UNKNOWN);
    close_it(&opened);
    free(functions);
}

static void test_debug_file_by_build_id(void)
{
    struct functions *functions = functions_of("", "full");
    uint64_t inner = address_of(functions, "inner");
    struct opened opened;
    char root[PATH_MAX], id_hex[2 * CPROF_BUILD_ID_MAX + 1];
    const uint8_t *id;
    uint8_t copy[CPROF_BUILD_ID_MAX];
    size_t n;

    snprintf(root, sizeof(root), "%s/root", dir);
    opened = open_alone("stripped");
    id = cprof_elf_build_id(opened.elf, &n);
    memcpy(copy, id, n);
    cprof_build_id_hex(id, n, id_hex);
    close_it(&opened);
    CHECK(sh("d=root/usr/lib/debug/.build-id/%.2s && mkdir -p $d && "
             "cp full.debug $d/%s.debug",
             id_hex, id_hex + 2));

    opened = open_with("stripped", root, 0);
    CHECK_STR(name_at(&opened, inner + 1), "inner");
    CHECK_EQ(opened.found.source, CPROF_SYMBOL_SYMTAB);
    close_it(&opened);
    opened = open_with("stripped", "", 0); /* not below our own root */
    CHECK(strcmp(name_at(&opened, inner + 1), "inner"));
    close_it(&opened);

    /* the program itself is gone: its build id is enough */
    CHECK_EQ(cprof_symbols_create_elf(NULL, root, "/gone", copy, n, &opened.symbols), 0);
    CHECK_STR(name_at(&opened, inner + 1), "inner");
    CHECK_STR(name_at(&opened, 1), "[unknown]");
    cprof_symbols_destroy(opened.symbols);

    /* another program's debug file in its place is not believed */
    CHECK(sh("gcc -O2 -g program.c -o other && "
             "cp other root/usr/lib/debug/.build-id/%.2s/%s.debug && chmod u+w root -R",
             id_hex, id_hex + 2));
    opened = open_with("stripped", root, 0);
    CHECK(strcmp(name_at(&opened, inner + 1), "inner"));
    close_it(&opened);
    free(functions);
}

static void test_debug_file_by_link(void)
{
    static const char *const places[] = {".", ".debug", "root2/usr/lib/debug$PWD"};
    char root[PATH_MAX];
    uint64_t inner;
    struct functions *functions;
    struct opened opened;

    snprintf(root, sizeof(root), "%s/root2", dir);
    CHECK(sh("gcc -O1 -g -Wl,--build-id=none program.c -o linked && "
             "objcopy --only-keep-debug linked linked.dbg && cp linked linked.all && "
             "strip -s linked && objcopy --add-gnu-debuglink=linked.dbg linked && "
             "mv linked.dbg kept"));
    functions = functions_of("", "linked.all");
    inner = address_of(functions, "inner");
    for (size_t i = 0; i < 3; i++) {
        CHECK(sh("mkdir -p %s && cp kept %s/linked.dbg", places[i], places[i]));
        opened = open_with("linked", root, 0);
        CHECK_STR(name_at(&opened, inner), "inner");
        close_it(&opened);
        CHECK(sh("printf x >> %s/linked.dbg", places[i])); /* the CRC no longer fits */
        opened = open_with("linked", root, 0);
        CHECK(strcmp(name_at(&opened, inner), "inner"));
        close_it(&opened);
        CHECK(sh("rm %s/linked.dbg", places[i]));
    }
    free(functions);
}

/* The same program, told apart by its build id only, as after a rebuild. */
static void test_debug_link_to_another_build(void)
{
    struct opened opened;
    struct functions *functions;

    CHECK(sh("gcc -O1 -g -Wl,--build-id=0xaaaa program.c -o one && "
             "gcc -O1 -g -Wl,--build-id=0xbbbb program.c -o two && "
             "cp one one.all && strip -s one && cp two one.dbg && "
             "objcopy --add-gnu-debuglink=one.dbg one"));
    functions = functions_of("", "one.all");
    opened = open_with("one", "", 0);
    CHECK(strcmp(name_at(&opened, address_of(functions, "inner")), "inner"));
    close_it(&opened);
    CHECK(sh("objcopy --only-keep-debug one.all one.dbg && strip -s one.all -o one && "
             "objcopy --add-gnu-debuglink=one.dbg one"));
    opened = open_with("one", "", 0);
    CHECK_STR(name_at(&opened, address_of(functions, "inner")), "inner");
    close_it(&opened);
    free(functions);
}

/* As Fedora does: the functions that .dynsym lacks, in xz. */
static void build_mini(void)
{
    CHECK(sh(
        "nm -D full --format=posix --defined-only | awk '{print $1}' | sort > dyn && "
        "nm full --format=posix --defined-only | "
        "awk '$2 ~ /^[TtDd]$/ {print $1}' | sort > fun && "
        "comm -13 dyn fun > keep && "
        "objcopy -S --keep-symbols=keep full.debug mini && rm -f mini.xz && xz mini && "
        "objcopy --add-section .gnu_debugdata=mini.xz stripped with_mini"));
}

static void test_minidebuginfo(void)
{
    struct functions *functions = functions_of("", "full");
    struct opened opened;

    build_mini();
    opened = open_alone("with_mini");
    CHECK_STR(name_at(&opened, address_of(functions, "inner") + 2), "inner");
    CHECK_EQ(opened.found.source, CPROF_SYMBOL_DEBUGDATA);
    CHECK_STR(name_at(&opened, address_of(functions, "outer") + 2), "outer");
    CHECK_EQ(opened.found.source, CPROF_SYMBOL_DYNSYM);
    close_it(&opened);

    /* cut short, or not xz at all: then there are fewer names, and no failure */
    CHECK(sh("head -c 100 mini.xz > cut && echo no > junk && "
             "objcopy --add-section .gnu_debugdata=cut stripped with_cut && "
             "objcopy --add-section .gnu_debugdata=junk stripped with_junk"));
    for (size_t i = 0; i < 2; i++) {
        opened = open_alone(i ? "with_cut" : "with_junk");
        CHECK(strstr(name_at(&opened, address_of(functions, "inner")), "!fn_0x"));
        CHECK_STR(name_at(&opened, address_of(functions, "outer") + 2), "outer");
        close_it(&opened);
    }
    free(functions);
}

/* Every "<name@plt>:" that objdump finds in `sections`. */
static void check_plt(const char *name, size_t at_least)
{
    struct opened opened = open_alone(name);
    char line[4096];
    size_t n = 0;
    FILE *pipe;

    snprintf(line, sizeof(line),
             "cd %s && objdump -d -j .plt -j .plt.sec -j .plt.got %s 2>/dev/null | "
             "grep '@plt>:'",
             dir, name);
    pipe = popen(line, "r");
    while (fgets(line, sizeof(line), pipe)) {
        unsigned long long address;
        char want[200] = "";
        CHECK_EQ(sscanf(line, "%llx <%199[^>]", &address, want), 2);
        CHECK_STR(name_at(&opened, address), want);
        CHECK_STR(name_at(&opened, address + 5), want);
        CHECK_EQ(opened.found.source, CPROF_SYMBOL_PLT);
        CHECK_EQ(opened.found.start, address);
        n++;
    }
    pclose(pipe);
    CHECK(n >= at_least);
    close_it(&opened);
}

static void test_plt_names_are_those_of_objdump(void)
{
    static const char *const flags[] = {
        "-fcf-protection=none -Wl,-z,lazy",   "-fcf-protection=none -Wl,-z,now",
        "-fcf-protection=full -Wl,-z,lazy",   "-fcf-protection=full -Wl,-z,now",
        "-fcf-protection=full -Wl,-z,ibtplt", "-no-pie -fno-pic -Wl,-z,lazy",
        "-no-pie -Wl,-z,ibtplt,-z,now",       "-Wl,--hash-style=sysv -Wl,-z,lazy",
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        CHECK(sh("gcc -O1 %s program.c -o plt%zu && strip -s plt%zu", flags[i], i, i));
        char name[32];
        snprintf(name, sizeof(name), "plt%zu", i);
        check_plt(name, 4);
    }
    check_plt("/bin/bash", 100);
}

/* A stub that binds lazily is two: the one called, and the one that its slot first points
 * at, which pushes the number of its relocation. */
static void test_lazy_half_of_an_ibt_stub(void)
{
    struct opened opened = open_alone("plt4");
    const struct cprof_elf_section *plt = cprof_elf_find(opened.elf, ".plt");
    const struct cprof_elf_section *second = cprof_elf_find(opened.elf, ".plt.sec");
    char want[200];

    CHECK(plt && second && second->size >= 32);
    for (uint64_t i = 0; i < second->size / 16; i++) {
        snprintf(want, sizeof(want), "%s", name_at(&opened, second->vaddr + 16 * i));
        CHECK(strstr(want, "@plt"));
        CHECK_STR(name_at(&opened, plt->vaddr + 16 * (i + 1)), want);
    }
    close_it(&opened);
}

/* Each jump of .plt ("ADDRESS: ... # SLOT") goes through a slot that a relocation fills
 * ("SLOT ... R_X86_64_IRELATIV RESOLVER"); the shell joins the two by slot. */
static void check_static_plt(const char *name, bool is_stripped)
{
    struct opened opened = open_alone(name);
    unsigned long long slot, address, resolver;
    char line[4096];
    size_t n = 0;
    FILE *pipe;

    snprintf(
        line, sizeof(line),
        "cd %s && objdump -d -j .plt %s | sed -n 's/^ *\\([0-9a-f]*\\):.*jmp.*"
        "# \\(0x\\)*\\([0-9a-f]*\\).*/\\3 \\1/p' | sort > jumps && "
        "readelf -rW %s | sed -n 's/^0*\\([0-9a-f]*\\) .*IRELATIVE* *\\([0-9a-f]*\\)/"
        "\\1 \\2/p' | sort | join jumps -",
        dir, name, name);
    pipe = popen(line, "r");
    while (fgets(line, sizeof(line), pipe)) {
        char want[64];
        CHECK_EQ(sscanf(line, "%llx %llx %llx", &slot, &address, &resolver), 3);
        snprintf(want, sizeof(want), "*ABS*+0x%llx@plt", resolver);
        if (!is_stripped) /* the resolver has the function's name */
            snprintf(want, sizeof(want), "%.50s@plt", name_at(&opened, resolver));
        CHECK_STR(name_at(&opened, address), want);
        CHECK_STR(name_at(&opened, address + 7), want);
        CHECK_EQ(opened.found.source, CPROF_SYMBOL_PLT);
        n++;
    }
    pclose(pipe);
    CHECK(n >= 5);
    close_it(&opened);
}

static void test_plt_of_a_static_program(void)
{
    if (!sh("gcc -O1 -static program.c -o static_full 2>/dev/null")) {
        SKIP("no static C library");
        return;
    }
    CHECK(sh("strip -s static_full -o static_stripped"));
    check_static_plt("static_full", false);
    check_static_plt("static_stripped", true);
}

static const char assembly[] =
    ".text\n"
    ".globl sized, alias, weak_one, __other, nested, unsized, last, next_unsized\n"
    ".weak weak_one\n"
    ".type sized,@function\n .type alias,@function\n .type weak_one,@function\n"
    ".type __other,@function\n .type nested,@function\n .type low,@function\n"
    "low:\n sized:\n alias:\n weak_one:\n __other:\n zero_at_start:\n .skip 16,0x90\n"
    "label_inside:\n .skip 16,0x90\n nested:\n .skip 16,0x90\n"
    ".size nested, 16\n .skip 16,0x90\n"
    ".size low, 64\n .size sized, 64\n .size alias, 64\n .size weak_one, 64\n"
    ".size __other, 64\n"
    "gap:\n .skip 16,0x90\n" /* 64: after a sized one, unsized itself */
    ".Lmade_by_compiler:\n"
    "unsized:\n .skip 32,0x90\n"      /* 80 */
    "next_unsized:\n .skip 16,0x90\n" /* 112 */
    "with_fde:\n .cfi_startproc\n .skip 16,0x90\n .cfi_endproc\n .skip 16,0x90\n" /* 128
                                                                                   */
    "hidden:\n .cfi_startproc\n .skip 16,0x90\n .cfi_endproc\n .skip 16,0x90\n" /* 160 */
    ".section .text2,\"ax\"\n .skip 16,0x90\n last:\n .skip 16,0x90\n"
    ".data\n .globl data_symbol\n data_symbol: .quad 1\n";

static void test_assembly(void)
{
    static const struct {
        uint64_t offset;
        const char *name;
    } cases[] = {
        {0, "alias"},      {15, "alias"},     {16, "alias"},     {32, "nested"},
        {47, "nested"},    {48, "alias"},     {63, "alias"},     {64, "gap"},
        {79, "gap"},       {80, "unsized"},   {111, "unsized"},  {112, "next_unsized"},
        {128, "with_fde"}, {143, "with_fde"}, {150, "with_fde"},
    };
    struct opened opened;
    uint64_t text, text2;

    write_file("code.s", assembly);
    CHECK(sh("gcc -nostdlib -shared -Wl,--eh-frame-hdr -Wl,-Ttext=0x4000 "
             "-Wl,--section-start=.text2=0x8000 code.s -o code.so && "
             "strip -N hidden code.so -o code_less.so"));
    opened = open_alone("code_less.so");
    text = cprof_elf_find(opened.elf, ".text")->vaddr;
    text2 = cprof_elf_find(opened.elf, ".text2")->vaddr;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK_STR(name_at(&opened, text + cases[i].offset), cases[i].name);
    /* the unwind table knows of a function where a nameless one begins */
    CHECK_STR(name_at(&opened, text + 160), "code_less.so!fn_0x40a0");
    CHECK_STR(name_at(&opened, text + 175), "code_less.so!fn_0x40a0");
    CHECK_STR(name_at(&opened, text + 180), "[unknown]");
    /* a name does not reach into the next section */
    CHECK_STR(name_at(&opened, text2), "[unknown]");
    CHECK_STR(name_at(&opened, text2 + 16), "last");
    CHECK_STR(name_at(&opened, text2 + 32), "[unknown]");
    CHECK_STR(name_at(&opened, cprof_elf_find(opened.elf, ".data")->vaddr), "[unknown]");
    close_it(&opened);
}

/* No section table at all: the dynamic segment and the unwind table still are there. */
static void test_file_without_sections(void)
{
    static const char *const hash[] = {"sysv", "gnu", "both"};
    struct functions *functions;

    for (size_t i = 0; i < 3; i++) {
        char name[32], path[PATH_MAX];
        struct opened opened;
        Elf64_Ehdr header;
        FILE *file;
        CHECK(sh("gcc -O1 -rdynamic -Wl,--hash-style=%s program.c -o bare.full && "
                 "strip -s bare.full -o bare",
                 hash[i]));
        functions = functions_of("", "bare.full");
        snprintf(name, sizeof(name), "bare");
        snprintf(path, sizeof(path), "%s/bare", dir);
        file = fopen(path, "r+");
        CHECK_EQ(fread(&header, sizeof(header), 1, file), 1);
        header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
        rewind(file);
        CHECK_EQ(fwrite(&header, sizeof(header), 1, file), 1);
        fclose(file);
        opened = open_alone(name);
        CHECK_EQ(cprof_elf_n_sections(opened.elf), 0);
        CHECK_STR(name_at(&opened, address_of(functions, "outer") + 1), "outer");
        CHECK_STR(name_at(&opened, address_of(functions, "main") + 1), "main");
        CHECK(strstr(name_at(&opened, address_of(functions, "inner") + 1), "bare!fn_0x"));
        close_it(&opened);
        free(functions);
    }
}

static void check_find(struct cprof_symbols *symbols, uint64_t address, const char *name,
                       uint64_t start, uint64_t size)
{
    struct cprof_symbol found;

    cprof_symbols_find(symbols, address, &found);
    CHECK_STR(found.name, name);
    CHECK_EQ(found.start, start);
    CHECK_EQ(found.size, size);
}

static struct cprof_symbols *kallsyms(const char *text)
{
    struct cprof_symbols *symbols = NULL;
    char path[PATH_MAX];

    write_file("kallsyms", text);
    snprintf(path, sizeof(path), "%s/kallsyms", dir);
    CHECK_EQ(cprof_symbols_create_kallsyms(path, &symbols), 0);
    return symbols;
}

static void test_kernel(void)
{
    struct cprof_symbols *symbols =
        kallsyms("0000000000000000 A fixed_percpu_data\n"
                 "ffffffff81000000 T _stext\n"
                 "ffffffff81000000 T startup_64\n"
                 "ffffffff81000040 t local_one\n"
                 "ffffffff81000040 W weak_one\n"
                 "ffffffff81000050 D data_one\n"
                 "ffffffff81000080 T __x64_sys_read\n"
                 "ffffffff81000080 T sys_read\n"
                 "junk\n\n"
                 "ffffffffc0000000 t mod_init\t[zram]\n"
                 "ffffffffc0000100 t mod_work\t[zram]\n"
                 "ffffffffc0200000 t bpf_prog_1234_x\t[bpf]\n");

    CHECK_EQ(cprof_symbols_n(symbols), 6);
    check_find(symbols, 0xffffffff81000004, "startup_64", 0xffffffff81000000, 0x40);
    check_find(symbols, 0xffffffff8100007f, "weak_one", 0xffffffff81000040, 0x40);
    check_find(symbols, 0xffffffff81000080, "sys_read", 0xffffffff81000080, 0x1f7f);
    check_find(symbols, 0xffffffffc0000080, "mod_init", 0xffffffffc0000000, 0x100);
    check_find(symbols, 0xffffffffc0200000, "bpf_prog_1234_x", 0xffffffffc0200000,
               0x1fff);
    check_find(symbols, 0xffffffffc0100000, "[unknown]", 0xffffffffc0100000, 0);
    check_find(symbols, 0x401000, "[unknown]", 0x401000, 0);
    cprof_symbols_destroy(symbols);

    symbols = kallsyms("0000000000000000 T _stext\n0000000000000000 T sys_read\n");
    CHECK_EQ(cprof_symbols_n(symbols), 0);
    check_find(symbols, 0xffffffff81000000, "[unknown]", 0xffffffff81000000, 0);
    cprof_symbols_destroy(symbols);

    CHECK_EQ(cprof_symbols_create_kernel(&symbols), 0); /* whatever this machine shows */
    cprof_symbols_destroy(symbols);
}

static struct cprof_symbols *jit(const char *text)
{
    struct cprof_symbols *symbols = NULL;

    CHECK_EQ(cprof_symbols_create_jit(text, strlen(text), &symbols), 0);
    return symbols;
}

static void test_jit(void)
{
    struct cprof_symbols *symbols = jit("1000 100 first\r\n"
                                        "0x2000 0x10 LazyCompile:~add /a b.js:1\n"
                                        "1040 20 reuses the middle\n"
                                        "  3000 8   spaced  \n"
                                        "not a line\n"
                                        "4000\n"
                                        "5000 no_size\n"
                                        "5100 0 zero size\n"
                                        "11112222333344445 10 too long\n"
                                        "\n"
                                        "2008 10 cut off at the end");

    CHECK_EQ(cprof_symbols_n(symbols), 7);
    check_find(symbols, 0x1000, "first", 0x1000, 0x100);
    check_find(symbols, 0x103f, "first", 0x1000, 0x100);
    check_find(symbols, 0x1040, "reuses the middle", 0x1040, 0x20);
    check_find(symbols, 0x105f, "reuses the middle", 0x1040, 0x20);
    check_find(symbols, 0x1060, "first", 0x1000, 0x100);
    check_find(symbols, 0x1100, "[unknown]", 0x1100, 0);
    check_find(symbols, 0x2007, "LazyCompile:~add /a b.js:1", 0x2000, 0x10);
    check_find(symbols, 0x2008, "cut off at the end", 0x2008, 0x10);
    check_find(symbols, 0x3007, "spaced", 0x3000, 8);
    check_find(symbols, 0x50ff, "no_size", 0x5000, 0);
    check_find(symbols, 0x5100, "zero size", 0x5100, 0);
    check_find(symbols, 0x5fff, "zero size", 0x5100, 0);
    check_find(symbols, 0x6000, "[unknown]", 0x6000, 0);
    check_find(symbols, 0, "[unknown]", 0, 0);
    cprof_symbols_destroy(symbols);

    symbols = jit("");
    check_find(symbols, 0x1000, "[unknown]", 0x1000, 0);
    cprof_symbols_destroy(symbols);
    symbols = jit("ffffffffffffff00 ffffffffffffffff end\nffffffffffffffff last\n");
    check_find(symbols, 0xffffffffffffff10, "end", 0xffffffffffffff00, 0xff);
    cprof_symbols_destroy(symbols);
}

/* Later entries against a plain model: an array painted in the order of the lines. */
static void test_jit_later_wins(void)
{
    static char text[64 * 1024];
    static int owner[4096];
    unsigned seed = 1;
    size_t n = 0;
    struct cprof_symbols *symbols;

    memset(owner, 0xff, sizeof(owner));
    for (int i = 0; i < 500; i++) {
        unsigned start, size;
        seed = seed * 1103515245 + 12345;
        start = seed >> 16 & 0xfff;
        seed = seed * 1103515245 + 12345;
        size = 1 + (seed >> 16 & 0x7f);
        n += (size_t)sprintf(text + n, "%x %x f%d\n", 0x10000 + start, size, i);
        for (unsigned k = start; k < start + size && k < 4096; k++)
            owner[k] = i;
    }
    symbols = jit(text);
    for (unsigned k = 0; k < 4096; k++) {
        struct cprof_symbol found;
        char want[32] = "[unknown]";
        cprof_symbols_find(symbols, 0x10000 + k, &found);
        if (owner[k] >= 0)
            snprintf(want, sizeof(want), "f%d", owner[k]);
        CHECK_STR(found.name, want);
    }
    cprof_symbols_destroy(symbols);
}

static int attempt_elf(void *arg)
{
    char path[PATH_MAX], root[PATH_MAX];
    struct cprof_symbols *symbols = NULL;
    struct cprof_elf *elf = NULL;
    int r;

    snprintf(path, sizeof(path), "%s/%s", dir, (const char *)arg);
    snprintf(root, sizeof(root), "%s/root", dir);
    r = cprof_elf_open(path, &elf, NULL);
    if (r < 0)
        return r;
    r = cprof_symbols_create_elf(elf, root, path, NULL, 0, &symbols);
    cprof_elf_unref(elf);
    if (r == 0)
        cprof_symbols_destroy(symbols);
    return r;
}

static int attempt_text(void *arg)
{
    const char *text = "1000 10 a\n1008 10 b\n3000 c\n";
    struct cprof_symbols *symbols = NULL;
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/kallsyms", dir);
    r = arg ? cprof_symbols_create_kallsyms(path, &symbols)
            : cprof_symbols_create_jit(text, strlen(text), &symbols);
    if (r == 0)
        cprof_symbols_destroy(symbols);
    return r;
}

static void test_allocation_failures(void)
{
    write_file("kallsyms", "ffffffff81000040 t b\nffffffff81000000 T a\n");
    CHECK_EQ(sweep(attempt_elf, "full"), 0);
    CHECK_EQ(sweep(attempt_elf, "with_mini"), 0);
    CHECK_EQ(sweep(attempt_elf, "plt4"), 0);
    CHECK_EQ(sweep(attempt_elf, "linked"), 0);
    CHECK_EQ(sweep(attempt_text, NULL), 0);
    CHECK_EQ(sweep(attempt_text, "kallsyms"), 0);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    build_program();
    RUN(test_every_function_of_nm);
    RUN(test_stripped_function_has_one_name);
    RUN(test_debug_file_by_build_id);
    RUN(test_debug_file_by_link);
    RUN(test_debug_link_to_another_build);
    RUN(test_minidebuginfo);
    RUN(test_plt_names_are_those_of_objdump);
    RUN(test_lazy_half_of_an_ibt_stub);
    RUN(test_plt_of_a_static_program);
    RUN(test_assembly);
    RUN(test_file_without_sections);
    RUN(test_kernel);
    RUN(test_jit);
    RUN(test_jit_later_wins);
    RUN(test_allocation_failures);
    if (!sh("rm -rf '%s'", dir))
        return 1;
    return test_report(__FILE__);
}
