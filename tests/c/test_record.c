/* record: every type encoded and decoded again; every shortened form refused. */
#include "record.h"

#include <errno.h>

#include "test.h"

enum { ROOM = 65536 };
#define ALL                                                                              \
    (CPROF_SAMPLE_TYPE_SAMPLING | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |        \
     PERF_SAMPLE_STACK_USER)

static uint64_t chain[3] = {PERF_CONTEXT_KERNEL, 0xffffffff81000000ull,
                            0xffffffff81000100ull};
static uint64_t regs[CPROF_N_SAMPLED_REGS];
static uint8_t stack[4096];

static struct cprof_record sample(void)
{
    struct cprof_record r = {.type = PERF_RECORD_SAMPLE,
                             .misc = PERF_RECORD_MISC_USER,
                             .pid = 12,
                             .tid = 13,
                             .time = 14,
                             .id = 15,
                             .stream_id = 16,
                             .cpu = 17};

    for (size_t i = 0; i < CPROF_N_SAMPLED_REGS; i++)
        regs[i] = 1000 + i;
    for (size_t i = 0; i < sizeof(stack); i++)
        stack[i] = (uint8_t)(i * 7);
    r.sample = (struct cprof_sample){.ip = 18,
                                     .period = 19,
                                     .n_chain = 3,
                                     .chain = chain,
                                     .regs_abi = PERF_SAMPLE_REGS_ABI_64,
                                     .regs = regs,
                                     .stack = stack,
                                     .stack_n = 4000,
                                     .stack_asked = sizeof(stack)};
    return r;
}

static void check_common(const struct cprof_record *a, const struct cprof_record *b)
{
    CHECK_EQ(a->type, b->type);
    CHECK_EQ(a->misc, b->misc);
    CHECK_EQ(a->pid, b->pid);
    CHECK_EQ(a->tid, b->tid);
    CHECK_EQ(a->time, b->time);
    CHECK_EQ(a->id, b->id);
    CHECK_EQ(a->stream_id, b->stream_id);
    CHECK_EQ(a->cpu, b->cpu);
}

/* Encode, decode, and refuse every prefix: the copy ends where the record does, so that
 * the sanitizers see a read past it. */
static struct cprof_record again(const struct cprof_record *record, uint64_t type)
{
    static _Alignas(8) uint8_t bytes[ROOM];
    struct cprof_record back = {0}, cut_back;
    int n = cprof_record_encode(record, type, bytes, sizeof(bytes));

    CHECK(n > 0);
    CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n, type, &back), 0);
    for (int cut = 8; cut < n; cut += cut < 200 ? 1 : 97) {
        uint8_t *part = malloc((size_t)cut);
        struct perf_event_header header;
        memcpy(part, bytes, (size_t)cut);
        memcpy(&header, part, sizeof(header));
        header.size = (uint16_t)cut;
        memcpy(part, &header, sizeof(header));
        /* a cut record may by chance be a shorter valid one, but is never read beyond */
        cprof_record_decode((void *)part, (size_t)cut, type, &cut_back);
        if (record->type == PERF_RECORD_SAMPLE)
            CHECK_EQ(cprof_record_decode((void *)part, (size_t)cut, type, &cut_back),
                     -EBADMSG);
        free(part);
    }
    for (int room = 0; room < n; room += room < 100 ? 1 : 499)
        CHECK_EQ(cprof_record_encode(record, type, (uint8_t[ROOM]){0}, (size_t)room),
                 -ENOSPC);
    check_common(&back, record);
    return back;
}

static void test_a_sample_with_everything(void)
{
    struct cprof_record r = sample(), back = again(&r, ALL);

    CHECK_EQ(back.sample.ip, 18);
    CHECK_EQ(back.sample.period, 19);
    CHECK_EQ(back.sample.n_chain, 3);
    CHECK(!memcmp(back.sample.chain, chain, sizeof(chain)));
    CHECK(!memcmp(back.sample.regs, regs, sizeof(regs)));
    CHECK_EQ(back.sample.stack_n, 4000);
    CHECK_EQ(back.sample.stack_asked, 4096);
    CHECK(!memcmp(back.sample.stack, stack, sizeof(stack)));
}

static void test_a_sample_without_user_registers_or_stack(void)
{
    struct cprof_record r = sample(), back;

    r.sample.regs_abi = PERF_SAMPLE_REGS_ABI_NONE;
    r.sample.regs = NULL;
    r.sample.stack = NULL;
    r.sample.stack_asked = r.sample.stack_n = 0;
    back = again(&r, ALL);
    CHECK(back.sample.regs == NULL);
    CHECK_EQ(back.sample.stack_n, 0);
    back = again(&r, CPROF_SAMPLE_TYPE_SAMPLING);
    CHECK_EQ(back.sample.n_chain, 0);
}

static struct cprof_record side_band(uint32_t type, uint16_t misc)
{
    return (struct cprof_record){.type = type,
                                 .misc = misc,
                                 .pid = 1,
                                 .tid = 2,
                                 .time = 3,
                                 .id = 4,
                                 .stream_id = 5,
                                 .cpu = 6};
}

static void test_mappings(void)
{
    struct cprof_record r = side_band(PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_BUILD_ID),
                        back;

    r.mmap = (struct cprof_mmap){.start = 0x1000,
                                 .length = 0x2000,
                                 .offset = 0x3000,
                                 .build_id_n = 20,
                                 .protection = 5,
                                 .flags = 2,
                                 .file = "/usr/lib/a b\n.so"};
    memset(r.mmap.build_id, 0xab, 20);
    back = again(&r, ALL);
    CHECK_EQ(back.mmap.start, 0x1000);
    CHECK_EQ(back.mmap.length, 0x2000);
    CHECK_EQ(back.mmap.offset, 0x3000);
    CHECK_EQ(back.mmap.build_id_n, 20);
    CHECK(!memcmp(back.mmap.build_id, r.mmap.build_id, 20));
    CHECK_STR(back.mmap.file, "/usr/lib/a b\n.so");
    r.misc = 0;
    r.mmap.build_id_n = 0;
    r.mmap.major = 8;
    r.mmap.minor = 1;
    r.mmap.inode = 12345678901ull;
    back = again(&r, ALL);
    CHECK_EQ(back.mmap.build_id_n, 0);
    CHECK_EQ(back.mmap.major, 8);
    CHECK_EQ(back.mmap.minor, 1);
    CHECK_EQ(back.mmap.inode, 12345678901ull);
}

static void test_tasks_names_losses(void)
{
    struct cprof_record r = side_band(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);

    r.comm.name = "a worker";
    CHECK_STR(again(&r, ALL).comm.name, "a worker");
    r = side_band(PERF_RECORD_FORK, 0);
    r.task.pid = 7;
    r.task.parent_pid = 8;
    r.task.tid = 9;
    r.task.parent_tid = 10;
    CHECK_EQ(again(&r, ALL).task.parent_tid, 10);
    r.type = PERF_RECORD_EXIT;
    CHECK_EQ(again(&r, ALL).task.tid, 9);
    r = side_band(PERF_RECORD_LOST, 0);
    r.lost.n = 99;
    CHECK_EQ(again(&r, ALL).lost.n, 99);
    r.type = PERF_RECORD_LOST_SAMPLES;
    CHECK_EQ(again(&r, ALL).lost.n, 99);
    r = side_band(PERF_RECORD_SWITCH, PERF_RECORD_MISC_SWITCH_OUT);
    again(&r, ALL);
    r.type = 999; /* of a kernel to come */
    again(&r, ALL);
}

/* Lengths inside a record that lie: -EBADMSG, whatever they are. */
static void test_lengths_that_lie(void)
{
    static _Alignas(8) uint8_t bytes[ROOM];
    struct cprof_record r = sample(), back;
    int n = cprof_record_encode(&r, ALL, bytes, sizeof(bytes));
    static const uint64_t lies[] = {1u << 20, UINT64_MAX, UINT64_MAX / 8, 1ull << 63,
                                    4097};
    size_t chain_at = 8 + 7 * 8,
           stack_at = chain_at + 8 + 24 + 8 + CPROF_N_SAMPLED_REGS * 8;

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        uint64_t kept;
        memcpy(&kept, bytes + chain_at, 8);
        CHECK_EQ(kept, 3);
        memcpy(bytes + chain_at, &lies[i], 8);
        CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n, ALL, &back), -EBADMSG);
        memcpy(bytes + chain_at, &kept, 8);
        memcpy(&kept, bytes + stack_at, 8);
        CHECK_EQ(kept, sizeof(stack));
        memcpy(bytes + stack_at, &lies[i], 8);
        CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n, ALL, &back), -EBADMSG);
        memcpy(bytes + stack_at, &kept, 8);
        memcpy(bytes + n - 8, &lies[i], 8); /* more valid bytes than there are bytes */
        CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n, ALL, &back), -EBADMSG);
    }
    CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n - 8, ALL, &back), -EBADMSG);
    CHECK_EQ(cprof_record_decode((void *)bytes, 4, ALL, &back), -EBADMSG);
}

static void test_text_without_an_end(void)
{
    static _Alignas(8) uint8_t bytes[ROOM];
    struct cprof_record r = side_band(PERF_RECORD_COMM, 0), back;
    int n;

    r.comm.name = "1234567";
    n = cprof_record_encode(&r, ALL, bytes, sizeof(bytes));
    memset(bytes + 16, 'x', 8);
    CHECK_EQ(cprof_record_decode((void *)bytes, (size_t)n, ALL, &back), -EBADMSG);
}

int main(void)
{
    RUN(test_a_sample_with_everything);
    RUN(test_a_sample_without_user_registers_or_stack);
    RUN(test_mappings);
    RUN(test_tasks_names_losses);
    RUN(test_lengths_that_lie);
    RUN(test_text_without_an_end);
    return test_report(__FILE__);
}
