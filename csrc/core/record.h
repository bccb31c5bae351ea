/* record.h - bytes of one perf record <-> struct cprof_record, both ways, no I/O.
 *
 * Every event of a recording uses one layout (CPROF_SAMPLE_TYPE plus what the sampling
 * event adds), so a record decodes without knowing which event wrote it. Field order is
 * that of perf_event_open(2); sample_id_all trailers carry tid, time, ids and cpu on
 * every other record. Decoding checks every length against the record's own size;
 * pointers in the result are borrowed from the bytes. */
#ifndef CPROF_RECORD_H
#define CPROF_RECORD_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On all events. */
#define CPROF_SAMPLE_TYPE                                                                \
    (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |                       \
     PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU)
/* What a sampling event adds always; CALLCHAIN, REGS_USER, STACK_USER as wanted. */
#define CPROF_SAMPLE_TYPE_SAMPLING                                                       \
    (CPROF_SAMPLE_TYPE | PERF_SAMPLE_IP | PERF_SAMPLE_PERIOD)

/* x86-64 user registers to ask for: all but the segment registers of no use (DS ES FS
 * GS), in the kernel's order AX BX CX DX SI DI BP SP IP FLAGS CS SS R8..R15. */
#define CPROF_REGS_MASK 0xff0fffull
enum { CPROF_N_SAMPLED_REGS = 20, CPROF_FILENAME_MAX = 4096 };

struct cprof_sample {
    uint64_t ip, period;
    uint64_t n_chain;
    const uint64_t *chain; /* n_chain entries, PERF_CONTEXT_* markers included */
    uint64_t regs_abi;     /* PERF_SAMPLE_REGS_ABI_*; NONE: no user registers */
    const uint64_t *regs;  /* CPROF_N_SAMPLED_REGS words, NULL when abi is NONE */
    const uint8_t *stack;
    uint64_t stack_n;     /* valid bytes (dyn_size) */
    uint64_t stack_asked; /* bytes the record has room for */
};

struct cprof_mmap {
    uint64_t start, length, offset;
    uint32_t major, minor;
    uint64_t inode;
    uint8_t build_id[20];
    uint8_t build_id_n; /* 0: the record carries major, minor, inode instead */
    uint32_t protection, flags;
    const char *file;
};

struct cprof_record {
    uint32_t type; /* PERF_RECORD_* */
    uint16_t misc;
    int32_t pid, tid;
    uint64_t time;
    uint64_t id, stream_id;
    uint32_t cpu;
    union {
        struct cprof_sample sample; /* SAMPLE */
        struct cprof_mmap mmap;     /* MMAP2 */
        struct {
            const char *name;
        } comm; /* COMM; misc PERF_RECORD_MISC_COMM_EXEC: an exec */
        struct {
            int32_t pid, parent_pid, tid, parent_tid;
        } task; /* FORK, EXIT */
        struct {
            uint64_t n;
        } lost; /* LOST, LOST_SAMPLES */
    };
};

/* Decode one record of `bytes[0..n)`, whose samples were asked for with `sample_type`.
 * 0 and *ret; -EBADMSG when a length does not fit. Types that are not listed above decode
 * to their header and trailer alone. */
int cprof_record_decode(const struct perf_event_header *bytes, size_t n,
                        uint64_t sample_type, struct cprof_record *ret);

/* The other way, for tests and fuzz seeds: writes at most `room` bytes and returns how
 * many, or -ENOSPC. */
int cprof_record_encode(const struct cprof_record *record, uint64_t sample_type,
                        void *bytes, size_t room);

#endif
