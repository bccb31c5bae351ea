/* maps: random histories against an array with one entry for each page, the truth. */
#include "maps.h"

#include <errno.h>
#include <unistd.h>

#include "test.h"

enum { PAGE = 4096, N_PAGES = 256 };

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (random_state >> 33) % n;
}

static struct cprof_dso dsos[4];

static struct cprof_mmap mmap_of(uint64_t start, uint64_t end, uint64_t offset)
{
    return (struct cprof_mmap){.start = start, .length = end - start, .offset = offset};
}

static void check_pages(const struct cprof_maps *maps,
                        const struct cprof_maps_entry *truth)
{
    for (uint64_t page = 0; page < N_PAGES; page++) {
        uint64_t address = page * PAGE + random_below(PAGE);
        const struct cprof_maps_entry *entry = cprof_maps_find(maps, address);
        CHECK_EQ(entry != NULL, truth[page].dso != NULL);
        if (!entry || !truth[page].dso)
            continue;
        CHECK(entry->dso == truth[page].dso);
        CHECK_EQ(address - entry->start + entry->offset, /* the same byte of the file */
                 address - truth[page].start + truth[page].offset);
        CHECK_EQ(entry->bias, truth[page].bias);
    }
}

static void test_random_histories(void)
{
    for (int round = 0; round < 50; round++) {
        struct cprof_maps_entry truth[N_PAGES] = {0};
        struct cprof_maps maps = {0}, copy = {0};
        for (int i = 0; i < 60; i++) {
            uint64_t first = random_below(N_PAGES), n = 1 + random_below(N_PAGES - first);
            struct cprof_mmap mmap =
                mmap_of(first * PAGE, (first + n) * PAGE, random_below(9) * PAGE);
            struct cprof_maps_entry entry =
                cprof_maps_entry_of(&mmap, &dsos[random_below(4)]);
            bool covers = false;
            for (uint64_t page = first; page < first + n; page++) {
                covers |= truth[page].dso != NULL;
                truth[page] = entry;
            }
            CHECK_EQ(cprof_maps_insert(&maps, &entry), covers);
        }
        check_pages(&maps, truth);
        for (size_t i = 1; i < maps.entries.n; i++)
            CHECK(maps.entries.data[i - 1].end <= maps.entries.data[i].start);
        CHECK_EQ(cprof_maps_copy(&maps, &copy), 0);
        cprof_maps_deinit(&maps);
        check_pages(&copy, truth);
        cprof_maps_deinit(&copy);
    }
}

static void test_ranges_that_cannot_be(void)
{
    struct cprof_maps maps = {0};
    struct cprof_maps_entry empty = {.start = 5, .end = 5, .dso = dsos};
    struct cprof_maps_entry wraps = {.start = 5, .end = 1, .dso = dsos};

    CHECK_EQ(cprof_maps_insert(&maps, &empty), -EINVAL);
    CHECK_EQ(cprof_maps_insert(&maps, &wraps), -EINVAL);
    CHECK(cprof_maps_find(&maps, 5) == NULL);
    CHECK(cprof_maps_find_image(&maps, 5) == NULL);
    cprof_maps_deinit(&maps);
}

/* The program itself: code in its mapping, unwind tables in its image beside it. */
static void test_the_image_of_a_file(void)
{
    struct cprof_dsos table = {0};
    struct cprof_maps maps = {0};
    struct cprof_dso *dso = NULL;
    struct cprof_maps_entry entry;
    uint64_t vaddr;
    struct cprof_mmap mmap = {.file = "/proc/self/exe", .start = 0x555500000000};
    struct cprof_elf *elf;

    CHECK_EQ(cprof_elf_open("/proc/self/exe", &elf, NULL), 0);
    cprof_elf_unref(elf);
    CHECK_EQ(cprof_dsos_get(&table, getpid(), &mmap, &dso), 0);
    CHECK(dso && dso->elf && dso->high > dso->low);
    mmap.length = 16 * PAGE;
    mmap.offset = dso->entry & ~(uint64_t)(PAGE - 1);
    CHECK(cprof_elf_vaddr_of(dso->elf, mmap.offset, &vaddr));
    entry = cprof_maps_entry_of(&mmap, dso);
    CHECK_EQ(entry.bias, mmap.start - vaddr);
    CHECK_EQ(cprof_maps_insert(&maps, &entry), 0);
    CHECK(cprof_maps_find_image(&maps, entry.bias + dso->low) != NULL);
    CHECK(cprof_maps_find_image(&maps, entry.bias + dso->high - 1) != NULL);
    CHECK(cprof_maps_find_image(&maps, entry.bias + dso->high) == NULL);
    CHECK(cprof_maps_find_image(&maps, entry.bias + dso->low - 1) == NULL);
    cprof_maps_deinit(&maps);
    cprof_dsos_deinit(&table);
}

static int attempt(void *arg)
{
    struct cprof_mmap low = mmap_of(PAGE, 9 * PAGE, 0),
                      inside = mmap_of(3 * PAGE, 4 * PAGE, 0);
    struct cprof_maps_entry a = cprof_maps_entry_of(&low, &dsos[0]);
    struct cprof_maps_entry b = cprof_maps_entry_of(&inside, &dsos[1]);
    struct cprof_maps maps = {0}, copy = {0};
    int r = cprof_maps_insert(&maps, &a);

    (void)arg;
    if (r >= 0)
        r = cprof_maps_insert(&maps, &b);
    if (r >= 0)
        r = cprof_maps_copy(&maps, &copy);
    cprof_maps_deinit(&maps);
    cprof_maps_deinit(&copy);
    return r < 0 ? r : 0;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_random_histories);
    RUN(test_ranges_that_cannot_be);
    RUN(test_the_image_of_a_file);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
