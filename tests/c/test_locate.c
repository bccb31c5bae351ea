/* locate: our own address space stands for a target's; the truth is what the compiler and
 * dladdr(3) say of our functions. */
#define _GNU_SOURCE
#include "locate.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

struct fixture {
    struct cprof_stacks *stacks;
    struct cprof_processes processes;
    struct cprof_locator locator;
    struct cprof_process *self;
};

static int fixture_init(struct fixture *f)
{
    int r;

    memset(f, 0, sizeof(*f));
    r = cprof_stacks_create(&f->stacks);
    if (r < 0)
        return r;
    f->processes.unwind = &cprof_unwind_fp;
    f->processes.stacks = f->stacks;
    r = cprof_locator_init(&f->locator, f->stacks, &f->processes.dsos);
    return r < 0 ? r : cprof_processes_get(&f->processes, getpid(), &f->self);
}

static void fixture_deinit(struct fixture *f)
{
    cprof_locator_deinit(&f->locator);
    cprof_processes_deinit(&f->processes);
    cprof_stacks_unref(f->stacks);
}

static const struct cprof_function *function_at(const struct fixture *f,
                                                uint32_t location)
{
    const struct cprof_location *l = &f->stacks->locations.data[location];

    return &f->stacks->functions.data[f->stacks->lines.data[l->first_line].function];
}

static const char *name_at(const struct fixture *f, uint32_t location)
{
    return cprof_stacks_text(f->stacks, function_at(f, location)->name);
}

static void test_one_address_is_one_location_with_its_function(void)
{
    uint64_t address =
        (uint64_t)(uintptr_t)&test_one_address_is_one_location_with_its_function;
    uint32_t first, again, printf_at;
    struct fixture f;
    Dl_info info;

    CHECK_EQ(fixture_init(&f), 0);
    CHECK_EQ(cprof_locate_user(&f.locator, f.self, address + 4, &first), 0);
    CHECK_EQ(cprof_locate_user(&f.locator, f.self, address + 4, &again), 0);
    CHECK_EQ(first, again);
    CHECK_EQ(f.stacks->locations.data[first].address, address + 4);
    CHECK_EQ(
        cprof_locate_user(&f.locator, f.self, (uint64_t)(uintptr_t)&printf, &printf_at),
        0);
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    CHECK_STR(name_at(&f, first), "test_one_address_is_one_location_with_its_function");
    CHECK(dladdr((void *)&printf, &info) && info.dli_sname);
    CHECK_EQ((uint64_t)(uintptr_t)info.dli_saddr, (uint64_t)(uintptr_t)&printf);
    CHECK(strstr(name_at(&f, printf_at), "printf") != NULL);
    CHECK(f.stacks->mappings.data[f.stacks->locations.data[first].mapping].has_functions);
    fixture_deinit(&f);
}

/* The same piece of a file at another address, as in another process: one location. */
static void test_a_file_mapped_twice_has_one_location_for_one_place(void)
{
    uint64_t address = (uint64_t)(uintptr_t)&fixture_init;
    struct cprof_process *other;
    struct cprof_maps_entry moved;
    uint32_t here, there;
    struct fixture f;

    CHECK_EQ(fixture_init(&f), 0);
    CHECK_EQ(cprof_locate_user(&f.locator, f.self, address, &here), 0);
    CHECK_EQ(cprof_processes_fork(&f.processes, 999999, 999999, getpid(), getpid()), 0);
    other = cprof_processes_find(&f.processes, 999999);
    CHECK(other != NULL);
    moved = *cprof_maps_find(&f.self->maps, address);
    moved.mapping = CPROF_MAP_NONE;
    moved.start += 0x10000000;
    moved.end += 0x10000000;
    CHECK(cprof_maps_insert(&other->maps, &moved) >= 0);
    CHECK_EQ(cprof_locate_user(&f.locator, other, address + 0x10000000, &there), 0);
    CHECK_EQ(here, there);
    fixture_deinit(&f);
}

static void test_code_that_no_file_holds(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char path[64];
    uint32_t jit, stray;
    struct fixture f;
    FILE *map;
    char *code =
        mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
    map = fopen(path, "w");
    CHECK(map != NULL && code != MAP_FAILED);
    fprintf(map, "%lx 40 compiled just now\n", (unsigned long)(code + 16));
    fclose(map);
    CHECK_EQ(fixture_init(&f), 0);
    CHECK_EQ(cprof_locate_user(&f.locator, f.self, (uint64_t)(uintptr_t)code + 20, &jit),
             0);
    CHECK_EQ(cprof_locate_user(&f.locator, f.self, 0x1234, &stray), 0);
    CHECK_EQ(cprof_locator_name_all(&f.locator), 0);
    CHECK_STR(name_at(&f, jit), "compiled just now");
    CHECK_STR(name_at(&f, stray), "[unknown]");
    fixture_deinit(&f);
    unlink(path);
    munmap(code, page);
}

static int attempt(void *arg)
{
    struct fixture f;
    uint32_t location;
    int r = fixture_init(&f);

    (void)arg;
    if (r == 0)
        r = cprof_locate_user(&f.locator, f.self, (uint64_t)(uintptr_t)&attempt,
                              &location);
    if (r == 0)
        r = cprof_locator_name_all(&f.locator);
    fixture_deinit(&f);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_one_address_is_one_location_with_its_function);
    RUN(test_a_file_mapped_twice_has_one_location_for_one_place);
    RUN(test_code_that_no_file_holds);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
