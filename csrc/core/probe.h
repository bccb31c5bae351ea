/* probe.h - what this machine, and this user on it, may measure: sysctls, capabilities,
 * limits, what the kernel accepts. Feeds `cprof doctor` and words refusals. */
#ifndef CPROF_PROBE_H
#define CPROF_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "vec.h"

enum cprof_capability { /* bit numbers, capabilities(7) */
                        CPROF_CAP_IPC_LOCK = 14,
                        CPROF_CAP_SYS_PTRACE = 19,
                        CPROF_CAP_SYS_ADMIN = 21,
                        CPROF_CAP_SYSLOG = 34,
                        CPROF_CAP_PERFMON = 38,
};
bool cprof_probe_has_capability(enum cprof_capability capability);
/* CAP_PERFMON, or CAP_SYS_ADMIN which includes it. */
bool cprof_probe_is_privileged(void);

/* kernel.perf_event_paranoid; 4 when the file cannot be read. */
long cprof_probe_paranoid(void);
long cprof_probe_max_sample_rate(void);

/* Numbers of the CPUs that are online, ascending. 0 or negative errno. */
struct cprof_cpus {
    CPROF_VEC(int) numbers;
};
int cprof_probe_cpus(struct cprof_cpus *ret);

struct cprof_knob {
    char name[40]; /* "kernel.perf_event_paranoid", "capabilities", "event cycles" ... */
    char value[120];
    bool is_ok;       /* nothing is blocked by it */
    char blocks[160]; /* what it blocks as it stands, "" when nothing */
    char remedy[200];
};
enum { CPROF_MAX_KNOBS = 32 };

/* Every knob, for recording `pid` (0: one's own children). Returns how many. */
size_t cprof_probe_knobs(pid_t pid, struct cprof_knob knobs[CPROF_MAX_KNOBS]);

/* Word a perf_event_open refusal (`code` -EACCES, -EPERM ...) of an event on `pid`: which
 * knob, its value, what to do. Returns code. */
int cprof_probe_refusal(int code, pid_t pid, bool wants_kernel, struct cprof_error *err);

/* Can the event be opened on the calling thread, user code only? 0 or negative errno. */
int cprof_probe_event(uint32_t type, uint64_t config, bool with_kernel);

#endif
